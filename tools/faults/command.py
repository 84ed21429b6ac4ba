"""``python -m tools faults``: run the cases and write the table."""

from __future__ import annotations

import json
import tempfile
from itertools import islice
from pathlib import Path

import click

from detector.data.files import whole_file
from detector.errors import DetectorError

from . import FAMILIES, cases
from .sample import write_sample

__all__ = ["command", "table"]

assert cases  # registers its families
SHOWN = 20  # cases that are listed below the table
MARK, END = "<!-- table of make faults -->", "<!-- end of the table -->"


def table(results: dict[str, dict[str, str]], seed: int) -> str:
    """Return the table of what was tried and what held, in Markdown, with the cases that failed below it."""
    lines = ["| what | promised | tried | held | seed |", "|---|---|---|---|---|"]
    for name, found in results.items():
        held = sum(not wrong for wrong in found.values())
        lines.append(f"| {name} | {FAMILIES[name].promise} | {len(found)} | {held} | {seed} |")
    failed = [(name, case, wrong) for name, found in results.items() for case, wrong in found.items() if wrong]
    listed = f"; the first {SHOWN}:" if len(failed) > SHOWN else ""
    lines += ["", f"Cases that did not hold: {len(failed) or 'none'}{listed or '.'}", ""]
    lines += [f"- {name}, {case!a}: {wrong[:200]!a}" for name, case, wrong in failed[:SHOWN]]
    return "\n".join(lines).rstrip() + "\n"


@click.command("faults")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/faults"))
@click.option("--seed", default=1, show_default=True, help="Seed of the random cases.")
@click.option(
    "--family", "chosen", multiple=True, type=click.Choice(sorted(FAMILIES)), help="Only this family; may be repeated."
)
@click.option("--most", type=click.IntRange(1), help="Only so many cases of each family.")
@click.option("--document", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file that gets the table.")
def command(out: Path, seed: int, chosen: tuple[str, ...], most: int | None, document: Path | None) -> None:
    """Damage, limit and kill a stage in many ways, and keep what happened in OUT; a run that was stopped resumes."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"results-{seed}.json"
    results: dict[str, dict[str, str]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as place:
        sample = Path(place) / "faces"
        write_sample(sample)
        for name, found in FAMILIES.items():
            if chosen and name not in chosen:
                continue
            done = results.setdefault(name, {})
            for case in islice(found.cases(seed, sample), most):
                if case.name not in done:
                    with tempfile.TemporaryDirectory() as folder:
                        done[case.name] = case.run(Path(folder))
                    if len(done) % 20 == 0:
                        _keep(kept, results)
            _keep(kept, results)
    text = table(results, seed)
    click.echo(text)
    if document is not None:
        whole = document.read_text(encoding="utf-8")
        if MARK not in whole or END not in whole:
            raise DetectorError(f"{document}: has no lines {MARK} and {END} between which the table belongs")
        before, after = whole.split(MARK)[0], whole.split(END)[1]
        with whole_file(document) as path:
            path.write_text(f"{before}{MARK}\n{text}{END}{after}", encoding="utf-8")


def _keep(path: Path, results: dict[str, dict[str, str]]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
