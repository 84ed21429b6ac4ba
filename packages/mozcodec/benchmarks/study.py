"""Are DCT scaling and SmartScale useful? Bytes at equal PSNR and SSIM for N = 1..16, against plain 8 x 8.

    python study.py --faces ../../../out/faces     table and figure into docs/ (4 minutes on two cores)
    python study.py --quant-table 1 --out FOLDER   the same with flat tables, elsewhere
    python study.py --points FILE                  also every file that was made: bytes, PSNR, SSIM

Writes ``scaling.md``, ``scaling.csv`` and ``scaling.png``; the same input gives the same bytes. Images are those of
scikit-image and crops of faces, where a folder of them is given. PSNR and SSIM are computed at the size of the source
by scikit-image. Needs scikit-image (with its SciPy and Pillow) and matplotlib.
"""
# Over 600 lines: a script that runs alone, without modules of its own beside it.

import argparse
import csv
import io
import itertools
import math
import os
import sys
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass, fields, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import matplotlib
import numpy as np
import skimage
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from PIL import Image
from scipy.interpolate import PchipInterpolator
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import mozcodec
from mozcodec._parallel import available_cores

DOCS = Path(__file__).resolve().parents[3] / "docs"

PHOTOGRAPHS = (
    *("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png"),
    *("retina.jpg", "rocket.jpg", "brick.png", "camera.png", "cell.png", "clock_motion.png", "coins.png", "grass.png"),
    *("gravel.png", "microaneurysms.png", "moon.png"),
)
GRAPHICS = ("chessboard_GRAY.png", "color.png", "horse.png", "logo.png", "page.png", "phantom.png", "text.png")
SETS = {"photographs": PHOTOGRAPHS, "graphics": GRAPHICS}
FACES = "faces"

CROP, STEP = 288, 96
"""Largest side of an image, and what its sides are multiples of: there the blocks and MCUs of 4:2:0 of N = 1, 2, 3,
4, 6, 8, 12 and 16 fill the image; the other N pad it."""
REFERENCES = (5, 10, 25, 50, 75, 90, 95)
"""Qualities of plain 8 x 8 whose PSNR and SSIM are to be met. None of 80..89, where cjpeg's rule is 4:2:2."""
QUALITIES = (1, 3, 5, 10, 17, 25, 37, 50, 63, 75, 83, 90, 95, 98, 100)
SUBSAMPLINGS = ("4:2:0", "4:4:4")
EITHER = "either"
FILE, WITHOUT_TABLES = "file", "without tables"
"""What is counted: all bytes of a file, or all but its quantization tables, which are smaller in blocks below 8."""
SIZES = range(1, 17)
HALVED = (8, 10, 12, 14)
"""DCT sizes that are also tried with blocks of half the size."""


# ---- images ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """One image of the study."""

    set: str
    name: str
    pixels: np.ndarray
    """uint8, (H, W) or (H, W, 3)"""


def centre(pixels: np.ndarray) -> np.ndarray:
    """Return the middle of an image: sides of at most CROP pixels that are multiples of STEP."""
    height, width = (min(CROP, side // STEP * STEP) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def opened(file: object) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8, or (H, W) if it has no colour; alpha is ignored."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    gray = (pixels == pixels[..., :1]).all()
    return np.ascontiguousarray(pixels[..., 0]) if gray else pixels


def bundled(wanted: Sequence[str] = PHOTOGRAPHS + GRAPHICS) -> list[Picture]:
    """Return images that come with scikit-image, cropped."""
    if unknown := set(wanted) - {*PHOTOGRAPHS, *GRAPHICS}:
        raise SystemExit(f"no such image: {', '.join(sorted(unknown))}; known: {', '.join(PHOTOGRAPHS + GRAPHICS)}")
    folder = Path(skimage.__file__).parent / "data"
    chosen = [(kind, name) for kind, names in SETS.items() for name in names if name in wanted]
    return [Picture(kind, name, centre(opened(folder / name))) for kind, name in chosen]


def _png_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("*.png")):
        yield path.name, path.read_bytes()
    for path in sorted(folder.glob("faces-*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".png"):
                    yield member.name, archive.extractfile(member).read()


def faces(folder: Path, count: int) -> list[Picture]:
    """Return *count* crops of *folder*, evenly spaced among its PNG files and those in its ``faces-*.tar``, by name."""
    found = sorted(_png_files(folder))
    if len(found) < count:
        raise SystemExit(f"{folder} has {len(found)} PNG files (loose or in faces-*.tar), {count} are wanted")
    chosen = [found[(2 * k + 1) * len(found) // (2 * count)] for k in range(count)]
    return [Picture(FACES, name, opened(io.BytesIO(data))) for name, data in chosen]


# ---- contenders --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Contender:
    """A way to code an image and to get it back at its size."""

    way: str
    block_size: int
    dct_size: int


PLAIN = Contender("plain", 8, 8)
WAYS = {
    "plain": "8 x 8, `mozcodec.encode`",
    "smartscale": "blocks of N x N at the image's size, `encode_smartscale(block_size=N)`",
    "scaled": "8/N of the size, `encode_scaled(dct_size=N)`, decoded at N/8 by `decode(scale=N)`",
    "scaled, lanczos": "the same file decoded as it is and enlarged by a Lanczos filter (a = 3)",
    "resized": "shrunk to 8/N by a Lanczos filter, encoded as plain 8 x 8, enlarged by a Lanczos filter",
    "half": "half the size by other block sizes, `encode_smartscale(block_size=N/2, dct_size=N)`, decoded at 16/8",
}


def contenders(sizes: Iterable[int] = SIZES) -> list[Contender]:
    """Return plain 8 x 8 and all others of these DCT sizes.

    Above 8 a SmartScale file is the scaled one but for headers that state the other size (IJG jcmarker.c,
    emit_sof), so it is not made a second time.
    """
    found = [PLAIN]
    for n in sizes:
        if n < 8:
            found += [Contender("smartscale", n, n), Contender("scaled", 8, n)]
        if n > 8:
            found += [Contender(way, 8, n) for way in ("scaled", "scaled, lanczos", "resized")]
        if n in HALVED:
            found.append(Contender("half", n // 2, n))
    return found


def lanczos(pixels: np.ndarray, shape: tuple[int, ...], area: tuple[float, float]) -> np.ndarray:
    """Return the upper left *area* (height, width) of *pixels*, resampled to *shape* by a Lanczos filter, a = 3.

    Pillow's: the filter is stretched where it shrinks, so that nothing aliases.
    """
    box = (0, 0, area[1], area[0])
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.LANCZOS, box=box))


def shrunk(pixels: np.ndarray, n: int) -> np.ndarray:
    """Return *pixels* at 8/n of the size, rounded up; a sample is n/8 pixels wide, edges are repeated where short."""
    height, width = pixels.shape[:2]
    shape = -(-height * 8 // n), -(-width * 8 // n)
    area = shape[0] * n / 8, shape[1] * n / 8
    short = ((0, math.ceil(area[0]) - height), (0, math.ceil(area[1]) - width), (0, 0))[: pixels.ndim]
    return lanczos(np.pad(pixels, short, "edge"), shape, area)


def enlarged(pixels: np.ndarray, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the output of :func:`shrunk` enlarged to its original size, *shape*."""
    return lanczos(pixels, shape, (shape[0] * 8 / n, shape[1] * 8 / n))


def restored(data: bytes, contender: Contender, shape: tuple[int, ...]) -> np.ndarray:
    """Return a contender's file as pixels of the image's *shape*."""
    n, layout = contender.dct_size, "gray" if len(shape) == 2 else "rgb"
    if contender.way in ("scaled, lanczos", "resized"):
        return enlarged(mozcodec.decode(data, layout), n, shape)
    scale = {"scaled": n, "half": 16}.get(contender.way, 8)
    pixels = mozcodec.decode(data, layout, scale=scale, idct="true")
    return np.ascontiguousarray(pixels[: shape[0], : shape[1]])


# ---- measuring ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """One file: its bytes, PSNR and SSIM."""

    quality: int
    bytes: int
    tables: int
    """of these the quantization tables (DQT)"""
    psnr: float
    """dB over all samples"""
    ssim: float
    """mean over the channels"""


def fidelity(pixels: np.ndarray, original: np.ndarray) -> tuple[float, float]:
    """Return PSNR in dB (inf for equal images) and SSIM of uint8 images, data range 255."""
    if np.array_equal(pixels, original):
        return math.inf, 1.0
    axis = -1 if original.ndim == 3 else None
    return (
        float(peak_signal_noise_ratio(original, pixels, data_range=255)),
        float(structural_similarity(original, pixels, data_range=255, channel_axis=axis)),
    )


def measure(
    pixels: np.ndarray, contender: Contender, subsampling: str, qualities: Sequence[int], options: dict[str, object]
) -> list[Point]:
    """Return a contender's files of one image, in the order of *qualities*."""
    source, dct_size = pixels, contender.dct_size
    if contender.way == "resized":
        source, dct_size = shrunk(pixels, dct_size), 8
    points = []
    for file in mozcodec.sweep(
        source,
        qualities,
        blocks=(contender.block_size,),
        scales=(dct_size,),
        threads=1,
        subsampling=subsampling,
        **options,
    ):
        close = fidelity(restored(file.data, contender, pixels.shape), pixels)
        tables = sum(segment.size for segment in mozcodec.inspect(file.data).segments if segment.name == "DQT")
        points.append(Point(file.quality, len(file.data), tables, *close))
    return points


Key = tuple[str, Contender, str]
"""image, contender, subsampling"""


def measure_all(
    pictures: Sequence[Picture],
    wanted: Sequence[Contender],
    qualities: Sequence[int] = QUALITIES,
    options: dict[str, object] | None = None,
    jobs: int = 1,
) -> dict[Key, list[Point]]:
    """Return the files of all images and contenders, by *jobs* processes. Gray images are 4:4:4 only."""
    work: dict[Key, tuple] = {}
    for picture, contender in itertools.product(pictures, wanted):
        for subsampling in SUBSAMPLINGS if picture.pixels.ndim == 3 else SUBSAMPLINGS[1:]:
            key = (picture.name, contender, subsampling)
            work[key] = (picture.pixels, contender, subsampling, qualities, options or {})
    if jobs == 1:
        return {key: measure(*arguments) for key, arguments in work.items()}
    done: dict[Key, list[Point]] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(measure, *arguments): key for key, arguments in work.items()}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            if len(done) % 100 == 0:
                print(f"{len(done)} of {len(work)} curves", file=sys.stderr, flush=True)
    return {key: done[key] for key in work}


# ---- bytes at equal fidelity -------------------------------------------------------------------------------------

METRICS: dict[str, Callable[[Point], float]] = {
    "psnr": lambda point: point.psnr,
    # In decibels, so that the step from 0.99 to 0.999 is as large as from 0.9 to 0.99.
    "ssim": lambda point: math.inf if point.ssim == 1 else -10 * math.log10(1 - point.ssim),
}


def best_points(points: Iterable[Point], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (metric, bytes) of the files that no smaller file equals, both rising: the Pareto front."""
    value = METRICS[metric]
    front: list[tuple[float, int]] = []
    for point in sorted(points, key=lambda point: (point.bytes, -value(point))):
        if not front or value(point) > front[-1][0]:
            front.append((value(point), point.bytes))
    values, sizes = zip(*front, strict=True)
    return np.array(values), np.array(sizes, float)


def bytes_needed(points: Iterable[Point], metric: str, target: float) -> float:
    """Return the bytes that give at least *target*; inf where no quality does.

    Between two files the logarithm of the bytes is interpolated over the metric by a monotone cubic (Fritsch and
    Carlson 1980, SciPy's PCHIP). Below the poorest file its bytes are returned, and nothing is extrapolated.
    """
    values, sizes = best_points(points, metric)
    if target > values[-1]:
        return math.inf
    above = int(np.searchsorted(values, target))
    if above == 0 or values[above] == target or math.isinf(values[above]):
        return float(sizes[above])
    finite = np.isfinite(values)
    return float(np.exp(PchipInterpolator(values[finite], np.log(sizes[finite]))(target)))


def without_tables(files: dict[Key, list[Point]]) -> dict[Key, list[Point]]:
    """Return the same files, their quantization tables not counted."""
    return {
        key: [replace(point, bytes=point.bytes - point.tables, tables=0) for point in points]
        for key, points in files.items()
    }


def rule(quality: int) -> str:
    """Return the subsampling that cjpeg takes by itself at one of REFERENCES (rdswitch.c, set_quality_ratings)."""
    return "4:4:4" if quality >= 90 else "4:2:0"


@dataclass(frozen=True)
class Curves:
    """All measured files, and what follows from them."""

    files: dict[Key, list[Point]]

    def subsamplings(self, picture: str, subsampling: str) -> list[str]:
        """Return those of the subsamplings that the image has; a gray image has only 4:4:4."""
        there = [name for name in SUBSAMPLINGS if (picture, PLAIN, name) in self.files]
        return [name for name in there if subsampling in (name, EITHER)] or there

    def target(self, picture: str, metric: str, quality: int, subsampling: str) -> float:
        """Return the PSNR or SSIM of plain 8 x 8 at *quality*; with EITHER, at the subsampling of cjpeg's rule."""
        wanted = rule(quality) if subsampling == EITHER else subsampling
        points = self.files[picture, PLAIN, self.subsamplings(picture, wanted)[0]]
        return METRICS[metric](next(point for point in points if point.quality == quality))

    def needed(self, picture: str, contender: Contender, metric: str, target: float, subsampling: str) -> float:
        """Return the fewest bytes for *target*; with EITHER, of both subsamplings the better one."""
        names = self.subsamplings(picture, subsampling)
        return min(bytes_needed(self.files[picture, contender, name], metric, target) for name in names)

    def at_floor(self, picture: str, contender: Contender, metric: str, target: float, subsampling: str) -> bool:
        """Return whether even the contender's poorest file is better than *target*."""
        names = self.subsamplings(picture, subsampling)
        return all(best_points(self.files[picture, contender, name], metric)[0][0] > target for name in names)

    def percent(self, picture: str, contender: Contender, metric: str, quality: int, subsampling: str) -> float:
        """Return how many percent more bytes than plain 8 x 8 it takes; inf where it cannot be reached."""
        target = self.target(picture, metric, quality, subsampling)
        plain = self.needed(picture, PLAIN, metric, target, subsampling)
        return 100 * (self.needed(picture, contender, metric, target, subsampling) / plain - 1)


@dataclass(frozen=True)
class Row:
    """One contender on one set of images: percent more bytes than plain 8 x 8 of this quality at equal fidelity."""

    set: str
    metric: str
    counted: str
    subsampling: str
    way: str
    block_size: int
    dct_size: int
    quality: int
    pictures: int
    never: int
    """images on which no quality of the contender reaches the target; they count as infinitely many bytes"""
    floor: int
    """images on which even its poorest file exceeds the target; the bytes of that file are used"""
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float


def spread(values: Sequence[float]) -> tuple[float, ...]:
    """Return least, lower quartile, median, upper quartile and most of values that may be infinite."""
    quartiles = (np.quantile(values, 0.25, method="lower"), np.median(values))
    return tuple(map(float, (min(values), *quartiles, np.quantile(values, 0.75, method="higher"), max(values))))


def row(
    curves: Curves, names: Sequence[str], metric: str, subsampling: str, contender: Contender, quality: int
) -> tuple[float, ...]:
    """Return the last columns of a Row, over the images *names*."""
    values, floor = [], 0
    for name in names:
        values.append(curves.percent(name, contender, metric, quality, subsampling))
        target = curves.target(name, metric, quality, subsampling)
        floor += curves.at_floor(name, contender, metric, target, subsampling)
    return len(names), sum(map(math.isinf, values)), floor, *spread(values)


def rows(curves: Curves, pictures: Sequence[Picture], wanted: Sequence[Contender]) -> list[Row]:
    """Return the table: every set, metric, way to count, subsampling, contender and reference quality."""
    members = defaultdict(list)
    for picture in pictures:
        members[picture.set].append(picture.name)
    counts = [(FILE, subsampling, curves) for subsampling in (EITHER, "4:4:4")]
    counts.append((WITHOUT_TABLES, EITHER, Curves(without_tables(curves.files))))
    return [
        Row(
            kind,
            metric,
            counted,
            subsampling,
            *astuple(contender),
            quality,
            *row(counted_curves, names, metric, subsampling, contender, quality),
        )
        for kind, names in members.items()
        for metric in METRICS
        for counted, subsampling, counted_curves in counts
        for contender in wanted
        if contender != PLAIN
        for quality in REFERENCES
    ]


def interpolation_errors(curves: Curves) -> np.ndarray:
    """Return percent by which interpolation misses the inner files of plain 8 x 8 when each is left out in turn."""
    errors = []
    for (_, contender, _), points in curves.files.items():
        if contender != PLAIN:
            continue
        for metric, value in METRICS.items():
            for left_out in points[1:-1]:
                if REFERENCES[0] <= left_out.quality <= REFERENCES[-1] and math.isfinite(value(left_out)):
                    others = [point for point in points if point != left_out]
                    found = bytes_needed(others, metric, value(left_out))
                    errors.append(100 * abs(found / left_out.bytes - 1))
    return np.array(errors)


# ---- table -------------------------------------------------------------------------------------------------------

Table = dict[tuple[str, str, str, int, int], Row]
"""(set, metric, way, dct_size, quality) -> row"""


def by_key(table: Iterable[Row], counted: str = FILE) -> Table:
    """Return the rows in which each contender takes the better subsampling."""
    chosen = (r for r in table if r.subsampling == EITHER and r.counted == counted)
    return {(r.set, r.metric, r.way, r.dct_size, r.quality): r for r in chosen}


def smartscale_way(n: int) -> str:
    """Return under which name blocks of N x N were measured."""
    return "smartscale" if n < 8 else "scaled"


def number(percent: float) -> str:
    """Return percent as text; thousands are long enough as multiples."""
    if math.isinf(percent):
        return "∞"
    return f"{percent:+.0f}".replace("-", "−") if percent < 1000 else f"×{percent / 100 + 1:.0f}"


def cell(found: Row) -> str:
    """Return ``median [minimum, maximum]``, with a dagger where the poorest file of some images is too good."""
    return f"{number(found.median)}{'†' * bool(found.floor)} [{number(found.minimum)}, {number(found.maximum)}]"


def markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    return [*lines, *("| " + " | ".join(line) + " |" for line in body), ""]


def size_tables(table: Table, kinds: Sequence[str]) -> list[str]:
    """Return one table for each set and metric: N down, reference quality across."""
    lines = []
    for kind, metric in itertools.product(kinds, METRICS):
        lines += [f"### {kind.capitalize()}, equal {metric.upper()}", ""]
        body = []
        for n in SIZES:
            found = [table.get((kind, metric, smartscale_way(n), n, quality)) for quality in REFERENCES]
            if n == 8:
                body.append(["8", *["0"] * len(REFERENCES)])
            elif all(found):
                body.append([str(n), *map(cell, found)])
        lines += markdown_table(["N", *map(str, REFERENCES)], body)
    return lines


def way_tables(table: Table, kinds: Sequence[str], chosen: Sequence[tuple[int, str]], metric: str) -> list[str]:
    """Return one table for each set: (DCT size, way) down, reference quality across, medians only."""
    lines = []
    for kind in kinds:
        body = []
        for n, way in chosen:
            found = [table.get((kind, metric, way, n, quality)) for quality in REFERENCES]
            if all(found):
                body.append([f"{n}, {way}", *(number(one.median) for one in found)])
        lines += markdown_table([f"{kind}, {metric.upper()}", *map(str, REFERENCES)], body)
    return lines


PAGE = """\
# Bytes at equal fidelity for DCT sizes 1 to 16

Written by `packages/mozcodec/benchmarks/study.py` (its docstring has the commands). The conclusions are in
[results.md](results.md); [scaling.csv](scaling.csv) has all numbers, with quartiles and for 4:4:4 alone.

![Bytes at equal SSIM and PSNR over the DCT size; a rate-distortion example; ways to halve](scaling.png)

## Method

{ways}

Above N = 8, a SmartScale file holds the same coded data as the scaled file, decodes to the same pixels, and has
headers that are less than 20 bytes longer, so one row covers both.

Every file is encoded with trellis quantization, the scan search (cjpeg's defaults) and quantization table
{quant_table}, at {num_qualities} qualities from 1 to 100. Overshoot deringing is only implemented for 8 x 8 and is
left on there. Bytes are those of the whole file, headers included. PSNR (over all samples) and SSIM (7 x 7 window,
mean over the channels) are computed by scikit-image on the decoded uint8 pixels at the size of the source.

Each column is a quality of plain 8 x 8 at cjpeg's default subsampling (4:2:0; from 90 on 4:4:4), whose PSNR or SSIM
has to be reached. For colour images, every method including plain uses 4:2:0 or 4:4:4, whichever takes fewer bytes
there. A cell is the **increase in bytes over plain 8 x 8 in percent, median [minimum, maximum]** over the images. ∞:
no quality up to 100 reaches the target; such an image counts as infinitely many bytes. †: on some images even quality
1 exceeds the target, and the bytes of that file are used. Nothing is extrapolated. ×12: twelve times the bytes.

Between files, log(bytes) is interpolated over the PSNR, or over -10 log10(1 - SSIM), by a monotone cubic. If a file
of plain 8 x 8 is left out, interpolation between its neighbours is off by {error:.1f} % of its bytes (median) and
{worst_error:.1f} % (95th percentile, n = {num_errors}); with it, the gaps are half as wide. No Bjøntegaard mean over
the qualities is given, because the curves cross: it would average gains and losses.

Images:

{pictures}

The bundled images are cropped at the centre to at most {crop} x {crop} and to multiples of {step}, so that blocks and
MCUs of N = 1, 2, 3, 4, 6, 8, 12 and 16 fill them exactly; the other N need padding at the right and lower edge, which
costs bytes. Faces have the size that the `faces` stage stores, which needs no padding for N = 1, 2, 4, 8 and 16; they
are synthetic.

Versions: {libraries}.

## Every DCT size

SmartScale with blocks of N x N; above 8 also DCT scaling by 8/N.

{sizes}

## Without quantization tables

Medians. Quantization tables take 134 bytes of a colour file, or 262 if entries need 16 bits (below quality 70);
blocks of N < 8 have only N x N entries. This dominates small files, so here DQT segments are counted on neither side.

{without}

## Below 8: SmartScale or an enlarged ordinary JPEG file

Medians. Both files hold the same luma coefficients.

{below}

## Above 8: resampling by the DCT or by a filter

Medians, for each way of shrinking and enlarging the image.

{above}

## Half the size by other block sizes

Medians. N/2 x N/2 coefficients of an N x N DCT; `16, scaled` is ordinary JPEG.

{half}

The same without quantization tables:

{half_without}
"""


def picture_list(pictures: Sequence[Picture]) -> list[str]:
    """Return a line for each set with its images and their sizes."""
    lines = []
    for kind in (*SETS, FACES):
        chosen = [picture for picture in pictures if picture.set == kind]
        named = [f"{p.name.removesuffix('.png')} ({p.pixels.shape[1]} x {p.pixels.shape[0]})" for p in chosen]
        lines.append(f"- {kind} ({len(chosen)}): {', '.join(named) or 'no folder was given'}")
    return lines


def markdown(table: Sequence[Row], pictures: Sequence[Picture], errors: np.ndarray, quant_table: int) -> str:
    """Return the page: the method and the tables."""
    kinds = list(dict.fromkeys(picture.set for picture in pictures))
    files, coded = by_key(table), by_key(table, WITHOUT_TABLES)
    below = list(itertools.product(range(1, 8), ("smartscale", "scaled")))
    above = list(itertools.product((10, 12, 14, 16), ("scaled", "scaled, lanczos", "resized")))
    half = [*((n, "half") for n in HALVED), (16, "scaled")]
    parts = {
        "ways": [f"- **{way}**: {what}." for way, what in WAYS.items()],
        "pictures": picture_list(pictures),
        "sizes": size_tables(files, kinds),
        "below": way_tables(files, kinds, below, "ssim"),
        "above": way_tables(files, kinds, above, "ssim") + way_tables(files, kinds, above, "psnr"),
        "without": way_tables(coded, kinds, [(n, smartscale_way(n)) for n in SIZES], "ssim"),
        "half_without": way_tables(coded, kinds, half, "ssim"),
        "half": way_tables(files, kinds, half, "ssim"),
    }
    return PAGE.format(
        **{name: "\n".join(lines).rstrip("\n") for name, lines in parts.items()},
        quant_table=quant_table,
        num_qualities=len(QUALITIES),
        error=np.median(errors),
        worst_error=np.quantile(errors, 0.95),
        num_errors=len(errors),
        crop=CROP,
        step=STEP,
        libraries=", ".join(f"{name} {version(name)}" for name in ("mozcodec", "scikit-image", "pillow", "numpy")),
    )


def comma_separated(names: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    return text.getvalue()


def table_csv(table: Iterable[Row]) -> str:
    """Return the table as CSV; percent with one digit, from 100 on with none."""

    def text(value: object) -> object:
        if not isinstance(value, float):
            return value
        return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"

    names = [field.name for field in fields(Row)]
    return comma_separated(names, (map(text, astuple(r)) for r in table))


def points_csv(files: dict[Key, list[Point]]) -> str:
    """Return every file that was made as CSV."""
    names = ["picture", *(field.name for field in fields(Contender)), "subsampling"]
    names += [field.name for field in fields(Point)]
    return comma_separated(
        names,
        (
            [picture, *astuple(contender), subsampling, *astuple(point)]
            for (picture, contender, subsampling), points in files.items()
            for point in points
        ),
    )


# ---- figure ------------------------------------------------------------------------------------------------------

OKABE_ITO = {"black": "#000000", "orange": "#E69F00", "blue": "#0072B2", "green": "#009E73", "red": "#D55E00"}
"""Colours that colour-blind readers can distinguish (Okabe and Ito 2008)."""
RATIOS = {0.6: "−40 %", 0.8: "−20 %", 1: "0", 1.25: "+25 %", 1.5: "+50 %", 2: "×2", 3: "×3", 4: "×4"}
DECIBELS = {ssim: -10 * math.log10(1 - ssim) for ssim in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)}
DRAWN = (5, 10, 25, 50, 75, 90, 95)


def _ratio_axis(axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.6, 4)
    axes.yaxis.set_major_locator(FixedLocator(list(RATIOS)))
    axes.yaxis.set_major_formatter(FixedFormatter(list(RATIOS.values())))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color="0.35", linewidth=0.9, zorder=1)


def draw_sizes(axes, table: Table, kind: str, metric: str) -> None:
    """Median bytes over N, a line for each quality, up to where half of the images reach it."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.93, 0, len(DRAWN)))
    for quality, shade in zip(DRAWN, shades, strict=True):
        found = {n: table.get((kind, metric, smartscale_way(n), n, quality)) for n in SIZES}
        ratios = {n: 1 + one.median / 100 for n, one in found.items() if one is not None} | {8: 1.0}
        drawn = [ratios[n] if math.isfinite(ratios[n]) else math.nan for n in sorted(ratios)]
        axes.plot(sorted(ratios), drawn, color=shade, linewidth=1.5, marker="o", markersize=3, label=f"{quality}")
    _ratio_axis(axes)
    axes.set_xlim(0.5, 16.5)
    axes.set_xticks(range(2, 17, 2))


def draw_example(axes, curves: Curves, picture: str) -> None:
    """SSIM over bytes of one image."""
    chosen = {
        "N = 4": (Contender("smartscale", 4, 4), OKABE_ITO["orange"]),
        "N = 8, plain": (PLAIN, OKABE_ITO["black"]),
        "N = 12": (Contender("scaled", 8, 12), OKABE_ITO["green"]),
        "N = 16": (Contender("scaled", 8, 16), OKABE_ITO["blue"]),
    }
    for label, (contender, color) in chosen.items():
        points = [p for name in SUBSAMPLINGS for p in curves.files.get((picture, contender, name), [])]
        if points:
            values, sizes = best_points(points, "ssim")
            axes.plot(sizes / 1000, values, color=color, linewidth=1.5, label=label)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(1, 60)
    axes.set_yticks(list(DECIBELS.values()), [str(ssim) for ssim in DECIBELS])
    axes.set_ylim(DECIBELS[0.5], DECIBELS[0.99] + 1)
    axes.set_xlabel("kB")
    axes.set_ylabel("SSIM")
    axes.legend(frameon=False, loc="lower right", handlelength=1.4)


def draw_ways(axes, table: Table, kind: str) -> None:
    """Median and quartiles of the ways to halve an image, over the quality of plain 8 x 8."""
    ways = {
        "scaled": ("DCT down, DCT up", OKABE_ITO["blue"], "o"),
        "scaled, lanczos": ("DCT down, Lanczos up", OKABE_ITO["green"], "s"),
        "resized": ("Lanczos down and up", OKABE_ITO["red"], "^"),
    }
    for shift, (way, (label, color, marker)) in enumerate(ways.items(), -1):
        found = [table.get((kind, "ssim", way, 16, quality)) for quality in REFERENCES]
        found = [one for one in found if one is not None and math.isfinite(one.upper_quartile)]
        places = np.array([REFERENCES.index(one.quality) for one in found]) + 0.12 * shift
        middle, low, high = (
            np.array([1 + getattr(one, name) / 100 for one in found])
            for name in ("median", "lower_quartile", "upper_quartile")
        )
        axes.errorbar(
            *(places, middle, [middle - low, high - middle]),
            color=color, marker=marker, markersize=4, linewidth=1.3, elinewidth=1, label=label,
        )  # fmt: skip
    _ratio_axis(axes)
    axes.set_xlim(-0.4, len(REFERENCES) - 0.6)
    axes.set_xticks(range(len(REFERENCES)), [str(quality) for quality in REFERENCES])
    axes.set_xlabel("quality of plain 8 × 8 that is to be met")
    axes.legend(frameon=False, loc="upper right", handlelength=1.8)


def figure(curves: Curves, table: Table, pictures: Sequence[Picture]) -> bytes:
    """Return the figure as PNG."""
    kinds = list(dict.fromkeys(picture.set for picture in pictures))
    count = {kind: sum(picture.set == kind for picture in pictures) for kind in kinds}
    style = {"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9.5}
    with matplotlib.rc_context(style):
        sheet = Figure(figsize=(10.5, 10), dpi=130, layout="constrained")
        grid = sheet.subplots(3, 3)
        for axes in grid.flat:
            axes.grid(axis="y", color="0.9", linewidth=0.7)
            axes.set_axisbelow(True)
        for line, metric in enumerate(("ssim", "psnr")):
            for axes, kind in zip(grid[line], kinds, strict=False):
                draw_sizes(axes, table, kind, metric)
                axes.set_title(f"{kind.capitalize()} (n = {count[kind]}), equal {metric.upper()}", loc="left")
                axes.set_xlabel("N of the N × N DCT")
            grid[line, 0].set_ylabel("bytes against plain 8 × 8, median")
            for axes in grid[line, len(kinds) :]:
                axes.set_visible(False)
        lines, labels = grid[0, 0].get_legend_handles_labels()
        title = "Rows 1 and 2: as close to the source as plain 8 × 8 at quality"
        sheet.legend(lines, labels, title=title, frameon=False, loc="outside upper center", ncols=len(DRAWN))
        example = pictures[0].name
        draw_example(grid[2, 0], curves, example)
        grid[2, 0].set_title(f"One image: {Path(example).stem}", loc="left")
        for axes, kind in zip(grid[2, 1:], dict.fromkeys((kinds[0], kinds[-1])), strict=False):
            draw_ways(axes, table, kind)
            axes.set_title(f"{kind.capitalize()} at half size, equal SSIM", loc="left")
        data = io.BytesIO()
        sheet.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


# ---- the command -------------------------------------------------------------------------------------------------


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    print(path, f"{len(data)} bytes")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, metavar="FOLDER", help="PNG crops, loose or in faces-*.tar")
    parser.add_argument("--num-faces", type=int, default=12, help="number of crops to use (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=available_cores(), help="processes (default: all cores)")
    parser.add_argument("--quant-table", type=int, default=3, choices=range(9), help="cjpeg's; default: 3, its default")
    parser.add_argument("--out", type=Path, default=DOCS, metavar="FOLDER", help="default: docs/ of the repository")
    parser.add_argument("--points", type=Path, metavar="FILE", help="write every file's bytes, PSNR and SSIM as CSV")
    parser.add_argument("--pictures", nargs="+", default=PHOTOGRAPHS + GRAPHICS, metavar="NAME", help="only these")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, choices=SIZES, metavar="N", help="only these")
    given = parser.parse_args(arguments)

    pictures = bundled(given.pictures) + (faces(given.faces, given.num_faces) if given.faces else [])
    wanted = contenders(given.sizes)
    options = {} if given.quant_table == 3 else {"quant_table": given.quant_table}
    curves = Curves(measure_all(pictures, wanted, options=options, jobs=given.jobs))
    table = rows(curves, pictures, wanted)
    page = markdown(table, pictures, interpolation_errors(curves), given.quant_table)
    if given.points:
        write(given.points, points_csv(curves.files).encode())
    write(given.out / "scaling.csv", table_csv(table).encode())
    write(given.out / "scaling.png", figure(curves, by_key(table), pictures))
    write(given.out / "scaling.md", page.encode())


if __name__ == "__main__":
    main()
