"""JPEG with mozjpeg's encoder, for NumPy arrays, in memory.

>>> data = mozcodec.encode(image, quality=77)      # the bytes that cjpeg -quality 77 writes
>>> pixels = mozcodec.decode(data)                 # (H, W, 3) uint8
"""

from ._build import build_info
from ._decode import DecodeOptions, Header, decode, decode_batch, decode_many, read_header
from ._encode import Encoder, encode, encode_many
from ._errors import DamagedError, JpegError, JpegWarning, LimitError, UnavailableError, UnsupportedError
from ._metadata import Metadata
from ._options import EncodeOptions
from ._smartscale import encode_scaled, encode_smartscale

__all__ = [
    "DamagedError",
    "DecodeOptions",
    "EncodeOptions",
    "Encoder",
    "Header",
    "JpegError",
    "JpegWarning",
    "LimitError",
    "Metadata",
    "UnavailableError",
    "UnsupportedError",
    "build_info",
    "decode",
    "decode_batch",
    "decode_many",
    "encode",
    "encode_many",
    "encode_scaled",
    "encode_smartscale",
    "read_header",
]
