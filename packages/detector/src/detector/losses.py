"""Losses, and the objectives that training minimises.

An objective is called with the model and a batch and returns the loss with its named parts; plain detectors and the
multi-attentional one are trained by the same loop. Losses are float32 whatever the precision of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .agda import AGDA

__all__ = [
    "MultiAttentionObjective",
    "Objective",
    "RegionalIndependenceLoss",
    "binary_cross_entropy",
    "class_weights",
    "focal_loss",
    "match_loss",
    "moved_centers",
    "objective_for",
    "regional_independence_loss",
]

INNER_MARGINS = (0.05, 0.1)  # of real and fake images; these and the next: the paper's values
OUTER_MARGIN = 0.2
ALPHA, ALPHA_DECAY = 0.05, 0.9  # step of the moving centres, and its factor per epoch


def binary_cross_entropy(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Return the mean binary cross entropy of *logits* (N,) with *labels* (N,), 1 = fake.

    *label_smoothing* s moves the targets to s / 2 and 1 - s / 2. *weights* (N,) multiply each image's loss.
    """
    targets = labels.float() * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits.float(), targets, weight=weights)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """Return the mean of (1 - p)^gamma * -log p, p the probability given to the true class (Lin et al. 2017, eq. 4)."""
    losses = F.binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    losses = (1 - torch.exp(-losses)) ** gamma * losses
    return losses.mean() if weights is None else (losses * weights).mean()


def class_weights(num_real: int, num_fake: int) -> tuple[float, float]:
    """Return the weights of a real and a fake image that make both classes count the same; their mean over all is 1.

    ValueError if a class is empty.
    """
    if num_real < 1 or num_fake < 1:
        raise ValueError(f"both classes are needed, got {num_real} real and {num_fake} fake images")
    total = num_real + num_fake
    return total / (2 * num_real), total / (2 * num_fake)


def moved_centers(centers: Tensor, region_features: Tensor, alpha: float) -> Tensor:
    """Return *centers* (M, C) moved by *alpha* towards the batch mean of *region_features* (N, M, C).

    The result carries the gradient of the mean. Under DDP its value is that of the mean over all ranks.
    """
    mean = region_features.mean(0)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        everywhere = mean.detach().clone()
        torch.distributed.all_reduce(everywhere)
        mean = mean + (everywhere / torch.distributed.get_world_size() - mean.detach())
    return centers + alpha * (mean - centers)


def regional_independence_loss(
    region_features: Tensor,
    centers: Tensor,
    labels: Tensor,
    alpha: float,
    inner_margins: Sequence[float] = INNER_MARGINS,
    outer_margin: float = OUTER_MARGIN,
) -> Tensor:
    """Return the regional independence loss (Zhao et al. 2021, eq. 3): regions stay near their centre, centres apart.

    *region_features* (N, M, C) have rows of length 1, *centers* (M, C), *labels* (N,) choose the inner margin. Inside:
    the mean distance beyond ``inner_margins[label]``. Between: the sum over pairs of centres of what they lack of
    *outer_margin*, divided by M and by *alpha*, which undoes the alpha on the way of the gradient through the centres.
    """
    margins = torch.where(labels[:, None] > 0.5, inner_margins[1], inner_margins[0])  # (N, 1)
    inner: Tensor = F.relu(torch.linalg.vector_norm(region_features - centers, dim=-1) - margins).mean()
    first, second = torch.triu_indices(len(centers), len(centers), 1, device=centers.device)
    apart = torch.linalg.vector_norm(centers[first] - centers[second], dim=-1)  # (M (M - 1) / 2,)
    between: Tensor = F.relu(outer_margin - apart).sum() / len(centers) / alpha
    return inner + between


def match_loss(region_features: Tensor, degraded: Tensor, index: Tensor) -> Tensor:
    """Return how far the regions that were not degraded moved: their mean distance between the two pictures.

    *region_features* of the pictures and of the *degraded* ones are (N, M, C), *index* (N,) the map degraded in each.
    """
    others = F.one_hot(index, region_features.shape[1]) == 0  # (N, M)
    distances = torch.linalg.vector_norm(region_features - degraded, dim=-1)
    return (distances * others).sum() / others.sum().clamp_min(1)


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

    def forward(self, region_features: Tensor, labels: Tensor, epoch: float = 0.0) -> Tensor:
        """Return the loss of *region_features* (N, M, C); in training mode the centres move first.

        *epoch* counts the passes over the data so far; its whole part decays alpha.
        """
        alpha = self.alpha * self.alpha_decay ** int(epoch)
        with torch.autocast(region_features.device.type, enabled=False):
            region_features = region_features.float()
            centers = self.feature_centers
            if self.training:
                centers = moved_centers(centers, region_features, alpha)
                self.feature_centers.copy_(centers.detach())
            return regional_independence_loss(
                region_features, centers, labels, alpha, self.inner_margins, self.outer_margin
            )


class Objective(nn.Module):
    """The binary cross entropy of a detector, with smoothed labels and weights for the two classes.

    *weights* are those of a real and a fake image. *gamma* above 0 makes it the focal loss, which takes hard labels.
    """

    def __init__(
        self, label_smoothing: float = 0.0, weights: tuple[float, float] = (1.0, 1.0), gamma: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        if gamma < 0 or (gamma > 0 and label_smoothing > 0):
            raise ValueError(f"gamma must be 0 or more, and 0 with label_smoothing; got {gamma} and {label_smoothing}")
        self.label_smoothing, self.weights, self.gamma = label_smoothing, weights, gamma

    def classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of *logits* (N,) alone."""
        weights = None
        if self.weights != (1.0, 1.0):
            weights = torch.where(labels > 0.5, self.weights[1], self.weights[0])
        if self.gamma:
            return focal_loss(logits, labels, self.gamma, weights)
        return binary_cross_entropy(logits, labels, self.label_smoothing, weights)

    def forward(
        self,
        model: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        epoch: float = 0.0,  # noqa: ARG002 (other objectives have a schedule)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its named parts, detached, of a batch: *images* (N, 3, H, W) in [0, 1], *labels* (N,)."""
        loss = self.classification(model(images), labels)
        return loss, {"cross_entropy": loss.detach()}


class MultiAttentionObjective(Objective):
    """What trains the multi-attentional detector: cross entropy, regional independence, and both under AGDA.

    Loss = CE(images) + *independence* * RIL + *agda* * CE(degraded images) + *match* * match_loss. The degraded images
    are the batch with one attended region of each made worse (`detector.agda`); their terms, and with them the second
    pass through the model, come in from epoch *agda_from* on, and never if *agda* is 0. The defaults are the paper's.
    The state dict holds the feature centres and belongs into a checkpoint.
    """

    def __init__(
        self,
        num_attentions: int,
        channels: int,
        *,
        independence: float = 0.5,
        agda: float = 1.0,
        match: float = 0.1,
        agda_from: float = 0.0,
        augmentation: AGDA | None = None,
        label_smoothing: float = 0.0,
        weights: tuple[float, float] = (1.0, 1.0),
        gamma: float = 0.0,
    ) -> None:
        super().__init__(label_smoothing, weights, gamma)
        for name, value in (("independence", independence), ("agda", agda), ("match", match)):
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        self.independence_weight, self.agda_weight, self.match_weight = independence, agda, match
        self.agda_from = agda_from
        self.augmentation = augmentation or AGDA()
        self.independence = RegionalIndependenceLoss(num_attentions, channels)

    def forward(
        self, model: Callable[..., Any], images: Tensor, labels: Tensor, epoch: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its named parts, detached. In eval mode there is no AGDA and the centres stay."""
        logits, extras = model(images, return_extras=True)
        terms = {
            "cross_entropy": self.classification(logits, labels),
            "independence": self.independence(extras["region_features"], labels, epoch),
        }
        loss = terms["cross_entropy"] + self.independence_weight * terms["independence"]
        if self.training and self.agda_weight > 0 and epoch >= self.agda_from:
            degraded, index = self.augmentation(images, extras["attention_maps"])
            logits, again = model(degraded, return_extras=True)
            terms["agda"] = self.classification(logits, labels)
            terms["match"] = match_loss(extras["region_features"], again["region_features"], index)
            loss = loss + self.agda_weight * terms["agda"] + self.match_weight * terms["match"]
        return loss, {name: term.detach() for name, term in terms.items()}


def objective_for(model: nn.Module, **options: object) -> Objective:
    """Return the objective that trains *model*: `MultiAttentionObjective` for a multi-attentional detector, else
    `Objective`. *options* are the constructor's."""
    from .models.multi_attention import MultiAttention

    if isinstance(model, MultiAttention):
        return MultiAttentionObjective(model.num_attentions, model.texture_channels, **options)  # type: ignore[arg-type]
    return Objective(**options)  # type: ignore[arg-type]
