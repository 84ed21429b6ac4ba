"""The audit stage finds shortcuts and leaks that are planted in small data."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import mozcodec
from detector.audit import make_audit
from detector.cli import cli
from detector.config import AuditConfig, FacesConfig
from detector.data import properties, work
from detector.data.faces import make_faces
from detector.data.index import Face, read_index, read_rows, write_rows
from detector.data.png import encode_png
from detector.data.shards import ShardWriter
from detector.data.sources import describe_source
from detector.data.work import Executor
from detector.errors import DataError
from evaluation.findings import Audit, findings

PEOPLE = 10
CONFIG = FacesConfig(size=64)


def looks(face_photograph: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield number, real and "fake" image of some people: both are the photograph in a light and at a place of its own.

    Nothing but noise distinguishes the two.
    """
    rng = np.random.default_rng(3)
    for number in range(PEOPLE):
        images = []
        for _ in range(2):
            shifted = np.roll(face_photograph, rng.integers(-12, 12, 2), axis=(0, 1))
            lit = shifted * rng.uniform(0.6, 1) + rng.normal(0, 3, shifted.shape)
            images.append(np.clip(lit, 0, 255).astype(np.uint8))
        yield number, *images


Encode = Callable[[np.ndarray], bytes]


def jpeg(quality: int, **options: object) -> Encode:
    return lambda image: mozcodec.encode(image, quality=quality, **options)


def small(image: np.ndarray) -> bytes:
    return encode_png(cv2.resize(image, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


def tight(image: np.ndarray) -> bytes:
    """The face without its surroundings: its crop reaches beyond the image."""
    return encode_png(image[44:190, 96:224])


def mirrored(image: np.ndarray) -> bytes:
    """The face with its surroundings replaced by a mirror image of it, as data sets of cut-out faces are padded."""
    return encode_png(cv2.copyMakeBorder(image[24:190, 70:224], 24, 50, 70, 96, cv2.BORDER_REFLECT_101))


@pytest.fixture
def audit_of(face_photograph: np.ndarray, tmp_path: Path) -> Callable[..., Audit]:
    """audit_of(real, fake): the audit of a plain folder whose classes are encoded by these functions."""

    def run(real: Encode = encode_png, fake: Encode = encode_png) -> Audit:
        data = tmp_path / "data"
        for number, *images in looks(face_photograph):
            for name, encode, image in zip(("real", "fake"), (real, fake), images, strict=True):
                content = encode(image)
                path = data / name / f"{number:02d}.{'jpg' if content[0] == 0xFF else 'png'}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        make_faces(data, tmp_path / "faces", CONFIG, executor="serial")
        return make_audit(tmp_path / "faces", tmp_path / "audit", data, AuditConfig())

    return run


def found_in(audit: Audit) -> set[str]:
    """Return the names of the properties whose intervals lie above the margin."""
    return {row.name for row in audit.shortcuts if row.lo is not None and row.lo > audit.notable_above}


def test_classes_that_differ_only_in_noise_have_no_findings(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of()
    assert found_in(audit) == set()
    assert findings(audit) == []
    assert audit.unit == "pairs"
    row = audit.find("format")
    assert row is not None
    assert (row.real, row.fake, row.reason) == ("PNG (all)", "PNG (all)", "the same for all items")


def test_real_jpeg_against_fake_png_is_found(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(real=jpeg(90))
    assert {"format", "encoding", "together"} <= found_in(audit)
    row = audit.find("format")
    assert row is not None
    assert (row.auc, row.real, row.fake) == (1.0, "JPEG (all)", "PNG (all)")
    assert any(
        sentence.startswith("Real and fake can be told apart by file format alone: AUC 1")
        for sentence in findings(audit)
    )
    quality = audit.find("jpeg_quality")
    assert quality is not None
    assert quality.reason == "no fake items with this property"


def test_other_jpeg_qualities_are_found(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(jpeg(60), jpeg(75))
    assert {"jpeg_quality", "quant_tables", "bits_per_pixel"} <= found_in(audit)
    assert not {"format", "size", "encoding"} & found_in(audit)
    row = audit.find("jpeg_quality")
    assert row is not None
    assert (row.real, row.fake) == ("60", "75")


def test_another_encoder_at_one_quality_is_found(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(jpeg(90), jpeg(90, progressive=False))
    assert "encoding" in found_in(audit)
    assert not {"format", "size", "jpeg_quality", "quant_tables"} & found_in(audit)
    row = audit.find("encoding")
    assert row is not None
    assert row.real.startswith("progressive")
    assert row.fake.startswith("baseline")


def test_other_sizes_are_found(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(fake=small)
    assert {"size", "scale"} <= found_in(audit)
    assert "format" not in found_in(audit)
    row = audit.find("size")
    assert row is not None
    assert (row.real, row.fake) == ("320 x 240 (all)", "240 x 180 (all)")


def test_crops_beyond_the_image_are_found(audit_of: Callable[..., Audit]) -> None:
    assert found_in(audit_of(real=tight)) & {"border", "shrink"}


def test_borders_that_were_mirrored_before_are_found_in_the_pixels(audit_of: Callable[..., Audit]) -> None:
    """No crop reaches beyond its image, and file, size and scale are those of the fakes."""
    audit = audit_of(real=mirrored)
    assert not {"border", "shrink", "format", "size", "encoding", "scale"} & found_in(audit)
    (found,) = [sentence for sentence in findings(audit) if "8 x 8 pixels" in sentence]
    assert found.startswith("Real and fake can be told apart by a linear model of the crop as 8 x 8 pixels: AUC 1")


def plant(root: Path, images: dict[str, tuple[np.ndarray, str, str]], **tables: list[dict[str, object]]) -> Path:
    """Write packed crops: key -> (image, identity, split); and CSV files."""
    with ShardWriter(root) as shards:
        slots = {key: shards.add(key, encode_png(images[key][0])) for key in sorted(images)}
    rows = []
    for key, (_, identity, split) in sorted(images.items()):
        _, method, name, frame = key.split("/")
        described = {"compression": "given", "method": method, "identity": identity, "pair": identity, "split": split}
        place = {"video": f"{method}/{name}", "frame": int(frame), "label": int(method != "original")}
        rows.append(Face(**dataclasses.asdict(slots[key]), **described, **place))
    write_rows(root / "index.csv", Face, rows)
    for name, lines in tables.items():
        with (root / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    return root


def drawn(number: int) -> np.ndarray:
    """A random image of 64 x 64, unlike any other, with structure of every size."""
    rng = np.random.default_rng(number)
    parts = [
        cv2.resize(rng.normal(0, 30, (side, side, 3)), (64, 64), interpolation=cv2.INTER_CUBIC)
        for side in (4, 8, 16, 32)
    ]
    return np.clip(128 + sum(parts), 0, 255).astype(np.uint8)


def people(number: int = 12) -> dict[str, tuple[np.ndarray, str, str]]:
    """A real and a fake crop of each of some people, half of them in train, half in test."""
    return {
        f"given/{method}/p{i:02d}/0000": (drawn(2 * i + fake), f"p{i:02d}", "train" if 2 * i < number else "test")
        for i in range(number)
        for fake, method in enumerate(("original", "fake"))
    }


def test_unlike_crops_of_people_of_one_split_leak_nothing(tmp_path: Path) -> None:
    audit = make_audit(plant(tmp_path / "faces", people()), tmp_path / "out", None, AuditConfig())
    assert audit.leaks == []
    assert audit.near_duplicates is not None
    assert (audit.near_duplicates.num_near, audit.near_duplicates.num_compared) == (0, 12 * 12)
    assert len(audit.notes) == 1


def test_pairs_of_many_crops_are_compared_by_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = people()
    images["given/fake/p11/0000"] = images["given/original/p00/0000"][0][:, ::-1], *images["given/fake/p11/0000"][1:]
    faces = plant(tmp_path / "faces", images)
    make_audit(faces, tmp_path / "here", None, AuditConfig())
    monkeypatch.setattr("detector.audit.MOST_HERE", 0)
    monkeypatch.setattr("evaluation.leaks.SEARCHED", 5)  # 12 crops of train and of test in 3 x 3 parts
    named: list[str] = []
    finish = work.finish
    with monkeypatch.context() as patched:
        patched.setattr(work, "finish", lambda task, folder: named.append(task.name) or finish(task, folder))
        audit = make_audit(faces, tmp_path / "out", None, AuditConfig())
    assert sum(name.startswith("crops ") for name in named) == 9
    make_audit(faces, tmp_path / "processes", None, AuditConfig(), where=Executor("processes", 2))
    near = audit.near_duplicates
    assert near is not None and (near.num_near, near.num_compared) == (1, 12 * 12)
    for name in ("audit.json", "audit.csv", "leaks.csv"):
        content = (tmp_path / "here" / name).read_bytes()
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "processes" / name).read_bytes() == content


def test_source_files_that_are_examined_one_by_one_give_the_same_result(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png"]  # done so if the workers die on all together
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(encode_png(np.full((8, 8 + number, 3), 9, np.uint8)))
    (task,) = properties.source_tasks(tmp_path, names)
    assert task.division is not None
    pieces = task.division.divide(task.argument)
    assert [piece.name for piece in pieces] == names and not any(piece.division for piece in pieces)
    files = [work.finish(piece, tmp_path / "work") for piece in pieces]
    assert task.division.join(files) == task.function(task.argument)


def test_a_person_in_two_splits_is_found(tmp_path: Path) -> None:
    images = people()
    image, identity, _ = images["given/fake/p00/0000"]
    images["given/fake/p00/0000"] = image, identity, "test"
    faces = plant(tmp_path / "faces", images)
    with pytest.raises(DataError, match="identity p00 is in split"):  # as training would report
        read_index(faces)
    audit = make_audit(faces, tmp_path / "out", None, AuditConfig())
    assert [(leak.kind, leak.count) for leak in audit.leaks] == [("person", 1), ("pair", 1)]
    assert audit.leaks[0].examples == ["p00: given/fake/p00/0000 in test, given/original/p00/0000 in train"]
    assert "1 person is in more than one split" in findings(audit)[0]
    with (tmp_path / "out/leaks.csv").open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["person", "pair"]


def test_a_second_person_of_a_fake_in_two_splits_is_found(tmp_path: Path) -> None:
    """A test fake with the face of someone in train."""
    images = people()
    image, _, split = images["given/fake/p11/0000"]
    images["given/fake/p11/0000"] = image, "p11+p00", split
    audit = make_audit(plant(tmp_path / "faces", images), tmp_path / "out", None, AuditConfig())
    assert [(leak.kind, leak.count) for leak in audit.leaks] == [("person", 1)]
    assert audit.leaks[0].examples[0].startswith("p00: ")


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: mozcodec.decode(mozcodec.encode(image, quality=15), pixel_format="rgb"),
        lambda image: image[:, ::-1],
        lambda image: cv2.resize(cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA), (64, 64)),
        lambda image: (255 * (image / 255) ** 0.7).astype(np.uint8),
    ],
    ids=["JPEG 15", "mirrored", "scaled", "gamma"],
)
def test_a_near_duplicate_across_splits_is_found(tmp_path: Path, changed: Callable[[np.ndarray], np.ndarray]) -> None:
    images = people()
    copied = np.ascontiguousarray(changed(images["given/original/p01/0000"][0]))
    images["given/original/p11/0000"] = copied, "p11", "test"
    audit = make_audit(plant(tmp_path / "faces", images), tmp_path / "out", None, AuditConfig())
    assert [(leak.kind, leak.count) for leak in audit.leaks] == [("near-duplicate", 1)]
    assert audit.leaks[0].examples == ["given/original/p01/0000 in train, given/original/p11/0000 in test"]


def test_an_identical_file_in_two_splits_is_found(small_tree: Path, tmp_path: Path) -> None:
    """A test video that is a copy of a training video, through the faces stage."""
    data = tmp_path / "data"
    shutil.copytree(small_tree, data)
    videos = data / "original_sequences/youtube/c23/videos"
    shutil.copy(videos / "000.mp4", videos / "004.mp4")
    config = FacesConfig(methods=("Deepfakes", "FaceSwap"), size=64, frames_real=2, frames_fake=1)
    make_faces(data, tmp_path / "faces", config, executor="serial")
    audit = make_audit(tmp_path / "faces", tmp_path / "out", data, AuditConfig())
    assert ("file", 1) in [(leak.kind, leak.count) for leak in audit.leaks]
    files = next(leak for leak in audit.leaks if leak.kind == "file")
    assert files.examples == [
        "original_sequences/youtube/c23/videos/000.mp4 in train, original_sequences/youtube/c23/videos/004.mp4 in test"
    ]
    row = audit.find("format")
    assert row is not None
    assert row.real == "mov, h264 (all)"


def test_mirrored_borders_are_found_from_the_geometry(tmp_path: Path) -> None:
    """Real faces at the edge of their images, fakes in the middle: found without the columns of the index."""
    images = people()
    data = tmp_path / "data"
    geometry, sources = [], []
    for key in sorted(images):
        fake = key.startswith("given/fake")
        x = 130.0 if fake else 20.0
        eyes = {"left_eye_x": x, "left_eye_y": 60.0, "right_eye_x": x + 20, "right_eye_y": 60.0}
        geometry.append({"key": key, **eyes, "found": "frame"})
        name = f"{key.replace('/', '-')}.png"
        sources.append({"key": key, "file": name})
        data.mkdir(exist_ok=True)
        (data / name).write_bytes(encode_png(np.zeros((150, 200, 3), np.uint8)))
    faces = plant(tmp_path / "faces", images, geometry=geometry, sources=sources)
    audit = make_audit(faces, tmp_path / "out", data, AuditConfig())
    row = audit.find("border")
    assert row is not None
    assert row.auc == 1
    assert "border" in found_in(audit)
    with (tmp_path / "out/audit.csv").open(newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    real = rows["given/original/p00/0000"]
    # the crop is 20 / .242 = 82.64 pixels wide and its middle is at x = 30: 11.32 pixels lie left of the image
    assert float(real["border"]) == pytest.approx(10.82 / 82.64, abs=0.02)
    assert float(real["scale"]) == pytest.approx(20 / 0.242 / 64, abs=1e-6)
    assert float(rows["given/fake/p00/0000"]["border"]) == 0


def test_a_face_detector_that_is_less_sure_of_fakes_is_found(tmp_path: Path) -> None:
    faces = plant(tmp_path / "faces", people())
    chance = np.random.default_rng(5)
    rows = [dataclasses.replace(face, scale=1.0, certainty=round(0.9 - 0.2 * face.label + chance.uniform(0, 0.05), 4))
            for face in read_index(faces)]  # fmt: skip
    write_rows(faces / "index.csv", Face, rows)
    audit = make_audit(faces, tmp_path / "out", None, AuditConfig())
    row = audit.find("certainty")
    assert row is not None and row.lo is not None and row.lo > 0.9
    assert "certainty" in found_in(audit)
    assert "its confidence" in row.title
    with (tmp_path / "out/audit.csv").open(encoding="utf-8", newline="") as file:
        written = {item["key"]: item["certainty"] for item in csv.DictReader(file)}
    assert written == {face.key: str(face.certainty) for face in rows}
    # cascades have no confidence
    write_rows(faces / "index.csv", Face, [dataclasses.replace(face, certainty=None) for face in rows])
    row = make_audit(faces, tmp_path / "again", None, AuditConfig()).find("certainty")
    assert row is not None and row.auc is None


def test_a_property_of_one_method_among_many_is_found(tmp_path: Path) -> None:
    """One of five methods is brighter: over all methods this is little, for this one it is all."""
    rng = np.random.default_rng(5)
    images = {}
    for i in range(12):
        for method in ("original", "a", "b", "c", "d", "e"):
            image = np.clip(rng.normal(110 + 40 * (method == "c") + rng.normal(0, 4), 20, (32, 32, 3)), 0, 255)
            images[f"given/{method}/p{i:02d}/0000"] = image.astype(np.uint8), f"p{i:02d}", "train"
    audit = make_audit(plant(tmp_path / "faces", images), tmp_path / "out", None, AuditConfig())
    row = audit.find("colour")
    assert row is not None
    assert row.strongest is not None
    assert row.strongest.method == "c"
    assert row.strongest.lo > 0.7
    assert row.lo is not None
    assert row.lo < audit.notable_above
    assert any("the fakes by c can be told apart by mean red" in sentence for sentence in findings(audit))


def test_misses_of_the_face_detector_are_found(tmp_path: Path) -> None:
    lines = [
        {"video": f"original/p{i:02d}", "frame": str(n), "reason": "no face found"} for i in range(12) for n in (1, 2)
    ]
    faces = plant(tmp_path / "faces", people(), failures=lines)
    row = make_audit(faces, tmp_path / "out", None, AuditConfig()).find("missed")
    assert row is not None
    assert (row.real, row.fake) == ("no crop (67 %), crop (33 %)", "crop (all)")
    assert (row.num_real, row.num_fake) == (36, 12)
    assert row.auc == pytest.approx(0.5 + 0.5 * 2 / 3, abs=0.001)


def test_the_command_says_what_it_found_and_changes_nothing(tmp_path: Path) -> None:
    images = {
        key: (np.clip(image.astype(int) + 60 * key.startswith("given/fake"), 0, 255).astype(np.uint8), identity, split)
        for key, (image, identity, split) in people().items()
    }
    faces = plant(tmp_path / "faces", images)
    before = {path.name: path.read_bytes() for path in faces.iterdir()}
    passed, params = tmp_path / "audit.passed", tmp_path / "params.yaml"
    options = ["audit", str(faces), str(tmp_path / "out"), "--passed", str(passed), "--params", str(params)]
    params.write_text("audit:\n  fail_above:\n")
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == 0, result.output
    assert "finding: Real and fake can be told apart by mean red / green / blue alone" in result.output
    assert passed.read_text() == "passed\n"
    first = (tmp_path / "out/audit.json").read_bytes()
    params.write_text("audit:\n  fail_above: 0.6\n")
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == 1
    assert "over audit.fail_above = 0.6" in result.output
    assert "set audit.fail_above to null" in result.output
    assert not passed.exists()
    assert json.loads((tmp_path / "out/audit.json").read_text()) == json.loads(first) | {"fail_above": 0.6}
    assert {path.name: path.read_bytes() for path in faces.iterdir()} == before


def test_a_missing_or_damaged_source_is_an_error_that_names_it(tmp_path: Path, small_faces: Path) -> None:
    with pytest.raises(DataError, match=r"Deepfakes.*\.mp4: No such file.*--data"):
        make_audit(small_faces, tmp_path / "out", tmp_path, AuditConfig())
    faces = plant(tmp_path / "faces", people(4), sources=[{"key": "a", "path": "b"}])
    with pytest.raises(DataError, match=r"sources\.csv: no column file; got"):
        make_audit(faces, tmp_path / "out", tmp_path, AuditConfig())
    for name in ("broken.jpg", "broken.mp4", "broken.png"):
        (tmp_path / name).write_bytes({"jpg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}.get(name[-3:], b"no video"))
        with pytest.raises(DataError, match=name):
            describe_source(tmp_path, name)


def test_audits_are_the_same_each_time(tmp_path: Path) -> None:
    faces = plant(tmp_path / "faces", people())
    for name in ("one", "two"):
        make_audit(faces, tmp_path / name, None, AuditConfig())
    for file in ("audit.json", "audit.csv", "leaks.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert len(read_rows(faces / "index.csv", Face)) == 24
