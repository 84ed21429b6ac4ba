"""The fidelity stage: how close the crops stay to themselves at every test quality, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np

from .config import CompressConfig, Params
from .data.index import Face
from .options import params_option

Metrics = tuple[float, float, int]  # PSNR in dB, SSIM, bytes

PERCENTILES = (5, 50, 95)


@dataclass(frozen=True, slots=True)
class Row:
    """One crop at one quality: PSNR in dB (``inf`` if identical), SSIM, bytes of the JPEG file, bits per pixel."""

    key: str
    quality: str
    psnr: float
    ssim: float
    bytes: int
    bits_per_pixel: float


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of `panels/` and its `Row`; the bytes of ``raw`` are those of the PNG file."""

    file: str
    key: str
    quality: str
    psnr: float
    ssim: float
    bytes: int
    bits_per_pixel: float


@click.command()
@click.argument("faces", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.argument("summary", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--workers", type=click.IntRange(0), default=0, show_default="all cores", help="Number of threads.")
@params_option
def command(faces: Path, out: Path, summary: Path, workers: int, params: Params) -> None:
    """Measure PSNR, SSIM and bits per pixel of the crops in FACES at the test qualities.

    Every crop's numbers and pictures of a few go to the folder OUT, means and percentiles to the file SUMMARY.
    """
    found = measure(faces, out, summary, params.qualities, params.compress, workers)
    for quality, row in found.items():
        if quality != "n":
            numbers = f"PSNR {row['psnr']:.2f} dB, SSIM {row['ssim']:.4f}, {row['bits_per_pixel']:.3f} bits per pixel"
            click.echo(f"{quality:>5}: {numbers}")


def measure(
    faces: str | Path,
    out: str | Path,
    summary: str | Path,
    qualities: Sequence[int],
    config: CompressConfig,
    workers: int = 0,
) -> dict[str, dict[str, float]]:
    """Encode all crops of the folder *faces* at *qualities*, write *out* and *summary*, and return the summary.

    *out* gets ``images.csv`` (a `Row` per crop and quality), ``panels.csv`` and ``panels/``. Raises
    `detector.errors.DataError` if *faces* is not whole.
    """
    from .data.files import whole_folder, write_json
    from .data.index import read_index, write_rows
    from .data.shards import ShardReader
    from .progress import track
    from .system import cores

    index, reader = read_index(faces), ShardReader(faces)

    def at_all_qualities(face: Face) -> list[Row]:
        return [row(face.key, *one) for one in degrade(reader, face, qualities, config)]

    with whole_folder(out, "images.csv") as folder:
        with ThreadPoolExecutor(workers or cores()) as pool:
            measured = pool.map(at_all_qualities, index)
            rows = list(chain.from_iterable(track(measured, len(index), "fidelity")))
        panels = [panel for face in examples(index) for panel in draw(folder, reader, face, qualities, config)]
        write_rows(folder / "panels.csv", Panel, panels)
        write_rows(folder / "images.csv", Row, rows)
        found = summarize(rows, index)
        write_json(summary, found)
    return found


def degrade(
    reader: Any, face: Face, qualities: Sequence[int], config: CompressConfig
) -> list[tuple[str, np.ndarray, Metrics]]:
    """Return the crop *face* at each quality: its name, the decoded pixels, uint8 (H, W, 3), and the `Metrics`."""
    import mozcodec
    from evaluation.fidelity import psnr, ssim

    from .data.compress import read_crop, squeeze

    image = read_crop(reader, face)
    found = []
    for quality in qualities:
        data = squeeze(image, quality, config)
        decoded = mozcodec.decode(data, pixel_format="rgb")
        found.append((str(quality), decoded, (psnr(image, decoded), ssim(image, decoded), len(data))))
    return found


def row(key: str, quality: str, image: np.ndarray, metrics: Metrics) -> Row:
    """Return the `Row` of one crop at one quality."""
    from evaluation.fidelity import bits_per_pixel

    psnr, ssim, size = metrics
    return Row(key, quality, round(psnr, 4), round(ssim, 6), size, round(bits_per_pixel(size, *image.shape[:2]), 5))


def summarize(rows: Sequence[Row], index: Sequence[Face]) -> dict[str, dict[str, float]]:
    """Return, for every quality, the mean of each measure and its 5th, 50th and 95th percentile.

    Keys are ``q77`` and ``n``, how many there are. Identical crops, whose PSNR is infinite, are left out of the PSNR
    and counted.
    """
    found: dict[str, dict[str, float]] = {}
    for quality in dict.fromkeys(row.quality for row in rows):
        at = [row for row in rows if row.quality == quality]
        numbers: dict[str, float] = {}
        for name in ("psnr", "ssim", "bytes", "bits_per_pixel"):
            values = [value for row in at if math.isfinite(value := getattr(row, name))]
            if len(values) < len(at):
                numbers[f"{name}_infinite"] = len(at) - len(values)
            if values:
                numbers[name] = round(float(np.mean(values)), 5)
                for p in PERCENTILES:
                    numbers[f"{name}_p{p}"] = round(float(np.percentile(values, p)), 5)
        found[f"q{quality}"] = numbers
    found["n"] = {"faces": len(index), "videos": len({face.video for face in index})}
    return found


def examples(index: Sequence[Face]) -> list[Face]:
    """Return the crops to show: of the middle real test video the middle one, and the same moment in its forgeries.

    Where there is no real test video, the middle one of all crops.
    """
    real = [face for face in index if face.method == "original" and face.split == "test"] or list(index)
    videos = list(dict.fromkeys(face.video for face in real))
    of_video = [face for face in real if face.video == videos[len(videos) // 2]]
    first = of_video[len(of_video) // 2]
    target = first.identity.split("+")[0]
    forged: dict[str, Face] = {}
    for face in index:
        if face.label and first.label == 0 and face.identity.split("+")[0] == target:
            best = forged.get(face.method, face)
            forged[face.method] = min(best, face, key=lambda f: (abs(f.frame - first.frame), f.key))
    return [first, *(forged[method] for method in sorted(forged))]


def draw(folder: Path, reader: Any, face: Face, qualities: Sequence[int], config: CompressConfig) -> list[Panel]:
    """Write the crop *face* raw and at each quality as PNG files into ``panels`` of *folder*; return their rows."""
    from .data.compress import read_crop
    from .data.png import encode_png

    raw = read_crop(reader, face)
    (folder / "panels").mkdir(exist_ok=True)
    panels = []
    unchanged = ("raw", raw, (math.inf, 1.0, face.size))
    for quality, image, metrics in [unchanged, *degrade(reader, face, qualities, config)]:
        name = quality if quality == "raw" else f"q{quality}"
        file = f"panels/{face.key.replace('/', '-')}-{name}.png"
        (folder / file).write_bytes(encode_png(image))
        r = row(face.key, quality, image, metrics)
        panels.append(Panel(file, r.key, r.quality, r.psnr, r.ssim, r.bytes, r.bits_per_pixel))
    return panels
