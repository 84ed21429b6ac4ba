"""Pins NumPy's kernels, so that all x86-64 processors with AVX2 compute identical results."""

from __future__ import annotations

import os
import platform

__all__ = ["pin_numpy"]


def pin_numpy() -> None:
    """Make NumPy and OpenBLAS use AVX2 kernels on every x86-64 processor that has them, unless the user chose others.

    By default both choose kernels by processor, and sums and exponentials then differ in the last bits. They read the
    environment variables when NumPy is loaded, so the command line calls this first.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")
