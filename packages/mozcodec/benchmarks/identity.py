"""Does mozcodec's own engine write the library's bytes? A grid of settings on pictures, and a long random run.

    python identity.py grid                                  pictures x qualities x subsampling x tune
    python identity.py random --cases 500000 --jobs 2        random pictures and settings, case by case from a seed
    python identity.py show 123456                           one random case, and where its bytes differ

Each case is a pure function of the seed and its number, is encoded once by each engine, and the bytes are compared.
Runs are resumable: what is done stands in ``--state`` (one JSON line for every chunk), keyed by a hash of the extension
module, so a rebuilt module starts anew. Exit status 1 if any case differs.
"""

import argparse
import hashlib
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import mozcodec
from mozcodec import _mozjpeg

Case = tuple[np.ndarray, object, dict]
CHUNK = 500
SEED = 6
PICTURES = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg"),
    *("ihc.png", "logo.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg"),
)
TUNES = ("psnr", "hvs-psnr", "ssim", "ms-ssim")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:4:1", "4:1:0")
FRACTIONAL = (1.5, 33.3, 59.9, 76.5, 77.5, 89.9, 99.9)


# ---- pictures ----------------------------------------------------------------------------------------------------


@cache
def photo(name: str) -> np.ndarray:
    """Return a picture that comes with scikit-image, (H, W, 3) uint8."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
        return np.asarray(image.convert("RGB"))


def face(size: int) -> np.ndarray:
    """Return the astronaut's face, (size, size, 3)."""
    crop = Image.fromarray(photo("astronaut.png")).crop((150, 10, 300, 160))
    return np.asarray(crop.resize((size, size), Image.Resampling.LANCZOS))


def _photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    pixels = photo(PICTURES[rng.integers(len(PICTURES))])
    step = int(rng.integers(1, 4))
    y = int(rng.integers(0, max(1, pixels.shape[0] - height * step)))
    x = int(rng.integers(0, max(1, pixels.shape[1] - width * step)))
    crop = pixels[y : y + height * step : step, x : x + width * step : step]
    return np.pad(crop, ((0, height - crop.shape[0]), (0, width - crop.shape[1]), (0, 0)), mode="edge")


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    low, high = sorted(rng.integers(0, 257, 2))
    return rng.integers(low, max(high, low + 1), (height, width, 3))


def _flat(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    pixels = np.full((height, width, 3), rng.integers(0, 256, 3))
    for _ in range(int(rng.integers(0, 3))):
        pixels[rng.integers(height), rng.integers(width)] = rng.integers(0, 256, 3)
    return pixels


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    slope = rng.normal(0, 3, (3, 2))
    return np.stack([128 + a * (y - height / 2) + b * (x - width / 2) for a, b in slope], axis=-1)


def _waves(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    planes = []
    for _ in range(3):
        plane = np.full((height, width), 128.0)
        for fy, fx, phase, amount in rng.normal(0, 1, (3, 4)):
            plane += 40 * amount * np.cos(0.5 * fy * y + 0.5 * fx * x + 3 * phase)
        planes.append(plane)
    return np.stack(planes, axis=-1)


def _text(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    ink = rng.random((height // 2 + 1, width // 2 + 1)) < rng.uniform(0.02, 0.5)
    ink = ink.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    paper, color = (255, rng.integers(0, 256, 3)) if rng.random() < 0.7 else (rng.integers(200, 256, 3), 0)
    return np.where(ink[..., None], color, paper)


def _saturated(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    pixels = _photo(rng, height, width).astype(np.float32)
    return (pixels - rng.uniform(60, 190)) * rng.uniform(1.5, 6) + 128


def _checks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    size = rng.integers(1, 12, 2)
    board = (np.arange(height)[:, None] // size[0] + np.arange(width)[None, :] // size[1]) % 2
    return np.where(board[..., None], rng.integers(0, 256, 3), rng.choice([0, 255, 128]))


KINDS = (_photo, _noise, _flat, _gradient, _waves, _text, _saturated, _checks)


# ---- cases -------------------------------------------------------------------------------------------------------


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    """Return (height, width): 1..200 x 1..260, small ones more often."""
    height, width = np.exp(rng.uniform(0, np.log([201, 261])))
    return int(height), int(width)


def random_quality(rng: np.random.Generator) -> object:
    draw = rng.random()
    if draw < 0.8:
        return int(rng.integers(1, 101))
    if draw < 0.95:
        return round(float(rng.uniform(1, 100)), 2)
    return (int(rng.integers(1, 101)), int(rng.integers(1, 101)))


def random_options(rng: np.random.Generator) -> dict:
    """Return keywords of encode: two cases of five are cjpeg's defaults but for subsampling and tune."""
    options: dict = {}
    if rng.random() < 0.6:
        options["subsampling"] = SUBSAMPLINGS[rng.integers(len(SUBSAMPLINGS))]
    if rng.random() < 0.3:
        options["tune"] = TUNES[rng.integers(4)]
    if rng.random() < 0.4:
        return options
    maybe = {
        "optimize_scans": lambda: False,
        "trellis_quant": lambda: False,
        "trellis_quant_dc": lambda: False,
        "dc_scan_opt_mode": lambda: int(rng.integers(3)),
        "restart_interval": lambda: int(rng.integers(1, 40)),
        "overshoot_deringing": lambda: False,
        "dct_method": lambda: ("ifast", "float")[rng.integers(2)],
        "quant_table": lambda: int(rng.integers(9)),
        "quant_baseline": lambda: True,
        "progressive": lambda: False,
        "restart_rows": lambda: int(rng.integers(1, 4)),
        "color_space": lambda: ("gray", "rgb")[rng.integers(2)],
        "lambda_log_scale1": lambda: float(rng.uniform(6, 18)),
    }
    for name, draw in maybe.items():
        if rng.random() < (0.3 if name == "progressive" else 0.12):
            options[name] = draw()
    if "restart_rows" in options:
        options.pop("restart_interval", None)
        if "progressive" not in options:  # the scan search loses them
            options["optimize_scans"] = False
    return options


def random_case(number: int) -> Case:
    """Return case *number* of the random run: pixels, quality, options."""
    rng = np.random.default_rng((SEED, number))
    kind = KINDS[rng.integers(len(KINDS))]
    pixels = np.clip(kind(rng, *random_size(rng)), 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        pixels = np.ascontiguousarray(pixels[..., 1])
    quality, options = random_quality(rng), random_options(rng)
    if pixels.ndim == 3 and rng.random() < 0.04:
        pixels = np.ascontiguousarray(np.dstack([pixels, pixels[..., 0]]))
        options = {name: value for name, value in options.items() if name != "color_space"} | {"pixel_format": "cmyk"}
    return pixels, quality, options


def grid(qualities: tuple, pictures: tuple[str, ...] = PICTURES) -> Iterator[tuple[str, object, dict]]:
    """Yield (picture, quality, options) of the grid."""
    settings = [{}, *({"subsampling": s} for s in SUBSAMPLINGS[:5]), *({"tune": t} for t in TUNES)]
    yield from itertools.product((*pictures, "face 256", "face 380"), qualities, settings)


def grid_picture(name: str) -> np.ndarray:
    """Return a picture of the grid; large ones cut to 512 x 512."""
    return face(int(name.split()[1])) if name.startswith("face") else photo(name)[:512, :512]


# ---- comparing ---------------------------------------------------------------------------------------------------


def outcome(pixels: np.ndarray, quality: object, options: dict, engine: str) -> bytes | str:
    """Return the bytes, or the words of the refusal."""
    try:
        return mozcodec.encode(pixels, quality, engine=engine, **options)
    except mozcodec.JpegError as error:
        return str(error)


def compare(pixels: np.ndarray, quality: object, options: dict) -> tuple[bool, str]:
    """Return whether both engines agree, and which one "auto" took ("fast", or why not)."""
    ours = outcome(pixels, quality, options, "auto")
    used = mozcodec.engine_used() if isinstance(ours, bytes) else None
    same = ours == outcome(pixels, quality, options, "library")
    return same, "refused" if used is None else used.reason or used.name


def run_chunk(mode: str, chunk: int, stop: int, qualities: tuple) -> dict:
    """Compare one chunk of cases; return what is written to the state file."""
    different, used = [], Counter()
    start = chunk * CHUNK
    if mode == "random":
        numbered = ((n, random_case(n)) for n in range(start, min(start + CHUNK, stop)))
    else:
        rows = itertools.islice(enumerate(grid(qualities)), start, start + CHUNK)
        numbered = ((n, (grid_picture(name), quality, options)) for n, (name, quality, options) in rows)
    total = 0
    for number, case in numbered:
        same, engine = compare(*case)
        used[engine] += 1
        total += 1
        if not same:
            different.append(number)
    return {"mode": mode, "chunk": chunk, "cases": total, "different": different, "used": dict(used)}


def module_hash() -> str:
    """Return a hash of the extension module: what was proven holds for these bytes of machine code."""
    return hashlib.sha256(Path(_mozjpeg.__file__).read_bytes()).hexdigest()[:16]


def read_state(path: Path, key: dict) -> dict[int, dict]:
    """Return the chunks that are done, by number."""
    done = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if all(row.get(name) == value for name, value in key.items()):
                done[row["chunk"]] = row
    return done


def run(mode: str, total: int, jobs: int, state: Path, qualities: tuple) -> int:
    """Run what is not done yet; return the number of differing cases."""
    key = {"mode": mode, "module": module_hash(), "cpu": mozcodec.build_info()["engine"], "seed": SEED,
           "qualities": list(qualities)}  # fmt: skip
    done = read_state(state, key)
    chunks = [c for c in range((total + CHUNK - 1) // CHUNK) if c not in done]
    state.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool, state.open("a") as log:
        futures = [pool.submit(run_chunk, mode, c, total, qualities) for c in chunks]
        for n, future in enumerate(as_completed(futures), 1):
            row = key | future.result()
            done[row["chunk"]] = row
            log.write(json.dumps(row) + "\n")
            log.flush()
            if row["different"] or n % 20 == 0:
                cases = sum(r["cases"] for r in done.values())
                seconds = time.monotonic() - began
                print(f"{cases} of {total} cases, {seconds:.0f} s, different: {row['different']}", flush=True)
    used = sum((Counter(r["used"]) for r in done.values()), Counter())
    different = sorted(n for r in done.values() for n in r["different"])
    print(f"{mode}: {sum(r['cases'] for r in done.values())} cases, {len(different)} different {different[:20]}")
    print(f"module {key['module']}, {key['cpu']}; " + ", ".join(f"{name}: {n}" for name, n in used.most_common()))
    return len(different)


def show(number: int) -> None:
    """Print a random case and the first byte that differs."""
    pixels, quality, options = random_case(number)
    ours, theirs = (outcome(pixels, quality, options, engine) for engine in ("auto", "library"))
    print(pixels.shape, quality, options, len(ours), len(theirs), mozcodec.engine_used())
    if ours != theirs:
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), "the end")
        print("first difference at", first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("grid", "random", "show"))
    parser.add_argument("number", type=int, nargs="?", help="case to show")
    parser.add_argument("--cases", type=int, default=500_000, help="of the random run")
    parser.add_argument("--qualities", help="of the grid, e.g. 10,60,77 (default: 1..100 and some fractional ones)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=Path("build/identity.jsonl"))
    arguments = parser.parse_args()
    if arguments.mode == "show":
        show(arguments.number)
        return
    qualities = (*range(1, 101), *FRACTIONAL)
    if arguments.qualities:
        qualities = tuple(float(q) for q in arguments.qualities.split(","))
    total = arguments.cases if arguments.mode == "random" else sum(1 for _ in grid(qualities))
    sys.exit(run(arguments.mode, total, arguments.jobs, arguments.state, qualities) != 0)


if __name__ == "__main__":
    main()
