"""What a face detector is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a detector says of one image: box, and eyes and five points, None where it saw none.

    `eyes` are (2, 2), x y of the left one in the image first; `points` (5, 2): eyes, nose and corners of the mouth.
    `roll` is by how many degrees the image was turned, counterclockwise, when the face was seen; the box is then an
    upright one around the same centre. `doubtful` faces are believed if turning the image shows no other.
    """

    box: Box
    eyes: np.ndarray | None = None
    points: np.ndarray | None = None
    roll: float = 0.0
    doubtful: bool = False


class Detector(Protocol):
    """What finds faces. `eyes_at` is where eyes usually are in its boxes: (2, 2), x y in units of the width."""

    name: str
    eyes_at: np.ndarray

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> Sighting | None:
        """Return the largest face of uint8 RGB *image*, or None; with *near*, first one of about that size and place.

        *sure* asks for more evidence, for images in which a face is not expected.
        """
        ...
