"""Checkpoints are written atomically and verified; a damaged one falls back to the one before."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.errors import DetectorError
from detector.training.checkpoint import Checkpoints, plain


class Folder:
    def __init__(self, path, keep=2):
        path.mkdir(exist_ok=True)
        self.path, self.said = path, []
        self.checkpoints = Checkpoints(path, keep, self.said.append)

    def save(self, *steps):
        for step in steps:
            self.checkpoints.save(step, {"step": step, "weights": torch.full((1000,), float(step))})
            self.checkpoints.wait()

    @property
    def names(self):
        return sorted(path.name for path in self.path.iterdir())


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "run")


def test_what_is_saved_is_loaded(folder):
    state = {
        "step": 3,
        "text": "a",
        "none": None,
        "flag": True,
        "rows": [{"loss": 0.1, "auc": None}],
        "pair": (0.9, 0.999),
        "tensors": OrderedDict(a=torch.arange(3), b=torch.rand(2, 2, dtype=torch.float64)),
        5: torch.tensor(1.5, dtype=torch.bfloat16),
    }
    folder.checkpoints.save(3, state)
    folder.checkpoints.wait()
    loaded = folder.checkpoints.latest()
    assert loaded.keys() == state.keys()
    assert {k: v for k, v in loaded.items() if k not in ("tensors", 5)} == {
        k: v for k, v in state.items() if k not in ("tensors", 5)
    }
    assert torch.equal(loaded["tensors"]["b"], state["tensors"]["b"])
    assert loaded[5].dtype == torch.bfloat16
    assert folder.said == []


@pytest.mark.parametrize(
    "value", [np.float64(1), np.int64(1), np.bool_(True), np.zeros(2), {1, 2}, torch.device("cpu"), print]
)
def test_what_could_not_be_loaded_again_is_refused_and_named(folder, value):
    with pytest.raises(TypeError, match=r"checkpoint\['optimizer'\]\[1\]\['lr'\] is a"):
        folder.checkpoints.save(1, {"step": 1, "optimizer": [0, {"lr": value}]})
    assert folder.names == []


def test_a_copy_is_saved_while_training_continues():
    weights = torch.zeros(3)
    copy = plain({"weights": weights})
    weights += 1
    assert copy["weights"].tolist() == [0, 0, 0]


def test_the_newest_ones_stay_each_with_its_sum(folder):
    folder.save(1, 2, 3)
    assert folder.names == [
        "step-00000002.pt",
        "step-00000002.pt.sha256",
        "step-00000003.pt",
        "step-00000003.pt.sha256",
    ]
    # the sidecar is what sha256sum -c reads
    digest, name = (folder.path / "step-00000003.pt.sha256").read_text().split()
    assert digest == hashlib.sha256((folder.path / name).read_bytes()).hexdigest()
    assert folder.checkpoints.latest()["step"] == 3


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def lose_the_sum(path):
    path.with_name(path.name + ".sha256").unlink()


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lose_the_sum])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_with_a_message(folder, damage):
    folder.save(1, 2)
    damage(folder.path / "step-00000002.pt")
    assert folder.checkpoints.latest()["step"] == 1
    assert len(folder.said) == 1
    assert "step-00000002.pt is damaged" in folder.said[0]
    assert "going back to step 1" in folder.said[0]


def test_without_an_intact_checkpoint_the_run_starts_again_with_a_message(folder):
    folder.save(1)
    truncate(folder.path / "step-00000001.pt")
    assert folder.checkpoints.latest() is None
    assert "starting again at step 0" in folder.said[0]


class Evil:
    def __reduce__(self):
        return (open, ("touched", "w"))


def test_code_in_a_checkpoint_is_not_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.save(1)
    path = folder.path / "step-00000002.pt"
    torch.save({"step": 2, "evil": Evil()}, path)
    path.with_name(path.name + ".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    assert folder.checkpoints.latest()["step"] == 1
    assert "is damaged (it holds more than tensors and plain values); going back to step 1" in folder.said[0]
    assert not (tmp_path / "touched").exists()
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    path.with_name(path.name + ".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    assert folder.checkpoints.latest()["step"] == 1
    assert not (tmp_path / "touched").exists()


def test_a_full_disk_is_reported_and_keeps_the_old_checkpoint(folder, monkeypatch):
    folder.save(1)
    save = torch.save

    def save_to_a_full_disk(state, _file):
        with Path("/dev/full").open("wb") as full:
            save(state, full)

    monkeypatch.setattr(torch, "save", save_to_a_full_disk)
    folder.checkpoints.save(2, {"step": 2, "weights": torch.zeros(100_000)})
    with pytest.raises(DetectorError, match=r"step-00000002.pt could not be written: No space left on device"):
        folder.checkpoints.wait()
    assert "the one of step 1 is intact; training continues" in folder.said[0]
    assert folder.names == ["step-00000001.pt", "step-00000001.pt.sha256"]
    monkeypatch.undo()
    folder.save(3)
    assert folder.checkpoints.latest()["step"] == 3


def test_what_an_interrupted_write_left_is_removed(folder):
    folder.save(1)
    (folder.path / "step-00000002.pt.part").write_bytes(b"half")
    (folder.path / "step-00000002.pt.sha256.part").write_bytes(b"half")
    assert folder.checkpoints.latest()["step"] == 1
    assert folder.names == ["step-00000001.pt", "step-00000001.pt.sha256"]


def test_a_finished_run_leaves_nothing_but_what_is_not_its_own(folder):
    folder.save(1)
    (folder.path / "notes.txt").write_text("mine")
    folder.checkpoints.remove()
    assert folder.names == ["notes.txt"]


def test_a_disk_without_room_for_another_one_is_not_filled_first(folder, monkeypatch):
    folder.save(1)
    size = (folder.path / "step-00000001.pt").stat().st_size
    usage = shutil.disk_usage(folder.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size - 1))
    folder.checkpoints.save(2, {"step": 2})
    with pytest.raises(DetectorError, match=r"step-00000002.pt could not be written: No space left on device"):
        folder.checkpoints.wait()
    assert folder.checkpoints.steps() == [1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size))
    folder.save(2)
    assert folder.checkpoints.steps() == [1, 2]
    free = iter([size - 1, size])  # until the older one has been deleted
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free)))
    folder.save(3)
    assert folder.checkpoints.steps() == [2, 3]
    assert len(folder.names) == 4
