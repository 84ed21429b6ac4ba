"""Means of clustered values, such as the PSNR of faces: a t interval over the clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .clusters import Clusters
from .jackknife import Estimate, jackknife
from .wilson import Range, of_mean

__all__ = ["mean"]


def mean(values: ArrayLike, clusters: Clusters, confidence: float = 0.95) -> Range:
    """Return the mean of one finite value per row of *clusters*, with its interval by t and the clusters' skewness.

    No interval with fewer than two clusters.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) != len(clusters):
        raise ValueError(f"need one value for each of {len(clusters)} rows, got {len(x)}")
    if len(x) == 0:
        return Range(np.nan, np.nan, np.nan, "no values")
    rows, column = np.nonzero(clusters.code >= 0)
    code = clusters.code[rows, column]
    number = len(clusters.weight)
    size = np.bincount(code, minlength=number).astype(np.float64)
    sums = np.bincount(code, weights=x[rows], minlength=number)
    present = int(np.sum((size > 0) & (clusters.weight > 0)))
    value = float(x.mean())
    if present < 2:
        return Range(value, np.nan, np.nan, "fewer than two clusters")
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = (x.sum() - sums) / (len(x) - size)
    found: Estimate = jackknife(value, left_out, size, len(x), clusters.weight, present)
    return of_mean(found, confidence)
