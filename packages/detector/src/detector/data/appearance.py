"""The appearance of a crop regardless of the face: sharpness, frequencies and colours.

`appearance` is compared with that of the validation crops (`detector.ranges`): photographs differ from rendered faces,
and other cameras from those of the validation, before any forgery.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["appearance", "sharpness"]

SMALLEST = 0.02  # added to a mean amplitude before its logarithm, in gray levels
_K = np.arange(8)
_DCT = np.sqrt(2 / 8) * np.cos((2 * _K[None] + 1) * _K[:, None] * np.pi / 16)  # T.81, A.3.3
_DCT[0] /= math.sqrt(2)
_DIAGONAL = np.add.outer(_K, _K).ravel()
_OF_DIAGONAL = (np.arange(1, 15)[:, None] == _DIAGONAL) / np.bincount(_DIAGONAL)[1:, None]  # (14, 64)


def sharpness(gray: NDArray[np.uint8]) -> float:
    """Return the binary logarithm of the variance of the Laplacian of *gray*, uint8 (H, W)."""
    return math.log2(float(cv2.Laplacian(gray, cv2.CV_32F).var()) + 1e-3)


def appearance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return 35 numbers that describe *image*, uint8 RGB (H, W, 3) of at least 8 x 8.

    Logarithms of the mean amplitudes of the DCT of 8 x 8 blocks: of luma on its 14 diagonals, of both chroma components
    on 7 pairs of diagonals; then mean and logarithm of the deviation of each component, and the logarithm of the
    kurtosis of luma's fine detail.
    """
    components = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.float64)
    found = []
    for number in range(3):
        pixels = components[..., number]
        rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
        blocks = pixels[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
        amplitude = np.abs(_DCT @ blocks @ _DCT.T).mean(axis=(0, 1)).ravel()
        level = np.log(_OF_DIAGONAL @ amplitude + SMALLEST)
        found += [level if number == 0 else level.reshape(7, 2).mean(axis=1)]
        found += [np.array([pixels.mean() / 32, math.log(pixels.std() + 1)])]
    fine = components[..., 0] - cv2.GaussianBlur(components[..., 0], (0, 0), 1.5)
    fine -= fine.mean()
    kurtosis = float((fine**4).mean() / ((fine**2).mean() ** 2 + 1e-9))
    return np.append(np.concatenate(found), math.log(kurtosis + 1e-3))
