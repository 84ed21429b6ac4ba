"""Commands end: their status, output and exit functions, and no thread of a library that keeps the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from skimage import data

from detector.card import Card
from detector.models import build
from detector.weights import save_model

# a destructor that never returns stands for a library's that waits for its threads
STUCK = """
import ctypes, sys, time
from detector.ending import run
libc = ctypes.CDLL(None)
stuck = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: time.sleep(1000))
assert libc.__cxa_atexit(stuck, None, None) == 0
"""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def ended(code: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, env=ENVIRONMENT)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("lambda: print('done')", 0, ""),
        ("lambda: sys.exit()", 0, ""),
        ("lambda: sys.exit(75)", 75, ""),
        ("lambda: sys.exit('out of memory')", 1, "out of memory\n"),
        ("lambda: 1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_a_command_ends_with_its_status_though_a_library_does_not(command: str, status: int, said: str) -> None:
    code, _, error = ended(f"{STUCK}\nrun({command})")
    assert (code, error.splitlines()[-1:] or [""]) == (status, [said.rstrip()])


def test_threads_end_exit_functions_are_called_and_output_is_written_first() -> None:
    code, output, _ = ended(
        f"""{STUCK}
import atexit, threading
from concurrent.futures import ThreadPoolExecutor
def command():
    atexit.register(lambda: print("first registered"))
    atexit.register(lambda: print("last registered"))
    work = ThreadPoolExecutor(2).submit(lambda: (time.sleep(0.3), print("work of a pool")))
    threading.Thread(target=lambda: (work.result(), print("thread"))).start()
    print("command", end="")
    print()
run(command)
"""
    )
    assert code == 0
    assert output.splitlines() == ["command", "work of a pool", "thread", "last registered", "first registered"]


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{STUCK}\nrun(lambda: print('x' * 10))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(600) == 0, said
    assert said == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", f"{STUCK}\nrun(lambda: print('x'))"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (1, "Error: <stdout>: No space left on device\n")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(8, marks=pytest.mark.slow(minutes=1)),
        pytest.param(200, marks=pytest.mark.trial(minutes=30)),
    ],
)
def test_runs_of_predict_under_load_all_end(tmp_path: Path, number: int) -> None:
    """Eight at a time, so on few cores they are under load; one that hangs fails by its timeout.

    Half of them detect a face, half take the image as a crop.
    """
    torch.manual_seed(0)
    save_model(tmp_path / "train", build("meso4").state_dict(), Card("meso4", {}, 32, 32))
    photograph = data.astronaut()[:256, 65:321]
    cv2.imwrite(str(tmp_path / "image.png"), photograph[..., ::-1])
    command = [sys.executable, "-m", "detector.cli", "predict", "image.png", "--train", "train"]
    for _ in range(number // 8):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        runs = [subprocess.Popen([*command, *more], cwd=tmp_path, **pipes) for more in ([], ["--aligned"]) * 4]
        for process in runs:
            output, said = process.communicate(timeout=1200)
            assert process.returncode == 0, said
            assert b"image.png" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_work_ends_the_process_without_a_traceback(number: signal.Signals) -> None:
    code, _, error = ended(
        f"""{STUCK}
import atexit, os, signal
signal.signal(signal.SIGTERM, signal.default_int_handler)
atexit.register(lambda: os.kill(os.getpid(), {int(number)}) or time.sleep(60))
run(lambda: None)"""
    )
    assert (code, error) == (-number, "")
