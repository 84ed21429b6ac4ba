"""Read a file or a pipe as a whole, but no device and nothing without an end."""

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

MAX_FILE = 1 << 35
"""Bytes of the largest file that is read: 65,500 x 65,500 pixels of 16 bits and three channels take less."""
MAX_STREAM = 1 << 32
"""Bytes that are read from a pipe, which may have no end."""


def read_source(path: str | Path) -> bytes:
    """Return the content of a file or a pipe, of standard input for ``-``.

    Raises OSError, for a device and for a file or pipe of too many bytes too.
    """
    if path == "-":
        return _read_stream(sys.stdin.buffer, "standard input")
    path = Path(path)
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(f"{path} is a device: name a file or a pipe")
    with path.open("rb") as file:
        if not stat.S_ISREG(mode):
            return _read_stream(file, str(path))
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE:
            raise OSError(f"{path} has {size} bytes, more than the {MAX_FILE} that are read")
        return file.read()


def _read_stream(file: BinaryIO, name: str) -> bytes:
    pieces, total = [], 0
    while piece := file.read(1 << 20):
        pieces.append(piece)
        total += len(piece)
        if total > MAX_STREAM:
            raise OSError(f"{name} has more than {MAX_STREAM} bytes: write them to a file")
    return b"".join(pieces)
