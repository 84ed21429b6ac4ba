"""Read image files of any format; incomplete files are an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the image in the file *path* with its EXIF orientation applied, uint8 RGB (H, W, 3).

    Raises DataError if it is not an image or is truncated, OSError if the file cannot be read.
    """
    import cv2

    import mozcodec

    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        try:
            return np.asarray(mozcodec.decode(data, pixel_format="rgb", apply_orientation=True), np.uint8)
        except mozcodec.JpegError as error:
            raise DataError(f"not a readable JPEG file: {error}") from error
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]:  # OpenCV would fill in the missing part
        raise DataError("the PNG file ends too early")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DataError("not an image that OpenCV can read")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)
