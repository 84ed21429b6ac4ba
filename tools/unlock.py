"""``python -m tools unlock``: lock files of DVC that a killed process left damaged.

DVC writes ``.dvc/tmp/rwlock`` in place. A process that is killed at that moment leaves it empty or cut, and every
later ``dvc repro`` fails with "Unable to read RWLock-file". A process that is killed later leaves its PID in the file,
which blocks the next one if the number has been given to another process. Both are removed here, unless a DVC process
works in this repository.

DVC also writes ``dvc.lock``, which says what the stages were made from, in place. If it is empty or cut, the committed
one takes its place, or none; finished stages are then found in DVC's run cache.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import click

from detector.data.files import whole_file
from detector.errors import DataError
from detector.schema import read_json

LOCKS = Path(".dvc/tmp")
RUNS = Path(".dvc/cache/runs")
STAGES = Path("dvc.lock")


@dataclass(frozen=True)
class Owner:
    pid: int
    cmd: str


@dataclass(frozen=True)
class ReadersAndWriters:
    """The file rwlock: who writes, and who reads, which path."""

    write: dict[str, Owner] = field(default_factory=dict)
    read: dict[str, list[Owner]] = field(default_factory=dict)

    def without(self, pids: set[int]) -> dict[str, object]:
        write = {path: vars(owner) for path, owner in self.write.items() if owner.pid not in pids}
        read = {path: [vars(o) for o in owners if o.pid not in pids] for path, owners in self.read.items()}
        return {"write": write, "read": {path: owners for path, owners in read.items() if owners}}

    def pids(self) -> set[int]:
        return {o.pid for o in self.write.values()} | {o.pid for owners in self.read.values() for o in owners}


@click.command("unlock")
@click.option("--check", is_flag=True, help="Change nothing; say what stops DVC, with exit status 1.")
@click.argument("root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
def command(check: bool, root: Path) -> None:
    """Repair DVC's lock files in the repository ROOT after a crash."""
    problems = damage(root)
    if problems and (running := dvc_processes(root)):
        number = ", ".join(map(str, running))
        raise DataError(f"{root / LOCKS}: DVC is at work here (process {number}); wait for it, or end it with kill")
    for path, text in problems.items():
        if check:
            continue
        repair(path)
        click.echo(f"{path}: {text}; repaired")
    for path in (root / LOCKS / "rwlock", root / STAGES):  # the others only cause warnings
        if check and path in problems:
            raise DataError(f"{path}: {problems[path]}; make unlock repairs it")
    if not check and not problems:
        click.echo(f"{root / LOCKS}: DVC's lock files are in order")


def damage(root: Path) -> dict[Path, str]:
    """Return what is wrong with which of DVC's lock files in the repository *root*."""
    found = dict.fromkeys(sorted((root / RUNS).glob("*/*/.*.tmp")), "left by an interrupted command")
    if (root / STAGES).exists() and not is_valid(root / STAGES):
        found[root / STAGES] = _written(root / STAGES)
    path = root / LOCKS / "rwlock"
    if not path.exists():
        return found
    try:
        others = {pid for pid in read_json(path, ReadersAndWriters).pids() if is_other(pid)}
    except DataError:
        return {path: _written(path)} | found
    if others:
        numbers = ", ".join(map(str, sorted(others)))
        return {path: f"names processes of DVC that have ended; the numbers are in use again ({numbers})"} | found
    return found


def _written(path: Path) -> str:
    state = "empty" if not path.stat().st_size else "damaged"
    return f"{state}, because a process of DVC was killed while it wrote it"


def is_valid(path: Path) -> bool:
    """Return whether DVC reads *path* as a ``dvc.lock``."""
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from dvc.utils import strictyaml

    try:
        strictyaml.load(str(path), Lockfile.SCHEMA)
    except DvcException:
        return False
    return True


def repair(path: Path) -> None:
    """Remove the damaged file *path*, or the ended processes from it; of ``dvc.lock``, restore the committed one."""
    if path.name == STAGES.name:
        command = ["git", "show", f"HEAD:./{path.name}"]
        committed = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)
        with whole_file(path) as temporary:
            temporary.write_bytes(committed.stdout)
        if committed.returncode or not is_valid(path):
            path.unlink()
        return
    try:
        owners = read_json(path, ReadersAndWriters)
    except DataError:
        path.unlink()
        return
    left = owners.without({pid for pid in owners.pids() if is_other(pid)})
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(left), encoding="utf-8")


def is_dvc(pid: int) -> bool:
    """Return whether the process *pid* is alive and DVC."""
    import psutil  # a dependency of DVC

    try:
        return any(Path(word).name == "dvc" for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def is_other(pid: int) -> bool:
    """Return whether the process *pid* is alive and not DVC; DVC itself only finds out that a process has ended."""
    import psutil

    return psutil.pid_exists(pid) and not is_dvc(pid)


def dvc_processes(root: Path) -> list[int]:
    """Return the processes of DVC whose working directory is in the repository *root*."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if is_dvc(process.pid) and Path(process.cwd()).is_relative_to(root.resolve()):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
