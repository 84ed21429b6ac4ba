"""mozcodec as Pillow's JPEG decoder and, where a save asks for it, as its encoder.

>>> import mozcodec.pillow
>>> image = Image.open("in.jpg")                              # decoded by mozcodec
>>> image.save("out.jpg", mozjpeg=True, quality=77)           # the bytes that cjpeg -quality 77 writes
>>> image.save("out.jpg", mozjpeg={"distance": 1.5})          # with options of mozcodec.encode

The import registers both. Pillow's own Python still reads and writes headers, metadata and the index of MPO files, and
its parameters of JPEG files (``quality``, ``subsampling``, ``qtables``, ``exif``, ``dpi`` ...) keep their meaning. What
is not given has mozcodec's default, not Pillow's: progressive files with the scan search, subsampling by the quality.
Options in ``mozjpeg`` yield to parameters of the save. Saves without ``mozjpeg`` are Pillow's own.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from ._damage import damage_found, describe
from ._decode import decode
from ._encode import encode
from ._errors import JpegError

try:
    from PIL import Image, ImageFile, JpegImagePlugin, MpoImagePlugin
except ImportError as error:
    raise ImportError("mozcodec.pillow needs Pillow: pip install 'mozcodec[pillow]'") from error

__all__ = ["register", "unregister"]

Given = bool | Mapping[str, Any]
"""What ``mozjpeg=`` takes: whether mozcodec encodes, or the options with which it does."""

_PIXEL_FORMATS = {"L": "gray", "RGB": "rgb", "YCbCr": "ycbcr", "CMYK": "cmyk", "CMYK;I": "cmyk"}
_SUBSAMPLING = ("4:4:4", "4:2:2", "4:2:0")
_UNKNOWN = -1  # Pillow's value for a quality or subsampling that is not given


# ---- decoder --------------------------------------------------------------------------------------------------------


class _Decoder(ImageFile.PyDecoder):
    """Decodes a file from its first byte; Pillow has read the header and chosen mode and scale."""

    _pulls_fd = True

    def decode(self, buffer: Any) -> tuple[int, int]:  # noqa: ARG002  (Pillow's signature)
        assert self.fd is not None
        rawmode, _, *scale = self.args
        data = self.fd.read()
        # Pillow has checked the size of the image against Image.MAX_IMAGE_PIXELS
        divisor = scale[0] if scale else 1
        try:
            pixels = decode(data, _PIXEL_FORMATS[rawmode], scale=8 // divisor, on_truncated="ok", max_pixels=None)
        except JpegError as error:
            raise OSError(f"cannot decode the JPEG: {error}") from error
        damage = damage_found()
        if damage is not None and not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise OSError(f"image file is truncated or corrupt: {describe(damage)}")
        self.set_as_raw(pixels.tobytes(), rawmode)
        return -1, 0


# ---- encoder --------------------------------------------------------------------------------------------------------


class _Save(threading.local):
    """The save that this thread is in: the options given, and the names of Pillow's parameters given with them."""

    options: Mapping[str, Any] | None = None
    names: frozenset[str] = frozenset()


_save = _Save()


@contextmanager
def _saving(options: Mapping[str, Any] | None, names: frozenset[str]) -> Iterator[None]:
    before = _save.options, _save.names
    _save.options, _save.names = options, names
    try:
        yield
    finally:
        _save.options, _save.names = before


def _quality_options(quality: int, tables: Any, num_components: int) -> dict[str, Any]:
    if tables is None:
        return {} if quality == _UNKNOWN else {"quality": min(max(quality, 1), 100)}  # libjpeg's limits, not mozcodec's
    options = {
        "quant_tables": [np.reshape(table, (8, 8)) for table in tables],
        # the last table is that of the components after it
        "quant_slots": [min(i, len(tables) - 1) for i in range(num_components)],
        "quality": None,
    }
    if quality == _UNKNOWN:
        return options | {"quant_baseline": False}  # the tables as they are
    return options | {"quality": min(max(quality, 1), 100), "quant_baseline": True}


def _sampling_options(subsampling: int, keeps_rgb: bool, pixel_format: str) -> dict[str, Any]:
    if keeps_rgb and pixel_format == "rgb":
        if subsampling > 0:
            raise OSError("RGB files (keep_rgb) are not subsampled")
        return {"color_space": "rgb", "subsampling": "4:4:4"}
    if not isinstance(subsampling, int):
        raise TypeError(f"subsampling must be 0, 1, 2, 4:4:4, 4:2:2, 4:2:0 or keep, got {subsampling!r}")
    if subsampling in range(3) and pixel_format in ("rgb", "ycbcr"):
        return {"subsampling": _SUBSAMPLING[subsampling]}
    return {}


def _options(config: tuple[Any, ...], pixel_format: str, num_components: int) -> dict[str, Any]:
    """Return the options of :func:`mozcodec.encode` for what Pillow hands to its encoder."""
    quality, progressive, smooth, optimize, keep_rgb, streamtype, dpi, subsampling, blocks, rows, tables, *_ = config
    if streamtype:
        raise OSError(f"mozjpeg=True writes whole files, not streams without tables or of tables only ({streamtype=})")
    options = _quality_options(quality, tables, num_components)
    options |= _sampling_options(subsampling, keep_rgb, pixel_format)
    at_distance = "distance" in (_save.options or {})  # such files are progressive and optimized in any case
    if _save.names & {"progressive", "progression"} and not (at_distance and progressive):
        options["progressive"] = bool(progressive)
    if optimize and not at_distance:
        options["optimize_coding"] = True
    if smooth:
        options["smoothing_factor"] = smooth
    if blocks:
        options["restart_interval"] = blocks
    if rows:
        options["restart_rows"] = rows
    if any(dpi):
        options["density"] = (*dpi, "inch")
    return options


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def _with_segments(data: bytes, exif: bytes, extra: bytes, comment: bytes | str | None) -> bytes:
    """Insert segments behind JFIF's, in Pillow's order: its index of MPO files counts on it."""
    end = 2 + (2 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 0)
    before = _segment(0xE1, exif) if exif else b""
    after = _segment(0xFE, comment.encode() if isinstance(comment, str) else comment) if comment else b""
    return data[:end] + before + extra + after + data[end:]


class _Encoder(ImageFile.PyEncoder):
    """Encodes an image whose parameters Pillow has checked."""

    _pushes_fd = True

    def encode_to_pyfd(self) -> tuple[int, int]:
        assert self.fd is not None
        rawmode, *config = self.args
        comment, extra, exif = config[11:14]
        assert self.im is not None
        image = Image.Image()._new(self.im)
        pixels = np.asarray(image.convert("L") if self.mode == "1" else image)
        pixels = pixels[..., :3] if self.mode == "RGBX" else pixels
        pixels = 255 - pixels if rawmode == "CMYK;I" else pixels
        pixel_format = _PIXEL_FORMATS[rawmode]
        options = _options(tuple(config), pixel_format, pixels.shape[2] if pixels.ndim == 3 else 1)
        try:
            data = encode(pixels, pixel_format=pixel_format, **{**(_save.options or {}), **options})
        except JpegError as error:
            raise OSError(f"cannot encode the image as JPEG: {error}") from error
        self.fd.write(_with_segments(data, exif, extra, comment))
        return 0, 0


def _encoder(*arguments: Any) -> Any:
    """Return the encoder for a save: Pillow's, or ours within :func:`_saving`."""
    theirs = Image.core.jpeg_encoder  # type: ignore[attr-defined]
    return theirs(*arguments) if _save.options is None else _Encoder(*arguments)


# ---- registration ---------------------------------------------------------------------------------------------------

Handler = Callable[[Image.Image, IO[bytes], str | bytes], None]


def _checked(given: object) -> Mapping[str, Any] | None:
    """Return the options that ``mozjpeg=`` asks for, None for Pillow's encoder."""
    if isinstance(given, Mapping):
        return given
    if given is None or isinstance(given, bool):
        return {} if given else None
    raise TypeError(f"mozjpeg must be True, False or options of mozcodec.encode, got {given!r}")


def _handler(theirs: Handler, default: Given) -> Handler:
    def save(image: Image.Image, file: IO[bytes], name: str | bytes) -> None:
        info = image.encoderinfo
        with _saving(_checked(info.get("mozjpeg", default)), frozenset(info)):
            theirs(image, file, name)

    return save


def register(default: Given = False) -> None:
    """Make mozcodec Pillow's decoder of JPEG files, and its encoder where a save has ``mozjpeg=``.

    *default* is the value of ``mozjpeg`` for saves that do not name it: with True, every JPEG is encoded by mozcodec.
    The import of this module calls this function; a second call changes the default.

    Raises ``TypeError`` for a default that is neither a bool nor options.
    """
    _checked(default)
    Image.register_decoder("jpeg", _Decoder)
    Image.register_encoder("jpeg", _encoder)  # type: ignore[arg-type]
    Image.register_save("JPEG", _handler(JpegImagePlugin._save, default))
    Image.register_save("MPO", _handler(MpoImagePlugin._save, default))
    Image.register_save_all("MPO", _handler(MpoImagePlugin._save_all, default))


def unregister() -> None:
    """Give JPEG files back to Pillow's own decoder and encoder."""
    Image.DECODERS.pop("jpeg", None)
    Image.ENCODERS.pop("jpeg", None)
    Image.register_save("JPEG", JpegImagePlugin._save)
    Image.register_save("MPO", MpoImagePlugin._save)
    Image.register_save_all("MPO", MpoImagePlugin._save_all)


register()
