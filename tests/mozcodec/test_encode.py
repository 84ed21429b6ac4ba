"""The input that mozcodec.encode accepts and refuses; no leaks and no side effects."""
# Over 600 lines: one function, all the kinds of its arguments.

import hashlib
import io
import pickle
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

import mozcodec

# ---- layouts --------------------------------------------------------------------------------------------------------


def layouts(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The same image, stored in many ways."""
    height, width = pixels.shape[:2]
    backing = np.zeros((height + 9, width + 7, *pixels.shape[2:]), np.uint8)
    backing[4 : 4 + height, 3 : 3 + width] = pixels
    sparse = np.zeros((2 * height, 3 * width, *pixels.shape[2:]), np.uint8)
    sparse[::2, ::3] = pixels
    read_only = pixels.copy()
    read_only.flags.writeable = False
    return {
        "contiguous": pixels,
        "a part of a larger one": backing[4 : 4 + height, 3 : 3 + width],
        "every second row, every third column": sparse[::2, ::3],
        "upside down": pixels[::-1].copy()[::-1],
        "mirrored": pixels[:, ::-1].copy()[:, ::-1],
        "columns first": np.asfortranarray(pixels),
        "transposed": np.ascontiguousarray(pixels.T).T,
        "channels reversed": pixels[..., ::-1].copy()[..., ::-1],
        "read-only": read_only,
        "big-endian": pixels.astype(">u1"),
    }


def test_layout_of_the_array_does_not_matter(small, small_gray):
    for pixels in (small, small_gray):
        expected = mozcodec.encode(pixels, 77)
        for name, same in layouts(pixels).items():
            assert mozcodec.encode(same, 77) == expected, name
    assert mozcodec.encode(small_gray[..., None], 77) == mozcodec.encode(small_gray, 77)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([0, 1, 3]),
    steps=st.tuples(st.sampled_from([-3, -1, 1, 2]), st.sampled_from([-2, -1, 1, 3])),
    seed=st.integers(0, 2**32 - 1),
    options=st.fixed_dictionaries(
        {"quality": st.integers(1, 100)},
        optional={
            "progressive": st.booleans(),
            "trellis_quant": st.booleans(),
            "optimize_scans": st.booleans(),
            "arithmetic": st.booleans(),
            "optimize_coding": st.booleans(),
            "profile": st.sampled_from(["fastest", "max_compression"]),
            "subsampling": st.sampled_from(["4:4:4", "4:2:0", "4:1:1", "1x2", None]),
            "restart_interval": st.integers(0, 9),
            "quant_table": st.integers(0, 8),
            "smoothing_factor": st.integers(0, 100),
            "dct_method": st.sampled_from(["islow", "ifast", "float"]),
            "trellis_num_loops": st.integers(1, 3),
            "use_scans_in_trellis": st.booleans(),
            "trellis_eob_opt": st.booleans(),
            "trellis_q_opt": st.booleans(),
            "dc_scan_opt_mode": st.integers(0, 2),
        },
    ),
)
def test_any_view_and_any_options_make_the_jpeg_of_a_plain_copy(height, width, channels, steps, seed, options):
    shape = (3 * height, 3 * width) if channels == 0 else (3 * height, 3 * width, channels)
    backing = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    view = backing[:: steps[0], :: steps[1]][:height, :width]
    try:
        data = mozcodec.encode(view, **options)
    except ValueError as error:
        assert "needs trellis_quant=False" in str(error)
        return
    assert data == mozcodec.encode(np.ascontiguousarray(view), **options)
    decoded = mozcodec.decode(data, None, max_scans=None)
    assert decoded.shape == (height, width) if channels < 2 else (height, width, channels)


def test_trellis_in_a_sequential_file_optimizes_its_tables(small):
    """cjpeg has no switches for it; without optimal tables mozjpeg's stream would be corrupt."""
    data = mozcodec.encode(small, 80, profile="fastest", trellis_quant=True)
    assert mozcodec.decode(data).shape == small.shape
    assert data == mozcodec.encode(small, 80, profile="fastest", trellis_quant=True, optimize_coding=True)


@pytest.mark.parametrize("pixel_format", ["bgr", "rgba", "bgra", "argb", "abgr", "rgbx", "xbgr"])
def test_other_channel_orders_give_the_same_bytes(small, pixel_format):
    planes = {"r": small[..., 0], "g": small[..., 1], "b": small[..., 2]}
    noise = np.random.default_rng(1).integers(0, 256, small.shape[:2], np.uint8)
    pixels = np.dstack([planes.get(letter, noise) for letter in pixel_format])  # alpha is ignored
    assert mozcodec.encode(pixels, 77, pixel_format=pixel_format) == mozcodec.encode(small, 77)


def test_ycbcr_pixels_skip_the_conversion(small):
    ycbcr = mozcodec.decode(mozcodec.encode(small, 90), "ycbcr")
    again = mozcodec.decode(mozcodec.encode(ycbcr, 100, pixel_format="ycbcr", subsampling="4:4:4"), "ycbcr")
    assert np.abs(again.astype(int) - ycbcr).max() <= 4


def test_planes_are_coded_as_they_are(small, small_gray):
    assert mozcodec.encode([small_gray], 60, pixel_format="planes") == mozcodec.encode(small_gray, 60)
    ycbcr = mozcodec.decode(mozcodec.encode(small, 90), "ycbcr")
    planes = [ycbcr[..., i] for i in range(3)]
    whole = mozcodec.encode(ycbcr, 60, pixel_format="ycbcr", subsampling="4:4:4")
    assert mozcodec.encode(planes, 60, pixel_format="planes") == whole


@pytest.mark.parametrize("size", [(48, 64), (37, 53), (1, 5), (16, 17)])
def test_downsampled_planes_give_the_bytes_of_the_image(astronaut, size):
    """libjpeg's own 2x2 downsampling, jcsample.c: sums of four rounded with 1 and 2 in turn, edges repeated."""
    ycbcr = mozcodec.decode(mozcodec.encode(astronaut[: size[0], : size[1]], 95), "ycbcr")
    padded = np.pad(ycbcr, ((0, -size[0] % 2), (0, -size[1] % 2), (0, 0)), "edge").astype(int)
    sums = padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]
    halves = ((sums + np.where(np.arange(sums.shape[1]) % 2, 2, 1)[:, None]) >> 2).astype(np.uint8)
    planes = [ycbcr[..., 0], halves[..., 1], halves[..., 2]]
    expected = mozcodec.encode(ycbcr, 60, pixel_format="ycbcr", subsampling="4:2:0", profile="fastest")
    got = mozcodec.encode(planes, 60, pixel_format="planes", subsampling="4:2:0", profile="fastest")
    np.testing.assert_array_equal(mozcodec.decode(got), mozcodec.decode(expected))
    if size[1] % 16 == 0:  # else the padding right of the image, which nobody sees, differs
        assert got == expected


@pytest.mark.parametrize(
    ("planes", "words"),
    [
        ([(8, 8), (4, 4), (4, 5)], "chroma planes differ"),
        ([(8, 8), (3, 4), (3, 4)], "no subsampling gives"),
        ([(1, 1), (1, 1), (1, 1)], "fit several subsamplings"),
        ([(8, 8), (4, 4), (4, 4), (8, 8)], r"\(Y,\), \(Y, Cb, Cr\) or two without a colour space, got 4"),
        ([(8, 8, 3)], r"a plane is an array \(H, W\)"),
    ],
)
def test_planes_that_do_not_fit_are_refused(planes, words):
    with pytest.raises(ValueError, match=words):
        mozcodec.encode([np.zeros(shape, np.uint8) for shape in planes], pixel_format="planes")


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), TypeError, "must be uint8 at precision 8, got float32"),
        (np.zeros((4, 4), bool), TypeError, "got bool"),
        (np.zeros((4, 4), np.int8), TypeError, "got int8"),
        (np.zeros((4, 4), np.uint16), TypeError, "uint16 pixels need precision=12"),
        ([[1, 2], [3, 4]], TypeError, "got int64"),
        (None, TypeError, "must be an array, got None"),
        (np.zeros((), np.uint8), ValueError, r"got shape \(\)"),
        (np.zeros(7, np.uint8), ValueError, r"got shape \(7,\)"),
        (np.zeros((2, 2, 2), np.uint8), ValueError, "2 channels need pixel_format=.two."),
        (np.zeros((2, 2, 5), np.uint8), ValueError, "1, 3 or 4 channels"),
        (np.zeros((2, 2, 4), np.uint8), ValueError, "4 channels need pixel_format='rgba'"),
        (np.zeros((1, 2, 2, 3), np.uint8), ValueError, "got shape"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, "0 rows of 5"),
        (np.zeros((1, 65536), np.uint8), ValueError, "at most 65535"),
    ],
)
def test_wrong_pixels_are_refused(pixels, error, words):
    with pytest.raises(error, match=words):
        mozcodec.encode(pixels)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"quality": 0}, ValueError, "quality must be 1..100, got 0"),
        ({"quality": 100.5}, ValueError, "quality must be 1..100, got 100.5"),
        ({"quality": float("nan")}, ValueError, "quality must be finite"),
        ({"quality": 10**400}, ValueError, "quality must be finite"),
        ({"quality": "75"}, TypeError, "got '75'"),
        ({"quality": True}, TypeError, "got True"),
        ({"quality": []}, ValueError, "one to four numbers, got 0"),
        ({"quality": (1, 2, 3, 4, 5)}, ValueError, "one to four numbers, got 5"),
        ({"qualty": 3}, TypeError, "unknown option 'qualty'; known: [a-z_]+, "),
        ({"progressive": 1}, TypeError, "progressive must be True or False, got 1"),
        ({"subsampling": "4:2:3"}, ValueError, "subsampling must be one of 4:4:4, 4:2:2"),
        ({"subsampling": [(5, 1)]}, ValueError, "got \\[\\(5, 1\\)\\]"),
        ({"tune": "vmaf"}, ValueError, "tune must be one of 'psnr', 'hvs-psnr', 'ssim', 'ms-ssim', got 'vmaf'"),
        ({"quant_table": 9}, ValueError, "quant_table must be 0..8, got 9"),
        ({"quant_table": 3.0}, TypeError, "quant_table must be an integer"),
        ({"quant_tables": [np.zeros((8, 8), int)]}, ValueError, "8x8 integers 1..65535"),
        ({"scan_script": "0: 0 0 0"}, ValueError, "is not 'components: Ss Se Ah Al'"),
        ({"scan_script": [([0, 9], 0, 0, 0, 0)]}, ValueError, "scan 0 must be"),
        ({"restart_interval": 65536}, ValueError, "restart_interval must be 0..65535"),
        ({"lossless": 8}, ValueError, "lossless must be 1..7"),
        ({"lossless": 1, "trellis_quant": True}, ValueError, "trellis_quant cannot be combined with lossless"),
        ({"progressive": False, "optimize_coding": False}, ValueError, "needs trellis_quant=False in a sequential"),
        ({"precision": 10}, ValueError, r"precision=10 needs lossless=1\.\.7; without it precision is 8 or 12"),
        ({"precision": 16}, ValueError, r"precision=16 needs lossless=1\.\.7"),
        ({"precision": 12, "overshoot_deringing": True}, ValueError, "overshoot_deringing is for 8-bit samples only"),
        ({"density": (1, 1, "mile")}, ValueError, "density unit must be one of"),
        ({"pixel_format": "rbg"}, ValueError, "pixel_format must be one of 'gray', 'rgb'"),
        ({"pixel_format": "gray"}, ValueError, "'gray' has 1 channels, got shape"),
        ({"exif": b"no tiff"}, ValueError, "begins with II or MM"),
    ],
)
def test_wrong_options_are_refused_by_name(small, options, error, words):
    for _ in range(2):  # an error is not cached as a result
        with pytest.raises(error, match=words):
            mozcodec.encode(small, **options)


def test_libjpegs_errors_keep_their_text(small):
    with pytest.raises(mozcodec.JpegError, match="Sampling factors too large for interleaved scan"):
        mozcodec.encode(small, subsampling=[(4, 4), (1, 1), (1, 1)], profile="fastest")
    with pytest.raises(mozcodec.JpegError, match="Scan script does not transmit all data"):
        mozcodec.encode(small, scan_script="0: 0 63 0 0;")
    with pytest.raises(mozcodec.LimitError, match="Memory limit exceeded"):
        mozcodec.encode(np.zeros((500, 500, 3), np.uint8), max_memory=10_000)


def test_components_that_share_no_scan_are_refused_with_the_way_to_code_them(small):
    way = r"subsampling=4x4,1x1,1x1: .*ten blocks an MCU.*scan_script"
    for call in (mozcodec.encode, partial(mozcodec.encode_scaled, dct_size=8)):
        with pytest.raises(mozcodec.UnsupportedError, match=way):
            call(small, subsampling="4x4,1x1,1x1", progressive=False)
    coefficients = mozcodec.read_coefficients(
        mozcodec.encode(small, subsampling="4x4,1x1,1x1", scan_script="0: 0 63 0 0; 1: 0 63 0 0; 2: 0 63 0 0;")
    )
    with pytest.raises(mozcodec.UnsupportedError, match="ten blocks an MCU"):
        mozcodec.write_coefficients(coefficients, scan_script="0 1 2: 0 63 0 0;")


def test_twelve_bits_lose_less_than_eight(astronaut):
    """mozjpeg's deringing would take every sample above 255 for white: 12 gray levels off at quality 90."""
    deep = astronaut.astype(np.uint16) * 16
    for options in ({}, {"progressive": False}, {"arithmetic": True}, {"profile": "fastest"}):
        data = mozcodec.encode(deep, 90, precision=12, subsampling="4:4:4", **options)
        plain = mozcodec.encode(astronaut, 90, subsampling="4:4:4")
        error = np.abs(mozcodec.decode(data).astype(int) - deep).mean() / 16
        assert error < 0.5 * np.abs(mozcodec.decode(plain).astype(int) - astronaut).mean()


def test_the_deep_samples_must_fit(small):
    with pytest.raises(ValueError, match=r"precision 12 holds 0..4095, the image reaches 4096"):
        mozcodec.encode(np.full((4, 4), 4096, np.uint16), precision=12)
    with pytest.raises(TypeError, match="uint16 at precision 12, got uint8"):
        mozcodec.encode(small, precision=12)


# ---- out, metadata, Encoder -----------------------------------------------------------------------------------------


def test_encode_writes_into_out(small):
    expected = mozcodec.encode(small)
    for out in (bytearray(5000), np.zeros(5000, np.uint8), memoryview(bytearray(5000)), bytearray(len(expected))):
        written = mozcodec.encode(small, out=out)
        assert isinstance(written, memoryview)
        assert written == expected
        assert bytes(out)[: len(expected)] == expected


def test_a_small_out_says_what_it_needs(astronaut, small):
    for pixels, options in ((small, {}), (astronaut, {"quality": 95}), (astronaut, {"profile": "fastest"})):
        size = len(mozcodec.encode(pixels, **options))
        for capacity in (0, 1, 100, size - 1):
            with pytest.raises(mozcodec.LimitError, match=f"out holds {capacity} bytes, the stream needs {size}"):
                mozcodec.encode(pixels, out=bytearray(capacity), **options)
    with pytest.raises(ValueError, match="writable"):
        mozcodec.encode(small, out=memoryview(bytes(5000)))
    with pytest.raises(TypeError, match="contiguous"):
        mozcodec.encode(small, out=np.zeros((5000, 2), np.uint8)[:, 0])


def tiff(orientation: int, order: str = "<", kind: str = "HHIHH") -> bytes:
    """A TIFF structure with the orientation as its only entry, a SHORT; of kind "HHII" a LONG."""
    number = 4 if kind == "HHII" else 3
    entry = struct.pack(order + kind, 0x0112, number, 1, orientation, *[0][: number == 3])
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def test_metadata_comes_back_and_others_read_it(small):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(150_000)  # three segments
    given = {"icc_profile": profile, "exif": tiff(6), "xmp": b"<x:xmpmeta/>", "comment": "grün"}
    data = mozcodec.encode(small, **given)
    metadata = mozcodec.read_header(data).metadata
    assert metadata == mozcodec.Metadata(profile, tiff(6), b"<x:xmpmeta/>", ("grün".encode(),))
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif()[0x0112] == 6
        assert image.info["comment"] == "grün".encode()
        assert image.info["xmp"] == b"<x:xmpmeta/>"
    np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(mozcodec.encode(small)))


def test_the_icc_profile_is_written_as_cjpeg_does(programs, small, tmp_path):
    profile = np.random.default_rng(2).bytes(140_000)
    (tmp_path / "profile").write_bytes(profile)
    asked = programs.cjpeg(small, "-icc", tmp_path / "profile")
    assert mozcodec.encode(small, None, icc_profile=profile) == asked


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_pillows(small, orientation, order):
    data = mozcodec.encode(small, exif=tiff(orientation, order))
    assert mozcodec.read_header(data).orientation == orientation
    with Image.open(io.BytesIO(mozcodec.encode(mozcodec.decode(data), lossless=1, exif=tiff(orientation)))) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    upright = mozcodec.decode(data, apply_orientation=True)
    np.testing.assert_array_equal(upright, expected)
    out = np.empty_like(upright)
    assert mozcodec.decode(data, apply_orientation=True, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_of_four_bytes_is_read_as_pillow_does(small, order):
    data = mozcodec.encode(small, exif=tiff(6, order, "HHII"))
    with Image.open(io.BytesIO(data)) as image:
        assert mozcodec.read_header(data).orientation == image.getexif()[0x0112] == 6


def test_extended_xmp_comes_back_whole_or_not_at_all(small):
    """XMP Specification, part 3, 1.1.3.1: chunks of one digest, each with the whole's size and its own offset."""
    rest = np.random.default_rng(3).bytes(150_000)
    digest = hashlib.md5(rest).hexdigest().upper().encode()
    metadata = mozcodec.Metadata(xmp=b"<x xmpNote:HasExtendedXMP='" + digest + b"'/>", extended_xmp=rest)
    coefficients = mozcodec.read_coefficients(mozcodec.encode(small))
    data = mozcodec.write_coefficients(coefficients, metadata=metadata)
    assert mozcodec.read_header(data).metadata == metadata
    first = data.index(b"http://ns.adobe.com/xmp/extension/\0")
    assert data[first - 4 : first] == b"\xff\xe1" + struct.pack(">H", 2 + 35 + 40 + 65400)
    assert data[first + 35 : first + 75] == digest + struct.pack(">II", 150_000, 0)
    starts = [first - 4 + i * (4 + 75 + 65400) for i in range(3)]
    segments = [data[at : at + 79 + size] for at, size in zip(starts, (65400, 65400, 19200), strict=True)]
    assert b"".join(segments) in data
    turned = data.replace(b"".join(segments), b"".join(segments[::-1]))  # in any order
    assert mozcodec.read_header(turned).metadata == metadata
    damaged = data.replace(segments[1], b"")
    assert mozcodec.read_header(damaged).metadata == mozcodec.Metadata(xmp=metadata.xmp)
    with pytest.raises(ValueError, match=f"xmp must name extended_xmp .* is to be {digest.decode()}"):
        mozcodec.write_coefficients(coefficients, metadata=mozcodec.Metadata(xmp=b"<x/>", extended_xmp=rest))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"xmp": "<x/>"}, TypeError, "xmp must be bytes, got str"),
        ({"icc_profile": "sRGB"}, TypeError, "icc_profile must be bytes, got str"),
        ({"exif": 6}, TypeError, "exif must be bytes, got int"),
        ({"comment": 6}, TypeError, "comment must be bytes, got int"),
        ({"exif": b"orientation"}, ValueError, "begins with II or MM"),
        ({"comment": bytes(65534)}, ValueError, "comment has 65534 bytes, a JPEG segment holds at most 65533"),
        ({"icc_profile": b""}, ValueError, r"icc_profile must have 1\.\.16707345 bytes, got 0"),
    ],
)
def test_metadata_that_fits_no_segment_is_refused(small, given, error, words):
    with pytest.raises(error, match=words):
        mozcodec.encode(small, **given)


def test_the_largest_segments_come_back(small):
    given = {"xmp": bytes(65504), "exif": b"II" + bytes(65525), "comment": bytes(65533)}
    metadata = mozcodec.read_header(mozcodec.encode(small, **given)).metadata
    assert metadata == mozcodec.Metadata(None, given["exif"], given["xmp"], (given["comment"],))


def test_damaged_icc_profiles_count_as_none(small):
    data = mozcodec.encode(small, icc_profile=bytes(140_000))
    second = b"ICC_PROFILE\0\x02\x03"
    at = data.index(second)
    for damaged in (data.replace(second, b"ICC_PROFILE\0\x01\x03"), data[: at - 4] + data[at + 65533 - 2 :]):
        assert mozcodec.read_header(damaged).metadata.icc_profile is None
        np.testing.assert_array_equal(mozcodec.decode(damaged, on_truncated="ok"), mozcodec.decode(data))


def test_broken_exif_means_upright(small):
    for exif in (b"II", b"II*\0\xff\xff\xff\xff", tiff(9), tiff(3)[:12], b"MM\0*\0\0\0\x08\xff\xff"):
        assert mozcodec.read_header(mozcodec.encode(small, exif=exif)).orientation == 1


def test_the_header_has_the_options(small):
    options = {"density": (72, 71, "inch"), "restart_interval": 5, "subsampling": "4:2:2", "arithmetic": True}
    header = mozcodec.read_header(mozcodec.encode(small, 80, **options))
    assert (header.density, header.restart_interval, header.subsampling) == ((72, 71, "inch"), 5, "4:2:2")
    assert header.arithmetic and header.progressive and not header.lossless
    assert (header.color_space, header.sampling_factors) == ("ycbcr", ((2, 1), (1, 1), (1, 1)))
    assert mozcodec.read_header(mozcodec.encode(small, jfif=False)).density is None


def test_an_encoder_goes_to_other_processes(small):
    encoder = mozcodec.Encoder(60, pixel_format="bgr", subsampling="4:4:4", comment="hello")
    assert repr(encoder) == "Encoder(60, pixel_format='bgr', comment='hello', subsampling='4:4:4')"
    copy = pickle.loads(pickle.dumps(encoder))
    assert copy.encode(small) == encoder.encode(small)
    with pytest.raises(ValueError, match="pixel_format must be one of 'gray', 'rgb'"):
        mozcodec.Encoder(pixel_format="BGR")


def test_errors_go_to_other_processes():
    for name in mozcodec.__all__:
        kind = getattr(mozcodec, name)
        if isinstance(kind, type) and issubclass(kind, mozcodec.JpegError):
            error = pickle.loads(pickle.dumps(kind("words", 7)))
            assert (type(error), str(error), error.message_code) == (kind, "words", 7)
            assert kind.__module__ == "mozcodec"
            assert type(kind.__new__(kind, "words")) is kind  # as tblib does, which Dask registers for all exceptions


def test_samples_of_the_other_byte_order_are_taken(small):
    deep = small.astype(np.uint16) * 16
    assert mozcodec.encode(deep.astype(">u2"), precision=12) == mozcodec.encode(deep, precision=12)


def test_an_encoder_is_encode_with_the_options_kept(small, small_gray):
    given = {"quality": (70, 50), "subsampling": "4:4:4", "comment": b"kept"}
    encoder = mozcodec.Encoder(**given)
    for pixels in (small, small_gray, small):
        assert encoder.encode(pixels) == mozcodec.encode(pixels, **given)
    assert encoder.encode(small, out=bytearray(9000)) == mozcodec.encode(small, **given)
    with pytest.raises(ValueError, match=r"quality must be 1\.\.100"):
        mozcodec.Encoder(quality=101)


@pytest.mark.parametrize("arithmetic", [False, True])
def test_restart_rows_of_subsampled_images_with_the_scan_search_are_readable(programs, astronaut, arithmetic):
    """cjpeg's own file is corrupt: mozjpeg's search reorders scans whose restart intervals differ."""
    asked = programs.cjpeg(astronaut, "-quality", 60, "-restart", 1, *["-arithmetic"] * arithmetic)
    assert b"Corrupt JPEG data" in programs.run("djpeg", data=asked).stderr
    for engine in ("auto", "library"):
        data = mozcodec.encode(astronaut, 60, restart_rows=1, arithmetic=arithmetic, engine=engine)
        assert mozcodec.read_header(data).restart_interval == 512 // 16
        np.testing.assert_array_equal(mozcodec.decode(data), programs.djpeg(data))
    others = [{"optimize_scans": False}, {"subsampling": "4:4:4"}, {"progressive": False}, {"profile": "fastest"}]
    for options in others:
        data = mozcodec.encode(astronaut, 60, restart_rows=1, arithmetic=arithmetic, **options)
        np.testing.assert_array_equal(mozcodec.decode(data), programs.djpeg(data))


@pytest.mark.parametrize("engine", ["auto", "library"])
@pytest.mark.parametrize("dct_method", ["islow", "ifast", "float"])
@pytest.mark.parametrize("step", [4096, 4768, 5900, 8191, 8192, 8193, 16384, 24576, 32767])
def test_coarse_steps_quantize_everything_to_zero(small, step, dct_method, engine):
    """A coefficient of 8-bit samples is below 1300. cjpeg dies at multiples of 8192 and is wrong at many others."""
    options = {"quant_tables": [np.full((8, 8), step)], "quant_slots": [0], "dct_method": dct_method, "engine": engine}
    for more in ({}, {"trellis_quant": False}, {"trellis_delta_dc_weight": 0.5}, {"profile": "fastest"}):
        coefficients = mozcodec.read_coefficients(mozcodec.encode(small, None, **options, **more))
        assert coefficients.quant_tables[0][0, 0] == step
        assert not any(component.any() for component in coefficients.components)


def test_qualities_whose_steps_are_multiples_of_8192_encode(small, small_gray):
    for quality in (1.4525, 1.898):
        for pixels in (small, small_gray):
            mozcodec.decode(mozcodec.encode(pixels, quality))
            mozcodec.decode(mozcodec.encode(pixels, quality, engine="library"))
        mozcodec.decode(mozcodec.encode_scaled(small, quality, dct_size=12))
        mozcodec.decode(mozcodec.encode_smartscale(small, quality, block_size=5))
        list(mozcodec.sweep(small, [quality]))


@pytest.mark.parametrize("engine", ["auto", "library"])
@pytest.mark.parametrize("quality", [10, 40, 55])
@pytest.mark.parametrize("columns", [range(4), range(4, 8), (0, 3, 4, 7), (1, 2, 5, 6)])
def test_deringed_edges_do_not_overflow(columns, quality, engine):
    """cjpeg's SIMD DCT wraps around for white beside black, four columns or rows each; its DCT of floats does not."""
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:, [x + 8 * block for block in range(4) for x in columns]] = 255
    for image in (pixels, np.ascontiguousarray(pixels.T)):
        for more in ({}, {"trellis_quant": False}, {"progressive": False}, {"optimize_coding": False}):
            options = {"overshoot_deringing": True, "engine": engine, **more}
            ours, floats = (mozcodec.encode(image, quality, dct_method=m, **options) for m in ("islow", "float"))
            error, wanted = (np.mean((mozcodec.decode(f, "gray").astype(float) - image) ** 2) for f in (ours, floats))
            assert error <= 2 * wanted + 100
            assert next(mozcodec.sweep(image, [quality], **options)).data == ours


def test_cjpeg_exchanges_black_and_white_at_a_deringed_edge(programs):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:, :4] = 255
    wrong = mozcodec.decode(programs.cjpeg(pixels, "-quality", 40), "gray").astype(int)
    assert wrong[:, :2].max() < 128 < wrong[:, 6:].min()
    assert np.abs(mozcodec.decode(mozcodec.encode(pixels, 40), "gray").astype(int) - pixels).max() < 80


def basis_signs():
    """White where a basis function of the DCT is positive, black elsewhere, and the reverse: 128 blocks in a row."""
    x = np.arange(8)
    cosines = np.cos((2 * x + 1) * x[:, None] * np.pi / 16)
    positive = np.einsum("ui,vj->uvij", cosines, cosines).reshape(64, 8, 8) >= 0
    return np.hstack([*np.where(positive, 255, 0), *np.where(positive, 0, 255)]).astype(np.uint8)


@pytest.mark.parametrize("engine", ["auto", "library"])
@pytest.mark.parametrize("quality", [10, 50, 75, 90, 98, 98.92, 100])
def test_the_fast_dct_of_black_and_white_blocks_is_right(quality, engine):
    """cjpeg's SIMD code for ifast wraps around. Expected: cosines, over the integer divisors of jcdctmgr.c."""
    pixels = basis_signs()
    x = np.arange(8)
    cosines = np.cos((2 * x + 1) * x[:, None] * np.pi / 16) * np.where(x[:, None], 0.5, 8**-0.5)
    blocks = pixels.reshape(8, 128, 8).transpose(1, 0, 2) - 128.0
    wanted = np.einsum("ui,bij,vj->buv", cosines, blocks, cosines)
    scale = np.where(x, np.cos(x * np.pi / 16) * 2**0.5, 1)
    scale = 8 * np.outer(scale, scale)
    options = {"dct_method": "ifast", "trellis_quant": False, "overshoot_deringing": False, "engine": engine}
    for more in ({}, {"progressive": False}, {"profile": "fastest", "progressive": False}, {"arithmetic": True}):
        data = mozcodec.encode(pixels, quality, **options, **more)
        read = mozcodec.read_coefficients(data)
        expected = wanted * scale / np.round(read.quant_tables[0] * scale)
        assert (np.abs(read.components[0][0] - expected) <= 2.5 + 0.02 * np.abs(expected)).all()


@pytest.mark.parametrize("quality", [50, 90, 99])
def test_cjpegs_fast_dct_is_wrong_for_black_and_white_blocks(programs, quality):
    """Above quality 97 there are no Huffman codes for the coefficients that it computes."""
    pixels = basis_signs()
    theirs = programs.cjpeg(pixels, "-revert", "-quality", quality, "-dct", "fast")
    ours = mozcodec.encode(pixels, quality, dct_method="ifast", profile="fastest")
    decoded = (mozcodec.decode(data, "gray", on_truncated="ok").astype(float) for data in (theirs, ours))
    wrong, right = (np.mean((image - pixels) ** 2) for image in decoded)
    assert wrong > 10 * right


def test_the_fast_dct_of_a_photograph_has_cjpegs_bytes(astronaut, programs):
    for quality in (30, 75, 100):
        asked = programs.cjpeg(astronaut, "-quality", quality, "-dct", "fast")
        assert mozcodec.encode(astronaut, quality, dct_method="ifast") == asked


# ---- memory and threads ---------------------------------------------------------------------------------------------


def failing_calls(small):
    """Calls that fail, each at another place."""
    good = mozcodec.encode(small)
    broken = bytearray(good)
    broken[len(good) // 2 :: 7] = bytes(len(broken[len(good) // 2 :: 7]))
    tall = mozcodec.encode(np.tile(small, (6, 1, 1)), profile="fastest", progressive=True)
    buffer = bytearray(50)
    return [
        lambda: mozcodec.encode(small, out=buffer),
        lambda: mozcodec.encode(small, scan_script="0: 0 63 0 0;"),
        lambda: mozcodec.encode(small, subsampling=[(4, 4), (1, 1), (1, 1)], profile="fastest"),
        lambda: mozcodec.encode(small, max_memory=100),
        lambda: mozcodec.decode(good[:-200]),
        lambda: mozcodec.decode(bytes(broken)),
        lambda: mozcodec.decode(good[:100]),
        lambda: mozcodec.decode(good, max_pixels=5),
        lambda: mozcodec.decode(good, max_scans=1),
        lambda: mozcodec.decode(tall, max_memory=100),
        lambda: mozcodec.decode(good, region=(0, 0, 1000, 1000)),
        lambda: mozcodec.decode_batch([good, bytes(broken)], threads=1),
        lambda: mozcodec.read_header(b"\xff\xd8\xff\xda"),
    ]


def assert_no_leak(calls, rounds):
    process = psutil.Process()

    def run(count):
        for _ in range(count):
            for call in calls:
                with pytest.raises(mozcodec.JpegError):
                    call()

    run(max(rounds // 10, 5))
    before = process.memory_info().rss
    run(rounds)
    grown = process.memory_info().rss - before
    assert grown < 3_000_000, f"{grown} bytes after {rounds * len(calls)} failing calls"


def test_ten_thousand_failing_calls_leak_nothing(small):
    assert_no_leak(failing_calls(small), 770)


def test_threads_get_what_one_thread_gets(small, small_gray, astronaut):
    crop = astronaut[:90, :110]
    data = mozcodec.encode(crop, 90)

    def mixed(i):
        match i % 5:
            case 0:
                return mozcodec.encode(small, 10 + i % 80)
            case 1:
                return mozcodec.decode(data, scale=1 + i % 16).tobytes()
            case 2:
                return mozcodec.encode(small_gray, 50, progressive=bool(i % 2), arithmetic=True)
            case 3:
                return mozcodec.decode_batch([data] * 3, threads=2).tobytes()
            case _:
                with pytest.raises(mozcodec.DamagedError):
                    mozcodec.decode(data[: 700 + i])
                return None

    expected = [mixed(i) for i in range(60)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(mixed, range(60))) == expected


def test_the_gil_is_free_while_c_works(astronaut):
    big = np.tile(astronaut, (2, 2, 1))
    turns = 0
    done = threading.Event()

    def work():
        mozcodec.encode(big)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.is_set():
        turns += 1
    worker.join()
    assert turns > 1000  # a call that kept the GIL would leave room for a handful


def test_many_images_come_encoded_in_order(astronaut):
    crops = [astronaut[: 20 + i, : 90 - i] for i in range(30)]
    for threads in (1, 3):
        got = list(mozcodec.encode_many(iter(crops), 60, threads=threads, subsampling="4:4:4"))
        assert got == [mozcodec.encode(crop, 60, subsampling="4:4:4") for crop in crops]
    with pytest.raises(ValueError, match="threads must be"):
        list(mozcodec.encode_many(crops, threads=0))
    with pytest.raises(ValueError, match="quality must be"):
        mozcodec.encode_many(crops, 0)


def test_an_image_that_encodes_while_its_pixels_are_read_disturbs_nothing(small, small_gray):
    class Picture:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            self.inner = mozcodec.encode(small_gray, 20, profile="fastest")
            return small

    picture = Picture()
    assert mozcodec.encode(picture, 77) == mozcodec.encode(small, 77)
    assert picture.inner == mozcodec.encode(small_gray, 20, profile="fastest")


def test_a_failed_call_leaves_nothing_for_the_next(small, small_gray):
    expected = mozcodec.encode(small_gray, 60)
    used = mozcodec.engine_used()
    with pytest.raises(mozcodec.JpegError):
        mozcodec.encode(small, 60, subsampling=[(3, 1), (2, 1), (1, 1)])
    with pytest.raises(mozcodec.LimitError):
        mozcodec.encode(small, 60, out=bytearray(10))
    assert mozcodec.engine_used() == used
    assert mozcodec.encode(small_gray, 60) == expected
    assert mozcodec.encode(small_gray[::2, ::2], 60) == mozcodec.encode(small_gray[::2, ::2].copy(), 60)


@pytest.mark.parametrize("wrong", [True, np.True_, (1, True)])
def test_a_bool_is_no_quality_though_it_equals_one(small_gray, wrong):
    mozcodec.encode(small_gray, 1)
    with pytest.raises(TypeError):
        mozcodec.encode(small_gray, wrong)
