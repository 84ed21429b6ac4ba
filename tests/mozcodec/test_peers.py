"""The migration pages, the adapters for the suites of other libraries, and what runs them."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mozcodec
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"
PEERS = PACKAGE / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def names(astronaut) -> dict[str, object]:
    """What the calls on the pages refer to."""
    image = np.ascontiguousarray(astronaut[:160, :160])
    data = mozcodec.encode(image, 90, subsampling="4:4:4", icc_profile=b"profile")
    coefficients = mozcodec.read_coefficients(data)
    mpo = io.BytesIO()
    Image.fromarray(image).save(mpo, "MPO", save_all=True, append_images=[Image.fromarray(image[::-1].copy())])
    abbreviated = mozcodec.encode(image, 90, profile="fastest")
    return {
        "mozcodec": mozcodec, "np": np, "image": image, "bgr": image[..., ::-1], "gray": image[..., 0], "data": data,
        "deep": image.astype(np.uint16) * 16, "gray16": image[..., 0].astype(np.uint16) * 16, "mpo": mpo.getvalue(),
        "Y": image[..., 0], "U": image[..., 1], "V": image[..., 2], "out": np.empty_like(image), "icc": b"profile",
        "exif": b"II*\0\x08\0\0\0" + bytes(6), "xmp": b"<x/>", "table": np.full((8, 8), 9), "buffer": bytearray(99999),
        "abbreviated": abbreviated, "tables": b"\xff\xd8\xff\xd9", "coefficients": coefficients,
        "w": 160, "h": 160, "factors": coefficients.sampling_factors, "blocks": coefficients.components,
    }  # fmt: skip


@pytest.mark.parametrize("page", ["imagecodecs", "jpeglib", "pillow", "pyturbojpeg", "simplejpeg"])
def test_the_calls_of_a_migration_page_run_as_printed(page, names):
    text = (PACKAGE / "migration" / f"{page}.md").read_text()
    rows = [re.split(r"(?<!\\) \| ", line)[-1] for line in text.splitlines() if line.startswith("| `")]
    calls = [call for row in rows for call in re.findall(r"`(mozcodec\..*?)`", row)]
    assert len(calls) >= 13
    for call in calls:
        here = names | {"tables": names["coefficients"].quant_tables} if "Coefficients(" in call else names
        assert eval(call, dict(here)) is not None, call


def test_the_first_call_for_pillow_writes_a_file_of_pillows_pixels(names):
    image = Image.fromarray(names["image"])
    theirs = io.BytesIO()
    image.save(theirs, "JPEG", quality=75)
    options = {"profile": "fastest", "quant_table": 0, "quant_baseline": True, "subsampling": "4:2:0"}
    ours = mozcodec.encode(image, 75, **options)
    with Image.open(theirs) as one, Image.open(io.BytesIO(ours)) as other:
        assert one.quantization == other.quantization
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_the_calls_for_gray_give_pillows_pixels(names):
    data, page = names["data"], (PACKAGE / "migration" / "pillow.md").read_text()
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        np.testing.assert_array_equal(mozcodec.decode(data, "gray"), np.asarray(image))
    call = printed("pillow", 'Image.open(f).convert("L")')
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(eval(call, names | {"Image": Image}), np.asarray(image.convert("L")))
    assert 'image.draft("L", image.size)` | `mozcodec.decode(data, "gray")`' in page


def printed(page: str, call: str) -> str:
    """Return mozcodec's call beside another library's *call* on a migration page."""
    text = (PACKAGE / "migration" / f"{page}.md").read_text()
    return re.search(re.escape(f"| `{call}` | `") + "(.*?)`", text)[1]


def test_the_calls_for_simplejpeg_write_its_pixels(names):
    simplejpeg = pytest.importorskip("simplejpeg")
    whole = {name: np.ascontiguousarray(names[name]) for name in ("Y", "U", "V", "bgr", "gray")}
    here = names | {"simplejpeg": simplejpeg} | whole
    calls = (
        "encode_jpeg(image, quality=85)",
        'encode_jpeg(image, colorsubsampling="420", fastdct=True)',
        'encode_jpeg(bgr, colorspace="BGR")',
        'encode_jpeg(gray[..., np.newaxis], colorspace="GRAY")',
        "encode_jpeg_yuv_planes(Y, U, V)",
    )
    for call in calls:
        theirs, ours = eval(f"simplejpeg.{call}", dict(here)), eval(printed("simplejpeg", call), dict(here))
        np.testing.assert_array_equal(mozcodec.decode(ours), mozcodec.decode(theirs), call)


@pytest.mark.parametrize(
    "call",
    [
        "jpeg8_encode(image)",
        'jpeg8_encode(image, level=90, subsampling="420", optimize=True)',
        "jpeg8_encode(image, smoothing=25)",
        "jpeg8_encode(deep, bitspersample=12)",
    ],
)
def test_the_calls_for_imagecodecs_write_its_pixels(names, call):
    codecs = pytest.importorskip("imagecodecs")
    theirs, ours = eval(f"codecs.{call}", names | {"codecs": codecs}), eval(printed("imagecodecs", call), dict(names))
    np.testing.assert_array_equal(mozcodec.decode(ours, None), mozcodec.decode(theirs, None))


def test_the_adapter_for_simplejpeg_decodes_as_pillow(names):
    simplejpeg = load(PEERS / "simplejpeg.py")
    data = simplejpeg.encode_jpeg(names["image"], 85, colorsubsampling="420")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(simplejpeg.decode_jpeg(data), np.asarray(image))
    assert simplejpeg.decode_jpeg_header(data) == (160, 160, "YCbCr", "420")
    assert simplejpeg.decode_jpeg(data, min_height=80, min_width=80).shape == (80, 80, 3)


def test_the_adapter_for_turbojpeg_decodes_as_pillow_and_crops(names):
    turbojpeg = load(PEERS / "turbojpeg.py")
    jpeg = turbojpeg.TurboJPEG()
    data = jpeg.encode(names["bgr"], 90, jpeg_subsample=turbojpeg.TJSAMP_420)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(jpeg.decode(data, turbojpeg.TJPF_RGB), np.asarray(image))
    with Image.open(io.BytesIO(jpeg.crop(data, 17, 32, 64, 48))) as image:
        assert image.size == (65, 48)  # the start moves to the MCU before
    (wide,) = jpeg.crop_multiple(data, [(0, 0, 192, 192)], background_luminance=1.0)
    with Image.open(io.BytesIO(wide)) as image:
        assert np.asarray(image.convert("L"))[164:, 164:].min() > 240


SUITE = """
import pytest, one

def test_one(): assert one.value == 1
def test_two(): assert one.value == 2, "two"
def test_three(): assert one.value == 3
@pytest.mark.skip(reason="no such thing")
def test_four(): pass
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@localhost"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_runner_counts_what_passes_fails_and_is_explained(tmp_path, monkeypatch):
    runner = load(PACKAGE / "benchmarks" / "peer_suites.py")
    clone = tmp_path / "sources" / "someone+things"
    (clone / "tests").mkdir(parents=True)
    (clone / "tests" / "test_things.py").write_text(SUITE)
    (clone / "tests" / "left_out.txt").write_text("")
    git(clone, "init", "-q")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "things")
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "one.py").write_text("value = 1\n")
    monkeypatch.setattr(runner, "ADAPTERS", tmp_path / "peers")
    monkeypatch.setattr(runner, "EXPLAINED", {"things": {"test_three": (runner.DECISION, "three is not one")}})
    suite = runner.Suite("things", "someone/things", git(clone, "rev-parse", "HEAD"), ("tests/*.py",), ("tests",))
    folder = tmp_path / "here"
    folder.mkdir()
    runner.fetch(suite, folder, tmp_path / "sources")
    assert sorted(path.name for path in (folder / "tests").iterdir()) == ["test_things.py"]
    counts, reasons = runner.summarize(suite, runner.run(suite, folder))
    assert counts == {"passed": 1, "failed": 1, runner.DECISION: 1, runner.NOT_APPLICABLE: 1}
    assert (runner.DECISION, "three is not one") in reasons
    text = runner.table([(suite, counts, reasons)])
    assert f"| things, `{suite.commit[:7]}` | 4 | 1 | 1 | 1 | 1 |" in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n{runner.START}\nold\n{runner.END}\nafter\n")
    runner.write(page, text)
    written = page.read_text()
    assert text in written
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")


def test_the_page_lists_suites_that_run_and_none_that_fails():
    runner = load(PACKAGE / "benchmarks" / "peer_suites.py")
    rows = re.findall(r"^\| (.+), `([0-9a-f]{7})` \| (\d+) \| (\d+) \| (\d+) \|", runner.PAGE.read_text(), re.MULTILINE)
    assert {(name, commit) for name, commit, *_ in rows} == {(s.name, s.commit[:7]) for s in runner.SUITES}
    assert all(failed == "0" for *_, failed in rows)
