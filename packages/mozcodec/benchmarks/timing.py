"""CPU times of several works that run in turn, and their ratios."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


class Work(Protocol):
    """Something to time."""

    def __call__(self) -> object:
        """Do it once, and return the result."""

    def seconds(self, repeat: int) -> float:
        """Do it *repeat* times, and return the CPU seconds of all together."""


def cpu_time() -> float:
    """Return CPU seconds of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Call:
    """A Python call as work."""

    function: Callable[[], object]
    clock: Callable[[], float] = time.process_time
    """:func:`cpu_time` where the call starts processes."""

    def __call__(self) -> object:
        return self.function()

    def seconds(self, repeat: int) -> float:
        function = self.function
        began = self.clock()
        for _ in range(repeat):
            function()
        return self.clock() - began


@dataclass(frozen=True)
class Spread:
    """The middle half of some numbers: median, lower and upper quartile."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Return median and quartiles (of one number: itself)."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Spread(median, low, high)


@dataclass(frozen=True)
class Timed:
    """What :func:`interleave` found, with times in seconds."""

    floor: float
    """The least time of the floor."""
    ratios: dict[str, Spread]
    """Of each other: its time over the mean of the floor's before and after it."""
    extra: dict[str, Spread]
    """Of each other: its time minus that mean."""


def _repetitions(work: Work, sample: float) -> int:
    work.seconds(1)  # caches, tables, working memory
    return max(1, round(sample / max(work.seconds(1), 1e-7)))


def interleave(floor: Work, others: Mapping[str, Work], rounds: int, sample: float) -> Timed:
    """Run floor, other, floor, other, floor ... for *rounds* rounds, each about *sample* seconds at a time.

    A slowdown of the machine affects neighbouring runs equally; the floor before and after each run cancels drifts.
    """
    repeat = _repetitions(floor, sample)
    repeats = {name: _repetitions(work, sample) for name, work in others.items()}
    ratios: dict[str, list[float]] = {name: [] for name in others}
    extra: dict[str, list[float]] = {name: [] for name in others}
    floors = []
    for _ in range(rounds):
        before = floor.seconds(repeat) / repeat
        for name, work in others.items():
            own = work.seconds(repeats[name]) / repeats[name]
            after = floor.seconds(repeat) / repeat
            beside = (before + after) / 2
            ratios[name].append(own / beside)
            extra[name].append(own - beside)
            floors.append(after)
            before = after
    return Timed(
        min(floors),
        {name: spread(values) for name, values in ratios.items()},
        {name: spread(values) for name, values in extra.items()},
    )
