"""mozcodec against C loops over libmozjpeg that make the same bytes and pixels, and against its peers.

    python benchmark.py contenders        installed contenders with their versions, missing ones with the reason
    python benchmark.py encode            cjpeg's bytes at qualities 77, 60, 15, 10, and others' smallest files
    python benchmark.py high              the same at qualities 80 to 100, mozcodec alone
    python benchmark.py library           the same bytes by the library's encoder (engine="library")
    python benchmark.py fastest           libjpeg-turbo's plain baseline files (profile="fastest"), and others'
    python benchmark.py decode            baseline files to pixels, all contenders
    python benchmark.py progressive       mozjpeg's progressive files to pixels, all contenders
    python benchmark.py eighth            1/8 of the size, compared with a full decode
    python benchmark.py call              fixed cost of a call in microseconds, without the codec: 8x8 gray
    python benchmark.py sweep             4 and 16 qualities of one face
    python benchmark.py optimize          lossless optimisation, reading included
    python benchmark.py threads           encode_many on two threads, compared with two threads that only count
    python benchmark.py large             100 megapixels: time and peak memory
    python benchmark.py all --json FILE --markdown FILE --docs

Times are process CPU seconds. The contenders run in turn in this process, each between two runs of the C loop, and a
ratio is to the mean of these two; a case's ratio is the median over the rounds. A table gives the geometric mean over
its cases, of the medians and of the quartiles, and the range of the medians. The C loop (floor.c, compiled here with
-O3 against the pinned mozjpeg with its SIMD code) repeats in C, so its time includes no call from Python; its bytes and
pixels are first compared with mozcodec's. cjpeg and jpeglib run in processes of their own, whose CPU time counts.

Needs a C compiler and cmake, as mozcodec does, Pillow and scikit-image. The other contenders (contenders.py) are
optional: ``pip install -r peers.txt`` and ``apt-get install libjpeg62-turbo-dev libturbojpeg0`` install them all.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from contenders import ENCODING, MOZCODEC, OWN_C, Loaded, load
from documents import summary, write
from floor import PACKAGE
from identity import face, module_hash, photo
from tables import Figures, Finding, Goal, Row, Table, within
from timing import Call, Timed, Work, interleave, spread

import mozcodec
from mozcodec._engine import this_thread
from mozcodec._mozjpeg import ffi, lib

PICTURES = (
    *("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "ihc.png", "rocket.jpg"),
    *("hubble_deep_field.jpg", "face 256", "face 380"),
)
QUALITIES = (77, 60, 15, 10)
HIGH = (80, 85, 90, 95, 98, 100)
SIXTEEN = (*range(5, 80, 5), 77)
SAMPLE = 0.02
"""Seconds per sample: short compared with drifts of the machine, long compared with a first call with cold caches."""
CALL_SAMPLE = 0.004
"""The same for calls of a few microseconds."""
CONTROL = "the C loop itself, once more"


@cache
def picture(name: str) -> np.ndarray:
    """Return an image of the benchmark, (H, W, 3) uint8, contiguous."""
    return np.ascontiguousarray(face(int(name.split()[1])) if name.startswith("face") else photo(name))


def measured(case: str, floor: Work, works: Mapping[str, Work], rounds: int, sample: float, **more: object) -> Row:
    """Return the row of a case, and print it."""
    found: Timed = interleave(floor, works, rounds, sample)
    row = Row(case, 1e3 * found.floor, found.ratios, **more)
    print(row, flush=True)
    return row


# ---- modes -------------------------------------------------------------------------------------------------------


class Form:
    """A call of its result runs the engine's given form: 1 baseline, 2 x86-64-v3."""

    def __init__(self, cpu: int) -> None:
        self.engine = ffi.gc(lib.mzc_engine_new(cpu), lib.mzc_engine_free)

    def __call__(self, call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            thread = this_thread()
            usual, thread.engine = thread.engine, self.engine
            try:
                return call()
            finally:
                thread.engine = usual

        return run


@dataclass(frozen=True)
class Bench:
    """The arguments of every mode: contenders, images, number of rounds (None: the mode's own number)."""

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
        """The same work by all contenders that support it, mozcodec first."""
        return {
            name: one.tasks[task](*arguments)
            for name, one in self.loaded.items()
            if name != OWN_C and task in one.tasks
        }

    def smallest(self, pixels: np.ndarray, quality: int) -> dict[str, Work]:
        """The smallest files of all contenders at this quality number, and libjpeg-turbo's from C."""
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
    goals = {MOZCODEC: Goal(0.17, aim=0.12), f"{MOZCODEC}: MOZCODEC_CPU=baseline": Goal(0.2)}
    rows = _encoding(bench, QUALITIES, rounds, beside=True)
    return Table("cjpeg's bytes at qualities 77, 60, 15, 10", OWN_C, rows, rounds, goals)


def high(bench: Bench) -> Table:
    rounds = bench.rounds(2)
    goals = {MOZCODEC: Goal(0.22)}
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
    return Table("cjpeg's bytes by the library's encoder", OWN_C, rows, rounds, {column: Goal(1.02)})


def fastest(bench: Bench) -> Table:
    rounds, rows, loop = bench.rounds(11), [], f"{MOZCODEC}: an Encoder, as in a loop"
    for name in bench.pictures:
        pixels, encoder = picture(name), mozcodec.Encoder(75, profile="fastest")
        floor, works = bench.floor("baseline", pixels, 75), bench.others("baseline", pixels, 75)
        works[loop] = Call(lambda p=pixels, e=encoder: e.encode(p))
        same = works[MOZCODEC]() == floor() == works[loop]()
        sizes = {key: len(work()) for key, work in works.items()}
        works[CONTROL] = floor
        rows.append(measured(f"{name} q75", floor, works, rounds, SAMPLE, same=same, sizes=sizes))
    title = 'plain baseline files at quality 75, 4:2:0 (profile="fastest")'
    return Table(title, OWN_C, rows, rounds, {MOZCODEC: Goal(1.03), loop: Goal(1.03)})


def _decoding(bench: Bench, title: str, make: Callable[[np.ndarray], bytes]) -> Table:
    rounds, rows = bench.rounds(7), []
    for name in bench.pictures:
        data = make(picture(name))
        floor, works = bench.floor("decode", data), bench.others("decode", data)
        same = works[MOZCODEC]().tobytes() == floor()
        works[CONTROL] = floor
        rows.append(measured(name, floor, works, rounds, SAMPLE, same=same))
    return Table(title, OWN_C, rows, rounds, {MOZCODEC: Goal(1.03)})


def decode(bench: Bench) -> Table:
    title = "full decode of a baseline file of quality 75"
    return _decoding(bench, title, lambda pixels: mozcodec.encode(pixels, 75, profile="fastest"))


def progressive(bench: Bench) -> Table:
    title = "full decode of mozjpeg's progressive file of quality 77"
    return _decoding(bench, title, lambda pixels: mozcodec.encode(pixels, 77))


def eighth(bench: Bench) -> Table:
    rounds, rows, full = bench.rounds(3), [], bench.loaded[MOZCODEC].tasks["decode"]
    for name in bench.pictures:
        pixels = picture(name)
        for kind, data in (
            ("mozjpeg's q90, 4:4:4", mozcodec.encode(pixels, 90)),
            ("mozjpeg's q90, 4:2:0", mozcodec.encode(pixels, 90, subsampling="4:2:0")),
            ("libjpeg-turbo's progressive q90, 4:2:0", bench.floor("progressive", pixels, 90)()),
        ):
            works = {**bench.others("eighth", data), OWN_C: bench.floor("eighth", data)}
            rows.append(measured(f"{name} {kind}", full(data), works, rounds, SAMPLE))
    title = "1/8 of the size of a progressive file of quality 90, mozcodec's full decode = 1"
    return Table(title, "mozcodec's full decode", rows, rounds, {MOZCODEC: Goal(0.25)})


def call(bench: Bench) -> Figures:
    """Microseconds beyond the C loop over the same build, which makes the same files and pixels of one block."""
    rounds = bench.rounds(51)
    gray = np.full((8, 8), 100, np.uint8)
    data = mozcodec.encode(gray, 75, profile="fastest")
    encoder = mozcodec.Encoder(75, profile="fastest")
    lines, found = [], []
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
        timed = interleave(floor, works, rounds, CALL_SAMPLE)
        lines.append((title, OWN_C, f"{1e6 * timed.floor:.1f} in all", ""))
        for name, extra in timed.extra.items():
            cells = (f"{1e6 * extra.median:.1f}", within(1e6 * extra.low, 1e6 * extra.high, 1))
            lines.append((title, name, *cells))
            if name == MOZCODEC:
                verdict = Goal(10).verdict(1e6 * extra.median) if title == "encode" else "none set"
                what = f"fixed cost of a call, 8x8 gray, microseconds: {title}"
                found.append(Finding(what, f"1 x {rounds}", *cells, "", verdict))
    head = ("what", "who", "microseconds beyond the C loop's", "quartiles")
    return Figures(f"fixed cost of a call: 8x8 gray, {rounds} rounds", head, lines, found)


def sweep(bench: Bench) -> Figures:
    """One face at several qualities: by sweep, and by encode one after the other, over the C loop."""
    rounds, lines, found = bench.rounds(9), [], []
    cases = (("face 256", QUALITIES, 0.17), ("face 256", SIXTEEN, 0.155), ("face 380", QUALITIES, None))
    for name, qualities, limit in cases:
        pixels = picture(name)
        floor = Several([bench.floor("mozjpeg", pixels, quality) for quality in qualities])
        swept = Call(lambda p=pixels, q=qualities: [point.data for point in mozcodec.sweep(p, q, threads=1)])
        single = Call(lambda p=pixels, q=qualities: [mozcodec.encode(p, quality) for quality in q])
        same, case = swept() == floor(), f"{name}, {len(qualities)} qualities"
        ratios = measured(case, floor, {"sweep": swept, "encode": single}, rounds, SAMPLE, same=same).ratios
        numbers = [(f"{ratio.median:.3f}", within(ratio.low, ratio.high)) for ratio in ratios.values()]
        lines.append((case, *numbers[0], *numbers[1], "equal" if same else "DIFFERENT"))
        if limit:
            verdict = Goal(limit).verdict(ratios["sweep"].median)
            found.append(Finding(f"sweep: {case}", f"1 x {rounds}", *numbers[0], "", verdict))
    head = ("", "sweep, C loop = 1", "quartiles", "encode, one by one", "quartiles", "bytes")
    return Figures(f"several qualities of one image, {rounds} rounds", head, lines, found)


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
    return Table(title, OWN_C, rows, rounds, {MOZCODEC: Goal(0.27, aim=0.2)})


def _gain(call: Callable[[int], float]) -> float:
    """Return how much more call(2) gives than call(1), run in this order: 1, 2, 2, 1."""
    first, second, third, fourth = call(1), call(2), call(2), call(1)
    return (second + third) / (first + fourth)


def threads(bench: Bench) -> Figures:
    """encode_many's speed-up from a second thread, over that of a counting loop in the same round."""
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
        print("encode_many {:.3f}; counting threads {:.3f}".format(*gains[-1]), flush=True)
    ours, theirs = (statistics.median(column) for column in zip(*gains, strict=True))
    shares = spread([a / b for a, b in gains])
    cells = (f"{shares.median:.3f}", within(shares.low, shares.high))
    verdict = Goal(0.95, at_least=True).verdict(shares.median)
    what = f"wall time: gain of encode_many from a second thread ({ours:.3f}) over that of counting ({theirs:.3f})"
    found = [Finding(what, f"1 x {rounds}", *cells, "", verdict)]
    head = ("encode_many, 2 threads over 1", "counting threads, 2 over 1", "share", "quartiles")
    line = (f"{ours:.3f}", f"{theirs:.3f}", *cells)
    return Figures(f"two threads, wall time, {rounds} rounds", head, [line], found)


_LARGE = """
import resource, sys, time
from pathlib import Path
import numpy as np
import mozcodec
tile = np.load(sys.argv[1])
height, width = (int(n) for n in sys.argv[2].split("x"))
pixels = np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]
unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
before = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
data = mozcodec.encode(pixels, 77, engine=sys.argv[3])
spent = time.process_time() - began
peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
statm = Path("/proc/self/statm")  # Linux only
now = int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else float("nan")
print(spent, (peak - before) / 2**20, (now - before) / 2**20, len(data))
"""


def large(bench: Bench) -> Figures:
    """Time and memory beyond the image, each engine in a fresh process."""
    lines, spent, peaks = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "tile.npy"), photo("coffee.png"))
        for engine in ("library", "fast"):
            command = [sys.executable, "-c", _LARGE, str(Path(folder, "tile.npy")), bench.size, engine]
            words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            spent[engine], peaks[engine], kept, length = (float(word) for word in words)
            ratio = f"{spent[engine] / spent['library']:.3f}"
            numbers = (f"{spent[engine]:.2f}", ratio, f"{peaks[engine]:.0f}", f"{kept:.0f}", f"{int(length)}")
            lines.append((f'engine="{engine}"', *numbers))
            print("; ".join(lines[-1]), flush=True)
    head = ("", "CPU s", "ratio", "peak MiB beyond the image", "MiB kept, the file among them", "bytes")
    title = f"one image of {bench.size} pixels at quality 77"
    seconds, memory = spent["fast"] / spent["library"], peaks["fast"] / max(peaks["library"], 1)
    found = [
        Finding(f"{title}: CPU time over the library's", "1 x 1", f"{seconds:.3f}", "", "", "none set"),
        Finding(f"{title}: peak memory over the library's", "1 x 1", f"{memory:.3f}", "", "", Goal(1).verdict(memory)),
    ]
    return Figures(title, head, lines, found)


# ---- the report --------------------------------------------------------------------------------------------------

MODES: dict[str, Callable[[Bench], Table | Figures]] = {
    mode.__name__: mode
    for mode in (encode, high, library, fastest, decode, progressive, eighth, call, sweep, optimize, threads, large)
}


def environment(words: list[str]) -> dict[str, str]:
    """Return what the numbers depend on; *words* are the command line."""
    git = partial(subprocess.run, cwd=PACKAGE, capture_output=True, text=True, check=False)
    commit = git(["git", "rev-parse", "--short", "HEAD"]).stdout.strip()
    changed = git(["git", "status", "--porcelain", "--", "src", "csrc", "cmake"]).stdout.strip()
    cpus = Path("/proc/cpuinfo")  # Linux only
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "") if Path("/etc/os-release").exists() else ""
    return {
        "commit": commit + " and uncommitted changes" * bool(changed),
        "module": module_hash(),
        "date": time.strftime("%Y-%m-%d"),
        "command": shlex.join(["python", "benchmark.py", *words]),
        "cpu": model,
        "cores": str(os.cpu_count()),
        "system": system,
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        **{name: str(value) for name, value in mozcodec.build_info().items()},
    }


def who(loaded: Mapping[str, Loaded], missing: Mapping[str, str]) -> str:
    """Return the contenders and their versions, and for missing ones the reason and how to install them."""
    here = [f"- {name}: {one.version}; {', '.join(one.tasks)}" for name, one in loaded.items()]
    return "\n".join([*here, *(f"- {name}: not available ({reason})" for name, reason in missing.items())])


def _choices(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[str]:
    """Return the options that change what is measured, as they were given."""
    names = [name for name in ("rounds", "pictures", "size") if getattr(arguments, name) != parser.get_default(name)]
    return [word for name in names for word in (f"--{name}", str(getattr(arguments, name)))]


def save(path: Path, about: dict, taken: Mapping[str, Table | Figures]) -> None:
    """Write the measurements so far; the file is replaced atomically."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(json.dumps({**about, **{name: asdict(table) for name, table in taken.items()}}, indent=1))
    unfinished.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=(*MODES, "contenders", "all"), metavar="what", help="as above")
    parser.add_argument("--rounds", type=int, help="instead of each mode's own number")
    parser.add_argument("--pictures", default=",".join(PICTURES), help='files of scikit-image, or "face 256"')
    parser.add_argument("--size", default="10000x10000", help="of the large image")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--docs", action="store_true", help="write the numbers of `all` into README.md and results.md")
    arguments = parser.parse_args()
    names = tuple(arguments.pictures.split(","))
    for name in names:
        try:
            picture(name)
        except (OSError, ValueError, IndexError) as error:
            parser.error(f'--pictures: {name!r} is neither an image of scikit-image nor "face SIZE": {error}')
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"--rounds must be 1 or more, got {arguments.rounds}")
    loaded, missing = load()
    wanted = list(MODES) if "all" in arguments.what else [name for name in arguments.what if name in MODES]
    complete = set(wanted) == set(MODES)
    if arguments.docs and not complete:
        parser.error(f"--docs needs all modes; missing: {', '.join(name for name in MODES if name not in wanted)}")
    about = environment([*(["all"] if complete else arguments.what), *_choices(parser, arguments)])
    report = ["; ".join(f"{name} {value}" for name, value in about.items()), who(loaded, missing)]
    print("\n\n".join(report), flush=True)
    for needed in (MOZCODEC, OWN_C):
        if needed in missing:
            sys.exit(f"nothing can be measured without {needed}: {missing[needed]}")
    bench = Bench(loaded, names, arguments.rounds, arguments.size)
    taken: dict[str, Table | Figures] = {}
    for name in wanted:
        taken[name] = MODES[name](bench)
        report.append(taken[name].markdown(loaded))
        print("\n" + report[-1] + "\n", flush=True)
        if arguments.json:
            save(arguments.json, {"environment": about, "missing": missing}, taken)
    tables = {name: taken[name] for name in MODES if name in taken}
    if tables:
        report.append(summary(tables, loaded, about))
        print("\n" + report[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("\n\n".join(report) + "\n")
    if arguments.docs:
        write(tables, loaded, about)


if __name__ == "__main__":
    main()
