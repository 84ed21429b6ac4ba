"""The FaceForensics++ tree: clips found, messages for missing data, refused input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from detector.data.index import count_identities
from detector.data.layout import count, count_table, find_clips, read_actors, read_splits
from detector.errors import DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tree of two pairs with empty files in the place of videos."""
    root = tmp_path / "data"
    names = {"train": ["000", "003"], "val": ["010", "011"], "test": ["001", "002"]}
    (root / "splits").mkdir(parents=True)
    for split, (a, b) in names.items():
        (root / f"splits/{split}.json").write_text(json.dumps([[a, b]]))
        for method, clips in (("original", (a, b)), ("Deepfakes", (f"{a}_{b}", f"{b}_{a}"))):
            for clip in clips:
                folder = "original_sequences/youtube" if method == "original" else f"manipulated_sequences/{method}"
                for level in ("c23", "c40", "masks"):
                    path = root / folder / level / "videos" / f"{clip}.mp4"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
    return root


def test_every_clip_is_described(tree: Path) -> None:
    clips = find_clips(tree, "c23", ["Deepfakes"]).clips
    fake = next(clip for clip in clips if clip.name == "003_000")
    assert (fake.video, fake.method, fake.label) == ("Deepfakes/003_000", "Deepfakes", 1)
    assert (fake.identity, fake.pair, fake.split, fake.compression) == ("003+000", "000_003", "train", "c23")
    assert fake.path == tree / "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4"
    assert fake.mask == tree / "manipulated_sequences/Deepfakes/masks/videos/003_000.mp4"
    real = next(clip for clip in clips if clip.name == "002")
    assert (real.video, real.label, real.identity, real.pair) == ("original/002", 0, "002", "001_002")
    assert real.split == "test"
    assert real.mask is None


def test_counts_are_the_split_files_times_the_methods(tree: Path) -> None:
    counts = count(find_clips(tree, "c40", ["Deepfakes"]).clips)
    assert counts == {method: {"train": 2, "val": 2, "test": 2} for method in ("original", "Deepfakes")}
    persons = count_identities(find_clips(tree, "c40", ["Deepfakes"]).clips)
    faces = {"original": {"train": 32, "val": 32, "test": 31}, "Deepfakes": {"train": 16, "val": 16, "test": 0}}
    assert count_table(persons, counts, faces).splitlines() == [
        "videos / faces     train     val    test     all",
        "identities             2       2       2       6",
        "original          2 / 32  2 / 32  2 / 31  6 / 95",
        "Deepfakes         2 / 16  2 / 16   2 / 0  6 / 32",
    ]


def test_a_missing_subset_is_skipped_and_reported(tree: Path) -> None:
    found = find_clips(tree, "c23", ["Deepfakes", "NeuralTextures"])
    assert len(found.clips) == 12
    assert [note.split(":")[0] for note in found.notes] == ["NeuralTextures"]
    assert "skipped" in found.notes[0]


def test_missing_clips_are_counted(tree: Path) -> None:
    (tree / "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4").unlink()
    found = find_clips(tree, "c23", ["Deepfakes"])
    assert len(found.clips) == 11
    assert found.notes == ("Deepfakes: 1 of the 6 clips of the splits are not there",)


def test_a_fake_without_a_mask_has_none(tree: Path) -> None:
    shutil.rmtree(tree / "manipulated_sequences/Deepfakes/masks")
    assert {clip.mask for clip in find_clips(tree, "c23", ["Deepfakes"]).clips} == {None}


def break_tree(tree: Path, how: str) -> None:
    """Do to the tree what the name says."""
    splits = tree / "splits"
    if how == "no val.json":
        (splits / "val.json").unlink()
    elif how == "val.json is cut":
        (splits / "val.json").write_text('[["010"')
    elif how == "val.json is a list of ids":
        (splits / "val.json").write_text('["010", "011"]')
    elif how == "a person in two splits":
        (splits / "val.json").write_text('[["010", "011"], ["001", "012"]]')
    elif how == "a person of no split":
        (tree / "original_sequences/youtube/c23/videos/555.mp4").touch()
    elif how == "a fake across splits":
        (tree / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4").touch()
    elif how == "a strange name":
        (tree / "manipulated_sequences/Deepfakes/c23/videos/000.mp4").touch()
    elif how == "no videos":
        shutil.rmtree(tree / "original_sequences")
        shutil.rmtree(tree / "manipulated_sequences")
    elif how == "no folder":
        shutil.rmtree(tree)
    elif how == "not pulled":
        shutil.rmtree(tree)
        (tree.parent / "data.dvc").touch()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no val.json", "splits/val.json: no such file; FaceForensics++'s split files belong in"),
        ("val.json is cut", "splits/val.json: not readable as JSON"),
        ("val.json is a list of ids", "splits/val.json: [0] must be a list, got '010'; expected pairs of persons"),
        ("a person in two splits", "test.json: person 001 is already in val.json, paired with 012"),
        ("a person of no split", "555.mp4: person 555 is in none of"),
        ("a fake across splits", "000_001.mp4: its persons are in two splits, 000 in train and 001 in test"),
        ("a strange name", "Deepfakes/c23/videos/000.mp4: the name must be TARGET_SOURCE.mp4"),
        ("no videos", "data: no videos at compression 'c23'; there is no FaceForensics++ tree"),
        ("no folder", "data: no such folder; it should hold FaceForensics++"),
        ("not pulled", "data.dvc` to get it"),
    ],
)
def test_what_is_wrong_is_named(tree: Path, how: str, message: str) -> None:
    break_tree(tree, how)
    with pytest.raises(DataError) as error:
        find_clips(tree, "c23", ["Deepfakes"])
    assert message in str(error.value)


def test_an_unknown_compression_names_the_known_ones(tree: Path) -> None:
    with pytest.raises(DataError, match="no videos at compression 'raw'; there is c23, c40"):
        find_clips(tree, "raw", ["Deepfakes"])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("deepfakes", "'deepfakes' is unknown; FaceForensics\\+\\+ has Deepfakes, Face2Face"),
        ("DeepfakeDetection", "'DeepfakeDetection' is unknown; .*, FaceShifter, DeepFakeDetection"),
    ],
)
def test_an_unknown_method_is_named(tree: Path, method: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_clips(tree, "c23", [method])


def test_partners_are_mutual(tree: Path) -> None:
    partner, split = read_splits(tree / "splits")
    assert all(partner[partner[person]] == person for person in partner)
    assert all(split[partner[person]] == split[person] for person in partner)


REAL = ("01__kitchen_pan", "02__talking_against_wall", "03__exit_phone_room")
FAKE = ("01_02__kitchen_pan__A1B2C3D4", "02_01__talking_against_wall__EEFF0011", "03_01__exit_phone_room__0A0B0C0D")


@pytest.fixture
def acted(tree: Path) -> Path:
    """The tree with three actors of DeepFakeDetection and three forgeries, the first with a mask."""
    for folder, names in (
        ("original_sequences/actors/c23", REAL),
        ("manipulated_sequences/DeepFakeDetection/c23", FAKE),
        ("manipulated_sequences/DeepFakeDetection/masks", FAKE[:1]),
    ):
        for name in names:
            path = tree / folder / "videos" / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tree


def test_deepfakedetection_alone_is_all_test_and_needs_no_split_files(acted: Path) -> None:
    shutil.rmtree(acted / "splits")
    found = find_clips(acted, "c23", ["DeepFakeDetection"])
    assert {clip.video: clip.split for clip in found.clips} == {
        **{f"original/{name}": "test" for name in REAL},
        **{f"DeepFakeDetection/{name}": "test" for name in FAKE},
    }
    assert found.notes == ()
    assert found.remarks == (
        f"DeepFakeDetection and its actors: all in test, as there is no {acted / 'splits/actors.json'}",
    )
    fake = found.clips[3]
    assert (fake.name, fake.label, fake.identity, fake.pair) == (FAKE[0], 1, "actor01+actor02", "actor01")
    assert fake.mask == acted / f"manipulated_sequences/DeepFakeDetection/masks/videos/{FAKE[0]}.mp4"
    real = found.clips[0]
    assert (real.label, real.identity, real.pair, real.mask) == (0, "actor01", "actor01", None)


def test_all_methods_are_read_together_and_actors_are_not_youtube_persons(acted: Path) -> None:
    found = find_clips(acted, "c23", ["Deepfakes", "DeepFakeDetection"])
    assert count(found.clips) == {
        "original": {"train": 2, "val": 2, "test": 2 + 3},
        "DeepFakeDetection": {"train": 0, "val": 0, "test": 3},
        "Deepfakes": {"train": 2, "val": 2, "test": 2},
    }
    assert count_identities(found.clips) == {"train": 2, "val": 2, "test": 2 + 3}
    assert any("crop DeepFakeDetection into a folder of its own" in remark for remark in found.remarks)
    # without it in the list nothing of it is looked at
    assert len(find_clips(acted, "c23", ["Deepfakes"]).clips) == 12


def test_given_actor_splits_leave_out_forgeries_across_them(acted: Path) -> None:
    (acted / "splits/actors.json").write_text(json.dumps({"train": ["01", "02"], "test": ["03"], "val": []}))
    found = find_clips(acted, "c23", ["DeepFakeDetection"])
    assert {clip.name: clip.split for clip in found.clips} == {
        REAL[0]: "train", REAL[1]: "train", REAL[2]: "test", FAKE[0]: "train", FAKE[1]: "train",
    }  # fmt: skip
    assert found.remarks == (
        f"DeepFakeDetection: forgeries across the splits of {acted / 'splits/actors.json'} are left out: 1",
        "test: only real videos",
    )


def test_deepfakedetection_that_was_not_downloaded_is_skipped_and_reported(tree: Path) -> None:
    found = find_clips(tree, "c23", ["Deepfakes", "DeepFakeDetection"])
    assert len(found.clips) == 12
    assert [note.split(":")[0] for note in found.notes] == ["original (actors)", "DeepFakeDetection"]
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("actors", "message"),
    [
        ({"train": ["01", "02"]}, "03__exit_phone_room.mp4: actor 03 is in none of the lists of"),
        ({"train": ["01", "02"], "test": ["02", "03"]}, "actors.json: actor 02 is in train and in test"),
        ({"training": ["01"]}, 'actors.json: training is not a split; expected actors by split, {"train": ["01"'),
        ([["01", "02"]], "actors.json: expected a mapping, got [[\"01\", \"02\"]]; expected actors by split"),
    ],
)
def test_a_mistake_in_the_actors_splits_is_named(acted: Path, actors: object, message: str) -> None:
    (acted / "splits/actors.json").write_text(json.dumps(actors))
    with pytest.raises(DataError) as error:
        find_clips(acted, "c23", ["DeepFakeDetection"])
    assert message in str(error.value)


def test_another_name_among_the_actors_videos_is_refused(acted: Path) -> None:
    (acted / "original_sequences/actors/c23/videos/000_003.mp4").touch()
    with pytest.raises(DataError, match=r"000_003\.mp4: the name must be ACTOR__SCENE\.mp4 as in DeepFakeDetection"):
        find_clips(acted, "c23", ["DeepFakeDetection"])


def test_actors_are_read_by_split(tmp_path: Path) -> None:
    (tmp_path / "actors.json").write_text(json.dumps({"train": ["01", "05"], "val": [], "test": ["02"]}))
    assert read_actors(tmp_path / "actors.json") == {"01": "train", "05": "train", "02": "test"}


def test_a_tree_of_one_class_says_so(tree: Path) -> None:
    shutil.rmtree(tree / "manipulated_sequences")
    assert find_clips(tree, "c23", ["Deepfakes"]).remarks == tuple(
        f"{split}: only real videos" for split in ("train", "val", "test")
    )
