"""Read, write and count quantized DCT coefficients."""

from dataclasses import dataclass, fields
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from ._damage import note_damage, salvage
from ._decode import MAX_MEMORY, MAX_PIXELS, MAX_SCANS, Decoder, Header, decode_options, header_of, source_of
from ._encode import NO_MARKERS, take
from ._engine import coded_faithfully, engine, note_engine
from ._errors import UnsupportedError, error_of
from ._inputs import Buffer, Source, content_of
from ._metadata import Metadata, c_markers, segments_of
from ._mozjpeg import ffi, lib
from ._options import (
    COLOR_SPACES,
    MAX_DIMENSION,
    EncodeOptions,
    choice,
    coding_options,
    encoder_error,
    integer,
    needs_separate_scans,
    with_separate_scans,
)
from ._pixels import address_of, same, zigzag
from ._work import MAX_MARKER_BYTES, MaxWork

MAX_COMPONENTS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """The coded content of a JPEG; change the arrays, or use ``dataclasses.replace``, and write it back.

    Two objects are equal if all fields are.
    """

    width: int
    height: int
    color_space: str | None
    """Of the stream: "gray", "ycbcr", "rgb", "cmyk", "ycck", or None for two components without a colour space."""
    sampling_factors: tuple[tuple[int, int], ...]
    """Of each component: (h, v)."""
    components: tuple[NDArray[np.int16], ...]
    """Quantized coefficients of each component, (rows of blocks, blocks in a row, 8, 8): [y, x, v, u] has vertical
    frequency v and horizontal frequency u; [..., 0, 0] is DC."""
    quant_tables: tuple[NDArray[np.uint16], ...]
    """The quantization table of each component, (8, 8), [v, u]."""
    precision: int = 8
    """Bits of a sample: 8 or 12."""
    unsent: NDArray[np.int8] | None = None
    """Of a progressive file that lacks scans: (components, 8, 8), the number of low bits of each coefficient that were
    not sent, -1 where none was. Decoders smooth over what is missing. None: everything was sent."""
    block_size: int = 8
    """N of a SmartScale stream; its blocks have the lowest N x N coefficients (8 x 8 above N = 8)."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coefficients):
            return NotImplemented
        return all(same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]

    def dequantized(self, component: int = 0) -> NDArray[np.int32]:
        """Return the coefficients of a component, (rows, columns, 8, 8), times their quantization steps."""
        table = self.quant_tables[component].astype(np.int32)
        return self.components[component].astype(np.int32) * table


def read_coefficients(
    data: Source,
    *,
    max_pixels: int | None = MAX_PIXELS,
    max_memory: int | None = MAX_MEMORY,
    max_scans: int | None = MAX_SCANS,
    max_work: MaxWork = "auto",
    max_marker_bytes: int | None = MAX_MARKER_BYTES,
    on_truncated: Literal["error", "warn", "ok"] = "error",
    smartscale: bool = False,
) -> Coefficients:
    """Return the quantized DCT coefficients and quantization tables of a JPEG.

    Raises :class:`mozcodec.UnsupportedError` for lossless files, which have none, and for files of more than four
    components; otherwise as :func:`mozcodec.decode`.
    """
    data = content_of(data)
    limits = {"max_pixels": max_pixels, "max_memory": max_memory, "max_scans": max_scans, "max_work": max_work}
    limits["max_marker_bytes"] = max_marker_bytes
    settings = decode_options(None, {**limits, "on_truncated": on_truncated, "smartscale": smartscale})

    def attempt(stream: Buffer) -> tuple[Decoder, Coefficients]:
        with Decoder(stream, settings) as decoder:
            decoder.check_work(max_work, max_marker_bytes)
            header = header_of(decoder)
            if header.lossless:
                raise UnsupportedError("a lossless file has no coefficients to read")
            if header.num_components > MAX_COMPONENTS:
                raise UnsupportedError(f"{header.num_components} components are more than {MAX_COMPONENTS}")
            return decoder, _read(decoder, header)

    harder = None
    if on_truncated == "error":
        decoder, coefficients = attempt(data)
    else:
        (decoder, coefficients), harder = salvage(source_of(data), attempt)
    decoder.warn(harder, on_truncated, stacklevel=2)
    return coefficients


def _read(decoder: Decoder, header: Header) -> Coefficients:
    raw, count = decoder.header, header.num_components
    shapes = [(raw.blocks_high[i], raw.blocks_wide[i], 8, 8) for i in range(count)]
    components = tuple(np.empty(shape, np.int16) for shape in shapes)
    tables = np.ones((MAX_COMPONENTS, 64), np.uint16)
    pointers = ffi.new("int16_t *[]", [ffi.cast("int16_t *", address_of(blocks)) for blocks in components])
    tables_pointer = ffi.cast("uint16_t (*)[64]", address_of(tables))
    sent = ffi.new("mzc_sent *")
    if lib.mzc_decoder_read_coefficients(decoder.handle, pointers, tables_pointer, sent, decoder.status):
        raise error_of(decoder.status)
    missing = np.frombuffer(ffi.buffer(sent), np.int8).reshape(4, 64)[:count]
    return Coefficients(
        width=header.width,
        height=header.height,
        color_space=header.color_space,
        sampling_factors=header.sampling_factors,
        components=components,
        quant_tables=tuple(tables[i].reshape(8, 8).copy() for i in range(count)),
        precision=header.precision,
        unsent=_from_zigzag(missing) if missing.any() else None,
        block_size=header.block_size,
    )


def _from_zigzag(values: NDArray[np.int8]) -> NDArray[np.int8]:
    result = np.empty_like(values)
    result[:, zigzag(8)] = values
    return result.reshape(-1, 8, 8)


def _set_unsent(struct: Any, unsent: NDArray[np.int8] | None, count: int) -> None:
    if unsent is None:
        return
    array = np.asarray(unsent)
    if array.shape != (count, 8, 8) or array.dtype.kind not in "iu" or array.min() < -1 or array.max() > 13:
        raise ValueError(f"unsent must be integers -1..13 of shape {(count, 8, 8)}")
    bits = np.zeros((4, 64), np.int8)
    bits[:count] = array.reshape(count, 64)[:, zigzag(8)]
    ffi.memmove(struct.sent.bits, bits.tobytes(), bits.nbytes)


# ---- writing --------------------------------------------------------------------------------------------------------


def _block_shapes(coefficients: Coefficients) -> list[tuple[int, ...]]:
    """Return the shapes for this size and sampling; T.81, A.1.1 and A.2."""
    most_h = max(h for h, _ in coefficients.sampling_factors)
    most_v = max(v for _, v in coefficients.sampling_factors)
    return [
        (-(-coefficients.height * v // (8 * most_v)), -(-coefficients.width * h // (8 * most_h)), 8, 8)
        for h, v in coefficients.sampling_factors
    ]


def _color_space(coefficients: Coefficients) -> int:
    name = coefficients.color_space
    return int(lib.MZC_TWO) if name is None else choice("color_space", name, COLOR_SPACES)


def _check(coefficients: Coefficients) -> list[NDArray[np.int16]]:
    count = len(coefficients.components)
    wanted = {lib.MZC_GRAY: 1, lib.MZC_TWO: 2, lib.MZC_CMYK: 4, lib.MZC_YCCK: 4}.get(_color_space(coefficients), 3)
    if not count == wanted == len(coefficients.quant_tables) == len(coefficients.sampling_factors):
        raise ValueError(f"color_space {coefficients.color_space!r} has {wanted} components, tables and factors")
    integer("width", coefficients.width, 1, MAX_DIMENSION)
    integer("height", coefficients.height, 1, MAX_DIMENSION)
    if coefficients.precision not in (8, 12):
        raise ValueError(f"precision must be 8 or 12, got {coefficients.precision}")
    limit = 1023 if coefficients.precision == 8 else 16383  # T.81, F.1.2.1 and F.1.2.2
    arrays = []
    for i, (blocks, shape) in enumerate(zip(coefficients.components, _block_shapes(coefficients), strict=True)):
        array = np.asarray(blocks)
        if array.shape != shape or array.dtype.kind not in "iu":
            raise ValueError(f"components[{i}] must be integers of shape {shape}, got {array.dtype} {array.shape}")
        if array.max() > limit or array.min() < -limit:
            beyond = (array > limit) | (array < -limit)
            beyond[..., 0, 0] &= array[..., 0, 0] != -limit - 1
            if beyond.any():
                where = tuple(int(place) for place in np.argwhere(beyond)[0])
                raise ValueError(
                    f"components[{i}]{list(where)} is {array[where]}: AC must be within +-{limit}, "
                    f"DC within {-limit - 1}..{limit}"
                )
        arrays.append(np.ascontiguousarray(array, np.int16))
    return arrays


def _set_tables(struct: Any, coefficients: Coefficients) -> None:
    distinct: list[bytes] = []
    for i, entries in enumerate(coefficients.quant_tables):
        table = np.asarray(entries)
        if table.shape != (8, 8) or table.dtype.kind not in "iu" or table.min() < 0 or table.max() > 65535:
            raise ValueError(f"quant_tables[{i}] must be 8x8 integers 0..65535")
        raw = np.ascontiguousarray(table, np.uint16).tobytes()
        if raw not in distinct:
            distinct.append(raw)
        struct.table_of[i] = distinct.index(raw)
    struct.num_tables = len(distinct)
    for number, raw in enumerate(distinct):
        ffi.memmove(struct.tables[number], raw, 128)


def write_coefficients(
    coefficients: Coefficients, *, metadata: Metadata | None = None, **options: Unpack[EncodeOptions]
) -> bytes:
    """Return a JPEG that holds exactly these coefficients and tables.

    *options* are those of :class:`mozcodec.EncodeOptions` that say how coefficients are coded: progressive,
    optimize_scans, scan_script, dc_scan_opt_mode, arithmetic, optimize_coding, restart_interval, restart_rows,
    profile, jfif, density, max_memory. *metadata* is written too; :func:`mozcodec.read_header` returns such.

    Raises ``ValueError`` for arrays that do not fit the size and sampling, and for values that JPEG cannot represent;
    :class:`mozcodec.UnsupportedError` for those of a SmartScale stream.
    """
    settings = coding_options(options)
    if coefficients.block_size != 8:
        raise UnsupportedError(f"coefficients of SmartScale block size {coefficients.block_size} cannot be written")
    arrays = _check(coefficients)
    struct = ffi.new("mzc_coefficients *")
    struct.width, struct.height = coefficients.width, coefficients.height
    struct.num_components, struct.precision = len(arrays), coefficients.precision
    struct.color_space = _color_space(coefficients)
    for i, ((h, v), blocks) in enumerate(zip(coefficients.sampling_factors, arrays, strict=True)):
        struct.h_samp_factor[i] = integer("sampling factor", h, 1, 4)
        struct.v_samp_factor[i] = integer("sampling factor", v, 1, 4)
        struct.blocks[i] = ffi.cast("int16_t *", address_of(blocks))
    _set_tables(struct, coefficients)
    _set_unsent(struct, coefficients.unsent, len(arrays))
    if metadata is not None and not isinstance(metadata, Metadata):
        raise TypeError(f"metadata must be a mozcodec.Metadata, got {type(metadata).__name__}")
    markers = c_markers(segments_of(metadata)) if metadata else NO_MARKERS
    out, status = ffi.new("mzc_buffer *"), ffi.new("mzc_status *")
    if coded_faithfully(
        lambda engine, coding: lib.mzc_write_coefficients(
            struct, coding, markers[0], len(markers[1]), engine, out, status
        ),
        settings,
        status,
    ):
        error = encoder_error(status, settings)
        if not needs_separate_scans(str(error), settings):
            raise error
        settings = with_separate_scans(settings, len(arrays))
        if lib.mzc_write_coefficients(struct, settings, markers[0], len(markers[1]), engine(), out, status):
            raise error_of(status)
    note_engine(status)
    note_damage(status, None, "warn", stacklevel=2)
    return take(out)


# ---- forensics ------------------------------------------------------------------------------------------------------


def coefficient_histograms(
    source: "Source | Coefficients",
    component: int = 0,
    *,
    limit: int = 64,
    on_truncated: Literal["error", "warn", "ok"] = "error",
    **limits: Any,
) -> NDArray[np.int64]:
    """Return how often each quantized value occurs at each frequency: counts of shape (8, 8, 2 * limit + 1).

    ``[v, u, limit + k]`` counts the value k at vertical frequency v and horizontal frequency u; values beyond +-limit
    are not counted. An image that was compressed twice shows periodic peaks and gaps where the first table's step does
    not divide the second's (Popescu and Farid, Statistical Tools for Digital Forensics, 2004). *limits* are those of
    :func:`read_coefficients`: max_pixels, max_memory, max_scans, max_work, max_marker_bytes.
    """
    coefficients = (
        source if isinstance(source, Coefficients) else read_coefficients(source, on_truncated=on_truncated, **limits)
    )
    integer("component", component, 0, len(coefficients.components) - 1)
    integer("limit", limit, 1, 16383)
    values = coefficients.components[component].reshape(-1, 64)
    counts = np.zeros((64, 2 * limit + 1), np.int64)
    for k in range(64):
        inside = values[:, k][np.abs(values[:, k].astype(np.int32)) <= limit]
        counts[k] = np.bincount(inside.astype(np.int64) + limit, minlength=2 * limit + 1)
    return counts.reshape(8, 8, -1)
