"""Tasks on Dask clusters of real processes: workers and schedulers are killed and paused; the bytes stay the same."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from detector.data import cluster, slurm, work, worker
from detector.data.work import Executor, Task, as_one, is_whole, read, result_file, run
from detector.errors import DataError, DetectorError
from detector.remote import placed

from .networks import needs_network, second_network
from .test_remote import bucket, server

__all__ = ["bucket", "server"]  # fixtures

pytestmark = pytest.mark.alone
distributed = pytest.importorskip("distributed", reason="pip install 'detector[cluster]'")
WAIT = 120  # seconds until a state that is waited for must be there

TASKS = """
import os, signal, time
from pathlib import Path

def square(number):
    return str(number * number).encode()

def die(argument):
    number, folder = argument
    with (Path(folder) / f"{number}.ran").open("a") as file:
        file.write(".")
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)

def fail(number):
    raise LookupError(f"task {number}")

def wait(argument):
    number, folder = argument
    (Path(folder) / f"{number}.{os.getpid()}.started").touch()
    while not (Path(folder) / "go").exists() and number:
        time.sleep(0.05)
    return square(number)

def large(number):
    return bytes(100_000) + square(number)

def slow(argument):
    number, folder = argument
    with (Path(folder) / f"{number}.ran").open("a") as file:
        file.write(".")
    time.sleep(0.02)
    return square(number)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cluster_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.delitem(sys.modules, "cluster_tasks", raising=False)
    monkeypatch.chdir(tmp_path)
    from evaluation.threads import KERNELS, pin_numpy

    # as the command does; undone after the test
    for name in KERNELS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    pin_numpy()
    cluster.software.cache_clear()


def tasks(function: str, numbers: range, folder: Path | None = None) -> list[Task]:
    import cluster_tasks  # type: ignore[import-not-found]

    do = getattr(cluster_tasks, function)
    return [Task(f"key{n}", f"task {n}", do, (n, str(folder)) if folder else n) for n in numbers]


def wait_until(state: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT
    while not (found := state()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)
    return found


class Cluster:
    """A scheduler and workers, each a process of its own. `scheduler` and `workers` are the processes, `address` is
    the scheduler's."""

    def __init__(
        self, folder: Path, protocol: str = "tcp", environment: dict[str, str] | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.folder, self.protocol = folder, protocol
        self.environment = {**os.environ, "TMPDIR": str(folder), **(environment or {})}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "dask.log").open("ab")
        file = folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start(
            *("-m", "distributed.cli.dask_scheduler", "--protocol", protocol, "--host", host, "--port", "0"),
            *("--scheduler-file", str(file), "--no-dashboard", "--no-show"),
        )
        address = wait_until(lambda: file.exists() and json.loads(file.read_text() or "{}").get("address"), "it runs")
        self.address = address.replace("tcp://", "dask://")

    def _start(self, *arguments: str, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        command = [*inside, sys.executable, *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=self.log, stderr=self.log)

    def start(self, number: int, namespace: str | None = None) -> None:
        """Start *number* workers, in the network *namespace* if it is given. Each is a process whose parent restarts it
        when it has died."""
        for _ in range(number):
            command = ("-m", "detector.cli", "worker", self.address, "--workers", "1", "--memory", "0")
            inside = ["ip", "netns", "exec", namespace] if namespace else []
            self.workers.append(self._start(*command, inside=inside))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                for child in children(process.pid):
                    end_process(child)
                process.kill()
            process.wait()
        self.log.close()


def children(pid: int) -> list[int]:
    """Return the children of a process, started by any of its threads."""
    found: list[int] = []
    for file in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in file.read_text().split()]
    return found


def end_process(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def started(folder: Path, workers: int, **options: Any) -> Iterator[Cluster]:
    cluster = Cluster(folder, **options)
    try:
        cluster.start(workers)
        yield cluster
    finally:
        cluster.end()


@contextmanager
def killing(cluster: Cluster, work: Path, every: int, most: int) -> Iterator[list[int]]:
    """Kill a worker of *cluster*, drawn at random, for each *every* results in the folder *work*, *most* in all; yield
    the list of those killed. The number does not depend on the speed of the machine."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        draw = random.Random(0)
        while not ended.wait(0.05) and len(killed) < most:
            if len(list(work.glob("*.done"))) >= every * (len(killed) + 1):
                processes = [child for nanny in cluster.workers for child in children(nanny.pid)]
                busy = [pid for pid in processes if "multiprocessing.spawn" in command_line(pid)]
                if busy:
                    killed.append(draw.choice(busy))
                    end_process(killed[-1])

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_cluster_finishes_the_innocent_and_names_the_hopeless_after_three_tries(tmp_path: Path) -> None:
    out = tmp_path / "work"
    some = tasks("die", range(12), tmp_path)
    with started(tmp_path, 2) as two:
        with pytest.raises(DetectorError, match=r"^1 tasks .*\ntask 3: the worker process died 3 times"):
            run(some, out, "test", Executor(two.address))
        assert len((tmp_path / "3.ran").read_text()) == 3
        assert [is_whole(result_file(out, task)) for task in some] == [n != 3 for n in range(12)]
        assert sorted(path.suffix for path in out.iterdir()) == [".done"] * 11
        # the next run tries what is missing, and nothing else
        with pytest.raises(DetectorError, match="1 tasks"):
            run(some, out, "test", Executor(two.address))
        assert len((tmp_path / "3.ran").read_text()) == 6
        assert len((tmp_path / "4.ran").read_text()) < 4

        # of a group, the hopeless task is named as if it were alone
        group = as_one(tasks("die", range(1, 5), tmp_path))
        with pytest.raises(DetectorError, match=r"^1 tasks .*\ntask 3: the worker process died 3 times"):
            run([group], tmp_path / "group", "test", Executor(two.address))
        assert [read(tmp_path / "group" / f"key{n}.done") for n in (1, 2, 4)] == [b"1", b"4", b"16"]
        assert len(list((tmp_path / "group").iterdir())) == 3

        files = run(tasks("square", range(20, 29)), out, "test", Executor(two.address))
        assert [read(file) for file in files] == [str(n * n).encode() for n in range(20, 29)]
        with pytest.raises(LookupError, match=r"task 3\d"):
            run(tasks("fail", range(30, 33)), out, "test", Executor(two.address))


def test_without_its_scheduler_a_run_ends_and_the_next_one_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, some = tmp_path / "work", tasks("wait", range(3), tmp_path)
    with started(tmp_path, 1) as lost:
        wait = threading.Thread(
            target=lambda: (
                wait_until(lambda: list(tmp_path.glob("[12].*.started")), "a task waits")
                and (lost.scheduler.kill() or True)
            )
        )
        wait.start()
        with pytest.raises(DetectorError, match=r"^dask://127\.0\.0\.1:\d+: the connection to the Dask s"):
            run(some, out, "test", Executor(lost.address))
        wait.join()
    assert "Dask dashboard: http://" in capsys.readouterr().err
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.done")}
    assert kept.keys() == {out / "key0.done"}  # the first task does not wait
    (tmp_path / "go").touch()
    with started(tmp_path, 1) as again:
        files = run(some, out, "test", Executor(again.address))
    assert [read(file) for file in files] == [b"0", b"1", b"4"]
    assert files[0].stat().st_mtime_ns == kept[files[0]]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounts a small disk, which needs root")
def test_a_full_disk_is_named_and_the_next_run_resumes(tmp_path: Path) -> None:
    out = tmp_path / "work"
    out.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", out], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("this environment does not allow mounts")
    some = tasks("large", range(20))
    try:
        with started(tmp_path, 1) as one:
            with pytest.raises(OSError, match="No space left on device") as caught:
                run(some, out, "test", Executor(one.address))
            assert str(caught.value.filename).startswith(f"{out}/")
            kept = {path: path.stat().st_mtime_ns for path in out.glob("*.done")}
            assert 5 < len(kept) < 20 and all(is_whole(path) for path in kept)
            subprocess.run(["mount", "-o", "remount,size=16m", out], check=True)
            files = run(some, out, "test", Executor(one.address))
        assert [read(file) for file in files] == [bytes(100_000) + str(n * n).encode() for n in range(20)]
        assert {path: path.stat().st_mtime_ns for path in kept} == kept
    finally:
        subprocess.run(["umount", "-l", out], check=True)


def test_stages_write_the_same_bytes_on_a_cluster(
    bucket: Any, packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.conditions import parse_all
    from detector.config import CompressConfig
    from detector.data import compress
    from detector.fidelity import measure

    monkeypatch.setattr(compress, "CHUNK", 16)

    def stages(name: str, place: str, faces: Path, later: Any) -> dict[str, bytes]:
        out, conditions = tmp_path / name, parse_all(["raw", 77, "turbo:90"])
        far = {"max_damaged": 0.01, "later": later}
        compress.compress_faces(faces, out / "compressed", 60, CompressConfig(), executor=place, **far)
        measure(faces, out / "fidelity", out / "fidelity.json", conditions, 0, place, **far)
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    bucket.put(str(packed_crops["faces"]), "bucket/crops", recursive=True)
    far = placed("s3://bucket/crops", {".tar"}, 0)
    assert len(far[1]) == len(list(packed_crops["faces"].glob("*.tar"))) and not list(far[0].glob("*.tar"))
    with started(tmp_path, 2) as two:
        found = stages("cluster", two.address, packed_crops["faces"], {})
        from_address = stages("address", two.address, *far)  # which the workers read
    assert len(found) > 8 and found == from_address == stages("serial", "serial", packed_crops["faces"], {})


@pytest.mark.trial(minutes=2)
def test_a_paused_worker_goes_on_where_it_was(tmp_path: Path) -> None:
    some = tasks("wait", range(1, 5), tmp_path)
    with started(tmp_path, 2) as two:

        def pause() -> None:
            mark = wait_until(lambda: next(tmp_path.glob("*.started"), None), "a task has started")
            pid = int(mark.name.split(".")[1])
            os.kill(pid, signal.SIGSTOP)
            (tmp_path / "go").touch()
            time.sleep(60)  # the pause itself, not a wait for a state
            os.kill(pid, signal.SIGCONT)

        thread = threading.Thread(target=pause)
        thread.start()
        files = run(some, tmp_path / "work", "test", Executor(two.address))
        thread.join()
    assert [read(file) for file in files] == [b"1", b"4", b"9", b"16"]


@pytest.mark.trial(minutes=2)
@needs_network
def test_a_worker_whose_network_is_broken_off_loses_its_task_to_another_and_ends(tmp_path: Path) -> None:
    out, some = tmp_path / "work", tasks("wait", range(1, 7), tmp_path)
    # both sides notice a dead connection after 5 instead of 30 seconds
    soon = {"DISTRIBUTED__COMM__TIMEOUTS__TCP": "5s", "DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
    with (
        second_network() as (host, namespace, connect),
        started(tmp_path, 0, host=host, environment=soon) as broken,
    ):
        broken.start(1, namespace)

        def break_off() -> None:
            wait_until(lambda: list(tmp_path.glob("*.started")), "the worker in the namespace has a task")
            connect(False)
            broken.start(1)  # a worker that the network reaches
            # the first tasks are handed out again
            wait_until(lambda: len({m.name.split(".")[1] for m in tmp_path.glob("*.started")}) == 2, "the other works")
            (tmp_path / "go").touch()

        thread = threading.Thread(target=break_off)
        thread.start()
        files = run(some, out, "test", Executor(broken.address))
        thread.join()
        assert [read(file) for file in files] == [str(n * n).encode() for n in range(1, 7)]
        assert sorted(path.name for path in out.iterdir()) == sorted(f"key{n}.done" for n in range(1, 7))

        wait_until(lambda: broken.workers[0].poll() is not None, "the worker without a scheduler has ended")


@pytest.mark.slow(minutes=3)
def test_a_thousand_tasks_survive_twenty_kills_of_workers(tmp_path: Path) -> None:
    out, some = tmp_path / "work", tasks("slow", range(1000), tmp_path)
    with started(tmp_path, 4) as four, killing(four, out, every=40, most=20) as killed:
        files = run(some, out, "test", Executor(four.address))
    assert len(killed) >= 10
    assert [read(file) for file in files] == [str(n * n).encode() for n in range(1000)]
    assert len(list(out.iterdir())) == 1000
    again = sum(len((tmp_path / f"{n}.ran").read_text()) - 1 for n in range(1000))
    assert again <= len(killed)  # only the tasks that were running when a worker was killed


def test_a_missing_scheduler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(DetectorError, match=r"^dask://127\.0\.0\.1:9: no Dask scheduler answered within 1 s"):
        run(tasks("square", range(2)), tmp_path / "work", "test", Executor("dask://127.0.0.1:9"))


def order(tmp_path: Path, **changes: Any) -> cluster.Order:
    values = {"folder": str(tmp_path), "software": cluster.software(), "work": Path("work"), **changes}
    return cluster.Order(task=tasks("square", range(5))[4], run="r", alone=False, **values)


def test_a_worker_refuses_another_folder_file_system_or_software(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(DataError, match=r"was started here; start it in /elsewhere"):
        cluster.attempt(order(tmp_path, folder="/elsewhere"))
    with pytest.raises(DataError, match=r"does not see this folder; workers need the same file system"):
        cluster.attempt(order(tmp_path, work=Path("other")))
    with pytest.raises(DataError, match=r"numpy is .*, not 1\.0\. Start workers with `detector worker`"):
        cluster.attempt(order(tmp_path, software=cluster.software() | {"numpy": "1.0"}))
    assert cluster.attempt(order(tmp_path)) == "done"
    assert read(tmp_path / "work" / "key4.done") == b"16"


def test_attempts_are_counted_and_a_finished_task_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    attempts = tmp_path / "work" / "key4.r.attempts"
    attempts.write_bytes(b"..")  # two workers have died
    assert cluster.attempt(order(tmp_path)) == "suspect"
    assert attempts.read_bytes() == b".."
    attempts.write_bytes(b"...")
    assert cluster.attempt(order(tmp_path)) == "given up"
    work.finish(order(tmp_path).task, tmp_path / "work")
    assert cluster.attempt(order(tmp_path)) == "done"


def certificates(folder: Path) -> dict[str, str]:
    """Write a CA and a certificate that it has signed; return Dask's settings as environment variables."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test CA")])

    def build(name: Any, public: Any, is_ca: bool) -> Any:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(ca_key, hashes.SHA256())
        )

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    ca, own = build(ca_name, ca_key.public_key(), True), build(name, key.public_key(), False)
    pem = serialization.Encoding.PEM
    folder.mkdir()
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "cert.pem").write_bytes(own.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    prefix = "DASK_DISTRIBUTED__COMM__"
    found = {f"{prefix}TLS__CA_FILE": str(folder / "ca.pem"), f"{prefix}REQUIRE_ENCRYPTION": "true"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {f"{prefix}TLS__{role}__{part.upper()}": str(folder / f"{part}.pem") for part in ("cert", "key")}
    return found


def with_settings(values: dict[str, str]) -> Any:
    """Apply environment variables of Dask in this process for a block."""
    import dask

    named = {name.removeprefix("DASK_").lower(): value for name, value in values.items()}
    return dask.config.set({name.replace("__", ".").replace("_", "-"): value for name, value in named.items()})


@pytest.mark.parametrize("role", ["client", "worker"])
def test_certificates_that_cannot_be_used_are_named_with_their_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    settings, other = certificates(tmp_path / "tls"), certificates(tmp_path / "other")
    monkeypatch.setattr(worker, "_work", lambda *_: pytest.fail("Dask was started"))
    part = f"DASK_DISTRIBUTED__COMM__TLS__{role.upper()}__"
    (tmp_path / "text.pem").write_text("no certificate\n")
    for wrong, words in (
        ({"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": None}, "setting distributed.comm.tls.ca-file is not there"),
        ({f"{part}CERT": None}, f"setting distributed.comm.tls.{role}.cert is not there"),
        ({f"{part}KEY": str(tmp_path / "nowhere.pem")}, f"No such file or directory: '{tmp_path}/nowhere.pem'"),
        ({"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(tmp_path / "text.pem")}, f"ca-file = {tmp_path}/text.pem"),
        ({f"{part}KEY": other[f"{part}KEY"]}, f"{role}.key = {tmp_path}/other/key.pem"),
    ):
        with with_settings(settings | wrong), pytest.raises(DetectorError) as raised:
            if role == "worker":
                worker.command.main(["tls://127.0.0.1:1"], standalone_mode=False)
            else:
                run(tasks("square", range(1)), tmp_path / "work", "test", Executor("tls://127.0.0.1:1"))
        assert str(raised.value).startswith("tls://127.0.0.1:1: ") and words in str(raised.value)
        assert str(raised.value).endswith("; see docs/cluster.md, Encryption and certificates")


def test_a_worker_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    """Dask's command ends then, and takes the other workers with it."""
    with started(tmp_path, 0) as one:
        command = ("-m", "detector.cli", "worker", one.address, "--workers", "2", "--memory", "0", "--name", "here")
        one.workers.append(one._start(*command))

        def starting() -> list[int]:
            found = children(one.workers[0].pid)
            return [pid for pid in found if "multiprocessing.spawn" in command_line(pid)]

        end_process(wait_until(starting, "a worker starts")[0])
        files = run(tasks("square", range(4)), tmp_path / "work", "test", Executor(one.address))
        assert [read(file) for file in files] == [b"0", b"1", b"4", b"9"]
        assert "a worker process ended while it started" in (tmp_path / "dask.log").read_text()
        wait_until(lambda: len(starting()) == 2, "both workers have started")  # one can finish all tasks before
        one.workers[0].send_signal(signal.SIGTERM)
        assert one.workers[0].wait(WAIT) == 0


def test_workers_that_cannot_start_and_a_scheduler_that_ends_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.time, "sleep", lambda _: None)
    starts: list[Any] = []

    def fail(*arguments: Any, **_: Any) -> None:
        starts.append(arguments)
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.cli.dask_worker.main.main", fail)
    with started(tmp_path, 0) as one:
        with pytest.raises(DetectorError, match=r"dask://.*: the worker processes ended 3 times while they started"):
            worker.command.main([one.address, "--workers", "1"], standalone_mode=False)
        assert len(starts) == 3
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
        one.scheduler.kill()
        one.scheduler.wait()
        with pytest.raises(DetectorError, match=r"dask://.*: no Dask scheduler answered within 1 s: "):
            worker.command.main([one.address, "--workers", "1"], standalone_mode=False)
        monkeypatch.setattr(cluster, "check_answer", lambda _: None)  # it ends between this and the next connection
        with pytest.raises(DetectorError, match=r"dask://.*: no Dask scheduler answered within 1 s: "):
            run(tasks("square", range(1)), tmp_path / "work", "test", Executor(one.address))
    assert len(starts) == 4


def test_a_cluster_with_certificates_refuses_clients_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 3)
    some, out = tasks("square", range(3)), tmp_path / "work"
    settings, others = certificates(tmp_path / "tls"), certificates(tmp_path / "other")

    with started(tmp_path, 1, protocol="tls", environment=settings) as safe:
        assert safe.address.startswith("tls://")
        with pytest.raises(
            DetectorError, match=r"^tls://127\.0\.0\.1:\d+: Dask's setting .*ca-file is not there"
        ):
            run(some, out, "test", Executor(safe.address))
        with with_settings(others), pytest.raises(DetectorError, match="no Dask scheduler answered"):
            run(some, out, "test", Executor(safe.address))
        with with_settings(settings):
            files = run(some, out, "test", Executor(safe.address))
    assert [read(file) for file in files] == [b"0", b"1", b"4"]


def test_a_wrong_settings_file_of_slurm_is_named(tmp_path: Path) -> None:
    file = tmp_path / "slurm.yaml"
    with pytest.raises(DataError, match=r"slurm.yaml: no such file; describe a job there"):
        slurm.read_settings(file)
    for text, reason in (
        ("memory: 4GB\n", "walltime"),
        ("memory: 4GB\nwalltime: 1:0:0\ncores: none\n", "cores"),
        ("memory: 4GB\nwalltime: '1:00:00'\nnodes: 3\n", "nodes"),
        ("memory: much\nwalltime: '1:00:00'\n", "memory must be a size with its unit, such as .16GB., got 'much'"),
        ("memory: 4GB\nwalltime: soon\n", "walltime must be a time as Slurm has it, .*, got 'soon'"),
        ("memory: 4GB\nwalltime: '1:00:00'\ndirectives: [\"--x\\ny\"]\n", r"directives\[0\] must be one line of text"),
        ("[", "not readable as YAML"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=rf"slurm.yaml.*{reason}"):
            slurm.read_settings(file)


SBATCH = """#!/bin/sh
# runs a job as sbatch does: in the folder from which it was submitted, with the job's number
here="$(dirname "$0")"
cp "$1" "$here/job.sh" && cp "$1" "$here/job-$$.sh"  # the file that was submitted is removed at once
sh "$here/job-$$.sh" >> "$here/job.log" 2>&1 &
echo $! >> "$here/pids"
echo "Submitted batch job $!"
"""


# Dask says so, and drops a socket, where another scheduler on this machine has the port of the dashboard
@pytest.mark.filterwarnings(r"ignore:\s*Port 8787 is already in use", "ignore:unclosed <socket:ResourceWarning")
def test_slurm_runs_tasks_as_jobs_that_its_settings_describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue", reason="pip install 'detector[cluster]'")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", '#!/bin/sh\nkill "$1"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DETECTOR_SLURM", str(tmp_path / "job.yaml"))
    (tmp_path / "job.yaml").write_text(
        "memory: 2GB\nwalltime: '0:30:00'\nqueue: short\naccount: faces\ncores: 2\ndirectives: ['--exclusive']\n"
        "prologue: ['export FROM_PROLOGUE=1']\ninterface: lo\n"
    )
    files = run(tasks("square", range(3)), tmp_path / "work", "test", Executor("slurm"))
    assert [read(file) for file in files] == [b"0", b"1", b"4"]
    job = (programs / "job.sh").read_text().splitlines()
    for line in ("-p short", "-A faces", "-n 1", "--cpus-per-task=2", "--mem=2G", "-t 0:30:00", "--exclusive"):
        assert f"#SBATCH {line}" in job
    assert "export FROM_PROLOGUE=1" in job and "export OPENBLAS_CORETYPE='Haswell'" in job
    pids = [int(line) for line in (programs / "pids").read_text().split()]
    wait_until(lambda: not any("dask_worker" in command_line(pid) for pid in pids), "the jobs have ended")
