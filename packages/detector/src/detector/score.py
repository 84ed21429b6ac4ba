"""The score stage: from weights and crops to one score per face and condition, and a record of their origin.

A task (`detector.data.work`) scores a few batches. Batches are the same for any executor, so sums are too.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from evaluation import columnar
from evaluation.sums import SUMS, sealed

from .arithmetic import Arithmetic, arithmetic, pin, set_threads
from .card import Card, read_card
from .conditions import Condition, encoders, parse_all
from .config import Params
from .data.files import sha256, whole_file, whole_folder, write_json
from .data.index import Face, read_index
from .data.intact import Damaged, intact
from .data.shards import ShardReader
from .data.summary import Compress, Dataset, read_lossless
from .data.work import SERIAL, Executor, Task, key_of, read, working_folder
from .errors import DataError
from .options import (
    SHARDS,
    Command,
    Input,
    Output,
    executor_option,
    later,
    model_workers_option,
    params_option,
    table_option,
)
from .provenance import Source, source, versions
from .schema import read_json

if TYPE_CHECKING:
    from .placed import Placed
    from .remote import Later

__all__ = ["COLUMNS", "Origin", "Scored", "score", "score_faces", "write_scores"]

DESCRIBING = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label")
COLUMNS = (*DESCRIBING, "condition", "score")
KINDS = dict.fromkeys(COLUMNS, "text") | {"frame": "int", "label": "int", "score": "float"}
SPLITS = ("val", "test")
BATCHES = 4  # of a task: conditions are applied to the next ones while the model works on one


@dataclass(frozen=True, slots=True)
class Scored:
    """The crops that were scored: SHA-256 of their index, data set, parameters of the faces stage, number by split."""

    index_sha256: str
    dataset: Dataset
    parameters: dict[str, Any]
    crops: dict[str, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """The content of ``scores.json``, besides the hash of the table: what the scores were made from.

    The fields from model to compress are those of the weights' card (`detector.card.Card`).
    """

    conditions: list[str]
    standardised: bool
    model: str
    weights_sha256: str
    trained_on: str | None
    crops: dict[str, Any] | None
    compress: Compress | None
    faces: Scored
    device: str
    arithmetic: Arithmetic | None
    versions: dict[str, str]
    source: Source


@click.command(cls=Command)
@click.argument("faces", type=Input(exists=True, file_okay=False, stay=SHARDS))
@click.argument("train", type=Input(exists=True, file_okay=False))
@click.argument("out", type=Output(dir_okay=False))
@click.option(
    "--standardise",
    is_flag=True,
    help="Standardise the logits by condition: shift and scale them so that the real validation crops have the same "
    "mean and standard deviation under every condition. The thresholds in model.json do not apply to such scores.",
)
@table_option
@model_workers_option
@executor_option
@params_option
def command(
    faces: Path, train: Path, out: Path, standardise: bool, table: str, workers: int, executor: str, params: Params
) -> None:
    """Score the validation and test crops of FACES with the weights in TRAIN, and write the table OUT, a .csv file.

    Each crop is scored under each of the conditions in params.yaml: raw is unchanged, 77 is JPEG at quality 77, and so
    on. Encoding happens in memory. An interrupted run resumes.

    The file of the same name with the suffix .json records the origin of the scores: hashes of the table, the weights
    and the crops, settings and versions.
    """
    pin(params.train)
    set_threads(params.train)
    conditions = parse_all(params.conditions)
    computed = arithmetic(params.train)
    where = Executor.of_model(executor, workers)
    size, most = params.score.batch_size, params.max_damaged
    number = score(faces, train, out, conditions, size, standardise, computed, where, most, table, later())
    click.echo(f"{number} faces under {len(conditions)} conditions: {out}")


def score(
    faces: Path,
    train: Path,
    out: Path,
    conditions: Sequence[Condition],
    batch_size: int = 128,
    standardise: bool = False,
    computed: Arithmetic | None = None,
    where: Executor = SERIAL,
    max_damaged: float = 0,
    table: str = "auto",
    later: Mapping[Path, Later] = MappingProxyType({}),
) -> int:
    """Score the crops in *faces* with the weights in *train* and write *out* and its record; return how many crops.

    *computed* is recorded; the caller has set torch up (`detector.arithmetic`), which is shared by the whole process.
    Tasks read the archives *later* at their address (`detector.remote.placed`).
    Raises DataError for compressed crops, a folder without validation and test crops, and as `score_faces` does.
    """
    from .data.crops import over_crops
    from .placed import Placed

    check_out(out)
    summary, card = read_lossless(faces), read_card(train)
    index = [face for face in read_index(faces) if face.split in SPLITS]
    if not index:
        raise DataError(f"{faces / 'index.csv'}: no faces in the splits {' and '.join(SPLITS)}: nothing to score")
    reader = ShardReader(faces, later)
    index, damaged = intact(index, reader, max_damaged)
    with working_folder(out) as work:
        placed = Placed.here(train)

        def tasks_of(some: Sequence[Face]) -> list[Task]:
            return score_tasks(some, reader, placed, conditions, batch_size, lists=max_damaged > 0)

        done = over_crops(index, reader, max_damaged, tasks_of, work, "score", where, isolated=False)
        index, damaged = done.kept, [*damaged, *done.damaged]
        scores = _scores(map(read, done.files), placed, conditions, standardise)
        scored = Scored(
            sha256(faces / "index.csv"),
            summary.dataset,
            summary.parameters,
            {split: sum(face.split == split for face in index) for split in SPLITS},
        )
        record = origin(card, scored, conditions, standardise, computed)
        write_scores(out, index, conditions, scores, record, damaged, table)
    return len(index)


def check_out(out: Path) -> None:
    """Raise `DataError` if *out* is not a .csv file, or the file beside it is not the record of an earlier table."""
    if out.suffix != ".csv":
        raise DataError(f"{out}: the table of scores is a .csv file; name it {out.name}.csv, for example")
    beside = out.with_suffix(".json")
    if not beside.exists():
        return
    if not {"scores", "weights_sha256"} <= read_json(beside, dict[str, Any], "give the table another name").keys():
        raise DataError(f"{beside} is not a record of scores and would be overwritten; give OUT another name")


def origin(
    card: Card, scored: Scored, conditions: Sequence[Condition], standardise: bool, computed: Arithmetic | None
) -> Origin:
    """Return the origin of scores of *scored* under *conditions*, by the weights that *card* describes."""
    import torch

    return Origin(
        conditions=[str(condition) for condition in conditions],
        standardised=standardise,
        model=card.model,
        weights_sha256=card.weights_sha256,
        trained_on=card.trained_on,
        crops=card.crops,
        compress=card.compress,
        faces=scored,
        device="cuda" if torch.cuda.is_available() else "cpu",
        arithmetic=computed,
        versions={**versions(), **encoders()},
        source=source(),
    )


def score_faces(
    index: Sequence[Face],
    reader: ShardReader,
    train: Path,
    conditions: Sequence[Condition],
    batch_size: int = 128,
    standardise: bool = False,
) -> NDArray[np.float64]:
    """Return P(fake), (len(index), len(conditions)), of the lossless crops under each condition, computed here.

    With *standardise*, by `detector.standardisation`. Raises DataError for a damaged crop, for weights that do not fit
    their model and for crops of another size than those it was trained on; DetectorError for a logit that is not
    finite.
    """
    from .placed import Placed

    placed = Placed.here(train)
    tasks = score_tasks(index, reader, placed, conditions, batch_size)
    return _scores((task.function(task.argument) for task in tasks), placed, conditions, standardise)


def _scores(
    results: Iterable[bytes], placed: Placed, conditions: Sequence[Condition], standardise: bool
) -> NDArray[np.float64]:
    """Return the scores from the *results* of tasks."""
    from .inference import sigmoid
    from .standardisation import standardised

    logits = np.concatenate([np.frombuffer(result).reshape(-1, len(conditions)) for result in results])
    return sigmoid(standardised(logits, conditions, placed.card.real_logits) if standardise else logits)


def score_tasks(
    index: Sequence[Face],
    reader: ShardReader,
    placed: Placed,
    conditions: Sequence[Condition],
    batch_size: int,
    lists: bool = False,
) -> list[Task]:
    """Return the tasks that score the crops *index* under *conditions*; *lists* is that of `crops_task`."""
    from .data.crops import crops_task
    from .pipeline import stage

    labels, size = [str(condition) for condition in conditions], BATCHES * batch_size
    settings = {"conditions": labels, "batch_size": batch_size}
    depends = key_of("score_crops", stage("score").code_sha256(), placed.depends(), settings, dict(encoders()))
    chunks = [index[start : start + size] for start in range(0, len(index), size)]
    others = placed, labels, batch_size
    return [crops_task(depends, score_crops, reader, chunk, others, lists=lists) for chunk in chunks]


def score_crops(argument: tuple[ShardReader, Sequence[Face], Placed, Sequence[str], int]) -> bytes:
    """Return the logits of crops under conditions, float64 (n, C), as bytes."""
    from .inference import logits_under
    from .loading.conditioned import conditioned
    from .precision import Precision

    reader, faces, placed, labels, batch_size = argument
    conditions = parse_all(labels)
    model, card, device = placed.load()
    batches = conditioned(faces, reader, (card.height, card.width), conditions, batch_size)
    return logits_under(model, batches, faces, conditions, device, Precision("auto", device)).tobytes()


def write_scores(
    out: Path,
    index: Sequence[Face],
    conditions: Sequence[Condition],
    scores: NDArray[np.float64],
    origin: Origin,
    damaged: Sequence[Damaged] = (),
    table: str = "auto",
) -> None:
    """Write scores.csv: the faces in the order of *index*, each under the *conditions* in their order.

    *origin* is written to scores.json with the hash of the table, and the keys of the *damaged* crops that were left
    out. All files are complete before the first of them appears; scores read back exactly. The folder scores.parquet
    has the same rows in columnar form with *table* ``parquet``, and with ``auto`` for many of them
    (`evaluation.columnar.FROM_ROWS`); otherwise one of earlier scores is removed.
    """
    labels = [str(condition) for condition in conditions]

    def rows() -> Iterator[tuple[Any, ...]]:
        for face, row in zip(index, scores, strict=True):
            described = tuple(getattr(face, name) for name in DESCRIBING)
            yield from ((*described, label, score) for label, score in zip(labels, row.tolist(), strict=True))

    with ExitStack() as stack:
        path = stack.enter_context(whole_file(out))
        beside = stack.enter_context(whole_file(out.with_suffix(".json")))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((*described, repr(score)) for *described, score in rows())
        digest = sha256(path)
        left_out = {"damaged": [row.key for row in damaged]} if damaged else {}
        of_table = {"sha256": digest, "rows": scores.size}
        write_json(beside, sealed({"scores": of_table, **asdict(origin), **left_out}))
        if table == "parquet" or (table == "auto" and scores.size >= columnar.FROM_ROWS):
            folder = stack.enter_context(whole_folder(columnar.columnar(out), SUMS))
            columnar.write(out, KINDS, rows(), digest, folder)
        elif (columnar.columnar(out) / SUMS).is_file():
            shutil.rmtree(columnar.columnar(out))
