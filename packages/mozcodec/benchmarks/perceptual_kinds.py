"""Bytes of the perceptual mode at equal SSIMULACRA2 for kinds of images that photo collections lack.

    python perceptual_kinds.py [--faces FOLDER] [--results FILE]

Small faces, screenshots, line art, saturated colours, gray, noise and gradients, from scikit-image and from integer
arithmetic; FOLDER adds some of the PNG faces in a folder. Every encoder makes nine files of an image (the perceptual
mode: subsampling="auto"; the default encode: 4:2:0 and 4:4:4, the better at each score). The table has the geometric
mean of the ratios of bytes, and their extremes, at the SSIMULACRA2 60 to 90 that both reach, and the bytes of
encode_to_target over those of the lowest quality of the default encode with that score.

Below 225 pixels SSIMULACRA2 lacks scales, and the published program then applies the weights of others. Images below
256 pixels are therefore reflected at their edges, up to that size, before they are scored.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from marked import put
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.transform import resize

import mozcodec

Picture = NDArray[np.uint8]
LEVELS = tuple(range(60, 91, 5))
DISTANCES = (0.25, 0.4, 0.6, 0.9, 1.4, 2.2, 3.5, 5.5, 9.0)
QUALITIES = (20, 35, 50, 65, 77, 85, 91, 95, 98)


def _small(pixels: Picture, size: int) -> Picture:
    scaled = resize(pixels, (size, size), anti_aliasing=True, preserve_range=True)
    return np.round(scaled).astype(np.uint8)


def _gradient(size: int) -> Picture:
    y, x = np.mgrid[:size, :size]
    return np.stack([40 + x * 170 // size, 60 + y * 120 // size, 200 - (x + y) * 80 // size], 2).astype(np.uint8)


def _screenshot() -> Picture:
    """Windows with text, title bars and thin lines on a flat background."""
    screen = np.full((480, 640, 3), (58, 110, 165), np.uint8)
    page = np.asarray(data.page())
    for n, (top, left) in enumerate(((30, 40), (150, 230))):
        window = screen[top : top + 260, left : left + 340]
        window[:] = (236, 233, 216)
        window[:22] = (10, 36 + 60 * n, 106)
        window[30:221, 8 : 8 + 324] = page[:191, :324, None]
        window[225:227] = (128, 128, 128)
        window[[0, -1]] = window[:, [0, -1]] = (0, 0, 0)
    return screen


def _line_art(size: int) -> Picture:
    y, x = np.mgrid[:size, :size]
    rings = (x - size // 2) ** 2 + (y - size // 3) ** 2
    drawn = (rings // 400 % 7 == 0) | ((x + 2 * y) % 61 < 2) | ((x * 3 - y) % 97 < 2)
    return np.where(drawn[..., None], 20, 250).astype(np.uint8).repeat(3, axis=2)


def kinds(faces: Path | None) -> Iterator[tuple[str, str, Picture]]:
    """Yield (kind, image, pixels)."""
    astronaut, rng = np.asarray(data.astronaut()), np.random.default_rng(1)
    face = astronaut[10:266, 95:351]
    yield "face, 256 px", "astronaut", face
    yield "face, 128 px", "astronaut", _small(face, 128)
    for path in sorted(faces.rglob("*.png"))[:400:100] if faces else ():
        pixels = np.asarray(Image.open(path).convert("RGB"))
        yield f"face, {pixels.shape[0]} px", path.stem, pixels
        yield f"face, {pixels.shape[0] // 2} px", path.stem, _small(pixels, pixels.shape[0] // 2)
    yield "screenshot", "drawn", _screenshot()
    yield "screenshot", "page, gray", np.asarray(data.page())
    yield "line art", "drawn", _line_art(400)
    yield "line art", "logo", np.ascontiguousarray(np.asarray(data.logo())[..., :3])
    yield "saturated", "colorwheel", np.ascontiguousarray(np.asarray(data.colorwheel())[..., :3])
    yield "saturated", "retina", np.ascontiguousarray(np.asarray(data.retina())[400:912, 400:912])
    yield "soft", "cat", np.asarray(data.cat())
    yield "gray", "camera", np.asarray(data.camera())
    yield "gray", "moon", np.asarray(data.moon())
    yield "noise", "uniform", rng.integers(0, 256, (200, 200, 3), np.uint8)
    grain = face.astype(np.int64) + rng.integers(-20, 21, face.shape)
    yield "noise", "astronaut with grain", np.clip(grain, 0, 255).astype(np.uint8)
    yield "gradient", "drawn", _gradient(256)


def score_of(image: Picture, file: bytes) -> float:
    """Return the SSIMULACRA2 of a file, by all six scales."""
    pixels = mozcodec.decode(file, "gray" if image.ndim == 2 else "rgb")
    while min(image.shape[:2]) < 256:
        border = [(0, n) for n in image.shape[:2]] + [(0, 0)] * (image.ndim - 2)
        image, pixels = (np.pad(part, border, mode="symmetric") for part in (image, pixels))
    return mozcodec.ssimulacra2(image, pixels)


def _curve(image: Picture, files: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = sorted((score_of(image, file), math.log(len(file))) for file in files)
    scores, sizes = np.array(points).T
    return scores, np.minimum.accumulate(sizes[::-1])[::-1]  # a smaller file with a higher score counts for both


def _at_levels(image: Picture, make: Callable[[float], bytes], settings: Sequence[float]) -> NDArray[np.float64]:
    scores, sizes = _curve(image, [make(setting) for setting in settings])
    return np.interp(LEVELS, scores, sizes, left=np.nan, right=np.nan)


def _default(image: Picture) -> NDArray[np.float64]:
    if image.ndim == 2:
        return _at_levels(image, lambda q: mozcodec.encode(image, q), QUALITIES)
    found = [
        _at_levels(image, lambda q, name=name: mozcodec.encode(image, q, subsampling=name), QUALITIES)  # type: ignore[misc]
        for name in ("4:2:0", "4:4:4")
    ]
    return np.fmin(*found)


def compare(image: Picture, **options: Any) -> str:
    """Return the ratio of bytes to those of the default encode, with its extremes."""
    ours = _at_levels(image, lambda d: mozcodec.encode(image, distance=d, **options), DISTANCES)
    difference = ours - _default(image)
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return "no common score"
    ratios = np.exp(difference)
    return f"{math.exp(difference.mean()):.3f} ({ratios.min():.3f} to {ratios.max():.3f})"


def target(image: Picture, score: float) -> str:
    """Return the subsampling and bytes of a target, over the default encode's smallest file with that score."""
    if min(image.shape[:2]) < 256:
        return "-"
    try:
        found = mozcodec.encode_to_target(image, ssimulacra2=score)
    except mozcodec.LimitError:
        return "not reached"
    least = math.inf
    for name in ("4:2:0", "4:4:4") if image.ndim == 3 else ("gray",):
        options = {} if name == "gray" else {"subsampling": name}
        for quality in range(1, 101):
            if len(data_ := mozcodec.encode(image, quality, **options)) >= least:
                break
            if score_of(image, data_) >= score:
                least = len(data_)
                break
    if math.isinf(least):
        return "the default does not reach it"
    return f"{len(found.data) / least:.3f} ({found.subsampling})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a folder with PNG faces")
    parser.add_argument("--results", type=Path, metavar="FILE", help="a document with this program's marks")
    args = parser.parse_args()
    lines = [
        "| kind | image | effort 0 | effort 1 | effort 2 | ssimulacra2=80 |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for kind, name, pixels in kinds(args.faces):
        cells = [kind, name, *(compare(pixels, effort=effort) for effort in (0, 1, 2)), target(pixels, 80)]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if args.results:
        put(args.results, "perceptual_kinds.py", "\n".join(lines))


if __name__ == "__main__":
    main()
