"""Maps of an earlier compression on another grid of blocks than the file's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._inputs import Source
from .._options import integer
from .cells import MOST, among_cells, cells_of, neighbours, picture_of_map, share_of
from .double import SHIFTED_THRESHOLD, Luma, luma_of
from .shifts import Shifts, candidates, standardised

GRID_THRESHOLD = 8.0
"""Evidence from which a part of the image counts as one with another grid."""
_SIDE = 32
MOST_SQUARES = 400
_MOST_BLOCKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where parts of an image were compressed before with their blocks at other pixels, unlike the rest.

    Maps have a value for each square of *side* pixels of the image as stored: (rows, columns).
    """

    side: int
    """In pixels."""
    size: tuple[int, int]
    """(width, height) of the image in pixels."""
    offset: tuple[int, int] | None
    """(row, column), 0..7, of the pixel where a block of the earlier grid of most of the image begins; None where most
    of it shows no other grid than the file's."""
    evidence: NDArray[np.float32]
    """By how many standard deviations the likelihood of another grid than that of most of the image is above those of
    all grids or, where most of the image has an earlier grid, how far its likelihood is below the expected one; the
    larger of the two. The square and its eight neighbours count together."""
    region: NDArray[np.bool_]
    """Where *evidence* is at least :data:`GRID_THRESHOLD`."""
    offsets: NDArray[np.int8]
    """(rows, columns, 2): the most likely earlier grid of each square, as *offset*; (0, 0), the grid of the file, where
    no other one shows."""
    qualities: NDArray[np.int16]
    """The quality of that earlier compression, 30..99; 0 where no other grid shows."""

    @property
    def detected(self) -> bool | None:
        """Whether *region* has a square; None, "cannot be told", if it has one and *offset* is not None: most of the
        image was compressed before, and half of such files have a square without a pasted part (docs/forensics.md).
        """
        if self.region.any():
            return True if self.offset is None else None
        return False

    def picture(self) -> NDArray[np.uint8]:
        """Return *evidence* as an RGB image, at most 1024 pixels wide and high."""
        return picture_of_map(self.evidence, self.side, *self.size, 0, 2 * GRID_THRESHOLD)


def grid(data: Source | Luma, *, most_squares: int = MOST_SQUARES) -> Grid:
    """Return maps of the places whose earlier grid of blocks is another than that of most of the image.

    A part that was taken from a JPEG and pasted has its former blocks at other pixels than the file, unless it was
    moved by a multiple of eight (one case in 64: see :func:`ghosts`). For each square and each of the 63 other grids
    the likelihoods of the histograms of ten luma coefficients under each earlier quality are compared as in
    :func:`double_compression`.

    Images of more than *most_squares* squares (at 400: 640 x 640 pixels) are analysed in larger squares, of which at
    most 64 blocks are used, so that the work is bounded, apart from decoding; time and memory grow with it.
    docs/forensics.md has the measured errors. Raises the errors of :func:`read_luma`.
    """
    integer("most_squares", most_squares, 1, 1 << 20)
    luma = luma_of(data)
    rows, columns = luma.pixels.shape[0] // 8 - 1, luma.pixels.shape[1] // 8 - 1
    cells = cells_of(rows, columns, _SIDE, most_squares, _MOST_BLOCKS)
    found = Shifts(luma.pixels, luma.steps, cells)
    overall = standardised(found.likelihood.sum(axis=(1, 2)))
    main, kind = (int(i) for i in np.unravel_index(int(np.argmax(overall)), overall.shape))
    summed = np.moveaxis(neighbours(np.moveaxis(found.likelihood, -1, 1)), 1, -1)
    local = standardised(summed)
    others = np.delete(summed[1:, ..., kind], main - 1, axis=0)
    expected = neighbours(found.expected(kind).reshape(cells.shape))
    gain = summed[main, ..., kind] - np.median(others, axis=0)
    share = share_of(gain, expected)
    has_main = float(overall[main, kind]) >= SHIFTED_THRESHOLD and share >= MOST
    missing = np.zeros(cells.shape)
    if has_main:
        missing = among_cells((share * expected - gain) / (others.std(axis=0) + 1))
    flat = np.moveaxis(local, 0, -2).reshape(*cells.shape, -1)
    best, strength = flat.argmax(axis=-1), flat.max(axis=-1)
    if has_main:
        local[main] = -np.inf
    evidence = np.maximum(local.max(axis=(0, -1)), missing)
    shows = strength >= GRID_THRESHOLD
    shift, candidate = np.divmod(best, flat.shape[-1] // 64)
    return Grid(
        side=cells.side,
        size=(luma.width, luma.height),
        offset=divmod(main, 8) if has_main else None,
        evidence=np.asarray(evidence, np.float32),
        region=evidence >= GRID_THRESHOLD,
        offsets=np.where(shows[..., None], np.stack(np.divmod(shift, 8), axis=-1), 0).astype(np.int8),
        qualities=np.where(shows, candidates()[1][candidate], 0).astype(np.int16),
    )
