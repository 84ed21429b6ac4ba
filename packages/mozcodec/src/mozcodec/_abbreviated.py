"""Streams with parts that are stored elsewhere: tables, or the height."""

from typing import Any

from ._metadata import EOI, MARKER, SOS

_DNL = 0xDC
_SOI = b"\xff\xd8"


def _segments(data: memoryview) -> list[tuple[int, int, int]]:
    """Return (marker, start, end) of the segments, EOI included; the coded data of a scan is not counted."""
    found = MARKER.search(data, 2)
    segments = []
    while found is not None:
        start, marker = found.start(), data[found.start() + 1]
        if marker == EOI:
            segments.append((marker, start, start + 2))
            break
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if not start + 4 <= end <= len(data):
            break
        segments.append((marker, start, end))
        found = MARKER.search(data, end)
    return segments


def with_tables(data: Any, tables: Any) -> bytes:
    """Return *data*, an abbreviated stream, with the segments of *tables* (SOI, tables, EOI) before its own.

    The two are what TIFF keeps as JPEGTables and strips. Raises ``ValueError`` where *tables* is not such a stream.
    """
    view, own = memoryview(tables).cast("B"), memoryview(data).cast("B")
    segments = _segments(view)
    if view[:2] != _SOI or not segments or any(marker == SOS for marker, _, _ in segments):
        raise ValueError("tables must be an abbreviated JPEG stream: SOI, tables, EOI")
    parts = [bytes(view[start:end]) for marker, start, end in segments if marker != EOI]
    return b"".join((_SOI, *parts, bytes(own[2:])))


def completed(data: memoryview) -> bytes | None:
    """Return *data* with what its header lacks, or None where nothing is lacking or known.

    A stream of tables followed by the stream of the image becomes one; a height of 0 is replaced by that of the DNL
    segment after the first scan (T.81, B.2.5).
    """
    if data[:2] != _SOI:
        return None
    segments = _segments(data)
    markers = [marker for marker, _, _ in segments]
    if EOI in markers and SOS not in markers:
        end = segments[markers.index(EOI)][2]
        return with_tables(data[end:], data[:end]) if data[end : end + 2] == _SOI else None
    frame = next((s for s in segments if 0xC0 <= s[0] <= 0xCF and s[0] not in (0xC4, 0xC8, 0xCC)), None)
    number = next((s for s in segments if s[0] == _DNL and s[2] - s[1] == 6), None)
    if frame is None or number is None or bytes(data[frame[1] + 5 : frame[1] + 7]) != b"\0\0":
        return None
    height = bytes(data[number[1] + 4 : number[1] + 6])
    at = frame[1] + 5
    return b"".join((data[:at], height, data[at + 2 : number[1]], data[number[2] :]))
