"""A plugin of pytest that puts mozcodec in the place of Pillow's JPEG decoder and encoder; see peer_suites.py.

Pillow's own Python still reads and writes headers, metadata and the index of MPO files. With ``MOZCODEC_PEER_OPTIMIZE``
set, each MPO file goes through :func:`mozcodec.optimize` before Pillow opens it.
"""

# ruff: noqa: ARG002  (the signatures are those of the library)

import io
import os
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageFile, MpoImagePlugin

import mozcodec

FORMATS = {"L": "gray", "RGB": "rgb", "RGBX": "rgb", "YCbCr": "ycbcr", "CMYK": "cmyk", "CMYK;I": "cmyk"}


class Decoder(ImageFile.PyDecoder):
    _pulls_fd = True

    def decode(self, buffer: Any) -> tuple[int, int]:
        rawmode, _, *config = self.args
        data = self.fd.read()
        tolerant = ImageFile.LOAD_TRUNCATED_IMAGES
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", mozcodec.JpegWarning)
                pixels = mozcodec.decode(
                    data,
                    FORMATS[rawmode],
                    scale=8 // config[0] if config else 8,
                    on_truncated="ok" if tolerant else "error",
                )
        except mozcodec.DamagedError as error:
            raise OSError(f"image file is truncated: {error}") from error
        except mozcodec.JpegError as error:
            raise OSError(str(error)) from error
        self.set_as_raw(np.ascontiguousarray(pixels).tobytes(), rawmode)
        return -1, 0


def _options(config: tuple[Any, ...]) -> dict[str, Any]:
    quality, progressive, smooth, optimize, keep_rgb, _, dpi, subsampling, blocks, rows, tables, *_ = config
    options: dict[str, Any] = {"profile": "fastest", "quant_table": 0, "quant_baseline": True}
    options["quality"] = 75 if quality < 0 else min(max(quality, 1), 100)
    if tables is not None:
        options["quant_tables"] = [np.reshape(table, (8, 8)) for table in tables]
        if quality < 0:
            options |= {"quality": None, "quant_baseline": False}
    if progressive:
        options["progressive"] = True
    if optimize:
        options["optimize_coding"] = True
    if smooth:
        options["smoothing_factor"] = smooth
    if blocks:
        options["restart_interval"] = blocks
    if rows:
        options["restart_rows"] = rows
    if keep_rgb:
        options["color_space"] = "rgb"
        if subsampling > 0:
            raise OSError("RGB is not subsampled")
    elif 0 <= subsampling < 3:
        options["subsampling"] = ("4:4:4", "4:2:2", "4:2:0")[subsampling]
    else:
        options["subsampling"] = "4:2:0"
    if any(dpi):
        options |= {"density": (*dpi, "inch"), "jfif": True}
    return options


class Encoder(ImageFile.PyEncoder):
    _pushes_fd = True

    def encode_to_pyfd(self) -> tuple[int, int]:
        rawmode, *config = self.args
        streamtype, (comment, extra, exif) = config[5], config[11:14]
        if streamtype:
            raise OSError("mozcodec writes no streams without tables, or of tables only")
        options, name = _options(tuple(config)), FORMATS[rawmode]
        if name in ("gray", "cmyk"):
            options.pop("subsampling", None)
            options.pop("color_space", None)
        image = Image.frombytes(self.mode, self.im.size, Image.Image()._new(self.im).tobytes())
        if "quant_tables" in options:  # the last table is that of the components after it
            last = len(options["quant_tables"]) - 1
            options["quant_slots"] = [min(i, last) for i in range(len(image.getbands()))]
        pixels = np.asarray(image.convert("L") if self.mode == "1" else image)
        pixels = pixels[..., :3] if self.mode == "RGBX" else pixels
        pixels = 255 - pixels if rawmode == "CMYK;I" else pixels
        data = mozcodec.encode(np.ascontiguousarray(pixels), pixel_format=name, **options)
        self.fd.write(_with_segments(data, exif, extra, comment))
        return 0, 0


def _with_segments(data: bytes, exif: bytes, extra: bytes, comment: bytes | None) -> bytes:
    """Insert segments behind JFIF's where Pillow has them: EXIF, segments as they are, a comment."""
    end = 2 + (2 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 0)
    before = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif if exif else b""
    data = data[:end] + before + extra + data[end:]
    return mozcodec.edit_metadata(data, comment=comment) if comment else data


Image.register_decoder("jpeg", Decoder)
Image.register_encoder("jpeg", Encoder)


if os.environ.get("MOZCODEC_PEER_OPTIMIZE"):
    _open = MpoImagePlugin.MpoImageFile._open

    def _open_optimized(self: Any) -> None:
        data = self.fp.read()
        try:
            self.fp = io.BytesIO(mozcodec.optimize(data))
        except mozcodec.JpegError:
            self.fp = io.BytesIO(data)
        _open(self)

    MpoImagePlugin.MpoImageFile._open = _open_optimized  # type: ignore[method-assign]
