"""mozcodec.forensics against files of other encoders and chains that the tests make."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from sklearn.metrics import roc_auc_score

import mozcodec
from mozcodec import forensics
from mozcodec._forensics import encoder

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


def test_luma_and_chroma_qualities_are_distinguished() -> None:
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
    table = np.array(encoder._MPEG_INTRA) * 5 // 8
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


@pytest.mark.parametrize("name", PHOTOS)
def test_a_crop_between_two_compressions_shows_the_place_of_the_earlier_blocks(name: str) -> None:
    """Rows from 3 on and columns from 5 on: blocks of the earlier grid begin at row 5 and column 3."""
    before = np.ascontiguousarray(mozcodec.decode(pillow(PHOTOS[name], 75))[3:, 5:])
    for file in (pillow(before, 92), mozcodec.encode(before, 92)):
        found = forensics.double_compression(file)
        assert not found.detected and found.aligned is False
        assert found.shifted.detected and found.shifted.offset == (5, 3)
        assert abs(found.shifted.quality - 75) <= 1 and found.shifted.quant_table == 0
    assert forensics.double_compression(pillow(PHOTOS[name], 92)).aligned is None
    assert forensics.double_compression(pillow(mozcodec.decode(pillow(PHOTOS[name], 75)), 92)).aligned is True


def spliced(back: np.ndarray, patch: np.ndarray, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Return *back* with *patch* in it, and where it is."""
    pixels, mask = back.copy(), np.zeros(back.shape[:2], bool)
    height, width = patch.shape[:2]
    pixels[top : top + height, left : left + width] = patch
    mask[top : top + height, left : left + width] = True
    return pixels, mask


def by_pixel(values: np.ndarray, side: int, shape: tuple[int, int]) -> np.ndarray:
    rows = np.minimum(np.arange(shape[0]) // side, values.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1]) // side, values.shape[1] - 1)
    return values[rows[:, None], columns]


COFFEE = data.coffee()[:384, :576]


@pytest.mark.parametrize(("first", "patched"), [(70, None), (None, 70)])
def test_ghosts_find_a_part_that_was_compressed_unlike_the_rest(first: int | None, patched: int | None) -> None:
    """The patch lies on the grid; scikit-learn's area under the curve is the check."""
    back = COFFEE if first is None else mozcodec.decode(pillow(COFFEE, first))
    source = PHOTO if patched is None else mozcodec.decode(pillow(PHOTO, patched))
    pixels, mask = spliced(back, source[64:192, 160:320], 128, 200)
    found = forensics.ghosts(pillow(pixels, 90))
    assert found.quality == first and found.detected
    assert found.evidence.shape == found.region.shape == found.qualities.shape == found.differences.shape[1:]
    assert roc_auc_score(mask.ravel(), by_pixel(found.evidence, found.side, mask.shape).ravel()) > 0.97
    inside = by_pixel(found.qualities, found.side, mask.shape)[144:240, 216:344]
    assert (np.abs(inside - patched) <= 1).mean() > 0.9 if patched else (inside == 0).mean() > 0.9
    assert found.picture().shape == found.picture(70).shape == (384, 576, 3)
    with pytest.raises(ValueError, match="level must be one of 30, 35"):
        found.picture(71)


def test_ghosts_and_grid_find_nothing_in_a_file_of_one_history() -> None:
    for file in (pillow(COFFEE, 75), pillow(COFFEE, 92), mozcodec.encode(COFFEE, 85)):
        assert not forensics.ghosts(file).detected
        found = forensics.grid(file)
        assert not found.detected and found.offset is None and not found.offsets.any()


@pytest.mark.parametrize("first", [None, 75])
def test_grid_finds_a_part_of_another_grid(first: int | None) -> None:
    """Rows from 67 and columns from 162 of the source at row 128 and column 200: blocks begin at 5 and 6."""
    back = np.ascontiguousarray((COFFEE if first is None else mozcodec.decode(pillow(COFFEE, first)))[1:, 1:])
    pixels, mask = spliced(back, mozcodec.decode(pillow(PHOTO, 75))[67:195, 162:322], 128, 200)
    found = forensics.grid(pillow(pixels, 92))
    assert found.offset == (None if first is None else (7, 7)) and found.detected
    assert roc_auc_score(mask.ravel(), by_pixel(found.evidence, found.side, mask.shape).ravel()) > 0.95
    assert (found.offsets[5, 8] == (5, 6)).all() and abs(int(found.qualities[5, 8]) - 75) <= 1
    assert found.picture().shape == (383, 575, 3)


def test_small_images_are_refused() -> None:
    with pytest.raises(mozcodec.UnsupportedError, match="from 64 x 64 pixels on, got 63 x 80"):
        forensics.double_compression(pillow(PHOTO[:80, :63], 75))
