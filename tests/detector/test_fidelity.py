"""The fidelity stage measures what scikit-image measures."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import mozcodec
from detector.config import CompressConfig
from detector.data.index import read_index
from detector.data.png import decode_png
from detector.data.shards import ShardReader
from detector.fidelity import Row, examples, measure, summarize

QUALITIES = (77, 10)


@pytest.fixture(scope="module")
def measured(small_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    measure(small_faces, out / "fidelity", out / "fidelity.json", QUALITIES, CompressConfig(), workers=2)
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_crop_is_measured_as_scikit_image_does(measured: Path, small_faces: Path) -> None:
    reader = ShardReader(small_faces)
    images = {face.key: decode_png(reader.read(face)) for face in read_index(small_faces)}
    found = rows(measured / "fidelity/images.csv")
    assert [(row["key"], row["quality"]) for row in found] == [(key, str(q)) for key in images for q in QUALITIES]
    for row in found[::7]:
        image = images[row["key"]]
        data = mozcodec.encode(image, quality=int(row["quality"]))
        decoded = mozcodec.decode(data)
        assert float(row["psnr"]) == pytest.approx(peak_signal_noise_ratio(image, decoded), abs=1e-4)
        assert float(row["ssim"]) == pytest.approx(structural_similarity(image, decoded, channel_axis=2), abs=1e-6)
        assert int(row["bytes"]) == len(data)
        assert float(row["bits_per_pixel"]) == pytest.approx(len(data) * 8 / 64**2, abs=1e-5)


def test_the_summary_is_means_and_percentiles_of_the_table(measured: Path) -> None:
    summary = json.loads((measured / "fidelity.json").read_text())
    assert list(summary) == ["q77", "q10", "n"]
    assert summary["n"] == {"faces": 48, "videos": 18}
    for quality in QUALITIES:
        at = [row for row in rows(measured / "fidelity/images.csv") if row["quality"] == str(quality)]
        for name in ("psnr", "ssim", "bytes", "bits_per_pixel"):
            values = [float(row[name]) for row in at]
            found = summary[f"q{quality}"]
            assert found[name] == pytest.approx(np.mean(values), abs=1e-4)
            assert found[f"{name}_p50"] == pytest.approx(np.median(values), abs=1e-4)
            assert found[f"{name}_p5"] == pytest.approx(np.percentile(values, 5), abs=1e-4)
    assert summary["q77"]["psnr"] > summary["q10"]["psnr"]
    assert summary["q77"]["bits_per_pixel"] > summary["q10"]["bits_per_pixel"]


def test_identical_crops_are_counted_apart(small_faces: Path) -> None:
    index = read_index(small_faces)[:2]
    summary = summarize([Row("a", "100", math.inf, 1.0, 9, 1.0), Row("b", "100", 50.0, 0.99, 7, 0.5)], index)
    assert summary["q100"]["psnr"] == 50
    assert summary["q100"]["psnr_infinite"] == 1
    assert summary["q100"]["ssim"] == pytest.approx(0.995)
    json.dumps(summary, allow_nan=False)


def test_panels_show_a_face_and_its_forgeries_raw_and_at_each_quality(measured: Path, small_faces: Path) -> None:
    panels = rows(measured / "fidelity/panels.csv")
    assert list(dict.fromkeys(row["key"] for row in panels)) == [
        "c23/original/005/0004",
        "c23/Deepfakes/005_004/0007",  # 0 and 7 were cropped; 7 is nearer to 4
        "c23/FaceSwap/005_004/0007",
    ]
    assert [row["quality"] for row in panels] == ["raw", "77", "10"] * 3
    faces = {face.key: face for face in read_index(small_faces)}
    for row in panels:
        shown = cv2.imread(str(measured / "fidelity" / row["file"]))[..., ::-1]
        expected = decode_png(ShardReader(small_faces).read(faces[row["key"]]))
        if row["quality"] == "raw":
            assert (row["psnr"], row["ssim"]) == ("inf", "1.0")
        else:
            expected = mozcodec.decode(mozcodec.encode(expected, quality=int(row["quality"])))
        assert np.array_equal(shown, expected)


def test_without_test_faces_some_other_face_is_shown(small_faces: Path) -> None:
    index = [replace(face, split="train") for face in read_index(small_faces)]
    assert examples(index)
    only_fakes = [face for face in index if face.label]
    assert len(examples(only_fakes)) == 1
