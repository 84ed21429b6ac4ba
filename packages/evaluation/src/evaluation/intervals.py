"""Confidence intervals by the cluster bootstrap and clustered DeLong.

Frames of one video are nearly identical, so whole videos, or whole pairs of people, are resampled. There are two
methods: the *cluster bootstrap* for any metric (percentile intervals; the same draws are used for every quality and
model, so differences are paired), and the closed form for the AUC, *clustered DeLong* (Obuchowski 1997), with paired
tests.

An interval is ``nan, nan`` if the data do not support one: fewer than two clusters of a class, or a metric that
is undefined in more than 5 % of the replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .metrics import METRICS, Counts, Ranking, enough_for_fpr
from .scores import Scores
from .text import Text

__all__ = [
    "UNITS",
    "AucTest",
    "Bootstrap",
    "bootstrap_panel",
    "delong",
    "delong_difference",
    "holm",
    "panel",
    "percentile",
    "seed_mean",
]

Floats = NDArray[np.float64]
UNITS = ("video", "pair")
MAX_UNDEFINED = 0.05               # share of replicates in which a metric may be undefined
BLOCK = 2_000_000                  # weights processed at a time
DRAWN = 64                         # replicates drawn at a time
EXACT = 4096                      # rows up to which a replicate uses every score; more are grouped (see `Grouped`)
GROUPS = 512                       # of each class, in equal parts
TAIL = 256                         # of the highest 2 % of the real scores, for small false positive rates


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """*replicates* draws of whole clusters with replacement: ``weights[r, c]`` is how often cluster c was drawn.

    Drawn once for a set of scores and used for all its conditions, levels and models.
    """

    unit: str
    names: NDArray[np.str_]        # (C,) sorted
    labels: NDArray[np.int8]       # (C,) class of the cluster; 2 where it holds both
    weights: NDArray[np.int16]     # (R, C)

    @classmethod
    def draw(cls, scores: Scores, unit: str = "video", replicates: int = 1000, seed: int = 1) -> Bootstrap:
        """Return draws of the videos of *scores*, stratified by class, or of its pairs.

        A pair holds the real and the fake clips of two people, so pairs are drawn without regard to class.
        """
        if unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
        if replicates < 1:
            raise ValueError(f"replicates must be at least 1, got {replicates}")
        text = getattr(scores, unit).packed()
        names, inverse = text.names, text.codes
        has_real, has_fake = (np.bincount(inverse[scores.label == k], minlength=len(names)) > 0 for k in (0, 1))
        labels = np.where(has_real & has_fake, 2, has_fake).astype(np.int8)
        strata = labels if unit == "video" else np.zeros(len(names), dtype=np.int8)
        # the unit is part of the seed, the scores are not: the same test set gives the same draws for every model
        generator = np.random.default_rng([seed, UNITS.index(unit)])
        weights = np.zeros((replicates, len(names)), dtype=np.int16)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            size = len(members)
            for start in range(0, replicates, DRAWN):                      # a few at a time: these are int64
                count = min(DRAWN, replicates - start)
                drawn = generator.multinomial(size, np.full(size, 1 / size), count)
                weights[start : start + count, members] = drawn
        return cls(unit, names, labels, weights)

    def codes(self, scores: Scores) -> NDArray[np.intp]:
        """Return the cluster of each row of *scores*."""
        codes: NDArray[np.int32] = getattr(scores, self.unit).codes_among(self.names)
        if len(codes) and codes.min() < 0:
            raise ValueError(f"these scores hold a {self.unit} that the bootstrap was not drawn from")
        return codes.astype(np.intp)

    def enough(self, scores: Scores) -> bool:
        """Return whether *scores* holds at least two clusters of each class."""
        cluster: Text = getattr(scores, self.unit)
        return all(cluster[scores.label == k].num() >= 2 for k in (0, 1))


def panel(counts: Counts, thresholds: dict[str, float], num_real: float) -> dict[tuple[str, str], Floats]:
    """Return every metric that follows from *counts*: {(metric, name of its threshold or ""): value or values}.

    *thresholds*: name -> threshold; nan ones are left out. *num_real*: the number of real samples, which decides
    whether the TPR at a small FPR is defined.
    """
    values = {}
    for name, metric in METRICS.items():
        if metric.ranking is not None:
            found = metric.ranking(counts)
            enough = metric.least_fpr == 0 or enough_for_fpr(num_real, metric.least_fpr)
            values[name, ""] = found if enough else np.full_like(found, np.nan)
    for source, threshold in thresholds.items():
        if not np.isnan(threshold):
            confusion = counts.confusion(threshold)
            decided = {name: metric.decision(confusion) for name, metric in METRICS.items() if metric.decision}
            values |= {(name, source): value for name, value in decided.items()}
    return values


def bootstrap_panel(
    scores: Scores, thresholds: dict[str, float], bootstrap: Bootstrap | None = None
) -> dict[tuple[str, str], Floats]:
    """Return the `panel` of *scores* plus logloss and brier: scalars, or one value per replicate of *bootstrap*."""
    ranking = Ranking(scores.label, scores.score)
    losses = {name: metric.loss(scores.label, scores.score) for name, metric in METRICS.items() if metric.loss}
    num_real = float(np.sum(scores.label == 0))
    if bootstrap is None:
        found = panel(ranking.counts(), thresholds, num_real)
        return found | {(name, ""): np.array(loss.mean() if len(loss) else np.nan) for name, loss in losses.items()}
    codes = bootstrap.codes(scores)
    parts = []
    many = len(scores) > EXACT and ranking.valid
    counted: Grouped | Ranking = Grouped(scores, codes, len(bootstrap.names), thresholds) if many else ranking
    for weights in _blocks(bootstrap.weights, max(counted.width, len(bootstrap.names) // 4)):
        part = panel(counted.counts(weights, codes), thresholds, num_real)
        parts.append(part | {(name, ""): _weighted_mean(loss, weights, codes) for name, loss in losses.items()})
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


class Grouped:
    """Scores in a few thousand groups, counted by cluster: replicates of large samples in a matrix product.

    The groups are quantiles of both classes, finer where false positive rates are small, and never cross one of the
    *thresholds*. Scores within a group count as equal. The effect on a replicate is far smaller than its sampling
    error, and the estimates themselves use every score.
    """

    def __init__(
        self, scores: Scores, codes: NDArray[np.intp], num_clusters: int, thresholds: dict[str, float]
    ) -> None:
        from scipy.sparse import csr_array

        classes = [scores.score[scores.label == label] for label in (0, 1)]
        edges = [np.quantile(values, np.arange(GROUPS) / GROUPS, method="lower") for values in classes if len(values)]
        if len(classes[0]):
            edges.append(np.quantile(classes[0], 0.98 + 0.02 * np.arange(TAIL) / TAIL, method="lower"))
        given = [threshold for threshold in thresholds.values() if not np.isnan(threshold)]
        lowest = float(scores.score.min())
        rising = np.unique(np.concatenate([*edges, [lowest], given]))
        rising = rising[rising >= lowest]                              # each group starts at its edge
        self.width = len(rising)
        self.thresholds = np.append(np.inf, rising[::-1])
        group = self.width - np.searchsorted(rising, scores.score, "right")
        shape = self.width, num_clusters
        self.by_class = [
            csr_array((np.ones(int(rows.sum())), (group[rows], codes[rows])), shape=shape)
            for rows in (scores.label == 0, scores.label == 1)
        ]

    def counts(self, weights: NDArray[Any], codes: NDArray[np.intp]) -> Counts:  # noqa: ARG002
        """Return the `Counts` under *weights* (R, C) of the clusters."""
        columns = np.ascontiguousarray(weights.T, dtype=np.float64)    # (C, R)
        fps, tps = (self._cumulated(numbers @ columns) for numbers in self.by_class)
        return Counts(tps, fps, self.thresholds)

    def _cumulated(self, numbers: Floats) -> Floats:
        out = np.zeros((numbers.shape[1], self.width + 1))
        np.cumsum(numbers.T, axis=1, out=out[:, 1:])
        return out


def _blocks(weights: NDArray[Any], width: int) -> list[NDArray[Any]]:
    """Return *weights* (R, C) in pieces of rows such that a piece times *width* stays small."""
    rows = max(1, BLOCK // max(width, 1))
    return [weights[start : start + rows] for start in range(0, len(weights), rows)]


def _weighted_mean(values: Floats, weights: NDArray[Any], codes: NDArray[np.intp]) -> Floats:
    """Return the mean of *values* with the weight of each one's cluster, per row of *weights*."""
    clusters, weights = weights.shape[1], weights.astype(np.float64)
    sums: Floats = weights @ np.bincount(codes, weights=values, minlength=clusters)
    sizes: Floats = weights @ np.bincount(codes, minlength=clusters)
    means = np.full(len(sums), np.nan)
    np.divide(sums, sizes, out=means, where=sizes > 0)
    return means


def percentile(replicates: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the central *confidence* share of *replicates*; nan, nan if over 5 % of them are nan."""
    values = np.asarray(replicates, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if len(defined) == 0 or len(defined) < (1 - MAX_UNDEFINED) * len(values):
        return float("nan"), float("nan")
    lo, hi = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(lo), float(hi)


def seed_mean(
    runs: Sequence[Scores],
    bootstrap: Bootstrap,
    metric: Callable[[Counts], Floats] = Counts.auc,
) -> tuple[Floats, Floats]:
    """Return (values, replicates): *metric* of each run (S,), and its mean over the runs in each replicate (R,).

    The draws are shared by the runs, so the replicates of two groups of runs on the same test set can be subtracted.
    The interval covers the choice of the test set; the spread of the values shows the effect of the seeds.
    """
    values = np.array([float(metric(Ranking(run.label, run.score).counts())) for run in runs])
    means = np.zeros(len(bootstrap.weights))
    for run in runs:
        ranking, codes = Ranking(run.label, run.score), bootstrap.codes(run)
        parts = [metric(ranking.counts(weights, codes)) for weights in _blocks(bootstrap.weights, len(run))]
        means += np.concatenate(parts) / len(runs)
    if not all(bootstrap.enough(run) for run in runs):
        means = np.full_like(means, np.nan)
    return values, means


class AucTest(NamedTuple):
    """An AUC or a difference of AUCs with standard error, normal interval, z and two-sided p against .5 or 0."""

    value: float
    se: float
    lo: float
    hi: float
    z: float
    p: float


@dataclass(frozen=True, slots=True)
class _Components:
    """DeLong's structural components summed by cluster, each minus what a cluster of average rank would have."""

    auc: float
    fakes: Floats                  # (C,)
    reals: Floats                  # (C,)


def _components(
    y_true: NDArray[np.bool_], y_score: Floats, clusters: NDArray[np.intp], num_clusters: int
) -> _Components:
    fake, real = y_score[y_true], y_score[~y_true]
    def placements(values: Floats, among: Floats) -> Floats:
        """Return the share of *among* below each value, ties counting one half."""
        ranked = np.sort(among)
        return (np.searchsorted(ranked, values, "left") + np.searchsorted(ranked, values, "right")) / (2 * len(among))
    of_fakes, of_reals = placements(fake, real), 1 - placements(real, fake)
    area = float(of_fakes.mean())
    return _Components(
        area,
        np.bincount(clusters[y_true], weights=of_fakes - area, minlength=num_clusters).astype(np.float64),
        np.bincount(clusters[~y_true], weights=of_reals - area, minlength=num_clusters).astype(np.float64),
    )


def _covariance(
    a: _Components, b: _Components, y_true: NDArray[np.bool_], clusters: NDArray[np.intp]
) -> float:
    """Return Obuchowski's covariance of two AUCs on the same samples (their variance for a = b)."""
    num_fake, num_real = int(y_true.sum()), int((~y_true).sum())
    with_fake, with_real, any_class = (len(np.unique(clusters[mask])) for mask in (y_true, ~y_true, slice(None)))
    def spread(x: Floats, y: Floats, count: int) -> float:
        return count / (count - 1) * float(x @ y)
    return (
        spread(a.fakes, b.fakes, with_fake) / num_fake**2
        + spread(a.reals, b.reals, with_real) / num_real**2
        + (spread(a.fakes, b.reals, any_class) + spread(a.reals, b.fakes, any_class)) / (num_fake * num_real)
    )


def _test(value: float, variance: float, null: float, confidence: float) -> AucTest:
    from scipy.special import ndtr, ndtri

    se = float(np.sqrt(max(variance, 0.0)))
    half = float(ndtri((1 + confidence) / 2)) * se
    # without spread (such as a perfect separation) the normal approximation gives no z and p
    z = (value - null) / se if se > 0 else float("nan")
    return AucTest(value, se, value - half, value + half, z, float(2 * ndtr(-abs(z))))


def _prepared(
    y_true: ArrayLike, clusters: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.intp], int, bool]:
    labels = np.asarray(y_true).astype(bool)
    names = np.arange(len(labels)) if clusters is None else np.asarray(clusters)
    unique, codes = np.unique(names, return_inverse=True)
    enough = all(len(np.unique(codes[mask])) >= 2 for mask in (labels, ~labels))
    return labels, codes, len(unique), enough


UNDEFINED = AucTest(*[float("nan")] * 6)


def delong(
    y_true: ArrayLike, y_score: ArrayLike, clusters: ArrayLike | None = None, confidence: float = 0.95
) -> AucTest:
    """Return the AUC with DeLong's standard error, clustered (Obuchowski 1997) when *clusters* (n,) names them.

    DeLong, DeLong, Clarke-Pearson 1988; Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics
    53 (1997), 567-578. A cluster may hold one class or both; singletons give DeLong's own interval. z and p are against
    .5. All nan with fewer than two clusters of a class. The interval is the normal one and may pass 1.
    """
    labels, codes, count, enough = _prepared(y_true, clusters)
    if not enough or np.isnan(scores := np.asarray(y_score, dtype=np.float64)).any():
        return UNDEFINED
    parts = _components(labels, scores, codes, count)
    return _test(parts.auc, _covariance(parts, parts, labels, codes), 0.5, confidence)


def delong_difference(
    y_true: ArrayLike, a: ArrayLike, b: ArrayLike, clusters: ArrayLike | None = None, confidence: float = 0.95
) -> AucTest:
    """Return AUC(a) - AUC(b) of two scores of the same samples, paired, with its standard error and test against 0."""
    labels, codes, count, enough = _prepared(y_true, clusters)
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not enough or np.isnan(first).any() or np.isnan(second).any():
        return UNDEFINED
    x, y = (_components(labels, scores, codes, count) for scores in (first, second))
    variance = sum(
        sign * _covariance(p, q, labels, codes) for p, q, sign in ((x, x, 1), (y, y, 1), (x, y, -2))
    )
    return _test(x.auc - y.auc, variance, 0.0, confidence)


def holm(p_values: ArrayLike) -> Floats:
    """Return Holm's step-down adjusted p-values in the given order.

    Rejecting those below a level controls the family-wise error rate at that level. nan stay nan and do not count as
    tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors)) if len(order) else []
    return adjusted
