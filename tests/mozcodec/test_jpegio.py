"""mozcodec.jpegio against jpegio 0.2.8: jpegio.csv holds the digests that jpegio gives for the files of ``cases``."""

import csv
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

import mozcodec
from mozcodec import jpegio

sys.path.insert(0, str(Path(__file__).parent))
import jpegio_reference

REFERENCE = Path(__file__).parent / "jpegio.csv"


def cases() -> dict[str, bytes]:
    """200 files: sequential and progressive, all samplings, gray, RGB, CMYK, comments, odd sizes."""
    colour, found = data.astronaut(), {}
    samplings = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "gray")
    sizes = ((203, 317), (64, 64), (9, 130), (1, 1))
    grid = itertools.product(samplings, (5, 50, 77, 95), (True, False), sizes)
    for number, (subsampling, quality, progressive, (height, width)) in enumerate(grid):
        pixels = colour[40 : 40 + height, 120 : 120 + width]
        mode = {} if progressive else {"profile": "fastest", "optimize_coding": bool(number % 3)}
        found[f"{number:03}.jpg"] = mozcodec.encode(pixels, quality, subsampling=subsampling, **mode)
    plain = mozcodec.encode(colour[:75, :93], 60, profile="fastest")
    found["comment.jpg"] = mozcodec.edit_metadata(plain, comment=[b"first", b"second"])
    found["rgb.jpg"] = mozcodec.encode(colour[:75, :93], 60, color_space="rgb", profile="fastest")
    found["cmyk.jpg"] = mozcodec.encode(np.dstack([colour, colour[..., :1]])[:75, :93], 60, pixel_format="cmyk")
    found["restarts.jpg"] = mozcodec.encode(colour[:75, :93], 60, restart_rows=1, profile="fastest")
    found["arithmetic.jpg"] = mozcodec.encode(colour[:75, :93], 60, arithmetic=True)
    found["tables.jpg"] = mozcodec.encode(colour[:75, :93], (30, 90), quant_table=0, profile="fastest")
    found["baseline.jpg"] = mozcodec.encode(colour[:75, :93], 77, progressive=False)
    found["distance.jpg"] = mozcodec.encode(colour[:75, :93], distance=2.0)
    return found


def test_every_attribute_is_jpegios(tmp_path: Path) -> None:
    with REFERENCE.open() as lines:
        wanted = {row["file"]: row["sha256"] for row in csv.DictReader(lines)}
    files = cases()
    assert sorted(wanted) == sorted(files) and len(wanted) == 200
    different = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        if jpegio_reference.digest(jpegio.read(tmp_path / name)) != wanted[name]:
            different.append(name)
    assert different == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    encoded = mozcodec.encode(data.astronaut()[:203, :317], 75, subsampling="4:2:0")
    path.write_bytes(mozcodec.edit_metadata(encoded, comment=[b"kept"], xmp=b"<x/>"))
    return path


def test_changes_are_written_and_nothing_else_changes(photo: Path, tmp_path: Path) -> None:
    jpeg = jpegio.read(photo)
    jpeg.coef_arrays[0][8, 3] += 1
    jpeg.get_coef_block(1, 2, 3)[:] = 0
    jpeg.quant_tables[1][7, 7] = 99
    jpeg.markers.append(b"a second comment")
    assert jpegio.write(jpeg, tmp_path / "changed.jpg") is jpeg
    again, source = jpegio.read(tmp_path / "changed.jpg"), jpegio.read(photo)
    source.coef_arrays[0][8, 3] += 1
    source.coef_arrays[1][16:24, 24:32] = 0
    for one, other in zip(again.coef_arrays, source.coef_arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.quant_tables[1][7, 7] == 99
    assert again.markers == [b"kept", b"a second comment"]
    assert mozcodec.read_header((tmp_path / "changed.jpg").read_bytes()).metadata.xmp == b"<x/>"
    assert again.progressive_mode == 1 and again.comp_info == source.comp_info


def test_zigzag_rows_are_the_blocks_in_zigzag_order(photo: Path, tmp_path: Path) -> None:
    jpeg, rows = jpegio.read(photo), jpegio.read(photo, jpegio.ZIGZAG_DCT_1D)
    order = [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]  # T.81, figure A.6
    for c in range(3):
        assert rows.coef_arrays[c].shape == (jpeg.coef_arrays[c].size // 64, 64)
        np.testing.assert_array_equal(rows.coef_arrays[c], jpegio.zigzag_dct_1d(jpeg.coef_arrays[c]))
        columns = jpeg.comp_info[c].width_in_blocks
        block = jpeg.get_coef_block(c, 1, 2).ravel()
        np.testing.assert_array_equal(rows.coef_arrays[c][columns + 2, :10], block[order])
    assert rows.count_nnz_ac() == jpeg.count_nnz_ac() > 0
    jpegio.write(rows, tmp_path / "rows.jpg")
    assert mozcodec.read_coefficients((tmp_path / "rows.jpg").read_bytes()) == mozcodec.read_coefficients(
        photo.read_bytes()
    )


def test_what_cannot_be_read_or_written_is_an_error(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        jpegio.read(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(mozcodec.NotJpegError):
        jpegio.read(tmp_path / "text.jpg")
    with pytest.raises(ValueError, match="flag must be DECOMPRESSED or ZIGZAG_DCT_1D, got 7"):
        jpegio.read(photo, 7)
    jpeg = jpegio.read(photo)
    jpeg.coef_arrays[2][0, 0] = 40000
    with pytest.raises(ValueError, match=r"coef_arrays\[2\]: coefficients must be within -1024\.\.1023"):
        jpegio.write(jpeg, tmp_path / "out.jpg")
    jpeg = jpegio.read(photo)
    jpeg.coef_arrays[0] = jpeg.coef_arrays[0][:-8]
    with pytest.raises(ValueError, match=r"coef_arrays\[0\] must be integers of shape \(208, 320\) or \(1040, 64\)"):
        jpegio.write(jpeg, tmp_path / "out.jpg")
    jpeg = jpegio.read(photo)
    del jpeg.quant_tables[0]
    with pytest.raises(ValueError, match="the file has 2 quantization tables, got 1"):
        jpegio.write(jpeg, tmp_path / "out.jpg")
    with pytest.raises(IndexError, match=r"component 1 has 13 x 20 blocks, got block \(13, 0\)"):
        jpeg.get_coef_block(1, 13, 0)
    assert not (tmp_path / "out.jpg").exists()
    with pytest.raises(ValueError, match="multiples of 8"):
        jpegio.zigzag_dct_1d(np.zeros((8, 9), np.int32))
