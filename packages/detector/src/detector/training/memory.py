"""How much of a batch fits into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import DetectorError

__all__ = ["fitting"]


def fitting(attempt: Callable[[int], None], size: int, say: Callable[[str], None]) -> int:
    """Return *size*, or the first of its halves for which *attempt* does not run out of memory.

    The batch stays as large as it was asked for: its parts go through one after the other and their gradients add up.
    Only batch normalisation sees the smaller parts. Raises DetectorError when not even a pair of crops fits.
    """
    whole = size
    while True:
        try:
            attempt(size)
        except torch.OutOfMemoryError as error:
            if size <= 2:
                raise DetectorError(
                    "not even two crops fit into the memory of the GPU; take a smaller model or a smaller faces.size"
                ) from error
            size //= 2
            size -= size % 2
            torch.cuda.empty_cache()
        else:
            if size < whole:
                say(f"{whole} crops do not fit into the memory of the GPU: computing with {size} at a time")
            return size
