"""How well scores separate fake from real. Fake is 1 and positive; a score is P(fake) or anything that grows with it.

Every function takes ``(y_true, y_score)``, two one-dimensional arrays of one length, and gives a float: ``nan`` where
the metric is undefined (a class is missing, nothing was scored, a score is NaN), never an exception, never a stand-in.
Labels other than 0 and 1, or arrays of different lengths, raise ``ValueError``.

A face is called fake when ``score >= threshold``. Definitions are scikit-learn's where it has them.

`Ranking` sorts the scores once and then counts under any number of weightings of the samples: this is what makes a
bootstrap of a thousand replicates cheap. `Counts` and `Confusion` hold the arithmetic; the functions below them are the
unweighted case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Confusion",
    "Counts",
    "Ranking",
    "acc_fake",
    "acc_real",
    "accuracy",
    "ap",
    "auc",
    "balanced_accuracy",
    "brier",
    "brier_of_each",
    "confusion",
    "det",
    "eer",
    "eer_threshold",
    "enough_for_fpr",
    "f1",
    "logloss",
    "logloss_of_each",
    "mcc",
    "precision",
    "recall",
    "roc",
    "tpr_at_fpr",
    "youden_threshold",
]

Floats = NDArray[np.float64]
CLIP = 1e-7  # scores are kept this far from 0 and 1 before a logarithm


def _ratio(numerator: Any, denominator: Any) -> Floats:
    """Return numerator / denominator, nan where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def _pick(values: Floats, index: NDArray[np.intp]) -> Floats:
    """Return values[..., index] with one index for each leading element."""
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Weighted numbers of true and false positives and negatives at one threshold, arrays of any one shape."""

    tp: Floats
    fp: Floats
    tn: Floats
    fn: Floats

    def accuracy(self) -> Floats:
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    def acc_real(self) -> Floats:
        """Share of the real that are called real (specificity)."""
        return _ratio(self.tn, self.tn + self.fp)

    def acc_fake(self) -> Floats:
        """Share of the fakes that are called fake (recall, TPR)."""
        return _ratio(self.tp, self.tp + self.fn)

    recall = acc_fake

    def balanced_accuracy(self) -> Floats:
        return (self.acc_real() + self.acc_fake()) / 2

    def precision(self) -> Floats:
        """Share of those called fake that are; nan when none is called fake."""
        return _ratio(self.tp, self.tp + self.fp)

    def f1(self) -> Floats:
        """2 tp / (2 tp + fp + fn), of the class fake; nan without fakes and without alarms."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def mcc(self) -> Floats:
        """Matthews correlation coefficient; nan where it is 0/0 (scikit-learn says 0 there)."""
        tp, fp, tn, fn = (np.asarray(x, dtype=np.float64) for x in (self.tp, self.fp, self.tn, self.fn))
        return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives at every distinct score, highest first, after a leading 0 ("nothing is called fake").

    ``tps`` and ``fps`` are (..., K + 1), ``thresholds`` (K + 1,) with ``inf`` in front: the whole ROC curve, no point
    left out (scikit-learn's ``drop_intermediate=False``).
    """

    tps: Floats
    fps: Floats
    thresholds: Floats

    @property
    def num_fake(self) -> Floats:
        return self.tps[..., -1]

    @property
    def num_real(self) -> Floats:
        return self.fps[..., -1]

    def rates(self) -> tuple[Floats, Floats]:
        """Return (fpr, tpr), each (..., K + 1)."""
        return _ratio(self.fps, self.num_real[..., None]), _ratio(self.tps, self.num_fake[..., None])

    def auc(self) -> Floats:
        """Area under the ROC curve by trapezia: the Mann-Whitney statistic with midranks, ties counting one half."""
        twice = np.einsum("...k,...k->...", np.diff(self.fps, axis=-1), self.tps[..., 1:] + self.tps[..., :-1])
        return _ratio(twice, 2 * self.num_fake * self.num_real)

    def ap(self) -> Floats:
        """Average precision, sum of (R_k - R_{k-1}) P_k (scikit-learn's step-wise definition, no interpolation)."""
        precision = np.nan_to_num(_ratio(self.tps[..., 1:], self.tps[..., 1:] + self.fps[..., 1:]))
        return _ratio(np.einsum("...k,...k->...", np.diff(self.tps, axis=-1), precision), self.num_fake)

    def eer(self) -> tuple[Floats, Floats]:
        """Return (rate, threshold) where FNR = FPR, by linear interpolation between neighbouring points of the ROC."""
        fpr, tpr = self.rates()
        gap = (1 - tpr) - fpr                                          # 1 at the first point, -1 at the last
        after = np.argmax(gap <= 0, axis=-1)                           # 0 only when a class is missing (gap is nan)
        before = np.maximum(after - 1, 0)
        gap_before, gap_after = _pick(gap, before), _pick(gap, after)
        part = _ratio(gap_before, gap_before - gap_after)
        rate = _pick(fpr, before) + part * (_pick(fpr, after) - _pick(fpr, before))
        high, low = self.thresholds[before], self.thresholds[after]
        high = np.where(np.isinf(high), low, high)                     # "above every score" is no number to average
        with np.errstate(invalid="ignore"):                            # inf - inf, when nothing was scored
            return rate, np.where(np.isnan(rate), np.nan, high + part * (low - high))

    def tpr_at_fpr(self, fpr: float) -> Floats:
        """TPR where the ROC curve crosses *fpr*, linearly interpolated; the upper end of a vertical piece."""
        x, y = self.rates()
        before = np.maximum(np.sum(x <= fpr, axis=-1) - 1, 0)
        after = np.minimum(before + 1, x.shape[-1] - 1)
        x0, y0, x1, y1 = _pick(x, before), _pick(y, before), _pick(x, after), _pick(y, after)
        return y0 + np.where(x1 > x0, _ratio(fpr - x0, x1 - x0), 0.0 * x0) * (y1 - y0)

    def confusion(self, threshold: float) -> Confusion:
        """What calling fake every ``score >= threshold`` gives."""
        # thresholds fall, so the scores that pass are the first ones
        passed = int(np.sum(self.thresholds[1:] >= threshold))
        tp, fp = self.tps[..., passed], self.fps[..., passed]
        return Confusion(tp=tp, fp=fp, tn=self.num_real - fp, fn=self.num_fake - tp)

    def youden_threshold(self) -> Floats:
        """The threshold of the largest TPR - FPR; the highest such threshold when several tie."""
        fpr, tpr = self.rates()
        gain = np.nan_to_num(tpr - fpr, nan=-np.inf)[..., 1:]
        best = self.thresholds[1:][np.argmax(gain, axis=-1)] if gain.shape[-1] else np.nan
        return np.where(np.isnan(tpr[..., -1] + fpr[..., -1]), np.nan, best)


class Ranking:
    """Labels and scores, sorted once; `counts` then costs a gather and a cumulative sum per weighting."""

    def __init__(self, y_true: ArrayLike, y_score: ArrayLike) -> None:
        labels, scores = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
        if labels.ndim != 1 or labels.shape != scores.shape:
            raise ValueError(f"y_true and y_score must be columns of one length, got {labels.shape} and {scores.shape}")
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"y_true must be 0 (real) or 1 (fake), got {np.setdiff1d(labels, (0, 1))[:3].tolist()}")
        self.valid = not np.isnan(scores).any()
        self.order = np.argsort(-scores, kind="stable")
        self.labels = labels[self.order].astype(bool)
        ranked = scores[self.order]
        # the last sample of each run of equal scores
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, np.intp)
        self.thresholds = np.append(np.inf, ranked[self.ends])

    def counts(self, weights: ArrayLike | None = None, codes: ArrayLike | None = None) -> Counts:
        """Return the `Counts` under *weights*.

        weights: none (all 1), or (..., n) for the n samples; with *codes* (n,) it is (..., C) and sample i weighs
        ``weights[..., codes[i]]``, as in a bootstrap of C clusters.
        """
        if weights is None:
            weights = np.ones(len(self.order))
        taken = self.order if codes is None else np.asarray(codes)[self.order]
        ranked = np.take(np.asarray(weights, dtype=np.float64), taken, axis=-1)
        if not self.valid:
            ranked = ranked * np.nan
        return Counts(self._cumulated(ranked * self.labels), self._cumulated(ranked * ~self.labels), self.thresholds)

    def _cumulated(self, weights: Floats) -> Floats:
        out = np.zeros((*weights.shape[:-1], len(self.ends) + 1))
        out[..., 1:] = np.cumsum(weights, axis=-1)[..., self.ends]
        return out


def auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the area under the ROC curve, in 0..1: P(a fake scores above a real one), ties counting one half."""
    return float(Ranking(y_true, y_score).counts().auc())


def ap(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the average precision of the class fake, in 0..1; a coin's is the share of fakes."""
    return float(Ranking(y_true, y_score).counts().ap())


def eer(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the equal error rate, in 0..1: FPR = FNR by linear interpolation on the whole ROC curve."""
    return float(Ranking(y_true, y_score).counts().eer()[0])


def eer_threshold(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the threshold of the equal error rate, interpolated like the rate."""
    return float(Ranking(y_true, y_score).counts().eer()[1])


def youden_threshold(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the threshold with the largest TPR - FPR (Youden's J), which also has the largest balanced accuracy."""
    return float(Ranking(y_true, y_score).counts().youden_threshold())


def tpr_at_fpr(y_true: ArrayLike, y_score: ArrayLike, fpr: float) -> float:
    """Return the share of fakes found at a false alarm rate of *fpr*, by linear interpolation on the ROC curve.

    nan with fewer than 1/fpr real samples: then not even one false alarm is as rare as that.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must lie between 0 and 1, got {fpr}")
    counts = Ranking(y_true, y_score).counts()
    return float(counts.tpr_at_fpr(fpr)) if enough_for_fpr(float(counts.num_real), fpr) else float("nan")


def enough_for_fpr(num_real: float, fpr: float) -> bool:
    """Return whether *num_real* real samples can show a false alarm rate of *fpr*."""
    return num_real * fpr >= 1 - 1e-9


def roc(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return (fpr, tpr, thresholds) from (0, 0) to (1, 1), every distinct score a point; the first threshold is inf."""
    counts = Ranking(y_true, y_score).counts()
    return (*counts.rates(), counts.thresholds)


def det(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return (fpr, fnr, thresholds): the ROC curve told as two error rates (detection error tradeoff)."""
    fpr, tpr, thresholds = roc(y_true, y_score)
    return fpr, 1 - tpr, thresholds


def confusion(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> Confusion:
    """Return the numbers of true and false positives and negatives when ``score >= threshold`` is called fake."""
    return Ranking(y_true, y_score).counts().confusion(threshold)


def accuracy(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share called right. With four fakes to a real one "always fake" has .80: see balanced_accuracy."""
    return float(confusion(y_true, y_score, threshold).accuracy())


def balanced_accuracy(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the mean of acc_real and acc_fake."""
    return float(confusion(y_true, y_score, threshold).balanced_accuracy())


def acc_real(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the real that are called real."""
    return float(confusion(y_true, y_score, threshold).acc_real())


def acc_fake(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the fakes that are called fake."""
    return float(confusion(y_true, y_score, threshold).acc_fake())


def recall(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the fakes that are called fake; another name of acc_fake."""
    return float(confusion(y_true, y_score, threshold).recall())


def precision(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of those called fake that are fake."""
    return float(confusion(y_true, y_score, threshold).precision())


def f1(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the harmonic mean of precision and recall of the class fake."""
    return float(confusion(y_true, y_score, threshold).f1())


def mcc(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the Matthews correlation coefficient, in -1..1."""
    return float(confusion(y_true, y_score, threshold).mcc())


def _checked(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats]:
    Ranking(y_true, y_score)
    return np.asarray(y_true, dtype=np.float64), np.asarray(y_score, dtype=np.float64)


def logloss_of_each(y_true: ArrayLike, y_score: ArrayLike) -> Floats:
    """Return -log of the probability given to each sample's own class, scores clipped to [1e-7, 1 - 1e-7]."""
    labels, scores = _checked(y_true, y_score)
    scores = np.clip(scores, CLIP, 1 - CLIP)
    return -np.where(labels == 1, np.log(scores), np.log1p(-scores))


def brier_of_each(y_true: ArrayLike, y_score: ArrayLike) -> Floats:
    """Return (score - label)^2 of each sample."""
    labels, scores = _checked(y_true, y_score)
    return np.square(scores - labels)


def logloss(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the mean negative log likelihood in nats; a coin's is ln 2 = .693. Scores are probabilities."""
    losses = logloss_of_each(y_true, y_score)
    return float(losses.mean()) if len(losses) else float("nan")


def brier(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the mean squared difference of score and label; a coin's is .25. Scores are probabilities."""
    losses = brier_of_each(y_true, y_score)
    return float(losses.mean()) if len(losses) else float("nan")
