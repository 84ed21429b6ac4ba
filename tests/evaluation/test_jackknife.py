"""Delete-one values against deleting the rows, and intervals against hand-worked ones."""

import numpy as np
import pytest
from scipy import stats

from evaluation import metrics
from evaluation.clusters import Clusters, cluster
from evaluation.jackknife import Sample
from evaluation.wilson import (
    difference,
    mean_of,
    of_mean,
    of_rates,
    of_share,
    of_tpr_at_fpr,
    rates_estimate,
    ratio_of_gains,
    worst,
)


def table(seed=0, rows=400, clusters=9, ties=None, mixed=True):
    """Labels, scores with an offset per cluster, and cluster names; *mixed*: clusters hold both classes."""
    generator = np.random.default_rng(seed)
    label, names = generator.integers(0, 2, rows), generator.integers(0, clusters, rows)
    names = names if mixed else 2 * names + label
    logit = label + generator.normal(0, 1, rows) + generator.normal(0, 0.5, 2 * clusters)[names]
    score = 1 / (1 + np.exp(-logit))
    return label, score if ties is None else np.round(score, ties), names


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("ties", [None, 1, 0])
def test_deviations_are_those_of_samples_without_each_cluster(ties, mixed):
    label, score, names = table(1, ties=ties, mixed=mixed)
    found = Sample.of(label, score, Clusters.of(names)).auc()
    of = metrics.auc
    assert found.value == pytest.approx(of(label, score), abs=1e-12)
    without = np.array([of(label[names != name], score[names != name]) for name in np.unique(names)])
    count, rarer = len(without), min(len(np.unique(names[label == k])) for k in (0, 1))
    expected = (without - without.mean()) * (count - 1) / count * np.sqrt(rarer / (rarer - 1))
    np.testing.assert_allclose(found.spread, expected, atol=1e-12)


@pytest.mark.parametrize("ties", [None, 1])
def test_average_precision_has_the_slopes_of_its_definition(ties):
    label, score, names = table(1, ties=ties)
    found = Sample.of(label, score, Clusters.of(names)).ap()
    assert found.value == pytest.approx(metrics.ap(label, score))
    weights = 1 - 1e-6 * np.eye(9)                                       # each cluster a little lighter
    slopes = (metrics.Ranking(label, score).counts(weights, names).ap() - found.value) / 1e-6
    np.testing.assert_allclose(found.spread, (slopes - slopes.mean()) * (9 / 8) ** 1.5, atol=1e-6)


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("ties", [None, 1, 0])
def test_equal_error_rate_is_the_metric_and_moves_with_each_cluster(ties, mixed):
    label, score, names = table(1, rows=4000, ties=ties, mixed=mixed)
    found = Sample.of(label, score, Clusters.of(names)).eer()
    assert found.value == pytest.approx(metrics.eer(label, score), abs=1e-12)
    without = np.array([metrics.eer(label[names != name], score[names != name]) for name in np.unique(names)])
    assert np.corrcoef(found.spread, without)[0, 1] > 0.9
    if not mixed:                                                        # else the two errors nearly cancel
        assert np.std(found.spread) == pytest.approx(np.std(without) * np.sqrt(1 - 1 / len(without)), rel=0.15)


@pytest.mark.parametrize("fakes", [1000, 4000])
def test_error_of_the_equal_error_rate_of_two_normal_classes_is_the_closed_form(fakes):
    # fakes N(1, 1/4), reals N(-1, 1): equal error rates at 1/3 with FNR = FPR = Phi(-4/3); the slope of the ROC there
    # is the ratio of densities phi(4/3) / (1/2) to phi(4/3): EER = (2 FPR + FNR) / 3 moves with the two errors
    generator = np.random.default_rng(2)
    label = np.repeat([0, 1], [1000, fakes])
    score = np.where(label == 1, generator.normal(1, 0.5, len(label)), generator.normal(-1, 1, len(label)))
    found = Sample.of(label, score, Clusters.of(np.arange(len(label)))).eer()
    rate = stats.norm.cdf(-4 / 3)
    expected = np.sqrt(rate * (1 - rate) * ((2 / 3) ** 2 / 1000 + (1 / 3) ** 2 / fakes))
    assert found.value == pytest.approx(rate, abs=3 * expected)
    assert np.sqrt(found.variance) == pytest.approx(expected, rel=0.12)


def test_rates_and_losses_leave_clusters_out_too():
    label, score, names = table(2)
    sample = Sample.of(label, score, Clusters.of(names))
    rates = sample.rates(0.5)
    found = {"acc_fake": rates.tpr, "acc_real": rates.tnr, "brier": sample.mean_loss(metrics.brier_of_each)}
    for name, estimate in found.items():
        of = getattr(metrics, name)
        without = np.array([of(label[names != c], score[names != c]) for c in np.unique(names)])
        assert estimate.value == pytest.approx(of(label, score))
        variance = (len(without) - 1) / len(without) * np.sum((without - without.mean()) ** 2)
        assert estimate.variance == pytest.approx(variance)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1", "precision", "mcc"])
def test_functions_of_rates_are_the_metrics(metric):
    label, score, names = table(3)
    sample = Sample.of(label, score, Clusters.of(names))
    found = of_rates(metric, sample.rates(0.4))
    assert found.value == pytest.approx(getattr(metrics, metric)(label, score, 0.4))
    assert found.lo < found.value < found.hi
    assert rates_estimate(metric, sample.rates(0.4)).value == pytest.approx(found.value)


def test_wilson_of_independent_samples_is_the_textbook_one_with_t():
    # 30 of 40 fakes found, each its own cluster: x (1 - x) / V is n - 1, the rank cap 2 (n - 1)
    label = np.repeat([1, 0], 40)
    score = np.r_[np.linspace(0.51, 0.9, 30), np.linspace(0.1, 0.49, 10), np.linspace(0.01, 0.09, 40)]
    found = of_share(Sample.of(label, score, Clusters.of(np.arange(80))).rates(0.5).tpr)
    q, n, x = stats.t.ppf(0.975, 39), 39, 0.75
    centre = (x + q**2 / (2 * n)) / (1 + q**2 / n)
    half = q / (1 + q**2 / n) * np.sqrt(x * (1 - x) / n + q**2 / (4 * n**2))
    assert found[:3] == pytest.approx((x, centre - half, centre + half))


@pytest.mark.parametrize("names", [[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]], ids=["pairs", "one class each"])
@pytest.mark.parametrize("score", [[0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [0, 0, 0, 1, 1, 1]], ids=["distinct", "tied"])
def test_three_perfect_videos_of_each_class_give_a_wide_interval(names, score):
    found = of_share(Sample.of([0, 0, 0, 1, 1, 1], score, Clusters.of(names)).auc())
    assert (found.value, found.hi) == (1, pytest.approx(1))
    assert found.lo == pytest.approx(0.4217, abs=1e-4)                   # q = 4.303, n = 1 / (1/27 + 1/27) * 2/3 = 9


def test_113_of_113_is_not_certain():
    label = np.repeat([0, 1], 113)
    score = np.r_[np.linspace(0, 0.4, 113), np.linspace(0.6, 1, 113)]
    for scores in (score, label * 0.9):
        found = of_share(Sample.of(label, scores, Clusters.of(np.arange(226))).rates(0.5).tpr)
        assert (found.lo, found.hi) == pytest.approx((0.966, 1), abs=1e-3)


def test_equal_frames_of_a_video_count_once():
    label = np.repeat([0, 1], 6)
    one = Sample.of(label, label, Clusters.of(np.arange(12))).auc()
    copied = Sample.of(np.repeat(label, 8), np.repeat(label, 8),
                       Clusters.of(np.repeat(np.arange(12), 8), items=np.repeat(np.arange(12), 8))).auc()  # fmt: skip
    assert copied.cap == pytest.approx(one.cap, rel=0.03)


def test_tpr_at_a_false_alarm_rate_needs_real_videos():
    label, score, names = table(4, rows=2000, clusters=30)
    sample = Sample.of(label, score, Clusters.of(names))
    found = of_tpr_at_fpr(sample, 0.05, num_real_videos=60)
    assert found.value == pytest.approx(metrics.tpr_at_fpr(label, score, 0.05))
    assert found.lo < found.value < found.hi
    few = of_tpr_at_fpr(sample, 0.05, num_real_videos=59)
    assert np.isnan(few.value) and few.reason == "needs 60 real videos, has 59"
    assert of_tpr_at_fpr(sample, 0.01, num_real_videos=299).reason == "needs 300 real videos, has 299"


def test_one_cluster_of_a_class_gives_a_value_and_the_reason():
    label, score = [0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9]
    found = of_share(Sample.of(label, score, Clusters.of(["a", "b", "c", "c"])).auc())
    assert found.value == 0.75
    assert np.isnan(found.lo)
    assert found.reason == "fewer than two clusters with fake samples"
    assert of_share(Sample.of([0, 0], [0.1, 0.2], Clusters.of(["a", "b"])).auc()).reason == "no fake samples"
    rates = Sample.of([0, 0], [0.1, 0.2], Clusters.of(["a", "b"])).rates(0.5)
    assert of_share(rates.tnr).value == 1 and of_share(rates.tnr).lo < 1  # of one class the one meaningful number
    assert np.isnan(of_share(Sample.of(label, [0.1, np.nan, 0.3, 0.9], Clusters.of([0, 1, 2, 3])).auc()).value)


def test_a_difference_is_paired():
    label, score, names = table(5, rows=1200, clusters=20)
    noisy = score + np.random.default_rng(0).normal(0, 0.02, len(score))
    clusters = Clusters.of(names)
    a, b = (Sample.of(label, values, clusters).auc() for values in (score, noisy))
    found = difference([a], [b])
    assert found.value == pytest.approx(a.value - b.value)
    alone = of_share(a)
    assert found.hi - found.lo < 0.5 * (alone.hi - alone.lo)
    same = difference([a], [a])
    assert same[:3] == pytest.approx((0, 0, 0), abs=1e-9)


def test_a_difference_of_two_perfect_detectors_is_uncertain():
    label, names = np.tile([0, 1], 12), np.repeat(np.arange(12), 2)
    generator = np.random.default_rng(0)
    a, b = (Sample.of(label, label + generator.random(24) / 2, Clusters.of(names)).auc() for _ in range(2))
    found = difference([a], [b])
    assert found.value == 0
    assert 0.01 < found.hi < 0.2


def test_the_worst_of_equal_cells_is_the_cell_and_of_several_lies_lower():
    label, score, names = table(6)
    clusters = Clusters.of(names)
    one = Sample.of(label, score, clusters).auc()
    assert worst([one, one, one])[:3] == pytest.approx(of_share(one)[:3])
    assert mean_of([one, one])[:3] == pytest.approx(of_share(one)[:3])
    generator = np.random.default_rng(1)
    cells = [Sample.of(label, label + generator.normal(0, 1, len(label)), clusters).auc() for _ in range(6)]
    found = worst(cells)
    assert found.value == min(cell.value for cell in cells)
    assert found.lo == min(of_share(cell).lo for cell in cells)
    assert found.hi > min(of_share(cell).hi for cell in cells)


def test_a_mean_of_undefined_cells_is_undefined_without_a_warning():
    cell = Sample.of([0, 0], [0.1, 0.2], Clusters.of(["a", "b"])).auc()
    found = mean_of([cell, cell])
    assert np.isnan(found.lo)
    assert found.reason == "no fake samples"


def test_an_end_never_passes_its_value():
    label, names = np.repeat([0, 1], 15), np.tile(np.repeat(np.arange(3), 5), 2)
    found = of_share(Sample.of(label, np.linspace(0, 1, 30), Clusters.of(names)).auc())
    assert (found.value, found.hi) == (1, 1)


def test_fiellers_interval_solves_its_equation():
    label, score, names = table(7, clusters=20)
    clusters = Clusters.of(names)
    raw = Sample.of(label, label + score, clusters).auc()
    worse = Sample.of(label, score, clusters).auc()
    found = ratio_of_gains(worse, raw)
    assert found.value == pytest.approx((worse.value - 0.5) / (raw.value - 0.5))
    for ratio in (found.lo, found.hi):                                  # (N - r M)^2 = q^2 Var(N - r M)
        gap = (worse.value - 0.5) - ratio * (raw.value - 0.5)
        spread = worse.variance - 2 * ratio * worse.covariance(raw) + ratio**2 * raw.variance
        extra = ratio**2 * max(0.0, _unseen(raw))
        assert gap**2 == pytest.approx(stats.t.ppf(0.975, 19) ** 2 * (spread + extra), rel=1e-6)
    chance = Sample.of(label, np.random.default_rng(0).random(len(label)) + 0.02 * label, clusters).auc()
    assert np.isnan(ratio_of_gains(worse, chance).lo)


def _unseen(estimate):
    from evaluation.wilson import _missing

    return _missing(estimate, estimate.cap_paired)


def test_a_mean_of_clusters_is_students():
    label, score, names = table(8, rows=200, clusters=200)
    names = np.arange(200)
    estimate = Sample.of(label, score, Clusters.of(names)).mean_loss(lambda _, s: s)
    found = of_mean(estimate)
    half = stats.t.ppf(0.975, estimate.clusters - 1) * score.std(ddof=1) / np.sqrt(200)
    assert found.hi - found.lo == pytest.approx(2 * half, rel=0.2)      # one end is stretched by the skewness
    assert found.lo <= found.value - 0.99 * half


def people_table(rows_of, partners):
    """Rows in which person a and *partners* of a share fakes: people in several pairs."""
    rows = rows_of(pairs=4, val_pairs=0, conditions={"77": 0.5}, methods=("Deepfakes",), frames=2)
    for row in rows:
        row["pair"] = "_".join(sorted(row["identity"].split("+")))
    extra = []
    for row in rows:
        if row["method"] == "Deepfakes" and "000" in row["identity"]:
            for partner in partners:
                name = f"000_{partner}"
                extra.append(row | {"key": f"c23/Deepfakes/{name}/{row['frame']:04d}", "video": f"Deepfakes/{name}",
                                    "identity": f"000+{partner}", "pair": name})  # fmt: skip
    unique = {row["key"]: row for row in rows + extra}
    return list(unique.values())


def test_pairs_are_the_clusters_where_people_are_in_one_pair(scores_of):
    scores = scores_of(pairs=3, val_pairs=0, conditions={"77": 0.5})
    found = cluster(scores)
    assert found.unit == "pair"
    assert len(found.weight) == 3
    assert all(len(np.unique(scores.pair[found.code[:, 0] == c])) == 1 for c in range(3))


def test_people_in_several_pairs_are_clusters_and_overlaps_are_subtracted(rows_of, write_scores):
    from evaluation.scores import read

    scores = read(write_scores(rows=people_table(rows_of, ["002", "004", "006"])))
    found = cluster(scores)
    assert found.unit == "person"
    people = sorted({name for names in scores.identity for name in names.split("+")})
    assert (found.weight > 0).sum() == len(people)
    sample = Sample.of(scores.label, scores.score, found)
    fakes = scores[scores.label == 1]
    sets = [frozenset(name.split("+")) for name in fakes.identity]
    share = np.array([[bool(a & b) for a in sets] for b in sets])
    shows = np.array([[name in names for names in sets] for name in people])
    clusters, above_least = len(people) // 2, 0    # two people to a fake
    for threshold in np.linspace(0.2, 0.8, 7):
        estimate = sample.rates(threshold).tpr
        part = ((fakes.score >= threshold) - estimate.value) / len(fakes)
        # products of all fakes that share a person, once each; never less than half the sum over people
        dyadic, least = part @ share @ part, 0.5 * np.sum((shows @ part) ** 2)
        assert estimate.variance == pytest.approx(clusters / (clusters - 1) * max(dyadic, least))
        above_least += dyadic > least
    assert above_least >= 2


def test_a_table_without_pairs_counts_videos_or_rows(scores_of):
    from dataclasses import replace

    scores = scores_of(pairs=3, val_pairs=0, conditions={"77": 0.5})
    assert cluster(replace(scores, pair=scores.video)).unit == "video"
    alone = replace(scores, pair=scores.key, video=scores.key)
    assert cluster(alone).unit == "row"
    assert len(cluster(alone).weight) == len(scores)
