"""The speed goals of mozcodec on one page: time beside the reference, and counters that explain it.

    python goals.py [TASK ...] [--rounds N] [--pictures NAME ...] [--no-counters] [--results docs/results.md]

Tasks: encode high sweep optimize decode progressive plain; without any, all of them in about two minutes.

Two tables. Times: process CPU time of ours between two runs of the reference (a C loop of floor.c, one thread), as in
benchmark.py: the median over the rounds, and the geometric mean over the cases. Counters: one image under Valgrind's
callgrind, ours and the reference: instructions, mispredicted branches and misses of the first-level data cache for each
coefficient that is not 0, and those of the functions that take the most. They do not depend on other load on the
machine, but they are of Valgrind's model of a processor, which counts each byte of a large memset as an instruction.
Hardware counters (`perf stat`) are missing in most virtual machines.

Needs what benchmark.py needs; counters need valgrind with its headers (apt-get install valgrind), jpegli is
`pip install ajpegli`.
"""

import argparse
import ctypes
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from callgrind import Counts, load_unstripped, parse, unstripped

HERE = Path(__file__).resolve().parent
COUNTED = "GOALS_COUNTED"
"""Environment variable: the folder of the child process that runs under Valgrind."""


if os.environ.get(COUNTED) and os.environ.get("GOALS_MODULE"):
    load_unstripped(os.environ["GOALS_MODULE"])

import numpy as np  # noqa: E402
from benchmark import HIGH, PICTURES, QUALITIES, SAMPLE, Several, environment, picture  # noqa: E402
from floor import Floor, own_floor  # noqa: E402
from marked import put  # noqa: E402
from tables import geometric, markdown, within  # noqa: E402
from timing import Call, Work, interleave  # noqa: E402

import mozcodec  # noqa: E402

COUNTERS_OF = "coffee.png"
"""The image whose counters are taken."""


@dataclass(frozen=True)
class Case:
    """One comparison: ours and the reference, which do the same."""

    name: str
    ours: Work
    reference: Work
    coefficients: int
    """That are not 0, in all files made or read."""
    others: dict[str, Work] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a goal is about."""

    title: str
    goal: float | None
    """Our time over the reference's, at most."""
    cases: Callable[[Floor, str], Iterator[Case]]
    rounds: int
    same: bool = True
    """Whether the reference makes the same bytes or pixels."""


def coefficients(*files: bytes) -> int:
    """Return the number of coefficients that are not 0."""
    return sum(int(np.count_nonzero(c)) for data in files for c in mozcodec.read_coefficients(data).components)


# ---- tasks -------------------------------------------------------------------------------------------------------


def _encode(floor: Floor, name: str, qualities: tuple[int, ...]) -> Iterator[Case]:
    pixels = picture(name)
    for quality in qualities:
        ours = Call(lambda q=quality: mozcodec.encode(pixels, q))
        yield Case(f"{name} q{quality}", ours, floor.encode(pixels, quality), coefficients(ours()))


def _sweep(floor: Floor, name: str) -> Iterator[Case]:
    if not name.startswith("face"):
        return
    pixels = picture(name)
    ours = Call(lambda: [point.data for point in mozcodec.sweep(pixels, QUALITIES, threads=1)])
    default = Call(lambda: [point.data for point in mozcodec.sweep(pixels, QUALITIES)])
    reference = Several([floor.encode(pixels, quality) for quality in QUALITIES])
    yield Case(f"{name} q{QUALITIES}", ours, reference, coefficients(*ours()), {"ours, default threads": default})


def _optimize(floor: Floor, name: str) -> Iterator[Case]:
    for quality in (77, 10):
        files = {
            "mozjpeg's": mozcodec.encode(picture(name), quality),
            "baseline": floor.turbo(picture(name), quality, "baseline")(),
        }
        for kind, data in files.items():
            ours = Call(lambda d=data: mozcodec.optimize(d, copy="none"))
            yield Case(f"{name} q{quality} {kind}", ours, floor.optimize(data), coefficients(data))


def _decode(floor: Floor, name: str, progressive: bool) -> Iterator[Case]:
    pixels = picture(name)
    data = mozcodec.encode(pixels, 77) if progressive else mozcodec.encode(pixels, 75, profile="fastest")
    yield Case(name, Call(lambda: mozcodec.decode(data, None)), floor.decode(data), coefficients(data))


@cache
def _jpegli() -> Callable[..., object] | None:
    try:
        import ajpegli
    except ImportError:
        return None
    return lambda pixels: ajpegli.encode(pixels, quality=75, progressive=0, optimize=False, subsampling="420")


def _plain(floor: Floor, name: str) -> Iterator[Case]:
    pixels, jpegli = picture(name), _jpegli()
    ours = Call(lambda: mozcodec.encode(pixels, 75, profile="fastest"))
    others: dict[str, Work] = {"jpegli": Call(lambda: jpegli(pixels))} if jpegli else {}
    yield Case(name, ours, floor.turbo(pixels, 75, "baseline"), coefficients(ours()), others)


TASKS = {
    "encode": Task("cjpeg's bytes, q77 60 15 10", 0.12, lambda f, n: _encode(f, n, QUALITIES), 2),
    "high": Task("cjpeg's bytes, q80 to q100", 0.15, lambda f, n: _encode(f, n, HIGH), 1),
    "sweep": Task("sweep of four qualities, one thread", 0.13, _sweep, 7),
    "optimize": Task("lossless optimisation", 0.14, _optimize, 3),
    "decode": Task("decode of a baseline file of q75", 0.85, lambda f, n: _decode(f, n, False), 7),
    "progressive": Task("decode of mozjpeg's progressive file of q77", 0.5, lambda f, n: _decode(f, n, True), 7),
    "plain": Task("plain 4:2:0 encode of q75", 1.0, _plain, 7),
}


# ---- times -------------------------------------------------------------------------------------------------------


def _equal(ours: object, reference: object) -> bool:
    return (ours.tobytes() if isinstance(ours, np.ndarray) else ours) == reference


def times(task: Task, floor: Floor, pictures: list[str], rounds: int | None) -> tuple[str, ...]:
    """Return the cells of a task's row."""
    ratios: dict[str, list[float]] = {}
    nanoseconds = []
    for name in pictures:
        for case in task.cases(floor, name):
            if not _equal(case.ours(), case.reference()):
                raise SystemExit(f"{task.title}, {case.name}: ours and the reference differ")
            found = interleave(case.reference, {"ours": case.ours, **case.others}, rounds or task.rounds, SAMPLE)
            for who, ratio in found.ratios.items():
                ratios.setdefault(who, []).append(ratio.median)
            nanoseconds.append(1e9 * found.floor * found.ratios["ours"].median / case.coefficients)
    own = ratios.pop("ours")
    mean = geometric(own)
    said = "" if task.goal is None else f"{task.goal:g} {'met' if round(mean, 3) <= task.goal else '**missed**'}"
    others = "; ".join(f"{who} {geometric(values):.3f}" for who, values in ratios.items())
    size = f"{len(own)} x {rounds or task.rounds}"
    return (
        task.title,
        size,
        f"{mean:.3f}",
        within(min(own), max(own)),
        said,
        f"{statistics.median(nanoseconds):.1f}",
        others,
    )


# ---- counters ----------------------------------------------------------------------------------------------------


def count(names: list[str], folder: Path) -> None:
    """Run one case of each task, in the child: twice, the second time counted."""
    switch = ctypes.CDLL(str(folder / "counters.so"))
    floor = own_floor(folder)
    for name in names:
        task = TASKS[name]
        cases = (c for p in (COUNTERS_OF, "face 256") for c in task.cases(floor, p))
        case = next(c for c in cases if name != "high" or c.name.endswith("q95"))
        for who, work in (("ours", case.ours), ("reference", case.reference)):
            work.seconds(1)
            switch.counters_begin()
            work.seconds(1)
            switch.counters_forget()
            work.seconds(1)
            switch.counters_end(f"{name}|{who}|{case.coefficients}|{case.name}".encode())


def counters(names: list[str]) -> str:
    """Run the child under Valgrind and return its tables, or why there are none."""
    module = unstripped()
    with tempfile.TemporaryDirectory() as folder:
        compiled = ["cc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/counters.so", str(HERE / "counters.c")]
        if not shutil.which("valgrind") or subprocess.run(compiled, capture_output=True, check=False).returncode:
            return "No counters: valgrind or its headers are missing (apt-get install valgrind)."
        command = [
            *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--cache-sim=yes", "--branch-sim=yes"),
            *("--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={folder}/counts"),
            *(sys.executable, str(HERE / "goals.py"), *names),
        ]
        told = {**os.environ, COUNTED: folder, "GOALS_MODULE": str(module or ""), "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"No counters: {done.stderr[-2000:]}"
        taken = dict(parse(path.read_text(errors="replace")) for path in Path(folder).glob("counts.*"))
    lines = []
    for name in names:
        for label in sorted((one for one in taken if one.startswith(f"{name}|")), reverse=True):
            lines += _lines(label, taken[label])
    head = ("what", "coefficients", "instructions", "mispredicted", "L1 misses")
    missing = "" if module else "\n\nThe module has no names of functions: build it in this folder (pip install -e)."
    return "For each coefficient that is not 0:\n\n" + markdown(head, lines) + missing


def _lines(label: str, functions: dict[str, Counts]) -> list[tuple[str, ...]]:
    name, who, number, case = label.split("|")
    unit, total = int(number), Counts()
    for one in functions.values():
        total.instructions += one.instructions
        total.mispredicted += one.mispredicted
        total.misses += one.misses
    lines = [(f"**{name}, {who}** ({case})", number, *total.cells(unit))]
    for function, counts in sorted(functions.items(), key=lambda item: -item[1].instructions)[:8]:
        if counts.instructions > 0.02 * total.instructions:
            lines.append((f"- {function}", "", *counts.cells(unit)))
    return lines


def names_given(args: argparse.Namespace) -> list[str]:
    """Return the arguments that change what is measured."""
    rounds = [] if args.rounds is None else ["--rounds", str(args.rounds)]
    pictures = [] if args.pictures == list(PICTURES) else ["--pictures", *args.pictures]
    return [*args.tasks, *rounds, *pictures]


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)}; default all")
    parser.add_argument("--rounds", type=int, help="in place of the task's own number")
    parser.add_argument("--pictures", nargs="*", default=list(PICTURES), metavar="NAME", help="default all nine")
    parser.add_argument("--no-counters", action="store_true", help="times alone")
    parser.add_argument(
        "--results", type=Path, help="also write the tables into this page, between the marks of goals.py"
    )
    args = parser.parse_args()
    names = args.tasks or list(TASKS)
    for name in names:
        if name not in TASKS:
            parser.error(f"TASK: {name!r} is none of {', '.join(TASKS)}")
    if folder := os.environ.get(COUNTED):
        count(names, Path(folder))
        return
    about = environment(sys.argv[1:])
    said = (
        f"{about['date']}, commit `{about['commit']}`, load {about['load']} at the start, {about['cores']} cores of an "
        f"{about['cpu']}, {about['system']}; command: `{shlex.join(['python', 'goals.py', *names_given(args)])}`."
    )
    print(said + "\n", flush=True)
    head = ("what", "cases x rounds", "ours / reference", "range", "goal", "ns a coefficient", "others / reference")
    print(markdown(head, []), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        floor = own_floor(Path(folder))
        for name in names:
            row = times(TASKS[name], floor, args.pictures, args.rounds)
            rows.append(row)
            print("| " + " | ".join(row) + " |", flush=True)
    counted = "" if args.no_counters else counters(names)
    print("\n" + counted)
    if args.results:
        put(args.results, "goals.py", f"{said}\n\n{markdown(head, rows)}\n\n{counted}")


if __name__ == "__main__":
    main()
