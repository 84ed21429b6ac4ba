"""The generator of the sample videos, on small samples made for the test."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from detector.data.layout import find_clips
from detector.errors import DataError
from detector.lock import held
from detector.schema import read_json
from tools.sample import canvas, clips, generate, geometry, palette
from tools.sample.animation import animate, drift
from tools.sample.command import command
from tools.sample.forgeries import METHODS, Footage
from tools.sample.forgeries.common import transfer_color
from tools.sample.identity import draw_identities
from tools.sample.rotation import rotated, rotation_matrix, transposed
from tools.sample.scene import draw_scene
from tools.sample.splits import split_pairs
from tools.sample.writer import read_video, write_video

LENGTH_4 = clips.Settings(identities=6, frames=4)
SMALL = {"identities": 6, "frames": 2}


def contents(tree: Path) -> dict[str, str]:
    """Name and hash of every file."""
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A sample made by one process."""
    out = tmp_path_factory.mktemp("small") / "data"
    generate(out, **SMALL)
    return out


@pytest.fixture(scope="module")
def uploads() -> list[Footage]:
    """Two filmed clips of a pair, 4 frames each."""
    return [clips.film(LENGTH_4, number).footage for number in (0, 1)]


def test_sample_is_complete_and_leaves_nothing_else_behind(small):
    names = set(contents(small))
    fakes = [f"{t:03d}_{t ^ 1:03d}.mp4" for t in range(6)]
    expected = {"dataset.json", "splits/train.json", "splits/val.json", "splits/test.json"}
    for compression in ("c23", "c40"):
        expected |= {f"original_sequences/youtube/{compression}/videos/{t:03d}.mp4" for t in range(6)}
    for method in METHODS:
        for part in ("c23", "c40", "masks"):
            expected |= {f"manipulated_sequences/{method}/{part}/videos/{name}" for name in fakes}
    assert names == expected


def test_sample_is_a_faceforensics_tree(small):
    tree = find_clips(small, "c40", list(METHODS))
    assert len(tree.clips) == 6 * 5
    assert tree.notes == ()
    assert all((clip.mask is not None) == clip.label for clip in tree.clips)


def test_finished_clips_are_kept_and_missing_ones_made_alone(small):
    before = contents(small)
    lost = [
        small / "original_sequences/youtube/c40/videos/002.mp4",
        small / "manipulated_sequences/FaceSwap/masks/videos/005_004.mp4",
    ]
    kept = small / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4"
    age = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
    generate(small, **SMALL)
    assert contents(small) == before
    assert kept.stat().st_mtime_ns == age


def test_killed_run_of_many_processes_leaves_whole_clips_and_gives_the_same_bytes_in_the_end(small, tmp_path):
    out = tmp_path / "data"
    script = f"from tools.sample import generate; generate({str(out)!r}, identities=6, frames=2, workers=3)"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    first = out / "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4"
    while not first.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "dataset.json").exists()
    for path in out.rglob("videos/[0-9]*.mp4"):
        assert len(read_video(path)) == 2
    generate(out, **SMALL)  # one process
    found, expected = contents(out), contents(small)
    assert {name for name in {*found, *expected} if found.get(name) != expected.get(name)} == set()


def test_dataset_json_says_that_the_faces_are_synthetic(small):
    description = read_json(small / "dataset.json")
    assert description["synthetic"] is True
    assert "synthetic" in description["note"]
    assert description["licence"] == "MIT"
    assert "nothing follows" in description["note"]
    assert (description["identities"], description["frames"], description["seed"]) == (6, 2, 0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"identities": 7}, "identities must be an even number from 6 .* got 7"),
        ({"identities": 4}, "got 4"),
        ({"frames": 1}, "frames must be 2 or more, got 1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_impossible_samples_are_refused(tmp_path, numbers, message):
    with pytest.raises(DataError, match=message):
        generate(tmp_path / "data", **numbers)
    assert not (tmp_path / "data").exists()


def test_other_samples_and_other_files_are_left_alone(small, tmp_path):
    before = contents(small)
    with pytest.raises(DataError, match=r"dataset.json: the sample there has seed 0, requested is 1"):
        generate(small, **SMALL, seed=1)
    assert contents(small) == before
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="name a new or an empty folder"):
        generate(tmp_path, **SMALL)
    with pytest.raises(DataError, match="is a file"):
        generate(tmp_path / "holiday.jpg", **SMALL)


def test_two_runs_do_not_write_one_sample(tmp_path):
    message = r"is making the sample in .*data; wait for it"
    with held(tmp_path / "data/.sample/lock", "holds it"), pytest.raises(DataError, match=message):
        generate(tmp_path / "data", **SMALL)


def test_command_makes_the_sample_and_says_what_it_is(small):
    result = CliRunner().invoke(command, [str(small), "--identities", "6", "--frames", "2"])
    assert result.exit_code == 0, result.output
    assert "84 clips of 6 identities" in result.output  # 2 x 6 real, 3 x 4 x 6 fakes and masks
    assert "nothing follows" in result.output


def test_clip_is_the_same_in_any_order_and_by_any_number_of_threads(uploads):
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1 if threads > 1 else 4)
        again = clips.film(LENGTH_4, 1).footage
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(again.frames, uploads[1].frames)
    assert np.array_equal(again.landmarks, uploads[1].landmarks)


def test_encoder_keeps_no_state_between_clips(uploads, tmp_path):
    write_video(tmp_path / "before.mp4", uploads[0].frames, 23)
    write_video(tmp_path / "other.mp4", uploads[1].frames[:, :120, :160], 40)
    write_video(tmp_path / "after.mp4", uploads[0].frames, 23)
    assert (tmp_path / "before.mp4").read_bytes() == (tmp_path / "after.mp4").read_bytes()


def test_video_of_no_frames_is_an_error_and_no_file(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "empty.mp4", [], 23)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", METHODS)
def test_forgery_changes_the_face_and_nothing_16_pixels_outside_its_mask(uploads, method):
    target, source = uploads
    forged = clips.forge(clips.Settings(), method, (0, 1), target, source)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (33, 33))
    for frame, mask, original in zip(forged.frames, forged.masks, target.frames, strict=True):
        assert set(np.unique(mask)) == {0, 255}
        changed = (frame != original).any(-1)
        assert not changed[cv2.dilate(mask, disc) == 0].any()
        assert changed[mask == 255].mean() > 0.5
        assert 0.02 < (mask == 255).mean() < 0.25


def test_forgeries_do_not_depend_on_each_other(uploads):
    target, source = uploads
    settings = clips.Settings()
    first = clips.forge(settings, "FaceSwap", (0, 1), target, source).frames
    for method in METHODS:
        clips.forge(settings, method, (1, 0), source, target)
    assert np.array_equal(clips.forge(settings, "FaceSwap", (0, 1), target, source).frames, first)


def test_landmarks_lie_where_the_features_are(uploads):
    # bright teeth and lips apart, irises and brows are darker than the skin of the cheeks
    for footage in uploads:
        gray = footage.frames.mean(-1)
        for image, points in zip(gray, footage.landmarks, strict=True):

            def at(*indices, image=image, points=points):
                x, y = points[list(indices)].mean(0).round().astype(int)
                return image[y - 1 : y + 2, x - 1 : x + 2].mean()

            assert at(19) < at(2, 30)
            assert at(24) < at(14, 30)
    assert uploads[0].landmarks.shape == (4, 68, 2)


def test_pairs_are_of_one_sex_and_similar_skin():
    people = draw_identities(0, 76)
    pairs = list(zip(people[::2], people[1::2], strict=True))
    assert sum(a.male != b.male for a, b in pairs) <= 2
    paired = np.mean([abs(a.tone - b.tone) for a, b in pairs])
    strangers = np.mean([abs(a.tone - b.tone) for a in people for b in people])
    assert paired < strangers / 3


def test_styles_are_drawn_as_often_as_the_tables_say():
    styles = [person.style for person in draw_identities(3, 1000) if person.male]
    assert set(styles) == {"short", "part", "buzz", "curly"}
    assert styles.count("short") / len(styles) == pytest.approx(0.36, abs=4 * (0.36 * 0.64 / len(styles)) ** 0.5)


@pytest.mark.parametrize(("pairs", "sizes"), [(38, (22, 4, 12)), (3, (1, 1, 1)), (10, (6, 1, 3))])
def test_every_pair_is_in_one_split(pairs, sizes):
    splits = split_pairs(0, pairs)
    assert tuple(len(splits[name]) for name in ("train", "val", "test")) == sizes
    people = [person for part in splits.values() for pair in part for person in pair]
    assert sorted(people) == [f"{i:03d}" for i in range(2 * pairs)]


def test_drift_has_the_deviation_and_the_memory_it_was_asked_for():
    walks = np.array([drift(np.random.default_rng([7, i]), 200, 0.1, 14) for i in range(200)])
    # the Hann window over 7 frames takes a few percent of the deviation away
    assert walks.std() == pytest.approx(0.1, rel=0.08)
    later = np.corrcoef(walks[:, :-14].ravel(), walks[:, 14:].ravel())[0, 1]
    assert later == pytest.approx(np.exp(-1), abs=0.06)


def test_heads_blink_and_talk():
    expressions = [
        animate(rng, 60, 25, draw_scene(rng, 240)) for rng in (np.random.default_rng([1, i]) for i in range(40))
    ]
    assert all(max(e.blink for e in clip) == 1 for clip in expressions)  # 2.4 s hold a whole blink
    talking = np.mean([max(e.opening for e in clip) > 0.2 for clip in expressions])
    assert 0.5 < talking < 0.95  # drawn with .75


def test_rotation_turns_like_scipy():
    from scipy.spatial.transform import Rotation

    ours = rotation_matrix(0.3, -0.2, 0.1)
    # about y by yaw, then x by pitch, then z by roll; our y points down, which turns the sense of x around
    theirs = Rotation.from_euler("yxz", [0.3, 0.2, 0.1]).as_matrix()
    assert np.allclose(ours, theirs, atol=1e-12)
    v = (0.2, -0.5, 0.7)
    assert np.allclose(rotated(ours, v), theirs @ v)
    assert np.allclose(transposed(ours, v), theirs.T @ v)


def test_similarity_agrees_with_scikit_image():
    from skimage.transform import SimilarityTransform

    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 30, (2, 68, 2))
    theirs = SimilarityTransform.from_estimate(source, target).params
    assert np.allclose(geometry.similarity(source, target), theirs[:2], atol=1e-9)


def test_triangulation_agrees_with_scipy():
    from scipy.spatial import Delaunay

    points = geometry.with_forehead(geometry.MEAN_FACE)
    theirs = {tuple(sorted(t)) for t in Delaunay(points).simplices.tolist()}
    ours = {tuple(sorted(t)) for t in geometry.triangles()}
    assert len(ours) == 123
    # OpenCV's outer frame cuts slivers off the hull, and four points on a circle have two triangulations
    assert len(ours - theirs) <= 6


def test_warp_moves_an_image_like_opencvs_affine_warp(uploads):
    image = uploads[0].frames[0].astype(np.float32)
    points = geometry.with_forehead(uploads[0].landmarks[0])
    matrix = np.array([[1.05, -0.1, 20.0], [0.1, 0.95, -5.0]])
    moved, defined = geometry.warp(image, points, geometry.apply_affine(matrix, points), image.shape[:2])
    expected = cv2.warpAffine(image, matrix, (320, 240), flags=cv2.INTER_LINEAR)
    assert defined.sum() > 5000
    # OpenCV samples at multiples of 1/32 pixel
    assert np.abs(moved - expected)[defined].mean() < 0.2


def test_color_transfer_matches_mean_and_deviation():
    rng = np.random.default_rng(0)
    face, target = rng.normal((90, 110, 140), 20, (40, 40, 3)), rng.normal((60, 80, 100), 10, (40, 40, 3))
    weight = np.ones((40, 40))
    matched = transfer_color(face, target, weight, 1, 1)
    assert np.allclose(matched.mean((0, 1)), target.mean((0, 1)), atol=1e-3)
    assert np.allclose(matched.std((0, 1)), target.std((0, 1)), rtol=1e-3)
    assert np.allclose(transfer_color(face, target, weight, 0, 0), face)


def test_monotone_cubic_meets_its_points_and_overshoots_nowhere():
    xs, ys = [0.0, 1, 2, 4, 5], [0.0, 0, 1, 1, 0.5]
    fine = canvas.monotone_cubic(xs, ys, np.linspace(-1, 6, 701))
    assert np.allclose(canvas.monotone_cubic(xs, ys, np.array(xs)), ys)
    assert fine.min() >= 0
    assert fine.max() <= 1
    assert (np.diff(fine[100:301]) >= -1e-7).all()  # rises from 0 to 2


def test_linear_light_of_gray_188():
    # IEC 61966-2-1: ((188 / 255 + .055) / 1.055) ^ 2.4 = .5029
    assert palette.linear((0, 255, 188)) == pytest.approx([0, 1, 0.5029], abs=1e-4)


def test_a_selection_of_splits_compressions_and_masks_has_the_same_clips(small, tmp_path):
    arguments = [str(tmp_path / "part"), "--pairs", "3", "--split", "val=1", "--split", "test=2"]
    arguments += ["--compressions", "c23", "--no-masks", "--frames", "2"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    found = {path.relative_to(tmp_path / "part"): path.read_bytes() for path in (tmp_path / "part").rglob("*.mp4")}
    assert found == {
        path.relative_to(small): path.read_bytes()
        for path in small.rglob("*.mp4")
        if "c40" not in path.parts and "masks" not in path.parts
    }
    splits = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "part/splits").iterdir()}
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 0, "val": 1, "test": 2}
    description = json.loads((tmp_path / "part/dataset.json").read_text())
    assert (description["compressions"], description["masks"]) == (["c23"], False)
    again = CliRunner().invoke(command, [*arguments[:-2], "--frames", "3"])
    assert "has frames 2, requested is 3" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pairs", "3", "--split", "tests"], "splits must be pairs of train, val and test that add up to 3"),
        (["--pairs", "4", "--split", "val=1", "--split", "test=2"], "that add up to 4"),
        (["--split", "val", "--split", "test=2"], "--split is NAME, once, or NAME=PAIRS"),
        (["--compressions", "c23,c12"], "compressions are c23 and c40, each at most once, got ['c23', 'c12']"),
        (["--pairs", "3", "--identities", "6"], "give --identities or --pairs"),
    ],
)
def test_impossible_selections_are_refused(tmp_path, arguments, words):
    done = CliRunner().invoke(command, [str(tmp_path / "data"), *arguments])
    assert done.exit_code != 0
    assert words in f"{done.output} {done.exception}"
    assert not (tmp_path / "data").exists()
