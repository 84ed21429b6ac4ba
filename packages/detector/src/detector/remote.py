"""Input folders and files at an address of fsspec, such as ``s3://bucket/folder`` (the extra ``detector[remote]``).

They are copied into a cache folder before a command works on them, so that all else, hashes and resuming too, is that
of local files. Files that were copied before are kept as long as size, checksum and modification time at the address
are those of the copy.

Files that only tasks read (`placed`) stay at the address: each task copies its own (`Later.copied`), where it runs, or
reads ranges of bytes of them (`Later.opened`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evaluation.values import shown

from .errors import DataError
from .lock import held
from .progress import StatusLine, track
from .reading import EXHAUSTED
from .schema import Mismatch, parse, parse_json, read_json, read_text

__all__ = ["CACHE", "Later", "copy_of", "fetched", "is_address", "placed"]

CACHE = "DETECTOR_CACHE"  # environment variable that names the cache folder
DEFAULT = Path("out") / "fetched"  # where the workers of a cluster, which share the command's folder, see it
AT_ONCE = 8  # files that are copied at the same time
KEPT = "fetched.json"  # what the copy is of, beside it
NEW = "fetched.new.jsonl"  # a line for each file that an unfinished run has copied
START = 400  # bytes of a file that stays at the address, which tell what kind of file it is
# what tells that a file has changed, by file system
TOKENS = ("ETag", "etag", "md5", "md5Hash", "crc32c", "checksum", "LastModified", "last_modified", "updated", "mtime")
NOT_INSIDE = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|\\|\0")


@dataclass(frozen=True, slots=True)
class There:
    """A file at the address: its path on the file system, its name below the address, bytes, and `TOKENS`."""

    path: str
    name: str
    size: int
    token: str


@dataclass(frozen=True, slots=True)
class Later:
    """A file at *address* that a task copies."""

    address: str
    file: There

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.file.size

    @property
    def md5(self) -> str | None:
        """The MD5 of the content where the ETag is one."""
        return _md5(self.file)

    def sha256(self) -> str:
        """Return the SHA-256 of the content, which is copied for this."""
        with self.copied() as path, path.open("rb") as copy:
            return hashlib.file_digest(copy, "sha256").hexdigest()

    @property
    def identity(self) -> str:
        """What the content is known by before it is read: size, and checksum or modification time."""
        return _mark(self.file)

    def opened(self) -> Callable[[int, int], bytes]:
        """Return a function that returns bytes of the file, from the first number to before the second one.

        Threads may share it. It raises `DataError`, one line with the address and the remedy, if they cannot be read.
        """
        with _reasons(self.address):
            files, _ = _opened(self.address)

        def read(start: int, stop: int) -> bytes:
            with _reasons(self.address):
                data: bytes = files.cat_file(self.file.path, start=start, end=stop)
                if len(data) != stop - start:
                    raise OSError(f"{len(data)} bytes were received of {start} to {stop}; run it again")
                return data

        return read

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """Yield the path of a copy that is gone after the block, and after a kill, as it has no name on the disk.

        It is in the folder for temporary files (``TMPDIR``). The last part of the path is that of the address.
        `DataError` if there is no room, the file cannot be read, or its size or MD5 is not that at the address.
        """
        with tempfile.TemporaryFile() as copy, tempfile.TemporaryDirectory(prefix="detector-") as links:
            if self.file.size > (free := shutil.disk_usage(links).free):
                raise DataError(
                    f"{self.address}: {self.file.size / 1e9:.1f} GB are to be copied, but {tempfile.gettempdir()} has "
                    f"room for {free / 1e9:.1f}; name a folder on a larger disk in TMPDIR"
                )
            path = Path(f"/proc/self/fd/{copy.fileno()}")
            if not path.exists():
                raise DataError(f"{self.address}: a task needs /proc for its copy; mount it, or copy the data yourself")
            with _reasons(self.address):
                files, _ = _opened(self.address)
                _receive(files, self.file, path)
            link = Path(links) / PurePosixPath(self.address).name
            link.symlink_to(path)
            yield link


def is_address(value: str) -> bool:
    """Return whether *value* is an address such as ``s3://bucket/folder``, and not a local path."""
    return re.match(r"[a-z][a-z0-9+.-]+://", value) is not None


def fetched(address: str) -> Path:
    """Return the local copy of the folder or file at *address*, made or brought up to date.

    The cache folder is ``out/fetched`` or the one that `CACHE` names. `DataError`, one line with the address and the
    remedy, if the address cannot be read or the disk has no room for it.
    """
    return placed(address, ())[0]


def placed(address: str, suffixes: Collection[str], start: int = START) -> tuple[Path, dict[Path, Later]]:
    """Return the copy that `fetched` makes, but files with one of *suffixes* only with their first *start* bytes.

    These are returned by their paths in the copy, for tasks to read. With *start* 0 they are not in the copy. Whole
    files that an earlier call has copied are not among them.
    """
    with _reasons(address):
        files, root = _opened(address)
        there = _listed(files, root)
    copy = copy_of(address)
    folder = copy.parent
    with held(folder.with_name(f".{folder.name}.lock"), f"is fetching {address}", wait=True):
        left = _update(address, files, there, copy, folder / KEPT, suffixes, start)
        if not start and any(file.name for file in there):
            copy.mkdir(parents=True, exist_ok=True)  # also if all files stay at the address
    return copy, {copy / file.name: Later(_address_of(address, file), file) for file in left}


def copy_of(address: str) -> Path:
    """Return the path of the copy of what is at *address*; it may not be there yet."""
    with _reasons(address):
        _, root = _opened(address)
    folder = Path(os.environ.get(CACHE) or DEFAULT) / hashlib.sha256(address.encode()).hexdigest()[:16]
    return folder / (PurePosixPath(root).name or "root")


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of *address* and the path on it."""
    import fsspec  # type: ignore[import-untyped]

    files, root = fsspec.core.url_to_fs(address)
    return files, root


def _address_of(address: str, file: There) -> str:
    return f"{address.rstrip('/')}/{file.name}" if file.name else address


def _listed(files: Any, root: str) -> list[There]:
    """Return the files at *root*, sorted by name; the name is empty if *root* is a file itself."""
    files.invalidate_cache()
    found = files.find(root, detail=True)
    if not found:
        raise FileNotFoundError("there is no file or folder")
    listed = []
    for path, info in sorted(found.items()):
        name = path[len(root) :].lstrip("/") if path != root else ""
        if name and NOT_INSIDE.search(name):
            raise ValueError(f"{shown(path)} has a name that a file below a folder cannot have")
        token = " ".join(f"{key}={info[key]}" for key in TOKENS if info.get(key) is not None)
        listed.append(There(path, name, int(info["size"]), token))
    return listed


def _update(
    address: str,
    files: Any,
    there: list[There],
    copy: Path,
    kept_file: Path,
    suffixes: Collection[str],
    start: int = START,
) -> list[There]:
    """Make *copy* the files *there*: copy those that are new or changed, remove those that are gone.

    Returns the files with one of *suffixes* of which the copy has only the *start*, or nothing if it is 0.
    """
    kept, new_file = _kept(kept_file), kept_file.with_name(NEW)
    wanted = {file.name: file for file in there}
    absent = [file for file in there if not _is_there(copy / file.name, file, kept)]
    left = [file for file in absent if PurePosixPath(file.name).suffix.lower() in suffixes]
    if not start:
        there = [file for file in there if file not in left]
        wanted = {file.name: file for file in there}
        absent = [file for file in there if not _is_there(copy / file.name, file, kept)]
    starts = {file.name for file in left}
    missing = [file for file in absent if file.name not in starts or not _has_start(copy / file.name, file, kept)]
    _keep_only(copy, wanted)
    if not missing:
        return left
    total = sum(min(file.size, START) if file.name in starts else file.size for file in missing)
    copy.parent.mkdir(parents=True, exist_ok=True)
    if total > (free := shutil.disk_usage(copy.parent).free):
        raise DataError(
            f"{address}: {total / 1e9:.1f} GB are to be copied, but {copy.parent} has room for {free / 1e9:.1f}; name "
            f"a folder on a larger disk in {CACHE}"
        )
    StatusLine().say(f"{address}: copying {len(missing)} of {len(there)} files, {total / 1e6:.1f} MB, to {copy}")
    # the table first says less than there is: a kill costs copies, and keeps no stale file
    changed = {file.name for file in missing}
    _note(kept_file, {name: mark for name, mark in kept.items() if name not in changed})
    new_file.unlink(missing_ok=True)
    marks = {file.name: _start_mark(file) if file.name in starts else _mark(file) for file in there}
    ended = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool, new_file.open("ab", buffering=0) as new:

        def copy_one(file: There) -> None:
            _copy(address, files, file, copy / file.name, file.name in starts, ended)
            new.write(json.dumps([file.name, marks[file.name]]).encode() + b"\n")

        try:
            for _ in track(pool.map(copy_one, missing), len(missing), f"fetching {address}"):
                pass
        finally:
            ended.set()  # after Ctrl-C or an error, copies of large files end too
    _note(kept_file, marks)
    new_file.unlink()
    return left


def _kept(path: Path) -> dict[str, str]:
    """Return the marks of the files that were copied, by name; a damaged table or line costs copies."""
    kept: dict[str, str] = {}
    with suppress(FileNotFoundError, DataError):
        kept = read_json(path, dict[str, str])
    with suppress(FileNotFoundError, DataError):
        for line in read_text(path.with_name(NEW)).splitlines():
            with suppress(DataError, Mismatch):
                name, mark = parse(parse_json(line, "line"), tuple[str, str])
                kept[name] = mark
    return kept


def _is_there(path: Path, file: There, kept: Mapping[str, str]) -> bool:
    return kept.get(file.name) == _mark(file) and path.is_file() and path.stat().st_size == file.size


def _has_start(path: Path, file: There, kept: Mapping[str, str]) -> bool:
    return kept.get(file.name) == _start_mark(file) and path.is_file()


def _note(path: Path, marks: Mapping[str, str]) -> None:
    with _whole(path) as part:
        part.write_text(json.dumps(marks, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes *path* at the end. (`data.files` imports `options`, which imports us.)"""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # only the holder of the lock writes here
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _mark(file: There) -> str:
    return f"{file.size} {file.token}"


def _start_mark(file: There) -> str:
    return f"start of {_mark(file)}"


def _keep_only(copy: Path, names: Collection[str]) -> None:
    """Remove the files of *copy* that are not in *names*, and the folders that are empty then."""
    paths = [*copy.rglob("*"), copy] if copy.exists() else []
    for path in sorted(paths, reverse=True):  # what is in a folder, then the folder
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif ("" if path == copy else path.relative_to(copy).as_posix()) not in names:
            path.unlink()


def _copy(address: str, files: Any, file: There, path: Path, start: bool, ended: threading.Event) -> None:
    """Copy *file*, or only its *start*, to *path*, which appears whole; raise `DataError` when *ended* is set."""
    with _whole(path) as part, _reasons(_address_of(address, file)):
        if start:
            part.write_bytes(files.cat_file(file.path, start=0, end=START)[:START] if file.size else b"")
        else:
            _receive(files, file, part, callback=_ending(ended))


def _ending(ended: threading.Event) -> Any:
    """Return a callback with which a copy by fsspec ends, at its next piece, when *ended* is set."""
    from fsspec.callbacks import Callback  # type: ignore[import-untyped]

    class Ending(Callback):  # type: ignore[misc]
        def call(self, *_: Any, **__: Any) -> None:
            if ended.is_set():
                raise InterruptedError("another copy has failed, or the command was interrupted")

    return Ending()


def _receive(files: Any, file: There, path: Path, **options: Any) -> None:
    """Copy *file* to *path*, with *options* of fsspec; its size, and an ETag that is an MD5, are compared."""
    files.get_file(file.path, str(path), **options)
    if path.stat().st_size != file.size:
        raise OSError(f"{path.stat().st_size} bytes were received, {file.size} are there; run it again")
    if (wanted := _md5(file)) is not None:
        with path.open("rb") as copy:
            received = hashlib.file_digest(copy, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if received != wanted:
            raise OSError(f"the MD5 of what was received is {received}, not {wanted}; run it again")


def _md5(file: There) -> str | None:
    """Return the ETag of an object of S3 that was written in one part without encryption by a key of its own."""
    found = re.search(r'etag="?([0-9a-f]{32})"?(?: |$)', file.token, re.IGNORECASE)
    return found and found[1]


@contextmanager
def _reasons(address: str) -> Iterator[None]:
    """Raise whatever a file system raises as a `DataError` of one line with the *address* and a remedy."""
    scheme = address.partition("://")[0]
    try:
        yield
    except ImportError as error:
        raise DataError(
            f"{address}: {error.name or error} is not installed; pip install 'detector[remote]' for s3, or fsspec's "
            f"package for {scheme}"
        ) from error
    except Exception as error:  # every file system has exceptions of its own
        if isinstance(error, OSError) and error.errno in (*EXHAUSTED, errno.ENOSPC, errno.EDQUOT):
            raise
        reason = " ".join((str(error) or type(error).__name__).split())
        raise DataError(
            f"{address}: cannot be read: {reason}; check the address, and the credentials and endpoint of {scheme} "
            "(docs/cluster.md, Data at an address)"
        ) from error
