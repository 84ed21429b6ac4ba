"""A part of the sample's videos, copied under other names, so that data sets of several sizes cost the same a video."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = ["copied_tree"]

SPLITS = ("train", "val", "test")


def copied_tree(
    data: Path, out: Path, pairs: int, copies: int, methods: Sequence[str] = ("Deepfakes",), compression: str = "c23"
) -> int:
    """Write a FaceForensics++ tree: *copies* of the first *pairs* of each split in *data*. Return its number of videos.

    The copies have other identities, in the same split. An empty box at the end of each MP4 file makes its bytes
    unique, because tasks with the same input are run only once.
    """
    number = 0
    chosen: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        some = json.loads((data / "splits" / f"{split}.json").read_text(encoding="utf-8"))[:pairs]
        for copy in range(copies):
            for one, other in some:
                chosen[split].append([_name(one, copy), _name(other, copy)])
                for name in (one, other):
                    number += _copy(data, out, f"original_sequences/youtube/{compression}/videos", name, copy)
                for method in methods:
                    for name in (f"{one}_{other}", f"{other}_{one}"):
                        base = f"manipulated_sequences/{method}"
                        number += _copy(data, out, f"{base}/{compression}/videos", name, copy)
                        _copy(data, out, f"{base}/masks/videos", name, copy)
    (out / "splits").mkdir(parents=True)
    for split, some in chosen.items():
        (out / "splits" / f"{split}.json").write_text(json.dumps(some))
    return number


def _name(name: str, copy: int) -> str:
    """Return the name of a copy: every identity in *name* with the number of the copy before it."""
    return "_".join(f"{copy:02d}{part}" for part in name.split("_"))


def _copy(data: Path, out: Path, folder: str, name: str, copy: int) -> int:
    """Copy the video *name*, with another content; return how many files were written."""
    source = data / folder / f"{name}.mp4"
    if not source.exists():
        return 0
    path = out / folder / f"{_name(name, copy)}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read_bytes() + struct.pack(">I4sQ", 16, b"free", copy))
    return 1
