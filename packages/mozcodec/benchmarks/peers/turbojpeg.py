"""PyTurboJPEG's interface by mozcodec, for PyTurboJPEG's own tests; see peer_suites.py."""

# ruff: noqa: ARG002  (the signatures are those of the library)

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mozcodec

TJCS_RGB, TJCS_YCbCr, TJCS_GRAY, TJCS_CMYK, TJCS_YCCK = range(5)
(TJPF_RGB, TJPF_BGR, TJPF_RGBX, TJPF_BGRX, TJPF_XBGR, TJPF_XRGB,
 TJPF_GRAY, TJPF_RGBA, TJPF_BGRA, TJPF_ABGR, TJPF_ARGB, TJPF_CMYK) = range(12)  # fmt: skip
TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_GRAY, TJSAMP_440, TJSAMP_411, TJSAMP_441 = range(7)
TJPRECISION_8, TJPRECISION_12, TJPRECISION_16 = 8, 12, 16
TJFLAG_BOTTOMUP, TJFLAG_FASTUPSAMPLE, TJFLAG_FASTDCT = 2, 256, 2048
TJFLAG_STOPONWARNING, TJFLAG_PROGRESSIVE = 8192, 16384
TJPARAM_SAVEMARKERS = 25

FORMATS = ("rgb", "bgr", "rgbx", "bgrx", "xbgr", "xrgb", "gray", "rgba", "bgra", "abgr", "argb", "cmyk")
SUBSAMPLING = ("4:4:4", "4:2:2", "4:2:0", "gray", "4:4:0", "4:1:1", "4:4:1")
COLOR_SPACES = ("rgb", "ycbcr", "gray", "cmyk", "ycck")


def _options(quality: int | None, subsampling: int, flags: int, lossless: bool) -> dict[str, Any]:
    if lossless:
        return {"quality": None, "lossless": 1}
    options: dict[str, Any] = {"quality": quality, "profile": "fastest"}
    if flags & TJFLAG_PROGRESSIVE:
        options["progressive"] = True
    if flags & TJFLAG_FASTDCT:
        options["dct_method"] = "ifast"
    if subsampling == TJSAMP_GRAY:
        return options | {"color_space": "gray"}
    return options | {"subsampling": SUBSAMPLING[subsampling]}


class TurboJPEG:
    scaling_factors = frozenset((k // math.gcd(k, 8), 8 // math.gcd(k, 8)) for k in range(1, 17))

    def __init__(self, lib_path: str | None = None) -> None:
        if lib_path is not None:
            raise OSError(f"there is no library to load: {lib_path}")

    def _scale(self, factor: tuple[int, int] | None) -> int:
        if factor is not None and factor not in self.scaling_factors:
            raise ValueError(f"supported scaling factors are {self.scaling_factors}")
        return 8 if factor is None else factor[0] * 8 // factor[1]

    @staticmethod
    def _header(data: bytes) -> mozcodec.Header:
        try:
            return mozcodec.read_header(data)
        except mozcodec.JpegError as error:
            raise OSError(str(error)) from error

    def decode_header(self, jpeg_buf: bytes, return_precision: bool = False) -> tuple[int, ...]:
        header = self._header(jpeg_buf)
        subsampling, color_space = SUBSAMPLING.index(header.subsampling), COLOR_SPACES.index(str(header.color_space))
        values = header.width, header.height, subsampling, color_space
        return (*values, header.precision) if return_precision else values

    def get_icc_profile(self, jpeg_buf: bytes) -> bytes | None:
        return self._header(jpeg_buf).metadata.icc_profile

    def _decode(self, data: bytes, pixel_format: str, scale: int, flags: int, out: Any = None) -> Any:
        options: dict[str, Any] = {} if scale == 8 else {"scale": scale}
        options["on_truncated"] = "error" if flags & TJFLAG_STOPONWARNING else "warn"
        options["fancy_upsampling"] = not flags & TJFLAG_FASTUPSAMPLE
        options["dct_method"] = "ifast" if flags & TJFLAG_FASTDCT else "islow"
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                pixels = mozcodec.decode(data, pixel_format, out=out, **options)
        except mozcodec.JpegError as error:
            raise OSError(str(error)) from error
        for warning in caught:
            warnings.warn(str(warning.message), stacklevel=3)
        return pixels

    def decode(
        self, jpeg_buf: bytes, pixel_format: int = TJPF_BGR, scaling_factor: Any = None, flags: int = 0, dst: Any = None
    ) -> NDArray[Any]:
        name, scale = FORMATS[pixel_format], self._scale(scaling_factor)
        if dst is not None and flags & TJFLAG_BOTTOMUP == 0 and dst.ndim == 3 and name != "gray":
            height, width = (math.ceil(size * scale / 8) for size in self._header(jpeg_buf).shape)
            if dst.dtype == np.uint8 and dst.shape == (height, width, dst.shape[2]):
                return self._decode(jpeg_buf, name, scale, flags, dst)
        pixels = np.atleast_3d(self._decode(jpeg_buf, name, scale, flags))
        return pixels[::-1].copy() if flags & TJFLAG_BOTTOMUP else pixels

    def _decode_deep(self, data: bytes, bits: int, pixel_format: int, factor: Any, flags: int) -> NDArray[np.uint16]:
        if self._header(data).precision != bits:
            raise OSError(f"the file does not have {bits} bits a sample")
        return np.atleast_3d(self._decode(data, FORMATS[pixel_format], self._scale(factor), flags))

    def decode_12bit(
        self, jpeg_buf: bytes, pixel_format: int = TJPF_BGR, scaling_factor: Any = None, flags: int = 0
    ) -> NDArray[np.uint16]:
        return self._decode_deep(jpeg_buf, 12, pixel_format, scaling_factor, flags)

    def decode_16bit(
        self, jpeg_buf: bytes, pixel_format: int = TJPF_BGR, scaling_factor: Any = None, flags: int = 0
    ) -> NDArray[np.uint16]:
        return self._decode_deep(jpeg_buf, 16, pixel_format, scaling_factor, flags)

    def decode_to_yuv_planes(
        self, jpeg_buf: bytes, scaling_factor: Any = None, strides: tuple[int, ...] = (0, 0, 0), flags: int = 0
    ) -> list[NDArray[np.uint8]]:
        scale = self._scale(scaling_factor)
        if scale == 8:
            planes = list(self._decode(jpeg_buf, "planes", 8, flags))
        else:  # mozcodec does not scale planes: those of the scaled image
            header = self._header(jpeg_buf)
            pixels = self._decode(jpeg_buf, "ycbcr", scale, flags)
            planes = list(mozcodec.decode(mozcodec.encode(
                pixels, None, pixel_format="ycbcr", quant_tables=[np.ones((8, 8), int)] * 2, trellis_quant=False,
                subsampling=header.subsampling), "planes"))  # fmt: skip
        padded = []
        for plane, stride in zip(planes, strides, strict=False):
            wide = np.zeros((plane.shape[0], max(stride, plane.shape[1])), np.uint8)
            wide[:, : plane.shape[1]] = plane
            padded.append(wide)
        return padded

    def decode_to_yuv(
        self, jpeg_buf: bytes, scaling_factor: Any = None, pad: int = 4, flags: int = 0
    ) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
        planes = self.decode_to_yuv_planes(jpeg_buf, scaling_factor, flags=flags)
        rows = [np.pad(p, ((0, 0), (0, -p.shape[1] % pad))).ravel() for p in planes]
        return np.concatenate(rows), [p.shape for p in planes]

    def encode(
        self,
        img_array: NDArray[Any],
        quality: int = 85,
        pixel_format: int = TJPF_BGR,
        jpeg_subsample: int = TJSAMP_422,
        flags: int = 0,
        dst: Any = None,
        lossless: bool = False,
        icc_profile: bytes | None = None,
    ) -> Any:
        options = _options(quality, jpeg_subsample, flags, lossless)
        if pixel_format == TJPF_GRAY:
            options.pop("subsampling", None)
        if lossless and len(FORMATS[pixel_format]) == 4:
            img_array, pixel_format = self._three(img_array, pixel_format)
        image = img_array[::-1] if flags & TJFLAG_BOTTOMUP else img_array
        arguments = {"pixel_format": FORMATS[pixel_format], "icc_profile": icc_profile} | options
        if dst is None:
            return mozcodec.encode(image, **arguments)
        try:
            return dst, len(mozcodec.encode(image, out=dst, **arguments))
        except mozcodec.LimitError:
            data = mozcodec.encode(image, **arguments)
            return data, len(data)

    @staticmethod
    def _three(image: NDArray[Any], pixel_format: int) -> tuple[NDArray[Any], int]:
        """Return the colours of pixels with a fourth channel."""
        if FORMATS[pixel_format] in ("gray", "cmyk"):
            return image, pixel_format
        name = FORMATS[pixel_format]
        return np.ascontiguousarray(image[..., [name.index(c) for c in "rgb"]]), TJPF_RGB

    def encode_12bit(
        self,
        img_array: NDArray[np.uint16],
        quality: int = 85,
        pixel_format: int = TJPF_BGR,
        jpeg_subsample: int = TJSAMP_422,
        flags: int = 0,
        lossless: bool = False,
    ) -> bytes:
        if img_array.dtype != np.uint16:
            raise ValueError("encode_12bit() requires uint16 array")
        options = _options(quality, jpeg_subsample, flags, lossless)
        img_array, pixel_format = self._three(img_array, pixel_format)
        if pixel_format == TJPF_GRAY:
            options.pop("subsampling", None)
        return mozcodec.encode(img_array, pixel_format=FORMATS[pixel_format], precision=12, **options)

    def encode_16bit(self, img_array: NDArray[np.uint16], pixel_format: int = TJPF_BGR, flags: int = 0) -> bytes:
        if img_array.dtype != np.uint16:
            raise ValueError("encode_16bit() requires uint16 array")
        img_array, pixel_format = self._three(img_array, pixel_format)
        return mozcodec.encode(img_array, None, pixel_format=FORMATS[pixel_format], precision=16, lossless=1)

    def encode_from_yuv(
        self,
        img_array: NDArray[np.uint8],
        height: int,
        width: int,
        quality: int = 85,
        jpeg_subsample: int = TJSAMP_420,
        flags: int = 0,
    ) -> bytes:
        h, v = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2), "4:4:0": (1, 2), "4:1:1": (4, 1), "4:4:1": (1, 4),
                "gray": (0, 0)}[SUBSAMPLING[jpeg_subsample]]  # fmt: skip
        shapes = [(height, width)] + ([(-(-height // v), -(-width // h))] * 2 if h else [])
        flat, planes = np.asarray(img_array, np.uint8).ravel(), []
        for rows, columns in shapes:
            stride = columns + -columns % 4
            planes.append(flat[: rows * stride].reshape(rows, stride)[:, :columns])
            flat = flat[rows * stride :]
        return mozcodec.encode(planes, quality, pixel_format="planes", profile="fastest")

    def scale_with_quality(
        self, jpeg_buf: bytes, scaling_factor: Any = None, quality: int = 85, flags: int = 0
    ) -> bytes:
        planes = self.decode_to_yuv_planes(jpeg_buf, scaling_factor)
        return mozcodec.encode(planes, quality, pixel_format="planes", profile="fastest")

    def crop(
        self, jpeg_buf: bytes, x: int, y: int, w: int, h: int, preserve: bool = False, gray: bool = False,
        copynone: bool = False,
    ) -> bytes:  # fmt: skip
        header = self._header(jpeg_buf)
        mcu = [8 * max(f[i] for f in header.sampling_factors) if header.num_components > 1 else 8 for i in (0, 1)]
        x, w = self._fitted(x, w, header.width, mcu[0], preserve)
        y, h = self._fitted(y, h, header.height, mcu[1], preserve)
        return self._crop(jpeg_buf, (x, y, x + w, y + h), gray, copynone)

    @staticmethod
    def _fitted(start: int, size: int, limit: int, mcu: int, preserve: bool) -> tuple[int, int]:
        """Move the start of a region to an MCU, inwards if *preserve*, else outwards; PyTurboJPEG's rule."""
        if preserve:
            inner = math.ceil(start / mcu) * mcu
            return inner, min(size - (inner - start), limit - inner)
        whole = limit - limit % mcu
        outer = min(start - start % mcu, whole)
        return outer, min(size + start % mcu, whole - outer)

    def _crop(self, data: bytes, region: tuple[int, int, int, int], gray: bool, copynone: bool) -> bytes:
        try:
            return mozcodec.transform(
                data, crop=region, grayscale=gray, copy="none" if copynone else "all", profile="fastest"
            )
        except (mozcodec.JpegError, ValueError) as error:
            raise OSError(str(error)) from error

    def crop_multiple(
        self, jpeg_buf: bytes, crop_parameters: Any, background_luminance: float = 1.0, gray: bool = False,
        copynone: bool = False,
    ) -> list[bytes]:  # fmt: skip
        header = self._header(jpeg_buf)
        results = []
        for x, y, w, h in crop_parameters:
            data = self._crop(jpeg_buf, (x, y, x + w, y + h), gray, copynone)
            if (x + w > header.width or y + h > header.height) and background_luminance != 0.5:
                data = self._filled(data, header.width, header.height, background_luminance)
            results.append(data)
        return results

    @staticmethod
    def _filled(data: bytes, width: int, height: int, luminance: float) -> bytes:
        """Return the image with the blocks outside the original in a gray."""
        coefficients = mozcodec.read_coefficients(data)
        luma = coefficients.components[0].copy()
        level = round((min(max(luminance, 0), 1) * 2047 - 1024) / int(coefficients.quant_tables[0][0, 0]))
        luma[:, width // 8 :, 0, 0] = level
        luma[height // 8 :, :, 0, 0] = level
        changed = dataclasses.replace(coefficients, components=(luma, *coefficients.components[1:]))
        return mozcodec.write_coefficients(
            changed, metadata=mozcodec.read_header(data).metadata, profile="fastest"
        )

    def buffer_size(self, img_array: NDArray[Any], jpeg_subsample: int = TJSAMP_422) -> int:
        """Return TurboJPEG's bound of a file's size: two bytes a sample of whole MCUs."""
        height, width = img_array.shape[:2]
        h, v = {TJSAMP_422: (2, 1), TJSAMP_420: (2, 2), TJSAMP_440: (1, 2), TJSAMP_411: (4, 1)}.get(
            jpeg_subsample, (1, 1)
        )
        pixels = (width + -width % (8 * h)) * (height + -height % (8 * v))
        chroma = 0 if jpeg_subsample == TJSAMP_GRAY else 4 / (h * v)
        return int(pixels * (2 + chroma)) + 2048
