"""The answer as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from .record import Answer, Face, History

__all__ = ["heading", "lines", "number", "percent", "printable", "text"]

WIDTH = 110


def number(value: float) -> str:
    """Return a likelihood ratio for people: two digits, and what is below 1 as a fraction."""
    if value < 1:
        return f"1/{number(1 / value)}"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def printable(words: str) -> str:
    """Return *words* with escapes for characters that do not show: control characters, those that turn the direction
    of writing, line ends. File names and metadata may hold any of them."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in words
    )


def percent(value: float) -> str:
    """Return a probability for people, never 0 % or 100 %."""
    if value < 0.001:
        return "below 0.1 %"
    if value > 0.999:
        return "above 99.9 %"
    return f"{100 * value:.1f} %"


def heading(caution: str | None) -> str:
    """Return the lines before all answers: the caution, if there is one, and the meaning of the ratios."""
    meaning = (
        "The likelihood ratio (LR) says how much more probable the score is if the face was forged than if it is real. "
        "Its words are the verbal scale of the ENFSI guideline (2015)."
    )
    return "\n".join(([_wrapped(f"CAUTION: {caution}")] if caution else []) + [_wrapped(meaning)])


def text(answer: Answer) -> str:
    """Return *answer* as a paragraph."""
    return "\n".join(lines(answer))


def lines(answer: Answer) -> Iterator[str]:
    """Yield the lines of *answer*, the verdict first."""
    if answer.error is not None:
        yield _wrapped(f"{answer.file}: no answer: {answer.error}")
        return
    assert answer.verdict is not None
    yield _wrapped(f"{answer.file}: {answer.verdict.upper()}: {answer.reason}")
    what = f"{answer.kind}, {answer.width} x {answer.height} pixels"
    if answer.kind == "video":
        what += f", {answer.num_frames} frames scored"
    yield _item("file", f"{what}; SHA-256 {answer.sha256}")
    if answer.history is not None:
        for line in history(answer.history):
            yield _item("history", line)
    if answer.condition is not None:
        found = answer.condition
        by = {"tables": "by the file's tables", "pixels": "estimated from the pixels"}.get(found.source)
        compared = "all conditions together" if found.label == "pooled" else f"condition {found.label}"
        yield _item("condition", f"{compared}: {found.found}" + (f" ({by})" if by else ""))
        if found.accuracy:
            yield _item("", f"accuracy: {found.accuracy}")
    for face in answer.faces:
        yield from _face(face, answer)


def history(found: History) -> Iterator[str]:
    """Yield the statements on the history of a file."""
    if found.encoder == "custom":
        qualities = ", ".join(map(str, found.qualities))
        yield f"tables of no known encoder (fingerprint {found.fingerprint[:16]}); nearest qualities {qualities}"
    elif found.doubtful:
        yield f"tables of {found.encoder}, {found.settings}; another program or a camera with the same tables wrote it"
    elif found.encoder != "unknown":
        yield f"written by {found.encoder}" + (f", {found.settings}" if found.settings else "")
    if found.earlier and found.earlier != "none found":
        yield found.earlier
    if found.ghosts:
        yield "parts of the image have another compression history than the rest (ghosts)"
    if found.grid:
        yield "parts of the image have their blocks on another grid than the rest"
    if found.software:
        yield f"software named in the file: {', '.join(found.software)}"
    yield from found.findings
    yield from found.notes


def _face(face: Face, answer: Answer) -> Iterator[str]:
    left, top, right, bottom = face.box or (0, 0, 0, 0)
    where = "the whole image" if face.box is None else f"at {left}, {top} to {right}, {bottom}"
    many = len(answer.faces) > 1
    seen = f", in {len(face.frames)} frames" if answer.kind == "video" else ""
    said = f": {face.verdict}: {face.reason}" if many else ""
    yield _item("face" if not many else f"person {face.person}", f"{where}{seen}{said}")
    score = f"{face.score.value:.3f}"
    if face.score.threshold is not None:
        score += f", threshold {face.score.threshold:.3f}"
    if face.score.standardised is not None:
        score += f", standardised {face.score.standardised:.3f}"
    yield _item("score", score)
    found = face.likelihood
    if found is not None:
        ratio = f"{number(found.ratio)}"
        if found.interval is not None:
            ratio += f", 95 % interval {number(found.interval[0])} to {number(found.interval[1])}"
        ratio += f", {found.reason}" if found.reason and found.interval is not None else ""
        ratio += f"; {found.real_people} independent reals and {found.fake_people} fakes support "
        ratio += f"{number(found.bounds[0])} to {number(found.bounds[1])}"
        yield _item("LR", ratio)
        yield _item("P(fake)", f"{percent(found.posterior)} at a prior of {percent(answer.prior)}")
    for moved in face.robustness:
        yield _item("after", f"{moved.condition}: {moved.score:.3f} ({moved.change:+.3f})")
    for note in face.notes:
        yield _item("note", note)


def _item(name: str, words: str) -> str:
    return _wrapped(f"  {name:<11}{words}", " " * 13)


def _wrapped(words: str, indent: str = "  ") -> str:
    return textwrap.fill(
        printable(words),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
