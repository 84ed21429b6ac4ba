"""What a run says while it runs: one line that renews itself on a terminal, a line per log interval elsewhere."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Progress"]


class Progress:
    """Speaks on *stream* about a run of *steps*, and appends what it measures to the file *timings*, if there is one.

    Rates and times of day are kept apart from a run's outputs, which are the same bytes whenever and wherever it runs.
    """

    def __init__(self, steps: int, timings: Path | None = None, stream: TextIO | None = None):
        self.steps, self.timings = steps, timings
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._open_line = self._deaf = False
        self.begin(0)

    def begin(self, step: int) -> None:
        """Start the clock: rates and the time left are those since *step*."""
        self.start, self.began = step, time.perf_counter()

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self._write(("\n" if self._open_line else "") + text + "\n")
        self._open_line = False

    def row(self, row: dict[str, Any], images: int, waited: float) -> None:
        """Report *row* of the history: *images* seen and *waited* seconds waited for data since the clock started."""
        now, step = time.perf_counter(), int(row["step"])
        per_second = images / (now - self.began)
        eta = (now - self.began) / max(step - self.start, 1) * (self.steps - step)
        auc = "" if row["val_auc"] is None else f"  val AUC {row['val_auc']:.3f}"
        text = (
            f"step {step}/{self.steps}  loss {row['loss']:.4f}  lr {row['lr']:.2e}{auc}  "
            f"{per_second:.0f} img/s  waited for data {waited / (now - self.began):.0%}  ETA {_duration(eta)}"
        )
        if self.terminal and not auc:
            self._write(f"\r\x1b[K{text}")
            self._open_line = True
        else:
            self._write((f"\r\x1b[K{text}" if self.terminal else text) + "\n")
            self._open_line = False
        self.log(**row, images_per_second=round(per_second, 1), waited_seconds=round(waited, 3))

    def log(self, **values: Any) -> None:
        """Append *values* and the time of day to the file of timings; what cannot be written there is said once."""
        if self.timings is None:
            return
        try:
            self.timings.parent.mkdir(parents=True, exist_ok=True)
            with self.timings.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": round(time.time(), 3), **values}) + "\n")
        except OSError as error:  # a full disk, say: no reason to lose the training
            self.say(f"{self.timings} could not be written: {error.strerror or error}; no more times are noted")
            self.timings = None

    def _write(self, text: str) -> None:
        if self._deaf:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError:
            # the terminal or dvc at the other end is gone; an orphan's work is worth finishing all the same
            self._deaf = True


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
