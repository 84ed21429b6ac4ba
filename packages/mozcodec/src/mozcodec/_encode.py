"""Encode pixels as JPEG."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._engine import coded, handed_over, note_engine, this_thread
from ._errors import JpegWarning, LimitError
from ._inputs import Background, check_layout, picture_of, target_of
from ._metadata import DQT, SOF3, Metadata, c_markers, header_segments, segments_told
from ._mozjpeg import ffi, lib
from ._options import (
    DEFAULT_QUALITY,
    PIXEL_FORMATS,
    EncodeOptions,
    Quality,
    choice,
    encode_options,
    encoder_error,
    flag,
    integer,
)
from ._parallel import ordered_map
from ._perceptual import PerceptualSettings, encode_perceptually, perceptual_settings
from ._pixels import as_samples, describe, describe_planes, fill

Writable = bytearray | memoryview | NDArray[np.uint8]
_LIBRARY_BITS = (8, 12, 16)
NO_MARKERS: tuple[Any, list[Any]] = (ffi.NULL, [])


def precision_of(options: EncodeOptions) -> int:
    """Return the bits of a sample that *options* ask for."""
    if "precision" not in options:
        return 8
    bits = integer("precision", options["precision"], 2, 16)
    if "lossless" not in options and bits not in (8, 12):
        raise ValueError(f"precision={bits} needs lossless=1..7; without it precision is 8 or 12")
    if isinstance(options.get("lossless"), tuple) and options["lossless"][1] >= bits:  # type: ignore[index]
        raise ValueError(f"lossless={options['lossless']} shifts all {bits} bits of a sample out")
    return bits


def _widened(image: ArrayLike, pixel_format: str | None, bits: int) -> tuple[NDArray[np.uint16], str | None]:
    """Return samples of *bits* for a lossless file of 16 bits that becomes theirs when its SOF3 says so.

    The predictions of T.81, annex H, begin at half the range, and each is a sum of neighbours with weights that add up
    to 1: larger by 2^15 - 2^(bits - 1), the samples have the same differences.
    """
    image, pixel_format = picture_of(image, pixel_format)
    return as_samples(image, bits).astype(np.uint16) + np.uint16((1 << 15) - (1 << bits - 1)), pixel_format


def _name_bits(data: bytearray | memoryview, bits: int) -> None:
    """Write *bits* into the frame header of a lossless file."""
    frame = next(segment for segment in header_segments(data) if segment.marker == SOF3)
    data[frame.offset + 4] = bits


def take(buffer: Any) -> bytes:
    """Return the bytes of a filled ``mzc_buffer`` and free it."""
    try:
        return ffi.buffer(buffer.data, buffer.size)[:]  # type: ignore[no-any-return]
    finally:
        lib.mzc_free(buffer.data)


def lend(out: Writable) -> tuple[Any, memoryview]:
    """Return an ``mzc_buffer`` that writes into *out*, and the view that it writes to."""
    try:
        view = memoryview(target_of(out)).cast("B")
    except TypeError as error:
        raise TypeError(f"out must be a contiguous buffer of bytes, got {type(out).__name__}: {error}") from None
    if view.readonly:
        raise ValueError("out must be writable")
    buffer = ffi.new("mzc_buffer *")
    buffer.data, buffer.capacity, buffer.borrowed = ffi.from_buffer("unsigned char[]", view), len(view), 1
    return buffer, view


def _run(
    image: ArrayLike | Sequence[ArrayLike],
    pixel_format: str | None,
    precision: int,
    settings: Any,
    markers: tuple[Any, list[Any]],
    out: Writable | None,
) -> bytes | memoryview:
    if precision not in _LIBRARY_BITS and pixel_format != "planes":
        wide, pixel_format = _widened(image, pixel_format, precision)  # type: ignore[arg-type]
        data = _run(wide, pixel_format, 16, settings, markers, out)
        if isinstance(data, memoryview):
            _name_bits(data, precision)
            return data
        written = bytearray(data)
        _name_bits(written, precision)
        return bytes(written)
    thread = this_thread()
    spare = thread.spare.pop() if thread.spare else (ffi.new("mzc_image *"), ffi.new("mzc_buffer *"))
    struct, buffer = spare
    view = None
    alive: Any  # the pixels that C reads
    if pixel_format == "planes":
        struct, settings, alive = describe_planes(image, settings, precision)
    else:
        alive = fill(struct, image, pixel_format, precision)  # type: ignore[arg-type]
    if out is not None:
        buffer, view = lend(out)
    status = ffi.new("mzc_status *")
    failed = lib.mzc_encode(struct, settings, markers[0], len(markers[1]), thread.engine, buffer, status)
    if failed:
        failed = handed_over(
            lambda engine: lib.mzc_encode(struct, settings, markers[0], len(markers[1]), engine, buffer, status),
            settings,
            status,
        )
    del alive
    if failed:
        raise encoder_error(status, settings)
    thread.status = status
    if status.num_warnings:
        _warn(status)
    if view is not None:
        return view[: buffer.size]
    data = take(buffer)
    thread.spare.append(spare)
    return data


def _run_perceptually(
    image: ArrayLike | Sequence[ArrayLike],
    pixel_format: str | None,
    settings: PerceptualSettings,
    markers: tuple[Any, list[Any]],
    out: Writable | None,
) -> bytes | memoryview:
    thread = this_thread()
    buffer, view = (ffi.new("mzc_buffer *"), None) if out is None else lend(out)
    thread.status = encode_perceptually(image, pixel_format, settings, markers, thread.engine, buffer)
    return take(buffer) if view is None else view[: buffer.size]


def _warn(status: Any) -> None:
    warnings.warn(ffi.string(status.warning).decode(), JpegWarning, stacklevel=4)


class Encoder:
    """An encoder whose options are checked once, for loops over many images.

    >>> encoder = mozcodec.Encoder(quality=77, subsampling="4:4:4")
    >>> files = [encoder.encode(image) for image in pictures]

    Takes the arguments of :func:`mozcodec.encode` except the image. Several threads may share an encoder, and it can
    be pickled for other processes.
    """

    def __init__(
        self,
        quality: Quality = DEFAULT_QUALITY,
        *,
        pixel_format: str | None = None,
        layout: str = "hwc",
        background: Background = None,
        icc_profile: bytes | None = None,
        exif: bytes | None = None,
        xmp: bytes | None = None,
        comment: bytes | str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[EncodeOptions],
    ) -> None:
        told = {"pixel_format": pixel_format, "icc_profile": icc_profile, "exif": exif, "xmp": xmp, "comment": comment,
                "metadata": metadata}  # fmt: skip
        given: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
        if layout != "hwc":
            given["layout"] = layout
        if background is not None:
            given["background"] = background
        check_layout(layout)
        self._turns = bool(given.keys() & {"layout", "background"})
        self._layout, self._background = layout, background
        self._arguments: tuple[Quality, dict[str, Any]] = quality, {**given, **options}
        if pixel_format not in (None, "planes"):
            choice("pixel_format", pixel_format, PIXEL_FORMATS)
        self._precision = precision_of(options)
        perceptual = "distance" in options
        self._settings = perceptual_settings(quality, options) if perceptual else encode_options(quality, options)
        self._pixel_format = pixel_format
        segments = segments_told(metadata, icc_profile, exif, xmp, comment)
        self._markers = c_markers(segments) if segments else NO_MARKERS

    def __repr__(self) -> str:
        quality, keywords = self._arguments
        return f"Encoder({', '.join([repr(quality), *(f'{name}={value!r}' for name, value in keywords.items())])})"

    def __reduce__(self) -> tuple[Any, tuple[Quality]]:
        quality, keywords = self._arguments
        return partial(Encoder, **keywords), (quality,)

    @overload
    def encode(self, image: ArrayLike | Sequence[ArrayLike], *, out: None = None) -> bytes: ...
    @overload
    def encode(self, image: ArrayLike | Sequence[ArrayLike], *, out: Writable) -> memoryview: ...

    def encode(
        self, image: ArrayLike | Sequence[ArrayLike], *, out: Writable | None = None
    ) -> bytes | memoryview:
        """Return *image* as JPEG bytes; see :func:`mozcodec.encode`."""
        pixel_format = self._pixel_format
        if self._turns:
            image, pixel_format = picture_of(image, pixel_format, self._layout, self._background)
        if isinstance(self._settings, PerceptualSettings):
            return _run_perceptually(image, pixel_format, self._settings, self._markers, out)
        return _run(image, pixel_format, self._precision, self._settings, self._markers, out)


def _has_wide_tables(data: bytes) -> bool:
    for segment in header_segments(data):
        content = segment.data if segment.marker == DQT else b""
        while content:
            if content[0] >> 4:
                return True
            content = content[65:]
    return False


def _smallest(
    image: ArrayLike | Sequence[ArrayLike],
    quality: Quality,
    pixel_format: str | None,
    options: EncodeOptions,
    markers: tuple[Any, list[Any]],
    out: Writable | None,
) -> bytes | memoryview:
    for name in ("progressive", "quant_baseline", "scan_script", "lossless"):
        if name in options:
            raise ValueError(f"smallest=True chooses the coding itself and cannot be combined with {name}")

    scans: EncodeOptions = {}
    searched = options.get("optimize_scans", True) is True and "dc_scan_opt_mode" not in options
    if searched and options.get("engine") != "library" and not options.get("arithmetic"):
        scans = {"optimize_scans": "wide"}
    sequential: EncodeOptions = {**options, "progressive": False}
    sequential.pop("optimize_scans", None)

    def run(chosen: EncodeOptions) -> bytes:
        settings = encode_options(quality, chosen)
        return bytes(_run(image, pixel_format, precision_of(options), settings, markers, None))

    files = [run({**options, **scans, "progressive": True}), run(sequential)]
    if _has_wide_tables(files[0]):
        files.append(run({**options, **scans, "progressive": True, "quant_baseline": True}))
    data = min(files, key=len)
    if out is None:
        return data
    _, view = lend(out)
    if len(data) > len(view):
        raise LimitError(f"out holds {len(view)} bytes, the stream needs {len(data)}")
    view[: len(data)] = data
    return view[: len(data)]


@overload
def encode(
    image: ArrayLike | Sequence[ArrayLike],
    quality: Quality = DEFAULT_QUALITY,
    *,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    out: None = None,
    smallest: bool = False,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes: ...
@overload
def encode(
    image: ArrayLike | Sequence[ArrayLike],
    quality: Quality = DEFAULT_QUALITY,
    *,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    out: Writable,
    smallest: bool = False,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[EncodeOptions],
) -> memoryview: ...


def encode(
    image: ArrayLike | Sequence[ArrayLike],
    quality: Quality = DEFAULT_QUALITY,
    *,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    out: Writable | None = None,
    smallest: bool = False,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes | memoryview:
    """Return *image* as JPEG bytes, the bytes that mozjpeg's ``cjpeg -quality`` writes for the same pixels.

    *image* is uint8, (H, W) or (H, W, 1) gray, (H, W, 3) RGB, or (H, W, 4) with a *pixel_format*: "rgb", "bgr",
    "rgba", "bgra", "argb", "abgr" (alpha is ignored), "gray", "ycbcr", "cmyk" or "ycck"; all strides are accepted.
    (H, W, 2) with "two" makes a file of two components without a colour space. With "planes" it is (Y,), (Y, Cb, Cr) or
    two without a colour space: 2-D arrays, already downsampled. uint16 pixels and planes need ``precision=12``, uint16
    pixels also ``precision=9..16`` with ``lossless``.

    It may be a tensor or another object of DLPack in the CPU's memory, with ``layout="chw"`` (C, H, W), or an image of
    Pillow, whose mode says the pixel format: palette and HSV images become RGB, and images of other modes that JPEG
    does not have are refused by name. *background*, a level or (red, green, blue), is the colour behind transparent
    pixels; images of Pillow with alpha need it.

    *quality* is a number 1..100, one number for each quantization table (luma, chroma), or None, which omits cjpeg's
    switch and is not the same as 75. *options* are those of :class:`mozcodec.EncodeOptions`.

    *out*, a buffer of bytes to write into, makes the result a memoryview of its first part. *icc_profile*, *exif* (a
    TIFF structure), *xmp* and *comment* are written as metadata; *metadata*, the :class:`mozcodec.Metadata` of another
    file, holds the rest.

    *smallest* encodes several files and returns the smallest: progressive with the wide scan search, baseline, and, if
    the quality makes table entries above 255, progressive with 8-bit tables. It chooses ``progressive`` and
    ``quant_baseline`` itself.

    Raises ``TypeError`` or ``ValueError`` for invalid pixels or options, :class:`mozcodec.JpegError` with libjpeg's
    message for what libjpeg rejects, and :class:`mozcodec.LimitError` if *out* is too small, with the size needed.
    """
    if layout != "hwc" or background is not None:
        image, pixel_format = picture_of(image, pixel_format, layout, background)
    markers = NO_MARKERS
    if metadata is not None or not (icc_profile is exif is xmp is comment is None):
        markers = c_markers(segments_told(metadata, icc_profile, exif, xmp, comment))
    if "distance" in options:
        if smallest is not False and flag("smallest", smallest):
            raise ValueError("smallest=True cannot be combined with distance, which chooses the coding itself")
        return _run_perceptually(image, pixel_format, perceptual_settings(quality, options), markers, out)
    if smallest is not False and flag("smallest", smallest):
        return _smallest(image, quality, pixel_format, options, markers, out)
    settings = encode_options(quality, options)
    precision = precision_of(options) if "precision" in options else 8
    return _run(image, pixel_format, precision, settings, markers, out)


def encode_many(
    images: Iterable[ArrayLike],
    quality: Quality = DEFAULT_QUALITY,
    *,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    threads: int | None = None,
    **options: Unpack[EncodeOptions],
) -> Iterator[bytes]:
    """Encode images in several threads; yields the results of :func:`mozcodec.encode` in order.

    *images* are consumed as needed. *threads* defaults to the cores that this process may use. An error is raised in
    place of the failing image's bytes.
    """
    encoder = Encoder(quality, pixel_format=pixel_format, layout=layout, background=background, **options)
    return ordered_map(encoder.encode, images, threads)


class PreparedPicture:
    """An image whose colour conversion, downsampling and DCT are done once for many qualities.

    *quality* and *options* decide the subsampling here. :meth:`encode` returns :func:`mozcodec.encode`'s bytes for any
    quality and options, but is fast only with the same subsampling. Do not change *image* meanwhile. Several threads
    may share an image.
    """

    def __init__(
        self,
        image: ArrayLike,
        quality: Quality,
        options: EncodeOptions,
        *,
        pixel_format: str | None,
    ) -> None:
        settings = encode_options(quality, options)
        struct, self._alive = describe(image, pixel_format, precision_of(options))
        status = ffi.new("mzc_status *")
        handle = lib.mzc_prepare(struct, settings, status)
        if handle == ffi.NULL:
            raise encoder_error(status, settings)
        self._handle = ffi.gc(handle, lib.mzc_prepared_close)

    def encode(
        self, quality: Quality, options: EncodeOptions, segments: list[tuple[int, bytes]] | None = None
    ) -> bytes:
        """Return the image as JPEG bytes of this quality."""
        settings = encode_options(quality, options)
        markers = c_markers(segments) if segments else NO_MARKERS
        buffer, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        if coded(
            lambda engine: lib.mzc_prepared_encode(
                self._handle, settings, markers[0], len(markers[1]), engine, buffer, status
            ),
            settings,
            status,
        ):
            raise encoder_error(status, settings)
        note_engine(status)
        if status.num_warnings:
            _warn(status)
        return take(buffer)
