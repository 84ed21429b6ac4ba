"""The pinned arithmetic of torch: its variables, and equal bytes on emulated processors of two vendors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detector.arithmetic import PINNED, Arithmetic, pin
from detector.config import TrainConfig
from detector.models import MODELS

SCRIPT = Path(__file__).with_name("pinned.py")
# the models of the README's table, the multi-attentional detector with its backbone EfficientNet-B4
TRAINED = ("meso4", "mesoinception4", "tf_efficientnet_lite0", "efficientnet_b4", "multi_attention")
# MKL takes other branches for GenuineIntel and AuthenticAMD
PROCESSORS = ("Haswell", "EPYC-Rome")
ASK = """
import dataclasses, json, sys
from detector.arithmetic import arithmetic, pin, set_threads
from detector.config import TrainConfig
config = TrainConfig(**json.loads(sys.argv[1]))
pin(config)
set_threads(config)
print(json.dumps(dataclasses.asdict(arithmetic(config))))
"""
X86 = os.uname().machine == "x86_64"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PINNED}


def asked(**config: object) -> Arithmetic:
    command = [sys.executable, "-c", ASK, json.dumps(config)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return Arithmetic(**json.loads(done.stdout))


def test_kernels_and_threads_are_pinned_unless_reproducible_is_false() -> None:
    if X86:
        assert asked() == Arithmetic("AVX2", 2, True)
        assert asked(threads=3) == Arithmetic("AVX2", 3, True)
    free = asked(reproducible=False)
    assert (free.threads, free.pinned) == (len(os.sched_getaffinity(0)), False)


def test_nothing_is_claimed_when_torch_was_loaded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: F401

    for name in PINNED:
        monkeypatch.delenv(name, raising=False)
    pin(TrainConfig())
    assert not PINNED.keys() & os.environ.keys()


def hashes(packed: dict[str, Path], out: Path, model: str, *before: str) -> dict[str, object]:
    command = [*before, sys.executable, str(SCRIPT), str(packed["faces"]), str(packed["compressed"]), str(out), model]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_family_of_models_is_trained_under_emulation() -> None:
    families = {(row.builder.__module__, tuple(row.sections)) for row in MODELS.values()}
    assert families == {(MODELS[name].builder.__module__, tuple(MODELS[name].sections)) for name in TRAINED}


@pytest.mark.trial(minutes=10)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("model", TRAINED)
@pytest.mark.skipif(not X86 or shutil.which("qemu-x86_64") is None, reason="needs qemu-user on x86-64")
def test_weights_and_scores_are_the_same_bytes_on_an_intel_and_an_amd_processor(
    packed_crops: dict[str, Path], tmp_path: Path, model: str
) -> None:
    native = hashes(packed_crops, tmp_path / "native", model)
    assert native["arithmetic"] == {"kernels": "AVX2", "threads": 2, "pinned": True}
    for processor in PROCESSORS:
        emulated = hashes(packed_crops, tmp_path / processor, model, "qemu-x86_64", "-cpu", processor)
        assert emulated == native, processor
