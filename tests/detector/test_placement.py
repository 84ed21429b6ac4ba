"""Framings follow their published rules, and crops stay inside the image; nothing is invented beyond its edge."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import rotate, zoom

from detector.config import FacesConfig
from detector.data.alignment import ARCFACE, FIVE_POINTS, Similarity, align, beyond, crop
from detector.data.detection import Detection
from detector.data.faces import class_remarks, differ, make_faces
from detector.data.framing import FRAMINGS, Square, place
from detector.data.index import Face, read_index, write_index
from detector.errors import DataError

BOX = (0, 0, 10, 10)


def face(centre: tuple[float, float], distance: float, roll: float = 0.0, points: bool = True) -> Detection:
    """Return a face with the template's proportions, its nose at *centre*, its eyes *distance* apart."""
    turn = np.radians(roll)
    shape = (ARCFACE - ARCFACE[2]) * distance / np.hypot(*(ARCFACE[1] - ARCFACE[0]))
    at = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + centre
    return Detection(BOX, at[:2], "frame", at if points else None)


def test_tight_is_arcfaces_template_without_margin() -> None:
    # the five reference points of ArcFace in a crop of 112 x 112
    x, y = [38.2946, 73.5318, 56.0252, 41.5493, 70.7299], [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]
    theirs = np.column_stack([x, y])
    found = FRAMINGS["tight"].similarity(theirs - 0.5, 112)
    assert found.matrix == pytest.approx(np.eye(2, 3), abs=1e-9)


@pytest.mark.parametrize("roll", [0, 12, -30])
def test_mesonet_shows_what_its_authors_pipeline_cuts(roll: float) -> None:
    # their get_aligned_face, by hand: a patch of sqrt(2) times the side around the nose, turned by SciPy, its middle
    # cut out and zoomed
    noise = np.random.default_rng(0).normal(0, 1, (500, 500, 3))
    image = np.clip(128 + 1200 * cv2.GaussianBlur(noise, (0, 0), 6), 0, 255).astype(np.uint8)
    at = face((250, 250), 50, roll)
    points = at.points
    assert points is not None
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    length = max(np.hypot(*(points[1] - points[0])), np.hypot(*(mouth - eyes)))
    bridge = (eyes + points[2]) / 2
    centre = np.floor((points[2] + bridge) / 2).astype(int)
    side = int(np.floor(length * 2.2)) * 1.3
    half = int(np.floor(np.sqrt(2) * side / 2))
    patch = image[centre[1] - half : centre[1] + half, centre[0] - half : centre[0] + half]
    tilt = np.degrees(np.arctan((mouth - eyes)[0] / (mouth - eyes)[1]))
    turned = rotate(patch, -tilt, reshape=False)
    low, high = int(half - side // 2), int(half + side // 2)
    theirs = zoom(turned[low:high, low:high], (96 / (high - low), 96 / (high - low), 1))

    found = crop(image, place(at, "mesonet", 96, image.shape[:2]).similarity, 96)
    error = np.abs(found.astype(float) - theirs)
    contrast = np.abs(theirs - theirs.mean(axis=(0, 1))).mean()
    assert contrast > 30
    assert error.mean() < contrast / 4  # they round the centre and sides down to whole pixels


@pytest.mark.parametrize("name", FRAMINGS)
def test_eyes_alone_give_the_crop_of_a_face_with_usual_proportions(name: str) -> None:
    both = [place(face((250, 250), 50, 10, points), name, 128, (500, 500)) for points in (True, False)]
    corners = [Square.of(placed.similarity, 128).corners() for placed in both]
    assert np.abs(corners[0] - corners[1]).max() < 2


def test_a_square_and_its_similarity_are_the_same() -> None:
    square = Square(np.array([30.0, 50.0]), 64.0, 0.4)
    again = Square.of(square.similarity(128), 128)
    assert again.centre == pytest.approx(square.centre)
    assert (again.side, again.angle) == pytest.approx((64, 0.4))
    assert Square(np.array([49.5, 49.5]), 100, 0).corners().tolist() == [
        [-0.5, -0.5], [99.5, -0.5], [99.5, 99.5], [-0.5, 99.5]
    ]  # fmt: skip


def test_a_crop_that_fits_is_the_framings() -> None:
    at = face((250, 250), 40, 15)
    placed = place(at, "deepfakebench", 128, (500, 500))
    assert (placed.shrink, placed.border) == (1, 0)
    assert at.points is not None
    assert placed.similarity.matrix == pytest.approx(FRAMINGS["deepfakebench"].similarity(at.points, 128).matrix)
    assert placed.roll == pytest.approx(15, abs=0.4)  # the template's own eyes are not quite level
    assert placed.scale == pytest.approx(40 / 0.242 / 128, rel=0.01)


def test_a_face_near_the_edge_shifts_the_crop_and_keeps_its_size() -> None:
    # the side is 40 / .242 = 165: 20 pixels too far to the left of an image with room
    far = Square.of(place(face((250, 250), 40), "deepfakebench", 128, (500, 500)).similarity, 128)
    left = 250 - (far.centre[0] - far.side / 2)
    placed = place(face((left - 20, 250), 40), "deepfakebench", 128, (500, 500))
    square = Square.of(placed.similarity, 128)
    assert (placed.shrink, placed.border) == (1, 0)
    assert square.corners().min(axis=0)[0] == pytest.approx(-0.5, abs=1e-4)
    assert square.centre[1] == pytest.approx(far.centre[1])


def test_an_image_that_is_too_small_shrinks_the_crop() -> None:
    placed = place(face((60, 66), 40), "deepfakebench", 128, (120, 120))
    square = Square.of(placed.similarity, 128)
    assert placed.border == 0
    assert square.side == pytest.approx(120, abs=0.01)
    assert placed.shrink == pytest.approx(120 / (40 / 0.242), rel=0.01)


def test_a_face_that_the_image_cuts_has_a_border_that_is_counted() -> None:
    # the mouth lies at the lower edge: the core, half a face length below it, reaches beyond
    at = face((250, 470), 60)
    placed = place(at, "deepfakebench", 128, (500, 500))
    image = np.full((500, 500, 3), 200, np.uint8)
    cut = crop(image, placed.similarity, 128)
    black = (cut == 0).all(axis=2)
    assert placed.border == black.mean() > 0.01
    assert (cut[~black] == 200).all()  # nothing of the fill is mixed into the image, nothing is mirrored


@given(
    st.floats(0, 300), st.floats(0, 200), st.floats(8, 200), st.floats(-180, 180), st.sampled_from(sorted(FRAMINGS)),
    st.booleans(),
)  # fmt: skip
def test_every_crop_holds_the_landmarks_and_invents_nothing(
    x: float, y: float, distance: float, roll: float, name: str, points: bool
) -> None:
    at, shape = face((x, y), distance, roll), (200, 300)
    assert at.points is not None
    given_face = at if points else Detection(BOX, at.eyes, "frame")
    placed = place(given_face, name, 64, shape)
    square = Square.of(placed.similarity, 64)
    assert 0 < placed.shrink <= 1
    assert 0 <= placed.border <= 1
    inner = np.abs((at.points - square.centre) @ square.axes)
    assert inner.max() <= square.side / 2 + 1
    corners = square.corners()
    inside = (corners >= -0.5 - 1e-3).all() and (corners <= np.array(shape[::-1]) - 0.5 + 1e-3).all()
    assert inside == (placed.border == 0) or placed.border < 0.01
    assert placed.border == beyond(placed.similarity, 64, shape).mean()
    # as large as the framing unless that does not fit, wherever it is shifted to
    full = Square.of(FRAMINGS[name].similarity(at.points, 64), 64)
    if placed.shrink < 1 and placed.border == 0:
        bigger = Square(square.centre, min(square.side * 1.02, full.side), square.angle)
        corners = bigger.corners()
        assert (corners < -0.5).any() or (corners > np.array(shape[::-1]) - 0.5).any() or bigger.side == full.side


def test_shrinking_by_a_whole_factor_is_the_mean_of_the_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    for k in (2, 3, 5):
        # a square of k x 20 pixels from (40, 60)
        square = Square(np.array([40 + 10 * k - 0.5, 60 + 10 * k - 0.5]), 20 * k, 0)
        expected = image[60 : 60 + 20 * k, 40 : 40 + 20 * k].reshape(20, k, 20, k, 3).mean(axis=(1, 3))
        assert np.abs(crop(image, square.similarity(20), 20) - expected).max() <= 0.51


def test_shrinking_by_any_factor_keeps_the_mean_and_aliases_nothing() -> None:
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    for side, angle in ((150, 0.0), (171, 0.3), (260, 0.7)):
        cut = crop(image, Square(np.array([199.5, 199.5]), side, angle).similarity(64), 64)
        assert np.abs(cut.astype(int) - 127).max() < 45
        assert np.abs(cut.mean() - 127.5) < 1


def test_enlarging_is_opencvs_bicubic_kernel() -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    cut = crop(image, Square(np.array([19.5, 19.5]), 20, 0).similarity(80), 80)
    expected = cv2.resize(image, (160, 160), interpolation=cv2.INTER_CUBIC)[40:120, 40:120]
    assert np.abs(cut.astype(int) - expected).max() <= 2


def test_no_pixel_of_the_fill_reaches_a_crop_at_the_very_edge() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    for size in (33, 64, 100, 150):
        cut = crop(image, Square(np.array([49.5, 49.5]), 100, 0).similarity(size), size)
        assert (cut == 255).all()


def test_shares_differ_only_beyond_chance() -> None:
    assert differ((30, 100), (2, 100))
    assert not differ((3, 100), (2, 100))
    assert not differ((10, 10_000), (60, 10_000))  # .001 and .006: significant and negligible
    assert not differ((0, 0), (5, 10))


def rows(*kinds: tuple[int, dict[str, object]]) -> list[Face]:
    values = {"video": "v", "compression": "c", "frame": 0, "identity": "i", "pair": "p", "split": "test"}
    slot = {"shard": "s.tar", "offset": 0, "size": 1, "crc32": "0" * 8}
    return [
        Face(key=f"k{n}", method="fake" if label else "original", label=label, **values, **slot, **more)  # type: ignore[arg-type]
        for n, (label, more) in enumerate(kinds)
    ]


def test_a_class_imbalance_in_how_crops_were_cut_is_a_remark() -> None:
    level = {"landmarks": "frame", "border": 0.0, "shrink": 1.0}
    even = rows(*[(n % 2, level) for n in range(200)])
    assert class_remarks(even, {0: 3, 1: 2}) == []
    uneven = rows(*[(n % 2, level | {"landmarks": "frame" if n % 2 else "none"}) for n in range(200)])
    (remark,) = class_remarks(uneven, {0: 0, 1: 0})
    assert "with roll 0: 100 of 100 real, 0 of 100 fake" in remark
    (remark,) = class_remarks(even, {0: 60, 1: 0})
    assert "over the edge of the image: 60 of 160 real, 0 of 100 fake" in remark


@pytest.fixture
def cut_portraits(tmp_path: Path, face_photograph: np.ndarray) -> Path:
    """Four real images with the face cut by the lower edge, four whole fakes."""
    for n in range(4):
        for name, image in (("real", face_photograph[: 167 + n]), ("fake", face_photograph[: 236 + n])):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            lit = np.clip(image.astype(int) + 8 * n, 0, 255).astype(np.uint8)
            Image.fromarray(lit).save(tmp_path / "data" / name / f"{name}{n}.png")
    return tmp_path / "data"


def test_the_stage_drops_what_the_image_cuts_and_counts_it_by_class(cut_portraits: Path, tmp_path: Path) -> None:
    # a limit that all of the fakes and none of the cut reals pass; with 1 nothing is dropped
    make_faces(cut_portraits, tmp_path / "all", FacesConfig(size=64, max_border=1), executor="serial")
    border = {face.key: face.border for face in read_index(tmp_path / "all")}
    assert len(border) == 8
    assert all((share or 0) > 0.05 for key, share in border.items() if "original" in key)
    assert all(share == 0 for key, share in border.items() if "/fake/" in key)
    summary = make_faces(cut_portraits, tmp_path / "kept", FacesConfig(size=64), executor="serial")
    assert summary["dropped_beyond_image"] == {"real": 4, "fake": 0}
    assert summary["failures"]["reasons"] == {"more than 5 % of the crop lies beyond the image": 4}
    assert {face.label for face in read_index(tmp_path / "kept")} == {1}


def test_the_index_and_geometry_say_how_each_crop_was_cut(small_faces: Path) -> None:
    faces = read_index(small_faces)
    with (small_faces / "geometry.csv").open(newline="") as file:
        geometry = {row["key"]: row for row in csv.DictReader(file)}
    for face_row in faces:
        row = geometry[face_row.key]
        assert (face_row.face, face_row.border, face_row.turned) == (0, 0, 0)
        assert face_row.scale == pytest.approx(float(row["side"]) / 64, abs=2e-4)
        assert face_row.roll == float(row["roll"])
        assert face_row.landmarks == row["found"]
        if face_row.landmarks == "none":
            assert face_row.roll == 0
            continue
        # the eyes' slope is the roll
        eyes = np.array([[float(row[f"{s}_eye_{a}"]) for a in "xy"] for s in ("left", "right")])
        dx, dy = eyes[1] - eyes[0]
        assert face_row.roll == pytest.approx(np.degrees(np.arctan2(dy, dx)), abs=0.1)


def test_without_landmarks_the_index_says_so_with_roll_0(
    small_tree: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    make_faces(small_tree, tmp_path / "out", replace(small_config, detector="lbp"), executor="serial")
    assert {(face.landmarks, face.roll) for face in read_index(tmp_path / "out")} == {("none", 0.0)}
    with (tmp_path / "out" / "geometry.csv").open(newline="") as file:
        assert {row["left_eye_x"] for row in csv.DictReader(file)} == {""}  # no invented position


def test_tables_of_earlier_versions_are_still_read(small_faces: Path, tmp_path: Path) -> None:
    lines = [line.split(",")[:13] for line in (small_faces / "index.csv").read_text().splitlines()]
    (tmp_path / "index.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    old = read_index(tmp_path)
    assert [face.key for face in old] == [face.key for face in read_index(small_faces)]
    assert {(face.face, face.border, face.landmarks) for face in old} == {(0, None, None)}
    write_index(tmp_path / "again.csv", old)  # what is not known stays empty, and is read back
    assert read_index(tmp_path / "again.csv") == old
    header = (small_faces / "index.csv").read_text().splitlines()[0]
    (tmp_path / "index.csv").write_text(header.replace("border,scale", "scale,border") + "\n")
    with pytest.raises(DataError, match="expected the columns"):
        read_index(tmp_path)


def test_the_framing_changes_the_crops_and_stands_in_the_summary(
    small_tree: Path, small_faces: Path, small_config: FacesConfig, tmp_path: Path
) -> None:
    make_faces(small_tree, tmp_path / "out", replace(small_config, framing="tight"), executor="serial")
    assert json.loads((tmp_path / "out/summary.json").read_text())["parameters"]["framing"] == "tight"
    tight = {face.key: face.scale or 0 for face in read_index(tmp_path / "out")}
    for wide in read_index(small_faces):
        assert tight[wide.key] == pytest.approx((wide.scale or 0) / 1.3, rel=2e-3)


def test_the_template_constants_agree() -> None:
    assert (FIVE_POINTS[:2].mean(axis=0) - [0.5, 0.470]) == pytest.approx(0, abs=2e-3)
    eyes = FRAMINGS["deepfakebench"].eyes()
    assert eyes[1, 0] - eyes[0, 0] == pytest.approx(0.242, abs=1e-3)
    assert isinstance(align(eyes, 10), Similarity)
