"""Training augmentation of a batch on its device, with random numbers drawn for each crop.

The numbers of a crop (`draws.uniform`) depend neither on its batch nor on the device, so neither does its augmentation.
Flip, rotation and scale are one bilinear warp with mirrored edges; a flip alone does not interpolate. Blur is Gaussian,
contrast is relative to mid-grey, and brightness and colour are shifts in units of half the value range (127.5 levels),
the scale on which the models see the image (-1..1). Values are not clipped afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from ..config import AugmentConfig
from .draws import uniform

__all__ = ["AUGMENTATIONS", "SLOTS", "Augmentation", "augment", "draw", "to_float"]

# columns of the draws; a new augmentation takes a new column, so that the others keep their numbers
FLIP, CONTRAST, BRIGHTNESS, RED, GREEN, BLUE, ROTATE, SCALE, BLUR, SIGMA, RECOMPRESS, CONDITION = range(12)
SLOTS = 12

SIGMAS = (0.5, 1.4)  # range of the blur in pixels; 1.4 is OpenCV's default for a kernel of 7
REACH = 4  # radius of the blur kernel in pixels


def to_float(images: Tensor) -> Tensor:
    """Return uint8 *images* (N, H, W, 3) as float32 in [0, 1], (N, 3, H, W), in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


def draw(seed: int, step: int, ids: ArrayLike) -> Tensor:
    """Return the draws for the crops *ids* at *step*, (N, SLOTS) float32 in [0, 1), as `augment` takes them."""
    return torch.from_numpy(uniform(seed, step, ids, SLOTS).astype(np.float32))


def augment(images: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    """Return *images* (N, H, W, 3) uint8 augmented by their *draws*, as float32 (N, 3, H, W), approximately in [0, 1].

    *draws* is the result of `draw` on the device of the images. A crop is flipped with probability ``config.flip``,
    rotated by up to +- ``rotate`` degrees, scaled by 1 +- ``scale`` and blurred with probability ``blur``. Its contrast
    is multiplied by 1 +- ``contrast``, all channels are shifted by +- ``brightness``, each channel by +- ``color``.
    """
    x = images.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last
    for row in AUGMENTATIONS.values():
        x = row.apply(x, draws, config) if row.apply is not None else x
    return x


def warp(x: Tensor, flipped: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Return *x* (N, C, H, W) rotated by *angle* (radians, (N,)), scaled by *scale* (N,) about the centre, and mirrored
    left to right where *flipped* (N,). Interpolation is bilinear, with mirrored edges.
    """
    h, w = x.shape[-2:]
    cos, sin = angle.cos() / scale, angle.sin() / scale
    sign = torch.where(flipped, -1.0, 1.0)
    zero = torch.zeros_like(cos)
    # source of each pixel, in torch's coordinates, -1..1 over width and height
    rows = [torch.stack([cos * sign, -sin * h / w, zero], 1), torch.stack([sin * sign * w / h, cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)  # (N, H, W, 2)
    y = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return y.contiguous(memory_format=torch.channels_last)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Return *x* (N, C, H, W) blurred by a Gaussian of *sigma* pixels (N,), 0 for no blur, with mirrored edges."""
    n, c, h, w = x.shape
    offsets = torch.arange(-REACH, REACH + 1, device=x.device)
    # (N, 2 REACH + 1); for sigma 0 the kernel is 1 at the centre
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(c, 0)[:, None, None]  # (N C, 1, 1, ...)
    y = x.reshape(1, n * c, h, w)
    y = F.conv2d(F.pad(y, (REACH, REACH, 0, 0), mode="reflect"), kernels, groups=n * c)
    y = F.conv2d(F.pad(y, (0, 0, REACH, REACH), mode="reflect"), kernels.mT, groups=n * c)
    return y.reshape(n, c, h, w).contiguous(memory_format=torch.channels_last)


def _warp(x: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    flipped = draws[:, FLIP] < config.flip
    if not config.rotate and not config.scale:
        return torch.where(flipped[:, None, None, None], x.flip(-1), x)
    angle = math.radians(config.rotate) * (2 * draws[:, ROTATE] - 1)
    return warp(x.float(), flipped, angle, 1 + config.scale * (2 * draws[:, SCALE] - 1))


def _blur(x: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    if not config.blur:
        return x
    sigma = SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * draws[:, SIGMA]
    return blur(x.float(), torch.where(draws[:, BLUR] < config.blur, sigma, 0.0))


def _tone(x: Tensor, draws: Tensor, config: AugmentConfig) -> Tensor:
    signed = 2 * draws[:, :, None, None] - 1  # (N, SLOTS, 1, 1) in [-1, 1)
    gain = 1 + config.contrast * signed[:, CONTRAST : CONTRAST + 1]
    shift = config.brightness * signed[:, BRIGHTNESS : BRIGHTNESS + 1] + config.color * signed[:, RED : BLUE + 1]
    # (x / 255 - 1/2) gain + 1/2 + shift / 2
    return torch.addcmul((1 - gain + shift) / 2, x.float(), gain / 255)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A row of `AUGMENTATIONS`.

    settings: the fields of `AugmentConfig` that control it. columns: those of the draws that it uses, by no other.
    apply: takes images (N, 3, H, W), 0..255, uint8 or float32, the draws and the settings, and returns images of that
    form, unchanged where the settings are 0; None if the loading threads apply it (`detector.loading.recompress`).
    """

    settings: tuple[str, ...]
    columns: tuple[int, ...]
    apply: Callable[[Tensor, Tensor, AugmentConfig], Tensor] | None


# in the order in which they are applied; tone is the last, because it scales to [0, 1] in the same pass
AUGMENTATIONS: dict[str, Augmentation] = {
    "recompress": Augmentation(("recompress", "conditions"), (RECOMPRESS, CONDITION), None),
    "warp": Augmentation(("flip", "rotate", "scale"), (FLIP, ROTATE, SCALE), _warp),
    "blur": Augmentation(("blur",), (BLUR, SIGMA), _blur),
    "tone": Augmentation(("contrast", "brightness", "color"), (CONTRAST, BRIGHTNESS, RED, GREEN, BLUE), _tone),
}
