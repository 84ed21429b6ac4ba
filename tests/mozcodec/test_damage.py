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


def test_skipped_bytes_within_a_scan_are_damage(files):
    data = files["restarts"]
    at = data.index(b"\xff\xd3", mozcodec.inspect(data).scans[0].offset)
    for engine in ("auto", "library"):
        with pytest.raises(mozcodec.DamagedError, match="extraneous bytes before marker 0xd"):
            mozcodec.decode(data[:at] + b"junk" + data[at:], engine=engine)


def test_bytes_left_over_by_a_scan_out_of_sync_are_damage(files):
    """The data of a scan that is decoded properly ends with ones up to the byte."""
    data, hidden, seen = files["gray"], 0, 0
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


@pytest.mark.parametrize("ending", [BROKEN + EOI, b"\xff\xc4\x00\x13\x00" + bytes([255] * 16) + EOI, BROKEN])
def test_rows_are_kept_whatever_stands_after_them(files, ending):
    for name, data in files.items():
        broken = data[:-2] + ending
        with pytest.raises(mozcodec.DamagedError):
            mozcodec.decode(broken, None)
        with pytest.warns(mozcodec.JpegWarning) as caught:
            pixels = mozcodec.decode(broken, None, on_truncated="warn")
        np.testing.assert_array_equal(pixels, mozcodec.decode(data, None), name)
        assert caught[0].message.damage.rows >= pixels.shape[0]
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


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda", "JPEG-LS"),
        (b"\xff\xd8\xff\xe8\0\x04ab\xff\xf8\0\x04\1\2\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0\xff\xda", "JPEG-LS"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x18ftyphevc", "HEIC"),
        (b"\0\0\0\x18ftypcrx ", "Canon CR3"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"/9j/4AAQSkZJRgABAQ", "base64 text"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8", "an HTTP response"),
        (b"<!-- page --><html>", "HTML"),
        (b'[{"error": 1}]', "JSON"),
        (b"something else", "Not a JPEG file"),
    ],
)
def test_data_of_another_format_is_named(data, name):
    for verb in (mozcodec.decode, mozcodec.inspect, mozcodec.optimize, mozcodec.read_coefficients):
        with pytest.raises(mozcodec.NotJpegError, match=name):
            verb(data)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM"])
def test_pillows_files_of_other_formats_are_named(kind):
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, kind)
    name = {"JPEG2000": "JPEG 2000", "WEBP": "WebP"}.get(kind, kind)
    with pytest.raises(mozcodec.NotJpegError, match=f"not a JPEG but {name}"):
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
