"""mozcodec.forensics against files of other encoders and chains that the tests make."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

import mozcodec
from mozcodec import forensics

PHOTO = data.astronaut()


def pillow(pixels: np.ndarray, quality: int, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


@pytest.mark.parametrize("quality", [1, 2, 10, 24, 25, 49, 50, 75, 77, 90, 98, 99, 100])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}])
def test_files_of_pillow_are_libjpegs_with_their_quality(quality: int, options: dict) -> None:
    found = forensics.identify(pillow(PHOTO[:64, :64], quality, **options))
    assert (found.family, found.quality, found.exact) == ("libjpeg", (quality,) * 3, True)


def test_files_of_opencv_are_libjpegs_gray_ones_too() -> None:
    for pixels in (PHOTO[:64, :64], PHOTO[:64, :64, 0]):
        found = forensics.identify(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes())
        assert (found.family, set(found.quality)) == ("libjpeg", {60.0})


@pytest.mark.parametrize("table", range(9))
def test_the_nine_tables_of_mozjpeg_are_named(table: int) -> None:
    for quality in (5, 50, 77, 95, 100):
        for options in ({}, {"progressive": False}):
            found = forensics.identify(mozcodec.encode(PHOTO[:64, :64], quality, quant_table=table, **options))
            assert found.family == "mozjpeg" and found.exact
            if quality < 100 and table != 1:  # table 1 is flat: many qualities round to one step
                assert found.settings == f"quality {quality}, table {table}"
                assert set(found.quality) == {float(quality)}


def test_luma_and_chroma_qualities_are_told_apart() -> None:
    file = mozcodec.encode(PHOTO[:64, :64], (90, 40), quant_table=0)
    assert [one.quality for one in forensics.estimate_quality(file)] == [90, 40, 40]
    assert forensics.identify(file).quality == (90, 40, 40)
    assert [one.quality for one in forensics.estimate_quality(pillow(PHOTO[:64, :64], 100))] == [100, 100, 100]
    assert all(one.exact and one.table_distance == 0 for one in forensics.estimate_quality(file))


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5, 10.0])
def test_distances_of_the_perceptual_mode_and_of_jpegli_are_found(distance: float) -> None:
    found = forensics.identify(mozcodec.encode(PHOTO[:64, :64], distance=distance))
    assert found.family == "mozcodec"
    low, high = found.distance
    assert low <= distance * 1.001 and high >= distance * 0.999
    ajpegli = pytest.importorskip("ajpegli")
    found = forensics.identify(bytes(ajpegli.encode(PHOTO[:64, :64].copy(), distance=distance)))
    assert found.family == "jpegli"
    low, high = found.distance
    assert low <= distance * 1.001 and high >= distance * 0.999


def test_ffmpegs_matrix_is_named_with_its_scale() -> None:
    """ISO/IEC 11172-2's intra matrix times 5, over 8, worked by hand for the first row."""
    table = np.array(forensics._MPEG_INTRA) * 5 // 8
    assert table[0].tolist() == [5, 10, 11, 13, 16, 16, 18, 21]
    table[0, 0] = 8
    found = forensics.identify(mozcodec.encode(PHOTO[:64, :64], 50, quant_tables=[table, table]))  # 50: x 1
    assert (found.family, found.settings) == ("ffmpeg", "-q:v 5")


def test_other_tables_are_custom_with_the_nearest_candidates_and_a_fingerprint() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(2, 60, (8, 8))
    found = forensics.identify(mozcodec.encode(PHOTO[:64, :64], quant_tables=[table]))
    again = forensics.identify(mozcodec.encode(PHOTO[64:128, :64], quant_tables=[table]))
    assert (found.family, found.exact, found.quality, found.settings) == ("custom", False, None, "")
    assert found.fingerprint == again.fingerprint and len(found.fingerprint) == 64
    distances = [one.table_distance for one in found.candidates]
    assert distances == sorted(distances) and distances[0] > 0.1
    assert {one.family for one in found.candidates} == {"libjpeg", "mozjpeg", "jpegli", "mozcodec", "ffmpeg"}


def test_a_file_without_tables_is_refused() -> None:
    with pytest.raises(mozcodec.UnsupportedError, match="no quantization tables"):
        forensics.identify(mozcodec.encode(PHOTO[:64, :64], lossless=1))
    with pytest.raises(mozcodec.NotJpegError):
        forensics.identify(b"text")


PHOTOS = {"astronaut": PHOTO, "coffee": data.coffee()[:384, :512], "cat": data.chelsea()[:296, :448]}


@pytest.mark.parametrize("name", PHOTOS)
def test_a_second_compression_shows_the_first_and_its_quality(name: str) -> None:
    for first, last in ((60, 75), (60, 90), (80, 90), (85, 95)):
        for table in (0, 3):
            before = mozcodec.decode(mozcodec.encode(PHOTOS[name], first, quant_table=table))
            for data_ in (pillow(before, last), mozcodec.encode(before, last)):
                found = forensics.double_compression(data_)
                assert found.detected
                assert abs(found.quality - first) <= 1 and found.quant_table == table


@pytest.mark.parametrize("name", PHOTOS)
def test_a_single_compression_is_no_second_one(name: str) -> None:
    for quality in (50, 75, 90, 95):
        assert not forensics.double_compression(pillow(PHOTOS[name], quality)).detected
        assert not forensics.double_compression(mozcodec.encode(PHOTOS[name], quality)).detected


def test_a_shifted_grid_leaves_no_trace_on_the_new_one() -> None:
    before = mozcodec.decode(pillow(PHOTO, 60))[3:, 5:]
    assert not forensics.double_compression(pillow(np.ascontiguousarray(before), 90)).detected


def test_small_images_are_refused() -> None:
    with pytest.raises(mozcodec.UnsupportedError, match="from 64 x 64 pixels on, got 63 x 80"):
        forensics.double_compression(pillow(PHOTO[:80, :63], 75))
