"""The benchmark: one registry of contenders, each optional, and tables that name the contenders."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"
BENCHMARKS = PACKAGE / "benchmarks"
C_LOOP = "C loop, same build"


@pytest.fixture(scope="module")
def run(programs):  # noqa: ARG001 the C loop is linked with the library built beside them
    """A function: arguments of benchmark.py -> what it prints."""

    def ask(*arguments: object) -> str:
        command = [sys.executable, str(BENCHMARKS / "benchmark.py"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the lines of a Markdown table by their first cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in lines[2:]}


def test_every_contender_is_named_with_its_version_or_with_the_reason_why_it_is_missing(run):
    lines = re.findall(r"^- (.+?): (.+)$", run("contenders"), re.MULTILINE)
    assert [name for name, said in lines if not said.startswith("not available")][:2] == ["mozcodec", C_LOOP]
    assert {name for name, _ in lines} == {
        *("mozcodec", C_LOOP, "C loop, system's", "cjpeg, a process and files", "Pillow", "simplejpeg"),
        *("OpenCV", "imagecodecs", "pyvips", "jpeglib", "PyTurboJPEG"),
    }
    wanted = r"(mozjpeg |libjpeg-turbo )?\d+\.\d+|not available \(.+; (pip|apt-get) install .+\)"
    assert [name for name, said in lines if not re.match(wanted, said)] == []


def test_encoding_is_measured_against_a_c_loop_with_the_same_bytes(run, tmp_path):
    report = tmp_path / "report.json"
    printed = run("encode", "--rounds", 1, "--pictures", "face 32", "--json", report)
    assert "n = 4 cases, 1 rounds each; equal to the C loop's in 4 of 4." in printed
    table = rows_of(printed)
    assert {"mozcodec", 'mozcodec: engine="library"', "Pillow: progressive", "jpeglib: mozjpeg"} <= set(table)
    assert float(table["mozcodec"][1]) > 0
    measured = json.loads(report.read_text())
    assert measured["environment"]["mozjpeg_version"] == "5.0.0"
    assert [row["sizes"]["mozcodec"] for row in measured["encode"]["rows"]] == [
        row["sizes"]["cjpeg, a process and files: mozjpeg"] for row in measured["encode"]["rows"]
    ]


@pytest.mark.parametrize("mode", ["fastest", "decode", "progressive"])
def test_plain_files_and_their_pixels_are_those_of_the_c_loop(run, mode):
    printed = run(mode, "--rounds", 1, "--pictures", "face 32")
    equal, cases = re.search(r"equal to the C loop's in (\d+) of (\d+)", printed).groups()
    assert equal == cases
    assert {"mozcodec", "Pillow", "OpenCV", "the C loop itself, once more"} <= set(rows_of(printed))


def test_a_goal_is_met_or_missed_by_the_number_beside_it(run, tmp_path):
    target = tmp_path / "report.md"
    run("eighth", "--rounds", 1, "--pictures", "face 256", "--markdown", target)
    mozcodec = rows_of(target.read_text())["mozcodec"]
    assert mozcodec[-1] == ("≤ 0.25 met" if float(mozcodec[1]) <= 0.25 else "≤ 0.25 **missed**")


def test_the_documents_have_the_places_that_a_run_writes_to():
    begin, end = "<!-- written by benchmark.py --docs -->", "<!-- end of what benchmark.py wrote -->"
    root = PACKAGE.parents[1]
    for page in (PACKAGE / "README.md", BENCHMARKS / "results.md", root / "docs" / "results.md", root / "README.md"):
        text = page.read_text(encoding="utf-8")
        assert (text.count(begin), text.count(end)) == (1, 1), page
        assert "CPU time" in text[text.index(begin) : text.index(end)], page


def test_all_documents_have_the_same_numbers():
    """Each number of the README files is in the table that the benchmarks wrote, with the same commit."""
    root = PACKAGE.parents[1]
    results = (BENCHMARKS / "results.md").read_text(encoding="utf-8")
    row = next(line for line in results.splitlines() if line.startswith("| mozcodec | "))
    _, _, _, ratio, _, spread, *_ = (cell.strip() for cell in row.split("|"))
    commit = re.search(r"commit `(\w+)`", results)[1]
    front = (root / "README.md").read_text(encoding="utf-8")
    assert f"in {ratio} of mozjpeg's CPU time" in front
    assert f"range {spread}, commit `{commit}`" in front
    package = (PACKAGE / "README.md").read_text(encoding="utf-8")
    assert f"| **{ratio}** | {spread} |" in package and f"commit `{commit}`" in package
    assert f"| {ratio} |" in (root / "docs" / "results.md").read_text(encoding="utf-8")
    seventh = {"a fifth": 5, "a sixth": 6, "a seventh": 7, "an eighth": 8}
    (share,) = (n for words, n in seventh.items() if f"in {words} of mozjpeg's time" in package.replace("\n", " "))
    assert round(1 / float(ratio)) == share
    for cells in (line.split("|") for line in package.splitlines() if line.startswith("| ") and "mozjpeg" not in line):
        numbers = re.fullmatch(r" (\d\.\d{3}) ", cells[2])
        if numbers and "image of" not in cells[1]:
            assert numbers[1] in results, cells


def test_each_goal_has_the_time_of_ours_over_the_references(programs):  # noqa: ARG001
    command = [sys.executable, str(BENCHMARKS / "goals.py"), "optimize", "plain", "--rounds", "1", "--no-counters"]
    done = subprocess.run([*command, "--pictures", "face 32"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    table = rows_of(done.stdout)
    assert list(table) == ["lossless optimisation", "plain 4:2:0 encode of q75"]
    assert table["lossless optimisation"][0] == "4 x 1"
    for row in table.values():
        assert re.fullmatch(r"[\d.]+ (met|\*\*missed\*\*)", row[3])
        ratio, goal = float(row[1]), float(row[3].split()[0])
        assert ("met" in row[3].split()) == (ratio <= goal)


CALLGRIND = """version: 1
desc: Trigger: Client Request: encode|ours|10|case
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw Bc Bcm Bi Bim

fn=choose
10 100 9 9 0 2 1 0 0 0 9 3 1 1
cfn=count'2
calls=5 20
11 900 0 0 0 9
+1 50

fn=count'2
20 7 0 0 0 1
fn=count.loop
* 3
"""


def test_counters_are_those_of_each_function_alone():
    callgrind = load(BENCHMARKS / "callgrind.py")
    label, found = callgrind.parse(CALLGRIND)
    assert label == "encode|ours|10|case"
    assert found == {"choose": callgrind.Counts(150, 4, 3), "count": callgrind.Counts(10, 0, 1)}
