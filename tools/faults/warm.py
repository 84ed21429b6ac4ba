"""A process that has the libraries loaded and runs each trial in a fork of itself, so that a trial costs no start.

`python -m tools.faults.warm` reads requests as JSON lines and answers each with a line. OpenCV and torch's threads are
started by the trial alone: a fork of a process in which they have run would hang.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Request", "Result", "Warm"]

CLONE_NEWNS = 0x00020000
LIMITS = {"fsize": resource.RLIMIT_FSIZE, "files": resource.RLIMIT_NOFILE, "memory": resource.RLIMIT_AS}


@dataclass(frozen=True)
class Request:
    """A command line (the program's name first) to be run in the folder *cwd*.

    limits: by their names in `LIMITS`; number: signal that is sent after *delay* seconds, 0 for none; no_shm: without
    /dev/shm; seconds: after which the trial counts as hanging.
    """

    argv: list[str]
    cwd: str
    limits: dict[str, int] = field(default_factory=dict)
    umask: int = -1
    number: int = 0
    delay: float = 0.0
    no_shm: bool = False
    seconds: float = 120.0
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """code: exit status, minus the signal, or -SIGALRM for a trial that hung; text: standard error; MiB at the peak."""

    code: int
    text: str
    seconds: float
    peak: float


class Warm:
    """The client: starts the process on first use and sends it requests. A context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def run(self, request: Request) -> Result:
        """Run *request* and return what came of it."""
        if self._process is None:
            command = [sys.executable, "-m", "tools.faults.warm"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        return Result(**json.loads(self._process.stdout.readline()))


def without_shm() -> None:
    """Give this process a /dev/shm that cannot be written to; OSError without the right to mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, 0x44000, None):  # MS_REC | MS_PRIVATE
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/dev/shm", b"tmpfs", 1, b"size=4k,mode=0"):  # MS_RDONLY
        raise OSError(ctypes.get_errno(), "mount")


def child(request: Request) -> None:
    """Become the trial: never returns."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir(request.cwd)
    descriptor = os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    null = os.open(os.devnull, os.O_RDWR)
    for number, target in ((null, 0), (null, 1), (descriptor, 2)):
        os.dup2(number, target)
    if descriptor > 2:
        os.close(descriptor)
    os.close(null)
    os.environ.update(request.env)
    if request.umask >= 0:
        os.umask(request.umask)
    if request.no_shm:
        without_shm()
    if "fsize" in request.limits:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.argv = request.argv
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (the trial's own streams)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
    if request.argv[0] == "detector":
        from detector.cli import main
    else:
        from evaluation.cli import main
    for name, limit in request.limits.items():
        resource.setrlimit(LIMITS[name], (limit, limit))
    main()


def trial(request: Request) -> Result:
    """Run *request* in a fork and wait for it."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            child(request)
        except SystemExit as error:
            sys.stderr.flush()
            os._exit(error.code if isinstance(error.code, int) else 1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(99)
        os._exit(0)
    code, signalled = None, not request.number
    while code is None:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        now = time.monotonic() - start
        if done:
            code = os.waitstatus_to_exitcode(status)
        elif now > request.seconds:
            os.killpg(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            code = -signal.SIGALRM
        elif not signalled and now > request.delay:
            os.kill(pid, request.number)
            signalled = True
        else:
            time.sleep(0.004)
    seconds = time.monotonic() - start
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # its workers end with it
    path = Path(request.cwd, "stderr")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    path.unlink(missing_ok=True)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss
    return Result(code, text[-4000:], seconds, usage.ru_maxrss / unit)


def load() -> None:
    """Load what the commands load, apart from what starts threads."""
    from detector.arithmetic import PINNED
    from evaluation.threads import let_idle_threads_sleep, pin_numpy

    let_idle_threads_sleep()
    pin_numpy()
    os.environ.update(PINNED)  # as the commands do before torch is loaded: workers of a cluster must compute the same
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ["GIT_DIR"] = os.devnull  # model cards record no commit, which may change between two trials
    import click
    import matplotlib.pyplot
    import pyarrow.parquet
    import scipy.stats
    import sklearn.metrics
    import torch

    assert click and matplotlib and pyarrow and scipy and sklearn and torch


def main() -> None:
    """Answer requests until standard input ends."""
    load()
    lines, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for descriptor in (lines.fileno(), answers.fileno()):
        os.set_inheritable(descriptor, False)
    for line in lines:
        values: dict[str, Any] = json.loads(line)
        answers.write(json.dumps(asdict(trial(Request(**values)))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
