"""Check that the perceptual mode writes the same bytes whatever compiler and processor it is built for.

    python packages/mozcodec/fuzz/compilers.py              # every compiler that is installed
    python packages/mozcodec/fuzz/compilers.py --cases 2000 gcc clang

identity.c encodes images of integer arithmetic at every effort, in all its forms (baseline and x86-64-v3), and compares
others by SSIMULACRA2; its hash of files, scores and derivatives has to be the same everywhere. aarch64 is built by
Debian's cross compiler and run by qemu-user. Exit status 1 if hashes differ.
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
BUILD = PACKAGE / "build" / "compilers"


@dataclass(frozen=True)
class Compiler:
    """A compiler, its flags, and what runs its programs."""

    command: str
    flags: str = ""
    runner: tuple[str, ...] = ()
    processor: str = ""
    """Of another machine than this one."""

    def is_installed(self) -> bool:
        """Return whether its programs can be built and run."""
        return all(shutil.which(name) for name in (self.command, *self.runner[:1]))


COMPILERS = {
    "gcc": Compiler("gcc"),
    "gcc -O1": Compiler("gcc", "-O1"),
    "clang": Compiler("clang"),
    "aarch64": Compiler("aarch64-linux-gnu-gcc", "-static", ("qemu-aarch64",), "aarch64"),
}


def build(name: str, compiler: Compiler) -> Path:
    """Return the program."""
    folder = BUILD / name.replace(" ", "")
    define = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_COMPILER": compiler.command,
        "CMAKE_C_FLAGS": compiler.flags,
        "MOZCODEC_FUZZ": "ON",
        "MOZCODEC_REQUIRE_SIMD": "OFF",  # the mode uses none of the library's
        "MOZCODEC_MOZJPEG_SOURCE": os.environ.get("MOZCODEC_MOZJPEG_SOURCE", ""),
        "Python_EXECUTABLE": sys.executable,
    }
    if "-O" in compiler.flags:
        define["CMAKE_C_FLAGS_RELEASE"] = "-DNDEBUG"
    if compiler.processor:
        define |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": compiler.processor}
    for command in (
        ["cmake", "-S", PACKAGE, "-B", folder, *(f"-D{key}={value}" for key, value in define.items())],
        ["cmake", "--build", folder, "--target", "mozcodec_identity"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return folder / "mozcodec_identity"


def hashes(name: str, cases: int) -> dict[str, str]:
    """Return the hash of every form that *name*'s program has."""
    compiler = COMPILERS[name]
    program = build(name, compiler)
    done = subprocess.run([*compiler.runner, str(program), str(cases)], capture_output=True, text=True, check=True)
    return {f"{name}, {form}": digest for digest, form in (line.split() for line in done.stdout.splitlines())}


def main() -> int:
    """Build, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compilers", nargs="*", metavar="COMPILER", help=f"of {', '.join(COMPILERS)}")
    parser.add_argument("--cases", type=int, default=300)
    args = parser.parse_args()
    if unknown := set(args.compilers) - set(COMPILERS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(COMPILERS)}")
    found: dict[str, str] = {}
    for name in args.compilers or COMPILERS:
        if not COMPILERS[name].is_installed():
            print(f"{name}: not installed")
            continue
        for form, digest in hashes(name, args.cases).items():
            print(f"{digest} {form}", flush=True)
            found[form] = digest
    if len(set(found.values())) > 1:
        print("the hashes differ", file=sys.stderr)
    return len(set(found.values())) > 1


if __name__ == "__main__":
    sys.exit(main())
