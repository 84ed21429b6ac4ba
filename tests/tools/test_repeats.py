"""The repeats of the test suite: orders, failures that are kept, and resuming."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tools import repeats

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")
# fails in its second run
SOMETIMES = """
from pathlib import Path

def test_sometimes():
    runs = Path(__file__).with_name("runs.txt")
    count = len(runs.read_text()) if runs.exists() else 0
    runs.write_text("x" * (count + 1))
    assert count != 1, "the second time"
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two test files, one of which fails in its second run."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_sometimes.py").write_text(SOMETIMES)
    (tmp_path / "tests/test_other.py").write_text(
        "import pytest\n\ndef test_always():\n    pass\n\ndef test_skipped():\n    pytest.skip('no')\n\n"
        "@pytest.mark.slow\ndef test_slow():\n    assert False\n"
    )
    for words in (["init", "-q"], ["add", "."], [*AUTHOR, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(repeats, "ROOT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which takes most of the time of so few tests
    return tmp_path


def run(tree: Path, *options: str) -> Result:
    return CliRunner().invoke(repeats.command, ["--out", str(tree / "out"), "--load", "0", *options])


def test_a_test_that_fails_once_is_listed_with_its_output_and_nothing_is_run_twice(tree: Path) -> None:
    first = run(tree, "--number", "1")
    assert first.exit_code == 0, first.output
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True).stdout[:7]
    assert f"3 tests of 2 files at commit {head}, 1 runs each: 0 failed at least once" in first.output
    second = run(tree, "--number", "3")
    assert "2 of 2 files" in second.output and "run 1 of" not in second.output
    assert "1 tests did not always pass" in str(second.exception)
    state = json.loads((tree / "out/repeats.json").read_text())
    runs = [1, 2, 3]
    assert state["done"] == {"tests/test_sometimes.py": runs, "tests/test_other.py": runs}
    assert state["tests"]["tests/test_other.py::test_always"] == {"passed": 3, "skipped": 0, "failed": []}
    assert state["tests"]["tests/test_other.py::test_skipped"] == {"passed": 0, "skipped": 3, "failed": []}
    assert state["commits"] == [head]
    found = state["tests"]["tests/test_sometimes.py::test_sometimes"]
    assert found["passed"] == 2
    (name,) = found["failed"]
    assert f"| tests/test_sometimes.py::test_sometimes | 2 | 1 | {name} |" in second.output
    assert "AssertionError: the second time" in (tree / "out/failures" / name).read_text()


def test_a_changed_file_is_noted(tree: Path) -> None:
    (tree / "tests/test_other.py").write_text("def test_it():\n    pass\n")
    assert run(tree, "--number", "1").exit_code == 0
    (commit,) = json.loads((tree / "out/repeats.json").read_text())["commits"]
    assert commit.endswith("+")


def test_a_process_that_ends_without_a_report_is_a_failure(tree: Path) -> None:
    (tree / "tests/test_other.py").write_text("import os\n\ndef test_it():\n    os._exit(7)\n")
    done = run(tree, "--load", "1", "--number", "1", "tests/test_other.py")
    assert f"| tests/test_other.py::{repeats.PROCESS} | 0 | 1 |" in done.output


def test_nothing_begins_after_the_time_and_an_unknown_file_is_refused(tree: Path) -> None:
    stopped = run(tree, "--minutes", "-1")
    assert stopped.exit_code == 0
    assert "run the same command to continue" in stopped.output
    assert "0 tests of 0 files at commit none" in stopped.output
    assert "tests/test_none.py: no such test file" in str(run(tree, "tests/test_none.py").exception)
