"""float32 inside half precision, for sums that half precision would lose or overflow."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["full_precision"]


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast on the device of *like*; values still have to be made float32 on entering."""
    if not torch.amp.is_autocast_available(like.device.type):  # on meta, where models are only measured
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)
