"""The interface of face detectors: the request and the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face that a face detector found in an image: its box, and its eyes and landmarks or None.

    `eyes` are (2, 2), x y, the left one in the image first; `points` are (5, 2): eyes, nose and corners of the mouth.
    `roll` is the angle in degrees, counterclockwise, by which the image was rotated when the face was found; the box is
    then an upright one around the same centre. A `doubtful` face counts only if no other is found in rotated images.
    `score` is the face detector's confidence, 0 if it has none.
    """

    box: Box
    eyes: np.ndarray | None = None
    points: np.ndarray | None = None
    roll: float = 0.0
    doubtful: bool = False
    score: float = 0.0

    @property
    def upright(self) -> bool:
        """Whether the mouth lies below the eyes, by 45 degrees at most to either side, as far as `points` are known."""
        if self.points is None:
            return True
        right, down = self.points[3:].mean(axis=0) - self.points[:2].mean(axis=0)
        return bool(down > 0 and abs(right) <= down)


def upright_score(faces: Iterable[FoundFace]) -> float:
    """Return the highest score of the upright ones of *faces*, 0 if there are none."""
    return max((face.score for face in faces if face.upright), default=0.0)


class Detector(Protocol):
    """A face detector. `eyes_at` is the usual position of the eyes in its boxes: (2, 2), x y in units of the width.

    An image is turned by a right angle if `certainty` is higher by more than `surer` then.
    """

    name: str
    eyes_at: np.ndarray
    surer: float

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:
        """Return the largest face in uint8 RGB *image*, or None; with *near*, prefer one of similar size and position.

        *sure* requires more evidence, for images in which a face is unlikely.
        """
        ...

    def find_all(self, image: np.ndarray) -> list[FoundFace]:
        """Return all faces in uint8 RGB *image*, the largest first."""
        ...

    def certainty(self, image: np.ndarray) -> float:
        """Return how sure it is, 0..1, that uint8 RGB *image* shows an upright face; 0 if it finds none."""
        ...
