"""Face2Face: the target's face, re-rendered from an averaged texture with the source's expression.

Artifacts: averaged skin, doubled or missing noise and a seam at the mouth. Strong JPEG compression removes all of them.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..canvas import blur
from ..geometry import (
    BROWS,
    FACE,
    INNER_MOUTH,
    LEFT_EYE,
    LIDS,
    MOUTH,
    RIGHT_EYE,
    distance,
    eroded,
    face_width,
    hull,
    warp,
    with_forehead,
)
from .common import Footage, Forgery, reenacted, track

CHEEKS_AND_CHIN = slice(2, 15)
AVERAGED_FRAMES = 5
SHADING_SCALE = 0.10  # face widths: coarser shading is the frame's own


def forge(target: Footage, source: Footage, rng: np.random.Generator) -> Forgery:
    """Return *target* with the expressions of *source*."""
    target_points, source_points = track(target.landmarks, rng, 0.25), track(source.landmarks, rng, 0.25)
    gain = float(rng.uniform(0.8, 1.15))
    feather = float(rng.uniform(0.018, 0.035))  # face widths
    own_detail = float(rng.uniform(0.30, 0.60))
    softness = float(rng.uniform(0.15, 0.40))  # pixels
    shape = target.shape
    reference = with_forehead(target_points[0])
    texture = blur(_average_texture(target, target_points, reference), softness)
    openings = np.array([_mouth_opening(points) for points in target_points])
    forgery = Forgery([], [])
    for i, (points, expressed) in enumerate(
        zip(target_points, reenacted(target_points, source_points, gain), strict=True)
    ):
        original = target.frames[i].astype(np.float32)
        before = with_forehead(points)
        after = _new_shape(before, expressed)
        width = face_width(before)
        rendered, defined = warp(texture, reference, after, shape)
        own, _ = warp(original, before, after, shape)
        rendered = _relit(rendered, own, defined, SHADING_SCALE * width)
        share = own_detail + (1 - own_detail) * _eye_weight(after, shape)
        rendered = rendered * (1 - share) + own * share
        best = _similar_mouth(openings, _mouth_opening(after), i)
        teeth, _ = warp(target.frames[best].astype(np.float32), with_forehead(target_points[best]), after, shape)
        mouth = blur(hull(after[INNER_MOUTH], shape), 0.9)[..., None]
        rendered = rendered * (1 - mouth) + teeth * mouth
        mask = eroded(hull(after[list(FACE)], shape) * defined, width * 0.025)
        forgery.blend(original, rendered, blur(mask, feather * width))
    return forgery


def _average_texture(target: Footage, points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the mean of a few frames, laid over the reference shape: (H, W, 3)."""
    chosen = np.linspace(0, len(target) - 1, min(AVERAGED_FRAMES, len(target))).astype(int)
    layers = [
        warp(target.frames[i].astype(np.float32), with_forehead(points[i]), reference, target.shape)[0] for i in chosen
    ]
    return np.mean(layers, 0)


def _new_shape(before: np.ndarray, expressed: np.ndarray) -> np.ndarray:
    """Return the frame's shape with the mouth of *expressed* (68, 2), part of its jaw and brows, and its own lids."""
    after = before.copy()
    after[MOUTH] = expressed[MOUTH]
    after[CHEEKS_AND_CHIN] += 0.45 * (expressed[CHEEKS_AND_CHIN] - before[CHEEKS_AND_CHIN])
    after[BROWS] += 0.5 * (expressed[BROWS] - before[BROWS])
    after[list(LIDS)] = before[list(LIDS)]
    return after


def _relit(rendered: np.ndarray, own: np.ndarray, defined: np.ndarray, sigma: float) -> np.ndarray:
    """Return *rendered* with the low frequencies of *own*, both inside the face only."""
    inside = defined.astype(np.float32)
    weight = np.maximum(blur(inside, sigma), 0.02)[..., None]
    return rendered + blur((own - rendered) * inside[..., None], sigma) / weight


def _eye_weight(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return where the eyes of the frame are kept, with gaze and blinks: (H, W, 1), 0..1."""
    eyes = np.maximum(hull(points[LEFT_EYE], shape), hull(points[RIGHT_EYE], shape))
    return blur(cv2.dilate(eyes, np.ones((5, 5), np.uint8)), 1.6)[..., None]


def _mouth_opening(points: np.ndarray) -> float:
    return distance(points[66], points[62])


def _similar_mouth(openings: np.ndarray, wanted: float, frame: int) -> int:
    """Return the frame whose mouth opening is closest to *wanted*, with a preference for frames nearby."""
    return int(np.argmin(np.abs(openings - wanted) + 0.02 * np.abs(np.arange(len(openings)) - frame)))
