"""The compress stage writes mozjpeg's bytes for the same crops in the same rows."""

from __future__ import annotations

import filecmp
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mozcodec
from detector.config import CompressConfig
from detector.data.compress import compress_faces, encode_crop
from detector.data.index import Face, read_index, write_index
from detector.data.shards import ShardReader
from detector.errors import DataError


@pytest.fixture(scope="module")
def compressed(small_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "compressed"
    compress_faces(small_faces, out, 60, CompressConfig(), executor="serial")
    return out


def test_rows_are_those_of_training_and_validation_but_for_their_place(small_faces: Path, compressed: Path) -> None:
    def described(folder: Path) -> list[Face]:
        return [replace(face, shard="", offset=0, size=0, crc32="") for face in read_index(folder)]

    assert described(compressed) == [face for face in described(small_faces) if face.split != "test"]


def test_bytes_are_mozjpegs_of_the_lossless_crop(small_faces: Path, compressed: Path) -> None:
    lossless, squeezed = ShardReader(small_faces), ShardReader(compressed)
    lossless_faces = [face for face in read_index(small_faces) if face.split != "test"]
    for before, after in zip(lossless_faces, read_index(compressed), strict=True):
        # OpenCV reads the PNG, blue first
        image = cv2.imdecode(np.frombuffer(lossless.read(before), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert bytes(squeezed.read(after, check=True)) == mozcodec.encode(image, quality=60)


@pytest.mark.parametrize("workers", [1, 4])
def test_bytes_do_not_depend_on_the_number_of_threads(
    small_faces: Path, compressed: Path, tmp_path: Path, workers: int
) -> None:
    compress_faces(small_faces, tmp_path / "again", 60, CompressConfig(), workers)
    for name in ("faces-000.tar", "index.csv", "summary.json"):
        assert filecmp.cmp(tmp_path / "again" / name, compressed / name, shallow=False)


def test_the_summary_says_what_was_done(small_faces: Path, compressed: Path) -> None:
    summary = json.loads((compressed / "summary.json").read_text())
    before = json.loads((small_faces / "summary.json").read_text())
    done = summary.pop("compress")
    assert before["faces"]["FaceSwap"] == {"train": 4, "val": 4, "test": 4}
    assert summary["faces"]["FaceSwap"] == {"train": 4, "val": 4, "test": 0}
    assert summary["identities"] == {"train": 2, "val": 2, "test": 0}
    counts = ("identities", "videos", "faces")
    assert {k: v for k, v in summary.items() if k not in counts} == {k: v for k, v in before.items() if k not in counts}
    assert (done["quality"], done["subsampling"], done["tune"]) == (60, None, None)
    assert done["splits"] == ["train", "val"]
    assert done["bytes"] == sum(face.size for face in read_index(compressed))
    assert done["encoder"]["mozjpeg_version"] == "5.0.0"


def test_options_reach_the_encoder(face_photograph: np.ndarray) -> None:
    image = face_photograph[:64, :64]
    header = mozcodec.read_header(encode_crop(image, 60, CompressConfig(subsampling="4:4:4")))
    assert header.subsampling == "4:4:4"
    assert encode_crop(image, 60, CompressConfig(tune="ms-ssim")) == mozcodec.encode(image, quality=60, tune="ms-ssim")


def test_other_splits_are_compressed_when_named(small_faces: Path, tmp_path: Path) -> None:
    compress_faces(small_faces, tmp_path / "test", 60, CompressConfig(), splits=["test"], executor="serial")
    assert {face.split for face in read_index(tmp_path / "test")} == {"test"}
    faces = Path(shutil.copytree(small_faces, tmp_path / "faces"))
    write_index(faces / "index.csv", [face for face in read_index(faces) if face.split == "test"])
    with pytest.raises(DataError, match=r"index\.csv: no crops in train or val; name the splits .* with --split"):
        compress_faces(faces, tmp_path / "out", 60, CompressConfig())
    assert not (tmp_path / "out").exists()


def test_a_damaged_crop_stops_it_by_name_and_leaves_the_old_output(
    small_faces: Path, compressed: Path, tmp_path: Path
) -> None:
    faces = Path(shutil.copytree(small_faces, tmp_path / "faces"))
    out = Path(shutil.copytree(compressed, tmp_path / "compressed"))
    victim = read_index(faces)[5]
    data = bytearray((faces / victim.shard).read_bytes())
    data[victim.offset + victim.size // 2] ^= 4
    (faces / victim.shard).write_bytes(data)
    with pytest.raises(DataError, match=f"{victim.key} is damaged: crc32"):
        compress_faces(faces, out, 10, CompressConfig())
    assert filecmp.cmp(out / "faces-000.tar", compressed / "faces-000.tar", shallow=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compressed", "faces"]


def test_a_folder_without_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.csv: no such file"):
        compress_faces(tmp_path, tmp_path / "out", 77, CompressConfig(), executor="serial")


def test_the_lossless_crops_are_not_replaced(small_faces: Path, tmp_path: Path) -> None:
    shutil.copytree(small_faces, tmp_path / "faces")
    (tmp_path / "link").symlink_to("faces")
    for out in (tmp_path / "faces", tmp_path / "link"):
        with pytest.raises(DataError, match=r"refusing to replace the lossless crops by compressed ones"):
            compress_faces(tmp_path / "faces", out, 60, CompressConfig())
    assert not filecmp.dircmp(small_faces, tmp_path / "faces").diff_files
    assert (tmp_path / "faces" / "masks.csv").exists()
