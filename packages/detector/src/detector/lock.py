"""Exclusive locks on files, for Linux and macOS.

The holder keeps the file open under flock(2). The kernel releases the lock whenever the holder ends, so there are no
stale locks and no confusion of reused PIDs. No process table is read, so it also works between containers that share a
folder. Over NFS, Linux forwards flock to the server, which releases the locks of a lost client. The content of the file
is only information for waiting processes: it names the holder.

A forked child shares its parent's lock; one started by ``exec`` (subprocess, multiprocessing's spawn) does not.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import DataError, DetectorError
from .schema import Mismatch, parse, parse_json

__all__ = ["Holder", "Lock", "held"]

POLL_SECONDS = 0.5
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    pid: int | None  # None: it has not written its PID yet

    def __str__(self) -> str:
        number = "a process" if self.pid is None else f"process {self.pid}"
        return number if self.host == socket.gethostname() else f"{number} on {self.host}"


class Lock:
    """The lock on the file *path*, held from `acquire` or `try_acquire` until `release` or the end of the process."""

    def __init__(self, path: Path):
        self.path = path
        self._open: int | None = None  # the file descriptor; no file object, which garbage collection would close

    def try_acquire(self) -> Holder | None:
        """Take the lock and return None, or return who holds it.

        Raises `DataError` if the file system does not support locks.
        """
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:
                continue  # the previous holder has just removed the folder
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is(descriptor):
                    break
                os.close(descriptor)  # the previous holder removed the file between our open and flock
            except BlockingIOError:
                holder = _read(descriptor, self.path)
                os.close(descriptor)
                return holder
            except OSError as error:
                os.close(descriptor)
                if error.errno not in NO_LOCKS:
                    raise
                reason = os.strerror(error.errno)
                raise DataError(f"{self.path}: no locks on this file system ({reason}); use a local folder") from error
        self._open = descriptor
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(asdict(Holder(socket.gethostname(), os.getpid()))).encode() + b"\n")
        return None

    def acquire(
        self, say: Callable[[Holder], None], timeout: float | None = None, check: Callable[[], None] = lambda: None
    ) -> bool:
        """Take the lock, waiting for its holder; return whether there was one.

        *say* is called once with the holder. *check* is called while waiting and ends the wait by raising. Raises
        DetectorError after *timeout* seconds; None waits until the holder ends.
        """
        start, waited = time.monotonic(), False
        while (holder := self.try_acquire()) is not None:
            if not waited:
                say(holder)
            waited = True
            check()
            if timeout is not None and time.monotonic() - start > timeout:
                raise DetectorError(f"{self.path}: {holder} still holds the lock after {timeout:.0f} s")
            time.sleep(POLL_SECONDS)
        return waited

    def release(self) -> None:
        """Release the lock and remove its file; a no-op without a lock."""
        if self._open is None:
            return
        if self._is(self._open):
            self.path.unlink()  # still locked, so no other process can have locked this file
        os.close(self._open)
        self._open = None

    def _is(self, descriptor: int) -> bool:
        """Return whether the open file *descriptor* is the one at `path`."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


@contextmanager
def held(path: Path, task: str) -> Iterator[None]:
    """Hold the lock on *path* for the block; raise `DataError` if another process, which does *task*, holds it."""
    lock = Lock(path)
    holder = lock.try_acquire()
    if holder is not None:
        raise DataError(f"{holder} {task}; wait for it, or end it with kill")
    try:
        yield
    finally:
        lock.release()


def _read(descriptor: int, path: Path) -> Holder:
    """Return the holder named in the lock file *path*, without a PID if the file names none."""
    try:
        return parse(parse_json(os.read(descriptor, 4096).decode("utf-8", "replace"), path), Holder)
    except (DataError, Mismatch):
        return Holder(socket.gethostname(), None)
