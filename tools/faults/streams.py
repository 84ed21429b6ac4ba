"""Mutated streams through the codec with AddressSanitizer and UndefinedBehaviorSanitizer: those of `make fuzz`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType

from detector.errors import DetectorError

from ..scripts import load
from . import Case, family

ROOT = Path(__file__).resolve().parents[2]
EACH = 10_000  # streams of a case
STREAMS = 1_000_000
SECONDS = 600


@cache
def fuzzer() -> ModuleType:
    """Return the fuzzer, packages/mozcodec/fuzz/run.py."""
    return load(ROOT / "packages" / "mozcodec" / "fuzz" / "run.py")


@cache
def program() -> tuple[Path, dict[str, list[Path]]]:
    """Build the program; return its path and the files that it mutates, by target. `DetectorError` if that fails."""
    fuzzer().BUILD.mkdir(parents=True, exist_ok=True)
    try:
        return fuzzer().build(), fuzzer().seed_files()
    except SystemExit as error:
        raise DetectorError(f"the codec with sanitizers cannot be built: {str(error)[-1500:]}") from error


@family(
    "streams through the codec under sanitizers",
    "damaged streams are read or refused; no report of AddressSanitizer or UndefinedBehaviorSanitizer",
    EACH,
)
def streams(seed: int, sample: Path) -> Iterator[Case]:  # noqa: ARG001 (the program draws them by their numbers)
    """Mutate small files of every kind and read, decode and optimise them, with the bounds of every function."""
    targets = fuzzer().TARGETS
    of_target = STREAMS // len(targets)
    for first in range((seed - 1) * of_target, seed * of_target, EACH):
        for target in targets:
            yield Case(f"{target}: streams {first} to {first + EACH - 1}", partial(_mutated, target, first))


def _mutated(target: str, first: int, folder: Path) -> str:
    binary, files = program()
    command = [*map(str, (binary, target, first, EACH)), *map(str, files[target])]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    return f"ended with {done.returncode}: {done.stderr[-1500:]}" if done.returncode else ""
