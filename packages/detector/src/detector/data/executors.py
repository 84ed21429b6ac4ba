"""A process pool that survives the death of a worker.

``concurrent.futures.ProcessPoolExecutor`` loses all outstanding work when one worker is killed. Here the pool is
rebuilt and unfinished jobs are submitted again. A job that was running when workers died twice is then run alone; if
its worker dies a third time, it is divided or, if it cannot be, fails with `WorkerDiedError`. A job may therefore run
more than once: it must be repeatable, and write its results under a temporary name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Generic, TypeVar

from ..system import cores

Job = TypeVar("Job")
Result = TypeVar("Result")

STRIKES = 2


class WorkerDiedError(RuntimeError):
    """Every process that ran a job was killed, for example because memory ran out."""


class ProcessPool(Generic[Job, Result]):
    """Runs *function* over jobs in *workers* fresh processes; *initializer* runs first in each of them."""

    def __init__(
        self, function: Callable[[Job], Result], workers: int = 0, initializer: Callable[[], None] | None = None
    ) -> None:
        self.function = function
        self.workers = workers or cores()
        self.initializer = initializer

    def unordered(
        self, jobs: Sequence[Job], divide: Callable[[Job], Sequence[Job]] = lambda _: ()
    ) -> Iterator[tuple[Job, Result | WorkerDiedError]]:
        """Yield each job with its result as they finish; a job that kills its workers comes with a `WorkerDiedError`.

        If *divide* returns jobs for it, these run in its place, with attempts of their own, and are yielded instead.
        An exception that *function* raises is raised here, after the workers have been stopped.
        """
        jobs = list(jobs)
        strikes = [0] * len(jobs)
        waiting = list(range(len(jobs)))[::-1]
        while waiting:
            suspects = [i for i in waiting if strikes[i] >= STRIKES]
            if suspects:
                waiting.remove(suspects[0])
                result = self._alone(job := jobs[suspects[0]])
                pieces = divide(job) if isinstance(result, WorkerDiedError) else ()
                waiting += range(len(jobs) + len(pieces) - 1, len(jobs) - 1, -1)
                jobs += pieces
                strikes += [0] * len(pieces)
                if not pieces:
                    yield job, result
                continue
            running: dict[Future[Result], int] = {}
            try:
                for i, result in self._until_death(jobs, waiting, running):
                    yield jobs[i], result
            except BrokenProcessPool:
                for i in running.values():
                    strikes[i] += 1
                waiting += sorted(running.values(), reverse=True)

    def _until_death(
        self, jobs: Sequence[Job], waiting: list[int], running: dict[Future[Result], int]
    ) -> Iterator[tuple[int, Result]]:
        """Move jobs from *waiting* to *running* and yield their results, until all are done or the pool breaks."""
        with self._pool(min(self.workers, len(waiting))) as pool:
            while waiting or running:
                # at most one queued job per worker, so that few jobs are candidates when a worker dies
                while waiting and len(running) < 2 * self.workers:
                    i = waiting[-1]
                    running[pool.submit(self.function, jobs[i])] = i
                    waiting.pop()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=running.__getitem__):
                    result = future.result()
                    yield running.pop(future), result

    def _alone(self, job: Job) -> Result | WorkerDiedError:
        with self._pool(1) as pool:
            try:
                return pool.submit(self.function, job).result()
            except BrokenProcessPool:
                return WorkerDiedError(f"the worker process died {STRIKES + 1} times")

    @contextmanager
    def _pool(self, workers: int) -> Iterator[ProcessPoolExecutor]:
        """Yield a pool; after the block its workers have ended.

        After the exception of a job they finish what they are doing. After Ctrl-C, or if nobody wants further results,
        they are killed: a job may take hours.
        """
        # fresh interpreters: a fork would share OpenCV's and FFmpeg's threads and locks
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(self.initializer,))
        processes = pool._processes  # shutdown forgets them
        try:
            try:
                yield pool
            except Exception:
                pool.shutdown(cancel_futures=True)
                raise
            pool.shutdown()
        finally:
            for process in processes.values():
                process.kill()
            pool.shutdown(cancel_futures=True)


def _start(initializer: Callable[[], None] | None) -> None:
    """Prepare a worker: ignore Ctrl-C, which the parent handles, and exit when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    if initializer is not None:
        initializer()
