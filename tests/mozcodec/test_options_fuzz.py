"""A part of the fuzzer of options; it reports the faults that it searches for."""

from __future__ import annotations

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
