"""A trained model as an argument of tasks: where it is, what it must be, and how torch must compute with it."""

from __future__ import annotations

import functools
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .arithmetic import PINNED
from .card import CARD, Card, read_card
from .data.files import sha256
from .errors import DataError
from .weights import WEIGHTS, load_model

__all__ = ["Placed"]


@dataclass(frozen=True, slots=True)
class Placed:
    """The model in `folder`, whose files have the hash `sha256`, on the `device` "cpu" or "cuda".

    `kernels` and `threads` are torch's on the CPU, `pinned` whether the kernels of its libraries were pinned
    (`detector.arithmetic`), `version` that of torch. A task refuses to compute in another way.
    """

    folder: Path
    sha256: str
    device: str
    kernels: str
    threads: int
    pinned: bool
    version: str

    @classmethod
    def here(cls, folder: Path) -> Placed:
        """Return the model in *folder*, checked, with the arithmetic of this process."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        read_card(folder)
        if not (folder / WEIGHTS).exists():
            load_model(folder, torch.device("cpu"))  # raises the error that says so
        found = cls(folder, sha256(folder / CARD, folder / WEIGHTS), device, *_arithmetic())
        found.load()
        return found

    @property
    def card(self) -> Card:
        """The card of the model."""
        return read_card(self.folder)

    def depends(self) -> dict[str, Any]:
        """Return what results depend on."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    def load(self) -> tuple[nn.Module, Card, torch.device]:
        """Return the model in evaluation mode, its card and device; `DataError` if this process differs."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        here = ("cuda" if torch.cuda.is_available() else "cpu", *_arithmetic())
        wanted = (self.device, self.kernels, self.threads, self.pinned, self.version)
        if here != wanted:
            names = ("device", "kernels", "threads", "pinned", "version")
            found = "; ".join(f"{n} is {h}, not {w}" for n, h, w in zip(names, here, wanted, strict=True) if h != w)
            raise DataError(
                f"torch on {socket.gethostname()} would not compute the same scores: {found}. Run on workers of one "
                "kind, started with `detector worker`"
            )
        model, card = _loaded(self.folder, self.sha256, self.device)
        return model, card, torch.device(self.device)


def _arithmetic() -> tuple[str, int, bool, str]:
    pinned = all(os.environ.get(name) == value for name, value in PINNED.items())
    return torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), pinned, torch.__version__


@functools.lru_cache(maxsize=1)
def _loaded(folder: Path, digest: str, device: str) -> tuple[nn.Module, Card]:
    """Return the model in *folder* on *device*; kept, as all tasks of a stage need the same one."""
    if sha256(folder / CARD, folder / WEIGHTS) != digest:
        raise DataError(f"{folder}: the model has changed since the command was started; run it again")
    return load_model(folder, torch.device(device))
