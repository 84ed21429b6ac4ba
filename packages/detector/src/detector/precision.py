"""Autocast and loss scaling as one object, a no-op in fp32."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from evaluation.values import shown

from .errors import ConfigError

__all__ = ["Precision"]

DTYPES = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast and loss scaling for ``amp`` "off", "bf16", "fp16" or "auto".

    "auto" is bf16 on a CUDA device that supports it in hardware and off elsewhere: on a CPU bf16 makes EfficientNets
    train slower than fp32, and small models at most 1.2 times faster. Only fp16 scales the loss.
    """

    def __init__(self, amp: str, device: torch.device):
        if amp == "auto":
            amp = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "off"
        if amp not in DTYPES:
            raise ConfigError(f"train.amp must be one of auto, {', '.join(DTYPES)}, got {shown(amp)}")
        self.amp, self.device = amp, device
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for a forward pass and its loss."""
        return torch.autocast(self.device.type, DTYPES[self.amp], enabled=self.amp != "off")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of *loss*, scaled if necessary."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def clip(self, optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], max_norm: float) -> Tensor:
        """Unscale the gradients, clip them to *max_norm* and return their norm before clipping."""
        self.scaler.unscale_(optimizer)
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Perform a step of *optimizer*; with fp16, after an overflow, skip it and halve the scale."""
        self.scaler.step(optimizer)
        self.scaler.update()
