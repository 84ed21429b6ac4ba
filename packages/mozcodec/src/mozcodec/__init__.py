"""Encode and decode JPEG in memory with mozjpeg's encoder, for NumPy arrays.

>>> data = mozcodec.encode(image, quality=77)      # as cjpeg -quality 77
>>> pixels = mozcodec.decode(data)                 # (H, W, 3) uint8
"""

from ._build import build_info
from ._coefficients import Coefficients, coefficient_histograms, read_coefficients, write_coefficients
from ._containers import Part, pictures
from ._damage import damage_found
from ._decode import DecodeOptions, Header, decode, decode_batch, decode_many, read_header
from ._edit import edit_metadata
from ._encode import Encoder, encode, encode_many
from ._engine import EngineUse, engine_used
from ._errors import (
    Damage,
    DamagedError,
    JpegError,
    JpegWarning,
    LimitError,
    NotJpegError,
    OutOfMemoryError,
    UnavailableError,
    UnsupportedError,
)
from ._fidelity import ms_ssim, psnr, ssim, ssimulacra2
from ._inspect import (
    Component,
    DistanceEstimate,
    HuffmanTable,
    Inspection,
    MarkerSegment,
    QualityEstimate,
    Scan,
    inspect,
)
from ._metadata import Metadata
from ._options import EncodeOptions
from ._perceptual import EncodedAtDistance
from ._recompress import recompress
from ._smartscale import encode_scaled, encode_smartscale
from ._sweep import Encoded, SweepPoint, encode_to_target, sweep
from ._transform import optimize, transform

__all__ = [
    "Coefficients",
    "Component",
    "Damage",
    "DamagedError",
    "DecodeOptions",
    "DistanceEstimate",
    "EncodeOptions",
    "Encoded",
    "EncodedAtDistance",
    "Encoder",
    "EngineUse",
    "Header",
    "HuffmanTable",
    "Inspection",
    "JpegError",
    "JpegWarning",
    "LimitError",
    "MarkerSegment",
    "Metadata",
    "NotJpegError",
    "OutOfMemoryError",
    "Part",
    "QualityEstimate",
    "Scan",
    "SweepPoint",
    "UnavailableError",
    "UnsupportedError",
    "build_info",
    "coefficient_histograms",
    "damage_found",
    "decode",
    "decode_batch",
    "decode_many",
    "edit_metadata",
    "encode",
    "encode_many",
    "encode_scaled",
    "encode_smartscale",
    "encode_to_target",
    "engine_used",
    "inspect",
    "ms_ssim",
    "optimize",
    "pictures",
    "psnr",
    "read_coefficients",
    "read_header",
    "recompress",
    "ssim",
    "ssimulacra2",
    "sweep",
    "transform",
    "write_coefficients",
]
