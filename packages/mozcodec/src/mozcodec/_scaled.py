"""DCT scaling and SmartScale: blocks of other sizes than 8x8, on the way in and in the file."""

from typing import Any, Unpack

from numpy.typing import ArrayLike

from ._encode import NO_MARKERS, encode, precision_of, take
from ._errors import error_of
from ._metadata import c_markers, segments_to_write
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, Quality, encode_options, integer
from ._pixels import describe

_NOT_HERE = ("lossless", "precision", "smoothing_factor", "overshoot_deringing", "dct_method")


class Planes:
    """The colour planes of a picture, and the coefficients made of them so far; for sweeps."""

    def __init__(self, image: ArrayLike, pixel_format: str | None, options: EncodeOptions) -> None:
        for name in _NOT_HERE:
            if name in options:
                raise ValueError(f"{name} works on 8x8 blocks of pixels and cannot go with another scale or block size")
        settings = encode_options(75, options)
        struct, alive = describe(image, pixel_format, precision_of(options))
        status = ffi.new("mzc_status *")
        handle = lib.mzc_planes_new(struct, settings, status)
        del alive
        if handle == ffi.NULL:
            raise error_of(status)
        self._planes = ffi.gc(handle, lib.mzc_planes_free)
        self._coefficients: dict[tuple[int, ...], Any] = {}

    def _sampling(self, settings: Any) -> tuple[Any, Any]:
        h, v, status = ffi.new("int[4]"), ffi.new("int[4]"), ffi.new("mzc_status *")
        if lib.mzc_planes_sampling(self._planes, settings, h, v, status):
            raise error_of(status)
        return h, v

    def coefficients(self, block_size: int, scale: int, settings: Any) -> Any:
        """Return the ``mzc_scaled`` of a pair of sizes, made once for each sampling."""
        h, v = self._sampling(settings)
        key = (block_size, scale, *h, *v)
        if key not in self._coefficients:
            status = ffi.new("mzc_status *")
            handle = lib.mzc_scaled_new(self._planes, block_size, scale, h, v, status)
            if handle == ffi.NULL:
                raise error_of(status)
            self._coefficients[key] = ffi.gc(handle, lib.mzc_scaled_free)
        return self._coefficients[key]

    def encode(
        self, block_size: int, scale: int, settings: Any, markers: tuple[Any, list[Any]] = NO_MARKERS
    ) -> bytes:
        """Return the JPEG of a pair of sizes."""
        out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        coefficients = self.coefficients(block_size, scale, settings)
        if lib.mzc_encode_scaled(coefficients, settings, markers[0], len(markers[1]), out, status):
            raise error_of(status)
        return take(out)


def smartscale_options(options: EncodeOptions) -> EncodeOptions:
    """Return *options* with progressive mode on unless they say otherwise: decoders refuse progressive SmartScale,
    and misread sequential SmartScale silently."""
    return {"progressive": True, **options}


def encode_scaled(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    scale: int,
    pixel_format: str | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as an ordinary JPEG of 8/scale of its size, scaled by the DCT itself: ceil(8 W / scale) wide.

    *scale* is N, 1..16: every NxN pixels become one 8x8 block, of whose DCT the 8x8 lowest frequencies stay (N > 8), or
    whose missing ones are 0 (N < 8). Chroma is subsampled by larger DCTs where IJG's libjpeg does that. Every decoder
    reads the file. mozjpeg's trellis and scan search work as in :func:`mozcodec.encode`, whose arguments these are;
    scale 8 is that function.

    The transforms are those of IJG's libjpeg 7 and later, but for N = 12 and 14, where IJG's are wrong in one
    frequency. Raises as :func:`mozcodec.encode`; ``ValueError`` for options that work on 8x8 blocks of pixels.
    """
    integer("scale", scale, 1, 16)
    if scale == 8:
        return encode(
            image, quality, pixel_format=pixel_format, icc_profile=icc_profile, exif=exif, xmp=xmp, comment=comment,
            **options,
        )  # fmt: skip
    segments = segments_to_write(icc_profile, exif, xmp, comment)
    settings = encode_options(quality, options)
    return Planes(image, pixel_format, options).encode(8, scale, settings, c_markers(segments))


def encode_smartscale(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    block_size: int,
    scale: int | None = None,
    pixel_format: str | None = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as a SmartScale stream of IJG's libjpeg 8 and later: blocks of block_size x block_size, 1..16.

    *scale*, 1..16, makes it block_size/scale of the picture's size (0.0625 .. 16); default block_size, the whole
    picture. Block size 8 is :func:`mozcodec.encode_scaled`.

    Only libjpeg 8 and later and :func:`mozcodec.decode` read such streams. They are progressive by default, which other
    decoders refuse; ``progressive=False`` writes sequential ones of block sizes above 8, which OpenCV and Pillow take
    for ordinary files and show as wrong pictures. Sizes below 8 are progressive only, and up to 8187 * block_size
    pixels wide and high.

    Lossless: block_size 1, ``color_space="rgb"`` or gray, qualities 74 and above.
    """
    integer("block_size", block_size, 1, 16)
    scale = block_size if scale is None else integer("scale", scale, 1, 16)
    if block_size == 8:
        return encode_scaled(
            image, quality, scale=scale, pixel_format=pixel_format, icc_profile=icc_profile, exif=exif, xmp=xmp,
            comment=comment, **options,
        )  # fmt: skip
    segments = segments_to_write(icc_profile, exif, xmp, comment)
    own = smartscale_options(options)
    return Planes(image, pixel_format, own).encode(block_size, scale, encode_options(quality, own), c_markers(segments))
