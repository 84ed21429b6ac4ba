"""Comparison of groups of runs: the same model trained with several seeds, in two or more settings.

All runs of all groups score the same test faces, so differences between groups are paired: one set of bootstrap draws
of videos (or of pairs) is used for all runs. Intervals cover the choice of the test set; the standard deviation over
seeds, shown next to them, covers training.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .conditions import ends
from .intervals import UNITS, Bootstrap, Floats, delong_difference, holm, percentile, seed_mean
from .scores import ALL, Scores, by_video
from .summary import LEVELS, Settings
from .tables import markdown, number, text_table

__all__ = [
    "Comparison",
    "Group",
    "SeedRow",
    "compare_groups",
    "compare_two",
    "comparison_table",
    "document",
    "how",
    "interval_text",
    "runs_text",
    "sentence",
    "terminal",
    "tested",
    "value_text",
]


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ by their seed only; `label` names their common setting, `paths` are the files they are from."""

    label: str
    paths: tuple[str, ...]
    runs: tuple[Scores, ...]


@dataclass(frozen=True, slots=True)
class SeedRow:
    """A mean over seeds, or a difference of two such means, with its interval; nan where undefined.

    `what` is ``auc``, ``drop`` (between the two conditions of `conditions.ends`, within the group) or ``difference``
    (this group minus the group `against`, which is empty otherwise). `sd` is the standard deviation over the seeds
    (n - 1). For a difference it is taken over the differences of first seeds, second seeds, and so on; it is nan where
    the groups have unequal numbers of seeds.
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


@dataclass(frozen=True, slots=True)
class _Mean:
    """Values of the seeds (S,) and the replicates of their mean (R,) by unit."""

    values: Floats
    replicates: dict[str, Floats]

    @property
    def value(self) -> float:
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else float("nan")

    def minus(self, other: _Mean) -> _Mean:
        """Return the difference: one value per seed where both have equally many seeds, else that of the means."""
        same = len(self.values) == len(other.values)
        values = self.values - other.values if same else np.array([self.value - other.value])
        return _Mean(values, {unit: drawn - other.replicates[unit] for unit, drawn in self.replicates.items()})


def compare_groups(
    groups: Sequence[Group], settings: Settings | None = None, pairs: Sequence[tuple[str, str]] | None = None
) -> list[SeedRow]:
    """Return the AUC of each group, its drop, and the differences of *pairs* of labels, the first minus the second.

    Without *pairs* each group is compared with the first. There is a row for each condition, level, method (``all``
    first) and unit of resampling. ValueError where the runs did not score the same test faces.
    """
    settings = settings or Settings()
    if pairs is None:
        pairs = [(group.label, groups[0].label) for group in groups[1:]]
    tests = {group.label: [run.where(split="test") for run in group.runs] for group in groups}
    _check_same_faces(groups, tests)
    first = tests[groups[0].label][0]
    out: list[SeedRow] = []
    for method in first.parts:
        draws = {unit: Bootstrap.draw(first.part(method), unit, settings.replicates, settings.seed) for unit in UNITS}
        runs = {label: [run.part(method) for run in runs] for label, runs in tests.items()}
        for level in LEVELS:
            out += _of_method(runs, pairs, first.conditions, method, level, draws, settings)
    return sorted(out, key=lambda row: ("auc", "drop", "difference").index(row.what))


def _of_method(
    parts: dict[str, list[Scores]],
    pairs: Sequence[tuple[str, str]],
    conditions: list[str],
    method: str,
    level: str,
    draws: dict[str, Bootstrap],
    settings: Settings,
) -> Iterator[SeedRow]:
    """Return the rows of one method and level."""
    means = {(label, name): _mean(parts[label], name, level, draws) for label in parts for name in conditions}
    found = ends(conditions)

    def rows(label: str, what: str, condition: str, mean: _Mean, counted: str, against: str = "") -> Iterator[SeedRow]:
        n = parts[label][0].where(condition=counted).counts()
        for unit, replicates in mean.replicates.items():
            lo, hi = percentile(replicates, settings.confidence)
            yield SeedRow(
                label, against, what, condition, level, method, unit, mean.value, mean.sd, lo, hi, len(parts[label]),
                n["frames"], n["videos"], n["pairs"],
            )  # fmt: skip

    for label in parts:
        for condition in conditions:
            yield from rows(label, "auc", condition, means[label, condition], condition)
        if found:
            drop = means[label, found.high].minus(means[label, found.low])
            yield from rows(label, "drop", f"{found.high} -> {found.low}", drop, found.high)
    for label, against in pairs:
        for condition in conditions:
            difference = means[label, condition].minus(means[against, condition])
            yield from rows(label, "difference", condition, difference, condition, against)


def _mean(runs: Sequence[Scores], condition: str, level: str, draws: dict[str, Bootstrap]) -> _Mean:
    here = [run.where(condition=condition) for run in runs]
    here = here if level == "frame" else [by_video(scores) for scores in here]
    found = {unit: seed_mean(here, bootstrap) for unit, bootstrap in draws.items()}
    return _Mean(found[UNITS[0]][0], {unit: replicates for unit, (_, replicates) in found.items()})


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


def interval_text(row: SeedRow | None) -> str:
    """Return ``[0.723, 0.880]``, or ``-`` where there is no interval."""
    return "-" if row is None or np.isnan(row.lo) else f"[{number(row.lo)}, {number(row.hi)}]"


def value_text(row: SeedRow | None, spread: bool = True) -> str:
    """Return ``0.808 ± 0.002``, the standard deviation only with *spread* and where there is one."""
    if row is None or np.isnan(row.value):
        return "-"
    return number(row.value) + (f" ± {number(row.sd)}" if spread and not np.isnan(row.sd) else "")


Table = tuple[list[str], list[list[str]]]


def _group_table(rows: Sequence[SeedRow], label: str, conditions: Sequence[str]) -> Table:
    own = [row for row in rows if row.group == label]
    methods = [method for method in dict.fromkeys(row.method for row in own) if method != ALL]
    header = ["tested at", "frame AUC", "by videos", "by pairs", *methods, "video AUC", "by videos", "by pairs"]
    lines = []
    names = [("auc", condition) for condition in conditions]
    names += [("drop", row.condition) for row in own if row.what == "drop"][:1]
    for what, condition in names:

        def cells(level: str, what: str = what, condition: str = condition) -> list[str]:
            found = {
                unit: _pick(own, what=what, condition=condition, level=level, method=ALL, unit=unit) for unit in UNITS
            }
            return [value_text(found["video"]), *(interval_text(found[unit]) for unit in UNITS)]
        by_method = [
            value_text(
                _pick(own, what=what, condition=condition, level="frame", method=method, unit="video"), spread=False
            )
            for method in methods
        ]
        title = condition if what == "auc" else f"drop {condition}"
        lines.append([title, *cells("frame"), *by_method, *cells("video")])
    return header, lines


def _difference_table(rows: Sequence[SeedRow], label: str, conditions: Sequence[str]) -> Table:
    header = ["tested at", "frame AUC", "by videos", "by pairs", "video AUC", "by videos", "by pairs"]
    lines = []
    for condition in conditions:
        line = [condition]
        for level in LEVELS:
            found = [
                _pick(rows, group=label, what="difference", condition=condition, level=level, method=ALL, unit=unit)
                for unit in UNITS
            ]
            line += [f"{found[0].value:+.3f}" if found[0] and not np.isnan(found[0].value) else "-"]
            line += [interval_text(row) for row in found]
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
    return f"{tested(rows[0])}; {seeds}. {how(settings)} Methods: frame AUC of each against all real faces."


def tested(row: SeedRow) -> str:
    """Return what a row was measured on: ``Test split: 1152 faces of 120 videos of 12 pairs``."""
    return f"Test split: {row.n_frames} faces of {row.n_videos} videos of {row.n_pairs} pairs"


def how(settings: Settings) -> str:
    """Return how means, standard deviations and intervals were computed, as one sentence."""
    return (
        f"Mean ± standard deviation over seeds; {100 * settings.confidence:g} % percentile intervals of "
        f"{settings.replicates} bootstrap replicates of the mean over seeds, resampling videos (stratified by class) "
        "or whole pairs."
    )


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Frame or video AUC of two runs in one condition, and a minus b with paired bootstrap intervals and DeLong's p."""

    condition: str
    level: str
    auc_a: float
    auc_b: float
    difference: float
    lo: float
    hi: float
    lo_pairs: float
    hi_pairs: float
    p: float
    p_holm: float


def compare_two(a: Group, b: Group, settings: Settings | None = None) -> list[Comparison]:
    """Return *a* minus *b* for two single runs of the same test faces, by condition and level.

    p is two-sided, from the paired clustered DeLong test by videos; p_holm is adjusted over the conditions of a level.
    """
    settings = settings or Settings()
    rows = compare_groups([b, a], settings)
    tests = [group.runs[0].where(split="test") for group in (a, b)]
    out = []
    for level in LEVELS:
        conditions = tests[0].conditions
        p_values = [_paired_p([t.where(condition=q) for t in tests], level) for q in conditions]
        for condition, p, p_holm in zip(conditions, p_values, holm(p_values), strict=True):
            wanted = {"condition": condition, "level": level, "method": ALL}
            values = [_pick(rows, what="auc", group=g.label, **wanted) for g in (a, b)]
            by_video_row, by_pair = (
                _pick(rows, what="difference", group=a.label, unit=unit, **wanted) for unit in UNITS
            )
            assert values[0] and values[1] and by_video_row and by_pair
            out.append(
                Comparison(
                    condition, level, values[0].value, values[1].value, by_video_row.value, by_video_row.lo,
                    by_video_row.hi, by_pair.lo, by_pair.hi, p, float(p_holm),
                )
            )  # fmt: skip
    return out


def _paired_p(pair: Sequence[Scores], level: str) -> float:
    a, b = pair if level == "frame" else [by_video(scores) for scores in pair]
    a, b = (scores[np.argsort(scores.key)] for scores in (a, b))
    return delong_difference(a.label, a.score, b.score, a.video).p


def comparison_table(a: Group, b: Group, rows: Sequence[Comparison]) -> Table:
    """Return the rows of `compare_two` as text."""
    difference = f"{a.label} - {b.label}"
    header = ["tested at", "level", a.label, b.label, difference, "by videos", "by pairs", "p", "p (Holm)"]
    lines = [
        [
            row.condition, row.level, number(row.auc_a), number(row.auc_b),
            "-" if np.isnan(row.difference) else f"{row.difference:+.3f}",
            *("-" if np.isnan(lo) else f"[{number(lo)}, {number(hi)}]" for lo, hi in (
                (row.lo, row.hi), (row.lo_pairs, row.hi_pairs)
            )),
            "-" if np.isnan(row.p) else f"{row.p:.2g}", "-" if np.isnan(row.p_holm) else f"{row.p_holm:.2g}",
        ]
        for row in rows
    ]  # fmt: skip
    return header, lines
