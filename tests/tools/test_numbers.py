"""A number that occurs in several documents is the same in all of them, and in the file that it comes from."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONT = (ROOT / "README.md").read_text(encoding="utf-8")
START = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
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


def test_the_table_of_the_start_page_is_that_of_make_seeds() -> None:
    runs = {
        (trained, tested): interval(auc)
        for model, trained, _, tested, auc, *_ in table(RESULTS, "## Detection by model")
        if model == "meso4"
    }
    names = {"uncompressed": "raw", "drop from 77 to 10": "drop 77 -> 10"}
    rows = table(START, "| tested at JPEG quality |")
    assert len(rows) == 6
    for tested, at_77, at_10 in rows:
        condition = names.get(tested, tested)
        assert [at_77, at_10] == [runs["77", condition], runs["10", condition]]
    commit = re.search(r"commit `(\w+)`, `make seeds`", START)
    assert commit and f"commit `{commit[1]}`, command: `make seeds`" in RESULTS


def test_the_models_of_the_front_page_are_those_of_make_models() -> None:
    found = [
        [f"{name} ({side} pixels)", start, f"{steps.split()[0]}, {cpu}, {len(seeds.split(','))}",
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
    shown = {
        "lowest cell": auc["worst"],
        "balanced accuracy over all conditions, one threshold from validation": found["bacc"],
        "lowest specificity": found["min_tnr"],
        "lowest sensitivity": found["min_tpr"],
    }
    for name, value in shown.items():
        (row,) = (cell for what, cell in rows.items() if what.partition(" (")[0] == name)
        assert row.startswith(f"{short(value)} [")
    section = " ".join(RESULTS[RESULTS.index("Frame AUC of the default run") :].split())
    assert f"77 {short(auc['q77'])} [" in section and f"10 {short(auc['q10'])} [" in section


def test_the_output_of_the_front_page_is_that_of_the_committed_metrics() -> None:
    auc = json.loads((ROOT / "out" / "headline.json").read_text(encoding="utf-8"))["auc"]
    lines = re.search(r"^\$ make repro\n(.*?)```", FRONT, re.DOTALL | re.MULTILINE)[1].splitlines()[1:]  # type: ignore[index]
    assert set(lines) <= set(RESULTS.splitlines())  # with spaces
    for condition in ("77", "10"):
        (line,) = (line for line in lines if line.startswith(f"{condition} "))
        assert re.findall(r"[\d.]+", line)[1] == f"{auc[f'q{condition}']:.3f}"


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


# -- every measured number has a source --------------------------------------------------------------------------------

LIST = tomllib.loads((Path(__file__).parent / "numbers.toml").read_text(encoding="utf-8"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += [*ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/**/*.md")]
NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
UNIT = (
    r"%|times\b|[mµn]s\b|s\b|(?:milli|micro)?seconds?\b|minutes?\b|hours?\b|[kKMGT]i?B\b|dB\b|bytes? (?:a|per)\b|"
    r"degrees\b|levels? on average|images a\b|of \d|files\b|crops\b"
)
MEASURED = re.compile(
    rf"(?<![\w.:/#+-]){NUMBER}(?:\s*(?:to|and|/|±|\.\.)\s*{NUMBER})*\s+(?:{UNIT})"
    r"|(?<![\w:/.])(?:\d[\d,]*)?\.\d+(?!\w|\.\w)"
)


def blank(text: str, pattern: str) -> str:
    """Return *text* with every match of *pattern* replaced by as many spaces; line breaks stay."""
    return re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL | re.MULTILINE)


def words(text: str) -> str:
    return " ".join(text.split())


def unlisted(text: str, listed: list[str]) -> list[str]:
    """Return what looks like a measured number in the Markdown *text*, outside of the phrases *listed*.

    Not read: parts between the marks of a program, code (the output of a console is read), and the tables that tests
    above compare.
    """
    text = blank(text, r"<!-- (?:written by|table of).*?<!-- end.*?-->")
    text = blank(text, r"^ *```(?:python|pycon)\n.*?^ *```$")
    text = blank(text, r"(?<!`)`[^`\n]+`(?!`)")
    text = blank(text, r"\b(?:C?Python|CMake|NumPy|mozjpeg|cjpeg|jpegio|libjpeg|Keras) \d+(?:\.\d+)*")
    text = blank(text, r"\b9[05] % (?=intervals?\b|by\b)")  # the confidence
    for phrase in listed:
        pattern = r"\s+".join(re.escape(word) for word in blank(phrase, r"`[^`\n]+`").split())
        text = blank(text, pattern)
    found = []
    for match in MEASURED.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(f"line {line}: {words(text[max(0, match.start() - 40) : match.end() + 20])}")
    return found


CITING = ("docs/decisions/", "docs/explanations/")  # their numbers are those of the sections that they link to


def cited(text: str, path: Path) -> set[float]:
    """Return all numbers of the pages of results, or the sections of them, that the page *text* at *path* links to."""
    numbers: set[float] = set()
    for target, _, anchor in re.findall(r"\]\(([\w./-]+\.md)(#([\w-]+))?\)", text):
        page = (path.parent / target).resolve()
        if page.relative_to(ROOT).as_posix() not in LIST["results"]["pages"]:
            continue
        found = page.read_text(encoding="utf-8")
        if anchor:
            headings = [(m.start(), slug(m[1])) for m in re.finditer(r"^## (.+)$", found, re.MULTILINE)]
            (place,) = (i for i, (_, name) in enumerate(headings) if name == anchor)
            found = found[headings[place][0] : headings[place + 1][0] if place + 1 < len(headings) else None]
        numbers |= {abs(float(number.replace(",", ""))) for number in re.findall(NUMBER, found)}
    return numbers


def slug(title: str) -> str:
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower()))


def blank_cited(text: str, path: Path) -> str:
    """Return *text* without the measured numbers that stand in the sections it links to."""
    known = cited(text, path)

    def replaced(match: re.Match[str]) -> str:
        numbers = [float(number.replace(",", "")) for number in re.findall(NUMBER, match[0])]
        return "".join("\n" if c == "\n" else " " for c in match[0]) if set(numbers) <= known else match[0]

    return MEASURED.sub(replaced, text)


def test_a_number_that_the_linked_section_lacks_is_found() -> None:
    page = ROOT / "docs" / "decisions" / "page.md"
    link = "([results](../results.md#fidelity-of-the-crops))"
    assert unlisted(blank_cited(f"37.77 dB and .9646 {link}\n", page), []) == []
    assert unlisted(blank_cited(f"37.78 dB {link}\n", page), [])
    assert unlisted(blank_cited("37.77 dB ([results](../results.md#exact-resume))\n", page), [])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_measured_number_has_a_source(path: Path) -> None:
    """Measured numbers stand in the pages of results; `numbers.toml` lists all others with their source or reason."""
    name = path.relative_to(ROOT).as_posix()
    if name in LIST["results"]["pages"]:
        return
    text = path.read_text(encoding="utf-8")
    for section in LIST["results"]["sections"].get(name, []):
        text = blank(text, rf"^{re.escape(section)}$.*?(?=^#|\Z)")
    for header in LIST["compared"].get(name, []):
        text = blank(text, rf"^{re.escape(header)}.*\n(?:\|.*\n)+".replace(".*", "[^\n]*"))
    listed = [row["text"] for row in LIST["quoted"] + LIST["fixed"] if row["document"] == name]
    if name.startswith("docs/tutorials/"):  # test_tutorials.py compares the outputs
        text = blank(text, r"^```\w+\n.*?^```$")
    if name.startswith(CITING):
        text = blank_cited(text, path)
    assert unlisted(text, listed) == [], "quote it from a page of results or link there, and list it in numbers.toml"


@pytest.mark.parametrize("row", LIST["quoted"], ids=lambda row: f"{row['document']}: {row['text'][:40]}")
def test_a_quoted_number_is_that_of_its_source(row: dict[str, str]) -> None:
    assert words(row["text"]) in words((ROOT / row["document"]).read_text(encoding="utf-8"))
    assert words(row["as"]) in words((ROOT / row["source"]).read_text(encoding="utf-8"))

    def numbers(text: str) -> set[float]:
        return {float(number.replace(",", "")) for number in re.findall(NUMBER, text)}

    given = row.get("given", "")  # numbers of the phrase that are conditions, not results
    assert numbers(row["text"]) - numbers(given) <= numbers(row["as"])


@pytest.mark.parametrize("row", LIST["fixed"], ids=lambda row: f"{row['document']}: {row['text'][:40]}")
def test_a_number_that_is_not_measured_has_a_reason(row: dict[str, str]) -> None:
    assert words(row["text"]) in words((ROOT / row["document"]).read_text(encoding="utf-8"))
    assert row["reason"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Meso4 has an AUC of .734 here.",
        "It takes 12 seconds.",
        "It is 3 times faster.",
        "Decoding takes 0.21 of the time.",
        "Half a page, 4.2 MB.",
        "23 % of the faces are lost.",
        "```console\n$ tool\nscore 0.754\n```",
        "Detected at rolls from -45 to 50 degrees.",
        "2,292 bytes per face",
        "5 of 7 files are found.",
    ],
)
def test_a_new_measured_number_is_found(sentence: str) -> None:
    assert unlisted(sentence, [])
    assert not unlisted("Version 3.11.2, `0.5`, quality 77, ISO 10918-1, 4:2:0 and 5.0.0\n", [])


def test_the_counts_of_the_sample_are_those_of_data_dvc() -> None:
    tracked = (ROOT / "data.dvc").read_text(encoding="utf-8")
    size, files = (int(re.search(rf"{name}: (\d+)", tracked)[1]) for name in ("size", "nfiles"))  # type: ignore[index]
    text = (ROOT / "docs" / "sample.md").read_text(encoding="utf-8")
    videos, lists, megabytes = re.search(r"([\d,]+) files and (\d+) JSON files, ([\d.]+) MB", text).groups()  # type: ignore[union-attr]
    assert int(videos.replace(",", "")) + int(lists) == files
    assert float(megabytes) == round(size / 1e6, 2)


def test_the_errors_of_forensics_follow_from_the_tables() -> None:
    rows = table(RESULTS, "**Who encoded it**")
    assert all(family == f"{files}/{files}" for _, files, family, *_ in rows)
    qualities = [tuple(map(int, cell.split("/"))) for _, _, _, cell, *_ in rows if cell != "-"]
    right, tried = (sum(column) for column in zip(*qualities, strict=True))
    alarms = table(RESULTS, "**False alarms on images that were not used to choose thresholds**")
    once = [row for row in alarms if row[0].endswith(", once")]
    count, found = (sum(int(row[i]) for row in once[1:]) for i in (1, 2))
    assert [str(count), str(found)] == once[0][1:3]
    text = (ROOT / "docs" / "forensics.md").read_text(encoding="utf-8")
    assert f"{sum(int(row[1]) for row in rows):,} files of {len(rows)} encoders and settings: no family wrong" in text
    assert f"{tried - right} of {tried:,} wrong" in text
    assert f"{found} of {count} single compressions" in text


def test_the_number_of_main_metrics_is_that_of_the_committed_file() -> None:
    def leaves(value: object) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) else int(not isinstance(value, str))

    count = leaves(json.loads((ROOT / "out" / "headline.json").read_text(encoding="utf-8")))
    for document in ("docs/pipeline.md", "docs/architecture.md", "docs/evaluation.md"):
        text = blank((ROOT / document).read_text(encoding="utf-8"), r"<!-- written by.*?<!-- end.*?-->")
        assert {int(n) for n in re.findall(r"\b(\d+)(?: main)? numbers\b", text)} == {count}


def test_the_first_sentence_of_mozcodec_is_that_of_its_table() -> None:
    text = (ROOT / "packages" / "mozcodec" / "README.md").read_text(encoding="utf-8")
    share = float(re.search(r"\*\*`mozcodec.encode`\*\* \| \*\*([\d.]+)\*\*", text)[1])  # type: ignore[index]
    names = {6: "sixth", 7: "seventh", 8: "eighth"}
    assert f"in a {names[round(1 / share)]} of mozjpeg's time" in words(text)
