"""The progress of a training run: one line that is redrawn on a terminal, a line per log interval elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from ..progress import StatusLine, duration

__all__ = ["Progress"]


class Progress:
    """Shows the progress of *steps* on *stream*, and appends rates and times to the file *timings*, if given.

    They are not part of a run's outputs, so that these are reproducible byte by byte.
    """

    def __init__(self, steps: int, timings: Path | None = None, stream: TextIO | None = None):
        self.steps, self.timings = steps, timings
        self.line = StatusLine(stream)
        self.say = self.line.say
        self.begin(0)

    def begin(self, step: int) -> None:
        """Start the clock: rates and the time left are those since *step*."""
        self.start, self.began = step, time.perf_counter()

    def row(self, row: dict[str, Any], images: int, waited: float) -> None:
        """Report *row* of the history: *images* seen and *waited* seconds waited for data since the clock started."""
        now, step = time.perf_counter(), int(row["step"])
        per_second = images / (now - self.began)
        eta = (now - self.began) / max(step - self.start, 1) * (self.steps - step)
        auc = "" if row["val_auc"] is None else f"  val AUC {row['val_auc']:.3f}"
        text = (
            f"step {step}/{self.steps}  loss {row['loss']:.4f}  lr {row['lr']:.2e}{auc}  "
            f"{per_second:.0f} img/s  waited for data {waited / (now - self.began):.0%}  ETA {duration(eta)}"
        )
        self.line.show(text, last=bool(auc))
        self.log(**row, images_per_second=round(per_second, 1), waited_seconds=round(waited, 3))

    def log(self, **values: Any) -> None:
        """Append *values* and the time of day to the file of timings; if it cannot be written, say so once."""
        if self.timings is None:
            return
        try:
            self.timings.parent.mkdir(parents=True, exist_ok=True)
            with self.timings.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": round(time.time(), 3), **values}) + "\n")
        except OSError as error:  # such as a full disk, which should not end the training
            self.say(f"{self.timings} could not be written: {error.strerror or error}; no more times are logged")
            self.timings = None
