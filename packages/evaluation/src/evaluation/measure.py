"""Every metric of one set of scores with its interval: what the summary prints and what the simulation checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .jackknife import Estimate, Rates, Sample, jackknife
from .metrics import METRICS, Confusion, Counts, Metric, Ranking
from .wilson import (
    OF_RATES,
    OfRates,
    Range,
    Stretch,
    difference,
    of_mean,
    of_rates,
    of_share,
    of_tpr_at_fpr,
    rates_estimate,
    skew_factor,
    skew_stretch,
)

__all__ = ["ESTIMATED", "Measured", "estimate", "measure", "range_of"]

Key = tuple[str, str]                  # metric, name of its threshold ("" without one)
OF_ONE_RATE = ("recall", "acc_fake", "acc_real")
MOST_WORK = 200_000_000                # clusters times rows up to which a metric is recomputed without each cluster
NO_FORM = "only the bootstrap gives an interval of this metric (--intervals bootstrap)"


# metrics with an estimate of their own, from which means over conditions and differences of detectors are made
ESTIMATED = ("auc", "ap", "eer", "balanced_accuracy", "accuracy", "f1", "brier", "logloss")
STRETCH: dict[str, Stretch] = {"ap": skew_factor, "brier": skew_stretch}
FIXED = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """Values with intervals, and the estimates from which differences and means over the same clusters are made."""

    ranges: dict[Key, Range]
    estimates: dict[Key, Estimate]


def measure(
    sample: Sample, thresholds: dict[str, float], num_real_videos: int, confidence: float = 0.95
) -> Measured:
    """Return every metric of `metrics.METRICS` for *sample*, in their order.

    *thresholds*: name -> threshold; nan ones are left out. An end is nan where `Range.reason` says why.
    """
    found = Measured({}, {})
    thresholds = {name: threshold for name, threshold in thresholds.items() if not np.isnan(threshold)}
    rates = {name: sample.rates(threshold) for name, threshold in thresholds.items()}
    for name, metric in METRICS.items():
        if metric.decision is not None:
            for source, of in rates.items():
                if name in OF_ONE_RATE:
                    estimate = of.tnr if name == "acc_real" else of.tpr
                    found.ranges[name, source], found.estimates[name, source] = of_share(estimate, confidence), estimate
                elif np.isnan(of.tpr.value) or np.isnan(of.tnr.value):
                    value = _decided(sample, metric, thresholds[source])
                    found.ranges[name, source] = _of_one_class(name, value, of, confidence)
                else:
                    function = name if name in OF_RATES else _function(metric)
                    found.ranges[name, source] = of_rates(function, of, confidence)
                    found.estimates[name, source] = rates_estimate(function, of)
        elif metric.loss is not None:
            estimate = found.estimates[name, ""] = sample.mean_loss(metric.loss)
            found.ranges[name, ""] = range_of(estimate, name, confidence)
        elif metric.least_fpr > 0:
            found.ranges[name, ""] = of_tpr_at_fpr(sample, metric.least_fpr, num_real_videos, confidence)
        elif name in ("auc", "ap", "eer"):
            estimate = found.estimates[name, ""] = {"auc": sample.auc, "ap": sample.ap, "eer": sample.eer}[name]()
            found.ranges[name, ""] = range_of(estimate, name, confidence)
        else:
            assert metric.ranking is not None
            estimate = found.estimates[name, ""] = _delete_one(sample, metric.ranking)
            found.ranges[name, ""] = of_mean(estimate, confidence)
    return found


def estimate(sample: Sample, name: str) -> Estimate:
    """Return one metric of `ESTIMATED`, at the threshold .5 where it needs one."""
    metric = METRICS[name]
    if name in ("auc", "ap", "eer"):
        found: Estimate = {"auc": sample.auc, "ap": sample.ap, "eer": sample.eer}[name]()
        return found
    if metric.loss is not None:
        return sample.mean_loss(metric.loss)
    rates = sample.rates(FIXED)
    if np.isnan(rates.tpr.value) or np.isnan(rates.tnr.value):
        reason = rates.tpr.reason or rates.tnr.reason
        return Estimate(np.nan, np.zeros(len(sample.weight)), sample.weight, 0, reason=reason)
    return rates_estimate(name, rates)


def range_of(found: Estimate, name: str, confidence: float = 0.95) -> Range:
    """Return a metric of `ESTIMATED`, or its mean over conditions or seeds, with its interval."""
    if name in ("auc", "ap", "eer", "brier"):
        return of_share(found, confidence, STRETCH.get(name))
    if METRICS[name].loss is not None:
        return of_mean(found, confidence, least=0.0)
    value, lo, hi, reason = difference([found], [], confidence)
    return Range(value, max(lo, 0.0) if lo == lo else lo, min(hi, 1.0) if hi == hi else hi, reason)


def _of_one_class(name: str, value: float, of: Rates, confidence: float) -> Range:
    """Return a metric of decisions where one class is missing: the accuracy is then the other one's rate."""
    rate, other = (of.tnr, of.tpr) if np.isnan(of.tpr.value) else (of.tpr, of.tnr)
    if name == "accuracy":
        return of_share(rate, confidence)
    return Range(value, np.nan, np.nan, other.reason)


def _function(metric: Metric) -> OfRates:
    """Return a metric of decisions as a function of both rates and the share of fakes."""

    def of(t: float, s: float, p: float) -> float:
        assert metric.decision is not None
        shares = (np.asarray(x) for x in (p * t, (1 - p) * (1 - s), (1 - p) * s, p * (1 - t)))
        return float(metric.decision(Confusion(*shares)))

    return of


def _delete_one(sample: Sample, ranking: Callable[[Counts], Any]) -> Estimate:
    """Return a metric of the ranking that has no faster form, recomputed without each cluster."""
    value = float(ranking(_counts(sample)))
    sides, size = (sample.real, sample.fake), sample.real.size + sample.fake.size
    overlap, work = any(side.row is not None for side in sides), len(size) * len(sample)
    reason = sample.lacking or (NO_FORM if overlap or work > MOST_WORK else "")
    if reason:
        return Estimate(value, np.zeros(len(size)), sample.weight, 0, reason=reason)
    label = np.repeat([0, 1], [len(side) for side in sides])
    ranked = Ranking(label, np.concatenate([side.score for side in sides]))
    code = np.concatenate([side.code for side in sides])
    weights = np.ones(len(size))
    left_out = np.full(len(size), np.nan)
    for number in np.flatnonzero(size):
        weights[number] = 0
        left_out[number] = float(ranking(ranked.counts(weights, code)))
        weights[number] = 1
    return jackknife(value, left_out, size, len(sample), sample.weight, sample.num_clusters)


def _counts(sample: Sample) -> Counts:
    thresholds, fps, tps = sample.curve
    return Counts(tps=tps, fps=fps, thresholds=thresholds)


def _decided(sample: Sample, metric: Metric, threshold: float) -> float:
    assert metric.decision is not None
    confusion: Confusion = _counts(sample).confusion(threshold)
    return float(metric.decision(confusion))
