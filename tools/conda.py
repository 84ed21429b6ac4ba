"""``make conda``: build conda/recipe.yaml with rattler-build, from a channel of stand-ins that is made here.

Each package that the recipe asks for has a stand-in with conda-forge's name and layout, made of this machine's Python,
gcc and nasm and of wheels of the package index. The rest is real: rattler-build solves and installs the environments,
runs the recipe's script on the sdist, makes the package relocatable, and runs the recipe's tests on it in new
environments. So a build shows that the recipe is complete and that its package works, not that conda-forge's own
packages fit.

Runs in the environment of requirements-release.txt, on x86-64 Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from rattler_build import Package, RattlerBuildError, Stage0Recipe, ToolConfiguration, VariantConfig
from rattler_build.progress import LogEvent

from tools.wheels import built

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "conda" / "recipe.yaml"
# Python libraries from their wheels, and what each needs besides Python
LIBRARIES = {
    "pip": [], "setuptools": [], "packaging": [], "pathspec": [], "pycparser": [], "numpy": [],
    "scikit-build-core": ["packaging", "pathspec"], "cffi": ["pycparser"],
}  # fmt: skip
PROGRAMS = ("cmake", "ninja")  # from their wheels too
# What a build sees of this machine besides the stand-ins, so that a program which the recipe forgot is missed.
SYSTEM = """bash sh env basename cat chmod cp cut dirname expr find grep head ln ls mkdir mktemp mv printf pwd rm sed
sort tail tar test touch tr uname wc xargs ar as ld nm objcopy objdump ranlib readelf strip"""
HOST = "x86_64-conda-linux-gnu"
# What conda-forge's gcc_linux-64 sets when rattler-build activates it; the last line hides this machine's programs.
ACTIVATION = f"""\
export CC="$CONDA_PREFIX/bin/{HOST}-cc"
export CPPFLAGS="-DNDEBUG -D_FORTIFY_SOURCE=2 -O2 -isystem $PREFIX/include"
export CFLAGS="-march=nocona -mtune=haswell -ftree-vectorize -fPIC -fstack-protector-strong -fno-plt -O2 \
-ffunction-sections -pipe -isystem $PREFIX/include -fdebug-prefix-map=$PREFIX=/usr/local/src/conda-prefix"
export LDFLAGS="-Wl,-O2 -Wl,--sort-common -Wl,--as-needed -Wl,-z,relro -Wl,-z,now -Wl,--disable-new-dtags \
-Wl,--gc-sections -Wl,-rpath,$PREFIX/lib -Wl,-rpath-link,$PREFIX/lib -L$PREFIX/lib"
export CMAKE_PREFIX_PATH="$PREFIX"
export CMAKE_ARGS="-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF"
"""


class Log:
    """Keeps what rattler-build says, for the case that a build fails; it calls ``on_log``."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_log(self, event: LogEvent) -> None:
        self.lines.append(event.message)


class Channel:
    """The folder *folder* of conda packages; *scratch* holds the files that they are made of."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch

    def add(
        self, name: str, version: str, *script: str, run: list[str] | None = None,
        exports: dict[str, list[str]] | None = None, string: str | None = None,
    ) -> None:  # fmt: skip
        """Add the package *name*, whose files the lines of *script* put into ``$PREFIX``.

        *run* is what it needs, *exports* what a package built with it needs, *string* its build string.
        """
        recipe = {
            "package": {"name": name, "version": version},
            "build": {
                "script": [*script, "true"],
                "python": {"skip_pyc_compilation": ["**"]},
                "dynamic_linking": {"binary_relocation": name == "python"},
                **({"string": string} if string else {}),
            },
            "requirements": {"run": run or [], "run_exports": exports or {}},
        }
        parsed = Stage0Recipe.from_dict(recipe, recipe_dir=self.scratch / "recipes" / name)
        parsed.run_build(output_dir=self.folder, channels=[self.folder.as_uri()], package_format="conda:-7")

    def files(self, name: str) -> Path:
        folder = self.scratch / "files" / name
        folder.mkdir(parents=True)
        return folder


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def program(name: str) -> str:
    if path := shutil.which(name):
        return path
    raise SystemExit(f"conda: {name} was not found; sh system-packages.sh installs what is needed")


def add_python(channel: Channel, python: str) -> str:
    """Add the interpreter *python*, and python_abi; return its version without the patch number."""
    asked = "import json, platform, sys, sysconfig; print(json.dumps([sys.base_prefix, platform.python_version(), "
    asked += "sysconfig.get_default_scheme()]))"
    prefix, version, scheme = json.loads(output(python, "-c", asked))
    if scheme == "posix_local":
        raise SystemExit(
            f"conda: {python} is Debian's, which installs outside its prefix; name a Python of pyenv or uv: "
            "make conda CONDA_PYTHON=/path/to/python3.13"
        )
    short = ".".join(version.split(".")[:2])
    tag = f"cp{short.replace('.', '')}"
    taken = f"bin/python bin/python3 bin/python{short} include/python{short} lib/libpython* lib/python{short}"
    left_out = f"--exclude=__pycache__ --exclude=site-packages --exclude='*.a' --exclude=python{short}/test"
    channel.add(
        "python", version,
        f"cd {prefix}", f"tar {left_out} -cf - $(ls -d {taken}) | tar -C $PREFIX -xf -",
        f"mkdir $PREFIX/lib/python{short}/site-packages", f"touch $PREFIX/lib/python{short}/site-packages/README.txt",
        f"grep -rlIF {prefix} $PREFIX | xargs sed -i s,{prefix},$PREFIX,g",
        exports={"weak": [f"python_abi {short}.* *_{tag}"], "noarch": ["python"]},
    )  # fmt: skip
    channel.add("python_abi", short, run=[f"python {short}.*"], string=f"8_{tag}")
    return short


def unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, folder))
            if member.external_attr >> 16 & 0o111:
                path.chmod(0o755)


def add_wheels(channel: Channel, python: str) -> None:
    """Add the libraries and programs that have wheels for Python *python*, in the versions of constraints.txt."""
    wheels = channel.scratch / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels, "--only-binary", ":all:", "--no-deps",
         "--python-version", python, "--constraint", ROOT / "constraints.txt", *LIBRARIES, *PROGRAMS],
        check=True,
    )  # fmt: skip
    for wheel in sorted(wheels.iterdir()):
        name, version = wheel.name.split("-")[:2]
        name = name.replace("_", "-")
        folder = channel.files(name)
        if name in PROGRAMS:
            unpack(wheel, folder)
            (binaries,) = [*folder.glob("*/data/bin"), *folder.glob("*.data/scripts")]
            share = f"cp -R {binaries.parent}/share $PREFIX/" if (binaries.parent / "share").is_dir() else "true"
            channel.add(name, version, f"cp -R {binaries} $PREFIX/bin", share)
        else:
            unpack(wheel, folder / f"lib/python{python}/site-packages")
            needed = [f"python {python}.*", f"python_abi {python}.*", *LIBRARIES[name]]
            script = [f"cp -R {folder}/lib $PREFIX/"]
            if name == "pip":  # the builder calls it
                script += ["mkdir $PREFIX/bin", """printf '#!/bin/sh\\nexec python -m pip "$@"\\n' >$PREFIX/bin/pip""",
                           "chmod +x $PREFIX/bin/pip"]  # fmt: skip
            channel.add(name, version, *script, run=needed)


def add_compiler(channel: Channel) -> None:
    """Add nasm, gcc by a script that calls this machine's, and an empty sysroot: gcc takes this machine's headers."""
    gcc, nasm = program("gcc"), program("nasm")
    folder = channel.files("gcc_linux-64")
    activation, script = folder / "etc/conda/activate.d/activate-gcc_linux-64.sh", folder / "bin" / f"{HOST}-cc"
    for path, text in ((activation, ACTIVATION), (script, f'#!/bin/sh\nexec {gcc} "$@"\n')):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    channel.add("gcc_linux-64", output(gcc, "-dumpfullversion"), f"cp -R {folder}/. $PREFIX/", run=["sysroot_linux-64"])
    channel.add("sysroot_linux-64", "2.28", exports={"strong": ["__glibc >=2.28,<3.0.a0"]})
    channel.add("nasm", output(nasm, "-v").split()[2], "mkdir $PREFIX/bin", f"cp {nasm} $PREFIX/bin/")


def build(channel: Channel, python: str, out: Path) -> Path:
    """Return the recipe's package for Python *python*, built in *out* and tested; SystemExit if that fails."""
    log = Log()
    variants = VariantConfig.from_file(ROOT / "conda" / "variants.yaml").to_dict()
    (variant,) = Stage0Recipe.from_file(RECIPE).render(VariantConfig({**variants, "python": [f"{python}.*"]}))
    try:
        result = variant.run_build(
            ToolConfiguration(test_strategy="native"), out, [channel.folder.as_uri()], progress_callback=log
        )
    except RattlerBuildError as error:
        raise SystemExit("\n".join([*log.lines[-60:], f"conda: {RECIPE} did not build: {error}"])) from error
    return Path(result.packages[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the stand-ins and of the package")
    running = getattr(sys, "_base_executable", sys.executable)
    parser.add_argument("--python", default=running, help="a CPython, which is copied (default: the running one)")
    options = parser.parse_args()
    start, out = time.monotonic(), options.out.resolve()
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SystemExit("conda: the stand-ins are those of x86-64 Linux, which this machine is not")
    for name in ("stand-ins", "scratch", "system", "built"):
        shutil.rmtree(out / name, ignore_errors=True)
    channel = Channel(out / "stand-ins", out / "scratch")
    python = add_python(channel, options.python)
    (sdist,) = built("mozcodec", ROOT / "dist", "--sdist")
    add_wheels(channel, python)
    add_compiler(channel)
    (out / "system").mkdir()
    for name in SYSTEM.split():
        (out / "system" / name).symlink_to(program(name))
    os.environ["PATH"] = str(out / "system")
    package = Package.from_file(build(channel, python, out / "built"))
    shutil.rmtree(channel.scratch)
    print(f"conda: {package.path}, {package.path.stat().st_size / 1e3:.0f} kB, built from {sdist.name} and tested in "
          f"{time.monotonic() - start:.0f} s; needs {', '.join(sorted(package.depends))}")  # fmt: skip


if __name__ == "__main__":
    main()
