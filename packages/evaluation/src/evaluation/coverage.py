"""How often the intervals contained the true value in the simulation of `make coverage` (docs/results.md)."""

from __future__ import annotations

from collections.abc import Sequence

from .coverage_table import ROWS, Row

__all__ = ["ROWS", "WIDEST", "Row", "found", "sentence"]

WIDEST = 1.25                          # width that is accepted, over that of a bootstrap that covers


def found(metric: str, pairs: int) -> Row | None:
    """Return the row of *metric* for the designs with the most pairs that are not more than *pairs*, or None."""
    rows = [row for row in ROWS if row.metric == metric and row.pairs[0] <= pairs]
    return max(rows, key=lambda row: row.pairs) if rows else None


def sentence(pairs: int, metrics: Sequence[str] = (), confidence: float = 0.95) -> str:
    """Return how far the intervals of *metrics* (by default all) are off in simulations with about as many pairs.

    Both directions: the percentage that contains the true value, and the widths that exceed the goal.
    """
    names = metrics or list(dict.fromkeys(row.metric for row in ROWS))
    if confidence != 0.95:
        return f"How far intervals of {100 * confidence:g} % are off was not simulated, only those of 95 %."
    rows = [row for name in names if (row := found(name, pairs))]
    if not rows:
        least = min(row.pairs[0] for row in ROWS)
        return f"How far intervals are off was not simulated with fewer than {least} pairs." if pairs < least else ""
    low, high = min(row.pairs[0] for row in rows), max(row.pairs[1] for row in rows)
    parts = [f"{row.metric} {100 * row.lowest:.1f} to {100 * row.highest:.1f}" for row in rows]
    designs = f"{low} pairs" if low == high else f"{low} to {high} pairs"
    return (
        f"Percentage of 95 % intervals that contained the true value in simulations with {designs}, lowest and highest "
        f"over the designs: {', '.join(parts)}. Above 95 the interval is wider than needed. {_widths(rows)}"
    )


def _widths(rows: Sequence[Row]) -> str:
    """Return which intervals are wider than the goal, as a sentence; nothing where no width was measured."""
    measured = [row for row in rows if row.measured]
    wide = [f"{row.metric} up to {row.widest:.2f} ({row.wide} of {row.measured} designs and levels)"
            for row in measured if row.wide]  # fmt: skip
    if not measured:
        return ""
    against = "as wide as bootstrap intervals that were widened until 95 % contained the true value"
    if not wide:
        return f"None is more than {WIDEST:g} times {against}."
    return f"More than {WIDEST:g} times {against}: {', '.join(wide)}."
