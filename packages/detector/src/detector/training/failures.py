"""Failures of a training run that the user can fix: out of memory, non-finite losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DetectorError

__all__ = ["diverged", "explained"]

ALLOCATORS = ("DefaultCPUAllocator", "not enough memory", "out of memory")  # of torch, on a CPU and in its libraries
ASSERTION = "device-side assert"  # how a CUDA device reports, asynchronously, that the check failed


@contextmanager
def explained(amp: str) -> Iterator[None]:
    """Turn out-of-memory errors and failed checks for non-finite values into DetectorError with a remedy.

    *amp* is the numerical precision of the run.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in ALLOCATORS):
            reason = text.splitlines()[0] if text else type(error).__name__
            raise DetectorError(
                f"out of memory: {reason}. Lower train.micro_batch (the batch stays the same, its parts are processed "
                "one after the other), or take a smaller model or faces.size. Checkpoints are kept"
            ) from error
        if ASSERTION in text:
            raise DetectorError(diverged("the loss or its gradient", amp)) from error
        raise


def diverged(what: str, amp: str, where: str = "") -> str:
    """Return the message for a run in which *what* became non-finite; *where* names the step."""
    precision = "" if amp == "off" else f", or compute in fp32 (train.amp: off, now {amp})"
    return (
        f"{what} is not a number{where}; lower train.lr or train.max_norm{precision}. "
        "The checkpoints from before are kept, and a new run with other parameters starts at step 0"
    )
