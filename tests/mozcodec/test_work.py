"""Work is bounded: small files that describe much work are refused before decoding, or are decoded in limited time."""

from __future__ import annotations

import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import mozcodec
from mozcodec import forensics, jpegio

pytestmark = pytest.mark.alone
PASSES = [((0, 1, 2), 0, 0, 0, 0), *((((c,), k, k, 0, 0)) for c in range(3) for k in range(1, 22))]  # 64 scans
READERS = {
    "decode": mozcodec.decode,
    "gray": lambda data, **options: mozcodec.decode(data, "gray", **options),
    "planes": lambda data, **options: mozcodec.decode(data, "planes", **options),
    "region": lambda data, **options: mozcodec.decode(data, region=(0, 0, 8, 8), **options),
    "scaled": lambda data, **options: mozcodec.decode(data, scale=2, **options),
    "batch": lambda data, **options: mozcodec.decode_batch([data], scale=1, threads=1, **options),
    "coefficients": mozcodec.read_coefficients,
    "optimize": mozcodec.optimize,
    "transform": lambda data, **options: mozcodec.transform(data, "flip_horizontal", trim=True, **options),
}


def flat(size: int, arithmetic: bool) -> bytes:
    image = np.full((size, size, 3), 128, np.uint8)
    return mozcodec.encode(image, 50, subsampling="4:4:4", arithmetic=arithmetic, scan_script=PASSES, profile="fastest")


@pytest.fixture(scope="module", params=(True, False), ids=("arithmetic", "huffman"))
def bomb(request) -> bytes:
    """64 scans over a flat image of 4 megapixels, told to be one of 121: a file that is cut off, and costs as much."""
    data = bytearray(flat(2000, request.param))
    at = data.index(b"\xff\xc2" if not request.param else b"\xff\xca")
    data[at + 5 : at + 9] = (11_000).to_bytes(2, "big") * 2
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_flat_images_of_many_scans_are_refused_before_they_start(name, bomb):
    start = time.process_time()
    with pytest.raises(mozcodec.LimitError, match=r"pixels x scans of the file are \d+, more than max_work"):
        READERS[name](bomb)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("name", READERS)
def test_the_budget_can_be_raised_lifted_and_lowered(name):
    data = flat(200, False)
    for limit in ("auto", None, 10**9):
        READERS[name](data, max_work=limit)
    with pytest.raises(mozcodec.LimitError, match="max_work = 1000"):
        READERS[name](data, max_work=1000)
    for wrong, error in ((0, ValueError), ("none", TypeError)):
        with pytest.raises(error, match="max_work must be"):
            READERS[name](data, max_work=wrong)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("arithmetic", [True, False])
def test_what_the_budget_lets_through_ends_in_time(name, arithmetic):
    """0.5 s of CPU + 0.05 s a megapixel + 2 s a megabyte."""
    data = flat(2000, arithmetic)
    start = time.process_time()
    READERS[name](data)
    spent = time.process_time() - start
    assert spent <= 0.5 + 0.05 * 4 + 2 * len(data) / 1e6, spent


MARKERS = """
import sys, time, mozcodec
many = sys.stdin.buffer.read()
for read in (mozcodec.decode, mozcodec.read_header, mozcodec.inspect, mozcodec.optimize):
    spent = []
    for _ in range(3):
        start = time.process_time()
        read(many)
        spent.append(time.process_time() - start)
    print(read.__name__, min(spent))
"""


def test_a_file_of_markers_ends_in_time(small):
    """0.5 s of CPU + 2 s a megabyte, in a process of its own: the collector visits all objects of the tests."""
    data = mozcodec.encode(small, 80)
    many = data[:2] + b"\xff\xfe\x00\x02" * 50_000 + b"\xff\xe1\x00\x08Exif\0\0" * 12_500 + data[2:]
    found = subprocess.run([sys.executable, "-c", MARKERS], input=many, capture_output=True, check=True).stdout
    spent = {name: float(seconds) for name, seconds in (line.split() for line in found.decode().splitlines())}
    assert len(spent) == 4
    assert {name: seconds for name, seconds in spent.items() if seconds > 0.5 + 2 * len(many) / 1e6} == {}


def test_a_crop_beyond_the_image_is_held_by_max_pixels(small):
    data = mozcodec.encode(small, 80, profile="fastest")
    with pytest.raises(mozcodec.LimitError, match="more than max_pixels"):
        mozcodec.transform(data, crop=(0, 0, 65_000, 65_000))


def test_ordinary_files_stay_within_the_budget(astronaut):
    flat_photograph = np.full((3000, 4000, 3), 255, np.uint8)
    for image in (astronaut, flat_photograph):
        data = mozcodec.encode(image, 50, subsampling="4:4:4", profile="fastest", progressive=True)
        assert mozcodec.decode(data, scale=1).size > 0
        mozcodec.optimize(data)


def flat_arithmetic(side: int) -> bytes:
    """456 bytes or fewer that decode to side x side pixels in 16 scans."""
    script = [((0,), 0, 0, 0, 0), *((((0,), k, k, 0, 0)) for k in range(1, 16))]
    return mozcodec.encode(np.full((side, side), 128, np.uint8), 50, arithmetic=True, scan_script=script)


def test_the_limits_hold_for_all_images_of_a_file_together(small):
    """Each of them is within the limits."""
    data = mozcodec.encode(small, 80) + 30 * flat_arithmetic(2500)
    for verb in (mozcodec.optimize, lambda data, **options: mozcodec.transform(data, "flip_vertical", **options)):
        start = time.process_time()
        with pytest.raises(mozcodec.LimitError, match=r"31 images of the file have \d+ pixels together.*max_pixels"):
            verb(data)
        assert time.process_time() - start < 0.5
        with pytest.raises(mozcodec.LimitError, match=r"pixels x scans of the file are \d+, more than max_work"):
            verb(data, max_pixels=None, max_work=10**9)
        assert len(verb(data, parts="keep", trim=True) if verb is not mozcodec.optimize else verb(data, parts="keep"))
    few = data[: -28 * len(flat_arithmetic(2500))]
    assert len(mozcodec.pictures(mozcodec.optimize(few))) == 3
    with pytest.raises(mozcodec.LimitError, match="3 images"):
        mozcodec.optimize(few, max_pixels=12_000_000)
    assert mozcodec.optimize(few, max_pixels=13_000_000) == mozcodec.optimize(few)


def with_thumbnail(jpeg: bytes) -> bytes:
    """EXIF of orientation 6 with a thumbnail."""
    entries = struct.pack("<HHHIII", 1, 0x112, 3, 1, 6, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(jpeg), 0)
    return b"II*\0\x08\0\0\0" + entries + second + jpeg


def test_a_thumbnail_that_says_it_is_huge_is_dropped():
    """Its coefficients would take 8 GiB."""
    flat = np.full((64, 64), 128, np.uint8)
    thumbnail = bytearray(mozcodec.encode(flat, 50, profile="fastest", progressive=False, optimize_coding=False))
    at = thumbnail.index(b"\xff\xc0")
    image = np.zeros((64, 64, 3), np.uint8)
    for side, kept in ((64, True), (65_000, False)):
        thumbnail[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
        data = mozcodec.encode(image, 50, exif=with_thumbnail(bytes(thumbnail)))
        start = time.process_time()
        turned = mozcodec.read_header(mozcodec.transform(data, "auto")).metadata.exif
        assert time.process_time() - start < 0.5
        assert (turned.find(b"\xff\xd8\xff", 56) > 0) == kept


LIMITS = {
    "max_pixels": (1000, 5000),
    "max_scans": (1, 200),
    "max_work": (1000, 10**9),
    "max_marker_bytes": (400, 10**6),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_every_refusal_names_the_option_that_opens_the_file(limit, tmp_path, small):
    data = mozcodec.encode(np.tile(small, (2, 2, 1))[:64, :64], 80, comment="x" * 500)
    low, high = LIMITS[limit]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    verbs = {
        **READERS,
        "histograms": mozcodec.coefficient_histograms,
        "many": lambda data, **options: list(mozcodec.decode_many([data], **options)),
        "luma": forensics.read_luma,
        "jpegio": lambda _, **options: jpegio.read(path, **options),
    }
    for name, verb in verbs.items():
        if (name, limit) != ("batch", "max_scans"):  # at scale 1 further scans are not read
            with pytest.raises(mozcodec.LimitError, match=f"{limit} = {low}"):
                verb(data, **{limit: low})
        for enough in (high, None):
            verb(data, **{limit: enough})
    assert forensics.report(data, **{limit: low})["not_analysed"]["grid"].count(limit) == 1


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("verb", ["encode", "decode", "optimize", "sweep", "forensics"])
def test_every_refusal_of_the_command_line_names_the_switch(limit, verb, tmp_path, small, capsys):
    from mozcodec._cli import main
    from mozcodec._switches import _SWITCHES

    data = mozcodec.encode(np.tile(small, (2, 2, 1))[:64, :64], 80, comment="x" * 500)
    source, target = tmp_path / "a.jpg", tmp_path / ("b.ppm" if verb == "decode" else "b.jpg")
    source.write_bytes(data)
    paths = [str(source)] if verb in ("sweep", "forensics") else [str(source), str(target)]
    switch = f"-{_SWITCHES[limit]}"
    low, high = LIMITS[limit]
    status = main([verb, switch, str(low), *paths])
    text = "".join(capsys.readouterr())
    assert f"{switch} = {low}" in text or f"{switch} {low}" in text
    assert status == 1 or verb == "forensics"
    assert main([verb, switch, str(high), *paths]) == 0
    assert switch not in "".join(capsys.readouterr())
