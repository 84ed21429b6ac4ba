"""Functions that depend on the machine or the operating system."""

from __future__ import annotations

import functools
import os
import platform
import resource
import sys
from pathlib import Path

__all__ = [
    "boot_id",
    "cores",
    "peak_memory",
    "pid_namespace",
    "process_start",
]


def cores() -> int:
    """Return how many cores this process may use; macOS does not restrict them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size  # macOS counts bytes, Linux KiB


@functools.cache
def boot_id() -> str:
    """Return text that is the same for all processes under this kernel, until it is booted again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import uuid

        booted = _said("sysctl", "-n", "kern.bootsessionuuid")
        return booted or f"{platform.node()} {uuid.getnode():x}"


def pid_namespace() -> str:
    """Return text that is the same for processes that see each other's PIDs, on one machine."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""  # systems without /proc have one namespace


def process_start(pid: int) -> str | None:
    """Return when the process *pid* started, in the system's own form; None if there is no such process."""
    if Path("/proc/self").is_dir():
        try:
            after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            state, *others = after_name.split()
            return None if state == "Z" else others[18]  # Z: it has ended, and its parent has not noticed
        except (OSError, ValueError, IndexError):
            return None
    return _said("ps", "-o", "lstart=", "-p", str(pid)) or None


def _said(*command: str) -> str:
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
