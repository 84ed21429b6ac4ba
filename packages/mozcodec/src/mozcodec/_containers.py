"""Files of several parts: images, gain maps, videos and other data behind the first image.

The Multi-Picture Format (CIPA DC-007: MPO files, Ultra HDR gain maps, camera previews) lists its images in an APP2
segment of the first; XMP of Google's container lists the lengths of gain maps and of a Motion Photo's video. What no
index lists is found behind the end of the image before it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._damage import format_of
from ._errors import NotJpegError
from ._inputs import content_of
from ._metadata import (
    APP2,
    EOI,
    KEEP,
    edit_metadata,
    header_segments,
    next_marker,
    read_metadata,
    segment_end,
)

_MPF = b"MPF\0"
_MP_ENTRY = 0xB002
_ENTRY_SIZE = 16
_GAIN_MAP = re.compile(rb"hdrgm:|HDRGainMap|GainMap|urn:iso:std:iso:ts:21496")
_ITEM = re.compile(rb"<[^<>]*Item:(?:Semantic|Length)[^<>]*>")
_LENGTH = re.compile(rb'(Item:Length\s*=\s*["\'])(\d+)(["\'])')


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file."""

    kind: str
    """"picture", "gain map", "video" or "data"."""
    offset: int
    size: int


def picture_end(data: memoryview, start: int = 0) -> int | None:
    """Return where the image that begins at *start* ends, after its EOI; None if it has none."""
    at = next_marker(data, start + 2)
    while at >= 0:
        if data[at + 1] == EOI:
            return at + 2
        end = segment_end(data, at)
        if not end:
            return None
        at = next_marker(data, end)
    return None


@dataclass(frozen=True, slots=True)
class _Index:
    """The MP entries of a file: their positions and content."""

    order: Any
    base: int
    """Offsets count from here: the byte order mark of the MPF segment."""
    entries: int
    """Position of the first entry in the file."""
    count: int


def _index_of(data: memoryview) -> _Index | None:
    for segment in header_segments(data):
        content = segment.data
        if segment.marker != APP2 or bytes(content[:4]) != _MPF or len(content) < 14:
            continue
        tiff = content[4:]
        order: Any = "little" if bytes(tiff[:2]) == b"II" else "big"

        def number(at: int, size: int, tiff: memoryview = tiff, order: Any = order) -> int:
            return int.from_bytes(tiff[at : at + size], order)

        directory = number(4, 4)
        for i in range(number(directory, 2)):
            entry = directory + 2 + 12 * i
            if number(entry, 2) == _MP_ENTRY:
                size, at = number(entry + 4, 4), number(entry + 8, 4)
                if at + size <= len(tiff):
                    base = segment.offset + 8
                    return _Index(order, base, base + at, size // _ENTRY_SIZE)
    return None


def _listed(data: memoryview, index: _Index | None) -> list[tuple[int, int]]:
    """Return (offset, size) of the further images that the index lists and the file holds."""
    found = []
    for i in range(1, index.count if index else 0):
        entry = index.entries + _ENTRY_SIZE * i  # type: ignore[union-attr]
        size, offset = (int.from_bytes(data[entry + k : entry + k + 4], index.order) for k in (4, 8))  # type: ignore[union-attr]
        start = index.base + offset  # type: ignore[union-attr]
        if offset and bytes(data[start : start + 2]) == b"\xff\xd8" and start + size <= len(data):
            found.append((start, size))
    return sorted(found)


def is_cut_off(data: Any) -> bool:
    """Return whether the file ends within its first image, or within one that its index lists."""
    view = memoryview(data).cast("B")
    if picture_end(view) is None:
        return True
    index = _index_of(view)
    for i in range(1, index.count if index else 0):
        entry = index.entries + _ENTRY_SIZE * i  # type: ignore[union-attr]
        size, offset = (int.from_bytes(view[entry + k : entry + k + 4], index.order) for k in (4, 8))  # type: ignore[union-attr]
        start = index.base + offset  # type: ignore[union-attr]
        if offset and bytes(view[start : start + 2]) == b"\xff\xd8" and start + size > len(view):
            return True
    return False


def _kind_of_picture(data: memoryview) -> str:
    head = b"".join(bytes(s.data) for s in header_segments(data) if 0xE1 <= s.marker <= 0xE2)
    return "gain map" if _GAIN_MAP.search(head) else "picture"


def _split_tail(data: memoryview, start: int, end: int) -> list[Part]:
    """Return the parts of data that no index lists."""
    parts: list[Part] = []
    while start < end:
        piece = data[start:end]
        if bytes(piece[:2]) == b"\xff\xd8" and (stop := picture_end(data[:end], start)) is not None:
            parts.append(Part(_kind_of_picture(piece), start, stop - start))
            start = stop
            continue
        zeros = re.match(rb"\0+(?=\xff\xd8\xff)", piece)
        size = zeros.end() if zeros else len(piece)
        parts.append(Part("video" if bytes(piece[4:8]) == b"ftyp" else "data", start, size))
        start += size
    return parts


def parts_of(data: Any) -> list[Part]:
    """Return the parts of a file in order; the first is its image, and together they are the whole file."""
    view = memoryview(data).cast("B")
    end = picture_end(view)
    if end is None:
        return [Part("picture", 0, len(view))]
    parts = [Part("picture", 0, end)]
    for offset, size in _listed(view, _index_of(view[:end])):
        if offset < end:
            continue
        parts += _split_tail(view, end, offset)
        parts.append(Part(_kind_of_picture(view[offset : offset + size]), offset, size))
        end = offset + size
    return parts + _split_tail(view, end, len(view))


def is_picture(part: Part) -> bool:
    """Return whether *part* is a JPEG."""
    return part.kind in ("picture", "gain map")


def pictures(data: Any) -> list[bytes]:
    """Return the images of a file, each a JPEG of its own: the first, then gain maps, previews, other views.

    Ordinary files have one. :func:`mozcodec.inspect` lists all parts of a file. Raises
    :class:`mozcodec.NotJpegError` for data that does not begin as a JPEG.
    """
    view = memoryview(content_of(data)).cast("B")
    if bytes(view[:2]) != b"\xff\xd8":
        raise NotJpegError(
            f"not a JPEG but {format_of(bytes(view[:65536])) or 'unknown data: it must begin with FF D8'}"
        )
    return [bytes(view[part.offset : part.offset + part.size]) for part in parts_of(view) if is_picture(part)]


# ---- writing --------------------------------------------------------------------------------------------------------


def _with_lengths(first: bytes, sizes: list[tuple[int, int]]) -> bytes:
    """Return the first image with the lengths of the parts that its XMP lists: pairs of old and new size."""
    xmp = read_metadata(first).xmp
    if xmp is None or all(old == new for old, new in sizes):
        return first
    known = dict(sizes)

    def item(found: re.Match[bytes]) -> bytes:
        return _LENGTH.sub(lambda m: m[1] + str(known.get(int(m[2]), int(m[2]))).encode() + m[3], found[0])

    return edit_metadata(first, xmp=_ITEM.sub(item, xmp), exif=KEEP)


def _with_index(first: bytes, moved: dict[int, tuple[int, int]], old: memoryview) -> bytes:
    """Return the first image with the new sizes and offsets of the images that its MP index lists."""
    before, after = _index_of(old), _index_of(memoryview(first))
    if before is None or after is None or before.count != after.count:
        return first
    result = bytearray(first)
    for i in range(after.count):
        entry, source = after.entries + _ENTRY_SIZE * i, before.entries + _ENTRY_SIZE * i
        offset = int.from_bytes(old[source + 8 : source + 12], before.order)
        start = 0 if i == 0 else before.base + offset
        if start not in moved or (i and not offset):
            continue
        new_start, new_size = moved[start]
        result[entry + 4 : entry + 8] = new_size.to_bytes(4, after.order)
        result[entry + 8 : entry + 12] = (0 if i == 0 else new_start - after.base).to_bytes(4, after.order)
    return bytes(result)


def rewritten(data: memoryview, first: bytes, rewrite: Callable[[bytes], bytes]) -> bytes:
    """Return a file of the image *first* and the further parts of *data*, its indices up to date.

    ``rewrite(picture)`` is called for each further image; other parts are kept byte for byte.
    """
    parts = parts_of(data)
    contents = []
    for part in parts[1:]:
        content = bytes(data[part.offset : part.offset + part.size])
        contents.append(rewrite(content) if is_picture(part) else content)
    sizes = [(part.size, len(content)) for part, content in zip(parts[1:], contents, strict=True)]
    first = _with_lengths(first, sizes)
    moved = {0: (0, len(first))}
    at = len(first)
    for part, content in zip(parts[1:], contents, strict=True):
        moved[part.offset] = at, len(content)
        at += len(content)
    return b"".join((_with_index(first, moved, data), *contents))
