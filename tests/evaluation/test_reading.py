"""Tables of other tools and damaged ones: formats, columns, adapters, what is missing. Nothing ends in a traceback."""

import csv
import gzip
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation.files import FileError, read_json, sha256
from evaluation.scores import ScoresError, read

from .small import run, small


def written(path, rows, delimiter=",", encode=lambda data: data):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(encode(out.getvalue().encode()))
    return path


ENCODED = {
    "comma": (",", lambda data: data),
    "semicolon": (";", lambda data: data),
    "tab": ("\t", lambda data: data),
    "mark": (",", lambda data: b"\xef\xbb\xbf" + data),
    "blank lines": (",", lambda data: b"\n" + data + b"\n\r\n  \n"),
    "gzip": (",", gzip.compress),
    "gzip in two parts": (";", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
    "zstd": (",", lambda data: pa.compress(data, "zstd", asbytes=True)),
    "no last line break": (",", lambda data: data.rstrip(b"\r\n")),
}


@pytest.mark.parametrize("name", ENCODED)
def test_every_format_gives_the_same_scores(name, tmp_path, rows_of, write_scores):
    delimiter, encode = ENCODED[name]
    expected = read(write_scores(rows=rows_of()))
    found = read(written(tmp_path / "table.bin", rows_of(), delimiter, encode))
    for column in ("key", "video", "method", "pair", "condition", "frame", "label", "score"):
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()
    assert found.notes == ()


def test_parquet_with_its_own_types_gives_the_same_scores(tmp_path, rows_of, write_scores):
    rows = rows_of()
    expected = read(write_scores(rows=rows))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["score"] = [float(score) for score in columns["score"]]
    columns["label"] = [bool(label) for label in columns["label"]]
    columns["frame"] = [float(frame) for frame in columns["frame"]]
    columns["method"] = pa.array(columns["method"]).dictionary_encode()
    pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
    found = read(tmp_path / "scores.parquet")
    for column in ("key", "method", "frame", "label", "score"):
        assert getattr(found, column).tolist() == getattr(expected, column).tolist()


def test_frames_and_conditions_that_passed_through_floats_are_whole(write_scores, rows_of):
    rows = [{**row, "frame": f"{row['frame']}.0"} for row in rows_of()]
    for row in rows:
        row["condition"] = {"77": "77.0", "10": "10.0"}.get(row["condition"], row["condition"])
    assert read(write_scores(rows=rows)).conditions == ["raw", "77", "10"]
    old = [{("quality" if name == "condition" else name): value for name, value in row.items()} for row in rows]
    assert read(write_scores(rows=old)).conditions == ["raw", "77", "10"]


@pytest.mark.parametrize(
    "words", [("0", "1"), ("real", "fake"), ("Real", "FAKE"), ("false", "true"), ("False", "True"), ("0.0", "1.0")]
)
def test_a_label_and_a_score_are_enough(words, tmp_path):
    label, score = small()
    path = tmp_path / "t.csv"
    written(path, [{"label": words[y], "score": s} for y, s in zip(label, score, strict=True)])
    result = run("metrics", path, tmp_path / "m.json", "--tables", tmp_path / "t")
    assert result.exit_code == 0
    found = json.loads((tmp_path / "m.json").read_text())
    assert found["as-given"]["frame"]["auc"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    assert "every row counts as independent" in result.output
    assert any("intervals are far too narrow" in note for note in found["notes"])
    assert "jackknife by rows" in result.output
    shown = run("show", tmp_path / "m.json", tmp_path / "t")
    assert "every row counts as independent" in shown.output


def test_columns_are_mapped_by_option_and_guesses_are_reported(tmp_path):
    label, score = small()
    rows = [{"File": f"a/{i}.png", "target": y, "Fake Prob": s, "clip": f"v{i // 4}_{y}", "p2": 1 - s}
            for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    path = written(tmp_path / "t.csv", rows, ";")
    out = tmp_path / "ours.csv"
    result = run("import", path, out)
    assert result.exit_code == 0
    assert "guessed: key is File, video is clip, label is target, score is Fake Prob" in result.output
    assert "--column OURS=THEIRS overrides it" in result.output
    assert read(out).score.tolist() == score.tolist()
    run("import", path, out, "--column", "score=p2")
    assert read(out).score.tolist() == (1 - score).tolist()
    wrong = run("import", path, out, "--column", "score=p3")
    assert wrong.exit_code == 1
    assert "no column p3 (--column score=p3); the header is 'File,target,Fake Prob,clip,p2'" in wrong.output
    assert "is not one of our columns" in run("import", path, out, "--column", "points=p2").output
    assert run("import", path, out, "--column", "score").exit_code == 2


def test_a_score_that_may_be_two_columns_is_not_guessed(tmp_path):
    path = written(tmp_path / "t.csv", [{"label": 1, "prob": 0.5, "prediction": 1}])
    with pytest.raises(ScoresError, match=r"score may be prob or prediction; choose one with --column score=prob"):
        read(path)


def test_logits_pass_through_a_sigmoid(tmp_path):
    path = written(tmp_path / "t.csv", [{"label": 1, "score": 2.0}, {"label": 0, "score": -1.0}])
    with pytest.raises(ScoresError, match=r"line 2, column score: '2.0' is not a probability.*\(2 of 2 rows"):
        read(path)
    assert read(path, logits=True).score.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.e)])


def test_other_columns_are_strata_with_results_of_their_own(tmp_path):
    label, score = small(80)
    rows = [{"label": y, "score": s, "place": "in" if i < 50 else "out", "note": str(s)}
            for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    rows += [{"label": i % 2, "score": 0.5, "place": "in", "note": str(i)} for i in range(200)]
    path = written(tmp_path / "t.csv", rows)
    result = run("metrics", path, tmp_path / "m.json", "--tables", tmp_path / "t")
    found = list(csv.DictReader((tmp_path / "t" / "strata.csv").read_text().splitlines()))
    assert [(row["column"], row["value"]) for row in found] == [("place", "in"), ("place", "out")]
    assert float(found[1]["auc"]) == pytest.approx(roc_auc_score(label[50:], score[50:]), abs=1e-6)
    assert "not used: note (more than 200 different values)" in result.output
    run("import", path, tmp_path / "ours.parquet")
    assert read(tmp_path / "ours.parquet").strata["place"].tolist() == [row["place"] for row in rows]


def paged(path, folder, *options):
    """Metrics and page of a table: the result of `evaluation report`."""
    run("metrics", path, folder / "m.json", "--tables", folder / "t", "--quiet", *options)
    return run("report", folder / "page", "--metrics", folder / "m.json", "--scores", path, "--tables", folder / "t")


def test_the_page_shows_strata_and_keeps_all_of_them_in_one_file(tmp_path):
    label, score = small(800)
    rows = [{"label": y, "score": s, "source": f"<{i // 2 % 3}>", "a b": f"x{i // 2 % 100}",
             "a/b": "in" if i < 99 else "on"}
            for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    assert paged(written(tmp_path / "t.csv", rows), tmp_path).exit_code == 0
    html = (tmp_path / "page" / "index.html").read_text()
    for column in ("source", "a b", "a/b"):
        assert f"<span>By {column}</span>" in html
    assert '<th scope="row">&lt;2&gt;</th>' in html
    assert "The first 60 of 100 rows; the file has all." in html
    found = list(csv.DictReader((tmp_path / "page" / "tables" / "strata.csv").read_text().splitlines()))
    assert len(found) == 3 + 100 + 2
    (row,) = [row for row in found if (row["column"], row["value"]) == ("a/b", "in")]
    assert float(row["frame AUC"]) == pytest.approx(roc_auc_score(label[:99], score[:99]), abs=6e-4)
    with (tmp_path / "t" / "strata.csv").open("a") as file:
        file.write("source,<3>,as-given,1,1,0.5,,,,,,,,,row,\n")
    result = run("report", tmp_path / "page", "--metrics", tmp_path / "m.json", "--scores", tmp_path / "t.csv",
                 "--tables", tmp_path / "t")  # fmt: skip
    assert result.exit_code == 1
    assert "strata.csv: is not the table that" in result.output


def test_a_page_of_labels_and_scores_decides_at_one_half_and_says_what_is_not_known(tmp_path):
    label, score = small(200)
    rows = [{"label": y, "score": s} for y, s in zip(label, score, strict=True)]
    assert paged(written(tmp_path / "t.csv", rows), tmp_path).exit_code == 0
    text = (tmp_path / "page" / "report.md").read_text()
    accused = round(1000 * float(np.mean(score[label == 0] >= 0.5)))
    assert f": {accused} [" in text
    assert "(0.500, fixed: no validation split to choose another)" in text
    assert "every row counts as independent" in text.partition("## ")[0]
    assert "tested on: 200 faces whose videos and people are not known" in text
    assert "No audit of the data was given" in text


@pytest.mark.parametrize("one", [0, 1])
def test_a_page_of_one_class_has_the_error_rate_that_exists(one, tmp_path):
    label, score = small(200)
    rows = [{"label": y, "score": s} for y, s in zip(label, score, strict=True) if y == one]
    assert paged(written(tmp_path / "t.csv", rows), tmp_path).exit_code == 0
    text = (tmp_path / "page" / "report.md").read_text().partition("## ")[0]
    wrong = round(1000 * float(np.mean((score[label == one] >= 0.5) != one)))
    assert f": {wrong} [" in text
    assert "Cannot tell from this data." in text
    assert "The test split lacks a class" in text


def test_metrics_beside_the_scores_are_not_taken_for_their_record(tmp_path, write_scores, rows_of):
    scores = write_scores(rows=rows_of())
    beside = scores.with_suffix(".json")
    assert run("metrics", scores, beside, "--tables", tmp_path / "t").exit_code == 0
    result = run("report", tmp_path / "page", "--metrics", beside, "--scores", scores, "--tables", tmp_path / "t")
    assert result.exit_code == 0, result.output
    beside.write_text('{"weights_sha256": "0"}')
    result = run("metrics", scores, beside)
    assert result.exit_code == 1
    assert "is the record that `detector score` wrote beside" in result.output
    assert beside.read_text() == '{"weights_sha256": "0"}'


NAMES = ["all", "video", "frame", "n", "worst", "a.b", "a/b", "méthode Ω", "drop", "undefined", "method x"]


def test_labels_of_a_file_never_collide_with_our_keys(tmp_path, write_scores, rows_of):
    rows = rows_of(methods=NAMES, conditions={"n": 1.0, "frame": 1.2, "worst": 0.8, "drop": 1.0}, pairs=3)
    scores = write_scores(rows=rows)
    result = run("metrics", scores, tmp_path / "m.json", "--tables", tmp_path / "t")
    assert result.exit_code == 0
    found = json.loads((tmp_path / "m.json").read_text())
    assert {"condition_n", "condition_worst", "condition_drop", "frame"} <= set(found)
    assert found["n"]["frames"] == len({row["key"] for row in rows if row["split"] == "test"})
    table = list(csv.DictReader((tmp_path / "t" / "metrics.csv").read_text().splitlines()))
    names = ("condition", "level", "method", "metric", "threshold_source")
    keys = [tuple(row[name] for name in names) for row in table]
    assert len(set(keys)) == len(keys)
    test = [row for row in rows if row["split"] == "test" and row["condition"] == "n"]
    for shown, method in [("all", None), ("method all", "all"), *((name, name) for name in NAMES if name != "all")]:
        here = [row for row in test if method is None or row["label"] == 0 or row["method"] == method]
        expected = roc_auc_score([row["label"] for row in here], [float(row["score"]) for row in here])
        (row,) = [row for row in table if row["condition"] == "n" and row["level"] == "frame"
                  and row["method"] == shown and row["metric"] == "auc"]  # fmt: skip
        assert float(row["value"]) == pytest.approx(expected, abs=1e-6)
    assert run("report", tmp_path / "page", "--metrics", tmp_path / "m.json", "--scores", scores,
               "--tables", tmp_path / "t").exit_code == 0  # fmt: skip


# -- what is missing ---------------------------------------------------------------------------------------------------


def spoilt(rows, kind):
    """A table with something missing, and the message that names it."""
    if kind == "condition":
        del rows[16], rows[4]                     # lines 18 and 6: faces 5 and 1 of the first video lack one
        return rows, r"line 5, column condition: \S+ lacks 77 \(2 of 180 faces lack a condition\)"
    if kind == "duplicate":
        rows[9:9] = [dict(rows[3]), dict(rows[4])]
        return rows, r"line 11, column key: \S+ in condition raw is already on line 5 \(2 such rows\)"
    rows[7]["score"] = rows[9]["score"] = "nan" if kind == "nan" else ""
    return rows, r"line 9, column score: nan is not finite \(2 of 540 rows are not\)"


@pytest.mark.parametrize("kind", ["condition", "duplicate", "nan", "empty"])
def test_what_is_missing_is_named_with_its_line_and_number_or_left_out(kind, rows_of, write_scores, tmp_path):
    whole = read(write_scores(rows=rows_of()))
    rows, message = spoilt(rows_of(), kind)
    scores = write_scores("spoilt.csv", rows=rows)
    result = run("metrics", scores, tmp_path / "m.json")
    assert result.exit_code == 1
    assert re.search(message, result.output)
    assert re.search("--allow-(missing|nan)", result.output)
    assert not (tmp_path / "m.json").exists()
    allowed = read(scores, allow_missing=True)
    assert any("left out" in note for note in allowed.notes)
    assert len(allowed) == (len(whole) if kind == "duplicate" else len(whole) - 6)      # two whole faces
    conditions = {key: set() for key in allowed.key.tolist()}
    for key, condition in zip(allowed.key.tolist(), allowed.condition.tolist(), strict=True):
        conditions[key].add(condition)
    assert {len(found) for found in conditions.values()} == {3}
    result = run("metrics", scores, tmp_path / "m.json", "--allow-missing")
    assert (result.exit_code == 0 and "note: left out: 2 rows" in result.output) or kind == "condition"
    assert kind == "duplicate" or "all metrics use the same 178 faces" in result.output
    assert run("import", scores, tmp_path / "whole.csv", "--allow-missing").exit_code == 0
    assert len(read(tmp_path / "whole.csv")) == len(allowed)


def test_the_page_reads_the_scores_as_metrics_did(rows_of, write_scores, tmp_path):
    rows, _ = spoilt(rows_of(), "condition")
    scores = write_scores(rows=rows)
    run("metrics", scores, tmp_path / "m.json", "--tables", tmp_path / "t", "--allow-missing")
    result = run("report", tmp_path / "page", "--metrics", tmp_path / "m.json", "--scores", scores, "--tables",
                 tmp_path / "t")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "all metrics use the same 178 faces" in (tmp_path / "page" / "index.html").read_text()


PACKED = {
    "plain": lambda data: data, "gzip": gzip.compress, "zstd": lambda data: pa.compress(data, "zstd", asbytes=True)
}  # fmt: skip


@pytest.mark.parametrize("packed", PACKED)
def test_a_table_cut_short_is_refused_or_ends_earlier(packed, rows_of, tmp_path):
    data = written(tmp_path / "t.csv", rows_of(frames=12)).read_bytes()        # more than one block of zstd
    (tmp_path / "cut.csv").write_bytes(PACKED[packed](data)[: -30 if packed == "plain" else -600])
    result = run("metrics", tmp_path / "cut.csv", tmp_path / "m.json")
    assert result.exit_code == 1
    assert re.search("line [0-9]+: [0-9]+ values for 11 columns|ends early: the file was cut short", result.output)
    result = run("metrics", tmp_path / "cut.csv", tmp_path / "m.json", "--allow-missing")
    assert result.exit_code == 0
    assert "left out" in result.output


def test_a_line_number_counts_blank_lines_and_line_breaks_inside_of_quotes(rows_of, tmp_path):
    rows = rows_of()
    rows[3]["score"] = "high"
    path = written(tmp_path / "t.csv", [{**row, "place": "a\nb" if i == 1 else "a"} for i, row in enumerate(rows)])
    lines = path.read_bytes().split(b"\r\n")
    lines.insert(1, b"")
    path.write_bytes(b"\r\n".join(lines))
    with pytest.raises(ScoresError, match="line 7, column score: 'high' is not a number"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: it needs a line with the names of the columns"),
        (b"\n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"PK\x03\x04rest of a workbook", "is a ZIP archive or an Excel workbook: save it as CSV"),
        (b"BZh91AY&SY", "is compressed with bzip2"),
        (b"label,score\n", "nothing to evaluate: the table has no rows"),
        (b"label,score,split\n1,0.5,val\n", "no row is of the split test, only of val"),
        (b"label;score\n1;0.5;3\n", "line 2: 3 values for 2 columns"),
        (b"label,score\n2,0.5\n3,0.5\n", "line 2, column label: '2' is neither 0 (real) nor 1 (fake), nor real or"),
        (b"label,label,score\n1,1,0.5\n", "2 columns are called 'label'"),
        (b"label,score\n1,\xff\n", "is not"),
        (b"label,score\n\xff,0.5\n", "UTF-8"),
        # in a row of too few values
        (b"key,label,score\na\xac1,0.5\n", "is not a CSV file in UTF-8: line 2: invalid start byte"),
        ("label,score\n1,0.5\n".encode("utf-16"), "is text in UTF-16: save it as CSV in UTF-8"),
        (b"PAR1rubbish", "is not a Parquet file"),
        (b"\x1f\x8brubbish", "damaged"),
        (b"\x28\xb5\x2f\xfdrubbish", "t.csv: "),
        (b'label,score\n1,"0.5\n0,0.2\n', "t.csv"),
        (b"key,label,score\n" + b"x" * 2000 + b",1,0.5\n", "a text of 2000 characters"),
        (b"key,label,score\na\x00b,1,0.5\n", "holds control characters"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_one_line_that_names_it(content, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    result = run("metrics", path, tmp_path / "m.json")
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert not (tmp_path / "m.json").exists()


CELLS = st.sampled_from(
    ["", "0", "1", "0.5", "1.0", "nan", "inf", "-1", "2", "real", "fake", "test", "val", "a", "é", '"', "raw", "77",
     "77.0", "a,b", "x;y", "\t", "\x00", "1e400", "٣", "1_0", " 1 ", "NaN", "true", "row 1", "9" * 30]
)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(["key", "video", "frame", "method", "pair", "identity", "split", "label", "condition", "score",
                     "quality", "compression", "prob", "other", "", "Label"]), min_size=1, max_size=8,
)  # fmt: skip


ROWS = st.lists(st.lists(CELLS, min_size=0, max_size=8), max_size=6)
SHARED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=120, deadline=None, suppress_health_check=SHARED, derandomize=True)
@given(
    header=HEADERS, rows=ROWS, delimiter=st.sampled_from(",;\t"), ragged=st.booleans(), cut=st.integers(0, 40),
    allow=st.booleans(),
)  # fmt: skip
def test_any_table_is_read_or_refused(header, rows, delimiter, ragged, cut, allow, tmp_path):
    rows = rows if ragged else [(row + ["1"] * len(header))[: len(header)] for row in rows]
    data = "\n".join(delimiter.join(row) for row in [header, *rows]).encode()
    path = tmp_path / "fuzz.csv"
    path.write_bytes(data[: max(len(data) - cut, 0)] if ragged else data)
    try:
        found = read(path, allow_missing=allow)
    except ScoresError as error:
        assert str(path) in str(error)                          # and nothing else is raised
    else:
        assert np.isin(found.label, (0, 1)).all()
        assert np.isfinite(found.score).all()


def nothing_as_label(label, path):
    """The same labels with the rows 3 and 9 (from 0) without one, as CSV and in the types that Parquet files have."""
    text = ["" if i in (3, 9) else str(y) for i, y in enumerate(label)]
    numbers = [None if i in (3, 9) else int(y) for i, y in enumerate(label)]
    columns = {
        "integers": pa.array(numbers), "floats": pa.array([float("nan") if y is None else float(y) for y in numbers]),
        "booleans": pa.array([None if y is None else bool(y) for y in numbers]), "text": pa.array(text),
        "dictionary": pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int8()), pa.array(["real", "fake"])),
        "unknown": pa.array([y or "Unknown" for y in text]),
    }  # fmt: skip
    return columns[path]


@pytest.mark.parametrize("kind", ["integers", "floats", "booleans", "text", "dictionary", "unknown"])
def test_rows_without_a_label_are_an_error_or_left_out(kind, tmp_path):
    label, score = small()
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"label": nothing_as_label(label, kind), "score": score}), path)
    message = r"row 4, column label: '\w*' is neither real nor fake \(2 of 40 rows are like this\); --allow-missing"
    with pytest.raises(ScoresError, match=message):
        read(path)
    found = read(path, allow_missing=True)
    kept = [i for i in range(40) if i not in (3, 9)]
    assert found.label.tolist() == label[kept].tolist()
    assert found.score.tolist() == score[kept].tolist()
    assert "left out: 2 rows without a label (the first: row 4)" in found.notes
    assert found.key.num() == 38


def test_a_table_of_which_no_row_is_left_says_why(tmp_path):
    path = written(tmp_path / "t.csv", [{"label": y, "score": "nan"} for y in (0, 1)])
    result = run("metrics", path, tmp_path / "m.json", "--allow-missing")
    assert result.exit_code == 1
    assert "nothing to evaluate: no row is left; left out: 2 rows with a score that is not finite" in result.output


def test_rows_that_are_left_out_do_not_move_the_line_of_a_later_error(tmp_path):
    label, score = small()
    rows = [{"video": "" if i == 2 else f"v{i}", "label": "" if i == 4 else y, "score": "nan" if i == 20 else s}
            for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    path = written(tmp_path / "t.csv", rows)
    with pytest.raises(ScoresError, match=r"line 4, column video: '' is empty; --allow-missing leaves them out"):
        read(path)
    notes = read(path, allow_missing=True).notes
    assert "left out: 1 row without a video (the first: line 4)" in notes
    assert "left out: 1 row without a label (the first: line 6)" in notes
    assert "left out: 1 row with a score that is not finite (the first: line 22)" in notes
    rows = [{**row, "label": "NA"} for row in rows]
    with pytest.raises(ScoresError, match=r"'NA' is neither 0"):
        read(written(tmp_path / "t.csv", rows), allow_missing=True)


# -- adapters ----------------------------------------------------------------------------------------------------------


def test_the_label_of_sidbench_is_its_decision_and_not_taken_for_the_truth(tmp_path):
    # test.py of sidbench writes the decision at .5 under the name Label; the classes are folders
    label, score = small()
    rows = [{"Image Path": f"data/progan/{'1_fake' if y else '0_real'}/{i}.png", "Prediction": s, "Label": int(s > 0.5)}
            for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    found = read(written(tmp_path / "t.csv", rows))
    assert found.label.tolist() == label.tolist() != [row["Label"] for row in rows]
    assert "decision at .5" in found.notes[0]
    rows[3]["Image Path"] = "data/3.png"
    with pytest.raises(ScoresError, match=r"line 5, column Image Path: 'data/3.png' names no class"):
        read(written(tmp_path / "t.csv", rows))
    given = read(written(tmp_path / "t.csv", rows), columns={"label": "Label"})
    assert given.label.tolist() == [row["Label"] for row in rows]


def test_deepsafe_tables_give_the_auc_of_each_modality(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for modality, apart in (("images", 0.4), ("audio", 0.2), ("video", 0.1)):
        for i in range(120):
            fake = i % 3 > 0
            score = float(np.clip(0.4 + apart * fake + generator.normal(0, 0.2), 0, 1))
            words = {"label": "fake" if fake else "real", "ensemble_verdict": "fake" if score > 0.5 else "real"}
            rows.append({"modality": modality, "generator": f"g{i % 5}" if fake else "real", "ensemble_score": score,
                         "prob_npr": generator.random() if i % 2 else "", **words})  # fmt: skip
    path = written(tmp_path / "t.csv.gz", rows, encode=gzip.compress)
    result = run("metrics", path, tmp_path / "m.json", "--tables", tmp_path / "t")
    assert "score is ensemble_score" in result.output
    found = list(csv.DictReader((tmp_path / "t" / "strata.csv").read_text().splitlines()))
    for modality in ("images", "audio", "video"):
        here = [row for row in rows if row["modality"] == modality]
        expected = roc_auc_score([row["label"] == "fake" for row in here], [row["ensemble_score"] for row in here])
        (row,) = [row for row in found if (row["column"], row["value"]) == ("modality", modality)]
        assert float(row["auc"]) == pytest.approx(expected, abs=1e-6)
    one = run("metrics", path, tmp_path / "m.json", "--column", "score=prob_npr")
    assert one.exit_code == 1 and "nan is not finite (180 of 360 rows" in one.output
    assert run("metrics", path, tmp_path / "m.json", "--column", "score=prob_npr", "--allow-missing").exit_code == 0


def test_a_table_of_several_detectors_needs_the_name_of_one(tmp_path):
    # meta_features_dataset.csv of DeepSafe: media_path, media_name, a column of probabilities for each, ground_truth
    label, score = small()
    rows = [{"media_path": f"d/{i}.jpg", "media_name": f"{i}.jpg", "npr_prob": s, "ucf_prob": "" if i == 4 else 1 - s,
             "ground_truth": y} for i, (y, s) in enumerate(zip(label, score, strict=True))]  # fmt: skip
    path = written(tmp_path / "t.csv", rows)
    message = r"line 1: score may be npr_prob or ucf_prob; choose one with --column score=npr_prob"
    with pytest.raises(ScoresError, match=message):
        read(path)
    found = read(path, columns={"score": "npr_prob"})
    assert (found.score.tolist(), found.label.tolist()) == (score.tolist(), label.tolist())
    assert found.key[0] == "d/0.jpg"
    with pytest.raises(ScoresError, match=r"line 6, column score: nan is not finite"):
        read(path, columns={"score": "ucf_prob"})


@pytest.mark.parametrize("text", ['{"models": ["a"], "predictions": []}', '\n[\n  {"model_name": "a"}]'])
def test_json_is_named_as_such(text, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ScoresError, match=r"results.json is JSON, not a table: write it as CSV"):
        read(path)


def test_scores_that_are_decisions_are_named(tmp_path):
    label, score = small()
    rows = [{"label": y, "prediction": int(s > 0.5)} for y, s in zip(label, score, strict=True)]
    notes = read(written(tmp_path / "t.csv", rows)).notes
    assert "the scores in prediction are only 0 and 1: decisions, not probabilities" in notes
    rows.append({"label": 0, "prediction": 0.5})
    assert not any("decisions" in note for note in read(written(tmp_path / "t.csv", rows)).notes)


@pytest.mark.parametrize("opened", [read, lambda path: read_json(path, dict), sha256])
def test_a_pipe_and_an_endless_device_are_refused(tmp_path, opened):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(FileError, match=f"{path}: is a pipe, a device or a socket, not a regular file"):
            opened(path)
