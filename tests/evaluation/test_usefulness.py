"""The answer: margins and whole intervals decide, significance alone never does."""

import json
import math

import pytest
from click.testing import CliRunner

from evaluation import matrix
from evaluation.cli import main
from evaluation.scores import read
from evaluation.summary import Settings, summarize
from evaluation.usefulness import Margins, answer


def answered(scores, **margins):
    return answer(summarize(scores, Settings(replicates=100)), matrix.evaluate(scores), Margins(**margins))


CASES = {
    # separation by condition, pairs -> headline
    "strong": ({"raw": 1.8, "77": 1.7, "10": 1.3}, 24, "Yes, in every condition that was tested."),
    "one weak condition": (
        {"raw": 2, "77": 2, "60": 2, "10": 0.2}, 24, "No: useful on average, but not in every condition."
    ),
    "significant, but useless": ({"raw": 0.2, "77": 0.2, "10": 0.2}, 60, "No."),
    "few pairs": ({"raw": 0.5, "77": 0.5, "10": 0.5}, 4, "Cannot tell from this data."),
}


@pytest.mark.parametrize(("separation", "pairs", "short"), CASES.values(), ids=CASES)
def test_the_answer_needs_the_whole_interval_on_one_side_of_the_margin(scores_of, separation, pairs, short):
    found = answered(scores_of(seed=2, pairs=pairs, val_pairs=4, conditions=separation))
    assert found.short == short
    assert found.sentences[0] == (
        "Useful means a balanced accuracy of at least 0.75 at one threshold for all conditions (the margin is a "
        "setting)."
    )


def test_an_auc_that_differs_from_chance_is_not_a_yes(scores_of):
    scores = scores_of(seed=2, pairs=60, val_pairs=4, conditions={"raw": 0.2, "77": 0.2, "10": 0.2})
    cell = matrix.evaluate(scores).cell("77", "77")
    assert cell.lo > 0.5
    assert answered(scores).short == "No."
    assert answered(scores, useful=0.52).short == "Yes, in every condition that was tested."


def test_errors_are_counted_at_the_threshold_of_the_validation_split_over_all_conditions(scores_of):
    scores = scores_of(pairs=6, val_pairs=3)
    found, table = answered(scores), matrix.evaluate(scores)
    for rates, metric in ((found.accused, "specificity"), (found.missed, "sensitivity")):
        rows = {d.condition: d for d in table.decided(metric)}
        assert [rate.condition for rate in rates] == ["raw", "77", "10"]
        for rate in rates:
            row = rows[rate.condition]
            assert (rate.value, rate.lo, rate.hi) == pytest.approx((1 - row.value, 1 - row.hi, 1 - row.lo))
            assert found.threshold == row.threshold
    (words, best, worst), (_, best_fake, worst_fake) = found.extremes
    assert words == "of 1,000 real faces are classified as fake"
    assert best.value <= worst.value
    assert (worst_fake.condition, best_fake.value <= worst_fake.value) == ("10", True)
    assert worst.texts("are") == (f"{1000 * worst.value:.0f}", f"[{1000 * worst.lo:.0f}, {1000 * worst.hi:.0f}] are")


@pytest.mark.parametrize(
    ("separation", "pairs", "equivalent", "said"),
    [
        ({"raw": 1.0, "77": 1.0, "10": 0.2}, 24, 0.05, "more than the margin of 0.05."),
        ({"raw": 1.0, "77": 1.0, "10": 1.0}, 40, 0.05, "within the margin of 0.05, so the two are considered equal."),
        ({"raw": 0.8, "77": 0.8, "10": 0.6}, 40, 0.2, "within the margin of 0.20"),
        ({"raw": 0.6, "77": 0.6, "10": 0.6}, 3, 0.05, "This neither shows a loss nor rules one out: a loss of 0."),
        ({"raw": 1.0, "77": 1.0, "10": 0.8}, 24, 0.05, "a loss, but the data do not show whether it exceeds"),
    ],
)
def test_equivalence_and_absence_of_evidence_are_distinguished(scores_of, separation, pairs, equivalent, said):
    found = answered(scores_of(seed=1, pairs=pairs, val_pairs=4, conditions=separation), equivalent=equivalent)
    assert said in found.sentences[-1]


def test_a_perfect_result_and_a_flat_one_say_look_for_a_shortcut(scores_of):
    for separation in ({"raw": 9, "77": 9, "10": 9}, {"raw": 1.95, "77": 1.95, "10": 1.95}):
        found = answered(scores_of(pairs=12, conditions=separation))
        (warning,) = found.warnings
        assert warning.startswith("Implausibly good: ")
        assert "Look for a shortcut" in warning
        assert not found.short.startswith("Yes")
    assert answered(scores_of(pairs=12)).warnings == []


def test_a_detector_that_uses_the_condition_is_named(write_scores, rows_of):
    rows = rows_of(pairs=12, conditions={"raw": 0.8, "10": 0.8})
    for row in rows:
        if row["condition"] == "10":
            odds = float(row["score"]) / (1 - float(row["score"])) * math.exp(3)
            row["score"] = repr(odds / (1 + odds))
    found = answered(read(write_scores(rows=rows)))
    assert any("real faces (quality 10) get higher scores than fakes (uncompressed; AUC" in w for w in found.warnings)
    assert not found.short.startswith("Yes")


def test_without_validation_split_one_half_decides(scores_of):
    scores = scores_of(val_pairs=0)
    found, table = answered(scores), matrix.evaluate(scores)
    assert (found.threshold, found.chosen) == (0.5, False)
    assert "No validation split has both classes, so no threshold was chosen, and .5 is used." in found.sentences
    rows = {d.condition: d.value for d in table.decided("specificity", "fixed")}
    assert {rate.condition: 1 - rate.value for rate in found.accused} == pytest.approx(rows)
    assert len(found.extremes) == 2


def test_one_condition_is_not_called_the_best_or_the_worst(tmp_path):
    lines = ["video,label,score"] + [f"v{i},{i % 2},{0.3 + 0.4 * (i % 2) + 0.03 * (i % 7):.2f}" for i in range(40)]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    result = CliRunner().invoke(
        main, ["metrics", str(tmp_path / "s.csv"), str(tmp_path / "m.json"), "--tables", str(tmp_path / "t"), "--quiet"]
    )
    assert result.exit_code == 0, result.output
    options = {"--metrics": "m.json", "--scores": "s.csv", "--tables": "t"}
    words = [word for name, file in options.items() for word in (name, str(tmp_path / file))]
    assert CliRunner().invoke(main, ["report", str(tmp_path / "r"), *words]).exit_code == 0
    text = (tmp_path / "r/report.md").read_text()
    assert text.startswith("# Is a fake face detected?\n")
    assert "Useful means a balanced accuracy of at least 0.75 at one threshold (the margin is a setting)." in text
    found = json.loads((tmp_path / "m.json").read_text())["as-given"]["frame"]
    low, high = found["balanced_accuracy_lo"], found["balanced_accuracy_hi"]
    assert f"It is {found['balanced_accuracy']:.3f} [{low:.3f}, {high:.3f}] (as-given)." in text
    opening = text.partition("## ")[0]
    assert "Implausibly good: the AUC is 1.000." in opening
    assert not any(words in opening for words in ("best condition", "worst", "all conditions", "after JPEG"))
    assert "<title>Is a fake face detected?</title>" in (tmp_path / "r/index.html").read_text()


@pytest.mark.parametrize("margins", [{"useful": 0.5}, {"useful": 1.0}, {"equivalent": 0.0}, {"equivalent": 0.5}])
def test_impossible_margins_are_refused(margins):
    with pytest.raises(ValueError, match=r"margin of \w+ is an? "):
        Margins(**margins)


@pytest.mark.parametrize(("separation", "warned"), [(-1.5, True), (-0.1, False), (1.5, False)])
def test_scores_below_chance_in_every_condition_ask_whether_the_labels_are_swapped(scores_of, separation, warned):
    scores = scores_of(seed=2, pairs=24, val_pairs=4, conditions={"raw": separation, "77": separation})
    summary, found = summarize(scores), answered(scores)
    aucs = [row for row in summary.rows if (row.metric, row.level, row.method) == ("auc", "frame", "all")]
    assert all(row.hi < 0.5 for row in aucs) is warned
    said = [note for note in summary.notes if note.startswith("real faces score higher than fakes")]
    assert len(said) == warned
    assert any("check that label 1 means fake" in warning for warning in found.warnings) is warned
    if warned:
        highest = max(aucs, key=lambda row: row.value)
        assert f"(highest frame AUC {highest.value:.3f} [{highest.lo:.3f}, {highest.hi:.3f}])" in said[0]


def test_reversed_scores_in_one_of_two_conditions_are_not_called_swapped_labels(scores_of):
    summary = summarize(scores_of(seed=2, pairs=24, val_pairs=4, conditions={"raw": 1.5, "77": -1.5}))
    assert not summary.reversed_scores()
