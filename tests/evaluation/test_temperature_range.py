"""The interval of a fitted temperature: how often it covers, what scaling all logits does to it, and its reasons."""

import numpy as np
import pytest
from scipy.special import expit

from evaluation.calibration import temperature
from evaluation.calibration_ranges import LEAST_WRONG, fitted_temperature
from evaluation.clusters import Clusters
from evaluation.jackknife import Sample

CLUSTERS, EACH = 60, 10


def drawn(generator, true_temperature=1.0, spread=1.5):
    """Labels with the probability expit(logit / T), their logits, and their clusters, which share part of the logit."""
    common = np.repeat(generator.normal(0, spread, CLUSTERS), EACH)
    truth = common + generator.normal(0, spread, CLUSTERS * EACH)
    label = (generator.random(len(truth)) < expit(truth)).astype(int)
    return label, true_temperature * truth, Clusters.of(np.repeat(np.arange(CLUSTERS), EACH))


def interval(label, logits, clusters):
    return fitted_temperature(Sample.of(label, expit(logits), clusters))


@pytest.mark.parametrize("true_temperature", [0.5, 2.0])
def test_the_interval_covers_the_temperature_that_the_scores_were_made_with(true_temperature):
    generator, covered = np.random.default_rng(1), 0
    for _ in range(150):
        found = interval(*drawn(generator, true_temperature))
        assert found.lo < found.value < found.hi
        covered += found.lo <= true_temperature <= found.hi
    # .95 less and plus 2.6 standard errors of a share of 150
    assert 0.90 <= covered / 150 <= 0.99


def test_logits_times_three_have_three_times_the_temperature_and_its_ends():
    # scores are clipped to [1e-7, 1 - 1e-7], logits to 16.1
    label, logits, clusters = drawn(np.random.default_rng(2), spread=0.8)
    assert np.abs(3 * logits).max() < 16.1
    once, thrice = interval(label, logits, clusters), interval(label, 3 * logits, clusters)
    assert once.value == pytest.approx(temperature(label, logits))
    # the ends are found by halving, to about one part in a million
    assert thrice[:3] == pytest.approx([3 * once.value, 3 * once.lo, 3 * once.hi], rel=1e-4)


def test_repeating_every_row_changes_nothing_and_more_clusters_narrow_the_interval():
    label, logits, clusters = drawn(np.random.default_rng(3))
    names = np.repeat(np.arange(CLUSTERS), EACH)
    once = interval(label, logits, clusters)
    often = interval(np.repeat(label, 4), np.repeat(logits, 4), Clusters.of(np.repeat(names, 4)))
    assert often[:3] == pytest.approx(once[:3], rel=1e-5)
    copies = interval(np.tile(label, 4), np.tile(logits, 4), Clusters.of(np.arange(4 * len(names)) // EACH))
    assert copies.value == pytest.approx(once.value, rel=1e-5)
    # four times as many clusters: half the width, and the t quantile falls a little
    assert (copies.hi - copies.lo) / (once.hi - once.lo) == pytest.approx(0.5, abs=0.1)


def test_a_temperature_without_an_interval_says_why():
    generator = np.random.default_rng(4)
    label, logits, clusters = drawn(generator)
    few = np.where(np.arange(len(label)) // EACH < LEAST_WRONG - 1, logits, np.abs(logits) * (2 * label - 1))
    assert interval(label, few, clusters).reason == f"fewer than {LEAST_WRONG} clusters with a misclassified sample"
    # a slight excess of correct signs: the fit has a finite temperature, its AUC is not above .5 for certain
    noise = generator.normal(0, 1, len(label))
    weak = interval(label, noise + 0.05 * (2 * label - 1), clusters)
    assert (weak.value > 0, weak.reason) == (True, "the AUC cannot be told from 0.5")
    right = interval(label, np.abs(logits) * (2 * label - 1), clusters)
    assert np.isnan(right.value) and right.reason == "no finite temperature fits best"
    one = interval(label[:EACH], logits[:EACH], clusters[np.arange(EACH)])
    assert one.reason == "fewer than two clusters with real samples" and np.isnan([one.lo, one.hi]).all()
