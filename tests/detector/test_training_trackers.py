"""Trackers: the logged values, unchanged outputs, and messages if a tracker fails."""

from __future__ import annotations

import importlib.machinery
import importlib.util

import pytest

from detector.errors import DetectorError
from detector.training import trackers as module
from detector.training.trackers import TRACKERS, Trackers

ROWS = [
    {"step": 5, "epoch": 0, "loss": 0.7, "lr": 1e-3, "grad_norm": 2.0, "val_auc": None},
    {"step": 10, "epoch": 0, "loss": 0.6, "lr": 2e-3, "grad_norm": 1.0, "val_auc": 0.75},
]


class Listed:
    """A tracker that stores what it receives, and whose disk is full from step 15 on."""

    def __init__(self, folder):
        self.folder, self.got, self.closed = folder, [], False
        (folder / "events").write_text("")

    def write(self, step, values):
        if step >= 15:
            raise OSError(28, "No space left on device")
        self.got.append((step, values))

    def close(self):
        self.closed = True


@pytest.fixture
def listed(monkeypatch):
    monkeypatch.setitem(TRACKERS, "listed", Listed)
    spec = importlib.machinery.ModuleSpec("listed", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: spec if name == "listed" else None)


@pytest.mark.usefixtures("listed")
def test_a_run_that_goes_on_writes_its_history_again_and_no_step_twice(tmp_path):
    for rows in (ROWS[:0], ROWS[:1]):  # from the start, and from a checkpoint after step 5
        trackers = Trackers(["listed", "listed"], tmp_path, "run", pytest.fail)
        trackers.begin(rows)
        tracker = trackers.open["listed"]
        for row in ROWS[len(rows) :]:
            trackers.row(row)
        trackers.close()
        assert tracker.folder == tmp_path / "listed" / "run"
        assert tracker.got == [
            (5, {"train/loss": 0.7, "train/lr": 1e-3, "train/grad_norm": 2.0}),
            (10, {"train/loss": 0.6, "train/lr": 2e-3, "train/grad_norm": 1.0, "val/auc": 0.75}),
        ]
        assert tracker.closed


@pytest.mark.usefixtures("listed")
def test_a_tracker_that_cannot_write_is_left_alone_with_a_message(tmp_path):
    said = []
    trackers = Trackers(["listed"], tmp_path, "run", said.append)
    trackers.begin(ROWS)
    for step in (15, 20):
        trackers.row({**ROWS[0], "step": step})
    trackers.close()
    assert len(said) == 1
    assert "listed cannot write to" in said[0]
    assert "No space left on device; training continues without it" in said[0]


@pytest.mark.usefixtures("listed")
def test_one_that_is_not_installed_is_refused_before_the_run_begins(tmp_path):
    with pytest.raises(DetectorError, match=r"tensorboard is not installed: pip install 'detector\[tensorboard\]'"):
        Trackers(["tensorboard"], tmp_path, "run", pytest.fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["tensorboard", "dvclive"])
def test_the_tools_themselves_take_it_where_they_are_installed(kind, tmp_path):
    if importlib.util.find_spec(kind) is None:
        with pytest.raises(DetectorError, match=f"{kind} is not installed"):
            Trackers([kind], tmp_path, "run", pytest.fail)
        return
    trackers = Trackers([kind], tmp_path, "run", pytest.fail)
    trackers.begin(ROWS)
    trackers.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"loss" in written
    assert b"auc" in written
