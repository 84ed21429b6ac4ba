"""Fuzz unusual streams that mean the same image: every function returns its pixels, and metadata is edited in place.

    python packages/mozcodec/fuzz/streams.py                         # 10,000 cases
    python packages/mozcodec/fuzz/streams.py --cases 500 --seed 7
    python packages/mozcodec/fuzz/streams.py --cases 2000 --sanitized  # under ASan and UBSan

Each case is a file of random settings, sometimes without its last scans or with zeros in a quantization table, that is
rewritten by up to three rules that change no pixel: junk and fill bytes between segments, a missing EOI, ones before
restart markers, repeated component ids, DNL, tables in a stream of their own, an Se that no decoder heeds ... A failure
is a signal, an exception other than mozcodec's own, an error where none is allowed, or other pixels. A case is a pure
function of the seed and its number. The exit status is 1 if a case failed.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mozcodec

sys.path.insert(0, str(Path(__file__).parent))  # tests load this file by its path, and -P leaves its folder out
import seeded

EOI = b"\xff\xd9"
Rule = Callable[[np.random.Generator, bytes], bytes]


def _segments(data: bytes) -> list[Any]:
    return list(mozcodec.inspect(data).segments)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def _base(rng: np.random.Generator) -> tuple[bytes, bool]:
    """Return a file and whether it is sequential, in one scan."""
    sides = 32 * rng.integers(1, 4, 2)  # whole MCUs: every image can be turned
    y, x = np.mgrid[: sides[0], : sides[1]]
    pixels = np.dstack([x * 5, y * 5, x + y]).astype(np.uint8) ^ rng.integers(0, 32, (*x.shape, 3), np.uint8)
    if rng.random() < 0.2:
        pixels = np.ascontiguousarray(pixels[..., 0])
    options: dict[str, Any] = {"subsampling": str(rng.choice(["4:4:4", "4:2:2", "4:2:0", "4:4:0"]))}
    if rng.random() < 0.3:
        options["restart_interval"] = int(rng.integers(1, 6))
    if sequential := bool(rng.integers(2)):
        options |= {"progressive": False, "profile": "fastest"}
    if rng.random() < 0.2:
        options["arithmetic"] = True
    data = bytearray(mozcodec.encode(pixels, int(rng.integers(5, 99)), **options))
    if rng.random() < 0.2:  # zeros in a table
        at = data.index(b"\xff\xdb") + 5
        data[at + 1 + int(rng.integers(60))] = 0
    if not sequential and rng.random() < 0.3:  # no last scans
        scans = mozcodec.inspect(bytes(data)).scans
        data[scans[int(rng.integers(1, len(scans)))].offset :] = EOI
    return bytes(data), sequential and not options.get("arithmetic")


# ---- rules ----------------------------------------------------------------------------------------------------------


def _boundary(rng: np.random.Generator, data: bytes) -> int:
    """Return where a random segment of the header begins that is not the first."""
    header: list[int] = []
    for one in _segments(data):
        header.append(one.offset)
        if one.name == "SOS":
            break
    return int(rng.choice(header[1:]))


def _junk(rng: np.random.Generator, data: bytes) -> bytes:
    at = _boundary(rng, data)
    return data[:at] + rng.integers(0, 255, int(rng.integers(1, 30)), np.uint8).tobytes() + data[at:]  # no 0xFF


def _fill(rng: np.random.Generator, data: bytes) -> bytes:
    at = _boundary(rng, data)
    return data[:at] + b"\xff" * int(rng.integers(1, 9)) + data[at:]


def _application(rng: np.random.Generator, data: bytes) -> bytes:
    at = _boundary(rng, data)
    marker = int(rng.choice([0xE3, 0xE7, 0xEF, 0xFE, 0xE1, 0xE2, 0xED]))
    return data[:at] + segment(marker, rng.bytes(int(rng.integers(0, 60)))) + data[at:]


def _sends_everything(scans: Any) -> bool:
    sent: dict[tuple[int, int], int] = {}
    for scan in scans:
        first, last = scan.spectral_selection
        sent |= {(i, k): scan.approximation[1] for i in scan.components for k in range(first, last + 1)}
    return len(sent) in (64, 192) and not any(sent.values())


def _ending(rng: np.random.Generator, data: bytes) -> bytes:
    # an arithmetic decoder goes on beyond the end of the data, so that no one can tell whether it was cut off
    # nor whether a progressive file without its last scans was
    facts = mozcodec.inspect(data)
    lacks_scans = facts.header.progressive and not _sends_everything(facts.scans)
    match 2 if facts.header.arithmetic or lacks_scans else int(rng.integers(3)):
        case 0:
            return data[:-2]
        case 1:
            return data[:-2] + bytes(int(rng.integers(1, 20))) + EOI
        case _:
            return data + bytes(int(rng.integers(1, 9))) + rng.bytes(int(rng.integers(9)))


def _ids(rng: np.random.Generator, data: bytes) -> bytes:
    """Other component ids, which may repeat: a scan of all components takes them in order."""
    result = bytearray(data)
    frame, scan = _frame(data), data.index(b"\xff\xda")
    new = rng.integers(1, 9, data[scan + 4])
    for i, one in enumerate(new):
        result[frame + 10 + 3 * i] = result[scan + 5 + 2 * i] = int(one)
    return bytes(result)


def _frame(data: bytes) -> int:
    return next(i for i in (data.find(b"\xff\xc0"), data.find(b"\xff\xc1")) if i >= 0)


def _dnl(_: np.random.Generator, data: bytes) -> bytes:
    at = _frame(data) + 5
    height = data[at : at + 2]
    return data[:at] + b"\0\0" + data[at + 2 : -2] + segment(0xDC, height) + EOI


def _tables_apart(_: np.random.Generator, data: bytes) -> bytes:
    """The tables in a stream of their own before the image's (T.81, B.5)."""
    tables = [data[s.offset : s.offset + s.size] for s in _segments(data) if s.name in ("DQT", "DHT")]
    rest = data
    for table in tables:
        rest = rest.replace(table, b"", 1)
    return b"\xff\xd8" + b"".join(tables) + EOI + rest


def _last_coefficient(rng: np.random.Generator, data: bytes) -> bytes:
    """SOF1, and an Se that sequential decoders do not heed."""
    result = bytearray(data)
    result[_frame(data) + 1] = 0xC1
    scan = data.index(b"\xff\xda")
    result[scan + 6 + 2 * data[scan + 4]] = int(rng.choice([3, 15, 35, 80, 99, 143, 224, 255]))
    return bytes(result)


def _ones(rng: np.random.Generator, data: bytes) -> bytes:
    """A byte of ones more than fill up the last byte of some restart intervals."""
    scan, number = data.index(b"\xff\xda"), int(rng.integers(8))
    marker = bytes((0xFF, 0xD0 + number))
    return data[:scan] + data[scan:].replace(marker, b"\xff\0" + marker)


def _bogus_segment(rng: np.random.Generator, data: bytes) -> bytes:
    """A segment that no decoder takes, behind the coded data: all rows are decoded when it comes."""
    marker = int(rng.choice([0xDB, 0xC4, 0xDA, 0xDD, 0xC0]))
    return data[:-2] + bytes((0xFF, marker, 0, int(rng.integers(0, 2)))) + EOI


HEADER: dict[str, Rule] = {"junk": _junk, "fill bytes": _fill, "application segment": _application}
ONE_SCAN: dict[str, Rule] = {
    "ids": _ids,
    "DNL": _dnl,
    "tables apart": _tables_apart,
    "Se": _last_coefficient,
    "ones": _ones,
}
ENDINGS: dict[str, Rule] = {"ending": _ending, "bogus segment": _bogus_segment}


def draw_case(seed: int, number: int) -> tuple[bytes, bytes, list[str]]:
    """Return the file of case *number*, the same in the usual form, and which rules were applied."""
    rng = np.random.default_rng((seed, number))
    plain, one_scan = _base(rng)
    data, rules = plain, []
    for group, likely in ((ONE_SCAN if one_scan else {}, 0.7), (HEADER, 0.6), (ENDINGS, 0.5)):
        if group and rng.random() < likely:
            name = str(rng.choice(list(group)))
            if name == "bogus segment" and "DNL" in rules:
                name = "ending"
            if name in ("junk", "fill bytes", "application segment") and "tables apart" in rules:
                continue
            data = group[name](rng, data)
            rules.append(name)
    return data, plain, rules


# ---- checks ---------------------------------------------------------------------------------------------------------


def _pixels(data: bytes, **options: Any) -> Any:
    return mozcodec.decode(data, None, on_truncated="ok", **options)


READERS: dict[str, Callable[[bytes], Any]] = {
    "decode": lambda data: mozcodec.decode(data, None),
    "decode by the library": lambda data: mozcodec.decode(data, None, engine="library"),
    "decode_batch": lambda data: mozcodec.decode_batch([data], None)[0],
    "decode of a region": lambda data: mozcodec.decode(
        data, None, region=(0, 0, mozcodec.read_header(data).width, mozcodec.read_header(data).height)
    ),
}  # fmt: skip
WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "optimize": mozcodec.optimize,
    "repair": lambda data: mozcodec.optimize(data, repair=True),
    "sequential": lambda data: mozcodec.optimize(data, progressive=False),
    "turned twice": lambda data: mozcodec.transform(mozcodec.transform(data, "rotate_180"), "rotate_180"),
    "coefficients": lambda data: mozcodec.write_coefficients(mozcodec.read_coefficients(data)),
    "metadata": lambda data: mozcodec.edit_metadata(data, comment="x"),
}


def _check_pixels(data: bytes, plain: bytes, is_broken: bool) -> int:
    """Check every function; return how many refused the file, which only a segment that is broken allows."""
    wanted, refused = _pixels(plain, engine="library"), 0
    assert np.array_equal(_pixels(data), wanted), "decode with on_truncated='ok' has other pixels"
    for name, call in (READERS | WRITERS).items():
        try:
            result = call(data)
        except mozcodec.DamagedError:
            assert is_broken and name != "repair", f"{name} refuses the file"
            refused += 1
            continue
        except (mozcodec.UnsupportedError, ValueError) as error:
            if name == "turned twice" and "cannot be rewritten" in str(error):
                continue
            raise
        found = result if name in READERS else _pixels(result)
        # sequential scans have no gaps: coefficients that were not sent are 0, and decoders do not smooth over them
        is_same = np.array_equal(found, wanted) or (name == "sequential" and mozcodec.read_header(plain).progressive)
        assert is_same, f"{name}: other pixels"
    return refused


def _tiff(rng: np.random.Generator) -> bytes:
    orientation = int(rng.integers(1, 9)).to_bytes(2, "little")
    return b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0" + orientation + bytes(6) + rng.bytes(int(rng.integers(0, 99)))


def _check_metadata(rng: np.random.Generator, plain: bytes) -> None:
    """Check that an edit leaves one of what it replaces, and everything else as and where it was."""
    jpeg = plain
    for _ in range(int(rng.integers(1, 4))):  # what other programs left, some of it twice
        contents = [
            segment(0xE1, b"Exif\0\0" + _tiff(rng)), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
            segment(0xFE, b"old"), segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\4IPTC"),
            segment(0xE2, b"ICC_PROFILE\0\1\1" + rng.bytes(50)), segment(0xE9, b"maker"),
        ]  # fmt: skip
        at = _boundary(rng, jpeg)
        jpeg = jpeg[:at] + contents[int(rng.integers(len(contents)))] + jpeg[at:]
    new = {"exif": _tiff(rng), "xmp": b"<new/>", "comment": "new", "iptc": b"NEW", "icc_profile": b"n" * 40}
    name = str(rng.choice(list(new)))
    edited = mozcodec.edit_metadata(jpeg, **{name: new[name]})
    found = mozcodec.read_header(edited).metadata
    value = found.comments if name == "comment" else getattr(found, name)
    assert value == ((b"new",) if name == "comment" else new[name]), f"{name} is {value!r}"
    kinds = {
        "exif": (0xE1, b"Exif"), "xmp": (0xE1, b"http"), "comment": (0xFE, b""), "iptc": (0xED, b"Photoshop"),
        "icc_profile": (0xE2, b"ICC"),
    }  # fmt: skip
    marker, start = kinds[name]

    def others(data: bytes) -> list[bytes]:
        every = [data[s.offset : s.offset + s.size] for s in _segments(data)]
        return [one for one in every if not (one[1] == marker and one[4:].startswith(start))]

    assert others(edited) == others(jpeg), f"an edit of {name} changes another segment"
    assert len(_segments(edited)) == len(others(edited)) + 1, f"more than one {name}"
    upright = mozcodec.transform(edited, "auto")
    assert mozcodec.read_header(upright).orientation == 1, "transform('auto') leaves an orientation"


def run_case(seed: int, number: int) -> str:
    """Return how many functions refused the file; raise AssertionError for a wrong result."""
    data, plain, rules = draw_case(seed, number)
    refused = _check_pixels(data, plain, "bogus segment" in rules)
    _check_metadata(np.random.default_rng((seed, number, 1)), plain)
    return f"{refused} refused"


def run(cases: int, seed: int) -> int:
    """Print what failed and how many cases had which result; return the number of failures."""
    return seeded.run(run_case, cases, seed, lambda seed, number: f", {draw_case(seed, number)[2]}")


if __name__ == "__main__":
    sys.exit(seeded.main(__file__, __doc__, run))
