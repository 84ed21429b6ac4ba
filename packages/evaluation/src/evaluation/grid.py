"""A table of experiments: AUC by settings, test condition and method, and the effect of one setting.

An index (CSV) lists the experiments and their scores: ``experiment, rev, tested_on, scores``, then one column per
setting, ``seed`` among them. `scores` is a path relative to the folder of the index. Experiments that differ by their
seed only form one group of `seeds.compare_groups`, which computes every number here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clusters import UNIT_NAMES
from .conditions import RAW
from .files import FileError, read_table
from .scores import ALL, read
from .seeds import Group, SeedRow, cell, compare_groups, how, runs_text, tested
from .summary import Settings
from .tables import markdown, text_table

__all__ = [
    "Grid",
    "TrainTest",
    "Variant",
    "csv_columns",
    "csv_rows",
    "document",
    "make",
    "read_variants",
    "terminal",
    "train_test",
]

DESCRIBING = ("experiment", "rev", "tested_on", "scores")
NEEDED = ("experiment", "scores", "seed")
TRAINED_AT = "quality"                 # the setting that is the quality of the training faces
TITLES = {TRAINED_AT: "trained at"}

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Variant:
    """Values of all settings but the seed, and the runs with these values."""

    settings: dict[str, str]
    group: Group


@dataclass(frozen=True, slots=True)
class Grid:
    """All variants with their numbers; `versus` names the settings whose effect is shown."""

    variants: list[Variant]
    rows: list[SeedRow]
    versus: tuple[str, ...]
    settings: Settings

    @property
    def varying(self) -> list[str]:
        """The settings that are columns of the table: ``model``, ``quality``, and all that differ between variants."""
        first = self.variants[0].settings
        return [
            name
            for name in first
            if name in ("model", "quality") or any(v.settings[name] != first[name] for v in self.variants)
        ]


def read_variants(path: str | Path) -> list[Variant]:
    """Return the variants of the index *path* in its order, with their scores.

    ValueError for an index without rows, without one of the needed columns, or with two experiments of the same
    settings and seed.
    """
    path = Path(path)
    columns, rows = read_table(path, NEEDED, "`detector grid` writes such an index")
    if not rows:
        raise ValueError(f"{path} lists no experiment")
    names = [name for name in columns if name not in (*DESCRIBING, "seed")]
    found: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
    for row in rows:
        if not (scores := path.parent / row["scores"]).is_file():
            raise FileError(
                f"{path}: the scores of {row['experiment']} are not at {scores}; make them again, or remove its row"
            )
        seeds = found.setdefault(tuple(row[name] for name in names), {})
        if row["seed"] in seeds:
            again = f"{seeds[row['seed']]['experiment']} and {row['experiment']}"
            raise ValueError(f"{path}: {again} have the same settings and seed; remove one of them")
        seeds[row["seed"]] = row
    return [_variant(dict(zip(names, values, strict=True)), path.parent, seeds) for values, seeds in found.items()]


def _variant(settings: dict[str, str], folder: Path, seeds: dict[str, dict[str, str]]) -> Variant:
    paths = [folder / row["scores"] for row in seeds.values()]
    label = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Variant(settings, Group(label, tuple(map(str, paths)), tuple(map(read, paths))))


def make(
    variants: Sequence[Variant], versus: Sequence[str] = (), settings: Settings | None = None,
    rates: Mapping[str, float] | None = None,
) -> Grid:  # fmt: skip
    """Return the numbers of *variants* and, for each setting in *versus*, the paired differences to its first value.

    Only variants that differ in this setting alone are compared. *rates* are the bits per pixel by condition, for the
    area under the AUC over the logarithm of the bit rate. ValueError where no two variants differ in a setting alone,
    and where the variants did not score the same test faces.
    """
    settings = settings or Settings()
    pairs = [(a.group.label, b.group.label) for axis in versus for a, b in _pairs(variants, axis)]
    rows = compare_groups([variant.group for variant in variants], settings, pairs, rates=rates)
    return Grid(list(variants), rows, tuple(versus), settings)


def _pairs(variants: Sequence[Variant], axis: str) -> list[tuple[Variant, Variant]]:
    """Return the pairs that differ in *axis* alone; the second has the value that comes first in the index."""
    if axis not in variants[0].settings:
        raise ValueError(f"{axis} is not a setting of these experiments; they have {', '.join(variants[0].settings)}")
    firsts: dict[tuple[str, ...], Variant] = {}
    pairs = []
    for variant in variants:
        others = tuple(value for name, value in variant.settings.items() if name != axis)
        reference = firsts.setdefault(others, variant)
        if reference is not variant:
            pairs.append((variant, reference))
    if not pairs:
        raise ValueError(f"no two experiments differ in {axis} alone")
    return pairs


def csv_columns(grid: Grid) -> list[str]:
    """Return the columns of `csv_rows`: the settings (the training quality as ``trained_at``), then `SeedRow`'s."""
    return [*_named(grid.variants[0].settings), *(f.name for f in fields(SeedRow))]


def _named(settings: dict[str, str]) -> dict[str, str]:
    """Return *settings* under names that no column of `SeedRow` has."""
    taken = {f.name for f in fields(SeedRow)}
    named = {TITLES.get(name, name).replace(" ", "_"): value for name, value in settings.items()}
    return {f"setting_{name}" if name in taken else name: value for name, value in named.items()}


def csv_rows(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield every number with the settings of its variant (of the first variant for a difference)."""
    settings = {variant.group.label: variant.settings for variant in grid.variants}
    for row in grid.rows:
        yield _named(settings[row.group]) | asdict(row)


@dataclass(frozen=True, slots=True)
class TrainTest:
    """Mean frame AUC over seeds by training quality (rows) and test condition (columns); nan where it is missing."""

    title: str
    trained: list[str]
    tested: list[str]
    auc: NDArray[np.float64]


def train_test(grid: Grid) -> list[TrainTest]:
    """Return the training quality x test condition matrices, one for each combination of the other settings."""
    aucs: dict[tuple[str, str], float] = {}
    for row in grid.rows:
        if (row.what, row.level, row.method) == ("auc", "frame", ALL):
            aucs.setdefault((row.group, row.condition), row.value)
    tested = list(dict.fromkeys(condition for _, condition in aucs))
    groups: dict[str, list[Variant]] = {}
    for variant in grid.variants:
        others = [f"{name} {variant.settings[name]}" for name in grid.varying if name != TRAINED_AT]
        groups.setdefault(", ".join(others), []).append(variant)
    return [
        TrainTest(
            title,
            [variant.settings.get(TRAINED_AT, "-") for variant in variants],
            tested,
            np.array([[aucs.get((v.group.label, name), np.nan) for name in tested] for v in variants]),
        )
        for title, variants in groups.items()
    ]


# -- tables ------------------------------------------------------------------------------------------------------------


class _Cells:
    """Looks numbers up; the intervals are those of the first unit."""

    def __init__(self, rows: Sequence[SeedRow]) -> None:
        unit = rows[0].unit
        self.rows = {(r.group, r.against, r.what, r.condition, r.level, r.method): r for r in rows if r.unit == unit}
        self.methods = [method for method in dict.fromkeys(row.method for row in rows) if method != ALL]
        self.conditions = list(dict.fromkeys(row.condition for row in rows if row.what == "auc"))
        self.drops = list(dict.fromkeys(row.condition for row in rows if row.what == "drop"))

    @property
    def header(self) -> list[str]:
        return ["tested at", "frame AUC", *self.methods, "video AUC"]

    def line(self, what: str, condition: str, group: str, against: str = "") -> list[str]:
        columns = [("frame", ALL), *(("frame", method) for method in self.methods), ("video", ALL)]
        found = [self.rows.get((group, against, what, condition, level, method)) for level, method in columns]
        return [cell(row) for row in found]


def _main_table(grid: Grid) -> Table:
    cells, names = _Cells(grid.rows), grid.varying
    header = [*(TITLES.get(name, name) for name in names), "seeds", *cells.header]
    wanted = [("auc", name, name) for name in cells.conditions]
    wanted += [("drop", name, f"drop {name}") for name in cells.drops]
    lines = []
    for variant in grid.variants:
        left = [*(variant.settings[name] for name in names), str(len(variant.group.runs))]
        lines += [[*left, title, *cells.line(what, name, variant.group.label)] for what, name, title in wanted]
    return header, lines


def _matrix_table(grid: Grid, what: str) -> Table:
    """Return the settings of each variant (rows) x test conditions: frame AUC and the area, or the retention."""
    rows = {(r.group, r.condition): r for r in grid.rows
            if (r.what, r.level, r.method, r.unit) == (what, "frame", ALL, grid.rows[0].unit)}  # fmt: skip
    area = {r.group: r for r in grid.rows if (r.what, r.level, r.unit) == ("area", "frame", grid.rows[0].unit)}
    tested = [name for name in dict.fromkeys(condition for _, condition in rows) if what == "auc" or name != RAW]
    names = grid.varying
    with_area = what == "auc" and bool(area)
    header = [*(TITLES.get(name, name) for name in names), *tested, *(["area"] if with_area else [])]
    lines = []
    for variant in grid.variants:
        found = [rows.get((variant.group.label, name)) for name in tested]
        found += [area.get(variant.group.label)] if with_area else []
        lines.append([*(variant.settings[name] for name in names), *map(cell, found)])
    return header, lines


def _versus_table(grid: Grid, axis: str) -> Table:
    cells, names = _Cells(grid.rows), [name for name in grid.varying if name != axis]
    header = [*(TITLES.get(name, name) for name in (*names, axis)), *cells.header]
    lines = []
    for variant, reference in _pairs(grid.variants, axis):
        change = f"{variant.settings[axis]} minus {reference.settings[axis]}"
        left = [*(variant.settings[name] for name in names), change]
        labels = variant.group.label, reference.group.label
        lines += [[*left, name, *cells.line("difference", name, *labels)] for name in cells.conditions]
    return header, lines


def _parts(grid: Grid) -> Iterator[tuple[str, Table]]:
    yield "AUC", _main_table(grid)
    rates = " and area: its mean over the logarithm of the bits per pixel"
    area = any(row.what == "area" for row in grid.rows)
    title = f"Frame AUC by training (rows) and test condition (columns){rates if area else ''}"
    yield title, _matrix_table(grid, "auc")
    if any(row.what == "retention" for row in grid.rows):
        kept = "Retention: share of the uncompressed frame AUC's distance from .5 that is kept"
        yield kept, _matrix_table(grid, "retention")
    for axis in grid.versus:
        yield f"{TITLES.get(axis, axis)}: difference, paired on the same test faces", _versus_table(grid, axis)


def sentence(grid: Grid) -> str:
    """Return what was tested, what all experiments share, and how the intervals were computed."""
    counts = {len(variant.group.runs) for variant in grid.variants}
    runs = runs_text(counts.pop()) if len(counts) == 1 else f"{min(counts)} to {max(counts)} seeds"
    shared = {name: value for name, value in grid.variants[0].settings.items() if name not in grid.varying}
    same = "".join(f"; {name} {value}" for name, value in shared.items())
    unit = UNIT_NAMES[grid.rows[0].unit]
    shown = f" The tables show intervals by {unit}, the CSV both." if grid.settings.intervals == "bootstrap" else ""
    return (
        f"{tested(grid.rows[0])}; {len(grid.variants)} variants of {runs}{same}. {how(grid.settings, unit)}{shown} "
        "Methods: frame AUC of each against all real faces."
    )


def document(grid: Grid, note: str | None = None) -> str:
    """Return the tables as Markdown, below *note* where one is given."""
    parts = [f"> {note}\n"] if note else []
    parts.append(sentence(grid) + "\n")
    parts += [f"**{title}**\n\n{markdown(*table)}\n" for title, table in _parts(grid)]
    return "\n".join(parts)


def terminal(grid: Grid) -> str:
    """Return the same tables for a terminal."""
    return "\n".join([*(f"{title}\n{text_table(*table)}\n" for title, table in _parts(grid)), sentence(grid)])
