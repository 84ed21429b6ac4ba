"""``python -m tools coverage-report``: coverage of each package by its own tests, in all processes that they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 1800  # seconds for one test, which takes several times as long when it is measured
# least share of lines and branches in percent that a package's own tests, the slow ones left out, must reach
FLOORS = {"mozcodec": 97.0, "evaluation": 97.0, "detector": 92.0}
MEASURED = ("packages/mozcodec", "packages/detector", "packages/evaluation", "tools")


@click.command("coverage-report")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the measurements, with a page for each in a folder of its name.  [default: out/coverage]",
)
@click.option(
    "--package",
    "packages",
    type=click.Choice(list(FLOORS)),
    multiple=True,
    help="Measure only this package; may be repeated.  [default: all three]",
)
@click.argument("tests", nargs=-1)
def command(out: Path | None, packages: tuple[str, ...], tests: tuple[str, ...]) -> None:
    """Measure each package by its own tests that are not slow; a package below its floor is an error.

    TESTS are arguments of pytest: they are run once instead, all packages are measured, and there are no floors.
    """
    out = (out or ROOT / "out/coverage").resolve()
    if tests:
        failed, report = measure(out / "tests", *tests)
        failures, rows = ["some tests failed"] if failed else [], totals(report)
    else:
        failures, rows = [], {}
        for package in packages or FLOORS:
            folder = f"packages/{package}"
            failed, report = measure(out / package, "-m", "not slow", f"tests/{package}")
            rows[folder] = totals(report)[folder]
            failures += [f"tests/{package}: some tests failed"] if failed else []
            failures += below(package, rows[folder])
    click.echo(table(rows))
    if failures:
        raise click.ClickException("; ".join(failures))


def measure(out: Path, *tests: str) -> tuple[bool, dict[str, Any]]:
    """Run pytest with the arguments *tests* under coverage.py; return whether tests failed, and its JSON report.

    *out* gets the data, the JSON report and the HTML pages; the previous ones there are overwritten.
    """
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "COVERAGE_FILE": str(out / "data")}

    def coverage(*arguments: str) -> int:
        return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env=environment).returncode

    coverage("erase")
    failed = coverage("run", "-m", "pytest", "-o", f"timeout={TIMEOUT}", *tests) != 0
    for arguments in (["combine"], ["html", "--directory", str(out)], ["json", "-o", str(out / "coverage.json")]):
        if coverage(*arguments, "--quiet"):
            raise click.ClickException(f"coverage {arguments[0]} failed: see above")
    click.echo(out / "index.html")
    return failed, json.loads((out / "coverage.json").read_text(encoding="utf-8"))


def share(counts: list[int]) -> float:
    """Return the percentage of *counts* (lines, covered, branches, covered) that is covered, as coverage.py counts."""
    lines, hit, branches, taken = counts
    return 100 * (hit + taken) / max(lines + branches, 1)


def below(package: str, counts: list[int]) -> list[str]:
    """Return the sentence that *package*, with *counts* of `totals`, is below its floor, if it is."""
    if share(counts) >= FLOORS[package]:
        return []
    return [f"packages/{package}: {share(counts):.2f} % covered by tests/{package}, the floor is {FLOORS[package]:g} %"]


def totals(report: dict[str, Any]) -> dict[str, list[int]]:
    """Return lines, covered lines, branches, taken branches of each folder of `MEASURED` in coverage.py's *report*."""
    names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for path, values in report["files"].items():
        folder = next((folder for folder in MEASURED if path.startswith(f"{folder}/")), "other")
        for i, name in enumerate(names):
            found[folder][i] += values["summary"][name]
    return {folder: found[folder] for folder in sorted(found)}


def table(rows: dict[str, list[int]]) -> str:
    """Return the counts of `totals` as one line per folder, with the percentage of `share`."""
    lines = [f"{'':20}{'lines':>8}{'covered':>9}{'branches':>10}{'covered':>9}{'':>10}"]
    for folder, counts in rows.items():
        lines.append(f"{folder:20}{counts[0]:8}{counts[1]:9}{counts[2]:10}{counts[3]:9}{share(counts):8.2f} %")
    return "\n".join(lines)
