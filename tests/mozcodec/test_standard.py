"""Parts of the standard that foreign files use: SOF1, DNL, abbreviated streams, 16-bit CMYK."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import mozcodec


@pytest.fixture(scope="module")
def baseline(picture) -> bytes:
    return mozcodec.encode(picture("astronaut.png")[:64, 100:196], 90, profile="fastest")


def test_an_extended_frame_is_what_every_decoder_takes_it_for(baseline):
    """Se = N * N - 1 in a sequential scan is how libjpeg 8 marks SmartScale; all others ignore Se there."""
    for n in (9, 10, 16):
        data = bytearray(baseline)
        data[data.index(b"\xff\xc0") + 1] = 0xC1
        data[data.index(b"\xff\xda") + 12] = n * n - 1
        data = bytes(data)
        pixels = mozcodec.decode(data)
        np.testing.assert_array_equal(pixels, mozcodec.decode(baseline))
        opencv = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(opencv.astype(int) - pixels).max() <= 2
        assert mozcodec.read_header(data).block_size == 8
        assert mozcodec.read_header(data, smartscale=True).block_size == n
        np.testing.assert_array_equal(mozcodec.decode(mozcodec.optimize(data)), pixels)


def test_own_sequential_smartscale_files_are_marked(small):
    for block_size in (9, 12, 16):
        data = mozcodec.encode_smartscale(small, 90, block_size=block_size, progressive=False)
        assert mozcodec.read_header(data).block_size == block_size
        assert mozcodec.inspect(data).segments[1].name == "APP9"


def test_cmyk_of_16_bits_becomes_rgb_exactly():
    rng = np.random.default_rng(5)
    cmyk = rng.integers(0, 65536, (9, 9, 4)).astype(np.uint16)
    cmyk[0, :4] = [[60000] * 4, [65535] * 4, [0] * 4, [1, 65535, 32768, 65534]]
    data = mozcodec.encode(cmyk, pixel_format="cmyk", precision=16, lossless=1)
    wide = cmyk.astype(object)
    expected = (2 * wide[..., :3] * wide[..., 3:] + 65535) // (2 * 65535)
    np.testing.assert_array_equal(mozcodec.decode(data, "rgb"), expected.astype(np.uint16))


def test_a_height_in_a_dnl_segment_is_taken(baseline):
    stream = bytearray(baseline)
    at = stream.index(b"\xff\xc0") + 5
    height = bytes(stream[at : at + 2])
    stream[at : at + 2] = b"\0\0"
    data = bytes(stream[:-2]) + b"\xff\xdc\0\4" + height + b"\xff\xd9"
    np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(baseline))
    np.testing.assert_array_equal(mozcodec.decode(mozcodec.optimize(data)), mozcodec.decode(baseline))
    assert mozcodec.read_header(data).height == int.from_bytes(height, "big")
    with pytest.raises(mozcodec.DamagedError, match="DNL"):
        mozcodec.decode(bytes(stream))


def test_abbreviated_streams_take_their_tables_from_elsewhere(picture):
    image = Image.fromarray(picture("astronaut.png")[:64, 100:196])
    whole, tables, strip = (io.BytesIO() for _ in range(3))
    image.save(whole, "JPEG")
    image.save(tables, "JPEG", streamtype=1)
    image.save(strip, "JPEG", streamtype=2)
    expected = mozcodec.decode(whole.getvalue())
    np.testing.assert_array_equal(mozcodec.decode(strip.getvalue(), tables=tables.getvalue()), expected)
    np.testing.assert_array_equal(mozcodec.decode(tables.getvalue() + strip.getvalue()), expected)
    with pytest.raises(mozcodec.DamagedError):
        mozcodec.decode(strip.getvalue())
    with pytest.raises(ValueError, match="tables must be an abbreviated JPEG stream"):
        mozcodec.decode(strip.getvalue(), tables=whole.getvalue())


def test_luma_and_chroma_have_qualities_of_their_own(small):
    for quality in ((90, 30), (60, 85), (100, 50)):
        estimate = mozcodec.inspect(mozcodec.encode(small, quality, subsampling="4:4:4")).quality
        assert (estimate.quality, estimate.chroma_quality, estimate.exact) == (*quality, True)
    assert mozcodec.inspect(mozcodec.encode(small, 100)).quality.quality == 100
