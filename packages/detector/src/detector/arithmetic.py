"""The arithmetic of torch on CPUs, pinned so that all x86-64 machines with AVX2 compute identical results.

By default, torch, oneDNN and MKL choose kernels by the instruction sets and the vendor of the processor, and sums then
differ in the last bits. They also depend on the number of threads. The variables are read when torch is loaded.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from .config import TrainConfig
from .system import cores

__all__ = ["KERNELS", "PINNED", "THREADS", "Arithmetic", "arithmetic", "pin", "set_threads"]

KERNELS = "AVX2"  # torch's name of the kernels that PINNED chooses
PINNED = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # MKL's AVX2 branch gives other sums on AMD than on Intel processors
    "MKL_DYNAMIC": "FALSE",  # use exactly the requested number of threads
}
THREADS = 2  # of torch, if train.threads is auto: sums depend on the number


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How torch computed on the CPU: its kernels (``AVX2``, ``AVX512``, ...), threads, and whether they were pinned."""

    kernels: str
    threads: int
    pinned: bool


def pin(config: TrainConfig) -> None:
    """Pin the kernels of torch, oneDNN and MKL if ``train.reproducible`` is true.

    The variables have no effect once torch is loaded, so they are not set then, and `arithmetic` reports "not pinned".
    """
    if config.reproducible and "torch" not in sys.modules:
        os.environ.update(PINNED)


def set_threads(config: TrainConfig) -> None:
    """Set torch's number of threads: ``train.threads``; auto is `THREADS` if reproducible, otherwise all cores."""
    import torch

    automatic = THREADS if config.reproducible else cores()
    torch.set_num_threads(automatic if config.threads == "auto" else config.threads)


def arithmetic(config: TrainConfig) -> Arithmetic:
    """Return the arithmetic of this process; not pinned if torch was loaded before `pin`, or there is no AVX2."""
    import torch

    kernels = torch.backends.cpu.get_cpu_capability()
    pinned = kernels == KERNELS and all(os.environ.get(name) == value for name, value in PINNED.items())
    return Arithmetic(kernels, torch.get_num_threads(), config.reproducible and pinned)
