"""Slurm's own daemons, a controller and two nodes on this machine: jobs of tasks, and docs/slurm/train.sh."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from detector.data.work import Executor, read, run
from detector.pipeline import stage

from .test_cluster import end_process, here, tasks, wait_until  # noqa: F401  (here is a fixture)

SCRIPT = Path(__file__).resolve().parents[2] / "docs/slurm/train.sh"
CONTROLLER, *NODES = "n0", "n1", "n2"
CONFIGURATION = """ClusterName=test
SlurmctldHost=n0(127.0.0.1)
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmdTimeout=10
ReturnToService=2
KillWait=10
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=n1 NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=n2 NodeAddr=127.0.0.2 Port={ports[2]} CPUs=2 RealMemory=2000
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
HOSTS = "127.0.0.1 localhost n0 n1\n127.0.0.2 n2\n"

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        os.geteuid() != 0 or None in map(shutil.which, ("slurmctld", "slurmd", "sbatch", "unshare")),
        reason="needs root and the packages slurmctld, slurmd and slurm-client",
    ),
]


@dataclass
class Slurm:
    """The daemons of Slurm, with their files in *folder*. Each has a host name and a table of hosts of its own."""

    folder: Path

    def __post_init__(self) -> None:
        self.log = (self.folder / "log").open("wb")
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        daemon = "slurmctld -D" if name == CONTROLLER else f"slurmd -D -N {name}"
        inside = f"mount --bind {self.folder}/hosts /etc/hosts && hostname {name} && exec {daemon}"
        self.daemons[name] = subprocess.Popen(
            ["unshare", "--mount", "--uts", "sh", "-c", inside], stdout=self.log, stderr=self.log, cwd=self.folder
        )

    def lose(self, name: str) -> None:
        """Kill the daemon of a node and everything that runs on the node."""
        daemon = self.daemons.pop(name)
        host = Path(f"/proc/{daemon.pid}/ns/uts").readlink()
        daemon.kill()  # first: it starts nothing more
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "ns/uts").readlink() == host
            except OSError:  # it has ended
                continue
            if inside:
                end_process(int(process.name), signal.SIGKILL)
        daemon.wait()

    def end(self) -> None:
        for name in (*NODES, CONTROLLER):
            if name in self.daemons:
                self.lose(name)
        self.log.close()

    def states(self) -> list[str]:
        return says("sinfo", "-h", "-N", "-o", "%T").split()


def says(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """A controller and two idle nodes."""
    probe = subprocess.run(["unshare", "--mount", "--uts", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this environment does not allow namespaces")
    folder = tmp_path / "slurm"
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    (folder / "slurm.conf").write_text(CONFIGURATION.format(ports=ports, folder=folder))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    (folder / "hosts").write_text(HOSTS)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    found = Slurm(folder)
    try:
        for name in (CONTROLLER, *NODES):
            found.start(name)
        wait_until(lambda: found.states() == ["idle"] * 2, "the nodes are idle")
        yield found
    finally:
        found.end()


@pytest.mark.trial(minutes=2)
@pytest.mark.usefixtures("slurm")
def test_slurms_own_scheduler_runs_the_jobs(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="pip install 'detector[cluster]'")
    (tmp_path / "slurm.yaml").write_text(
        "jobs: 2\nmemory: 500MB\nwalltime: '0:10:00'\nqueue: short\ninterface: lo\n"
        'prologue: ["touch job-$SLURM_JOB_ID"]\n'
    )
    some = tasks("wait", range(6), tmp_path)
    seen: list[str] = []

    def go() -> None:
        # two tasks at once: one in each job
        wait_until(lambda: len(list(tmp_path.glob("[1-9].*.started"))) > 1, "two tasks have started")
        seen.extend(says("squeue", "-h", "-o", "%T %P").splitlines())
        (tmp_path / "go").touch()

    thread = threading.Thread(target=go)
    thread.start()
    files = run(some, tmp_path / "work", "test", Executor("slurm"))
    thread.join()
    assert [read(file) for file in files] == [str(n * n).encode() for n in range(6)]
    assert seen == ["RUNNING short"] * 2 and len(list(tmp_path.glob("job-*"))) == 2
    wait_until(lambda: not says("squeue", "-h", "-t", "PENDING,RUNNING"), "the jobs have ended")


@pytest.fixture(scope="module")
def alone(packed_crops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of what the train stage writes in one process."""
    folder = tmp_path_factory.mktemp("alone") / "project"
    make_project(folder, packed_crops)
    subprocess.run(["dvc", "repro", "--quiet", "train"], cwd=folder, env=environment(), check=True)
    return hashes(folder)


def make_project(folder: Path, crops: dict[str, Path]) -> None:
    """Make a DVC project of the train stage: its row of the pipeline, the crops, and a training in two parts."""
    row = stage("train")
    for name in row.reads:
        (folder / name).mkdir(parents=True)
    for name in row.after:
        (folder / name).touch()
    for name, source in crops.items():
        shutil.copytree(source, folder / "out" / name, dirs_exist_ok=True)
    (folder / "params.yaml").write_text(
        "seed: 5\ntrain: {steps: 150, batch_size: 16, parts: 2, eval_every: 50, threads: 1, amp: off,\n"
        "  conditions: [raw], checkpoint: {every_steps: 1}}\n"
    )
    described = {"cmd": row.command, "deps": list(row.reads), "outs": list(row.outputs)}
    with (folder / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": {"train": described}}, file)
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, env=environment(), check=True)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "DETECTOR_"))}
    bin_folder = Path(sys.executable).parent
    return {**kept, "PATH": f"{bin_folder}:{kept['PATH']}", "VENV": str(bin_folder.parent), "DVC_NO_ANALYTICS": "1"}


def hashes(folder: Path) -> dict[str, str]:
    found = {}
    for output in stage("train").outputs:
        path = folder / output
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    assert {Path(name).name for name in found} >= {"weights.safetensors", "model.json", "log.jsonl", "history.csv"}
    return found


class Batch:
    """Jobs of docs/slurm/train.sh in the project *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.job = folder, ""

    def submit(self) -> None:
        self.job = subprocess.check_output(
            ["sbatch", "--parsable", SCRIPT], cwd=self.folder, env=environment(), text=True
        ).strip()

    def wait_for(self, step: int) -> None:
        """Wait for the checkpoint of *step*, or a later one."""
        checkpoints = self.folder / "out/checkpoints"
        wait_until(
            lambda: any(int(file.stem[5:]) >= step for file in checkpoints.glob("*/step-*.pt")), f"step {step} is saved"
        )

    def wait(self, state: str) -> str:
        """Wait until the job is in *state* and return what it said."""
        wait_until(lambda: f"JobState={state} " in says("scontrol", "show", "job", self.job), f"the job is {state}")
        return (self.folder / f"slurm-{self.job}.out").read_text()

    def starts(self) -> list[tuple[int, int]]:
        """Return processes and first step of each start of the training."""
        log = (self.folder / "out/logs/train.jsonl").read_text().splitlines()
        return [(row["processes"], row["step"]) for row in map(json.loads, log) if "processes" in row]


@pytest.fixture
def batch(packed_crops: dict[str, Path], tmp_path: Path) -> Batch:
    make_project(tmp_path / "project", packed_crops)
    return Batch(tmp_path / "project")


@pytest.mark.trial(minutes=4)
@pytest.mark.usefixtures("slurm")
def test_a_batch_job_on_two_nodes_that_is_cancelled_and_submitted_again_trains_to_the_bytes_of_one_process(
    batch: Batch, alone: dict[str, str]
) -> None:
    batch.submit()
    batch.wait_for(12)
    subprocess.run(["scancel", batch.job], check=True)
    batch.wait("CANCELLED")
    assert not (batch.folder / "out/train/model.json").exists()
    wait_until(lambda: not says("squeue", "-h"), "the nodes are free")
    batch.submit()
    said = batch.wait("COMPLETED")
    assert "resuming from step " in said
    (first, again) = batch.starts()
    assert first == (2, 0) and again[0] == 2 and 12 <= again[1] < 150
    assert hashes(batch.folder) == alone
    status = subprocess.check_output(["dvc", "status"], cwd=batch.folder, env=environment(), text=True)
    assert "up to date" in status


@pytest.mark.trial(minutes=4)
@pytest.mark.parametrize("node", NODES)
def test_slurm_resumes_a_job_that_lost_a_node(slurm: Slurm, batch: Batch, alone: dict[str, str], node: str) -> None:
    # the first node runs the script and dvc, and torchrun's agents meet there
    batch.submit()
    batch.wait_for(12)
    slurm.lose(node)
    batch.wait("PENDING")  # after SlurmdTimeout
    slurm.start(node)
    said = batch.wait("COMPLETED")
    assert "resuming from step " in said
    (first, again) = batch.starts()
    assert first == (2, 0) and again[0] == 2 and 12 <= again[1] < 150
    assert hashes(batch.folder) == alone
