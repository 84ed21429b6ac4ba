"""Likelihood ratios from scores: calibration, its cost and its uncertainty, and the bounds that a sample supports.

A likelihood ratio (LR) is the probability of a score for fakes divided by that for reals; `llr` is its natural
logarithm. The definitions are those of forensic practice: Cllr and its minimum (Brümmer and du Preez 2006), logistic
and isotonic calibration with both classes of equal weight, and the empirical lower and upper bounds (ELUB; Vergeer et
al., Science & Justice 56, 2016, 482-491).

Rows depend on each other (frames of a video, videos of a person), so the bounds count independent units instead of
rows, the covariance of the logistic calibration is that of the jackknife over clusters, and the figures that describe
the calibration are cross-fitted: each cluster is calibrated, and compared with a threshold, by the other clusters only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .calibration import ece
from .clusters import Clusters
from .metrics import youden_threshold

__all__ = [
    "Calibration",
    "Ratio",
    "apply",
    "bounds",
    "calibrate",
    "cllr",
    "cllr_min",
    "isotonic",
    "isotonic_llr",
    "logistic",
    "pooled_adjacent_violators",
    "units",
]

Floats = NDArray[np.float64]
STEP = 0.01        # step of the grid of LR thresholds, in powers of ten
RIDGE = 1.0        # penalty of half the squared slope, which keeps the slope finite where the classes separate
CONFIDENCE = 0.95
FEWEST = 3         # clusters of each class for an interval
DIGITS = 9         # of stored numbers, so that the last bits of sums do not show


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits of one condition and level become likelihood ratios, and how good it is.

    intercept, slope: of the logistic calibration, llr = intercept + slope * logit. variance: of intercept, of slope,
    and their covariance, by the jackknife over `clusters` clusters (`unit`: pairs, people, videos), and quantile: of
    Student's t for an interval of 95 %; None, with the `reason`, if a class has fewer than three clusters. low, high:
    the smallest and the largest LR that the sample supports (ELUB), counting `real_units` and `fake_units` (see
    `units`). isotonic: knots (logit, P(fake) at even prior) of the isotonic calibration. The rest is cross-fitted: cllr
    in bits (cllr_min: after the best monotone transformation), ece at the sample's share of fakes, and the shares of
    reals at or above, and of fakes below, Youden's threshold.
    """

    intercept: float
    slope: float
    variance: tuple[float, float, float] | None
    quantile: float | None
    clusters: int
    unit: str
    reason: str
    low: Annotated[float, {"above": 0.0}]
    high: Annotated[float, {"above": 0.0}]
    real_units: int
    fake_units: int
    isotonic: list[tuple[float, float]]
    cllr: float | None
    cllr_min: float
    ece: float | None
    false_alarms: float | None
    misses: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A likelihood ratio, its interval (None where there is none), all within low..high of the calibration.

    bounded: whether the calibration alone would have gone beyond. isotonic: the LR of the isotonic calibration, within
    the same bounds.
    """

    lr: float
    interval: tuple[float, float] | None
    isotonic: float
    bounded: bool


# -- applying ----------------------------------------------------------------------------------------------------------


def apply(calibration: Calibration, logit: float) -> Ratio:
    """Return the likelihood ratio of *logit*, with its interval."""
    lowest, highest = math.log(calibration.low), math.log(calibration.high)

    def bounded(llr: float) -> float:
        return min(max(math.exp(min(llr, 700.0)), calibration.low), calibration.high)

    llr = calibration.intercept + calibration.slope * logit
    interval = None
    if calibration.variance is not None and calibration.quantile is not None:
        of_intercept, of_slope, both = calibration.variance
        half = calibration.quantile * math.sqrt(
            max(of_intercept + 2 * both * logit + of_slope * logit * logit, 0.0)
        )
        interval = bounded(llr - half), bounded(llr + half)
    by_steps = float(isotonic_llr(calibration.isotonic, [logit])[0])
    return Ratio(bounded(llr), interval, bounded(by_steps), not lowest <= llr <= highest)


# -- fitting -----------------------------------------------------------------------------------------------------------


def calibrate(y_true: ArrayLike, logits: ArrayLike, clusters: Clusters, persons: Sequence[str]) -> Calibration | None:
    """Return the calibration of *logits*, None unless both classes have two units.

    *clusters* are those of the rows; *persons* names the people of each row (see `units`).
    """
    labels, values = np.asarray(y_true, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    names = np.asarray(persons)
    real_units, fake_units = (units(names[labels == label]) for label in (0, 1))
    if min(real_units, fake_units) < 2:
        return None
    intercept, slope = logistic(labels, values)
    folds = list(_folds(labels, clusters))
    parts = [logistic(labels[train], values[train]) for _, train in folds]
    variance, reason = _jackknife(parts, folds, labels)
    low, high = bounds(labels, intercept + slope * values, real_units, fake_units)
    by_others = _by_others(labels, values, folds, parts)
    prior = math.log(labels.sum() / (len(labels) - labels.sum()))
    return Calibration(
        intercept=_rounded(intercept),
        slope=_rounded(slope),
        variance=variance,
        quantile=None if variance is None else _quantile(len(folds) - 1),
        clusters=len(folds),
        unit=clusters.unit,
        reason=reason,
        low=_rounded(low),
        high=_rounded(high),
        real_units=real_units,
        fake_units=fake_units,
        isotonic=[(_rounded(x), _rounded(p)) for x, p in isotonic(labels, values, real_units, fake_units)],
        cllr=_rounded(cllr(labels, by_others.llr)) if by_others else None,
        cllr_min=_rounded(cllr_min(labels, values)),
        ece=_rounded(ece(labels, _sigmoid(by_others.llr + prior))) if by_others else None,
        false_alarms=_rounded(float(by_others.called_fake[labels == 0].mean())) if by_others else None,
        misses=_rounded(float(1 - by_others.called_fake[labels == 1].mean())) if by_others else None,
    )


def units(names: ArrayLike) -> int:
    """Return a lower bound of the number of rows that share no person; *names* (n,) has people joined
    by ``+`` (``000+001``).

    For reals this is the number of people. Fakes are taken one after the other, in the order of their names.
    """
    seen: set[str] = set()
    number = 0
    for name in np.unique(np.asarray(names)):
        shown = set(str(name).split("+"))
        if not shown & seen:
            seen |= shown
            number += 1
    return number


def logistic(y_true: ArrayLike, logits: ArrayLike) -> tuple[float, float]:
    """Return intercept and slope of the logistic regression of the label on *logits* (n,); classes weigh the same.

    As scikit-learn's ``LogisticRegression(class_weight="balanced")`` and lir's LogitCalibrator: the intercept is free,
    the slope is penalised by `RIDGE`, so both are finite even where the classes separate. Newton's method with halved
    steps.
    """
    labels, z = np.asarray(y_true, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    weight = _class_weights(labels)

    def loss(a: float, b: float) -> float:
        return float((weight * np.logaddexp(0, -(2 * labels - 1) * (a + b * z))).sum() + RIDGE / 2 * b * b)

    a = b = 0.0
    current = loss(a, b)
    for _ in range(100):
        p = _sigmoid(a + b * z)
        residual, curvature = weight * (p - labels), weight * p * (1 - p)
        gradient = np.array([residual.sum(), (residual * z).sum() + RIDGE * b])
        mixed = (curvature * z).sum()
        hessian = np.array([[curvature.sum(), mixed], [mixed, (curvature * z * z).sum() + RIDGE]])
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := loss(a - size * step[0], b - size * step[1])) > current and size > 1e-6:
            size /= 2
        a, b, current = a - size * step[0], b - size * step[1], new
        if size * np.abs(step).max() < 1e-10:
            break
    return float(a), float(b)


def isotonic(y_true: ArrayLike, logits: ArrayLike, real_units: float, fake_units: float) -> list[tuple[float, float]]:
    """Return the knots (logit, P(fake) at even prior) of the monotone calibration of *logits*.

    One misleading unit is added on each side: a real above all logits and a fake below, so that no probability is 0
    or 1. Between knots the probability is linear, beyond them constant.
    """
    labels, z = np.asarray(y_true, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    # of a unit, in rows
    real, fake = (float((labels == k).sum()) / n for k, n in ((0, real_units), (1, fake_units)))
    x = np.append(z, [z.max() + 1, z.min() - 1])
    y = np.append(labels, [0.0, 1.0])
    weight = np.append(np.ones(len(z)), [real, fake])
    for label in (0, 1):
        weight[y == label] /= weight[y == label].sum()
    places, values = pooled_adjacent_violators(x, y, weight)
    ends = np.flatnonzero(np.diff(values)) + 1  # first place of each block but the first one
    keep = np.unique(np.concatenate([[0], ends - 1, ends, [len(places) - 1]]))
    return [(float(places[i]), float(values[i])) for i in keep]


def isotonic_llr(knots: Sequence[tuple[float, float]], logits: ArrayLike) -> Floats:
    """Return the log likelihood ratios (n,) of *logits* (n,), base e, by the *knots* of `isotonic`."""
    x, p = np.array(knots, dtype=np.float64).T
    found = np.interp(np.asarray(logits, dtype=np.float64), x, p)
    return np.asarray(np.log(found) - np.log1p(-found))


def pooled_adjacent_violators(x: ArrayLike, y: ArrayLike, weight: ArrayLike) -> tuple[Floats, Floats]:
    """Return the distinct *x*, rising, and non-decreasing values there, nearest to *y* by least squares; all (n,)."""
    places, code = np.unique(np.asarray(x, dtype=np.float64), return_inverse=True)
    w = np.bincount(code, weights=np.asarray(weight, dtype=np.float64))
    means = np.bincount(code, weights=np.asarray(weight) * np.asarray(y, dtype=np.float64)) / w
    blocks: list[tuple[float, float, int]] = []  # mean, weight, number of places
    for mean, mass in zip(means.tolist(), w.tolist(), strict=True):
        size = 1
        while blocks and blocks[-1][0] >= mean:
            before, other, places_before = blocks.pop()
            mean = (before * other + mean * mass) / (other + mass)
            mass += other
            size += places_before
        blocks.append((mean, mass, size))
    return places, np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


# -- figures of merit --------------------------------------------------------------------------------------------------


def cllr(y_true: ArrayLike, llr: ArrayLike) -> float:
    """Return the cost of the log likelihood ratios *llr* (n,) in bits: 0 perfect, 1 as good as always LR = 1."""
    labels, values = np.asarray(y_true), np.asarray(llr, dtype=np.float64)
    of_real = np.logaddexp(0, values[labels == 0]).mean()
    of_fake = np.logaddexp(0, -values[labels == 1]).mean()
    return float((of_real + of_fake) / 2 / math.log(2))


def cllr_min(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Return the Cllr of *scores* (n,) after their best monotone transformation: the cost of their order, in bits."""
    labels, values = np.asarray(y_true, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    places, found = pooled_adjacent_violators(values, labels, _class_weights(labels))
    p = found[np.searchsorted(places, values)]
    with np.errstate(divide="ignore"):
        return cllr(labels, np.log(p) - np.log1p(-p))


def bounds(
    y_true: ArrayLike, llr: ArrayLike, real_units: int | None = None, fake_units: int | None = None
) -> tuple[float, float]:
    """Return the empirical lower and upper bound (ELUB) of the LRs *llr*.

    They are the LRs up to which the system is more useful than LR = 1 for everything, at every threshold, even after
    one more misleading unit on each side. The rates of a class are means over its rows, and count as many independent
    observations as it has units (by default its rows).
    """
    labels, values = np.asarray(y_true), np.asarray(llr, dtype=np.float64) / math.log(10)
    real, fake = values[labels == 0], values[labels == 1]
    num_real, num_fake = real_units or len(real), fake_units or len(fake)
    low = max(values.min(), -math.log10(num_fake + 1))
    high = min(values.max(), math.log10(num_real + 1))
    first, last = min(0, int(low // STEP)), max(0, int(high // STEP) + 1)
    grid = np.linspace(first * STEP, last * STEP, last - first + 1)
    odds = 10**grid
    accepted_real, accepted_fake = (
        1 - np.searchsorted(np.sort(side), grid, side="right") / len(side) for side in (real, fake)
    )
    cost = 1 - accepted_fake * num_fake / (num_fake + 1) + odds * (accepted_real * num_real + 1) / (num_real + 1)
    neutral = np.where(grid < 0, odds, 1.0)  # LR = 1 is accepted below the threshold 1
    worse = neutral < cost
    lower = float(np.max(grid[(grid <= 0) & worse] + STEP, initial=grid[0]))
    upper = float(np.min(grid[(grid >= 0) & worse] - STEP, initial=grid[-1]))
    return 10 ** min(lower, 0.0), 10 ** max(upper, 0.0)


# -- clusters ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ByOthers:
    """The llr of each row, and whether its logit reaches the threshold, by the rows of other clusters."""

    llr: Floats
    called_fake: NDArray[np.bool_]


def _folds(labels: Floats, clusters: Clusters) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield for each cluster its rows, and the rows that belong to none of their clusters.

    People share fakes: a fake of two people is a row of its first one, and fitted without either.
    """
    code = clusters.code
    for number in np.unique(code[:, 0]):
        own = code[:, 0] == number
        shared = np.unique(code[own])
        rest: NDArray[np.bool_] = np.asarray(~np.isin(code, shared[shared >= 0]).any(axis=1))
        if len(np.unique(labels[rest])) == 2:
            yield own, rest


def _jackknife(
    parts: Sequence[tuple[float, float]],
    folds: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    labels: Floats,
) -> tuple[tuple[float, float, float] | None, str]:
    """Return the variance of intercept and slope and their covariance, and the reason if there are none."""
    fewest = min(sum(bool((labels[own] == label).any()) for own, _ in folds) for label in (0, 1))
    if fewest < FEWEST:
        return None, f"the validation has {fewest} independent groups of one class; an interval needs {FEWEST}"
    found = np.array(parts)
    apart = found - found.mean(axis=0)
    scale = (len(found) - 1) / len(found)
    squares = apart[:, 0] ** 2, apart[:, 1] ** 2, apart[:, 0] * apart[:, 1]
    of_intercept, of_slope, both = (_rounded(scale * float(values.sum())) for values in squares)
    return (of_intercept, of_slope, both), ""


def _quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return _rounded(float(stdtrit(degrees, 0.5 + CONFIDENCE / 2)))


def _by_others(
    labels: Floats,
    values: Floats,
    folds: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    parts: Sequence[tuple[float, float]],
) -> _ByOthers | None:
    llr, called = np.full(len(values), np.nan), np.zeros(len(values), dtype=np.bool_)
    for (own, rest), (intercept, slope) in zip(folds, parts, strict=True):
        llr[own] = intercept + slope * values[own]
        called[own] = values[own] >= youden_threshold(labels[rest], values[rest])
    return None if np.isnan(llr).any() else _ByOthers(llr, called)


def _class_weights(labels: Floats) -> Floats:
    """Return weights that sum to half the number of rows in each class."""
    fakes = labels.sum()
    return np.asarray(np.where(labels == 1, len(labels) / (2 * fakes), len(labels) / (2 * (len(labels) - fakes))))


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
