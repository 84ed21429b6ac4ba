"""Numbers stay at their level: thresholds, retention and draws of frames, videos and pairs are not exchanged."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import matrix, metrics
from evaluation.cli import main
from evaluation.intervals import Bootstrap
from evaluation.scores import by_video
from evaluation.sections import retained
from evaluation.summary import Settings, summarize


def test_the_validation_threshold_of_videos_comes_from_the_mean_scores_of_validation_videos(scores_of):
    scores = scores_of(frames=5)
    summary = summarize(scores, Settings(replicates=20))
    for condition in scores.conditions:
        val = scores.where(split="val", condition=condition)
        known = {"frame": val, "video": by_video(val)}
        thresholds = {level: metrics.youden_threshold(v.label, v.score) for level, v in known.items()}
        assert thresholds["frame"] != thresholds["video"]
        for level, threshold in thresholds.items():
            row = summary.find(condition, level, "balanced_accuracy", source="val")
            assert row.threshold == threshold
            test = scores.where(split="test", condition=condition)
            here = test if level == "frame" else by_video(test)
            assert row.value == pytest.approx(metrics.balanced_accuracy(here.label, here.score, threshold))


def test_retention_is_that_of_the_frames(write_scores, tmp_path):
    args = ["metrics", write_scores(frames=6), tmp_path / "m.json", "--tables", tmp_path / "t"]
    assert CliRunner().invoke(main, [*map(str, args), "--replicates", "20"], catch_exceptions=False).exit_code == 0
    found = {}
    for name in ("metrics.csv", "scalars.csv"):
        with (tmp_path / "t" / name).open(newline="") as file:
            found[name] = list(csv.DictReader(file))
    auc = {
        row["condition"]: float(row["value"]) for row in found["metrics.csv"]
        if (row["level"], row["method"], row["metric"]) == ("frame", "all", "auc")
    }  # fmt: skip
    wanted = ("retention", "frame", "all")
    kept = [row for row in found["scalars.csv"] if (row["name"], row["level"], row["method"]) == wanted]
    assert [row["condition"] for row in kept] == ["raw", "77", "10"]
    for row in kept:
        expected = (auc[row["condition"]] - 0.5) / (auc["raw"] - 0.5)
        assert float(row["value"]) == pytest.approx(expected, rel=1e-4)


def test_the_page_gives_the_retention_of_the_frames(scores_of):
    summary = summarize(scores_of(frames=6), Settings(replicates=20))
    shown = {level: f"{100 * summary.scalar('retention', '10', level).value:.0f} % [" for level in ("frame", "video")}
    assert shown["frame"] != shown["video"]
    assert retained(summary, "10").startswith(shown["frame"])


def test_videos_and_pairs_are_drawn_independently(scores_of):
    # one class and one video in each pair: both units have the same clusters in the same strata
    scores = scores_of(pairs=12, val_pairs=0)
    single = scores[(scores.label == 0) & (np.char.endswith(scores.video, "0") | np.char.endswith(scores.video, "2"))]
    video, pair = (Bootstrap.draw(single, unit, replicates=50) for unit in ("video", "pair"))
    assert video.weights.shape == pair.weights.shape
    assert (video.weights.sum(1) == pair.weights.sum(1)).all()
    assert not np.array_equal(video.weights, pair.weights)


def test_a_score_equal_to_the_threshold_is_classified_as_fake(scores_of):
    assert metrics.accuracy([1], [0.5], 0.5) == 1
    assert metrics.accuracy([0], [0.5], 0.5) == 0
    scores = scores_of()
    val = scores.where(split="val")
    threshold = metrics.youden_threshold(val.label, val.score)
    moved = scores[:]
    moved.score[moved.split == "test"] = threshold
    found = matrix.evaluate(moved)
    assert {row.value for row in found.decided("sensitivity")} == {1.0}
    assert {row.value for row in found.decided("specificity")} == {0.0}


def test_intervals_of_pairs_resample_pairs(scores_of):
    summary = summarize(scores_of(), Settings(replicates=50, intervals="bootstrap"))
    video, pair = (summary.find("10", "frame", "auc", unit=unit) for unit in ("video", "pair"))
    assert (video.value, video.unit, pair.unit) == (pair.value, "video", "pair")
    assert (video.lo, video.hi) != (pair.lo, pair.hi)
