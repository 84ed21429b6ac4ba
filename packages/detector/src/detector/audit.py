"""The audit stage: properties that separate real from fake crops without any trace of forgery, and leaks.

`detector.data.properties` collects the properties of every crop, `evaluation.shortcuts` and `evaluation.leaks` have the
statistics, `evaluation.findings` the result. The data are never changed.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from .config import AuditConfig, Params
from .errors import DataError, DetectorError
from .options import SHARDS, Command, Input, Output, executor_option, later, params_option, workers_option
from .pipeline import stage
from .remote import START

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evaluation.findings import Audit, Leak, Shortcut
    from evaluation.leaks import Found, NearDuplicates, Search
    from evaluation.shortcuts import Items, Property

    from .data.index import Face
    from .data.properties import Item
    from .data.work import Executor
    from .remote import Later

__all__ = ["LeakRow", "command", "make_audit"]

PASSED = "passed\n"  # constant, so that another audit does not make the train stage out of date
MARKER = "audit.json"
MOST_METHODS = 8  # looked at one by one, the most frequent ones
MOST_MEASURED = 200_000  # crops whose properties are compared
EXAMPLES = 10  # named in audit.json; leaks.csv has all
MOST_HERE = 10**9  # pairs of crops that are compared in this process


def _media() -> Collection[str]:
    from .data.pictures import IMAGES, VIDEOS

    return IMAGES | VIDEOS


@click.command(cls=Command)
@click.argument("faces", type=Input(exists=True, file_okay=False, stay=SHARDS))
@click.argument("out", type=Output(replaced=True, file_okay=False))
@click.option(
    "--data",
    type=Input(exists=True, file_okay=False, stay=_media, start=START),
    help="Folder that FACES were made from. Without it, the source files are not examined.",
)
@click.option("--passed", type=Output(dir_okay=False), help="File to write if training may start.")
@workers_option
@executor_option
@params_option
def command(
    faces: Path, out: Path, data: Path | None, passed: Path | None, workers: int, executor: str, params: Params
) -> None:
    """Measure how well properties unrelated to forgery separate real from fake crops in FACES, and find leaks.

    Writes OUT/audit.json (results), OUT/audit.csv (a row per crop) and OUT/leaks.csv. Nothing in FACES is changed.
    With audit.fail_above in params.yaml, a leak, or an AUC whose interval lies above that value, ends the command with
    status 1, after the results are written. An interrupted run resumes.
    """
    from evaluation.findings import over_limit, text

    from .data.files import check_replaceable, whole_file
    from .data.work import Executor

    where = Executor(executor, workers)
    check_replaceable(out, MARKER)
    if passed is not None:
        passed.unlink(missing_ok=True)
    audit = make_audit(faces, out, data, params.audit, params.evaluate.confidence, where, params.max_damaged, later())
    click.echo(text(audit))
    refused = over_limit(audit)
    if refused:
        raise DetectorError(
            f"{len(refused)} finding{'s are' if len(refused) > 1 else ' is'} over audit.fail_above = "
            f"{params.audit.fail_above:g}, e.g. {refused[0]} Results on such data say little about forgeries: correct "
            f"the data, or set audit.fail_above to null in params.yaml (all findings: {out / 'audit.json'})"
        )
    if passed is not None:
        with whole_file(passed) as temporary:
            temporary.write_text(PASSED)


def make_audit(
    faces: str | Path,
    out: str | Path,
    data: str | Path | None,
    config: AuditConfig,
    confidence: float = 0.95,
    where: Executor | None = None,
    max_damaged: float = 0,
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> Audit:
    """Audit the packed crops in the folder *faces*, cut from files below *data*; write the folder *out*.

    Up to the share *max_damaged*, damaged crops are left out and listed in ``damaged.csv`` (`detector.data.intact`).
    Tasks read the archives and source files *later* at their addresses (`detector.remote.placed`).

    Raises `DataError` if *faces* is not such a folder, or a file that it needs is missing or damaged.
    """
    import numpy as np

    from evaluation import leaks
    from evaluation.clusters import UNIT_NAMES
    from evaluation.findings import Audit, Near, as_json
    from evaluation.shortcuts import Items

    from .data.files import sha256, whole_folder, write_json
    from .data.index import Face, read_rows, write_rows
    from .data.intact import intact, write_damaged
    from .data.layout import count
    from .data.properties import missed, properties, read_items, write_items
    from .data.shards import ShardReader
    from .data.work import SERIAL, working_folder

    faces, out = Path(faces), Path(out)
    # not `read_index`, which refuses a person in two splits: here that is a result
    index = read_rows(faces / "index.csv", Face)
    if not index:
        raise DataError(f"{faces / 'index.csv'}: lists no crops")
    reader = ShardReader(faces, later)
    index, damaged = intact(index, reader, max_damaged)
    with working_folder(out) as work:
        of_data = None if data is None else Path(data)
        found = read_items(faces, index, of_data, where or SERIAL, work, reader, max_damaged, later)
        damaged += found.damaged
        keys = {row.key for row in found.damaged}
        index = [face for face in index if face.key not in keys]
        few = np.linspace(0, len(index) - 1, min(len(index), MOST_MEASURED)).astype(np.intp)
        if len(few) < len(index):
            found.notes.append(f"shortcuts were measured on {len(few)} of {len(index)} crops, evenly spaced by key")
        some = [index[i] for i in few.tolist()]
        described = {name: np.array([getattr(face, name) for face in some]) for name in ("video", "pair", "identity")}
        items = Items(np.array([face.label for face in some], np.int8), **described)
        method = np.array([face.method for face in some])
        measured = [
            _measure(name, title, items, chosen, method, confidence)
            for name, title, chosen in properties(found.at(few))
        ]
        searched, misses = missed(faces / "failures.csv", index)
        of_searched = np.array([video.partition("/")[0] for video in searched.video.tolist()])
        measured.insert(-2, _measure("missed", "frames without a crop", searched, misses, of_searched, confidence))
        split, pair = (np.array([getattr(face, name) for face in index]) for name in ("split", "pair"))
        near = leaks.near_duplicates(
            found.hashes, found.hashed, split, pair, config.near_duplicate_bits,
            searched=partial(_searched, work=work, where=where or SERIAL),
        )  # fmt: skip
        rows = _leaks(index, found.items, near)
        audit = Audit(
            faces=count(index),
            index_sha256=sha256(faces / "index.csv"),
            unit=UNIT_NAMES[items.clusters.unit],
            confidence=confidence,
            notable_above=config.notable_above,
            fail_above=config.fail_above,
            shortcuts=measured,
            leaks=_summed(rows, near),
            near_duplicates=Near(
                leaks.DEFINITION, near.limit, near.num_near, near.num_compared, near.num_false, near.num_different
            ),
            notes=found.notes,
        )
        with whole_folder(out, MARKER, sums=True) as folder:
            write_items(folder / "audit.csv", found.items)
            write_rows(folder / "leaks.csv", LeakRow, rows)
            write_damaged(folder, damaged)
            write_json(folder / MARKER, as_json(audit))
    return audit


def _searched(hashed: NDArray[np.uint64], parts: Sequence[Search], work: Path, where: Executor) -> Iterable[Found]:
    """Return the results of *parts* of *hashed*: of many crops as tasks, whose workers read the hashes from a file."""
    from evaluation.leaks import Found, search_here

    from .data.files import whole_file
    from .data.work import Task, finished, key_of

    if sum(part.pairs for part in parts) <= MOST_HERE:
        return search_here(hashed, parts)
    depends = key_of("search_pairs", stage("audit").code_sha256(), hashed.tobytes())
    file = work / f"{depends}.hashes"
    with whole_file(file) as temporary:
        temporary.write_bytes(hashed.tobytes())
    tasks = [
        Task(key_of(depends, asdict(part)), f"crops {part.start} to {part.stop}", search_pairs, (file, part))
        for part in parts
    ]
    results = map(json.loads, finished(tasks, work, "pairs of crops", where))
    return (Found(result["number"], [(d, i, j) for d, i, j in result["pairs"]]) for result in results)


def search_pairs(argument: tuple[Path, Search]) -> bytes:
    """Return the result of a part of the comparison of the hashes in a file, as JSON."""
    import numpy as np

    from evaluation.leaks import search

    file, part = argument

    def rows(start: int, stop: int) -> NDArray[np.uint64]:
        return np.fromfile(file, np.uint64, 4 * (stop - start), offset=32 * start).reshape(-1, 4)

    found = search(rows(part.start, part.stop), rows(part.other_start, part.other_stop), part.limit, part.most)
    return json.dumps(asdict(found)).encode()


@dataclass(frozen=True, slots=True)
class LeakRow:
    """A row of ``leaks.csv``: something that two splits share, with an item of each.

    kind: ``person``, ``pair``, ``file`` (name: its SHA-256) or ``near-duplicate`` (name: the distance in bits).
    """

    kind: str
    name: str
    split: str
    item: str
    other_split: str
    other_item: str


def _measure(
    name: str, title: str, items: Items, chosen: Sequence[Property], method: NDArray[np.str_], confidence: float
) -> Shortcut:
    """Return the AUC of the *chosen* properties together, how the classes differ, and the *method* separated best."""
    from evaluation.findings import OfMethod, Shortcut
    from evaluation.shortcuts import describe, measure_shortcut

    found = measure_shortcut(items, chosen, confidence)
    # a thumbnail, or several properties, cannot be described in a few words
    short = len(chosen) == 1 and not chosen[0].linear
    real, fake = (describe(chosen[0][items.label == label]) if short else "" for label in (0, 1))
    auc, lo, hi = (None if math.isnan(value) else value for value in (found.auc, found.lo, found.hi))
    best = None
    counts = Counter(method[items.label == 1].tolist())
    for one, _ in counts.most_common(MOST_METHODS) if len(counts) > 1 and lo is not None else []:
        rows = (items.label == 0) | (method == one)
        of_one = measure_shortcut(items[rows], [values[rows] for values in chosen], confidence)
        if not math.isnan(of_one.lo) and (best is None or of_one.lo > best.lo):
            best = OfMethod(one, of_one.auc, of_one.lo, of_one.hi)
    return Shortcut(name, title, auc, lo, hi, found.num_real, found.num_fake, real, fake, found.reason, best)


def _leaks(index: Sequence[Face], items: Sequence[Item], near: NearDuplicates) -> list[LeakRow]:
    """Return what the splits share: every person, pair and file once, and the closest near-duplicates."""
    from evaluation.leaks import shared

    splits, keys = [face.split for face in index], [face.key for face in index]
    rows = []
    for kind, names, shown in (
        ("person", [face.identity.split("+") for face in index], keys),
        ("pair", [[face.pair] for face in index], keys),
        ("file", [[item.file_sha256] if item.file_sha256 else [] for item in items], [item.file for item in items]),
    ):
        for one in shared(names, splits, shown):
            (split, item), (other_split, other) = list(one.items.items())[:2]
            rows.append(LeakRow(kind, one.name, split, item, other_split, other))
    if near.is_leak:
        rows += [
            LeakRow("near-duplicate", str(distance), splits[i], keys[i], splits[j], keys[j])
            for distance, i, j in near.pairs
        ]
    return rows


def _summed(rows: Sequence[LeakRow], near: NearDuplicates) -> list[Leak]:
    """Return the numbers of *rows* of each kind, with examples."""
    from evaluation.findings import Leak

    found = []
    for kind in dict.fromkeys(row.kind for row in rows):
        here = [row for row in rows if row.kind == kind]
        examples = [f"{row.item} in {row.split}, {row.other_item} in {row.other_split}" for row in here[:EXAMPLES]]
        if kind == "person":
            examples = [f"{row.name}: {example}" for row, example in zip(here, examples, strict=False)]
        found.append(Leak(kind, near.num_near if kind == "near-duplicate" else len(here), examples))
    return found
