"""One trainer at a time writes checkpoints; the dead do not keep the living waiting."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from detector.errors import DetectorError
from detector.training.lock import Lock, start_time


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def owned_by(folder, pid, started=None, host=None):
    folder.mkdir(exist_ok=True)
    owner = {"host": host or socket.gethostname(), "pid": pid, "started": started or start_time(pid)}
    (folder / "lock").write_text(json.dumps(owner))
    return Lock(folder)


def test_the_start_time_is_that_of_proc_stat(sleeper):
    fields = Path(f"/proc/{sleeper.pid}/stat").read_text().split()  # the command's name has no blank here
    assert start_time(sleeper.pid) == int(fields[21])
    assert start_time(2**22 + 1) is None


def test_a_free_lock_is_taken_and_names_its_owner(tmp_path):
    lock = Lock(tmp_path / "new" / "folder")
    assert lock.acquire(pytest.fail) is False
    owner = json.loads(lock.path.read_text())
    assert owner == {"host": socket.gethostname(), "pid": os.getpid(), "started": start_time(os.getpid())}
    lock.release()
    assert not lock.path.exists()
    lock.release()


def test_a_living_owner_is_waited_for_and_named_with_the_way_to_end_it(tmp_path, sleeper):
    said = []
    lock = owned_by(tmp_path, sleeper.pid)
    way_out = rf"process {sleeper.pid}\) still holds .*lock after 0 s; .*kill {sleeper.pid}"
    with pytest.raises(DetectorError, match=way_out):
        lock.acquire(said.append, timeout=0.2)
    assert len(said) == 2
    assert f"process {sleeper.pid}) is at work with these parameters and data; waiting" in said[0]
    assert said[1].endswith(f"kill {sleeper.pid}")
    assert json.loads(lock.path.read_text())["pid"] == sleeper.pid


def test_the_wait_ends_when_the_owner_dies(tmp_path, sleeper):
    lock = owned_by(tmp_path, sleeper.pid)
    threading.Timer(0.3, lambda: (sleeper.kill(), sleeper.wait())).start()
    assert lock.acquire(lambda _: None, timeout=30) is True
    assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_the_wait_ends_when_the_owner_removes_the_folder(tmp_path, sleeper):
    folder = tmp_path / "run"
    lock = owned_by(folder, sleeper.pid)

    def finish():
        (folder / "lock").unlink()
        folder.rmdir()

    threading.Timer(0.3, finish).start()
    assert lock.acquire(lambda _: None, timeout=30) is True


def test_a_dead_owners_lock_is_taken_over(tmp_path, sleeper):
    pid, started = sleeper.pid, start_time(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert owned_by(tmp_path, pid, started).acquire(pytest.fail) is False


def test_a_zombie_is_dead(tmp_path, sleeper):
    lock = owned_by(tmp_path, sleeper.pid)
    sleeper.kill()
    for _ in range(100):
        if start_time(sleeper.pid) is None:
            break
        time.sleep(0.05)
    assert lock.acquire(pytest.fail) is False


def test_a_new_process_with_the_dead_ones_number_is_not_taken_for_it(tmp_path, sleeper):
    assert owned_by(tmp_path, sleeper.pid, started=start_time(sleeper.pid) - 1).acquire(pytest.fail) is False


@pytest.mark.parametrize("text", ["", '{"pid": 1', '{"pid": 1}', "[]"])
def test_a_half_written_lock_is_taken_over(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    assert Lock(tmp_path).acquire(pytest.fail) is False


def test_an_owner_on_another_machine_is_believed_to_live(tmp_path):
    lock = owned_by(tmp_path, 7, started=1, host="elsewhere")
    with pytest.raises(DetectorError, match=r"process 7 on elsewhere\) still holds .*; if it runs there no more"):
        lock.acquire(lambda _: None, timeout=0)
