"""Search for faces of every size: an image pyramid whose finer levels are cut into overlapping tiles.

The coarsest level is the whole image, shrunk to `TILE` pixels along its longer side. Each further level has twice the
resolution, up to `FINEST` times that of the image, in tiles of `TILE` pixels that overlap by `OVERLAP`: a face of up to
that size lies wholly in one of them, and larger ones are found on the levels before. A face on a finer level counts if
no coarser level has one at the same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from .found_face import Box, FoundFace

__all__ = ["FINEST", "OVERLAP", "TILE", "levels", "search", "tiles"]

TILE = 640
OVERLAP = 160
# the smallest faces are found in enlarged images: 20 pixels become 30
FINEST = 1.5

Find = Callable[[np.ndarray], list[FoundFace]]


def levels(width: int, height: int) -> list[float]:
    """Return the scales of the pyramid of an image, the coarsest first; one only if the image fits into a tile."""
    longest = max(width, height)
    if longest <= TILE:
        return [1.0]
    coarsest = TILE / longest
    number = math.ceil(math.log2(FINEST / coarsest))
    return [coarsest * (FINEST / coarsest) ** (k / number) for k in range(number + 1)]


def tiles(width: int, height: int) -> Iterator[Box]:
    """Yield tiles that cover an image and overlap by at least `OVERLAP`; the image itself if it fits into one."""

    def starts(length: int) -> list[int]:
        if length <= TILE:
            return [0]
        number = math.ceil((length - OVERLAP) / (TILE - OVERLAP))
        return [round(i * (length - TILE) / (number - 1)) for i in range(number)]

    for top in starts(height):
        for left in starts(width):
            yield left, top, min(left + TILE, width), min(top + TILE, height)


def search(image: np.ndarray, find: Find, every: bool, more_sure: float = 0.0) -> list[FoundFace]:
    """Return the faces that *find* sees on the levels of RGB *image*, in its pixels, the largest first.

    Finer levels are searched for *every* face, else only until one is found. On them a face needs a score of at least
    *more_sure*.
    """
    height, width = image.shape[:2]
    found: list[FoundFace] = []
    for level, scale in enumerate(levels(width, height)):
        for face in _level(image, find, scale, level > 0):
            if level and face.score < more_sure:
                continue
            if not any(_same(face.box, other.box) for other in found):
                found.append(face)
        if found and not every:
            break
    return sorted(found, key=lambda face: -_area(face.box))


def _level(image: np.ndarray, find: Find, scale: float, tiled: bool) -> list[FoundFace]:
    """Return the faces on the level with *scale*, the most certain first; on *tiled* levels only small ones."""
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    seen = image if size == (width, height) else cv2.resize(image, size, interpolation=method)
    factor = np.array([width / size[0], height / size[1]])
    if not tiled:
        return [_moved(face, (0, 0), factor, (width, height)) for face in find(seen)]
    faces = []
    for left, top, right, bottom in tiles(*size):
        for face in find(seen[top:bottom, left:right]):
            if max(face.box[2] - face.box[0], face.box[3] - face.box[1]) <= OVERLAP:
                faces.append(_moved(face, (left, top), factor, (width, height)))
    return sorted(faces, key=lambda face: -face.score)


def _moved(face: FoundFace, origin: tuple[int, int], factor: np.ndarray, size: tuple[int, int]) -> FoundFace:
    """Return *face*, found in a part of a level that begins at *origin*, in pixels of the image."""
    corners = ((np.array(face.box, float).reshape(2, 2) + origin) * factor).clip(0, size).round().astype(int)
    left, top, right, bottom = (int(v) for v in corners.ravel())
    points = None if face.points is None else (face.points + origin) * factor
    eyes = None if face.eyes is None else (face.eyes + origin) * factor
    return FoundFace((left, top, right, bottom), eyes, points, face.roll, face.doubtful, face.score)


def _same(one: Box, other: Box) -> bool:
    """Return whether two boxes show the same face: the centre of one lies in the other."""
    return _holds(one, other) or _holds(other, one)


def _holds(box: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
