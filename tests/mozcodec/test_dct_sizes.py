"""DCT scaling and SmartScale, against IJG's own libjpeg 8d and 9f and against what follows from the mathematics."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import mozcodec

SIZES = range(1, 17)
BROKEN_IN_IJG = (12, 14)  # jfdctint.c: a shift by CONST_BITS is missing in one term


@pytest.fixture(scope="module")
def pictures(astronaut) -> dict[str, np.ndarray]:
    """67 x 63: no size divides it."""
    rgb = np.ascontiguousarray(astronaut[40:107, 180:243])
    return {"gray": np.ascontiguousarray(rgb[..., 1]), "rgb": rgb}


# ---- DCT scaling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SIZES)
def test_every_decoder_opens_a_scaled_file_at_its_size(programs, pictures, scale):
    for name, pixels in pictures.items():
        data = mozcodec.encode_scaled(pixels, 80, scale=scale)
        size = tuple(-(-8 * n // scale) for n in pixels.shape[:2])
        expected = programs.djpeg(data)
        assert expected.shape[:2] == size, name
        np.testing.assert_array_equal(mozcodec.decode(data, None), expected)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2] == size
        with Image.open(io.BytesIO(data)) as image:
            assert np.asarray(image).shape[:2] == size


def test_scale_8_is_encode(pictures):
    for pixels in pictures.values():
        assert mozcodec.encode_scaled(pixels, 77, scale=8, comment="x") == mozcodec.encode(pixels, 77, comment="x")


@pytest.mark.parametrize("scale", [1, 3, 5, 8, 10, 13, 16])
@pytest.mark.parametrize("block_size", [2, 5, 8, 11, 16])
def test_a_flat_picture_keeps_its_value_at_every_size(block_size, scale):
    """F(0,0) q = 8 (v - 128), whatever the sizes; the decoder's DC is the picture's value to half a step."""
    for value in (0, 37, 128, 200, 255):
        flat = np.full((40, 50), value, np.uint8)
        data = mozcodec.encode_smartscale(flat, 90, block_size=block_size, scale=scale, trellis_quant=False)
        decoded = mozcodec.decode(data, None)
        assert decoded.shape == tuple(-(-n * block_size // scale) for n in flat.shape)
        step = int(mozcodec.inspect(mozcodec.encode(flat, 90)).quant_tables[0][0, 0])
        assert np.abs(decoded.astype(int) - value).max() <= step / 16 + 1


def test_larger_transforms_shrink_as_the_ideal_low_pass_does(astronaut):
    """A 16-point DCT of which 8 coefficients stay is half the picture; against the same made in floating point."""
    from scipy.fft import dctn, idctn

    gray = np.ascontiguousarray(astronaut[:128, 128:256, 1])
    blocks = gray.reshape(8, 16, 8, 16).swapaxes(1, 2).astype(float)
    low = dctn(blocks, axes=(2, 3), norm="ortho")[:, :, :8, :8] / 2
    expected = idctn(low, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(64, 64)
    decoded = mozcodec.decode(mozcodec.encode_scaled(gray, 100, scale=16, trellis_quant=False), "gray")
    assert np.abs(decoded - expected.clip(0, 255)).max() < 2


def coefficients_of(data: bytes) -> list[np.ndarray]:
    return [blocks.astype(int) for blocks in mozcodec.read_coefficients(data).components]


@pytest.mark.slow
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:4:0", "4:2:0"])
def test_scaled_coefficients_are_ijgs_to_one_step(ijg, pictures, subsampling):
    sampling = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:4:0": (1, 2), "4:2:0": (2, 2)}[subsampling]
    cases = [(scale, quality) for scale in SIZES if scale != 8 for quality in (75, 95)]
    for pixels in (pictures["rgb"], pictures["rgb"][:, :50]):
        # 8d: 9f has another base entry in the chroma table
        jobs = [("encode", "8d", pixels, {"scale": (8, n), "quality": q, "sampling": sampling}) for n, q in cases]
        for (scale, quality), reference in zip(cases, ijg(jobs), strict=True):
            options = {"quant_table": 0, "trellis_quant": False, "progressive": False, "quant_baseline": False}
            own = mozcodec.encode_scaled(pixels, quality, scale=scale, subsampling=subsampling, **options)
            for i, (a, b) in enumerate(zip(coefficients_of(own), coefficients_of(reference), strict=True)):
                broken = scale in BROKEN_IN_IJG or (i > 0 and subsampling != "4:4:4" and 2 * scale in BROKEN_IN_IJG)
                assert a.shape == b.shape
                if not broken:
                    assert np.abs(a - b).max() <= 1, (scale, quality, i)
                    assert (a != b).mean() < 0.02  # roundings of the integer transforms


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0}, r"scale must be 1\.\.16, got 0"),
        ({"scale": 17}, r"scale must be 1\.\.16"),
        ({"scale": 4, "smoothing_factor": 5}, "smoothing_factor works on 8x8 blocks"),
        ({"scale": 4, "lossless": 1}, "lossless works on 8x8 blocks"),
        ({"scale": 4, "quality": 0}, r"quality must be 1\.\.100"),
    ],
)
def test_wrong_options_are_refused(pictures, options, words):
    with pytest.raises(ValueError, match=words):
        mozcodec.encode_scaled(pictures["gray"], **options)


def test_a_stream_beyond_65500_is_refused():
    with pytest.raises(mozcodec.LimitError, match="72000 x 8, more than 65500"):
        mozcodec.encode_scaled(np.zeros((1, 9000), np.uint8), scale=1)


# ---- SmartScale -----------------------------------------------------------------------------------------------------

WRITTEN: list[dict] = [
    {},
    {"trellis_quant": False},
    {"arithmetic": True},
    {"progressive": False},
    {"quality": 3},
    {"restart_interval": 3},
    {"optimize_scans": False},
]


def written(pictures, sizes, variants) -> list[tuple]:
    """(name, block size, options, file): every SmartScale stream that can be written."""
    inputs = {"gray": ("gray", None), "4:4:4": ("rgb", "4:4:4"), "4:2:0": ("rgb", "4:2:0")}
    cases = []
    for size in sizes:
        for name, (key, subsampling) in inputs.items():
            for options in variants:
                if options.get("progressive") is False and size < 8:
                    continue
                told = options if subsampling is None else {**options, "subsampling": subsampling}
                cases.append((name, size, options, mozcodec.encode_smartscale(pictures[key], block_size=size, **told)))
    return cases


@pytest.mark.slow
def test_ijg_reads_what_we_write(ijg, pictures):
    cases = written(pictures, SIZES, WRITTEN)
    decoded = ijg([("decode", "9f", data) for *_, data in cases])
    differing = [
        (name, size)
        for (name, size, _, data), expected in zip(cases, decoded, strict=True)
        if not np.array_equal(mozcodec.decode(data, None, fancy_upsampling=False), expected)
    ]
    print(f"{len(cases)} streams, {len(cases) - len(differing)} exact")
    # There libjpeg-turbo upsamples chroma by a larger transform where IJG replicates.
    assert set(differing) == {("4:2:0", 5), ("4:2:0", 6), ("4:2:0", 7)}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["8d", "9f"])
def test_we_read_what_ijg_writes(ijg, pictures, version):
    inputs = {"gray": ("gray", (1, 1)), "4:4:4": ("rgb", (1, 1)), "4:2:0": ("rgb", (2, 2))}
    variants = [{}, {"optimize": 1}, {"restart": 1}, {"progressive": 1}, {"arithmetic": 1}]
    variants.append({"arithmetic": 1, "progressive": 1})
    cases = [(name, size, options) for name in inputs for size in SIZES for options in variants]
    jobs = [
        ("encode", version, pictures[inputs[name][0]], {"block": size, "scale": (size, size), **options,
                                                        "sampling": inputs[name][1]})
        for name, size, options in cases
    ]  # fmt: skip
    files = ijg(jobs)
    decoded = ijg([("decode", version, data) for data in files])
    refused, differing = [], []
    for (name, size, options), data, expected in zip(cases, files, decoded, strict=True):
        try:
            pixels = mozcodec.decode(data, None, fancy_upsampling=False)
        except mozcodec.UnsupportedError as error:
            assert "sequential arithmetic coding of blocks below 8" in str(error)
            refused.append((size, options))
            continue
        assert mozcodec.read_header(data).block_size == size
        if not np.array_equal(pixels, expected):
            differing.append((name, size))
    print(f"{len(cases)} streams: {len(refused)} refused, {len(differing)} differ by chroma upsampling")
    assert all(size < 8 and options == {"arithmetic": 1} for size, options in refused)
    assert len(refused) == 7 * 3
    assert set(differing) <= {("4:2:0", 5), ("4:2:0", 6), ("4:2:0", 7)}


@pytest.mark.slow
def test_all_256_pairs_of_sizes_are_read_by_ijg(ijg, pictures):
    gray = pictures["gray"]
    pairs = [(block, scale) for block in SIZES for scale in SIZES]
    files = [mozcodec.encode_smartscale(gray, 80, block_size=block, scale=scale) for block, scale in pairs]
    for (block, scale), data, expected in zip(pairs, files, ijg([("decode", "9f", d) for d in files]), strict=True):
        assert expected.shape == tuple(-(-n * block // scale) for n in gray.shape)
        np.testing.assert_array_equal(mozcodec.decode(data, "gray"), expected, f"{block}/{scale}")


@pytest.mark.parametrize("size", SIZES)
def test_a_smartscale_stream_comes_back_at_full_size(pictures, size):
    for name, pixels in pictures.items():
        data = mozcodec.encode_smartscale(pixels, 95, block_size=size)
        header = mozcodec.read_header(data)
        assert (header.block_size, header.shape) == (size, pixels.shape[:2])
        error = mozcodec.decode(data, None).astype(float) - pixels
        assert (error**2).mean() < (40 if size <= 8 else 120), name  # larger blocks drop the highest frequencies


def test_odd_sizes_of_every_block_size_come_back(pictures):
    for shape in ((1, 1), (7, 9), (17, 33), (1, 60), (60, 1)):
        for size in SIZES:
            pixels = pictures["rgb"][: shape[0], : shape[1]]
            assert mozcodec.decode(mozcodec.encode_smartscale(pixels, block_size=size)).shape == pixels.shape


def test_blocks_of_one_sample_lose_nothing(pictures):
    """A step of 8 or less in units of 1/8 rounds to the sample itself."""
    for quality in (74, 90, 100):
        data = mozcodec.encode_smartscale(pictures["rgb"], quality, block_size=1, color_space="rgb")
        np.testing.assert_array_equal(mozcodec.decode(data), pictures["rgb"])
        data = mozcodec.encode_smartscale(pictures["gray"], quality, block_size=1)
        np.testing.assert_array_equal(mozcodec.decode(data, "gray"), pictures["gray"])


def test_larger_blocks_hold_the_coefficients_of_the_scaled_file(pictures):
    """Only headers differ: the entropy coded data is the same."""
    for size in (10, 16):
        scaled = mozcodec.inspect(mozcodec.encode_scaled(pictures["rgb"], 80, scale=size))
        smart_data = mozcodec.encode_smartscale(pictures["rgb"], 80, block_size=size)
        smart = mozcodec.inspect(smart_data)
        assert [s.size for s in smart.scans] == [s.size for s in scaled.scans]


def test_other_decoders_refuse_progressive_smartscale(programs, pictures):
    for size in (2, 5, 10, 16):
        data = mozcodec.encode_smartscale(pictures["rgb"], 80, block_size=size)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None
        with pytest.raises(OSError, match=r"broken|truncated|cannot identify"), Image.open(io.BytesIO(data)) as image:
            image.load()
        assert programs.run("djpeg", data=data).returncode == 1


def test_small_blocks_are_never_sequential(pictures):
    for size in range(1, 8):
        with pytest.raises(mozcodec.UnsupportedError, match=f"block_size {size}, below 8, needs progressive mode"):
            mozcodec.encode_smartscale(pictures["gray"], block_size=size, progressive=False)


@pytest.mark.parametrize(("size", "scale"), [(4, 4), (4, 16), (16, 4), (16, 1), (2, 4), (10, 4), (1, 16)])
def test_smartscale_decodes_scaled(pictures, size, scale):
    data = mozcodec.encode_smartscale(pictures["rgb"], 95, block_size=size)
    decoded = mozcodec.decode(data, scale=scale)
    assert decoded.shape[:2] == tuple(-(-n * scale // 8) for n in pictures["rgb"].shape[:2])
    box = (3, 2, decoded.shape[1] // 2 + 4, decoded.shape[0] // 2 + 3)
    part = mozcodec.decode(data, scale=scale, region=box)
    np.testing.assert_array_equal(part, decoded[box[1] : box[3], box[0] : box[2]])


def test_what_smartscale_cannot_is_refused_by_name(pictures):
    small = mozcodec.encode_smartscale(pictures["rgb"], 90, block_size=5)
    with pytest.raises(mozcodec.UnsupportedError, match="blocks of 5 samples do not decode at scale 4/8"):
        mozcodec.decode(small, scale=4)
    with pytest.raises(mozcodec.UnsupportedError, match="planes of SmartScale"):
        mozcodec.decode(small, "planes")
    with pytest.raises(mozcodec.UnsupportedError, match="coefficients of SmartScale"):
        mozcodec.read_coefficients(small)
    sequential = mozcodec.encode_smartscale(pictures["rgb"], 90, block_size=12, progressive=False)
    for data in (small, sequential):  # jpegtran would take the second for an ordinary file
        with pytest.raises(mozcodec.UnsupportedError, match="lossless work on SmartScale"):
            mozcodec.optimize(data)


def test_libjpeg_9s_own_colours_are_refused(small):
    data = bytearray(mozcodec.encode(small))
    data[11] = 2  # the major version of JFIF
    with pytest.raises(mozcodec.UnsupportedError, match="JFIF 2 colours"):
        mozcodec.decode(bytes(data))
    lse = b"\xff\xd8\xff\xf8\x00\x04\x00\x00" + mozcodec.encode(small)[2:]
    with pytest.raises(mozcodec.UnsupportedError, match="LSE marker"):
        mozcodec.decode(lse)


def test_damaged_smartscale_is_an_error(pictures):
    for size in (1, 3, 7, 9, 16):
        data = mozcodec.encode_smartscale(pictures["rgb"], 90, block_size=size)
        with pytest.raises(mozcodec.DamagedError):
            mozcodec.decode(data[: len(data) // 2])
        assert mozcodec.decode(data[: len(data) // 2], on_truncated="ok").shape == pictures["rgb"].shape


def test_a_stream_of_short_tables_only_is_an_error_not_an_overrun(pictures):
    """Each short table grows when it is rewritten; many of them must still find room."""
    data = mozcodec.encode_smartscale(pictures["gray"], 90, block_size=1)
    table = b"\xff\xdb\x00\x04\x00\x05"
    assert table[:4] in data
    many = data[:2] + b"\xff\xdb\x00\x05\x10\x00\x05" * 5000 + data[2:]
    np.testing.assert_array_equal(mozcodec.decode(many), mozcodec.decode(data))
