"""A leaderboard of detectors, and paired tests between all pairs of them.

An entry is a detector: one table of scores, or several of runs that differ by their seed only. It is evaluated on the
test rows that all of its runs scored; two entries are compared on the rows that both scored. Only the quantities that
are shown are computed: a metric in each condition, its mean and, of the AUC, the lowest cell of the history matrix.

Intervals and p values cover the choice of test faces. Training is covered by the standard deviation over seeds and, of
a difference, by Welch's t interval over the seeds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from .cells import p_value
from .clusters import Clusters, cluster_rows
from .intervals import holm
from .jackknife import Estimate, Sample, Side
from .measure import ESTIMATED, estimate, range_of
from .metrics import METRICS
from .scores import Scores, by_video
from .seeds import Group
from .wilson import Range, difference, mean_estimate, worst

__all__ = ["MEAN", "WORST", "Board", "Standing", "Test", "compare"]

Rows = NDArray[np.intp]
MEAN, WORST = "all conditions", "lowest cell"


@dataclass(frozen=True, slots=True)
class Standing:
    """One quantity of one entry: `what` is a condition, `MEAN` or `WORST`; nan where undefined, for the *reason*.

    The mean of the AUC is that of all cells of the history matrix over the conditions that every entry has; of other
    metrics, that of these conditions. `real` and `fake` name the lowest cell. `sd` is the standard deviation over the
    seeds. `missing` is the number of rows that another entry has and this one lacks.
    """

    entry: str
    what: str
    real: str
    fake: str
    value: float
    sd: float
    lo: float
    hi: float
    unit: str
    seeds: int
    n_frames: int
    n_videos: int
    n_pairs: int
    missing: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Test:
    """Entry *a* minus entry *b* on the rows that both scored, with a two-sided p against 0.

    `p_holm` is adjusted over all tests of the board. `seeds_lo` and `seeds_hi` are Welch's t interval over the seeds.
    """

    a: str
    b: str
    what: str
    value: float
    lo: float
    hi: float
    unit: str
    p: float
    p_holm: float
    seeds_lo: float
    seeds_hi: float
    n_rows: int
    n_frames: int
    n_videos: int
    n_pairs: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """The standings, best entry first, and the tests; `common` are the conditions that every entry has."""

    metric: str
    level: str
    confidence: float
    unit: str
    common: list[str]
    conditions: list[str]
    standings: list[Standing]
    tests: list[Test]

    @property
    def entries(self) -> list[str]:
        """The labels, best first."""
        return list(dict.fromkeys(row.entry for row in self.standings))

    def standing(self, entry: str, what: str) -> Standing | None:
        """Return the row of *entry* for *what*, None if there is none."""
        return next((row for row in self.standings if (row.entry, row.what) == (entry, what)), None)


def compare(
    groups: Sequence[Group], metric: str = "auc", level: str = "frame", confidence: float = 0.95,
    versus: str | None = None, conditions: Sequence[str] = (),
) -> Board:  # fmt: skip
    """Return the board of *groups*; with *versus* only the tests against that entry.

    *conditions*: those to look at, by default all. ValueError for a metric without estimates, an unknown condition or
    entry, a table without test faces, and tables that disagree on the label of a face.
    """
    if metric not in ESTIMATED:
        raise ValueError(f"{metric} cannot be compared; these can: {', '.join(ESTIMATED)}")
    labels = [group.label for group in groups]
    if versus is not None and versus not in labels:
        raise ValueError(f"there is no entry {versus}; there are {', '.join(labels)}")
    faces = _Faces(groups, level)
    entries = [_Entry(group, faces, metric) for group in groups]
    every = list(dict.fromkeys(name for entry in entries for name in entry.conditions))
    unknown = [name for name in conditions if name not in every]
    if unknown:
        raise ValueError(f"no table has the condition {', '.join(unknown)}; they have {', '.join(every)}")
    shown = [name for name in every if not conditions or name in conditions]
    common = [name for name in shown if all(name in entry.conditions for entry in entries)]
    standings = [row for entry in entries for row in _standings(entry, entries, shown, common, confidence)]
    first = MEAN if len(common) > 1 else (common or shown)[0]
    rank = {row.entry: row.value for row in standings if row.what == first}
    sign = -1 if METRICS[metric].higher_is_better else 1
    order = sorted(labels, key=lambda label: (np.isnan(rank[label]), sign * rank[label] if label in rank else 0))
    standings.sort(key=lambda row: order.index(row.entry))
    entries.sort(key=lambda entry: order.index(entry.label))
    pairs = [(a, b) for a, b in combinations(entries, 2) if versus in (None, a.label, b.label)]
    pairs = [(b, a) if a.label == versus else (a, b) for a, b in pairs]
    tests = [row for a, b in pairs for row in _tests(a, b, shown, confidence)]
    adjusted = holm([test.p for test in tests]).tolist()
    tests = [replace(test, p_holm=p) for test, p in zip(tests, adjusted, strict=True)]
    return Board(metric, level, confidence, faces.unit, common, shown, standings, tests)


# -- rows --------------------------------------------------------------------------------------------------------------


class _Faces:
    """The test rows of all tables under common numbers: faces (or videos), and their clusters."""

    def __init__(self, groups: Sequence[Group], level: str) -> None:
        self.runs: dict[str, list[Scores]] = {}
        for group in groups:
            tests = [run.where(split="test") for run in group.runs]
            for path, test in zip(group.paths, tests, strict=True):
                if not len(test):
                    raise ValueError(f"{path} holds no test faces")
            self.runs[group.label] = [test if level == "frame" else by_video(test) for test in tests]
        paths = [path for group in groups for path in group.paths]
        tables = list(zip(paths, [run for group in groups for run in self.runs[group.label]], strict=True))
        keys = [np.asarray(run.key) for _, run in tables]
        self.names, first, place = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
        columns = {}
        for name in ("video", "pair", "identity", "label"):
            columns[name] = np.concatenate([np.asarray(getattr(run, name)) for _, run in tables])[first]
        self.label = columns["label"]
        self.video = np.unique(columns["video"], return_inverse=True)[1]
        self.pair = np.unique(columns["pair"], return_inverse=True)[1]
        self.clusters: Clusters = cluster_rows(columns["video"], columns["pair"], columns["identity"])
        self.unit = self.clusters.unit
        places = np.split(place, np.cumsum([len(key) for key in keys])[:-1])
        self._check_labels(tables, places)
        self.places = {label: [places.pop(0) for _ in runs] for label, runs in self.runs.items()}

    def _check_labels(self, tables: Sequence[tuple[str, Scores]], places: Sequence[Rows]) -> None:
        for (path, run), place in zip(tables, places, strict=True):
            differs = np.flatnonzero(run.label != self.label[place])
            if len(differs):
                face = place[differs[0]]
                other = next(name for (name, _), rows in zip(tables, places, strict=True) if (rows == face).any())
                raise ValueError(
                    f"{path}: the label of {self.names[face]} is {run.label[differs[0]]}, in {other} it is "
                    f"{self.label[face]} ({len(differs)} such rows); the tables are of different data"
                )

    def counts(self, faces: Rows) -> tuple[int, int, int]:
        """Return the numbers of frames (or videos), videos and pairs."""
        return len(faces), len(np.unique(self.video[faces])), len(np.unique(self.pair[faces]))


class _Entry:
    """The runs of one entry on the rows that all of them scored: by condition, the faces and the scores of each run."""

    def __init__(self, group: Group, faces: _Faces, metric: str) -> None:
        self.label, self.faces, self.metric = group.label, faces, metric
        runs, places = faces.runs[group.label], faces.places[group.label]
        self.conditions = [name for name in runs[0].conditions if all(name in run.conditions for run in runs)]
        self.rows: dict[str, Rows] = {}
        self.scores: dict[str, list[NDArray[np.float64]]] = {}
        for name in self.conditions:
            found = []
            for run, place in zip(runs, places, strict=True):
                here = np.flatnonzero(run.condition == name)
                order = np.argsort(place[here])
                found.append((place[here][order], run.score[here][order]))
            shared = found[0][0]
            for known, _ in found[1:]:
                shared = np.intersect1d(shared, known, assume_unique=True)
            self.rows[name] = shared
            self.scores[name] = [score[np.searchsorted(known, shared)] for known, score in found]
        self._known: dict[tuple[str, int, str, str], Estimate] = {}
        self._sides: dict[tuple[str, int, str, int], Side] = {}

    @property
    def seeds(self) -> int:
        return len(self.scores[self.conditions[0]]) if self.conditions else 0

    def cell(self, run: int, real: str, fake: str, chosen: _Chosen) -> Estimate:
        """Return the metric of one run: real faces in the condition *real*, fakes in the condition *fake*."""
        name = chosen.name, run, real, fake
        if name not in self._known:
            sample = Sample(self._side(run, real, 0, chosen), self._side(run, fake, 1, chosen))
            self._known[name] = estimate(sample, self.metric)
        return self._known[name]

    def _side(self, run: int, condition: str, label: int, chosen: _Chosen) -> Side:
        name = chosen.name, run, condition, label
        if name not in self._sides:
            rows = chosen.rows[condition]
            score = self.scores[condition][run][np.searchsorted(self.rows[condition], rows)]
            mask = self.faces.label[rows] == label
            self._sides[name] = Side(score[mask], self.faces.clusters[rows[mask]])
        return self._sides[name]

    def cells(self, run: int, conditions: Sequence[str], chosen: _Chosen) -> dict[tuple[str, str], Estimate]:
        """Return the cells of the history matrix, of metrics other than the AUC those of its diagonal."""
        places = product(conditions, conditions) if self.metric == "auc" else zip(conditions, conditions, strict=True)
        return {(r, f): self.cell(run, r, f, chosen) for r, f in places}

    def own(self) -> _Chosen:
        """Return all rows of the entry."""
        return _Chosen("", self.rows)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The faces by condition that numbers are computed on; `name` tells such choices apart."""

    name: str
    rows: dict[str, Rows]


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    lacking = next((e for e in estimates if e.reason or np.isnan(e.value)), None)
    if lacking is None:
        return estimates[0] if len(estimates) == 1 else mean_estimate(estimates)
    value = float(np.mean([e.value for e in estimates]))
    return replace(lacking, value=value, reason=lacking.reason or "undefined in one of the runs or conditions")


# -- leaderboard -------------------------------------------------------------------------------------------------------


def _standings(
    entry: _Entry, entries: Sequence[_Entry], shown: Sequence[str], common: Sequence[str], confidence: float
) -> Iterator[Standing]:
    faces, runs, own = entry.faces, range(entry.seeds), entry.own()

    def row(
        what: str, conditions: Sequence[str], found: Range, values: Sequence[float], real: str = "", fake: str = ""
    ) -> Standing:
        missing = 0
        for name in conditions:
            known = np.concatenate([other.rows[name] for other in entries if name in other.conditions])
            missing += len(np.setdiff1d(known, entry.rows[name]))
        frames, videos, pairs = faces.counts(np.unique(np.concatenate([entry.rows[name] for name in conditions])))
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        reason = found.reason if np.isnan(found.lo) else ""
        return Standing(
            entry.label, what, real, fake, found.value, sd, found.lo, found.hi, faces.unit, len(values), frames, videos,
            pairs, missing, reason,
        )  # fmt: skip

    if len(common) > 1:
        cells = [entry.cells(run, common, own) for run in runs]
        of_cell = {place: _mean([one[place] for one in cells]) for place in cells[0]}
        values = [float(np.mean([e.value for e in one.values()])) for one in cells]
        yield row(MEAN, common, range_of(_mean(list(of_cell.values())), entry.metric, confidence), values)
        if entry.metric == "auc" and not any(np.isnan(e.value) for e in of_cell.values()):
            lowest = min(of_cell, key=lambda place: of_cell[place].value)
            values = [min(e.value for e in one.values()) for one in cells]
            yield row(WORST, common, worst(list(of_cell.values()), confidence), values, *lowest)
    for name in shown:
        if name in entry.conditions:
            single = [entry.cell(run, name, name, own) for run in runs]
            found = range_of(_mean(single), entry.metric, confidence)
            yield row(name, [name], found, [e.value for e in single])


# -- tests -------------------------------------------------------------------------------------------------------------


def _tests(a: _Entry, b: _Entry, shown: Sequence[str], confidence: float) -> Iterator[Test]:
    faces = a.faces
    both = [name for name in shown if name in a.conditions and name in b.conditions]
    rows = {name: np.intersect1d(a.rows[name], b.rows[name], assume_unique=True) for name in both}
    rows = {name: found for name, found in rows.items() if len(found)}
    if not rows:
        nothing = float("nan")
        yield Test(a.label, b.label, MEAN, nothing, nothing, nothing, faces.unit, nothing, nothing, nothing, nothing,
                   0, 0, 0, 0, "the tables share no rows")  # fmt: skip
        return
    chosen = {entry.label: _shared(entry, a, b, rows) for entry in (a, b)}
    shared = list(rows)

    def test(what: str, conditions: Sequence[str], of: Callable[[_Entry, int, _Chosen], Estimate]) -> Test:
        first, second = ([of(entry, run, chosen[entry.label]) for run in range(entry.seeds)] for entry in (a, b))
        means = _mean(first), _mean(second)
        value, lo, hi, reason = difference([means[0]], [means[1]], confidence)
        p = p_value(value, lo, hi, min(mean.clusters for mean in means), confidence)
        seeds_lo, seeds_hi = _welch([e.value for e in first], [e.value for e in second], confidence)
        here = np.concatenate([rows[name] for name in conditions])
        frames, videos, pairs = faces.counts(np.unique(here))
        reason = reason if np.isnan(lo) else "no p value: no variance between clusters" if np.isnan(p) else ""
        return Test(
            a.label, b.label, what, value, lo, hi, faces.unit, p, float("nan"), seeds_lo, seeds_hi, len(here), frames,
            videos, pairs, reason,
        )  # fmt: skip

    if len(shared) > 1:
        yield test(MEAN, shared, lambda entry, run, on: _mean(list(entry.cells(run, shared, on).values())))
    for name in shared:
        yield test(name, [name], functools.partial(_at, name))


def _at(name: str, entry: _Entry, run: int, chosen: _Chosen) -> Estimate:
    return entry.cell(run, name, name, chosen)


def _shared(entry: _Entry, a: _Entry, b: _Entry, rows: dict[str, Rows]) -> _Chosen:
    """Return the shared rows, named as the entry's own if it has no others, so that no estimate is computed twice."""
    whole = all(len(found) == len(entry.rows[name]) for name, found in rows.items())
    return _Chosen("" if whole else f"{a.label}\n{b.label}", rows)


def _welch(first: Sequence[float], second: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the t interval of the difference of two means over seeds; nan unless both have two seeds and spread."""
    if min(len(first), len(second)) < 2:
        return np.nan, np.nan
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    total = sum(parts)
    if not total > 0:
        return np.nan, np.nan
    freedom = total**2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (first, second), strict=True))
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + confidence) / 2)) * float(np.sqrt(total))
    value = float(np.mean(first) - np.mean(second))
    return value - half, value + half
