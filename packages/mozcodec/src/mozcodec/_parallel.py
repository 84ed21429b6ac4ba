"""Apply a function to many items in several threads; the codec runs without the GIL."""

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakSet

from ._options import integer

T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """Return the number of cores that this process may run on; all cores where the platform has no affinity."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_threads(threads: int | None) -> int:
    """Return the number of threads to use: *threads*, or one for each available core."""
    return available_cores() if threads is None else integer("threads", threads, 1, 1024)


class _Job:
    """One item, and later its result. Waiting for it costs one lock: items may take less than a millisecond."""

    __slots__ = ("__weakref__", "error", "finished", "item", "result")

    def __init__(self, item: Any) -> None:
        self.item, self.result = item, None
        self.error: BaseException | None = None
        self.unfinished()

    def unfinished(self) -> None:
        self.finished = threading.Lock()
        self.finished.acquire()


class _Pool:
    """Threads that run one function over jobs. Pools of unfinished iterators are stopped at exit.

    A forked process has none of the threads: its copy of the pool starts new ones, for the jobs that were not done.
    """

    def __init__(self, function: Callable[[Any], Any], count: int) -> None:
        self._function, self._count = function, count
        self._stopped = False
        self._open: set[_Job] = set()
        _pools.add(self)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._process = os.getpid()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(self._jobs,), name=f"mozcodec_{i}", daemon=True)
            for i in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def _after_fork(self) -> None:
        if self._process == os.getpid():
            return
        lost = list(self._open)
        for job in lost:
            job.unfinished()
        self._start()
        for job in lost:
            self._jobs.put(job)

    def begin(self, item: Any) -> _Job:
        self._after_fork()
        job = _Job(item)
        self._open.add(job)
        self._jobs.put(job)
        return job

    def outcome(self, job: _Job) -> Any:
        """Wait for *job* and return its result, or raise its error."""
        self._after_fork()
        job.finished.acquire()
        self._open.discard(job)
        if job.error is not None:
            raise job.error
        return job.result

    def _work(self, jobs: "SimpleQueue[_Job | None]") -> None:
        while (job := jobs.get()) is not None:
            if not self._stopped:
                try:
                    job.result = self._function(job.item)
                except BaseException as error:  # raised again where the result would stand
                    job.error = error
            job.finished.release()

    def stop(self) -> None:
        """Finish the jobs in progress, and no others."""
        if self._stopped:  # at exit; an unfinished iterator is closed when even the modules are gone
            return
        self._stopped = True
        if self._process == os.getpid():
            for _ in self._threads:
                self._jobs.put(None)
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join()
        _pools.discard(self)


_pools: WeakSet[_Pool] = WeakSet()


@atexit.register
def _stop_pools() -> None:
    for pool in list(_pools):
        pool.stop()


def ordered_map(function: Callable[[T], R], items: Iterable[T], threads: int | None) -> Iterator[R]:
    """Yield ``function(item)`` for every item, in order.

    *items* are taken as they are needed, two for each thread ahead of what was yielded, so that a long series need
    not fit in memory. The first failure is raised where its result would stand, and nothing new is begun after it.
    """
    count = num_threads(threads)
    if count == 1:
        yield from map(function, items)
        return
    pending: deque[_Job] = deque()
    pool = _Pool(function, count)
    try:
        for item in items:
            pending.append(pool.begin(item))
            if len(pending) > 2 * count:
                yield pool.outcome(pending.popleft())
        while pending:
            yield pool.outcome(pending.popleft())
    finally:
        pool.stop()
