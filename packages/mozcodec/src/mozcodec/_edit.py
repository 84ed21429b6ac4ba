"""Replace or remove the metadata of a file, whose coded data and further parts stay."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._containers import with_indices
from ._errors import NotJpegError
from ._formats import format_of
from ._inputs import Source, view_of
from ._metadata import (
    APP0,
    FIELDS,
    PHOTOSHOP_SIGNATURE,
    as_bytes,
    header_segments,
    kind_of,
    photoshop_segments,
    read_metadata,
    replaced,
    segments_to_write,
    with_iptc,
)


class _Keep:
    """The default of :func:`edit_metadata`: what the file has."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Any = _Keep()
_TEXT = str | bytes | bytearray | memoryview


def edit_metadata(
    data: Source,
    *,
    exif: bytes | None = KEEP,
    xmp: bytes | None = KEEP,
    icc_profile: bytes | None = KEEP,
    iptc: bytes | None = KEEP,
    comment: bytes | str | Sequence[bytes | str] | None = KEEP,
    app: Mapping[int, bytes | Sequence[bytes] | None] | None = None,
) -> bytes:
    """Return the JPEG with other metadata and the same coded data, byte for byte.

    What is given replaces all segments of its kind, where the first of them stood; None removes them; what is not given
    stays. An XMP packet of more than 65,504 bytes is written as extended XMP, EXIF of more than 65,527 bytes in several
    segments. *comment* may be a list. *app* replaces whole application segments by number: ``{11: [b"..."]}``, or
    ``{11: None}``. Offsets and lengths of further parts of the file are updated.

    Raises ``ValueError`` for content that no segment holds, :class:`mozcodec.NotJpegError` for data that is no JPEG.
    """
    if app is not None and not isinstance(app, Mapping):
        raise TypeError(f"app maps numbers 0..15 to bytes, or a list of them: {{11: b'...'}}; got {type(app).__name__}")
    stream = bytes(view_of(data))
    if stream[:2] != b"\xff\xd8":
        what = format_of(stream) or "unknown data: it must begin with FF D8"
        raise NotJpegError(f"not a JPEG but {what}")
    old = read_metadata(stream)
    new: dict[object, list[tuple[int, bytes]]] = {}
    if exif is not KEEP:
        new["exif"] = segments_to_write(None, exif, None, None)
    if xmp is not KEEP:
        new["xmp"] = segments_to_write(None, None, xmp, None)
    if icc_profile is not KEEP:
        new["icc_profile"] = segments_to_write(icc_profile, None, None, None)
    if iptc is not KEEP and iptc != old.iptc:
        photoshop = b"".join(
            bytes(s.data)[len(PHOTOSHOP_SIGNATURE) :]
            for s in header_segments(stream)
            if kind_of(s.marker, s.data) == "iptc"
        )
        content = with_iptc(photoshop, None if iptc is None else as_bytes("iptc", iptc))
        new["iptc"] = photoshop_segments(content)
    if comment is not KEEP:
        comments = [] if comment is None else [comment] if isinstance(comment, _TEXT) else list(comment)
        new["comment"] = [part for text in comments for part in segments_to_write(None, None, None, text)]
    result = replaced(stream, {name: new[name] for name in FIELDS if name in new}, lambda s: kind_of(s.marker, s.data))
    for number, contents in (app or {}).items():
        if not 0 <= number <= 15:
            raise ValueError(f"app takes numbers 0..15, got {number}")
        segments = [contents] if isinstance(contents, bytes | bytearray | memoryview) else contents or ()
        parts = [(APP0 + number, as_bytes(f"app[{number}]", part)) for part in segments]
        result = replaced(result, {APP0 + number: parts}, lambda s: s.marker)
    return result if result == stream else with_indices(stream, result)
