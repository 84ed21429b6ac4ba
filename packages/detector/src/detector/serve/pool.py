"""Worker processes as the server sees them: `Worker` is one, `Pool` gives each job to the next idle one.

A worker that takes too long is killed, one that has died is replaced; both cost only the request at hand. A new worker
must load the same weights as the first, or answers would change during the service's life.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import DataError
from .messages import ClosedError, Message, receive, send
from .metrics import Metrics
from .problem import Problem
from .store import Upload
from .worker import Setup

__all__ = ["COMMAND", "Pool", "Worker"]

COMMAND = (sys.executable, "-P", "-m", "detector.serve.worker")
START_SECONDS = 300  # to load the weights, on a busy machine
RETRY_SECONDS = 5  # between attempts to start a worker
log = logging.getLogger("detector.serve")


class Worker:
    """A worker process. Its methods block; one thread uses it at a time."""

    def __init__(self, setup: Setup, command: Sequence[str] = COMMAND) -> None:
        self.setup, self.command = setup, command
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket.socket | None = None

    def start(self) -> dict[str, Any]:
        """Start the process and return what it says of the weights; DataError if they cannot be used."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [*self.command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.connection = ours
        try:
            send(ours, Message(dataclasses.asdict(self.setup)))
            hello = receive(ours, START_SECONDS).values
        except (ClosedError, TimeoutError):
            how = self.stop()
            raise DataError(f"a worker could not be started: {how}") from None
        if "error" in hello:
            self.stop()
            raise DataError(hello["error"])
        return hello

    def call(self, message: Message, seconds: float) -> Message:
        """Return the reply to *message*. Problem, and no process any more, if it takes longer or the process dies."""
        assert self.connection is not None
        try:
            send(self.connection, message)
            return receive(self.connection, seconds)
        except TimeoutError:
            self.stop()
            raise Problem("too_slow", f"examining the file takes more than {seconds:g} seconds") from None
        except (ClosedError, OSError):
            how = self.stop()
            raise Problem("crash", f"examining the file ended its process: {how}") from None

    def stop(self) -> str:
        """End the process and return how it ended."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.process is None:
            return "not running"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.1)  # one that has crashed should tell how
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait()
        self.process = None
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self.process is not None and self.process.poll() is None


class Pool:
    """*size* workers, and the jobs that wait for one of them in order of arrival."""

    def __init__(self, setup: Setup, size: int, metrics: Metrics, command: Sequence[str] = COMMAND) -> None:
        self.setup, self.metrics = setup, metrics
        self.workers = [Worker(setup, command) for _ in range(size)]
        self.idle: asyncio.Queue[Worker] = asyncio.Queue()
        self.threads = ThreadPoolExecutor(size, "worker")
        self.hello: dict[str, Any] = {}
        self.changed = False  # whether the weights are other ones than at the start
        self.closing = False
        self.tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start all workers; DataError if the weights cannot be used."""
        found = await asyncio.gather(*(self._thread(worker.start) for worker in self.workers), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                await self.stop()
                raise one
            self.hello = one
        for worker in self.workers:
            self.idle.put_nowait(worker)

    async def stop(self) -> None:
        """End all workers."""
        self.closing = True
        for worker in self.workers:
            if worker.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for worker in self.workers:
            await self._thread(worker.stop)
        self.threads.shutdown(wait=True)

    @property
    def ready(self) -> int:
        """How many workers run."""
        return sum(worker.running for worker in self.workers)

    async def run(self, values: dict[str, Any], upload: Upload) -> Message:
        """Return a worker's reply to the job *values* for *upload*; Problem if there is none.

        If the caller is cancelled, a waiting job is dropped; one that has begun is finished.
        """
        if self.changed:
            raise Problem("no_worker", "the weights have changed since the service was started: restart it")
        worker = await self.idle.get()
        reply: Message = await asyncio.shield(self._task(self._work(worker, values, upload)))
        return reply

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may be gone

    async def _work(self, worker: Worker, values: dict[str, Any], upload: Upload) -> Message:
        began = time.monotonic()
        self.metrics.in_flight += 1
        try:
            message = Message(values, file=upload.file)  # this task keeps the upload, and so its descriptor, open
            reply: Message = await self._thread(lambda: worker.call(message, self.setup.limits.seconds))
        except Problem as problem:
            if self.closing:
                raise Problem("stopping", "the service is being stopped") from None
            self.metrics.restarts[problem.code] += 1
            log.warning("a worker was replaced: %s", problem.detail)
            raise
        finally:
            self.metrics.in_flight -= 1
            self.metrics.observe(time.monotonic() - began)
            if worker.running:
                self.idle.put_nowait(worker)
            elif not self.closing:
                self._task(self._replace(worker))
        if "bug" in reply.values:
            log.error("an error in the program:\n%s", reply.values["bug"])
            raise Problem("bug", "an error in the program; the log of the service has its traceback")
        if "problem" in reply.values:
            raise Problem(reply.values["problem"], reply.values["detail"])
        return reply

    async def _replace(self, worker: Worker) -> None:
        while not self.closing:
            try:
                hello = await self._thread(worker.start)
            except DataError as error:
                log.error("a worker could not be replaced: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if hello != self.hello:
                self.changed = True
                await self._thread(worker.stop)
                log.error("the weights have changed since the start: restart the service")
                return
            self.idle.put_nowait(worker)
            return

    async def _thread(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function)
