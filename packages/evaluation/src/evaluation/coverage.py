"""How often the intervals contained the true value in the simulation of `make coverage` (docs/results.md)."""

from __future__ import annotations

from collections.abc import Sequence

from .coverage_table import ROWS, Row

__all__ = ["ROWS", "Row", "found", "sentence"]


def found(metric: str, pairs: int) -> Row | None:
    """Return the row of *metric* for the designs with the most pairs that are not more than *pairs*, or None."""
    rows = [row for row in ROWS if row.metric == metric and row.pairs[0] <= pairs]
    return max(rows, key=lambda row: row.pairs) if rows else None


def sentence(pairs: int, metrics: Sequence[str] = (), confidence: float = 0.95) -> str:
    """Return how far the intervals of *metrics* (by default all) are off in simulations with about as many pairs."""
    names = metrics or list(dict.fromkeys(row.metric for row in ROWS))
    rows = [row for name in names if (row := found(name, pairs))]
    if not rows or confidence != 0.95:
        return ""
    low, high = min(row.pairs[0] for row in rows), max(row.pairs[1] for row in rows)
    parts = [f"{row.metric} {100 * row.lowest:.1f} to {100 * row.highest:.1f}" for row in rows]
    designs = f"{low} pairs" if low == high else f"{low} to {high} pairs"
    return (
        f"How many of 100 intervals of 95 % contained the true value in simulations with {designs}, lowest and highest "
        f"over the designs: {', '.join(parts)}. More than 95: the interval is wider than needed."
    )
