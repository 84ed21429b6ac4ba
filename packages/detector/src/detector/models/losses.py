"""Losses: cross entropy for every model, and the additional losses of the multi-attentional one.

They are computed in float32 whatever the precision of the model. `MultiAttention.objective` combines them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._precision import full_precision

__all__ = [
    "RegionalIndependenceLoss",
    "binary_cross_entropy",
    "match_loss",
    "moved_centers",
    "regional_independence_loss",
]

INNER_MARGINS = (0.05, 0.1)  # of real and fake images; these and the next: the paper's values
OUTER_MARGIN = 0.2
ALPHA, ALPHA_DECAY = 0.05, 0.9  # step of the moving centres, and its factor per epoch


def binary_cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean binary cross entropy of *logits* (N,) with *labels* (N,), 1 = fake.

    *label_smoothing* s moves the targets to s / 2 and 1 - s / 2.
    """
    targets = labels.float() * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits.float(), targets)


def moved_centers(centers: Tensor, region_features: Tensor, alpha: float) -> Tensor:
    """Return *centers* (M, C) moved by *alpha* towards the batch mean of *region_features* (N, M, C).

    The result carries the gradient of the mean.
    """
    return centers + alpha * (region_features.mean(0) - centers)


def regional_independence_loss(
    region_features: Tensor,
    centers: Tensor,
    labels: Tensor,
    alpha: float,
    inner_margins: Sequence[float] = INNER_MARGINS,
    outer_margin: float = OUTER_MARGIN,
) -> Tensor:
    """Return the regional independence loss (Zhao et al. 2021): regions stay near their centre, centres apart.

    *region_features* (N, M, C) have rows of length 1, *centers* (M, C), *labels* (N,) choose the inner margin. Inner
    term: the mean distance beyond ``inner_margins[label]``. Outer term: the sum over pairs of centres of how far they
    fall short of *outer_margin*, divided by M and by *alpha*, which cancels the factor alpha in the gradient through
    the centres.
    """
    margins = torch.where(labels[:, None] > 0.5, inner_margins[1], inner_margins[0])  # (N, 1)
    inner: Tensor = F.relu(torch.linalg.vector_norm(region_features - centers, dim=-1) - margins).mean()
    first, second = torch.triu_indices(len(centers), len(centers), 1, device=centers.device)
    apart = torch.linalg.vector_norm(centers[first] - centers[second], dim=-1)  # (M (M - 1) / 2,)
    between: Tensor = F.relu(outer_margin - apart).sum() / (len(centers) * alpha)
    return inner + between


def match_loss(region_features: Tensor, degraded: Tensor, index: Tensor) -> Tensor:
    """Return the mean distance, over N M regions, between the features before and after degradation of other regions.

    *region_features* of the images and of the *degraded* ones are (N, M, C), *index* (N,) is the map degraded in each
    image, which counts as 0 in the mean, as in the authors' code.
    """
    others = F.one_hot(index, region_features.shape[1]) == 0  # (N, M)
    distances: Tensor = torch.linalg.vector_norm(region_features - degraded, dim=-1)
    return (distances * others).mean()


class RegionalIndependenceLoss(nn.Module):
    """The regional independence loss with its ``feature_centers`` (M, C), a moving average that training updates."""

    feature_centers: Tensor

    def __init__(
        self,
        num_attentions: int,
        channels: int,
        inner_margins: Sequence[float] = INNER_MARGINS,
        outer_margin: float = OUTER_MARGIN,
        alpha: float = ALPHA,
        alpha_decay: float = ALPHA_DECAY,
    ) -> None:
        super().__init__()
        if not 0 < alpha <= 1 or not 0 < alpha_decay <= 1:
            raise ValueError(f"alpha and alpha_decay must be in (0, 1], got {alpha} and {alpha_decay}")
        self.inner_margins, self.outer_margin = tuple(inner_margins), outer_margin
        self.alpha, self.alpha_decay = alpha, alpha_decay
        self.register_buffer("feature_centers", torch.zeros(num_attentions, channels))

    def forward(self, region_features: Tensor, labels: Tensor, epoch: int = 0) -> Tensor:
        """Return the loss of *region_features* (N, M, C); in training mode the centres move first.

        *epoch* (from 0) sets how far: alpha * alpha_decay^epoch of the way to the batch's mean.
        """
        alpha = self.alpha * self.alpha_decay**epoch
        with full_precision(region_features):
            region_features = region_features.float()
            centers = self.feature_centers
            if self.training:
                centers = moved_centers(centers, region_features, alpha)
                self.feature_centers.copy_(centers.detach())
            return regional_independence_loss(
                region_features, centers, labels, alpha, self.inner_margins, self.outer_margin
            )
