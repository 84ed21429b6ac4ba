"""The report of the forensic functions as text: each line says what the values beside it say."""

import importlib.util
import io
import re
import struct

import numpy as np
import pytest
from PIL import Image
from skimage import data

import mozcodec
from mozcodec import forensics
from mozcodec._forensics.exif import read_exif
from mozcodec._forensics.summary import encoder_lines, identification, report_lines

PHOTO = data.astronaut()


def libjpegs(pixels: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.fixture(scope="module")
def spliced() -> tuple[dict, list[str]]:
    """A file of quality 90 with an earlier quality 60, and a part at (64, 64) that was compressed at quality 40."""
    pixels = decoded(libjpegs(PHOTO[:256, :256], 60)).copy()
    pixels[64:160, 64:160] = decoded(libjpegs(PHOTO[200:296, 200:296], 40))
    found = forensics.report(libjpegs(pixels, 90))
    return found, report_lines(found)


def line(lines: list[str], start: str) -> str:
    (found,) = [one for one in lines if one.startswith(start)]
    return found


def test_an_earlier_compression_is_stated_with_its_quality(spliced) -> None:
    found, lines = spliced
    assert line(lines, "encoder: ") == "encoder: libjpeg, quality 90 (tables exactly)"
    double = found["double_compression"]
    assert (double["detected"], double["quality"], double["quant_table"]) == (True, 60, 0)
    text = line(lines, "earlier compression: ")
    assert text == (
        f"earlier compression: on the same grid, quality 60 of table 0 (evidence {double['evidence']:.2f})"
    )


def test_a_part_of_another_quality_is_stated_with_its_place(spliced) -> None:
    found, lines = spliced
    ghosts = found["ghosts"]
    left, top, right, bottom = ghosts["box"]
    assert ghosts["detected"] is not False
    assert left <= 72 and top <= 72 and right >= 152 and bottom >= 152       # the part is 64..160
    text = line(lines, "parts of another earlier quality: ")
    assert f"{ghosts['share']:.0%} of the image, within {ghosts['box']}; the rest has quality 60, " in text
    assert text.endswith(f"this part quality {ghosts['part_quality']}")
    assert ghosts["quality"] == 60


def test_blocks_that_do_not_begin_at_the_corner_are_stated() -> None:
    shifted = libjpegs(decoded(libjpegs(PHOTO, 50))[3:403, 5:405], 92)
    lines = report_lines(forensics.report(shifted))
    # rows 3.. and columns 5.. were cut away: the next block begins after 5 rows and 3 columns
    text = line(lines, "earlier compression: ")
    named = re.fullmatch(
        r"earlier compression: blocks from row 5 and column 3, quality (\d+) of table 0 \(evidence \d+\.\d\): "
        "cropped or moved since",
        text,
    )
    assert named and abs(int(named[1]) - 50) <= 1, text                     # the tables of 49 and 50 are much alike


def test_a_part_of_another_grid_is_stated() -> None:
    pixels = PHOTO[:256, :256].copy()
    pixels[67:163, 61:157] = decoded(libjpegs(PHOTO[200:296, 200:296], 50))
    found = forensics.report(libjpegs(pixels, 95))
    assert found["grid"]["detected"] is not False
    text = line(report_lines(found), "parts of another grid: ")
    # 67 = 8 * 8 + 3, 61 = 8 * 7 + 5
    assert found["grid"]["part_offset"] == [3, 5]
    assert text.endswith("this part has blocks from row and column [3, 5]")


def test_a_file_of_one_history_says_that_nothing_was_found() -> None:
    found = forensics.report(libjpegs(PHOTO[:256, :256], 85))
    lines = report_lines(found)
    assert line(lines, "earlier compression: ").endswith("none found; one that was finer than the last leaves no trace")
    for key, start in (("ghosts", "parts of another earlier quality"), ("grid", "parts of another grid")):
        assert line(lines, start) == f"{start}: none found (largest evidence {found[key]['largest_evidence']:.1f})"
    assert line(lines, "metadata: ") == "metadata: no program named"


def test_what_cannot_be_analysed_says_why_and_the_rest_stands() -> None:
    lossless = mozcodec.encode(PHOTO[:64, :64], lossless=1)
    found = forensics.report(lossless)
    lines = report_lines(found)
    assert found["encoder"] is None and found["ghosts"] is None
    assert lines[0] == f"encoder: not analysed: {found['not_analysed']['encoder']}"
    for key, start in (("double_compression", "earlier compression"), ("grid", "parts of another grid")):
        assert line(lines, start) == f"{start}: not analysed: {found['not_analysed'][key]}"
    small = report_lines(forensics.report(libjpegs(PHOTO[:24, :24], 80)))
    assert small[0] == "encoder: libjpeg, quality 80 (tables exactly)"
    assert "not analysed: " in line(small, "parts of another grid: ")


def test_tables_that_no_program_has_are_custom_and_those_in_another_layout_doubtful() -> None:
    table = np.arange(8, 72).reshape(8, 8)
    custom = mozcodec.encode(PHOTO[:64, :64], None, quant_tables=[table], quant_baseline=False)
    first, second, qualities, *_ = encoder_lines(identification(custom))
    assert first.startswith("encoder: custom tables, fingerprint ") and "; nearest " in first
    assert second.startswith("  next candidate: ")
    assert "(nearest)" in qualities
    # as cameras write it: both tables of libjpeg in one segment
    file = libjpegs(PHOTO[:64, :64], 90)
    start = file.index(b"\xff\xdb")
    luma, chroma = file[start + 4 : start + 69], file[start + 73 : start + 138]
    joined = b"\xff\xdb" + (2 + 65 + 65).to_bytes(2, "big") + luma + chroma
    camera = encoder_lines(identification(file[:start] + joined + file[start + 138 :]))
    assert camera[0] == (
        "encoder: tables of libjpeg, quality 90; doubtful: the layout of the file is not libjpeg's, so another program "
        "or a camera with the same tables wrote it"
    )


def test_camera_thumbnail_and_findings_are_stated() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Canon", "EOS 5D", "GIMP 2.10"
    lines = report_lines(forensics.report(mozcodec.encode(PHOTO[:64, :64], 90, exif=exif.tobytes()[6:])))
    assert line(lines, "metadata: ") == "metadata: GIMP 2.10"
    assert line(lines, "  camera: ") == "  camera: Canon EOS 5D"
    assert line(lines, "  C2PA manifest: ") == "  C2PA manifest: absent"
    assert "  trace, software: written by an editor: GIMP 2.10" in lines


def entry(tag: int, kind: int, number: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, number, value)


def tiff(*entries: bytes, rest: bytes = bytes(4)) -> bytes:
    return b"II*\0" + (8).to_bytes(4, "little") + len(entries).to_bytes(2, "little") + b"".join(entries) + rest


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"II*", "EXIF does not begin as a TIFF structure"),
        (b"II*\0" + (90).to_bytes(4, "little"), "an EXIF directory lies outside of the segment or is too long"),
        (tiff(entry(0x0112, 3, 1, 1))[:-8], "an EXIF directory is cut off"),
        (tiff(entry(0x010F, 2, 40, 500)), "EXIF tag 0x010F lies outside of the segment"),
    ],
)
def test_defects_of_exif_are_named(data: bytes, problem: str) -> None:
    assert read_exif(data).problems == (problem,)


@pytest.mark.parametrize(
    ("code", "text"),
    [(b"ASCII\0\0\0", b"seen"), (b"\0" * 8, b"seen"), (b"UNICODE\0", "seen".encode("utf-16"))],
)
def test_a_user_comment_is_read_in_its_character_code(code: bytes, text: bytes) -> None:
    # EXIF 2.32: the comment (0x9286, undefined) stands in the directory that 0x8769 points to
    comment = code + text
    inner = 8 + 2 + 12 + 4
    directory = (1).to_bytes(2, "little") + entry(0x9286, 7, len(comment), inner + 2 + 12 + 4) + bytes(4)
    assert read_exif(tiff(entry(0x8769, 4, 1, inner)) + directory + comment).values["UserComment"] == "seen"


def test_a_manifest_that_is_not_one_is_not_called_valid() -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + kind + content

    store = box(b"jumb", box(b"jumd", b"c2pa" + bytes(12) + b"\x03c2pa\0"))
    app11 = b"JP" + (1).to_bytes(2, "big") + (1).to_bytes(4, "big") + store
    plain = mozcodec.encode(PHOTO[:64, :64], 90)
    file = plain[:2] + b"\xff\xeb" + (len(app11) + 2).to_bytes(2, "big") + app11 + plain[2:]
    found = forensics.metadata_report(file).content_credentials
    expected = "invalid" if importlib.util.find_spec("c2pa") else "not validated"
    assert (found.embedded, found.state) == (True, expected)
