"""Tasks that read packed crops. The argument of each is the reader of the archives, the crops, and further values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .index import Face
from .shards import ShardReader
from .work import Division, Task, key_of, read

__all__ = ["crops_key", "crops_task"]

Join = Callable[[Sequence[bytes]], bytes]


def crops_key(depends: str, reader: ShardReader, faces: Sequence[Face]) -> str:
    """Return the key of a task that reads the crops *faces*; *depends* is the hash of everything else it depends on."""
    return key_of(depends, *(part for face in faces for part in (face.key, reader.read(face, check=True))))


def crops_task(
    depends: str,
    function: Callable[[Any], bytes],
    reader: ShardReader,
    faces: Sequence[Face],
    others: tuple[Any, ...] = (),
    join: Join | None = None,
) -> Task:
    """Return the task ``function((reader, faces, *others))``; *depends* is the hash of all it depends on but the crops.

    With *join*, which returns the result from those of its crops, it is done crop by crop if its workers die.
    """
    division = None
    if join is not None and len(faces) > 1:
        division = Division(partial(_of_one_crop, depends, function), partial(_joined, join))
    return Task(crops_key(depends, reader, faces), faces[0].key, function, (reader, faces, *others), division)


def _of_one_crop(depends: str, function: Callable[[Any], bytes], argument: tuple[Any, ...]) -> list[Task]:
    """Return a task for each crop of a task with this *argument*."""
    reader, faces, *others = argument
    return [crops_task(depends, function, reader, [face], tuple(others)) for face in faces]


def _joined(join: Join, results: Sequence[Path]) -> bytes:
    return join([read(result) for result in results])
