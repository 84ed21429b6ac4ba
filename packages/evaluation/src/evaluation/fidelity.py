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
Ints = NDArray[np.int32]
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


def _window_sums(values: Ints, row: int, pixel: int, pairs: Ints, fours: Ints) -> Ints:
    """Overwrite the flat picture *values* with the sums of the 7 x 7 windows that begin at each element; return them.

    *row* and *pixel* are the distances of neighbours below and to the right, *pairs* and *fours* scratch of the same
    size. Seven terms in four additions along each axis: pairs, then fours, then 4 + 2 + 1. Windows that run over a
    border hold nonsense; the caller cuts them off.
    """
    for step in (row, pixel):
        n = len(values)
        two = np.add(values[: n - step], values[step:], out=pairs[: n - step])
        seven = np.add(two[: n - 3 * step], two[2 * step :], out=fours[: n - 3 * step])[: n - 6 * step]
        seven += two[4 * step : n - 2 * step]
        values = np.add(seven, values[6 * step :], out=values[: n - 6 * step])
    return values


def ssim(a: Any, b: Any) -> float:
    """Return the mean structural similarity of two pictures, at most 1 (identical); channels are averaged.

    Wang et al. 2004 as scikit-image computes it by default: 7 x 7 uniform window, sample covariance (N - 1), K1 = .01,
    K2 = .03, data range 255, mean over the windows inside the picture. Raises ValueError for pictures smaller than
    7 x 7 and for other than two uint8 pictures of one shape.
    """
    a, b = _checked(a, b)
    height, width = a.shape[:2]
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW}, got {height} x {width}")
    pixel = a.size // (height * width)
    row = width * pixel
    # One block for all intermediate pictures: asking the system for fresh pages each time costs more than the sums.
    block = np.empty((7, a.size))
    x, y, products, squares, pairs, fours = block[:3].view(np.int32).reshape(6, a.size)
    x[:], y[:] = a.ravel(), b.ravel()
    np.multiply(x, y, out=products)
    np.square(x, out=squares)
    squares += np.square(y, out=pairs)
    sum_x, sum_y, sum_xy, sum_squares = (_window_sums(v, row, pixel, pairs, fours) for v in (x, y, products, squares))

    # Everything times n^2 (means) or n (n - 1) (covariances) is an integer, at most 4 (49 * 255)^2 < 2^31.
    n = WINDOW * WINDOW
    size = len(sum_x)
    mean_product = np.multiply(sum_x, sum_y, out=pairs[:size])
    mean_squares = np.square(sum_x, out=sum_x)
    mean_squares += np.square(sum_y, out=sum_y)
    covariance, variances = sum_xy, sum_squares
    covariance *= n
    covariance -= mean_product
    variances *= n
    variances -= mean_squares

    c1, c2 = n * n * C1, n * (n - 1) * C2
    luminance, contrast, luminances, contrasts = block[3:, :size]
    np.add(np.multiply(mean_product, 2.0, out=luminance), c1, out=luminance)
    np.add(np.multiply(covariance, 2.0, out=contrast), c2, out=contrast)
    np.add(mean_squares, c1, out=luminances)
    np.add(variances, c2, out=contrasts)
    luminance *= contrast
    luminances *= contrasts
    luminance /= luminances
    # window i begins at row i // row: rows 0..H-7, and of each the columns 0..W-7
    inside = [luminance[r * row : r * row + (width - WINDOW + 1) * pixel] for r in range(height - WINDOW + 1)]
    return float(np.concatenate(inside).mean())


def bits_per_pixel(num_bytes: int, height: int, width: int) -> float:
    """Return 8 x *num_bytes* / (height x width): the size of a coded picture, colour channels not counted apart."""
    if num_bytes < 0 or height < 1 or width < 1:
        raise ValueError(f"need bytes >= 0 and a picture of at least 1 x 1, got {num_bytes} bytes, {height} x {width}")
    return 8 * num_bytes / (height * width)
