"""Memory and threads that run out are one line, in both command lines; tables that would fill memory are refused."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zlib

import click
import pytest
from click.testing import CliRunner

from detector.cli import LazyGroup
from detector.data.files import whole_file as detector_file
from evaluation.cli import Main
from evaluation.exhausted import exhausted
from evaluation.files import write_whole
from evaluation.scores import ScoresError, read
from evaluation.whole import whole_file

ERRORS = {
    "numpy": (MemoryError("Unable to allocate 8. GiB for an array"), "not enough memory (Unable"),
    "python": (MemoryError(), "not enough memory: "),
    "linker": (ImportError("cv2.abi3.so: failed to map segment from shared object"), "not enough memory (cv2.abi3.so"),
    "torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nstack"), "not enough memory (Def"),
    "threads": (RuntimeError("can't start new thread"), "no more threads (can't start new thread)"),
}


@pytest.mark.parametrize("group", [Main, LazyGroup])
@pytest.mark.parametrize("name", ERRORS)
def test_memory_and_threads_that_ran_out_are_one_line(name, group) -> None:
    error, said = ERRORS[name]
    result = CliRunner().invoke(commands(group, error), ["work"])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}") and result.output.count("\n") == 1


@pytest.mark.parametrize("group", [Main, LazyGroup])
@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ImportError("no module named x")])
def test_other_errors_are_not_hidden(error, group) -> None:
    assert exhausted(error) is None
    with pytest.raises(type(error)):
        CliRunner().invoke(commands(group, error), ["work"], catch_exceptions=False)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited as on Linux")
def test_a_regression_without_room_for_openblas_ends() -> None:
    """OpenBLAS asks for its buffers again and again; without the check this process ends by SIGALRM."""
    code = """
import resource, signal
import numpy as np
import sklearn.linear_model
from evaluation.shortcuts import Property, _logits
rows = np.arange(20)
signal.alarm(60)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (30 << 20), -1))
try:
    _logits(np.resize([0, 1], 20).astype(np.int8), [Property(rows[:, None] * 1.0)], rows, rows)
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of the process from /proc")
def test_the_check_for_room_takes_no_memory() -> None:
    code = """
import numpy
from evaluation import threads
threads.os.cpu_count = lambda: 2
threads.BLAS_BUFFER = 400 << 20
threads.check_room_for_blas()
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400 << 10  # KiB


def test_a_full_disk_is_reported_with_the_file(tmp_path, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as the kernel's error of write(2): without a name

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*metrics.json'"):
        write_whole(tmp_path / "metrics.json", "{}")
    assert list(tmp_path.iterdir()) == []


def commands(group, error):
    def work() -> None:
        raise error

    if group is Main:
        made = group("tool")
    else:
        made = group("tool", lazy={"work": ("nowhere:work", "")})
        made.get_command = lambda *_: click.Command("work", callback=work)
    made.add_command(click.Command("work", callback=work))
    return made


def test_a_table_that_unpacks_to_one_huge_line_is_refused_before_it_fills_memory(tmp_path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"label,score\n"), *(packer.compress(b"1" * (1 << 22)) for _ in range(8)), packer.flush()]
    table = tmp_path / "scores.csv"
    table.write_bytes(b"".join(parts))
    with pytest.raises(ScoresError, match=r"scores\.csv: a line of more than 16,777,216 bytes"):
        read(table)


def test_a_table_of_too_many_rows_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("evaluation.tablefile.MOST_ROWS", 1000)
    table = tmp_path / "scores.csv"
    table.write_text("label,score\n" + "0,0.5\n1,0.5\n" * 501)
    with pytest.raises(ScoresError, match="more than 1,000 rows"):
        read(table)
    table.write_text("label,score\n" + "0,0.5\n1,0.5\n" * 500)
    assert len(read(table)) == 1000


@pytest.mark.parametrize("whole", [whole_file, detector_file])
def test_a_pipe_is_written_to_and_not_replaced(tmp_path, whole):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        with whole(pipe) as path:
            path.write_bytes(b"{}")
        assert reader.communicate(timeout=60)[0] == b"{}"
    assert pipe.is_fifo()
