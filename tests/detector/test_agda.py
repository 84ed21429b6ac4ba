"""AGDA: the formulae in loops, SciPy's Gaussian, and what must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from detector.models.agda import AGDA, choose_maps, degrade, gaussian_blur, soft_mask


def images(n: int = 2, side: int = 48) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def maps(n: int = 2, m: int = 4, side: int = 6) -> torch.Tensor:
    """Attention maps above 0 with a border of 0."""
    values = torch.rand(n, m, side, side, generator=torch.Generator().manual_seed(2)) + 0.1
    return torch.nn.functional.pad(values[..., 1:-1, 1:-1], (1, 1, 1, 1))


def test_blur_is_scipys_gaussian() -> None:
    picture = images(1, 40)
    expected = [gaussian_filter(c, 7, radius=5, mode="mirror") for c in picture[0].double().numpy()]

    np.testing.assert_allclose(gaussian_blur(picture, 11, 7.0)[0].numpy(), expected, atol=1e-6)


def test_blur_of_an_image_smaller_than_the_kernel_keeps_its_mean_gray() -> None:
    gray = torch.full((1, 3, 3, 4), 0.25)

    torch.testing.assert_close(gaussian_blur(gray, 11, 7.0), gray)


def test_soft_mask_is_the_formula_pixel_by_pixel() -> None:
    attention = maps()[:, 0]
    threshold, zoom = torch.tensor(0.45), torch.tensor(4.0)
    mask = soft_mask(attention, (6, 6), threshold, zoom)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    for b in range(2):
        top = attention[b].max().item()
        for i in range(6):
            for j in range(6):
                a = attention[b, i, j].item() / top
                expected = (sigmoid((a - 0.45) * 4) - sigmoid(-0.45 * 4)) / (1 - sigmoid(-0.45 * 4))
                assert mask[b, 0, i, j].item() == pytest.approx(expected, abs=1e-6)
    assert (mask[attention[:, None] == 0] == 0).all()


def test_soft_mask_of_a_map_without_attention_is_zero() -> None:
    mask = soft_mask(torch.zeros(1, 4, 4), (8, 8), torch.tensor(0.5), torch.tensor(4.0))

    assert torch.equal(mask, torch.zeros(1, 1, 8, 8))


def test_degraded_image_loses_its_detail_and_keeps_its_mean() -> None:
    picture = images(1, 96)
    worse = degrade(picture, 0.3, 7.0, 11, 0.0)

    assert worse.shape == picture.shape
    assert worse.std() < 0.2 * picture.std()
    torch.testing.assert_close(worse.mean(), picture.mean(), atol=0.01, rtol=0)


def test_noise_has_the_given_deviation() -> None:
    gray = torch.full((1, 3, 400, 400), 0.5)
    worse = degrade(gray, 1.0, 7.0, 11, 0.05, torch.Generator().manual_seed(3))

    assert (worse - gray).std().item() == pytest.approx(0.05, rel=0.01)


def test_a_map_is_drawn_the_likelier_the_more_it_attends() -> None:
    attention = torch.zeros(40_000, 3, 2, 2)
    attention[:, 1] = 2.0  # sums 0, 8, 15: weights 1, 3, 4
    attention[:, 2] = 3.75
    counts = torch.bincount(choose_maps(attention, torch.Generator().manual_seed(4)), minlength=3)

    # standard deviation of a share at n = 40,000 is at most .0025
    torch.testing.assert_close(counts / 40_000, torch.tensor([1 / 8, 3 / 8, 4 / 8]), atol=0.01, rtol=0)


def test_only_the_attended_region_changes() -> None:
    attention = torch.zeros(2, 1, 12, 12)
    attention[:, :, :5, :5] = 1.0
    pictures = images(2, 48)
    changed, index = AGDA()(pictures, attention, torch.Generator().manual_seed(5))
    outside = torch.nn.functional.interpolate(attention, (48, 48), mode="bilinear", align_corners=True) == 0

    assert index.tolist() == [0, 0]
    assert torch.equal(changed[outside.expand_as(changed)], pictures[outside.expand_as(changed)])
    assert (changed[:, :, :12, :12] - pictures[:, :, :12, :12]).abs().mean() > 0.1


def test_result_has_no_gradient_and_repeats_with_the_generator() -> None:
    pictures, attention = images().requires_grad_(), maps().requires_grad_()
    first, index = AGDA()(pictures, attention, torch.Generator().manual_seed(6))
    second, _ = AGDA()(pictures, attention, torch.Generator().manual_seed(6))
    third, _ = AGDA()(pictures, attention, torch.Generator().manual_seed(7))

    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert not first.requires_grad
    assert index.shape == (2,)


def test_half_precision_maps_give_float32_images() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        changed, _ = AGDA()(images(), maps().bfloat16())

    assert changed.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, r"scale must be in \(0, 1\], got 0"),
        ({"kernel_size": 10}, "kernel_size must be odd, got 10"),
        ({"noise": -1}, "noise not below, got 7.0 and -1"),
    ],
)
def test_bad_settings_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AGDA(**options)  # type: ignore[arg-type]
