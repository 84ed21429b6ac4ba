"""Build mozcodec for other processors and C libraries, run each build and compare what it makes with this machine's.

    python packages/mozcodec/cross/run.py                       # every target whose compiler is installed
    python packages/mozcodec/cross/run.py aarch64 --cases 1000

Every build encodes and decodes the same random images (identity.c), by the engine and by the library; all lines must be
equal. On Debian: apt-get install gcc-aarch64-linux-gnu gcc-i686-linux-gnu libc6-dev-i386-cross musl-tools
qemu-user. The exit status is 1 if a build fails or differs, and 2 if a target that was named cannot be built here.
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
BUILD = PACKAGE / "build" / "cross"
CASES = 300


@dataclass(frozen=True)
class Target:
    """A processor or C library: its compiler, what CMake must know, what runs its programs."""

    name: str
    compiler: str
    processor: str | None = None
    flags: str = "-static"
    runner: str | None = None

    def missing(self) -> str | None:
        """Return what is missing here for this target, or None."""
        for program in filter(None, (self.compiler, self.runner)):
            if shutil.which(program) is None:
                return f"{program} is not installed"
        command = [self.compiler, *self.flags.split(), "-x", "c", "-", "-o", os.devnull]
        program = "int main(void) { return 0; }"
        done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
        return f"{self.compiler} finds no C library" if done.returncode else None


NATIVE = Target("native", "cc", flags="")
TARGETS = (
    Target("aarch64", "aarch64-linux-gnu-gcc", "aarch64", runner="qemu-aarch64"),
    Target("i686", "i686-linux-gnu-gcc", "i686"),
    Target("musl", "musl-gcc"),
)


class CrossError(Exception):
    """A build or its program failed."""


def _run(command: list[object]) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CrossError(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def build(target: Target, folder: Path) -> Path:
    """Build the program for *target* below *folder*; returns its path."""
    define = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_COMPILER": target.compiler,
        "CMAKE_EXE_LINKER_FLAGS": target.flags,
        "MOZCODEC_CROSS": "ON",
        "MOZCODEC_MOZJPEG_SOURCE": os.environ.get("MOZCODEC_MOZJPEG_SOURCE", ""),
        "Python_EXECUTABLE": sys.executable,
    }
    if target.processor is not None:
        define |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": target.processor}
    where = folder / target.name
    _run(["cmake", "-S", PACKAGE, "-B", where, *(f"-D{name}={value}" for name, value in define.items())])
    _run(["cmake", "--build", where])
    return where / "mozcodec_cross"


def lines(target: Target, program: Path, cases: int) -> list[str]:
    """Return what the program prints: number, size, hash of the file and of the pixels of each case."""
    return _run([*filter(None, [target.runner]), program, 0, cases]).splitlines()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *(t.name for t in TARGETS)], help="targets; default all")
    parser.add_argument("--cases", type=int, default=CASES, help=f"default {CASES}")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder of the builds")
    args = parser.parse_args()
    wanted = lines(NATIVE, build(NATIVE, args.build), args.cases)
    status = 0
    for target in TARGETS:
        if args.names and target.name not in args.names:
            continue
        missing = target.missing()
        if missing is not None:
            print(f"{target.name}: not built, {missing}")
            status = max(status, 2 if args.names else 0)
            continue
        try:
            found = lines(target, build(target, args.build), args.cases)
        except CrossError as error:
            print(f"{target.name}: {error}", flush=True)
            status = 1
            continue
        different = [one.split()[0] for one, other in zip(wanted, found, strict=True) if one != other]
        numbers = " ".join(different[:20])
        print(f"{target.name}: {len(found)} cases, {len(different)} different {numbers}".rstrip(), flush=True)
        status = max(status, 1 if different else 0)
    return status


if __name__ == "__main__":
    sys.exit(main())
