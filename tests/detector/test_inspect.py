"""verify finds every kind of damage, unpack writes DeepfakeBench's tree, the contact sheet shows the crops."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.config import CompressConfig
from detector.data.compress import compress_faces
from detector.data.deepfakebench import read_deepfakebench
from detector.data.index import read_index, read_masks
from detector.data.inspect import contact_sheet, unpack, verify
from detector.data.png import decode_png
from detector.data.shards import ShardReader
from detector.errors import DataError


@pytest.fixture
def faces(small_faces: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_faces, tmp_path / "faces"))


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def test_whole_folders_have_no_problems(small_faces: Path) -> None:
    checked, problems = verify(small_faces)
    assert problems == []
    assert checked == len(read_index(small_faces)) + len(read_masks(small_faces)) == 48 + 24


def test_one_flipped_bit_anywhere_is_found(faces: Path) -> None:
    archive = faces / "faces-000.tar"
    rng = np.random.default_rng(0)
    size = archive.stat().st_size
    row = read_index(faces)[7]
    places = [*rng.integers(0, size, 40), 0, size - 1, row.offset - 512, row.offset - 1, row.offset + row.size]
    for place in places:
        flip(archive, int(place))
        assert len(verify(faces)[1]) == 1, place
        flip(archive, int(place))
    assert verify(faces)[1] == []


def test_damages_are_named(faces: Path) -> None:
    row, other = read_index(faces)[3], read_index(faces)[9]
    mask = next(iter(read_masks(faces).values()))
    flip(faces / row.shard, row.offset + 20)
    flip(faces / other.shard, other.offset - 500)
    flip(faces / mask.shard, mask.offset + 3)
    (faces / "faces-007.tar").write_bytes(b"")
    problems = "\n".join(verify(faces)[1])
    assert f"{row.key}: is damaged, crc32" in problems
    assert f"{other.key}: its tar header is damaged" in problems
    assert f"masks-000.tar: {mask.key}: is damaged" in problems
    assert "faces-007.tar: is not listed in any index" in problems
    assert problems.count("\n") == 3


def test_a_cut_or_missing_archive_is_found(faces: Path) -> None:
    archive = faces / "faces-000.tar"
    whole = archive.read_bytes()
    for keep, message in ((len(whole) - 512, "the end of the archive is damaged"), (5000, "ends at byte 5000, before")):
        archive.write_bytes(whole[:keep])
        assert [message in problem for problem in verify(faces)[1]] == [True]
    archive.unlink()
    assert "no such file, but the index lists it" in verify(faces)[1][0]


def test_an_index_that_leaves_a_member_out_is_found(faces: Path) -> None:
    lines = (faces / "index.csv").read_text().splitlines(keepends=True)
    (faces / "index.csv").write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(DataError, match=r"index\.csv: its SHA-256 is .* delete .*files\.sha256 if you edited it"):
        verify(faces)
    (faces / "files.sha256").unlink()
    assert "the index says offset" in verify(faces)[1][0]


def test_unpacked_files_are_the_members_and_the_json_finds_them(small_faces: Path, tmp_path: Path) -> None:
    number = unpack(small_faces, tmp_path)
    assert number == len(list(tmp_path.rglob("*.png"))) == 48 + 24
    reader = ShardReader(small_faces)
    faces = {face.key: face for face in read_index(small_faces)}
    videos = read_deepfakebench(tmp_path / "FaceForensics++.json")
    assert sum(len(v.frames) for v in videos) == 48
    for video in videos:
        for path in video.frames:
            method = "original" if video.label == "FF-real" else path.parts[-5]
            key = f"c23/{method}/{video.name}/{path.stem}"
            assert path.read_bytes() == bytes(reader.read(faces[key]))
        assert all(path.is_file() for path in video.masks)
        assert len(video.masks) == (0 if video.label == "FF-real" else len(video.frames))


def test_a_second_quality_joins_the_first_in_the_json(small_faces: Path, tmp_path: Path) -> None:
    compress_faces(small_faces, tmp_path / "compressed", 10, CompressConfig(), splits=["test"], executor="serial")
    unpack(small_faces, tmp_path / "loose", splits=["test"])
    unpack(tmp_path / "compressed", tmp_path / "loose", splits=["test"])
    videos = read_deepfakebench(tmp_path / "loose/FF-DF.json")
    assert {video.compression for video in videos} == {"c23", "q10"}
    assert all(path.is_file() for video in videos for path in video.frames)
    assert {path.suffix for video in videos for path in video.frames} == {".png", ".jpg"}


def test_only_what_was_asked_for_is_unpacked(small_faces: Path, tmp_path: Path) -> None:
    assert unpack(small_faces, tmp_path, methods=["FaceSwap"], splits=["val"]) == 2 * 4
    assert {path.parts[-5] for path in tmp_path.rglob("*.png")} == {"FaceSwap"}
    with pytest.raises(DataError, match="no faces of method 'Faceswap'; there are Deepfakes, FaceSwap, original"):
        unpack(small_faces, tmp_path, methods=["Faceswap"])


def test_a_damaged_member_is_not_unpacked(faces: Path, tmp_path: Path) -> None:
    row = read_index(faces)[0]
    flip(faces / row.shard, row.offset + 20)
    with pytest.raises(DataError, match=f"{row.key} is damaged"):
        unpack(faces, tmp_path / "loose")


def test_the_contact_sheet_shows_the_crops(small_faces: Path, tmp_path: Path) -> None:
    assert contact_sheet(small_faces, tmp_path / "sheet.png", columns=4, rows=2, splits=["train"]) == 8 + 4 + 4
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1]
    # a line of 24 px above the rows of each method: 2 rows, then 1 and 1
    assert sheet.shape == (3 * 24 + 4 * 64, 4 * 64, 3)
    faces = [face for face in read_index(small_faces) if face.split == "train" and face.method == "original"]
    first = decode_png(ShardReader(small_faces).read(faces[0]))
    last = decode_png(ShardReader(small_faces).read(faces[7]))
    assert np.array_equal(sheet[24:88, :64], first)
    assert np.array_equal(sheet[88:152, 192:], last)
