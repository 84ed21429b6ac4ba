"""Errors of a machine on which memory, address space or threads have run out, as one line for people."""

from __future__ import annotations

__all__ = ["exhausted", "one_line"]

LONGEST = 1200  # characters of an error

MEMORY = (
    "failed to map segment",              # the dynamic linker: a library does not fit into the address space
    "cannot allocate memory",
    "can't allocate memory",              # torch
    "insufficient memory",                # OpenCV
    "bad_alloc",                          # C++
    "unable to allocate",                 # numpy
)  # fmt: skip
THREADS = ("can't start new thread", "failed to create thread", "thread creation failed")
REMEDY = "free some, raise the limit (ulimit -v), or do less at a time (workers, threads, batch size)"


def exhausted(error: BaseException) -> str | None:
    """Return what *error* says about memory or threads that have run out, with the remedy; None for other errors."""
    said = (str(error).splitlines() or [""])[0]
    lower = said.lower()
    if isinstance(error, MemoryError) or any(words in lower for words in MEMORY):
        return f"not enough memory{f' ({said})' if said else ''}: {REMEDY}"
    if any(words in lower for words in THREADS):
        return f"no more threads ({said}): raise the limit (ulimit -u), or use fewer workers and threads"
    return None


def one_line(message: str) -> str:
    """Return *message* for a terminal: control characters and halves of characters escaped, a long middle left out."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 300]} ... {shown[-300:]}"
