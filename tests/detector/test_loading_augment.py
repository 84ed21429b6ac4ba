"""Augmentation on the device against a loop over pixels in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from detector.conditions import parse
from detector.config import AugmentConfig
from detector.loading.augment import BLUE, BRIGHTNESS, CONTRAST, FLIP, RED, augment, blur, draw, to_float, warp
from detector.loading.recompress import Recompress

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


def warped(image, flip, degrees, scale):
    """One image (H, W, 3): each pixel taken from where the turned, enlarged and then mirrored image has it."""
    h, w = image.shape[:2]
    y, x = np.meshgrid(np.arange(h) - (h - 1) / 2, np.arange(w) - (w - 1) / 2, indexing="ij")
    x = -x if flip else x
    cos, sin = np.cos(np.radians(degrees)) / scale, np.sin(np.radians(degrees)) / scale
    source = [sin * x + cos * y + (h - 1) / 2, cos * x - sin * y + (w - 1) / 2]
    channels = [ndimage.map_coordinates(channel, source, order=1, mode="reflect") for channel in image.T.swapaxes(1, 2)]
    return np.stack(channels, axis=-1)


def test_a_warp_turns_enlarges_and_mirrors_as_scipy_does():
    images = np.random.default_rng(2).random((4, 9, 14, 3), dtype=np.float32)
    flips, angles, scales = [False, True, True, False], [0.0, 17.0, -60.0, 5.0], [1.0, 1.3, 0.7, 0.9]
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    result = warp(x, torch.tensor(flips), torch.tensor(angles).deg2rad(), torch.tensor(scales)).permute(0, 2, 3, 1)
    expected = [warped(*values) for values in zip(images, flips, angles, scales, strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_blur_is_scipys_gaussian_and_none_for_sigma_0():
    images = np.random.default_rng(3).random((3, 3, 12, 10), dtype=np.float32)
    sigmas = [1.4, 0.0, 0.6]
    result = blur(torch.from_numpy(images), torch.tensor(sigmas))
    for image, sigma, seen in zip(images, sigmas, result, strict=True):
        expected = image if sigma == 0 else ndimage.gaussian_filter(image, (0, sigma, sigma), radius=4, mode="mirror")
        np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_turned_and_blurred_batches_are_augmented_crop_by_crop():
    config = AugmentConfig(rotate=10, scale=0.1, blur=0.5)
    images = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))
    whole = augment(images, draw(1, 2, np.arange(8)), config)
    one_by_one = torch.cat([augment(images[i : i + 1], draw(1, 2, [i]), config) for i in range(8)])
    torch.testing.assert_close(whole, one_by_one, atol=1e-6, rtol=0)
    assert whole.is_contiguous(memory_format=torch.channels_last)


def test_some_crops_go_through_a_listed_condition():
    config = AugmentConfig(recompress=0.5, conditions=("60", "turbo:10"))
    rng = np.random.default_rng(5)
    images = ndimage.gaussian_filter(rng.integers(0, 256, (40, 24, 24, 3)).astype(np.uint8), (0, 1, 1, 0))
    ids = np.arange(40)
    results = []
    for threads in (1, 3):
        result = images.copy()
        Recompress(config, seed=1, threads=threads)(7, ids, result)
        results.append(result)
    assert np.array_equal(*results)
    counts = dict.fromkeys(("raw", "60", "turbo:10"), 0)
    for image, result in zip(images, results[0], strict=True):
        seen = {label: parse(label).apply(image) for label in counts}
        (name,) = (name for name, expected in seen.items() if np.array_equal(result, expected))
        counts[name] += 1
    assert min(counts.values()) >= 5  # 20, 10 and 10 are expected
    again = images[10:12].copy()
    Recompress(config, seed=1)(7, ids[10:12], again)
    assert np.array_equal(again, results[0][10:12])


def test_nothing_is_changed_when_every_range_is_zero():
    nothing = AugmentConfig(flip=0, contrast=0, brightness=0, color=0)
    result = augment(torch.from_numpy(IMAGES), draw(1, 2, np.arange(6)), nothing)
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
