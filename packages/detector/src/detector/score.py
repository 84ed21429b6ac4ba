"""The score stage: from weights and crops to one score per face and condition."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from .conditions import Condition, parse_all
from .config import Params
from .data.files import whole_file
from .data.index import Face, read_index
from .data.shards import ShardReader
from .errors import DataError
from .options import params_option
from .progress import track
from .system import cores

__all__ = ["COLUMNS", "score_faces", "write_scores"]

DESCRIBING = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label")
COLUMNS = (*DESCRIBING, "condition", "score")
SPLITS = ("val", "test")


@click.command()
@click.argument("faces", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("train", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@params_option
def command(faces: Path, train: Path, out: Path, params: Params) -> None:
    """Score the validation and test crops of FACES with the weights in TRAIN, and write the table OUT.

    Each crop is scored under each of the conditions in params.yaml: raw is unchanged, 77 is JPEG at quality 77, and so
    on.
    Encoding happens in memory.
    """
    index = [face for face in read_index(faces) if face.split in SPLITS]
    if not index:
        raise DataError(f"{faces / 'index.csv'}: no faces in the splits {' and '.join(SPLITS)}: nothing to score")
    conditions = parse_all(params.conditions)
    scores = score_faces(index, ShardReader(faces), train, conditions, params.score.batch_size)
    write_scores(out, index, conditions, scores)
    click.echo(f"{len(index)} faces under {len(conditions)} conditions: {out}")


def score_faces(
    index: Sequence[Face], reader: ShardReader, train: Path, conditions: Sequence[Condition], batch_size: int = 128
) -> NDArray[np.float64]:
    """Return P(fake), (len(index), len(conditions)), of the lossless crops under each condition.

    Raises DataError for a damaged crop, for weights that do not fit their model and for crops of another size than
    those it was trained on.
    """
    import torch

    from .inference import score_conditions
    from .loading.conditioned import conditioned
    from .precision import Precision
    from .weights import load_model

    torch.set_num_threads(cores())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, card = load_model(train, device)
    batches = conditioned(index, reader, (card.height, card.width), conditions, batch_size)
    number = -(-len(index) // batch_size)
    return score_conditions(model, track(batches, number, "score"), device, Precision("auto", device))


def write_scores(
    out: Path, index: Sequence[Face], conditions: Sequence[Condition], scores: NDArray[np.float64]
) -> None:
    """Write scores.csv: the faces in the order of *index*, each under the *conditions* in their order.

    The file appears whole; scores read back exactly.
    """
    labels = [str(condition) for condition in conditions]
    with whole_file(out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for face, row in zip(index, scores.tolist(), strict=True):
            columns = [getattr(face, name) for name in DESCRIBING]
            writer.writerows([*columns, label, repr(score)] for label, score in zip(labels, row, strict=True))
