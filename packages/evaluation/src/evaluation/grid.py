"""Experiments side by side: AUC by their settings, tested quality and method, and what one setting changes.

An index (CSV) says which experiment wrote which scores: ``experiment, rev, tested_on, scores``, then a column per
setting; ``seed`` is one of them. `scores` is a path from the index's folder. Experiments that differ by their seed only
are one group of `seeds.judge`, which makes every number here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .scores import read
from .seeds import Group, SeedRow, how, interval_text, judge, runs_text, tested, value_text
from .summary import ALL, Settings
from .tables import markdown, number, text_table

__all__ = ["Condition", "Grid", "csv_columns", "csv_rows", "document", "make", "read_conditions", "terminal"]

DESCRIBING = ("experiment", "rev", "tested_on", "scores")
NEEDED = ("experiment", "scores", "seed")
TITLES = {"quality": "trained at"}  # `quality` alone is the tested one

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Condition:
    """Settings other than the seed, and the runs that were made with them."""

    settings: dict[str, str]
    group: Group


@dataclass(frozen=True, slots=True)
class Grid:
    """All conditions with their numbers; `versus` names the settings whose change is shown."""

    conditions: list[Condition]
    rows: list[SeedRow]
    versus: tuple[str, ...]
    settings: Settings

    @property
    def varying(self) -> list[str]:
        """The settings that differ between conditions: the columns. ``model`` and ``quality`` always stand there."""
        first = self.conditions[0].settings
        return [
            name
            for name in first
            if name in ("model", "quality") or any(c.settings[name] != first[name] for c in self.conditions)
        ]


def read_conditions(path: str | Path) -> list[Condition]:
    """Return the conditions of the index *path* in its order, with their scores.

    ValueError for an index without rows or one of its columns, and for two experiments with one seed and the same
    settings.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise ValueError(f"{path}, line 1: no column {', '.join(missing)}; `detector grid` writes such an index")
    if not rows:
        raise ValueError(f"{path} names no experiment")
    names = [name for name in columns if name not in (*DESCRIBING, "seed")]
    found: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in rows:
        seeds = found.setdefault(tuple(row[name] for name in names), {})
        if row["seed"] in seeds:
            again = f"{seeds[row['seed']]['experiment']} and {row['experiment']}"
            raise ValueError(f"{path}: {again} have the same settings and seed; leave one of them out")
        seeds[row["seed"]] = row
    return [_condition(dict(zip(names, values, strict=True)), path.parent, seeds) for values, seeds in found.items()]


def _condition(settings: dict[str, str], folder: Path, seeds: dict[str, dict[str, str]]) -> Condition:
    paths = [folder / row["scores"] for row in seeds.values()]
    label = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Condition(settings, Group(label, tuple(map(str, paths)), tuple(map(read, paths))))


def make(conditions: Sequence[Condition], versus: Sequence[str] = (), settings: Settings | None = None) -> Grid:
    """Return the numbers of *conditions* and, for each setting of *versus*, the differences of those that differ in it
    alone, against its first value. ValueError if there are none, or if not all have judged the same test faces."""
    settings = settings or Settings()
    pairs = [(a.group.label, b.group.label) for axis in versus for a, b in _pairs(conditions, axis)]
    rows = judge([condition.group for condition in conditions], settings, pairs)
    return Grid(list(conditions), rows, tuple(versus), settings)


def _pairs(conditions: Sequence[Condition], axis: str) -> list[tuple[Condition, Condition]]:
    """Return the pairs that differ in *axis* alone; the second has the value that comes first in the index."""
    if axis not in conditions[0].settings:
        raise ValueError(f"{axis} is no setting of these experiments; they have {', '.join(conditions[0].settings)}")
    firsts: dict[tuple[str, ...], Condition] = {}
    pairs = []
    for condition in conditions:
        others = tuple(value for name, value in condition.settings.items() if name != axis)
        reference = firsts.setdefault(others, condition)
        if reference is not condition:
            pairs.append((condition, reference))
    if not pairs:
        raise ValueError(f"no two experiments differ in {axis} alone")
    return pairs


def csv_columns(grid: Grid) -> list[str]:
    """Return the columns of `csv_rows`: the settings (the training quality as ``trained_at``), then `SeedRow`'s."""
    return [*_named(grid.conditions[0].settings), *(f.name for f in fields(SeedRow))]


def _named(settings: dict[str, str]) -> dict[str, str]:
    return {TITLES.get(name, name).replace(" ", "_"): value for name, value in settings.items()}


def csv_rows(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield every number with the settings of its condition (of a difference: of what is compared)."""
    settings = {condition.group.label: condition.settings for condition in grid.conditions}
    for row in grid.rows:
        yield _named(settings[row.group]) | asdict(row)


# -- tables ------------------------------------------------------------------------------------------------------------


class _Cells:
    """Looks numbers up and writes them as ``0.808 ± 0.002 [0.723, 0.880]``, the interval by videos."""

    def __init__(self, rows: Sequence[SeedRow]) -> None:
        self.rows = {(r.group, r.against, r.what, r.quality, r.level, r.method): r for r in rows if r.unit == "video"}
        self.methods = [method for method in dict.fromkeys(row.method for row in rows) if method != ALL]
        self.qualities = list(dict.fromkeys(row.quality for row in rows if row.what == "auc"))
        self.drops = list(dict.fromkeys(row.quality for row in rows if row.what == "drop"))

    @property
    def header(self) -> list[str]:
        return ["tested at", "frame AUC", *self.methods, "video AUC"]

    def line(self, what: str, quality: str, group: str, against: str = "") -> list[str]:
        columns = [("frame", ALL), *(("frame", method) for method in self.methods), ("video", ALL)]
        found = [self.rows.get((group, against, what, quality, level, method)) for level, method in columns]
        return [self.cell(row) for row in found]

    @staticmethod
    def cell(row: SeedRow | None) -> str:
        if row is None or np.isnan(row.value):
            return "-"
        if row.what != "difference":
            return f"{value_text(row)} {interval_text(row)}"
        spread = "" if np.isnan(row.sd) else f" ± {number(row.sd)}"
        return f"{row.value:+.3f}{spread} {interval_text(row)}"


def _main_table(grid: Grid) -> Table:
    cells, names = _Cells(grid.rows), grid.varying
    header = [*(TITLES.get(name, name) for name in names), "seeds", *cells.header]
    wanted = [("auc", quality, quality) for quality in cells.qualities]
    wanted += [("drop", quality, f"drop {quality}") for quality in cells.drops]
    lines = []
    for condition in grid.conditions:
        left = [*(condition.settings[name] for name in names), str(len(condition.group.runs))]
        lines += [[*left, title, *cells.line(what, quality, condition.group.label)] for what, quality, title in wanted]
    return header, lines


def _versus_table(grid: Grid, axis: str) -> Table:
    cells, names = _Cells(grid.rows), [name for name in grid.varying if name != axis]
    header = [*(TITLES.get(name, name) for name in (*names, axis)), *cells.header]
    lines = []
    for condition, reference in _pairs(grid.conditions, axis):
        change = f"{condition.settings[axis]} minus {reference.settings[axis]}"
        left = [*(condition.settings[name] for name in names), change]
        labels = condition.group.label, reference.group.label
        lines += [[*left, quality, *cells.line("difference", quality, *labels)] for quality in cells.qualities]
    return header, lines


def _parts(grid: Grid) -> Iterator[tuple[str, Table]]:
    yield "AUC", _main_table(grid)
    for axis in grid.versus:
        yield f"{TITLES.get(axis, axis)}: difference, paired on the same test faces", _versus_table(grid, axis)


def sentence(grid: Grid) -> str:
    """Return what was judged, what all experiments share, and how the intervals were made."""
    counts = {len(condition.group.runs) for condition in grid.conditions}
    runs = runs_text(counts.pop()) if len(counts) == 1 else f"{min(counts)} to {max(counts)} seeds"
    shared = {name: value for name, value in grid.conditions[0].settings.items() if name not in grid.varying}
    same = "".join(f"; {name} {value}" for name, value in shared.items())
    return (
        f"{tested(grid.rows[0])}; {len(grid.conditions)} conditions of {runs}{same}. {how(grid.settings)} Here those "
        "by videos; the CSV has both. Methods: frame AUC of each against all real faces."
    )


def document(grid: Grid, note: str | None = None) -> str:
    """Return the tables as Markdown, under *note* where one is given."""
    parts = [f"> {note}\n"] if note else []
    parts.append(sentence(grid) + "\n")
    parts += [f"**{title}**\n\n{markdown(*table)}\n" for title, table in _parts(grid)]
    return "\n".join(parts)


def terminal(grid: Grid) -> str:
    """Return the same tables for a terminal."""
    return "\n".join([*(f"{title}\n{text_table(*table)}\n" for title, table in _parts(grid)), sentence(grid)])
