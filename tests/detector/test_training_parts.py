"""Schedule, precision, moving average, generators, signals and processes."""

from __future__ import annotations

import copy
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from detector.errors import ConfigError
from detector.models import build
from detector.precision import Precision
from detector.training.distributed import Processes
from detector.training.engine import Ema, Objective, check_finite, reseed
from detector.training.schedule import ema_decay, one_cycle
from detector.training.signals import EXIT_CODE, StopSignals

CPU = torch.device("cpu")


def test_one_cycle_rises_linearly_and_falls_as_a_cosine():
    # worked by hand for 1000 steps, peak 1: lr/10 at 0, the peak after a quarter, halfway down 375 steps later
    values = [one_cycle(step, 1000, 1.0, 0.25) for step in (0, 125, 250, 625, 1000)]
    assert values == pytest.approx([0.1, 0.55, 1.0, (1 + 1 / 500) / 2, 1 / 500])
    assert one_cycle(700, 1000, 2e-3, 0.25) == pytest.approx(2e-3 * one_cycle(700, 1000, 1.0, 0.25))


@pytest.mark.parametrize("ratio", [0.0, 0.1, 1.0])
def test_one_cycle_stays_between_its_ends_for_any_warm_up(ratio):
    values = [one_cycle(step, 7, 1.0, ratio) for step in range(7)]
    assert all(1 / 500 <= value <= 1 for value in values)
    assert all(type(value) is float for value in values)


def test_the_average_forgets_its_beginning_faster():
    assert [ema_decay(step, 0.98) for step in (0, 9, 1000)] == [1 / 10, 10 / 19, 0.98]


def test_the_average_is_the_recursion_over_weights_and_bn_buffers():
    model = build("meso4", dropout=0.0)
    ema = Ema(model, 0.9)
    expected = copy.deepcopy(model.state_dict())
    for step in range(3):
        model(torch.rand(4, 3, 32, 32)).sum().backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.01 * p.grad
        d = min(0.9, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * value if value.is_floating_point() else value.clone()
        ema.update(step)
    state = ema.model.state_dict()
    for name in expected:
        torch.testing.assert_close(state[name], expected[name])
    assert state["stages.0.1.num_batches_tracked"] == 3
    assert not ema.model.training


def test_the_objective_is_smoothed_cross_entropy_or_the_models_own():
    class Constant(torch.nn.Module):
        def forward(self, images):
            return images.flatten(1).sum(1)

    class Own(Constant):
        def objective(self, images, labels, label_smoothing, step):
            return self(images).sum() * labels.sum() * 0 + step + label_smoothing

    # logits ln 3 and 0: P = 3/4 and 1/2; targets .95 and .05
    images = torch.tensor([math.log(3), 0.0]).reshape(2, 1, 1, 1)
    loss = Objective(Constant(), 0.1)(images, torch.tensor([1.0, 0.0]), step=0)
    by_hand = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4) + math.log(1 / 2)) / 2
    assert loss.item() == pytest.approx(by_hand)
    assert Objective(Own(), 0.5)(images, torch.ones(2), step=7).item() == 7.5


def test_dropout_is_a_function_of_seed_step_and_rank():
    def draw(*parts):
        reseed(CPU, *parts)
        return torch.rand(4).tolist()

    assert draw(1, 2, 0) == draw(1, 2, 0)
    assert len({tuple(draw(*parts)) for parts in [(1, 2, 0), (1, 3, 0), (2, 2, 0), (1, 2, 1)]}) == 4


def test_the_check_finds_non_finite_losses():
    assert check_finite(torch.tensor(1.0))
    assert not check_finite(torch.tensor(float("nan")))
    assert not check_finite(torch.tensor(float("inf")))


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_autocast_computes_in_the_type_asked_for(amp, dtype):
    with Precision(amp, CPU).autocast():
        assert torch.nn.functional.linear(torch.rand(2, 3), torch.rand(4, 3)).dtype == dtype


def test_auto_precision_is_off_on_a_cpu_and_unknown_ones_are_named():
    assert Precision("auto", CPU).amp == "off"
    with pytest.raises(ConfigError, match=r"train\.amp.*got 'fp8'"):
        Precision("fp8", CPU)


@pytest.mark.parametrize("amp", ["off", "fp16"])
def test_gradients_are_clipped_after_the_scale_is_taken_off(amp):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision = Precision(amp, CPU)
    precision.backward((weight * torch.tensor([3.0, 4.0])).sum())
    norm = precision.clip(optimizer, [weight], max_norm=1.0)
    precision.step(optimizer)
    assert norm.item() == pytest.approx(5.0)
    assert weight.tolist() == pytest.approx([-0.6, -0.8], rel=1e-5)


def test_an_overflow_in_fp16_leaves_the_step_out_and_halves_the_scale():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision = Precision("fp16", CPU)
    scale = precision.scaler.get_scale()
    precision.backward((weight * float("inf")).sum())
    precision.clip(optimizer, [weight], max_norm=1.0)
    precision.step(optimizer)
    assert weight.item() == 1.0
    assert precision.scaler.get_scale() == scale / 2


@pytest.fixture
def interruptible():
    """Ctrl-C as in a terminal: a suite started in the background of a shell is told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.alone
@pytest.mark.usefixtures("interruptible")
def test_the_first_signal_is_noted_and_the_second_has_its_effect():
    terminate = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        assert signals.received is None
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is terminate


LONG_STEP = """
import hashlib, sys, threading, time
from detector.training.signals import EXIT_CODE, StopSignals
def watch():  # the processor time says that the main thread has entered the function, which a clock would not
    start = time.process_time()
    while time.process_time() < start + 0.1:
        time.sleep(0.01)
    print("in C", flush=True)
with StopSignals(grace=float(sys.argv[1])):
    threading.Thread(target=watch, daemon=True).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # many minutes, in which no Python code of this thread runs
"""


def pending(pid: int) -> bool:
    """Return whether a signal was sent to the process *pid* that it has not received yet."""
    text = Path(f"/proc/{pid}/status").read_text()
    return any(int(mask, 16) for mask in re.findall(r"^(?:Sig|Shd)Pnd:\s*(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("number", "grace", "times", "status"),
    [(signal.SIGTERM, 0.2, 1, EXIT_CODE), (signal.SIGINT, 0.2, 1, EXIT_CODE), (signal.SIGTERM, 60, 2, 128 + 15)],
)
def test_a_signal_ends_a_step_that_does_not_end(number, grace, times, status):
    command = [sys.executable, "-c", LONG_STEP, str(grace)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in C\n"
    for _ in range(times):
        process.send_signal(number)
        while process.poll() is None and pending(process.pid):  # two that are pending at once would be one
            time.sleep(0.01)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == status
    assert ("resume from the last checkpoint" in said) == (status == EXIT_CODE)


def test_one_process_alone_needs_no_group():
    with Processes() as processes:
        assert (processes.rank, processes.world_size, processes.main) == (0, 1, True)
        assert processes.any(True)
        assert not processes.any(False)
        assert processes.broadcast("value") == "value"
        assert processes.rows([torch.ones(3)])[0].tolist() == [1, 1, 1]
        assert processes.own(3, 2).tolist() == [True] * 3
        assert processes.interleave(np.arange(3), 3).tolist() == [0, 1, 2]
