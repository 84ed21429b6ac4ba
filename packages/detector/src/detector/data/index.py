"""The table of faces, ``index.csv``: one row per crop, sorted by key."""

from __future__ import annotations

import csv
import dataclasses
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import DataError
from .files import whole_file
from .shards import Slot

SPLITS = ("train", "val", "test")

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Face:
    """One crop: what it shows and where it lies.

    key: ``c23/Deepfakes/000_001/0012``: compression, method, name of the clip, number of the frame.
    video: ``Deepfakes/000_001``, unique within a compression.
    compression: FaceForensics++'s video level, ``c23`` or ``c40`` or ``raw``; ``given`` for files from plain folders.
    frame: number of the frame in the video, from 0.
    method: ``original`` or the name of the manipulation.
    identity: the persons shown, joined by ``+``.
    pair: the two persons of the split file that the clip belongs to, smaller first, joined by ``_``; elsewhere what
        stays together when clips are drawn: the target's actor, or the smallest name among persons seen together.
    split: ``train``, ``val`` or ``test``.
    label: 1 for fake, 0 for real.
    shard, offset, size, crc32: see `detector.data.shards.Slot`.
    """

    key: str
    video: str
    compression: str
    frame: int
    method: str
    identity: str
    pair: str
    split: str
    label: int
    shard: str
    offset: int
    size: int
    crc32: str


def read_index(path: str | Path) -> list[Face]:
    """Return the faces in the file *path* (or in ``index.csv`` of the folder *path*), sorted by key.

    Raises `DataError`, naming file and line, if the file is missing, a column is missing or unknown, a value has the
    wrong type or is out of range, a key occurs twice or out of order, or an identity stands in two splits.
    """
    path = _file(path, "index.csv")
    faces = read_rows(path, Face)
    for line, face in enumerate(faces, 2):
        if face.split not in SPLITS:
            raise DataError(f"{path}, line {line}: split must be one of {', '.join(SPLITS)}, got {face.split!r}")
        if face.label != int(face.method != "original"):
            raise DataError(f"{path}, line {line}: label {face.label} does not fit method {face.method!r}")
    check_splits(faces, path)
    return faces


def write_index(path: str | Path, faces: Iterable[Face]) -> None:
    """Write *faces*, sorted by key, to *path*; the file appears whole or not at all."""
    faces = sorted(faces, key=lambda face: face.key)
    check_splits(faces, path)
    write_rows(path, Face, faces)


def read_masks(path: str | Path) -> dict[str, Slot]:
    """Return where the masks lie that *path* (or ``masks.csv`` of the folder *path*) lists, by key of their face."""
    return {slot.key: slot for slot in read_rows(_file(path, "masks.csv"), Slot)}


class Shown(Protocol):
    """Anything that says who is shown: a `Face`, a `detector.data.layout.Clip`."""

    @property
    def identity(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def video(self) -> str: ...


def check_splits(faces: Iterable[Shown], where: str | Path) -> None:
    """Raise `DataError`, naming *where* and both videos, if a person is shown in more than one split."""
    split_of: dict[str, tuple[str, str]] = {}
    for face in faces:
        for person in face.identity.split("+"):
            split, video = split_of.setdefault(person, (face.split, face.video))
            if split != face.split:
                raise DataError(
                    f"{where}: identity {person} is in split {split} ({video}) and in {face.split} ({face.video}); "
                    "a split must not share persons with another"
                )


def count_identities(faces: Iterable[Shown]) -> dict[str, int]:
    """Return how many persons are shown in each split."""
    persons = {(face.split, person) for face in faces for person in face.identity.split("+")}
    return {split: sum(there == split for there, _ in persons) for split in SPLITS}


def read_rows(path: str | Path, kind: type[Row]) -> list[Row]:
    """Return the rows of the CSV file *path* as dataclasses *kind*, whose first field is a key: unique and sorted."""
    path = Path(path)
    columns = _columns(kind)
    if not path.is_file():
        raise DataError(f"{path}: no such file; is {path.parent} the output of a stage that has run?")
    rows: list[Row] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if header != list(columns):
            raise DataError(f"{path}: expected the columns {', '.join(columns)}; got {', '.join(header) or 'none'}")
        last = ""
        for values in reader:
            rows.append(_row(values, kind, columns, f"{path}, line {reader.line_num}"))
            if values[0] <= last:
                problem = "occurs twice" if values[0] == last else f"follows {last}: rows must be sorted by key"
                raise DataError(f"{path}, line {reader.line_num}: {values[0]} {problem}")
            last = values[0]
    return rows


def write_rows(path: str | Path, kind: type[Row], rows: Sequence[Row]) -> None:
    """Write dataclasses *kind* as the CSV file *path*; the file appears whole or not at all."""
    columns = list(_columns(kind))
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([getattr(row, name) for name in columns] for row in rows)


def _file(path: str | Path, name: str) -> Path:
    path = Path(path)
    return path if path.suffix == ".csv" else path / name


def _columns(kind: type) -> dict[str, Callable[[str], Any]]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _row(values: list[str], kind: type[Row], columns: dict[str, Callable[[str], Any]], where: str) -> Row:
    if len(values) != len(columns):
        raise DataError(f"{where}: expected {len(columns)} values, got {len(values)}")
    row = {}
    for (name, convert), value in zip(columns.items(), values, strict=True):
        try:
            row[name] = convert(value)
        except ValueError:
            raise DataError(f"{where}: {name} must be a whole number, got {value!r}") from None
        if value == "" or (convert is int and row[name] < 0):
            raise DataError(f"{where}: {name} must not be {'empty' if value == '' else 'negative'}")
    return kind(**row)
