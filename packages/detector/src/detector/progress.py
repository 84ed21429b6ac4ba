"""Progress on standard error: a line that is redrawn on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

__all__ = ["StatusLine", "duration", "track"]

Item = TypeVar("Item")


class StatusLine:
    """The last line on *stream* (standard error by default), redrawn on a terminal.

    After a write error nothing more is written: the terminal or the parent process has ended, but the work continues.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._open = self._gone = False  # whether the line is still to be redrawn; whether the stream has failed

    def show(self, text: str, *, last: bool = False) -> None:
        """Replace the line with *text*; *last* ends the line."""
        self._open = self.terminal and not last
        self._write((f"\r\x1b[K{text}" if self.terminal else text) + ("" if self._open else "\n"))

    def say(self, text: str) -> None:
        """Write *text* on a new line."""
        self._write(("\n" if self._open else "") + text + "\n")
        self._open = False

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError:
            self._gone = True


def track(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yield *items*, of which there are *total*, and show how many of them the caller has taken and the time left.

    On a terminal ten times a second; elsewhere at the start, every 20 seconds and at the end.
    """
    line, start, due = StatusLine(), time.monotonic(), 0.0

    def show(done: int) -> None:
        nonlocal due
        elapsed = time.monotonic() - start
        if elapsed < due and done < total:
            return
        due = elapsed + (0.1 if line.terminal else 20.0)
        text = f"{label}: {done}/{total}, {duration(elapsed)}"
        if 0 < done < total:
            text += f", {duration(elapsed / done * (total - done))} left"
        line.show(text, last=done >= total)

    show(0)
    for done, item in enumerate(items, 1):
        yield item
        show(done)


def duration(seconds: float) -> str:
    """Return *seconds* as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
