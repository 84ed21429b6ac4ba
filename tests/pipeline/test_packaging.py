"""What the wheels of the pure Python packages hold: the package and nothing of the repository around it.

mozcodec's wheel, which needs a compiler, is built in tests/mozcodec/test_package.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
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
    ours = [path for path in (source / "src" / package).rglob("*") if path.suffix == ".py" or path.name == "py.typed"]
    assert held == {str(path.relative_to(source / "src")) for path in ours}
    assert not [name for name in held if name.split("/")[1] in ("sample", "benchmarks", "throughput.py")]
