"""Numbers as text: a value with its interval, or with the reason why it has none.

A cell of a table holds ``0.812 [0.736, 0.878]``, ``0.812 [no interval: REASON]`` or ``- [undefined: REASON]``. A table
that is shown has marks such as ``0.812 [a]`` in their place, and its reasons below it (`footnoted`); in a CSV file they
have a column of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .files import rounded

__all__ = ["footnoted", "number", "number_with", "split"]

NOT_RECORDED = "the reason was not recorded"
INTERVAL = re.compile(r"(\S+(?: ± \S+)?) \[(\S+), (\S+)\]")
MISSING = re.compile(r"(\S+(?: ± \S+)?) \[((?:no interval|undefined): .+)\]", re.DOTALL)


def number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Return ``0.812``, or ``-`` for nan and None; *sign* ``+`` shows that of a positive number too."""
    return "-" if value is None or math.isnan(value) else f"{rounded(value):{sign}.{digits}f}"


def number_with(value: float, lo: float, hi: float, digits: int = 3, reason: str = "", sign: str = "") -> str:
    """Return a value and the ends of its interval; *reason* says why one of them is nan."""
    if math.isnan(value):
        return f"- [undefined: {reason or NOT_RECORDED}]"
    if math.isnan(lo):
        return f"{number(value, digits, sign)} [no interval: {reason or NOT_RECORDED}]"
    ends = (number(end, digits, sign) for end in (lo, hi))
    return f"{number(value, digits, sign)} [{', '.join(ends)}]"


def split(text: str) -> tuple[str, str, str, str]:
    """Return value, lower end, upper end and reason of a cell; empty where there is none."""
    if found := INTERVAL.fullmatch(text):
        return found[1], found[2], found[3], ""
    if found := MISSING.fullmatch(text):
        return found[1], "", "", found[2]
    return text, "", "", ""


def footnoted(rows: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """Return the cells of *rows* with marks in the place of reasons, and a line for each reason with its mark."""
    marks: dict[str, str] = {}

    def marked(cell: str) -> str:
        value, _, _, reason = split(cell)
        return f"{value} [{marks.setdefault(reason, _letters(len(marks)))}]" if reason else cell

    shown = [[marked(cell) for cell in row] for row in rows]
    return shown, [f"[{mark}] {reason}" for reason, mark in marks.items()]


def _letters(place: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(place, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)
