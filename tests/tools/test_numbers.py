"""A number that occurs in several documents is the same in all of them, and in the file that it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONT = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
DETECTOR = (ROOT / "packages" / "detector" / "README.md").read_text(encoding="utf-8")


def table(text: str, start: str) -> list[list[str]]:
    """Return the rows of the first Markdown table after *start*, without its header."""
    lines = text[text.index(start) :].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first + 2 : last]]


def short(number: str | float) -> str:
    """Return a number as the documents write it: ``.831``."""
    return f"{float(number):.3f}".replace("0.", ".", 1)


def interval(text: str) -> str:
    """Return ``.831 [.755, .897]`` for ``0.831 ± 0.006 [0.755, 0.897]``."""
    value, lo, hi = re.fullmatch(r"(\S+) ± \S+ \[(\S+), (\S+)\]", text).groups()  # type: ignore[union-attr]
    return f"{short(value)} [{short(lo)}, {short(hi)}]"


def test_the_table_of_the_front_page_is_that_of_make_seeds() -> None:
    runs = {
        (trained, tested): interval(auc)
        for model, trained, _, tested, auc, *_ in table(RESULTS, "## Detection by model")
        if model == "meso4"
    }
    names = {"uncompressed": "raw", "drop from 77 to 10": "drop 77 -> 10"}
    rows = table(FRONT, "| tested at JPEG quality |")
    assert len(rows) == 6
    for tested, at_77, at_10 in rows:
        condition = names.get(tested, tested)
        assert [at_77, at_10] == [runs["77", condition], runs["10", condition]]
    commit = re.search(r"commit `(\w+)`, `make seeds`", FRONT)
    assert commit and f"commit `{commit[1]}`, command: `make seeds`" in RESULTS


def test_the_models_of_the_front_page_are_those_of_make_models() -> None:
    found = [
        [f"{name} ({side} pixels)", start, f"{steps.split()[0]}, {cpu}, {seeds}",
         *(cell.partition(" (")[0] for cell in figures[:3])]
        for name, start, side, steps, seeds, cpu, *figures in table(RESULTS, "<!-- table of make models -->")
    ]  # fmt: skip
    assert table(FRONT, "| model | weights at the start |") == found


def test_the_lowest_cells_of_the_front_page_are_those_of_the_results() -> None:
    lowest = next(row for row in table(RESULTS, "## Real faces and fakes") if row[0] == "lowest cell")
    random, paper = (re.match(r"\S+ \[\S+ \S+\]", cell)[0] for cell in lowest[1:])  # type: ignore[index]
    text = " ".join(FRONT.split())
    assert f"AUC under the paper's protocol is {paper}" in text
    assert f"pairs of histories is {random}" in text


def test_the_results_of_the_default_run_are_those_of_the_committed_metrics() -> None:
    """After `make repro` has changed out/headline.json, update the section of docs/results.md."""
    found = json.loads((ROOT / "out" / "headline.json").read_text(encoding="utf-8"))
    rows = {what: random for what, random, _ in table(RESULTS, "## Real faces and fakes")}
    auc = found["auc"]

    def shown(values: dict[str, float], name: str) -> str:
        return f"{short(values[name])} [{short(values[name + '_lo'])}, {short(values[name + '_hi'])}]"

    assert rows["lowest cell"].startswith(shown(auc, "worst"))
    balanced = "balanced accuracy over all conditions, one threshold from validation"
    assert rows[balanced] == shown(found, "balanced_accuracy")
    section = " ".join(RESULTS[RESULTS.index("Frame AUC of the default run") :].split())
    assert f"77 {short(auc['q77'])} [" in section and f"10 {short(auc['q10'])} [" in section


@pytest.mark.parametrize("method", ["original", "Deepfakes"])
def test_the_counts_of_the_session_in_the_readme_follow_from_the_sample(method: str) -> None:
    pairs = [22, 4, 12]  # of the sample: train, val, test
    assert f"split {' / '.join(map(str, pairs))} into" in (ROOT / "docs" / "sample.md").read_text(encoding="utf-8")
    frames = {"original": 16, "Deepfakes": 8}
    parameters = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert f"frames_real: {frames['original']}" in parameters and f"frames_fake: {frames['Deepfakes']}" in parameters
    videos = [2 * n for n in (*pairs, sum(pairs))]
    (line,) = (line for line in DETECTOR.splitlines() if line.startswith(f"{method}  "))
    assert line.split()[1:] == " ".join(f"{n} / {n * frames[method]}" for n in videos).split()
    members = sum(videos[:2]) * (frames["original"] + 4 * frames["Deepfakes"])
    assert f"{members} members checked" in DETECTOR
