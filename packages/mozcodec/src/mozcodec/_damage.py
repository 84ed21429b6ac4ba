"""Damaged data and data of other formats: what it is, and what can still be decoded.

A stream is *whole* (perhaps with an oddity that changes no pixel: bytes between segments, no EOI, bytes after it),
*partial* (some of the image can be decoded), or *hopeless*. Whole streams are decoded, with a
:class:`mozcodec.JpegWarning` that names the oddity; partial ones raise :class:`mozcodec.DamagedError` unless the caller
accepts them.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from ._abbreviated import completed
from ._engine import this_thread
from ._errors import Damage, DamagedError, JpegError, JpegWarning, NotJpegError, damage_of
from ._metadata import EOI, SOS
from ._mozjpeg import ffi

R = TypeVar("R")

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc", "JPEG XR"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftypcrx ", "Canon CR3"),
    (4, b"ftyp", "MP4 or QuickTime"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "BigTIFF"),
    (0, b"MM\0+", "BigTIFF"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (128, b"DICM", "DICOM"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"%!PS", "PostScript"),
    (0, b"\x8bJNG", "JNG"),
    (0, b"\x8aMNG", "MNG"),
    (8, b"AVI ", "AVI"),
    (8, b"WAVE", "WAV"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"Rar!\x1a", "RAR"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x7fELF", "ELF"),
    (0, b"/9j/", "base64 text"),
    (0, b"data:image/", "a data URL"),
    (0, b"HTTP/", "an HTTP response"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"P5", "PGM"),
    (0, b"P6", "PPM"),
    (0, b"\x93NUMPY", "NPY"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"version https://git-lfs", "a Git LFS pointer"),
)
_TEXTS = (
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<!--", "HTML"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


def _is_jpeg_ls(data: bytes) -> bool:
    """Return whether the first frame header is that of JPEG-LS (T.87), which begins as a JPEG does."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xF7:
            return True
        if marker in (SOS, EOI) or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return False
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def format_of(data: bytes) -> str | None:
    """Return the name of the format that *data* begins with, where it is another than JPEG and known."""
    if not data:
        return "empty"
    for offset, signature, name in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return name
    text = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, name in _TEXTS:
        if text.startswith(beginning):
            return name
    return "JPEG-LS" if _is_jpeg_ls(data[:65536]) else None


def _view(data: Any) -> memoryview:
    """Return a view of a buffer, or of cffi's array over one."""
    return memoryview(ffi.buffer(data) if isinstance(data, ffi.CData) else data).cast("B")


def named(error: JpegError, source: Any) -> JpegError:
    """Return *error*, or a :class:`NotJpegError` that names the format where *source* is of another one."""
    kind = format_of(bytes(_view(source)[:65536]))
    if kind is None or (kind != "JPEG-LS" and not isinstance(error, NotJpegError)):
        return error
    text = "the data is empty" if kind == "empty" else f"not a JPEG but {kind}"
    return NotJpegError(f"{text} ({error})", error.message_code)


# ---- partial streams ------------------------------------------------------------------------------------------------

_MOST_CUTS = 12
_SOI = 0xD8
_MARKER_OR_SOI = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


def _cut_before(data: Any, offset: int) -> bytes | None:
    """Return *data* up to the last segment that begins before *offset*, with an EOI; None if no scan remains."""
    view = _view(data)
    start, scans = 0, 0
    found = _MARKER_OR_SOI.search(view, 2)
    while found is not None and found.start() < offset:
        marker = view[found.start() + 1]
        if marker == EOI:
            break
        if marker == _SOI:  # of another image
            start = found.start()
            break
        start = found.start()
        end = start + 2 + int.from_bytes(view[start + 2 : start + 4], "big")
        if end < start + 4 or end > len(view):
            break
        scans += marker == SOS
        if marker == SOS and end >= offset:
            scans -= 1
        found = _MARKER_OR_SOI.search(view, end)
    return bytes(view[:start]) + b"\xff\xd9" if scans > 0 else None


def salvage(data: Any, attempt: Callable[[Any], R]) -> tuple[R, Damage | None]:
    """Return what *attempt* makes of *data*, or of its beginning where an error stands behind some of the image.

    The second value is that error's place, None where there was no error.
    """
    first: DamagedError | None = None
    for _ in range(_MOST_CUTS):
        try:
            return attempt(data), first.damage if first else None
        except DamagedError as error:
            first = first or error
            complete = completed(_view(data))
            data = data if complete is None else complete  # what was decoded, so that the offset is one in it
            shorter = None if error.offset is None else _cut_before(data, min(error.offset, len(data)))
            if shorter is None or len(shorter) >= len(data):
                raise first from None
            data = shorter
    raise first if first else AssertionError


# ---- reporting ------------------------------------------------------------------------------------------------------


def _warning(text: str, damage: Damage | None) -> JpegWarning:
    warning = JpegWarning(text)
    warning.damage = damage
    return warning


def describe(damage: Damage) -> str:
    """Return *damage* as one line."""
    place = f", byte {damage.offset}" if damage.offset is not None else ""
    return f"{damage.message} (scan {damage.scan}, {damage.rows} rows and {damage.mcus} MCUs before it{place})"


def note_damage(status: Any, harder: Damage | None, on_truncated: object, stacklevel: int, prefix: str = "") -> None:
    """Store the damage in *status*, and warn of it unless *on_truncated* is "ok"."""
    damage = None
    if status.num_warnings:
        damage = damage_of(status, ffi.string(status.warning).decode("latin-1"))
    if harder is not None and (damage is None or harder.scan <= damage.scan):
        damage = harder
    this_thread().damage = damage
    if on_truncated == "ok":
        return
    if damage is not None:
        warnings.warn(_warning(prefix + describe(damage), damage), stacklevel=stacklevel + 1)
    elif status.num_notes:
        text = ffi.string(status.note).decode("latin-1")
        warnings.warn(_warning(prefix + text, None), stacklevel=stacklevel + 1)


def damage_found() -> Damage | None:
    """Return the damage of the image that this thread decoded or rewrote last, or None for a whole one.

    For ``on_truncated="ok"``, which does not warn. Batches and series, which use other threads, do not count.
    """
    damage: Damage | None = this_thread().damage
    return damage
