"""How close an image is to another: PSNR, SSIM, MS-SSIM and SSIMULACRA2."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._engine import CPU
from ._errors import OutOfMemoryError
from ._inputs import picture_of
from ._mozjpeg import ffi, lib
from ._pixels import address_of, describe, with_packed_pixels

SSIM_WINDOW = 7
MS_SSIM_SMALLEST = 176  # an 11 x 11 window at a sixteenth of the size
SSIMULACRA2_SMALLEST = 8
Picture = NDArray[np.uint8]


def _samples(picture: Picture) -> tuple[Any, Picture]:
    picture = with_packed_pixels(picture)
    struct = ffi.new("mzc_samples *")
    struct.first, struct.row_stride = ffi.cast("unsigned char *", address_of(picture)), picture.strides[0]
    struct.height, struct.width = picture.shape[:2]
    struct.channels = 1 if picture.ndim == 2 else picture.shape[2]
    return struct, picture


def _check_pair(a: Picture, b: Picture) -> None:
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.shape != b.shape:
        raise ValueError(f"both images must be uint8 of one shape, got {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    if a.ndim not in (2, 3) or a.size == 0:
        raise ValueError(f"an image is an array (H, W) or (H, W, C) with at least one pixel, got {a.shape}")


def _array(image: Any) -> Picture:
    """Return what :func:`mozcodec.encode` takes as an array, with its channels last."""
    array: Picture = image if isinstance(image, np.ndarray) else picture_of(image, None)[0]
    return array


def _pair(a: Picture, b: Picture) -> tuple[Any, Any, Any]:
    _check_pair(a, b)
    first, second = _samples(a), _samples(b)
    return first[0], second[0], (first[1], second[1])


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal-to-noise ratio in dB of two uint8 images, (H, W) or (H, W, C); inf for equal ones.

    10 log10(255² / mean squared error) over all samples, as scikit-image computes it. ValueError for other dtypes or
    different shapes.
    """
    a, b = _array(a), _array(b)
    first, second, alive = _pair(a, b)
    value = lib.mzc_psnr(first, second)
    del alive
    return float(value)


def ssim(a: Picture, b: Picture) -> float:
    """Return the structural similarity of two uint8 images of at least 7 x 7 pixels, (H, W) or (H, W, C).

    With a uniform 7 x 7 window, sample covariances and the mean over the channels, as scikit-image does by default
    (Wang et al., Image quality assessment: from error visibility to structural similarity, 2004). ValueError for
    smaller images, OutOfMemoryError where there is no memory for it.
    """
    a, b = _array(a), _array(b)
    first, second, alive = _pair(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got {a.shape}")
    value = ffi.new("double *")
    if lib.mzc_ssim(first, second, value):
        raise OutOfMemoryError("no memory for SSIM")
    del alive
    return float(value[0])


def _check_gray_or_rgb(name: str, picture: Picture, smallest: int) -> None:
    if picture.ndim == 3 and picture.shape[2] not in (1, 3):
        raise ValueError(f"{name} compares gray or RGB images, (H, W) or (H, W, 3), got {picture.shape}")
    if min(picture.shape[:2]) < smallest:
        raise ValueError(f"{name} needs at least {smallest} x {smallest} pixels, got {picture.shape}")


def ms_ssim(a: Picture, b: Picture) -> float:
    """Return the multi-scale structural similarity of two uint8 images of at least 176 x 176 pixels, (H, W) or
    (H, W, 3).

    Of RGB images it is that of the luma (BT.601). Five scales with the weights of the paper, an 11 x 11 Gaussian
    window inside the image (Wang, Simoncelli, Bovik, Multiscale structural similarity for image quality assessment,
    2003). A scale whose mean is negative makes it 0.
    ValueError for other shapes, OutOfMemoryError where there is no memory for it.
    """
    a, b = _array(a), _array(b)
    first, second, alive = _pair(a, b)
    _check_gray_or_rgb("MS-SSIM", a, MS_SSIM_SMALLEST)
    value = ffi.new("double *")
    if lib.mzc_ms_ssim(first, second, value):
        raise OutOfMemoryError("no memory for MS-SSIM")
    del alive
    return float(value[0])


def ssimulacra2(reference: Picture, distorted: Picture) -> float:
    """Return the SSIMULACRA2 score of *distorted*: 100 for equal images, 90 is visually lossless, 50 medium quality.

    Both are uint8 sRGB of one shape, gray or RGB, at least 8 x 8 pixels. It is version 2.1 of the published metric
    (https://github.com/cloudinary/ssimulacra2), with its weights; scores agree to about 0.1. As there, images of
    fewer than 256 pixels a side have fewer than six scales, and their scores do not compare with those of larger
    ones. Very bad files have negative scores. ValueError for other dtypes, different
    shapes and smaller images.
    """
    return compare(reference, distorted)[0]


def compare(reference: Picture, distorted: Picture, slopes: Any = ffi.NULL) -> tuple[float, float]:
    """Return the SSIMULACRA2 score and the weighted error below it; *slopes* may take the error's derivatives."""
    reference, distorted = _array(reference), _array(distorted)
    _check_pair(reference, distorted)
    _check_gray_or_rgb("SSIMULACRA2", reference, SSIMULACRA2_SMALLEST)
    first, first_alive = describe(reference, None)
    second, second_alive = describe(distorted, None)
    values = ffi.new("double[2]")
    if lib.mzc_ssimulacra2(first, second, CPU, values, values + 1, slopes):
        raise OutOfMemoryError("no memory for SSIMULACRA2")
    del first_alive, second_alive
    return float(values[0]), float(values[1])
