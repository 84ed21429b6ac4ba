"""The perceptual mode: the smallest JPEG at a distance from the original."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._engine import CPU
from ._errors import error_of
from ._mozjpeg import ffi, lib
from ._options import (
    PERCEPTUAL,
    SMALLEST_DISTANCE,
    DefaultQuality,
    choice,
    encode_options,
    integer,
    real,
    sampling_factors,
)
from ._pixels import address_of, check_size, code_of, with_packed_pixels

LARGEST_DISTANCE = 25.0
FULL_CHROMA_BELOW = 0.6
"""subsampling="auto" is 4:4:4 below this distance (SSIMULACRA2 about 88), 4:2:0 from there on."""
_TAKEN = frozenset((*PERCEPTUAL, "subsampling", "jfif", "density", "engine"))
_NOT_PIXELS = {
    "planes": "planes have been rounded to 8 bits and downsampled already",
    "ycbcr": "YCbCr samples have been rounded to 8 bits already",
    "cmyk": "there is no perceptual model of CMYK",
    "ycck": "there is no perceptual model of CMYK",
}
_TRANSFERS = {"srgb": 0, "linear": 1}


@dataclass(frozen=True, slots=True)
class PerceptualSettings:
    """The options of the mode, checked."""

    distance: float
    effort: int
    sampling: tuple[int, int] | None
    """Luma samples for each of chroma, across and down; None is the rule by distance."""
    linear: int
    coding: Any
    """The options of markers, as ``mzc_encode_options *``."""

    def factors(self) -> tuple[int, int]:
        """Return the luma sampling factors."""
        if self.sampling is not None:
            return self.sampling
        return (1, 1) if self.distance < FULL_CHROMA_BELOW else (2, 2)


def check_distance(value: object) -> float:
    """Return *value* as a distance."""
    distance = real("distance", value)
    if not SMALLEST_DISTANCE <= distance <= LARGEST_DISTANCE:
        raise ValueError(f"distance must be {SMALLEST_DISTANCE}..{LARGEST_DISTANCE:g}, got {distance:g}")
    return distance


def _sampling(value: object) -> tuple[int, int] | None:
    if value is None or value == "auto":
        return None
    if value == "gray":
        raise ValueError("subsampling='gray' cannot go with distance: pass gray pixels")
    (h, v), *rest = sampling_factors(value)
    if not (h <= 2 and v <= 2 and all(pair == (1, 1) for pair in rest) and len(rest) in (0, 2)):
        raise ValueError(f"subsampling must be auto, 4:4:4, 4:2:0, 4:2:2 or 4:4:0 with distance, got {value!r}")
    return h, v


def perceptual_settings(quality: object, options: Mapping[str, Any]) -> PerceptualSettings:
    """Return the checked form of *options*, which have a distance."""
    if not isinstance(quality, DefaultQuality):
        raise ValueError(f"give quality or distance, not both; got {quality} and {options['distance']}")
    for name in options:
        if name not in _TAKEN:
            raise ValueError(
                f"{name} cannot go with distance, which decides over the coding itself; it goes with "
                f"{', '.join(sorted(_TAKEN - {'distance'}))}"
            )
    if options.get("engine", "auto") == "library":
        raise ValueError("engine='library' cannot go with distance: mozjpeg has no perceptual mode")
    return PerceptualSettings(
        distance=check_distance(options["distance"]),
        effort=integer("effort", options.get("effort", 1), 0, 2),
        sampling=_sampling(options.get("subsampling")),
        linear=choice("transfer", options.get("transfer", "srgb"), _TRANSFERS),
        coding=encode_options(None, {name: options[name] for name in ("jfif", "density", "engine") if name in options}),
    )


def _as_samples(image: ArrayLike) -> tuple[NDArray[Any], int]:
    """Return the pixels as uint8, uint16 or float32, and the bits of a sample."""
    array = np.asarray(image)
    if array.dtype.kind == "f":
        array = np.asarray(array, np.float32)
        if array.size and not (np.min(array) >= 0 and np.max(array) <= 1):  # not a number fails too
            raise ValueError("floating-point pixels must be 0..1 and finite; clip them")
        return array, 32
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    bits = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}.get(array.dtype)
    if bits is None:
        raise TypeError(f"pixels must be uint8, uint16 or floating-point, got {array.dtype}")
    return array, bits


def describe_samples(
    image: ArrayLike | Sequence[ArrayLike], pixel_format: str | None, linear: int
) -> tuple[Any, NDArray[Any]]:
    """Return pixels of any depth as ``mzc_image *`` and the array that must live as long as it is used."""
    if pixel_format in _NOT_PIXELS:
        raise ValueError(f"distance needs gray or RGB pixels, not {pixel_format!r}: {_NOT_PIXELS[pixel_format]}")
    array, bits = _as_samples(image)  # type: ignore[arg-type]
    if array.ndim not in (2, 3):
        raise ValueError(f"an image is an array (H, W) or (H, W, channels), got shape {array.shape}")
    struct = ffi.new("mzc_image *")
    struct.pixel_format = code_of(array.shape, pixel_format)
    check_size(array.shape[0], array.shape[1])
    array = with_packed_pixels(array)
    struct.pixels, struct.row_stride = ffi.cast("void *", address_of(array)), array.strides[0]
    struct.height, struct.width = array.shape[:2]
    struct.precision, struct.linear = bits, linear
    return struct, array


def encode_perceptually(
    image: ArrayLike | Sequence[ArrayLike],
    pixel_format: str | None,
    settings: PerceptualSettings,
    markers: tuple[Any, list[Any]],
    engine: Any,
    buffer: Any,
) -> Any:
    """Fill *buffer* with the file and return the status."""
    struct, alive = describe_samples(image, pixel_format, settings.linear)
    perceptual = ffi.new("mzc_perceptual_options *")
    perceptual.distance, perceptual.effort = settings.distance, settings.effort
    perceptual.h, perceptual.v = settings.factors()
    status = ffi.new("mzc_status *")
    failed = lib.mzc_perceptual_encode(
        struct, perceptual, settings.coding, markers[0], len(markers[1]), engine, CPU, buffer, status
    )
    del alive
    if failed:
        raise error_of(status)
    return status
