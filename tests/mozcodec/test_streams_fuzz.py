"""A part of the fuzzer of unusual streams, and files that it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mozcodec
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def fuzzer():
    return load(PACKAGE / "fuzz" / "streams.py")


def test_unusual_streams_of_the_same_image_have_its_pixels(fuzzer, capsys):
    assert fuzzer.run(120, 1) == 0, capsys.readouterr().out


def test_other_pixels_and_lost_metadata_are_reported(fuzzer, monkeypatch):
    data, plain, _ = fuzzer.draw_case(1, 0)
    black = mozcodec.encode(np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setitem(fuzzer.WRITERS, "optimize", lambda _: black)
    with pytest.raises(AssertionError, match="optimize: other pixels"):
        fuzzer._check_pixels(data, plain, False)
    monkeypatch.setattr(mozcodec, "edit_metadata", lambda jpeg, **_: jpeg)
    with pytest.raises(AssertionError):
        fuzzer._check_metadata(np.random.default_rng(0), plain)


@pytest.mark.parametrize("last_coefficient", [3, 63, 143])
def test_a_sequential_scan_is_whole_without_eoi_whatever_its_se(jpeg_of_one_scan, last_coefficient):
    data = bytearray(jpeg_of_one_scan)
    scan = data.index(b"\xff\xda")
    data[scan + 6 + 2 * data[scan + 4]] = last_coefficient
    with pytest.warns(mozcodec.JpegWarning, match="no EOI"):
        found = mozcodec.decode(bytes(data[:-2]))
    np.testing.assert_array_equal(found, mozcodec.decode(jpeg_of_one_scan))


def test_rows_of_a_stream_behind_its_tables_are_kept_before_a_broken_segment(fuzzer, jpeg_of_one_scan):
    data = fuzzer._tables_apart(None, jpeg_of_one_scan)[:-2] + b"\xff\xdb\0\1\xff\xd9"
    found = mozcodec.decode(data, on_truncated="ok")
    np.testing.assert_array_equal(found, mozcodec.decode(jpeg_of_one_scan))


@pytest.fixture(scope="module")
def jpeg_of_one_scan() -> bytes:
    y, x = np.mgrid[:32, :48]
    return mozcodec.encode(np.dstack([x * 5, y * 5, x + y]).astype(np.uint8), 80, profile="fastest", progressive=False)
