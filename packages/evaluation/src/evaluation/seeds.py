"""Comparison of groups of runs: the same model trained with several seeds, in two or more settings.

All runs of all groups score the same test faces, so differences between groups are paired. Intervals cover the choice
of the test set; the standard deviation over seeds, shown next to them, covers training.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .clusters import UNIT_NAMES, cluster
from .conditions import RAW, ends
from .intervals import UNITS, Bootstrap, Floats, percentile, seed_mean
from .jackknife import Estimate, Sample
from .printed import number, number_with
from .robustness import log_rate_weights
from .scores import ALL, Scores, by_video
from .summary import LEVELS, Settings
from .tables import markdown, text_table
from .wilson import Range, difference, mean_estimate, mean_of, of_share, ratio_of_gains

__all__ = [
    "SD",
    "Group",
    "SeedRow",
    "cell",
    "compare_groups",
    "document",
    "how",
    "runs_text",
    "sentence",
    "terminal",
    "tested",
]


# why a standard deviation over seeds is printed without an interval
SD = (
    "The standard deviation describes these training runs and has no interval: with so few seeds, one would rest on "
    "the assumption that runs are normally distributed."
)


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ by their seed only; `label` names their common setting, `paths` are the files that they were
    read from."""

    label: str
    paths: tuple[str, ...]
    runs: tuple[Scores, ...]


@dataclass(frozen=True, slots=True)
class SeedRow:
    """A mean over seeds, or a difference of two such means, with its interval; nan where undefined.

    `what` is ``auc``; ``drop``, between the two conditions of `conditions.ends`, within the group; ``difference``, this
    group minus the group `against`, which is empty otherwise; ``retention``, the share of the AUC's distance from .5
    that the condition keeps of uncompressed faces; or ``area``, the mean AUC over the logarithm of the bit rate, whose
    `condition` is empty. `sd` is the standard deviation over the seeds
    (n - 1). For a difference it is taken over the differences of first seeds, second seeds, and so on; it is nan where
    the groups have unequal numbers of seeds. `reason` says why the value or its interval is undefined.
    """

    group: str
    against: str
    what: str
    condition: str
    level: str
    method: str
    unit: str
    value: float
    sd: float
    lo: float
    hi: float
    seeds: int
    n_frames: int
    n_videos: int
    n_pairs: int
    reason: str = ""


Interval = tuple[float, float, str]    # the two ends, and the reason where they are nan


class _Number(Protocol):
    """The mean over the seeds of an AUC, or a number made of such means; `values` (S,) are those of the seeds."""

    @property
    def values(self) -> Floats:
        """The values of the seeds."""

    @property
    def value(self) -> float:
        """Their mean, or the number made of the means."""

    def ends(self) -> dict[str, Interval]:
        """Return the ends of the interval by unit, nan where undefined, and the reason."""


class _Mean(_Number, Protocol):
    """The mean over the seeds of an AUC."""

    def minus(self, other: Any) -> Any:
        """Return the difference: one value per seed where both have equally many seeds, else that of the means."""

    def retention(self, reference: Any) -> _Number:
        """Return (AUC - .5) / (AUC of *reference* - .5)."""

    def weighted(self, others: Sequence[Any], weights: Sequence[float]) -> _Number:
        """Return the weighted mean of this AUC and those of *others*."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A number made of several means over seeds, with the ends of its interval by unit."""

    value: float
    values: Floats
    intervals: dict[str, Interval]

    def ends(self) -> dict[str, Interval]:
        return self.intervals


def _ratio(here: Floats, reference: Floats) -> Floats:
    found: Floats = np.divide(here - 0.5, reference - 0.5, out=np.full(len(here), np.nan), where=reference > 0.5)
    return found


def _minus(first: Floats, second: Floats) -> Floats:
    return first - second if len(first) == len(second) else np.array([first.mean() - second.mean()])


@dataclass(frozen=True, slots=True)
class _Jackknifed:
    values: Floats
    plus: tuple[Estimate, ...]
    minuses: tuple[Estimate, ...]
    unit: str
    confidence: float

    @property
    def value(self) -> float:
        return float(self.values.mean())

    def retention(self, reference: _Jackknifed) -> _Made:
        found = ratio_of_gains(self.plus[0], reference.plus[0], confidence=self.confidence)
        return _Made(found.value, _ratio(self.values, reference.values), {self.unit: found[1:]})

    def weighted(self, others: Sequence[_Jackknifed], weights: Sequence[float]) -> _Made:
        every = [self, *others]
        found = mean_of([one.plus[0] for one in every], weights, self.confidence)
        values = np.average([one.values for one in every], axis=0, weights=weights)
        return _Made(found.value, values, {self.unit: found[1:]})

    def minus(self, other: _Jackknifed) -> _Jackknifed:
        plus, minuses = self.plus + other.minuses, self.minuses + other.plus
        return _Jackknifed(_minus(self.values, other.values), plus, minuses, self.unit, self.confidence)

    def ends(self) -> dict[str, Interval]:
        return {self.unit: self.range()[1:]}

    def range(self) -> Range:
        if self.minuses:
            return difference(self.plus, self.minuses, self.confidence)
        return of_share(self.plus[0], self.confidence)


@dataclass(frozen=True, slots=True)
class _Resampled:
    values: Floats
    replicates: dict[str, Floats]      # of the mean (R,), by unit
    confidence: float

    @property
    def value(self) -> float:
        return float(self.values.mean())

    def retention(self, reference: _Resampled) -> _Made:
        drawn = {unit: _ratio(values, reference.replicates[unit]) for unit, values in self.replicates.items()}
        intervals = _percentiles(drawn, self.confidence)
        value = _ratio(np.array([self.value]), np.array([reference.value]))
        return _Made(float(value[0]), _ratio(self.values, reference.values), intervals)

    def weighted(self, others: Sequence[_Resampled], weights: Sequence[float]) -> _Made:
        every = [self, *others]
        drawn = {u: np.average([one.replicates[u] for one in every], axis=0, weights=weights) for u in self.replicates}
        values = np.average([one.values for one in every], axis=0, weights=weights)
        return _Made(float(values.mean()), values, _percentiles(drawn, self.confidence))

    def minus(self, other: _Resampled) -> _Resampled:
        replicates = {unit: drawn - other.replicates[unit] for unit, drawn in self.replicates.items()}
        return _Resampled(_minus(self.values, other.values), replicates, self.confidence)

    def ends(self) -> dict[str, Interval]:
        return _percentiles(self.replicates, self.confidence)


def _percentiles(drawn: dict[str, Floats], confidence: float) -> dict[str, Interval]:
    found = {unit: percentile(values, confidence) for unit, values in drawn.items()}
    return {unit: (lo, hi, "undefined in bootstrap replicates" if np.isnan(lo) else "")
            for unit, (lo, hi) in found.items()}  # fmt: skip


def compare_groups(
    groups: Sequence[Group], settings: Settings | None = None, pairs: Sequence[tuple[str, str]] | None = None,
    parts: Sequence[str] | None = None, rates: Mapping[str, float] | None = None,
) -> list[SeedRow]:  # fmt: skip
    """Return the AUC of each group, its drop, and the differences of *pairs* of labels, the first minus the second.

    Without *pairs* each group is compared with the first. There is a row for each condition, level, method (``all``
    first; *parts* names some) and unit of the interval; over all methods also the retention and, with the *rates* (bits
    per pixel by condition), the area. ValueError where the runs did not score the same test faces.
    """
    settings = settings or Settings()
    if pairs is None:
        pairs = [(group.label, groups[0].label) for group in groups[1:]]
    tests = {group.label: [run.where(split="test") for run in group.runs] for group in groups}
    _check_same_faces(groups, tests)
    first = tests[groups[0].label][0]
    out: list[SeedRow] = []
    for method in first.parts if parts is None else parts:
        runs = {label: [run.part(method) for run in runs] for label, runs in tests.items()}
        of_seeds = _means(first.part(method), settings)
        for level in LEVELS:
            means = {
                (label, name): of_seeds([_at(run, name, level) for run in listed])
                for label, listed in runs.items()
                for name in first.conditions
            }
            out += _of_method(runs, pairs, first.conditions, method, level, means, rates or {})
    return sorted(out, key=lambda row: ("auc", "drop", "difference", "retention", "area").index(row.what))


def _at(run: Scores, condition: str, level: str) -> Scores:
    here = run.where(condition=condition)
    return here if level == "frame" else by_video(here)


def _means(part: Scores, settings: Settings) -> Callable[[list[Scores]], _Mean]:
    """Return the function from the runs of a group to their mean AUC. *part*: the rows that all runs scored."""
    if settings.intervals == "bootstrap":
        draws = {unit: Bootstrap.draw(part, unit, settings.replicates, settings.seed) for unit in UNITS}

        def resampled(runs: list[Scores]) -> _Resampled:
            found = {unit: seed_mean(runs, bootstrap) for unit, bootstrap in draws.items()}
            replicates = {unit: drawn for unit, (_, drawn) in found.items()}
            return _Resampled(found[UNITS[0]][0], replicates, settings.confidence)

        return resampled
    clusters = cluster(part)
    names, first = np.unique(part.video, return_index=True)
    of_video = clusters[first]

    def jackknifed(runs: list[Scores]) -> _Jackknifed:
        aucs = [Sample.of(run.label, run.score, of_video[np.searchsorted(names, run.video)]).auc() for run in runs]
        mean = aucs[0] if len(aucs) == 1 else mean_estimate(aucs)
        values = np.array([auc.value for auc in aucs])
        return _Jackknifed(values, (mean,), (), clusters.unit, settings.confidence)

    return jackknifed


def _of_method(
    parts: dict[str, list[Scores]],
    pairs: Sequence[tuple[str, str]],
    conditions: list[str],
    method: str,
    level: str,
    means: dict[tuple[str, str], _Mean],
    rates: Mapping[str, float],
) -> Iterator[SeedRow]:
    """Return the rows of one method and level."""
    found = ends(conditions)
    known = [condition for condition in conditions if condition in rates]
    weights = log_rate_weights([rates[condition] for condition in known]).tolist() if len(known) > 1 else []

    def rows(
        label: str, what: str, condition: str, mean: _Number, counted: str, against: str = ""
    ) -> Iterator[SeedRow]:
        n = parts[label][0].where(condition=counted).counts()
        value = mean.value
        sd = float(mean.values.std(ddof=1)) if len(mean.values) > 1 else float("nan")
        for unit, (lo, hi, reason) in mean.ends().items():
            reason = reason.replace("clusters", UNIT_NAMES[unit]) if np.isnan(lo) else ""
            yield SeedRow(
                label, against, what, condition, level, method, unit, value, sd, lo, hi, len(parts[label]),
                n["frames"], n["videos"], n["pairs"], reason,
            )  # fmt: skip

    for label in parts:
        for condition in conditions:
            yield from rows(label, "auc", condition, means[label, condition], condition)
        if found:
            drop = means[label, found.high].minus(means[label, found.low])
            yield from rows(label, "drop", f"{found.high} -> {found.low}", drop, found.high)
        if method == ALL and RAW in conditions:
            for condition in conditions:
                kept = means[label, condition].retention(means[label, RAW])
                yield from rows(label, "retention", condition, kept, condition)
        if method == ALL and len(known) > 1:
            first, *others = (means[label, condition] for condition in known)
            yield from rows(label, "area", "", first.weighted(others, weights), known[0])
    for label, against in pairs:
        for condition in conditions:
            change = means[label, condition].minus(means[against, condition])
            yield from rows(label, "difference", condition, change, condition, against)


def _check_same_faces(groups: Sequence[Group], tests: dict[str, list[Scores]]) -> None:
    """Raise ValueError if test faces, labels or conditions of the runs differ: differences would not be paired."""
    reference = _faces(tests[groups[0].label][0])
    for group in groups:
        for path, run in zip(group.paths, tests[group.label], strict=True):
            faces = _faces(run)
            if not len(faces):
                raise ValueError(f"{path} holds no test faces")
            if not np.array_equal(faces, reference):
                other = np.setxor1d(faces, reference)
                raise ValueError(
                    f"{path} and {groups[0].paths[0]} did not score the same test faces: {len(other)} rows (key, "
                    f"condition, label) are in one of them only, such as {other[0]}"
                )


def _faces(run: Scores) -> np.ndarray:
    parts = (run.key, " in condition ", run.condition, " label ", run.label.astype(str))
    named: np.ndarray = functools.reduce(np.char.add, parts)  # type: ignore[arg-type]
    return np.sort(named)


def _pick(rows: Sequence[SeedRow], **wanted: str) -> SeedRow | None:
    return next((row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())), None)


def cell(row: SeedRow | None, spread: bool = True) -> str:
    """Return ``0.808 ± 0.002 [0.723, 0.880]``: mean, standard deviation over seeds, interval.

    The standard deviation only with *spread* and where there is one; the reason in the place of an interval that is
    undefined. Differences have their sign.
    """
    if row is None:
        return number_with(np.nan, np.nan, np.nan, reason="not computed")
    text = number_with(row.value, row.lo, row.hi, reason=row.reason, sign="+" if row.what == "difference" else "")
    value, _, rest = text.partition(" ")
    return f"{value} ± {number(row.sd)} {rest}" if spread and not np.isnan(row.sd) and value != "-" else text


Table = tuple[list[str], list[list[str]]]


def _units(rows: Sequence[SeedRow]) -> list[str]:
    return list(dict.fromkeys(row.unit for row in rows))


def _by(units: Sequence[str], name: str) -> list[str]:
    """Return the header of a column for each unit of the intervals."""
    return [f"{name} by {UNIT_NAMES[unit]}" for unit in units]


def _group_table(rows: Sequence[SeedRow], label: str, conditions: Sequence[str]) -> Table:
    own = [row for row in rows if row.group == label]
    methods = [method for method in dict.fromkeys(row.method for row in own) if method != ALL]
    units = _units(rows)
    header = ["tested at", *_by(units, "frame AUC"), *methods, *_by(units, "video AUC")]
    lines = []
    names = [("auc", condition) for condition in conditions]
    names += [("drop", row.condition) for row in own if row.what == "drop"][:1]
    for what, condition in names:

        def cells(level: str, what: str = what, condition: str = condition) -> list[str]:
            return [
                cell(_pick(own, what=what, condition=condition, level=level, method=ALL, unit=unit)) for unit in units
            ]

        by_method = [
            cell(_pick(own, what=what, condition=condition, level="frame", method=method, unit=units[0]), spread=False)
            for method in methods
        ]
        title = condition if what == "auc" else f"drop {condition}"
        lines.append([title, *cells("frame"), *by_method, *cells("video")])
    return header, lines


def _difference_table(rows: Sequence[SeedRow], label: str, conditions: Sequence[str]) -> Table:
    units = _units(rows)
    header = ["tested at", *_by(units, "frame AUC"), *_by(units, "video AUC")]
    lines = []
    for condition in conditions:
        line = [condition]
        for level in LEVELS:
            found = [
                _pick(rows, group=label, what="difference", condition=condition, level=level, method=ALL, unit=unit)
                for unit in units
            ]
            line += [cell(row, spread=False) for row in found]
        lines.append(line)
    return header, lines


def _parts(groups: Sequence[Group], rows: Sequence[SeedRow]) -> Iterator[tuple[str, Table]]:
    conditions = list(dict.fromkeys(row.condition for row in rows if row.what == "auc"))
    for group in groups:
        yield f"{group.label} ({runs_text(len(group.runs))})", _group_table(rows, group.label, conditions)
    for group in groups[1:]:
        title = f"{group.label} minus {groups[0].label}, paired"
        yield title, _difference_table(rows, group.label, conditions)


def runs_text(count: int) -> str:
    """Return ``3 seeds``."""
    return f"{count} seeds" if count > 1 else "1 seed"


def sentence(groups: Sequence[Group], rows: Sequence[SeedRow], settings: Settings) -> str:
    """Return what was tested and how the intervals were computed."""
    seeds = ", ".join(f"{group.label} {runs_text(len(group.runs))}" for group in groups)
    made = how(settings, UNIT_NAMES[rows[0].unit])
    return f"{tested(rows[0])}; {seeds}. {made} Methods: frame AUC of each against all real faces."


def tested(row: SeedRow) -> str:
    """Return what a row was measured on: ``Test split: 1152 faces of 120 videos of 12 pairs``."""
    return f"Test split: {row.n_frames} faces of {row.n_videos} videos of {row.n_pairs} pairs"


def how(settings: Settings, unit: str = "pairs") -> str:
    """Return how means, standard deviations and intervals were computed."""
    share = f"{100 * settings.confidence:g} %"
    if settings.intervals == "bootstrap":
        return (
            f"Mean ± standard deviation over seeds; {share} percentile intervals of {settings.replicates} bootstrap "
            f"replicates of the mean over seeds, resampling videos (stratified by class) or whole pairs. {SD}"
        )
    return f"Mean ± standard deviation over seeds; {share} intervals of the mean over seeds, by whole {unit}. {SD}"


def document(groups: Sequence[Group], rows: Sequence[SeedRow], settings: Settings, note: str | None = None) -> str:
    """Return the tables as Markdown, below *note* where one is given."""
    parts = [f"> {note}\n"] if note else []
    parts.append(sentence(groups, rows, settings) + "\n")
    for title, (header, lines) in _parts(groups, rows):
        parts.append(f"**{title}**\n\n{markdown(header, lines)}\n")
    return "\n".join(parts)


def terminal(groups: Sequence[Group], rows: Sequence[SeedRow], settings: Settings) -> str:
    """Return the same tables for a terminal."""
    parts = [f"{title}\n{text_table(*table)}\n" for title, table in _parts(groups, rows)]
    return "\n".join([*parts, sentence(groups, rows, settings)])
