"""Face detection finds known positions, and crops follow the template."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data
from skimage.transform import SimilarityTransform, warp

from detector.data import detection
from detector.data.alignment import (
    EYE_LINE,
    FIVE_POINTS,
    INTER_EYE,
    Similarity,
    align,
    align_points,
    beyond,
    crop,
    crop_mask,
)
from detector.data.detection import Detection, HaarDetector, LbpDetector, make_detector, track, with_eyes
from detector.data.found_face import FoundFace
from detector.data.framing import place

# eye centres of the astronaut as seen by eye in the 512 x 512 photograph
EYES = np.array([[201.5, 100.5], [247.5, 103.5]])


@pytest.fixture(scope="module")
def haar() -> HaarDetector:
    return HaarDetector()


def eyes() -> st.SearchStrategy[np.ndarray]:
    at = st.floats(20, 400)
    return st.tuples(at, at, st.floats(20, 150), st.floats(-0.7, 0.7)).map(
        lambda v: np.array([[v[0], v[1]], [v[0] + v[2] * np.cos(v[3]), v[1] + v[2] * np.sin(v[3])]])
    )


@given(eyes(), st.integers(16, 400))
def test_eyes_go_where_the_template_has_them(at: np.ndarray, size: int) -> None:
    found = align(at, size).matrix @ np.vstack([at.T, np.ones(2)])
    # a crop spans -.5 .. size - .5
    expected = np.array([0.5 - INTER_EYE / 2, 0.5 + INTER_EYE / 2]) * size - 0.5
    assert found[0] == pytest.approx(expected, abs=1e-6)
    assert found[1] == pytest.approx(EYE_LINE * size - 0.5, abs=1e-6)


@given(eyes())
def test_the_matrix_is_scikit_images_similarity(at: np.ndarray) -> None:
    target = np.array([[0.5 - INTER_EYE / 2, EYE_LINE], [0.5 + INTER_EYE / 2, EYE_LINE]]) * 128 - 0.5
    expected = SimilarityTransform.from_estimate(at, target)
    assert align(at, 128).matrix == pytest.approx(expected.params[:2], abs=1e-6)
    assert align(at, 128).scale == pytest.approx(expected.scale, rel=1e-9)


def test_the_template_is_deepfakebenchs() -> None:
    # its eyes at 256 px: (96.87, 120.43) and (158.83, 120.09)
    assert abs(INTER_EYE - (158.83 - 96.87) / 256) < 5e-4
    assert abs(EYE_LINE - 120.26 / 256) < 5e-4


def test_the_five_points_are_deepfakebenchs() -> None:
    # its template computed for 256 px: eyes, nose, corners of the mouth
    theirs = [[96.87, 120.43], [158.83, 120.09], [128.04, 155.67], [102.59, 191.94], [153.90, 191.66]]
    assert pytest.approx(np.array(theirs), abs=0.006) == FIVE_POINTS * 256
    # and the eyes alone would go to nearly the same place
    assert np.abs(FIVE_POINTS[:2] - [[0.5 - INTER_EYE / 2, EYE_LINE], [0.5 + INTER_EYE / 2, EYE_LINE]]).max() < 1.5e-3


@given(eyes(), st.integers(0, 2**32 - 1), st.integers(16, 400), st.booleans())
def test_five_points_are_fitted_as_scikit_image_fits_them(at: np.ndarray, seed: int, size: int, mirrored: bool) -> None:
    # a face somewhere, its points off by some pixels; mirrored ones must not be mirrored back
    turn = SimilarityTransform.from_estimate(FIVE_POINTS[:2], at)
    points = turn(FIVE_POINTS * (-1 if mirrored else 1, 1)) + np.random.default_rng(seed).normal(0, 3, (5, 2))
    expected = SimilarityTransform.from_estimate(points, FIVE_POINTS * size - 0.5)
    found = align_points(points, size)
    assert found.matrix == pytest.approx(expected.params[:2], abs=1e-6)
    assert np.linalg.det(found.matrix[:, :2]) > 0


def test_points_on_the_template_stay_in_place() -> None:
    assert align_points(FIVE_POINTS * 256 - 0.5, 256).matrix == pytest.approx(np.eye(2, 3), abs=1e-12)


def test_five_equal_points_are_refused() -> None:
    with pytest.raises(ValueError, match="five different points are needed"):
        align_points(np.full((5, 2), 7.0), 256)


def test_a_face_is_aligned_by_its_five_points_where_it_has_them() -> None:
    points = FIVE_POINTS * 100 + (30, 60)
    face = Detection((0, 0, 200, 200), points[:2], "frame", points)
    found = place(face, "deepfakebench", 128, (400, 400)).similarity
    assert found.matrix == pytest.approx(align_points(points, 128).matrix)
    without = Detection((0, 0, 200, 200), points[:2], "frame")
    found = place(without, "deepfakebench", 128, (400, 400)).similarity
    assert found.matrix == pytest.approx(align(points[:2], 128).matrix)


def test_a_crop_is_what_scikit_image_warps() -> None:
    image = np.ascontiguousarray(data.astronaut()[:240, 65:385])
    similarity = align(EYES - (65, 0), 256)  # enlarged by 1.3: no smoothing
    assert similarity.scale > 1
    inverse = SimilarityTransform(matrix=np.vstack([similarity.matrix, [0, 0, 1]])).inverse
    expected = warp(image, inverse, output_shape=(256, 256), order=1, mode="symmetric", preserve_range=True)
    found = crop(image, similarity, 256, cv2.INTER_LINEAR)
    # OpenCV places samples on a grid of 1/32 px
    assert np.abs(found - expected).mean() < 0.6
    assert np.percentile(np.abs(found - expected), 99) < 5


@pytest.mark.parametrize("size", [48, 96, 400])
@pytest.mark.parametrize("shift", [(0, 0), (-150, -60), (180, 250), (0, 330)])
def test_only_the_needed_part_is_read_and_nothing_changes(size: int, shift: tuple[int, int]) -> None:
    image, similarity = data.astronaut(), align(EYES + shift, size)
    large = np.pad(image, ((40, 700), (40, 700), (0, 0)), mode="edge")
    whole = np.array(similarity.matrix)
    whole[:, 2] -= whole[:, :2] @ (40, 40)
    inside = ~beyond(similarity, size, image.shape[:2])
    difference = np.abs(crop(image, similarity, size).astype(int) - crop(large, Similarity(whole), size))[inside]
    # the shift of the origin moves the 1/32 px grid of a few samples
    assert difference.mean() < 0.1
    assert np.percentile(difference, 99.9) <= 8


def test_shrinking_does_not_alias() -> None:
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    similarity = align(np.array([[155.0, 200.0], [245.0, 200.0]]), 64)  # 5.8 pixels to one
    shrunk = crop(image, similarity, 64)
    assert np.abs(shrunk.astype(int) - 127).max() < 12


def test_a_mask_lies_on_the_face_it_was_drawn_on() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.ellipse(image, (150, 120), (40, 55), 20, 0, 360, (255, 255, 255), -1)
    similarity = align(np.array([[130.0, 105.0], [172.0, 112.0]]), 128)
    mask, picture = crop_mask(image, similarity, 128), crop(image, similarity, 128)
    assert set(np.unique(mask)) == {0, 255}
    assert ((mask > 0) != (picture[..., 0] > 127)).mean() < 0.002


def test_the_face_and_eyes_of_the_astronaut_are_found(haar: HaarDetector) -> None:
    gray = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    box = haar.face(gray)
    assert box is not None
    left, top, right, bottom = box
    assert (left, top, right - left, bottom - top) == pytest.approx((177, 66, 95, 95), abs=12)
    found = haar.eyes(gray, box)
    assert found is not None
    assert np.abs(found - EYES).max() < 3


def test_a_small_face_is_found_too(haar: HaarDetector) -> None:
    gray = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    canvas = np.full((720, 1280), 128, np.uint8)
    canvas[200:712, 600:1112] = gray  # the face is an eighth of the height
    box = haar.face(canvas)
    assert box is not None
    assert np.abs(np.array(box) - (777, 266, 872, 361)).max() < 15


def test_no_false_face_is_found(haar: HaarDetector) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    assert track({0: np.full((240, 320, 3), 90, np.uint8), 1: noise, 2: data.coffee()[:240, :320]}, haar) == {}


def test_tracking_agrees_with_a_search_of_the_whole_frame(haar: HaarDetector) -> None:
    frames = {i: np.roll(data.astronaut()[:300], (i, 3 * i), axis=(0, 1)) for i in range(0, 24, 4)}
    tracked = track(frames, haar)
    assert list(tracked) == list(frames)
    for number, found in tracked.items():
        alone = track({number: frames[number]}, haar)[number]
        assert np.abs(np.array(found.box) - alone.box).max() <= 8
        assert np.abs(found.eyes - alone.eyes).max() <= 3


def test_a_lost_face_is_searched_for_in_the_whole_frame(haar: HaarDetector) -> None:
    image = data.astronaut()[:300]
    frames = {0: image, 1: np.roll(image, 190, axis=1), 2: np.zeros_like(image), 3: image}
    tracked = track(frames, haar)
    assert list(tracked) == [0, 1, 3]
    assert tracked[1].box[0] - tracked[0].box[0] == pytest.approx(190, abs=8)


def tilted(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the astronaut turned counterclockwise around her face, and where her eyes are then."""
    turn = cv2.getRotationMatrix2D((224, 120), degrees, 1)
    image = cv2.warpAffine(data.astronaut(), turn, (512, 320), borderMode=cv2.BORDER_REPLICATE)
    return image, EYES @ turn[:, :2].T + turn[:, 2]


@pytest.mark.parametrize("degrees", [-45, -25, 25, 35, 50])
def test_a_tilted_face_is_found_by_turning_the_frame(haar: HaarDetector, degrees: float) -> None:
    image, expected = tilted(degrees)
    seen = haar.find(image)
    assert seen is None or seen.doubtful  # at 35 degrees a small one between nose and collar
    found = track({0: image}, haar)[0]
    assert found.found == "frame"
    assert np.abs(found.eyes - expected).max() < 4
    # upright around the same face
    left, top, right, bottom = found.box
    assert np.hypot((left + right) / 2 - 224, (top + bottom) / 2 - 120) < 15
    assert right - left == pytest.approx(95, abs=12)
    # the crop is level: the matrix turns back what the image was turned by
    matrix = align(found.eyes, 128).matrix
    upright = np.degrees(np.arctan2(*(EYES[1] - EYES[0])[::-1]))
    assert np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) == pytest.approx(degrees - upright, abs=4)


def test_a_frame_with_an_upright_face_is_never_turned(haar: HaarDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "find_rolled", None)  # would be called
    assert list(track({0: data.astronaut()[:300]}, haar)) == [0]


def test_the_lbp_cascade_sees_tilted_faces_too_and_its_crops_are_tilted() -> None:
    image, expected = tilted(25)
    found = track({0: image}, LbpDetector())[0]
    assert found.found == "none"
    assert np.abs(found.eyes - expected).max() < 9


def test_a_tilted_frame_takes_and_gives_its_place_in_the_box_as_if_upright() -> None:
    # frames 0 and 1 are upright and agree; frame 2 is turned by 90 degrees, centre (50, 50): x' = 50 - (y - 50) back
    upright = np.array([[30.0, 40], [70, 40]])
    faces = [FoundFace((0, 0, 100, 100), upright), FoundFace((0, 0, 100, 100), upright)]
    last = with_eyes([*faces, FoundFace((0, 0, 100, 100), roll=90)], np.zeros((2, 2)))[2]
    assert last.found == "clip"
    # seen turned counterclockwise, (x, y) of the frame lies at (y, 100 - x): so (30, 40) comes from (60, 30)
    assert last.eyes == pytest.approx(np.array([[60.0, 30], [60, 70]]))
    # and a turned frame's own eyes count upright
    turned = [FoundFace((0, 0, 100, 100), last.eyes, roll=90)] * 2
    assert with_eyes([*turned, FoundFace((0, 0, 100, 100))], np.zeros((2, 2)))[2].eyes == pytest.approx(upright)


def test_a_detection_keeps_the_confidence_of_its_face_detector() -> None:
    eyes = np.array([[30.0, 40], [70, 40]])
    faces = [FoundFace((0, 0, 100, 100), eyes, score=0.93), FoundFace((0, 0, 100, 100), eyes),
             FoundFace((0, 0, 100, 100), score=0.41)]  # fmt: skip
    assert [found.score for found in with_eyes(faces, eyes / 100)] == [0.93, None, 0.41]


def test_eyes_that_are_not_seen_take_the_clips_median_place() -> None:
    boxes = [(0, 0, 100, 100), (10, 20, 110, 120), (0, 0, 200, 200), (50, 50, 100, 100)]
    seen = [np.array([[30.0, 40], [70, 40]]), np.array([[42.0, 62], [78, 60]]), None, None]
    found = with_eyes(map(FoundFace, boxes, seen), np.array([[0.3, 0.385], [0.7, 0.385]]))
    # relative: (.30 .40, .70 .40) and (.32 .42, .68 .40); the median of two is their mean
    assert [d.found for d in found] == ["frame", "frame", "clip", "clip"]
    assert found[2].eyes == pytest.approx(np.array([[62.0, 82.0], [138.0, 80.0]]))
    assert found[3].eyes == pytest.approx(np.array([[65.5, 70.5], [84.5, 70.0]]))


def test_one_frame_with_eyes_is_too_few_for_a_median() -> None:
    at = np.array([[0.3, 0.385], [0.7, 0.385]])
    found = with_eyes([FoundFace((0, 0, 100, 100), np.array([[33.0, 41], [69, 44]])), FoundFace((0, 0, 200, 200))], at)
    assert [d.found for d in found] == ["frame", "none"]
    assert found[1].eyes == pytest.approx(at * 200)


def test_the_lbp_cascade_finds_the_same_face() -> None:
    found = track({0: data.astronaut()}, LbpDetector())[0]
    assert np.abs(np.array(found.box) - (177, 66, 272, 161)).max() < 25  # its boxes vary more than Haar's
    assert found.found == "none"
    assert np.abs(found.eyes - EYES).max() < 8


def test_without_opencvs_cascades_lbp_is_used_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier")  # as in OpenCV 5
    detection._make.cache_clear()
    assert make_detector("haar").name == "lbp"
    assert "has no face detector haar; using lbp instead" in capsys.readouterr().err


def test_boxes_are_plain_integers(haar: HaarDetector) -> None:
    assert json.dumps(track({0: data.astronaut()}, haar)[0].box)
