"""How far a long loop is: a line that is redrawn on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yield *items*, of which there are *total*, and tell on standard error how far the caller is."""
    line = _Line(total, label)
    line.show(0)
    for done, item in enumerate(items, 1):
        yield item
        line.show(done)


class _Line:
    def __init__(self, total: int, label: str) -> None:
        self.total, self.label = total, label
        self.tty = sys.stderr.isatty()
        self.start = time.monotonic()
        self.next = 0.0  # on a terminal ten times a second, elsewhere at the start, every 20 seconds and at the end
        self.every = 0.1 if self.tty else 20.0

    def show(self, done: int) -> None:
        elapsed = time.monotonic() - self.start
        if elapsed < self.next and done < self.total:
            return
        self.next = elapsed + self.every
        text = f"{self.label}: {done}/{self.total}, {_clock(elapsed)}"
        if 0 < done < self.total:
            text += f", {_clock(elapsed / done * (self.total - done))} left"
        end = "\n" if not self.tty or done >= self.total else ""
        print(f"\r{text:60}" if self.tty else text, end=end, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
