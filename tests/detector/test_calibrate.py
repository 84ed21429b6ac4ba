"""The calibration of `detector plan`: rates of stages whose costs are known, and measurements of some stages."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from detector.config import FacesConfig, Params
from detector.data.index import read_index
from detector.data.layout import Clip, Tree
from detector.data.readers import read_data
from detector.data.work import Task
from detector.errors import DataError
from detector.planning import calibrate
from detector.planning.calibrate import Timed, Used
from detector.planning.cost import BYTES, StageRates

START, TASK, UNIT, FIXED, OWN = 4.0, 0.5, 0.01, 0.25, 0.002  # seconds of a process, a task, its units, and beside tasks
CONDITIONS = ("raw", "77", "10")


def examine_files(_: object) -> bytes:
    return b""


def examine_crops(_: object) -> bytes:
    return b""


class Chain(calibrate._Chain):
    """A chain whose stages take known seconds for tasks of so many *crops*."""

    def __init__(self, *crops: int, val: int = 0, params: Params | None = None) -> None:
        self.tasks, self.val = crops, val
        self.params = self.written = params or Params(conditions=CONDITIONS)  # the latter are in the file params.yaml

    def summary_crops(self) -> int:
        return sum(self.tasks)

    def crops(self, *_: str) -> int:
        return self.val

    def timed(self, stage: str) -> Timed:
        if stage == "train":
            return Timed(FIXED + self.trained(self.params), 0.0, [])
        rows = []
        for number in self.tasks:
            crops = [""] * number
            argument = {"compress": ("", crops), "fidelity": ("", crops, CONDITIONS)}.get(
                stage, ("", crops, "", CONDITIONS)
            )
            units = number * (len(CONDITIONS) if stage in ("fidelity", "score") else 1)
            rows.append((Task("", "", examine_crops, argument), TASK + UNIT * units, 0.0))
        if stage == "audit":
            rows = [(task, UNIT * len(task.argument[1]), 0.0) for task, *_ in rows]
            rows += [(Task("", "", examine_files, ("", ["a", "b"])), 2 * TASK, 0.0)]
        units = sum(self.tasks) * (len(CONDITIONS) if stage in ("fidelity", "score") else 1)
        return Timed(sum(seconds for _, seconds, _ in rows) + FIXED + OWN * units, 0.0, rows)

    def trained(self, params: Params) -> float:
        """A step costs UNIT an image, the validation OWN a crop and condition."""
        return UNIT * params.train.batch_size * params.train.steps + OWN * self.val * len(CONDITIONS)

    def started(self, stage: str) -> Used:
        used = FIXED + self.trained(self.written) if stage == "train" else self.timed(stage).seconds
        return Used(START + used, 1 << 30)


def seconds(rates: dict[str, object]) -> dict[str, float]:
    return {name: rate.seconds for name, rate in rates.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("stage", "unit"), [("compress", "crops"), ("fidelity", "crop-conditions"), ("explain", "crop-conditions")]
)
def test_start_tasks_and_units_are_told_apart(stage: str, unit: str) -> None:
    found: StageRates = calibrate._MEASURED[stage](Chain(10, 6), Chain(20, 8, 4))
    assert found.start == pytest.approx(START + FIXED)
    assert seconds(found.tasks) == pytest.approx({"tasks": TASK, unit: UNIT})
    assert seconds(found.serial) == pytest.approx({unit: OWN})
    assert (found.memory, found.gpu) == (1 << 30, {})


def test_scoring_is_measured_with_full_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    many: list[Chain] = []
    monkeypatch.setattr(calibrate, "_more_crops", lambda large: many.append(large) or Chain(120, 24))
    large = Chain(20, 4)
    found = calibrate._MEASURED["score"](Chain(10), large)
    assert many == [large]
    assert found.tasks["tasks"].n == 5
    assert seconds(found.tasks) == pytest.approx({"tasks": TASK, "crop-conditions": UNIT})
    assert found.start == pytest.approx(START + FIXED)


def test_the_audit_has_rates_for_files_crops_and_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_more_crops", lambda _: Chain(200, 40))
    monkeypatch.setattr(calibrate, "HASHES", 64)
    found = calibrate._MEASURED["audit"](Chain(10, 6), Chain(20, 20))
    assert found.start == pytest.approx(START + FIXED)
    assert set(found.tasks) == {"files", "crops", "pairs"}
    assert (found.tasks["files"].seconds, found.tasks["crops"].seconds) == pytest.approx((TASK, UNIT))
    assert seconds(found.serial) == pytest.approx({"crops": OWN})


def test_training_costs_images_and_validated_crops() -> None:
    params = Params(conditions=CONDITIONS)
    params = dataclasses.replace(params, train=dataclasses.replace(params.train, steps=calibrate.STEPS[0]))
    small, large = Chain(val=6, params=params), Chain(val=26, params=params)
    found = calibrate._MEASURED["train"](small, large)
    assert small.params.train.steps == calibrate.STEPS[1]
    assert seconds(found.serial) == pytest.approx({"images": UNIT, "crop-conditions": OWN})
    assert found.start == pytest.approx(START + FIXED)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of scores of four test faces and one other."""
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("key", "video", "identity", "pair", "split", "score"))
        for number, split in enumerate(("val", "test", "test", "test", "test")):
            writer.writerow((f"k{number}", f"Deepfakes/{number}", "000+001", "000_001", split, 0.5))
    return path


def test_evaluation_costs_rows_and_a_page_nothing_by_rows(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, given = 4, []

    def process(_: str, arguments: Sequence[str]) -> Used:
        given.append([Path(word).name for word in arguments[:3]])
        return Used(START + UNIT * rows * calibrate.MORE_ROWS, 2)

    chain = Chain()
    chain.out = table.parent
    monkeypatch.setattr(chain, "started", lambda _: Used(START + UNIT * rows, 1))
    monkeypatch.setattr(calibrate, "_process", process)
    found = calibrate._MEASURED["evaluate"](chain, chain)
    assert given == [["metrics", "more.csv", "more.json"]]
    assert found.start == pytest.approx(START)
    assert seconds(found.serial) == pytest.approx({"rows": UNIT})
    assert found.memory == 2
    page = calibrate._MEASURED["report"](chain, chain)
    assert (page.start, page.tasks, page.serial) == (pytest.approx(START + UNIT * rows), {}, {})
    with (table.parent / "more.csv").open(newline="") as file:
        repeated = list(csv.DictReader(file))
    assert len(repeated) == 5 * calibrate.MORE_ROWS
    for name in ("key", "video"):
        assert len({row[name] for row in repeated}) == 5 * calibrate.MORE_ROWS
    assert len({row["pair"] for row in repeated}) == calibrate.MORE_ROWS
    assert repeated[0]["identity"] == "0x000+0x001"


def test_more_crops_are_of_other_videos_and_people(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    chain = Chain()
    chain.out, chain.faces = tmp_path, tmp_path / "faces"
    shutil.copytree(packed_crops["faces"], chain.faces)
    (chain.faces / "files.sha256").write_text("")
    for _ in range(2):  # the second replaces the first
        more = calibrate._more_crops(chain)
    given, found = read_index(chain.faces), read_index(more.faces)
    assert len(found) == calibrate.MORE_CROPS * len(given)
    for name in ("key", "video", "pair"):
        number = len({getattr(face, name) for face in given})
        assert len({getattr(face, name) for face in found}) == calibrate.MORE_CROPS * number
    assert {face.shard for face in found} == {face.shard for face in given}
    assert chain.faces != more.faces


# -- a real tree -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(small_tree: Path, small_config: FacesConfig) -> Tree:
    return read_data(small_tree, small_config)


def test_a_folder_is_described_by_some_of_its_videos(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    found, rate = calibrate.describe(tree.clips)
    assert (found.real, found.fake, found.frames, found.megapixels) == (6, 12, 8.0, 320 * 240 / 1e6)
    assert (found.masks, found.train, found.val, found.pictures) == (1.0, 1 / 3, 1 / 3, False)
    assert found.bytes == sum(clip.path.stat().st_size for clip in tree.clips)
    assert rate == 25.0
    monkeypatch.setattr(calibrate, "FEW", 2)
    opened: list[Clip] = []
    monkeypatch.setattr(calibrate, "_shape", lambda clip: opened.append(clip) or (4.0, 1e6, 30.0))
    assert calibrate.describe(tree.clips)[1] == 30.0
    assert [tree.clips.index(clip) for clip in opened] == [0, 9]


def test_files_that_cannot_be_read_are_left_out_unless_none_can(tree: Tree, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    damaged = dataclasses.replace(tree.clips[0], path=broken)
    picture = dataclasses.replace(damaged, pictures=(broken,))
    assert calibrate.describe([damaged, *tree.clips[1:3]])[0].frames == 8.0
    with pytest.raises(DataError, match=r"broken\.mp4: none of the 2 files that were opened can be read"):
        calibrate.describe([damaged, picture])
    with pytest.raises(DataError, match=r"broken\.mp4: cannot be read; calibrate on readable files"):
        calibrate._megapixels(damaged)
    # pictures of which none can be read have no rate
    chain = Chain()
    chain.tree = dataclasses.replace(tree, clips=(picture, picture))
    with pytest.raises(DataError, match=r"broken\.mp4: cannot be read; calibrate on readable files"):
        calibrate._Faces(chain, chain, Params())._pictures()


def test_a_part_has_real_and_fake_videos_of_the_same_pairs(tree: Tree, small_tree: Path) -> None:
    part = calibrate._subset(tree, 1, small_tree)
    assert sorted((clip.split, clip.label) for clip in part.clips) == sorted(
        (split, label) for split in ("train", "val", "test") for label in (0, 1)
    )
    assert len({clip.pair for clip in part.clips}) == 3
    assert len(calibrate._subset(tree, 4, small_tree).clips) == 12  # all real videos, and a fake for each
    none = dataclasses.replace(tree, clips=tuple(clip for clip in tree.clips if clip.split != "val" or not clip.label))
    with pytest.raises(DataError, match="a calibration needs a real and a fake video in each split, val has 2 and 0"):
        calibrate._subset(none, 1, small_tree)


def test_frames_of_a_rate_count_for_the_settings() -> None:
    params = Params(conditions=CONDITIONS)
    assert calibrate.settings_of(params).frames_real == params.faces.frames_real
    faces = dataclasses.replace(params.faces, frames_per_second=5)
    found = calibrate.settings_of(dataclasses.replace(params, faces=faces), rate=25.0, frames=100.0)
    assert (found.frames_real, found.frames_fake) == (20.0, 20.0)
    assert (found.conditions, found.changing) == (3, 2)


def test_a_process_that_fails_is_named_with_its_last_words() -> None:
    used = calibrate._process("import sys; assert sys.stdin.read() == 'given'", given=b"given")
    assert used.seconds > 0
    assert used.memory > 1 << 20
    with pytest.raises(DataError, match="calibration: score a ended with status 3: no such weights"):
        calibrate._process("import os; os.write(2, b'no such weights'); raise SystemExit(3)", ["score", "a"])


def test_a_calibration_runs_every_stage_on_a_part_of_the_data(
    tree: Tree, small_tree: Path, small_config: FacesConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces and the executor are measured for what they are; the other stages have tests above."""
    params = Params(conditions=("raw", "77"), faces=small_config)
    none = StageRates(0.0, {}, {}, 0)
    monkeypatch.setattr(calibrate, "_MEASURED", dict.fromkeys(calibrate._MEASURED, lambda *_: none))
    monkeypatch.setattr(calibrate, "_sizes", lambda chain: dict.fromkeys(BYTES, float(chain.crops("train"))))
    monkeypatch.setattr(calibrate, "NOTHING", 4)
    said: list[str] = []
    found = calibrate.calibrate(small_tree, params, tmp_path / "work", said.append)
    assert said == [f"calibrating {name}" for name in (*found.stages, "the executor")]
    assert found.videos == calibrate.describe(tree.clips)[0]
    assert found.found == 1.0  # a face in each frame
    assert found.bytes["crop"] == 2 * 4 + 2 * 2  # the crops of train: two real videos and two fakes
    faces = found.stages["faces"]
    assert set(faces.tasks) == {"tasks", "decoded megapixels", "examined megapixels", "picture megapixels"}
    assert faces.tasks["picture megapixels"].seconds > 0
    assert set(faces.serial) == {"crops", "megabytes"}
    assert faces.memory > 1 << 20
    assert found.handing_out >= 0


def test_sizes_are_those_of_members_of_an_archive_and_of_rows(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    chain = Chain(val=4)
    chain.out, chain.faces = tmp_path, packed_crops["faces"]
    (tmp_path / "compressed").symlink_to(packed_crops["compressed"])
    (tmp_path / "scores.csv").write_bytes(bytes(4 * len(CONDITIONS) * 50))
    (tmp_path / "fidelity").mkdir()
    (tmp_path / "fidelity" / "images.csv").write_text("key\n" + "a" * 9 + "\n" + "b" * 4 + "\n")
    found = calibrate._sizes(chain)
    assert set(found) == set(BYTES)
    for name, folder in (("crop", "faces"), ("compressed", "compressed")):
        sizes = [512 + -(-face.size // 512) * 512 for face in read_index(packed_crops[folder])]
        assert found[name] == sum(sizes) / len(sizes)
    assert (found["mask"], found["score"], found["fidelity"]) == (0.0, 50.0, 9.5)
