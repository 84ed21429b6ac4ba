"""Lossless work: the same coefficients, coded better, turned, or cut."""

from collections.abc import Mapping
from typing import Any, Literal, Unpack

from ._decode import MAX_MEMORY, MAX_PIXELS, MAX_SCANS, Buffer, source_of
from ._encode import take
from ._engine import engine, note_engine
from ._errors import error_of
from ._mozjpeg import ffi, lib
from ._options import EncodeOptions, choice, coding_options, flag, integer

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


def _transform(data: Buffer, struct: Any, settings: Any) -> bytes:
    source = source_of(data)
    struct.max_pixels, struct.max_scans = struct.max_pixels or MAX_PIXELS, MAX_SCANS
    struct.max_memory = settings.max_memory or MAX_MEMORY
    out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
    if lib.mzc_transform(source, len(source), struct, settings, ffi.NULL, 0, engine(), out, status):
        raise error_of(status)
    note_engine(status)
    return take(out)


def optimize(
    data: Buffer, *, copy: Copy = "all", max_pixels: int = MAX_PIXELS, **options: Unpack[EncodeOptions]
) -> bytes:
    """Return a smaller JPEG with the same coefficients: what mozjpeg's ``jpegtran -copy all`` writes.

    By default progressive with searched scans, and the bytes that were given where those are fewer. *copy* says which
    markers stay: "all", "icc", "comments" or "none". *options* are those of :class:`mozcodec.EncodeOptions` that say
    how coefficients are coded; ``progressive=False`` makes a baseline file, ``arithmetic=True`` an arithmetic one.

    Raises :class:`mozcodec.DamagedError` for a stream that is cut off or corrupt: nothing is mended silently, and
    :class:`mozcodec.UnsupportedError` for a SmartScale stream.
    """
    struct = ffi.new("mzc_transform_options *")
    struct.copy = choice("copy", copy, COPY)
    struct.max_pixels = integer("max_pixels", max_pixels, 1, 2**62)
    smaller = _transform(data, struct, coding_options(options))
    if len(smaller) > len(source_of(data)) and copy == "all" and options.keys() <= {"engine"}:
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
    max_pixels: int = MAX_PIXELS,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return the JPEG turned, mirrored or cut without decoding it to pixels; what ``jpegtran`` writes.

    *operation*: "rotate_90" (clockwise), "rotate_180", "rotate_270", "flip_horizontal", "flip_vertical", "transpose"
    or "transverse". *crop* is the region (left, top, right, bottom) of the result that stays. *grayscale* drops the
    chroma.

    Blocks move as they are, so edges must fit: a picture whose size is no whole number of MCUs cannot be turned
    around its far edges, and a region begins at an MCU. Where that is not so, :class:`mozcodec.UnsupportedError` says
    it; ``trim=True`` drops the odd edge, and begins a region at the MCU before.

    *copy* and *options* as in :func:`mozcodec.optimize`. EXIF is copied as it is, its orientation too.
    """
    struct = ffi.new("mzc_transform_options *")
    if operation is not None:
        struct.operation = choice("operation", operation, OPERATIONS)
    struct.trim, struct.grayscale = flag("trim", trim), flag("grayscale", grayscale)
    struct.copy = choice("copy", copy, COPY)
    struct.max_pixels = integer("max_pixels", max_pixels, 1, 2**62)
    if crop is not None:
        left, top, right, bottom = (integer("crop", part, 0, 65500) for part in crop)
        if not (left < right and top < bottom):
            raise ValueError(f"crop must have left < right and top < bottom, got {tuple(crop)}")
        struct.crop, struct.left, struct.top = 1, left, top
        struct.width, struct.height = right - left, bottom - top
    return _transform(data, struct, coding_options(options))
