"""List the segments, tables and scans of a JPEG."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ._containers import Part, parts_of
from ._decode import Header, read_header
from ._encode import encode
from ._inputs import Source, content_of
from ._metadata import EOI, SOS, Segment, next_marker, segment_end
from ._mozjpeg import ffi, lib
from ._options import SMALLEST_DISTANCE
from ._perceptual import LARGEST_DISTANCE
from ._pixels import same, zigzag

_NAMES = {
    0xC4: "DHT", 0xC8: "JPG", 0xCC: "DAC", 0xD8: "SOI", 0xD9: "EOI", 0xDA: "SOS", 0xDB: "DQT", 0xDC: "DNL",
    0xDD: "DRI", 0xDE: "DHP", 0xDF: "EXP", 0xF8: "LSE", 0xFE: "COM",
    **{0xC0 + i: f"SOF{i}" for i in range(16) if i not in (4, 8, 12)},
    **{0xE0 + i: f"APP{i}" for i in range(16)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MarkerSegment:
    """A marker segment: its name ("APP0", "DQT" ...), offset and size in bytes."""

    name: str
    offset: int
    size: int
    data: bytes = b""
    """The content, without marker and length; of SOS the scan header only."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component as the frame header lists it."""

    id: int
    sampling_factors: tuple[int, int]
    """(h, v)."""
    quant_slot: int
    """The slot of its quantization table."""


@dataclass(frozen=True, slots=True)
class HuffmanTable:
    """A Huffman table of the file."""

    kind: str
    """"dc" or "ac"."""
    slot: int
    counts: tuple[int, ...]
    """The numbers of codes of 1, 2, ... 16 bits."""
    symbols: bytes
    """The symbols in the order of their codes."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: the coefficients and components that it contains."""

    components: tuple[int, ...]
    """Indices in the frame header, from 0."""
    spectral_selection: tuple[int, int]
    """(Ss, Se): first and last coefficient in zigzag order."""
    approximation: tuple[int, int]
    """(Ah, Al): bits sent before and bits left for later."""
    offset: int
    size: int
    """Bytes of the scan, header and coded data."""
    huffman_slots: tuple[tuple[int, int], ...] = ()
    """Of each component: the slots of its DC and AC tables; of arithmetic streams, those of its conditioning."""


@dataclass(frozen=True, slots=True)
class QualityEstimate:
    """The quality whose tables are nearest to those of a file."""

    quality: int
    quant_table: int
    """The base table, as in :class:`mozcodec.EncodeOptions`."""
    exact: bool
    """Whether all entries of the tables are those of that quality."""
    chroma_quality: int | None = None
    """The quality of the chroma table where it is another than that of the luma table."""


@dataclass(frozen=True, slots=True)
class DistanceEstimate:
    """The distances of the perceptual mode whose tables are exactly those of a file."""

    low: float
    high: float
    corrects_luma: bool
    """Whether chroma is as coarse as at effort 1 and 2; if not, the tables are those of effort 0 and of jpegli. False
    for gray files, which do not show it."""


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """The structure of a JPEG. Two objects are equal if all fields are."""

    header: Header
    segments: tuple[MarkerSegment, ...]
    quant_tables: dict[int, NDArray[np.uint16]]
    """By slot: (8, 8), [v, u]; the last definition of each. SmartScale tables of N x N, N < 8, are padded with 1."""
    huffman_tables: tuple[HuffmanTable, ...]
    """In the order of the file; progressive files define slots several times."""
    scans: tuple[Scan, ...]
    quality: QualityEstimate | None
    """None if there are no quantization tables."""
    distance: DistanceEstimate | None
    """None where the tables are not those of the perceptual mode."""
    trailing_bytes: int
    """Bytes after the end of the image."""
    parts: tuple[Part, ...] = ()
    """The parts of the file: the image, and gain maps, other images, a video or data behind it."""
    components: tuple[Component, ...] = ()
    """In the order of the frame header."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inspection):
            return NotImplemented
        return all(same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]


def segments_in(data: bytes) -> tuple[list[tuple[Segment, int]], int]:
    """Return the segments with their ends, coded data included, and the end of the image."""
    view = memoryview(data)
    segments: list[tuple[Segment, int]] = []
    start = next_marker(data, 2)
    while start >= 0:
        marker, end = data[start + 1], segment_end(data, start)
        if marker == EOI:
            return segments, start + 2
        if not end:
            break
        following = next_marker(data, end)
        segment = Segment(start, marker, view[start + 4 : end])
        if marker == SOS:
            end = len(data) if following < 0 else following
        segments.append((segment, end))
        start = following
    return segments, len(data)


def quant_tables_in(content: bytes) -> dict[int, NDArray[np.uint16]]:
    """Return the quantization tables, (8, 8) each by slot, in the *content* of a DQT segment, up to a damaged one."""
    tables = {}
    while content:
        slot, wide = content[0] & 15, content[0] >> 4
        entries = np.frombuffer(content[1 : 1 + 64 * (wide + 1)], ">u2" if wide else np.uint8)
        n = math.isqrt(len(entries))
        if n == 0 or n * n != len(entries):
            break
        table = np.ones(64, np.uint16)
        table[zigzag(n)] = entries
        tables[slot] = table.reshape(8, 8)
        content = content[1 + 64 * (wide + 1) :]
    return tables


def huffman_tables_in(content: bytes) -> list[HuffmanTable]:
    """Return the Huffman tables in the *content* of a DHT segment, up to a damaged one."""
    tables = []
    while len(content) >= 17:
        counts = tuple(content[1:17])
        symbols = content[17 : 17 + sum(counts)]
        tables.append(HuffmanTable("ac" if content[0] >> 4 else "dc", content[0] & 15, counts, symbols))
        content = content[17 + sum(counts) :]
    return tables


def _scan(segment: Segment, end: int, ids: list[int]) -> Scan | None:
    content = bytes(segment.data)
    count = content[0] if content else 0
    if len(content) != 4 + 2 * count or count == 0:
        return None
    members = [content[1 + 2 * i] for i in range(count)]
    ss, se, approximation = content[-3:]
    return Scan(
        components=tuple(ids.index(member) for member in members if member in ids),
        spectral_selection=(ss, se),
        approximation=(approximation >> 4, approximation & 15),
        offset=segment.offset,
        size=end - segment.offset,
        huffman_slots=tuple(divmod(content[2 + 2 * i], 16) for i in range(count)),
    )


# ---- quality --------------------------------------------------------------------------------------------------------


@cache
def base_tables() -> NDArray[np.int64]:
    """Return mozjpeg's nine pairs of base tables, luma and chroma: (9, 2, 8, 8)."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    pairs = []
    for k in range(9):
        data = encode(pixel, 50, quant_table=k, progressive=False, quant_baseline=False)  # quality 50 scales by 100 %
        tables: dict[int, NDArray[np.uint16]] = {}
        for segment, _ in segments_in(data)[0]:
            if segment.marker == 0xDB:
                tables |= quant_tables_in(bytes(segment.data))
        pairs.append([tables[0], tables.get(1, tables[0])])
    return np.array(pairs, np.int64)


def scaled_tables(quality: int, force_baseline: bool = False) -> NDArray[np.int64]:
    """Return the nine pairs at a quality; jcparam.c, jpeg_quality_scaling and jpeg_add_quant_table."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = np.clip((base_tables() * scale + 50) // 100, 1, 32767)
    return np.minimum(tables, 255) if force_baseline else tables


@cache
def _all_tables() -> NDArray[np.int64]:
    """(2, 100, 9, 2, 8, 8): without and with 8-bit tables, quality, base table, luma and chroma."""
    return np.stack([[scaled_tables(q, baseline) for q in range(1, 101)] for baseline in (False, True)])


def estimate_quality(luma: NDArray[np.uint16], chroma: NDArray[np.uint16] | None = None) -> QualityEstimate:
    """Return the quality and base table whose tables are nearest, by the mean ratio of the entries.

    *luma* and *chroma* are (N, N), N <= 8, the lowest frequencies of a table. If several are exact (at quality 100 all
    entries are 1), the lowest base table is returned. Two different qualities are returned only if both are exact.
    """
    given = np.stack([luma] if chroma is None else [luma, chroma]).astype(np.int64)
    rows, columns = luma.shape
    candidates = _all_tables()[:, :, :, : len(given), :rows, :columns]
    apart = np.abs(np.log(candidates / np.maximum(given, 1))).mean(axis=(-2, -1))  # (baseline, quality, table, slot)
    distance = apart.mean(axis=-1).min(axis=0).T  # (table, quality)
    table, quality = (int(i) for i in np.unravel_index(np.argmin(distance), distance.shape))
    if distance[table, quality] == 0 or len(given) == 1:
        return QualityEstimate(quality + 1, table, bool(distance[table, quality] == 0))
    both = (apart == 0).any(axis=1).all(axis=-1)  # (baseline, table): some quality for each slot
    if both.any():
        number, baseline = np.argwhere(both.T)[0]
        exact = apart[baseline, :, number] == 0
        return QualityEstimate(int(exact[:, 0].argmax()) + 1, int(number), True, int(exact[:, 1].argmax()) + 1)
    return QualityEstimate(quality + 1, table, False)


def distance_tables(distance: float, is_420: bool, corrects_luma: bool, count: int = 3) -> NDArray[np.int64]:
    """Return the tables of the perceptual mode for Y, Cb and Cr, (count, 8, 8); without *corrects_luma* jpegli's."""
    tables = ffi.new("unsigned int[3][64]")
    lib.mzc_distance_tables(distance, is_420, corrects_luma, tables)
    return np.frombuffer(ffi.buffer(tables), np.uint32).reshape(3, 8, 8)[:count].astype(np.int64)


def estimate_distance(tables: list[NDArray[np.uint16]], is_420: bool) -> DistanceEstimate | None:
    """Return the distances that have these tables: one, of a gray file, or those of Y, Cb and Cr."""
    if len(tables) not in (1, 3) or any(table.shape != (8, 8) for table in tables):
        return None
    given = np.stack(tables).astype(np.int64)
    for corrects_luma in (False, True)[: 1 if len(tables) == 1 else 2]:

        def total(distance: float, corrects_luma: bool = corrects_luma) -> int:
            return int(distance_tables(distance, is_420, corrects_luma, len(tables)).sum())

        # entries never fall with the distance, so the sum determines where they are
        low = _first(lambda distance, total=total: total(distance) >= given.sum())  # type: ignore[misc]
        high = _first(lambda distance, total=total: total(distance) > given.sum())  # type: ignore[misc]
        if np.array_equal(distance_tables((low + high) / 2, is_420, corrects_luma, len(tables)), given):
            return DistanceEstimate(low, high, corrects_luma)
    return None


def _first(is_reached: Callable[[float], bool]) -> float:
    """Return where, among the distances, a rising condition becomes true."""
    low, high = SMALLEST_DISTANCE, LARGEST_DISTANCE
    if is_reached(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return high


def inspect(data: Source, *, smartscale: bool = False) -> Inspection:
    """Return the structure of a JPEG: header, segments, tables, scans, parts, and the quality that made its tables.

    Raises the errors of :func:`mozcodec.read_header`; damage after the header ends the lists early.
    """
    data = content_of(data)
    header = read_header(data, smartscale=smartscale)
    stream = bytes(data)
    found, end = segments_in(stream)
    quant_tables: dict[int, NDArray[np.uint16]] = {}
    huffman_tables: list[HuffmanTable] = []
    scans, ids, slots = [], [], []
    components: tuple[Component, ...] = ()
    for segment, end_of_segment in found:
        content = bytes(segment.data)
        if segment.marker == 0xDB:
            quant_tables |= quant_tables_in(content)
        elif segment.marker == 0xC4:
            huffman_tables += huffman_tables_in(content)
        elif _NAMES.get(segment.marker, "").startswith("SOF") and len(content) >= 6:
            ids = list(content[6::3])
            slots = list(content[8::3])
            triples = zip(content[6::3], content[7::3], slots, strict=False)
            components = tuple(Component(name, divmod(factors, 16), slot) for name, factors, slot in triples)
        elif segment.marker == SOS:
            scan = _scan(segment, end_of_segment, ids)
            if scan is not None:
                scans.append(scan)
    n = min(header.block_size, 8)
    tables = [quant_tables[slot][:n, :n] for slot in dict.fromkeys(slots) if slot in quant_tables]
    return Inspection(
        header=header,
        segments=tuple(
            MarkerSegment(_NAMES.get(s.marker, f"0x{s.marker:02X}"), s.offset, e - s.offset, bytes(s.data))
            for s, e in found
        ),
        quant_tables=quant_tables,
        huffman_tables=tuple(huffman_tables),
        scans=tuple(scans),
        quality=estimate_quality(tables[0], tables[1] if len(tables) > 1 else None) if tables else None,
        distance=estimate_distance(tables, header.subsampling == "4:2:0"),
        trailing_bytes=len(stream) - end,
        parts=tuple(parts_of(stream)),
        components=components,
    )
