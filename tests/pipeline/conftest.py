"""A small clone of this repository in which DVC really runs: six pairs of the sample, 60 steps of training."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACER = Path(__file__).with_name("tracer")
SMALL = {
    "frames_real: 16": "frames_real: 3",
    "frames_fake: 8": "frames_fake: 2",
    "  steps: 1000": "  steps: 60",
    "batch_size: 32": "batch_size: 8",
    "eval_every: 250": "eval_every: 30",
    "every_steps: 500": "every_steps: 5",
    "recompress: 0.0": "recompress: 0.2",
    "replicates: 1000": "replicates: 50",
}


@dataclass(frozen=True)
class Clone:
    """A clone and the environment in which its commands run."""

    path: Path
    env: dict[str, str]

    def start(self, *command: str, **kwargs) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.path, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs
        )

    def run(self, *command: str) -> str:
        """Return what *command* printed; fail with it if the exit status is not 0."""
        done = subprocess.run(
            command, cwd=self.path, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def traced(self, folder: Path) -> Clone:
        """Return this clone with the tracer at work: what the stages load and read is recorded in *folder*."""
        folder.mkdir(exist_ok=True)
        return dataclasses.replace(self, env={**self.env, "PYTHONPATH": str(TRACER), "TRACE": str(folder)})

    def json(self, name: str) -> dict:
        return json.loads((self.path / name).read_text())


def environment() -> dict[str, str]:
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@localhost",
    }
    for name in ("DVC_ROOT", "DVC_STAGE"):
        env.pop(name, None)
    return env


def shrink(data: Path, keep: dict[str, int]) -> None:
    """Keep the first so many pairs of each split, and their clips alone."""
    names: set[str] = set()
    for split, n in keep.items():
        file = data / "splits" / f"{split}.json"
        pairs = json.loads(file.read_text())[:n]
        file.write_text(json.dumps(pairs))
        names |= {name for a, b in pairs for name in (a, b, f"{a}_{b}", f"{b}_{a}")}
    for clip in data.rglob("*.mp4"):
        if clip.stem not in names or "c40" in clip.parts:
            clip.unlink()


@pytest.fixture(scope="session")
def fresh_clone(tmp_path_factory) -> Clone:
    """What a user has after ``git clone`` and ``dvc pull data.dvc``: the committed state, and nothing run."""
    path = tmp_path_factory.mktemp("clone") / "repository"
    clone = Clone(path, environment())
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(path)], check=True)
    clone.run("dvc", "pull", "--quiet", "data.dvc")
    return clone


@pytest.fixture(scope="session")
def small_clone(fresh_clone) -> Clone:
    """The clone made small, its pipeline run once with the tracer writing to ``trace`` beside it, and committed."""
    path = fresh_clone.path.with_name("small")
    shutil.copytree(fresh_clone.path, path, symlinks=True)
    clone = Clone(path, fresh_clone.env)
    shrink(path / "data", {"train": 3, "val": 1, "test": 2})
    params = (path / "params.yaml").read_text()
    for old, new in SMALL.items():
        assert old in params, old
        params = params.replace(old, new)
    (path / "params.yaml").write_text(params)
    clone.run("dvc", "add", "--quiet", "data")
    (path / "first-run.txt").write_text(clone.traced(path.with_name("trace")).run("dvc", "repro", "--force"))
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "small")
    return clone
