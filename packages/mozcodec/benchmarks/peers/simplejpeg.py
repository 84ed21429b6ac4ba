"""simplejpeg's interface by mozcodec, for simplejpeg's own tests; see peer_suites.py."""

# ruff: noqa: ARG001  (the signatures are those of the library)

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mozcodec


def _scale(height: int, width: int, min_height: float, min_width: float, min_factor: float) -> int:
    """Return the smallest scale, in eighths, whose output is not smaller than the given size."""
    if min_height <= 0 and min_width <= 0:
        return 8
    for eighths in range(1, 8):
        large = math.ceil(height * eighths / 8) >= min_height and math.ceil(width * eighths / 8) >= min_width
        if large and 8 / eighths >= min_factor:
            return eighths
    return 8


def decode_jpeg_header(
    data: Any, min_height: float = 0, min_width: float = 0, min_factor: float = 1, strict: bool = True
) -> tuple[int, int, str, str]:
    header = mozcodec.read_header(data)
    scale = _scale(header.height, header.width, min_height, min_width, min_factor)
    height, width = (math.ceil(size * scale / 8) for size in header.shape)
    color_space = {"ycbcr": "YCbCr", "gray": "Gray", "rgb": "RGB", "cmyk": "CMYK", "ycck": "YCCK"}
    return height, width, color_space[str(header.color_space)], header.subsampling.replace(":", "").title()


def decode_jpeg(
    data: Any,
    colorspace: str = "rgb",
    fastdct: bool = False,
    fastupsample: bool = False,
    min_height: float = 0,
    min_width: float = 0,
    min_factor: float = 1,
    buffer: Any = None,
    strict: bool = True,
) -> NDArray[np.uint8]:
    header = mozcodec.read_header(data)
    options: Any = {
        "scale": _scale(header.height, header.width, min_height, min_width, min_factor),
        "dct_method": "ifast" if fastdct else "islow",
        "fancy_upsampling": not fastupsample,
        "on_truncated": "error" if strict else "ok",
    }
    out = None
    if buffer is not None:
        height, width = (math.ceil(size * options["scale"] / 8) for size in header.shape)
        channels = {"gray": 1, "rgb": 3, "bgr": 3}.get(colorspace.lower(), 4)
        flat = np.frombuffer(buffer, np.uint8)
        out = flat[: height * width * channels].reshape(height, width, channels)
    pixels = mozcodec.decode(data, colorspace.lower(), out=out, **options)
    return np.atleast_3d(pixels)


def encode_jpeg(
    image: NDArray[np.uint8],
    quality: int = 85,
    colorspace: str = "rgb",
    colorsubsampling: str = "444",
    fastdct: bool = False,
) -> bytes:
    gray = colorspace.lower() == "gray" or colorsubsampling.lower() == "gray"
    return mozcodec.encode(
        image,
        quality,
        pixel_format=colorspace.lower(),
        subsampling=None if gray else colorsubsampling,
        dct_method="ifast" if fastdct else "islow",
        profile="fastest",
        **({"color_space": "gray"} if gray and colorspace.lower() != "gray" else {}),
    )


def encode_jpeg_yuv_planes(
    Y: NDArray[np.uint8],
    U: NDArray[np.uint8] | None,
    V: NDArray[np.uint8] | None,
    quality: int = 85,
    fastdct: bool = False,
) -> bytes:
    planes = [Y] if U is None and V is None else [Y, U, V]
    return mozcodec.encode(
        planes, quality, pixel_format="planes", dct_method="ifast" if fastdct else "islow", profile="fastest"
    )


def is_jpeg(data: bytes) -> bool:
    try:
        mozcodec.read_header(data)
    except mozcodec.NotJpegError:
        return False
    return True
