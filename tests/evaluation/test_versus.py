"""Comparison with another run: paired differences on shared rows, and differences between the records."""

import json

import pytest

from evaluation import versus
from evaluation.files import FileError, sha256
from evaluation.records import Origin
from evaluation.scores import read


@pytest.fixture
def runs(tmp_path, rows_of, write_table):
    """Two tables of the same faces; the second run separates the classes better at quality 10."""
    first = write_table(tmp_path / "first.csv", rows_of(pairs=8))
    better = rows_of(pairs=8, model=1, conditions={"raw": 1.6, "77": 1.3, "10": 1.3})
    second = write_table(tmp_path / "second.csv", better)
    return read(first), second


def text(blocks):
    return "\n".join(block.markdown for block in blocks)


def test_differences_are_this_run_minus_the_other_and_paired(runs):
    scores, path = runs
    found = versus.gather(path, scores, 0.95)
    tests = {test.what: test for test in found.boards["frame"].tests}
    this, other = (found.boards["frame"].standing(entry, "10").value for entry in (versus.THIS, versus.OTHER))
    assert this < other
    assert tests["10"].value == pytest.approx(this - other)
    assert tests["10"].hi < 0
    assert tests["10"].hi - tests["10"].lo < 0.5
    blocks = versus.parts(found, None)
    assert [table.name for block in blocks for table in block.tables] == ["versus-frame", "versus-video"]
    assert [name for block in blocks for name, _ in block.charts] == ["versus"]
    assert "What differs between the runs is not known" in text(blocks)
    (row,) = [line for line in text(blocks).splitlines() if line.startswith("| quality 10 |")][:1]
    assert f"| {tests['10'].value:.3f} [{tests['10'].lo:.3f}, {tests['10'].hi:.3f}] |" in row


def record(path, **other):
    known = {"scores": {"sha256": sha256(path), "rows": len(read(path))}, "model": "meso4", "weights_sha256": "a" * 64,
             "trained_on": "77", "versions": {"torch": "2.13.0"}} | other  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(known))


def test_what_the_records_say_differently_is_listed_and_nothing_else(runs):
    scores, path = runs
    record(path, trained_on="10", weights_sha256="b" * 64)
    here = Origin(scores.source, "meso4", "a" * 64, "77", versions={"torch": "2.13.0"})
    shown = text(versus.parts(versus.gather(path, scores, 0.95), here))
    assert "| trained on | quality 77 | quality 10 |" in shown
    assert "| SHA-256 of the weights | aaaa" in shown
    assert "torch" not in shown


def test_the_record_of_another_table_is_refused(runs):
    scores, path = runs
    record(path, scores={"sha256": "0" * 64, "rows": 1})
    with pytest.raises(FileError, match=r"second\.json is the record of another table than .*second\.csv; "):
        versus.gather(path, scores, 0.95)
