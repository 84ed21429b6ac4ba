"""Damage of TIFF files that OpenCV does not see: its decoder goes on where a strip breaks off, with other pixels.

TIFF has no checksum. What can be told: a strip or tile beyond the end of the file, one with fewer bytes than its rows
need, a broken checksum of deflate, a broken JPEG stream, and codes of LZW or PackBits that give fewer bytes than the
rows have. A changed bit of uncompressed pixels, and some of the others, cannot be told.

A whole file must never be refused: what libtiff, OpenCV's decoder, reads over is no damage here (bytes after the
pixels of a strip, which Photoshop and GraphicConverter write; more offsets than strips; sizes of an uncompressed image
that libtiff works out itself). Work is bounded: a file that needs more than the limits below is left to OpenCV.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mozcodec

from ..errors import DataError

__all__ = ["STARTS", "check_tiff"]

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SIZES = {1: 1, 3: 2, 4: 4, 7: 1, 13: 4, 16: 8, 18: 8}  # bytes of the types of whole numbers
# tags
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_STARTS, SAMPLES, ROWS, STRIP_BYTES = 273, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, JPEG_TABLES = 284, 322, 323, 324, 325, 347
NONE, LZW, JPEG, DEFLATE, PACKBITS = (1,), (5,), (7,), (8, 32946), (32773,)
FILL_ORDER, DEPTH = 266, 32997
TAGS = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_STARTS, SAMPLES, ROWS, STRIP_BYTES, PLANAR, TILE_WIDTH}
TAGS |= {TILE_HEIGHT, TILES, TILE_BYTES, JPEG_TABLES, FILL_ORDER, DEPTH}
YCBCR = 6
PIXELS = 1 << 30  # more are refused by OpenCV
PIECE = 1 << 20
# limits of the work, for files made to cost time
STRIPS = 1 << 22  # whose places are looked at
STRIPS_CHECKED = 1 << 17  # whose codes are looked at
# of a file: with more, looking at the codes would take longer than decoding them
RUNS_CHECKED = 1 << 18  # of PackBits
LZW_CHECKED = 1 << 23  # bytes of LZW
CLEAR, END = 256, 257  # codes of LZW
# bits of the codes since a clear code: 9, and one more as soon as the table has 511, 1023 and 2047 entries
CODE_BITS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 2306])
CODE_AT = np.concatenate([[0], np.cumsum(CODE_BITS)])


@dataclass
class _Layout:
    """The first image of a file: its strips or tiles, and how many bytes each has at least if unpacked."""

    kind: str
    compression: int
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    least: NDArray[np.int64]
    pixels: int  # of a strip or tile
    tables: bytes
    reversed: bool
    left: int  # runs of PackBits or bytes of LZW that may still be looked at


def check_tiff(data: bytes) -> None:
    """Raise DataError, with the strip or tile, if the first image of the TIFF file *data* is provably damaged."""
    try:
        layout = _layout(data)
    except (IndexError, KeyError, ZeroDivisionError):
        return  # a header without what is needed here: OpenCV decides
    if layout is None:
        return
    starts, sizes, least = layout.starts, layout.sizes, layout.least
    used = sizes > 0  # others are left out, as sparse files do
    beyond = used & (starts > len(data) - sizes)
    if beyond.any():
        number = int(beyond.argmax())
        end = int(starts[number]) + int(sizes[number])
        raise _damaged(layout, number, f"ends at byte {end}, the file at {len(data)}")
    if layout.compression in NONE:
        short = used & (sizes < least)
        if short.any():
            number = int(short.argmax())
            raise _damaged(layout, number, f"has {sizes[number]} bytes of pixels instead of {least[number]}")
        return
    if used.sum() > STRIPS_CHECKED or (layout.reversed and layout.compression not in JPEG):
        return
    # equal tiles may be stored once; others that overlap are made to cost time
    number_of: dict[tuple[int, int, int], int] = {}
    for number in np.flatnonzero(used).tolist():
        number_of.setdefault((int(starts[number]), int(sizes[number]), int(least[number])), number)
    if sum(size for _, size, _ in number_of) > 2 * len(data):
        return
    for (start, size, need), number in number_of.items():
        wrong = _wrong(data[start : start + size], layout, need)
        if wrong:
            raise _damaged(layout, number, wrong)


def _damaged(layout: _Layout, number: int, wrong: str) -> DataError:
    place = f"{layout.kind} {number + 1} of {len(layout.starts)}, at byte {layout.starts[number]},"
    return DataError(f"the TIFF file is damaged: {place} {wrong}")


def _layout(data: bytes) -> _Layout | None:
    tags = _tags(data)

    def value(tag: int, default: int | None = None) -> int:
        return int(tags[tag][0]) if default is None or tag in tags else default

    width, height = value(WIDTH), value(HEIGHT)
    if not 0 < width * height <= int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", PIXELS)) or value(DEPTH, 1) != 1:
        return None
    tiled = TILES in tags
    starts, sizes = (tags[TILES], tags[TILE_BYTES]) if tiled else (tags[STRIP_STARTS], tags[STRIP_BYTES])
    compression, photometric = value(COMPRESSION, 1), value(PHOTOMETRIC, 1)
    if photometric == YCBCR and compression not in JPEG:
        return None  # its chroma may be subsampled
    samples, planes = value(SAMPLES, 1), 1
    if value(PLANAR, 1) == 2:
        samples, planes = 1, samples
    bits = value(BITS, 1) * samples
    if tiled:
        wide, high = value(TILE_WIDTH), value(TILE_HEIGHT)
        number = -(-width // wide) * -(-height // high)
    else:
        wide, high = width, min(value(ROWS, height), height)
        number = -(-height // high)
    if len(starts) < number * planes:
        kind = "tiles" if tiled else "strips"
        raise DataError(f"the TIFF file is damaged: {len(starts)} offsets of {number * planes} {kind}")
    if len(sizes) < number * planes or number * planes > STRIPS or wide * high > PIXELS or bits > 1 << 20:
        return None
    starts, sizes = (
        np.minimum(values[: number * planes].astype(np.uint64), 1 << 62).astype(np.int64) for values in (starts, sizes)
    )
    row = -(-wide * bits // 8)
    least = np.full(number * planes, row * high, np.int64)
    if not tiled:
        least[number - 1 :: number] = row * (height - high * (number - 1))
        if compression in NONE and (
            len(sizes) == 1 or (planes == 1 and number > 2 and sizes[0] != sizes[1] and sizes[:2].all())
        ):
            # libtiff, too, uses these instead of the sizes in the file
            sizes = np.where(sizes > 0, row * (height // number), 0)
    tables = tags[JPEG_TABLES].astype(np.uint8).tobytes() if JPEG_TABLES in tags else b""
    kind = "tile" if tiled else "strip"
    left = RUNS_CHECKED if compression in PACKBITS else LZW_CHECKED
    return _Layout(kind, compression, starts, sizes, least, wide * high, tables, value(FILL_ORDER, 1) == 2, left)


def _tags(data: bytes) -> dict[int, NDArray[Any]]:
    """Return the whole numbers of the first directory by tag; IndexError if it lies beyond the end."""
    order = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\0", b"\0+")

    def number(at: int, size: int) -> int:
        if not 0 <= at <= len(data) - size:
            raise IndexError(at)
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    word, head, entry = (8, 8, 20) if big else (4, 2, 12)
    at = number(8 if big else 4, word)
    found: dict[int, NDArray[Any]] = {}
    for place in range(at + head, at + head + entry * number(at, head), entry):
        tag, kind, count = number(place, 2), number(place + 2, 2), number(place + 4, word)
        size = SIZES.get(kind, 0)
        if tag not in TAGS or tag in found or not size or not count:
            continue
        start = place + 4 + word if count * size <= word else number(place + 4 + word, word)
        if start + count * size > len(data):
            raise IndexError(start)
        values = np.frombuffer(data, f"{'<' if order == 'little' else '>'}u{size}", count, start)  # no copy
        found[tag] = values
    return found


def _wrong(packed: bytes, layout: _Layout, least: int) -> str:
    """Return what is wrong with a strip or tile that has *least* bytes at least; empty text if nothing is."""
    if layout.compression in JPEG:
        return _wrong_jpeg(packed, layout)
    if layout.compression in DEFLATE:
        try:
            size = _inflated(packed, least, int(layout.least.max()))
        except zlib.error as error:
            return f"is not a whole deflate stream ({str(error).split(': ')[-1]})"
    elif layout.compression in PACKBITS:
        size = _unpacked(packed, least, layout)
    elif layout.compression in LZW and not (packed[0] == 0 and packed[1:2] and packed[1] & 1):  # else of old writers
        layout.left -= len(packed)
        size = _lzw_size(packed, least) if layout.left >= 0 else least
        if size < 0:
            return "has an LZW code that is not in its table"
    else:
        return ""
    return "" if size >= least else f"has {size} bytes of pixels instead of {least}"


def _wrong_jpeg(packed: bytes, layout: _Layout) -> str:
    limit = 4 * layout.pixels + PIECE // 256
    try:
        mozcodec.decode(packed, pixel_format=None, tables=layout.tables or None, max_pixels=limit)
    except (mozcodec.DamagedError, mozcodec.NotJpegError) as error:
        return f"is a damaged JPEG stream ({error})"
    except (mozcodec.JpegError, ValueError):
        return ""  # OpenCV decides
    return ""


def _inflated(packed: bytes, least: int, full: int) -> int:
    """Return how many bytes *packed* unpacks to, counted up to twice *full*; zlib.error if it is damaged.

    A stream without an end is whole if it has just *least* bytes, or *full*, those of the largest strip.
    """
    stream = zlib.decompressobj()
    size = 0
    while not stream.eof and size <= 2 * full:
        part = stream.decompress(packed, min(PIECE, 2 * full + 1 - size))
        packed = stream.unconsumed_tail
        size += len(part)
        if not part and not packed and not stream.eof:
            if size not in (least, full):
                raise zlib.error("it ends too early")
            break
    return size


def _unpacked(packed: bytes, least: int, layout: _Layout) -> int:
    """Return how many bytes the runs of PackBits in *packed* have; those after *least* are not counted.

    *least* if the runs of the file are too many to look at.
    """
    at = size = 0
    left = layout.left
    while at < len(packed) and size < least and left > 0:
        head = packed[at]
        if head < 128:
            size += min(head + 1, len(packed) - at - 1)
            at += head + 2
        else:
            size += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
        left -= 1
    layout.left = left
    return size if left else least


def _lzw_size(packed: bytes, least: int) -> int:
    """Return how many bytes the LZW codes of *packed* stand for, counted up to about *least*.

    -1 where a code before them is not in the table; *least* where the table is full and no clear code follows, which
    the format does not have, and where there are more clear codes than a writer needs.

    A code beyond 257 stands for the bytes of an earlier one and one more: those of code k are entry 258 + k.
    """
    padded = np.frombuffer(packed + bytes(4), np.uint8).astype(np.uint32)
    start, end, size = 0, 8 * len(packed), 0
    for _ in range(64 + len(packed) // 1024):
        number = int(np.searchsorted(CODE_AT, end - start, "right")) - 1
        if number < 1:
            return size
        at = start + CODE_AT[:number]
        byte = at >> 3
        window = padded[byte] << 16 | padded[byte + 1] << 8 | padded[byte + 2]
        codes = (window >> (24 - CODE_BITS[:number] - (at & 7))) & ((1 << CODE_BITS[:number]) - 1)
        ends = np.flatnonzero((codes == CLEAR) | (codes == END))
        count = int(ends[0]) if len(ends) else number
        parent = codes[:count].astype(np.int64) - 258
        wrong = np.flatnonzero(parent >= np.arange(count))
        whole = int(wrong[0]) if len(wrong) else count
        parent = parent[:whole]
        root = parent < 0
        parent[root] = np.flatnonzero(root)
        length = (~root).astype(np.int64)
        while (parent != parent[parent]).any():
            length += length[parent]
            parent = parent[parent]
        size += int(length.sum()) + whole
        if size >= least:
            return size
        if whole < count:
            return -1
        if not len(ends):
            return least if number == len(CODE_BITS) else size
        if codes[count] == END:
            return size
        start += int(CODE_AT[count + 1])
    return least
