"""The table of scores: one row per face and test condition, checked while it is read.

The columns are ``key, video, compression, frame, method, identity, pair, split, label, condition, score``: `label` 1 is
fake, `score` is P(fake) in 0..1, `condition` is a label such as ``raw``, ``77`` or ``turbo:90`` (see `conditions`).
Conditions are ordered as they first appear in the file. Older files have the column ``quality`` (``raw`` or 1..100)
instead; theirs are ordered ``raw`` first, then from high to low.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import conditions
from .conditions import RAW, condition_key
from .files import FileError, sha256
from .metrics import logit

__all__ = ["ALL", "COLUMNS", "Scores", "ScoresError", "Source", "by_video", "condition_key", "read"]

COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")
OLD_NAME = "quality"                  # of the column `condition`
SPLITS = ("train", "val", "test")
ALL = "all"                           # the method of rows over all methods


class ScoresError(FileError):
    """A scores file that cannot be evaluated; the message names the file, the line and the column."""


@dataclass(frozen=True, slots=True)
class Source:
    """What identifies a scores file: its SHA-256 and its number of rows."""

    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Columns of equal length N. Text columns are NumPy unicode arrays, `frame` int64, `label` int8, `score` float64.

    `order` holds the conditions in the order of the table, also after rows were selected. `dropped` is the number of
    rows left out because their score was not finite (0 unless asked for). `source` identifies the file; it is
    None for a table that was not read from one.
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
    condition: NDArray[np.str_]
    score: NDArray[np.float64]
    order: tuple[str, ...] = ()
    dropped: int = 0
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Any) -> Scores:
        """Return the rows of a mask or of an array of positions."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name in COLUMNS})

    def where(self, **values: str) -> Scores:
        """Return the rows whose columns equal the given values: ``scores.where(split="test", condition="77")``."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in values.items():
            mask &= getattr(self, column) == value
        return self[mask]

    @property
    def conditions(self) -> list[str]:
        """The conditions that occur, in the order of the table."""
        present = {str(condition) for condition in np.unique(self.condition)}
        return [condition for condition in self.order if condition in present]

    @property
    def methods(self) -> list[str]:
        """The forgery methods that occur, by name."""
        return sorted({str(method) for method in self.method[self.label == 1]})

    @property
    def parts(self) -> list[str]:
        """The names of the parts that get rows of their own in tables: `ALL`, then the methods."""
        return [ALL, *sorted(self._named)]

    def part(self, name: str) -> Scores:
        """Return all rows for `ALL`, for any other name in `parts` all real rows and the fakes of that method."""
        return self if name == ALL else self.of_method(self._named[name])

    @property
    def _named(self) -> dict[str, str]:
        """The name of each method in tables: a method that the file calls ``all`` never replaces the total."""
        methods = self.methods
        named = {f"method {method}" if method == ALL else method: method for method in methods}
        if len(named) < len(methods):
            raise ValueError(f"the methods '{ALL}' and 'method {ALL}' have the same name in tables; rename one of them")
        return named

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


def _quality(text: str) -> str:
    if text != RAW and conditions.quality(text) is None:
        raise ValueError("is neither raw nor a JPEG quality 1..100; a column named condition takes any label")
    return text


def _condition(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("is empty or holds control characters")
    return text


def _frame(text: str) -> int:
    if "_" in text or not -(2**63) <= (frame := int(text)) < 2**63:
        raise ValueError("is not a number of a frame")
    return frame


def _named(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"is not one of {', '.join(SPLITS)}")
    return text


def _label(text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError("is neither 0 (real) nor 1 (fake)")
    return int(text)


def _score(text: str) -> float:
    score = float(text)
    if math.isfinite(score) and not 0 <= score <= 1:
        raise ValueError("is not a probability in 0..1; apply a sigmoid to logits first")
    return score


PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(COLUMNS, _named),
    "frame": _frame,
    "split": _split,
    "label": _label,
    "condition": _condition,
    "score": _score,
}


def read(path: str | Path, allow_nan: bool = False) -> Scores:
    """Return the `Scores` of the CSV file at *path*; other columns than ours are ignored.

    Raises `ScoresError`, naming file, line and column, for missing columns, short rows, values out of their range, a
    face twice in one condition, two conditions with one key, a video that changes its label, split, method or pair,
    and scores that are not finite. With *allow_nan* rows with such scores are left out and counted in
    `Scores.dropped`.
    """
    path = Path(path)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            old = "condition" not in header and OLD_NAME in header
            parsers = PARSERS | ({"condition": _quality} if old else {})
            header = ["condition" if old and name == OLD_NAME else name for name in header]
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise ScoresError(f"{path}, line 1: no column {', '.join(missing)}; the header is {','.join(header)!r}")
            places = [(name, header.index(name), parsers[name], columns[name].append) for name in COLUMNS]
            for row in reader:
                if len(row) != len(header):
                    raise ScoresError(f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns")
                for name, place, parse, append in places:
                    try:
                        append(parse(row[place]))
                    except (ValueError, OverflowError) as error:
                        said = str(error) if str(error).startswith("is ") else "is not a number"
                        shown = OLD_NAME if old and name == "condition" else name
                        raise ScoresError(
                            f"{path}, line {reader.line_num}, column {shown}: {row[place]!r} {said}"
                        ) from None
                lines.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScoresError(f"{path} is not a CSV file in UTF-8: {error}") from error
    order = list(dict.fromkeys(columns["condition"]))
    if old:
        order.sort(key=lambda condition: -(conditions.quality(condition) or 101))
    try:
        conditions.condition_keys(order)
    except ValueError as error:
        raise ScoresError(f"{path}: {error}") from None
    scores = replace(_columns(columns), order=tuple(order), source=Source(sha256(path), len(lines)))
    _check_unique(path, scores, lines)
    _check_videos(path, scores, lines)
    return _check_finite(path, scores, lines, allow_nan)


def _columns(columns: dict[str, list[Any]]) -> Scores:
    types: dict[str, Any] = {"frame": np.int64, "label": np.int8, "score": np.float64}
    arrays: dict[str, Any] = {name: np.array(rows, dtype=types.get(name, np.str_)) for name, rows in columns.items()}
    return Scores(**arrays)


def _check_unique(path: Path, scores: Scores, lines: list[int]) -> None:
    names = np.char.add(np.char.add(scores.key, " in condition "), scores.condition)
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise ScoresError(
            f"{path}, line {lines[second]}, column key: {names[first]} is already on line {lines[first]}"
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
            f"are not): the model diverged or its input is damaged; --allow-nan evaluates the other rows"
        )
    return replace(scores[finite], dropped=lost)


def by_video(scores: Scores, how: str = "mean") -> Scores:
    """Average the frame scores of each video, in each condition.

    A video is one file, ``compression/method/name``: ``000_001`` of Deepfakes and of Face2Face are two. *how*: ``mean``
    of the probabilities (the default, DeepfakeBench's), ``median``, or ``mean_logit`` (back through the sigmoid). In
    the result `key` is the video file, `frame` the number of frames averaged; rows are sorted by condition and key.
    """
    hows = ("mean", "median", "mean_logit")
    if how not in hows:
        raise ValueError(f"how must be one of {', '.join(hows)}, got {how!r}")
    names = np.char.add(np.char.add(scores.condition, " "), scores.clip)
    _, first, inverse, counts = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    if how == "median":
        frames = scores.score[np.argsort(inverse, kind="stable")]
        ends = np.cumsum(counts)
        values = np.array([np.median(frames[end - n : end]) for end, n in zip(ends, counts, strict=True)])
    else:
        frames = scores.score if how == "mean" else logit(scores.score)
        # sorted within each video, so that the sum does not depend on the order of the rows
        order = np.lexsort((frames, inverse))
        values = np.add.reduceat(frames[order], np.cumsum(counts) - counts) / counts if len(counts) else frames
        values = values if how == "mean" else 1 / (1 + np.exp(-values))
    one = scores[first]
    return replace(one, key=one.clip, frame=counts.astype(np.int64), score=values)
