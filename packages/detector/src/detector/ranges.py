"""The range of inputs that weights were validated on, and which inputs lie outside.

Scale, sharpness and the share beyond the image's edge must lie within what the validation crops cover, with a margin;
the eyes must have been found in a way that occurs among the validation crops. The appearance
(`detector.data.appearance`) must be as close to theirs as that of left-out people: the limit is a quantile of the
distances of real crops from the crops of the other clusters. docs/results.md has the shares of photographs and of new
people that are outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from .schema import in_range

__all__ = ["Appearance", "Input", "Ranges", "Span", "distances", "measure", "outside"]

Floats = NDArray[np.float64]
SHRINKAGE = 0.7  # of the covariance towards its diagonal, after standardisation
LEVEL = 0.95  # quantile of the distances of left-out real crops that is the limit
MARGIN = 0.1  # of the width of a range, added on each side
BORDER_MARGIN = 0.01
DIGITS = 7


@dataclass(frozen=True, slots=True)
class Span:
    """A closed range."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Appearance:
    """The distribution of the appearance of validation crops.

    The distance of x is the norm of (x - mean) / deviation @ whitening. limit: the largest distance within the range.
    flagged: the share of real crops beyond it when their own cluster is left out. crops: how many there were, all
    conditions together.
    """

    mean: list[float]
    deviation: list[Annotated[float, in_range(above=0)]]
    whitening: list[list[float]]
    limit: float
    flagged: float
    crops: int


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges that the validation crops cover. scale and border are None where the crops' index does not have them.

    landmarks: the crops by how their eyes were found (``frame``, ``clip``, ``none``). appearance: None, with the
    `reason`, where the validation has fewer than two clusters.
    """

    scale: Span | None
    border: Span | None
    sharpness: Span
    landmarks: dict[str, int]
    appearance: Appearance | None
    reason: str


@dataclass(frozen=True, slots=True)
class Input:
    """The values compared with the ranges: properties of a face's crops, a mean or median over its frames.

    scale and border are None for images that are taken as crops, landmarks is empty for them.
    """

    scale: float | None
    border: float | None
    sharpness: float
    landmarks: str
    appearance: Floats


def measure(
    appearance: Floats,
    sharpness: Floats,
    real: NDArray[np.bool_],
    clusters: NDArray[np.integer],
    columns: Mapping[str, Sequence[float | str]],
) -> Ranges:
    """Return the ranges of validation crops.

    *appearance* (n, d) and *sharpness* (n,) are of crops under all conditions, *real* and *clusters* (n,) say which are
    real and which depend on each other. *columns* are those of the index that are known: scale, border, landmarks.
    """
    found, reason = None, ""
    names = np.unique(clusters)
    if len(names) < 2 or not real.any():
        reason = "the validation split does not have real crops and two independent groups"
    else:
        left_out = np.empty(len(appearance))
        for name in names:
            own = clusters == name
            left_out[own] = distances(appearance[own], *_fit(appearance[~own]))
        limit = _rounded(float(np.quantile(left_out[real], LEVEL, method="higher")))
        mean, deviation, whitening = (np.vectorize(_rounded)(values) for values in _fit(appearance))
        flagged = _rounded(float((left_out[real] > limit).mean()))
        found = Appearance(
            mean.tolist(), deviation.tolist(), whitening.tolist(), limit, flagged, len(appearance)
        )
    landmarks = [str(value) for value in columns.get("landmarks", ())]
    scale = columns.get("scale")
    border = columns.get("border")
    return Ranges(
        scale=_ratio(np.array(scale, np.float64)) if scale else None,
        border=Span(0.0, _rounded(max(float(value) for value in border) + BORDER_MARGIN)) if border else None,
        sharpness=_wide(sharpness),
        landmarks={name: landmarks.count(name) for name in sorted(set(landmarks))},
        appearance=found,
        reason=reason,
    )


def outside(ranges: Ranges, given: Input) -> list[str]:
    """Return the reasons, as text, why *given* is outside *ranges*; empty if it is within."""
    reasons = []
    scale, border, sharp = ranges.scale, ranges.border, ranges.sharpness
    if scale is not None and given.scale is not None and given.scale not in scale:
        covered = f"{scale.low:.2f} to {scale.high:.2f}"
        reasons.append(f"the face has {given.scale:.2f} image pixels per crop pixel, the validation {covered}")
    if border is not None and given.border is not None and given.border not in border:
        covered = f"at most {border.high:.1%}"
        reasons.append(f"{given.border:.1%} of the crop lie beyond the image, in the validation {covered}")
    if given.sharpness not in sharp:
        covered = f"{sharp.low:.1f} to {sharp.high:.1f}"
        reasons.append(f"the sharpness is {given.sharpness:.1f}, that of the validation {covered}")
    if ranges.landmarks and given.landmarks and given.landmarks not in ranges.landmarks:
        reasons.append(f"the eyes were found in another way than in the validation ({given.landmarks})")
    if ranges.appearance is not None:
        distance = distance_of(ranges.appearance, given.appearance)
        if distance > ranges.appearance.limit:
            reasons.append(
                f"the frequencies and colours are {distance:.1f} from those of the validation crops, the limit is "
                f"{ranges.appearance.limit:.1f}"
            )
    return reasons


def distance_of(found: Appearance, value: Floats) -> float:
    """Return the distance of one appearance from those of the validation crops."""
    parts = np.array(found.mean), np.array(found.deviation), np.array(found.whitening)
    return float(distances(value[None], *parts)[0])


def distances(values: Floats, mean: Floats, deviation: Floats, whitening: Floats) -> Floats:
    """Return the Mahalanobis distance of each row of *values*."""
    whitened = ((values - mean) / deviation) @ whitening
    return np.asarray(np.sqrt((whitened * whitened).sum(axis=1)))


def _fit(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, deviation, and the whitening matrix of the shrunk covariance of standardised *values*."""
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-6
    z = (values - mean) / deviation
    covariance = (1 - SHRINKAGE) * (z.T @ z) / max(1, len(z) - 1) + SHRINKAGE * np.eye(z.shape[1])
    return mean, deviation, np.asarray(np.linalg.cholesky(np.linalg.inv(covariance)))


def _wide(values: Floats) -> Span:
    margin = MARGIN * float(values.max() - values.min())
    return Span(_rounded(float(values.min()) - margin), _rounded(float(values.max()) + margin))


def _ratio(values: Floats) -> Span:
    return Span(_rounded(float(values.min()) / (1 + MARGIN)), _rounded(float(values.max()) * (1 + MARGIN)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value
