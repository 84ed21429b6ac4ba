"""JPEG with mozjpeg's encoder, for NumPy arrays, in memory.

>>> data = mozcodec.encode(image, quality=77)      # the bytes that cjpeg -quality 77 writes
>>> pixels = mozcodec.decode(data)                 # (H, W, 3) uint8
"""

from ._build import build_info
from ._decode import DecodeOptions, Header, decode, decode_batch, decode_many, read_header
from ._encode import Encoder, encode, encode_many
from ._engine import EngineUse, engine_used
from ._errors import (
    DamagedError,
    JpegError,
    JpegWarning,
    LimitError,
    OutOfMemoryError,
    UnavailableError,
    UnsupportedError,
)
from ._metadata import Metadata
from ._options import EncodeOptions

__all__ = [
    "DamagedError",
    "DecodeOptions",
    "EncodeOptions",
    "Encoder",
    "EngineUse",
    "Header",
    "JpegError",
    "JpegWarning",
    "LimitError",
    "Metadata",
    "OutOfMemoryError",
    "UnavailableError",
    "UnsupportedError",
    "build_info",
    "decode",
    "decode_batch",
    "decode_many",
    "encode",
    "encode_many",
    "engine_used",
    "read_header",
]
