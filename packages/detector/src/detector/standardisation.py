"""Scores standardised by condition, for crops whose condition is known.

Compression shifts and scales the logits of real and fake crops alike, so one threshold does not fit all conditions.
Under each condition, the logits are brought to the mean and standard deviation that the real validation crops have over
all conditions of the model's card. This does not change the order of scores under one condition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .card import RealLogits
from .conditions import Condition
from .errors import ConfigError

__all__ = ["of_reals", "standardised"]


def of_reals(logits: NDArray[np.float64]) -> RealLogits | None:
    """Return mean and standard deviation of *logits* of real crops, (n,); None if they do not have two values."""
    if len(logits) < 2 or not np.std(logits):
        return None
    return RealLogits(math.fsum(logits) / len(logits), float(np.std(logits, ddof=1)), len(logits))


def standardised(
    logits: NDArray[np.float64], conditions: Sequence[Condition], reals: Mapping[str, RealLogits]
) -> NDArray[np.float64]:
    """Return *logits*, (n, C) under C *conditions*, standardised by *reals*.

    ConfigError names the conditions that *reals* does not have.
    """
    labels = [str(condition) for condition in conditions]
    if missing := [label for label in labels if label not in reals]:
        raise ConfigError(
            f"the weights have no logits of real crops under {', '.join(missing)} to standardise by, only under "
            f"{', '.join(reals) or 'no condition'}; list these conditions in train.conditions and train again"
        )
    mean = math.fsum(found.mean for found in reals.values()) / len(reals)
    std = math.sqrt(math.fsum(found.std**2 for found in reals.values()) / len(reals))
    means, stds = (np.array([getattr(reals[label], name) for label in labels]) for name in ("mean", "std"))
    return np.asarray((logits - means) / stds * std + mean)
