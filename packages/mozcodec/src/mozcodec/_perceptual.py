"""The perceptual mode: the smallest JPEG at a distance from the original."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._engine import CPU
from ._errors import LimitError, OutOfMemoryError, error_of
from ._inputs import picture_of
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
"""subsampling="auto" is 4:4:4 below this distance (SSIMULACRA2 about 88), 4:2:0 from there on ..."""
FULL_CHROMA_ABOVE = 6.0
"""... unless 2 x 2 means remove more than this from Cb and Cr (root mean square, levels of 0..255): docs/results.md."""
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
    """Luma samples for each of chroma, across and down; None is the rule by distance and image."""
    linear: int
    coding: Any
    """The options of markers, as ``mzc_encode_options *``."""

    def factors(self, image: Any) -> tuple[int, int]:
        """Return the luma sampling factors of *image*, a ``mzc_image *``."""
        if self.sampling is not None:
            return self.sampling
        return (1, 1) if self.distance < FULL_CHROMA_BELOW or has_fine_chroma(image) else (2, 2)


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
        raise ValueError("subsampling='gray' cannot be combined with distance: pass gray pixels")
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
                f"{name} cannot be combined with distance, which chooses the coding itself; allowed: "
                f"{', '.join(sorted(_TAKEN - {'distance'}))}"
            )
    if options.get("engine", "auto") == "library":
        raise ValueError("engine='library' cannot be combined with distance: mozjpeg has no perceptual mode")
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
    if not isinstance(image, np.ndarray):
        image, pixel_format = picture_of(image, pixel_format)
    if pixel_format in _NOT_PIXELS:  # Pillow's images bring their format
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


def has_fine_chroma(image: Any) -> bool:
    """Return whether 4:2:0 would remove so much of the chroma of a ``mzc_image *`` that 4:4:4 is smaller."""
    mean_square = ffi.new("double *")
    if lib.mzc_chroma_detail(image, CPU, mean_square):
        raise OutOfMemoryError("no memory for two rows of the image")
    return bool(mean_square[0] > FULL_CHROMA_ABOVE**2)


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
    perceptual.h, perceptual.v = settings.factors(struct)
    status = ffi.new("mzc_status *")
    failed = lib.mzc_perceptual_encode(
        struct, perceptual, settings.coding, markers[0], len(markers[1]), engine, CPU, buffer, status
    )
    del alive
    if failed:
        raise error_of(status)
    return status


# ---- targets --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EncodedAtDistance:
    """The file of the perceptual mode that reaches a target."""

    data: bytes
    distance: float
    subsampling: str
    """"4:2:0", "4:4:4" or the requested one; "gray" for gray images."""
    value: float
    """What the file has: its SSIMULACRA2 or its bytes."""
    num_encodings: int
    """How many files the search made."""


@dataclass(frozen=True, slots=True)
class _Try:
    u: float
    excess: float
    """By how much the target is exceeded, in units in which it grows evenly with u; negative: missed."""
    data: bytes
    settings: PerceptualSettings
    value: float


class _Search:
    """Finds a point in low..high where a nearly increasing function is at or just above 0."""

    def __init__(self, low: float, high: float, slope: float, tolerance: float) -> None:
        self.low, self.high, self.slope, self.tolerance = low, high, slope, tolerance

    def run(self, attempt: Callable[[float], _Try], start: float, is_hopeless: Callable[[_Try], bool]) -> list[_Try]:
        """Return all tries: secants until both sides are known, then regula falsi (Illinois)."""
        tries: list[_Try] = []
        below: tuple[float, float] | None = None  # place and excess
        above: tuple[float, float] | None = None
        u = min(max(start, self.low), self.high)
        while len(tries) < _MOST_TRIES:
            last = attempt(u)
            tries.append(last)
            if 0 <= last.excess <= self.tolerance or is_hopeless(last):
                return tries
            again = len(tries) > 1 and (last.excess < 0) == (tries[-2].excess < 0)
            if last.excess < 0:
                below = u, last.excess
                above = (above[0], above[1] / 2) if above is not None and again else above
            else:
                above = u, last.excess
                below = (below[0], below[1] / 2) if below is not None and again else below
            if below is not None and above is not None:
                if abs(above[0] - below[0]) < _FINEST_STEP:
                    break
                part = (self.tolerance / 2 - below[1]) / (above[1] - below[1])
                following = below[0] + min(max(part, 0.1), 0.9) * (above[0] - below[0])
            else:
                following = u + (self.tolerance / 2 - last.excess) / self._slope(tries)
                following = min(max(following, self.low), self.high)
                if following == u:
                    break  # at an end of the range
            u = following
        if all(one.excess < 0 and one.u < self.high for one in tries):
            tries.append(attempt(self.high))
        return tries

    def _slope(self, tries: list[_Try]) -> float:
        if len(tries) < 2 or tries[-1].u == tries[-2].u:
            return self.slope
        seen = (tries[-1].excess - tries[-2].excess) / (tries[-1].u - tries[-2].u)
        return min(max(seen, self.slope / 3), 3 * self.slope)


_MOST_TRIES = 10
_FINEST_STEP = 0.01
"""Of log distance: table entries are integers, so scores move in steps."""
_BOTH_SAMPLINGS_BELOW = 1.2
_LOWEST_420 = 0.5
"""With subsampling="auto", 4:4:4 is tried too where 4:2:0 ends below the first distance; below the second, instead."""
_TYPICAL = (
    *((-1e4, 1e9), (-100.0, 400.0), (40.0, 14.0), (60.0, 5.5), (70.0, 3.2), (80.0, 1.8), (88.0, 0.9), (93.0, 0.35)),
    (100.0, 0.02),
)
"""Distances where typical photographs have these scores, extrapolated at both ends."""
_SCORE_TOLERANCE, _BYTES_TOLERANCE = 0.15, 0.005
_LOG_BYTES_PER_POINT = 0.05
"""About how log bytes grow with the score."""
_NOT_WORTH_A_SEARCH = 0.015


def _typical_distance(score: float) -> float:
    scores, distances = zip(*_TYPICAL, strict=True)
    return math.exp(float(np.interp(score, scores, np.log(distances))))


class _Target:
    """One image, and the files that are tried for a target."""

    def __init__(self, image: ArrayLike, pixel_format: str | None, settings: PerceptualSettings, engine: Any) -> None:
        self.image, self.pixel_format, self.settings, self.engine = image, pixel_format, settings, engine
        self.struct, self._alive = describe_samples(image, pixel_format, settings.linear)
        self.is_gray = bool(self.struct.pixel_format == lib.MZC_GRAY)
        self.num_encodings = 0

    def encode(self, distance: float, sampling: tuple[int, int] | None) -> tuple[bytes, PerceptualSettings]:
        short = float(f"{distance:.6g}")  # rounded, so that the printed distance gives the same file
        settings = replace(self.settings, distance=min(max(short, SMALLEST_DISTANCE), LARGEST_DISTANCE))
        if sampling is not None:
            settings = replace(settings, sampling=sampling)
        buffer = ffi.new("mzc_buffer *")
        encode_perceptually(self.image, self.pixel_format, settings, (ffi.NULL, []), self.engine, buffer)
        self.num_encodings += 1
        try:
            return ffi.buffer(buffer.data, buffer.size)[:], settings
        finally:
            lib.mzc_free(buffer.data)

    def score(self, data: bytes) -> float:
        """Return the SSIMULACRA2 of what a decoder makes of *data*."""
        from ._decode import decode

        pixels = decode(data, "gray" if self.is_gray else "rgb")
        decoded, alive = describe_samples(pixels, None, 0)
        values = ffi.new("double[2]")
        if lib.mzc_ssimulacra2(self.struct, decoded, CPU, values, values + 1, ffi.NULL):
            raise OutOfMemoryError("no memory for SSIMULACRA2")
        del alive
        return float(values[0])

    def result(self, found: _Try) -> EncodedAtDistance:
        name = {(1, 1): "4:4:4", (2, 2): "4:2:0", (2, 1): "4:2:2", (1, 2): "4:4:0"}[found.settings.factors(self.struct)]
        return EncodedAtDistance(
            found.data, found.settings.distance, "gray" if self.is_gray else name, found.value, self.num_encodings
        )


def _tries_for_score(
    target: _Target,
    score: float,
    sampling: tuple[int, int] | None,
    lowest: float,
    start: float,
    smallest: _Try | None = None,
) -> list[_Try]:
    """Search at one subsampling; *smallest* is what has been found elsewhere.

    On the scale of the distance where a typical image has the same score, scores grow almost evenly.
    """
    wanted = _typical_distance(score)

    def attempt(u: float) -> _Try:
        data, settings = target.encode(math.exp(-u), sampling)
        value = target.score(data)
        excess = math.log(wanted / _typical_distance(value)) if value != score else 0.0
        return _Try(u, excess, data, settings, value)

    def is_hopeless(one: _Try) -> bool:
        if smallest is None:
            return False
        expected = math.log(len(one.data)) - _LOG_BYTES_PER_POINT * (one.value - score)
        return expected > math.log(len(smallest.data)) + _NOT_WORTH_A_SEARCH

    tolerance = math.log(wanted / _typical_distance(score + _SCORE_TOLERANCE))
    search = _Search(-math.log(LARGEST_DISTANCE), -math.log(lowest), slope=1, tolerance=tolerance)
    return search.run(attempt, -math.log(start), is_hopeless)


def _smallest(tries: Sequence[_Try]) -> _Try | None:
    return min((one for one in tries if one.excess >= 0), key=lambda one: len(one.data), default=None)


def encode_to_score(
    image: ArrayLike, pixel_format: str | None, settings: PerceptualSettings, engine: Any, score: float
) -> EncodedAtDistance:
    """Return the smallest file found that has at least this SSIMULACRA2."""
    target = _Target(image, pixel_format, settings, engine)
    if min(target.struct.width, target.struct.height) < 8:
        raise ValueError("SSIMULACRA2 needs at least 8 x 8 pixels; give a distance")
    start = _typical_distance(score)
    sampling = (1, 1) if settings.sampling is None and has_fine_chroma(target.struct) else settings.sampling
    if sampling is not None or target.is_gray:
        tries = _tries_for_score(target, score, sampling, SMALLEST_DISTANCE, start)
    else:
        tries = _tries_for_score(target, score, (2, 2), _LOWEST_420, start) if start >= _LOWEST_420 else []
        found = _smallest(tries)
        if found is None or found.settings.distance < _BOTH_SAMPLINGS_BELOW:
            start = found.settings.distance if found is not None else min(start, _LOWEST_420)
            tries += _tries_for_score(target, score, (1, 1), SMALLEST_DISTANCE, start, found)
    found = _smallest(tries)
    if found is None:
        best = max(tries, key=lambda one: one.value)
        raise LimitError(
            f"no distance reaches ssimulacra2={score:g}: the best file, at distance {best.settings.distance:g}, has "
            f"{best.value:.2f}"
        )
    return target.result(found)


def encode_to_bytes(
    image: ArrayLike, pixel_format: str | None, settings: PerceptualSettings, engine: Any, most: int
) -> EncodedAtDistance:
    """Return the file of the smallest distance found whose bytes do not exceed *most*."""
    target = _Target(image, pixel_format, settings, engine)

    def attempt(u: float) -> _Try:
        data, used = target.encode(math.exp(u), None)
        return _Try(u, math.log(most / len(data)), data, used, float(len(data)))

    search = _Search(math.log(SMALLEST_DISTANCE), math.log(LARGEST_DISTANCE), slope=0.75, tolerance=_BYTES_TOLERANCE)
    pixels = int(target.struct.width) * int(target.struct.height)
    tries = search.run(attempt, math.log(1.5 * pixels / (6 * most)), lambda _: False)
    fitting = [one for one in tries if one.excess >= 0]
    if not fitting:
        last = min(tries, key=lambda one: len(one.data))
        raise LimitError(
            f"no distance reaches bytes={most}: distance {last.settings.distance:g} has {len(last.data)} bytes"
        )
    return target.result(min(fitting, key=lambda one: one.settings.distance))
