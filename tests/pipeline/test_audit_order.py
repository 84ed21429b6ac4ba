"""DVC does not start training where the audit fails, and an audit that passes leaves what was trained up to date.

The rows of the pipeline for the audit and for what training depends on, in a small repository; training itself is
replaced by a command that leaves a line in a file each time it runs.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from detector.data.index import Face, write_index
from detector.data.png import encode_png
from detector.data.shards import ShardWriter
from detector.pipeline import stage

from .conftest import Clone, environment


def write_crops(folder: Path) -> None:
    """Write crops of twelve people, all in train, of which the fakes are brighter."""
    rng = np.random.default_rng(0)
    faces = []
    with ShardWriter(folder) as shards:
        for method in ("fake", "original"):
            for person in range(12):
                name = f"{person:02d}"
                image = rng.integers(0, 120, (32, 32, 3)) + 100 * (method == "fake")
                slot = shards.add(f"given/{method}/{name}/0000", encode_png(image.astype(np.uint8)))
                described = {"identity": name, "pair": name, "split": "train", "label": int(method == "fake")}
                place = {"video": f"{method}/{name}", "compression": "given", "frame": 0, "method": method}
                faces.append(Face(**dataclasses.asdict(slot), **place, **described))
    write_index(folder / "index.csv", faces)


@pytest.fixture
def repository(tmp_path: Path) -> Clone:
    clone = Clone(tmp_path, environment())
    clone.run("dvc", "init", "--no-scm", "--quiet")
    write_crops(tmp_path / "out/faces")
    (tmp_path / "data").mkdir()
    audit = stage("audit")
    stages = {
        "audit": {
            "cmd": audit.command,
            "deps": list(audit.reads),
            "params": list(audit.params),
            "outs": [*audit.outputs],
        },
        "train": {"cmd": "echo trained >> runs.txt", "deps": ["out/faces", *stage("train").after]},
    }
    with (tmp_path / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": stages}, file)
    return clone


def set_params(clone: Clone, **audit: float | None) -> None:
    with (clone.path / "params.yaml").open("w") as file:
        YAML().dump({"audit": audit, "evaluate": {"confidence": 0.95}, "max_damaged": 0.01}, file)


def runs(clone: Clone) -> int:
    """Return how often training was started."""
    path = clone.path / "runs.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_training_is_not_started_over_the_limit_and_not_repeated_below_it(repository: Clone) -> None:
    set_params(repository, fail_above=0.6)
    failed = subprocess.run(
        ["dvc", "repro"], cwd=repository.path, env=repository.env, text=True, capture_output=True, check=False
    )
    assert failed.returncode != 0
    assert "over audit.fail_above = 0.6" in failed.stdout + failed.stderr
    assert runs(repository) == 0
    assert (repository.path / "out/audit/audit.json").exists()       # what was found can be read
    assert not (repository.path / "out/audit.passed").exists()
    set_params(repository, fail_above=None)
    repository.run("dvc", "repro")
    assert runs(repository) == 1
    set_params(repository, fail_above=None, notable_above=0.7)       # another audit, which passes too
    assert "Running stage 'audit'" in repository.run("dvc", "repro")
    assert runs(repository) == 1


def test_training_depends_on_what_the_audit_writes_last() -> None:
    assert set(stage("train").after) <= set(stage("audit").outputs)
    assert not set(stage("train").reads) & set(stage("audit").outputs)
