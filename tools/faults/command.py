"""``python -m tools faults``: run the cases and write the table."""

from __future__ import annotations

import json
import math
import tempfile
import time
from itertools import islice
from pathlib import Path

import click

from detector.data.files import whole_file
from detector.errors import DetectorError
from detector.provenance import source

from . import FAMILIES, bombs, cases, every_stage, threads
from .sample import write_sample
from .stages import STAGES

__all__ = ["by_stage", "command", "commit", "table"]

assert bombs and cases and every_stage and threads  # they register their families
SHOWN = 20  # cases that are listed below the table
MARK, END = "<!-- table of make faults -->", "<!-- end of the table -->"


COLUMNS = ("what", "promised", "tried", "held", "seed", "commit")


def table(results: dict[str, dict[str, str]], seed: int, commit: str = "", before: str = "") -> str:
    """Return the table of what was tried and what held, in Markdown, with the cases that failed below it.

    Rows of the table *before* are kept for families without results.
    """
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    for name, found in results.items():
        held = sum(not wrong for wrong in found.values())
        if found:
            rows[name] = f"| {name} | {FAMILIES[name].promise} | {len(found)} | {held} | {seed} | {commit} |"
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(rows[name] for name in FAMILIES if name in rows),
    ]
    failed = [(name, case, wrong) for name, found in results.items() for case, wrong in found.items() if wrong]
    listed = f"; the first {SHOWN}:" if len(failed) > SHOWN else ""
    lines += ["", f"Cases that did not hold: {len(failed) or 'none'}{listed or '.'}", ""]
    lines += [f"- {name}, {case!a}: {wrong[:200]!a}" for name, case, wrong in failed[:SHOWN]]
    return "\n".join(lines).rstrip() + "\n\n" + by_stage(results)


def by_stage(results: dict[str, dict[str, str]]) -> str:
    """Return how many cases of how many held, by stage and family, in Markdown; empty without such families."""
    families = [name for name in results if "every stage" in name and results[name]]
    if not families:
        return ""
    lines = [f"| stage | {' | '.join(families)} |", "|---" * (1 + len(families)) + "|"]
    for stage in STAGES:
        cells = []
        for name in families:
            found = [wrong for case, wrong in results[name].items() if case.startswith(f"{stage}: ")]
            cells.append(f"{sum(not wrong for wrong in found)} of {len(found)}")
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def commit() -> str:
    """Return the abbreviated commit of this repository, with ``+`` if files were changed since."""
    found = source()
    return (found.commit or "unknown")[:7] + "+" * bool(found.modified)


@click.command("faults")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/faults"))
@click.option("--seed", default=1, show_default=True, help="Seed of the random cases.")
@click.option(
    "--family", "chosen", multiple=True, type=click.Choice(sorted(FAMILIES)), help="Only this family; may be repeated."
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
    """Damage, limit and kill a stage in many ways, and keep what happened in OUT; a run that was stopped resumes."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"results-{seed}.json"
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
    text = table(results, seed, commit(), whole.partition(MARK)[2].partition(END)[0])
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
