"""Means over seeds with the bootstrap that is there for comparison: worked out again from its replicates."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.intervals import Bootstrap, seed_mean
from evaluation.seeds import Group, compare_groups, how
from evaluation.summary import Settings

DRAWN = Settings(replicates=40, seed=5, intervals="bootstrap")
RATES = {"raw": 24.0, "77": 1.5, "10": 0.25}


@pytest.fixture
def groups(write_scores):
    """Two runs trained at quality 77, three at quality 10, which separate the classes better there."""
    from evaluation.scores import read

    made = []
    for label, models, low in (("q77", (1, 2), 0.3), ("q10", (3, 4, 5), 1.0)):
        conditions = {"raw": 1.2, "77": 1.0, "10": low}
        paths = [write_scores(f"{label}-{m}.csv", pairs=3, val_pairs=0, conditions=conditions, model=m) for m in models]
        made.append(Group(label, tuple(map(str, paths)), tuple(read(path) for path in paths)))
    return made


def replicates(group, condition):
    """The AUC of each run, and of each replicate the mean over the runs; both by whole pairs."""
    runs = [run.where(condition=condition, split="test") for run in group.runs]
    return seed_mean(runs, Bootstrap.draw(runs[0], "pair", DRAWN.replicates, DRAWN.seed))


def test_bootstrapped_means_differences_and_retention_are_those_of_the_replicates(groups):
    rows = {
        (row.group, row.what, row.condition): row
        for row in compare_groups(groups, DRAWN, parts=["all"], rates=RATES)
        if (row.level, row.unit) == ("frame", "pair")
    }
    first, second = groups
    for group in groups:
        aucs = [roc_auc_score((run := whole.where(condition="10")).label, run.score) for whole in group.runs]
        row = rows[group.label, "auc", "10"]
        assert (row.value, row.sd) == pytest.approx((np.mean(aucs), np.std(aucs, ddof=1)))
    (here, drawn), (raw, drawn_raw), (other, drawn_other) = (
        replicates(group, name) for group, name in ((second, "10"), (second, "raw"), (first, "10"))
    )
    _, drawn_77 = replicates(second, "77")
    kept = (drawn - 0.5) / (drawn_raw - 0.5)
    # trapezoids over the logarithm of the rates 24, 1.5 and 0.25, worked by hand: steps ln 16 and ln 6
    steps = np.log([16, 6])
    weights = np.array([steps[0], steps.sum(), steps[1]]) / (2 * steps.sum())
    area = np.average([drawn_raw, drawn_77, drawn], axis=0, weights=weights)
    for what, condition, values, value in (
        ("auc", "10", drawn, here.mean()),
        ("difference", "10", drawn - drawn_other, here.mean() - other.mean()),
        ("drop", "77 -> 10", drawn_77 - drawn, None),
        ("retention", "10", kept, (here.mean() - 0.5) / (raw.mean() - 0.5)),
        ("area", "", area, None),
    ):
        row = rows["q10", what, condition]
        assert (row.lo, row.hi) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5]))), what
        if value is not None:
            assert row.value == pytest.approx(value), what
    assert np.isnan(rows["q10", "difference", "10"].sd)              # 3 and 2 seeds: no pairs of seeds


def test_the_sentence_below_the_table_says_which_intervals_it_has():
    assert how(Settings(confidence=0.9), "people").startswith(
        "Mean ± standard deviation over seeds; 90 % intervals of the mean over seeds, by whole people. "
    )
    assert how(DRAWN).startswith(
        "Mean ± standard deviation over seeds; 95 % percentile intervals of 40 bootstrap replicates of the mean over "
        "seeds, resampling videos (stratified by class) or whole pairs. "
    )


def test_a_run_without_test_faces_is_named(groups, write_scores):
    from evaluation.scores import read

    path = write_scores("val.csv", pairs=0, val_pairs=2)
    empty = Group("val", (str(path),), (read(path),))
    with pytest.raises(ValueError, match=r"val\.csv holds no test faces"):
        compare_groups([groups[0], empty], DRAWN)
