"""The compress stage: the crops that training reads, as JPEG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec

from ..config import CompressConfig
from ..errors import DataError
from ..progress import track as progress
from ..schema import read_json
from ..system import cores
from .files import whole_folder, write_json
from .index import Face, read_index, write_index
from .png import decode_png
from .shards import ShardReader, ShardWriter
from .summary import SUMMARY, read_lossless

WINDOW = 1024  # crops in flight


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


def compress_faces(
    faces: str | Path,
    out: str | Path,
    quality: int,
    config: CompressConfig,
    workers: int = 0,
    splits: Sequence[str] = ("train", "val"),
) -> dict[str, Any]:
    """Write the crops of *splits* in the folder *faces* as packed JPEG files to *out*, and return the summary.

    The index has the rows of these crops with new offsets. The summary is that of *faces* with the counts of *splits*
    and the compression settings. Raises `DataError` if *faces* is incomplete, has no crops of *splits*, or is *out*.
    """
    faces, out = Path(faces), Path(out)
    if out.resolve() == faces.resolve():
        raise DataError(f"{out}: refusing to replace the lossless crops by compressed ones; name another folder")
    index, reader = [face for face in read_index(faces) if face.split in splits], ShardReader(faces)
    if not index:
        raise DataError(
            f"{faces / 'index.csv'}: no crops in {' or '.join(splits)}; name the splits to compress with --split"
        )
    read_lossless(faces)
    summary = _counted(read_json(faces / SUMMARY), splits)

    def encode(face: Face) -> bytes:
        return encode_crop(read_crop(reader, face), quality, config)

    with whole_folder(out, "index.csv") as folder:
        rows: list[Face] = []
        with ShardWriter(folder, suffix=".jpg") as shards:
            encoded = _in_order(encode, index, workers)
            for face, data in progress(zip(index, encoded, strict=True), len(index), f"compress to {quality}"):
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
        write_json(folder / SUMMARY, summary)
        write_index(folder / "index.csv", rows)
    return summary


def _counted(summary: dict[str, Any], splits: Sequence[str]) -> dict[str, Any]:
    """Return *summary* with the identities, videos and faces of other splits than *splits* counted as 0."""

    def counts(numbers: dict[str, int]) -> dict[str, int]:
        return {split: number if split in splits else 0 for split, number in numbers.items()}

    by_method = {name: {m: counts(row) for m, row in summary[name].items()} for name in ("videos", "faces")}
    return {**summary, "identities": counts(summary["identities"]), **by_method}


def _in_order(function: Any, faces: Iterable[Face], workers: int) -> Iterator[bytes]:
    """Yield the result for each face in order, from *workers* threads; the encoder releases the GIL."""
    remaining = iter(faces)
    with ThreadPoolExecutor(workers or cores()) as pool:
        while window := list(islice(remaining, WINDOW)):
            yield from pool.map(function, window)
