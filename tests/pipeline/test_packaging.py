"""The wheels of the pure Python packages contain the package and no other file of the repository.

mozcodec's wheel, which needs a compiler, is built in tests/mozcodec/test_package.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["detector", "evaluation"])
def test_the_wheel_holds_the_package_and_nothing_else(package: str, tmp_path: Path) -> None:
    source = tmp_path / package
    shutil.copytree(
        ROOT / "packages" / package, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = [path for path in (source / "src" / package).rglob("*") if path.is_file()]
    assert held == {str(path.relative_to(source / "src")) for path in ours}
    assert not [name for name in held if name.split("/")[1] in ("sample", "benchmarks", "throughput.py")]


def test_the_version_of_a_package_is_written_once() -> None:
    for package in ("detector", "evaluation", "mozcodec"):
        folder = ROOT / "packages" / package
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        sources = [path.read_text(encoding="utf-8") for path in (folder / "src").rglob("*.py")]
        written = [text for text in sources if re.search(r"__version__ *(:.*)?= *[\"']", text)]
        assert ("version" in project) + len(written) == 1, package
        assert version(package)


def test_what_the_checks_run_is_pinned_in_one_place() -> None:
    def lines(path: Path) -> list[str]:
        return [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]

    pinned = dict(line.split("==") for line in lines(ROOT / "constraints.txt") if line)
    wanted = [line for line in lines(ROOT / "requirements.txt") if line and not line.startswith("-")]
    assert [name for name in wanted if name.partition("[")[0] not in pinned] == []  # without extras
    assert {"ruff", "mypy", "pytest", "pytest-timeout", "hypothesis", "coverage", "build"} <= set(wanted)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\0"):  # uv's copy in the root's pyproject.toml is compared in test_habits.py
        if name != "pyproject.toml" and name.endswith(("pyproject.toml", "requirements.txt", "Makefile", ".sh")):
            assert not re.search(r"^[^#]*\b(ruff|mypy|pytest)==", (ROOT / name).read_text(encoding="utf-8"), re.M), name


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    command = ["make", "--no-print-directory", "help"]  # a make above this one would add lines of its own
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for line in listed.splitlines() for name in line[5:31].split()]
    assert sorted(names) == sorted(phony.split())
