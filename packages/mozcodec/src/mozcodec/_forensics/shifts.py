"""Evidence of an earlier compression whose blocks began at other pixels than those of the file."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .cells import Cells
from .histograms import basis, earlier_tables, first_places, normal, product

PLACES = first_places(10, 0)
"""The coefficients that are analysed: DC and the first nine AC coefficients in zigzag order."""
QUALITIES = np.arange(30, 100)
"""Earlier qualities that are tried: lower ones do not fit the range of the histograms, 100 quantizes nothing."""
_BIN = 0.5
_LARGEST = 100
_SIZE = int(_LARGEST / _BIN) + 1
_UP = np.float32(1 / 1024)
_CHUNK = 2048
"""Blocks that are transformed together: they fit the processor's cache."""
_MIXTURE = 0.3
"""Share of the blocks that are taken as having no such history."""
_VARIANCE = 0.15
"""Variance of a coefficient's error from pixels rounded to integers, once or twice."""
_NOISE_SHARE = 0.6
"""Variance of the last compression's error, as a share of that of a rounding error of its steps; most coefficients are
rounded to 0 and have a smaller one."""


@cache
def candidates() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the earlier steps of PLACES (candidates, places), their qualities and the index of their base table."""
    tables = earlier_tables()[:, QUALITIES - 1][..., list(PLACES)]
    quality = np.tile(QUALITIES, len(tables))
    base = np.repeat(np.arange(len(tables)), len(QUALITIES))
    return tables.reshape(-1, len(PLACES)), quality, base


@cache
def _leakage() -> NDArray[np.float64]:
    """Return how much of a coefficient's energy comes from each coefficient of the file, mean over shifts: (8, 8)."""
    shares = np.zeros((8, 8, 8))
    for shift in range(8):
        shifted = np.zeros((8, 16))
        shifted[:, shift : shift + 8] = basis()
        for half in (shifted[:, :8], shifted[:, 8:]):
            shares[shift] += (half @ basis().T) ** 2
    return shares


def _noise(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the standard deviation of the error of each of PLACES, of blocks at other pixels than the file's."""
    error = steps.reshape(8, 8) ** 2 / 12 * _NOISE_SHARE
    mean = np.mean([down @ error @ right.T for down in _leakage() for right in _leakage()], axis=0)
    return np.asarray(np.sqrt(mean.ravel()[list(PLACES)] + _VARIANCE))


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """What quantization by a step and a normal error make of a histogram of magnitudes."""

    nearest: NDArray[np.intp]
    """The number of the nearest multiple of each magnitude."""
    spread: NDArray[np.float64]
    """(magnitudes, multiples): where the error takes each multiple."""

    def of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the histogram of (..., magnitudes) after both."""
        starts = np.searchsorted(self.nearest, np.arange(self.spread.shape[1]))
        return np.asarray(product(np.add.reduceat(counts, starts, axis=-1), self.spread.T))


def _lattice(step: int, sigma: float) -> _Lattice:
    x = np.arange(_SIZE) * _BIN
    nearest = np.rint(x / step).astype(np.intp)
    edges = np.arange(-_SIZE, _SIZE + 1) * _BIN - _BIN / 2
    mass = np.diff(normal((edges[:, None] - np.arange(nearest[-1] + 1) * step) / sigma), axis=0)
    spread = mass[_SIZE:].copy()
    spread[1:] += mass[_SIZE - 1 : 0 : -1]  # negative ones have the same magnitude
    return _Lattice(nearest, spread)


def _ratios(once: NDArray[np.float64], lattices: dict[int, _Lattice]) -> NDArray[np.float32]:
    """Return log(p(magnitude | earlier step) / p(magnitude | none)), (magnitudes, steps); 0 for steps out of range."""
    found = np.zeros((_SIZE, len(lattices)), np.float32)
    for i, (step, lattice) in enumerate(lattices.items()):
        if 1 < step <= _LARGEST:
            twice = lattice.of(once) + 1e-6
            found[:, i] = np.log((1 - _MIXTURE) * twice / twice.sum() / once + _MIXTURE)
    return found


@cache
def _moved_basis() -> NDArray[np.float32]:
    """Return the DCT of the 8 samples from each of 8 places on: (8 starts, 4 frequencies, 15 samples)."""
    rows = np.zeros((8, 4, 15), np.float32)
    for start in range(8):
        rows[start, :, start : start + 8] = basis()[:4]
    return rows


def _bins(gray: NDArray[np.uint8], cells: Cells) -> NDArray[np.uint8]:
    """Return the bins of the magnitudes of PLACES in the blocks of all 64 shifts: (places, shifts, blocks).

    Magnitudes beyond the last bin have the bin _SIZE. The transform is separable: each block with the seven rows and
    columns after it is transformed along its columns at eight places, and then along its rows.
    """
    height, width = len(cells.block_rows), len(cells.block_columns)
    bins = np.empty((len(PLACES), 64, height * width), np.uint8)
    down, across = _moved_basis() * np.float32(1 / _BIN), _moved_basis()
    columns = 8 * cells.block_columns + np.arange(15)[:, None]
    chunk = max(1, _CHUNK // width)
    for first in range(0, height, chunk):
        rows = 8 * cells.block_rows[first : first + chunk] + np.arange(15)[:, None]
        blocks = gray[rows[:, None, :, None], columns[:, None, :]].astype(np.float32) - 128
        half = product(down.reshape(32, 15), blocks.reshape(15, -1)).reshape(8, 4, 15, -1)
        part = slice(first * width, first * width + half.shape[-1])
        for v in range(4):
            # u + v < 4: the first ten coefficients in zigzag order
            taken = across[:, : 4 - v].reshape(-1, 15)
            found = np.stack([product(taken, one) for one in half[:, v]])
            # DC is a multiple of 1/8: without _UP, halves would be rounded as the errors of the sums are
            np.rint(np.abs(found, out=found) + _UP, out=found)
            whole = np.minimum(found, _SIZE, out=found).astype(np.uint8).reshape(64, 4 - v, -1)
            for u in range(4 - v):
                bins[PLACES.index(8 * v + u), :, part] = whole[:, u]
    return bins


class Shifts:
    """The likelihoods of all earlier grids and qualities in each cell."""

    def __init__(self, gray: NDArray[np.uint8], steps: NDArray[np.int64], cells: Cells) -> None:
        """*gray* are the decoded pixels, *steps* the file's quantization steps of luma, (64,)."""
        size, table = cells.count, candidates()[0]
        bins = _bins(gray, cells)
        sigmas = _noise(steps)
        total = np.zeros((64, size, len(table)), np.float32)
        self.content = np.empty((len(PLACES), size, _SIZE))
        """(places, cells, magnitudes): the content of a cell, regardless of blocks."""
        self.lattices: list[dict[int, _Lattice]] = []
        self.ratios: list[NDArray[np.float32]] = []
        first_bin = cells.number * (_SIZE + 1)
        counts = np.empty((64, size, _SIZE), np.float32)
        for place in range(len(PLACES)):
            for shift, own in enumerate(bins[place]):
                found = np.bincount(first_bin + own, minlength=size * (_SIZE + 1))
                counts[shift] = found.reshape(size, _SIZE + 1)[:, :_SIZE]
            content = counts[1:].sum(axis=0, dtype=np.float64)
            self.content[place] = content / 63
            once = content.sum(axis=0) + 0.5
            different, column = np.unique(table[:, place], return_inverse=True)
            self.lattices.append({int(step): _lattice(int(step), float(sigmas[place])) for step in different})
            self.ratios.append(_ratios(once / once.sum(), self.lattices[-1]))
            found = product(counts.reshape(64 * size, _SIZE), self.ratios[-1]).reshape(64, size, -1)
            for shift in range(64):  # one after the other: they stay in the cache
                total[shift] += found[shift][:, column.ravel()]
        self.likelihood = total.reshape(64, *cells.shape, -1)
        """(shifts, rows, columns, candidates), logarithm of the ratio to no earlier compression."""

    def expected(self, candidate: int) -> NDArray[np.float64]:
        """Return the likelihood that each cell would have with this history, less that of its content: (cells,)."""
        gain = np.zeros(self.content.shape[1])
        for place, step in enumerate(candidates()[0][candidate]):
            lattices, content = self.lattices[place], self.content[place]
            ratio = self.ratios[place][:, list(lattices).index(int(step))]
            gain += product(lattices[int(step)].of(content) - content, ratio)
        return gain


def standardised(likelihood: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return by how many standard deviations the likelihood of each shift is above those of the others.

    *likelihood* is (shifts, ..., candidates); shift 0, the grid of the file itself, becomes -inf. Shifts along one
    axis only see traces of the file's own grid, and mirrored shifts see the same: they must be exceeded, too.
    """
    others = likelihood[1:]
    middle = _median(others)
    spread = np.float32(1.4826) * _median(np.abs(others - middle))
    result = np.full(likelihood.shape, -np.inf, np.float32)
    floor = 0.02 * np.sqrt(np.maximum(np.abs(middle), 1)) + 0.5
    for shift in range(1, 64):
        base = np.maximum(middle, likelihood[list(_peers(shift))].max(axis=0)) if _peers(shift) else middle
        result[shift] = (likelihood[shift] - base) / (spread + floor)
    return result


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median over the first axis, of odd length: np.median without its strides, six times as fast."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1).T)
    flat.partition(len(values) // 2, axis=1)
    return flat[:, len(values) // 2].reshape(values.shape[1:])


@cache
def _peers(shift: int) -> tuple[int, ...]:
    """Return the shifts whose likelihood a shift must exceed, too.

    Halfway between two blocks of the file many coefficients are halves of sums of theirs, so that an earlier
    compression on the file's own grid shows there as well: shifts of half a block must exceed the file's own grid and
    the four shifts beside them.
    """
    down, right = divmod(shift, 8)
    places = {(-down % 8, right), (down, -right % 8), (-down % 8, -right % 8)}
    if shift and down in (0, 4) and right in (0, 4):
        places |= {(0, 0), ((down - 1) % 8, right), (down + 1, right), (down, (right - 1) % 8), (down, right + 1)}
    return tuple(sorted(8 * y + x for y, x in places if (y, x) != (down, right)))
