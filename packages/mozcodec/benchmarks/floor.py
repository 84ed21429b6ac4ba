"""The C loops of floor.c: compiled against mozcodec's own build of mozjpeg, and against the system's libjpeg."""

import ctypes
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).resolve().parents[1]
KINDS = {"baseline": 0, "optimised": 1, "progressive": 2}


class _Picture(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("channels", ctypes.c_int),
    )


@dataclass(frozen=True)
class Loop:
    """A loop in C as work: Python calls it once for all repetitions."""

    call: Callable[[int, object], int]
    """(repetitions, where to put the last result) -> its size"""
    free: Callable[[object], None]

    def _run(self, repeat: int) -> tuple[object, int, float]:
        out = ctypes.POINTER(ctypes.c_ubyte)()
        began = time.process_time()
        size = self.call(repeat, ctypes.byref(out))
        return out, size, time.process_time() - began

    def __call__(self) -> bytes:
        out, size, _ = self._run(1)
        data = ctypes.string_at(out, size)
        self.free(out)
        return data

    def seconds(self, repeat: int) -> float:
        out, _, seconds = self._run(repeat)
        self.free(out)
        return seconds


class Floor:
    """floor.c as a shared library.

    Raises ``FileNotFoundError`` or ``CalledProcessError`` where it cannot be compiled, ``OSError`` where not loaded.
    """

    def __init__(self, library: Path, *flags: str | Path) -> None:
        command = ["cc", "-O3", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("floor.c"), *flags]
        subprocess.run(command, check=True, capture_output=True)
        self.library = library
        self._c = ctypes.CDLL(str(library))
        for name in ("floor_encode", "floor_turbo", "floor_optimize", "floor_decode", "floor_header"):
            if hasattr(self._c, name):
                getattr(self._c, name).restype = ctypes.c_ulong

        self._c.floor_spin.restype = ctypes.c_double

    def spin(self, seconds: float) -> float:
        """Count for the given time without the GIL, and return the speed in millions per second."""
        return float(self._c.floor_spin(ctypes.c_double(seconds)))

    def _encoder(self, pixels: np.ndarray, call: Callable[..., int], *arguments: object) -> Loop:
        height, width = pixels.shape[:2]
        picture = _Picture(pixels.ctypes.data, width, height, pixels.size // (height * width))
        # the lambda refers to `pixels`, so that it lives as long
        return Loop(
            lambda repeat, out, _=pixels: call(ctypes.byref(picture), *arguments, repeat, out), self._c.floor_free
        )

    def _reader(self, data: bytes, call: Callable[..., int], *arguments: object) -> Loop:
        size = ctypes.c_ulong(len(data))
        return Loop(lambda repeat, out: call(data, size, *arguments, repeat, out), self._c.floor_free)

    def encode(self, pixels: np.ndarray, quality: float) -> Loop:
        """As ``cjpeg -quality``; mozjpeg only."""
        return self._encoder(pixels, self._c.floor_encode, ctypes.c_float(quality))

    def turbo(self, pixels: np.ndarray, quality: int, kind: str) -> Loop:
        """As libjpeg-turbo, 4:2:0: "baseline", "optimised" (Huffman tables) or "progressive"."""
        return self._encoder(pixels, self._c.floor_turbo, quality, KINDS[kind])

    def optimize(self, data: bytes) -> Loop:
        """As ``jpegtran -copy none``; mozjpeg only."""
        return self._reader(data, self._c.floor_optimize)

    def decode(self, data: bytes, scale: int = 8) -> Loop:
        """The file's own colours, at scale / 8."""
        return self._reader(data, self._c.floor_decode, scale)

    def header(self, data: bytes) -> Loop:
        return self._reader(data, self._c.floor_header)


@cache
def programs() -> Path:
    """Build mozjpeg's library and programs, as the tests do, and return the folder that holds them."""
    import fcntl

    build = PACKAGE / "build" / "programs"
    build.mkdir(parents=True, exist_ok=True)
    source = os.environ.get("MOZCODEC_MOZJPEG_SOURCE", "")
    with (build / "programs.lock").open("w") as lock:  # one process builds; the others wait and find it built
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "-S", PACKAGE, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DMOZCODEC_PROGRAMS=ON",
             f"-DMOZCODEC_MOZJPEG_SOURCE={source}", f"-DPython_EXECUTABLE={sys.executable}"],
            ["cmake", "--build", build],
        ):  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"mozjpeg cannot be built for the C loop:\n{done.stdout}{done.stderr}")
    return build / "mozjpeg-build"


def own_floor(folder: Path) -> Floor:
    """The C loop over mozcodec's mozjpeg, statically linked, -O3, SIMD."""
    built = programs()
    cache_lines = (built / "CMakeCache.txt").read_text().splitlines()
    source = next(line.split("=", 1)[1] for line in cache_lines if line.startswith("CMAKE_HOME_DIRECTORY"))
    hidden = ("-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic")
    return Floor(folder / "floor.so", f"-I{source}", f"-I{built}", built / "libjpeg.a", "-lm", *hidden)


def version_inside(library: Path) -> str:
    """Return the version in a libjpeg's messages, or its file name."""
    found = re.search(rb"(libjpeg-turbo|mozjpeg) version ([\d.]+)", library.read_bytes())
    return b" ".join(found.groups()).decode() if found else library.name


def loaded_library(name: str) -> Path:
    """Return the path of the loaded library whose path contains *name*."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        raise LookupError(f"the path of the loaded {name} is known on Linux only")
    lines = maps.read_text().splitlines()
    return next(Path(line.split()[-1]) for line in lines if name in line)


def system_floor(folder: Path) -> Floor:
    """The C loop over the libjpeg that the system's compiler finds."""
    return Floor(folder / "system.so", "-ljpeg")
