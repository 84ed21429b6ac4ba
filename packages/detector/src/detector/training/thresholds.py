"""Decision thresholds by condition, chosen on the validation split and never on the test split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluation.metrics import youden_threshold

from ..card import Threshold, Thresholds
from ..conditions import parse_all
from ..data.compress import read_crop
from ..data.index import Face, read_index
from ..data.shards import ShardReader
from ..data.summary import read_lossless
from ..errors import DataError
from ..inference import score_conditions
from ..loading.conditioned import conditioned
from ..precision import Precision
from ..progress import track

__all__ = ["Validation", "choose"]

BATCH = 128


class Validation:
    """The lossless validation crops in the folder *faces*, of which *crops*, (key, ...), are compressed copies.

    DataError if *faces* is compressed itself, the two folders do not hold the same validation crops, or the crops are
    not of *size*: found before a training begins, not after it.
    """

    def __init__(self, faces: Path, crops: Sequence[Face], size: tuple[int, int]):
        read_lossless(faces)
        self.reader, self.size = ShardReader(faces), size
        self.index = [face for face in read_index(faces) if face.split == "val"]
        if [face.key for face in self.index] != [face.key for face in crops]:
            raise DataError(
                f"{faces / 'index.csv'}: its validation crops are not those that training watches; compress this "
                "folder again, or name the one that was compressed"
            )
        if self.index and (shape := read_crop(self.reader, self.index[0]).shape) != (*size, 3):
            raise DataError(
                f"{faces / 'index.csv'}: its crops are {shape[0]} x {shape[1]}, the compressed ones {size[0]} x "
                f"{size[1]}; compress this folder again"
            )

    def thresholds(self, model: nn.Module, labels: Sequence[str], device: torch.device) -> dict[str, Thresholds]:
        """Return the thresholds of *model*, in evaluation mode, under each of the conditions *labels*.

        Empty if there are no validation crops. The scores are those of ``detector score``.
        """
        if not self.index or not labels:
            return {}
        conditions = parse_all(labels)
        batches = conditioned(self.index, self.reader, self.size, conditions, BATCH)
        tracked = track(batches, -(-len(self.index) // BATCH), "thresholds")
        scores = score_conditions(model, tracked, device, Precision("auto", device))
        return {str(condition): choose(self.index, scores[:, i]) for i, condition in enumerate(conditions)}


def choose(faces: Sequence[Face], scores: NDArray[np.float64]) -> Thresholds:
    """Return Youden's thresholds of *scores*, one for each of *faces*: of the frames, and of the videos' means."""
    labels = np.array([face.label for face in faces])
    _, first, video = np.unique(
        [f"{face.compression}/{face.video}" for face in faces], return_index=True, return_inverse=True
    )
    means = np.bincount(video, weights=scores) / np.bincount(video)
    return Thresholds(_threshold(labels, scores), _threshold(labels[first], means))


def _threshold(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Threshold:
    value = youden_threshold(labels, scores)
    fake = int(labels.sum())
    return Threshold(None if math.isnan(value) else float(value), len(labels) - fake, fake)
