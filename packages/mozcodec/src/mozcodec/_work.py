"""The budgets of a call, checked before anything is decoded: pixels x scans and bytes of marker segments.

A kilobyte can describe an image of 134 million pixels in a hundred scans. Each scan is a pass over the samples of its
components, at up to about a nanosecond a sample even where nothing is coded.
"""

from typing import Any, Literal

from ._errors import LimitError
from ._metadata import EOI, MARKER, SOS
from ._options import integer

MaxWork = int | Literal["auto"] | None

_FREE = 1 << 28
_PER_PIXEL = 16
_PER_BYTE = 1000
"""The budget by default: 268 million + 16 for each pixel + 1000 for each byte of the file. Common progressive files
need 6 to 16 for each pixel."""
_MOST_SCANS = 100

MAX_MARKER_BYTES = 1 << 28
"""Bytes of the marker segments of an image by default."""


def check_max_work(value: object) -> MaxWork:
    """Return the option ``max_work``, checked."""
    if value is None or value == "auto":
        return value
    return integer("max_work", value, 1, 2**62)


def may_exceed(pixels: int, size: int, max_work: MaxWork) -> bool:
    """Return whether an image of so many pixels in so many bytes could exceed the budget with any scans."""
    if max_work is None:
        return False
    if max_work != "auto":
        return True
    return 4 * _MOST_SCANS * pixels > _FREE + _PER_PIXEL * pixels + _PER_BYTE * size


def _share(h: int, v: int, most_h: int, most_v: int) -> float:
    return h * v / (most_h * most_v)


def work_of(data: Any) -> tuple[int, int]:
    """Return (pixels x scans, pixels) of a JPEG; a scan counts for the share of its components' samples."""
    view = memoryview(data).cast("B")
    pixels, total = 0, 0.0
    shares: dict[int, float] = {}
    found = MARKER.search(view, 2)
    while found is not None:
        at = found.start()
        marker = view[at + 1]
        end = at + 2 + int.from_bytes(view[at + 2 : at + 4], "big")
        if marker == EOI or not at + 4 <= end <= len(view):
            break
        content = bytes(view[at + 4 : min(end, at + 4 + 800)])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(content) >= 6:
            pixels = int.from_bytes(content[1:3], "big") * int.from_bytes(content[3:5], "big")
            factors = {content[k]: divmod(content[k + 1], 16) for k in range(6, len(content) - 2, 3)}
            most = [max((pair[i] for pair in factors.values()), default=1) or 1 for i in (0, 1)]
            shares = {name: _share(h, v, *most) for name, (h, v) in factors.items()}
        elif marker == SOS and content:
            total += sum(shares.get(content[1 + 2 * k], 1.0) for k in range(min(content[0], (len(content) - 1) // 2)))
        found = MARKER.search(view, end)
    return round(pixels * total), pixels


def check_work(data: Any, max_work: MaxWork, pixels: int | None = None) -> None:
    """Raise :class:`LimitError` if decoding *data* exceeds the budget; *pixels* are those of the image, if known."""
    view = memoryview(data).cast("B")
    if pixels is not None and not may_exceed(pixels, len(view), max_work):
        return
    if max_work is None:
        return
    _check([work_of(view)], len(view), max_work)


def _check(images: list[tuple[int, int]], size: int, max_work: MaxWork) -> None:
    work, pixels = (sum(values) for values in zip(*images, strict=True))
    most = _FREE + _PER_PIXEL * pixels + _PER_BYTE * size if max_work == "auto" else max_work
    if max_work is not None and work > most:
        raise LimitError(f"pixels x scans of the file are {work}, more than max_work = {most}")


def check_total(pictures: list[Any], size: int, max_pixels: int | None, max_work: MaxWork) -> None:
    """Raise :class:`LimitError` if the images of a file of *size* bytes exceed the limits together."""
    images = [work_of(picture) for picture in pictures]
    total = sum(pixels for _, pixels in images)
    if max_pixels is not None and total > max_pixels:
        raise LimitError(
            f"the {len(images)} images of the file have {total} pixels together, more than max_pixels = {max_pixels}; "
            "parts='keep' leaves the further ones as they are"
        )
    _check(images, size, max_work)


def check_marker_bytes(data: Any, max_marker_bytes: int | None) -> None:
    """Raise :class:`LimitError` if the marker segments of the image take more bytes."""
    view = memoryview(data).cast("B")
    if max_marker_bytes is None or len(view) <= max_marker_bytes:
        return
    total, found = 0, MARKER.search(view, 2)
    while found is not None and view[found.start() + 1] != EOI:
        at = found.start()
        end = at + 2 + int.from_bytes(view[at + 2 : at + 4], "big")
        total += end - at
        if total > max_marker_bytes:
            raise LimitError(f"the marker segments of the file take more than max_marker_bytes = {max_marker_bytes}")
        if not at + 4 <= end <= len(view):
            break
        found = MARKER.search(view, end)
