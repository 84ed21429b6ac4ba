"""Random JPEG compression as an augmentation: mozcodec.torch.JPEG beside torchvision's and albumentations' transforms.

    python packages/mozcodec/benchmarks/transform.py [--rounds N] [--sizes PIXELS ...]

Each round runs every transform on the same images at the same qualities, one after the other; the table has the median
over the rounds of CPU time an image, of ratios to mozcodec's, and their range. Libraries that are not installed, or
that lack their compiled operators, are left out and named.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skimage import data

import mozcodec
from mozcodec.torch import ENCODERS, JPEG

OURS = "mozcodec, turbo"
QUALITIES = (35, 60, 77, 90)


def _torchvision() -> Callable[[Any, int], Any]:
    from torchvision.transforms import v2

    def run(tensor: Any, quality: int) -> Any:
        return v2.JPEG(quality)(tensor)

    run(torch.zeros(3, 16, 16, dtype=torch.uint8), 75)
    return run


def _albumentations() -> Callable[[Any, int], Any]:
    import albumentations

    made = {q: albumentations.ImageCompression(quality_range=(q, q), p=1) for q in QUALITIES}

    def run(array: Any, quality: int) -> Any:
        return made[quality](image=array)["image"]

    return run


def _opencv() -> Callable[[Any, int], Any]:
    import cv2

    def run(array: Any, quality: int) -> Any:
        return cv2.imdecode(cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)

    return run


def _mozcodec_alone() -> Callable[[Any, int], Any]:
    return lambda array, quality: mozcodec.decode(mozcodec.encode(array, quality, **ENCODERS["turbo"]))


def _mozcodec(encoder: str) -> Callable[[Any, int], Any]:
    made = {q: JPEG(q, encoder=encoder) for q in QUALITIES}
    return lambda tensor, quality: made[quality](tensor)


ON_ARRAYS = {
    "albumentations": _albumentations,
    "OpenCV's functions": _opencv,
    "mozcodec's functions": _mozcodec_alone,
}
"""Those that take (H, W, 3) arrays; the others take tensors (3, H, W), contiguous, and `OURS` also channels-last ones,
whose pixels lie in memory as those of the arrays do."""


def contenders() -> dict[str, Callable[[Any, int], Any]]:
    """Return the transforms that this installation has."""
    found = {OURS: _mozcodec("turbo"), "mozcodec, turbo, contiguous": _mozcodec("turbo")}
    for name, make in (("torchvision", _torchvision), *ON_ARRAYS.items()):
        try:
            found[name] = make()
        except (ImportError, RuntimeError) as error:
            print(f"left out: {name} ({str(error).splitlines()[0]})")
    return found | {"mozcodec, mozjpeg": _mozcodec("mozjpeg")}


def measure(size: int, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of CPU an image, by transform and round."""
    images = [np.ascontiguousarray(data.astronaut()[i * 16 : i * 16 + size, :size]) for i in range(2)]
    tensors = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in images]
    channels_last = [torch.from_numpy(image).permute(2, 0, 1) for image in images]  # as decode_jpeg returns them
    times: dict[str, list[float]] = {}
    transforms = contenders()
    for _ in range(rounds):
        for name, run in transforms.items():
            inputs: list[Any] = images if name in ON_ARRAYS else tensors
            inputs = channels_last if name == OURS else inputs
            start = time.process_time()
            for image in inputs:
                for quality in QUALITIES:
                    run(image, quality)
            times.setdefault(name, []).append(1000 * (time.process_time() - start) / len(images) / len(QUALITIES))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=(128, 224, 448))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| pixels | transform | ms an image | CPU time, mozcodec = 1 (range) |\n| --- | --- | --- | --- |")
    for size in args.sizes:
        times = measure(size, args.rounds)
        ours = times[OURS]
        for name, values in times.items():
            ratios = [value / base for value, base in zip(values, ours, strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"| {size} x {size} | {name} | {statistics.median(values):.2f} | {spread} |")


if __name__ == "__main__":
    main()
