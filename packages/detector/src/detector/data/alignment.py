"""From a frame and two eye centres, or five points, to an aligned square crop.

The template is DeepfakeBench's: ArcFace's five points in a square of 112 pixels, shifted right by 8 and scaled down for
a margin of 1.3. If only the eyes are known, they are mapped to the template's eye positions: .242 of the side apart,
centred, .470 of the side from the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from .detection import Detection

INTER_EYE = 0.242
EYE_LINE = 0.470

# ArcFace's reference points (insightface), x y: eyes, nose, mouth corners; the left one in the image comes first
ARCFACE = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])
MARGIN = 1.3
# the same in units of the crop's side; at 256 px the eyes lie at (96.87, 120.43) and (158.83, 120.09)
FIVE_POINTS = ((ARCFACE + np.array([8, 0])) / 112 - 0.5) / MARGIN + 0.5


@dataclass(frozen=True, slots=True)
class Similarity:
    """Rotation, scale and shift from frame to crop pixels: ``crop = matrix @ (x, y, 1)``, matrix (2, 3)."""

    matrix: np.ndarray

    @property
    def scale(self) -> float:
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))


def align(eyes: np.ndarray, size: int) -> Similarity:
    """Return the similarity that maps *eyes* (2, 2), x y in frame pixels, to the template in a crop *size* wide.

    Pixel centres have integer coordinates, so the crop spans -.5 .. size - .5.
    """
    left = complex(*eyes[0])
    right = complex(*eyes[1])
    centre = complex(0.5 * size - 0.5, EYE_LINE * size - 0.5)
    turn = INTER_EYE * size / (right - left)
    shift = centre - turn * (left + right) / 2
    return Similarity(np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]))


def align_points(points: np.ndarray, size: int) -> Similarity:
    """Return the least-squares similarity from five *points* (5, 2), x y in frame pixels, to the template.

    Order: eyes, nose, mouth corners, each from left to right in the image. The method is Umeyama's, "Least-squares
    estimation of transformation parameters between two point patterns", PAMI 13 (1991), equations 40 to 43; reflections
    are excluded. Raises `ValueError` if all points coincide.
    """
    target = FIVE_POINTS * size - 0.5
    here, there = points.mean(axis=0), target.mean(axis=0)
    spread = ((points - here) ** 2).sum(axis=1).mean()
    if not spread > 0:
        raise ValueError(f"five different points are needed, got {points.tolist()}")
    u, singular, vt = np.linalg.svd((target - there).T @ (points - here) / len(points))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (singular * sign).sum() / spread
    return Similarity(np.column_stack([scale * rotation, there - scale * rotation @ here]))


def align_face(face: Detection, size: int) -> Similarity:
    """Return the similarity that maps *face* to the template, by its five points or, without them, by its eyes."""
    return align(face.eyes, size) if face.points is None else align_points(face.points, size)


def crop(image: np.ndarray, similarity: Similarity, size: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Return the *size* square of *image*, uint8 (H, W, 3) or (H, W), seen through *similarity*.

    When scaling down by a factor s, the image is first smoothed by a Gaussian of standard deviation .5 sqrt(1/s^2 - 1),
    which widens the assumed blur of .5 pixels to .5 output pixels. The border is reflected.
    """
    scale = similarity.scale
    sigma = 0.5 * np.sqrt(1 / scale**2 - 1) if scale < 1 else 0.0
    x, y, part = _needed(image, similarity.matrix, size, margin=int(np.ceil(4 * sigma)) + 4)
    matrix = similarity.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (x, y)
    if sigma > 0:
        part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return cv2.warpAffine(part, matrix, (size, size), flags=interpolation, borderMode=cv2.BORDER_REFLECT)


def crop_mask(mask: np.ndarray, similarity: Similarity, size: int) -> np.ndarray:
    """Return the *size* square of a forgery mask, uint8 (H, W, 3), through *similarity*: (size, size), 0 or 255.

    A mask decoded from video counts as set where any channel is above 127.
    """
    red, green, blue = np.moveaxis(mask, 2, 0)
    # ten times faster than mask.max(axis=2)
    binary = np.where(np.maximum(np.maximum(red, green), blue) > 127, np.uint8(255), np.uint8(0))
    return np.where(crop(binary, similarity, size, cv2.INTER_LINEAR) > 127, np.uint8(255), np.uint8(0))


def _needed(image: np.ndarray, matrix: np.ndarray, size: int, margin: int) -> tuple[int, int, np.ndarray]:
    """Return left, top and the part of *image* that the warp by *matrix* reads, so that only this part is smoothed."""
    corners = np.array([[-1, -1], [size, -1], [-1, size], [size, size]], float)
    source = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    spans = []
    for low, high, length in zip(source.min(axis=0), source.max(axis=0), image.shape[1::-1], strict=True):
        first, last = int(np.floor(low)) - margin, int(np.ceil(high)) + margin
        # pixels beyond a border are reflections of the same number of pixels inside it
        spans.append((max(0, min(first, 2 * length - last)), min(length, max(last, -first) + 1)))
    (left, right), (top, bottom) = spans
    return left, top, image[top:bottom, left:right]
