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
    scores = scores_of()
    order = np.random.default_rng(0).permutation(len(scores))
    first, again, shuffled, other = (
        summarize(*args) for args in
        ((scores, FAST), (scores, FAST), (scores[order], FAST), (scores, Settings(replicates=60, seed=4)))
    )  # fmt: skip
    assert repr(first) == repr(again)
    a, b, c = (summary.find("77", "frame", "auc") for summary in (first, shuffled, other))
    assert repr(a) == repr(b)
    assert (a.lo, a.hi) != (c.lo, c.hi)


def test_metrics_of_a_single_class_are_undefined_and_named(write_scores, rows_of):
    rows = [row for row in rows_of() if row["method"] != "original"]
    summary = summarize(read(write_scores(rows=rows)), FAST)
    assert "q77.frame.auc: one class only" in summary.undefined
    assert "drop.frame.auc: undefined in one of the two conditions" in summary.undefined
    row = summary.find("77", "frame", "auc")
    assert np.isnan([row.value, row.lo, row.hi]).all()
    assert summary.find("77", "frame", "accuracy").value > 0        # defined, but without an interval
    assert any(text.startswith("q77.frame.accuracy_lo") for text in summary.undefined)


def test_a_single_video_of_a_class_has_no_interval(write_scores, rows_of):
    keep = ("original/004", "Deepfakes/004_005")
    rows = [row for row in rows_of() if row["video"] in keep or row["split"] == "val"]
    summary = summarize(read(write_scores(rows=rows)), FAST)
    row = summary.find("77", "frame", "auc")
    assert np.isfinite(row.value)
    assert np.isnan([row.lo, row.hi]).all()
    assert "q77.frame.auc_lo, q77.frame.auc_hi: fewer than two real or two fake videos" in summary.undefined


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
