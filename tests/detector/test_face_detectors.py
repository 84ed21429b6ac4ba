"""The table of face detectors: small faces in large images, weights from their public address, the best available
one."""

from __future__ import annotations

import io
import sys
import urllib.request
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from detector import download
from detector.cli import cli
from detector.config import FacesConfig
from detector.data import detection, published, pyramid
from detector.data.detection import DETECTORS, configured, make_detector
from detector.data.found_face import FoundFace, upright_score
from detector.data.people import overlap, upright
from detector.data.published import PUBLISHED
from detector.errors import ConfigError, DataError, DetectorError

ROOT = Path(__file__).resolve().parents[2]
PLACES = (ROOT / "pretrained/faces", ROOT.parent / "shared/data/face-detectors")


def find_yunet() -> Path | None:
    return next((folder / published.YUNET for folder in PLACES if (folder / published.YUNET).is_file()), None)


needs_yunet = pytest.mark.skipif(find_yunet() is None, reason="YuNet's weights: detector weights get yunet")
CENTERFACE = detection.weights_file(FacesConfig(), "centerface")
needs_centerface = pytest.mark.skipif(
    CENTERFACE is None or not DETECTORS["centerface"].works(), reason="pip install 'detector[centerface]'"
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6000), st.integers(1, 6000))
def test_tiles_cover_the_image_and_hold_every_small_face(width: int, height: int) -> None:
    found = list(pyramid.tiles(width, height))
    for at, length in ((0, width), (1, height)):
        spans = sorted({(tile[at], tile[at + 2]) for tile in found})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(last - first <= pyramid.TILE for first, last in spans)
        for (_, last), (first, _) in pairwise(spans):
            assert last - first >= pyramid.OVERLAP - 1


def test_levels_reach_from_the_whole_image_to_enlarged_tiles() -> None:
    assert pyramid.levels(640, 480) == [1.0]  # as it is
    scales = pyramid.levels(5000, 3800)
    assert scales[0] == 640 / 5000
    assert scales[-1] == pyramid.FINEST
    assert all(1 < finer / coarser <= 2.0001 for coarser, finer in pairwise(scales))


def white_squares(image: np.ndarray) -> list[FoundFace]:
    """A face detector for white squares of 20 to 300 pixels that lie wholly in the image."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
    faces = []
    for left, top, width, height, area in stats[1:].tolist():
        inside = left > 0 and top > 0 and left + width < image.shape[1] and top + height < image.shape[0]
        if inside and 20 <= width <= 300 and area > 0.8 * width * height:
            box = (left, top, left + width, top + height)
            faces.append(FoundFace(box, np.array([[left, top], [left + width, top]], float), None, score=0.9))
    return faces


def test_squares_of_every_size_are_found_once_and_in_place() -> None:
    image = np.zeros((3000, 4000, 3), np.uint8)
    truth = []
    for n, size in enumerate((16, 24, 40, 80, 160, 400, 900)):
        left, top = 137 + 480 * n, 300 + 170 * n
        image[top : top + size, left : left + size] = 255
        truth.append((left, top, left + size, top + size))
    found = pyramid.search(image, white_squares, every=True)
    assert len(found) == len(truth)
    for face, box in zip(found, reversed(truth), strict=True):  # the largest first
        assert np.abs(np.array(face.box) - box).max() <= 0.05 * (box[2] - box[0]) + 2
        assert face.eyes is not None
        assert np.abs(face.eyes[0] - face.box[:2]).max() <= 1 + 0.02 * (box[2] - box[0])
    # for the largest face alone, and for sure, only the coarsest level counts: there 160 pixels are 26
    coarsest = [box for box in truth if box[2] - box[0] >= 160]
    assert len(pyramid.search(image, white_squares, every=False)) == len(coarsest)
    assert len(pyramid.search(image, white_squares, every=True, more_sure=0.95)) == len(coarsest)


def planted(size: int) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Return a photograph of 5,000 x 3,800 pixels with 12 faces *size* high, and their boxes."""
    sys.path.insert(0, str(ROOT))
    from tools.face_detectors import planted as plant

    image, truth = plant((size,))
    return image, [box for _, box in truth]


@needs_yunet
@pytest.mark.trial(minutes=3)
@pytest.mark.parametrize("size", [20, 24, 32, 40, 80, 160, 400])
def test_faces_of_every_size_are_found_in_5000_pixels(size: int) -> None:
    image, truth = planted(size)
    found = make_detector("yunet", str(find_yunet())).find_all(image)
    assert len(truth) == 12
    assert sum(any(overlap(face.box, box) > 0.25 for face in found) for box in truth) == 12
    assert len(found) == 12  # and nothing else


@needs_yunet
def test_small_faces_are_found_by_the_published_weights() -> None:
    astronaut = data.astronaut()[10:230, 105:345]
    image = np.full((1500, 2000, 3), 120, np.uint8)
    places = [(100, 90), (1700, 1300), (640, 470), (1240, 950)]  # the last two at the edges of tiles
    small = cv2.resize(astronaut, None, fx=24 / 105, fy=24 / 105, interpolation=cv2.INTER_AREA)
    for x, y in places:
        image[y : y + small.shape[0], x : x + small.shape[1]] = small
    detector = make_detector("yunet", str(find_yunet()))
    found = detector.find_all(image)
    assert len(found) == 4
    for x, y in places:  # the face's centre is at (119, 105) of the patch
        centres = [np.hypot((f.box[0] + f.box[2]) / 2 - x - 27, (f.box[1] + f.box[3]) / 2 - y - 24) for f in found]
        assert min(centres) < 6
    assert detector.find(image) is not None


@needs_yunet
def test_the_published_weights_find_the_astronauts_eyes() -> None:
    face = make_detector("yunet", str(find_yunet())).find(data.astronaut())
    assert face is not None
    assert face.eyes is not None
    assert np.abs(face.eyes - [[201.5, 100.5], [247.5, 103.5]]).max() < 5
    assert face.score > 0.8


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(pytest.param("yunet", size, marks=needs_yunet) for size in (24, 105, 420)),
        *(pytest.param("centerface", size, marks=needs_centerface) for size in (105, 420)),
        ("haar", 105),
        ("haar", 420),
    ],
)
def test_face_detectors_tell_which_way_is_up(name: str, size: int) -> None:
    patch = data.astronaut()[10:230, 105:345]
    factor = size / 105
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.copyMakeBorder(
        cv2.resize(patch, None, fx=factor, fy=factor, interpolation=method), 100, 200, 300, 40, cv2.BORDER_REPLICATE
    )
    detector = make_detector(name, str(find_yunet()) if name == "yunet" else None)
    for degrees in (0, 90, 180, 270):
        view = upright(np.ascontiguousarray(np.rot90(image, degrees // 90)), detector, every=True)
        assert view is not None
        assert view.turned == degrees, degrees
        np.testing.assert_array_equal(view.image, image)


def test_a_face_is_upright_if_its_mouth_lies_below_its_eyes() -> None:
    points = np.array([[-1.0, -1], [1, -1], [0, 0], [-0.8, 1.2], [0.8, 1.2]])
    for degrees in range(-180, 180, 10):
        turn = cv2.getRotationMatrix2D((0, 0), degrees, 1)[:, :2]
        face = FoundFace((0, 0, 1, 1), points=points @ turn.T, score=0.9)
        assert face.upright == (abs(degrees) <= 45), degrees
        assert upright_score([face]) == 0.9 * face.upright
    assert FoundFace((0, 0, 1, 1)).upright
    assert upright_score([]) == 0


@needs_centerface
def test_centerface_finds_the_astronauts_eyes_at_every_size() -> None:
    detector = make_detector("centerface")
    for factor in (1.0, 0.5, 1.3, 0.75):  # other sizes after the first, where OpenCV's DNN goes wrong
        image = cv2.resize(data.astronaut(), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        face = detector.find(image)
        assert face is not None
        assert face.eyes is not None
        assert np.abs(face.eyes / factor - [[201.5, 100.5], [247.5, 103.5]]).max() < 6


def test_centerface_without_its_weights_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "centerface", replace(DETECTORS["centerface"], default=lambda: None))
    with pytest.raises(ConfigError, match=r"pip install 'detector\[centerface\]', or set faces\.centerface_model"):
        make_detector("centerface")
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(DataError, match=r"other\.onnx: its SHA-256 is .*, that of centerface\.onnx is 09189dea"):
        make_detector("centerface", str(tmp_path / "other.onnx"))


def test_a_file_of_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somepackage").mkdir()
    (tmp_path / "somepackage/__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "somepackage/weights.onnx").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert published.packaged("somepackage", "weights.onnx") == tmp_path / "somepackage/weights.onnx"
    assert published.packaged("somepackage", "missing.onnx") is None
    assert published.packaged("no_such_package", "weights.onnx") is None


def there(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let only the face detectors *names* work; each of them is a stand-in that knows its name."""
    for name in DETECTORS:
        built = ModuleType(name)
        built.name = name  # type: ignore[attr-defined]
        row = detection.FaceDetector(
            lambda _, built=built: built,  # type: ignore[misc]
            works=lambda name=name: name in names,  # type: ignore[misc]
            needs=f"get {name}",
        )
        monkeypatch.setitem(DETECTORS, name, row)
    detection._make.cache_clear()


def test_auto_takes_the_best_that_is_there_and_says_what_the_others_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = FacesConfig(detector="auto")
    for names, chosen, said in (
        (tuple(DETECTORS), "yunet", "using yunet\n"),
        (("haar", "yunet", "lbp"), "yunet", "using yunet; others need: centerface (get centerface)\n"),
        (("haar", "lbp"), "haar", "using haar; better ones need: yunet (get yunet), centerface (get centerface)\n"),
        (
            ("centerface", "lbp"),
            "centerface",
            "using centerface; better ones need: yunet (get yunet); others need: haar (get haar)\n",
        ),
        (("lbp",), "lbp", "haar (get haar)"),
    ):
        with monkeypatch.context() as patch:
            there(patch, *names)
            assert configured(config).name == chosen
        assert said in capsys.readouterr().err
    detection._make.cache_clear()


def test_auto_falls_back_to_haar_without_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # no pretrained/faces
    monkeypatch.setitem(DETECTORS, "centerface", replace(DETECTORS["centerface"], default=lambda: None))
    assert configured(FacesConfig(detector="auto")).name == "haar"
    assert "yunet (detector weights get yunet), centerface (pip install 'detector[centerface]')" in (
        capsys.readouterr().err
    )


class Home:
    """Answers of the addresses, by address; others cannot be reached."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()

    def __call__(self, url: str, timeout: float) -> io.BytesIO:  # noqa: ARG002
        self.asked[url] += 1
        if url not in self.answers:
            raise OSError("no connection")
        return io.BytesIO(self.answers[url])


GIVEN = published.Published(
    "a.onnx",
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # of "abc", FIPS 180-2
    3,
    "MIT licence",
    place=Path("pretrained/faces/a.onnx"),
    urls=("https://first.example/a.onnx", "https://second.example/a.onnx"),
)


def get(monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes]) -> tuple[int, str, Home]:
    home = Home(answers)
    monkeypatch.setattr(urllib.request, "urlopen", home)
    monkeypatch.setitem(PUBLISHED, "yunet", GIVEN)
    result = CliRunner().invoke(cli, ["weights", "get", "yunet"])
    return result.exit_code, result.output, home


def test_weights_are_downloaded_checked_and_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = GIVEN.urls
    code, output, _ = get(monkeypatch, {first: b"damaged", second: b"abc"})
    assert code == 0
    assert output == f"{GIVEN.place}: from {second}; MIT licence; SHA-256 {GIVEN.sha256}\n"
    assert (tmp_path / "pretrained/faces/a.onnx").read_bytes() == b"abc"
    code, output, home = get(monkeypatch, {})
    assert (code, "up to date" in output, sum(home.asked.values())) == (0, True, 0)


def test_offline_the_address_and_the_place_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output, _ = get(monkeypatch, {GIVEN.urls[1]: b"other"})
    assert code == 1
    assert f"{GIVEN.urls[0]}: no connection" in output
    assert f"{GIVEN.urls[1]}: its SHA-256 is" in output
    assert f"Download {GIVEN.urls[0]} on a machine with a connection and put it at {GIVEN.place} (3 bytes" in output
    assert not (tmp_path / "pretrained").exists()
    with pytest.raises(DetectorError):
        download.download(GIVEN, tmp_path / "b.onnx")


def test_weights_that_come_in_a_package_are_named() -> None:
    result = CliRunner().invoke(cli, ["weights", "get", "centerface"])
    assert result.exit_code == 0
    assert "pip install 'detector[centerface]'; MIT licence" in result.output


@needs_yunet
def test_the_published_file_is_the_pinned_one() -> None:
    path = find_yunet()
    assert path is not None
    assert published.is_intact(path, PUBLISHED["yunet"])
