"""The experiment commands of the README, and the grid, whose table is generated from DVC's experiments."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from detector.experiments import combinations, overrides, with_settings

ROOT = Path(__file__).resolve().parents[2]
TINY = ["-S", "train.steps=2", "-S", "train.eval_every=2"]


@pytest.fixture
def copy(small_clone, tmp_path):
    shutil.copytree(small_clone.path, tmp_path / "copy", symlinks=True)
    return dataclasses.replace(small_clone, path=tmp_path / "copy")


@pytest.mark.trial(minutes=3)
def test_another_model_is_one_command(copy):
    copy.run("dvc", "exp", "run", "-S", "model=efficientnet_b4", *TINY)

    assert copy.json("out/train/model.json")["model"] == "efficientnet_b4"
    assert copy.json("out/metrics.json")["q77"]["frame"]["auc"] >= 0


@pytest.mark.trial(minutes=2)
def test_another_precision_is_one_command(copy):
    before = (copy.path / "out/train/weights.safetensors").read_bytes()
    copy.run("dvc", "exp", "run", "-S", "train.amp=bf16")

    assert copy.json("out/train/model.json")["amp"] == "bf16"
    assert (copy.path / "out/train/weights.safetensors").read_bytes() != before


def records(clone) -> list[dict]:
    """Return the finished experiments of the current commit from `dvc exp show`."""
    (shown, *_) = (row for row in json.loads(clone.run("dvc", "exp", "show", "--json")) if row["rev"] != "workspace")
    return [row["revs"][-1]["data"] for row in shown["experiments"] or []]


def parameters(record: dict) -> dict:
    return record["params"]["params.yaml"]["data"]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(("dvc", "queue", "start"), marks=pytest.mark.slow(minutes=4)),
        pytest.param(("dvc", "exp", "run", "--run-all"), marks=pytest.mark.trial(minutes=4)),
    ],
)
def test_four_qualities_wait_in_a_queue_and_all_are_run(copy, start):
    copy.run("dvc", "exp", "run", "--queue", "-S", "quality=77,60,15,10", *TINY)
    copy.run(*start)
    deadline = time.monotonic() + 1500
    while {"Queued", "Running"} & set(copy.run("dvc", "queue", "status").split()):
        assert time.monotonic() < deadline, copy.run("dvc", "queue", "status")
        time.sleep(2)

    assert copy.run("dvc", "queue", "status").split().count("Success") == 4
    found = {parameters(record)["quality"]: record["metrics"]["out/headline.json"]["data"] for record in records(copy)}
    assert sorted(found) == [10, 15, 60, 77]
    assert all("q10" in headline["auc"] for headline in found.values())


@pytest.mark.trial(minutes=4)
def test_the_grid_reads_dvcs_records_runs_nothing_twice_and_tests_all_on_the_same_faces(copy):
    copy.run("dvc", "exp", "run", "--name", "by-hand", "-S", "quality=10", *TINY)
    copy.run("git", "checkout", "--quiet", ".")
    axes = ["train.steps=2", "train.eval_every=2", "faces.frames_per_second=null,5", "quality=10"]
    first = copy.run("detector", "grid", *axes)
    second = copy.run("detector", "grid", *axes)

    assert "by-hand: recorded, not run again" in first
    assert "Running stage" in first
    assert "Running stage" not in second
    assert "under 9 conditions" not in second                      # nor is anything scored again
    assert copy.run("git", "status", "--porcelain") == ""

    folder = copy.path / "out/experiments"
    with (folder / "experiments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["tested_on"] for row in rows] == ["by-hand", "by-hand"]
    assert [row["faces.frames_per_second"] for row in rows] == ["null", "5"]
    keys = [{line.split(",")[0] for line in (folder / row["scores"]).read_text().splitlines()} for row in rows]
    assert keys[0] == keys[1]

    versus = ["--versus", "faces.frames_per_second", "--replicates", "40"]
    copy.run("evaluation", "grid", str(folder / "experiments.csv"), *versus, "--csv", "out/grid.csv")
    with (copy.path / "out/grid.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    wanted = {"what": "auc", "condition": "10", "level": "frame", "method": "all", "unit": "pair"}
    values = [float(line["value"]) for line in lines if all(line[name] == value for name, value in wanted.items())]
    (own,) = (record for record in records(copy) if parameters(record)["faces"]["frames_per_second"] is None)
    assert values[0] == pytest.approx(own["metrics"]["out/headline.json"]["data"]["auc"]["q10"], abs=1e-6)
    assert {line["group"] for line in lines if line["what"] == "difference"} == {
        line["group"] for line in lines if line["faces.frames_per_second"] == "5"
    }


def test_the_reports_grid_is_one_command():
    """`make grid` runs models x qualities x frames per second x seeds; read from what make would run."""
    shown = subprocess.run(["make", "--dry-run", "grid"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shown.replace("\\\n", " ").split("detector grid ", 1)[1].split()

    axes = {axis.partition("=")[0]: axis.partition("=")[2] for axis in words[:4]}
    assert axes == {
        "model": "meso4,mesoinception4,efficientnet_b4,multi_attention",
        "quality": "77,60,15,10",
        "faces.frames_per_second": "null,25",
        "seed": "1,2,3",
    }
    assert "--versus faces.frames_per_second" in shown
    for settings in combinations(overrides(words[:4])):
        with_settings({}, settings)
