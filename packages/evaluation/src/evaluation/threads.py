"""Threads and kernels of numerical libraries, as the commands of both packages set them before they load any."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["KERNELS", "check_room_for_blas", "let_idle_threads_sleep", "one_blas_thread", "pin_numpy"]

KERNELS = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")  # set by `pin_numpy`; they change last bits
BLAS_BUFFER = 34 << 20  # bytes that OpenBLAS takes for a thread on x86-64, the alignment of its allocator included


def let_idle_threads_sleep() -> None:
    """Let idle OpenMP threads sleep instead of spin unless the user chose.

    On a loaded machine torch is otherwise up to seven times slower, and scikit-learn's t-SNE takes up to three times
    the CPU time. OpenMP reads the variable when the first library that uses it is loaded, so commands call this first.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pin_numpy() -> None:
    """Make NumPy and OpenBLAS use AVX2 kernels on every x86-64 processor that has them, unless the user chose others.

    By default both choose kernels by processor, and sums and exponentials then differ in the last bits. They read the
    environment variables when NumPy is loaded, so commands call this first.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        for name, value in zip(KERNELS, ("Haswell", "X86_V4 AVX512_ICL AVX512_SPR"), strict=True):
            os.environ.setdefault(name, value)


def check_room_for_blas() -> None:
    """Raise MemoryError if the address space has no room for the buffers that OpenBLAS takes when its threads start.

    Where the allocation fails, OpenBLAS asks again without end: `blas_memory_alloc` in its `memory.c`, version 0.3.
    """
    import numpy as np  # here, as pin_numpy must be called before NumPy is loaded

    np.empty(BLAS_BUFFER * (1 + (os.cpu_count() or 1)), np.uint8)  # never written: takes addresses, no memory


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices in one thread: for many small products, whose threads mostly wait for each other in loops.

    Sums then do not depend on the number of processors either.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
