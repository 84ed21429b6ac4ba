"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..lock import held


@contextmanager
def whole_file(path: str | Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside *path* that is renamed to *path* if the block ends without an error.

    With *sync*, the file and its directory entry are flushed to disk, so they survive a power failure.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # opened after the block, because some writers replace the file
        if sync:
            _fsync(temporary)
        temporary.replace(path)
        if sync:
            _fsync(path.parent)
    except OSError as error:
        if error.filename is None:  # the error of a write to a full disk has no file name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_replaceable(path: Path, marker: str) -> None:
    """Raise `DataError` if *path* exists, is not empty and has no file *marker*."""
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: is a file; a folder is to be written there")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).exists():
        raise DataError(f"{path}: holds other files and no {marker}; name a new or an empty folder")


@contextmanager
def whole_folder(path: str | Path, marker: str) -> Iterator[Path]:
    """Yield a temporary folder beside *path* that replaces *path* if the block ends without an error.

    Only an earlier output, which has the file *marker*, is replaced (`check_replaceable`). It is replaced by renaming,
    so the earlier or the new output is complete at or beside *path* at any time. Raises `DataError` if another process
    is writing *path*.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    with held(path.with_name(f".{path.name}.lock"), f"is writing {path}"):
        # left by a killed process; no other process writes here while we hold the lock
        if old.exists() and not path.exists():
            old.replace(path)
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        check_replaceable(path, marker)
        try:
            part.mkdir()
            yield part
            if path.exists():
                path.replace(old)
            part.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            for leftover in (part, old):
                shutil.rmtree(leftover, ignore_errors=True)


def sha256(*paths: str | Path) -> str:
    """Return the SHA-256 of the concatenated files *paths* as hex digits."""
    total = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write *value* to *path* as indented JSON; NaN is refused."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
