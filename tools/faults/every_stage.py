"""The families of cases of all stages: signals, damaged inputs and limits of the system."""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from detector.errors import DetectorError
from evaluation.sums import SUMS

from . import Case, family
from .cases import SIGNALS, WRONG
from .damage import cell, cut, flip, places, put, put_yaml, replace, without_hashes
from .stages import STAGES, Bench, Stage, files, prepare
from .warm import CLONE_NEWNS, Result, Warm

KILLS = 12  # of each stage
DAMAGES = 8  # turns of the damaged inputs: up to four cases of each stage in each
LIMITS = 3  # turns of the limits of the system
TEXTS = ("", "-1", "x", "1e9", "../x", "9" * 30, "\0", '"')  # put into cells of tables
PARAMETERS = (*WRONG, float("nan"), "~", "a" * 5000, {"a": 1})
SECONDS = 120.0  # after which a case counts as hanging
UNHASHED = (".mp4", ".png")  # inputs without a hash: a changed bit may give other pixels

_benches: dict[Path, Bench] = {}
_warm = Warm()


def bench(sample: Path) -> Bench:
    """Return the stages' sample beside that of the compress stage, made at the first call."""
    place = sample.with_name("pipeline")
    if place not in _benches:
        _benches[place] = prepare(place, _warm)
    return _benches[place]


def close() -> None:
    """End the process that runs the trials."""
    _warm.__exit__()
    _benches.clear()


def by_turns(number: int) -> Iterator[tuple[int, Stage]]:
    """Yield *number* turns, each of all stages: the first cases of a family are of different stages."""
    for turn in range(number):
        for stage in STAGES.values():
            yield turn, stage


# -- signals -----------------------------------------------------------------------------------------------------------


@family("kills of every stage", "killed at any moment and run again: the same bytes, nothing left beside them")
def kills(seed: int, sample: Path) -> Iterator[Case]:
    """Interrupt each stage at random moments, one to two times, then let it finish."""
    rng = random.Random(seed)
    for turn, stage in by_turns(KILLS):
        number, hits, chosen = SIGNALS[turn % len(SIGNALS)], rng.randint(1, 2), rng.randrange(1 << 30)
        yield Case(
            f"{stage.name}: {number.name} {turn}, {hits} times", partial(_killed, sample, stage, number, hits, chosen)
        )


def _killed(sample: Path, stage: Stage, number: int, hits: int, seed: int, folder: Path) -> str:
    here, rng = bench(sample), random.Random(seed)
    here.place(stage, folder)
    for _ in range(hits):
        result = here.run(stage, folder, number=number, delay=rng.uniform(0.05, here.seconds[stage.name]))
        if "Traceback" in result.text:
            return f"traceback after the signal: {result.text[-1500:]}"
        if result.code == -signal.SIGALRM:
            return "did not end after the signal"
    result = here.run(stage, folder)
    if result.code:
        return f"the run after it failed: {result.code} {result.text[-1500:]}"
    left = here.leftovers(stage, folder)
    return here.wrong(stage, folder) or (f"left behind: {left}" if left else "")


# -- damaged inputs ----------------------------------------------------------------------------------------------------


@family(
    "damaged inputs of every stage",
    "one line that names the file; a file without a hash may be read as it is; never a crash, a hang or half an output",
)
def damage(seed: int, sample: Path) -> Iterator[Case]:
    """Flip bits, cut files, and put wrong values into JSON, CSV and YAML files, with and without their hashes."""
    rng = random.Random(seed)
    here = bench(sample)
    for turn, stage in by_turns(DAMAGES):
        read = [name for name in files(here.folder, stage.reads) if (here.folder / name).stat().st_size]
        name, position, bit = rng.choice(read), rng.random(), 1 << rng.randrange(8)
        change = partial(flip, position, bit) if turn % 2 else partial(cut, position)
        yield _damaged(sample, stage, f"{'bit' if turn % 2 else 'cut'} {turn}", name, change)
        plain, said = turn % 2 == 1, f"{' without hashes' * (turn % 2)} {turn}"
        if documents := [name for name in read if name.endswith(".json")]:
            name, wrong = rng.choice(documents), rng.choice(WRONG)
            place = rng.choice(list(places(json.loads((here.folder / name).read_text(encoding="utf-8")))))
            title = f"{'.'.join(map(str, place))} = {wrong!r}{said}"
            yield _damaged(sample, stage, title, name, partial(put, place, wrong), plain)
        tables = [name for name in read if name.endswith(".csv")]
        if tables := [name for name in tables if (here.folder / name).read_bytes().count(b"\n") > 1]:
            name, text = rng.choice(tables), rng.choice(TEXTS)
            row, column = rng.randrange(1 << 30), rng.randrange(1 << 30)
            title = f"cell {row % 1000}, {column % 1000} = {text!r}{said}"
            yield _damaged(sample, stage, title, name, partial(cell, row, column, text), plain)
        if stage.argv[0] == "detector":
            wrong, chosen = rng.choice(PARAMETERS), rng.randrange(1 << 30)
            yield _damaged(sample, stage, f"{wrong!r:.40} {turn}", "params.yaml", partial(put_yaml, chosen, wrong))


def _damaged(
    sample: Path, stage: Stage, title: str, name: str, change: Callable[[bytes], bytes], plain: bool = False
) -> Case:
    def run(folder: Path) -> str:
        here = bench(sample)
        here.place(stage, folder)
        if plain:
            without_hashes(folder)
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(change(before))
        result = here.run(stage, folder, seconds=SECONDS)
        free = plain or name == "params.yaml" or name.endswith(UNHASHED)
        return judged(here, stage, folder, result, (Path(name).name, str(Path(name).parent)), free)

    return Case(f"{stage.name}: {name}: {title}", run)


def judged(here: Bench, stage: Stage, folder: Path, result: Result, named: tuple[str, ...], free: bool) -> str:
    """Return what is wrong with the *result* of a trial in *folder*.

    An error must name one of *named*. Success needs the outputs of an undisturbed run; with *free*, any outputs.
    """
    if result.code == -signal.SIGALRM:
        return "hangs"
    if "Traceback" in result.text or result.code not in (0, 1, 2, 3):
        return f"ended with {result.code}: {result.text[-1500:]}"
    if left := here.leftovers(stage, folder):
        allowed = {f".{Path(name).name}.work" for name in stage.writes}  # of tasks: the next run continues there
        if result.code == 0 or not all(Path(name).name in allowed for name in left):
            return f"left behind: {left}"
    written = stage.written(folder)
    if result.code == 0:
        if len(written) != len(stage.writes):
            return f"success without all outputs, only {written}"
        return "" if free else here.wrong(stage, folder)
    if result.code != 3 and written:
        return f"outputs in spite of the error: {written}"
    said = result.text + "".join(
        (folder / name).read_text(encoding="utf-8") for name in written if name.endswith(".jsonl")
    )
    if not any(part in said for part in (*named, *stage.reads)):
        return f"the error names no file: {result.text.strip()[-500:]}"
    return ""


# -- limits of the system ----------------------------------------------------------------------------------------------


def privileged() -> bool:
    """Whether this process may mount file systems, in a mount namespace of its own that ends with it."""
    global _mounts
    if _mounts is None:
        libc = ctypes.CDLL(None, use_errno=True)
        _mounts = not libc.unshare(CLONE_NEWNS) and not libc.mount(b"none", b"/", None, 0x44000, None)
    return _mounts


_mounts: bool | None = None


def mount(kind: str, place: Path, options: str, flags: int = 0, source: Path | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    origin = os.fsencode(source) if source is not None else b"none"
    if libc.mount(origin, os.fsencode(place), kind.encode(), flags, options.encode() or None):
        raise OSError(ctypes.get_errno(), "mount", str(place))


def unmount(place: Path) -> None:
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(place), 2)  # MNT_DETACH


@family(
    "limits of the system for every stage",
    "a message with the path or the reason, nothing partial, the old output whole",
)
def system(seed: int, sample: Path) -> Iterator[Case]:
    """Little space, few descriptors, a small address space, unusual files as inputs, other permissions."""
    rng = random.Random(seed)
    mounts = privileged()
    here = bench(sample)
    base = address_space()
    for turn, stage in by_turns(LIMITS):
        total = sum((here.folder / name).stat().st_size for name in files(here.folder, stage.writes))
        if mounts:
            size = rng.randrange(4096, max(3 * total // 2, 20_000))
            yield Case(f"{stage.name}: {size} bytes of disk ({turn})", partial(_full, sample, stage, size))
        limit = rng.randrange(0, max(total, 1000))
        yield _limited(sample, stage, f"files of {limit} bytes at most ({turn})", "fsize", limit)
        count = (12, 5, 25)[turn] + rng.randrange(3)
        yield _limited(sample, stage, f"{count} descriptors", "files", count)
        extra = (150, 30, 500)[turn] + rng.randrange(30)
        yield _limited(
            sample, stage, f"{extra} MiB of address space beyond that of the libraries", "memory", base + (extra << 20)
        )
        kind = rng.choice(("pipe", "device", "folder", "loop", "socket"))
        name = rng.choice(list(files(here.folder, stage.reads)))
        yield Case(f"{stage.name}: {name} is a {kind} ({turn})", partial(_replaced, sample, stage, name, kind))
        mask = (0o077, 0o027, 0o000)[turn]
        yield Case(f"{stage.name}: umask {mask:03o}", partial(_masked, sample, stage, mask))
        if mounts and turn == 0:
            yield Case(f"{stage.name}: read-only output folder", partial(_read_only, sample, stage))
            yield Case(f"{stage.name}: no /dev/shm", partial(_without_shm, sample, stage))


def address_space() -> int:
    """Return the bytes of address space that the process of the trials takes before a command starts (Linux)."""
    table = Path("/proc/self/statm")
    if not table.exists():
        raise DetectorError(f"{table}: no such file: the limits of the system are tried on Linux")
    probe = f"import tools.faults.warm as w; w.load(); print(open('{table}').read().split()[0])"
    pages = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    return int(pages) * resource.getpagesize()


def kept(here: Bench, stage: Stage, folder: Path, result: Result) -> str:
    """Return what is wrong after *stage* ran in *folder* under a limit, over its earlier output."""
    if result.code == -signal.SIGALRM:
        return "hangs"
    gone = stage.writes if stage.resumes else stage.withdrawn
    # a list of answers may be there in part: the next run completes it
    written = [name for name in stage.written(folder) if not (stage.resumes and name.endswith(".jsonl"))]
    old = [name for name in stage.writes if name not in gone or name in written]
    if wrong := here.wrong(stage, folder, old):
        return f"the old output was changed ({result.code} {result.text[-500:]}): {wrong}"
    if result.code == 0:
        return ""
    if "Traceback" in result.text or result.code not in (1, 2, 3) or not result.text.strip():
        return f"ended with {result.code}: {result.text[-1500:]}"
    return ""


def _limited(sample: Path, stage: Stage, title: str, kind: str, limit: int) -> Case:
    def run(folder: Path) -> str:
        here = bench(sample)
        here.place(stage, folder, outputs=not stage.resumes)
        result = here.run(stage, folder, limits={kind: limit}, seconds=SECONDS)
        return kept(here, stage, folder, result) or _again(here, stage, folder)

    return Case(f"{stage.name}: {title}", run)


def _again(here: Bench, stage: Stage, folder: Path) -> str:
    """Return what is wrong with a run without the limit after one with it."""
    result = here.run(stage, folder)
    if result.code:
        return f"the run after it failed: {result.code} {result.text[-1500:]}"
    left = here.leftovers(stage, folder)
    return here.wrong(stage, folder) or (f"left behind: {left}" if left else "")


def _full(sample: Path, stage: Stage, size: int, folder: Path) -> str:
    """Run *stage* with its outputs on a file system of *size* free bytes, then with enough."""
    here = bench(sample)
    here.place(stage, folder)
    inputs = sum((folder / name).stat().st_size + 4096 for name in files(folder, ("out",)))
    keep = folder.with_name(f"{folder.name}-out")
    (folder / "out").rename(keep)
    (folder / "out").mkdir()
    mount("tmpfs", folder / "out", f"size={inputs + size + 65536}")
    try:
        _fill(keep, folder / "out")
        result = here.run(stage, folder, seconds=SECONDS)
        if result.code == -signal.SIGALRM or "Traceback" in result.text or result.code not in (0, 1, 2, 3):
            return f"ended with {result.code}: {result.text[-1500:]}"
        if result.code and not result.text.strip():
            return "failed without a word"
        found = stage.written(folder)
        if result.code == 0 and stage.writes and not found:
            return "succeeded without an output"
        if wrong := here.wrong(stage, folder, found):
            return f"partial output ({result.code}): {wrong}"
        mount("tmpfs", folder / "out", "size=100m", 0x20)  # MS_REMOUNT
        return _again(here, stage, folder)
    finally:
        unmount(folder / "out")


def _fill(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    shutil.rmtree(source)


def _read_only(sample: Path, stage: Stage, folder: Path) -> str:
    here = bench(sample)
    here.place(stage, folder, outputs=not stage.resumes)
    out = folder / "out"
    mount("", out, "", 0x1000, out)  # MS_BIND
    mount("", out, "", 0x1000 | 0x20 | 1)  # MS_BIND | MS_REMOUNT | MS_RDONLY
    try:
        result = here.run(stage, folder, seconds=SECONDS)
        return kept(here, stage, folder, result) or (
            "" if result.code and "out" in result.text else f"no path: {result.text}"
        )
    finally:
        unmount(out)


def _without_shm(sample: Path, stage: Stage, folder: Path) -> str:
    here = bench(sample)
    here.place(stage, folder)
    result = here.run(stage, folder, no_shm=True, seconds=SECONDS)
    if result.code:
        return f"ended with {result.code}: {result.text[-1500:]}"
    return here.wrong(stage, folder)


def _masked(sample: Path, stage: Stage, mask: int, folder: Path) -> str:
    here = bench(sample)
    here.place(stage, folder)
    result = here.run(stage, folder, umask=mask, seconds=SECONDS)
    if result.code:
        return f"ended with {result.code}: {result.text[-1500:]}"
    for name in files(folder, stage.writes):
        if (mode := stat.S_IMODE((folder / name).stat().st_mode)) != 0o666 & ~mask:
            return f"{name} has the permissions {mode:o}"
    return here.wrong(stage, folder)


def _replaced(sample: Path, stage: Stage, name: str, kind: str, folder: Path) -> str:
    here = bench(sample)
    here.place(stage, folder)
    path = folder / name
    replace(path, kind)
    result = here.run(stage, folder, seconds=SECONDS)
    return judged(
        here, stage, folder, result, (path.name, str(Path(name).parent)), free=name.endswith((*UNHASHED, SUMS))
    )
