"""Jobs finish even if workers are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from detector.data.executors import ProcessPool, WorkerDiedError

# What workers run has to be importable by them; pytest's test modules are not.
TASKS = """
import os, signal, time
from pathlib import Path

def square(number):
    return number * number

def die_once(job):
    number, folder = job
    mark = Path(folder) / f"{number}.died"
    if number % 4 == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number

def die_always(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number

def fail(number):
    if number == 2:
        raise LookupError(f"job {number}")
    return number

def sleep(folder):
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(3600)

def sleep_unless_named(folder):
    if folder:
        sleep(folder)

def prepare():
    os.environ["PREPARED"] = "yes"

def prepared(_):
    return os.environ.get("PREPARED")
"""


@dataclass
class Tasks:
    folder: Path

    def __getattr__(self, name: str) -> object:
        import pool_tasks

        return getattr(pool_tasks, name)


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    (tmp_path / "pool_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pool_tasks", raising=False)
    return Tasks(tmp_path)


def test_every_job_comes_with_its_result(tasks: Tasks) -> None:
    assert sorted(ProcessPool(tasks.square, 3).unordered(range(40))) == [(i, i * i) for i in range(40)]


def test_no_jobs_give_no_results(tasks: Tasks) -> None:
    assert list(ProcessPool(tasks.square, 2).unordered([])) == []


def test_killed_workers_lose_nothing(tasks: Tasks) -> None:
    jobs = [(i, str(tasks.folder)) for i in range(12)]
    results = dict(ProcessPool(tasks.die_once, 2).unordered(jobs))
    assert results == {job: job[0] ** 2 for job in jobs}
    assert len(list(tasks.folder.glob("*.died"))) == 3


def test_a_job_that_always_kills_its_worker_is_given_up_alone(tasks: Tasks) -> None:
    results = dict(ProcessPool(tasks.die_always, 2).unordered(range(8)))
    assert isinstance(results.pop(3), WorkerDiedError)
    assert results == {i: i * i for i in range(8) if i != 3}


def test_an_exception_of_a_job_is_raised(tasks: Tasks) -> None:
    with pytest.raises(LookupError, match="job 2"):
        list(ProcessPool(tasks.fail, 2).unordered(range(6)))


def test_workers_are_prepared(tasks: Tasks) -> None:
    assert list(ProcessPool(tasks.prepared, 2, tasks.prepare).unordered([0])) == [(0, "yes")]


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGINT, 1), (signal.SIGKILL, 2)])
def test_a_signal_ends_a_pool_with_jobs_that_take_hours(tasks: Tasks, number: signal.Signals, jobs: int) -> None:
    script = tasks.folder / "parent.py"
    method = "unordered([sys.argv[1]] * 2)" if jobs == 2 else "_alone(sys.argv[1])"
    script.write_text(
        "import sys\nfrom detector.data.executors import ProcessPool\nimport pool_tasks\n"
        f"if __name__ == '__main__':\n    list(ProcessPool(pool_tasks.sleep, 2).{method})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tasks.folder)}
    parent = subprocess.Popen([sys.executable, script, tasks.folder], env=environment, stderr=subprocess.PIPE)
    pids = wait_for(lambda: len(found := list(tasks.folder.glob("*.pid"))) == jobs and [int(p.stem) for p in found])
    parent.send_signal(number)
    try:
        parent.communicate(timeout=300)
    finally:
        parent.kill()
    assert parent.returncode == -number
    assert wait_for(lambda: not any(map(is_alive, pids)))


def test_results_that_nobody_wants_are_not_waited_for(tasks: Tasks) -> None:
    results = ProcessPool(tasks.sleep_unless_named, 2).unordered([str(tasks.folder), "", str(tasks.folder)])
    assert next(results) == ("", None)  # type: ignore[comparison-overlap]
    pids = wait_for(lambda: [int(path.stem) for path in tasks.folder.glob("*.pid")])
    results.close()  # type: ignore[attr-defined]
    assert wait_for(lambda: not any(map(is_alive, pids)))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds: float = 600):  # type: ignore[no-untyped-def]
    """Return the first true value of *condition*, or its last value after *seconds*."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return value
