"""Source files named in the documentation exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = r"\.(?:py|c|h|toml|cmake)"
ELSEWHERE = {"jfdctint.c"}  # files of mozjpeg


def missing(text: str, files: set[str]) -> Iterator[str]:
    """Yield the source files that *text* names in backticks and that end none of the paths *files*."""
    for name in re.findall(rf"`([a-z\d_./-]+{SOURCES})`", text):
        if name not in ELSEWHERE and not any(f"/{path}".endswith(f"/{name}") for path in files):
            yield name


def test_source_files_named_in_the_documentation_exist() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    pages = sorted(name for name in files if name.endswith(".md") and "/licenses/" not in name)
    assert len(pages) > 10
    found = {page: list(missing((ROOT / page).read_text(encoding="utf-8"), files)) for page in pages}
    assert {page: names for page, names in found.items() if names} == {}


def test_a_file_that_has_moved_is_noticed() -> None:
    files = {"packages/detector/src/detector/data/found_face.py"}
    assert list(missing("see `data/found_face.py`, `found_face.py` and `data/moved.py`", files)) == ["data/moved.py"]
    assert list(missing("see `face.py`", files)) == ["face.py"]
