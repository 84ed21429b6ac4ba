"""Builds for other processors and C libraries give this machine's bytes and pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def cross():
    return load(PACKAGE / "cross" / "run.py")


def fake(cross, monkeypatch, found: dict[str, list[str]]) -> None:
    """Let targets print the given lines instead of being built; those that are not listed lack their compiler."""
    monkeypatch.setattr(cross, "build", lambda target, folder: folder / target.name)
    monkeypatch.setattr(cross, "lines", lambda target, _, cases: found[target.name][:cases])
    monkeypatch.setattr(cross.Target, "missing", lambda self: None if self.name in found else f"no {self.compiler}")


@pytest.mark.parametrize(
    ("names", "musl", "status", "text"),
    [
        ([], ["0 a", "1 b"], 0, "musl: 2 cases, 0 different"),
        ([], ["0 a", "1 c"], 1, "musl: 2 cases, 1 different 1"),
        (["aarch64"], ["0 a", "1 b"], 2, "aarch64: not built, no aarch64-linux-gnu-gcc"),
    ],
)
def test_a_different_line_and_a_missing_compiler_are_reported(cross, monkeypatch, capsys, names, musl, status, text):
    fake(cross, monkeypatch, {"native": ["0 a", "1 b"], "musl": musl})
    monkeypatch.setattr(sys, "argv", ["run.py", *names, "--cases", "2"])
    assert cross.main() == status
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("aarch64", marks=pytest.mark.slow(minutes=3)),
        *(pytest.param(name, marks=pytest.mark.trial(minutes=3)) for name in ("i686", "musl")),
    ],
)
def test_another_platform_gives_the_same_bytes_and_pixels(cross, name, tmp_path):
    target = next(target for target in cross.TARGETS if target.name == name)
    missing = target.missing()
    if missing is not None:
        pytest.skip(missing)
    wanted = cross.lines(cross.NATIVE, cross.build(cross.NATIVE, cross.BUILD), 60)
    assert len(wanted) == 60
    assert cross.lines(target, cross.build(target, tmp_path), 60) == wanted
