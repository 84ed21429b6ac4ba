"""Fuzz the options: encode random images with random options, decode each file and compare it with the image.

    python packages/mozcodec/fuzz/options.py run                          # 1,000,000 cases, two processes
    python packages/mozcodec/fuzz/options.py run --cases 5000 --seed 7
    python packages/mozcodec/fuzz/options.py show 1234 --seed 7           # one case, with its options
    python packages/mozcodec/fuzz/options.py run --cases 200000 --sanitized   # under ASan and UBSan

A failure is a signal, an exception other than mozcodec's own and those for wrong arguments, a file that
``mozcodec.decode`` rejects, or an image that is worse than its quantization tables explain. A case is a pure
function of the seed and its number. Finished chunks are kept in build/fuzz/options.jsonl, for one build of the
extension: another run continues there. The exit status is 1 if a case failed.
"""
# Over 600 lines: a script that runs alone; half of it is the table of options and their ranges.

import argparse
import hashlib
import io
import itertools
import json
import math
import os
import subprocess
import sys
import time
import warnings
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec
import mozcodec.forensics
from mozcodec import _mozjpeg

PACKAGE = Path(__file__).resolve().parents[1]
STATE = PACKAGE / "build" / "fuzz" / "options.jsonl"
SEED = 1
CHUNK = 1000
REFUSALS = (mozcodec.JpegError, ValueError, TypeError)
"""What a wrong combination of options may raise."""
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:4:1", "4:1:0")
PLAIN = ("4:4:4", "4:2:2", "4:2:0")  # what Pillow writes too
STEPS = (0, 1, 2, 254, 255, 256, 4095, 4096, 4767, 4768, 5900, 8191, 8192, 16384, 24576, 32767, 32768, 65535)


@dataclass
class Case:
    """One call: a verb, its image, its quality and its options."""

    verb: str
    pixels: np.ndarray
    quality: Any
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    """Options of the verb that are not the encoder's."""

    def __str__(self) -> str:
        shape = "x".join(map(str, self.pixels.shape))
        return f"{self.verb} {shape} {self.pixels.dtype} quality={self.quality!r} {self.more} {self.options}"


# ---- drawing --------------------------------------------------------------------------------------------------------


def _picture(rng: np.random.Generator, channels: int) -> np.ndarray:
    height, width = (int(rng.integers(1, 12)) if rng.random() < 0.15 else int(rng.integers(8, 90)) for _ in range(2))
    y, x = np.mgrid[:height, :width].astype(float)
    planes = []
    for _ in range(channels):
        match rng.integers(5):
            case 0:
                plane = np.full((height, width), rng.integers(0, 256))
            case 1:
                plane = rng.integers(0, 256, (height, width))
            case 2:
                plane = 128 + 120 * np.sin(x / rng.uniform(2, 20)) * np.cos(y / rng.uniform(2, 20))
            case 3:
                plane = np.where((x // rng.integers(2, 20) + y // rng.integers(2, 20)) % 2, 255, rng.integers(0, 100))
            case _:
                plane = (x * rng.uniform(0, 6) + y * rng.uniform(0, 6)) % 256
        planes.append(np.clip(plane, 0, 255))
    pixels = np.dstack(planes).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def _strided(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Return the same samples in another memory layout."""
    match rng.integers(6):
        case 0:
            return np.asfortranarray(pixels)
        case 1:
            return pixels[::-1].copy()[::-1]
        case 2:
            wide = np.zeros((pixels.shape[0], pixels.shape[1] + 5, *pixels.shape[2:]), pixels.dtype)
            wide[:, 2:-3] = pixels
            return wide[:, 2:-3]
        case _:
            return np.ascontiguousarray(pixels)


def _quality(rng: np.random.Generator) -> Any:
    def number() -> float:
        return float(np.float32(rng.uniform(1, 100 if rng.random() < 0.5 else 3)))

    match rng.integers(8):
        case 0:
            return None
        case 1:
            return tuple(number() for _ in range(rng.integers(1, 5)))
        case 2 | 3:
            return int(rng.integers(1, 101))
        case 4:
            return float(5000 / rng.integers(50, 5001))
        case _:
            return number()


def _table(rng: np.random.Generator) -> np.ndarray:
    match rng.integers(4):
        case 0:
            return np.full((8, 8), STEPS[rng.integers(len(STEPS))])
        case 1:
            return rng.integers(0, 65536, (8, 8))
        case 2:
            return np.array(STEPS)[rng.integers(0, len(STEPS), (8, 8))]
        case _:
            return rng.integers(1, 100, (8, 8))


def _script(rng: np.random.Generator, components: int) -> list[tuple]:
    if rng.random() < 0.3:  # sequential scans
        order = rng.permutation(components).tolist()
        cut = int(rng.integers(1, components + 1))
        return [(tuple(sorted(part)), 0, 63, 0, 0) for part in (order[:cut], order[cut:]) if part]
    al = int(rng.integers(0, 3))
    together = tuple(range(components))
    scans: list[tuple] = [(together, 0, 0, 0, al), *((together, 0, 0, bit, bit - 1) for bit in range(al, 0, -1))]
    for component in range(components):
        cuts = sorted({1, *rng.integers(2, 64, int(rng.integers(0, 4))).tolist(), 64})
        al = int(rng.integers(0, 4))
        scans += [((component,), a, b - 1, 0, al) for a, b in itertools.pairwise(cuts)]
        scans += [((component,), 1, 63, bit, bit - 1) for bit in range(al, 0, -1)]
    if rng.random() < 0.2:
        del scans[rng.integers(1, len(scans)) :]
    return scans


def _coding_options(rng: np.random.Generator, components: int) -> dict[str, Any]:
    maybe = {
        "progressive": lambda: bool(rng.integers(2)),
        "optimize_scans": lambda: bool(rng.integers(2)),
        "scan_script": lambda: _script(rng, components),
        "dc_scan_opt_mode": lambda: int(rng.integers(3)),
        "arithmetic": lambda: bool(rng.integers(2)),
        "optimize_coding": lambda: bool(rng.integers(2)),
        "restart_interval": lambda: int((1, 3, rng.integers(0, 40), rng.integers(0, 65536))[rng.integers(4)]),
        "restart_rows": lambda: int((1, 2, rng.integers(0, 9), rng.integers(0, 65536))[rng.integers(4)]),
        "profile": lambda: ("fastest", "max_compression")[rng.integers(2)],
        "jfif": lambda: bool(rng.integers(2)),
        "engine": lambda: ("library", "auto", "auto")[rng.integers(3)],
    }
    return {name: draw() for name, draw in maybe.items() if rng.random() < 0.18}


def _encode_options(rng: np.random.Generator, components: int) -> dict[str, Any]:
    maybe = {
        "quant_baseline": lambda: bool(rng.integers(2)),
        "trellis_quant": lambda: bool(rng.integers(2)),
        "trellis_quant_dc": lambda: bool(rng.integers(2)),
        "trellis_eob_opt": lambda: bool(rng.integers(2)),
        "trellis_q_opt": lambda: bool(rng.integers(2)),
        "use_scans_in_trellis": lambda: bool(rng.integers(2)),
        "trellis_freq_split": lambda: int(rng.integers(1, 64)),
        "trellis_num_loops": lambda: int(rng.integers(1, 4)),
        "trellis_delta_dc_weight": lambda: float(rng.uniform(0, 2)),
        "use_lambda_weight_tbl": lambda: bool(rng.integers(2)),
        "lambda_log_scale1": lambda: float(rng.uniform(4, 20)),
        "lambda_log_scale2": lambda: float(rng.uniform(-2, 22)),
        "tune": lambda: ("psnr", "hvs-psnr", "ssim", "ms-ssim")[rng.integers(4)],
        "quant_table": lambda: int(rng.integers(9)),
        "quant_tables": lambda: [_table(rng) for _ in range(rng.integers(1, 5))],
        "quant_slots": lambda: [int(n) for n in rng.integers(0, 4, rng.integers(1, 5))],
        "overshoot_deringing": lambda: bool(rng.integers(2)),
        "dct_method": lambda: ("islow", "ifast", "float")[rng.integers(3)],
        "smoothing_factor": lambda: int(rng.integers(0, 101)),
        "color_space": lambda: ("gray", "rgb", "ycbcr")[rng.integers(3)],
        "subsampling": lambda: (
            SUBSAMPLINGS[rng.integers(7)]
            if rng.random() < 0.6
            else [tuple(int(n) for n in rng.integers(1, 5, 2)) for _ in range(components)]
        ),
    }
    return {name: draw() for name, draw in maybe.items() if rng.random() < 0.1} | _coding_options(rng, components)


def _perceptual_case(rng: np.random.Generator, pixels: np.ndarray, others: dict[str, Any]) -> Any:
    """Return pixels, distance, options and what else the perceptual mode is called with."""
    more: dict[str, Any] = {}
    if pixels.shape[2:] == (4,):
        more["pixel_format"] = str(rng.choice(["rgba", "bgrx", "xrgb", "abgr", "cmyk"]))
    elif pixels.ndim == 3 and rng.random() < 0.2:
        more["pixel_format"] = "bgr"
    match rng.integers(5):
        case 0:
            pixels = (pixels.astype(np.uint16) << 8) + np.uint16(rng.integers(0, 256))
        case 1:
            pixels = (pixels / 255).astype(rng.choice([np.float32, np.float64]))  # type: ignore[arg-type]
    options: dict[str, Any] = {"effort": int(rng.integers(3))} if rng.random() < 0.8 else {}
    if rng.random() < 0.7:
        options["subsampling"] = str(rng.choice(["auto", *SUBSAMPLINGS[:4]]))
    if rng.random() < 0.2:
        options["transfer"] = str(rng.choice(["srgb", "linear"]))
    match rng.integers(8):
        case 0:
            more["ssimulacra2"] = float(rng.uniform(20, 95))
        case 1:
            more["bytes"] = int(rng.integers(300, 9000))
            options.setdefault("effort", 1)
        case 2:
            options |= others
    return pixels, float(np.exp(rng.uniform(math.log(0.1), math.log(25)))), options, more


def draw_case(seed: int, number: int) -> Case:
    """Return case *number*."""
    rng = np.random.default_rng((seed, number))
    channels = int(rng.choice([1, 1, 2, 3, 3, 3, 3, 3, 4, 4]))
    pixels = _picture(rng, channels)
    quality, options = _quality(rng), _encode_options(rng, channels)
    rare = ["sweep", "scaled", "smartscale", "planes", "deep", "lossless", "rewrite", "perceptual"]
    verb = str(rng.choice(["encode"] * 8 + rare))
    more: dict[str, Any] = {}
    if channels == 2:
        more["pixel_format"] = "two"
        options.pop("color_space", None)
    if channels == 4:
        more["pixel_format"] = str(rng.choice(["cmyk", "rgba", "argb", "ycck"]))
        options.pop("color_space", None)
    if verb in ("scaled", "smartscale"):
        more |= {"dct_size": int(rng.integers(1, 17))}
        more |= {"block_size": int(rng.integers(1, 17))} if verb == "smartscale" else {}
        pixels = pixels[:48, :48]
    if verb == "planes":
        pixels = pixels if channels == 1 else np.ascontiguousarray(pixels[..., :3])
        more.pop("pixel_format", None)
        options = {k: v for k, v in options.items() if k not in ("color_space", "subsampling")}
        if rng.random() < 0.3:
            pixels, options["precision"] = pixels.astype(np.uint16) * 16, 12
    if verb == "deep":
        pixels, options["precision"] = pixels.astype(np.uint16) * 16, 12
        more = more if more.get("pixel_format") in ("cmyk", "two") else {}
        pixels = pixels if more or channels < 4 else pixels[..., :3]
    if verb == "lossless":
        bits = int(rng.integers(2, 17))
        pixels = pixels >> 8 - bits if bits <= 8 else pixels.astype(np.uint16) * (1 << bits - 8) + rng.integers(0, 2)
        keep = ("restart_interval", "restart_rows", "jfif", "engine")
        options = {k: v for k, v in options.items() if k in keep}
        options |= {"precision": bits, "lossless": int(rng.integers(1, 8))}
        more = more if more.get("pixel_format") in ("cmyk", "two") else {}
        pixels = pixels if more or channels < 4 else pixels[..., :3]
    if verb == "perceptual":
        pixels = pixels[..., 0] if channels == 2 else pixels
        pixels, quality, options, more = _perceptual_case(rng, pixels, options)
    if verb == "rewrite":
        more["coding"] = _coding_options(rng, 3 if channels == 4 and "pixel_format" not in more else channels)
    if number % 4 == 0:  # draws nothing, so that other cases stay what they were
        for chosen in (options, *(value for name, value in more.items() if name == "coding")):
            if chosen.get("optimize_scans", True):
                chosen["optimize_scans"] = "wide"
    return Case(verb, _strided(rng, pixels), quality, options, more)


# ---- running --------------------------------------------------------------------------------------------------------


class WrongResultError(AssertionError):
    """The result of a call is wrong."""


def _check(good: object, text: str) -> None:
    if not good:
        raise WrongResultError(text)


def _decode(data: bytes, pixel_format: str | None = None) -> np.ndarray:
    try:
        return mozcodec.decode(data, pixel_format, max_scans=None)
    except REFUSALS as error:
        raise WrongResultError(f"the file cannot be decoded: {type(error).__name__}: {error}") from error


def _decode_options(rng: np.random.Generator) -> dict[str, Any]:
    maybe = {
        "scale": lambda: int(rng.integers(1, 17)),
        "dct_method": lambda: ("islow", "ifast", "float")[rng.integers(3)],
        "fancy_upsampling": lambda: bool(rng.integers(2)),
        "block_smoothing": lambda: bool(rng.integers(2)),
        "idct": lambda: ("fast", "true")[rng.integers(2)],
    }
    return {name: draw() for name, draw in maybe.items() if rng.random() < 0.4}


def _check_decoding(data: bytes, rng: np.random.Generator) -> None:
    """Check that both readers, a region, and every target agree under random options of the decoder."""
    options = _decode_options(rng)
    names = (None, "rgb", "bgr", "gray", "ycbcr", "rgba", "abgr", "cmyk", "planes")
    pixel_format = names[rng.integers(len(names))]

    def attempt(**more: Any) -> Any:
        try:
            return mozcodec.decode(data, pixel_format, max_scans=None, **options, **more)
        except (mozcodec.UnsupportedError, mozcodec.LimitError, ValueError) as error:
            return type(error)
        except mozcodec.JpegError as error:
            if isinstance(error, mozcodec.DamagedError):
                raise WrongResultError(f"decode with {options}: {error}") from error
            return type(error)

    whole = attempt()
    library = attempt(engine="library")
    words = f"decode as {pixel_format} with {options}"
    if isinstance(whole, type) or isinstance(library, type):
        _check(whole is library, f"{words}: {whole} and {library} by the library")
        return
    planes = pixel_format == "planes"
    for one, other in zip(whole if planes else (whole,), library if planes else (library,), strict=True):
        _check(np.array_equal(one, other), f"{words}: the readers differ")
    if planes:
        return
    height, width = whole.shape[:2]
    left, top = int(rng.integers(width)), int(rng.integers(height))
    right, bottom = int(rng.integers(left, width)) + 1, int(rng.integers(top, height)) + 1
    part = attempt(region=(left, top, right, bottom))
    same = not isinstance(part, type) and np.array_equal(part, whole[top:bottom, left:right])
    _check(same, f"{words}: region {(left, top, right, bottom)} is another")
    wide = np.zeros((height, width + 3, *whole.shape[2:]), whole.dtype)
    mozcodec.decode(data, pixel_format, max_scans=None, out=wide[:, :width], **options)
    _check(np.array_equal(wide[:, :width], whole) and not wide[:, width:].any(), f"{words}: out is another")
    first = attempt(layout="chw")
    _check(np.array_equal(first, whole[None] if whole.ndim == 2 else whole.transpose(2, 0, 1)), f"{words}: layout")


def _error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


def _detail(pixels: np.ndarray, height: int = 8, width: int = 8) -> float:
    """Return the error of an image without AC coefficients: of each block, padded as by an encoder, only the mean."""
    samples = pixels.astype(float)
    rows, columns = samples.shape[:2]
    margins = [(0, -rows % height), (0, -columns % width), *[(0, 0)] * (samples.ndim - 2)]
    padded = np.pad(samples, margins, "edge")
    blocks = padded.reshape(len(padded) // height, height, padded.shape[1] // width, width, -1)
    means = np.broadcast_to(blocks.mean(axis=(1, 3), keepdims=True), blocks.shape).reshape(padded.shape)
    return _error(means[:rows, :columns], samples)


def _by_pillow(case: Case, data: bytes) -> np.ndarray | None:
    """Return what Pillow's encoder makes of the image with the same tables, or None where it has no such options."""
    from PIL import Image

    header = mozcodec.read_header(data)
    if case.pixels.dtype != np.uint8 or header.color_space not in ("gray", "ycbcr") or case.pixels.ndim > 3:
        return None
    if case.pixels.shape[2:] == (4,) or (case.pixels.ndim == 3) != (header.color_space == "ycbcr"):
        return None
    if header.subsampling not in ("gray", *PLAIN):
        return None
    used = mozcodec.read_coefficients(data, max_scans=None).quant_tables
    if min(int(t.min()) for t in used) < 1:
        return None
    if len(used) == 3 and not np.array_equal(used[1], used[2]):
        return None
    options: dict[str, Any] = {} if header.color_space == "gray" else {"subsampling": header.subsampling}
    out = io.BytesIO()
    # All coefficients of steps from 4096 on are 0: the same image. Pillow's 16-bit divisors wrap around above 8191.
    Image.fromarray(np.ascontiguousarray(case.pixels)).save(
        out, "JPEG", qtables=[np.minimum(t, 8191).ravel().tolist() for t in used[:2]], **options
    )
    with Image.open(io.BytesIO(out.getvalue())) as image:
        return np.asarray(image)


def _compare(case: Case, data: bytes) -> str:
    """Check that the file is as good as its tables allow; return how that was checked."""
    loose = {"lambda_log_scale1", "lambda_log_scale2", "smoothing_factor", "trellis_delta_dc_weight", "scan_script"}
    if loose & case.options.keys():
        return "decoded"
    reference = _by_pillow(case, data)
    if reference is None:
        return "decoded"
    ours, wanted = _error(_decode(data), case.pixels), _error(reference, case.pixels)
    limit = 60 + 5 * wanted if case.options.get("dct_method") == "ifast" else 25 + 4 * wanted
    if case.options.get("trellis_quant", True):  # it may drop every AC coefficient that costs too many bits
        factors = mozcodec.read_header(data).sampling_factors
        most_h, most_v = (max(pair[axis] for pair in factors) for axis in (0, 1))
        limit += max(_detail(case.pixels), _detail(case.pixels, 8 * most_v, 8 * most_h))
        if case.options.get("trellis_quant_dc", True):  # and take the next DC value where that is cheaper
            limit += max(int(t[0, 0]) for t in mozcodec.read_coefficients(data, max_scans=None).quant_tables) ** 2 / 64
    _check(ours <= limit, f"mean squared error {ours:.1f}, {wanted:.1f} by Pillow with the same tables")
    return "compared"


def _run_encode(case: Case) -> str:
    data = mozcodec.encode(case.pixels, case.quality, **case.more, **case.options)
    decoded = _decode(data)
    _check(decoded.shape[:2] == case.pixels.shape[:2], f"decoded to {decoded.shape}")
    library = mozcodec.encode(case.pixels, case.quality, **case.more, **{**case.options, "engine": "library"})
    _check(data == library, "the engines differ")
    _check_decoding(data, np.random.default_rng(zlib.crc32(data)))
    is_gray = case.pixels.ndim == 2 or case.pixels.shape[2] == 1
    pixel_format = case.more.get("pixel_format", "gray" if is_gray else "rgb")
    again = mozcodec.recompress(case.pixels, case.quality, **case.more, **{**case.options, "engine": "auto"})
    whole = _decode(data, pixel_format).reshape(case.pixels.shape)
    _check(np.array_equal(again, whole), "recompress and the file differ")
    return _compare(case, data)


def _run_sweep(case: Case) -> str:
    if case.quality is None:
        return "not a case"
    (point,) = mozcodec.sweep(case.pixels, [case.quality], **case.more, **case.options, threads=1)
    _check(point.data == mozcodec.encode(case.pixels, case.quality, **case.more, **case.options), "sweep is not encode")
    _decode(point.data)
    return _compare(case, point.data)


def _run_scaled(case: Case) -> str:
    verb = mozcodec.encode_scaled if case.verb == "scaled" else mozcodec.encode_smartscale
    data = verb(case.pixels, case.quality, **case.more, **case.options)
    decoded = _decode(data)
    block, size = case.more.get("block_size", 8), case.more["dct_size"]
    wanted = tuple(math.ceil(n * block / size) for n in case.pixels.shape[:2])
    _check(decoded.shape[:2] == wanted, f"decoded to {decoded.shape}, not {wanted}")
    return "decoded"


def _run_planes(case: Case) -> str:
    planes = [case.pixels] if case.pixels.ndim == 2 else [case.pixels[..., i] for i in range(case.pixels.shape[2])]
    data = mozcodec.encode(planes, case.quality, pixel_format="planes", subsampling="4:4:4", **case.options)
    decoded = mozcodec.decode(data, "planes", max_scans=None)
    _check([p.shape for p in decoded] == [p.shape for p in planes], "planes of another shape")
    return "decoded"


def _run_deep(case: Case) -> str:
    data = mozcodec.encode(case.pixels, case.quality, **case.more, **case.options)
    _check(_decode(data).dtype == np.uint16, "decoded to another type")
    return "decoded"


def _run_lossless(case: Case) -> str:
    data = mozcodec.encode(case.pixels, None, **case.more, **case.options)
    decoded = _decode(data)
    _check(np.array_equal(decoded, case.pixels), "lossless is not")
    return "compared"


def _run_rewrite(case: Case) -> str:
    more = dict(case.more)
    coding = more.pop("coding")
    data = mozcodec.encode(case.pixels, case.quality, **more, **case.options)
    pixels = _decode(data)
    for rewrite in (
        lambda: mozcodec.optimize(data, max_scans=None, **coding),
        lambda: mozcodec.write_coefficients(mozcodec.read_coefficients(data, max_scans=None), **coding),
    ):
        result = rewrite()
        again = _decode(result)
        if "scan_script" in coding:  # it may leave coefficients out
            continue
        _check(np.array_equal(pixels, again), "the rewritten file has other pixels")
    return "compared"


def _scored(case: Case, data: bytes) -> float:
    """Return the SSIMULACRA2 of a file by a way of its own: samples of 8 bits, RGB."""
    pixels, layout = case.pixels, case.more.get("pixel_format", "rgb")
    if pixels.dtype == np.uint8 and case.options.get("transfer", "srgb") == "srgb":
        if pixels.ndim == 3:
            pixels = pixels[..., [layout.index(letter) for letter in "rgb"]]
        return mozcodec.ssimulacra2(pixels, _decode(data, "gray" if pixels.ndim == 2 else "rgb"))
    return math.nan


def _check_identified(data: bytes, distance: float) -> None:
    kind = mozcodec.forensics.identify(data)
    ours = any(one.family == "mozcodec" and one.table_distance == 0 for one in kind.candidates)
    _check(ours, f"forensics says {kind.candidates}")  # tables of ones may be anybody's at the highest quality
    if kind.family == "mozcodec":
        _check(kind.distance[0] - 1e-6 <= distance <= kind.distance[1] + 1e-6, f"forensics says {kind.distance}")


def _run_perceptual(case: Case) -> str:
    more = dict(case.more)
    targets = {name: more.pop(name) for name in ("ssimulacra2", "bytes") if name in more}
    distance, subsampling = case.quality, case.options.get("subsampling", "auto")
    if targets:
        found = mozcodec.encode_to_target(case.pixels, **targets, **more, **case.options)
        data, distance = found.data, found.distance
        subsampling = "auto" if found.subsampling == "gray" else found.subsampling
        if "bytes" in targets:
            _check(len(data) == found.value <= targets["bytes"], f"{len(data)} bytes are more than {targets}")
        else:
            score = _scored(case, data)
            _check(found.value >= targets["ssimulacra2"], f"{found.value} is below {targets}")
            _check(math.isnan(score) or score == found.value, f"has {score}, not {found.value}")
    options = case.options | {"subsampling": subsampling}
    made = mozcodec.encode(case.pixels, distance=distance, **more, **options)
    _check(not targets or made == data, "another file at the distance that was found")
    decoded = _decode(made)
    _check(decoded.shape[:2] == case.pixels.shape[:2], f"decoded to {decoded.shape}")
    facts = mozcodec.inspect(made)
    _check(facts.header.progressive and facts.header.precision == 8, "no progressive file of 8 bits")
    low, high = facts.distance.low, facts.distance.high
    _check(low - 1e-9 <= distance <= high + 1e-9, f"inspect says {low}..{high}")
    if zlib.crc32(made) % 8 == 0:  # it takes longer than everything else here
        _check_identified(made, distance)
    _check_decoding(made, np.random.default_rng(zlib.crc32(made)))
    if case.pixels.ndim == 2 and options.get("transfer") != "linear":
        return _compare_gray(case, made, facts.quant_tables[0])
    return "decoded"


def _compare_gray(case: Case, data: bytes, table: np.ndarray) -> str:
    """Check a gray file against mozjpeg's own transform with the same table, without trellis."""
    scale = {"u1": 1, "u2": 1 / 257}.get(case.pixels.dtype.str[1:], 255)
    pixels = np.asarray(case.pixels * scale)
    plain = mozcodec.encode(np.round(pixels).astype(np.uint8), quant_tables=[table], trellis_quant=False)
    ours, wanted = _error(_decode(data), pixels), _error(_decode(plain), pixels)
    limit = 25 + 4 * wanted + _detail(pixels) + int(table[0, 0]) ** 2 / 64
    _check(ours <= limit, f"mean squared error {ours:.1f}, {wanted:.1f} without trellis")
    return "compared"


_RUNS = {
    "perceptual": _run_perceptual,
    "encode": _run_encode,
    "sweep": _run_sweep,
    "scaled": _run_scaled,
    "smartscale": _run_scaled,
    "planes": _run_planes,
    "deep": _run_deep,
    "lossless": _run_lossless,
    "rewrite": _run_rewrite,
}


def run_case(case: Case) -> str:
    """Run one case; return what was checked. Raises :class:`WrongResultError`, or whatever else went wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return _RUNS[case.verb](case)
        except mozcodec.JpegWarning:
            if case.verb != "rewrite":  # a file without its last scans loses its smoothing, and says so
                raise
            return "warned"
        except REFUSALS as error:
            if isinstance(error, mozcodec.DamagedError):
                raise WrongResultError(f"DamagedError: {error}") from error
            return "refused"


# ---- chunks ---------------------------------------------------------------------------------------------------------


def run_chunk(seed: int, start: int, count: int) -> dict[str, Any]:
    """Run some cases in this process; the number of each stands in the log before it runs, for one that kills."""
    checked: Counter[str] = Counter()
    failures = []
    for number in range(start, start + count):
        print(number, file=sys.stderr, flush=True)
        case = draw_case(seed, number)
        try:
            checked[run_case(case)] += 1
        except Exception as error:
            failures.append([number, f"{type(error).__name__}: {error}"])
    return {"checked": dict(checked), "failures": failures}


def _in_a_process(seed: int, start: int, count: int) -> dict[str, Any]:
    """Run a chunk in a process of its own; a signal is a failure of the case that it struck."""
    failures: list[list[Any]] = []
    checked: Counter[str] = Counter()
    end = start + count
    while start < end:
        command = [sys.executable, __file__, "chunk", str(start), "--cases", str(end - start), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found = json.loads(done.stdout)
            failures += found["failures"]
            checked.update(found["checked"])
            break
        numbers = [int(line) for line in done.stderr.splitlines() if line.isdigit()]
        last = numbers[-1] if numbers else start
        failures.append([last, f"the process ended with status {done.returncode}: {_report(done.stderr)}"])
        start = last + 1
    return {"checked": dict(checked), "failures": failures}


def _report(log: str) -> str:
    """Return the part of a process's log that says why it ended: a sanitizer's report from its first line on."""
    lines = [line for line in log.splitlines() if not line.isdigit()]
    first = next((i for i, line in enumerate(lines) if "ERROR: " in line or "runtime error: " in line), None)
    return "\n".join(lines[-20:] if first is None else lines[first : first + 12])


def sanitized(folder: Path) -> dict[str, str]:
    """Build the extension with ASan and UBSan into *folder*; return an environment in which mozcodec is that one."""
    build = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(folder)]
    subprocess.run([*build, str(PACKAGE)], check=True, env=os.environ | {"MOZCODEC_SANITIZE": "ON"})
    start = folder / "start"
    start.mkdir(exist_ok=True)
    # An editable installation would be found first.
    (start / "sitecustomize.py").write_text(
        "import sys\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'ScikitBuild' not in type(f).__name__]\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
    )
    name = ["gcc", "-print-file-name=libasan.so"], ["gcc", "-print-file-name=libubsan.so"]
    libraries = [subprocess.run(one, check=True, capture_output=True, text=True).stdout.strip() for one in name]
    return os.environ | {
        "LD_PRELOAD": ":".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
        "PYTHONPATH": str(start),
    }


def _key(seed: int) -> dict[str, Any]:
    sources = Path(_mozjpeg.__file__).read_bytes() + Path(__file__).read_bytes()
    return {"seed": seed, "build": hashlib.sha256(sources).hexdigest()[:16]}


def run(cases: int, seed: int, workers: int, state: Path) -> int:
    """Run what is not done yet, and return the number of failures."""
    key, done = _key(seed), {}
    if state.exists():
        for line in state.read_text().splitlines():
            row = json.loads(line)
            if all(row[name] == value for name, value in key.items()):
                done[row["start"]] = row
    starts = [start for start in range(0, cases, CHUNK) if start not in done]
    state.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool, state.open("a") as log:
        jobs = ((start, pool.submit(_in_a_process, seed, start, min(CHUNK, cases - start))) for start in starts)
        for start, job in list(jobs):
            done[start] = key | {"start": start} | job.result()
            log.write(json.dumps(done[start]) + "\n")
            log.flush()
            for number, text in done[start]["failures"]:
                print(f"case {number}, seed {seed}: {text}\n  {draw_case(seed, number)}", flush=True)
    checked = sum((Counter(row["checked"]) for row in done.values()), Counter())
    failures = sum(len(row["failures"]) for row in done.values())
    parts = ", ".join(f"{count} {word}" for word, count in checked.most_common())
    print(f"seed {seed}: {sum(checked.values()) + failures} cases, {parts}; {failures} failures; "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("run", "show", "chunk"))
    parser.add_argument("number", type=int, nargs="?", default=0, help="of the case to show, or of the first case")
    parser.add_argument("--cases", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes; default 2")
    parser.add_argument("--state", type=Path, default=STATE, help="file of the finished chunks")
    parser.add_argument("--sanitized", action="store_true", help="build with ASan and UBSan, and run that")
    args = parser.parse_args()
    if args.sanitized:
        command = [sys.executable, "-P", __file__, *(word for word in sys.argv[1:] if word != "--sanitized")]
        return subprocess.run(command, env=sanitized(PACKAGE / "build" / "fuzz" / "sanitized"), check=False).returncode
    if args.mode == "show":
        case = draw_case(args.seed, args.number)
        print(case)
        print(run_case(case))
        return 0
    if args.mode == "chunk":
        print(json.dumps(run_chunk(args.seed, args.number, args.cases)))
        return 0
    return 1 if run(args.cases, args.seed, args.workers, args.state) else 0


if __name__ == "__main__":
    sys.exit(main())
