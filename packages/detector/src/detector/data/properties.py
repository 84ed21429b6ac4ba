"""Properties of crops that are unrelated to forgery: of the source file, of the cut, and simple ones of the pixels."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.leaks import hashes
from evaluation.shortcuts import Items, Property

from ..errors import DataError
from ..pipeline import stage
from ..remote import Later
from ..schema import Mismatch, check_unchanged, csv_file_lines, csv_lines, read_text, shown, within
from ..system import cores
from . import alignment
from .appearance import sharpness
from .crops import crops_task, over_crops
from .files import sha256, whole_file
from .index import Face
from .inspect import decode
from .intact import Damaged
from .shards import ShardReader
from .sources import SourceFile, describe_source
from .work import Division, Executor, Task, finished, key_of, read

__all__ = ["Item", "Items", "Measured", "missed", "properties", "read_items", "write_items"]

THUMBNAIL, GRAY = 8, 32  # pixels a side
CROPS, FILES = 512, 16  # of a task
OF_A_MASK = "mask:"  # failures that leave the crop
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
XY = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")
REMEDY = "run `detector faces` again to rewrite it"
UNKNOWN = SourceFile("", "", "", math.nan, math.nan, math.nan, "")


@dataclass(frozen=True, slots=True)
class Item:
    """A row of ``audit.csv``: a crop, the file it was cut from (see `SourceFile`), and its properties, nan if unknown.

    scale: source pixels per crop pixel. border: share of the crop beyond the image's edge. roll: angle in degrees by
    which the crop was turned. shrink: side of the crop relative to that of its framing. landmarks: where the eyes or
    landmarks were found; see `detector.data.detection.Detection`. certainty: the face detector's confidence. sharpness:
    binary logarithm of the variance of the Laplacian of the gray crop. red, green, blue: means. phash: 64 hexadecimal
    digits, see `evaluation.leaks`; empty for a near-uniform crop.
    """

    key: str
    video: str
    split: str
    label: int
    file: str
    file_sha256: str
    format: str
    width: float
    height: float
    bits_per_pixel: float
    encoding: str
    jpeg_quality: float
    quant_tables: str
    frame_rate: float
    num_frames: float
    scale: float
    border: float
    shrink: float
    roll: float
    landmarks: str
    certainty: float
    sharpness: float
    red: float
    green: float
    blue: float
    phash: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The items of all crops, their thumbnails (N, 192) and hashes (N, 4), and notes on what could not be examined."""

    items: list[Item]
    thumbnails: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    hashed: NDArray[np.bool_]
    notes: list[str]
    damaged: list[Damaged]  # crops at an address that were left out

    def at(self, rows: NDArray[np.intp]) -> Measured:
        """Return those of the crops at the positions *rows* (n,)."""
        items = [self.items[row] for row in rows.tolist()]
        return Measured(items, self.thumbnails[rows], self.hashes[rows], self.hashed[rows], self.notes, self.damaged)


def read_items(
    faces: Path,
    index: Sequence[Face],
    data: Path | None,
    where: Executor,
    work: Path,
    reader: ShardReader,
    most: float = 0,
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> Measured:
    """Return the properties of the crops *index* in the folder *faces*; *data* is the folder they were made from.

    Tasks run at *where* and leave their results in the folder *work*. They read crops by *reader*, and the source files
    *later* at their address; damaged crops there are left out up to the share *most*.
    """
    files = {key: sys.intern(file) for key, file in _rows(faces / "sources.csv", ("file",))}
    notes = []
    if not files:
        why = "as crops of `detector pack` and of earlier versions"
        notes.append(f"the crops have no sources.csv, {why}: the source files were not examined")
    elif data is None:
        notes.append("without --data, the source files were not examined")
    elif not data.is_dir():
        raise DataError(f"{data}: no such folder; give the folder that the crops were made from (--data)")
    described: dict[str, SourceFile] = {}
    if data is not None:
        tasks = source_tasks(data, sorted(set(files.values())), later)
        for result in finished(tasks, work, "source files", where, isolated=True):
            described |= {source.file: source for source in (SourceFile(*row) for row in json.loads(result))}
    cuts = _Cuts(faces)
    done = over_crops(index, reader, most, lambda some: crop_tasks(reader, some, most > 0), work, "crops", where)
    pixels = _Pixels.joined(_Pixels.loads(read(file)) for file in done.files)
    hashed, valid = pixels.hashes, pixels.hashed
    items = []
    for face, size, sharp, colour, words, there in zip(
        *(done.kept, pixels.size.tolist(), pixels.sharpness.tolist(), pixels.colour.tolist(), hashed, valid),
        strict=True,
    ):
        source = described.get(files.get(face.key, ""), UNKNOWN)
        items.append(
            Item(
                *(face.key, face.video, face.split, face.label, files.get(face.key, ""), *astuple(source)[1:]),
                *(*astuple(cuts.of(face, source, size)), sharp, *colour, words.tobytes().hex() if there else ""),
            )
        )
    return Measured(items, pixels.thumbnails, hashed, valid, notes, done.damaged)


def source_tasks(data: Path, files: Sequence[str], later: Mapping[Path, Later] = MappingProxyType({})) -> list[Task]:
    """Return the tasks that examine *files* below *data*; each copies those of its files that are among *later*."""

    def content(file: str) -> str:
        if data / file in later:
            return later[data / file].identity
        try:
            return sha256(data / file)
        except (OSError, DataError) as error:  # the task raises it
            return str(error)

    depends = key_of("examine_files", stage("audit").code_sha256(), {"av": av.__version__})
    with ThreadPoolExecutor(cores()) as pool:  # hashing releases the GIL
        contents = list(pool.map(content, files))
    chunks = range(0, len(files), FILES)
    keys = [key_of(depends, *files[i : i + FILES], *contents[i : i + FILES]) for i in chunks]
    division = Division(_of_one_file, _of_all_files)
    tasks = []
    for key, i in zip(keys, chunks, strict=True):
        some = files[i : i + FILES]
        there = {data / file: later[data / file] for file in some if data / file in later}
        tasks.append(Task(key, some[0], examine_files, (data, some, there), division if len(some) > 1 else None))
    return tasks


def _of_one_file(argument: tuple[Path, Sequence[str], Mapping[Path, Later]]) -> list[Task]:
    """Return a task for each file of a task of several with this *argument*."""
    data, files, later = argument
    return [task for file in files for task in source_tasks(data, [file], later)]


def _of_all_files(results: Sequence[Path]) -> bytes:
    return json.dumps([row for result in results for row in json.loads(read(result))]).encode()


def examine_files(argument: tuple[Path, Sequence[str], Mapping[Path, Later]]) -> bytes:
    """Return the `SourceFile` of files below a folder, as JSON."""
    root, files, later = argument
    return json.dumps([astuple(_described(root, file, later.get(root / file))) for file in files]).encode()


def _described(root: Path, file: str, later: Later | None) -> SourceFile:
    """Return what *file* below *root* is; a copy is examined if it is at an address."""
    if later is None:
        return describe_source(root, file)
    with later.copied() as path:
        try:
            return replace(describe_source(path.parent, path.name), file=file)
        except DataError as error:
            raise DataError(str(error).replace(str(path), later.address)) from error


def crop_tasks(reader: ShardReader, index: Sequence[Face], lists: bool = False) -> list[Task]:
    """Return the tasks that measure the pixels of the crops *index*; *lists* is that of `crops_task`."""
    depends = key_of("examine_crops", stage("audit").code_sha256(), {"opencv": cv2.__version__})
    return [
        crops_task(depends, examine_crops, reader, some, (), _of_all_crops, lists)
        for some in (index[start : start + CROPS] for start in range(0, len(index), CROPS))
    ]


def examine_crops(argument: tuple[ShardReader, Sequence[Face]]) -> bytes:
    """Return the `_Pixels` of crops, as bytes."""
    reader, faces = argument
    measured = [_pixels(decode(reader.read(face, check=True))) for face in faces]
    size, sharp, colour, thumbnails, gray = (np.concatenate(column) for column in zip(*measured, strict=True))
    return _Pixels(size, sharp, colour, thumbnails, *hashes(gray)).dumps()


def _of_all_crops(results: Sequence[bytes]) -> bytes:
    return _Pixels.joined(map(_Pixels.loads, results)).dumps()


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write *items* as the CSV file *path*; unknown values are empty."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Item.__slots__)
        for item in items:
            writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in astuple(item)])


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What is measured in the pixels of n crops: height (n,), sharpness (n,), means of red, green and blue (n, 3),
    thumbnails (n, 192), hashes (n, 4) and whether each has one (n,)."""

    size: NDArray[np.int64]
    sharpness: NDArray[np.float64]
    colour: NDArray[np.float64]
    thumbnails: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    hashed: NDArray[np.bool_]

    @classmethod
    def joined(cls, some: Iterable[_Pixels]) -> _Pixels:
        columns = zip(*([getattr(one, name) for name in cls.__slots__] for one in some), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def dumps(self) -> bytes:
        file = io.BytesIO()
        np.savez(file, *(getattr(self, name) for name in self.__slots__))
        return file.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> _Pixels:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(*(arrays[name] for name in arrays.files))


def _pixels(image: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
    """Return height, sharpness, means, thumbnail and small gray image (32, 32) of a crop, each as an array of one."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    colours, grays = (
        np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        for pixels, side in ((image, THUMBNAIL), (gray, GRAY))
    )
    return (
        np.array([len(image)]),
        np.array([round(sharpness(np.asarray(gray, np.uint8)), 4)]),
        np.array([[round(float(value), 3) for value in image.mean(axis=(0, 1))]]),
        colours.reshape(1, -1),
        grays[None],
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    scale: float = math.nan
    border: float = math.nan
    shrink: float = math.nan
    roll: float = math.nan
    landmarks: str = ""
    certainty: float = math.nan


class _Cuts:
    """How the crops in a folder were cut: by the columns of the index, or computed from ``geometry.csv``."""

    def __init__(self, faces: Path) -> None:
        self.path = faces / "geometry.csv"

    @cached_property
    def geometry(self) -> dict[str, dict[str, str]]:
        return _table(self.path, (*XY[:4], "found"))

    @cached_property
    def landmarks(self) -> dict[str, dict[str, str]]:
        return _table(self.path.with_name("landmarks.csv"), XY)

    def of(self, face: Face, source: SourceFile, size: int) -> _Cut:
        """Return how *face*, *size* pixels wide, was cut from an image of the size of *source*."""
        known = {name: getattr(face, name, None) for name in (f.name for f in fields(_Cut))}
        if known["scale"] is not None:
            return _Cut(**{name: value for name, value in known.items() if value is not None})
        if face.key not in self.geometry:
            return _Cut()
        row = self.geometry[face.key]
        points, names = (self.landmarks[face.key], XY) if face.key in self.landmarks else (row, XY[:4])
        with within(self.path, REMEDY):
            try:
                place = np.array([float(points[name]) for name in names]).reshape(-1, 2)
                similarity = (alignment.align if len(place) == 2 else alignment.align_points)(place, size)
            except (ValueError, ZeroDivisionError):
                raise Mismatch(f"{face.key}: bad points {shown(', '.join(points[name] for name in names))}") from None
        (x, y), matrix = place[1] - place[0], similarity.matrix
        return _Cut(
            scale=1 / similarity.scale,
            border=_beyond(matrix, size, source.width, source.height),
            roll=math.degrees(math.atan2(y, x)),
            landmarks=row["found"],
        )


def _beyond(matrix: NDArray[np.float64], size: int, width: float, height: float) -> float:
    """Return the share of a crop whose pixels lie beyond an image *width* x *height*; nan if its size is unknown."""
    if math.isnan(width) or math.isnan(height):
        return math.nan
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2) - matrix[:, 2]
    x, y = np.linalg.solve(matrix[:, :2], grid.T)
    outside = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
    return round(float(outside.mean()), 5)


def _table(path: Path, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the *columns* of the CSV file *path* by key, empty if there is no such file."""
    return {key: dict(zip(columns, values, strict=True)) for key, *values in _rows(path, columns)}


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the key and the *columns* of each row of the CSV file *path*, none if there is no such file; it may have
    more columns.

    Other stages own these files, and not all versions have the same columns.
    """
    if not path.exists():
        return
    with within(path, REMEDY):
        lines = csv_file_lines(path, REMEDY)
        _, header = next(lines, (1, []))
        missing = [name for name in ("key", *columns) if name not in header]
        if missing:
            raise Mismatch(f"no column {', '.join(missing)}; got {shown(', '.join(header) or 'none')}")
        places = [header.index(name) for name in ("key", *columns)]
        for line, values in lines:
            if len(values) != len(header):
                raise Mismatch(f"line {line}: expected {len(header)} values, got {len(values)}")
            yield tuple(values[place] for place in places)
    check_unchanged(path)


def properties(found: Measured) -> Iterator[tuple[str, str, list[Property]]]:
    """Yield name, title and content of everything that is measured; the last two are all together and the thumbnail."""
    columns = {name: [getattr(item, name) for item in found.items] for name in Item.__slots__}

    def numbers(*names: str) -> Property:
        return Property(np.array([columns[name] for name in names], np.float64).T)

    def names(name: str) -> Property:
        return Property(names=np.array(columns[name], dtype=np.str_))

    wide_high = zip(columns["width"], columns["height"], strict=True)
    sizes = ["" if math.isnan(width) else f"{width:g} x {height:g}" for width, height in wide_high]
    each = {
        "format": ("file format", names("format")),
        "size": ("pixel size of the image", Property(numbers("width", "height").numbers, np.array(sizes, np.str_))),
        "bits_per_pixel": ("bits per pixel of the file", numbers("bits_per_pixel")),
        "jpeg_quality": ("JPEG quality", numbers("jpeg_quality")),
        "quant_tables": ("JPEG quantization tables", names("quant_tables")),
        "encoding": ("encoder settings", names("encoding")),
        "frame_rate": ("frames per second", numbers("frame_rate")),
        "num_frames": ("frames of the video", numbers("num_frames")),
        "scale": ("image pixels per crop pixel", numbers("scale")),
        "border": ("share of the crop beyond the image's edge", numbers("border")),
        "shrink": ("size of the crop relative to its framing", numbers("shrink")),
        "roll": ("rotation of the crop in degrees", numbers("roll")),
        "landmarks": ("certainty of the face detector: where landmarks were found", names("landmarks")),
        "certainty": ("certainty of the face detector: its confidence", numbers("certainty")),
        "sharpness": ("sharpness (log variance of the Laplacian)", numbers("sharpness")),
        "colour": ("mean red / green / blue", numbers("red", "green", "blue")),
    }
    for name, (title, content) in each.items():
        yield name, title, [content]
    yield "together", "all properties together", [content for _, content in each.values() if content.known.any()]
    thumbnail = Property(found.thumbnails.astype(np.float64), linear=True)
    yield "thumbnail", f"the crop as {THUMBNAIL} x {THUMBNAIL} pixels", [thumbnail]


def missed(path: Path, index: Sequence[Face]) -> tuple[Items, list[Property]]:
    """Return every frame that was searched for a face, and whether there is a crop of it; *path* is ``failures.csv``.

    A video that could not be read counts as one frame.
    """
    failures = []
    if path.exists():
        with within(path, REMEDY):
            text = read_text(path, REMEDY)
            lines = csv_lines(text)
            _, header = next(lines, (1, []))
            if header[:3] != ["video", "frame", "reason"]:
                raise Mismatch(f"expected the columns video, frame, reason; got {shown(', '.join(header) or 'none')}")
            failures = [values for _, values in lines if len(values) >= 3 and not values[2].startswith(OF_A_MASK)]
        check_unchanged(path, text)
    of_video: Mapping[str, Face] = {face.video: face for face in index}
    rows = [(face.label, face.video, face.pair, face.identity, "crop") for face in index]
    for video, *_ in failures:
        known = of_video.get(video)
        label = int(video.partition("/")[0] != "original")
        # neither pair nor persons are known of a video without any crop
        pair, identity = (known.pair, known.identity) if known else (f"? {video}", f"? {video}")
        rows.append((label, video, pair, identity, "no crop"))
    labels, *described = zip(*rows, strict=True)
    videos, pairs, identities, results = (np.array(column, np.str_) for column in described)
    return Items(np.array(labels, np.int8), videos, pairs, identities), [Property(names=results)]
