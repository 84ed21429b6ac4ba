"""Image files of any format, and the detection of file types by content. Incomplete files are an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..reading import open_file, read_bytes
from ..schema import brief

__all__ = ["IMAGES", "VIDEOS", "kind_of", "not_read", "read_image"]

# suffixes of files whose content is damaged, so that they are listed as unreadable
IMAGES = frozenset(
    ".avif .bmp .gif .heic .heif .jfif .jp2 .jpe .jpeg .jpg .png .tif .tiff .webp".split()  # noqa: SIM905
)
VIDEOS = frozenset({".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})

# the first bytes of image files
IMAGE_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51",
)  # fmt: skip
# the first bytes of video files: Matroska and WebM, MPEG program and elementary streams, Flash, ASF, Ogg, MXF, raw YUV
VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"OggS",
    b"\x06\x0e\x2b\x34", b"YUV4MPEG2",
)  # fmt: skip
# first boxes of QuickTime files without ftyp
QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
AVIF, HEIF = (b"avif", b"avis"), (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AUDIO = (b"M4A ", b"M4B ", b"M4P ")
SHOWN = 10  # names in a message


def kind_of(path: Path) -> Literal["image", "video"] | None:
    """Return whether the file *path* is an image or a video, or None if it is neither.

    The content decides. Where it is of no known format, as in damaged files, the suffix does; files that cannot be
    opened go by their suffix too, so that the reader reports the error.
    """
    try:
        with open_file(path) as file:
            start = file.read(400)
    except (OSError, DataError):
        start = b""
    known = _kind_of_content(start)
    if known is not None:
        return None if known == "other" else known
    suffix = path.suffix.lower()
    return "image" if suffix in IMAGES else "video" if suffix in VIDEOS else None


def _kind_of_content(start: bytes) -> Literal["image", "video", "other"] | None:
    if start.startswith(IMAGE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "image"
    if start[:2] == b"BM" and start[14:18] in (b"\x28\0\0\0", b"\x0c\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "image"
    if start.startswith(VIDEO_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "video"
    if start[4:8] == b"ftyp":
        brand = _brand(start)
        return "image" if brand in AVIF + HEIF else "other" if brand in AUDIO else "video"
    if start[4:8] in QUICKTIME:
        return "video"
    if any(start[at::size][:2] == b"\x47\x47" for at, size in ((0, 188), (4, 192))):  # MPEG transport streams
        return "video"
    return None


def _brand(start: bytes) -> bytes:
    """Return the brand of an ISO file; that of a compatible format where the major one says only "an image"."""
    major, size = start[8:12], int.from_bytes(start[:4], "big")
    compatible = [start[at : at + 4] for at in range(16, min(size, len(start)) - 3, 4)]
    if major in (b"mif1", b"msf1"):
        return next((brand for brand in compatible if brand in AVIF), major)
    return major


def not_read(files: Sequence[Path], root: Path, why: str = "neither images nor videos") -> list[str]:
    """Return a message, none for no files, that counts and names the *files* below *root* that are not read."""
    if not files:
        return []
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in files)
    counts = ", ".join(f"{number} {suffix}" for suffix, number in sorted(suffixes.items()))
    names = ", ".join(brief(str(path.relative_to(root))) for path in sorted(files)[:SHOWN])
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return [f"{len(files)} files in {root} are not read ({why}; {counts}): {names}{more}"]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the image in the file *path* with its EXIF orientation applied, uint8 RGB (H, W, 3).

    Of animations, the first frame. Raises DataError if it is not an image, is truncated, or needs an extra that is not
    installed; OSError if the file cannot be read.
    """
    import cv2

    import mozcodec

    from .png import SIGNATURE, checked_png
    from .tiff import STARTS, check_tiff

    data = read_bytes(path)
    if data.startswith(b"\xff\xd8"):
        try:
            return np.asarray(mozcodec.decode(data, pixel_format="rgb", apply_orientation=True), np.uint8)
        except mozcodec.JpegError as error:
            raise DataError(f"not a readable JPEG file: {error}") from error
    if data[4:8] == b"ftyp" and _brand(data[:400]) in AVIF + HEIF:
        return _read_with_pillow(data, "AVIF" if _brand(data[:400]) in AVIF else "HEIC")
    if data.startswith(SIGNATURE):
        data = checked_png(data)
    if data.startswith(STARTS):
        check_tiff(data)
    # it would describe damage on stderr, without the name of the file
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise DataError(f"not an image that OpenCV can read ({str(error).strip().splitlines()[0]})") from error
    if image is None:
        raise DataError("not an image that OpenCV can read")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _read_with_pillow(data: bytes, kind: str) -> NDArray[np.uint8]:
    """Return an AVIF or HEIC image; OpenCV reads only the former, and ignores its orientation."""
    import io

    remedy = f"{kind} files need an extra: pip install 'detector[heif]', or convert the file to PNG"
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError, features

        if kind == "HEIC":
            from pillow_heif import register_heif_opener

            register_heif_opener()
        elif not features.check("avif"):
            raise DataError(remedy)
    except ImportError as error:
        raise DataError(remedy) from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.ascontiguousarray(np.asarray(upright, np.uint8))
    except UnidentifiedImageError as error:  # its message names the buffer
        raise DataError(f"not a readable {kind} file: it is damaged or incomplete") from error
    except Exception as error:  # for damaged files the decoders raise exceptions of several kinds
        raise DataError(f"not a readable {kind} file: {error}") from error
