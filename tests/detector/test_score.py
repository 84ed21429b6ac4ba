"""The score stage, from packed crops and trained weights to scores.csv."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import mozcodec
from detector.card import Card
from detector.cli import cli
from detector.data.index import read_index, write_index
from detector.data.shards import ShardReader
from detector.models import build
from detector.score import COLUMNS
from detector.weights import save_model
from evaluation.scores import read

# the section compress is that of the training crops: it changes no condition
PARAMS = "conditions: [raw, 'moz:60/4:4:4', 10, turbo:90]\ncompress: {subsampling: gray}\nscore: {batch_size: 16}\n"
CONDITIONS = {
    "raw": None,
    "moz:60/4:4:4": {"quality": 60, "subsampling": "4:4:4"},
    "10": {"quality": 10},
    "turbo:90": {"quality": 90, "profile": "fastest"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with drawn weights, as training leaves it."""
    folder = tmp_path_factory.mktemp("trained") / "train"
    torch.manual_seed(0)
    model = build("meso4", dropout=0.1)
    model.train()(torch.rand(64, 3, 32, 32))  # so that batch normalisation has seen something
    card = Card("meso4", {"dropout": 0.1}, 32, 32)
    save_model(folder, model.state_dict(), card)
    return folder


def score(faces, trained, tmp_path, params=PARAMS):
    (tmp_path / "params.yaml").write_text(params)
    arguments = ["score", str(faces), str(trained), str(tmp_path / "scores.csv")]
    return CliRunner().invoke(cli, [*arguments, "--params", str(tmp_path / "params.yaml")])


@pytest.fixture(scope="module")
def scored(packed_crops, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    result = score(packed_crops["faces"], trained, folder)
    assert result.exit_code == 0, result.output
    return folder / "scores.csv"


def test_there_is_a_row_for_each_face_and_condition_of_validation_and_test(scored, packed_crops):
    rows = list(csv.DictReader(io.StringIO(scored.read_text())))
    faces = [face for face in read_index(packed_crops["faces"]) if face.split != "train"]
    assert tuple(rows[0]) == COLUMNS
    assert [(row["key"], row["condition"]) for row in rows] == [(f.key, c) for f in faces for c in CONDITIONS]
    assert all(row["split"] in ("val", "test") for row in rows)


def test_the_table_is_one_that_evaluation_reads(scored):
    table = read(scored)
    assert table.conditions == list(CONDITIONS)
    assert set(table.label.tolist()) == {0, 1}


def test_a_score_is_the_models_answer_to_the_face_as_other_decoders_see_it(scored, packed_crops, trained):
    reader = ShardReader(packed_crops["faces"])
    model = build("meso4", dropout=0.1).eval()
    model.load_state_dict(load_file(trained / "weights.safetensors"))
    faces = {face.key: face for face in read_index(packed_crops["faces"])}
    rows = list(csv.DictReader(io.StringIO(scored.read_text())))
    for row in rows[::17]:
        image = cv2.imdecode(np.frombuffer(reader.read(faces[row["key"]]), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        options = CONDITIONS[row["condition"]]
        if options is not None:
            data = mozcodec.encode(np.ascontiguousarray(image), **options)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            expected = torch.sigmoid(model(x)).item()
        assert float(row["score"]) == pytest.approx(expected, abs=1e-6)


def test_scoring_again_gives_the_same_bytes(scored, packed_crops, trained, tmp_path):
    assert score(packed_crops["faces"], trained, tmp_path).exit_code == 0
    assert (tmp_path / "scores.csv").read_bytes() == scored.read_bytes()


def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / folder.name)


def refused(result, *words):
    """The command ended with one line that has these *words*, and no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output


def test_weights_of_another_model_are_refused(packed_crops, trained, tmp_path):
    other = copy(trained, tmp_path)
    save_file(build("mesoinception4").state_dict(), other / "weights.safetensors")
    refused(score(packed_crops["faces"], other, tmp_path), "weights.safetensors: its SHA-256 is ", " was written for ")
    digest = hashlib.sha256((other / "weights.safetensors").read_bytes()).hexdigest()
    card = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps({**card, "weights_sha256": digest}))
    refused(score(packed_crops["faces"], other, tmp_path), "do not fit each other", "stages.0.0.0.weight")
    assert not (tmp_path / "scores.csv").exists()


def test_damaged_or_missing_weights_are_refused_by_name(packed_crops, trained, tmp_path):
    other = copy(trained, tmp_path)
    (other / "weights.safetensors").write_bytes(b"nonsense" * 10)
    refused(score(packed_crops["faces"], other, tmp_path), "weights.safetensors")
    (other / "weights.safetensors").unlink()
    refused(score(packed_crops["faces"], other, tmp_path), "weights.safetensors: no such file")
    (other / "model.json").unlink()
    refused(score(packed_crops["faces"], other, tmp_path), "model.json: no such file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "meso9"}, "unknown model 'meso9'"),
        ({"options": {"depth": 3}}, "depth"),
        ({"height": 64, "width": 64}, "trained on crops of 64 x 64"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(packed_crops, trained, tmp_path, change, words):
    other = copy(trained, tmp_path)
    card = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps({**card, **change}))
    refused(score(packed_crops["faces"], other, tmp_path), words)


def test_faces_without_a_test_part_are_refused(packed_crops, trained, tmp_path):
    faces = copy(packed_crops["faces"], tmp_path)
    write_index(faces / "index.csv", [face for face in read_index(faces) if face.split == "train"])
    refused(score(faces, trained, tmp_path), "index.csv: no faces in the splits val and test")


def test_a_damaged_crop_is_named_and_no_table_is_left(packed_crops, trained, tmp_path):
    faces = copy(packed_crops["faces"], tmp_path)
    victim = [face for face in read_index(faces) if face.split == "test"][-1]
    with (faces / victim.shard).open("r+b") as file:
        file.seek(victim.offset + 60)
        file.write(b"\x00\x01\x02")
    refused(score(faces, trained, tmp_path), victim.key, "damaged")
    assert not (tmp_path / "scores.csv").exists()
