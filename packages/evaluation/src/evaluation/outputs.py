"""Whether a path can be written to, for the commands of both packages."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from pathlib import Path

__all__ = ["check_writable"]


def check_writable(path: Path, stack: ExitStack | None = None, folder: bool | None = False) -> None:
    """Raise OSError with *path* if no file (*folder*: no folder; None: neither) can be written there.

    Called before work is done for it. A socket, a disk, a loop of links and a path below a file are refused. Other
    devices and named pipes are written to if *stack* is given, but for a pipe that no process reads, on which a write
    would wait without end. A pipe that is read is kept open in *stack*, so that its reader sees no end before.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        above = next((above for above in path.parents if os.path.lexists(above)), None)
        if above is not None and not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{above} is not a folder", str(path)) from None
        if folder and path.is_symlink():
            raise FileNotFoundError(errno.ENOENT, "is a link to a folder that is not there", str(path)) from None
        return
    if folder and not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder; name a new folder", str(path))
    if folder is False and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(path))
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    if stack is None or stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "is not a regular file; name another file", str(path))
    if stat.S_ISFIFO(mode):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            words = "is a named pipe that no process reads; start its reader first, or name a file"
            raise OSError(errno.ENXIO, words, str(path)) from None
        stack.callback(os.close, descriptor)
