"""DCT-scaled JPEG and SmartScale streams.

Two sizes describe such a picture. Its samples are transformed in squares of ``dct_size`` x ``dct_size``; of each square
``block_size`` x ``block_size`` coefficients are coded. The coded picture has ``block_size / dct_size`` of the size of the
given one: ceil(W * block_size / dct_size) x ceil(H * block_size / dct_size).

The Independent JPEG Group's programs write the same two numbers as ``cjpeg -block N -scale M/N``.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from numpy.typing import ArrayLike

from ._encode import encode, take
from ._errors import error_of
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, Quality, encode_options, integer
from ._pixels import describe

_WITHOUT_MEANING: Mapping[str, tuple[object, str]] = {
    # option -> (a value that asks for nothing, why others cannot be had)
    "overshoot_deringing": (False, "deringing works on 8 x 8 samples"),
    "dct_method": (None, "a DCT of another size is calculated in floating point"),
    "lossless": (None, "lossless JPEG has no DCT"),
    "precision": (8, "samples have 8 bits here"),
}


def _check_options(options: Mapping[str, object]) -> None:
    for name, (nothing, reason) in _WITHOUT_MEANING.items():
        if name in options and options[name] != nothing:
            raise ValueError(f"{name}={options[name]!r}: {reason}")


class Coefficients:
    """A picture as DCT coefficients before quantization: prepared once, encoded at many qualities.

    Colour space and sampling are those of the *quality* and *options* given here; :meth:`encode` refuses others.
    """

    def __init__(
        self,
        image: ArrayLike,
        quality: Quality,
        options: EncodeOptions,
        *,
        block_size: int,
        dct_size: int,
        pixel_format: str | None,
    ) -> None:
        _check_options(options)
        settings = encode_options(quality, options)  # type: ignore[arg-type]
        struct, alive = describe(image, pixel_format, 8)
        status = ffi.new("mzc_status *")
        handle = lib.mzc_dct_open(struct, settings, block_size, dct_size, status)
        if handle == ffi.NULL:
            raise error_of(status)
        del alive
        self._handle = ffi.gc(handle, lib.mzc_dct_close)

    def encode(self, quality: Quality, options: EncodeOptions) -> bytes:
        """Return the picture as a stream of this quality."""
        settings = encode_options(quality, options)  # type: ignore[arg-type]
        out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        if lib.mzc_dct_encode(self._handle, settings, ffi.NULL, 0, out, status):
            raise error_of(status)
        return take(out)


def encode_scaled(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    dct_size: int,
    pixel_format: str | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as an ordinary JPEG of 8/N of its size, N = *dct_size* = 1..16: every decoder reads it.

    Squares of N x N samples are transformed by a DCT of N points, and the lowest 8 x 8 frequencies are coded, so that
    scaling is done where JPEG works anyway. N = 16 halves the picture, 8 is :func:`encode`, 4 doubles it; the size becomes
    ceil(8 W / N) x ceil(8 H / N). (:func:`decode` counts the other way: its ``scale`` is the M of M/8.)

    *image*, *quality*, *pixel_format* and *options* are those of :func:`encode`, with trellis quantization, scan search and
    arithmetic coding; ``overshoot_deringing``, ``dct_method``, ``lossless`` and 12-bit samples have no meaning here unless N
    is 8. Chroma is subsampled as by the Independent JPEG Group's encoder: by a DCT of twice the size as far as 16 points
    go, by averages beyond.

    Raises what :func:`encode` raises, and :class:`mozcodec.LimitError` for a result beyond 65500 pixels.
    """
    size = integer("dct_size", dct_size, 1, 16)
    if size == 8:
        return encode(image, quality, pixel_format=pixel_format, **options)
    picture = Coefficients(image, quality, options, block_size=8, dct_size=size, pixel_format=pixel_format)
    return picture.encode(quality, options)


def encode_smartscale(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    block_size: int,
    dct_size: int | None = None,
    pixel_format: str | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as a SmartScale stream of blocks of N x N coefficients, N = *block_size* = 1..16.

    The picture has its own size, unless *dct_size* = n (default N) is another: then N/n of it, ceil(W N / n) x
    ceil(H N / n), which gives every factor from 1/16 to 16. Above N = 8 the lowest 8 x 8 coefficients of a block are coded;
    with N = 8 the stream is an ordinary JPEG. ``block_size=1, color_space="rgb"`` with a quality of 74 or more (and the
    default table) is lossless.

    **Only this package and libjpeg 8 to 9f of the Independent JPEG Group read such streams.** They are progressive, so that
    other decoders refuse them. ``progressive=False`` is possible from N = 8 on, and dangerous: decoders that do not know
    SmartScale then show a wrong picture without a word.

    *image*, *quality*, *pixel_format* and *options* are those of :func:`encode_scaled`. Below N = 8, ``scan_script`` counts
    coefficients along the zigzag of N x N.

    Raises what :func:`encode_scaled` raises, :class:`mozcodec.UnsupportedError` for a sequential stream of N < 8, and
    :class:`mozcodec.LimitError` for one that is larger than 65500 N / 8 pixels.
    """
    block = integer("block_size", block_size, 1, 16)
    size = block if dct_size is None else integer("dct_size", dct_size, 1, 16)
    if block == 8:
        return encode_scaled(image, quality, dct_size=size, pixel_format=pixel_format, **options)
    if "progressive" not in options and "scan_script" not in options:
        options["progressive"] = True
    picture = Coefficients(image, quality, options, block_size=block, dct_size=size, pixel_format=pixel_format)
    return picture.encode(quality, options)
