"""Every damage of a file: other contents, cuts, flipped bits, and wrong values at each place of JSON, YAML and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .damage import put_cell

__all__ = ["damages", "put", "values"]

DEEP = 100_000
REMOVED, TWICE = object(), object()
# stand in turn at every place of a JSON file
WRONG: tuple[Any, ...] = (
    None, True, 5, -1, 0.5, 10**400, "x", "", "\0", "../x", [], [1], [[]], {}, {"x": 1}, REMOVED, TWICE,
)  # fmt: skip
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', "[" * DEEP, '{"a":' * DEEP)
TAGS = (".nan", "!!python/object/apply:os.getcwd []", "&a [*a]", "2026-11-29", "*b", "- x", "0o17", '"', "\t")
CELLS = ("", "-1", "0.5", "x", "nan", "inf", "1e999", "9" * 30, "9" * 5000, "1_0", "\u0661", '"', '"a\nb"', "\0",
         "../x", "a" * 200_000)  # fmt: skip
WHOLE = (b"", b"\0", b"\xff\xfe", b"\x80abc", b"\xef\xbb\xbf", b"null", b"[]", b"{}", b"5", b'"x"', b"[1]\n",
         b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"PAR1", bytes(range(256)))  # fmt: skip

Change = Callable[[bytes], bytes]


def damages(path: Path, most: int) -> Iterator[tuple[str, Change]]:
    """Yield every damage of a file: its name, and a function of its bytes; of bits and cuts about *most* each."""
    yield from bytewise(path.read_bytes(), most)
    yield from values(path)


def bytewise(data: bytes, most: int) -> Iterator[tuple[str, Change]]:
    """Yield other contents, about *most* cuts and as many flipped bits, and marks of other encodings."""
    for content in WHOLE:
        yield f"all {content[:8]!r}", partial(_other, content)
    for end in range(0, len(data), max(1, len(data) // most)):
        yield f"cut {end}", partial(_cut, end)
        yield f"bit {end}", partial(_flip, end, 1 << end % 8)
    yield "byte order mark", lambda data: b"\xef\xbb\xbf" + data
    yield "UTF-16", lambda data: data.decode("latin-1").encode("utf-16")


def values(path: Path) -> Iterator[tuple[str, Change]]:
    """Yield a wrong value at every place of a file of JSON, JSON lines, YAML or CSV; of CSV in four rows."""
    data = path.read_bytes()
    if path.suffix in (".json", ".yaml"):
        content = json.loads(data) if path.suffix == ".json" else _yaml(data)
        for place in _places(content):
            for wrong in WRONG:
                yield f"{place} {_named(wrong)}", partial(put, place, wrong, _to_json)
            for raw in RAW + (TAGS if path.suffix == ".yaml" else ()):
                yield f"{place} {raw:.20}", partial(_put_raw, place, raw)
    if path.suffix == ".jsonl":
        for number, line in enumerate(data.splitlines()):
            for place in _places(json.loads(line)):
                for wrong in WRONG:
                    yield f"line {number}, {place} {_named(wrong)}", partial(_put_line, number, place, wrong)
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode())))
        for row in sorted({0, 1, len(rows) // 2, len(rows) - 1} & set(range(len(rows)))):
            for column in range(len(rows[row])):
                for text in CELLS:
                    yield f"row {row}, column {column} {text[:20]!r}", partial(put_cell, row, column, text)


def put(place: tuple[Any, ...], wrong: Any, read: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Return the document *data*, which *read* turns into JSON, with *wrong* at *place*."""
    if not place:
        return json.dumps(None if wrong in (REMOVED, TWICE) else wrong).encode()
    content = json.loads(read(data))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if wrong is REMOVED:
        del inner[place[-1]]
    elif wrong is TWICE:
        if not isinstance(inner, dict):
            return data
        inner["@@"] = inner[place[-1]]
        return json.dumps(content).replace('"@@"', json.dumps(place[-1])).encode()
    else:
        inner[place[-1]] = wrong
    return json.dumps(content).encode()


def _places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of keys of every value inside *value*, its own included."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*here, key))


def _named(wrong: Any) -> str:
    return {id(REMOVED): "removed", id(TWICE): "twice"}.get(id(wrong)) or f"{wrong!r:.40}"


def _yaml(data: bytes) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(data)


def _to_json(data: bytes) -> bytes:
    """Return a JSON or YAML document as JSON, which is YAML too."""
    try:
        json.loads(data)
    except ValueError:
        return json.dumps(_yaml(data)).encode()
    return data


def _put_raw(place: tuple[Any, ...], raw: str, data: bytes) -> bytes:
    return put(place, "@@", _to_json, data).replace(b'"@@"', raw.encode())


def _put_line(number: int, place: tuple[Any, ...], wrong: Any, data: bytes) -> bytes:
    lines = data.splitlines()
    lines[number] = put(place, wrong, _to_json, lines[number])
    return b"\n".join(lines) + b"\n"


def _other(content: bytes, _: bytes) -> bytes:
    return content


def _cut(end: int, data: bytes) -> bytes:
    return data[:end]


def _flip(position: int, bit: int, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[position] ^= bit
    return bytes(changed)
