"""Read and write image files: PPM, PGM, NPY and JPEG directly, others through Pillow or OpenCV."""

import errno
import io
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._containers import without_parts
from ._decode import decode
from ._metadata import Metadata, carried_segments, segments_to_write

Pixels = NDArray[Any]
JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))
PICTURE_SUFFIXES = JPEG_SUFFIXES.union(
    (".ppm", ".pgm", ".pnm", ".npy", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".tga", ".jp2", ".avif")
)


def make_parent(path: Path) -> None:
    """Make the folder of *path*; NotADirectoryError with *path* where that is a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename} is not a folder", str(path)) from None


def write_whole(path: Path, data: bytes) -> None:
    """Write *data* to a temporary file and rename it to *path*, so that no partial file remains.

    A link stays a link to the file, and the file's permissions stay; a device or a pipe is written to. Raises
    ``OSError``, PermissionError for a file that is read-only.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "is a disk: name a file", str(path))
    if mode is not None and not stat.S_ISREG(mode):
        try:
            path.write_bytes(data)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(path)) from error  # a full device names no path
        return
    path = path.resolve()
    if mode is not None and not (mode & 0o222 and os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "the file is read-only", str(path))
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.partial")
    try:
        partial.write_bytes(data)
        if mode is not None:
            partial.chmod(stat.S_IMODE(mode))
        partial.replace(path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error  # not the temporary file
    finally:
        partial.unlink(missing_ok=True)


# ---- PPM and PGM ----------------------------------------------------------------------------------------------------


def _pnm_header(data: bytes) -> tuple[int, int, int, int]:
    """Return (width, height, maximum, where the samples begin); netpbm's ppm(5), comments included."""
    numbers: list[int] = []
    at = 2
    while len(numbers) < 3:
        if at >= len(data):
            raise ValueError("the PNM header ends before its three numbers")
        if data[at : at + 1] == b"#":
            at = data.find(b"\n", at) + 1 or len(data)
        elif data[at : at + 1].isspace():
            at += 1
        else:
            end = at
            while end < len(data) and data[end : end + 1].isdigit():
                end += 1
            if end == at:
                found = data[at : at + 1].decode("latin-1")
                raise ValueError(f"the PNM header has {found!r} instead of a number")
            numbers.append(int(data[at:end]))
            at = end
    width, height, maximum = numbers
    return width, height, maximum, at + 1


def _from_pnm(data: bytes) -> Pixels:
    width, height, maximum, start = _pnm_header(data)
    if maximum not in [(1 << bits) - 1 for bits in range(2, 17)]:
        raise ValueError(f"the maximum of a PNM file must be that of 2 to 16 bits (255, 4095, 65535), got {maximum}")
    kind = np.dtype(np.uint8) if maximum <= 255 else np.dtype(">u2")
    channels = 3 if data[:2] == b"P6" else 1
    wanted = width * height * channels
    if len(data) - start < wanted * kind.itemsize:
        raise ValueError(f"the PNM file has {len(data) - start} bytes of samples, too few for {width} x {height}")
    samples = np.frombuffer(data, kind, wanted, start).astype(kind.newbyteorder("="))
    return samples.reshape((height, width, 3) if channels == 3 else (height, width))


def _to_pnm(pixels: Pixels, precision: int) -> bytes:
    height, width = pixels.shape[:2]
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise ValueError(f"PNM files have 1 or 3 channels, the image has {pixels.shape[2]}: name it .npy")
    kind = b"P6" if pixels.ndim == 3 else b"P5"
    samples = pixels if pixels.dtype == np.uint8 else pixels.astype(">u2")
    return kind + b"\n%d %d\n%d\n" % (width, height, (1 << precision) - 1) + samples.tobytes()


# ---- other formats --------------------------------------------------------------------------------------------------


def _with_pillow(data: bytes) -> tuple[Pixels, Metadata]:
    from PIL import Image, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:  # its message is a memory address
        raise ValueError("Pillow does not recognise the format") from None
    with opened as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"images of mode {image.mode} have more than 8 bits: convert them first")
        pixels = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))  # alpha is left out
        same_colours = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
        icc_profile = image.info.get("icc_profile") if same_colours else None
        return pixels, Metadata(icc_profile or None, image.info.get("exif") or None)


def _with_opencv(data: bytes) -> tuple[Pixels, Metadata]:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot read it")
    if pixels.dtype != np.uint8:
        raise ValueError(f"images of {pixels.dtype} have more than 8 bits: convert them first")
    return pixels if pixels.ndim == 2 else np.asarray(pixels[..., 2::-1]), Metadata()


def _save_with_pillow(pixels: Pixels, suffix: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=Image.registered_extensions()[suffix])
    return buffer.getvalue()


def _save_with_opencv(pixels: Pixels, suffix: str) -> bytes:
    import cv2

    ok, data = cv2.imencode(suffix, pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1]))
    if not ok:
        raise ValueError(f"OpenCV cannot write {suffix}")
    return bytes(data)


def _first_installed(what: str, *ways: Callable[[], Any]) -> Any:
    for way in ways:
        try:
            return way()
        except ImportError:
            continue
        except (ValueError, MemoryError):
            raise
        except Exception as error:  # Pillow and OpenCV raise SyntaxError, KeyError, cv2.error ...
            raise ValueError(f"{what}: {type(error).__name__}: {error}") from error
    raise ValueError(f"{what} needs Pillow or OpenCV: pip install pillow")


# ---- both -----------------------------------------------------------------------------------------------------------


def is_jpeg(data: bytes) -> bool:
    """Return whether *data* begins as a JPEG does."""
    return data[:2] == b"\xff\xd8"


def _segments(metadata: Metadata, copy: str) -> list[tuple[int, bytes]]:
    exif = metadata.exif if copy == "all" else None
    icc_profile = metadata.icc_profile if copy in ("all", "icc") else None
    try:
        return segments_to_write(icc_profile, exif, None, None)
    except ValueError as error:
        raise ValueError(f"{error}; -copy none leaves it out") from None


def picture_from(
    data: bytes, name: str, copy: str, limits: dict[str, Any] | None = None
) -> tuple[Pixels, list[tuple[int, bytes]]]:
    """Return :func:`pixels_from`, and the marker segments that a JPEG of the same image keeps.

    *copy* is "all", "icc", "comments" or "none". It selects the segments of a JPEG as cjpeg does, and the ICC profile
    and EXIF of other formats, which Pillow reads and OpenCV does not. *limits* are options of :func:`mozcodec.decode`.
    """
    if is_jpeg(data):
        pixels = decode(data, None, **(limits or {}))
        return pixels, carried_segments(without_parts(data), copy)  # the new file has one image
    if data[:2] in (b"P5", b"P6"):
        return _from_pnm(data), []
    if data[:6] == b"\x93NUMPY":
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False)), []
    suffix = Path(name).suffix or "this format"
    pixels, metadata = _first_installed(f"reading {suffix}", lambda: _with_pillow(data), lambda: _with_opencv(data))
    return pixels, _segments(metadata, copy)


def pixels_from(data: bytes, name: str, limits: dict[str, Any] | None = None) -> Pixels:
    """Return the pixels of an image in any format, uint8 gray or RGB; the format is detected from its content.

    Alpha is left out, EXIF orientation is not applied. Raises ``ValueError`` or :class:`mozcodec.JpegError`.
    """
    return picture_from(data, name, "none", limits)[0]


def bytes_of(pixels: Pixels, suffix: str, precision: int | None = None) -> bytes:
    """Return *pixels*, whose samples have *precision* bits (default: all), as a file in the format of *suffix*.

    PNM files name the bits; the other formats have 8 or 16, and the samples are written as they are.
    """
    if suffix in (".ppm", ".pgm", ".pnm"):
        return _to_pnm(pixels, precision or 8 * pixels.itemsize)
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        return buffer.getvalue()
    if suffix not in PICTURE_SUFFIXES or suffix in JPEG_SUFFIXES:
        raise ValueError(f"images are written as .ppm, .pgm, .npy, .png, .bmp, .tif, .webp or .gif, not {suffix!r}")
    if pixels.dtype == np.uint16 and suffix not in (".png", ".tif", ".tiff"):
        raise ValueError(f"{suffix} holds samples of 8 bits, these have 16: write .png, .tif, .ppm or .npy")
    if pixels.dtype == np.uint16 and pixels.ndim == 3:  # Pillow has no such images
        try:
            return _save_with_opencv(pixels, suffix)
        except ImportError:
            raise ValueError(f"{suffix} of 16-bit colour needs OpenCV; without it write .ppm or .npy") from None
    ways = (lambda: _save_with_pillow(pixels, suffix), lambda: _save_with_opencv(pixels, suffix))
    return bytes(_first_installed(f"writing {suffix}", *ways))
