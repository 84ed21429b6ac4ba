"""Every option of the encoder is complete: checked, passed to C, documented, drawn at random, on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mozcodec
from mozcodec import _options, _switches
from mozcodec._cli import _parser
from mozcodec._mozjpeg import ffi

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/mozcodec/encode.md").read_text(encoding="utf-8")
SWITCHES = (ROOT / "packages/mozcodec/src/mozcodec/_switches.py").read_text(encoding="utf-8")
FUZZ = (ROOT / "packages/mozcodec/fuzz/options.py").read_text(encoding="utf-8")
OPTIONS = sorted(mozcodec.EncodeOptions.__annotations__)
# options that become several fields of the struct, or none
FIELDS = {
    "subsampling": "num_sampling", "scan_script": "num_scans", "quant_tables": "num_quant_tables",
    "quant_slots": "num_quant_slots", "lossless": "lossless_predictor", "density": "density_unit",
}  # fmt: skip
NOT_IN_THE_STRUCT = {"precision", *_options.PERCEPTUAL}
# cjpeg has no switch for these
PYTHON_ONLY = {
    "density", "engine", "transfer", "trellis_eob_opt", "trellis_q_opt", "use_scans_in_trellis", "trellis_freq_split",
    "trellis_num_loops", "use_lambda_weight_tbl",
}  # fmt: skip
# written or kept apart from the coding, or given to its verb by name
NOT_DRAWN = {"density", "max_memory", "distance"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_encoder_option_has_all_that_its_users_need(name: str) -> None:
    fields = {field for field, _ in ffi.typeof("mzc_encode_options").fields}
    if name not in NOT_IN_THE_STRUCT:
        assert name in _options._SETTERS, "no setter in _options.py"
        assert FIELDS.get(name, name) in fields, "no field in csrc/mozcodec.h"
    assert re.search(rf"\b{name}\b", GUIDE), "not in docs/mozcodec/encode.md"
    assert (f'"{name}"' in FUZZ) is (name not in NOT_DRAWN), "draw it in fuzz/options.py, or list it in NOT_DRAWN here"
    assert (f'"{name}"' in SWITCHES) is (name not in PYTHON_ONLY), (
        "give it a switch in src/mozcodec/_switches.py, or list it in PYTHON_ONLY here"
    )


def test_every_setter_is_of_a_documented_option() -> None:
    assert set(_options._SETTERS) < set(OPTIONS)
    assert set(_options.CODING) < set(OPTIONS)


def test_the_switches_that_errors_name_exist() -> None:
    (verbs,) = (action.choices for action in _parser()._actions if hasattr(action, "choices") and action.choices)
    offered = {
        word.lstrip("-") for verb in verbs.values() for action in verb._actions for word in action.option_strings
    }
    texts = (*_switches._SWITCHES.values(), *_switches._ALIKE)
    named = {word.strip(" -") for text in texts for word in text.split(" or ")}
    assert named <= offered
