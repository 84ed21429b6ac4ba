"""Properties of the files that crops were cut from: format, size, encoder. None depends on the image content."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import mozcodec

from ..errors import DataError
from ..reading import open_file, read_bytes
from .files import sha256
from .pictures import VIDEOS, read_image

__all__ = ["SourceFile", "describe_source"]

MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
COLOUR_TYPES = {0: "gray", 2: "RGB", 3: "palette", 4: "gray + alpha", 6: "RGB + alpha"}
FULL_AC_TABLE = 162  # symbols of the AC tables in Annex K of T.81; fewer are optimized for the image
SHOWN = 60  # characters of an encoder's name


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An image file or a video. Text is empty and numbers are nan where they do not apply or cannot be told.

    file: relative to the data folder. format: ``JPEG``, ``PNG``, ``mp4, h264``, by content, not by name. width, height:
    pixels as shown. bits_per_pixel: of the whole file, over all frames. encoding: how it was encoded, apart from the
    quality: of a JPEG its mode, subsampling, Huffman tables and marker segments; of a video profile, pixel format and
    the name of the encoder. jpeg_quality, quant_tables: the quality whose tables are nearest, a hash of the tables.
    """

    file: str
    sha256: str
    format: str
    width: float
    height: float
    bits_per_pixel: float
    encoding: str
    jpeg_quality: float = math.nan
    quant_tables: str = ""
    frame_rate: float = math.nan
    num_frames: float = math.nan


def describe_source(root: Path, file: str) -> SourceFile:
    """Return what *file* below *root* is. Raises `DataError` if it is missing or cannot be read."""
    path = root / file
    try:
        digest = sha256(path)
        with open_file(path) as opened:
            start = opened.read(32)
        if path.suffix.lower() in VIDEOS:
            return _video(path, file, digest)
        return _image(path, file, digest, start)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the folder that the crops were made from (--data)") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _image(path: Path, file: str, digest: str, start: bytes) -> SourceFile:
    kind = _format(start)
    if kind == "JPEG":
        return _jpeg(path, file, digest)
    width, height, encoding = 0.0, 0.0, ""
    if kind == "PNG" and len(start) >= 29:
        width, height, depth, colours, interlaced = struct.unpack(">IIBB2xB", start[16:29])
        encoding = f"{depth} bit {COLOUR_TYPES.get(colours, colours)}{', interlaced' if interlaced else ''}"
    else:
        height, width = read_image(path).shape[:2]
    return SourceFile(file, digest, kind, width, height, 8 * path.stat().st_size / (width * height), encoding)


def _format(start: bytes) -> str:
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP" if start[12:16] != b"VP8L" else "WebP, lossless"
    if start[4:8] == b"ftyp":
        return start[8:12].decode("latin-1").strip().upper()  # AVIF, HEIC
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), "another format")


def _jpeg(path: Path, file: str, digest: str) -> SourceFile:
    data = read_bytes(path)
    try:
        found = mozcodec.inspect(data)
    except mozcodec.JpegError as error:
        raise DataError(f"not a readable JPEG file: {error}") from error
    header = found.header
    height, width = header.shape if header.orientation < 5 else header.shape[::-1]
    tables = hashlib.sha256()
    for slot, table in sorted(found.quant_tables.items()):
        tables.update(bytes([slot]) + table.astype(">u2").tobytes())
    return SourceFile(
        file,
        digest,
        "JPEG",
        width,
        height,
        8 * len(data) / (width * height),
        _jpeg_encoding(found),
        math.nan if found.quality is None else found.quality.quality,
        tables.hexdigest()[:12] if found.quant_tables else "",
    )


def _jpeg_encoding(found: mozcodec.Inspection) -> str:
    """Return mode, subsampling, Huffman tables and marker segments of a JPEG, which differ between encoders."""
    header = found.header
    mode = "lossless" if header.lossless else "progressive" if header.progressive else "baseline"
    parts = [mode, header.subsampling]
    if header.arithmetic:
        parts.append("arithmetic coding")
    elif not header.progressive:
        ac = [len(table.symbols) for table in found.huffman_tables if table.kind == "ac"]
        parts.append("standard Huffman tables" if ac and min(ac) >= FULL_AC_TABLE else "optimized Huffman tables")
    if header.restart_interval:
        parts.append("restart markers")
    named = [segment.name for segment in found.segments]
    parts += [name for name in dict.fromkeys(named) if name.startswith("APP") or name == "COM"]
    return ", ".join(parts)


def _video(path: Path, file: str, digest: str) -> SourceFile:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError("has no video stream")
            stream = container.streams.video[0]
            codec = stream.codec_context
            frames = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            rate = float(stream.average_rate or stream.guessed_rate or math.nan)
            names = [codec.profile, codec.pix_fmt, *(_encoder(tags) for tags in (container.metadata, stream.metadata))]
            width, height = codec.width, codec.height
            kind = f"{container.format.name.split(',')[0]}, {codec.name}"
    except av.FFmpegError as error:
        raise DataError(f"cannot be opened ({error.strerror})") from error
    pixels = width * height * frames
    return SourceFile(
        file,
        digest,
        kind,
        width,
        height,
        8 * path.stat().st_size / pixels if pixels else math.nan,
        ", ".join(dict.fromkeys(str(name) for name in names if name)),
        frame_rate=rate,
        num_frames=frames,
    )


def _encoder(tags: dict[str, str]) -> str:
    name = next((value for key, value in sorted(tags.items()) if key.lower() == "encoder"), "")
    return "".join(c if c.isprintable() else "?" for c in name[:SHOWN])
