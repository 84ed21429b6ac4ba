"""The canonical canvas, a flat map of a head on which static features are painted, and drawing functions.

Head space: the unit is half the cheekbone width, the origin lies between the eyes, x runs to the right of the image,
y down, z toward the camera. The canvas covers x in [-1.85, 1.85] and y in [-2.25, 2.70] with 112 pixels per unit (414 x
554). Every map is float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

Map = np.ndarray  # of float32

SCALE = 112  # pixels per unit
LEFT, RIGHT, TOP, BOTTOM = -1.85, 1.85, -2.25, 2.70
WIDTH, HEIGHT = int((RIGHT - LEFT) * SCALE), int((BOTTOM - TOP) * SCALE)
SHAPE = (HEIGHT, WIDTH)
EDGE = 1.3 / SCALE  # half the width of an anti-aliased edge, units

X, Y = np.meshgrid(
    (np.arange(WIDTH, dtype=np.float32) + 0.5) / SCALE + LEFT,
    (np.arange(HEIGHT, dtype=np.float32) + 0.5) / SCALE + TOP,
)
X.flags.writeable = Y.flags.writeable = False
SIDES = (-1, 1)  # the left and the right half of the image


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Return the canvas pixel coordinates of *points* (..., 2) given in head units."""
    return np.stack([(points[..., 0] - LEFT) * SCALE - 0.5, (points[..., 1] - TOP) * SCALE - 0.5], -1)


def window(left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
    """Return the rows and columns of the canvas between the given head coordinates."""
    return (
        slice(int((top - TOP) * SCALE), int((bottom - TOP) * SCALE)),
        slice(int((left - LEFT) * SCALE), int((right - LEFT) * SCALE)),
    )


def gaussian(cx: float, cy: float, sx: float, sy: float, rotation: float = 0.0) -> Map:
    """Return a Gaussian bump of height 1 at (cx, cy), standard deviations sx and sy, turned by *rotation* radians."""
    dx, dy = X - cx, Y - cy
    if rotation:
        c, s = float(np.cos(rotation)), float(np.sin(rotation))
        dx, dy = c * dx + s * dy, c * dy - s * dx
    return np.exp(-0.5 * ((dx / sx) ** 2 + (dy / sy) ** 2)).astype(np.float32)


def gaussians(cx: float, cy: float, sx: float, sy: float) -> Map:
    """Return the sum of two mirrored Gaussian bumps, at (-cx, cy) and (cx, cy)."""
    return gaussian(-cx, cy, sx, sy) + gaussian(cx, cy, sx, sy)


def ridge(distance: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(-distance^2 / 2 sigma^2), the profile of a line at a signed *distance* from it."""
    return np.exp(-0.5 * (distance / sigma) ** 2)


def smoothstep(low: float, high: float, x: np.ndarray) -> Map:
    """Return 0 below *low*, 1 above *high* (falling if low > high) and 3t^2 - 2t^3 between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def monotone_cubic(xs: Sequence[float], ys: Sequence[float] | np.ndarray, x: np.ndarray) -> Map:
    """Return a monotone cubic Hermite interpolant through (xs, ys), constant outside.

    Inner slopes are harmonic means of the two neighbouring secants, 0 at turning points (Fritsch and Butland, A method
    for constructing local monotone piecewise cubic interpolants, 1984).
    """
    knots, values = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    step = np.diff(knots)
    secant = np.diff(values) / step
    slope = np.empty_like(values)
    slope[0], slope[-1] = secant[0], secant[-1]
    product = secant[1:] * secant[:-1]
    slope[1:-1] = np.where(product > 0, 2 * product / (secant[1:] + secant[:-1] + 1e-12), 0)
    x = np.clip(x, knots[0], knots[-1])
    i = np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2)
    t = (x - knots[i]) / step[i]
    t2, t3 = t * t, t * t * t
    curve = (2 * t3 - 3 * t2 + 1) * values[i] + (t3 - 2 * t2 + t) * step[i] * slope[i]
    curve += (3 * t2 - 2 * t3) * values[i + 1] + (t3 - t2) * step[i] * slope[i + 1]
    return curve.astype(np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image after a Gaussian blur of *sigma* pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 1, gain: float = 0.5
) -> Map:
    """Return smooth noise of unit standard deviation: Gaussian lattices, cubically enlarged.

    *cell* is the lattice spacing in pixels; every further octave halves it and multiplies the amplitude by *gain*.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        rows, columns = max(2, int(np.ceil(height / cell)) + 3), max(2, int(np.ceil(width / cell)) + 3)
        lattice = rng.standard_normal((rows, columns)).astype(np.float32)
        large = cv2.resize(lattice, (int(columns * cell), int(rows * cell)), interpolation=cv2.INTER_CUBIC)
        margin = int(cell)
        total += amplitude * large[margin : margin + height, margin : margin + width]
        amplitude *= gain
        cell = max(1.0, cell / 2)
    return total / (total.std() + 1e-6)


def strands(rng: np.random.Generator, flow: np.ndarray, steps: int, cell: float) -> Map:
    """Return noise smeared along *flow* (HEIGHT, WIDTH, 2): hair, of zero mean and unit standard deviation.

    Line integral convolution (Cabral and Leedom, Imaging vector fields using line integral convolution, 1993), *steps*
    steps of 1.3 pixels in both directions, over noise with lattice spacing *cell*.
    """
    grain = noise(rng, SHAPE, cell)
    direction = unit(flow)
    columns, rows = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    total = grain.copy()
    for sign in (1, -1):
        x, y = columns.copy(), rows.copy()
        for _ in range(steps):
            step = cv2.remap(direction, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            x += sign * step[..., 0] * 1.3
            y += sign * step[..., 1] * 1.3
            total += cv2.remap(grain, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    total -= total.mean()
    return total / total.std()


def unit(flow: np.ndarray) -> Map:
    """Return *flow* (..., 2) scaled to vectors of length 1."""
    length = np.sqrt(flow[..., 0] ** 2 + flow[..., 1] ** 2) + 1e-6
    return (flow / length[..., None]).astype(np.float32)


def draw_strokes(
    strokes: Iterable[np.ndarray],
    box: tuple[float, float, float, float],
    width: float,
    opacity: float,
    supersampling: int = 3,
) -> Map:
    """Return the coverage of tapered *strokes*, each (n, 2) in head units, inside *box* (left, top, right, bottom).

    A stroke is *width* units wide at its root and 35 % of that at its tip; overlapping strokes are composited.
    """
    left, top, right, bottom = box
    fine = SCALE * supersampling
    paint = np.zeros((int((bottom - top) * fine), int((right - left) * fine)), np.float32)
    for points in strokes:
        _draw_stroke(paint, (points - (left, top)) * fine, width * fine, opacity)
    small = cv2.resize(
        paint, (int((right - left) * SCALE), int((bottom - top) * SCALE)), interpolation=cv2.INTER_AREA
    )
    canvas = np.zeros(SHAPE, np.float32)
    x, y = int((left - LEFT) * SCALE), int((top - TOP) * SCALE)
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return canvas


def _draw_stroke(paint: Map, points: np.ndarray, width: float, opacity: float) -> None:
    layer = np.zeros(paint.shape, np.uint8)
    corners = [tuple(int(v) for v in np.round(p * 16)) for p in points]  # 4 fractional bits
    for k in range(len(points) - 1):
        taper = 0.35 + 0.65 * (1 - k / (len(points) - 1))
        thickness = max(1, round(width * taper))
        cv2.line(layer, corners[k], corners[k + 1], 255, thickness, cv2.LINE_AA, 4)
    height, length = paint.shape
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    rows = slice(int(max(0, y0 - 8)), int(min(height, y1 + 9)))
    columns = slice(int(max(0, x0 - 8)), int(min(length, x1 + 9)))
    part = paint[rows, columns]
    part += layer[rows, columns].astype(np.float32) * (opacity / 255) * (1 - part)
