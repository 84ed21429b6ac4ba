"""mozcodec's engine: its compiled form, its working memory, and which engine coded a file."""

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from ._mozjpeg import ffi, lib


class EngineUse(NamedTuple):
    """The engine that coded or decoded a file, and the reason if it was the library."""

    name: str
    reason: str


def _cpu() -> int:
    requested = os.environ.get("MOZCODEC_CPU", "")
    cpu = int(lib.mzc_engine_cpu(requested.encode()))
    if requested and not cpu:
        raise ImportError(f"MOZCODEC_CPU must be baseline, or v3 on a processor that has AVX2; got {requested!r}")
    return cpu


CPU = _cpu()
CPU_NAME = (None, "baseline", "v3")[CPU]

class Thread:
    """What a thread keeps between calls: working memory (at most 16 MiB), structs to fill, its last status.

    A call takes structs out of ``spare`` and puts them back, so that a signal handler in between does not use them.
    """

    __slots__ = ("damage", "engine", "spare", "status")

    def __init__(self) -> None:
        self.engine = _new() if CPU else ffi.NULL
        self.spare: list[tuple[Any, Any]] = []
        self.status: Any = None
        self.damage: Any = None


_local = threading.local()


def this_thread() -> Thread:
    """Return the state of this thread."""
    try:
        return _local.thread  # type: ignore[no-any-return]
    except AttributeError:
        _local.thread = Thread()
        return _local.thread  # type: ignore[no-any-return]


def engine() -> Any:
    """Return this thread's working memory."""
    return this_thread().engine


def _new() -> Any:
    made = lib.mzc_engine_new(CPU)
    if made == ffi.NULL:
        raise MemoryError("no memory for the engine")
    return ffi.gc(made, lib.mzc_engine_free)


def coded(call: Callable[[Any], int], settings: Any, status: Any) -> int:
    """Return ``call(engine)``, or :func:`handed_over` where that fails."""
    return call(engine()) and handed_over(call, settings, status)


def handed_over(call: Callable[[Any], int], settings: Any, status: Any) -> int:
    """Let the library code what the engine had no memory for, unless an engine was requested; it takes less."""
    if status.code != lib.MZC_NO_MEMORY or settings.engine != lib.MZC_ENGINE_AUTO or not CPU:
        return 1
    thread = this_thread()
    thread.engine = ffi.NULL  # frees its memory
    failed = call(ffi.NULL)
    thread.engine = _new()
    return failed


def coded_faithfully(call: Callable[[Any, Any], int], settings: Any, status: Any) -> int:
    """Return ``call(engine, settings)``, whose C side compares the coefficients of what it wrote with the source's.

    Where they differ, the library writes the file, and if that differs too, a sequential one.
    """
    failed = coded(lambda engine: call(engine, settings), settings, status)
    for progressive in (settings.progressive, 0):
        if not failed or status.code != lib.MZC_UNFAITHFUL or settings.engine == lib.MZC_ENGINE_FAST:
            return failed
        other = ffi.new("mzc_encode_options *", settings[0])
        other.engine, other.progressive = lib.MZC_ENGINE_LIBRARY, progressive
        if progressive == 0:
            other.num_scans = other.optimize_scans = 0
        ffi.memmove(status, ffi.new("mzc_status *"), ffi.sizeof("mzc_status"))
        failed = call(engine(), other)
    return failed


def note_engine(status: Any) -> None:
    """Store *status* for :func:`engine_used`."""
    this_thread().status = status


def engine_used() -> EngineUse:
    """Return which engine coded or decoded this thread's last file: ("fast", "") or ("library", why not "fast").

    The reason is empty if the library was requested. Raises ``LookupError`` before the first file. Batches and
    iterators, which use other threads, do not count.
    """
    status = this_thread().status
    if status is None:
        raise LookupError("this thread has coded no file yet")
    name = "fast" if status.engine == lib.MZC_ENGINE_FAST else "library"
    return EngineUse(name, ffi.string(status.engine_reason).decode())
