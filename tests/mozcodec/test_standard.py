"""Parts of the standard that other encoders use: SOF1, DNL, abbreviated streams, CMYK, two components, 12 bits."""

from __future__ import annotations

import dataclasses
import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

import mozcodec
from mozcodec import jpegio
from mozcodec._cli import main


@pytest.fixture(scope="module")
def baseline(picture) -> bytes:
    return mozcodec.encode(picture("astronaut.png")[:64, 100:196], 90, profile="fastest")


def test_an_extended_frame_is_what_every_decoder_takes_it_for(baseline):
    """Se = N * N - 1 in a sequential scan is how libjpeg 8 marks SmartScale; all others ignore Se there."""
    for n in (9, 10, 16):
        data = bytearray(baseline)
        data[data.index(b"\xff\xc0") + 1] = 0xC1
        data[data.index(b"\xff\xda") + 12] = n * n - 1
        data = bytes(data)
        pixels = mozcodec.decode(data)
        np.testing.assert_array_equal(pixels, mozcodec.decode(baseline))
        opencv = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(opencv.astype(int) - pixels).max() <= 2
        assert mozcodec.read_header(data).block_size == 8
        assert mozcodec.read_header(data, smartscale=True).block_size == n
        np.testing.assert_array_equal(mozcodec.decode(mozcodec.optimize(data)), pixels)


def test_own_sequential_smartscale_files_are_marked(small):
    for block_size in (9, 12, 16):
        data = mozcodec.encode_smartscale(small, 90, block_size=block_size, progressive=False)
        assert mozcodec.read_header(data).block_size == block_size
        assert mozcodec.inspect(data).segments[1].name == "APP9"


def test_cmyk_of_16_bits_becomes_rgb_exactly():
    rng = np.random.default_rng(5)
    cmyk = rng.integers(0, 65536, (9, 9, 4)).astype(np.uint16)
    cmyk[0, :4] = [[60000] * 4, [65535] * 4, [0] * 4, [1, 65535, 32768, 65534]]
    data = mozcodec.encode(cmyk, pixel_format="cmyk", precision=16, lossless=1)
    wide = cmyk.astype(object)
    expected = (2 * wide[..., :3] * wide[..., 3:] + 65535) // (2 * 65535)
    np.testing.assert_array_equal(mozcodec.decode(data, "rgb"), expected.astype(np.uint16))


def test_a_height_in_a_dnl_segment_is_taken(baseline):
    stream = bytearray(baseline)
    at = stream.index(b"\xff\xc0") + 5
    height = bytes(stream[at : at + 2])
    stream[at : at + 2] = b"\0\0"
    data = bytes(stream[:-2]) + b"\xff\xdc\0\4" + height + b"\xff\xd9"
    np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(baseline))
    np.testing.assert_array_equal(mozcodec.decode(mozcodec.optimize(data)), mozcodec.decode(baseline))
    for on_truncated in ("error", "ok"):
        batch = mozcodec.decode_batch([data, baseline], on_truncated=on_truncated)
        np.testing.assert_array_equal(batch[0], batch[1])
    assert mozcodec.read_header(data).height == int.from_bytes(height, "big")
    with pytest.raises(mozcodec.DamagedError, match="DNL"):
        mozcodec.decode(bytes(stream))


def test_abbreviated_streams_take_their_tables_from_elsewhere(picture):
    image = Image.fromarray(picture("astronaut.png")[:64, 100:196])
    whole, tables, strip = (io.BytesIO() for _ in range(3))
    image.save(whole, "JPEG")
    image.save(tables, "JPEG", streamtype=1)
    image.save(strip, "JPEG", streamtype=2)
    expected = mozcodec.decode(whole.getvalue())
    np.testing.assert_array_equal(mozcodec.decode(strip.getvalue(), tables=tables.getvalue()), expected)
    row = tables.getvalue() + strip.getvalue()
    np.testing.assert_array_equal(mozcodec.decode(row), expected)
    np.testing.assert_array_equal(mozcodec.decode_batch([row, whole.getvalue()])[0], expected)
    for layout, axes in (("hwc", (0, 1, 2)), ("chw", (2, 0, 1))):
        batch = mozcodec.decode_batch([strip.getvalue()] * 2, tables=tables.getvalue(), layout=layout)
        np.testing.assert_array_equal(batch[1], expected.transpose(axes))
    np.testing.assert_array_equal(
        next(mozcodec.decode_many([strip.getvalue()], tables=tables.getvalue())), expected
    )
    assert [part.kind for part in mozcodec.inspect(row + whole.getvalue()).parts] == ["picture", "picture"]
    np.testing.assert_array_equal(mozcodec.decode(row + whole.getvalue(), picture=1), expected)
    optimized = mozcodec.optimize(row)
    np.testing.assert_array_equal(mozcodec.decode(optimized), expected)
    assert len(mozcodec.pictures(optimized)) == 1 and len(optimized) < len(row)
    with pytest.raises(mozcodec.DamagedError):
        mozcodec.decode(strip.getvalue())
    with pytest.raises(ValueError, match="tables must be an abbreviated JPEG stream"):
        mozcodec.decode(strip.getvalue(), tables=whole.getvalue())


def test_luma_and_chroma_have_qualities_of_their_own(small):
    for quality in ((90, 30), (60, 85), (100, 50)):
        estimate = mozcodec.inspect(mozcodec.encode(small, quality, subsampling="4:4:4")).quality
        assert (estimate.quality, estimate.chroma_quality, estimate.exact) == (*quality, True)
    assert mozcodec.inspect(mozcodec.encode(small, 100)).quality.quality == 100


def test_inspect_returns_component_ids_table_slots_and_raw_segments(small):
    """Compared with the bytes of the headers, read by hand (T.81, B.2.2 and B.2.3)."""
    data = mozcodec.encode(small, 77, profile="fastest", subsampling="4:2:0", comment="raw", quant_slots=[0, 1, 2],
                           quant_tables=[np.full((8, 8), n) for n in (3, 5, 7)])  # fmt: skip
    stream = bytearray(data)
    frame, scan = stream.index(b"\xff\xc0"), stream.index(b"\xff\xda")
    for k, name in enumerate((82, 71, 66)):
        stream[frame + 10 + 3 * k] = stream[scan + 5 + 2 * k] = name
    found = mozcodec.inspect(bytes(stream))
    assert [c.id for c in found.components] == [82, 71, 66]
    assert [c.sampling_factors for c in found.components] == [(2, 2), (1, 1), (1, 1)]
    assert [c.quant_slot for c in found.components] == [0, 1, 2] == sorted(found.quant_tables)
    assert found.scans[0].huffman_slots == ((0, 0), (1, 1), (1, 1))
    assert next(s.data for s in found.segments if s.name == "COM") == b"raw"
    for segment in found.segments:
        assert bytes(stream[segment.offset + 4 :][: len(segment.data)]) == segment.data


def decode_lossless(data: bytes) -> np.ndarray:
    """Decode an interleaved lossless file without subsampling and restarts, by the text of T.81, annex H."""
    at, codes = 2, {}
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xC3:
            bits, height, width, channels = (
                content[0],
                *(int.from_bytes(content[i : i + 2], "big") for i in (1, 3)),
                content[5],
            )
        elif marker == 0xC4:
            while content:
                slot, counts, values = content[0], content[1:17], content[17:]
                code, table = 0, {}
                for size, count in enumerate(counts, 1):
                    for _ in range(count):
                        table[format(code, f"0{size}b")], values = values[0], values[1:]
                        code += 1
                    code <<= 1
                codes[slot], content = table, values
        elif marker == 0xDA:
            slots = [content[2 + 2 * k] >> 4 for k in range(channels)]
            predictor, shift = content[1 + 2 * channels], content[3 + 2 * channels] & 15
            break
    stream = "".join(f"{byte:08b}" for byte in data[at:-2].replace(b"\xff\x00", b"\xff"))
    samples, position = np.zeros((height, width, channels), np.int64), 0
    for y, x, c in np.ndindex(height, width, channels):
        end = position + 1
        while stream[position:end] not in codes[slots[c]]:
            end += 1
        category = codes[slots[c]][stream[position:end]]
        position = end + (category if category < 16 else 0)
        digits = int(stream[end:position] or "0", 2)
        difference = (
            32768 if category == 16 else digits if digits >> max(category - 1, 0) else digits - (1 << category) + 1
        )
        ra, rb, rc = (int(samples[y - i, x - j, c]) if y >= i and x >= j else 0 for i, j in ((0, 1), (1, 0), (1, 1)))
        if y == 0 or x == 0:
            guess = ra if x else rb if y else 1 << bits - shift - 1
        else:
            guess = [0, ra, rb, rc, ra + rb - rc, ra + (rb - rc >> 1), rb + (ra - rc >> 1), ra + rb >> 1][predictor]
        samples[y, x, c] = guess + difference & 0xFFFF
    return samples << shift


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("predictor", range(1, 8))
def test_lossless_files_of_every_precision_and_predictor_come_back(bits, predictor):
    rng = np.random.default_rng(bits)
    for channels, shift in ((1, 0), (3, 0), (3, 1)):
        dtype = np.uint8 if bits <= 8 else np.uint16
        pixels = np.squeeze(rng.integers(0, 1 << bits, (9, 7, channels)).astype(dtype))
        data = mozcodec.encode(pixels, precision=bits, lossless=(predictor, shift))
        header = mozcodec.read_header(data)
        assert (header.precision, header.lossless) == (bits, True)
        decoded = mozcodec.decode(data, None)
        assert decoded.dtype == dtype
        np.testing.assert_array_equal(decoded, pixels >> shift << shift)
        np.testing.assert_array_equal(decoded, decode_lossless(data).reshape(pixels.shape))
        np.testing.assert_array_equal(mozcodec.decode(data, None, region=(1, 2, 6, 8)), decoded[2:8, 1:6])


def test_lossless_files_of_any_precision_convert_as_others_do():
    gray = mozcodec.encode(np.full((4, 4), 5, np.uint8), precision=3, lossless=1)
    assert mozcodec.decode(gray, "rgba")[0, 0].tolist() == [5, 5, 5, 7]
    out = bytearray(2000)
    deep = np.full((4, 4, 3), 1000, np.uint16)
    written = mozcodec.encode(deep, precision=10, lossless=4, out=out, comment="ten bits")
    assert bytes(written) == mozcodec.encode(deep, precision=10, lossless=4, comment="ten bits")
    assert mozcodec.Encoder(precision=10, lossless=4).encode(deep) == mozcodec.encode(deep, precision=10, lossless=4)
    for image, options, words in (
        (deep, {"precision": 9, "lossless": 1}, "precision 9 holds 0..511, the image reaches 1000"),
        (deep, {"precision": 10}, "precision=10 needs lossless=1..7"),
        (deep, {"precision": 10, "lossless": (1, 10)}, "shifts all 10 bits of a sample out"),
        (deep, {"precision": 1, "lossless": 1}, "precision must be 2..16"),
    ):
        with pytest.raises(ValueError, match=words):
            mozcodec.encode(image, **options)
    with pytest.raises(mozcodec.UnsupportedError, match="a lossless file"):
        mozcodec.optimize(bytes(written))


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_samples_of_a_lossless_file_come_as_stored_whatever_its_markers_say(bits):
    """JFIF says YCbCr, and DICOM's lossless files have it with RGB: libjpeg refuses them."""
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (9, 11, 3)).astype(np.uint8 if bits == 8 else np.uint16)
    data = mozcodec.encode(pixels, precision=bits, lossless=4)
    adobe = data.index(b"Adobe") - 4
    bare = data[:adobe] + data[adobe + 16 :]
    jfif = data[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + bare[2:]
    transformed = data[: adobe + 15] + b"\1" + data[adobe + 16 :]
    for file in (data, bare, jfif, transformed):
        np.testing.assert_array_equal(mozcodec.decode(file, None), pixels)
    for file in (jfif, transformed):
        np.testing.assert_array_equal(mozcodec.decode(file, "ycbcr"), pixels)
        for wanted in ("rgb", "bgr", "gray"):
            with pytest.raises(mozcodec.UnsupportedError, match=r"say YCbCr, which may be wrong: pixel_format=None"):
                mozcodec.decode(file, wanted)


def test_lossless_files_are_not_scaled(small):
    data = mozcodec.encode(small, lossless=1)
    with pytest.raises(mozcodec.UnsupportedError, match="no DCT to scale by"):
        mozcodec.decode(data, scale=4)
    with pytest.raises(mozcodec.UnsupportedError, match="no DCT to scale by"):
        mozcodec.decode_batch([data], scale=4)


@pytest.mark.parametrize("factors", [[(3, 3), (1, 1), (1, 1)], [(4, 4), (1, 1), (1, 1)], [(1, 1), (3, 3), (1, 1)]])
def test_sampling_beyond_ten_blocks_is_rewritten_in_separate_scans(factors, small):
    script = [((k,), 0, 63, 0, 0) for k in range(3)]
    data = mozcodec.encode(small, 80, subsampling=factors, profile="fastest", scan_script=script)
    expected, coefficients = mozcodec.decode(data), mozcodec.read_coefficients(data)
    for options in ({}, {"progressive": False}, {"engine": "library"}):
        for again in (mozcodec.optimize(data, **options), mozcodec.write_coefficients(coefficients, **options)):
            np.testing.assert_array_equal(mozcodec.decode(again), expected)
            assert mozcodec.read_coefficients(again) == coefficients
            assert mozcodec.read_header(again).progressive != ("progressive" in options)
    if factors[0] != (1, 1):  # as in jpegtran, gray needs a luma of the full size
        gray = mozcodec.transform(data, grayscale=True)
        np.testing.assert_array_equal(mozcodec.read_coefficients(gray).components[0], coefficients.components[0])
    turned = mozcodec.transform(data, "rotate_180", trim=True)
    assert mozcodec.read_header(turned).sampling_factors == tuple(factors)


@pytest.mark.parametrize("shape", [(2, 65535), (65535, 2, 3)])
def test_images_of_65535_rows_or_columns_are_those_of_their_parts(shape):
    """Without trellis quantization a block does not depend on others: the last ones are those of a small image."""
    rng = np.random.default_rng(0)
    pixels = np.cumsum(rng.integers(-2, 3, shape), axis=int(np.argmax(shape))).astype(np.uint8)
    options = {"trellis_quant": False, "subsampling": "4:4:4"}
    data = mozcodec.encode(pixels, 90, **options)
    assert mozcodec.read_header(data).shape == shape[:2]
    decoded = mozcodec.decode(data, None)
    end = np.s_[:, -31:] if shape[1] > shape[0] else np.s_[-31:]
    np.testing.assert_array_equal(decoded[end], mozcodec.decode(mozcodec.encode(pixels[end], 90, **options), None))
    np.testing.assert_array_equal(decoded, mozcodec.decode(mozcodec.optimize(data), None, engine="library"))
    assert mozcodec.encode(pixels, 90, **options, engine="library") == data
    turned = mozcodec.decode(mozcodec.transform(data, "transpose"), None).swapaxes(0, 1)
    assert np.abs(turned.astype(int) - decoded).max() <= 3  # the inverse DCT rounds rows and columns differently


# ---- two components -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(picture) -> np.ndarray:
    return np.ascontiguousarray(picture("astronaut.png")[20:81, 100:177, :2])


TWO_CODINGS = (
    {},
    {"progressive": False},
    {"profile": "fastest"},
    {"arithmetic": True},
    {"restart_rows": 1},
    {"subsampling": "4:2:0"},
)


@pytest.mark.parametrize("options", TWO_CODINGS, ids=str)
def test_each_of_two_components_is_what_pillow_decodes_of_it_alone(two, options):
    """Pillow reads no file of two components, but one of each."""
    for quality in (30, 85, 95):
        data = mozcodec.encode(two, quality, pixel_format="two", **options)
        assert data == mozcodec.encode(two, quality, pixel_format="two", engine="library", **options)
        frame = next(s for s in mozcodec.inspect(data).segments if s.name.startswith("SOF"))
        assert data[frame.offset + 9] == 2
        coefficients = mozcodec.read_coefficients(data)
        planes = mozcodec.decode(data, "planes")
        for i, (height, width) in enumerate(plane.shape for plane in planes):
            alone = dataclasses.replace(
                coefficients, color_space="gray", sampling_factors=((1, 1),), height=height, width=width,
                components=coefficients.components[i : i + 1], quant_tables=coefficients.quant_tables[i : i + 1],
            )  # fmt: skip
            pillow = np.asarray(Image.open(io.BytesIO(mozcodec.write_coefficients(alone))))
            np.testing.assert_array_equal(planes[i], pillow)
        if "subsampling" not in options:
            assert mozcodec.read_header(data).sampling_factors == ((1, 1), (1, 1))
            np.testing.assert_array_equal(mozcodec.decode(data, None), np.dstack(planes))
            np.testing.assert_array_equal(mozcodec.decode(data, "two"), np.dstack(planes))


def test_every_verb_takes_two_components(two):
    data = mozcodec.encode(two, 80, pixel_format="two")
    pixels = mozcodec.decode(data, None)
    coefficients = mozcodec.read_coefficients(data)
    assert coefficients.color_space is None
    assert mozcodec.read_coefficients(mozcodec.write_coefficients(coefficients)) == coefficients
    np.testing.assert_array_equal(mozcodec.decode(mozcodec.optimize(data, progressive=False), None), pixels)
    turned = mozcodec.transform(data, "rotate_180", trim=True)
    np.testing.assert_array_equal(mozcodec.decode(turned, None), pixels[:56, :72][::-1, ::-1])
    planes = [two[..., 0], two[..., 1]]
    assert mozcodec.encode(planes, 80, pixel_format="planes") == data
    halves = [two[..., 0], np.ascontiguousarray(two[::2, ::2, 1])]
    assert mozcodec.read_header(mozcodec.encode(halves, 80, pixel_format="planes")).sampling_factors == ((2, 2), (1, 1))
    assert [point.data for point in mozcodec.sweep(two, [80], pixel_format="two")] == [data]
    assert mozcodec.encode_to_target(two, psnr=38, pixel_format="two").value >= 38
    exact = mozcodec.encode(two, pixel_format="two", lossless=4)
    np.testing.assert_array_equal(mozcodec.decode(exact, None), two)
    scaled = mozcodec.encode_scaled(two, 80, dct_size=16, pixel_format="two")
    assert mozcodec.decode(scaled, None).shape == (31, 39, 2)


def test_two_components_have_no_colours(two):
    data = mozcodec.encode(two, 80, pixel_format="two")
    for pixel_format in ("rgb", "gray", "ycbcr", "cmyk"):
        with pytest.raises(mozcodec.UnsupportedError, match="a file of 2 components has no colour space"):
            mozcodec.decode(data, pixel_format)
    with pytest.raises(ValueError, match="2 channels need pixel_format='two'"):
        mozcodec.encode(two, 80)
    with pytest.raises(mozcodec.UnsupportedError, match="Unsupported color conversion"):
        mozcodec.decode(mozcodec.encode(np.dstack([two, two[..., :1]]), 80), "two")


def test_the_command_line_takes_two_components(two, tmp_path, capsys):
    np.save(tmp_path / "two.npy", two)
    jpeg, back = tmp_path / "two.jpg", tmp_path / "back.npy"
    assert main(["encode", str(tmp_path / "two.npy"), str(jpeg), "-quality", "80"]) == 0
    assert jpeg.read_bytes() == mozcodec.encode(two, 80, pixel_format="two")
    assert main(["decode", str(jpeg), str(back)]) == 0
    np.testing.assert_array_equal(np.load(back), mozcodec.decode(jpeg, None))
    assert main(["inspect", str(jpeg)]) == 0
    assert "77 x 61, no colour space 4:4:4" in capsys.readouterr().out
    assert main(["decode", str(jpeg), str(tmp_path / "two.ppm")]) == 1
    assert "PNM files have 1 or 3 channels, the image has 2" in capsys.readouterr().err
    assert jpegio.read(jpeg).jpeg_color_space == 0


# ---- 12 bits --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep(picture) -> np.ndarray:
    eight = picture("astronaut.png")[20:81, 100:177].astype(np.uint16)
    return eight * 16 + np.arange(77, dtype=np.uint16)[:, None] % 16


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
def test_planes_of_12_bits_are_those_of_the_file(deep, subsampling):
    data = mozcodec.encode(deep, 92, precision=12, subsampling=subsampling)
    planes = mozcodec.decode(data, "planes")
    assert all(plane.dtype == np.uint16 for plane in planes)
    np.testing.assert_array_equal(planes[0], mozcodec.decode(data, "gray"))
    again = mozcodec.encode(planes, 92, pixel_format="planes", precision=12)
    assert mozcodec.read_header(again).subsampling == subsampling
    for plane, other in zip(planes, mozcodec.decode(again, "planes"), strict=True):
        assert np.abs(plane.astype(int) - other).max() < 40
    if subsampling == "4:4:4":
        ycbcr = {"pixel_format": "ycbcr", "precision": 12, "subsampling": "4:4:4"}
        assert again == mozcodec.encode(np.dstack(planes), 92, **ycbcr)
    with pytest.raises(ValueError, match="planes have 8 or 12 bits and are not lossless"):
        mozcodec.encode(planes, pixel_format="planes", precision=12, lossless=1)


def test_a_batch_of_12_bits_is_that_of_its_files(deep):
    files = [mozcodec.encode(deep + np.uint16(k), 92, precision=12) for k in range(3)]
    alone = np.stack([mozcodec.decode(data) for data in files])
    batch = mozcodec.decode_batch(files, threads=2)
    assert batch.dtype == np.uint16
    np.testing.assert_array_equal(batch, alone)
    out = np.zeros((3, 3, 61, 77), np.uint16)
    assert mozcodec.decode_batch(files, out=out, layout="chw") is out
    np.testing.assert_array_equal(out, alone.transpose(0, 3, 1, 2))
    cut = [files[0], files[1][:-200]]
    np.testing.assert_array_equal(mozcodec.decode_batch(cut, on_truncated="ok")[0], alone[0])
    with pytest.raises(mozcodec.UnsupportedError, match=r"file 0: .* of 12 bits, out has room for .* of 8"):
        mozcodec.decode_batch(files, out=np.zeros((3, 61, 77, 3), np.uint8))
    seven = mozcodec.encode((deep[..., 0] >> 5).astype(np.uint8), precision=7, lossless=1)
    np.testing.assert_array_equal(mozcodec.decode_batch([seven], "gray")[0], deep[..., 0] >> 5)


def test_a_psnr_is_a_target_at_12_bits_too(deep):
    found = mozcodec.encode_to_target(deep, psnr=45, precision=12, subsampling="4:4:4")
    expected = peak_signal_noise_ratio(deep, mozcodec.decode(found.data), data_range=4095)
    assert found.value == pytest.approx(expected) and expected >= 45 > found.next_value
    with pytest.raises(ValueError, match="ssim needs 8-bit pixels; use bytes="):
        mozcodec.encode_to_target(deep, ssim=0.9, precision=12)
