"""One owner of a checkpoint folder at a time, named by process and start time.

When dvc is killed but not the trainer it started, the trainer goes on as an orphan. A second trainer must neither write
beside it nor start over: it waits, and says for whom. A lock whose owner is dead is taken over; that a new process has
the dead one's number is told by the start time.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DetectorError

__all__ = ["Lock", "start_time"]

POLL_SECONDS = 0.5


def start_time(pid: int) -> int | None:
    """Return when process *pid* started, in clock ticks since boot (field 22 of /proc/PID/stat); None if there is
    none.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name, in parentheses, may hold anything
    return None if fields[0] in ("Z", "X") else int(fields[19])


class Lock:
    """The file ``lock`` in *folder*: host, pid and start time of its owner. Taken by `acquire`, given back by
    `release`.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "lock"

    def acquire(self, say: Callable[[str], None], timeout: float | None = None) -> bool:
        """Take the lock, waiting for a living owner; return True if there was one to wait for.

        *say* is told once whom the wait is for. Raises DetectorError after *timeout* seconds, None to wait for ever.
        """
        start, waited = time.monotonic(), False
        while (owner := self._take()) is not None:
            if not waited:
                say(f"{_describe(owner)} is at work with these parameters and data; waiting until it is done")
                say(_way_out(owner, self.path))
            waited = True
            if timeout is not None and time.monotonic() - start > timeout:
                raise DetectorError(
                    f"{_describe(owner)} still holds {self.path} after {timeout:.0f} s; {_way_out(owner, self.path)}"
                )
            time.sleep(POLL_SECONDS)
        return waited

    def release(self) -> None:
        """Give the lock back; the folder may be gone already."""
        self.path.unlink(missing_ok=True)

    def _take(self) -> dict[str, Any] | None:
        """Write ourselves into the lock and return None, or return the owner that lives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # for the moment of reading and writing only
            if not self._same(file.fileno()):
                return self._take()  # the owner has just removed it
            file.seek(0)
            owner = _parse(file.read())
            if owner is not None and _alive(owner):
                return owner
            me = {"host": socket.gethostname(), "pid": os.getpid(), "started": start_time(os.getpid())}
            file.seek(0)
            file.truncate()
            file.write(json.dumps(me) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return None

    def _same(self, fd: int) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(fd).st_ino
        except FileNotFoundError:
            return False


def _parse(text: str) -> dict[str, Any] | None:
    """Return the owner in a lock's *text*; None for an empty or half-written one, whose writer is dead."""
    try:
        owner = json.loads(text)
    except ValueError:
        return None
    return owner if isinstance(owner, dict) and {"host", "pid", "started"} <= owner.keys() else None


def _alive(owner: dict[str, Any]) -> bool:
    """Return whether the process of *owner* lives. One on another machine is taken to live: nobody here can tell."""
    if not _local(owner):
        return True
    return bool(owner["pid"] != os.getpid() and start_time(owner["pid"]) == owner["started"])


def _local(owner: dict[str, Any]) -> bool:
    return bool(owner["host"] == socket.gethostname())


def _describe(owner: dict[str, Any]) -> str:
    return f"another trainer (process {owner['pid']}{'' if _local(owner) else ' on ' + owner['host']})"


def _way_out(owner: dict[str, Any], path: Path) -> str:
    if _local(owner):
        return f"to end it instead (it saves, and this run goes on from there): kill {owner['pid']}"
    return f"if it runs there no more, remove {path}"
