"""The faces stage on real video files: rows, crops, exclusions, byte identity, resuming after an interruption."""

from __future__ import annotations

import csv
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from detector.config import FacesConfig
from detector.data import faces as stage
from detector.data.deepfakebench import read_deepfakebench
from detector.data.faces import clip_task, make_faces
from detector.data.index import read_index, read_masks
from detector.data.layout import Clip, find_clips
from detector.data.png import decode_png
from detector.data.shards import ShardReader
from detector.data.video import read_frames
from detector.data.work import finish, is_whole
from detector.errors import DataError
from detector.lock import Lock


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same_files(a: Path, b: Path) -> None:
    """Assert that two folders hold the same files, byte for byte."""
    names = sorted(path.name for path in a.iterdir())
    assert names == sorted(path.name for path in b.iterdir())
    _, different, unreadable = filecmp.cmpfiles(a, b, names, shallow=False)
    assert (different, unreadable) == ([], [])


@pytest.fixture
def tree(small_tree: Path, tmp_path: Path) -> Path:
    """A copy of the small tree that may be damaged."""
    return Path(shutil.copytree(small_tree, tmp_path / "data"))


def test_every_frame_asked_for_has_its_row(small_faces: Path) -> None:
    found = Counter((face.method, face.split) for face in read_index(small_faces))
    assert found == {
        **{("original", split): 8 for split in ("train", "val", "test")},  # 2 clips of 4 frames
        **{(method, split): 4 for method in ("Deepfakes", "FaceSwap") for split in ("train", "val", "test")},
    }


def test_a_row_says_what_the_crop_shows(small_faces: Path) -> None:
    face = next(face for face in read_index(small_faces) if face.key == "c23/FaceSwap/003_002/0007")
    assert (face.video, face.compression, face.frame, face.method) == ("FaceSwap/003_002", "c23", 7, "FaceSwap")
    assert (face.identity, face.pair, face.split, face.label) == ("003+002", "002_003", "val", 1)
    assert (face.shard, len(face.crc32)) == ("faces-000.tar", 8)


def test_crops_are_lossless_squares_with_the_eyes_in_place(small_faces: Path) -> None:
    reader = ShardReader(small_faces)
    images = [decode_png(reader.read(face, check=True)) for face in read_index(small_faces)]
    assert {(image.shape, image.dtype) for image in images} == {((64, 64, 3), np.dtype(np.uint8))}
    # eyes and brows are darker than the cheeks below them, in every crop, wherever the face was in the frame
    for image in images:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
        assert gray[27:33, 20:44].mean() < gray[37:43, 20:44].mean()


def test_masks_cover_what_was_forged(small_faces: Path) -> None:
    geometry = {row["key"]: row for row in rows(small_faces / "geometry.csv")}
    faces = {face.key: face for face in read_index(small_faces)}
    masks = read_masks(small_faces)
    assert set(masks) == {key for key, face in faces.items() if face.label}
    reader = ShardReader(small_faces)
    for key, slot in masks.items():
        mask = decode_png(reader.read(slot, check=True))
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) == {0, 255}
        # the ellipse that was drawn into the frame (see forge), seen from each pixel of the crop
        row = geometry[key]
        scale, roll = float(row["side"]) / 64, np.radians(float(row["roll"]))
        middle = SimilarityTransform(translation=(-31.5, -31.5))
        to_frame = middle + SimilarityTransform(
            scale=scale, rotation=roll, translation=(float(row["centre_x"]), float(row["centre_y"]))
        )
        x, y = (to_frame(np.indices((64, 64))[::-1].reshape(2, -1).T) - (160 + 2 * faces[key].frame - 8, 116)).T
        inside = ((x / 34) ** 2 + (y / 44) ** 2 <= 1).reshape(64, 64)
        assert ((mask > 0) != inside).mean() < 0.02
        assert inside.mean() > 0.08


def test_geometry_brings_each_crop_back(small_faces: Path, small_tree: Path) -> None:
    geometry = rows(small_faces / "geometry.csv")
    assert [row["key"] for row in geometry] == [face.key for face in read_index(small_faces)]
    row = next(row for row in geometry if row["key"] == "c23/original/000/0002")
    frame = read_frames(small_tree / "original_sequences/youtube/c23/videos/000.mp4", [2]).images[2]
    assert frame.shape == (240, 320, 3)
    # the astronaut's eyes, (201.5, 100.5) and (247.5, 103.5) in the photograph cut at x = 65, moved by 2 x 2 - 8 px
    assert float(row["left_eye_x"]) == pytest.approx(201.5 - 65 - 4, abs=4)
    assert float(row["left_eye_y"]) == pytest.approx(100.5, abs=4)
    assert float(row["right_eye_x"]) == pytest.approx(247.5 - 65 - 4, abs=4)
    assert float(row["right_eye_y"]) == pytest.approx(103.5, abs=4)


def test_the_summary_counts_and_names_the_data(small_faces: Path) -> None:
    summary = json.loads((small_faces / "summary.json").read_text())
    assert summary["dataset"] == {"name": "test", "synthetic": True, "note": "one photograph", "licence": None}
    assert summary["faces"]["original"] == {"train": 8, "val": 8, "test": 8}
    assert summary["videos"]["FaceSwap"] == {"train": 2, "val": 2, "test": 2}
    assert summary["failures"] == {"frames": 0, "videos": 0, "reasons": {}}
    assert summary["identities"] == {"train": 2, "val": 2, "test": 2}
    assert (summary["not_there"], summary["remarks"]) == ([], [])
    assert summary["parameters"]["size"] == 64
    assert all(sum(rates.values()) == pytest.approx(1, abs=1e-3) for rates in summary["eyes_found"].values())


def test_deepfakebench_files_name_every_crop(small_faces: Path) -> None:
    # no NeuralTextures and no Face2Face here, so of the five files these are there
    assert sorted(path.stem for path in small_faces.glob("F*.json")) == ["FF-DF", "FF-FS", "FaceForensics++"]
    videos = read_deepfakebench(small_faces / "FaceForensics++.json")
    assert sum(len(video.frames) for video in videos) == len(read_index(small_faces))
    assert sum(len(video.masks) for video in videos) == len(read_masks(small_faces))


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(
    small_tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path, workers: int
) -> None:
    make_faces(small_tree, tmp_path / "faces", small_config, workers)
    same_files(tmp_path / "faces", small_faces)
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]  # nothing is left beside it


def test_broken_videos_are_listed_and_the_rest_is_as_ever(
    tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    real = tree / "original_sequences/youtube/c23/videos"
    fake = tree / "manipulated_sequences/Deepfakes"
    (real / "000.mp4").write_bytes(b"")
    write_video(real / "002.mp4", [np.full((240, 320, 3), 77, np.uint8)] * 8)
    whole = (fake / "c23/videos/004_005.mp4").read_bytes()
    (fake / "c23/videos/004_005.mp4").write_bytes(whole[:-10])
    (fake / "masks/videos/005_004.mp4").write_bytes(b"no mask")

    summary = make_faces(tree, tmp_path / "out", small_config, workers=2)

    assert rows(tmp_path / "out/failures.csv") == [
        {
            "video": "Deepfakes/004_005",
            "frame": "7",
            "reason": "video ends after 7 readable frames (Invalid data found when processing input)",
        },
        {
            "video": "Deepfakes/005_004",
            "frame": "",
            "reason": "mask: video cannot be opened (Invalid data found when processing input)",
        },
        {
            "video": "original/000",
            "frame": "",
            "reason": "video cannot be opened (Invalid data found when processing input)",
        },
        *({"video": "original/002", "frame": str(n), "reason": "no face found"} for n in (0, 2, 4, 7)),
    ]
    assert summary["failures"]["frames"] == 5
    assert summary["failures"]["videos"] == 2
    assert summary["faces"]["original"] == {"train": 4, "val": 4, "test": 8}
    clean = {face.key: face.crc32 for face in read_index(small_faces)}
    found = {face.key: face.crc32 for face in read_index(tmp_path / "out")}
    gone = {key for key in clean if key.startswith(("c23/original/000/", "c23/original/002/"))}
    assert set(found) == set(clean) - gone - {"c23/Deepfakes/004_005/0007"}
    assert all(crc == clean[key] for key, crc in found.items() if "004_005" not in key)


def test_a_tree_without_any_face_is_an_error_that_says_so(
    tree: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    for path in tree.rglob("*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no face in any of 18 videos, e\.g\. .*video cannot be opened"):
        make_faces(tree, tmp_path / "out", small_config, workers=1)
    assert not (tmp_path / "out").exists()


def test_deepfakedetection_becomes_crops_with_masks(
    small_tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    originals = tmp_path / "data/original_sequences/actors/c23/videos"
    forged = tmp_path / "data/manipulated_sequences/DeepFakeDetection"
    for folder in (originals, forged / "c23/videos", forged / "masks/videos"):
        folder.mkdir(parents=True)
    fake = small_tree / "manipulated_sequences/FaceSwap"
    shutil.copy(small_tree / "original_sequences/youtube/c23/videos/004.mp4", originals / "07__hugging_happy.mp4")
    for kind in ("c23", "masks"):
        shutil.copy(fake / kind / "videos/004_005.mp4", forged / kind / "videos/07_12__hugging_happy__1A2B3C4D.mp4")
    config = replace(small_config, methods=("DeepFakeDetection",))
    summary = make_faces(tmp_path / "data", tmp_path / "out", config, executor="serial")
    assert summary["identities"] == {"train": 0, "val": 0, "test": 2}
    # the clips' crops do not depend on their names
    crcs = {face.key.rpartition("/")[0]: face.crc32 for face in read_index(tmp_path / "out")}
    same = {face.key.rpartition("/")[0]: face.crc32 for face in read_index(small_faces)}
    assert crcs["c23/original/07__hugging_happy"] == same["c23/original/004"]
    assert crcs["c23/DeepFakeDetection/07_12__hugging_happy__1A2B3C4D"] == same["c23/FaceSwap/004_005"]
    assert len(read_masks(tmp_path / "out")) == 2
    assert (tmp_path / "out/DeepFakeDetection.json").exists()


def test_frames_per_second_takes_the_place_of_the_counts(
    small_tree: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    config = replace(small_config, methods=("Deepfakes",), frames_per_second=12.5)
    make_faces(small_tree, tmp_path / "out", config, workers=2)
    # 8 frames at 25 a second: every second one, of real and forged clips alike
    assert {face.frame for face in read_index(tmp_path / "out")} == {0, 2, 4, 6}
    assert len(read_index(tmp_path / "out")) == 12 * 4


def test_the_lbp_detector_crops_too(small_tree: Path, small_config: FacesConfig, tmp_path: Path) -> None:
    summary = make_faces(small_tree, tmp_path / "out", replace(small_config, detector="lbp"), workers=2)
    assert summary["failures"]["frames"] == 0
    assert {row["found"] for row in rows(tmp_path / "out/geometry.csv")} == {"none"}


def test_an_interrupted_run_goes_on(
    small_tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    out = tmp_path / "faces"
    (tmp_path / "params.yaml").write_text(
        "faces:\n  methods: [Deepfakes, FaceSwap]\n  size: 64\n  frames_real: 4\n  frames_fake: 2\n"
    )
    command = [sys.executable, "-m", "detector.cli", "faces", small_tree, out, "--workers", "1"]
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    work = tmp_path / ".faces.work"
    while run.poll() is None and len(list(work.glob("*.done"))) < 4:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not out.exists()
    finished = {path: path.stat().st_mtime_ns for path in work.glob("*.done")}
    assert len(finished) >= 4

    seen: dict[Path, int] = {}
    original = stage._load

    def load(path: Path) -> stage.Cropped:
        seen[path] = path.stat().st_mtime_ns
        return original(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_load", load)
        make_faces(small_tree, out, small_config, workers=2)
    assert len(seen) == 18
    assert {path: seen[path] for path in finished} == finished  # these were not made again
    same_files(out, small_faces)
    assert not work.exists()


class Job(NamedTuple):
    clip: Clip
    config: FacesConfig
    work: Path
    code: str


@pytest.fixture
def job(small_tree: Path, small_config: FacesConfig, tmp_path: Path) -> Job:
    return Job(find_clips(small_tree, "c23", ["Deepfakes"]).clips[0], small_config, tmp_path, "code")


def crop_clip(job: Job) -> Path:
    return finish(clip_task(job.clip, job.config, job.code), job.work)


def test_a_finished_clip_is_not_decoded_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    path = crop_clip(job)
    monkeypatch.setattr(stage, "_packed", None)  # would be called to write it again
    before = path.stat().st_mtime_ns
    assert crop_clip(job) == path
    assert path.stat().st_mtime_ns == before


def test_other_parameters_or_another_video_are_another_result(job: Job, tmp_path: Path) -> None:
    copy = tmp_path / "other.mp4"
    copy.write_bytes(job.clip.path.read_bytes() + b"\0")
    others = [
        job._replace(config=replace(job.config, size=32)),
        job._replace(config=replace(job.config, frames_fake=1, frames_real=1)),
        job._replace(config=replace(job.config, detector="lbp")),
        job._replace(clip=replace(job.clip, path=copy)),
        job._replace(code="other code"),
    ]
    assert len({crop_clip(other) for other in [job, *others]}) == 6
    # but not which other subsets are asked for
    assert crop_clip(job._replace(config=replace(job.config, methods=("Face2Face",)))) == crop_clip(job)


def test_a_damaged_intermediate_file_is_made_again(job: Job) -> None:
    path = crop_clip(job)
    whole = path.read_bytes()
    for damaged in (whole[:-40], whole[:300] + b"\xff" + whole[301:], b""):
        path.write_bytes(damaged)
        crop_clip(job)
        assert stage._stored(path, 0)[0].startswith(b"\x89PNG")
        assert is_whole(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"frame": 0', '"frame": "0"', r"cuts\[0\]\.frame must be a whole number"),
        ('"border"', '"bounds"', r"cuts\[0\]\.border is missing"),
        ('{"cuts"', '["cuts"', "not readable as JSON"),
        ('"found": "frame"', '"found": "../x"', r"cuts\[0\]\.found must be one of frame, clip, none"),
    ],
)
def test_an_intermediate_file_of_another_form_is_made_again(job: Job, old: str, new: str, message: str) -> None:
    path = crop_clip(job)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    described = members["cropped.json"].decode()
    assert old in described
    members["cropped.json"] = described.replace(old, new).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    remedy = "remove the file and run the command again"
    with pytest.raises(DataError, match=rf"done, cropped\.json: {message}.*; {remedy}"):
        stage._load(path)
    assert crop_clip(job) == path
    assert stage._load(path).failures == [] and path.read_bytes() == whole


def test_a_second_run_waits_for_the_first(
    small_tree: Path, small_config: FacesConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def finish() -> None:
        assert not (tmp_path / "faces").exists()
        first.release()

    first = Lock(tmp_path / ".faces.work.lock")
    assert first.try_acquire() is None
    threading.Timer(1, finish).start()
    make_faces(small_tree, tmp_path / "faces", replace(small_config, methods=("Deepfakes",)), workers=2)
    assert f"process {os.getpid()} is making {tmp_path / 'faces'}; waiting until it is done" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_a_folder_with_other_things_is_not_replaced(
    small_tree: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/thesis.txt").write_text("mine")
    config = replace(small_config, methods=("Deepfakes",))
    with pytest.raises(DataError, match=r"holds other files and no index\.csv"):
        make_faces(small_tree, tmp_path / "faces", config, workers=2)
    assert (tmp_path / "faces/thesis.txt").read_text() == "mine"


def test_an_older_output_is_replaced_whole(
    small_tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(small_faces, tmp_path / "faces"))
    (out / "faces-001.tar").write_bytes(b"of a larger run")
    make_faces(small_tree, out, small_config, workers=2)
    same_files(out, small_faces)
