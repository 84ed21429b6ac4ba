"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside *path* that becomes *path* when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # after the block: some writers put a file of their own in its place
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # a write to a full disk does not say where
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(path: Path, marker: str) -> None:
    """Raise `DataError` if *path* is there already, is not empty and has no file *marker*."""
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: is a file; a folder is to be written there")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).exists():
        raise DataError(f"{path}: holds other files and no {marker}; name a new or an empty folder")


@contextmanager
def whole_folder(path: str | Path, marker: str) -> Iterator[Path]:
    """Give a temporary folder beside *path* that takes the place of *path* when the block ends without an error.

    As `check_replaceable` sees to, only a former output with the file *marker* is ever replaced.
    """
    path = Path(path)
    check_replaceable(path, marker)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary folders for *path* that killed processes have left."""
    for folder in path.parent.glob(f".{path.name}.*.part"):
        owner = folder.name.split(".")[-2]
        if owner.isdecimal() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: str | Path, value: Any) -> None:
    """Write *value* to *path* as indented JSON; NaN is refused."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
