"""JPEG bytes to pixels."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._errors import JpegWarning, error_of
from ._mozjpeg import ffi, lib
from ._options import COLOR_SPACES, PIXEL_FORMATS, SUBSAMPLING, choice
from ._pixels import address_of

Buffer = bytes | bytearray | memoryview
ON_TRUNCATED = {"error": 0, "warn": 1, "ok": 1}

MAX_PIXELS = 1 << 27
MAX_MEMORY = 1 << 30
MAX_SCANS = 100

_COLOR_SPACE_NAMES = {code: name for name, code in COLOR_SPACES.items()}
_FACTORS_TO_SUBSAMPLING = {factors: name for name, factors in SUBSAMPLING.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says about itself before its pixels."""

    width: int
    height: int
    num_components: int
    color_space: str | None
    """Of the stream: "gray", "ycbcr", "rgb", "cmyk", "ycck", or None where libjpeg does not know it."""
    precision: int
    """Bits of a sample."""
    subsampling: str
    """"gray", "4:4:4", "4:2:0" ..., or factors such as "2x2,1x2,1x1" where no such name fits."""
    sampling_factors: tuple[tuple[int, int], ...]
    """Of each component: (h, v)."""
    progressive: bool
    arithmetic: bool
    lossless: bool
    restart_interval: int
    """In MCUs; 0 = none."""
    jfif_version: tuple[int, int] | None
    density: tuple[int, int, str] | None
    """(x, y, "none" | "inch" | "cm") of the JFIF marker."""
    adobe_transform: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as of a NumPy array."""
        return self.height, self.width


def subsampling_name(factors: tuple[tuple[int, int], ...]) -> str:
    """Return the J:a:b name of sampling factors where there is one, else cjpeg's notation."""
    if len(factors) == 1:
        return "gray"
    if len(factors) >= 3 and all(f == (1, 1) for f in factors[1:3]) and factors[3:] in ((), (factors[0],)):
        name = _FACTORS_TO_SUBSAMPLING.get(factors[0])
        if name is not None:
            return name
    if len(set(factors)) == 1:
        return "4:4:4"
    return ",".join(f"{h}x{v}" for h, v in factors)


def _header(struct: Any) -> Header:
    count = min(struct.num_components, 4)
    factors = tuple((struct.h_samp_factor[i], struct.v_samp_factor[i]) for i in range(count))
    unit = {0: "none", 1: "inch", 2: "cm"}.get(struct.density_unit, "none")
    return Header(
        width=struct.width,
        height=struct.height,
        num_components=struct.num_components,
        color_space=_COLOR_SPACE_NAMES.get(struct.color_space),
        precision=struct.precision,
        subsampling=subsampling_name(factors),
        sampling_factors=factors,
        progressive=bool(struct.progressive),
        arithmetic=bool(struct.arithmetic),
        lossless=bool(struct.lossless),
        restart_interval=struct.restart_interval,
        jfif_version=(struct.jfif_major, struct.jfif_minor) if struct.jfif else None,
        density=(struct.x_density, struct.y_density, unit) if struct.jfif else None,
        adobe_transform=struct.adobe_transform if struct.adobe else None,
    )


def _source(data: Buffer) -> Any:
    try:
        return ffi.from_buffer("unsigned char[]", data)
    except (TypeError, BufferError) as error:
        raise TypeError(f"a JPEG is bytes or a contiguous buffer of them, got {type(data).__name__}: {error}") from None


class _Decoder:
    """An open ``mzc_decoder``; closes with the ``with`` block."""

    def __init__(self, data: Buffer, options: Any) -> None:
        self.source = _source(data)
        self.header = ffi.new("mzc_header *")
        self.status = ffi.new("mzc_status *")
        self.handle = lib.mzc_decoder_open(self.source, len(self.source), options, self.header, self.status)
        if self.handle == ffi.NULL:
            raise error_of(self.status)

    def __enter__(self) -> "_Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        lib.mzc_decoder_close(self.handle)

    def read(self, array: NDArray[Any]) -> None:
        if lib.mzc_decoder_read(self.handle, address_of(array), array.strides[0], self.status):
            raise error_of(self.status)

    def allocate(self) -> NDArray[Any]:
        header = self.header
        shape: tuple[int, ...] = (header.output_height, header.output_width)
        if header.output_channels > 1:
            shape = (*shape, header.output_channels)
        return np.empty(shape, np.uint8 if header.precision == 8 else np.uint16)


def _options(pixel_format: str | None, on_truncated: str) -> Any:
    options = ffi.new("mzc_decode_options *")
    lib.mzc_default_decode_options(options)
    if pixel_format is not None:
        options.pixel_format = choice("pixel_format", pixel_format, PIXEL_FORMATS)[0]
    options.tolerate_damage = choice("on_truncated", on_truncated, ON_TRUNCATED)
    options.max_pixels, options.max_memory, options.max_scans = MAX_PIXELS, MAX_MEMORY, MAX_SCANS
    return options


def decode(
    data: Buffer,
    pixel_format: str | None = "rgb",
    *,
    on_truncated: Literal["error", "warn", "ok"] = "error",
) -> NDArray[Any]:
    """Return the pixels of a JPEG, as djpeg gives them: uint8 (H, W, 3), or (H, W) for ``pixel_format="gray"``.

    *pixel_format*: "rgb", "bgr", "rgba", "bgra", "argb", "abgr" (alpha 255), "gray", "ycbcr", "cmyk", or None for the
    file's own: gray, RGB or CMYK.

    A stream that is cut off or corrupt raises :class:`mozcodec.DamagedError`; ``on_truncated="warn"`` or ``"ok"``
    returns what could be decoded, with or without a :class:`mozcodec.JpegWarning`.
    """
    with _Decoder(data, _options(pixel_format, on_truncated)) as decoder:
        pixels = decoder.allocate()
        decoder.read(pixels)
        if decoder.status.num_warnings and on_truncated == "warn":
            warnings.warn(ffi.string(decoder.status.warning).decode("latin-1"), JpegWarning, stacklevel=2)
    return pixels


def read_header(data: Buffer) -> Header:
    """Return what a JPEG says about itself, without decoding it; the pixel limits do not apply."""
    options = _options(None, "error")
    options.max_pixels = 0
    with _Decoder(data, options) as decoder:
        return _header(decoder.header)
