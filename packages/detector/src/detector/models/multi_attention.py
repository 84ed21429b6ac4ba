"""The multi-attentional detector (Zhao et al., Multi-attentional Deepfake Detection, CVPR 2021, arXiv 2103.02406).

Features are taken from an EfficientNet at three depths. The semantic features give M attention maps, the shallow ones
enhanced textures; the textures are pooled under each map (bilinear attention pooling), the deepest features under all
of them, and the classifier uses both. In the paper: EfficientNet-B4 at 380 x 380, M = 4, textures b2 (32 x 95 x 95),
semantics b5 (160 x 24 x 24), deepest 1792 x 12 x 12.

Training minimises more than the cross entropy of the logit: `MultiAttention.objective`. The authors train in two
stages, the backbone as a plain detector and then the whole: here this means to train ``efficientnet_*`` first, then
this model with those weights as ``pretrained``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.values import shown

from ..errors import DetectorError
from ._area import area_average
from ._precision import full_precision
from .agda import AGDA
from .efficientnet import DROP_PATH, check_ratio, create_backbone
from .losses import RegionalIndependenceLoss, binary_cross_entropy, match_loss

__all__ = [
    "AttentionModule",
    "GroupedTextureEnhancement",
    "MultiAttention",
    "TextureEnhancement",
    "bilinear_attention_pooling",
    "border_mask",
]

DENSE_LAYERS = 3  # convolutions of the dense block that enhances the textures
BORDER = 12  # attention is 0 in the outer twelfth of each side: 2 of 24 cells at 380 x 380
TEXTURE_REDUCTION, ATTENTION_REDUCTION = 4, 16  # of the default layers: b2 and b5 in every EfficientNet of timm


class MultiAttention(nn.Module):
    """The detector; any timm EfficientNet is its *backbone*.

    *num_attentions* is M. *texture* "v1" is the paper's enhancement block, shared by the maps, "v2" the authors' later
    one with a block for each map. *texture_layer* and *attention_layer* name the stage whose end is read ("b1" is the
    first); None takes the ones at 1/4 and 1/16 of the input. *mid_features* is the width of the heads. *dropout*
    (None: .5) acts on the deepest features, *region_dropout* on whole regions. *drop_path*, *pretrained* and
    *normalization* are those of `EfficientNet`.

    Used in training only: the weights of the terms of the loss, by default the paper's (see `objective`); *agda_from*,
    the first step with degraded images; *epoch_steps*, the number of steps after which the centres move .9 times as
    fast; *augmentation*. DetectorError for a bad value.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_b4",
        *,
        num_attentions: int = 4,
        texture: str = "v1",
        texture_layer: str | None = None,
        attention_layer: str | None = None,
        mid_features: int = 256,
        dropout: float | None = None,
        region_dropout: float = 0.25,
        drop_path: float = DROP_PATH,
        pretrained: bool | str | Path = False,
        normalization: str | None = None,
        independence_weight: float = 0.5,
        agda_weight: float = 1.0,
        match_weight: float = 0.1,
        agda_from: int = 0,
        epoch_steps: int = 1000,
        augmentation: AGDA | None = None,
    ) -> None:
        super().__init__()
        self.dropout = 0.5 if dropout is None else dropout
        self.region_dropout = region_dropout
        if texture not in ("v1", "v2"):
            raise DetectorError(f"texture must be v1 or v2, got {shown(texture)}")
        _check_at_least(1, num_attentions=num_attentions, mid_features=mid_features, epoch_steps=epoch_steps)
        _check_at_least(0, independence_weight=independence_weight, agda_weight=agda_weight, match_weight=match_weight)
        check_ratio(dropout=self.dropout, region_dropout=region_dropout)
        self.num_attentions = num_attentions
        self.backbone, self.normalize = create_backbone(
            backbone, drop_path=drop_path, pretrained=pretrained, normalization=normalization
        )
        self.layers = _layers(self.backbone, texture_layer, attention_layer)
        texture_channels, attention_channels = _channels(self.backbone, self.layers)
        self.texture_channels = texture_channels
        self.attention = AttentionModule(attention_channels, num_attentions)
        self.texture: TextureEnhancement | GroupedTextureEnhancement
        if texture == "v1":
            self.texture = TextureEnhancement(texture_channels)
        else:
            self.texture = GroupedTextureEnhancement(texture_channels, num_attentions)
        self.local_head = nn.Sequential(
            nn.Linear(num_attentions * self.texture.out_channels, mid_features),
            nn.Hardswish(),
            nn.Linear(mid_features, mid_features),
            nn.Hardswish(),
        )
        self.global_head = nn.Sequential(nn.Linear(self.backbone.num_features, mid_features), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(2 * mid_features, mid_features), nn.Hardswish())
        self.classifier = nn.Linear(mid_features, 1)
        self.independence_loss = RegionalIndependenceLoss(num_attentions, texture_channels)
        self.independence_weight, self.agda_weight, self.match_weight = independence_weight, agda_weight, match_weight
        self.agda_from, self.epoch_steps = agda_from, epoch_steps
        self.augmentation = augmentation or AGDA()

    @overload
    def forward(self, images: Tensor, return_extras: Literal[False] = False) -> Tensor: ...
    @overload
    def forward(self, images: Tensor, return_extras: Literal[True]) -> tuple[Tensor, dict[str, Tensor]]: ...

    def forward(self, images: Tensor, return_extras: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of P(fake), (N,), of *images* (N, 3, H, W), RGB in [0, 1].

        With *return_extras* also a dict: ``attention_maps`` (N, M, H / 16, W / 16), above 0 but for the border;
        ``feature_matrix`` (N, M, C), the pooled enhanced textures, rows of length 1; ``region_features`` (N, M, C_t),
        the same of the averaged textures, which the regional independence loss reads; ``features`` (N, mid_features),
        the input of the last layer; ``feature_maps`` (N, C_d, H / 32, W / 32), the deepest.
        """
        deep, texture, semantic = self.backbone_maps(images)
        maps = self.attention(semantic)  # (N, M, h, w)
        enhanced, averaged = self.texture(texture, maps)  # (N, C, H, W) or (N, M, C, H, W); (N, C_t, h, w)
        feature_matrix = bilinear_attention_pooling(enhanced, maps)  # (N, M, C)
        region_features = bilinear_attention_pooling(averaged, maps)  # (N, M, C_t)
        kept = F.dropout(torch.ones_like(maps[:, :, 0, 0]), self.region_dropout, self.training)  # (N, M)
        local = self.local_head((feature_matrix * kept[..., None]).flatten(1))
        pooled = attention_average(deep, (maps * kept[..., None, None]).sum(1))  # (N, C_d)
        overall = self.global_head(F.dropout(pooled, self.dropout, self.training))
        features = self.head(torch.cat([local, overall], 1))  # (N, mid_features)
        logits: Tensor = self.classifier(features).squeeze(1)  # (N,)
        if not return_extras:
            return logits
        return logits, {
            "attention_maps": maps,
            "feature_matrix": feature_matrix,
            "region_features": region_features,
            "features": features,
            "feature_maps": deep,
        }

    def backbone_maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the deepest, the texture and the semantic feature maps of *images* in [0, 1]."""
        deep, (first, second) = self.backbone.forward_intermediates(
            self.normalize(images), indices=sorted(self.layers), extra_blocks=True
        )
        return (deep, first, second) if self.layers[0] < self.layers[1] else (deep, second, first)

    def objective(self, images: Tensor, labels: Tensor, label_smoothing: float = 0.0, step: int = 0) -> Tensor:
        """Return the loss of a batch, *images* (N, 3, H, W) in [0, 1] and *labels* (N,), 1 = fake, at *step* (from 0).

        It is CE + *independence_weight* * RIL + *agda_weight* * CE' + *match_weight* * match: the cross entropy and the
        regional independence loss of the batch; the cross entropy of the batch with one attended region of each image
        degraded (see `agda`); and how far the features of the other regions moved. The last two
        need a second pass, which is skipped before step *agda_from*, when both of their weights are 0, and in
        evaluation mode.
        """
        logits, extras = self(images, return_extras=True)
        regions = extras["region_features"]
        independence: Tensor = self.independence_loss(regions, labels, step // self.epoch_steps)
        loss = binary_cross_entropy(logits, labels, label_smoothing) + independence * self.independence_weight
        if not self.training or step < self.agda_from or self.agda_weight == self.match_weight == 0:
            return loss
        degraded, index = self.augmentation(images, extras["attention_maps"])
        logits, again = self(degraded, return_extras=True)
        loss = loss + binary_cross_entropy(logits, labels, label_smoothing) * self.agda_weight
        return loss + match_loss(regions, again["region_features"], index) * self.match_weight


class AttentionModule(nn.Module):
    """M attention maps from semantic features: 3x3 convolution, BN, ReLU, 1x1 convolution, BN, ELU + 1, border mask."""

    def __init__(self, channels: int, num_attentions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, num_attentions, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(num_attentions)

    def forward(self, semantic: Tensor) -> Tensor:
        """Return the maps (N, M, h, w), above 0 inside the border and 0 in it, of *semantic* (N, C, h, w)."""
        x = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(semantic)))))
        return (F.elu(x) + 1) * border_mask(x.shape[-2], x.shape[-1], x)


class TextureEnhancement(nn.Module):
    """The paper's textural feature enhancement block ("v1"), one for all maps; 4 C channels out.

    The features' difference from their local average goes through a 1x1 convolution and a dense block of three
    [BN, ReLU, 3x3 convolution], whose outputs are concatenated, then BN, ReLU, 1x1 convolution, BN.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = (DENSE_LAYERS + 1) * channels
        self.conv0 = nn.Conv2d(channels, channels, 1)
        self.dense = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(i * channels), nn.ReLU(), nn.Conv2d(i * channels, channels, 3, padding=1)
            )
            for i in range(1, DENSE_LAYERS + 1)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(self.out_channels),
            nn.ReLU(),
            nn.Conv2d(self.out_channels, self.out_channels, 1),
            nn.BatchNorm2d(self.out_channels),
        )

    def forward(self, texture: Tensor, attention_maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the enhanced textures (N, 4 C, H, W) and the average (N, C, h, w) of *texture* (N, C, H, W).

        *attention_maps* (N, M, h, w) give only their size here.
        """
        residual, averaged = split_average(texture, attention_maps.shape[-2:])
        x = self.conv0(residual)
        for layer in self.dense:
            x = torch.cat([x, layer(x)], 1)
        return self.last(x), averaged


class GroupedTextureEnhancement(nn.Module):
    """The authors' later enhancement block ("v2"): one for each map, as grouped convolutions; C channels out.

    A 3x3 convolution comes first; the difference from the local average is weighted by tanh of each map (without
    gradient to it) and goes through a dense block whose first convolution is 5x5; 1x1 convolution, BN, ReLU.
    """

    def __init__(self, channels: int, num_attentions: int) -> None:
        super().__init__()
        self.out_channels = channels
        self.num_attentions = m = num_attentions
        wide = m * channels
        self.extract = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv0 = nn.Conv2d(wide, wide, 5, padding=2, groups=m)
        self.dense = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(i * wide), nn.ReLU(), nn.Conv2d(i * wide, wide, 3, padding=1, groups=m))
            for i in range(1, DENSE_LAYERS + 1)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d((DENSE_LAYERS + 1) * wide),
            nn.ReLU(),
            nn.Conv2d((DENSE_LAYERS + 1) * wide, wide, 1, groups=m),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )

    def forward(self, texture: Tensor, attention_maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the textures enhanced for each map (N, M, C, H, W) and their average (N, C, h, w)."""
        residual, averaged = split_average(self.extract(texture), attention_maps.shape[-2:])
        weights = torch.tanh(resize(attention_maps.detach(), texture.shape[-2:]))  # (N, M, H, W)
        x = self.conv0((residual[:, None] * weights[:, :, None].to(residual.dtype)).flatten(1, 2))
        for layer in self.dense:
            x = self._join(x, layer(x))
        return self._split(self.last(x)), averaged

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.num_attentions, -1, *x.shape[-2:])  # (N, M * c, H, W) -> (N, M, c, H, W)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        """Concatenate the channels group by group."""
        return torch.cat([self._split(a), self._split(b)], 2).flatten(1, 2)


def bilinear_attention_pooling(features: Tensor, attention_maps: Tensor) -> Tensor:
    """Return the feature matrix (N, M, C): for each map the sum of the features it weighs, scaled to length 1.

    *features* are (N, C, H, W), or (N, M, C, H, W) with features of their own for each of the M maps; *attention_maps*
    (N, M, h, w) are resized to them. Always float32: at 95 x 95 the sums exceed float16's largest number.
    """
    with full_precision(features):
        features, maps = features.float(), resize(attention_maps, features.shape[-2:])
        equation = "nmhw,nchw->nmc" if features.dim() == 4 else "nmhw,nmchw->nmc"
        return F.normalize(torch.einsum(equation, maps, features), dim=-1)


def attention_average(features: Tensor, attention: Tensor) -> Tensor:
    """Return the average (N, C) of *features* (N, C, H, W) weighted by *attention* (N, h, w), in float32."""
    with full_precision(features):
        weights = resize(attention[:, None], features.shape[-2:]) + 1e-8  # a map may be 0 everywhere
        return (features.float() * weights).sum((2, 3)) / weights.sum((2, 3))


def resize(maps: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Return *maps* (N, M, h, w) at *size*, bilinear with aligned corners, in float32.

    The same values as ``F.interpolate``, whose deterministic backward pass on CUDA is slow, as two matrix products.
    """
    if maps.shape[-2:] == tuple(size):
        return maps.float()
    with full_precision(maps):
        rows = linear_matrix(maps.shape[-2], size[0], maps) @ maps.float()  # (N, M, H, w)
        return rows @ linear_matrix(maps.shape[-1], size[1], maps).T


def linear_matrix(size: int, out: int, like: Tensor) -> Tensor:
    """Return the float32 matrix (out, size) that interpolates *out* values linearly between *size*, first to last."""
    position = torch.arange(out, device=like.device)[:, None] * ((size - 1) / max(1, out - 1))
    return (1 - (position - torch.arange(size, device=like.device)).abs()).clamp_min(0)


def split_average(texture: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Return *texture* (N, C, H, W) minus its local average, and that average, (N, C) + *size*."""
    averaged = area_average(texture, size)
    return texture - F.interpolate(averaged, texture.shape[-2:], mode="nearest").to(texture.dtype), averaged


def border_mask(height: int, width: int, like: Tensor) -> Tensor:
    """Return ones (height, width) with a border of zeros, a twelfth of each side wide, rounded to whole cells."""
    rows, columns = (int(side / BORDER + 0.5) for side in (height, width))
    inside = torch.ones(height - 2 * rows, width - 2 * columns, dtype=like.dtype, device=like.device)
    return F.pad(inside, (columns, columns, rows, rows))


def _check_at_least(low: int, **values: float) -> None:
    for name, value in values.items():
        if not value >= low:
            raise DetectorError(f"{name} must be at least {low}, got {value}")


def _layers(backbone: Any, texture: str | None, attention: str | None) -> tuple[int, int]:
    """Return the numbers (first stage 1) of the texture and the attention layer of *backbone*."""
    ends = {info["reduction"]: info["stage"] for info in backbone.feature_info}
    chosen = []
    for key, layer, reduction in (
        ("texture_layer", texture, TEXTURE_REDUCTION),
        ("attention_layer", attention, ATTENTION_REDUCTION),
    ):
        match = re.fullmatch(r"b([1-9]\d*)", layer) if layer is not None else None
        number = ends[reduction] if layer is None else int(match[1]) if match else 0
        if not 1 <= number <= len(backbone.blocks):
            raise DetectorError(f"{key} must be b1 to b{len(backbone.blocks)}, got {shown(layer)}")
        chosen.append(number)
    if chosen[0] == chosen[1]:
        raise DetectorError(f"texture_layer and attention_layer must differ, both are b{chosen[0]}")
    return chosen[0], chosen[1]


@torch.no_grad()
def _channels(backbone: Any, layers: tuple[int, int]) -> tuple[int, int]:
    """Return the output channels of the two *layers*, measured on a blank image (timm lists only some)."""
    backbone.eval()  # does not change the running statistics
    image = torch.zeros(1, 3, 32, 32, device=next(backbone.parameters()).device)
    maps = backbone.forward_intermediates(image, indices=sorted(layers), extra_blocks=True, intermediates_only=True)
    backbone.train()
    first, second = (m.shape[1] for m in maps)
    return (first, second) if layers[0] < layers[1] else (second, first)
