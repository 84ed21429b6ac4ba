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


def ece_of_bins(y_true, y_score, bins):
    """The definition, sample by sample: *bins* hold positions."""
    return sum(abs(sum(y_score[k] - y_true[k] for k in members)) for members in bins) / len(y_true)


def equal_mass(y_score, bins):
    order, n = sorted(range(len(y_score)), key=lambda k: y_score[k]), len(y_score)
    return [order[round(b * n / bins) : round((b + 1) * n / bins)] for b in range(bins)]


def equal_width(y_score, bins):
    return [[k for k, s in enumerate(y_score) if b < s * bins <= b + 1 or (b == 0 and s == 0)] for b in range(bins)]


# netcal 1.4.0, ECE(bins=15, equal_intervals=False or True, detection=True).measure(y_score, y_true)
NETCAL = [(150, 0.10724575233733259, 0.10750150751402872), (300, 0.08330174668881786, 0.07233268269750448)]


@pytest.mark.parametrize(("n", "mass", "width"), NETCAL)
def test_ece_is_netcals_with_bins_of_equal_mass_and_not_of_equal_width(n, mass, width):
    generator = np.random.default_rng(0)
    for rows, *_ in NETCAL[: [row[0] for row in NETCAL].index(n) + 1]:       # both samples come from one generator
        y_score = generator.beta(0.7, 0.9, rows)
        y_true = (generator.random(rows) < y_score**1.5).astype(int)
    assert ece_of_bins(y_true, y_score, equal_mass(y_score, 15)) == pytest.approx(mass, abs=1e-12)
    assert ece_of_bins(y_true, y_score, equal_width(y_score, 15)) == pytest.approx(width, abs=1e-12)
    assert ece(y_true, y_score) == pytest.approx(mass, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 2, 7, 15])
def test_bins_of_equal_mass_and_width_are_the_same_for_evenly_spread_scores(bins):
    n = 30 * bins
    y_score = (np.arange(n) + 0.5) / n
    y_true = (np.random.default_rng(bins).random(n) < y_score**2).astype(int)
    for members in (equal_mass(y_score, bins), equal_width(y_score, bins)):
        assert ece(y_true, y_score, bins) == pytest.approx(ece_of_bins(y_true, y_score, members), abs=1e-12)


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
