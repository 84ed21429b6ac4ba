"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluation.sums import write_sums

from ..errors import DataError
from ..lock import held
from ..reading import open_file


@contextmanager
def whole_file(path: str | Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside *path* that is renamed to *path* if the block ends without an error.

    With *sync*, the file and its directory entry are flushed to disk, so they survive a power failure. Permissions are
    those of a new file (umask, default ACL).
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe, which a rename would replace
        with _named(path):
            yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    try:
        with _named(path):
            yield temporary
            temporary.chmod(mode)  # some writers replace the file
            if sync:
                _fsync(temporary)
            temporary.replace(path)
            if sync:
                _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give errors that name no file *path*, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


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
def whole_folder(path: str | Path, marker: str, *, resume: bool = False, sums: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside *path* that replaces *path* if the block ends without an error.

    With *sums*, the hashes of its files are written to ``files.sha256`` in it, for readers (`evaluation.sums`).

    With *resume*, the temporary folder is kept after an error or a kill, and yielded again by the next call.

    Only an earlier output, which has the file *marker*, is replaced (`check_replaceable`). It is replaced by renaming,
    so the earlier or the new output is complete at or beside *path* at any time. While another process writes *path*,
    waits for it. DetectorError, with the earlier output in place, if another process took over meanwhile
    (`detector.lock.Lock.check`).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # of this process alone: one that was suspended and has lost its lock writes into a folder of its own
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    old = path.with_name(f".{path.name}.old")
    with held(path.with_name(f".{path.name}.lock"), f"is writing {path}", wait=True) as lock:
        # left by a killed process; no other process writes here while we hold the lock
        if old.exists() and not path.exists():
            old.replace(path)
        parts = _parts(path)
        kept = max(parts, key=lambda found: found.stat().st_mtime_ns, default=None) if resume else None
        for leftover in (*(found for found in parts if found != kept), old):
            shutil.rmtree(leftover, ignore_errors=True)
        check_replaceable(path, marker)
        try:
            with _named(path):
                if kept is None:
                    part.mkdir()
                else:  # renamed, so that a process that has lost its lock no longer writes into it
                    kept.replace(part)
                yield part
                if sums:
                    write_sums(part)
                lock.check()
                if path.exists():
                    path.replace(old)
                part.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            for leftover in (old,) if resume else (part, old):
                shutil.rmtree(leftover, ignore_errors=True)


def _parts(path: Path) -> list[Path]:
    """Return the temporary folders of `whole_folder` for *path*, of any process."""
    name = re.compile(rf"\.{re.escape(path.name)}\.([0-9a-f]{{8}}\.)?part")  # without digits: of earlier versions
    return [found for found in path.parent.iterdir() if name.fullmatch(found.name)]


def sha256(*paths: str | Path) -> str:
    """Return the SHA-256 of the concatenated files *paths* as hex digits."""
    total = hashlib.sha256()
    for path in paths:
        with open_file(path) as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write *value* to *path* as indented JSON; NaN is refused."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
