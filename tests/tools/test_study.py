"""The study: its arithmetic against scikit-learn and hand-worked rows, and a whole one of the smallest size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from detector.config import HistoriesConfig
from detector.errors import DataError
from evaluation import matrix as history_matrix
from evaluation.scores import read
from tools.study.command import CONDITIONS, MATRIX, RECIPES, STANDARDISED
from tools.study.command import command as study
from tools.study.table import BEGIN, END, aucs, between_markers, difference, document, entry, figures, wins

Write = Callable[..., Path]
Pack = Callable[[Path], tuple[Path, Path]]
PAIRS = ["000_001", "002_003", "004_005"]


def test_cells_are_those_of_scikit_learn_and_of_evaluation(tmp_path: Path, write: Write) -> None:
    table = read(write(tmp_path / "a.csv", np.random.default_rng(1))).where(split="test")
    conditions = ["raw", "77", "turbo:10"]
    won = wins(table, conditions, PAIRS)
    found = aucs(won, np.ones((1, 3)))[0]
    matrix = history_matrix.evaluate(read(tmp_path / "a.csv"))
    for r, real in enumerate(conditions):
        for f, fake in enumerate(conditions):
            rows = ((table.label == 0) & (table.condition == real)) | ((table.label == 1) & (table.condition == fake))
            expected = roc_auc_score(table.label[rows], table.score[rows])
            assert found[r, f] == pytest.approx(expected)
            cell = matrix.cell(real, fake)
            assert cell is not None
            assert found[r, f] == pytest.approx(cell.auc)
    # drawing pair 1 twice and pair 2 not at all is a table with these rows
    pair = np.asarray(table.pair)
    rows = np.concatenate([np.flatnonzero(pair == PAIRS[i]) for i in (0, 1, 1)])
    rows = rows[np.asarray(table.condition == "77")[rows]]
    drawn = aucs(won, np.array([[1.0, 2.0, 0.0]]))[0, 1, 1]
    assert drawn == pytest.approx(roc_auc_score(table.label[rows], table.score[rows]))


def test_figures_by_hand() -> None:
    cells = np.array([[[0.9, 0.2, 0.5], [0.8, 0.7, 0.5], [0.1, 0.5, 0.6]]])
    found = figures(cells, ["raw", "turbo:10", "webp:50"], ["raw", "turbo:10"])
    assert found["worst"] == [0.2]
    assert found["pooled"] == pytest.approx([(0.9 + 0.2 + 0.8 + 0.7) / 4])
    assert found["diagonal"] == pytest.approx([0.8])
    assert found["turbo"] == [0.7]
    assert found["unseen worst"] == [0.1]
    assert found["webp:50"] == [0.6]


def test_a_difference_needs_both_intervals_to_be_established(tmp_path: Path, write: Write) -> None:
    rng = np.random.default_rng(2)
    better = [write(tmp_path / f"b{i}.csv", rng, shift=0.0) for i in range(3)]
    worse = [write(tmp_path / f"w{i}.csv", rng, shift=3.0) for i in range(3)]
    weights = np.random.default_rng(3).multinomial(3, [1 / 3] * 3, 50).astype(float)
    a, b = (entry(paths, ["raw", "77", "turbo:10"], [], weights, PAIRS) for paths in (better, worse))
    found = difference(a, b, "worst")
    assert found.value == pytest.approx((a.seeds["worst"] - b.seeds["worst"]).mean())
    assert found.established
    assert found.value > 0.2
    alone = (entry(paths[:1], ["raw", "77", "turbo:10"], [], weights, PAIRS) for paths in (better, worse))
    assert not difference(*alone, "worst").established  # one seed says nothing about seeds


def test_the_document_has_recipes_differences_and_answers(tmp_path: Path, write: Write) -> None:
    rng = np.random.default_rng(4)
    names = [*RECIPES, STANDARDISED]
    tables = {
        name: [write(tmp_path / f"{name}-{i}.csv", rng, 3.0 * (name == "paper"), CONDITIONS) for i in (1, 2)]
        for name in names
    }
    recipe = {"model": "meso4", "steps": 5, "batch_size": 8}
    text = document(tables, MATRIX, CONDITIONS[len(MATRIX) :], {
        "parameters": recipe, "seeds": [1, 2], "data_seed": 9, "val_pairs": 1
    })  # fmt: skip
    assert "| random - paper | worst | +" in text
    assert [line[2:4] for line in text.splitlines() if line.startswith("- H")] == ["H1", "H2", "H3", "H5"]
    page = between_markers(f"before\n{BEGIN}\nold\n{END}\nafter\n", text, tmp_path)
    assert page == f"before\n{BEGIN}\n{text}{END}\nafter\n"
    with pytest.raises(DataError, match="once and in this order"):
        between_markers("nothing", text, tmp_path)


def test_the_recipes_are_those_of_the_document() -> None:
    assert RECIPES["paper"] is None
    assert RECIPES["random"] == HistoriesConfig()
    assert not any("turbo" in text for text in RECIPES["mozjpeg"].conditions)
    assert RECIPES["mozjpeg"].share == HistoriesConfig().share


@pytest.mark.trial(minutes=8)
def test_a_small_study_is_made_continued_and_refuses_other_settings(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "params.yaml").write_text(
        "faces: {size: 32}\ntrain: {steps: 2, batch_size: 8, eval_every: 2, log_every: 1}\n"
    )
    faces, crops = pack(tmp_path)
    arguments = ["--faces", faces, "--crops", crops, "--seeds", "1,2"]
    arguments += ["--test-pairs", 2, "--val-pairs", 1, "--frames", 4, "--params", tmp_path / "params.yaml"]

    def run(*more: str | int):
        return CliRunner().invoke(study, [str(argument) for argument in (tmp_path / "out", *arguments, *more)])

    done = run()
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/table.md").read_text() == done.stdout
    assert len(list((tmp_path / "out/scores").glob("*.csv"))) == 2 * (len(RECIPES) + 1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.csv")}
    (tmp_path / "out/scores/random-2.csv").unlink()
    assert run().stdout == done.stdout
    changed = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {"random-2.csv"}
    other = run("--data-seed", 7)
    assert "plan.json: data_seed were other values; name another folder" in str(other.exception)
