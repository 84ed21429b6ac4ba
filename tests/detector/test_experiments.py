"""The grid of experiments, with DVC and Git as far as it calls them; tests/pipeline runs it with DVC itself."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from detector import experiments
from detector.cli import cli
from detector.config import Params, from_mapping
from detector.errors import DetectorError
from detector.experiments import (
    Experiment,
    combinations,
    experiment_name,
    free_name,
    holds_scores,
    overrides,
    scored_on,
    setting,
    with_settings,
)


def test_grid_is_every_combination_with_the_last_axis_fastest():
    grid = combinations(overrides(["quality=77,10", "seed=1,2"]))

    assert [tuple(row.values()) for row in grid] == [("77", "1"), ("77", "2"), ("10", "1"), ("10", "2")]


def test_experiments_are_named_after_their_settings():
    assert experiment_name({"quality": "77", "train.amp": "bf16", "faces.frames_per_second": "4"}) == (
        "quality-77.amp-bf16.frames-per-second-4"
    )
    assert free_name("seed-1", ["seed-1", "seed-1-2"]) == "seed-1-3"


def test_an_axis_without_values_says_how_to_write_one():
    with pytest.raises(DetectorError, match="quality=77,10"):
        overrides(["quality"])


def test_settings_are_checked_before_anything_runs():
    params = with_settings({"train": {"steps": 30}}, {"train.amp": "bf16", "faces.frames_per_second": "null"})

    assert (params.train.steps, params.train.amp, params.faces.frames_per_second) == (30, "bf16", None)
    assert [setting(params, name) for name in ("faces.frames_per_second", "train.lr")] == ["null", "0.002"]
    for name, value, message in (
        ("quality", "500", r"quality must be 1\.\.100"),
        ("train.stepps", "3", r"did you mean train\.steps"),
        ("quality.high", "3", "quality is not a section"),
    ):
        with pytest.raises(DetectorError, match=message):
            with_settings({"quality": 77}, {name: value})


def lock(quality: int = 77, used: str = "w") -> dict:
    """A dvc.lock of four stages, scores made from the weights *used* of an experiment whose weights are w."""

    def stage(deps: dict[str, str], outs: dict[str, str], **params) -> dict:
        named = {"deps": deps, "outs": outs}
        return {"params": {"params.yaml": params}} | {
            kind: [{"path": path, "md5": md5} for path, md5 in entries.items()] for kind, entries in named.items()
        }

    return {
        "stages": {
            "faces": stage({"data": "d"}, {"out/faces": "f"}),
            "compress": stage({"out/faces": "f"}, {"out/compressed": "c"}, quality=quality),
            "train": stage({"out/compressed": "c"}, {"out/train": "w"}),
            "score": stage({"out/faces": "f", "out/train": used}, {"out/scores.csv": "s"}, **{"train.threads": "auto"}),
        }
    }


def test_scores_that_other_parameters_or_weights_made_are_no_record():
    values = {"quality": 77, "train": {"threads": "auto"}}
    assert holds_scores(values, lock())
    assert not holds_scores(values | {"quality": 10}, lock())
    assert not holds_scores(values | {"train": {"threads": 1}}, lock())
    assert not holds_scores(values, lock(used="of another training"))
    assert not holds_scores(values, {"stages": {}})


def test_weights_trained_on_other_frames_score_the_same_faces_unless_their_crops_differ():
    def experiment(name: str, **faces) -> Experiment:
        record = lock()
        record["stages"]["faces"]["outs"][0]["md5"] = name
        return Experiment(name, name, from_mapping(Params, {"faces": faces}), record)

    first = experiment("first")

    assert scored_on(first, first) is first
    assert scored_on(experiment("often", frames_per_second=25), first) is first
    small = experiment("small", size=64, frames_per_second=25)
    assert scored_on(small, first) is small


class Dvc:
    """DVC and Git as the grid calls them: a run records parameters, a dvc.lock and files that name the experiment."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, str]] = {}  # commit -> file -> content
        self.names: dict[str, str] = {}  # commit -> name
        self.runs: list[list[str]] = []
        self.scored: list[list[str]] = []
        self.failing, self.stage, self.email, self.environment = "", "score", "", {}

    def record(self, name: str, settings: list[str]) -> None:
        rev = f"rev{len(self.records)}"
        params = with_settings({}, {key: values[0] for key, values in overrides(settings, separator=None)})
        made = lock(params.quality)
        made["stages"]["faces"]["outs"][0]["md5"] = faces = f"{params.faces.size} {params.faces.frames_per_second}"
        for stage in ("compress", "score"):
            made["stages"][stage]["deps"][0]["md5"] = faces
        if self.stage != "score":
            del made["stages"]["score"]
        self.names[rev] = name
        self.records[rev] = {"params.yaml": json.dumps(dataclasses.asdict(params)), "dvc.lock": json.dumps(made)}

    def run(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        said = ""
        match [str(word) for word in command]:
            case ["dvc", "exp", "list", option]:
                said = "\n".join(self.names.values() if option == "--name-only" else self.names)
            case ["git", "show", where]:
                rev, _, file = where.partition(":./")
                said = self.records[rev][file]
            case ["git", "config", "user.email"]:
                said = self.email
            case ["dvc", "exp", "run", "--temp", "--name", name, *settings]:
                self.runs.append([name, *settings])
                self.environment = options["env"]
                if self.failing != "run" and self.stage:
                    self.record(name, settings[1::2])
            case [sys.executable, "-m", "detector.cli", "score", faces, train, out, "--params", _]:
                read = [(Path(folder) / "of").read_text() for folder in (faces, train)]
                self.scored.append(read)
                Path(out).write_text(f"{read[1]} on {read[0]}")
            case other:
                raise AssertionError(other)
        failed = bool(self.failing) and self.failing in command
        return subprocess.CompletedProcess(command, failed, said, "fatal: it failed\n" if failed else "")

    def filesystem(self, rev: str) -> SimpleNamespace:
        def get(source: str, target: str, **_: object) -> None:
            if self.failing == source:
                raise FileNotFoundError(source)
            folder = source in ("out/faces", "out/train")
            if folder:
                Path(target).mkdir()
            (Path(target) / "of" if folder else Path(target)).write_text(self.names[rev])

        return SimpleNamespace(get=get)


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dvc:
    """A working folder with an empty params.yaml, where DVC has no experiment yet."""
    fake, api = Dvc(), ModuleType("dvc.api")
    vars(api)["DVCFileSystem"] = fake.filesystem
    monkeypatch.setitem(sys.modules, "dvc", ModuleType("dvc"))
    monkeypatch.setitem(sys.modules, "dvc.api", api)
    monkeypatch.setattr(experiments, "subprocess", SimpleNamespace(run=fake.run))
    monkeypatch.setattr(experiments, "_record", functools.cache(experiments._record.__wrapped__))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("quality: 77\n")
    return fake


def grid(*words: str) -> Result:
    return CliRunner().invoke(cli, ["grid", *words])


def index() -> list[dict[str, str]]:
    with Path("out/experiments/experiments.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_runs_what_is_not_recorded_and_keeps_what_it_had(dvc: Dvc) -> None:
    result = grid("quality=77,10", "--set", "seed=3")
    assert result.exit_code == 0, result.output
    assert dvc.runs == [
        ["quality-77", "-S", "seed=3", "-S", "quality=77"],
        ["quality-10", "-S", "seed=3", "-S", "quality=10"],
    ]
    assert "[2/2] quality-10: running" in result.output
    assert [(row["experiment"], row["quality"], row["seed"]) for row in index()] == [
        ("quality-77", "77", "3"),
        ("quality-10", "10", "3"),
    ]
    out = Path("out/experiments")
    # both on the faces of the first, whose scores DVC has; the bits per pixel are those of the first
    assert {row["tested_on"] for row in index()} == {"quality-77"}
    assert [(out / row["scores"]).read_text() for row in index()] == ["quality-77", "quality-10"]
    assert (out / "quality-10.json").read_text() == "quality-10"
    assert (out / "fidelity.json").read_text() == "quality-77"

    (out / "quality-10.csv").write_text("kept")  # an interrupted grid copies nothing twice
    (out / "quality-77.csv").unlink()
    result = grid("quality=10", "train.lr=0.001", "--set", "seed=3")
    assert len(dvc.runs) == 3
    assert dvc.runs[2][0] == "quality-10.lr-0.001"
    assert [(row["experiment"], row["train.lr"]) for row in index()] == [
        ("quality-77", "0.002"),
        ("quality-10", "0.002"),
        ("quality-10.lr-0.001", "0.001"),
    ]
    assert (out / "quality-10.csv").read_text() == "kept"
    assert (out / "quality-77.csv").read_text() == "quality-77"
    assert "recorded, not run again" in grid("quality=10", "--set", "seed=3").output
    assert len(dvc.runs) == 3


def test_a_name_that_other_parameters_have_gets_a_number(dvc: Dvc) -> None:
    dvc.record("quality-10", ["quality=10", "seed=9"])
    assert grid("quality=10").exit_code == 0
    assert [run[0] for run in dvc.runs] == ["quality-10-2"]


def test_experiments_on_other_frames_score_the_faces_of_the_first(dvc: Dvc) -> None:
    result = grid("faces.frames_per_second=null,25", "--out", "grid")
    assert result.exit_code == 0, result.output
    first, second = "frames-per-second-null", "frames-per-second-25"
    assert dvc.scored == [[first, second]]
    assert f"{second}.csv, the test faces of {first}" in result.output
    assert Path("grid", f"{second}.csv").read_text() == f"{second} on {first}"
    assert not list(Path("grid").glob(".scoring-*"))
    # scores on other faces than before are made again, with the faces of the experiment itself for another size
    shutil.rmtree("grid")
    assert grid("faces.size=64", "--out", "grid").exit_code == 0
    assert Path("grid/size-64.csv").read_text() == "size-64"


def test_a_committer_is_given_where_git_has_none(dvc: Dvc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")
    monkeypatch.delenv("GIT_COMMITTER_NAME", raising=False)
    assert grid("quality=10").exit_code == 0
    assert (dvc.environment["GIT_AUTHOR_NAME"], dvc.environment["GIT_COMMITTER_NAME"]) == ("Ada", "experiment")
    dvc.email = "ada@example.org\n"
    assert grid("quality=11").exit_code == 0
    assert "GIT_COMMITTER_NAME" not in dvc.environment


@pytest.mark.parametrize(
    ("failing", "stage", "message"),
    [
        ("run", "score", "dvc exp run --temp --name size-64 -S faces.size=64 failed; finished experiments are kept"),
        ("", "train", "size-64 has run, but DVC has no record of it; see dvc exp list"),
        ("list", "score", "dvc exp list --name-only failed: fatal: it failed"),
        ("out/scores.csv", "score", "dvc exp remove size-64 and run the same command again"),
    ],
)
def test_what_fails_is_said_with_a_remedy(dvc: Dvc, failing: str, stage: str, message: str) -> None:
    dvc.failing, dvc.stage = failing, stage
    result = grid("faces.size=64")
    assert result.exit_code == 1
    assert message in result.output
    assert not Path("out/experiments/size-64.csv").exists()


def test_faces_that_cannot_be_scored_are_named(dvc: Dvc) -> None:
    dvc.failing = "score"
    result = grid("faces.frames_per_second=null,25")
    assert result.exit_code == 1
    assert "frames-per-second-25: the test faces of frames-per-second-null could not be scored" in result.output
    assert [row["experiment"] for row in index()] == ["frames-per-second-null"]
