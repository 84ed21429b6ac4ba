"""The tables of ``make models`` and its figure: the loss over the steps, and the history matrix of every model.

Values and intervals are those of `evaluation.matrix`, of the matrix whose cells are means over a model's seeds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from detector.card import CARD
from detector.errors import DataError
from detector.schema import read_json
from evaluation import scores as score_tables
from evaluation.clusters import cluster
from evaluation.jackknife import Estimate, Side
from evaluation.scores import Scores
from evaluation.wilson import Range, mean_estimate, mean_of, worst
from evaluation.wilson import difference as difference_of
from evaluation.wins import Wins

__all__ = ["MARKERS", "Trained", "document", "figure_of", "read_all", "short"]

MARKERS = "<!-- table of make models -->", "<!-- end of the table of make models -->"
FIGURES = {"diagonal": "same history", "pooled": "mean of all cells", "worst": "lowest cell"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model: its runs by seed. cpu: seconds of each training. curves: columns of history.csv of each.

    cards: model.json as plain values, since earlier versions, whose runs are kept, wrote other fields. cells: AUC of
    reals under each condition (rows) against fakes under each (columns).
    """

    name: str
    cards: dict[int, dict[str, Any]]
    cpu: dict[int, float]
    curves: dict[int, dict[str, Floats]]
    conditions: tuple[str, ...]
    pairs: tuple[str, ...]
    cells: dict[int, list[list[Estimate]]]

    @property
    def card(self) -> dict[str, Any]:
        return next(iter(self.cards.values()))

    @property
    def start(self) -> str:
        return "random" if self.card["started_from"] is None else "ImageNet"

    @property
    def steps(self) -> tuple[int, int]:
        """Number of steps and crops in each."""
        recipe = self.card["parameters"]["train"]
        return recipe["steps"], recipe["batch_size"]

    def mean(self, seeds: Iterable[int]) -> list[list[Estimate]]:
        """Return the cells as means over *seeds*."""
        by_seed = [self.cells[seed] for seed in seeds]
        return [[mean_estimate(cell) for cell in zip(*rows, strict=True)] for rows in zip(*by_seed, strict=True)]

    @property
    def matrix(self) -> Floats:
        """The values of the cells, means over the seeds."""
        return _values(self.mean(self.cards))

    @property
    def worst(self) -> tuple[str, str]:
        """The conditions of the real and of the forged faces in the lowest cell of `matrix`."""
        r, f = np.unravel_index(self.matrix.argmin(), self.matrix.shape)
        return self.conditions[int(r)], self.conditions[int(f)]

    def figure(self, name: str) -> Range:
        """Return a figure of the matrix of means over the seeds."""
        cells = self.mean(self.cards)
        chosen = _chosen(cells, name)
        return worst(chosen) if name == "worst" else mean_of(chosen)

    def each(self, name: str) -> list[float]:
        """Return the same of every seed."""
        if name == "worst":
            return [float(_values(cells).min()) for cells in self.cells.values()]
        return [_mean(cells, name).value for cells in self.cells.values()]

    @property
    def seconds(self) -> str:
        """CPU time of a training, the mean over the seeds."""
        return f"{np.mean(list(self.cpu.values())):.0f}"


def _values(cells: Sequence[Sequence[Estimate]]) -> Floats:
    return np.array([[cell.value for cell in row] for row in cells])


def _chosen(cells: Sequence[Sequence[Estimate]], name: str) -> list[Estimate]:
    """Return the *cells*, (C, C), that a figure is made of: the diagonal, or all."""
    if name == "diagonal":
        return [row[i] for i, row in enumerate(cells)]
    return [cell for row in cells for cell in row]


def _mean(cells: Sequence[Sequence[Estimate]], name: str) -> Estimate:
    return mean_estimate(_chosen(cells, name))


def cells_of(table: Scores) -> list[list[Estimate]]:
    """Return the AUC of the reals of *table* under each condition against the fakes under each."""
    clusters = cluster(table)
    sides = []
    for label in (0, 1):
        rows = [(table.label == label) & (table.condition == name) for name in table.conditions]
        sides.append([Side(table.score[mask], clusters[mask]) for mask in rows])
    wins, number = Wins.of(*sides), range(len(table.conditions))
    return [[wins.auc(r, f) for f in number] for r in number]


def read_all(out: Path, names: Sequence[str]) -> list[Trained]:
    """Return the models among *names* of which *out* has scores, in this order; DataError if there are none."""
    found = []
    for name in names:
        paths = {int(path.stem.rpartition("-")[2]): path for path in (out / "scores").glob(f"{name}-*.csv")}
        if paths:
            found.append(_read(out, name, dict(sorted(paths.items()))))
    if not found:
        raise DataError(f"{out}: no scores of a model")
    if len({(model.conditions, model.pairs) for model in found}) > 1:
        raise DataError(f"{out}: the scores of the models are of different conditions or pairs of people")
    return found


def _read(out: Path, name: str, paths: Mapping[int, Path]) -> Trained:
    tables = {seed: score_tables.read(path).where(split="test") for seed, path in paths.items()}
    first = next(iter(tables.values()))
    runs = {seed: out / "weights" / f"{name}-{seed}" for seed in paths}
    return Trained(
        name,
        {seed: read_json(run / CARD, dict[str, Any]) for seed, run in runs.items()},
        {seed: sum(json.loads(run.with_name(f"{run.name}.cpu.json").read_text())) for seed, run in runs.items()},
        {seed: _columns(run.with_name(f"{run.name}.csv")) for seed, run in runs.items()},
        tuple(first.conditions),
        tuple(sorted(set(np.asarray(first.pair).tolist()))),
        {seed: cells_of(table) for seed, table in tables.items()},
    )


def _columns(path: Path) -> dict[str, Floats]:
    """Return the columns of a history, empty fields as NaN."""
    with path.open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def document(models: Sequence[Trained]) -> str:
    """Return the table of *models* and their paired differences to the first as Markdown."""
    first = models[0]
    sources = [card["source"] for model in models for card in model.cards.values()]
    commits = sorted({(source["commit"] or "unknown")[:7] for source in sources})
    about = (
        f"Frame AUC under {len(first.conditions)} histories of the real and of the forged faces "
        f"({', '.join(first.conditions)}): {len(first.conditions) ** 2} cells. {len(first.pairs)} test pairs. Values "
        "and 95 % intervals by pairs of the matrix of means over the seeds, as on the page of a run (each seed in "
        "parentheses). The lowest cell is biased low. CPU s: of `detector train` with validation, mean over the seeds. "
        f"Input: side of the crops in pixels. Commit {', '.join(f'`{commit}`' for commit in commits)}."
    )
    titles = ["model", "weights at the start", "input", "steps", "seeds", "CPU s", *FIGURES.values(), "its conditions"]
    lines = [about, "", f"| {' | '.join(titles)} |", "|---|---|---:|---:|---|---:|---|---|---|---|"]
    for model in models:
        steps, batch = model.steps
        real, fake = model.worst
        cells = [f"{_interval(model.figure(name))} ({', '.join(map(_brief, model.each(name)))})" for name in FIGURES]
        lines.append(
            f"| {model.name} | {model.start} | {model.card['height']} | {steps} of {batch} | "
            f"{', '.join(map(str, model.cards))} | {model.seconds} | {' | '.join(cells)} | real {real}, fake {fake} |"
        )
    lines += ["", f"| minus {first.name} | figure | value | 95 % by pairs | 95 % by seeds |", "|---|---|---|---|---|"]
    for model in models[1:]:
        lines += _differences(model, first)
    return "\n".join([*lines, "", _recommended(models)]) + "\n"


def _differences(model: Trained, first: Trained) -> Iterator[str]:
    """Yield the rows of *model* minus *first*, over the seeds that both have."""
    shared = sorted(model.cards.keys() & first.cards.keys())
    for name in ("diagonal", "pooled") if shared else ():
        row = difference_of([_mean(model.mean(shared), name)], [_mean(first.mean(shared), name)])
        by_seed = [_mean(model.cells[seed], name).value - _mean(first.cells[seed], name).value for seed in shared]
        seeds = "one seed"
        if len(shared) > 1:
            half = stats.t.ppf(0.975, len(shared) - 1) * np.std(by_seed, ddof=1) / len(shared) ** 0.5
            seeds = f"[{np.mean(by_seed) - half:+.3f}, {np.mean(by_seed) + half:+.3f}]"
        yield f"| {model.name} | {FIGURES[name]} | {row.value:+.3f} | [{row.lo:+.3f}, {row.hi:+.3f}] | {seeds} |"


def _recommended(models: Sequence[Trained]) -> str:
    """Return which model is recommended: that with the highest mean of all cells."""
    best = max(models, key=lambda model: model.figure("pooled").value)
    return (
        f"Recommended: **{best.name}**, the highest mean of all cells, {_interval(best.figure('pooled'))}, after "
        f"{best.seconds} CPU s of training."
    )


def short(models: Sequence[Trained]) -> str:
    """Return the table of the README: numbers of `document`, without seeds and differences."""
    cells = len(models[0].conditions) ** 2
    lines = [
        f"| model | weights at the start | steps, CPU s, seeds | same history | mean of {cells} | lowest of {cells} |",
        "|---|---|---|---|---|---|",
    ]
    for model in models:
        figures = " | ".join(_interval(model.figure(name)) for name in FIGURES)
        lines.append(
            f"| {model.name} ({model.card['height']} pixels) | {model.start} | {model.steps[0]}, {model.seconds}, "
            f"{len(model.cards)} | {figures} |"
        )
    return "\n".join(lines) + "\n"


def figure_of(models: Sequence[Trained]) -> Figure:
    """Return the figure: training loss of every seed over the steps, and below it the history matrix."""
    figure = Figure(figsize=(2.7 * len(models), 5.2), layout="constrained")
    axes = figure.subplots(2, len(models), squeeze=False)
    for i, model in enumerate(models):
        loss, cells = axes[0, i], axes[1, i]
        for seed, columns in model.curves.items():
            loss.plot(columns["step"], columns["loss"], lw=1, label=f"seed {seed}")
        loss.axhline(np.log(2), color="0.6", lw=0.8, ls=":")
        highest = max(float(columns["loss"].max()) for columns in model.curves.values())
        loss.set(title=model.name, xlabel="step", ylim=(0, max(1.0, 1.05 * highest)))
        loss.legend(frameon=False, fontsize=7)
        image = cells.imshow(model.matrix, vmin=0.3, vmax=1, cmap="viridis")
        ticks = range(len(model.conditions))
        cells.set_xticks(ticks, model.conditions, rotation=90, fontsize=6)
        cells.set_yticks(ticks, model.conditions if i == 0 else [""] * len(ticks), fontsize=6)
        cells.set_xlabel("fakes")
        for (r, f), value in np.ndenumerate(model.matrix):
            cells.text(f, r, f"{100 * value:.0f}", ha="center", va="center", fontsize=4.5,
                       color="white" if value < 0.7 else "black")  # fmt: skip
    axes[0, 0].set_ylabel("training loss (dotted: chance)")
    axes[1, 0].set_ylabel("real faces")
    figure.colorbar(image, ax=axes[1].tolist(), label="AUC", shrink=0.8)
    return figure


def _interval(found: Range) -> str:
    return f"{_brief(found.value)} [{_brief(found.lo)}, {_brief(found.hi)}]"


def _brief(value: float) -> str:
    """Return *value* in [0, 1] as .123."""
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text
