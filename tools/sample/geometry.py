"""Faces as landmarks: similarities, a fixed triangulation, piecewise affine warps.

Landmarks are the 68 points of iBUG 300-W in pixels; most functions take them with six forehead points appended (74).
Products of small matrices are written as sums, so that the result does not depend on the BLAS library.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

# slices of the 68 points
EYES, MOUTH, INNER_MOUTH = slice(36, 48), slice(48, 68), slice(60, 68)
BROWS = slice(17, 27)
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)  # as they lie in the image
LIDS = (37, 38, 40, 41, 43, 44, 46, 47)
FACE = (*range(17), *range(26, 16, -1))  # jaw and brows: the outline
FOREHEAD = slice(68, 74)
NOSE_TIP, NOSE_BASE = 30, 33

# A mean face of half-width 200. The triangulation is computed from it, not from a clip, so the pixels of a clip do not
# depend on the clips processed before.
MEAN_FACE = np.array(
    [
        (-200, 12), (-198, 65), (-191, 118), (-180, 171), (-168, 220), (-135, 269), (-103, 309), (-62, 337), (0, 357),
        (62, 337), (103, 309), (135, 269), (168, 220), (180, 171), (191, 118), (198, 65), (200, 12),
        (-146, -29), (-118, -39), (-90, -43), (-62, -39), (-37, -33), (37, -33), (62, -39), (90, -43), (118, -39),
        (146, -29), (0, 0), (0, 37), (0, 69), (0, 116), (-35, 141), (-17, 144), (0, 146), (17, 144), (35, 141),
        (-136, 7), (-110, -5), (-73, -5), (-48, 9), (-73, 19), (-110, 19),
        (48, 9), (73, -5), (110, -5), (136, 7), (110, 19), (73, 19),
        (-72, 212), (-45, 203), (-19, 199), (0, 203), (19, 199), (45, 203), (72, 212), (45, 232), (19, 240), (0, 243),
        (-19, 240), (-45, 232), (-65, 212), (-19, 215), (0, 216), (19, 215), (65, 212), (19, 220), (0, 222), (-19, 220),
    ],
    np.float64,
)  # fmt: skip


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the distance between two points (2,) in pixels."""
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def face_width(points: np.ndarray) -> float:
    """Return the distance between the two ends of the jaw line in pixels."""
    return distance(points[0], points[16])


def with_forehead(landmarks: np.ndarray) -> np.ndarray:
    """Return the 68 landmarks and six forehead points extrapolated from the brows, (74, 2)."""
    up = landmarks[27] - landmarks[8]
    up = up / np.hypot(up[0], up[1])
    nose = distance(landmarks[27], landmarks[NOSE_BASE])
    rise = np.array([0.25, 0.55, 0.70, 0.70, 0.55, 0.25])[:, None] * nose
    return np.vstack([landmarks, landmarks[[17, 19, 21, 22, 24, 26]] + rise * up])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the least-squares similarity (2, 3) that maps the points *source* (n, 2) to *target*."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    norm = (a * a).sum()
    c = (a * b).sum() / norm
    s = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    (x, y), (u, v) = source_mean, target_mean
    return np.array([[c, -s, u - c * x + s * y], [s, c, v - s * x - c * y]])


def apply_linear(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return *points* (..., 2) through the 2 x 2 part of *matrix*."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([matrix[0, 0] * x + matrix[0, 1] * y, matrix[1, 0] * x + matrix[1, 1] * y], -1)


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return *points* (..., 2) through the affine *matrix* (2, 3)."""
    return apply_linear(matrix, points) + matrix[:, 2]


@cache
def triangles() -> tuple[tuple[int, int, int], ...]:
    """Return the Delaunay triangulation of the mean face, as indices into the 74 points."""
    points = with_forehead(MEAN_FACE)
    points = points - (points.min(0) - 8)
    width, height = points.max(0) + 8
    subdivision = cv2.Subdiv2D((0, 0, int(width) + 1, int(height) + 1))
    for x, y in points.tolist():
        subdivision.insert((x, y))
    found = []
    for corners in np.asarray(subdivision.getTriangleList()).reshape(-1, 3, 2):
        away = np.abs(points[:, None] - corners).max(-1)  # (74, 3)
        indices = away.argmin(0)
        if away[indices, range(3)].max() < 1 and len(set(indices.tolist())) == 3:  # else a corner of the outer frame
            found.append((int(indices[0]), int(indices[1]), int(indices[2])))
    return tuple(found)


def warp(
    image: np.ndarray, source: np.ndarray, target: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return *image* with the face at *source* (74, 2) moved to *target*: pixels of *shape*, and where defined.

    Piecewise affine over `triangles`, sampled bilinearly.
    """
    x, y = _backward_map(source, target, shape)
    defined = ~np.isnan(x)
    x, y = np.nan_to_num(x, nan=-9), np.nan_to_num(y, nan=-9)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), defined


def _backward_map(source: np.ndarray, target: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the position in the source of each pixel of the target image, nan outside the face."""
    height, width = shape
    map_x = np.full(shape, np.nan, np.float32)
    map_y = np.full(shape, np.nan, np.float32)
    for triangle in triangles():
        (ax, ay), (bx, by), (cx, cy) = target[list(triangle)].tolist()
        (sax, say), (sbx, sby), (scx, scy) = source[list(triangle)].tolist()
        x0, x1 = max(0, int(np.floor(min(ax, bx, cx))) - 1), min(width, int(np.ceil(max(ax, bx, cx))) + 2)
        y0, y1 = max(0, int(np.floor(min(ay, by, cy))) - 1), min(height, int(np.ceil(max(ay, by, cy))) + 2)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if x1 <= x0 or y1 <= y0 or abs(area) < 1e-6:
            continue
        x, y = np.meshgrid(np.arange(x0, x1) - ax, np.arange(y0, y1) - ay)
        v = (x * (cy - ay) - y * (cx - ax)) / area  # barycentric coordinates of b, c and a
        w = (y * (bx - ax) - x * (by - ay)) / area
        u = 1 - v - w
        inside = (u >= -1e-4) & (v >= -1e-4) & (w >= -1e-4)
        map_x[y0:y1, x0:x1][inside] = (u * sax + v * sbx + w * scx)[inside]
        map_y[y0:y1, x0:x1][inside] = (u * say + v * sby + w * scy)[inside]
    return map_x, map_y


def hull(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the coverage 0..1 of the convex hull of *points*, anti-aliased, float32."""
    corners = cv2.convexHull(points.astype(np.float32)).reshape(-1, 1, 2)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)  # 4 fractional bits
    return mask.astype(np.float32) / 255


def eroded(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return *mask* shrunk by int(*radius*) pixels, at least one, with a disc."""
    r = max(1, int(radius))
    return cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)))
