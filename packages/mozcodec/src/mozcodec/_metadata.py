"""ICC profiles, EXIF, XMP and comments: the marker segments beside the picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._mozjpeg import ffi

DQT, APP1, APP2, COM = 0xDB, 0xE1, 0xE2, 0xFE
EXIF_SIGNATURE = b"Exif\0\0"
XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
ICC_SIGNATURE = b"ICC_PROFILE\0"
MAX_SEGMENT = 65533  # a length of two bytes that counts itself
ICC_CHUNK = MAX_SEGMENT - len(ICC_SIGNATURE) - 2  # and two bytes: number of the chunk, number of chunks
_ORIENTATION_TAG = 0x0112  # EXIF 2.32, section 4.6.4 A


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment: ``offset`` of its 0xFF in the file, its marker byte and what follows its length."""

    offset: int
    marker: int
    data: memoryview


def header_segments(data: bytes | bytearray | memoryview) -> Iterator[Segment]:
    """Yield the marker segments before the first scan, as far as the file holds them whole."""
    view = memoryview(data).cast("B")
    position = 2
    while position + 4 <= len(view):
        if view[position] != 0xFF:
            return
        marker = view[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(view[position + 2 : position + 4], "big")
        if marker in (0xDA, 0xD9) or end > len(view):
            return
        yield Segment(position, marker, view[position + 4 : end])
        position = end


@dataclass(frozen=True, slots=True)
class Metadata:
    """What stands beside the picture; None where the file has no such segment."""

    icc_profile: bytes | None = None
    exif: bytes | None = None
    """The TIFF structure, without the "Exif" signature."""
    xmp: bytes | None = None
    comments: tuple[bytes, ...] = ()


def read_metadata(data: bytes | bytearray | memoryview) -> Metadata:
    """Return the ICC profile, EXIF, XMP and comments of a JPEG. Incomplete ICC profiles count as none."""
    chunks: dict[int, bytes] = {}
    number_of_chunks = 0
    exif = xmp = None
    comments = []
    for segment in header_segments(data):
        content = bytes(segment.data)
        if segment.marker == APP1 and content.startswith(EXIF_SIGNATURE) and exif is None:
            exif = content[len(EXIF_SIGNATURE) :]
        elif segment.marker == APP1 and content.startswith(XMP_SIGNATURE) and xmp is None:
            xmp = content[len(XMP_SIGNATURE) :]
        elif segment.marker == APP2 and content.startswith(ICC_SIGNATURE) and len(content) > len(ICC_SIGNATURE) + 2:
            number, number_of_chunks = content[len(ICC_SIGNATURE)], content[len(ICC_SIGNATURE) + 1]
            chunks[number] = content[len(ICC_SIGNATURE) + 2 :]
        elif segment.marker == COM:
            comments.append(content)
    complete = number_of_chunks > 0 and set(chunks) == set(range(1, number_of_chunks + 1))
    icc_profile = b"".join(chunks[i] for i in sorted(chunks)) if complete else None
    return Metadata(icc_profile, exif, xmp, tuple(comments))


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
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


def _segment(name: str, content: bytes) -> bytes:
    if len(content) > MAX_SEGMENT:
        raise ValueError(f"{name} takes {len(content)} bytes, a JPEG segment holds {MAX_SEGMENT}")
    return content


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
        tiff = exif.removeprefix(EXIF_SIGNATURE)
        if tiff[:2] not in (b"II", b"MM"):
            raise ValueError("exif must be a TIFF structure: it begins with II or MM")
        segments.append((APP1, _segment("exif", EXIF_SIGNATURE + tiff)))
    if xmp is not None:
        segments.append((APP1, _segment("xmp", XMP_SIGNATURE + xmp)))
    if icc_profile is not None:
        segments += [(APP2, chunk) for chunk in _icc_segments(icc_profile)]
    if comment is not None:
        text = comment.encode() if isinstance(comment, str) else comment
        segments.append((COM, _segment("comment", text)))
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
