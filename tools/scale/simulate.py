"""A discrete-event simulation of an executor: tasks, workers, a scheduler, and storage that all workers share.

The scheduler hands out one task at a time, to a worker that is free; the worker reads the task's input from the shared
storage, computes, and writes the result. Requests to the storage are served in the order in which they arrive, each
with the whole bandwidth. The same numbers always give the same result.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from detector.planning.cost import Calibration, Settings, Videos, counts, num_crops, plan, tasks

__all__ = ["DATA", "PLATFORMS", "Job", "Outcome", "Platform", "drawn", "simulate", "table"]

MOST = 200_000  # tasks that are simulated; a stage with more is scaled up
GB = 1e9


@dataclass(frozen=True, slots=True)
class Job:
    """A task: seconds of computation, bytes read before it and written after it."""

    seconds: float
    read: float = 0.0
    written: float = 0.0


@dataclass(frozen=True, slots=True)
class Platform:
    """Where tasks run: workers, seconds that the scheduler takes for a task, bytes a second of the shared storage."""

    name: str
    workers: int
    handing_out: float
    bandwidth: float = math.inf


@dataclass(frozen=True, slots=True)
class Outcome:
    """The time of a simulated stage, and which share of it workers (mean), scheduler and storage were busy."""

    seconds: float
    workers: float
    scheduler: float
    storage: float

    @property
    def limit(self) -> str:
        """The part that is busy most of the time."""
        shares = {"workers": self.workers, "scheduler": self.scheduler, "storage": self.storage}
        return max(shares, key=shares.__getitem__)


def simulate(jobs: Sequence[Job], platform: Platform) -> Outcome:
    """Return the outcome of *jobs*, handed out in their order."""
    # events: time, number for equal times, what happens (a worker is free, wants to write), the job
    free, write = 0, 1
    events: list[tuple[float, int, int, int]] = [(0.0, i, free, -1) for i in range(min(platform.workers, len(jobs)))]
    number, handed = len(events), 0
    scheduler_free = storage_free = computing = reading = end = 0.0
    while events:
        now, _, what, job = heapq.heappop(events)
        end = max(end, now)
        if what == write:
            took = jobs[job].written / platform.bandwidth
            storage_free = max(now, storage_free) + took
            reading += took
            heapq.heappush(events, (storage_free, number := number + 1, free, -1))
        elif handed < len(jobs):
            one, scheduler_free = jobs[handed], max(now, scheduler_free) + platform.handing_out
            took = one.read / platform.bandwidth
            storage_free = max(scheduler_free, storage_free) + took if took else storage_free
            reading += took
            begins = storage_free if took else scheduler_free
            computing += one.seconds
            heapq.heappush(events, (begins + one.seconds, number := number + 1, write if one.written else free, handed))
            handed += 1
    if not end:
        return Outcome(0.0, 0.0, 0.0, 0.0)
    busy = computing / end / platform.workers
    return Outcome(end, busy, len(jobs) * platform.handing_out / end, reading / end)


def drawn(number: int, mean: float, spread: float, seed: int = 0) -> list[float]:
    """Return *number* durations from a log-normal distribution with this mean and relative standard deviation."""
    draw, sigma = random.Random(seed), math.sqrt(math.log(1 + spread**2))
    return [draw.lognormvariate(math.log(mean) - sigma**2 / 2, sigma) if mean else 0.0 for _ in range(number)]


# what the simulated data sets are taken to be; docs/scale.md has the sources
DATA = {
    "FaceForensics++": Videos(1000, 4000, 510, 0.92, 5000 * 2.0e6, 1.0),
    "DFDC": Videos(20_000, 100_000, 300, 2.07, 120_000 * 3.9e6, 0.0),
    "10 million pictures": Videos(5_000_000, 5_000_000, 1, 0.25, 10e6 * 1.0e5, 0.0, pictures=True),
}
# a scheduler of Dask takes its measured time for a task; the storages are those of a disk, a file server, a store
PLATFORMS = (
    ("one machine, 16 cores", 16, "processes", 0.5 * GB),
    ("Slurm, 512 cores", 512, "dask", 5.0 * GB),
    ("cloud, 2,048 cores", 2048, "dask", 25.0 * GB),
)
SIMULATED = ("faces", "compress", "fidelity", "score")


def stage_jobs(calibration: Calibration, videos: Videos, settings: Settings, stage: str) -> tuple[list[Job], float]:
    """Return the tasks of *stage*, at most `MOST`, and by how much their outcome must be scaled up."""
    real, fake = num_crops(videos, settings, calibration.found)
    total = tasks(videos, settings, real + fake)[stage]
    forecast = next(one for one in plan(calibration, videos, settings).stages if one.stage == stage)
    units, rates = counts(videos, settings, calibration.found)[stage], calibration.stages[stage].tasks
    mean = sum(rate.seconds * units[unit] for unit, rate in rates.items() if unit in units) / total
    spread = max(rate.spread for rate in rates.values())
    some = min(total, MOST)
    jobs = [Job(s, forecast.read / total, forecast.written / total) for s in drawn(some, mean, spread)]
    return jobs, total / some


def table(calibration: Calibration, settings: Settings, handing_out: dict[str, float]) -> str:
    """Return the simulated stages of `DATA` on `PLATFORMS` as Markdown."""
    lines = [
        "| data | where | stage | tasks | hours | workers busy | scheduler busy | storage busy | limit |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, videos in DATA.items():
        for where, workers, executor, bandwidth in PLATFORMS:
            for stage in SIMULATED:
                jobs, scale = stage_jobs(calibration, videos, settings, stage)
                found = simulate(jobs, Platform(where, workers, handing_out[executor], bandwidth))
                shares = " | ".join(f"{100 * share:.0f} %" for share in (found.workers, found.scheduler, found.storage))
                lines.append(
                    f"| {name} | {where} | {stage} | {round(len(jobs) * scale):,} | "
                    f"{found.seconds * scale / 3600:.3g} | {shares} | {found.limit} |"
                )
    return "\n".join(lines) + "\n"


def plans(calibration: Calibration, settings: Settings) -> str:
    """Return the plans for `DATA` on `PLATFORMS` as Markdown."""
    lines = [
        "| data | where | tasks | CPU hours | wall hours | of it audit | input | disk | memory of a worker |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, videos in DATA.items():
        for where, workers, *_ in PLATFORMS:
            found = plan(calibration, videos, settings, workers)
            audit = next(one.wall_hours for one in found.stages if one.stage == "audit")
            lines.append(
                f"| {name} | {where} | {found.tasks:,} | {found.cpu_hours:.3g} | {found.wall_hours:.3g} | "
                f"{audit:.3g} | "
                f"{videos.bytes / 1e9:.0f} GB | {found.disk / GB:.0f} GB | {found.memory / 1e6:.0f} MB |"
            )
    return "\n".join(lines) + "\n"
