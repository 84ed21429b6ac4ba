"""Damaged crops are left out of every stage and listed, up to a share; more are an error."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.audit import make_audit
from detector.conditions import parse_all
from detector.config import AuditConfig, AugmentConfig, CheckpointConfig, CompressConfig, Params, TrainConfig
from detector.data.compress import compress_faces
from detector.data.index import Face, read_index
from detector.data.intact import DAMAGED, Damaged, intact
from detector.data.shards import ShardReader
from detector.errors import DataError
from detector.explain import explain
from detector.fidelity import measure
from detector.score import score
from detector.training.run import describe_run
from detector.training.trainer import train

SHARE = 0.05
CONFIG = TrainConfig(
    steps=2, batch_size=4, eval_every=2, log_every=1, threads=1, conditions=("raw",), histories=None,
    augment=AugmentConfig(flip=0.0), checkpoint=CheckpointConfig(every_steps=5),
)  # fmt: skip


def broken(folder: Path, *faces: Face) -> None:
    """Flip a bit in the middle of each of *faces*."""
    for face in faces:
        data = bytearray((folder / face.shard).read_bytes())
        data[face.offset + face.size // 2] ^= 16
        (folder / face.shard).write_bytes(data)


def of_split(folder: Path, split: str) -> list[Face]:
    return [face for face in read_index(folder) if face.split == split]


@pytest.fixture
def crops(packed_crops: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(packed_crops[name], tmp_path / name))


def listed(folder: Path) -> list[str]:
    with (folder / DAMAGED).open(newline="") as file:
        return [row["key"] for row in csv.DictReader(file)]


def test_damaged_crops_are_left_out_and_named_and_too_many_are_an_error(crops, capsys) -> None:
    folder = crops("faces")
    faces = read_index(folder)
    reader = ShardReader(folder)
    assert intact(faces, reader, SHARE) == (faces, [])
    broken(folder, faces[3], faces[7])
    kept, damaged = intact(faces, reader, 2 / len(faces))
    assert kept == [face for i, face in enumerate(faces) if i not in (3, 7)]
    assert [row.key for row in damaged] == [faces[3].key, faces[7].key]
    assert f"{faces[3].shard}: {faces[3].key} is damaged: crc32" in damaged[0].problem
    said = capsys.readouterr().err
    assert said == (f"{folder}: 2 of {len(faces)} crops are damaged and left out: {faces[3].key}, {faces[7].key}\n")
    with pytest.raises(DataError, match=rf"{faces[3].key} is damaged.*\(2 of {len(faces)} crops are damaged, more"):
        intact(faces, reader, 1.9 / len(faces))
    assert intact(faces, reader, 0) == (faces, [])  # an error where it is used


def test_an_archive_that_is_cut_loses_its_last_crops(crops) -> None:
    folder = crops("faces")
    faces = read_index(folder)
    archive = folder / faces[-1].shard
    archive.write_bytes(archive.read_bytes()[: faces[-1].offset + 3])
    kept, damaged = intact(faces, ShardReader(folder), SHARE)
    assert kept == faces[:-1] and isinstance(damaged[0], Damaged) and "ends at byte" in damaged[0].problem
    archive.unlink()
    with pytest.raises(DataError, match=r"no such file.*are damaged, more"):
        intact(faces, ShardReader(folder), 0.5)


def test_compress_leaves_them_out_and_training_then_does_too(crops, tmp_path) -> None:
    folder = crops("faces")
    victim = of_split(folder, "train")[5]
    broken(folder, victim)
    with pytest.raises(DataError, match=f"{victim.key} is damaged"):
        compress_faces(folder, tmp_path / "compressed", 77, CompressConfig(), workers=1)
    compressed = tmp_path / "compressed"
    summary = compress_faces(folder, compressed, 77, CompressConfig(), workers=1, max_damaged=SHARE)
    assert summary["damaged"] == [victim.key] == listed(compressed)
    assert victim.key not in {face.key for face in read_index(compressed)}
    out = run(compressed, folder, tmp_path)
    assert listed(out) == [victim.key]
    assert json.loads((out / "model.json").read_text())["train_crops"] == len(of_split(compressed, "train"))


@pytest.mark.parametrize("where", ["faces", "compressed"])
def test_training_leaves_out_what_is_damaged_in_either_folder(crops, tmp_path, where) -> None:
    folders = {"faces": crops("faces"), "compressed": crops("compressed")}
    before = name(folders)
    victims = [of_split(folders[where], split)[1] for split in ("train", "val")]
    broken(folders[where], *victims)
    assert name(folders) != before  # a run that resumes has the same crops
    out = run(folders["compressed"], folders["faces"], tmp_path)
    assert listed(out) == sorted(victim.key for victim in victims)
    card = json.loads((out / "model.json").read_text())
    assert card["train_crops"] == len(of_split(folders["compressed"], "train")) - 1
    assert "max_damaged" not in card["parameters"]


def test_fidelity_score_and_explain_leave_them_out(crops, packed_crops, tmp_path) -> None:
    trained = run(packed_crops["compressed"], packed_crops["faces"], tmp_path)
    assert not (trained / DAMAGED).exists()
    folder = crops("faces")
    victim = of_split(folder, "test")[4]
    number = len(of_split(folder, "test")) + len(of_split(folder, "val"))
    conditions = parse_all(("raw", "77"))
    measure(folder, tmp_path / "whole", tmp_path / "whole.json", conditions, workers=1, max_damaged=SHARE)
    assert not (tmp_path / "whole" / DAMAGED).exists()
    broken(folder, victim)
    measure(folder, tmp_path / "fidelity", tmp_path / "fidelity.json", conditions, workers=1, max_damaged=SHARE)
    assert listed(tmp_path / "fidelity") == [victim.key]
    assert score(folder, trained, tmp_path / "scores.csv", conditions, max_damaged=SHARE) == number - 1
    assert json.loads((tmp_path / "scores.json").read_text())["damaged"] == [victim.key]
    assert victim.key not in (tmp_path / "scores.csv").read_text()
    params = Params(train=CONFIG, conditions=("raw", "77"), max_damaged=SHARE)
    explain(folder, trained, tmp_path / "explain", params, None, 4, 4)
    assert listed(tmp_path / "explain") == [victim.key]


def name(folders: dict[str, Path]) -> str:
    import torch

    params = Params(train=CONFIG, max_damaged=SHARE)
    return describe_run(params, folders["compressed"], torch.device("cpu"), folders["faces"]).id


def run(compressed: Path, faces: Path, folder: Path) -> Path:
    params = Params(train=CONFIG, max_damaged=SHARE)
    train(params, compressed, folder / "out", folder / "history.csv", folder / "checkpoints", lossless=faces)
    return folder / "out"


def test_audit_leaves_damaged_crops_out_so_that_a_training_may_start(crops, tmp_path: Path) -> None:
    folder = crops("faces")
    victim = read_index(folder)[3]
    broken(folder, victim)
    with pytest.raises(DataError, match=f"{victim.key} is damaged: crc32"):
        make_audit(folder, tmp_path / "audit", None, AuditConfig())
    make_audit(folder, tmp_path / "audit", None, AuditConfig(), max_damaged=SHARE)
    assert listed(tmp_path / "audit") == [victim.key]
    with (tmp_path / "audit/audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == [face.key for face in read_index(folder) if face != victim]
