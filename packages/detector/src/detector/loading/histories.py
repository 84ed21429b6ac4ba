"""Training crops with random histories: made in the loader's threads from the lossless crops.

Whether a crop gets a history, which one, and the values of its ranges are keyed draws, as for the augmentation: they do
not depend on the batch, the threads or the processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..conditions import Condition
from ..config import HistoriesConfig
from ..data.compress import read_crop
from ..data.index import Face
from ..data.shards import ShardReader
from ..errors import DataError
from ..histories import MAX_RANGES, parse
from .draws import key, uniform

__all__ = ["CACHE_BYTES", "Histories", "LosslessCrops"]

STREAM = 1  # these draws are independent of those of the augmentation
SHARE, WHICH, VALUES = 0, 1, 2  # columns; one value for each range from VALUES on
CACHE_BYTES = 1 << 30


class LosslessCrops:
    """The lossless crops *faces* in the folder of *reader*, by position.

    Decoding PNG takes longer than everything else that makes a training crop, so decoded crops are kept, up to
    *cache_bytes*. May be shared by threads.
    """

    def __init__(self, reader: ShardReader, faces: Sequence[Face], cache_bytes: int = CACHE_BYTES):
        self.reader, self.faces, self.left = reader, faces, cache_bytes
        self.kept: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Return crop *i*, uint8 RGB (H, W, 3), which must not be changed; DataError if it is damaged."""
        image = self.kept.get(i)
        if image is None:
            image = read_crop(self.reader, self.faces[i])
            if self.left >= image.nbytes:
                self.left -= image.nbytes
                self.kept[i] = image
        return image


class Histories:
    """Draws the histories of crops, and makes the crops that have one from the *lossless* crops."""

    def __init__(self, config: HistoriesConfig, seed: int, lossless: LosslessCrops, threads: int = 1):
        self.share, self.seed = config.share, key(seed, STREAM)
        self.lossless, self.threads = lossless, threads
        self.histories = [parse(text) for text in config.conditions]
        self.cumulative = np.cumsum([float(history.weight) for history in self.histories])

    def drawn(self, step: int, ids: NDArray[np.int64]) -> list[Condition | None]:
        """Return the condition of each of the crops *ids* at *step*, None for those without a random history."""
        draws = uniform(self.seed, step, ids, VALUES + MAX_RANGES)
        which = np.searchsorted(self.cumulative, draws[:, WHICH] * self.cumulative[-1], side="right")
        return [
            self.histories[i].draw(row[VALUES:]) if row[SHARE] < self.share else None
            for i, row in zip(which.tolist(), draws.tolist(), strict=True)
        ]

    def make(self, step: int, ids: NDArray[np.int64], out: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Write the crops *ids* that have a random history at *step* to *out*, and return the positions of the others.

        Raises DataError, naming the archive and the crop, for one that is damaged or of another size.
        """
        conditions = self.drawn(step, ids)
        chosen = [i for i, condition in enumerate(conditions) if condition is not None]

        def one(i: int) -> None:
            image, condition = self.lossless[int(ids[i])], conditions[i]
            assert condition is not None
            if image.shape != out.shape[1:]:
                face, folder = self.lossless.faces[ids[i]], self.lossless.reader.folder
                raise DataError(
                    f"{folder / face.shard}: {face.key} has shape {image.shape}, other crops {out.shape[1:]}; make the "
                    "faces again with one faces.size"
                )
            out[i] = condition.apply(image)

        if self.threads == 1:
            for i in chosen:
                one(i)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(one, chosen))
        return np.flatnonzero([condition is None for condition in conditions])
