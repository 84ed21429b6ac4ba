"""Averages over areas as matrix products: the values of adaptive average pooling, with a deterministic gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from ._precision import full_precision

__all__ = ["area_average", "area_matrix"]


def area_average(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Return *x* (N, C, H, W) averaged to *size* in float32: ``F.adaptive_avg_pool2d`` as two matrix products.

    Adaptive pooling has no deterministic backward pass on CUDA; this has. A side that already has its size is not
    changed; if there are fewer values than cells, they are repeated.
    """
    with full_precision(x):
        x = x.float()
        if x.shape[-2] != size[0]:
            x = area_matrix(x.shape[-2], size[0], x) @ x
        if x.shape[-1] != size[1]:
            x = x @ area_matrix(x.shape[-1], size[1], x).T
        return x


def area_matrix(size: int, cells: int, like: Tensor) -> Tensor:
    """Return the float32 matrix (cells, size) whose row i averages the values floor(i size / cells) and on, up to but
    not including ceil((i + 1) size / cells). It is made on the device of *like*: nothing waits for a copy."""
    cell = torch.arange(cells, device=like.device)[:, None]
    value = torch.arange(size, device=like.device)[None]
    inside = ((value * cells + cells > cell * size) & (value * cells < (cell + 1) * size)).float()
    return inside / inside.sum(1, keepdim=True)
