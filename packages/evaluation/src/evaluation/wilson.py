"""Confidence intervals from jackknife estimates of clustered data, without resampling.

Shares get Wilson's interval with a t quantile (clusters - 1) and an effective n: the n implied by the jackknife
variance, capped by what the spread of ranks within clusters allows. So perfect separation, 113 of 113 and three pairs
have intervals of a width that simulation supports (`make coverage`, docs/results.md). Functions of the two rates at a
threshold combine the rates' intervals (MOVER: Donner and Zou 2012), ratios of paired differences follow Fieller.

Every function returns a `Range`; its ends are nan where the data do not determine them, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .jackknife import Estimate, Rates, Sample, positive_sum

__all__ = [
    "OF_RATES",
    "OfRates",
    "Range",
    "Stretch",
    "difference",
    "largest_gap",
    "mean_estimate",
    "mean_of",
    "of_mean",
    "of_rates",
    "of_share",
    "of_tpr_at_fpr",
    "quantile",
    "rates_estimate",
    "ratio_of_gains",
    "skew_factor",
    "skew_stretch",
    "worst",
]

Floats = NDArray[np.float64]
TINY = 1e-14                           # variances below are rounding errors of zero
LEAST_REALS = 3                        # real videos expected above the threshold of a TPR at a false alarm rate


class Range(NamedTuple):
    """A value with the ends of its interval; nan where undefined, for the reason given."""

    value: float
    lo: float
    hi: float
    reason: str = ""


@lru_cache(maxsize=4096)
def quantile(probability: float, clusters: int) -> float:
    """Return the quantile of Student's t with one degree of freedom less than *clusters*."""
    from scipy.special import stdtrit

    return float(stdtrit(clusters - 1, probability))


def _undefined(value: float, reason: str) -> Range:
    return Range(value, np.nan, np.nan, reason)


def _wilson(x: float, n: float, q: float, sign: int) -> float:
    """Return one end of Wilson's interval of a share *x* of *n*, *sign* -1 the lower."""
    half = q * np.sqrt(max(x * (1 - x), 0) / n + q**2 / (4 * n**2))
    end = (x + q**2 / (2 * n) + sign * half) / (1 + q**2 / n)
    return float(np.clip(end, x, 1) if sign > 0 else np.clip(end, 0, x))   # rounding may pass x at 0 and 1


def _effective(x: float, variance: float, cap: float) -> float:
    return min(x * (1 - x) / variance, cap) if variance > TINY and 0 < x < 1 else cap


def _end(estimate: Estimate, probability: float, sign: int, stretch: Stretch | None = None) -> float:
    """Return the end of the interval of a share that is passed with 1 - *probability*."""
    x = min(max(estimate.value, 0.0), 1.0)
    q = quantile(probability, estimate.clusters)
    if stretch:
        q *= stretch(_parts(estimate), sign, q)
    n = _effective(x, estimate.variance, estimate.cap)
    if not np.isfinite(n):             # no bound and no spread: the losses of every cluster are equal
        return x
    return _wilson(x, max(n, 1e-9), q, sign)


Stretch = Callable[[Floats, int, float], float]


def _parts(estimate: Estimate) -> Floats:
    """Return what each cluster adds to the value, less the mean."""
    parts: Floats = -estimate.spread[(estimate.weight > 0) & (estimate.spread != 0)]
    return parts


def skew_stretch(parts: Floats, sign: int, _quantile: float = 0.0) -> float:
    """Return the factor of a t quantile on one side, for the mean of *parts* with a long tail on that side.

    For losses: twice the skewness over the square root of the number of parts, which the few clusters with large
    losses need (docs/results.md).
    """
    return 1 + 2 * _tail(parts, sign)


def skew_factor(parts: Floats, sign: int, q: float) -> float:
    """Return the same by the first correction of the quantile *q* for skewness (Johnson 1978; Hall 1992)."""
    return 1 + (2 * q + 1 / q) / 6 * _tail(parts, sign)


def _tail(parts: Floats, sign: int) -> float:
    """Return the skewness of *parts* to the side of *sign* over the square root of their number, at least 0."""
    count = len(parts)
    if count < 3:
        return 0.0
    deviation = float(np.sqrt((parts**2).sum() / (count - 1)))
    if deviation == 0:
        return 0.0
    skewness = count / ((count - 1) * (count - 2)) * float((parts**3).sum()) / deviation**3
    return max(sign * skewness, 0.0) / float(np.sqrt(count))


def of_share(estimate: Estimate, confidence: float = 0.95, stretch: Stretch | None = None) -> Range:
    """Return the interval of a value in 0..1: AUC, EER, a rate; AP and Brier score with a *stretch* for skewness."""
    if estimate.reason or np.isnan(estimate.value):
        return _undefined(estimate.value, estimate.reason or "undefined")
    high = (1 + confidence) / 2
    return Range(estimate.value, _end(estimate, high, -1, stretch), _end(estimate, high, 1, stretch))


def of_mean(estimate: Estimate, confidence: float = 0.95, least: float = -np.inf) -> Range:
    """Return the interval of a mean without an upper bound (log-loss, PSNR), by t with the skewness of the clusters."""
    if estimate.reason or not np.isfinite(estimate.value):
        return _undefined(estimate.value, estimate.reason or "undefined")
    half = quantile((1 + confidence) / 2, estimate.clusters) * float(np.sqrt(estimate.variance))
    lo, hi = (estimate.value + sign * half * skew_stretch(_parts(estimate), sign) for sign in (-1, 1))
    return Range(estimate.value, max(lo, least), hi)


# -- functions of the two rates at one threshold -----------------------------------------------------------------------


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _mcc(t: float, s: float, p: float) -> float:
    called = (p * t + (1 - p) * (1 - s)) * (p * (1 - t) + (1 - p) * s)
    return _ratio(float(np.sqrt(p * (1 - p))) * (t + s - 1), float(np.sqrt(called)))


OfRates = Callable[[float, float, float], float]
OF_RATES: dict[str, OfRates] = {
    # of true positive rate, true negative rate, share of fakes; each rises with both rates
    "accuracy": lambda t, s, p: p * t + (1 - p) * s,
    "balanced_accuracy": lambda t, s, p: (t + s) / 2,  # noqa: ARG005
    "f1": lambda t, s, p: _ratio(2 * p * t, p * t + (1 - p) * (1 - s) + p),
    "precision": lambda t, s, p: _ratio(p * t, p * t + (1 - p) * (1 - s)),
    "mcc": _mcc,
}
LEAST = {"mcc": -1.0}


def of_rates(metric: str | OfRates, rates: Rates, confidence: float = 0.95) -> Range:
    """Return a metric of `OF_RATES`, or any function like them, with its interval; the share of fakes is fixed."""
    of, p = OF_RATES[metric] if isinstance(metric, str) else metric, rates.prevalence
    t, s = rates.tpr.value, rates.tnr.value
    value = of(t, s, p)
    reason = rates.tpr.reason or rates.tnr.reason
    if np.isnan(value):
        return _undefined(value, reason or ("nothing classified as fake" if metric in ("precision", "f1") else "0/0"))
    if reason:
        return _undefined(value, reason)
    high = (1 + confidence) / 2
    r = _correlation(rates.tpr, rates.tnr)
    ends = []
    for sign in (-1, 1):
        parts = [abs(of(_end(rates.tpr, high, sign), s, p) - value), abs(of(t, _end(rates.tnr, high, sign), p) - value)]
        a, b = (0.0 if np.isnan(part) else part for part in parts)
        ends.append(value + sign * float(np.sqrt(max(a * a + b * b + 2 * r * a * b, 0))))
    if not isinstance(metric, str):
        return Range(value, ends[0], ends[1])
    return Range(value, max(ends[0], LEAST.get(metric, 0.0)), min(ends[1], 1.0))


def rates_estimate(metric: str | OfRates, rates: Rates) -> Estimate:
    """Return a function of both rates, linearised, for its differences."""
    of, p = OF_RATES[metric] if isinstance(metric, str) else metric, rates.prevalence
    t, s = rates.tpr, rates.tnr
    value, step = of(t.value, s.value, p), 1e-6
    slopes = [
        (of(min(t.value + step, 1), s.value, p) - of(max(t.value - step, 0), s.value, p))
        / (min(t.value + step, 1) - max(t.value - step, 0)),
        (of(t.value, min(s.value + step, 1), p) - of(t.value, max(s.value - step, 0), p))
        / (min(s.value + step, 1) - max(s.value - step, 0)),
    ]  # fmt: skip
    extra = sum(slope**2 * _missing(rate, rate.cap_paired) for slope, rate in zip(slopes, (t, s), strict=True))
    spread = slopes[0] * t.spread + slopes[1] * s.spread
    return Estimate(
        value, spread, t.weight, min(t.clusters, s.clusters), reason=t.reason or s.reason, extra=extra
    )


def _correlation(a: Estimate, b: Estimate) -> float:
    if a.variance < TINY or b.variance < TINY:
        return 0.0
    return float(np.clip(a.covariance(b) / np.sqrt(a.variance * b.variance), -1, 1))


# -- TPR at a false alarm rate -----------------------------------------------------------------------------------------


def of_tpr_at_fpr(sample: Sample, rate: float, num_real_videos: int, confidence: float = 0.95) -> Range:
    """Return the TPR at a false alarm *rate*, by linear interpolation on the ROC curve, with its interval.

    Undefined with fewer than three real videos expected above the threshold: frames of a video do not count. The
    k-th highest of n reals stands for a false alarm rate of k / (n + 1).
    """
    if sample.lacking:
        return _undefined(np.nan, sample.lacking)
    if num_real_videos * rate < LEAST_REALS - 1e-9:
        least = int(np.ceil(LEAST_REALS / rate - 1e-9))
        return _undefined(np.nan, f"needs {least} real videos, has {num_real_videos}")
    real, fake, n = sample.real, sample.fake, len(sample.real)
    clusters = sample.num_clusters
    value = sample.tpr_at(rate * n)

    def at(a: float) -> float:
        return sample.tpr_at(a * (n + 1) - 1)

    centre = at(rate)
    # the threshold: a score whose false alarms come nearest to the wanted number
    place = n - int(np.clip(round(rate * (n + 1) - 1), 1, n - 1))
    threshold = real.score[place]
    start_fake = int(np.searchsorted(fake.score, threshold, "left"))
    start_real = int(np.searchsorted(real.score, threshold, "left"))
    t, x = (len(fake) - start_fake) / len(fake), (n - start_real) / n
    k = clusters / (clusters - 1)
    of_t = (fake.numbers_from(start_fake) - t * fake.size) / len(fake)
    of_x = (real.numbers_from(start_real) - x * real.size) / n
    weight = sample.weight
    vt, vx = (k * positive_sum(v**2, weight) for v in (of_t, of_x))
    r = float(np.clip(k * float(weight @ (of_t * of_x)) / np.sqrt(vt * vx), -1, 1)) if vt > TINY and vx > TINY else 0.0
    q = quantile((1 + confidence) / 2, clusters)
    caps = [min(1 / max(12 * side.rank_variance, 1e-12), len(side)) for side in (real, fake)]
    n_real, n_fake = _effective(rate, vx, caps[0]), _effective(centre, vt, caps[1])
    ends = []
    for sign in (-1, 1):
        a, b = abs(centre - _wilson(centre, n_fake, q, sign)), abs(centre - at(_wilson(rate, n_real, q, sign)))
        ends.append(centre + sign * float(np.sqrt(max(a * a + b * b - 2 * r * a * b, 0))))
    return Range(value, min(max(ends[0], 0.0), value), max(min(ends[1], 1.0), value))


# -- several estimates of the same clusters ----------------------------------------------------------------------------


def _missing(estimate: Estimate, cap: float) -> float:
    """Return the variance that the jackknife misses where nearly all samples are on one side."""
    if estimate.extra is not None:
        return estimate.extra
    x, v = min(max(estimate.value, 0.0), 1.0), estimate.variance
    if not np.isfinite(cap) or (x * (1 - x) <= v * cap and v > TINY):
        return 0.0
    return max(0.0, (x * (1 - x) + 1 / (4 * cap)) / cap - v)


def _combined(estimates: Sequence[Estimate], factors: Sequence[float]) -> Estimate:
    spread = np.sum([factor * e.spread for e, factor in zip(estimates, factors, strict=True)], axis=0)
    value = float(sum(factor * e.value for e, factor in zip(estimates, factors, strict=True)))
    reason = next((e.reason for e in estimates if e.reason), "")
    return Estimate(value, spread, estimates[0].weight, min(e.clusters for e in estimates), reason=reason)


def difference(
    plus: Sequence[Estimate], minus: Sequence[Estimate], confidence: float = 0.95
) -> Range:
    """Return the sum of *plus* minus that of *minus*: a difference, or a difference of drops, on the same clusters."""
    estimates, factors = [*plus, *minus], [1.0] * len(plus) + [-1.0] * len(minus)
    total = _combined(estimates, factors)
    if total.reason or np.isnan(total.value):
        return _undefined(total.value, total.reason or "undefined")
    extra = sum(_missing(e, e.cap_paired) for e in estimates)
    half = quantile((1 + confidence) / 2, total.clusters) * float(np.sqrt(total.variance + extra))
    return Range(total.value, total.value - half, total.value + half)


def mean_of(
    estimates: Sequence[Estimate], weights: Sequence[float] | None = None, confidence: float = 0.95
) -> Range:
    """Return a weighted mean of shares over the same clusters (cells of a matrix, an area under a curve).

    Noise that the estimates do not share averages out, so the largest effective n is up to twice that of one of them,
    by how many independent estimates their correlation leaves.
    """
    mean = mean_estimate(estimates, weights)
    spread = np.array([e.spread for e in estimates])
    more = min(_comparisons(spread, mean.weight), 2.0)
    return of_share(replace(mean, cap=more * mean.cap), confidence)


def mean_estimate(estimates: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """Return the same as an `Estimate`, with the mean of the caps.

    In a difference, the variance that the jackknife misses is that of the parts: a mean of cells far from 0 and 1
    needs none.
    """
    parts = np.ones(len(estimates)) if weights is None else np.asarray(weights, dtype=np.float64)
    parts = parts / parts.sum()
    total = _combined(estimates, parts.tolist())
    needs = [float(np.sum(parts / np.array([getattr(e, name) for e in estimates]))) for name in ("cap", "cap_paired")]
    cap, paired = (1 / need if need > 0 else np.inf for need in needs)
    extra = float(parts @ np.sqrt([_missing(e, e.cap_paired) for e in estimates])) ** 2
    return Estimate(total.value, total.spread, total.weight, total.clusters, cap, paired, total.reason, extra)


def worst(estimates: Sequence[Estimate], confidence: float = 0.95) -> Range:
    """Return the smallest of several shares over the same clusters, with an interval for the smallest of the true ones.

    The smallest of noisy values is biased low; its upper end is computed at a level corrected for the effective number
    of independent comparisons.
    """
    reason = next((e.reason for e in estimates if e.reason), "")
    value = float(min(e.value for e in estimates))
    if reason or np.isnan(value):
        return _undefined(value, reason or "undefined")
    comparisons = _comparisons(np.array([e.spread for e in estimates]), estimates[0].weight)
    low, high = (1 + confidence) / 2, 1 - (1 - confidence) / 2 / comparisons
    return Range(value, min(_end(e, low, -1) for e in estimates), min(_end(e, high, 1) for e in estimates))


def largest_gap(pairs: Sequence[tuple[Estimate, Estimate]], confidence: float = 0.95) -> Range:
    """Return the largest absolute difference within *pairs*, with an interval for the largest of the true ones.

    The largest of noisy differences is biased high; its lower end is computed at a level corrected for the effective
    number of independent comparisons.
    """
    reason = next((e.reason for pair in pairs for e in pair if e.reason), "")
    gaps = [a.value - b.value for a, b in pairs]
    value = float(np.max(np.abs(gaps)))
    if reason or np.isnan(value):
        return _undefined(value, reason or "undefined")
    series = np.array([a.spread - b.spread for a, b in pairs])
    comparisons = _comparisons(series, pairs[0][0].weight)
    missing = np.array([sum(_missing(e, e.cap_paired) for e in pair) for pair in pairs])
    deviation = np.sqrt([positive_sum(row * row, pairs[0][0].weight) for row in series] + missing)
    clusters = min(e.clusters for pair in pairs for e in pair)
    up = quantile((1 + confidence) / 2, clusters)
    down = quantile(1 - (1 - confidence) / 2 / comparisons, clusters)
    size = np.abs(gaps)
    lo, hi = float(np.max(size - down * deviation)), float(np.max(size + up * deviation))
    return Range(value, min(max(lo, 0.0), value), min(hi, 1.0))


def _comparisons(series: Floats, weight: Floats) -> float:
    """Return how many independent comparisons the rows of *series*, deviations by cluster, amount to."""
    product = (series * weight) @ series.T
    deviation = np.sqrt(np.maximum(np.diag(product), 0))
    scale = np.where(deviation > np.sqrt(TINY), deviation, np.inf)
    r = np.clip(product / np.outer(scale, scale), -1, 1)
    np.fill_diagonal(r, 1.0)
    return len(series) ** 2 / float(np.sum(r**2))


def ratio_of_gains(here: Estimate, reference: Estimate, base: float = 0.5, confidence: float = 0.95) -> Range:
    """Return (here - base) / (reference - base) with Fieller's interval: the share of the separation that is left."""
    if not reference.value > base:
        return _undefined(np.nan, f"the reference is not above {base:g}")
    top, bottom = here.value - base, reference.value - base
    value = top / bottom
    if here.reason or reference.reason:
        return _undefined(value, here.reason or reference.reason)
    q2 = quantile((1 + confidence) / 2, min(here.clusters, reference.clusters)) ** 2
    v_top = here.variance + _missing(here, here.cap_paired)
    v_bottom = reference.variance + _missing(reference, reference.cap_paired)
    a = bottom**2 - q2 * v_bottom
    if a <= 0:
                return _undefined(value, f"the reference is not distinguishable from {base:g}")
    b = top * bottom - q2 * here.covariance(reference)
    c = top**2 - q2 * v_top
    root = float(np.sqrt(max(b * b - a * c, 0)))
    return Range(value, (b - root) / a, (b + root) / a)
