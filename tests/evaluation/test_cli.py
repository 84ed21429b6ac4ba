"""The commands: output files, printed text, refused input."""

import csv
import hashlib
import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import metrics as field
from evaluation.cli import main
from evaluation.conditions import condition_key
from evaluation.scores import read
from evaluation.tables import read_results

FAST = ["--replicates", "40"]


def run(*args):
    """Run a command in this process; SystemExit and output as a user has them."""
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture
def evaluated(write_scores, tmp_path):
    """evaluated(**make_rows) -> folder with scores.csv and everything `evaluation metrics` writes."""

    def evaluate(extra=(), **options):
        scores = write_scores(**options)
        out = tmp_path / "out"
        args = [scores, out / "metrics.json", "--tables", out / "tables", "--headline", out / "h.json", *FAST, *extra]
        result = run("metrics", *args)
        assert result.exit_code == 0, result.output
        return scores, out, result.output

    return evaluate


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_json_has_condition_level_metric_and_interval(evaluated):
    scores, out, _ = evaluated()
    found = json.loads((out / "metrics.json").read_text())
    assert list(found) == ["raw", "q77", "q10", "drop", "matrix", "n", "intervals", "scores", "versions", "undefined"]
    names = ["auc", "ap", "eer", "accuracy", "balanced_accuracy", "f1"]
    wanted = [name + end for name in names for end in ("", "_lo", "_hi")]
    for key in ("raw", "q77", "q10", "drop"):
        assert list(found[key]) == ["frame", "video"]
        for level in ("frame", "video"):
            assert list(found[key][level]) == wanted
    test = read(scores).where(split="test", condition="77")
    assert found["q77"]["frame"]["auc"] == pytest.approx(field.auc(test.label, test.score), abs=1e-6)
    drop = found["q77"]["frame"]["auc"] - found["q10"]["frame"]["auc"]
    assert found["drop"]["frame"]["auc"] == pytest.approx(drop, abs=2e-6)
    assert found["n"] == {"frames": 120, "videos": 40, "pairs": 4}
    assert found["undefined"] == []
    assert found["intervals"] == {"confidence": 0.95, "method": "jackknife", "unit": "pair"}
    cells = table(out / "tables" / "matrix.csv")
    for end, column in (("", "auc"), ("_lo", "lo"), ("_hi", "hi")):
        of_frames = found["matrix"]["frame"][f"cells{end}"]
        assert {(real, fake): value for real, row in of_frames.items() for fake, value in row.items()} == {
            (condition_key(cell["real"]), condition_key(cell["fake"])): float(cell[column])
            for cell in cells if cell["level"] == "frame"
        }  # fmt: skip


def test_results_carry_the_hash_of_their_scores(evaluated):
    scores, out, _ = evaluated()
    expected = {"sha256": hashlib.sha256(scores.read_bytes()).hexdigest(), "rows": len(table(scores))}
    for path in (out / "metrics.json", out / "tables" / "settings.json"):
        found = json.loads(path.read_text())
        assert found["scores"] == expected
        assert found["versions"]["numpy"] == np.__version__


def test_every_leaf_of_metrics_json_but_its_origin_is_a_number_that_dvc_can_subtract(evaluated):
    def leaves(value):
        return [leaf for part in value.values() for leaf in leaves(part)] if isinstance(value, dict) else [value]

    _, out, _ = evaluated()
    found = json.loads((out / "metrics.json").read_text())
    for name in ("intervals", "scores", "versions", "undefined"):
        del found[name]
    for level in found["matrix"].values():             # the names of cells and conditions
        for part in (level, level["validation_threshold"], level["threshold_half"]):
            for name in [name for name, value in part.items() if isinstance(value, str)]:
                assert name.endswith(("_real", "_fake", "_condition"))
                del part[name]
    assert {type(leaf) for leaf in leaves(found)} == {int, float}


def test_long_table_has_every_method_and_names_the_unit(evaluated):
    _, out, _ = evaluated()
    rows = table(out / "tables" / "metrics.csv")
    assert ",".join(rows[0]) == (
        "condition,level,method,metric,value,lo,hi,unit,n_frames,n_videos,n_pairs,threshold,threshold_source,"
        "reason"
    )
    assert {row["unit"] for row in rows} == {"pair"}
    assert all(row["reason"] for row in rows if row["lo"] == "")      # a number without an interval says why
    assert {row["method"] for row in rows} == {"all", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    keys = [(*list(row.values())[:4], row["unit"], row["threshold_source"]) for row in rows]
    assert len(set(keys)) == len(keys)
    tpr = [row for row in rows if row["metric"] == "tpr_at_fpr_0.001"]
    assert {row["value"] for row in tpr} == {""}                     # 24 real faces cannot show it


def test_a_table_that_was_written_is_read_back(evaluated):
    _, out, _ = evaluated()
    summary, _ = read_results(out / "metrics.json", out / "tables")
    found = json.loads((out / "metrics.json").read_text())
    assert summary.conditions == ["raw", "77", "10"]
    assert summary.find("77", "video", "eer").hi == found["q77"]["video"]["eer_hi"]
    assert summary.drop("frame", "auc").lo == found["drop"]["frame"]["auc_lo"]
    assert summary.settings.replicates == 40


def test_the_headline_has_six_numbers_which_are_those_of_metrics_json(evaluated):
    _, out, _ = evaluated()
    found, every = (json.loads((out / name).read_text()) for name in ("h.json", "metrics.json"))
    frame = every["matrix"]["frame"]
    decided = frame["validation_threshold"]
    assert found == {
        "auc": {**{name: every[name]["frame"]["auc"] for name in ("q77", "q10")}, "worst": frame["worst"]},
        "bacc": decided["balanced_accuracy"],
        "min_tnr": decided["lowest_specificity"],
        "min_tpr": decided["lowest_sensitivity"],
    }


def test_a_condition_named_like_a_figure_of_the_headline_does_not_replace_it(evaluated):
    _, out, _ = evaluated(conditions={"raw": 2.0, "worst": 1.5, "lean": 1.0})
    found = json.loads((out / "h.json").read_text())["auc"]
    every = json.loads((out / "metrics.json").read_text())
    assert found["worst"] == every["matrix"]["frame"]["worst"]
    assert found["condition_worst"] == every["condition_worst"]["frame"]["auc"]


def test_the_printed_table_has_an_interval_for_every_number_and_the_matrix_below(evaluated):
    _, out, printed = evaluated()
    frame = json.loads((out / "metrics.json").read_text())["matrix"]["frame"]
    number = r"-?\d\.\d{3} \[-?\d\.\d{3}, -?\d\.\d{3}\]"
    for line in printed.splitlines()[2:6]:
        assert re.fullmatch(rf"(raw|77|10|drop 77 -> 10)( +{number}){{4}}( +\d+)?", line), line
    worst = "lowest cell {worst:.3f} [{worst_lo:.3f}, {worst_hi:.3f}] real".format(**frame)
    assert worst in re.sub(" +", " ", printed)
    assert re.search(r"one threshold for all conditions +0\.\d+, from validation +where +0\.500, fixed", printed)
    assert re.search(rf"lowest sensitivity +{number} +(raw|77|10) +{number} +(raw|77|10)", printed)


def test_the_run_ends_with_a_table(evaluated):
    _, _, output = evaluated()
    lines = output.splitlines()
    assert lines[0].split() == ["condition", "frame", "AUC", "video", "AUC", "balanced", "ACC", "EER", "faces"]
    assert [line.split()[0] for line in lines[2:6]] == ["raw", "77", "10", "drop"]
    assert lines[-1].startswith("test split: 120 faces of 40 videos of 4 pairs; [95 % intervals: jackknife by pairs]; ")


def test_show_prints_the_same_table_again_and_the_page(evaluated):
    scores, out, output = evaluated()
    shown = run("show", out / "metrics.json", out / "tables", "--page", scores).output

    assert shown == f"{output}report: {scores}\n"


def test_quiet_names_the_file_and_leaves_the_table_to_the_next_command(evaluated):
    _, out, output = evaluated(extra=["--quiet"])

    assert output == f"metrics: {out / 'metrics.json'}\n"


def test_the_same_scores_give_the_same_bytes(write_scores, tmp_path):
    scores = write_scores()
    for name in ("a", "b"):
        out = tmp_path / name
        run("metrics", scores, out / "metrics.json", "--tables", out / "tables", "--headline", out / "h.json", *FAST)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 13
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_no_command_writes_over_what_it_reads(write_scores, tmp_path):
    scores = write_scores()
    index = tmp_path / "experiments.csv"
    index.write_text(f"experiment,rev,tested_on,scores,seed\na,1,faces,{scores.name},1\n")
    record = {"scores": {"sha256": "0" * 64, "rows": 1}, "model": "m", "weights_sha256": "0", "trained_on": None}
    scores.with_suffix(".json").write_text(json.dumps(record))
    link = tmp_path / "link.csv"
    link.symlink_to(scores)
    (tmp_path / "tables").mkdir()
    tables = (tmp_path / "metrics.csv", tmp_path / "strata.csv", tmp_path / "delong.csv")
    for path in tables:
        path.write_bytes(scores.read_bytes())
    page = ("--metrics", index, "--scores", scores)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    for args, words in (
        (("metrics", scores, scores), "OUT would overwrite SCORES"),
        (("metrics", scores, link), "OUT would overwrite SCORES"),
        (("metrics", scores, scores.with_suffix(".json")), "is the record that `detector score` wrote beside"),
        (("metrics", scores, tmp_path / "m.json", "--headline", tmp_path / "x/../m.json"), "are the same path"),
        *((("metrics", path, tmp_path / "m.json", "--tables", tmp_path), "--tables would overwrite SCORES")
          for path in tables),
        (("import", scores, scores), "OUT would overwrite FILE"),
        (("seeds", f"a={scores}", "--csv", scores), "--csv would overwrite "),
        (("grid", scores, "--out", scores), "--out would overwrite INDEX"),
        (("grid", index, "--csv", scores), "--csv would overwrite "),
        (("grid", index, "--figure", link), "--figure would overwrite "),
        (("report", tmp_path, *page, "--tables", tmp_path / "tables"), "OUT would overwrite --tables"),
        (("report", tmp_path / "tables/page", *page, "--tables", tmp_path / "tables"), "OUT lies inside --tables"),
        (("report", tmp_path / "tables", *page, "--tables", tmp_path / "tables"), "OUT would overwrite --tables"),
    ):
        result = run(*args)
        assert result.exit_code == 1, args
        assert words in result.output, args
        assert "another path" in result.output
    assert {path: path.read_bytes() for path in before} == before


def test_tables_may_lie_beside_the_scores(write_scores, tmp_path):
    scores = write_scores()
    result = run("metrics", scores, tmp_path / "metrics.json", "--tables", scores.parent, *FAST)
    assert result.exit_code == 0, result.output
    assert {"metrics.csv", scores.name} <= {path.name for path in tmp_path.iterdir()}


def test_one_class_leaves_keys_out_and_names_them(write_scores, rows_of, tmp_path):
    scores = write_scores(rows=[row for row in rows_of() if row["label"] == 0])
    result = run("metrics", scores, tmp_path / "metrics.json", "--tables", tmp_path / "t", *FAST)
    assert result.exit_code == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert "auc" not in found["q77"]["frame"]
    assert "q77.frame.auc: no fake samples" in found["undefined"]
    assert "undefined: raw.frame.auc, raw.frame.ap" in result.output
    assert ": no fake samples" in result.output
    assert "specificity" in result.output.splitlines()[0]
    assert 0 < found["q77"]["frame"]["acc_real"] < 1          # the number that one class does have


def test_an_empty_test_split_is_named(write_scores, rows_of, tmp_path):
    scores = write_scores(rows=[row for row in rows_of() if row["split"] == "val"])
    result = run("metrics", scores, tmp_path / "metrics.json", "--headline", tmp_path / "h.json", *FAST)
    assert result.exit_code == 1
    assert "nothing to evaluate: no row is of the split test, only of val" in result.output
    assert not (tmp_path / "metrics.json").exists()


def test_nan_scores_fail_unless_allowed_and_are_then_counted(write_scores, rows_of, tmp_path):
    rows = rows_of()
    rows[-1]["score"] = "nan"
    scores = write_scores(rows=rows)
    result = run("metrics", scores, tmp_path / "m.json", *FAST)
    assert result.exit_code == 1
    assert f"line {len(rows) + 1}, column score: nan is not finite (1 of {len(rows)} rows" in result.output
    assert not (tmp_path / "m.json").exists()
    result = run("metrics", scores, tmp_path / "m.json", "--allow-nan", *FAST)
    assert result.exit_code == 0
    assert json.loads((tmp_path / "m.json").read_text())["n"]["dropped"] == 1
    assert "note: left out: 1 row with a score that is not finite (the first: line" in result.output


def test_bad_options_are_named(write_scores, tmp_path):
    scores = write_scores()
    result = run("metrics", scores, tmp_path / "m.json", "--confidence", "95")
    assert (result.exit_code, "confidence must lie between 0 and 1, got 95.0" in result.output) == (1, True)
    result = run("metrics", tmp_path / "none.csv", tmp_path / "m.json")
    assert (result.exit_code, "none.csv" in result.output) == (2, True)


def test_seeds_compares_groups_on_the_same_faces(write_scores, tmp_path):
    weak = {"raw": 0.9, "77": 0.8, "10": 0.3}
    files = {
        label: [write_scores(f"{label}-{m}.csv", model=m, pairs=8, **options) for m in models]
        for label, models, options in (("q77", (1, 2, 3), {}), ("q10", (4, 5), {"conditions": weak}))
    }
    groups = [f"{label}={','.join(map(str, paths))}" for label, paths in files.items()]
    result = run("seeds", *groups, "--out", tmp_path / "r.md", "--csv", tmp_path / "r.csv", "--note", "Made up.", *FAST)
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "r.csv")

    def pick(**wanted):
        return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))

    aucs = {}
    for label, paths in files.items():
        for quality in ("77", "10"):
            tests = [read(path).where(split="test", condition=quality) for path in paths]
            aucs[label, quality] = [field.auc(test.label, test.score) for test in tests]
    mean = {key: sum(values) / len(values) for key, values in aucs.items()}
    of_frames = {"level": "frame", "method": "all", "unit": "pair"}
    row = pick(group="q77", what="auc", condition="77", **of_frames)
    assert float(row["value"]) == pytest.approx(mean["q77", "77"], abs=1e-5)
    spread = math.sqrt(sum((auc - mean["q77", "77"]) ** 2 for auc in aucs["q77", "77"]) / 2)
    assert float(row["sd"]) == pytest.approx(spread, abs=1e-5)
    assert (row["seeds"], row["n_frames"], row["n_videos"], row["n_pairs"]) == ("3", "240", "80", "8")
    drop = pick(group="q77", what="drop", condition="77 -> 10", **of_frames)
    assert float(drop["value"]) == pytest.approx(mean["q77", "77"] - mean["q77", "10"], abs=1e-5)
    difference = pick(group="q10", what="difference", condition="77", **of_frames)
    assert float(difference["value"]) == pytest.approx(mean["q10", "77"] - mean["q77", "77"], abs=1e-5)
    assert float(difference["lo"]) < float(difference["value"]) < float(difference["hi"])
    assert difference["sd"] == ""                                    # 3 and 2 seeds: no pairs of seeds
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("> Made up.\n")
    assert "240 faces of 80 videos of 8 pairs; q77 3 seeds, q10 2 seeds" in text
    assert "**q10 minus q77, paired**" in text
    assert f"| 77 | {mean['q77', '77']:.3f} ± {spread:.3f} [" in text
    assert "| frame AUC by pairs | Deepfakes |" in text


def test_what_is_not_known_of_the_faces_is_not_counted(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("label,score\n" + "".join(f"{i % 2},{0.3 + i % 7 / 20 + 0.2 * (i % 2)}\n" for i in range(40)))
    result = run("metrics", path, tmp_path / "m.json")
    words = "test split: 40 faces, whose videos and people are not known; [95 % intervals: jackknife by rows]"
    assert words in result.output


def test_seeds_that_were_scored_on_other_faces_are_refused(write_scores):
    a, b = write_scores("a.csv", pairs=3), write_scores("b.csv", pairs=4)
    result = run("seeds", f"x={a},{b}", *FAST)
    assert result.exit_code == 1
    assert "b.csv and" in result.output
    assert "did not score the same test faces: 90 rows" in result.output


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["q77"], "is not LABEL=PATH"), (["q77=nowhere.csv"], "nowhere.csv: no such file"), (["=x"], "is not LABEL=PATH")],
)
def test_groups_that_cannot_be_read_are_named(groups, message):
    result = run("seeds", *groups)
    assert (result.exit_code, message in result.output) == (2, True)


def test_a_label_twice_is_refused(write_scores):
    path = write_scores()
    result = run("seeds", f"a={path}", f"a={path}")
    assert (result.exit_code, "a: the label occurs twice" in result.output) == (2, True)


def test_help_loads_neither_numpy_nor_matplotlib():
    code = (
        "import sys; from evaluation.cli import main; main(['metrics', '--help'], standalone_mode=False); "
        "print(sorted({'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("given", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_idle_threads_sleep_unless_the_user_chose(given, expected):
    code = (
        "import os; from evaluation.cli import main; main(['metrics', '--help'], standalone_mode=False); "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize("module", ["metrics", "conditions"])
def test_what_the_detector_imports_is_light(module):
    code = (
        f"import sys, evaluation.{module}; "
        "print(sorted({'torch', 'scipy', 'skimage', 'sklearn', 'matplotlib', 'click'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_neither_our_other_packages_nor_torch_are_imported():
    import ast
    from pathlib import Path

    import evaluation

    for path in Path(evaluation.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.partition(".")[0] for name in names} & {"torch", "detector", "mozcodec"}, path


def test_exported_names_exist_and_are_sorted():
    import importlib
    from pathlib import Path

    import evaluation

    for path in Path(evaluation.__file__).parent.glob("[a-z]*.py"):
        module = importlib.import_module(f"evaluation.{path.stem}")
        exported = list(module.__all__)
        assert all(hasattr(module, name) for name in exported), path
        assert len(set(exported)) == len(exported)
