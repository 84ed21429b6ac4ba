"""The section of the page that compares another run with this one: its AUCs and the paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import page, plots
from .clusters import UNIT_NAMES
from .compare import Board, Standing, Test, compare
from .conditions import title
from .files import FileError
from .origin import REMEDY, origin_path, read_origin
from .page import Block
from .printed import number_with
from .records import Origin
from .scores import Scores, read
from .seeds import Group

__all__ = ["OTHER", "THIS", "Versus", "gather", "parts"]

THIS, OTHER = "this run", "other run"


@dataclass(frozen=True, slots=True)
class Versus:
    """Another run: the path of its scores, their record if there is one, and the boards of both runs by level."""

    path: Path
    origin: Origin | None
    boards: dict[str, Board]


def gather(path: Path, scores: Scores, confidence: float, allow_nan: bool = False) -> Versus:
    """Return the comparison of *scores* with the table *path*; FileError where the record beside it belongs to another
    table."""
    other, origin = read(path, allow_nan=allow_nan), read_origin(path)
    if origin and origin.scores != other.source:
        raise FileError(f"{origin_path(path)} is the record of another table than {path}; {REMEDY}")
    groups = [Group(THIS, ("",), (scores,)), Group(OTHER, (str(path),), (other,))]
    boards = {level: compare(groups, "auc", level, confidence, versus=OTHER) for level in ("frame", "video")}
    return Versus(path, origin, boards)


def parts(versus: Versus | None, origin: Origin | None) -> list[Block]:
    """Return the parts of the section; *origin* is the record of this run's scores."""
    if versus is None:
        return []
    frame = versus.boards["frame"]
    return [
        page.paragraph(
            f"The other run is {versus.path}. Differences are this run minus the other one on the rows that both "
            "scored; a positive one is in favour of this run."
        ),
        _differing(versus, origin),
        *(_table(board) for board in versus.boards.values()),
        page.chart(
            "versus",
            lambda theme: plots.versus(frame, THIS, OTHER, theme),
            f"Frame AUC of both runs by condition; lines are {100 * frame.confidence:g} % intervals by "
            f"{UNIT_NAMES.get(frame.unit, frame.unit)}. Overlapping intervals do not mean equal runs: the differences "
            "in the table are paired and more precise.",
            "Frame AUC of this and of the other run by condition",
        ),
    ]  # fmt: skip


def _table(board: Board) -> Block:
    tests = {test.what: test for test in board.tests}
    rows = []
    for what in dict.fromkeys(row.what for row in board.standings):
        this, other = (board.standing(entry, what) for entry in (THIS, OTHER))
        test = tests.get(what)
        shown = [_shown(one) for one in (this, other, test)]
        p = "-" if test is None or test.p_holm != test.p_holm else f"{test.p_holm:.3f}"
        rows.append([title(what), *shown, p, str(test.n_frames) if test else "-"])
    unit = UNIT_NAMES.get(board.unit, board.unit)
    note = (
        f"{100 * board.confidence:g} % intervals by {unit}; those of a difference are "
        "paired. p is Holm's over the rows of this table; it estimates nothing and has no interval. All conditions: "
        "mean over the cells of the history matrix."
    )
    counted = "faces of both" if board.level == "frame" else "videos of both"
    header = ["condition", THIS, OTHER, "difference", "p (Holm)", counted]
    return page.table(f"versus-{board.level}", f"{board.level.capitalize()} AUC of both runs", header, rows, note)


def _shown(row: Standing | Test | None) -> str:
    if row is None:
        return number_with(math.nan, math.nan, math.nan, reason="not in the scores of this run")
    return number_with(row.value, row.lo, row.hi, reason=row.reason)


def _differing(versus: Versus, origin: Origin | None) -> Block:
    """Return the differences between the records of both runs."""
    if origin is None or versus.origin is None:
        return page.paragraph(
            "What differs between the runs is not known: the scores of one of them came without the record that "
            "`detector score` writes beside them."
        )
    here, there = dict(_facts(origin)), dict(_facts(versus.origin))
    rows = [
        [name, here.get(name, "-"), there.get(name, "-")]
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]
    if not rows:
        return page.paragraph("The records of both runs name the same weights, faces, code and versions.")
    return page.table("versus-settings", "What differs", ["what", THIS, OTHER], rows, text=(1, 2))


def _facts(origin: Origin) -> Iterator[tuple[str, str]]:
    yield "model", origin.model
    yield "SHA-256 of the weights", origin.weights_sha256
    yield "trained on", title(origin.trained_on) if origin.trained_on else "-"
    yield "code", origin.source.text if origin.source else "-"
    yield "device", origin.device or "-"
    if origin.faces:
        yield "data", origin.faces.dataset.name or "-"
        yield "SHA-256 of the index of the faces", origin.faces.index_sha256
        yield from ((f"faces.{name}", str(value)) for name, value in origin.faces.parameters.items())
    yield from ((f"version of {name}", value) for name, value in origin.versions.items())
