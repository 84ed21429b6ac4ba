"""From a frame and two eye centres, or five points, to an aligned square crop.

The template is DeepfakeBench's: ArcFace's five points in a square of 112 pixels, shifted right by 8 and scaled down for
a margin of 1.3. If only the eyes are known, they are mapped to the template's eye positions: .242 of the side apart,
centred, .470 of the side from the top. `framing` has other framings and keeps the crop inside the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

INTER_EYE = 0.242
EYE_LINE = 0.470

# ArcFace's reference points (insightface), x y: eyes, nose, mouth corners; the left one in the image comes first
ARCFACE = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])
MARGIN = 1.3
# the same in units of the crop's side; at 256 px the eyes lie at (96.87, 120.43) and (158.83, 120.09)
FIVE_POINTS = ((ARCFACE + np.array([8, 0])) / 112 - 0.5) / MARGIN + 0.5

# what lies beyond the image in a crop: black, as in DeepfakeBench
FILL = 0
EPSILON = 1e-6  # pixels


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


def align_points(points: np.ndarray, size: int, template: np.ndarray = FIVE_POINTS) -> Similarity:
    """Return the least-squares similarity from five *points* (5, 2), x y in frame pixels, to the *template*.

    Order: eyes, nose, mouth corners, each from left to right in the image. The method is Umeyama's, "Least-squares
    estimation of transformation parameters between two point patterns", PAMI 13 (1991), equations 40 to 43; reflections
    are excluded. Raises `ValueError` if all points coincide.
    """
    target = template * size - 0.5
    here, there = points.mean(axis=0), target.mean(axis=0)
    spread = ((points - here) ** 2).sum(axis=1).mean()
    if not spread > 0:
        raise ValueError(f"five different points are needed, got {points.tolist()}")
    u, singular, vt = np.linalg.svd((target - there).T @ (points - here) / len(points))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (singular * sign).sum() / spread
    return Similarity(np.column_stack([scale * rotation, there - scale * rotation @ here]))


def crop(image: np.ndarray, similarity: Similarity, size: int, enlarge: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Return the *size* square of *image*, uint8 (H, W, 3) or (H, W), seen through *similarity*.

    Shrinking averages areas: each crop pixel is the mean of k x k bilinear samples, k = the number of image pixels per
    crop pixel, rounded up; for an upright crop and a whole k these are the k x k pixels below it. Enlarging uses
    *enlarge*, by default OpenCV's bicubic kernel (Keys, a = -.75). Crop pixels whose centre lies beyond the image are
    `FILL`.
    """
    k = int(np.ceil(1 / similarity.scale - 1e-6))
    matrix = similarity.matrix.copy()
    if k > 1:  # the same square, k times as wide
        matrix = k * matrix
        matrix[:, 2] += (k - 1) / 2
    x, y, part = _needed(image, matrix, k * size)
    matrix[:, 2] += matrix[:, :2] @ (x, y)
    method = cv2.INTER_LINEAR if k > 1 else enlarge
    cut = cv2.warpAffine(part, matrix, (k * size, k * size), flags=method, borderMode=cv2.BORDER_REPLICATE)
    if k > 1:
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    cut[beyond(similarity, size, image.shape[:2])] = FILL
    return cut


def resized(square: np.ndarray, size: int, resample: str = "area") -> np.ndarray:
    """Return the *square* crop, uint8 (N, N, 3), at *size* x *size*.

    *resample*: ``area`` shrinks and enlarges as `crop` does, ``nearest`` takes the pixel below the centre of each new
    one, as Pillow's and Keras' nearest-neighbour kernel does.
    """
    side = square.shape[0]
    if side == size:
        return square
    if resample == "nearest":
        at = ((np.arange(size) + 0.5) * side / size).astype(int)
        return np.ascontiguousarray(square[at[:, None], at])
    scale = size / side
    shift = (scale - 1) / 2
    return crop(square, Similarity(np.array([[scale, 0, shift], [0, scale, shift]])), size)


def beyond(similarity: Similarity, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixels of a crop, bool (size, size), have their centre beyond an image of *shape*."""
    y, x = np.mgrid[:size, :size].reshape(2, -1).astype(float)
    at = np.linalg.inv(similarity.matrix[:, :2]) @ (np.stack([x, y]) - similarity.matrix[:, 2:])
    limit = np.array([[shape[1]], [shape[0]]]) - 0.5
    return np.asarray(((at < -0.5 - EPSILON) | (at > limit + EPSILON)).any(axis=0).reshape(size, size))


def crop_mask(mask: np.ndarray, similarity: Similarity, size: int) -> np.ndarray:
    """Return the *size* square of a forgery mask, uint8 (H, W, 3), through *similarity*: (size, size), 0 or 255.

    A mask decoded from video counts as set where any channel is above 127.
    """
    red, green, blue = np.moveaxis(mask, 2, 0)
    # ten times faster than mask.max(axis=2)
    binary = np.where(np.maximum(np.maximum(red, green), blue) > 127, np.uint8(255), np.uint8(0))
    return np.where(crop(binary, similarity, size, cv2.INTER_LINEAR) > 127, np.uint8(255), np.uint8(0))


def _needed(image: np.ndarray, matrix: np.ndarray, size: int) -> tuple[int, int, np.ndarray]:
    """Return left, top and the part of *image* that the warp by *matrix* reads: OpenCV takes at most 32,767 pixels."""
    corners = np.array([[-1, -1], [size, -1], [-1, size], [size, size]], float)
    source = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    spans = []
    for low, high, length in zip(source.min(axis=0), source.max(axis=0), image.shape[1::-1], strict=True):
        # at least one pixel, also of a square that lies beyond the image
        first = min(max(0, int(np.floor(low)) - 4), length - 1)
        spans.append((first, max(min(length, int(np.ceil(high)) + 5), first + 1)))
    (left, right), (top, bottom) = spans
    return left, top, image[top:bottom, left:right]
