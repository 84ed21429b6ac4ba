"""The compress stage: the crops that training reads, as JPEG."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

import mozcodec

from ..config import CompressConfig
from ..errors import DataError
from ..pipeline import stage
from ..remote import Later
from ..schema import read_json
from .crops import crops_task, over_crops
from .files import whole_folder, write_json
from .index import Face, read_index, write_index
from .intact import intact, write_damaged
from .png import decode_png
from .shards import ShardReader, ShardWriter
from .summary import SUMMARY, read_lossless
from .work import Executor, Task, key_of, pack, read, unpack, working_folder

CHUNK = 128  # crops of a task


def encode_crop(image: np.ndarray, quality: int, config: CompressConfig) -> bytes:
    """Return *image*, uint8 RGB (H, W, 3), as JPEG bytes at *quality* 1..100 with the encoder settings of *config*."""
    data: bytes = mozcodec.encode(image, quality=quality, **config.options())
    return data


def encoder() -> dict[str, Any]:
    """Return which encoder makes the JPEG files: versions, how it is linked and whether it uses SIMD."""
    info = mozcodec.build_info()
    return {name: info[name] for name in ("version", "mozjpeg_version", "linking", "simd")}


def read_crop(reader: ShardReader, face: Face) -> np.ndarray:
    """Return the lossless crop *face*, uint8 RGB (H, W, 3), after checking its CRC."""
    data = reader.read(face, check=True)
    try:
        return decode_png(data)
    except DataError as error:
        raise DataError(f"{reader.folder / face.shard}: {face.key}: {error}") from error


def encode_crops(argument: tuple[ShardReader, Sequence[Face], int, CompressConfig]) -> bytes:
    """Return crops as JPEG files, packed."""
    reader, faces, quality, config = argument
    return pack(encode_crop(read_crop(reader, face), quality, config) for face in faces)


def _joined(results: Sequence[bytes]) -> bytes:
    return pack(file for result in results for file in unpack(result))


def compress_faces(
    faces: str | Path,
    out: str | Path,
    quality: int,
    config: CompressConfig,
    workers: int = 0,
    splits: Sequence[str] = ("train", "val"),
    executor: str = "processes",
    max_damaged: float = 0,
    table: str = "auto",
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write the crops of *splits* in the folder *faces* as packed JPEG files to *out*, and return the summary.

    The index has the rows of these crops with new offsets; *table* is that of `write_index`. The summary is that of
    *faces* with the counts of *splits* and the compression settings. Up to the share *max_damaged*, damaged crops are
    left out and listed in the summary and ``damaged.csv`` (`intact`). Tasks read the archives *later* at their address
    (`detector.remote.placed`). Raises `DataError` if *faces* is incomplete, has
    no crops of *splits*, or is *out*.
    """
    faces, out, where = Path(faces), Path(out), Executor(executor, workers)
    if os.path.realpath(out) == os.path.realpath(faces):
        raise DataError(f"{out}: refusing to replace the lossless crops by compressed ones; name another folder")
    index, reader = [face for face in read_index(faces) if face.split in splits], ShardReader(faces, later)
    if not index:
        raise DataError(
            f"{faces / 'index.csv'}: no crops in {' or '.join(splits)}; name the splits to compress with --split"
        )
    read_lossless(faces)
    summary = _counted(read_json(faces / SUMMARY), splits)
    index, damaged = intact(index, reader, max_damaged)

    depends = key_of("encode_crops", stage("compress").code_sha256(), asdict(config), str(quality), encoder())

    def tasks_of(some: Sequence[Face]) -> list[Task]:
        others = quality, config
        return [
            crops_task(depends, encode_crops, reader, chunk, others, _joined, lists=max_damaged > 0)
            for chunk in _chunks(some)
        ]

    with working_folder(out) as work, whole_folder(out, "index.csv", sums=True) as folder:
        done = over_crops(index, reader, max_damaged, tasks_of, work, f"compress to {quality}", where)
        damaged += done.damaged
        rows: list[Face] = []
        with ShardWriter(folder, suffix=".jpg") as shards:
            for chunk, file in zip(_chunks(done.kept), done.files, strict=True):
                for face, data in zip(chunk, unpack(read(file)), strict=True):
                    slot = shards.add(face.key, data)
                    rows.append(replace(face, shard=slot.shard, offset=slot.offset, size=slot.size, crc32=slot.crc32))
        summary["compress"] = {
            "quality": quality,
            **asdict(config),
            "splits": list(splits),
            "bytes": sum(face.size for face in rows),
            "bytes_per_face": round(sum(face.size for face in rows) / len(rows), 1),
            "encoder": encoder(),
        }
        if damaged:
            summary["damaged"] = [row.key for row in damaged]
        write_json(folder / SUMMARY, summary)
        write_damaged(folder, damaged)
        write_index(folder / "index.csv", rows, table)
    return summary


def _chunks(faces: Sequence[Face]) -> list[Sequence[Face]]:
    return [faces[start : start + CHUNK] for start in range(0, len(faces), CHUNK)]


def _counted(summary: dict[str, Any], splits: Sequence[str]) -> dict[str, Any]:
    """Return *summary* with the identities, videos and faces of other splits than *splits* counted as 0."""

    def counts(numbers: dict[str, int]) -> dict[str, int]:
        return {split: number if split in splits else 0 for split, number in numbers.items()}

    by_method = {name: {m: counts(row) for m, row in summary[name].items()} for name in ("videos", "faces")}
    return {**summary, "identities": counts(summary["identities"]), **by_method}
