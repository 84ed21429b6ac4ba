"""Augmentation on the device against a loop over pixels in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from detector.config import AugmentConfig
from detector.loading.augment import BLUE, BRIGHTNESS, CONTRAST, FLIP, RED, augment, draw, to_float

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def reference(image, u, config):
    """One image (H, W, 3) on the scale of -1..1, channel by channel."""
    x = image.astype(np.float64) / 127.5 - 1
    if u[FLIP] < config.flip:
        x = x[:, ::-1]
    x = x * (1 + config.contrast * (2 * u[CONTRAST] - 1))
    x = x + config.brightness * (2 * u[BRIGHTNESS] - 1)
    x = x + config.color * (2 * u[RED : BLUE + 1] - 1)
    return (x + 1) / 2


def test_a_batch_is_augmented_as_each_image_alone_in_numpy():
    config = AugmentConfig(flip=0.5, contrast=0.3, brightness=0.2, color=0.1)
    draws = draw(seed=1, step=2, ids=np.arange(6))
    result = augment(torch.from_numpy(IMAGES), draws, config).permute(0, 2, 3, 1).numpy()
    expected = [reference(image, u, config) for image, u in zip(IMAGES, draws.double().numpy(), strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-6)
    flips = draws[:, FLIP] < 0.5
    assert flips.any()
    assert not flips.all()


def test_nothing_is_changed_when_every_range_is_zero():
    result = augment(torch.from_numpy(IMAGES), draw(1, 2, np.arange(6)), AugmentConfig(0, 0, 0, 0))
    torch.testing.assert_close(result, to_float(torch.from_numpy(IMAGES)), atol=1e-6, rtol=0)


def test_a_crop_is_augmented_alike_in_any_batch():
    config = AugmentConfig()
    images = torch.from_numpy(IMAGES)
    whole = augment(images, draw(1, 2, [10, 11, 12, 13, 14, 15]), config)
    part = augment(images[2:4], draw(1, 2, [12, 13]), config)
    assert torch.equal(whole[2:4], part)


def test_batches_are_channels_last_floats():
    images = torch.from_numpy(IMAGES)
    for result in (augment(images, draw(1, 2, range(6)), AugmentConfig()), to_float(images)):
        assert result.shape == (6, 3, 5, 4)
        assert result.dtype == torch.float32
        assert result.is_contiguous(memory_format=torch.channels_last)
