"""The metrics of every condition and level of a table of scores, one method after the other.

`Jackknife` makes the intervals of the report (see `wilson`): the real scores of a condition are sorted once for all
methods, and nothing that grows with the clusters is kept after a method. `Resampled` makes those of the cluster
bootstrap for comparison. Both give a `Method` for a name of `Scores.parts`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .clusters import UNIT_NAMES, Clusters, cluster
from .intervals import UNITS, Bootstrap, Floats, bootstrap_panel, delong_difference, percentile
from .jackknife import Estimate, Sample, Side
from .measure import measure
from .scores import Scores, by_video
from .text import Text, first_rows
from .wilson import Range, difference, quantile, ratio_of_gains

__all__ = ["LEVELS", "Cell", "Compared", "Jackknife", "Key", "Method", "Resampled", "p_value", "thresholds"]

LEVELS = ("frame", "video")
FIXED = 0.5
Key = tuple[str, str]                  # metric, name of its threshold ("" without one)
UNDEFINED = "undefined in too many replicates, or fewer than two clusters of a class"


@dataclass(frozen=True, slots=True)
class Cell:
    """The metrics of one condition and level: a range for each unit; `n` is the number of faces, videos and pairs."""

    ranges: dict[Key, dict[str, Range]]
    thresholds: dict[str, float]
    n: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference with its interval, the unit behind it, and the two-sided p against 0 (nan where not tested)."""

    unit: str
    range: Range
    p: float


class Method(Protocol):
    """The results of one method; `cells` are by condition and level."""

    @property
    def cells(self) -> dict[tuple[str, str], Cell]:
        """The metrics by condition and level."""

    def differences(self, level: str, high: str, low: str, key: Key) -> list[Compared]:
        """Return a metric in condition *high* minus the same in *low*, for each unit."""

    def retention(self, level: str, condition: str, reference: str) -> Range:
        """Return the share of the AUC's distance from .5 that *condition* keeps of *reference*."""

    def aucs(self, level: str) -> dict[str, Estimate]:
        """Return the AUC of each condition where there are estimates, else nothing."""


def thresholds(val: Scores, condition: str, level: str) -> dict[str, float]:
    """Return the thresholds by name: .5, and Youden's on the validation split in the same condition and level."""
    known = val.where(condition=condition)
    known = known if level == "frame" else by_video(known)
    return {"fixed": FIXED, "val": metrics.youden_threshold(known.label, known.score)}


# -- jackknife ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """One condition at one level: the real side, and the fakes sorted by score with their method; ids of rows."""

    real: Side
    score: Floats
    clusters: Clusters
    method: NDArray[np.int32]
    pair: NDArray[np.int32]
    frames: NDArray[Any]               # faces behind each row, of integers
    real_pairs: NDArray[np.int32]
    real_videos: int
    real_frames: int


@dataclass(frozen=True, slots=True)
class _Jackknifed:
    cells: dict[tuple[str, str], Cell]
    estimates: dict[tuple[str, str], dict[Key, Estimate]]
    unit: str
    confidence: float

    def differences(self, level: str, high: str, low: str, key: Key) -> list[Compared]:
        first, second = (self.estimates[condition, level].get(key) for condition in (high, low))
        if first is None or second is None:
            a, b = (self.cells[condition, level].ranges[key][self.unit] for condition in (high, low))
            return [Compared(self.unit, Range(a.value - b.value, np.nan, np.nan, a.reason or b.reason), np.nan)]
        found = difference([first], [second], self.confidence)
        return [Compared(self.unit, found, p_value(*found[:3], min(first.clusters, second.clusters), self.confidence))]

    def retention(self, level: str, condition: str, reference: str) -> Range:
        here, there = (self.estimates[name, level]["auc", ""] for name in (condition, reference))
        return ratio_of_gains(here, there, confidence=self.confidence)

    def aucs(self, level: str) -> dict[str, Estimate]:
        """Return the AUC of each condition."""
        return {name: found["auc", ""] for (name, at), found in self.estimates.items() if at == level}


def p_value(value: float, lo: float, hi: float, clusters: int, confidence: float) -> float:
    """Return the two-sided p against 0 of Student's t that belongs to a symmetric interval; nan without spread."""
    from scipy.special import stdtr

    if np.isnan(lo) or hi <= lo:
        return float("nan")
    deviation = (hi - lo) / 2 / quantile((1 + confidence) / 2, clusters)
    return float(2 * stdtr(clusters - 1, -abs(value) / deviation))


class Jackknife:
    """Intervals by the clusters of the table, without resampling."""

    def __init__(self, test: Scores, val: Scores, conditions: list[str], confidence: float) -> None:
        self.confidence = confidence
        clusters = cluster(test)
        self.unit, self.units = clusters.unit, (clusters.unit,)
        methods = test.methods
        plain = {name: name if name in methods else name.removeprefix("method ") for name in test.parts[1:]}
        self._code = {name: methods.index(method) for name, method in plain.items()}
        self._rows, self._thresholds = {}, {}
        for condition in conditions:
            chosen = np.flatnonzero(test.condition == condition)
            here, of_rows = test[chosen], clusters[chosen]
            ones = np.ones(len(here), dtype=np.int32)
            self._rows[condition, "frame"] = _rows(here, of_rows, ones, methods)
            clip = here.clip.packed()
            first = first_rows(clip.codes, len(clip.names))               # the order of by_video
            videos = by_video(here)
            self._rows[condition, "video"] = _rows(videos, of_rows[first], videos.frame, methods)
            for level in LEVELS:
                self._thresholds[condition, level] = thresholds(val, condition, level)

    def method(self, name: str) -> _Jackknifed:
        """Return the metrics of one of `names`."""
        found = _Jackknifed({}, {}, self.unit, self.confidence)
        for place, rows in self._rows.items():
            of_method = rows.method == self._code[name] if name in self._code else np.ones(len(rows.score), dtype=bool)
            chosen = np.flatnonzero(of_method)
            clusters = rows.clusters[chosen]
            sample = Sample(rows.real, Side(rows.score[chosen], clusters))
            measured = measure(sample, self._thresholds[place], rows.real_videos, self.confidence)
            videos = rows.real_videos + len(np.unique(clusters.item))
            pairs = len(np.union1d(rows.real_pairs, rows.pair[chosen]))
            n = rows.real_frames + int(rows.frames[chosen].sum()), videos, pairs
            named = UNIT_NAMES[self.unit]
            ranges = {
                key: {self.unit: value._replace(reason=value.reason.replace("clusters", named))}
                for key, value in measured.ranges.items()
            }
            found.cells[place] = Cell(ranges, self._thresholds[place], n)
            found.estimates[place] = measured.estimates
        return found


def _rows(
    scores: Scores, clusters: Clusters, frames: NDArray[Any], methods: list[str]
) -> _Rows:
    fake, real = np.flatnonzero(scores.label == 1), np.flatnonzero(scores.label == 0)
    fake = fake[np.argsort(scores.score[fake], kind="stable")]
    return _Rows(
        real=Side(scores.score[real], clusters[real]),
        score=scores.score[fake],
        clusters=clusters[fake],
        method=scores.method[fake].codes_among(np.array(methods, dtype=np.str_)),
        pair=scores.pair.codes[fake],
        frames=frames[fake],
        real_pairs=np.unique(scores.pair.codes[real]),
        real_videos=len(np.unique(clusters.item[real])),
        real_frames=int(frames[real].sum()),
    )


# -- bootstrap ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scored:
    """The columns that a paired test needs from the rows of one condition; `key` and `video` are codes."""

    key: NDArray[np.int32]
    video: NDArray[np.int32]
    label: NDArray[np.int8]
    score: Floats

    @classmethod
    def of(cls, scores: Scores) -> Scored:
        return cls(scores.key.codes, scores.video.codes, scores.label, scores.score)


@dataclass(frozen=True, slots=True)
class _Bootstrapped:
    cells: dict[tuple[str, str], Cell]
    replicates: dict[tuple[str, str], dict[str, dict[Key, Floats]]]
    scores: dict[tuple[str, str], Scored]
    confidence: float

    def differences(self, level: str, high: str, low: str, key: Key) -> list[Compared]:
        values = [self.cells[name, level].ranges[key][UNITS[0]].value for name in (high, low)]
        out = []
        for unit in UNITS:
            first, second = (self.replicates[name, level][unit].get(key) for name in (high, low))
            drawn = first - second if first is not None and second is not None else None
            p = self._p(level, high, low) if key == ("auc", "") and unit == "video" else float("nan")
            out.append(Compared(unit, _percentiles(values[0] - values[1], drawn, self.confidence), p))
        return out

    def _p(self, level: str, high: str, low: str) -> float:
        """Return the p of paired clustered DeLong by videos, on the faces that both conditions have."""
        of_high, of_low = self.scores[high, level], self.scores[low, level]
        _, first, second = np.intersect1d(of_high.key, of_low.key, assume_unique=True, return_indices=True)
        return delong_difference(
            of_high.label[first], of_high.score[first], of_low.score[second], of_high.video[first]
        ).p

    def retention(self, level: str, condition: str, reference: str) -> Range:
        key, unit = ("auc", ""), UNITS[-1]
        here, there = (self.cells[name, level].ranges[key][unit].value for name in (condition, reference))
        if not there > 0.5:
            return Range(np.nan, np.nan, np.nan, "the reference is not above 0.5")
        first, second = (self.replicates[name, level][unit].get(key) for name in (condition, reference))
        value = (here - 0.5) / (there - 0.5)
        if first is None or second is None:
            return Range(value, np.nan, np.nan, UNDEFINED)
        drawn = np.divide(first - 0.5, second - 0.5, out=np.full(len(first), np.nan), where=second > 0.5)
        return _percentiles(value, drawn, self.confidence)

    def aucs(self, level: str) -> dict[str, Estimate]:  # noqa: ARG002
        return {}


def _percentiles(value: float, drawn: Floats | None, confidence: float) -> Range:
    if drawn is None or np.isnan(value):
        return Range(value, np.nan, np.nan, UNDEFINED)
    lo, hi = percentile(drawn, confidence)
    return Range(value, lo, hi, UNDEFINED if np.isnan(lo) else "")


def _videos(frames: Scores, part: Scores) -> Scores:
    """Return the videos of one condition with keys that are numbered the same in all conditions of *part*."""
    videos = by_video(frames)
    names = part.clip.names
    return replace(videos, key=Text(names, videos.key.codes_among(names)))


class Resampled:
    """Percentile intervals of the cluster bootstrap, by videos and by pairs; one set of draws for each method."""

    units = UNITS

    def __init__(
        self, test: Scores, val: Scores, conditions: list[str], confidence: float, replicates: int, seed: int
    ) -> None:
        self.test, self.confidence, self.replicates, self.seed = test, confidence, replicates, seed
        self.conditions = conditions
        self._thresholds = {(c, level): thresholds(val, c, level) for c in conditions for level in LEVELS}

    def method(self, name: str) -> _Bootstrapped:
        """Return the metrics of one name of `Scores.parts`."""
        part = self.test.part(name)
        draws = {unit: Bootstrap.draw(part, unit, self.replicates, self.seed) for unit in UNITS}
        found = _Bootstrapped({}, {}, {}, self.confidence)
        for condition in self.conditions:
            frames = part.where(condition=condition)
            for level in LEVELS:
                here = frames if level == "frame" else _videos(frames, part)
                place = condition, level
                at = self._thresholds[place]
                values = bootstrap_panel(here, at)
                drawn = {u: bootstrap_panel(here, at, draws[u]) if draws[u].enough(here) else {} for u in UNITS}
                ranges = {
                    key: {u: _percentiles(float(value), drawn[u].get(key), self.confidence) for u in UNITS}
                    for key, value in values.items()
                }
                n = len(frames), frames.video.num(), frames.pair.num()
                found.cells[place], found.replicates[place] = Cell(ranges, at, n), drawn
                found.scores[place] = Scored.of(here)
        return found
