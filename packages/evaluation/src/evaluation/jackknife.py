"""Metrics of clustered scores together with their delete-one-cluster values, without resampling.

`Side` holds the scores of one class, sorted once, with the clusters of its rows; a `Sample` is a side of real and a
side of fake scores. Every metric comes as an `Estimate`: its value, its deviation when each cluster is left out, and
the largest effective number of independent samples that the clusters allow. `evaluation.wilson` computes intervals
from them. The sides of a sample may come from different conditions, and samples may share sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .clusters import Clusters

__all__ = ["Estimate", "Rates", "Sample", "Side", "jackknife", "win_counts"]

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the quantities that its interval is computed from.

    `spread` (C,): deviation of each delete-one value from their mean, scaled so that the weighted sum of squares is the
    jackknife variance; those of two estimates of the same clusters give their covariance. `clusters` is the number of
    clusters that the t quantile counts (of the rarer class), `cap` the largest effective n (inf: no bound), and
    `reason` says why the value or its interval is undefined.
    """

    value: float
    spread: Floats
    weight: Floats
    clusters: int
    cap: float = np.inf
    cap_paired: float = np.inf     # the same for a difference of two such values on the same rows
    reason: str = ""
    extra: float | None = None     # variance to add in a difference; None: follows from value and cap_paired

    variance: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", positive_sum(self.spread * self.spread, self.weight))

    def covariance(self, other: Estimate) -> float:
        """Return the jackknife covariance of two estimates over the same clusters."""
        return float(self.weight @ (self.spread * other.spread))


def positive_sum(squares: Floats, weight: Floats) -> float:
    """Return the weighted sum of squares over clusters, at least half of that over people.

    Subtracting the overlaps of two people can leave a negative variance in a small sample.
    """
    total = float(weight @ squares)
    return total if total > 0 and weight[-1] > 0 else max(total, 0.5 * float(squares[weight > 0].sum()))


@dataclass(frozen=True, slots=True)
class Rates:
    """True positive and true negative rate at one threshold, and the share of fakes."""

    tpr: Estimate
    tnr: Estimate
    prevalence: float


class Side:
    """The scores of one class in rising order with their clusters."""

    def __init__(self, score: ArrayLike, clusters: Clusters) -> None:
        values = np.asarray(score, dtype=np.float64)
        sorted_already = bool((values[1:] >= values[:-1]).all())
        order = slice(None) if sorted_already else np.argsort(values, kind="stable")
        self.score: Floats = values[order]
        self.weight = clusters.weight
        code = clusters.code[order]
        self.item = clusters.item[order]
        if code.shape[1] == 1:
            self.code, self.row = code[:, 0], None
        else:
            self.row, column = np.nonzero(code >= 0)
            self.code = code[self.row, column]
        self.size = np.bincount(self.code, minlength=len(self.weight)).astype(np.float64)
        self.valid = not np.isnan(self.score).any()

    def __len__(self) -> int:
        return len(self.score)

    @property
    def num_clusters(self) -> int:
        """The clusters that hold a row of this class; for people, who share fakes, half of their number."""
        present = int(np.sum((self.size > 0) & (self.weight > 0)))
        return present if self.weight[-1:].sum() >= 0 else (present + 1) // 2

    def sums(self, values: Floats) -> Floats:
        """Return the sum of *values* (n,) in each cluster."""
        members = values if self.row is None else values[self.row]
        return np.asarray(np.bincount(self.code, weights=members, minlength=len(self.weight)), dtype=np.float64)

    def numbers_from(self, position: int) -> Floats:
        """Return the number of rows of each cluster at *position* or above."""
        start = position if self.row is None else np.searchsorted(self.row, position)
        return np.bincount(self.code[start:], minlength=len(self.weight)).astype(np.float64)

    @cached_property
    def _keys(self) -> tuple[NDArray[np.int64], Positions]:
        """Rows by cluster and score as numbers ``cluster * (n + 1) + position``; and where each cluster starts."""
        position = np.arange(len(self), dtype=np.int64) if self.row is None else self.row.astype(np.int64)
        keys = np.sort(self.code.astype(np.int64) * (len(self) + 1) + position)
        return keys, np.append(0, np.cumsum(self.size)).astype(np.intp)[:-1]

    def numbers_below(self, code: NDArray[Any], position: Positions) -> Positions:
        """Return the number of rows of cluster *code* below *position*, elementwise."""
        keys, starts = self._keys
        found: Positions = np.searchsorted(keys, code.astype(np.int64) * (len(self) + 1) + position) - starts[code]
        return found

    @cached_property
    def rank_sums(self) -> Floats:
        """Return the sum of the centred relative mid-ranks of each cluster, divided by n."""
        low, high = self._ties
        return self.sums((low + high) / (2 * len(self)) - 0.5) / len(self)

    @cached_property
    def _ties(self) -> tuple[Positions, Positions]:
        """The first position of the run of equal scores that a row belongs to, and the one after its last."""
        new = np.append(True, self.score[1:] != self.score[:-1])
        start = np.flatnonzero(new)
        if len(start) == len(self):
            return start, start + 1
        length = np.diff(np.append(start, len(self)))
        return np.repeat(start, length), np.repeat(start + length, length)

    @cached_property
    def rank_variance(self) -> float:
        """Variance of the mean relative rank, a measure of how independent the rows of a cluster are for any metric.

        Equal scores are ordered at random, with the rows of one video together, so that a detector with only two
        different scores does not appear to have infinitely many samples.
        """
        clusters = self.num_clusters
        total = positive_sum(self.rank_sums**2, self.weight)
        return clusters / (clusters - 1) * (total + self._tie_variance) if clusters > 1 else np.inf

    @property
    def _tie_variance(self) -> float:
        low, high = self._ties
        n = float(len(self))
        if (tied := high - low > 1).sum() == 0:
            return 0.0
        # rows of one video in one run of equal scores: blocks of b rows that take a uniform place among the run's m
        names = low[tied].astype(np.int64) * (int(self.item.max()) + 1) + self.item[tied]
        _, number, block = np.unique(names, return_inverse=True, return_counts=True)
        m = np.zeros(len(block))
        m[number] = (high - low)[tied]
        return float(np.sum((block / n) ** 2 * (m**2 - block**2) / (12 * n**2)))


class Sample:
    """Real and fake scores of the same clusters."""

    def __init__(self, real: Side, fake: Side) -> None:
        if len(real.weight) != len(fake.weight):
            raise ValueError(f"the sides number their clusters differently: {len(real.weight)} and {len(fake.weight)}")
        self.real, self.fake, self.weight = real, fake, real.weight

    @classmethod
    def of(cls, label: ArrayLike, score: ArrayLike, clusters: Clusters) -> Sample:
        """Return the sample of rows with *label* 1 (fake) or 0 and their *score*."""
        labels, scores = np.asarray(label).astype(bool), np.asarray(score, dtype=np.float64)
        return cls(Side(scores[~labels], clusters[~labels]), Side(scores[labels], clusters[labels]))

    @cached_property
    def lacking(self) -> str:
        """The reason why metrics of both classes have no interval; empty if they have one."""
        for side, name in ((self.real, "real"), (self.fake, "fake")):
            if len(side) == 0:
                return f"no {name} samples"
            if not side.valid:
                return "a score is not a number"
            if side.num_clusters < 2:
                return f"fewer than two clusters with {name} samples"
        return ""

    @property
    def num_clusters(self) -> int:
        """The number of clusters of the rarer class, which determines the t quantile."""
        return min(self.real.num_clusters, self.fake.num_clusters)

    @cached_property
    def _size(self) -> Floats:
        return self.real.size + self.fake.size

    def __len__(self) -> int:
        return len(self.real) + len(self.fake)

    @cached_property
    def _all_clusters(self) -> int:
        """The clusters that hold a row of either class."""
        return int(np.sum((self._size > 0) & (self.weight > 0)))

    @cached_property
    def rank_covariance(self) -> float:
        clusters = self._all_clusters
        product = self.real.rank_sums * self.fake.rank_sums
        return clusters / max(clusters - 1, 1) * float(self.weight @ product)

    def _estimate(self, value: float, left_out: Floats, cap: float = np.inf, paired: float = np.inf) -> Estimate:
        return jackknife(
            value, left_out, self._size, len(self), self.weight, self.num_clusters, cap, paired, self.lacking
        )

    # -- ranks --------------------------------------------------------------------------------------------------------

    @cached_property
    def _below(self) -> tuple[Positions, Positions]:
        """For each fake score, the number of real scores below it, and below or equal."""
        return np.searchsorted(self.real.score, self.fake.score, "left"), np.searchsorted(
            self.real.score, self.fake.score, "right"
        )

    @cached_property
    def _cap(self) -> tuple[float, float]:
        if self.lacking:
            return np.inf, np.inf
        total = self.real.rank_variance + self.fake.rank_variance
        together = total - 2 * self.rank_covariance
        return 1 / max(total, 1e-12), 1 / max(2 * together, 1e-12)

    def auc(self) -> Estimate:
        """Area under the ROC curve, ties counting one half."""
        real, fake = self.real, self.fake
        if len(real) == 0 or len(fake) == 0 or not (real.valid and fake.valid):
            return self._nothing()
        return self.auc_from(win_counts(real, fake, self._below))

    def auc_from(self, wins: Floats) -> Estimate:
        """Return the same from the `win_counts` of the two sides."""
        of_fakes, of_reals, within = wins
        total = float(self.weight @ of_fakes)                            # overlaps of clusters have the weight -1
        f, r = len(self.fake) - self.fake.size, len(self.real) - self.real.size
        with np.errstate(invalid="ignore", divide="ignore"):
            left_out = (total - of_fakes - of_reals + within) / (f * r)
        return self._estimate(total / (len(self.fake) * len(self.real)), left_out, *self._cap)

    @cached_property
    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Thresholds from high to low after an infinite one; numbers of real and fake scores at or above each."""
        both = np.concatenate([self.real.score, self.fake.score])
        both.sort(kind="stable")                                        # merges two sorted runs
        rising = both[np.append(True, both[1:] != both[:-1])[: len(both)]]
        fps = len(self.real) - np.searchsorted(self.real.score, rising, "left")
        tps = len(self.fake) - np.searchsorted(self.fake.score, rising, "left")
        falling = np.append(np.inf, rising[::-1])
        return falling, np.append(0.0, fps[::-1]), np.append(0.0, tps[::-1])

    def eer(self) -> Estimate:
        """Equal error rate by linear interpolation, with the linearised effect of leaving a cluster out.

        A cluster moves the two error rates at the threshold and the ROC curve turns them into a move of the EER. Its
        slope is that of a chord one standard error to both sides: the EER without a cluster jumps from score to score,
        so values without each cluster vary up to 1.3 times as much as the EER of new samples.
        """
        real, fake = self.real, self.fake
        if len(real) == 0 or len(fake) == 0 or not (real.valid and fake.valid):
            return self._nothing()
        thresholds, fps, tps = self.curve
        gap = 1 - tps / len(fake) - fps / len(real)                      # from 1 down to -1
        after = int(np.argmax(gap <= 0))
        part = float(gap[after - 1] / (gap[after - 1] - gap[after]))
        value = float(fps[after - 1] + part * (fps[after] - fps[after - 1])) / len(real)
        if self.lacking:
            return self._nothing(value)
        of_real, of_fake = np.zeros(len(self.weight)), np.zeros(len(self.weight))
        for at, share in ((after - 1, 1 - part), (after, part)):         # deviations of FPR and FNR by cluster
            for found, side, sign in ((of_real, real, 1), (of_fake, fake, -1)):
                start = int(np.searchsorted(side.score, thresholds[at], "left"))
                above = side.numbers_from(start) - (1 - start / len(side)) * side.size
                found += sign * share * above / len(side)
        clusters = self.num_clusters
        k = clusters / (clusters - 1)
        error = float(np.sqrt(k * positive_sum((of_real + of_fake) ** 2, self.weight))) / 2
        reach = max(error, 1.5 / len(real))
        low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        slope = (self.tpr_at(high * len(real)) - self.tpr_at(low * len(real))) / (high - low)
        influence = (of_fake + slope * of_real) / (1 + slope)
        total = real.rank_variance + fake.rank_variance
        ranks = max(total - self.rank_covariance, 0.3 * total, 1e-12)
        cap = min(1 / ranks, 6 / (1 / len(real) + 1 / len(fake)))
        return Estimate(value, -influence * np.sqrt(k), self.weight, clusters, cap, 0.7 * cap)

    def ap(self) -> Estimate:
        """Average precision of the class fake, with the linearised effect of leaving a cluster out.

        A cluster is part of the curve that its effect is measured against. Its share in it is taken out as in the HC3
        variance of a regression, or intervals by 12 clusters would be too narrow.
        """
        real, fake = self.real, self.fake
        if len(real) == 0 or len(fake) == 0 or not (real.valid and fake.valid):
            return self._nothing()
        below, _ = self._below
        tp = (len(fake) - fake._ties[0]).astype(np.float64)              # at or above each fake's score
        fp = (len(real) - below).astype(np.float64)
        precision = tp / (tp + fp)
        slope_tp, slope_fp = fp / (tp + fp) ** 2, -tp / (tp + fp) ** 2
        value = float(precision.mean())

        def upto(slope: Floats, position: Positions) -> Floats:
            """Sum of *slope* over the fakes below *position*."""
            return np.append(0.0, np.cumsum(slope))[position]

        of_fakes = precision - value + upto(slope_tp, fake._ties[1])
        of_reals = upto(slope_fp, np.searchsorted(fake.score, real.score, "right"))
        influence = (fake.sums(of_fakes) + real.sums(of_reals)) / len(fake)
        if self.lacking:
            return self._nothing(value)
        clusters = self.num_clusters
        spread = -influence * (clusters / (clusters - 1)) ** 1.5
        return Estimate(value, spread, self.weight, clusters, 2 * self._cap[0], self._cap[1])

    # -- one threshold ------------------------------------------------------------------------------------------------

    def rates(self, threshold: float) -> Rates:
        """Rates when ``score >= threshold`` is classified as fake. Each needs the clusters of its own class only."""
        found = []
        for side, name in ((self.fake, "fake"), (self.real, "real")):
            position = int(np.searchsorted(side.score, threshold, "left")) if side.valid else 0
            above = side.numbers_from(position)
            found.append(self._rate(side, name, above if name == "fake" else side.size - above,
                                    len(side) - position if name == "fake" else position))
        return Rates(found[0], found[1], len(self.fake) / len(self) if len(self) else np.nan)

    def _rate(self, side: Side, name: str, right: Floats, total: int) -> Estimate:
        if len(side) == 0 or not side.valid:
            return self._nothing(reason=f"no {name} samples" if len(side) == 0 else "a score is not a number")
        reason = "" if side.num_clusters > 1 else f"fewer than two clusters with {name} samples"
        with np.errstate(invalid="ignore", divide="ignore"):
            left_out = (total - right) / (len(side) - side.size)
        cap = np.inf if reason else min(1 / max(6 * side.rank_variance, 1e-12), len(side))
        return jackknife(
            total / len(side), left_out, side.size, len(side), self.weight, side.num_clusters, cap, 0.7 * cap, reason
        )

    def tpr_at(self, alarms: float) -> float:
        """TPR at a number of false alarms, by linear interpolation on the ROC curve as `metrics.tpr_at_fpr`."""
        _, fps, tps = self.curve
        before = max(int(np.searchsorted(fps, alarms, "right")) - 1, 0)
        after = min(before + 1, len(fps) - 1)
        run = fps[after] - fps[before]
        part = max(alarms - fps[before], 0.0) / run if run > 0 else 0.0
        return float((tps[before] + part * (tps[after] - tps[before])) / len(self.fake))

    # -- means --------------------------------------------------------------------------------------------------------

    def mean_loss(self, of_each: Callable[[ArrayLike, ArrayLike], Floats]) -> Estimate:
        """Mean over all rows of a loss of (label, score)."""
        parts = [
            (side, of_each(np.full(len(side), label), side.score)) for label, side in ((0, self.real), (1, self.fake))
        ]
        total = sum(float(loss.sum()) for _, loss in parts)
        if len(self) == 0:
            return self._nothing(reason="no samples")
        clusters = self._all_clusters
        reason = "" if clusters > 1 else "fewer than two clusters"
        sums = np.zeros(len(self.weight))
        for side, loss in parts:
            sums += side.sums(loss)
        with np.errstate(invalid="ignore", divide="ignore"):
            left_out = (total - sums) / (len(self) - self._size)
        used = self.num_clusters if self.num_clusters > 1 else clusters
        return jackknife(
            total / len(self), left_out, self._size, len(self), self.weight, used, reason=reason
        )

    def _nothing(self, value: float = np.nan, reason: str = "") -> Estimate:
        reason = reason or self.lacking or "undefined"
        return Estimate(value, np.zeros(len(self.weight)), self.weight, 0, reason=reason)


def win_counts(real: Side, fake: Side, below: tuple[Positions, Positions] | None = None) -> Floats:
    """Return (3, C), wins of fakes over real scores by cluster: of its fakes, over its reals, and both in the cluster.

    Ties count one half. *below*: for each fake the number of real scores below it, and below or equal, where known.
    """
    first, last = below or Sample(real, fake)._below
    # for each real sample, the number of fakes above it (ties count one half), from the positions of the fakes
    n = len(real)
    passed = np.bincount(first, minlength=n + 1) + np.bincount(last, minlength=n + 1)
    over_reals = (2 * len(fake) - np.cumsum(passed)[:n]) / 2.0
    rows = slice(None) if fake.row is None else fake.row
    inside = real.numbers_below(fake.code, first[rows]) + real.numbers_below(fake.code, last[rows])
    within = np.bincount(fake.code, weights=inside / 2.0, minlength=len(fake.weight))
    return np.stack([fake.sums((first + last) / 2.0), real.sums(over_reals), within])


def jackknife(
    value: float, left_out: Floats, size: Floats, num_rows: int, weight: Floats, clusters: int, cap: float = np.inf,
    paired: float = np.inf, reason: str = "",
) -> Estimate:  # fmt: skip
    """Return the estimate from the values without each cluster.

    *size* (C,): rows of each cluster, of *num_rows* in all. Clusters that overlap have no common mean; for them,
    deviations are taken from the value and scaled by the share of rows that are kept, which for a rate is the exact
    contribution of the cluster.
    """
    spread = np.zeros(len(weight))
    present = size > 0
    if not reason:
        if (weight < 0).any():
            deviation = (left_out[present] - value) * (1 - size[present] / num_rows)
        else:
            count = int(present.sum())
            deviation = (left_out[present] - left_out[present].mean()) * ((count - 1) / count)
        spread[present] = deviation * np.sqrt(clusters / (clusters - 1))
        if not np.isfinite(spread).all():
            reason, spread = "undefined without one of the clusters", np.zeros(len(weight))
    return Estimate(value, spread, weight, clusters, cap, paired, reason)
