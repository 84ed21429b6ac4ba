"""Exclusive locks on files, for Linux and macOS, on local and on shared folders.

Two mechanisms together decide whether the holder is alive:

- **flock(2).** The holder keeps the file open under flock. The kernel releases the lock whenever the holder ends, so
  among the processes of one kernel (containers included) it is exact: no PID is compared, nothing becomes stale.
- **A lease.** The file names its holder (host, boot id, PID namespace, PID, start of the process), and the holder
  changes it every `BEAT` seconds. Other machines may share the folder without sharing flock, or the server may keep
  the lock of a machine that is gone. There a holder that has not changed the file for its lease counts as dead, and
  the lock is taken over. The waiting process measures this with its own clock, so clocks need not agree.

Where the file system supports no flock, the lock is the file itself, created exclusively. Whether its holder is alive
is then seen from PID and start time within one PID namespace, and from the lease otherwise.

A holder that was suspended for longer than its lease may have lost the lock: `Lock.check` raises then, and is called
before results are put in place.

A forked child shares its parent's lock; one started by ``exec`` (subprocess, multiprocessing's spawn) does not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .errors import DataError, DetectorError
from .progress import StatusLine
from .schema import Mismatch, parse, parse_json
from .system import boot_id, pid_namespace, process_start

__all__ = ["Holder", "Lock", "held"]

POLL_SECONDS = 0.5
LONGEST = 4096  # bytes of a lock file that are read
BEAT = 10.0  # seconds between two signs of life
LONGEST_LEASE = 3600.0
LEASE = 60.0  # seconds without one after which a holder counts as dead
SETTLE = 1.0  # seconds in which a process that has created the file writes its content
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; empty text is unknown."""

    host: str
    pid: int | None  # None: it has not written its PID yet
    boot: str = ""
    namespace: str = ""  # of the PID
    started: str = ""
    lease: float = LEASE

    def __str__(self) -> str:
        number = "a process" if self.pid is None else f"process {self.pid}"
        return number if self.host == socket.gethostname() else f"{number} on {self.host}"

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, under this kernel."""
        return bool(self.boot) and self.boot == boot_id()


class Lock:
    """The lock on the file *path*, held from `acquire` or `try_acquire` until `release` or the end of the process."""

    def __init__(self, path: Path):
        self.path = path
        self.alive = False  # whether the holder that `try_acquire` returned last is known to be alive
        self._open: int | None = None  # the file descriptor; no file object, which garbage collection would close
        self._token = secrets.token_hex(4)
        self._beats = 0
        self._lost = False
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: tuple[bytes, float] | None = None  # the file of a holder elsewhere, and since when it is unchanged
        self._other: tuple[Path, float] | None = None  # the file of a process that is taking over, and since when

    def try_acquire(self) -> Holder | None:
        """Take the lock and return None, or return who holds it.

        A holder on another machine is returned until a later call finds that its lease has expired.
        """
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor, new = _open(self.path)
            except FileNotFoundError:
                continue  # the previous holder has just removed the folder
            try:
                if new:
                    self._write(descriptor)
                free = _flock(descriptor)
                if free is not False and not self._is(descriptor):
                    continue  # the previous holder removed the file between our open and flock
                content = os.pread(descriptor, LONGEST, 0)
                left = self._left_here(content, free)
                if (new and free is not False and content == self._content()) or (left and free):
                    ours, descriptor = descriptor, -1
                elif (left or self._expired(content, free)) and (replaced := self._replaced(content)) is not None:
                    ours = replaced
                else:
                    return _holder(content)
                self._hold(ours)
                return None
            finally:
                if descriptor >= 0:
                    os.close(descriptor)

    def claim(self) -> Holder | None:
        """Take the lock and return None, or return its holder, which is alive.

        Waits only for a holder on another machine: until it gives a sign of life, or its lease expires.
        """
        while (holder := self.try_acquire()) is not None and not self.alive:
            time.sleep(POLL_SECONDS)
        return holder

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

    def check(self) -> None:
        """Raise DetectorError if another process has taken the lock over; a no-op without a lock."""
        if self._open is not None and (self._lost or not self._is(self._open)):
            raise DetectorError(
                f"{self.path}: another process has taken over this lock, because this process gave no sign of life for "
                f"{LEASE:.0f} s (was it suspended?); its results are not put in place"
            )

    def release(self) -> None:
        """Release the lock and remove its file; a no-op without a lock."""
        if self._open is None:
            return
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        if self._is(self._open):
            self.path.unlink()  # still locked, so no other process can have locked this file
        os.close(self._open)
        self._open = None

    # -- the holder ----------------------------------------------------------------------------------------------------

    def _hold(self, descriptor: int) -> None:
        self._open, self._lost, self._seen = descriptor, False, None
        try:
            self._write(descriptor)
        except BaseException:
            self.release()
            raise
        self._end.clear()
        self._thread = threading.Thread(target=self._beat, args=(descriptor,), name="lock", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            self.release()
            raise DetectorError(f"{self.path}: {error}: raise the limit on processes and threads (ulimit -u)") from None

    def _beat(self, descriptor: int) -> None:
        while not self._end.wait(BEAT):
            self._beats += 1
            with contextlib.suppress(OSError):  # a server that does not answer now may do so at the next beat
                self._write(descriptor)
                self._lost = self._lost or not self._is(descriptor)

    def _write(self, descriptor: int) -> None:
        content = self._content()
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
            os.fsync(descriptor)  # other clients of a server see it
        except OSError as error:
            error.filename = error.filename or str(self.path)  # errors of descriptors name no file
            raise

    def _content(self) -> bytes:
        this = replace(_process(os.getpid()), lease=LEASE)
        return json.dumps({**asdict(this), "token": self._token, "beat": self._beats}).encode() + b"\n"

    def _is(self, descriptor: int) -> bool:
        """Return whether the open file *descriptor* is the one at `path`."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    # -- the process that wants it -------------------------------------------------------------------------------------

    def _left_here(self, content: bytes, free: bool | None) -> bool:
        """Return whether the holder ran under this kernel and has ended; *free* is the result of `_flock`."""
        holder = _holder(content)
        if not holder.here:
            return False
        if free is not None:
            return free
        if holder.namespace != pid_namespace() or holder.pid is None:
            return False
        return process_start(holder.pid) != holder.started

    def _expired(self, content: bytes, free: bool | None) -> bool:
        """Return whether the holder's lease has expired, and note whether it is known to be alive."""
        holder = _holder(content)
        # without a readable holder, a lock that is held under flock is one of an earlier version
        self.alive = free is False and (holder.here or not holder.boot)
        if free is None and holder.here and holder.namespace == pid_namespace():
            self.alive = True
        if self.alive:
            return False
        now = time.monotonic()
        if self._seen is None or self._seen[0] != content:
            # a change of the same holder's file is a sign of life
            self.alive = self._seen is not None and _holder(self._seen[0]) == holder
            self._seen = content, now
        return now - self._seen[1] > holder.lease

    def _replaced(self, content: bytes) -> int | None:
        """Put our file in the place of the dead holder's, which has the *content*, and return its descriptor.

        None if another process does so. Of several, the one that creates the new file, exclusively, replaces the old
        one. A process that is late finds that the lock has another content by then.
        """
        mine = self.path.with_name(f".{self.path.name}.{hashlib.sha256(content).hexdigest()[:8]}.part")
        try:
            new = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            if self._stuck(mine):
                mine.unlink(missing_ok=True)
            return None
        try:
            self._write(new)
            _flock(new)
            if _bytes(self.path) == content:
                mine.replace(self.path)
                if self._is(new):
                    return new
        except BaseException:
            os.close(new)
            mine.unlink(missing_ok=True)
            raise
        os.close(new)
        mine.unlink(missing_ok=True)
        return None

    def _stuck(self, path: Path) -> bool:
        """Return whether the file *path* of a process that takes the lock over has been there for a lease."""
        now = time.monotonic()
        if self._other is None or self._other[0] != path:
            self._other = path, now
        return now - self._other[1] > LEASE


@contextmanager
def held(path: Path, task: str, *, wait: bool = False) -> Iterator[Lock]:
    """Hold the lock on *path* for the block; if another process, which does *task*, holds it, raise `DataError`.

    With *wait*, say so on standard error and wait until it is done.
    """
    lock = Lock(path)
    if wait:
        lock.acquire(lambda holder: StatusLine().say(_waiting(holder, task)))
    elif (holder := lock.claim()) is not None:
        raise DataError(f"{holder} {task}; wait for it, or end it with kill")
    try:
        yield lock
    finally:
        lock.release()


def _waiting(holder: Holder, task: str) -> str:
    if holder.pid is None:
        return f"{holder} {task}; waiting until it is done"
    if holder.here or not holder.boot:
        return f"{holder} {task}; waiting until it is done (to end it: kill {holder.pid})"
    return f"{holder} {task}; waiting until it is done or has given no sign of life for {holder.lease:.0f} s"


def _open(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the file *path* and whether it was created."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        # a pipe would block, and a link that points nowhere would look like a file that was removed
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: not a regular file, so it cannot be a lock; remove it")
    return descriptor, False


def _flock(descriptor: int) -> bool | None:
    """Lock the open file; return False if another process holds it, None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return True


def _bytes(path: Path) -> bytes | None:
    """Return the content of the lock file *path*."""
    try:
        with path.open("rb") as file:
            return file.read(LONGEST)
    except FileNotFoundError:
        return None


def _holder(content: bytes) -> Holder:
    """Return the holder named in a lock file.

    A file of an earlier version, or one that is being written, has no boot id: only flock tells whether it is held.
    """
    try:
        holder = parse(parse_json(content.decode("utf-8", "replace"), "lock"), Holder)
    except (DataError, Mismatch):
        return Holder(socket.gethostname(), None, lease=SETTLE)
    return replace(holder, lease=min(holder.lease, LONGEST_LEASE) if holder.boot else SETTLE)



@functools.cache
def _process(pid: int) -> Holder:
    """Return this process, whose number is *pid*, as a holder."""
    return Holder(socket.gethostname(), pid, boot_id(), pid_namespace(), process_start(pid) or "")
