"""The results within the groups that the other columns of a table name, such as its modality or its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .clusters import UNIT_NAMES, cluster
from .jackknife import Sample
from .printed import number_with
from .scores import Scores
from .wilson import Range, of_share

__all__ = ["Stratum", "strata"]

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Stratum:
    """The frame-level results of the rows with one value of a column, in one condition; rates are at .5.

    `reason` says why the AUC or its interval is undefined.
    """

    column: str
    value: str
    condition: str
    n_real: int
    n_fake: int
    auc: float
    auc_lo: float
    auc_hi: float
    sensitivity: float
    sensitivity_lo: float
    sensitivity_hi: float
    specificity: float
    specificity_lo: float
    specificity_hi: float
    unit: str
    reason: str = ""

    def texts(self) -> list[str]:
        """Return AUC, sensitivity and specificity, each with its interval or the reason why it has none."""
        unit = UNIT_NAMES[self.unit]
        lacking = [f"fewer than two {unit} with {name} samples" if n else f"no {name} samples"
                   for name, n in (("fake", self.n_fake), ("real", self.n_real))]  # fmt: skip
        return [
            number_with(self.auc, self.auc_lo, self.auc_hi, reason=self.reason),
            number_with(self.sensitivity, self.sensitivity_lo, self.sensitivity_hi, reason=lacking[0]),
            number_with(self.specificity, self.specificity_lo, self.specificity_hi, reason=lacking[1]),
        ]


def strata(test: Scores, confidence: float = 0.95) -> list[Stratum]:
    """Return the results for every column in `Scores.strata` with at least two values, value and condition."""
    columns = {name: values for name, values in test.strata.items() if values.num() > 1}
    if not columns or not len(test):
        return []
    clusters = cluster(test)
    found: list[Stratum] = []
    for column, values in columns.items():
        order = np.argsort(values.codes, kind="stable")
        ends = np.cumsum(values.numbers())
        for code in np.flatnonzero(values.numbers()).tolist():
            rows = order[ends[code] - values.numbers()[code] : ends[code]]
            here = test[rows]
            for condition in here.conditions:
                chosen = rows[here.condition == condition]
                sample = Sample.of(test.label[chosen], test.score[chosen], clusters[chosen])
                auc, tpr, tnr = _ranges(sample, confidence)
                reason = sample.lacking.replace("clusters", UNIT_NAMES[clusters.unit])
                found.append(
                    Stratum(
                        column, str(values.names[code]), condition, len(sample.real), len(sample.fake),
                        auc.value, auc.lo, auc.hi, tpr.value, tpr.lo, tpr.hi, tnr.value, tnr.lo, tnr.hi,
                        clusters.unit, reason,
                    )
                )
    return found


def _ranges(sample: Sample, confidence: float) -> tuple[Range, Range, Range]:
    """Return AUC, sensitivity and specificity."""
    rates = sample.rates(THRESHOLD)
    return of_share(sample.auc(), confidence), of_share(rates.tpr, confidence), of_share(rates.tnr, confidence)
