"""SmartScale streams against the Independent JPEG Group's libjpeg 8d and 9f, which alone read and write them too."""

import io
import itertools
from functools import partial

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

import mozcodec

# what libjpeg writes: sequential streams, which are SmartScale on request only
decode = partial(mozcodec.decode, smartscale=True)
inspect = partial(mozcodec.inspect, smartscale=True)
read_coefficients = partial(mozcodec.read_coefficients, smartscale=True)
read_header = partial(mozcodec.read_header, smartscale=True)

BLOCKS = range(1, 17)
PLAIN = {"trellis_quant": False, "quant_table": 0}
SAMPLING = {"4:4:4": (1, 1), "4:2:0": (2, 2), "4:2:2": (2, 1), "4:4:0": (1, 2)}
CODINGS = {
    "progressive": {"progressive": True},
    "sequential": {},
    "optimized": {"optimize": True},
    "restarts": {"restart_rows": 1},
    "arithmetic": {"arithmetic": True},
    "progressive arithmetic": {"progressive": True, "arithmetic": True},
}


def face(picture):
    """(75, 93, 3)"""
    return np.ascontiguousarray(picture("astronaut.png")[80:155, 190:283])


def gray_of(image):
    return np.ascontiguousarray(image[..., 1])


def theirs(ijg, data, block_size, **options):
    """IJG's pixels. Up to 7 both take 4:2:0's chroma from an inverse DCT of twice the size; at 8 only theirs would.

    8d's: since 9 their colour conversion has another digit (0.344136286 for 0.34414), a level of green now and then.
    """
    return ijg("8d").decode(data, fancy_upsampling=block_size < 8, **options)


def ours(data, **options):
    return decode(data, None, fancy_upsampling=False, **options)


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_cases(image):
    for name, subsampling in itertools.product(CODINGS, ("gray", "4:4:4", "4:2:0")):
        pixels = gray_of(image) if subsampling == "gray" else image
        yield name, subsampling, pixels, {**CODINGS[name], "sampling": SAMPLING.get(subsampling, (1, 1))}


def check_read(ijg, image, block_size, version):
    """Return how many of the 18 streams were read exactly, and how many were refused."""
    exact, refused = 0, 0
    for name, _, pixels, options in read_cases(image):
        data = ijg(version).encode(pixels, block_size=block_size, **options)
        assert read_header(data).shape == image.shape[:2] if block_size >= 8 or name != "arithmetic" else True
        if name == "arithmetic" and block_size < 8:
            with pytest.raises(mozcodec.UnsupportedError, match=f"sequential arithmetic .* block size {block_size}"):
                decode(data)
            refused += 1
            continue
        np.testing.assert_array_equal(ours(data), theirs(ijg, data, block_size))
        exact += 1
    return exact, refused


@pytest.mark.parametrize("block_size", BLOCKS)
def test_streams_of_ijgs_encoder_are_read_exactly(block_size, picture, ijg):
    """Of all 288 streams 267 are; the other 21 (sequential arithmetic, block size below 8) are refused by name."""
    exact, refused = check_read(ijg, face(picture), block_size, "9f")
    assert (exact, refused) == ((18, 0) if block_size >= 8 else (15, 3))


@pytest.mark.parametrize("version", ["8d", "9f"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("astronaut.png", marks=pytest.mark.slow(minutes=0.1)),
        *(pytest.param(name, marks=pytest.mark.trial(minutes=0.5)) for name in ("chelsea.png", "coffee.png")),
    ],
)
def test_streams_of_whole_images_are_read_exactly(name, version, picture, ijg):
    for block_size in BLOCKS:
        exact, refused = check_read(ijg, picture(name), block_size, version)
        assert (exact, refused) == ((18, 0) if block_size >= 8 else (15, 3))


@pytest.mark.parametrize("block_size", [2, 5, 7, 11])
def test_sequential_streams_of_several_scans_are_read(block_size, picture, ijg):
    scans = [((0,), 0, 63, 0, 0), ((1, 2), 0, 63, 0, 0)]
    data = ijg("9f").encode(face(picture), block_size=block_size, sampling=(2, 2), scans=scans)
    assert data.count(b"\xff\xda") == 2
    np.testing.assert_array_equal(ours(data), theirs(ijg, data, block_size))


@pytest.mark.parametrize("block_size", [1, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("coding", ["progressive", "sequential"])
def test_scaled_reading_gives_ijgs_size_and_pixels(block_size, coding, picture, ijg):
    data = ijg("9f").encode(gray_of(face(picture)), block_size=block_size, **CODINGS[coding])
    for scale in range(1, 17):
        if -(-block_size * scale // 8) > 16:
            with pytest.raises(mozcodec.UnsupportedError, match=f"at most {128 // block_size}/8"):
                decode(data, scale=scale)
            continue
        want = ijg("9f").decode(data, scale=(scale, 8))
        np.testing.assert_array_equal(ours(data, scale=scale, idct="true"), want)


@pytest.mark.parametrize("block_size", [2, 6, 9, 16])
@pytest.mark.parametrize("progressive", [True, False])
def test_a_region_is_that_part_of_the_image(block_size, progressive, picture, ijg):
    data = ijg("9f").encode(face(picture), block_size=block_size, progressive=progressive, sampling=(2, 2))
    whole = decode(data)
    for left, top, right, bottom in ((0, 0, 93, 75), (17, 40, 60, 75), (50, 70, 93, 75), (1, 1, 2, 2)):
        part = decode(data, region=(left, top, right, bottom))
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])
    with pytest.raises(mozcodec.UnsupportedError, match="leaves the 93 x 75 image"):
        decode(data, region=(0, 0, 94, 75))


def test_the_header_says_the_block_size(picture):
    for block_size in BLOCKS:
        header = read_header(mozcodec.encode_smartscale(face(picture), block_size=block_size))
        assert (header.block_size, header.width, header.height) == (block_size, 93, 75)
        assert header.progressive


@pytest.mark.parametrize("block_size", BLOCKS)
@pytest.mark.parametrize("coding", ["progressive", "sequential", "progressive arithmetic"])
def test_coefficients_are_read_as_ijg_reads_them(block_size, coding, picture, ijg):
    data = ijg("9f").encode(face(picture), block_size=block_size, sampling=(2, 2), **CODINGS[coding])
    read = read_coefficients(data)
    assert (read.block_size, read.width, read.height) == (block_size, 93, 75)
    for blocks, table, (want, want_table) in zip(
        read.components, read.quant_tables, ijg("9f").coefficients(data), strict=True
    ):
        np.testing.assert_array_equal(blocks, want)
        np.testing.assert_array_equal(table, want_table)
    if block_size != 8:
        with pytest.raises(mozcodec.UnsupportedError, match=f"block size {block_size}"):
            mozcodec.write_coefficients(read)


@pytest.mark.parametrize("progressive", [True, False])
def test_transcoding_refuses_them(progressive, small):
    data = mozcodec.encode_smartscale(small, block_size=11, progressive=progressive)
    with pytest.raises(mozcodec.UnsupportedError, match="block size is 11"):
        mozcodec.optimize(data)
    with pytest.raises(mozcodec.UnsupportedError, match="block size is 11"):
        mozcodec.transform(data, "rotate_90")


def test_inspect_sees_the_pseudo_scan_header(small):
    seen = inspect(mozcodec.encode_smartscale(small, block_size=4))
    assert seen.header.block_size == 4
    assert {scan.spectral_selection[1] for scan in seen.scans} <= set(range(16))


@pytest.mark.parametrize("block_size", BLOCKS)
def test_inspect_reads_their_tables_and_quality(block_size, picture, ijg):
    for quality in (30, 90):
        data = mozcodec.encode_smartscale(face(picture), quality, block_size=block_size)
        seen, read = inspect(data), read_coefficients(data)
        for slot, component in ((0, 0), (1, 1)):
            np.testing.assert_array_equal(seen.quant_tables[slot], read.quant_tables[component])
        assert seen.quality.exact
        if block_size > 2:  # a few entries are those of several qualities
            assert (seen.quality.quality, seen.quality.quant_table) == (quality, 3)
    theirs = ijg("9f").encode(face(picture), block_size=block_size, quality=75)
    np.testing.assert_array_equal(inspect(theirs).quant_tables[0], ijg("9f").coefficients(theirs)[0][1])


def test_decode_batch_reads_them(picture):
    files = [mozcodec.encode_smartscale(face(picture), block_size=n) for n in (3, 8, 13)]
    batch = mozcodec.decode_batch(files)
    for pixels, data in zip(batch, files, strict=True):
        np.testing.assert_array_equal(pixels, decode(data))


# ---- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", BLOCKS)
def test_ijgs_decoder_reads_our_streams_exactly_as_we_do(block_size, picture, ijg):
    """With trellis quantization, scan search, 16-bit tables, arithmetic coding, restarts and every sampling."""
    image = face(picture)
    cases = [{"subsampling": name} for name in (*SAMPLING, "4:1:1")]
    cases += [
        {"quality": 3},
        {"quality": (90, 40)},
        {"arithmetic": True},
        {"arithmetic": True, "trellis_quant": False},
        {"trellis_quant": False, "quant_table": 0},
        {"optimize_scans": False},
        {"profile": "fastest"},
        {"tune": "psnr"},
        {"restart_rows": 1, "optimize_scans": block_size != 8},  # together libjpeg's own encoder forgets markers
        {"restart_interval": 4, "dc_scan_opt_mode": 1},
        {"dc_scan_opt_mode": 2, "use_scans_in_trellis": True},
        {"trellis_q_opt": True},
        {"color_space": "rgb"},
    ]
    if block_size >= 8:
        cases += [{"progressive": False}, {"progressive": False, "arithmetic": True, "quality": 20}]
    gray = [(gray_of(image), {}), (gray_of(image), {"quality": 10})]
    for pixels, options in [*((image, options) for options in cases), *gray]:
        data = mozcodec.encode_smartscale(pixels, block_size=block_size, **options)
        if block_size < 8 and options.get("subsampling") in ("4:2:2", "4:4:0", "4:1:1"):
            # there IJG stretches chroma by an inverse DCT twice as wide as high, libjpeg-turbo by repetition: luma only
            want = theirs(ijg, data, block_size, gray=True)
            np.testing.assert_array_equal(decode(data, "gray"), want, err_msg=f"{options}")
            continue
        want = theirs(ijg, data, block_size)
        assert want.shape == pixels.shape
        np.testing.assert_array_equal(ours(data), want, err_msg=f"{options}")


@pytest.mark.slow(minutes=0.2)
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_ijgs_decoder_reads_streams_of_whole_images(name, picture, ijg):
    image = picture(name)
    for block_size in BLOCKS:
        for options in ({}, {"subsampling": "4:4:4"}, {"arithmetic": True}, {"quality": 95, "trellis_quant": False}):
            data = mozcodec.encode_smartscale(image, block_size=block_size, **options)
            np.testing.assert_array_equal(ours(data), theirs(ijg, data, block_size))


def test_every_pair_of_block_and_dct_size_makes_an_image_that_ijg_reads(picture, ijg):
    """256 pairs: the image is ceil(W * block_size / dct_size) wide, and what IJG reads is what we read."""
    image = gray_of(face(picture))[:61, :50]
    for block_size, dct_size in itertools.product(BLOCKS, BLOCKS):
        data = mozcodec.encode_smartscale(image, 80, block_size=block_size, dct_size=dct_size)
        pixels = ours(data)
        assert pixels.shape == (-(-61 * block_size // dct_size), -(-50 * block_size // dct_size))
        np.testing.assert_array_equal(pixels, theirs(ijg, data, block_size))


def check_pairs(ijg, image, pairs, options, sampling):
    """Our coefficients against those that IJG's encoder writes for the same sizes; return (unequal, not 0)."""
    unequal = present = 0
    for block_size, dct_size in pairs:
        mine = mozcodec.encode_smartscale(
            image, 75, block_size=block_size, dct_size=dct_size, overshoot_deringing=False, **PLAIN, **options
        )
        other = ijg("8d").encode(
            image, block_size=block_size, scale=(block_size, dct_size), progressive=True, sampling=sampling
        )
        for (a, table), (b, their_table) in zip(
            ijg("8d").coefficients(mine), ijg("8d").coefficients(other), strict=True
        ):
            assert a.shape == b.shape
            low = min(block_size, 8)
            np.testing.assert_array_equal(table[:low, :low], their_table[:low, :low])
            assert np.abs(a - b).max() <= 1, (block_size, dct_size)
            unequal += int((a != b).sum())
            present += int((b != 0).sum())
    return unequal, present


def test_coefficients_of_every_pair_are_within_a_step_of_ijgs(picture, ijg):
    # but for DCT sizes 12 and 14, which are wrong there (see test_scaled.py)
    pairs = [(b, n) for b, n in itertools.product(BLOCKS, BLOCKS) if n not in (12, 14) and b + n != 16]
    unequal, present = check_pairs(ijg, gray_of(face(picture))[:61, :50], pairs, {}, (1, 1))
    assert unequal < 0.02 * present


@pytest.mark.slow(minutes=0.2)
def test_coefficients_of_colour_images_are_within_a_step_of_ijgs(picture, ijg):
    image = picture("chelsea.png")
    # 6 and 7: their subsampled chroma would have 12 and 14 points
    pairs = [(b, n) for b, n in itertools.product(BLOCKS, BLOCKS) if n not in (6, 7, 12, 14) and b * n != 64]
    for subsampling in ("4:2:0", "4:2:2"):
        unequal, present = check_pairs(
            ijg, image, pairs, {"subsampling": subsampling, "optimize_scans": False}, SAMPLING[subsampling]
        )
        assert unequal < 0.02 * present


@pytest.mark.parametrize("block_size", BLOCKS)
def test_a_flat_image_keeps_its_value(block_size):
    # DC is 8 (v - 128), within half a step; a step of DC is an eighth of a gray level per unit of the table
    for value, quality in itertools.product((0, 1, 77, 128, 254, 255), (30, 75, 100)):
        image = np.full((19, 35), value, np.uint8)
        pixels = decode(mozcodec.encode_smartscale(image, quality, block_size=block_size, quant_table=1), None)
        # table 1 is flat 16, so a step is 16 * scale / 100 of T.81's scale
        step = max(1, 16 * (5000 / quality if quality < 50 else 200 - 2 * quality) // 100)
        assert np.abs(pixels.astype(int) - value).max() <= step / 16 + 0.5


@pytest.mark.parametrize("quality", [74, 90, 100])
def test_block_size_1_in_rgb_is_lossless(quality, picture, ijg):
    image = face(picture)
    data = mozcodec.encode_smartscale(image, quality, block_size=1, color_space="rgb")
    np.testing.assert_array_equal(decode(data), image)
    np.testing.assert_array_equal(ijg("9f").decode(data), image)
    noise = np.random.default_rng(quality).integers(0, 256, (40, 30, 3), np.uint8)
    noise[:9, :9] = 0
    noise[9:20, 9:20] = 255
    data = mozcodec.encode_smartscale(noise, quality, block_size=1, color_space="rgb", arithmetic=True)
    np.testing.assert_array_equal(decode(data), noise)


def test_small_blocks_cost_bytes_and_keep_more(picture):
    image = gray_of(picture("chelsea.png"))[:128, :128]
    results = []
    for block_size in BLOCKS:
        data = mozcodec.encode_smartscale(image, 75, block_size=block_size)
        results.append((len(data), np.square(decode(data, None).astype(float) - image).mean()))
    sizes, errors = zip(*results, strict=True)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert list(errors[1:]) == sorted(errors[1:])


def test_block_size_8_is_ordinary(small):
    assert mozcodec.encode_smartscale(small, 77, block_size=8) == mozcodec.encode(small, 77)
    assert mozcodec.encode_smartscale(small, block_size=8, dct_size=11) == mozcodec.encode_scaled(small, dct_size=11)


@pytest.mark.parametrize("block_size", [2, 4])
def test_an_own_scan_script_counts_along_the_small_zigzag(block_size, picture, ijg):
    image = face(picture)
    last = block_size * block_size - 1
    script = [((0, 1, 2), 0, 0, 0, 0), *(((c,), *s, 0, 0) for s in ((1, 2), (3, last)) for c in range(3))]
    data = mozcodec.encode_smartscale(image, block_size=block_size, scan_script=script, subsampling="4:4:4")
    np.testing.assert_array_equal(ours(data), theirs(ijg, data, block_size))
    with pytest.raises(mozcodec.UnsupportedError, match=rf"scan 6 ends at coefficient 63; a block has 0\.\.{last}"):
        mozcodec.encode_smartscale(image, block_size=block_size, scan_script=[*script[:-1], ((2,), 3, 63, 0, 0)])


def random_case(random, picture):
    """An image of any shape and colours, a quality, and options of encode_smartscale."""
    height, width, y, x = *random.integers(1, 90, 2), *random.integers(0, 60, 2)
    image = np.ascontiguousarray(picture("astronaut.png")[60 + y : 60 + y + height, 150 + x : 150 + x + width])
    block_size, dct_size = map(int, random.integers(1, 17, 2))
    options = {"block_size": block_size, "dct_size": dct_size, "subsampling": str(random.choice(["4:4:4", "4:2:0"]))}
    kind = random.choice(["ycbcr", "gray", "rgb", "cmyk", "ycck"], p=[0.4, 0.3, 0.1, 0.1, 0.1])
    if kind == "gray":
        image = gray_of(image)
    elif kind != "ycbcr":
        options |= {"color_space": str(kind), "subsampling": "4:4:4"}
    if kind in ("cmyk", "ycck"):
        image, options["pixel_format"] = np.dstack([image, image[..., :1]]), "cmyk"
    choices = {
        "arithmetic": [True], "trellis_quant": [False], "optimize_scans": [False], "restart_interval": range(1, 9),
        "dc_scan_opt_mode": range(3), "quant_table": range(9), "tune": ["psnr", "ssim", "ms-ssim", "hvs-psnr"],
        "smoothing_factor": range(101), "quant_baseline": [True], "trellis_num_loops": [2], "profile": ["fastest"],
    }  # fmt: skip
    options |= {name: random.choice(values).item() for name, values in choices.items() if random.random() < 0.2}
    if block_size >= 8 and random.random() < 0.3:
        options["progressive"] = False
    return image, int(random.integers(1, 101)), options


def check_random_cases(ijg, picture, seed, count):
    random = np.random.default_rng(seed)
    for _ in range(count):
        image, quality, options = random_case(random, picture)
        data = mozcodec.encode_smartscale(image, quality, **options)
        whole = ours(data)
        np.testing.assert_array_equal(whole, theirs(ijg, data, options["block_size"]), err_msg=f"{quality} {options}")
        read = read_coefficients(data)
        for blocks, (want, _) in zip(read.components, ijg("9f").coefficients(data), strict=True):
            np.testing.assert_array_equal(blocks, want)
        top, left = (int(random.integers(size)) for size in whole.shape[:2])
        bottom, right = int(random.integers(top, whole.shape[0])) + 1, int(random.integers(left, whole.shape[1])) + 1
        part = ours(data, region=(left, top, right, bottom))
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])


def test_random_streams_are_read_as_ijg_reads_them(ijg, picture):
    check_random_cases(ijg, picture, 1, 300)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(2_000, marks=pytest.mark.slow(minutes=0.1)),
        pytest.param(10_000, marks=pytest.mark.trial(minutes=3)),
    ],
)
def test_thousands_of_random_streams_are_read_as_ijg_reads_them(ijg, picture, number):
    check_random_cases(ijg, picture, 2, number)


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (17, 33), (1, 300), (300, 1)])
def test_odd_shapes_come_back(shape, ijg):
    image = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)
    for block_size in BLOCKS:
        data = mozcodec.encode_smartscale(image, block_size=block_size)
        pixels = ours(data)
        assert pixels.shape == image.shape
        np.testing.assert_array_equal(pixels, theirs(ijg, data, block_size))


# ---- what others do with them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [n for n in BLOCKS if n != 8])
def test_other_decoders_refuse_progressive_smartscale(block_size, small, programs):
    data = mozcodec.encode_smartscale(small, block_size=block_size)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None
    with pytest.raises(OSError, match=r"cannot identify|broken data stream|truncated"):
        Image.open(io.BytesIO(data)).load()
    done = programs.run("djpeg", data=data)
    assert done.returncode != 0
    assert b"Bogus marker length" in done.stderr


def test_other_decoders_misread_sequential_smartscale_as_documented(small):
    data = mozcodec.encode_smartscale(small, 90, block_size=16, progressive=False)
    wrong = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert wrong.shape == small.shape
    error = [np.square(x.astype(float) - small).mean() for x in (wrong, decode(data))]
    assert error[0] > 5 * error[1]


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_sequential_streams_of_small_blocks_are_refused(small):
    for block_size in range(1, 8):
        with pytest.raises(mozcodec.UnsupportedError, match=f"block size {block_size} must be progressive"):
            mozcodec.encode_smartscale(small, block_size=block_size, progressive=False)


@pytest.mark.parametrize("name", ["block_size", "dct_size"])
@pytest.mark.parametrize("value", [0, 17])
def test_sizes_beyond_16_are_refused(name, value, small):
    with pytest.raises(ValueError, match=rf"{name} must be 1\.\.16, got {value}"):
        mozcodec.encode_smartscale(small, **{"block_size": 4, name: value})


def test_images_too_large_for_small_blocks_are_refused():
    with pytest.raises(mozcodec.LimitError, match="8192 x 1; with block size 1 it may be 8191 x 8191"):
        mozcodec.encode_smartscale(np.zeros((1, 8192), np.uint8), block_size=1)
    largest = mozcodec.encode_smartscale(np.zeros((1, 8191), np.uint8), block_size=1)
    assert decode(largest, None).shape == (1, 8191)


@pytest.mark.parametrize("version", ["9a", "9c", "9f"])
@pytest.mark.parametrize(("color_space", "words"), [(7, "big gamut YCC"), (6, "big gamut RGB")])
def test_big_gamut_colours_are_refused_by_name(version, color_space, words, small, ijg):
    for block_size in (8, 4):
        data = ijg(version).encode(small, block_size=block_size, color_space=color_space, progressive=True)
        with pytest.raises(mozcodec.UnsupportedError, match=words):
            decode(data)


def test_the_reversible_colour_transform_is_refused_by_name(small, ijg):
    data = ijg("9f").encode(small, color_space=2, color_transform=1)  # cjpeg -rgb1
    with pytest.raises(mozcodec.UnsupportedError, match=r"colour transform of libjpeg 9 \(marker LSE"):
        decode(data)


def test_planes_of_smartscale_are_refused(small):
    with pytest.raises(mozcodec.UnsupportedError, match="planes of a SmartScale stream"):
        decode(mozcodec.encode_smartscale(small, block_size=4), "planes")


def test_a_wrong_pseudo_sos_is_refused(small):
    data = bytearray(mozcodec.encode_smartscale(small, block_size=4))
    at = data.index(b"\xff\xda\x00\x06\x00\x00")
    assert data[at + 6] == 15
    data[at + 6] = 14
    with pytest.raises(mozcodec.JpegError, match=r"is not N \* N - 1 of a block size"):
        decode(bytes(data))


def test_thousands_of_short_quantization_tables_are_an_error_not_an_overrun(small):
    # each of the shortest takes 4 + 2 bytes here and 69 as libjpeg gets it
    data = mozcodec.encode_smartscale(small, block_size=1)
    stuffed = data[:2] + b"\xff\xdb\x00\x04\x00\x01" * 5000 + data[2:]
    np.testing.assert_array_equal(decode(stuffed), decode(data))
    with pytest.raises(mozcodec.JpegError):
        decode(stuffed[:-600])


@pytest.mark.parametrize("block_size", [1, 3])
def test_huffman_table_numbers_out_of_range_are_an_error(block_size, small, ijg):
    data = bytearray(ijg("9f").encode(small, block_size=block_size))
    at = data.index(b"\xff\xda")
    data[at + 6] = 0xEE  # tables 14 of component 1
    with pytest.raises(mozcodec.JpegError, match="Huffman table"):
        decode(bytes(data))


@pytest.mark.parametrize("block_size", [1, 3, 12])
@pytest.mark.parametrize("coding", ["progressive", "sequential", "restarts"])
def test_truncated_streams_raise_or_give_what_there_is(block_size, coding, picture, ijg):
    data = ijg("9f").encode(face(picture), block_size=block_size, **CODINGS[coding])
    for share in (0.5, 0.9):
        cut = data[: int(len(data) * share)]
        with pytest.raises(mozcodec.DamagedError):
            decode(cut)
        assert decode(cut, on_truncated="ok").shape == (75, 93, 3)


def test_limits_hold(picture):
    data = mozcodec.encode_smartscale(face(picture), block_size=2)
    for limit in ({"max_memory": 100_000}, {"max_scans": 1}, {"max_pixels": 5000}):
        with pytest.raises(mozcodec.LimitError):
            decode(data, **limit)


def test_damaged_streams_raise_and_never_crash(picture, ijg):
    image = face(picture)[:40, :50]
    seeds = [mozcodec.encode_smartscale(image, 60, block_size=n) for n in (1, 2, 5, 7, 10, 16)]
    seeds += [ijg("9f").encode(image, block_size=n, restart_rows=1, sampling=(2, 2)) for n in (1, 3, 6, 13)]
    random = np.random.default_rng(7)
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(random.integers(1, 5)):
                # half of the changes in the header
                end = min(len(data), 700) if random.integers(2) else len(data)
                data[random.integers(end)] = random.integers(256)
            if random.integers(8) == 0:
                del data[random.integers(1, len(data)) :]
            try:
                decode(bytes(data), on_truncated="ok", max_pixels=1 << 20, scale=int(random.integers(1, 9)))
                outcomes["read"] += 1
            except mozcodec.JpegError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_failing_calls_leak_nothing(picture, ijg):
    image = face(picture)[:40, :50]
    streams = [mozcodec.encode_smartscale(image, 60, block_size=n)[:-200] for n in (1, 3, 5, 9, 16)]
    streams += [ijg("9f").encode(image, block_size=n)[:-200] for n in (1, 4, 12)]

    def fail():
        for data in streams:
            with pytest.raises(mozcodec.JpegError):
                decode(data)
            with pytest.raises(mozcodec.JpegError):
                read_coefficients(data)
        for options in ({"block_size": 3, "progressive": False}, {"block_size": 5, "max_memory": 1000}):
            with pytest.raises(mozcodec.JpegError):
                mozcodec.encode_smartscale(image, 50, **options)

    for _ in range(60):  # until the allocator has what it wants
        fail()
    before = psutil.Process().memory_info().rss
    for _ in range(200):
        fail()
    assert psutil.Process().memory_info().rss - before < 3 << 20  # of 3,600 calls
