"""The measurements as tables: rows of ratios, other figures, and whether goals were met."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from contenders import MOZCODEC, Loaded
from timing import Spread


def geometric(values: list[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def markdown(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *lines))


def within(low: float, high: float, digits: int = 3) -> str:
    """Return a range in words."""
    return f"{low:.{digits}f} .. {high:.{digits}f}"


@dataclass(frozen=True)
class Goal:
    """An upper limit of a number, or with *at_least* a lower one; ``aim`` is a stricter limit."""

    limit: float
    aim: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Return the goal and whether *value* meets it."""
        sign = "≥" if self.at_least else "≤"
        said = [f"{sign} {self.limit:g} {self._met(value, self.limit)}"]
        if self.aim is not None:
            said.append(f"aim {self.aim:g} {self._met(value, self.aim)}")
        return ", ".join(said)

    def _met(self, value: float, limit: float) -> str:
        return "met" if (value >= limit if self.at_least else value <= limit) else "**missed**"


@dataclass(frozen=True)
class Finding:
    """A number that a goal was set for."""

    HEAD = ("what", "n", "measured", "quartiles", "range of cases", "goal")

    what: str
    cases: str
    value: str
    quartiles: str
    spread: str
    verdict: str

    def cells(self) -> tuple[str, ...]:
        return self.what, self.cases, self.value, self.quartiles, self.spread, self.verdict


@dataclass(frozen=True)
class Row:
    """One case: the least time of the C loop, and the ratio of each contender to it."""

    case: str
    floor_ms: float
    ratios: dict[str, Spread]
    same: bool | None = None
    """Whether mozcodec's bytes or pixels were the floor's; None where there is nothing to compare."""
    sizes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [self.case, f"{self.floor_ms:.3f} ms", *(["DIFFERENT"] if self.same is False else [])]
        return "; ".join([*words, *(f"{name} {ratio.median:.3f}" for name, ratio in self.ratios.items())])


@dataclass(frozen=True)
class Table:
    """The ratios of one mode."""

    title: str
    unit: str
    """The reference, whose ratio is 1."""
    rows: list[Row]
    rounds: int
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """Upper limits of the geometric means, by column."""

    def columns(self) -> list[str]:
        """Return the contenders that were measured in every case."""
        return [name for name in self.rows[0].ratios if all(name in row.ratios for row in self.rows)]

    def mean(self, column: str) -> Spread:
        """Return the geometric means of the medians and of the quartiles."""
        found = [row.ratios[column] for row in self.rows]
        return Spread(*(geometric([getattr(s, part) for s in found]) for part in ("median", "low", "high")))

    def range(self, column: str) -> str:
        """Return the least and the largest median of a case."""
        medians = [row.ratios[column].median for row in self.rows]
        return within(min(medians), max(medians))

    def size(self, column: str) -> float | None:
        """Return the geometric mean of the bytes over mozcodec's, where there are bytes."""
        sizes = [row.sizes[column] / row.sizes[MOZCODEC] for row in self.rows if column in row.sizes]
        return geometric(sizes) if sizes else None

    def findings(self) -> list[Finding]:
        """Return the measurements that have goals."""
        found = []
        for column, goal in self.goals.items():
            mean, form = self.mean(column), column.removeprefix(MOZCODEC).removeprefix(": ")
            what, verdict = f"{self.title}{', ' * bool(form)}{form}", goal.verdict(mean.median)
            quartiles = within(mean.low, mean.high)
            cells = (f"{len(self.rows)} x {self.rounds}", f"{mean.median:.3f}", quartiles, self.range(column), verdict)
            found.append(Finding(what, *cells))
        return found

    def _line(self, column: str, loaded: Mapping[str, Loaded]) -> tuple[str, ...]:
        mean, size = self.mean(column), self.size(column)
        known = next((one.version for name, one in loaded.items() if column.split(":")[0] == name), "")
        return (
            *(column, known, f"{mean.median:.3f}", within(mean.low, mean.high), self.range(column)),
            *([f"{size:.2f}" if size else ""] if self.rows[0].sizes else []),
            *([self.goals[column].verdict(mean.median) if column in self.goals else ""] if self.goals else []),
        )

    def markdown(self, loaded: Mapping[str, Loaded]) -> str:
        """Return the table with its title, number of cases and versions."""
        compared = [row.same for row in self.rows if row.same is not None]
        equal = f"; equal to the C loop's in {sum(compared)} of {len(compared)}" if compared else ""
        head = (
            *("", "version", f"CPU time, {self.unit} = 1", "quartiles", "range of cases"),
            *(["bytes, mozcodec = 1"] if self.rows[0].sizes else []),
            *(["goal"] if self.goals else []),
        )
        about = f"n = {len(self.rows)} cases, {self.rounds} rounds each{equal}."
        lines = [self._line(column, loaded) for column in self.columns()]
        return f"### {self.title}\n\n{about}\n\n{markdown(head, lines)}"


@dataclass(frozen=True)
class Figures:
    """A table of text and of numbers other than ratios."""

    title: str
    head: tuple[str, ...]
    lines: list[tuple[str, ...]]
    found: list[Finding] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """Return the measurements that have goals."""
        return self.found

    def markdown(self, _: Mapping[str, Loaded]) -> str:
        """Return the table with its title."""
        return f"### {self.title}\n\n{markdown(self.head, self.lines)}"
