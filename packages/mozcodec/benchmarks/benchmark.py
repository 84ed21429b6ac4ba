"""mozcodec against a C loop over libmozjpeg that makes the same bytes, and against its peers.

    python benchmark.py encode            cjpeg's defaults at qualities 77, 60, 15, 10, beside the peers installed
    python benchmark.py high              qualities 80 to 100
    python benchmark.py sweep             4 and 16 qualities of one face
    python benchmark.py optimize          lossless optimisation, reading included
    python benchmark.py threads           encode_many on two threads beside two spinning ones
    python benchmark.py large             100 megapixels: time and peak memory
    python benchmark.py all --json FILE

Times are process CPU seconds. The things compared run in turn, in this process, and the ratio is the median over the
rounds of ratios within a round, so that a busy machine disturbs all alike. ratio = time / time of the C loop (floor.c,
compiled here with -O3 against the pinned mozjpeg with its SIMD code); bytes of both are compared first. cjpeg runs as a
process of its own. Needs a C compiler and cmake, as mozcodec does.
"""

import argparse
import ctypes
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from identity import face, photo
from PIL import Image

import mozcodec
from mozcodec import _engine
from mozcodec._mozjpeg import ffi, lib

PACKAGE = Path(__file__).resolve().parents[1]
PICTURES = (
    *("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "ihc.png", "rocket.jpg"),
    *("hubble_deep_field.jpg", "face 256", "face 380"),
)
QUALITIES = (77, 60, 15, 10)
HIGH = (80, 85, 90, 95, 98, 100)
SIXTEEN = (*range(5, 80, 5), 77)


@cache
def picture(name: str) -> np.ndarray:
    """Return a picture of the benchmark, (H, W, 3) uint8, contiguous."""
    return np.ascontiguousarray(face(int(name.split()[1])) if name.startswith("face") else photo(name))


# ---- the floor ---------------------------------------------------------------------------------------------------


class _Picture(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("channels", ctypes.c_int),
    )


class Floor:
    """The C loops of floor.c."""

    def __init__(self, folder: Path) -> None:
        """Build mozjpeg's library and programs (as the tests do) and floor.c into *folder*."""
        build = PACKAGE / "build" / "programs"
        for command in (
            ["cmake", "-S", PACKAGE, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DMOZCODEC_PROGRAMS=ON",
             f"-DMOZCODEC_MOZJPEG_SOURCE={os.environ.get('MOZCODEC_MOZJPEG_SOURCE', '')}",
             f"-DPython_EXECUTABLE={sys.executable}"],
            ["cmake", "--build", build],
        ):  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
        self.programs = build / "mozjpeg-build"
        cache_lines = (self.programs / "CMakeCache.txt").read_text().splitlines()
        source = next(line.split("=", 1)[1] for line in cache_lines if line.startswith("CMAKE_HOME_DIRECTORY"))
        library = folder / "floor.so"
        subprocess.run(
            ["cc", "-O3", "-shared", "-fPIC", f"-I{source}", f"-I{self.programs}", "-o", library,
             Path(__file__).with_name("floor.c"), self.programs / "libjpeg.a", "-lm",
             "-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic"],
            check=True,
        )  # fmt: skip
        self.c = ctypes.CDLL(str(library))
        for name in ("floor_encode", "floor_turbo", "floor_optimize"):
            getattr(self.c, name).restype = ctypes.c_ulong

    def _take(self, call: Callable[[object], int]) -> bytes:
        out = ctypes.POINTER(ctypes.c_ubyte)()
        size = call(ctypes.byref(out))
        data = ctypes.string_at(out, size)
        self.c.floor_free(out)
        return data

    @staticmethod
    def _describe(pixels: np.ndarray) -> _Picture:
        return _Picture(pixels.ctypes.data, pixels.shape[1], pixels.shape[0], pixels.shape[2])

    def encode(self, pixels: np.ndarray, quality: float) -> bytes:
        p = self._describe(pixels)
        return self._take(lambda out: self.c.floor_encode(ctypes.byref(p), ctypes.c_float(quality), out))

    def turbo(self, pixels: np.ndarray, quality: int, kind: int) -> bytes:
        p = self._describe(pixels)
        return self._take(lambda out: self.c.floor_turbo(ctypes.byref(p), quality, kind, out))

    def optimize(self, data: bytes) -> bytes:
        return self._take(lambda out: self.c.floor_optimize(data, ctypes.c_ulong(len(data)), out))

    def cjpeg(self, pixels: np.ndarray, quality: float) -> bytes:
        header = b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0])
        command = [self.programs / "cjpeg-static", "-quality", str(quality)]
        return subprocess.run(command, input=header + pixels.tobytes(), capture_output=True, check=True).stdout


# ---- timing ------------------------------------------------------------------------------------------------------


def cpu_time() -> float:
    """Return CPU seconds of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def seconds(call: Callable[[], object], repeat: int) -> float:
    began = cpu_time()
    for _ in range(repeat):
        call()
    return (cpu_time() - began) / repeat


def ratios(floor: Callable[[], object], others: dict[str, Callable], rounds: int) -> tuple[float, dict[str, float]]:
    """Return the floor's least time, and each other's median ratio to the floor over *rounds* interleaved rounds."""
    for call in others.values():
        call()
    repeat = max(1, int(0.02 / max(seconds(floor, 1), 1e-6)))
    times, found = [], {name: [] for name in others}
    for _ in range(rounds):
        base = seconds(floor, repeat)
        times.append(base)
        for name, call in others.items():
            found[name].append(seconds(call, repeat) / base)
    return min(times), {name: statistics.median(values) for name, values in found.items()}


def geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


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


# ---- tables ------------------------------------------------------------------------------------------------------


def peers(floor: Floor, pixels: np.ndarray, quality: int) -> dict[str, Callable[[], object]]:
    """Return what else is installed, as calls that give JPEG bytes of this quality number."""
    calls: dict[str, Callable[[], object]] = {
        "libjpeg-turbo progressive (C)": lambda: floor.turbo(pixels, quality, 2),
        "libjpeg-turbo optimised (C)": lambda: floor.turbo(pixels, quality, 1),
        "cjpeg (process)": lambda: floor.cjpeg(pixels, quality),
    }
    image = Image.fromarray(pixels)

    def pillow() -> bytes:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, progressive=True, optimize=True)
        return out.getvalue()

    calls["Pillow progressive"] = pillow
    try:
        import simplejpeg

        calls["simplejpeg"] = lambda: simplejpeg.encode_jpeg(pixels, quality, "RGB", "420")
    except ImportError:
        pass
    try:
        import pyvips

        view = pyvips.Image.new_from_memory(pixels.data, pixels.shape[1], pixels.shape[0], 3, "uchar")
        calls["pyvips progressive"] = lambda: view.jpegsave_buffer(Q=quality, interlace=True, optimize_coding=True)
    except (ImportError, OSError):
        pass
    return calls


def encode_rows(floor: Floor, names: tuple[str, ...], qualities: tuple[int, ...], rounds: int, beside: bool) -> list:
    baseline, rows = Form(1), []
    for name in names:
        for quality in qualities:
            pixels = picture(name)
            same = mozcodec.encode(pixels, quality) == floor.encode(pixels, quality)
            calls = {
                "mozcodec": lambda p=pixels, q=quality: mozcodec.encode(p, q),
                "mozcodec, baseline": baseline(lambda p=pixels, q=quality: mozcodec.encode(p, q, engine="fast")),
                "mozcodec, library": lambda p=pixels, q=quality: mozcodec.encode(p, q, engine="library"),
            }
            if beside:
                calls |= peers(floor, pixels, quality)
            least, found = ratios(lambda p=pixels, q=quality: floor.encode(p, q), calls, rounds)
            sizes = {key: len(call()) for key, call in calls.items()}
            rows.append({"picture": name, "quality": quality, "same": same, "floor ms": 1e3 * least, **found,
                         "sizes": sizes})  # fmt: skip
            show(rows[-1])
    return rows


def sweep_rows(floor: Floor, rounds: int) -> list:
    rows = []
    for name, qualities in (("face 256", QUALITIES), ("face 256", SIXTEEN), ("face 380", QUALITIES)):
        pixels = picture(name)

        def run(p: np.ndarray = pixels, q: tuple = qualities) -> list[bytes]:
            return [point.data for point in mozcodec.sweep(p, q, threads=1)]

        def loop(p: np.ndarray = pixels, q: tuple = qualities) -> list[bytes]:
            return [floor.encode(p, quality) for quality in q]

        encode = lambda p=pixels, q=qualities: [mozcodec.encode(p, quality) for quality in q]  # noqa: E731
        least, found = ratios(loop, {"mozcodec.sweep": run, "mozcodec.encode, one by one": encode}, rounds)
        rows.append({"picture": name, "quality": f"{len(qualities)} qualities", "same": run() == loop(),
                     "floor ms": 1e3 * least, **found})  # fmt: skip
        show(rows[-1])
    return rows


def optimize_rows(floor: Floor, names: tuple[str, ...], rounds: int) -> list:
    rows = []
    for name in names:
        for quality in (77, 10):
            for kind, data in (
                ("mozjpeg", mozcodec.encode(picture(name), quality)),
                ("baseline", floor.turbo(picture(name), quality, 0)),
            ):
                run = lambda d=data: mozcodec.optimize(d, copy="none")  # noqa: E731
                least, found = ratios(lambda d=data: floor.optimize(d), {"mozcodec.optimize": run}, rounds)
                rows.append({"picture": name, "quality": f"{quality} {kind}", "same": run() == floor.optimize(data),
                             "floor ms": 1e3 * least, **found})  # fmt: skip
                show(rows[-1])
    return rows


def _spin(stop: float) -> int:
    count = 0
    while time.perf_counter() < stop:
        count += 1
    return count


_SPIN = "import sys, time\nn, stop = 0, time.perf_counter() + 1.0\nwhile time.perf_counter() < stop: n += 1\nprint(n)"


def _spinning(processes: int) -> int:
    running = [subprocess.Popen([sys.executable, "-c", _SPIN], stdout=subprocess.PIPE) for _ in range(processes)]
    return sum(int(process.communicate()[0]) for process in running)


def threads_row(rounds: int) -> dict:
    """encode_many's gain from a second thread, over what a second spinning process gains in the same run."""
    pixels = picture("face 380")
    count = int(1 / seconds(lambda: mozcodec.encode(pixels, 77), 20))   # a thread encodes for as long as one spins: 1 s
    gains = []
    for _ in range(rounds):
        spin = _spinning(2) / _spinning(1)
        rate = {}
        for threads in (1, 2):
            began = time.perf_counter()
            list(mozcodec.encode_many([pixels] * (count * threads), 77, threads=threads))
            rate[threads] = count * threads / (time.perf_counter() - began)
        gains.append((rate[2] / rate[1], spin))
    ours, spin = (statistics.median(column) for column in zip(*gains, strict=True))
    return {"encode_many, 2 threads": ours, "two spinning processes": spin,
            "share": statistics.median(a / b for a, b in gains)}  # fmt: skip


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


def large_rows(size: str, folder: Path) -> list:
    """Time and memory beyond the picture, each engine in a fresh process."""
    np.save(folder / "tile.npy", photo("coffee.png"))
    rows = []
    for engine in ("library", "fast"):
        command = [sys.executable, "-c", _LARGE, str(folder / "tile.npy"), size, engine]
        spent, peak, kept, length = (
            float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        )
        rows.append({"engine": engine, "CPU s": spent, "peak MiB": peak, "kept MiB": kept, "bytes": int(length)})
        show(rows[-1])
    return rows


# ---- the report --------------------------------------------------------------------------------------------------


def show(row: dict) -> None:
    words = [f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "sizes"]
    print("; ".join(words), flush=True)


def means(rows: list[dict]) -> dict[str, tuple[float, float, float]]:
    """Return geometric mean, least and largest ratio of each column."""
    columns = [k for k in rows[0] if k not in ("picture", "quality", "same", "floor ms", "sizes")]
    return {
        k: (geometric([r[k] for r in rows]), min(r[k] for r in rows), max(r[k] for r in rows))
        for k in columns
        if all(k in r for r in rows)
    }


def summary(title: str, rows: list[dict]) -> None:
    print(f"\n{title}: {len(rows)} cases, bytes equal in {sum(r['same'] for r in rows)}")
    print("\n| | time, C loop over libmozjpeg = 1 | range | bytes, mozcodec = 1 |\n|---|---|---|---|")
    for name, (mean, least, most) in means(rows).items():
        sizes = [r["sizes"][name] / r["sizes"]["mozcodec"] for r in rows if name in r.get("sizes", {})]
        print(f"| {name} | {mean:.3f} | {least:.3f} .. {most:.3f} | {geometric(sizes) if sizes else 1:.2f} |")


def environment() -> dict:
    commit = subprocess.run(["git", "-C", PACKAGE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    return {"commit": commit.stdout.strip(), "cpu": model, "cores": os.cpu_count(), "python": platform.python_version(),
            "numpy": version("numpy"), **{k: str(v) for k, v in mozcodec.build_info().items()}}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("encode", "high", "sweep", "optimize", "threads", "large", "all"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", default=",".join(PICTURES))
    parser.add_argument("--size", default="10000x10000", help="of the large picture")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    arguments = parser.parse_args()
    names = tuple(arguments.pictures.split(","))
    result: dict = {"environment": environment()}
    print(result["environment"])
    if shutil.which("cmake") is None or shutil.which("cc") is None:
        sys.exit("the C loop needs cmake and a C compiler: apt-get install cmake gcc")
    with tempfile.TemporaryDirectory() as folder:
        floor = Floor(Path(folder))
        wanted = lambda what: arguments.what in (what, "all")  # noqa: E731
        if wanted("encode"):
            result["encode"] = encode_rows(floor, names, QUALITIES, arguments.rounds, True)
            summary("encode at 77, 60, 15, 10", result["encode"])
        if wanted("high"):
            result["high"] = encode_rows(floor, names, HIGH, arguments.rounds, False)
            summary("encode at 80 to 100", result["high"])
        if wanted("sweep"):
            result["sweep"] = sweep_rows(floor, arguments.rounds)
            summary("sweep", result["sweep"])
        if wanted("optimize"):
            result["optimize"] = optimize_rows(floor, names, arguments.rounds)
            summary("optimize", result["optimize"])
        if wanted("threads"):
            result["threads"] = threads_row(arguments.rounds)
            show(result["threads"])
        if wanted("large"):
            result["large"] = large_rows(arguments.size, Path(folder))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
