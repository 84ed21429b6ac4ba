"""The most confident false alarm and the most confident miss, with their images, for the top of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .conditions import RAW
from .files import FileError, Picture, iterate_csv, read_png_part
from .scores import Scores

__all__ = ["Mistake", "find"]

FACES = "run `detector faces` again to rewrite it"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misclassified face; *shown* is the condition of the image, which may differ from that of the score."""

    label: int
    key: str
    condition: str
    score: float
    shown: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class _Place:
    """The location of a crop according to index.csv."""

    key: str
    shard: str
    offset: int
    size: int


def find(
    scores: Scores, threshold: float, images: Iterable[tuple[str, str, Picture]], crops: Path | None
) -> list[Mistake]:
    """Return at most one false alarm and one miss at *threshold*, those with the most extreme score.

    Uncompressed faces come first, because the folder *crops* has the image of each. Otherwise a face of *images* (key,
    condition, image) is taken, and otherwise one whose uncompressed image is shown.
    """
    at_hand = {(key, condition): picture for key, condition, picture in images}
    listed = scores.key.codes_among(np.unique([key for key, _ in at_hand] or [""])) >= 0
    found = []
    for label in (0, 1):
        wrong = (scores.label == label) & ((scores.score >= threshold) == (label == 0))
        mistake = None
        if crops:
            mistake = _from_crops(scores, wrong & (scores.condition == RAW), crops)
        if mistake is None:
            for i in _by_confidence(scores, wrong & listed):
                place = (str(scores.key[i]), str(scores.condition[i]))
                if place in at_hand:
                    mistake = Mistake(label, *place, float(scores.score[i]), place[1], at_hand[place])
                    break
        if mistake is None and crops:
            mistake = _from_crops(scores, wrong, crops)
        found += [mistake] if mistake else []
    return found


def _by_confidence(scores: Scores, wrong: np.ndarray) -> list[int]:
    """Return the wrong rows, the most extreme score first; equal scores by key."""
    rows = np.flatnonzero(wrong)
    return sorted(rows.tolist(), key=lambda i: (-abs(scores.score[i] - scores.label[i]), scores.key[i]))


def _from_crops(scores: Scores, wrong: np.ndarray, crops: Path) -> Mistake | None:
    if not wrong.any():
        return None
    error = np.where(wrong, np.abs(scores.score - scores.label), -1.0)
    i = min(np.flatnonzero(error == error.max()).tolist(), key=lambda i: str(scores.key[i]))
    key = str(scores.key[i])
    picture = read_png_part(crops, *_place(crops, key))
    return Mistake(int(scores.label[i]), key, str(scores.condition[i]), float(scores.score[i]), RAW, picture)


def _place(crops: Path, key: str) -> tuple[str, int, int, str]:
    path = crops / "index.csv"
    place = next((row for row in iterate_csv(path, _Place, FACES) if row.key == key), None)
    if place is None:
        raise FileError(f"{path}: no crop {key}, which was scored: two runs are mixed; give the crops of the scores")
    return place.shard, place.offset, place.size, FACES
