"""ICC profiles, EXIF, XMP, IPTC and comments: the marker segments that hold no image data, read, written and edited."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ._mozjpeg import ffi

# A marker with a segment, or EOI; before it libjpeg skips fill bytes, garbage, and coded data with its 0xFF00 and RSTn.
MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
SOF3, EOI, SOS = 0xC3, 0xD9, 0xDA
DQT, APP0, APP1, APP2, APP13, APP14, COM = 0xDB, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
EXIF_SIGNATURE = b"Exif\0\0"
XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"  # XMP Specification, part 3, 1.1.3.1
ICC_SIGNATURE = b"ICC_PROFILE\0"
PHOTOSHOP_SIGNATURE = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404  # Adobe Photoshop File Formats: image resource blocks
_EXTENSION_NAME = re.compile(rb"HasExtendedXMP[^0-9A-Fa-f]{1,20}([0-9A-Fa-f]{32})")
MAX_SEGMENT = 65533  # a length of two bytes that counts itself
ICC_CHUNK = MAX_SEGMENT - len(ICC_SIGNATURE) - 2  # and two bytes: number of the chunk, number of chunks
EXTENDED_XMP_CHUNK = 65400  # Adobe's; a signature, a digest of 32 digits and two numbers of 4 bytes stand before it
_ORIENTATION_TAG = 0x0112  # EXIF 2.32, section 4.6.4 A
_TIFF_SHORT, _TIFF_LONG = 3, 4


class Segment(NamedTuple):
    """A marker segment: ``offset`` of its 0xFF in the file, its marker byte and what follows its length."""

    offset: int
    marker: int
    data: memoryview


def next_marker(data: Any, at: int) -> int:
    """Return where the next marker with a segment, or EOI, stands in bytes or a view of bytes; -1 if there is none."""
    if at + 1 < len(data) and data[at] == 0xFF and (2 <= data[at + 1] <= 0xCF or 0xD9 <= data[at + 1] <= 0xFE):
        return at  # the usual case: a search costs several times as much, and files may have 250,000 markers a megabyte
    found = MARKER.search(data, at)
    return -1 if found is None else found.start()


def segment_end(data: Any, start: int) -> int:
    """Return where the segment of the marker at *start* ends; 0 if that is beyond the end of the data."""
    if start + 4 > len(data):
        return 0
    end = start + 2 + (data[start + 2] << 8 | data[start + 3])
    return end if start + 4 <= end <= len(data) else 0


def header_segments(data: bytes | bytearray | memoryview) -> Iterator[Segment]:
    """Yield the marker segments before the first scan; stops at one that is cut off."""
    view = memoryview(data).cast("B")
    start = next_marker(view, 2)
    while start >= 0:
        marker, end = view[start + 1], segment_end(view, start)
        if marker in (SOS, EOI) or not end:
            return
        yield Segment(start, marker, view[start + 4 : end])
        start = next_marker(view, end)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a file; None if it has no such segment."""

    icc_profile: bytes | None = None
    exif: bytes | None = None
    """The TIFF structure, without the "Exif" signature; joined where it takes several segments."""
    xmp: bytes | None = None
    """The packet of the first XMP segment."""
    comments: tuple[bytes, ...] = ()
    extended_xmp: bytes | None = None
    """The rest of an XMP packet that is longer than a segment; *xmp* names its MD5 as xmpNote:HasExtendedXMP."""
    iptc: bytes | None = None
    """The IPTC-IIM records of Photoshop's image resources."""


def _extended_xmp(xmp: bytes | None, chunks: list[bytes]) -> bytes | None:
    """Return what the chunks hold of the packet that *xmp* names; None where that is not all of it."""
    named = None if xmp is None else _EXTENSION_NAME.search(xmp)
    if named is None:
        return None
    parts: dict[int, bytes] = {}
    size = 0
    for chunk in chunks:
        digest, numbers, part = chunk[:32], chunk[32:40], chunk[40:]
        if len(numbers) == 8 and digest.upper() == named[1].upper():
            size = int.from_bytes(numbers[:4], "big")
            parts[int.from_bytes(numbers[4:], "big")] = part
    end = 0
    for offset in sorted(parts):
        if offset != end:
            return None
        end += len(parts[offset])
    return b"".join(parts[offset] for offset in sorted(parts)) if parts and end == size else None


def _resources(photoshop: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return Photoshop's image resources: (number, Pascal name with its padding, content)."""
    found = []
    at = 0
    while photoshop[at : at + 4] == b"8BIM" and at + 12 <= len(photoshop):
        number = int.from_bytes(photoshop[at + 4 : at + 6], "big")
        name_end = at + 7 + photoshop[at + 6]
        name_end += (name_end - at) % 2
        size = int.from_bytes(photoshop[name_end : name_end + 4], "big")
        start = name_end + 4
        found.append((number, photoshop[at + 6 : name_end], photoshop[start : start + size]))
        at = start + size + size % 2
    return found


def _iptc_of(photoshop: bytes) -> bytes | None:
    return next((content for number, _, content in _resources(photoshop) if number == _IPTC_RESOURCE), None)


def _without_resources(photoshop: bytes, numbers: tuple[int, ...]) -> bytes:
    return b"".join(
        b"8BIM" + number.to_bytes(2, "big") + name + len(content).to_bytes(4, "big") + content + bytes(len(content) % 2)
        for number, name, content in _resources(photoshop)
        if number not in numbers
    )


def with_iptc(photoshop: bytes, iptc: bytes | None) -> bytes:
    """Return Photoshop's image resources with other IPTC records, or none."""
    others = _without_resources(photoshop, (_IPTC_RESOURCE,))
    if iptc is None:
        return others
    start = b"8BIM" + _IPTC_RESOURCE.to_bytes(2, "big") + b"\0\0"
    return others + start + len(iptc).to_bytes(4, "big") + iptc + bytes(len(iptc) % 2)


def photoshop_segments(resources: bytes) -> list[tuple[int, bytes]]:
    """Return the marker segments of Photoshop's image resources, which are joined when they are read."""
    size = MAX_SEGMENT - len(PHOTOSHOP_SIGNATURE)
    return [(APP13, PHOTOSHOP_SIGNATURE + resources[i : i + size]) for i in range(0, len(resources), size)]


def kind_of(marker: int, content: bytes | memoryview) -> str | None:
    """Return which field of :class:`Metadata` a segment belongs to, or None."""
    start = bytes(content[:40])
    if marker == APP1 and start.startswith(EXIF_SIGNATURE):
        return "exif"
    if marker == APP1 and start.startswith((XMP_SIGNATURE, EXTENDED_XMP_SIGNATURE)):
        return "xmp"
    if marker == APP2 and start.startswith(ICC_SIGNATURE):
        return "icc_profile"
    if marker == APP13 and start.startswith(PHOTOSHOP_SIGNATURE):
        return "iptc"
    return "comment" if marker == COM else None


def read_metadata(data: bytes | bytearray | memoryview) -> Metadata:
    """Return the metadata of a JPEG. Incomplete ICC profiles and XMP extensions count as none."""
    chunks: dict[int, bytes] = {}
    number_of_chunks = 0
    xmp = None
    exif: list[bytes] = []
    extensions, comments, photoshop = [], [], []
    for segment in header_segments(data):
        kind = kind_of(segment.marker, segment.data)
        if kind is None:
            continue
        content = bytes(segment.data)
        if kind == "exif":
            part = content[len(EXIF_SIGNATURE) :]
            if not exif or part[:4] not in (b"II*\0", b"MM\0*"):  # a second structure is another one
                exif.append(part)
        elif kind == "xmp" and content.startswith(XMP_SIGNATURE):
            xmp = content[len(XMP_SIGNATURE) :] if xmp is None else xmp
        elif kind == "xmp":
            extensions.append(content[len(EXTENDED_XMP_SIGNATURE) :])
        elif kind == "icc_profile" and len(content) > len(ICC_SIGNATURE) + 2:
            number, number_of_chunks = content[len(ICC_SIGNATURE)], content[len(ICC_SIGNATURE) + 1]
            chunks[number] = content[len(ICC_SIGNATURE) + 2 :]
        elif kind == "iptc":
            photoshop.append(content[len(PHOTOSHOP_SIGNATURE) :])
        elif kind == "comment":
            comments.append(content)
    complete = number_of_chunks > 0 and set(chunks) == set(range(1, number_of_chunks + 1))
    return Metadata(
        icc_profile=b"".join(chunks[i] for i in sorted(chunks)) if complete else None,
        exif=b"".join(exif) if exif else None,
        xmp=xmp,
        comments=tuple(comments),
        extended_xmp=_extended_xmp(xmp, extensions),
        iptc=_iptc_of(b"".join(photoshop)),
    )


def _is_carried(segment: Segment, copy: str) -> bool:
    content = bytes(segment.data[:12])
    if segment.marker == COM:
        return copy in ("all", "comments")
    if not APP0 <= segment.marker <= APP0 + 15:
        return False
    # JFIF and Adobe describe the colours of this file: the new file has its own.
    if (segment.marker == APP0 and content[:5] == b"JFIF\0") or (segment.marker == APP14 and content[:5] == b"Adobe"):
        return False
    return copy == "all" or (copy == "icc" and segment.marker == APP2 and content == ICC_SIGNATURE)


def carried_segments(data: bytes, copy: str) -> list[tuple[int, bytes]]:
    """Return the marker segments of a JPEG that another file of the same image keeps; *copy* as jpegtran's."""
    return [(segment.marker, bytes(segment.data)) for segment in header_segments(data) if _is_carried(segment, copy)]


def with_segments(jpeg: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """Return *jpeg* with more segments after JFIF and Adobe, where cjpeg puts those of its input."""
    at = 2
    for segment in header_segments(jpeg):
        if segment.marker not in (APP0, APP14):
            break
        at = segment.offset + 4 + len(segment.data)
    more = (b"\xff" + bytes((marker,)) + (len(data) + 2).to_bytes(2, "big") + data for marker, data in segments)
    return b"".join((jpeg[:at], *more, jpeg[at:]))


def orientation_of(exif: bytes | None) -> int:
    """Return the EXIF orientation 1..8 of the first image directory; 1 (upright) if there is none."""
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


def as_bytes(name: str, value: object) -> bytes:
    """Return *value*, the argument *name*, as bytes; TypeError if it is no buffer of bytes."""
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
        tiff = as_bytes("exif", exif).removeprefix(EXIF_SIGNATURE)
        if tiff[:2] not in (b"II", b"MM"):
            raise ValueError("exif must be a TIFF structure: it begins with II or MM")
        size = MAX_SEGMENT - len(EXIF_SIGNATURE)
        segments += [(APP1, EXIF_SIGNATURE + tiff[i : i + size]) for i in range(0, len(tiff), size)]
    if xmp is not None:
        segments += _xmp_segments(as_bytes("xmp", xmp))
    if icc_profile is not None:
        segments += [(APP2, chunk) for chunk in _icc_segments(as_bytes("icc_profile", icc_profile))]
    if comment is not None:
        text = comment.encode() if isinstance(comment, str) else as_bytes("comment", comment)
        segments.append((COM, _segment("comment", b"", text)))
    return segments


def _xmp_segments(xmp: bytes) -> list[tuple[int, bytes]]:
    """Return the segments of an XMP packet; one that is longer than a segment becomes the extension of a small one."""
    if len(xmp) <= MAX_SEGMENT - len(XMP_SIGNATURE):
        return [(APP1, XMP_SIGNATURE + xmp)]
    digest = hashlib.md5(xmp, usedforsecurity=False).hexdigest().upper()
    small = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        f'xmpNote:HasExtendedXMP="{digest}"/></rdf:RDF></x:xmpmeta>'
    ).encode()
    return [(APP1, XMP_SIGNATURE + small), *_extended_xmp_segments(small, xmp)]


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
    """Return the marker segments that hold *metadata*: EXIF, XMP and its extension, ICC, IPTC, comments."""
    segments = segments_to_write(None, metadata.exif, metadata.xmp, None)
    if metadata.extended_xmp is not None:
        segments += _extended_xmp_segments(metadata.xmp, as_bytes("extended_xmp", metadata.extended_xmp))
    segments += segments_to_write(metadata.icc_profile, None, None, None)
    if metadata.iptc is not None:
        segments += photoshop_segments(with_iptc(b"", as_bytes("iptc", metadata.iptc)))
    for comment in metadata.comments:
        segments += segments_to_write(None, None, None, comment)
    return segments


def segments_told(
    metadata: Metadata | None,
    icc_profile: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    comment: bytes | str | None,
) -> list[tuple[int, bytes]]:
    """Return the marker segments of a new file: those of *metadata*, but for the fields that are given by name."""
    if metadata is None:
        return segments_to_write(icc_profile, exif, xmp, comment)
    if not isinstance(metadata, Metadata):
        raise TypeError(f"metadata must be a mozcodec.Metadata, got {type(metadata).__name__}")
    kept = replace(
        metadata,
        icc_profile=metadata.icc_profile if icc_profile is None else None,
        exif=metadata.exif if exif is None else None,
        xmp=metadata.xmp if xmp is None else None,
        extended_xmp=metadata.extended_xmp if xmp is None else None,
        comments=metadata.comments if comment is None else (),
    )
    segments = [*segments_to_write(icc_profile, exif, xmp, comment), *segments_of(kept)]
    return sorted(segments, key=lambda segment: FIELDS.index(kind_of(*segment) or "comment"))


def c_markers(segments: list[tuple[int, bytes]]) -> tuple[Any, list[Any]]:
    """Return *segments* as an array of ``mzc_marker``, and the buffers that it points to."""
    if not segments:
        return ffi.NULL, []
    array = ffi.new("mzc_marker[]", len(segments))
    alive = [ffi.from_buffer("unsigned char[]", content) for _, content in segments]
    for marker, (code, content), buffer in zip(array, segments, alive, strict=True):
        marker.marker, marker.data, marker.size = code, buffer, len(content)
    return array, alive


# ---- editing --------------------------------------------------------------------------------------------------------


FIELDS = ("exif", "xmp", "icc_profile", "iptc", "comment")


def segment_bytes(marker: int, content: bytes) -> bytes:
    """Return a marker segment: FF, the marker, the length and the content."""
    if len(content) > MAX_SEGMENT:
        raise ValueError(f"a JPEG segment holds at most {MAX_SEGMENT} bytes, got {len(content)}")
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def replaced(data: bytes, new: Mapping[object, Sequence[tuple[int, bytes]]], key: Any) -> bytes:
    """Return *data* with the segments of every key of *new* replaced, where the first old one of the key stood.

    ``key(segment)`` is a segment's key. Where there was none, new ones come behind JFIF, in the order of *new*.
    """
    pieces: list[bytes] = []
    done: set[object] = set()
    at = start = 2
    for segment in header_segments(data):
        end = segment.offset + 4 + len(segment.data)
        name = key(segment)
        if segment.marker == APP0 and segment.offset == start and name not in new:
            start = end  # the new ones without a place go here
        if name in new:
            pieces.append(data[at : segment.offset])
            if name not in done:
                pieces += [segment_bytes(*part) for part in new[name]]
                done.add(name)
            at = end
    fresh = b"".join(segment_bytes(*part) for name in new if name not in done for part in new[name])
    result = data[:2] + b"".join(pieces) + data[at:]
    return result[:start] + fresh + result[start:]


def with_metadata(jpeg: bytes, metadata: Metadata) -> bytes:
    """Return *jpeg* with the fields of *metadata* that are not empty in place of its own."""
    new: dict[object, list[tuple[int, bytes]]] = {}
    for name in FIELDS:
        value = metadata.comments if name == "comment" else getattr(metadata, name)
        if not value:
            continue
        if name == "xmp":
            new[name] = segments_of(Metadata(xmp=metadata.xmp, extended_xmp=metadata.extended_xmp))
        elif name == "comment":
            new[name] = segments_of(Metadata(comments=metadata.comments))
        else:
            fields: dict[str, Any] = {name: value}
            new[name] = segments_of(Metadata(**fields))
    return replaced(jpeg, new, lambda s: kind_of(s.marker, s.data)) if new else jpeg


# ---- EXIF orientation -----------------------------------------------------------------------------------------------

_EXIF_POINTER, _WIDTH_TAG, _HEIGHT_TAG = 0x8769, 0xA002, 0xA003
_THUMBNAIL_OFFSET, _THUMBNAIL_SIZE = 0x0201, 0x0202
_STRIP_OFFSET, _STRIP_SIZE = 0x0111, 0x0117
_PHOTOSHOP_THUMBNAILS = (0x0409, 0x040C)
_XMP_THUMBNAILS = re.compile(rb"<(/?)[\w.-]+:Thumbnails\b[^<>]*?(/?)>")


def without_photoshop_thumbnails(jpeg: bytes) -> bytes:
    """Return an image without the thumbnails of Photoshop's resources."""

    def key(segment: Segment) -> str | None:
        return kind_of(segment.marker, segment.data)

    photoshop = b"".join(
        bytes(one.data[len(PHOTOSHOP_SIGNATURE) :]) for one in header_segments(jpeg) if key(one) == "iptc"
    )
    if not any(block[0] in _PHOTOSHOP_THUMBNAILS for block in _resources(photoshop)):
        return jpeg
    return replaced(jpeg, {"iptc": photoshop_segments(_without_resources(photoshop, _PHOTOSHOP_THUMBNAILS))}, key)


def without_xmp_thumbnails(xmp: bytes) -> bytes:
    """Return XMP without its thumbnails, which are JPEGs in base 64 (xmp:Thumbnails)."""
    pieces, at, begun = [], 0, -1
    for tag in _XMP_THUMBNAILS.finditer(xmp):
        if not tag[1] and begun < 0:
            begun = tag.start()
        if (tag[1] or tag[2]) and begun >= 0:
            pieces.append(xmp[at:begun])
            at, begun = tag.end(), -1
    return b"".join((*pieces, xmp[at:]))


class _Tiff:
    """A TIFF structure whose entries are changed in place."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order: Any = "little" if data[:2] == b"II" else "big"

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.order)

    def put(self, at: int, size: int, value: int) -> None:
        self.data[at : at + size] = value.to_bytes(size, self.order)

    def entries(self, directory: int) -> dict[int, int]:
        """Return the tags of a directory and where their values stand."""
        found: dict[int, int] = {}
        for i in range(self.number(directory, 2) if directory else 0):
            entry = directory + 2 + 12 * i
            if entry + 12 > len(self.data):
                break
            found.setdefault(self.number(entry, 2), entry + 8)
        return found

    def value(self, at: int) -> int:
        return self.number(at, 2 if self.number(at - 6, 2) == _TIFF_SHORT else 4)

    def set(self, at: int, value: int) -> None:
        self.put(at, 2 if self.number(at - 6, 2) == _TIFF_SHORT else 4, value)


def upright_exif(exif: bytes, width: int, height: int, turn: Any, is_part: bool = False) -> bytes:
    """Return EXIF for an image that was turned: orientation 1, its pixel dimensions, its thumbnail turned or dropped.

    ``turn(jpeg)`` returns the thumbnail turned, or None where it cannot be. With None instead of a function the image
    was not turned, and its orientation stays. The thumbnail of an image that is only a part of what it was is dropped.
    """
    if exif[:2] not in (b"II", b"MM"):
        return exif
    tiff = _Tiff(exif)
    first = tiff.number(4, 4)
    entries = tiff.entries(first)
    if _ORIENTATION_TAG in entries and turn is not None:
        tiff.set(entries[_ORIENTATION_TAG], 1)
    if _EXIF_POINTER in entries:
        inner = tiff.entries(tiff.number(entries[_EXIF_POINTER], 4))
        for tag, value in ((_WIDTH_TAG, width), (_HEIGHT_TAG, height)):
            if tag in inner:
                tiff.set(inner[tag], value)
    if turn is None and not is_part:
        return bytes(tiff.data)
    link = first + 2 + 12 * tiff.number(first, 2)
    second = tiff.number(link, 4) if link + 4 <= len(tiff.data) else 0
    thumbnail = tiff.entries(second)
    if _THUMBNAIL_OFFSET in thumbnail and _THUMBNAIL_SIZE in thumbnail:
        at, size = tiff.value(thumbnail[_THUMBNAIL_OFFSET]), tiff.value(thumbnail[_THUMBNAIL_SIZE])
        size = max(0, min(size, len(tiff.data) - at))  # the file may say anything
        turned = None if is_part else turn(bytes(tiff.data[at : at + size]))
        if turned is not None and len(turned) > size and at + size == len(tiff.data):
            tiff.data += bytes(len(turned) - size)  # the thumbnail is the last
            size = len(turned)
        if turned is not None and len(turned) <= size:
            tiff.data[at : at + size] = turned + bytes(size - len(turned))
            tiff.set(thumbnail[_THUMBNAIL_SIZE], len(turned))
        else:
            if tiff.data[at : at + 2] == b"\xff\xd8":  # else it is not where the file says
                tiff.data[at : at + size] = bytes(size)
            tiff.put(link, 4, 0)
    elif _STRIP_OFFSET in thumbnail:  # samples, not a JPEG
        at = tiff.value(thumbnail[_STRIP_OFFSET])
        size = tiff.value(thumbnail[_STRIP_SIZE]) if _STRIP_SIZE in thumbnail else 0
        if at >= second + 2 + 12 * tiff.number(second, 2) and at + size <= len(tiff.data):
            tiff.data[at : at + size] = bytes(size)
        tiff.put(link, 4, 0)
    if _ORIENTATION_TAG in thumbnail and tiff.number(link, 4):
        tiff.set(thumbnail[_ORIENTATION_TAG], 1)
    return bytes(tiff.data)
