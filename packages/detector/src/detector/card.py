"""``model.json``, the card of trained weights: how to build the model, and its inputs, settings and versions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from evaluation.likelihood import Calibration

from .arithmetic import Arithmetic
from .data.summary import Compress, Summary
from .provenance import Source
from .ranges import Ranges
from .schema import LATER, Rules, in_range, matching, read_json

__all__ = [
    "CARD",
    "OF_TIMM",
    "POOLED",
    "Calibrated",
    "Card",
    "Data",
    "RealLogits",
    "Start",
    "Threshold",
    "Thresholds",
    "as_json",
    "data_of",
    "framing_of",
    "read_card",
]

CARD = "model.json"
OF_TIMM = " of timm"  # ends the name of a `Start` that timm publishes
POOLED = "pooled"  # all conditions together, for files whose condition is not known
REMEDY = (
    "these weights may be of an earlier version: train again (detector train, or dvc repro), or convert again "
    "(detector convert-keras)"
)

HASH = matching(r"[0-9a-f]{64}", "64 hex digits")
Sha256 = Annotated[str, HASH]


@dataclass(frozen=True, slots=True)
class Data:
    """The data card: the content of ``dataset.json``, persons by split, videos and crops by method and split."""

    name: str | None
    synthetic: bool | None
    note: str | None
    identities: dict[str, int]
    videos: dict[str, dict[str, int]]
    faces: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Youden's threshold of the validation scores at one level, None if they are of one class, and their number."""

    threshold: float | None
    real: int
    fake: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Frame level: scores of single crops. Video level: mean scores of videos, with a separate threshold."""

    frame: Threshold
    video: Threshold


@dataclass(frozen=True, slots=True)
class RealLogits:
    """Mean and standard deviation of the logits of `number` real validation crops under a condition."""

    mean: float
    std: Annotated[float, in_range(0)]
    number: Annotated[int, in_range(2)]


@dataclass(frozen=True, slots=True)
class Start:
    """The weights that training started from; `licence` as their publisher states it, None if it is not known."""

    name: str
    sha256: Sha256
    licence: str | None


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibration of the logits of single crops, and of those of the mean P(fake) of videos, None if undefined."""

    frame: Calibration | None
    video: Calibration | None


@dataclass(frozen=True, slots=True)
class Card:
    """The content of ``model.json``. Only the first four are needed to build the model.

    weights: their origin. data: the data card. crops: parameters of the faces stage, as used. compress: how the
    training crops without a random history were encoded; trained_on is the same as a condition. thresholds: by
    condition, from the lossless validation crops. real_logits: by condition, for standardised scores
    (`detector.standardisation`). calibration: by condition and `POOLED`; pooled: the thresholds of `POOLED`; ranges:
    the inputs that these hold for; all three are empty in files of earlier versions. inputs: SHA-256 by file.
    started_from: None for random weights. source: the commit of the code. The fields from log_sha256 (of the history,
    log.jsonl) to train_crops are set by training only.
    """

    model: str
    options: dict[str, Any]
    height: Annotated[int, in_range(1, 65535)]
    width: Annotated[int, in_range(1, 65535)]
    weights: str = ""
    weights_sha256: Sha256 = "0" * 64
    data: Data | None = None
    crops: dict[str, Any] | None = None
    compress: Compress | None = None
    trained_on: str | None = None
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    real_logits: dict[str, RealLogits] = field(default_factory=dict)
    calibration: dict[str, Calibrated] = field(default_factory=dict, metadata=LATER)
    pooled: Thresholds | None = field(default=None, metadata=LATER)
    ranges: Ranges | None = field(default=None, metadata=LATER)
    versions: dict[str, str] = field(default_factory=dict)
    source: Source | None = None
    inputs: dict[str, Sha256] = field(default_factory=dict)
    started_from: Start | None = None
    log_sha256: Annotated[str | None, HASH] = None
    step: int | None = None
    val_auc: float | None = None
    selected: str | None = None
    amp: str | None = None
    run: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    code_sha256: str | None = None
    arithmetic: Arithmetic | None = None
    device: str | None = None
    train_crops: int | None = None


def read_card(folder: Path) -> Card:
    """Return the card in *folder*; DataError if it is missing, damaged, or lacks fields that this version writes."""
    return read_json(folder / CARD, Card, REMEDY, Rules(complete=True))


def as_json(card: Card) -> dict[str, Any]:
    """Return *card* as the plain values stored in ``model.json`` and in exported files."""
    return dataclasses.asdict(card)


def data_of(summary: Summary) -> Data:
    """Return the data card of packed crops."""
    dataset = summary.dataset
    return Data(
        dataset.name, dataset.synthetic, dataset.note, summary.identities, summary.videos, summary.faces
    )


def framing_of(card: Card) -> str:
    """Return the framing of the crops that the model of *card* was trained on; earlier versions had only one."""
    return str((card.crops or {}).get("framing", "deepfakebench"))


def resample_of(card: Card) -> str:
    """Return how `data.alignment.resized` brings crops of other sizes to that of the model of *card*."""
    return str((card.crops or {}).get("resample", "area"))
