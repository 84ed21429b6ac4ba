"""Fuzz files of several images: wrong offsets and sizes in the index, images cut off, repeated, with junk between them.

    python packages/mozcodec/fuzz/containers.py                           # 10,000 cases
    python packages/mozcodec/fuzz/containers.py --cases 500 --seed 7
    python packages/mozcodec/fuzz/containers.py --cases 2000 --sanitized  # under ASan and UBSan

Each case is a Multi-Picture file of two to four images with up to four defects. A failure is a signal, an exception
other than mozcodec's own, or an image that is lost or changes its pixels. A case is a pure function of the seed and its
number. The exit status is 1 if a case failed.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec

sys.path.insert(0, str(Path(__file__).parent))  # tests load this file by its path, and -P leaves its folder out
import seeded

REFUSALS = (mozcodec.JpegError, ValueError)
_INDEX = 2 + 4 + 4  # SOI, marker and length, "MPF\0": the byte order mark


def _image(rng: np.random.Generator) -> bytes:
    y, x = np.mgrid[: 16 * rng.integers(1, 4), : 16 * rng.integers(1, 4)]  # whole MCUs: every image can be turned
    pixels = np.dstack([x * 5, y * 5, x + y]).astype(np.uint8) ^ rng.integers(0, 16, (*x.shape, 3), np.uint8)
    return mozcodec.encode(pixels, int(rng.integers(20, 96)), profile="fastest", progressive=bool(rng.integers(2)))


def multi_picture(images: list[bytes], gap: bytes = b"") -> bytes:
    """Return a file of several images, with *gap* between them and an MP index of their offsets."""
    entries_at, count = 8 + 2 + 2 * 12 + 4, len(images)
    size = len(images[0]) + 4 + 4 + entries_at + 16 * count
    entries, at = b"", 0
    for i, image in enumerate(images):
        length = size if i == 0 else len(image)
        entries += bytes(4) + length.to_bytes(4, "little") + (at and at - _INDEX).to_bytes(4, "little") + bytes(4)
        at += length + len(gap)
    numbers = [count.to_bytes(4, "little"), (16 * count).to_bytes(4, "little"), entries_at.to_bytes(4, "little")]
    directory = b"\2\0\x01\xb0\4\0\1\0\0\0" + numbers[0] + b"\x02\xb0\7\0" + numbers[1] + numbers[2] + bytes(4)
    content = b"MPF\0II*\0\x08\0\0\0" + directory + entries
    segment = b"\xff\xe2" + (len(content) + 2).to_bytes(2, "big") + content
    return gap.join((images[0][:2] + segment + images[0][2:], *images[1:]))


def with_preview(data: bytes, number: int) -> bytes:
    """Return the file with image *number* of its index as a preview of the first (a "large thumbnail")."""
    at = _INDEX + 38 + 16 * number
    return data[:at] + b"\x02\0\1\0" + data[at + 4 :]


def _spoil_index(rng: np.random.Generator, data: bytearray) -> None:
    """A byte of the index, or a whole field of an entry."""
    length = int.from_bytes(data[4:6], "big")
    if rng.integers(2):
        data[int(rng.integers(6, 4 + length))] = int(rng.integers(256))
        return
    at = _INDEX + 38 + 16 * int(rng.integers(2)) + 4 * int(rng.integers(1, 3))
    value = rng.choice([0, 1, 2, len(data) // 2, len(data), 2**31, 2**32 - 1])
    data[at : at + 4] = int(value).to_bytes(4, "little")


def _spoil_tail(rng: np.random.Generator, data: bytearray) -> None:
    """Bytes behind the first image: cut off, put between, repeated."""
    middle = len(data) // 2
    at = int(rng.integers(middle, len(data)))
    match int(rng.integers(4)):
        case 0:
            del data[at:]
        case 1:
            data[at:at] = rng.bytes(int(rng.integers(1, 40)))
        case 2:
            data += data[at:]
        case _:
            data += bytes(int(rng.integers(1, 40))) + b"\xff\xd8\xff"[: int(rng.integers(4))]


def draw_case(seed: int, number: int) -> tuple[bytes, int]:
    """Return the file of case *number* and the number of its defects."""
    rng = np.random.default_rng((seed, number))
    data = bytearray(multi_picture([_image(rng) for _ in range(rng.integers(2, 5))], bytes(int(rng.integers(3)) * 4)))
    defects = int(rng.integers(5))
    for _ in range(defects):
        (_spoil_index if rng.integers(2) else _spoil_tail)(rng, data)
    return bytes(data), defects


def _pixels(image: bytes) -> Any:
    try:
        # without smoothing: in the rows after damage it goes by the scans before it, which a repaired file cannot say
        return mozcodec.decode(image, None, on_truncated="ok", block_smoothing=False)
    except REFUSALS:
        return None


VERBS = {
    "optimize": mozcodec.optimize,
    "repair": lambda data: mozcodec.optimize(data, repair=True),
    "keep": lambda data: mozcodec.optimize(data, parts="keep"),
    "flip": lambda data: mozcodec.transform(data, "flip_vertical"),
    "metadata": lambda data: mozcodec.edit_metadata(data, comment="x"),
}


def _is_whole(image: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            mozcodec.decode(image, None)
        except (*REFUSALS, mozcodec.JpegWarning):
            return False
    return True


def _check(name: str, before: list[Any], after: list[Any]) -> None:
    assert len(after) == len(before), f"{name}: {len(before)} images became {len(after)}"
    for i, (one, other) in enumerate(zip(before, after, strict=True)):
        if name == "flip":
            expected = one if one is None else one[::-1]
            may_stay = i > 0  # a further image that is damaged stays as it is
            same = np.array_equal(expected, other) or (may_stay and np.array_equal(one, other))
        else:
            same = np.array_equal(one, other)
        assert one is None or same, f"{name}: image {i} has other pixels"


def _check_crop(seed: int, number: int) -> None:
    """Check that after a crop no preview shows more than its share, and that no other image is lost or changes."""
    rng = np.random.default_rng((seed, number, 1))
    first, *others = [_image(rng) for _ in range(3)]
    half = _pixels(first)[::2, ::2]
    preview = mozcodec.encode(np.ascontiguousarray(half), 90, profile="fastest", progressive=False, subsampling="4:4:4")
    data = with_preview(multi_picture([first, preview, *others]), 1)
    height, width = _pixels(first).shape[:2]
    left, top = (int(rng.integers(0, size // 16)) * 16 for size in (width, height))
    result = mozcodec.transform(data, crop=(left, top, width, height))
    images = [_pixels(image) for image in mozcodec.pictures(result)]
    kept = len(images) == 4
    # chroma is interpolated over the edge of a region
    images[0], uncut = (mozcodec.decode(image, fancy_upsampling=False) for image in (result, first))
    wanted = [uncut[top:, left:], *([_pixels(preview)[top // 2 :, left // 2 :]] * kept), *map(_pixels, others)]
    _check("crop", wanted, images)
    assert kept or (left // 2) % 8 or (top // 2) % 8, "a preview is dropped that can be cropped"


def run_case(seed: int, number: int) -> str:
    """Return how many verbs refused the file; raise AssertionError for a wrong result."""
    _check_crop(seed, number)
    data, defects = draw_case(seed, number)
    for read in (mozcodec.inspect, mozcodec.read_header, lambda d: mozcodec.decode(d, None, picture=1)):
        try:
            read(data)
        except REFUSALS:
            continue
    images = mozcodec.pictures(data)
    before = [_pixels(picture) for picture in images]
    # damage may leave values that no code has: repair writes the nearest
    whole = [pixels if _is_whole(picture) else None for picture, pixels in zip(images, before, strict=True)]
    refused = 0
    for name, verb in VERBS.items():
        try:
            result = verb(data)
        except REFUSALS:
            assert defects, f"{name}: a file without a defect is refused"
            refused += 1
            continue
        _check(name, whole if name == "repair" else before, [_pixels(picture) for picture in mozcodec.pictures(result)])
    return f"{refused} refused"


def run(cases: int, seed: int) -> int:
    """Print what failed and how many cases had which result; return the number of failures."""
    return seeded.run(run_case, cases, seed, lambda *_: "")


if __name__ == "__main__":
    sys.exit(seeded.main(__file__, __doc__, run))
