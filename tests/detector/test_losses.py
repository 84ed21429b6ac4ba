"""Losses: against scikit-learn, torchvision and formulae written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from detector.models._timm import timm  # noqa: F401 (makes torchvision importable)
from detector.models.losses import (
    RegionalIndependenceLoss,
    binary_cross_entropy,
    match_loss,
    moved_centers,
    regional_independence_loss,
)

LABELS = torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.tensor([-1.5, 0.3, 4.0, 2.0, -0.7])


def unit_rows(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator).abs(), dim=-1)


def test_cross_entropy_is_scikit_learns(logits: torch.Tensor) -> None:
    expected = log_loss(LABELS.numpy(), torch.sigmoid(logits.double()).numpy())

    assert binary_cross_entropy(logits, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_moves_the_targets_by_half_of_it(logits: torch.Tensor) -> None:
    p = torch.sigmoid(logits.double()).numpy()
    expected = np.mean([-(0.95 * np.log(q) + 0.05 * np.log(1 - q)) for q in np.where(LABELS == 1, p, 1 - p)])

    assert binary_cross_entropy(logits, LABELS, label_smoothing=0.1).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_half_precision_logits_is_float32() -> None:
    loss = binary_cross_entropy(torch.tensor([12.0], dtype=torch.float16), torch.tensor([1]))

    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(np.log1p(np.exp(-12)), rel=1e-3)  # 6e-6, nothing in float16


def test_centers_move_a_part_of_the_way_to_the_batch_mean() -> None:
    vectors, centers = unit_rows(6, 3, 4), unit_rows(3, 4)

    torch.testing.assert_close(moved_centers(centers, vectors, 0.1), 0.9 * centers + 0.1 * vectors.mean(0))


def test_regional_independence_loss_is_the_formula_in_loops() -> None:
    vectors, centers = unit_rows(5, 4, 6), 0.6 * unit_rows(4, 6).flip(0)
    margins, outer, alpha = (0.5, 0.7), 0.4, 0.05
    inner = [
        max(0.0, np.linalg.norm(vectors[b, m] - centers[m]) - margins[int(LABELS[b])])
        for b in range(5)
        for m in range(4)
    ]
    between = [max(0.0, outer - np.linalg.norm(centers[i] - centers[j])) for i in range(4) for j in range(i + 1, 4)]
    expected = np.mean(inner) + sum(between) / 4 / alpha
    assert 0 < sum(x > 0 for x in inner) < 20  # some in, some out of the margin
    assert sum(between) > 0

    actual = regional_independence_loss(vectors, centers, LABELS, alpha, margins, outer)

    assert actual.item() == pytest.approx(expected, rel=1e-5)


def test_default_margins_are_the_papers() -> None:
    centers = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    vectors = torch.tensor([[[1.0, 0.08], [0.0, 1.0]]])  # .08 from its centre: beyond .05, within .1

    real = regional_independence_loss(vectors, centers, torch.tensor([0]), 0.05)
    fake = regional_independence_loss(vectors, centers, torch.tensor([1]), 0.05)

    assert real.item() == pytest.approx(0.03 / 2)
    assert fake.item() == 0


def test_one_attention_has_no_other_to_keep_away_from() -> None:
    vectors = unit_rows(5, 1, 6)

    assert regional_independence_loss(vectors, vectors.mean(0), LABELS, 0.05, (2, 2)).item() == 0


def test_gradient_between_centers_does_not_shrink_with_alpha() -> None:
    gradients = []
    for alpha in (0.05, 0.005):
        loss = RegionalIndependenceLoss(3, 8, inner_margins=(9, 9), alpha=alpha)
        vectors = unit_rows(4, 3, 8).requires_grad_()
        loss(vectors, LABELS[:4]).backward()
        gradients.append(vectors.grad)

    assert gradients[0].abs().max() > 0.01
    torch.testing.assert_close(gradients[0], gradients[1])


def test_gradient_is_finite_where_regions_coincide() -> None:
    loss = RegionalIndependenceLoss(3, 8)
    vectors = torch.full((4, 3, 8), 8**-0.5, requires_grad=True)
    loss(vectors, LABELS[:4]).backward()

    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


def test_centers_stay_in_evaluation_and_move_slower_every_epoch() -> None:
    loss, vectors = RegionalIndependenceLoss(3, 8), unit_rows(4, 3, 8)
    loss(vectors, LABELS[:4], epoch=2)
    first = loss.feature_centers.clone()
    loss.eval()(vectors, LABELS[:4])

    torch.testing.assert_close(first, 0.05 * 0.9**2 * vectors.mean(0))
    assert torch.equal(loss.feature_centers, first)
    assert not loss.feature_centers.requires_grad
    assert "feature_centers" in loss.state_dict()


def test_regional_independence_is_float32_under_autocast() -> None:
    loss, vectors = RegionalIndependenceLoss(3, 8), unit_rows(4, 3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(vectors.bfloat16(), LABELS[:4])

    assert value.dtype == loss.feature_centers.dtype == torch.float32


def test_match_loss_leaves_out_the_degraded_map() -> None:
    first, second, index = unit_rows(3, 4, 5), unit_rows(3, 4, 5).flip(0), torch.tensor([0, 2, 3])
    expected = [np.linalg.norm(first[b, m] - second[b, m]) for b in range(3) for m in range(4) if m != index[b]]

    assert match_loss(first, second, index).item() == pytest.approx(np.sum(expected) / 12, rel=1e-6)


def test_match_loss_of_the_only_map_is_zero() -> None:
    assert match_loss(unit_rows(3, 1, 5), -unit_rows(3, 1, 5), torch.zeros(3, dtype=torch.long)).item() == 0


def test_bad_decay_is_named() -> None:
    with pytest.raises(ValueError, match=r"must be in \(0, 1\], got 0 and 0.9"):
        RegionalIndependenceLoss(4, 8, alpha=0)
