"""The families of cases on one machine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from detector.config import CompressConfig
from detector.data.compress import compress_faces
from detector.errors import DetectorError
from evaluation.sums import SUMS

from . import Case, family
from .damage import cut, flip, places, put, replace

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WRONG: tuple[Any, ...] = (None, [], {}, "text", -1, 1.5, True, 10**30, [[]])
FILES = ("index.csv", "summary.json", "faces-000.tar")
DAMAGED = (*FILES, SUMS)
SECONDS = 60.0  # after which a case counts as hanging


def tree(folder: Path) -> str:
    """Return a hash of the names and contents of the files in *folder*."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path.relative_to(folder)}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return total.hexdigest()


def compress(faces: Path, out: Path) -> None:
    """Run the stage in this process."""
    compress_faces(faces, out, 77, CompressConfig(), workers=1)


def forked(work: Callable[[], object]) -> tuple[int, str]:
    """Run *work* in a forked process; return its wait status as an exit code and the text of its error.

    0: it succeeded. 1: an error that the command line prints as one line. 2: any other exception. Negative: a signal.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, text = 0, ""
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            work()
        except (DetectorError, OSError, MemoryError) as error:
            named = isinstance(error, DetectorError | MemoryError) or error.filename is not None
            code, text = 1 if named else 2, f"{type(error).__name__}: {error}"
        except BaseException as error:
            code, text = 2, f"{type(error).__name__}: {error}"
        os.write(writer, text.encode("utf-8", "replace")[:2000])
        os._exit(code)
    os.close(writer)
    code = ended(pid)
    with os.fdopen(reader, "rb") as said:
        return code, said.read().decode("utf-8", "replace")


def ended(pid: int) -> int:
    """Wait for the child *pid*, kill it after `SECONDS`, and return its exit code."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGALRM


def remains(folder: Path) -> list[str]:
    """Return the names in *folder* besides the input and the output."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("faces", "out"))


def undisturbed(work: Callable[[Path], object], place: Path) -> tuple[Path, float]:
    """Return the folder *place* that *work* has written without a fault, and the seconds that it took."""
    start = time.monotonic()
    if not place.exists():
        code, text = forked(partial(work, place))
        if code:
            raise DetectorError(f"the stage fails without a fault: {text}")
    return place, time.monotonic() - start


# -- kills -------------------------------------------------------------------------------------------------------------


@family("kills of compress", "killed at any moment and run again: the same bytes, nothing left beside them")
def kills(seed: int, sample: Path) -> Iterator[Case]:
    """Interrupt the stage at random moments, one to three times, then let it finish."""
    yield from _kills(random.Random(seed), partial(compress, sample), sample.with_name("compressed"), 200)


def _kills(rng: random.Random, work: Callable[[Path], object], place: Path, number: int) -> Iterator[Case]:
    whole, seconds = undisturbed(work, place)
    for i in range(number):
        name = SIGNALS[i % len(SIGNALS)]
        hits, seed = rng.randint(1, 3), rng.randrange(1 << 30)
        yield Case(f"{name.name} {i}, {hits} times", partial(_killed, work, whole, seconds, name, hits, seed))


def _killed(
    work: Callable[[Path], object], whole: Path, seconds: float, number: int, hits: int, seed: int, folder: Path
) -> str:
    rng, out = random.Random(seed), folder / "out"
    attempts = 0
    while hits and attempts < 40:
        attempts += 1
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child has its own handlers
        pid = os.fork()
        if pid == 0:
            _child(partial(work, out))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        time.sleep(rng.uniform(0, seconds))
        os.kill(pid, number)
        code = ended(pid)
        if code == -signal.SIGALRM:
            return "did not end after the signal"
        if code != 0:
            hits -= 1
        elif attempts < 40:
            shutil.rmtree(out)  # the signal came too late
        if out.exists() and tree(out) != tree(whole):
            return "an incomplete output was in place"
    if hits:
        return "no signal came in time"
    code, text = forked(partial(work, out))
    if code:
        return f"the run after it failed: {code} {text}"
    if tree(out) != tree(whole):
        return "other bytes"
    left = remains(folder)
    return f"left behind: {left}" if left else ""


def _child(work: Callable[[], object]) -> NoReturn:
    """Run *work* and end this process, which is a forked one: 0 if it succeeded."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()
        code = 0
    finally:
        os._exit(code)


# -- damaged inputs ----------------------------------------------------------------------------------------------------


@family("damaged inputs", "one line that names the file, or an output as from the whole input; never a crash or a hang")
def damage(seed: int, sample: Path) -> Iterator[Case]:
    """Flip bits, cut files, and put values of a wrong type at every place of the JSON file and of the CSV file."""
    rng = random.Random(seed)
    undisturbed(partial(compress, sample), sample.with_name("compressed"))
    for number in range(200):
        name = DAMAGED[number % len(DAMAGED)]
        position, bit = rng.random(), 1 << rng.randrange(8)
        yield _damaged(sample, f"bit {number} of {name}", name, partial(flip, position, bit))
    for number in range(150):
        name, position = DAMAGED[number % len(DAMAGED)], rng.random()
        yield _damaged(sample, f"cut {number} of {name}", name, partial(cut, position))
    content = json.loads((sample / "summary.json").read_text(encoding="utf-8"))
    for place in places(content):
        for wrong in WRONG:
            title = f"{'.'.join(map(str, place))} = {wrong!r}"
            yield _damaged(sample, title, "summary.json", partial(put, place, wrong))
    columns = len((sample / "index.csv").read_text(encoding="utf-8").splitlines()[1].split(","))
    for column in range(columns):
        for wrong in ("", "-1", "x", "1e9", "../x", "9" * 30, "\0", '"'):
            title = f"column {column} = {wrong!r}"
            yield _damaged(sample, title, "index.csv", partial(_cell, column, wrong))


def _cell(column: int, wrong: str, data: bytes) -> bytes:
    lines = data.decode().splitlines()
    cells = lines[5].split(",")
    cells[column] = wrong
    lines[5] = ",".join(cells)
    return "\n".join(lines).encode() + b"\n"


def _damaged(sample: Path, title: str, name: str, change: Callable[[bytes], bytes]) -> Case:
    def run(folder: Path) -> str:
        faces, out = folder / "faces", folder / "out"
        shutil.copytree(sample, faces)
        (faces / name).write_bytes(change((faces / name).read_bytes()))
        code, text = forked(lambda: compress(faces, out))
        left = remains(folder)
        if left:
            return f"left behind: {left}"
        if code == 0:
            whole = sample.with_name("compressed")
            same = all(tree_of(out, n) == tree_of(whole, n) for n in DAMAGED)
            return "" if same else "accepted, with another output"
        if code != 1:
            return f"ended with {code}: {text}"
        if out.exists():
            return "an output in spite of the error"
        named = name in text or (name == "index.csv" and "the index" in text)
        return "" if named and "\n" not in text else f"does not name the file in one line: {text}"

    return Case(title, run)


def tree_of(folder: Path, name: str) -> bytes:
    """Return the content of a file."""
    return (folder / name).read_bytes()


# -- system ------------------------------------------------------------------------------------------------------------


@family("limits of the system", "a message with the path or the reason, nothing partial, the old output whole")
def system(seed: int, sample: Path) -> Iterator[Case]:
    """Let files have too few bytes, descriptors or memory; replace inputs by pipes, devices and folders."""
    rng = random.Random(seed)
    undisturbed(partial(compress, sample), sample.with_name("compressed"))
    for number in range(30):
        limit = rng.randrange(0, 120_000)
        yield _limited(sample, f"files of {limit} bytes at most ({number})", resource.RLIMIT_FSIZE, limit)
    for limit in range(3, 13):
        yield _limited(sample, f"{limit} descriptors", resource.RLIMIT_NOFILE, limit)
    for name in FILES:
        for kind in ("pipe", "device", "folder", "missing", "loop", "socket"):
            yield Case(f"{name} is a {kind}", partial(_replaced, sample, name, kind))
    for kind in ("file", "other folder", "link to nothing"):
        yield Case(f"OUT is a {kind}", partial(_taken, sample, kind))


def _limited(sample: Path, title: str, kind: int, limit: int) -> Case:
    def run(folder: Path) -> str:
        out = folder / "out"
        shutil.copytree(sample.with_name("compressed"), out)
        before = tree(out)

        def work() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(kind, (limit, limit))
            compress(sample, out)

        code, text = forked(work)
        if tree(out) != before:
            return "the old output was changed"
        if code not in (0, 1):
            return f"ended with {code}: {text}"
        again, text = forked(partial(compress, sample, out))  # removes what could not be removed under the limit
        if again or tree(out) != before:
            return f"the run after it failed: {again} {text}"
        left = remains(folder)
        return f"left behind: {left}" if left else ""

    return Case(title, run)


def _replaced(sample: Path, name: str, kind: str, folder: Path) -> str:
    faces, out = folder / "faces", folder / "out"
    shutil.copytree(sample, faces)
    replace(faces / name, kind)
    code, text = forked(lambda: compress(faces, out))
    if remains(folder) or out.exists():
        return "something was left behind"
    return "" if code == 1 and name in text else f"ended with {code}: {text}"


def _taken(sample: Path, kind: str, folder: Path) -> str:
    out = folder / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "other folder":
        out.mkdir()
        (out / "mine").write_text("mine")
    else:
        out.symlink_to(folder / "nothing")
    code, text = forked(lambda: compress(sample, out))
    if kind != "link to nothing" and code != 1:
        return f"ended with {code}: {text}"
    kept = {"file": out, "other folder": out / "mine"}.get(kind)
    return "the user's file was lost" if kept is not None and kept.read_text() != "mine" else ""
