"""A part of the fuzzer of options; it reports the faults that it searches for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mozcodec
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"


@pytest.fixture(scope="module")
def fuzzer():
    return load(PACKAGE / "fuzz" / "options.py")


def test_random_options_give_files_that_decode_to_the_image(fuzzer, tmp_path):
    assert fuzzer.run(600, fuzzer.SEED, 2, tmp_path / "state.jsonl") == 0


@pytest.mark.slow(minutes=2)
@pytest.mark.timeout(3600)
def test_random_options_make_no_report_under_asan_and_ubsan(tmp_path):
    """A slice of the 200,000 cases of ``make fuzz``; the extension is built for it."""
    command = [sys.executable, "-P", str(PACKAGE / "fuzz" / "options.py"), "run", "--sanitized", "--cases", "500"]
    command += ["--workers", "1", "--state", str(tmp_path / "state.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_a_scan_script_with_components_that_the_image_lacks_is_refused_by_the_library():
    """cjpeg's words. Sampling factors beyond the image's components are not initialized, which UBSan reports."""
    for scans in ([((1, 2, 3), 0, 63, 0, 0), ((0,), 0, 63, 0, 0)], [((0, 1, 2, 3), 0, 0, 0, 0)]):
        with pytest.raises(mozcodec.JpegError, match="Invalid scan script"):
            mozcodec.encode(np.zeros((16, 16, 3), np.uint8), scan_script=scans)


def test_a_sanitizers_report_is_shown_from_its_first_line(fuzzer):
    log = "1\n2\n==3==ERROR: AddressSanitizer: heap-buffer-overflow\n" + "    #0 frame\n" * 200
    assert fuzzer._report(log).splitlines()[0] == "==3==ERROR: AddressSanitizer: heap-buffer-overflow"
    assert fuzzer._report("1\n2\nkilled\n") == "killed"


def test_a_case_is_a_function_of_seed_and_number(fuzzer):
    assert str(fuzzer.draw_case(1, 17)) == str(fuzzer.draw_case(1, 17)) != str(fuzzer.draw_case(2, 17))


def test_the_fuzzer_reports_a_wrong_image_and_a_corrupt_file(fuzzer, monkeypatch):
    y, x = np.mgrid[:40, :40]
    case = fuzzer.Case("encode", (3 * (x + y)).astype(np.uint8), 80)
    assert fuzzer.run_case(case) == "compared"
    black = mozcodec.encode(np.zeros((40, 40), np.uint8), 80)
    for wrong in (black, black[:-30]):
        monkeypatch.setattr(mozcodec, "encode", lambda *_, wrong=wrong, **__: wrong)
        with pytest.raises(fuzzer.WrongResultError):
            fuzzer.run_case(case)
        monkeypatch.undo()
