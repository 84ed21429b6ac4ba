"""mozcodec.decode gives djpeg's pixels."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mozcodec

CUT = r"Premature end of JPEG file|premature end of data"


@pytest.fixture(scope="module")
def streams(astronaut, picture) -> dict[str, bytes]:
    rgb = np.ascontiguousarray(astronaut[40:171, 180:309])  # 131 x 129: no whole MCU at the edges
    gray = np.ascontiguousarray(picture("camera.png")[100:177, 200:261])
    options = {
        "progressive": {},
        "baseline": {"progressive": False},
        "fastest": {"profile": "fastest"},
        "444": {"subsampling": "4:4:4"},
        "422": {"subsampling": "4:2:2"},
        "440": {"subsampling": "4:4:0"},
        "411": {"subsampling": "4:1:1"},
        "restart": {"restart_rows": 1, "progressive": False},
        "arithmetic": {"arithmetic": True},
        "arithmetic baseline": {"arithmetic": True, "progressive": False},
        "rgb": {"color_space": "rgb"},
        "lossless": {"lossless": 4},
    }
    coded = {name: mozcodec.encode(rgb, 77, **kwargs) for name, kwargs in options.items()}
    return coded | {"gray": mozcodec.encode(gray, 60), "gray lossless": mozcodec.encode(gray, lossless=(1, 2))}


def test_decode_gives_djpegs_pixels(programs, streams):
    for name, data in streams.items():
        expected = programs.djpeg(data)
        np.testing.assert_array_equal(mozcodec.decode(data, None), expected, err_msg=name)
        if expected.ndim == 3:
            np.testing.assert_array_equal(mozcodec.decode(data), expected, err_msg=name)


@pytest.mark.parametrize(
    ("switches", "options"),
    [
        ("-nosmooth", {"fancy_upsampling": False}),
        ("-dct fast", {"dct_method": "ifast"}),
        ("-dct float", {"dct_method": "float"}),
        ("-grayscale", {"pixel_format": "gray"}),
        *((f"-scale {m}/8", {"scale": m}) for m in range(1, 17)),
    ],
)
def test_decode_options_are_djpegs(programs, streams, switches, options):
    for name, data in streams.items():
        if "lossless" in name or (switches == "-grayscale" and "rgb" in name):
            continue
        own = {"pixel_format": None, **options}
        np.testing.assert_array_equal(mozcodec.decode(data, **own), programs.djpeg(data, *switches.split()), name)


@pytest.mark.parametrize("pixel_format", ["bgr", "rgba", "bgra", "argb", "abgr"])
def test_other_layouts_hold_the_same_pixels(streams, pixel_format):
    for name, data in streams.items():
        order = ["rgba".index(letter) for letter in pixel_format]
        rgb = mozcodec.decode(data)
        rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
        np.testing.assert_array_equal(mozcodec.decode(data, pixel_format), rgba[..., order], name)


def test_gray_files_fill_all_three_channels(streams):
    gray = mozcodec.decode(streams["gray"], "gray")
    np.testing.assert_array_equal(mozcodec.decode(streams["gray"]), np.dstack([gray] * 3))
    assert gray.shape == mozcodec.read_header(streams["gray"]).shape == (77, 61)


@pytest.mark.parametrize("region", [(0, 0, 1, 1), (3, 5, 60, 44), (16, 16, 48, 32), (60, 70, 61, 77), (0, 1, 61, 2)])
@pytest.mark.parametrize("fancy", [True, False])
def test_a_region_is_a_part_of_the_whole(streams, region, fancy):
    left, top, right, bottom = region
    for name, data in streams.items():
        whole = mozcodec.decode(data, fancy_upsampling=fancy)
        part = mozcodec.decode(data, region=region, fancy_upsampling=fancy)
        np.testing.assert_array_equal(part, whole[top:bottom, left:right], name)


@pytest.mark.parametrize("scale", [1, 3, 4, 7, 8, 11, 16])
def test_a_region_is_a_part_of_the_scaled_whole(streams, scale):
    for name, data in streams.items():
        if "lossless" in name:
            continue
        whole = mozcodec.decode(data, scale=scale)
        height, width = whole.shape[:2]
        for region in ((0, 0, width, height), (width // 3, height // 3, width // 2 + 1, height // 2 + 1)):
            part = mozcodec.decode(data, scale=scale, region=region)
            np.testing.assert_array_equal(part, whole[region[1] : region[3], region[0] : region[2]], name)


def test_a_region_outside_is_refused(streams):
    with pytest.raises(mozcodec.UnsupportedError, match=r"region \(0, 0, 62, 77\) leaves the 61 x 77 image"):
        mozcodec.decode(streams["gray"], region=(0, 0, 62, 77))
    with pytest.raises(ValueError, match="left < right"):
        mozcodec.decode(streams["gray"], region=(5, 0, 5, 7))
    for wrong in ((0, 0, 5), 7, (0, 0, "5", 7)):
        with pytest.raises(TypeError, match="region must be"):
            mozcodec.decode(streams["gray"], region=wrong)


def test_true_idct_is_the_real_transform(picture):
    """At scale 2 and 4 against the inverse DCT of the coefficients in floating point."""
    gray = np.ascontiguousarray(picture("camera.png")[100:164, 200:264])
    data = mozcodec.encode(gray, 90)
    blocks = mozcodec.read_coefficients(data).dequantized(0)  # (8, 8, 8, 8)
    from scipy.fft import idctn

    for size, rounding in ((2, 0.5 + 1e-9), (4, 0.55)):  # 4 points round between rows and columns too
        low = blocks[:, :, :size, :size] * size / 8
        expected = (idctn(low, axes=(2, 3), norm="ortho") + 128).swapaxes(1, 2).reshape(8 * size, 8 * size)
        got = mozcodec.decode(data, "gray", scale=size, idct="true").astype(float)
        assert np.abs(got - expected.clip(0, 255)).max() <= rounding
        box = mozcodec.decode(data, "gray", scale=size).astype(float)
        assert np.abs(box - expected.clip(0, 255)).max() > 5  # libjpeg's averages are something else


def test_planes_come_as_stored_and_go_back(streams):
    for name, data in streams.items():
        header = mozcodec.read_header(data)
        if header.lossless or header.color_space == "rgb":
            continue
        planes = mozcodec.decode(data, "planes")
        assert len(planes) == header.num_components, name
        again = mozcodec.decode(mozcodec.encode(planes, 95, pixel_format="planes", progressive=False), "planes")
        assert [p.shape for p in again] == [p.shape for p in planes]
        for before, after in zip(planes, again, strict=True):
            assert np.abs(before.astype(int) - after).mean() < 1.5


def test_luma_plane_is_the_gray_image(streams):
    for name in ("progressive", "422", "gray"):
        np.testing.assert_array_equal(
            mozcodec.decode(streams[name], "planes")[0], mozcodec.decode(streams[name], "gray"), name
        )


def test_cmyk_becomes_rgb_as_in_djpeg(programs, small):
    cmyk = np.dstack([255 - small, np.full(small.shape[:2], 200, np.uint8)])
    for color_space in ("cmyk", "ycck"):
        data = mozcodec.encode(cmyk, 90, pixel_format="cmyk", color_space=color_space)
        assert mozcodec.read_header(data).color_space == color_space
        np.testing.assert_array_equal(mozcodec.decode(data), programs.djpeg(data))
        with Image.open(io.BytesIO(data)) as image:  # Pillow inverts what Adobe inverts
            np.testing.assert_array_equal(255 - np.asarray(image), mozcodec.decode(data, None))


def test_twelve_bits_are_djpegs(programs, small):
    deep = small.astype(np.uint16) * 16 + 5
    asked = programs.cjpeg(deep, "-precision", 12, "-notrellis", "-noovershoot", "-quality", 90)
    data = mozcodec.encode(deep, 90, precision=12)
    assert data == asked
    assert mozcodec.read_header(data).precision == 12
    np.testing.assert_array_equal(mozcodec.decode(data), programs.djpeg(data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_jpeg_loses_nothing(small, small_gray, dtype):
    for pixels in (small, small_gray):
        deep = pixels.astype(dtype) * (257 if dtype == np.uint16 else 1)
        for predictor in range(1, 8):
            data = mozcodec.encode(deep, lossless=predictor, precision=8 * deep.itemsize)
            assert mozcodec.read_header(data).lossless
            np.testing.assert_array_equal(mozcodec.decode(data, None), deep)


# ---- out ------------------------------------------------------------------------------------------------------------


def test_decode_writes_into_out(small):
    data = mozcodec.encode(small)
    expected = mozcodec.decode(data)
    canvas = np.zeros((100, 200, 3), np.uint8)
    for out in (np.empty_like(expected), canvas[10:58, 20:84], canvas[::-2][:48, :64]):
        assert mozcodec.decode(data, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (np.empty((48, 64), np.uint8), ValueError, r"shape \(48, 64, 3\), got \(48, 64\)"),
        (np.empty((48, 64, 3), np.float32), TypeError, "uint8, got float32"),
        (np.empty((48, 64, 6), np.uint8)[..., ::2], ValueError, "contiguous"),
        (bytearray(48 * 64 * 3), TypeError, "got bytearray"),
    ],
)
def test_a_wrong_out_is_refused(small, out, error, words):
    with pytest.raises(error, match=words):
        mozcodec.decode(mozcodec.encode(small), out=out)


def test_a_read_only_out_is_refused(small):
    out = np.empty_like(small)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        mozcodec.decode(mozcodec.encode(small), out=out)


# ---- damage and limits ----------------------------------------------------------------------------------------------


def test_a_cut_stream_is_an_error_by_default(streams):
    for name, data in streams.items():
        cut = data[: len(data) * 2 // 3]
        with pytest.raises(mozcodec.DamagedError, match=CUT):
            mozcodec.decode(cut, None)
        with pytest.warns(mozcodec.JpegWarning, match=CUT):
            partly = mozcodec.decode(cut, None, on_truncated="warn")
        np.testing.assert_array_equal(mozcodec.decode(cut, None, on_truncated="ok"), partly, name)
        assert partly.shape == mozcodec.decode(data, None).shape


def test_what_remains_of_a_cut_stream_is_djpegs(programs, streams):
    cut = streams["baseline"][: len(streams["baseline"]) // 2]
    asked = programs.run("djpeg", "-pnm", data=cut)
    assert asked.returncode == 2  # djpeg warns
    height, width = mozcodec.read_header(cut).shape
    expected = np.frombuffer(asked.stdout[-height * width * 3 :], np.uint8).reshape(height, width, 3)
    np.testing.assert_array_equal(mozcodec.decode(cut, on_truncated="ok"), expected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Empty input file"),
        (b"\xff\xd8", "Premature end of JPEG file|no image"),
        (b"GIF89a" + bytes(100), "Not a JPEG file: starts with 0x47 0x49"),
        (b"\xff\xd8\xff\xd9", "no image"),
    ],
)
def test_what_is_not_a_jpeg_is_refused_with_libjpegs_text(data, words):
    for verb in (mozcodec.decode, mozcodec.read_header):
        with pytest.raises(mozcodec.JpegError, match=words):
            verb(data)


def test_what_is_no_buffer_is_a_type_error():
    for wrong in (None, 5, np.zeros((4, 4), np.uint8)[:, ::2]):
        with pytest.raises(TypeError, match="a JPEG is bytes"):
            mozcodec.decode(wrong)
    with pytest.raises(FileNotFoundError, match="text"):
        mozcodec.decode("text")
    with pytest.raises(mozcodec.NotJpegError, match="the data is empty"):
        mozcodec.decode(io.BytesIO())


def with_size(data: bytes, height: int, width: int) -> bytes:
    """Return *data* with another size in its frame header."""
    at = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC1, 0xC2))
    return data[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 9 :]


def test_pixels_are_limited_before_memory_is_taken(streams):
    huge = with_size(streams["gray"], 65535, 65535)
    with pytest.raises(mozcodec.LimitError, match="4294836225 pixels, more than max_pixels = 134217728"):
        mozcodec.decode(huge)
    with pytest.raises(mozcodec.LimitError, match="max_pixels = 100"):
        mozcodec.decode(streams["gray"], max_pixels=100)
    assert mozcodec.read_header(huge).shape == (65535, 65535)


def test_a_scaled_up_output_counts(streams):
    message = "^61 x 77, decoded to 122 x 154, has 18788 pixels, more than max_pixels = 5000$"
    with pytest.raises(mozcodec.LimitError, match=message):
        mozcodec.decode(streams["gray"], scale=16, max_pixels=5000)
    with pytest.raises(mozcodec.LimitError, match=r"^61 x 77 has 4697 pixels, more than max_pixels = 300$"):
        mozcodec.decode(streams["gray"], max_pixels=300)
    assert mozcodec.decode(streams["gray"], max_pixels=5000).shape == (77, 61, 3)


def test_memory_is_limited(streams):
    big = with_size(streams["progressive"], 8000, 8000)
    with pytest.raises(mozcodec.LimitError, match="Memory limit exceeded"):
        mozcodec.decode(big, max_memory=1_000_000, on_truncated="ok")


def test_scans_are_limited(small):
    script = [([0, 1, 2], 0, 0, 0, 0)] + [([c], k, k, 0, 0) for c in range(3) for k in range(1, 12)]
    script += [([c], 12, 63, 0, 0) for c in range(3)]
    data = mozcodec.encode(small, scan_script=script)
    with pytest.raises(mozcodec.LimitError, match="more than max_scans = 20 scans"):
        mozcodec.decode(data, max_scans=20)
    np.testing.assert_array_equal(mozcodec.decode(data, max_scans=40), mozcodec.decode(mozcodec.encode(small)))


@pytest.mark.parametrize("engine", ["auto", "fast", "library"])
@pytest.mark.parametrize("progressive", [True, False])
def test_max_scans_is_the_most_that_is_read(small, engine, progressive):
    """The limit itself passes, one scan more does not. The reader leaves the error to the library."""
    options = {} if progressive else {"scan_script": [([c], 0, 63, 0, 0) for c in range(3)]}
    data = mozcodec.encode(small, 80, **options)
    num_scans = len(mozcodec.inspect(data).scans)
    assert num_scans == data.count(b"\xff\xda") > 2
    pixels = mozcodec.decode(data, engine=engine, max_scans=num_scans)
    np.testing.assert_array_equal(pixels, mozcodec.decode(data, max_scans=None))
    for limit in range(max(1, num_scans - 6), num_scans):
        with pytest.raises(mozcodec.UnsupportedError if engine == "fast" else mozcodec.LimitError):
            mozcodec.decode(data, engine=engine, max_scans=limit)


# ---- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_batch_is_its_files(astronaut, threads):
    crops = [astronaut[i : i + 64, 2 * i : 2 * i + 48] for i in range(0, 120, 5)]
    files = [mozcodec.encode(crop, 77) for crop in crops]
    expected = np.stack([mozcodec.decode(data) for data in files])
    np.testing.assert_array_equal(mozcodec.decode_batch(files, threads=threads), expected)
    backing = np.zeros((30, 64, 48, 3), np.uint8)
    out = backing[3:27]
    assert mozcodec.decode_batch(files, out=out, threads=threads) is out
    np.testing.assert_array_equal(out, expected)
    assert not backing[:3].any()
    gray = mozcodec.decode_batch(files, "gray", threads=threads, scale=4)
    np.testing.assert_array_equal(gray, np.stack([mozcodec.decode(data, "gray", scale=4) for data in files]))


def test_a_batch_names_the_file_that_fails(small, astronaut):
    good = mozcodec.encode(small)
    files = [good, good[:-100], good]
    out = np.zeros((3, *small.shape), np.uint8)
    with pytest.raises(mozcodec.DamagedError, match="file 1: "):
        mozcodec.decode_batch(files, out=out)
    np.testing.assert_array_equal(out[2], mozcodec.decode(good))
    with pytest.raises(mozcodec.UnsupportedError, match="file 2: the image is 512 x 512 x 3 of 8 bits, out has room"):
        mozcodec.decode_batch([good, good, mozcodec.encode(astronaut)])
    with pytest.warns(mozcodec.JpegWarning, match="file 1: "):
        mozcodec.decode_batch(files, out=out, on_truncated="warn")
    with pytest.raises(mozcodec.NotJpegError, match="file 0: not a JPEG but text"):
        mozcodec.decode_batch([b"no jpeg", good])
    with pytest.raises(TypeError, match=r"file 1: a JPEG is bytes .* got NoneType"):
        mozcodec.decode_batch([good, None])


def test_a_batch_is_any_series_of_files_but_no_file(small):
    data = mozcodec.encode(small)
    assert mozcodec.decode_batch(data for _ in range(2)).shape == (2, *small.shape)
    with pytest.raises(TypeError, match="takes a list of JPEGs; this is one"):
        mozcodec.decode_batch(data)


def test_a_kept_failure_of_a_batch_of_views_can_be_collected():
    code = """
import gc
import numpy as np
import mozcodec

class Kept: pass

def fail():
    files = [memoryview(mozcodec.encode(np.zeros((16, 16), np.uint8)))]
    kept = Kept()  # younger than the view: collected after it
    try:
        mozcodec.decode_batch(files, "gray", out=np.empty((1, 8, 8), np.uint8))
    except mozcodec.JpegError as error:
        kept.error = error  # whose traceback holds this frame, which holds kept

for _ in range(20):
    fail()
    gc.collect()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_batch_needs_out():
    with pytest.raises(ValueError, match="needs out"):
        mozcodec.decode_batch([])
    assert mozcodec.decode_batch([], out=np.empty((0, 8, 8, 3), np.uint8)).shape == (0, 8, 8, 3)
    with pytest.raises(ValueError, match="out must be an array"):
        mozcodec.decode_batch([b""], out=np.empty((2, 8, 8, 3), np.uint8))


def test_decoding_leaves_libjpegs_stderr_silent(streams):
    code = "import mozcodec, sys; mozcodec.decode(sys.stdin.buffer.read(), on_truncated='ok')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=streams["baseline"][:3000], capture_output=True, check=True)
    assert done.stderr == b""


def test_many_files_come_decoded_in_order(astronaut):
    crops = [astronaut[: 20 + i, : 90 - i] for i in range(30)]
    files = [mozcodec.encode(crop, 77) for crop in crops]
    for threads in (1, 2, 4):
        got = list(mozcodec.decode_many(iter(files), threads=threads))
        assert all(np.array_equal(mozcodec.decode(data), pixels) for data, pixels in zip(files, got, strict=True))


def test_many_files_are_taken_as_needed_and_fail_in_place(small):
    good = mozcodec.encode(small)
    taken = []

    def files():
        for i in range(100):
            taken.append(i)
            yield good if i != 7 else b"no jpeg"

    results = mozcodec.decode_many(files(), threads=2)
    for _ in range(7):
        next(results)
    with pytest.raises(mozcodec.JpegError, match="Not a JPEG file"):
        next(results)
    assert len(taken) < 15
    with pytest.raises(ValueError, match="scale must be"):
        mozcodec.decode_many([], scale=99)


# ---- the eighth of a progressive file -------------------------------------------------------------------------------


def test_an_eighth_of_a_progressive_file_is_djpegs(programs, astronaut, picture):
    """Scans are left out; the pixels stay."""
    pictures = {"rgb": astronaut[:200, :331], "gray": picture("coins.png")[:121, :200]}
    for name, pixels in pictures.items():
        for quality in (10, 60, 77, 90):
            for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1"):
                for options in ({}, {"arithmetic": True}, {"optimize_scans": False}, {"restart_interval": 7}):
                    data = mozcodec.encode(pixels, quality, subsampling=subsampling, **options)
                    got = mozcodec.decode(data, None, scale=1)
                    expected = programs.djpeg(data, "-scale", "1/8")
                    np.testing.assert_array_equal(got, expected, f"{name} {quality} {subsampling} {options}")


def test_an_eighth_of_an_incomplete_file_is_smoothed_as_in_djpeg(programs, astronaut):
    """AC bits that are never sent make libjpeg smooth; nothing may be left out then."""
    script = "0 1 2: 0 0 0 1; 0: 1 5 0 2; 1: 1 63 0 1; 2: 1 63 0 1; 0: 6 63 0 2; 0 1 2: 0 0 1 0;"
    script += "1: 1 63 1 0; 2: 1 63 1 0; 0: 1 63 2 1; 0: 1 63 1 0;"
    data = mozcodec.encode(astronaut[:100, :100], 90, scan_script=script)
    scans = [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]
    for end in scans[1:]:
        incomplete = data[:end] + b"\xff\xd9"
        np.testing.assert_array_equal(
            mozcodec.decode(incomplete, scale=1), programs.djpeg(incomplete, "-scale", "1/8")
        )


def test_an_eighth_of_a_cut_file_is_djpegs(programs, astronaut):
    """A file that ends within a scan is damaged at 1/8 too, where that scan would not be needed."""
    script = "0 1 2: 0 0 0 0; 1: 1 63 0 0; 2: 1 63 0 0; 0: 1 63 0 0;"
    data = mozcodec.encode(astronaut[:100, :100], 90, scan_script=script)
    last = data.rindex(b"\xff\xda")
    for end in (len(data) - 2, len(data) - 40, (last + len(data)) // 2, last + 20, last):
        cut = data[:end]
        if last < end < len(data) - 2:  # between scans only the end marker is missing
            with pytest.raises(mozcodec.DamagedError):
                mozcodec.decode(cut, scale=1)
        asked = programs.run("djpeg", "-pnm", "-scale", "1/8", data=cut)
        assert asked.returncode == 2  # djpeg warns
        expected = np.frombuffer(asked.stdout[-13 * 13 * 3 :], np.uint8).reshape(13, 13, 3)
        np.testing.assert_array_equal(mozcodec.decode(cut, scale=1, on_truncated="ok"), expected, f"cut at {end}")
