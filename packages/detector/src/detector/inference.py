"""P(fake) of batches of images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .loading.augment import to_float
from .precision import Precision

__all__ = ["predict", "score_conditions"]


@torch.inference_mode()
def predict(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return P(fake) of every image of *batches*, uint8 (N, H, W, 3) each. The model must be in evaluation mode."""
    scores = []
    for images in batches:
        with precision.autocast():
            logits = model(to_float(images.to(device, non_blocking=True)))
        scores.append(torch.sigmoid(logits.double()).cpu().numpy())
    return np.concatenate(scores) if scores else np.empty(0)


def score_conditions(
    model: nn.Module, batches: Iterable[NDArray[np.uint8]], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return P(fake), (n, C), of crops under C conditions; *batches*, uint8 (N, C, H, W, 3), are `conditioned`'s."""

    def scored(images: NDArray[np.uint8]) -> NDArray[np.float64]:  # (N, H, W, 3) -> (N,)
        return predict(model, [torch.from_numpy(images)], device, precision)

    return np.concatenate([np.stack([scored(batch[:, c]) for c in range(batch.shape[1])], 1) for batch in batches])
