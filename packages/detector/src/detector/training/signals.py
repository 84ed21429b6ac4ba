"""Requests to stop: the signal is recorded, the run saves at the end of its step and exits with status 75.

Python runs a signal handler only when the main thread returns from C, which may take minutes in a large step. A thread
therefore waits for signals too: a run that has not ended `GRACE` seconds after one is ended there, and the next one
continues from the last checkpoint. Files appear whole, so ending at any moment leaves none incomplete.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["EXIT_CODE", "StopSignals"]

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: run again to continue
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
GRACE = 8.0  # seconds; docker stop kills after 10, Slurm and Kubernetes after 30
AGAIN = 1.0  # seconds in which the main thread may itself act on a second signal


class StopSignals:
    """Context manager that records SIGTERM, SIGINT, SIGUSR1 and SIGHUP instead of being terminated.

    `received` is the name of the first signal, None before. A second signal has its usual effect. If the block has not
    ended *grace* seconds after the first, the process exits with `EXIT_CODE`.
    """

    def __init__(self, grace: float | None = None) -> None:
        self.received: str | None = None
        self.grace = GRACE if grace is None else grace
        self._previous: dict[signal.Signals, Any] = {}
        self._ended = threading.Event()

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, args=(self._pipe[0],), name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        signal.set_wakeup_fd(self._wakeup)
        self._ended.set()
        os.close(self._pipe[1])  # ends the thread
        self._thread.join()
        os.close(self._pipe[0])

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _watch(self, pipe: int) -> None:
        """End the process if the main thread does not act on signals; runs in a thread of its own."""
        count = 0
        while numbers := os.read(pipe, 16):
            for number in numbers:
                if number not in SIGNALS:
                    continue
                count += 1
                waiting = self._leave if count == 1 else self._die
                threading.Thread(target=waiting, args=(number,), daemon=True).start()

    def _leave(self, number: int) -> None:
        if not self._ended.wait(self.grace):
            name = signal.Signals(number).name
            _say(
                f"stopped by {name}: the step did not end within {self.grace:g} s; run the same command again to "
                "resume from the last checkpoint"
            )
            os._exit(EXIT_CODE)

    def _die(self, number: int) -> None:
        if not self._ended.wait(AGAIN):
            os._exit(128 + number)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, text.encode() + b"\n")
