"""Build the fuzz target with AddressSanitizer and UndefinedBehaviorSanitizer and run mutated streams through it.

    python packages/mozcodec/fuzz/run.py                    # 1,000,000 streams, two processes
    python packages/mozcodec/fuzz/run.py --streams 50000 --workers 1

Every target gets an equal share. What was run is kept in build/fuzz/state.json, for one state of the sources: another
run goes on where the last one ended, however it ended. A report stops its target, is printed with the command that
repeats it, and makes the exit status 1. mozcodec must be installed: it makes the seed files.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np

import mozcodec

PACKAGE = Path(__file__).resolve().parents[1]
BUILD = PACKAGE / "build" / "fuzz"
TARGETS = ("header", "decode", "coefficients", "smartscale", "optimize")
CHUNK = 500
SANITIZERS = "-g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"


def seed_files() -> dict[str, list[Path]]:
    """Write small files of every kind that mozcodec writes, and return them by target."""
    y, x = np.mgrid[:37, :45]
    rgb = np.dstack([(7 * x + y) % 256, (x * y) % 256, (40 * np.sin(x / 3) * np.cos(y / 4) + 128)]).astype(np.uint8)
    gray, cmyk = np.ascontiguousarray(rgb[..., 1]), np.dstack([rgb, rgb[..., :1]])
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ordinary = {
        "default": mozcodec.encode(rgb, 77),
        "low": mozcodec.encode(rgb, 10),
        "gray": mozcodec.encode(gray, 60),
        "baseline": mozcodec.encode(rgb, 75, progressive=False),
        "fastest": mozcodec.encode(rgb, 75, profile="fastest"),
        "restart": mozcodec.encode(rgb, 75, profile="fastest", restart_interval=2),
        "progressive-restart": mozcodec.encode(rgb, 75, restart_interval=3, optimize_scans=False),
        "arithmetic": mozcodec.encode(rgb, 75, arithmetic=True),
        "arithmetic-baseline": mozcodec.encode(rgb, 75, arithmetic=True, progressive=False),
        "4:4:4": mozcodec.encode(rgb, 95),
        "4:1:1": mozcodec.encode(rgb, 75, subsampling="4:1:1", progressive=False),
        "4:4:0": mozcodec.encode(rgb, 75, subsampling="4:4:0"),
        "rgb": mozcodec.encode(rgb, 75, color_space="rgb"),
        "cmyk": mozcodec.encode(cmyk, 75, pixel_format="cmyk"),
        "ycck": mozcodec.encode(cmyk, 75, pixel_format="cmyk", color_space="ycck"),
        "lossless": mozcodec.encode(rgb, lossless=4),
        "lossless-16": mozcodec.encode(gray.astype(np.uint16) * 257, lossless=(2, 3), precision=16),
        "deep": mozcodec.encode(rgb.astype(np.uint16) * 16, 80, precision=12),
        "metadata": mozcodec.encode(rgb, 60, exif=tiff, xmp=b"<x/>", icc_profile=bytes(200), comment="seed"),
        "pixel": mozcodec.encode(rgb[:1, :1], 60),
    }
    small = {f"block-{n}": mozcodec.encode_smartscale(rgb, 80, block_size=n) for n in range(1, 17) if n != 8}
    small |= {f"block-{n}-gray": mozcodec.encode_smartscale(gray, 95, block_size=n) for n in (1, 2, 5, 7, 12)}
    small |= {
        f"block-{n}-sequential": mozcodec.encode_smartscale(rgb, 80, block_size=n, progressive=False)
        for n in (9, 12, 16)
    }
    for n in (3, 11):
        small[f"block-{n}-arithmetic"] = mozcodec.encode_smartscale(rgb, 80, block_size=n, arithmetic=True)
    folder = BUILD / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[Path]] = {}
    for kind, group in (("ordinary", ordinary), ("smartscale", small)):
        files[kind] = []
        for name, data in sorted(group.items()):
            path = folder / f"{name.replace(':', '')}.jpg"
            path.write_bytes(data)
            files[kind].append(path)
    return {target: files["smartscale" if target == "smartscale" else "ordinary"] for target in TARGETS}


def build() -> Path:
    """Build the program; returns its path."""
    define = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_FLAGS": SANITIZERS,
        "CMAKE_C_FLAGS_RELEASE": "-O1",
        "MOZCODEC_FUZZ": "ON",
        "MOZCODEC_REQUIRE_SIMD": "OFF",  # assembly hides from sanitizers
        "MOZCODEC_MOZJPEG_SOURCE": os.environ.get("MOZCODEC_MOZJPEG_SOURCE", ""),
        "Python_EXECUTABLE": sys.executable,
    }
    for command in (
        ["cmake", "-S", PACKAGE, "-B", BUILD, *(f"-D{name}={value}" for name, value in define.items())],
        ["cmake", "--build", BUILD, "--target", "mozcodec_fuzz", "--parallel", "2"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout[-4000:] + done.stderr[-4000:])
    return BUILD / "mozcodec_fuzz"


def sources_hash() -> str:
    """What the counts of the state file belong to."""
    digest = hashlib.sha256()
    for folder in ("csrc", "fuzz"):
        for path in sorted((PACKAGE / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".py"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class State:
    """Which chunks of each target were run and how many of their streams were taken, on disk after every chunk."""

    def __init__(self) -> None:
        self.path, self.lock = BUILD / "state.json", Lock()
        self.sources = sources_hash()
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        if kept.get("sources") != self.sources:
            kept = {"chunks": {}}
        self.taken: dict[str, dict[int, int]] = {
            target: {int(chunk): taken for chunk, taken in kept["chunks"].get(target, {}).items()} for target in TARGETS
        }
        self.begun = {target: set(chunks) for target, chunks in self.taken.items()}
        self.reports: dict[str, str] = {}

    def streams(self, target: str) -> int:
        return CHUNK * len(self.taken[target])

    def claim(self, chunks: int) -> tuple[str, int] | None:
        """Return a chunk of the target that has the fewest, or None where all have theirs."""
        with self.lock:
            open_ones = [t for t in TARGETS if t not in self.reports and len(self.begun[t]) < chunks]
            if not open_ones:
                return None
            target = min(open_ones, key=lambda t: len(self.begun[t]))
            chunk = next(i for i in range(chunks) if i not in self.begun[target])
            self.begun[target].add(chunk)
            return target, chunk

    def add(self, target: str, chunk: int, taken: int) -> None:
        with self.lock:
            self.taken[target][chunk] = taken
            partial = self.path.with_suffix(".partial")
            partial.write_text(json.dumps({"sources": self.sources, "chunks": self.taken}))
            partial.replace(self.path)


def work(state: State, program: Path, seeds: dict[str, list[Path]], chunks: int) -> None:
    """Run chunks until none is left."""
    while (job := state.claim(chunks)) is not None:
        target, chunk = job
        command = list(map(str, [program, target, chunk * CHUNK, CHUNK, *seeds[target]]))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            state.reports[target] = f"{' '.join(command)}\n{done.stderr[-6000:]}"
            continue
        state.add(target, chunk, int(done.stdout))
        if sys.stderr.isatty():
            print(f"\r{sum(map(state.streams, TARGETS))} streams", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1_000_000, help="in all; default 1,000,000")
    parser.add_argument("--workers", type=int, default=2, help="processes; default 2")
    args = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    program, seeds, state = build(), seed_files(), State()
    chunks = -(-args.streams // (len(TARGETS) * CHUNK))
    start, before = time.perf_counter(), sum(map(state.streams, TARGETS))
    with ThreadPoolExecutor(args.workers) as pool:
        for future in [pool.submit(work, state, program, seeds, chunks) for _ in range(args.workers)]:
            future.result()
    for target in TARGETS:
        taken = sum(state.taken[target].values())
        print(f"{target:13} {state.streams(target):8} streams, {taken} taken, the rest refused")
    total = sum(map(state.streams, TARGETS))
    print(f"{total} streams in all, {total - before} of them now, {time.perf_counter() - start:.0f} s")
    print(f"{len(state.reports)} reports")
    for report in state.reports.values():
        print(f"\nREPORT of\n{report}")
    return 1 if state.reports else 0


if __name__ == "__main__":
    sys.exit(main())
