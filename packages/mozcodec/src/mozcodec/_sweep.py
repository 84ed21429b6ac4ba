"""Encode one image at many qualities and sizes, or at the quality that reaches a target."""

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Unpack, overload
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._decode import decode
from ._encode import PreparedPicture, encode
from ._engine import engine
from ._errors import LimitError
from ._fidelity import Picture, psnr, ssim
from ._inputs import Background, picture_of
from ._metadata import Metadata, segment_bytes, segments_told, with_segments
from ._options import DEFAULT_QUALITY, EncodeOptions, Quality, encode_options, integer, real
from ._parallel import num_threads, ordered_map
from ._perceptual import (
    EncodedAtDistance,
    check_distance,
    encode_to_bytes,
    encode_to_score,
    perceptual_settings,
)
from ._pixels import describe
from ._smartscale import ScaledPicture, check_scaled_options, smartscale_options

# ---- sweeps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One file of a sweep."""

    quality: Quality
    block_size: int
    """8 for ordinary JPEG, others for SmartScale streams."""
    dct_size: int
    """N of 8/N; the coded image is scaled by block_size / dct_size."""
    data: bytes
    distance: float | None = None
    """In a sweep over distances; *quality* is None then."""


def _sampling_class(quality: Quality, options: EncodeOptions) -> int:
    """Return a number that is equal for qualities with the same subsampling.

    rdswitch.c, set_quality_ratings: without -sample the last quality decides, from 80 on and from 90 on.
    """
    if options.get("subsampling") is not None or quality is None:
        return 0
    last = quality if isinstance(quality, int | float | np.integer | np.floating) else quality[-1]
    return 2 if last >= 90 else 1 if last >= 80 else 0


_sizes: "WeakSet[_Sizes]" = WeakSet()


def _after_fork_in_child() -> None:
    """Replace the locks: threads that may hold them are not in this process."""
    for sizes in list(_sizes):
        sizes._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Sizes:
    """One pair of sizes; the first thread that needs it calculates its coefficients, once for each subsampling."""

    def __init__(
        self, image: ArrayLike, options: EncodeOptions, pixel_format: str | None, block_size: int, dct_size: int
    ) -> None:
        self.image, self.pixel_format = image, pixel_format
        self.options = options if block_size == 8 else smartscale_options(options)
        self.block_size, self.dct_size = block_size, dct_size
        self._pictures: dict[int, PreparedPicture | ScaledPicture] = {}
        self._lock = threading.Lock()
        _sizes.add(self)

    def _picture(self, quality: Quality) -> PreparedPicture | ScaledPicture:
        sampling = _sampling_class(quality, self.options)
        with self._lock:
            if sampling not in self._pictures:
                self._pictures[sampling] = self._prepare(quality)
            return self._pictures[sampling]

    def _prepare(self, quality: Quality) -> PreparedPicture | ScaledPicture:
        if self.block_size == self.dct_size == 8:
            return PreparedPicture(self.image, quality, self.options, pixel_format=self.pixel_format)
        return ScaledPicture(
            self.image,
            quality,
            self.options,
            block_size=self.block_size,
            dct_size=self.dct_size,
            pixel_format=self.pixel_format,
        )

    def encode(self, quality: Quality, segments: list[tuple[int, bytes]]) -> SweepPoint:
        if self.pixel_format == "planes" and self.block_size == self.dct_size == 8:  # nothing to convert
            data = with_segments(encode(self.image, quality, pixel_format="planes", **self.options), segments)
        else:
            data = self._picture(quality).encode(quality, self.options, segments)
        return SweepPoint(quality, self.block_size, self.dct_size, data)


def sweep(
    image: ArrayLike,
    qualities: Iterable[Quality] | None = None,
    *,
    distances: Iterable[float] | None = None,
    scales: Iterable[int] | None = None,
    blocks: Iterable[int] = (8,),
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    comment: bytes | str | None = None,
    metadata: Metadata | None = None,
    threads: int | None = None,
    **options: Unpack[EncodeOptions],
) -> Iterator[SweepPoint]:
    """Return an iterator over files of *image*, every quality at every size, encoded in several threads.

    *blocks* are block sizes, *scales* DCT sizes, N of 8/N: a block size and a DCT size give a file scaled by block/N,
    as in :func:`mozcodec.encode_scaled` and :func:`mozcodec.encode_smartscale`. Without *scales* there is no scaling.
    The order is that of nested loops: block, scale, quality. A sweep is lazy: at most two files for each thread are
    encoded ahead. Do not change *image* meanwhile.

    *distances*, in place of *qualities*, makes files of the perceptual mode at one size; its *effort* and
    *subsampling* are options.

    *threads* defaults to one for each half million pixels in all files, at most the cores that this process may use; it
    is 1 for images below 181 x 181 pixels, whose files take less time than handing them over. A file of *distances*
    counts as three. The rest is as in
    :func:`mozcodec.encode`; metadata is written to every file. Colour conversion, downsampling and the DCT are done
    once for all qualities with the same subsampling.

    Raises the errors of :func:`mozcodec.encode_smartscale` for wrong sizes, qualities and options at once.

    >>> for point in mozcodec.sweep(image, range(10, 100, 10), scales=(8, 12, 16)):
    ...     print(point.dct_size, point.quality, len(point.data))
    """
    if (qualities is None) == (distances is None):
        raise TypeError("give qualities or distances")
    image, pixel_format = picture_of(image, pixel_format, layout, background)
    segments = segments_told(metadata, icc_profile, exif, xmp, comment)
    if distances is not None:
        if scales is not None or tuple(blocks) != (8,):
            raise ValueError("a sweep over distances has no scales and blocks")
        told = {"icc_profile": icc_profile, "exif": exif, "xmp": xmp, "comment": comment, "metadata": metadata}
        return _sweep_distances(image, list(distances), pixel_format, threads, options, told)
    assert qualities is not None
    wanted = list(qualities)
    block_sizes = [integer("blocks", block, 1, 16) for block in blocks]
    dct_sizes = None if scales is None else [integer("scales", scale, 1, 16) for scale in scales]
    pairs = [(block, size) for block in block_sizes for size in ([block] if dct_sizes is None else dct_sizes)]
    if any(pair != (8, 8) for pair in pairs):
        check_scaled_options(options)
    for quality in wanted:
        encode_options(quality, options)
    count = num_threads(threads) if threads is not None else _threads_for(image, pixel_format, len(pairs) * len(wanted))

    def jobs() -> Iterator[tuple[_Sizes, Quality]]:
        for block_size, dct_size in pairs:
            sizes = _Sizes(image, options, pixel_format, block_size, dct_size)
            for quality in wanted:
                yield sizes, quality

    return ordered_map(lambda job: job[0].encode(job[1], segments), jobs(), count)


_PIXELS_FOR_A_THREAD = 1 << 19  # in all its files, about 8 ms
_LEAST_PIXELS = 1 << 15  # of an image whose files are worth another thread


_WORK_OF_A_DISTANCE = 3  # a file of the perceptual mode takes as long as three others


def _threads_for(image: Any, pixel_format: str | None, files: int, work: int = 1) -> int:
    pixels = work * math.prod(np.shape(image[0] if pixel_format == "planes" else image)[:2])
    wanted = 1 if pixels < _LEAST_PIXELS else pixels * files // _PIXELS_FOR_A_THREAD
    return max(1, min(wanted, num_threads(None)))


def _sweep_distances(
    image: ArrayLike, distances: list[float], pixel_format: str | None, threads: int | None, options: EncodeOptions,
    metadata: dict[str, Any],
) -> Iterator[SweepPoint]:
    for distance in distances:
        perceptual_settings(DEFAULT_QUALITY, {**options, "distance": check_distance(distance)})
    given = None if threads is None else num_threads(threads)

    def point(distance: float) -> SweepPoint:
        told: EncodeOptions = {**options, "distance": distance}
        data = encode(image, pixel_format=pixel_format, **metadata, **told)
        return SweepPoint(None, 8, 8, data, distance)

    count = given or _threads_for(image, pixel_format, len(distances), _WORK_OF_A_DISTANCE)
    return ordered_map(point, distances, count)


# ---- targets --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encoded:
    """The file that reaches a target, and the neighbouring quality that does not."""

    data: bytes
    quality: int
    value: float
    """The file's size in bytes, PSNR in dB, or SSIM."""
    next_quality: int | None
    """The neighbouring quality on the other side of the target; None if there is none."""
    next_value: float | None


_WITH_ALPHA = ("rgba", "bgra", "argb", "abgr", "rgbx", "bgrx", "xrgb", "xbgr")


def _colours(image: ArrayLike, pixel_format: str | None, precision: int) -> tuple[NDArray[Any], str]:
    """Return the samples to compare, without alpha, and the pixel format in which a file is decoded."""
    describe(image, pixel_format, precision)  # checks
    array: NDArray[Any] = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if pixel_format is None:
        return array, "gray" if array.ndim == 2 else "rgb"
    if pixel_format in _WITH_ALPHA:
        places = [pixel_format.index(channel) for channel in "rgb"]
        return array[..., places], "rgb"
    return array, pixel_format


def _criterion(
    image: ArrayLike, pixel_format: str | None, measure: Callable[[Any, Any], float], precision: int
) -> Callable[[bytes], float]:
    original, layout = _colours(image, pixel_format, precision)
    return lambda data: measure(decode(data, layout), original)


def _bisect(reaches: Callable[[int], bool], rising: bool) -> tuple[int, int]:
    """Return neighbouring qualities (that reaches, that does not); 0 and 101 stand for the ends.

    *rising*: higher qualities reach the target. If the function is not monotonic, any such pair may be found.
    """
    low, high = 0, 101
    while high - low > 1:
        middle = (low + high) // 2
        if reaches(middle) == rising:
            high = middle
        else:
            low = middle
    return (high, low) if rising else (low, high)


def _target(**targets: float | None) -> tuple[str, float]:
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        raise TypeError(f"exactly one of bytes, psnr, ssim and ssimulacra2 is needed, got {', '.join(given) or 'none'}")
    ((name, value),) = given.items()
    if name == "bytes":
        return name, integer("bytes", value, 1, 2**62)
    number = real(name, value)
    if name == "ssimulacra2":
        if not -100 <= number <= 100:
            raise ValueError(f"ssimulacra2 must be -100..100, got {value}")
        return name, number
    if number <= 0 or (name == "ssim" and number > 1):
        raise ValueError(f"{name} must be {'0..1' if name == 'ssim' else 'positive'}, got {value}")
    return name, number


@overload
def encode_to_target(
    image: ArrayLike,
    *,
    ssimulacra2: float,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    **options: Unpack[EncodeOptions],
) -> EncodedAtDistance: ...
@overload
def encode_to_target(  # type: ignore[overload-overlap]  # with effort, bytes= searches among distances
    image: ArrayLike, *, bytes: int, effort: int, pixel_format: str | None = None, **options: Any
) -> EncodedAtDistance: ...
@overload
def encode_to_target(
    image: ArrayLike,
    *,
    bytes: int | None = None,
    psnr: float | None = None,
    ssim: float | None = None,
    ssimulacra2: None = None,
    smallest: bool = False,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    **options: Unpack[EncodeOptions],
) -> Encoded: ...


def encode_to_target(
    image: ArrayLike,
    *,
    bytes: int | None = None,  # noqa: A002 - what it is
    psnr: float | None = None,
    ssim: float | None = None,
    ssimulacra2: float | None = None,
    smallest: bool = False,
    pixel_format: str | None = None,
    layout: str = "hwc",
    background: Background = None,
    **options: Any,
) -> Encoded | EncodedAtDistance:
    """Return *image* at the integer quality, or at the distance, that just reaches a target.

    *bytes*: the highest quality whose file has at most this many bytes. *psnr* in dB, *ssim* 0..1: the lowest quality
    whose decoded file is at least this close to *image*, over all colour samples without alpha (PSNR also at 12 bits).
    The result includes the
    neighbouring quality on the other side of the target. *smallest* as in :func:`mozcodec.encode`.

    *ssimulacra2* searches among distances of the perceptual mode and gives an :class:`EncodedAtDistance`: the smallest
    file found whose decoded pixels have at least this score, and rarely more than 0.15 above it. *bytes* with *effort*
    searches there too, for the smallest distance whose file fits. The options are those that go with ``distance``.
    Without *subsampling*, 4:4:4 is tried where it may be smaller or where 4:2:0 cannot reach the score. Three to ten
    files are encoded.

    SSIM uses a 7 x 7 uniform window and the mean over the channels, as scikit-image does.
    About seven files are encoded for PSNR and SSIM. The rest is as in :func:`mozcodec.encode`.

    Raises :class:`mozcodec.LimitError` if no quality or distance reaches the target.
    """
    image, pixel_format = picture_of(image, pixel_format, layout, background)
    name, wanted = _target(bytes=bytes, psnr=psnr, ssim=ssim, ssimulacra2=ssimulacra2)
    if "distance" in options:
        raise ValueError("encode_to_target chooses the distance itself")
    if name == "ssimulacra2" or (name == "bytes" and ("effort" in options or "transfer" in options)):
        if smallest:
            raise ValueError("smallest=True is for targets of the quality search")
        told = {field: options.pop(field, None) for field in ("metadata", "icc_profile", "exif", "xmp", "comment")}
        segments = segments_told(**told)
        settings = perceptual_settings(DEFAULT_QUALITY, {**options, "distance": 1.0})
        if name == "ssimulacra2":
            found = encode_to_score(image, pixel_format, settings, engine(), wanted)
            return replace(found, data=with_segments(found.data, segments))
        added = sum(len(segment_bytes(*segment)) for segment in segments)
        if added >= wanted:
            raise LimitError(f"no distance reaches bytes={wanted}: the metadata alone takes {added} bytes")
        found = encode_to_bytes(image, pixel_format, settings, engine(), int(wanted) - added)
        return replace(found, data=with_segments(found.data, segments), value=found.value + added)
    if "effort" in options or "transfer" in options:
        raise ValueError(f"effort and transfer go with the targets ssimulacra2 and bytes, not with {name}")
    rising = name != "bytes"
    value_of: Callable[[Any], float] = len
    if rising:
        precision = options.get("precision", 8)
        if pixel_format == "planes" or (precision != 8 and (name, precision) != ("psnr", 12)):
            more = ", or precision=12" if name == "psnr" else ""
            raise ValueError(f"{name} needs 8-bit pixels{more}; use bytes= for planes and other precisions")
        value_of = _criterion(image, pixel_format, _psnr_of_12_bits if precision == 12 else _MEASURES[name], precision)
    tried: dict[int, tuple[Any, float]] = {}

    def reaches(quality: int) -> bool:
        data = encode(image, quality, pixel_format=pixel_format, smallest=smallest, **options)
        tried[quality] = data, value_of(data)
        return tried[quality][1] >= wanted if rising else tried[quality][1] <= wanted

    quality, other = _bisect(reaches, rising)
    if quality not in tried:
        raise LimitError(f"no quality reaches {name}={wanted:g}: quality {other} has {tried[other][1]:g}")
    data, value = tried[quality]
    if other not in tried:
        return Encoded(data, quality, value, None, None)
    return Encoded(data, quality, value, other, tried[other][1])


def _psnr_of_12_bits(a: NDArray[np.uint16], b: NDArray[np.uint16]) -> float:
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(4095**2 / error)


_MEASURES: dict[str, Callable[[Picture, Picture], float]] = {"psnr": psnr, "ssim": ssim}
