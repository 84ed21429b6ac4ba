"""What others reported on FaceForensics++, as constants with their source, and gains computed from one row.

Frame-level AUC. DeepfakeBench's numbers are each the mean of the three best test evaluations of one training, without
intervals; users' reruns differ from them by several points in both directions. None is given per JPEG quality, so there
is no published robustness curve to compare with. They are shown only next to results on FaceForensics++.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BASELINES", "COLUMNS", "MEAN_OVER", "SOURCES", "Baseline", "Gain", "gain", "gains", "mean_over"]

COLUMNS = ("FF-c23", "FF-c40", "FF-DF", "FF-F2F", "FF-FS", "FF-NT")
MEAN_OVER = ("FF-DF", "FF-F2F", "FF-FS", "FF-NT")          # the column set of every mean shown
METHOD_COLUMNS = {"Deepfakes": "FF-DF", "Face2Face": "FF-F2F", "FaceSwap": "FF-FS", "NeuralTextures": "FF-NT"}

SOURCES = {
    "DeepfakeBench": "Yan et al., DeepfakeBench, NeurIPS 2023 Datasets and Benchmarks; table of the repository "
    "SCLBD/DeepfakeBench at 8a4a7bf (2025-06-09): mean of the best three test evaluations",
    "report": "table 1 of the paper that this project is based on: EfficientNet-B4 trained with more frames per second",
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """A row of the literature: frame AUC by column, missing ones left out."""

    model: str
    source: str
    auc: Mapping[str, float]


def _baseline(model: str, source: str, *values: float | None) -> Baseline:
    pairs = zip(COLUMNS, values, strict=True)
    return Baseline(model, source, {column: value for column, value in pairs if value is not None})


BASELINES = (
    _baseline("Meso4", "DeepfakeBench", 0.6077, 0.5920, 0.6771, 0.6170, 0.5946, 0.5701),
    _baseline("MesoInception4", "DeepfakeBench", 0.7583, 0.7278, 0.8542, 0.8087, 0.7421, 0.6517),
    _baseline("Xception", "DeepfakeBench", 0.9637, 0.8261, 0.9799, 0.9785, 0.9833, 0.9385),
    _baseline("EfficientNet-B4", "DeepfakeBench", 0.9567, 0.8150, 0.9757, 0.9758, 0.9797, 0.9308),
    _baseline("UCF", "DeepfakeBench", 0.9705, 0.8399, 0.9883, 0.9840, 0.9896, 0.9441),
    _baseline("EfficientNet-B4*", "report", None, None, 0.9806, 0.9870, 0.9708, 0.9531),
)


@dataclass(frozen=True, slots=True)
class Gain:
    """Ours minus theirs: in points (hundredths of AUC), and relative to theirs in per cent."""

    points: float
    relative: float


def mean_over(auc: Mapping[str, float], columns: Sequence[str] = MEAN_OVER) -> float:
    """Return the mean of *auc* over *columns*; nan if one of them is missing, because means over different columns are
    not comparable."""
    values = [auc.get(column, math.nan) for column in columns]
    return sum(values) / len(values) if values else math.nan


def gain(ours: float, theirs: float) -> Gain:
    """Return the gain of *ours* over *theirs*, both AUCs in 0..1."""
    return Gain(100 * (ours - theirs), 100 * (ours - theirs) / theirs)


def gains(
    ours: Mapping[str, float], theirs: Mapping[str, float], columns: Sequence[str] = COLUMNS
) -> dict[str, Gain]:
    """Return the gain in each of *columns* that both rows have, and in ``mean`` over the shared ones of `MEAN_OVER`.

    A column that one row lacks is left out of both sides of the mean.
    """
    shared = [c for c in columns if not math.isnan(ours.get(c, math.nan) + theirs.get(c, math.nan))]
    found = {column: gain(ours[column], theirs[column]) for column in shared}
    counted = [column for column in shared if column in MEAN_OVER]
    if counted:
        found["mean"] = gain(mean_over(ours, counted), mean_over(theirs, counted))
    return found
