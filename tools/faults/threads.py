"""The codec in threads of a process that forks meanwhile: every result must be that of one thread alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import mozcodec

from . import Case, family

SECONDS = 120
CALLS = 12  # of each thread and each child


@family("threads and forks", "the codec gives the bytes and pixels of one thread, in all threads and in forks between")
def threads(seed: int, sample: Path) -> Iterator[Case]:  # noqa: ARG001 (the images are drawn)
    """Encode, decode, optimise and recompress in 2 to 8 threads while the process forks up to six times."""
    rng = random.Random(seed)
    for number in range(24):
        count, forks, chosen = rng.randint(2, 8), rng.randint(1, 6), rng.randrange(1 << 30)
        yield Case(f"{count} threads, {forks} forks {number}", partial(_apart, count, forks, chosen))


def _apart(count: int, forks: int, seed: int, folder: Path) -> str:
    command = [sys.executable, "-m", "tools.faults.threads", *map(str, (count, forks, seed))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hangs"
    return "" if done.returncode == 0 else f"ended with {done.returncode} in {folder.name}: {done.stderr[-1500:]}"


def work(seed: int) -> list[bytes]:
    """Return files and pixels of images drawn for *seed*."""
    found: list[bytes] = []
    for i in range(CALLS):
        rng = np.random.default_rng([seed, i])
        image = rng.integers(0, 256, (*rng.integers(8, 80, 2).tolist(), 3), dtype=np.uint8)
        data = mozcodec.encode(image, quality=int(rng.integers(5, 96)), progressive=bool(i % 2))
        found += [data, mozcodec.decode(data).tobytes(), mozcodec.optimize(data), mozcodec.recompress(image).tobytes()]
    return found


def check(count: int, forks: int, seed: int) -> list[str]:
    """Return what went wrong in *count* threads and *forks* children of this process."""
    expected = [work(seed + i) for i in range(count)]
    wrong: list[str] = []

    def thread(i: int) -> None:
        if work(seed + i) != expected[i]:
            wrong.append(f"thread {i}: other bytes")

    running = [threading.Thread(target=thread, args=(i,)) for i in range(count)]
    for one in running:
        one.start()
    children = []
    for i in range(forks):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            os._exit(int(work(seed + i % count) != expected[i % count]))
        children.append(pid)
    wrong += [f"child: {status}" for pid in children if (status := os.waitpid(pid, 0)[1])]
    for one in running:
        one.join()
    return wrong


if __name__ == "__main__":
    if found := check(*map(int, sys.argv[1:])):
        sys.exit("\n".join(found))
