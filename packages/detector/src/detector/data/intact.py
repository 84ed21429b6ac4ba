"""Damaged crops and masks are left out and listed; too many of them are an error.

One is damaged if its archive ends before it, or its CRC-32 is not that of the index. Every crop is read once for
this before the work begins, so what is left out does not depend on the order of the work or the number of workers.
Those at an address are read by tasks (`crops`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import DataError
from ..progress import StatusLine
from .index import write_rows
from .shards import DamageError, Located, RelativeName, ShardReader

__all__ = ["DAMAGED", "Damaged", "damages", "intact", "left_out", "write_damaged"]

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
    *most* 0 nothing is read here: a damaged crop is an error where it is used. Nor is what is at an address.
    """
    if not most:
        return list(faces), []
    here = [face for face in faces if not reader.is_far(face)] if reader.later else faces
    return left_out(faces, damages(here, reader), reader, most, say, what)


def damages(faces: Sequence[Located], reader: ShardReader) -> list[Damaged]:
    """Return those of *faces* that are damaged, with their problems; all are read."""
    damaged = []
    for face in faces:
        try:
            reader.read(face, check=True)
        except DamageError as error:
            damaged.append(Damaged(face.key, str(error)))
    return damaged


def left_out(
    faces: Sequence[Stored],
    damaged: Sequence[Damaged],
    reader: ShardReader,
    most: float,
    say: Callable[[str], None] | None = None,
    what: str = "crops",
) -> tuple[list[Stored], list[Damaged]]:
    """Return *faces* without the *damaged* ones, and those sorted as they are; see `intact`."""
    if not damaged:
        return list(faces), []
    problems = {row.key: row for row in damaged}
    kept = [face for face in faces if face.key not in problems]
    damaged = [problems[face.key] for face in faces if face.key in problems]
    if len(damaged) > most * len(faces) or not kept:
        raise DataError(
            f"{damaged[0].problem} ({len(damaged)} of {len(faces)} {what} are damaged, more than the share "
            f"max_damaged = {most:g} that is left out)"
        )
    keys = ", ".join(row.key for row in damaged[:NAMED]) + ", ..." * (len(damaged) > NAMED)
    said = f"{len(damaged)} of {len(faces)} {what} are damaged and left out: {keys}"
    (say or StatusLine().say)(f"{reader.folder}: {said}")
    return kept, damaged


def write_damaged(folder: Path, damaged: Sequence[Damaged]) -> None:
    """Write *damaged* to ``damaged.csv`` in *folder*; no file if there are none."""
    if damaged:
        write_rows(folder / DAMAGED, Damaged, damaged)
