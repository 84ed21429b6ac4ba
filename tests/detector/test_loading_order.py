"""The assignment of crops to batches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from detector.data.index import Face
from detector.errors import ConfigError, DataError
from detector.loading.order import BalancedOrder, PairedOrder, share, target

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def face(method, name, frame, label=1):
    video = f"{method}/{name}"
    return Face(f"c23/{video}/{frame:04d}", video, "c23", frame, method, name, name, "train", label, "", 0, 0, "")


def faces(targets=8, real_frames=6, fake_frames=3, methods=METHODS):
    reals = [face("original", f"{t:03d}", i, 0) for t in range(targets) for i in range(real_frames)]
    fakes = [
        face(m, f"{t:03d}_{t ^ 1:03d}", i) for m in methods for t in range(targets) for i in range(fake_frames)
    ]
    return reals + fakes


def test_the_target_of_a_fake_is_the_video_it_was_made_from():
    assert target(face("Deepfakes", "003_000", 1)) == target(face("original", "003", 5, 0)) == "c23/003"


def test_a_paired_batch_holds_a_fake_of_each_reals_target():
    index = faces()
    order = PairedOrder(index, 16, seed=1)
    for step in range(30):
        ids = order.batch(step)
        real, fake = ids[:8], ids[8:]
        assert all(index[i].label == 0 for i in real)
        assert all(index[i].label == 1 for i in fake)
        assert [target(index[i]) for i in real] == [target(index[i]) for i in fake]


def test_a_paired_batch_holds_the_methods_in_equal_shares():
    index = faces()
    order = PairedOrder(index, 16, seed=1)
    for step in range(20):
        assert Counter(index[i].method for i in order.batch(step)[8:]) == dict.fromkeys(METHODS, 2)


def test_an_epoch_shows_every_real_crop_once_and_no_fake_twice_before_all_were_shown():
    index = faces()
    order = PairedOrder(index, 16, seed=1)
    assert order.steps_per_epoch == 6
    for epoch in range(3):
        ids = np.concatenate([order.batch(epoch * 6 + i) for i in range(6)])
        assert sorted(ids[np.isin(ids, order.real)]) == sorted(order.real)
        fakes = Counter((index[i].method, target(index[i]), i) for i in ids if index[i].label)
        turns = Counter(key[:2] for key in fakes.elements())
        assert all(count <= -(-turns[name[:2]] // 3) for name, count in fakes.items())


def test_epochs_differ_and_steps_can_be_asked_for_in_any_order():
    order, again = PairedOrder(faces(), 16, seed=1), PairedOrder(faces(), 16, seed=1)
    ahead = {step: order.batch(step).tolist() for step in range(24)}
    assert len({tuple(ids) for ids in ahead.values()}) == 24
    assert {step: again.batch(step).tolist() for step in (17, 3, 23, 0)} == {s: ahead[s] for s in (17, 3, 23, 0)}
    assert PairedOrder(faces(), 16, seed=2).batch(0).tolist() != ahead[0]
    assert order.epoch(5) == 0
    assert order.epoch(6) == 1


@pytest.mark.parametrize("kind", [PairedOrder, BalancedOrder])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_the_same_batches_half_real_half_fake(kind, world_size):
    index = faces()
    whole = kind(index, 16, seed=1).batch(9)
    order = kind(index, 16, 1, world_size)
    parts = [share(order.batch(9), rank, world_size) for rank in range(world_size)]
    assert sorted(np.concatenate(parts)) == sorted(whole)
    assert all(sum(index[i].label for i in part) == 8 / world_size for part in parts)


def test_a_missing_method_gives_way_to_the_next_one_of_the_same_target():
    index = [f for f in faces(targets=2, methods=METHODS[:2]) if f.video != "Face2Face/001_000"]
    order = PairedOrder(index, 4, seed=1)
    pairs = [(index[r], index[f]) for step in range(20) for r, f in order.batch(step).reshape(2, 2).T]
    assert all(target(real) == target(fake) for real, fake in pairs)
    assert {fake.method for real, fake in pairs if real.video == "original/001"} == {"Deepfakes"}
    assert {fake.method for real, fake in pairs if real.video == "original/000"} == {"Deepfakes", "Face2Face"}


def test_a_real_without_any_fake_of_its_target_gets_any_fake_and_is_counted():
    index = faces(targets=2) + [face("original", "777", i, 0) for i in range(4)]
    order = PairedOrder(index, 8, seed=1)
    assert order.unpaired == 4
    ids = np.concatenate([order.batch(step) for step in range(order.steps_per_epoch)])
    assert any(index[i].video == "original/777" for i in ids)


def test_a_balanced_epoch_shows_the_larger_class_once_and_repeats_the_smaller():
    index = faces()
    order = BalancedOrder(index, 16, seed=1)
    assert order.steps_per_epoch == len(order.fake) // 8
    ids = np.concatenate([order.batch(step) for step in range(order.steps_per_epoch)])
    counts = Counter(ids.tolist())
    assert {counts[i] for i in order.fake.tolist()} == {1}
    assert {counts[i] for i in order.real.tolist()} == {2}


def test_a_set_smaller_than_a_batch_is_repeated():
    order = PairedOrder(faces(targets=1, real_frames=1, fake_frames=1, methods=METHODS[:1]), 8, seed=1)
    assert order.steps_per_epoch == 1
    assert order.batch(3).tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(("label", "words"), [(0, "8 real and 0 fake"), (1, "0 real and 8 fake")])
def test_one_class_alone_cannot_be_trained_on(label, words):
    with pytest.raises(DataError, match=words):
        PairedOrder([face("original", "000", i, label) for i in range(8)], 4, seed=1)


def test_a_batch_that_cannot_be_halved_over_the_processes_is_refused():
    with pytest.raises(ConfigError, match=r"multiple of 2 .*got 15"):
        PairedOrder(faces(), 15, seed=1)
    with pytest.raises(ConfigError, match=r"multiple of 8 .*got 12"):
        BalancedOrder(faces(), 12, 1, parts=4)
