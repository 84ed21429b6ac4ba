"""Summaries of a metric as a function of the condition: its mean over the logarithm of the bit rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["area_over_log_rate", "log_rate_weights"]


def log_rate_weights(bits_per_pixel: ArrayLike) -> NDArray[np.float64]:
    """Return the weights of a mean over the logarithm of the bit rate by trapezoids, in the order given; they sum to 1.

    nan with fewer than two different rates.
    """
    rates = np.asarray(bits_per_pixel, dtype=np.float64)
    if rates.ndim != 1:
        raise ValueError(f"bit rates must be a list, got {rates.ndim} dimensions")
    if (rates <= 0).any():
        raise ValueError(f"bit rates must be positive, got {rates.min()}")
    if len(np.unique(rates)) < 2:
        return np.full(len(rates), np.nan)
    order = np.argsort(rates, kind="stable")
    steps = np.diff(np.log(rates[order]))
    weights = np.zeros(len(rates))
    weights[order[:-1]] += steps / 2
    weights[order[1:]] += steps / 2
    found: NDArray[np.float64] = weights / steps.sum()
    return found


def area_over_log_rate(bits_per_pixel: ArrayLike, values: ArrayLike) -> float:
    """Return the mean of *values* over the logarithm of the bit rate, by trapezoids, in the unit of the values. Rates
    may be in any order. nan with fewer than two different rates, or where a value is nan.
    """
    rates, heights = np.asarray(bits_per_pixel, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if rates.shape != heights.shape or rates.ndim != 1:
        raise ValueError(f"need one value per rate, got {heights.shape} values and {rates.shape} rates")
    return float(log_rate_weights(rates) @ heights)
