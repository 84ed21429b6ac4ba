"""Work is bounded: small files that describe much work are refused before decoding, or are decoded in limited time."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

import mozcodec

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
