"""Damaged data and data of other formats: what it is, and what can still be decoded.

A stream is *whole* (perhaps with an oddity that changes no pixel: bytes between segments, no EOI, bytes after it),
*partial* (some of the image can be decoded), or *hopeless*. Whole streams are decoded, with a
:class:`mozcodec.JpegWarning` that names the oddity; partial ones raise :class:`mozcodec.DamagedError` unless the caller
accepts them.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from ._abbreviated import completed
from ._engine import this_thread
from ._errors import Damage, DamagedError, JpegError, JpegWarning, NotJpegError, damage_of
from ._formats import begins_as_jpeg, format_of
from ._metadata import EOI, SOS
from ._mozjpeg import ffi

R = TypeVar("R")

def _view(data: Any) -> memoryview:
    """Return a view of a buffer, or of cffi's array over one."""
    return memoryview(ffi.buffer(data) if isinstance(data, ffi.CData) else data).cast("B")


def named(error: JpegError, source: Any) -> JpegError:
    """Return *error*, or a :class:`NotJpegError` that names the format where *source* is of another one."""
    beginning = bytes(_view(source)[:65536])
    kind = format_of(beginning)
    if kind is None:
        if begins_as_jpeg(beginning) or isinstance(error, NotJpegError):
            return error
        return NotJpegError(f"not a JPEG: the data must begin with FF D8 ({error})", error.message_code)
    text = "the data is empty" if kind == "empty" else f"not a JPEG but {kind}"
    return NotJpegError(f"{text} ({error})", error.message_code)


# ---- partial streams ------------------------------------------------------------------------------------------------

_MOST_CUTS = 12
_SOI = 0xD8
_MARKER_OR_SOI = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


def _cut_before(data: Any, offset: int) -> bytes | None:
    """Return *data* up to the last segment that begins before *offset*, with an EOI; None if no scan remains."""
    view = _view(data)
    start, scans = 0, 0
    found = _MARKER_OR_SOI.search(view, 2)
    while found is not None and found.start() < offset:
        marker = view[found.start() + 1]
        if marker == EOI:
            break
        if marker == _SOI:  # of another image
            start = found.start()
            break
        start = found.start()
        end = start + 2 + int.from_bytes(view[start + 2 : start + 4], "big")
        if end < start + 4 or end > len(view):
            break
        scans += marker == SOS
        if marker == SOS and end >= offset:
            scans -= 1
        found = _MARKER_OR_SOI.search(view, end)
    return bytes(view[:start]) + b"\xff\xd9" if scans > 0 else None


def salvage(data: Any, attempt: Callable[[Any], R]) -> tuple[R, Damage | None]:
    """Return what *attempt* makes of *data*, or of its beginning where an error stands behind some of the image.

    The second value is that error's place, None where there was no error.
    """
    first: DamagedError | None = None
    for _ in range(_MOST_CUTS):
        try:
            return attempt(data), first.damage if first else None
        except DamagedError as error:
            first = first or error
            complete = completed(_view(data))
            data = data if complete is None else complete  # what was decoded, so that the offset is one in it
            shorter = None if error.offset is None else _cut_before(data, min(error.offset, len(data)))
            if shorter is None or len(shorter) > len(data) or shorter == _view(data):
                raise first from None
            data = shorter
    raise first if first else AssertionError


# ---- reporting ------------------------------------------------------------------------------------------------------


def _warning(text: str, damage: Damage | None) -> JpegWarning:
    warning = JpegWarning(text)
    warning.damage = damage
    return warning


def describe(damage: Damage) -> str:
    """Return *damage* as one line."""
    place = f", byte {damage.offset}" if damage.offset is not None else ""
    return f"{damage.message} (scan {damage.scan}, {damage.rows} rows and {damage.mcus} MCUs before it{place})"


def note_damage(status: Any, harder: Damage | None, on_truncated: object, stacklevel: int, prefix: str = "") -> None:
    """Store the damage in *status*, and warn of it unless *on_truncated* is "ok"."""
    damage = None
    if status.num_warnings:
        damage = damage_of(status, ffi.string(status.warning).decode("latin-1"))
    if harder is not None and (damage is None or harder.scan <= damage.scan):
        damage = harder
    this_thread().damage = damage
    if on_truncated == "ok":
        return
    if damage is not None:
        warnings.warn(_warning(prefix + describe(damage), damage), stacklevel=stacklevel + 1)
    elif status.num_notes:
        text = ffi.string(status.note).decode("latin-1")
        warnings.warn(_warning(prefix + text, None), stacklevel=stacklevel + 1)


def damage_found() -> Damage | None:
    """Return the damage of the image that this thread decoded or rewrote last, or None for a whole one.

    For ``on_truncated="ok"``, which does not warn. Batches and iterators, which use other threads, do not count.
    """
    damage: Damage | None = this_thread().damage
    return damage
