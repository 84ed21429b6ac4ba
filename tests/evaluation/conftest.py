"""Made-up tables of scores in the layout of scores.csv. No number of theirs means anything."""

import csv
from pathlib import Path

import numpy as np
import pytest

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")
CONDITIONS = {"raw": 1.6, "77": 1.3, "10": 0.3}


def make_rows(seed=0, pairs=4, val_pairs=2, frames=3, conditions=CONDITIONS, methods=METHODS, model=0):
    """Rows of a table: *pairs* test pairs of two people, every method both ways; *conditions*: name -> separation.

    The difficulty of a video depends on *seed*, the noise of the model on *model*.
    """
    scene, noise = np.random.default_rng(seed), np.random.default_rng([seed, model, 1])
    rows = []
    for number in range(val_pairs + pairs):
        split = "val" if number < val_pairs else "test"
        a, b = f"{2 * number:03d}", f"{2 * number + 1:03d}"
        clips = [("original", a, a), ("original", b, b)]
        clips += [(m, f"{x}_{y}", f"{x}+{y}") for m in methods for x, y in ((a, b), (b, a))]
        for method, name, identity in clips:
            label = int(method != "original")
            hard = scene.normal(0, 0.6)
            for frame in range(frames):
                for quality, separation in conditions.items():
                    logit = separation * (label - 0.5) * 2 + hard + noise.normal(0, 0.5)
                    rows.append(
                        {
                            "key": f"c23/{method}/{name}/{frame:04d}", "video": f"{method}/{name}",
                            "compression": "c23", "frame": frame, "method": method, "identity": identity,
                            "pair": f"{a}_{b}", "split": split, "label": label, "condition": quality,
                            "score": repr(float(1 / (1 + np.exp(-logit)))),
                        }
                    )  # fmt: skip
    return rows


def write_rows(path: Path, rows) -> Path:
    columns = list(rows[0]) if rows else COLUMNS
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def write_scores(tmp_path):
    """write_scores(name="scores.csv", rows=None, **make_rows) -> path."""

    def write(name="scores.csv", rows=None, **options):
        return write_rows(tmp_path / name, make_rows(**options) if rows is None else rows)

    return write


@pytest.fixture(scope="session")
def rows_of():
    """rows_of(**make_rows) -> the rows themselves, to be changed before they are written."""
    return make_rows


@pytest.fixture(scope="session")
def write_table():
    """write_table(path, rows) -> path."""
    return write_rows


@pytest.fixture
def scores_of(write_scores):
    """scores_of(**make_rows) -> Scores."""
    from evaluation.scores import read

    return lambda **options: read(write_scores(**options))
