"""The history of a run mirrored to TensorBoard or DVCLive, if they are installed and requested.

They get the rows of log.jsonl. Nothing that DVC compares is written: their folders are named after the run, apart from
its outputs. A resumed run writes its history again from the start, so that no step occurs twice.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DetectorError

__all__ = ["TRACKERS", "Trackers"]

NAMES = {"loss": "train/loss", "lr": "train/lr", "grad_norm": "train/grad_norm", "val_auc": "val/auc"}


class Trackers:
    """The requested *kinds* of `TRACKERS`, writing below *folder*. DetectorError for one that is not installed.

    A tracker that can no longer write, as on a full disk, is reported through *say* and dropped; training continues.
    """

    def __init__(self, kinds: Iterable[str], folder: Path, run: str, say: Callable[[str], None]):
        self.kinds, self.folder, self.run, self.say = tuple(dict.fromkeys(kinds)), folder, run, say
        self.open: dict[str, Any] = {}
        for kind in self.kinds:
            if importlib.util.find_spec(kind) is None:
                raise DetectorError(f"{kind} is not installed: pip install 'detector[{kind}]', or train without it")

    def begin(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Start new logs, with the *rows* of history so far."""
        for kind in self.kinds:
            folder = self.folder / kind / self.run
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.open[kind] = TRACKERS[kind](folder)
        for row in rows:
            self.row(row)

    def row(self, row: Mapping[str, Any]) -> None:
        """Write a row of history; missing values are left out."""
        values = {name: float(row[key]) for key, name in NAMES.items() if row[key] is not None}
        for kind in tuple(self.open):
            self._try(kind, self.open[kind].write, int(row["step"]), values)

    def close(self) -> None:
        """Flush and close all trackers."""
        for kind in tuple(self.open):
            self._try(kind, self.open[kind].close)
        self.open = {}

    def _try(self, kind: str, work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except OSError as error:
            reason = error.strerror or error
            self.say(f"{kind} cannot write to {self.folder / kind / self.run}: {reason}; training continues without it")
            self.open.pop(kind, None)


class TensorBoard:
    """Event files for ``tensorboard --logdir``."""

    def __init__(self, folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class DVCLive:
    """Tables for ``dvc plots show`` and the VS Code extension; no experiment of its own and no dvc.yaml."""

    def __init__(self, folder: Path):
        from dvclive import Live

        self.live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.live.step = step
        for name, value in values.items():
            self.live.log_metric(name, value)
        self.live.make_summary()

    def close(self) -> None:
        self.live.end()


TRACKERS: dict[str, Callable[[Path], Any]] = {"tensorboard": TensorBoard, "dvclive": DVCLive}
