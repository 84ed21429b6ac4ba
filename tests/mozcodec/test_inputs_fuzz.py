"""A part of the fuzzers of inputs and of command lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mozcodec
from mozcodec import _cli
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def inputs():
    return load(PACKAGE / "fuzz" / "inputs.py")


@pytest.fixture(scope="module")
def commands():
    return load(PACKAGE / "fuzz" / "commands.py")


def test_every_kind_of_input_is_taken_as_its_samples_or_refused_with_a_way(inputs, capsys):
    assert inputs.run(1200, 1) == 0, capsys.readouterr().out


def test_another_result_and_a_text_of_numpy_are_reported(inputs, monkeypatch):
    with pytest.raises(AssertionError, match="does not say what is wanted"):
        inputs._outcome(lambda: np.zeros(3).reshape(2, 2))
    with pytest.raises(AttributeError):
        inputs._outcome(lambda: None.dtype)
    monkeypatch.setattr(inputs, "LAYOUTS", dict.fromkeys(inputs.LAYOUTS, np.zeros_like))
    with pytest.raises(AssertionError, match="another result"):
        for number in range(200):
            inputs.run_case(1, number)


def test_no_command_line_loses_a_file_or_shows_a_traceback(commands, capsys):
    assert commands.run(80, 1) == 0, capsys.readouterr().out


CASE = ["optimize", "colour.jpg", "new.jpg"]


def failing(text: str):
    def call(*_: object, **__: object) -> None:
        raise ValueError(text)

    return call


@pytest.mark.parametrize(
    ("name", "replacement", "says"),
    [
        ("optimizer", failing("max_pixels=3 is exceeded"), None),
        ("optimizer", failing("overshoot_deringing cannot be combined with distance"), None),
        ("write_whole", lambda path, data: path.write_bytes(data[:99]), "no traceback"),
        ("write_whole", lambda _, data: Path("colour.jpg").write_bytes(data[:-9]), "was no target"),
        ("write_whole", lambda *_: Path("old.jpg").unlink(), "lost"),
        ("write_whole", lambda _, data: Path(".1.partial").write_bytes(data), "left"),
        ("in_switches", lambda error: f"max_pixels: {error}", "names Python's"),
    ],
)
def test_what_a_command_line_must_not_do_is_reported(commands, monkeypatch, name, replacement, says):
    words = ["optimize", "text.jpg", "new.jpg"] if name == "in_switches" else CASE
    monkeypatch.setattr(commands, "draw_case", lambda *_: words)
    monkeypatch.setattr(_cli, name, replacement)
    if says is None:
        assert commands.run_case(1, 0) == "optimize 2"
        return
    with pytest.raises((AssertionError, mozcodec.DamagedError)) as found:
        commands.run_case(1, 0)
    assert says in str(found.value) or isinstance(found.value, mozcodec.DamagedError)


def test_images_in_other_forms_are_compared_as_the_arrays_that_they_hold():
    from PIL import Image

    pixels = np.arange(3 * 180 * 200, dtype=np.uint8).reshape(180, 200, 3)
    image = Image.fromarray(pixels)
    for measure in (mozcodec.psnr, mozcodec.ssim, mozcodec.ms_ssim, mozcodec.ssimulacra2):
        assert measure(image, memoryview(pixels)) == measure(pixels, pixels)
        assert measure(image.convert("P"), image) == measure(np.asarray(image.convert("P").convert("RGB")), pixels)
    for reader in (mozcodec.edit_metadata, mozcodec.pictures, mozcodec.decode):
        with pytest.raises(TypeError, match=r"a JPEG is bytes or a contiguous buffer of them.*got int"):
            reader(5)
        with pytest.raises(ValueError, match="a path has no null character"):
            reader("\0")
    with pytest.raises(ValueError, match="pixels must be an array, got list"):
        mozcodec.encode([[1, 2], [3]])
