"""``make lock``: write the groups and constraints of pip's files to pyproject.toml, where uv reads them.

``requirements*.txt`` and ``constraints.txt`` are what people edit; `tests/pipeline/test_habits.py` compares.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {"dev": "requirements.txt", "docs": "requirements-docs.txt", "release": "requirements-release.txt"}
# installed in environments of their own; without its requirements
ELSEWHERE = {"cffconvert", "cibuildwheel", "dask-kubernetes"}


def lines(path: Path) -> list[str]:
    """Return the lines of a requirements file without comments, ``-c`` and ``-e``."""
    found = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if line and not line.startswith(("-c", "-e"))]


def tables(root: Path = ROOT) -> dict[str, list[str]]:
    """Return what pyproject.toml must hold: a group or ``constraint-dependencies`` -> requirements."""
    found = {group: lines(root / name) for group, name in GROUPS.items()}
    pins = [line for line in lines(root / "constraints.txt") if line.partition("==")[0] not in ELSEWHERE]
    return {**found, "constraint-dependencies": pins}


def updated(text: str, wanted: dict[str, list[str]]) -> str:
    """Return the TOML *text* with the lists *wanted*, one requirement a line; each key must be there already."""
    for key, values in wanted.items():
        listed = "".join(f'    "{value}",\n' for value in values)
        text, found = re.subn(rf"^{key} = \[\n(?:    .*\n)*\]$", f"{key} = [\n{listed}]", text, flags=re.M)
        if found != 1:
            raise SystemExit(f"pyproject.toml: needs one list {key} = [...] over several lines, has {found}")
    return text


if __name__ == "__main__":
    project = ROOT / "pyproject.toml"
    project.write_text(updated(project.read_text(encoding="utf-8"), tables()), encoding="utf-8")
