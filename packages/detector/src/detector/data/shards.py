"""Packed crops: uncompressed USTAR archives, read at the offsets of the index.

They are read with pread(2), not through mmap: a page of a map that lies beyond the end of a file which another process
has cut short ends the process with SIGBUS. Of archives at an address (`detector.remote`), ranges of bytes are read.

An archive depends only on the keys and the data: members are sorted by key and have mtime 0, owner 0, mode 0644.
``tar tf`` lists it, ``tar xf`` unpacks it.
"""

from __future__ import annotations

import os
import sys
import tarfile
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, BinaryIO, Protocol

from ..errors import DataError
from ..reading import open_file
from ..schema import brief, matching

if TYPE_CHECKING:
    from ..remote import Later

BLOCK = 512  # size of a tar header; data are padded to a multiple of it
RECORD = 20 * BLOCK  # archives are padded to this, as tar does
AHEAD = 8 << 20  # bytes that are received together from an address


# names that stay inside the folder they are joined to; file systems have no longer parts
_PART = r"(?!\.{1,2}(?:/|\Z))[^/]{1,255}"
RelativeName = Annotated[
    str,
    matching(f"{_PART}(?:/{_PART})*", "a relative name without empty, . or .. parts, each of at most 255 characters"),
]
ShardName = Annotated[str, matching(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.tar", "the name of a .tar file")]
Checksum = Annotated[str, matching(r"[0-9a-f]{8}", "eight hex digits")]


@dataclass(frozen=True, slots=True)
class Slot:
    """The location of the data of `key`: `size` bytes at `offset` of the file `shard`; `crc32` is eight hex digits."""

    key: RelativeName
    shard: ShardName
    offset: int
    size: int
    crc32: Checksum


def tar_header(name: str, size: int) -> bytes:
    """Return the header of the member *name*, of *size* bytes; `DataError` if USTAR has no room for the name."""
    info = tarfile.TarInfo(name)
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:  # over 100 bytes, and no slash divides it into at most 155 and 100
        raise DataError(f"{brief(name)} has {len(name.encode())} bytes, too many for the tar format") from error


class Located(Protocol):
    """Anything that locates data in an archive: a `Slot`, a `detector.data.index.Face`."""

    @property
    def key(self) -> str: ...
    @property
    def shard(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def crc32(self) -> str: ...


def crc32(data: bytes | memoryview) -> str:
    """Return the CRC-32 of *data* as eight hex digits."""
    return f"{zlib.crc32(data):08x}"


class ShardWriter:
    """Writes ``stem-000.tar``, ``stem-001.tar``, ... into *folder*, none larger than *max_bytes*.

    A context manager. An archive is written as ``*.tar.part`` and renamed when complete; after an error, the incomplete
    archive is removed.
    """

    def __init__(
        self, folder: str | Path, stem: str = "faces", suffix: str = ".png", max_bytes: int = 256 << 20
    ) -> None:
        self.folder, self.stem, self.suffix, self.max_bytes = Path(folder), stem, suffix, max_bytes
        self._count = 0
        self._last = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> ShardWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._finish()
        elif self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def add(self, key: str, data: bytes | memoryview) -> Slot:
        """Append *data* as the member *key* + suffix and return its slot. Keys must be increasing."""
        if key <= self._last:
            raise ValueError(f"keys must be sorted and unique: {key!r} after {self._last!r}")
        header = tar_header(key + self.suffix, len(data))
        if self._file is not None and self._tell() + _padded(len(data)) + BLOCK + RECORD > self.max_bytes:
            self._finish()
        if self._file is None:
            self._file = self._part.open("wb")
        self._file.write(header)
        offset = self._tell()
        self._file.write(data)
        self._file.write(bytes(_padded(len(data)) - len(data)))
        self._last = key
        return Slot(key, sys.intern(self._name), offset, len(data), crc32(data))

    @property
    def _name(self) -> str:
        return f"{self.stem}-{self._count:03d}.tar"

    @property
    def _part(self) -> Path:
        return self.folder / (self._name + ".part")

    def _tell(self) -> int:
        assert self._file is not None
        return self._file.tell()

    def _finish(self) -> None:
        if self._file is None:
            return
        self._file.write(bytes(2 * BLOCK))
        self._file.write(bytes(-self._tell() % RECORD))
        self._file.close()
        self._part.replace(self.folder / self._name)
        self._file = None
        self._count += 1


class DamageError(DataError):
    """An archive is missing or ends before a member, or the checksum of the member differs from that of the index."""


class ShardReader:
    """Reads members of the archives in *folder*, or at an address: those whose paths are among *later*.

    May be shared by threads, and pickled.
    """

    def __init__(self, folder: str | Path, later: Mapping[Path, Later] = MappingProxyType({})) -> None:
        self.folder = Path(folder)
        self.later = {path.name: file for path, file in later.items() if path.parent == self.folder}
        self._descriptors: dict[str, int] = {}
        self._opening = threading.Lock()
        weakref.finalize(self, _close, self._descriptors)
        self._ranges: dict[str, Callable[[int, int], bytes]] = {}
        self._receiving = threading.Lock()
        self._planned: Sequence[Located] = ()
        self._places: dict[tuple[str, int], int] = {}
        self._received: dict[tuple[str, int], bytes] = {}

    def __reduce__(self) -> tuple[type[ShardReader], tuple[Path, dict[Path, Later]]]:
        return ShardReader, (self.folder, {self.folder / name: file for name, file in self.later.items()})

    def of(self, faces: Sequence[Located]) -> ShardReader:
        """Return a reader for *faces*: it knows of no other archives at the address."""
        shards = {face.shard for face in faces} & self.later.keys()
        return ShardReader(self.folder, {self.folder / name: self.later[name] for name in shards})

    def is_far(self, face: Located) -> bool:
        """Return whether *face* is at an address."""
        return face.shard in self.later

    def identity(self, face: Located) -> str:
        """What is known of the content of *face*, which is at an address, before it is read: by index and address."""
        return f"{face.crc32} {face.size} {face.offset} {self.later[face.shard].identity}"

    def read_ahead(self, faces: Sequence[Located]) -> None:
        """Note that *faces* will be read once each, about in this order: neighbours at an address are then received
        together, up to `AHEAD` bytes at a time."""
        self._planned = faces
        self._places = {(face.shard, face.offset): place for place, face in enumerate(faces)}
        self._received = {}

    def read(self, face: Located, check: bool = False) -> memoryview:
        """Return the data of *face*; with *check*, after comparing their CRC-32 with the index.

        Raises `DamageError` if the archive is missing or truncated, or the checksum differs, and `DataError` if what is
        at an address cannot be read.
        """
        data = self._from_address(face) if face.shard in self.later else self._from_file(face)
        if check and (found := crc32(data)) != face.crc32:
            raise DamageError(
                f"{self._name_of(face)}: {face.key} is damaged: crc32 {found}, the index says {face.crc32}"
            )
        return memoryview(data)

    def _name_of(self, face: Located) -> Path | str:
        return self.later[face.shard].address if face.shard in self.later else self.folder / face.shard

    def _from_file(self, face: Located) -> bytes:
        descriptor = self._descriptors.get(face.shard)
        if descriptor is None:
            descriptor = self._open(face.shard)
        length = os.fstat(descriptor).st_size
        if face.offset + face.size > length:  # before memory for the data is allocated
            raise _ended(self.folder / face.shard, length, face)
        data = os.pread(descriptor, face.size, face.offset)
        if len(data) != face.size:
            raise _ended(self.folder / face.shard, face.offset + len(data), face)
        return data

    def _from_address(self, face: Located) -> bytes:
        """Return the data of *face*, received now or with a planned neighbour before."""
        place = face.shard, face.offset
        file = self.later[face.shard]
        if face.offset + face.size > file.size:  # before memory for the data is allocated
            raise _ended(file.address, file.size, face)
        with self._receiving:  # other threads wait for what may be theirs
            data = self._received.pop(place, None)
            if data is None or len(data) != face.size:
                self._receive(face)
                data = self._received.pop(place)
            return data

    def _receive(self, face: Located) -> None:
        some, end = [face], face.offset + face.size
        planned = self._places.get((face.shard, face.offset), len(self._planned))
        for other in self._planned[planned + 1 :]:
            follows = other.shard == face.shard and 0 <= other.offset - end <= 2 * BLOCK  # padding, and a header
            stop = other.offset + other.size
            if not follows or stop - face.offset > AHEAD or stop > self.later[face.shard].size:
                break
            some.append(other)
            end = stop
        if face.shard not in self._ranges:
            self._ranges[face.shard] = self.later[face.shard].opened()
        data = self._ranges[face.shard](face.offset, end)
        for one in some:
            start = one.offset - face.offset
            self._received[one.shard, one.offset] = data[start : start + one.size]

    def _open(self, name: str) -> int:
        path = self.folder / name
        with self._opening:
            if name not in self._descriptors:  # another thread may have opened it meanwhile
                try:
                    with open_file(path) as file:
                        self._descriptors[name] = os.dup(file.fileno())
                except FileNotFoundError:
                    raise DamageError(f"{path}: no such file, but the index lists it; make the folder again") from None
            return self._descriptors[name]


def _close(descriptors: dict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)


def _ended(path: Path | str, length: int, face: Located) -> DamageError:
    where = f"ends at byte {length}" if length else "is empty"
    return DamageError(f"{path}: {where}, before the end of {face.key}; copy the file again, or make the folder again")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
