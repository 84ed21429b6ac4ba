"""Whole, partial and hopeless streams, in every verb; djpeg and Pillow are the references for what remains."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

import mozcodec

EOI = b"\xff\xd9"
BROKEN = b"\xff\xdb\x00\x01"  # a DQT segment of an impossible length


@pytest.fixture(scope="module")
def files(picture) -> dict[str, bytes]:
    pixels = picture("astronaut.png")[:104, 100:204]
    return {
        "baseline": mozcodec.encode(pixels, 90, profile="fastest"),
        "progressive": mozcodec.encode(pixels, 90),
        "restarts": mozcodec.encode(pixels, 90, profile="fastest", restart_interval=3),
        "gray": mozcodec.encode(pixels[..., 1].copy(), 90, profile="fastest"),
    }


ODDITIES = {
    "zeros before EOI": (lambda d: d[:-2] + bytes(9) + EOI, "extraneous data before marker 0xd9"),
    "text before EOI": (lambda d: d[:-2] + b"some text" + EOI, "extraneous data before marker 0xd9"),
    "bytes in the header": (lambda d: d[:20] + b"junk" + d[20:], "extraneous data before marker"),
    "no EOI": (lambda d: d[:-2], "no EOI marker"),
    "bytes after EOI": (lambda d: d + b"tail", "data after the end of the image"),
}


def with_ones(data: bytes, numbers: tuple[int, ...] = tuple(range(8)), ones: bytes = b"\xff\0") -> bytes:
    """Return *data* with *ones* before the restart markers of these numbers."""
    start = mozcodec.inspect(data).scans[0].offset
    for number in numbers:
        marker = bytes((0xFF, 0xD0 + number))
        data = data[:start] + data[start:].replace(marker, ones + marker)
    return data


@pytest.mark.parametrize("engine", ["auto", "library"])
@pytest.mark.parametrize("oddity", ODDITIES)
def test_whole_images_open_by_default_and_the_oddity_is_named(files, oddity, engine):
    change, words = ODDITIES[oddity]
    for name, data in files.items():
        odd = change(data)
        with pytest.warns(mozcodec.JpegWarning, match=words) as caught:
            pixels = mozcodec.decode(odd, None, engine=engine)
        assert caught[0].message.damage is None
        np.testing.assert_array_equal(pixels, mozcodec.decode(data, None), name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(mozcodec.decode(odd, None, engine=engine, on_truncated="ok"), pixels)


VERBS = {
    "decode_batch": lambda data: mozcodec.decode_batch([data], None),
    "decode to planes": lambda data: mozcodec.decode(data, "planes"),
    "read_coefficients": mozcodec.read_coefficients,
    "coefficient_histograms": mozcodec.coefficient_histograms,
    "optimize": mozcodec.optimize,
    "optimize by the library": lambda data: mozcodec.optimize(data, engine="library"),
    "transform": lambda data: mozcodec.transform(data, "rotate_90", trim=True),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("oddity", ODDITIES)
def test_every_verb_names_an_oddity_by_the_same_text(files, oddity, verb):
    for name, data in files.items():
        odd = ODDITIES[oddity][0](data)
        with pytest.warns(mozcodec.JpegWarning) as expected:
            mozcodec.decode(odd, None)
        with pytest.warns(mozcodec.JpegWarning) as caught:
            VERBS[verb](odd)
        said = [str(warning.message).removeprefix("file 0: ") for warning in caught]
        assert said == [str(warning.message) for warning in expected], name


@pytest.mark.parametrize("numbers", [tuple(range(8)), (0,), (5,)])
def test_a_byte_of_ones_before_a_restart_marker_leaves_the_image_whole(files, numbers):
    """As in the frames of some cameras: their encoders fill up a byte that is full by one more."""
    data = files["restarts"]
    odd = with_ones(data, numbers)
    assert len(odd) > len(data)
    words = f"a byte of ones before marker 0xd{numbers[0]}"
    for call in (*VERBS.values(), lambda data: mozcodec.decode(data, engine="library")):
        with pytest.warns(mozcodec.JpegWarning, match=words) as caught:
            call(odd)
        assert len(caught) == 1
    with pytest.warns(mozcodec.JpegWarning, match=words):
        smaller = mozcodec.optimize(odd)
    with pytest.warns(mozcodec.JpegWarning, match=words):
        np.testing.assert_array_equal(mozcodec.decode(odd), mozcodec.decode(data))
    np.testing.assert_array_equal(mozcodec.decode(smaller), mozcodec.decode(data))  # and no warning: it is clean


@pytest.mark.parametrize("engine", ["auto", "library"])
def test_other_bytes_before_a_restart_marker_are_damage(picture, files, engine):
    data = files["restarts"]
    progressive = mozcodec.encode(picture("astronaut.png")[:104, 100:204], 90, restart_interval=3)
    lost = with_ones(data).replace(b"\xff\0\xff\xd2", b"\xff\0\xff\xd4", 1)
    for odd in (with_ones(data, (3,), b"\xfe"), with_ones(data, (3,), b"\xff\0\xff\0"), with_ones(progressive), lost):
        with pytest.raises(mozcodec.DamagedError):
            mozcodec.decode(odd, engine=engine)


def test_several_oddities_are_all_named(files):
    odd = files["baseline"]
    odd = odd[:20] + b"junk" + odd[20:-2] + bytes(9) + EOI + b"tail"
    words = r"0x.. \(size 4\); extraneous data before marker 0xd9 .*; data after the end of the image \(size 4\)"
    for call in (mozcodec.decode, mozcodec.optimize, mozcodec.read_coefficients):
        with pytest.warns(mozcodec.JpegWarning, match=words):
            call(odd)


def test_skipped_bytes_within_a_scan_are_damage(files):
    data = files["restarts"]
    at = data.index(b"\xff\xd3", mozcodec.inspect(data).scans[0].offset)
    for engine in ("auto", "library"):
        with pytest.raises(mozcodec.DamagedError, match="extraneous bytes before marker 0xd"):
            mozcodec.decode(data[:at] + b"junk" + data[at:], engine=engine)


def test_bytes_left_over_by_a_scan_out_of_sync_are_damage(files):
    """The data of a scan that is decoded properly ends with ones up to the byte."""
    for name in ("gray", "restarts"):
        _flip_bits(files[name])


def _flip_bits(data: bytes) -> None:
    hidden, seen = 0, 0
    start = mozcodec.inspect(data).scans[0].offset + 10
    for at in range(start, len(data) - 40, 7):
        for bit in range(8):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            with warnings.catch_warnings():
                warnings.simplefilter("error", mozcodec.JpegWarning)
                try:
                    mozcodec.decode(bytes(broken), None)
                except mozcodec.DamagedError:
                    seen += 1
                except mozcodec.JpegWarning:
                    hidden += 1
    assert seen > 20 * hidden, (seen, hidden)


ENDINGS = (
    BROKEN + EOI,
    b"\xff\xc4\x00\x13\x00" + bytes([255] * 16) + EOI,
    BROKEN,
    b"\xff\xc9",  # as many bytes as the EOI that they replace
    b"\xff\xc6\0\x0b\x08\0\x10\0\x10\1\1\x11\0" + EOI,  # a second frame, of a process that nobody supports
    b"\xff\xfa\0\2",
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_kept_whatever_stands_after_them(files, ending):
    for name, data in files.items():
        broken = data[:-2] + ending
        with pytest.raises(mozcodec.DamagedError):
            mozcodec.decode(broken, None)
        with pytest.warns(mozcodec.JpegWarning) as caught:
            pixels = mozcodec.decode(broken, None, on_truncated="warn")
        np.testing.assert_array_equal(pixels, mozcodec.decode(data, None), name)
        assert caught[0].message.damage.rows == pixels.shape[0]
        np.testing.assert_array_equal(mozcodec.decode(broken, None, on_truncated="ok"), pixels)
        assert mozcodec.damage_found() == caught[0].message.damage


def test_scans_before_an_error_are_kept(files):
    data = files["progressive"]
    third = mozcodec.inspect(data).scans[2].offset
    pixels = mozcodec.decode(data[:third] + BROKEN + EOI, on_truncated="ok")
    np.testing.assert_array_equal(pixels, mozcodec.decode(data[:third] + EOI))


def test_the_account_of_a_cut_stream(files):
    data = files["baseline"]
    cut = data[: len(data) * 2 // 3]
    with pytest.raises(mozcodec.DamagedError, match="Premature end") as caught:
        mozcodec.decode(cut)
    damage = caught.value.damage
    assert (damage.scan, damage.offset) == (1, len(cut))
    whole, part = mozcodec.decode(data), mozcodec.decode(cut, on_truncated="ok")
    assert damage.rows % 8 == 0 and damage.mcus == damage.rows // 8 * 13
    np.testing.assert_array_equal(part[: damage.rows - 1], whole[: damage.rows - 1])
    assert not np.array_equal(part[damage.rows : damage.rows + 16], whole[damage.rows : damage.rows + 16])


def test_the_account_counts_all_mcus_of_a_scan_of_one_component(picture):
    """Its MCUs are single blocks (T.81, A.2.2): of luma in 4:2:0 two rows of them for each row of chroma blocks."""
    data = mozcodec.encode(picture("astronaut.png")[:104, 100:204], 90, subsampling="4:2:0", optimize_scans=False)
    number, scan = next((k, s) for k, s in enumerate(mozcodec.inspect(data).scans, 1) if s.components == (0,))
    for share in (0.3, 0.7, 1):
        end = scan.offset + int(scan.size * share)
        mozcodec.decode(data[:end] + (BROKEN if share == 1 else b""), on_truncated="ok")
        damage = mozcodec.damage_found()
        assert (damage.scan, damage.mcus) == (number, -(-damage.rows // 8) * 13)
        assert damage.rows == 104 if share == 1 else 0 < damage.rows < 104


def test_the_account_before_a_scan_of_no_component_is_that_of_the_scan_before(files):
    data = bytearray(files["progressive"])
    scans = mozcodec.inspect(files["progressive"]).scans
    number, scan = next((k, s) for k, s in enumerate(scans) if k and len(s.components) == 1)
    data[scan.offset + 5] = 179
    for engine in ("auto", "library"):
        with pytest.raises(mozcodec.DamagedError, match="Invalid component ID 179") as caught:
            mozcodec.decode(bytes(data), engine=engine)
        assert (caught.value.damage.scan, caught.value.damage.rows, caught.value.damage.mcus) == (number, 104, 169)


@pytest.mark.parametrize("name", ["baseline", "gray", "restarts"])
def test_the_scan_header_of_a_sequential_file_may_hold_any_numbers(files, name):
    """Ss 1 to 7 with Se 0 are those of a lossless file, which the frame header says that it is not."""
    data = bytearray(files[name])
    scan = data.index(b"\xff\xda")
    at = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big") - 3
    for numbers in ((1, 0, 0), (7, 0, 0), (0, 0, 0), (1, 63, 0), (0, 63, 0x21)):
        data[at : at + 3] = bytes(numbers)
        np.testing.assert_array_equal(mozcodec.decode(bytes(data)), mozcodec.decode(files[name]))
        assert not mozcodec.read_header(bytes(data)).lossless
        assert mozcodec.decode(bytes(data), scale=4).shape[:2] == (52, 52)


@pytest.mark.parametrize("name", ["baseline", "progressive"])
def test_rows_before_the_begin_of_another_image_are_returned(files, name):
    data = files[name]
    for more in (files["baseline"], b"\xff\xd8" + EOI):
        pixels = mozcodec.decode(data[: -len(EOI)] + more, on_truncated="ok")
        np.testing.assert_array_equal(pixels, mozcodec.decode(data))


def test_the_account_of_a_lossless_stream_counts_its_rows(files):
    """The MCUs of a lossless file are single samples (T.81, H.1)."""
    pixels = mozcodec.decode(files["baseline"])
    data = mozcodec.encode(pixels, lossless=4, profile="fastest")
    for share in (3, 2):
        cut = data[: len(data) * (share - 1) // share]
        part = mozcodec.decode(cut, on_truncated="ok")
        damage = mozcodec.damage_found()
        assert damage.rows == next(y for y, row in enumerate(part) if not np.array_equal(row, pixels[y]))
        assert damage.mcus == damage.rows * pixels.shape[1]


def test_a_progressive_stream_cut_within_any_scan_is_repaired(files):
    """Decoders smooth the rows after the damage by the scans before it: only without smoothing are all pixels equal."""
    data = files["progressive"]
    said = []
    for scan in mozcodec.inspect(data).scans:
        cut = data[: scan.offset + scan.size // 2]
        with pytest.warns(mozcodec.JpegWarning) as caught:
            repaired = mozcodec.optimize(cut, repair=True)
        plain = mozcodec.decode(cut, on_truncated="ok", block_smoothing=False)
        np.testing.assert_array_equal(mozcodec.decode(repaired, block_smoothing=False), plain)
        said.append(any("smooth the damaged rows" in str(warning.message) for warning in caught))
        assert said[-1] != np.array_equal(mozcodec.decode(repaired), mozcodec.decode(cut, on_truncated="ok"))
    assert any(said)


@pytest.fixture(scope="module")
def with_thumbnail(picture) -> bytes:
    """Return a file whose EXIF thumbnail ends with three zeros, as those of cameras do."""
    pixels = picture("astronaut.png")[:104, 100:204]
    thumbnail = mozcodec.encode(pixels[:16, :16].copy(), 50, profile="fastest", jfif=False) + bytes(3)

    def entry(tag: int, value: int) -> bytes:
        return b"".join(n.to_bytes(size, "little") for n, size in ((tag, 2), (4, 2), (1, 4), (value, 4)))

    second = (2).to_bytes(2, "little") + entry(0x201, 44) + entry(0x202, len(thumbnail)) + bytes(4)
    exif = b"II*\0\x08\0\0\0\0\0\x0e\0\0\0" + second + thumbnail
    return mozcodec.encode(pixels, 90, profile="fastest", exif=exif)


def test_zeros_behind_a_thumbnail_are_no_oddity_of_the_file(with_thumbnail):
    turned = mozcodec.transform(with_thumbnail, "rotate_90")  # and no warning
    assert mozcodec.read_header(turned).metadata.exif.count(b"\xff\xd8") == 1


def test_the_damage_found_is_that_of_the_image_and_not_of_what_comes_with_it(files, with_thumbnail):
    cut = with_thumbnail[: len(with_thumbnail) * 2 // 3]
    mozcodec.decode(cut, on_truncated="ok")
    expected = mozcodec.damage_found()
    with pytest.warns(mozcodec.JpegWarning):
        mozcodec.transform(cut, "rotate_90", repair=True)
    assert mozcodec.damage_found() == expected is not None
    half = files["gray"][: len(files["gray"]) // 2] + EOI
    for first, further in ((files["baseline"], half), (cut + EOI, files["gray"])):
        mozcodec.decode(first, on_truncated="ok")
        expected = mozcodec.damage_found()
        with pytest.warns(mozcodec.JpegWarning) as caught:
            mozcodec.optimize(first + further, repair=True)
        found = mozcodec.damage_found()
        assert (found and (found.scan, found.rows)) == (expected and (expected.scan, expected.rows))
        named = [str(warning.message).startswith("a further image of the file: ") for warning in caught]
        assert named == [expected is None]


def test_a_stream_cut_within_the_header_of_its_scan_is_repaired_by_every_verb(files):
    """Decoders take the EOI that libjpeg makes up for the rest of it, and return a block and gray."""
    cut = files["gray"][: mozcodec.inspect(files["gray"]).scans[0].offset + 7]
    part = mozcodec.decode(cut, on_truncated="ok")
    for operation in (None, "flip_vertical", "auto"):
        with pytest.warns(mozcodec.JpegWarning, match="Premature end"):
            repaired = mozcodec.transform(cut, operation, repair=True)
        pixels = mozcodec.decode(repaired)
        np.testing.assert_array_equal(pixels[::-1] if operation == "flip_vertical" else pixels, part)
        with pytest.raises(mozcodec.DamagedError, match="Premature end"):
            mozcodec.transform(cut, operation)


def test_a_cut_arithmetic_stream_is_repaired_where_it_holds_values_without_a_code():
    """Beyond its end an arithmetic decoder goes on with zeros, which are large values here."""
    y, x = np.mgrid[:72, :96]
    pixels = np.dstack([x * 2, y * 3, x + y]).astype(np.uint8)
    data = mozcodec.encode(pixels, 80, arithmetic=True)
    scan = mozcodec.inspect(data).scans[0]
    limited = 0
    for end in range(scan.offset + 14, scan.offset + scan.size, 3):
        with pytest.warns(mozcodec.JpegWarning) as caught:
            repaired = mozcodec.optimize(data[:end], repair=True)
        assert mozcodec.decode(repaired).shape == pixels.shape
        limited += any("limited to those that have codes" in str(warning.message) for warning in caught)
    assert limited


def test_every_verb_takes_what_a_damaged_stream_holds(programs, files):
    data = files["baseline"]
    cut = data[: len(data) * 2 // 3]
    part = mozcodec.decode(cut, on_truncated="ok")
    for broken in (cut, cut + BROKEN + EOI):
        for call in (mozcodec.optimize, mozcodec.read_coefficients, mozcodec.coefficient_histograms):
            with pytest.raises(mozcodec.DamagedError):
                call(broken)
        with pytest.warns(mozcodec.JpegWarning) as caught:
            repaired = mozcodec.optimize(broken, repair=True)
        assert caught[0].message.damage is not None
        np.testing.assert_array_equal(programs.djpeg(repaired), part)
        with pytest.warns(mozcodec.JpegWarning):
            turned = mozcodec.transform(broken, "rotate_90", repair=True)
        np.testing.assert_array_equal(mozcodec.decode(turned)[::-1].shape, part.swapaxes(0, 1).shape)
        coefficients = mozcodec.read_coefficients(broken, on_truncated="ok")
        np.testing.assert_array_equal(mozcodec.decode(mozcodec.write_coefficients(coefficients)), part)
        assert mozcodec.coefficient_histograms(broken, on_truncated="ok").sum() > 0
        with pytest.warns(mozcodec.JpegWarning, match="file 1: "):
            batch = mozcodec.decode_batch([data, broken], on_truncated="warn")
        np.testing.assert_array_equal(batch[1], part)


# ---- other formats --------------------------------------------------------------------------------------------------

OTHERS = (
    (b"", "empty"),
    (b"<!DOCTYPE html><html>", "HTML"),
    (b"<!-- page --><html>", "HTML"),
    (b"  <script>", "HTML"),
    (b'<?xml version="1.0"?><!-- a --><svg width="1">', "SVG"),
    (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd"><svg>', "SVG"),
    (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    (b"<?xpacket begin=''?><x:xmpmeta>", "XMP"),
    (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda", "JPEG-LS"),
    (b"\xff\xd8\xff\xe8\0\x04ab\xff\xf8\0\x04\1\2\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda", "JPEG-LS"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a\0\0", "JPEG XL"),
    (b"\xff\x10\xff\x50\0\4", "JPEG XS"),
    (b"\0\0\0\x18ftyphevc", "HEIC"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIC"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
    (b"\0\0\0\x14ftypmif1\0\0\0\0mif1", "HEIF"),
    (b"\0\0\0\x18ftypcrx ", "Canon CR3"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "MP4 or QuickTime"),
    (b"\0\0\x0f\x17moov\0\0\0lmvhd", "MP4 or QuickTime"),
    (b"II*\0\x10\0\0\0CR\2\0", "Canon CR2"),
    (b"II\x1a\0\0\0HEAPCCDR", "Canon CRW"),
    (b"IIU\0\x18\0\0\0", "Panasonic RW2"),
    (bytes(128) + b"DICM", "DICOM"),
    (b"II+\0\x08\0\0\0", "BigTIFF"),
    (b"\0\0\2\0\1\0 ", "CUR"),
    (b"icns\0\0\x9f\xdb", "ICNS"),
    (b"\x97JB2\r\n\x1a\n\1", "JBIG2"),
    (b"FORM\0\0&`ILBMBMHD", "IFF ILBM"),
    (b"\x01\xda\1\1\0\3", "SGI"),
    (b"SIMPLE  =                    T", "FITS"),
    (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "EPS"),
    (b"% a comment\n%PDF-1.4\n", "PDF"),
    (b"P4\n8 1\n\xff", "PBM"),
    (b"P2\n1 1\n255\n7", "PGM"),
    (b"P7\nWIDTH 2\n", "PAM"),
    (b"Pf\n2 2\n-1.0\n", "PFM"),
    (b"/* XPM */\nstatic", "XPM"),
    (b"RIFF\0\0\0\0AVI LIST", "AVI"),
    (b"OggS\0\2", "Ogg"),
    (b"\xff\xfb\x90d\0\0", "MP3"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\x28\xb5\x2f\xfd\x64", "Zstandard"),
    (b"\0\1\0\0\0\x10\1\0", "a font"),
    (b"\xff\xfeh\0i\0", "text in UTF-16"),
    (b"/9j/4AAQSkZJRgABAQ", "base64 text"),
    (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8", "an HTTP response"),
    (b'[{"error": 1}]', "JSON"),
    (b"something else", "not a JPEG but text .*Not a JPEG file"),
    ("größer als nötig".encode(), "text"),
    (b"Z", "text"),
    (b"\x91\x92\x93", "not a JPEG: the data must begin with FF D8|Not a JPEG file: starts with 0x91"),
)


@pytest.mark.parametrize("data, name", OTHERS, ids=[f"{k}-{name}" for k, (_, name) in enumerate(OTHERS)])
def test_data_of_another_format_is_named(data, name):
    """Also where the data holds what is a marker in a JPEG: FF F8 is that of a colour transform, which is refused."""
    verbs = (mozcodec.decode, mozcodec.inspect, mozcodec.optimize, mozcodec.read_coefficients, mozcodec.read_header)
    for stream in (data, data + bytes(3000) + b"\xff\xf8\0\4" if data[:2] != b"\xff\xd8" and data else data):
        for verb in verbs:
            with pytest.raises(mozcodec.NotJpegError, match=name if stream is data else None):
                verb(stream)
    for on_truncated in ("error", "ok"):
        with pytest.raises(mozcodec.NotJpegError, match=name):
            mozcodec.decode_batch([data], on_truncated=on_truncated)


PILLOW_NAMES = {
    "JPEG2000": "JPEG 2000", "WEBP": "WebP", "PCX": "PCX", "TGA": "TGA", "SGI": "SGI", "ICO": "ICO",
    "DDS": "DDS", "EPS": "PostScript", "PDF": "PDF", "QOI": "QOI", "AVIF": "AVIF",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP", "PPM", *PILLOW_NAMES])
def test_pillows_files_of_other_formats_are_named(kind):
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 90)).save(out, kind)
    with pytest.raises(mozcodec.NotJpegError, match=f"not a JPEG but {PILLOW_NAMES.get(kind, kind)}"):
        mozcodec.decode(out.getvalue())


def test_corrupt_headers_are_damaged(files):
    data = files["progressive"]
    sof, sos = data.index(b"\xff\xc2"), data.index(b"\xff\xda")
    cases = (
        data[: sof + 4] + b"\x07" + data[sof + 5 :],
        data[: sos + 5] + b"\x63" + data[sos + 6 :],  # no such component
        data[:2] + BROKEN + data[2:],
        data.replace(b"\xff\xdb", b"\xff\xed"),  # no quantization table
    )
    for number, broken in enumerate(cases):
        expected = mozcodec.UnsupportedError if number == 0 else mozcodec.DamagedError
        with pytest.raises(expected):
            mozcodec.decode(broken)
