"""Bytes at equal perceived quality: mozcodec's perceptual mode compared with other encoders.

    python perceptual.py PICTURES --out FOLDER [--every N] [--encoders NAME,...] [--results FILE] [--figure FILE]

PICTURES is a folder of PNG files (of github.com/imazen/codec-corpus for example: ``kodak``, or CID22's images). Every
encoder makes a curve of seven files of every image; each file is decoded by Pillow and measured by SSIMULACRA2 and
MS-SSIM (mozcodec's) and, where libjxl is installed, by the 3-norm of Butteraugli, which none of the encoders optimizes
for. Measurements are appended to FOLDER/points.csv; a second run resumes there. Then FOLDER/table.md and
FOLDER/curves.png are made from all of them; --results writes the table between the marks of a document, --figure the
curves to another file. Encoders that are not installed are left out (pip install ajpegli pyguetzli). Guetzli takes half
a minute an image, and is measured only where --encoders names it.

A ratio is bytes at equal score: curves are interpolated linearly in log bytes at the levels below as far as both reach,
the mean log ratio of an image is one number, and the table gives the geometric mean over the images, the standard
deviation of the logs and how many images are smaller. An encoder with two subsamplings counts with the better of both
at each level. Butteraugli is measured on every second image: it takes longer than everything else together.
"""

import argparse
import csv
import ctypes
import ctypes.util
import io
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from marked import commit, put
from numpy.typing import NDArray
from PIL import Image, features

import mozcodec

Picture = NDArray[np.uint8]
DISTANCES = (0.35, 0.6, 0.95, 1.5, 2.4, 3.8, 6.5)
QUALITIES = (40, 58, 70, 80, 87, 92, 95.5)
SLOW = "Guetzli"
SCORES = ("ssimulacra2", "ms_ssim", "butteraugli")
FIELDS = ("picture", "encoder", "setting", "bytes", *SCORES)


# ---- encoders -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoder:
    """An encoder with its settings; encoders of one *family* differ in subsampling and are compared as one."""

    family: str
    subsampling: str
    settings: tuple[float, ...]
    encode: Callable[[Picture, float], bytes]
    size: Callable[[bytes], int] = len
    """What the file takes once it has been recoded without loss."""
    pixels_of: str = ""
    """The family whose files have the same pixels: measured once."""

    @property
    def name(self) -> str:
        """The name in the table of points."""
        return f"{self.family} {self.subsampling}".strip()


def _pillow(image: Picture, quality: float, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, quality=round(quality), **options)
    return buffer.getvalue()


def _jpegli(image: Picture, distance: float, subsampling: str) -> bytes:
    import ajpegli

    return bytes(ajpegli.encode(image, distance=distance, subsampling=subsampling.replace(":", ""), progressive=2))


def _searched_size(data: bytes) -> int:
    return len(mozcodec.optimize(data))


def _widely_searched_size(data: bytes) -> int:
    return len(mozcodec.optimize(data, optimize_scans="wide"))


def _guetzli(image: Picture, quality: float) -> bytes:
    import pyguetzli

    return bytes(pyguetzli.process_pil_image(Image.fromarray(image), round(quality)))


def _jpeg_xl_size(data: bytes) -> int:
    """Return the bytes of JPEG XL's lossless recompression of a JPEG (libjxl's default effort)."""
    library = _load_libjxl()
    if library is None:
        raise SystemExit("JPEG XL needs libjxl")
    encoder = ctypes.c_void_p(library.JxlEncoderCreate(None))
    try:
        library.JxlEncoderStoreJPEGMetadata(encoder, 1)
        settings = ctypes.c_void_p(library.JxlEncoderFrameSettingsCreate(encoder, None))
        if library.JxlEncoderAddJPEGFrame(settings, data, ctypes.c_size_t(len(data))):
            raise SystemExit("libjxl refuses a file")
        library.JxlEncoderCloseInput(encoder)
        out = ctypes.create_string_buffer(2 * len(data) + 10_000)
        position, left = ctypes.c_void_p(ctypes.addressof(out)), ctypes.c_size_t(len(out))
        if library.JxlEncoderProcessOutput(encoder, ctypes.byref(position), ctypes.byref(left)):
            raise SystemExit("libjxl cannot recompress a file")
        return len(out) - left.value
    finally:
        library.JxlEncoderDestroy(encoder)


def _mozcodec(image: Picture, distance: float, effort: int, subsampling: str) -> bytes:
    return mozcodec.encode(image, distance=distance, effort=effort, subsampling=subsampling)


def _jpeg_encoders(sampling: str) -> Iterator[Encoder]:
    for effort in (0, 1, 2):
        mode = partial(_mozcodec, effort=effort, subsampling=sampling)
        yield Encoder(f"mozcodec effort {effort}", sampling, DISTANCES, mode)
    yield Encoder("mozcodec default", sampling, QUALITIES, partial(mozcodec.encode, subsampling=sampling))
    turbo = partial(_pillow, format="JPEG", subsampling=sampling, progressive=True, optimize=True)
    yield Encoder("libjpeg-turbo", sampling, QUALITIES, turbo)
    if has("ajpegli"):
        plain, searched, widely = "jpegli", "jpegli + scan search", "jpegli + wide scan search"
        coder = partial(_jpegli, subsampling=sampling)
        yield Encoder(plain, sampling, DISTANCES, coder, pixels_of=searched)
        yield Encoder(searched, sampling, DISTANCES, coder, _searched_size, pixels_of=plain)
        yield Encoder(widely, sampling, DISTANCES, coder, _widely_searched_size, pixels_of=plain)
    if _load_libjxl() is not None:
        mode = partial(_mozcodec, effort=1, subsampling=sampling)
        yield Encoder("mozcodec effort 1 as JPEG XL", sampling, DISTANCES, mode, _jpeg_xl_size, "mozcodec effort 1")


def encoders() -> dict[str, Encoder]:
    """Return the encoders that this installation has."""
    found = [encoder for sampling in ("4:2:0", "4:4:4") for encoder in _jpeg_encoders(sampling)]
    if features.check("webp"):
        found.append(Encoder("WebP", "", (30, 50, 65, 78, 86, 92, 96), partial(_pillow, format="WEBP", method=6)))
    if features.check("avif"):
        found.append(Encoder("AVIF", "", (35, 48, 58, 66, 75, 83, 90), partial(_pillow, format="AVIF", speed=6)))
    if has("pyguetzli"):
        found.append(Encoder(SLOW, "", (84, 90, 95), _guetzli))
    return {encoder.name: encoder for encoder in found}


def has(package: str) -> bool:
    """Return whether *package* is installed."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


# ---- metrics --------------------------------------------------------------------------------------------------------


class _PixelFormat(ctypes.Structure):
    _fields_ = [
        ("num_channels", ctypes.c_uint32), ("data_type", ctypes.c_int), ("endianness", ctypes.c_int),
        ("align", ctypes.c_size_t),
    ]  # fmt: skip


@cache
def _load_libjxl() -> Any:
    """libjxl, or None where it is not installed; LIBJXL names a file."""
    name = os.environ.get("LIBJXL") or ctypes.util.find_library("jxl")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    for function in ("JxlEncoderCreate", "JxlEncoderFrameSettingsCreate"):
        getattr(library, function).restype = ctypes.c_void_p
    return library


@cache
def _libjxl() -> tuple[Any, Any] | None:
    """libjxl 0.7 and its comparison, at 80 nits as for SDR screens; None where it is not installed."""
    library = _load_libjxl()
    if library is None or not hasattr(library, "JxlButteraugliApiCreate"):
        return None
    for function in ("JxlButteraugliApiCreate", "JxlButteraugliCompute"):
        getattr(library, function).restype = ctypes.c_void_p
    library.JxlButteraugliResultGetDistance.restype = ctypes.c_float
    api = ctypes.c_void_p(library.JxlButteraugliApiCreate(None))
    library.JxlButteraugliApiSetIntensityTarget(api, ctypes.c_float(80))
    library.JxlButteraugliApiSetHFAsymmetry(api, ctypes.c_float(0.8))
    return library, api


def butteraugli(reference: Picture, distorted: Picture) -> float:
    """Return the 3-norm of Butteraugli, or nan without libjxl."""
    loaded = _libjxl()
    if loaded is None:
        return math.nan
    library, api = loaded
    a, b = np.ascontiguousarray(reference), np.ascontiguousarray(distorted)
    pixels = _PixelFormat(3, 2, 0, 0)  # JXL_TYPE_UINT8
    height, width = a.shape[:2]
    result = library.JxlButteraugliCompute(
        api, ctypes.c_uint32(width), ctypes.c_uint32(height), ctypes.byref(pixels), a.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(a.nbytes), ctypes.byref(pixels), b.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(b.nbytes),
    )  # fmt: skip
    if not result:
        return math.nan
    distance = float(library.JxlButteraugliResultGetDistance(ctypes.c_void_p(result), ctypes.c_float(3)))
    library.JxlButteraugliResultDestroy(ctypes.c_void_p(result))
    return distance


@dataclass(frozen=True)
class Metric:
    """A column of points.csv, the levels at which bytes are compared, and what makes it grow with quality."""

    column: str
    title: str
    levels: tuple[float, ...]
    rising: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _same(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values


def _decibels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return -10 * np.log10(np.maximum(1 - values, 1e-9))


def _falling(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(values)


METRICS = (
    Metric("ssimulacra2", "SSIMULACRA2 60..85", (60, 65, 70, 75, 80, 85), _same),
    Metric("ssimulacra2", "SSIMULACRA2 88..92", (88, 89, 90, 91, 92), _same),
    Metric("ms_ssim", "MS-SSIM 19..27 dB", (19, 21, 23, 25, 27), _decibels),
    Metric("butteraugli", "Butteraugli 0.6..1.7", tuple(-np.log((1.7, 1.3, 1.0, 0.8, 0.6))), _falling),
)


# ---- measuring ------------------------------------------------------------------------------------------------------


def _pictures(folder: Path, every: int) -> list[Path]:
    def number(path: Path) -> tuple[int, str]:
        return (int(path.stem) if path.stem.isdigit() else 0, path.name)

    found = sorted((path for path in folder.iterdir() if path.suffix.lower() == ".png"), key=number)
    if not found:
        raise SystemExit(f"{folder} holds no PNG file")
    return found[::every]


def _read(path: Path) -> Picture:
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB")))


def _points(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(pictures: Sequence[Path], wanted: Sequence[Encoder], table: Path) -> None:
    """Append what is missing to *table*."""
    done = {(row["picture"], row["encoder"], float(row["setting"])): row for row in _points(table)}
    is_new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        for number, path in enumerate(pictures):
            image = _read(path)
            for encoder in wanted:
                for setting in encoder.settings:
                    key = path.stem, encoder.name, setting
                    if key in done:
                        continue
                    data = encoder.encode(image, setting)
                    same = done.get((path.stem, f"{encoder.pixels_of} {encoder.subsampling}", setting))
                    scores = {field: same[field] for field in SCORES} if same else _scores(image, data, number % 2 == 0)
                    done[key] = dict(zip(FIELDS, (*key, encoder.size(data), *scores.values()), strict=True))
                    writer.writerow(done[key])
                    file.flush()
            print(f"{number + 1}/{len(pictures)} {path.stem}", file=sys.stderr, flush=True)


def _scores(image: Picture, data: bytes, with_butteraugli: bool) -> dict[str, str]:
    pixels = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    small = min(image.shape[:2]) < 176
    return {
        "ssimulacra2": f"{mozcodec.ssimulacra2(image, pixels):.5f}",
        "ms_ssim": "nan" if small else f"{mozcodec.ms_ssim(image, pixels):.8f}",
        "butteraugli": f"{butteraugli(image, pixels):.6f}" if with_butteraugli else "nan",
    }


# ---- comparing ------------------------------------------------------------------------------------------------------


class Curves:
    """Log bytes of every image and family at the levels of a metric; nan beyond a curve's ends."""

    def __init__(self, rows: Sequence[dict[str, str]], metric: Metric) -> None:
        self.pictures = sorted({row["picture"] for row in rows})
        points: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for row in rows:
            value = float(metric.rising(np.array(float(row[metric.column]))))
            points.setdefault((row["picture"], row["encoder"]), []).append((value, math.log(int(row["bytes"]))))
        self._levels = metric.levels
        self._points = points

    def family(self, family: str) -> NDArray[np.float64]:
        """Return (images, levels)."""
        out = np.full((len(self.pictures), len(self._levels)), np.nan)
        for i, picture in enumerate(self.pictures):
            curves = [
                self._at_levels(self._points[picture, name])
                for name in (family, f"{family} 4:2:0", f"{family} 4:4:4")
                if (picture, name) in self._points
            ]
            for curve in curves:
                out[i] = np.fmin(out[i], curve)
        return out

    def _at_levels(self, points: list[tuple[float, float]]) -> NDArray[np.float64]:
        measured = sorted(point for point in points if math.isfinite(point[0]))
        if len(measured) < 2:
            return np.full(len(self._levels), np.nan)
        x, y = np.array(measured).T
        return np.interp(self._levels, x, y, left=np.nan, right=np.nan)


def ratio(curves: Curves, one: str, other: str) -> str:
    """Return "ratio (spread, wins/images)" of the bytes of *one* over those of *other*."""
    difference = curves.family(one) - curves.family(other)
    rows = [row[np.isfinite(row)] for row in difference]
    means = np.array([row.mean() for row in rows if len(row)])
    if not len(means):
        return "-"
    return f"{math.exp(means.mean()):.3f} ({means.std():.3f}, {(means < 0).sum()}/{len(means)})"


def _families(rows: Sequence[dict[str, str]]) -> list[str]:
    names = dict.fromkeys(row["encoder"].removesuffix(" 4:2:0").removesuffix(" 4:4:4") for row in rows)
    return list(names)


def tables(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield the lines of the report."""
    families = _families(rows)
    for one in (name for name in families if name.startswith("mozcodec effort") and name[-1].isdigit()):
        yield f"Bytes of {one} over those of"
        yield ""
        yield f"| | {' | '.join(metric.title for metric in METRICS)} |"
        yield "|---|" + "---|" * len(METRICS)
        for other in families:
            if other != one:
                cells = [ratio(Curves(rows, metric), one, other) for metric in METRICS]
                yield f"| {other} | {' | '.join(cells)} |"
        yield ""


def versions() -> str:
    """Return the commit and the versions of what takes part."""
    parts = [f"commit {commit()}"]
    parts += [f"{name} {version(name)}" for name in ("mozcodec", "ajpegli", "pillow") if has(name)]
    parts += [f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "webp", "avif") if features.check(name)]
    parts.append("Butteraugli of libjxl" if _libjxl() else "no libjxl: no Butteraugli")
    return ", ".join(parts)


def draw(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Draw bytes relative to effort 1 against each metric, every family with its better subsampling."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    wide = (
        Metric("ssimulacra2", "SSIMULACRA2", tuple(range(58, 93, 2)), _same),
        Metric("ms_ssim", "MS-SSIM in dB", tuple(range(17, 29)), _decibels),
        Metric("butteraugli", "-log Butteraugli", tuple(np.linspace(-0.8, 0.7, 12)), _falling),
    )
    figure, axes = plt.subplots(1, 3, figsize=(15, 5))
    for axis, metric in zip(axes, wide, strict=True):
        curves = Curves(rows, metric)
        base = curves.family("mozcodec effort 1")
        for number, family in enumerate(_families(rows)):
            relative = curves.family(family) - base
            known = np.isfinite(relative)
            count = known.sum(0)
            mean = np.where(known, relative, 0).sum(0) / np.maximum(count, 1)
            mean[count < max(1, count.max() // 2)] = np.nan  # too few images
            color = f"C{number}" if number < 10 else "black"  # of the ten colours of the cycle, none twice
            axis.plot(metric.levels, np.exp(mean), label=family, marker=".", color=color)
        axis.set_xlabel(metric.title)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("bytes over those of mozcodec effort 1 at equal score")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=5, fontsize=8)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th image")
    parser.add_argument("--results", type=Path, metavar="FILE", help="a document with this program's marks")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the curves here too")
    parser.add_argument("--encoders", metavar="NAME,...", help="families; default: all that are installed")
    args = parser.parse_args()
    everyone = encoders()
    if args.encoders:
        wanted = [e for e in everyone.values() if e.family in args.encoders.split(",")]
        if not wanted:
            names = ", ".join(dict.fromkeys(e.family for e in everyone.values()))
            parser.error(f"--encoders names no encoder; known: {names}")
    else:
        wanted = [e for e in everyone.values() if e.family != SLOW]
    args.out.mkdir(parents=True, exist_ok=True)
    measure(_pictures(args.pictures, args.every), wanted, args.out / "points.csv")
    rows = _points(args.out / "points.csv")
    report = "\n".join([f"{len({row['picture'] for row in rows})} images; {versions()}", "", *tables(rows)])
    (args.out / "table.md").write_text(report)
    draw(rows, args.out / "curves.png")
    if args.figure:
        draw(rows, args.figure)
    if args.results:
        put(args.results, "perceptual.py", report)
    print(report)


if __name__ == "__main__":
    main()
