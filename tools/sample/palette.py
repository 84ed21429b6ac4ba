"""The colour palettes, as sRGB triples 0..255, and their linear values."""

from __future__ import annotations

import numpy as np

RGB = tuple[int, int, int]

SKIN: tuple[RGB, ...] = (
    (230, 194, 170), (224, 182, 156), (222, 176, 146), (208, 158, 126), (190, 138, 104),
    (166, 114, 82), (138, 92, 64), (110, 72, 50), (84, 54, 38),
)  # fmt: skip
HAIR: tuple[RGB, ...] = (
    (24, 20, 18), (38, 28, 22), (62, 42, 28), (92, 62, 38), (134, 98, 60), (176, 142, 92),
    (120, 60, 34), (112, 108, 106), (170, 166, 162),
)  # fmt: skip
GRAY_HAIR = 7  # HAIR from here on is gray
IRIS: tuple[RGB, ...] = (
    (70, 44, 26), (92, 62, 36), (110, 96, 56), (86, 110, 84), (92, 122, 146), (112, 130, 140),
)  # fmt: skip
CLOTH: tuple[RGB, ...] = (
    (30, 34, 48), (52, 54, 60), (22, 22, 24), (96, 28, 34), (36, 66, 98), (120, 120, 118),
    (190, 188, 182), (70, 88, 70), (134, 104, 74), (66, 40, 70),
)  # fmt: skip
ROOM: tuple[RGB, ...] = (
    (205, 200, 190), (168, 176, 182), (120, 132, 148), (92, 96, 100), (150, 128, 104),
    (60, 74, 98), (184, 172, 150), (88, 104, 88), (52, 50, 54),
)  # fmt: skip


def linear(color: RGB) -> np.ndarray:
    """Return the linear light 0..1, float32 (3,), of an sRGB *color* 0..255 (IEC 61966-2-1)."""
    c = np.asarray(color, np.float32) / np.float32(255)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def skin_tone(tone: float) -> np.ndarray:
    """Return the linear colour at position *tone*, 0..len(SKIN) - 1, of the ramp SKIN."""
    i = int(tone)
    share = tone - i
    return linear(SKIN[i]) * (1 - share) + linear(SKIN[min(i + 1, len(SKIN) - 1)]) * share
