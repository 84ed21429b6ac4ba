"""Packed crops as archives with their labels inside, which WebDataset and other readers of tar files stream.

``train-000000.tar`` and so on have three members for each crop: ``KEY.cls`` (0 real, 1 fake), ``KEY.json`` (the row of
the index) and ``KEY.png`` or ``KEY.jpg``. They depend only on the crops: members are sorted by key and have mtime 0.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ..errors import DataError
from ..progress import track
from .files import whole_file
from .index import SPLITS, Face, read_index
from .inspect import select
from .intact import intact, write_damaged
from .shards import BLOCK, ShardReader

__all__ = ["write_labelled"]

PLACE = ("shard", "offset", "size", "crc32")  # columns that describe the archives that are read
MOST_BYTES = 256 << 20  # of an archive


def write_labelled(
    folder: str | Path,
    out: str | Path,
    methods: Sequence[str] = (),
    splits: Sequence[str] = (),
    max_damaged: float = 0,
    max_bytes: int = MOST_BYTES,
) -> int:
    """Write the crops of *folder*, of *methods* and *splits*, to archives in *out* and return how many crops.

    The members of a crop follow each other in one archive. Up to the share *max_damaged*, damaged crops are left out
    and listed in ``damaged.csv`` (`intact`). DataError if *out* has archives of another call.
    """
    folder, out = Path(folder), Path(out)
    if found := sorted(out.glob("*.tar")) if out.is_dir() else []:
        raise DataError(f"{found[0]}: there are archives already; name a new or an empty folder")
    reader = ShardReader(folder)
    faces, damaged = intact(select(read_index(folder), methods, splits), reader, max_damaged)
    for split in SPLITS:
        samples = (_members(face, reader) for face in faces if face.split == split)
        _write(out, split, samples, max_bytes, sum(face.split == split for face in faces))
    write_damaged(out, damaged)
    return len(faces)


def _members(face: Face, reader: ShardReader) -> list[tuple[str, bytes]]:
    data = bytes(reader.read(face, check=True))
    row = {name: value for name, value in asdict(face).items() if name not in PLACE and value is not None}
    return [
        (f"{face.key}.cls", str(face.label).encode()),
        (f"{face.key}.json", json.dumps(row, ensure_ascii=False).encode()),
        (f"{face.key}.{'jpg' if data.startswith(bytes((0xFF, 0xD8))) else 'png'}", data),
    ]


def _write(out: Path, split: str, samples: Iterator[list[tuple[str, bytes]]], max_bytes: int, total: int) -> None:
    """Write *samples* to archives of at most *max_bytes* each, or of one sample."""
    progress = iter(track(samples, total, f"{split} archives"))
    sample, number = next(progress, None), 0
    while sample is not None:
        with (
            whole_file(out / f"{split}-{number:06d}.tar") as path,
            tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            while sample is not None:
                _add(archive, sample)
                sample = next(progress, None)
                if sample is not None and archive.offset + sum(_size(data) for _, data in sample) > max_bytes:
                    break
        number += 1


def _add(archive: tarfile.TarFile, sample: list[tuple[str, bytes]]) -> None:
    for name, data in sample:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def _size(data: bytes) -> int:
    """Return the bytes of a member in an archive: header, data and padding."""
    return BLOCK + -(-len(data) // BLOCK) * BLOCK
