"""The history matrix: every condition of the real faces against every condition of the fakes.

Real and fake images can have different histories, so a detector must work for every combination of conditions. Cell
(r, f) is the AUC of all real faces in condition r against all fakes in condition f; the diagonal is the usual AUC by
condition. Five figures sum up the matrix:

- ``diagonal``: mean of the cells with r = f.
- ``pooled``: mean of all cells, equally weighted. With the same faces in every condition this is also the AUC of all
  scores pooled.
- ``off``: mean of the cells with r != f.
- ``worst``: the lowest cell. The minimum of noisy values is biased low; `Figure.bias` estimates by how much.
- ``lean``: the largest difference between a cell and its mirror image, clear evidence of a shortcut: the detector
responds to the condition instead of the forgery.

`Decision` rows hold the rates at a single threshold for all conditions: the one chosen on the validation split over all
conditions (``val``), and .5 (``fixed``).

All cells with their intervals and the figures come from the win counts by cluster in `wins.Wins`: 81 cells take 0.03 s
of CPU time for 12 pairs, 2 s for 1,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import metrics
from .clusters import UNIT_NAMES, Clusters, cluster
from .conditions import condition_keys
from .files import csv_text, read_csv, rounded
from .jackknife import Estimate, Sample, Side
from .scores import Scores, by_video
from .wilson import Range, largest_gap, mean_of, of_rates, of_share, worst
from .wins import Wins

__all__ = ["Cell", "Decision", "Figure", "Matrix", "as_json", "evaluate", "read", "written"]

LEVELS = ("frame", "video")
FILES = ("matrix.csv", "matrix_figures.csv", "decisions.csv")
DRAWS = 4000                           # of the simulation behind the bias of the minimum
SEED = 1
ONE_CONDITION = "there is only one condition"


@dataclass(frozen=True, slots=True)
class Cell:
    """AUC of the real faces in condition `real` against the fakes in condition `fake`.

    `reason`, here and in the other rows, says why the value or its interval is undefined.
    """

    level: str
    real: str
    fake: str
    auc: float
    lo: float
    hi: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the matrix; `real` and `fake` name its cell (``worst``, ``lean``), else they are empty.

    `lo` and `hi` of ``worst`` cover the lowest true cell, whichever it is, those of ``lean`` the largest true
    difference. `bias` is how far the lowest estimate lies below the true value of its cell on average, nan for other
    figures.
    """

    level: str
    name: str
    value: float
    lo: float
    hi: float
    real: str
    fake: str
    bias: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A metric of decisions at the single threshold: `metric` in `condition`, over all conditions (empty), or the
    lowest of a metric.

    `metric` is ``balanced_accuracy``, ``specificity``, ``sensitivity``, ``lowest_specificity`` or
    ``lowest_sensitivity``; for the last two `condition` names where it is.
    """

    level: str
    threshold_source: str
    threshold: float
    metric: str
    condition: str
    value: float
    lo: float
    hi: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells, figures and decisions at both levels; `unit` is what the intervals treat as independent."""

    conditions: list[str]
    unit: str
    cells: list[Cell]
    figures: list[Figure]
    decisions: list[Decision]

    def cell(self, real: str, fake: str, level: str = "frame") -> Cell | None:
        """Return the cell of the condition *real* of the reals and *fake* of the fakes, None if there is none."""
        return next((c for c in self.cells if (c.level, c.real, c.fake) == (level, real, fake)), None)

    def figure(self, name: str, level: str = "frame") -> Figure | None:
        """Return the figure *name* of the matrix, None if there is none."""
        return next((f for f in self.figures if (f.level, f.name) == (level, name)), None)

    @property
    def source(self) -> str:
        """The threshold that decides: ``val`` if one was chosen on the validation split, otherwise ``fixed``."""
        return "val" if any(d.threshold_source == "val" for d in self.decisions) else "fixed"

    def decided(self, metric: str, source: str = "val", level: str = "frame") -> list[Decision]:
        """Return the rows of *metric*, one for each condition or a single one."""
        wanted = (level, source, metric)
        return [d for d in self.decisions if (d.level, d.threshold_source, d.metric) == wanted]


def evaluate(scores: Scores, confidence: float = 0.95) -> Matrix:
    """Return the history matrix of the test split of *scores*; its threshold comes from the validation split.

    *confidence* is the share of the intervals, 0..1.
    """
    test, val = scores.where(split="test"), scores.where(split="val")
    conditions = test.conditions
    cells: list[Cell] = []
    figures: list[Figure] = []
    decisions: list[Decision] = []
    unit = "pair"
    for level in LEVELS:
        here, known = (test, val) if level == "frame" else (by_video(test), by_video(val))
        if not len(here):
            continue
        clusters = cluster(here)
        unit = clusters.unit
        sides = {name: _sides(here, clusters, here.condition == name) for name in conditions}
        wins = Wins.of([real for real, _ in sides.values()], [fake for _, fake in sides.values()])
        found = {(r, f): wins.auc(i, j) for i, r in enumerate(conditions) for j, f in enumerate(conditions)}
        cells += [Cell(level, r, f, *_kept(of_share(e, confidence))) for (r, f), e in found.items()]
        figures += _figures(level, conditions, found, confidence)
        thresholds = {"val": metrics.youden_threshold(known.label, known.score), "fixed": 0.5}
        pooled = Sample.of(here.label, here.score, clusters)
        for source, threshold in thresholds.items():
            samples = {name: Sample(*sides[name]) for name in conditions}
            decisions += _decisions(level, source, threshold, pooled, samples, confidence)
    return Matrix(conditions, unit, _named(cells, unit), _named(figures, unit), _named(decisions, unit))


RowT = TypeVar("RowT", Cell, Figure, Decision)


def _named(rows: list[RowT], unit: str) -> list[RowT]:
    """Return *rows* with the clusters in their reasons named: pairs, people, videos or rows."""
    return [replace(row, reason=row.reason.replace("clusters", UNIT_NAMES[unit])) for row in rows]


def _sides(scores: Scores, clusters: Clusters, rows: np.ndarray) -> tuple[Side, Side]:
    """Return the real and the fake scores of the *rows* in one condition."""
    masks = [rows & (scores.label == label) for label in (0, 1)]
    real, fake = (Side(scores.score[mask], clusters[mask]) for mask in masks)
    return real, fake


def _figures(
    level: str, conditions: Sequence[str], found: dict[tuple[str, str], Estimate], confidence: float
) -> Iterator[Figure]:
    def row(name: str, value: Range, real: str = "", fake: str = "", bias: float = np.nan) -> Figure:
        value = _kept(value)
        return Figure(level, name, value.value, value.lo, value.hi, real, fake, bias, value.reason)

    every = list(found.values())
    groups = {
        "diagonal": [e for (r, f), e in found.items() if r == f],
        "pooled": every,
        "off": [e for (r, f), e in found.items() if r != f],
    }
    for name, estimates in groups.items():
        yield row(name, _mean(estimates, confidence))
    if any(np.isnan(e.value) for e in every):
        lacking = next(e.reason for e in every if np.isnan(e.value))
        yield from (row(name, Range(np.nan, np.nan, np.nan, lacking)) for name in ("worst", "lean"))
        return
    lowest = min(found, key=lambda cell: found[cell].value)
    yield row("worst", worst(every, confidence), *lowest, _bias_of_minimum(every))
    pairs = list(combinations(conditions, 2))
    if not pairs:
        yield row("lean", Range(np.nan, np.nan, np.nan, ONE_CONDITION))
        return
    r, f = max(pairs, key=lambda pair: abs(found[pair].value - found[pair[::-1]].value))
    r, f = (r, f) if found[r, f].value >= found[f, r].value else (f, r)
    yield row("lean", largest_gap([(found[a, b], found[b, a]) for a, b in pairs], confidence), r, f)


def _mean(estimates: Sequence[Estimate], confidence: float) -> Range:
    """Return the mean of cells; nan without cells, no interval where a cell has none."""
    reason = next((e.reason for e in estimates if e.reason), "" if estimates else ONE_CONDITION)
    if not reason:
        return mean_of(estimates, None, confidence)
    return Range(float(np.mean([e.value for e in estimates])) if estimates else np.nan, np.nan, np.nan, reason)


def _kept(found: Range) -> Range:
    """Return the same without a reason where there is an interval."""
    return found if np.isnan(found.lo) else found._replace(reason="")


def _bias_of_minimum(estimates: Sequence[Estimate]) -> float:
    """Return by how much the lowest estimate lies below the true value of its own cell on average.

    Simulated: true values equal to the estimates, normal errors with the jackknife covariance. nan where a cell has no
    variance estimate.
    """
    if any(e.reason for e in estimates):
        return float("nan")
    weight = estimates[0].weight
    spread = np.array([e.spread for e in estimates])[:, weight > 0]
    noise = np.random.default_rng(SEED).standard_normal((DRAWS // 2, spread.shape[1])) @ spread.T
    noise = np.concatenate([noise, -noise])
    lowest = (np.array([e.value for e in estimates]) + noise).argmin(axis=1)
    return float(-np.mean(noise[np.arange(len(noise)), lowest])) + 0.0


def _decisions(
    level: str, source: str, threshold: float, pooled: Sample, samples: dict[str, Sample], confidence: float
) -> Iterator[Decision]:
    def row(metric: str, condition: str, value: Range) -> Decision:
        return Decision(level, source, threshold, metric, condition, *_kept(value))

    if np.isnan(threshold):
        return
    yield row("balanced_accuracy", "", of_rates("balanced_accuracy", pooled.rates(threshold), confidence))
    rates = {name: sample.rates(threshold) for name, sample in samples.items()}
    for metric in ("specificity", "sensitivity"):
        one_class = {name: rate.tnr if metric == "specificity" else rate.tpr for name, rate in rates.items()}
        yield from (row(metric, name, of_share(e, confidence)) for name, e in one_class.items())
        defined = {name: e for name, e in one_class.items() if not np.isnan(e.value)}
        if defined:
            lowest = min(defined, key=lambda name: defined[name].value)
            yield row(f"lowest_{metric}", lowest, worst(list(defined.values()), confidence))


# -- files -------------------------------------------------------------------------------------------------------------


def written(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """Yield name and content of matrix.csv, matrix_figures.csv and decisions.csv."""
    parts: tuple[tuple[type, Sequence[Any]], ...] = (
        (Cell, matrix.cells), (Figure, matrix.figures), (Decision, matrix.decisions)
    )  # fmt: skip
    for name, (kind, rows) in zip(FILES, parts, strict=True):
        yield name, csv_text([f.name for f in fields(kind)], (asdict(row) for row in rows))


def read(folder: str | Path, conditions: list[str], unit: str, remedy: str) -> Matrix:
    """Return the matrix whose files (`written`) are in *folder*."""
    cells, figures, decisions = (Path(folder) / name for name in FILES)
    words = {"level": LEVELS}
    return Matrix(
        conditions,
        unit,
        read_csv(cells, Cell, remedy, words),
        read_csv(figures, Figure, remedy, words),
        read_csv(decisions, Decision, remedy, words | {"threshold_source": ("fixed", "val")}),
    )


def as_json(matrix: Matrix) -> dict[str, Any]:
    """Return the matrix in the form of metrics.json: level -> figures with ``_lo`` and ``_hi``, decisions, cells.

    Names of conditions are their keys. Undefined numbers are left out. `cells` is real -> fake -> AUC; `cells_lo` and
    `cells_hi` are the ends of their intervals.
    """
    keys = condition_keys(matrix.conditions) | {"": ""}
    out: dict[str, Any] = {}
    for level in LEVELS:
        found: dict[str, Any] = {}
        for figure in (f for f in matrix.figures if f.level == level):
            found |= _numbers(figure.name, figure.value, figure.lo, figure.hi)
            found |= _numbers(f"{figure.name}_bias", figure.bias)
            if figure.real and figure.name in found:
                found |= {f"{figure.name}_real": keys[figure.real], f"{figure.name}_fake": keys[figure.fake]}
        for source, name in (("val", "validation_threshold"), ("fixed", "threshold_half")):
            rows = [d for d in matrix.decisions if (d.level, d.threshold_source) == (level, source)]
            part: dict[str, Any] = _numbers("threshold", rows[0].threshold) if rows else {}
            for d in rows:
                if d.metric not in ("specificity", "sensitivity"):
                    part |= _numbers(d.metric, d.value, d.lo, d.hi)
                    part |= {f"{d.metric}_condition": keys[d.condition]} if d.condition else {}
            found |= {name: part} if part else {}
        cells: dict[str, dict[str, dict[str, float]]] = {}
        for cell in (c for c in matrix.cells if c.level == level):
            for name, value in _numbers("cells", cell.auc, cell.lo, cell.hi).items():
                cells.setdefault(name, {}).setdefault(keys[cell.real], {})[keys[cell.fake]] = value
        out |= {level: found | cells} if found else {}
    return out


def _numbers(name: str, value: float, lo: float = np.nan, hi: float = np.nan) -> dict[str, float]:
    named = {name: value, f"{name}_lo": lo, f"{name}_hi": hi}
    return {key: rounded(number) for key, number in named.items() if not np.isnan(number)}
