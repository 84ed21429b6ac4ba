"""The table of faces, ``index.csv``: one row per crop, sorted by key."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from evaluation.columnar import FROM_ROWS, columnar
from evaluation.sums import update_sums

from ..errors import DataError
from ..schema import among, brief, in_range, iterate_csv, shown
from .columns import iterate_columns, write_columns
from .files import whole_file
from .shards import Checksum, RelativeName, ShardName, Slot, tar_header

SPLITS = ("train", "val", "test")
CERTAIN = 95  # bytes: a key of so many fits into the header of an archive, with its suffix

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Face:
    """One crop: what it shows and where it is stored.

    key: ``c23/Deepfakes/000_001/0012``: compression, method, name of the clip, number of the frame.
    video: ``Deepfakes/000_001``, unique within a compression.
    compression: FaceForensics++'s video level, ``c23`` or ``c40`` or ``raw``; ``given`` for files from plain folders.
    frame: number of the frame in the video, from 0.
    method: ``original`` or the name of the manipulation.
    identity: the persons shown, joined by ``+``.
    pair: the clip's two persons in the split file, sorted, joined by ``_``; in other data the unit that is kept
        together when clips are sampled: the target's actor, or the smallest name of a group of connected persons.
    split: ``train``, ``val`` or ``test``.
    label: 1 for fake, 0 for real.
    shard, offset, size, crc32: see `detector.data.shards.Slot`.

    How the crop was cut, None where it is not known (crops that were packed, or tables of earlier versions):

    face: number of the person in the image or clip, 0 for the largest.
    border: share of the crop that lies beyond the edge of the image.
    scale: pixels of the image per pixel of the crop, along one side.
    shrink: side of the crop relative to that of the framing; below 1 where the framing did not fit into the image.
    roll: degrees by which the crop is turned against the image.
    turned: degrees, a multiple of 90, by which the image was turned clockwise before a face was found in it.
    landmarks: ``frame`` if they were found in this image, ``clip`` if they are the median of the clip's other frames,
        ``none`` if the crop is placed by the face's box alone, without roll.
    certainty: the face detector's own confidence, None for those that have none (Haar and LBP cascades).
    """

    key: RelativeName
    video: RelativeName
    compression: RelativeName
    frame: int
    method: RelativeName
    identity: str
    pair: str
    split: Annotated[str, among(*SPLITS)]
    label: Annotated[int, in_range(0, 1)]
    shard: ShardName
    offset: int
    size: int
    crc32: Checksum
    face: int = 0
    border: Annotated[float | None, in_range(0, 1)] = None
    scale: Annotated[float | None, in_range(above=0)] = None
    shrink: Annotated[float | None, in_range(0, 1)] = None
    roll: Annotated[float | None, in_range(-180, 180)] = None
    turned: Annotated[int | None, in_range(0, 270)] = None
    landmarks: Annotated[str | None, among("frame", "clip", "none")] = None
    certainty: Annotated[float | None, in_range(0, 1)] = None


def read_index(path: str | Path) -> list[Face]:
    """Return the faces in the file *path* (or in ``index.csv`` of the folder *path*), sorted by key.

    Its columnar form is read where there is one (`detector.data.columns`). Raises `DataError`, naming file and line, if
    the file is missing, a column is missing or unknown, a value has the wrong type or is out of range, a key occurs
    twice or out of order, or an identity is in two splits.
    """
    path = _file(path, "index.csv")
    found = []
    for place, face in _numbered(path, Face):
        if face.label != int(face.method != "original"):
            raise DataError(f"{path}: {place}: label {face.label} does not fit method {shown(face.method)}")
        found.append(face)
    check_splits(found, path)
    return found


def write_index(path: str | Path, faces: Iterable[Face], table: str = "auto") -> None:
    """Write *faces*, sorted by key, to *path*; the file appears whole or not at all.

    The columnar form beside it is written too with *table* ``parquet``, and with ``auto`` for many faces
    (`evaluation.columnar.FROM_ROWS`); otherwise one of earlier rows is removed.
    """
    faces = sorted(faces, key=lambda face: face.key)
    check_splits(faces, path)
    write_rows(path, Face, faces)
    if table == "parquet" or (table == "auto" and len(faces) >= FROM_ROWS):
        write_columns(Path(path), Face, faces)
    else:
        shutil.rmtree(columnar(path), ignore_errors=True)
    update_sums(path)


def read_masks(path: str | Path) -> dict[str, Slot]:
    """Return the slots of the masks listed in *path* (or ``masks.csv`` of the folder *path*), by key of their face."""
    return {slot.key: slot for slot in read_rows(_file(path, "masks.csv"), Slot)}


class Shown(Protocol):
    """Anything with an identity and a split: a `Face`, a `detector.data.layout.Clip`."""

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
                    f"{where}: identity {brief(person)} is in split {split} ({brief(video)}) and in {face.split} "
                    f"({brief(face.video)}); "
                    "a split must not share persons with another"
                )


def count_identities(faces: Iterable[Shown]) -> dict[str, int]:
    """Return how many persons are shown in each split."""
    persons = {(face.split, person) for face in faces for person in face.identity.split("+")}
    return {split: sum(there == split for there, _ in persons) for split in SPLITS}


def read_rows(path: str | Path, kind: type[Row]) -> list[Row]:
    """Return the rows of the CSV file *path* as dataclasses *kind*, whose first field is a key: unique and sorted.

    The columnar form is read where there is one.
    """
    return [row for _, row in _numbered(Path(path), kind)]


def _numbered(path: Path, kind: type[Row]) -> Iterator[tuple[str, Row]]:
    """Yield the rows of `read_rows`, each with its place: the line, or the row of the columnar form."""
    first = dataclasses.fields(kind)[0].name  # type: ignore[arg-type]
    last = ""
    if columnar(path).is_dir():
        word, rows = "row", iterate_columns(path, kind)
    else:
        word, rows = "line", iterate_csv(path, kind, f"is {path.parent} the output of a completed stage?")
    for number, row in rows:
        key = getattr(row, first)
        if key <= last:
            problem = "occurs twice" if key == last else f"follows {brief(last)}: rows must be sorted by key"
            raise DataError(f"{path}: {word} {number}: {brief(key)} {problem}")
        last = key
        if len(key.encode()) > CERTAIN:
            try:
                tar_header(f"{key}.png", 0)
            except DataError as error:
                raise DataError(f"{path}: {word} {number}: {error}; shorten the key") from None
        yield f"{word} {number}", row


def write_rows(path: str | Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write dataclasses *kind* as the CSV file *path*, which appears whole or not at all, and update its hash.

    NaN is an empty cell, as in the tables of `evaluation`.
    """
    with row_writer(path, kind) as add:
        for row in rows:
            add(row)


@contextmanager
def row_writer(path: str | Path, kind: type[Row]) -> Iterator[Callable[[Row], None]]:
    """Yield a function that appends a row to the CSV file *path*, which is that of `write_rows` after the block."""
    columns = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)

        def add(row: Row) -> None:
            values = [getattr(row, name) for name in columns]
            writer.writerow(["" if value != value else value for value in values])

        yield add
    update_sums(path)


def _file(path: str | Path, name: str) -> Path:
    path = Path(path)
    return path if path.suffix == ".csv" else path / name
