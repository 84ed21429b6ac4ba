"""The assignment of identity pairs to train, val and test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SPLIT = 3  # purpose of the random stream
# Of 38 pairs. The test split is large because intervals from few pairs are too wide to be useful.
SHARES = {"train": 22, "val": 4, "test": 12}

Pair = tuple[str, str]


def split_pairs(seed: int, pairs: int, numbers: Mapping[str, int] | None = None) -> dict[str, list[Pair]]:
    """Return the pairs of every split, as FaceForensics++ lists them: ``{"train": [("070", "071"), ...], ...}``.

    Identities 2i and 2i + 1 are pair i. *numbers* are the pairs by split, *pairs* in all; by default every split gets
    at least one of the *pairs* (three or more).
    """
    order = np.random.default_rng([seed, SPLIT]).permutation(pairs).tolist()
    if numbers is None:
        val, test = (max(1, round(pairs * SHARES[split] / sum(SHARES.values()))) for split in ("val", "test"))
    else:
        val, test = (numbers.get(split, 0) for split in ("val", "test"))
    parts = {"train": order[test + val :], "val": order[test : test + val], "test": order[:test]}
    return {split: [(f"{2 * i:03d}", f"{2 * i + 1:03d}") for i in part] for split, part in parts.items()}
