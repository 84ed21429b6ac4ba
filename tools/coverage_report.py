"""``python -m tools coverage-report``: line and branch coverage of the tests, by package, subprocesses included."""

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
# least share of lines and branches in percent, checked when all tests that are not slow were run
FLOORS = {"packages/mozcodec": 97.0, "packages/evaluation": 97.0, "packages/detector": 92.0}
MEASURED = ("packages/mozcodec", "packages/detector", "packages/evaluation", "tools")


@click.command("coverage-report")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "out/coverage",
    help="Folder of the HTML pages.  [default: out/coverage]",
)
@click.option("--append", is_flag=True, help="Add to the previous measurement instead of starting again.")
@click.argument("tests", nargs=-1)
def command(out: Path, append: bool, tests: tuple[str, ...]) -> None:
    """Run the tests under coverage.py and print the coverage of each package.

    TESTS are arguments of pytest.  [default: -m "not slow"] Without them, a package below its floor is an error.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "COVERAGE_FILE": str(out / "data")}

    def coverage(*arguments: str) -> int:
        return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env=environment).returncode

    if not append:
        coverage("erase")
    status = coverage("run", "-m", "pytest", "-o", f"timeout={TIMEOUT}", *(tests or ("-m", "not slow")))
    coverage("combine", "--quiet", *(["--append"] if append else []))
    coverage("html", "--quiet", "--directory", str(out))
    coverage("json", "--quiet", "-o", str(out / "coverage.json"))
    report = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    click.echo(table(report))
    click.echo(out / "index.html")
    if status:
        raise click.ClickException("some tests failed: code that they did not reach counts as not covered")
    if not tests and (low := below(report)):
        raise click.ClickException("; ".join(low))


def below(report: dict[str, Any]) -> list[str]:
    """Return the packages whose coverage in coverage.py's JSON *report* is below its floor, with both numbers."""
    found = []
    for folder, (lines, hit, branches, taken) in totals(report).items():
        share = 100 * (hit + taken) / max(lines + branches, 1)
        if share < FLOORS.get(folder, 0.0):
            found.append(f"{folder}: {share:.2f} % covered, the floor is {FLOORS[folder]:g} %")
    return found


def totals(report: dict[str, Any]) -> dict[str, list[int]]:
    """Return lines, covered lines, branches, taken branches of each folder of `MEASURED` in coverage.py's *report*."""
    names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for path, values in report["files"].items():
        folder = next((folder for folder in MEASURED if path.startswith(f"{folder}/")), "other")
        for i, name in enumerate(names):
            found[folder][i] += values["summary"][name]
    return {folder: found[folder] for folder in sorted(found)}


def table(report: dict[str, Any]) -> str:
    """Return coverage.py's JSON *report* as one line per folder of `MEASURED`.

    The percentage is coverage.py's: (lines + branches taken) / (lines + branches).
    """
    rows = [f"{'':20}{'lines':>8}{'covered':>9}{'branches':>10}{'covered':>9}{'':>9}"]
    for folder, (lines, hit, branches, taken) in totals(report).items():
        share = (hit + taken) / max(lines + branches, 1)
        rows.append(f"{folder:20}{lines:8}{hit:9}{branches:10}{taken:9}{share:9.1%}")
    return "\n".join(rows)
