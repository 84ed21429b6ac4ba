"""The comparison of many detectors: against scikit-learn, SciPy and rows chosen by hand."""

import csv
import re
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats
from sklearn.metrics import roc_auc_score

from evaluation.cli import COMPARABLE, main
from evaluation.compare import MEAN, WORST, compare
from evaluation.intervals import holm
from evaluation.measure import ESTIMATED
from evaluation.scores import read
from evaluation.seeds import Group

WEAK = {"raw": 0.9, "77": 0.8, "10": 0.3}


def run(*args):
    return CliRunner().invoke(main, ["compare", *map(str, args)], catch_exceptions=False)


@pytest.fixture
def tables(write_scores, rows_of):
    """Three detectors on the same faces; `part` lacks the first ten faces and one condition of every face."""
    strong = write_scores("strong.csv", model=1, pairs=8)
    seeds = [write_scores(f"weak-{m}.csv", model=m, pairs=8, conditions=WEAK) for m in (2, 3, 4)]
    rows = [row for row in rows_of(model=5, pairs=8) if row["condition"] != "raw"]
    test = sorted({row["key"] for row in rows if row["split"] == "test"})
    lost = set(test[:10])
    return strong, seeds, write_scores("part.csv", rows=[row for row in rows if row["key"] not in lost])


def groups_of(strong, seeds, part):
    listed = [("strong", [strong]), ("weak", seeds), ("part", [part])]
    return [Group(label, tuple(map(str, paths)), tuple(map(read, paths))) for label, paths in listed]


def auc(path, condition, keys=None, fake=None):
    """Return scikit-learn's AUC of the test rows of a file, the fakes in the condition *fake* if it is given."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test" and (not keys or row["key"] in keys)]
    chosen = [row for row in rows if row["condition"] == ((fake or condition) if row["label"] == "1" else condition)]
    return roc_auc_score([int(row["label"]) for row in chosen], [float(row["score"]) for row in chosen])


def test_every_entry_is_evaluated_on_its_own_rows_and_lists_what_it_lacks(tables):
    strong, seeds, part = tables
    board = compare(groups_of(*tables))
    assert board.common == ["77", "10"]
    row = board.standing("weak", "raw")
    values = [auc(path, "raw") for path in seeds]
    assert row.value == pytest.approx(np.mean(values))
    assert row.sd == pytest.approx(np.std(values, ddof=1))
    assert (row.seeds, row.n_frames, row.n_videos, row.n_pairs, row.missing) == (3, 240, 80, 8, 0)
    row = board.standing("part", MEAN)
    cells = [auc(part, r, fake=f) for r in board.common for f in board.common]
    assert row.value == pytest.approx(np.mean(cells))
    assert (row.n_frames, row.missing) == (230, 20)
    assert row.lo < row.value < row.hi
    lowest = board.standing("strong", WORST)
    assert lowest.value == pytest.approx(min(auc(strong, r, fake=f) for r in board.common for f in board.common))
    assert board.standing("part", "raw") is None
    assert board.entries[0] == max(board.entries, key=lambda entry: board.standing(entry, MEAN).value)


def test_differences_are_on_the_shared_rows_with_holm_over_the_whole_family(tables):
    strong, _, part = tables
    board = compare(groups_of(*tables))
    with part.open(newline="") as file:
        keys = {row["key"] for row in csv.DictReader(file) if row["split"] == "test"}
    tests = {(frozenset((t.a, t.b)), t.what): t for t in board.tests}
    found = tests[frozenset(("strong", "part")), "77"]
    expected = auc(strong, "77", keys) - auc(part, "77")
    assert found.value == pytest.approx(expected if found.a == "strong" else -expected)
    assert (found.n_rows, found.n_frames) == (230, 230)
    assert tests[frozenset(("strong", "part")), MEAN].n_rows == 460
    assert tests[frozenset(("strong", "weak")), MEAN].n_rows == 720
    assert len(board.tests) == 4 + 3 + 3                       # the pair that shares raw has a test more
    p = [t.p for t in board.tests]
    assert [t.p_holm for t in board.tests] == pytest.approx(holm(p))
    assert min(p) > 0
    for t in board.tests:                                      # p and interval agree
        assert (t.p < 0.05) == (t.lo * t.hi > 0)


def test_two_tables_that_lack_different_faces_are_compared_on_what_is_left(write_scores, rows_of):
    paths, kept = [], []
    for model in (1, 2):
        rows = rows_of(model=model, pairs=8)
        faces = sorted({row["key"] for row in rows if row["split"] == "test"})
        kept.append(set(faces) - set(faces[model :: 9]))
        rows = [row for row in rows if row["split"] == "val" or row["key"] in kept[-1]]
        paths.append(write_scores(f"{model}.csv", rows=rows))
    shared = kept[0] & kept[1]
    board = compare([Group(str(path), (str(path),), (read(path),)) for path in paths])
    (found,) = (test for test in board.tests if test.what == "77")
    a, b = (next(path for path in paths if str(path) == label) for label in (found.a, found.b))
    assert found.n_rows == len(shared) < min(map(len, kept))
    assert found.value == pytest.approx(auc(a, "77", shared) - auc(b, "77", shared))


def test_the_interval_over_seeds_is_welchs(write_scores):
    files = [[write_scores(f"{name}{m}.csv", model=m, pairs=6, conditions=conditions) for m in models]
             for name, models, conditions in (("a", (1, 2, 3), {"77": 1.3}), ("b", (4, 5), {"77": 0.8}))]  # fmt: skip
    listed = zip("ab", files, strict=True)
    groups = [Group(name, tuple(map(str, paths)), tuple(map(read, paths))) for name, paths in listed]
    [test] = compare(groups).tests
    values = [[auc(path, "77") for path in paths] for paths in files]
    expected = stats.ttest_ind(*values, equal_var=False).confidence_interval(0.95)
    assert (test.seeds_lo, test.seeds_hi) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("metric", ESTIMATED)
@pytest.mark.parametrize("level", ["frame", "video"])
def test_every_metric_is_compared_at_both_levels(tables, metric, level):
    board = compare(groups_of(*tables), metric, level)
    assert all(row.reason or row.lo <= row.value <= row.hi for row in board.standings)
    assert all(test.reason or test.lo <= test.value <= test.hi for test in board.tests)
    best = [board.standing(entry, MEAN).value for entry in board.entries]
    assert best == sorted(best, reverse=metric not in ("eer", "brier", "logloss"))


def test_equal_detectors_differ_by_nothing_and_have_no_p(tables):
    strong, _, _ = tables
    groups = [Group(name, (str(strong),), (read(strong),)) for name in ("a", "b")]
    for test in compare(groups).tests:
        assert test.value == 0 and test.lo <= 0 <= test.hi
        assert np.isnan(test.p) or test.p > 0.9


def test_the_type_1_error_of_the_paired_test_is_about_its_level(write_scores):
    false = []
    for seed in range(60):
        files = [write_scores(f"{m}.csv", seed=seed, model=m, pairs=8, conditions={"77": 0.8}) for m in (1, 2)]
        [test] = compare([Group(str(path), (str(path),), (read(path),)) for path in files]).tests
        false.append(test.p < 0.05)
    assert np.mean(false) < 0.15                               # 3 of 60 expected, 9 is the limit


def test_tables_without_common_rows_have_a_reason_instead_of_a_test(write_scores, rows_of):
    rows = rows_of(pairs=8)
    parts = [[row for row in rows if (row["pair"] > "010") == later] for later in (False, True)]
    paths = [write_scores(f"{number}.csv", rows=part) for number, part in enumerate(parts)]
    result = run(*paths)
    assert result.exit_code == 0
    assert "the tables share no rows" in result.output


def test_another_label_of_the_same_face_is_refused(write_scores, rows_of):
    rows = rows_of()
    flipped = [row | ({"label": 1 - int(row["label"])} if row["video"] == "original/004" else {}) for row in rows]
    for row in flipped:
        row["method"] = "Swap" if row["video"] == "original/004" else row["method"]
    a, b = write_scores("a.csv", rows=rows), write_scores("b.csv", rows=flipped)
    result = run(a, b)
    assert result.exit_code == 1
    assert f"{b}: the label of c23/original/004/0000 is 1, in {a} it is 0 (9 such rows)" in result.output


def test_tables_are_named_after_their_path_and_labels_are_unique(write_scores, tmp_path):
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(write_scores("scores.csv").rename(tmp_path / name / "scores.csv"))
    result = run(*paths)
    assert "one/scores - two/scores" in result.output or "two/scores - one/scores" in result.output
    result = run(f"a={paths[0]}", f"a={paths[1]}")
    assert (result.exit_code, "a: the label occurs twice" in result.output) == (2, True)
    result = run(paths[0])
    assert (result.exit_code, "needs two or more detectors" in result.output) == (2, True)
    result = run(paths[0], f"b={paths[1]}", "--versus", "c")
    assert (result.exit_code, "there is no entry c; there are" in result.output) == (1, True)


def test_versus_and_condition_leave_out_the_other_tests(tables):
    strong, _, part = tables
    board = compare(groups_of(*tables), versus="weak", conditions=["77"])
    assert [(test.b, test.what) for test in board.tests] == [("weak", "77"), ("weak", "77")]
    result = run(strong, part, "--condition", "88")
    assert (result.exit_code, "no table has the condition 88; they have raw, 77, 10" in result.output) == (1, True)


def test_the_page_has_both_tables_and_where_the_scores_are_from(tables, tmp_path):
    strong, seeds, part = tables
    result = run(f"strong={strong}", f"weak={','.join(map(str, seeds))}", part, "--out", tmp_path / "page")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"page: {tmp_path / 'page' / 'index.html'}"
    html = (tmp_path / "page" / "index.html").read_text()
    for words in ("Leaderboard", "Paired tests", seeds[1].name, 'href="#tests"', "shared rows"):
        assert words in html
    with (tmp_path / "page" / "tests.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10
    assert (tmp_path / "page" / "compare.md").read_text().startswith("# Comparison of detectors")


def test_the_choices_of_the_command_are_the_metrics_that_have_estimates():
    assert COMPARABLE == ESTIMATED


def test_commits_tags_and_experiments_are_read_through_dvc(tmp_path, write_scores, monkeypatch):
    repo = tmp_path / "repo"
    (repo / "out").mkdir(parents=True)
    monkeypatch.chdir(repo)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "a")
        monkeypatch.setenv(f"{name}_EMAIL", "a@b.example")

    def do(*command):
        subprocess.run(command, check=True, capture_output=True)

    do("git", "init", "-q", "-b", "main")
    do("dvc", "init", "-q")
    do("dvc", "config", "core.analytics", "false")
    for tag, conditions in (("one", WEAK), ("two", {"raw": 1.6, "77": 1.3, "10": 0.3})):
        write_scores("scores.csv", conditions=conditions).replace(repo / "out" / "scores.csv")
        do("dvc", "add", "-q", "out/scores.csv")
        do("git", "add", "-A")
        do("git", "commit", "-qm", tag)
        do("git", "tag", tag)
    result = run("out/scores.csv", "--rev", "one", "--rev", "seeds=two,main")
    assert result.exit_code == 0, result.output
    assert "scores - one" in result.output and "seeds - one" in result.output
    result = run("--rev", "one", "--rev", "three")
    assert result.exit_code == 1 and "revision three" in result.output
    result = run("--rev", "one", "--rev", "two", "--path", "other.csv")
    assert (result.exit_code, "revision one: it has no file other.csv" in result.output) == (1, True)
    do("sh", "-c", "rm -r .dvc/cache")
    result = run("out/scores.csv", "--rev", "one")
    assert (result.exit_code, "not in DVC's cache; run `dvc pull`" in result.output) == (1, True)


@pytest.mark.trial(minutes=1)
def test_experiments_of_dvc_are_compared_by_their_names(tmp_path, write_scores, monkeypatch):
    repo = tmp_path / "repo"
    (repo / "tables").mkdir(parents=True)
    monkeypatch.chdir(repo)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "a")
        monkeypatch.setenv(f"{name}_EMAIL", "a@b.example")
    strong = {"raw": 1.6, "77": 1.3, "10": 0.3}
    for name, conditions in (("weak", WEAK), ("strong", strong)):
        write_scores("scores.csv", conditions=conditions).replace(repo / "tables" / f"{name}.csv")
    (repo / "params.yaml").write_text("name: weak\n")
    (repo / "dvc.yaml").write_text(
        "stages:\n  score:\n    cmd: mkdir -p out && cp tables/${name}.csv out/scores.csv\n    deps: [tables]\n"
        "    params: [name]\n    outs: [out/scores.csv]\n"
    )

    def do(*command):
        subprocess.run(command, check=True, capture_output=True)

    do("git", "init", "-q", "-b", "main")
    do("dvc", "init", "-q")
    do("dvc", "config", "core.analytics", "false")
    do("git", "add", "-A")
    do("git", "commit", "-qm", "pipeline")
    for name in ("weak", "strong"):
        do("dvc", "exp", "run", "-n", f"exp-{name}", "-S", f"name={name}")
    result = run("--rev", "exp-weak", "--rev", "best=exp-strong", "--condition", "raw")
    assert result.exit_code == 0, result.output
    expected = [auc_of(repo / "tables" / f"{name}.csv", "raw") for name in ("strong", "weak")]
    found = [re.search(rf"^{label} .*?(\d\.\d+)", result.output, re.MULTILINE) for label in ("best", "exp-weak")]
    shown = [float(one[1]) for one in found]
    assert shown == pytest.approx(expected, abs=6e-4)
    assert "exp-weak - best" in result.output or "best - exp-weak" in result.output


def auc_of(path, condition):
    test = read(path).where(split="test", condition=condition)
    return roc_auc_score(test.label, test.score)
