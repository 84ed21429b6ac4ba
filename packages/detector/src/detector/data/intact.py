"""Damaged crops and masks are left out and listed; too many of them are an error.

One is damaged if its archive ends before it, or its CRC-32 is not that of the index. Every crop is read once for
this before the work begins, so what is left out does not depend on the order of the work or the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import DataError
from ..progress import StatusLine
from .index import write_rows
from .shards import Located, RelativeName, ShardReader

__all__ = ["DAMAGED", "Damaged", "intact", "write_damaged"]

DAMAGED = "damaged.csv"
NAMED = 5  # crops in the message

Stored = TypeVar("Stored", bound=Located)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A crop, or the mask of one, that was left out: a row of ``damaged.csv``."""

    key: RelativeName
    problem: str


def intact(
    faces: Sequence[Stored],
    reader: ShardReader,
    most: float,
    say: Callable[[str], None] | None = None,
    what: str = "crops",
) -> tuple[list[Stored], list[Damaged]]:
    """Return the *faces* whose crops are undamaged, and the others, in the same order; *say* is told of those.

    They may be the slots of other data: *what* they are.

    Raises the `DataError` of the first one if they are more than the share *most* of the faces, or all of them. With
    *most* 0 nothing is read here: a damaged crop is an error where it is used.
    """
    if not most:
        return list(faces), []
    kept: list[Stored] = []
    damaged: list[Damaged] = []
    first: DataError | None = None
    for face in faces:
        try:
            reader.read(face, check=True)
        except DataError as error:
            first = first or error
            damaged.append(Damaged(face.key, str(error)))
        else:
            kept.append(face)
    if first is None:
        return kept, damaged
    if len(damaged) > most * len(faces) or not kept:
        raise DataError(
            f"{first} ({len(damaged)} of {len(faces)} {what} are damaged, more than the share max_damaged = {most:g} "
            "that is left out)"
        ) from None
    keys = ", ".join(row.key for row in damaged[:NAMED]) + ", ..." * (len(damaged) > NAMED)
    said = f"{len(damaged)} of {len(faces)} {what} are damaged and left out: {keys}"
    (say or StatusLine().say)(f"{reader.folder}: {said}")
    return kept, damaged


def write_damaged(folder: Path, damaged: Sequence[Damaged]) -> None:
    """Write *damaged* to ``damaged.csv`` in *folder*; no file if there are none."""
    if damaged:
        write_rows(folder / DAMAGED, Damaged, damaged)
