"""The list of faults applies to the sources, and the runner distinguishes caught faults from surviving ones."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from detector.lock import held
from tools.__main__ import cli
from tools.mutants import ROOT, Fault, problems, read_faults
from tools.mutants.command import BROKEN, CAUGHT, SURVIVED, Copy, outcome, resume, summary


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package of one function, and a test that checks half of it."""
    root = tmp_path / "source"
    for name, text in {
        "packages/small/src/small/__init__.py": "def sign(x):\n    return -1 if x < 0 else 1\n",
        "tests/test_small.py": "from small import sign\n\ndef test_sign_of_negative():\n    assert sign(-2) == -1\n",
        "pyproject.toml": "[tool.pytest.ini_options]\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def fault(old: str, new: str, name: str = "sign", tests: tuple[str, ...] = ("tests/test_small.py",)) -> Fault:
    return Fault(name, "packages/small/src/small/__init__.py", old, new, tests)


def files(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


def test_every_fault_of_the_list_applies_and_names_tests_that_exist() -> None:
    faults = read_faults()
    assert len(faults) >= 40
    assert problems(faults, ROOT) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return", "yield from", None),
        ("retrun", "pass", "the old text occurs 0 times in .*, not once"),
        ("1", "2", "the old text occurs 2 times"),
        ("return", "return", "the new text is the old one"),
    ],
)
def test_an_entry_that_does_not_apply_is_named(tree: Path, old: str, new: str, message: str | None) -> None:
    found = problems([fault(old, new)], tree)
    if message is None:
        assert found == []
    else:
        assert len(found) == 1
        assert re.search(message, found[0])


def test_missing_tests_and_names_used_twice_are_named(tree: Path) -> None:
    missing = ("tests/gone.py", "tests/test_small.py::test_gone")
    found = problems([fault("return", "yield"), fault("return", "yield", tests=missing)], tree)
    assert found == ["sign: the name is used twice", *(f"sign: there is no test {test}" for test in missing)]


def test_a_list_that_is_not_well_formed_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text('[[fault]]\nname = "a"\nfile = "b"\nold = "c"\nnew = "d"\ntests = []\n')
    with pytest.raises(ValueError, match=r"small\.toml, entry 1: tests must be a list that is not empty"):
        read_faults(tmp_path)
    (tmp_path / "small.toml").write_text('[[fault]]\nname = "a"\n')
    with pytest.raises(ValueError, match=r"small\.toml, entry 1: expected the fields name, file, old, new, tests"):
        read_faults(tmp_path)


@pytest.mark.slow(minutes=0.2)
def test_what_the_tests_do_not_check_survives(tree: Path, tmp_path: Path) -> None:
    copy = Copy(tree, tmp_path / "work")
    copy.update(files(tree))
    copy.prepare()
    before = (tree / "packages/small/src/small/__init__.py").read_text()
    faults = [fault("-1 if", "1 if", "wrong below 0"), fault("else 1", "else 0", "wrong above 0")]
    said: list[str] = []
    results = resume(faults, copy, tmp_path / "results.json", said.append)

    assert [result.verdict for result in results] == [CAUGHT, SURVIVED]
    assert results[0].detail == "test_sign_of_negative"
    assert summary(results).splitlines()[0] == "1 of 2 faults caught"
    assert "SURVIVED: wrong above 0" in summary(results)
    assert (tree / "packages/small/src/small/__init__.py").read_text() == before
    assert (copy.tree / "packages/small/src/small/__init__.py").read_text() == before

    # after a change of the source, the copy has it, and what is gone there is gone
    (tree / "tests/test_small.py").write_text("def test_nothing():\n    assert False\n")
    (tree / "pyproject.toml").unlink()
    copy.update(files(tree))
    assert not (copy.tree / "pyproject.toml").exists()
    results = resume(faults, copy, tmp_path / "results.json", said.append)
    assert [result.verdict for result in results] == [BROKEN, BROKEN]
    assert results[0].detail.startswith("its tests fail without it: ")


class Quick(Copy):
    """Calls the one test of `tree` without pytest, which takes a second to start."""

    def test(self, tests: Sequence[str], seconds: float | None) -> tuple[int | None, str]:
        assert list(tests) == ["tests/test_small.py"]
        words = [self.python, "-Bc", "import runpy\nrunpy.run_path('tests/test_small.py')['test_sign_of_negative']()"]
        done = subprocess.run(words, cwd=self.tree, capture_output=True, text=True, timeout=seconds)
        return done.returncode, done.stderr


def test_a_stopped_run_resumes_and_tries_again_what_has_changed(tree: Path, tmp_path: Path) -> None:
    copy = Quick(tree, tmp_path / "work")
    copy.update(files(tree))
    copy.prepare()
    caught, missed = fault("-1 if", "1 if", "wrong below 0"), fault("else 1", "else 0", "wrong above 0")
    kept = tmp_path / "results.json"

    def tried(again: bool = False) -> list[str]:
        said: list[str] = []
        results = resume([caught, missed], copy, kept, said.append, again)
        assert [result.verdict for result in results] == [CAUGHT, SURVIVED]
        return [name for text in said for name in ("below", "above") if f"wrong {name} 0" in text]

    assert tried() == ["below", "above"]
    assert tried() == ["above"]  # only what was caught is kept
    assert tried(again=True) == ["below", "above"]
    for name in ("packages/small/src/small/__init__.py", "tests/test_small.py"):
        (copy.tree / name).write_text((copy.tree / name).read_text() + "\n# changed\n")
        assert tried() == ["below", "above"]
        assert tried() == ["above"]
    kept.write_text('{"not": "ours"}')
    assert tried() == ["below", "above"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(0, SURVIVED), (1, CAUGHT), (-11, CAUGHT), (139, CAUGHT), (None, CAUGHT), (2, BROKEN), (4, BROKEN)],
)
def test_only_a_failure_a_crash_or_no_end_catches_a_fault(status: int | None, verdict: str) -> None:
    assert outcome(status, "")[0] == verdict


def test_the_command_lists_the_faults() -> None:
    words = [sys.executable, "-m", "tools", "mutants"]
    listed = subprocess.run([*words, "--list", "lock"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "a lock is taken over while its holder lives  (packages/detector/src/detector/lock.py)" in listed
    refused = subprocess.run([*words, "nosuchname"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "no fault has nosuchname in its name or file" in refused.stderr


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "holds it"):
        refused = CliRunner().invoke(cli, ["mutants", "lock", "--work", str(tmp_path)])
    assert refused.exit_code == 1
    assert f"is working in {tmp_path}; wait for it" in refused.output
    assert not (tmp_path / "tree").exists()
