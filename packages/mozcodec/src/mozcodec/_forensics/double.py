"""Evidence of an earlier compression of the whole image."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._coefficients import read_coefficients
from .._decode import decode
from .._errors import UnsupportedError
from .._inputs import Source, content_of
from .cells import cells_of
from .histograms import BASES, dct, earlier_tables, first_places, product, requantized_ratios
from .shifts import Shifts, candidates, standardised

PLACES = first_places(15)
"""The coefficients that are analysed: the first 15 AC coefficients in zigzag order."""
THRESHOLD = 0.1
"""Evidence from which a file counts as compressed twice: docs/results.md has the false alarms and the misses."""
BEYOND_ONE_THRESHOLD = 0.06
"""The same for the evidence without the difference between -1, 0 and 1, which encoders move when they set small
coefficients to 0 (trellis quantization, jpegli's adaptive quantization)."""
SHIFTED_THRESHOLD = 6.0
"""The same for an earlier compression with its blocks at other pixels."""
_MAX_BLOCKS = 16384
_SMALLEST = 64


@dataclass(frozen=True, slots=True)
class ShiftedCompression:
    """Evidence of an earlier JPEG whose blocks began at other pixels: the image was cropped or moved since."""

    evidence: float
    """By how many standard deviations the likelihood of this grid is above those of the other 63 grids."""
    detected: bool
    """Whether *evidence* is at least :data:`SHIFTED_THRESHOLD`."""
    offset: tuple[int, int]
    """(row, column), 0..7, of the pixel where a block of the earlier grid begins."""
    quality: int
    """The earlier quality that explains the file best, 30..99; meaningful where *detected*."""
    quant_table: int
    """The base table of that quality: 0 libjpeg's, 3 mozjpeg's default."""


@dataclass(frozen=True, slots=True)
class DoubleCompression:
    """Evidence of an earlier JPEG compression."""

    evidence: float
    """On the same grid of blocks: logarithm of the likelihood ratio "compressed twice" to "compressed once", per block
    of luma; the largest over the earlier qualities."""
    detected: bool
    """Whether there was an earlier compression on the same grid: *evidence* is at least :data:`THRESHOLD` and
    *evidence_beyond_one* at least :data:`BEYOND_ONE_THRESHOLD`."""
    quality: int
    """The earlier quality that explains the file best; meaningful where *detected*."""
    quant_table: int
    """The base table of that quality: 0 libjpeg's, 3 mozjpeg's default."""
    evidence_beyond_one: float
    """*evidence* of that quality where the values -1, 0 and 1 count as one."""
    blocks: int
    """Blocks that were used."""
    shifted: ShiftedCompression
    """Evidence of an earlier compression on another grid."""

    @property
    def aligned(self) -> bool | None:
        """Whether the earlier grid is that of the file; None where no earlier compression was detected.

        Where both are detected, the image was a JPEG more than once, and this is True.
        """
        return True if self.detected else False if self.shifted.detected else None


@dataclass(frozen=True, eq=False)
class Luma:
    """The first component of a file, decoded once for :func:`double_compression`, :func:`ghosts` and :func:`grid`."""

    width: int
    height: int
    blocks: NDArray[np.int16]
    """Quantized coefficients (rows of blocks, blocks in a row, 8, 8)."""
    steps: NDArray[np.int64]
    """Their quantization steps, (64,)."""
    pixels: NDArray[np.uint8]
    """(height, width)."""

    @cached_property
    def shifted(self) -> ShiftedCompression:
        """The best of the other 63 grids."""
        return _shifted(self.pixels, self.steps)

    @cached_property
    def ratios(self) -> "Ratios":
        """:func:`requantized_ratios` of each of PLACES.

        The coefficients without an earlier compression are those of blocks from row and column 4 on; if the earlier
        compression had its blocks there, of others.
        """
        found = self._ratios_from(4, 4)
        is_double = self._evidence(found)[0] >= THRESHOLD
        if is_double and self.shifted.detected and self.shifted.offset == (4, 4):
            return self._ratios_from(2, 5)
        return found

    def _ratios_from(self, down: int, right: int) -> "Ratios":
        free, earlier = free_coefficients(self.pixels, down, right), earlier_tables()
        return [requantized_ratios(free[:, place], int(self.steps[place]), earlier[..., place]) for place in PLACES]

    def _evidence(self, ratios: "Ratios") -> tuple[float, float, int, int]:
        return aligned_evidence(evenly_spaced(self.blocks.reshape(-1, 64)), self.steps, ratios)

    @cached_property
    def aligned(self) -> tuple[float, float, int, int]:
        """See :func:`aligned_evidence`."""
        return self._evidence(self.ratios)

    @property
    def is_double(self) -> bool:
        """Whether there was an earlier compression on the same grid."""
        return self.aligned[0] >= THRESHOLD and self.aligned[1] >= BEYOND_ONE_THRESHOLD


def read_luma(data: Source, **limits: Any) -> Luma:
    """Return the luma of a file that :func:`double_compression`, :func:`ghosts` and :func:`grid` can analyse.

    They take it instead of the file, which is then decoded once. *limits* are those of
    :func:`mozcodec.read_coefficients` (max_pixels, max_work ...). Raises its errors, and
    :class:`mozcodec.UnsupportedError` for images below 64 x 64 pixels and for other precisions than 8 bits.
    """
    stream = content_of(data)
    coefficients = read_coefficients(stream, **limits)
    size = f"{coefficients.width} x {coefficients.height}"
    if coefficients.precision != 8 or coefficients.block_size != 8:
        size += f" of {coefficients.precision} bits in blocks of {coefficients.block_size} x {coefficients.block_size}"
    if coefficients.precision != 8 or coefficients.block_size != 8 or min(coefficients.width, coefficients.height) < 64:
        raise UnsupportedError(
            f"earlier compressions are found in images of 8 bits from {_SMALLEST} x {_SMALLEST} pixels on, got {size}"
        )
    blocks = coefficients.components[0]
    pixels = decode(stream, "gray", **limits)
    if abs(blocks.shape[0] - -(-pixels.shape[0] // 8)) > 1 or abs(blocks.shape[1] - -(-pixels.shape[1] // 8)) > 1:
        raise UnsupportedError("earlier compressions are found in images whose first component has full resolution")
    steps = coefficients.quant_tables[0].astype(np.int64).ravel()
    return Luma(coefficients.width, coefficients.height, blocks, steps, pixels)


def luma_of(data: Source | Luma) -> Luma:
    """Return *data*, read if it is a file."""
    return data if isinstance(data, Luma) else read_luma(data)


def double_compression(data: Source | Luma) -> DoubleCompression:
    """Return the evidence that the image was a JPEG before: on the same grid of blocks, and on each other grid.

    Coefficients that were rounded to multiples of one step and then of another leave gaps and peaks in their
    histograms (Popescu and Farid, Statistical Tools for Digital Forensics, 2004). What the histogram would be without
    an earlier compression is taken from the decoded image without its first four rows and columns, where the blocks
    of the earlier grid are out of step (calibration: Fridrich, Goljan and Hogea, Steganalysis of JPEG Images, 2002).
    For each earlier quality 1..100 of libjpeg's and mozjpeg's default tables the likelihood of the luma histograms of
    the first 15 AC coefficients is compared with that of a single compression.

    Encoders that set small coefficients to 0 on purpose change the shares of -1, 0 and 1 in a single compression, so an
    earlier one must also show where these three count as one value.

    If the image was cropped after the earlier compression, the coefficients of the decoded image are near multiples of
    the earlier step on one of the 63 other grids. The likelihoods of the histograms there are compared with those of
    the other grids, which show the same content.

    An earlier compression that was finer than the last one, or had the same tables, leaves little: docs/results.md
    has the detection rate by pair of qualities. Raises the errors of :func:`read_luma`.
    """
    luma = luma_of(data)
    evidence, beyond, quality, base = luma.aligned
    count = len(evenly_spaced(luma.blocks.reshape(-1, 64)))
    return DoubleCompression(evidence, luma.is_double, quality, base, beyond, count, luma.shifted)


def evenly_spaced(rows: NDArray[np.int16]) -> NDArray[np.int16]:
    """Evenly spaced rows, at most _MAX_BLOCKS."""
    return rows[:: -(-len(rows) // _MAX_BLOCKS)]


def free_coefficients(gray: NDArray[np.uint8], down: int, right: int) -> NDArray[np.float32]:
    """Return the DCT of evenly spaced blocks that begin at other pixels than the file's: (blocks, 64)."""
    rows, columns = (gray.shape[0] - down) // 8, (gray.shape[1] - right) // 8
    step = max(1, int(np.ceil(np.sqrt(rows * columns / _MAX_BLOCKS))))
    tall = gray[down : down + 8 * rows, right : right + 8 * columns].reshape(rows, 8, columns, 8)
    taken = np.ascontiguousarray(tall[::step, :, ::step])
    return dct(taken.reshape(taken.shape[0] * 8, -1))


Ratios = list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]]


def aligned_evidence(
    blocks: NDArray[np.int16], steps: NDArray[np.int64], ratios: Ratios
) -> tuple[float, float, int, int]:
    """Return the largest evidence of an earlier compression on the file's grid, its quality and its base table.

    The second value is the evidence of the same quality where the values -1, 0 and 1 count as one.
    """
    earlier = earlier_tables()
    total, beyond = np.zeros((2, *earlier.shape[:2]))
    for place, (ratio, merged, column) in zip(PLACES, ratios, strict=True):
        limit = len(ratio) // 2
        inside = blocks[:, place][np.abs(blocks[:, place]) <= limit].astype(np.int64)
        counts = np.bincount(inside + limit, minlength=len(ratio))
        total += product(counts, ratio)[column] / len(blocks)
        beyond += product(counts, merged)[column] / len(blocks)
    # the file's own tables explain a single compression as well
    total[(earlier[..., list(PLACES)] == steps[list(PLACES)]).all(axis=-1)] = -np.inf
    base, quality = (int(i) for i in np.unravel_index(int(np.argmax(total)), total.shape))
    return float(total[base, quality]), float(beyond[base, quality]), quality + 1, BASES[base]


def _shifted(gray: NDArray[np.uint8], steps: NDArray[np.int64]) -> ShiftedCompression:
    rows, columns = gray.shape[0] // 8 - 1, gray.shape[1] // 8 - 1
    most = int(np.sqrt(_MAX_BLOCKS))
    cells = cells_of(rows, columns, 1 << 17, 1, most)
    total = standardised(Shifts(gray, steps, cells).likelihood.sum(axis=(1, 2)))
    shift, best = (int(i) for i in np.unravel_index(int(np.argmax(total)), total.shape))
    _, quality, base = candidates()
    evidence = float(total[shift, best])
    offset = divmod(shift, 8)
    return ShiftedCompression(
        evidence, evidence >= SHIFTED_THRESHOLD, offset, int(quality[best]), BASES[int(base[best])]
    )
