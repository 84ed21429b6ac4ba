"""Files of several parts: images, gain maps, videos and other data behind the first image.

The Multi-Picture Format (CIPA DC-007: MPO files, Ultra HDR gain maps, camera previews) lists its images in an APP2
segment of the first; XMP of Google's container lists the lengths of gain maps and of a Motion Photo's video. What no
index lists is found behind the end of the image before it.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ._errors import NotJpegError
from ._formats import format_of
from ._inputs import view_of
from ._metadata import (
    APP1,
    APP2,
    EOI,
    MAX_SEGMENT,
    SOS,
    XMP_SIGNATURE,
    Metadata,
    Segment,
    header_segments,
    next_marker,
    read_metadata,
    segment_bytes,
    segment_end,
    with_metadata,
)

_MPF = b"MPF\0"
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496"
_MP_COUNT, _MP_ENTRY, _MP_IDS = 0xB001, 0xB002, 0xB003
_ENTRY_SIZE, _ID_SIZE = 16, 33
_PREVIEW, _GAIN_MAP_IMAGE = 0x01, 0x05  # the first byte of an MP type: "large thumbnail", "gain map image"
_GAIN_MAP = re.compile(rb"hdrgm:|HDRGainMap|GainMap|urn:iso:std:iso:ts:21496")
_SAMSUNG_VIDEO = re.compile(rb"MotionPhoto_Data(?=.{4}ftyp)", re.DOTALL)
_CONTAINER_ITEM = rb"http://ns\.google\.com/photos/1\.0/container/item/"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file."""

    kind: str
    """"picture", "preview" (a smaller form of the first image), "gain map", "video" or "data"."""
    offset: int
    size: int


def picture_end(data: memoryview, start: int = 0) -> int | None:
    """Return where the image that begins at *start* ends, after its EOI; None if it has none.

    A stream of tables (T.81, B.5) and the image behind it are one.
    """
    at = next_marker(data, start + 2)
    has_tables = has_scan = False
    while at >= 0:
        if data[at + 1] == EOI:
            if has_scan or not has_tables or bytes(data[at + 2 : at + 4]) != b"\xff\xd8":
                return at + 2
            has_scan = True  # one stream of tables only
            at = next_marker(data, at + 4)
            continue
        has_tables = True
        has_scan = has_scan or data[at + 1] == SOS
        end = segment_end(data, at)
        if not end:
            return None
        at = next_marker(data, end)
    return None


# ---- the index of the Multi-Picture Format --------------------------------------------------------------------------


class _Entry(NamedTuple):
    """An MP entry: where it stands in the file, and what it says."""

    order: Any
    base: int
    """Offsets count from here: the byte order mark of the MPF segment."""
    at: int
    start: int
    """Where its image begins in the file."""
    size: int
    is_first: bool
    type: int
    """What its image is (CIPA DC-007, 5.2.3.3.1)."""


def _entries_of_segment(segment: Segment) -> Iterator[_Entry]:
    tiff = segment.data[4:]
    order: Any = "little" if bytes(tiff[:2]) == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    base, directory = segment.offset + 8, number(4, 4)
    for i in range(min(number(directory, 2), len(tiff) // 12)):  # there is no room for more
        field = directory + 2 + 12 * i
        if number(field, 2) != _MP_ENTRY:
            continue
        size, at = number(field + 4, 4), number(field + 8, 4)
        if at + size <= len(tiff):
            for k in range(size // _ENTRY_SIZE):
                entry = at + _ENTRY_SIZE * k
                offset, size_of, type_of = number(entry + 8, 4), number(entry + 4, 4), number(entry, 4) & 0xFFFFFF
                start = base + offset if k else 0
                yield _Entry(order, base, base + entry, start, size_of, k == 0, type_of)
            return


def _is_index(segment: Segment) -> bool:
    return segment.marker == APP2 and bytes(segment.data[:4]) == _MPF


def _entries_of(data: memoryview) -> list[_Entry]:
    """Return the MP entries of a file, of all its MPF segments."""
    return [entry for segment in header_segments(data) if _is_index(segment) for entry in _entries_of_segment(segment)]


def has_index(data: memoryview) -> bool:
    """Return whether the file has a Multi-Picture index."""
    return any(_is_index(segment) for segment in header_segments(data))


def _listed(data: memoryview, entries: list[_Entry]) -> list[tuple[int, int]]:
    """Return (start, size) of the further images that the index lists and the file holds, in order."""
    found: dict[int, int] = {}
    for entry in entries:
        if (
            not entry.is_first
            and entry.start > entry.base
            and bytes(data[entry.start : entry.start + 2]) == b"\xff\xd8"
        ):
            found[entry.start] = max(entry.size, found.get(entry.start, 0))
    return sorted(found.items())


def is_cut_off(data: Any) -> bool:
    """Return whether the file ends within its first image, or within one that its index lists."""
    view = memoryview(data).cast("B")
    end = picture_end(view)
    if end is None:
        return True
    listed = _listed(view, _entries_of(view[:end]))
    start, size = listed[-1] if listed else (0, 0)
    return start + size > len(view) and picture_end(view, start) is None


# ---- the parts ------------------------------------------------------------------------------------------------------


def _kind_of_picture(data: memoryview, mp_type: int = 0) -> str:
    if mp_type >> 16 == _PREVIEW:
        return "preview"
    if mp_type >> 16 == _GAIN_MAP_IMAGE:
        return "gain map"
    head = b"".join(bytes(s.data) for s in header_segments(data) if 0xE1 <= s.marker <= 0xE2)
    return "gain map" if _GAIN_MAP.search(head) else "picture"


def _data_parts(data: memoryview, start: int, end: int) -> list[Part]:
    """Return the parts of data that is no JPEG: a video, and what is around it."""
    if bytes(data[start + 4 : start + 8]) == b"ftyp":
        return [Part("video", start, end - start)]
    video = _SAMSUNG_VIDEO.search(data[start:end])
    if video is None:
        return [Part("data", start, end - start)]
    begin, stop = start + video.end(), end
    if bytes(data[end - 4 : end]) == b"SEFT":  # Samsung's directory of its trailer, SEFH ... SEFT, stands at the end
        stop = end - 8 - int.from_bytes(data[end - 8 : end - 4], "little")
        if not begin < stop or bytes(data[stop : stop + 4]) != b"SEFH":
            stop = end
    parts = [Part("data", start, begin - start), Part("video", begin, stop - begin)]
    return parts if stop == end else [*parts, Part("data", stop, end - stop)]


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
        if zeros is None:
            return parts + _data_parts(data, start, end)
        parts.append(Part("data", start, zeros.end()))
        start += zeros.end()
    return parts


def _listed_end(data: memoryview, start: int, size: int, following: int) -> int:
    """Return where a listed image ends: at its EOI, as sizes may be wrong, else as its size says.

    *following* is where the next listed image begins that does not begin within its size.
    """
    stop = picture_end(data[: start + size], start) or picture_end(data[:following], start)
    return stop or min(start + size if size > 1 else following, following)


def parts_of(data: Any) -> list[Part]:
    """Return the parts of a file in order; the first is its image, and together they are the whole file."""
    view = memoryview(data).cast("B")
    end = picture_end(view)
    if end is None:
        return [Part("picture", 0, len(view))]
    parts = [Part("picture", 0, end)]
    entries = _entries_of(view[:end])
    types = {entry.start: entry.type for entry in entries}
    listed = _listed(view, entries)
    starts = [start for start, _ in listed]
    for start, size in listed:
        if start < end:  # within the part before
            continue
        parts += _split_tail(view, end, start)
        after = bisect_right(starts, max(start, start + size - 1))
        end = _listed_end(view, start, size, starts[after] if after < len(starts) else len(view))
        parts.append(Part(_kind_of_picture(view[start:end], types[start]), start, end - start))
    return parts + _split_tail(view, end, len(view))


def is_picture(part: Part) -> bool:
    """Return whether *part* is a JPEG."""
    return part.kind in ("picture", "preview", "gain map")


def pictures(data: Any) -> list[bytes]:
    """Return the images of a file, each a JPEG of its own: the first, then gain maps, previews, other views.

    Ordinary files have one. :func:`mozcodec.inspect` lists all parts of a file. Raises
    :class:`mozcodec.NotJpegError` for data that does not begin as a JPEG.
    """
    view = view_of(data)
    if bytes(view[:2]) != b"\xff\xd8":
        raise NotJpegError(
            f"not a JPEG but {format_of(bytes(view[:65536])) or 'unknown data: it must begin with FF D8'}"
        )
    return [bytes(view[part.offset : part.offset + part.size]) for part in parts_of(view) if is_picture(part)]


# ---- writing --------------------------------------------------------------------------------------------------------


class _Moves:
    """Where what a file had is in its new form: pieces, in order of their old place."""

    def __init__(self) -> None:
        self.old: list[int] = []
        self.pieces: list[tuple[int, int, int, bool]] = []
        """Old end, new start, new end, and whether the bytes between are the same."""
        self.dropped: set[int] = set()
        """Where parts began that the new form does not have."""

    def add(self, old: int, old_size: int, new: int, new_size: int, same: bool) -> None:
        self.old.append(old)
        self.pieces.append((old + old_size, new, new + new_size, same))

    def start(self, position: int) -> int | None:
        """Return the new place of what begins at *position*, or None where that is not known."""
        i = bisect_right(self.old, position) - 1
        if i < 0:
            return None
        old_end, new, _, same = self.pieces[i]
        if position == self.old[i]:
            return new
        return new + position - self.old[i] if position < old_end and same else None

    def size(self, position: int, size: int) -> int:
        """Return the new size of what began at *position* and had *size* bytes; of a piece where that was wrong."""
        if position in self.dropped:
            return 0
        start, end = self.start(position), position + size
        last = bisect_right(self.old, end - 1) - 1
        old_end, new, new_end, same = self.pieces[max(last, 0)]
        if start is not None and end == old_end and new_end > start:
            return new_end - start
        if start is not None and same and end < old_end and new + end - self.old[last] > start:
            return new + end - self.old[last] - start
        i = bisect_right(self.old, position) - 1
        return self.pieces[i][2] - self.pieces[i][1] if i >= 0 and self.old[i] == position else size


def _moves(old: memoryview, parts: list[Part], first: bytes, contents: Sequence[bytes | None]) -> _Moves:
    """Return where the parts are, and the segments of the first image that it still has: previews may be in them."""
    moves = _Moves()
    places: dict[tuple[int, bytes], list[int]] = {}
    for segment in header_segments(first):
        places.setdefault((segment.marker, bytes(segment.data)), []).append(segment.offset)
    moves.add(0, parts[0].size, 0, len(first), False)
    for segment in header_segments(old[: parts[0].size]):
        found = places.get((segment.marker, bytes(segment.data)))
        if found:
            size = 4 + len(segment.data)
            moves.add(segment.offset, size, found.pop(0) if len(found) < 100 else found[0], size, True)
    at = len(first)
    for part, content in zip(parts[1:], contents, strict=True):
        if content is None:
            moves.dropped.add(part.offset)
            continue
        moves.add(part.offset, part.size, at, len(content), content == old[part.offset : part.offset + part.size])
        at += len(content)
    return moves


def _without_entries(first: bytes, old: memoryview, dropped: set[int]) -> bytes:
    """Return *first* without the MP entries of the images that began at *dropped*; its segments keep their sizes."""
    result = bytearray(first)
    before = [one for one in header_segments(old) if _is_index(one)]
    after = [one for one in header_segments(first) if _is_index(one)]
    if [len(one.data) for one in before] != [len(one.data) for one in after]:  # the caller has replaced the index
        return first
    for source, segment in zip(before, after, strict=True):
        entries = list(_entries_of_segment(source))
        gone = [k for k, entry in enumerate(entries) if not entry.is_first and entry.start in dropped]
        if gone:
            _remove_entries(result, segment, entries, gone)
    return bytes(result)


def _remove_entries(result: bytearray, segment: Segment, entries: list[_Entry], gone: list[int]) -> None:
    order, base, count = entries[0].order, segment.offset + 8, len(entries)
    left = [k for k in range(count) if k not in gone]
    names = {old + 1: new for new, old in enumerate(left, 1)}  # entries name others by their numbers, from 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(result[base + at : base + at + size], order)

    def put(at: int, size: int, value: int) -> None:
        result[base + at : base + at + size] = value.to_bytes(size, order)

    def pack(at: int, size: int) -> None:
        kept = b"".join(bytes(result[base + at + size * k : base + at + size * (k + 1)]) for k in left)
        result[base + at : base + at + size * count] = kept + bytes(size * len(gone))

    directory = number(4, 4)
    for i in range(min(number(directory, 2), len(segment.data) // 12)):
        field = directory + 2 + 12 * i
        tag, length, at = number(field, 2), number(field + 4, 4), number(field + 8, 4)
        if tag == _MP_COUNT:
            put(field + 8, 4, len(left))
        elif tag == _MP_ENTRY and length == _ENTRY_SIZE * count:
            pack(at, _ENTRY_SIZE)
            for k in range(len(left)):
                for place in (at + _ENTRY_SIZE * k + 12, at + _ENTRY_SIZE * k + 14):
                    put(place, 2, names.get(number(place, 2), 0))
            put(field + 4, 4, _ENTRY_SIZE * len(left))
        elif tag == _MP_IDS and length == _ID_SIZE * count and 4 + at + length <= len(segment.data):
            pack(at, _ID_SIZE)
            put(field + 4, 4, _ID_SIZE * len(left))


def _with_index(new: bytearray, num_first: int, old: memoryview, moves: _Moves) -> None:
    """Write the new offsets and sizes into the MPF segments of a file whose first image has *num_first* bytes."""
    before, after = _entries_of(old), _entries_of(memoryview(bytes(new[:num_first])))
    before = [entry for entry in before if entry.is_first or entry.start not in moves.dropped]
    if len(before) != len(after):  # the caller has replaced the index
        return
    for source, entry in zip(before, after, strict=True):
        start = moves.start(source.start)
        if start is None:
            continue
        size = num_first if source.is_first else moves.size(source.start, source.size)
        offset = 0 if source.is_first else start - entry.base
        if 0 <= offset < 1 << 32 and size < 1 << 32:
            new[entry.at + 4 : entry.at + 8] = size.to_bytes(4, entry.order)
            new[entry.at + 8 : entry.at + 12] = offset.to_bytes(4, entry.order)


# XMP: lengths of the items of Google's container, which follow each other, and where the video of a MicroVideo begins,
# counted from the end of the file. A property is an attribute or an element.


def xmp_property(name: bytes) -> re.Pattern[bytes]:
    """Match the number that is the value of a property; *name* begins with a literal, so that searches are linear."""
    return re.compile(rb"((?:" + name + rb")\s*(?:=\s*[\"']|>)\s*)(\d{1,18})(?=\s*[\"'<])")


_VIDEO_OFFSET = xmp_property(rb":MicroVideoOffset")


def _item_length(xmp: bytes) -> re.Pattern[bytes]:
    prefix = re.search(rb"xmlns:([\w.-]+)\s*=\s*[\"']" + _CONTAINER_ITEM, xmp)
    return xmp_property((re.escape(prefix[1]) if prefix else b"Item") + b":Length")


def _with_lengths(xmp: bytes, parts: list[Part], moves: _Moves, sizes: tuple[int, int]) -> bytes:
    """Return XMP with new lengths and offsets; *sizes* are those of the whole file, old and new."""
    position = 0

    def length(found: re.Match[bytes]) -> bytes:
        nonlocal position
        old = int(found[2])
        if position == 0 and old == parts[0].size:
            position, new = old, moves.pieces[0][2]
        else:
            part = next((p for p in parts[1:] if p.offset >= position and p.size == old), None)
            if part is None:
                return found[0]
            position, new = part.offset + part.size, moves.size(part.offset, old)
        return found[1] + b"%d" % new

    def offset(found: re.Match[bytes]) -> bytes:
        start = moves.start(sizes[0] - int(found[2]))
        return found[0] if start is None else found[1] + b"%d" % (sizes[1] - start)

    return _VIDEO_OFFSET.sub(offset, _item_length(xmp).sub(length, xmp))


def with_xmp(jpeg: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the image with ``change(packet)`` in place of its XMP packet and of the packet's extension."""
    metadata = read_metadata(jpeg)
    if metadata.xmp is None:
        return jpeg
    xmp, extended = change(metadata.xmp), metadata.extended_xmp
    if extended is not None and change(extended) != extended:
        changed = change(extended)
        old, new = (hashlib.md5(packet, usedforsecurity=False).hexdigest().upper() for packet in (extended, changed))
        xmp = re.sub(old.encode(), new.encode(), xmp, flags=re.IGNORECASE)
        return with_metadata(jpeg, Metadata(xmp=xmp, extended_xmp=changed))
    if xmp == metadata.xmp or len(xmp) > MAX_SEGMENT - len(XMP_SIGNATURE):
        return jpeg
    for segment in header_segments(jpeg):
        content = bytes(segment.data)
        if segment.marker == APP1 and content.startswith(XMP_SIGNATURE):
            after = segment.offset + 4 + len(content)
            return jpeg[: segment.offset] + segment_bytes(APP1, XMP_SIGNATURE + xmp) + jpeg[after:]
    return jpeg


def _joined(
    old: memoryview,
    parts: list[Part],
    first: bytes,
    contents: Sequence[bytes | None],
    dropped: frozenset[int] = frozenset(),
) -> bytes:
    """Return a file of *first* and *contents*, the indices of *old* up to date; *parts* are those of *old*.

    A part whose content is None is dropped, and so are the index's entries of what began at *dropped*.
    """
    written = [content for content in contents if content is not None]
    gone = dropped.union(part.offset for part, content in zip(parts[1:], contents, strict=True) if content is None)
    if gone:
        first = _without_entries(first, old, set(gone))
    given, rest = first, sum(map(len, written))
    for _ in range(3):  # a length in XMP may be that of the image that holds it
        moves, num_first = _moves(old, parts, first, contents), len(first)
        sizes = len(old), num_first + rest
        first = with_xmp(given, partial(_with_lengths, parts=parts, moves=moves, sizes=sizes))
        if len(first) == num_first:
            break
    result = bytearray(b"".join((first, *written)))
    moves = _moves(old, parts, first, contents)
    moves.dropped |= dropped
    _with_index(result, len(first), old, moves)
    return bytes(result)


def _without_inner_previews(first: bytes, data: memoryview, parts: list[Part]) -> tuple[bytes, frozenset[int]]:
    """Return *first* with zeros in place of previews within its segments, and where those began in *data*."""
    result, gone = bytearray(first), set()
    entries = [entry for entry in _entries_of(data[: parts[0].size]) if entry.type >> 16 == _PREVIEW]
    moves = _moves(data, parts, first, [b""] * (len(parts) - 1))
    for start, size in _listed(data[: parts[0].size], entries):
        at = moves.start(start)
        if at is not None:
            end = picture_end(data[: start + size], start) or start + size
            result[at : at + end - start] = bytes(end - start)
        gone.add(start)
    return bytes(result), frozenset(gone)


def rewritten(
    data: memoryview, first: bytes, rewrite: Callable[[bytes, bool, str], bytes | None], is_changed: bool = False
) -> bytes:
    """Return a file of the image *first* and the further parts of *data*, its indices up to date.

    ``rewrite(picture, is_fixed, kind)`` is called for each further image, and returns None to drop it; *is_fixed* says
    that the index names another image within it, which would move. Other parts are kept byte for byte. With
    *is_changed*, previews within the segments of the first image are dropped: they cannot be rewritten.
    """
    parts = parts_of(data)
    starts = [part.offset for part in parts]
    listed = {start for start, _ in _listed(data, _entries_of(data[: parts[0].size]))}
    fixed = {bisect_right(starts, start) - 1 for start in listed.difference(starts)}
    dropped: frozenset[int] = frozenset()
    if is_changed:
        first, dropped = _without_inner_previews(first, data, parts)
    contents: list[bytes | None] = []
    for number, part in enumerate(parts[1:], 1):
        content = bytes(data[part.offset : part.offset + part.size])
        contents.append(rewrite(content, number in fixed, part.kind) if is_picture(part) else content)
    return _joined(data, parts, first, contents, dropped)


def with_indices(old: bytes, new: bytes) -> bytes:
    """Return *new*, which differs from *old* in the header only, with the offsets and lengths of its further parts."""
    view = memoryview(old)
    end = picture_end(view)
    if end is None or (end == len(old) and not has_index(view)):
        return new
    parts = parts_of(view)
    first = new[: len(new) - (len(old) - end)]
    return _joined(view, parts, first, [old[part.offset : part.offset + part.size] for part in parts[1:]])


_LIST_ITEM = re.compile(rb"<([\w.-]+:)?li\b[^<>]*>|</(?:[\w.-]+:)?li\s*>\s*")
_SEMANTIC = re.compile(rb":Semantic\s*(?:=\s*[\"']|>)\s*(?=\w)(?!Primary)")
_HDR_VERSION = re.compile(rb"\shdrgm:Version\s*=\s*(?:\"[^\"]*\"|'[^']*')|<hdrgm:Version>[^<]*</hdrgm:Version>")
_VIDEO_PROPERTY = xmp_property(rb":MicroVideo|:MicroVideoOffset|:MotionPhoto")


def _without_further_items(xmp: bytes) -> bytes:
    """Return XMP whose list of a file's parts has the first image only; a property is an attribute or an element."""
    pieces, at, begun = [], 0, -1
    for tag in _LIST_ITEM.finditer(xmp):
        closes, is_empty = tag[0].startswith(b"</"), tag[0].endswith(b"/>")
        if not closes:
            begun = tag.start()  # the innermost: an item has no list within it
        if (closes or is_empty) and begun >= at and _SEMANTIC.search(xmp, begun, tag.end()):
            pieces.append(xmp[at:begun])
            at = tag.end()
        if closes or is_empty:
            begun = -1
    return b"".join((*pieces, xmp[at:]))


def without_parts(first: bytes) -> bytes:
    """Return an image whose header no longer says that other parts follow it."""
    pieces, at = [], 0
    for segment in header_segments(first):
        if _is_index(segment) or (segment.marker == APP2 and bytes(segment.data[:24]) == _ISO_GAIN_MAP):
            pieces.append(first[at : segment.offset])
            at = segment.offset + 4 + len(segment.data)
    stripped = b"".join((*pieces, first[at:]))

    def alone(xmp: bytes) -> bytes:
        return _VIDEO_PROPERTY.sub(rb"\g<1>0", _HDR_VERSION.sub(b"", _without_further_items(xmp)))

    return with_xmp(stripped, alone)
