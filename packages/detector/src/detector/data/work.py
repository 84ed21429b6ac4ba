"""Tasks that resume: stages describe their work as tasks, and an executor runs them.

A task is a function of module level and its argument, and a key: the hash of everything that its result depends on
(content of its inputs, parameters, code, versions of libraries). A result is bytes, in a file named by the key in a
working folder beside the output. Finished tasks are found there by their keys, so a run that was killed at any moment
resumes with the others. Results are assembled in the order of the tasks, so the output does not depend on the
executor, the number of workers, or the order in which tasks finish.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigError, ListedError
from ..lock import held
from ..progress import track
from .executors import ProcessPool, WorkerDiedError
from .files import whole_file

__all__ = [
    "SERIAL",
    "Division",
    "Executor",
    "Part",
    "Task",
    "as_one",
    "finish",
    "finished",
    "grouped",
    "is_whole",
    "key_of",
    "mean_group",
    "pack",
    "parts_of",
    "read",
    "run",
    "timed",
    "unpack",
    "working_folder",
]

MAGIC = b"detector task 1\n"
HEADER = len(MAGIC) + 32  # and the SHA-256 of the rest
NAMED = 20  # lost tasks in the message
# tasks of one small file each are done in groups
FEWEST_GROUPS = 64
LONGEST_GROUP = 64
LARGEST_GROUP = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Task:
    """``function(argument)`` returns the result as bytes; `name` is for messages. The function is pickled by name.

    A task with a `division` that would be given up, because its workers die, is done in pieces.
    """

    key: str
    name: str
    function: Callable[[Any], bytes]
    argument: Any
    division: Division | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """The pieces of a task: `divide` returns them as tasks for its argument, `join` its result from their files."""

    divide: Callable[[Any], Sequence[Task]]
    join: Callable[[Sequence[Path]], bytes]


@dataclass(frozen=True, slots=True)
class Executor:
    """Where tasks run: `place` is ``serial`` (this process), ``processes``, the address of a Dask scheduler
    (``dask://HOST:PORT``, or ``tls://HOST:PORT`` with certificates), or ``slurm``.

    `workers` is the number of processes; 0 means one for each core, with ``slurm`` as many as the settings say. The
    workers of a Dask scheduler are started by others.
    """

    place: str = "processes"
    workers: int = 0

    def __post_init__(self) -> None:
        if self.place in ("serial", "processes", "slurm"):
            return
        if not is_scheduler(self.place):
            raise ConfigError(
                "executor must be serial, processes, slurm, dask://HOST:PORT or tls://HOST:PORT with a port from 1 to "
                f"65535, got {self.place}"
            )

    @classmethod
    def of_model(cls, place: str, workers: int) -> Executor:
        """Return where the tasks of a model run: in this process, unless more *workers* or a cluster are wanted."""
        return cls(place, workers or int(place == "processes"))

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run on a cluster."""
        return self.place not in ("serial", "processes")


SERIAL = Executor("serial")


def is_scheduler(place: str) -> bool:
    """Return whether *place* is the address of a Dask scheduler: ``dask://HOST:PORT`` or ``tls://HOST:PORT`` with a
    port from 1 to 65535."""
    found = re.fullmatch(r"(?:dask|tls)://[^/\s]+:([0-9]{1,5})", place)
    return found is not None and 1 <= int(found[1]) <= 65535


def key_of(*parts: str | bytes | memoryview | dict[str, Any]) -> str:
    """Return the hash of *parts*, each with its length; dictionaries as JSON."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, dict):
            part = json.dumps(part)
        data = part.encode() if isinstance(part, str) else part
        total.update(struct.pack("<Q", len(data)))
        total.update(data)
    return total.hexdigest()[:32]


@contextmanager
def working_folder(out: Path) -> Iterator[Path]:
    """Yield the folder of results beside *out*; it is kept if the block fails and removed if it succeeds.

    Only one process works on *out* at a time; others wait.
    """
    work = out.with_name(f".{out.name}.work")
    # the lock is not in the folder, which could not be removed while another process creates it
    with held(work.with_name(f"{work.name}.lock"), f"is making {out}", wait=True):
        yield work
        if work.exists():
            shutil.rmtree(work)


def run(tasks: Sequence[Task], work: Path, label: str, executor: Executor, isolated: bool = False) -> list[Path]:
    """Finish *tasks* in the folder *work* and return the files of their results, in the order of *tasks*.

    With *isolated*, ``processes`` never runs a task in this process, because its input may crash it. The first
    exception of a task is raised. Tasks whose workers were killed again and again are done in pieces if they have a
    `Division`; those without, and pieces that kill workers again, are named by a `ListedError` when all others have
    finished.
    """
    waiting = {task.key: task for task in tasks if not is_whole(result_file(work, task))}
    lost: list[str] = []
    if waiting:
        found = len({task.key for task in tasks}) - len(waiting)
        label = f"{label} ({found} found)" if found else label
        for _ in track(_done(waiting, work, executor, isolated, lost), len(waiting), label):
            pass
    if lost:
        more = f"\nand {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        raise ListedError(
            f"{len(lost)} tasks could not be finished:\n" + "\n".join(sorted(lost)[:NAMED]) + f"{more}\n"
            "Memory may have run out: try fewer --workers. Run the same command again: finished tasks are kept"
        )
    return [result_file(work, task) for task in tasks]


def finished(
    tasks: Sequence[Task], work: Path | None, label: str, executor: Executor, isolated: bool = False
) -> Iterator[bytes]:
    """Yield the results of *tasks* in their order, by `run`; without the folder *work*, computed here and not kept."""
    if work is None:
        return (task.function(task.argument) for task in tasks)
    return (read(file) for file in run(tasks, work, label, executor, isolated))


def _done(waiting: dict[str, Task], work: Path, executor: Executor, isolated: bool, lost: list[str]) -> Iterator[Task]:
    """Yield the tasks *waiting*, by key, as they finish; those that were given up, or their pieces, are named in
    *lost*."""
    left, pieces = dict(waiting), {}

    def divide(task: Task) -> Sequence[Task]:
        if task.division is None:
            return ()
        pieces[task.key] = task.division.divide(task.argument)
        return list({piece.key: piece for piece in pieces[task.key]}.values())

    for task, result in _unordered(list(waiting.values()), work, executor, isolated, divide):
        if isinstance(result, WorkerDiedError):
            lost.append(f"{task.name}: {result}")
        if left.pop(task.key, None):
            yield task
    for task in left.values():
        files = [result_file(work, piece) for piece in pieces[task.key]]
        if all(map(is_whole, files)):
            assert task.division is not None
            _write(result_file(work, task), task.division.join(files))
        yield task


def _unordered(
    tasks: list[Task], work: Path, executor: Executor, isolated: bool, divide: Callable[[Task], Sequence[Task]]
) -> Iterator[tuple[Task, Path | WorkerDiedError | None]]:
    """Yield each of *tasks* as they finish, with a `WorkerDiedError` if it was given up; instead of a task to be given
    up, the pieces that *divide* returns for it, if any."""
    if executor.elsewhere:
        from .cluster import on_cluster

        yield from on_cluster(tasks, work, executor.place, executor.workers, divide)
        return
    pool = ProcessPool(partial(finish, work=work), executor.workers)
    alone = len(tasks) == 1 or pool.workers == 1
    if executor.place == "serial" or (alone and not isolated):
        for task in tasks:
            yield task, finish(task, work)
        return
    yield from pool.unordered(tasks, divide)


def finish(task: Task, work: Path) -> Path:
    """Return the file in the folder *work* with the result of *task*; create it unless it exists and is intact."""
    path = result_file(work, task)
    if not is_whole(path):
        start, cpu = time.monotonic(), time.process_time()
        result = task.function(task.argument)
        _write(path, result)
        for times in _times:
            times.append((task, time.process_time() - cpu, time.monotonic() - start))
    return path


def _write(path: Path, result: bytes) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + hashlib.sha256(result).digest())
        file.write(result)


_times: list[list[tuple[Task, float, float]]] = []


@contextmanager
def timed() -> Iterator[list[tuple[Task, float, float]]]:
    """Yield a list that receives the tasks that this process finishes in the block, with CPU seconds and wall time."""
    times: list[tuple[Task, float, float]] = []
    _times.append(times)
    try:
        yield times
    finally:
        _times.remove(times)


def result_file(work: Path, task: Task) -> Path:
    """Return the path of the result of *task*; it may not exist."""
    return work / f"{task.key}.done"


def is_whole(path: Path) -> bool:
    """Return whether *path* is a result that is complete and undamaged."""
    try:
        with path.open("rb") as file:
            header, total = file.read(HEADER), hashlib.sha256()
            while block := file.read(1 << 20):
                total.update(block)
    except FileNotFoundError:
        return False
    return header == MAGIC + total.digest()


def read(path: Path) -> bytes:
    """Return the result in the file *path*, which `run` has returned."""
    with path.open("rb") as file:
        file.seek(HEADER)
        return file.read()


@dataclass(frozen=True, slots=True)
class Part:
    """The result of one task of a group (`grouped`): `size` bytes at `start` of the file `path`."""

    path: Path
    start: int
    size: int

    def open(self, _mode: str = "rb") -> IO[bytes]:
        """Return the result as a file, as `Path.open` does."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return io.BytesIO(file.read(self.size))


def grouped(tasks: Sequence[Task], sizes: Sequence[int]) -> list[list[Task]]:
    """Return *tasks*, which need *sizes* bytes, in groups that are long enough that handing them out costs little.

    There are at least about `FEWEST_GROUPS` groups, of at most `LONGEST_GROUP` tasks and `LARGEST_GROUP` bytes (or one
    task). Where a group ends follows from the keys of its tasks, so one more input changes one or two groups.
    """
    mean = mean_group(len(tasks))
    groups: list[list[Task]] = []
    total, ended = 0, True
    for task, size in zip(tasks, sizes, strict=True):
        if ended or total + size > LARGEST_GROUP:
            groups.append([])
            total = 0
        groups[-1].append(task)
        total += size
        ended = int(task.key[:8], 16) % mean == 0 or len(groups[-1]) == LONGEST_GROUP
    return groups


def mean_group(number: int) -> int:
    """Return the mean length of the groups of *number* tasks, a power of 2, if they had no limits."""
    mean = 1
    while mean < LONGEST_GROUP // 2 and 2 * mean * FEWEST_GROUPS <= number:
        mean *= 2
    return mean


def as_one(tasks: Sequence[Task]) -> Task:
    """Return a task that does *tasks*, one after the other; `parts_of` finds their results in its file.

    Its pieces are *tasks*.
    """
    first, *others = tasks
    if not others:
        return first
    name = f"{first.name} ... {others[-1].name} ({len(tasks)} tasks)"
    key = key_of("as_one", *(task.key for task in tasks))
    return Task(key, name, _do_all, tuple(tasks), Division(tuple, _packed))


def _do_all(tasks: Sequence[Task]) -> bytes:
    return pack(task.function(task.argument) for task in tasks)


def _packed(files: Sequence[Path]) -> bytes:
    return pack(map(read, files))


def parts_of(path: Path, number: int) -> list[Path] | list[Part]:
    """Return the results of the *number* tasks that `as_one` made one of, whose result is in the file *path*."""
    if number == 1:
        return [path]
    with path.open("rb") as file:
        file.seek(HEADER)
        counts = file.read(8 * (1 + number))
    found, *sizes = struct.unpack(f"<{1 + number}Q", counts)
    assert found == number
    starts = [HEADER + len(counts) + sum(sizes[:n]) for n in range(number)]
    return [Part(path, start, size) for start, size in zip(starts, sizes, strict=True)]


def pack(items: Iterable[bytes]) -> bytes:
    """Return *items* as one result; `unpack` returns them."""
    items = list(items)
    return struct.pack(f"<{1 + len(items)}Q", len(items), *map(len, items)) + b"".join(items)


def unpack(result: bytes) -> list[bytes]:
    """Return the items that `pack` made *result* of."""
    (number,) = struct.unpack_from("<Q", result)
    items, start = [], 8 * (1 + number)
    for size in struct.unpack_from(f"<{number}Q", result, 8):
        items.append(result[start : start + size])
        start += size
    return items
