"""DeepfakeBench's files: reading its own files, and the files that we write for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.data.deepfakebench import read_deepfakebench, write_deepfakebench
from detector.data.index import Face, read_index, read_masks
from detector.errors import DataError

LABELS = {"FF-real": 0, "FF-DF": 1, "FF-FS": 1}  # DeepfakeBench's label_dict


def test_ours_has_deepfakebenchs_nesting(small_faces: Path) -> None:
    content = json.loads((small_faces / "FF-DF.json").read_text())
    assert list(content) == ["FF-DF", "root"]
    video = content["FF-DF"]["FF-DF"]["val"]["c23"]["002_003"]
    folder = "FaceForensics++/manipulated_sequences/Deepfakes/c23"
    assert video == {
        "label": "FF-DF",
        "frames": [f"{folder}/frames/002_003/0000.png", f"{folder}/frames/002_003/0007.png"],
        "masks": [f"{folder}/masks/002_003/0000.png", f"{folder}/masks/002_003/0007.png"],
    }
    real = content["FF-DF"]["FF-real"]["test"]["c23"]["004"]
    assert real["label"] == "FF-real"
    assert real["frames"][0] == "FaceForensics++/original_sequences/youtube/c23/frames/004/0000.png"
    assert {split: list(levels) for split, levels in content["FF-DF"]["FF-real"].items()} == {
        split: ["c23"] for split in ("train", "val", "test")
    }


def face(video: str, compression: str = "c23", split: str = "test", frame: int = 3) -> Face:
    """Return the row of one crop; what does not matter here is the same for all."""
    method, _, name = video.partition("/")
    return Face(
        key=f"{compression}/{video}/{frame:04d}", video=video, compression=compression, frame=frame, method=method,
        identity=name, pair=name, split=split, label=int(method != "original"),
        shard="faces-000.tar", offset=512, size=9, crc32="0badcafe",
    )  # fmt: skip


def test_actors_and_deepfakedetection_are_a_dataset_of_their_own(tmp_path: Path) -> None:
    videos = (
        "original/953",
        "Deepfakes/953_974",
        "original/01__kitchen_pan",
        "DeepFakeDetection/01_02__kitchen_pan__A1",
    )
    written = write_deepfakebench(tmp_path, [face(video) for video in videos])
    assert {path.stem for path in written} == {"FF-DF", "FaceForensics++", "DeepFakeDetection"}
    content = json.loads((tmp_path / "DeepFakeDetection.json").read_text())["DeepFakeDetection"]
    root = "FaceForensics++"
    assert {label: splits["test"] for label, splits in content.items()} == {
        "DFD_real": {"c23": {"01__kitchen_pan": {
            "label": "DFD_real", "frames": [f"{root}/original_sequences/actors/c23/frames/01__kitchen_pan/0003.png"],
        }}},
        "DFD_fake": {"c23": {"01_02__kitchen_pan__A1": {
            "label": "DFD_fake", "masks": [],
            "frames": [f"{root}/manipulated_sequences/DeepFakeDetection/c23/frames/01_02__kitchen_pan__A1/0003.png"],
        }}},
    }  # fmt: skip
    # the actors are no originals of FaceForensics++'s own datasets
    assert {video.name for video in read_deepfakebench(tmp_path / "FF-DF.json")} == {"953", "953_974"}


def test_what_came_from_plain_folders_is_the_dataset_given(tmp_path: Path) -> None:
    faces = [face("original/a__b", "given"), face("StyleGAN2/c", "given", "train")]
    (path,) = write_deepfakebench(tmp_path, faces)
    fake, real = read_deepfakebench(path)
    assert (fake.dataset, fake.label, fake.split, fake.compression) == ("Given", "Given_StyleGAN2", "train", "given")
    assert (real.label, real.name) == ("Given_real", "a__b")
    assert real.frames == (tmp_path / "Given/original/given/frames/a__b/0003.png",)


def test_deepfakebenchs_own_reading_finds_every_frame(small_faces: Path) -> None:
    # the loop of its abstract_dataset.py (collect_img_and_label_for_one_dataset), for each mode
    for name, label in (("FF-DF", "FF-DF"), ("FF-FS", "FF-FS")):
        content = json.loads((small_faces / f"{name}.json").read_text())
        for mode in ("train", "val", "test"):
            images, labels = [], []
            for sub_dataset in content[name]:
                for info in content[name][sub_dataset][mode]["c23"].values():
                    images += info["frames"]
                    labels += [LABELS[info["label"]]] * len(info["frames"])
            assert (labels.count(0), labels.count(1)) == (8, 4)
            assert all(image.replace("frames", "masks") != image for image in images)
            assert label in content[name]


def test_what_is_written_reads_back(small_faces: Path, tmp_path: Path) -> None:
    faces, masks = read_index(small_faces), read_masks(small_faces)
    written = write_deepfakebench(tmp_path, faces, masks.keys())
    assert [path.name for path in written] == ["FF-DF.json", "FF-FS.json", "FaceForensics++.json"]
    videos = read_deepfakebench(tmp_path / "FaceForensics++.json")
    short = {"original": "FF-real", "Deepfakes": "FF-DF", "FaceSwap": "FF-FS"}
    assert {(v.split, v.compression, v.label, v.name) for v in videos} == {
        (face.split, face.compression, short[face.method], face.video.split("/")[1]) for face in faces
    }
    assert all(path.is_relative_to(tmp_path) for video in videos for path in video.frames)


def test_a_given_root_takes_precedence(small_faces: Path) -> None:
    video = read_deepfakebench(small_faces / "FF-DF.json", root="/elsewhere")[0]
    assert str(video.frames[0]).startswith("/elsewhere/FaceForensics++/")


def test_theirs_is_read_with_absolute_and_windows_paths_in_any_order(tmp_path: Path) -> None:
    # as rearrange.py writes: os.scandir's order, the machine's paths
    theirs = {
        "FF-DF": {
            "FF-real": {"train": {"c23": {}}, "test": {"c23": {"953": {
                "label": "FF-real",
                "frames": ["/data/FF/c23/frames/953/100.png", "/data/FF/c23/frames/953/012.png"],
            }}}},
            "FF-DF": {"test": {"c23": {"974_953": {
                "label": "FF-DF", "frames": ["FF\\c23\\frames\\974_953\\000.png"], "masks": [],
            }}}},
        }
    }  # fmt: skip
    path = tmp_path / "FF-DF.json"
    path.write_text(json.dumps(theirs))
    fake, real = read_deepfakebench(path)
    assert (real.dataset, real.label, real.split, real.compression) == ("FF-DF", "FF-real", "test", "c23")
    assert real.name == "953"
    assert [p.name for p in real.frames] == ["012.png", "100.png"]
    assert real.frames[0] == Path("/data/FF/c23/frames/953/012.png")
    assert fake.frames == (tmp_path / "FF/c23/frames/974_953/000.png",)


def test_datasets_without_levels_of_compression_are_read(tmp_path: Path) -> None:
    path = tmp_path / "Celeb-DF-v2.json"
    video = {"label": "CelebDFv2_real", "frames": ["a/1.png"]}
    path.write_text(json.dumps({"Celeb-DF-v2": {"CelebDFv2_real": {"test": {"id0_0000": video}}}}))
    (found,) = read_deepfakebench(path)
    assert (found.compression, found.name, found.frames) == (None, "id0_0000", (tmp_path / "a/1.png",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a mapping, got []; expected {dataset: {label: {split: "),
        ({"A": 1}, "A must be a mapping, got 1"),
        ({"A": {"real": {"test": [1]}}}, "A.real.test must be a mapping, got [1]"),
        ({"A": {"real": {"test": {"c23": {"v": {"label": "real"}}}}}}, "A.real.test.c23.v.frames is missing"),
    ],
)
def test_another_form_is_refused_with_its_place(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        read_deepfakebench(path)
    assert message in str(error.value)
