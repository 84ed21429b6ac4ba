"""Checkpoints: everything that a run needs to continue, written atomically and verified by hash.

A checkpoint is ``step-NNNNNNNN.pt`` with the SHA-256 of its bytes in a second file. torch.load and safetensors both
read a file with a flipped bit without an error, so the hash is compared before anything is loaded; if it differs, the
previous checkpoint is used. The file holds tensors and plain values only and is loaded with ``weights_only=True``, so
that no code in it is run.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.files import sha256, whole_file
from ..errors import DetectorError
from ..schema import parse

__all__ = ["Checkpoints", "plain"]

NAME = re.compile(r"step-(\d{8})\.pt")
VALUES = (int, float, str, bool, type(None))


def plain(value: Any, where: str = "checkpoint") -> Any:
    """Return a copy of *value* on the CPU: tensors cloned, mappings as dict.

    TypeError names what is neither tensor, int, float, str, bool, None, list, tuple nor dict: a numpy scalar would be
    saved without an error and then refused by ``weights_only=True``, so that the run could not continue.
    """
    if type(value) in VALUES:
        return value
    if type(value) in (Tensor, torch.nn.Parameter):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{where}: key {key!r} is a {type(key).__name__}, not str or int")
        return {key: plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item, f"{where}[{i}]") for i, item in enumerate(value))
    kind = type(value)
    raise TypeError(f"{where} is a {kind.__module__}.{kind.__qualname__}, which a checkpoint must not hold: {value!r}")


class Checkpoints:
    """The checkpoints in *folder*, of which the newest *keep* stay.

    *say* gets the lines for the user. *form* is what a checkpoint must hold (`detector.schema`).
    """

    def __init__(self, folder: Path, keep: int, say: Callable[[str], None], form: Any = object):
        self.folder, self.keep, self.say, self.form = folder, keep, say, form
        self._writer: threading.Thread | None = None
        self._error: Exception | None = None

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Copy *state* and write it as the checkpoint of *step* in the background, the hash first, atomically.

        A full disk or other system error is reported and leaves the older checkpoints intact; `wait` raises it.
        """
        copy = plain(state)
        self.close()
        self._error = None
        self._writer = threading.Thread(target=self._write, args=(step, copy), name="checkpoint")
        self._writer.start()

    def wait(self) -> None:
        """Return when the last checkpoint given to `save` is on disk; DetectorError if it could not be written."""
        self.close()
        if self._error is not None:
            raise DetectorError(str(self._error)) from self._error

    def latest(self) -> dict[str, Any] | None:
        """Return the newest undamaged checkpoint, None if there is none; each damaged one is reported.

        Removes the remains of interrupted writes.
        """
        for part in self.folder.glob("*.part"):
            part.unlink()
        found = self.steps()
        for step in reversed(found):
            try:
                return self._read(step)
            except Exception as error:  # torch.load may raise any exception for a damaged file
                older = [s for s in found if s < step]
                way = f"going back to step {older[-1]}" if older else "there is no older one: starting again at step 0"
                self.say(f"{self._path(step)} is damaged ({_first_words(error)}); {way}")
        return None

    def steps(self) -> list[int]:
        """Return the steps with a checkpoint, in order."""
        names = (NAME.fullmatch(path.name) for path in self.folder.glob("step-*.pt"))
        return sorted(int(match[1]) for match in names if match)

    def thin(self, keep: int) -> None:
        """Delete all but the newest *keep* checkpoints."""
        for step in self.steps()[:-keep]:
            self._remove(step)

    def remove(self) -> None:
        """Delete the checkpoints; the folder and its lock belong to the run."""
        self.close()
        for pattern in ("step-*.pt", "step-*.pt.sha256", "*.part"):
            for path in self.folder.glob(pattern):
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.pt"

    def close(self) -> None:
        """Wait until no checkpoint is being written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, step: int, state: dict[str, Any]) -> None:
        path = self._path(step)
        try:
            self._make_room()
            with whole_file(path, sync=True) as part:
                with part.open("wb") as file:
                    torch.save(state, file)
                # the hash is written before the file, so that every file has one
                with whole_file(path.with_name(path.name + ".sha256"), sync=True) as sidecar:
                    sidecar.write_text(f"{sha256(part)}  {path.name}\n", encoding="ascii")
        except (OSError, RuntimeError, MemoryError) as error:  # torch.save reports a full disk as RuntimeError
            older = [s for s in self.steps() if s < step]
            kept = f"the one of step {older[-1]} is intact" if older else "there is no older one"
            self._error = OSError(f"checkpoint {path} could not be written: {_reason(error)}; {kept}")
            self.say(f"{self._error}; training continues")
            return
        self.thin(self.keep)

    def _remove(self, step: int) -> None:
        path = self._path(step)
        path.unlink()
        path.with_name(path.name + ".sha256").unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Free space for a checkpoint of the size of the last one by deleting older ones, but not the last.

        OSError if the space is not sufficient.
        """
        while (steps := self.steps()) and shutil.disk_usage(self.folder).free < self._path(steps[-1]).stat().st_size:
            if len(steps) == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._remove(steps[0])

    def _read(self, step: int) -> dict[str, Any]:
        path = self._path(step)
        expected = path.with_name(path.name + ".sha256").read_text(encoding="ascii").split()[:1]
        if expected != [sha256(path)]:
            raise ValueError("its SHA-256 is not the one recorded beside it")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("step") != step:
            raise ValueError(f"it is not the checkpoint of step {step}")
        parse(state, self.form)
        return state


def _first_words(error: Exception) -> str:
    """Return the message of *error*, without torch's advice on how to run a file's code."""
    return "it holds more than tensors and plain values" if isinstance(error, pickle.UnpicklingError) else str(error)


def _reason(error: Exception) -> str:
    """Return the system's message, which torch hides behind an error of its own."""
    while error.__context__ is not None and not isinstance(error, OSError):
        error = error.__context__  # type: ignore[assignment]
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
