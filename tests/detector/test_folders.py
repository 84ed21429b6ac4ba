"""Plain folders of real and fake files: groups, disjoint splits, refused input."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from detector.cli import cli
from detector.config import FacesConfig
from detector.data.faces import make_faces
from detector.data.folders import find_pictures, is_plain
from detector.data.index import check_splits, read_index
from detector.data.inspect import unpack, verify
from detector.data.layout import Clip
from detector.data.pack import pack_deepfakebench
from detector.data.png import encode_png
from detector.errors import DataError


def put(root: Path, *names: str) -> Path:
    """Write files of different bytes, no images, at *names* below *root*."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def by_video(root: Path) -> dict[str, Clip]:
    return {clip.video: clip for clip in find_pictures(root).clips}


def split_of(name: str) -> str:
    """Return the split of a group by the stated rule: the first 48 bits of SHA-256 as a part of 1."""
    part = int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12
    return "train" if part < 0.72 else "val" if part < 0.86 else "test"


def write_manifest(root: Path, *lines: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_folder_is_a_group_and_a_single_file_is_one_too(tmp_path: Path) -> None:
    put(tmp_path, "real/anna/b/2.jpg", "real/anna/1.png", "real/7.JPG", "fake/anna/x.png", "fake/7.png", "fake/8.mp4")
    clips = by_video(tmp_path)
    assert {video: clip.identity for video, clip in clips.items()} == {
        "original/anna": "anna", "original/7": "7", "fake/anna": "anna", "fake/7": "7", "fake/8": "8",
    }  # fmt: skip
    anna = clips["original/anna"]
    assert anna.pictures == (tmp_path / "real/anna/1.png", tmp_path / "real/anna/b/2.jpg")
    assert (anna.label, anna.compression, anna.method, anna.mask) == (0, "given", "original", None)
    assert clips["fake/8"].pictures == ()
    assert clips["fake/8"].path == tmp_path / "fake/8.mp4"
    # real and fake of one group are in one split: that of the group's name
    assert {video: clip.split for video, clip in clips.items()} == {
        video: split_of(clip.identity) for video, clip in clips.items()
    }


def test_more_files_move_no_group_to_another_split(tmp_path: Path) -> None:
    names = [f"{kind}/{i:03}.png" for kind in ("real", "fake") for i in range(600)]
    few = by_video(put(tmp_path / "few", *names[:80], *names[600:680]))
    many = by_video(put(tmp_path / "many", *names))
    assert all(many[video].split == clip.split for video, clip in few.items())
    shares = [sum(clip.split == split for clip in many.values()) / 1200 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.72, 0.14, 0.14], abs=0.06)
    check_splits(many.values(), tmp_path)


def test_persons_who_are_seen_together_stay_together(tmp_path: Path) -> None:
    # a chain: 0 with 1, 1 with 2, ... though their names alone would be drawn into all three splits
    chain = [f"fake/p{i}+p{i + 1}/x.png" for i in range(20)]
    clips = by_video(put(tmp_path, "real/p0/1.png", "real/p20/1.png", *chain)).values()
    assert {split_of(f"p{i}") for i in range(21)} == {"train", "val", "test"}
    assert len({clip.split for clip in clips}) == 1
    assert {clip.pair for clip in clips} == {"p0"}


def test_a_fake_between_two_real_groups_shows_both(tmp_path: Path) -> None:
    # as the frames of FaceForensics++ are often laid out
    pairs = [(f"{i:03}", f"{i + 1:03}") for i in range(0, 40, 2)]
    reals = [f"real/{name}/0.png" for pair in pairs for name in pair]
    clips = by_video(put(tmp_path, *reals, *(f"fake/{a}_{b}/0.png" for a, b in pairs), "fake/x_y/0.png"))
    for a, b in pairs:
        assert clips[f"fake/{a}_{b}"].identity == f"{a}+{b}"
        assert len({clips[video].split for video in (f"fake/{a}_{b}", f"original/{a}", f"original/{b}")}) == 1
    assert clips["fake/x_y"].identity == "x_y"
    # in given splits, single files: those of the same split
    put(tmp_path / "given", "train/real/7.png", "train/fake/7_8.png", "test/real/8.png", "test/fake/9.png")
    given = by_video(tmp_path / "given")
    assert given["fake/train/7_8"].identity == "train/7"


def test_the_same_bytes_under_two_names_stay_together(tmp_path: Path) -> None:
    put(tmp_path, "fake/x.png", *(f"real/{i}.png" for i in range(30)))
    for i in range(30):
        (tmp_path / f"real/{i}.png").write_bytes(b"one image")
    clips = [clip for video, clip in by_video(tmp_path).items() if video.startswith("original")]
    assert len({split_of(clip.identity) for clip in clips}) == 3
    assert len({clip.split for clip in clips}) == 1


def test_given_splits_are_kept(tmp_path: Path) -> None:
    put(
        tmp_path,
        *(f"{s}/{c}/{s}-{i}/{c}.png" for s in ("train", "val", "test") for c in ("real", "fake") for i in "ab"),
    )
    found = find_pictures(tmp_path)
    assert {clip.identity: clip.split for clip in found.clips} == {
        f"{split}-{i}": split for split in ("train", "val", "test") for i in "ab"
    }
    assert len(found.clips) == 12


def test_equal_file_names_in_two_splits_are_different_people_with_a_message(tmp_path: Path) -> None:
    put(tmp_path, *(f"{split}/{kind}/001.png" for split in ("train", "test") for kind in ("real", "fake")))
    found = find_pictures(tmp_path)
    assert sorted((clip.video, clip.identity, clip.split) for clip in found.clips) == [
        ("fake/test/001", "test/001", "test"),
        ("fake/train/001", "train/001", "train"),
        ("original/test/001", "test/001", "test"),
        ("original/train/001", "train/001", "train"),
    ]
    assert "1 names of single files are in two splits, e.g. 001; taken as different people" in found.remarks


def test_a_manifest_says_who_is_shown_and_by_which_method(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/2.png", "b/1.jpg", "c.mp4", "d.png")
    write_manifest(
        tmp_path,
        "path,label,method,video,identity,split",
        "a/2.png,real,,walk,anna,train",
        "a/1.png,0,original,walk,anna,train",
        "b/1.jpg,fake,StyleGAN2,,anna+ben,train",
        "c.mp4,1,FaceSwap,,carl,test",
        "d.png,real,,,carl,test",
    )
    found = {
        clip.video: (clip.method, clip.identity, clip.split, len(clip.pictures))
        for clip in find_pictures(tmp_path).clips
    }
    assert found == {
        "original/walk": ("original", "anna", "train", 2),
        "StyleGAN2/b/1": ("StyleGAN2", "anna+ben", "train", 1),
        "FaceSwap/c": ("FaceSwap", "carl", "test", 0),
        "original/d": ("original", "carl", "test", 1),
    }


def test_a_manifest_without_splits_draws_them_by_identity(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(40)]
    put(tmp_path, *names)
    lines = [f"{name},{'real' if i % 2 else 'fake'},person{i // 4}" for i, name in enumerate(names)]
    clips = find_pictures(write_manifest(tmp_path, "path,label,identity", *lines)).clips
    assert all(clip.split == split_of(clip.identity) for clip in clips)
    assert len({clip.identity for clip in clips}) == 10


def test_a_manifest_without_identities_is_used_with_a_message(tmp_path: Path) -> None:
    put(tmp_path, "real/7.png", "fake/7.png", "fake/8.png")
    write_manifest(
        tmp_path, "path,label,video,identity", "real/7.png,real,,", "fake/7.png,fake,v,", "fake/8.png,fake,v,"
    )
    found = find_pictures(tmp_path)
    assert {clip.identity for clip in found.clips} == {"real/7", "v"}
    assert "the persons in 2 videos and images are unknown: each counts as one identity" in found.remarks


def test_a_manifest_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.png").joinpath("manifest.csv").write_bytes("path,label\nä.png,real\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"manifest\.csv: not UTF-8 text: byte 11 is 0xe4"):
        find_pictures(tmp_path)


MANIFESTS = [
    (
        ["path,lable", "a.png,real"],
        "expected the columns path, label and optionally method, video, identity, split; u",
    ),
    (["path", "a.png"], "identity, split; got 'path'"),
    (["path,label", "a.png,real,x"], "line 2: expected 2 values, got 3"),
    (["path,label", "a.png"], "line 2: expected 2 values, got 1"),
    (["path,label", "a.png,true"], "line 2: label must be real or fake, got 'true'"),
    (["path,label", "b.png,real", "no.png,fake"], "no.png: no such file"),
    (["path,label", "../a.png,real"], "line 2: path must be a file below"),
    (["path,label", "manifest.csv,real"], "line 2: manifest.csv: neither an image nor a video"),
    (["path,label", "a.png,real", "a.png,fake"], "a.png is listed twice"),
    (
        ["path,label,method", "a.png,real,FaceSwap"],
        "line 2: method must name a forgery, and be empty for real files",
    ),
    (["path,label,split", "a.png,real,dev"], "line 2: split must be one of train, val, test, got 'dev'"),
    (["path,label,split", "a.png,real,train", "b.png,fake,"], "some lines have a split and some have none"),
    (
        ["path,label,video", "a.png,real,v", "b.png,fake,w", "c.mp4,fake,w"],
        "the column video applies to images, but c.mp4 is a video",
    ),
    (["path,label,video,identity", "a.png,fake,v,x", "b.png,fake,v,y", "d.png,real,,"], "has identity 'y' and"),
    (["path,label", "a.png,real"], "only real images; both"),
    (["path,label"], "no images; both"),
]


@pytest.mark.parametrize(("lines", "message"), MANIFESTS)
def test_a_mistake_in_a_manifest_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    put(tmp_path, "a.png", "b.png", "c.mp4", "d.png")
    write_manifest(tmp_path, *lines)
    with pytest.raises(DataError) as error:
        find_pictures(tmp_path)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_person_in_two_given_splits_is_refused_with_both_videos(tmp_path: Path) -> None:
    put(tmp_path, "train/real/anna/1.png", "train/fake/x.png", "test/fake/anna+ben/2.png")
    with pytest.raises(
        DataError, match=r": identity anna is in split test \(fake/anna\+ben\) and in train \(original/anna"
    ):
        make_faces(tmp_path, tmp_path / "out", FacesConfig(), executor="serial")


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("real/a.png", "fake/b.png", "are the same file, labelled real and fake; remove one"),
        ("train/real/a.png", "test/real/b.png", "are the same file, in the splits train and test; remove one"),
    ],
)
def test_identical_files_on_both_sides_are_refused(tmp_path: Path, one: str, other: str, message: str) -> None:
    top = one.split("/")[0] if one.startswith("train") else ""
    put(tmp_path, f"{top}/real/r.png".lstrip("/"), f"{top}/fake/f.png".lstrip("/"), one, other)
    for name in (one, other):
        (tmp_path / name).write_bytes(b"the same")
    with pytest.raises(DataError) as error:
        find_pictures(tmp_path)
    assert message in str(error.value)
    assert one in str(error.value)
    assert other in str(error.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["real/a.png", "real/b.png"], "only real images; both "),
        (["fake/a.png"], "only fake images; both "),
        (["real/notes.txt", "fake/notes.txt"], "no images; both "),
        (["real/a.png", "fake/b.png", "train/real/c.png"], "has train/ and real/ beside it"),
        (["real/a.png", f"fake/{'x' * 99}.png"], "bytes too long; rename it"),
        (["real/a.png", "fake/v.mp4", "fake/v.avi"], "has the same name as"),
        (["real/a.png", "fake/v.mp4", "fake/v/1.png"], "has the same name as"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError) as error:
        find_pictures(put(tmp_path, *names))
    assert message in str(error.value)


def test_other_files_are_left_out_and_reported(tmp_path: Path) -> None:
    found = find_pictures(put(tmp_path, "real/a.png", "fake/b.png", "fake/readme.txt", "fake/c.doc"))
    assert len(found.clips) == 2
    assert (
        f"2 files in {tmp_path} are not read (neither images nor videos; 1 .doc, 1 .txt): fake/c.doc, fake/readme.txt"
        in found.remarks
    )
    assert any("the persons are unknown: each of 2 groups" in remark for remark in found.remarks)


def test_a_split_of_one_class_is_reported(tmp_path: Path) -> None:
    put(tmp_path, "train/real/a.png", "train/fake/b.png", "test/fake/c.png")
    assert "test: only fake videos" in find_pictures(tmp_path).remarks


def test_a_faceforensics_tree_is_no_plain_folder(small_tree: Path, tmp_path: Path) -> None:
    assert not is_plain(small_tree)
    assert is_plain(put(tmp_path, "test/fake/a.png"))


@pytest.fixture(scope="module")
def pictures(
    face_photograph: np.ndarray, tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]
) -> Path:
    """Real and fake images and a video of one photograph; one image is cut off, one shows no face."""
    root = tmp_path_factory.mktemp("pictures") / "data"
    for i, name in enumerate(
        ("train/real/anna/1.jpg", "train/real/anna/2.png", "test/real/ben.png", "val/real/carl.png")
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.clip(face_photograph[..., ::-1] * (0.8 + 0.05 * i), 0, 255).astype(np.uint8))
    for split, name in (("train", "anna"), ("test", "ben"), ("val", "carl")):
        blurred = cv2.GaussianBlur(face_photograph, (0, 0), 1 + 0.2 * len(split))
        path = root / split / "fake" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(blurred))
    whole = (root / "train/real/anna/2.png").read_bytes()
    (root / "train/real/anna/3.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/real/anna/4.png").write_bytes(encode_png(np.full((240, 320, 3), 90, np.uint8)))
    write_video(root / "train/fake/clip.mp4", [np.roll(face_photograph, i, axis=1) for i in range(4)])
    return root


@pytest.fixture(scope="module")
def cropped(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "faces"
    make_faces(pictures, out, FacesConfig(size=64, frames_fake=2), workers=2)
    return out


def test_images_and_videos_become_packed_crops(cropped: Path) -> None:
    assert verify(cropped) == (9, [])
    assert [(face.key, face.split, face.label) for face in read_index(cropped)] == [
        ("given/fake/test/ben/0000", "test", 1),
        ("given/fake/train/anna/0000", "train", 1),
        ("given/fake/train/clip/0000", "train", 1),
        ("given/fake/train/clip/0003", "train", 1),
        ("given/fake/val/carl/0000", "val", 1),
        ("given/original/anna/0000", "train", 0),
        ("given/original/anna/0001", "train", 0),
        ("given/original/test/ben/0000", "test", 0),
        ("given/original/val/carl/0000", "val", 0),
    ]


def test_an_image_that_cannot_be_used_is_listed_by_its_name(cropped: Path) -> None:
    with (cropped / "failures.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["video", "frame", "reason"],
            ["original/anna", "3.png", "the PNG file ends too early"],
            ["original/anna", "4.png", "no face found"],
        ]
    with (cropped / "sources.csv").open(newline="") as file:
        sources = dict(list(csv.reader(file))[1:])
    assert sources["given/original/anna/0001"] == "train/real/anna/2.png"
    assert sources["given/fake/val/carl/0000"] == "val/fake/carl.png"
    assert sources["given/fake/train/clip/0003"] == "train/fake/clip.mp4"
    assert list(sources) == [face.key for face in read_index(cropped)]


def test_crops_of_plain_folders_unpack_and_pack_again(cropped: Path, tmp_path: Path) -> None:
    unpack(cropped, tmp_path / "loose")
    pack_deepfakebench(tmp_path / "loose/Given.json", tmp_path / "again")
    before, after = read_index(cropped), read_index(tmp_path / "again")
    assert [(f.key, f.crc32, f.split, f.label) for f in after] == [(f.key, f.crc32, f.split, f.label) for f in before]


def test_the_command_prints_remarks_counts_and_failures(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("faces:\n  size: 32\n  frames_fake: 1\n")
    out = tmp_path / "faces"
    params = ["--params", str(tmp_path / "params.yaml"), "--workers", "1"]
    done = CliRunner(catch_exceptions=False).invoke(cli, ["faces", str(pictures), str(out), *params])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if not line.startswith("faces:")]
    assert lines[0].startswith("the persons are unknown: each of 5 groups")
    assert lines[1].startswith("2 fake files were put with real files of the same name, in one identity and split (for")
    assert lines[2:] == [
        f"{out}:",
        "videos / faces     train     val    test     all",
        "identities             3       1       1       5",
        "original           1 / 2   1 / 1   1 / 1   3 / 4",
        "fake               2 / 2   1 / 1   1 / 1   4 / 4",
        f"without a crop: 2 frames, 0 videos; see {out}/failures.csv",
    ]


def test_images_without_any_face_end_the_run_with_a_remedy(tmp_path: Path) -> None:
    put(tmp_path / "data", "real/a.png", "fake/b.png")
    with pytest.raises(
        DataError, match=r"no face in any of 2 videos, e\.g\. fake/b, b\.png: not an image .*; try another faces"
    ):
        make_faces(tmp_path / "data", tmp_path / "out", FacesConfig(), executor="serial")
    assert not (tmp_path / "out").exists()
