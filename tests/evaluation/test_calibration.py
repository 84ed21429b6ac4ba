"""Calibration on samples whose calibration is known."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from evaluation.calibration import apply_temperature, ece, reliability, temperature
from evaluation.metrics import logit


def calibrated(n=200_000, seed=0):
    """Scores that are the true probabilities of their labels."""
    generator = np.random.default_rng(seed)
    score = generator.beta(0.7, 0.9, n)
    return (generator.random(n) < score).astype(int), score


def test_ece_of_a_calibrated_sample_is_only_sampling_noise():
    y_true, y_score = calibrated()
    # 15 bins of 13,333: the mean |error| of a bin is about .8 * sqrt(p (1 - p) / 13333) <= .0035
    assert ece(y_true, y_score) < 0.0035


def test_ece_of_eight_rows_worked_by_hand():
    # two bins of four: mean scores .15 and .75, shares 1/4 and 2/4, so (.10 + .25) / 2
    assert ece([0, 0, 0, 1, 0, 1, 0, 1], [0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9], bins=2) == pytest.approx(0.175)


def test_bins_weigh_as_many_samples_as_they_hold():
    # by hand: .2 three times with one fake, |.2 - 1/3| = 2/15; .9 once, a fake, |.9 - 1| = 1/10; (3 x 2/15 + 1/10) / 4
    assert ece([0, 0, 1, 1], [0.2, 0.2, 0.2, 0.9]) == pytest.approx(0.125)


def test_bins_hold_equal_masses():
    found = reliability(*calibrated(1500))
    assert len(found.count) == 15
    assert set(found.count.tolist()) <= {99, 100, 101}
    assert (np.diff(found.score) > 0).all()


def test_equal_scores_share_a_bin_and_order_does_not_matter():
    y_true, y_score = calibrated(300, seed=1)
    y_score = np.round(y_score, 1)
    order = np.random.default_rng(0).permutation(300)
    assert ece(y_true[order], y_score[order]) == pytest.approx(ece(y_true, y_score), abs=1e-12)
    assert sum(reliability(y_true, y_score).count) == 300


def test_a_constant_score_makes_one_bin():
    found = reliability([0, 1, 1, 1], [0.5] * 4)
    assert (found.score.tolist(), found.share.tolist(), found.count.tolist()) == ([0.5], [0.75], [4])
    assert ece([0, 1, 1, 1], [0.5] * 4) == 0.25


def test_nothing_and_nan_have_no_calibration():
    assert np.isnan(ece([], []))
    assert np.isnan(ece([0, 1], [0.5, np.nan]))
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability([0, 1], [0.1, 0.2], bins=0)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_temperature_undoes_a_known_one(true_temperature):
    y_true, y_score = calibrated()
    found = temperature(y_true, logit(y_score) * true_temperature)
    assert found == pytest.approx(true_temperature, rel=0.03)


def test_temperature_minimises_scikit_learns_log_loss():
    y_true, y_score = calibrated(500, seed=3)
    logits = 3 * logit(y_score) + 0.4

    def loss(log_t):
        return log_loss(y_true, 1 / (1 + np.exp(-logits / np.exp(log_t))))

    expected = np.exp(minimize_scalar(loss, bounds=(-2, 4), method="bounded", options={"xatol": 1e-9}).x)
    assert temperature(y_true, logits) == pytest.approx(expected, rel=1e-4)


def test_temperature_leaves_the_ranking_alone():
    _, y_score = calibrated(200)
    cooled = apply_temperature(y_score, 3.0)
    assert (np.argsort(cooled) == np.argsort(y_score)).all()


@pytest.mark.parametrize(
    ("y_true", "logits"),
    [([], []), ([1, 1], [0.2, 0.3]), ([0, 1], [-1.0, 1.0]), ([0, 1, 1], [2.0, -1.0, -2.0]), ([0, 1], [np.nan, 1])],
)
def test_temperature_is_undefined_where_no_finite_one_is_best(y_true, logits):
    # nothing, one class, separated perfectly, pointing the wrong way, NaN
    assert np.isnan(temperature(y_true, logits))
