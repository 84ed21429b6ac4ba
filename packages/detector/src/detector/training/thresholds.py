"""Decision thresholds and logits of reals by condition, taken on the validation split and never on the test split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluation.metrics import youden_threshold

from ..card import RealLogits, Threshold, Thresholds
from ..conditions import parse_all
from ..data.index import Face
from ..data.shards import ShardReader
from ..inference import logits_under, sigmoid
from ..loading.conditioned import conditioned
from ..precision import Precision
from ..progress import track
from ..standardisation import of_reals
from .lossless import lossless_faces

__all__ = ["Validation", "choose"]

BATCH = 128


class Validation:
    """The lossless validation crops in the folder *faces*, of which *crops* are compressed copies of *size*.

    DataError if *faces* is compressed itself, or the two folders do not hold the same validation crops.
    """

    def __init__(self, faces: Path, crops: Sequence[Face], size: tuple[int, int]):
        self.reader, self.size = ShardReader(faces), size
        self.index = lossless_faces(faces, self.reader, "val", crops, size)

    def score(
        self, model: nn.Module, labels: Sequence[str], device: torch.device
    ) -> tuple[dict[str, Thresholds], dict[str, RealLogits]]:
        """Return the thresholds of *model*, in evaluation mode, and the logits of the real crops, under each of the
        conditions *labels*.

        Both are empty if there are no validation crops. The scores are those of ``detector score``.
        """
        if not self.index or not labels:
            return {}, {}
        conditions = parse_all(labels)
        batches = conditioned(self.index, self.reader, self.size, conditions, BATCH)
        tracked = track(batches, -(-len(self.index) // BATCH), "thresholds")
        logits = logits_under(model, tracked, self.index, conditions, device, Precision("auto", device))
        scores = sigmoid(logits)
        real = [face.label == 0 for face in self.index]
        thresholds = {str(condition): choose(self.index, scores[:, i]) for i, condition in enumerate(conditions)}
        reals = {str(condition): of_reals(logits[real, i]) for i, condition in enumerate(conditions)}
        return thresholds, {label: found for label, found in reals.items() if found is not None}


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
