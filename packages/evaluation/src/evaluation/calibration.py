"""Calibration of probabilities: reliability, expected calibration error, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from .metrics import logit

__all__ = ["Reliability", "apply_temperature", "ece", "reliability", "temperature"]

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True)
class Reliability:
    """Arrays with one element per non-empty bin, by rising score."""

    score: Floats                  # mean score
    share: Floats                  # share of fakes
    count: NDArray[np.int64]


def reliability(y_true: ArrayLike, y_score: ArrayLike, bins: int = BINS) -> Reliability:
    """Return mean score and share of fakes in *bins* bins with equally many samples.

    The edges are quantiles of the scores, so equal scores share a bin, the order of rows does not matter and a constant
    score gives a single bin. NaN scores give no bins.
    """
    labels, scores = np.asarray(y_true, dtype=np.float64), np.asarray(y_score, dtype=np.float64)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if len(scores) == 0 or np.isnan(scores).any():
        return Reliability(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    edges = np.quantile(scores, np.arange(1, bins) / bins)
    _, codes = np.unique(np.searchsorted(edges, scores, side="left"), return_inverse=True)
    count = np.bincount(codes)
    mean, share = (np.bincount(codes, weights=values) / count for values in (scores, labels))
    return Reliability(mean, share, count.astype(np.int64))


def ece(y_true: ArrayLike, y_score: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error in 0..1: mean over samples of |mean score - share of fakes| of their bin.

    The bins have equally many samples, with equal scores in one bin. nan without samples. On small samples the error is
    biased upwards by about the sampling error of a bin.
    """
    found = reliability(y_true, y_score, bins)
    if len(found.count) == 0:
        return float("nan")
    return float(np.average(np.abs(found.score - found.share), weights=found.count))


def temperature(y_true: ArrayLike, logits: ArrayLike) -> float:
    """Return the T > 0 that minimises the log loss of sigmoid(logits / T) (Guo et al. 2017); above 1: overconfident.

    The loss is convex in 1/T; the zero of its derivative is found by bisection. nan where no finite positive T is best:
    a class is missing, the logits separate the classes perfectly, or they rank them the wrong way.
    """
    labels, z = np.asarray(y_true, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    if len(z) == 0 or not np.isfinite(z).all() or labels.min() == labels.max():
        return float("nan")

    def slope(sharpness: float) -> float:
        return float(np.mean(z * (expit(sharpness * z) - labels)))

    # no minimum: every logit has the sign of its class, or the loss rises from the start
    if (z * (2 * labels - 1) >= 0).all() or slope(0.0) >= 0:
        return float("nan")
    low, high = 0.0, 1.0
    while slope(high) < 0:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:                     # until no number lies between
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / middle


def apply_temperature(y_score: ArrayLike, temperature: float) -> Floats:
    """Return sigmoid(logit(score) / temperature)."""
    cooled: Floats = expit(logit(y_score) / temperature)
    return cooled
