"""Compute every number of the evaluation from a table of scores: metrics with intervals, drops, calibration.

Metrics are computed on the test split. Thresholds are .5 (``fixed``) and the one with the largest balanced accuracy on
the validation split, in the same condition and at the same level (``val``); nothing is chosen on the test split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import calibration
from .calibration_ranges import ece, fitted_temperature
from .cells import LEVELS, Cell, Compared, Jackknife, Method, Resampled
from .clusters import cluster
from .conditions import RAW, Ends, condition_key, ends
from .intervals import UNITS, delong, holm
from .jackknife import Estimate, Sample
from .metrics import METRICS, headline
from .printed import number_with
from .scores import ALL, Reading, Scores, Source, by_video
from .wilson import Range, mean_estimate, mean_of, of_share

__all__ = ["ALL", "LEVELS", "Difference", "Row", "Settings", "Summary", "summarize"]

KINDS = ("jackknife", "bootstrap")
CHANCE = 0.5                           # the AUC of scores that say nothing about the class
# fields of `Calibration` and their names in its reason
CALIBRATED = {
    "ece": "ECE", "temperature": "temperature", "ece_after": "ECE after",
    "temperature_reference": "reference temperature", "ece_after_reference": "ECE after reference",
}  # fmt: skip


def _default_source(metric: str) -> str:
    """Return the default threshold source of *metric*; KeyError for an unknown metric."""
    return "fixed" if METRICS[metric].needs_threshold else ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are made: two-sided *confidence* in (0, 1), by ``jackknife`` or ``bootstrap``.

    *replicates* and *seed* are those of the bootstrap, which is there for comparison: its intervals are too narrow with
    few clusters (docs/results.md).
    """

    replicates: int = 1000
    confidence: float = 0.95
    seed: int = 1
    intervals: str = "jackknife"

    def __post_init__(self) -> None:
        if self.replicates < 1:
            raise ValueError(f"replicates must be at least 1, got {self.replicates}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {self.confidence}")
        if self.intervals not in KINDS:
            raise ValueError(f"intervals must be one of {', '.join(KINDS)}, got {self.intervals!r}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True, slots=True)
class Row:
    """One metric in one condition, at one level and of one method, with its interval; nan where undefined.

    `unit` is what the interval treats as independent (``pair``, ``person``, ``video``, ``row``). `threshold_source` is
    ``fixed``, ``val``, or empty for metrics without a threshold. `reason` says why the value or its interval is
    undefined.
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
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason why the value or its interval is undefined."""
        if np.isnan(self.value):
            return "no faces in this condition" if self.n_frames == 0 else self.reason or METRICS[self.metric].undefined
        return self.reason


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric in condition *high* minus the same metric in condition *low*, on the same faces.

    `p` is that of the interval (with the bootstrap: clustered DeLong's, of the AUC by videos); `p_holm` is adjusted
    over all differences of the same metric, level, method and unit.
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
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason why the value or its interval is undefined."""
        return self.reason or ("undefined in one of the two conditions" if np.isnan(self.value) else "")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number made of several AUCs, in one condition and at one level.

    `name` is ``retention``, (AUC - .5) / (AUC of uncompressed faces - .5): how much of the distance from chance the
    condition keeps; or ``method_mean``, the mean AUC of the methods.
    """

    name: str
    condition: str
    level: str
    method: str
    value: float
    lo: float
    hi: float
    unit: str
    reason: str = ""

    @property
    def why(self) -> str:
        """The reason why the value or its interval is undefined."""
        return self.reason


@dataclass(frozen=True, slots=True)
class Covariance:
    """The jackknife covariance of the AUCs over all methods in two conditions, for means over conditions.

    `value`, `clusters` and `cap` (see `jackknife.Estimate`) are those of the first condition.
    """

    level: str
    first: str
    second: str
    covariance: float
    value: float
    clusters: int
    cap: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Frame-level calibration in one condition: ECE, fitted temperatures, ECE after dividing the logits by them.

    `temperature` is fitted on the validation split in the same condition, `temperature_reference` in the first
    condition of `ends`: as for a detector that is not told the condition of its input. Intervals of an ECE after
    scaling take the temperature as given.
    """

    condition: str
    ece: float
    ece_lo: float
    ece_hi: float
    temperature: float
    temperature_lo: float
    temperature_hi: float
    ece_after: float
    ece_after_lo: float
    ece_after_hi: float
    temperature_reference: float
    temperature_reference_lo: float
    temperature_reference_hi: float
    ece_after_reference: float
    ece_after_reference_lo: float
    ece_after_reference_hi: float
    n_frames: int
    unit: str
    reason: str = ""

    def texts(self) -> list[str]:
        """Return the five figures, each with its interval or the reason why it has none."""
        reasons = {words: why for words, _, why in (part.partition(": ") for part in self.reason.split("; "))}
        texts = []
        for field_name, words in CALIBRATED.items():
            value, lo, hi = (getattr(self, f"{field_name}{end}") for end in ("", "_lo", "_hi"))
            texts.append(number_with(value, lo, hi, reason=reasons.get(words, "")))
        return texts


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
    scalars: list[Scalar] = field(default_factory=list)
    covariances: list[Covariance] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    source: Source | None = None           # the scores file
    reading: Reading = field(default_factory=Reading)
    notes: list[str] = field(default_factory=list)   # what was guessed, assumed or left out while it was read

    def find(
        self, condition: str, level: str, metric: str, method: str = ALL, unit: str = "", source: str | None = None
    ) -> Row | None:
        """Return one row, or None.

        *unit*: by default the first of `units`. *source* selects the threshold, by default .5 where one is needed.
        """
        source = _default_source(metric) if source is None else source
        wanted = (condition, level, metric, method, unit or self.units[0], source)
        for row in self.rows:
            if (row.condition, row.level, row.metric, row.method, row.unit, row.threshold_source) == wanted:
                return row
        return None

    @property
    def units(self) -> list[str]:
        """The units for which there are intervals."""
        return list(dict.fromkeys(row.unit for row in self.rows)) or ["pair"]

    def ends(self) -> Ends | None:
        """Return the conditions between which the drop is measured, or None."""
        return ends(self.conditions)

    def drop(self, level: str, metric: str, unit: str = "", method: str = ALL) -> Difference | None:
        """Return the drop between the two conditions of `ends`, or None."""
        found, unit = self.ends(), unit or self.units[0]
        for row in self.differences:
            key = (row.level, row.metric, row.unit, row.method)
            if found and key == (level, metric, unit, method) and (row.high, row.low) == (found.high, found.low):
                return row
        return None

    def scalar(self, name: str, condition: str, level: str, method: str = ALL) -> Scalar | None:
        """Return one scalar, or None."""
        wanted = (name, condition, level, method)
        return next((row for row in self.scalars if (row.name, row.condition, row.level, row.method) == wanted), None)

    def reversed_scores(self) -> list[str]:
        """Return a sentence if real faces score higher than fakes in every condition, by the whole interval."""
        found = [row for row in self.rows if (row.metric, row.level, row.method) == ("auc", "frame", ALL)]
        if not found or not all(row.hi < CHANCE for row in found):
            return []
        highest = max(found, key=lambda row: row.value)
        which = "frame AUC" if len(self.conditions) == 1 else "highest frame AUC"
        shown = number_with(highest.value, highest.lo, highest.hi)
        return [
            f"real faces score higher than fakes ({which} {shown}): "
            "check that label 1 means fake and that a higher score means fake; a detector without skill has .5"
        ]

    def mean_auc(self, conditions: list[str], weights: list[float] | None = None, level: str = "frame") -> Range:
        """Return the weighted mean of the AUCs of *conditions* over all methods, with its interval."""
        found = {row.first: row for row in self.covariances if row.level == level}
        if not conditions or any(condition not in found for condition in conditions):
            aucs = [row.value if (row := self.find(name, level, "auc")) else np.nan for name in conditions]
            value = float(np.average(aucs, weights=weights)) if aucs else float("nan")
            return Range(value, np.nan, np.nan, "no covariances in this table")
        pairs = {(row.first, row.second): row.covariance for row in self.covariances if row.level == level}
        matrix = np.array([[pairs[a, b] for b in conditions] for a in conditions])
        values, vectors = np.linalg.eigh(matrix)
        root = vectors * np.sqrt(np.maximum(values, 0))
        ones = np.ones(len(conditions))
        estimates = [
            Estimate(found[name].value, root[i], ones, found[name].clusters, found[name].cap)
            for i, name in enumerate(conditions)
        ]
        return mean_of(estimates, weights, self.settings.confidence)


def summarize(scores: Scores, settings: Settings | None = None, reading: Reading | None = None) -> Summary:
    """Return the metrics of the test split of *scores*, each with its interval or the reason why it has none."""
    settings = settings or Settings()
    test, val = scores.where(split="test"), scores.where(split="val")
    conditions, names = test.conditions or scores.conditions, test.parts
    cells = _intervals(test, val, conditions, settings)
    rows: list[Row] = []
    differences: list[Difference] = []
    scalars: list[Scalar] = []
    means, covariances = _Means(settings.confidence), []
    for name in names:
        method = cells.method(name)
        rows += [row for place, cell in method.cells.items() for row in _rows(name, *place, cell)]
        differences += _differences(name, method, conditions)
        scalars += _retentions(name, method, conditions, cells.units[-1])
        if name == ALL:
            covariances = list(_covariances(method))
        else:
            means.add(method)
    units = cells.units
    del cells, method                      # of a large table they hold hundreds of megabytes
    numbers = [{value: number for number, value in enumerate(values)} for values in (conditions, LEVELS, names)]
    rows.sort(key=lambda row: (numbers[0][row.condition], numbers[1][row.level], numbers[2][row.method]))
    differences.sort(key=lambda row: (numbers[1][row.level], numbers[2][row.method]))
    found = Summary(
        settings=settings,
        conditions=conditions,
        methods=names[1:],
        n=test.counts(),
        dropped=scores.dropped,
        rows=rows,
        differences=differences,
        calibration=_calibration(test, val, conditions, settings.confidence),
        delong=_delong(test, conditions, settings),
        scalars=scalars + list(means.rows(units[0])),
        covariances=covariances,
        undefined=_undefined(rows, differences, conditions, len(test), units[0]),
        source=scores.source,
        reading=reading or Reading(),
        notes=list(scores.notes),
    )
    found.notes.extend(found.reversed_scores())
    return found


def _intervals(test: Scores, val: Scores, conditions: list[str], settings: Settings) -> Jackknife | Resampled:
    if settings.intervals == "bootstrap":
        return Resampled(test, val, conditions, settings.confidence, settings.replicates, settings.seed)
    return Jackknife(test, val, conditions, settings.confidence)


def _rows(method: str, condition: str, level: str, cell: Cell) -> Iterator[Row]:
    for (metric, source), ranges in cell.ranges.items():
        threshold = cell.thresholds.get(source, float("nan"))
        for unit, found in ranges.items():
            reason = found.reason if np.isnan(found.lo) else ""
            yield Row(
                condition, level, method, metric, found.value, found.lo, found.hi, unit, *cell.n, threshold, source,
                reason,
            )  # fmt: skip


def _differences(name: str, method: Method, conditions: list[str]) -> list[Difference]:
    """Return the differences of the first condition of `ends` and every other condition, ``raw`` included."""
    found = ends(conditions)
    if not found:
        return []
    others = [condition for condition in conditions if condition != found.high]
    out = []
    for level in LEVELS:
        for metric in headline():
            key = (metric, _default_source(metric))
            compared = [method.differences(level, found.high, low, key) for low in others]
            adjusted = [holm([units[i].p for units in compared]) for i in range(len(compared[0]))]
            out += [
                _difference(found.high, low, level, name, metric, units[i], float(adjusted[i][number]))
                for number, (low, units) in enumerate(zip(others, compared, strict=True))
                for i in range(len(units))
            ]
    return out


def _difference(
    high: str, low: str, level: str, method: str, metric: str, found: Compared, p_holm: float
) -> Difference:
    value, lo, hi, reason = found.range
    reason = reason if np.isnan(lo) else ""
    return Difference(high, low, level, method, metric, value, lo, hi, found.unit, found.p, p_holm, reason)


def _retentions(name: str, method: Method, conditions: list[str], unit: str) -> Iterator[Scalar]:
    if RAW in conditions:
        for condition in conditions:
            for level in LEVELS:
                found = method.retention(level, condition, RAW)
                yield _scalar("retention", condition, level, name, found, unit)


def _scalar(name: str, condition: str, level: str, method: str, found: Range, unit: str) -> Scalar:
    return Scalar(name, condition, level, method, *found[:3], unit, found.reason if np.isnan(found.lo) else "")


class _Means:
    """The mean AUC of the methods, added up method by method: what is kept does not grow with their number."""

    def __init__(self, confidence: float) -> None:
        self.confidence, self.count = confidence, 0
        self._sums: dict[tuple[str, str], Estimate] = {}

    def add(self, method: Method) -> None:
        self.count += 1
        for level in LEVELS:
            for condition, auc in method.aucs(level).items():
                before = self._sums.get((condition, level))
                self._sums[condition, level] = auc if before is None else mean_estimate(
                    [before, auc], [self.count - 1, 1]
                )  # fmt: skip

    def rows(self, unit: str) -> Iterator[Scalar]:
        for (condition, level), mean in self._sums.items():
            yield _scalar("method_mean", condition, level, ALL, of_share(mean, self.confidence), unit)


def _covariances(method: Method) -> Iterator[Covariance]:
    for level in LEVELS:
        aucs = method.aucs(level)
        for first, a in aucs.items():
            if not a.reason:
                for second, b in aucs.items():
                    covariance = a.variance if first == second else a.covariance(b)
                    yield Covariance(level, first, second, covariance, a.value, a.clusters, a.cap)


def _delong(test: Scores, conditions: list[str], settings: Settings) -> list[DeLong]:
    """Return the closed-form interval of the AUC over all methods in every condition and level, for comparison."""
    out = []
    for condition in conditions:
        frames = test.where(condition=condition)
        for level, here in (("frame", frames), ("video", by_video(frames))):
            for unit in UNITS:
                found = delong(here.label, here.score, getattr(here, unit).codes, settings.confidence)
                out.append(DeLong(condition, level, ALL, found.value, found.se, found.lo, found.hi, unit))
    return out


def _calibration(test: Scores, val: Scores, conditions: list[str], confidence: float) -> list[Calibration]:
    """Return the calibration of every condition; temperatures are fitted on the validation split."""
    found, of_test, of_val = ends(conditions), cluster(test), cluster(val)

    def sample(scores: Scores, condition: str, temperature: float = 1.0) -> Sample:
        rows = np.flatnonzero(scores.condition == condition)
        score = scores.score[rows]
        score = score if temperature == 1 else calibration.apply_temperature(score, temperature)
        return Sample.of(scores.label[rows], score, (of_test if scores is test else of_val)[rows])

    reference = fitted_temperature(sample(val, found.high if found else ""), confidence)
    out = []
    for condition in conditions:
        own = fitted_temperature(sample(val, condition), confidence)
        before, after, after_reference = (
            Range(np.nan, np.nan, np.nan, "no temperature was fitted") if np.isnan(t)
            else ece(sample(test, condition, t), confidence)
            for t in (1.0, own.value, reference.value)
        )  # fmt: skip
        parts = dict(zip(CALIBRATED.values(), (before, own, after, reference, after_reference), strict=True))
        reasons = [f"{name}: {part.reason}" for name, part in parts.items() if np.isnan(part.lo) and part.reason]
        out.append(
            Calibration(
                condition, *before[:3], *own[:3], *after[:3], *reference[:3], *after_reference[:3],
                int(np.sum(test.condition == condition)), of_test.unit, "; ".join(reasons),
            )
        )  # fmt: skip
    return out


def _undefined(
    rows: list[Row], differences: list[Difference], conditions: list[str], num_rows: int, unit: str
) -> list[str]:
    """Return one line per headline number that has no value or no interval, with the reason."""
    if not num_rows:
        return ["everything: the test split is empty"]
    out = []
    for row in rows:
        if row.method != ALL or row.unit != unit or row.metric not in headline() or row.threshold_source == "val":
            continue
        name = f"{condition_key(row.condition)}.{row.level}.{row.metric}"
        if np.isnan(row.value):
            out.append(f"{name}: {row.why}")
        elif np.isnan(row.lo):
            out.append(f"{name}_lo, {name}_hi: {row.reason}")
    if not differences:
        out.append("drop: fewer than two conditions other than raw")
    for difference in differences:
        found = ends(conditions)
        shown = difference.method == ALL and difference.unit == unit
        if found and shown and difference.low == found.low and np.isnan(difference.value):
            out.append(f"drop.{difference.level}.{difference.metric}: undefined in one of the two conditions")
    return out
