"""mozcodec's own engine: which form of it runs, its working memory, and which engine coded a file."""

import os
import threading
from typing import Any, NamedTuple

from ._mozjpeg import ffi, lib


class EngineUse(NamedTuple):
    """Which engine coded a file, and why it was the library where "fast" was possible."""

    name: str
    reason: str


def _cpu() -> int:
    wish = os.environ.get("MOZCODEC_CPU", "")
    cpu = int(lib.mzc_engine_cpu(wish.encode()))
    if wish and not cpu:
        raise ImportError(f"MOZCODEC_CPU must be baseline, or v3 on a processor that has AVX2; got {wish!r}")
    return cpu


CPU = _cpu()
CPU_NAME = (None, "baseline", "v3")[CPU]

_local = threading.local()


def engine() -> Any:
    """Return this thread's working memory; it is kept from call to call, 16 MiB of it at most."""
    try:
        return _local.engine
    except AttributeError:
        _local.engine = _new() if CPU else ffi.NULL
        return _local.engine


def _new() -> Any:
    made = lib.mzc_engine_new(CPU)
    if made == ffi.NULL:
        raise MemoryError("no memory for the engine")
    return ffi.gc(made, lib.mzc_engine_free)


def note_engine(status: Any) -> None:
    """Remember what *status* says of the engine, for :func:`engine_used`."""
    _local.status = status


def engine_used() -> EngineUse:
    """Return which engine coded this thread's last file: ("fast", "") or ("library", why not "fast").

    The reason is empty where the library was asked for. Raises ``LookupError`` before the first file.
    """
    status = getattr(_local, "status", None)
    if status is None:
        raise LookupError("this thread has coded no file yet")
    name = "fast" if status.engine == lib.MZC_ENGINE_FAST else "library"
    return EngineUse(name, ffi.string(status.engine_reason).decode())
