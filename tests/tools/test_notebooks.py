"""The notebooks are those of their pages, and run in a kernel with the outputs that they show."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tools.notebooks import FOLDER, NAMES, as_json
from tools.pages import assert_shown, tolerance

ROOT = FOLDER.parents[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_that_of_its_page(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text == as_json(name), "run python -m tools.notebooks"
    nbformat.validate(json.loads(text))


def output(cell: nbformat.NotebookNode) -> str:
    parts = [part["text"] if part.output_type == "stream" else f"{part.data['text/plain']}\n" for part in cell.outputs]
    return "".join(parts)


def run(name: str, folder: Path) -> nbformat.NotebookNode:
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    NotebookClient(
        book, kernel_name="python3", timeout=None, startup_timeout=600, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return book


@pytest.mark.filterwarnings("default")  # of the kernel's client
@pytest.mark.parametrize("name", [pytest.param("paper", marks=pytest.mark.trial(minutes=2)), "scores"])
def test_a_notebook_runs_and_shows_its_outputs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "work").mkdir()
    shown = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    within = tolerance((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    executed = run(name, tmp_path / "work")
    compared = 0
    for before, after in zip(shown.cells, executed.cells, strict=True):
        if before.cell_type == "code":
            assert_shown(re.sub(r"\n+\Z", "\n", output(after)), output(before), within)
            compared += bool(before.outputs)
    assert compared > 2
