"""JPEG with mozjpeg's encoder, for NumPy arrays, in memory.

>>> data = mozcodec.encode(image, quality=77)      # the bytes that cjpeg -quality 77 writes
>>> pixels = mozcodec.decode(data)                 # (H, W, 3) uint8
"""

from ._build import build_info
<<<<<<< HEAD
from ._decode import DecodeOptions, Header, decode, decode_batch, read_header
from ._encode import Encoder, encode
from ._engine import EngineUse, engine_used
from ._errors import DamagedError, JpegError, JpegWarning, LimitError, OutOfMemoryError, UnavailableError, UnsupportedError
=======
from ._decode import DecodeOptions, Header, decode, decode_batch, decode_many, read_header
from ._encode import Encoder, encode, encode_many
from ._errors import DamagedError, JpegError, JpegWarning, LimitError, UnavailableError, UnsupportedError
>>>>>>> main
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
<<<<<<< HEAD
    "engine_used",
=======
    "encode_many",
>>>>>>> main
    "read_header",
]
