"""DVC's lock files after a crash: found, explained and repaired, but not while DVC works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.__main__ import cli
from tools.unlock import dvc_processes

DVC = Path(sys.executable).with_name("dvc")


def unlock(*arguments: object):
    return CliRunner().invoke(cli, ["unlock", *map(str, arguments)])


def dvc(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run([str(DVC), *arguments], cwd=repository, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository with one stage that has run."""
    root = tmp_path_factory.mktemp("repository")
    assert dvc(root, "init", "--no-scm").returncode == 0
    (root / "dvc.yaml").write_text("stages:\n  copy:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n")
    (root / "a").write_text("1")
    assert dvc(root, "repro").returncode == 0
    return root


@pytest.mark.parametrize("content", ["", '{"write": {"b": {"pi', "[]", '{"read": 3}', "\0\0\0"])
def test_a_damaged_rwlock_stops_dvc_and_is_repaired(pipeline: Path, content: str) -> None:
    rwlock = pipeline / ".dvc/tmp/rwlock"
    rwlock.write_text(content)
    (pipeline / "a").write_text(repr(content))
    assert dvc(pipeline, "repro").returncode == 255  # what the user meets without it
    checked = unlock("--check", pipeline)
    assert checked.exit_code == 1
    assert f"{rwlock}: {'damaged' if content else 'empty'}, because a process of DVC was killed" in checked.output
    assert "make unlock repairs it" in checked.output
    assert rwlock.read_text() == content
    assert unlock(pipeline).exit_code == 0
    assert dvc(pipeline, "repro").returncode == 0
    assert (pipeline / "b").read_text() == repr(content)
    assert unlock("--check", pipeline).output == ""


def test_numbers_of_processes_that_are_not_dvc_are_removed(pipeline: Path) -> None:
    """DVC itself waits for any process with the number: in a container, 1 always lives."""
    rwlock = pipeline / ".dvc/tmp/rwlock"
    owner = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {str(pipeline / "b"): owner}, "read": {str(pipeline / "a"): [owner]}}))
    (pipeline / "a").write_text("2")
    assert dvc(pipeline, "repro").returncode == 255
    said = f"names processes of DVC that have ended; the numbers are in use again ({os.getpid()})"
    assert said in unlock("--check", pipeline).output
    assert f"{said}; repaired" in unlock(pipeline).output
    assert json.loads(rwlock.read_text()) == {"write": {}, "read": {}}
    assert dvc(pipeline, "repro").returncode == 0


def test_a_cut_dvc_lock_stops_dvc_and_is_repaired_and_finished_stages_do_not_run_again(pipeline: Path) -> None:
    (pipeline / "a").write_text("whole")
    assert dvc(pipeline, "repro").returncode == 0
    lock = pipeline / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.index(b"cmd")])
    assert dvc(pipeline, "repro").returncode != 0  # what the user meets without it
    said = f"{lock}: damaged, because a process of DVC was killed while it wrote it"
    checked = unlock("--check", pipeline)
    assert checked.exit_code == 1 and f"{said}; make unlock repairs it" in checked.output
    assert f"{said}; repaired" in unlock(pipeline).output
    assert not lock.exists()
    assert "Stage 'copy' is cached - skipping run" in dvc(pipeline, "repro").stdout
    assert lock.read_bytes() == whole


def test_a_committed_dvc_lock_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    lock, text = tmp_path / "dvc.lock", "schema: '2.0'\nstages: {}\n"
    lock.write_text(text)
    for command in (
        "git init --quiet",
        "git add dvc.lock",
        "git -c user.name=a -c user.email=a@b commit --quiet -m a",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    lock.write_text("")
    assert f"{lock}: empty, because a process of DVC was killed while it wrote it; repaired" in unlock(tmp_path).output
    assert lock.read_text() == text


def test_remains_in_the_run_cache_are_removed(pipeline: Path) -> None:
    part = pipeline / ".dvc/cache/runs/ab/abcd/.XyZ.tmp"
    part.parent.mkdir(parents=True)
    part.write_text("")
    assert unlock("--check", pipeline).exit_code == 0  # DVC only warns
    assert "left by an interrupted command; repaired" in unlock(pipeline).output
    assert not part.exists()


def test_nothing_is_changed_while_dvc_works(pipeline: Path) -> None:
    (pipeline / ".dvc/tmp/rwlock").write_text("")
    command = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(3600)", "dvc", "repro"]
    process = subprocess.Popen(command, cwd=pipeline, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert dvc_processes(pipeline) == [process.pid]
        refused = unlock(pipeline)
    finally:
        process.kill()
        process.communicate()
    assert refused.exit_code == 1
    assert f"DVC is at work here (process {process.pid}); wait for it" in refused.output
    assert (pipeline / ".dvc/tmp/rwlock").read_text() == ""
    assert unlock(pipeline).exit_code == 0
