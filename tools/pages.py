"""Runs the blocks of a page of the documentation and compares their outputs with those shown."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

DECIMAL = r"[+-]?\d*\.\d+(?:e-?\d+)?"


def blocks(text: str) -> list[tuple[str, str, int]]:
    """Return language, text and line of each fenced block."""
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(block[1], block[2], text.count("\n", 0, block.start())) for block in found]


def tolerance(text: str) -> float:
    """Return how far decimals of a page's outputs may be from those shown."""
    allowed = re.search(r"<!-- .*decimals within (\S+) -->", text)
    return float(allowed[1]) if allowed else 0.0


def assert_shown(output: str, shown: str, within: float = 0.0) -> None:
    """Compare *output* with *shown*: a line ``...`` is any lines, ``...`` at the end of a line any rest of it.

    With *within*, decimals may differ by that much, and runs of spaces by their length.
    """
    parts = re.split(rf"(^\.\.\.\n|\.\.\.$|{DECIMAL}|[ ]+)", shown, flags=re.MULTILINE)
    pattern, wanted = "", []
    for part in parts:
        if part == "...\n":
            pattern += r"(?:.*\n)*?"
        elif part == "...":
            pattern += r".*"
        elif within and re.fullmatch(DECIMAL, part):
            pattern += f"({DECIMAL})"
            wanted.append(float(part))
        elif within and part.isspace() and "\n" not in part:
            pattern += " +"
        else:
            pattern += re.escape(part)
    found = re.fullmatch(pattern, output)
    assert found, f"{output}\n--- is not what the page shows:\n{shown}"
    for one, other in zip(map(float, found.groups()), wanted, strict=True):
        assert abs(one - other) <= within, f"{one} where the page shows {other}"


def run_python(text: str, values: dict[str, object], name: str, line: int) -> None:
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, line)
    test.globs = values  # shared by the blocks of a page
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    assert runner.run(test, clear_globs=False).failed == 0


def run_console(text: str, within: float = 0.0) -> None:
    """Run each line after ``$`` by bash, with the programs of this Python's environment, and compare what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        done = subprocess.run(
            ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env=os.environ | {"PATH": path, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0, f"$ {line}\n{done.stdout}"
        assert_shown(done.stdout, shown, within)


def run_page(path: Path) -> None:
    """Run the blocks of the page at *path* in the current folder, after those of the page that it continues."""
    text = path.read_text(encoding="utf-8")
    before = re.search(r"<!-- continues (\w+)", text)
    if before:
        run_page(path.with_name(f"{before[1]}.md"))
    values: dict[str, object] = {"__name__": "__main__"}
    found = blocks(text)
    assert found
    for language, block, line in found:
        if language in ("python", "pycon"):
            run_python(block, values, path.name, line)
        else:
            assert language == "console", language
            run_console(block, tolerance(text))
