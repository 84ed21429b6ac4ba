"""How much of a batch fits into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import DetectorError

__all__ = ["fitting"]


def fitting(
    attempt: Callable[[int], None],
    size: int,
    say: Callable[[str], None],
    anywhere: Callable[[bool], bool] = bool,
) -> int:
    """Return *size*, or the first of its halves for which *attempt* does not run out of memory.

    The batch keeps its size: its parts are processed one after the other and their gradients are accumulated.
    Only batch normalisation sees the smaller parts. *anywhere* returns whether a flag is true in any process; all
    processes get the same answer. Raises DetectorError when not even a pair of crops fits.
    """
    whole = size
    while anywhere(_runs_out(attempt, size)):
        if size <= 2:
            raise DetectorError(
                "not even two crops fit into the memory of the GPU; take a smaller model or a smaller faces.size"
            )
        size //= 2
        size -= size % 2
    if size < whole:
        say(f"{whole} crops do not fit into the memory of the GPU: computing with {size} at a time")
    return size


def _runs_out(attempt: Callable[[int], None], size: int) -> bool:
    try:
        attempt(size)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return True
    return False
