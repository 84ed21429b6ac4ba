"""Eyes: lids, lashes, eyeball, iris and catch light, painted into the maps of a frame."""

from __future__ import annotations

import numpy as np

from .animation import Expression
from .canvas import EDGE, SIDES, X, Y, blur, ridge, smoothstep, window
from .head import FaceMaps, Head, lid_curves
from .palette import IRIS, linear

LID_RED = np.array([0.75, 0.9, 0.9], np.float32)  # creases take less of the red
LASH_LINE = np.array([0.7, 0.9, 0.9], np.float32)
SCLERA = (222, 214, 208)


def paint_eyes(head: Head, maps: FaceMaps, expression: Expression, key: np.ndarray) -> None:
    """Paint both eyes into *maps*; *key* (3,) points to the key light in camera space."""
    for side in SIDES:
        _paint_eye(head, maps, expression, key, side)


def _paint_eye(head: Head, maps: FaceMaps, expression: Expression, key: np.ndarray, side: int) -> None:
    identity, blink = head.identity, expression.blink
    middle, width = side * identity.eye_x, identity.eye_width
    part = window(middle - 0.36, -0.30, middle + 0.36, 0.26)
    u, v = side * (X[part] - middle), Y[part]  # u grows toward the temple
    upper, lower = lid_curves(identity, expression, u)
    inside = np.clip(1 - (np.abs(u) - width) / EDGE, 0, 1) * (np.abs(u) < width)
    opening = smoothstep(-EDGE, EDGE, v - upper) * smoothstep(-EDGE, EDGE, lower - v) * inside
    albedo = maps.albedo[part]

    lid = np.clip(1.12 - (u / width) ** 2 * 0.55, 0, 1) * (np.abs(u) < width * 1.25)
    crease = _crease(head, u, v, upper, blink) * lid
    albedo *= 1 - crease[..., None] * LID_RED
    ball = _eyeball(head, expression, side, u, v, upper)
    shown = opening[..., None]
    albedo[:] = albedo * (1 - shown) + ball * shown
    lashes, lower_lashes = _lashes(identity.male, width, u, v, upper, lower)
    albedo[:] = albedo * (1 - 0.82 * lashes[..., None]) + 0.012 * 0.82 * lashes[..., None]
    albedo *= 1 - lower_lashes[..., None] * LASH_LINE

    maps.gloss[part] *= 1 - opening
    height = maps.height[part]
    height += 0.013 * ridge(v - upper + 0.030, 0.020) * lid * (1 - opening) - 0.010 * crease
    globe = np.sqrt(np.clip(0.20**2 - u**2 - v**2, 0, 1)) - 0.16
    height[:] = height * (1 - opening) + (blur(height, 6) - 0.035 + 0.25 * globe) * opening
    occlusion = maps.occlusion[part]
    occlusion[:] = occlusion * (1 - opening) + 0.92 * opening
    maps.catch_light[part] += _catch_light(head, expression, key, side, u, v) * opening * (1 - blink)
    maps.catch_light[part] += 0.25 * ridge(v - lower + 0.010, 0.008) * opening  # the tear film


def _crease(head: Head, u: np.ndarray, v: np.ndarray, upper: np.ndarray, blink: float) -> np.ndarray:
    identity = head.identity
    fold = 1 - np.clip(np.abs(u) / identity.eye_width, 0, 1) ** 2
    line = upper - 0.052 - 0.035 * (1 - identity.lid_fold) * fold + 0.02 * blink
    return ridge(v - line, 0.011) * (0.30 + 0.25 * identity.lid_fold) * (1 - 0.5 * blink)


def _lashes(
    male: bool, width: float, u: np.ndarray, v: np.ndarray, upper: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage of the upper and the lower lashes, longer toward the temple."""
    wing = np.clip(1 - np.clip(u / width - 1, 0, 1) * 8, 0, 1) * (u > -width * 1.02) * (np.abs(u) < width * 1.15)
    above = ridge(v - upper + 0.006, 0.015 if male else 0.021) * wing * np.clip(1.05 - 0.25 * (u < -0.5 * width), 0, 1)
    below = ridge(v - lower - 0.005, 0.010) * (np.abs(u) < width) * (0.25 if male else 0.36)
    return np.clip(above, 0, 1), below


def _eyeball(
    head: Head, expression: Expression, side: int, u: np.ndarray, v: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Return the colour of sclera, iris and pupil (h, w, 3), in the shade of the upper lid."""
    identity = head.identity
    gaze_x, gaze_y, radius = side * expression.gaze_x, expression.gaze_y - 0.006, identity.iris_radius
    distance = np.hypot(u - gaze_x, v - gaze_y + 0.35 * upper * expression.blink)
    out = np.clip(np.abs(u) / identity.eye_width, 0, 1)[..., None]
    white = linear(SCLERA) * 0.64
    white = white * (1 - 0.30 * out**2 * np.array([0.7, 1.1, 1.1], np.float32))
    caruncle = ridge(u + identity.eye_width, 0.035)[..., None]
    white = white * (1 - 0.35 * caruncle * np.array([0.15, 0.9, 0.8], np.float32))
    iris_cover = (1 - smoothstep(radius - EDGE, radius + EDGE, distance))[..., None]
    pupil = (1 - smoothstep(0.40 * radius - EDGE, 0.40 * radius + EDGE, distance))[..., None]
    ball = white * (1 - iris_cover) + _iris(head, distance, u - gaze_x, v - gaze_y) * iris_cover
    ball = ball * (1 - pupil) + 0.006 * pupil
    return ball * (0.38 + 0.62 * smoothstep(0.0, 0.075, v - upper))[..., None]


def _iris(head: Head, distance: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
    """Return the colour of the iris: spokes, a dark limbus, light gathered at the bottom."""
    radius = head.identity.iris_radius
    spokes = np.interp(np.arctan2(dv, du), np.linspace(-np.pi, np.pi, 64), head.iris_spokes).astype(np.float32)
    shade = 1 + 0.25 * spokes * smoothstep(0.25 * radius, 0.6 * radius, distance)
    shade = shade * (1.15 - 0.35 * smoothstep(0.6 * radius, radius, distance))
    shade = shade * (1 + 0.36 * np.clip(dv / radius, -1, 1))
    shade = shade * (1 - 0.6 * ridge(distance - 0.95 * radius, 0.10 * radius))
    return linear(IRIS[head.identity.iris_color]) * shade[..., None]


def _catch_light(
    head: Head, expression: Expression, key: np.ndarray, side: int, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Return the key light's reflection, on its side of the iris."""
    radius = head.identity.iris_radius
    right, down = float(np.clip(key[0] * 1.3, -1, 1)), float(np.clip(key[1] * 1.3 - 0.2, -1, 1))
    x = side * (expression.gaze_x + 0.42 * radius * right)
    y = expression.gaze_y - 0.006 + 0.45 * radius * down
    return 0.75 * (1 - smoothstep(0.020, 0.034, np.hypot(u - x, (v - y) * 1.2)))
