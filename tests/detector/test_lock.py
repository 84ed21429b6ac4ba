"""One holder at a time; the lock of a dead process or machine is taken over, and who waits names the holder."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from detector import lock as lock_module
from detector.data.files import whole_folder
from detector.errors import DataError, DetectorError
from detector.lock import LEASE, Holder, Lock, held
from detector.system import boot_id, pid_namespace, process_start

HOLD = """
import sys, time
from pathlib import Path
from detector.lock import Lock
lock = Lock(Path(sys.argv[1]))
assert lock.try_acquire() is None
print("held", flush=True)
time.sleep(3600)
"""
# a process on another machine: another kernel, whose flock is not seen here, as on a share without network locks
ELSEWHERE = """
import fcntl, os, socket
from detector import lock
lock.boot_id = lambda: "another kernel"
socket.gethostname = lambda: "node-a"
lock.BEAT, lock.LEASE = 0.1, 1.0
fcntl.flock = lambda *_: None
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Settle and poll in fractions of a second."""
    monkeypatch.setattr(lock_module, "SETTLE", 0.1)
    monkeypatch.setattr(lock_module, "POLL_SECONDS", 0.05)


def content(**values) -> str:
    return json.dumps({"host": "node-a", "pid": 1, "boot": "another kernel", "lease": 0.3, "beat": 0, **values})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "folder" / "lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock."""
    process = hold(path)
    yield process
    process.kill()
    process.communicate()


def hold(path: Path, before: str = "") -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", before + HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def elsewhere(path):
    """A process on another machine that holds the lock."""
    process = hold(path, ELSEWHERE)
    yield process
    process.kill()
    process.communicate()


def test_a_free_lock_is_taken_and_names_its_holder(path):
    lock = Lock(path)
    assert lock.acquire(pytest.fail) is False
    assert json.loads(path.read_text()).items() >= {"host": socket.gethostname(), "pid": os.getpid()}.items()
    other = Lock(path)
    assert str(other.try_acquire()) == f"process {os.getpid()}"
    assert other.alive
    lock.release()
    assert not path.exists()
    lock.release()


def test_waiting_names_the_holder(path, holder):
    said = []
    with pytest.raises(DetectorError, match=rf"lock: process {holder.pid} still holds the lock after 0 s"):
        Lock(path).acquire(said.append, timeout=0.2)
    assert [str(one) for one in said] == [f"process {holder.pid}"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_wait_ends_when_the_holder_dies(path, holder, number):
    threading.Timer(0.3, holder.send_signal, [number]).start()
    assert Lock(path).acquire(lambda _: None, timeout=300) is True
    assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_stopped_holder_still_holds(path, holder):
    """Longer than its lease: under one kernel, flock tells that it lives."""
    path.write_text(path.read_text().replace('"lease": 60.0', '"lease": 0.1'))
    holder.send_signal(signal.SIGSTOP)
    other = Lock(path)
    with pytest.raises(DetectorError, match="still holds"):
        other.acquire(lambda _: None, timeout=0.5)
    assert other.alive


def test_the_wait_ends_when_the_holder_removes_file_and_folder(path):
    first, second = Lock(path), Lock(path)
    assert first.try_acquire() is None

    def finish():
        first.release()
        path.parent.rmdir()

    threading.Timer(0.3, finish).start()
    assert second.acquire(lambda _: None, timeout=300) is True
    assert path.exists()


def test_a_file_removed_by_its_holder_is_not_taken_for_the_lock(path, monkeypatch):
    """The window between open and flock: the holder releases it, and a third process takes a new lock."""
    first, third, late = Lock(path), Lock(path), Lock(path)
    assert first.try_acquire() is None
    flock, turns = fcntl.flock, []

    def between(file, operation):
        if not turns:
            turns.append(1)
            first.release()
            assert third.try_acquire() is None
        return flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", between)
    assert late.try_acquire().pid == os.getpid()
    third.release()
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["", '{"pid": 1', '{"pid": 1}', "[]", '{"host": "elsewhere", "pid": 1, "started": 0}', "\0" * 9, "9" * 9999]
)
def test_a_file_that_names_nobody_does_not_lock(path, text):
    """Of a process killed while it wrote, or an earlier version, which used flock alone."""
    path.parent.mkdir(parents=True)
    path.write_text(text)
    Lock(path).acquire(lambda _: None, timeout=LEASE / 2)


def test_the_lock_of_a_process_that_died_under_this_kernel_is_free_at_once(path, holder):
    holder.kill()
    holder.wait()
    assert path.exists()
    assert Lock(path).try_acquire() is None


def test_a_holder_on_another_machine_is_named_with_it(path):
    path.parent.mkdir(parents=True)
    path.write_text('{"host": "elsewhere", "pid": 7}')
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DetectorError, match="process 7 on elsewhere still holds"):
            Lock(path).acquire(lambda _: None, timeout=0)


def test_a_live_holder_on_another_machine_keeps_its_lock(path, elsewhere, monkeypatch):
    """Longer than its lease of 1 s, though this kernel's flock says that the lock is free.

    The clock counts its signs of life, 0.1 s each, so that it stands still while a busy machine lets the holder wait.
    """

    def clock() -> float:
        while True:
            with contextlib.suppress(ValueError):  # half written
                return json.loads(path.read_text())["beat"] / 10

    monkeypatch.setattr(lock_module, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(DetectorError, match=f"process {elsewhere.pid} on node-a still holds the lock after 3 s"):
        Lock(path).acquire(lambda _: None, timeout=3)
    message = f"process {elsewhere.pid} on node-a is writing; wait"
    with pytest.raises(DataError, match=message), held(path, "is writing"):
        pytest.fail("the lock is taken")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_lock_of_a_machine_without_a_sign_of_life_is_taken_over_after_its_lease(path, elsewhere, number):
    lock, start = Lock(path), time.monotonic()
    assert lock.try_acquire() is not None
    elsewhere.send_signal(number)
    said = []
    assert lock.acquire(said.append, timeout=300) is True
    assert time.monotonic() - start > 1
    assert [str(one) for one in said] == [f"process {elsewhere.pid} on node-a"]
    assert json.loads(path.read_text())["pid"] == os.getpid()
    assert [one.name for one in path.parent.iterdir()] == ["lock"]


# -- containers: namespaces of their own for processes, host name and mounts, and another boot id ----------------------

ISOLATE = ("unshare", "--uts", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c")
ENTER = 'hostname node-c && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
SHORT = "from detector import lock; lock.BEAT, lock.LEASE = 0.1, 1.0\n"
WITHOUT_FLOCK = "import fcntl; fcntl.flock = lambda *_: None\n"  # as on a share without network locks
WRITE = """
import sys, time
from detector.data.files import whole_folder
with whole_folder(sys.argv[1], "marker") as part:
    (part / "half").write_text("")
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def container(tmp_path):
    """Return a function that starts Python in a container and waits until it says that it holds the lock."""
    boot = tmp_path / "boot_id"
    boot.write_text("00000000-0000-0000-0000-00000000c0de\n")
    inside = [*ISOLATE, ENTER, str(boot)]
    if sys.platform != "linux" or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces can be made here")
    running = []

    def start(code: str, *arguments: object) -> subprocess.Popen:
        command = [*inside, sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()  # its process 1 is killed with it
        process.communicate()


@pytest.mark.parametrize("flock", [SHORT, SHORT + WITHOUT_FLOCK], ids=["flock", "no-flock"])
def test_a_live_container_keeps_its_lock_and_that_of_a_dead_one_is_taken_over(path, container, monkeypatch, flock):
    process = container(flock + HOLD, path)
    said = json.loads(path.read_text())
    assert (said["host"], said["pid"]) == ("node-c", 1)
    assert said["boot"] not in ("", boot_id()) and said["namespace"] != pid_namespace()

    def clock() -> float:  # of its signs of life, 0.1 s each
        while True:
            with contextlib.suppress(ValueError):  # half written
                return json.loads(path.read_text())["beat"] / 10

    with monkeypatch.context() as patch:
        patch.setattr(lock_module, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
        with pytest.raises(DetectorError, match="process 1 on node-c still holds the lock after 3 s"):
            Lock(path).acquire(lambda _: None, timeout=3)
    process.kill()
    process.wait()
    assert path.exists()
    assert Lock(path).acquire(lambda _: None, timeout=300) is True
    assert json.loads(path.read_text())["boot"] == boot_id()


def test_the_folder_that_a_dead_container_was_writing_is_removed_and_that_of_a_live_one_stays(tmp_path, container):
    out = tmp_path / "shared" / "out"
    process = container(SHORT + WITHOUT_FLOCK + WRITE, out)
    parts = list(out.parent.glob(".out.*.part"))
    assert len(parts) == 1
    lock = Lock(out.parent / ".out.lock")
    assert str(lock.try_acquire()) == "process 1 on node-c"
    assert (parts[0] / "half").exists()
    process.kill()
    process.wait()
    with whole_folder(out, "marker") as part:
        (part / "marker").write_text("")
    assert [found.name for found in out.parent.iterdir()] == ["out"]
    assert [found.name for found in out.iterdir()] == ["marker"]


def test_a_lock_that_the_server_keeps_for_a_dead_machine_is_taken_over(path):
    path.parent.mkdir(parents=True)
    path.write_text(content())
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lock = Lock(path)
        assert lock.acquire(lambda _: None, timeout=300) is True
        assert str(Lock(path).try_acquire()) == f"process {os.getpid()}"
        lock.check()


def test_a_suspended_holder_that_lost_its_lock_finds_out(path, monkeypatch):
    monkeypatch.setattr(lock_module, "boot_id", lambda: "another kernel")
    monkeypatch.setattr(lock_module, "_process", lambda pid: Holder("node-a", pid, "another kernel", lease=0.3))
    monkeypatch.setattr(lock_module, "LEASE", 0.3)
    first = Lock(path)
    assert first.try_acquire() is None  # and it beats every 10 s only
    first.check()
    monkeypatch.undo()
    second = Lock(path)
    assert second.acquire(lambda _: None, timeout=300) is True
    with pytest.raises(DetectorError, match="another process has taken over this lock"):
        first.check()
    first.release()
    assert path.exists()
    second.check()


def test_of_many_that_take_over_at_once_one_holds_the_lock(path, monkeypatch):
    path.parent.mkdir(parents=True)
    path.write_text(content())
    locks = [Lock(path) for _ in range(8)]
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)  # each on a machine of its own
    monkeypatch.setattr(lock_module, "boot_id", lambda: "this kernel")

    def take(lock: Lock, number: int) -> None:
        polls = iter(range(10))  # after one of them holds the lock

        def check() -> None:
            if any(one._open is not None for one in locks) and next(polls, None) is None:
                raise DetectorError("enough")

        this = Holder(f"node-{number}", number, f"kernel {number}")
        monkeypatch.setattr(lock, "_content", lambda: json.dumps({**dataclasses.asdict(this), "beat": 0}).encode())
        with contextlib.suppress(DetectorError):
            lock.acquire(lambda _: None, check=check)

    waits = [threading.Thread(target=take, args=(lock, number)) for number, lock in enumerate(locks)]
    for wait in waits:
        wait.start()
    for wait in waits:
        wait.join()
    assert sum(lock._open is not None for lock in locks) == 1


@pytest.mark.usefixtures("holder")
def test_the_wait_ends_when_its_check_raises(path):
    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lock(path).acquire(lambda _: None, check=check)


def test_a_surviving_child_does_not_keep_the_lock(path):
    lock = Lock(path)
    assert lock.try_acquire() is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    os.close(lock._open)  # as the end of this process would
    assert Lock(path).try_acquire() is None
    child.communicate(b"\n")


@pytest.fixture
def no_flock(monkeypatch):
    """A file system without locks, as some network file systems are."""

    def refuse(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_flock")
def test_without_flock_the_file_is_the_lock(path):
    first, second = Lock(path), Lock(path)
    assert first.try_acquire() is None
    assert second.try_acquire().pid == os.getpid()
    assert second.alive
    first.release()
    assert not path.exists()
    assert second.try_acquire() is None


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize("stopped", [False, True])
def test_without_flock_a_dead_holder_is_seen_by_pid_and_start(path, holder, stopped):
    if stopped:
        holder.send_signal(signal.SIGSTOP)
    assert Lock(path).try_acquire().pid == holder.pid
    holder.kill()
    holder.wait()
    assert Lock(path).try_acquire() is None


@pytest.mark.usefixtures("no_flock")
def test_without_flock_a_number_used_again_does_not_lock(path):
    path.parent.mkdir(parents=True)
    mine = {"boot": boot_id(), "namespace": pid_namespace(), "pid": os.getpid()}
    path.write_text(content(**mine, started="an earlier process"))
    assert Lock(path).try_acquire() is None


@pytest.mark.usefixtures("no_flock")
def test_without_flock_another_namespace_is_waited_for(path):
    path.parent.mkdir(parents=True)
    path.write_text(content(boot=boot_id(), namespace="pid:[1]", pid=os.getpid(), started="unknown here"))
    lock = Lock(path)
    assert lock.try_acquire().pid == os.getpid()
    assert lock.acquire(lambda _: None, timeout=300) is True


def test_processes_are_told_apart_without_proc(monkeypatch):
    """As on macOS, where ps and sysctl say what /proc says on Linux."""
    is_dir, readlink, read_text = Path.is_dir, Path.readlink, Path.read_text

    def hidden(real):
        def call(path, *args, **kwargs):
            if str(path).startswith("/proc"):
                raise FileNotFoundError(path)
            return real(path, *args, **kwargs)

        return call

    monkeypatch.setattr(Path, "is_dir", lambda path: not str(path).startswith("/proc") and is_dir(path))
    monkeypatch.setattr(Path, "readlink", hidden(readlink))
    monkeypatch.setattr(Path, "read_text", hidden(read_text))
    assert process_start(os.getpid()) == process_start(os.getpid())
    assert len(process_start(os.getpid()).split()) == 5  # Sat Nov 28 18:44:28 2026
    assert process_start(1 << 22) is None
    assert boot_id.__wrapped__()
    assert pid_namespace() == ""


def test_a_process_that_has_ended_has_no_start():
    child = subprocess.Popen(["sleep", "0"])
    for _ in itertools.takewhile(lambda _: process_start(child.pid), range(6000)):
        time.sleep(0.05)
    assert process_start(child.pid) is None  # a zombie by now
    child.wait()
    assert process_start(child.pid) is None


def test_held_waits_with_a_word(path, holder, capsys):
    threading.Timer(0.3, holder.kill).start()
    with held(path, "is writing crops", wait=True):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    said = f"process {holder.pid} is writing crops; waiting until it is done (to end it: kill {holder.pid})\n"
    assert capsys.readouterr().err == said


def test_held_names_no_number_that_it_does_not_know(path, capsys):
    path.parent.mkdir(parents=True)
    path.touch()
    with held(path, "is writing crops", wait=True):
        assert capsys.readouterr().err == "a process is writing crops; waiting until it is done\n"


def test_held_refuses_with_what_the_holder_does(path, holder):
    message = f"process {holder.pid} is writing crops; wait for it, or end it with kill"
    with pytest.raises(DataError, match=message), held(path, "is writing crops"):
        pytest.fail("the lock is taken")


def test_held_releases_the_lock_after_an_error(path):
    with pytest.raises(ZeroDivisionError), held(path, "fails"):
        1 / 0  # noqa: B018
    assert not Path(path).exists()
