"""Tasks on a Dask cluster (the extra ``detector[cluster]``).

A task runs on a worker, which writes the result to the working folder, on a file system that it shares with this
process. The scheduler runs a task again when its worker dies. Before a task runs, its worker notes the attempt in the
working folder: a task whose workers have died twice runs alone, after all others, and after a third death it is given
up, or done in pieces that have attempts of their own. The scheduler's own count is not used, because it charges a
death to every task that was assigned to the worker.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import queue
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.threads import KERNELS

from ..errors import DataError, DetectorError
from ..progress import StatusLine
from ..reading import read_bytes
from .executors import STRIKES, WorkerDiedError

if TYPE_CHECKING:
    from .work import Task

__all__ = ["SLURM", "attempt", "check_answer", "check_certificates", "on_cluster", "software"]

SLURM = "slurm"
IN_FLIGHT = 1000  # tasks submitted at a time
CONNECT_SECONDS = 30
VISIBLE_SECONDS = 60.0  # until a file that a worker has written is seen here: network file systems cache folders
POLL_SECONDS = 5.0
LIBRARIES = ("numpy", "opencv-python", "av", "scikit-image", "scipy", "torch", "torchvision", "timm", "safetensors")

DONE, SUSPECT, GIVEN_UP = "done", "suspect", "given up"


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is sent: `task`, the folder `work` for its result, both relative to `folder`; the `run` that the
    attempts are counted for, whether the task is `alone` on the cluster, and the `software` of this process."""

    task: Task
    work: Path
    folder: str
    run: str
    alone: bool
    software: dict[str, str]


def attempt(order: Order) -> str:
    """Finish a task on a worker; return `DONE`, `SUSPECT` (it must run alone) or `GIVEN_UP`.

    Raises `DataError` if the worker runs in another folder or with other software, and the exception of the task.
    """
    from .work import finish, is_whole, result_file

    _check_place(order)
    if not is_whole(result_file(order.work, order.task)):
        attempts = _attempts(order)
        before = _note(attempts)
        if before > STRIKES or (before == STRIKES and not order.alone):
            return GIVEN_UP if before > STRIKES else _forgotten(attempts, before)
        finish(order.task, order.work)
        attempts.unlink(missing_ok=True)
    return DONE


def _attempts(order: Order) -> Path:
    return order.work / f"{order.task.key}.{order.run}.attempts"


def _note(path: Path) -> int:
    """Note an attempt in the file *path*, one byte each, and return how many there were before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        os.write(descriptor, b".")
        os.fsync(descriptor)  # the next worker may be on another machine
    finally:
        os.close(descriptor)
    return before


def _forgotten(path: Path, before: int) -> str:
    """Take the last attempt back, as the task did not run."""
    os.truncate(path, before)
    return SUSPECT


def _check_place(order: Order) -> None:
    host = socket.gethostname()
    if os.getcwd() != order.folder:  # noqa: PTH109 (of links, both sides name the target)
        raise DataError(f"{Path.cwd()}: the worker on {host} was started here; start it in {order.folder}")
    if not order.work.is_dir():
        raise DataError(
            f"{Path.cwd() / order.work}: the worker on {host} does not see this folder; workers need the same file "
            "system as the command"
        )
    if (here := software()) != order.software:
        both = sorted({name for name, _ in here.items() ^ order.software.items()})
        lines = (f"{name} is {here.get(name, 'missing')}, not {order.software.get(name, 'missing')}" for name in both)
        raise DataError(
            f"the worker on {host} would not compute the same bytes: {'; '.join(lines)}. Start workers with `detector "
            "worker`, from the same installation"
        )


@functools.cache
def software() -> dict[str, str]:
    """Return what the results of tasks depend on besides their inputs: versions, our sources, variables."""
    from ..closure import PACKAGES
    from ..conditions import encoders

    found = {"Python": platform.python_version(), "processor": platform.machine()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    for name in PACKAGES:
        spec, total = importlib.util.find_spec(name), hashlib.sha256()
        for folder in (spec.submodule_search_locations if spec else None) or ():
            for path in sorted(Path(folder).rglob("*.py")):
                total.update(f"{path.relative_to(folder).as_posix()}\n{path.stat().st_size}\n".encode())
                total.update(path.read_bytes())
        found[f"the source of {name}"] = total.hexdigest()[:16]
    found |= {f"the encoder {name}": value for name, value in encoders().items()}
    return found | {name: os.environ.get(name, "not set") for name in KERNELS}


def on_cluster(
    tasks: Sequence[Task], work: Path, place: str, workers: int, divide: Callable[[Task], Sequence[Task]]
) -> Iterator[tuple[Task, Any]]:
    """Finish *tasks* in the folder *work* on the cluster *place*: ``dask://HOST:PORT``, ``tls://HOST:PORT`` or
    ``slurm``, with *workers* processes (0: as many as its settings say).

    Yields each task as it finishes, with None or a `WorkerDiedError`; the pieces that *divide* returns for a task that
    would be given up, if any, take its place. Raises the exception of a task, and `DetectorError` if the scheduler does
    not answer or is lost.
    """
    work.mkdir(parents=True, exist_ok=True)
    run = secrets.token_hex(4)
    with _client(place, workers) as client:
        StatusLine().say(f"Dask dashboard: {client.dashboard_link}")
        try:
            yield from _Run(client, work, place, run).unordered(tasks, divide)
        finally:
            for path in work.glob(f"*.{run}.attempts"):
                path.unlink(missing_ok=True)


class _Run:
    """Tasks submitted through a client. `running` are the futures by key, with their tasks; `suspects` wait until they
    can run alone; `finished` receives the futures, whether they succeeded or not."""

    def __init__(self, client: Any, work: Path, place: str, run: str) -> None:
        self.client, self.work, self.place, self.run = client, work, place, run
        self.running: dict[str, tuple[Any, Task]] = {}
        self.suspects: list[Task] = []
        self.finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.submitted = 0
        self.told = False

    def unordered(
        self, tasks: Sequence[Task], divide: Callable[[Task], Sequence[Task]]
    ) -> Iterator[tuple[Task, WorkerDiedError | None]]:
        waiting = list(tasks)[::-1]
        while waiting or self.running or self.suspects:
            while waiting and len(self.running) < IN_FLIGHT:
                self._submit(waiting.pop(), alone=False)
            alone = not self.running
            if alone:
                self._submit(self.suspects.pop(), alone=True)
            _, task = self.running.pop((future := self._next()).key)
            outcome = self._outcome(future, task)
            if outcome == SUSPECT and not alone:
                self.suspects.append(task)
            elif outcome == DONE:
                yield task, None
            elif pieces := divide(task):
                waiting += reversed(pieces)
            else:
                yield task, WorkerDiedError(f"the worker process died {STRIKES + 1} times")

    def _submit(self, task: Task, alone: bool) -> None:
        self.submitted += 1
        order = Order(task, self.work, os.getcwd(), self.run, alone, software())  # noqa: PTH109
        future = self.client.submit(attempt, order, key=f"detector-{self.run}-{self.submitted}", pure=False)
        self.running[future.key] = future, task
        future.add_done_callback(self.finished.put)

    def _next(self) -> Any:
        """Return the next finished future; say so while no worker is connected."""
        while True:
            try:
                return self.finished.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self.client.status != "running":
                    raise self._lost() from None
                with suppress(OSError, TimeoutError):
                    if not self.client.nthreads() and not self.told:
                        StatusLine().say(f"{self.place}: no workers are connected; waiting for them")
                        self.told = True

    def _outcome(self, future: Any, task: Task) -> str:
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        try:
            outcome: str = future.result()
        except KilledWorker:  # the task may be innocent
            return SUSPECT
        except (CancelledError, CommClosedError):
            raise self._lost() from None
        if outcome == DONE:
            self._wait_for(task)
        return outcome

    def _wait_for(self, task: Task) -> None:
        from .work import is_whole, result_file

        path, end = result_file(self.work, task), time.monotonic() + VISIBLE_SECONDS
        while not is_whole(path):
            if time.monotonic() > end:
                raise DataError(
                    f"{path}: written by a worker, but not seen here; workers need the same file system as the command"
                )
            time.sleep(0.1)

    def _lost(self) -> DetectorError:
        return DetectorError(
            f"{self.place}: the connection to the Dask scheduler was lost; start the scheduler and its workers again, "
            "then run the same command again: finished tasks are kept"
        )


@contextmanager
def _client(place: str, workers: int) -> Iterator[Any]:
    """Yield a client of the cluster *place*; with ``slurm`` the cluster is started, and ended with the block."""
    try:
        from distributed import Client, Security
    except ModuleNotFoundError:
        raise DetectorError(f"{place}: Dask is not installed; pip install 'detector[cluster]'") from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it reports is raised, in one line
    if place == SLURM:
        from .slurm import started

        with started(workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    if place.startswith("tls://"):
        check_certificates("client", place)
    check_answer(place)
    address = place.replace("dask://", "tcp://")
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, security=Security())
    except (OSError, TimeoutError) as error:  # the scheduler ended meanwhile
        raise _no_answer(place, error) from error
    with client:
        yield client


def check_certificates(role: str, place: str) -> None:
    """Raise `DetectorError` unless Dask's settings name certificates that *role*, ``client`` or ``worker``, can use.

    Dask's own errors name neither the setting nor the file.
    """
    from distributed import Security

    security, way_out = Security(), "see docs/cluster.md, Encryption and certificates"
    found = {
        "distributed.comm.tls.ca-file": security.tls_ca_file,
        f"distributed.comm.tls.{role}.cert": getattr(security, f"tls_{role}_cert"),
        f"distributed.comm.tls.{role}.key": getattr(security, f"tls_{role}_key"),
    }
    named = {
        setting: value for setting, value in found.items() if value is not None and "\n" not in value
    }  # no PEM text
    for setting in list(found)[:2]:  # the file of the certificate may hold its key
        if found[setting] is None:
            raise DetectorError(f"{place}: Dask's setting {setting} is not there; {way_out}")
    try:
        for file in named.values():
            read_bytes(file)
        security.get_connection_args(role)
    except (OSError, ValueError) as error:  # of ssl too
        files = ", ".join(f"{setting} = {file}" for setting, file in named.items())
        raise DetectorError(f"{place}: the certificates cannot be used: {error} ({files}); {way_out}") from error


def check_answer(place: str) -> None:
    """Raise `DetectorError` if no scheduler answers; a `Client` that cannot connect would leave its threads behind."""
    import asyncio

    from distributed import Security
    from distributed.comm import connect

    async def answer() -> None:
        options = Security().get_connection_args("client")
        scheduler = await connect(place.replace("dask://", "tcp://"), CONNECT_SECONDS, **options)
        await scheduler.close()

    try:
        asyncio.run(answer())
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        raise _no_answer(place, error) from error


def _no_answer(place: str, error: Exception) -> DetectorError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return DetectorError(f"{place}: no Dask scheduler answered within {CONNECT_SECONDS} s: {reason}")
