"""The fidelity stage measures what scikit-image measures."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import mozcodec
from detector.conditions import parse_all
from detector.data.index import read_index
from detector.data.png import decode_png, encode_png
from detector.data.shards import ShardReader
from detector.fidelity import Row, examples, measure, summarize

CONDITIONS = parse_all(["raw", 77, 10, "turbo:90", "resize:0.5"])


@pytest.fixture(scope="module")
def measured(small_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    measure(small_faces, out / "fidelity", out / "fidelity.json", CONDITIONS, workers=2)
    return out


def expected(image: np.ndarray, label: str) -> tuple[bytes, np.ndarray]:
    """Return the file of *image* under the condition *label*, and the image: mozcodec and OpenCV called directly."""
    if label == "resize:0.5":
        small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
        return encode_png(small), cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR_EXACT)
    options = {"quality": 90, "profile": "fastest"} if label == "turbo:90" else {"quality": int(label)}
    data = mozcodec.encode(image, **options)
    return data, mozcodec.decode(data)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_crop_is_measured_as_scikit_image_does(measured: Path, small_faces: Path) -> None:
    reader = ShardReader(small_faces)
    images = {face.key: decode_png(reader.read(face)) for face in read_index(small_faces)}
    found = rows(measured / "fidelity/images.csv")
    labels = [str(condition) for condition in CONDITIONS[1:]]
    assert [(row["key"], row["condition"]) for row in found] == [(key, label) for key in images for label in labels]
    for row in found[::7]:
        image = images[row["key"]]
        data, decoded = expected(image, row["condition"])
        assert float(row["psnr"]) == pytest.approx(peak_signal_noise_ratio(image, decoded), abs=1e-4)
        assert float(row["ssim"]) == pytest.approx(structural_similarity(image, decoded, channel_axis=2), abs=1e-6)
        assert int(row["bytes"]) == len(data)
        assert float(row["bits_per_pixel"]) == pytest.approx(len(data) * 8 / 64**2, abs=1e-5)


def test_the_summary_is_means_and_percentiles_of_the_table(measured: Path) -> None:
    summary = json.loads((measured / "fidelity.json").read_text())
    assert list(summary) == ["q77", "q10", "turbo90", "resize0_5", "n", "faces", "panels_sha256", "content_sha256"]
    assert summary["panels_sha256"] == hashlib.sha256((measured / "fidelity/panels.csv").read_bytes()).hexdigest()
    assert summary["n"] == {"faces": 48, "videos": 18}
    for label, key in (("77", "q77"), ("10", "q10"), ("turbo:90", "turbo90"), ("resize:0.5", "resize0_5")):
        at = [row for row in rows(measured / "fidelity/images.csv") if row["condition"] == label]
        for name in ("psnr", "ssim", "bytes", "bits_per_pixel"):
            values = [float(row[name]) for row in at]
            found = summary[key]
            assert found[name] == pytest.approx(np.mean(values), abs=1e-4)
            assert found[f"{name}_p50"] == pytest.approx(np.median(values), abs=1e-4)
            assert found[f"{name}_p5"] == pytest.approx(np.percentile(values, 5), abs=1e-4)
            assert found[f"{name}_lo"] < found[name] < found[f"{name}_hi"]
    assert summary["q77"]["psnr"] > summary["q10"]["psnr"]
    assert summary["q77"]["bits_per_pixel"] > summary["q10"]["bits_per_pixel"]


def test_identical_crops_are_counted_apart(small_faces: Path) -> None:
    index = read_index(small_faces)[:2]
    a, b = (face.key for face in index)
    summary = summarize([Row(a, "100", math.inf, 1.0, 9, 1.0), Row(b, "100", 50.0, 0.99, 7, 0.5)], index)
    assert summary["q100"]["psnr"] == 50
    assert summary["q100"]["psnr_infinite"] == 1
    assert summary["q100"]["ssim"] == pytest.approx(0.995)
    json.dumps(summary, allow_nan=False)


def test_panels_show_a_face_and_its_forgeries_raw_and_under_each_condition(measured: Path, small_faces: Path) -> None:
    panels = rows(measured / "fidelity/panels.csv")
    assert list(dict.fromkeys(row["key"] for row in panels)) == [
        "c23/original/005/0004",
        "c23/Deepfakes/005_004/0007",  # 0 and 7 were cropped; 7 is nearer to 4
        "c23/FaceSwap/005_004/0007",
    ]
    assert [row["condition"] for row in panels] == ["raw", "77", "10", "turbo:90", "resize:0.5"] * 3
    assert [row["file"].rpartition("-")[2] for row in panels[:5]] == [
        "raw.png", "q77.png", "q10.png", "turbo90.png", "resize0_5.png"
    ]  # fmt: skip
    faces = {face.key: face for face in read_index(small_faces)}
    for row in panels:
        shown = cv2.imread(str(measured / "fidelity" / row["file"]))[..., ::-1]
        crop = decode_png(ShardReader(small_faces).read(faces[row["key"]]))
        if row["condition"] == "raw":
            assert (row["psnr"], row["ssim"]) == ("inf", "1.0")
            assert int(row["bytes"]) == faces[row["key"]].size
            assert np.array_equal(shown, crop)
        else:
            assert np.array_equal(shown, expected(crop, row["condition"])[1])


def test_raw_alone_has_panels_and_no_measures(small_faces: Path, tmp_path: Path) -> None:
    conditions = parse_all(["raw"])
    found = measure(small_faces, tmp_path / "fidelity", tmp_path / "fidelity.json", conditions, executor="serial")
    assert list(found) == ["n"]
    assert rows(tmp_path / "fidelity/images.csv") == []
    assert {row["condition"] for row in rows(tmp_path / "fidelity/panels.csv")} == {"raw"}


def test_the_encoders_are_recorded(measured: Path) -> None:
    found = json.loads((measured / "fidelity/encoders.json").read_text())
    assert found["mozcodec"] == mozcodec.build_info()["version"]
    assert found["opencv"] == cv2.__version__


def test_without_test_faces_some_other_face_is_shown(small_faces: Path) -> None:
    index = [replace(face, split="train") for face in read_index(small_faces)]
    assert examples(index)
    only_fakes = [face for face in index if face.label]
    assert len(examples(only_fakes)) == 1
