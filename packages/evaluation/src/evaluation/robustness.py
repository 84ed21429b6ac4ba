"""Summaries of a metric as a function of the condition: retention, area over the bit rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["area_over_log_rate", "retention"]


def retention(auc: float, auc_raw: float) -> float:
    """Return (auc - .5) / (auc_raw - .5): how much of the AUC's distance from chance is left after compression.

    nan where the AUC of uncompressed faces is at most .5.
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
