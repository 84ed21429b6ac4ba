"""``python -m tools mutants``: apply each fault to a copy of the tree and check that its tests fail."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import click

from detector.data.files import whole_file
from detector.lock import held

from . import ROOT, Fault, problems, read_faults

SECONDS = 600  # for the tests of one fault, or FACTOR times what its batch takes without a fault, if that is longer
FACTOR = 5
BATCH = 10  # faults whose tests are first run together without a fault
CODEC = Path("packages/mozcodec")
CAUGHT, SURVIVED, BROKEN = "caught", "SURVIVED", "ERROR"


@click.command("mutants")
@click.argument("names", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="List the faults and run nothing.")
@click.option(
    "--again", is_flag=True, help="Also try the faults that were caught in files that have not changed since."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "out/mutants",
    help="Folder for the copy of the tree and its builds, kept for the next run.  [default: out/mutants]",
)
def command(names: tuple[str, ...], listed: bool, again: bool, work: Path) -> None:
    """Apply the faults in tools/mutants one at a time to a copy of the tree; the tests must catch each.

    NAMES selects the faults whose name or file contains one of these texts.  [default: all]
    A stopped run resumes: a fault that was caught is tried again only if its entry, its file or the files of
    its tests have changed.
    """
    try:
        faults = read_faults()
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    faults = [fault for fault in faults if not names or any(name in fault.name + fault.file for name in names)]
    if not faults:
        raise click.ClickException(f"no fault has {' or '.join(names)} in its name or file")
    wrong = problems(faults)
    if wrong:
        raise click.ClickException("\n".join(wrong))
    if listed:
        click.echo("\n".join(f"{fault.name}  ({fault.file})" for fault in faults))
        return
    if shutil.which("cmake") is None:
        raise click.ClickException("cmake, which builds mozcodec in the copy, was not found: pip install cmake ninja")
    with held(work.resolve() / "lock", f"is working in {work}"):
        copy = Copy(ROOT, work.resolve())
        copy.update(tracked(ROOT))
        copy.prepare()
        results = resume(faults, copy, work / "results.json", click.echo, again)
    click.echo(summary(results))
    if any(result.verdict != CAUGHT for result in results):
        raise SystemExit(1)


@dataclass(frozen=True)
class Result:
    """The result for a fault: the verdict, a short explanation, and the time in seconds."""

    fault: Fault
    verdict: str
    detail: str
    seconds: float


class Copy:
    """A copy of the tree *source* in *work*/tree, with a virtual environment that imports our packages from it."""

    def __init__(self, source: Path, work: Path):
        self.source, self.tree, self.environment = source, work / "tree", work / "venv"

    def update(self, files: Iterable[str]) -> None:
        """Update *files* in the copy from the source; unchanged files keep their modification times, for ninja."""
        wanted = set(files)
        for name in sorted(wanted):
            path = self.tree / name
            if not path.exists() or not filecmp.cmp(self.source / name, path, shallow=False):
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.source / name, path)
        kept = {"build", ".hypothesis", ".pytest_cache"}
        for path in [path for path in self.tree.rglob("*") if path.is_file()]:
            relative = path.relative_to(self.tree)
            if str(relative) not in wanted and not kept & set(relative.parts) and path.suffix != ".so":
                path.unlink()

    def prepare(self) -> None:
        """Create the environment: the packages of the copy first, then everything that is installed here."""
        if not (self.environment / "bin/python").exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], check=True)
        (site,) = self.environment.glob("lib/python3*/site-packages")
        sources = [str(path) for path in sorted(self.tree.glob("packages/*/src"))]
        # as plain paths, so that the .pth files there, which point to the working tree, are not read
        installed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (site / "copy.pth").write_text("\n".join([*sources, *installed]) + "\n", encoding="utf-8")

    @property
    def python(self) -> str:
        return str(self.environment / "bin/python")

    def build(self) -> str | None:
        """Build mozcodec's extension beside its sources; return the compiler's error, or None."""
        package = self.tree / CODEC
        if not package.is_dir():
            return None
        build = package / "build/mutants"
        fetched = (self.source / CODEC / "build").glob("mozjpeg-*[0-9a-f]")
        newest = max(fetched, key=lambda folder: folder.stat().st_ctime, default="")
        source = os.environ.get("MOZCODEC_MOZJPEG_SOURCE", newest)
        define = {
            "CMAKE_BUILD_TYPE": "Release",
            "MOZCODEC_MOZJPEG_SOURCE": source,
            "Python_EXECUTABLE": self.python,
        }
        configure = ["cmake", "-S", package, "-B", build, *(f"-D{name}={value}" for name, value in define.items())]
        if shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        for words in [configure, ["cmake", "--build", build]]:
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
            if done.returncode:
                return done.stdout[-2000:] + done.stderr[-2000:]
        shutil.copyfile(build / "_mozjpeg.abi3.so", package / "src/mozcodec/_mozjpeg.abi3.so")
        return None

    def test(self, tests: Sequence[str], seconds: float | None) -> tuple[int | None, str]:
        """Run *tests* in the copy; return pytest's exit status (None after *seconds*) and the end of its output."""
        options = "-x -q --no-header -p no:cacheprovider -o timeout=0"  # the only limit is *seconds*
        words = [self.python, "-m", "pytest", *options.split(), *tests]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # two faults within a second would have the same time stamp
        try:
            done = subprocess.run(
                words, cwd=self.tree, env=environment, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return None, f"still running after {seconds:.0f} s"
        return done.returncode, (done.stdout + done.stderr)[-2000:]


def tracked(root: Path) -> list[str]:
    """Return the files of the working tree *root* that Git tracks or would add."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (root / name).is_file()]


def resume(
    faults: Sequence[Fault], copy: Copy, path: Path, say: Callable[[str], object], again: bool = False
) -> list[Result]:
    """Return the result for each of *faults*; those caught are kept in the file *path* and not tried twice."""
    kept = {} if again else read_results(path)
    keys = {fault: key(fault, copy.tree) for fault in faults}
    results = {fault: Result(fault, CAUGHT, *kept[keys[fault]]) for fault in faults if keys[fault] in kept}
    if results:
        say(f"{len(results)} of {len(faults)} faults were caught by an earlier run, skipped (--again tries them too)")
    left = [fault for fault in faults if fault not in results]

    def keep(result: Result) -> None:
        say(line(result))
        results[result.fault] = result
        if result.verdict == CAUGHT:
            kept[keys[result.fault]] = [result.detail, result.seconds]
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    for start in range(0, len(left), BATCH):
        try_faults(left[start : start + BATCH], copy, say, keep)
    return [results[fault] for fault in faults]


def read_results(path: Path) -> dict[str, list[Any]]:
    """Return what an earlier run kept in *path*: key of a fault -> what caught it and the seconds it took."""
    try:
        return {
            str(name): [str(detail), float(seconds)] for name, (detail, seconds) in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # no results, or not by this command


def key(fault: Fault, root: Path) -> str:
    """Return the hash of *fault*, of its file and of the files of its tests."""
    total = hashlib.sha256(repr(astuple(fault)).encode())
    for name in [fault.file, *dict.fromkeys(test.partition("::")[0] for test in fault.tests)]:
        total.update((root / name).read_bytes())
    return total.hexdigest()


def try_faults(
    faults: Sequence[Fault], copy: Copy, say: Callable[[str], object], keep: Callable[[Result], object]
) -> list[Result]:
    """Return the result for each of *faults*, after checking that their tests pass without them; *keep* gets each."""
    start = time.monotonic()
    tests = list(dict.fromkeys(test for fault in faults for test in fault.tests))
    error = copy.build()
    status, output = copy.test(tests, None) if error is None else (1, error)  # each test has its own limit
    if status != 0 and len(faults) > 1:
        return [result for fault in faults for result in try_faults([fault], copy, say, keep)]
    if status != 0:
        results = [Result(faults[0], BROKEN, f"its tests fail without it: {output}", time.monotonic() - start)]
        keep(results[0])
        return results
    say(f"{len(tests)} tests pass without a fault ({time.monotonic() - start:.0f} s)")
    limit = max(SECONDS, FACTOR * (time.monotonic() - start))  # a busy machine must not catch a fault
    results = []
    built = False  # whether the extension was built with a fault
    for fault in faults:
        start = time.monotonic()
        path = copy.tree / fault.file
        original, text = path.read_text(encoding="utf-8"), fault.applied(copy.tree)
        if built and not fault.compiled:
            copy.build()
            built = False
        try:
            path.write_text(text, encoding="utf-8")
            error = copy.build() if fault.compiled else None
            built |= fault.compiled
            verdict, detail = (
                (BROKEN, f"it does not compile: {error}") if error else outcome(*copy.test(fault.tests, limit))
            )
        finally:
            path.write_text(original, encoding="utf-8")
        results.append(Result(fault, verdict, detail, time.monotonic() - start))
        keep(results[-1])
    if built:
        copy.build()
    return results


def outcome(status: int | None, output: str) -> tuple[str, str]:
    """Return the verdict for pytest's exit *status* with a fault, and an explanation."""
    if status is None:
        return CAUGHT, output
    if status == 0:
        return SURVIVED, "its tests pass"
    if status == 1 or status < 0 or status >= 128:  # a failure, or a crash of the interpreter
        failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return CAUGHT, failed[0].partition(" - ")[0].rpartition("::")[2] if failed else f"status {status}"
    return BROKEN, f"pytest's status {status}: {output}"


def line(result: Result) -> str:
    return f"{result.verdict:9}{result.seconds:6.0f} s  {result.fault.name}  [{result.detail}]"


def summary(results: Sequence[Result]) -> str:
    """Return the counts and the faults that were not caught, as lines."""
    missed = [result for result in results if result.verdict != CAUGHT]
    text = [f"{len(results) - len(missed)} of {len(results)} faults caught"]
    return "\n".join(text + [f"{result.verdict}: {result.fault.name} ({result.fault.file})" for result in missed])
