"""mozcodec.forensics against files of other encoders and chains that the tests make."""

import contextlib
import dataclasses
import io
import json

import cv2
import numpy as np
import pytest
import scipy.fft
from PIL import Image, ImageOps
from skimage import data
from sklearn.metrics import roc_auc_score

import mozcodec
from mozcodec import forensics
from mozcodec._cli import main
from mozcodec._forensics import cells, encoder, shifts

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
    for effort in (0, 1, 2):  # effort 0 has jpegli's tables
        found = forensics.identify(mozcodec.encode(PHOTO[:64, :64], distance=distance, effort=effort))
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


def test_libjpegs_tables_in_another_layout_are_doubtful() -> None:
    """As cameras write them: the standard's Huffman tables, and both quantization tables in one segment."""
    file = pillow(PHOTO[:64, :64], 90)
    first = file.index(b"\xff\xdb")
    luma, chroma = file[first : first + 69], file[first + 69 : first + 138]
    assert luma[2:4] == chroma[2:4] == b"\0\x43" and chroma[:2] == b"\xff\xdb"
    joined = b"\xff\xdb" + (2 + 65 + 65).to_bytes(2, "big") + luma[4:] + chroma[4:]
    found = forensics.identify(file[:first] + joined + file[first + 138 :])
    assert (found.family, found.quality, found.exact, found.doubtful) == ("libjpeg", (90,) * 3, True, True)
    for written in (file, mozcodec.encode(PHOTO[:64, :64], 90), mozcodec.encode(PHOTO[:64, :64], 90, quant_table=0)):
        assert not forensics.identify(written).doubtful


def test_coefficients_set_to_0_on_purpose_are_no_earlier_compression() -> None:
    """A quantizer that drops values below .8 steps, written by the test, as jpegli's does in busy parts."""
    gray = data.camera()[:384, :512].astype(np.float64) - 128
    steps = forensics.read_luma(pillow(PHOTO, 75)).steps.reshape(8, 8)
    blocks = gray.reshape(48, 8, 64, 8).swapaxes(1, 2)
    exact = scipy.fft.dctn(blocks, axes=(2, 3), norm="ortho") / steps
    values = np.rint(exact)
    ac = np.ones((8, 8), bool)
    ac[0, 0] = False
    values[(np.abs(exact) < 0.8) & ac] = 0
    start = mozcodec.read_coefficients(pillow(data.camera()[:384, :512], 75))
    file = mozcodec.write_coefficients(dataclasses.replace(start, components=(values.astype(np.int16),)))
    found = forensics.double_compression(file)
    assert found.evidence >= forensics.THRESHOLD > forensics.BEYOND_ONE_THRESHOLD > found.evidence_beyond_one
    assert not found.detected


def test_a_file_without_tables_is_refused() -> None:
    with pytest.raises(mozcodec.UnsupportedError, match="no quantization tables"):
        forensics.identify(mozcodec.encode(PHOTO[:64, :64], lossless=1))
    with pytest.raises(mozcodec.NotJpegError):
        forensics.identify(b"text")


PHOTOS = {"astronaut": PHOTO, "coffee": data.coffee()[:384, :512], "cat": data.chelsea()[:296, :448]}


@pytest.mark.parametrize("name", PHOTOS)
def test_a_second_compression_shows_the_first_and_its_quality(name: str) -> None:
    pairs = ((60, 75), (60, 90), (80, 90), (85, 95))
    for first, last in pairs if name == "astronaut" else pairs[::3]:
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
    assert found.quality == first and found.detected is (None if first else True)
    assert found.evidence.shape == found.region.shape == found.qualities.shape == found.differences.shape[1:]
    assert roc_auc_score(mask.ravel(), by_pixel(found.evidence, found.side, mask.shape).ravel()) > 0.97
    inside = by_pixel(found.qualities, found.side, mask.shape)[144:240, 216:344]
    assert (np.abs(inside - patched) <= 1).mean() > 0.9 if patched else (inside == 0).mean() > 0.9
    assert found.picture().shape == found.picture(70).shape == (384, 576, 3)
    with pytest.raises(ValueError, match="level must be one of 30, 35"):
        found.picture(71)


def test_ghosts_and_grid_find_nothing_in_a_file_of_one_history() -> None:
    for file in (pillow(COFFEE, 75), pillow(COFFEE, 92), mozcodec.encode(COFFEE, 85)):
        assert forensics.ghosts(file).detected is False
        found = forensics.grid(file)
        assert found.detected is False and found.offset is None and not found.offsets.any()


@pytest.mark.parametrize("first", [None, 75])
def test_grid_finds_a_part_of_another_grid(first: int | None) -> None:
    """Rows from 67 and columns from 162 of the source at row 128 and column 200: blocks begin at 5 and 6."""
    back = np.ascontiguousarray((COFFEE if first is None else mozcodec.decode(pillow(COFFEE, first)))[1:, 1:])
    pixels, mask = spliced(back, mozcodec.decode(pillow(PHOTO, 75))[67:195, 162:322], 128, 200)
    found = forensics.grid(pillow(pixels, 92))
    assert found.offset == (None if first is None else (7, 7)) and found.detected is (None if first else True)
    assert roc_auc_score(mask.ravel(), by_pixel(found.evidence, found.side, mask.shape).ravel()) > 0.95
    assert (found.offsets[5, 8] == (5, 6)).all() and abs(int(found.qualities[5, 8]) - 75) <= 1
    assert found.picture().shape == (383, 575, 3)


def cmyk(quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PHOTO[:64, :64]).convert("CMYK").save(out, "JPEG", quality=quality)
    return out.getvalue()


@pytest.mark.parametrize("quality", [30, 75, 92])
def test_rgb_and_cmyk_have_the_luma_table_for_all_components(quality: int) -> None:
    """libjpeg's jpeg_set_colorspace (jcparam.c) gives all their components table 0."""
    rgb = mozcodec.encode(PHOTO[:64, :64], quality, color_space="rgb", profile="fastest")
    for file, count in ((cmyk(quality), 4), (rgb, 3)):
        found = forensics.identify(file)
        assert found.family == "libjpeg" and found.exact and not found.doubtful
        assert found.quality == (quality,) * count
        assert [(one.quality, one.quant_table) for one in forensics.estimate_quality(file)] == [(quality, 0)] * count


def test_libjpegs_tables_after_the_frame_header_are_doubtful() -> None:
    """Rust's image crate writes them so (its encoder.rs: SOF0, then DQT), and all else as libjpeg does."""
    file = pillow(PHOTO[:64, :64], 75)
    start, frame, huffman = (file.index(marker) for marker in (b"\xff\xdb", b"\xff\xc0", b"\xff\xc4"))
    moved = file[:start] + file[frame:huffman] + file[start:frame] + file[huffman:]
    assert np.array_equal(mozcodec.decode(moved), mozcodec.decode(file))
    assert forensics.identify(file).doubtful is False
    found = forensics.identify(moved)
    assert found.doubtful and "quantization tables stand after the frame header" in found.evidence


@pytest.mark.parametrize(("first", "last"), [(60, 90), (50, 92), (40, 90)])
def test_an_earlier_grid_of_the_file_does_not_show_half_a_block_beside_it(first: int, last: int) -> None:
    """Coefficients between two blocks are halves of sums of theirs, which gave evidence 8 to 12 at (0, 4) or (4, 0)."""
    once = mozcodec.decode(pillow(np.ascontiguousarray(data.chelsea()), first))
    found = forensics.double_compression(pillow(once, last))
    assert found.detected and not found.shifted.detected and found.shifted.evidence < 5


@pytest.mark.parametrize("offset", [(0, 4), (4, 0), (4, 4)])
def test_a_grid_half_a_block_away_is_found(offset: tuple[int, int]) -> None:
    once = mozcodec.decode(pillow(COFFEE, 70))[(8 - offset[0]) % 8 :, (8 - offset[1]) % 8 :]
    found = forensics.double_compression(pillow(np.ascontiguousarray(once), 95))
    assert found.aligned is False and found.shifted.offset == offset


def test_small_images_are_refused() -> None:
    with pytest.raises(mozcodec.UnsupportedError, match="from 64 x 64 pixels on, got 63 x 80"):
        forensics.double_compression(pillow(PHOTO[:80, :63], 75))


# ---- metadata -------------------------------------------------------------------------------------------------------


def exif_of(thumbnail: np.ndarray | None, **tags: int | str) -> bytes:
    """Return EXIF by Pillow, with a thumbnail in the second directory as the standard places it."""
    exif = Image.Exif()
    names = {"Make": 0x010F, "Software": 0x0131, "DateTime": 0x0132, "Orientation": 0x0112, "ImageWidth": 0x0100}
    inner = {"DateTimeOriginal": 0x9003, "PixelXDimension": 0xA002, "PixelYDimension": 0xA003, "UserComment": 0x9286}
    for name, value in tags.items():
        if name in names:
            exif[names[name]] = value
        else:
            exif.get_ifd(0x8769)[inner[name]] = value
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    if thumbnail is None:
        return tiff
    order = "little" if tiff[:2] == b"II" else "big"
    jpeg = pillow(thumbnail, 80)
    first = int.from_bytes(tiff[4:8], order)
    end = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], order)
    at = len(tiff) + len(tiff) % 2
    entries = ((0x0201, at + 2 + 24 + 4), (0x0202, len(jpeg)))
    directory = (2).to_bytes(2, order)
    for tag, value in entries:
        directory += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(4, order)
    body = tiff[:end] + at.to_bytes(4, order) + tiff[end + 4 :]
    return body.ljust(at, b"\0") + directory + bytes(4) + jpeg


def small(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((160, 160), Image.Resampling.LANCZOS))


def subjects(file: bytes) -> list[str]:
    return [one.subject for one in forensics.metadata_report(file).contradictions]


def test_metadata_that_agree_with_the_pixels_contradict_nothing() -> None:
    tags = {"PixelXDimension": 512, "PixelYDimension": 512, "Make": "Canon", "DateTime": "2020:01:02 03:04:05"}
    exif = exif_of(small(PHOTO), DateTimeOriginal="2020:01:02 03:04:05", **tags)
    found = forensics.metadata_report(mozcodec.encode(PHOTO, 90, exif=exif))
    assert found.contradictions == () and found.exif["Make"] == "Canon" and found.exif["PixelXDimension"] == 512
    assert (found.thumbnail.width, found.thumbnail.height, found.thumbnail.turn) == (160, 160, "as it is")
    assert found.thumbnail.similarity > 0.99 and found.content_credentials.state == "absent"


def test_a_thumbnail_of_something_else_or_turned_is_named() -> None:
    other = exif_of(small(data.coffee()[:400, :400]))
    assert subjects(mozcodec.encode(PHOTO, 90, exif=other)) == ["thumbnail"]
    found = forensics.metadata_report(mozcodec.encode(np.rot90(PHOTO).copy(), 90, exif=exif_of(small(PHOTO))))
    assert found.thumbnail.turn == "turned left" and found.thumbnail.similarity > 0.99
    assert "turned left" in found.contradictions[0].text
    edited = PHOTO.copy()
    edited[:, 200:] = data.coffee()[:, :312][np.linspace(0, 399, 512).astype(int)]
    assert subjects(mozcodec.encode(edited, 90, exif=exif_of(small(PHOTO)))) == ["thumbnail"]


def with_thumbnail(jpeg: bytes, orientation: int = 1, own: int = 1, size: int | None = None) -> bytes:
    """Return EXIF of an orientation and a thumbnail with an orientation of its own."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        stored = value.to_bytes(2, "big") + bytes(2) if kind == 3 else value.to_bytes(4, "big")
        return tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + (1).to_bytes(4, "big") + stored

    first = b"\0\x01" + entry(0x0112, 3, orientation) + (26).to_bytes(4, "big")
    length = len(jpeg) if size is None else size
    second = b"\0\x03" + entry(0x0112, 3, own) + entry(0x0201, 4, 68) + entry(0x0202, 4, length) + bytes(4)
    return b"MM\0*\0\0\0\x08" + first + second + jpeg


def resized(pixels: np.ndarray, width: int, height: int) -> bytes:
    return pillow(np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)), 80)


THUMBNAIL = resized(COFFEE, 160, 107)


@pytest.mark.parametrize(
    ("thumbnail", "size", "subject", "text"),
    [
        (b"", 0, "damage", "the thumbnail is empty"),
        (THUMBNAIL, 0, "damage", "the thumbnail is empty"),
        (b"", 5000, "damage", "the thumbnail is cut off: 0 of 5000 bytes"),
        (THUMBNAIL[:35], None, "thumbnail", "the thumbnail cannot be decoded: "),
        (bytes(35), None, "thumbnail", "the thumbnail cannot be decoded: Not a JPEG file"),
        (b"\xff\xd8\xff\xd9", None, "thumbnail", "the thumbnail cannot be decoded: "),
        (THUMBNAIL[: len(THUMBNAIL) // 2], None, "damage", "the thumbnail is damaged; "),
        (resized(COFFEE, 7, 160), None, "thumbnail", "the thumbnail of 7 x 160 pixels is too small"),
        (pillow(np.zeros_like(COFFEE), 80), None, "thumbnail", "one colour only"),
    ],
)
def test_a_damaged_thumbnail_is_stated_and_contradicts_nothing(thumbnail, size, subject, text) -> None:
    found = forensics.metadata_report(mozcodec.encode(COFFEE, 90, exif=with_thumbnail(thumbnail, size=size)))
    (finding,) = found.findings
    assert (finding.kind, finding.subject) == ("note", subject) and text in finding.text


def test_a_thumbnail_that_is_not_compressed_is_stated() -> None:
    """Strips of RGB instead of a JPEG (EXIF 2.32, 4.5.7): tag 0x0111 in the second directory."""
    strips = b"\0\x01" + bytes.fromhex("0111000400000001") + (14).to_bytes(4, "big") + bytes(4)
    tiff = b"MM\0*\0\0\0\x08" + bytes(2) + (14).to_bytes(4, "big") + strips
    (finding,) = forensics.metadata_report(mozcodec.encode(COFFEE, 90, exif=tiff)).findings
    assert finding.kind == "note" and "the thumbnail is not compressed" in finding.text


@pytest.mark.parametrize(
    ("thumbnail", "text"),
    [
        (resized(COFFEE, 160, 160), ["the thumbnail shows the whole image in other proportions"]),
        (resized(COFFEE[:, 96:480], 160, 160), ["the thumbnail shows the middle of the image only"]),
        (resized(np.pad(COFFEE, ((96, 96), (0, 0), (0, 0))), 160, 160), []),
    ],
)
def test_thumbnails_of_other_proportions_contradict_nothing(thumbnail, text) -> None:
    """Squeezed, cut to a square, and with black borders."""
    found = forensics.metadata_report(mozcodec.encode(COFFEE, 90, exif=with_thumbnail(thumbnail)))
    assert [one.text for one in found.findings] == text and found.thumbnail.similarity > 0.97
    assert all(one.kind == "note" for one in found.findings)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_thumbnail_turned_as_an_orientation_says_contradicts_nothing(orientation: int) -> None:
    """Some programs store the thumbnail upright beside pixels that are not, others give it its own orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(io.BytesIO(pillow(COFFEE, 95, exif=exif.tobytes()))) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    small = resized(upright, upright.shape[1] // 4, upright.shape[0] // 4)
    for pixels, tags, says in (
        (COFFEE, with_thumbnail(small, orientation), "it is stored upright"),
        (upright, with_thumbnail(resized(COFFEE, 144, 96), own=orientation), f"its own orientation of {orientation}"),
    ):
        found = forensics.metadata_report(mozcodec.encode(np.ascontiguousarray(pixels), 90, exif=tags))
        (finding,) = found.findings
        assert finding.kind == "note" and says in finding.text and found.thumbnail.turn != "as it is"
    assert subjects(mozcodec.encode(COFFEE, 90, exif=with_thumbnail(small))) == ["thumbnail"]


def test_other_sizes_dates_orientations_and_makers_are_named() -> None:
    sizes = exif_of(None, PixelXDimension=1024, PixelYDimension=768)
    assert subjects(mozcodec.encode(PHOTO, 90, exif=sizes)) == ["size"]
    turned = exif_of(None, PixelXDimension=300, PixelYDimension=512)
    report = forensics.metadata_report(mozcodec.encode(PHOTO[:300], 90, exif=turned))
    assert "it was turned since" in report.contradictions[0].text
    dates = exif_of(None, DateTime="2019:01:01 00:00:00", DateTimeOriginal="2020:01:01 00:00:00")
    assert subjects(mozcodec.encode(PHOTO, 90, exif=dates)) == ["dates"]
    xmp = b'<rdf:Description tiff:Make="Nikon" tiff:Orientation="6"><xmp:CreatorTool>GIMP 2.10</xmp:CreatorTool>'
    report = forensics.metadata_report(
        mozcodec.encode(PHOTO, 90, exif=exif_of(None, Make="Canon", Orientation=1), xmp=xmp)
    )
    assert [one.subject for one in report.contradictions] == ["orientation", "source"]
    assert report.software == ("GIMP 2.10",)
    assert "written by an editor: GIMP 2.10" in [one.text for one in report.findings]


def test_photoshops_qualities_are_read_from_its_segments() -> None:
    """Image resource 1030 stores quality 10 as 6; Ducky's first record is the quality of Save for Web."""
    resource = b"Photoshop 3.0\x008BIM\x04\x06\0\0\0\0\0\x07\0\x06\0\0\0\x01\0\0"
    ducky = b"Ducky\0\x01\0\x04\0\0\0\x3c\0\0"
    file = mozcodec.edit_metadata(pillow(PHOTO[:64, :64], 80), app={13: [resource], 12: [ducky]})
    found = forensics.metadata_report(file)
    assert (found.photoshop_quality, found.save_for_web_quality) == (10, 60)


def jumbf(label: str, *children: bytes, kind: bytes = b"c2ma") -> bytes:
    """Return a superbox of ISO/IEC 19566-5: its description box has a UUID, toggles and a label."""
    text = kind + bytes.fromhex("00110010800000aa00389b71") + b"\x03" + label.encode() + b"\0"
    description = (8 + len(text)).to_bytes(4, "big") + b"jumd" + text
    content = description + b"".join(children)
    return (8 + len(content)).to_bytes(4, "big") + b"jumb" + content


def test_the_boxes_of_a_c2pa_manifest_are_listed_across_segments() -> None:
    claims = [jumbf("c2pa.assertions", jumbf("c2pa.actions"), jumbf("c2pa.hash.data")), jumbf("c2pa.claim")]
    store = jumbf("c2pa", jumbf("urn:first"), jumbf("urn:second", *claims), kind=b"c2pa")
    head = b"JP\0\x01"
    first, second = head + (1).to_bytes(4, "big") + store[:100], head + (2).to_bytes(4, "big") + store[:8] + store[100:]
    plain = pillow(PHOTO[:64, :64], 80)
    segments = b"".join(b"\xff\xeb" + (len(s) + 2).to_bytes(2, "big") + s for s in (first, second))
    found = forensics.metadata_report(plain[:2] + segments + plain[2:]).content_credentials
    assert found.embedded and found.manifests == ("urn:first", "urn:second")
    assert found.assertions == ("c2pa.actions", "c2pa.hash.data")
    assert found.state in ("not validated", "invalid")  # the second with c2pa-python: nothing is signed
    lost = forensics.metadata_report(plain[:2] + segments[: len(first) + 4] + plain[2:]).content_credentials
    assert any("longer than the store" in problem for problem in lost.problems)


def multi_picture(first: bytes, second: bytes) -> bytes:
    """Return an MPO file of two images (CIPA DC-007): NumberOfImages and MPEntry, offsets from the byte order mark."""
    length = 2 + 2 + 4 + 8 + 2 + 2 * 12 + 4 + 32  # marker, its length, "MPF\0", header, directory, entries
    entries = bytes(4) + (len(first) + length).to_bytes(4, "big") + bytes(8)
    entries += bytes(4) + len(second).to_bytes(4, "big") + (len(first) + length - 10).to_bytes(4, "big") + bytes(4)
    number = b"\xb0\x01\0\x04\0\0\0\x01\0\0\0\x02"
    where = b"\xb0\x02\0\x07\0\0\0\x20" + (8 + 2 + 24 + 4).to_bytes(4, "big")
    content = b"MPF\0MM\0*\0\0\0\x08\0\x02" + number + where + bytes(4) + entries
    segment = b"\xff\xe2" + (len(content) + 2).to_bytes(2, "big") + content
    assert len(segment) == length
    return first[:2] + segment + first[2:] + second


def test_the_images_of_a_multi_picture_index_are_stated() -> None:
    """All there: a note; gone: a contradiction; the file cut off within one: damage, no program dropped it."""
    first, second = pillow(PHOTO[:64, :64], 80), pillow(PHOTO[:96, :96], 80)
    whole = multi_picture(first, second)
    (finding,) = forensics.metadata_report(whole).findings
    expected = f"1 further in the file (picture of {len(second)} bytes); the Multi-Picture index lists them"
    assert (finding.kind, finding.subject, finding.text) == ("note", "parts", expected)
    assert subjects(whole[: len(whole) - len(second)]) == ["parts"]
    cut = forensics.metadata_report(whole[:-100])
    assert cut.contradictions == () and "lists 2 images, the file has 1 and is cut off" in cut.findings[0].text


# ---- hostile bytes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full_file() -> bytes:
    exif = exif_of(small(PHOTO), Make="Canon", PixelXDimension=512, UserComment="x" * 40)
    xmp = b'<rdf:Description tiff:Make="Nikon" dcterms:provenance="https://example.org/x"/>'
    store = jumbf("c2pa", jumbf("urn:first", jumbf("c2pa.assertions", jumbf("c2pa.actions"))), kind=b"c2pa")
    file = mozcodec.encode(PHOTO[:96, :96], 80, exif=exif, xmp=xmp)
    return mozcodec.edit_metadata(file, app={11: [b"JP\0\x01\0\0\0\x01" + store]})


@pytest.mark.filterwarnings("ignore::mozcodec.JpegWarning")
def test_mutated_files_give_named_errors_and_nothing_else(full_file: bytes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(full_file)
        for _ in range(int(rng.integers(1, 30))):
            broken[int(rng.integers(2, len(broken)))] = int(rng.integers(256))
        if rng.random() < 0.3:
            del broken[int(rng.integers(4, len(broken))) :]
        for function in (forensics.metadata_report, forensics.identify, forensics.estimate_quality):
            with contextlib.suppress(mozcodec.JpegError):
                function(bytes(broken))
    for _ in range(6):
        broken = bytearray(full_file)
        broken[int(rng.integers(len(broken) // 2, len(broken)))] ^= 0x55
        with contextlib.suppress(mozcodec.JpegError):
            json.dumps(forensics.report(bytes(broken)))


def test_directories_that_loop_or_lie_end() -> None:
    """A directory that is its own successor and its own EXIF directory, with a thumbnail beyond the end."""
    entries = [(0x8769, 4, 1, 8), (0x0201, 4, 1, 1 << 31), (0x0202, 4, 1, 1 << 31), (0x010F, 2, 1 << 31, 4)]
    body = b"".join(t.to_bytes(2, "big") + k.to_bytes(2, "big") + n.to_bytes(4, "big") + v.to_bytes(4, "big")
                    for t, k, n, v in entries)  # fmt: skip
    tiff = b"MM\0*\0\0\0\x08" + len(entries).to_bytes(2, "big") + body + (8).to_bytes(4, "big")
    found = forensics.metadata_report(mozcodec.encode(PHOTO[:64, :64], 80, exif=tiff))
    assert found.thumbnail is None and any(one.subject in ("damage", "thumbnail") for one in found.findings)


def test_coefficients_at_all_places_are_those_of_scipys_dct() -> None:
    """Bins of half a unit; DC is a multiple of 1/8, and its halves are rounded up on every machine."""
    gray = np.ascontiguousarray(PHOTO[:96, :120, 1])
    places = cells.cells_of(11, 14, 32, 1600, 8)
    bins = shifts._bins(gray, places)
    blocks = [(row, column) for row in places.block_rows for column in places.block_columns]
    for down, right in ((0, 0), (3, 5), (7, 7)):
        for i in range(0, len(blocks), 17):
            top, left = 8 * blocks[i][0] + down, 8 * blocks[i][1] + right
            expected = scipy.fft.dctn(gray[top : top + 8, left : left + 8] - 128.0, norm="ortho").ravel()
            doubled = np.abs(expected[list(shifts.PLACES)]) * 2
            found = bins[:, 8 * down + right, i]
            assert (np.abs(found - np.minimum(doubled, shifts._SIZE)) < 0.502).all()
            assert found[0] == min(np.floor(doubled[0] + 0.5), shifts._SIZE)


def test_the_luma_can_be_read_once_for_all_functions() -> None:
    file = pillow(mozcodec.decode(pillow(COFFEE[:192, :288], 70)), 90)
    luma = forensics.read_luma(file)
    assert (luma.width, luma.height, luma.pixels.shape) == (288, 192, (192, 288))
    assert forensics.double_compression(luma) == forensics.double_compression(file)
    for function in (forensics.ghosts, forensics.grid):
        of_luma, of_file = function(luma), function(file)
        assert np.array_equal(of_luma.evidence, of_file.evidence) and of_luma.detected == of_file.detected


# ---- the command line -----------------------------------------------------------------------------------------------


def test_the_command_prints_text_and_json_and_writes_maps(tmp_path, capsys) -> None:
    (tmp_path / "a.jpg").write_bytes(pillow(mozcodec.decode(pillow(PHOTO[:256, :256], 60)), 90))
    (tmp_path / "small.jpg").write_bytes(pillow(PHOTO[:32, :32], 40))
    (tmp_path / "text.jpg").write_text("no image")
    names = [str(tmp_path / name) for name in ("a.jpg", "small.jpg", "text.jpg")]
    assert main(["forensics", *names, "-maps", str(tmp_path / "maps")]) == 1
    shown = capsys.readouterr()
    assert "earlier compression: on the same grid, quality 60 of table 0" in shown.out
    reason = "earlier compressions are found in images of 8 bits from 64 x 64 pixels on, got 32 x 32"
    assert f"not analysed: {reason}" in shown.out
    assert "text.jpg: NotJpegError" in shown.err
    with Image.open(tmp_path / "maps" / "a.jpg.ghosts.png") as map_of_a:
        assert map_of_a.size == (256, 256)
    assert main(["forensics", "--json", *names]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["double_compression"]["aligned"] is True and first["encoder"]["family"] == "libjpeg"
    assert second["ghosts"] is None and set(second["not_analysed"]) == {"double_compression", "ghosts", "grid"}
    assert main(["identify", names[0]]) == 0
    assert "quality by component: 90 of table 0, 90 of table 0, 90 of table 0" in capsys.readouterr().out
    assert main(["forensics", names[0], names[0], "-maps", str(tmp_path)]) == 2
