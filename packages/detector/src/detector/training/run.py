"""The identity of a run: a hash of parameters, data and code. Two runs with the same hash give the same weights.

Parameters and code are those of the row of the train stage: all that DVC compares before it runs the stage again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..card import CARD
from ..config import Params
from ..data.files import sha256
from ..data.index import read_index
from ..data.intact import intact
from ..data.shards import ShardReader
from ..data.summary import SUMMARY, read_summary
from ..errors import DataError
from ..models import MODELS
from ..models.packages import PACKAGE, package_file
from ..models.settings import architecture, pretrained
from ..pipeline import stage
from ..provenance import versions
from ..tracked import check_tracked
from ..weights import WEIGHTS

__all__ = ["Run", "default_checkpoints", "describe_run"]

# models, decoding and augmentation, and the conditions of random histories
LIBRARIES = ("torch", "timm", "numpy", "opencv", "mozcodec", "mozjpeg")


@dataclass(frozen=True)
class Run:
    """Everything that determines the weights; `id` is its hash in 16 hex digits."""

    parameters: dict[str, Any]
    index_sha256: str
    faces_sha256: str | None  # of the index of the lossless crops
    pretrained_sha256: str | None  # of the weights that training starts from
    code_sha256: str
    versions: dict[str, str]  # of the libraries that compute: `LIBRARIES`
    device: str
    damaged: tuple[str, ...] = ()  # keys of the crops that are left out

    @property
    def id(self) -> str:
        values = dataclasses.asdict(self)
        del values["parameters"]["train"]["checkpoint"]  # the checkpoint settings do not affect the weights
        if not values["damaged"]:
            del values["damaged"]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe_run(params: Params, crops: Path, device: torch.device, lossless: Path | None = None) -> Run:
    """Return the `Run` of *params* on the packed *crops* and, for random histories, the *lossless* ones.

    The index identifies the data: it holds the checksum of every crop. DataError if there is none.
    """
    start, train = _pretrained(params), stage("train")
    parameters = {name: value for name, value in train.values(params).items() if name != "max_damaged"}
    return Run(
        parameters=parameters,
        index_sha256=_index_sha256(crops),
        faces_sha256=_index_sha256(lossless) if lossless is not None else None,
        pretrained_sha256=sha256(*start) if start else None,
        code_sha256=train.code_sha256(),
        versions={name: version for name, version in versions().items() if name in LIBRARIES},
        device=device.type,
        damaged=_damaged(params.max_damaged, crops, lossless),
    )


def _damaged(most: float, crops: Path, lossless: Path | None) -> tuple[str, ...]:
    """Return the keys of the training and validation crops that are left out: damaged now, or before compression."""
    earlier = read_summary(crops).damaged if (crops / SUMMARY).exists() else ()
    found = {*earlier}
    for folder in (crops, lossless):
        if folder is not None:
            faces = [face for face in read_index(folder) if face.split in ("train", "val") and face.key not in earlier]
            found.update(row.key for row in intact(faces, ShardReader(folder), most)[1])
    return tuple(sorted(found))


def _index_sha256(folder: Path) -> str:
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: no such file; is {folder} the output of a completed stage?")
    return sha256(index)


def _pretrained(params: Params) -> list[Path]:
    """Return the files of initial weights; empty for random weights and those of the hub.

    ConfigError for a file that DVC does not track.
    """
    given = pretrained(params)
    if given is None or isinstance(given, bool):
        return []
    model, start = MODELS[params.model], Path(str(given))
    if given == PACKAGE and model.starts_from == "file":
        return [package_file(architecture(params))]
    paths = [start / WEIGHTS, start / CARD] if model.starts_from == "folder" else [start]
    paths = [path for path in paths if path.is_file()]
    for path in paths:
        check_tracked("train", f"train.{model.pretrained}", path)
    return paths


def default_checkpoints() -> Path:
    """Return ``out/checkpoints`` of the DVC repository, or of this folder without DVC: no stage's output."""
    return Path(os.environ.get("DVC_ROOT", ".")) / "out" / "checkpoints"
