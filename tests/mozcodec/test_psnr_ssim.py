"""PSNR and SSIM against scikit-image."""

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mozcodec import psnr, ssim

SHAPES = [(128, 128, 3), (128, 128), (7, 7), (7, 7, 3), (9, 40, 3), (40, 9), (33, 47, 1), (64, 80, 4)]


def pair(shape, sigma=25, seed=0):
    generator = np.random.default_rng(seed)
    a = generator.integers(0, 256, shape)
    b = np.clip(a + generator.normal(0, sigma, shape), 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


def expected_ssim(a, b):
    return structural_similarity(a, b, channel_axis=-1 if a.ndim == 3 else None, data_range=255)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [2, 25, 200])
def test_ssim_is_scikit_images(shape, sigma):
    a, b = pair(shape, sigma)
    assert ssim(a, b) == pytest.approx(expected_ssim(a, b), abs=1e-10)


def test_ssim_of_the_extremes_is_scikit_images():
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    checks = np.indices((32, 32)).sum(0).astype(np.uint8) % 2 * 255
    for a, b in ((black, white), (white, white), (checks, 255 - checks)):
        assert ssim(a, b) == pytest.approx(expected_ssim(a, b), abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_psnr_is_scikit_images(shape):
    a, b = pair(shape)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9)


def test_psnr_of_one_level_everywhere_is_20_log10_255():
    a = np.full((4, 5), 100, np.uint8)
    assert psnr(a, a + 1) == pytest.approx(20 * math.log10(255))


def test_identical_images_are_infinitely_close():
    a, _ = pair((16, 16, 3))
    assert psnr(a, a) == math.inf
    assert ssim(a, a) == 1


def test_any_memory_layout_gives_the_same_number():
    a, b = pair((40, 44, 3))
    views = [lambda x: x[::-1, ::-1], lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=1)[:, ::2]]
    for view in views:
        assert ssim(view(a), view(b)) == pytest.approx(expected_ssim(view(a), view(b)), abs=1e-10)
    a.flags.writeable = False
    assert ssim(a, b) == pytest.approx(expected_ssim(a, b), abs=1e-10)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8), "of one shape"),
        (np.zeros((8, 8)), np.zeros((8, 8)), "uint8"),
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int64), "uint8"),
        (np.zeros(8, np.uint8), np.zeros(8, np.uint8), "\\(H, W\\)"),
        (np.zeros((0, 8), np.uint8), np.zeros((0, 8), np.uint8), "at least one pixel"),
    ],
)
def test_other_input_is_refused(a, b, message):
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=message):
            measure(a, b)


def test_ssim_needs_a_whole_window():
    with pytest.raises(ValueError, match=r"at least 7 x 7 pixels, got \(6, 20\)"):
        ssim(np.zeros((6, 20), np.uint8), np.zeros((6, 20), np.uint8))
