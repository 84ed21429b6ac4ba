"""Compute every number of the evaluation from a table of scores: metrics with intervals, drops, calibration.

Metrics are computed on the test split. Thresholds are .5 (``fixed``) and the one with the largest balanced accuracy on
the validation split, in the same condition and at the same level (``val``); nothing is chosen on the test split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import calibration, metrics
from .conditions import RAW, Ends, condition_key, ends
from .intervals import UNITS, Bootstrap, Floats, bootstrap_panel, delong, delong_difference, holm, percentile
from .metrics import METRICS, headline
from .robustness import retention
from .scores import ALL, Scores, Source, by_video

__all__ = ["ALL", "LEVELS", "Difference", "Row", "Settings", "Summary", "summarize"]

LEVELS = ("frame", "video")
FIXED = 0.5


def _default_source(metric: str) -> str:
    """Return the threshold that stands for *metric* where none is named; KeyError for an unknown metric."""
    return "fixed" if METRICS[metric].needs_threshold else ""


@dataclass(frozen=True, slots=True)
class Settings:
    """*replicates* bootstrap draws, two-sided *confidence* in (0, 1), *seed* of the draws."""

    replicates: int = 1000
    confidence: float = 0.95
    seed: int = 1

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise ValueError(f"replicates must be at least 1, got {self.replicates}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {self.confidence}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in one condition, at one level and of one method, with its interval; nan where undefined.

    `unit` says what was resampled for the interval (``video`` or ``pair``). `threshold_source` is ``fixed``, ``val``,
    or empty for metrics without a threshold.
    """

    condition: str
    level: str
    method: str
    metric: str
    value: float
    lo: float
    hi: float
    unit: str
    n_frames: int
    n_videos: int
    n_pairs: int
    threshold: float
    threshold_source: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric in condition *high* minus the same metric in condition *low*, on the same faces.

    `p` and `p_holm` (for the AUC, by videos) are clustered DeLong's, the latter adjusted over all differences of the
    same level over all methods.
    """

    high: str
    low: str
    level: str
    method: str
    metric: str
    value: float
    lo: float
    hi: float
    unit: str
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Frame-level calibration in one condition: ECE, fitted temperatures, ECE after dividing the logits by them.

    `temperature` is fitted on the validation split in the same condition, `temperature_reference` in the first
    condition of `ends`: what a detector can do that does not know the condition of its input.
    """

    condition: str
    ece: float
    temperature: float
    ece_after: float
    temperature_reference: float
    ece_after_reference: float
    n_frames: int


@dataclass(frozen=True, slots=True)
class DeLong:
    """An AUC with the closed-form interval of clustered DeLong."""

    condition: str
    level: str
    method: str
    auc: float
    standard_error: float
    lo: float
    hi: float
    unit: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that `evaluation metrics` writes. Rows are ordered by condition, level, method, metric and unit."""

    settings: Settings
    conditions: list[str]
    methods: list[str]
    n: dict[str, int]
    dropped: int
    rows: list[Row]
    differences: list[Difference]
    calibration: list[Calibration]
    delong: list[DeLong]
    undefined: list[str] = field(default_factory=list)
    source: Source | None = None           # the scores file

    def find(
        self, condition: str, level: str, metric: str, method: str = ALL, unit: str = "video", source: str | None = None
    ) -> Row | None:
        """Return one row, or None; *source* selects the threshold, by default .5 for metrics that need one."""
        source = _default_source(metric) if source is None else source
        wanted = (condition, level, metric, method, unit, source)
        for row in self.rows:
            if (row.condition, row.level, row.metric, row.method, row.unit, row.threshold_source) == wanted:
                return row
        return None

    def ends(self) -> Ends | None:
        """Return the conditions between which the drop is measured, or None."""
        return ends(self.conditions)

    def drop(self, level: str, metric: str, unit: str = "video", method: str = ALL) -> Difference | None:
        """Return the drop between the two conditions of `ends`, or None."""
        found = self.ends()
        for row in self.differences:
            key = (row.level, row.metric, row.unit, row.method)
            if found and key == (level, metric, unit, method) and (row.high, row.low) == (found.high, found.low):
                return row
        return None

    def retention(self, condition: str, level: str) -> float:
        """Return (AUC - .5) / (AUC of uncompressed faces - .5); nan where that AUC is unknown or at most .5."""
        here, raw = self.find(condition, level, "auc"), self.find(RAW, level, "auc")
        return retention(here.value, raw.value) if here and raw else float("nan")


Panel = dict[tuple[str, str], Floats]


@dataclass(frozen=True, slots=True)
class _Cell:
    """The scores of one condition, level and method, and their metrics."""

    condition: str
    level: str
    method: str
    scores: Scores
    thresholds: dict[str, float]
    values: Panel
    replicates: dict[str, Panel]       # by unit


def summarize(scores: Scores, settings: Settings | None = None) -> Summary:
    """Return the metrics of the test split of *scores*.

    Intervals by videos resample videos, stratified by class; intervals by pairs resample pairs. All conditions and
    levels of a method share one set of draws, so that differences between them are paired.
    """
    settings = settings or Settings()
    test, val = scores.where(split="test"), scores.where(split="val")
    conditions, methods = test.conditions or scores.conditions, test.parts[1:]
    cells = {(c.condition, c.level, c.method): c for c in _cells(test, val, conditions, settings)}
    rows = [row for cell in cells.values() for row in _rows(cell, settings)]
    differences = _differences(cells, conditions, methods, settings)
    undefined = _undefined(rows, differences, conditions, len(test))
    return Summary(
        settings=settings,
        conditions=conditions,
        methods=methods,
        n=test.counts(),
        dropped=scores.dropped,
        rows=rows,
        differences=differences,
        calibration=_calibration(test, val, conditions),
        delong=_delong(cells, settings),
        undefined=undefined,
        source=scores.source,
    )


def _cells(
    test: Scores, val: Scores, conditions: list[str], settings: Settings
) -> Iterator[_Cell]:
    parts = {name: test.part(name) for name in test.parts}
    draws = {
        (method, unit): Bootstrap.draw(part, unit, settings.replicates, settings.seed)
        for method, part in parts.items()
        for unit in UNITS
    }
    for condition in conditions:
        known = val.where(condition=condition)
        for level in LEVELS:
            known_here = known if level == "frame" else by_video(known)
            thresholds = {"fixed": FIXED, "val": metrics.youden_threshold(known_here.label, known_here.score)}
            for method, part in parts.items():
                here = part.where(condition=condition)
                here = here if level == "frame" else by_video(here)
                values = bootstrap_panel(here, thresholds)
                replicates = {unit: _replicates(here, thresholds, draws[method, unit]) for unit in UNITS}
                yield _Cell(condition, level, method, here, thresholds, values, replicates)


def _replicates(scores: Scores, thresholds: dict[str, float], bootstrap: Bootstrap) -> Panel:
    """Return the replicates of every metric, none where there are fewer than two clusters of a class."""
    return bootstrap_panel(scores, thresholds, bootstrap) if bootstrap.enough(scores) else {}


def _rows(cell: _Cell, settings: Settings) -> Iterator[Row]:
    scores = cell.scores
    frames = len(scores) if cell.level == "frame" else int(scores.frame.sum())
    n = frames, len(np.unique(scores.video)), len(np.unique(scores.pair))
    for (metric, source), value in cell.values.items():
        for unit in UNITS:
            lo, hi = _ends_of(cell.replicates[unit].get((metric, source)), float(value), settings)
            threshold = cell.thresholds.get(source, float("nan"))
            yield Row(
                cell.condition, cell.level, cell.method, metric, float(value), lo, hi, unit, *n, threshold, source
            )


def _ends_of(replicates: Floats | None, value: float, settings: Settings) -> tuple[float, float]:
    if replicates is None or np.isnan(value):
        return float("nan"), float("nan")
    return percentile(replicates, settings.confidence)


def _differences(
    cells: dict[tuple[str, str, str], _Cell], conditions: list[str], methods: list[str], settings: Settings
) -> list[Difference]:
    """Return the differences of the first condition of `ends` and every other condition, ``raw`` included."""
    found = ends(conditions)
    if not found:
        return []
    others = [condition for condition in conditions if condition != found.high]
    out = []
    for level in LEVELS:
        for method in (ALL, *methods):
            pairs = [(cells[found.high, level, method], cells[low, level, method]) for low in others]
            p_values = [_paired_p(high, low) for high, low in pairs]
            for (high, low), p, p_holm in zip(pairs, p_values, holm(p_values), strict=True):
                out += list(_difference(high, low, p, float(p_holm), settings))
    return out


def _difference(high: _Cell, low: _Cell, p: float, p_holm: float, settings: Settings) -> Iterator[Difference]:
    for metric in headline():
        key = (metric, _default_source(metric))
        value = float(high.values[key]) - float(low.values[key])
        for unit in UNITS:
            first, second = high.replicates[unit].get(key), low.replicates[unit].get(key)
            both = first - second if first is not None and second is not None else None
            lo, hi = _ends_of(both, value, settings)
            tested = metric == "auc" and unit == "video"
            yield Difference(
                high.condition, low.condition, high.level, high.method, metric, value, lo, hi, unit,
                p if tested else float("nan"), p_holm if tested else float("nan"),
            )  # fmt: skip


def _paired_p(high: _Cell, low: _Cell) -> float:
    _, first, second = np.intersect1d(high.scores.key, low.scores.key, return_indices=True)
    a, b = high.scores[first], low.scores[second]
    return delong_difference(a.label, a.score, b.score, a.video).p


def _delong(cells: dict[tuple[str, str, str], _Cell], settings: Settings) -> list[DeLong]:
    """Return the closed-form interval of every AUC."""
    out = []
    for (condition, level, method), cell in cells.items():
        for unit in UNITS:
            found = delong(cell.scores.label, cell.scores.score, getattr(cell.scores, unit), settings.confidence)
            out.append(DeLong(condition, level, method, found.value, found.se, found.lo, found.hi, unit))
    return out


def _calibration(test: Scores, val: Scores, conditions: list[str]) -> list[Calibration]:
    """Return the calibration of every condition; temperatures are fitted on the validation split."""
    found = ends(conditions)
    reference = val.where(condition=found.high) if found else val[:0]
    at_reference = calibration.temperature(reference.label, metrics.logit(reference.score))
    out = []
    for condition in conditions:
        here, known = test.where(condition=condition), val.where(condition=condition)
        own = calibration.temperature(known.label, metrics.logit(known.score))
        before, after, after_reference = (
            calibration.ece(here.label, calibration.apply_temperature(here.score, t) if t != 1 else here.score)
            for t in (1.0, own, at_reference)
        )
        out.append(Calibration(condition, before, own, after, at_reference, after_reference, len(here)))
    return out


def _undefined(rows: list[Row], differences: list[Difference], conditions: list[str], num_rows: int) -> list[str]:
    """Return one line per headline number that has no value or no interval, with the reason."""
    if not num_rows:
        return ["everything: the test split is empty"]
    out = []
    for row in rows:
        if row.method != ALL or row.unit != "video" or row.metric not in headline() or row.threshold_source == "val":
            continue
        name = f"{condition_key(row.condition)}.{row.level}.{row.metric}"
        if np.isnan(row.value):
            out.append(f"{name}: {_why(row)}")
        elif np.isnan(row.lo):
            out.append(f"{name}_lo, {name}_hi: fewer than two real or two fake videos")
    if not differences:
        out.append("drop: fewer than two conditions other than raw")
    for difference in differences:
        found = ends(conditions)
        shown = difference.method == ALL and difference.unit == "video"
        if found and shown and difference.low == found.low and np.isnan(difference.value):
            out.append(f"drop.{difference.level}.{difference.metric}: undefined in one of the two conditions")
    return out


def _why(row: Row) -> str:
    if row.n_frames == 0:
        return "no faces in this condition"
    return METRICS[row.metric].undefined
