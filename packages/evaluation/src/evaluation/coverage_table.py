"""Written by ``make coverage``: shares of simulated 95 % intervals that contain the true value, by metric and pairs."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROWS", "Row"]


class Row(NamedTuple):
    """The lowest and highest share over the designs with `pairs` (least, most) pairs of people."""

    metric: str
    pairs: tuple[int, int]
    lowest: float
    highest: float


ROWS: tuple[Row, ...] = (
)
