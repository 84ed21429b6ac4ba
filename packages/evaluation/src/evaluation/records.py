"""Schemas of the files that the page reads from other stages: a dataclass for each kind of row or object."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .printed import number_with
from .scores import Source

__all__ = [
    "Commit",
    "Dataset",
    "Faces",
    "Failure",
    "Failures",
    "Fidelity",
    "Localization",
    "LogLine",
    "Map",
    "Metrics",
    "Model",
    "Origin",
    "Panel",
    "Scored",
    "Step",
    "Threshold",
    "Thresholds",
    "TrainingData",
]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The part of metrics.json that says which software computed it."""

    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Panel:
    """A row of panels.csv: one face in one condition."""

    file: str
    key: str
    condition: str
    psnr: float
    ssim: float
    bytes: int
    bits_per_pixel: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The means over all crops in one condition, with the ends of their intervals (nan where undefined)."""

    bits_per_pixel: float
    psnr: float = math.nan
    ssim: float = math.nan
    bits_per_pixel_lo: float = math.nan
    bits_per_pixel_hi: float = math.nan
    psnr_lo: float = math.nan
    psnr_hi: float = math.nan
    ssim_lo: float = math.nan
    ssim_hi: float = math.nan

    def __post_init__(self) -> None:
        if not self.bits_per_pixel > 0:
            raise ValueError(f"bits_per_pixel must be positive, found {self.bits_per_pixel}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The data set of the videos; `synthetic` is None if it is not stated."""

    name: str | None = None
    synthetic: bool | None = None
    note: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """The numbers of frames and of whole videos without a face, and the reasons."""

    frames: int = 0
    videos: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Faces:
    """summary.json of the faces stage; counts are by method and split."""

    dataset: Dataset | None = None
    faces: dict[str, dict[str, int]] = field(default_factory=dict)
    videos: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: Failures | None = None
    not_there: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """A row of failures.csv; `frame` is empty for a whole video."""

    video: str
    frame: str
    reason: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Youden's threshold of the validation scores at one level; None with one class only."""

    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of one condition."""

    frame: Threshold = field(default_factory=Threshold)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The faces that a model was trained on: their data set, and numbers by method and split."""

    faces: dict[str, dict[str, int]]
    name: str | None = None
    synthetic: bool | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit of the source code, None with a reason where it is not known."""

    commit: str | None = None
    modified: bool | None = None
    reason: str | None = None

    @property
    def text(self) -> str:
        """Return ``commit 0123..., with changes that are not committed``, or why it is not known."""
        if self.commit is None:
            return f"commit not known: {self.reason}" if self.reason else "commit not known"
        return f"commit {self.commit}{', with changes that are not committed' if self.modified else ''}"


@dataclass(frozen=True, slots=True)
class Scored:
    """The faces that were scored: SHA-256 of their index, data set, parameters of the faces stage."""

    index_sha256: str
    dataset: Dataset
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """scores.json: what a table of scores was made from."""

    scores: Source
    model: str
    weights_sha256: str
    trained_on: str | None
    faces: Scored | None = None
    device: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    source: Commit | None = None


@dataclass(frozen=True, slots=True)
class Histories:
    """Random histories of training faces: a `share` of the faces, 0..1, is given another condition at every step."""

    share: float


@dataclass(frozen=True, slots=True)
class TrainParameters:
    """The parameters of the training that the page names."""

    histories: Histories | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters in model.json."""

    train: TrainParameters = TrainParameters()


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of model.json that the page uses.

    `trained_on` is the condition of the training faces without a random history. `data` must be there; it is None for
    converted weights, whose training data are not known. `log_sha256` is the hash of log.jsonl, the history of the
    training.
    """

    data: TrainingData | None
    model: str | None = None
    weights_sha256: str | None = None
    trained_on: str | None = None
    log_sha256: str | None = None
    parameters: Parameters = Parameters()
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    source: Commit | None = None
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A point of the training curves."""

    step: int
    loss: float
    val_auc: float | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of log.jsonl; lines without a loss are not points of the curves."""

    step: int | None = None
    loss: float | None = None
    val_auc: float | None = None

    @property
    def point(self) -> Step | None:
        return None if self.step is None or self.loss is None else Step(self.step, self.loss, self.val_auc)


@dataclass(frozen=True, slots=True)
class Map:
    """A row of maps.csv: one image of a face in one condition; `kind` is ``face``, ``mask`` or a kind of heat map."""

    file: str
    key: str
    condition: str
    kind: str
    score: float
    peak: float


@dataclass(frozen=True, slots=True)
class Localization:
    """A row of localization.csv: shares of a map's heat in the mask, that of the average map, and the mask's area.

    Files of earlier versions have no `gain` and no intervals.
    """

    condition: str
    kind: str
    method: str
    n: int
    inside: float
    average: float
    covered: float
    inside_lo: float = math.nan
    inside_hi: float = math.nan
    average_lo: float = math.nan
    average_hi: float = math.nan
    gain: float = math.nan
    gain_lo: float = math.nan
    gain_hi: float = math.nan
    covered_lo: float = math.nan
    covered_hi: float = math.nan
    unit: str = ""
    reason: str = "the file localization.csv is of an earlier version"

    def texts(self) -> list[str]:
        """Return share in the mask, that of the average map, gain and area, with intervals or the reason for none."""
        gain = self.inside - self.average if math.isnan(self.gain) else self.gain
        return [
            number_with(self.inside, self.inside_lo, self.inside_hi, reason=self.reason),
            number_with(self.average, self.average_lo, self.average_hi, reason=self.reason),
            number_with(gain, self.gain_lo, self.gain_hi, reason=self.reason, sign="+"),
            number_with(self.covered, self.covered_lo, self.covered_hi, reason=self.reason),
        ]
