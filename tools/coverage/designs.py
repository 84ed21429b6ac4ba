"""Simulated test sets with known true metrics: scores are correlated within a video, a person and a pair.

logit = shift + mu (label - 1/2) + pair + target + video + frame, with independent normal effects; score is its sigmoid.
A pair has two people. Each has one real video and, for each of `methods`, one fake with that person as target; a fake
shares the target effect with the real video of its target. mu = Phi^-1(AUC) sqrt(2 total variance).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from evaluation.clusters import Clusters

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """`variance`: of the pair, target, video and frame effects. `cells`: gain, offset and noise of each condition.

    `frames`: of a real and of a fake video; *unequal*: uniform on 1 .. 2 n - 1. *heavy*: t(3) frame noise. *digits*:
    scores are rounded. *people* > 0: that many people, each the target of `methods` others in turn, so everyone is in
    several pairs. *apart*: every video has its own pair, so no pair holds both classes.
    """

    name: str
    pairs: int
    auc: float
    variance: tuple[float, float, float, float]
    methods: int = 4
    shift: float = 0.0
    frames: tuple[int, int] = (16, 8)
    unequal: bool = False
    heavy: bool = False
    digits: int | None = None
    people: int = 0
    apart: bool = False
    levels: tuple[str, ...] = ("frame", "video")
    cells: tuple[tuple[float, float, float], ...] = field(default=((1.0, 0.0, 0.0),))

    @property
    def mu(self) -> float:
        return float(ndtri(self.auc) * np.sqrt(2 * sum(self.variance)))


@dataclass(frozen=True)
class Data:
    """Rows of one test set: labels, clusters, video of each row, and the scores of each cell (cells, rows)."""

    label: NDArray[np.int8]
    clusters: Clusters
    video: NDArray[np.int32]
    score: Floats

    def by_video(self) -> Data:
        """Return the mean score of each video."""
        _, first, counts = np.unique(self.video, return_index=True, return_counts=True)
        means = np.array([np.bincount(self.video, weights=row) for row in self.score]) / counts
        clusters = self.clusters[first]
        return Data(self.label[first], clusters, self.video[first], means)


def generate(design: Design, pairs: int, generator: np.random.Generator) -> Data:
    """Return one test set of *pairs* pairs."""
    of_pair, of_target, of_video, of_frame = (np.sqrt(v) for v in design.variance)
    normal = generator.standard_normal
    if design.people:
        people = design.people * pairs // design.pairs
        person = of_target * normal(people)
        target = np.repeat(np.arange(people), design.methods)
        donor = (target + np.tile(np.arange(1, design.methods + 1), people)) % people
        level_real, level_fake = person, person[target] + of_pair * normal(people)[donor]
        code = np.full((people + len(target), 3), -1, dtype=np.int32)
        code[:people, 0] = np.arange(people)
        couple = np.unique(np.sort(np.stack([target, donor], 1), 1), axis=0, return_inverse=True)[1].reshape(-1)
        code[people:] = np.stack([target, donor, people + couple], 1)
        weight = np.repeat([1.0, -1.0], [people, int(couple.max()) + 1])
        unit = "person"
    else:
        target = np.repeat(np.arange(2 * pairs), design.methods)
        base = np.repeat(of_pair * normal(pairs), 2) + of_target * normal(2 * pairs)
        level_real, level_fake = base, base[target]
        pair = np.concatenate([np.arange(2 * pairs) // 2, target // 2]).astype(np.int32)
        code = np.arange(len(pair), dtype=np.int32)[:, None] if design.apart else pair[:, None]
        weight, unit = np.ones(int(code.max()) + 1), "pair"
    label = np.repeat(np.array([0, 1], dtype=np.int8), [len(level_real), len(level_fake)])
    video = np.concatenate([level_real, level_fake]) + of_video * normal(len(label))
    most = np.where(label == 0, *design.frames)
    counts = generator.integers(1, 2 * most) if design.unequal else most
    rows = np.repeat(np.arange(len(label), dtype=np.int32), counts)
    noise = of_frame * (generator.standard_t(3, len(rows)) / np.sqrt(3) if design.heavy else normal(len(rows)))
    logit = design.shift + design.mu * (label[rows] - 0.5) + video[rows] + noise
    cells = [gain * logit + offset + (sd * normal(len(rows)) if sd else 0.0) for gain, offset, sd in design.cells]
    score = expit(np.array(cells))
    if design.digits is not None:
        score = np.round(score, design.digits)
    clusters = Clusters(unit, code[rows], weight, rows)
    return Data(label[rows], clusters, rows, score)


VID, TGT, PAIR, MIX = (0, 0, 1, 0.25), (0, 1, 0.25, 0.25), (1, 0, 0.25, 0.25), (0.3, 0.3, 0.5, 0.3)
_VID, _TGT, _PAIR, _FEW = (0, 0, 1, 0.1225), (0, 1, 0.1225, 0.1225), (1, 0, 0.1225, 0.1225), (0.25, 0, 0.7225, 0.1225)
THREE = ((1, 0, 0), (0.8, 0.4, 0.35), (0.4, 1.5, 0.7))
# raw, then 77, 60, 15 and 10 by two encoders: the scores of strongly compressed faces move up and lose their spread
NINE = (
    (1, 0, 0), (0.95, 0.05, 0.2), (0.9, 0.1, 0.2), (0.6, 0.7, 0.5), (0.45, 1.2, 0.6),
    (0.97, 0, 0.2), (0.93, 0.05, 0.2), (0.7, 0.4, 0.45), (0.6, 0.7, 0.5),
)  # fmt: skip
SHIFT = 0.3

DESIGNS = {
    design.name: design
    for design in (
        Design("D1", 12, 0.83, _VID, cells=THREE),
        Design("D2", 12, 0.815, _TGT, cells=THREE),
        Design("D3", 12, 0.815, _PAIR, cells=THREE),
        Design("D4", 12, 0.998, _VID, cells=THREE),
        Design("D5", 70, 0.998, _VID, cells=THREE),
        Design("D6", 70, 0.815, _TGT, cells=THREE),
        Design("D7", 3, 0.829, _FEW, methods=1, cells=THREE),
        Design("12vid.83", 12, 0.83, VID, shift=SHIFT),
        Design("12tgt.815", 12, 0.815, TGT, shift=SHIFT),
        Design("12pair.815", 12, 0.815, PAIR, shift=SHIFT),
        Design("12strong", 12, 0.998, VID, shift=SHIFT),
        Design("70strong", 70, 0.998, VID, shift=SHIFT),
        Design("70tgt.83", 70, 0.83, TGT, shift=SHIFT),
        Design("3vid.83", 3, 0.83, VID, methods=1, shift=SHIFT),
        Design("48mix.75", 48, 0.75, MIX, shift=SHIFT),
        Design("12chance", 12, 0.50, MIX, shift=SHIFT),
        Design("140mix.99", 140, 0.99, MIX, shift=SHIFT),
        Design("12unequal", 12, 0.83, MIX, shift=SHIFT, unequal=True),
        Design("12t3", 12, 0.83, VID, shift=SHIFT, heavy=True),
        Design("12strpair", 12, 0.998, PAIR, shift=SHIFT),
        Design("36ut3.95", 36, 0.95, MIX, shift=SHIFT, unequal=True, heavy=True),
        Design("H12", 12, 0.85, MIX, frames=(4, 2), cells=NINE, levels=("frame",)),
        Design("H48", 48, 0.85, MIX, frames=(4, 2), cells=NINE, levels=("frame",)),
        Design("people24", 12, 0.83, (0.3, 0.5, 0.5, 0.25), people=24, methods=3, shift=SHIFT),
        Design("apart12", 12, 0.83, VID, methods=2, shift=SHIFT, apart=True),
        Design("tied24", 24, 0.90, MIX, shift=SHIFT, digits=1, levels=("frame",)),
        Design("150mix.90", 150, 0.90, MIX, methods=1, shift=SHIFT),
    )
}
