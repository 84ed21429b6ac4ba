"""The score stage: weights and crops to one score per face and test quality."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from .config import Params
from .data.compress import at_quality, read_crop
from .data.files import whole_file
from .data.index import Face, read_index
from .data.shards import ShardReader
from .errors import DataError
from .options import params_option
from .progress import track
from .system import cores

__all__ = ["COLUMNS", "score_faces", "squeezed", "write_scores"]

DESCRIBING = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label")
COLUMNS = (*DESCRIBING, "quality", "score")
SPLITS = ("val", "test")
AHEAD = 2  # batches that are decoded and re-encoded while the model works on one


@click.command()
@click.argument("faces", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("train", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@params_option
def command(faces: Path, train: Path, out: Path, params: Params) -> None:
    """Score the validation and test crops of FACES with the weights in TRAIN, and write the table OUT.

    Each crop is scored as it is (raw) and after JPEG at each test quality, encoded in memory.
    """
    # read when torch is loaded: idle threads sleep, which on a shared machine is worth a factor of 7 and more
    index = [face for face in read_index(faces) if face.split in SPLITS]
    if not index:
        raise DataError(f"{faces / 'index.csv'}: no faces in the splits {' and '.join(SPLITS)}: nothing to score")
    qualities: list[int | str] = ["raw", *params.qualities]
    scores = score_faces(index, ShardReader(faces), train, qualities, params)
    write_scores(out, index, qualities, scores)
    click.echo(f"{len(index)} faces at {len(qualities)} qualities: {out}")


def score_faces(
    index: Sequence[Face], reader: ShardReader, train: Path, qualities: Sequence[int | str], params: Params
) -> NDArray[np.float64]:
    """Return P(fake), (len(index), len(qualities)), of the crops after JPEG at each quality ("raw": as they are).

    Raises DataError for a damaged crop, for weights that do not fit their model and for crops of another size than
    those it was trained on: resizing would remove what is looked for.
    """
    import torch

    from .inference import predict
    from .precision import Precision
    from .weights import load_model

    torch.set_num_threads(cores())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, card = load_model(train, device)
    precision = Precision("auto", device)
    size = (card["height"], card["width"])
    batches = squeezed(index, reader, size, qualities, params)
    scores = np.empty((len(index), len(qualities)))
    done = 0
    for images in track(batches, -(-len(index) // params.score.batch_size), "score"):
        rows = slice(done, done + len(images))
        for q in range(len(qualities)):
            scores[rows, q] = predict(model, [torch.from_numpy(images[:, q])], device, precision)
        done += len(images)
    return scores


def squeezed(
    index: Sequence[Face], reader: ShardReader, size: tuple[int, int], qualities: Sequence[int | str], params: Params
) -> Iterator[NDArray[np.uint8]]:
    """Yield the crops of *index* in order, ``params.score.batch_size`` at a time, at each of *qualities*: uint8
    (N, len(qualities), H, W, 3). All cores work ahead of the caller."""

    def variants(face: Face) -> NDArray[np.uint8]:
        image = read_crop(reader, face)
        if image.shape != (*size, 3):
            raise DataError(
                f"{reader.folder / face.shard}: {face.key} has shape {image.shape}, but the model was trained on crops "
                f"of {size[0]} x {size[1]}; make the faces and the weights with one faces.size"
            )
        return np.stack([at_quality(image, quality, params.compress) for quality in qualities])

    waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for start in range(0, len(index), params.score.batch_size):
                waiting.append([pool.submit(variants, f) for f in index[start : start + params.score.batch_size]])
                if len(waiting) > AHEAD:
                    yield np.stack([future.result() for future in waiting.popleft()])
            while waiting:
                yield np.stack([future.result() for future in waiting.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)


def write_scores(
    out: Path, index: Sequence[Face], qualities: Sequence[int | str], scores: NDArray[np.float64]
) -> None:
    """Write scores.csv: the faces in the order of *index*, each at the *qualities* in their order; it appears whole.

    Scores are written so that they read back exactly.
    """
    with whole_file(out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for face, row in zip(index, scores.tolist(), strict=True):
            columns = [getattr(face, name) for name in DESCRIBING]
            writer.writerows([*columns, quality, repr(score)] for quality, score in zip(qualities, row, strict=True))
