"""Environment variables of numerical libraries, which read them when they are loaded."""

from __future__ import annotations

import os
import platform

__all__ = ["check_room_for_blas", "let_idle_threads_sleep", "pin_numpy"]

BLAS_BUFFER = 34 << 20  # bytes that OpenBLAS takes for a thread on x86-64, the alignment of its allocator included


def let_idle_threads_sleep() -> None:
    """Let idle OpenMP threads sleep instead of spin unless the user chose.

    scikit-learn's t-SNE otherwise takes up to three times the CPU time on a loaded machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pin_numpy() -> None:
    """Make NumPy and OpenBLAS use AVX2 kernels on every x86-64 processor that has them, unless the user chose others.

    By default both choose kernels by processor, and sums and exponentials then differ in the last bits. They read the
    environment variables when NumPy is loaded, so the command line calls this first.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")


def check_room_for_blas() -> None:
    """Raise MemoryError if the address space has no room for the buffers that OpenBLAS takes when its threads start.

    Where the allocation fails, OpenBLAS asks again without end: `blas_memory_alloc` in its `memory.c`, version 0.3.
    """
    import numpy as np  # here, as pin_numpy must be called before NumPy is loaded

    np.empty(BLAS_BUFFER * (1 + (os.cpu_count() or 1)), np.uint8)  # never written: takes addresses, no memory
