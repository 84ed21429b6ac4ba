"""Which rows of a table of scores depend on each other: the clusters behind every interval.

Frames of a video are nearly copies, a fake shares background and target with that person's real video, and both people
of a FaceForensics++ pair appear in each other's fakes. So whole *pairs* are the clusters where every person occurs in
one pair only. Where people occur in several pairs (Celeb-DF, DeepFakeDetection) no partition separates them; then each
*person* is a cluster, and a fake of two people belongs to both. Two such fakes share one person or two. The sum over
people counts the products of the latter twice, so the overlaps are subtracted once (dyadic-robust variance: Fafchamps
and Gubert 2007; Aronow, Samii and Assenova 2015).

A table without pairs and people has *videos*, or only *rows*, as clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .text import Text, first_rows

if TYPE_CHECKING:
    from .scores import Scores

__all__ = ["UNIT_NAMES", "Clusters", "cluster", "cluster_rows"]

Codes = NDArray[Any]              # int32
Names = NDArray[np.str_] | Text
UNIT_NAMES = {"pair": "pairs", "person": "people", "video": "videos", "row": "rows"}


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters of N rows.

    `code` (N, m): the clusters of each row, -1 where it belongs to fewer than m. `weight` (C,): +1 for a cluster, -1
    for an overlap of two clusters (the fakes of the same two people), which the sum over clusters counts twice. `item`
    (N,): the video of each row; equal scores of one video count as one.
    """

    unit: str
    code: Codes
    weight: NDArray[np.float64]
    item: Codes

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Clusters:
        """Return the clusters of a mask or of an array of rows; the numbering stays."""
        return Clusters(self.unit, self.code[rows], self.weight, self.item[rows])

    @classmethod
    def of(cls, names: ArrayLike, unit: str = "pair", items: ArrayLike | None = None) -> Clusters:
        """Return clusters from one name per row, and the videos from *items* (by default each row is its own)."""
        unique, code = np.unique(np.asarray(names), return_inverse=True)
        item = np.arange(len(code)) if items is None else np.unique(np.asarray(items), return_inverse=True)[1]
        return cls(unit, code.astype(np.int32)[:, None], np.ones(len(unique)), item.astype(np.int32))


def cluster(scores: Scores) -> Clusters:
    """Return the clusters of *scores*: pairs, people where someone is in several pairs, else videos or rows."""
    return cluster_rows(scores.video, scores.pair, scores.identity)


def cluster_rows(video: Names, pair: Names, identity: Names) -> Clusters:
    """Return the clusters of rows that are described by three columns of a table of scores."""
    of_videos = Text.of(video).packed()
    videos, item = of_videos.names, of_videos.codes
    first = first_rows(item, len(videos))
    of_pairs = Text.of(pair)[first].packed()
    pair_names, pair_code = of_pairs.names, of_pairs.codes
    if len(pair_names) == len(videos):                                   # each video is its own cluster
        unit = "video" if len(videos) < len(video) else "row"
        return Clusters(unit, item[:, None], np.ones(len(videos)), item)
    shown = [sorted(set(str(name).split("+")))[:2] for name in Text.of(identity)[first]]
    if not _in_several_pairs(shown, pair_code):
        return Clusters("pair", pair_code.astype(np.int32)[item][:, None], np.ones(len(pair_names)), item)
    people = {name: number for number, name in enumerate(sorted({name for names in shown for name in names}))}
    named = sorted({tuple(names) for names in shown if len(names) > 1})
    couples = {names: len(people) + number for number, names in enumerate(named)}
    code = np.full((len(videos), 3), -1, dtype=np.int32)
    for row, names in enumerate(shown):
        code[row, : len(names)] = [people[name] for name in names]
        if len(names) > 1:
            code[row, 2] = couples[tuple(names)]
    weight = np.repeat([1.0, -1.0], [len(people), len(couples)])
    return Clusters("person", code[item], weight, item)


def _in_several_pairs(shown: list[list[str]], pair: Codes) -> bool:
    """Return whether a person occurs in videos of more than one pair."""
    seen: dict[str, int] = {}
    shows = ((name, number) for names, number in zip(shown, pair, strict=True) for name in names)
    return any(seen.setdefault(name, number) != number for name, number in shows)
