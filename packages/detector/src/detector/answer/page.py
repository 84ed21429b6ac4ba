"""The answers as one HTML page that needs nothing else: no script, no network, images inside."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape

from .record import Answer, Face
from .text import history, number, percent, printable

__all__ = ["MEANING", "STYLE", "answer_html", "page"]

STYLE = """
:root { color-scheme: light dark; --line: #c8c8c8; --soft: #595959; --panel: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --line: #555; --soft: #b0b0b0; --panel: #262626; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; overflow-wrap: anywhere; } h3 { font-size: 1rem; }
.caution { border: 2px solid; padding: .5rem 1rem; font-weight: 600; }
.verdict { font-weight: 700; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; width: 10rem; font-weight: 600; }
th, td { vertical-align: top; padding: .2rem .6rem .2rem 0; overflow-wrap: anywhere; }
figure { display: inline-block; margin: .5rem .5rem 0 0; max-width: 100%; }
figure img { display: block; max-width: 100%; max-height: 24rem; }
figcaption { font-size: .8rem; color: var(--soft); max-width: 16rem; }
.meaning { color: var(--soft); } code { overflow-wrap: anywhere; }
@media (max-width: 32rem) { th, td { display: block; width: auto; padding-right: 0; } }
"""
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Evidence: real or forged faces</title>
<style>{style}</style>
</head>
<body>
<main>
"""
MEANING = """<p class="meaning">The likelihood ratio (LR) says how much more probable the score is if the face was
forged than if it is real. The interval has a confidence of 95 %; where it contains 1 there is no verdict. The ratio
never goes beyond what the number of people in the validation supports (empirical lower and upper bound, Vergeer et al.
2016). Its words are the verbal scale of the ENFSI Guideline for Evaluative Reporting in Forensic Science (2015). The
probability follows from the ratio and the prior, which is an assumption and no result.</p>
"""


def page(answers: Iterable[tuple[Answer, Mapping[str, bytes]]], caution: str | None) -> Iterator[str]:
    """Yield the parts of the page of *answers*, each with its images, PNG by name."""
    yield HEAD.format(style=STYLE)
    yield "<h1>Real or forged faces</h1>\n"
    if caution:
        yield f'<p class="caution">{escape(caution)}</p>\n'
    yield MEANING
    for answer, images in answers:
        yield answer_html(answer, images, _inside)
    yield "</main>\n</body>\n</html>\n"


def _inside(_name: str, data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"


def answer_html(
    answer: Answer, images: Mapping[str, bytes], address: Callable[[str, bytes], str] = _inside
) -> str:
    """Return *answer* as a section of a page; *address* gives the ``src`` of an image from its name and bytes."""
    parts = [f"<section>\n<h2>{escape(printable(answer.file))}</h2>\n"]
    if answer.error is not None:
        parts.append(f'<p class="verdict">No answer: {escape(printable(answer.error))}</p>\n</section>\n')
        return "".join(parts)
    parts.append(f'<p><span class="verdict">{answer.verdict}</span>: {escape(answer.reason or "")}</p>\n')
    parts.append(_table(_file_rows(answer)))
    of_file = [name for name in images if not name.startswith("person-")]
    parts += [_figure(name, images[name], address) for name in of_file]
    for face in answer.faces:
        parts.append(f"<h3>Person {face.person}: {face.verdict}</h3>\n")
        if len(answer.faces) > 1:
            parts.append(f"<p>{escape(face.reason)}</p>\n")
        parts.append(_table(_face_rows(face, answer)))
        own = [name for name in images if name.startswith(f"person-{face.person}-")]
        parts += [_figure(name, images[name], address) for name in own]
    parts.append("</section>\n")
    return "".join(parts)


def _file_rows(answer: Answer) -> Iterator[tuple[str, str]]:
    what = f"{answer.kind}, {answer.width} x {answer.height} pixels, {answer.size} bytes"
    if answer.kind == "video":
        what += f", {answer.num_frames} frames scored"
    yield "file", what
    yield "SHA-256", answer.sha256 or ""
    if answer.history is not None:
        for line in history(answer.history):
            yield "history", line
    if answer.condition is not None:
        found = answer.condition
        compared = "all conditions together" if found.label == "pooled" else found.label
        yield "condition", f"{compared}: {found.found}"
        if found.accuracy:
            yield "accuracy", found.accuracy
    weights = answer.weights
    yield "weights", f"{weights.model}, SHA-256 {weights.sha256}"
    yield "trained on", f"{weights.data or 'unknown data'}" + (f": {weights.note}" if weights.note else "")


def _face_rows(face: Face, answer: Answer) -> Iterator[tuple[str, str]]:
    if face.box is not None:
        left, top, right, bottom = face.box
        yield "place", f"{left}, {top} to {right}, {bottom} (pixels from the top left corner)"
    if answer.kind == "video":
        yield "frames", ", ".join(map(str, face.frames))
    yield "score", f"{face.score.value:.4f}"
    if face.score.threshold is not None:
        yield "threshold", f"{face.score.threshold:.4f} (validation split)"
    found = face.likelihood
    if found is not None:
        interval = f", interval {number(found.interval[0])} to {number(found.interval[1])}" if found.interval else ""
        reason = f" ({found.reason})" if found.reason else ""
        yield "LR", f"{number(found.ratio)}{interval}{reason}"
        people = f"{found.real_people} independent reals and {found.fake_people} fakes"
        yield "LR supported", f"{number(found.bounds[0])} to {number(found.bounds[1])}, by {people} in the validation"
        yield "in words", found.words
        yield "P(fake)", f"{percent(found.posterior)} at a prior of {percent(answer.prior)}"
        if found.cllr is not None:
            yield "Cllr", f"{found.cllr:.2f} bits (0: perfect, 1: no information)"
    for moved in face.robustness:
        yield f"after {moved.condition}", f"{moved.score:.4f} ({moved.change:+.4f})"
    for note in face.notes:
        yield "note", note


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(printable(value))}</td></tr>\n' for name, value in rows
    )
    return f"<table>\n{cells}</table>\n"


def _figure(name: str, data: bytes, address: Callable[[str, bytes], str]) -> str:
    shown = escape(name.replace("-", " "))
    return f'<figure><img src="{address(name, data)}" alt="{shown}"><figcaption>{shown}</figcaption></figure>\n'
