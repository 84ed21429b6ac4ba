"""Properties that separate the classes are found, whatever their form; noise and names of people are not."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from evaluation import shortcuts
from evaluation.shortcuts import FOLDS, SEED, STRENGTH, Items, Property, describe, measure_shortcut, out_of_fold


def items_of(pairs=24, frames=3):
    """Two real videos and two fakes of each pair, *frames* rows each."""
    rows = []
    for number in range(pairs):
        a, b = f"{2 * number:03d}", f"{2 * number + 1:03d}"
        for target, source in ((a, b), (b, a)):
            rows += [(0, f"original/{target}", f"{a}_{b}", target)] * frames
            rows += [(1, f"Deepfakes/{target}_{source}", f"{a}_{b}", f"{target}+{source}")] * frames
    labels, *columns = zip(*rows, strict=True)
    return Items(np.array(labels, np.int8), *(np.array(column) for column in columns))


ITEMS = items_of()
RNG = np.random.default_rng(0)


def noise(columns=1):
    """Numbers that differ between videos and hardly within them, as file sizes do."""
    _, video = np.unique(ITEMS.video, return_inverse=True)
    values = RNG.normal(size=(video.max() + 1, columns))[video] + 0.1 * RNG.normal(size=(len(ITEMS), columns))
    return Property(values)


def test_a_file_format_of_each_class_separates_them_with_an_interval_of_some_width():
    found = measure_shortcut(ITEMS, [Property(names=np.where(ITEMS.label == 1, "PNG", "JPEG"))])
    assert found.auc == 1
    assert 0.8 < found.lo < 1 == found.hi
    assert (found.num_real, found.num_fake) == (144, 144)


def test_noise_has_an_interval_around_one_half():
    """Of 40 intervals for nothing, about one in twenty may lie above .5, and none above .6."""
    found = [measure_shortcut(ITEMS, [noise()]) for _ in range(40)]
    assert sum(one.lo > 0.5 for one in found) <= 5
    assert max(one.lo for one in found) < 0.6
    assert 0.4 < np.mean([one.auc for one in found]) < 0.55


def test_dependence_of_any_shape_is_found():
    """Fakes at both ends: the rank alone says nothing, its bins do."""
    middle = RNG.uniform(-1, 1, len(ITEMS))
    outer = RNG.choice([-1, 1], len(ITEMS)) * RNG.uniform(1.2, 2, len(ITEMS))
    found = measure_shortcut(ITEMS, [Property(np.where(ITEMS.label == 1, outer, middle)[:, None])])
    assert found.auc > 0.95
    assert found.lo > 0.8


def test_what_is_learned_of_a_pair_is_not_used_on_it():
    """The name of the pair gives its class away, as each pair is of one class; within folds nothing of it is known."""
    number = np.array([int(pair[:3]) // 2 for pair in ITEMS.pair])
    items = Items((number % 2).astype(np.int8), ITEMS.video, ITEMS.pair, ITEMS.identity)
    found = measure_shortcut(items, [Property(names=ITEMS.pair)])
    assert found.auc < 0.6
    assert not found.lo > 0.5


def test_a_linear_property_is_scikit_learns_cross_validation():
    values = noise(5).numbers + 0.5 * ITEMS.label[:, None]
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000)
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    expected = cross_val_predict(
        model, values, ITEMS.label, groups=ITEMS.pair, cv=folds, method="decision_function"
    )
    np.testing.assert_allclose(out_of_fold(ITEMS, [Property(values, linear=True)]), expected, atol=1e-6)


def test_a_regression_multiplies_in_one_thread(monkeypatch):
    threads = []

    def blas():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    before, fit = blas(), shortcuts._logits
    monkeypatch.setattr(shortcuts, "_logits", lambda *arguments: threads.append(blas()) or fit(*arguments))
    out_of_fold(ITEMS, [noise(5)])
    assert threads == [{1}] * FOLDS
    assert blas() == before


def test_several_properties_together_separate_as_each_does():
    format_ = Property(names=np.where(ITEMS.label == 1, "PNG", "JPEG"))
    assert measure_shortcut(ITEMS, [noise(), format_, noise(3)]).auc > 0.95


def test_unknown_values_are_left_out_alone_and_count_as_unknown_together():
    values = np.where(ITEMS.label == 1, 2.0, 1.0)
    values[ITEMS.label == 1] = np.nan
    alone = measure_shortcut(ITEMS, [Property(values[:, None])])
    assert np.isnan(alone.auc)
    assert alone.reason == "no fake items with this property"
    assert measure_shortcut(ITEMS, [Property(values[:, None]), noise()]).auc > 0.95


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Property(names=np.full(len(ITEMS), "PNG")), "the same for all items"),
        (Property(np.full((len(ITEMS), 2), 7.0)), "the same for all items"),
        (Property(np.full((len(ITEMS), 1), np.nan)), "no items with this property"),
    ],
)
def test_an_uninformative_property_has_a_reason(found, reason):
    result = measure_shortcut(ITEMS, [found])
    assert result.reason == reason
    assert np.isnan(result.lo)
    assert result.auc == 0.5 or reason.startswith("no")


def test_two_people_are_too_few():
    few = items_of(pairs=1)
    found = measure_shortcut(few, [Property(np.arange(float(len(few)))[:, None])])
    assert np.isnan(found.auc)
    assert found.reason == "fewer than two groups of people in a class"


def test_more_items_than_the_limit_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr("evaluation.shortcuts.MOST_ITEMS", 100)
    found = measure_shortcut(ITEMS, [Property(names=np.where(ITEMS.label == 1, "PNG", "JPEG"))])
    assert found.auc == 1
    assert (found.num_real, found.num_fake) == (144, 144)


def test_values_are_described_by_shares_or_percentiles():
    assert describe(Property(names=np.array(["a"] * 4))) == "a (all)"
    assert describe(Property(names=np.array(["a", "b", "a", ""]))) == "a (67 %), b (33 %)"
    assert describe(Property(names=np.array(list("aabcde")))) == "a (33 %), b (17 %), c (17 %), 2 more"
    assert describe(Property(np.arange(101.0)[:, None])) == "50 (5 to 95)"
    assert describe(Property(np.array([[1.0, np.nan], [1.0, np.nan]]))) == "1"
