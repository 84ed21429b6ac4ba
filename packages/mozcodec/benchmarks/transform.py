"""Random JPEG compression as an augmentation: mozcodec.torch.JPEG beside torchvision, albumentations and Kornia.

    python packages/mozcodec/benchmarks/transform.py [--rounds N] [--sizes PIXELS ...]

The torchvision of the package index is built for CUDA, and its JPEG operators load only beside a torch for CUDA; a
GPU is not needed. An environment of its own, about 6 GB:

    python -m venv peers
    peers/bin/pip install torch==2.13.0 torchvision==0.28.0 albumentations==2.0.8 opencv-python-headless scikit-image
    peers/bin/pip install packages/mozcodec kornia

(where pip would find a torch for the CPU, with ``PIP_CONFIG_FILE=/dev/null`` and without ``PIP_FIND_LINKS``).

Each round runs every transform with quality=(30, 95) on the same images, one after the other, each of them first in
turn; the table has the median over the rounds of CPU time an image, of ratios to mozcodec's, and their range.
albumentations takes arrays (H, W, 3), and Kornia's RandomJPEG floats, which are made beforehand, in every row;
RandomJPEG approximates JPEG by operations that have a gradient. Libraries that are not installed, or that lack their
compiled operators, are left out and named. Ends with status 1 if pixels differ from torchvision's.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skimage import data

from mozcodec.torch import JPEG

QUALITY = (30, 95)
OURS = "mozcodec"
BATCH = 32


def _torchvision() -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    v2.JPEG(75)(torch.zeros(3, 16, 16, dtype=torch.uint8))
    return v2.JPEG(QUALITY)  # type: ignore[no-any-return]


def _albumentations() -> Callable[[Any], Any]:
    import albumentations

    transform = albumentations.ImageCompression(quality_range=QUALITY, p=1)

    def run(images: Any) -> Any:
        if images.ndim == 3:
            return transform(image=images)["image"]
        return [transform(image=image)["image"] for image in images]

    return run


def _kornia() -> Callable[[Any], Any]:
    from kornia.augmentation import RandomJPEG

    return RandomJPEG(jpeg_quality=tuple(map(float, QUALITY)), p=1.0)  # type: ignore[no-any-return]


def contenders() -> dict[str, Callable[[Any], Any]]:
    """Return the transforms that this installation has."""
    found: dict[str, Callable[[Any], Any]] = {OURS: JPEG(QUALITY)}
    makers = {"torchvision": _torchvision, "albumentations": _albumentations, "kornia": _kornia}
    for name, make in makers.items():
        try:
            found[name] = make()
        except (ImportError, RuntimeError) as error:
            print(f"left out: {name} ({str(error).splitlines()[0]})")
    return found


def differing_pixels(size: int) -> int:
    """Return at how many qualities the pixels differ from torchvision's."""
    from torchvision.transforms import v2

    tensor = torch.from_numpy(_images(size)[0]).permute(2, 0, 1)
    return sum(not torch.equal(JPEG(q)(tensor), v2.JPEG(q)(tensor)) for q in range(1, 101, 3))


def _images(size: int) -> Any:
    """Return BATCH parts of a photograph, (N, H, W, 3)."""
    whole = np.concatenate([data.astronaut()] * 2, axis=1)
    return np.stack([whole[:size, 16 * i : 16 * i + size] for i in range(BATCH)])


def measure(
    transforms: dict[str, Callable[[Any], Any]], size: int, batched: bool, contiguous: bool, rounds: int
) -> dict[str, list[float]]:
    """Return milliseconds of CPU an image, by transform and round."""
    arrays = _images(size)
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    if contiguous:
        tensors = tensors.contiguous()
    given = {"albumentations": arrays, "kornia": tensors / 255}
    times: dict[str, list[float]] = {name: [] for name in transforms}
    names = list(transforms)
    for i in range(rounds):
        torch.manual_seed(i)
        for name in names[i % len(names) :] + names[: i % len(names)]:
            images = given.get(name, tensors)
            calls = [images] * (4 if size < 256 else 2) if batched else list(images) * (4 if size < 256 else 1)
            run = transforms[name]
            run(calls[0])
            start = time.process_time()
            for call in calls:
                run(call)
            number = len(calls) * (BATCH if batched else 1)
            times[name].append(1000 * (time.process_time() - start) / number)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=(64, 128, 224, 256, 512))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transforms = contenders()
    others = [name for name in transforms if name != OURS]
    titles = [f"{name}, times as long" for name in others]
    print("| " + " | ".join(["pixels", "images", "memory", "mozcodec, ms an image", *titles]) + " |")
    print("| --- " * (4 + len(others)) + "|")
    for size in args.sizes:
        for batched in (False, True):
            for contiguous in (True, False):
                times = measure(transforms, size, batched, contiguous, args.rounds)
                row = [f"{size} x {size}", str(BATCH) if batched else "1", "planes" if contiguous else "channels-last"]
                row.append(f"{statistics.median(times[OURS]):.3f}")
                for name in others:
                    ratios = [theirs / ours for theirs, ours in zip(times[name], times[OURS], strict=True)]
                    row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
                print("| " + " | ".join(row) + " |", flush=True)
    if "torchvision" not in transforms:
        return 0
    differing = sum(differing_pixels(size) for size in args.sizes)
    print(f"pixels differ from torchvision's at {differing} of {34 * len(args.sizes)} sizes and qualities")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
