"""``python -m tools repeats``: run the tests many times, in random orders under load, and list those that ever fail."""

from __future__ import annotations

import hashlib
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click

from detector.data.files import whole_file
from detector.errors import DetectorError

ROOT = Path(__file__).resolve().parents[1]
PROCESS = "(the process of pytest)"  # in place of a test's name
# uses a processor, memory and the disk in turns of random length, until its parent has ended
LOAD = """
import os, random, sys, tempfile, time, zlib
parent = os.getppid()
with tempfile.TemporaryFile(dir=sys.argv[1]) as file:
    while os.getppid() == parent:
        block, end = os.urandom(4 << 20), time.monotonic() + random.uniform(0.2, 3)
        while time.monotonic() < end:
            zlib.compress(block[: 1 << 18], 6)
        file.seek(0)
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
        time.sleep(random.uniform(0, 0.3))
"""


@click.command("repeats")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results, which a later run continues.  [default: out/repeats]",
)
@click.option("--number", type=click.IntRange(1), default=20, show_default=True, help="Runs of each file.")
@click.option("--load", type=click.IntRange(0), default=2, show_default=True, help="Busy processes beside the tests.")
@click.option("--piece", type=click.IntRange(1), default=8, show_default=True, help="Files in one process of pytest.")
@click.option("--minutes", type=float, help="Begin nothing after so many minutes; the next run continues.")
@click.option("--seed", default=1, show_default=True, help="Seed of the orders.")
@click.option("--select", default="not slow", show_default=True, help="Tests to run, as pytest's option -m.")
def command(
    files: tuple[str, ...],
    out: Path | None,
    number: int,
    load: int,
    piece: int,
    minutes: float | None,
    seed: int,
    select: str,
) -> None:
    """Run the tests in each FILE many times and list those that did not always pass.

    Without FILE, all test files are run. Each time they are in another random order. A run that was stopped continues
    where it was.
    """
    out = (out or ROOT / "out/repeats").resolve()
    out.mkdir(parents=True, exist_ok=True)
    chosen = sorted({_relative(name) for name in files} or {_relative(str(p)) for p in ROOT.glob("tests/**/test_*.py")})
    state = State(out)
    end = time.monotonic() + 60 * minutes if minutes is not None else math.inf
    with busy(load, out):
        for repeat in range(1, number + 1):
            order = random.Random(f"{seed} {repeat}").sample(chosen, len(chosen))
            order = [file for file in order if repeat not in state.done.get(file, ())]
            for begin in range(0, len(order), piece):
                if time.monotonic() > end:
                    click.echo(f"stopped after {minutes:g} minutes in run {repeat}: run the same command to continue")
                    click.echo(state.table())
                    return
                failed = state.run(order[begin : begin + piece], repeat, select)
                click.echo(f"run {repeat} of {number}: {min(begin + piece, len(order))} of {len(order)} files")
                for name in failed:
                    click.echo(f"  failed: {name}")
    click.echo(state.table())
    if state.failed:
        raise DetectorError(f"{len(state.failed)} tests did not always pass; their output is in {out / 'failures'}")


def _relative(name: str) -> str:
    """Return the path *name* of a test file relative to the repository."""
    path = (ROOT / name).resolve()
    if not path.is_file() or not path.is_relative_to(ROOT):
        raise DetectorError(f"{name}: no such test file in {ROOT}")
    return path.relative_to(ROOT).as_posix()


@contextmanager
def busy(number: int, folder: Path) -> Iterator[None]:
    """Run *number* processes that use processors, memory and the disk of *folder*."""
    processes = [subprocess.Popen([sys.executable, "-c", LOAD, str(folder)]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class State:
    """What came of all runs, kept in ``repeats.json`` of the folder *out*.

    done: the runs of each file that are over. tests: for each test how often it passed and was skipped, and the
    files with the output of its failures. commits: those at which they ran.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / "repeats.json"
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.done: dict[str, list[int]] = kept.get("done", {})
        self.tests: dict[str, dict[str, Any]] = kept.get("tests", {})
        self.commits: list[str] = kept.get("commits", [])

    @property
    def failed(self) -> list[str]:
        """The tests that failed at least once."""
        return sorted(name for name, counts in self.tests.items() if counts["failed"])

    def run(self, files: Sequence[str], repeat: int, select: str) -> list[str]:
        """Run *files* in this order in one process of pytest, keep the results, and return the tests that failed."""
        report = self.out / "report.xml"
        report.unlink(missing_ok=True)
        at = commit()
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", select]
        words += ["-o", "junit_family=xunit1", f"--junitxml={report}", *files]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
        done = subprocess.run(words, cwd=ROOT, text=True, **pipes)
        results = read_report(report) if report.exists() else {}
        if done.returncode not in (0, 1, 5) or (done.returncode == 1 and "failed" not in results.values()):
            results |= {f"{file}::{PROCESS}": "failed" for file in files}
        failed = sorted(name for name, what in results.items() if what == "failed")
        if failed:
            name = f"{repeat:03d}-{hashlib.sha256(' '.join(files).encode()).hexdigest()[:8]}.txt"
            (self.out / "failures").mkdir(exist_ok=True)
            (self.out / "failures" / name).write_text(
                f"{' '.join(files)}\nended with status {done.returncode}\n\n{done.stdout}", encoding="utf-8"
            )
        for test, what in results.items():
            counts = self.tests.setdefault(test, {"passed": 0, "skipped": 0, "failed": []})
            if what == "failed":
                counts["failed"].append(name)
            else:
                counts[what] += 1
        for file in files:
            self.done.setdefault(file, []).append(repeat)
        if at not in self.commits:
            self.commits.append(at)
        state = {"done": self.done, "tests": self.tests, "commits": self.commits}
        with whole_file(self.path) as temporary:
            temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")
        return failed

    def table(self) -> str:
        """Return how often the tests ran, and a row for each that did not always pass, in Markdown."""
        times = [len(runs) for runs in self.done.values()] or [0]
        runs = f"{min(times)}" if min(times) == max(times) else f"{min(times)} to {max(times)}"
        tests = f"{len(self.tests)} tests of {len(self.done)} files at commit {', '.join(self.commits) or 'none'}"
        lines = [f"{tests}, {runs} runs each: {len(self.failed)} failed at least once"]
        if self.failed:
            lines += ["", "| test | passed | failed | output |", "|---|---|---|---|"]
        for name in self.failed:
            counts = self.tests[name]
            row = (name, f"{counts['passed']}", f"{len(counts['failed'])}", ", ".join(counts["failed"][:3]))
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines)


def commit() -> str:
    """Return the abbreviated commit of the repository, with ``+`` if files were changed since."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def read_report(path: Path) -> dict[str, str]:
    """Return ``passed``, ``skipped`` or ``failed`` of each test in pytest's report for JUnit."""
    results: dict[str, str] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('file')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        what = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        if results.get(name) != "failed":
            results[name] = what
    return results
