"""Histograms of DCT coefficients under the hypothesis of an earlier compression; shared by the other modules."""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .._inspect import _all_tables as all_tables
from .._pixels import zigzag

BASES = (0, 3)
"""The base tables of the earlier compressions that are tried: libjpeg's and mozjpeg's default."""
ROUNDING = 0.45
"""Standard deviation of a DCT coefficient's error from pixels rounded to integers and converted between colour spaces;
rounding alone gives sqrt(1/12) = .29."""
MIXTURE = 0.1
"""Share of the blocks that are taken as compressed once (edited, clipped or flat ones)."""
BIN = 0.25
"""Width of the bins of coefficients that are not quantized."""
_ONE_THREAD = 1 << 18
"""Multiplications of a matrix product up to which OpenBLAS takes one thread (interface/gemm.c)."""


@cache
def earlier_tables() -> NDArray[np.int64]:
    """Return the luma tables of the earlier compressions: (2 base tables, 100 qualities, 64)."""
    return np.stack([all_tables()[0, :, base, 0].reshape(100, 64) for base in BASES])


def product(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return *left* @ *right*, two matrices or a matrix and a vector, computed on the calling thread.

    OpenBLAS would take all processors, whose threads then wait in loops for the next product: several times the CPU
    time, and no shorter. Products of vectors do not go to it.
    """
    if left.ndim == 1:
        return np.asarray(np.einsum("i,ij->j", left, right))
    if right.ndim == 1:
        return np.asarray(np.einsum("ij,j->i", left, right))
    rows, columns = left.shape[0], right.shape[1]
    if out is None:
        out = np.empty((rows, columns), np.result_type(left, right))
    if rows < columns:
        product(right.T, left.T, out.T)
        return out
    step = max(1, _ONE_THREAD // right.size)
    for first in range(0, rows, step):
        part = slice(first, first + step)
        if rows - first == 1 or step == 1 or columns == 1:
            out[part] = np.einsum("ij,jk->ik", left[part], right)
        else:
            np.matmul(left[part], right, out=out[part])
    return out


@cache
def basis() -> NDArray[np.float32]:
    """Return the DCT of one dimension, (8 frequencies, 8 samples); T.81, A.3.3."""
    k = np.arange(8)
    rows = np.sqrt(2 / 8) * np.cos((2 * k[None] + 1) * k[:, None] * np.pi / 16)
    rows[0] /= math.sqrt(2)
    return np.asarray(rows, np.float32)


@cache
def basis_of(places: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the basis images of some coefficients as the columns of a matrix, (64 samples, coefficients)."""
    images = np.einsum("uy,vx->uvyx", basis(), basis()).reshape(64, 64)
    return np.ascontiguousarray(images[list(places)].T)


def first_places(count: int, start: int = 1) -> tuple[int, ...]:
    """Return the places of *count* coefficients from *start* on in zigzag order; 0 is DC."""
    return tuple(int(place) for place in zigzag(8)[start : start + count])


def dct(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the DCT of all whole blocks of gray pixels (H, W): (blocks, 64)."""
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    blocks = pixels[: 8 * rows, : 8 * columns].astype(np.float32).reshape(rows, 8, columns, 8).swapaxes(1, 2) - 128
    return np.asarray((basis() @ blocks @ basis().T).reshape(-1, 64), np.float32)


def limit_of(step: int) -> int:
    """Return the largest quantized value that is analysed."""
    return min(60, 1100 // step)


def requantized_ratios(
    free: NDArray[np.float32], step: int, earlier: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return log(p(value | earlier step) / p(value | none)) of the quantized values -limit..limit.

    *free* are coefficients of the same image that an earlier compression did not quantize, *step* is the last
    quantization step. The result is (values, different earlier steps), the same where -1, 0 and 1 count as one value,
    and the column of each of *earlier*.
    """
    limit = limit_of(step)
    bins, weights = np.unique(np.round(free / BIN), return_counts=True)
    values = bins * BIN
    once = _histogram(values, weights, step, limit)
    steps, column = np.unique(earlier, return_inverse=True)
    ratios = np.empty((2 * limit + 1, len(steps)))
    small = slice(max(0, limit - 1), limit + 2)
    for i, first in enumerate(steps):
        multiples = np.round(values / first).astype(np.intp)  # in order, as the values are
        mass = np.bincount(multiples - multiples[0], weights=weights)
        twice = _histogram((np.arange(len(mass)) + multiples[0]) * float(first), mass, step, limit)
        ratios[:, i] = np.log(((1 - MIXTURE) * twice + MIXTURE * once) / once)
    merged = ratios.copy()
    merged[small] = np.log(once[small] @ np.exp(ratios[small]) / once[small].sum())
    return ratios, merged, column.reshape(earlier.shape)


def _histogram(values: NDArray[np.float64], weights: NDArray[Any], step: int, limit: int) -> NDArray[np.float64]:
    """Return the probabilities of -limit..limit after values with a normal error are divided by *step* and rounded."""
    edges = (np.arange(-limit, limit + 2) - 0.5) * step
    below = product(normal((edges[:, None] - values) / ROUNDING), weights.astype(np.float64))
    mass = np.diff(below) + 1e-3
    return np.asarray(mass / mass.sum())


_FINE = 256


@cache
def _normal_table() -> NDArray[np.float64]:
    """The standard normal distribution function from -8 to 8 in steps of 1/_FINE."""
    return np.array([0.5 * math.erfc(-i / _FINE / math.sqrt(2)) for i in range(-8 * _FINE, 8 * _FINE + 1)])


def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard normal distribution function at the nearest place of a table, to .4 / 512."""
    place = np.clip(x * _FINE, -8 * _FINE, 8 * _FINE).astype(np.intp)
    return np.asarray(_normal_table()[place + 8 * _FINE])


def coefficients_at(
    gray: NDArray[np.uint8],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    down: int,
    right: int,
    places: tuple[int, ...] = tuple(range(64)),
) -> NDArray[np.float32]:
    """Return coefficients of the blocks at some rows and columns of a moved grid: (blocks, places)."""
    windows = sliding_window_view(gray, (8, 8))
    taken = windows[(8 * rows + down)[:, None], 8 * columns + right]
    return product(taken.reshape(-1, 64).astype(np.float32) - 128, basis_of(places))
