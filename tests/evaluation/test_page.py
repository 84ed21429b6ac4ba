"""The page in a real Chromium: contents, sorting, keyboard, accessibility, phones, dark colours, print."""

import csv
import importlib.util
import io
import re
import shutil
import subprocess
import unicodedata

import pytest
from click.testing import CliRunner

from evaluation import page
from evaluation.cli import main
from tools.browser import Browser, axe_source, browser

CONDITIONS = {
    "raw": 1.6, "77": 1.4, "60": 1.2, "15": 0.5, "10": 0.2, "turbo:77": 1.4, "turbo:60": 1.2, "turbo:15": 0.6,
    "turbo:10": 0.3, "turbo:90>resize:0.5>moz:60/4:2:0": 0.8,
}  # fmt: skip
SCHEMES = {"light": {}, "dark": {"dark": True}, "phone": {"width": 400, "height": 800, "mobile": True}}


# -- without a browser -------------------------------------------------------------------------------------------------


def test_a_table_is_html_markdown_and_csv():
    block = page.table("t", "Two | rows", ["condition", "AUC", "where"], [["raw", "0.812 [0.7, 0.9]", "<b>"]], "Note.",
                       text=(2,), foot=[["drop", "-", ""]])  # fmt: skip
    assert block.html.count("<caption>") == 1
    assert '<th scope="col">AUC</th>' in block.html
    assert '<th scope="row">raw</th><td>0.812<i>[0.7, 0.9]</i></td><td class="text">&lt;b&gt;</td>' in block.html
    assert "**Two \\| rows** ([t.csv](tables/t.csv))" in block.markdown
    assert "| raw | 0.812 [0.7, 0.9] | &lt;b> |" in block.markdown
    rows = list(csv.reader(io.StringIO(block.tables[0].csv())))
    assert rows == [["condition", "AUC", "AUC lo", "AUC hi", "where"], ["raw", "0.812", "0.7", "0.9", "<b>"],
                    ["drop", "", "", "", ""]]  # fmt: skip


@pytest.mark.parametrize("columns", [2, 12, 13, 52, 100])
def test_wide_tables_are_split_and_no_column_is_lost(columns):
    header = [f"c{i}" for i in range(columns)]
    block = page.table("t", "Wide", header, [[f"v{i}" for i in range(columns)]])
    parts = block.html.split("<table")[1:]
    shown = [re.findall(r'<th scope="col">(\w+)</th>', part) for part in parts]
    assert all(len(part) <= page.COLUMNS and part[0] == "c0" for part in shown)
    assert [name for part in shown for name in part[1:]] == header[1:]
    assert len(block.tables) == 1


def test_markup_in_texts_is_not_markup_in_the_page():
    evil = "<script>alert(1)</script> [a](javascript:b) *c* `d`"
    for block in (page.paragraph(evil), page.items([evil]), page.note(evil), page.table("t", evil, [evil], [[evil]])):
        assert "<script" not in block.html + block.markdown
        assert "](javascript" not in block.markdown
        assert "*c*" not in block.markdown.replace("\\*c\\*", "")


def test_images_of_a_section_have_a_limit():
    assert page.fitting([]) == 0
    assert page.fitting([10**9, 1]) == 1
    assert page.fitting([page.IMAGE_BYTES // 2] * 5) == 2


# -- in Chromium -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(tmp_path_factory, rows_of, write_table, make_sources):
    """A page with ten conditions, one of them with a long name."""
    if browser() is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("page")
    rows = rows_of(pairs=3, val_pairs=2, frames=2, conditions=CONDITIONS)
    sources = make_sources(folder, write_table(folder / "scores.csv", rows))
    result = CliRunner().invoke(main, ["report", str(folder / "out"), *map(str, sources)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "out" / "index.html"


@pytest.fixture(scope="module")
def chromium(report):  # noqa: ARG001 - skips first where there is no Chromium
    with Browser() as found:
        yield found


def test_every_line_of_the_contents_leads_to_its_section(report, chromium):
    chromium.open(report)
    links = chromium.run("[...document.querySelectorAll('nav a')].map(a => [a.getAttribute('href'), a.textContent])")
    headings = chromium.run("[...document.querySelectorAll('section > h2')].map(h => ['#' + h.id, h.textContent])")
    assert links == headings
    assert len(links) > 8
    chromium.run("document.querySelector('nav li:last-child a').click()")
    place = chromium.run("document.querySelector(location.hash).getBoundingClientRect().top")
    assert 0 <= place < 900


COLUMN = "[...table.tBodies[0].rows].map(r => r.cells[{}].firstChild.textContent)"


def test_a_click_sorts_a_table_by_number_and_the_third_restores_it(report, chromium):
    chromium.open(report)
    chromium.run("var table = document.querySelector('table[data-sort]:has(tfoot)'); 0")
    original = chromium.run(COLUMN.format(0))
    values = chromium.run(COLUMN.format(1))
    assert len(values) == len(CONDITIONS)
    states = []
    for _ in range(3):
        chromium.run("table.tHead.rows[0].cells[1].querySelector('button').click()")
        states.append((chromium.run("table.tHead.rows[0].cells[1].ariaSort"), chromium.run(COLUMN.format(1))))
    numbers = sorted(values, key=float)
    assert states == [("ascending", numbers), ("descending", numbers[::-1]), ("none", values)]
    assert chromium.run(COLUMN.format(0)) == original
    assert chromium.run("table.tFoot.rows[0].cells[0].textContent").startswith("drop")


def test_the_keyboard_reaches_and_sorts_tables(report, chromium):
    chromium.open(report)
    chromium.press("Tab")
    assert chromium.run("document.activeElement.className") == "skip"
    for _ in range(80):
        chromium.press("Tab")
        if chromium.run("document.activeElement.matches('th button')"):
            break
    assert chromium.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chromium.press("Enter")
    assert chromium.run("document.activeElement.closest('th').ariaSort") == "ascending"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(report, chromium, scheme):
    try:
        axe = axe_source()
    except OSError as error:
        pytest.skip(f"no axe-core: {error}")
    chromium.open(report, **SCHEMES[scheme])
    chromium.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    chromium.run(f"{axe}; 0")
    found = chromium.run("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))]))")
    assert found == []


def test_dark_colours_are_used_by_page_and_figures(report, chromium):
    colors = {}
    for scheme in ("light", "dark"):
        chromium.open(report, **SCHEMES[scheme])
        colors[scheme] = chromium.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
            " getComputedStyle([...document.querySelectorAll('figure svg text')][0]).fill]"
        )
    assert all(a != b for a, b in zip(colors["light"], colors["dark"], strict=True)), colors
    assert colors["dark"][1] == colors["dark"][2]


def test_a_phone_shows_the_page_without_overflow_and_says_what_scrolls(report, chromium):
    chromium.open(report, **SCHEMES["phone"])
    assert chromium.run("document.documentElement.scrollWidth") == 400
    hidden = chromium.run(
        "[...document.querySelectorAll('.scroll')].filter(a => a.checkVisibility())"
        ".map(a => [a.scrollWidth > a.clientWidth + 2, a.hasAttribute('data-more'),"
        " getComputedStyle(a, '::before').content])"
    )
    assert any(more for more, _, _ in hidden)
    for more, said, content in hidden:
        assert (more, "scroll sideways" in content) == (said, said)
    outside = chromium.run(
        "[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('.scroll, svg')"
        " && e.getBoundingClientRect().right > 401).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


def test_the_page_needs_no_network_and_makes_no_error(report, chromium):
    chromium.open(report)
    assert chromium.errors == []
    assert chromium.run("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0


def test_the_policy_refuses_any_other_script(report, chromium, tmp_path):
    other = tmp_path / "index.html"
    other.write_text(report.read_text().replace("</main>", "</main><script>document.title = 'run'</script>"))
    chromium.open(other)
    assert chromium.run("document.title") != "run"
    assert chromium.run("document.querySelectorAll('th button').length") > 0


@pytest.fixture(scope="module")
def printed(report, chromium, tmp_path_factory):
    """The page as PDF."""
    if shutil.which("pdftotext") is None and importlib.util.find_spec("pypdf") is None:
        pytest.skip("neither pdftotext nor pypdf is installed")
    chromium.open(report)
    path = tmp_path_factory.mktemp("pdf") / "page.pdf"
    path.write_bytes(chromium.pdf())
    return path


def pages(path):
    """The text of each page."""
    if shutil.which("pdftotext"):
        done = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True)
        return done.stdout.decode().split("\f")[:-1]
    from pypdf import PdfReader

    return [one.extract_text() for one in PdfReader(path).pages]


def squeezed(text):
    """The text without white space and ligatures."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_print_has_every_column_of_every_table(report, printed):
    """Of each table: every word of every header and cell, read back from the PDF; long ones may be broken."""
    text = squeezed("".join(pages(printed)))
    files = sorted((report.parent / "tables").glob("*.csv"))
    assert len(files) > 10
    for path in files:
        rows = list(csv.reader(path.read_text().splitlines()))
        names = [re.sub(r" (lo|hi)$", "", name) for name in rows[0]]
        for cell in [*names, *(cell for row in rows[1:] for cell in row)]:
            for word in cell.split():
                assert word[:12] in text, (path.name, cell)


def test_nothing_is_cut_at_the_edge_of_the_printed_page(report, chromium):
    """At the width of the printed area no table, figure or text is wider than the page."""
    chromium.open(report, width=703, height=1000)        # 186 mm at 96 dots per inch
    chromium.send("Emulation.setEmulatedMedia", media="print")
    chromium.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    wide = chromium.run(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('svg') || e.tagName === 'svg')"
        ".filter(e => e.getBoundingClientRect().right > 704).map(e => e.outerHTML.slice(0, 120))"
    )
    assert wide == []


def test_print_opens_folded_parts_and_keeps_headings_with_what_follows(printed, chromium):
    found = pages(printed)
    assert squeezed("All cells with their intervals") in squeezed("".join(found))
    assert squeezed("model.parameters.train.lr") in squeezed("".join(found))
    titles = chromium.run("[...document.querySelectorAll('section > h2, h3')].map(h => h.textContent)")
    for one in found:
        lines = [line.strip() for line in one.splitlines() if line.strip()]
        assert lines, "an empty page"
        assert lines[-1] not in titles


@pytest.mark.trial(minutes=2)
def test_a_page_of_nine_conditions_and_fifty_methods_stays_below_5_mb(tmp_path, rows_of, write_table, make_sources):
    conditions = {name: value for name, value in CONDITIONS.items() if ">" not in name}
    methods = [f"method{i}" for i in range(50)]
    rows = rows_of(pairs=3, val_pairs=1, frames=4, conditions=conditions, methods=methods)
    sources = make_sources(tmp_path, write_table(tmp_path / "scores.csv", rows))
    result = CliRunner().invoke(main, ["report", str(tmp_path / "out"), *map(str, sources)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "out" / "index.html").read_text()
    assert len(html.encode()) < 5e6
    assert all(f"method{i}" in html for i in range(50))
