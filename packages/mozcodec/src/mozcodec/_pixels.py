"""Conversion of arrays to libjpeg's layouts: which are used in place, which are copied, which are rejected."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._inputs import as_array, picture_of, type_hint
from ._mozjpeg import ffi, lib
from ._options import MAX_DIMENSION, PIXEL_FORMATS, SUBSAMPLING, choice

FORMAT_OF_CHANNELS = {1: "gray", 3: "rgb"}
CODES: Mapping[tuple[str | None, int], int] = {
    **{(name, channels): code for name, (code, channels) in PIXEL_FORMATS.items()},
    **{(None, channels): PIXEL_FORMATS[name][0] for channels, name in FORMAT_OF_CHANNELS.items()},
}
"""(pixel format, number of channels) -> C's name of the format."""
PLAIN_CODES: Mapping[tuple[str | None, tuple[int, ...]], int] = {
    **{(name, (channels,)): code for (name, channels), code in CODES.items()},
    **{(name, ()): code for (name, channels), code in CODES.items() if channels == 1},
}
"""(pixel format, shape of a pixel) -> the same."""
_PLAIN_TYPES = (str, type(None))
UINT8, UINT16 = np.dtype(np.uint8), np.dtype(np.uint16)


def as_samples(image: ArrayLike, precision: int) -> NDArray[Any]:
    """Return *image* as an array of samples of *precision* bits: uint8 up to 8, otherwise uint16."""
    array = as_array(image)
    wanted = UINT8 if precision <= 8 else UINT16
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype != wanted:
        if precision == 8 and array.dtype == UINT16:
            needed = "precision=12, or precision=9..16 with lossless=1..7; or scale them to uint8"
            raise TypeError(f"uint16 pixels need {needed}")
        hint = type_hint(array.dtype) if precision == 8 else ""
        raise TypeError(f"pixels must be {wanted.name} at precision {precision}, got {array.dtype}{hint}")
    if precision not in (8, 16) and array.size and int(array.max()) >= 1 << precision:
        raise ValueError(f"precision {precision} holds 0..{(1 << precision) - 1}, the image reaches {int(array.max())}")
    return array


def code_of(shape: tuple[int, ...], pixel_format: str | None) -> int:
    """Return C's name of the pixel format of an array of this shape."""
    channels = shape[2] if len(shape) == 3 else 1
    try:
        return CODES[pixel_format, channels]
    except (KeyError, TypeError):
        pass
    if pixel_format is None:
        if channels == 4:
            raise ValueError("4 channels need pixel_format='rgba', 'bgra', 'argb', 'abgr', 'cmyk' or 'ycck'")
        if channels == 2:
            raise ValueError("2 channels need pixel_format='two': a file of two components without a colour space")
        hint = "; with layout='chw' it is the first" if len(shape) == 3 and shape[0] in (1, 3, 4) else ""
        raise ValueError(f"an image has 1, 3 or 4 channels, its last axis; got shape {shape}{hint}")
    _, wanted = choice("pixel_format", pixel_format, PIXEL_FORMATS)
    raise ValueError(f"pixel_format {pixel_format!r} has {wanted} channels, got shape {shape}")


def check_size(height: int, width: int) -> None:
    """Raise ``ValueError`` for sizes that no JPEG has."""
    if height < 1 or width < 1:
        raise ValueError(f"an image has at least one pixel, got {height} rows of {width}")
    if height > MAX_DIMENSION or width > MAX_DIMENSION:
        raise ValueError(f"a JPEG has at most {MAX_DIMENSION} rows and columns, got {height} x {width}")


def with_packed_pixels(array: NDArray[Any]) -> NDArray[Any]:
    """Return *array* itself if the samples of each row are contiguous, otherwise a copy."""
    if array.flags.c_contiguous:
        return array
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
    """Return a cffi pointer to the first sample; *array* must be kept alive."""
    if array.flags.c_contiguous:
        return ffi.from_buffer(array)  # 0.2 microseconds; NumPy's number takes 1.4
    return ffi.cast("void *", array.__array_interface__["data"][0])


def same(a: object, b: object) -> bool:
    """Return whether two values are equal; arrays may be inside tuples and dictionaries."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)  # type: ignore[arg-type]
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@cache
def zigzag(n: int) -> NDArray[np.intp]:
    """Return the place in the 8x8 block, row by row, of the k-th of n x n coefficients in zigzag order.

    T.81, figure 5, and the same for the blocks of SmartScale streams.
    """
    places = [8 * row + column for row in range(n) for column in range(n)]
    return np.array(sorted(places, key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8)), np.intp)


def fill(struct: Any, image: ArrayLike, pixel_format: str | None, precision: int) -> NDArray[Any]:
    """Fill *struct*, a ``mzc_image *``, with *image*; returns the array that must outlive it."""
    if type(image) is not np.ndarray:
        image, pixel_format = picture_of(image, pixel_format)
    array = np.asarray(image)
    shape = array.shape
    # Fast path for ordinary arrays: all checks in few steps, because every call pays for them.
    if precision == 8 and array.dtype is UINT8 and array.flags.c_contiguous and (type(pixel_format) in _PLAIN_TYPES):
        code = PLAIN_CODES.get((pixel_format, shape[2:]))
        if code is not None and len(shape) > 1 and 0 < shape[0] <= MAX_DIMENSION and 0 < shape[1] <= MAX_DIMENSION:
            struct.pixels = ffi.from_buffer(array)
            struct.row_stride = array.strides[0]
            struct.height, struct.width = shape[:2]
            struct.pixel_format = code
            struct.precision = 8
            return array
    return _fill_carefully(struct, array, pixel_format, precision)


def describe(image: ArrayLike, pixel_format: str | None, precision: int = 8) -> tuple[Any, NDArray[Any]]:
    """Return *image* as ``mzc_image *``, and the array that must outlive it."""
    struct = ffi.new("mzc_image *")
    return struct, fill(struct, image, pixel_format, precision)


def _fill_carefully(struct: Any, image: NDArray[Any], pixel_format: str | None, precision: int) -> NDArray[Any]:
    array = as_samples(image, precision)
    shape = array.shape
    if len(shape) not in (2, 3):
        raise ValueError(f"an image is an array (H, W) or (H, W, channels), got shape {shape}")
    struct.pixel_format = code_of(shape, pixel_format)
    check_size(shape[0], shape[1])
    struct.height, struct.width = shape[:2]
    array = with_packed_pixels(array)
    struct.pixels = address_of(array)
    struct.row_stride = array.strides[0]
    struct.precision = precision
    return array


def _factors_of_planes(luma: tuple[int, int], chroma: tuple[int, int]) -> tuple[int, int]:
    """Return the luma sampling factors for these shapes of the luma and chroma planes."""
    fitting = [
        (h, v) for h, v in SUBSAMPLING.values() if (-(-luma[0] // v), -(-luma[1] // h)) == chroma
    ]
    if not fitting:
        raise ValueError(f"no subsampling gives a chroma plane {chroma} for a luma plane {luma}")
    if len(fitting) > 1:
        raise ValueError(f"planes {luma} and {chroma} fit several subsamplings: choose one with subsampling=")
    return fitting[0]


def _plane(image: ArrayLike, precision: int) -> NDArray[Any]:
    array = as_samples(as_array(image, "a plane"), precision)
    if array.ndim != 2:
        raise ValueError(f"a plane is an array (H, W), got shape {array.shape}")
    check_size(*array.shape)
    return with_packed_pixels(array)


def describe_planes(
    image: ArrayLike | Sequence[ArrayLike], settings: Any, precision: int
) -> tuple[Any, Any, list[NDArray[Any]]]:
    """Return planes as ``mzc_image *``, the settings with their subsampling, and the arrays that must outlive it."""
    if precision not in (8, 12) or settings.lossless_predictor > 0:
        raise ValueError(f"planes have 8 or 12 bits and are not lossless, got precision={precision}")
    planes = [_plane(part, precision) for part in image]  # type: ignore[union-attr]
    if len(planes) not in (1, 2, 3):
        raise ValueError(f"planes are (Y,), (Y, Cb, Cr) or two without a colour space, got {len(planes)}")
    struct = ffi.new("mzc_image *")
    struct.height, struct.width = planes[0].shape
    struct.pixel_format, struct.precision, struct.num_planes = lib.MZC_PLANES, precision, len(planes)
    for i, plane in enumerate(planes):
        struct.planes[i], struct.plane_stride[i] = ffi.cast("void *", address_of(plane)), plane.strides[0]
        struct.plane_height[i], struct.plane_width[i] = plane.shape
    return struct, _with_sampling(settings, planes), planes


def _with_sampling(settings: Any, planes: list[NDArray[Any]]) -> Any:
    if len(planes) == 1:
        return settings
    if len(planes) == 3 and planes[1].shape != planes[2].shape:
        raise ValueError(f"the chroma planes differ: {planes[1].shape} and {planes[2].shape}")
    own = ffi.new("mzc_encode_options *", settings[0])
    if not own.num_sampling:
        same_size = len(planes) == 2 and planes[0].shape == planes[1].shape
        factors_of_first = (1, 1) if same_size else _factors_of_planes(planes[0].shape, planes[1].shape)
        own.h_samp_factor[0], own.v_samp_factor[0] = factors_of_first
        own.num_sampling = 1
        return own
    named = [(own.h_samp_factor[i], own.v_samp_factor[i]) for i in range(own.num_sampling)]
    factors = [*named, (1, 1), (1, 1)][: len(planes)]
    most_h, most_v = max(h for h, _ in factors), max(v for _, v in factors)
    height, width = planes[0].shape
    for plane, (h, v) in zip(planes, factors, strict=True):
        expected = -(-height * v // most_v), -(-width * h // most_h)
        if plane.shape != expected:
            raise ValueError(f"this subsampling needs a plane {expected}, got {plane.shape}")
    return own
