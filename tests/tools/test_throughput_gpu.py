"""The GPU protocol, reduced and run on the available device: every line runs and every check holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.throughput_gpu", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_whole_protocol_is_listed_without_running_anything(tmp_path: Path) -> None:
    listed = run("--list", "--out", tmp_path / "out").stdout
    assert len(listed.splitlines()) > 30
    names = ("efficientnet_b4", "--batch 256", "--amp fp16", "--compile", "--recompress 0.5", "--waits multi_attention")
    for words in names:
        assert words in listed
    assert not (tmp_path / "out").exists()


@pytest.mark.trial(minutes=3)
def test_every_line_runs_once_and_every_check_holds(tmp_path: Path) -> None:
    done = run("--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "gpu.md").read_text()
    assert "9 of 9 lines." in text
    assert "| meso4 off killed at step 35 of 60 ends in the same bytes | yes |" in text
    assert "NO" not in text
    (tmp_path / "loader-1.json").unlink()
    assert run("--quick", "--out", tmp_path).stdout.count("tools throughput") == 1  # what is there is not run again
