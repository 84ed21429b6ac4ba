"""Deepfakes: an autoencoder swap.

The source's face is re-rendered at low resolution with the target's expression. Artifacts: lower resolution than the
frame, wrong skin texture statistics, a soft boundary and a colour cast. Boundary and colour cast survive strong JPEG
compression.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from ..canvas import blur, smoothstep
from ..geometry import (
    EYES,
    FACE,
    FOREHEAD,
    MOUTH,
    apply_affine,
    apply_linear,
    eroded,
    face_width,
    hull,
    similarity,
    warp,
    with_forehead,
)
from .common import Footage, Forgery, high_pass_rms, track, transfer_color

BOX = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])  # three corners of the aligned box
BOX_WIDTH = 1.404  # face widths
OWN_OUTLINE = 0.35  # share of the source's own jaw, brows and forehead
OUTLINE = [*range(36), *range(68, 74)]
GRAIN_RMS = 2.95  # noise of this factor has unit deviation after the high-pass of `high_pass_rms`


def forge(target: Footage, source: Footage, rng: np.random.Generator) -> Forgery:
    """Return *target* with the face of *source*."""
    side = int(rng.integers(100, 138))  # of the decoder's output, pixels
    softness = float(rng.uniform(0.20, 0.45))  # decoder blur, low-resolution pixels
    grain = float(rng.uniform(0.1, 0.6))  # converters add grain to match the frame's
    feather = float(rng.uniform(0.045, 0.085))  # face widths
    color = float(rng.uniform(0.75, 0.97))
    sharpening = float(rng.uniform(0.0, 0.45))  # many converters sharpen the pasted face
    target_points, source_points = track(target.landmarks, rng), track(source.landmarks, rng)
    forgery = Forgery([], [])
    for frame, points, i in zip(
        target.frames, target_points, _nearest_frames(target_points, source_points), strict=True
    ):
        original = frame.astype(np.float32)
        goal = with_forehead(points)
        face, covered = _decode(source.frames[i], with_forehead(source_points[i]), goal, side, softness, target.shape)
        face = face + sharpening * (face - blur(face, 1.6))
        weight = _blend_weight(goal, covered, feather, target.shape)
        face = transfer_color(face, original, weight, color, 0.6)
        missing = max(high_pass_rms(original, weight) ** 2 - high_pass_rms(face, weight) ** 2, 0) ** 0.5
        noise = blur(rng.standard_normal(target.shape).astype(np.float32), 0.6) * GRAIN_RMS
        forgery.blend(original, face + (grain * missing * noise)[..., None], weight)
    return forgery


def _nearest_frames(target: np.ndarray, source: np.ndarray) -> Iterable[int]:
    """Return the source frame of the closest expression for each target shape; changing frames has a small cost."""
    last: int | None = None
    for goal in target:
        costs = []
        for i, shape in enumerate(source):
            gap = apply_affine(similarity(shape, goal), shape) - goal
            gap = np.abs(gap).mean(1)
            cost = 2 * gap[EYES].mean() + gap[MOUTH].mean() + 0.4 * gap[:36].mean()
            costs.append(cost + (0 if last is None else min(0.03 * abs(i - last), 0.3)))
        last = int(np.argmin(costs))
        yield last


def _decode(
    frame: np.ndarray, points: np.ndarray, goal: np.ndarray, side: int, softness: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the source's face at the *goal* (74, 2), having passed a box of *side* pixels; and its coverage 0..1."""
    own = apply_affine(similarity(points, goal), points)
    drawn = goal.copy()
    drawn[OUTLINE] += OWN_OUTLINE * (own[OUTLINE] - goal[OUTLINE])
    to_box = _to_box(goal, side)
    # shrink like a camera would: blur before sampling
    scale = float(np.hypot(to_box[0, 0], to_box[1, 0])) * face_width(goal) / face_width(points)
    prefiltered = blur(frame.astype(np.float32), max(0.3, 0.42 / max(scale, 0.2)))
    low, defined = warp(prefiltered, points, apply_affine(to_box, drawn), (side, side))
    inside = defined.astype(np.float32)[..., None]
    spread = blur(low * inside, 1.2) / np.maximum(blur(inside, 1.2), 0.05)[..., None]
    low = blur(spread * (1 - inside) + low * inside, softness)
    back = cv2.invertAffineTransform(to_box)
    size = shape[1], shape[0]
    face = cv2.warpAffine(low, back, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return face, cv2.warpAffine(inside[..., 0], back, size, flags=cv2.INTER_LINEAR)


def _to_box(goal: np.ndarray, side: int) -> np.ndarray:
    """Return the affine matrix (2, 3) from the frame to the box of *side* pixels, upright with the eyes."""
    eyes = goal[45] - goal[36]
    angle = np.arctan2(eyes[1], eyes[0])
    c, s = np.cos(angle), np.sin(angle)
    center = goal[17:68].mean(0)
    corners = center + apply_linear(np.array([[c, -s], [s, c]]), (BOX - 0.5) * BOX_WIDTH * face_width(goal))
    return cv2.getAffineTransform(corners.astype(np.float32), (BOX * (side - 1)).astype(np.float32))


def _blend_weight(goal: np.ndarray, covered: np.ndarray, feather: float, shape: tuple[int, int]) -> np.ndarray:
    width = face_width(goal)
    mask = eroded(hull(np.vstack([goal[list(FACE)], goal[FOREHEAD]]), shape), width * 0.045)
    weight = blur(mask, feather * width) * smoothstep(0.3, 0.95, blur(covered, 1.5))
    return np.clip(weight * 1.06, 0, 1)
