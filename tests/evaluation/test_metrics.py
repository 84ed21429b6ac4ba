"""Metrics against scikit-learn, counting of every pair, and rows computed by hand."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from evaluation import metrics

CASES = [(seed, digits) for seed in range(6) for digits in (1, 2, None)]      # 1: nearly all scores tie


def sample(seed, digits, n=173):
    generator = np.random.default_rng(seed)
    y_true = generator.integers(0, 2, n)
    y_score = np.clip(generator.normal(0.4 + 0.15 * y_true, 0.2), 0, 1)
    return y_true, y_score if digits is None else np.round(y_score, digits)


def every_pair(y_true, y_score):
    """AUC by comparing every fake with every real face."""
    fakes, reals = y_score[y_true == 1], y_score[y_true == 0]
    return np.mean([(fake > real) + 0.5 * (fake == real) for fake in fakes for real in reals])


@pytest.mark.parametrize(("seed", "digits"), CASES)
def test_auc_is_scikit_learns_and_that_of_every_pair(seed, digits):
    y_true, y_score = sample(seed, digits)
    assert metrics.auc(y_true, y_score) == pytest.approx(sklearn.roc_auc_score(y_true, y_score), abs=1e-12)
    assert metrics.auc(y_true, y_score) == pytest.approx(every_pair(y_true, y_score), abs=1e-12)


@pytest.mark.parametrize(("seed", "digits"), CASES)
def test_ap_is_scikit_learns(seed, digits):
    y_true, y_score = sample(seed, digits)
    assert metrics.ap(y_true, y_score) == pytest.approx(sklearn.average_precision_score(y_true, y_score), abs=1e-12)


@pytest.mark.parametrize(("seed", "digits"), CASES)
def test_roc_and_det_hold_every_point_of_scikit_learns_curve(seed, digits):
    y_true, y_score = sample(seed, digits)
    expected = sklearn.roc_curve(y_true, y_score, drop_intermediate=False)
    for ours, theirs in zip(metrics.roc(y_true, y_score), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    fpr, fnr, _ = metrics.det(y_true, y_score)
    np.testing.assert_allclose(fpr, expected[0], atol=1e-12)
    np.testing.assert_allclose(fnr, 1 - expected[1], atol=1e-12)


@pytest.mark.parametrize(("seed", "digits"), CASES)
def test_eer_is_where_the_interpolated_curve_meets_its_diagonal(seed, digits):
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq

    y_true, y_score = sample(seed, digits)
    fpr, tpr, _ = sklearn.roc_curve(y_true, y_score, drop_intermediate=False)
    # along the curve, not over fpr: with vertical pieces the latter is no function
    step = np.arange(len(fpr))
    gap = interp1d(step, 1 - tpr - fpr)
    at = brentq(gap, 0, len(fpr) - 1)
    assert metrics.eer(y_true, y_score) == pytest.approx(float(interp1d(step, fpr)(at)), abs=1e-9)


def test_eer_and_threshold_of_four_rows_worked_by_hand():
    # highest first: fake .9, real .6, fake .4, real .2; the curve goes (0, 0) (0, .5) (.5, .5) (.5, 1) (1, 1) and
    # meets fnr = fpr at (.5, .5), the point of the threshold .6
    y_true, y_score = [1, 0, 1, 0], [0.9, 0.6, 0.4, 0.2]
    assert metrics.eer(y_true, y_score) == 0.5
    assert metrics.eer_threshold(y_true, y_score) == 0.6


def test_eer_between_two_points_is_interpolated():
    # one threshold passes 2 of 3 fakes and 1 of 2 reals: from (0, 0) to (1/2, 2/3) the gap goes from 1 to -1/6,
    # so 6/7 of the way: fpr = 3/7; the threshold of "nothing" is no number, so the first score stands
    y_true, y_score = [1, 1, 1, 0, 0], [0.8, 0.8, 0.3, 0.8, 0.3]
    assert metrics.eer(y_true, y_score) == pytest.approx(3 / 7)
    assert metrics.eer_threshold(y_true, y_score) == pytest.approx(0.8)


def test_tpr_at_fpr_is_interpolated_and_takes_the_upper_end_of_a_step():
    y_true = [0] * 20 + [1] * 4
    y_score = [i / 100 for i in range(20)] + [0.5, 0.195, 0.185, 0.01]
    # above every real: .5 and .195, so tpr .5 at fpr 0; then one real (.19), fpr .05, then fake .185: tpr .75
    assert metrics.tpr_at_fpr([*y_true, *[0] * 20], [*y_score, *[0.0] * 20], 0.04) == 0.75      # between two reals
    assert metrics.tpr_at_fpr(y_true, y_score, 0.05) == 0.75
    # with 20 more at the bottom the same real is fpr .025
    assert metrics.tpr_at_fpr([*y_true, *[0] * 20], [*y_score, *[0.0] * 20], 0.025) == 0.75
    assert np.isnan(metrics.tpr_at_fpr(y_true, y_score, 0.01))       # 20 real faces cannot show one alarm in a hundred


@pytest.mark.parametrize("fpr", [0, 1, -0.1, 1.5])
def test_tpr_at_an_impossible_fpr_is_refused(fpr):
    with pytest.raises(ValueError, match="fpr must lie between 0 and 1"):
        metrics.tpr_at_fpr([0, 1], [0.2, 0.8], fpr)


@pytest.mark.parametrize("threshold", [0.5, 0.37, 0.0, 1.0])
@pytest.mark.parametrize(("seed", "digits"), CASES[:6])
def test_metrics_at_a_threshold_are_scikit_learns(seed, digits, threshold):
    y_true, y_score = sample(seed, digits)
    called = (y_score >= threshold).astype(int)
    args = (y_true, y_score, threshold)
    assert metrics.accuracy(*args) == pytest.approx(sklearn.accuracy_score(y_true, called))
    assert metrics.balanced_accuracy(*args) == pytest.approx(sklearn.balanced_accuracy_score(y_true, called))
    assert metrics.f1(*args) == pytest.approx(sklearn.f1_score(y_true, called))
    assert metrics.recall(*args) == metrics.acc_fake(*args) == pytest.approx(sklearn.recall_score(y_true, called))
    assert metrics.acc_real(*args) == pytest.approx(sklearn.recall_score(y_true, called, pos_label=0))
    if called.any():
        assert metrics.precision(*args) == pytest.approx(sklearn.precision_score(y_true, called))
    if 0 < called.sum() < len(called):
        assert metrics.mcc(*args) == pytest.approx(sklearn.matthews_corrcoef(y_true, called))
    tn, fp, fn, tp = sklearn.confusion_matrix(y_true, called, labels=[0, 1]).ravel()
    ours = metrics.confusion(*args)
    assert (ours.tn, ours.fp, ours.fn, ours.tp) == (tn, fp, fn, tp)


def test_youden_threshold_has_the_best_balanced_accuracy_of_all():
    y_true, y_score = sample(3, 2)
    best = metrics.youden_threshold(y_true, y_score)
    every = [metrics.balanced_accuracy(y_true, y_score, threshold) for threshold in np.unique(y_score)]
    assert metrics.balanced_accuracy(y_true, y_score, best) == pytest.approx(max(every))


@pytest.mark.parametrize(("seed", "digits"), CASES[:6])
def test_logloss_and_brier_are_scikit_learns(seed, digits):
    y_true, y_score = sample(seed, digits)
    clipped = np.clip(y_score, 1e-7, 1 - 1e-7)
    assert metrics.logloss(y_true, y_score) == pytest.approx(sklearn.log_loss(y_true, clipped))
    assert metrics.brier(y_true, y_score) == pytest.approx(sklearn.brier_score_loss(y_true, y_score))


def test_weights_count_a_sample_that_often():
    y_true, y_score = sample(4, 1, n=40)
    weights = np.random.default_rng(0).integers(0, 4, (5, 40))
    counts = metrics.Ranking(y_true, y_score).counts(weights)
    for row, auc, ap, (eer, _) in zip(
        weights, counts.auc(), counts.ap(), zip(*counts.eer(), strict=True), strict=True
    ):
        again = np.repeat(y_true, row), np.repeat(y_score, row)
        assert auc == pytest.approx(metrics.auc(*again))
        assert ap == pytest.approx(metrics.ap(*again))
        assert eer == pytest.approx(metrics.eer(*again))


CURVES = [metrics.auc, metrics.eer, metrics.eer_threshold, metrics.youden_threshold]
ONE_CLASS = [([0, 0, 0], [0.1, 0.5, 0.9]), ([1, 1], [0.2, 0.7]), ([], []), ([1], [0.5])]


@pytest.mark.parametrize("metric", CURVES)
@pytest.mark.parametrize(("y_true", "y_score"), ONE_CLASS)
def test_one_class_or_nothing_is_undefined_and_no_exception(metric, y_true, y_score):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metric(y_true, y_score))


def test_a_score_that_is_nan_makes_rankings_undefined():
    for metric in (*CURVES, metrics.ap, metrics.accuracy, metrics.logloss, metrics.brier):
        assert np.isnan(metric([0, 1, 1], [0.1, np.nan, 0.9]))


def test_what_one_class_still_defines_is_given():
    assert np.isnan(metrics.ap([0, 0], [0.3, 0.4]))
    assert metrics.ap([1, 1], [0.3, 0.4]) == 1
    assert metrics.accuracy([0, 0], [0.3, 0.6]) == 0.5
    assert np.isnan(metrics.balanced_accuracy([0, 0], [0.3, 0.6]))
    assert np.isnan(metrics.precision([0, 1], [0.1, 0.2]))           # nothing is classified as fake
    assert np.isnan(metrics.f1([0, 0], [0.1, 0.2]))
    assert metrics.f1([0, 1], [0.1, 0.2]) == 0                       # a fake is missed: that is 0, not undefined
    assert np.isnan(metrics.mcc([0, 1], [0.1, 0.2]))


def test_a_constant_score_is_at_chance():
    y_true, y_score = [0, 1, 0, 1, 1], [0.4] * 5
    assert metrics.auc(y_true, y_score) == 0.5
    assert metrics.eer(y_true, y_score) == 0.5
    assert metrics.ap(y_true, y_score) == 0.6


def test_the_order_of_the_rows_does_not_matter():
    y_true, y_score = sample(5, 2)
    order = np.random.default_rng(1).permutation(len(y_true))
    for metric in (metrics.auc, metrics.ap, metrics.eer, metrics.f1, metrics.youden_threshold):
        assert metric(y_true[order], y_score[order]) == metric(y_true, y_score)


@pytest.mark.parametrize(
    ("y_true", "y_score", "message"),
    [
        ([0, 1], [0.5], "of equal length"),
        ([0, 2], [0.1, 0.2], "0 \\(real\\) or 1 \\(fake\\)"),
        ([[0, 1]], [[0.1, 0.2]], "one-dimensional"),
    ],
)
def test_wrong_input_is_refused(y_true, y_score, message):
    with pytest.raises(ValueError, match=message):
        metrics.auc(y_true, y_score)


def test_infinite_scores_rank_like_others():
    assert metrics.auc([0, 1, 1], [-np.inf, 0.0, np.inf]) == 1
