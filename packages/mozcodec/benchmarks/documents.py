"""Writes the numbers of a run into the documents, between two marks; the rest of a page is written by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

from contenders import MOZCODEC, OWN_C, Loaded
from floor import PACKAGE
from tables import Figures, Finding, Table, markdown

MARKS = "<!-- written by benchmark.py --docs -->", "<!-- end of what benchmark.py wrote -->"
README, RESULTS = PACKAGE / "README.md", PACKAGE / "benchmarks" / "results.md"
FRONT, SUMMARY = PACKAGE.parents[1] / "README.md", PACKAGE.parents[1] / "docs" / "results.md"
HEADLINE = {
    f"{MOZCODEC}: MOZCODEC_CPU=baseline": "the same on a processor without AVX2 (`MOZCODEC_CPU=baseline`)",
    f'{MOZCODEC}: engine="library"': '`mozcodec.encode(engine="library")`',
    "cjpeg, a process and files: mozjpeg": "`cjpeg`, a process for each image, through files",
    f"{OWN_C}: as libjpeg-turbo, progressive": "libjpeg-turbo's progressive encoder, C loop over the same build",
    f"{OWN_C}: as libjpeg-turbo, optimised": "libjpeg-turbo's baseline with optimal tables, the same",
}
Tables = Mapping[str, Table | Figures]


def origin(about: Mapping[str, str]) -> str:
    """Return a sentence with the conditions of the measurement."""
    machine = f"{about['cores']} cores of an {about['cpu']}, {about['system']}, Python {about['python']}"
    when = f"{about['date']}, commit `{about['commit']}`, module `{about['module']}`, load {about['load']} at the start"
    return f"{when}; {machine}; command: `{about['command']}`."


def headline(tables: Tables, loaded: Mapping[str, Loaded], about: Mapping[str, str]) -> str:
    """Return the README's table: mozcodec with cjpeg's bytes, and the smallest files of other libraries."""
    table = tables["encode"]
    if not isinstance(table, Table):
        raise TypeError("encode gives a table of ratios")
    lines = []
    for column in table.columns():
        name, _, form = column.partition(":")
        label = HEADLINE.get(column, f"{name} {loaded[name].version}:{form}")
        mean, size = f"{table.mean(column).median:.3f}", f"{table.size(column):.2f}"
        if column == MOZCODEC:
            lines.append(("**`mozcodec.encode`**", f"**{mean}**", table.range(column), size))
        else:
            lines.append((label, mean, table.range(column), size))
    plain = f"{OWN_C}: as libjpeg-turbo, progressive"
    share = table.mean(MOZCODEC).median / table.mean(plain).median
    pictures = {row.case.rpartition(" ")[0] for row in table.rows}
    said = (
        f"The smallest files thus take {share:.2f} of the time of libjpeg-turbo's progressive encoder, whose files are "
        f"{table.size(plain):.2f} times as large.\nGeometric means over {len(table.rows)} cases, {len(pictures)} "
        f"images at qualities 77, 60, 15 and 10, bytes equal to the C loop's in "
        f"{sum(bool(row.same) for row in table.rows)}; {table.rounds} interleaved rounds."
    )
    head = ("CPU time for one image, from Python", "C loop over libmozjpeg = 1", "range", "bytes")
    return "\n\n".join([markdown(head, lines), said, origin(about)])


def front(tables: Tables, loaded: Mapping[str, Loaded], about: Mapping[str, str]) -> str:  # noqa: ARG001
    """Return the sentence of the repository's README."""
    table = tables["encode"]
    if not isinstance(table, Table):
        raise TypeError("encode gives a table of ratios")
    ratio, cases = f"{table.mean(MOZCODEC).median:.3f}", f"{len(table.rows)} image-quality pairs"
    return (
        f"`mozcodec.encode` writes mozjpeg's bytes in {ratio} of mozjpeg's CPU time\n"
        f"({cases}, range {table.range(MOZCODEC)}, commit `{about['commit']}`)."
    )


def findings(tables: Tables) -> list[Finding]:
    """Return the measurements that have goals."""
    return [finding for table in tables.values() for finding in table.findings()]


def summary(tables: Tables, loaded: Mapping[str, Loaded], about: Mapping[str, str]) -> str:
    """Return the measurements that have goals, and the versions of the other libraries."""
    beside = "; ".join(f"{name} {one.version}" for name, one in loaded.items() if name != MOZCODEC)
    table = markdown(Finding.HEAD, [finding.cells() for finding in findings(tables)])
    unit = (
        "CPU time over a C loop's over the same build of mozjpeg, called from Python with `threads=1`, unless said\n"
        "otherwise; n = cases x rounds, measured = geometric mean over the cases of the median over the rounds."
    )
    return f"{unit}\n\n{table}\n\nOther libraries: {beside}.\n\n{origin(about)}"


def full(tables: Tables, loaded: Mapping[str, Loaded], about: Mapping[str, str]) -> str:
    """Return every table."""
    return "\n\n".join([origin(about), *(table.markdown(loaded) for table in tables.values())])


def write(tables: Tables, loaded: Mapping[str, Loaded], about: Mapping[str, str]) -> None:
    """Write the numbers to the README.md files, benchmarks/results.md and docs/results.md; other lines stay."""
    texts = {make: make(tables, loaded, about) for make in (headline, full, summary, front)}
    for page, make in ((README, headline), (RESULTS, full), (SUMMARY, summary), (FRONT, front)):
        put(page, texts[make])


def put(page: Path, text: str) -> None:
    """Replace the text between the marks of *page*."""
    begin, end = MARKS
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    before = page.read_text(encoding="utf-8")
    after, count = pattern.subn(lambda _: f"{begin}\n\n{text}\n\n{end}", before)
    if count != 1:
        raise SystemExit(f"{page} must have the marks {begin} and {end} once, has them {count} times")
    page.write_text(after, encoding="utf-8")
