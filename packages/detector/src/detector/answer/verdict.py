"""From a score to a likelihood ratio, its words, and a verdict with its reason.

The words are the verbal scale of the ENFSI Guideline for Evaluative Reporting in Forensic Science (European Network of
Forensic Science Institutes, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evaluation.likelihood import Calibration, apply

from ..card import POOLED, Card, Threshold
from ..standardisation import standardised
from .record import Likelihood, Verdict

__all__ = ["SCALE", "calibration_of", "decide", "likelihood", "of_file", "posterior", "threshold_of", "words"]

# the smallest likelihood ratio of each step, and its words
SCALE = (
    (2.0, "weak support"),
    (10.0, "moderate support"),
    (100.0, "moderately strong support"),
    (1_000.0, "strong support"),
    (10_000.0, "very strong support"),
    (1_000_000.0, "extremely strong support"),
)
OUTSIDE = "outside what these weights were validated on"
PROPOSITIONS = ("the face is real", "the face is forged")


def words(ratio: float) -> str:
    """Return the *ratio* in words of the verbal scale."""
    strength = max(ratio, 1 / ratio)
    steps = [text for least, text in SCALE if strength >= least]
    if not steps:
        return "no support for either proposition"
    first, other = PROPOSITIONS[ratio > 1], PROPOSITIONS[ratio < 1]
    return f"{steps[-1]} for the proposition that {first}, rather than that {other}"


def posterior(ratio: float, prior: float) -> float:
    """Return P(fake) after *ratio* at *prior*, 0 < prior < 1."""
    odds = ratio * prior / (1 - prior)
    return odds / (1 + odds)


def calibration_of(card: Card, label: str, level: str) -> Calibration | None:
    """Return the calibration of *card* for a condition and a level, None if it has none."""
    found = card.calibration.get(label)
    return None if found is None else getattr(found, level)


def threshold_of(card: Card, label: str, level: str) -> float | None:
    """Return the threshold of *card* for a condition and a level, None if it has none."""
    levels = card.pooled if label == POOLED else card.thresholds.get(label)
    found: Threshold | None = None if levels is None else getattr(levels, level)
    return None if found is None else found.threshold


def standard_score(card: Card, label: str, logit: float) -> float | None:
    """Return the score of *logit* standardised by the condition *label*, None if the card lacks the values for it."""
    import numpy as np

    from ..conditions import parse

    if label not in card.real_logits:
        return None
    found = float(standardised(np.array([[logit]]), [parse(label)], card.real_logits)[0, 0])
    return 1 / (1 + math.exp(-found))


def likelihood(calibration: Calibration, logit: float, prior: float) -> Likelihood:
    """Return the likelihood ratio of *logit*, and P(fake) at *prior*."""
    found = apply(calibration, logit)
    reason = calibration.reason
    if not reason and found.bounded:
        reason = "cut at the bound"
    return Likelihood(
        ratio=found.lr,
        interval=found.interval,
        bounds=(calibration.low, calibration.high),
        isotonic=found.isotonic,
        posterior=posterior(found.lr, prior),
        words=words(found.lr),
        reason=reason,
        cllr=calibration.cllr,
        real_people=calibration.real_units,
        fake_people=calibration.fake_units,
    )


def decide(
    found: Likelihood | None, score: float, threshold: float | None, outside: Sequence[str]
) -> tuple[Verdict, str]:
    """Return the verdict on a face and its reason.

    Inconclusive: outside the range of the weights; no calibration; the interval of the likelihood ratio contains 1, or
    there is none; the ratio is below the first step of the verbal scale; score and threshold say otherwise.
    """
    if outside:
        return "inconclusive", f"{OUTSIDE}: {'; '.join(outside)}"
    if found is None:
        return "inconclusive", "these weights have no calibration for this kind of file; train them again"
    if found.interval is None:
        return "inconclusive", f"the likelihood ratio has no interval: {found.reason}"
    low, high = found.interval
    if low <= 1 <= high:
        return "inconclusive", f"the interval of the likelihood ratio, {low:.2g} to {high:.2g}, contains 1"
    if max(found.ratio, 1 / found.ratio) < SCALE[0][0]:
        return "inconclusive", f"a likelihood ratio of {found.ratio:.2g} supports neither proposition"
    verdict: Verdict = "fake" if found.ratio > 1 else "real"
    if threshold is not None and (score >= threshold) != (verdict == "fake"):
        side = "below" if score < threshold else "not below"
        return "inconclusive", f"the likelihood ratio indicates {verdict}, but the score is {side} the threshold"
    return verdict, found.words


def of_file(faces: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """Return the verdict on a file by those on its *faces*: fake if any face is, real if all are."""
    for number, (verdict, reason) in enumerate(faces, 1):
        if verdict == "fake":
            return "fake", reason if len(faces) == 1 else f"person {number}: {reason}"
    for number, (verdict, reason) in enumerate(faces, 1):
        if verdict == "inconclusive":
            return "inconclusive", reason if len(faces) == 1 else f"person {number}: {reason}"
    return "real", faces[0][1]
