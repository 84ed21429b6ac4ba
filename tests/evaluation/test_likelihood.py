"""Likelihood ratios against lir and scikit-learn, rows worked by hand, and coverage on simulated people."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from evaluation import likelihood
from evaluation.clusters import Clusters
from evaluation.likelihood import Calibration, apply, calibrate

from .lir_reference import AT, CASES, COLUMNS, sample

with (Path(__file__).parent / "lir.csv").open(newline="") as file:
    HEADER, *ROWS = csv.reader(file)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_calibration_bounds_and_cost_are_those_of_lir(number: int) -> None:
    assert tuple(HEADER) == COLUMNS
    expected = dict(zip(HEADER, map(float, ROWS[number]), strict=True))
    labels, logits = sample(number)
    intercept, slope = likelihood.logistic(labels, logits)
    assert (intercept, slope) == pytest.approx((expected["intercept"], expected["slope"]), abs=1e-6)
    llr = intercept + slope * logits
    assert likelihood.bounds(labels, llr) == pytest.approx((expected["low"], expected["high"]))
    assert likelihood.cllr(labels, llr) == pytest.approx(expected["cllr"])
    assert likelihood.cllr_min(labels, llr) == pytest.approx(expected["cllr_min"])
    knots = likelihood.isotonic(labels, logits, CASES[number][0], CASES[number][1])
    found = likelihood.isotonic_llr(knots, AT)
    assert found.tolist() == pytest.approx([expected[f"isotonic{place:+g}"] for place in AT])


def test_the_logistic_is_scikit_learns_also_where_the_classes_separate() -> None:
    for fakes in ([1.0, 2.0, 2.5], [-1.5, 0.5, 3.0]):
        z, y = np.array([-3.0, -2.0, -1.0, *fakes]), np.repeat([0, 1], 3)
        model = LogisticRegression(class_weight="balanced", tol=1e-12).fit(z[:, None], y)
        found = likelihood.logistic(y, z)
        assert found == pytest.approx((model.intercept_[0], model.coef_[0, 0]), abs=1e-6)


def test_adjacent_violators_are_pooled_as_by_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    x, y, w = rng.integers(0, 30, 200), rng.random(200), rng.random(200) + 0.1
    places, values = likelihood.pooled_adjacent_violators(x, y, w)
    model = IsotonicRegression().fit(x, y, sample_weight=w)
    np.testing.assert_allclose(values, model.predict(places))


def test_cllr_of_four_rows_worked_by_hand() -> None:
    # reals with LR 1/3 and 1, fakes with 3 and 1: each side (log2(4/3) + log2(2)) / 2
    llr = np.log([1 / 3, 1, 3, 1])
    assert likelihood.cllr([0, 0, 1, 1], llr) == pytest.approx((math.log2(4 / 3) + 1) / 2)
    assert likelihood.cllr([0, 1], [0.0, 0.0]) == pytest.approx(1)
    assert likelihood.cllr_min([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(0)


def test_no_likelihood_ratio_goes_beyond_the_number_of_units() -> None:
    # perfectly separated, 8 reals and 4 fakes and one misleading one of each: the cost at the threshold t is 1/5 + t/9,
    # that of LR = 1 is the smaller one of 1 and t; so it is useful between t = 9/40 = 10^-.648 and 36/5 = 10^.857
    labels, llr = np.repeat([0, 1], 1000), np.repeat([-20.0, 20.0], 1000)
    assert likelihood.bounds(labels, llr, 8, 4) == pytest.approx((10**-0.64, 10**0.85))
    assert likelihood.bounds(labels, llr)[1] > 900


def test_units_share_no_one() -> None:
    assert likelihood.units(["000", "001", "001"]) == 2
    assert likelihood.units(["000+001", "001+000", "002+003"]) == 2
    assert likelihood.units(["a+b", "b+c", "c+d"]) == 2  # a+b and c+d


def simulated(rng: np.random.Generator, pairs: int, frames: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of people, two reals and two fakes each; logits +-1 with variance 1 of people and .25 of frames."""
    pair = np.repeat(np.arange(pairs), 4 * frames)
    labels = np.tile(np.repeat([0, 0, 1, 1], frames), pairs)
    of_video = np.repeat(rng.normal(0, 1, 4 * pairs), frames)
    return labels, 2.0 * labels - 1 + of_video + rng.normal(0, 0.5, len(labels)), pair


def fitted(labels: np.ndarray, logits: np.ndarray, pair: np.ndarray) -> Calibration:
    video = np.arange(len(labels)) // 4
    names = [f"{v}" if label == 0 else f"{v}+{v ^ 1}" for label, v in zip(labels, video, strict=True)]
    found = calibrate(labels, logits, Clusters.of(pair), names)
    assert found is not None
    return found


def test_the_interval_covers_the_true_likelihood_ratio_at_its_level() -> None:
    # truth: normal with variance 1.25 in both classes, means -1 and 1: llr = 2 z / 1.25
    rng, z = np.random.default_rng(5), 0.8
    hits = widths = 0.0
    for _ in range(80):
        found = fitted(*simulated(rng, 12))
        assert found.variance is not None
        interval = apply(found, z).interval
        assert interval is not None
            # the bounds may exclude the true value
        truth = min(max(math.exp(2 * z / 1.25), found.low), found.high)
        hits += interval[0] <= truth <= interval[1]
        widths += math.log(interval[1] / interval[0])
    assert 0.88 <= hits / 80 <= 1.0
    assert 0.5 < widths / 80 < 3


def test_figures_of_a_calibration_are_those_of_clusters_left_out() -> None:
    labels, logits, pair = simulated(np.random.default_rng(1), 5)
    found = fitted(labels, logits, pair)
    llr, called = np.empty(len(labels)), np.empty(len(labels), bool)
    for number in range(5):
        own = pair == number
        model = LogisticRegression(class_weight="balanced", tol=1e-12).fit(logits[~own, None], labels[~own])
        llr[own] = model.decision_function(logits[own, None])
        cuts = np.unique(logits[~own])
        gains = [np.mean(logits[~own & (labels == 1)] >= c) - np.mean(logits[~own & (labels == 0)] >= c) for c in cuts]
        best = max(c for c, gain in zip(cuts, gains, strict=True) if gain == max(gains))
        called[own] = logits[own] >= best
    assert found.cllr == pytest.approx(likelihood.cllr(labels, llr), abs=1e-5)
    assert found.false_alarms == pytest.approx(called[labels == 0].mean())
    assert found.misses == pytest.approx(1 - called[labels == 1].mean())
    assert (found.real_units, found.fake_units, found.clusters, found.unit) == (10, 5, 5, "pair")


def test_the_variance_is_the_jackknife_of_refitted_models() -> None:
    labels, logits, pair = simulated(np.random.default_rng(2), 4)
    parts = []
    for number in range(4):
        rest = pair != number
        model = LogisticRegression(class_weight="balanced", tol=1e-12).fit(logits[rest, None], labels[rest])
        parts.append((model.intercept_[0], model.coef_[0, 0]))
    expected = np.cov(np.array(parts).T, bias=True) * 3  # (C - 1) / C times the sum of squares
    found = fitted(labels, logits, pair).variance
    assert found == pytest.approx((expected[0, 0], expected[1, 1], expected[0, 1]), rel=1e-4)


def test_one_pair_has_a_likelihood_ratio_but_no_interval() -> None:
    labels, logits, pair = simulated(np.random.default_rng(2), 2)
    found = fitted(labels, logits, pair)
    assert found.variance is None
    assert "needs 3" in found.reason
    assert apply(found, 0.3).interval is None
    one = labels[pair == 0], logits[pair == 0], pair[pair == 0]
    assert calibrate(*one[:2], Clusters.of(one[2]), ["a" if k == 0 else "a+b" for k in one[0]]) is None


def test_everything_stays_within_the_bounds() -> None:
    found = fitted(*simulated(np.random.default_rng(4), 6))
    far = apply(found, 50.0)
    assert far.bounded
    assert far.lr == far.isotonic == found.high
    assert far.interval is not None
    assert found.low <= far.interval[0] <= far.interval[1] <= found.high
    assert apply(found, -50.0).lr == found.low


def test_people_in_several_pairs_are_left_out_with_all_that_shows_them() -> None:
    # persons 0..3 in a ring; column 0 is the first person of a row
    code = np.array([[0, -1], [1, -1], [2, -1], [3, -1], [0, 1], [1, 2], [2, 3], [0, 3]])
    clusters = Clusters("person", code, np.ones(4), np.arange(8))
    labels = np.array([0.0] * 4 + [1.0] * 4)
    folds = list(likelihood._folds(labels, clusters))
    assert [np.flatnonzero(own).tolist() for own, _ in folds] == [[1, 5], [2, 6], [3]]
    assert np.flatnonzero(folds[0][1]).tolist() == [0, 3, 7]
