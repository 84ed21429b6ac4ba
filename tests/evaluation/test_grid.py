"""Tables of experiments: numbers equal those of `seeds` and `metrics.auc`; incomparable experiments are named."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import metrics as field
from evaluation.cli import main
from evaluation.grid import make, read_variants, train_test
from evaluation.scores import read
from evaluation.summary import Settings
from evaluation.tables import NO_NOTE, caveats

FAST = ["--replicates", "40"]
HEADER = "experiment,rev,tested_on,scores,model,quality,seed,faces.frames_per_second\n"
WEAK = {"raw": 0.9, "77": 0.8, "10": 0.3}


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture
def index(tmp_path, write_scores):
    """Three conditions: meso4 at 77 without and with more frames, two seeds each, and meso4 at 10 with one seed."""
    rows = [("77", "null", 1, 1, {}), ("77", "null", 2, 2, {}), ("77", "25", 1, 3, {}), ("77", "25", 2, 4, {})]
    rows.append(("10", "null", 1, 5, {"conditions": WEAK}))
    lines = [HEADER]
    for quality, frames, seed, model, options in rows:
        name = f"q{quality}-f{frames}-s{seed}"
        write_scores(f"{name}.csv", model=model, pairs=6, **options)
        lines.append(f"{name},abc,q77-fnull-s1,{name}.csv,meso4,{quality},{seed},{frames}\n")
    path = tmp_path / "experiments.csv"
    path.write_text("".join(lines))
    return path


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pick(rows, **wanted):
    (row,) = (row for row in rows if all(row[name] == value for name, value in wanted.items()))
    return row


def aucs(index, *names, condition="77", method=None):
    tests = [read(index.parent / f"{name}.csv").where(split="test", condition=condition) for name in names]
    tests = [test.of_method(method) if method else test for test in tests]
    return np.array([field.auc(test.label, test.score) for test in tests])


def test_the_table_is_model_by_training_quality_by_tested_quality_by_method(index, tmp_path):
    result = run("grid", index, "--out", tmp_path / "g.md", "--csv", tmp_path / "g.csv", *FAST)
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "g.csv")
    wanted = {"model": "meso4", "trained_at": "77", "faces.frames_per_second": "25", "what": "auc", "condition": "10"}
    row = pick(rows, **wanted, level="frame", method="FaceSwap", unit="pair")
    expected = aucs(index, "q77-f25-s1", "q77-f25-s2", condition="10", method="FaceSwap")

    assert float(row["value"]) == pytest.approx(expected.mean(), abs=1e-6)
    assert float(row["sd"]) == pytest.approx(expected.std(ddof=1), abs=1e-6)
    assert float(row["lo"]) < expected.mean() < float(row["hi"])
    assert row["seeds"] == "2"
    text = (tmp_path / "g.md").read_text()
    header = "| model | trained at | faces.frames_per_second | seeds | tested at | frame AUC | Deepfakes |"
    assert header in text
    cell = f"{expected.mean():.3f} ± {expected.std(ddof=1):.3f} [{float(row['lo']):.3f}, {float(row['hi']):.3f}]"
    assert cell in text
    assert "3 variants of 1 to 2 seeds" in text
    assert "drop 77 -> 10" in text


def test_retention_and_area_are_those_of_the_mean_aucs_with_intervals(index, tmp_path):
    rates = {"q77": 1.1, "q10": 0.4}
    (tmp_path / "f.json").write_text(json.dumps({name: {"bits_per_pixel": rate} for name, rate in rates.items()}))
    args = ["--fidelity", tmp_path / "f.json", "--csv", tmp_path / "g.csv", "--out", tmp_path / "g.md"]
    result = run("grid", index, *args)
    assert result.exit_code == 0, result.output
    wanted = {"trained_at": "77", "faces.frames_per_second": "25", "level": "frame", "method": "all"}
    rows = table(tmp_path / "g.csv")
    auc = {name: aucs(index, "q77-f25-s1", "q77-f25-s2", condition=name) for name in ("raw", "77", "10")}

    kept = pick(rows, what="retention", condition="10", **wanted)
    assert float(kept["value"]) == pytest.approx((auc["10"].mean() - 0.5) / (auc["raw"].mean() - 0.5), abs=1e-6)
    assert float(kept["sd"]) == pytest.approx(np.std((auc["10"] - 0.5) / (auc["raw"] - 0.5), ddof=1), abs=1e-6)
    area = pick(rows, what="area", **wanted)
    assert float(area["value"]) == pytest.approx((auc["77"].mean() + auc["10"].mean()) / 2, abs=1e-6)  # one trapezium
    for row in (kept, area):
        assert float(row["lo"]) < float(row["value"]) < float(row["hi"])
    text = (tmp_path / "g.md").read_text()
    assert "| model | trained at | faces.frames_per_second | raw | 77 | 10 | area |" in text
    assert f"{float(area['value']):.3f} ± {float(area['sd']):.3f} [{float(area['lo']):.3f}" in text
    assert "Retention" in text


def test_what_one_setting_changes_is_paired_by_seed_and_by_face(index, tmp_path):
    run("grid", index, "--versus", "faces.frames_per_second", "--csv", tmp_path / "g.csv", *FAST)
    rows = [row for row in table(tmp_path / "g.csv") if row["what"] == "difference"]

    assert {(row["trained_at"], row["faces.frames_per_second"]) for row in rows} == {("77", "25")}
    row = pick(rows, condition="77", level="frame", method="Deepfakes", unit="pair")
    off = aucs(index, "q77-fnull-s1", "q77-fnull-s2", method="Deepfakes")
    on = aucs(index, "q77-f25-s1", "q77-f25-s2", method="Deepfakes")

    assert float(row["value"]) == pytest.approx((on - off).mean(), abs=1e-6)
    assert float(row["sd"]) == pytest.approx((on - off).std(ddof=1), abs=1e-6)
    assert row["against"].endswith("faces.frames_per_second null")


def test_the_figure_has_training_quality_by_test_condition(index, tmp_path):
    result = run("grid", index, "--figure", tmp_path / "g.png", *FAST)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    matrices = train_test(make(read_variants(index), settings=Settings(replicates=5)))
    assert [m.title for m in matrices] == [
        "model meso4, faces.frames_per_second null", "model meso4, faces.frames_per_second 25"
    ]  # fmt: skip
    assert (matrices[0].trained, matrices[0].tested) == (["77", "10"], ["raw", "77", "10"])
    expected = aucs(index, "q77-fnull-s1", "q77-fnull-s2", condition="10").mean()
    assert matrices[0].auc[0, 2] == pytest.approx(expected)


def test_settings_that_all_share_are_no_column(index, tmp_path):
    lines = [line for line in index.read_text().splitlines() if ",25" not in line]
    index.write_text("\n".join(lines) + "\n")
    run("grid", index, "--out", tmp_path / "g.md", *FAST)
    text = (tmp_path / "g.md").read_text()

    assert "| model | trained at | seeds | tested at |" in text
    assert "faces.frames_per_second null" in text


def test_the_notice_on_synthetic_faces_is_shown_once():
    own = "The faces are synthetic, rendered by us: nothing follows from them for real deepfakes."
    assert caveats(True, own) == [own]
    assert caveats(True, "Drawn.") == [NO_NOTE, "Drawn."]
    assert caveats(True, "The faces are synthetic, but good.") == [NO_NOTE, "The faces are synthetic, but good."]
    assert caveats(True, None) == caveats(True, " ") == caveats(True, NO_NOTE) == [NO_NOTE]
    assert caveats(False, own) == caveats(None, own) == []


def test_a_notice_above_the_table_says_that_faces_are_synthetic(index, tmp_path):
    for synthetic in (True, False):
        (tmp_path / "dataset.json").write_text(f'{{"synthetic": {str(synthetic).lower()}, "note": "Drawn."}}')
        run("grid", index, "--out", tmp_path / "g.md", "--dataset", tmp_path / "dataset.json", *FAST)
        text = (tmp_path / "g.md").read_text()

        assert text.startswith("> The faces are synthetic.") is synthetic
        assert ("Drawn." in text) is synthetic


@pytest.mark.parametrize(
    ("old", "new", "options", "message"),
    [
        ("seed", "sead", (), "line 1: no column seed"),
        ("q77-fnull-s2,abc,q77-fnull-s1,q77-fnull-s2.csv,meso4,77,2", "twin,abc,,q77-fnull-s2.csv,meso4,77,1", (),
         "q77-fnull-s1 and twin have the same settings and seed"),
        ("", "", ("--versus", "train.amp"), "train.amp is not a setting of these experiments; they have"),
        ("", "", ("--versus", "model"), "no two experiments differ in model alone"),
        ("q10-fnull-s1.csv", "nowhere.csv", (), "nowhere.csv"),
    ],
)  # fmt: skip
def test_an_index_that_cannot_be_used_is_named(index, old, new, options, message):
    index.write_text(index.read_text().replace(old, new) if old else index.read_text())
    result = run("grid", index, *options, *FAST)

    assert (result.exit_code, message in result.output) == (1, True), result.output


def test_experiments_on_other_test_faces_are_refused(index, write_scores):
    write_scores("q10-fnull-s1.csv", pairs=5)
    result = run("grid", index, *FAST)

    assert result.exit_code == 1
    assert "did not score the same test faces" in result.output


def test_scores_that_are_not_there_are_named_with_the_index(index):
    (index.parent / "q77-fnull-s2.csv").unlink()
    result = run("grid", index)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {index}: the scores of q77-fnull-s2 are not at ")
