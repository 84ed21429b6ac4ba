"""Sweeps, targets, and the fidelity that targets are measured by."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import mozcodec
from mozcodec import _fidelity, _sweep

# ---- PSNR and SSIM ---------------------------------------------------------------------------------------------------


def skimage_ssim(a, b):
    return structural_similarity(a, b, data_range=255, channel_axis=-1 if a.ndim == 3 else None)


def skimage_psnr(a, b):
    return peak_signal_noise_ratio(a, b, data_range=255)


@pytest.mark.parametrize("name", ["astronaut.png", "camera.png", "coffee.png", "page.png", "chelsea.png"])
def test_psnr_and_ssim_are_scikit_images(name, picture):
    image = picture(name)[:301, :257]
    for quality in (3, 30, 75, 99):
        pixels = mozcodec.decode(mozcodec.encode(image, quality), None)
        assert _fidelity.psnr(image, pixels) == pytest.approx(skimage_psnr(image, pixels), abs=1e-6)
        assert _fidelity.ssim(image, pixels) == pytest.approx(skimage_ssim(image, pixels), abs=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(7, 40),
    st.integers(7, 40),
    st.sampled_from([None, 1, 3, 4]),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_psnr_and_ssim_of_any_shape_and_contrast(height, width, channels, contrast, seed):
    random = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    a = random.integers(0, contrast + 1, shape, np.uint8)
    b = np.clip(a + random.integers(-30, 31, shape), 0, 255).astype(np.uint8)
    assert _fidelity.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=1e-6)
    if not np.array_equal(a, b):
        assert _fidelity.psnr(a, b) == pytest.approx(skimage_psnr(a, b), abs=1e-6)


def test_equal_images_are_infinitely_close(small):
    assert _fidelity.psnr(small, small.copy()) == np.inf
    assert _fidelity.ssim(small, small.copy()) == 1.0
    assert _fidelity.ssim(small[::-1, ::2], small[::-1, ::2]) == 1.0


def test_a_difference_of_one_level_is_48_db():
    # 20 log10(255 / 1) = 48.1308 dB
    black = np.zeros((9, 9, 3), np.uint8)
    assert _fidelity.psnr(black, black + 1) == pytest.approx(48.130804, abs=1e-6)


def test_fidelity_refuses_what_cannot_be_compared(small):
    with pytest.raises(ValueError, match="one shape"):
        _fidelity.psnr(small, small[1:])
    with pytest.raises(ValueError, match="at least 7 x 7"):
        _fidelity.ssim(small[:6], small[:6])


# ---- sweep -----------------------------------------------------------------------------------------------------------


def test_a_sweep_gives_the_files_of_single_calls_in_the_order_of_its_loops(small):
    qualities = (30, 80, 90, 85.5, (90, 40))
    points = list(mozcodec.sweep(small, qualities, scales=(5, 8, 16), blocks=(8, 3), threads=3))
    expected = list(itertools.product((8, 3), (5, 8, 16), qualities))
    assert [(p.block_size, p.dct_size, p.quality) for p in points] == expected
    for p in points:
        assert p.data == mozcodec.encode_smartscale(small, p.quality, block_size=p.block_size, dct_size=p.dct_size)


def test_a_sweep_of_qualities_is_encode(small):
    for point in mozcodec.sweep(small, range(5, 101, 19), subsampling="4:4:4", trellis_quant=False):
        assert (point.block_size, point.dct_size) == (8, 8)
        assert point.data == mozcodec.encode(small, point.quality, subsampling="4:4:4", trellis_quant=False)


def test_blocks_without_scales_keep_the_size(small):
    for point in mozcodec.sweep(small, [75], blocks=(1, 6, 8, 12)):
        assert point.dct_size == point.block_size
        assert mozcodec.read_header(point.data).shape == small.shape[:2]


def test_a_sweep_is_lazy(small):
    endless = mozcodec.sweep(small, [50] * 100_000, threads=2)
    assert [next(endless).quality for _ in range(3)] == [50, 50, 50]
    endless.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("mozcodec")]


def test_pixel_formats_reach_every_size(small):
    bgr = np.ascontiguousarray(small[..., ::-1])
    for point in mozcodec.sweep(bgr, [70], blocks=(8, 4), scales=(8, 9), pixel_format="bgr"):
        assert point.data == mozcodec.encode_smartscale(
            small, 70, block_size=point.block_size, dct_size=point.dct_size
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"qualities": [0]}, r"quality must be 1\.\.100"),
        ({"qualities": [50], "scales": [17]}, r"scales must be 1\.\.16, got 17"),
        ({"qualities": [50], "blocks": [0]}, r"blocks must be 1\.\.16, got 0"),
        ({"qualities": [50], "scales": [3], "dct_method": "ifast"}, "dct_method='ifast' is not possible"),
        ({"qualities": [50], "threads": 0}, r"threads must be 1\.\.1024"),
    ],
)
def test_a_sweep_complains_at_once(arguments, words, small):
    with pytest.raises(ValueError, match=words):
        mozcodec.sweep(small, **arguments)


# ---- encode_to_target ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_bytes_are_hit_from_below(share, astronaut):
    image = astronaut[:128, :128]
    budget = int(share * len(mozcodec.encode(image, 90)))
    found = mozcodec.encode_to_target(image, bytes=budget)
    assert found.data == mozcodec.encode(image, found.quality)
    assert found.value == len(found.data) <= budget
    assert found.next_quality == found.quality + 1
    assert found.next_value == len(mozcodec.encode(image, found.next_quality)) > budget


@pytest.mark.parametrize("target", [{"psnr": 28}, {"psnr": 35.5}, {"ssim": 0.8}, {"ssim": 0.97}])
@pytest.mark.parametrize("gray", [False, True])
def test_fidelity_is_hit_from_above(target, gray, astronaut):
    image = np.ascontiguousarray(astronaut[:120, :128, 1] if gray else astronaut[:120, :128])
    found = mozcodec.encode_to_target(image, **target)
    ((name, wanted),) = target.items()
    measure = {"psnr": skimage_psnr, "ssim": skimage_ssim}[name]
    assert found.data == mozcodec.encode(image, found.quality)
    assert found.value == pytest.approx(measure(image, mozcodec.decode(found.data, None)), abs=1e-6)
    assert found.next_quality == found.quality - 1
    below = mozcodec.decode(mozcodec.encode(image, found.next_quality), None)
    assert found.next_value == pytest.approx(measure(image, below), abs=1e-6)
    assert found.next_value < wanted <= found.value


def test_the_ends_have_no_neighbour(small):
    best = mozcodec.encode_to_target(small, bytes=10**6)
    assert (best.quality, best.next_quality, best.next_value) == (100, None, None)
    worst = mozcodec.encode_to_target(small, psnr=1.0)
    assert (worst.quality, worst.next_quality, worst.next_value) == (1, None, None)


def test_what_no_quality_reaches_is_reported(small):
    with pytest.raises(mozcodec.LimitError, match="no quality reaches bytes=100: quality 1 has"):
        mozcodec.encode_to_target(small, bytes=100)
    with pytest.raises(mozcodec.LimitError, match="no quality reaches psnr=90: quality 100 has"):
        mozcodec.encode_to_target(small, psnr=90)


@pytest.mark.parametrize(
    ("pixel_format", "places"),
    [("bgr", [2, 1, 0]), ("rgba", [0, 1, 2, 1]), ("abgr", [1, 2, 1, 0]), ("xrgb", [1, 0, 1, 2])],
)
def test_alpha_does_not_count(pixel_format, places, small):
    want = mozcodec.encode_to_target(small, ssim=0.9)
    image = np.ascontiguousarray(small[..., places])
    assert mozcodec.encode_to_target(image, ssim=0.9, pixel_format=pixel_format) == want


def test_options_and_smallest_reach_the_search(small):
    plain = mozcodec.encode_to_target(small, ssim=0.9, quant_table=0, subsampling="4:4:4")
    assert plain.data == mozcodec.encode(small, plain.quality, quant_table=0, subsampling="4:4:4")
    least = mozcodec.encode_to_target(small, ssim=0.9, smallest=True)
    assert least.data == mozcodec.encode(small, least.quality, smallest=True)
    assert len(least.data) <= len(mozcodec.encode_to_target(small, ssim=0.9).data)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ({}, TypeError, "exactly one of bytes, psnr, ssim and ssimulacra2 is needed, got none"),
        ({"bytes": 5, "ssim": 0.5}, TypeError, "got bytes, ssim"),
        ({"ssim": 1.5}, ValueError, r"ssim must be 0\.\.1, got 1\.5"),
        ({"psnr": -1}, ValueError, "psnr must be positive, got -1"),
        ({"bytes": 0}, ValueError, "bytes must be"),
        ({"psnr": float("nan")}, ValueError, "psnr must be finite"),
        ({"psnr": 30, "precision": 16}, ValueError, "psnr needs 8-bit pixels, or precision=12"),
        ({"ssim": 0.9, "pixel_format": "planes"}, ValueError, "ssim needs 8-bit pixels"),
    ],
)
def test_targets_are_checked(target, error, words, small):
    with pytest.raises(error, match=words):
        mozcodec.encode_to_target(small, **target)


# ---- smallest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_smallest_is_the_smallest_of_its_kind(quality, small, small_gray):
    for image in (small, small_gray, small[:9, :9]):
        candidates = [
            mozcodec.encode(image, quality),
            mozcodec.encode(image, quality, progressive=False),
            mozcodec.encode(image, quality, quant_baseline=True),
        ]
        assert mozcodec.encode(image, quality, smallest=True) == min(candidates, key=len)


def test_every_kind_is_the_smallest_somewhere(astronaut):
    def winner(image, quality):
        data = mozcodec.encode(image, quality, smallest=True)
        if not mozcodec.read_header(data).progressive:
            return "baseline"
        return "searched" if data == mozcodec.encode(image, quality, optimize_scans="wide") else "8-bit tables"

    # many scans do not pay off in a small image; at 65 a handful of entries passes 255, and 16-bit tables cost 128
    # bytes
    assert winner(astronaut[:16, :16], 85) == "baseline"
    assert winner(astronaut, 85) == "searched"
    assert winner(astronaut, 65) == "8-bit tables"


def test_smallest_writes_into_out_and_keeps_metadata(small):
    want = mozcodec.encode(small, 50, smallest=True, comment="small")
    out = bytearray(10_000)
    view = mozcodec.encode(small, 50, smallest=True, comment="small", out=out)
    assert bytes(view) == want == bytes(out[: len(want)])
    assert mozcodec.read_header(want).metadata.comments == (b"small",)
    with pytest.raises(mozcodec.LimitError, match=f"the stream needs {len(want)}"):
        mozcodec.encode(small, 50, smallest=True, comment="small", out=bytearray(100))


@pytest.mark.parametrize("name", ["progressive", "quant_baseline"])
def test_smallest_decides_alone(name, small):
    with pytest.raises(ValueError, match=f"cannot be combined with {name}"):
        mozcodec.encode(small, 50, smallest=True, **{name: True})


@pytest.mark.parametrize(
    ("side", "files", "threads"), [(128, 99, 1), (256, 4, 1), (256, 40, 5), (512, 4, 2), (1024, 8, 8), (4, 1, 1)]
)
def test_small_sweeps_run_in_one_thread(side, files, threads, monkeypatch):
    counts = []
    monkeypatch.setattr(_sweep, "num_threads", lambda given: 8 if given is None else given)
    monkeypatch.setattr(_sweep, "ordered_map", lambda *arguments: counts.append(arguments[2]) or iter(()))
    gray = np.zeros((side, side), np.uint8)
    list(mozcodec.sweep(gray, [50] * files))
    list(mozcodec.sweep([gray], [50] * files, pixel_format="planes"))
    list(mozcodec.sweep(gray, [50] * files, threads=3))
    assert counts == [threads, threads, 3]


@pytest.mark.parametrize(("side", "files", "threads"), [(32, 9, 1), (128, 4, 1), (256, 4, 1), (256, 8, 3), (512, 4, 6)])
def test_a_sweep_over_distances_counts_three_times_its_pixels(side, files, threads, monkeypatch):
    counts = []
    monkeypatch.setattr(_sweep, "num_threads", lambda given: 8 if given is None else given)
    monkeypatch.setattr(_sweep, "ordered_map", lambda _function, _items, count: counts.append(count) or iter(()))
    gray = np.zeros((side, side), np.uint8)
    for asked in (None, 2):
        list(mozcodec.sweep(gray, distances=[1.0] * files, threads=asked))
    assert counts == [threads, 2]
