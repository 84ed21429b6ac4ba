"""From a table of scores to every number of the evaluation: rows of values with intervals, drops, calibration.

The test split is judged. Thresholds are .5 ("fixed") and the one with the largest balanced accuracy on the validation
split at the same quality and level ("val"); nothing is chosen on the test split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import calibration, metrics
from .intervals import UNITS, Bootstrap, Floats, bootstrap_panel, delong, delong_difference, holm, percentile
from .robustness import Ends, ends, retention
from .scores import Scores, by_video, quality_name

__all__ = ["ALL", "HEADLINE", "LEVELS", "Difference", "Row", "Settings", "Summary", "summarize"]

LEVELS = ("frame", "video")
ALL = "all"                            # the method of rows over all methods
FIXED = 0.5
HEADLINE = ("auc", "ap", "eer", "accuracy", "balanced_accuracy", "f1")     # what metrics.json holds, thresholds at .5
WITH_THRESHOLD = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc", "acc_real", "acc_fake")


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
    """One metric at one quality, level and method, with the interval from drawing one unit; nan where undefined.

    `threshold_source` is ``fixed``, ``val``, or empty for metrics without a threshold.
    """

    quality: str
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
    """A metric at quality *high* minus the same at *low*, on the same faces.

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
class Summary:
    """Everything `evaluation metrics` writes. Rows are in the order quality, level, method, metric, unit."""

    settings: Settings
    qualities: list[str]
    methods: list[str]
    n: dict[str, int]
    dropped: int
    rows: list[Row]
    differences: list[Difference]
    calibration: list[dict[str, Any]]
    delong: list[dict[str, Any]]
    undefined: list[str] = field(default_factory=list)

    def find(
        self, quality: str, level: str, metric: str, method: str = ALL, unit: str = "video", source: str | None = None
    ) -> Row | None:
        """Return one row; *source* chooses the threshold, .5 where nothing is said."""
        source = ("fixed" if metric in WITH_THRESHOLD else "") if source is None else source
        wanted = (quality, level, metric, method, unit, source)
        for row in self.rows:
            if (row.quality, row.level, row.metric, row.method, row.unit, row.threshold_source) == wanted:
                return row
        return None

    def ends(self) -> Ends | None:
        """Return the qualities between which the drop is measured."""
        return ends(self.qualities)

    def drop(self, level: str, metric: str, unit: str = "video", method: str = ALL) -> Difference | None:
        """Return the drop between the highest and the lowest JPEG quality."""
        found = self.ends()
        for row in self.differences:
            key = (row.level, row.metric, row.unit, row.method)
            if found and key == (level, metric, unit, method) and (row.high, row.low) == (found.high, found.low):
                return row
        return None

    def retention(self, quality: str, level: str) -> float:
        """Return the share of the separation of the uncompressed faces that is left at *quality*."""
        here, raw = self.find(quality, level, "auc"), self.find("raw", level, "auc")
        return retention(here.value, raw.value) if here and raw else float("nan")


Panel = dict[tuple[str, str], Floats]


@dataclass(frozen=True, slots=True)
class _Cell:
    """The scores of one quality, level and method, and what was computed of them."""

    quality: str
    level: str
    method: str
    scores: Scores
    thresholds: dict[str, float]
    values: Panel
    replicates: dict[str, Panel]       # by unit


def summarize(scores: Scores, settings: Settings | None = None) -> Summary:
    """Judge the test split of *scores*.

    By-video intervals draw videos, real and fake ones apart; by-pair intervals draw pairs. One set of draws serves all
    qualities and levels of a method, so that differences between them are paired.
    """
    settings = settings or Settings()
    test, val = scores.where(split="test"), scores.where(split="val")
    qualities, methods = test.qualities or scores.qualities, test.methods
    cells = {(c.quality, c.level, c.method): c for c in _cells(test, val, qualities, methods, settings)}
    rows = [row for cell in cells.values() for row in _rows(cell, settings)]
    differences = _differences(cells, qualities, methods, settings)
    undefined = _undefined(rows, differences, qualities, len(test))
    return Summary(
        settings=settings,
        qualities=qualities,
        methods=methods,
        n=test.counts(),
        dropped=scores.dropped,
        rows=rows,
        differences=differences,
        calibration=_calibration(test, val, qualities),
        delong=_delong(cells, settings),
        undefined=undefined,
    )


def _cells(
    test: Scores, val: Scores, qualities: list[str], methods: list[str], settings: Settings
) -> Iterator[_Cell]:
    parts = {ALL: test} | {method: test.of_method(method) for method in methods}
    draws = {
        (method, unit): Bootstrap.draw(part, unit, settings.replicates, settings.seed)
        for method, part in parts.items()
        for unit in UNITS
    }
    for quality in qualities:
        known = val.where(quality=quality)
        for level in LEVELS:
            known_here = known if level == "frame" else by_video(known)
            thresholds = {"fixed": FIXED, "val": metrics.youden_threshold(known_here.label, known_here.score)}
            for method, part in parts.items():
                here = part.where(quality=quality)
                here = here if level == "frame" else by_video(here)
                values = bootstrap_panel(here, thresholds)
                replicates = {unit: _replicates(here, thresholds, draws[method, unit]) for unit in UNITS}
                yield _Cell(quality, level, method, here, thresholds, values, replicates)


def _replicates(scores: Scores, thresholds: dict[str, float], bootstrap: Bootstrap) -> Panel:
    """Return the replicates of every metric, or none at all where too few clusters would make them up."""
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
                cell.quality, cell.level, cell.method, metric, float(value), lo, hi, unit, *n, threshold, source
            )


def _ends_of(replicates: Floats | None, value: float, settings: Settings) -> tuple[float, float]:
    if replicates is None or np.isnan(value):
        return float("nan"), float("nan")
    return percentile(replicates, settings.confidence)


def _differences(
    cells: dict[tuple[str, str, str], _Cell], qualities: list[str], methods: list[str], settings: Settings
) -> list[Difference]:
    """Return the highest JPEG quality against every other quality, raw included."""
    found = ends(qualities)
    if not found:
        return []
    others = [quality for quality in qualities if quality != found.high]
    out = []
    for level in LEVELS:
        for method in (ALL, *methods):
            pairs = [(cells[found.high, level, method], cells[low, level, method]) for low in others]
            p_values = [_paired_p(high, low) for high, low in pairs]
            for (high, low), p, p_holm in zip(pairs, p_values, holm(p_values), strict=True):
                out += list(_difference(high, low, p, float(p_holm), settings))
    return out


def _difference(high: _Cell, low: _Cell, p: float, p_holm: float, settings: Settings) -> Iterator[Difference]:
    for metric in HEADLINE:
        key = (metric, "fixed" if metric in WITH_THRESHOLD else "")
        value = float(high.values[key]) - float(low.values[key])
        for unit in UNITS:
            first, second = high.replicates[unit].get(key), low.replicates[unit].get(key)
            both = first - second if first is not None and second is not None else None
            lo, hi = _ends_of(both, value, settings)
            tested = metric == "auc" and unit == "video"
            yield Difference(
                high.quality, low.quality, high.level, high.method, metric, value, lo, hi, unit,
                p if tested else float("nan"), p_holm if tested else float("nan"),
            )  # fmt: skip


def _paired_p(high: _Cell, low: _Cell) -> float:
    _, first, second = np.intersect1d(high.scores.key, low.scores.key, return_indices=True)
    a, b = high.scores[first], low.scores[second]
    return delong_difference(a.label, a.score, b.score, a.video).p


def _delong(cells: dict[tuple[str, str, str], _Cell], settings: Settings) -> list[dict[str, Any]]:
    """Return the closed-form intervals of every AUC, beside the bootstrap's."""
    out = []
    for (quality, level, method), cell in cells.items():
        for unit in UNITS:
            found = delong(cell.scores.label, cell.scores.score, getattr(cell.scores, unit), settings.confidence)
            out.append(
                {"quality": quality, "level": level, "method": method, "auc": found.value, "standard_error": found.se,
                 "lo": found.lo, "hi": found.hi, "unit": unit}
            )  # fmt: skip
    return out


def _calibration(test: Scores, val: Scores, qualities: list[str]) -> list[dict[str, Any]]:
    """Return, by quality, frame-level calibration before and after a temperature fitted on the validation split.

    Once fitted at the same quality, once at the highest JPEG quality: the second is what a detector that does not know
    the quality of its input can do.
    """
    found = ends(qualities)
    reference = val.where(quality=found.high) if found else val[:0]
    at_reference = calibration.temperature(reference.label, calibration.logit(reference.score))
    out = []
    for quality in qualities:
        here, known = test.where(quality=quality), val.where(quality=quality)
        own = calibration.temperature(known.label, calibration.logit(known.score))
        row = {"quality": quality, "ece": calibration.ece(here.label, here.score), "temperature": own}
        row["ece_after"] = calibration.ece(here.label, calibration.apply_temperature(here.score, own))
        row["temperature_reference"] = at_reference
        row["ece_after_reference"] = calibration.ece(
            here.label, calibration.apply_temperature(here.score, at_reference)
        )
        out.append(row | {"n_frames": len(here)})
    return out


def _undefined(rows: list[Row], differences: list[Difference], qualities: list[str], num_rows: int) -> list[str]:
    """Return one line per headline number that has no value or no interval, with the reason."""
    if not num_rows:
        return ["everything: the test split is empty"]
    out = []
    for row in rows:
        if row.method != ALL or row.unit != "video" or row.metric not in HEADLINE or row.threshold_source == "val":
            continue
        name = f"{quality_name(row.quality)}.{row.level}.{row.metric}"
        if np.isnan(row.value):
            out.append(f"{name}: {_why(row)}")
        elif np.isnan(row.lo):
            out.append(f"{name}_lo, {name}_hi: fewer than two real or two fake videos")
    if not differences:
        out.append("drop: fewer than two JPEG qualities")
    for difference in differences:
        found = ends(qualities)
        shown = difference.method == ALL and difference.unit == "video"
        if found and shown and difference.low == found.low and np.isnan(difference.value):
            out.append(f"drop.{difference.level}.{difference.metric}: undefined at one of the two qualities")
    return out


def _why(row: Row) -> str:
    if row.n_frames == 0:
        return "no faces at this quality"
    return "one class only" if row.metric != "f1" else "no fakes and none called fake"
