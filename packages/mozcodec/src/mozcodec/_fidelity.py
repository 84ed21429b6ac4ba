"""PSNR and SSIM, as criteria for a search among files; nothing more."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import OutOfMemoryError
from ._mozjpeg import ffi, lib
from ._pixels import address_of, with_packed_pixels

SSIM_WINDOW = 7
Picture = NDArray[np.uint8]


def _samples(picture: Picture) -> tuple[Any, Picture]:
    picture = with_packed_pixels(picture)
    struct = ffi.new("mzc_samples *")
    struct.first, struct.row_stride = ffi.cast("unsigned char *", address_of(picture)), picture.strides[0]
    struct.height, struct.width = picture.shape[:2]
    struct.channels = 1 if picture.ndim == 2 else picture.shape[2]
    return struct, picture


def _pair(a: Picture, b: Picture) -> tuple[Any, Any, Any]:
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.shape != b.shape:
        raise ValueError(f"both pictures must be uint8 of one shape, got {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    first, second = _samples(a), _samples(b)
    return first[0], second[0], (first[1], second[1])


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal-to-noise ratio in dB of two uint8 pictures, (H, W) or (H, W, C); inf for equal ones."""
    first, second, alive = _pair(a, b)
    value = lib.mzc_psnr(first, second)
    del alive
    return float(value)


def ssim(a: Picture, b: Picture) -> float:
    """Return the structural similarity of two uint8 pictures of at least 7 x 7 pixels, (H, W) or (H, W, C).

    With a uniform 7 x 7 window, sample covariances and the mean over the channels, as scikit-image does by default
    (Wang et al., Image quality assessment: from error visibility to structural similarity, 2004).
    """
    first, second, alive = _pair(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got {a.shape}")
    value = ffi.new("double *")
    if lib.mzc_ssim(first, second, value):
        raise OutOfMemoryError("no memory for SSIM")
    del alive
    return float(value[0])
