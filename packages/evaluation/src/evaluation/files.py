"""Reading and writing of JSON and CSV files.

Files are written atomically: in a temporary folder beside them, then renamed; those of one command together
(`whole.write_together`). They end in a newline and depend only on their input. Numbers are written with six digits,
undefined ones as empty cells in CSV.

Everything read is checked against a schema, which is an ordinary dataclass: `read_json` returns one instance of it,
`read_csv` one instance per row. A file that does not fit raises `FileError` with the file, the place in it, the value
found there and what to do; the only other exception is OSError. `read_table` is for the one file whose columns vary.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import os
import stat
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from .sums import KEY, Changed, check_content, check_file
from .values import shown
from .whole import write_together

__all__ = [
    "FileError",
    "Picture",
    "check",
    "check_unchanged",
    "csv_text",
    "iterate_csv",
    "json_text",
    "read_csv",
    "read_json",
    "read_json_lines",
    "read_png",
    "read_png_part",
    "read_table",
    "regular",
    "rounded",
    "sha256",
    "sha256_of",
    "write_csv",
    "write_json",
    "write_whole",
]

T = TypeVar("T")
DIGITS = 6
OLD_NAMES = {"condition": "quality"}  # column -> its name in files of older versions
MAX_PIXELS = 1 << 24
MAX_BYTES = 1 << 26
MAX_TEXT = 1 << 31  # bytes of a file that is read as a whole
MAX_LINE = 1 << 24  # characters
MAX_DEPTH = 50


class FileError(ValueError):
    """A file that cannot be used; the message names the file, the place, the value and the way out."""


# -- writing -----------------------------------------------------------------------------------------------------------


def write_whole(path: str | Path, data: bytes | str) -> None:
    """Write *data* to *path*, which appears whole."""
    write_together([(path, data)])


def write_json(path: str | Path, value: Any) -> None:
    """Write *value* as indented JSON; NaN and infinity raise ValueError."""
    write_whole(path, json_text(value))


def json_text(value: Any) -> str:
    """Return *value* as indented JSON; NaN and infinity raise ValueError."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write what `csv_text` returns to *path*."""
    write_whole(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return mappings as CSV with the header *columns*; nan becomes an empty cell, other numbers have six digits.

    Thresholds are written exactly: a rounded one could classify the score that it was taken from differently.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row[name], exact=name == "threshold") for name in columns} for row in rows)
    return out.getvalue()


def _cell(value: Any, exact: bool) -> Any:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else float(value) if exact else rounded(float(value))
    return value


def rounded(value: float) -> float:
    """Return *value* with six significant digits, never -0.0."""
    return float(f"{value:.{DIGITS}g}") + 0.0


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(data: str) -> str:
    """Return the SHA-256 of the file that *data* is written to, 64 hexadecimal digits."""
    return hashlib.sha256(data.encode()).hexdigest()


# -- reading -----------------------------------------------------------------------------------------------------------


def regular(path: str | Path) -> Path:
    """Return *path*; FileError for a pipe, a device or a socket, of which a read may never end."""
    mode = Path(path).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(f"{path}: is a pipe, a device or a socket, not a regular file; copy its data to a file")
    return Path(path)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a value comes from, for error messages."""

    path: Path
    remedy: str

    def error(self, place: str, problem: str) -> FileError:
        place = f", {place}" if place else ""
        return FileError(f"{self.path}{place}: {problem}" + (f"; {self.remedy}" if self.remedy else ""))


def read_json(path: str | Path, schema: type[T], remedy: str = "") -> T:
    """Return the value in a JSON file as an instance of *schema*: a dataclass, or a type such as ``dict[str, float]``.

    Keys that a dataclass does not name are ignored, fields with a default may be missing. *remedy* ends the message of
    every error.
    """
    origin = _Origin(Path(path), remedy)
    text = _text(origin)
    values = _parse_json(text, origin, "")
    content = {name: part for name, part in values.items() if name != KEY} if isinstance(values, dict) else values
    found: T = _parsed(content, schema, origin, "")
    check_unchanged(path, text, values)
    return found


def check(value: Any, schema: type[T], path: str | Path, place: str, remedy: str = "") -> T:
    """Return *value*, a part of the JSON file *path* found at *place*, as an instance of *schema*."""
    found: T = _parsed(value, schema, _Origin(Path(path), remedy), place)
    return found


def read_json_lines(path: str | Path, schema: type[T], remedy: str = "") -> list[T]:
    """Return the objects of a file with one JSON object per line; empty lines are skipped."""
    origin = _Origin(Path(path), remedy)
    out = []
    for number, line in enumerate(_text(origin).split("\n"), 1):
        if line.strip():
            place = f"line {number}"
            out.append(_parsed(_parse_json(line, origin, place), schema, origin, place))
    check_unchanged(path)
    return out


def check_unchanged(
    path: str | Path, data: str | bytes | None = None, values: Any = None, folder: str | Path | None = None
) -> None:
    """Raise FileError if the file *path* has another hash than was recorded in its *folder*, or in it (`sums`).

    *data* is its content, read if None, and *values* are the JSON values in it. Called after the content was checked,
    whose errors say more.
    """
    try:
        check_content(path, values)
        check_file(path, data, folder)
    except Changed as error:
        raise FileError(str(error)) from None


def read_csv(
    path: str | Path, schema: type[T], remedy: str = "", words: Mapping[str, Collection[str]] | None = None
) -> list[T]:
    """Return the rows of a CSV file as instances of the dataclass *schema*; other columns are ignored.

    An empty cell of a float column is nan. Fields with a default may be missing from the file. *words* are the texts
    that a column may hold, by its name.
    """
    rows = list(iterate_csv(path, schema, remedy, words))
    check_unchanged(path)
    return rows


def iterate_csv(
    path: str | Path, schema: type[T], remedy: str = "", words: Mapping[str, Collection[str]] | None = None
) -> Iterator[T]:
    """Yield what `read_csv` returns, row by row; the file is read as far as rows are taken."""
    origin = _Origin(Path(path), remedy)
    hints = get_type_hints(schema)
    lines = _lines(origin)
    _, header = next(lines)
    places, missing = [], []
    for field in fields(schema):  # type: ignore[arg-type]
        old = OLD_NAMES.get(field.name, field.name)
        name = field.name if field.name in header else old
        if name in header:
            places.append((field.name, name, header.index(name), hints[field.name]))
        elif field.default is MISSING:
            missing.append(field.name)
    _check_columns(missing, header, origin)
    for line, row in lines:
        values = {
            field: _cell_value(row[i], kind, origin, f"{line}, column {name}") for field, name, i, kind in places
        }
        for of, name, i, _ in places:
            if words and of in words and row[i] not in words[of]:
                listed = ", ".join(sorted(words[of]))
                raise origin.error(f"{line}, column {name}", f"expected one of {listed}, found {shown(row[i])}")
        try:
            found = schema(**values)
        except ValueError as error:
            raise origin.error(line, str(error)) from None
        yield found


def read_table(path: str | Path, needed: Sequence[str], remedy: str = "") -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns of a CSV file, and its rows as texts by column; for files whose columns are not fixed.

    The columns *needed* must be there, and no column twice.
    """
    origin = _Origin(Path(path), remedy)
    lines = _lines(origin)
    _, header = next(lines)
    _check_columns([name for name in needed if name not in header], header, origin)
    for name in header:
        if header.count(name) > 1:
            raise origin.error("line 1", f"the column {shown(name)} occurs twice")
    rows = [dict(zip(header, row, strict=True)) for _, row in lines]
    check_unchanged(path)
    return header, rows


def _check_columns(missing: Sequence[str], header: Sequence[str], origin: _Origin) -> None:
    if missing:
        raise origin.error("line 1", f"no column {', '.join(missing)}; the header is {shown(','.join(header))}")


def _lines(origin: _Origin) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of the header, then of each row, which must have as many, skipping empty lines."""
    try:
        with regular(origin.path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_bounded(file, origin), strict=True)
            header = next(reader, [])
            yield "line 1", header
            for row in reader:
                line = f"line {reader.line_num}"
                if row and len(row) != len(header):
                    raise origin.error(line, f"{len(row)} values for {len(header)} columns")
                if row:
                    yield line, row
    except csv.Error as error:
        raise origin.error("", f"not a CSV file: {error}") from None
    except UnicodeDecodeError:
        _text(origin)  # raises the error that names the byte
        raise


def _bounded(file: TextIO, origin: _Origin) -> Iterator[str]:
    """Yield the lines of *file*; FileError for one without an end, such as that of a file of zeros."""
    for number in itertools.count(1):
        line = file.readline(MAX_LINE)
        if len(line) == MAX_LINE:
            raise origin.error(f"line {number}", f"has {MAX_LINE} characters or more, so this is no table")
        if not line:
            return
        yield line


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG file: its bytes and its pixels (H, W, 3)."""

    data: bytes
    pixels: NDArray[np.uint8]


def read_png(folder: str | Path, name: str, remedy: str = "") -> Picture:
    """Return the PNG file *name* of *folder*; FileError for other kinds of file and for a path outside the folder."""
    origin = _within(folder, name, remedy)
    found = _picture(origin.path.read_bytes(), origin)
    check_unchanged(origin.path, found.data, folder=folder)
    return found


def read_png_part(folder: str | Path, name: str, offset: int, size: int, remedy: str = "") -> Picture:
    """Return the PNG of *size* bytes at *offset* in the file *name* of *folder*, as in a packed archive."""
    origin = _within(folder, name, remedy)
    if offset < 0 or not 0 < size <= MAX_BYTES:
        raise origin.error(f"byte {offset}", f"an image of {size} bytes")
    with origin.path.open("rb") as file:
        file.seek(offset)
        return _picture(file.read(size), origin)


def _within(folder: str | Path, name: str, remedy: str) -> _Origin:
    """Return the file *name* of *folder*; FileError for a path outside the folder and for a missing file."""
    path = Path(folder) / name.replace("\0", "")
    origin = _Origin(path, remedy)
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise origin.error("", f"is outside the folder {folder}")
    if "\0" in name or not path.is_file():
        raise origin.error("", "no such image")
    return origin


def _picture(data: bytes, origin: _Origin) -> Picture:
    from matplotlib.image import imread

    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or not 0 < width * height <= MAX_PIXELS:
        raise origin.error("", f"not a PNG file of at most {MAX_PIXELS} pixels")
    try:
        values = np.asarray(imread(io.BytesIO(data), format="png"))
    except Exception as error:  # the decoder raises many exception types for damaged files
        raise origin.error("", f"damaged PNG file: {error}") from None
    pixels = np.round(255 * values).astype(np.uint8)
    pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
    return Picture(data, pixels)


def _text(origin: _Origin) -> str:
    size = regular(origin.path).stat().st_size
    if size > MAX_TEXT:
        raise origin.error("", f"has {size} bytes, more than the {MAX_TEXT} that are read as a whole")
    try:
        return origin.path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise origin.error(f"byte {error.start}", "not text in UTF-8") from None


def _parse_json(text: str, origin: _Origin, place: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise origin.error(place, f"the key {shown(twice)} occurs twice in one object")
        return found

    def constant(name: str) -> None:
        raise origin.error(place, f"{name} is not a JSON number")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
        if _depth(value) > MAX_DEPTH:
            raise RecursionError
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        where = place or f"line {error.lineno}, column {error.colno}"
        raise origin.error(where, f"not JSON: {error.msg}") from None
    except FileError:
        raise
    except RecursionError:
        raise origin.error(place, f"nested more than {MAX_DEPTH} levels deep") from None
    except UnicodeEncodeError:
        raise origin.error(place, "holds half of a character, an escaped surrogate") from None
    except ValueError as error:
        raise origin.error(place, f"not JSON: {error}") from None


def _depth(value: Any) -> int:
    """Return how deeply lists and objects are nested, at most `MAX_DEPTH` + 1."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        inner = [part for part in level if isinstance(part, dict | list)]
        level = [child for part in inner for child in (part.values() if isinstance(part, dict) else part)]
        depth += bool(inner)
        if not inner:
            break
    return depth


NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _parsed(value: Any, kind: Any, origin: _Origin, place: str) -> Any:
    """Return the JSON *value* as the type *kind*, or raise the error that names its place."""
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _parsed_object(value, kind, origin, place)
    outer, inner = get_origin(kind), get_args(kind)
    if outer in (Union, types.UnionType):
        if value is None and types.NoneType in inner:
            return None
        (other,) = (part for part in inner if part is not types.NoneType)
        return _parsed(value, other, origin, place)
    if outer is dict:
        if not isinstance(value, dict):
            raise origin.error(place, f"expected an object, found {shown(value)}")
        return {key: _parsed(part, inner[1], origin, _below(place, key)) for key, part in value.items()}
    if outer in (list, tuple):
        if not isinstance(value, list):
            raise origin.error(place, f"expected a list, found {shown(value)}")
        return outer(_parsed(part, inner[0], origin, f"{place}[{i}]") for i, part in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**1000:
            raise origin.error(place, f"number out of range, found {shown(value)}")
        value = float(value)
    wrong = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    if wrong or (kind is float and not math.isfinite(value)):
        raise origin.error(place, f"expected {NAMES[kind]}, found {shown(value)}")
    return value


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _parsed_object(value: Any, kind: Any, origin: _Origin, place: str) -> Any:
    if not isinstance(value, dict):
        raise origin.error(place, f"expected an object, found {shown(value)}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    missing = [
        name
        for name, field in known.items()
        if name not in value and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise origin.error(place, f"no {', '.join(missing)}")
    parsed = {
        name: _parsed(value[name], hints[name], origin, _below(place, name)) for name in known if name in value
    }
    try:
        return kind(**parsed)
    except ValueError as error:
        raise origin.error(place, str(error)) from None


def _cell_value(text: str, kind: Any, origin: _Origin, place: str) -> Any:
    if kind is str:
        return text
    try:
        if kind is float and not text:
            return math.nan
        if "_" in text:
            raise ValueError
        value = kind(text)
        if (abs(value) >= 2**63 and not (kind is float and math.isinf(value))) or value != value:
            raise ValueError
    except (ValueError, OverflowError):
        raise origin.error(place, f"expected {NAMES[kind]}, found {shown(text)}") from None
    return value
