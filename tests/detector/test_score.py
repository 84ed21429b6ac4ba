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
from detector.config import CompressConfig
from detector.data.compress import compress_faces
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
    assert (tmp_path / "scores.json").read_bytes() == scored.with_suffix(".json").read_bytes()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_record_beside_the_scores_names_their_table_weights_crops_and_versions(scored, packed_crops, trained):
    record = json.loads(scored.with_suffix(".json").read_text())
    faces = read_index(packed_crops["faces"])
    assert record["scores"] == {"sha256": digest(scored), "rows": len(scored.read_text().splitlines()) - 1}
    assert (record["model"], record["weights_sha256"]) == ("meso4", digest(trained / "weights.safetensors"))
    assert record["conditions"] == list(CONDITIONS)
    assert record["faces"] == {
        "index_sha256": digest(packed_crops["faces"] / "index.csv"),
        "dataset": {"name": "drawn", "synthetic": True, "note": "noise", "licence": None},
        "parameters": {"size": 32},
        "crops": {split: sum(face.split == split for face in faces) for split in ("val", "test")},
    }
    assert record["versions"]["torch"] == torch.__version__
    assert {"mozcodec", "opencv", "libwebp", "timm"} <= record["versions"].keys()


def test_the_record_says_how_the_training_crops_were_made(packed_crops, trained, tmp_path):
    how = {"quality": 77, "subsampling": None, "tune": None, "encoder": None}
    known = {"trained_on": "77", "crops": {"size": 32}, "compress": how}
    other = copy(trained, tmp_path)
    card = json.loads((other / "model.json").read_text())
    del card["content_sha256"]
    (other / "model.json").write_text(json.dumps({**card, **known}))
    assert score(packed_crops["faces"], other, tmp_path).exit_code == 0
    record = json.loads((tmp_path / "scores.json").read_text())
    assert {name: record[name] for name in known} == known


def test_a_file_that_is_not_a_record_is_not_replaced(packed_crops, trained, tmp_path):
    """Scores named metrics.csv would put their record in the place of metrics.json."""
    mine = tmp_path / "scores.json"
    mine.write_text('{"scores": {}}')
    refused(score(packed_crops["faces"], trained, tmp_path), "scores.json is not a record of scores", "another name")
    mine.write_text("[]")
    refused(score(packed_crops["faces"], trained, tmp_path), "scores.json", "another name")
    assert mine.read_text() == "[]"
    assert not (tmp_path / "scores.csv").exists()


def test_a_table_that_is_not_called_csv_is_refused(packed_crops, trained, tmp_path):
    done = CliRunner().invoke(cli, ["score", str(packed_crops["faces"]), str(trained), str(tmp_path / "scores")])
    refused(done, "scores: the table of scores is a .csv file; name it scores.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def compressed(packed_crops, tmp_path_factory):
    out = tmp_path_factory.mktemp("compressed") / "crops"
    splits = ("train", "val", "test")
    config = CompressConfig(subsampling="4:4:4")
    compress_faces(packed_crops["faces"], out, 60, config, splits=splits, executor="serial")
    return out


# every command that applies conditions to crops, so that compressed ones would count as raw
LOSSLESS = {
    "compress": "{faces} {out}",
    "fidelity": "{faces} {out} {out}.json",
    "score": "{faces} {trained} {out}.csv",
    "explain": "{faces} {trained} {out}",
    "train": "{compressed} {out} --faces {faces} --history {out}.csv --checkpoints {out}-checkpoints",
}


@pytest.mark.parametrize("command", LOSSLESS)
def test_crops_that_are_already_compressed_are_refused(command, compressed, packed_crops, trained, tmp_path):
    def run(faces):
        (tmp_path / "params.yaml").write_text("train: {steps: 1, batch_size: 8, conditions: [raw]}\n")
        names = {"faces": faces, "trained": trained, "compressed": compressed, "out": tmp_path / "out"}
        arguments = [word.format(**names) for word in LOSSLESS[command].split()]
        return CliRunner().invoke(cli, [command, *arguments, "--params", str(tmp_path / "params.yaml")])

    refused(run(compressed), "summary.json: these crops are already compressed (moz:60/4:4:4)", "detector faces")
    assert not list(tmp_path.glob("out")) + list(tmp_path.glob("out.*"))
    unknown = copy(packed_crops["faces"], tmp_path)
    (unknown / "summary.json").unlink()
    refused(run(unknown), "summary.json: no such file")
    (unknown / "summary.json").write_text("{}")
    refused(run(unknown), "summary.json", "dataset is missing")


def test_jpeg_files_are_no_lossless_crops_whatever_their_summary_says(compressed, trained, tmp_path):
    """The summary of other crops in their place does not make them lossless."""
    faces = copy(compressed, tmp_path)
    summary = json.loads((faces / "summary.json").read_text())
    (faces / "summary.json").write_text(json.dumps({**summary, "compress": None}))
    (faces / "files.sha256").unlink()
    refused(score(faces, trained, tmp_path), "faces-000.tar: c23/", "not a PNG file")


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
    del card["content_sha256"]
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
    del card["content_sha256"]
    (other / "model.json").write_text(json.dumps({**card, **change}))
    refused(score(packed_crops["faces"], other, tmp_path), words)


def test_faces_without_a_test_part_are_refused(packed_crops, trained, tmp_path):
    faces = copy(packed_crops["faces"], tmp_path)
    write_index(faces / "index.csv", [face for face in read_index(faces) if face.split == "train"])
    refused(score(faces, trained, tmp_path), "index.csv: no faces in the splits val and test")


def test_too_many_damaged_crops_are_named_and_no_table_is_left(packed_crops, trained, tmp_path):
    faces = copy(packed_crops["faces"], tmp_path)
    victims = [face for face in read_index(faces) if face.split == "test"][-5:]
    for victim in victims:
        with (faces / victim.shard).open("r+b") as file:
            file.seek(victim.offset + 60)
            file.write(b"\x00\x01\x02")
    refused(score(faces, trained, tmp_path), victims[0].key, "5 of ", "damaged", "max_damaged = 0.01")
    assert not (tmp_path / "scores.csv").exists()


SMALL = PARAMS.replace("batch_size: 16", "batch_size: 2")  # 8 crops in a task


def test_an_interrupted_run_resumes_with_the_same_scores(packed_crops, trained, tmp_path, monkeypatch):
    from detector import score as stage

    done = []

    def breaks(argument, function=stage.score_crops):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(argument)
        return function(argument)

    whole, again = tmp_path / "whole", tmp_path / "again"
    whole.mkdir(), again.mkdir()
    assert score(packed_crops["faces"], trained, whole, SMALL).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(stage, "score_crops", breaks)
        assert score(packed_crops["faces"], trained, again, SMALL).exit_code == 1
    kept = {path: path.stat().st_mtime_ns for path in again.glob(".scores.csv.work/*.done")}
    assert len(kept) == 2 and not (again / "scores.csv").exists()
    with monkeypatch.context() as patch:
        do = stage.score_crops
        patch.setattr(stage, "score_crops", lambda argument: done.append(argument) or do(argument))
        assert score(packed_crops["faces"], trained, again, SMALL).exit_code == 0
    tested = [face for face in read_index(packed_crops["faces"]) if face.split != "train"]
    assert len(done) == -(-len(tested) // 8)  # none ran twice
    assert (again / "scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()
    assert not (again / ".scores.csv.work").exists()


@pytest.mark.slow(minutes=1)
def test_two_processes_give_the_same_scores_and_maps(packed_crops, trained, tmp_path):
    (tmp_path / "params.yaml").write_text(SMALL)
    for place in ("serial", "processes"):
        for stage, out in (("score", "scores.csv"), ("explain", "explain"), ("audit", "audit")):
            model = [] if stage == "audit" else [str(trained)]
            made = [str(packed_crops["faces"]), *model, str(tmp_path / place / out)]
            settings = ["--params", str(tmp_path / "params.yaml"), "--executor", place, "--workers", "2"]
            result = CliRunner().invoke(cli, [stage, *made, *settings])
            assert result.exit_code == 0, result.output
    found = [
        {str(path.relative_to(tmp_path / place)): path.read_bytes() for path in (tmp_path / place).rglob("*.*")}
        for place in ("serial", "processes")
    ]
    assert len(found[0]) > 8 and found[0] == found[1]


def test_a_task_refuses_to_compute_in_another_way(trained):
    import dataclasses

    from detector.errors import DataError
    from detector.placed import Placed

    placed = Placed.here(trained)
    with pytest.raises(DataError, match=r"kernels is .*, not AVX1024\. Run on workers of one kind"):
        dataclasses.replace(placed, kernels="AVX1024").load()
    with pytest.raises(DataError, match="the model has changed since the command was started"):
        dataclasses.replace(placed, sha256="0" * 64).load()
