"""Verify packed crops, unpack them to loose files, and draw contact sheets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import mozcodec
from evaluation.conditions import condition_key
from evaluation.values import shown

from ..errors import DataError
from ..progress import track as progress
from ..schema import read_json
from .deepfakebench import frame_path, write_deepfakebench
from .files import whole_file, write_json
from .index import SPLITS, Face, read_index, read_masks
from .png import decode_png, encode_png
from .shards import BLOCK, RECORD, Located, ShardReader, crc32, tar_header
from .summary import read_summary

if TYPE_CHECKING:
    from ..remote import Later

SUFFIXES = (".png", ".jpg")


def verify(folder: str | Path) -> tuple[int, list[str]]:
    """Return the number of members checked in the packed *folder*, and a message for every problem.

    All bytes are compared with the index: headers, data by CRC, padding, and the end of each archive. Missing and
    additional archives are reported. Raises `DataError` if there is no readable index.
    """
    folder = Path(folder)
    tables: list[Sequence[Located]] = [read_index(folder)]
    if (folder / "masks.csv").exists():
        tables.append(list(read_masks(folder).values()))
    problems = []
    named: set[str] = set()
    for rows in tables:
        for shard in sorted({row.shard for row in rows}):
            problems += _verify_shard(folder / shard, [row for row in rows if row.shard == shard])
            named.add(shard)
    for path in sorted([*folder.glob("*.tar"), *folder.glob("*.part")]):
        if path.name not in named:
            problems.append(f"{path}: is not listed in any index")
    return sum(map(len, tables)), problems


def _verify_shard(path: Path, rows: Sequence[Located]) -> list[str]:
    """Return the problems of one archive, which must contain exactly *rows*, in order."""
    if not path.is_file():
        return [f"{path}: no such file, but the index lists it"]
    problems = []
    end = 0
    with path.open("rb") as file:
        for row in rows:
            if row.offset != end + BLOCK:
                problems.append(f"{path}: {row.key}: the index says offset {row.offset}, the archive {end + BLOCK}")
                return problems
            header, data = file.read(BLOCK), file.read(row.size)
            padding = file.read(-row.size % BLOCK)
            end = file.tell()
            if len(data) < row.size:
                return [*problems, f"{path}: ends at byte {end}, before the end of {row.key}"]
            if header not in [tar_header(row.key + suffix, row.size) for suffix in SUFFIXES]:
                problems.append(f"{path}: {row.key}: its tar header is damaged")
            if (found := crc32(data)) != row.crc32:
                problems.append(f"{path}: {row.key}: is damaged, crc32 {found}, the index says {row.crc32}")
            if padding.strip(b"\0"):
                problems.append(f"{path}: {row.key}: the padding behind it is damaged")
        rest = file.read()
    size = -(-(end + 2 * BLOCK) // RECORD) * RECORD
    if len(rest) != size - end or rest.strip(b"\0"):
        problems.append(f"{path}: the end of the archive is damaged: {end + len(rest)} bytes, expected {size}")
    return problems


def select(faces: Sequence[Face], methods: Sequence[str] = (), splits: Sequence[str] = ()) -> list[Face]:
    """Return the faces of *methods* and *splits*, by default of all; raises `DataError` if there are none."""
    there = sorted({face.method for face in faces})
    for method in methods:
        if method not in there:
            raise DataError(f"no faces of method {shown(method)}; there are {', '.join(there)}")
    chosen = [f for f in faces if (not methods or f.method in methods) and (not splits or f.split in splits)]
    if not chosen:
        raise DataError(f"no faces of {', '.join(methods) or 'any method'} in {', '.join(splits) or 'any split'}")
    return chosen


def unpack(folder: str | Path, out: str | Path, methods: Sequence[str] = (), splits: Sequence[str] = ()) -> int:
    """Write the crops and masks of *folder* as loose files under *out* and return their number.

    The paths are DeepfakeBench's, and its JSON files are written beside them; existing JSON files for another
    compression or quality are extended. ``dataset.json`` describes the data. Files are written atomically. Raises
    `DataError` at the first damaged member.
    """
    folder, out = Path(folder), Path(out)
    faces = select(read_index(folder), methods, splits)
    masks = read_masks(folder) if (folder / "masks.csv").exists() else {}
    level = _level(folder)
    reader = ShardReader(folder)
    suffix = ".png" if level is None else ".jpg"
    number = 0
    for face in progress(faces, len(faces), "unpack"):
        _write(out / frame_path(face, level, suffix), reader.read(face, check=True))
        number += 1
        if face.key in masks:
            _write(out / frame_path(face, level, ".png", "masks"), reader.read(masks[face.key], check=True))
            number += 1
    write_json(out / "dataset.json", asdict(read_summary(folder).dataset))
    former = {path: read_json(path) for path in out.glob("*.json")}
    for path in write_deepfakebench(out, faces, masks.keys(), level, suffix):
        if path in former:
            merged = _merge(former[path], read_json(path))
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    return number


def _level(folder: Path) -> str | None:
    """Return ``q77`` for crops that were compressed to quality 77, None for lossless ones."""
    compressed = read_summary(folder).compress
    return condition_key(str(compressed.quality)) if compressed else None


def _merge(old: Any, new: Any) -> Any:
    """Return nested mappings *old* updated with the entries of *new*."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}


def _write(path: Path, data: bytes | memoryview) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def contact_sheet(
    folder: str | Path,
    out: str | Path,
    methods: Sequence[str] = (),
    splits: Sequence[str] = (),
    columns: int = 10,
    rows: int = 1,
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> int:
    """Draw crops of *folder* into the PNG file *out* and return their number.

    Each method has *rows* rows of *columns* crops, evenly spaced over its faces in key order. If all methods have the
    same targets, each column shows one target. Of the archives *later*, only these crops are read, at their address
    (`detector.remote.placed`).
    """
    faces = select(read_index(folder), methods, splits)
    reader = ShardReader(folder, later)
    sheet: list[np.ndarray] = []
    number = 0
    for method in sorted({face.method for face in faces}, key=lambda method: (method != "original", method)):
        of_method = [face for face in faces if face.method == method]
        places = np.linspace(0, len(of_method) - 1, min(columns * rows, len(of_method)), dtype=int)
        chosen = [of_method[i] for i in places]
        reader.read_ahead(chosen)
        images = [decode(reader.read(face, check=True)) for face in chosen]
        splits_there = ", ".join(split for split in SPLITS if any(face.split == split for face in chosen))
        sheet.append(_tile(images, columns, f"{method} ({splits_there})"))
        number += len(images)
    _write(Path(out), encode_png(np.concatenate(sheet)))
    return number


def decode(data: bytes | memoryview) -> np.ndarray:
    """Return a crop, PNG or JPEG, as uint8 RGB (H, W, 3)."""
    if bytes(data[:2]) == b"\xff\xd8":
        return mozcodec.decode(data, pixel_format="rgb")
    return decode_png(data)


def _tile(images: Sequence[np.ndarray], columns: int, title: str) -> np.ndarray:
    """Return *images* in rows of *columns* under a line of text."""
    height, width = images[0].shape[:2]
    count = -(-len(images) // columns)
    sheet = np.full((24 + count * height, columns * width, 3), 255, np.uint8)
    cv2.putText(sheet, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    for i, image in enumerate(images):
        top, left = 24 + i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = image
    return sheet
