"""DCT-scaled JPEG and SmartScale streams.

Two sizes describe such an image. Its samples are transformed in squares of ``dct_size`` x ``dct_size``, and
``block_size`` x ``block_size`` coefficients of each square are coded. The coded image is scaled by
``block_size / dct_size``: ceil(W * block_size / dct_size) x ceil(H * block_size / dct_size).

This is ``cjpeg -block N -scale M/N`` of the Independent JPEG Group with M = ``block_size`` and N = ``dct_size``.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from numpy.typing import ArrayLike

from ._encode import NO_MARKERS, encode, take
from ._engine import coded, note_engine
from ._inputs import Background, picture_of
from ._metadata import Metadata, c_markers, segments_told
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, Quality, encode_options, encoder_error, integer, is_sequential
from ._pixels import describe

_WITHOUT_MEANING: Mapping[str, tuple[object, str]] = {
    # option -> (the only allowed value, the reason)
    "overshoot_deringing": (False, "deringing needs squares of 8 x 8 samples"),
    "dct_method": (None, "DCTs of other sizes than 8 are calculated in floating point"),
    "lossless": (None, "lossless JPEG has no DCT"),
    "precision": (8, "samples have 8 bits"),
}


_OWN_MARKER = (0xE9, b"SmartScale\0")
"""Says that a sequential stream is SmartScale: without it or a request it is read as other decoders read it."""


def check_scaled_options(options: Mapping[str, object]) -> None:
    """Raise ValueError for an option that has no meaning with other sizes of the DCT."""
    for name, (nothing, reason) in _WITHOUT_MEANING.items():
        if name in options and options[name] != nothing:
            raise ValueError(f"{name}={options[name]!r} is not possible: {reason}")


class ScaledPicture:
    """An image as DCT coefficients before quantization: prepared once, encoded at many qualities.

    *quality* and *options* decide colour space and sampling here; :meth:`encode` raises
    :class:`mozcodec.UnsupportedError` for others. Several threads may share an image.
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
        check_scaled_options(options)
        settings = encode_options(quality, options)
        struct, alive = describe(image, pixel_format)
        status = ffi.new("mzc_status *")
        handle = lib.mzc_dct_open(struct, settings, block_size, dct_size, status)
        del alive
        if handle == ffi.NULL:
            raise encoder_error(status, settings)
        self._handle = ffi.gc(handle, lib.mzc_dct_close)
        self._block_size = block_size

    def encode(self, quality: Quality, options: EncodeOptions, segments: Any = None) -> bytes:
        """Return the image as a stream of this quality."""
        check_scaled_options(options)
        settings = encode_options(quality, options)
        if self._block_size != 8 and is_sequential(settings):
            segments = [_OWN_MARKER, *(segments or [])]
        markers = c_markers(segments) if segments else NO_MARKERS
        out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        if coded(
            lambda engine: lib.mzc_dct_encode(self._handle, settings, markers[0], len(markers[1]), engine, out, status),
            settings,
            status,
        ):
            raise encoder_error(status, settings)
        note_engine(status)
        return take(out)


def smartscale_options(options: EncodeOptions) -> EncodeOptions:
    """Return *options* with ``progressive=True`` unless they choose: other decoders show sequential streams wrongly."""
    if "progressive" in options or "scan_script" in options:
        return options
    return {**options, "progressive": True}


def encode_scaled(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    dct_size: int,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as an ordinary JPEG of 8/N of its size, N = *dct_size* = 1..16. Every decoder reads it.

    Squares of N x N samples are transformed by a DCT of N points, and the lowest 8 x 8 frequencies are coded. The
    result is ceil(8 W / N) x ceil(8 H / N): N = 16 halves the image, 8 is
    :func:`mozcodec.encode`, 4 doubles it, 1 gives eight times its size. (In :func:`mozcodec.decode`, ``scale`` is the M
    of M/8.)

    The rest is as in :func:`mozcodec.encode`, trellis quantization, scan search and arithmetic coding included.
    ``overshoot_deringing``, ``dct_method``, ``lossless`` and ``precision`` have no effect unless N is 8. Chroma is
    subsampled as by the Independent JPEG Group's encoder (libjpeg 7 and later): by a DCT of twice the size up to 16
    points, by averages beyond.

    Raises the errors of :func:`mozcodec.encode`, and :class:`mozcodec.LimitError` for a result beyond 65535 pixels.
    """
    return encode_smartscale(
        image,
        quality,
        block_size=8,
        dct_size=dct_size,
        pixel_format=pixel_format,
        layout=layout,
        background=background,
        icc_profile=icc_profile,
        exif=exif,
        xmp=xmp,
        comment=comment,
        metadata=metadata,
        **options,
    )


def encode_smartscale(
    image: ArrayLike,
    quality: Quality = 75,
    *,
    block_size: int,
    dct_size: int | None = None,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return *image* as a SmartScale stream with blocks of N x N coefficients, N = *block_size* = 1..16.

    With *dct_size* = n (default N) the image is scaled by N/n, to ceil(W N / n) x ceil(H N / n); factors are 1/16 to
    16. Above N = 8 the lowest 8 x 8 coefficients of a block are coded; with
    N = 8 the stream is ordinary JPEG. ``block_size=1, color_space="rgb"`` is lossless at a quality of 74 or more (whose
    first table entry is 8 at most).

    **Only mozcodec and libjpeg 8 to 9f of the Independent JPEG Group read SmartScale.** Streams are progressive, so
    that other decoders refuse them. ``progressive=False`` is possible from N = 9 on, but decoders that do not know
    SmartScale show a wrong image without an error. mozcodec marks such files (APP9), and reads others of their kind
    with ``smartscale=True`` only.

    The rest is as in :func:`mozcodec.encode_scaled`. Below N = 8, ``scan_script`` counts coefficients along the zigzag
    of N x N.

    Raises the errors of :func:`mozcodec.encode_scaled`, :class:`mozcodec.UnsupportedError` for a sequential stream of
    N < 8, and :class:`mozcodec.LimitError` for one that is larger than 65535 N / 8 pixels.
    """
    if layout != "hwc" or background is not None:
        image, pixel_format = picture_of(image, pixel_format, layout, background)
    block = integer("block_size", block_size, 1, 16)
    size = block if dct_size is None else integer("dct_size", dct_size, 1, 16)
    if block == size == 8:
        return encode(
            image,
            quality,
            pixel_format=pixel_format,
            icc_profile=icc_profile,
            exif=exif,
            xmp=xmp,
            comment=comment,
            metadata=metadata,
            **options,
        )
    segments = segments_told(metadata, icc_profile, exif, xmp, comment)
    settings = options if block == 8 else smartscale_options(options)
    picture = ScaledPicture(image, quality, settings, block_size=block, dct_size=size, pixel_format=pixel_format)
    return picture.encode(quality, settings, segments)
