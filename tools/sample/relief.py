"""The height map of a head: a smooth skull with Gaussian bumps for the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import SCALE, SHAPE, Map, X, Y, blur, gaussian, gaussians, monotone_cubic, ridge, smoothstep
from .identity import Identity

ABS_X = np.abs(X)


@dataclass(slots=True)
class Relief:
    """The shape of a head on the canvas."""

    half_width: Map  # (HEIGHT, 1)
    height: Map  # z, for shading
    smooth_height: Map  # z without the steep rim, for projection
    alpha: Map  # 1 on the head, ears included
    ear: Map


def outline(identity: Identity, y: np.ndarray) -> Map:
    """Return half the width of the head at heights *y* (n,), units."""
    length, jaw, chin = identity.face_length, identity.jaw, identity.chin
    knots = (
        (-1.78, 0.02),
        (-1.70, 0.36),
        (-1.50, 0.66),
        (-1.20, 0.87),
        (-0.80, 0.95),
        (-0.30, 0.985 * identity.temple / 0.93),
        (0.15, 0.99),
        (0.50, 0.955),
        (0.80, 0.89 + 0.3 * (jaw - 0.77)),
        (1.05, 0.065 + jaw),
        (1.22 * length, jaw * 0.86 + chin * 0.13),
        (1.37 * length, jaw * 0.62 + chin * 0.37),
        (1.50 * length, jaw * 0.30 + chin * 0.74),
        (1.60 * length, jaw * 0.06 + chin * 0.98),
        (1.67 * length, chin * 0.82),
        (1.715 * length, 0.02),
    )
    heights, widths = zip(*knots, strict=True)
    return blur(monotone_cubic(heights, np.array(widths) * identity.width, y).reshape(-1, 1), 5).ravel()


def build_relief(identity: Identity, rng: np.random.Generator) -> Relief:
    """Return the shape of *identity*'s head; *rng* places the wrinkles."""
    half_width = outline(identity, Y[:, 0])[:, None]
    skull, smooth_skull = _skull(identity, half_width)
    features = (
        _eyes(identity)
        + _cheeks(identity)
        + _nasolabial_folds(identity)
        + _eye_bags(identity)
        + _nose(identity)
        + _mouth_and_chin(identity)
    )
    if identity.age > 0.25:
        features -= _wrinkles(identity, rng)
    face = smoothstep(-0.012, 0.014, half_width - ABS_X) * smoothstep(-1.78, -1.74, Y)
    face *= 1 - smoothstep(1.70 * identity.face_length, 1.735 * identity.face_length, Y)
    ear = _ear(identity) * (1 - face)
    height = np.where(ear > face, _ear_height(identity), skull + features).astype(np.float32)
    smooth = blur((smooth_skull + features).astype(np.float32), 0.035 * SCALE)
    return Relief(half_width, height, smooth, np.maximum(face, ear), ear)


def _skull(identity: Identity, half_width: Map) -> tuple[Map, Map]:
    """Return the depth profile along the middle, falling off to the outline; and the same with a gentler rim."""
    length = identity.face_length
    profile = monotone_cubic(
        [-1.8, -1.7, -1.5, -1.2, -0.9, -0.5, -0.25, -0.05, 0.3, 0.66, 0.95, 1.2,
         1.45 * length, 1.6 * length, 1.74 * length, 1.9],
        [0.05, 0.28, 0.62, 0.92, 1.05, 1.13, 1.14, 1.11, 1.10, 1.12, 1.15, 1.10, 1.12, 1.0, 0.62, 0.4],
        Y[:, 0],
    )  # fmt: skip
    profile = blur(profile[:, None], 9)
    across = ABS_X / np.maximum(half_width, 0.02)
    steep = profile * (1 - np.minimum(across, 0.985) ** 2.5) ** 0.62
    return steep, profile * (1 - np.minimum(across, 1.15) ** 2.1 * 0.82)


def _eyes(identity: Identity) -> Map:
    x = identity.eye_x
    sockets = -0.125 * gaussians(x, -0.005, 0.25, 0.155) - 0.055 * gaussians(0.20, -0.03, 0.07, 0.13)
    lids = 0.062 * gaussians(x, 0.0, 0.145, 0.085)
    brows = (0.03 + 0.045 * identity.brow_ridge) * gaussians(0.40, identity.brow_y + 0.02, 0.28, 0.075)
    return sockets + lids + brows


def _cheeks(identity: Identity) -> Map:
    bones = 0.085 * identity.cheek * gaussians(0.62, 0.36, 0.24, 0.20)
    return bones - 0.075 * identity.hollow * gaussians(0.63, 0.88, 0.20, 0.26)


def _nasolabial_folds(identity: Identity) -> Map:
    """Return the nasolabial folds: a groove from the nose past the corners of the mouth, and the bulge beside it."""
    along = 0.27 + 0.26 * np.clip((Y - 0.60) / 0.5, 0, 1) ** 0.8
    groove = ridge(ABS_X - along, 0.028) * smoothstep(0.52, 0.66, Y) * (1 - smoothstep(0.98, 1.16, Y))
    bulge = ridge(ABS_X - along - 0.09, 0.06) * smoothstep(0.5, 0.7, Y) * (1 - smoothstep(0.9, 1.15, Y))
    return (0.016 + 0.02 * identity.age) * bulge - (0.012 + 0.022 * identity.age) * groove


def _eye_bags(identity: Identity) -> Map:
    sag = Y - 0.135 + 0.10 * ((ABS_X - identity.eye_x) / 0.25) ** 2
    bags = ridge(sag, 0.016) * gaussians(identity.eye_x, 0.13, 0.16, 0.2)
    return -(0.004 + 0.012 * identity.age) * bags


def _nose(identity: Identity) -> Map:
    length, width = identity.nose_length, identity.nose_width
    tip_y = nose_tip_y(identity)
    down = (Y + 0.10) / length
    t = np.clip(down, 0, 1)
    height = identity.nose_height * (0.10 + 0.90 * t**1.25)
    breadth = identity.nose_bridge + (0.135 - identity.nose_bridge) * t**1.6
    back = height * np.exp(-0.5 * (ABS_X / breadth) ** 2.3)
    nose = back * (1 - smoothstep(0.86, 1.22, down)) * smoothstep(-0.26, 0.05, Y)
    nose += 0.10 * gaussian(0, tip_y, identity.nose_tip, 0.095)
    nose += 0.155 * gaussians(width - 0.055, tip_y + 0.055, 0.062, 0.065)  # wings
    nose -= 0.05 * gaussians(0.098, tip_y + 0.125, 0.045, 0.028)  # nostrils
    crease = ridge(np.hypot(ABS_X - width + 0.06, Y - tip_y - 0.05) - 0.095, 0.022)
    nose -= (
        0.035 * crease * smoothstep(0, 0.05, ABS_X - width + 0.06) * gaussians(width, tip_y + 0.03, 0.12, 0.10)
    )
    return nose - 0.022 * gaussian(0, tip_y + 0.26, 0.035, 0.075)  # philtrum


def nose_tip_y(identity: Identity) -> float:
    """Return the height of the ball of the nose, units."""
    return identity.nose_length - 0.13


def _mouth_and_chin(identity: Identity) -> Map:
    muzzle = 0.085 * gaussian(0, identity.mouth_y - 0.01, 0.33, 0.17)
    fold = 0.05 * gaussian(0, identity.mouth_y + 0.27, 0.20, 0.055)
    chin = 0.075 * gaussian(0, 1.47 * identity.face_length, 0.20, 0.12)
    return muzzle - fold + chin + 0.03 * gaussians(0.3, -0.68, 0.25, 0.2)  # and the brow of the skull


def _wrinkles(identity: Identity, rng: np.random.Generator) -> Map:
    """Return the depth of three lines across the forehead and of the crow's feet, from age .25 on."""
    strength = identity.age - 0.2
    shift = rng.uniform(-0.03, 0.03, 4)
    depth = np.zeros(SHAPE, np.float32)
    for k in range(3):
        line = -0.58 - 0.13 * k + 0.03 * np.cos(X * 3.1) + float(shift[k])
        depth += 0.010 * strength * ridge(Y - line, 0.012) * (1 - smoothstep(0.3, 0.62, ABS_X))
        c, s = float(np.cos(-0.35 + 0.33 * k)), float(np.sin(-0.35 + 0.33 * k))
        outward = ABS_X - identity.eye_x - 0.24
        down = Y - float(shift[3])
        along, across = c * outward + s * down, c * down - s * outward
        reach = smoothstep(0.0, 0.04, along) * (1 - smoothstep(0.10, 0.2, along))
        depth += 0.009 * strength * ridge(across, 0.010) * reach
    return depth


def _ear(identity: Identity) -> Map:
    radius = ((ABS_X - identity.width) / 0.125) ** 2 + ((Y - 0.20 - 0.3 * (ABS_X - 1.0)) / 0.33) ** 2
    return 1 - smoothstep(0.86, 1.06, radius)


def _ear_height(identity: Identity) -> Map:
    rim = 0.10 * ridge(ABS_X - 1.10 * identity.width, 0.035)
    return 0.10 + rim - 0.07 * gaussians(1.03 * identity.width, 0.2, 0.05, 0.15)


def ambient_occlusion(height: Map) -> Map:
    """Return ambient occlusion, 0..1, where 1 is unoccluded: heights relative to their surroundings at three scales."""
    depth = np.zeros(SHAPE, np.float32)
    for radius, strength in ((0.05, 1.6), (0.13, 1.4), (0.30, 0.9)):
        depth += strength * np.clip(blur(height, radius * SCALE) - height, -0.02, 0.2)
    return np.exp(-1.9 * np.clip(depth, 0, 1)).astype(np.float32)


