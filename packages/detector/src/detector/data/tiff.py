"""Damage of TIFF files that OpenCV does not see: its decoder goes on where a strip breaks off, with other pixels.

TIFF has no checksum. What can be told: a strip or tile beyond the end of the file, one with fewer bytes than its rows
need, a broken checksum of deflate, a broken JPEG stream, and codes of LZW or PackBits that give more or fewer bytes
than the rows have. A changed bit of uncompressed pixels, and some of the others, cannot be told.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import mozcodec

from ..errors import DataError

__all__ = ["STARTS", "check_tiff"]

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# tags
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS, STRIP_BYTES = 273, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, JPEG_TABLES = 284, 322, 323, 324, 325, 347
NONE, LZW, JPEG, DEFLATE, PACKBITS = (1,), (5,), (7,), (8, 32946), (32773,)
YCBCR = 6
PIXELS = 1 << 30  # more are refused by OpenCV
PIECE = 1 << 20
CLEAR, END = 256, 257  # codes of LZW
# bits of the codes since a clear code: 9, and one more as soon as the table has 511, 1023 and 2047 entries
CODE_BITS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 2306])
CODE_AT = np.concatenate([[0], np.cumsum(CODE_BITS)])


@dataclass(frozen=True)
class _Layout:
    """The first image of a file: its strips or tiles, and how many bytes each has at least and at most if unpacked."""

    kind: str
    compression: int
    places: list[tuple[int, int]]
    least: list[int]
    most: int
    tables: bytes


def check_tiff(data: bytes) -> None:
    """Raise DataError, with the strip or tile, if the first image of the TIFF file *data* is provably damaged."""
    try:
        layout = _layout(data)
    except (IndexError, KeyError, ZeroDivisionError):
        return  # a header without what is needed here: OpenCV decides
    if layout is None:
        return
    for number, ((start, size), least) in enumerate(zip(layout.places, layout.least, strict=True)):
        if size == 0:
            continue  # left out, as sparse files do
        if start + size > len(data):
            wrong = f"ends at byte {start + size}, the file at {len(data)}"
        else:
            wrong = _wrong(data[start : start + size], layout, least)
        if wrong:
            place = f"{layout.kind} {number + 1} of {len(layout.places)}, at byte {start},"
            raise DataError(f"the TIFF file is damaged: {place} {wrong}")


def _layout(data: bytes) -> _Layout | None:
    tags = _tags(data)
    width, height = tags[WIDTH][0], tags[HEIGHT][0]
    if not 0 < width * height <= int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", PIXELS)):
        return None
    tiled = TILES in tags
    offsets, counts = (tags[TILES], tags[TILE_BYTES]) if tiled else (tags[STRIPS], tags[STRIP_BYTES])
    compression = tags.get(COMPRESSION, [1])[0]
    samples, planes = tags.get(SAMPLES, [1])[0], 1
    if tags.get(PLANAR, [1])[0] == 2:
        samples, planes = 1, samples
    bits = tags.get(BITS, [1])[0] * samples
    if tiled:
        wide, high = tags[TILE_WIDTH][0], tags[TILE_HEIGHT][0]
        number = -(-width // wide) * -(-height // high)
        least = [-(-wide * bits // 8) * high] * number
        most = least[0]
    else:
        high = min(tags.get(ROWS, [height])[0], height)
        number = -(-height // high)
        row = -(-width * bits // 8)
        most = row * high
        least = [most] * (number - 1) + [row * (height - high * (number - 1))]
    if len(offsets) != number * planes or len(counts) != number * planes:
        wanted = f"{number * planes} {'tiles' if tiled else 'strips'}"
        raise DataError(f"the TIFF file is damaged: {len(offsets)} offsets and {len(counts)} sizes of {wanted}")
    if tags.get(PHOTOMETRIC, [1])[0] == YCBCR and compression not in JPEG:
        return None  # its chroma may be subsampled
    places = list(zip(offsets, counts, strict=True))
    tables = bytes(value & 255 for value in tags.get(JPEG_TABLES, []))
    return _Layout("tile" if tiled else "strip", compression, places, least * planes, most, tables)


def _tags(data: bytes) -> dict[int, list[int]]:
    """Return the whole numbers of the first directory by tag; IndexError if it lies beyond the end."""
    order = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\0", b"\0+")

    def number(at: int, size: int) -> int:
        if not 0 <= at <= len(data) - size:
            raise IndexError(at)
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    word, head, entry = (8, 8, 20) if big else (4, 2, 12)
    at = number(8 if big else 4, word)
    found = {}
    for place in range(at + head, at + head + entry * number(at, head), entry):
        tag, kind, count = number(place, 2), number(place + 2, 2), number(place + 4, word)
        size = SIZES.get(kind, 1)
        if kind not in (1, 3, 4, 7, 13, 16, 18) or count * size > len(data):
            continue  # no whole numbers
        start = place + 4 + word if count * size <= word else number(place + 4 + word, word)
        found[tag] = [number(start + i * size, size) for i in range(count)]
    return found


def _wrong(packed: bytes, layout: _Layout, least: int) -> str:
    """Return what is wrong with a strip or tile that has *least* bytes at least; empty text if nothing is."""
    if layout.compression in JPEG:
        return _wrong_jpeg(packed, layout.tables)
    if layout.compression in NONE:
        size = len(packed)
        most = size
    elif layout.compression in DEFLATE:
        try:
            size, most = _inflated(packed, layout.most), layout.most
        except zlib.error as error:
            return f"is not a whole deflate stream ({str(error).split(': ')[-1]})"
    elif layout.compression in PACKBITS:
        size, most = _unpacked(packed, least), layout.most
    elif layout.compression in LZW and not (packed[0] == 0 and packed[1:2] and packed[1] & 1):  # else of old writers
        size, most = 0, layout.most
        for length in _code_lengths(packed):
            if length is None:
                return ""
            if length < 0:
                return "has an LZW code that is not in its table"
            size += length
    else:
        return ""
    if least <= size <= most:
        return ""
    return f"has {size} bytes of pixels instead of {least}"


def _wrong_jpeg(packed: bytes, tables: bytes) -> str:
    try:
        mozcodec.decode(packed, pixel_format=None, tables=tables or None)
    except (mozcodec.DamagedError, mozcodec.NotJpegError) as error:
        return f"is a damaged JPEG stream ({error})"
    except (mozcodec.JpegError, ValueError):
        return ""  # OpenCV decides
    return ""


def _inflated(packed: bytes, most: int) -> int:
    """Return how many bytes *packed* unpacks to, counted up to a little over *most*; zlib.error if it is damaged."""
    stream = zlib.decompressobj()
    size = 0
    while not stream.eof and size <= most:
        part = stream.decompress(packed, PIECE)
        packed = stream.unconsumed_tail
        size += len(part)
        if not part and not packed and not stream.eof:
            raise zlib.error("it ends too early")
    return size


def _unpacked(packed: bytes, least: int) -> int:
    """Return how many bytes the runs of PackBits in *packed* have; those after *least* are not counted."""
    at = size = 0
    while at < len(packed) and size < least:
        head = packed[at]
        if head < 128:
            size += min(head + 1, len(packed) - at - 1)
            at += head + 2
        else:
            size += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
    return size


def _code_lengths(packed: bytes) -> Iterator[int | None]:
    """Yield how many bytes the LZW codes between two clear codes stand for; -1 for a code that is not in the table,
    None where the table is full and no clear code follows, which the format does not have.

    A code beyond 257 stands for the bytes of an earlier one and one more: those of code k are entry 258 + k.
    """
    padded = np.frombuffer(packed + bytes(4), np.uint8).astype(np.uint32)
    start, end = 0, 8 * len(packed)
    while True:
        number = int(np.searchsorted(CODE_AT, end - start, "right")) - 1
        if number < 1:
            return
        at = start + CODE_AT[:number]
        byte = at >> 3
        window = padded[byte] << 16 | padded[byte + 1] << 8 | padded[byte + 2]
        codes = (window >> (24 - CODE_BITS[:number] - (at & 7))) & ((1 << CODE_BITS[:number]) - 1)
        ends = np.flatnonzero((codes == CLEAR) | (codes == END))
        if not len(ends) and number == len(CODE_BITS):
            yield None
            return
        count = int(ends[0]) if len(ends) else number
        parent = codes[:count].astype(np.int64) - 258
        root = parent < 0
        own = np.arange(count)
        if (parent >= own)[~root].any():
            yield -1
            return
        parent[root] = own[root]
        length = (~root).astype(np.int64)
        while (parent != parent[parent]).any():
            length += length[parent]
            parent = parent[parent]
        yield int(length.sum()) + count
        if not len(ends) or codes[count] == END:
            return
        start += int(CODE_AT[count + 1])
