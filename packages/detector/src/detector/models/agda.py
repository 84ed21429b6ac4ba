"""AGDA, attention-guided data augmentation (Zhao et al. 2021): degrade the region that one map attends to.

For each image, one attention map is sampled with a probability that increases with its sum. Where the map is strong,
the image is replaced by a downscaled, blurred and noisy copy, so that the model also learns to use other regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ._precision import full_precision

__all__ = ["AGDA", "choose_maps", "degrade", "gaussian_blur", "soft_mask"]


@dataclass(frozen=True, slots=True)
class AGDA:
    """The augmentation and its settings.

    The degraded copy is scaled to *scale* of the side, blurred by a Gaussian of *sigma* cut to *kernel_size* pixels,
    and gets Gaussian noise of standard deviation *noise* (of images in [0, 1]: the published .1 is of images in
    [-1, 1]). The soft mask's *threshold* and *zoom* are drawn once per batch from these ranges.
    """

    scale: float = 0.3
    sigma: float = 7.0
    kernel_size: int = 11
    noise: float = 0.05
    threshold: tuple[float, float] = (0.4, 0.6)
    zoom: tuple[float, float] = (3.0, 5.0)

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must be in (0, 1], got {self.scale}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")
        if self.sigma <= 0 or self.noise < 0:
            raise ValueError(f"sigma must be above 0 and noise not below, got {self.sigma} and {self.noise}")

    @torch.no_grad()
    def __call__(
        self, images: Tensor, attention_maps: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the degraded *images* (N, C, H, W), not clamped to their range, and the map degraded in each, (N,).

        *attention_maps* (N, M, h, w) are at least 0. *generator*, on the device of the images, makes the draws; None
        takes torch's.
        """
        with full_precision(images):
            images, maps = images.float(), attention_maps.float()
            index = choose_maps(maps, generator)
            draws = torch.rand(2, generator=generator, device=images.device)
            ranges = (self.threshold, self.zoom)  # plain numbers: a tensor of them would be copied to the device
            threshold, zoom = (low + (high - low) * x for (low, high), x in zip(ranges, draws.unbind(), strict=True))
            chosen = maps[torch.arange(len(maps), device=maps.device), index]  # (N, h, w)
            mask = soft_mask(chosen, images.shape[-2:], threshold, zoom)  # (N, 1, H, W)
            worse = degrade(images, self.scale, self.sigma, self.kernel_size, self.noise, generator)
            return torch.lerp(images, worse, mask), index


def choose_maps(attention_maps: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the index of one map per image, (N,), sampled with weights sqrt(sum of the map + 1)."""
    weights = (attention_maps.sum((2, 3)) + 1).sqrt()  # (N, M)
    # the argmax of w / Exponential(1) is a draw with weights w; torch.multinomial does the same but checks its input,
    # which synchronises host and device
    return (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax(1)


def soft_mask(attention: Tensor, size: torch.Size | tuple[int, int], threshold: Tensor, zoom: Tensor) -> Tensor:
    """Return the mask (N, 1) + *size* of one map of each image, *attention* (N, h, w): 0 where it is 0, 1 at most.

    The map is resized (bilinear, corners aligned), divided by its maximum and passed through a sigmoid at *threshold*:
    (sigmoid((a - threshold) zoom) - sigmoid(-threshold zoom)) / (1 - sigmoid(-threshold zoom)).
    """
    a = F.interpolate(attention[:, None], tuple(size), mode="bilinear", align_corners=True)
    a = a / a.amax((2, 3), keepdim=True).clamp_min(torch.finfo(a.dtype).tiny)
    floor = torch.sigmoid(-threshold * zoom)
    return (torch.sigmoid((a - threshold) * zoom) - floor) / (1 - floor)


def degrade(
    images: Tensor, scale: float, sigma: float, kernel_size: int, noise: float, generator: torch.Generator | None = None
) -> Tensor:
    """Return *images* (N, C, H, W) scaled down, blurred, with noise, and scaled back up; not clamped."""
    h, w = images.shape[-2:]
    small = F.interpolate(images, (max(1, int(h * scale)), max(1, int(w * scale))), mode="bilinear", align_corners=True)
    small = gaussian_blur(small, kernel_size, sigma)
    small = small + noise * torch.randn(small.shape, generator=generator, device=small.device)
    return F.interpolate(small, (h, w), mode="bilinear", align_corners=True)


def gaussian_blur(images: Tensor, kernel_size: int, sigma: float) -> Tensor:
    """Return *images* (N, C, H, W) blurred by a Gaussian of *sigma* pixels cut to *kernel_size*; edges are mirrored.

    The kernel is truncated for images that are smaller than its radius.
    """
    for dim in (2, 3):
        reach = min(kernel_size // 2, images.shape[dim] - 1)
        offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = kernel / kernel.sum()
        shape, padding = ((-1, 1), (0, 0, reach, reach)) if dim == 2 else ((1, -1), (reach, reach, 0, 0))
        weight = kernel.reshape(1, 1, *shape).expand(images.shape[1], 1, -1, -1)
        images = F.conv2d(F.pad(images, padding, mode="reflect"), weight, groups=images.shape[1])
    return images
