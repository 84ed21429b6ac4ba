"""Tasks resume after kill -9, and give the same bytes on every executor and number of workers."""

from __future__ import annotations

import filecmp
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from detector.conditions import parse_all
from detector.config import CompressConfig
from detector.data import compress, work, worker
from detector.data.compress import compress_faces
from detector.data.index import read_index
from detector.data.work import Executor, Task, as_one, finish, is_whole, pack, read, run, unpack, working_folder
from detector.errors import ConfigError, DetectorError
from detector.fidelity import measure

TASKS = """
import os, signal

def square(number):
    return str(number * number).encode()

def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)

def die_together(_):
    die(3)

def fail(number):
    raise LookupError(f"task {number}")
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    (tmp_path / "work_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "work_tasks", raising=False)
    import work_tasks

    yield work_tasks


def squares(tasks: object, numbers: range) -> list[Task]:
    return [Task(f"key{n}", f"task {n}", tasks.square, n) for n in numbers]  # type: ignore[attr-defined]


@pytest.mark.parametrize("executor", [Executor("serial"), Executor("processes", 2), Executor("processes", 4)])
def test_results_come_in_the_order_of_the_tasks(tasks: object, tmp_path: Path, executor: Executor) -> None:
    files = run(squares(tasks, range(9)), tmp_path / "work", "test", executor)
    assert [read(file) for file in files] == [str(n * n).encode() for n in range(9)]


def test_finished_tasks_are_not_run_again_and_damaged_results_are(tasks: object, tmp_path: Path) -> None:
    first = run(squares(tasks, range(4)), tmp_path / "work", "test", Executor("serial"))
    whole = first[1].read_bytes()
    damages = [whole[:-1], whole + b"0", whole[:-1] + b"\xff", b"", whole[1:]]
    for damaged in damages:
        first[1].write_bytes(damaged)
        assert not is_whole(first[1])
        before = {file: file.stat().st_mtime_ns for file in first}
        assert run(squares(tasks, range(4)), tmp_path / "work", "test", Executor("serial")) == first
        assert [file for file in first if file.stat().st_mtime_ns != before[file]] == [first[1]]
        assert first[1].read_bytes() == whole


def test_a_task_that_kills_its_workers_is_named_and_the_others_are_kept(tasks: object, tmp_path: Path) -> None:
    some = [Task(f"key{n}", f"task {n}", tasks.die, n) for n in range(6)]  # type: ignore[attr-defined]
    with pytest.raises(DetectorError, match=r"1 tasks could not be finished:\ntask 3: the worker process died 3 times"):
        run(some, tmp_path / "work", "test", Executor("processes", 2))
    assert [is_whole(work.result_file(tmp_path / "work", task)) for task in some] == [n != 3 for n in range(6)]


def test_a_group_that_is_given_up_is_done_task_by_task(tasks: object, tmp_path: Path) -> None:
    some = [Task(f"key{n}", f"task {n}", tasks.die, n) for n in range(6)]  # type: ignore[attr-defined]
    group, other, out = as_one(some[1:]), some[0], tmp_path / "work"
    with pytest.raises(DetectorError, match=r"^1 tasks could .*:\ntask 3: the worker process died 3 times"):
        run([group, other], out, "test", Executor("processes", 2))
    assert [is_whole(work.result_file(out, task)) for task in some] == [n != 3 for n in range(6)]
    assert not is_whole(work.result_file(out, group))


def test_a_group_whose_tasks_only_finish_alone_has_the_same_result(tasks: object, tmp_path: Path) -> None:
    # its workers die, those of its tasks do not, as with too little memory
    group = as_one([Task(f"key{n}", f"task {n}", tasks.square, n) for n in (2, 3, 2)])  # type: ignore[attr-defined]
    fatal = replace(group, function=tasks.die_together)  # type: ignore[attr-defined]
    pool, expected = Executor("processes", 1), finish(group, tmp_path / "alone").read_bytes()
    (file,) = run([fatal], tmp_path / "work", "test", pool, isolated=True)
    assert file.read_bytes() == expected


def test_the_exception_of_a_task_is_raised(tasks: object, tmp_path: Path) -> None:
    some = [Task(f"key{n}", f"task {n}", tasks.fail, n) for n in range(3)]  # type: ignore[attr-defined]
    for executor in (Executor("serial"), Executor("processes", 2)):
        with pytest.raises(LookupError, match=r"task \d"):
            run(some, tmp_path / "work", "test", executor)


def test_the_working_folder_is_removed_with_success_only(tmp_path: Path) -> None:
    with pytest.raises(LookupError), working_folder(tmp_path / "out") as folder:
        folder.mkdir()
        raise LookupError
    assert folder == tmp_path / ".out.work" and folder.exists()
    with working_folder(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_packed_items_come_back() -> None:
    for items in ([], [b""], [b"a", b"", b"bcd" * 1000]):
        assert unpack(pack(items)) == items


def test_keys_separate_their_parts() -> None:
    assert len({work.key_of("ab", "c"), work.key_of("a", "bc"), work.key_of("abc"), work.key_of("abc", "")}) == 4


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor must be serial, processes, .*, got ray"):
        Executor("ray")


@pytest.fixture(scope="module")
def expected(packed_crops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stages(packed_crops["faces"], tmp_path_factory.mktemp("expected"), Executor("serial"))


def stages(faces: Path, out: Path, executor: Executor) -> Path:
    """Run compress and fidelity into *out*."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compress, "CHUNK", 16)
        compress_faces(faces, out / "compressed", 60, CompressConfig(), executor.workers, executor=executor.place)
    conditions = parse_all(["raw", 77, "turbo:90"])
    measure(faces, out / "fidelity", out / "fidelity.json", conditions, executor.workers, executor.place)
    return out


def same(a: Path, b: Path) -> bool:
    files = sorted(path.relative_to(a) for path in a.rglob("*") if path.is_file())
    assert len(files) > 8 and files == sorted(path.relative_to(b) for path in b.rglob("*") if path.is_file())
    return filecmp.cmpfiles(a, b, files, shallow=False)[0] == files


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_bytes_do_not_depend_on_the_number_of_processes(
    packed_crops: dict[str, Path], expected: Path, tmp_path: Path, workers: int
) -> None:
    assert same(expected, stages(packed_crops["faces"], tmp_path, Executor("processes", workers)))


def test_a_killed_stage_does_only_what_is_missing(
    packed_crops: dict[str, Path], expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress, "CHUNK", 16)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom detector.config import CompressConfig\n"
        "from detector.data import compress\ncompress.CHUNK = 16\nencode = compress.encode_crop\n"
        "compress.encode_crop = lambda *values: time.sleep(0.1) or encode(*values)\n"
        "compress.compress_faces(Path(sys.argv[1]), Path(sys.argv[2]), 60, CompressConfig(), executor='serial')\n"
    )
    out, folder = tmp_path / "compressed", tmp_path / ".compressed.work"
    process = subprocess.Popen([sys.executable, "-c", code, packed_crops["faces"], out], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while len(list(folder.glob("*.done"))) < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.done")}
    chunks = -(-sum(face.split != "test" for face in read_index(packed_crops["faces"])) // 16)
    assert 3 <= len(kept) < chunks and not out.exists()
    made: list[str] = []
    monkeypatch.setattr(work, "finish", lambda task, work: made.append(task.key) or finish(task, work))
    compress_faces(packed_crops["faces"], out, 60, CompressConfig(), executor="serial")
    assert len(made) == chunks - len(kept) and not folder.exists()
    assert not {f"{key}.done" for key in made} & {path.name for path in kept}
    for name in ("faces-000.tar", "index.csv", "summary.json"):
        assert filecmp.cmp(out / name, expected / "compressed" / name, shallow=False)


NO_SCHEDULERS = ["dask://", "dask://host", "dask://host:1/x", "tcp://host:1", "dask://host:0", "tls://host:65536"]


@pytest.mark.parametrize("place", ["ray", "slurm.yaml", *NO_SCHEDULERS])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match=r"^executor must be .* with a port from 1 to 65535, got " + place):
        Executor(place)


@pytest.mark.parametrize("scheduler", NO_SCHEDULERS)
def test_a_worker_of_another_scheduler_is_refused(scheduler: str) -> None:
    with pytest.raises(ConfigError, match=r"^SCHEDULER must be .* with a port from 1 to 65535, got " + scheduler):
        worker.command.main([scheduler], standalone_mode=False)
