"""The figures of README files and docs are those of the report page of the committed results."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "out" / "report"
# in docs -> in out/report
FIGURES = {"matrix.png": "matrix.png", "robustness.png": "robustness.png", "crops.png": "compression.png"}


def are_the_committed_results() -> bool:
    """Return whether out/scores.csv is that of dvc.lock in Git: another experiment has other figures."""
    scores = ROOT / "out" / "scores.csv"
    if not scores.exists() or not (ROOT / ".git").exists():
        return False
    git = ["git", "-c", f"safe.directory={ROOT}", "show", "HEAD:dvc.lock"]
    lock = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return f"md5: {hashlib.md5(scores.read_bytes()).hexdigest()}\n" in lock


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_of_the_documents_are_those_of_the_report(name: str) -> None:
    made = REPORT / FIGURES[name]
    if not made.exists() or not are_the_committed_results():
        pytest.skip("needs the committed results in out/report: make repro")
    shown, made_now = (np.asarray(Image.open(path).convert("RGB"), float) for path in (ROOT / "docs" / name, made))
    assert shown.shape == made_now.shape
    assert np.abs(shown - made_now).mean() < 1, f"cp {made} docs/{name}"
