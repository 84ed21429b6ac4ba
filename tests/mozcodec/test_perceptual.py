"""The perceptual mode: encode(distance=)."""

import io
import math
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from skimage import data

import mozcodec
from mozcodec._cli import main

JPEGLIS_FIRST_ROWS: dict[tuple[str, float], tuple[list[int], list[int], list[int]]] = {
    # what ajpegli 1.0.0 (jpegli) writes: the first row of the tables of Y, Cb and Cr
    ("4:4:4", 0.5): ([1, 1, 3, 2, 3, 3, 3, 3], [2, 6, 8, 9, 10, 15, 16, 25], [3, 4, 6, 6, 7, 8, 8, 8]),
    ("4:4:4", 1.5): ([3, 4, 8, 7, 9, 9, 10, 10], [7, 17, 24, 28, 29, 45, 48, 76], [8, 12, 19, 17, 22, 23, 24, 25]),
    ("4:4:4", 4): (
        [9, 7, 15, 15, 23, 24, 27, 27], [20, 28, 47, 57, 77, 119, 128, 202], [20, 19, 37, 36, 59, 61, 64, 66],
    ),
    ("4:2:0", 0.5): ([1, 2, 3, 3, 4, 4, 4, 4], [1, 2, 3, 4, 4, 5, 6, 10], [1, 2, 3, 2, 3, 3, 3, 3]),
    ("4:2:0", 1.5): ([4, 5, 9, 9, 11, 11, 12, 12], [4, 7, 10, 11, 11, 15, 19, 31], [4, 5, 8, 7, 9, 8, 9, 10]),
    ("4:2:0", 4): ([11, 9, 18, 19, 28, 29, 33, 33], [10, 11, 20, 23, 30, 41, 50, 83], [10, 8, 16, 14, 23, 21, 25, 27]),
}


@pytest.fixture(scope="module")
def image():
    return np.ascontiguousarray(data.coffee()[:201, 120:383])


def score_of(data_, original):
    pixels = mozcodec.decode(data_, "gray" if original.ndim == 2 else "rgb")
    return mozcodec.ssimulacra2(original, pixels)


@pytest.mark.parametrize(("subsampling", "distance"), JPEGLIS_FIRST_ROWS)
def test_tables_without_correction_are_jpeglis(image, subsampling, distance):
    file = mozcodec.encode(image[:32, :32], distance=distance, effort=0, subsampling=subsampling)
    tables = [table[0].tolist() for table in mozcodec.inspect(file).quant_tables.values()]
    assert tuple(tables) == JPEGLIS_FIRST_ROWS[subsampling, distance]


def test_files_are_progressive_with_8_bit_tables_that_every_decoder_reads(image):
    for effort in (0, 1, 2):
        for distance in (0.1, 1, 25):
            file = mozcodec.encode(image, distance=distance, effort=effort)
            facts = mozcodec.inspect(file)
            assert facts.header.progressive and facts.header.precision == 8
            assert all(table.max() <= 255 for table in facts.quant_tables.values())
            assert len(facts.quant_tables) == 3
            pillow = np.asarray(Image.open(io.BytesIO(file)))
            assert np.abs(pillow.astype(int) - mozcodec.decode(file)).max() <= 3


def curve(image, encode, values):
    """(score, log of bytes) of several files."""
    files = [encode(image, value) for value in values]
    return np.array(sorted((score_of(file, image), math.log(len(file))) for file in files)).T


def ratio(one, other, scores=(62, 70, 78, 84)):
    """Return the bytes of *one* in those of *other* at equal SSIMULACRA2."""
    differences = [np.interp(score, *one) - np.interp(score, *other) for score in scores]
    return math.exp(np.mean(differences))


@pytest.mark.parametrize(("name", "most"), [("astronaut", 0.95), ("coffee", 0.95)])
def test_each_effort_needs_fewer_bytes_at_equal_score(name, most):
    picture = getattr(data, name)()
    distances = (0.6, 0.9, 1.4, 2.2, 3.4, 5.2, 8)
    efforts = [
        curve(
            picture,
            lambda a, d, effort=effort: mozcodec.encode(a, distance=d, effort=effort, subsampling="4:2:0"),
            distances,
        )
        for effort in (0, 1, 2)
    ]
    default = curve(picture, lambda a, q: mozcodec.encode(a, q, subsampling="4:2:0"), (30, 45, 60, 72, 82, 90, 95))
    assert ratio(efforts[1], efforts[0]) < 0.995
    assert ratio(efforts[2], efforts[1]) < 0.995
    assert ratio(efforts[1], default) < most


def luminance(pixels):
    v = pixels / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return linear @ [0.265, 0.657, 0.078]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2", "4:4:0"])
def test_effort_1_restores_the_luminance_of_saturated_edges(subsampling):
    """Red and green bars of three columns: chroma is coarse, and what is lost would change their luminance."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[..., 0], image[..., 1] = 200, 40
    image[:, (np.arange(96) // 3) % 2 == 0] = (40, 160, 60)
    image[(np.arange(64) // 5) % 2 == 0] = image[(np.arange(64) // 5) % 2 == 0][:, ::-1]

    def error(effort):
        file = mozcodec.encode(image, distance=2, effort=effort, subsampling=subsampling)
        assert mozcodec.read_header(file).subsampling == subsampling
        return np.abs(luminance(mozcodec.decode(file)) - luminance(image)).mean()

    assert error(1) < 0.8 * error(0)


def test_gray_images_have_nothing_to_correct():
    image = data.camera()[:77, :131]
    files = [mozcodec.encode(image, distance=1.3, effort=effort) for effort in (0, 1, 2)]
    assert files[0] == files[1] != files[2]
    for file in files:
        assert mozcodec.read_header(file).color_space == "gray"
        assert score_of(file, image) > 80


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 8), (8, 8), (16, 16), (17, 33), (3, 200)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2", "4:4:0"])
def test_every_size_decodes_close_to_the_original(shape, subsampling):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([120 + 40 * np.sin(x / 5), 100 + y % 60, 140 + 0 * x], 2).astype(np.uint8)
    for effort in (0, 1, 2):
        file = mozcodec.encode(image, distance=0.5, effort=effort, subsampling=subsampling)
        pixels = mozcodec.decode(file)
        assert pixels.shape == image.shape
        assert mozcodec.psnr(pixels, image) > 33


def test_pixel_formats_and_strides_give_the_same_file(image):
    expected = mozcodec.encode(image, distance=1)
    bgrx = np.zeros((*image.shape[:2], 4), np.uint8)
    bgrx[..., :3] = image[..., ::-1]
    assert mozcodec.encode(image[..., ::-1], distance=1, pixel_format="bgr") == expected
    assert mozcodec.encode(bgrx, distance=1, pixel_format="bgrx") == expected
    assert mozcodec.encode(bgrx[..., ::-1], distance=1, pixel_format="xrgb") == expected
    wide = np.zeros((image.shape[0], 2 * image.shape[1], 3), np.uint8)
    wide[:, ::2] = image
    assert mozcodec.encode(wide[:, ::2], distance=1) == expected
    assert mozcodec.encode(np.ascontiguousarray(image[::-1])[::-1], distance=1) == expected


def test_deep_and_float_pixels_are_coded_without_rounding_them_first(image):
    gradient = np.linspace(0.2, 0.3, 256 * 256).reshape(256, 256)
    deep = np.round(gradient * 65535).astype(np.uint16)
    shallow = mozcodec.encode(np.round(gradient * 255).astype(np.uint8), distance=0.1)
    exact = mozcodec.encode(deep, distance=0.1)
    assert len(exact) < len(shallow)
    for file in (exact, mozcodec.encode(gradient, distance=0.1)):
        assert np.abs(mozcodec.decode(file, "gray") - 255 * gradient).mean() < 0.3
    same = [mozcodec.encode(part, distance=1) for part in (image, image.astype(np.uint16) * 257, image / 255)]
    pixels = [mozcodec.decode(file).astype(int) for file in same]
    assert all(np.abs(other - pixels[0]).max() <= 8 for other in pixels[1:])
    assert all(abs(len(file) - len(same[0])) < 20 for file in same)


def test_linear_pixels_are_the_same_image(image):
    v = image / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    file = mozcodec.encode(linear, distance=1, transfer="linear", effort=2)
    expected = mozcodec.encode(image, distance=1, effort=2)
    assert abs(len(file) - len(expected)) < 40
    assert score_of(file, image) == pytest.approx(score_of(expected, image), abs=0.3)


def test_auto_subsampling_follows_the_distance(image):
    for distance, expected in ((0.3, "4:4:4"), (0.59, "4:4:4"), (0.6, "4:2:0"), (4, "4:2:0")):
        for given in ({}, {"subsampling": "auto"}, {"subsampling": None}):
            file = mozcodec.encode(image, distance=distance, **given)
            assert mozcodec.read_header(file).subsampling == expected


def chroma_detail(rgb):
    """The root mean square of what 2 x 2 means remove from Cb and Cr, of all rows, by the definition."""
    height, width = (2 * (side // 2) for side in rgb.shape[:2])
    if not height:
        return 0.0
    red, green, blue = np.moveaxis(rgb[:height, :width].astype(float), 2, 0)
    removed = []
    for plane in (-0.168736 * red - 0.331264 * green + 0.5 * blue, 0.5 * red - 0.418688 * green - 0.081312 * blue):
        blocks = plane.reshape(height // 2, 2, width // 2, 2)
        removed.append(blocks - blocks.mean((1, 3), keepdims=True))
    return math.sqrt(np.mean(np.square(removed).sum(0)))


@pytest.mark.parametrize(
    ("height", "width", "contrast", "fine"),
    [
        (97, 131, 30, True), (97, 131, 10, False), (255, 64, 30, True), (300, 77, 30, True), (2, 2, 100, True),
        (1, 9, 100, False),
    ],
)
def test_auto_subsampling_keeps_fine_saturated_chroma(height, width, contrast, fine):
    x = np.mgrid[:height, :width][1]
    rgb = np.stack([120 + contrast * (x // 2 % 2), np.full_like(x, 120), 120 + contrast * ((x + 1) // 2 % 2)], -1)
    rgb = rgb.astype(np.uint8)
    expected = {False: "4:2:0", True: "4:4:4"}[fine]
    assert (chroma_detail(rgb) > 6) is fine
    assert (chroma_detail(np.roll(rgb, 1, 0)) > 6) is fine
    alike = {
        "rgb": rgb, "bgr": rgb[..., ::-1].copy(), "uint16": rgb.astype(np.uint16) * 257, "float": rgb / np.float64(255),
        "strided": np.repeat(rgb, 2, 1)[:, ::2],
    }  # fmt: skip
    for name, pixels in alike.items():
        file = mozcodec.encode(pixels, distance=3, pixel_format="bgr" if name == "bgr" else None)
        assert mozcodec.read_header(file).subsampling == expected, name
    linear = np.where(rgb <= 0.04045 * 255, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    file = mozcodec.encode(linear, distance=3, transfer="linear")
    assert mozcodec.read_header(file).subsampling == expected
    assert {mozcodec.read_header(one.data).subsampling for one in mozcodec.sweep(rgb, distances=(2, 6))} == {expected}
    assert mozcodec.read_header(mozcodec.encode(rgb, distance=3, subsampling="4:2:0")).subsampling == "4:2:0"
    if fine and min(height, width) >= 8:
        assert mozcodec.encode_to_target(rgb, ssimulacra2=50).subsampling == expected
        assert mozcodec.encode_to_target(rgb, bytes=len(file), effort=0).subsampling == expected


def test_fine_chroma_of_tall_images_is_measured_on_every_eighth_pair_of_rows():
    rgb = np.full((512, 40, 3), 120, np.uint8)
    rgb[np.arange(512) % 8 > 1, ::2, 0] = 255                      # rows between those that are read
    assert mozcodec.read_header(mozcodec.encode(rgb, distance=3)).subsampling == "4:2:0"
    rgb[::8, ::2, 0] = 255
    assert mozcodec.read_header(mozcodec.encode(rgb, distance=3)).subsampling == "4:4:4"


def test_metadata_and_markers_are_written(image):
    file = mozcodec.encode(
        image, distance=2, icc_profile=b"p" * 70000, exif=b"II*\0\x08\0\0\0\0\0", xmp=b"<x/>", comment="c",
        density=(300, 300, "inch"),
    )  # fmt: skip
    header = mozcodec.read_header(file)
    assert header.metadata.icc_profile == b"p" * 70000
    assert header.metadata.xmp == b"<x/>"
    assert header.metadata.comments == (b"c",)
    assert header.density == (300, 300, "inch")
    assert b"JFIF" not in mozcodec.encode(image, distance=2, jfif=False)[:40]


def test_out_encoder_and_many_give_the_same_bytes(image):
    expected = mozcodec.encode(image, distance=1.7, effort=2)
    buffer = bytearray(len(expected))
    assert mozcodec.encode(image, distance=1.7, effort=2, out=buffer) == expected
    with pytest.raises(mozcodec.LimitError, match="the stream needs"):
        mozcodec.encode(image, distance=1.7, effort=2, out=bytearray(100))
    encoder = pickle.loads(pickle.dumps(mozcodec.Encoder(distance=1.7, effort=2)))
    assert encoder.encode(image) == expected
    assert list(mozcodec.encode_many([image] * 4, distance=1.7, effort=2, threads=3)) == [expected] * 4
    assert mozcodec.engine_used().name == "fast"


def test_bytes_are_the_same_on_every_processor_and_with_any_threads():
    program = """
import hashlib, mozcodec
from skimage import data
images = [data.cat()[:203, :317], data.camera()[:50, :61], data.colorwheel()[:123, :77, :3]]
total = hashlib.sha256()
for effort in (0, 1, 2):
    for distance in (0.2, 0.9, 3):
        for threads in (1, 3):
            for file in mozcodec.encode_many(images, distance=distance, effort=effort, threads=threads):
                total.update(file)
print(total.hexdigest())
"""
    digests = {
        subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "MOZCODEC_CPU": cpu}, text=True)
        for cpu in ("baseline", "")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"quality": 75}, ValueError, "quality or distance, not both"),
        ({"quality": None}, ValueError, "quality or distance, not both"),
        ({"distance": 0.05}, ValueError, r"distance must be 0.1..25, got 0.05"),
        ({"distance": 26}, ValueError, "distance must be"),
        ({"distance": math.nan}, ValueError, "distance must be finite"),
        ({"distance": "1"}, TypeError, "distance must be a number"),
        ({"effort": 3}, ValueError, "effort must be 0..2"),
        ({"effort": True}, TypeError, "effort must be an integer"),
        ({"transfer": "pq"}, ValueError, "transfer must be one of 'srgb', 'linear'"),
        ({"subsampling": "4:1:1"}, ValueError, "subsampling must be auto"),
        ({"subsampling": "gray"}, ValueError, "pass gray pixels"),
        ({"trellis_quant": False}, ValueError, "trellis_quant cannot be combined with distance"),
        ({"progressive": False}, ValueError, "progressive cannot be combined with distance"),
        ({"engine": "library"}, ValueError, "mozjpeg has no perceptual mode"),
        ({"smallest": True}, ValueError, "smallest=True cannot be combined with distance"),
        ({"pixel_format": "ycbcr"}, ValueError, "rounded to 8 bits already"),
        ({"pixel_format": "planes"}, ValueError, "planes have been rounded"),
        ({"pixel_format": "rgbz"}, ValueError, "pixel_format must be one of"),
    ],
)
def test_what_cannot_be_combined_with_distance_is_refused_with_the_reason(image, given, error, message):
    with pytest.raises(error, match=message):
        mozcodec.encode(image, **{"distance": 1, **given})


def test_invalid_pixels_are_refused(image):
    cmyk = np.zeros((9, 9, 4), np.uint8)
    for pixels, given, error, message in (
        (cmyk, {"pixel_format": "cmyk"}, ValueError, "no perceptual model of CMYK"),
        (cmyk, {}, ValueError, "4 channels need pixel_format="),
        (image / 128, {}, ValueError, "must be 0..1"),
        (np.full((9, 9), np.nan), {}, ValueError, "must be 0..1"),
        (image.astype(np.int32), {}, TypeError, "uint8, uint16 or floating-point"),
        (np.zeros((0, 4), np.uint8), {}, ValueError, "at least one pixel"),
        (np.zeros((4,), np.uint8), {}, ValueError, "shape"),
    ):
        with pytest.raises(error, match=message):
            mozcodec.encode(pixels, distance=1, **given)


def test_options_of_the_mode_need_a_distance(image):
    with pytest.raises(ValueError, match="effort needs distance"):
        mozcodec.encode(image, effort=1)
    with pytest.raises(ValueError, match="transfer needs distance"):
        mozcodec.encode(image, 80, transfer="linear")
    with pytest.raises(ValueError, match="distance is for encode"):
        mozcodec.encode_scaled(image, 80, dct_size=9, distance=1)


def test_no_warning_is_given(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for effort in (0, 1, 2):
            mozcodec.encode(image, distance=1, effort=effort)


# ---- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [60, 75, 85, 92])
@pytest.mark.parametrize("effort", [0, 1, 2])
def test_a_score_is_reached_and_hardly_exceeded(image, score, effort):
    result = mozcodec.encode_to_target(image, ssimulacra2=score, effort=effort)
    assert result.value == score_of(result.data, image) >= score
    assert result.value < score + 0.6  # tables have integer steps; most end within 0.15
    assert 1 <= result.num_encodings <= 22
    given = {"distance": result.distance, "effort": effort, "subsampling": result.subsampling}
    assert mozcodec.encode(image, **given) == result.data


def test_a_target_goes_to_full_chroma_where_half_cannot_reach_it():
    image = np.zeros((128, 128, 3), np.uint8)
    image[::2] = (230, 30, 40)
    image[1::2] = (30, 60, 220)
    with pytest.raises(mozcodec.LimitError, match="no distance reaches ssimulacra2=80: the best file, at distance"):
        mozcodec.encode_to_target(image, ssimulacra2=80, subsampling="4:2:0")
    result = mozcodec.encode_to_target(image, ssimulacra2=80)
    assert result.subsampling == "4:4:4"
    assert result.value >= 80


def test_targets_of_gray_and_deep_pixels():
    gray = data.camera()[:120, :130]
    result = mozcodec.encode_to_target(gray, ssimulacra2=80)
    assert result.subsampling == "gray"
    assert score_of(result.data, gray) == result.value >= 80
    deep = mozcodec.encode_to_target(gray.astype(np.uint16) * 257, ssimulacra2=80)
    assert score_of(deep.data, gray) >= 79.9


@pytest.mark.parametrize("most", [4000, 12000, 40000])
def test_bytes_are_used_and_not_exceeded(image, most):
    result = mozcodec.encode_to_target(image, bytes=most, effort=1)
    assert len(result.data) == result.value <= most
    assert len(result.data) > 0.95 * most


def test_targets_out_of_reach_are_reported(image):
    with pytest.raises(mozcodec.LimitError, match=r"no distance reaches ssimulacra2=99\.99"):
        mozcodec.encode_to_target(image, ssimulacra2=99.99)
    with pytest.raises(mozcodec.LimitError, match="no distance reaches bytes=500: distance 25 has"):
        mozcodec.encode_to_target(image, bytes=500, effort=0)
    # what every distance reaches ends at one of the ends
    assert mozcodec.encode_to_target(image, ssimulacra2=-100).distance == 25
    assert mozcodec.encode_to_target(image, bytes=10**7, effort=1).distance == 0.1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"ssimulacra2": 70, "psnr": 30}, TypeError, "exactly one of bytes, psnr, ssim and ssimulacra2"),
        ({"ssimulacra2": 101}, ValueError, "ssimulacra2 must be -100..100"),
        ({"ssimulacra2": 70, "distance": 1}, ValueError, "encode_to_target chooses the distance itself"),
        ({"ssimulacra2": 70, "smallest": True}, ValueError, "targets of the quality search"),
        ({"psnr": 30, "effort": 1}, ValueError, "not with psnr"),
        ({"ssimulacra2": 70, "progressive": False}, ValueError, "progressive cannot be combined with distance"),
        ({"ssimulacra2": 70, "pixel_format": "ycbcr"}, ValueError, "rounded to 8 bits"),
    ],
)
def test_invalid_targets_are_refused(image, given, error, message):
    with pytest.raises(error, match=message):
        mozcodec.encode_to_target(image, **given)


def test_tiny_images_have_no_score():
    with pytest.raises(ValueError, match="at least 8 x 8 pixels; give a distance"):
        mozcodec.encode_to_target(np.zeros((7, 20), np.uint8), ssimulacra2=70)


def test_a_sweep_over_distances(image):
    points = list(mozcodec.sweep(image, distances=[1, 3.5], effort=0, threads=2))
    assert [(point.distance, point.quality) for point in points] == [(1, None), (3.5, None)]
    assert [point.data for point in points] == [mozcodec.encode(image, distance=d, effort=0) for d in (1, 3.5)]
    for wrong, error in (
        ({}, TypeError),
        ({"qualities": [5], "distances": [1]}, TypeError),
        ({"distances": [1, 99]}, ValueError),
        ({"distances": [1], "scales": [4]}, ValueError),
    ):
        with pytest.raises(error):
            mozcodec.sweep(image, **wrong)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("distance", [0.1, 0.33, 1, 1.49, 1.51, 4, 25])
def test_inspect_returns_the_distance(image, subsampling, distance):
    for effort in (0, 1, 2):
        file = mozcodec.encode(image[:40, :40], distance=distance, effort=effort, subsampling=subsampling)
        found = mozcodec.inspect(file).distance
        assert found.low <= distance + 1e-9 and distance <= found.high + 1e-9
        if distance > 0.33:  # below, both kinds of tables may be the same
            assert found.corrects_luma == (effort > 0)
    gray = mozcodec.inspect(mozcodec.encode(image[..., 0], distance=distance)).distance
    assert gray.low <= distance + 1e-9 and distance <= gray.high + 1e-9
    assert mozcodec.inspect(mozcodec.encode(image, 77)).distance is None


def test_the_command_line_has_the_mode(image, tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "a.jpg"
    Image.fromarray(image).save(source)

    def run(*switches):
        return main(["encode", str(source), str(target), "--force", *map(str, switches)])

    assert run("-distance", 1.5, "-effort", 2) == 0
    assert target.read_bytes() == mozcodec.encode(image, distance=1.5, effort=2)
    assert run("-ssimulacra2", 70) == 0
    assert target.read_bytes() == mozcodec.encode_to_target(image, ssimulacra2=70).data
    for wrong in (
        ("-effort", 1),
        ("-distance", 1, "-quality", 75),
        ("-distance", 1, "-ssimulacra2", 70),
        ("-distance", 1, "-baseline"),
        ("-distance", 1, "-scale", 4),
        ("-distance", 30),
        ("-ssimulacra2", 170),
    ):
        assert run(*wrong) == 2
    assert main(["inspect", str(target)]) == 0
