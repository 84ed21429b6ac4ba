"""Several persons in a clip are kept apart, and masks say who is forged."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from detector.card import Card
from detector.cli import cli
from detector.config import FacesConfig
from detector.data.detection import HaarDetector
from detector.data.faces import make_faces
from detector.data.found_face import Box, FoundFace
from detector.data.index import read_index, read_masks
from detector.data.people import find_people, overlap, turned_by, upright
from detector.weights import save_model

FRAMES = 8


def other_person(photograph: np.ndarray) -> np.ndarray:
    """Return another face: mirrored, other colours, a little smaller."""
    image = photograph[:, ::-1, [2, 0, 1]]
    small = cv2.resize(np.ascontiguousarray(image), None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    canvas = np.full_like(photograph, 100)
    canvas[:216, 16:304] = small
    return canvas


def beside(photograph: np.ndarray, i: int, swapped: bool = False, forged: bool = False) -> np.ndarray:
    """Return frame *i* of two persons side by side; *forged*: the face of the second one is blurred."""
    first, second = photograph, other_person(photograph)
    if forged:
        blurred = cv2.GaussianBlur(second, (0, 0), 2.5)
        second = np.where(face_mask(second.shape)[..., None] > 0, blurred, second)
    pair = (second, first) if swapped else (first, second)
    return np.roll(np.concatenate(pair, axis=1), i - FRAMES // 2, axis=1)


def face_mask(shape: tuple[int, ...]) -> np.ndarray:
    return cv2.ellipse(np.zeros(shape[:2], np.uint8), (160, 104), (34, 42), 0, 0, 360, 255, -1)


def mask_frame(photograph: np.ndarray, i: int) -> np.ndarray:
    mask = np.concatenate([np.zeros(photograph.shape[:2], np.uint8), face_mask(photograph.shape)], axis=1)
    return np.roll(np.repeat(mask[..., None], 3, axis=2), i - FRAMES // 2, axis=1)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert overlap((3, 4, 5, 6), (3, 4, 5, 6)) == 1


def test_two_persons_are_two_and_keep_their_numbers(face_photograph: np.ndarray) -> None:
    frames = [(i, beside(face_photograph, i)) for i in range(4)]
    people = find_people(frames, HaarDetector())
    assert [list(person) for person in people.persons] == [[0, 1, 2, 3]] * 2
    assert {face.box[0] < 320 for face in people.persons[0].values()} == {True}  # the larger one, on the left
    assert {face.box[0] < 320 for face in people.persons[1].values()} == {False}


def test_persons_who_change_places_keep_their_numbers(face_photograph: np.ndarray) -> None:
    frames = [(i, beside(face_photograph, i, swapped=i >= 3)) for i in range(6)]
    people = find_people(frames, HaarDetector())
    assert len(people.persons) == 2
    assert [people.persons[0][i].box[0] < 320 for i in range(6)] == [True] * 3 + [False] * 3


class Scripted:
    """A face detector that returns given boxes, one list a frame."""

    name = "scripted"
    eyes_at = np.array([[0.3, 0.4], [0.7, 0.4]])
    surer = 1.0

    def __init__(self, boxes: list[list[Box]]) -> None:
        self.boxes = iter(boxes)

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:  # noqa: ARG002
        return None

    def find_all(self, image: np.ndarray) -> list[FoundFace]:  # noqa: ARG002
        return [FoundFace(box) for box in next(self.boxes)]

    def certainty(self, image: np.ndarray) -> float:  # noqa: ARG002
        return 0.0


def test_a_face_in_one_frame_of_many_is_left_out_and_counted(face_photograph: np.ndarray) -> None:
    face, flash = (112, 66, 208, 162), (10, 180, 40, 210)
    boxes: list[list[Box]] = [[face], [face, flash], [face], [], [face]]
    people = find_people([(i, face_photograph) for i in range(5)], Scripted(boxes))
    assert [list(person) for person in people.persons] == [[0, 1, 2, 4]]
    assert people.left_out == 1
    # but the only face of a clip is kept
    people = find_people([(i, face_photograph) for i in range(3)], Scripted([[], [face], []]))
    assert [list(person) for person in people.persons] == [[1]]


@pytest.fixture(scope="module")
def couples(
    tmp_path_factory: pytest.TempPathFactory, face_photograph: np.ndarray, write_video: Callable[..., Path]
) -> Path:
    """A FaceForensics++ tree of clips that show two persons; in fakes the smaller one, on the right, is forged."""
    root = tmp_path_factory.mktemp("couples") / "data"
    (root / "splits").mkdir(parents=True)
    for split, pair in (("train", ("000", "001")), ("val", ("002", "003")), ("test", ("004", "005"))):
        (root / "splits" / f"{split}.json").write_text(json.dumps([pair]))
    fakes = root / "manipulated_sequences/Deepfakes"
    real = [beside(face_photograph, i) for i in range(FRAMES)]
    forged = [beside(face_photograph, i, forged=True) for i in range(FRAMES)]
    masks = [mask_frame(face_photograph, i) for i in range(FRAMES)]
    write_video(root / "original_sequences/youtube/c23/videos/000.mp4", real)
    write_video(fakes / "c23/videos/000_001.mp4", forged)
    write_video(fakes / "masks/videos/000_001.mp4", masks)
    return root


CONFIG = FacesConfig(methods=("Deepfakes",), size=64, frames_real=3, frames_fake=3, people="all")


def test_a_clip_with_two_people_one_forged_comes_out_as_two_people(couples: Path, tmp_path: Path) -> None:
    make_faces(couples, tmp_path / "out", CONFIG, executor="serial")
    faces = read_index(tmp_path / "out")
    assert Counter((face.video, face.face, face.label, face.method) for face in faces) == {
        ("original/000", 0, 0, "original"): 3,
        ("original/000~1", 1, 0, "original"): 3,
        ("original/Deepfakes.000_001", 0, 0, "original"): 3,  # real, according to the mask
        ("Deepfakes/000_001~1", 1, 1, "Deepfakes"): 3,
    }
    assert {face.identity for face in faces if "Deepfakes" in face.video} == {"000+001"}
    assert set(read_masks(tmp_path / "out")) == {face.key for face in faces if face.label}


def test_the_largest_face_is_used_alone_with_a_remark_if_the_mask_lies_elsewhere(
    couples: Path, tmp_path: Path
) -> None:
    summary = make_faces(couples, tmp_path / "out", replace(CONFIG, people="largest"), executor="serial")
    assert {face.video for face in read_index(tmp_path / "out")} == {"original/000", "Deepfakes/000_001"}
    assert any("in 1 fake clips the mask lies outside the largest face" in remark for remark in summary["remarks"])


def test_without_masks_all_persons_of_a_fake_clip_count_as_fake_with_a_remark(couples: Path, tmp_path: Path) -> None:
    shutil.copytree(couples, tmp_path / "data")
    shutil.rmtree(tmp_path / "data/manipulated_sequences/Deepfakes/masks")
    summary = make_faces(tmp_path / "data", tmp_path / "out", CONFIG, executor="serial")
    labels = defaultdict(set)
    for face in read_index(tmp_path / "out"):
        labels[face.video].add(face.label)
    assert labels["Deepfakes/000_001"] == labels["Deepfakes/000_001~1"] == {1}
    assert any("1 fake clips show several people and have no mask" in remark for remark in summary["remarks"])


def test_every_face_of_an_image_is_a_clip_of_its_own(face_photograph: np.ndarray, tmp_path: Path) -> None:
    for name in ("real", "fake"):
        (tmp_path / "data" / name / "a").mkdir(parents=True)
        for i in range(2):
            Image.fromarray(beside(face_photograph, i + 2 * (name == "fake"))).save(tmp_path / f"data/{name}/a/{i}.png")
    make_faces(tmp_path / "data", tmp_path / "out", FacesConfig(size=64, people="all"), executor="serial")
    videos = Counter(face.video for face in read_index(tmp_path / "out"))
    assert videos == {
        f"{method}/{name}": number
        for method in ("original", "fake")
        for name, number in (("a", 2), ("a~0000.1", 1), ("a~0001.1", 1))
    }


def test_predict_prints_every_person(couples: Path, untrained: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_model(tmp_path / "train", untrained, Card("meso4", {}, 64, 64))
    video = couples / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4"
    options = ["--train", tmp_path / "train", "--frames", 4]
    result = CliRunner().invoke(cli, ["predict", str(video), *map(str, options)])
    assert result.exit_code == 0, result.output
    assert "person 1" in result.output and "person 2" in result.output
    out = tmp_path / "answers.jsonl"
    result = CliRunner().invoke(cli, ["predict", str(video), *map(str, options), "--out", str(out)])
    assert result.exit_code == 0, result.output
    (answer,) = (json.loads(line) for line in out.read_text().splitlines())
    assert [face["person"] for face in answer["faces"]] == [1, 2]
    assert [len(face["frames"]) for face in answer["faces"]] == [4, 4]


class Leaning:
    """A face detector that sees a green square at any angle, less surely where its red corner is not at the top left.

    As YuNet does, it gives the square upright landmarks in any case.
    """

    name = "leaning"
    eyes_at = np.array([[0.3, 0.4], [0.7, 0.4]])
    surer = 0.005

    def __init__(self, upright: float, otherwise: float) -> None:
        self.upright, self.otherwise = upright, otherwise

    def find(self, image: np.ndarray, near: Box | None = None, sure: bool = False) -> FoundFace | None:  # noqa: ARG002
        return next(iter(self.find_all(image)), None)

    def find_all(self, image: np.ndarray) -> list[FoundFace]:
        rows, columns = np.nonzero(image[..., 1] > 127)
        if not len(rows):
            return []
        left, top, side = int(columns.min()), int(rows.min()), int(np.ptp(rows)) + 1
        corner = image[top + side // 8, left + side // 8, 0] > 127
        score = self.upright if corner else self.otherwise
        if not score:
            return []
        eyes = np.array([left, top]) + side * self.eyes_at
        return [FoundFace((left, top, left + side, top + side), eyes, score=score)]

    def certainty(self, image: np.ndarray) -> float:
        return max((face.score for face in self.find_all(image)), default=0.0)


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_face_on_its_side_that_is_found_less_surely_is_turned_upright(degrees: int, every: bool) -> None:
    image = np.zeros((900, 1500, 3), np.uint8)  # the square's surroundings are larger than one tile
    image[300:500, 1000:1200, 1] = 255
    image[300:350, 1000:1050, 0] = 255
    turned = np.ascontiguousarray(np.rot90(image, degrees // 90))  # counterclockwise
    view = upright(turned, Leaning(0.92, 0.9), every)
    assert view is not None
    assert view.turned == degrees
    np.testing.assert_array_equal(view.image, image)
    assert [face.box for face in view.faces] == [(1000, 300, 1200, 500)]
    # equally sure, or by a trace: the image stays as it is
    for upright_score in (0.9, 0.904):
        as_it_is = upright(turned, Leaning(upright_score, 0.9), every)
        assert as_it_is is not None
        assert as_it_is.turned == 0
    # not found as it is: the other angles are searched
    view = upright(turned, Leaning(0.92, 0.0), every)
    assert view is not None
    assert view.turned == degrees


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_images_are_turned_as_numpy_turns_them(degrees: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)[:, 1:]
    expected = np.rot90(image, -degrees // 90)
    found = turned_by(image, degrees)
    assert found.flags.c_contiguous and np.array_equal(found, expected)
