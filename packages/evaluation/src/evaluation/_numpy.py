"""Fixed NumPy kernels, so that x86-64 processors with AVX2 compute the same bytes."""

from __future__ import annotations

import os
import platform

__all__ = ["pin_numpy"]


def pin_numpy() -> None:
    """Let NumPy and OpenBLAS use kernels for AVX2 on every x86-64 processor that has it, unless the user has chosen.

    Both choose by processor, and their sums and exponentials differ in the last bits. They read the variables when
    NumPy is loaded, so the command line calls this first.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
        os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")
