"""The tutorials and the sessions of the explanations are run, block by block, and their outputs compared."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tools.pages import assert_shown, run_console, run_page, run_python

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = {path.stem: path for path in sorted((ROOT / "docs" / "tutorials").glob("*.md"))}
EXPLANATIONS = [page for page in sorted((ROOT / "docs" / "explanations").glob("*.md")) if ">>> " in page.read_text()]
TRAINING = {"paper": 2, "evidence": 3}                          # minutes; on the sample in `data`
CONTINUED = {"folder"}                                          # run with the page that continues them


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the sample's, as in a clone."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "path",
    [*(page for name, page in TUTORIALS.items() if name not in TRAINING and name not in CONTINUED), *EXPLANATIONS],
    ids=lambda path: path.stem,
)
def test_a_page_does_what_it_shows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mozcodec.pillow", raising=False)  # its import registers it, as in a new process
    run_page(path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow(minutes=minutes)) for name, minutes in TRAINING.items()]
)
def test_a_page_that_trains_does_what_it_shows(name: str) -> None:
    run_page(TUTORIALS[name])


def test_every_tutorial_is_run() -> None:
    continued = {
        match[1] for page in TUTORIALS.values() if (match := re.search(r"<!-- continues (\w+)", page.read_text()))
    }
    assert continued == CONTINUED
    assert set(TRAINING) <= set(TUTORIALS)
    assert len(TUTORIALS) == 6


def test_an_output_that_differs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        run_python(">>> 1 + 1\n3\n", {}, "page", 0)
    with pytest.raises(AssertionError):
        run_console("$ evaluation --version\nevaluation, version 999\n")
    with pytest.raises(AssertionError):
        run_console("$ echo one\ntwo\n")
    assert_shown("AUC  0.75\nend\n", "AUC 0.80\n...\n", within=0.1)
    with pytest.raises(AssertionError, match=r"0\.75 where the page shows 0\.9"):
        assert_shown("AUC  0.75\nend\n", "AUC 0.90\n...\n", within=0.1)
    with pytest.raises(AssertionError):
        assert_shown("12 faces\n", "13 faces\n", within=0.1)
