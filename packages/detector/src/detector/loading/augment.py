"""Training augmentation of a whole batch on its device, from draws that belong to the crops.

Every crop has its own numbers (`draws.uniform`), so what happens to it depends neither on the batch it is in nor on the
device. Contrast acts about mid-grey; brightness and colour are shifts in units of half the value range, 127.5 levels,
the scale on which the models see the image (-1..1). Values are not clipped afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..config import AugmentConfig
from .draws import uniform

__all__ = ["SLOTS", "augment", "draw", "to_float"]

# columns of the draws; a new use takes a new column, so that the others keep their numbers
FLIP, CONTRAST, BRIGHTNESS, RED, GREEN, BLUE = range(6)
SLOTS = 6


def to_float(images: Tensor) -> Tensor:
    """Return uint8 *images* (N, H, W, 3) as float32 in [0, 1], (N, 3, H, W), in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


def draw(seed: int, step: int, ids: ArrayLike) -> Tensor:
    """Return the draws that `augment` takes for the crops *ids* at *step*, (N, SLOTS) float32 in [0, 1)."""
    return torch.from_numpy(uniform(seed, step, ids, SLOTS).astype(np.float32))


def augment(images: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    """Return *images* (N, H, W, 3) uint8 as float32, (N, 3, H, W), about [0, 1], each changed as its *draws* say.

    *draws* is `draw`'s table on the device of the images. A crop is flipped with probability ``config.flip``, its
    contrast multiplied by 1 +- ``contrast``, all channels shifted by +- ``brightness`` and each by +- ``color``.
    """
    x = images.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last
    flipped = (draws[:, FLIP] < config.flip)[:, None, None, None]
    x = torch.where(flipped, x.flip(-1), x)
    signed = 2 * draws[:, :, None, None] - 1  # (N, SLOTS, 1, 1) in [-1, 1)
    gain = 1 + config.contrast * signed[:, CONTRAST : CONTRAST + 1]
    shift = config.brightness * signed[:, BRIGHTNESS : BRIGHTNESS + 1] + config.color * signed[:, RED : BLUE + 1]
    # (x / 255 - 1/2) gain + 1/2 + shift / 2
    return torch.addcmul((1 - gain + shift) / 2, x.float(), gain / 255)
