"""The interface of the package jpegio: files as arrays of quantized DCT coefficients, with libjpeg's names.

>>> from mozcodec import jpegio
>>> jpeg = jpegio.read("image.jpg")
>>> jpeg.coef_arrays[0][:8, :8]                     # the first block of the first component, (8, 8) int32
>>> jpegio.write(jpeg, "changed.jpg")

Attributes, shapes and dtypes are those of jpegio 0.2.8, the last release with wheels. Differences: a missing or damaged
file raises an error (jpegio prints a line and returns an empty object); metadata other than comments is kept when the
object is written (jpegio drops it); Huffman tables are always made for the coefficients, so that every change can be
written; a value that JPEG cannot store is refused; ``spatial_arrays``, which jpegio leaves empty, does not exist.
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._coefficients import Coefficients, read_coefficients, write_coefficients
from ._errors import UnsupportedError
from ._files import write_whole
from ._inspect import huffman_tables_in, quant_tables_in, segments_in
from ._metadata import DQT, SOS, Metadata, read_metadata
from ._pixels import zigzag
from ._reading import read_source

__all__ = [
    "DCTJPEG",
    "DECOMPRESSED",
    "ZIGZAG_DCT_1D",
    "ComponentInfo",
    "DecompressedJpeg",
    "Flag",
    "read",
    "write",
    "zigzag_dct_1d",
]

_DHT = 0xC4
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COLOR_SPACES = {"unknown": 0, "gray": 1, "rgb": 2, "ycbcr": 3, "cmyk": 4, "ycck": 5}
"""J_COLOR_SPACE of jpeglib.h."""
_DECODED_AS = {"unknown": "unknown", "gray": "gray", "rgb": "rgb", "ycbcr": "rgb", "cmyk": "cmyk", "ycck": "cmyk"}
"""The colour space that libjpeg decodes to by default; jdapimin.c, default_decompress_parms."""


class Flag(IntEnum):
    """What :func:`read` returns the coefficients as."""

    DECOMPRESSED = 0
    """Blocks in their places: (H, W)."""
    ZIGZAG_DCT_1D = 2
    """One row for each block: (blocks, 64)."""


DECOMPRESSED, ZIGZAG_DCT_1D = Flag.DECOMPRESSED, Flag.ZIGZAG_DCT_1D


@dataclass
class ComponentInfo:
    """A component as the frame header and the first scan describe it; names of libjpeg's ``jpeg_component_info``."""

    component_id: int
    h_samp_factor: int
    v_samp_factor: int
    quant_tbl_no: int
    ac_tbl_no: int
    dc_tbl_no: int
    downsampled_height: int
    """Rows of samples."""
    downsampled_width: int
    height_in_blocks: int
    width_in_blocks: int


@dataclass(eq=False)
class DecompressedJpeg:
    """The coded content of a JPEG. Change ``coef_arrays``, ``quant_tables`` or ``markers`` and write it."""

    coef_arrays: list[NDArray[np.int32]]
    """Of each component, quantized: (8 * height_in_blocks, 8 * width_in_blocks), each block in its place, [v, u]. After
    ``read(path, ZIGZAG_DCT_1D)``: (height_in_blocks * width_in_blocks, 64) in zigzag order."""
    quant_tables: list[NDArray[np.int32]]
    """(8, 8), [v, u]: the tables of the file in the order of their slots."""
    comp_info: list[ComponentInfo]
    ac_huff_tables: list[dict[str, NDArray[np.int32]]]
    """Those before the first scan: ``counts`` (16), ``symbols`` (256), zeros at its end."""
    dc_huff_tables: list[dict[str, NDArray[np.int32]]]
    markers: list[bytes]
    """The comments (COM segments)."""
    image_width: int
    image_height: int
    image_components: int
    """Of the decoded image; 3 for YCbCr."""
    image_color_space: int
    """libjpeg's J_COLOR_SPACE: 1 gray, 2 RGB, 3 YCbCr, 4 CMYK, 5 YCCK."""
    jpeg_color_space: int
    num_components: int
    progressive_mode: int
    """1: progressive, and written as such."""
    optimize_coding: int = 0
    """Not used: Huffman tables are always optimized when a file is written."""
    _coefficients: Coefficients = field(repr=False, kw_only=True)
    _metadata: Metadata = field(repr=False, kw_only=True)
    _slots: list[int] = field(repr=False, kw_only=True)

    def get_coef_block(self, c: int, i: int, j: int) -> NDArray[np.int32]:
        """Return block row *i*, column *j* of component *c*: (8, 8), a view.

        IndexError beyond the component.
        """
        rows, columns = self.get_coef_block_array_shape(c)
        if not (0 <= i < rows and 0 <= j < columns):
            raise IndexError(f"component {c} has {rows} x {columns} blocks, got block ({i}, {j})")
        return self.coef_arrays[c][8 * i : 8 * i + 8, 8 * j : 8 * j + 8]

    def get_coef_block_array_shape(self, c: int) -> tuple[int, int]:
        """Return (rows of blocks, blocks in a row) of component *c*."""
        info = self.comp_info[c]
        return info.height_in_blocks, info.width_in_blocks

    def are_channel_sizes_same(self) -> bool:
        """Return whether all components have as many samples, as with 4:4:4."""
        return len({(info.downsampled_height, info.downsampled_width) for info in self.comp_info}) <= 1

    def count_nnz_ac(self) -> int:
        """Return the number of AC coefficients that are not zero, over all components."""
        return sum(int(np.count_nonzero(self._blocks(c).reshape(-1, 64)[:, 1:])) for c in range(self.num_components))

    def zigzag_dct_1d(self, c: int) -> NDArray[np.int32]:
        """Return the blocks of component *c* as rows of 64 coefficients in zigzag order: (blocks, 64), a copy."""
        return self._blocks(c).reshape(-1, 64)[:, zigzag(8)]

    def write(self, fpath: "str | os.PathLike[str]") -> None:
        """Write the object as :func:`write` does."""
        write(self, fpath)

    def _blocks(self, c: int) -> NDArray[np.int32]:
        """(rows of blocks, blocks in a row, 8, 8)."""
        rows, columns = self.get_coef_block_array_shape(c)
        array = np.asarray(self.coef_arrays[c])
        shapes = ((8 * rows, 8 * columns), (rows * columns, 64))
        if array.shape not in shapes or array.dtype.kind not in "iu":
            wanted = " or ".join(str(shape) for shape in shapes)
            raise ValueError(f"coef_arrays[{c}] must be integers of shape {wanted}, got {array.dtype} {array.shape}")
        if array.shape == shapes[0]:
            return array.reshape(rows, 8, columns, 8).swapaxes(1, 2)
        natural = np.empty_like(array)
        natural[:, zigzag(8)] = array
        return natural.reshape(rows, columns, 8, 8)


DCTJPEG = DecompressedJpeg


def zigzag_dct_1d(coef_array: NDArray[Any]) -> NDArray[Any]:
    """Return a coefficient array (H, W) as rows of 64 coefficients in zigzag order: (H / 8 * W / 8, 64).

    Raises ``ValueError`` where H or W is not a multiple of 8.
    """
    array = np.asarray(coef_array)
    if array.ndim != 2 or array.shape[0] % 8 or array.shape[1] % 8:
        raise ValueError(f"a coefficient array has two sides that are multiples of 8, got {array.shape}")
    rows, columns = array.shape[0] // 8, array.shape[1] // 8
    return array.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)[:, zigzag(8)]


def read(fpath: "str | os.PathLike[str]", flag: int = DECOMPRESSED, **limits: Any) -> DecompressedJpeg:
    """Return the coded content of the JPEG file *fpath*.

    *limits* are those of :func:`mozcodec.read_coefficients` (max_pixels, max_work ...). Raises ``OSError`` where the
    file cannot be read, ``ValueError`` for an unknown *flag*, and the errors of :func:`mozcodec.read_coefficients`.
    """
    if flag not in (DECOMPRESSED, ZIGZAG_DCT_1D):
        raise ValueError(f"flag must be DECOMPRESSED or ZIGZAG_DCT_1D, got {flag!r}")
    data = read_source(Path(fpath))
    coefficients = read_coefficients(data, **limits)
    if coefficients.block_size != 8 or coefficients.precision != 8:
        what = f"block size {coefficients.block_size}, {coefficients.precision} bits"
        raise UnsupportedError(f"{fpath}: {what}; use mozcodec.read_coefficients")
    tables, huffman, frame, scan, progressive = _header_facts(data)
    slots = sorted(tables)
    color_space = coefficients.color_space or "unknown"
    shown = _DECODED_AS[color_space]
    metadata = read_metadata(data)
    jpeg = DecompressedJpeg(
        coef_arrays=[np.ascontiguousarray(_in_place(blocks), np.int32) for blocks in coefficients.components],
        quant_tables=[tables[slot].astype(np.int32) for slot in slots],
        comp_info=_component_info(coefficients, frame, scan),
        ac_huff_tables=huffman["ac"],
        dc_huff_tables=huffman["dc"],
        markers=list(metadata.comments),
        image_width=coefficients.width,
        image_height=coefficients.height,
        image_components={"unknown": 2, "gray": 1, "rgb": 3, "cmyk": 4}[shown],
        image_color_space=_COLOR_SPACES[shown],
        jpeg_color_space=_COLOR_SPACES[color_space],
        num_components=len(coefficients.components),
        progressive_mode=int(progressive),
        _coefficients=coefficients,
        _metadata=metadata,
        _slots=slots,
    )
    if flag == ZIGZAG_DCT_1D:
        jpeg.coef_arrays = [jpeg.zigzag_dct_1d(c) for c in range(jpeg.num_components)]
    return jpeg


def write(obj: DecompressedJpeg, fpath: "str | os.PathLike[str]", flag: int = DECOMPRESSED) -> DecompressedJpeg:
    """Write *obj* to the file *fpath*, which appears whole or not at all; return *obj*.

    Progressive where ``progressive_mode`` is true, else sequential; Huffman tables are optimized. Raises ``ValueError``
    for arrays of other shapes, and for values that JPEG cannot store (AC beyond +-1023, tables beyond 65535).
    """
    if flag not in (DECOMPRESSED, ZIGZAG_DCT_1D):
        raise ValueError(f"flag must be DECOMPRESSED or ZIGZAG_DCT_1D, got {flag!r}")
    if len(obj.quant_tables) != len(obj._slots):
        raise ValueError(f"the file has {len(obj._slots)} quantization tables, got {len(obj.quant_tables)}")
    tables = dict(zip(obj._slots, obj.quant_tables, strict=True))
    changed = dataclasses.replace(
        obj._coefficients,
        components=tuple(_storable(c, obj._blocks(c)) for c in range(obj.num_components)),
        quant_tables=tuple(np.asarray(tables[info.quant_tbl_no]) for info in obj.comp_info),
    )
    metadata = dataclasses.replace(obj._metadata, comments=tuple(obj.markers))
    data = write_coefficients(changed, metadata=metadata, progressive=bool(obj.progressive_mode))
    write_whole(Path(fpath), data)
    return obj


def _in_place(blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    """(rows, columns, 8, 8) -> (8 * rows, 8 * columns)."""
    rows, columns = blocks.shape[:2]
    return blocks.swapaxes(1, 2).reshape(8 * rows, 8 * columns)


def _storable(c: int, blocks: NDArray[Any]) -> NDArray[np.int16]:
    if blocks.size and (blocks.min() < -1024 or blocks.max() > 1023):
        raise ValueError(f"coef_arrays[{c}]: coefficients must be within -1024..1023, T.81, F.1.2")
    return np.ascontiguousarray(blocks, np.int16)


def _header_facts(
    data: bytes,
) -> tuple[dict[int, NDArray[np.uint16]], dict[str, list[dict[str, NDArray[np.int32]]]], bytes, bytes, bool]:
    """Return what stands before the first scan: tables by slot, Huffman tables, frame and scan header, progressive."""
    tables: dict[int, NDArray[np.uint16]] = {}
    huffman: dict[tuple[str, int], dict[str, NDArray[np.int32]]] = {}
    frame, scan, progressive = b"", b"", False
    for segment, _ in segments_in(data)[0]:
        content = bytes(segment.data)
        if segment.marker == DQT:
            tables |= quant_tables_in(content)
        elif segment.marker == _DHT:
            for table in huffman_tables_in(content):
                symbols = np.zeros(256, np.int32)
                symbols[: len(table.symbols)] = list(table.symbols)
                huffman[table.kind, table.slot] = {"counts": np.array(table.counts, np.int32), "symbols": symbols}
        elif segment.marker in _FRAMES:
            frame, progressive = content, segment.marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif segment.marker == SOS:
            scan = content
            break
    by_kind = {kind: [huffman[key] for key in sorted(huffman) if key[0] == kind] for kind in ("ac", "dc")}
    return tables, by_kind, frame, scan, progressive


def _component_info(coefficients: Coefficients, frame: bytes, scan: bytes) -> list[ComponentInfo]:
    count = len(coefficients.components)
    ids, slots = frame[6 : 6 + 3 * count : 3], frame[8 : 8 + 3 * count : 3]
    coded_with = {scan[1 + 2 * i]: scan[2 + 2 * i] for i in range(scan[0])}
    heights, widths = (
        _sizes(coefficients.height, coefficients.sampling_factors, 1),
        _sizes(coefficients.width, coefficients.sampling_factors, 0),
    )
    return [
        ComponentInfo(
            component_id=ids[c],
            h_samp_factor=coefficients.sampling_factors[c][0],
            v_samp_factor=coefficients.sampling_factors[c][1],
            quant_tbl_no=slots[c],
            ac_tbl_no=coded_with.get(ids[c], 0) & 15,
            dc_tbl_no=coded_with.get(ids[c], 0) >> 4,
            downsampled_height=heights[c],
            downsampled_width=widths[c],
            height_in_blocks=coefficients.components[c].shape[0],
            width_in_blocks=coefficients.components[c].shape[1],
        )
        for c in range(count)
    ]


def _sizes(size: int, factors: Sequence[tuple[int, int]], axis: int) -> list[int]:
    """Samples of each component along an axis; T.81, A.1.1."""
    most = max(factor[axis] for factor in factors)
    return [-(-size * factor[axis] // most) for factor in factors]
