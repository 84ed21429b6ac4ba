"""The tables of ``make models`` and its figure: the loss over the steps, and the history matrix of every model.

Intervals are those of `tools.study.table`: pairs of people are resampled with the same draws for every model, of the
mean over a model's seeds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from detector.card import Card, read_card
from detector.errors import DataError
from evaluation import scores as score_tables
from tools.study.table import CONFIDENCE, DRAWS, SEED, Entry, aucs, difference, entry, wins

__all__ = ["MARKERS", "Trained", "document", "figure_of", "read_all", "short"]

MARKERS = "<!-- table of make models -->", "<!-- end of the table of make models -->"
FIGURES = {"diagonal": "same history", "pooled": "mean of all cells", "worst": "lowest cell"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model: its runs by seed. cpu: seconds of each training. curves: columns of history.csv of each."""

    name: str
    cards: dict[int, Card]
    cpu: dict[int, float]
    curves: dict[int, dict[str, Floats]]
    conditions: tuple[str, ...]
    pairs: tuple[str, ...]
    entries: dict[int, Entry]
    matrices: dict[int, Floats]  # (C, C): rows real, columns fake

    @property
    def card(self) -> Card:
        return next(iter(self.cards.values()))

    @property
    def start(self) -> str:
        return "random" if self.card.started_from is None else "ImageNet"

    @property
    def matrix(self) -> Floats:
        """The mean over the seeds."""
        return np.asarray(np.mean(list(self.matrices.values()), 0))

    @property
    def worst(self) -> tuple[str, str]:
        """The conditions of the real and of the forged faces in the lowest cell of `matrix`."""
        r, f = np.unravel_index(self.matrix.argmin(), self.matrix.shape)
        return self.conditions[int(r)], self.conditions[int(f)]

    def entry(self, seeds: Iterable[int]) -> Entry:
        """Return the figures of the matrix by seed and the draws of their mean over *seeds*."""
        chosen = [self.entries[seed] for seed in seeds]
        return Entry(
            {name: np.concatenate([one.seeds[name] for one in chosen]) for name in FIGURES},
            {name: np.mean([one.draws[name] for one in chosen], 0) for name in FIGURES},
            self.worst,
        )

    def value(self, name: str) -> float:
        """Return the mean over the seeds of a figure of the matrix."""
        return float(self.entry(self.cards).seeds[name].mean())

    def figure(self, name: str) -> str:
        """Return the same as text, with its interval."""
        lo, hi = np.quantile(self.entry(self.cards).draws[name], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return f"{_brief(self.value(name))} [{_brief(lo)}, {_brief(hi)}]"


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
    conditions, pairs = tuple(first.conditions), sorted(set(np.asarray(first.pair).tolist()))
    weights = np.random.default_rng(SEED).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), DRAWS)
    whole = np.ones((1, len(pairs)))
    runs = {seed: out / "weights" / f"{name}-{seed}" for seed in paths}
    return Trained(
        name,
        {seed: read_card(run) for seed, run in runs.items()},
        {seed: sum(json.loads(run.with_name(f"{run.name}.cpu.json").read_text())) for seed, run in runs.items()},
        {seed: _columns(run.with_name(f"{run.name}.csv")) for seed, run in runs.items()},
        conditions,
        tuple(pairs),
        {seed: entry([path], conditions, (), weights.astype(float), pairs) for seed, path in paths.items()},
        {seed: aucs(wins(table, conditions, pairs), whole)[0] for seed, table in tables.items()},
    )


def _columns(path: Path) -> dict[str, Floats]:
    """Return the columns of a history, empty fields as NaN."""
    with path.open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def document(models: Sequence[Trained]) -> str:
    """Return the table of *models* and their paired differences to the first as Markdown."""
    first = models[0]
    sources = [card.source for model in models for card in model.cards.values()]
    commits = sorted({(source.commit or "unknown")[:7] for source in sources if source is not None})
    about = (
        f"Frame AUC under {len(first.conditions)} histories of the real and of the forged faces "
        f"({', '.join(first.conditions)}): {len(first.conditions) ** 2} cells. {len(first.pairs)} test pairs. Mean "
        f"over the seeds [95 % by pairs, {DRAWS} bootstrap draws] (each seed). The minimum over cells is biased low. "
        "CPU s: of `detector train` with validation, mean over the seeds. Input: side of the crops in pixels. Commit "
        f"{', '.join(f'`{commit}`' for commit in commits)}."
    )
    titles = ["model", "weights at the start", "input", "steps", "seeds", "CPU s", *FIGURES.values(), "its conditions"]
    lines = [about, "", f"| {' | '.join(titles)} |", "|---|---|---:|---:|---|---:|---|---|---|---|"]
    for model in models:
        own = model.entry(model.cards)
        steps, batch = (model.card.parameters["train"][name] for name in ("steps", "batch_size"))
        cells = [f"{model.figure(name)} ({_each(own.seeds[name])})" for name in FIGURES]
        real, fake = model.worst
        lines.append(
            f"| {model.name} | {model.start} | {model.card.height} | {steps} of {batch} | "
            f"{', '.join(map(str, model.cards))} | {np.mean(list(model.cpu.values())):.0f} | {' | '.join(cells)} | "
            f"real {real}, fake {fake} |"
        )
    lines += ["", f"| minus {first.name} | figure | value | 95 % by pairs | 95 % by seeds |", "|---|---|---|---|---|"]
    for model in models[1:]:
        shared = sorted(model.cards.keys() & first.cards.keys())
        for name, title in FIGURES.items() if shared else ():
            row = difference(model.entry(shared), first.entry(shared), name)
            seeds = f"[{row.seeds_lo:+.3f}, {row.seeds_hi:+.3f}]" if np.isfinite(row.seeds_lo) else "one seed"
            lines.append(f"| {model.name} | {title} | {row.value:+.3f} | [{row.lo:+.3f}, {row.hi:+.3f}] | {seeds} |")
    return "\n".join([*lines, "", *_which(models)]) + "\n"


def _which(models: Sequence[Trained]) -> list[str]:
    """Return the recommended model: the highest mean of all cells."""
    best = max(models, key=lambda model: model.value("pooled"))
    return [
        f"Recommended: **{best.name}**, the highest mean of all cells, {best.figure('pooled')}, after "
        f"{np.mean(list(best.cpu.values())):.0f} CPU s of training."
    ]


def short(models: Sequence[Trained]) -> str:
    """Return the table of the README: numbers of `document`, without seeds and differences."""
    cells = len(models[0].conditions) ** 2
    lines = [
        f"| model | weights at the start | steps, CPU s, seeds | same history | mean of {cells} | lowest of {cells} |",
        "|---|---|---|---|---|---|",
    ]
    for model in models:
        lines.append(
            f"| {model.name} ({model.card.height} pixels) | {model.start} | {model.card.parameters['train']['steps']}, "
            f"{np.mean(list(model.cpu.values())):.0f}, {len(model.cards)} | "
            f"{' | '.join(model.figure(name) for name in FIGURES)} |"
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
        loss.set(title=model.name, xlabel="step", ylim=(0, 1))
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


def _each(values: Floats) -> str:
    return ", ".join(map(_brief, values))


def _brief(value: float) -> str:
    """Return *value* in [0, 1] as .123."""
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text
