"""Arrays as libjpeg sees them: what layouts are taken as they are, what is copied, what is refused."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._mozjpeg import ffi
from ._options import MAX_DIMENSION, PIXEL_FORMATS, choice

FORMAT_OF_CHANNELS = {1: "gray", 3: "rgb"}


def _as_array(image: ArrayLike, precision: int) -> NDArray[Any]:
    array = np.asarray(image)
    wanted = np.uint8 if precision == 8 else np.uint16
    if array.dtype == np.uint16 and precision == 8:
        raise TypeError("uint16 pixels need precision=12, or precision=16 with lossless=1..7; or scale them to uint8")
    if array.dtype != wanted:
        raise TypeError(f"pixels must be {wanted.__name__} at precision {precision}, got {array.dtype}")
    if precision > 8 and array.size and int(array.max()) >= 1 << precision:
        raise ValueError(f"precision {precision} holds 0..{(1 << precision) - 1}, the image reaches {int(array.max())}")
    return array


def _format_of(array: NDArray[Any], pixel_format: str | None) -> tuple[int, int]:
    channels = array.shape[2] if array.ndim == 3 else 1
    if pixel_format is None:
        if channels == 4:
            raise ValueError("4 channels: say pixel_format='rgba', 'bgra', 'argb', 'abgr', 'cmyk' or 'ycck'")
        if channels not in FORMAT_OF_CHANNELS:
            raise ValueError(f"an image has 1, 3 or 4 channels, got shape {array.shape}")
        pixel_format = FORMAT_OF_CHANNELS[channels]
    code, wanted = choice("pixel_format", pixel_format, PIXEL_FORMATS)
    if channels != wanted:
        raise ValueError(f"pixel_format {pixel_format!r} has {wanted} channels, got shape {array.shape}")
    return code, wanted


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"an image has at least one pixel, got {height} rows of {width}")
    if height > MAX_DIMENSION or width > MAX_DIMENSION:
        raise ValueError(f"a JPEG has at most {MAX_DIMENSION} rows and columns, got {height} x {width}")


def with_packed_pixels(array: NDArray[Any]) -> NDArray[Any]:
    """Return *array* itself where the samples of a row lie side by side (rows may lie anywhere), else a copy."""
    item = array.itemsize
    if array.ndim == 2:
        packed = array.strides[1] == item or array.shape[1] == 1
    else:
        channels = array.shape[2]
        packed = (array.strides[2] == item or channels == 1) and (
            array.strides[1] == item * channels or array.shape[1] == 1
        )
    return array if packed else np.ascontiguousarray(array)


def address_of(array: NDArray[Any]) -> Any:
    """Return the address of the first sample as cffi's ``void *``; *array* must be kept alive."""
    return ffi.cast("void *", array.__array_interface__["data"][0])


def describe(image: ArrayLike, pixel_format: str | None, precision: int = 8) -> tuple[Any, NDArray[Any]]:
    """Return *image* as ``mzc_image *`` and the array that must live as long as it is used."""
    array = _as_array(image, precision)
    if array.ndim not in (2, 3):
        raise ValueError(f"an image is an array (H, W) or (H, W, channels), got shape {array.shape}")
    code, _ = _format_of(array, pixel_format)
    height, width = array.shape[:2]
    _check_size(height, width)
    array = with_packed_pixels(array)
    struct = ffi.new("mzc_image *")
    struct.pixels = address_of(array)
    struct.row_stride = array.strides[0]
    struct.width, struct.height = width, height
    struct.pixel_format = code
    struct.precision = precision
    return struct, array
