"""Random numbers that are functions of their keys: splitmix64 (Steele, Lea and Flood, 2014) over whole arrays.

The state of a sequential generator would have to be saved, and its numbers would depend on the number of threads. Here
(seed, step, crop, slot) determines the number, in any order and in any process.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["key", "uniform"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, the increment of splitmix64
UINT64 = (1 << 64) - 1


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the output of splitmix64 for each *state*; wraps around modulo 2^64."""
    with np.errstate(over="ignore"):
        z = state + GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def key(*parts: int) -> int:
    """Return 64 bits that depend on every integer of *parts* and on their order."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        state = splitmix64(state ^ np.uint64(part & UINT64))
    return int(state[0])


def uniform(seed: int, step: int, ids: ArrayLike, slots: int) -> NDArray[np.float64]:
    """Return draws in [0, 1), (len(ids), slots): row i belongs to crop ``ids[i]`` at *step*, column j to use j.

    A crop's row does not depend on the other crops, nor a column on how many there are.
    """
    rows = splitmix64(np.uint64(key(seed, step)) ^ np.asarray(ids).astype(np.uint64))  # (N,)
    table = splitmix64(rows[:, None] ^ splitmix64(np.arange(slots, dtype=np.uint64))[None, :])  # (N, slots)
    return (table >> np.uint64(11)).astype(np.float64) * 2.0**-53
