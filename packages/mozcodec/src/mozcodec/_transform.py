"""Lossless work: the same coefficients, coded better, turned, or cut."""

from collections.abc import Mapping
from typing import Any, Literal, Unpack

import numpy as np

from ._abbreviated import completed
from ._damage import named, note_damage, salvage
from ._decode import MAX_MEMORY, MAX_PIXELS, MAX_SCANS, Buffer, decode, limit, rectangle, source_of
from ._encode import NO_MARKERS, take
from ._engine import engine, note_engine
from ._errors import DamagedError, UnsupportedError, error_of
from ._metadata import Metadata, c_markers, segments_of
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, choice, coding_options, flag

OPERATIONS: Mapping[str, int] = {
    "flip_horizontal": lib.MZC_FLIP_HORIZONTAL,
    "flip_vertical": lib.MZC_FLIP_VERTICAL,
    "transpose": lib.MZC_TRANSPOSE,
    "transverse": lib.MZC_TRANSVERSE,
    "rotate_90": lib.MZC_ROTATE_90,
    "rotate_180": lib.MZC_ROTATE_180,
    "rotate_270": lib.MZC_ROTATE_270,
}
Operation = Literal[
    "flip_horizontal", "flip_vertical", "transpose", "transverse", "rotate_90", "rotate_180", "rotate_270"
]
COPY: Mapping[str, int] = {
    "none": lib.MZC_COPY_NONE,
    "comments": lib.MZC_COPY_COMMENTS,
    "icc": lib.MZC_COPY_ICC,
    "all": lib.MZC_COPY_ALL,
}
Copy = Literal["none", "comments", "icc", "all"]


def _options(copy: Copy, repair: bool, max_pixels: int | None, max_scans: int | None) -> Any:
    struct = ffi.new("mzc_transform_options *")
    struct.copy = choice("copy", copy, COPY)
    struct.repair = flag("repair", repair)
    struct.max_pixels = limit("max_pixels", max_pixels)
    struct.max_scans = limit("max_scans", max_scans, 2**31 - 1)
    return struct


def _transform(data: Buffer, struct: Any, metadata: Metadata | None, options: EncodeOptions) -> bytes:
    settings = coding_options(options)
    source = source_of(data)
    struct.max_memory = settings.max_memory if "max_memory" in options else MAX_MEMORY
    markers = c_markers(segments_of(metadata)) if metadata else NO_MARKERS

    def attempt(stream: Any) -> tuple[Any, bytes]:
        whole = source_of(stream)
        out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        if lib.mzc_transform(whole, len(whole), struct, settings, markers[0], len(markers[1]), engine(), out, status):
            error = named(error_of(status), whole)
            complete = completed(memoryview(ffi.buffer(whole))) if isinstance(error, DamagedError) else None
            if complete is None:
                raise error
            return attempt(complete)
        return status, take(out)

    harder = None
    if struct.repair:
        (status, result), harder = salvage(source, attempt)
    else:
        status, result = attempt(source)
    if status.unusual and not (status.num_notes or struct.operation or struct.crop or struct.grayscale):
        _check_pixels(source, result)
    note_engine(status)
    note_damage(status, harder, "warn", stacklevel=3)
    return result


def _check_pixels(source: Any, result: bytes) -> None:
    """Raise :class:`UnsupportedError` unless the rewritten file decodes to the same pixels."""
    unlimited: dict[str, Any] = {"max_pixels": None, "max_scans": None, "on_truncated": "ok"}
    if not np.array_equal(decode(source, None, **unlimited), decode(result, None, **unlimited)):
        raise UnsupportedError("the file cannot be rewritten without a change of its pixels")


def optimize(
    data: Buffer,
    *,
    copy: Copy = "all",
    metadata: Metadata | None = None,
    repair: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    max_scans: int | None = MAX_SCANS,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return a smaller JPEG with the same coefficients: what mozjpeg's ``jpegtran -copy all`` writes.

    By default progressive with searched scans, and the bytes that were given where those are fewer. *copy* says which
    markers stay: "all", "icc", "comments" or "none"; *metadata* is written beside them. *options* are those of
    :class:`mozcodec.EncodeOptions` that say how coefficients are coded; ``progressive=False`` makes a baseline file,
    ``arithmetic=True`` an arithmetic one. The limits on pixels and scans are :func:`mozcodec.decode`'s, None = none;
    ``max_memory`` is 1 GiB unless given.

    Raises :class:`mozcodec.DamagedError` for a stream that is cut off or corrupt; ``repair=True`` writes a valid file
    of what can be decoded, with a :class:`mozcodec.JpegWarning` that says what was damaged. Raises
    :class:`mozcodec.UnsupportedError` for a SmartScale stream.
    """
    smaller = _transform(data, _options(copy, repair, max_pixels, max_scans), metadata, options)
    may_stay = copy == "all" and metadata is None and not repair and options.keys() <= {"engine"}
    if may_stay and len(smaller) > len(source_of(data)):
        return bytes(data)
    return smaller


def transform(
    data: Buffer,
    operation: Operation | None = None,
    *,
    crop: tuple[int, int, int, int] | None = None,
    trim: bool = False,
    grayscale: bool = False,
    copy: Copy = "all",
    metadata: Metadata | None = None,
    repair: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    max_scans: int | None = MAX_SCANS,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return the JPEG turned, mirrored or cut without decoding it to pixels; what ``jpegtran`` writes.

    *operation*: "rotate_90" (clockwise), "rotate_180", "rotate_270", "flip_horizontal", "flip_vertical", "transpose"
    or "transverse". *crop* is the region (left, top, right, bottom) of the result that stays. *grayscale* drops the
    chroma.

    Blocks move as they are, so edges must fit: a picture whose size is no whole number of MCUs cannot be turned
    around its far edges, and a region begins at an MCU. Where that is not so, :class:`mozcodec.UnsupportedError` says
    it; ``trim=True`` drops the odd edge, and begins a region at the MCU before.

    The rest is as in :func:`mozcodec.optimize`. EXIF is copied as it is, its orientation too.
    """
    struct = _options(copy, repair, max_pixels, max_scans)
    if operation is not None:
        struct.operation = choice("operation", operation, OPERATIONS)
    struct.trim, struct.grayscale = flag("trim", trim), flag("grayscale", grayscale)
    if crop is not None:
        left, top, right, bottom = rectangle("crop", crop, 65500)
        struct.crop, struct.left, struct.top = 1, left, top
        struct.width, struct.height = right - left, bottom - top
    return _transform(data, struct, metadata, options)
