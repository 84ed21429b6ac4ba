"""Batches of crops, decoded ahead by threads."""

from __future__ import annotations

import dataclasses
import shutil
import threading

import numpy as np
import pytest

import mozcodec
from detector.data.index import read_index
from detector.data.shards import ShardReader, crc32
from detector.errors import DataError
from detector.loading.loader import Loader, crop_size


@pytest.fixture
def crops(packed_crops):
    folder = packed_crops["compressed"]
    return ShardReader(folder), read_index(folder)


def plan(count, batch_size, seed=0):
    rng = np.random.default_rng(seed)
    return [(step, rng.integers(0, count, batch_size)) for step in range(12)]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("ahead", [1, 3])
def test_batches_come_in_order_with_every_crop_decoded(crops, threads, ahead):
    reader, faces = crops
    steps = plan(len(faces), 5)
    loader = Loader(reader, faces, threads=threads, ahead=ahead)
    seen = [(b.step, b.ids.tolist(), b.images.clone(), b.labels.tolist()) for b in loader.batches(steps)]
    assert [(step, ids) for step, ids, _, _ in seen] == [(step, ids.tolist()) for step, ids in steps]
    for _, ids, images, labels in seen:
        assert np.array_equal(images, [mozcodec.decode(reader.read(faces[i])) for i in ids])
        assert labels == [faces[i].label for i in ids]


def test_buffers_are_used_again(crops):
    reader, faces = crops
    loader = Loader(reader, faces, ahead=2)
    assert len({batch.images.data_ptr() for batch in loader.batches(plan(len(faces), 4))}) <= 3


def test_loading_once_through_gives_every_crop_and_a_smaller_last_batch(crops):
    reader, faces = crops
    batches = [b.ids.tolist() for b in Loader(reader, faces).load(range(len(faces)), 16)]
    assert np.concatenate(batches).tolist() == list(range(len(faces)))
    assert [len(ids) for ids in batches[:-1]] == [16] * (len(faces) // 16)


def test_a_loader_without_crops_gives_no_batches(crops):
    assert list(Loader(crops[0], []).load([], 16)) == []


def test_the_thread_ends_when_the_consumer_leaves_early(crops):
    reader, faces = crops
    batches = Loader(reader, faces).batches(plan(len(faces), 4))
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "loader"]


def test_a_crop_that_changed_since_it_was_packed_is_named(packed_crops, tmp_path):
    folder = shutil.copytree(packed_crops["compressed"], tmp_path / "crops")
    faces = read_index(folder)
    victim = faces[7]
    with (folder / victim.shard).open("r+b") as file:
        file.seek(victim.offset + victim.size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    batches = Loader(ShardReader(folder), faces).batches([(0, np.array([1, 2])), (1, np.array([7, 3]))])
    assert next(batches).step == 0  # the good batch before it is delivered
    with pytest.raises(DataError, match=rf"{victim.shard}.*{victim.key} is damaged"):
        next(batches)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_crop_that_is_not_a_jpeg_or_of_another_size_is_named(crops, tmp_path, threads, packed_crops):
    reader, faces = crops
    lossless = ShardReader(packed_crops["faces"]), read_index(packed_crops["faces"])
    with pytest.raises(DataError, match=r"c23/Deepfakes/000_001/0000: "):
        crop_size(lossless[0], lossless[1][0])
    small = mozcodec.encode(np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "other").write_bytes(small)
    other = dataclasses.replace(faces[1], shard="other", offset=0, size=len(small), crc32=crc32(small))
    for name in {face.shard for face in faces}:
        (tmp_path / name).symlink_to(reader.folder / name)
    loader = Loader(ShardReader(tmp_path), [faces[0], other, *faces[2:]], threads=threads)
    with pytest.raises(DataError, match=other.key):
        list(loader.batches([(0, np.array([0, 2, 1]))]))
