"""From a face to the square that is cut out of the image: the framings, and how the square is kept inside the image.

A framing is a rule from five points (eyes, nose, corners of the mouth) to a square. If only the eyes are known, the
other points are those of the template, put onto the eyes.

A square that does not fit into the image is first shifted, then made smaller. It always keeps the core of the face: the
five points with a margin of half a face length, the larger of the distance of the eyes and that from the eyes to the
mouth. What then still lies beyond the image, because the image cuts the face itself, is filled with `alignment.FILL`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .alignment import (
    ARCFACE,
    EPSILON,
    EYE_LINE,
    FIVE_POINTS,
    INTER_EYE,
    MARGIN,
    Similarity,
    align,
    align_points,
    beyond,
)

if TYPE_CHECKING:
    from .detection import Detection

__all__ = ["FRAMINGS", "Framing", "Placed", "Square", "place"]

# margin of the core around the five points, in face lengths
CORE = 0.5
# ArcFace's own template, without the margin of 1.3, in units of the side
TIGHT = (FIVE_POINTS - 0.5) * MARGIN + 0.5
# MesoNet's crop: 1.3 x 2.2 face lengths
MESONET = 1.3 * 2.2


@dataclass(frozen=True, slots=True)
class Square:
    """A square in an image: its centre, x y in pixels, its side, and the direction of its upper edge in radians."""

    centre: np.ndarray
    side: float
    angle: float

    @property
    def axes(self) -> np.ndarray:
        """Return the directions of the upper and of the left edge, as columns (2, 2)."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    def corners(self) -> np.ndarray:
        """Return the corners, (4, 2), x y."""
        half = self.side / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return np.asarray(self.centre + half @ self.axes.T)

    def similarity(self, size: int) -> Similarity:
        """Return the similarity from the image to a crop *size* wide; the crop spans -.5 .. size - .5."""
        turn = self.axes.T * (size / self.side)
        return Similarity(np.column_stack([turn, (size - 1) / 2 - turn @ self.centre]))

    @classmethod
    def of(cls, similarity: Similarity, size: int) -> Square:
        """Return the square that *similarity* maps to a crop *size* wide; the inverse of `similarity`."""
        turn = similarity.matrix[:, :2]
        centre = np.linalg.solve(turn, (size - 1) / 2 - similarity.matrix[:, 2])
        return cls(centre, size / similarity.scale, float(np.arctan2(-turn[1, 0], turn[0, 0])))


@dataclass(frozen=True, slots=True)
class Framing:
    """A framing: what it is, and the similarity from five points in an image, (5, 2), to a crop of the given size."""

    help: str
    similarity: Callable[[np.ndarray, int], Similarity]

    def eyes(self) -> np.ndarray:
        """Return where a face with the template's proportions has its eyes, (2, 2), in units of the crop's side."""
        matrix = self.similarity(ARCFACE, 1000).matrix
        return np.asarray((ARCFACE[:2] @ matrix[:, :2].T + matrix[:, 2] + 0.5) / 1000)


def _tight(points: np.ndarray, size: int) -> Similarity:
    return align_points(points, size, TIGHT)


def _mesonet(points: np.ndarray, size: int) -> Similarity:
    """Return MesoNet's crop. Its centre is midway between the nose's bridge and tip.

    The bridge of their 68 landmarks runs from the height of the eyes to the tip, so its mean is taken to be midway
    between the eyes' centre and the nose.
    """
    eyes, nose, mouth = points[:2].mean(axis=0), points[2], points[3:].mean(axis=0)
    down = mouth - eyes
    if not np.hypot(*down) > 0:
        raise ValueError(f"eyes and mouth must be at different places, got {points.tolist()}")
    # the crop's left edge runs from the eyes to the mouth
    angle = float(np.arctan2(-down[0], down[1]))
    return Square((eyes + 3 * nose) / 4, MESONET * _length(points), angle).similarity(size)


# name -> framing; the choices of faces.framing in `detector.config`
FRAMINGS: dict[str, Framing] = {
    "deepfakebench": Framing(
        "ArcFace's five points with a margin of 1.3, as DeepfakeBench crops: eyes .242 of the side apart, at .470",
        align_points,
    ),
    "mesonet": Framing(
        "MesoNet's rule: 2.86 times the larger of eye distance and eyes to mouth, around the middle of the nose, the "
        "line from eyes to mouth upright",
        _mesonet,
    ),
    "tight": Framing(
        "ArcFace's five points without margin, as face recognition crops: eyes .315 of the side apart, at .461",
        _tight,
    ),
}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a crop lies in its image. `shrink` is its side relative to that of the framing, `border` the share of its
    pixels beyond the image."""

    similarity: Similarity
    shrink: float
    border: float

    @property
    def scale(self) -> float:
        """Return the number of image pixels per crop pixel, along one side."""
        return 1 / self.similarity.scale

    @property
    def roll(self) -> float:
        """Return the degrees by which the crop is turned clockwise against the image, with two decimals."""
        turn = self.similarity.matrix
        return round(float(np.degrees(np.arctan2(-turn[1, 0], turn[0, 0]))), 2) + 0.0  # no -0.0


def place(face: Detection, framing: str, size: int, shape: tuple[int, ...]) -> Placed:
    """Return where the crop of *face* lies, *size* wide, in an image of *shape* (height, width)."""
    rule = FRAMINGS[framing]
    points = _points(face)
    # two points and five of the template give the same square up to rounding; the exact one for the eyes is kept
    exact = framing == "deepfakebench" and face.points is None
    similarity = align(face.eyes, size) if exact else rule.similarity(points, size)
    square = Square.of(similarity, size)
    if _beyond(square, shape) <= 0:
        return Placed(similarity, 1.0, 0.0)
    kept = _inside(square, points, shape)
    similarity = kept.similarity(size)
    return Placed(similarity, kept.side / square.side, float(beyond(similarity, size, shape).mean()))


def _points(face: Detection) -> np.ndarray:
    """Return the five points of *face*; where only the eyes are known, the template's, put onto them."""
    if face.points is not None:
        return face.points
    matrix = align(face.eyes, 1).matrix
    template = FIVE_POINTS.copy()
    # the template's eyes differ by .001 of the side from the places where `align` puts two eyes
    template[:2] = [[0.5 - INTER_EYE / 2, EYE_LINE], [0.5 + INTER_EYE / 2, EYE_LINE]]
    return np.asarray(np.linalg.solve(matrix[:, :2], (template - 0.5 - matrix[:, 2]).T).T)


def _length(points: np.ndarray) -> float:
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    return float(max(np.hypot(*(points[1] - points[0])), np.hypot(*(mouth - eyes))))


def _beyond(square: Square, shape: tuple[int, ...]) -> float:
    """Return by how many pixels *square* reaches over the edge of an image of *shape*."""
    corners = square.corners()
    over = np.maximum(-0.5 - corners, corners - (np.array([shape[1], shape[0]]) - 0.5)).max()
    return float(over) if over > EPSILON else 0.0


def _inside(square: Square, points: np.ndarray, shape: tuple[int, ...]) -> Square:
    """Return the largest square, not larger than *square*, that holds the core of the face and lies in the image.

    If there is none, of the squares that hold the core the one with the smallest share beyond the image.
    """
    margin = CORE * _length(points)
    core = (points - square.centre) @ square.axes
    low = np.maximum(core.min(axis=0) - margin, -square.side / 2)
    high = np.minimum(core.max(axis=0) + margin, square.side / 2)
    smallest = float((high - low).max())

    def shifted(side: float) -> Square:
        return _shifted(replace(square, side=side), square.centre, (low, high), shape)

    if _beyond(shifted(square.side), shape) <= 0:
        return shifted(square.side)
    if _beyond(shifted(smallest), shape) > 0:
        candidates = [shifted(side) for side in np.linspace(square.side, smallest, 16)]
        return min(candidates, key=lambda s: round(beyond(s.similarity(64), 64, shape).mean(), 3))
    fits, too_large = smallest, square.side
    for _ in range(40):
        side = (fits + too_large) / 2
        fits, too_large = (side, too_large) if _beyond(shifted(side), shape) <= 0 else (fits, side)
    return shifted(fits)


def _shifted(
    square: Square, origin: np.ndarray, core: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> Square:
    """Return *square* moved into the image of *shape* as far as it holds the *core*, given relative to *origin*.

    The two conditions on the centre are two rectangles, one parallel to the image and one to the square. Projecting
    onto one after the other ends in a point of both, or, if they have none in common, in the second.
    """
    axes, half = square.axes, square.side / 2
    reach = half * np.abs(axes).sum(axis=1)
    span = np.array([shape[1], shape[0]])
    first, last = reach - 0.5, span - 0.5 - reach
    first, last = np.where(first > last, (span - 1) / 2, first), np.where(first > last, (span - 1) / 2, last)
    centre = square.centre
    for _ in range(100):
        before = centre
        centre = centre.clip(first, last)
        inner = ((centre - origin) @ axes).clip(core[1] - half, core[0] + half)
        centre = origin + axes @ inner
        if np.abs(centre - before).max() < EPSILON / 10:
            break
    return replace(square, centre=centre)
