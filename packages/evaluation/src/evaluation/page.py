"""The parts of the page: text, tables, figures. Each is made once, as HTML for the page and as Markdown for report.md.

The page is one self-contained HTML file: figures are inline SVG or data URIs, the style and a small script (sorting,
scroll hints, printing) are inline, and the policy in its head allows nothing else.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from .printed import footnoted, split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .plots import Theme

__all__ = [
    "NOTHING",
    "Block",
    "Cell",
    "Entry",
    "Table",
    "cards",
    "chart",
    "contents",
    "data_uri",
    "details",
    "figure",
    "fitting",
    "heading",
    "heat",
    "items",
    "joined",
    "markdown",
    "note",
    "page",
    "paragraph",
    "section",
    "table",
]

Cell = str | tuple[str, str]           # text, or text and CSS
COLUMNS = 12                           # a wider table is split, so that a printed page holds every column
PRINT_SIZES = ((6, "8.5pt"), (9, "7pt"), (COLUMNS, "6pt"))           # columns up to which a printed size is used
LONG = 12                              # rows from which a printed table may be split between pages
IMAGE_BYTES = 1_700_000                # of one section; two of them, base64, keep the page below 5 MB
TABLES = "tables"                      # folder of the CSV files, beside the page

STYLE = """
:root { color-scheme:light dark; --paper:#fbfbf9; --card:#ffffff; --ink:#1d2530; --muted:#566173; --line:#e0e4e9;
  --accent:#1d5bb0; --warn:#fff6e0; --warn-line:#b98a1c; --heat:47,111,201; --real:#16407f; --fake:#d9730d;
  --from:#0b2348; --mid:#933370; --to:#d07a24; --f0:#12355b; --f1:#b3470f; --f2:#1b7f79; --f3:#8a5fbf; --f4:#7a6a00;
  --f5:#b8437f; --f6:#566173; --shade:rgba(29,37,48,.28);
  --font:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif; }
@media screen and (prefers-color-scheme: dark) { :root { --paper:#14181e; --card:#1b2129; --ink:#e5e9ef;
  --muted:#a6b0be; --line:#343d4a; --accent:#8ab6f7; --warn:#2c2615; --warn-line:#a8842c; --heat:95,150,230;
  --real:#a9cbff; --fake:#e07b1f; --from:#e8eefc; --mid:#e58fb0; --to:#b8651f; --f0:#bcd7ff; --f1:#f08a4b; --f2:#5cc8bf;
  --f3:#c3a3f0; --f4:#d3c24a; --f5:#f29ac6; --f6:#a6b0be; --shade:rgba(0,0,0,.7); } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.55 var(--font); }
main { max-width:62rem; margin:0 auto; padding:2.2rem 1.4rem 5rem; }
h1 { font-size:1.05rem; font-weight:600; color:var(--muted); margin:0 0 .7rem; letter-spacing:.01em; }
.answer { font-size:clamp(1.6rem,4vw,2.35rem); line-height:1.2; font-weight:700; letter-spacing:-.015em;
  margin:0 0 1rem; text-wrap:pretty; }
h2 { font-size:1.3rem; letter-spacing:-.01em; margin:3.2rem 0 .6rem; scroll-margin-top:1rem; }
h3 { font-size:1rem; margin:1.8rem 0 .4rem; }
p { max-width:46rem; margin:.5rem 0; overflow-wrap:anywhere; }
.lead { font-size:1.08rem; }
.small, figcaption, footer { font-size:.86rem; color:var(--muted); }
a { color:var(--accent); }
:focus-visible { outline:3px solid var(--accent); outline-offset:2px; }
.skip { position:absolute; left:-99rem; }
.skip:focus { left:1rem; top:.5rem; background:var(--card); padding:.4rem .8rem; z-index:2; }
nav { border-block:1px solid var(--line); margin:2rem 0 0; padding:.7rem 0; }
nav h2 { font-size:.9rem; margin:0 0 .3rem; color:var(--muted); letter-spacing:0; }
nav ol { columns:3 15rem; margin:0; padding-left:1.5rem; font-size:.92rem; }
nav li { break-inside:avoid; padding:.1rem 0; }
.note { background:var(--warn); border-left:4px solid var(--warn-line); padding:.75rem 1rem; border-radius:4px;
  margin:1.3rem 0; max-width:46rem; }
.note p { margin:.2rem 0; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(9.6rem,1fr)); gap:.8rem; margin:1rem 0 1.6rem;
  padding:0; list-style:none; }
.card { background:var(--card); border:1px solid var(--line); border-radius:8px; padding:.8rem 1rem; }
.card span { display:block; font-size:.82rem; color:var(--muted); font-variant-numeric:tabular-nums; }
.card b { display:block; font-size:1.75rem; font-weight:650; font-variant-numeric:tabular-nums; line-height:1.25; }
.scroll { overflow-x:auto; margin:1rem 0; }
.scroll[data-more] { border-right:2px solid var(--accent); box-shadow:inset -1.1rem 0 .8rem -.9rem var(--shade); }
.scroll[data-more]::before, .scroll[data-end]::before { content:"scroll sideways for more \\2192"; display:block;
  position:sticky; left:0; width:max-content; font-size:.8rem; color:var(--muted); }
.scroll[data-end]::before { content:"\\2190 scroll back"; }
table { border-collapse:collapse; font-size:.9rem; font-variant-numeric:tabular-nums; min-width:100%; }
caption { text-align:left; padding:0 .2rem .35rem; font-weight:600; font-size:.92rem; }
caption span { display:block; max-width:min(46rem,calc(100vw - 3.2rem)); position:sticky; left:0; }
.below { margin:-.6rem 0 1.4rem; max-width:60rem; }
th, td { padding:.36rem .55rem; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap; }
thead th { font-weight:600; color:var(--muted); vertical-align:bottom; white-space:normal; min-width:4.2rem; }
th:first-child, td:first-child { text-align:left; padding-left:.2rem; }
tbody th, tfoot th { font-weight:400; white-space:normal; overflow-wrap:anywhere; min-width:7.8rem; }
.text { text-align:left; white-space:normal; overflow-wrap:anywhere; min-width:8.2rem; }
tfoot th, tfoot td { border-top:2px solid var(--line); }
td i { font-style:normal; font-size:.86em; display:block; }
th button { font:inherit; color:inherit; background:none; border:0; padding:0; text-align:inherit; cursor:pointer; }
th button::after { content:"\\00a0\\2195"; opacity:.75; }
[aria-sort=ascending] button::after { content:"\\00a0\\2191"; opacity:1; }
[aria-sort=descending] button::after { content:"\\00a0\\2193"; opacity:1; }
figure { margin:1.2rem 0; background:var(--card); border:1px solid var(--line); border-radius:8px; padding:1rem; }
figure .scroll { margin:0; }
figure svg { display:block; width:100%; min-width:22rem; height:auto; max-height:46rem; }
figure svg.wide { min-width:40rem; }
figcaption { margin-top:.7rem; max-width:46rem; }
.faces { display:grid; grid-template-columns:repeat(var(--n),minmax(7.4rem,1fr)); gap:.7rem; margin:.3rem 0 1.2rem; }
.face img { width:100%; max-width:12rem; display:block; border-radius:4px; image-rendering:pixelated; }
.face b { display:block; font-size:.88rem; margin:.35rem 0 .05rem; overflow-wrap:anywhere; }
.face span { display:block; font-size:.8rem; line-height:1.4; color:var(--muted); font-variant-numeric:tabular-nums;
  overflow-wrap:anywhere; }
details { margin:.8rem 0; } summary { cursor:pointer; color:var(--accent); }
pre { white-space:pre-wrap; overflow-wrap:anywhere; font-size:.84rem; background:var(--card); padding:.7rem .9rem;
  border:1px solid var(--line); border-radius:6px; }
footer { margin-top:4rem; border-top:1px solid var(--line); padding-top:1rem; }
@page { size:A4; margin:14mm 12mm; }
@media print {
  body { background:#fff; font-size:10pt; } main { max-width:none; padding:0; }
  .skip, .scroll::before { display:none !important; }
  .scroll { overflow:visible !important; border:0 !important; box-shadow:none !important; }
  table { width:100%; font-size:var(--print,8.5pt); } tfoot { display:table-row-group; }
  th, td { white-space:normal; padding:.25rem .3rem; } thead th { min-width:0; }
  tbody th, tfoot th, .text { min-width:3.6rem; }
  th button::after { content:none; }
  caption span { max-width:none; position:static; }
  figure svg, figure svg.wide { min-width:0; max-height:11.5cm; }
  h2, h3, caption, summary, .before { break-after:avoid; } h2 { margin-top:1.6rem; } p { orphans:3; widows:3; }
  .below, figcaption { break-before:avoid; }
  figure, .card, .note, tr, .face, .short { break-inside:avoid; }
  .faces { grid-template-columns:repeat(min(var(--n),10),minmax(0,1fr)); gap:.35rem; } .face { max-width:3.4cm; }
  .face b { font-size:7pt; } .face span { font-size:6pt; }
  details::details-content { content-visibility:visible; display:block; height:auto; }
  summary { list-style:none; color:inherit; font-weight:600; } a { color:inherit; }
}
"""

# sorts tables (third click: the original order), says which elements scroll, opens folded parts for printing
SCRIPT = """
"use strict";
const number = text => /^[-+\\u2212]?(\\d|\\.\\d|\\u221e)/.test(text)
  ? parseFloat(text.replace("\\u2212", "-").replace(/,/g, "").replace("\\u221e", "1e999")) : NaN;
const plain = cell => [...cell.childNodes].filter(node => node.nodeName !== "I").map(node => node.textContent).join("")
  .trim();
for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0], original = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort];
      for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
      head.ariaSort = next;
      const texts = new Map(original.map(row => [row, plain(row.cells[column])]));
      const missing = row => ["", "-"].includes(texts.get(row));
      const numeric = original.every(row => missing(row) || !Number.isNaN(number(texts.get(row))));
      const sign = next === "descending" ? -1 : 1;
      const compared = (a, b) => numeric
        ? number(texts.get(a)) - number(texts.get(b))
        : texts.get(a).localeCompare(texts.get(b), "en", { numeric: true });
      const sorted = next === "none" ? original : [...original].sort((a, b) =>
        missing(a) || missing(b) ? missing(a) - missing(b) : sign * compared(a, b));
      body.append(...sorted);
    });
  });
}
const areas = document.querySelectorAll(".scroll");
const hint = area => {
  const hidden = area.scrollWidth - area.clientWidth, end = area.scrollLeft >= hidden - 2;
  area.toggleAttribute("data-more", hidden > 2 && !end);
  area.toggleAttribute("data-end", hidden > 2 && end);
};
for (const area of areas) area.addEventListener("scroll", () => hint(area), { passive: true });
const seen = new ResizeObserver(entries => entries.forEach(entry => hint(entry.target)));
areas.forEach(area => seen.observe(area));
const folded = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => { opened = [...folded()]; opened.forEach(part => { part.open = true; }); });
addEventListener("afterprint", () => { opened.forEach(part => { part.open = false; }); });
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page as text, to be written as ``tables/<name>.csv``."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """Return the table as CSV: ``0.8 [0.7, 0.9]`` becomes the columns value, lo and hi, undefined is empty.

        Where a number of the column is undefined or has no interval, a further column holds the reason.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        ends = ("", " lo", " hi", " reason")
        columns = [[split(row[i]) for row in self.rows] for i in range(len(self.header))]
        used = [
            [0, *([1, 2] if any(lo or reason for _, lo, _, reason in column) else []),
             *([3] if any(reason for *_, reason in column) else [])]
            for column in columns
        ]  # fmt: skip
        writer.writerow(name + ends[i] for name, places in zip(self.header, used, strict=True) for i in places)
        for parts in zip(*columns, strict=True):
            cells = [part[i] for part, places in zip(parts, used, strict=True) for i in places]
            writer.writerow("" if cell == "-" else cell for cell in cells)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the page as HTML and as Markdown, with the tables and figures in it. A block without HTML is false.

    charts: name of the PNG file without its ending, and the function that draws it in a theme.
    """

    html: str = ""
    markdown: str = ""
    tables: tuple[Table, ...] = ()
    charts: tuple[tuple[str, Callable[[Theme], Figure]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.html)

    def within(self, before: str, after: str) -> Block:
        """Return the block inside other HTML."""
        return Block(f"{before}{self.html}{after}", self.markdown, self.tables, self.charts)


NOTHING = Block()


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the contents."""

    anchor: str
    title: str


def joined(parts: Iterable[Block]) -> Block:
    """Return blocks as one; empty ones are left out."""
    found = [part for part in parts if part]
    return Block(
        "\n".join(part.html for part in found),
        "\n\n".join(part.markdown for part in found if part.markdown),
        tuple(table for part in found for table in part.tables),
        tuple(one for part in found for one in part.charts),
    )


def markdown(text: str) -> str:
    """Return plain *text* for Markdown: characters with a meaning are escaped, line breaks become spaces."""
    text = re.sub(r"([\\*_|])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def page(title: str, body: Block) -> str:
    """Return a complete HTML document that loads no other file."""
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'\">\n"
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
        f'</head>\n<body>\n<a class="skip" href="#contents">Skip to the contents</a>\n<main>\n{body.html}\n</main>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> Block:
    """Return a paragraph of text, in which back quotes mark code; *kind* is its CSS class."""
    opening = f'<p class="{kind}">' if kind else "<p>"
    return Block(f"{opening}{_coded(text)}</p>", markdown(text)) if text else NOTHING


def _coded(text: str) -> str:
    """Return *text* as HTML; text between back quotes becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def heading(text: str) -> Block:
    """Return a heading inside a section."""
    return Block(f"<h3>{escape(text)}</h3>", f"### {markdown(text)}")


def section(anchor: str, title: str, parts: Iterable[Block]) -> Block:
    """Return a section with the id *anchor*; no section without parts."""
    content = joined(parts)
    if not content:
        return NOTHING
    opening = f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{escape(title)}</h2>\n'
    whole = content.within(opening, "\n</section>")
    return Block(whole.html, f"## {markdown(title)}\n\n{content.markdown}", whole.tables, whole.charts)


def contents(entries: Iterable[Entry]) -> Block:
    """Return the contents: a link to each section."""
    found = list(entries)
    links = "".join(f'<li><a href="#{entry.anchor}">{escape(entry.title)}</a></li>' for entry in found)
    title = '<h2 id="contents">Contents</h2>'
    return Block(f'<nav aria-labelledby="contents">{title}<ol>{links}</ol></nav>') if found else NOTHING


def items(texts: Iterable[str]) -> Block:
    """Return a bulleted list of plain text."""
    found = list(texts)
    lines = "".join(f"<li>{escape(text)}</li>" for text in found)
    return Block(f"<ul>{lines}</ul>", "\n".join(f"- {markdown(text)}" for text in found)) if found else NOTHING


def note(*paragraphs: str, links: Sequence[tuple[str, str]] = ()) -> Block:
    """Return a highlighted box, with *links* (address, text) at its end."""
    texts = "".join(paragraph(text).html for text in paragraphs)
    shown = ", ".join(f'<a href="{escape(address)}">{escape(text)}</a>' for address, text in links)
    html = f'<div class="note" role="note">{texts}{f"<p>{shown}</p>" if shown else ""}</div>'
    return Block(html, "\n>\n".join(f"> {markdown(text)}" for text in paragraphs))


def cards(found: Iterable[tuple[str, str, str]]) -> Block:
    """Return numbers in boxes: name, value, interval."""
    found = list(found)
    html = "".join(
        f'<li class="card"><span>{escape(what)}</span><b>{escape(value)}</b><span>{escape(interval)}</span></li>'
        for what, value, interval in found
    )
    lines = [f"- {markdown(what)}: {markdown(f'{value} {interval}'.strip())}" for what, value, interval in found]
    return Block(f'<ul class="cards">{html}</ul>', "\n".join(lines)) if found else NOTHING


def heat(value: float, text: str, low: float = 0.5) -> tuple[str, str]:
    """Return (text, style) of a cell whose background darkens as *value* rises from *low* to 1."""
    strength = 0.0 if value != value else min(max((value - low) / (1 - low), 0.0), 1.0)
    return text, f"background:rgba(var(--heat),{0.34 * strength:.3f})"


def table(
    name: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], note: str = "",
    text: Sequence[int] = (), foot: Sequence[Sequence[Cell]] = (),
) -> Block:  # fmt: skip
    """Return a table that can be sorted, with a link to its CSV file ``tables/<name>.csv``.

    The interval of ``0.8 [0.7, 0.9]`` gets a line of its own; reasons of missing ones (`printed`) stand below. The rows
    of *foot* stay at the end. *text* lists the left-aligned columns. A table of more than `COLUMNS` columns is shown in
    parts that repeat its first column.
    """
    given = [list(row) for row in (*rows, *foot)]
    plain = [[_words(cell) for cell in row] for row in given]
    marked, reasons = footnoted(plain)
    every = [
        [(words, cell[1]) if isinstance(cell, tuple) else words for cell, words in zip(row, line, strict=True)]
        for row, line in zip(given, marked, strict=True)
    ]
    lines, last = every[: len(every) - len(foot)], every[len(every) - len(foot) :]
    note = " ".join([*([note] if note else []), *([f"{'; '.join(reasons)}."] if reasons else [])])
    shown = [
        _table_html(_part(caption, places, len(header)), header, lines, last, places, text)
        for places in _parts(len(header))
    ]
    link = f'<a href="{TABLES}/{name}.csv">{escape(name)}.csv</a>'
    below = f'<p class="below small">{escape(note)} {link}</p>' if note else f'<p class="below small">{link}</p>'
    top, *cells = [[markdown(cell) for cell in row] for row in [list(header), *marked]]
    rule = ["---" if i == 0 or i in text else "---:" for i in range(len(header))]
    grid = "\n".join(f"| {' | '.join(row)} |" for row in [top, rule, *cells])
    after = f"\n\n{markdown(note)}" if note else ""
    return Block(
        "".join(shown) + below,
        f"**{markdown(caption)}** ([{name}.csv]({TABLES}/{name}.csv))\n\n{grid}{after}",
        (Table(name, tuple(header), tuple(tuple(row) for row in plain)),),
    )


def _parts(columns: int) -> Iterator[list[int]]:
    """Yield the positions of the columns of each part; the first column is in all."""
    if columns <= COLUMNS:
        yield list(range(columns))
        return
    number = -(-(columns - 1) // (COLUMNS - 1))
    size = -(-(columns - 1) // number)
    for start in range(1, columns, size):
        yield [0, *range(start, min(start + size, columns))]


def _part(caption: str, places: list[int], columns: int) -> str:
    if len(places) == columns:
        return caption
    return f"{caption} (columns {places[1] + 1} to {places[-1] + 1} of {columns})"


MARKED = re.compile(r"(\S+) (\[(?:\S+, \S+|[a-z]{1,2})\])")            # a value and its interval, or a mark


def _words(cell: Cell) -> str:
    return cell[0] if isinstance(cell, tuple) else cell


def _table_html(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], foot: Sequence[Sequence[Cell]],
    places: Sequence[int], text: Sequence[int],
) -> str:  # fmt: skip
    left = {i: ' class="text"' if i in text else "" for i in places}

    def line(row: Sequence[Cell]) -> str:
        cells = []
        for i in places:
            words, style = (cell if isinstance(cell := row[i], tuple) else (cell, ""))
            attributes = (left[i] if i else ' scope="row"') + (f' style="{style}"' if style else "")
            tag = "td" if i else "th"
            cells.append(f"<{tag}{attributes}>{_cell(words)}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    head = "".join(f'<th scope="col"{left[i]}>{_breakable(header[i])}</th>' for i in places)
    size = next(size for most, size in PRINT_SIZES if len(places) <= most)
    ending = f"<tfoot>\n{chr(10).join(map(line, foot))}\n</tfoot>" if foot else ""
    short = " short" if len(rows) + len(foot) < LONG else ""
    sort = " data-sort" if len(rows) > 1 else ""
    return (
        f'<div class="scroll{short}" role="group" aria-label="{escape(caption)}" tabindex="0">'
        f'<table{sort} style="--print:{size}"><caption><span>{escape(caption)}</span></caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(map(line, rows)) + f"\n</tbody>{ending}</table></div>"
    )


def _cell(words: str) -> str:
    if found := MARKED.fullmatch(words):
        return f"{escape(found[1])}<i>{escape(found[2])}</i>"
    return _breakable(words)


def _breakable(text: str) -> str:
    """Return *text* as HTML, with places to break long words: after the signs in labels and paths."""
    pieces = re.split(r"(?<=[>:/_=])(?=[^\s>:/_=])", text) if re.search(r"\S{13}", text) else [text]
    return "<wbr>".join(map(escape, pieces))


def chart(name: str, draw: Callable[[Theme], Figure], caption: str, description: str) -> Block:
    """Return the figure that *draw* makes: SVG in the page's colours, and ``<name>.png`` for report.md.

    *description* is for screen readers and stands in for the image in report.md.
    """
    from . import plots

    shown = figure(plots.svg(draw(plots.PAGE)), caption, description)
    text = f"![{markdown(description)}]({name}.png)\n\n{markdown(caption)}"
    return Block(shown.html, text, charts=((name, draw),))


def figure(content: str, caption: str, description: str) -> Block:
    """Return *content* (an inline SVG or other HTML) with its caption; *description* is for screen readers."""
    wide = ' class="wide"' if _is_wide(content) else ""
    content = content.replace("<svg ", f'<svg{wide} role="img" aria-label="{escape(description)}" ', 1)
    scroll = f'<div class="scroll" role="group" aria-label="{escape(description)}" tabindex="0">{content}</div>'
    return Block(f"<figure>{scroll}<figcaption>{escape(caption)}</figcaption></figure>")


def _is_wide(svg: str) -> bool:
    """Return whether a figure is more than 1.6 times as wide as high; on a phone it scrolls instead of shrinking."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return box is not None and float(box[1]) > 1.6 * float(box[2])


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Return *data* as the value of a src attribute."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def details(summary: str, *parts: Block) -> Block:
    """Return *parts* in a folded element labelled *summary*; nothing without parts."""
    content = joined(parts)
    return content.within(f"<details><summary>{escape(summary)}</summary>", "</details>") if content else NOTHING


def fitting(sizes: Iterable[int]) -> int:
    """Return how many parts, with images of these *sizes* in bytes, fit on the page: at least one, then up to a
    limit."""
    number = total = 0
    for size in sizes:
        total += size
        if number and total > IMAGE_BYTES:
            break
        number += 1
    return number
