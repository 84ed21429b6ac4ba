"""The win counts behind a history matrix: every set of real faces against every set of fakes, by cluster.

A win is a fake that scores above a real face. Its counts by cluster are all that an AUC and its values without each
cluster need, so each cell, its interval and every figure made of several cells come from one array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .jackknife import Estimate, Floats, Sample, Side, win_counts

__all__ = ["Wins"]


@dataclass(frozen=True, slots=True)
class Wins:
    """`count` (R, F, 3, C): `jackknife.win_counts` of each set of reals against each set of fakes, nan where empty."""

    real: list[Side]
    fake: list[Side]
    count: Floats

    @classmethod
    def of(cls, real: Sequence[Side], fake: Sequence[Side]) -> Wins:
        """Count the wins of every pair of sides, which must number their clusters in the same way."""
        clusters = len(real[0].weight) if real else 0
        count = np.full((len(real), len(fake), 3, clusters), np.nan)
        for row, of_real in zip(count, real, strict=True):
            for cell, of_fake in zip(row, fake, strict=True):
                if len(of_real) and len(of_fake) and of_real.valid and of_fake.valid:
                    cell[:] = win_counts(of_real, of_fake)
        return cls(list(real), list(fake), count)

    def auc(self, real: int, fake: int) -> Estimate:
        """Return the AUC of one set of reals against one of fakes."""
        sample = Sample(self.real[real], self.fake[fake])
        counts = self.count[real, fake]
        return sample.auc() if np.isnan(counts).any() else sample.auc_from(counts)
