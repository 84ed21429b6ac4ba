"""Small files that describe much work: every verb ends within its bound of CPU time, or refuses by name.

    python packages/mozcodec/fuzz/hostile.py                       # all files, all verbs, files of a megabyte
    python packages/mozcodec/fuzz/hostile.py --kilobytes 100 --kinds "empty segments" comments

The bound of a call is 0.5 s + 0.05 s a megapixel + 2 s a megabyte of the file. Each kind of file is read in a process
of its own; the exit status is 1 if a call took longer, or raised something that is neither mozcodec's nor ValueError.
"""

import argparse
import io
import json
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec
from mozcodec import forensics

EOI = b"\xff\xd9"
MOST_CONTENT = 65533


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def image(size: int = 64, **options: Any) -> bytes:
    y, x = np.mgrid[:size, :size]
    pixels = np.dstack([x * 255 // size, y * 255 // size, (x * y) % 256]).astype(np.uint8)
    return mozcodec.encode(pixels, 75, **{"profile": "fastest", "progressive": False, **options})


def with_header(content: bytes, jpeg: bytes | None = None) -> bytes:
    """Return an image with more bytes behind SOI."""
    jpeg = image() if jpeg is None else jpeg
    return jpeg[:2] + content + jpeg[2:]


def repeated(one: bytes, size: int) -> bytes:
    return with_header(one * (size // len(one)))


def _dht() -> bytes:
    return segment(0xC4, (bytes((0x03,)) + bytes(16)) * (MOST_CONTENT // 17))


def _dqt() -> bytes:
    return segment(0xDB, (b"\3" + b"\1" * 64) * (MOST_CONTENT // 65))


def _tiff_directory(entries: int) -> bytes:
    directory = b"".join(
        (0x9000 + i % 4096).to_bytes(2, "little") + b"\4\0\1\0\0\0" + (8).to_bytes(4, "little") for i in range(entries)
    )
    return b"II*\0\x08\0\0\0" + entries.to_bytes(2, "little") + directory + bytes(4)


def _photoshop() -> bytes:
    return segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5400)


def large_index(size: int) -> bytes:
    """An MP index of as many images as a segment lists, of two bytes or overlapping each other."""
    count = 4090
    tail = b"\xff\xd8\xff\xd9" * (size // 4)
    entries = b"".join(bytes(4) + (4).to_bytes(4, "little") + (70000 + 4 * i).to_bytes(4, "little") + bytes(4)
                       for i in range(count))  # fmt: skip
    directory = b"\1\0" + b"\x02\xb0\7\0" + len(entries).to_bytes(4, "little") + (26).to_bytes(4, "little") + bytes(4)
    return with_header(segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + directory + entries)) + tail


def extended_xmp(size: int) -> bytes:
    digest = b"0" * 32
    name = b'http://ns.adobe.com/xap/1.0/\0<x xmpNote:HasExtendedXMP="' + digest + b'"/>'
    count = size // 80
    head = b"http://ns.adobe.com/xmp/extension/\0" + digest + count.to_bytes(4, "big")
    parts = b"".join(segment(0xE1, head + i.to_bytes(4, "big") + b"x") for i in range(count))
    return with_header(segment(0xE1, name) + parts)


def xmp_of_items(size: int) -> bytes:
    """XMP without an end of its element, and a further image of another length: all lengths are looked for."""
    packet = b"http://ns.adobe.com/xap/1.0/\0<" + b'Item:Length="9" ' * 4000
    return with_header(segment(0xE1, packet)) + image() + bytes(size)


def flat_scans(size: int) -> bytes:
    """A large flat image, all of it in restart intervals of one MCU."""
    side = min(4000, max(64, int((size / 6) ** 0.5) * 8))
    return mozcodec.encode(np.full((side, side), 128, np.uint8), 50, restart_interval=1, profile="fastest")


def many_scans(_: int) -> bytes:
    """Coefficients one by one, in an image that its header makes larger than the file can hold."""
    script = [((0,), 0, 0, 0, 0), *(((0,), k, k, 0, 0) for k in range(1, 64))]
    data = bytearray(mozcodec.encode(np.full((1000, 1000), 128, np.uint8), 50, scan_script=script))
    at = data.index(b"\xff\xc2")
    data[at + 5 : at + 9] = (8000).to_bytes(2, "big") * 2
    return bytes(data)


def scans_without_end(size: int) -> bytes:
    """One tiny scan again and again."""
    data = image(progressive=True, optimize_scans=False)
    last = mozcodec.inspect(data).scans[-1]
    scan = data[last.offset : last.offset + last.size]
    return data[:-2] + scan * (size // len(scan)) + EOI


def pictures_in_a_row(size: int) -> bytes:
    one = image(8)
    return one * (size // len(one))


def _flat_arithmetic(side: int) -> bytes:
    """Return a few hundred bytes that decode to a large flat image in 16 scans."""
    script = [((0,), 0, 0, 0, 0), *(((0,), k, k, 0, 0) for k in range(1, 16))]
    return mozcodec.encode(np.full((side, side), 128, np.uint8), 50, arithmetic=True, scan_script=script)


def _with_thumbnail(jpeg: bytes) -> bytes:
    """Return EXIF of orientation 6 with a thumbnail."""
    entries = struct.pack("<HHHIII", 1, 0x112, 3, 1, 6, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(jpeg), 0)
    return b"II*\0\x08\0\0\0" + entries + second + jpeg


def large_thumbnails(side: int, size: int) -> bytes:
    """Images of 8 x 8 in a row, each with a thumbnail that its header makes larger."""
    thumbnail = bytearray(_flat_arithmetic(64))
    at = thumbnail.index(b"\xff\xca")
    thumbnail[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
    one = image(8, exif=_with_thumbnail(bytes(thumbnail)))
    return one * (size // len(one))


def nested_pictures(size: int) -> bytes:
    """SOI again and again, behind the image: none of them ends."""
    return image() + b"\xff\xd8" * (size // 2)


KINDS: dict[str, Callable[[int], bytes]] = {
    "empty segments": lambda size: repeated(segment(0xE5), size),
    "empty segments behind the scan": lambda size: image()[:-2] + segment(0xE5) * (size // 4) + EOI,
    "empty APP1": lambda size: repeated(segment(0xE1), size),
    "empty ICC": lambda size: repeated(segment(0xE2, b"ICC_PROFILE\0\1\2"), size),
    "ICC of wrong numbers": lambda size: repeated(segment(0xE2, b"ICC_PROFILE\0\xff\0" + b"x" * 100), size),
    "empty Exif": lambda size: repeated(segment(0xE1, b"Exif\0\0"), size),
    "parts of Exif": lambda size: repeated(segment(0xE1, b"Exif\0\0II*\0" + b"x" * 30), size),
    "comments": lambda size: repeated(segment(0xFE, b"c"), size),
    "Huffman tables": lambda size: repeated(_dht(), size),
    "Huffman segments": lambda size: repeated(segment(0xC4, b"\x03" + bytes(16)), size),
    "quantization tables": lambda size: repeated(_dqt(), size),
    "quantization segments": lambda size: repeated(segment(0xDB, b"\3" + b"\1" * 64), size),
    "restart intervals": lambda size: repeated(segment(0xDD, b"\0\0"), size),
    "fill bytes": lambda size: with_header(b"\xff" * size),
    "zeros": lambda size: with_header(bytes(size)),
    "stuffed bytes": lambda size: image()[:-2] + b"\xff\0" * (size // 2) + EOI,
    "restart markers": lambda size: image()[:-2] + b"\xff\xd0" * (size // 2) + EOI,
    "Exif directory": lambda size: repeated(segment(0xE1, b"Exif\0\0" + _tiff_directory(5400)), size),
    "Photoshop resources": lambda size: repeated(_photoshop(), size),
    "MP index": large_index,
    "extended XMP": extended_xmp,
    "XMP of items": xmp_of_items,
    "restart intervals of one MCU": flat_scans,
    "large image of many scans": many_scans,
    "scans without end": scans_without_end,
    "images in a row": pictures_in_a_row,
    "empty images in a row": lambda size: image() + b"\xff\xd8\xff\xd9" * (size // 4),
    "nested images": nested_pictures,
    "large images in a row": lambda size: image() + _flat_arithmetic(4096) * (size // 456),
    "seven large images in a row": lambda _: image() + _flat_arithmetic(4096) * 7,
    "small thumbnails": lambda size: large_thumbnails(276, size),
    "huge thumbnails": lambda size: large_thumbnails(65000, size),
    "zeros behind the image": lambda size: image() + bytes(size) + b"\xff\xd8\xff",
}  # fmt: skip
VERBS: dict[str, Callable[[bytes], Any]] = {
    "decode": lambda data: mozcodec.decode(data, on_truncated="ok"),
    "read_header": mozcodec.read_header,
    "inspect": mozcodec.inspect,
    "pictures": mozcodec.pictures,
    "identify": forensics.identify,
    "estimate_quality": forensics.estimate_quality,
    "double_compression": forensics.double_compression,
    "metadata_report": forensics.metadata_report,
    "report": forensics.report,
    "optimize": mozcodec.optimize,
    "repair": lambda data: mozcodec.optimize(data, repair=True),
    "transform": lambda data: mozcodec.transform(data, "auto", trim=True),
    "flip": lambda data: mozcodec.transform(data, "flip_vertical", trim=True),
    "read_coefficients": mozcodec.read_coefficients,
    "coefficient_histograms": mozcodec.coefficient_histograms,
    "edit_metadata": lambda data: mozcodec.edit_metadata(data, exif=None, xmp=None, comment="x"),
}
REFUSALS = (mozcodec.JpegError, ValueError)


def bound(data: bytes) -> float:
    """Return the seconds of CPU time that a call may take: by the pixels that the limits let through."""
    pixels = 0
    for picture in (data, *mozcodec.pictures(data)[1:]):
        try:
            header = mozcodec.read_header(picture)
            pixels = min(134_217_728, pixels + header.width * header.height)
        except REFUSALS:
            continue
    return 0.5 + 0.05 * pixels / 1e6 + 2 * len(data) / 1e6


def measure(kind: str, size: int) -> list[dict[str, Any]]:
    """Return what each verb took: seconds of CPU time, its bound, and what it raised."""
    data = KINDS[kind](size)
    most = bound(data)
    warnings.simplefilter("ignore")
    for verb in VERBS.values():  # tables that are made once
        verb(image())
    rows = []
    for name, verb in VERBS.items():
        start, raised, refused = time.process_time(), "", True
        try:
            verb(data)
        except Exception as error:
            raised, refused = f"{type(error).__name__}: {error}"[:120], isinstance(error, REFUSALS)
        seconds = time.process_time() - start
        rows.append({"kind": kind, "verb": name, "bytes": len(data), "seconds": seconds, "bound": most,
                     "raised": raised, "ok": refused})  # fmt: skip
    return rows


def in_a_process(kind: str, size: int) -> list[dict[str, Any]]:
    """Return :func:`measure` of a process of its own; a signal or a time limit is a row that failed."""
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--child", kind, "--kilobytes", str(size / 1000)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except subprocess.TimeoutExpired:
        return [{"kind": kind, "verb": "all", "bytes": size, "seconds": 900.0, "bound": 0.0, "raised": "", "ok": False}]
    if done.returncode:
        return [{"kind": kind, "verb": "all", "bytes": size, "seconds": 0.0, "bound": 0.0, "ok": False,
                 "raised": f"status {done.returncode}: {done.stderr[-300:]}"}]  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def run(kinds: list[str], size: int, margin: float, out: io.TextIOBase | Any = sys.stdout) -> int:
    """Print the slowest verb of each kind and all that failed; return how many did."""
    failed = 0
    for kind in kinds:
        rows = in_a_process(kind, size)
        worst = max(rows, key=lambda row: row["seconds"] / (row["bound"] or 1))
        wrong = [row for row in rows if not row["ok"] or row["seconds"] > margin * row["bound"]]
        failed += len(wrong)
        share = worst["seconds"] / (worst["bound"] or 1)
        print(
            f"{kind} ({worst['bytes']} bytes): {worst['verb']} {worst['seconds']:.2f} s, {share:.2f} of the bound",
            file=out,
        )
        for row in wrong:
            print(f"  FAILED {row['verb']}: {row['seconds']:.2f} s of {row['bound']:.2f} {row['raised']}", file=out)
    print(f"{failed} failed", file=out)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kilobytes", type=float, default=1000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--margin", type=float, default=1.0, help="of the bound, for a machine under load")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    size = round(args.kilobytes * 1000)
    if args.child:
        print(json.dumps(measure(args.child, size)))
        return 0
    return 1 if run(args.kinds, size, args.margin) else 0


if __name__ == "__main__":
    sys.exit(main())
