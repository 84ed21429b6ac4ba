"""Crops under conditions, prepared ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..conditions import Condition
from ..data.compress import read_crop
from ..data.index import Face
from ..data.shards import ShardReader
from ..errors import DataError
from ..system import cores

__all__ = ["conditioned"]

AHEAD = 2  # batches prepared while the caller works on one


def conditioned(
    index: Sequence[Face],
    reader: ShardReader,
    size: tuple[int, int],
    conditions: Sequence[Condition],
    batch_size: int,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the lossless crops of *index* in order, *batch_size* at a time, under each of *conditions*: uint8
    (N, len(conditions), H, W, 3). All cores work ahead of the caller.

    Raises DataError for a damaged crop and for one that is not of *size*, (H, W): resizing to what a model takes would
    remove the traces it looks for.
    """

    def variants(face: Face) -> NDArray[np.uint8]:
        image = read_crop(reader, face)
        if image.shape != (*size, 3):
            raise DataError(
                f"{reader.folder / face.shard}: {face.key} has shape {image.shape}, but the model was trained on crops "
                f"of {size[0]} x {size[1]}; make the faces and the weights with one faces.size"
            )
        return np.stack([condition.apply(image) for condition in conditions])

    waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for start in range(0, len(index), batch_size):
                waiting.append([pool.submit(variants, face) for face in index[start : start + batch_size]])
                if len(waiting) > AHEAD:
                    yield np.stack([future.result() for future in waiting.popleft()])
            while waiting:
                yield np.stack([future.result() for future in waiting.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)
