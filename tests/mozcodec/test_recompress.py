"""Compression and decompression without a file, beside the pixels of the file."""

import pickle
import threading

import numpy as np
import pytest

import mozcodec
from mozcodec import _recompress

TURBO = {"profile": "fastest", "quant_table": 0, "quant_baseline": True, "subsampling": "4:2:0"}
STATIC = mozcodec.build_info()["linking"] == "static"

WITHOUT_FILE = {
    "turbo": TURBO,
    "mozjpeg": {},
    "sequential trellis": {"progressive": False},
    "no trellis": {"trellis_quant": False},
    "trellis without DC": {"trellis_quant_dc": False},
    "no deringing": {"overshoot_deringing": False},
    "deringing alone": {"trellis_quant": False, "progressive": False, "overshoot_deringing": True},
    "16-bit tables": {"profile": "fastest", "quant_baseline": False},
    "ms-ssim": {"tune": "ms-ssim"},
    "smoothing": TURBO | {"smoothing_factor": 40},
    "restart": {"restart_interval": 3},
    "own tables": {
        "quant_tables": [np.full((8, 8), 5000, np.uint32), np.full((8, 8), 1, np.uint32)],
        "trellis_quant": False,
    },
    "gray file": {"color_space": "gray"},
    **{f"{s}, turbo": TURBO | {"subsampling": s} for s in ("4:4:4", "4:2:2", "4:4:0", "4:1:1", "4:1:0")},
    **{f"{s}, mozjpeg": {"subsampling": s} for s in ("4:4:4", "4:2:2", "4:4:0", "4:1:1")},
}
THROUGH_FILE = {
    "arithmetic": {"arithmetic": True},
    "ifast": {"dct_method": "ifast"},
    "RGB file": {"color_space": "rgb"},
    "scan script": {"scan_script": "0,1,2: 0 0 0 0; 0: 1 63 0 1; 1: 1 63 0 0; 2: 1 63 0 0"},
    "lossless": {"lossless": 1},
    "distance": {"distance": 2.0},
    "no common scan": {"subsampling": "4x4,1x1,1x1", "scan_script": "0: 0 63 0 0; 1: 0 63 0 0; 2: 0 63 0 0"},
    "requested engine": {"engine": "library"},
    "max_memory": {"max_memory": 1 << 26},
}
SIZES = [(1, 1), (2, 3), (7, 8), (8, 9), (15, 17), (16, 16), (17, 33), (33, 2), (31, 70), (70, 64)]


def _picture(rng, height, width, channels):
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, (height, width, channels), np.uint8)
    if kind == 1:  # black and white, which deringing raises
        return (rng.integers(0, 2, (height, width, channels)) * 255).astype(np.uint8)
    slope = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None]
    return np.ascontiguousarray((slope + np.arange(channels) * 40) % 256, np.uint8)


@pytest.fixture
def files(monkeypatch):
    """How many images went through a file."""
    seen = []
    through_file = _recompress._through_file
    monkeypatch.setattr(_recompress, "_through_file", lambda *args: seen.append(1) or through_file(*args))
    return seen


def _through_file(image, quality, options, pixel_format):
    data = mozcodec.encode(image, quality, pixel_format=pixel_format, **options)
    return mozcodec.decode(data, pixel_format).reshape(image.shape)


@pytest.mark.parametrize("name", WITHOUT_FILE)
def test_pixels_are_those_of_the_file(name, files):
    options = WITHOUT_FILE[name]
    rng = np.random.default_rng(list(WITHOUT_FILE).index(name))
    for height, width in SIZES:
        for quality in (int(rng.integers(1, 90)), int(rng.integers(90, 100)), 100):
            image = _picture(rng, height, width, 3)
            got = mozcodec.recompress(image, quality, **options)
            assert np.array_equal(got, _through_file(image, quality, options, "rgb")), (height, width, quality)
    # deringed samples at quality 100 can give coefficients that no file holds
    assert len(files) <= len(SIZES) if STATIC else files


def test_deringed_coefficients_beyond_what_files_hold(files):
    """Black and white with the signs of a basis function: deringing raises its coefficient beyond 1023."""
    cosines = np.cos((2 * np.arange(8) + 1) * np.arange(8)[:, None] * np.pi / 16)
    fine = np.ones((8, 8), np.uint32)
    fine[0, 0] = 100  # a large DC step allows the largest overshoot
    basis = np.einsum("uy,vx->uyvx", cosines, cosines).reshape(64, 64)
    image = np.where(basis > 0, 255, 0).astype(np.uint8)
    for options in ({}, {"trellis_quant": False}, TURBO | {"overshoot_deringing": True, "subsampling": "4:4:4"}):
        options = options | {"quant_tables": [fine]}
        pixels = image if "subsampling" not in options else np.dstack([image] * 3)
        coefficients = mozcodec.read_coefficients(mozcodec.encode(pixels, 50, **options))
        assert max(np.abs(c).max() for c in coefficients.components) == 1023
        kind = "gray" if pixels.ndim == 2 else "rgb"
        assert np.array_equal(mozcodec.recompress(pixels, 50, **options), _through_file(pixels, 50, options, kind))
    assert not files or not STATIC


@pytest.mark.parametrize("name", THROUGH_FILE)
def test_other_options_go_through_the_file(name, files):
    options = THROUGH_FILE[name]
    image = _picture(np.random.default_rng(3), 24, 40, 3)
    quality = 75
    if name == "distance":
        expected = mozcodec.decode(mozcodec.encode(image, **options))
        assert np.array_equal(mozcodec.recompress(image, **options), expected)
    else:
        expected = _through_file(image, quality, options, "rgb")
        assert np.array_equal(mozcodec.recompress(image, quality, **options), expected)
    assert len(files) == 1


@pytest.mark.skipif(not STATIC, reason="an installed libmozjpeg: everything goes through a file")
def test_every_quality_without_a_file(files):
    rng = np.random.default_rng(5)
    for quality in range(1, 101):
        image = _picture(rng, 19, 35, 3)
        expected = _through_file(image, quality, TURBO, "rgb")
        assert np.array_equal(mozcodec.recompress(image, quality, **TURBO), expected)
    assert not files


@pytest.mark.parametrize("pixel_format", ["gray", "rgb", "bgr", "rgba", "bgra", "argb", "abgr", "ycbcr", "cmyk"])
@pytest.mark.parametrize("options", [TURBO, {}], ids=["turbo", "mozjpeg"])
def test_pixel_formats(pixel_format, options, files):
    channels = {"gray": 1, "rgb": 3, "bgr": 3, "ycbcr": 3}.get(pixel_format, 4)
    if channels == 1:
        options = {k: v for k, v in options.items() if k != "subsampling"}
    image = _picture(np.random.default_rng(7), 21, 37, channels)
    expected = _through_file(image, 60, options, pixel_format)
    assert np.array_equal(mozcodec.recompress(image, 60, pixel_format=pixel_format, **options), expected)
    assert bool(files) == (pixel_format in ("ycbcr", "cmyk") or not STATIC)


def test_memory_of_every_kind(files):
    image = _picture(np.random.default_rng(9), 20, 44, 3)
    padded = np.zeros((20, 50, 3), np.uint8)
    padded[:, 3:47] = image
    kinds = {
        "planes": image.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        "upside down": image[::-1].copy()[::-1],
        "part of a larger one": padded[:, 3:47],
        "every second column": np.repeat(image, 2, axis=1)[:, ::2],
        "mirrored": image[:, ::-1].copy()[:, ::-1],
        "bgr": image[..., ::-1].copy()[..., ::-1],
        "read-only": np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
    }
    expected = _through_file(image, 50, TURBO, "rgb")
    for name, same in kinds.items():
        assert np.array_equal(mozcodec.recompress(same, 50, **TURBO), expected), name
    gray = np.broadcast_to(image[..., :1].copy(), image.shape)  # three planes in one place
    assert np.array_equal(mozcodec.recompress(gray, 50, **TURBO), _through_file(gray.copy(), 50, TURBO, "rgb"))
    assert mozcodec.recompress(image[..., 0], 50).shape == (20, 44)
    assert mozcodec.recompress(image[..., :1], 50).shape == (20, 44, 1)
    assert not files or not STATIC


@pytest.mark.parametrize(
    ("image", "arguments", "error", "text"),
    [
        (np.zeros((8, 8, 3)), {}, TypeError, "uint8"),
        (np.zeros((0, 8, 3), np.uint8), {}, ValueError, "at least one pixel"),
        (np.zeros((8, 8, 4), np.uint8), {}, ValueError, "4 channels need pixel_format"),
        (np.zeros((8, 8, 3), np.uint8), {"pixel_format": "gray"}, ValueError, "1 channels"),
        (np.zeros((8, 8, 3), np.uint8), {"pixel_format": "planes"}, ValueError, "not planes"),
        (np.zeros((8, 8, 3), np.uint8), {"quality": 0}, ValueError, "quality"),
        (np.zeros((8, 8, 3), np.uint8), {"qualty": 3}, TypeError, "unknown option"),
        (np.zeros((1, 65536), np.uint8), {}, ValueError, "at most 65535"),
    ],
)
def test_wrong_arguments_are_refused(image, arguments, error, text):
    with pytest.raises(error, match=text):
        mozcodec.recompress(image, **arguments)


def test_threads_share_nothing():
    rng = np.random.default_rng(11)
    images = [_picture(rng, 30 + 5 * i, 60, 3) for i in range(6)]
    expected = [pickle.dumps(mozcodec.recompress(image, 70)) for image in images]
    found = [None] * len(images)

    def run(i):
        for _ in range(10):
            found[i] = pickle.dumps(mozcodec.recompress(images[i], 70))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


@pytest.mark.skipif(not STATIC, reason="an installed libmozjpeg: everything goes through a file")
def test_a_batch_continues_after_an_image_that_needs_a_file():
    rng = np.random.default_rng(13)
    images = rng.integers(0, 256, (5, 3, 18, 26), np.uint8)
    out = np.zeros((5, 18, 26, 3), np.uint8)
    n, c, h, w = images.strides
    batch = _recompress.Batch(images.ctypes.data, out.shape, (n, h, w, c), out.ctypes.data, 1)
    arithmetic = (1, 3)
    settings = [
        _recompress.encode_options(50 + i, TURBO | ({"arithmetic": True} if i in arithmetic else {})) for i in range(5)
    ]
    asked = []
    batch.recompress(settings, 0, 5, asked.append)
    assert asked == [1, 3]
    for i in range(5):
        pixels = images[i].transpose(1, 2, 0)
        expected = np.zeros_like(pixels) if i in arithmetic else _through_file(pixels, 50 + i, TURBO, "rgb")
        assert np.array_equal(out[i], expected)


@pytest.mark.parametrize("options", [{}, {"profile": "fastest"}, {"arithmetic": True}, {"distance": 2}])
def test_the_result_has_the_layout_of_the_image(options):
    """With channels first the samples of the result were in the order of channels last."""
    y, x = np.mgrid[:40, :56]
    pixels = np.dstack([4 * x, 6 * y, 2 * (x + y)]).astype(np.uint8)
    expected = mozcodec.recompress(pixels, **options)
    first = mozcodec.recompress(pixels.transpose(2, 0, 1), layout="chw", **options)
    np.testing.assert_array_equal(first.transpose(1, 2, 0), expected)
    gray = mozcodec.recompress(pixels[None, ..., 0], layout="chw", **options)
    np.testing.assert_array_equal(gray[0], mozcodec.recompress(pixels[..., 0], **options))


def test_transparent_pixels_get_the_background():
    y, x = np.mgrid[:40, :56]
    pixels = np.dstack([4 * x, 6 * y, 2 * (x + y), 255 * (x > 20)]).astype(np.uint8)
    expected = mozcodec.decode(mozcodec.encode(pixels, 60, pixel_format="rgba", background=(9, 200, 40)))
    seen = mozcodec.recompress(pixels, 60, pixel_format="rgba", background=(9, 200, 40))
    np.testing.assert_array_equal(seen, expected)
    with pytest.raises(TypeError, match="unknown option 'comment'"):
        mozcodec.recompress(pixels[..., :3], arithmetic=True, comment="x")
