"""`detector train` in subprocesses, killed or terminated, compared with an uninterrupted run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

PARAMS = """
seed: 5
train: {{steps: {steps}, batch_size: 16, eval_every: 20, log_every: 5, threads: 1, amp: {amp},
  checkpoint: {{every_steps: {every}}}}}
"""
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "OMP_WAIT_POLICY")}


class Training:
    """`detector train` in *folder*, always with the same parameters and crops, and with random histories."""

    def __init__(self, folder, crops, steps=60, every=1, amp="off", command=("-m", "detector.cli")):
        self.folder, self.command = folder, command
        self.crops, self.faces = crops["compressed"], crops["faces"]
        folder.mkdir()
        (folder / "params.yaml").write_text(PARAMS.format(steps=steps, every=every, amp=amp))

    def start(self, *options):
        """Start it as the leader of a process group."""
        return subprocess.Popen(
            [sys.executable, *self.command, "train", self.crops, "out/train", "--faces", self.faces, *options],
            cwd=self.folder,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, *options):
        """Run it to its end and return what it said."""
        process = self.start(*options)
        _, said = process.communicate(timeout=1500)
        assert process.returncode == 0, said
        return said

    def kill_at(self, step, *options):
        """Kill its process group with SIGKILL once the checkpoint of *step* is there; False if it was done before."""
        process = self.start(*options)
        self.wait_for(process, step)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def wait_for(self, process, step):
        end = time.monotonic() + 1500
        while process.poll() is None and self.saved < step:
            assert time.monotonic() < end, f"no checkpoint of step {step}"
            time.sleep(0.002)

    @property
    def checkpoints(self):
        return sorted((self.folder / "out" / "checkpoints").glob("*/step-*.pt"))

    @property
    def saved(self):
        return max((int(path.stem[5:]) for path in self.checkpoints), default=0)

    @property
    def outputs(self):
        files = [self.folder / "out/train/weights.safetensors", self.folder / "out/train/log.jsonl"]
        files.append(self.folder / "out/plots/history.csv")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    @property
    def leftovers(self):
        folder = self.folder / "out" / "checkpoints"
        return sorted(str(path) for path in folder.rglob("*")) if folder.exists() else []


def rest(process):
    """Return what *process* says until its end, after lines that were read already, and its exit status."""
    with process.stderr:
        said = process.stderr.read()
    return said, process.wait()


@pytest.fixture(scope="module")
def crops(packed_crops):
    return packed_crops


@pytest.fixture(scope="module")
def whole(crops, tmp_path_factory):
    """The outputs of an uninterrupted run, with few checkpoints and two loading threads."""
    training = Training(tmp_path_factory.mktemp("whole") / "run", crops, every=500)
    training.finish("--loader-threads", "2")
    assert training.leftovers == []
    log = [json.loads(line) for line in (training.folder / "out/logs/train.jsonl").read_text().splitlines()]
    assert log[0]["omp_wait_policy"] == "PASSIVE"  # set before torch was loaded, since the user had not
    assert log[0]["loader_threads"] == 2
    card = json.loads((training.folder / "out/train/model.json").read_text())
    if os.uname().machine == "x86_64":
        assert card["arithmetic"] == {"kernels": "AVX2", "threads": 1, "pinned": True}
    return training.outputs


def test_a_killed_run_repeats_every_weight(crops, whole, tmp_path):
    # a checkpoint after every step, so that kills fall into saving as well
    training = Training(tmp_path / "run", crops)
    assert training.kill_at(9)
    assert training.kill_at(31, "--loader-threads", "3")
    said = training.finish()
    assert "resuming from step " in said
    assert training.outputs == whole
    assert training.leftovers == []


def test_a_stopped_run_exits_with_75_and_goes_on_at_the_next_step(crops, whole, tmp_path):
    training = Training(tmp_path / "run", crops, every=500)
    process = training.start()
    said = process.stderr.readline() + process.stderr.readline()  # what it is, and the line of step 5
    process.send_signal(signal.SIGTERM)
    more, status = rest(process)
    assert status == 75
    said += more
    stopped_at = training.saved
    assert f"stopped by SIGTERM; saved at step {stopped_at}: run the same command again" in said
    assert 5 <= stopped_at < 60
    assert f"resuming from step {stopped_at} of 60" in training.finish()
    assert training.outputs == whole


@pytest.mark.slow(minutes=0.2)
def test_a_run_beside_an_orphan_waits_and_takes_its_result(crops, whole, tmp_path):
    # dvc was killed, its child was not: the child goes on without a parent, and the rerun meets it
    training = Training(tmp_path / "run", crops)
    orphan = training.start()
    for _ in range(2):
        orphan.stderr.readline()
    orphan.send_signal(signal.SIGSTOP)  # or it would be done before the rerun has loaded torch
    unwanted = training.start()
    unwanted.stderr.readline()
    unwanted.send_signal(signal.SIGTERM)  # a run that waits can be stopped as well
    more, status = rest(unwanted)
    assert status == 75
    assert "stopped by SIGTERM while waiting for " in more
    rerun = training.start()
    said = rerun.stderr.readline()
    orphan.send_signal(signal.SIGCONT)
    assert rest(orphan)[1] == 0
    more, status = rest(rerun)
    said += more
    assert status == 0, said
    assert f"process {orphan.pid} is training with the same parameters and data; waiting until it is done" in said
    assert f"kill {orphan.pid}" in said
    assert "it is done: " in said
    assert training.outputs == whole
    assert training.leftovers == []


@pytest.mark.slow(minutes=0.3)
def test_a_run_beside_an_orphan_that_is_ended_goes_on_from_its_checkpoint(crops, whole, tmp_path):
    training = Training(tmp_path / "run", crops)
    orphan = training.start()
    for _ in range(2):
        orphan.stderr.readline()
    orphan.send_signal(signal.SIGSTOP)
    rerun = training.start()
    said = rerun.stderr.readline()
    assert f"process {orphan.pid}" in said
    orphan.terminate()  # as the message says
    orphan.send_signal(signal.SIGCONT)
    assert rest(orphan)[1] == 75
    more, status = rest(rerun)
    said += more
    assert status == 0, said
    assert "resuming from step " in said
    assert training.outputs == whole


@pytest.mark.parametrize(
    "amp",
    [
        pytest.param("off", marks=pytest.mark.slow(minutes=1)),
        *(pytest.param(amp, marks=pytest.mark.trial(minutes=2)) for amp in ("bf16", "fp16")),
    ],
)
def test_kills_at_random_moments_change_nothing(crops, tmp_path, amp):
    alone = Training(tmp_path / "alone", crops, amp=amp)
    alone.finish()
    rng = random.Random(amp)
    training = Training(tmp_path / "run", crops, amp=amp)
    kills = 0
    while kills < 8:
        if not training.kill_at(training.saved + rng.randint(1, 8), "--loader-threads", str(rng.choice([1, 2, 4]))):
            break
        kills += 1
    assert kills >= 5
    training.finish()
    assert training.outputs == alone.outputs
    assert training.leftovers == []


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")


@pytest.mark.slow(minutes=2)
def test_torchrun_that_is_asked_to_stop_saves_once_and_goes_on_at_the_next_step(crops, tmp_path):
    command = (*TORCHRUN, "-m", "detector.cli")
    alone = Training(tmp_path / "alone", crops, steps=120, every=500, command=command)
    alone.finish()
    training = Training(tmp_path / "run", crops, steps=120, every=500, command=command)
    process = training.start()
    while "step 10/120" not in (line := process.stderr.readline()):
        assert line, "it ended before step 10"
    process.terminate()  # the agent, which passes it on to its workers
    said, status = rest(process)
    assert status != 0
    assert f"stopped by SIGTERM; saved at step {training.saved}" in said
    assert f"resuming from step {training.saved} of 120" in training.finish()
    assert training.outputs == alone.outputs


@pytest.mark.trial(minutes=1.5)
def test_a_worker_of_torchrun_that_is_killed_is_started_again_and_goes_on(crops, tmp_path):
    alone = Training(tmp_path / "alone", crops, steps=200, every=500, command=(*TORCHRUN, "-m", "detector.cli"))
    assert "going on" not in alone.finish()
    training = Training(tmp_path / "run", crops, steps=200, command=(*TORCHRUN, "-m", "detector.cli"))
    process = training.start()
    training.wait_for(process, 12)
    (lock,) = (training.folder / "out" / "checkpoints").glob("*/lock")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    said = process.communicate(timeout=1500)[1]
    assert process.returncode == 0, said
    assert "resuming from step " in said
    assert training.outputs == alone.outputs
    assert training.leftovers == []
