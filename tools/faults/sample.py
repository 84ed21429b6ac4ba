"""The small input of the cases: drawn crops of three splits, packed as the faces stage leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detector.data.files import write_json
from detector.data.index import Face, write_index
from detector.data.png import encode_png
from detector.data.shards import ShardWriter
from evaluation.sums import write_sums

PAIRS = (("test", "004", "005"), ("train", "000", "001"), ("val", "002", "003"))


def write_sample(folder: Path, pairs: Sequence[tuple[str, str, str]] = PAIRS, size: int = 64) -> None:
    """Write 12 crops of *size* x *size* pixels for each of *pairs* (split, two people) to *folder*, real and fake."""
    rng, rows = np.random.default_rng(0), []
    with ShardWriter(folder) as shards:
        for split, a, b in pairs:
            for label in (0, 1):
                method, name = ("Deepfakes", f"{a}_{b}") if label else ("original", a)
                for frame in range(6):
                    image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                    slot = shards.add(f"c23/{split}/{a}/{label}/{frame}", encode_png(image))
                    described = (f"{method}/{name}", "c23", frame, method, f"{a}+{b}" if label else a, f"{a}_{b}")
                    rows.append(
                        Face(slot.key, *described, split, label, slot.shard, slot.offset, slot.size, slot.crc32)
                    )
    write_index(folder / "index.csv", rows)
    counts = {"train": 2, "val": 2, "test": 2}
    write_json(
        folder / "summary.json",
        {"dataset": {"name": "drawn"}, "parameters": {"size": size}, "identities": counts, "videos": {}, "faces": {}},
    )
    write_sums(folder)
