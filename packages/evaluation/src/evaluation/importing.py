"""Writing of imported scores in our own table format: CSV, compressed CSV or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .scores import COLUMNS, Scores
from .text import Text
from .whole import whole_file

__all__ = ["write"]

FORMATS = (".csv", ".csv.gz", ".parquet")
ROWS = 1 << 16                         # written at a time


def write(path: str | Path, scores: Scores) -> None:
    """Write *scores* and their strata to *path*, in the format that its name ends in; the file appears whole."""
    path = Path(path)
    if not path.name.endswith(FORMATS):
        raise ValueError(f"{path}: the name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    with whole_file(path) as part:
        (_write_parquet if path.suffix == ".parquet" else _write_csv)(part, scores, path.name.endswith(".gz"))


def _columns(scores: Scores) -> dict[str, Any]:
    columns = {name: getattr(scores, name) for name in COLUMNS}
    return columns | {f"other {name}" if name in COLUMNS else name: text for name, text in scores.strata.items()}


def _write_csv(path: Path, scores: Scores, compressed: bool) -> None:
    columns = _columns(scores)
    with path.open("wb") as raw:
        # no name and no time in the header, so that equal tables give equal files
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compressed else raw
        with io.TextIOWrapper(packed, encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for start in range(0, len(scores), ROWS):
                writer.writerows(_rows(columns, slice(start, start + ROWS)))


def _rows(columns: dict[str, Any], rows: slice) -> Iterator[tuple[Any, ...]]:
    return zip(*(values[rows].tolist() for values in columns.values()), strict=True)


def _write_parquet(path: Path, scores: Scores, compressed: bool) -> None:  # noqa: ARG001
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: _arrow(values) for name, values in _columns(scores).items()}
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, Text):
        return pa.DictionaryArray.from_arrays(pa.array(values.codes), pa.array(values.names.tolist(), pa.string()))
    return pa.array(values)
