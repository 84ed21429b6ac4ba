"""The history matrix: every cell is an AUC, the figures follow from the cells, one threshold is used in all
conditions."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import matrix, metrics
from evaluation.cli import main
from evaluation.jackknife import Estimate
from evaluation.scores import by_video, read

CONDITIONS = {"raw": 1.6, "77": 1.3, "10": 0.4, "turbo:10": 0.7}


@pytest.fixture
def scores(scores_of):
    return scores_of(conditions=CONDITIONS, pairs=6, val_pairs=3)


@pytest.fixture
def shortcut(write_scores, rows_of):
    """Scores of a detector that takes quality 10 for a sign of a fake: 2 is added to their log odds."""
    rows = rows_of(pairs=8, conditions={"raw": 0.8, "10": 0.8})
    for row in rows:
        if row["condition"] == "10":
            odds = float(row["score"]) / (1 - float(row["score"])) * math.exp(2)
            row["score"] = repr(odds / (1 + odds))
    return read(write_scores(rows=rows))


def test_a_cell_is_the_auc_of_reals_and_fakes_of_two_conditions(scores):
    found = matrix.evaluate(scores)
    test = scores.where(split="test")
    for level, table in (("frame", test), ("video", by_video(test))):
        for r in CONDITIONS:
            for f in CONDITIONS:
                real = table.score[(table.label == 0) & (table.condition == r)]
                fake = table.score[(table.label == 1) & (table.condition == f)]
                expected = metrics.auc([0] * len(real) + [1] * len(fake), [*real, *fake])
                cell = found.cell(r, f, level)
                assert cell.auc == pytest.approx(expected, abs=1e-12)
                assert cell.lo < cell.auc <= cell.hi
    assert found.unit == "pair"


def test_figures_follow_from_the_cells(scores):
    found = matrix.evaluate(scores)
    auc = np.array([[found.cell(r, f).auc for f in CONDITIONS] for r in CONDITIONS])
    off = ~np.eye(4, dtype=bool)
    assert found.figure("diagonal").value == pytest.approx(auc.diagonal().mean())
    assert found.figure("off").value == pytest.approx(auc[off].mean())
    worst, lean = found.figure("worst"), found.figure("lean")
    names = list(CONDITIONS)
    assert (names.index(worst.real), names.index(worst.fake)) == np.unravel_index(auc.argmin(), auc.shape)
    assert worst.value == auc.min()
    assert lean.value == pytest.approx(np.abs(auc - auc.T).max())
    assert lean.value == pytest.approx(found.cell(lean.real, lean.fake).auc - found.cell(lean.fake, lean.real).auc)
    for name in ("diagonal", "pooled", "off", "worst", "lean"):
        assert found.figure(name).lo <= found.figure(name).value <= found.figure(name).hi


def test_pooled_is_the_auc_of_all_scores_of_a_full_grid(scores):
    test = scores.where(split="test")
    assert matrix.evaluate(scores).figure("pooled").value == pytest.approx(metrics.auc(test.label, test.score))


def test_the_matrix_shows_a_shortcut_that_the_diagonal_hides(shortcut):
    found = matrix.evaluate(shortcut)
    assert found.figure("diagonal").value > 0.8
    worst, lean = found.figure("worst"), found.figure("lean")
    assert (worst.real, worst.fake) == ("10", "raw")
    assert worst.value < 0.5
    assert (lean.real, lean.fake) == ("raw", "10")
    assert lean.lo > 0.3


def test_one_threshold_of_the_validation_split_decides_in_every_condition(shortcut):
    found = matrix.evaluate(shortcut)
    val, test = (shortcut.where(split=split) for split in ("val", "test"))
    for level, known, here in (("frame", val, test), ("video", by_video(val), by_video(test))):
        threshold = metrics.youden_threshold(known.label, known.score)
        for source, expected in (("val", threshold), ("fixed", 0.5)):
            (balanced,) = found.decided("balanced_accuracy", source, level)
            assert balanced.threshold == expected
            assert balanced.value == pytest.approx(metrics.balanced_accuracy(here.label, here.score, expected))
            for metric, of in (("specificity", metrics.acc_real), ("sensitivity", metrics.acc_fake)):
                rows = found.decided(metric, source, level)
                tables = {name: here.where(condition=name) for name in ("raw", "10")}
                values = {name: of(t.label, t.score, expected) for name, t in tables.items()}
                assert {row.condition: row.value for row in rows} == pytest.approx(values)
                (lowest,) = found.decided(f"lowest_{metric}", source, level)
                assert (lowest.condition, lowest.value) == (min(values, key=values.get), min(values.values()))
    assert found.decided("lowest_specificity")[0].condition == "10"
    assert found.decided("lowest_sensitivity")[0].condition == "raw"


def estimates(values, deviation, clusters=400):
    """Estimates of equal variance whose errors are independent: cluster i moves estimate i mod m only."""
    m = len(values)
    spread = np.zeros((m, clusters))
    for i in range(m):
        spread[i, i::m] = deviation / math.sqrt(clusters / m)
    return [Estimate(v, s, np.ones(clusters), clusters) for v, s in zip(values, spread, strict=True)]


def test_the_bias_of_the_minimum_is_that_of_independent_normal_errors():
    # expected minimum of 9 standard normal values: -1.48501 (tables of normal order statistics)
    assert matrix._bias_of_minimum(estimates([0.8] * 9, 0.02)) == pytest.approx(0.0297, abs=0.0006)
    assert matrix._bias_of_minimum(estimates([0.5, 0.9], 0.02)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rows", ["one class", "one condition", "no test rows", "no validation", "one pair"])
def test_what_is_undefined_is_nan_or_missing(rows, rows_of, write_scores):
    chosen = {
        "one class": lambda: [row for row in rows_of() if row["label"] == 1],
        "one condition": lambda: rows_of(conditions={"77": 1.0}),
        "no test rows": lambda: [row for row in rows_of() if row["split"] == "val"],
        "no validation": lambda: rows_of(val_pairs=0),
        "one pair": lambda: rows_of(pairs=1),
    }[rows]()
    found = matrix.evaluate(read(write_scores(rows=chosen)))
    written = json.dumps(matrix.as_json(found), allow_nan=False)
    assert ("validation_threshold" in written) is (rows in ("one condition", "one pair"))
    if rows == "one class":
        assert all(np.isnan(cell.auc) for cell in found.cells)
        assert "pooled" not in written
    if rows == "one condition":
        assert found.figure("pooled").value == found.figure("diagonal").value == found.figure("worst").value
        assert np.isnan([found.figure("off").value, found.figure("lean").value]).all()
    if rows == "one pair":
        assert np.isfinite(found.figure("worst").value)
        assert np.isnan(found.figure("worst").lo)


def test_the_files_hold_the_matrix(write_scores, tmp_path):
    scores = write_scores(conditions=CONDITIONS)
    out, tables = tmp_path / "metrics.json", tmp_path / "tables"
    args = ["metrics", scores, out, "--tables", tables, "--replicates", "20"]
    assert CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False).exit_code == 0
    expected = matrix.evaluate(read(scores))
    found = json.loads(out.read_text())["matrix"]["frame"]
    assert found["cells"]["turbo10"]["q77"] == pytest.approx(expected.cell("turbo:10", "77").auc, abs=1e-6)
    assert found["worst_hi"] == pytest.approx(expected.figure("worst").hi, abs=1e-6)
    assert found["worst_real"] == expected.figure("worst").real.replace("10", "q10")
    lowest = expected.decided("lowest_specificity", "fixed")[0]
    assert found["threshold_half"]["lowest_specificity"] == pytest.approx(lowest.value, abs=1e-6)
    read_back = matrix.read(tables, list(CONDITIONS), "pair", "")
    assert len(read_back.cells) == 2 * 16
    # not rounded: a threshold is the score of a face, which a rounded one may put on the other side
    assert [d.threshold for d in read_back.decisions] == [d.threshold for d in expected.decisions]
    assert read_back.figure("lean", "video").value == pytest.approx(expected.figure("lean", "video").value, abs=1e-6)
