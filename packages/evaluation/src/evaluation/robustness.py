"""A metric as a function of JPEG quality, and what remains of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .scores import sorted_qualities

__all__ = ["Ends", "area_over_log_rate", "ends", "retention"]


@dataclass(frozen=True, slots=True)
class Ends:
    """The highest and the lowest JPEG quality of a sweep; the paired `drop` is measured between them."""

    high: str
    low: str


def ends(qualities: Iterable[str]) -> Ends | None:
    """Return the ends of the numeric qualities (``raw`` is no JPEG quality), or None with fewer than two of them."""
    numeric = [quality for quality in sorted_qualities(qualities) if quality != "raw"]
    return Ends(numeric[0], numeric[-1]) if len(numeric) > 1 else None


def retention(auc: float, auc_raw: float) -> float:
    """Return (auc - .5) / (auc_raw - .5), the share of the separation that compression leaves.

    nan where the uncompressed AUC is at or below chance: there is nothing to retain.
    """
    return (auc - 0.5) / (auc_raw - 0.5) if auc_raw > 0.5 else float("nan")


def area_over_log_rate(bits_per_pixel: ArrayLike, values: ArrayLike) -> float:
    """Return the mean of *values* over the logarithm of the bit rate, by trapezia, in the unit of the values.

    Rates in any order. nan with fewer than two different rates, or where a value is nan.
    """
    rates, heights = np.asarray(bits_per_pixel, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if rates.shape != heights.shape or rates.ndim != 1:
        raise ValueError(f"need one value per rate, got {heights.shape} values and {rates.shape} rates")
    if (rates <= 0).any():
        raise ValueError(f"bit rates must be positive, got {rates.min()}")
    order = np.argsort(rates, kind="stable")
    x, y = np.log(rates[order]), heights[order]
    if len(x) < 2 or x[0] == x[-1]:
        return float("nan")
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))
