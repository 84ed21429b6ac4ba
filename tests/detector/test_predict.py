"""``detector predict``: scores equal those of the stages, all kinds of files, failures are reported and not fatal."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mozcodec
from detector.card import Card
from detector.cli import cli
from detector.conditions import parse_all
from detector.config import FacesConfig, Params, from_mapping
from detector.data.alignment import align, crop
from detector.data.detection import make_detector, track
from detector.data.index import read_index
from detector.data.shards import ShardReader
from detector.errors import DataError
from detector.inference import predict
from detector.models import build
from detector.precision import Precision
from detector.predict import Prediction, crops_of, find_files, frames_of, people_of, predict_files, read_image, table
from detector.score import score_faces
from detector.weights import load_model, save_model

CONDITIONS = parse_all(["raw", 77, 10])
PARAMS = from_mapping(Params, {"score": {"batch_size": 5}})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves, of an untrained Meso4 for crops of 64 px."""
    folder = tmp_path_factory.mktemp("train")
    torch.manual_seed(1)
    model = build("meso4").train()
    with torch.no_grad():
        model(torch.rand(16, 3, 64, 64))
    save_model(folder, model.state_dict(), Card("meso4", {}, 64, 64))
    return folder


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory, face_photograph: np.ndarray) -> Path:
    """A photograph of a face as a PNG file."""
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    Image.fromarray(face_photograph).save(path)
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["predict", *map(str, arguments)])
    return result.exit_code, result.output


def one(file: Path, trained: Path, **options: bool | int) -> Prediction:
    ((path, found),) = predict_files([file], trained, CONDITIONS, PARAMS, **options)  # type: ignore[arg-type]
    assert path == file
    assert isinstance(found, Prediction), found
    return found


def test_a_video_gets_the_scores_that_the_stages_give_it(
    trained: Path, small_tree: Path, small_faces: Path, small_config: FacesConfig
) -> None:
    faces = [face for face in read_index(small_faces) if face.video == "original/004"]
    expected = score_faces(faces, ShardReader(small_faces), trained, CONDITIONS)
    video = small_tree / "original_sequences/youtube/c23/videos/004.mp4"
    found = one(video, trained, num_frames=small_config.frames_real)

    assert found.frames == tuple(face.frame for face in faces)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)
    np.testing.assert_allclose(found.mean, expected.mean(0), rtol=1e-6)


def test_a_crop_gets_the_score_of_the_score_stage(trained: Path, small_faces: Path, tmp_path: Path) -> None:
    face, reader = read_index(small_faces)[0], ShardReader(small_faces)
    (tmp_path / "crop.png").write_bytes(reader.read(face))
    expected = score_faces([face], reader, trained, CONDITIONS)

    np.testing.assert_allclose(one(tmp_path / "crop.png", trained, aligned=True).scores, expected, rtol=1e-6)


def test_jpeg_comes_after_the_crop_or_before_it(portrait: Path) -> None:
    picture, detector = read_image(portrait), make_detector("haar")
    similarity = align(track({0: picture}, detector)[0].eyes, 64)
    shared = mozcodec.decode(mozcodec.encode(picture, quality=10))
    cut = crop(picture, similarity, 64)
    conditions = parse_all(["raw", 10])
    after = crops_of({0: picture}, 64, detector, conditions)[0]
    before = crops_of({0: picture}, 64, detector, conditions, whole_image=True)[0]

    np.testing.assert_array_equal(after, [cut, mozcodec.decode(mozcodec.encode(cut, quality=10))])
    np.testing.assert_array_equal(before, [cut, crop(shared, similarity, 64)])


def test_files_of_every_kind_show_the_same_image(face_photograph: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(face_photograph)
    for name in ("a.png", "a.bmp", "a.tif"):
        image.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), face_photograph)
    Image.fromarray(face_photograph).convert("L").save(tmp_path / "gray.png")
    assert read_image(tmp_path / "gray.png").shape == face_photograph.shape
    image.save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), face_photograph)


def test_exif_orientation_is_applied(face_photograph: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    Image.fromarray(face_photograph).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    Image.fromarray(face_photograph).save(tmp_path / "plain.jpg", quality=95)

    turned, plain = read_image(tmp_path / "turned.jpg"), read_image(tmp_path / "plain.jpg")
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))


def test_damaged_files_are_refused(portrait: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.open(portrait).save(buffer, "JPEG")
    for name, data, message in (
        ("cut.png", portrait.read_bytes()[:-2000], "PNG file ends too early"),
        ("cut.jpg", buffer.getvalue()[:-500], "not a readable JPEG file"),
        ("text.png", b"no image", "not an image that OpenCV can read"),
        ("empty.png", b"", "not an image that OpenCV can read"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=message):
            read_image(tmp_path / name)


def test_frames_of_a_video_are_spread_evenly(small_tree: Path, tmp_path: Path) -> None:
    video = small_tree / "original_sequences/youtube/c23/videos/000.mp4"

    assert list(frames_of(video, 3)) == [0, 3, 7]
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:300])
    with pytest.raises(DataError, match=r"no video stream in cut\.mp4"):
        frames_of(tmp_path / "cut.mp4", 3)


def test_folders_give_their_images_and_videos_once_and_sorted(
    portrait: Path, small_tree: Path, tmp_path: Path
) -> None:
    for name in ("b.JPG", "sub/a.mp4", "notes.txt", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "clip").write_bytes((small_tree / "original_sequences/youtube/c23/videos/000.mp4").read_bytes())
    (tmp_path / "photo.dat").write_bytes(portrait.read_bytes())

    found, notes = find_files([portrait, tmp_path, tmp_path / "a.png"])
    # by content; damaged files by their suffix, so that they are listed as unreadable
    assert found == [portrait, *(tmp_path / name for name in ("a.png", "b.JPG", "clip", "photo.dat", "sub/a.mp4"))]
    assert notes == [f"1 files in {tmp_path} are not read (neither images nor videos; 1 .txt): notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no images or videos"):
        find_files([tmp_path / "empty"])


def test_the_table_names_the_conditions_that_change_the_verdict() -> None:
    lost = Prediction(Path("a.jpg"), (0,), np.array([[0.9, 0.6, 0.4]]))
    video = Prediction(Path("b.mp4"), (0, 5), np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.9]]))
    lines = table([lost, video], CONDITIONS, 0.5, 6).splitlines()

    assert lines[0] == "          raw     77     10  verdict"
    assert lines[1] == "a.jpg   0.900  0.600  0.400  fake, but real at 10"
    assert lines[2] == "b.mp4   0.200  0.200  0.600  real, but fake at 10 (2 frames)"
    lines = table([lost], parse_all(["raw", "turbo:90>resize:0.5", "webp:5"]), 0.5, 6).splitlines()
    assert lines[0] == "          raw  turbo:90>resize:0.5  webp:5  verdict"
    assert lines[1] == "a.jpg   0.900                0.600   0.400  fake, but real at webp:5"


def test_the_file_as_it_is_comes_first_and_decides(trained: Path, portrait: Path, tmp_path: Path) -> None:
    for listed in ("[webp:20, raw, 10]", "[webp:20, 10]"):
        (tmp_path / "params.yaml").write_text(f"conditions: {listed}\n")
        code, output = run(portrait, "--train", trained, "--params", tmp_path / "params.yaml")
        assert (code, output.split()[:4]) == (0, ["raw", "webp:20", "10", "verdict"])


def test_a_score_at_the_threshold_is_called_fake() -> None:
    at = np.array([[0.625]])
    verdicts = [table([Prediction(Path("a.jpg"), (0,), at)], CONDITIONS[:1], t, 6).split()[-1] for t in (0.625, 0.626)]
    assert verdicts == ["fake", "real"]


def test_one_bad_file_does_not_stop_the_others(trained: Path, portrait: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    code, output = run(tmp_path, portrait, "--train", trained, "--out", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert code == 1
    assert "2 of 3 files have no score" in output
    assert f"{tmp_path / 'text.jpg'}: not an image that OpenCV can read" in output
    assert f"{tmp_path / 'wall.png'}: no face found" in output
    assert {row["path"] for row in rows} == {str(portrait)}
    assert [row["condition"] for row in rows] == [*Params().conditions]
    np.testing.assert_allclose(float(rows[1]["score"]), one(portrait, trained).scores[0, 1], rtol=1e-6)


def test_threshold_decides_the_verdict(trained: Path, portrait: Path) -> None:
    verdicts = [run(portrait, "--train", trained, "--threshold", t)[1].splitlines()[-1][-4:] for t in (0, 1)]

    assert verdicts == ["fake", "real"]


def test_an_image_that_is_not_a_crop_is_refused_as_one(trained: Path, portrait: Path) -> None:
    code, output = run(portrait, "--train", trained, "--aligned")

    assert code == 1
    assert "is 320 x 240 pixels, crops are square; without --aligned the face is detected and cut out" in output


def test_a_crop_of_another_size_is_resized_as_the_faces_stage_resizes(portrait: Path) -> None:
    square = read_image(portrait)[:240, 40:280]
    [large] = people_of({0: square}, 64, None, CONDITIONS)
    # 240 / 64 image pixels per crop pixel: the mean of 4 x 4 samples of the image at four times the crop's size
    larger = cv2.resize(square, (256, 256), interpolation=cv2.INTER_LINEAR)
    whole = cv2.resize(larger, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(large.crops[0][0].astype(int) - whole).max() <= 1
    assert large.notes == ("taken as a crop, resized from 240 x 240 to 64 x 64",)
    [same] = people_of({0: whole}, 64, None, CONDITIONS, resample="nearest")
    np.testing.assert_array_equal(same.crops[0][0], whole)
    assert same.notes == ()
    # nearest: as Pillow's
    [near] = people_of({0: square}, 64, None, CONDITIONS, resample="nearest")
    expected = Image.fromarray(square).resize((64, 64), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(near.crops[0][0], np.asarray(expected))


def test_missing_weights_are_named(portrait: Path, tmp_path: Path) -> None:
    code, output = run(portrait, "--train", tmp_path)

    assert code == 1
    assert f"{tmp_path / 'model.json'}: no such file" in output


def test_the_framing_is_that_of_the_weights(trained: Path, portrait: Path, tmp_path: Path) -> None:
    model, card = load_model(trained, torch.device("cpu"))
    save_model(tmp_path, model.state_dict(), replace(card, crops={"framing": "tight"}))
    picture, detector = read_image(portrait), make_detector("haar")
    for folder, framing in ((trained, "deepfakebench"), (tmp_path, "tight")):
        crops = crops_of({0: picture}, 64, detector, CONDITIONS, framing=framing)
        cpu = torch.device("cpu")
        expected = predict(model, [torch.from_numpy(crops[0])], cpu, Precision("off", cpu))
        np.testing.assert_allclose(one(portrait, folder).scores, expected.reshape(1, -1), rtol=1e-6)
