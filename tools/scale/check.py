"""The error of `detector plan`: the CPU time of every stage that it predicts, and that of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.config import Params
from detector.errors import DetectorError
from detector.planning.cost import Calibration, plan

__all__ = ["Row", "compared", "table"]


@dataclass(frozen=True, slots=True)
class Row:
    """CPU seconds of a stage at a number of copies, predicted and measured."""

    copies: int
    stage: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """The error of the prediction relative to the measurement."""
        return self.predicted / self.measured - 1


def compared(calibration: Calibration, data: Path, out: Path, params: Params, copies: int) -> list[Row]:
    """Run all stages on *data*, the sample in so many *copies*, with output below *out*; return a `Row` for each."""
    from detector.data.readers import read_data
    from detector.dataset import PARAMS, Dataset, arguments, write_params
    from detector.pipeline import STAGES
    from detector.planning.calibrate import describe, settings_of

    videos, rate = describe(read_data(data, params.faces).clips)
    predicted = {one.stage: one for one in plan(calibration, videos, settings_of(params, rate, videos.frames)).stages}
    out.mkdir(parents=True)
    write_params(out / PARAMS, params)
    return [
        Row(copies, row.name, 3600 * predicted[row.name].cpu_hours, _run(arguments(row, Dataset(data), out, params)))
        for row in STAGES
    ]


def _run(words: Sequence[str]) -> float:
    """Run one of our commands with the serial executor and return its CPU seconds."""
    program, *rest = words
    start = f"import sys; from {program}.cli import main; sys.argv[0] = {program!r}; main()"
    environment = {**os.environ, "DETECTOR_EXECUTOR": "serial"}
    process = subprocess.Popen(
        [sys.executable, "-c", start, *rest], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DetectorError(f"{' '.join(words)}: ended with status {process.returncode}; run it to see why")
    return used.ru_utime + used.ru_stime


def table(rows: Sequence[Row]) -> str:
    """Return the stages at each number of copies, predicted and measured, and their sum, as Markdown."""
    numbers = sorted({row.copies for row in rows})
    head = "| stage | " + " | ".join(f"{n}x predicted | measured | error" for n in numbers) + " |"
    lines = [head, "|---|" + "---:|---:|---:|" * len(numbers)]
    for stage in dict.fromkeys(row.stage for row in rows):
        cells = [_cells([row for row in rows if row.stage == stage and row.copies == n]) for n in numbers]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    lines.append("| **all** | " + " | ".join(_cells([row for row in rows if row.copies == n]) for n in numbers) + " |")
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[Row]) -> str:
    predicted, measured = sum(row.predicted for row in rows), sum(row.measured for row in rows)
    return f"{predicted:.1f} s | {measured:.1f} s | {100 * (predicted / measured - 1):+.0f} %"
