"""mozcodec's own engine writes the library's bytes.

The library behind ``engine="library"`` is the pinned mozjpeg, which test_identity.py compares with cjpeg. The cases
come from benchmarks/identity.py, whose long runs are in docs/results.md; these are smaller cuts of them.
"""

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import mozcodec
from tools.scripts import load

BENCHMARKS = Path(__file__).resolve().parents[2] / "packages" / "mozcodec" / "benchmarks"


@pytest.fixture(scope="module")
def identity():
    """benchmarks/identity.py as a module."""
    return load(BENCHMARKS / "identity.py")


def both(pixels: np.ndarray, quality: object, **options) -> tuple[bytes, bytes]:
    return tuple(mozcodec.encode(pixels, quality, engine=engine, **options) for engine in ("fast", "library"))


def test_random_images_and_settings_give_the_librarys_bytes(identity):
    rows = [identity.run_chunk("random", chunk, 2000, ()) for chunk in range(4)]
    assert sum(row["cases"] for row in rows) == 2000
    assert [row["different"] for row in rows] == [[], [], [], []]
    assert sum(row["used"]["fast"] for row in rows) > 1600


def test_a_grid_of_images_gives_the_librarys_bytes(identity):
    cases = list(identity.grid((10, 77, 95), ("chelsea.png", "page.png", "logo.png")))
    different = [
        (name, quality, options)
        for name, quality, options in cases
        if not identity.compare(identity.grid_picture(name)[:160, :160], quality, options)[0]
    ]
    assert len(cases) == 5 * 3 * 10
    assert different == []


@pytest.mark.slow(minutes=0.2)
def test_ten_thousand_random_cases_give_the_librarys_bytes(identity):
    different = [identity.run_chunk("random", chunk, 20_000, ())["different"] for chunk in range(20, 40)]
    assert different == [[]] * 20


@pytest.mark.parametrize("quality", [*range(1, 101), 33.3, 77.5, (20, 90)])
def test_every_quality_takes_the_fast_engine(small, quality):
    fast, library = both(small, quality)
    assert fast == library


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:4:1", "4:1:0", "3x2", "1x3"])
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (9, 17), (33, 1), (1, 65), (50, 70)])
def test_sizes_that_nothing_divides(astronaut, subsampling, shape):
    pixels = np.ascontiguousarray(astronaut[100 : 100 + shape[0], 200 : 200 + shape[1]])
    fast, library = both(pixels, 77, subsampling=subsampling)
    assert fast == library


@pytest.mark.parametrize("quality", [5, 50, 77, 92, 100])
def test_saturated_images_are_deringed_alike(astronaut, quality):
    pixels = np.clip((astronaut[:96, :96].astype(int) - 90) * 4, 0, 255).astype(np.uint8)
    assert (pixels == 255).mean() > 0.2
    for options in ({}, {"overshoot_deringing": False}, {"trellis_quant": False}):
        fast, library = both(pixels, quality, **options)
        assert fast == library


@pytest.mark.parametrize(
    "options",
    [
        {"optimize_scans": False},
        {"trellis_quant": False},
        {"trellis_quant_dc": False},
        {"dc_scan_opt_mode": 1},
        {"dc_scan_opt_mode": 2},
        {"restart_interval": 5},
        {"restart_interval": 1, "optimize_scans": False},
        {"color_space": "rgb"},
        {"color_space": "rgb", "optimize_scans": False},
        {"restart_rows": 2, "optimize_scans": False},
        {"progressive": False},
        {"progressive": False, "trellis_quant": False},
        {"progressive": False, "trellis_quant_dc": False, "subsampling": "4:4:4"},
        {"progressive": False, "restart_interval": 3},
        {"progressive": False, "restart_rows": 1, "color_space": "rgb"},
        {"progressive": False, "dct_method": "float", "color_space": "gray"},
        {"progressive": False, "quant_baseline": False, "overshoot_deringing": False},
        {"progressive": False, "trellis_quant": False, "optimize_coding": False},
        {"profile": "fastest"},
        {"profile": "fastest", "optimize_coding": True},
        {"profile": "fastest", "restart_interval": 3},
        {"profile": "fastest", "restart_rows": 1, "subsampling": "4:2:2"},
        {"profile": "fastest", "color_space": "rgb", "dct_method": "float"},
        {"profile": "fastest", "color_space": "gray", "subsampling": "2x2", "dct_method": "ifast"},
        {"dct_method": "float"},
        {"dct_method": "ifast"},
        {"smoothing_factor": 40},
        *({"tune": tune} for tune in ("psnr", "ssim", "ms-ssim")),
        *({"quant_table": table} for table in range(9)),
    ],
    ids=str,
)
def test_every_covered_option_gives_the_librarys_bytes(small, options):
    for quality in (1, 25, 77, 100):
        fast, library = both(small, quality, **options)
        assert fast == library


@pytest.mark.parametrize("kind", range(8))
def test_sequential_files_of_few_symbols_give_the_librarys_bytes(identity, kind):
    """The trellis of a sequential file may not use what its table has no code for: small images have many gaps."""
    rng = np.random.default_rng(kind)
    for _ in range(40):
        pixels = np.clip(identity.KINDS[kind](rng, *rng.integers(1, 60, 2)), 0, 255).astype(np.uint8)
        quality = int(rng.integers(1, 101))
        fast, library = both(pixels, quality, progressive=False)
        assert fast == library, (pixels.shape, quality)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "4:1:0", "3x2"])
@pytest.mark.parametrize("restart_interval", [0, 1, 15, 16, 17, 100])
def test_files_of_one_pass_give_the_librarys_bytes(identity, subsampling, restart_interval):
    """MCUs are coded sixteen at a time: images of many in a row, and restarts before, at and after the sixteenth."""
    rng = np.random.default_rng(restart_interval)
    options = {"profile": "fastest", "subsampling": subsampling, "restart_interval": restart_interval}
    for kind in identity.KINDS:
        pixels = np.clip(kind(rng, int(rng.integers(1, 40)), int(rng.integers(120, 600))), 0, 255).astype(np.uint8)
        for picture in (pixels, np.ascontiguousarray(pixels[..., 0])):
            for quality in (3, 75, 97, 100):
                fast, library = both(picture, quality, **options)
                assert fast == library, (kind.__name__, picture.shape, quality)


def test_a_file_of_one_pass_in_a_buffer_of_any_size(small):
    """The bytes go straight to the buffer while there is room, and through another near its end."""
    library = mozcodec.encode(small, 90, profile="fastest", engine="library")
    for capacity in (0, 1, 300, len(library) // 2, *range(len(library) - 40, len(library))):
        with pytest.raises(mozcodec.LimitError, match=f"out holds {capacity} bytes, the stream needs {len(library)}"):
            mozcodec.encode(small, 90, profile="fastest", engine="fast", out=bytearray(capacity))
    for more in (0, 1, 15, 100_000):
        buffer = bytearray(b"\xa5" * (len(library) + more))
        assert mozcodec.encode(small, 90, profile="fastest", engine="fast", out=buffer) == library
        assert bytes(buffer[len(library) + 16 :]) == b"\xa5" * max(more - 16, 0)


def test_a_noisy_file_of_one_pass_that_outgrows_its_first_buffer():
    noise = np.random.default_rng(0).integers(0, 256, (64, 800, 3), np.uint8)
    fast, library = both(noise, 100, profile="fastest", subsampling="4:4:4")
    assert fast == library
    assert len(fast) > noise.shape[0] * noise.shape[1]


def test_cmyk_gives_the_librarys_bytes(small):
    pixels = np.dstack([small, small[..., 0]])
    for options in ({}, {"optimize_scans": False}, {"progressive": False}, {"profile": "fastest"}):
        fast, library = both(pixels, 80, pixel_format="cmyk", **options)
        assert fast == library


def test_planes_give_the_librarys_bytes(small):
    planes = [small[..., 0], small[::2, ::2, 1], small[::2, ::2, 2]]
    for options in ({}, {"profile": "fastest"}):
        fast, library = both(planes, 77, pixel_format="planes", **options)
        assert fast == library


def test_markers_stand_where_the_library_puts_them(small):
    for options in ({}, {"profile": "fastest"}):
        fast, library = both(small, 77, comment="hello", exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0", **options)
        assert fast == library


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"arithmetic": True}, "arithmetic coding"),
        ({"profile": "fastest", "progressive": True}, "progressive JPEG of the fastest profile"),
        ({"restart_rows": 1, "subsampling": "4:4:4"}, "restart intervals in rows with the scan search"),
        ({"trellis_eob_opt": True}, "trellis_eob_opt"),
        ({"trellis_q_opt": True}, "trellis_q_opt"),
        ({"trellis_num_loops": 2}, "several trellis loops"),
        ({"trellis_delta_dc_weight": 0.5}, "trellis_delta_dc_weight"),
        ({"use_scans_in_trellis": True}, "use_scans_in_trellis"),
    ],
    ids=str,
)
def test_what_is_not_covered_goes_to_the_library_and_says_why(small, options, reason):
    data = mozcodec.encode(small, 77, **options)
    assert mozcodec.engine_used() == ("library", reason)
    assert data == mozcodec.encode(small, 77, engine="library", **options)
    with pytest.raises(mozcodec.UnsupportedError, match=f'engine "fast" does not cover {reason}'):
        mozcodec.encode(small, 77, engine="fast", **options)


def test_engine_used_says_who_wrote_the_last_file(small):
    mozcodec.encode(small, 77)
    assert mozcodec.engine_used() == ("fast", "")
    mozcodec.encode(small, 77, engine="library")
    assert mozcodec.engine_used() == ("library", "")


def test_an_unknown_engine_is_refused(small):
    with pytest.raises(ValueError, match=r"engine must be one of .*'auto'.*'quick'"):
        mozcodec.encode(small, 77, engine="quick")


def test_the_baseline_form_writes_the_same_bytes(small):
    """The processor's form is chosen at import, so another one needs another process."""
    program = (
        "import io, sys, numpy, mozcodec; pixels = numpy.load(io.BytesIO(sys.stdin.buffer.read()));"
        "print(mozcodec.build_info()['engine']);"
        "print([mozcodec.encode(pixels, q, engine='fast', **options).hex()"
        "    for q in (5, 77, 99) for options in ({}, {'profile': 'fastest'})])"
    )
    stdin = io.BytesIO()
    np.save(stdin, small)
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=stdin.getvalue(), capture_output=True, check=True, env=os.environ | {"MOZCODEC_CPU": "baseline"},
    )  # fmt: skip
    name, files = done.stdout.decode().splitlines()
    assert name == "baseline"
    expected = [
        mozcodec.encode(small, q, engine="library", **options).hex()
        for q in (5, 77, 99)
        for options in ({}, {"profile": "fastest"})
    ]
    assert files == str(expected)


def test_an_unknown_cpu_is_refused_at_import():
    done = subprocess.run(
        [sys.executable, "-c", "import mozcodec"], capture_output=True, text=True, check=False,
        env=os.environ | {"MOZCODEC_CPU": "z80"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "MOZCODEC_CPU must be baseline, or v3" in done.stderr


def test_threads_share_nothing(astronaut):
    tiles = [np.ascontiguousarray(astronaut[y : y + 64, x : x + 80]) for y in (0, 64, 128) for x in (0, 80, 160)]
    expected = [mozcodec.encode(tile, 77, engine="library") for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(lambda tile: mozcodec.encode(tile, 77, engine="fast"), tiles)) == expected


def test_a_failed_call_leaves_the_next_one_right(small):
    expected = mozcodec.encode(small, 77, engine="library")
    for _ in range(50):
        with pytest.raises(mozcodec.LimitError, match="out holds 100 bytes"):
            mozcodec.encode(small, 77, engine="fast", out=bytearray(100))
        assert mozcodec.encode(small, 77, engine="fast") == expected
