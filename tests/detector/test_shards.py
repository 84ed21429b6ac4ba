"""Packed crops: compatibility with `tar`, round trips, refused input."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from detector.data.shards import ShardReader, ShardWriter, Slot
from detector.errors import DataError

MEMBERS = {f"c23/original/{i:03d}/0000": bytes([i]) * size for i, size in enumerate((0, 1, 511, 512, 513, 9000))}


def pack(folder: Path, members: dict[str, bytes] = MEMBERS, **options: object) -> list[Slot]:
    with ShardWriter(folder, **options) as shards:  # type: ignore[arg-type]
        return [shards.add(key, data) for key, data in members.items()]


def test_tar_unpacks_the_archive(tmp_path: Path) -> None:
    pack(tmp_path)
    (tmp_path / "loose").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "faces-000.tar", "-C", tmp_path / "loose"], check=True)
    unpacked = {p.relative_to(tmp_path / "loose").as_posix(): p for p in (tmp_path / "loose").rglob("*.png")}
    assert {name.removesuffix(".png"): path.read_bytes() for name, path in unpacked.items()} == MEMBERS


def test_members_carry_nothing_of_the_machine(tmp_path: Path) -> None:
    pack(tmp_path)
    with tarfile.open(tmp_path / "faces-000.tar") as archive:
        found = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in archive}
    assert found == {(0, 0, 0, "", "", 0o644, tarfile.REGTYPE)}
    assert (tmp_path / "faces-000.tar").read_bytes()[257:265] == b"ustar\x0000"


def test_slots_agree_with_tarfile_and_zlib(tmp_path: Path) -> None:
    slots = pack(tmp_path)
    with tarfile.open(tmp_path / "faces-000.tar") as archive:
        expected = [(m.name.removesuffix(".png"), m.offset_data, m.size) for m in archive]
    assert [(s.key, s.offset, s.size) for s in slots] == expected
    assert [s.crc32 for s in slots] == [f"{zlib.crc32(data):08x}" for data in MEMBERS.values()]


def test_the_archive_is_what_tarfile_writes(tmp_path: Path) -> None:
    pack(tmp_path)
    with tarfile.open(tmp_path / "by-tarfile.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for key, data in MEMBERS.items():
            info = tarfile.TarInfo(key + ".png")
            info.size = len(data)
            (tmp_path / "member").write_bytes(data)
            with (tmp_path / "member").open("rb") as file:
                archive.addfile(info, file)
    assert (tmp_path / "faces-000.tar").read_bytes() == (tmp_path / "by-tarfile.tar").read_bytes()


def test_reader_gives_back_what_was_added_from_several_shards(tmp_path: Path) -> None:
    slots = pack(tmp_path, max_bytes=20480)
    assert len({slot.shard for slot in slots}) > 1
    reader = ShardReader(tmp_path)
    assert [bytes(reader.read(slot, check=True)) for slot in slots] == list(MEMBERS.values())


def test_no_shard_is_larger_than_asked(tmp_path: Path) -> None:
    members = {f"k{i:04d}": bytes(900) for i in range(200)}
    pack(tmp_path, members, max_bytes=51200)
    sizes = [path.stat().st_size for path in tmp_path.glob("*.tar")]
    assert len(sizes) > 4
    assert max(sizes) <= 51200


def test_keys_must_come_sorted_and_once(tmp_path: Path) -> None:
    for second in ("a", "b"):
        with ShardWriter(tmp_path) as shards:
            shards.add("b", b"")
            with pytest.raises(ValueError, match="sorted and unique"):
                shards.add(second, b"")


def test_an_error_leaves_no_half_archive(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path) as shards:
        shards.add("a", b"1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_reader_names_what_is_wrong(tmp_path: Path) -> None:
    slots = pack(tmp_path)
    last = slots[-1]
    archive = tmp_path / last.shard
    whole = bytearray(archive.read_bytes())

    archive.write_bytes(whole[: last.offset + 10])
    with pytest.raises(DataError, match=r"faces-000\.tar: ends at byte \d+, before the end of c23/original/005/0000"):
        ShardReader(tmp_path).read(last)

    whole[last.offset + 5] ^= 1
    archive.write_bytes(whole)
    assert len(ShardReader(tmp_path).read(last)) == last.size
    with pytest.raises(DataError, match="c23/original/005/0000 is damaged: crc32"):
        ShardReader(tmp_path).read(last, check=True)

    archive.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        ShardReader(tmp_path).read(last)

    archive.unlink()
    with pytest.raises(DataError, match="no such file"):
        ShardReader(tmp_path).read(last)


def test_an_archive_cut_while_it_is_read_is_named(tmp_path: Path) -> None:
    # a map of the file would end the process with SIGBUS
    slots = pack(tmp_path)
    reader = ShardReader(tmp_path)
    assert bytes(reader.read(slots[-1])) == MEMBERS[slots[-1].key]
    os.truncate(tmp_path / "faces-000.tar", 4096)
    with pytest.raises(DataError, match=r"faces-000\.tar: ends at byte 4096, before the end of c23/original/005/0000"):
        reader.read(slots[-1])


def test_threads_open_an_archive_once(tmp_path: Path, descriptors_below: Callable[[Path], int]) -> None:
    slots = pack(tmp_path)
    reader = ShardReader(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(partial(is_there, reader, slots), range(200)))
    del pool
    assert descriptors_below(tmp_path) == 1
    del reader
    assert descriptors_below(tmp_path) == 0


def is_there(reader: ShardReader, slots: list[Slot], i: int) -> bool:
    slot = slots[i % len(slots)]
    return bytes(reader.read(slot, check=True)) == MEMBERS[slot.key]
