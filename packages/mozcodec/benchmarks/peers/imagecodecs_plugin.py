"""A plugin of pytest that puts mozcodec in the place of imagecodecs' JPEG codecs; see peer_suites.py."""

# ruff: noqa: ARG001  (the signatures are those of the library)

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

import mozcodec

SUBSAMPLING = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0", "411": "4:1:1", "440": "4:4:0"}
CHANNELS = {1: "gray", 3: "rgb", 4: "cmyk"}


def _name(color_space: Any) -> str | None:
    if color_space is None:
        return None
    text = color_space if isinstance(color_space, str) else getattr(color_space, "name", str(color_space))
    return str(text).lower()


def _encode(profile: str, data: Any, level: Any, options: dict[str, Any], out: Any) -> Any:
    image = np.squeeze(np.asarray(data)) if np.ndim(data) == 3 and np.shape(data)[2] == 1 else np.asarray(data)
    options = {"profile": profile, "pixel_format": CHANNELS[1 if image.ndim == 2 else image.shape[2]], **options}
    if image.dtype == np.uint16:
        options.setdefault("precision", 12)
    if options["pixel_format"] != "rgb" or "lossless" in options:
        options.pop("subsampling", None)
    if options["pixel_format"] == "cmyk":
        options.pop("color_space", None)
    if "lossless" in options:
        options = {k: v for k, v in options.items() if k in ("pixel_format", "precision", "lossless")}
        level = None
    return mozcodec.encode(image, level, out=out, **options)


def _common(outcolorspace: Any, subsampling: Any, smoothing: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if outcolorspace is not None:
        options["color_space"] = _name(outcolorspace)
    if subsampling is not None:
        options["subsampling"] = SUBSAMPLING[str(subsampling)]
    if smoothing:
        options["smoothing_factor"] = int(smoothing)
    return options


def jpeg_encode(data: Any, /, level: int | None = None, *, colorspace: Any = None, outcolorspace: Any = None,
                subsampling: Any = None, optimize: Any = None, smoothing: Any = None, lossless: Any = None,
                predictor: Any = None, bitspersample: int | None = None, validate: Any = None,
                out: Any = None) -> Any:  # fmt: skip
    options = _common(outcolorspace, subsampling, smoothing)
    if optimize:
        options["optimize_coding"] = True
    if lossless:
        options["lossless"] = predictor or 1
    if bitspersample is not None and bitspersample != 8:
        options["precision"] = bitspersample
    return _encode("fastest", data, 95 if level is None else level, options, out)


def mozjpeg_encode(data: Any, /, level: int | None = None, *, colorspace: Any = None, outcolorspace: Any = None,
                   subsampling: Any = None, optimize: Any = None, smoothing: Any = None, notrellis: Any = None,
                   quanttable: int | None = None, progressive: Any = None, out: Any = None) -> Any:  # fmt: skip
    options = _common(outcolorspace, subsampling, smoothing)
    if notrellis:
        options["trellis_quant"] = False
    if quanttable is not None:
        options["quant_table"] = quanttable
    return _encode("max_compression", data, 95 if level is None else level, options, out)


def jpeg_decode(data: Any, /, *, tables: bytes | None = None, colorspace: Any = None, outcolorspace: Any = None,
                shape: Any = None, out: Any = None, index: Any = None) -> NDArray[Any]:  # fmt: skip
    source = bytes(data) if isinstance(data, memoryview) else data
    header = mozcodec.read_header(source) if tables is None else None
    # where imagecodecs is told how to take the samples, they stay as they are
    as_stored = colorspace is not None and outcolorspace is None and header is not None and header.lossless
    pixel_format = "rgb" if header is not None and header.color_space == "ycbcr" and not as_stored else None
    if header is not None and header.lossless:
        pixel_format = None
    options: dict[str, Any] = {"tables": tables} if tables is not None else {}
    pixels = mozcodec.decode(source, pixel_format, **options)
    if out is None:
        return pixels
    target = out
    if not isinstance(out, np.ndarray):
        target = np.frombuffer(out, pixels.dtype)[: pixels.size].reshape(pixels.shape)
    target[...] = pixels
    return target


def jpeg_check(data: Any, /) -> bool | None:
    try:
        mozcodec.read_header(bytes(data))
    except mozcodec.JpegError:
        return False
    return True


imagecodecs.MOZJPEG.available = True  # type: ignore[misc]
for _codec in ("jpeg", "jpeg8", "ljpeg", "jpegsof3", "mozjpeg"):
    setattr(imagecodecs, f"{_codec}_encode", mozjpeg_encode if _codec == "mozjpeg" else jpeg_encode)
    setattr(imagecodecs, f"{_codec}_decode", jpeg_decode)
    setattr(imagecodecs, f"{_codec}_check", jpeg_check)


class _Any(type):
    def __getattr__(cls, name: str) -> Any:
        return cls


class _Missing(metaclass=_Any):
    """A codec, or the constants of one, that the tests name and the installed imagecodecs does not have."""

    available = False


_known = getattr(imagecodecs, "__getattr__", None)


def _attribute(name: str) -> Any:
    if _known is not None:
        try:
            return _known(name)
        except AttributeError:
            pass
    if name.isupper():
        return _Missing
    raise AttributeError(name)


imagecodecs.__getattr__ = _attribute  # type: ignore[method-assign]
imagecodecs.JPEGXL.PRIMARIES = imagecodecs.JPEGXL.TRANSFER_FUNCTION = _Missing  # type: ignore[attr-defined]
