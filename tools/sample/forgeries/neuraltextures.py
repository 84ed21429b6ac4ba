"""NeuralTextures: the lower face, re-rendered as by a neural renderer, with the source's mouth movements.

Artifacts: smoothed skin, the two-pixel grid of a transposed convolution and a different mouth.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..canvas import blur
from ..geometry import MOUTH, NOSE_BASE, NOSE_TIP, eroded, face_width, hull, warp, with_forehead
from .common import Footage, Forgery, reenacted, track

CHIN = slice(3, 14)
NOSE_WINGS = [31, 35]


def forge(target: Footage, source: Footage, rng: np.random.Generator) -> Forgery:
    """Return *target* with the mouth movements of *source*."""
    target_points, source_points = track(target.landmarks, rng, 0.25), track(source.landmarks, rng, 0.25)
    gain = float(rng.uniform(0.75, 1.1))
    softness = float(rng.uniform(0.25, 0.50))  # renderer pixels
    imprint = float(rng.uniform(0.012, 0.035))
    feather = float(rng.uniform(0.035, 0.06))  # face widths
    cell = float(rng.uniform(0.78, 1.0))  # renderer pixels per frame pixel
    pattern = _draw_pattern(rng)
    shape = target.shape
    forgery = Forgery([], [])
    for frame, points, expressed in zip(
        target.frames, target_points, reenacted(target_points, source_points, gain), strict=True
    ):
        original = frame.astype(np.float32)
        before = with_forehead(points)
        after = before.copy()
        after[MOUTH] = expressed[MOUTH]
        after[CHIN] += 0.4 * (expressed[CHIN] - before[CHIN])
        warped, defined = warp(original, before, after, shape)
        face = _render(warped, cell, softness, imprint, pattern)
        width = face_width(before)
        mask = eroded(_lower_face(after, shape) * defined, width * 0.03)
        forgery.blend(original, face, blur(mask, feather * width))
    return forgery


def _draw_pattern(rng: np.random.Generator) -> np.ndarray:
    """Return the difference of the output phases of a stride-2 transposed convolution: mean 0, largest magnitude 1.

    (Odena, Dumoulin and Olah, Deconvolution and checkerboard artifacts, 2016.)
    """
    pattern = rng.normal(0, 1, 4).astype(np.float32)
    pattern -= pattern.mean()
    return (pattern / np.abs(pattern).max()).reshape(2, 2)


def _render(face: np.ndarray, cell: float, softness: float, imprint: float, pattern: np.ndarray) -> np.ndarray:
    """Return *face* resampled to the renderer's grid, smoothed, imprinted where there is detail, and resampled back."""
    height, width = face.shape[:2]
    columns, rows = int(width * cell) // 2 * 2, int(height * cell) // 2 * 2
    grid = cv2.resize(face, (columns, rows), interpolation=cv2.INTER_AREA)
    smooth = blur(cv2.bilateralFilter(grid, 5, 8, 1.6), softness)
    activity = np.abs(grid - blur(grid, 2.0)) + 0.25 * np.abs(cv2.Laplacian(smooth, cv2.CV_32F))
    activity = blur(activity, 1.5) + 1.2
    checkerboard = np.tile(pattern, (rows // 2, columns // 2))[..., None]
    smooth = smooth + imprint * 6.0 * checkerboard * activity / (1 + 0.08 * activity)
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)


def _lower_face(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the coverage of the face from the base of the nose down."""
    base, tip = points[NOSE_BASE], points[NOSE_TIP]
    wings = points[NOSE_WINGS] + 0.9 * (points[NOSE_WINGS] - base)
    return hull(np.vstack([points[CHIN], wings, base - 0.15 * (base - tip)]), shape)
