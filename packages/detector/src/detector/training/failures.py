"""What ends a training and the user can mend, told as such: no memory, or numbers that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DetectorError

__all__ = ["diverged", "explained"]

ALLOCATORS = ("DefaultCPUAllocator", "not enough memory", "out of memory")  # of torch, on a CPU and in its libraries
ASSERTION = "device-side assert"  # how a CUDA device, later, tells of a number that the guard refused


@contextmanager
def explained(amp: str) -> Iterator[None]:
    """Raise DetectorError with the way out where memory runs out or a CUDA device refuses a number; else nothing.

    *amp* is the precision computed in.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in ALLOCATORS):
            reason = text.splitlines()[0] if text else type(error).__name__
            raise DetectorError(
                f"out of memory: {reason}. Give train.micro_batch a smaller number (the batch stays the same, its "
                "parts go through one after the other), or take a smaller model or faces.size. Checkpoints are kept"
            ) from error
        if ASSERTION in text:
            raise DetectorError(diverged("the loss or its gradient", amp)) from error
        raise


def diverged(what: str, amp: str, where: str = "") -> str:
    """Return the advice for a run in which *what* stopped being a number; *where* is the step."""
    precision = "" if amp == "off" else f", or compute in fp32 (train.amp: off, now {amp})"
    return (
        f"{what} is not a number{where}; lower train.lr or train.max_norm{precision}. "
        "The checkpoints from before are kept, and a new run with other parameters starts at step 0"
    )
