"""Every metric of one set of scores with its interval: what the summary prints and what the simulation checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .jackknife import Estimate, Sample
from .metrics import brier_of_each, logloss_of_each
from .wilson import OF_RATES, Range, of_mean, of_rates, of_share, of_tpr_at_fpr, rates_estimate

__all__ = ["FPRS", "Measured", "measure"]

FPRS = (0.001, 0.01, 0.05)
Key = tuple[str, str]                  # metric, name of its threshold ("" without one)


@dataclass(frozen=True, slots=True)
class Measured:
    """Values with intervals, and the estimates from which differences and means over the same clusters are made."""

    ranges: dict[Key, Range]
    estimates: dict[Key, Estimate]


def measure(
    sample: Sample, thresholds: dict[str, float], num_real_videos: int, confidence: float = 0.95
) -> Measured:
    """Return every metric of *sample*. *thresholds*: name -> threshold; nan ones are left out.

    The losses are those of probabilities; an end of an interval is nan where `Range.reason` says so.
    """
    estimates: dict[Key, Estimate] = {
        ("auc", ""): sample.auc(), ("ap", ""): sample.ap(), ("eer", ""): sample.eer(),
        ("brier", ""): sample.mean_loss(brier_of_each), ("logloss", ""): sample.mean_loss(logloss_of_each),
    }  # fmt: skip
    ranges = {key: of_share(estimates[key], confidence) for key in (("auc", ""), ("ap", ""), ("eer", ""))}
    for fpr in FPRS:
        ranges[f"tpr_at_fpr_{fpr:g}", ""] = of_tpr_at_fpr(sample, fpr, num_real_videos, confidence)
    ranges["logloss", ""] = of_mean(estimates["logloss", ""], confidence, least=0.0)
    ranges["brier", ""] = of_share(estimates["brier", ""], confidence, skewed=True)
    for name, threshold in thresholds.items():
        if np.isnan(threshold):
            continue
        rates = sample.rates(threshold)
        for metric in OF_RATES:
            ranges[metric, name] = of_rates(metric, rates, confidence)
            estimates[metric, name] = rates_estimate(metric, rates)
        for metric, rate in (("recall", rates.tpr), ("acc_fake", rates.tpr), ("acc_real", rates.tnr)):
            ranges[metric, name], estimates[metric, name] = of_share(rate, confidence), rate
    return Measured(ranges, estimates)
