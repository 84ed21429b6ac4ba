"""SHA-256 of written files, so that a reader notices a damaged or an edited one.

A folder has the file ``files.sha256``, in the format of ``sha256sum``: ``sha256sum -c files.sha256`` checks it.
Archives of crops are left out: their index has a checksum of every crop. A JSON file that stands alone has the key
``content_sha256``, the hash of its other keys. Files without a hash, as of earlier versions, are not checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .values import shown

__all__ = ["KEY", "SUMS", "Changed", "check_content", "check_file", "sealed", "update_sums", "write_sums"]

SUMS = "files.sha256"
KEY = "content_sha256"
NOT_LISTED = (".tar",)  # suffixes
MOST = 64 << 20  # bytes of a file of hashes


class Changed(ValueError):  # noqa: N818 (callers turn it into their own error)
    """A file that is not the one that was written; the message names it and the way out."""


def write_sums(folder: str | Path) -> None:
    """Write ``files.sha256`` of all files below *folder*, archives of crops excepted."""
    folder = Path(folder)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_LISTED and path != folder / SUMS
    )
    lines = []
    for name in names:
        lines.append(f"{_digest(folder / name, None)}  {name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def update_sums(path: str | Path) -> None:
    """Record the hash of *path* anew if its folder has ``files.sha256``: for a program that changes a file in place."""
    if (Path(path).parent / SUMS).is_file():
        write_sums(Path(path).parent)


def check_file(path: str | Path, data: str | bytes | None = None, folder: str | Path | None = None) -> None:
    """Raise `Changed` if ``files.sha256`` of *folder* (the file's own by default) has another hash for *path*.

    *data* is the content of *path*, read here if None. Nothing is checked if the folder has no such file, or it does
    not list *path*.
    """
    path = Path(path)
    folder = path.parent if folder is None else Path(folder)
    try:
        found = (folder / SUMS).stat()
        if not (folder / SUMS).is_file():
            raise Changed(f"{folder / SUMS}: is not a regular file; remove it, or make the folder again")
    except (FileNotFoundError, NotADirectoryError):
        return
    sums = _sums((folder / SUMS, found.st_ino, found.st_size, found.st_mtime_ns))
    try:
        expected = sums.get(path.relative_to(folder).as_posix())
    except ValueError:  # not below the folder
        return
    if expected is not None and (digest := _digest(path, data)) != expected:
        raise Changed(
            f"{path}: its SHA-256 is {digest[:12]}..., but {folder / SUMS} has {expected[:12]}...: the file is "
            f"damaged or was edited; copy it again or make the folder again, or delete {folder / SUMS} if you edited it"
        )


def _digest(path: Path, data: str | bytes | None) -> str:
    if data is None:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


@lru_cache(maxsize=16)
def _sums(version: tuple[Path, int, int, int]) -> dict[str, str]:
    """Return the hashes in a file by name; *version* is its path and what changes when it is written again."""
    path = version[0]
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    sums: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line:
            continue
        digest, _, name = line.partition(b"  ")
        try:
            if len(digest) != 64 or not name or len(data) > MOST or not data.endswith(b"\n"):
                raise ValueError
            sums[name.decode()] = bytes.fromhex(digest.decode("ascii")).hex()
        except ValueError:
            raise Changed(
                f"{path}: line {number} is not a SHA-256 and a name: the file is damaged; make the folder again, or "
                "delete the file to read the others unchecked"
            ) from None
    return sums


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object *value* with the key `KEY` added, the hash of its content."""
    content = {name: part for name, part in value.items() if name != KEY}
    return {**content, KEY: _content(content)}


def check_content(path: str | Path, value: Any) -> Any:
    """Return the content of the JSON file *path* without the key `KEY`; `Changed` if that is of another content."""
    if not isinstance(value, dict) or KEY not in value:
        return value
    content = {name: part for name, part in value.items() if name != KEY}
    if (found := _content(content)) != value[KEY]:
        raise Changed(
            f"{path}: the SHA-256 of its content is {found[:12]}..., but {KEY} is {shown(str(value[KEY])[:12])}...: "
            "the file is damaged or was edited; copy it again or make it again, or remove the key "
            f"{KEY} if you edited it"
        )
    return content


def _content(content: Mapping[str, Any]) -> str:
    # through JSON first, so that tuples and keys are as a reader finds them
    plain = json.loads(json.dumps(content, allow_nan=False))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
