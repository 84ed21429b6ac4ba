"""What optimize, transform and write_coefficients wrote is compared with its source; planted faults are noticed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import mozcodec
from mozcodec import _coefficients, _engine, _transform
from mozcodec._mozjpeg import ffi, lib
from mozcodec._options import coding_options

SAME, DIFFERS, UNCOVERED = range(3)
CODINGS = {
    "default": {},
    "sequential": {"progressive": False},
    "fixed tables": {"progressive": False, "profile": "fastest", "optimize_coding": False},
    "fixed script": {"optimize_scans": False},
    "restarts": {"restart_interval": 5},
    "sequential restarts": {"progressive": False, "restart_interval": 3},
    "separate scans": {"scan_script": [((0,), 0, 63, 0, 0), ((1, 2), 0, 63, 0, 0)]},
    "deep approximation": {
        "scan_script": [
            ((0, 1, 2), 0, 0, 0, 2), ((0, 1, 2), 0, 0, 2, 1), ((0, 1, 2), 0, 0, 1, 0),
            *[((c,), *scan) for c in range(3) for scan in
              ((1, 20, 0, 2), (21, 63, 0, 3), (21, 63, 3, 2), (1, 63, 2, 1), (1, 63, 1, 0))],
        ]
    },
}  # fmt: skip


def _picture(height=83, width=107):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(-60, 60, (height, width, 3)) * (x > width // 2)[..., None]
    return np.clip(np.dstack([x * 2, y * 3, x + y]) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def coefficients():
    return mozcodec.read_coefficients(mozcodec.encode(_picture(), 85, subsampling="4:2:0"))


class Expected:
    """Coefficients as the C side takes them."""

    def __init__(self, coefficients):
        self.arrays = _coefficients._check(coefficients)
        self.struct = struct = ffi.new("mzc_coefficients *")
        struct.width, struct.height = coefficients.width, coefficients.height
        struct.num_components, struct.precision = len(self.arrays), coefficients.precision
        for i, ((h, v), blocks) in enumerate(zip(coefficients.sampling_factors, self.arrays, strict=True)):
            struct.h_samp_factor[i], struct.v_samp_factor[i] = h, v
            struct.blocks[i] = ffi.cast("int16_t *", _coefficients.address_of(blocks))
        _coefficients._set_tables(struct, coefficients)

    def compare(self, data, *, by_library=False, engine=None):
        by = lib.MZC_BY_LIBRARY if by_library else lib.MZC_BY_COMPARISON
        if engine == "v3":
            by, engine = lib.MZC_BY_COMPARISON_OF_V3, _engine.engine()
        return lib.mzc_compare_coefficients(self.struct, data, len(data), by, engine or ffi.NULL)

    def engines(self):
        return [None, "v3", _engine.engine()]  # any processor; x86-64-v3; this one, with AVX-512 where it has that


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_written_is_found_the_same(coefficients, coding):
    expected = Expected(coefficients)
    data = mozcodec.write_coefficients(coefficients, **CODINGS[coding])
    assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3
    assert expected.compare(data, by_library=True) == SAME


def test_long_runs_and_many_corrections_are_followed():
    """A run of ended blocks has at most 32767; of noise at quality 100 nearly all 63 coefficients are corrected."""
    flat = mozcodec.read_coefficients(mozcodec.encode(np.full((1480, 1480), 90, np.uint8), 75))
    flat.components[0][-1, -1, 7, 7] = 1
    noise = np.random.default_rng(3).integers(0, 256, (64, 72), dtype=np.uint8)
    noise = mozcodec.read_coefficients(mozcodec.encode(noise, 100))
    script = [((0,), 0, 0, 0, 0), ((0,), 1, 63, 0, 2), ((0,), 1, 63, 2, 1), ((0,), 1, 63, 1, 0)]
    for image in (flat, noise):
        expected = Expected(image)
        for data in (mozcodec.write_coefficients(image), mozcodec.write_coefficients(image, scan_script=script)):
            assert len(mozcodec.inspect(data).scans) > 1  # one, where the comparison failed and another was written
            assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3
            assert expected.compare(data, by_library=True) == SAME


@pytest.mark.parametrize("share", [0.005, 0.05, 0.5])
def test_wide_rows_and_long_runs_of_zeros_are_followed(share):
    """More blocks in a row than are prepared at once, runs of more than 15 zeros, coefficients of every size."""
    image = mozcodec.read_coefficients(mozcodec.encode(np.zeros((40, 2400, 3), np.uint8), 75, subsampling="4:2:0"))
    rng = np.random.default_rng(7)
    for blocks in image.components:
        few = (rng.random(blocks.shape) < share) * rng.integers(-1, 2, blocks.shape)
        large = (rng.random(blocks.shape) < share / 9) * rng.integers(-1000, 1001, blocks.shape)
        blocks[...] = np.where(large, large, few)
    expected = Expected(image)
    for coding in CODINGS.values():
        data = mozcodec.write_coefficients(image, **coding, engine="fast" if coding == {} else "auto")
        assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3
        assert expected.compare(data, by_library=True) == SAME


@pytest.mark.parametrize("coding", ["default", "sequential", "fixed script", "fixed tables"])
def test_each_change_of_long_codes_is_noticed(coding):
    """Values of many bits, of which four codes are longer than 57 bits, and runs of 62 zeros whose codes are rare."""
    image = mozcodec.read_coefficients(mozcodec.encode(np.zeros((48, 56), np.uint8), 75))
    rng = np.random.default_rng(11)
    blocks = image.components[0]
    blocks[...] = rng.integers(-700, 701, blocks.shape)
    blocks[:, ::3] = 0
    blocks[:, ::3, 7, 7] = rng.integers(400, 500, blocks[:, ::3, 7, 7].shape)
    data = mozcodec.write_coefficients(image, **CODINGS[coding])
    assert [Expected(image).compare(data, engine=engine) for engine in Expected(image).engines()] == [SAME] * 3
    changes = [(at, step) for at in rng.integers(0, blocks.size, 150) for step in (-1, 1)]
    changes += [(at * 64 + 63, step) for at in range(blocks.size // 64) for step in (1, -1, 300)]
    for at, step in changes:
        changed = blocks.copy()
        changed.reshape(-1)[at] += step
        expected = Expected(dataclasses.replace(image, components=(changed,)))
        assert {expected.compare(data, engine=engine) for engine in expected.engines()} == {DIFFERS}
    moved = blocks.copy()
    moved[0, 0, 7, 7], moved[0, 0, 7, 6] = 0, moved[0, 0, 7, 7]
    expected = Expected(dataclasses.replace(image, components=(moved,)))
    assert {expected.compare(data, engine=engine) for engine in expected.engines()} == {DIFFERS}


@pytest.mark.parametrize("coding", ["default", "sequential", "sequential restarts", "separate scans"])
def test_coefficients_without_a_magnitude_are_left_to_the_library(coefficients, coding):
    data = mozcodec.write_coefficients(coefficients, **CODINGS[coding])
    for component, row, column in ((0, 2, 3), (0, 2, -1), (0, -1, 3), (2, -1, -1)):
        components = [c.copy() for c in coefficients.components]
        expected = Expected(dataclasses.replace(coefficients, components=tuple(components)))
        expected.arrays[component][row, column, 1, 1] = -32768
        assert {expected.compare(data, engine=engine) for engine in expected.engines()} == {UNCOVERED}
        assert expected.compare(data, by_library=True) == DIFFERS


@pytest.mark.parametrize("coding", CODINGS)
def test_a_planted_bit_is_noticed(coefficients, coding):
    """Of each byte one bit, of the headers all bits. What is found the same decodes to the same by libjpeg."""
    expected, rng = Expected(coefficients), np.random.default_rng(1)
    data = mozcodec.write_coefficients(coefficients, **CODINGS[coding])
    scans = mozcodec.inspect(data).scans
    coded = {at for scan in scans for at in range(scan.offset + 16, scan.offset + scan.size)}
    unnoticed = noticed = 0
    for at in range(len(data)):
        for bit in [int(rng.integers(8))] if at in coded else range(8):
            wrong = bytearray(data)
            wrong[at] ^= 1 << bit
            results = {expected.compare(bytes(wrong), engine=engine) for engine in expected.engines()}
            assert len(results) == 1
            noticed += SAME not in results
            if SAME in results:
                unnoticed += 1
                assert expected.compare(bytes(wrong), by_library=True) == SAME
    assert noticed > unnoticed  # those in JFIF, in component ids, in codes of fixed tables that no block uses


@pytest.mark.parametrize("coding", ["default", "sequential", "restarts", "deep approximation"])
def test_a_planted_bit_in_a_long_scan_is_noticed(coding):
    """Scans are compared in pieces of some kilobytes."""
    noise = np.random.default_rng(5).integers(0, 256, (340, 350, 3), dtype=np.uint8)
    noise = mozcodec.read_coefficients(mozcodec.encode(noise, 95))
    data = mozcodec.write_coefficients(noise, **CODINGS[coding])
    expected, rng = Expected(noise), np.random.default_rng(6)
    scan = max(mozcodec.inspect(data).scans, key=lambda scan: scan.size)
    assert scan.size > 3 * 4096
    for at in rng.integers(scan.offset + 16, scan.offset + scan.size, 80):
        wrong = bytearray(data)
        wrong[at] ^= 1 << int(rng.integers(8))
        for engine in expected.engines():
            assert expected.compare(bytes(wrong), engine=engine) != SAME
    for size in (20, 900, scan.size // 2):  # nothing is expected beyond the end of a scan
        shorter = data[: scan.offset + size] + data[scan.offset + scan.size :]
        assert SAME not in {expected.compare(shorter, engine=engine) for engine in expected.engines()}
    assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3


@pytest.mark.skipif(not _engine.CPU, reason="needs the engine")
def test_a_benchmark_can_leave_the_comparison_out(coefficients):
    """The switch belongs to one engine, and the bytes stay."""
    data = mozcodec.write_coefficients(coefficients)
    lib.mzc_engine_leave_unproven(_engine.engine(), 1)
    try:
        assert mozcodec.write_coefficients(coefficients) == data
    finally:
        lib.mzc_engine_leave_unproven(_engine.engine(), 0)


REFINED_ONCE = [((0,), 0, 0, 0, 0), ((0,), 1, 63, 0, 1), ((0,), 1, 63, 1, 0)]


def _refined(height, width, *, kinds):
    """Gray blocks for REFINED_ONCE: empty ones, few, and many coefficients that are new (1) or corrected (2, 3)."""
    image = mozcodec.read_coefficients(mozcodec.encode(np.zeros((8 * height, 8 * width), np.uint8), 75))
    rng = np.random.default_rng(13)
    shape = image.components[0].shape
    chances = np.array([[0, 0], [0.02, 0.03], [0.02, 0.9], [0, 1], [0.6, 0.2]])
    new, corrected = chances[np.resize(kinds, shape[:2])].transpose(2, 0, 1)
    chance, signs = rng.random(shape), rng.choice([-1, 1], shape)
    large = rng.integers(2, 4, shape) * (chance < corrected[..., None, None])
    image.components[0][...] = signs * np.where(chance > 1 - new[..., None, None], 1, large)
    return image


def test_each_bit_of_a_refinement_is_compared():
    """Runs of ended blocks that go on in the next row, units of more than 57 bits, 16 zeros and more in a row."""
    kinds = np.random.default_rng(17).choice(5, (5, 70), p=[0.8, 0.12, 0.04, 0.03, 0.01])
    kinds[1, 40:], kinds[2, :9], kinds[3, 60:] = 0, 0, 0
    image = _refined(5, 70, kinds=kinds)
    expected = Expected(image)
    data = mozcodec.write_coefficients(image, scan_script=REFINED_ONCE)
    assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3
    scan = mozcodec.inspect(data).scans[-1]
    for bit in range(8 * (scan.offset + 10), 8 * (scan.offset + scan.size)):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        results = {expected.compare(bytes(wrong), engine=engine) for engine in expected.engines()}
        assert results in ({DIFFERS}, {UNCOVERED}), bit  # the latter: a marker


def test_a_run_that_corrections_end_is_compared_from_where_its_row_began():
    """937 corrections end a run of ended blocks, in each row once; a scan is read in pieces of 4 KB."""
    image = _refined(12, 64, kinds=np.resize([4] * 48 + [3] * 16, (12, 64)))
    data = mozcodec.write_coefficients(image, scan_script=REFINED_ONCE)
    scans = mozcodec.inspect(data).scans  # one, where the comparison failed and another form was written
    assert len(scans) == 3 and scans[-1].size > 2 * 4096
    expected = Expected(image)
    assert [expected.compare(data, engine=engine) for engine in expected.engines()] == [SAME] * 3
    for at in (-3, -150, -300, -2000, -4500):
        wrong = bytearray(data)
        wrong[at] ^= 4
        assert {expected.compare(bytes(wrong), engine=engine) for engine in expected.engines()} == {DIFFERS}


def test_other_coefficients_and_tables_are_noticed(coefficients):
    rng = np.random.default_rng(2)
    for coding in CODINGS.values():
        data = mozcodec.write_coefficients(coefficients, **coding)
        for _ in range(40):
            components = [c.copy() for c in coefficients.components]
            one = components[rng.integers(3)].reshape(-1)
            one[rng.integers(len(one))] += rng.choice([-2, -1, 1, 2])
            expected = Expected(dataclasses.replace(coefficients, components=tuple(components)))
            assert {expected.compare(data, engine=engine) for engine in expected.engines()} == {DIFFERS}
            assert expected.compare(data, by_library=True) == DIFFERS
        tables = [t.copy() for t in coefficients.quant_tables]
        tables[1][3, 4] += 1
        expected = Expected(dataclasses.replace(coefficients, quant_tables=tuple(tables)))
        assert expected.compare(data) == expected.compare(data, by_library=True) == DIFFERS


def test_truncated_and_longer_files_are_noticed(coefficients):
    expected = Expected(coefficients)
    for coding in CODINGS.values():
        data = mozcodec.write_coefficients(coefficients, **coding)
        shorter = [data[:-2], data[:-30], data[: len(data) // 2], data[:3], b""]
        for wrong in (*shorter, data + b"\0", data[:-2] + b"\0" + data[-2:]):
            assert expected.compare(wrong) != SAME


def test_a_scan_that_is_missing_is_noticed(coefficients):
    data = mozcodec.write_coefficients(coefficients)
    for scan in mozcodec.inspect(data).scans[1:]:
        wrong = data[: scan.offset] + data[scan.offset + scan.size :]
        assert Expected(coefficients).compare(wrong) != SAME


def test_streams_of_other_kinds_are_compared_by_the_library(coefficients):
    data = mozcodec.write_coefficients(coefficients, arithmetic=True)
    expected = Expected(coefficients)
    assert expected.compare(data) == UNCOVERED
    assert expected.compare(data, by_library=True) == SAME
    changed = bytearray(data)
    changed[-40] ^= 1
    assert expected.compare(bytes(changed), by_library=True) == DIFFERS


def test_a_file_that_differs_is_written_again_in_another_way():
    status, settings = ffi.new("mzc_status *"), coding_options({})
    attempts = []

    def call(_engine, coding):
        attempts.append((coding.engine, coding.progressive))
        status.code = lib.MZC_UNFAITHFUL if len(attempts) < 3 else 0
        return 1 if status.code else 0

    assert _engine.coded_faithfully(call, settings, status) == 0
    assert attempts == [(lib.MZC_ENGINE_AUTO, -1), (lib.MZC_ENGINE_LIBRARY, -1), (lib.MZC_ENGINE_LIBRARY, 0)]


class Forger:
    """The C side, whose verbs spoil what they have written before it is compared; or say that they did."""

    def __init__(self, *, times):
        self.times = times

    def __getattr__(self, name):
        if name not in ("mzc_transform", "mzc_write_coefficients"):
            return getattr(lib, name)

        def spoilt(*arguments):
            failed = getattr(lib, name)(*arguments)
            self.times -= 1
            if failed or self.times < 0:
                return failed
            lib.mzc_free(arguments[-2].data)
            arguments[-2].data = ffi.NULL
            arguments[-1].code, arguments[-1].message = lib.MZC_UNFAITHFUL, b"the file that was written differs"
            return -1

        return spoilt


def test_a_verb_whose_files_all_differ_raises(monkeypatch, coefficients):
    jpeg = mozcodec.encode(_picture(), 60)
    for times in (1, 2):
        monkeypatch.setattr(_transform, "lib", Forger(times=times))
        rewritten = mozcodec.optimize(jpeg)
        assert mozcodec.engine_used().name == "library"
        np.testing.assert_array_equal(mozcodec.decode(rewritten), mozcodec.decode(jpeg))
    for module in (_transform, _coefficients):
        monkeypatch.setattr(module, "lib", Forger(times=100))
    for call in (
        lambda: mozcodec.optimize(jpeg),
        lambda: mozcodec.transform(jpeg, "rotate_90", trim=True),
        lambda: mozcodec.write_coefficients(coefficients),
    ):
        with pytest.raises(mozcodec.JpegError, match="differs"):
            call()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coefficient_within_a_run_of_ended_blocks_is_noticed(coding):
    flat = mozcodec.read_coefficients(mozcodec.encode(np.full((80, 80, 3), 90, np.uint8), 85))
    data = mozcodec.write_coefficients(flat, **CODINGS[coding])
    for value in (1, -1, 2):
        components = [c.copy() for c in flat.components]
        components[0][4, 5, 3, 2] = value
        changed = Expected(dataclasses.replace(flat, components=tuple(components)))
        assert {changed.compare(data, engine=engine) for engine in changed.engines()} == {DIFFERS}
