"""Conditions as augmentation: some crops of a batch go through a random condition, in the loader's threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..conditions import parse_all
from ..config import AugmentConfig
from .augment import CONDITION, RECOMPRESS, SLOTS
from .draws import uniform

__all__ = ["Recompress"]


class Recompress:
    """With probability ``config.recompress``, puts a crop through a condition drawn from ``config.conditions``."""

    def __init__(self, config: AugmentConfig, seed: int, threads: int = 1):
        self.config, self.seed, self.threads = config, seed, threads
        self.conditions = parse_all(config.conditions)

    def __call__(self, step: int, ids: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Change *images* (N, H, W, 3) in place, as determined by the draws of the crops *ids* at *step*."""
        draws = uniform(self.seed, step, ids, SLOTS)
        chosen = np.flatnonzero(draws[:, RECOMPRESS] < self.config.recompress).tolist()

        def change(i: int) -> None:
            condition = self.conditions[int(draws[i, CONDITION] * len(self.conditions))]
            images[i] = condition.apply(images[i])

        if self.threads == 1:
            for i in chosen:
                change(i)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(change, chosen))
