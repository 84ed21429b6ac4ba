"""Intervals against published formulas, brute force, and coverage on simulated videos."""

import numpy as np
import pytest
from scipy import stats

from evaluation import metrics
from evaluation.intervals import Bootstrap, bootstrap_panel, delong, delong_difference, holm, percentile, seed_mean


def sample(seed=0, clusters=40, size=5, correlation=1.0):
    """Scores in clusters that share an offset; half of the clusters fake."""
    generator = np.random.default_rng(seed)
    names = np.repeat(np.arange(clusters), size)
    y_true = names % 2
    offset = generator.normal(0, correlation, clusters)[names]
    return y_true, y_true + offset + generator.normal(0, 0.5, len(names)), names


def delong_by_hand(y_true, y_score):
    """DeLong 1988 from its definition, pair by pair."""
    fakes, reals = y_score[y_true == 1], y_score[y_true == 0]
    wins = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
    return np.sqrt(wins.mean(1).var(ddof=1) / len(fakes) + wins.mean(0).var(ddof=1) / len(reals))


def obuchowski_by_hand(y_true, y_score, names):
    """Obuchowski 1997, equation by equation."""
    fakes, reals = y_score[y_true == 1], y_score[y_true == 0]
    wins = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
    area, m, n = wins.mean(), len(fakes), len(reals)
    of_fakes, of_reals = wins.mean(1), wins.mean(0)
    clusters = np.unique(names)
    fake_names, real_names = names[y_true == 1], names[y_true == 0]
    x = np.array([of_fakes[fake_names == c].sum() - np.sum(fake_names == c) * area for c in clusters])
    y = np.array([of_reals[real_names == c].sum() - np.sum(real_names == c) * area for c in clusters])
    i10, i01, i = (len(np.unique(names[mask])) for mask in (y_true == 1, y_true == 0, y_true >= 0))
    s10, s01, s11 = i10 / (i10 - 1) / m * (x @ x), i01 / (i01 - 1) / n * (y @ y), i / (i - 1) * (x @ y)
    return np.sqrt(s10 / m + s01 / n + 2 * s11 / (m * n))


def test_delong_without_clusters_is_delongs():
    y_true, y_score, _ = sample()
    for scores in (y_score, np.round(y_score)):
        found = delong(y_true, scores)
        assert found.value == pytest.approx(metrics.auc(y_true, scores))
        assert found.se == pytest.approx(delong_by_hand(y_true, scores))
        half = stats.norm.ppf(0.975) * found.se
        assert (found.lo, found.hi) == pytest.approx((found.value - half, found.value + half))


def test_clusters_of_one_give_delongs_interval():
    y_true, y_score, _ = sample()
    assert delong(y_true, y_score, np.arange(len(y_true))) == delong(y_true, y_score)


@pytest.mark.parametrize("mixed", [False, True])
def test_clustered_delong_is_obuchowskis(mixed):
    y_true, y_score, names = sample(2)
    names = names // 2 if mixed else names                          # // 2: a real and a fake video in each cluster
    assert delong(y_true, y_score, names).se == pytest.approx(obuchowski_by_hand(y_true, y_score, names))


def test_delong_of_a_difference_is_the_variance_of_differenced_components():
    y_true, a, names = sample(3)
    b = a + np.random.default_rng(9).normal(0, 1, len(a))
    found = delong_difference(y_true, a, b)
    parts = []
    for scores in (a, b):
        wins = (scores[y_true == 1][:, None] > scores[y_true == 0]) * 1.0
        parts.append((wins.mean(1), wins.mean(0)))
    (x, y), (u, v) = parts
    expected = np.sqrt((x - u).var(ddof=1) / len(x) + (y - v).var(ddof=1) / len(y))
    assert found.se == pytest.approx(expected)
    assert found.value == pytest.approx(metrics.auc(y_true, a) - metrics.auc(y_true, b))
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.value / found.se)))
    assert delong_difference(y_true, a, b, names).se != pytest.approx(expected)


def test_a_score_against_itself_differs_by_nothing():
    y_true, y_score, names = sample()
    found = delong_difference(y_true, y_score, y_score, names)
    assert (found.value, found.se) == (0, pytest.approx(0, abs=1e-9))


def test_treating_frames_as_independent_makes_intervals_too_narrow():
    y_true, y_score, names = sample(1, clusters=60, size=16)
    assert delong(y_true, y_score, names).se > 2 * delong(y_true, y_score).se


def test_clustered_intervals_cover_the_true_auc():
    # reals N(0, .8^2 + .5^2) with a shared video offset, fakes one higher: AUC = Phi(1 / sqrt(2 (.8^2 + .5^2)))
    truth = stats.norm.cdf(1 / np.sqrt(2 * (0.8**2 + 0.5**2)))
    clustered = independent = 0
    for seed in range(200):
        y_true, y_score, names = sample(seed, clusters=60, size=6, correlation=0.8)
        found, naive = delong(y_true, y_score, names), delong(y_true, y_score)
        clustered += found.lo <= truth <= found.hi
        independent += naive.lo <= truth <= naive.hi
    assert clustered / 200 > 0.90                                    # 95 % less 3 standard errors of the count
    assert independent / 200 < 0.80


def test_bootstrap_and_delong_agree(scores_of):
    scores = scores_of(pairs=20, val_pairs=0, conditions={"77": 0.8})
    draws = Bootstrap.draw(scores, "video", 2000, seed=1)
    lo, hi = percentile(bootstrap_panel(scores, {}, draws)["auc", ""])
    found = delong(scores.label, scores.score, scores.video)
    assert (lo, hi) == pytest.approx((found.lo, found.hi), abs=0.02)
    assert hi - lo == pytest.approx(found.hi - found.lo, rel=0.15)


def test_bootstrap_covers_the_true_auc(write_scores, rows_of):
    from evaluation.scores import read

    # of conftest: fake logits 2 * .5 above real ones, videos spread .6, frames .5
    truth = stats.norm.cdf(1 / np.sqrt(2 * (0.6**2 + 0.5**2)))
    covered = 0
    for seed in range(60):
        options = {"pairs": 12, "val_pairs": 0, "methods": ("Deepfakes",), "conditions": {"77": 0.5}, "frames": 4}
        scores = read(write_scores(rows=rows_of(seed=seed, **options)))
        lo, hi = percentile(bootstrap_panel(scores, {}, Bootstrap.draw(scores, "video", 300, seed))["auc", ""])
        covered += lo <= truth <= hi
    assert covered / 60 > 0.85


def test_draws_of_videos_keep_the_number_of_each_class(scores_of):
    scores = scores_of(pairs=3)
    draws = Bootstrap.draw(scores, "video", 50, seed=2)
    assert (draws.weights[:, draws.labels == 0].sum(1) == np.sum(draws.labels == 0)).all()
    assert (draws.weights[:, draws.labels == 1].sum(1) == np.sum(draws.labels == 1)).all()
    pairs = Bootstrap.draw(scores, "pair", 50, seed=2)
    assert pairs.names.tolist() == sorted(set(scores.pair))
    assert (pairs.weights.sum(1) == len(pairs.names)).all()


def test_draws_follow_from_the_seed_alone(scores_of):
    a = scores_of(seed=1)
    same = Bootstrap.draw(a, "video", 20, seed=5).weights
    assert (same == Bootstrap.draw(a, "video", 20, seed=5).weights).all()
    assert (same == Bootstrap.draw(scores_of(seed=2, model=3), "video", 20, seed=5).weights).all()
    assert (same != Bootstrap.draw(a, "video", 20, seed=6).weights).any()
    shuffled = a[np.random.default_rng(0).permutation(len(a))]
    assert (same == Bootstrap.draw(shuffled, "video", 20, seed=5).weights).all()


@pytest.mark.parametrize("unit", ["video", "pair"])
def test_a_replicate_is_the_metric_of_the_drawn_rows(scores_of, unit):
    scores = scores_of(pairs=3, val_pairs=0, conditions={"77": 0.5})
    draws = Bootstrap.draw(scores, unit, 8, seed=1)
    found = bootstrap_panel(scores, {"fixed": 0.5}, draws)
    for replicate in range(8):
        times = dict(zip(draws.names, draws.weights[replicate].astype(int), strict=True))
        again = np.repeat(np.arange(len(scores)), [times[name] for name in getattr(scores, unit)])
        y_true, y_score = scores.label[again], scores.score[again]
        for name in ("auc", "ap", "eer", "logloss", "brier"):
            assert found[name, ""][replicate] == pytest.approx(getattr(metrics, name)(y_true, y_score))
        for name in ("accuracy", "balanced_accuracy", "f1", "mcc", "precision", "recall", "acc_real"):
            assert found[name, "fixed"][replicate] == pytest.approx(getattr(metrics, name)(y_true, y_score))
        assert found["tpr_at_fpr_0.05", ""][replicate] != found["tpr_at_fpr_0.05", ""][replicate]  # 18 reals: nan


def test_blocks_of_replicates_change_nothing(scores_of, monkeypatch):
    scores = scores_of(pairs=2, val_pairs=0)
    draws = Bootstrap.draw(scores, "video", 30, seed=1)
    whole = bootstrap_panel(scores, {"fixed": 0.5}, draws)
    monkeypatch.setattr("evaluation.intervals.BLOCK", 4 * len(scores))
    parts = bootstrap_panel(scores, {"fixed": 0.5}, draws)
    assert all(np.array_equal(whole[name], parts[name], equal_nan=True) for name in whole)


def test_seed_mean_averages_the_runs_in_every_replicate(scores_of):
    runs = [scores_of(model=m, pairs=3, val_pairs=0, conditions={"77": 0.5}) for m in range(3)]
    draws = Bootstrap.draw(runs[0], "video", 25, seed=4)
    values, means = seed_mean(runs, draws)
    assert values.tolist() == pytest.approx([metrics.auc(run.label, run.score) for run in runs])
    single = [bootstrap_panel(run, {}, draws)["auc", ""] for run in runs]
    np.testing.assert_allclose(means, np.mean(single, axis=0))


def test_a_cluster_that_was_not_drawn_from_is_refused(scores_of):
    draws = Bootstrap.draw(scores_of(pairs=1, val_pairs=0), "video", 5)
    with pytest.raises(ValueError, match="hold a video that the bootstrap was not drawn from"):
        draws.codes(scores_of(pairs=2, val_pairs=0))


@pytest.mark.parametrize(
    ("options", "message"), [({"unit": "frame"}, "unit must be one of"), ({"replicates": 0}, "at least 1")]
)
def test_impossible_draws_are_refused(scores_of, options, message):
    with pytest.raises(ValueError, match=message):
        Bootstrap.draw(scores_of(), **options)


def test_two_videos_of_a_class_are_the_least_for_an_interval():
    assert np.isnan(delong([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9], ["a", "b", "c", "c"]).se)
    assert np.isfinite(delong([0, 0, 1, 1], [0.1, 0.35, 0.3, 0.9], ["a", "b", "c", "d"]).se)
    assert np.isnan(delong([1, 1], [0.3, 0.4]).value)
    assert np.isnan(delong([], []).value)
    assert np.isnan(delong_difference([0, 0, 1, 1], [0.1, 0.2, np.nan, 0.9], [0.1, 0.2, 0.3, 0.9]).p)


def test_a_perfect_separation_has_no_p():
    found = delong([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (found.value, found.se) == (1, 0)
    assert np.isnan(found.p)


def test_percentiles_of_replicates_that_are_mostly_undefined_are_undefined():
    values = np.linspace(0, 1, 101)
    assert percentile(values, 0.9) == pytest.approx((0.05, 0.95))
    assert percentile([*values, np.nan]) == pytest.approx((0.025, 0.975))
    assert np.isnan(percentile(np.where(values < 0.1, np.nan, values))).all()
    assert np.isnan(percentile([])).all()


def test_holm_of_four_p_values_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04 -> made monotone .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    found = holm([0.01, np.nan, 0.02])
    assert found[[0, 2]].tolist() == pytest.approx([0.02, 0.02])
    assert np.isnan(found[1])
    assert len(holm([])) == 0


def test_grouped_scores_give_the_replicates_of_all_scores_but_for_noise(scores_of, monkeypatch):
    # the same draws with every score and with groups of scores; thresholds are no approximation
    scores = scores_of(pairs=20, frames=6, conditions={"77": 0.9})
    thresholds = {"fixed": 0.5, "val": 0.4321}
    for unit in ("video", "pair"):
        draws = Bootstrap.draw(scores, unit, 40, seed=3)
        exact = bootstrap_panel(scores, thresholds, draws)
        with monkeypatch.context() as patched:
            patched.setattr("evaluation.intervals.EXACT", 100)
            grouped = bootstrap_panel(scores, thresholds, draws)
        assert list(grouped) == list(exact)
        for key, values in exact.items():
            if key[1] or key[0] in ("logloss", "brier"):
                assert grouped[key] == pytest.approx(values, abs=1e-12, nan_ok=True)
            elif not np.isnan(values).all():
                assert np.abs(grouped[key] - values).max() < 0.15 * np.std(values), key


def test_draws_are_small_integers(scores_of):
    assert Bootstrap.draw(scores_of(), "video", 5).weights.dtype == np.int16
