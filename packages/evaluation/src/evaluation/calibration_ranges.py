"""Intervals of calibration figures by clusters: expected calibration error and fitted temperature."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, ndtr

from .calibration import BINS, temperature
from .jackknife import Sample, jackknife, positive_sum
from .metrics import logit
from .wilson import Range, of_share, quantile, skew_factor, skew_stretch

__all__ = ["ece", "fitted_temperature"]

LEAST_WRONG = 10                       # clusters with a misclassified sample, needed for an interval of the temperature


def ece(sample: Sample, confidence: float = 0.95, bins: int = BINS) -> Range:
    """Return the expected calibration error of `calibration.ece` with an interval for the error of the population.

    Noise in a bin can only add to the error, so the plain value is biased upwards, by about the noise that the clusters
    show (the mean of a folded normal in each bin). The lower end is measured from the value less this bias. The upper
    end is measured from half of it off, since the bias is overestimated where a bin is nearly calibrated. Both are
    corrected for skewness.
    """
    real, fake, rows = sample.real, sample.fake, len(sample)
    if rows == 0 or not (real.valid and fake.valid):
        return Range(np.nan, np.nan, np.nan, sample.lacking or "no samples")
    edges = np.quantile(np.concatenate([real.score, fake.score]), np.arange(1, bins) / bins)
    clusters = len(sample.weight)
    gaps = np.zeros((clusters, bins))  # sum of score - label of each cluster in each bin
    total = np.zeros(bins)
    for label, side in ((0, real), (1, fake)):
        member = np.arange(len(side)) if side.row is None else side.row
        place = np.searchsorted(edges, side.score, "left")
        total += np.bincount(place, side.score - label, minlength=bins)
        code = side.code.astype(np.int64) * bins + place[member]
        gaps += np.bincount(code, (side.score - label)[member], minlength=clusters * bins).reshape(clusters, bins)
    value = float(np.abs(total).sum() / rows)
    size = real.size + fake.size
    present = int(np.sum((size > 0) & (sample.weight > 0)))
    if present < 2:
        return Range(value, np.nan, np.nan, "fewer than two clusters")
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = np.abs(total - gaps).sum(1) / (rows - size)
    estimate = jackknife(value, left_out, size, rows, sample.weight, present)
    if estimate.reason:
        return Range(value, np.nan, np.nan, estimate.reason)
    mean = total / rows
    parts = (gaps - np.outer(size, mean)) / rows
    noise = np.sqrt(np.maximum(sample.weight @ parts**2, 0) * present / (present - 1))
    unbiased = max(value - float(np.sum(_folded_mean(mean, noise) - _shrunk(mean, noise))), 0.0)
    q = quantile((1 + confidence) / 2, present)
    half = q * float(np.sqrt(estimate.variance))
    moved = -estimate.spread[(sample.weight > 0) & (estimate.spread != 0)]
    lo, hi = (start + sign * half * skew_factor(moved, sign, q)
              for start, sign in ((unbiased, -1), ((unbiased + value) / 2, 1)))  # fmt: skip
    return Range(value, max(lo, 0.0), min(max(hi, value), 1.0))


def _shrunk(mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the magnitude of each bin's mean after the noise variance is subtracted from its square."""
    found: np.ndarray = np.sqrt(np.maximum(mean**2 - noise**2, 0))
    return found


def _folded_mean(mean: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the mean of the absolute value of a normal variable around the shrunk mean."""
    centre, spread = _shrunk(mean, noise), np.maximum(noise, 1e-300)
    ratio = np.minimum(centre / spread, 30.0)
    found: np.ndarray = spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + centre * (2 * ndtr(ratio) - 1)
    return found


def fitted_temperature(sample: Sample, confidence: float = 0.95) -> Range:
    """Return the temperature that `calibration.temperature` fits, with its interval.

    The interval contains every T at which the slope of the log loss is within its own t interval over the clusters. It
    is undefined if no T is too high or the interval of the AUC reaches .5 (the classes are not separated), and if fewer
    than ten clusters hold an error: which of such samples have a finite interval depends on the errors themselves, and
    intervals covered the true value in only .65 to .92 of the simulated cases.
    """
    sides = ((0, sample.real), (1, sample.fake))
    label = np.repeat([0, 1], [len(side) for _, side in sides])
    logits = logit(np.concatenate([side.score for _, side in sides]))
    found = temperature(label, logits)
    if np.isnan(found) or sample.lacking:
        return Range(found, np.nan, np.nan, sample.lacking or "no finite temperature fits best")
    wrong = (logits * (2 * label - 1) < 0).astype(np.float64)
    start = len(sample.real)
    of_cluster = sample.real.sums(wrong[:start]) + sample.fake.sums(wrong[start:])
    hold_wrong = int(np.sum((of_cluster > 0) & (sample.weight > 0)))
    if hold_wrong < LEAST_WRONG:
        return Range(found, np.nan, np.nan, f"fewer than {LEAST_WRONG} clusters with a misclassified sample")
    if not of_share(sample.auc(), confidence).lo > 0.5:
        return Range(found, np.nan, np.nan, "the AUC cannot be told from 0.5")
    size = sample.real.size + sample.fake.size
    clusters = sample.num_clusters
    q, factor = quantile((1 + confidence) / 2, clusters), clusters / (clusters - 1)

    def distance(sharpness: float, sign: int) -> float:
        """Return the slope at 1/T in units of its allowed deviation: above 1 where 1/T is too high."""
        slope = logits * (expit(sharpness * logits) - label)
        parts = sample.real.sums(slope[:start]) + sample.fake.sums(slope[start:])
        total = float(slope.sum())
        parts = parts - size * (total / len(sample))
        deviation = float(np.sqrt(factor * positive_sum(parts**2, sample.weight)))
        stretch = skew_stretch(parts[(size > 0) & (sample.weight > 0)], -sign)
        return total / (q * stretch * deviation) if deviation > 0 else np.inf * sign

    ends = []
    for sign in (-1, 1):               # 1/T too low, too high
        near = 1 / found
        far = near * 4.0**sign
        for _ in range(12):
            if sign * distance(far, sign) > 1:
                break
            far *= 4.0**sign
        else:
            ends.append(0.0 if sign > 0 else np.inf)
            continue
        for _ in range(20):
            middle = float(np.sqrt(near * far))
            near, far = (near, middle) if sign * distance(middle, sign) > 1 else (middle, far)
        ends.append(1 / far)
    if np.isinf(ends[0]):
        return Range(found, np.nan, np.nan, "the scores give no upper bound of the temperature")
    return Range(found, ends[1], ends[0])
