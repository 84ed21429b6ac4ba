"""The pipeline as a user runs it, in a clone: dvc repro, dvc exp run, dvc metrics diff, kill -9."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from detector.pipeline import STAGES, makers, stage

NAMES = {row.name for row in STAGES}


def stages_run(output: str) -> set[str]:
    return {name for name in NAMES if f"Running stage '{name}'" in output}


def depends_on(parameter: str) -> set[str]:
    """Return the stages that use *parameter*, and those that read what these write."""
    users = {row.name for row in STAGES if parameter in row.params}
    return users | {row.name for row in STAGES if users & {maker.name for path in row.reads for maker in makers(path)}}


def weights(clone) -> str:
    return hashlib.sha256((clone.path / "out/train/weights.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def copy(small_clone, tmp_path):
    shutil.copytree(small_clone.path, tmp_path / "copy", symlinks=True)
    return dataclasses.replace(small_clone, path=tmp_path / "copy")


def test_sample_comes_with_a_clone_without_network(fresh_clone):
    clips = list((fresh_clone.path / "data").rglob("*.mp4"))

    assert len(clips) == 1064


def test_repro_ends_with_a_table_of_metrics_and_the_page(small_clone):
    printed = (small_clone.path / "first-run.txt").read_text()

    assert stages_run(printed) == NAMES
    assert "AUC" in printed
    assert "out/report/index.html" in printed
    assert (small_clone.path / "out/report/index.html").stat().st_size > 10_000
    assert set(small_clone.json("out/metrics.json")) >= {"raw", "q77", "q60", "q15", "q10"}


def test_second_repro_runs_nothing(small_clone):
    assert not stages_run(small_clone.run("dvc", "repro"))


def test_repro_leaves_the_working_tree_clean(small_clone):
    assert small_clone.run("git", "status", "--porcelain") == ""


@pytest.mark.slow(minutes=1)
def test_experiment_at_another_quality_reruns_only_what_depends_on_it(copy):
    printed = copy.run("dvc", "exp", "run", "-S", "quality=10")

    assert {"compress", "train", "score", "explain", "evaluate", "report"} <= stages_run(printed)
    assert not {"faces", "audit", "fidelity"} & stages_run(printed)
    assert stages_run(printed) == depends_on("quality")

    difference = json.loads(copy.run("dvc", "metrics", "diff", "--json"))

    assert list(difference) == ["out/headline.json"]
    assert len(difference["out/headline.json"]) <= 6
    assert "diff" in difference["out/headline.json"]["auc.q77"] or "new" in difference["out/headline.json"]["auc.q77"]
    # the pager of `dvc exp show` cuts lines: what identifies a run and its numbers come first
    header = next(line for line in copy.run("dvc", "exp", "show").splitlines() if "Experiment" in line)
    assert header.split()[:11] == [
        "Experiment", "Created", *(f"auc.{name}" for name in ("q77", "q10", "worst")), "bacc", "min_tnr", "min_tpr",
        "quality", "model", "seed",
    ]  # fmt: skip
    quality = json.loads(copy.run("dvc", "params", "diff", "--json"))["params.yaml"]["quality"]

    assert (quality["old"], quality["new"]) == (77, 10)

    back = copy.run("dvc", "exp", "run", "-S", "quality=77")

    assert not stages_run(back)


@pytest.mark.slow(minutes=0.4)
def test_other_conditions_score_again_and_do_not_train(copy):
    printed = copy.run("dvc", "exp", "run", "-S", 'conditions=[raw,77,turbo:90,"turbo:90>resize:0.5>moz:60"]')

    assert {"fidelity", "score", "explain", "evaluate", "report"} <= stages_run(printed)
    assert not {"faces", "audit", "compress", "train"} & stages_run(printed)
    assert stages_run(printed) == depends_on("conditions")

    names = ["raw", "q77", "turbo90", "turbo90_resize0_5_moz60"]
    found = copy.json("out/metrics.json")

    assert [name for name in found if "frame" in found[name] and name not in ("drop", "matrix")] == names
    assert [name for name in copy.json("out/fidelity.json") if name.startswith(("q", "turbo"))] == names[1:]


def test_plots_show_needs_no_network(copy):
    copy.run("dvc", "plots", "show", "--out", "plots")

    figures = {name for output in stage("report").writes for name in output.figures}
    shown = [path.name for path in (copy.path / "plots").rglob("*.png")]
    assert sorted(shown) == sorted(f"workspace_out_report_{name}" for name in figures)
    page = (copy.path / "plots/index.html").read_text()
    assert "<script" not in page                        # DVC draws nothing itself, which would need scripts of a CDN
    assert "https://" not in page


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("quality=500", "quality"),
        pytest.param("model=mesoo4", "meso4", marks=pytest.mark.slow(minutes=0.1)),
        pytest.param("train.amp=bf17", "amp", marks=pytest.mark.slow(minutes=0.1)),
        pytest.param("+train.stepps=3", "steps", marks=pytest.mark.slow(minutes=0.1)),
    ],
)
def test_a_bad_parameter_is_named_before_anything_is_spent(copy, override, words):
    failed = subprocess.run(
        ["dvc", "exp", "run", "-S", override], cwd=copy.path, env=copy.env, text=True, capture_output=True
    )

    assert failed.returncode != 0
    assert words in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def wait_for_checkpoint(clone, process: subprocess.Popen) -> None:
    """Return when training has saved its first checkpoint."""
    deadline = time.monotonic() + 1500
    while not list((clone.path / "out/checkpoints").glob("*/step-*.pt")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "no checkpoint in 25 minutes"
        time.sleep(0.02)


def trainers(clone) -> list[int]:
    """Return the processes that hold the lock of a training in *clone*."""
    locks = (clone.path / "out/checkpoints").glob("*/lock")
    return [json.loads(lock.read_text())["pid"] for lock in locks]


STEPS = 200  # of a training that must not have ended before it is stopped


def with_another_seed(clone) -> None:
    params = clone.path / "params.yaml"
    params.write_text(params.read_text().replace("seed: 1", "seed: 2", 1).replace("steps: 60", f"steps: {STEPS}", 1))


@pytest.fixture(scope="module")
def undisturbed(small_clone, tmp_path_factory) -> str:
    """The hash of the weights of a training with another seed that nobody disturbs."""
    path = tmp_path_factory.mktemp("undisturbed") / "copy"
    shutil.copytree(small_clone.path, path, symlinks=True)
    clone = dataclasses.replace(small_clone, path=path)
    with_another_seed(clone)
    clone.run("detector", "train", "out/compressed", "out/train", "--faces", "out/faces", "--history", "history.csv")
    return weights(clone)


@pytest.mark.slow(minutes=0.5)
def test_killing_everything_in_the_middle_of_training_changes_no_weight(copy, undisturbed):
    with_another_seed(copy)
    process = copy.start("dvc", "repro", "train", start_new_session=True)
    wait_for_checkpoint(copy, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    printed = copy.run("dvc", "repro", "train")

    assert "resuming from step" in printed
    assert weights(copy) == undisturbed
    assert not list((copy.path / "out/checkpoints").glob("*/step-*"))


@pytest.mark.slow(minutes=1.5)
def test_a_launcher_changes_no_result_of_the_stages(copy):
    params = copy.path / "params.yaml"
    params.write_text(params.read_text().replace("parts: 1", "parts: 2", 1))
    copy.run("dvc", "repro", "evaluate")
    alone = results(copy)
    for name in ("out/train", "out/scores.csv", "out/logs"):
        path = copy.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    launcher = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
    launched = dataclasses.replace(copy, env={**copy.env, "DETECTOR_LAUNCHER": launcher})
    for name in ("train", "score", "evaluate"):  # --force: DVC would take the results from its cache
        assert name in stages_run(launched.run("dvc", "repro", "--force", "--single-item", name))

    log = [json.loads(line) for line in (copy.path / "out/logs/train.jsonl").read_text().splitlines()]
    assert log[0]["processes"] == 2
    assert results(copy) == alone
    assert "up to date" in launched.run("dvc", "status", "train", "score", "evaluate")
    assert not stages_run(copy.run("dvc", "repro", "evaluate"))  # without the launcher, which is no dependency


def results(clone) -> dict[str, str]:
    """Return the hash of each file that train, score and evaluate write."""
    files = [
        file
        for name in ("train", "score", "evaluate")
        for path in stage(name).outputs
        for file in [clone.path / path, *(clone.path / path).rglob("*")]
        if file.is_file()
    ]
    return {str(file.relative_to(clone.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow(minutes=0.5)
def test_killing_dvc_alone_leaves_a_trainer_that_the_rerun_waits_for(copy, undisturbed):
    with_another_seed(copy)
    process = copy.start("dvc", "repro", "train", start_new_session=True)
    wait_for_checkpoint(copy, process)
    (orphan,) = orphans = trainers(copy)
    os.kill(orphan, signal.SIGSTOP)  # it outlives the start of the rerun
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    rerun = copy.start("dvc", "repro", "train")
    printed = ""
    while "waiting until it is done" not in printed:
        line = rerun.stdout.readline()
        printed += line
        assert line, printed
    os.kill(orphan, signal.SIGCONT)
    printed += rerun.communicate()[0]

    assert rerun.returncode == 0, printed
    assert not trainers(copy)
    assert any(str(pid) in printed for pid in orphans)
    assert weights(copy) == undisturbed
