"""Thresholds by condition: from the validation crops only, equal to `evaluation`'s, separate for each level."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_curve

from detector.card import POOLED, Threshold, read_card
from detector.cli import cli
from detector.config import Params, TrainConfig
from detector.data.index import Face, read_index, write_index
from detector.errors import DataError
from detector.training.thresholds import Levels, choose
from detector.training.trainer import train
from evaluation.clusters import Clusters
from evaluation.likelihood import calibrate, logistic

CONFIG = TrainConfig(12, 8, eval_every=6, log_every=6, lr=5e-3, conditions=("raw", "40"), histories=None)


def run(crops: Path, folder: Path, faces: Path | None, config: TrainConfig = CONFIG) -> Path:
    out = folder / "train"
    train(Params(train=config), crops, out, folder / "history.csv", folder / "checkpoints", lossless=faces)
    return out


@pytest.fixture(scope="module")
def trained(packed_crops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(packed_crops["compressed"], tmp_path_factory.mktemp("trained"), packed_crops["faces"])


def youden(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """scikit-learn's ROC with every threshold kept; of equal differences the highest threshold, as it comes first."""
    fpr, tpr, thresholds = roc_curve(y_true, y_score, drop_intermediate=False)
    return float(thresholds[np.argmax(tpr - fpr)])


def test_thresholds_are_those_of_the_scores_that_the_score_stage_writes(
    packed_crops: dict[str, Path], trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text("conditions: [raw, 40]\n")
    arguments = [str(packed_crops["faces"]), str(trained), str(tmp_path / "scores.csv")]
    done = CliRunner().invoke(cli, ["score", *arguments, "--params", str(tmp_path / "params.yaml")])
    assert done.exit_code == 0, done.output
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    found = read_card(trained).thresholds
    assert [*found] == ["raw", "40"]
    for condition, levels in found.items():
        at = [row for row in rows if row["condition"] == condition]
        labels, scores = np.array([int(r["label"]) for r in at]), np.array([float(r["score"]) for r in at])
        assert levels.frame == Threshold(pytest.approx(youden(labels, scores)), 24, 32)
        videos = {r["video"]: int(r["label"]) for r in at}
        means = np.array([scores[[r["video"] == video for r in at]].mean() for video in videos])
        y_true = np.array([*videos.values()])
        assert levels.video == Threshold(pytest.approx(youden(y_true, means)), 2, 4)


def test_the_card_has_a_calibration_by_condition_and_the_ranges(trained: Path) -> None:
    card = read_card(trained)
    assert [*card.calibration] == ["raw", "40", POOLED]
    # one pair for validation: two reals, but fakes that share their people
    assert card.calibration["raw"].frame is None
    assert card.pooled is not None
    assert (card.pooled.frame.real, card.pooled.video.fake) == (48, 8)
    assert card.ranges is not None
    assert card.ranges.appearance is None
    assert card.ranges.sharpness.low < card.ranges.sharpness.high


def test_calibrations_are_those_of_the_scores(packed_crops: dict[str, Path]) -> None:
    index = read_index(packed_crops["faces"])
    rng, labels = np.random.default_rng(0), np.array([f.label for f in index])
    logits = np.column_stack([labels + rng.normal(0, 1, len(index)), 2 * labels + rng.normal(0, 1, len(index))])
    scores = 1 / (1 + np.exp(-logits))
    levels = Levels(index)
    found = levels.calibrated(logits, scores, [1])
    pairs = Clusters.of([f.pair for f in index])
    assert found.frame == calibrate(labels, logits[:, 1], pairs, [f.identity for f in index])
    assert found.frame is not None
    assert (found.frame.real_units, found.frame.fake_units, found.frame.clusters) == (6, 3, 3)
    videos = sorted({f.video for f in index})
    mean = np.array([scores[[f.video == v for f in index], 1].mean() for v in videos])
    of = {f.video: f for f in index}
    expected = calibrate(
        [of[v].label for v in videos],
        np.log(mean / (1 - mean)),
        Clusters.of([of[v].pair for v in videos]),
        [of[v].identity for v in videos],
    )
    assert found.video is not None
    assert expected is not None
    assert (found.video.slope, found.video.high) == pytest.approx((expected.slope, expected.high))
    both = levels.calibrated(logits, scores, [0, 1]).frame
    assert both is not None
    stacked = logistic(np.tile(labels, 2), np.concatenate([logits[:, 0], logits[:, 1]]))
    assert (both.intercept, both.slope) == pytest.approx(stacked)


def face(video: str, label: int, frame: int) -> Face:
    method = "Deepfakes" if label else "original"
    key = f"c23/{method}/{video}/{frame:04d}"
    described = ("c23", frame, method, video, video, "val", label)
    return Face(key, f"{method}/{video}", *described, "faces-000.tar", 0, 1, "00000000")


def test_the_video_level_has_a_threshold_of_its_own() -> None:
    # frames: the fakes are .9 .1 .9 .1 .6, the reals .2 .3 .4 .5; videos: .5 .5 .6 against .25 .45
    faces = [face("a", 1, 0), face("a", 1, 1), face("b", 1, 0), face("b", 1, 1), face("c", 1, 0)]
    faces += [face("d", 0, 0), face("d", 0, 1), face("e", 0, 0), face("e", 0, 1)]
    found = choose(faces, np.array([0.9, 0.1, 0.9, 0.1, 0.6, 0.2, 0.3, 0.4, 0.5]))
    assert found.frame == Threshold(0.6, 4, 5)
    assert found.video == Threshold(0.5, 2, 3)


def test_one_class_has_no_threshold_but_is_counted() -> None:
    found = choose([face("a", 1, 0), face("b", 1, 0)], np.array([0.9, 0.8]))
    assert found.frame == found.video == Threshold(None, 0, 2)


def test_other_test_conditions_leave_model_json_as_it_is(packed_crops: dict[str, Path], trained: Path, tmp_path: Path):
    params = Params(train=CONFIG, conditions=("raw", "10"))
    out = tmp_path / "train"
    train(
        params, packed_crops["compressed"], out, tmp_path / "h.csv", tmp_path / "un", lossless=packed_crops["faces"]
    )
    assert (out / "model.json").read_bytes() == (trained / "model.json").read_bytes()


def test_lossless_crops_of_other_faces_are_refused_before_the_training(packed_crops: dict[str, Path], tmp_path: Path):
    other = tmp_path / "faces"
    shutil.copytree(packed_crops["faces"], other)
    write_index(other / "index.csv", [f for f in read_index(other) if f.split != "val" or f.frame])
    with pytest.raises(DataError, match=r"faces/index\.csv: its validation crops are not those of the"):
        run(packed_crops["compressed"], tmp_path, other)
    assert not (tmp_path / "train").exists()


def test_without_lossless_crops_there_are_no_thresholds(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    out = run(packed_crops["compressed"], tmp_path, None, dataclasses.replace(CONFIG, steps=1))
    assert json.loads((out / "model.json").read_text())["thresholds"] == {}
    assert "None: no lossless validation crops were given" in (out / "model_card.md").read_text()
