"""Whatever ends in 8x8 coefficients is coded by the engine, with the library's bytes."""

import numpy as np
import pytest

import mozcodec


def both(function, *arguments, **options) -> tuple:
    """Return what *function* gives with the fast engine and with the library's, checking that each was used."""
    results = []
    for engine in ("fast", "library"):
        results.append(function(*arguments, engine=engine, **options))
        assert mozcodec.engine_used().name == engine
    return tuple(results)


@pytest.fixture(scope="module")
def files(small, small_gray, astronaut) -> list[bytes]:
    """Baseline, progressive, 4:4:4, gray and noisy files."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    return [
        mozcodec.encode(small, 77, profile="fastest"),
        mozcodec.encode(small, 92),
        mozcodec.encode(small, 30, subsampling="4:1:1", restart_interval=4),
        mozcodec.encode(small_gray, 60, profile="fastest"),
        mozcodec.encode(noise, 98, profile="fastest"),
        mozcodec.encode(astronaut[:130, :150], 50, subsampling="4:4:0", profile="fastest"),
    ]


@pytest.mark.parametrize(
    "options",
    [{}, {"optimize_scans": False}, {"dc_scan_opt_mode": 2}, {"restart_interval": 7}, {"progressive": False}],
    ids=str,
)
def test_optimize_gives_the_librarys_bytes(files, options):
    for data in files:
        fast, library = both(mozcodec.optimize, data, **options)
        assert fast == library


def test_optimize_gives_jpegtrans_bytes(files, programs):
    for data in files[:2]:
        assert mozcodec.optimize(data, engine="fast") == programs.jpegtran(data, "-copy", "all")


@pytest.mark.parametrize("operation", ["rotate_90", "flip_horizontal", "transverse"])
def test_transform_gives_the_librarys_bytes(files, operation):
    for data in files:
        fast, library = both(mozcodec.transform, data, operation, trim=True)
        assert fast == library


def test_write_coefficients_gives_the_librarys_bytes(files):
    for data in files:
        for options in ({}, {"progressive": False, "profile": "fastest"}):
            fast, library = both(mozcodec.write_coefficients, mozcodec.read_coefficients(data), **options)
            assert fast == library


def test_coefficients_in_tables_that_stand_are_the_librarys(files):
    coefficients = mozcodec.read_coefficients(files[0])
    data = mozcodec.write_coefficients(coefficients, progressive=False, optimize_coding=False)
    assert mozcodec.engine_used() == ("library", "sequential JPEG without tables of its own")
    assert data == files[0]


def test_scaled_files_of_one_pass_give_the_librarys_bytes(small, small_gray):
    for pixels in (small, small_gray):
        for dct_size in (1, 5, 8, 13):
            fast, library = both(mozcodec.encode_scaled, pixels, 80, dct_size=dct_size, profile="fastest")
            assert fast == library


def test_an_mcu_of_more_than_ten_blocks_is_the_librarys_to_refuse(astronaut, programs):
    """16 + 1 + 1 blocks: only scans of one component can hold them."""
    large = {"subsampling": "4x4,1x1,1x1"}
    words = "Sampling factors too large for interleaved scan"
    assert words.encode() in programs.try_cjpeg(astronaut, "-sample", "4x4,1x1,1x1").stderr
    apart = mozcodec.encode(astronaut, dc_scan_opt_mode=1, **large)
    assert apart == mozcodec.encode(astronaut, dc_scan_opt_mode=1, engine="library", **large)
    for call in (
        lambda: mozcodec.encode(astronaut, **large),
        lambda: mozcodec.encode(astronaut, optimize_scans=False, **large),
        lambda: mozcodec.encode_scaled(astronaut, dct_size=16, **large),
        lambda: list(mozcodec.sweep(astronaut, [60], **large)),
    ):
        with pytest.raises(mozcodec.JpegError, match=words):
            call()


def test_a_coefficient_beyond_the_range_is_the_librarys_to_refuse(files):
    coefficients = mozcodec.read_coefficients(files[0])
    coefficients.components[0][0, 0, 3, 3] = 1024
    with pytest.raises((ValueError, mozcodec.JpegError)):
        mozcodec.write_coefficients(coefficients)


@pytest.mark.parametrize("dct_size", [3, 5, 7, 9, 12, 16])
@pytest.mark.parametrize("options", [{}, {"optimize_scans": False}, {"trellis_quant": False}], ids=str)
def test_scaled_encoding_gives_the_librarys_bytes(small, dct_size, options):
    for quality in (10, 77, 95):
        fast, library = both(mozcodec.encode_scaled, small, quality, dct_size=dct_size, **options)
        assert fast == library


@pytest.mark.parametrize("block_size", [9, 13, 16])
def test_smartscale_encoding_gives_the_librarys_bytes(small, block_size):
    fast, library = both(mozcodec.encode_smartscale, small, 77, block_size=block_size)
    assert fast == library


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:4:4"}, {"trellis_quant": False}, {"tune": "ssim"}], ids=str)
def test_a_sweep_gives_encodes_bytes(astronaut, options):
    """A third of the image is white, so that deringing has to be repeated at each quality."""
    pixels = np.clip(astronaut[:90, 100:230].astype(int) * 2, 0, 255).astype(np.uint8)
    assert (pixels == 255).mean() > 0.1
    qualities = [1, 5, 10, 15, 60, 77, 80, 85, 90, 95, 100, (20, 90), 33.3]
    points = list(mozcodec.sweep(pixels, qualities, threads=2, **options))
    assert [point.data for point in points] == [
        mozcodec.encode(pixels, quality, engine="library", **options) for quality in qualities
    ]


def test_a_sweep_of_what_the_engine_does_not_cover_gives_encodes_bytes(small):
    for options in ({"arithmetic": True}, {"dct_method": "float"}, {"engine": "library"}):
        points = mozcodec.sweep(small, [20, 77], threads=1, **options)
        assert [p.data for p in points] == [mozcodec.encode(small, q, **options) for q in (20, 77)]


def test_many_threads_sweep_one_image(small):
    expected = [mozcodec.encode(small, quality, engine="library") for quality in range(5, 100, 5)]
    assert [point.data for point in mozcodec.sweep(small, range(5, 100, 5), threads=4)] == expected
