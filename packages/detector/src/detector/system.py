"""Functions that depend on the machine or the operating system."""

from __future__ import annotations

import os
import platform
import resource
import sys

__all__ = ["cores", "let_idle_threads_sleep", "peak_memory", "pin_numpy"]


def cores() -> int:
    """Return how many cores this process may use; macOS does not restrict them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size  # macOS counts bytes, Linux KiB


def let_idle_threads_sleep() -> None:
    """Let idle OpenMP threads sleep instead of spin unless the user chose: 7 times as fast on a loaded machine.

    OpenMP reads the variable when torch is loaded, so entry points call this first.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pin_numpy() -> None:
    """Make NumPy and OpenBLAS use AVX2 kernels on every x86-64 processor that has them, unless the user chose others.

    By default both choose kernels by processor, and sums and exponentials then differ in the last bits. They read the
    environment variables when NumPy is loaded, so entry points call this first.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")
