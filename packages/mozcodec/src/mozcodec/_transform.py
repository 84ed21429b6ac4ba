"""Lossless operations: optimize, rotate or crop a JPEG without decoding it to pixels."""

import re
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Unpack

import numpy as np

from ._abbreviated import completed
from ._containers import (
    has_index,
    is_picture,
    parts_of,
    picture_end,
    rewritten,
    with_xmp,
    without_parts,
    xmp_property,
)
from ._damage import damage_found, named, note_damage, salvage
from ._decode import (
    MAX_MEMORY,
    MAX_PIXELS,
    MAX_SCANS,
    Decoder,
    Header,
    decode,
    decode_options,
    header_of,
    limit,
    read_header,
    rectangle,
    source_of,
)
from ._edit import edit_metadata
from ._encode import take
from ._engine import coded_faithfully, engine, note_engine, this_thread
from ._errors import DamagedError, JpegError, JpegWarning, LimitError, UnsupportedError, error_of
from ._inputs import Source, content_of
from ._metadata import (
    Metadata,
    read_metadata,
    upright_exif,
    with_metadata,
    without_photoshop_thumbnails,
    without_xmp_thumbnails,
)
from ._mozjpeg import ffi, lib
from ._options import (
    MAX_DIMENSION,
    EncodeOptions,
    choice,
    coding_options,
    encoder_error,
    flag,
    needs_separate_scans,
    with_separate_scans,
)
from ._thumbnails import with_jfif_thumbnail, with_turned_thumbnails
from ._work import MAX_MARKER_BYTES, MaxWork, check_marker_bytes, check_max_work, check_total, check_work

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
Parts = Literal["rewrite", "keep", "drop"]
_UPRIGHT: tuple[Operation | None, ...] = (
    None,
    None,
    "flip_horizontal",
    "rotate_180",
    "flip_vertical",
    "transpose",
    "rotate_90",
    "transverse",
    "rotate_270",
)
"""By EXIF orientation: the operation that turns the image upright."""
_LEAST_IMAGE = 64
"""Bytes: a frame, a scan and a quantization table take more. A file may have hundreds of thousands of shorter parts."""
_THUMBNAIL_PIXELS = 320 * 240
"""A thumbnail of more pixels than these and than its image has is dropped, not turned."""


def _options(copy: Copy, repair: bool, max_pixels: int | None, max_scans: int | None) -> Any:
    struct = ffi.new("mzc_transform_options *")
    struct.copy = choice("copy", copy, COPY)
    struct.repair = flag("repair", repair)
    struct.max_pixels = limit("max_pixels", max_pixels)
    struct.max_scans = limit("max_scans", max_scans, 2**31 - 1)
    return struct


def _check_budgets(
    data: Any, struct: Any, parts: Parts, max_pixels: int | None, max_work: MaxWork, max_marker_bytes: int | None
) -> None:
    """Raise :class:`LimitError` if the images that will be rewritten exceed a limit, each or together."""
    check_max_work(max_work)
    limit("max_marker_bytes", max_marker_bytes)
    view = memoryview(data).cast("B")
    check_marker_bytes(view, max_marker_bytes)
    check_work(view, max_work)
    if parts != "rewrite" or struct.copy != lib.MZC_COPY_ALL or picture_end(view) in (None, len(view)):
        return
    found = [part for part in parts_of(view) if is_picture(part) and part.size >= _LEAST_IMAGE]
    if len(found) > 1:
        check_total([view[part.offset : part.offset + part.size] for part in found], len(view), max_pixels, max_work)


def _rewrite_once(source: Any, struct: Any, settings: Any) -> tuple[Any, bytes]:
    out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
    if lib.mzc_transform(source, len(source), struct, settings, ffi.NULL, 0, engine(), out, status):
        raise error_of(status)
    return status, take(out)


def _rewrite(data: Any, struct: Any, settings: Any, stacklevel: int, what: str | None = "") -> bytes:
    """Return one image rewritten as *struct* and *settings* say.

    *what* begins the warnings of one that is not the file's first; None: there are none.
    """

    def attempt(stream: Any) -> tuple[Any, bytes]:
        whole = source_of(stream)
        out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
        if coded_faithfully(
            lambda engine, coding: lib.mzc_transform(
                whole, len(whole), struct, coding, ffi.NULL, 0, engine, out, status
            ),
            settings,
            status,
        ):
            error = named(encoder_error(status, settings), whole)
            if "data precision" in str(error) and read_header(ffi.buffer(whole)).lossless:
                raise UnsupportedError("a lossless file (SOF3) has no coefficients to transcode", error.message_code)
            if struct.crop and str(error) == "Invalid crop request":  # the request is wrong, not the stream
                raise JpegError(f"{error}: the region does not lie within the image", error.message_code)
            if needs_separate_scans(str(error), settings):
                count = 1 if struct.grayscale else _header_of(whole, bool(struct.repair)).num_components
                return _rewrite_once(whole, struct, with_separate_scans(settings, count))
            complete = completed(memoryview(ffi.buffer(whole))) if isinstance(error, DamagedError) else None
            if complete is None:
                raise error
            return attempt(complete)
        return status, take(out)

    harder = None
    if struct.repair:
        (status, result), harder = salvage(data, attempt)
    else:
        status, result = attempt(data)
    differs = status.smooths_less or status.limited or struct.operation or struct.crop or struct.grayscale
    compared = status.unusual and not differs
    smoothed = compared and not _has_same_pixels(data, result)
    if smoothed and not (struct.repair and _has_same_pixels(data, result, block_smoothing=False)):
        raise UnsupportedError("the file cannot be rewritten without a change of its pixels")
    note_engine(status)
    first = damage_found() if what != "" else None
    note_damage(status, harder, "ok" if what is None else "warn", stacklevel + 1, what or "")
    if what != "":
        this_thread().damage = first
    if status.limited:
        text = f"coefficients of {status.limited} blocks were limited to those that have codes: pixels may differ"
        warnings.warn((what or "") + text, JpegWarning, stacklevel=stacklevel + 1)
    if smoothed:  # for the rows after the damage decoders go by the scans before it, which no file can say
        text = "decoders smooth the damaged rows of the source and not those of the new file: their pixels differ"
        warnings.warn((what or "") + text, JpegWarning, stacklevel=stacklevel + 1)
    if struct.copy == lib.MZC_COPY_ALL:
        result = with_jfif_thumbnail(result, memoryview(ffi.buffer(source_of(data))))
    return result


def _header_of(data: Any, is_repaired: bool) -> Header:
    """Return the header of an image; of one that is repaired, also where it ends within the header of its scan."""
    options = {"max_pixels": None, "on_truncated": "ok" if is_repaired else "error"}
    with Decoder(data, decode_options(None, options)) as decoder:
        return header_of(decoder)


def _has_header(picture: bytes) -> bool:
    """Return whether an image can be decoded in part: data that only begins as one is kept as it is."""
    try:
        return bool(read_header(picture).width)
    except JpegError:
        return False


def _preview(picture: bytes, struct: Any, settings: Any, before: tuple[int, int]) -> bytes | None:
    """Return a preview of an image of the size *before*, turned and cropped as it is; None where that is not exact."""
    own = ffi.new("mzc_transform_options *", struct[0])
    own.grayscale = own.trim = own.repair = 0
    try:
        header = read_header(picture)
        size = header.width, header.height
        if struct.crop and (struct.width, struct.height) in (before, before[::-1]):
            own.crop = 0  # all of the image
        elif struct.crop:
            if struct.trim or size[0] * before[1] != size[1] * before[0]:
                return None
            scaled = [edge * size[0] for edge in (struct.left, struct.top, struct.width, struct.height)]
            if any(edge % before[0] for edge in scaled):
                return None
            own.left, own.top, own.width, own.height = (edge // before[0] for edge in scaled)
        result = _rewrite(picture, own, settings, stacklevel=4, what="a further image of the file: ")
    except JpegError:
        return None
    return _described(result, struct.operation, size if struct.crop else None)


def _further(
    picture: bytes, is_fixed: bool, kind: str, struct: Any, settings: Any, before: tuple[int, int]
) -> bytes | None:
    """Return a further image of a file rewritten as the first one is; a damaged one stays as it is.

    A preview that cannot follow the first image, which had the size *before*, is dropped: None.
    """
    if is_fixed and (struct.operation or struct.crop):
        what = "a further image of the file holds another one that the index names"
        raise UnsupportedError(f"{what}: parts='keep' or parts='drop'")
    if is_fixed or len(picture) < _LEAST_IMAGE:
        return picture
    if kind == "preview" and (struct.operation or struct.crop):
        return _preview(picture, struct, settings, before)
    own = ffi.new("mzc_transform_options *", struct[0])
    own.crop = own.grayscale = 0
    try:
        result = _rewrite(picture, own, settings, stacklevel=4, what="a further image of the file: ")
    except UnsupportedError as error:
        if not struct.operation:
            return picture
        raise UnsupportedError(f"a further image of the file: {error}; or parts='keep', parts='drop'") from None
    except JpegError as error:
        if struct.operation and isinstance(error, DamagedError) and _has_header(picture):
            raise DamagedError(f"a further image of the file: {error}; or parts='keep', parts='drop'") from None
        return picture
    return _described(result, struct.operation) if struct.operation else result


def _transform(data: Source, struct: Any, metadata: Metadata | None, parts: Parts, options: EncodeOptions) -> bytes:
    settings = coding_options(options)
    source = source_of(data)
    struct.max_memory = settings.max_memory if "max_memory" in options else MAX_MEMORY
    if metadata is not None and not isinstance(metadata, Metadata):
        raise TypeError(f"metadata must be a mozcodec.Metadata, got {type(metadata).__name__}")
    how = choice("parts", parts, {"rewrite": "rewrite", "keep": "keep", "drop": "drop"})
    result = _rewrite(source, struct, settings, stacklevel=3)
    is_changed = struct.operation or struct.crop
    before = (0, 0)
    if is_changed and struct.copy == lib.MZC_COPY_ALL:
        was = _header_of(source, bool(struct.repair))
        before = was.width, was.height
        result = _described(result, struct.operation, before if struct.crop else None)
    if metadata is not None:
        result = with_metadata(result, metadata)
    view = memoryview(ffi.buffer(source))
    end = picture_end(view)
    if how == "drop" or struct.copy != lib.MZC_COPY_ALL:
        return without_parts(result)
    if end is None or (end == len(view) and not has_index(view)):
        return result
    if struct.crop and how == "rewrite" and any(part.kind == "gain map" for part in parts_of(view)):
        raise UnsupportedError("a gain map is not cropped with its image: parts='keep' or parts='drop'")
    if how == "keep":
        return rewritten(view, result, lambda picture, *_: picture)
    # the scale of previews: their width over that of the image, which turns with them
    rewrite = partial(_further, struct=struct, settings=settings, before=before)
    return rewritten(view, result, rewrite, is_changed=bool(is_changed))


def _turned_thumbnail(thumbnail: bytes, operation: int, most_pixels: int) -> bytes | None:
    """Return a thumbnail turned, or None if it is no JPEG, has more pixels or has edges that cannot move.

    Oddities such as the zeros that cameras append are not named: the thumbnail that is written has none.
    """
    struct = _options("none", False, most_pixels, MAX_SCANS)
    struct.operation, struct.trim, struct.max_memory = operation, 0, MAX_MEMORY
    try:
        check_work(thumbnail, 16 * most_pixels)
        settings = coding_options({"progressive": False, "jfif": False})
        return _rewrite(thumbnail, struct, settings, stacklevel=5, what=None)
    except JpegError:
        return None


_IMAGE_IN_XMP = re.compile(rb"\b(GDepth|GImage):Data\s*(?:=|>)")
_XMP_SIZES = ((rb"exif:PixelXDimension|tiff:ImageWidth", 0), (rb"exif:PixelYDimension|tiff:ImageLength", 1))


def _described(jpeg: bytes, operation: int, before: tuple[int, int] | None = None) -> bytes:
    """Return a turned or cropped image whose EXIF and XMP say so: viewers would turn it once more.

    *before* is the size of the image before it was cropped. Thumbnails are turned or dropped.
    """
    header = read_header(jpeg)
    size = header.width, header.height
    is_part = before is not None and sorted(before) != sorted(size)
    turn = partial(_turned_thumbnail, operation=operation, most_pixels=max(size[0] * size[1], _THUMBNAIL_PIXELS))
    if operation or is_part:
        jpeg = with_turned_thumbnails(without_photoshop_thumbnails(jpeg), operation, None if is_part else turn)
    metadata = read_metadata(jpeg)
    if metadata.exif is None and metadata.xmp is None:
        return jpeg

    def described(xmp: bytes) -> bytes:
        if operation or is_part:
            xmp = without_xmp_thumbnails(xmp)
        for name, side in _XMP_SIZES:
            xmp = xmp_property(name).sub(rb"\g<1>%d" % size[side], xmp)
        return xmp_property(rb"tiff:Orientation").sub(rb"\g<1>1", xmp) if operation else xmp

    if operation or is_part:
        held = _IMAGE_IN_XMP.findall((metadata.xmp or b"") + (metadata.extended_xmp or b""))
        if held:  # a depth map or the unblurred original of a phone's camera
            names = ", ".join(f"{name.decode()}:Data" for name in sorted(set(held)))
            warnings.warn(
                f"images in XMP stay as they were before: {names}; edit_metadata(data, xmp=None) drops them",
                JpegWarning,
                stacklevel=4,
            )
    jpeg = with_xmp(jpeg, described)
    if metadata.exif is None:
        return jpeg
    exif = upright_exif(metadata.exif, *size, turn if operation else None, is_part)
    return jpeg if exif == metadata.exif else edit_metadata(jpeg, exif=exif)


def _has_same_pixels(source: Any, result: bytes, **options: Any) -> bool:
    """Return whether the rewritten file decodes to the same pixels."""
    options |= {"max_pixels": None, "max_scans": None, "max_work": None, "max_marker_bytes": None, "on_truncated": "ok"}
    return np.array_equal(decode(source, None, **options), decode(result, None, **options))


def optimize(
    data: Source,
    *,
    copy: Copy = "all",
    metadata: Metadata | None = None,
    repair: bool = False,
    parts: Parts = "rewrite",
    max_pixels: int | None = MAX_PIXELS,
    max_scans: int | None = MAX_SCANS,
    max_work: MaxWork = "auto",
    max_marker_bytes: int | None = MAX_MARKER_BYTES,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return a smaller JPEG with the same coefficients: what mozjpeg's ``jpegtran -copy all`` writes.

    By default progressive with searched scans, and the given bytes where those are fewer. *copy* says which markers
    stay: "all" (thumbnails included), "icc", "comments" or "none"; *metadata* replaces those of its fields that are not
    empty. *parts* says what becomes of further parts of the file (gain maps, other images, a Motion Photo's video,
    appended data): "rewrite" does to the images what is done to the first and keeps the rest byte for byte, "keep"
    keeps all, "drop" drops them. The indices are updated. They stay with ``copy="all"`` only.

    *options* are those of :class:`mozcodec.EncodeOptions` that say how coefficients are coded; ``progressive=False``
    makes a baseline file, ``arithmetic=True`` an arithmetic one. The limits on pixels, scans, work and marker bytes
    are those of :func:`mozcodec.decode`, None = none; those on pixels and work hold for all images of the file that
    are rewritten together. ``max_memory`` is 1 GiB unless given.

    Raises :class:`mozcodec.DamagedError` for a stream that is cut off or corrupt; ``repair=True`` writes a valid file
    of what can be decoded, with a :class:`mozcodec.JpegWarning` that says what was damaged. Raises
    :class:`mozcodec.UnsupportedError` for a SmartScale stream.
    """
    data = content_of(data)
    struct = _options(copy, repair, max_pixels, max_scans)
    _check_budgets(ffi.buffer(source_of(data)), struct, parts, max_pixels, max_work, max_marker_bytes)
    smaller = _transform(data, struct, metadata, parts, options)
    may_stay = (
        copy == "all" and metadata is None and parts == "rewrite" and not repair
        and options.keys() <= {"engine", "optimize_scans"} and options.get("optimize_scans", True) is not False
    )  # fmt: skip
    if may_stay and len(smaller) > len(source_of(data)):
        return bytes(data)
    return smaller


def transform(
    data: Source,
    operation: Operation | Literal["auto"] | None = None,
    *,
    crop: tuple[int, int, int, int] | None = None,
    trim: bool = False,
    grayscale: bool = False,
    copy: Copy = "all",
    metadata: Metadata | None = None,
    repair: bool = False,
    parts: Parts = "rewrite",
    max_pixels: int | None = MAX_PIXELS,
    max_scans: int | None = MAX_SCANS,
    max_work: MaxWork = "auto",
    max_marker_bytes: int | None = MAX_MARKER_BYTES,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Return the JPEG turned, mirrored or cut without decoding it to pixels; what ``jpegtran`` writes.

    *operation*: "rotate_90" (clockwise), "rotate_180", "rotate_270", "flip_horizontal", "flip_vertical", "transpose",
    "transverse", or "auto": upright as the EXIF orientation says. *crop* is the region (left, top, right, bottom) of
    the result that stays. *grayscale* drops the chroma.

    After an operation EXIF and XMP say orientation 1 and the new size; the thumbnails of EXIF, of JFIF and of its
    extension are turned, or dropped where their edges cannot move. After a crop they say the new size, and these
    thumbnails are dropped. Thumbnails of Photoshop's resources and of XMP are dropped after both. Previews that a
    Multi-Picture index names are turned and cropped where that is exact, and dropped otherwise.

    Blocks move as they are, so edges must fit: an image whose size is not a whole number of MCUs cannot be turned
    around its far edges, and a region begins at an MCU. Otherwise :class:`mozcodec.UnsupportedError` is raised;
    ``trim=True`` drops the odd edge, and begins a region at the MCU before.

    The rest is as in :func:`mozcodec.optimize`.
    """
    data = content_of(data)
    struct = _options(copy, repair, max_pixels, max_scans)
    if operation == "auto":
        operation = _UPRIGHT[_header_of(data, repair).orientation]
    if operation is not None:
        struct.operation = choice("operation", operation, {**OPERATIONS, "auto": 0})
    struct.trim, struct.grayscale = flag("trim", trim), flag("grayscale", grayscale)
    _check_budgets(ffi.buffer(source_of(data)), struct, parts, max_pixels, max_work, max_marker_bytes)
    if crop is not None:
        left, top, right, bottom = rectangle("crop", crop, MAX_DIMENSION)
        struct.crop, struct.left, struct.top = 1, left, top
        struct.width, struct.height = right - left, bottom - top
        if max_pixels is not None and struct.width * struct.height > max_pixels:
            raise LimitError(
                f"{struct.width} x {struct.height} has {struct.width * struct.height} pixels, more than "
                f"max_pixels = {max_pixels}"
            )
    return _transform(data, struct, metadata, parts, options)
