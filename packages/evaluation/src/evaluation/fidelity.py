"""How close a decoded picture is to the original, and what it cost: PSNR, SSIM, bits per pixel.

Pictures are uint8, (H, W) or (H, W, channels), the values 0..255. Sums are exact integers; only the last steps are
floating point.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bits_per_pixel", "psnr", "ssim"]

WINDOW = 7                         # side of SSIM's square window, scikit-image's default
PEAK = 255.0
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def _checked(a: Any, b: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"pictures must have one shape, got {a.shape} and {b.shape}")
    for picture in (a, b):
        if picture.dtype != np.uint8:
            raise ValueError(f"pictures must be uint8 with the values 0..255, got {picture.dtype}")
        if picture.ndim not in (2, 3) or picture.size == 0:
            raise ValueError(f"pictures must be (H, W) or (H, W, channels) and not empty, got {picture.shape}")
    return a, b


def psnr(a: Any, b: Any) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB, 10 log10(255^2 / MSE); inf when they are identical.

    The mean square error is taken over all channels. Raises ValueError for other than two uint8 pictures of one shape.
    """
    a, b = _checked(a, b)
    difference = a.astype(np.int32) - b
    squares = int(np.square(difference).sum(dtype=np.int64))
    return 10 * math.log10(PEAK**2 * a.size / squares) if squares else math.inf


def _window_sums(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the sums over all 7 x 7 windows that lie inside: (H, W, ...) -> (H - 6, W - 6, ...), exact.

    Seven terms in four additions along each axis: pairs, then fours, then 4 + 2 + 1.
    """
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        pairs = values[:-1] + values[1:]
        fours = pairs[:-2] + pairs[2:]
        values = np.moveaxis(fours[:-3] + pairs[4:-1] + values[6:], 0, axis)
    return values


def ssim(a: Any, b: Any) -> float:
    """Return the mean structural similarity of two pictures, at most 1 (identical); channels are averaged.

    Wang et al. 2004 as scikit-image computes it by default: 7 x 7 uniform window, sample covariance (N - 1), K1 = .01,
    K2 = .03, data range 255, mean over the windows inside the picture. Raises ValueError for pictures smaller than
    7 x 7 and for other than two uint8 pictures of one shape.
    """
    a, b = _checked(a, b)
    if min(a.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW}, got {a.shape[:2]}")
    x, y = a.astype(np.int32), b.astype(np.int32)
    n = WINDOW * WINDOW                                          # window sums of squares stay below 2 * 49 * 255^2 < 2^31
    mean_x, mean_y = _window_sums(x) / n, _window_sums(y) / n
    product, squares = mean_x * mean_y, np.square(mean_x) + np.square(mean_y)
    covariance = (_window_sums(x * y) / n - product) * (n / (n - 1))
    variances = (_window_sums(x * x + y * y) / n - squares) * (n / (n - 1))
    similarity = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    return float(similarity.mean())


def bits_per_pixel(num_bytes: int, height: int, width: int) -> float:
    """Return 8 x *num_bytes* / (height x width): the size of a coded picture, colour channels not counted apart."""
    if num_bytes < 0 or height < 1 or width < 1:
        raise ValueError(f"need bytes >= 0 and a picture of at least 1 x 1, got {num_bytes} bytes, {height} x {width}")
    return 8 * num_bytes / (height * width)
