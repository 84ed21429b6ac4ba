"""Tasks that read packed crops. The argument of each is the reader of the archives, the crops, and further values.

Crops in local archives are compared with their checksums before there are tasks (`intact`), and the key of a task holds
their content. Those at an address are compared by the tasks themselves, which list the damaged ones (`over_crops`), and
the key holds what is recorded of them: checksum, size and place in the index, size, ETag and time of the archive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from .intact import Damaged, damages, intact, left_out
from .shards import DamageError, Located, ShardReader
from .work import HEADER, Division, Executor, Task, key_of, read, run

__all__ = ["Done", "checked", "crops_key", "crops_task", "over_crops"]

DAMAGE = b"detector: damaged crops\n"  # the start of a result that lists them
CHECKED = 512  # crops of a task that only compares them

Join = Callable[[Sequence[bytes]], bytes]
Stored = TypeVar("Stored", bound=Located)


@dataclass(frozen=True, slots=True)
class Done(Generic[Stored]):
    """Undamaged crops, those that were left out, both sorted by key, and the files of the results of the tasks."""

    kept: list[Stored]
    damaged: list[Damaged]
    files: list[Path]


def crops_key(depends: str, reader: ShardReader, faces: Sequence[Located]) -> str:
    """Return the key of a task that reads the crops *faces*; *depends* is the hash of everything else it depends on."""

    def content(face: Located) -> str | memoryview:
        return reader.identity(face) if reader.is_far(face) else reader.read(face, check=True)

    return key_of(depends, *(part for face in faces for part in (face.key, content(face))))


def crops_task(
    depends: str,
    function: Callable[[Any], bytes],
    reader: ShardReader,
    faces: Sequence[Located],
    others: tuple[Any, ...] = (),
    join: Join | None = None,
    lists: bool = False,
) -> Task:
    """Return the task ``function((reader, faces, *others))``; *depends* is the hash of all it depends on but the crops.

    With *join*, which returns the result from those of its crops, it is done crop by crop if its workers die. With
    *lists*, a task that meets damaged crops at an address lists them as its result (`over_crops`); otherwise it raises
    the `DataError` of the first one.
    """
    own = reader.of(faces)
    division = None
    if join is not None and len(faces) > 1:
        division = Division(partial(_of_one_crop, depends, function, lists), partial(_joined, join))
    do = partial(_from_address, function, lists) if own.later else function
    return Task(crops_key(depends, reader, faces), faces[0].key, do, (own, faces, *others), division)


def over_crops(
    index: Sequence[Stored],
    reader: ShardReader,
    most: float,
    tasks_of: Callable[[Sequence[Stored]], Sequence[Task]],
    work: Path,
    label: str,
    where: Executor,
    isolated: bool = True,
    what: str = "crops",
) -> Done[Stored]:
    """Run the tasks that *tasks_of* returns for the crops *index*, which are `crops_task` with lists.

    If some list damaged crops, up to the share *most*, the tasks of the other crops are run; those that stay the same
    are not repeated. Raises what `run` and `left_out` raise.
    """
    kept: list[Stored] = list(index)
    damaged: dict[str, Damaged] = {}
    while True:
        files = run(tasks_of(kept), work, label, where, isolated)
        found = [row for file in files for row in _damage(file)] if reader.later else []
        if not found:
            return Done(kept, sorted(damaged.values(), key=lambda row: row.key), files)
        damaged |= {row.key: row for row in found}
        kept, _ = left_out(index, list(damaged.values()), reader, most, what=what)


def checked(
    faces: Sequence[Stored], reader: ShardReader, most: float, work: Path, where: Executor, what: str = "crops"
) -> tuple[list[Stored], list[Damaged]]:
    """Return what `intact` does; crops at an address are compared by tasks."""
    kept, damaged = intact(faces, reader, most, what=what)
    if not most or not any(map(reader.is_far, kept)):
        return kept, damaged

    def tasks_of(some: Sequence[Stored]) -> list[Task]:
        chunks = [some[start : start + CHECKED] for start in range(0, len(some), CHECKED)]
        return [crops_task("read_each", read_each, reader, chunk, lists=True) for chunk in chunks]

    done = over_crops(kept, reader, most, tasks_of, work, f"checking {what}", where, isolated=False, what=what)
    return done.kept, sorted([*damaged, *done.damaged], key=lambda row: row.key)


def read_each(argument: tuple[ShardReader, Sequence[Located]]) -> bytes:
    """Compare crops with their checksums; raise the `DataError` of the first one that differs."""
    reader, faces = argument
    for face in faces:
        reader.read(face, check=True)
    return b""


def _from_address(function: Callable[[Any], bytes], lists: bool, argument: tuple[Any, ...]) -> bytes:
    """Return the result of *function* for *argument*, whose crops are at an address, or a list of the damaged ones."""
    reader, faces, *_ = argument
    reader.read_ahead(faces)
    try:
        return function(argument)
    except DamageError:
        if not lists:
            raise
    reader.read_ahead(faces)
    if found := damages(faces, reader):
        return DAMAGE + json.dumps([astuple(row) for row in found]).encode()
    reader.read_ahead(faces)  # it was damaged on its way
    return function(argument)


def _damage(file: Path) -> list[Damaged]:
    """Return the damaged crops that a result lists."""
    with file.open("rb") as opened:
        opened.seek(HEADER)
        if opened.read(len(DAMAGE)) != DAMAGE:
            return []
        return [Damaged(*row) for row in json.loads(opened.read())]


def _of_one_crop(depends: str, function: Callable[[Any], bytes], lists: bool, argument: tuple[Any, ...]) -> list[Task]:
    """Return a task for each crop of a task with this *argument*."""
    reader, faces, *others = argument
    return [crops_task(depends, function, reader, [face], tuple(others), lists=lists) for face in faces]


def _joined(join: Join, results: Sequence[Path]) -> bytes:
    if damaged := [row for result in results for row in _damage(result)]:
        return DAMAGE + json.dumps([astuple(row) for row in damaged]).encode()
    return join([read(result) for result in results])
