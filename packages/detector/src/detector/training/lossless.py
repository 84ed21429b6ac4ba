"""The lossless crops that the training crops were compressed from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ..data.compress import read_crop
from ..data.index import Face, read_index
from ..data.shards import ShardReader
from ..data.summary import read_lossless
from ..errors import DataError

__all__ = ["lossless_faces"]

NAMES = {"train": "training", "val": "validation"}


def lossless_faces(
    folder: Path,
    reader: ShardReader,
    split: str,
    crops: Sequence[Face],
    size: tuple[int, int],
    left_out: Collection[str] = (),
) -> list[Face]:
    """Return the faces of *split* in *folder*, of which *crops* are compressed copies of *size*, in the same order.

    Crops with the keys *left_out* are passed over.

    DataError if *folder* is compressed itself, the two do not have the same crops, or they are not of *size*: found
    before a training begins.
    """
    read_lossless(folder)
    found = [face for face in read_index(folder) if face.split == split and face.key not in left_out]
    if [face.key for face in found] != [face.key for face in crops]:
        raise DataError(
            f"{folder / 'index.csv'}: its {NAMES[split]} crops are not those of the compressed crops; compress this "
            "folder again, or name the one that was compressed"
        )
    if found and (shape := read_crop(reader, found[0]).shape) != (*size, 3):
        raise DataError(
            f"{folder / 'index.csv'}: its crops are {shape[0]} x {shape[1]}, the compressed ones {size[0]} x "
            f"{size[1]}; compress this folder again"
        )
    return found
