"""Coefficients, lossless work and inspection: nothing that a decoder sees changes."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.fft import idctn

import mozcodec

OPERATIONS = {
    "rotate_90": ("-rotate 90", lambda p: np.rot90(p, -1)),
    "rotate_180": ("-rotate 180", lambda p: np.rot90(p, 2)),
    "rotate_270": ("-rotate 270", lambda p: np.rot90(p)),
    "flip_horizontal": ("-flip horizontal", lambda p: p[:, ::-1]),
    "flip_vertical": ("-flip vertical", lambda p: p[::-1]),
    "transpose": ("-transpose", lambda p: p.swapaxes(0, 1)),
    "transverse": ("-transverse", lambda p: np.rot90(p, 2).swapaxes(0, 1)),
}


@pytest.fixture(scope="module")
def files(astronaut, picture) -> dict[str, bytes]:
    """Files of odd sizes, most of them not mozjpeg's best."""
    rgb, gray = astronaut[40:171, 180:309], picture("camera.png")[100:177, 200:261]
    plain = {"profile": "fastest"}
    return {
        "baseline": mozcodec.encode(rgb, 75, comment="a comment", icc_profile=bytes(300), **plain),
        "optimised": mozcodec.encode(rgb, 90, optimize_coding=True, **plain),
        "progressive": mozcodec.encode(rgb, 60, progressive=True, **plain),
        "best": mozcodec.encode(rgb, 77),
        "4:4:4": mozcodec.encode(rgb, 77, subsampling="4:4:4", **plain),
        "4:1:1": mozcodec.encode(rgb, 77, subsampling="4:1:1", **plain),
        "restart": mozcodec.encode(rgb, 77, restart_interval=3, **plain),
        "arithmetic": mozcodec.encode(rgb, 77, arithmetic=True),
        "low": mozcodec.encode(rgb, 5),
        "gray": mozcodec.encode(gray, 77, **plain),
        "rgb": mozcodec.encode(rgb, 77, color_space="rgb", **plain),
    }


def test_optimize_gives_jpegtrans_bytes(programs, files):
    for name, data in files.items():
        assert mozcodec.optimize(data) == programs.jpegtran(data, "-copy", "all"), name


@pytest.mark.parametrize(
    ("switches", "options"),
    [
        ("-copy none -progressive", {"copy": "none", "progressive": True}),
        ("-copy icc -progressive", {"copy": "icc", "progressive": True}),
        ("-copy comments -progressive", {"copy": "comments", "progressive": True}),
        ("-copy all -fastcrush -progressive", {"optimize_scans": False}),
        ("-copy all -arithmetic", {"arithmetic": True}),
        ("-copy all -revert -optimize", {"progressive": False}),
        ("-copy all -revert", {"profile": "fastest"}),
        ("-copy all -fastcrush -progressive -restart 5b", {"optimize_scans": False, "restart_interval": 5}),
        ("-copy all -revert -optimize -restart 1", {"progressive": False, "restart_rows": 1}),
    ],
)
def test_optimize_options_are_jpegtrans(programs, files, switches, options):
    for name, data in files.items():
        assert mozcodec.optimize(data, **options) == programs.jpegtran(data, *switches.split()), name


def test_optimize_changes_no_coefficient(files):
    for name, data in files.items():
        before = mozcodec.read_coefficients(data)
        for options in ({}, {"progressive": False}, {"arithmetic": True}):
            after = mozcodec.read_coefficients(mozcodec.optimize(data, **options))
            for a, b in zip(before.components, after.components, strict=True):
                np.testing.assert_array_equal(a, b, name)


def test_optimize_never_grows_and_keeps_the_metadata(files):
    for data in files.values():
        smaller = mozcodec.optimize(data)
        assert len(smaller) <= len(data)
        assert mozcodec.read_header(smaller).metadata == mozcodec.read_header(data).metadata
    bare = mozcodec.read_header(mozcodec.optimize(files["baseline"], copy="none")).metadata
    assert bare == mozcodec.Metadata()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("trim", [True, False])
def test_transform_gives_jpegtrans_bytes(programs, files, operation, trim):
    for name, data in files.items():
        switches = [*OPERATIONS[operation][0].split(), "-copy", "all", "-trim" if trim else "-perfect"]
        asked = programs.run("jpegtran", *switches, data=data)
        if asked.returncode == 0:
            assert mozcodec.transform(data, operation, trim=trim) == asked.stdout, name
        else:
            assert b"not perfect" in asked.stderr
            with pytest.raises(mozcodec.UnsupportedError, match="trim=True drops the rest"):
                mozcodec.transform(data, operation, trim=trim)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_transform_turns_the_pixels(astronaut, operation):
    data = mozcodec.encode(astronaut[:64, :96], 80, subsampling="4:4:4")
    turned = mozcodec.decode(mozcodec.transform(data, operation))
    expected = OPERATIONS[operation][1](mozcodec.decode(data))
    assert np.abs(turned.astype(int) - expected).max() <= 2  # the integer IDCT is not symmetric to the last bit


def test_crop_gives_jpegtrans_bytes(programs, files):
    for name, data in files.items():
        asked = programs.jpegtran(data, "-crop", "24x30+32+16", "-copy", "all")
        assert mozcodec.transform(data, crop=(32, 16, 56, 46)) == asked, name
        asked = programs.jpegtran(data, "-crop", "25x20+13+11", "-copy", "all")
        assert mozcodec.transform(data, crop=(13, 11, 38, 31), trim=True) == asked, name
        with pytest.raises(mozcodec.UnsupportedError, match=r"a multiple of \d+ x \d+ pixels, not at \(13, 11\)"):
            mozcodec.transform(data, crop=(13, 11, 38, 31))


def test_a_crop_outside_is_refused_with_libjpegs_text(files):
    for repair in (False, True):
        with pytest.raises(mozcodec.JpegError, match="Invalid crop request: the region") as caught:
            mozcodec.transform(files["gray"], crop=(64, 64, 96, 96), repair=repair)
        assert not isinstance(caught.value, mozcodec.DamagedError)  # the file is whole


def test_grayscale_drops_the_chroma(programs, files):
    for name in ("baseline", "best", "4:4:4"):
        gray = mozcodec.transform(files[name], grayscale=True)
        assert gray == programs.jpegtran(files[name], "-grayscale", "-copy", "all")
        np.testing.assert_array_equal(mozcodec.decode(gray, "gray"), mozcodec.decode(files[name], "gray"))


def test_metadata_can_be_replaced(files):
    data, given = files["baseline"], mozcodec.Metadata(comments=(b"one", b"two"), xmp=b"<x/>")
    for rewritten in (
        mozcodec.optimize(data, copy="none", metadata=given),
        mozcodec.transform(data, "transpose", copy="none", metadata=given),
    ):
        assert mozcodec.read_header(rewritten).metadata == given
    beside = mozcodec.read_header(mozcodec.optimize(data, copy="icc", metadata=given)).metadata
    assert beside == replace(given, icc_profile=bytes(300))


def test_lossless_work_has_decodes_limits(files):
    data, script = files["gray"], [([0], 0, 0, 0, 0), *(([0], k, k, 0, 0) for k in range(1, 40))]
    many = mozcodec.optimize(data, scan_script=script)
    for call in (mozcodec.optimize, mozcodec.transform):
        with pytest.raises(mozcodec.LimitError, match="max_pixels = 1000"):
            call(data, max_pixels=1000)
        with pytest.raises(mozcodec.LimitError, match="more than max_scans = 39 scans"):
            call(many, max_scans=39)
        with pytest.raises(mozcodec.LimitError, match="Memory limit exceeded"):
            call(many, max_memory=5000)
        none = call(many, max_pixels=None, max_scans=None, max_memory=None)
        np.testing.assert_array_equal(mozcodec.decode(none), mozcodec.decode(many))
    with pytest.raises(TypeError, match="max_scans must be an integer"):
        mozcodec.optimize(data, max_scans="many")


def test_results_are_equal_where_their_arrays_are(files):
    for read in (mozcodec.read_coefficients, mozcodec.inspect):
        assert read(files["4:4:4"]) == read(files["4:4:4"])
        assert read(files["4:4:4"]) != read(files["low"])
        assert read(files["4:4:4"]) != files["4:4:4"]
    coefficients = mozcodec.read_coefficients(files["gray"])
    table = coefficients.quant_tables[0] + np.eye(8, dtype=np.uint16)
    assert coefficients != replace(coefficients, quant_tables=(table,))


def test_inspect_takes_any_buffer(files):
    seen = mozcodec.inspect(files["best"])
    assert mozcodec.inspect(bytearray(files["best"])) == mozcodec.inspect(memoryview(files["best"])) == seen


def test_damaged_files_are_not_repaired_silently(files):
    for name, data in files.items():
        with pytest.raises(mozcodec.DamagedError):
            mozcodec.optimize(data[: len(data) - 60])
            pytest.fail(name)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda data: mozcodec.optimize(data, tune="ssim"), "tune would change the coefficients"),
        (lambda data: mozcodec.optimize(data, copy="exif"), "copy must be one of 'none'"),
        (lambda data: mozcodec.transform(data, "rotate"), "operation must be one of 'flip_horizontal'"),
        (lambda data: mozcodec.transform(data, crop=(5, 5, 5, 9)), "left < right"),
    ],
)
def test_wrong_options_are_refused(files, call, words):
    with pytest.raises(ValueError, match=words):
        call(files["gray"])


# ---- coefficients ---------------------------------------------------------------------------------------------------


def test_coefficients_are_those_of_the_pixels(files):
    """Their inverse DCT in floating point is what decode computes in integers."""
    for name, data in files.items():
        coefficients = mozcodec.read_coefficients(data)
        planes = mozcodec.decode(data, "planes")
        for i, plane in enumerate(planes):
            blocks = idctn(coefficients.dequantized(i).astype(float), axes=(2, 3), norm="ortho") + 128
            rows, columns = blocks.shape[:2]
            whole = blocks.swapaxes(1, 2).reshape(8 * rows, 8 * columns)[: plane.shape[0], : plane.shape[1]]
            assert np.abs(whole.clip(0, 255) - plane).max() < 1.1, name


def test_quantization_tables_are_pillows(files):
    for data in files.values():
        coefficients = mozcodec.read_coefficients(data)
        inspected = mozcodec.inspect(data).quant_tables
        with Image.open(io.BytesIO(data)) as image:
            tables = [np.array(table).reshape(8, 8) for _, table in sorted(image.quantization.items())]
        np.testing.assert_array_equal(coefficients.quant_tables[0], tables[0])
        for slot, table in enumerate(tables):
            np.testing.assert_array_equal(inspected[slot], table)


def test_coefficients_go_back_exactly(files):
    for name, data in files.items():
        before = mozcodec.read_coefficients(data)
        for options in ({}, {"progressive": False}, {"arithmetic": True}, {"profile": "fastest"}):
            written = mozcodec.write_coefficients(before, **options)
            after = mozcodec.read_coefficients(written)
            assert replace(after, components=(), quant_tables=()) == replace(before, components=(), quant_tables=())
            arrays = [c.components + c.quant_tables for c in (before, after)]
            for a, b in zip(*arrays, strict=True):
                np.testing.assert_array_equal(a, b, name)
            np.testing.assert_array_equal(mozcodec.decode(written), mozcodec.decode(data))


def test_changed_coefficients_are_the_change(files):
    data = files["4:4:4"]
    coefficients = mozcodec.read_coefficients(data)
    luma = coefficients.components[0].copy()
    luma[2, 3, 0, 0] += 4  # one block of luma brighter by 4 steps / 8
    changed = replace(coefficients, components=(luma, *coefficients.components[1:]))
    before, after = (mozcodec.decode(d, "gray").astype(int) for d in (data, mozcodec.write_coefficients(changed)))
    step = 4 * int(coefficients.quant_tables[0][0, 0]) / 8
    assert np.abs((after - before)[16:24, 24:32] - step).max() <= 1
    assert not np.delete(after - before, slice(16, 24), axis=0).any()


def test_metadata_is_written_with_coefficients(files):
    metadata = mozcodec.read_header(files["baseline"]).metadata
    data = mozcodec.write_coefficients(mozcodec.read_coefficients(files["baseline"]), metadata=metadata)
    assert mozcodec.read_header(data).metadata == metadata


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: {"width": c.width + 8}, "must be integers of shape"),
        (lambda c: {"components": (c.components[0] * 0 + 1024,)}, r"AC must be within \+-1023"),
        (lambda c: {"components": (c.components[0].astype(float),)}, "must be integers"),
        (lambda c: {"quant_tables": (c.quant_tables[0].astype(int) - 99,)}, r"8x8 integers 0\.\.65535"),
        (lambda _: {"color_space": "ycbcr"}, "has 3 components"),
        (lambda _: {"color_space": "lab"}, "color_space must be one of"),
        (lambda _: {"precision": 9}, "precision must be 8 or 12"),
    ],
)
def test_coefficients_that_fit_no_jpeg_are_refused(files, change, words):
    coefficients = mozcodec.read_coefficients(files["gray"])
    with pytest.raises(ValueError, match=words):
        mozcodec.write_coefficients(replace(coefficients, **change(coefficients)))


def test_coefficients_that_only_decoders_take_are_refused_by_value_component_and_block():
    """Two blocks with a DC difference of 600 each, in the codes of T.81, K.3.3."""
    header = mozcodec.encode(np.zeros((8, 16), np.uint8), 90, profile="fastest", optimize_coding=False)
    scan = mozcodec.inspect(header).scans[0]
    bits = ("11111110" + f"{600:010b}" + "1010") * 2 + "1111"
    coded = int(bits, 2).to_bytes(6, "big").replace(b"\xff", b"\xff\0")
    length = int.from_bytes(header[scan.offset + 2 : scan.offset + 4], "big")
    data = header[: scan.offset + 2 + length] + coded + b"\xff\xd9"
    assert mozcodec.decode(data).shape == (8, 16, 3)
    coefficients = mozcodec.read_coefficients(data)
    assert coefficients.components[0][0, :, 0, 0].tolist() == [600, 1200]
    for call in (mozcodec.optimize, lambda data: mozcodec.transform(data, "rotate_90")):
        with pytest.raises(
            mozcodec.DamagedError, match=r"component 0 has the coefficient 1200 in block \(0, 1\), beyond"
        ):
            call(data)
    with pytest.raises(ValueError, match=r"components\[0\]\[0, 1, 0, 0\] is 1200: AC must be within"):
        mozcodec.write_coefficients(coefficients)
    with pytest.warns(mozcodec.JpegWarning, match="coefficients of 1 blocks were limited"):
        repaired = mozcodec.optimize(data, repair=True)
    assert mozcodec.read_coefficients(repaired).components[0][0, :, 0, 0].tolist() == [600, 1023]


def test_the_smallest_dc_value_is_written(files):
    coefficients = mozcodec.read_coefficients(files["gray"])
    blocks = coefficients.components[0].copy()
    blocks[1, 1, 0, 0] = -1024
    written = mozcodec.write_coefficients(replace(coefficients, components=(blocks,)))
    assert mozcodec.read_coefficients(written).components[0][1, 1, 0, 0] == -1024
    blocks[1, 1, 0, 1] = -1024
    with pytest.raises(ValueError, match=r"components\[0\]\[1, 1, 0, 1\] is -1024"):
        mozcodec.write_coefficients(replace(coefficients, components=(blocks,)))


def test_lossless_files_have_no_coefficients(small):
    five_bits = mozcodec.encode(small >> 3, lossless=1, precision=5)
    for data in (mozcodec.encode(small, lossless=1), five_bits):
        with pytest.raises(mozcodec.UnsupportedError, match="a lossless file has no coefficients"):
            mozcodec.read_coefficients(data)
        for call in (mozcodec.optimize, mozcodec.transform):
            with pytest.raises(mozcodec.UnsupportedError, match=r"a lossless file \(SOF3\) has no coefficients"):
                call(data)


def test_twelve_bit_coefficients_go_back_exactly(small):
    data = mozcodec.encode(small.astype(np.uint16) * 16, 90, precision=12)
    before = mozcodec.read_coefficients(data)
    written = mozcodec.write_coefficients(before)
    np.testing.assert_array_equal(mozcodec.decode(written), mozcodec.decode(data))


# ---- forensics ------------------------------------------------------------------------------------------------------


def test_histograms_count_every_block(files):
    coefficients = mozcodec.read_coefficients(files["4:4:4"])
    counts = mozcodec.coefficient_histograms(files["4:4:4"], limit=1100)
    blocks = coefficients.components[0].shape[0] * coefficients.components[0].shape[1]
    assert counts.shape == (8, 8, 2201)
    assert (counts.sum(axis=2) == blocks).all()
    assert counts[0, 1, 1100 + 3] == (coefficients.components[0][..., 0, 1] == 3).sum()


def test_double_compression_leaves_gaps(picture):
    """A step of 8 requantized with a step of 3 leaves values that no coefficient has; one compression leaves none."""
    gray = picture("camera.png")
    coarse, fine = [np.full((8, 8), 8)], [np.full((8, 8), 3)]
    plain = {"progressive": False, "trellis_quant": False}
    once = mozcodec.encode(gray, 50, quant_tables=fine, **plain)
    first = mozcodec.decode(mozcodec.encode(gray, 50, quant_tables=coarse, **plain), "gray")
    twice = mozcodec.encode(first, 50, quant_tables=fine, **plain)
    near = slice(64 - 12, 64 + 13)
    empty = [(mozcodec.coefficient_histograms(d)[0, 1, near] < 15).sum() for d in (once, twice)]
    assert empty[0] == 0
    assert empty[1] >= 8


@pytest.mark.parametrize("quant_table", range(9))
def test_the_quality_of_a_file_is_found(small, quant_table):
    for quality in (*range(1, 100, 7), 97):
        for options in ({}, {"quant_baseline": True}):
            data = mozcodec.encode(small, quality, quant_table=quant_table, optimize_scans=False, **options)
            estimate = mozcodec.inspect(data).quality
            assert estimate.exact
            twin = mozcodec.encode(small, estimate.quality, quant_table=estimate.quant_table, **options)
            for a, b in zip(*(mozcodec.read_coefficients(d).quant_tables for d in (data, twin)), strict=True):
                np.testing.assert_array_equal(a, b)
            if 8 <= quality < 90 and quant_table != 1:  # flat tables and those at the ends coincide
                assert (estimate.quality, estimate.quant_table) == (quality, quant_table)


def test_pillows_quality_is_found_too(small):
    for quality in (30, 75, 92):
        buffer = io.BytesIO()
        Image.fromarray(small).save(buffer, "jpeg", quality=quality)
        assert mozcodec.inspect(buffer.getvalue()).quality == mozcodec.QualityEstimate(quality, 0, True)


def test_an_own_table_is_no_exact_quality(small):
    data = mozcodec.encode(small, 50, quant_tables=[np.arange(1, 65).reshape(8, 8)])
    assert not mozcodec.inspect(data).quality.exact


# ---- inspect --------------------------------------------------------------------------------------------------------


def test_inspect_lists_the_scans_of_the_script(small):
    script = [([0, 1, 2], 0, 0, 0, 1), ([1], 1, 63, 0, 0), ([2], 1, 63, 0, 0), ([0], 1, 5, 0, 0), ([0], 6, 63, 0, 0)]
    script.append(([0, 1, 2], 0, 0, 1, 0))
    inspection = mozcodec.inspect(mozcodec.encode(small, 60, scan_script=script, comment="hello"))
    listed = [(list(s.components), *s.spectral_selection, *s.approximation) for s in inspection.scans]
    assert listed == script
    assert [s.name for s in inspection.segments[:3]] == ["APP0", "COM", "DQT"]


def test_inspect_accounts_for_every_byte(files):
    for name, data in files.items():
        inspection = mozcodec.inspect(data + b"rest")
        assert 2 + sum(s.size for s in inspection.segments) + 2 + 4 == len(data) + 4, name
        assert inspection.trailing_bytes == 4
        assert inspection.header == mozcodec.read_header(data)


def test_what_libjpeg_skips_is_skipped(files):
    """Fill bytes, garbage between segments, stray restart markers; and a second image after the first."""
    plain = files["baseline"]
    seen = mozcodec.inspect(plain)
    for at in (seen.segments[1].offset, seen.segments[-1].offset):
        for more in (b"\xff\xff\xff", b"\0\1garbage\xff\0", b"\xff\xd3", b"\xff\1"):
            data = plain[:at] + more + plain[at:]
            if more == b"\0\1garbage\xff\0":
                with pytest.warns(mozcodec.JpegWarning, match="extraneous data before marker"):
                    mozcodec.decode(data)
                np.testing.assert_array_equal(mozcodec.decode(data, on_truncated="ok"), mozcodec.decode(plain))
                continue
            np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(plain))
            assert mozcodec.read_header(data) == seen.header
            assert [s.name for s in mozcodec.inspect(data).segments] == [s.name for s in seen.segments]
    twice = mozcodec.inspect(plain + plain)
    assert (twice.segments, twice.trailing_bytes) == (seen.segments, len(plain))


def test_huffman_tables_are_the_standard_ones(small):
    """T.81, Annex K.3: libjpeg's defaults."""
    tables = mozcodec.inspect(mozcodec.encode(small, profile="fastest")).huffman_tables
    dc = next(t for t in tables if t.kind == "dc" and t.slot == 0)
    assert dc.counts == (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    assert dc.symbols == bytes(range(12))
    assert sorted((t.kind, t.slot) for t in tables) == [("ac", 0), ("ac", 1), ("dc", 0), ("dc", 1)]
    assert all(sum(t.counts) == len(t.symbols) for t in tables)


def test_inspect_survives_what_follows_a_header(files):
    data = files["best"]
    for cut in range(mozcodec.inspect(data).scans[0].offset + 14, len(data), 501):
        assert mozcodec.inspect(data[:cut]).header == mozcodec.read_header(data)


# ---- files that other software gets wrong ---------------------------------------------------------------------------


def with_ids(data: bytes, ids: tuple[int, ...]) -> bytes:
    """Return a baseline file of one scan with other component ids."""
    stream = bytearray(data)
    frame, scan = stream.index(b"\xff\xc0"), stream.index(b"\xff\xda")
    for i, value in enumerate(ids):
        stream[frame + 10 + 3 * i] = stream[scan + 5 + 2 * i] = value
    return bytes(stream)


@pytest.mark.parametrize("ids", [(5, 7, 5), (1, 1, 1), (0, 0, 3), (2, 1, 1)])
def test_repeated_component_ids_become_unique(programs, small, ids):
    """In a scan of one component no reader could tell which is meant; jpegtran writes such files."""
    data = with_ids(mozcodec.encode(small, 90, profile="fastest"), ids)
    pixels = mozcodec.decode(data)
    for result in (mozcodec.optimize(data), mozcodec.write_coefficients(mozcodec.read_coefficients(data))):
        np.testing.assert_array_equal(programs.djpeg(result), pixels)
    turned = mozcodec.transform(data, "rotate_180", trim=True)
    assert mozcodec.decode(turned).shape == pixels.shape


@pytest.mark.parametrize("arithmetic", [False, True])
def test_a_file_without_its_last_scans_keeps_its_pixels(programs, picture, arithmetic):
    """libjpeg smooths over coefficients that were not sent: a rewritten file must not send them."""
    rng = np.random.default_rng(3)
    pixels = np.clip(picture("astronaut.png")[:90, :70].astype(int) + rng.integers(-40, 40, (90, 70, 3)), 0, 255)
    data = mozcodec.encode(pixels.astype(np.uint8), 75, arithmetic=arithmetic)
    scans = mozcodec.inspect(data).scans
    for scan in scans[1:]:
        part = data[: scan.offset] + b"\xff\xd9"
        shown = programs.djpeg(part)
        coefficients = mozcodec.read_coefficients(part)
        assert coefficients.unsent is not None
        for result in (mozcodec.optimize(part), mozcodec.write_coefficients(coefficients)):
            np.testing.assert_array_equal(programs.djpeg(result), shown)
            assert mozcodec.read_coefficients(result) == coefficients
        np.testing.assert_array_equal(mozcodec.decode(part, region=(20, 20, 50, 60)), shown[20:60, 20:50])
        for call in (
            lambda part=part: mozcodec.optimize(part, progressive=False),
            lambda coefficients=coefficients: mozcodec.write_coefficients(coefficients, progressive=False),
        ):
            with pytest.warns(mozcodec.JpegWarning, match="no longer smooth"):
                call()
    assert mozcodec.read_coefficients(data).unsent is None


def test_gaps_turn_with_the_image(small):
    script = [([0, 1, 2], 0, 0, 0, 0), ([0], 1, 2, 0, 1)]
    part = mozcodec.encode(small[:48, :48], 90, scan_script=script, subsampling="4:4:4")
    turned = mozcodec.read_coefficients(mozcodec.transform(part, "transpose"))
    unsent = mozcodec.read_coefficients(part).unsent
    np.testing.assert_array_equal(turned.unsent, unsent.swapaxes(1, 2))


def test_table_entries_of_zero_are_written(small):
    data = bytearray(mozcodec.encode(small, 90, profile="fastest"))
    data[data.index(b"\xff\xdb") + 6] = 0
    coefficients = mozcodec.read_coefficients(bytes(data))
    assert (coefficients.quant_tables[0] == 0).sum() == 1
    again = mozcodec.write_coefficients(coefficients)
    assert mozcodec.read_coefficients(again) == coefficients
    np.testing.assert_array_equal(mozcodec.decode(again), mozcodec.decode(bytes(data)))


def test_a_component_without_a_scan_is_read(small):
    """Its pixels are those of coefficients of 0."""
    data = mozcodec.encode(small, 90, scan_script=[([0], 0, 63, 0, 0), ([1], 0, 63, 0, 0), ([2], 0, 63, 0, 0)])
    part = data[: mozcodec.inspect(data).scans[1].offset] + b"\xff\xd9"
    coefficients = mozcodec.read_coefficients(part)
    assert not coefficients.components[1].any()
    np.testing.assert_array_equal(mozcodec.decode(mozcodec.write_coefficients(coefficients)), mozcodec.decode(part))


def test_restart_rows_of_a_rewritten_file_are_readable(programs, small):
    data = mozcodec.encode(small, 77, subsampling="4:2:0")
    for result in (
        mozcodec.optimize(data, restart_rows=1),
        mozcodec.write_coefficients(mozcodec.read_coefficients(data), restart_rows=1),
    ):
        np.testing.assert_array_equal(programs.djpeg(result), programs.djpeg(data))
