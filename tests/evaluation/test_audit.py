"""The audit on the page: its findings are at the top, with the AUC of the detector."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from evaluation import audit, page
from evaluation.cli import main
from evaluation.files import FileError, write_json
from evaluation.findings import (
    Audit,
    Leak,
    Near,
    OfMethod,
    Shortcut,
    as_json,
    findings,
    leak_sentence,
    of_scores,
    over_limit,
    read,
    text,
)
from evaluation.scores import read as read_scores

FORMAT = Shortcut("format", "file format", 1.0, 0.91, 1.0, 40, 60, "JPEG (all)", "PNG (all)")
SHARPNESS = Shortcut("sharpness", "sharpness", 0.62, 0.55, 0.7, 40, 60, "8 (7 to 9)", "7.9 (7 to 9)")
NO_FAKES = "no fake items with this property"
QUALITY = Shortcut("jpeg_quality", "JPEG quality", None, None, None, 40, 0, "75", "", NO_FAKES)
SAME = Shortcut("frame_rate", "frames per second", 0.5, None, None, 40, 60, "25", "25", "the same for all items")
THUMBNAIL = Shortcut("thumbnail", "the crop as 8 x 8 pixels", 0.7, 0.64, 0.77, 40, 60)
NEAR = Near("bits of a hash", 24, 2, 1_000_000, 0, 3_000_000)
LEAK = Leak("person", 1, ["anna: given/original/anna/0000 in train, given/fake/anna/0000 in test"])
FACES = {"original": {"train": 30, "val": 0, "test": 10}, "fake": {"train": 50, "val": 0, "test": 10}}


def audit_of(*shortcuts, leaks=(), **values):
    settings = {"unit": "pairs", "confidence": 0.95, "notable_above": 0.6, "fail_above": None, "near_duplicates": NEAR}
    return Audit(FACES, "0" * 64, shortcuts=list(shortcuts), leaks=list(leaks), **{**settings, **values})


DETECTOR = {
    "uncompressed": (0.8, "0.800 [0.700, 0.900]"),
    "quality 10": (0.62, "0.620 [0.500, 0.730]"),
    "quality 5": (0.4, "0.400 [0.300, 0.500]"),
}


def test_an_interval_above_the_margin_is_a_finding_and_a_lower_one_is_not():
    assert findings(audit_of(FORMAT, SHARPNESS, QUALITY, SAME)) == [
        "Real and fake can be told apart by file format alone: AUC 1.000 [0.910, 1.000] "
        "(real: JPEG (all); fake: PNG (all))."
    ]
    assert findings(audit_of(SHARPNESS, QUALITY, SAME)) == []
    assert len(findings(audit_of(SHARPNESS, notable_above=0.54))) == 1


def test_what_reaches_the_detector_is_a_finding_whatever_its_interval():
    found = findings(audit_of(SHARPNESS, SAME), DETECTOR)
    assert found == [
        "Real and fake can be told apart by sharpness alone: AUC 0.620 [0.550, 0.700], no less than the detector "
        "(quality 10: 0.620 [0.500, 0.730], quality 5: 0.400 [0.300, 0.500])."
    ]
    assert findings(audit_of(SHARPNESS), {"uncompressed": (float("nan"), "-"), "77": (0.63, "0.630")}) == []


def test_a_property_that_separates_the_fakes_of_one_method_is_a_finding():
    one = dataclasses.replace(SHARPNESS, strongest=OfMethod("FaceSwap", 0.8, 0.7, 0.9))
    expected = ["Real and the fakes by FaceSwap can be told apart by sharpness alone: AUC 0.800 [0.700, 0.900]."]
    assert findings(audit_of(one)) == expected
    assert findings(audit_of(one, notable_above=0.7)) == []
    assert len(findings(audit_of(dataclasses.replace(FORMAT, strongest=one.strongest)))) == 1
    assert page.joined(audit.parts(audit_of(one), {})).tables[0].rows[0][2] == "FaceSwap 0.800 [0.700, 0.900]"


def test_a_leak_is_a_finding_with_its_example():
    near = Leak("near-duplicate", 2, ["a in train, b in test"])
    assert findings(audit_of(leaks=[LEAK, near])) == [
        "1 person is in more than one split (anna: given/original/anna/0000 in train, given/fake/anna/0000 in test).",
        "2 crop pairs across splits are near-duplicates, and none of 3000000 crop pairs of different people within a "
        "split is one (a in train, b in test).",
    ]
    by_chance = dataclasses.replace(NEAR, num_false=9)
    assert leak_sentence(near, by_chance) == (
        "2 crop pairs across splits are near-duplicates, where about 3 would be expected by chance "
        "(a in train, b in test)."
    )


def test_only_a_limit_makes_a_finding_an_error():
    everything = audit_of(FORMAT, SHARPNESS, THUMBNAIL, leaks=[LEAK])
    assert over_limit(everything) == []
    assert len(over_limit(dataclasses.replace(everything, fail_above=0.9))) == 2        # format and the person
    assert len(over_limit(dataclasses.replace(everything, fail_above=0.95))) == 1       # the person
    assert len(over_limit(dataclasses.replace(everything, fail_above=0.5))) == 4        # below the margin of the page


def test_the_file_reads_back(tmp_path):
    one = dataclasses.replace(SHARPNESS, strongest=OfMethod("FaceSwap", 0.8, 0.7, 0.9))
    written = audit_of(FORMAT, QUALITY, SAME, one, leaks=[LEAK], notes=["a note"])
    write_json(tmp_path / "audit.json", as_json(written))
    assert read(tmp_path / "audit.json") == written
    (tmp_path / "audit.json").write_text(json.dumps(as_json(written) | {"unit": 3}))
    with pytest.raises(FileError, match=r"audit\.json, unit: .*detector audit"):
        read(tmp_path / "audit.json")


def test_the_terminal_shows_a_line_for_each_property_and_the_findings():
    lines = text(audit_of(FORMAT, QUALITY, leaks=[LEAK], notes=["without --data"])).splitlines()
    assert lines[0] == "100 crops; AUC of each property alone with 95 % intervals by pairs"
    assert lines[2].split() == ["file", "format", "1.000", "[0.910,", "1.000]", "JPEG", "(all)", "PNG", "(all)"]
    assert "undefined (no fake items with this property)" in lines[3]
    assert [line for line in lines if line.startswith("finding: ")] == [
        f"finding: {sentence}" for sentence in findings(audit_of(FORMAT, leaks=[LEAK]))
    ]
    assert text(audit_of(SAME)).endswith("nothing notable found")
    assert max(map(len, lines[1:4])) < 130


def test_the_section_has_both_tables_and_says_how_they_were_made():
    detector = {"77": (0.8, "0.800 [0.700, 0.900]")}
    block = page.joined(audit.parts(audit_of(FORMAT, QUALITY, leaks=[LEAK]), detector, best="0.800 [0.7, 0.9]"))
    assert [table.name for table in block.tables] == ["audit", "leaks"]
    properties, leaks = block.tables
    assert properties.rows[0] == ("file format", "1.000 [0.910, 1.000]", "", "JPEG (all)", "PNG (all)", "40", "60")
    assert properties.rows[1][:3] == ("JPEG quality", "undefined", NO_FAKES)
    assert [row[:2] for row in leaks.rows] == [
        ("people", "1"), ("pairs or groups of people", "0"), ("identical source files", "0"),
        ("near-duplicate crop pairs", "2"),
    ]  # fmt: skip
    assert "The detector reaches 0.800 [0.7, 0.9] in its best condition" in block.html
    assert "No audit of the data was given" in page.joined(audit.parts(None, {})).html


@pytest.fixture
def audited(tmp_path, sources):
    """The options of `evaluation report` with an audit of the same faces; and the path of the audit."""
    faces = json.loads((tmp_path / "summary.json").read_text())["faces"]
    index = json.loads((tmp_path / "scores.json").read_text())["faces"]["index_sha256"]
    path = tmp_path / "audit.json"

    def write(*shortcuts, leaks=(), counts=faces, index=index):
        changed = dataclasses.replace(audit_of(*shortcuts, leaks=leaks), faces=counts, index_sha256=index)
        write_json(path, as_json(changed))
        return [str(option) for option in [*sources, "--audit", path]]

    return write


def report(folder, options):
    return CliRunner().invoke(main, ["report", str(folder / "page"), *options])


def test_findings_are_at_the_top_of_the_page_with_a_link_to_the_section(tmp_path, audited):
    result = report(tmp_path, audited(FORMAT, leaks=[LEAK]))
    assert result.exit_code == 0, result.output
    html = (tmp_path / "page/index.html").read_text()
    top = html.partition("</header>")[0]
    assert audit.ALERT in top
    assert "Real and fake can be told apart by file format alone: AUC 1.000 [0.910, 1.000]" in top
    assert "1 person is in more than one split" in top
    assert 'href="#audit"' in top
    assert 'id="audit"' in html
    assert (tmp_path / "page/tables/audit.csv").exists()
    assert audit.ALERT in (tmp_path / "page/report.md").read_text().splitlines()[2]


def test_an_audit_without_findings_does_not_change_the_answer(tmp_path, audited):
    result = report(tmp_path, audited(dataclasses.replace(SAME)))
    assert result.exit_code == 0, result.output
    html = (tmp_path / "page/index.html").read_text()
    assert audit.ALERT not in html
    assert audit.NONE in html


@pytest.mark.parametrize("other", [{"counts": {"original": {"test": 1}}}, {"index": "1" * 64}])
def test_the_audit_of_other_faces_is_refused(tmp_path, audited, other):
    result = report(tmp_path, audited(FORMAT, **other))
    assert result.exit_code == 1
    assert "two runs are mixed; run `detector audit` on the faces that were scored" in result.output


def test_people_that_the_splits_of_the_scores_share_are_reported_without_an_audit(scores_of, rows_of, write_scores):
    """The threshold is chosen on validation: its people must not be those of the test."""
    assert of_scores(scores_of(pairs=2, val_pairs=1, frames=1)) == []
    rows = rows_of(pairs=2, val_pairs=1, frames=1)
    for row in rows:                                                     # 000 of validation is 002 of the test
        row["identity"] = row["identity"].replace("002", "000")
    found = of_scores(read_scores(write_scores(rows=rows)))
    assert [(leak.kind, leak.count) for leak in found] == [("person", 1)]
    sentence = "1 person is in more than one split (000: "
    assert audit.headline(None, {}, found)[0].startswith(sentence)
    assert sentence in page.joined(audit.parts(None, {}, found)).html
    assert audit.headline(audit_of(leaks=[LEAK]), {}, found) == findings(audit_of(leaks=[LEAK]))
