"""PSNR, SSIM, MS-SSIM and SSIMULACRA2 against scikit-image and the published C++ program."""

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data
from skimage.metrics import structural_similarity

import mozcodec
from mozcodec._fidelity import compare
from mozcodec._mozjpeg import ffi

REFERENCE = Path(__file__).with_name("ssimulacra2.csv")
"""Scores of the published C++ program, version 2.1, with a hash of the decoded pixels that it was given."""


def picture(name):
    if name == "odd":
        return np.ascontiguousarray(data.coffee()[11:252, 40:357])
    if name == "hubble":
        return np.ascontiguousarray(data.hubble_deep_field()[:400, :400])
    return getattr(data, name)()


def reference_rows():
    with REFERENCE.open(newline="") as file:
        return list(csv.DictReader(file))


def distorted(row):
    image = picture(row["picture"])
    pixels = mozcodec.decode(mozcodec.encode(image, int(row["quality"]), subsampling=row["subsampling"]))
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == row["sha256_16_of_decoded_pixels"]
    return image, pixels


def test_ssimulacra2_gives_the_published_programs_scores():
    errors = [abs(mozcodec.ssimulacra2(*distorted(row)) - float(row["ssimulacra2"])) for row in reference_rows()]
    assert len(errors) == 42
    assert max(errors) < 0.25
    assert np.median(errors) < 0.02


def test_ssimulacra2_is_the_same_on_every_processor():
    program = (
        "import mozcodec; from skimage import data; a = data.cat()[:201, :233]\n"
        "b = mozcodec.decode(mozcodec.encode(a, 50))\n"
        "print(mozcodec.ssimulacra2(a, b).hex(), mozcodec.ssimulacra2(a[:9, :8], b[:9, :8]).hex())"
    )
    scores = set()
    for cpu in ("baseline", ""):
        environment = {**os.environ, "MOZCODEC_CPU": cpu}
        scores.add(subprocess.check_output([sys.executable, "-c", program], env=environment, text=True))
    assert len(scores) == 1


def test_equal_images_score_100_and_have_no_slope():
    image = data.astronaut()[:90, :130]
    slopes = np.empty(image.shape, np.float32)
    score, error = compare(image, image, ffi.from_buffer("float[]", slopes))
    assert (score, error, mozcodec.ssimulacra2(image, image)) == (100, 0, 100)
    assert not slopes.any()


@pytest.mark.parametrize("shape", [(64, 64), (61, 83), (8, 40), (17, 9)])
def test_slopes_of_ssimulacra2_are_finite_differences(shape):
    """In random directions, one gray level up and down, of images far enough from any kink of the error."""
    rng = np.random.default_rng(7)
    image = data.coffee()[100 : 100 + shape[0], 200 : 200 + shape[1]]
    other = np.clip(image + rng.normal(0, 12, image.shape), 1, 254).astype(np.uint8)
    slopes, unused = np.empty(image.shape, np.float32), np.empty(image.shape, np.float32)
    compare(image, other, ffi.from_buffer("float[]", slopes))

    def error(pixels):
        return compare(image, pixels, ffi.from_buffer("float[]", unused))[1]

    for _ in range(4):
        step = rng.integers(-1, 2, image.shape)
        # steps along the slope, so that the difference is not the small rest of large parts
        step = np.where(rng.random(image.shape) < 0.5, np.sign(slopes), step).astype(int)
        difference = (error((other + step).astype(np.uint8)) - error((other - step).astype(np.uint8))) / 2
        assert difference == pytest.approx(float((slopes * step).sum()), rel=0.03)


def test_slopes_reach_the_last_odd_row_and_column():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (33, 35, 3), np.uint8)
    other = np.clip(image.astype(int) + rng.integers(-30, 31, image.shape), 1, 254).astype(np.uint8)
    slopes, unused = np.empty(image.shape, np.float32), np.empty(image.shape, np.float32)
    compare(image, other, ffi.from_buffer("float[]", slopes))
    step = np.zeros(image.shape, int)
    step[-1], step[:, -1] = np.sign(slopes[-1]), np.sign(slopes[:, -1])
    up, down = ((other + sign * step).astype(np.uint8) for sign in (1, -1))
    errors = [compare(image, pixels, ffi.from_buffer("float[]", unused))[1] for pixels in (up, down)]
    assert (errors[0] - errors[1]) / 2 == pytest.approx(float((slopes * step).sum()), rel=0.03)


def test_gray_is_rgb_with_equal_channels():
    image = data.camera()[:150, :140]
    pixels = mozcodec.decode(mozcodec.encode(image, 40), "gray")
    rgb = [np.repeat(part[..., None], 3, axis=2) for part in (image, pixels)]
    assert mozcodec.ssimulacra2(image, pixels) == mozcodec.ssimulacra2(*rgb)
    assert mozcodec.ssimulacra2(image[..., None], pixels[..., None]) == mozcodec.ssimulacra2(*rgb)


def test_strides_do_not_matter():
    image = data.astronaut()
    a, b = image[::2, ::-2], np.roll(image, 1, 1)[::2, ::-2]
    assert mozcodec.ssimulacra2(a, b) == mozcodec.ssimulacra2(a.copy(), b.copy())
    assert mozcodec.ms_ssim(a, b) == mozcodec.ms_ssim(a.copy(), b.copy())


def luma(pixels):
    return pixels.astype(np.float64) @ [0.299, 0.587, 0.114]


def expected_ms_ssim(a, b):
    """From scikit-image's SSIM maps; with an enormous K1 the luminance term is 1 and contrast and structure remain."""
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        _, whole = structural_similarity(
            a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
            K1=0.01 if scale == 4 else 1e9,
        )  # fmt: skip
        product *= whole[5:-5, 5:-5].mean() ** weight
        a, b = (
            part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2].reshape(
                part.shape[0] // 2, 2, part.shape[1] // 2, 2
            ).mean((1, 3))
            for part in (a, b)
        )  # fmt: skip
    return product


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_ms_ssim_is_the_papers(quality):
    image = picture("odd")
    pixels = mozcodec.decode(mozcodec.encode(image, quality))
    assert mozcodec.ms_ssim(image, pixels) == pytest.approx(expected_ms_ssim(luma(image), luma(pixels)), abs=1e-9)
    gray = [part[..., 1].copy() for part in (image, pixels)]
    assert mozcodec.ms_ssim(*gray) == pytest.approx(expected_ms_ssim(*(g.astype(float) for g in gray)), abs=1e-9)


def test_ms_ssim_of_equal_and_opposite_images():
    image = data.camera()[:180, :176]
    assert mozcodec.ms_ssim(image, image) == pytest.approx(1, abs=1e-12)
    assert mozcodec.ms_ssim(image, 255 - image) == 0


@pytest.mark.parametrize(
    ("measure", "shape", "message"),
    [
        (mozcodec.ssimulacra2, (7, 300, 3), "at least 8 x 8 pixels"),
        (mozcodec.ssimulacra2, (20, 20, 4), "gray or RGB"),
        (mozcodec.ssimulacra2, (20, 0, 3), "at least one pixel"),
        (mozcodec.ms_ssim, (175, 300), "at least 176 x 176"),
        (mozcodec.ms_ssim, (200, 200, 2), "gray or RGB"),
        (mozcodec.ssim, (6, 20), "at least 7 x 7"),
        (mozcodec.psnr, (0, 4), "at least one pixel"),
        (mozcodec.psnr, (12,), r"\(H, W\)"),
    ],
)
def test_shapes_that_cannot_be_measured_are_refused(measure, shape, message):
    image = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match=message):
        measure(image, image)


@pytest.mark.parametrize("measure", [mozcodec.ssimulacra2, mozcodec.ms_ssim, mozcodec.ssim, mozcodec.psnr])
def test_images_that_differ_in_shape_or_type_are_refused(measure):
    image = np.zeros((200, 200), np.uint8)
    for other in (image[1:], image.astype(np.float32), image[..., None].repeat(3, 2)):
        with pytest.raises(ValueError, match="uint8 of one shape"):
            measure(image, other)
