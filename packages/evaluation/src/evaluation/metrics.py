"""Metrics of binary classification. Fake is 1 and positive; a score is P(fake) or any increasing function of it.

Every function takes ``(y_true, y_score)``, two one-dimensional arrays of equal length, and returns a float: ``nan``
where the metric is undefined (a class is missing, there are no samples, a score is NaN). Labels other than 0 and 1 and
arrays of different lengths raise ``ValueError``.

A face is classified as fake where ``score >= threshold``. Definitions are scikit-learn's where it has them.

`Ranking` sorts the scores once and then counts under any number of sample weightings, which makes a bootstrap of a
thousand replicates cheap. `Counts` and `Confusion` compute the metrics; the functions below are the unweighted case.
`METRICS` lists all metrics with what tables, figures and the page need to know of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "METRICS",
    "Confusion",
    "Counts",
    "Metric",
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
    "headline",
    "logit",
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
CLIP = 1e-7  # scores are clipped to [CLIP, 1 - CLIP] before a logarithm


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
    """Weighted numbers of true and false positives and negatives at one threshold, arrays of equal shape."""

    tp: Floats
    fp: Floats
    tn: Floats
    fn: Floats

    def accuracy(self) -> Floats:
        """Share of the samples classified correctly."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    def acc_real(self) -> Floats:
        """Share of the real samples classified as real (specificity)."""
        return _ratio(self.tn, self.tn + self.fp)

    def acc_fake(self) -> Floats:
        """Share of the fakes classified as fake (sensitivity, recall, TPR)."""
        return _ratio(self.tp, self.tp + self.fn)

    recall = acc_fake

    def balanced_accuracy(self) -> Floats:
        """Mean of specificity and sensitivity."""
        return (self.acc_real() + self.acc_fake()) / 2

    def precision(self) -> Floats:
        """Share of fakes among the samples classified as fake; nan where there are none."""
        return _ratio(self.tp, self.tp + self.fp)

    def f1(self) -> Floats:
        """2 tp / (2 tp + fp + fn), of the class fake; nan without fakes and without false positives."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def mcc(self) -> Floats:
        """Matthews correlation coefficient; nan where it is 0/0 (scikit-learn returns 0)."""
        tp, fp, tn, fn = (np.asarray(x, dtype=np.float64) for x in (self.tp, self.fp, self.tn, self.fn))
        return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives at every distinct score, in falling order, after a leading 0 (threshold ``inf``).

    ``tps`` and ``fps`` are (..., K + 1), ``thresholds`` (K + 1,) with ``inf`` first: the whole ROC curve, as with
    scikit-learn's ``drop_intermediate=False``.
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
        """Area under the ROC curve by trapezoids: the Mann-Whitney statistic with midranks, ties counting one half."""
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
        high = np.where(np.isinf(high), low, high)                     # an infinite threshold cannot be averaged
        with np.errstate(invalid="ignore"):                            # inf - inf, when nothing was scored
            return rate, np.where(np.isnan(rate), np.nan, high + part * (low - high))

    def tpr_at_fpr(self, fpr: float) -> Floats:
        """TPR at the false positive rate *fpr*, interpolated on the ROC curve; the upper end of a vertical segment."""
        x, y = self.rates()
        before = np.maximum(np.sum(x <= fpr, axis=-1) - 1, 0)
        after = np.minimum(before + 1, x.shape[-1] - 1)
        x0, y0, x1, y1 = _pick(x, before), _pick(y, before), _pick(x, after), _pick(y, after)
        return y0 + np.where(x1 > x0, _ratio(fpr - x0, x1 - x0), 0.0 * x0) * (y1 - y0)

    def confusion(self, threshold: float) -> Confusion:
        """Return the confusion matrix of classifying ``score >= threshold`` as fake."""
        # thresholds fall, so the scores at or above it come first
        passed = int(np.sum(self.thresholds[1:] >= threshold))
        tp, fp = self.tps[..., passed], self.fps[..., passed]
        return Confusion(tp=tp, fp=fp, tn=self.num_real - fp, fn=self.num_fake - tp)

    def youden_threshold(self) -> Floats:
        """The threshold of the largest TPR - FPR; the highest such threshold if several tie."""
        fpr, tpr = self.rates()
        gain = np.nan_to_num(tpr - fpr, nan=-np.inf)[..., 1:]
        best = self.thresholds[1:][np.argmax(gain, axis=-1)] if gain.shape[-1] else np.nan
        return np.where(np.isnan(tpr[..., -1] + fpr[..., -1]), np.nan, best)


class Ranking:
    """Labels and scores, sorted once; each weighting in `counts` then costs a gather and a cumulative sum."""

    def __init__(self, y_true: ArrayLike, y_score: ArrayLike) -> None:
        labels, scores = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
        if labels.ndim != 1 or labels.shape != scores.shape:
            raise ValueError(
                f"y_true and y_score must be one-dimensional and of equal length, got {labels.shape} and {scores.shape}"
            )
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"y_true must be 0 (real) or 1 (fake), got {np.setdiff1d(labels, (0, 1))[:3].tolist()}")
        self.valid = not np.isnan(scores).any()
        self.order = np.argsort(-scores, kind="stable")
        self.labels = labels[self.order].astype(bool)
        ranked = scores[self.order]
        # the last sample of each run of equal scores
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, np.intp)
        self.thresholds = np.append(np.inf, ranked[self.ends])

    @property
    def width(self) -> int:
        """The number of weights that each weighting gathers."""
        return len(self.order)

    def counts(self, weights: ArrayLike | None = None, codes: ArrayLike | None = None) -> Counts:
        """Return the `Counts` under *weights*.

        weights: None (all 1) or (..., n) for the n samples. With *codes* (n,) it is (..., C), and sample i has
        the weight ``weights[..., codes[i]]``, as in a bootstrap of C clusters.
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
    """Return the average precision of the class fake, in 0..1; chance is the share of fakes."""
    return float(Ranking(y_true, y_score).counts().ap())


def eer(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the equal error rate, in 0..1: FPR = FNR by linear interpolation on the whole ROC curve."""
    return float(Ranking(y_true, y_score).counts().eer()[0])


def eer_threshold(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the threshold of the equal error rate, by linear interpolation."""
    return float(Ranking(y_true, y_score).counts().eer()[1])


def youden_threshold(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the threshold with the largest TPR - FPR (Youden's J), which also has the largest balanced accuracy."""
    return float(Ranking(y_true, y_score).counts().youden_threshold())


def tpr_at_fpr(y_true: ArrayLike, y_score: ArrayLike, fpr: float) -> float:
    """Return the true positive rate at a false positive rate of *fpr*, by linear interpolation on the ROC curve.

    nan with fewer than 1/fpr real samples, where a single false positive exceeds the rate.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must lie between 0 and 1, got {fpr}")
    counts = Ranking(y_true, y_score).counts()
    return float(counts.tpr_at_fpr(fpr)) if enough_for_fpr(float(counts.num_real), fpr) else float("nan")


def enough_for_fpr(num_real: float, fpr: float) -> bool:
    """Return whether *num_real* real samples can resolve a false positive rate of *fpr*."""
    return num_real * fpr >= 1 - 1e-9


def roc(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return (fpr, tpr, thresholds) from (0, 0) to (1, 1), a point per distinct score; the first threshold is inf."""
    counts = Ranking(y_true, y_score).counts()
    return (*counts.rates(), counts.thresholds)


def det(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return (fpr, fnr, thresholds): the ROC curve as two error rates (detection error tradeoff)."""
    fpr, tpr, thresholds = roc(y_true, y_score)
    return fpr, 1 - tpr, thresholds


def confusion(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> Confusion:
    """Return the confusion matrix of classifying ``score >= threshold`` as fake."""
    return Ranking(y_true, y_score).counts().confusion(threshold)


def accuracy(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share classified correctly; it depends on the share of fakes, see `balanced_accuracy`."""
    return float(confusion(y_true, y_score, threshold).accuracy())


def balanced_accuracy(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the mean of acc_real and acc_fake."""
    return float(confusion(y_true, y_score, threshold).balanced_accuracy())


def acc_real(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the real samples classified as real (specificity)."""
    return float(confusion(y_true, y_score, threshold).acc_real())


def acc_fake(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the fakes classified as fake (sensitivity)."""
    return float(confusion(y_true, y_score, threshold).acc_fake())


def recall(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of the fakes classified as fake; the same as `acc_fake`."""
    return float(confusion(y_true, y_score, threshold).recall())


def precision(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of fakes among the samples classified as fake."""
    return float(confusion(y_true, y_score, threshold).precision())


def f1(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the harmonic mean of precision and recall of the class fake."""
    return float(confusion(y_true, y_score, threshold).f1())


def mcc(y_true: ArrayLike, y_score: ArrayLike, threshold: float = 0.5) -> float:
    """Return the Matthews correlation coefficient, in -1..1."""
    return float(confusion(y_true, y_score, threshold).mcc())


def logit(y_score: ArrayLike) -> Floats:
    """Return log(p / (1 - p)) of scores clipped to [1e-7, 1 - 1e-7]."""
    p = _clipped(np.asarray(y_score, dtype=np.float64))
    return np.log(p) - np.log1p(-p)


def _clipped(scores: Floats) -> Floats:
    return np.clip(scores, CLIP, 1 - CLIP)


def _checked(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Floats, Floats]:
    Ranking(y_true, y_score)
    return np.asarray(y_true, dtype=np.float64), np.asarray(y_score, dtype=np.float64)


def logloss_of_each(y_true: ArrayLike, y_score: ArrayLike) -> Floats:
    """Return -log of the probability given to the class of each sample, scores clipped to [1e-7, 1 - 1e-7]."""
    labels, scores = _checked(y_true, y_score)
    scores = _clipped(scores)
    return -np.where(labels == 1, np.log(scores), np.log1p(-scores))


def brier_of_each(y_true: ArrayLike, y_score: ArrayLike) -> Floats:
    """Return (score - label)^2 of each sample, float64 (N,)."""
    labels, scores = _checked(y_true, y_score)
    return np.square(scores - labels)


def logloss(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the mean negative log likelihood in nats; a constant score of .5 has ln 2 = .693."""
    losses = logloss_of_each(y_true, y_score)
    return float(losses.mean()) if len(losses) else float("nan")


def brier(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the mean squared difference of score and label; a constant score of .5 has .25."""
    losses = brier_of_each(y_true, y_score)
    return float(losses.mean()) if len(losses) else float("nan")


# -- the table of metrics ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """An entry of `METRICS`: all that tables, figures and the page need to know of a metric.

    Exactly one of `ranking` (of the whole ROC curve), `decision` (of the decisions at one threshold) and `loss` (a
    value for each sample, averaged) is given. `chance` is the value of a classifier that ignores its input, None where
    it depends on the data. `headline` metrics are in metrics.json and in the bar chart, at the threshold .5 if they
    need one. `undefined` is the reason to give where the value is nan although samples exist.
    """

    title: str
    ranking: Callable[[Counts], Floats] | None = None
    decision: Callable[[Confusion], Floats] | None = None
    loss: Callable[[ArrayLike, ArrayLike], Floats] | None = None
    higher_is_better: bool = True
    chance: float | None = None
    least_fpr: float = 0.0         # undefined where fewer real samples cannot show this false positive rate
    headline: bool = False
    undefined: str = "one class only"

    def __post_init__(self) -> None:
        given = [part for part in (self.ranking, self.decision, self.loss) if part is not None]
        if len(given) != 1:
            raise ValueError(f"the metric {self.title!r} needs one of ranking, decision, loss; it has {len(given)}")

    @property
    def needs_threshold(self) -> bool:
        return self.decision is not None


def _tpr_at(fpr: float) -> Metric:
    return Metric(
        f"TPR at {100 * fpr:g} % FPR",
        ranking=lambda counts: counts.tpr_at_fpr(fpr),
        chance=fpr,
        least_fpr=fpr,
        undefined=f"fewer than {round(1 / fpr)} real faces",
    )


# Name in files -> metric, in the order of every table. Adding a line here adds the metric everywhere.
METRICS: dict[str, Metric] = {
    "auc": Metric("AUC", ranking=Counts.auc, chance=0.5, headline=True),
    "ap": Metric("AP", ranking=Counts.ap, headline=True, undefined="no fakes"),
    "eer": Metric("EER", ranking=lambda counts: counts.eer()[0], higher_is_better=False, chance=0.5, headline=True),
    "tpr_at_fpr_0.001": _tpr_at(0.001),
    "tpr_at_fpr_0.01": _tpr_at(0.01),
    "tpr_at_fpr_0.05": _tpr_at(0.05),
    "accuracy": Metric("ACC", decision=Confusion.accuracy, headline=True),
    "balanced_accuracy": Metric("balanced ACC", decision=Confusion.balanced_accuracy, chance=0.5, headline=True),
    "f1": Metric(
        "F1", decision=Confusion.f1, headline=True, undefined="no fakes, and no face classified as fake"
    ),
    "precision": Metric("precision", decision=Confusion.precision, undefined="no face classified as fake"),
    "recall": Metric("recall", decision=Confusion.recall, undefined="no fakes"),
    "mcc": Metric("MCC", decision=Confusion.mcc, chance=0.0, undefined="one class only, or all decisions equal"),
    "acc_real": Metric("specificity", decision=Confusion.acc_real, undefined="no real faces"),
    "acc_fake": Metric("sensitivity", decision=Confusion.acc_fake, undefined="no fakes"),
    "logloss": Metric("log loss", loss=logloss_of_each, higher_is_better=False, undefined="no faces"),
    "brier": Metric("Brier score", loss=brier_of_each, higher_is_better=False, undefined="no faces"),
}


def headline() -> list[str]:
    """Return the names of the headline metrics."""
    return [name for name, metric in METRICS.items() if metric.headline]
