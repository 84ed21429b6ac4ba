"""ICC profiles, EXIF, XMP and comments: the marker segments beside the picture."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._mozjpeg import ffi

# A marker with a segment, or EOI; before it libjpeg skips fill bytes, garbage, and coded data with its 0xFF00 and RSTn.
MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
EOI, SOS = 0xD9, 0xDA
DQT, APP0, APP1, APP2, APP14, COM = 0xDB, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
EXIF_SIGNATURE = b"Exif\0\0"
XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"  # XMP Specification, part 3, 1.1.3.1
ICC_SIGNATURE = b"ICC_PROFILE\0"
MAX_SEGMENT = 65533  # a length of two bytes that counts itself
ICC_CHUNK = MAX_SEGMENT - len(ICC_SIGNATURE) - 2  # and two bytes: number of the chunk, number of chunks
EXTENDED_XMP_CHUNK = 65400  # Adobe's; a signature, a digest of 32 digits and two numbers of 4 bytes stand before it
_ORIENTATION_TAG = 0x0112  # EXIF 2.32, section 4.6.4 A
_TIFF_SHORT, _TIFF_LONG = 3, 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment: ``offset`` of its 0xFF in the file, its marker byte and what follows its length."""

    offset: int
    marker: int
    data: memoryview


def header_segments(data: bytes | bytearray | memoryview) -> Iterator[Segment]:
    """Yield the marker segments before the first scan, as far as the file holds them whole."""
    view = memoryview(data).cast("B")
    found = MARKER.search(view, 2)
    while found is not None:
        start = found.start()
        segment_end = start + 2 + int.from_bytes(view[start + 2 : start + 4], "big")
        if view[start + 1] in (SOS, EOI) or not start + 4 <= segment_end <= len(view):
            return
        yield Segment(start, view[start + 1], view[start + 4 : segment_end])
        found = MARKER.search(view, segment_end)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What stands beside the picture; None where the file has no such segment."""

    icc_profile: bytes | None = None
    exif: bytes | None = None
    """The TIFF structure, without the "Exif" signature."""
    xmp: bytes | None = None
    """The packet of the first XMP segment."""
    comments: tuple[bytes, ...] = ()
    extended_xmp: bytes | None = None
    """The rest of an XMP packet that is longer than a segment; *xmp* names its MD5 as xmpNote:HasExtendedXMP."""


def _extended_xmp(xmp: bytes | None, chunks: list[bytes]) -> bytes | None:
    """Return what the chunks hold of the packet that *xmp* names; None where that is not all of it."""
    parts: dict[int, bytes] = {}
    size = 0
    for chunk in chunks:
        digest, numbers, part = chunk[:32], chunk[32:40], chunk[40:]
        if xmp is not None and len(numbers) == 8 and digest in xmp:
            size = int.from_bytes(numbers[:4], "big")
            parts[int.from_bytes(numbers[4:], "big")] = part
    whole = b""
    for offset in sorted(parts):
        if offset != len(whole):
            return None
        whole += parts[offset]
    return whole if parts and len(whole) == size else None


def read_metadata(data: bytes | bytearray | memoryview) -> Metadata:
    """Return the ICC profile, EXIF, XMP and comments of a JPEG. Incomplete profiles and extensions count as none."""
    chunks: dict[int, bytes] = {}
    number_of_chunks = 0
    exif = xmp = None
    extensions = []
    comments = []
    for segment in header_segments(data):
        if segment.marker not in (APP1, APP2, COM):
            continue
        content = bytes(segment.data)
        if segment.marker == APP1 and content.startswith(EXIF_SIGNATURE) and exif is None:
            exif = content[len(EXIF_SIGNATURE) :]
        elif segment.marker == APP1 and content.startswith(XMP_SIGNATURE) and xmp is None:
            xmp = content[len(XMP_SIGNATURE) :]
        elif segment.marker == APP1 and content.startswith(EXTENDED_XMP_SIGNATURE):
            extensions.append(content[len(EXTENDED_XMP_SIGNATURE) :])
        elif segment.marker == APP2 and content.startswith(ICC_SIGNATURE) and len(content) > len(ICC_SIGNATURE) + 2:
            number, number_of_chunks = content[len(ICC_SIGNATURE)], content[len(ICC_SIGNATURE) + 1]
            chunks[number] = content[len(ICC_SIGNATURE) + 2 :]
        elif segment.marker == COM:
            comments.append(content)
    complete = number_of_chunks > 0 and set(chunks) == set(range(1, number_of_chunks + 1))
    icc_profile = b"".join(chunks[i] for i in sorted(chunks)) if complete else None
    return Metadata(icc_profile, exif, xmp, tuple(comments), _extended_xmp(xmp, extensions))


def _is_carried(segment: Segment, copy: str) -> bool:
    content = bytes(segment.data[:12])
    if segment.marker == COM:
        return copy in ("all", "comments")
    if not APP0 <= segment.marker <= APP0 + 15:
        return False
    # Those two say how this very file codes its colours: the new one has its own.
    if (segment.marker == APP0 and content[:5] == b"JFIF\0") or (segment.marker == APP14 and content[:5] == b"Adobe"):
        return False
    return copy == "all" or (copy == "icc" and segment.marker == APP2 and content == ICC_SIGNATURE)


def carried_segments(data: bytes, copy: str) -> list[tuple[int, bytes]]:
    """Return the marker segments of a JPEG that another file of the same picture keeps; *copy* as jpegtran's."""
    return [(segment.marker, bytes(segment.data)) for segment in header_segments(data) if _is_carried(segment, copy)]


def with_segments(jpeg: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """Return *jpeg* with more segments, where cjpeg puts those of a JPEG that it reads: after JFIF's and Adobe's."""
    at = 2
    for segment in header_segments(jpeg):
        if segment.marker not in (APP0, APP14):
            break
        at = segment.offset + 4 + len(segment.data)
    more = (b"\xff" + bytes((marker,)) + (len(data) + 2).to_bytes(2, "big") + data for marker, data in segments)
    return b"".join((jpeg[:at], *more, jpeg[at:]))


def orientation_of(exif: bytes | None) -> int:
    """Return the EXIF orientation 1..8 of the first image directory; 1, upright, where there is none."""
    if exif is None or exif[:2] not in (b"II", b"MM"):
        return 1
    order: Any = "little" if exif[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)

    directory = number(4, 4)
    for i in range(number(directory, 2)):
        entry = directory + 2 + 12 * i
        if entry + 12 > len(exif):
            break
        if number(entry, 2) == _ORIENTATION_TAG:
            value = number(entry + 8, {_TIFF_SHORT: 2, _TIFF_LONG: 4}.get(number(entry + 2, 2), 2))
            return value if 1 <= value <= 8 else 1
    return 1


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{name} must be bytes, got {type(value).__name__}")
    return bytes(value)


def _segment(name: str, signature: bytes, content: bytes) -> bytes:
    capacity = MAX_SEGMENT - len(signature)
    if len(content) > capacity:
        raise ValueError(f"{name} has {len(content)} bytes, a JPEG segment holds at most {capacity}")
    return signature + content


def _icc_segments(profile: bytes) -> list[bytes]:
    chunks = [profile[i : i + ICC_CHUNK] for i in range(0, len(profile), ICC_CHUNK)]
    if not 1 <= len(chunks) <= 255:
        raise ValueError(f"icc_profile must have 1..{255 * ICC_CHUNK} bytes, got {len(profile)}")
    return [ICC_SIGNATURE + bytes((i, len(chunks))) + chunk for i, chunk in enumerate(chunks, 1)]


def segments_to_write(
    icc_profile: bytes | None, exif: bytes | None, xmp: bytes | None, comment: bytes | str | None
) -> list[tuple[int, bytes]]:
    """Return the marker segments, (marker, content), that hold these, in the order EXIF, XMP, ICC, comment."""
    segments = []
    if exif is not None:
        tiff = _bytes("exif", exif).removeprefix(EXIF_SIGNATURE)
        if tiff[:2] not in (b"II", b"MM"):
            raise ValueError("exif must be a TIFF structure: it begins with II or MM")
        segments.append((APP1, _segment("exif", EXIF_SIGNATURE, tiff)))
    if xmp is not None:
        segments.append((APP1, _segment("xmp", XMP_SIGNATURE, _bytes("xmp", xmp))))
    if icc_profile is not None:
        segments += [(APP2, chunk) for chunk in _icc_segments(_bytes("icc_profile", icc_profile))]
    if comment is not None:
        text = comment.encode() if isinstance(comment, str) else _bytes("comment", comment)
        segments.append((COM, _segment("comment", b"", text)))
    return segments


def _extended_xmp_segments(xmp: bytes | None, extended: bytes) -> list[tuple[int, bytes]]:
    digest = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    if xmp is None or digest not in xmp:
        raise ValueError(f"xmp must name extended_xmp by its MD5: xmpNote:HasExtendedXMP is to be {digest.decode()}")
    head = EXTENDED_XMP_SIGNATURE + digest + len(extended).to_bytes(4, "big")
    return [
        (APP1, head + at.to_bytes(4, "big") + extended[at : at + EXTENDED_XMP_CHUNK])
        for at in range(0, len(extended), EXTENDED_XMP_CHUNK)
    ]


def segments_of(metadata: Metadata) -> list[tuple[int, bytes]]:
    """Return the marker segments that hold *metadata*: EXIF, XMP and its extension, ICC, comments."""
    segments = segments_to_write(None, metadata.exif, metadata.xmp, None)
    if metadata.extended_xmp is not None:
        segments += _extended_xmp_segments(metadata.xmp, _bytes("extended_xmp", metadata.extended_xmp))
    segments += segments_to_write(metadata.icc_profile, None, None, None)
    for comment in metadata.comments:
        segments += segments_to_write(None, None, None, comment)
    return segments


def c_markers(segments: list[tuple[int, bytes]]) -> tuple[Any, list[Any]]:
    """Return *segments* as an array of ``mzc_marker`` and what must live as long."""
    if not segments:
        return ffi.NULL, []
    array = ffi.new("mzc_marker[]", len(segments))
    alive = [ffi.from_buffer("unsigned char[]", content) for _, content in segments]
    for marker, (code, content), buffer in zip(array, segments, alive, strict=True):
        marker.marker, marker.data, marker.size = code, buffer, len(content)
    return array, alive
