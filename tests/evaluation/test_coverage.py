"""A fast slice of ``make coverage``: intervals hold the true value of simulated detectors."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from evaluation import coverage
from evaluation.jackknife import Sample
from evaluation.wilson import difference, largest_gap, of_rates, of_share
from tools.coverage import simulate
from tools.coverage.designs import DESIGNS, generate

SETS = 120
LEAST = 0.95 - 3 * np.sqrt(0.95 * 0.05 / SETS)


def truths(design):
    """AUC, TPR and TNR at .5 of single frames, in closed form: all effects are normal."""
    deviation = np.sqrt(sum(design.variance))
    tpr, fpr = (ndtr((design.shift + sign * design.mu / 2) / deviation) for sign in (1, -1))
    return {"auc": design.auc, "tpr": tpr, "bacc": (tpr + 1 - fpr) / 2}


@pytest.mark.parametrize("name", ["D1", "D3", "D4", "12chance", "people24", "apart12"])
def test_intervals_of_frames_cover_the_truth(name):
    design, covered, widths = DESIGNS[name], dict.fromkeys(("auc", "tpr", "bacc"), 0), []
    truth = truths(design)
    for number in range(SETS):
        data = generate(design, design.pairs, np.random.default_rng([5, number]))
        sample = Sample.of(data.label, data.score[0], data.clusters)
        rates = sample.rates(0.5)
        found = {"auc": of_share(sample.auc()), "tpr": of_share(rates.tpr)}
        found["bacc"] = of_rates("balanced_accuracy", rates)
        widths.append(found["auc"].hi - found["auc"].lo)
        for metric, interval in found.items():
            covered[metric] += interval.lo <= truth[metric] <= interval.hi
    assert min(covered.values()) / SETS >= LEAST, covered
    assert np.mean(widths) < {"D4": 0.04}.get(name, 0.3)


def test_the_interval_of_the_largest_asymmetry_covers_the_largest_true_one():
    design, covered = DESIGNS["D1"], 0
    truth = simulate.true_values(design, "frame", 3)["lean"]
    for number in range(SETS):
        cells = simulate.matrix(generate(design, design.pairs, np.random.default_rng([6, number])))
        found = largest_gap([(cells[i][j], cells[j][i]) for i in range(3) for j in range(i)])
        covered += found.lo <= truth <= found.hi
    assert covered / SETS >= LEAST


def test_of_one_pair_the_largest_gap_is_its_difference():
    cells = simulate.matrix(generate(DESIGNS["D1"], 12, np.random.default_rng(4)))
    high, low = cells[0][2], cells[2][0]
    assert largest_gap([(low, high)]) == pytest.approx(difference([high], [low]) if high.value > low.value else None)


def test_the_percentile_bootstrap_misses_a_strong_detector():
    design, covered = DESIGNS["D4"], 0
    for number in range(40):
        data = generate(design, design.pairs, np.random.default_rng([5, number]))
        found = simulate.bootstrap(data, np.random.default_rng(number), 150)["auc"]
        covered += found.lo <= design.auc <= found.hi
    assert covered / 40 < 0.85


def test_finished_blocks_are_kept_and_the_table_names_their_number(tmp_path, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setattr(simulate, "BLOCK", 4)
    monkeypatch.setattr(simulate, "TRUTH_PAIRS", 60)
    page = tmp_path / "results.md"
    page.write_text(f"# Results\n\n{simulate.BEGIN}\nearlier\n{simulate.END}\nafter\n")
    given = [str(tmp_path / "out"), "--designs", "D7", "--repetitions", "4", "--bootstrap", "0"]
    first = CliRunner().invoke(simulate.command, [*given, "--table", str(page)])
    assert first.exit_code == 0, first.output
    text = page.read_text()
    assert text.startswith("# Results\n")
    assert text.endswith("after\n")
    assert "earlier" not in text
    assert "At least 4 test sets per design" in text
    assert "| D7, frame | " in text
    (path,) = (tmp_path / "out").glob("D7-*.jsonl")
    before = path.read_text()
    assert CliRunner().invoke(simulate.command, given).exit_code == 0
    assert path.read_text() == before  # nothing was simulated again
    bare = tmp_path / "bare.md"
    bare.write_text("no marks\n")
    refused = CliRunner().invoke(simulate.command, [*given, "--table", str(bare)])
    assert refused.exit_code == 1
    assert "needs one line" in refused.output


def test_the_page_gives_the_ranges_of_the_table_in_the_results():
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    lines = text[text.index("| number | 12 and more pairs") :].split("\n\n")[0].splitlines()
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    groups = [tuple(int(n) for n in re.findall(r"\d+", name)) for name in header[5:]]
    ranges = {
        (cells[0], (group[0], group[-1])): tuple(float(end) for end in cell.split(" to "))
        for cells in rows for group, cell in zip(groups, cells[5:], strict=True) if cell != "-"
    }  # fmt: skip
    assert {(row.metric, row.pairs): (row.lowest, row.highest) for row in coverage.ROWS} == ranges
    assert len(groups) == 4
    # the third number of a cell of the table of designs is the width over that of a bootstrap that covers, 0 where none
    lines = text[text.index("| design, level | AUC | bal. ACC") :].split("\n\n")[0].splitlines()
    metrics, _, *designs = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    ratios = {}
    for name, *cells in designs:
        pairs = DESIGNS[name.split(",")[0]].pairs
        group = max(row.pairs for row in coverage.ROWS if row.pairs[0] <= pairs)
        for metric, cell in zip(metrics[1:], cells, strict=True):
            numbers = cell.replace("*", "").split(" (")[0].split(", ")
            if len(numbers) == 3 and float(numbers[2]):
                ratios.setdefault((metric, group), []).append(float(numbers[2]))
    widest = {(row.metric, row.pairs): row.widest for row in coverage.ROWS if row.measured}
    assert widest == {key: max(found) for key, found in ratios.items()}
    assert {key: sum(ratio > coverage.WIDEST for ratio in found) for key, found in ratios.items()} == {
        (row.metric, row.pairs): row.wide for row in coverage.ROWS if row.measured
    }


def test_the_sentence_is_about_as_many_pairs_and_about_95_percent_only():
    row = coverage.found("AUC", 30)
    assert row.pairs == (12, 24)
    assert coverage.found("AUC", 2) is None
    assert coverage.found("TPR at 5 %", 12) is None
    text = coverage.sentence(30, ["AUC", "TPR at 5 %"])
    assert f"with 12 to 24 pairs, lowest and highest over the designs: AUC {100 * row.lowest:.1f} to" in text
    assert "TPR" not in text
    assert "intervals of 90 % are off was not simulated" in coverage.sentence(30, confidence=0.9)
    assert "not simulated with fewer than 3 pairs" in coverage.sentence(2)
    assert coverage.sentence(12, ["TPR at 5 %"]) == ""


def test_the_sentence_says_which_intervals_are_too_wide():
    text = coverage.sentence(12, ["AUC", "EER", "AP"])
    row = coverage.found("EER", 12)
    assert row.widest > coverage.WIDEST
    against = "times as wide as bootstrap intervals that were widened until 95 % contained the true value"
    wide = f"EER up to {row.widest:.2f} ({row.wide} of {row.measured} designs and levels)"
    assert text.endswith(f"More than 1.25 {against}: {wide}.")
    assert coverage.sentence(12, ["AUC"]).endswith(f"None is more than 1.25 {against}.")
    assert "times as wide" not in coverage.sentence(12, ["AP"])  # no width was measured
