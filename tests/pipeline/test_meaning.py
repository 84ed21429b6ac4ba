"""The detector learns the forgeries of the sample, JPEG compression removes their traces, and no shortcut helps.

The parts run as the stages do, on the committed sample with the committed parameters; the seeds are 1, 2 and 3.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from detector.conditions import parse_all
from detector.config import read_params
from detector.data.compress import compress_faces, read_crop
from detector.data.faces import make_faces
from detector.data.index import read_index, write_index
from detector.data.png import encode_png
from detector.data.shards import ShardReader, ShardWriter
from detector.score import score
from detector.training.trainer import train
from evaluation.metrics import auc
from evaluation.scores import read
from evaluation.seeds import Group, compare_groups
from evaluation.summary import Settings

ROOT = Path(__file__).resolve().parents[2]
PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def crops(tmp_path_factory) -> Path:
    assert (ROOT / "data").is_dir(), "the sample is not here: run `dvc pull data.dvc`"
    out = tmp_path_factory.mktemp("faces")
    make_faces(ROOT / "data", out, PARAMS.faces)
    return out


@pytest.fixture(scope="session")
def compressed(crops, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("compressed")
    compress_faces(crops, out, PARAMS.quality, PARAMS.compress)
    return out


def scored(params, crops: Path, compressed: Path, folder: Path, labels) -> Path:
    """Train on *compressed*, score *crops* and return the path of the scores."""
    train(params, compressed, folder / "train", folder / "history.csv", folder / "checkpoints", lossless=crops)
    score(crops, folder / "train", folder / "scores.csv", parse_all(labels))
    return folder / "scores.csv"


def picked(row, what: str) -> bool:
    return (row.what, row.level, row.method, row.unit) == (what, "frame", "all", "pair")


@pytest.mark.trial(minutes=7)
def test_three_seeds_detect_at_77_and_lose_at_10(crops, compressed, tmp_path):
    runs = []
    for seed in (1, 2, 3):
        params = dataclasses.replace(PARAMS, seed=seed)
        runs.append(read(scored(params, crops, compressed, tmp_path / str(seed), PARAMS.conditions)))
    settings = Settings(PARAMS.evaluate.replicates, PARAMS.evaluate.confidence, 1)
    rows = compare_groups([Group("q77", ("1", "2", "3"), tuple(runs))], settings)

    (auc_at_77,) = (row for row in rows if picked(row, "auc") and row.condition == "77")
    (drop,) = (row for row in rows if picked(row, "drop"))

    # the interval over 12 pairs of people and three seeds is about .18 wide: measured .804 [.687, .884]
    assert auc_at_77.value > 0.75
    assert auc_at_77.lo > 0.62
    assert drop.lo > 0


@pytest.mark.trial(minutes=4)
def test_nothing_is_learnt_with_the_face_greyed_out(crops, tmp_path):
    """Background, hair, ears and neck stay; everything a forgery can touch is grey (columns .19-.81, rows .20-.98)."""
    reader, faces, grey = ShardReader(crops), read_index(crops), []
    with ShardWriter(tmp_path / "grey") as writer:
        for face in faces:
            image = read_crop(reader, face).copy()
            height, width = image.shape[:2]
            image[int(0.20 * height) : int(0.98 * height), int(0.19 * width) : int(0.81 * width)] = 128
            slot = writer.add(face.key, encode_png(image))
            place = {name: getattr(slot, name) for name in ("shard", "offset", "size", "crc32")}
            grey.append(dataclasses.replace(face, **place))
    write_index(tmp_path / "grey" / "index.csv", grey)
    shutil.copy(crops / "summary.json", tmp_path / "grey")
    compress_faces(tmp_path / "grey", tmp_path / "compressed", PARAMS.quality, PARAMS.compress)

    scores = read(scored(PARAMS, tmp_path / "grey", tmp_path / "compressed", tmp_path, (PARAMS.quality,)))
    test = scores.where(split="test")

    assert 0.42 <= auc(np.asarray(test.label), np.asarray(test.score)) <= 0.58
