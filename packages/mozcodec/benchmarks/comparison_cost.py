"""CPU time that ``optimize`` needs for the comparison of what it wrote with its source.

    python packages/mozcodec/benchmarks/comparison_cost.py [--rounds N] [--images NAME ...] [--qualities Q ...]

Each call with the comparison stands between two without it, in one process and on one thread: the comparison is left
out by a switch of the engine that no public function has. The table has (with - without) / without in percent: the
median over the rounds, and the quartiles. CPU time is measured, so that other load on the machine changes it little.
"""

import argparse
import statistics
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from marked import commit
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from timing import Call, Spread, interleave

import mozcodec
from mozcodec import _engine
from mozcodec._mozjpeg import lib

Picture = NDArray[np.uint8]
QUALITIES = (50, 75, 90, 95)
SAMPLE = 0.05  # seconds of CPU time for each side of a round


def _face() -> Picture:
    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def _enlarged(image: Picture, width: int, height: int, seed: int = 0) -> Picture:
    """A photograph of that size with a camera's noise."""
    large = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(seed).standard_normal((height, width, 1), np.float32)
    return np.clip(large + 3 * noise, 0, 255).astype(np.uint8)


def _noise() -> Picture:
    return np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)


IMAGES: dict[str, Callable[[], Picture]] = {
    "face, 256 x 256": _face,
    "astronaut, 512 x 512": data.astronaut,
    "coffee, 600 x 400": data.coffee,
    "noise, 256 x 256": _noise,
    "photograph, 2 MP": lambda: _enlarged(data.chelsea(), 1730, 1153),
    "photograph, 24 MP": lambda: _enlarged(data.coffee(), 6000, 4000),
}
WRITTEN = {"progressive": True, "baseline": False}


def _optimize(jpeg: bytes, progressive: bool, unproven: bool) -> Callable[[], bytes]:
    def call() -> bytes:
        lib.mzc_engine_leave_unproven(engine, unproven)
        try:
            return mozcodec.optimize(jpeg, progressive=progressive)
        finally:
            lib.mzc_engine_leave_unproven(engine, 0)

    engine = _engine.engine()
    return call


def cost(jpeg: bytes, progressive: bool, rounds: int) -> tuple[Spread, Spread]:
    """Return the time with the comparison over that without it, and their difference in seconds."""
    without, compared = (Call(_optimize(jpeg, progressive, unproven)) for unproven in (True, False))
    if without() != compared():
        raise SystemExit("the comparison found a difference: the file was written in another way")
    timed = interleave(without, {"compared": compared}, rounds, SAMPLE)
    return timed.ratios["compared"], timed.extra["compared"]


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):.1f}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="default 15")
    parser.add_argument("--images", nargs="*", choices=IMAGES, default=list(IMAGES), metavar="NAME", help="default all")
    parser.add_argument("--qualities", nargs="*", type=int, default=QUALITIES, help="default 50 75 90 95")
    args = parser.parse_args()
    if not _engine.CPU:
        raise SystemExit("mozcodec is built without its engine: nothing to compare")
    print(f"commit {commit()}, mozcodec {version('mozcodec')}, {args.rounds} rounds, 4:2:0, {_engine.CPU_NAME}\n")
    print("| image | quality | written | cost, % of the rest: median (quartiles) | ms |\n|---|---:|---|---:|---:|")
    medians: dict[str, list[float]] = {name: [] for name in WRITTEN}
    for name in args.images:
        image = IMAGES[name]()
        for quality in args.qualities:
            jpeg = mozcodec.encode(image, quality, progressive=False, trellis_quant=False, subsampling="4:2:0")
            for written, progressive in WRITTEN.items():
                ratio, extra = cost(jpeg, progressive, args.rounds)
                medians[written].append(ratio.median)
                spread = f"{_percent(ratio.median)} ({_percent(ratio.low)} to {_percent(ratio.high)})"
                print(f"| {name} | {quality} | {written} | {spread} | {1e3 * extra.median:.2f} |", flush=True)
    for written, ratios in medians.items():
        least, most = _percent(min(ratios)), _percent(max(ratios))
        print(f"\n{written}: median {_percent(statistics.median(ratios))} %, {least} to {most} %")


if __name__ == "__main__":
    main()
