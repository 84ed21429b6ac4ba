"""mozcodec against C loops over libmozjpeg that make the same bytes and pixels, and against its peers.

    python benchmark.py contenders        who is here, in which version, and who is not, and why
    python benchmark.py encode            cjpeg's bytes at qualities 77, 60, 15, 10, beside everybody's smallest files
    python benchmark.py high              the same at qualities 80 to 100, mozcodec alone
    python benchmark.py library           the same bytes by the library's encoder (engine="library")
    python benchmark.py fastest           libjpeg-turbo's plain baseline files (profile="fastest"), beside everybody's
    python benchmark.py decode            baseline and progressive files to pixels, beside everybody
    python benchmark.py eighth            1/8 of the size, beside a full decode
    python benchmark.py call              microseconds that a call costs beside the codec: 8x8 gray
    python benchmark.py sweep             4 and 16 qualities of one face
    python benchmark.py optimize          lossless optimisation, reading included
    python benchmark.py threads           encode_many on two threads beside two that only count
    python benchmark.py large             100 megapixels: time and peak memory
    python benchmark.py all --json FILE --markdown FILE

Times are process CPU seconds. The contenders run in turn in this process, each between two runs of the C loop, and a
ratio is to the mean of these two; a case's ratio is the median over the rounds. A table gives the geometric mean over
its cases, of the medians and of the quartiles, and the range of the medians. The C loop (floor.c, compiled here with
-O3 against the pinned mozjpeg with its SIMD code) repeats in C, so that no call from Python stands in its time; its
bytes and pixels are compared with mozcodec's first. cjpeg and jpeglib run in processes of their own, whose CPU time
counts.

Needs a C compiler and cmake, as mozcodec does, Pillow and scikit-image. The other contenders (contenders.py) are
optional: ``pip install -r peers.txt`` and ``apt-get install libjpeg62-turbo-dev libturbojpeg0`` bring them all.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from contenders import ENCODING, MOZCODEC, OWN_C, Loaded, load
from floor import PACKAGE
from identity import face, photo
from timing import Call, Spread, Timed, Work, interleave, spread

import mozcodec
from mozcodec import _engine
from mozcodec._mozjpeg import ffi, lib

PICTURES = (
    *("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "ihc.png", "rocket.jpg"),
    *("hubble_deep_field.jpg", "face 256", "face 380"),
)
QUALITIES = (77, 60, 15, 10)
HIGH = (80, 85, 90, 95, 98, 100)
SIXTEEN = (*range(5, 80, 5), 77)
SAMPLE = 0.02
"""Seconds at a time: short against what drifts, long against the first call after somebody else has had the caches."""
CALL_SAMPLE = 0.004
"""The same for calls of a few microseconds."""
CONTROL = "the C loop itself, once more"


@cache
def picture(name: str) -> np.ndarray:
    """Return a picture of the benchmark, (H, W, 3) uint8, contiguous."""
    return np.ascontiguousarray(face(int(name.split()[1])) if name.startswith("face") else photo(name))


def geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


# ---- tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One case: the floor's least time, and everybody's ratio to the floor."""

    case: str
    floor_ms: float
    ratios: dict[str, Spread]
    same: bool | None = None
    """Whether mozcodec's bytes or pixels were the floor's; None where there is nothing to compare."""
    sizes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [self.case, f"{self.floor_ms:.3f} ms", *(["DIFFERENT"] if self.same is False else [])]
        return "; ".join([*words, *(f"{name} {ratio.median:.3f}" for name, ratio in self.ratios.items())])


@dataclass(frozen=True)
class Goal:
    """What a column's geometric mean should not pass."""

    column: str
    limit: float

    def judge(self, value: float) -> str:
        return f"goal {self.limit:g}: {'met' if value <= self.limit else 'missed'}"


@dataclass(frozen=True)
class Table:
    """The rows of one mode."""

    title: str
    unit: str
    """What 1 is."""
    rows: list[Row]
    rounds: int
    goals: tuple[Goal, ...] = ()

    def columns(self) -> list[str]:
        """Return who was measured in every case."""
        return [name for name in self.rows[0].ratios if all(name in row.ratios for row in self.rows)]

    def mean(self, column: str) -> Spread:
        """Return the geometric means of the medians and of the quartiles."""
        found = [row.ratios[column] for row in self.rows]
        return Spread(*(geometric([getattr(s, part) for s in found]) for part in ("median", "low", "high")))

    def _line(self, column: str, loaded: Mapping[str, Loaded]) -> str:
        mean, medians = self.mean(column), [row.ratios[column].median for row in self.rows]
        judged = [goal.judge(mean.median) for goal in self.goals if goal.column == column]
        sizes = [row.sizes[column] / row.sizes[MOZCODEC] for row in self.rows if column in row.sizes]
        known = next((one.version for name, one in loaded.items() if column.split(":")[0] == name), "")
        cells = (
            *(column, known, f"{mean.median:.3f}", f"{mean.low:.3f} .. {mean.high:.3f}"),
            f"{min(medians):.3f} .. {max(medians):.3f}",
            *([f"{geometric(sizes):.2f}" if sizes else ""] if self.rows[0].sizes else []),
            *(["; ".join(judged)] if self.goals else []),
        )
        return "| " + " | ".join(cells) + " |"

    def markdown(self, loaded: Mapping[str, Loaded]) -> str:
        compared = [row.same for row in self.rows if row.same is not None]
        equal = f"; equal to the C loop's in {sum(compared)} of {len(compared)}" if compared else ""
        head = ["", "version", f"CPU time, {self.unit} = 1", "quartiles", "range of cases"]
        head += ["bytes, mozcodec = 1"] if self.rows[0].sizes else []
        head += ["goal"] if self.goals else []
        return "\n".join([
            f"### {self.title}\n",
            f"n = {len(self.rows)} cases, {self.rounds} rounds each{equal}.\n",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *(self._line(column, loaded) for column in self.columns()),
        ])  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """A table of words and numbers that are no ratios."""

    title: str
    head: tuple[str, ...]
    lines: list[tuple[str, ...]]

    def markdown(self, _: Mapping[str, Loaded]) -> str:
        rows = [self.head, ("---",) * len(self.head), *self.lines]
        return f"### {self.title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def measured(case: str, floor: Work, works: Mapping[str, Work], rounds: int, sample: float, **more: object) -> Row:
    """Return the row of a case, and print it."""
    found: Timed = interleave(floor, works, rounds, sample)
    row = Row(case, 1e3 * found.floor, found.ratios, **more)
    print(row, flush=True)
    return row


# ---- what is measured --------------------------------------------------------------------------------------------


class Form:
    """Within this context, calls of this thread run the engine's given form: 1 baseline, 2 x86-64-v3."""

    def __init__(self, cpu: int) -> None:
        self.engine = ffi.gc(lib.mzc_engine_new(cpu), lib.mzc_engine_free)

    def __call__(self, call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            usual, _engine._local.engine = _engine.engine(), self.engine
            try:
                return call()
            finally:
                _engine._local.engine = usual

        return run


@dataclass(frozen=True)
class Bench:
    """What every mode takes: who is here, which pictures, how many rounds (None: the mode's own number)."""

    loaded: dict[str, Loaded]
    pictures: tuple[str, ...]
    wanted_rounds: int | None
    size: str

    def rounds(self, usual: int) -> int:
        return self.wanted_rounds or usual

    def floor(self, task: str, *arguments: object) -> Work:
        """The work of the C loop over mozcodec's own build."""
        return self.loaded[OWN_C].tasks[task](*arguments)

    def others(self, task: str, *arguments: object) -> dict[str, Work]:
        """The same work of everybody else who can do it, mozcodec first."""
        return {
            name: one.tasks[task](*arguments)
            for name, one in self.loaded.items()
            if name != OWN_C and task in one.tasks
        }

    def smallest(self, pixels: np.ndarray, quality: int) -> dict[str, Work]:
        """Everybody's smallest files of this quality number, and libjpeg-turbo's from C."""
        works = {}
        for name, one in self.loaded.items():
            kind = next(kind for kind in ENCODING if kind in one.tasks)
            if name == OWN_C:
                for plain in ("progressive", "optimised"):
                    works[f"{OWN_C}: as libjpeg-turbo, {plain}"] = one.tasks[plain](pixels, quality)
            elif name != MOZCODEC:
                works[f"{name}: {kind}"] = one.tasks[kind](pixels, quality)
        return works


def _encoding(bench: Bench, qualities: tuple[int, ...], rounds: int, beside: bool) -> list[Row]:
    baseline, rows = Form(1), []
    for name in bench.pictures:
        for quality in qualities:
            pixels, floor = picture(name), bench.floor("mozjpeg", picture(name), quality)
            works: dict[str, Work] = {
                MOZCODEC: Call(lambda p=pixels, q=quality: mozcodec.encode(p, q)),
                f"{MOZCODEC}: MOZCODEC_CPU=baseline": Call(
                    baseline(lambda p=pixels, q=quality: mozcodec.encode(p, q, engine="fast"))
                ),
                f'{MOZCODEC}: engine="library"': Call(
                    lambda p=pixels, q=quality: mozcodec.encode(p, q, engine="library")
                ),
                **(bench.smallest(pixels, quality) if beside else {}),
            }
            sizes = {key: len(work()) for key, work in works.items()}
            same = works[MOZCODEC]() == floor()
            rows.append(measured(f"{name} q{quality}", floor, works, rounds, SAMPLE, same=same, sizes=sizes))
    return rows


def encode(bench: Bench) -> Table:
    rounds = bench.rounds(3)
    goals = (Goal(MOZCODEC, 0.17), Goal(f"{MOZCODEC}: MOZCODEC_CPU=baseline", 0.2))
    rows = _encoding(bench, QUALITIES, rounds, beside=True)
    return Table("cjpeg's bytes at qualities 77, 60, 15, 10", OWN_C, rows, rounds, goals)


def high(bench: Bench) -> Table:
    rounds = bench.rounds(3)
    goals = (Goal(MOZCODEC, 0.22),)
    rows = _encoding(bench, HIGH, rounds, beside=False)
    return Table("cjpeg's bytes at qualities 80, 85, 90, 95, 98, 100", OWN_C, rows, rounds, goals)


def library(bench: Bench) -> Table:
    rounds, rows, column = bench.rounds(9), [], f'{MOZCODEC}: engine="library"'
    for name in bench.pictures:
        for quality in (77, 10):
            pixels, floor = picture(name), bench.floor("mozjpeg", picture(name), quality)
            ours = Call(lambda p=pixels, q=quality: mozcodec.encode(p, q, engine="library"))
            works = {column: ours, CONTROL: floor}
            rows.append(measured(f"{name} q{quality}", floor, works, rounds, SAMPLE, same=ours() == floor()))
    return Table("cjpeg's bytes by the library's encoder, from Python", OWN_C, rows, rounds, (Goal(column, 1.02),))


def fastest(bench: Bench) -> Table:
    rounds, rows = bench.rounds(15), []
    for name in bench.pictures:
        floor, works = bench.floor("baseline", picture(name), 75), bench.others("baseline", picture(name), 75)
        same, sizes = works[MOZCODEC]() == floor(), {key: len(work()) for key, work in works.items()}
        works[CONTROL] = floor
        rows.append(measured(f"{name} q75", floor, works, rounds, SAMPLE, same=same, sizes=sizes))
    title = 'plain baseline files at quality 75, 4:2:0 (profile="fastest")'
    return Table(title, OWN_C, rows, rounds, (Goal(MOZCODEC, 1.03),))


def decode(bench: Bench) -> Table:
    rounds, rows = bench.rounds(9), []
    for name in bench.pictures:
        pixels = picture(name)
        for kind, data in (
            ("baseline q75", mozcodec.encode(pixels, 75, profile="fastest")),
            ("mozjpeg's progressive q77", mozcodec.encode(pixels, 77)),
        ):
            floor, works = bench.floor("decode", data), bench.others("decode", data)
            same = works[MOZCODEC]().tobytes() == floor()
            works[CONTROL] = floor
            rows.append(measured(f"{name} {kind}", floor, works, rounds, SAMPLE, same=same))
    return Table("full decode, baseline and progressive files", OWN_C, rows, rounds, (Goal(MOZCODEC, 1.03),))


def eighth(bench: Bench) -> Table:
    rounds, rows, full = bench.rounds(5), [], bench.loaded[MOZCODEC].tasks["decode"]
    for name in bench.pictures:
        pixels = picture(name)
        for kind, data in (
            ("mozjpeg's q90, 4:4:4", mozcodec.encode(pixels, 90)),
            ("mozjpeg's q90, 4:2:0", mozcodec.encode(pixels, 90, subsampling="4:2:0")),
            ("libjpeg-turbo's progressive q90, 4:2:0", bench.floor("progressive", pixels, 90)()),
        ):
            works = {**bench.others("eighth", data), OWN_C: bench.floor("eighth", data)}
            rows.append(measured(f"{name} {kind}", full(data), works, rounds, SAMPLE))
    title = "1/8 of the size of a progressive file of quality 90"
    return Table(title, "mozcodec's full decode", rows, rounds, (Goal(MOZCODEC, 0.25),))


def call(bench: Bench) -> Figures:
    """Microseconds beside the C loop over the same build, which makes the same files and pixels of one block."""
    rounds = bench.rounds(51)
    gray = np.full((8, 8), 100, np.uint8)
    data = mozcodec.encode(gray, 75, profile="fastest")
    encoder = mozcodec.Encoder(75, profile="fastest")
    lines = []
    for title, floor, own in (
        ("encode", bench.floor("baseline", gray, 75), {
            MOZCODEC: Call(lambda: mozcodec.encode(gray, 75, profile="fastest")),
            f"{MOZCODEC}: Encoder": Call(lambda: encoder.encode(gray)),
        }),
        ("decode", bench.floor("decode", data), {MOZCODEC: Call(lambda: mozcodec.decode(data, "gray"))}),
        ("header", bench.floor("header", data), {MOZCODEC: Call(lambda: mozcodec.read_header(data))}),
    ):  # fmt: skip
        task = "baseline" if title == "encode" else title
        arguments = (gray, 75) if title == "encode" else (data,)
        works = {**own, **{k: w for k, w in bench.others(task, *arguments).items() if k != MOZCODEC}}
        found = interleave(floor, works, rounds, CALL_SAMPLE)
        lines.append((title, OWN_C, f"{1e6 * found.floor:.1f} in all", "", ""))
        for name, extra in found.extra.items():
            goal = Goal(name, 10).judge(1e6 * extra.median) if name == MOZCODEC and title == "encode" else ""
            low, high = 1e6 * extra.low, 1e6 * extra.high
            lines.append((title, name, f"{1e6 * extra.median:.1f}", f"{low:.1f} .. {high:.1f}", goal))
    head = ("what", "who", "microseconds beyond the C loop's", "quartiles", "goal")
    return Figures(f"fixed cost of a call: 8x8 gray, {rounds} rounds", head, lines)


def sweep(bench: Bench) -> Figures:
    """One face at several qualities: by sweep, and by encode one after the other, over the C loop."""
    rounds, lines = bench.rounds(9), []
    cases = (("face 256", QUALITIES, 0.17), ("face 256", SIXTEEN, 0.155), ("face 380", QUALITIES, 0))
    for name, qualities, limit in cases:
        pixels = picture(name)
        floor = Several([bench.floor("mozjpeg", pixels, quality) for quality in qualities])
        swept = Call(lambda p=pixels, q=qualities: [point.data for point in mozcodec.sweep(p, q, threads=1)])
        single = Call(lambda p=pixels, q=qualities: [mozcodec.encode(p, quality) for quality in q])
        same, case = swept() == floor(), f"{name}, {len(qualities)} qualities"
        ratios = measured(case, floor, {"sweep": swept, "encode": single}, rounds, SAMPLE, same=same).ratios
        judged = Goal("sweep", limit).judge(ratios["sweep"].median) if limit else ""
        numbers = (f"{r.median:.3f} ({r.low:.3f} .. {r.high:.3f})" for r in ratios.values())
        lines.append((case, *numbers, "equal" if same else "DIFFERENT", judged))
    head = ("", "sweep, C loop = 1 (quartiles)", "encode, one by one", "bytes", "goal")
    return Figures(f"several qualities of one picture, {rounds} rounds", head, lines)


@dataclass(frozen=True)
class Several:
    """Works one after another as one."""

    works: list[Work]

    def __call__(self) -> list[object]:
        return [work() for work in self.works]

    def seconds(self, repeat: int) -> float:
        return sum(work.seconds(repeat) for work in self.works)


def optimize(bench: Bench) -> Table:
    rounds, rows = bench.rounds(5), []
    for name in bench.pictures:
        for quality in (77, 10):
            pixels = picture(name)
            for kind, data in (
                ("mozjpeg's file", mozcodec.encode(pixels, quality)),
                ("baseline", bench.floor("baseline", pixels, quality)()),
            ):
                floor = bench.floor("optimize", data)
                ours = Call(lambda d=data: mozcodec.optimize(d, copy="none"))
                works, same = {MOZCODEC: ours}, ours() == floor()
                rows.append(measured(f"{name} q{quality} {kind}", floor, works, rounds, SAMPLE, same=same))
    title = "lossless optimisation, reading included (C loop: as jpegtran)"
    return Table(title, OWN_C, rows, rounds, (Goal(MOZCODEC, 0.27),))


def _gain(call: Callable[[int], float]) -> float:
    """Return how much more call(2) gives than call(1), run in this order: 1, 2, 2, 1."""
    first, second, third, fourth = call(1), call(2), call(2), call(1)
    return (second + third) / (first + fourth)


def threads(bench: Bench) -> Figures:
    """encode_many's gain from a second thread, over what a second spinning thread gains in the same round."""
    images, rounds, spin = [picture("face 380")] * 400, bench.rounds(5), bench.floor("spin", 0.6)

    def encoding(count: int) -> float:
        began = time.perf_counter()
        sum(1 for _ in mozcodec.encode_many(images, 77, threads=count))
        return len(images) / (time.perf_counter() - began)

    def spinning(count: int) -> float:
        with ThreadPoolExecutor(count) as pool:
            return sum(pool.map(lambda _: spin(), range(count)))

    encoding(2)  # every thread's working memory
    gains = []
    for _ in range(rounds):
        gains.append((_gain(encoding), _gain(spinning)))
        print("encode_many {:.3f}; spinning threads {:.3f}".format(*gains[-1]), flush=True)
    ours, theirs = (statistics.median(column) for column in zip(*gains, strict=True))
    shares = spread([a / b for a, b in gains])
    judged = f"goal 0.95: {'met' if shares.median >= 0.95 else 'missed'}"
    line = (f"{ours:.3f}", f"{theirs:.3f}", f"{shares.median:.3f}", f"{shares.low:.3f} .. {shares.high:.3f}", judged)
    head = ("encode_many, 2 threads over 1", "spinning threads, 2 over 1", "share", "quartiles", "goal")
    return Figures(f"two threads, wall time, {rounds} rounds", head, [line])


_LARGE = """
import resource, sys, time
import numpy as np
import mozcodec
tile = np.load(sys.argv[1])
height, width = (int(n) for n in sys.argv[2].split("x"))
pixels = np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
data = mozcodec.encode(pixels, 77, engine=sys.argv[3])
spent = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
now = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
print(spent, (peak - before) / 1024, (now - before) / 1024, len(data))
"""


def large(bench: Bench) -> Figures:
    """Time and memory beyond the picture, each engine in a fresh process."""
    lines, spent = [], {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "tile.npy"), photo("coffee.png"))
        for engine in ("library", "fast"):
            command = [sys.executable, "-c", _LARGE, str(Path(folder, "tile.npy")), bench.size, engine]
            words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            spent[engine], peak, kept, length = (float(word) for word in words)
            ratio = f"{spent[engine] / spent['library']:.3f}"
            numbers = (f"{spent[engine]:.2f}", ratio, f"{peak:.0f}", f"{kept:.0f}", f"{int(length)}")
            lines.append((f'engine="{engine}"', *numbers))
            print("; ".join(lines[-1]), flush=True)
    head = ("", "CPU s", "ratio", "peak MiB beyond the picture", "MiB kept, the file among them", "bytes")
    return Figures(f"one picture of {bench.size} pixels at quality 77", head, lines)


# ---- the report --------------------------------------------------------------------------------------------------

MODES: dict[str, Callable[[Bench], Table | Figures]] = {
    mode.__name__: mode
    for mode in (encode, high, library, fastest, decode, eighth, call, sweep, optimize, threads, large)
}


def environment() -> dict[str, str]:
    """Return what the numbers depend on."""
    commit = subprocess.run(["git", "-C", PACKAGE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    return {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python benchmark.py", *sys.argv[1:]]),
        "cpu": model,
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        **{name: str(value) for name, value in mozcodec.build_info().items()},
    }


def who(loaded: Mapping[str, Loaded], missing: Mapping[str, str]) -> str:
    """Return the contenders and their versions, and of the missing ones the reason and how to bring them."""
    here = [f"- {name}: {one.version}; {', '.join(one.tasks)}" for name, one in loaded.items()]
    return "\n".join([*here, *(f"- {name}: not here ({reason})" for name, reason in missing.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*MODES, "contenders", "all"))
    parser.add_argument("--rounds", type=int, help="instead of each mode's own number")
    parser.add_argument("--pictures", default=",".join(PICTURES), help='files of scikit-image, or "face 256"')
    parser.add_argument("--size", default="10000x10000", help="of the large picture")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    arguments = parser.parse_args()
    loaded, missing = load()
    about = environment()
    report = ["; ".join(f"{name} {value}" for name, value in about.items()), who(loaded, missing)]
    print("\n\n".join(report), flush=True)
    for needed in (MOZCODEC, OWN_C):
        if needed in missing:
            sys.exit(f"nothing can be measured without {needed}: {missing[needed]}")
    bench = Bench(loaded, tuple(arguments.pictures.split(",")), arguments.rounds, arguments.size)
    tables = {}
    for name, mode in MODES.items():
        if arguments.what in (name, "all"):
            tables[name] = mode(bench)
            report.append(tables[name].markdown(loaded))
            print("\n" + report[-1] + "\n", flush=True)
    if arguments.json:
        measured_ = {name: asdict(table) for name, table in tables.items()}
        arguments.json.write_text(json.dumps({"environment": about, "missing": missing, **measured_}, indent=1))
    if arguments.markdown:
        arguments.markdown.write_text("\n\n".join(report) + "\n")


if __name__ == "__main__":
    main()
