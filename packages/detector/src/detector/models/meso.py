"""Meso4 and MesoInception4 (Afchar et al., MesoNet, WIFS 2018), after the authors' Keras definition.

Both are four stages of convolution -> ReLU -> batch normalisation -> max pooling (BN *after* the activation) and a
small head with one LeakyReLU; MesoInception4 has inception layers in place of the first two convolutions. At 256 x 256
they hold 27,977 and 28,615 trainable parameters. Deliberate differences from the original:

- the output is a logit of P(fake); the original's sigmoid is P(real) (`from_keras` flips the sign);
- the head averages to 8 x 8 cells before the first dense layer, nothing at 256 px, so that any input size works;
- the input is scaled from [0, 1] to [-1, 1] inside unless ``mean`` and ``std`` say otherwise (`from_keras` weights
  were trained on [0, 1]);
- batch-normalisation momentum is an argument: Keras' .99, torch's ``bn_momentum=0.01``, is slow for a thousand steps,
  and params.yaml trains with .1;
- weights start as torch draws them, narrower than Keras' Glorot: on the sample, after 1000 steps at one seed, the loss
  was .18 instead of .23 and the validation AUC .85 instead of .76 (8 real and 32 fake videos).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.values import shown

from ._area import area_average

__all__ = ["Meso4", "MesoInception4", "MesoNet", "from_keras"]

BN_EPS, BN_MOMENTUM = 1e-3, 0.01  # Keras' defaults; its momentum, .99, is the weight of the old average
CELLS = 8  # the head's 8 x 8 cells, what 256 px give after pooling by 2, 2, 2 and 4
LEAKY_SLOPE = 0.1

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
}


class Inception(nn.Module):
    """Four branches of 1x1 and dilated 3x3 convolutions, each followed by the activation, concatenated.

    *widths* = (a, b, c, d): 1x1(a) | 1x1(b), 3x3(b) | 1x1(c), 3x3(c) dilated by 2 | 1x1(d), 3x3(d) dilated by 3.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int], activation: Callable[[], nn.Module]):
        super().__init__()
        a, *others = widths
        self.branches = nn.ModuleList([nn.Sequential(nn.Conv2d(in_channels, a, 1), activation())])
        for dilation, width in enumerate(others, start=1):
            self.branches.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, width, 1),
                    activation(),
                    nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
                    activation(),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)  # (N, a + b + c + d, H, W)


class MesoNet(nn.Module):
    """The common parts of Meso4 and MesoInception4: input scaling, batch normalisation, pooling and the head."""

    def __init__(
        self,
        layers: Sequence[tuple[nn.Module, int, int]],
        *,
        dropout: float,
        bn_momentum: float,
        mean: float,
        std: float,
    ):
        """*layers* are (convolution with its activation, output channels, pooling factor)."""
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if not 0 < bn_momentum <= 1:
            raise ValueError(f"bn_momentum must be in (0, 1], got {bn_momentum}")
        self.mean, self.std = mean, std
        self.stages = nn.Sequential(
            *(
                nn.Sequential(layer, nn.BatchNorm2d(width, eps=BN_EPS, momentum=bn_momentum), nn.MaxPool2d(pool))
                for layer, width, pool in layers
            )
        )
        self.dropout1 = nn.Dropout(dropout)
        self.fc1 = nn.Linear(layers[-1][1] * CELLS * CELLS, 16)
        self.activation = nn.LeakyReLU(LEAKY_SLOPE)
        self.dropout2 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(16, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of P(fake), (N,), of *images* (N, 3, H, W), RGB in [0, 1], H and W at least 32."""
        if min(images.shape[-2:]) < 32:
            raise ValueError(f"images must be at least 32 x 32, got {images.shape[-2]} x {images.shape[-1]}")
        x = self.stages((images - self.mean) / self.std)  # (N, 16, H / 32, W / 32)
        x = area_average(x, (CELLS, CELLS)).flatten(1)  # (N, 16 * 8 * 8)
        x = self.activation(self.fc1(self.dropout1(x)))  # (N, 16)
        logits: Tensor = self.fc2(self.dropout2(x)).squeeze(1)  # (N,)
        return logits


def convolution(in_channels: int, out_channels: int, kernel: int, activation: Callable[[], nn.Module]) -> nn.Module:
    """Return a "same" convolution with a bias, followed by the activation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), activation())


def activation_named(name: str) -> Callable[[], nn.Module]:
    """Return the maker of the activation *name*; ValueError lists the choices."""
    if name not in ACTIVATIONS:
        raise ValueError(f"conv_activation must be one of {', '.join(sorted(ACTIVATIONS))}, got {shown(name)}")
    return ACTIVATIONS[name]


class Meso4(MesoNet):
    """Four convolutions (8, 8, 16, 16 channels), 27,977 parameters.

    *dropout* is the original's .5 in both places; *bn_momentum* counts as torch does (the weight of the new batch), by
    default Keras' .99;
    *conv_activation* "relu" is the original, "leaky_relu" (slope .1) as in some later papers.
    """

    def __init__(
        self,
        *,
        dropout: float = 0.5,
        bn_momentum: float = BN_MOMENTUM,
        conv_activation: str = "relu",
        mean: float = 0.5,
        std: float = 0.5,
    ):
        act = activation_named(conv_activation)
        layers = [
            (convolution(3, 8, 3, act), 8, 2),
            (convolution(8, 8, 5, act), 8, 2),
            (convolution(8, 16, 5, act), 16, 2),
            (convolution(16, 16, 5, act), 16, 4),
        ]
        super().__init__(layers, dropout=dropout, bn_momentum=bn_momentum, mean=mean, std=std)


class MesoInception4(MesoNet):
    """Two inception layers (11 and 12 channels) and two convolutions (16), 28,615 parameters. Options as `Meso4`."""

    def __init__(
        self,
        *,
        dropout: float = 0.5,
        bn_momentum: float = BN_MOMENTUM,
        conv_activation: str = "relu",
        mean: float = 0.5,
        std: float = 0.5,
    ):
        act = activation_named(conv_activation)
        layers = [
            (Inception(3, (1, 4, 4, 2), act), 11, 2),
            (Inception(11, (2, 4, 4, 2), act), 12, 2),
            (convolution(12, 16, 5, act), 16, 2),
            (convolution(16, 16, 5, act), 16, 4),
        ]
        super().__init__(layers, dropout=dropout, bn_momentum=bn_momentum, mean=mean, std=std)


def from_keras(model: MesoNet, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Load the official Keras weights into *model*, which must be built with ``mean=0, std=1``.

    *weights* maps the Keras layer names to their arrays in Keras' order, as the authors' ``.h5`` files hold them:
    ``conv2d_N`` (kernel HWIO, bias), ``batch_normalization_N`` (gamma, beta, moving mean, moving variance) and
    ``dense_N`` (kernel, bias); other layers are ignored. Layers of a kind are taken in the order of N. The first
    dense kernel sees Keras' H, W, C order and is permuted to C, H, W; the last layer's sign is flipped, because the
    original predicts P(real). ValueError when the layers do not fit *model*.
    """
    if (model.mean, model.std) != (0, 1):
        raise ValueError("the official weights were trained on [0, 1]: build the model with mean=0, std=1")
    _fill([m for m in model.modules() if isinstance(m, nn.Conv2d)], weights, "conv2d", _conv_arrays)
    _fill([m for m in model.modules() if isinstance(m, nn.BatchNorm2d)], weights, "batch_normalization", _norm_arrays)
    _fill([model.fc1, model.fc2], weights, "dense", _dense_arrays)


def _fill(
    modules: Sequence[nn.Module],
    weights: Mapping[str, Sequence[np.ndarray]],
    kind: str,
    arrays: Callable[[Sequence[np.ndarray]], dict[str, np.ndarray]],
) -> None:
    """Copy the Keras layers ``<kind>_N`` into *modules*, in order."""
    names = sorted(
        (name for name in weights if re.fullmatch(rf"{kind}(_\d+)?", name)),
        key=lambda name: int(name.rpartition("_")[2]) if name != kind else 0,
    )
    if len(names) != len(modules):
        raise ValueError(f"the model has {len(modules)} {kind} layers, the Keras weights {len(names)}")
    for name, module in zip(names, modules, strict=True):
        for key, array in arrays(weights[name]).items():
            target = module.get_parameter(key) if key in dict(module.named_parameters()) else module.get_buffer(key)
            if tuple(array.shape) != tuple(target.shape):
                raise ValueError(f"{name}: {key} has shape {array.shape}, the model's is {tuple(target.shape)}")
            with torch.no_grad():
                target.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def _conv_arrays(arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    kernel, bias = arrays
    return {"weight": kernel.transpose(3, 2, 0, 1), "bias": bias}  # HWIO -> OIHW


def _norm_arrays(arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    gamma, beta, mean, variance = arrays
    return {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}


def _dense_arrays(arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    kernel, bias = arrays
    if kernel.shape[1] == 1:  # the output layer: P(real) -> P(fake)
        return {"weight": -kernel.T, "bias": -bias}
    cells = kernel.reshape(CELLS, CELLS, -1, kernel.shape[1])  # (H, W, C, out)
    return {"weight": cells.transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1), "bias": bias}
