"""Compress pixels and decompress them, without coding a file in between."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._decode import decode
from ._encode import encode
from ._engine import this_thread
from ._inputs import Background, channels_first, picture_of
from ._mozjpeg import ffi, lib
from ._options import DEFAULT_QUALITY, EncodeOptions, Quality, encode_options
from ._pixels import CODES, as_samples, check_size, code_of

WITH_FILE = frozenset(("distance", "effort", "lossless", "precision"))
"""Options that need a file."""
FORMATS = frozenset((lib.MZC_GRAY, lib.MZC_RGB, lib.MZC_BGR, lib.MZC_RGBA, lib.MZC_BGRA, lib.MZC_ARGB, lib.MZC_ABGR))


class Batch:
    """Images of one size in memory, and where the results go.

    *shape* and *strides* are those of (N, H, W, C), the strides in bytes; results are (N, H, W, C), contiguous.
    """

    __slots__ = ("out", "pixels", "shape", "struct")

    def __init__(
        self, source: int, shape: tuple[int, int, int, int], strides: tuple[int, ...], target: int, code: int
    ) -> None:
        _, height, width, channels = shape
        self.shape = shape
        self.pixels, self.out = ffi.cast("unsigned char *", source), ffi.cast("unsigned char *", target)
        self.struct = struct = ffi.new("mzc_recompression *")
        struct.pixels, struct.out = self.pixels, self.out
        struct.image_stride, struct.row_stride = strides[0], strides[1]
        struct.plane_stride = 0 if is_interleaved(shape, strides) else strides[3]
        struct.height, struct.width = height, width
        struct.pixel_format = struct.out_pixel_format = code
        struct.out_row_stride = width * channels
        struct.out_image_stride = height * width * channels

    def recompress(self, settings: Sequence[Any], first: int, last: int, through_file: Callable[[int], None]) -> None:
        """Recompress images *first* to *last*, exclusive; those that need a file by ``through_file(number)``."""
        whole = first == 0 and last == self.shape[0]  # otherwise other threads may have their parts
        struct = self.struct if whole else ffi.new("mzc_recompression *", self.struct[0])
        status, done = ffi.new("mzc_status *"), ffi.new("int *")
        engine = this_thread().engine
        while first < last:
            if first:
                struct.pixels = self.pixels + first * struct.image_stride
                struct.out = self.out + first * struct.out_image_stride
            struct.num_images = last - first
            options = ffi.new("mzc_encode_options *[]", settings[first:last])
            if not lib.mzc_recompress(struct, options, engine, done, status):
                return
            first += done[0]
            through_file(first)  # says what is wrong, too, if something is
            first += 1


def is_interleaved(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether the samples of each row lie side by side, pixel by pixel."""
    (width, channels), (step, between) = shape[-2:], strides[-2:]
    return (step == channels or width == 1) and (between == 1 or channels == 1)


def is_planar(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether these are three planes, each with its rows' samples side by side."""
    (width, channels), (step, between) = shape[-2:], strides[-2:]
    return channels == 3 and (step == 1 or width == 1) and between != 0


def recompress(
    image: ArrayLike,
    quality: Quality = DEFAULT_QUALITY,
    *,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    **options: Unpack[EncodeOptions],
) -> NDArray[Any]:
    """Return the pixels of *image* after compression to JPEG and decompression.

    They are those of ``decode(encode(image, quality, pixel_format=pixel_format, **options), pixel_format)``, as an
    array of the shape of *image*, in less time: without a file, nothing is entropy-coded. Options for which a file has
    to be written (arithmetic coding, scan scripts, other DCTs than islow, lossless files, RGB files, samples of
    more than 8 bits, ``distance``, ``engine``, ``max_memory``) go through one.

    *image*, *layout*, *background* and *options* are those of :func:`mozcodec.encode`, except planes; the result has
    the layout of *image*, and no alpha with *background*. Raises what `encode` raises.

    >>> seen = mozcodec.recompress(image, quality=40)      # what others see after an upload
    """
    if isinstance(pixel_format, str) and pixel_format == "planes":
        raise ValueError("recompress takes images, not planes: use encode and decode")
    image, pixel_format = picture_of(image, pixel_format, layout, background)
    if layout == "chw":
        return np.ascontiguousarray(channels_first(recompress(image, quality, pixel_format=pixel_format, **options)))
    array = np.asarray(image)
    if options.keys() - EncodeOptions.__annotations__.keys():
        encode_options(quality, options)  # raises
    code = CODES.get((pixel_format, array.shape[2] if array.ndim == 3 else 1)) if array.ndim in (2, 3) else None
    if code is None or code not in FORMATS or array.dtype != np.uint8 or options.keys() & WITH_FILE:
        return _through_file(array, quality, pixel_format, options).reshape(array.shape)
    array = as_samples(array, 8)
    code_of(array.shape, pixel_format)
    check_size(*array.shape[:2])
    pixels = array[None] if array.ndim == 3 else array[None, ..., None]
    if not (is_interleaved(pixels.shape, pixels.strides) or is_planar(pixels.shape, pixels.strides)):
        pixels = np.ascontiguousarray(pixels)
    out = np.empty(pixels.shape, np.uint8)
    batch = Batch(pixels.ctypes.data, pixels.shape, pixels.strides, out.ctypes.data, code)

    def through_file(_: int) -> None:
        out[0] = _through_file(array, quality, pixel_format, options).reshape(pixels.shape[1:])

    batch.recompress([encode_options(quality, options)], 0, 1, through_file)
    return out.reshape(array.shape)


def _through_file(
    array: NDArray[Any], quality: Quality, pixel_format: str | None, options: EncodeOptions
) -> NDArray[Any]:
    data = encode(array, quality, pixel_format=pixel_format, **options)
    if pixel_format is None:
        pixel_format = "gray" if array.ndim == 2 or array.shape[2] == 1 else "rgb"
    return decode(data, pixel_format)
