"""Training augmentation of a whole batch on its device, from draws that belong to the crops.

Every crop has its own numbers (`draws.uniform`), so what happens to it depends neither on the batch it is in nor on the
device. Flip, rotation and scale are one bilinear warp (edges mirrored), a flip alone moves no value; blur is a
Gaussian; contrast acts about mid-grey; brightness and colour are shifts in units of half the value range, 127.5 levels,
the scale on which the models see the image (-1..1). Values are not clipped afterwards.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from ..config import AugmentConfig
from .draws import uniform

__all__ = ["SLOTS", "augment", "draw", "to_float"]

# columns of the draws; a new use takes a new column, so that the others keep their numbers
FLIP, CONTRAST, BRIGHTNESS, RED, GREEN, BLUE, ROTATE, SCALE, BLUR, SIGMA, RECOMPRESS, CONDITION = range(12)
SLOTS = 12

SIGMAS = (0.5, 1.4)  # of the blur in pixels; 1.4 is what OpenCV gives a kernel of 7
REACH = 4  # pixels that the blur's kernel goes to each side


def to_float(images: Tensor) -> Tensor:
    """Return uint8 *images* (N, H, W, 3) as float32 in [0, 1], (N, 3, H, W), in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


def draw(seed: int, step: int, ids: ArrayLike) -> Tensor:
    """Return the draws that `augment` takes for the crops *ids* at *step*, (N, SLOTS) float32 in [0, 1)."""
    return torch.from_numpy(uniform(seed, step, ids, SLOTS).astype(np.float32))


def augment(images: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    """Return *images* (N, H, W, 3) uint8 as float32, (N, 3, H, W), about [0, 1], each changed as its *draws* say.

    *draws* is `draw`'s table on the device of the images. A crop is flipped with probability ``config.flip``, rotated
    by +- ``rotate`` degrees, enlarged by 1 +- ``scale``, blurred with probability ``blur``, its contrast multiplied by
    1 +- ``contrast``, all channels shifted by +- ``brightness`` and each by +- ``color``.
    """
    x = images.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last
    signed = 2 * draws[:, :, None, None] - 1  # (N, SLOTS, 1, 1) in [-1, 1)
    flipped = draws[:, FLIP] < config.flip
    if config.rotate or config.scale:
        angle = math.radians(config.rotate) * signed[:, ROTATE, 0, 0]
        x = warp(x.float(), flipped, angle, 1 + config.scale * signed[:, SCALE, 0, 0])
    else:
        x = torch.where(flipped[:, None, None, None], x.flip(-1), x)
    if config.blur:
        sigma = SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * draws[:, SIGMA]
        x = blur(x.float(), torch.where(draws[:, BLUR] < config.blur, sigma, 0.0))
    gain = 1 + config.contrast * signed[:, CONTRAST : CONTRAST + 1]
    shift = config.brightness * signed[:, BRIGHTNESS : BRIGHTNESS + 1] + config.color * signed[:, RED : BLUE + 1]
    # (x / 255 - 1/2) gain + 1/2 + shift / 2
    return torch.addcmul((1 - gain + shift) / 2, x.float(), gain / 255)


def warp(x: Tensor, flipped: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Return *x* (N, C, H, W) turned by *angle* (radians, (N,)), enlarged by *scale* (N,) about the centre, and
    mirrored left to right where *flipped* (N,): bilinear, the picture continued by its mirror image.
    """
    h, w = x.shape[-2:]
    cos, sin = angle.cos() / scale, angle.sin() / scale
    sign = torch.where(flipped, -1.0, 1.0)
    zero = torch.zeros_like(cos)
    # where each pixel comes from, in torch's coordinates of -1..1 over the width and the height
    rows = [torch.stack([cos * sign, -sin * h / w, zero], 1), torch.stack([sin * sign * w / h, cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)  # (N, H, W, 2)
    y = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return y.contiguous(memory_format=torch.channels_last)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Return *x* (N, C, H, W) blurred by a Gaussian of *sigma* pixels (N,), 0 for none; edges are mirrored."""
    n, c, h, w = x.shape
    offsets = torch.arange(-REACH, REACH + 1, device=x.device)
    # (N, 2 REACH + 1); for a sigma of 0 a one at the centre
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(c, 0)[:, None, None]  # (N C, 1, 1, ...)
    y = x.reshape(1, n * c, h, w)
    y = F.conv2d(F.pad(y, (REACH, REACH, 0, 0), mode="reflect"), kernels, groups=n * c)
    y = F.conv2d(F.pad(y, (0, 0, REACH, REACH), mode="reflect"), kernels.mT, groups=n * c)
    return y.reshape(n, c, h, w).contiguous(memory_format=torch.channels_last)
