"""JPEG with mozjpeg's encoder, for NumPy arrays, in memory.

>>> data = mozcodec.encode(image, quality=77)      # the bytes that cjpeg -quality 77 writes
>>> pixels = mozcodec.decode(data)                 # (H, W, 3) uint8
"""

from ._build import build_info
from ._decode import Header, decode, read_header
from ._encode import encode
from ._errors import DamagedError, JpegError, JpegWarning, LimitError, UnavailableError, UnsupportedError
from ._options import EncodeOptions
from ._smartscale import encode_scaled, encode_smartscale

__all__ = [
    "DamagedError",
    "EncodeOptions",
    "Header",
    "JpegError",
    "JpegWarning",
    "LimitError",
    "UnavailableError",
    "UnsupportedError",
    "build_info",
    "decode",
    "encode",
    "encode_scaled",
    "encode_smartscale",
    "read_header",
]
