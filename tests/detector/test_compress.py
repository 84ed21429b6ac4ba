"""The compress stage gives mozjpeg's bytes of the very crops, in the same rows."""

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
from detector.data.compress import at_quality, compress_faces, squeeze
from detector.data.index import read_index
from detector.data.shards import ShardReader
from detector.errors import DataError


@pytest.fixture(scope="module")
def compressed(small_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "compressed"
    compress_faces(small_faces, out, 60, CompressConfig())
    return out


def test_rows_are_the_same_but_for_their_place(small_faces: Path, compressed: Path) -> None:
    def described(folder: Path) -> list[object]:
        return [replace(face, shard="", offset=0, size=0, crc32="") for face in read_index(folder)]

    assert described(compressed) == described(small_faces)


def test_bytes_are_mozjpegs_of_the_lossless_crop(small_faces: Path, compressed: Path) -> None:
    lossless, squeezed = ShardReader(small_faces), ShardReader(compressed)
    for before, after in zip(read_index(small_faces), read_index(compressed), strict=True):
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
    assert summary == before
    assert (done["quality"], done["subsampling"], done["tune"]) == (60, None, None)
    assert done["bytes"] == sum(face.size for face in read_index(compressed))
    assert done["encoder"]["mozjpeg_version"] == "5.0.0"


def test_options_reach_the_encoder(face_photograph: np.ndarray) -> None:
    image = face_photograph[:64, :64]
    header = mozcodec.read_header(squeeze(image, 60, CompressConfig(subsampling="4:4:4")))
    assert header.subsampling == "4:4:4"
    assert squeeze(image, 60, CompressConfig(tune="ms-ssim")) == mozcodec.encode(image, quality=60, tune="ms-ssim")


def test_raw_leaves_the_crop_as_it_is(face_photograph: np.ndarray) -> None:
    assert at_quality(face_photograph, "raw", CompressConfig()) is face_photograph


@pytest.mark.parametrize("quality", [10, "77"])
def test_at_quality_is_encode_and_decode(face_photograph: np.ndarray, quality: int | str) -> None:
    found = at_quality(face_photograph, quality, CompressConfig())
    expected = mozcodec.decode(mozcodec.encode(face_photograph, quality=int(quality)))
    assert np.array_equal(found, expected)
    assert found.shape == face_photograph.shape


def test_gray_encoding_still_gives_three_channels(face_photograph: np.ndarray) -> None:
    found = at_quality(face_photograph, 77, CompressConfig(subsampling="gray"))
    assert found.shape == face_photograph.shape
    assert np.ptp(found, axis=2).max() == 0


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
        compress_faces(tmp_path, tmp_path / "out", 77, CompressConfig())
