"""One holder at a time; a lock is released when its holder exits, and the waiting process names the holder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.errors import DataError, DetectorError
from detector.lock import Holder, Lock, held

HOLD = """
import sys, time
from pathlib import Path
from detector.lock import Lock
lock = Lock(Path(sys.argv[1]))
assert lock.try_acquire() is None
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "folder" / "lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_free_lock_is_taken_and_names_its_holder(path):
    lock = Lock(path)
    assert lock.acquire(pytest.fail) is False
    assert json.loads(path.read_text()) == {"host": socket.gethostname(), "pid": os.getpid()}
    assert Lock(path).try_acquire() == Holder(socket.gethostname(), os.getpid())
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
    assert Lock(path).acquire(lambda _: None, timeout=30) is True
    assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_stopped_holder_still_holds(path, holder):
    holder.send_signal(signal.SIGSTOP)
    assert Lock(path).try_acquire() == Holder(socket.gethostname(), holder.pid)


def test_the_wait_ends_when_the_holder_removes_file_and_folder(path):
    first, second = Lock(path), Lock(path)
    assert first.try_acquire() is None

    def finish():
        first.release()
        path.parent.rmdir()

    threading.Timer(0.3, finish).start()
    assert second.acquire(lambda _: None, timeout=30) is True
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
    assert late.try_acquire() == Holder(socket.gethostname(), os.getpid())
    third.release()
    assert not path.exists()


@pytest.mark.parametrize("text", ["", '{"pid": 1', '{"pid": 1}', "[]", '{"host": "elsewhere", "pid": 1, "started": 0}'])
def test_a_file_left_by_a_dead_process_does_not_lock(path, text):
    """Of a killed process, an older version, another machine: the text never decides."""
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert Lock(path).acquire(pytest.fail) is False


def test_a_holder_on_another_machine_is_named_with_it(path):
    path.parent.mkdir(parents=True)
    path.write_text('{"host": "elsewhere", "pid": 7}')
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DetectorError, match="process 7 on elsewhere still holds"):
            Lock(path).acquire(lambda _: None, timeout=0)


@pytest.mark.usefixtures("holder")
def test_the_wait_ends_when_its_check_raises(path):
    def check():
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Lock(path).acquire(lambda _: None, check=check)
    assert time.monotonic() - start < 10


def test_a_surviving_child_does_not_keep_the_lock(path):
    lock = Lock(path)
    assert lock.try_acquire() is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    os.close(lock._open)  # as the end of this process would
    assert Lock(path).try_acquire() is None
    child.communicate(b"\n")


def test_a_file_system_without_locks_is_named(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(DataError, match=r"lock: no locks on this file system \(.*\); use a local folder"):
        Lock(path).try_acquire()


def test_held_refuses_with_what_the_holder_does(path, holder):
    message = f"process {holder.pid} is writing crops; wait for it, or end it with kill"
    with pytest.raises(DataError, match=message), held(path, "is writing crops"):
        pytest.fail("the lock is taken")


def test_held_releases_the_lock_after_an_error(path):
    with pytest.raises(ZeroDivisionError), held(path, "fails"):
        1 / 0  # noqa: B018
    assert not Path(path).exists()
