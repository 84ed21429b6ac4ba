"""Requests to stop: the signal is recorded, the run saves at the end of its step and exits with status 75."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

__all__ = ["EXIT_CODE", "StopSignals"]

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: run again to continue
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


class StopSignals:
    """Context manager that records SIGTERM, SIGINT, SIGUSR1 and SIGHUP instead of being terminated.

    `received` is the name of the first signal, None before. A second signal has its usual effect.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
