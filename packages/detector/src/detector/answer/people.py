"""From a file to the crops of every person in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..conditions import Condition
from ..data.pictures import kind_of, not_read, read_image
from ..errors import DataError

if TYPE_CHECKING:
    from ..data.detection import Detection
    from ..data.found_face import Box, Detector
    from ..data.framing import Placed
    from ..data.video import Frames

__all__ = ["RAW", "Person", "Place", "find_files", "footage_of", "people_of"]

RAW = (Condition(),)


def find_files(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the image and video files in *inputs*, those below folders sorted, and messages on what is not read.

    The content of a file in a folder decides, not its suffix. A folder without any is returned itself, to be named
    among the files that have no answer.
    """
    files: list[Path] = []
    notes: list[str] = []
    for given in inputs:
        if not os.path.isdir(given):  # noqa: PTH112 - Path.is_dir raises OSError for a name that is too long
            files.append(given)
            continue
        below = [path for path in sorted(given.rglob("*")) if path.is_file()]
        read = [path for path in below if kind_of(path) is not None]
        notes += not_read([path for path in below if path not in set(read)], given)
        files += read or [given]
    return list(dict.fromkeys(files)), notes


def footage_of(path: Path, number: int) -> Frames:
    """Return the image in the file *path*, or *number* evenly spaced frames of a video, by frame number.

    uint8 RGB (H, W, 3). The content decides whether the file is a video. DataError if nothing can be read.
    """
    from ..data.video import Frames, evenly_spaced, length, read_frames

    if path.is_dir():
        raise DataError("a folder without images or videos")
    if kind_of(path) != "video":
        return Frames({0: read_image(path)})
    count, _ = length(path)
    frames = read_frames(path, evenly_spaced(count, number))
    if not frames.images:
        raise DataError(f"no readable frame: {next(iter(frames.missing.values()))}")
    return frames


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face lies in an image, in its pixels as shown; see `record.Face`."""

    box: Box
    corners: NDArray[np.float64]
    scale: float
    border: float
    found: str


@dataclass(frozen=True, slots=True)
class Person:
    """The crops of a person by frame, each under all conditions, uint8 (C, side, side, 3), their places, and notes.

    `places` is empty for images that are taken as crops.
    """

    crops: dict[int, NDArray[np.uint8]]
    places: dict[int, Place]
    notes: tuple[str, ...] = ()


def people_of(
    images: Mapping[int, NDArray[np.uint8]],
    side: int,
    detector: Detector | None,
    framing: str = "deepfakebench",
    conditions: Sequence[Condition] = RAW,
    whole_image: bool = False,
    resample: str = "area",
) -> list[Person]:
    """Return every person in *images*, an image or the frames of a video, the largest first.

    *detector* finds the faces, None takes the images as crops, of any size, which *resample* brings to *side*
    (`data.alignment.resized`). *conditions* apply to the crop, or with *whole_image* to the image; faces are located
    once, in the unchanged image. A single image is turned by a right angle if its face is upright then. DataError if
    there is no face, or an image that is taken as a crop is not square.
    """
    from ..data.alignment import crop, resized
    from ..data.framing import place
    from ..data.people import turned_by

    if detector is None:
        height, width = next(iter(images.values())).shape[:2]
        if height != width:
            raise DataError(
                f"is {width} x {height} pixels, crops are square; without --aligned the face is detected and cut out"
            )
        crops_at = {n: resized(image, side, resample) for n, image in images.items()}
        notes = [f"taken as a crop, resized from {height} x {height} to {side} x {side}"] if height != side else []
        stacked = {n: np.stack([c.apply(image) for c in conditions]) for n, image in crops_at.items()}
        return [Person(stacked, {}, tuple(notes))]
    persons, turned, left_out = _located(images, detector)
    cut: list[dict[int, NDArray[np.uint8]]] = [{} for _ in persons]
    places: list[dict[int, Place]] = [{} for _ in persons]
    for number, image in images.items():
        shown = [(i, faces[number]) for i, faces in enumerate(persons) if number in faces]
        if not shown:
            continue
        view = turned_by(image, turned)
        views = [turned_by(c.apply(image), turned) for c in conditions] if whole_image else []
        for i, face in shown:
            placed = place(face, framing, side, view.shape[:2])
            places[i][number] = _place(face, placed, side, turned, view.shape)
            if whole_image:
                crops = [crop(seen, placed.similarity, side) for seen in views]
            else:
                whole = crop(view, placed.similarity, side)
                crops = [c.apply(whole) for c in conditions]
            cut[i][number] = np.stack(crops)
    found = [Person(c, p, tuple(_notes(p, turned, left_out))) for c, p in zip(cut, places, strict=True)]
    if not found:
        raise DataError("no face found" + ("" if len(images) == 1 else f" in {len(images)} frames"))
    return found


def _notes(places: Mapping[int, Place], turned: int, left_out: int) -> list[str]:
    border = max(place.border for place in places.values())
    notes = []
    if turned:
        notes.append(f"image turned by {turned} degrees clockwise")
    if border > 0:
        notes.append(f"up to {border:.0%} of the crop lies beyond the image")
    if any(place.found == "none" for place in places.values()):
        notes.append("no eyes found: placed by the face's box")
    if left_out:
        notes.append(f"{left_out} doubtful faces left out")
    return notes


def _place(face: Detection, placed: Placed, side: int, turned: int, shape: tuple[int, ...]) -> Place:
    from ..data.framing import Square

    corners = Square.of(placed.similarity, side).corners()
    left, top, right, bottom = face.box
    box = _back(np.array([[left, top], [right, bottom]]), turned, shape)
    low, high = box.min(axis=0), box.max(axis=0)
    where = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    return Place(where, _back(corners, turned, shape), placed.scale, placed.border, face.found)


def _back(points: NDArray[np.float64], turned: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return *points*, x y in a view of *shape* turned clockwise by *turned* degrees, in the image before."""
    x, y = points[:, 0], points[:, 1]
    height, width = shape[:2]
    turn = {0: (x, y), 90: (y, width - 1 - x), 180: (width - 1 - x, height - 1 - y), 270: (height - 1 - y, x)}
    return np.column_stack(turn[turned])


def _located(
    images: Mapping[int, NDArray[np.uint8]], detector: Detector
) -> tuple[list[dict[int, Detection]], int, int]:
    """Return the faces of each person by frame, the angle by which a single image is turned for them, and how many
    faces were left out."""
    from ..data.detection import track
    from ..data.people import find_people, upright

    if len(images) == 1:
        ((number, image),) = images.items()
        view = upright(image, detector, every=True)
        if view is not None and not view.turned and len(view.faces) == 1:
            return [track(images, detector)], 0, 0
        return ([{number: face} for face in view.faces], view.turned, 0) if view else ([], 0, 0)
    people = find_people(images.items(), detector)
    if len(people.persons) > 1:
        return people.persons, 0, people.left_out
    # one person is followed as in the faces stage, so the crops are the same
    tracked = track(images, detector)
    return ([tracked] if tracked else []), 0, people.left_out
