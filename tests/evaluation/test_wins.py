"""Win counts by cluster against a comparison of every fake with every real face."""

import numpy as np
import pytest

from evaluation import metrics
from evaluation.clusters import Clusters
from evaluation.jackknife import Sample, Side
from evaluation.wins import Wins


def sets(people=False, ties=None):
    """Scores of three sets of reals and of fakes over six clusters, and the clusters of the rows of each class."""
    generator = np.random.default_rng(3)
    real, fake = generator.integers(0, 6, 40), generator.integers(0, 6, 70)
    weight = np.ones(6)
    codes = [real[:, None], fake[:, None]]
    if people:                                                           # fakes of two people each, and overlaps
        other = (fake + generator.integers(1, 6, 70)) % 6
        names = np.sort(np.stack([fake, other], 1), 1)
        couple = 6 + np.unique(names, axis=0, return_inverse=True)[1].reshape(-1)
        codes = [np.stack([real, *2 * [np.full(40, -1)]], 1), np.stack([fake, other, couple], 1)]
        weight = np.repeat([1.0, -1.0], [6, couple.max() - 5])
    clusters = [Clusters("pair", code.astype(np.int32), weight, np.arange(len(code), dtype=np.int32)) for code in codes]
    scores = [[generator.normal(label, 1, len(code)) for _ in range(3)] for label, code in enumerate(codes)]
    return clusters, [[s if ties is None else np.round(s, ties) for s in row] for row in scores]


@pytest.mark.parametrize("people", [False, True], ids=["pairs", "people"])
@pytest.mark.parametrize("ties", [None, 0])
def test_counts_and_auc_are_those_of_all_comparisons(people, ties):
    (of_real, of_fake), (reals, fakes) = sets(people, ties)
    wins = Wins.of([Side(s, of_real) for s in reals], [Side(s, of_fake) for s in fakes])
    assert wins.count.shape == (3, 3, 3, len(of_real.weight))
    for r, real in enumerate(reals):
        for f, fake in enumerate(fakes):
            won = (fake[:, None] > real) + 0.5 * (fake[:, None] == real)
            estimate = wins.auc(r, f)
            assert estimate.value == pytest.approx(won.mean())
            for c in range(len(of_real.weight)):
                has_real, has_fake = ((clusters.code == c).any(axis=1) for clusters in (of_real, of_fake))
                expected = won[has_fake].sum(), won[:, has_real].sum(), won[np.ix_(has_fake, has_real)].sum()
                assert wins.count[r, f, :, c] == pytest.approx(expected)


def test_without_a_cluster_the_auc_is_that_of_the_other_rows():
    (of_real, of_fake), (reals, fakes) = sets()
    estimate = Wins.of([Side(s, of_real) for s in reals], [Side(s, of_fake) for s in fakes]).auc(2, 0)
    real, fake = of_real.code[:, 0], of_fake.code[:, 0]
    left_out = np.array([
        metrics.auc(np.repeat([0, 1], [(real != c).sum(), (fake != c).sum()]),
                    np.r_[reals[2][real != c], fakes[0][fake != c]]) for c in range(6)
    ])  # fmt: skip
    assert estimate.variance == pytest.approx(5 / 6 * np.sum((left_out - left_out.mean()) ** 2))


def test_a_set_without_rows_has_cells_with_a_reason():
    (of_real, of_fake), (reals, fakes) = sets()
    empty = Side(np.empty(0), of_fake[np.zeros(len(of_fake), dtype=bool)])
    wins = Wins.of([Side(reals[0], of_real)], [empty, Side(fakes[0], of_fake)])
    assert wins.auc(0, 0).reason == "no fake samples"
    assert wins.auc(0, 1).value == Sample(wins.real[0], wins.fake[1]).auc().value
