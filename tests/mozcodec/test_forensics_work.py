"""The work of mozcodec.forensics is bounded: what is counted is squares, blocks, multiplications and calls."""

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

import mozcodec
from mozcodec import forensics
from mozcodec._forensics import cells, encoder, histograms, metadata, summary

PHOTO = data.astronaut()
MAPS = ("mozcodec._forensics.ghosts", "mozcodec._forensics.grids")


def pillow(pixels: np.ndarray, quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def test_the_work_is_bounded_by_the_number_of_squares() -> None:
    """What an image of 10,000 x 10,000 pixels would use: the blocks that are taken, not the blocks that there are."""
    maps = [(one._SIDE, one.MOST_SQUARES, one._MOST_BLOCKS) for one in map(sys.modules.get, MAPS)]
    for side, most, most_blocks in (*maps, (1 << 17, 1, 128)):
        found = cells.cells_of(1249, 1249, side, most, most_blocks)
        assert found.count <= most and len(found.number) <= most * most_blocks**2 <= 26_000
        assert found.number.max() == found.count - 1
    for side, most, most_blocks in maps:  # the files that the error rates are measured on
        assert cells.cells_of(61, 91, side, most, most_blocks).side == side
    assert cells.cells_of(8, 1249, 16, 16384, 2).shape == (4, 625)


def test_a_report_multiplies_on_the_calling_thread(monkeypatch) -> None:
    """OpenBLAS takes further threads, which wait in loops, from 2**18 multiplications on."""
    sizes, matmul = [], np.matmul

    def counted(left, right, **options):
        sizes.append(left.shape[0] * left.shape[1] * right.shape[1])
        return matmul(left, right, **options)

    monkeypatch.setattr(np, "matmul", counted)
    forensics.report(pillow(np.tile(PHOTO, (3, 4, 1)), 90))
    assert len(sizes) > 1000 and max(sizes) <= 1 << 18
    assert sum(sizes) < 2_000_000_000  # in a picture of 3 megapixels; 3 times as many in 1,600 squares


@pytest.mark.parametrize(("rows", "inner", "columns"), [(25601, 201, 40), (32, 15, 30001), (1, 201, 70), (3, 3, 1)])
def test_a_product_in_pieces_is_the_product(rows, inner, columns) -> None:
    rng = np.random.default_rng(5)
    left, right = rng.integers(-9, 9, (rows, inner)), rng.integers(-9, 9, (inner, columns))
    found = histograms.product(left.astype(np.float32), right.astype(np.float32))
    assert found.dtype == np.float32 and np.array_equal(found, left @ right)
    assert np.array_equal(histograms.product(left.astype(np.float64), right[:, 0]), left @ right[:, 0])
    assert np.array_equal(histograms.product(left[0], right.astype(np.float64)), left[0] @ right)


def test_a_report_reads_the_structure_once(monkeypatch) -> None:
    calls = []
    for module in (summary, encoder):
        monkeypatch.setattr(module, "inspect", lambda data: calls.append(1) or mozcodec.inspect(data))
    forensics.report(pillow(PHOTO[:64, :64], 80))
    assert len(calls) == 1


def test_more_squares_are_taken_on_request() -> None:
    luma = forensics.read_luma(pillow(np.tile(PHOTO, (2, 2, 1)), 90))
    for function, smallest in ((forensics.ghosts, 16), (forensics.grid, 32)):
        assert function(luma).side == 2 * smallest
        assert function(luma, most_squares=5000).side == smallest
        with pytest.raises(ValueError, match="most_squares must be 1"):
            function(luma, most_squares=0)


@pytest.mark.parametrize(
    ("image", "thumbnail", "most"),
    [((244, 64), (3900, 1023), 400_000), ((900, 9000), (16, 160), 4_000_000)],
)
def test_what_is_compared_with_a_thumbnail_is_reduced(monkeypatch, image, thumbnail, most) -> None:
    """A flat thumbnail of 4 megapixels takes kilobytes; its integral image is computed for every way to turn it."""
    sizes, found_of = [], metadata._Summed.of.__func__

    def counted(cls, pixels):
        sizes.append(pixels.size)
        return found_of(cls, pixels)

    monkeypatch.setattr(metadata._Summed, "of", classmethod(counted))
    fields = dict.fromkeys(("image", "thumbnail"))
    for name, (height, width) in zip(fields, (image, thumbnail), strict=True):
        y, x = np.mgrid[:height, :width]
        fields[name] = (x * 128 // width + y * 127 // height).astype(np.uint8)
    small = mozcodec.encode(fields["thumbnail"], 5)
    ifd = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, 44, 0x202, 4, 1, len(small), 0)
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 14) + ifd + small
    found = forensics.metadata_report(mozcodec.encode(fields["image"], 5, exif=exif)).thumbnail
    assert found is not None and (found.height, found.width) == thumbnail and found.similarity > 0.9
    assert max(sizes) <= most


def test_a_rectangle_is_averaged_once() -> None:
    summed = metadata._Summed.of(PHOTO[..., 0])
    first = summed.averaged((0.0, 0.0, 1.0, 1.0), (32, 32))
    assert summed.averaged((0.0, 0.0, 1.0, 1.0), (32, 32)) is first
    assert np.allclose(first, PHOTO[..., 0].reshape(32, 16, 32, 16).mean(axis=(1, 3)))
    assert summed.averaged((0.0, 0.0, 0.5, 1.0), (32, 32)) is not first
