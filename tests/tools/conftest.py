"""Score tables and packed crops for the tests of the studies."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detector.config import CompressConfig
from detector.data.compress import compress_faces
from tools.faults.sample import write_sample

PAIRS = ["000_001", "002_003", "004_005"]
COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")


def write(path: Path, rng: np.random.Generator, shift: float = 1.0, conditions=("raw", "77", "turbo:10")) -> Path:
    """Write a table of three pairs, with ties, in which compression shifts the scores of both classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split in ("val", "test"):
            for p, pair in enumerate(PAIRS):
                for label in (0, 1):
                    for frame in range(3 + p):
                        a, b = (f"{int(name) + 100 * (split == 'val'):03d}" for name in pair.split("_"))
                        video = f"Deepfakes/{a}_{b}" if label else f"original/{a}"
                        identity = f"{a}+{b}" if label else a
                        for c, condition in enumerate(conditions):
                            score = round(float(1 / (1 + np.exp(-rng.normal(label - shift * c)))), 1)
                            row = (f"{video}/{frame}", video, "c23", frame, "Deepfakes" if label else "original")
                            writer.writerow((*row, identity, f"{a}_{b}", split, label, condition, score))
    return path


@pytest.fixture(name="write")
def write_fixture() -> Callable[..., Path]:
    return write


def pack(folder: Path) -> tuple[Path, Path]:
    """Write drawn crops of three splits, lossless and compressed, and return their folders."""
    faces, crops = folder / "faces", folder / "compressed"
    pairs = [("test", "004", "005"), ("test", "006", "007"), ("train", "000", "001"), ("val", "002", "003")]
    write_sample(faces, pairs, 32)
    compress_faces(faces, crops, 77, CompressConfig(), executor="serial")
    return faces, crops


@pytest.fixture(name="pack")
def pack_fixture() -> Callable[[Path], tuple[Path, Path]]:
    return pack
