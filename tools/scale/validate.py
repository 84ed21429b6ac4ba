"""The simulator against real executors: tasks that sleep, with 1 to 8 workers, so that two cores are enough."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.data.work import Executor, Task, run
from detector.errors import DetectorError

from .simulate import Job, Platform, drawn, simulate

__all__ = ["Row", "handing_out", "table", "validated"]

WORKERS = (1, 2, 4, 8)
TASKS, MEAN, SPREAD = 120, 0.25, 0.5
EMPTY = 200  # tasks that do nothing
WAIT = 120  # seconds


@dataclass(frozen=True, slots=True)
class Row:
    """Wall seconds of `TASKS` tasks on an executor, measured and simulated."""

    executor: str
    workers: int
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """The error of the simulation relative to the measurement."""
        return self.simulated / self.measured - 1


def rest(seconds: float) -> bytes:
    """Sleep, and return nothing: a task that occupies a worker and no core."""
    time.sleep(seconds)
    return b""


def handing_out(place: str, folder: Path, workers: int = 2) -> float:
    """Return the seconds of a task that does nothing on the executor *place*."""
    start = _wall([0.0] * workers, folder / "few", place, workers)
    return max(0.0, _wall([0.0] * EMPTY, folder / "many", place, workers) - start) / (EMPTY - workers)


def validated(
    folder: Path, number: int = TASKS, workers: Sequence[int] = WORKERS
) -> tuple[list[Row], dict[str, float]]:
    """Run *number* tasks that sleep on both executors with so many *workers*; return a `Row` for each, and the seconds
    that each executor takes for a task that does nothing, with the most workers. What one worker takes beyond that is
    spent in the workers. The start of the workers is measured and taken off."""
    times, walls, empty = drawn(number, MEAN, SPREAD), {}, {}
    for executor in ("processes", "dask"):
        for count in workers:
            here = folder / f"{executor}-{count}"
            here.mkdir(parents=True)
            with contextlib.ExitStack() as stack:
                place = executor if executor == "processes" else stack.enter_context(_cluster(here, count))
                _wall([0.0] * count, here / "first", place, count)  # workers of Dask load the code
                empty[executor, count] = handing_out(place, here, count)
                start = _wall([0.0] * count, here / "start", place, count)
                walls[executor, count] = _wall(times, here / "work", place, count) - start
    taken = {executor: empty[executor, max(workers)] for executor in ("processes", "dask")}
    rows = []
    for (executor, count), wall in walls.items():
        own = max(0.0, empty[executor, min(workers)] - taken[executor])
        found = simulate([Job(s + own) for s in times], Platform(executor, count, taken[executor]))
        rows.append(Row(executor, count, wall, found.seconds))
    return rows, taken


def _wall(times: Sequence[float], folder: Path, place: str, workers: int) -> float:
    """Return the wall time of tasks that sleep so long."""
    tasks = [Task(f"{folder.name}{i}", f"task {i}", rest, seconds) for i, seconds in enumerate(times)]
    start = time.monotonic()
    with contextlib.redirect_stderr(io.StringIO()):
        run(tasks, folder, "tasks that sleep", Executor(place, workers), isolated=True)
    return time.monotonic() - start


@contextlib.contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[str]:
    """Start a Dask scheduler and workers on loopback; yield the address."""
    from evaluation.threads import pin_numpy

    pin_numpy()
    file = folder / "scheduler.json"
    scheduler = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                 "--no-show", "--scheduler-file", str(file))  # fmt: skip
    with (folder / "dask.log").open("wb") as log, contextlib.ExitStack() as stack:

        def start(*arguments: str) -> None:
            process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start(*scheduler)
        address = _waited(file)
        os.environ.setdefault("PYTHONPATH", str(Path.cwd()))  # the tasks are in tools
        start("-m", "detector.cli", "worker", address, "--workers", str(workers), "--memory", "0")
        _connected(address, workers)
        yield address


def _waited(file: Path) -> str:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if file.exists() and (text := file.read_text(encoding="utf-8")):
            return str(json.loads(text)["address"]).replace("tcp://", "dask://")
        time.sleep(0.1)
    raise DetectorError(f"{file}: no Dask scheduler within {WAIT} s; see dask.log beside it")


def _connected(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address.replace("dask://", "tcp://")) as client:
        client.wait_for_workers(workers, timeout=WAIT)


def table(rows: Sequence[Row], taken: dict[str, float]) -> str:
    """Return *rows* as Markdown, with the time that each executor takes for a task."""
    lines = ["| executor | workers | measured | simulated | error |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        times = f"{row.measured:.2f} s | {row.simulated:.2f} s | {100 * row.error:+.0f} %"
        lines.append(f"| {row.executor} | {row.workers} | {times} |")
    said = ", ".join(f"{executor} {1000 * seconds:.1f} ms" for executor, seconds in taken.items())
    return "\n".join(lines) + f"\n\nA task that does nothing takes: {said}.\n"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        print(table(*validated(Path(name))))


if __name__ == "__main__":
    main()
