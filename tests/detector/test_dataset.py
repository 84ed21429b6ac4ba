"""Real data in other layouts: persons, splits that share no person, and the whole pipeline in one command."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from detector import dataset
from detector.cli import cli
from detector.config import FacesConfig, Params, read_params
from detector.data import readers
from detector.data.celebdf import find_celebdf
from detector.data.dfdc import find_dfdc
from detector.data.folders import find_pictures
from detector.data.index import check_splits, read_index
from detector.data.inspect import unpack
from detector.data.layout import Clip
from detector.data.splitting import assign, drawn, read_identities
from detector.errors import DataError

SHORT = ["train.steps=4", "train.batch_size=8", "train.eval_every=2", "train.log_every=2", "train.conditions=[raw]"]
SHORT += ["conditions=[raw,30]", "evaluate.replicates=20", "faces.size=64", "faces.detector=haar"]


def put(root: Path, *names: str) -> Path:
    """Write files of different bytes, neither images nor videos by content, at *names* below *root*."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def refusal(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 1, done.output
    return done.output


def people(clips: tuple[Clip, ...]) -> dict[str, set[str]]:
    """Return the splits in which each person is seen."""
    found: dict[str, set[str]] = {}
    for clip in clips:
        for person in clip.identity.split("+"):
            found.setdefault(person, set()).add(clip.split)
    return found


# -- Celeb-DF ----------------------------------------------------------------------------------------------------------


def celebdf(root: Path, persons: int) -> Path:
    """Each person with two videos, swapped with the next three; 20 videos of YouTube; a list of test videos."""
    for n in range(persons):
        put(root, f"Celeb-real/id{n}_0000.mp4", f"Celeb-real/id{n}_0001.mp4")
        put(root, *(f"Celeb-synthesis/id{n}_id{(n + k) % persons}_0000.mp4" for k in (1, 2, 3)))
    put(root, *(f"YouTube-real/{n:05}.mp4" for n in range(20)))
    (root / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00003.mp4\n1 Celeb-real/id1_0001.mp4\n0 Celeb-synthesis/id1_id2_0000.mp4\n"
        "0 Celeb-synthesis/id77_id2_0009.mp4\n"
    )
    return root


def test_the_persons_of_celebdf_are_in_one_split_each(tmp_path: Path) -> None:
    tree = find_celebdf(celebdf(tmp_path, 200))
    by_video = {clip.video: clip for clip in tree.clips}
    one = next(clip for clip in tree.clips if clip.label)
    assert one.identity == "+".join(one.name.split("_")[:2])
    assert one.pair == one.name.split("_")[0]
    assert by_video["original/00007"].identity == "YouTube-real/00007"
    assert all(len(splits) == 1 for splits in people(tree.clips).values())
    assert {clip.split for clip in tree.clips} == {"train", "val", "test"}
    inside = sum(drawn(f"id{n}") == drawn(f"id{(n + k) % 200}") for n in range(200) for k in (1, 2, 3))
    assert sum(clip.label for clip in tree.clips) == inside
    text = "\n".join(tree.remarks)
    assert f"are left out: {600 - inside}" in text
    assert "the persons in 1020 videos are those in the names of Celeb-DF's files" in text
    assert "List_of_testing_videos.txt draws from the same persons" in text


def test_few_persons_of_celebdf_are_divided_by_who_is_swapped_with_whom(tmp_path: Path) -> None:
    for n in range(0, 12, 2):
        put(tmp_path, f"Celeb-real/id{n}_0000.mp4", f"Celeb-real/id{n + 1}_0000.mp4")
        put(tmp_path, f"Celeb-synthesis/id{n}_id{n + 1}_0000.mp4")
    tree = find_celebdf(tmp_path)
    assert len(tree.clips) == 18
    assert all(len(splits) == 1 for splits in people(tree.clips).values())
    labels = {split: {clip.label for clip in tree.clips if clip.split == split} for split in ("train", "val", "test")}
    assert all(classes == {0, 1} for classes in labels.values())


def test_persons_of_celebdf_can_be_given(tmp_path: Path) -> None:
    celebdf(tmp_path, 5)
    put(tmp_path, "splits/persons.json").joinpath("splits/persons.json").write_text(
        json.dumps({"train": ["id0", "id1"], "val": ["id2"], "test": ["id3", "id4"]})
    )
    split = {clip.name: clip.split for clip in find_celebdf(tmp_path).clips if clip.label}
    assert split == {"id0_id1_0000": "train", "id3_id4_0000": "test"}
    (tmp_path / "splits/persons.json").write_text(json.dumps({"train": ["id0"]}))
    with pytest.raises(DataError, match=r"persons.json: id1, who is in .*, is in none of its lists"):
        find_celebdf(tmp_path)


def test_the_published_test_videos_of_celebdf_alone(tmp_path: Path) -> None:
    listed = celebdf(tmp_path, 5) / "splits" / "List_of_testing_videos.txt"
    listed.parent.mkdir()
    shutil.copy(tmp_path / "List_of_testing_videos.txt", listed)
    clips = find_celebdf(tmp_path).clips
    assert {(clip.video, clip.split) for clip in clips} == {
        ("original/00003", "test"), ("original/id1_0001", "test"), ("Celeb-synthesis/id1_id2_0000", "test"),
    }  # fmt: skip
    listed.write_text("1 Celeb-synthesis/id1_id2_0000.mp4\n")
    with pytest.raises(DataError, match=r"line 1: expected a label \(1 real, 0 fake\)"):
        find_celebdf(tmp_path)


def test_frames_of_celebdf_are_read_as_their_video(tmp_path: Path) -> None:
    put(tmp_path, "Celeb-real/id0_0000/000.png", "Celeb-real/id0_0000/015.png", "Celeb-synthesis/id0_id1_0000/000.png")
    put(tmp_path, "Celeb-real/id0_0000/notes.txt")
    tree = find_celebdf(tmp_path)
    assert {clip.video: len(clip.pictures) for clip in tree.clips} == {
        "original/id0_0000": 2,
        "Celeb-synthesis/id0_id1_0000": 1,
    }
    assert any("1 files" in note and "notes.txt" in note for note in tree.notes)


def test_names_that_are_not_celebdfs_need_identities(tmp_path: Path) -> None:
    put(tmp_path, "Celeb-real/anna.mp4", "Celeb-synthesis/id0_id1_0000.mp4")
    with pytest.raises(DataError, match=r"anna.mp4: the name must be id0_0000 as in Celeb-DF; .* identities.csv"):
        find_celebdf(tmp_path)
    (tmp_path / "identities.csv").write_text("path,identity\nCeleb-real/anna.mp4,anna\n")
    assert {clip.identity for clip in find_celebdf(tmp_path).clips} == {"anna", "id0+id1"}


# -- DFDC --------------------------------------------------------------------------------------------------------------


def dfdc(root: Path, parts: int, originals: int = 4) -> Path:
    for part in range(parts):
        entries = {}
        for n in range(originals):
            entries[f"r{part}x{n}.mp4"] = {"label": "REAL", "split": "train", "original": None}
            entries[f"f{part}x{n}.mp4"] = {"label": "FAKE", "split": "train", "original": f"r{part}x{n}.mp4"}
        folder = root / f"dfdc_train_part_{part}" if parts > 1 else root
        put(folder, *entries)
        (folder / "metadata.json").write_text(json.dumps(entries))
    return root


def test_an_original_of_dfdc_and_its_fakes_are_one_identity_and_a_part_is_in_one_split(tmp_path: Path) -> None:
    tree = find_dfdc(dfdc(tmp_path, 12))
    by_video = {clip.video: clip for clip in tree.clips}
    assert by_video["fake/f3x1"].identity == by_video["original/r3x1"].identity == by_video["fake/f3x1"].pair == "r3x1"
    for part in range(12):
        assert len({clip.split for clip in tree.clips if f"{part}x" in clip.name and clip.name[1:-2] == str(part)}) == 1
    assert {clip.split for clip in tree.clips} == {"train", "val", "test"}
    assert "the actors in 96 videos are unknown" in "\n".join(tree.remarks)
    assert "all videos of a part are in one split: 12 parts" in tree.remarks


def test_one_folder_of_dfdc_is_split_by_original_with_a_message(tmp_path: Path) -> None:
    tree = find_dfdc(put(dfdc(tmp_path, 1, originals=9), "beside.mp4", "readme.txt"))
    assert all(len(splits) == 1 for splits in people(tree.clips).values())
    assert any("the same actor can be in two splits" in remark for remark in tree.remarks)
    assert any("2 files" in note and "beside.mp4" in note for note in tree.notes)
    (tmp_path / "f0x3.mp4").unlink()
    assert "metadata.json: 1 of 18 videos are not there" in find_dfdc(tmp_path).notes


def test_identities_overrule_the_originals_of_dfdc(tmp_path: Path) -> None:
    dfdc(tmp_path, 4)
    (tmp_path / "identities.csv").write_text(
        "path,identity\n" + "".join(f"dfdc_train_part_{n},actor{n % 3}\n" for n in range(4))
    )
    tree = find_dfdc(tmp_path)
    assert {clip.identity for clip in tree.clips} == {"actor0", "actor1", "actor2"}
    assert len({clip.split for clip in tree.clips if clip.identity == "actor0"}) == 1
    assert tree.remarks[0] == "identities.csv names the persons in 32 of 32 videos"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.mp4": {"label": "fake"}}, r"metadata.json: .*label.* FAKE"),
        ({"a.mp4": {"label": "FAKE"}, "b.mp4": {"label": "FAKE"}}, "only fake videos of those that"),
        ([], r"metadata.json: .*expected \{"),
    ],
)
def test_a_damaged_metadata_file_is_named(tmp_path: Path, content: object, message: str) -> None:
    put(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        find_dfdc(tmp_path)


def test_the_metadata_of_dfdc_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    put(tmp_path, "outside.mp4", "data/a.mp4", "data/b.mp4")
    entries = {"../outside.mp4": {"label": "REAL"}, "a.mp4": {"label": "REAL"}, "b.mp4": {"label": "FAKE"}}
    (tmp_path / "data" / "metadata.json").write_text(json.dumps(entries))
    assert {clip.name for clip in find_dfdc(tmp_path / "data").clips} == {"a", "b"}


# -- identities and small splits ---------------------------------------------------------------------------------------


def test_identities_of_a_file_are_used_and_those_from_names_are_reported(tmp_path: Path) -> None:
    put(tmp_path, "real/anna/1.png", "real/7.png", "real/8.png", "fake/7.png", "fake/8_7.png", "fake/fake_7.png")
    remarks = "\n".join(find_pictures(tmp_path).remarks)
    assert "2 fake files were put with real files of the same name" in remarks
    assert "(for example fake/7.png with real/7.png); identities.csv overrules it" in remarks
    (tmp_path / "identities.csv").write_text("path,identity\nreal/anna,anna\nfake/7.png,anna+ben\nreal/7.png,carl\n")
    found = find_pictures(tmp_path)
    assert {clip.video: clip.identity for clip in found.clips} == {
        "original/anna": "anna", "original/7": "carl", "original/8": "8", "fake/7": "anna+ben", "fake/8_7": "8",
        "fake/fake_7": "fake_7",
    }  # fmt: skip
    assert f"{tmp_path / 'identities.csv'} names the persons in 3 files" in found.remarks
    assert any("the persons in the other 3 are unknown" in remark for remark in found.remarks)
    check_splits(found.clips, tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("file,identity", "expected the columns path,identity, got"),
        ("path,identity\nreal/2.png,x", r"line 2: .*real/2.png: no such file or folder"),
        ("path,identity\n../x,x", "line 2: path must be a file or folder below"),
        ("path,identity\nreal/1.png,x+", r"line 2: identity must name one person, or several joined by \+, got"),
        ("path,identity\nreal/1.png,x\nreal/1.png,y", "line 3: real/1.png is listed twice, as x and as y"),
        ("path,identity\nreal/1.png", "line 2: expected 2 values, got 1"),
    ],
)
def test_a_mistake_in_the_identities_is_named_with_its_line(tmp_path: Path, lines: str, message: str) -> None:
    put(tmp_path, "real/1.png")
    (tmp_path / "identities.csv").write_text(lines + "\n")
    with pytest.raises(DataError, match=message):
        read_identities(tmp_path)


def test_a_few_files_are_divided_so_that_each_split_has_both_classes(tmp_path: Path) -> None:
    for n in range(3):
        put(tmp_path, f"real/r{n}.png", f"fake/f{n}.png")
    found = find_pictures(tmp_path)
    assert sorted((clip.split, clip.label) for clip in found.clips) == [
        (split, label) for split in ("test", "train", "val") for label in (0, 1)
    ]
    assert any("the units are divided in the order of the hashes" in remark for remark in found.remarks)
    (tmp_path / "fake/f2.png").unlink()  # too few for three splits: as the hashes say
    assert {clip.name: clip.split for clip in find_pictures(tmp_path).clips}["r0"] == drawn("r0")


def test_many_families_follow_their_hashes() -> None:
    labels = {f"p{n}": {n % 2} for n in range(400)}
    split, remarks = assign(labels)
    assert split == {name: drawn(name) for name in labels}
    assert remarks == []


# -- the command -------------------------------------------------------------------------------------------------------


def test_each_layout_has_its_reader(tmp_path: Path, small_tree: Path) -> None:
    assert readers.reader_of(celebdf(tmp_path / "celeb", 3)) == "celebdf"
    assert readers.reader_of(dfdc(tmp_path / "dfdc", 2)) == "dfdc"
    assert readers.reader_of(dfdc(tmp_path / "one", 1)) == "dfdc"
    assert readers.reader_of(put(tmp_path / "plain", "real/1.png")) == "folders"
    assert readers.reader_of(small_tree) == "faceforensics"


def test_show_prints_layout_persons_and_splits_and_writes_nothing(tmp_path: Path) -> None:
    data = celebdf(tmp_path / "celeb", 60)
    text = invoke("dataset", "show", data)
    assert text.startswith(f"{data}: Celeb-DF v2\n")
    assert "videos / files" in text
    assert "Celeb-synthesis" in text
    assert [path.name for path in tmp_path.iterdir()] == ["celeb"]


def test_a_dataset_file_of_deepfakebench_is_found(tmp_path: Path, small_faces: Path) -> None:
    unpack(small_faces, tmp_path / "rgb")
    assert "crops of DeepfakeBench" in invoke("dataset", "show", tmp_path / "rgb" / "FF-DF.json")
    jsons = tmp_path / "bench" / "dataset_json"
    jsons.mkdir(parents=True)
    shutil.copy(small_faces / "FF-DF.json", jsons)
    assert dataset.find(tmp_path / "bench").file == jsons / "FF-DF.json"
    shutil.copy(small_faces / "FF-FS.json", jsons)
    with pytest.raises(DataError, match=r"2 dataset files of DeepfakeBench; name one of them: .*FF-DF.json"):
        dataset.find(tmp_path / "bench")
    text = put(tmp_path, "notes.txt") / "notes.txt"
    assert "expected a folder, or a dataset file of DeepfakeBench (.json)" in refusal("dataset", "show", text)


def test_commands_are_those_of_the_pipeline_below_the_output(tmp_path: Path) -> None:
    data, out = dataset.Dataset(tmp_path / "photos"), tmp_path / "out"
    lines = {row.name: dataset.arguments(row, data, out, Params()) for row in dataset.STAGES}
    parameters = ["--params", str(out / "params.yaml")]
    assert lines["faces"] == ["detector", "faces", str(tmp_path / "photos"), str(out / "faces"), *parameters]
    assert lines["audit"][2:6] == [str(out / "faces"), str(out / "audit"), "--data", str(tmp_path / "photos")]
    assert lines["evaluate"][-5:] == ["--confidence", "0.95", "--seed", "1", "--quiet"]
    assert lines["train"][-4:] == ["--checkpoints", str(out / "checkpoints"), *parameters]
    crops = dataset.Dataset(tmp_path / "a.json", tmp_path / "a.json", tmp_path)
    assert "--data" not in dataset.arguments(dataset.stage("audit"), crops, out, Params())


def test_a_split_without_one_of_the_classes_ends_before_training(tmp_path: Path, face_photograph: np.ndarray) -> None:
    for n, name in enumerate(("train/real/a", "train/fake/b", "val/real/c", "test/real/d", "test/fake/e")):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.convertScaleAbs(face_photograph[..., ::-1], alpha=1 - 0.02 * n))
    out = tmp_path / "out"
    text = refusal("dataset", "add", tmp_path / "data", out, "--set", "faces.size=64", "--set", "faces.detector=haar")
    assert "val has no fake crops; each split needs both classes" in text
    assert read_params(out / "params.yaml").faces.size == 64
    assert len(read_index(out / "faces")) == 5


def ready(kind: str, root: Path, tree: Path, faces: Path) -> Path:
    """Write a small data set of *kind*, made of the clips of the small tree, and return what to add."""
    clips = sorted((tree / "original_sequences/youtube/c23/videos").iterdir())
    fakes = sorted((tree / "manipulated_sequences/Deepfakes/c23/videos").iterdir())
    if kind == "faceforensics":
        return tree
    if kind == "deepfakebench":
        unpack(faces, root)
        return root / "FF-DF.json"
    for n, (real, fake) in enumerate(zip(clips, fakes, strict=True)):
        places = {
            "plain": (f"real/p{n}.mp4", f"fake/q{n}.mp4"),
            "celebdf": (f"Celeb-real/id{n}_0000.mp4", f"Celeb-synthesis/id{n}_id{n ^ 1}_0000.mp4"),
            "dfdc": (f"part_{n // 2}/r{n}.mp4", f"part_{n // 2}/f{n}.mp4"),
        }[kind]
        for source, place in zip((real, fake), places, strict=True):
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / place)
    if kind == "dfdc":
        for part in range(3):
            entries = {f"r{n}.mp4": {"label": "REAL", "split": "train"} for n in (2 * part, 2 * part + 1)}
            entries |= {f"f{n}.mp4": {"label": "FAKE", "original": f"r{n}.mp4"} for n in (2 * part, 2 * part + 1)}
            (root / f"part_{part}" / "metadata.json").write_text(json.dumps(entries))
    return root


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("plain", marks=pytest.mark.slow(minutes=4)),
        *(
            pytest.param(kind, marks=pytest.mark.trial(minutes=4))
            for kind in ("faceforensics", "celebdf", "dfdc", "deepfakebench")
        ),
    ],
)
def test_one_command_makes_the_page(
    kind: str,
    tmp_path: Path,
    small_tree: Path,
    small_faces: Path,
) -> None:
    data, out = ready(kind, tmp_path / "data", small_tree, small_faces), tmp_path / "out"
    settings = [word for setting in SHORT for word in ("--set", setting)]
    invoke("dataset", "add", data, out, *settings)
    page = (out / "report" / "index.html").read_text()
    assert "different histories" in page
    assert json.loads((out / "audit" / "audit.json").read_text())["faces"]
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["split"], row["label"]) for row in rows} == {(s, label) for s in ("val", "test") for label in "01"}
    again = invoke("dataset", "add", data, out, *settings)
    assert again.count(": up to date") == len(dataset.STAGES)
    # another training parameter repeats training and what follows, and nothing else
    text = invoke("dataset", "add", data, out, *settings, "--set", "train.lr=0.001", "--until", "train")
    assert [line.split(":")[0] for line in text.splitlines() if line.endswith(": up to date")] == [
        "faces", "audit", "compress", "fidelity",
    ]  # fmt: skip


def test_the_table_of_results_is_printed_once(
    tmp_path: Path, small_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the report stage or, if that is up to date, by `evaluation show`."""
    called: list[str] = []

    def call(name: str, _words: Sequence[str]) -> None:
        called.append(name)
        for path in () if name == "show" else dataset.stage(name).outputs:
            dataset._placed(path, dataset.Dataset(small_tree), tmp_path / "out").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(dataset, "_call", call)
    monkeypatch.setattr(dataset, "_check_classes", lambda _: None)
    invoke("dataset", "add", small_tree, tmp_path / "out")
    assert called == list(dataset.NAMES)
    called.clear()
    invoke("dataset", "add", small_tree, tmp_path / "out")
    assert called == ["show"]


def test_the_default_face_detector_is_the_best_available() -> None:
    assert dataset._params((), None).faces.detector == "auto"
    assert dataset._params(("faces.detector=haar", "train.steps=7"), None) == dataset._params(
        ("train.steps=7", "faces.detector=haar"), None
    )
    assert FacesConfig().detector == "haar"


def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match="no known layout") as refused:
        readers.read_data(tmp_path, FacesConfig())
    assert all(reader.help in str(refused.value) for reader in readers.READERS.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model=meso5"], "unknown model 'meso5'; known models: "),
        (["model=efficientnet_b0", "train.meso.conv_activation=leaky_relu"], "efficientnet_b0 has no such setting"),
    ],
)
def test_settings_that_the_model_does_not_take_are_refused_before_the_faces(
    tmp_path: Path, small_tree: Path, settings: list[str], message: str
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    assert message in refusal("dataset", "add", small_tree, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()
