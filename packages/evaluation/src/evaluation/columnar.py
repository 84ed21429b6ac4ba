"""Sharded columnar tables: a folder ``NAME.parquet`` of Parquet files ``part-000.parquet``, ``part-001.parquet``, ...

Columns of text are dictionary-coded, so a value that occurs in many rows is stored once. Such a folder stands beside a
CSV file of the same rows, ``NAME.csv``, which people read. Every part holds the SHA-256 of that file, so the two never
differ unnoticed, and ``files.sha256`` in the folder has the hashes of the parts (`sums`). Tables are written and read
in pieces: memory does not grow with their number of rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .sums import SUMS, Changed, check_file, write_sums

__all__ = ["FROM_ROWS", "ROWS", "SUFFIX", "columnar", "iterate", "of_csv", "parts", "schema", "write"]

SUFFIX = ".parquet"
FROM_ROWS = 200_000                    # rows from which a table is written in this form too
ROWS = 1 << 20                         # of a part
PIECE = 1 << 16                        # rows written or read at a time
KEY = b"csv_sha256"                    # of the metadata of a part
REMEDY = "write the table again, or delete the folder to read the CSV file"


def columnar(csv: str | Path) -> Path:
    """Return the folder of the columnar form of the table *csv*."""
    return Path(csv).with_suffix(SUFFIX)


def write(
    csv: str | Path,
    columns: Mapping[str, str],
    rows: Iterable[Sequence[Any]],
    csv_sha256: str,
    folder: Path | None = None,
    rows_a_part: int = ROWS,
) -> Path:
    """Write *rows* as the columnar form of the table *csv*, whose hash is *csv_sha256*, and return its folder.

    *columns*: name -> kind: ``int``, ``float``, ``text`` (dictionary-coded) or ``name`` (a text of its own in each
    row). None is a missing value. *folder* is an existing folder to write into
    instead of `columnar` of *csv*, which is replaced.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    coded = pa.dictionary(pa.int32(), pa.string())
    types = {"text": coded, "name": pa.string(), "int": pa.int64(), "float": pa.float64()}
    form = pa.schema([(name, types[kind]) for name, kind in columns.items()], metadata={KEY: csv_sha256.encode()})
    target = columnar(csv) if folder is None else folder
    if folder is None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    source, number = iter(rows), 0
    piece = list(islice(source, min(PIECE, rows_a_part)))
    while piece or number == 0:
        path, left = target / f"part-{number:03d}{SUFFIX}", rows_a_part
        with pq.ParquetWriter(path, form, compression="zstd", version="2.6") as writer:
            while piece and left > 0:
                values = zip(*piece, strict=True)
                arrays = [_array(column, kind) for column, kind in zip(values, form.types, strict=True)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=form))
                left -= len(piece)
                piece = list(islice(source, min(PIECE, left or rows_a_part)))
        number += 1
    write_sums(target)
    return target


def _array(values: Sequence[Any], kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string()).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values, kind)


def parts(folder: str | Path) -> list[Path]:
    """Return the files of the table in *folder*, in order; `Changed` if one is missing, damaged or of another table."""
    folder = Path(folder)
    found = sorted(folder.glob(f"part-*{SUFFIX}"))
    if not found:
        raise Changed(f"{folder}: a folder without part-000{SUFFIX}: not a columnar table; {REMEDY}")
    if not (folder / SUMS).is_file():
        raise Changed(f"{folder / SUMS}: no such file; {REMEDY}")
    listed = (folder / SUMS).read_text(encoding="utf-8", errors="replace").count("\n")
    if listed != len(found) or found[-1].name != f"part-{len(found) - 1:03d}{SUFFIX}":
        raise Changed(f"{folder}: has {len(found)} parts, {SUMS} lists {listed}; {REMEDY}")
    for path in found:
        check_file(path)
    return found


def of_csv(folder: str | Path) -> str:
    """Return the SHA-256 of the CSV file that the table in *folder* is the columnar form of."""
    names = {_metadata(path) for path in parts(folder)}
    if len(names) != 1 or not (name := names.pop()):
        raise Changed(f"{folder}: its parts are not of one table; {REMEDY}")
    return name


def _metadata(path: Path) -> str:
    found: bytes = (_schema(path).metadata or {}).get(KEY, b"")
    return found.decode("ascii", "replace")


def schema(folder: str | Path) -> Any:
    """Return the Arrow schema of the table in *folder*."""
    return _schema(parts(folder)[0])


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def iterate(folder: str | Path, columns: Sequence[str] | None = None, piece: int = PIECE) -> Iterator[Any]:
    """Yield the record batches of *columns* (all by default) of the table in *folder*, *piece* rows at most."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parts(folder):
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=piece, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> Changed:
    said = str(error).partition("\n")[0][:200]
    return Changed(f"{path}: not readable as Parquet: {said}; {REMEDY}")
