"""The board of `compare` as text for a terminal and as a page of its own, with its tables as CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from . import page
from .clusters import UNIT_NAMES
from .compare import MEAN, WORST, Board, Standing, Test
from .conditions import title
from .files import csv_text
from .metrics import METRICS
from .printed import number, number_with
from .seeds import SD
from .tables import text_table
from .whole import write_together

__all__ = ["text", "write"]

TITLE = "Comparison of detectors"
Table = tuple[list[str], list[list[str]]]


def _measure(board: Board) -> str:
    at = " at the threshold .5" if METRICS[board.metric].needs_threshold else ""
    low = "" if METRICS[board.metric].higher_is_better else ", lower is better"
    return f"{board.level} {METRICS[board.metric].title}{at}{low}"


def _value(row: Standing | None) -> str:
    if row is None:
        return number_with(np.nan, np.nan, np.nan, reason="not in the scores of this detector")
    return number_with(row.value, row.lo, row.hi, reason=row.reason)


def _board(board: Board, conditions: bool = True) -> Table:
    """Return a line for each detector, best first; *conditions*: with a column for each condition."""
    first = [what for what in (MEAN, WORST) if any(row.what == what for row in board.standings)]
    shown = [*first, *(board.conditions if conditions or not first else [])]
    header = ["detector", "seeds", *map(title, shown), "sd over seeds", "faces / videos / pairs", "rows lacking"]
    lines = []
    for entry in board.entries:
        rows = {row.what: row for row in board.standings if row.entry == entry}
        main = rows.get(shown[0], next(iter(rows.values())))
        spread = "one run" if main.seeds < 2 else number(main.sd)
        n = f"{main.n_frames} / {main.n_videos} / {main.n_pairs}"
        values = [_value(rows.get(what)) for what in shown]
        lines.append([entry, str(main.seeds), *values, spread, n, str(main.missing)])
    return header, lines


def _by_condition(board: Board) -> Table:
    """Return a line for each condition and a column for each detector."""
    lines = [[title(what), *(_value(board.standing(entry, what)) for entry in board.entries)]
             for what in board.conditions]  # fmt: skip
    return ["condition", *board.entries], lines


def _p(value: float) -> str:
    return "-" if np.isnan(value) else "< 1e-15" if value < 1e-15 else f"{value:.2g}"


def _test_line(row: Test, with_seeds: bool) -> list[str]:
    difference = number_with(row.value, row.lo, row.hi, reason=row.reason, sign="+")
    seeds = "-" if np.isnan(row.seeds_lo) else f"[{row.seeds_lo:+.3f}, {row.seeds_hi:+.3f}]"
    left = [f"{row.a} - {row.b}", title(row.what), difference, _p(row.p), _p(row.p_holm)]
    n = f"{row.n_frames} / {row.n_videos} / {row.n_pairs}"
    return [*left, *([seeds] if with_seeds else []), str(row.n_rows), n]


def _tests(board: Board) -> Table:
    with_seeds = any(not np.isnan(row.seeds_lo) for row in board.tests)
    seeds = ["by seeds"] if with_seeds else []
    header = ["difference", "tested at", f"by {UNIT_NAMES[board.unit]}", "p", "p (Holm)", *seeds, "shared rows",
              "faces / videos / pairs"]  # fmt: skip
    return header, [_test_line(row, with_seeds) for row in board.tests]


def _notes(board: Board) -> list[str]:
    share = f"{100 * board.confidence:g} %"
    count = sum(not np.isnan(row.p) for row in board.tests)
    every = ""
    if any(row.what == MEAN for row in board.standings):
        over = "every cell of the history matrix (real x fake)" if board.metric == "auc" else "the mean over conditions"
        every = f" '{MEAN}': {over} of {', '.join(board.common)}."
    several = any(row.seeds > 1 for row in board.standings)
    by_seeds = any(not np.isnan(row.seeds_lo) for row in board.tests)
    welch = "Intervals by seeds are Welch's, over training runs; a claim needs both to exclude 0."
    one = "No two of these detectors have two seeds or more, so no difference takes training into account."
    return [
        f"{_measure(board)}. [{share} intervals by {UNIT_NAMES[board.unit]}; they cover the choice of the test faces, "
        f"not training.]{every} Each detector is evaluated on its own rows; 'rows lacking' counts rows that only "
        f"other detectors scored.{f' {SD}' if several else ''}",
        "Differences are paired, on the rows that both scored, in the conditions that both have. p is two-sided; it "
        f"estimates nothing and has no interval. Holm's p is adjusted over all {count} test{'s' * (count != 1)} shown "
        f"here. {welch if by_seeds else one}",
    ]


def _undefined(board: Board) -> list[str]:
    rows = [f"{row.entry}, {title(row.what)}: {row.reason}" for row in board.standings if row.reason]
    return rows + [f"{row.a} - {row.b}, {title(row.what)}: {row.reason}" for row in board.tests if row.reason]


def text(board: Board) -> str:
    """Return the leaderboard, the tests and an explanation of both as text."""
    of_board, of_tests = ("\n".join(textwrap.wrap(note, 118)) for note in _notes(board))
    parts = [text_table(*_board(board, conditions=False)), of_board]
    if len(board.conditions) > 1:
        parts += ["", text_table(*_by_condition(board))]
    if board.tests:
        parts += ["", text_table(*_tests(board)), of_tests]
    return "\n".join([*parts, *(f"undefined: {reason}" for reason in _undefined(board))])


def write(out: Path, board: Board, sources: Sequence[tuple[str, str]], caveats: Sequence[str] = ()) -> Path:
    """Write ``leaderboard.csv``, ``tests.csv``, ``compare.md`` and ``index.html`` into *out*, all or none; return the
    page's path.

    *sources*: entry and file of each run.
    """
    best, (names, tests) = _board(board), _tests(board)
    notes = _notes(board)
    sections = [
        ("leaderboard", "Leaderboard", [page.table("board", "Best first", *best, notes[0], text=())]),
        ("tests", "Paired tests", [
            page.table("paired", "Differences", names, tests, notes[1], text=(1,)) if tests else page.NOTHING
        ]),
        ("undefined", "Undefined", [page.items(_undefined(board))]),
        ("sources", "Sources", [page.table("sources", "Files", ["detector", "scores"], sources, text=(1,))]),
    ]  # fmt: skip
    found = [(anchor, words, page.section(anchor, words, parts)) for anchor, words, parts in sections]
    entries = [page.Entry(anchor, words) for anchor, words, content in found if content]
    head = [page.Block(f"<h1>{TITLE}</h1>", f"# {TITLE}"), page.note(*caveats) if caveats else page.NOTHING]
    whole = page.joined([*head, page.contents(entries), *(content for *_, content in found)])
    path = out / "index.html"
    write_together([
        (out / "leaderboard.csv", csv_text([f.name for f in fields(Standing)], map(asdict, board.standings))),
        (out / "tests.csv", csv_text([f.name for f in fields(Test)], map(asdict, board.tests))),
        *((out / page.TABLES / f"{table.name}.csv", table.csv()) for table in whole.tables),
        (out / "compare.md", f"{whole.markdown}\n"),
        (path, page.page(TITLE, whole)),
    ])  # fmt: skip
    return path
