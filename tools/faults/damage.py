"""Ways to damage a file: each takes its bytes and returns others."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.sums import KEY, SUMS

__all__ = ["cell", "cut", "flip", "places", "put", "put_yaml", "replace", "without_hashes"]


def flip(position: float, bit: int, data: bytes) -> bytes:
    """Return *data* with one bit flipped, at *position* in 0..1."""
    changed = bytearray(data)
    changed[int(position * len(data))] ^= bit
    return bytes(changed)


def cut(position: float, data: bytes) -> bytes:
    """Return *data* up to *position* in 0..1."""
    return data[: int(position * len(data))]


def places(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in a document, lists included up to their tenth item."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:10]) if isinstance(value, list) else ()
    for key, item in items:
        yield (*before, key)
        yield from places(item, (*before, key))


def put(place: tuple[str | int, ...], wrong: Any, data: bytes) -> bytes:
    """Return the JSON document *data* with *wrong* at *place*."""
    content = json.loads(data)
    _set(content, place, wrong)
    return json.dumps(content).encode()


def put_yaml(chosen: int, wrong: Any, data: bytes) -> bytes:
    """Return the YAML document *data* with *wrong* at the *chosen* place, counted around."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    content = yaml.load(data)
    found = list(places(content))
    _set(content, found[chosen % len(found)], wrong)
    out = io.BytesIO()
    yaml.dump(content, out)
    return out.getvalue()


def _set(content: Any, place: tuple[str | int, ...], wrong: Any) -> None:
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = wrong


def cell(row: int, column: int, wrong: str, data: bytes) -> bytes:
    """Return the CSV table *data* with *wrong* in a cell below the header, counted around, unquoted."""
    lines = list(csv.reader(io.StringIO(data.decode())))
    chosen = 1 + row % (len(lines) - 1)
    return put_cell(chosen, column % len(lines[chosen]), wrong, data)


def put_cell(row: int, column: int, wrong: str, data: bytes) -> bytes:
    """Return the CSV table *data* with *wrong* in a cell, unquoted; row 0 is the header."""
    lines = list(csv.reader(io.StringIO(data.decode())))
    lines[row][column] = wrong
    out = io.StringIO()
    for number, line in enumerate(lines):
        if number == row:
            out.write(",".join(line) + "\n")
        else:
            csv.writer(out, lineterminator="\n").writerow(line)
    return out.getvalue().encode()


def without_hashes(folder: Path) -> None:
    """Remove the hashes that stages have left for their readers, as if an earlier version had written the files."""
    for path in folder.rglob(SUMS):
        path.unlink()
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop(KEY, None) is not None:
            path.write_text(json.dumps(content), encoding="utf-8")


def replace(path: Path, kind: str) -> None:
    """Put a pipe, a socket, a device that never ends, a folder, a loop of links, or nothing in the place of *path*."""
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
