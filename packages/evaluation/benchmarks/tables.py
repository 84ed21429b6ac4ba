"""Synthetic tables of scores of any size, written in pieces: the input of the benchmark of `evaluation metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")
CONDITIONS = {"raw": 1.6, "77": 1.3, "60": 1.1, "15": 0.6, "10": 0.4}  # name -> distance of the classes in logits


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a table: pairs of two people, each with real videos and a fake by every method."""

    pairs: int
    methods: int
    real_videos: int
    frames: int
    conditions: int
    val_pairs: int

    @property
    def videos(self) -> int:
        return self.pairs * 2 * (self.real_videos + self.methods)

    @property
    def rows(self) -> int:
        return self.videos * self.frames * self.conditions


def lines(shape: Shape, seed: int = 1) -> Iterator[str]:
    """Yield the header, then the rows of one pair at a time."""
    yield ",".join(COLUMNS) + "\n"
    conditions = list(CONDITIONS.items())[: shape.conditions]
    for number in range(shape.pairs):
        generator = np.random.default_rng([seed, number])
        split = "val" if number < shape.val_pairs else "test"
        a, b = f"{2 * number:05d}", f"{2 * number + 1:05d}"
        clips = [("original", f"{x}-{n:03d}", x) for x in (a, b) for n in range(shape.real_videos)]
        clips += [(f"m{m:03d}", f"{x}_{y}", f"{x}+{y}") for m in range(shape.methods) for x, y in ((a, b), (b, a))]
        labels = np.array([int(method != "original") for method, _, _ in clips])
        hard = generator.normal(0, 0.6, (len(clips), 1, 1))
        separation = np.array([value for _, value in conditions])
        logit = (2 * labels[:, None, None] - 1) * separation + hard
        logit = logit + generator.normal(0, 0.5, (len(clips), shape.frames, len(conditions)))
        scores = (1 / (1 + np.exp(-logit))).tolist()
        rows = []
        for (method, name, identity), label, of_clip in zip(clips, labels.tolist(), scores, strict=True):
            video = f"{method}/{name}"
            for frame, of_frame in enumerate(of_clip):
                head = f"c23/{video}/{frame:04d},{video},c23,{frame},{method},{identity},{a}_{b},{split},{label},"
                named = zip(conditions, of_frame, strict=True)
                rows += [f"{head}{condition},{score!r}\n" for (condition, _), score in named]
        yield "".join(rows)


def write(path: Path, shape: Shape, seed: int = 1) -> Path:
    """Write the table to *path* as CSV."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines(shape, seed))
    return path
