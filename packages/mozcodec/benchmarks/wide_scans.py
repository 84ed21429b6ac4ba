"""Bytes and CPU time of the wide scan search beside mozjpeg's.

    python wide_scans.py PICTURES [--every N] [--rounds N] [--results FILE]

PICTURES is a folder of PNG files. Every image is encoded with ``optimize_scans=True`` and ``"wide"`` at three qualities
and both subsamplings, and files of the perceptual mode at three distances are rewritten. The files of a pair have the
same coefficients, which is checked, so bytes alone are compared. The calls of a round follow each other, so that
another load on the machine meets both.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from marked import commit, put
from numpy.typing import NDArray
from PIL import Image

import mozcodec

Picture = NDArray[np.uint8]
QUALITIES = (50, 75, 90)
DISTANCES = (0.9, 1.6, 3.0)


def _seconds(work: Callable[[], bytes]) -> tuple[float, bytes]:
    began = time.process_time()
    data = work()
    return time.process_time() - began, data


def _compare(narrow: Callable[[], bytes], wide: Callable[[], bytes], rounds: int) -> tuple[float, float]:
    """Return the bytes and the CPU time of the wide search over mozjpeg's, for one file."""
    times = []
    for _ in range(rounds):
        before, first = _seconds(narrow)
        after, second = _seconds(wide)
        times.append(after / before)
    same = zip(*(mozcodec.read_coefficients(data).components for data in (first, second)), strict=True)
    if not all(np.array_equal(a, b) for a, b in same):
        raise SystemExit("the wide search has changed coefficients")
    return len(second) / len(first), statistics.median(times)


def _encode(image: Picture, quality: float, subsampling: str, search: bool | str) -> Callable[[], bytes]:
    return lambda: mozcodec.encode(image, quality, subsampling=subsampling, optimize_scans=search)  # type: ignore[arg-type]


def _rewrite(data: bytes, search: bool | str) -> Callable[[], bytes]:
    return lambda: mozcodec.optimize(data, optimize_scans=search)  # type: ignore[arg-type]


def measure(images: list[Picture], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return (bytes, CPU time) over those of mozjpeg's search, for each image of each row."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for image in images:
        for subsampling in ("4:2:0", "4:4:4"):
            for quality in QUALITIES:
                pair = (_encode(image, quality, subsampling, how) for how in (True, "wide"))
                rows.setdefault(f"encode, quality {quality}, {subsampling}", []).append(_compare(*pair, rounds))
        for distance in DISTANCES:
            data = mozcodec.encode(image, distance=distance, effort=0, subsampling="4:2:0")
            pair = (_rewrite(data, how) for how in (True, "wide"))
            rows.setdefault(f"optimize, distance {distance}, 4:2:0", []).append(_compare(*pair, rounds))
    return rows


def table(rows: dict[str, list[tuple[float, float]]], num_images: int) -> str:
    """Return the table of the results."""
    lines = [
        f"{num_images} images; commit {commit()}, mozcodec {version('mozcodec')}",
        "",
        "| | bytes over those of mozjpeg's search: geometric mean (smallest to largest) | CPU time: median |",
        "|---|---|---|",
    ]
    for name, values in rows.items():
        sizes, times = zip(*values, strict=True)
        mean = math.exp(statistics.fmean(map(math.log, sizes)))
        lines.append(f"| {name} | {mean:.4f} ({min(sizes):.4f} to {max(sizes):.4f}) | {statistics.median(times):.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every Nth image")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of timing; default 3")
    parser.add_argument("--results", type=Path, help="document with the marks of this program")
    args = parser.parse_args()
    paths = sorted(args.pictures.rglob("*.png"))[:: args.every]
    if not paths:
        raise SystemExit(f"{args.pictures} has no PNG files")
    images = [np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))) for path in paths]
    text = table(measure(images, args.rounds), len(images))
    print(text)
    if args.results:
        put(args.results, "wide_scans.py", text)


if __name__ == "__main__":
    main()
