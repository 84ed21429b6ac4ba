"""Opening files for reading: regular files only, so that no pipe, device or socket can block or never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import DataError, ExhaustedError

__all__ = ["check_kind", "check_machine", "open_file", "read_bytes"]

# errors of the machine, not of the file that was to be opened
EXHAUSTED = {
    errno.EMFILE: "raise the limit of this process (ulimit -n), or use fewer workers",
    errno.ENFILE: "close files of other processes, or raise the limit of the system (sysctl fs.file-max)",
    errno.ENOMEM: "free memory, raise the limit (ulimit -v), or use fewer workers",
}

MOST_BYTES = 8 << 30  # of a file that is read as a whole
KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_file(path: str | Path) -> BinaryIO:
    """Return the regular file *path*, open for reading; a link to one is followed.

    DataError for a pipe, a socket or a device, which is not opened for longer than it takes to see that; ExhaustedError
    if the machine has no more descriptors or memory; OSError as `open` raises it, for a folder too.
    """
    try:
        _check(Path(path).stat().st_mode, path)  # before opening, which fails for a socket without saying so
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        check_machine(error, path)
        raise
    try:
        _check(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def check_machine(error: Exception, path: str | Path) -> None:
    """Raise ExhaustedError if *path* could not be opened because descriptors or memory have run out."""
    number = getattr(error, "errno", None)  # some errors of PyAV have one and are no OSError
    if number in EXHAUSTED:
        raise ExhaustedError(f"{path}: {os.strerror(number)}: {EXHAUSTED[number]}") from error


def read_bytes(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of the regular file *path*; DataError for a file of more than *most* bytes too."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            # not read(most + 1), which would ask for that much memory; files of /proc have no size, so read to the end
            pieces, total = [], 0
            while total <= most and (piece := file.read(max(size + 1, 1 << 20))):
                pieces.append(piece)
                total += len(piece)
            if total <= most:
                return b"".join(pieces)
    raise DataError(f"{path}: has more than {most} bytes, too many to be read as a whole; name another file")


def _check(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    check_kind(mode, path)


def check_kind(mode: int, path: str | Path) -> None:
    """Raise DataError if *path*, of the file mode *mode*, is a pipe, a socket or a device."""
    for found, words in KINDS:
        if found(mode):
            raise DataError(f"{path}: is {words}, not a regular file; name a file (copy the data to one)")
