"""DCT scaling: encode_scaled against the DCT's definition, flat images and the Independent JPEG Group's encoder.

Their forward DCT is an integer one: single coefficients differ by a step. And decode at M/8 against their decoder.
"""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import mozcodec

SIZES = range(1, 17)
PLAIN = {"trellis_quant": False, "quant_table": 0, "overshoot_deringing": False}
# jfdctint.c of libjpeg 7 to 9f: the horizontal passes of 12 and 14 points lack a shift, also those of 12x6 and 14x7.
IJG_IS_WRONG = (12, 14)
SAMPLING = {"4:4:4": (1, 1), "4:2:0": (2, 2), "4:2:2": (2, 1), "4:4:0": (1, 2)}


def scaled(length, dct_size):
    return -(-length * 8 // dct_size)


def sharp(picture):
    """(101, 77): edges, texture, and no size that any N divides."""
    return np.ascontiguousarray(picture("camera.png")[60:161, 180:257])


def coloured(picture):
    """(90, 107, 3)"""
    return np.ascontiguousarray(picture("astronaut.png")[70:160, 180:287])


# ---- who reads it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dct_size", SIZES)
def test_every_decoder_opens_scaled_files_at_8_nths_of_the_size(dct_size, picture, programs):
    for image, options in (
        (sharp(picture), {}),
        (coloured(picture), {}),
        (coloured(picture), {"subsampling": "4:4:4", "progressive": False}),
    ):
        data = mozcodec.encode_scaled(image, 75, dct_size=dct_size, **options)
        shape = (scaled(image.shape[0], dct_size), scaled(image.shape[1], dct_size), *image.shape[2:])
        pixels = mozcodec.decode(data, None)
        assert pixels.shape == shape
        assert mozcodec.read_header(data).shape == shape[:2]
        assert mozcodec.read_header(data).block_size == 8
        np.testing.assert_array_equal(programs.djpeg(data), pixels)
        assert np.asarray(Image.open(io.BytesIO(data))).shape == shape
        opened = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert opened.shape == shape


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (17, 33), (1, 300), (300, 1)])
def test_scaled_images_of_odd_shapes_have_the_right_size(shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    for dct_size in SIZES:
        data = mozcodec.encode_scaled(image, 60, dct_size=dct_size)
        assert mozcodec.decode(data).shape == (scaled(shape[0], dct_size), scaled(shape[1], dct_size), 3)


def test_dct_size_8_is_encode(small):
    assert mozcodec.encode_scaled(small, 77, dct_size=8) == mozcodec.encode(small, 77)


# ---- the coefficients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dct_size", SIZES)
def test_a_flat_image_has_its_dc_whatever_the_size(dct_size, ijg):
    # F00 of a flat block of value v is 8 (v - 128) for every DCT size: JPEG's scale, and all else is 0.
    for value in (0, 1, 100, 128, 129, 255):
        for quality in (20, 75, 100):
            image = np.full((40, 50), value, np.uint8)
            data = mozcodec.encode_scaled(image, quality, dct_size=dct_size)
            ((blocks, table),) = ijg("9f").coefficients(data)
            # Huffman codes hold +-1023: of a black image's -1024 one eighth of a gray level is lost at step 1
            slack = max(table[0, 0] / 2, 1 if value == 0 else 0)
            assert np.abs(blocks[..., 0, 0] * table[0, 0] - 8 * (value - 128)).max() <= slack
            blocks[..., 0, 0] = 0
            assert not blocks.any()


def cosines(n):
    """Rows of the orthonormal n-point DCT by its definition."""
    k, x = np.arange(n)[:, None], np.arange(n)[None, :]
    return np.sqrt(np.where(k == 0, 1, 2) / n) * np.cos((2 * x + 1) * k * np.pi / (2 * n))


@pytest.mark.parametrize("dct_size", SIZES)
def test_coefficients_are_those_of_the_definition(dct_size, picture, ijg):
    """In double precision: 8 / N times the orthonormal N x N DCT of the samples minus 128, the lowest 8 x 8 of it."""
    n = dct_size
    image = sharp(picture)
    data = mozcodec.encode_scaled(image, 90, dct_size=n, **PLAIN) if n != 8 else mozcodec.encode(image, 90, **PLAIN)
    ((blocks, table),) = ijg("9f").coefficients(data)
    rows, columns = blocks.shape[:2]
    padded = np.pad(image, ((0, rows * n - image.shape[0]), (0, columns * n - image.shape[1])), "edge")
    squares = padded.reshape(rows, n, columns, n).transpose(0, 2, 1, 3) - 128.0
    exact = np.zeros(blocks.shape)
    low = min(n, 8)
    exact[..., :low, :low] = (8 / n * cosines(n) @ squares @ cosines(n).T)[..., :low, :low]
    distance = np.abs(blocks - exact / table)
    # we keep eighths: 1/16 of a unit is lost before the division by the step; islow loses as much again (N = 8)
    assert distance.max() <= 0.5 + (0.2 if n == 8 else 0.0701) / table.min()


def differences(ours, theirs):
    """Return (largest difference, share of the coefficients that are not 0) over all components."""
    pairs = list(zip(ours, theirs, strict=True))
    for (a, table), (b, other) in pairs:
        assert a.shape == b.shape
        np.testing.assert_array_equal(table, other)
    unequal = sum(int((a != b).sum()) for (a, _), (b, _) in pairs)
    present = sum(int((b != 0).sum()) for _, (b, _) in pairs)
    return max(int(np.abs(a - b).max()) for (a, _), (b, _) in pairs), unequal / present


@pytest.mark.parametrize("dct_size", [n for n in SIZES if n not in IJG_IS_WRONG])
def test_gray_coefficients_are_within_a_step_of_ijgs(dct_size, picture, ijg):
    image = sharp(picture)
    for quality in (75, 95):
        ours = mozcodec.encode_scaled(image, quality, dct_size=dct_size, **PLAIN)
        theirs = ijg("8d").encode(image, scale=(8, dct_size), quality=quality)
        largest, share = differences(ijg("8d").coefficients(ours), ijg("8d").coefficients(theirs))
        assert largest <= 1
        assert share < 0.03


@pytest.mark.parametrize("subsampling", SAMPLING)
@pytest.mark.parametrize("dct_size", [n for n in SIZES if n not in (*IJG_IS_WRONG, 8)])
def test_colour_coefficients_are_within_a_step_of_ijgs(dct_size, subsampling, picture, ijg):
    if dct_size in (6, 7) and subsampling != "4:4:4":
        dct_size += 4  # their chroma would be of 12 or 14 points; 10 and 11 are cheap to ask twice
    image = coloured(picture)
    ours = mozcodec.encode_scaled(image, 85, dct_size=dct_size, subsampling=subsampling, **PLAIN)
    theirs = ijg("8d").encode(image, scale=(8, dct_size), quality=85, sampling=SAMPLING[subsampling])
    largest, share = differences(ijg("8d").coefficients(ours), ijg("8d").coefficients(theirs))
    assert largest <= 1
    assert share < 0.03


@pytest.mark.parametrize("dct_size", IJG_IS_WRONG)
def test_ijg_is_far_from_the_definition_where_we_say_so(dct_size, picture, ijg):
    """The other tests hold us to the definition at 12 and 14, so it is they who differ."""
    image = sharp(picture)
    ours = mozcodec.encode_scaled(image, 95, dct_size=dct_size, **PLAIN)
    theirs = ijg("9f").encode(image, scale=(8, dct_size), quality=95)
    largest, _ = differences(ijg("9f").coefficients(ours), ijg("9f").coefficients(theirs))
    assert largest > 5


# ---- the rest of the encoder works as always -------------------------------------------------------------------------


@pytest.mark.parametrize("dct_size", [3, 16])
def test_entropy_coding_changes_no_coefficient(dct_size, picture, ijg):
    image = coloured(picture)
    want = mozcodec.encode_scaled(image, 80, dct_size=dct_size, progressive=False, quant_baseline=False, **PLAIN)
    for options in (
        {},
        {"arithmetic": True},
        {"optimize_scans": False},
        {"progressive": False, "quant_baseline": False, "arithmetic": True},
        {"progressive": False, "quant_baseline": False, "restart_rows": 1},
        {"restart_interval": 3},
        {"restart_rows": 1},
        {"dc_scan_opt_mode": 1},
    ):
        data = mozcodec.encode_scaled(image, 80, dct_size=dct_size, **options, **PLAIN)
        for (a, _), (b, _) in zip(ijg("9f").coefficients(data), ijg("9f").coefficients(want), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dct_size", [4, 13])
def test_trellis_and_scan_search_save_bytes(dct_size, picture):
    image = coloured(picture)
    size = {
        name: len(mozcodec.encode_scaled(image, 75, dct_size=dct_size, **options))
        for name, options in {
            "all": {},
            "no trellis": {"trellis_quant": False},
            "no search": {"optimize_scans": False},
            "arithmetic": {"arithmetic": True},
        }.items()
    }
    assert size["all"] < 0.97 * size["no trellis"]
    assert size["all"] <= size["no search"]
    assert size["arithmetic"] < size["all"]


def test_a_large_dct_keeps_more_of_the_image_than_pixels_averaged_first(picture):
    """Decoding at 16/8 after 8/16 against the same with averaged pixels: the sharper low frequencies are the point."""
    image = picture("camera.png")[:256, :256]
    by_dct = mozcodec.decode(mozcodec.encode_scaled(image, 95, dct_size=16), "gray", scale=16)
    averaged = image.reshape(128, 2, 128, 2).mean((1, 3)).round().astype(np.uint8)
    by_average = mozcodec.decode(mozcodec.encode(averaged, 95), "gray", scale=16)
    error = [np.square(x.astype(float) - image).mean() for x in (by_dct, by_average)]
    assert error[0] < 0.95 * error[1]


@pytest.mark.parametrize("pixel_format", ["bgr", "rgba", "abgr", "ycbcr"])
def test_pixel_formats_and_strides_change_nothing(pixel_format, small):
    want = mozcodec.encode_scaled(small, 70, dct_size=5)
    if pixel_format == "ycbcr":
        image = mozcodec.decode(mozcodec.encode(small, 95), "ycbcr")
        want = mozcodec.encode_scaled(np.ascontiguousarray(image), 70, dct_size=5, pixel_format="ycbcr")
    else:
        places = {"bgr": [2, 1, 0], "rgba": [0, 1, 2, 0], "abgr": [0, 2, 1, 0]}[pixel_format]
        image = small[..., places]
    view = np.zeros((2 * len(image), *image.shape[1:]), np.uint8)[::-2]
    view[:] = image
    assert mozcodec.encode_scaled(view, 70, dct_size=5, pixel_format=pixel_format) == want


def test_smoothing_and_metadata_reach_the_file(small):
    smoothed = mozcodec.encode_scaled(small, 90, dct_size=10, smoothing_factor=100, comment="scaled")
    assert len(smoothed) < len(mozcodec.encode_scaled(small, 90, dct_size=10))
    assert mozcodec.read_header(smoothed).metadata.comments == (b"scaled",)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dct_size", [0, 17, -1])
def test_a_dct_size_beyond_16_is_refused(dct_size, small):
    with pytest.raises(ValueError, match=rf"dct_size must be 1\.\.16, got {dct_size}"):
        mozcodec.encode_scaled(small, dct_size=dct_size)


@pytest.mark.parametrize(
    "options", [{"overshoot_deringing": True}, {"dct_method": "islow"}, {"lossless": 1}, {"precision": 12}]
)
def test_options_without_a_meaning_are_refused_by_name(options, small):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}=.*not possible"):
        mozcodec.encode_scaled(small, dct_size=7, **options)


def test_results_beyond_jpegs_largest_size_are_refused():
    with pytest.raises(mozcodec.LimitError, match=r"72000 x 8; with block size 8 it may be 65535 x 65535"):
        mozcodec.encode_scaled(np.zeros((1, 9000), np.uint8), dct_size=1)


def test_fractional_sampling_is_refused(small):
    with pytest.raises(mozcodec.UnsupportedError, match="fractional sampling"):
        mozcodec.encode_scaled(small, dct_size=5, subsampling="3x1,2x1,1x1")


# ---- decoding at M/8 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SIZES)
def test_scaled_decoding_is_ijgs(scale, picture, ijg):
    gray = mozcodec.encode(sharp(picture), 85)
    want = ijg("9f").decode(gray, scale=(scale, 8))
    assert want.shape == (-(-101 * scale // 8), -(-77 * scale // 8))
    np.testing.assert_array_equal(mozcodec.decode(gray, "gray", scale=scale, idct="true"), want)
    fast = mozcodec.decode(gray, "gray", scale=scale)
    assert fast.shape == want.shape
    assert np.array_equal(fast, want) == (scale not in (2, 4))  # there libjpeg-turbo averages boxes


@pytest.mark.parametrize("scale", SIZES)
def test_scaled_decoding_of_subsampled_colour_is_ijgs(scale, picture, ijg):
    data = mozcodec.encode(coloured(picture), 85, subsampling="4:2:0")
    # Up to 7/8 both take chroma from an inverse DCT of twice the size; from there on theirs goes on to, ours repeats.
    want = ijg("8d").decode(data, scale=(scale, 8), fancy_upsampling=scale < 8)
    pixels = mozcodec.decode(data, scale=scale, idct="true", fancy_upsampling=False)
    np.testing.assert_array_equal(pixels, want)


def test_the_true_idct_handles_an_image_without_chroma_scans(small):
    data = mozcodec.encode(small, 75)
    first_scan = data.index(b"\xff\xda")
    cut = data[: data.index(b"\xff\xda", first_scan + 2)]
    for scale in (1, 2, 4):
        pixels = mozcodec.decode(cut, scale=scale, idct="true", on_truncated="ok")
        assert pixels.shape == (6 * scale, 8 * scale, 3)
