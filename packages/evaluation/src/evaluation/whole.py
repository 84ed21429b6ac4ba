"""Files that appear whole or not at all, alone or together with others."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

__all__ = ["whole_file", "write_together"]

LEFT = re.compile(r"\.evaluation-[0-9a-f]{8}\.part")  # temporary folders
MADE = "put"  # in a temporary folder: the new files
KEPT = "old"  # links to the earlier ones


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path, renamed to *path* if the block succeeds; missing folders are made."""
    path = Path(path)
    with _named(path):
        if _direct(path):
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path.parent, {path.name}) as place:
            part = place / MADE / path.name
            yield part
            part.replace(path)


def write_together(files: Iterable[tuple[str | Path, bytes | str | None]]) -> None:
    """Write *files*, pairs of path and content, all or none; a file whose content is None is removed.

    All are written to temporary folders beside them first, missing folders are made; then they are renamed, in the
    order given. OSError names the file that could not be written or renamed; the earlier files are in place then (on a
    file system with hard links, if a rename failed), and nothing else is left. Only a kill between the renames leaves
    new and earlier files beside each other.
    """
    made: list[Path] = []  # folders, outer ones first
    try:
        with ExitStack() as stack:
            places: dict[Path, Path] = {}  # temporary folder by folder
            names: dict[Path, set[str]] = {}  # written into it
            steps: list[tuple[Path, Path | None, bytes | None]] = []  # path, where it is written, or what is written
            for name, content in files:
                path, data = Path(name), content.encode() if isinstance(content, str) else content
                with _named(path):
                    if _direct(path):
                        steps.append((path, None, data))
                        continue
                    above = path.parent
                    if data is None and not above.is_dir():
                        continue
                    made += [folder for folder in reversed((above, *above.parents)) if not folder.exists()]
                    above.mkdir(parents=True, exist_ok=True)
                    if above not in places:
                        places[above] = stack.enter_context(_temporary(above, names.setdefault(above, set())))
                    names[above].add(path.name)
                    steps.append((path, places[above], None))
                    if data is not None:
                        (places[above] / MADE / path.name).write_bytes(data)
            _put(steps)
            made.clear()
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # not empty: somebody else wrote there
                folder.rmdir()


def _put(steps: Iterable[tuple[Path, Path | None, bytes | None]]) -> None:
    """Put the files of `write_together` in place; after an error the earlier ones are put back."""
    done: list[tuple[Path, Path, bool]] = []  # path, link to the earlier file, whether there was one
    try:
        for path, place, data in steps:
            with _named(path):
                if place is None:
                    path.write_bytes(data or b"")
                    continue
                new, old, there = place / MADE / path.name, place / KEPT / path.name, os.path.lexists(path)
                if there:
                    with suppress(OSError):  # no hard links, or a folder: the rename refuses it
                        os.link(path, old, follow_symlinks=False)
                if new.exists():
                    new.replace(path)
                else:
                    path.unlink(missing_ok=True)
                done.append((path, old, there))
    except BaseException:
        for path, old, there in reversed(done):
            if os.path.lexists(old):
                old.replace(path)
            elif not there:
                path.unlink(missing_ok=True)
        raise


@contextmanager
def _temporary(folder: Path, names: set[str]) -> Iterator[Path]:
    """Yield a new folder in *folder*, with two folders for the files *names*; it is removed at the end.

    Those that killed processes have left are removed first.
    It is locked while its process lives, which the kernel sees to; no PID is compared. It gets the name by which others
    find it when it is locked.
    """
    with suppress(OSError):  # a folder that cannot be listed
        for left in [path for path in folder.iterdir() if LEFT.fullmatch(path.name)]:
            with suppress(OSError), _locked(left):
                shutil.rmtree(left, ignore_errors=True)
    place = folder / f".evaluation-{secrets.token_hex(4)}.part"
    new = place.with_suffix(".new")
    new.mkdir()
    try:
        with _locked(new, needed=False):
            new.rename(place)
            for name in (MADE, KEPT):
                (place / name).mkdir()
            yield place
    finally:
        for path in (new, place):
            _remove(path, names)


def _remove(place: Path, names: Iterable[str]) -> None:
    """Remove a temporary folder; no descriptor is needed, of which a process may have none left."""
    for part in (place / MADE, place / KEPT):
        for name in names:
            with suppress(OSError):
                (part / name).unlink()
        with suppress(OSError):
            part.rmdir()
    with suppress(OSError):
        place.rmdir()


@contextmanager
def _locked(folder: Path, needed: bool = True) -> Iterator[None]:
    """Hold the lock on *folder*. OSError if another process holds it, or if *needed* on a file system without locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with nullcontext() if needed else suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _direct(path: Path) -> bool:
    """Return whether *path* is a device or a pipe, which a rename would replace."""
    return path.exists() and not (path.is_file() or path.is_dir())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give errors that name no file or a temporary one, such as that of a write to a full disk, the file *path*."""
    try:
        yield
    except OSError as error:
        if error.filename is None or ".evaluation-" in str(error.filename):
            error.filename, error.filename2 = str(path), None
        raise
