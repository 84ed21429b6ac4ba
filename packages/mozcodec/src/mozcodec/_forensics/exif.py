"""EXIF and XMP as names and values, read from untrusted bytes."""

import re
from dataclasses import dataclass, field
from typing import Any

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8}
"""Bytes of a value of each TIFF type."""
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
_EXIF_POINTER, _GPS_POINTER, _THUMBNAIL_OFFSET, _THUMBNAIL_SIZE = 0x8769, 0x8825, 0x0201, 0x0202
_ORIENTATION, _STRIPS = 0x0112, 0x0111
_TAGS = {
    0x0100: "ImageWidth", 0x0101: "ImageLength", 0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model",
    0x0112: "Orientation", 0x0131: "Software", 0x0132: "DateTime", 0x013B: "Artist", 0x8298: "Copyright",
    0x9003: "DateTimeOriginal", 0x9004: "DateTimeDigitized", 0x9286: "UserComment", 0xA002: "PixelXDimension",
    0xA003: "PixelYDimension", 0xA420: "ImageUniqueID", 0xA431: "BodySerialNumber", 0xA434: "LensModel",
    0xC4A5: "PrintImageMatching",
}  # fmt: skip
"""EXIF 2.32 (CIPA DC-008), section 4.6."""
_MOST_ENTRIES = 1000
_MOST_TEXT = 1000
_MOST_XMP = 1 << 20


@dataclass(frozen=True, slots=True)
class Exif:
    """The content of a TIFF structure."""

    values: dict[str, str | int] = field(default_factory=dict)
    """Tags of the first directory and of the EXIF directory by name; texts are cut after 1,000 characters."""
    has_gps: bool = False
    thumbnail: bytes | None = None
    """The JPEG of the second directory; None where that is empty or not compressed."""
    thumbnail_orientation: int | None = None
    """The orientation that the second directory states."""
    problems: tuple[str, ...] = ()
    """Descriptions of the defects."""


def read_exif(tiff: bytes) -> Exif:
    """Return the tags of a TIFF structure; ``problems`` names its defects."""
    if tiff[:4] not in (b"II*\0", b"MM\0*") or len(tiff) < 8:
        return Exif(problems=("EXIF does not begin as a TIFF structure",))
    order: Any = "little" if tiff[:2] == b"II" else "big"
    problems: list[str] = []
    first, second = _directory(tiff, int.from_bytes(tiff[4:8], order), order, problems)
    values, has_gps = dict(first), _GPS_POINTER in first
    pointer = first.get(_EXIF_POINTER)
    if isinstance(pointer, int):
        values |= _directory(tiff, pointer, order, problems)[0]
    thumbnail, own = _thumbnail(tiff, second, order, problems) if second else (None, None)
    named = {_TAGS[tag]: value for tag, value in values.items() if tag in _TAGS}
    return Exif(named, has_gps, thumbnail, own, tuple(dict.fromkeys(problems)))


def _thumbnail(tiff: bytes, directory: int, order: Any, problems: list[str]) -> tuple[bytes | None, int | None]:
    """Return the JPEG that the second directory places, and the orientation that it states."""
    entries = _directory(tiff, directory, order, problems)[0]
    at, size, turn = (entries.get(tag) for tag in (_THUMBNAIL_OFFSET, _THUMBNAIL_SIZE, _ORIENTATION))
    own = turn if isinstance(turn, int) else None
    if isinstance(at, int) and size == 0:
        problems.append("the thumbnail is empty")
    elif isinstance(at, int) and isinstance(size, int):
        content = tiff[at : at + size]
        if len(content) < size:
            problems.append(f"the thumbnail is cut off: {len(content)} of {size} bytes")
        return content or None, own
    elif _STRIPS in entries:
        problems.append("the thumbnail is not compressed, and is not compared with the image")
    return None, own


def _directory(tiff: bytes, at: int, order: Any, problems: list[str]) -> tuple[dict[int, str | int], int]:
    """Return the entries of a directory, and where the next one begins; 0 if there is none."""
    count = int.from_bytes(tiff[at : at + 2], order)
    if at < 8 or at + 2 > len(tiff) or count > _MOST_ENTRIES:
        problems.append("an EXIF directory lies outside of the segment or is too long")
        return {}, 0
    found: dict[int, str | int] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if entry + 12 > len(tiff):
            problems.append("an EXIF directory is cut off")
            return found, 0
        tag, kind = (int.from_bytes(tiff[entry + i : entry + i + 2], order) for i in (0, 2))
        number = int.from_bytes(tiff[entry + 4 : entry + 8], order)
        size = _SIZES.get(kind, 0) * number
        start = entry + 8 if size <= 4 else int.from_bytes(tiff[entry + 8 : entry + 12], order)
        value = tiff[start : start + min(size, 4 * _MOST_TEXT)]
        if size and len(value) < min(size, 4 * _MOST_TEXT):
            problems.append(f"EXIF tag 0x{tag:04X} lies outside of the segment")
        elif kind in (_SHORT, _LONG) and number:
            found[tag] = int.from_bytes(value[: _SIZES[kind]], order)
        elif kind in (_ASCII, _UNDEFINED):
            found[tag] = _text(value, kind == _UNDEFINED)
    end = at + 2 + 12 * count
    return found, int.from_bytes(tiff[end : end + 4], order)


def _text(value: bytes, has_code: bool) -> str:
    """Return a text; UserComment begins with eight bytes that name its character code (EXIF 2.32, 4.6.5 D)."""
    if has_code and value[:8] in (b"ASCII\0\0\0", b"\0" * 8):
        value = value[8:]
    elif has_code and value[:8] == b"UNICODE\0":
        return value[8:].decode("utf-16", "replace").rstrip("\0 ")[:_MOST_TEXT]
    return value.split(b"\0")[0].decode("utf-8", "replace").strip()[:_MOST_TEXT]


_PROPERTY = re.compile(
    r'\b(?P<name>[A-Za-z][\w]{0,30}:[A-Za-z][\w]{0,60})'
    r"""(?:\s{0,20}=\s{0,20}(?:"(?P<double>[^"<]{0,2000})"|'(?P<single>[^'<]{0,2000})')"""
    r"|\s{0,20}>(?:\s{0,200}<rdf:(?:Alt|Bag|Seq)>\s{0,200}<rdf:li[^>]{0,200}>)?(?P<text>[^<]{1,2000})<)"
)


def read_xmp(packet: bytes) -> dict[str, tuple[str, ...]]:
    """Return the properties of an XMP packet by name with prefix, each with all its values in order.

    The packet is searched, not parsed as XML: entities of a document type have no effect, and a broken packet gives
    what can be read. At most the first megabyte is read.
    """
    found: dict[str, list[str]] = {}
    for match in _PROPERTY.finditer(packet[:_MOST_XMP].decode("utf-8", "replace")):
        value = next(v for v in (match["double"], match["single"], match["text"]) if v is not None).strip()
        if value and not match["name"].startswith(("xmlns:", "rdf:", "xml:")):
            found.setdefault(match["name"], []).append(value)
    return {name: tuple(values) for name, values in found.items()}
