"""Lossless crops as PNG files in memory, through OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
        raise DataError(f"not a PNG file: {bytes(data[:8])!r}... ({len(data)} bytes)")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"not a complete PNG file ({len(data)} bytes)")
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
