"""The answer at the top of the page: is the detector useful at one threshold in all conditions?

The answer follows from intervals and two margins that the user sets, never from significance alone: *yes* and *no* need
the whole interval on one side of a margin, everything else is *cannot tell from this data*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .conditions import title
from .matrix import Decision, Matrix
from .summary import Difference, Summary
from .tables import number

__all__ = ["Answer", "Margins", "Rate", "answer"]

TELL = "Cannot tell from this data."
PERFECT = 0.99                         # a lowest AUC this high is implausibly good
FLAT = 0.01                            # and so is a high AUC that the strongest compression changes by less than this
HIGH = 0.95
FIXED = "No validation split has both classes, so no threshold was chosen, and .5 is used."


@dataclass(frozen=True, slots=True)
class Margins:
    """The balanced accuracy from which a detector is useful, and the largest AUC drop that counts as no loss."""

    useful: float = 0.75
    equivalent: float = 0.05

    def __post_init__(self) -> None:
        if not 0.5 < self.useful < 1:
            raise ValueError(f"the margin of usefulness is a balanced accuracy between .5 and 1, got {self.useful}")
        if not 0 < self.equivalent < 0.5:
            raise ValueError(f"the margin of equivalence is an AUC difference between 0 and .5, got {self.equivalent}")


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors per 1,000 faces of a class in one condition, with the interval."""

    condition: str
    value: float
    lo: float
    hi: float

    def texts(self, words: str) -> tuple[str, str]:
        """Return ``120`` and ``[80, 170] of 1,000 fakes are missed``; *words* are the end of the second."""
        value = f"{1000 * self.value:.0f}"
        if math.isnan(self.lo):
            return value, f"{words} (no interval: too few independent faces)"
        return value, f"[{1000 * self.lo:.0f}, {1000 * self.hi:.0f}] {words}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The headline, sentences below it, warnings, and the error rates of real faces and of fakes by condition.

    The rates are at `threshold`, `chosen` on the validation split, or .5 where that split lacks a class.
    """

    short: str
    sentences: list[str]
    warnings: list[str]
    threshold: float
    accused: list[Rate]
    missed: list[Rate]
    chosen: bool = True

    @property
    def extremes(self) -> list[tuple[str, Rate, Rate]]:
        """What, best and worst condition of it."""
        return [
            (words, min(rates, key=lambda rate: rate.value), max(rates, key=lambda rate: rate.value))
            for words, rates in (
                ("of 1,000 real faces are classified as fake", self.accused),
                ("of 1,000 fakes are missed", self.missed),
            )
            if rates
        ]


def answer(summary: Summary, matrix: Matrix, margins: Margins | None = None) -> Answer:
    """Return the answer from frame-level decisions at the threshold chosen on validation over all conditions.

    Where the validation split lacks a class, they are at .5.
    """
    margins, source = margins or Margins(), matrix.source
    specificity, sensitivity = (matrix.decided(metric, source) for metric in ("specificity", "sensitivity"))
    accused, missed = _errors(specificity), _errors(sensitivity)
    decided = [*specificity, *sensitivity]
    threshold = decided[0].threshold if decided else math.nan
    short, sentences = _useful(matrix, margins)
    if summary.ends():
        sentences.append(_drop(summary, margins))
    suspicious = _suspicious(summary, matrix)
    warnings = [f"{said[0].upper()}{said[1:]}." for said in summary.reversed_scores()] or _leaning(matrix)
    if suspicious and short.startswith("Yes"):
        short = "Implausibly good: check for a shortcut before relying on this result."
    return Answer(short, sentences, [*suspicious, *warnings], threshold, accused, missed, source == "val")


def _errors(decisions: Iterable[Decision]) -> list[Rate]:
    return [Rate(d.condition, 1 - d.value, 1 - d.hi, 1 - d.lo) for d in decisions if not math.isnan(d.value)]


def _useful(matrix: Matrix, margins: Margins) -> tuple[str, list[str]]:
    names = ("balanced_accuracy", "lowest_specificity", "lowest_sensitivity")
    found = [matrix.decided(metric, matrix.source) for metric in names]
    if not all(found):
        return TELL, ["The test split lacks a class, so there is no balanced accuracy and no AUC."]
    overall, real, fake = (rows[0] for rows in found)
    # the sum of two ends covers the sum of two values at least as often, whatever their correlation
    value, lo, hi = ((getattr(real, end) + getattr(fake, end)) / 2 for end in ("value", "lo", "hi"))
    limit = number(margins.useful, 2)
    where = f"real faces: {title(real.condition)}; fakes: {title(fake.condition)}"
    said = f"It is {_interval(overall.value, overall.lo, overall.hi)}"
    if len(matrix.decided("specificity", matrix.source)) == 1:           # one condition, which is the worst as well
        value, lo, hi = overall.value, overall.lo, overall.hi
        every, said = "", f"{said} ({title(real.condition)})."
    else:
        every = " over all conditions"
        said += f"{every} and {_interval(value, lo, hi)} where each class is classified worst ({where})."
    sentences = [
        f"Useful means a balanced accuracy of at least {limit} at one threshold"
        f"{' for all conditions' if every else ''} (the margin is a setting).",
        *([] if matrix.source == "val" else [FIXED]),
        said,
    ]
    if any(math.isnan(end) for end in (overall.lo, lo)):
        return TELL, [*sentences, "There are too few independent faces for an interval."]
    if lo >= margins.useful:
        return "Yes, in every condition that was tested." if every else "Yes.", sentences
    if overall.hi < margins.useful:
        return "No.", sentences
    if overall.lo >= margins.useful:
        if hi < margins.useful:
            return "No: useful on average, but not in every condition.", sentences
        unclear = "That is useful on average; the interval of the worst condition includes the margin."
        return TELL, [*sentences, unclear]
    return TELL, [*sentences, f"The interval{every} includes the margin."]


def _interval(value: float, lo: float, hi: float) -> str:
    return number(value) if math.isnan(lo) else f"{number(value)} [{number(lo)}, {number(hi)}]"


def _drop(summary: Summary, margins: Margins) -> str:
    """Return a sentence on the AUC drop; it distinguishes equivalence from absence of evidence."""
    ends = summary.ends()
    assert ends
    drop: Difference | None = summary.drop("frame", "auc")
    what = f"From {title(ends.high)} to {title(ends.low)} the frame AUC"
    if drop is None or math.isnan(drop.value):
        return f"{what} drop is undefined."
    shown = f"{what} drops by {_interval(drop.value, drop.lo, drop.hi)}"
    limit = number(margins.equivalent, 2)
    if math.isnan(drop.lo):
        return f"{shown}; there are too few independent faces for an interval."
    if drop.lo > margins.equivalent:
        return f"{shown}: more than the margin of {limit}."
    if drop.hi < margins.equivalent and drop.lo > -margins.equivalent:
        return f"{shown}: within the margin of {limit}, so the two are considered equal."
    if drop.lo > 0:
        return f"{shown}: a loss, but the data do not show whether it exceeds the margin of {limit}."
    return (
        f"{shown}. This neither shows a loss nor rules one out: a loss of {number(drop.hi)} is compatible with the "
        f"data (margin {limit})."
    )


def _suspicious(summary: Summary, matrix: Matrix) -> list[str]:
    """Return a warning where the results are implausibly good: perfect, or unaffected by strong compression."""
    look = "Look for a shortcut: file format, size, borders, encoder or people that differ between the classes."
    worst, ends, drop = matrix.figure("worst"), summary.ends(), summary.drop("frame", "auc")
    low = summary.find(ends.low, "frame", "auc") if ends else None
    if worst and worst.value >= PERFECT:
        which = "the lowest AUC of all conditions" if len(summary.conditions) > 1 else "the AUC"
        return [f"Implausibly good: {which} is {number(worst.value)}. {look}"]
    if ends and low and drop and low.value >= HIGH and abs(drop.value) <= FLAT:
        return [f"Implausibly good: {title(ends.low)} hardly changes the AUC of {number(low.value)}. {look}"]
    return []


def _leaning(matrix: Matrix) -> list[str]:
    """Return a warning where the detector responds to the condition instead of the forgery."""
    worst, lean = matrix.figure("worst"), matrix.figure("lean")
    if not worst or not lean or not worst.hi < 0.5 < 0.5 + lean.lo:
        return []
    return [
        f"The detector responds to the condition instead of the forgery: real faces ({title(worst.real)}) get higher "
        f"scores than fakes ({title(worst.fake)}; AUC {_interval(worst.value, worst.lo, worst.hi)})."
    ]
