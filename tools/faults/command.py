"""``python -m tools faults``: run the cases and write the table."""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from itertools import islice
from pathlib import Path

import click

from detector.data.files import whole_file
from detector.errors import DetectorError
from detector.provenance import source

from . import FAMILIES, bombs, cases, cluster, every_stage, streams, threads
from .sample import write_sample
from .stages import STAGES

__all__ = ["by_stage", "command", "commit", "table"]

assert bombs and cases and cluster and every_stage and streams and threads  # they register their families
SHOWN = 20  # cases that are listed below the table
CASE = re.compile(r"- (.+?), ['\"]")  # a case below the table; the name of its family
MARK, END = "<!-- table of make faults -->", "<!-- end of the table -->"


COLUMNS = ("what", "promised", "tried", "held", "seed", "commit")


def table(results: dict[str, dict[str, str]], seed: int, commit: str = "", before: str = "") -> str:
    """Return the table of what was tried and what held, in Markdown, with the cases that failed below it.

    Of the text *before*, what is said of families without results is kept: rows, failed cases, columns by stage.
    """
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    kept = [
        line
        for line in before.splitlines()
        if (case := CASE.match(line)) and case[1] in FAMILIES and not results.get(case[1])
    ]
    for name, found in results.items():
        if found:
            tried, held = (FAMILIES[name].tries * n for n in (len(found), sum(not wrong for wrong in found.values())))
            rows[name] = f"| {name} | {FAMILIES[name].promise} | {tried:,} | {held:,} | {seed} | {commit} |"
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(rows[name] for name in FAMILIES if name in rows),
    ]
    failed = [
        f"- {name}, {case!a}: {wrong[:200]!a}"
        for name, found in results.items()
        for case, wrong in found.items()
        if wrong
    ]
    failed += kept
    listed = f"; the first {SHOWN}:" if len(failed) > SHOWN else ""
    lines += ["", f"Cases that did not hold: {len(failed) or 'none'}{listed or '.'}", "", *failed[:SHOWN]]
    return "\n".join(lines).rstrip() + "\n\n" + by_stage(results, before)


def by_stage(results: dict[str, dict[str, str]], before: str = "") -> str:
    """Return how many cases of how many held, by stage and family, in Markdown; empty without such families.

    Columns of the text *before* are kept for families without results.
    """
    columns = _columns(before)
    for name, of_family in results.items():
        if "every stage" in name and of_family:
            columns[name] = {}
            for stage in STAGES:
                found = [wrong for case, wrong in of_family.items() if case.startswith(f"{stage}: ")]
                columns[name][stage] = f"{sum(not wrong for wrong in found)} of {len(found)}"
    families = [name for name in FAMILIES if name in columns]
    if not families:
        return ""
    lines = [f"| stage | {' | '.join(families)} |", "|---" * (1 + len(families)) + "|"]
    for stage in STAGES:
        lines.append(f"| {stage} | {' | '.join(columns[name].get(stage, '0 of 0') for name in families)} |")
    return "\n".join(lines) + "\n"


def _columns(text: str) -> dict[str, dict[str, str]]:
    """Return the cells of the table by stage in *text*, by family and stage."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    header = next((row for row in rows if row[0] == "stage"), ["stage"])
    return {
        name: {row[0]: row[place] for row in rows if row[0] in STAGES and len(row) == len(header)}
        for place, name in enumerate(header[1:], 1)
    }


def commit() -> str:
    """Return the abbreviated commit of this repository, with ``+`` if files were changed since."""
    found = source()
    return (found.commit or "unknown")[:7] + "+" * bool(found.modified)


@click.command("faults")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/faults"))
@click.option("--seed", default=1, show_default=True, help="Seed of the random cases.")
@click.option(
    "--family", "chosen", multiple=True, type=click.Choice(sorted(FAMILIES)), metavar="NAME",
    help=f"Only this family; may be repeated: {', '.join(sorted(FAMILIES))}."
)
@click.option("--most", type=click.IntRange(1), help="Only so many cases of each family.")
@click.option("--again", is_flag=True, help="Run the cases that did not hold again.")
@click.option("--minutes", type=float, help="Stop after so many minutes; the next run continues.")
@click.option("--document", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file that gets the table.")
def command(
    out: Path,
    seed: int,
    chosen: tuple[str, ...],
    most: int | None,
    again: bool,
    minutes: float | None,
    document: Path | None,
) -> None:
    """Damage, limit and kill a stage in many ways, and keep what happened in OUT; a run that was stopped resumes.

    Results belong to a commit: at another one, all cases are new.
    """
    out.mkdir(parents=True, exist_ok=True)
    at = commit()
    kept = out / f"results-{seed}-{at}.json"
    results: dict[str, dict[str, str]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    click.echo(f"seed {seed}")
    end = time.monotonic() + 60 * minutes if minutes is not None else math.inf
    stopped = ""
    every_stage.privileged()  # before any process is started: those of another mount namespace see no small disk
    with tempfile.TemporaryDirectory() as place:
        sample = Path(place) / "faces"
        write_sample(sample)
        for name, found in FAMILIES.items():
            if chosen and name not in chosen:
                continue
            done = results.setdefault(name, {})
            for case in islice(found.cases(seed, sample), most):
                if not done.get(case.name, "new") or (case.name in done and not again):
                    continue
                if time.monotonic() > end:
                    stopped = name
                    break
                with tempfile.TemporaryDirectory() as folder:
                    done[case.name] = case.run(Path(folder))
                if len(done) % 5 == 0:
                    _keep(kept, results)
            _keep(kept, results)
            if stopped:
                click.echo(f"stopped after {minutes:g} minutes, in {name}: run the same command again to continue")
                break
        every_stage.close()
    whole = document.read_text(encoding="utf-8") if document is not None else ""
    text = table(results, seed, at, whole.partition(MARK)[2].partition(END)[0])
    click.echo(text)
    if document is not None:
        if MARK not in whole or END not in whole:
            raise DetectorError(f"{document}: has no lines {MARK} and {END} between which the table belongs")
        before, after = whole.split(MARK)[0], whole.split(END)[1]
        with whole_file(document) as path:
            path.write_text(f"{before}{MARK}\n{text}{END}{after}", encoding="utf-8")


def _keep(path: Path, results: dict[str, dict[str, str]]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
