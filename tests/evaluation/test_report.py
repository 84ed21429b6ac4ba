"""The report page: content, no external files, identical bytes on repetition."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from evaluation.cli import main
from evaluation.literature import MEAN_OVER
from evaluation.made import training_faces
from evaluation.page import Table, table
from evaluation.printed import split
from evaluation.records import Dataset, Faces, Histories, Model, Parameters, TrainParameters
from evaluation.report import Sources, gather
from evaluation.sections import SECTIONS, body, dataset_note, literature_mean, literature_row

NOTE = "Drawn by a program."
PANELS = "file,key,condition,psnr,ssim,bytes,bits_per_pixel"


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory, rows_of, write_table, make_sources):
    """Two reports of one input, in folders a and b, and what the commands printed: drawing takes a second or two."""
    folder = tmp_path_factory.mktemp("reports")
    args = make_sources(folder, write_table(folder / "scores.csv", rows_of()))
    outputs = [run("report", folder / name, *args).output for name in ("a", "b")]
    return folder, outputs


class Balance(HTMLParser):
    """Checks that every tag that opens closes, and collects what the page would load."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        assert tag not in ("link", "iframe")

    def handle_startendtag(self, tag, attributes):  # noqa: ARG002 - HTMLParser's signature
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(written):
    folder, _ = written
    html = (folder / "a" / "index.html").read_text()
    balance = Balance()
    balance.feed(html)
    assert balance.open == []
    files = {"citation.bib", *(f"tables/{path.name}" for path in (folder / "a" / "tables").iterdir())}
    assert all(value.startswith(("data:image/png;base64,", "#")) or value in files for value in balance.loads)
    assert files <= set(balance.loads)
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "http://" not in without_namespaces
    assert "https://" not in without_namespaces
    for name in ("robustness", "roc", "metrics", "compression", "curves", "matrix"):
        assert (folder / "a" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_run_ends_with_the_table_and_the_path(written):
    folder, (output, _) = written
    assert output.startswith("condition")
    assert output.splitlines()[-1] == f"report: {folder / 'a' / 'index.html'}"


def test_the_page_states_what_was_measured_and_what_was_left_out(written):
    html = (written[0] / "a" / "index.html").read_text()
    for text in (
        "Nothing follows from these numbers for real deepfakes", NOTE, "set &lt;B&gt;", "meso4",
        "trained on faces compressed at quality 77",
        "24 / 8", "12 videos have no sound", "27.7 dB · SSIM 0.876", "1,234 bytes", "identical",
        "120 / 40 / 4", "no usable face in 1 frames",
        "Face2Face: none", "a real face classified as fake", "a fake that is missed", "of 1,000 fakes are missed",
        "no face found", "model.parameters.train.lr", "opencv", "4.14.0", "1 more",
        "The weights are those that made the scores", "evaluation report OUT --metrics",
    ):  # fmt: skip
        assert text in html, text
    assert html.count("data:image/png") == 9 + 2         # and one false alarm, one miss


@pytest.mark.parametrize(
    ("condition", "histories", "words"),
    [
        ("77", None, "faces compressed at quality 77"),
        ("raw", Histories(0), "uncompressed faces"),
        ("77", Histories(0.9), "faces with random histories (90 %), the others compressed at quality 77"),
        ("raw", Histories(0.5), "faces with random histories (50 %), the others uncompressed"),
        ("77", Histories(1), "faces with random histories"),
        (None, None, ""),
    ],
)
def test_the_page_says_what_the_training_faces_went_through(condition, histories, words):
    parameters = Parameters(TrainParameters(histories))
    assert training_faces(Model(None, "meso4", trained_on=condition, parameters=parameters)) == words


def test_the_same_input_gives_the_same_bytes(written):
    folder, _ = written
    files = sorted(str(path.relative_to(folder / "a")) for path in (folder / "a").rglob("*") if path.is_file())
    figures = ("compression", "curves", "histograms", "history", "matrix", "metrics", "reliability", "robustness")
    assert {"index.html", "report.md", "tables/by-condition.csv", *(f"{name}.png" for name in figures)} <= set(files)
    for name in files:
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes(), name


def test_published_results_are_shown_for_real_data_only(sources):
    options = {str(name)[2:].replace("-", "_"): value for name, value in zip(sources[::2], sources[1::2], strict=True)}
    material = gather(Sources(**options))
    published = {section.anchor: section for section in SECTIONS}["published"]
    assert list(published.parts(material)) == []
    for synthetic, shown in ((False, True), (None, False)):
        faces = Faces(dataset=Dataset(name="FaceForensics++", synthetic=synthetic))
        real = dataclasses.replace(material, faces=faces)
        assert any("DeepfakeBench" in part.html for part in published.parts(real)) is shown
        assert dataset_note(real).html == "<p>Data: FaceForensics++.</p>"
    row = literature_row(material.summary, "raw", material.scores)
    for column, method in (("FF-c23", "all"), ("FF-NT", "NeuralTextures")):
        found = material.summary.find("raw", "frame", "auc", method)
        assert row[column][:3] == (found.value, found.lo, found.hi)
    assert "FF-c40" not in row
    # the mean over the four methods is that of the table by method
    mean, stored = literature_mean(material, "raw", MEAN_OVER), material.summary.scalar("method_mean", "raw", "frame")
    assert mean[:3] == pytest.approx((stored.value, stored.lo, stored.hi), abs=1e-6)
    tables = {table.name: table for part in published.parts(real_ones(material)) for table in part.tables}
    assert list(bare_estimates(tables.values())) == []
    over = tables["gains"].rows[0]
    value, lo, hi = (100 * (end - 0.5946) for end in row["FF-FS"][:3])
    assert over[tables["gains"].header.index("FF-FS")] == f"{value:+.2f} [{lo:+.2f}, {hi:+.2f}]"
    # what other methods are among the fakes is another number
    others = dataclasses.replace(material.summary, methods=[*material.summary.methods, "DeepFakeDetection"])
    assert sorted(literature_row(others, "raw", material.scores)) == sorted(set(row) - {"FF-c23"})


def test_only_metrics_scores_and_tables_are_needed(sources, tmp_path):
    result = run("report", tmp_path / "report", *sources[:6])
    assert result.exit_code == 0
    html = (tmp_path / "report" / "index.html").read_text()
    assert "What compression does to a face" not in html
    assert not (tmp_path / "report" / "compression.png").exists()


# tables of observed values, counts and settings; and columns that are no estimates: chosen thresholds, p values
OBSERVED = ("data", "errors", "failures", "leaks", "made", "reasons", "settings", "sources", "versions")
CHOSEN = (("thresholds", "validation threshold"), ("decisions", "threshold"), ("versus-frame", "p (Holm)"),
          ("versus-video", "p (Holm)"))  # fmt: skip


def bare_estimates(tables):
    """Yield table, column and cell of each number, or place of one, that has neither an interval nor a reason."""
    for one in tables:
        for row in () if one.name in OBSERVED else one.rows:
            for name, cell in zip(one.header, row, strict=True):
                value, lo, _, reason = split(cell)
                bare = value == "-" or re.fullmatch(r"[-+]?\d*\.\d+", value)
                beside = one.name == "audit" and row[one.header.index("strongest for, or reason")]
                if bare and not (lo or reason or beside) and (one.name, name) not in CHOSEN:
                    yield one.name, name, cell


def real_ones(material):
    return dataclasses.replace(material, faces=Faces(dataset=Dataset(name="FaceForensics++", synthetic=False)))


def material_of(sources):
    options = {str(name)[2:].replace("-", "_"): value for name, value in zip(sources[::2], sources[1::2], strict=True)}
    return gather(Sources(**options))


def test_every_number_in_the_tables_has_an_interval_or_a_reason(sources):
    material = material_of(sources)
    whole = body(real_ones(material))
    names = {table.name for table in whole.tables}
    assert {"by-condition", "thresholds", "matrix-cells", "calibration", "published", "gains"} <= names
    assert list(bare_estimates(whole.tables)) == []
    # the check can fail
    found = Table("x", ("a", "b"), (("0.5", "0.5 [0.4, 0.6]"), ("0.5 [no interval: y]", "-")))
    assert list(bare_estimates([found])) == [("x", "a", "0.5"), ("x", "b", "-")]


def test_reasons_stand_below_a_table_and_in_its_file():
    cells = ("0.5 [0.4, 0.6]", "0.7 [no interval: few, so]", "- [undefined: few, so]", "0.8 [no interval: few, so]")
    block = table("x", "X", ["a", "b"], list(zip("rstu", cells, strict=True)), "Note.")
    assert "<td>0.7<i>[a]</i></td>" in block.html
    assert "<td>-<i>[b]</i></td>" in block.html
    assert "Note. [a] no interval: few, so; [b] undefined: few, so." in block.html
    assert "| u | 0.8 [a] |" in block.markdown
    assert block.tables[0].csv() == (
        "a,b,b lo,b hi,b reason\nr,0.5,0.4,0.6,\ns,0.7,,,\"no interval: few, so\"\nt,,,,\"undefined: few, so\"\n"
        "u,0.8,,,\"no interval: few, so\"\n"
    )


@pytest.mark.parametrize("rows", ["one class", "one video", "no validation", "one quality", "one pair"])
def test_the_page_is_written_with_undefined_numbers_too(rows, rows_of, write_scores, tmp_path):
    chosen = {
        "one class": lambda: [row for row in rows_of() if row["label"] == 1],
        "empty": lambda: [row for row in rows_of() if row["split"] == "val"],
        "one video": lambda: [row for row in rows_of() if row["video"] == "original/004"],
        "no validation": lambda: rows_of(val_pairs=0),
        "one quality": lambda: rows_of(conditions={"77": 1.0}),
        "one pair": lambda: rows_of(pairs=1),
    }[rows]()
    args = {"metrics": tmp_path / "m.json", "scores": write_scores(rows=chosen), "tables": tmp_path / "t"}
    run("metrics", args["scores"], args["metrics"], "--tables", args["tables"], "--replicates", "20")
    result = run("report", tmp_path / "r", *(word for name, path in args.items() for word in (f"--{name}", path)))
    assert result.exit_code == 0, result.output
    html = (tmp_path / "r" / "index.html").read_text()
    assert "Cannot tell from this data." in html
    assert ">nan<" not in html
    sources = [word for name, path in args.items() for word in (f"--{name}", path)]
    assert list(bare_estimates(body(real_ones(material_of(sources))).tables)) == []
    # in the terminal only the thresholds are bare
    bare = re.sub(r"(\S+) \[[^\]]*\]", "", result.output.split("\ntest split:")[0])
    assert not re.findall(r"\d\.\d{3}(?!, (?:from validation|fixed))", bare), result.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "{", "metrics.json, line 1, column 2: not JSON"),
        ("metrics.json", "{}", "metrics.json: no scores; run `evaluation metrics` again"),
        ("fidelity.json", '{"q77": {"psnr": 3}}', "fidelity.json, q77: no bits_per_pixel"),
        ("fidelity/panels.csv", "file,key\n", "panels.csv, line 1: no column condition"),
        ("fidelity/panels.csv", f"{PANELS}\na,b,77,x,1,1,1\n", "line 2, column psnr: expected a number, found 'x'"),
        ("fidelity/panels.csv", f"{PANELS}\nnone.png,b,77,30,1,1,1\n", "none.png"),
        ("train/log.jsonl", "{]\n", "log.jsonl, line 1: not JSON"),
        ("tables/metrics.csv", "", "metrics.csv: is not the table that"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(sources, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    result = run("report", tmp_path / "report", *sources)
    assert (result.exit_code, message in result.output) == (1, True), result.output
    assert not (tmp_path / "report" / "index.html").exists()
