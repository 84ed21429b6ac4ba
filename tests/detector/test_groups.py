"""Small images are tasks in groups, and many images of one clip are several tasks; the output stays the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.config import FacesConfig
from detector.data import faces as stage
from detector.data import work
from detector.data.png import encode_png
from detector.data.readers import read_data
from detector.data.work import Part, Task, as_one, finish, grouped, parts_of, read
from detector.errors import DataError, DetectorError

CONFIG = FacesConfig(size=32, detector="lbp")


def number(argument: int) -> bytes:
    return bytes([argument]) * argument


def some(count: int, start: int = 0) -> list[Task]:
    return [Task(work.key_of(str(n)), f"task {n}", number, n % 256) for n in range(start, start + count)]


def test_groups_have_all_tasks_in_order_and_keep_to_the_limits() -> None:
    for count in (0, 1, 100, 1000, 20_000):
        groups = grouped(some(count), [1000] * count)
        assert [task.name for group in groups for task in group] == [f"task {n}" for n in range(count)]
        assert max((len(group) for group in groups), default=0) <= work.LONGEST_GROUP
        assert len(groups) >= min(count, work.FEWEST_GROUPS // 2)
    assert len(grouped(some(100), [1] * 100)) == 100  # few tasks are not worth it
    assert len(grouped(some(20_000), [1] * 20_000)) < 1000
    large = grouped(some(20_000), [work.LARGEST_GROUP // 3] * 20_000)
    assert max(map(len, large)) == 3
    assert len(grouped(some(5000), [work.LARGEST_GROUP + 1] * 5000)) == 5000


def test_one_more_input_changes_one_or_two_groups() -> None:
    def keys(tasks: Sequence[Task]) -> set[str]:
        return {as_one(group).key for group in grouped(tasks, [1] * len(tasks))}

    all_of_them = some(10_000)
    for left_out in (0, 4321, 9999):
        others = [*all_of_them[:left_out], *all_of_them[left_out + 1 :]]
        assert len(keys(all_of_them) - keys(others)) <= 2
        assert len(keys(all_of_them)) > 200


def test_the_results_of_a_group_are_those_of_its_tasks(tmp_path: Path) -> None:
    tasks = some(5, start=3)
    file = finish(as_one(tasks), tmp_path)
    parts = parts_of(file, 5)
    assert [part.open("rb").read() for part in parts] == [number(n) for n in range(3, 8)]
    assert all(isinstance(part, Part) for part in parts)
    (alone,) = parts_of(finish(as_one(tasks[:1]), tmp_path), 1)
    assert alone == tmp_path / f"{tasks[0].key}.done" and read(alone) == number(3)
    assert as_one(tasks).key != as_one(tasks[:4]).key
    assert as_one(tasks).name == "task 3 ... task 7 (5 tasks)"


def write_images(folder: Path, photograph: np.ndarray) -> Path:
    """Write 10 single images of each class, a group of 6, and unreadable images."""
    image = np.ascontiguousarray(photograph[::4, ::4])
    for n in range(32):
        image = np.roll(image, 1, axis=1) if n % 8 else image
        image[:4, :4] = n, n, n  # no two are the same
        name = f"{'fake' if n % 2 else 'real'}/{n:02d}.png" if n < 20 else f"{'fake' if n % 2 else 'real'}/one/{n}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_png(image))
    (folder / "real/one/26b.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (folder / "fake/40.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (work, stage):
        monkeypatch.setattr(module, "LONGEST_GROUP", 4)
    monkeypatch.setattr(work, "FEWEST_GROUPS", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_grouped_images_give_the_output_of_single_ones(
    face_photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    data, numbers = write_images(tmp_path / "data", face_photograph), []
    run = stage.run

    def noted(tasks: Sequence[Task], *rest: object, **options: object) -> list[Path]:
        numbers.append(len(tasks))
        return run(tasks, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "run", noted)
    stage.make_faces(data, tmp_path / "one", CONFIG, executor="serial")
    request.getfixturevalue("small_groups")
    stage.make_faces(data, tmp_path / "grouped", CONFIG, executor="serial")
    assert contents(tmp_path / "grouped") == contents(tmp_path / "one")
    assert numbers[0] == 21 + 2  # too few for groups; the images of a group are one task
    assert 6 + 4 <= numbers[1] < 20
    failed = (tmp_path / "one" / "failures.csv").read_text()
    assert "original/one,26b.png," in failed and "fake/40,40.png," in failed
    assert len((tmp_path / "one" / "index.csv").read_text().splitlines()) > 20


def test_the_results_of_the_images_of_a_clip_are_joined_to_that_of_the_clip(
    face_photograph: np.ndarray, tmp_path: Path
) -> None:
    data = write_images(tmp_path / "data", face_photograph)
    (clip,) = (clip for clip in read_data(data, CONFIG).clips if len(clip.pictures) == 7)
    task = stage.clip_task(clip, CONFIG, stage.code_version())
    assert task.division is not None
    pieces = task.division.divide(task.argument)
    assert [piece.name for piece in pieces][3:5] == ["original/one, 26.png", "original/one, 26b.png"]
    assert task.division.join([finish(piece, tmp_path) for piece in pieces]) == task.function(task.argument)
    alone = replace(clip, pictures=clip.pictures[:1])
    assert stage.clip_task(alone, CONFIG, "code").division is None


# 06.png kills its workers; the images of the clip do so together only
CROP = """
import os, signal
from detector.data.faces import crop_clip

def crop(argument):
    names = [path.name for path in argument[0].pictures]
    if "06.png" in names or len(names) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return crop_clip(argument)
"""


@pytest.mark.slow(minutes=0.5)
def test_an_image_that_kills_its_workers_is_named_and_takes_no_other_with_it(
    face_photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cropped = write_images(tmp_path / "data", face_photograph), [0]
    for path in [*data.glob("fake/**/*.png"), *data.glob("real/1*.png")]:
        if path.name != "01.png":
            path.unlink()
    (tmp_path / "killed_crops.py").write_text(CROP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "killed_crops", raising=False)
    import killed_crops  # type: ignore[import-not-found]

    monkeypatch.setattr(stage, "grouped", lambda tasks, _: [list(tasks)])
    task, crop = stage.clip_task, stage._crop_pictures
    with monkeypatch.context() as patch:
        patch.setattr(stage, "clip_task", lambda *rest: replace(task(*rest), function=killed_crops.crop))
        message = r"^1 tasks could not be finished:\noriginal/06: the worker process died 3 times"
        with pytest.raises(DetectorError, match=message):
            stage.make_faces(data, tmp_path / "faces", CONFIG, workers=1)
    assert len(list((tmp_path / ".faces.work").glob("*.done"))) == 5 + 7 + 1  # all others, and the clip

    def counted(paths: Sequence[Path], *rest: object) -> None:
        cropped[0] += len(paths)
        crop(paths, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "_crop_pictures", counted)
    stage.make_faces(data, tmp_path / "faces", CONFIG, executor="serial")
    assert cropped[0] == 6  # the group
    stage.make_faces(data, tmp_path / "expected", CONFIG, executor="serial")
    assert contents(tmp_path / "faces") == contents(tmp_path / "expected")


@pytest.mark.usefixtures("small_groups")
def test_a_run_that_ended_in_a_group_loses_at_most_this_group(
    face_photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, done = write_images(tmp_path / "data", face_photograph), [0]
    crop: Callable[..., None] = stage._crop_pictures

    def ends(paths: Sequence[Path], *rest: object) -> None:
        if done[0] >= 20:
            raise DataError("the end")
        done[0] += len(paths)
        crop(paths, *rest)

    monkeypatch.setattr(stage, "_crop_pictures", ends)
    with pytest.raises(DataError, match="the end"):
        stage.make_faces(data, tmp_path / "faces", CONFIG, executor="serial")
    before = done[0]
    again = [0]

    def counted(paths: Sequence[Path], *rest: object) -> None:
        again[0] += len(paths)
        crop(paths, *rest)

    monkeypatch.setattr(stage, "_crop_pictures", counted)
    stage.make_faces(data, tmp_path / "faces", CONFIG, executor="serial")
    assert before >= 20 and 34 <= before + again[0] <= 34 + 4
