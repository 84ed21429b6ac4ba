"""`detector train` on two nodes, which are this machine and a network namespace: the bytes of one process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from .networks import needs_network, second_network
from .test_cluster import children, end_process
from .test_resume import ENVIRONMENT, Training

PARAMS = """
seed: 5
train: {{steps: 120, batch_size: 16, parts: {parts}, eval_every: 20, log_every: 5, threads: 1, amp: off,
  checkpoint: {{every_steps: {every}}}}}
"""


class Nodes(Training):
    """A training in *folder*, on which nodes join at the address *host*."""

    def __init__(self, folder, crops, parts, every=500, host=None, number="2"):
        super().__init__(folder, crops)
        self.host, self.number, self.agents = host, number, []
        (folder / "params.yaml").write_text(PARAMS.format(parts=parts, every=every))

    def join(self, namespace=None):
        """Start the agent of a node, in the network *namespace*, with torchrun's options for machines in a network."""
        first, _, last = self.host.rpartition(".")
        address = f"{first}.{int(last) + 1}" if namespace else self.host
        # a lost node is noticed after 5 seconds instead of 15, and others are not waited for once enough have joined
        rendezvous = "keep_alive_interval=1,keep_alive_max_attempt=5,last_call_timeout=1,"
        rendezvous += f"is_host={0 if namespace else 1}"
        launcher = (
            f"{sys.executable} -m torch.distributed.run --nnodes {self.number} --nproc-per-node 1 --max-restarts 9 "
            f"--rdzv-backend c10d --rdzv-endpoint {self.host}:29400 --rdzv-id test --rdzv-conf {rendezvous} "
            f"--local-addr {address}"
        )
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        command = [*inside, sys.executable, "-m", "detector.cli", "train", self.crops, "out/train"]
        interface = f"dt{os.getpid()}{'b' if namespace else 'a'}"
        agent = subprocess.Popen(
            [*command, "--faces", self.faces],
            cwd=self.folder,
            env={**ENVIRONMENT, "DETECTOR_LAUNCHER": launcher, "GLOO_SOCKET_IFNAME": interface},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.agents.append(agent)
        return agent

    def wait(self):
        """Wait for the end of all agents and return what they said."""
        said = [agent.communicate(timeout=1500)[1] for agent in self.agents]
        assert [agent.returncode for agent in self.agents] == [0] * len(said), "\n".join(said)
        self.agents.clear()
        return "".join(said)

    def lose(self, agent):
        """Kill a node: the agent and its processes."""
        agent.send_signal(signal.SIGSTOP)  # or it would start a killed process again
        for child in children(agent.pid):
            end_process(child)
        agent.kill()
        self.agents.remove(agent)
        agent.communicate()

    def end(self):
        for agent in list(self.agents):
            self.lose(agent)


@pytest.fixture(scope="module")
def alone(packed_crops, tmp_path_factory):
    """The outputs of one process, by the number of parts of a batch."""
    found = {}
    for parts in (1, 2):
        training = Training(tmp_path_factory.mktemp("alone") / "run", packed_crops)
        (training.folder / "params.yaml").write_text(PARAMS.format(parts=parts, every=500))
        training.finish()
        found[parts] = training.outputs
    return found


@contextlib.contextmanager
def nodes(folder, crops, parts, **options):
    """Yield `Nodes` that have no member yet and the network namespace for one of them."""
    with second_network() as (host, namespace, _):
        training = Nodes(folder, crops, parts, host=host, **options)
        try:
            yield training, namespace
        finally:
            training.end()


@pytest.mark.slow(minutes=0.5)
@needs_network
@pytest.mark.parametrize("parts", [1, 2])
def test_two_nodes_give_the_bytes_of_one_process(packed_crops, tmp_path, alone, parts):
    with nodes(tmp_path / "two", packed_crops, parts) as (two, namespace):
        two.join()
        two.join(namespace)
        said = two.wait()
    assert ("each computes whole steps" in said) == (parts == 1)
    log = [json.loads(line) for line in (two.folder / "out/logs/train.jsonl").read_text().splitlines()]
    assert log[0]["processes"] == 2
    assert two.outputs == alone[parts]
    assert two.leftovers == []


@pytest.mark.slow(minutes=1)
@needs_network
@pytest.mark.parametrize("number", ["2", "1:2"])
def test_a_node_is_lost_and_the_others_go_on_from_the_checkpoint(packed_crops, tmp_path, alone, number):
    # with 2 they wait until it has joined again, with 1:2 they go on without it
    with nodes(tmp_path / "two", packed_crops, 2, every=1, number=number) as (two, namespace):
        first = two.join()
        lost = two.join(namespace)
        two.wait_for(first, 12)
        two.lose(lost)
        if number == "2":
            time.sleep(1)  # the node starts again; nothing depends on how long it takes
            two.join(namespace)
        said = two.wait()
    assert "resuming from step " in said
    log = [json.loads(line) for line in (two.folder / "out/logs/train.jsonl").read_text().splitlines()]
    starts = [(row["processes"], row["step"]) for row in log if "processes" in row]
    assert [processes for processes, _ in starts] == [2, 2 if number == "2" else 1]
    assert 12 <= starts[1][1] < 120
    assert two.outputs == alone[2]
    assert two.leftovers == []


@pytest.mark.slow(minutes=0.3)
@pytest.mark.slow(minutes=1.5)
@needs_network
def test_the_node_at_which_they_meet_is_lost_and_all_start_again_from_the_checkpoint(packed_crops, tmp_path, alone):
    with nodes(tmp_path / "two", packed_crops, 2, every=1, number="1:2") as (two, namespace):
        first = two.join()
        other = two.join(namespace)
        two.wait_for(first, 12)
        two.lose(first)
        # its agent cannot go on without the place where they meet, and says so
        said = other.communicate(timeout=600)[1]
        assert other.returncode != 0, said
        two.agents.remove(other)
        assert not (two.folder / "out/train/weights.safetensors").exists()
        two.join()
        two.join(namespace)
        said = two.wait()
    assert "resuming from step " in said
    assert two.outputs == alone[2]
    assert two.leftovers == []


def test_a_launcher_starts_the_processes_of_a_stage(packed_crops, tmp_path):
    training = Training(tmp_path / "run", packed_crops, steps=20)
    launcher = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
    said = training.finish("--launcher", launcher)
    assert "each computes whole steps" in said
    with pytest.raises(AssertionError, match=r"--launcher 'torchran -n 2' cannot be started: 'torchran': No such file"):
        training.finish("--launcher", "torchran -n 2")
