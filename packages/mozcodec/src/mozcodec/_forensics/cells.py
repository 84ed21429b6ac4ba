"""Parts of an image, and maps of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLOURS = np.array(
    [(13, 8, 135), (84, 2, 163), (139, 10, 165), (185, 50, 137), (219, 92, 104), (244, 136, 73), (254, 188, 43),
     (240, 249, 33)],
    np.float64,
)  # fmt: skip
"""Matplotlib's plasma at eight places, dark to bright."""


MOST = 0.3
"""Share of the expected evidence from which a history counts as that of most of the image; half of an image gives .05
to .6, a whole one .4 to .9, since the prediction is for ideal files."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Squares of an image, each with the blocks that are analysed.

    Where an image has more than *most* squares of the smallest side, the side is doubled; in each square at most
    *most_blocks* x *most_blocks* blocks are used, so that the work is bounded.
    """

    side: int
    shape: tuple[int, int]
    block_rows: NDArray[np.intp]
    block_columns: NDArray[np.intp]
    """Of the blocks that are used."""
    number: NDArray[np.intp]
    """The cell of each block that is used, rows first."""

    @property
    def count(self) -> int:
        return self.shape[0] * self.shape[1]


def cells_of(rows: int, columns: int, side: int, most: int, most_blocks: int) -> Cells:
    """Return the cells of an image of *rows* x *columns* blocks; *side* is the smallest, in pixels."""
    while -(-rows * 8 // side) * -(-columns * 8 // side) > most:
        side *= 2
    per_cell = side // 8
    step = max(1, -(-min(per_cell, max(rows, columns)) // most_blocks))

    def along(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
        blocks = np.arange(count)
        blocks = blocks[blocks % per_cell % step == 0]
        cells = blocks // per_cell
        if count % per_cell and count > per_cell and count % per_cell < per_cell / 2:
            cells = np.minimum(cells, count // per_cell - 1)  # a thin last cell belongs to the one before it
        return blocks, cells, int(cells[-1]) + 1

    block_rows, of_row, height = along(rows)
    block_columns, of_column, width = along(columns)
    number = (of_row[:, None] * width + of_column[None]).ravel()
    return Cells(side, (height, width), block_rows, block_columns, number)


def histograms(values: NDArray[Any], cells: NDArray[np.intp], count: int, size: int) -> NDArray[np.float32]:
    """Return the histogram of each cell, (cells, size); values outside of 0..size-1 are left out."""
    inside = (values >= 0) & (values < size)
    flat = np.bincount(cells[inside] * size + values[inside], minlength=count * size)
    return flat.reshape(count, size).astype(np.float32)


def neighbours(maps: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over each cell and its eight neighbours; the maps are the last two axes."""
    padded = np.pad(maps, [(0, 0)] * (maps.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return np.asarray(rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:])


def share_of(gain: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the share of the expected gain that is there: the median over the half of the cells that show most."""
    shows = expected >= np.median(expected)
    return float(np.median(gain[shows] / np.maximum(expected[shows], 1e-9)))


def among_cells(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return evidence, (rows, columns, ...), less its median over the cells, in units of its spread where that is > 1.

    What all cells share comes from the encoder (trellis quantization changes all histograms), not from a part.
    """
    middle = np.median(evidence, axis=(0, 1))
    spread = 1.4826 * np.median(np.abs(evidence - middle), axis=(0, 1))
    return np.asarray((evidence - middle) / np.maximum(spread, 1))


def picture_of_map(
    values: NDArray[Any], side: int, width: int, height: int, low: float, high: float, most: int = 1024
) -> NDArray[np.uint8]:
    """Return a map as an RGB image of the proportions of the file, dark for *low* and bright for *high*."""
    shrink = max(1.0, max(width, height) / most)
    columns = np.minimum((np.arange(int(width / shrink)) * shrink).astype(int) // side, values.shape[1] - 1)
    rows = np.minimum((np.arange(int(height / shrink)) * shrink).astype(int) // side, values.shape[0] - 1)
    share = np.clip((np.nan_to_num(values.astype(np.float64)) - low) / (high - low), 0, 1)
    place = share * (len(_COLOURS) - 1)
    first = np.minimum(place.astype(int), len(_COLOURS) - 2)
    colours = _COLOURS[first] + (place - first)[..., None] * (_COLOURS[first + 1] - _COLOURS[first])
    return np.asarray(np.rint(colours).astype(np.uint8)[rows[:, None], columns[None]])
