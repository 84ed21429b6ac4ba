"""Reading of tables in any of the usual formats into columns: CSV (comma, semicolon, tab), gzip, zstd, Parquet, and
folders of Parquet files (`columnar`).

The format is recognised by the content of a file, never by its name. `head` returns the names of the columns, `columns`
those that are wanted: text as `text.Text`, numbers as float64. Files are decoded in pieces by pyarrow, so memory grows
with the rows that are kept and not with the size of the file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from . import columnar
from .files import FileError, regular
from .sums import Changed
from .text import Text
from .values import shown

__all__ = ["MISSING", "Columns", "Head", "columns", "head", "is_number"]

BLOCK = 1 << 23                        # bytes decoded at a time
LONGEST = 1024                         # characters of a text
LONGEST_HEADER = 1 << 20
LONGEST_LINE = 1 << 24                 # bytes without a line break; a compressed file of megabytes can hold gigabytes
MOST_ROWS = 50_000_000
DELIMITERS = ",;\t"
MISSING = ("", "NA", "N/A", "na", "null", "NULL", "None", "NaN", "nan", "-nan")   # cells without a number
PARQUET, GZIP, ZSTD = b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UTF8_MARK = b"\xef\xbb\xbf"
OTHERS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook", b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz", b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16",
    b"SQLite format 3": "an SQLite database", b"ARROW1": "an Arrow file", b"\x89HDF": "an HDF5 file",
}  # fmt: skip
JSON = re.compile(rb'\s*(\{\s*"|\[\s*\{)')
FROM_JSON = "write it as CSV with one row for each face, its label and its score (pandas.json_normalize)"
CUT = "the compressed data ends early: the file was cut short"


@dataclass(frozen=True, slots=True)
class Head:
    """A table and the names of its columns; `delimiter` is empty for Parquet, `skipped` lines come before the data."""

    path: Path
    names: tuple[str, ...]
    delimiter: str = ""
    decimal: str = "."
    skipped: int = 0

    def error(self, problem: str) -> FileError:
        """Return the error that names the file and *problem*."""
        return FileError(f"{self.path}: {problem}")


@dataclass(frozen=True, slots=True)
class Columns:
    """The wanted columns. `broken` counts rows with too few or too many values, which are left out."""

    head: Head
    rows: int
    texts: dict[str, Text] = field(default_factory=dict)
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    broken: int = 0
    cut: bool = False                  # compressed data that end early
    kept: NDArray[np.intp] | None = None           # which rows of the file these are; None: all

    def where(self, rows: NDArray[np.bool_]) -> Columns:
        """Return the rows of a mask; `place` still gives their place in the file."""
        kept = np.flatnonzero(rows)
        texts = {name: values[rows].packed() for name, values in self.texts.items()}
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        before = kept if self.kept is None else self.kept[kept]
        return replace(self, rows=len(kept), texts=texts, numbers=numbers, kept=before)

    def place(self, row: int) -> str:
        """Return where a row stands in the file: ``line 9``; ``row 8`` of a Parquet file."""
        row = row if self.kept is None else int(self.kept[row])
        return f"line {_line(self.head, row)}" if self.head.delimiter else f"row {row + 1}"


# -- opening -----------------------------------------------------------------------------------------------------------


class _Decoded(io.RawIOBase):
    """The bytes of a file, decompressed. Data that end early end the stream and set `cut`."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        with path.open("rb") as file:
            start = file.read(4)
        self._path, self._line = path, 0           # bytes since the last line break
        self._file: Any = path.open("rb")
        self._read: Callable[[int], bytes] = self._file.read
        self._most = BLOCK
        if start.startswith(GZIP):
            self._read = gzip.GzipFile(fileobj=self._file).read1
        elif start == ZSTD:
            self._read = pa.CompressedInputStream(self._file, "zstd").read
            self._most = 4096          # data decoded in the read that meets the end of a cut file are lost
        self.cut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = b"" if self.cut else self._read(min(len(buffer), self._most))
        except EOFError:
            self.cut, data = True, b""
        except (OSError, zlib.error) as error:
            if "Truncated" not in str(error):
                raise ValueError(f"damaged compressed data: {error}") from None
            self.cut, data = True, b""
        buffer[: len(data)] = data
        last = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._line = len(data) - last - 1 if last >= 0 else self._line + len(data)
        if self._line > LONGEST_LINE:
            raise FileError(f"{self._path}: a line of more than {LONGEST_LINE:,} bytes: not a table of scores")
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Text(_Decoded):
    """The same bytes; ValueError where they are not UTF-8.

    pyarrow gives rows of the wrong length to a handler as text, and prints a traceback if it cannot decode them.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readinto(self, buffer: Any) -> int:
        number = super().readinto(buffer)
        data = bytes(buffer[:number])
        if not data.isascii() or self._decoder.getstate()[0]:
            self._decoder.decode(data)
        return number


def head(path: str | Path) -> Head:
    """Return the format and the header of a table; FileError if it is not a table."""
    path = regular(path)
    if path.is_dir():
        return Head(path, _shard_names(path))
    with path.open("rb") as file:
        start = file.read(4)
    if start == PARQUET:
        return Head(path, _parquet_names(path))
    if start[:1] == b"\x80":
        raise FileError(f"{path}: a pickle; `evaluation import` reads those of DeepfakeBench (metric_dict_best.pickle)")
    try:
        with _Decoded(path) as source:
            text = io.BufferedReader(source).read(LONGEST_HEADER)
            cut = source.cut
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {error}") from None
    if cut and b"\n" not in text:
        raise FileError(f"{path}: {CUT} within its first line; complete the file")
    return _text_head(path, text)


def _parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{path} is not a Parquet file: {_first_line(error)}; write it again") from None
    return names


def _shard_names(folder: Path) -> tuple[str, ...]:
    """Return the columns of a sharded columnar table (`columnar`); FileError for another folder or a damaged one."""
    try:
        return tuple(columnar.schema(folder).names)
    except Changed as error:
        raise FileError(str(error)) from None


def _text_head(path: Path, data: bytes) -> Head:
    for start, what in OTHERS.items():
        if data.startswith(start):
            raise FileError(f"{path} is {what}: save it as CSV in UTF-8, plain or compressed with gzip or zstd")
    data = data.removeprefix(UTF8_MARK)
    if JSON.match(data):
        raise FileError(f"{path} is JSON, not a table: {FROM_JSON}")
    if not data.strip():
        raise FileError(f"{path} is empty: it needs a line with the names of the columns, then the rows")
    lines = data.split(b"\n")
    skipped = 0
    while skipped < len(lines) - 1 and not lines[skipped].strip():
        skipped += 1
    try:
        line = lines[skipped].decode("utf-8").strip("\r")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is not a CSV file in UTF-8: {error.reason} at byte {error.start}; save it as CSV in UTF-8"
        ) from None
    if "\0" in line:
        raise FileError(f"{path} is not a CSV file in UTF-8: it holds binary data; save it as CSV in UTF-8")
    delimiter = max(DELIMITERS, key=_outside_quotes(line).count)
    try:
        (names,) = csv.reader([line], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise FileError(f"{path}, line {skipped + 1}: not a header: {error}; write one column name per cell") from None
    first = next((text for text in lines[skipped + 1 :] if text.strip()), b"")
    decimal = "," if delimiter == ";" and b"," in first and b"." not in first.rpartition(b";")[2] else "."
    return Head(path, tuple(name.strip() for name in names), delimiter, decimal, skipped + 1)


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


# -- columns -----------------------------------------------------------------------------------------------------------


def columns(head: Head, texts: Sequence[str], numbers: Sequence[str], allow_missing: bool = False) -> Columns:
    """Return the columns *texts* and *numbers* of a table; cells without a number are nan.

    FileError for names that occur twice, cells that are not numbers or not UTF-8 and, unless *allow_missing*, for rows
    with too few or too many values and data that end early: with the first such line and how many there are.
    """
    for name in (*texts, *numbers):
        if head.names.count(name) > 1:
            columns = f"{head.names.count(name)} columns are called {shown(name)}"
            raise FileError(f"{head.path}, line 1: {columns}; rename them")
    read = _read_csv if head.delimiter else _read_parquet
    found = read(head, list(texts), list(numbers))
    if (found.broken or found.cut) and not allow_missing:
        raise _cut_short(found)
    return found


class _Parts:
    """The pieces of columns, as they are read."""

    def __init__(self, path: Path, texts: list[str], numbers: list[str]) -> None:
        self.path = path
        self.texts: dict[str, list[Any]] = {name: [] for name in texts}
        self.numbers: dict[str, list[Any]] = {name: [] for name in numbers}
        self.rows = 0

    def add(self, batch: Any, places: dict[str, int]) -> None:
        self.rows += batch.num_rows
        if self.rows > MOST_ROWS:
            raise FileError(f"{self.path}: more than {MOST_ROWS:,} rows; evaluate parts of the table")
        for name, parts in self.texts.items():
            parts.append(batch.column(places[name]))
        for name, parts in self.numbers.items():
            parts.append(batch.column(places[name]).to_numpy(zero_copy_only=False))

    def columns(self, head: Head, broken: int, cut: bool) -> Columns:
        texts = {name: _text(head, name, self.texts.pop(name)) for name in list(self.texts)}
        numbers = {
            name: np.concatenate(parts).astype(np.float64) if parts else np.empty(0)
            for name, parts in self.numbers.items()
        }
        return Columns(head, self.rows, texts, numbers, broken, cut)


def _text(head: Head, name: str, parts: list[Any]) -> Text:
    """Return dictionary-coded pieces as one column with sorted names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not parts:
        return Text(np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int32))
    chunks = pa.chunked_array(parts).unify_dictionaries().chunks
    known = chunks[-1].dictionary
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
    longest = pc.max(pc.utf8_length(known)).as_py() or 0
    if longest > LONGEST:
        row = int(np.argmax(np.isin(codes, np.flatnonzero(pc.greater(pc.utf8_length(known), LONGEST).to_numpy(False)))))
        where = Columns(head, len(codes)).place(row)
        raise FileError(
            f"{head.path}, {where}, column {name}: a text of {longest} characters; shorten it to at most {LONGEST}"
        )
    order = pc.array_sort_indices(known).to_numpy()
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return Text(np.array(known.take(pa.array(order)).to_pylist(), dtype=np.str_), place[codes])


def _read_csv(head: Head, texts: list[str], numbers: list[str]) -> Columns:
    try:
        return _parse_csv(head, texts, numbers, newlines=False)
    except FileError:
        raise
    except ValueError:                 # a line break inside quotes, or an error that the second attempt reports
        pass
    try:
        return _parse_csv(head, texts, numbers, newlines=True)
    except ValueError as error:
        raise _named(head, numbers, error) from None


def _parse_csv(head: Head, texts: list[str], numbers: list[str], newlines: bool) -> Columns:
    import pyarrow as pa
    from pyarrow import csv as arrow

    ids = [f"{number}" for number in range(len(head.names))]
    places = {name: ids[head.names.index(name)] for name in (*texts, *numbers)}
    kinds: dict[str, Any] = {places[name]: pa.dictionary(pa.int32(), pa.string()) for name in texts}
    kinds |= {places[name]: pa.float64() for name in numbers}
    broken = 0

    def invalid(row: Any) -> str:
        nonlocal broken
        broken += bool(row.text.strip())
        return "skip"

    parts = _Parts(head.path, texts, numbers)
    wanted = list(dict.fromkeys(places.values()))
    with _Text(head.path) as source:
        try:
            with arrow.open_csv(
                pa.PythonFile(io.BufferedReader(source, BLOCK), "r"),
                read_options=arrow.ReadOptions(
                    block_size=BLOCK, skip_rows=head.skipped, column_names=ids, use_threads=False
                ),
                parse_options=arrow.ParseOptions(
                    delimiter=head.delimiter, newlines_in_values=newlines, invalid_row_handler=invalid
                ),
                convert_options=arrow.ConvertOptions(
                    column_types=kinds, include_columns=wanted, null_values=list(MISSING), strings_can_be_null=False,
                    decimal_point=head.decimal,
                ),
            ) as reader:  # fmt: skip
                for batch in reader:
                    parts.add(batch, {name: wanted.index(place) for name, place in places.items()})
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error) and "header" not in str(error):
                raise ValueError(str(error)) from None
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None
    return parts.columns(head, broken, source.cut)


def _read_parquet(head: Head, texts: list[str], numbers: list[str]) -> Columns:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = list(dict.fromkeys((*texts, *numbers)))
    parts = _Parts(head.path, texts, numbers)
    try:
        with ExitStack() as stack:
            if head.path.is_dir():
                batches = columnar.iterate(head.path, wanted)
            else:
                file = stack.enter_context(pq.ParquetFile(head.path))
                batches = file.iter_batches(batch_size=1 << 17, columns=wanted)
            for batch in batches:
                arrays = []
                for name in wanted:
                    array = batch.column(batch.schema.get_field_index(name))
                    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
                        raise FileError(f"{head.path}, column {name}: holds {array.type}; write text or numbers")
                    if pa.types.is_dictionary(array.type):
                        array = array.dictionary_decode()
                    if name in numbers:
                        array = array.cast(pa.float64(), safe=False)
                    else:
                        array = pc.fill_null(array.cast(pa.string()), "").dictionary_encode()
                    arrays.append(array)
                parts.add(pa.RecordBatch.from_arrays(arrays, names=wanted), {name: i for i, name in enumerate(wanted)})
    except FileError:
        raise
    except Changed as error:
        raise FileError(str(error)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileError(f"{head.path}: not readable as Parquet: {_first_line(error)}; write it again") from None
    return parts.columns(head, 0, False)


# -- places in errors --------------------------------------------------------------------------------------------------


def is_number(text: str, decimal: str = ".") -> bool:
    """Return whether a cell holds a number, or none at all."""
    try:
        float(text.strip().replace(decimal, "."))
    except ValueError:
        return text.strip() in MISSING
    return text.isascii() and "_" not in text


def _scan(head: Head) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row, as far as the file can be read."""
    with _Decoded(head.path) as source:
        file: IO[str] = io.TextIOWrapper(io.BufferedReader(source, BLOCK), "utf-8-sig", errors="replace", newline="")
        for _ in range(head.skipped):
            file.readline()
        reader = csv.reader(file, delimiter=head.delimiter)
        while True:
            try:
                row = next(reader, None)
            except csv.Error:
                return
            if row is None:
                return
            if row and (len(row) > 1 or row[0].strip()):
                yield head.skipped + reader.line_num, row


def _line(head: Head, row: int) -> int:
    """Return the line of the row with this number among those with as many values as the header."""
    line = head.skipped
    for line, cells in _scan(head):
        if len(cells) == len(head.names):
            if row == 0:
                return line
            row -= 1
    return line


def _cut_short(found: Columns) -> FileError:
    head = found.head
    wrong = next(((line, cells) for line, cells in _scan(head) if len(cells) != len(head.names)), None)
    if found.broken and wrong:
        more = f" ({found.broken} such rows)" if found.broken > 1 else ""
        problem = f", line {wrong[0]}: {len(wrong[1])} values for {len(head.names)} columns{more}"
    else:
        problem = f": {CUT if found.cut else f'{found.broken} rows have too few or too many values'}"
    return FileError(f"{head.path}{problem}; complete the file, or --allow-missing leaves such rows out")


def _named(head: Head, numbers: list[str], error: ValueError) -> FileError:
    """Return the error that names the first line whose cell is not a number, and how many there are."""
    wrong: list[tuple[int, str, str]] = []
    total = 0
    for line, cells in _scan(head):
        total += 1
        if len(cells) == len(head.names):
            wrong += [
                (line, name, cell) for name in numbers
                if not is_number(cell := cells[head.names.index(name)], head.decimal)
            ]  # fmt: skip
            del wrong[100_000:]
    if wrong:
        line, name, cell = wrong[0]
        more = f" ({len(wrong)} of {total} rows are like this)" if len(wrong) > 1 else ""
        return FileError(f"{head.path}, line {line}, column {name}: {shown(cell[:60])} is not a number{more}")
    if "UTF8" in str(error) or "utf" in str(error).lower():
        return FileError(f"{head.path} is not a CSV file in UTF-8: {_utf8_place(head)}; save it as CSV in UTF-8")
    return FileError(f"{head.path} is not a CSV file in UTF-8: {_first_line(error)}; save it as CSV in UTF-8")


def _utf8_place(head: Head) -> str:
    with io.BufferedReader(_Decoded(head.path), BLOCK) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}: {error.reason}"
    return "invalid bytes"
