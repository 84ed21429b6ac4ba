"""Thumbnails in the JFIF segment and in its extension (ITU-T T.871, 10.1 and 10.2; the extension is JFIF 1.02's)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ._metadata import APP0, MAX_SEGMENT, Segment, header_segments, segment_bytes
from ._mozjpeg import lib

_JFIF, _EXTENSION = b"JFIF\0", b"JFXX\0"
_JFIF_HEAD = 12
"""Bytes of a JFIF segment before the width of its thumbnail: signature, version, unit and density."""
_LEAST_JFIF = 14
_CODED, _PALETTE, _RGB = 0x10, 0x11, 0x13  # kinds of an extension's thumbnail
_PALETTE_SIZE = 768
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    lib.MZC_FLIP_HORIZONTAL: np.fliplr,
    lib.MZC_FLIP_VERTICAL: np.flipud,
    lib.MZC_TRANSPOSE: lambda pixels: pixels.swapaxes(0, 1),
    lib.MZC_TRANSVERSE: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    lib.MZC_ROTATE_90: lambda pixels: np.rot90(pixels, -1),
    lib.MZC_ROTATE_180: lambda pixels: pixels[::-1, ::-1],
    lib.MZC_ROTATE_270: np.rot90,
}
Turn = Callable[[bytes], bytes | None]
"""Returns a JPEG turned, or None where it cannot be."""


def _is(segment: Segment, signature: bytes) -> bool:
    return segment.marker == APP0 and bytes(segment.data[:5]) == signature


def with_jfif_thumbnail(jpeg: bytes, source: memoryview) -> bytes:
    """Return *jpeg*, which was rewritten from *source*, with the thumbnail of the source's JFIF segment."""
    old = next((one for one in header_segments(source) if _is(one, _JFIF)), None)
    if old is None or len(old.data) <= _LEAST_JFIF:
        return jpeg
    new = next((one for one in header_segments(jpeg) if _is(one, _JFIF)), None)
    if new is None:  # jfif=False
        return jpeg
    content = bytes(new.data[:_JFIF_HEAD]) + bytes(old.data[_JFIF_HEAD:])
    return jpeg[: new.offset] + segment_bytes(APP0, content) + jpeg[new.offset + 4 + len(new.data) :]


def _turned_pixels(content: bytes, channels: int, operation: int) -> bytes | None:
    """Return width, height and pixels turned; None if there are too few bytes of them."""
    width, height, size = content[0], content[1], content[0] * content[1] * channels
    if not size or len(content) < 2 + size:
        return None
    turned = _TURNS[operation](np.frombuffer(content, np.uint8, size, 2).reshape(height, width, channels))
    return bytes((turned.shape[1], turned.shape[0])) + turned.tobytes()


def _turned_extension(content: bytes, operation: int, turn: Turn) -> bytes | None:
    kind, rest = content[5:6], content[6:]
    if kind == bytes((_CODED,)):
        coded = turn(rest)
        return None if coded is None or len(coded) > MAX_SEGMENT - 6 else content[:6] + coded
    if kind == bytes((_RGB,)):
        pixels = _turned_pixels(rest, 3, operation) if len(rest) > 2 else None
        return None if pixels is None else content[:6] + pixels
    if kind == bytes((_PALETTE,)) and len(rest) > 2 + _PALETTE_SIZE:
        pixels = _turned_pixels(rest[:2] + rest[2 + _PALETTE_SIZE :], 1, operation)
        return None if pixels is None else content[:6] + pixels[:2] + rest[2 : 2 + _PALETTE_SIZE] + pixels[2:]
    return None


def with_turned_thumbnails(jpeg: bytes, operation: int, turn: Turn | None) -> bytes:
    """Return an image with the thumbnails of JFIF and its extension turned, or without them where they cannot be.

    They are dropped where *turn* is None: the image is only a part of what it was.
    """
    pieces, at = [], 0
    for segment in header_segments(jpeg):
        content = bytes(segment.data)
        if _is(segment, _JFIF) and len(content) > _LEAST_JFIF:
            turned = None if turn is None else _turned_pixels(content[_JFIF_HEAD:], 3, operation)
            new = segment_bytes(APP0, content[:_JFIF_HEAD] + (turned or bytes(2)))
        elif _is(segment, _EXTENSION):
            extension = None if turn is None else _turned_extension(content, operation, turn)
            new = b"" if extension is None else segment_bytes(APP0, extension)
        else:
            continue
        pieces += [jpeg[at : segment.offset], new]
        at = segment.offset + 4 + len(content)
    return b"".join((*pieces, jpeg[at:]))
