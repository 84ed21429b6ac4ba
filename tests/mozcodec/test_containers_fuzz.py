"""A part of the fuzzer of files of several images; it reports the faults that it searches for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import mozcodec
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def fuzzer():
    return load(PACKAGE / "fuzz" / "containers.py")


def test_files_of_several_images_keep_them_whatever_their_index_says(fuzzer, capsys):
    assert fuzzer.run(150, 1) == 0, capsys.readouterr().out


def test_its_files_are_those_that_other_readers_read(fuzzer):
    image = pytest.importorskip("PIL.Image")
    images = [mozcodec.encode(np.full((16 * i or 8, 16, 3), 40 * i, np.uint8), 90) for i in range(3)]
    with image.open(io.BytesIO(fuzzer.multi_picture(images))) as opened:
        assert (opened.format, opened.n_frames) == ("MPO", 3)
        opened.seek(2)
        assert opened.size == (16, 32)


def test_a_lost_image_and_other_pixels_are_reported(fuzzer, monkeypatch, capsys):
    for verb, words in (
        (lambda data: mozcodec.optimize(data, parts="drop"), "images became 1"),
        (lambda data: mozcodec.transform(data, "flip_horizontal"), "has other pixels"),
    ):
        monkeypatch.setattr(fuzzer, "VERBS", {"optimize": verb})
        assert fuzzer.run(8, 1) > 0
        assert words in capsys.readouterr().out


def test_a_preview_that_shows_what_was_cropped_away_is_reported(fuzzer, monkeypatch):
    seed = next(seed for seed in range(50) if _crops(fuzzer, monkeypatch, seed))
    fuzzer._check_crop(seed, 0)


def _crops(fuzzer, monkeypatch, seed: int) -> bool:
    """Return whether keeping the previews of case *seed* is reported: its region is less than the image."""
    whole = mozcodec.transform
    monkeypatch.setattr(mozcodec, "transform", lambda data, **options: whole(data, parts="keep", **options))
    try:
        fuzzer._check_crop(seed, 0)
    except AssertionError:
        return True
    finally:
        monkeypatch.undo()
    return False
