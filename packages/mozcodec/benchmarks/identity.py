"""Does mozcodec's own engine write the library's bytes, and its reader give the library's pixels?

A grid of settings on images, and long random runs.

    python identity.py grid                                  images x qualities x subsampling x tune
    python identity.py random --cases 500000 --jobs 2        random images and settings, case by case from a seed
    python identity.py show 123456                           one random case, and where its bytes differ
    python identity.py decode --cases 100000 --jobs 2        random streams, half of them damaged, and decode's options

Each case is a pure function of the seed and its number. It is coded once by each engine, and the results are compared:
bytes, or for decoding pixels, errors and warnings. Runs can be resumed: finished chunks are kept in ``--state`` (one
JSON line each), keyed by a hash of the extension module, so a rebuilt module starts from the beginning. Exit status 1
if any case differs.
"""

import argparse
import hashlib
import io
import itertools
import json
import os
import sys
import time
import warnings
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
from mozcodec._coefficients import _read
from mozcodec._decode import Decoder, decode_options, header_of
from mozcodec._mozjpeg import ffi, lib

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


# ---- images ----------------------------------------------------------------------------------------------------


@cache
def photo(name: str) -> np.ndarray:
    """Return an image that comes with scikit-image, (H, W, 3) uint8."""
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
    dark = rng.random((height // 2 + 1, width // 2 + 1)) < rng.uniform(0.02, 0.5)
    dark = dark.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    paper, color = (255, rng.integers(0, 256, 3)) if rng.random() < 0.7 else (rng.integers(200, 256, 3), 0)
    return np.where(dark[..., None], color, paper)


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
        if "progressive" not in options:  # with the scan search the intervals are in MCUs
            options["optimize_scans"] = False
    if rng.random() < 0.25:
        _make_plain(rng, options)
    if rng.random() < 0.12:
        options["smoothing_factor"] = int(rng.integers(0, 101))
    return options


def _make_plain(rng: np.random.Generator, options: dict) -> None:
    """Make them the options of a file of one pass, or nearly: libjpeg-turbo's, or mozjpeg's without its trellis."""
    options.pop("progressive", None)
    if rng.random() < 0.8:
        options["profile"] = "fastest"
        options["optimize_coding"] = bool(rng.random() < 0.1)
    else:
        options |= {"progressive": False, "trellis_quant": False, "optimize_coding": False}


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


def _random_scans(rng: np.random.Generator, components: int) -> list[tuple]:
    """Return a progressive script: bands of random limits, sent in one to four steps."""
    al = int(rng.integers(0, 3))
    scans = [(tuple(range(components)), 0, 0, 0, al)]
    scans += [(tuple(range(components)), 0, 0, bit, bit - 1) for bit in range(al, 0, -1)]
    for component in range(components):
        cuts = sorted({1, *rng.integers(2, 64, int(rng.integers(0, 4))).tolist(), 64})
        al = int(rng.integers(0, 4))
        scans += [((component,), a, b - 1, 0, al) for a, b in itertools.pairwise(cuts)]
        scans += [((component,), 1, 63, bit, bit - 1) for bit in range(al, 0, -1)]
    if rng.random() < 0.1:
        del scans[rng.integers(1, len(scans)) :]
    return scans


def _random_stream(rng: np.random.Generator, pixels: np.ndarray) -> bytes:
    """Return *pixels* as a JPEG by mozjpeg, by Pillow's libjpeg-turbo or by jpegtran's functions."""
    quality = int(rng.integers(1, 101))
    components = 1 if pixels.ndim == 2 else 3
    draw = rng.random()
    if draw < 0.35:
        out = io.BytesIO()
        options: dict = {"progressive": rng.random() < 0.6, "optimize": rng.random() < 0.5}
        options |= {"subsampling": int(rng.integers(0, 3))} if components == 3 else {}
        options |= {"restart_marker_blocks": int(rng.integers(1, 30))} if rng.random() < 0.3 else {}
        Image.fromarray(pixels).save(out, "JPEG", quality=quality, **options)
        return out.getvalue()
    options = random_options(rng) if draw < 0.7 else {}
    if draw >= 0.7:
        options["scan_script"] = _random_scans(rng, components)
        options |= {"subsampling": SUBSAMPLINGS[rng.integers(len(SUBSAMPLINGS))]} if components == 3 else {}
        options |= {"restart_interval": int(rng.integers(1, 40))} if rng.random() < 0.3 else {}
    if rng.random() < 0.3:
        options = {"profile": "fastest"} | {k: v for k, v in options.items() if k != "scan_script"}
    try:
        data = mozcodec.encode(pixels, quality, **options)
    except mozcodec.JpegError:  # some options exclude each other
        data = mozcodec.encode(pixels, quality)
    if rng.random() < 0.2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mozcodec.JpegWarning)  # scripts without their last scans
            data = mozcodec.transform(data, progressive=bool(rng.random() < 0.5))
    return data


def _damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Return *data* with one to three defects."""
    stream = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(2, len(stream)))
        match rng.integers(7):
            case 0:
                stream[at] ^= 1 << int(rng.integers(8))
            case 1:
                stream[at] = int(rng.integers(256))
            case 2:
                del stream[at : at + int(rng.integers(1, 20))]
            case 3:
                stream[at:at] = rng.bytes(int(rng.integers(1, 8)))
            case 4:
                stream[at:at] = bytes([0xFF, (0xD0, 0xD3, 0xD9, 0xDA, 0xC4, 0xFE, 0xFF)[rng.integers(7)]])
            case 5:
                del stream[at:]
            case _:
                start = int(rng.integers(2, len(stream)))
                stream[at:at] = stream[start : start + int(rng.integers(1, 60))]
        if len(stream) < 4:
            break
    return bytes(stream)


def _random_decode_options(rng: np.random.Generator, height: int, width: int) -> dict:
    options: dict = {"on_truncated": ("error", "warn", "warn")[rng.integers(3)]}
    maybe = {
        "scale": lambda: int(rng.integers(1, 17)),
        "dct_method": lambda: ("ifast", "float")[rng.integers(2)],
        "fancy_upsampling": lambda: False,
        "block_smoothing": lambda: False,
        "idct": lambda: "true",
        "max_scans": lambda: int(rng.integers(1, 12)),
        "pixel_format": lambda: (None, "gray", "bgra", "ycbcr", "planes")[rng.integers(5)],
    }
    for name, draw in maybe.items():
        if rng.random() < 0.12:
            options[name] = draw()
    if options.get("pixel_format") == "planes":
        options.pop("scale", None)
    elif "scale" not in options and rng.random() < 0.1:
        left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
        options["region"] = (left, top, int(rng.integers(left, width)) + 1, int(rng.integers(top, height)) + 1)
    return options


def decode_case(number: int) -> tuple[bytes, dict]:
    """Return case *number* of the decode run: a stream and keywords of decode."""
    rng = np.random.default_rng((SEED, 1, number))
    height, width = random_size(rng)
    pixels = np.clip(KINDS[rng.integers(len(KINDS))](rng, height, width), 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        pixels = np.ascontiguousarray(pixels[..., 1])
    data = _random_stream(rng, pixels)
    if rng.random() < 0.5:
        data = _damaged(rng, data)
    return data, _random_decode_options(rng, height, width)


def grid(qualities: tuple, pictures: tuple[str, ...] = PICTURES) -> Iterator[tuple[str, object, dict]]:
    """Yield (image, quality, options) of the grid."""
    settings = [{}, *({"subsampling": s} for s in SUBSAMPLINGS[:5]), *({"tune": t} for t in TUNES)]
    yield from itertools.product((*pictures, "face 256", "face 380"), qualities, settings)


def grid_picture(name: str) -> np.ndarray:
    """Return an image of the grid; large ones cut to 512 x 512."""
    return face(int(name.split()[1])) if name.startswith("face") else photo(name)[:512, :512]


# ---- comparing ---------------------------------------------------------------------------------------------------


def outcome(pixels: np.ndarray, quality: object, options: dict, engine: str) -> bytes | str:
    """Return the bytes, or the error message."""
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


def decoded(data: bytes, options: dict, engine: str) -> list:
    """Return planes as shape and bytes, or the error message, and then the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pixels = mozcodec.decode(data, engine=engine, **options)
            found: list = [(p.shape, p.tobytes()) for p in (pixels if isinstance(pixels, tuple) else (pixels,))]
        except (mozcodec.JpegError, ValueError) as error:
            found = [type(error).__name__, str(error)]
    return found + [str(w.message) for w in caught]


def coefficients(data: bytes, options: dict, engine: str) -> tuple[str, object, tuple[str, str, int]]:
    """Return what read them, the coefficients or the error message, and what the status says of damage."""
    kept = {name: options[name] for name in ("on_truncated", "max_scans") if name in options}
    try:
        with Decoder(data, decode_options(None, {**kept, "engine": engine})) as decoder:
            status = decoder.status
            found: object = _read(decoder, header_of(decoder))
    except (mozcodec.JpegError, ValueError) as error:
        return "", (type(error).__name__, str(error)), ("", "", 0)
    words = (ffi.string(status.warning).decode(), ffi.string(status.note).decode(), status.damage_offset)
    return "fast" if status.engine == lib.MZC_ENGINE_FAST else "library", found, words


def compare_decoding(data: bytes, options: dict) -> tuple[bool, str]:
    """Return whether both give the same pixels and coefficients, and which "auto" took ("fast", or why not)."""
    ours = decoded(data, options, "auto")
    used = mozcodec.engine_used() if isinstance(ours[0], tuple) else None
    same = ours == decoded(data, options, "library")
    same &= coefficients(data, options, "auto")[1:] == coefficients(data, options, "library")[1:]
    return same, "refused" if used is None else used.reason or used.name


def run_chunk(mode: str, chunk: int, stop: int, qualities: tuple) -> dict:
    """Compare one chunk of cases; return what is written to the state file."""
    different, used = [], Counter()
    start = chunk * CHUNK
    check = compare_decoding if mode == "decode" else compare
    if mode in ("random", "decode"):
        case_of = random_case if mode == "random" else decode_case
        numbered = ((n, case_of(n)) for n in range(start, min(start + CHUNK, stop)))
    else:
        rows = itertools.islice(enumerate(grid(qualities)), start, start + CHUNK)
        numbered = ((n, (grid_picture(name), quality, options)) for n, (name, quality, options) in rows)
    total = 0
    for number, case in numbered:
        same, engine = check(*case)
        used[engine] += 1
        total += 1
        if not same:
            different.append(number)
    return {"mode": mode, "chunk": chunk, "cases": total, "different": different, "used": dict(used)}


def module_hash() -> str:
    """Return a hash of the extension module: results hold for this machine code only."""
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
    parser.add_argument("mode", choices=("grid", "random", "decode", "show"))
    parser.add_argument("number", type=int, nargs="?", help="case to show")
    parser.add_argument("--cases", type=int, default=500_000, help="of the random runs")
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
    total = arguments.cases if arguments.mode != "grid" else sum(1 for _ in grid(qualities))
    sys.exit(run(arguments.mode, total, arguments.jobs, arguments.state, qualities) != 0)


if __name__ == "__main__":
    main()
