"""Crops at addresses of fsspec: tasks read what they need of the archives, and outputs are those from a folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detector import audit, remote
from detector.config import CompressConfig
from detector.data import shards
from detector.data.compress import compress_faces
from detector.data.crops import checked, crops_key
from detector.data.index import read_index
from detector.data.pictures import VIDEOS
from detector.data.properties import read_items, source_tasks
from detector.data.shards import ShardReader
from detector.data.work import SERIAL
from detector.errors import DataError
from evaluation.findings import Shortcut

from .test_remote import SMALL, bucket, contents, detector, here, memory, server

__all__ = ["bucket", "here", "memory", "server"]  # fixtures; every test uses here

STAGES = (
    "compress {faces} {out}/compressed",
    "fidelity {faces} {out}/fidelity {out}/fidelity.json",
    "score {faces} train {out}/scores.csv",
    "explain {faces} train {out}/explain --faces-measured 4 --features 4",
    "audit {faces} {out}/audit",
)


def staged(faces: str | Path, out: Path, *options: str) -> dict[str, bytes]:
    """Return what the stages that have tasks over crops write."""
    for stage in STAGES:
        detector(*stage.format(faces=faces, out=out).split(), *options)
    return contents(out)


class Requests:
    """What s3fs is asked for while it is noted: bytes of ranges by file, and whole files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import s3fs

        self.ranges: list[tuple[str, int, int]] = []
        self.whole: list[str] = []
        cat_file, get_file = s3fs.S3FileSystem._cat_file, s3fs.S3FileSystem._get_file

        async def noted(files: Any, path: str, *rest: Any, start: int, end: int, **options: Any) -> bytes:
            self.ranges.append((path.rpartition("/")[2], start, end))
            data: bytes = await cat_file(files, path, *rest, start=start, end=end, **options)
            return data

        async def got(files: Any, path: str, *rest: Any, **options: Any) -> None:
            self.whole.append(path.rpartition("/")[2])
            await get_file(files, path, *rest, **options)

        monkeypatch.setattr(s3fs.S3FileSystem, "_cat_file", noted)
        monkeypatch.setattr(s3fs.S3FileSystem, "_get_file", got)
        s3fs.S3FileSystem.clear_instance_cache()  # instances hold the methods


@pytest.fixture
def trained(packed_crops: dict[str, Path]) -> None:
    """The folder train: weights of a training of four steps."""
    Path("params.yaml").write_text(SMALL)
    crops = [packed_crops["compressed"], "train", "--faces", packed_crops["faces"], "--history", "history.csv"]
    detector("train", *crops, "--checkpoints", "checkpoints")


@pytest.mark.usefixtures("trained")
def test_stages_read_of_the_shards_at_s3_what_they_need_and_write_the_bytes_of_local_ones(
    bucket: Any, packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the properties of the crops are compared, not the statistics of them
    monkeypatch.setattr(audit, "_measure", lambda *of: Shortcut(of[0], of[1], None, None, None, 0, 0, "", "", "", None))
    expected = staged(packed_crops["faces"], tmp_path / "here", "--executor", "serial")
    bucket.put(str(packed_crops["faces"]), "bucket/crops", recursive=True)
    asked, index = Requests(monkeypatch), read_index(packed_crops["faces"])
    found = {}
    for stage in STAGES:
        asked.ranges.clear()
        detector(*stage.format(faces="s3://bucket/crops", out=tmp_path / "s3").split(), "--executor", "serial")
        found[stage.split()[0]] = list(asked.ranges)
    assert contents(tmp_path / "s3") == expected and len(expected) > 30
    # neither the folder nor the disk has an archive
    assert not [name for name in asked.whole if name.endswith(".tar")]
    assert not list(Path("out").rglob("*.tar"))
    for name, splits in (
        ("compress", ("train", "val")),
        ("score", ("val", "test")),
        ("audit", ("train", "val", "test")),
    ):
        sizes = [face.size for face in index if face.split in splits]
        bytes_ = sum(end - start for _, start, end in found[name])
        assert sum(sizes) <= bytes_ <= sum(sizes) + 1024 * len(sizes)  # with the headers between neighbours
        assert len(found[name]) <= len(sizes) / 4
    archive = (packed_crops["faces"] / "faces-000.tar").stat().st_size
    assert sum(end - start for _, start, end in found["score"]) < 0.8 * archive
    detector("compress", "s3://bucket/crops", tmp_path / "processes" / "compressed", "--workers", "2")
    assert contents(tmp_path / "processes").items() <= expected.items()


def test_a_contact_sheet_reads_at_s3_the_crops_that_it_shows(
    bucket: Any, packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--split", "test", "--columns", "2")
    drawn = detector("contact-sheet", packed_crops["faces"], tmp_path / "here.png", *options)
    bucket.put(str(packed_crops["faces"]), "bucket/crops", recursive=True)
    asked = Requests(monkeypatch)
    detector("contact-sheet", "s3://bucket/crops", tmp_path / "s3.png", *options)
    assert (tmp_path / "s3.png").read_bytes() == (tmp_path / "here.png").read_bytes()
    assert not [name for name in asked.whole if name.endswith(".tar")]
    sizes = sorted(face.size for face in read_index(packed_crops["faces"]) if face.split == "test")
    number = int(drawn.split()[-2])
    assert 0 < number < len(sizes)
    assert sum(end - start for _, start, end in asked.ranges) <= sum(sizes[-number:]) + 1024 * number


def at_memory(files: Any, folder: Path) -> tuple[Path, dict[Path, remote.Later]]:
    """Put *folder* at an address, and return what `placed` returns for it."""
    files.pipe({f"/crops/{name}": data for name, data in contents(folder).items()})
    return remote.placed("memory://crops", {".tar"}, 0)


def test_damaged_crops_at_an_address_are_left_out_and_listed_as_local_ones(
    memory: Any, packed_crops: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(packed_crops["faces"], tmp_path / "faces"))
    faces = [face for face in read_index(folder) if face.split != "test"]
    data = bytearray((folder / "faces-000.tar").read_bytes())
    for face in (faces[5], faces[40]):
        data[face.offset + face.size // 2] ^= 16
    (folder / "faces-000.tar").write_bytes(data)
    copy, later = at_memory(memory, folder)
    settings = {"executor": "serial", "max_damaged": 0.05}
    compress_faces(folder, tmp_path / "here", 60, CompressConfig(), **settings)  # type: ignore[arg-type]
    capsys.readouterr()
    compress_faces(copy, tmp_path / "far", 60, CompressConfig(), **settings, later=later)  # type: ignore[arg-type]
    said = f"{copy}: 2 of {len(faces)} crops are damaged and left out: {faces[5].key}, {faces[40].key}"
    assert said in capsys.readouterr().err.splitlines()
    here, far = contents(tmp_path / "here"), contents(tmp_path / "far")
    for written in (here, far):  # the problems name the archive
        lines = written.pop("damaged.csv").decode().splitlines()
        assert [line.split(",")[0] for line in lines] == ["key", faces[5].key, faces[40].key]
        del written["files.sha256"]
    assert "memory://crops/faces-000.tar" in (tmp_path / "far" / "damaged.csv").read_text()
    assert far == here

    reader = ShardReader(copy, later)
    found = read_items(copy, read_index(folder), None, SERIAL, tmp_path / "work", reader, 0.05)
    assert [row.key for row in found.damaged] == [faces[5].key, faces[40].key]
    assert len(found.items) == len(read_index(folder)) - 2
    kept, damaged = checked(faces, reader, 0.05, tmp_path / "work", SERIAL)
    assert [row.key for row in damaged] == [faces[5].key, faces[40].key] and len(kept) == len(faces) - 2
    named = rf"memory://crops/faces-000\.tar: {faces[5].key} is damaged: crc32 "
    with pytest.raises(DataError, match=named + rf".* \(2 of {len(faces)} crops are damaged, more than"):
        checked(faces, reader, 0.01, tmp_path / "work", SERIAL)
    with pytest.raises(DataError, match=named):
        compress_faces(copy, tmp_path / "made", 60, CompressConfig(), executor="serial", later=later)

    cut = faces[-1].offset + 3
    memory.pipe("/crops/faces-000.tar", (packed_crops["faces"] / "faces-000.tar").read_bytes()[:cut])
    reader = ShardReader(*remote.placed("memory://crops", {".tar"}, 0))
    kept, damaged = checked(faces, reader, 0.05, tmp_path / "work", SERIAL)
    assert [row.key for row in damaged] == [faces[-1].key]
    assert damaged[0].problem.startswith(f"memory://crops/faces-000.tar: ends at byte {cut}, before the end of ")


def test_a_task_receives_neighbours_together_and_holds_a_limited_number_of_bytes(
    memory: Any, packed_crops: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ShardReader(*at_memory(memory, packed_crops["faces"]))
    index, ranges, cat_file = read_index(packed_crops["faces"]), [], type(memory).cat_file

    def noted(files: Any, path: str, start: int, end: int) -> Any:
        ranges.append(end - start)
        return cat_file(files, path, start=start, end=end)

    monkeypatch.setattr(type(memory), "cat_file", noted)
    monkeypatch.setattr(shards, "AHEAD", 16_000)
    reader.read_ahead(index)
    local = ShardReader(packed_crops["faces"])
    held = []
    for face in index:
        assert reader.read(face, check=True) == local.read(face)
        held.append(sum(map(len, reader._received.values())))
    assert max(ranges) <= 16_000 and len(ranges) < len(index) / 3
    assert max(held) <= 16_000 and held[-1] == 0
    assert sum(ranges) < sum(face.size for face in index) + 1024 * len(index)
    ranges.clear()
    reader.read_ahead(some := index[::2])  # not what lies between them
    assert [bytes(reader.read(face)) for face in some] == [bytes(local.read(face)) for face in some]
    assert ranges == [face.size for face in some]


def test_an_address_that_fails_while_tasks_run_is_named_and_no_crop_counts_as_damaged(
    memory: Any, packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, later = at_memory(memory, packed_crops["faces"])
    answers = iter([OSError("Could not connect to the\nendpoint"), b"short"])

    def fails(*_: Any, **__: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(type(memory), "cat_file", fails)
    for problem in ("Could not connect to the endpoint;", r"5 bytes were received of 512 to \d+; run it again;"):
        message = rf"memory://crops/faces-000\.tar: cannot be read: {problem} check the address, and the credentials"
        with pytest.raises(DataError, match=message):
            compress_faces(
                copy, tmp_path / "made", 60, CompressConfig(), 0, executor="serial", max_damaged=0.5, later=later
            )
    assert not (tmp_path / "made").exists()


def test_source_files_of_an_audit_are_copied_by_the_tasks_that_examine_them(
    memory: Any, small_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(path.relative_to(small_tree).as_posix() for path in small_tree.rglob("*.mp4"))[:3]
    expected = [task.function(task.argument) for task in source_tasks(small_tree, files)]
    memory.pipe({f"/videos/{name}": (small_tree / name).read_bytes() for name in files})
    memory.pipe("/videos/none.mp4", b"none")
    receive, copied = remote._receive, []
    monkeypatch.setattr(remote, "_receive", lambda *rest, **_: copied.append(rest[1].name) or receive(*rest))
    copy, later = remote.placed("memory://videos", VIDEOS)
    assert copied == []
    tasks = source_tasks(copy, files, later)
    assert [task.function(task.argument) for task in tasks] == expected
    assert copied == files and not list(tmp_path.rglob("detector-*"))
    (task,) = source_tasks(copy, ["none.mp4"], later)
    with pytest.raises(DataError, match=r"^memory://videos/none\.mp4: cannot be opened"):
        task.function(task.argument)


def test_finished_tasks_over_crops_at_an_address_are_found_by_checksums_and_etags(
    memory: Any, packed_crops: dict[str, Path]
) -> None:
    copy, later = at_memory(memory, packed_crops["faces"])
    faces = read_index(packed_crops["faces"])[:3]
    key = crops_key("depends", ShardReader(copy, later), faces)
    assert key == crops_key("depends", ShardReader(copy, later), faces)
    others = [
        crops_key("depends", ShardReader(copy, later), [*faces[:2], replace(faces[2], **changed)])
        for changed in ({"crc32": "00000000"}, {"size": 9}, {"offset": 9}, {"key": "c23/x/y/0000"})
    ]
    changed = {path: replace(file, file=replace(file.file, token='ETag="1"')) for path, file in later.items()}
    others += [
        crops_key("other", ShardReader(copy, later), faces),
        crops_key("depends", ShardReader(copy, changed), faces),
    ]
    assert len({key, *others}) == 7
