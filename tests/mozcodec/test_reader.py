"""mozcodec's own reader gives what the library's entropy decoder gives: pixels, errors and warnings.

The library behind ``engine="library"`` is the pinned mozjpeg, which test_decode.py compares with djpeg. The cases come
from benchmarks/identity.py, whose long runs are in docs/results.md.
"""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mozcodec
from tools.scripts import load

BENCHMARKS = Path(__file__).parents[2] / "packages" / "mozcodec" / "benchmarks"


@pytest.fixture(scope="module")
def identity():
    """benchmarks/identity.py as a module."""
    return load(BENCHMARKS / "identity.py")


def outcome(data: bytes, **options) -> tuple[object, list[str]]:
    """Return pixels or words, and the words of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found: object = mozcodec.decode(data, **options).tobytes()
        except mozcodec.JpegError as error:
            found = str(error)
    return found, [str(w.message) for w in caught]


def test_random_streams_and_options_decode_alike(identity):
    row = identity.run_chunk("decode", 0, 500, ())
    assert row["different"] == []
    assert row["used"]["fast"] > 200


def test_coefficients_of_common_streams_are_the_readers(identity, astronaut):
    crop = np.ascontiguousarray(astronaut[40:171, 180:309])
    for options in ({}, {"progressive": False}, {"restart_interval": 3}, {"subsampling": "4:1:1"}):
        data = mozcodec.encode(crop, 90, **options)
        who, ours, words = identity.coefficients(data, {}, "auto")
        assert who == "fast"
        assert ("library", ours, words) == identity.coefficients(data, {}, "library")


def test_random_streams_are_optimized_alike(identity):
    """The reader takes the coefficients of undamaged streams, or the library from the beginning."""
    alike = []
    for number in range(60):
        data, _ = identity.decode_case(number)
        found = [optimized(data, engine) for engine in ("auto", "library")]
        assert found[0] == found[1], number
        alike.append(isinstance(found[0][0], bytes))
    assert 20 < sum(alike) < 60


def optimized(data: bytes, engine: str) -> tuple[object, list[str]]:
    """Return the file or words, and the words of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found: object = mozcodec.optimize(data, repair=True, max_scans=5, engine=engine)
        except mozcodec.JpegError as error:
            found = str(error)
    return found, [str(w.message) for w in caught]


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("restart_interval", [0, 1, 5])
def test_common_streams_are_the_readers(astronaut, progressive, restart_interval):
    crop = np.ascontiguousarray(astronaut[40:171, 180:309])
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1"):
        data = mozcodec.encode(
            crop, 90, progressive=progressive, subsampling=subsampling, restart_interval=restart_interval
        )
        pixels = mozcodec.decode(data, engine="fast")
        assert mozcodec.engine_used() == ("fast", "")
        np.testing.assert_array_equal(pixels, mozcodec.decode(data, engine="library"))
        assert mozcodec.engine_used() == ("library", "")


def test_pillows_streams_are_the_readers(astronaut):
    for options in ({}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}):
        out = io.BytesIO()
        Image.fromarray(astronaut[:90, :77]).save(out, "JPEG", quality=85, **options)
        pixels = mozcodec.decode(out.getvalue(), engine="fast")
        np.testing.assert_array_equal(pixels, mozcodec.decode(out.getvalue(), engine="library"))


def test_what_the_reader_does_not_read_the_library_does(small):
    kinds = {
        "arithmetic coding": {"arithmetic": True},
        "more than 8 bits, or lossless": {"lossless": 4},
        "SmartScale": {"block_size": 11},
    }
    for reason, options in kinds.items():
        encode = mozcodec.encode_smartscale if "block_size" in options else mozcodec.encode
        data = encode(small, **options)
        mozcodec.decode(data)
        assert mozcodec.engine_used() == ("library", reason)
        with pytest.raises(mozcodec.UnsupportedError, match=f'engine "fast" does not cover {reason}'):
            mozcodec.decode(data, engine="fast")


@pytest.mark.parametrize("progressive", [True, False])
def test_every_cut_of_a_stream_is_the_librarys(small, progressive):
    data = mozcodec.encode(small[:24, :40], 80, progressive=progressive, restart_interval=2)
    for length in range(300, len(data)):
        for on_truncated in ("error", "warn"):
            cut = {"data": data[:length], "on_truncated": on_truncated}
            assert outcome(**cut) == outcome(**cut, engine="library"), length


def test_a_wrong_restart_number_and_bytes_too_many_are_the_librarys(small):
    data = mozcodec.encode(small, 80, profile="fastest", restart_interval=3)
    end = data.rindex(b"\xff\xd9")
    broken = {
        "number": data.replace(b"\xff\xd1", b"\xff\xd5", 1),
        "junk before the end": data[:end] + b"\x01\x02\x03" + data[end:],
        "no end": data[:end],
        "a restart marker too many": data[:end] + b"\xff\xd7" + data[end:],
        "a comment before the end": data[:end] + b"\xff\xfe\x00\x04ab" + data[end:],
    }
    for name, stream in broken.items():
        for on_truncated in ("error", "warn"):
            mine, theirs = (outcome(stream, on_truncated=on_truncated, engine=e) for e in ("auto", "library"))
            assert mine == theirs, name


def test_a_small_memory_limit_leaves_sequential_images_to_the_library(astronaut):
    data = mozcodec.encode(astronaut, 75, profile="fastest")
    np.testing.assert_array_equal(mozcodec.decode(data, max_memory=500_000), mozcodec.decode(data))
    mozcodec.decode(data, max_memory=500_000)
    assert mozcodec.engine_used() == ("library", "a large sequential image")


def test_a_batch_may_ask_for_the_library(astronaut):
    files = [mozcodec.encode(np.ascontiguousarray(astronaut[y : y + 40, :64]), 77) for y in (0, 50, 100)]
    batches = [mozcodec.decode_batch(files, engine=engine, threads=2) for engine in ("auto", "fast", "library")]
    assert all(np.array_equal(batch, batches[0]) for batch in batches)


def test_the_reader_for_every_processor_gives_the_same_pixels():
    code = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('identity', sys.argv[1]);"
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m);"
        "row = m.run_chunk('decode', 2, 1300, ()); print(row['different'], row['used']['fast'] > 100)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, BENCHMARKS / "identity.py"],
        env={**os.environ, "MOZCODEC_CPU": "baseline"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[]", "True"]
