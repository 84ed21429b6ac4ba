"""The table of scores: one row per face and test quality, read from scores.csv and checked on the way in.

``key, video, compression, frame, method, identity, pair, split, label, quality, score``: `label` 1 is fake, `score` is
P(fake) in 0..1, `quality` is ``raw`` or a JPEG quality 1..100 kept as text. Every other module of this package starts
from a `Scores`; nothing is ever computed from pictures again.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "Scores", "ScoresError", "by_video", "quality_name", "read", "sorted_qualities"]

COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "quality", "score")
SPLITS = ("train", "val", "test")
REAL = "original"                     # the method of a real video
CLIP = 1e-7


class ScoresError(ValueError):
    """A scores file that cannot be judged; the message names the file, the line and the column."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Columns of equal length N. Text columns are NumPy unicode arrays, `frame` int64, `label` int8, `score` float64.

    `dropped` is the number of rows left out because their score was not finite (0 unless asked for).
    """

    key: NDArray[np.str_]
    video: NDArray[np.str_]
    compression: NDArray[np.str_]
    frame: NDArray[np.int64]
    method: NDArray[np.str_]
    identity: NDArray[np.str_]
    pair: NDArray[np.str_]
    split: NDArray[np.str_]
    label: NDArray[np.int8]
    quality: NDArray[np.str_]
    score: NDArray[np.float64]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Any) -> Scores:
        """Return the rows of a mask or of an array of positions."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "dropped"})

    def where(self, **values: str) -> Scores:
        """Return the rows whose columns equal the given values: ``scores.where(split="test", quality="77")``."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in values.items():
            mask &= getattr(self, column) == value
        return self[mask]

    @property
    def qualities(self) -> list[str]:
        """The qualities that occur, ``raw`` first, then from high to low."""
        return sorted_qualities({str(quality) for quality in self.quality})

    @property
    def methods(self) -> list[str]:
        """The forgery methods that occur, by name."""
        return sorted({str(method) for method in self.method[self.label == 1]})

    @property
    def clip(self) -> NDArray[np.str_]:
        """The id of each row's video file, ``compression/method/name``."""
        return np.char.add(np.char.add(self.compression, "/"), self.video)

    def of_method(self, method: str) -> Scores:
        """Return all real rows and the fakes of *method*."""
        return self[(self.label == 0) | (self.method == method)]

    def counts(self) -> dict[str, int]:
        """Return the numbers of distinct frames, videos and pairs."""
        return {
            "frames": len(np.unique(self.key)),
            "videos": len(np.unique(self.video)),
            "pairs": len(np.unique(self.pair)),
        }


def quality_name(quality: str) -> str:
    """Return how keys name a quality: ``raw`` or ``q77``."""
    return quality if quality == "raw" else f"q{quality}"


def sorted_qualities(qualities: Iterable[str]) -> list[str]:
    """Return the qualities in the order of every table: ``raw``, then from high to low."""
    return sorted(qualities, key=lambda q: -math.inf if q == "raw" else -int(q))


def _quality(text: str) -> str:
    if text != "raw" and not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100 and str(int(text)) == text):
        raise ValueError("is neither raw nor a JPEG quality 1..100")
    return text


def _named(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"is none of {', '.join(SPLITS)}")
    return text


def _label(text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError("is neither 0 (real) nor 1 (fake)")
    return int(text)


def _score(text: str) -> float:
    score = float(text)
    if math.isfinite(score) and not 0 <= score <= 1:
        raise ValueError("is no probability in 0..1; logits must go through a sigmoid first")
    return score


PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(COLUMNS, _named),
    "frame": int,
    "split": _split,
    "label": _label,
    "quality": _quality,
    "score": _score,
}


def read(path: str | Path, allow_nan: bool = False) -> Scores:
    """Return the `Scores` of the CSV file at *path*; other columns than ours are ignored.

    Raises `ScoresError`, naming file, line and column, for missing columns, short rows, values out of their range, a
    face twice at one quality, a video that changes its label, split, method or pair, and for scores that are not
    finite: those are counted, and with *allow_nan* left out and the number kept in `Scores.dropped`.
    """
    path = Path(path)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise ScoresError(f"{path}, line 1: no column {', '.join(missing)}; the header is {','.join(header)!r}")
            places = [(name, header.index(name), PARSERS[name], columns[name].append) for name in COLUMNS]
            for row in reader:
                if len(row) != len(header):
                    raise ScoresError(f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns")
                for name, place, parse, append in places:
                    try:
                        append(parse(row[place]))
                    except ValueError as error:
                        said = str(error) if str(error).startswith("is ") else "is no number"
                        raise ScoresError(
                            f"{path}, line {reader.line_num}, column {name}: {row[place]!r} {said}"
                        ) from None
                lines.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScoresError(f"{path} is no CSV text: {error}") from error
    scores = _columns(columns)
    _check_unique(path, scores, lines)
    _check_videos(path, scores, lines)
    return _check_finite(path, scores, lines, allow_nan)


def _columns(columns: dict[str, list[Any]]) -> Scores:
    types: dict[str, Any] = {"frame": np.int64, "label": np.int8, "score": np.float64}
    arrays: dict[str, Any] = {name: np.array(rows, dtype=types.get(name, np.str_)) for name, rows in columns.items()}
    return Scores(**arrays)


def _check_unique(path: Path, scores: Scores, lines: list[int]) -> None:
    names = np.char.add(np.char.add(scores.key, " at quality "), scores.quality)
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise ScoresError(
            f"{path}, line {lines[second]}, column key: {names[first]} occurs already on line {lines[first]}"
        )


def _check_videos(path: Path, scores: Scores, lines: list[int]) -> None:
    _, first, inverse = np.unique(scores.video, return_index=True, return_inverse=True)
    for column in ("label", "split", "method", "pair"):
        values = getattr(scores, column)
        differs = np.flatnonzero(values != values[first][inverse])
        if len(differs):
            row = int(differs[0])
            before = int(first[inverse[row]])
            raise ScoresError(
                f"{path}, line {lines[row]}, column {column}: {values[row]} for video {scores.video[row]}, "
                f"which has {values[before]} on line {lines[before]}"
            )


def _check_finite(path: Path, scores: Scores, lines: list[int], allow_nan: bool) -> Scores:
    finite = np.isfinite(scores.score)
    lost = int(np.sum(~finite))
    if lost and not allow_nan:
        row = int(np.argmin(finite))
        raise ScoresError(
            f"{path}, line {lines[row]}, column score: {scores.score[row]} is not finite ({lost} of {len(scores)} rows "
            f"are not): the model diverged or its input is damaged; --allow-nan judges the other rows"
        )
    return replace(scores[finite], dropped=lost)


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, CLIP, 1 - CLIP)
    return np.log(p) - np.log1p(-p)


def by_video(scores: Scores, how: str = "mean") -> Scores:
    """Average the frame scores of each video, at each quality.

    A video is one file, ``compression/method/name``: ``000_001`` of Deepfakes and of Face2Face are two. *how*: ``mean``
    of the probabilities (the default, DeepfakeBench's), ``median``, or ``mean_logit`` (back through the sigmoid). In
    the result `key` is the video file, `frame` the number of frames averaged; rows are sorted by quality and key.
    """
    hows = ("mean", "median", "mean_logit")
    if how not in hows:
        raise ValueError(f"how must be one of {', '.join(hows)}, got {how!r}")
    names = np.char.add(np.char.add(scores.quality, " "), scores.clip)
    _, first, inverse, counts = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    if how == "median":
        frames = scores.score[np.argsort(inverse, kind="stable")]
        ends = np.cumsum(counts)
        values = np.array([np.median(frames[end - n : end]) for end, n in zip(ends, counts, strict=True)])
    else:
        frames = scores.score if how == "mean" else _logit(scores.score)
        # sorted within each video, so that the sum does not depend on the order of the rows
        order = np.lexsort((frames, inverse))
        values = np.add.reduceat(frames[order], np.cumsum(counts) - counts) / counts if len(counts) else frames
        values = values if how == "mean" else 1 / (1 + np.exp(-values))
    one = scores[first]
    return replace(one, key=one.clip, frame=counts.astype(np.int64), score=values)
