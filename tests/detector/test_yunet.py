"""YuNet's faces through OpenCV's own FaceDetectorYN: positions, selection, errors for wrong files.

The weights are not part of the repository, so the network here is one with YuNet's inputs and outputs whose faces are
known: a green square of 8 px is a face of 80 x 96, a blue one of 16 px a face of 160 x 192.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.config import FacesConfig
from detector.data.alignment import FIVE_POINTS
from detector.data.detection import make_detector, track
from detector.data.faces import clip_task, make_faces
from detector.data.index import read_index
from detector.data.layout import find_clips
from detector.data.png import decode_png, encode_png
from detector.data.shards import ShardReader
from detector.data.yunet import YunetDetector
from detector.errors import ConfigError, DataError

# in cells from the corner of the square: eyes, nose, corners of the mouth
POINTS = np.array([[-2, -1], [3, -1], [0.5, 1], [-1.5, 3], [2.5, 3]])


def points_at(x: int, y: int, cell: int = 8) -> np.ndarray:
    """Return the points of the face whose square is cell x, y."""
    return (POINTS + np.array([x, y])) * cell


def field(number: int, value: int | bytes | str) -> bytes:
    """Return one field of a protocol buffer, a number or a piece of bytes."""
    data = value.encode() if isinstance(value, str) else value
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    data = b""
    while value > 127:
        data += bytes([value & 127 | 128])
        value >>= 7
    return data + bytes([value])


def tensor(name: str, values: np.ndarray) -> bytes:
    kind = 7 if values.dtype == np.int64 else 1
    dims = b"".join(field(1, n) for n in values.shape)
    return field(5, dims + field(2, kind) + field(8, name) + field(9, values.tobytes()))


def node(kind: str, inputs: Iterable[str], output: str, **ints: list[int]) -> bytes:
    attributes = [
        field(1, name) + b"".join(field(8, i) for i in values) + field(20, 7) for name, values in ints.items()
    ]
    parts = [field(1, name) for name in inputs] + [field(2, output), field(3, f"to_{output}"), field(4, kind)]
    return field(1, b"".join(parts + [field(5, attribute) for attribute in attributes]))


def value(number: int, name: str, shape: Iterable[int]) -> bytes:
    dims = b"".join(field(1, field(1, n)) for n in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, dims))))


def write_network(path: Path, outputs: Iterable[str] = ("cls", "obj", "bbox", "kps")) -> Path:
    """Write a network of YuNet's form (ONNX, opset 11) with the behaviour that the module describes."""
    graph = b""
    inner = b""
    for stride, channel in ((8, 1), (16, 0), (32, None)):  # green, blue (BGR), nothing
        colour = np.full(3, -1.0)
        if channel is not None:
            colour[channel] = 1
        one = np.broadcast_to(colour[:, None, None] / (255 * stride * stride), (1, 3, stride, stride))
        score = (one if channel is not None else 0 * one, np.zeros(1))
        box = np.array([0.5, 0.5, np.log(10), np.log(12)])
        kinds = {"cls": score, "obj": score, "bbox": (None, box), "kps": (None, POINTS.ravel())}
        for name in outputs:
            weights, bias = kinds[name]
            if weights is None:
                weights = np.zeros((len(bias), 3, stride, stride))
            here = f"{name}_{stride}"
            inner += node(
                "Conv",
                ["input", f"{here}_w", f"{here}_b"],
                f"{here}_map",
                kernel_shape=[stride] * 2,
                strides=[stride] * 2,
            )
            inner += node("Transpose", [f"{here}_map"], f"{here}_last", perm=[0, 2, 3, 1])
            inner += node("Reshape", [f"{here}_last", f"{here}_shape"], here)
            graph += tensor(f"{here}_w", weights.astype(np.float32)) + tensor(f"{here}_b", bias.astype(np.float32))
            graph += tensor(f"{here}_shape", np.array([1, -1, len(bias)]))
            graph += value(12, here, (1, (640 // stride) ** 2, len(bias)))
    graph = inner + field(2, "faces") + graph + value(11, "input", (1, 3, 640, 640))
    path.write_bytes(field(1, 6) + field(7, graph) + field(8, field(1, "") + field(2, 11)))
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("yunet") / "faces.onnx")


@pytest.fixture
def yunet(network: Path) -> YunetDetector:
    return YunetDetector(network)


def picture(
    *green: tuple[int, int], blue: Iterable[tuple[int, int]] = (), size: tuple[int, int] = (240, 320)
) -> np.ndarray:
    """Return a black RGB image with coloured squares at cells x, y of their size."""
    image = np.zeros((*size, 3), np.uint8)
    for colour, side, cells in ((1, 8, green), (2, 16, blue)):
        for x, y in cells:
            image[y * side : (y + 1) * side, x * side : (x + 1) * side, colour] = 255
    return image


def test_box_and_points_are_where_they_are_drawn(yunet: YunetDetector) -> None:
    seen = yunet.find(picture((12, 10)))
    assert seen is not None
    # centre at (12.5, 10.5) cells of 8 px, 80 x 96
    assert seen.box == (60, 36, 140, 132)
    assert seen.points == pytest.approx(points_at(12, 10))
    # what OpenCV calls the right eye is left in the image, and comes first here
    assert seen.eyes == pytest.approx(np.array([[80.0, 72], [120, 72]]))


def test_the_largest_face_is_taken_or_the_one_at_the_last_place(yunet: YunetDetector) -> None:
    image = picture((5, 10), blue=[(14, 7)])
    largest = yunet.find(image)
    assert largest is not None
    assert largest.box == (152, 24, 312, 216)
    near = yunet.find(image, near=(10, 40, 80, 130))
    assert near is not None
    assert near.box == (4, 36, 84, 132)
    followed = track({0: picture((5, 10)), 1: image, 2: picture(blue=[(14, 7)])}, yunet)
    assert [face.box[0] for face in followed.values()] == [4, 4, 152]


def test_a_large_frame_is_shrunk_and_its_face_comes_back_in_its_pixels(yunet: YunetDetector) -> None:
    image = cv2.resize(picture((20, 20), size=(360, 640)), (1920, 1080), interpolation=cv2.INTER_NEAREST)
    seen = yunet.find(image)
    assert seen is not None
    assert seen.points == pytest.approx(points_at(20, 20, cell=24))
    assert seen.box == (372, 348, 612, 636)


def test_a_box_ends_where_the_frame_does(yunet: YunetDetector) -> None:
    seen = yunet.find(picture((1, 2)))
    assert seen is not None
    assert seen.box == (0, 0, 52, 68)


def test_nothing_is_found_in_a_blank_image(yunet: YunetDetector) -> None:
    assert track({0: picture(), 1: np.full((90, 70, 3), 200, np.uint8)}, yunet) == {}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for i, name in enumerate(("train/real/a", "train/fake/b", "test/real/c", "test/fake/d")):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(picture((14 + i, 12))))
    return tmp_path / "data"


def test_crops_are_aligned_by_the_five_points(pictures: Path, network: Path, tmp_path: Path) -> None:
    config = FacesConfig(size=128, detector="yunet", yunet_model=str(network))
    summary = make_faces(pictures, tmp_path / "out", config, workers=1)
    with (tmp_path / "out/landmarks.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][1:5] == ["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]
    assert rows[1][0] == "given/fake/test/d/0000"
    assert [float(v) for v in rows[1][1:]] == pytest.approx(points_at(17, 12).ravel())
    # where the square's middle comes to lie: least squares for a, b, x, y of (a u - b v + x, b u + a v + y)
    rows_x = np.column_stack([POINTS[:, 0], -POINTS[:, 1], np.ones(5), np.zeros(5)])
    rows_y = np.column_stack([POINTS[:, 1], POINTS[:, 0], np.zeros(5), np.ones(5)])
    a, b, x, y = np.linalg.lstsq(np.vstack([rows_x, rows_y]), (FIVE_POINTS * 128).T.ravel(), rcond=None)[0]
    centre = np.array([a * 0.5 - b * 0.5 + x, b * 0.5 + a * 0.5 + y])
    face = read_index(tmp_path / "out")[0]
    crop = decode_png(ShardReader(tmp_path / "out").read(face, check=True))[..., 1].astype(float)
    columns, lines = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5)
    middle = np.array([(crop * columns).sum(), (crop * lines).sum()]) / crop.sum()
    # half a pixel of the frame apart: this network's points count from the corner of a pixel, the warp from its centre
    assert middle == pytest.approx(centre, abs=1)
    assert summary["parameters"]["yunet_model_sha256"] == hashlib.sha256(network.read_bytes()).hexdigest()
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert written["parameters"]["yunet_model_sha256"] == summary["parameters"]["yunet_model_sha256"]


def test_another_model_is_another_result(small_tree: Path, network: Path, tmp_path: Path) -> None:
    config = FacesConfig(methods=("Deepfakes",), size=32, detector="yunet", yunet_model=str(network))
    clip = find_clips(small_tree, "c23", ["Deepfakes"]).clips[0]
    other = tmp_path / "other.onnx"
    other.write_bytes(network.read_bytes() + field(2, "somebody"))  # producer_name: the same network in another file
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(network.read_bytes())
    first = clip_task(clip, config, "code").key
    assert clip_task(clip, replace(config, yunet_model=str(moved)), "code").key == first
    assert clip_task(clip, replace(config, yunet_model=str(other)), "code").key != first


def test_under_dvc_the_model_lies_where_dvc_looks(
    small_tree: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    tracked = tmp_path / "pretrained/faces/model.onnx"
    tracked.parent.mkdir(parents=True)
    tracked.write_bytes(network.read_bytes())
    config = FacesConfig(methods=("Deepfakes",), size=32, frames_real=1, frames_fake=1, detector="yunet")
    with pytest.raises(ConfigError, match=r"faces\.yunet_model: DVC would not notice .*Copy the weights there"):
        make_faces(small_tree, tmp_path / "out", replace(config, yunet_model=str(network)), workers=1)
    with pytest.raises(DataError, match="no face in any"):  # the network sees none in these videos, but it was run
        make_faces(small_tree, tmp_path / "out", replace(config, yunet_model=str(tracked)), workers=1)


def test_without_a_file_the_remedy_is_named() -> None:
    with pytest.raises(ConfigError, match=r"set faces\.yunet_model to the path of face_detection_yunet_2023mar\.onnx"):
        make_detector("yunet")


def test_a_wrong_file_is_named_before_any_clip_is_read(small_tree: Path, tmp_path: Path, network: Path) -> None:
    config = FacesConfig(methods=("Deepfakes",), detector="yunet")
    (tmp_path / "text.onnx").write_text("not a network")
    (tmp_path / "cut.onnx").write_bytes(network.read_bytes()[:5000])
    write_network(tmp_path / "half.onnx", outputs=("cls", "obj"))
    for name, message in (
        ("none.onnx", r"none\.onnx: No such file or directory; faces\.yunet_model must be"),
        ("text.onnx", r"text\.onnx: not a YuNet model that OpenCV"),
        ("cut.onnx", r"cut\.onnx: not a YuNet model that OpenCV"),
        ("half.onnx", r"half\.onnx: not a YuNet model that OpenCV"),
    ):
        with pytest.raises(DataError, match=message):
            make_faces(small_tree, tmp_path / "out", replace(config, yunet_model=str(tmp_path / name)), workers=1)
        assert not (tmp_path / "out").exists()
