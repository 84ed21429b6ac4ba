"""How many images a file has: frames of animations, pages. Only the first is examined, which an answer must say."""

from __future__ import annotations

__all__ = ["images_in"]

MOST = 10_000


def images_in(data: bytes) -> int:
    """Return the number of images in *data*: frames of a GIF, animated PNG or WebP, pages of a TIFF; else 1.

    Images that a thumbnail or a further view belongs to count too. Damaged files give what can be read.
    """
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _of_gif(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _of_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _of_webp(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _of_tiff(data)
    return 1


def _of_gif(data: bytes) -> int:
    """GIF 89a: image descriptors (0x2C) between extensions (0x21), each followed by sub-blocks, up to the trailer."""

    def colours(packed: int) -> int:
        return 3 << ((packed & 7) + 1) if packed & 0x80 else 0

    at, count = 13, 0
    if len(data) < at:
        return 1
    at += colours(data[10])
    while at + 10 < len(data) and data[at] in (0x21, 0x2C) and count < MOST:
        if data[at] == 0x2C:
            count += 1
            at += 11 + colours(data[at + 9])
        else:
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return max(1, count)


def _of_png(data: bytes) -> int:
    """PNG, third edition: acTL before the first IDAT has the number of frames."""
    at = 8
    while at + 12 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        if data[at + 4 : at + 8] == b"acTL":
            return max(1, min(int.from_bytes(data[at + 8 : at + 12], "big"), MOST))
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return 1


def _of_webp(data: bytes) -> int:
    """RFC 9649: a chunk ANMF for each frame of an animation."""
    at, count = 12, 0
    while at + 8 <= len(data) and count < MOST:
        count += data[at : at + 4] == b"ANMF"
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return max(1, count)


def _of_tiff(data: bytes) -> int:
    """TIFF 6.0: a chain of directories."""
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    at, seen = number(4, 4), set[int]()
    while 8 <= at < len(data) and at not in seen and len(seen) < MOST:
        seen.add(at)
        at = number(at + 2 + 12 * number(at, 2), 4)
    return max(1, len(seen))
