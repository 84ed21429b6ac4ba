"""Schemas of the files that are read, and the reader that checks values against them.

A form is a dataclass whose annotations are the types. Ranges, choices and patterns are given by the annotation
(``Annotated[int, in_range(0, 1)]``) or by the field's default (``number(1, 0)``); a field with a default may be
missing. `parse` converts plain values to the dataclass. `read_json` and `read_csv` read files; their only error,
for any content, is `DataError`, which names the file, the place in it, the value and the remedy.

Values of params.yaml may be text, for example after ``dvc exp run -S``, so there ``"3"`` is accepted as a number
(*lenient*); in other files it is not.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import difflib
import io
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

from evaluation.sums import KEY, Changed, check_content, check_file
from evaluation.values import brief, shown

from .errors import DataError
from .reading import open_file, read_bytes

__all__ = [
    "LATER",
    "Mismatch",
    "Rules",
    "among",
    "brief",
    "cell",
    "check_unchanged",
    "columns_of",
    "converted",
    "csv_file_lines",
    "csv_lines",
    "in_range",
    "iterate_csv",
    "matching",
    "number",
    "one_of",
    "parse",
    "parse_json",
    "parse_yaml",
    "read_csv",
    "read_json",
    "read_text",
    "shown",
    "within",
]

T = TypeVar("T")

INT64 = 1 << 63
MOST_TEXT = 2 << 30  # bytes of a file of text
MOST_KNOWN = 4096  # values of a column that are kept while a table is read
LATER = {"later": True}  # metadata of a field that files of earlier versions do not have: it is never required
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class Mismatch(ValueError):  # noqa: N818 (callers turn it into an error that names the file)
    """A value that does not match its form: its place and the expected value."""


# -- forms -------------------------------------------------------------------------------------------------------------


def in_range(low: float | None = None, high: float | None = None, *, above: float | None = None) -> Mapping[str, Any]:
    """Return the check, for Annotated, that a number is in low..high (both allowed) and, if given, above *above*."""
    return {"low": low, "high": high, "above": above}


def among(*choices: str) -> Mapping[str, Any]:
    """Return the check that text is one of *choices*."""
    return {"choices": choices}


def matching(pattern: str, words: str) -> Mapping[str, Any]:
    """Return the check that text matches *pattern* as a whole; *words* describe it in messages."""
    return {"pattern": re.compile(pattern, re.ASCII | re.DOTALL), "words": words}


def number(default: Any, low: float | None = None, high: float | None = None, *, above: float | None = None) -> Any:
    """Return a dataclass field with a *default* whose numbers pass `in_range`."""
    return field(default=default, metadata=in_range(low, high, above=above))


def one_of(default: Any, *choices: str) -> Any:
    """Return a dataclass field with a *default* whose text (or each text of its list) is one of *choices*."""
    return field(default=default, metadata=among(*choices))


def converted(default: Any, convert: Callable[[Any], Any]) -> Any:
    """Return a dataclass field whose values (or each value of its list) *convert* checks and converts.

    ValueError of *convert* is the message.
    """
    return field(default=default, metadata={"convert": convert})


@dataclass(frozen=True, slots=True)
class Rules:
    """How `parse` reads.

    lenient: text may stand for numbers and truth values, lists must not be empty or have duplicates. closed: keys
    that are not fields are an error; unknown makes the message from the place, the key and the dataclass. complete:
    fields with a default are required too, but for those marked `LATER`.
    """

    lenient: bool = False
    closed: bool = False
    unknown: Callable[[str, str, type], str] | None = None
    complete: bool = False


@overload
def parse(values: Any, form: type[T], place: str = "", rules: Rules = ...) -> T: ...
@overload
def parse(values: Any, form: Any, place: str = "", rules: Rules = ...) -> Any: ...
def parse(values: Any, form: Any, place: str = "", rules: Rules = Rules()) -> Any:
    """Return *values*, plain values of a file, as *form*: a dataclass or an annotation such as ``list[str]``.

    *place* is the location of *values* for messages (``train.``). Mismatch names the place, the value and what is
    allowed.
    """
    return _convert(values, form, {}, place, rules)


def _convert(value: Any, hint: Any, checks: Mapping[str, Any], place: str, rules: Rules) -> Any:
    """Return *value* converted to the annotation *hint* and checked by a field's *checks*."""
    if hint is object:
        return value  # anything at all, unchecked
    if hint is Any:
        return _plain(value, place)
    if dataclasses.is_dataclass(hint):
        return _dataclass(value, typing.cast(type, hint), place, rules)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _convert(value, arguments[0], {**checks, **arguments[1]}, place, rules)
    if origin in (tuple, list):
        return _sequence(value, origin, arguments, checks, place, rules)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise Mismatch(_wrong(place, "a mapping", value))
        for key in value:
            _scalar(key, arguments[0], f"a key of {_named(place)}", rules)
        return {key: _convert(item, arguments[1], checks, _join(place, key), rules) for key, item in value.items()}
    if origin in (types.UnionType, typing.Union):
        return _union(value, arguments, checks, place, rules)
    if origin is Literal:
        if value not in arguments:
            raise Mismatch(f"{_named(place)} must be {' or '.join(map(shown, arguments))}, got {shown(value)}")
        return value
    if "convert" in checks:
        try:
            return checks["convert"](value)
        except ValueError as error:
            raise Mismatch(f"{_named(place)}: {error}") from None
    return _check(_scalar(value, hint, _named(place), rules), checks, _named(place))


def _dataclass(value: Any, kind: type, place: str, rules: Rules) -> Any:
    if rules.lenient and value is None:
        value = {}  # a section without keys
    if not isinstance(value, Mapping):
        what = "a section of parameters" if rules.lenient and place else "a mapping"
        raise Mismatch(_wrong(place, what, value))
    known = {f.name: f for f in dataclasses.fields(kind)}
    hints = _hints(kind)
    for key in value:
        if rules.closed and key not in known:
            known_as = rules.unknown(f"{place}." if place else "", str(key), kind) if rules.unknown else None
            raise Mismatch(known_as or f"{_join(place, key)} is unknown; known: {', '.join(known)}")
    for name, f in known.items():
        optional = f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        if name not in value and (not optional or (rules.complete and not f.metadata.get("later"))):
            raise Mismatch(f"{_join(place, name)} is missing")
    return kind(
        **{
            name: _convert(value[name], hints[name], f.metadata, _join(place, name), rules)
            for name, f in known.items()
            if name in value
        }
    )


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _sequence(
    value: Any, origin: Any, arguments: tuple[Any, ...], checks: Mapping[str, Any], place: str, rules: Rules
) -> Any:
    if not isinstance(value, list | tuple) or (rules.lenient and not value):
        what = "a list of one or more values" if rules.lenient else "a list"
        raise Mismatch(_wrong(place, what, value))
    if origin is tuple and arguments[-1] is not ...:
        if len(value) != len(arguments):
            raise Mismatch(f"{_named(place)} must have {len(arguments)} values, got {shown(value)}")
        hints = arguments
    else:
        hints = (arguments[0],) * len(value)
    items = [
        _convert(v, h, checks, f"{place}[{i}]", rules) for i, (v, h) in enumerate(zip(value, hints, strict=True))
    ]
    if rules.lenient and len(set(items)) < len(items):
        raise Mismatch(f"{_named(place)} has a value twice: {shown(items)}")
    return origin(items)


def _union(value: Any, hints: tuple[Any, ...], checks: Mapping[str, Any], place: str, rules: Rules) -> Any:
    empty = (None, "null", "none", "None", "") if rules.lenient else (None,)
    if type(None) in hints and (value is None or (isinstance(value, str) and value in empty)):
        return None
    for hint in hints:
        if typing.get_origin(hint) is Literal and isinstance(value, str | int) and value in typing.get_args(hint):
            return value
    *others, last = (h for h in hints if h is not type(None) and typing.get_origin(h) is not Literal)
    for hint in others:
        with contextlib.suppress(Mismatch):
            return _convert(value, hint, checks, place, rules)
    try:
        return _convert(value, last, checks, place, rules)
    except Mismatch as error:
        if dataclasses.is_dataclass(last) and isinstance(value, Mapping):
            raise  # a wrong key or value of the section
        words = [shown(w) for h in hints if typing.get_origin(h) is Literal for w in typing.get_args(h)]
        words += ["true", "false"] if bool in others else []
        words += ["null"] if type(None) in hints else []
        raise Mismatch(f"{error} (or {', '.join(words)})" if words else str(error)) from None


def _scalar(value: Any, hint: type, place: str, rules: Rules) -> Any:
    """Return *value* as bool, int, float or str."""
    result: Any = None
    if hint is str:
        result = value if isinstance(value, str) and (value or not rules.lenient) else None
        if result is not None:
            _plain(result, place)
    elif hint is bool:
        result = value if isinstance(value, bool) else None
        if result is None and rules.lenient:
            result = {"true": True, "false": False}.get(str(value).lower())
    elif hint in (int, float) and isinstance(value, int | float | str) and not isinstance(value, bool):
        result = _number(value, hint) if rules.lenient or not isinstance(value, str) else None
    if result is None:
        raise Mismatch(f"{place} must be {KINDS.get(hint, hint)}, got {shown(value)}")
    return result


def _number(value: int | float | str, hint: type) -> int | float | None:
    """Return *value* as *hint*, or None if it is not one: not finite, not whole, or beyond 64 bits."""
    try:
        real = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(real) or (hint is int and (real != int(real) or abs(real) >= INT64)):
        return None
    if hint is float:
        return real
    return int(value) if not isinstance(value, str) else int(real)


def _plain(value: Any, place: str) -> Any:
    """Return *value* if all strings in it are valid Unicode without null characters."""
    if isinstance(value, str):
        if "\0" in value:
            raise Mismatch(f"{_named(place)} holds a null character: {shown(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Mismatch(f"{_named(place)} is not valid Unicode text: {shown(value)}") from None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _plain(key, f"a key of {_named(place)}")
            _plain(item, _join(place, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _plain(item, f"{place}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise Mismatch(f"{_named(place)} must be a finite number, got {value}")
    return value


def _check(value: Any, checks: Mapping[str, Any], place: str) -> Any:
    """Return *value* if it is within the field's range, choices or pattern."""
    if checks.get("choices") and value not in checks["choices"]:
        close = difflib.get_close_matches(str(value), checks["choices"], 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise Mismatch(f"{place} must be one of {', '.join(checks['choices'])}, got {shown(value)}{hint}")
    if checks.get("pattern") and not (isinstance(value, str) and checks["pattern"].fullmatch(value)):
        raise Mismatch(f"{place} must be {checks['words']}, got {shown(value)}")
    low, high, above = checks.get("low"), checks.get("high"), checks.get("above")
    if isinstance(value, int | float) and not isinstance(value, bool):
        outside = (low is not None and value < low) or (high is not None and value > high)
        if outside or (above is not None and value <= above):
            raise Mismatch(f"{place} must be {_range(low, high, above)}, got {value}")
    return value


def _range(low: float | None, high: float | None, above: float | None) -> str:
    if above is not None:
        return f"above {above}" + (f" and at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"{low}..{high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def _join(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _wrong(place: str, what: str, value: Any) -> str:
    return f"{place} must be {what}, got {shown(value)}" if place else f"expected {what}, got {shown(value)}"


def _named(place: str) -> str:
    return place or "the content"


# -- files -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def within(path: str | Path, remedy: str = "") -> Iterator[None]:
    """Turn a `Mismatch` in the block into DataError that names *path* and the *remedy*."""
    try:
        yield
    except Mismatch as error:
        raise DataError(f"{path}: {error}" + (f"; {remedy}" if remedy else "")) from None


def read_text(path: str | Path, remedy: str = "") -> str:
    """Return the UTF-8 text in the file *path*, without a byte order mark.

    DataError if it is missing, not a regular file, or not UTF-8; other errors of the system (OSError) pass.
    """
    after = f"; {remedy}" if remedy else ""
    try:
        return read_bytes(path, MOST_TEXT).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file{after}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not a file{after}") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path}: not UTF-8 text: byte {error.start} is {byte:#04x}{after}") from None


def parse_json(content: str, path: str | Path, remedy: str = "") -> Any:
    """Return the value in the JSON text *content* of *path*; DataError names what is not JSON in it.

    Numbers that are not in JSON (NaN, Infinity) and duplicate keys are errors.
    """
    try:
        return json.loads(content, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{path}: not readable as JSON: {reason}" + (f"; {remedy}" if remedy else "")) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is beyond the range of numbers")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} occurs twice")
    return found


@overload
def read_json(path: str | Path, form: type[T], remedy: str = "", rules: Rules = ...) -> T: ...
@overload
def read_json(path: str | Path, form: Any = Any, remedy: str = "", rules: Rules = ...) -> Any: ...
def read_json(
    path: str | Path,
    form: Any = Any,
    remedy: str = "",
    rules: Rules = Rules(),
) -> Any:
    """Return the JSON file *path* as *form*; keys that are not in *form* are ignored.

    DataError names the file, the place in it, the value, and the *remedy*, or says that the file is not the one that
    was written (`evaluation.sums`).
    """
    text = read_text(path, remedy)
    values = parse_json(text, path, remedy)
    content = {name: part for name, part in values.items() if name != KEY} if isinstance(values, dict) else values
    with within(path, remedy):
        found = parse(content, form, "", rules)
    check_unchanged(path, text, values)
    return found


def check_unchanged(path: str | Path, text: str | None = None, values: Any = None) -> None:
    """Raise DataError if *text*, the content of the file *path* (read if None), has another hash than was recorded.

    *values* are the JSON values in it. Called after the content was checked, whose errors say more.
    """
    try:
        check_content(path, values)
        check_file(path, text)
    except Changed as error:
        raise DataError(str(error)) from None


def parse_yaml(content: str, path: str | Path) -> Any:
    """Return the value in the YAML 1.2 text *content* of *path*; DataError names what is not YAML in it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        return YAML(typ="safe", pure=True).load(content)
    except MarkedYAMLError as error:  # its text has several lines and shows the source
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = error.problem or error.context or "unknown error"
        # its values are shown as Python does
        if twice := re.fullmatch(r'found duplicate key "(.*)" with value .*', reason, re.DOTALL):
            reason = f"the key {shown(twice[1])} occurs twice"
        raise DataError(f"{path}{place}: not readable as YAML: {reason}") from None
    except Exception as error:  # ruamel does not wrap errors of constructors, such as RecursionError
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        reason = reason.replace(' in "<unicode string>", position', " at position")
        raise DataError(f"{path}: not readable as YAML: {reason}") from None


def read_csv(path: str | Path, form: type[T], remedy: str = "") -> list[tuple[int, T]]:
    """Return the rows of the CSV file *path*, each with its line number, as dataclasses *form*.

    The header must be the fields of *form*, in order; fields with a default may be missing. A field of type int is a
    non-negative integer. Only a field that may be None may be empty. DataError names the file, the line, the column and
    the value.
    """
    return list(iterate_csv(path, form, remedy))


def iterate_csv(path: str | Path, form: type[T], remedy: str = "") -> Iterator[tuple[int, T]]:
    """Yield what `read_csv` returns, row by row: the file is never in memory as a whole.

    Errors as of `read_csv`; whether it is the file that was written is known after the last row.
    """
    fields = dataclasses.fields(form)  # type: ignore[arg-type]
    hints, checks = _hints(form), {f.name: f.metadata for f in fields}
    with within(path, remedy):
        lines = csv_file_lines(path, remedy)
        _, header = next(lines, (1, []))
        columns = [f.name for f in fields if f.default is dataclasses.MISSING or f.name in header]
        if header != columns:
            raise Mismatch(f"expected the columns {', '.join(columns)}; got {shown(', '.join(header) or 'none')}")
        # values that are repeated are parsed once, and are one object
        known: dict[str, dict[str, Any]] = {name: {} for name in columns}
        for line, values in lines:
            if len(values) != len(columns):
                raise Mismatch(f"line {line}: expected {len(columns)} values, got {len(values)}")
            row: dict[str, Any] = {}
            for name, value in zip(columns, values, strict=True):
                found = known[name]
                if value not in found:
                    if len(found) >= MOST_KNOWN:
                        found.clear()
                    found[value] = cell(value, hints[name], checks[name], f"line {line}: {name}")
                row[name] = found[value]
            yield line, form(**row)
    check_unchanged(path)


def csv_file_lines(path: str | Path, remedy: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the CSV file *path*, each with the number of its last line, as the file is read.

    Mismatch if it is not CSV; errors of the file as of `read_text`.
    """
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            yield from _csv_rows(file)
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        read_text(path, remedy)  # raises the error that names the byte
        raise


def csv_lines(content: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of CSV text, each with the number of its last line; Mismatch if the text is not CSV."""
    return _csv_rows(io.StringIO(content, newline=""))


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise Mismatch(f"line {reader.line_num}: not readable as CSV: {error}") from None


def columns_of(form: type) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """Return the type and the metadata of each field of the dataclass *form*, as `cell` takes them."""
    hints = _hints(form)
    return {f.name: (hints[f.name], f.metadata) for f in dataclasses.fields(form)}


def cell(value: str, hint: Any, checks: Mapping[str, Any], place: str) -> Any:
    """Return the value of a cell of a table as the type *hint*; Mismatch, which names *place*, for a wrong one."""
    if typing.get_origin(hint) is Annotated:
        hint, checks = typing.get_args(hint)
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else ()
    if type(None) in kinds:
        if value == "":
            return None
        hint = next(kind for kind in kinds if kind is not type(None))
    if value == "":
        raise Mismatch(f"{place} must not be empty")
    if hint is int:
        if value[:1] == "-" and value[1:].isdecimal():
            raise Mismatch(f"{place} must not be negative, got {shown(value)}")
        if not re.fullmatch(r"\d{1,18}", value, re.ASCII):
            raise Mismatch(f"{place} must be a whole number, got {shown(value)}")
        return _check(int(value), checks, place)
    if hint is float:
        try:
            found = float(value)
        except ValueError:
            raise Mismatch(f"{place} must be a number, got {shown(value)}") from None
        return _check(found, checks, place)
    return _check(_plain(value, place), checks, place)

