"""What mozcodec refuses, each with an error that names the argument, its value and what is allowed."""

import io
import re

import numpy as np
import pytest
from PIL import Image

import mozcodec
from mozcodec import _cli
from mozcodec._files import bytes_of, pixels_from

GRAY = np.full((16, 16), 90, np.uint8)
RGB = np.full((16, 16, 3), 90, np.uint8)
RGBA = np.full((16, 16, 4), 90, np.uint8)
FILE = mozcodec.encode(RGB)
TRANSPARENT = Image.fromarray(RGBA)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (None, {}, "^pixels must be an array, got None"),
        ([RGB, RGB], {"pixel_format": "planes", "layout": "chw"}, "planes have no layout and no background"),
        (TRANSPARENT.convert("RGB"), {"layout": "chw"}, "layout is for arrays, Pillow's images have none"),
        (TRANSPARENT.convert("L"), {"pixel_format": "rgb"}, r"is for arrays: an image of mode L is 'gray'"),
        (TRANSPARENT, {}, r"an image of mode RGBA has alpha, .*: background=\(255, 255, 255\)"),
        (GRAY, {"layout": "chw"}, r"layout='chw' needs an array \(channels, H, W\), got shape \(16, 16\)"),
        (RGB, {"background": (0, 0, 0)}, r"background needs alpha: pixel_format .*, got None"),
        (RGB, {"background": (0, 0, 0), "pixel_format": "rgba"}, r"\(H, W, 4\); got uint8 \(16, 16, 3\)"),
    ],
)
def test_images_of_a_wrong_form_are_refused(image, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mozcodec.encode(image, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scan_script": []}, r"scan_script must hold 1\.\.\d+ scans, got \[\]"),
        ({"scan_script": [((0, 1, 2, 3, 0), 0, 63, 0, 0)]}, "scan 0 must have 1..4 components"),
        ({"scan_script": [((0,), 0, 63, 0)]}, r"scan 0 must be \(components, Ss, Se, Ah, Al\), got "),
        ({"quant_tables": []}, r"quant_tables must be one to four tables of 8x8 entries, got \[\]"),
        ({"quant_tables": [np.zeros((8, 8), int)]}, r"quant_tables\[0\] must be 8x8 integers 1..65535"),
        ({"quant_slots": "01"}, "quant_slots must be one to four table numbers 0..3, got '01'"),
        ({"density": (72, 72)}, r"density must be \(x, y, 'none' \| 'inch' \| 'cm'\), got \(72, 72\)"),
        ({"density": (72, 72, "mile")}, "density unit must be"),
        ({"lossless": 8}, r"lossless must be 1\.\.7, got 8"),
    ],
)
def test_options_of_the_encoder_with_wrong_values_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mozcodec.encode(RGB, **options)


def test_tables_by_slot_repeat_the_one_before_a_gap():
    # as cjpeg writes them: a slot without a table of its own repeats the one before it
    fine, coarse = np.full((8, 8), 2), np.full((8, 8), 9)
    data = mozcodec.encode(RGB, None, quant_tables={0: fine, 2: coarse}, quant_slots=[0, 1, 2], quant_baseline=False)
    tables = mozcodec.inspect(data).quant_tables
    assert [int(tables[slot][0, 0]) for slot in sorted(tables)] == [2, 2, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_format": "planes", "scale": 4}, "returns the planes as stored, without scale and region"),
        ({"pixel_format": "planes", "layout": "chw"}, "planes have no layout"),
        ({"pixel_format": "planes", "apply_orientation": True}, "without out and apply_orientation"),
        ({"region": (4, 4, 4, 8)}, r"region must have left < right and top < bottom, got \(4, 4, 4, 8\)"),
        ({"scale": [4]}, r"an option has a value of a wrong type: \{'scale': \[4\]\}"),
        ({"sale": 4}, "unknown option 'sale'; known: "),
    ],
)
def test_options_of_the_decoder_with_wrong_values_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mozcodec.decode(FILE, **options)


def test_series_refuse_planes_and_single_files():
    with pytest.raises(ValueError, match="decode_batch does not support pixel_format='planes'"):
        mozcodec.decode_batch([FILE], "planes")
    with pytest.raises(ValueError, match="decode_many does not support pixel_format='planes'"):
        next(mozcodec.decode_many([FILE], "planes"))
    with pytest.raises(TypeError, match=r"this is one: use decode, or pass \[data\]"):
        mozcodec.decode_batch(FILE)


def test_planes_of_a_lossless_file_are_refused():
    with pytest.raises(ValueError, match="is for lossy files of at most four components"):
        mozcodec.decode(mozcodec.encode(RGB, lossless=1), "planes")


def test_a_tensor_that_cannot_be_written_is_no_target():
    array = np.zeros((16, 16, 3), np.uint8)
    array.flags.writeable = False

    class Tensor:
        def __dlpack__(self, **_):
            raise BufferError

        def __array__(self, dtype=None, copy=None):
            return array

    with pytest.raises(ValueError, match="out must be writ"):
        mozcodec.decode(FILE, out=Tensor())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"P5 4 x 255\n" + bytes(16), "the PNM header has 'x' instead of a number"),
        (b"P5 4 4 254\n" + bytes(16), "the maximum of a PNM file must be that of 2 to 16 bits .*, got 254"),
        (b"P6 4 4 255\n" + bytes(47), "the PNM file has 47 bytes of samples, too few for 4 x 4"),
        (b"P5 4", "the PNM header ends before its three numbers"),
        (b"\x93NUMPY\x01", "EOF: reading magic string"),
        (b"GIF87a", "Pillow does not recognise the format"),
    ],
)
def test_pictures_in_damaged_files_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        pixels_from(data, "a.pic")


def test_pictures_of_more_than_eight_bits_are_refused():
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), 3000, np.uint16)).save(file, "PNG")
    with pytest.raises(ValueError, match="images of mode I;16 have more than 8 bits: convert them first"):
        pixels_from(file.getvalue(), "a.png")


def test_samples_keep_their_bits_in_pnm_and_npy_files():
    for precision, image in ((8, RGB), (12, GRAY.astype(np.uint16) * 16), (16, GRAY.astype(np.uint16) * 256)):
        for suffix in (".ppm", ".npy"):
            assert np.array_equal(pixels_from(bytes_of(image, suffix, precision), f"a{suffix}"), image)
    with pytest.raises(ValueError, match=r"PNM files have 1 or 3 channels, the image has 4: name it .npy"):
        bytes_of(RGBA, ".ppm")
    with pytest.raises(ValueError, match=r"images are written as .*, not '\.jpg'"):
        bytes_of(RGB, ".jpg")


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        (["encode", "-restart", "x"], "restart is N rows or NB blocks, got 'x'"),
        (["encode", "-lossless", "9,x"], "lossless is a predictor 1..7 or predictor,point transform, got '9,x'"),
        (["decode", "-maxmemory", "0"], "maxmemory is N kilobytes or NM megabytes, got '0'"),
        (["sweep", "-quality", "10-90:0"], r"numbers are N,N,\.\.\. or FIRST-LAST:STEP, got '10-90:0'"),
        (["decode", "-scale", "3/7"], "-scale is M/8 with M = 1..16, got 3/7"),
        (["decode", "-crop", "8x8"], r"-crop is WxH\+X\+Y, got 8x8"),
        (["encode", "-effort", "1"], "-effort needs -distance or -ssimulacra2"),
        (["encode", "-distance", "1", "-ssimulacra2", "80"], "use only one of -distance and -ssimulacra2"),
        (["encode", "-distance", "1", "-smallest"], "cannot be combined with -scale, -block or -smallest"),
        (["encode", "-ssimulacra2", "101"], "-ssimulacra2 is at most 100, got 101"),
        (["encode", "-ssimulacra2", "80", "-quality", "70"], "use only one of -quality and -ssimulacra2"),
        (["encode", "-qtables", "TABLES"], "has 3 numbers, which is not a multiple of 64"),
    ],
)
def test_wrong_switches_are_named(switches, message, tmp_path, capsys):
    tables, source = tmp_path / "tables.txt", tmp_path / ("in.jpg" if switches[0] == "decode" else "in.ppm")
    tables.write_text("1 2 3 # three\n")
    source.write_bytes(FILE if source.suffix == ".jpg" else bytes_of(RGB, ".ppm"))
    command, *rest = [str(tables) if word == "TABLES" else word for word in switches]
    try:
        status = _cli.main([command, *rest, str(source), str(tmp_path / "out")])
    except SystemExit as stopped:
        status = stopped.code
    found = capsys.readouterr().err
    assert status not in (0, None), found
    assert re.search(message, found), found


@pytest.mark.parametrize("value", [b"Exif", {"exif": b"II"}, [1], 5])
def test_metadata_of_another_type_is_refused_by_name(value):
    coefficients = mozcodec.read_coefficients(FILE)
    for call in (
        lambda: mozcodec.optimize(FILE, metadata=value),
        lambda: mozcodec.transform(FILE, "rotate_90", metadata=value),
        lambda: mozcodec.write_coefficients(coefficients, metadata=value),
    ):
        with pytest.raises(TypeError, match=r"metadata must be a mozcodec\.Metadata, got"):
            call()
    if not isinstance(value, dict):
        with pytest.raises(TypeError, match=r"app maps numbers 0\.\.15 to bytes.*; got"):
            mozcodec.edit_metadata(FILE, app=value)
