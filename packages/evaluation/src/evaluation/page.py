"""The pieces of a self-contained HTML page: text, tables, figures as inline SVG or data URIs, and the style."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["card", "data_uri", "details", "figure", "heat", "items", "note", "page", "paragraph", "section", "table"]

STYLE = """
:root { --paper:#fbfbf9; --card:#ffffff; --ink:#1d2530; --muted:#687385; --line:#e3e6ea; --accent:#2f6fc9;
  --warn:#fff6e0; --warn-line:#e4b94f; --heat:47,111,201; --font:system-ui,-apple-system,"Segoe UI",Roboto,
  "Helvetica Neue","DejaVu Sans",sans-serif; }
@media (prefers-color-scheme: dark) { :root { --paper:#14181e; --card:#1b2129; --ink:#e5e9ef; --muted:#96a1b1;
  --line:#303844; --accent:#7fb0f5; --warn:#2c2615; --warn-line:#8a6d23; --heat:95,150,230; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.55 var(--font); }
main { max-width:62rem; margin:0 auto; padding:3rem 1.4rem 5rem; }
h1 { font-size:1.05rem; font-weight:600; color:var(--muted); margin:0 0 .7rem; letter-spacing:.01em; }
.answer { font-size:clamp(1.6rem,4vw,2.35rem); line-height:1.2; font-weight:700; letter-spacing:-.015em;
  margin:0 0 1rem; text-wrap:pretty; }
h2 { font-size:1.3rem; letter-spacing:-.01em; margin:3.2rem 0 .6rem; }
h3 { font-size:1rem; margin:1.8rem 0 .4rem; }
p { max-width:46rem; margin:.5rem 0; }
.lead { font-size:1.08rem; }
.small, figcaption, footer { font-size:.86rem; color:var(--muted); }
a { color:var(--accent); }
.note { background:var(--warn); border-left:4px solid var(--warn-line); padding:.75rem 1rem; border-radius:4px;
  margin:1.3rem 0; max-width:46rem; }
.note p { margin:.2rem 0; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr)); gap:.8rem; margin:1.6rem 0; }
.card { background:var(--card); border:1px solid var(--line); border-radius:8px; padding:.8rem 1rem; }
.card .what { font-size:.82rem; color:var(--muted); }
.card .value { font-size:1.75rem; font-weight:650; font-variant-numeric:tabular-nums; line-height:1.25; }
.card .range { font-size:.82rem; color:var(--muted); font-variant-numeric:tabular-nums; }
.scroll { overflow-x:auto; margin:1rem 0; }
table { border-collapse:collapse; font-size:.9rem; font-variant-numeric:tabular-nums; min-width:100%; }
.below { margin:-.4rem 0 1.4rem; max-width:60rem; }
th, td { padding:.36rem .55rem; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap; }
th { font-weight:600; color:var(--muted); vertical-align:bottom; white-space:normal; }
th:first-child, td:first-child { text-align:left; padding-left:.2rem; }
.text { text-align:left; white-space:normal; }
tr.rule td { border-top:2px solid var(--line); }
td .range { color:var(--muted); font-size:.86em; display:block; }
figure { margin:1.2rem 0; background:var(--card); border:1px solid var(--line); border-radius:8px; padding:1rem; }
figure { overflow-x:auto; }
figure svg { display:block; width:100%; min-width:17rem; height:auto; max-height:34rem; }
figure svg.wide { min-width:34rem; }
figcaption { margin-top:.7rem; max-width:46rem; }
.pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(19rem,1fr)); gap:0 1rem; align-items:start; }
.faces { display:grid; grid-template-columns:repeat(var(--n),minmax(6.5rem,1fr)); gap:.7rem; overflow-x:auto; }
.faces { margin:.3rem 0 1.2rem; }
.face img { width:100%; display:block; border-radius:4px; image-rendering:pixelated; }
.face b { display:block; font-size:.88rem; margin:.35rem 0 .05rem; }
.face span { display:block; font-size:.8rem; line-height:1.4; color:var(--muted); font-variant-numeric:tabular-nums; }
details { margin:.8rem 0; } summary { cursor:pointer; color:var(--accent); }
footer { margin-top:4rem; border-top:1px solid var(--line); padding-top:1rem; }
@media print { main { padding:0; } figure, .card, tr { break-inside:avoid; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a complete HTML document that loads no other file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
        "</head>\n<body>\n<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def section(title: str, *parts: str, anchor: str = "") -> str:
    """Return a section; parts are HTML, empty ones are left out; no section without parts. *anchor* is its id."""
    parts = tuple(part for part in parts if part)
    start = f'<section id="{escape(anchor)}">' if anchor else "<section>"
    return f"{start}\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>" if parts else ""


def items(texts: Iterable[str]) -> str:
    """Return a bulleted list of plain text."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def note(*paragraphs: str, link: tuple[str, str] | None = None) -> str:
    """Return a highlighted box, with a link (address, text) at its end where one is given."""
    texts = "".join(paragraph(text) for text in paragraphs)
    end = f'<p><a href="{escape(link[0])}">{escape(link[1])}</a></p>' if link else ""
    return f'<div class="note" role="note">{texts}{end}</div>'


def card(what: str, value: str, interval: str) -> str:
    """Return a card: a number with its name above and its interval below."""
    return (
        f'<div class="card"><div class="what">{escape(what)}</div><div class="value">{escape(value)}</div>'
        f'<div class="range">{escape(interval)}</div></div>'
    )


def heat(value: float, text: str, low: float = 0.5) -> tuple[str, str]:
    """Return (text, style) of a cell whose background darkens as *value* rises from *low* to 1."""
    strength = 0.0 if value != value else min(max((value - low) / (1 - low), 0.0), 1.0)
    return text, f"background:rgba(var(--heat),{0.34 * strength:.3f})"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]], caption: str = "", text: Sequence[int] = ()
) -> str:
    """Return a table. A cell is text, or (text, style); the interval of ``0.8 [0.7, 0.9]`` gets a line of its own.

    text: positions of the left-aligned columns.
    """
    opening = ['<th class="text">' if i in text else "<th>" for i in range(len(header))]
    head = "".join(f"{tag}{escape(name)}</th>" for tag, name in zip(opening, header, strict=True))
    lines = []
    for row in rows:
        cells = []
        for i, cell in enumerate(row):
            words, style = cell if isinstance(cell, tuple) else (cell, "")
            attributes = (f' style="{style}"' if style else "") + (' class="text"' if i in text else "")
            cells.append(f"<td{attributes}>{_cell(words)}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    # outside of the scrolling element: on a phone a caption as wide as its table is unreadable
    below = f'<p class="below small">{escape(caption)}</p>' if caption else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(lines)
        + f"\n</tbody></table></div>{below}"
    )  # fmt: skip


def _cell(words: str) -> str:
    if words.endswith("]") and " [" in words:
        value, interval = words.split(" [", 1)
        return f'{escape(value)}<span class="range">[{escape(interval)}</span>'
    return escape(words)


def figure(content: str, caption: str, description: str) -> str:
    """Return *content* (an inline SVG or other HTML) with its caption; *description* is for screen readers."""
    wide = ' class="wide"' if _is_wide(content) else ""
    content = content.replace("<svg ", f'<svg{wide} role="img" aria-label="{escape(description)}" ', 1)
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def _is_wide(svg: str) -> bool:
    """Return whether a figure is more than twice as wide as high; on a phone it then scrolls instead of shrinking."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return box is not None and float(box[1]) > 2 * float(box[2])


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Return *data* as the value of a src attribute."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def details(summary: str, content: str) -> str:
    """Return *content* in a collapsed element labelled *summary*."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
