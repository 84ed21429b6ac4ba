"""The headline of the page: the answer to its question in one sentence, with the numbers behind it."""

from __future__ import annotations

import math

from .conditions import title
from .summary import Summary
from .tables import with_interval

__all__ = ["answer"]


def answer(summary: Summary) -> tuple[str, str]:
    """Return (answer, explanation) in plain words, from the frame AUCs and their intervals by videos."""
    unclear = "This run cannot tell."
    ends = summary.ends()
    if not ends:
        return unclear, "The scores hold fewer than two conditions to compare."
    high, low = (summary.find(condition, "frame", "auc") for condition in (ends.high, ends.low))
    drop = summary.drop("frame", "auc")
    if not (high and low and drop) or any(math.isnan(row.value) for row in (high, low, drop)):
        return unclear, "The AUC is undefined: " + "; ".join(summary.undefined[:2]) + "."
    first, second = title(ends.high), title(ends.low)
    numbers = f"The frame AUC is {with_interval(high)} at {first} and {with_interval(low)} at {second}"
    if any(math.isnan(row.lo) for row in (high, low, drop)):
        return unclear, f"{numbers}; there are too few videos for an interval."
    difference = f"the difference is {with_interval(drop)}"
    if high.lo <= 0.5:
        return f"No: not even at {first}.", f"{numbers}; the interval of the first includes chance (.5)."
    if low.lo <= 0.5:
        return (
            f"At {first} yes, at {second} no longer.",
            f"{numbers}; the interval of the second includes chance (.5), and {difference}"
            + (", above 0." if drop.lo > 0 else ", which includes 0: too few videos to decide."),
        )
    if drop.lo > 0:
        kept = summary.retention(ends.low, "frame")
        left = f" {100 * kept:.0f} % of the uncompressed AUC's distance from .5 is left."
        share = "" if math.isnan(kept) else left
        return (
            f"Yes, but clearly less well at {second}.",
            f"{numbers}, above chance (.5); {difference}, above 0.{share}",
        )
    return f"Yes: no loss can be shown down to {second}.", f"{numbers}; {difference}, which includes 0."
