"""The metrics of a table of scores: values, paired differences, undefined metrics."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics
from evaluation.scores import by_video, read
from evaluation.summary import Settings, summarize

FAST = Settings(replicates=60, seed=3)


def test_values_are_those_of_the_test_split(scores_of):
    scores = scores_of()
    summary = summarize(scores, FAST)
    test = scores.where(split="test")
    for condition in ("raw", "77", "10"):
        frames = test.where(condition=condition)
        for level, here in (("frame", frames), ("video", by_video(frames))):
            for metric in metrics.headline():
                expected = getattr(metrics, metric)(here.label, here.score)
                assert summary.find(condition, level, metric).value == pytest.approx(expected)
    row = summary.find("77", "video", "auc")
    assert (row.n_frames, row.n_videos, row.n_pairs) == (120, 40, 4)


def test_a_method_is_compared_with_all_real_faces(scores_of):
    scores = scores_of()
    summary = summarize(scores, FAST)
    here = scores.where(split="test", condition="10")
    here = here[(here.method == "original") | (here.method == "FaceSwap")]
    row = summary.find("10", "frame", "auc", method="FaceSwap")
    assert row.value == pytest.approx(metrics.auc(here.label, here.score))
    assert row.n_videos == 16


def test_the_second_threshold_is_youdens_on_the_validation_split(scores_of):
    scores = scores_of()
    summary = summarize(scores, FAST)
    val, test = (scores.where(split=split, condition="77") for split in ("val", "test"))
    threshold = metrics.youden_threshold(val.label, val.score)
    row = summary.find("77", "frame", "balanced_accuracy", source="val")
    assert row.threshold == threshold
    assert row.value == pytest.approx(metrics.balanced_accuracy(test.label, test.score, threshold))
    assert summary.find("77", "frame", "balanced_accuracy").threshold == 0.5


def test_without_a_validation_split_only_one_half_is_a_threshold(scores_of):
    summary = summarize(scores_of(val_pairs=0), FAST)
    assert {row.threshold_source for row in summary.rows} == {"", "fixed"}
    assert np.isnan(summary.calibration[0].temperature)
    assert summary.undefined == []


def test_intervals_hold_their_value_and_narrow_with_more_videos(scores_of):
    few, many = (summarize(scores_of(pairs=pairs), FAST) for pairs in (3, 24))
    for summary in (few, many):
        for row in summary.rows:
            if row.metric == "auc" and row.method == "all":
                assert row.lo <= row.value <= row.hi
    a, b = (summary.find("10", "frame", "auc") for summary in (few, many))
    assert b.hi - b.lo < a.hi - a.lo


def test_the_drop_is_paired(scores_of):
    scores = scores_of(pairs=12, conditions={"77": 0.7, "10": 0.4})
    summary = summarize(scores, FAST)
    high, low = (summary.find(condition, "frame", "auc") for condition in ("77", "10"))
    drop = summary.drop("frame", "auc")
    assert (drop.high, drop.low) == ("77", "10")
    assert drop.value == pytest.approx(high.value - low.value)
    apart = np.hypot(high.hi - high.lo, low.hi - low.lo)           # width if the two were independent
    assert drop.hi - drop.lo < 0.85 * apart
    assert drop.lo > 0
    assert drop.p < 0.01


def test_every_label_gives_the_numbers_that_a_jpeg_quality_gives(write_scores, rows_of):
    names = {"raw": "raw", "77": "turbo:90>resize:0.5", "10": "turbo:90>resize:0.1"}
    rows = rows_of(conditions={"raw": 1.6, "77": 1.3, "10": 0.3})
    other = [{**row, "condition": names[row["condition"]]} for row in rows]
    first, second = (summarize(read(write_scores(f"{i}.csv", rows=r)), FAST) for i, r in enumerate((rows, other)))
    for old, new in zip(first.rows, second.rows, strict=True):
        assert repr(replace(old, condition=names[old.condition])) == repr(new)
    for old, new in zip(first.differences, second.differences, strict=True):
        assert repr(replace(old, high=names[old.high], low=names[old.low])) == repr(new)


def test_no_method_of_the_file_replaces_the_rows_over_all_methods(write_scores, rows_of):
    names = {"Deepfakes": "all", "Face2Face": "real", "FaceSwap": "drop"}
    rows = rows_of()
    other = [{**row, "method": names.get(row["method"], row["method"])} for row in rows]
    first, second = (summarize(read(write_scores(f"{i}.csv", rows=r)), FAST) for i, r in enumerate((rows, other)))
    assert second.methods == ["NeuralTextures", "drop", "method all", "real"]
    renamed = {"all": "all", "Deepfakes": "method all", "Face2Face": "real", "FaceSwap": "drop"}
    for old in first.rows:
        if old.method != "NeuralTextures" and old.threshold_source != "val":
            method = renamed[old.method]
            new = second.find(old.condition, old.level, old.metric, method, old.unit, old.threshold_source)
            assert repr(replace(old, method=method)) == repr(new)
    clash = [{**row, "method": "method all"} if row["method"] == "real" else row for row in other]
    with pytest.raises(ValueError, match="'all' and 'method all' have the same name"):
        summarize(read(write_scores(rows=clash)), FAST)


def test_raw_is_not_an_end_of_the_drop(scores_of):
    summary = summarize(scores_of(conditions={"raw": 2.0, "60": 1.0}), FAST)
    assert summary.ends() is None
    assert summary.drop("frame", "auc") is None
    assert "drop: fewer than two conditions other than raw" in summary.undefined


def test_a_seed_repeats_every_number(scores_of):
    scores, drawn = scores_of(), Settings(replicates=60, seed=3, intervals="bootstrap")
    order = np.random.default_rng(0).permutation(len(scores))
    first, again, shuffled, other = (
        summarize(*args) for args in
        ((scores, drawn), (scores, drawn), (scores[order], drawn), (scores, replace(drawn, seed=4)))
    )  # fmt: skip
    assert repr(first) == repr(again)
    a, b, c = (summary.find("77", "frame", "auc") for summary in (first, shuffled, other))
    assert repr(a) == repr(b)
    assert (a.lo, a.hi) != (c.lo, c.hi)


def test_metrics_of_a_single_class_are_undefined_and_named(write_scores, rows_of):
    rows = [row for row in rows_of() if row["method"] != "original"]
    summary = summarize(read(write_scores(rows=rows)), FAST)
    assert "q77.frame.auc: no real samples" in summary.undefined
    assert "drop.frame.auc: undefined in one of the two conditions" in summary.undefined
    row = summary.find("77", "frame", "auc")
    assert np.isnan([row.value, row.lo, row.hi]).all()
    accuracy, recall = (summary.find("77", "frame", metric) for metric in ("accuracy", "recall"))
    assert 0 < recall.lo < recall.value < recall.hi <= 1             # the one number that means something
    assert (accuracy.value, accuracy.lo, accuracy.hi) == (recall.value, recall.lo, recall.hi)
    assert "q77.frame.f1_lo, q77.frame.f1_hi: no real samples" in summary.undefined


def test_a_single_video_of_a_class_has_no_interval(write_scores, rows_of):
    keep = ("original/004", "Deepfakes/004_005")
    rows = [row for row in rows_of() if row["video"] in keep or row["split"] == "val"]
    summary = summarize(read(write_scores(rows=rows)), FAST)
    row = summary.find("77", "frame", "auc")
    assert np.isfinite(row.value)
    assert np.isnan([row.lo, row.hi]).all()
    assert "q77.frame.auc_lo, q77.frame.auc_hi: fewer than two pairs with real samples" in summary.undefined


def test_an_empty_test_split_is_named(write_scores, rows_of):
    rows = [row for row in rows_of() if row["split"] == "val"]
    for chosen in (rows, []):
        summary = summarize(read(write_scores(rows=chosen)), FAST)
        assert summary.undefined == ["everything: the test split is empty"]
        assert summary.n == {"frames": 0, "videos": 0, "pairs": 0}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"replicates": 0}, "replicates must be at least 1"), ({"confidence": 1.0}, "between 0 and 1, got 1.0"),
     ({"seed": -1}, "seed must not be negative")],
)  # fmt: skip
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Settings(**options)


def test_the_bootstrap_is_an_option_with_two_units(scores_of):
    scores = scores_of(pairs=6)
    ours, drawn = (summarize(scores, replace(FAST, intervals=kind)) for kind in ("jackknife", "bootstrap"))
    assert (ours.units, drawn.units) == (["pair"], ["video", "pair"])
    for level in ("frame", "video"):
        for metric in ("auc", "eer", "f1", "brier"):
            a, b = ours.find("77", level, metric), drawn.find("77", level, metric)
            assert a.value == pytest.approx(b.value)
            assert (a.lo, a.hi) != (b.lo, b.hi)
    with pytest.raises(ValueError, match="intervals must be one of jackknife, bootstrap"):
        replace(FAST, intervals="guess")


def test_every_number_has_an_interval_or_a_reason(scores_of):
    summary = summarize(scores_of(), FAST)
    assert summary.scalars
    for row in [*summary.rows, *summary.differences, *summary.scalars]:
        assert np.isfinite([row.lo, row.hi]).all() or row.reason, row
    for row in summary.calibration:
        assert np.isfinite([row.ece_lo, row.ece_hi]).all()
        assert np.isfinite([row.temperature_lo, row.temperature_hi]).all() or "temperature: " in row.reason


def test_retention_and_means_over_methods_and_conditions(scores_of):
    summary = summarize(scores_of(pairs=10), FAST)
    raw, low = (summary.find(condition, "frame", "auc").value for condition in ("raw", "10"))
    kept = summary.scalar("retention", "10", "frame")
    assert kept.value == pytest.approx((low - 0.5) / (raw - 0.5))
    assert kept.lo < kept.value < kept.hi
    mean = summary.scalar("method_mean", "77", "frame")
    assert mean.value == pytest.approx(np.mean([summary.find("77", "frame", "auc", m).value for m in summary.methods]))
    assert mean.lo < mean.value < mean.hi
    one = summary.find("77", "frame", "auc")
    assert summary.mean_auc(["77"])[:3] == pytest.approx((one.value, one.lo, one.hi))
    both = summary.mean_auc(["77", "10"], [0.25, 0.75])
    assert both.value == pytest.approx(0.25 * one.value + 0.75 * low)
    assert both.lo < both.value < both.hi
