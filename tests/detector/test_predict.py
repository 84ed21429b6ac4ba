"""``detector predict``: scores equal those of the stages, all kinds of files, failures are reported and not fatal."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mozcodec
from detector.answer import bundle, examine, record
from detector.answer.examine import Examined, Examiner, Options
from detector.answer.people import find_files, footage_of, people_of
from detector.card import Calibrated, Card, Data, RealLogits, Threshold, Thresholds
from detector.cli import cli, show_warning
from detector.conditions import parse_all
from detector.config import FacesConfig, Params, from_mapping
from detector.data.alignment import align, crop
from detector.data.detection import make_detector, track
from detector.data.index import read_index
from detector.data.pictures import read_image
from detector.data.png import encode_png
from detector.data.shards import ShardReader
from detector.errors import DataError
from detector.inference import predict
from detector.precision import Precision
from detector.predict import _map_names
from detector.ranges import Ranges, Span
from detector.score import score_faces
from detector.weights import load_model, save_model
from evaluation.likelihood import Calibration

CONDITIONS = parse_all(["raw", 77, 10])
PARAMS = from_mapping(Params, {"score": {"batch_size": 5}})
SYNTHETIC = Data("drawn", True, "noise", {}, {}, {})
EVERYTHING = Ranges(Span(0, 1e9), Span(0, 1), Span(-100, 100), {}, None, "")


def calibration(**changes: object) -> Calibration:
    """A calibration whose interval is far from 1: the likelihood ratio exp(4) is cut at 9."""
    values = {
        "intercept": 4.0, "slope": 0.0, "variance": (0.01, 0.0, 0.0), "quantile": 2.2, "clusters": 12, "unit": "pair",
        "reason": "", "low": 0.1, "high": 9.0, "real_units": 8, "fake_units": 4, "isotonic": [(-9.0, 0.2), (9.0, 0.8)],
        "cllr": 0.5, "cllr_min": 0.4, "ece": 0.1, "false_alarms": 0.1, "misses": 0.2,
    }  # fmt: skip
    return Calibration(**{**values, **changes})  # type: ignore[arg-type]


def card(found: Calibration | None, threshold: float = 0.0, **changes: object) -> Card:
    levels = Thresholds(Threshold(threshold, 8, 8), Threshold(threshold, 8, 8))
    labels = ("raw", "77", "turbo:77", "pooled")
    described = {
        "data": SYNTHETIC,
        "calibration": {label: Calibrated(found, found) for label in labels},
        "thresholds": dict.fromkeys(labels[:3], levels),
        "real_logits": {label: RealLogits(float(k), 1.0, 8) for k, label in enumerate(labels[:3])},
        "pooled": levels,
        "ranges": EVERYTHING,
        "crops": {"compression": "c23"},
    }
    return Card("meso4", {}, 64, 64, **{**described, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, untrained: dict[str, torch.Tensor]) -> Path:
    """What training leaves, of an untrained Meso4 for crops of 64 px."""
    folder = tmp_path_factory.mktemp("train")
    save_model(folder, untrained, card(calibration()))
    return folder


def other(trained: Path, folder: Path, changed: Card) -> Path:
    """The same weights with another card."""
    save_model(folder, load_model(trained, torch.device("cpu"))[0].state_dict(), changed)
    return folder


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory, face_photograph: np.ndarray) -> Path:
    """A photograph of a face as a PNG file."""
    path = tmp_path_factory.mktemp("pictures") / "face.png"
    Image.fromarray(face_photograph).save(path)
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["predict", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def one(file: Path, trained: Path, params: Params = PARAMS, **options: object) -> Examined:
    found = Examiner(trained, params, Options(**options)).examine(file)  # type: ignore[arg-type]
    assert found.answer.error is None, found.answer.error
    return found


def scores(examined: Examined) -> list[float]:
    (face,) = examined.answer.faces
    return list(face.score.by_frame.values())


def test_a_video_gets_the_scores_that_the_stages_give_it(
    trained: Path, small_tree: Path, small_faces: Path, small_config: FacesConfig
) -> None:
    faces = [face for face in read_index(small_faces) if face.video == "original/004"]
    expected = score_faces(faces, ShardReader(small_faces), trained, CONDITIONS[:1])[:, 0]
    video = small_tree / "original_sequences/youtube/c23/videos/004.mp4"
    found = one(video, trained, frames=small_config.frames_real)

    (face,) = found.answer.faces
    assert face.frames == tuple(row.frame for row in faces)
    np.testing.assert_allclose(scores(found), expected, rtol=1e-6)
    assert (face.score.level, face.score.value) == ("video", pytest.approx(expected.mean(), rel=1e-6))
    assert found.answer.condition is not None
    assert (found.answer.condition.label, found.answer.condition.source) == ("raw", "video")


def test_a_crop_gets_the_score_of_the_score_stage(trained: Path, small_faces: Path, tmp_path: Path) -> None:
    face, reader = read_index(small_faces)[0], ShardReader(small_faces)
    (tmp_path / "crop.png").write_bytes(reader.read(face))
    expected = score_faces([face], reader, trained, CONDITIONS[:1])

    np.testing.assert_allclose(scores(one(tmp_path / "crop.png", trained, aligned=True)), expected[0], rtol=1e-6)


def test_jpeg_comes_after_the_crop_or_before_it(portrait: Path) -> None:
    picture, detector = read_image(portrait), make_detector("haar")
    similarity = align(track({0: picture}, detector)[0].eyes, 64)
    shared = mozcodec.decode(mozcodec.encode(picture, quality=10))
    cut = crop(picture, similarity, 64)
    conditions = parse_all(["raw", 10])
    after = people_of({0: picture}, 64, detector, conditions=conditions)[0].crops[0]
    before = people_of({0: picture}, 64, detector, conditions=conditions, whole_image=True)[0].crops[0]

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


def test_a_warning_of_the_codec_is_one_line(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = portrait.with_name("more.jpg")
    path.write_bytes(mozcodec.encode(read_image(portrait), 90) + b"more")
    with pytest.warns(mozcodec.JpegWarning) as found:
        read_image(path)
    show_warning(found[0].message, found[0].category, found[0].filename, found[0].lineno)
    assert capsys.readouterr().err == "warning: data after the end of the image (size 4)\n"


def test_frames_of_a_video_are_spread_evenly(small_tree: Path, tmp_path: Path) -> None:
    video = small_tree / "original_sequences/youtube/c23/videos/000.mp4"

    assert list(footage_of(video, 3).images) == [0, 3, 7]
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:300])
    with pytest.raises(DataError, match=r"no video stream in cut\.mp4"):
        footage_of(tmp_path / "cut.mp4", 3)


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
    assert find_files([tmp_path / "empty"]) == ([tmp_path / "empty"], [])


def test_one_bad_file_does_not_stop_the_others(trained: Path, portrait: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "empty").mkdir(parents=True)
    (files / "text.jpg").write_bytes(b"no image")
    cv2.imwrite(str(files / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    inputs = [files / "nosuch.jpg", files / "empty", files, portrait]
    code, output, errors = run(*inputs, "--train", trained, "--json")
    answers = [json.loads(line) for line in output.splitlines()]

    assert code == 3
    assert "4 of 5 files have no answer" in errors
    assert [answer["error"] for answer in answers] == [
        "No such file or directory",
        "a folder without images or videos",
        "not an image that OpenCV can read",
        "no face found",
        None,
    ]
    assert [answer["verdict"] for answer in answers] == [None] * 4 + ["fake"]


def test_what_is_no_file_has_no_answer_and_stops_nothing(trained: Path, portrait: Path, tmp_path: Path) -> None:
    (pipe, loop, long) = (tmp_path / name for name in ("pipe", "loop", 300 * "x"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    code, output, errors = run(pipe, loop, long, "/dev/zero", portrait, "--train", trained, "--json")
    answers = [json.loads(line) for line in output.splitlines()]

    assert (code, "4 of 5 files have no answer" in errors) == (3, True)
    assert [(answer["error"] or "").split(" (")[0] for answer in answers] == [
        "not a regular file",
        "Too many levels of symbolic links",
        "File name too long",
        "not a regular file",
        "",
    ]


def test_images_that_are_not_examined_are_counted(
    trained: Path, face_photograph: np.ndarray, tmp_path: Path
) -> None:
    """An animation whose first frame has a face, one whose second has, and an empty file."""
    face, wall = Image.fromarray(face_photograph), Image.new("RGB", face_photograph.shape[1::-1], "gray")
    face.save(tmp_path / "face.png", save_all=True, append_images=[wall])
    wall.save(tmp_path / "wall.png", save_all=True, append_images=[face])
    (tmp_path / "zero.jpg").touch()
    files = [tmp_path / name for name in ("face.png", "wall.png", "zero.jpg")]
    code, output, _ = run(*files, "--train", trained, "--json")
    first, second, empty = (json.loads(line) for line in output.splitlines())
    assert code == 3
    note = "the file has 2 images (frames or pages); only the first was examined"
    assert note in first["faces"][0]["notes"]
    assert second["error"] == "no face found in the first of its 2 images"
    assert (empty["error"], empty["size"]) == ("the file is empty", 0)
    assert empty["sha256"] == hashlib.sha256(b"").hexdigest()


def test_every_answer_is_valid_json_of_the_documented_schema(trained: Path, portrait: Path, small_tree: Path) -> None:
    video = small_tree / "original_sequences/youtube/c23/videos/000.mp4"
    arguments = [portrait, video, "nosuch.png", "--train", trained, "--json", "--robustness", "--frames", 2]
    code, output, _ = run(*arguments)
    assert code == 3
    checker = jsonschema.Draft202012Validator(record.schema())
    checker.check_schema(record.schema())
    answers = [json.loads(line) for line in output.splitlines()]
    assert len(answers) == 3
    for answer in answers:
        checker.validate(answer)
    moved = answers[0]["faces"][0]["robustness"]
    assert [one["condition"] for one in moved] == ["turbo:85", "turbo:70", "webp:75", "resize:0.5>turbo:75"]
    for change in ({"verdict": "maybe"}, {"extra": 1}, {"format": "detector-answer/2"}):
        with pytest.raises(jsonschema.ValidationError):
            checker.validate({**answers[0], **change})


def test_synthetic_weights_say_so_before_any_number(trained: Path, portrait: Path, tmp_path: Path) -> None:
    _, output, _ = run(portrait, "--train", trained, "--evidence", tmp_path / "bundle")
    warning = output.index("CAUTION: These weights were trained on synthetic data")
    assert not any(character.isdigit() for character in output[:warning])
    line = (tmp_path / "bundle/answers.jsonl").read_text()
    assert line.startswith('{"caution": "These weights were trained on synthetic data')
    page = (tmp_path / "bundle/index.html").read_text()
    body = page[page.index("<body>") :].replace("<h1>", "").replace("</h1>", "")
    assert not any(character.isdigit() for character in body[: body.index("synthetic data")])
    real = other(trained, tmp_path / "real", card(calibration(), data=replace(SYNTHETIC, synthetic=False)))
    assert "CAUTION" not in run(portrait, "--train", real)[1]


@pytest.mark.parametrize(
    ("changed", "verdict", "words"),
    [
        (card(calibration()), "fake", "weak support for the proposition that the face is forged"),
        (card(calibration(intercept=-4.0), 1.0), "real", "moderate support for the proposition that the face is real"),
        (card(calibration(variance=(4.0, 0.0, 0.0))), "inconclusive", "the interval of the likelihood ratio, "),
        (card(calibration(variance=None, reason="one pair")), "inconclusive", "has no interval: one pair"),
        (card(calibration(high=1.9)), "inconclusive", "a likelihood ratio of 1.9 supports neither"),
        (card(calibration(), 1.0), "inconclusive", "indicates fake, but the score is below the threshold"),
        (card(None), "inconclusive", "no calibration"),
        (card(calibration(), ranges=None), "inconclusive", "not known what these weights were validated on"),
        (
            card(calibration(), ranges=replace(EVERYTHING, sharpness=Span(-100, 0))),
            "inconclusive",
            "outside what these weights were validated on: the sharpness is",
        ),
    ],
)
def test_the_verdict_has_a_reason(
    trained: Path, portrait: Path, tmp_path: Path, changed: Card, verdict: str, words: str
) -> None:
    found = one(portrait, other(trained, tmp_path, changed), history=False).answer
    assert (found.verdict, words in str(found.reason)) == (verdict, True), found.reason
    (face,) = found.faces
    if face.outside:
        assert face.likelihood is None
    elif face.likelihood is not None:
        low, high = face.likelihood.bounds
        assert low <= face.likelihood.ratio <= high


def test_cards_of_earlier_versions_give_scores_and_no_verdict(trained: Path, portrait: Path, tmp_path: Path) -> None:
    folder = other(trained, tmp_path, card(calibration()))
    values = json.loads((folder / "model.json").read_text())
    for name in ("calibration", "pooled", "ranges", "content_sha256"):
        del values[name]
    (folder / "model.json").write_text(json.dumps(values))
    found = one(portrait, folder).answer
    assert (found.verdict, found.faces[0].likelihood) == ("inconclusive", None)
    assert found.reason is not None
    assert "train them again" in found.reason


def test_an_unfinished_file_of_answers_is_continued(trained: Path, portrait: Path, tmp_path: Path) -> None:
    second, damaged, out = tmp_path / "second.png", tmp_path / "damaged.png", tmp_path / "answers.jsonl"
    damaged.write_bytes(portrait.read_bytes()[:200])
    arguments = [portrait, second, damaged, "--train", trained, "--out", out]
    assert run(*arguments)[0] == 3  # the second one is not there yet
    first = out.read_text().splitlines()
    assert [json.loads(line)["error"] is None for line in first] == [True, False, False]
    assert json.loads(first[2])["sha256"] is not None
    out.write_text("\n".join([*first, first[0][:50]]))  # killed while writing
    second.write_bytes(portrait.read_bytes())
    code, _, errors = run(*arguments)
    lines = out.read_text().splitlines()
    assert (code, lines[0]) == (3, first[0])
    assert [json.loads(line)["file"] for line in lines] == [str(portrait), str(second), str(damaged)]
    assert "1 of 3 files were answered before" in errors
    before = out.read_bytes()
    assert run(*arguments)[0] == 3  # the damaged one is tried again
    assert out.read_bytes() == before
    code, _, errors = run(*arguments, "--prior", 0.1)
    assert (code, "line 1 was made with other weights, options or versions" in errors) == (1, True)
    assert out.read_bytes() == before


def test_no_input_is_overwritten(trained: Path, portrait: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.png").write_bytes(portrait.read_bytes())
    for option in ("--out", "--explain"):
        code, _, errors = run(folder, "--train", trained, option, folder / "a.png")
        assert code != 0
        assert "a.png" in errors
    (tmp_path / "notes.txt").write_text("mine")
    code, _, errors = run(portrait, "--train", trained, "--out", tmp_path / "notes.txt")
    assert (code, (tmp_path / "notes.txt").read_text()) == (1, "mine")
    assert "not a file of answers" in errors
    assert (folder / "a.png").read_bytes() == portrait.read_bytes()


def test_the_evidence_can_be_checked_and_made_again(trained: Path, portrait: Path, small_tree: Path, tmp_path: Path):
    video = small_tree / "original_sequences/youtube/c23/videos/000.mp4"
    jpeg = tmp_path / "shared <b>.jpg"
    jpeg.write_bytes(mozcodec.encode(read_image(portrait), 77))
    for name in ("one", "two"):
        code, output, errors = run(jpeg, video, "--train", trained, "--evidence", tmp_path / name, "--frames", 5)
        assert code == 0, output + errors
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "one", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(done.stdout.splitlines()) == len(names) - 1
    assert [(tmp_path / "one" / name).read_bytes() for name in names] == [
        (tmp_path / "two" / name).read_bytes() for name in names
    ]
    maps = [str(name) for name in names if "grad_cam" in str(name)]
    assert sum("0001-shared_b_.jpg" in name for name in maps) == 1
    assert sum("0002-000.mp4" in name for name in maps) == 3  # of five frames
    page = (tmp_path / "one/index.html").read_text()
    assert "shared &lt;b&gt;.jpg" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_an_interrupted_bundle_is_continued(
    trained: Path, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for number in range(3):
        files.append((tmp_path / f"{number}.jpg", f"{number}.jpg"))
        files[-1][0].write_bytes(mozcodec.encode(read_image(portrait), 60 + number))
    examiner = Examiner(trained, PARAMS, Options(maps=True, history=False))
    out, whole = tmp_path / "bundle", tmp_path / "whole"
    for _ in bundle.make(whole, files, examiner, trained):
        pass

    def content(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    examined: list[str] = []
    prepared = Examiner._prepared
    monkeypatch.setattr(
        Examiner, "_prepared", lambda self, path, name: examined.append(name) or prepared(self, path, name)
    )

    def interrupted(stop: int) -> list[str]:
        examined.clear()
        results = bundle.make(out, files, examiner, trained)
        for _ in range(stop):
            next(results)
        results.close()
        return list(examined)

    assert interrupted(2) == ["0.jpg", "1.jpg", "2.jpg"]  # one batch; the last answer is not written
    assert not out.exists()
    (part,) = tmp_path.glob(".bundle.*.part")
    next(part.glob("files/0001-*/*grad_cam.png")).write_bytes(b"damaged")
    (part / "files/other").mkdir()
    assert interrupted(3) == ["0.jpg", "2.jpg"]  # the damaged one and the one that was missing
    examined.clear()
    assert [one.answer.file for one in bundle.make(out, files, examiner, trained)] == [name for _, name in files]
    assert examined == []
    assert content(out) == content(whole)
    assert [path.name for path in tmp_path.glob(".bundle.*part")] == []

    list(bundle.make(out, files, examiner, trained))  # a whole bundle stands
    assert examined == []
    (out / "extra").write_bytes(b"")  # no longer whole
    list(bundle.make(out, files, examiner, trained))
    assert examined == [name for _, name in files]
    assert content(out) == content(whole)


def test_crops_of_several_files_share_a_batch(trained: Path, portrait: Path, tmp_path: Path) -> None:
    files = []
    for number in range(10):
        files.append((tmp_path / f"{number}.jpg", f"{number}.jpg"))
        files[-1][0].write_bytes(mozcodec.encode(read_image(portrait), 30 + 5 * number))
    files.insert(4, (tmp_path / "missing.jpg", "missing.jpg"))
    examiner = Examiner(trained, PARAMS, Options(history=False))
    alone = [record.as_line(examiner.examine(path, name).answer) for path, name in files]
    sizes = []
    hook = examiner.model.register_forward_pre_hook(lambda _, images: sizes.append(len(images[0])))
    together = [record.as_line(found.answer) for found in examiner.examine_all(files)]
    hook.remove()
    assert together == alone
    assert sizes == [examine.BATCH, examine.BATCH]  # of 10 crops


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux only")
def test_odd_file_names_are_shown_escaped(trained: Path, portrait: Path, tmp_path: Path) -> None:
    names = [b"new\nline.png", "turned\u202egnp.exe".encode(), b"escape\x1b[31m.png", b"latin\xe9.png"]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(portrait.read_bytes())
    paths = [os.fsdecode(bytes(tmp_path) + b"/" + name) for name in names]
    code, output, errors = run(*paths, "--train", trained, "--evidence", tmp_path / "bundle")
    assert code == 0, errors
    assert set(output) & {"\u202e", "\x1b", "\udce9"} == set()
    for shown in ("new\\nline.png", "turned\\u202egnp.exe", "escape\\x1b[31m.png", "latin\\xe9.png"):
        assert shown in output
    answers = [json.loads(line) for line in (tmp_path / "bundle/answers.jsonl").read_text().splitlines()]
    assert [Path(answer["file"]).name for answer in answers] == [
        "new\nline.png", "turned\u202egnp.exe", "escape\x1b[31m.png", "latin\\xe9.png",
    ]  # fmt: skip
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "bundle", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_maps_are_drawn_without_a_bundle(trained: Path, portrait: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / portrait.name  # of the same name, with maps of its own
    other.parent.mkdir()
    other.write_bytes(encode_png(np.ascontiguousarray(read_image(portrait)[:, ::-1])))
    assert run(portrait, other, "--train", trained, "--explain", tmp_path / "maps")[0] == 0
    paths = sorted((tmp_path / "maps").iterdir())
    part = "person-1-frame-000000-grad_cam.png"
    assert [path.name for path in paths] == [f"face.png-2-{part}", f"face.png-{part}"]
    assert [read_image(path).shape for path in paths] == [(64, 64, 3)] * 2
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert _map_names(["a/x", "b/x-2", "b/x", "c/x"]) == {"a/x": "x", "b/x-2": "x-2", "b/x": "x-3", "c/x": "x-4"}


def test_an_answer_does_not_depend_on_the_other_files(trained: Path, portrait: Path, tmp_path: Path) -> None:
    jpeg = tmp_path / "a.jpg"
    jpeg.write_bytes(mozcodec.encode(read_image(portrait), 77))
    examiner = Examiner(trained, PARAMS, Options())
    together = [examiner.examine(path).answer for path in (portrait, jpeg, portrait)]
    assert together[0] == together[2]
    assert together[1] == Examiner(trained, PARAMS, Options()).examine(jpeg).answer


def test_robustness_is_the_score_of_the_image_after_sharing(trained: Path, portrait: Path) -> None:
    found = one(portrait, trained, reshared=("turbo:30",)).answer.faces[0]
    shared = mozcodec.decode(mozcodec.encode(read_image(portrait), 30, profile="fastest"))
    detector = make_detector("haar")
    similarity = align(track({0: read_image(portrait)}, detector)[0].eyes, 64)
    cpu = torch.device("cpu")
    cut = torch.from_numpy(crop(shared, similarity, 64)[None])
    expected = predict(load_model(trained, cpu)[0], [cut], cpu, Precision("off", cpu))[0]
    (moved,) = found.robustness
    assert moved.score == pytest.approx(expected, rel=1e-6)
    assert moved.change == pytest.approx(expected - found.score.value, abs=1e-6)


def test_a_face_has_its_place_in_the_image(trained: Path, portrait: Path, tmp_path: Path) -> None:
    upright = one(portrait, trained).answer.faces[0]
    assert upright.box is not None
    assert upright.corners is not None
    # her face is 95 px wide in the middle of the image
    assert 80 < upright.box[2] - upright.box[0] < 130
    turned = tmp_path / "turned.png"
    Image.open(portrait).transpose(Image.Transpose.ROTATE_90).save(turned)  # counterclockwise
    lying = one(turned, trained).answer.faces[0]
    assert lying.corners is not None
    assert "image turned by 90 degrees clockwise" in lying.notes
    # a point x, y of the upright image lies at y, W - 1 - x of the turned one
    expected = [(y, 319 - x) for x, y in upright.corners]
    np.testing.assert_allclose(lying.corners, expected, atol=3)


def test_an_image_that_is_not_a_crop_is_refused_as_one(trained: Path, portrait: Path) -> None:
    code, output, _ = run(portrait, "--train", trained, "--aligned")

    assert code == 3
    assert "is 320 x 240 pixels, crops are square; without --aligned the face" in " ".join(output.split())


def test_a_crop_of_another_size_is_resized_as_the_faces_stage_resizes(portrait: Path) -> None:
    square = read_image(portrait)[:240, 40:280]
    [large] = people_of({0: square}, 64, None, conditions=CONDITIONS)
    # 240 / 64 image pixels per crop pixel: the mean of 4 x 4 samples of the image at four times the crop's size
    larger = cv2.resize(square, (256, 256), interpolation=cv2.INTER_LINEAR)
    whole = cv2.resize(larger, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(large.crops[0][0].astype(int) - whole).max() <= 1
    assert large.notes == ("taken as a crop, resized from 240 x 240 to 64 x 64",)
    [same] = people_of({0: whole}, 64, None, conditions=CONDITIONS, resample="nearest")
    np.testing.assert_array_equal(same.crops[0][0], whole)
    assert same.notes == ()
    # nearest: as Pillow's
    [near] = people_of({0: square}, 64, None, conditions=CONDITIONS, resample="nearest")
    expected = Image.fromarray(square).resize((64, 64), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(near.crops[0][0], np.asarray(expected))


def test_missing_weights_are_named(portrait: Path, tmp_path: Path) -> None:
    code, _, errors = run(portrait, "--train", tmp_path)

    assert code == 1
    assert f"{tmp_path / 'model.json'}: no such file" in errors


def test_the_framing_is_that_of_the_weights(trained: Path, portrait: Path, tmp_path: Path) -> None:
    model, described = load_model(trained, torch.device("cpu"))
    save_model(tmp_path, model.state_dict(), replace(described, crops={"framing": "tight"}))
    picture, detector = read_image(portrait), make_detector("haar")
    for folder, framing in ((trained, "deepfakebench"), (tmp_path, "tight")):
        crops = people_of({0: picture}, 64, detector, framing)[0].crops
        cpu = torch.device("cpu")
        expected = predict(model, [torch.from_numpy(crops[0])], cpu, Precision("off", cpu))
        np.testing.assert_allclose(scores(one(portrait, folder)), expected, rtol=1e-6)
