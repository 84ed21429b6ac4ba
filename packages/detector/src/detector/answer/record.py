"""The answer as dataclasses, and as JSON: ``answer/schema.json`` describes the latter."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "FORMAT",
    "Answer",
    "Condition",
    "Face",
    "History",
    "Likelihood",
    "Moved",
    "Score",
    "Weights",
    "as_json",
    "as_line",
    "from_line",
    "name_of",
    "schema",
]

FORMAT = "detector-answer/1"  # the number increases with every incompatible change
Verdict = Literal["real", "fake", "inconclusive"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights behind an answer: hash, model, commit of the code, and the data and conditions of their training."""

    sha256: str
    model: str
    data: str | None
    synthetic: bool | None
    note: str | None
    trained_on: str | None
    conditions: tuple[str, ...]
    commit: str | None


@dataclass(frozen=True, slots=True)
class History:
    """The history of a JPEG; fields are None where the file cannot be analysed, `notes` have the reason.

    doubtful: whether the tables are those of the encoder, but not the layout of the file. qualities: of each component.
    earlier: in words, an earlier JPEG compression of the whole image; ghosts, grid:
    whether parts of the image have another history; None also where most of the image was compressed before, so that
    it cannot be told. findings: of the metadata, those that contradict each other first.
    """

    encoder: str
    settings: str
    exact: bool
    doubtful: bool
    fingerprint: str
    qualities: tuple[int, ...]
    earlier: str | None
    ghosts: bool | None
    grid: bool | None
    software: tuple[str, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of the weights by which a file's scores are compared, and where it was read.

    label: of the weights, or ``pooled``. source: ``tables`` (the file's own), ``pixels`` (estimated), ``video``, or
    ``none``. found: what was read, in words. accuracy: of an estimate.
    """

    label: str
    source: Literal["tables", "pixels", "video", "none"]
    found: str
    accuracy: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """P(fake) of the model, 0..1: of a crop, or the mean of those of `level` video.

    by_frame: each frame's. threshold: Youden's on the validation split; None if unknown. standardised: the score after
    its logit is standardised by condition (`detector.standardisation`), None if the condition is pooled.
    """

    value: float
    level: Literal["frame", "video"]
    by_frame: dict[str, float]
    threshold: float | None
    standardised: float | None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How much more probable the score is if the face is forged than if it is not.

    interval: 95 %, None with the `reason` if the validation has too few people. bounds: the smallest and the largest
    ratio that the validation supports, with the numbers of its reals and fakes who share no one. isotonic: by the other
    calibration. posterior: P(fake) at the answer's prior.
    """

    ratio: float
    interval: tuple[float, float] | None
    bounds: tuple[float, float]
    isotonic: float
    posterior: float
    words: str
    reason: str
    cllr: float | None
    real_people: int
    fake_people: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The score after the image went through another condition, and by how much it moved."""

    condition: str
    score: float
    change: float


@dataclass(frozen=True, slots=True)
class Face:
    """A person in the file, the largest first.

    box: of the face detector (left, top, right, bottom); corners: of the crop, from its top left one on, both in pixels
    of the first of `frames`, as shown; None for images that are taken as crops. input: the properties that are compared
    with the range of the weights. outside: why it is outside that range; there is no likelihood ratio then.
    """

    person: int
    frames: tuple[int, ...]
    box: tuple[int, int, int, int] | None
    corners: tuple[Point, Point, Point, Point] | None
    score: Score
    likelihood: Likelihood | None
    verdict: Verdict
    reason: str
    outside: tuple[str, ...]
    input: dict[str, float | str | None]
    robustness: tuple[Moved, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for a file.

    caution: what must be known before any number, None if nothing. error: why there is no answer; the fields of the
    answer are then empty. verdict: fake if any face is, real if all are, otherwise inconclusive.
    """

    caution: str | None
    format: str
    file: str
    sha256: str | None
    size: int | None
    error: str | None
    verdict: Verdict | None
    reason: str | None
    prior: float
    kind: Literal["image", "video"] | None
    width: int | None
    height: int | None
    num_frames: int | None
    condition: Condition | None
    history: History | None
    faces: tuple[Face, ...]
    weights: Weights
    settings: str

    @property
    def answered(self) -> bool:
        """Whether the file could be examined, whatever the verdict."""
        return self.error is None


def as_json(answer: Answer) -> dict[str, Any]:
    """Return *answer* as plain values, the caution first."""
    return dataclasses.asdict(answer)


def as_line(answer: Answer) -> str:
    """Return *answer* as a line of JSON Lines, ASCII, without the line's end."""
    return json.dumps(as_json(answer), allow_nan=False)


def from_line(line: str) -> Answer:
    """Return the answer of a line that `as_line` made; ValueError if it is none."""
    from ..schema import parse

    return parse(json.loads(line), Answer)


def name_of(path: Path) -> str:
    """Return the name of *path* for an answer: bytes that are no UTF-8 are written as ``\\xff``."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `as_json`."""
    return dict(json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8")))
