"""The encoder that wrote a file, and its settings."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .._errors import UnsupportedError
from .._inputs import Source, content_of
from .._inspect import Inspection, distance_tables, huffman_tables_in, inspect, quant_tables_in
from .._inspect import _all_tables as all_tables
from .._pixels import zigzag

_MPEG_INTRA = np.array(
    [
        [8, 16, 19, 22, 26, 27, 29, 34],
        [16, 16, 22, 24, 27, 29, 34, 37],
        [19, 22, 26, 27, 29, 34, 34, 38],
        [22, 22, 26, 27, 29, 34, 37, 40],
        [22, 26, 27, 29, 32, 35, 40, 48],
        [26, 27, 29, 32, 35, 40, 48, 58],
        [26, 27, 29, 34, 38, 46, 56, 69],
        [27, 29, 35, 38, 46, 56, 69, 83],
    ]
)
"""The default intra matrix of MPEG-1 (ISO/IEC 11172-2, 2.4.3.2), which FFmpeg's mjpeg scales by qscale / 8."""
_LIBJPEG_SCRIPT = (
    ((0, 1, 2), (0, 0), (0, 1)), ((0,), (1, 5), (0, 2)), ((2,), (1, 63), (0, 1)), ((1,), (1, 63), (0, 1)),
    ((0,), (6, 63), (0, 2)), ((0,), (1, 63), (2, 1)), ((0, 1, 2), (0, 0), (1, 0)), ((2,), (1, 63), (1, 0)),
    ((1,), (1, 63), (1, 0)), ((0,), (1, 63), (1, 0)),
)  # fmt: skip
"""libjpeg's jpeg_simple_progression for YCbCr (jcparam.c)."""
_DISTANCES = (0.01, 25.0)
"""jpegli's range of distances (lib/jpegli/encode.cc)."""
_LIBJPEG_GRAY_SCRIPT = (
    ((0,), (0, 0), (0, 1)), ((0,), (1, 5), (0, 2)), ((0,), (6, 63), (0, 2)),
    ((0,), (1, 63), (2, 1)), ((0,), (0, 0), (1, 0)), ((0,), (1, 63), (1, 0)),
)  # fmt: skip


# ---- the encoder ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoder family with the settings whose tables are nearest to the file's."""

    family: str
    """"libjpeg" (libjpeg, libjpeg-turbo and all programs that use them), "mozjpeg", "jpegli", "mozcodec" (its
    perceptual mode) or "ffmpeg"."""
    settings: str
    """In words, as the encoder's user writes them."""
    table_distance: float
    """Mean absolute logarithm of the ratios between the entries of the file's tables and the candidate's; 0: equal."""
    structure: float
    """Share of the structural facts (segments, scan script, Huffman tables) that are the family's, 0..1."""


@dataclass(frozen=True, slots=True)
class Identification:
    """The likely encoder of a file."""

    family: str
    """As in :class:`Candidate`, or "custom" where no family makes these tables (cameras, Photoshop and others)."""
    settings: str
    exact: bool
    """Whether the tables are exactly those of the family at these settings."""
    quality: tuple[float, ...] | None
    """The quality of each component on the scale of libjpeg or mozjpeg; None for other families."""
    distance: tuple[float, float] | None
    """The distances of jpegli or of mozcodec's perceptual mode that give these tables, lowest and highest."""
    candidates: tuple[Candidate, ...]
    """All families, the likeliest first."""
    fingerprint: str
    """SHA-256 of the quantization tables of the components, as big-endian 16-bit entries in zigzag order."""
    evidence: tuple[str, ...] = field(default=())
    """The evidence for the family, in words."""
    doubtful: bool = False
    """Whether the tables are exactly the family's and the layout of the file is not: another program uses the same
    tables. Many cameras write libjpeg's."""

    @property
    def margin(self) -> float:
        """How much farther the tables of the next family are than those of the first; 0 where both make the same ones,
        and only the layout of the file tells them apart."""
        return self.candidates[1].table_distance - self.candidates[0].table_distance


@dataclass(frozen=True, slots=True)
class _Structure:
    """How a file is laid out; encoders differ in it although the standard leaves it free."""

    quant_first: bool
    """Quantization tables stand before the frame header."""
    one_table_per_dqt: bool
    huffman_first: bool
    """Huffman tables stand before the frame header."""
    one_table_per_dht: bool
    standard_huffman: bool
    script: str
    """"sequential", "libjpeg", "jpegli" or "other"."""
    comment: bytes


def _structure(found: Inspection) -> _Structure:
    quant, huffman, comment, before_frame, seen_frame, quant_first = [], [], b"", False, False, True
    for segment in found.segments:
        if segment.name == "SOS":
            break
        if segment.name == "DQT":
            quant.append(len(quant_tables_in(segment.data)))
            quant_first &= not seen_frame
        elif segment.name == "DHT":
            huffman.append(len(huffman_tables_in(segment.data)))
            before_frame |= not seen_frame
        elif segment.name == "COM" and not comment:
            comment = segment.data
        elif segment.name.startswith(("SOF", "JPG", "DAC")):
            seen_frame = True
    codes = [sum(table.counts) for table in found.huffman_tables]
    return _Structure(
        quant_first=quant_first,
        one_table_per_dqt=max(quant, default=1) == 1 and not (len(quant) == 1 and len(set(found.quant_tables)) > 1),
        huffman_first=before_frame,
        one_table_per_dht=max(huffman, default=1) == 1,
        standard_huffman=bool(codes) and all(number == (12 if i % 2 == 0 else 162) for i, number in enumerate(codes)),
        script=_script_of(found),
        comment=comment,
    )


def _script_of(found: Inspection) -> str:
    script = tuple((s.components, s.spectral_selection, s.approximation) for s in found.scans)
    if not found.header.progressive:
        return "sequential"
    if script in (_LIBJPEG_SCRIPT, _LIBJPEG_GRAY_SCRIPT):
        return "libjpeg"
    # jpegli's default progression sends DC, then coefficients 1..2 and 3..63, each for all components in turn
    spans = list(dict.fromkeys(span for _, span, _ in script))
    single = all(len(components) == 1 for components, _, _ in script)
    return "jpegli" if single and spans[:2] == [(0, 0), (1, 2)] else "other"


def _agreement(family: str, layout: _Structure) -> float:
    """The share of facts that are the family's; the scan script counts twice, since programs do not change it."""
    facts = {
        "libjpeg": (
            layout.quant_first,
            layout.one_table_per_dqt,
            layout.one_table_per_dht,
            not layout.huffman_first,
            layout.script in ("sequential", "libjpeg"),
            layout.script in ("sequential", "libjpeg"),
        ),
        "mozjpeg": (
            layout.quant_first,
            not layout.one_table_per_dqt,
            not layout.huffman_first,
            not layout.standard_huffman,
            layout.script in ("sequential", "other"),
            layout.script in ("sequential", "other"),
        ),
        "jpegli": (
            layout.quant_first,
            not layout.one_table_per_dqt,
            not layout.one_table_per_dht or layout.script == "jpegli",
            not layout.standard_huffman,
            layout.script in ("sequential", "jpegli"),
            layout.script in ("sequential", "jpegli"),
        ),
        "ffmpeg": (
            layout.quant_first,
            layout.huffman_first,
            layout.script == "sequential",
            layout.comment.startswith(b"Lav"),
        ),
    }["mozjpeg" if family == "mozcodec" else family]  # one writer
    return sum(facts) / len(facts)


def _tables(found: Inspection) -> list[NDArray[np.int64]]:
    """The quantization table of each component."""
    slots = [component.quant_slot for component in found.components]
    tables = [found.quant_tables[slot].astype(np.int64) for slot in slots if slot in found.quant_tables]
    if not tables or len(tables) != len(slots):
        raise UnsupportedError("the file has no quantization tables: lossless, or abbreviated (see tables= of decode)")
    return tables


def _kinds(found: Inspection, count: int) -> tuple[int, ...]:
    """Whether the encoders take their luma (0) or chroma (1) table for each component."""
    space = found.header.color_space
    if space == "ycck" and count == 4:
        return (0, 1, 1, 0)
    return (0,) * count if space in ("rgb", "cmyk") else tuple(min(c, 1) for c in range(count))


def _apart(given: NDArray[np.int64], candidate: NDArray[np.int64]) -> float:
    return float(np.abs(np.log(np.maximum(candidate, 1) / np.maximum(given, 1))).mean())


@dataclass(frozen=True, slots=True)
class ComponentQuality:
    """The quality whose table is nearest to that of a component."""

    quality: int
    """1..100."""
    quant_table: int
    """The base table, 0..8, as in :class:`mozcodec.EncodeOptions`; 0 is libjpeg's."""
    exact: bool
    table_distance: float
    """As in :class:`Candidate`."""


def estimate_quality(data: Source) -> tuple[ComponentQuality, ...]:
    """Return the quality of each component's table, each by itself.

    The first component is compared with the luma tables, the others with the chroma tables of the same base table; all
    components of RGB and CMYK, and the fourth of YCCK, with the luma tables. Of
    several that are as near (all entries are 1 at quality 100, table 1 rounds many qualities to one step) the lowest
    base table, a quality that all components have, and the highest are taken. Raises the errors of
    :func:`mozcodec.inspect`, and :class:`mozcodec.UnsupportedError` for lossless files.
    """
    return qualities_of(inspect(bytes(content_of(data))))


def qualities_of(found: Inspection) -> tuple[ComponentQuality, ...]:
    """Return :func:`estimate_quality` of a file whose structure is known."""
    tables = _tables(found)
    return _qualities(tables, _kinds(found, len(tables)), slice(0, 9))


def _qualities(
    tables: Sequence[NDArray[np.int64]], kinds: tuple[int, ...], bases: slice
) -> tuple[ComponentQuality, ...]:
    apart = np.stack(
        [
            np.abs(np.log(all_tables()[:, :, bases, kind] / np.maximum(table, 1))).mean(axis=(-2, -1)).min(axis=0)
            for kind, table in zip(kinds, tables, strict=True)
        ]
    )  # (components, quality, base table)
    base = int(np.argmin(apart.min(axis=1).sum(axis=0)))
    own = apart[:, :, base]
    nearest = own == own.min(axis=1, keepdims=True)
    if nearest.all(axis=0).any():
        nearest[:] = nearest.all(axis=0)  # one quality for all components, where there is one
    found = []
    for one, is_nearest in zip(own, nearest, strict=True):
        best = int(np.flatnonzero(is_nearest)[-1])
        found.append(ComponentQuality(best + 1, base + bases.start, bool(one[best] == 0), float(one[best])))
    return tuple(found)


def _candidates(
    tables: Sequence[NDArray[np.int64]], kinds: tuple[int, ...], layout: _Structure, is_420: bool
) -> Iterator[Candidate]:
    for family, bases in (("libjpeg", slice(0, 1)), ("mozjpeg", slice(0, 9))):
        qualities = _qualities(tables, kinds, bases)
        apart = float(np.mean([one.table_distance for one in qualities]))
        values = list(dict.fromkeys(one.quality for one in qualities))
        words = "quality " + ", ".join(str(value) for value in values)
        if family == "mozjpeg":
            words += f", table {qualities[0].quant_table}"
        yield Candidate(family, words, apart, _agreement(family, layout))
    for family in ("jpegli", "mozcodec"):
        low, high, apart = _nearest_distance(tables, is_420, family)
        yield Candidate(family, f"distance {(low + high) / 2:.3g}", apart, _agreement(family, layout))
    scaled = [np.clip((_MPEG_INTRA * qscale) >> 3, 1, 255) for qscale in range(1, 70)]
    for table in scaled:
        table[0, 0] = 8
    by_scale = [float(np.mean([_apart(given, table) for given in tables])) for table in scaled]
    best = int(np.argmin(by_scale))
    yield Candidate("ffmpeg", f"-q:v {best + 1}", by_scale[best], _agreement("ffmpeg", layout))


def _nearest_distance(tables: Sequence[NDArray[np.int64]], is_420: bool, family: str) -> tuple[float, float, float]:
    """Return (lowest, highest, table distance) of the nearest distances of jpegli or mozcodec.

    Effort 0 of mozcodec has jpegli's tables, efforts 1 and 2 have coarser ones for chroma.
    """
    kinds = (False,) if family == "jpegli" else (True, False)
    return min((_nearest_of_tables(tables, is_420, corrects) for corrects in kinds), key=lambda found: found[2])


def _nearest_of_tables(
    tables: Sequence[NDArray[np.int64]], is_420: bool, corrects_luma: bool
) -> tuple[float, float, float]:
    """Return (lowest, highest, table distance) of the nearest distances.

    Entries never fall with the distance, so a bisection finds where the tables have as large a sum as those given.
    """

    def made(distance: float) -> list[NDArray[np.int64]]:
        return _of_components(distance_tables(distance, is_420, corrects_luma), tables)

    wanted = sum(int(table.sum()) for table in tables)
    low = _bisect(lambda distance: sum(int(table.sum()) for table in made(distance)) >= wanted)
    high = _bisect(lambda distance: sum(int(table.sum()) for table in made(distance)) > wanted)
    pairs = zip(tables, made((low + high) / 2), strict=True)
    return low, high, float(np.mean([_apart(given, one) for given, one in pairs]))


def _bisect(is_reached: Callable[[float], bool]) -> float:
    low, high = math.log(_DISTANCES[0]), math.log(_DISTANCES[1])
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if is_reached(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _of_components(made: NDArray[np.int64], tables: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """jpegli has three tables (Y, Cb, Cr); with two in the file, both chroma components have that of Cr."""
    if len(tables) == 3 and np.array_equal(tables[1], tables[2]):
        return [made[0], made[2], made[2]]
    return [made[min(c, 2)] for c in range(len(tables))]


def identify(data: Source) -> Identification:
    """Return the likely encoder of a JPEG and its settings, with the distance of every other family.

    The quantization tables decide; where two families make the same tables (mozjpeg takes libjpeg's with
    ``quant_table=0``), the layout of the file does. A family is named only where its tables are exactly those of the
    file, and it is doubtful where the layout is not the family's: cameras write libjpeg's tables. Otherwise the family
    is "custom", and the candidates say how near the others come. Programs that use a library (Pillow, OpenCV, libvips,
    ImageMagick and simplejpeg use libjpeg-turbo) cannot be distinguished.

    Raises the errors of :func:`mozcodec.inspect`, and :class:`mozcodec.UnsupportedError` for lossless files.
    """
    return identified(inspect(bytes(content_of(data))))


def identified(found: Inspection) -> Identification:
    """Return :func:`identify` of a file whose structure is known."""
    tables, layout = _tables(found), _structure(found)
    kinds = _kinds(found, len(tables))
    if any(table.shape != (8, 8) for table in tables) or found.header.block_size != 8:
        raise UnsupportedError(f"SmartScale block size {found.header.block_size}: only mozcodec and libjpeg 8 write it")
    is_420 = found.header.subsampling == "4:2:0"
    ranked = sorted(_candidates(tables, kinds, layout, is_420), key=_rank)
    best, quality, distance = ranked[0], None, None
    exact = best.table_distance == 0
    if best.family in ("libjpeg", "mozjpeg") and exact:
        bases = slice(0, 1) if best.family == "libjpeg" else slice(0, 9)
        quality = tuple(float(one.quality) for one in _qualities(tables, kinds, bases))
    elif best.family in ("jpegli", "mozcodec") and exact:
        distance = _nearest_distance(tables, is_420, best.family)[:2]
    ordered = np.stack(tables).reshape(-1, 64)[:, zigzag(8)].astype(">u2")
    return Identification(
        family=best.family if exact else "custom",
        settings=best.settings if exact else "",
        exact=exact,
        quality=quality,
        distance=distance,
        candidates=tuple(ranked),
        fingerprint=hashlib.sha256(ordered.tobytes()).hexdigest(),
        evidence=_evidence(found, layout, best, exact),
        doubtful=exact and best.structure < 1,
    )


def _rank(one: Candidate) -> tuple[float, bool]:
    """Exact tables first, and among those the layout; then the tables alone.

    Where the layout is that of no family with these tables, it does not choose between them: the first one in the
    order of `_candidates` is taken, libjpeg before mozjpeg.
    """
    return (one.table_distance, one.structure < 1)


def _evidence(found: Inspection, layout: _Structure, best: Candidate, exact: bool) -> tuple[str, ...]:
    words = [
        f"quantization tables: {'exactly' if exact else 'nearest to'} {best.family} {best.settings}"
        + ("" if exact else f", mean ratio {math.exp(best.table_distance):.3f}"),
        "Huffman tables: " + ("the standard's" if layout.standard_huffman else "made for the image"),
        f"scan script: {layout.script}, {len(found.scans)} scans",
        f"quantization tables in {'a segment each' if layout.one_table_per_dqt else 'one segment'}, Huffman tables in "
        f"{'a segment each' if layout.one_table_per_dht else 'one segment'}",
    ]
    if not layout.quant_first:
        words.append("quantization tables stand after the frame header")
    if layout.huffman_first:
        words.append("Huffman tables stand before the frame header")
    if layout.comment:
        words.append(f"comment {layout.comment[:40].decode('utf-8', 'replace')!r}")
    names = [segment.name for segment in found.segments if segment.name.startswith("APP")]
    return (*words, "application segments: " + (", ".join(names) or "none"))
