"""PNG files in memory, through OpenCV: lossless crops, and the check of files of other programs."""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from ..errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# chunks that change no pixel of OpenCV's; libpng writes a line to stderr for each that it does not like
UNUSED = frozenset((b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"hIST", b"sPLT"))


def encode_png(image: np.ndarray) -> bytes:
    """Return *image*, uint8 RGB (H, W, 3) or gray (H, W), as the bytes of a PNG file."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    ok, data = cv2.imencode(".png", np.ascontiguousarray(bgr))
    assert ok, "OpenCV does not encode PNG"
    return data.tobytes()


def decode_png(data: bytes | memoryview) -> np.ndarray:
    """Return the image in the PNG file *data*: uint8 RGB (H, W, 3), or (H, W) if it is gray.

    Raises `DataError` if *data* is not a complete PNG file. OpenCV repairs damaged files silently, so check the CRC
    first (`ShardReader.read(..., check=True)`).
    """
    if bytes(data[:8]) != SIGNATURE:
        raise DataError(f"not a PNG file: it begins with {bytes(data[:8]).hex(' ') or 'nothing'} ({len(data)} bytes)")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"not a complete PNG file ({len(data)} bytes)")
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def checked_png(data: bytes) -> bytes:
    """Return the PNG file *data* without its texts, colour profile and what follows its end, for OpenCV.

    Raises DataError, with the byte where the chunk begins, if the file is cut or a chunk differs from its CRC: libpng
    would write a line to stderr that names no file.
    """
    kept, at = [SIGNATURE], len(SIGNATURE)
    while True:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise DataError("the PNG file ends too early")
        if kind not in UNUSED:
            if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                name = kind.decode() if kind.isalpha() else f"0x{kind.hex()}"  # isalpha: A to Z and a to z
                raise DataError(f"the PNG file is damaged: its chunk {name} at byte {at} differs from its CRC")
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
