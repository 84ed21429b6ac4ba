"""The EfficientNet family: width, depth, resolution and dropout of its members, and the paper's table.

Sources: Tan and Le 2019 (B0 to B7), Xie et al. 2020 (L2), Tan and Le 2021 (V2) in google/automl's
``efficientnetv2/effnetv2_configs.py``; the Lite models in tensorflow/tpu's ``efficientnet/lite``. Imports nothing, so
listing names is fast.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALPHA", "BETA", "GAMMA", "PAPER_GIGA_MACS", "SCALING", "Scaling"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Width and depth as multiples of B0 (None: V2 has stages of its own), side of the input in pixels, dropout."""

    width: float | None
    depth: float | None
    resolution: int
    dropout: float


_FAMILY = {
    "efficientnet_b0": Scaling(1.0, 1.0, 224, 0.2),
    "efficientnet_b1": Scaling(1.0, 1.1, 240, 0.2),
    "efficientnet_b2": Scaling(1.1, 1.2, 260, 0.3),
    "efficientnet_b3": Scaling(1.2, 1.4, 300, 0.3),
    "efficientnet_b4": Scaling(1.4, 1.8, 380, 0.4),
    "efficientnet_b5": Scaling(1.6, 2.2, 456, 0.4),
    "efficientnet_b6": Scaling(1.8, 2.6, 528, 0.5),
    "efficientnet_b7": Scaling(2.0, 3.1, 600, 0.5),
    "efficientnet_b8": Scaling(2.2, 3.6, 672, 0.5),
    "efficientnet_l2": Scaling(4.3, 5.3, 800, 0.5),
    "efficientnetv2_s": Scaling(None, None, 384, 0.2),
    "efficientnetv2_m": Scaling(None, None, 480, 0.3),
    "efficientnetv2_l": Scaling(None, None, 480, 0.4),
    "efficientnetv2_xl": Scaling(None, None, 512, 0.4),
}

# without squeeze-and-excitation, with ReLU6; stem and head are not scaled
_LITE = {
    "tf_efficientnet_lite0": Scaling(1.0, 1.0, 224, 0.2),
    "tf_efficientnet_lite1": Scaling(1.0, 1.1, 240, 0.2),
    "tf_efficientnet_lite2": Scaling(1.1, 1.2, 260, 0.3),
    "tf_efficientnet_lite3": Scaling(1.2, 1.4, 280, 0.3),
    "tf_efficientnet_lite4": Scaling(1.4, 1.8, 300, 0.3),
}

# timm's two spellings: static padding, and TensorFlow's padding ("tf_"), which most published weights need.
SCALING = {prefix + name: scaling for prefix in ("", "tf_") for name, scaling in _FAMILY.items()} | _LITE

# One step of compound scaling: depth *= ALPHA, width *= BETA, resolution *= GAMMA. The cost of a convolutional network
# grows with depth, with width squared and with resolution squared.
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15

# "FLOPs" of the paper's table 2, in 10^9; they are multiply-adds. None: its table has a dash.
PAPER_GIGA_MACS: dict[str, float | None] = {
    "efficientnet_b0": 0.39,
    "efficientnet_b1": 0.70,
    "efficientnet_b2": 1.0,
    "efficientnet_b3": 1.8,
    "efficientnet_b4": 4.2,
    "efficientnet_b5": 9.9,
    "efficientnet_b6": 19.0,
    "efficientnet_b7": 37.0,
    "efficientnet_b8": 89.5,
    "efficientnet_l2": None,
}
