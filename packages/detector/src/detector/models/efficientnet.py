"""EfficientNet detectors: any timm EfficientNet with one logit, and its pretrained weights by name or from a file.

The networks (Tan and Le 2019, and 2021 for V2; `scaling` has the table) are timm's. This module adds the published
dropout and drop-path .2, which are 0 in timm, normalisation inside the model by the mean and standard deviation of the
weights, and an early error if weights are not available.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.values import shown

from ..errors import DetectorError
from ._timm import timm
from .packages import PACKAGE, package_file
from .pretrained import adapt, published, read_weights, weights_file
from .scaling import SCALING

__all__ = ["EfficientNet", "Normalize", "check_ratio", "create_backbone"]

DROP_PATH = 0.2  # Tan and Le 2019, section 5.2: survival probability .8 at the last block
DROPOUT = 0.2  # for a timm EfficientNet that is not in the tables

NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


class Normalize(nn.Module):
    """Subtract *mean* and divide by *std*, one value per channel; both are buffers and so part of the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class EfficientNet(nn.Module):
    """A timm EfficientNet with one output.

    *name* is timm's. *dropout* stands before the last layer, None for the published table's. *drop_path* is stochastic
    depth at the last block, falling linearly to 0 at the first. *pretrained* is False, True (timm's default weights of
    *name*), the name or tag of published weights (``"tf_efficientnet_b4.ap_in1k"`` or ``"ap_in1k"``), ``"package"``
    (those in the Python package of `packages.PACKAGES`) or the path of a file: weights of timm, of the package
    efficientnet_pytorch, or of an `EfficientNet` or `MultiAttention` trained here. *in_chans* other than 3 folds or
    repeats the weights of the first convolution. *normalization* "imagenet" or "half" (mean = std = .5) overrides that
    of the weights, for files without this information. DetectorError names what is missing and the remedy.
    """

    def __init__(
        self,
        name: str = "efficientnet_b4",
        *,
        dropout: float | None = None,
        drop_path: float = DROP_PATH,
        pretrained: bool | str | Path = False,
        in_chans: int = 3,
        normalization: str | None = None,
    ) -> None:
        super().__init__()
        if dropout is None:
            dropout = SCALING[name].dropout if name in SCALING else DROPOUT
        check_ratio(dropout=dropout)
        self.dropout = dropout
        self.backbone, self.normalize = create_backbone(
            name, drop_path=drop_path, pretrained=pretrained, in_chans=in_chans, normalization=normalization
        )
        self.classifier = nn.Linear(self.backbone.num_features, 1)
        nn.init.uniform_(self.classifier.weight, -(self.backbone.num_features**-0.5), self.backbone.num_features**-0.5)
        nn.init.zeros_(self.classifier.bias)

    def feature_maps(self, images: Tensor) -> Tensor:
        """Return the last feature maps, (N, C, H / 32, W / 32), of *images* (N, in_chans, H, W) in [0, 1]."""
        maps: Tensor = self.backbone.forward_features(self.normalize(images))
        return maps

    @overload
    def forward(self, images: Tensor, return_extras: Literal[False] = False) -> Tensor: ...
    @overload
    def forward(self, images: Tensor, return_extras: Literal[True]) -> tuple[Tensor, dict[str, Tensor]]: ...

    def forward(self, images: Tensor, return_extras: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of P(fake), (N,), of *images* (N, in_chans, H, W) in [0, 1].

        With *return_extras* also ``features`` (N, C), pooled, and ``feature_maps`` (N, C, H / 32, W / 32).
        """
        maps = self.feature_maps(images)
        features = maps.mean((2, 3))  # (N, C)
        logits = self.classifier(F.dropout(features, self.dropout, self.training)).squeeze(1)  # (N,)
        return (logits, {"features": features, "feature_maps": maps}) if return_extras else logits


def create_backbone(
    name: str,
    *,
    drop_path: float = DROP_PATH,
    pretrained: bool | str | Path = False,
    in_chans: int = 3,
    normalization: str | None = None,
) -> tuple[Any, Normalize]:
    """Return timm's EfficientNet *name* without its classifier, and the normalisation that its weights need.

    The options are those of `EfficientNet`. DetectorError for a name that is not a timm EfficientNet.
    """
    check_ratio(drop_path=drop_path)
    if not timm.is_model(name) or "efficientnet" not in name:
        raise DetectorError(f"unknown EfficientNet {shown(name)}; timm has, for example, {', '.join(sorted(SCALING))}")
    if normalization is not None and normalization not in NORMALIZATIONS:
        raise DetectorError(f"normalization must be {' or '.join(NORMALIZATIONS)}, got {shown(normalization)}")
    source = published(name, pretrained)
    backbone: Any = timm.create_model(name, num_classes=0, drop_path_rate=drop_path, in_chans=in_chans)
    mean, std = backbone.pretrained_cfg["mean"], backbone.pretrained_cfg["std"]
    if source is not None:
        mean, std = source.mean, source.std
    if pretrained is not False:
        if source is not None:
            path = weights_file(source)
        else:
            path = package_file(name) if pretrained == PACKAGE else Path(str(pretrained))
        weights = read_weights(path)
        backbone.load_state_dict(adapt(weights, backbone, in_chans, path))
        if "normalize.mean" in weights and "normalize.std" in weights:  # of a file of ours
            mean, std = (weights[f"normalize.{key}"].flatten().tolist() for key in ("mean", "std"))
    if normalization is not None:
        mean, std = NORMALIZATIONS[normalization]
    return backbone, Normalize(*(_per_channel(values, in_chans) for values in (mean, std)))


def _per_channel(values: Any, in_chans: int) -> tuple[float, ...]:
    """Return *values* if there is one for each channel, else their mean for every channel."""
    return tuple(values) if len(values) == in_chans else (sum(values) / len(values),) * in_chans


def check_ratio(**values: float) -> None:
    """Raise DetectorError naming the first of *values* that is not in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise DetectorError(f"{name} must be in [0, 1), got {value}")
