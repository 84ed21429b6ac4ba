"""FaceSwap: one still of the source, warped onto the target in every frame.

Artifacts: a hard boundary, inconsistent colour and light direction, stretched skin texture and eyes that never blink.
"""

from __future__ import annotations

import numpy as np

from ..canvas import blur
from ..geometry import FACE, FOREHEAD, eroded, face_width, hull, warp, with_forehead
from .common import Footage, Forgery, track, transfer_color

UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [40, 41, 46, 47]


def forge(target: Footage, source: Footage, rng: np.random.Generator) -> Forgery:
    """Return *target* with the face of *source*."""
    target_points = track(target.landmarks, rng, 0.45)
    still = _still(source.landmarks)
    texture = source.frames[still].astype(np.float32)
    texture_points = with_forehead(source.landmarks[still] + rng.normal(0, 0.4, (68, 2)))
    color = float(np.clip(rng.normal(0.60, 0.08), 0.4, 0.8))
    feather = float(rng.uniform(0.006, 0.020))  # face widths
    tint = rng.normal(0, 3.5, 3).astype(np.float32)  # levels
    forgery = Forgery([], [])
    for frame, points in zip(target.frames, target_points, strict=True):
        original = frame.astype(np.float32)
        goal = with_forehead(points)
        face, defined = warp(texture, texture_points, goal, target.shape)
        width = face_width(goal)
        mask = hull(np.vstack([goal[list(FACE)], goal[FOREHEAD]]), target.shape) * defined
        weight = blur(eroded(mask, width * 0.03), feather * width)
        forgery.blend(original, transfer_color(face, original, weight, color, 0.35) + tint, weight)
    return forgery


def _still(landmarks: np.ndarray) -> int:
    """Return a frame with normally open eyes: the 60th percentile of the opening."""
    opening = landmarks[:, LOWER_LIDS, 1].sum(1) - landmarks[:, UPPER_LIDS, 1].sum(1)
    return int(np.argsort(opening, kind="stable")[int(0.6 * len(landmarks))])
