"""The table of the study: figures of the history matrix by recipe, and their differences with two kinds of intervals.

Pairs of people are resampled with the same draws for every model, so differences are paired; a recipe's value is the
mean over its seeds. The second interval is Student's t over the differences of equal seeds. An effect is established
if both exclude 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from detector.errors import DataError
from evaluation import scores as score_tables
from evaluation.scores import Scores

__all__ = ["Difference", "between_markers", "document", "figures", "wins"]

DRAWS, SEED, CONFIDENCE = 1000, 1, 0.95
BEGIN, END = "<!-- table of make study -->", "<!-- end of the table of make study -->"
WEBP = "webp:50"
FIGURES = ("worst", "pooled", "diagonal", "unseen worst", "turbo", WEBP)

Floats = NDArray[np.float64]


def wins(table: Scores, conditions: Sequence[str], pairs: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Return the wins of fakes over reals by cell and pairs, (C, C, P, P), and the numbers of reals and fakes, (P,).

    Cell [r, f] compares the reals under condition r with the fakes under f; a tie counts one half.
    """
    owner = np.asarray(table.pair)[:, None] == np.array(pairs)  # (rows, P)
    sides = [
        [np.flatnonzero((table.label == label) & (table.condition == name)) for name in conditions] for label in (0, 1)
    ]
    result = np.empty((len(conditions), len(conditions), len(pairs), len(pairs)))
    for r, reals in enumerate(sides[0]):
        for f, fakes in enumerate(sides[1]):
            real, fake = table.score[reals, None], table.score[None, fakes]
            won = (fake > real) + 0.5 * (fake == real)
            result[r, f] = owner[reals].T.astype(float) @ won @ owner[fakes].astype(float)
    reals, fakes = (owner[side[0]].sum(0).astype(float) for side in sides)
    return result, reals, fakes


def aucs(won: tuple[Floats, Floats, Floats], weights: Floats) -> Floats:
    """Return the AUC of every cell, (draws, C, C), for *weights*, (draws, P): how often each pair is drawn."""
    counts, real, fake = won
    total = np.einsum("di,rfij,dj->drf", weights, counts, weights, optimize=True)
    return np.asarray(total / ((weights @ real) * (weights @ fake))[:, None, None])


def figures(cells: Floats, conditions: Sequence[str], matrix: Sequence[str]) -> dict[str, Floats]:
    """Return the figures of `FIGURES`, (draws,) each, of *cells*, (draws, C, C) under *conditions*.

    Those of the matrix are over the conditions *matrix*; "unseen worst" is over all of *conditions*.
    """
    at = [conditions.index(name) for name in matrix]
    inner = cells[:, at][:, :, at]
    diagonal = inner.diagonal(axis1=1, axis2=2)
    turbo = [i for i, name in enumerate(matrix) if name.startswith("turbo:")]
    found = {
        "worst": inner.min((1, 2)),
        "pooled": inner.mean((1, 2)),
        "diagonal": diagonal.mean(1),
        "unseen worst": cells.min((1, 2)),
        "turbo": diagonal[:, turbo].mean(1),
    }
    if WEBP in conditions:
        i = list(conditions).index(WEBP)
        found[WEBP] = cells[:, i, i]
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of one recipe minus that of another: the pairs' interval and the seeds'."""

    figure: str
    value: float
    lo: float
    hi: float
    seeds_lo: float
    seeds_hi: float

    @property
    def established(self) -> bool:
        """Whether both intervals exclude 0, on one side."""
        return min(self.lo, self.seeds_lo) > 0 or max(self.hi, self.seeds_hi) < 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipe: its figures by seed, (seeds,), their means over the seeds by draw, (draws,), and its worst cell."""

    seeds: dict[str, Floats]
    draws: dict[str, Floats]
    worst: tuple[str, str]


def entry(
    paths: Sequence[Path], matrix: Sequence[str], unseen: Sequence[str], weights: Floats, pairs: list[str]
) -> Entry:
    """Return the entry of the tables *paths*, one for each seed; *weights* are the draws of *pairs*."""
    by_seed, by_draw, inner = [], [], []
    for path in paths:
        table = score_tables.read(path).where(split="test")
        conditions = [name for name in (*matrix, *unseen) if name in table.conditions]
        won = wins(table, conditions, pairs)
        whole = aucs(won, np.ones((1, len(pairs))))
        by_seed.append(figures(whole, conditions, matrix))
        by_draw.append(figures(aucs(won, weights), conditions, matrix))
        inner.append(whole[0, : len(matrix), : len(matrix)])
    mean = np.mean(inner, 0)
    r, f = np.unravel_index(mean.argmin(), mean.shape)
    return Entry(
        {name: np.array([found[name][0] for found in by_seed]) for name in by_seed[0]},
        {name: np.mean([found[name] for found in by_draw], 0) for name in by_draw[0]},
        (matrix[int(r)], matrix[int(f)]),
    )


def difference(a: Entry, b: Entry, figure: str) -> Difference:
    """Return *a* minus *b*."""
    by_seed, by_draw = a.seeds[figure] - b.seeds[figure], a.draws[figure] - b.draws[figure]
    lo, hi = np.quantile(by_draw, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    mean, n = by_seed.mean(), len(by_seed)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * by_seed.std(ddof=1) / n**0.5 if n > 1 else np.inf
    return Difference(figure, float(mean), float(lo), float(hi), float(mean - half), float(mean + half))


def document(
    tables: Mapping[str, Sequence[Path]], matrix: Sequence[str], unseen: Sequence[str], plan: Mapping[str, Any]
) -> str:
    """Return the tables as Markdown: recipes, differences to the first recipe, and the answers to the questions."""
    first = score_tables.read(next(iter(tables.values()))[0]).where(split="test")
    pairs = sorted(set(np.asarray(first.pair).tolist()))
    rng = np.random.default_rng(SEED)
    weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), DRAWS).astype(float)
    entries = {name: entry(paths, matrix, unseen, weights, pairs) for name, paths in tables.items()}
    recipe = plan["parameters"]
    lines = [
        f"{recipe['model']}, {recipe['steps']} steps of {recipe['batch_size']}, seeds "
        f"{', '.join(map(str, plan['seeds']))}; {len(pairs)} test pairs of new people (data seed {plan['data_seed']}), "
        f"{plan['val_pairs']} validation pairs. Frame AUC, mean over the seeds [95 % by pairs, {DRAWS} bootstrap "
        "draws] (each seed). The minimum over cells is biased low.",
        "",
        "| recipe | " + " | ".join(FIGURES) + " | worst cell (real against fake) |",
        "|---" * (len(FIGURES) + 2) + "|",
    ]
    for name, one in entries.items():
        cells = [_cell(one, figure) for figure in FIGURES]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {one.worst[0]} against {one.worst[1]} |")
    lines += ["", "| difference | figure | value | 95 % by pairs | 95 % by seeds | established |", "|---" * 6 + "|"]
    names = list(entries)
    compared = [(name, names[0]) for name in names[1:]] + [("random", names[-1]), ("random", "mozjpeg")]
    found = {
        (a, b): {name: difference(entries[a], entries[b], name) for name in FIGURES if name in entries[a].seeds}
        for a, b in compared
    }
    for (a, b), rows in found.items():
        for row in rows.values():
            lines.append(
                f"| {a} - {b} | {row.figure} | {row.value:+.3f} | [{row.lo:+.3f}, {row.hi:+.3f}] | "
                f"[{row.seeds_lo:+.3f}, {row.seeds_hi:+.3f}] | {'yes' if row.established else 'no'} |"
            )
    return "\n".join([*lines, "", *_answers(found, entries)]) + "\n"


def _answers(found: Mapping[tuple[str, str], Mapping[str, Difference]], entries: Mapping[str, Entry]) -> list[str]:
    """Return the answers by the criteria of docs/study.md."""
    paper, *_, standardised = entries
    h1 = found["random", paper]["worst"]
    h2 = found["random", standardised]["pooled"]
    h3 = [found["random", "mozjpeg"][name] for name in ("turbo", WEBP)]
    h3_text = [f"{row.figure} {row.value:+.3f} ({'' if row.established else 'not '}established)" for row in h3]
    h5, unseen = entries["random"].draws["unseen worst"], entries["random"].seeds["unseen worst"].mean()
    low = float(np.quantile(h5, (1 - CONFIDENCE) / 2))

    def answer(name: str, holds: bool, text: str) -> str:
        return f"- {name}: {'holds' if holds else 'not established'}; {text}"

    return [
        answer("H1", h1.established and h1.value >= 0.2, f"worst cell {h1.value:+.3f} (criterion: at least +.2)"),
        answer("H2", h2.established and h2.value > 0, f"pooled AUC {h2.value:+.3f} over standardised scores"),
        answer(
            "H3",
            all(row.established and row.value > 0 for row in h3),
            f"both encoders minus mozjpeg only: {', '.join(h3_text)}",
        ),
        answer("H5", low >= 0.6, f"worst cell with unseen histories {unseen:.3f}, lower end {low:.3f} (criterion: .6)"),
    ]


def _cell(found: Entry, figure: str) -> str:
    if figure not in found.seeds:
        return "-"
    lo, hi = np.quantile(found.draws[figure], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    seeds = ", ".join(f"{value:.3f}" for value in found.seeds[figure])
    return f"{found.seeds[figure].mean():.3f} [{lo:.3f}, {hi:.3f}] ({seeds})"


def between_markers(page: str, text: str, path: Path, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """Return *page* with *text* between the *markers*; DataError if the file *path* does not have them once."""
    begin, end = markers
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise DataError(f"{path}: expected the lines {begin} and {end}, once and in this order")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{text}{end}{rest.partition(end)[2]}"
