"""Means of clustered values: against the textbook t interval, and their coverage."""

import numpy as np
import pytest
from scipy import stats

from evaluation.clusters import Clusters, cluster_rows
from evaluation.means import mean


def test_one_value_per_cluster_gives_students_interval_where_nothing_is_skewed():
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    found = mean(values, Clusters.of(list("abcde")))
    expected = stats.t.interval(0.95, 4, loc=0, scale=stats.sem(values))
    assert found.value == 0
    assert (found.lo, found.hi) == pytest.approx(expected)


def test_repeating_every_value_of_a_cluster_changes_nothing():
    values, names = np.array([1.0, 4.0, 2.0, 8.0]), np.array(list("aabc"))
    once, often = mean(values, Clusters.of(names)), mean(np.repeat(values, 9), Clusters.of(np.repeat(names, 9)))
    assert often[:3] == pytest.approx(once[:3])


def test_the_interval_covers_the_mean_of_skewed_clusters():
    generator, covered = np.random.default_rng(3), 0
    for _ in range(400):
        level = generator.exponential(1, 20)
        values = np.repeat(level, 8) + generator.normal(0, 0.3, 160)
        found = mean(values, Clusters.of(np.repeat(np.arange(20), 8)))
        covered += found.lo <= 1 <= found.hi
    assert 0.92 <= covered / 400 <= 0.99


def test_people_in_several_pairs_and_too_few_clusters():
    people = cluster_rows(*map(np.array, (["a", "b", "c", "d"], ["p", "p", "q", "q"], ["1", "1+2", "1+2", "2"])))
    assert people.unit == "person"
    found = mean([1.0, 2.0, 3.0, 2.5], people)
    assert found.lo < found.value < found.hi
    assert mean([1.0, 2.0], Clusters.of(["a", "a"])).reason == "fewer than two clusters"


def test_no_values_have_no_mean_and_a_value_for_each_row_is_required():
    none = mean([], Clusters.of([]))
    assert np.isnan(none[:3]).all() and none.reason == "no values"
    with pytest.raises(ValueError, match="need one value for each of 2 rows, got 3"):
        mean([1.0, 2.0, 3.0], Clusters.of(["a", "b"]))
