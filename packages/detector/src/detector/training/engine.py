"""Parts of a training step: the loss, the moving average of the weights, random generators, the finiteness check."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..loading.draws import key
from ..models.losses import binary_cross_entropy
from .schedule import ema_decay

__all__ = ["Ema", "Objective", "check_finite", "reseed"]


class Objective(nn.Module):
    """A model and its loss as one module, so that a single forward pass (of DistributedDataParallel too) gives it.

    The loss is the binary cross-entropy of the logits with label smoothing: targets are s/2 and 1 - s/2 (s =
    *label_smoothing*). A model with additional losses has a method ``objective(images, labels,
    label_smoothing, step) -> loss``.
    """

    def __init__(self, model: nn.Module, label_smoothing: float):
        super().__init__()
        self.model, self.label_smoothing = model, label_smoothing

    def forward(self, images: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the loss of *images* (N, 3, H, W) with *labels* (N,), 1 = fake, at *step*."""
        if hasattr(self.model, "objective"):
            loss: Tensor = self.model.objective(images, labels, self.label_smoothing, step)  # type: ignore[operator]
            return loss
        return binary_cross_entropy(self.model(images), labels, self.label_smoothing)


class Ema:
    """The exponential moving average of a model's weights and buffers, as a model in evaluation mode."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        state, average = model.state_dict(), self.model.state_dict()
        floating = [name for name in state if state[name].is_floating_point()]
        self._current = [state[name] for name in floating]  # state_dict's tensors are the model's own
        self._average = [average[name] for name in floating]
        self._others = [(average[name], state[name]) for name in state if name not in set(floating)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the weights after *step* (from 0); BN's counts of batches are copied."""
        torch._foreach_lerp_(self._average, self._current, 1 - ema_decay(step, self.decay))
        for average, current in self._others:
            average.copy_(current)


def reseed(device: torch.device, *parts: int) -> None:
    """Seed the random generators used by dropout as a function of *parts*.

    The generators are seeded directly: torch.manual_seed visits every backend, at 100 times the cost.
    """
    seed = key(*parts)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


def check_finite(loss: Tensor) -> bool:
    """Return whether *loss* is finite. On a CUDA device the result is always True and the device itself asserts:
    reading the value would synchronise host and device at every step."""
    if loss.is_cuda:
        torch._assert_async(torch.isfinite(loss).all())
        return True
    return bool(torch.isfinite(loss))
