"""Decision thresholds, calibration and ranges of inputs, taken on the validation split and never on the test split."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluation.clusters import cluster_rows
from evaluation.likelihood import Calibration, calibrate
from evaluation.metrics import logit, youden_threshold

from ..card import POOLED, Calibrated, Threshold, Thresholds
from ..conditions import parse_all
from ..data.appearance import appearance, sharpness
from ..data.index import Face
from ..data.shards import ShardReader
from ..inference import logits_under, sigmoid
from ..loading.conditioned import conditioned
from ..precision import Precision
from ..progress import track
from ..ranges import Ranges, measure
from ..standardisation import of_reals
from .lossless import lossless_faces

__all__ = ["Validation", "choose"]

BATCH = 128


class Validation:
    """The lossless validation crops in the folder *faces*, of which *crops* are compressed copies of *size*.

    Crops with the keys *left_out* are damaged in one of the two folders.

    DataError if *faces* is compressed itself, or the two folders do not hold the same validation crops.
    """

    def __init__(
        self, faces: Path, crops: Sequence[Face], size: tuple[int, int], left_out: Collection[str] = ()
    ):
        self.reader, self.size = ShardReader(faces), size
        self.index = lossless_faces(faces, self.reader, "val", crops, size, left_out)

    def score(self, model: nn.Module, labels: Sequence[str], device: torch.device) -> dict[str, Any]:
        """Return the card's values for *model*, in evaluation mode, under each of the conditions *labels*.

        Fields of `detector.card.Card`: thresholds, real_logits, calibration, pooled, ranges. Empty if there are no
        validation crops. The scores are those of ``detector score``.
        """
        if not self.index or not labels:
            return {}
        conditions = parse_all(labels)
        batches = conditioned(self.index, self.reader, self.size, conditions, BATCH)
        tracked = track(batches, -(-len(self.index) // BATCH), "thresholds")
        look = _Look()
        logits = logits_under(model, look.at(tracked), self.index, conditions, device, Precision("auto", device))
        scores = sigmoid(logits)
        real = [face.label == 0 for face in self.index]
        names = [str(condition) for condition in conditions]
        reals = {name: of_reals(logits[real, i]) for i, name in enumerate(names)}
        levels = Levels(self.index)
        columns = range(len(names))
        return {
            "thresholds": {name: choose(self.index, scores[:, i]) for i, name in enumerate(names)},
            "real_logits": {name: found for name, found in reals.items() if found is not None},
            "calibration": {
                **{name: levels.calibrated(logits, scores, [i]) for i, name in enumerate(names)},
                POOLED: levels.calibrated(logits, scores, columns),
            },
            "pooled": levels.pooled(scores),
            "ranges": look.ranges(self.index, len(names)),
        }


class Levels:
    """The frames and the videos of the crops *index*, and which of them depend on each other."""

    def __init__(self, index: Sequence[Face]) -> None:
        names = [f"{face.compression}/{face.video}" for face in index]
        _, self.first, self.video = np.unique(names, return_index=True, return_inverse=True)
        self.labels = np.array([face.label for face in index])
        self.people = np.array([face.identity for face in index])
        self.clusters = cluster_rows(np.array(names), np.array([face.pair for face in index]), self.people)

    def means(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of *scores*, one for each crop, in each video."""
        return np.asarray(np.bincount(self.video, weights=scores) / np.bincount(self.video))

    def calibrated(
        self, logits: NDArray[np.float64], scores: NDArray[np.float64], columns: Sequence[int]
    ) -> Calibrated:
        """Return the calibration of *logits* and *scores*, (n, C), under the conditions *columns* together."""
        frames = np.tile(np.arange(len(logits)), len(columns))
        videos = np.tile(self.first, len(columns))
        means = np.concatenate([logit(self.means(scores[:, column])) for column in columns])
        return Calibrated(
            self._calibration(np.concatenate([logits[:, column] for column in columns]), frames),
            self._calibration(means, videos),
        )

    def _calibration(self, values: NDArray[np.float64], rows: NDArray[np.intp]) -> Calibration | None:
        return calibrate(self.labels[rows], values, self.clusters[rows], self.people[rows].tolist())

    def pooled(self, scores: NDArray[np.float64]) -> Thresholds:
        """Return Youden's thresholds of *scores*, (n, C), of all conditions together."""
        repeats = scores.shape[1]
        means = np.concatenate([self.means(column) for column in scores.T])
        return Thresholds(
            _threshold(np.tile(self.labels, repeats), scores.T.ravel()),
            _threshold(np.tile(self.labels[self.first], repeats), means),
        )


class _Look:
    """Collects sharpness and appearance of the crops that pass through `at`."""

    def __init__(self) -> None:
        self.found: list[tuple[float, NDArray[np.float64]]] = []

    def at(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        for batch in batches:
            for image in batch.reshape(-1, *batch.shape[2:]):
                gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
                self.found.append((sharpness(gray), appearance(image)))
            yield batch

    def ranges(self, index: Sequence[Face], conditions: int) -> Ranges:
        """Return the ranges of the crops *index*, each under as many *conditions*."""
        clusters = Levels(index).clusters.code[:, 0]
        columns: dict[str, list[float | str]] = {}
        for name in ("scale", "border", "landmarks"):
            values = [getattr(face, name) for face in index]
            if None not in values:
                columns[name] = values
        return measure(
            np.stack([values for _, values in self.found]),
            np.array([value for value, _ in self.found]),
            np.repeat([face.label == 0 for face in index], conditions),
            np.repeat(clusters, conditions),
            columns,
        )


def choose(faces: Sequence[Face], scores: NDArray[np.float64]) -> Thresholds:
    """Return Youden's thresholds of *scores*, one for each of *faces*: of the frames, and of the videos' means."""
    return Levels(faces).pooled(scores[:, None])


def _threshold(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Threshold:
    value = youden_threshold(labels, scores)
    fake = int(labels.sum())
    return Threshold(None if math.isnan(value) else float(value), len(labels) - fake, fake)
