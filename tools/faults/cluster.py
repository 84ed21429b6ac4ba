"""Stages on a Dask cluster of a scheduler and two workers on this machine, of which processes are killed or stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from detector.errors import DetectorError

from . import Case, family
from .every_stage import SECONDS, bench
from .stages import STAGES, Bench, Stage
from .warm import Result

ON_CLUSTER = ("faces", "fidelity", "score", "explain")
KINDS = ("a worker is killed", "a worker is stopped", "the scheduler is killed", "the command is killed")
TURNS = 3  # of every kind and stage
START = 60.0  # seconds in which a scheduler must run
STOPPED = 3.0  # seconds for which a worker is stopped


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A scheduler at *address*, and the process that starts its two workers and starts them again when they die."""

    address: str
    scheduler: subprocess.Popen[bytes]
    nanny: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        """Return the processes that run tasks."""
        return [pid for pid in children(self.nanny.pid) if b"spawn_main" in command_line(pid)]


def children(pid: int) -> list[int]:
    """Return the children of a process, started by any of its threads (Linux)."""
    found: list[int] = []
    for file in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            found += map(int, file.read_text(encoding="ascii").split())
    return found


def command_line(pid: int) -> bytes:
    """Return the command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster whose workers have *folder* as their working directory; its own files lie beside it."""
    own = folder.with_name(f"{folder.name}-cluster")
    own.mkdir(exist_ok=True)
    file = own / "scheduler.json"
    file.unlink(missing_ok=True)
    environment = {**os.environ, "TMPDIR": str(own)}
    with (own / "log").open("ab") as log:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", *arguments]
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

        scheduler = start(
            *("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--scheduler-file", str(file), "--no-dashboard", "--no-show"),
        )
        running = [scheduler]
        try:
            end = time.monotonic() + START
            while not (file.exists() and (known := file.read_text(encoding="utf-8")).rstrip().endswith("}")):
                if time.monotonic() > end or scheduler.poll() is not None:
                    raise DetectorError(f"{own / 'log'}: no scheduler of Dask after {START:.0f} s")
                time.sleep(0.05)
            address = json.loads(known)["address"].replace("tcp://", "dask://")
            running.append(start("detector.cli", "worker", address, "--workers", "2", "--memory", "0"))
            yield Cluster(address, *running)
        finally:
            for process in reversed(running):
                for pid in children(process.pid):
                    send(pid, signal.SIGKILL)
                process.kill()
                process.wait()


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@family(
    "cluster faults",
    "the bytes of one process although workers are killed or stopped; without a scheduler an error names it, and the "
    "next run resumes",
)
def faults(seed: int, sample: Path) -> Iterator[Case]:
    """Kill or stop a process of a cluster, or the command, at a random moment of a stage."""
    rng = random.Random(seed)
    for turn in range(TURNS):
        for kind in KINDS:
            for name in ON_CLUSTER:
                chosen = rng.randrange(1 << 30)
                yield Case(f"{name}: {kind} ({turn})", partial(_disturbed, sample, STAGES[name], kind, chosen))


def _disturbed(sample: Path, stage: Stage, kind: str, seed: int, folder: Path) -> str:
    here, rng = bench(sample), random.Random(seed)
    here.place(stage, folder)
    # the start of the workers takes a second or two more than the stage alone
    delay, drawn = rng.uniform(0.2, here.seconds[stage.name] + 2), rng.random()
    with cluster(folder) as running:
        if kind == "the command is killed":
            _run(here, stage, folder, running, number=signal.SIGKILL, delay=delay)
        else:
            timer = threading.Timer(delay, _disturb, (running, kind, drawn))
            timer.start()
            result = _run(here, stage, folder, running)
            timer.cancel()
            timer.join()
            if said := wrong(result, kind, running.address):
                return said
    with cluster(folder) as running:
        result = _run(here, stage, folder, running)
    if result.code:
        return f"the run after it failed: {result.code} {result.text[-1500:]}"
    left = here.leftovers(stage, folder)
    return here.wrong(stage, folder) or (f"left behind: {left}" if left else "")


def _run(here: Bench, stage: Stage, folder: Path, running: Cluster, **request: object) -> Result:
    argv = tuple(running.address if word == "serial" else word for word in stage.argv)
    return here.run(dataclasses.replace(stage, argv=argv), folder, seconds=SECONDS, **request)


def _disturb(running: Cluster, kind: str, drawn: float) -> None:
    if kind == "the scheduler is killed":
        running.scheduler.kill()
        return
    workers = running.workers()
    if not workers:
        return
    pid = workers[int(drawn * len(workers))]
    if kind == "a worker is killed":
        send(pid, signal.SIGKILL)
    else:
        send(pid, signal.SIGSTOP)
        time.sleep(STOPPED)
        send(pid, signal.SIGCONT)


def wrong(result: Result, kind: str, address: str) -> str:
    """Return what is wrong with a stage that was disturbed; without a scheduler it may fail, but must name it."""
    if result.code == -signal.SIGALRM:
        return "hangs"
    named = kind == "the scheduler is killed" and result.code == 1 and address in result.text
    if "Traceback" in result.text or not (result.code == 0 or named):
        return f"ended with {result.code}: {result.text[-1500:]}"
    return ""
