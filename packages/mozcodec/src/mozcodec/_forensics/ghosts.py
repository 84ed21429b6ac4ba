"""Maps of an earlier compression on the file's own grid of blocks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._inputs import Source
from .._inspect import _all_tables as all_tables
from .._options import integer
from .cells import MOST, Cells, among_cells, cells_of, histograms, neighbours, picture_of_map, share_of
from .double import PLACES, Luma, luma_of
from .histograms import BASES, coefficients_at, earlier_tables, product

GHOSTS_THRESHOLD = 8.0
"""Evidence from which a part of the image counts as one with another history."""
LEVELS = tuple(range(30, 100, 5))
"""Qualities of libjpeg at which the differences are computed."""
_SIDE = 16
MOST_SQUARES = 1600
_MOST_BLOCKS = 4
_CONTENT_SHIFTS = ((4, 4), (2, 5), (5, 2), (3, 6), (6, 3), (5, 5))
"""Grids that the file's own quantization does not reach: they show what a cell contains."""


@dataclass(frozen=True, slots=True, eq=False)
class Ghosts:
    """Where parts of an image were compressed before, on the same grid of blocks, unlike the rest.

    Maps have a value for each square of *side* pixels of the image as stored: (rows, columns).
    """

    side: int
    """In pixels."""
    size: tuple[int, int]
    """(width, height) of the image in pixels."""
    quality: int | None
    """The earlier quality of most of the image; None where most of it has no earlier compression that shows."""
    quant_table: int | None
    """The base table of that quality: 0 libjpeg's, 3 mozjpeg's default."""
    evidence: NDArray[np.float32]
    """By how many standard deviations a square differs from what the history of most of the image predicts for its
    content; the square and its eight neighbours count together."""
    region: NDArray[np.bool_]
    """Where *evidence* is at least :data:`GHOSTS_THRESHOLD`, there and in three of the eight squares around."""
    qualities: NDArray[np.int16]
    """The earlier quality that explains each square best, 1..99; 0 where none shows."""
    levels: tuple[int, ...]
    """The qualities of *differences*."""
    differences: NDArray[np.float32]
    """(levels, rows, columns): mean squared difference between the luma coefficients and the same rounded to the steps
    of a quality, in 0..1 of its range over the levels (Farid, Exposing Digital Forgeries from JPEG Ghosts, 2009). A
    square that was compressed at a level before is dark there."""

    @property
    def detected(self) -> bool | None:
        """Whether *region* has a square; None, "cannot be told", if it has one and *quality* is not None: most of the
        image was compressed before, and half of such files have a square without a pasted part (docs/forensics.md).
        """
        if self.region.any():
            return True if self.quality is None else None
        return False

    def picture(self, level: int | None = None) -> NDArray[np.uint8]:
        """Return a map as an RGB image, at most 1024 pixels wide and high: *evidence*, or the difference at a level.

        ValueError if *level* is not one of *levels*.
        """
        width, height = self.size
        if level is None:
            return picture_of_map(self.evidence, self.side, width, height, 0, 2 * GHOSTS_THRESHOLD)
        if level not in self.levels:
            raise ValueError(f"level must be one of {', '.join(str(one) for one in self.levels)}, got {level}")
        return picture_of_map(self.differences[self.levels.index(level)], self.side, width, height, 0, 1)


def ghosts(data: Source | Luma, *, most_squares: int = MOST_SQUARES) -> Ghosts:
    """Return maps of the places whose earlier compression is another than that of most of the image.

    For each square the likelihoods of the histograms of 15 luma coefficients under each earlier quality are compared
    with those of a single compression, as in :func:`double_compression`, and less what the same content gives on
    other grids. Where most of the image was compressed before, squares without that trace stand out; where it was not,
    squares with a trace. An earlier compression on another grid leaves no trace here, see :func:`grid`.

    Images of more than *most_squares* squares (at 1,600: 640 x 640 pixels) are analysed in larger squares, of which at
    most 16 blocks are used, so that the work is bounded, apart from decoding; time and memory grow with it.
    docs/forensics.md has the measured errors. Raises the errors of :func:`read_luma`.
    """
    integer("most_squares", most_squares, 1, 1 << 20)
    luma = luma_of(data)
    rows, columns = luma.pixels.shape[0] // 8 - 1, luma.pixels.shape[1] // 8 - 1
    cells = cells_of(rows, columns, _SIDE, most_squares, _MOST_BLOCKS)
    own = luma.blocks[cells.block_rows[:, None], cells.block_columns].reshape(-1, 64).astype(np.int64)
    _, _, quality, base = luma.aligned
    at = BASES.index(base) * 100 + quality - 1
    gain, spread, expected = _gains(own, luma, cells, at)
    share = share_of(gain[..., at], expected)
    is_known = luma.is_double and share >= MOST
    if is_known:
        evidence = among_cells((share * expected - gain[..., at]) / spread[..., at])
        standard = gain / spread
    else:
        standard = among_cells(gain / spread)
        evidence = standard.max(axis=-1)
    best = standard.argmax(axis=-1)
    shows = standard.max(axis=-1) >= GHOSTS_THRESHOLD
    return Ghosts(
        side=cells.side,
        size=(luma.width, luma.height),
        quality=quality if is_known else None,
        quant_table=base if is_known else None,
        evidence=np.asarray(evidence, np.float32),
        region=_groups(evidence >= GHOSTS_THRESHOLD),
        qualities=np.where(shows, best % 100 + 1, 0).astype(np.int16),
        levels=LEVELS,
        differences=_differences(own, luma.steps, cells),
    )


def _groups(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a region without single squares: a part of another history is seen by all squares around it, too."""
    return np.asarray(region & (neighbours(region.astype(np.int64)) >= 4))


def _gains(
    own: NDArray[np.int64], luma: Luma, cells: Cells, known: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return log likelihood ratios less those of the content (rows, columns, 200), their spread, and what is expected.

    The last is what the content would gain if it had the history number *known* of the 200.
    """
    tables = earlier_tables().reshape(-1, 64)
    moved = [
        coefficients_at(luma.pixels, cells.block_rows, cells.block_columns, *shift, PLACES) for shift in _CONTENT_SHIFTS
    ]
    # the places last would be read with gaps
    contents = np.stack([np.ascontiguousarray(content.T) for content in moved], axis=1)
    numbers, share = np.tile(cells.number, len(_CONTENT_SHIFTS)), np.float32(1 / len(_CONTENT_SHIFTS))
    gain, variance = np.zeros((2, cells.count, len(tables)), np.float32)
    expected = np.zeros(cells.count, np.float32)
    for i, (place, (ratio, _, columns)) in enumerate(zip(PLACES, luma.ratios, strict=True)):
        step, first, column = int(luma.steps[place]), int(tables[known, place]), columns.ravel()
        limit = len(ratio) // 2

        def counts(values: NDArray[Any], of: NDArray[np.intp], limit: int = limit) -> NDArray[np.float32]:
            return histograms(values.astype(np.int64) + limit, of, cells.count, 2 * limit + 1)

        content = contents[i].ravel()
        once = counts(np.rint(content / step), numbers) * share
        twice = counts(np.rint(np.rint(content / first) * first / step), numbers) * share
        found, of = counts(own[:, place], cells.number), ratio.astype(np.float32)
        gain += product(found - once, of)[:, column]
        variance += product(found + once * share, of**2)[:, column]
        expected += product(twice - once, of[:, column[known]])
    shape = (*cells.shape, -1)

    def summed(maps: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.moveaxis(neighbours(np.moveaxis(maps.reshape(shape).astype(np.float64), -1, 0)), 0, -1)

    return summed(gain), np.sqrt(summed(variance) + 1), summed(expected)[..., 0]


def _differences(own: NDArray[np.int64], steps: NDArray[np.int64], cells: Cells) -> NDArray[np.float32]:
    exact = (own * steps).astype(np.float32)  # and all that follows: whole numbers below 2 ** 24
    found = np.empty((len(LEVELS), cells.count))
    for i, level in enumerate(LEVELS):
        table = all_tables()[1, level - 1, 0, 0].ravel().astype(np.float32)
        error = np.rint(exact / table)
        error *= table
        error -= exact
        mean = np.einsum("ij,ij->i", error, error) / 64
        found[i] = np.bincount(cells.number, weights=mean, minlength=cells.count)
    maps = neighbours(found.reshape(-1, *cells.shape))
    low, high = maps.min(axis=0), maps.max(axis=0)
    return np.asarray((maps - low) / np.maximum(high - low, 1e-9), np.float32)
