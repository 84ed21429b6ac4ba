"""The study of DCT sizes, benchmarks/study.py: its arithmetic by hand, its measurements made again, a cut of it."""

import csv
import io
import math
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mozcodec
from tools.scripts import load

SCRIPT = Path(__file__).resolve().parents[2] / "packages" / "mozcodec" / "benchmarks" / "study.py"
QUALITIES = (5, 10, 25, 50, 75, 90, 95)


@pytest.fixture(scope="module")
def study():
    """benchmarks/study.py as a module."""
    return load(SCRIPT)


@pytest.fixture(scope="module")
def face(astronaut) -> np.ndarray:
    """(64, 64, 3)"""
    return np.ascontiguousarray(astronaut[80:144, 196:260])


# ---- fidelity and files ----------------------------------------------------------------------------------------------


def psnr_by_definition(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def ssim_by_definition(a, b):
    """Wang et al. 2004 with uniform 7 x 7 windows and sample covariances; mean over windows and channels."""
    x, y = (np.lib.stride_tricks.sliding_window_view(p.astype(float), (7, 7), axis=(0, 1)) for p in (a, b))
    mean_x, mean_y = x.mean((-2, -1)), y.mean((-2, -1))
    var_x, var_y = x.var((-2, -1), ddof=1), y.var((-2, -1), ddof=1)
    both = ((x - mean_x[..., None, None]) * (y - mean_y[..., None, None])).sum((-2, -1)) / 48
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ratio = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return ratio.mean()


def files_made_again(face, subsampling):
    """(way, block size, DCT size) -> the file at quality 50 and its pixels, by the library's verbs alone."""
    options = {"quality": 50, "subsampling": subsampling}
    plain = mozcodec.encode(face, **options)
    four = mozcodec.encode_smartscale(face, block_size=4, **options)
    twice = mozcodec.encode_scaled(face, dct_size=4, **options)
    half = mozcodec.encode_scaled(face, dct_size=16, **options)
    blocks = mozcodec.encode_smartscale(face, block_size=5, dct_size=10, **options)
    size = (64, 64)
    up = Image.fromarray(mozcodec.decode(half)).resize(size, Image.Resampling.LANCZOS)
    down = mozcodec.encode(np.asarray(Image.fromarray(face).resize((32, 32), Image.Resampling.LANCZOS)), **options)
    down_up = Image.fromarray(mozcodec.decode(down)).resize(size, Image.Resampling.LANCZOS)
    return {
        ("plain", 8, 8): (plain, mozcodec.decode(plain)),
        ("smartscale", 4, 4): (four, mozcodec.decode(four)),
        ("scaled", 8, 4): (twice, mozcodec.decode(twice, scale=4, idct="true")),
        ("scaled", 8, 16): (half, mozcodec.decode(half, scale=16)),
        ("half", 5, 10): (blocks, mozcodec.decode(blocks, scale=16)[:64, :64]),
        ("scaled, lanczos", 8, 16): (half, np.asarray(up)),
        ("resized", 8, 16): (down, np.asarray(down_up)),
    }


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_points_are_those_of_the_verbs_and_of_the_definitions(study, face, subsampling):
    for sizes, (data, pixels) in files_made_again(face, subsampling).items():
        (point,) = study.measure(face, study.Contender(*sizes), subsampling, [50], {})
        assert (point.quality, point.bytes) == (50, len(data))
        assert point.psnr == pytest.approx(psnr_by_definition(face, pixels), abs=1e-9)
        assert point.ssim == pytest.approx(ssim_by_definition(face, pixels), abs=1e-9)


def test_tables_are_counted_by_what_the_format_says(study, face, small_gray):
    # T.81, B.2.4.1: marker and length 4 bytes, then for each table 1 byte and its entries, here of 1 byte (quality 75)
    # or, at quality 10, of 2. IJG jcmarker.c: blocks of 4 x 4 have 16 entries and a segment for each table.
    def tables(image, contender, quality):
        return study.measure(image, study.Contender(*contender), "4:4:4", [quality], {})[0].tables

    assert tables(face, ("plain", 8, 8), 75) == 4 + 2 * 65
    assert tables(face, ("plain", 8, 8), 10) == 4 + 2 * 129
    assert tables(small_gray, ("plain", 8, 8), 75) == 4 + 65
    assert tables(face, ("smartscale", 4, 4), 75) == 2 * (4 + 17)


@pytest.mark.parametrize("dct_size", range(9, 17))
def test_above_8_smartscale_is_the_scaled_file_with_other_headers(dct_size, face, small_gray):
    """So the study makes it once."""
    for image in (face, small_gray):
        for quality in (10, 75, 95):
            scaled = mozcodec.encode_scaled(image, quality, dct_size=dct_size)
            stream = mozcodec.encode_smartscale(image, quality, block_size=dct_size)
            assert 0 <= len(stream) - len(scaled) < 20
            height, width = image.shape[:2]
            pixels = mozcodec.decode(scaled, None, scale=dct_size)[:height, :width]
            np.testing.assert_array_equal(mozcodec.decode(stream, None), pixels)


@pytest.mark.parametrize("dct_size", range(9, 17))
def test_shrinking_and_enlarging_moves_nothing(study, dct_size):
    # a ramp keeps its values: sample k of the small one lies at the middle of its n/8 pixels, (k + 1/2) n/8 - 1/2
    ramp = np.tile(np.arange(20, 221, dtype=np.uint8), (30, 1))
    small = study.shrunk(ramp, dct_size)
    assert small.shape == (-(-30 * 8 // dct_size), -(-201 * 8 // dct_size))
    middles = 20 + (np.arange(small.shape[1]) + 0.5) * dct_size / 8 - 0.5
    inner = slice(6, -6)
    assert np.abs(small[15 * 8 // dct_size, inner] - middles[inner]).max() <= 0.75  # half a level, and the filter's own
    again = study.enlarged(small, dct_size, ramp.shape)
    assert again.shape == ramp.shape
    assert np.abs(again[15, 15:-15].astype(int) - ramp[15, 15:-15]).max() <= 1


def test_crops_of_bundled_images_suit_the_even_sizes(study):
    pictures = study.bundled()
    assert len(pictures) == len(study.PHOTOGRAPHS + study.GRAPHICS)
    for picture in pictures:
        assert all(side % 96 == 0 and 96 <= side <= study.CROP for side in picture.pixels.shape[:2])
        assert all(side % (2 * n) == 0 for n in (1, 2, 3, 4, 6, 8, 12, 16) for side in picture.pixels.shape[:2])
    with pytest.raises(SystemExit, match=r"no such image: lena\.png"):
        study.bundled(["lena.png"])


# ---- bytes at equal fidelity, by hand --------------------------------------------------------------------------------


def points(study, *pairs):
    """Files of (bytes, PSNR)."""
    return [study.Point(quality, size, 0, psnr, 0.5) for quality, (size, psnr) in enumerate(pairs)]


def test_bytes_are_interpolated_on_a_logarithmic_scale(study):
    # on a straight line a monotone cubic is the line: 20 dB for a factor of 100
    straight = points(study, (100, 20.0), (1000, 30.0), (10000, 40.0))
    for target, expected in ((20, 100), (25, 100 * math.sqrt(10)), (30, 1000), (38, 100 * 10**1.8), (40, 10000)):
        assert study.bytes_needed(straight, "psnr", target) == pytest.approx(expected, rel=1e-12)


def test_ssim_is_interpolated_in_decibels(study):
    # from 0.9 to 0.999, 10 to 30 dB: 0.99 lies in the middle
    files = [study.Point(1, 100, 0, 30, 0.9), study.Point(2, 10000, 0, 40, 0.999)]
    assert study.bytes_needed(files, "ssim", 20) == pytest.approx(1000)
    assert study.METRICS["ssim"](study.Point(1, 100, 0, 30, 0.99)) == pytest.approx(20)


def test_a_file_that_a_smaller_one_equals_does_not_count(study):
    files = points(study, (100, 20.0), (150, 20.0), (180, 19.0), (1000, 30.0), (900, 31.0))
    values, sizes = study.best_points(files, "psnr")
    assert values.tolist() == [20, 31]
    assert sizes.tolist() == [100, 900]


def test_nothing_is_extrapolated(study):
    files = points(study, (100, 20.0), (1000, 30.0))
    assert study.bytes_needed(files, "psnr", 30.001) == math.inf
    assert study.bytes_needed(files, "psnr", 3) == 100
    # nothing lies between the best lossy file and the lossless one, so the latter's bytes are what it takes
    files = points(study, (100, 20.0), (1000, 30.0), (1500, math.inf))
    assert study.bytes_needed(files, "psnr", 30.001) == 1500
    assert study.bytes_needed(files, "psnr", 25) == pytest.approx(100 * math.sqrt(10))


def test_equal_images_are_exact(study, face):
    assert study.fidelity(face, face.copy()) == (math.inf, 1.0)
    assert study.METRICS["ssim"](study.Point(1, 1, 0, math.inf, 1.0)) == math.inf


def test_a_contender_takes_the_better_subsampling_and_plain_too(study):
    other = study.Contender("scaled", 8, 16)
    files = {
        ("p", study.PLAIN, "4:2:0"): [study.Point(50, 1000, 0, 30, 0.9), study.Point(75, 2000, 0, 33, 0.95)],
        ("p", study.PLAIN, "4:4:4"): [study.Point(50, 1600, 0, 31, 0.9), study.Point(75, 1800, 0, 34, 0.95)],
        ("p", other, "4:2:0"): [study.Point(50, 600, 0, 20, 0.9), study.Point(75, 800, 0, 30, 0.95)],
        ("p", other, "4:4:4"): [study.Point(50, 500, 0, 20, 0.9), study.Point(75, 900, 0, 33, 0.95)],
    }
    curves = study.Curves(files)
    # quality 75 is 33 dB by the rule 4:2:0; plain gets there in 4:4:4 at 1600 * (1800/1600)^(2/3), the other at 900
    plain = 1600 * (1800 / 1600) ** (2 / 3)
    assert curves.percent("p", other, "psnr", 75, "either") == pytest.approx(100 * (900 / plain - 1))
    assert curves.percent("p", other, "psnr", 50, "4:2:0") == pytest.approx(-20)
    assert curves.percent("p", other, "psnr", 75, "4:2:0") == math.inf
    assert not curves.at_floor("p", other, "psnr", 20, "either")
    assert curves.at_floor("p", other, "psnr", 19.9, "either")


def test_images_out_of_reach_count_as_infinitely_many_bytes(study):
    assert study.spread([3.0, 1.0, 2.0, 10.0]) == (1, 1, 2.5, 10, 10)
    assert study.spread([3.0, 1.0, math.inf]) == (1, 1, 3, math.inf, math.inf)
    assert study.spread([3.0, math.inf, math.inf])[2] == math.inf
    shown = [study.number(percent) for percent in (-12.4, 0.6, 999.4, 1100.0, math.inf)]
    assert shown == ["−12", "+1", "+999", "×12", "∞"]


def test_8_nths_at_n_8_is_plain_to_the_byte(study, face, small_gray):
    same = study.Contender("scaled", 8, 8)
    pictures = [study.Picture("faces", "face", face), study.Picture("faces", "gray", small_gray)]
    curves = study.Curves(study.measure_all(pictures, [study.PLAIN, same], qualities=QUALITIES))
    rows = study.rows(curves, pictures, [study.PLAIN, same])
    assert len(rows) == 2 * 3 * len(QUALITIES)  # metrics, ways to count, qualities
    assert {(row.minimum, row.maximum, row.never, row.floor, row.pictures) for row in rows} == {(0, 0, 0, 0, 2)}


# ---- faces -----------------------------------------------------------------------------------------------------------


def png(value):
    data = io.BytesIO()
    Image.fromarray(np.dstack([np.full((8, 8), v, np.uint8) for v in (value, 0, 0)])).save(data, "png")
    return data.getvalue()


def test_faces_are_spread_evenly_over_files_and_archives(study, tmp_path):
    for k in range(3):
        (tmp_path / f"a{k}.png").write_bytes(png(k))
    with tarfile.open(tmp_path / "faces-000.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for k in range(3, 9):
            member = tarfile.TarInfo(f"c23/{k}.png")
            member.size = len(png(k))
            archive.addfile(member, io.BytesIO(png(k)))
    chosen = study.faces(tmp_path, 3)  # the middle one of each third of nine
    assert [(p.set, p.name, p.pixels[0, 0, 0], p.pixels.shape) for p in chosen] == [
        ("faces", "a1.png", 1, (8, 8, 3)),
        ("faces", "c23/4.png", 4, (8, 8, 3)),
        ("faces", "c23/7.png", 7, (8, 8, 3)),
    ]
    with pytest.raises(SystemExit, match=r"has 9 PNG files .* 10 are wanted"):
        study.faces(tmp_path, 10)


# ---- a small cut of the whole ----------------------------------------------------------------------------------------


def run(out, crops, *arguments):
    command = [sys.executable, SCRIPT, "--out", out, "--faces", crops, "--num-faces", "1"]
    command += ["--pictures", "microaneurysms.png", "--sizes", "4", "8", "16", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_small_cut_says_what_the_verbs_say_and_again_the_same(tmp_path, face):
    crops = tmp_path / "crops"
    crops.mkdir()
    Image.fromarray(face).save(crops / "face.png")
    first = run(tmp_path / "first", crops, "--jobs", "2")
    assert first == run(tmp_path / "second", crops, "--jobs", "1")
    assert sorted(first) == ["scaling.csv", "scaling.md", "scaling.png"]
    assert max(map(len, first.values())) < 500_000
    with Image.open(io.BytesIO(first["scaling.png"])) as image:
        assert image.size[0] > 1000

    table = list(csv.DictReader(io.StringIO(first["scaling.csv"].decode())))
    (found,) = [
        row
        for row in table
        if (row["set"], row["metric"], row["counted"], row["subsampling"]) == ("faces", "psnr", "file", "4:4:4")
        and (row["way"], row["dct_size"], row["quality"]) == ("smartscale", "4", "50")
    ]
    # a file of the next lower and one of the next higher PSNR stand on either side of what was interpolated
    options = {"subsampling": "4:4:4"}
    plain = mozcodec.encode(face, 50, **options)
    target = psnr_by_definition(face, mozcodec.decode(plain))
    around = [mozcodec.encode_smartscale(face, quality, block_size=4, **options) for quality in range(1, 101)]
    close = [psnr_by_definition(face, mozcodec.decode(data)) for data in around]
    above = min(len(data) for data, value in zip(around, close, strict=True) if value >= target)
    below = max(len(data) for data, value in zip(around, close, strict=True) if value <= target)
    percent = sorted(100 * (size / len(plain) - 1) for size in (above, below))
    assert percent[0] - 2 <= float(found["median"]) <= percent[1] + 2  # the study has every seventh quality only
    assert found["pictures"] == "1"
    assert found["minimum"] == found["median"] == found["maximum"]
