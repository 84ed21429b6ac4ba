"""The command line: read, call, write, print. Heavy imports wait inside the functions, so ``--help`` is instant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["main"]

Existing = click.Path(exists=True, path_type=Path)
Folder = click.Path(file_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)


class Group(click.Group):
    """Turns bad input into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evaluation")
def main() -> None:
    """Judge a detector by its table of scores."""


def _drawing(command: Any) -> Any:
    for option in (
        click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the draws."),
        click.option("--confidence", default=0.95, show_default=True, help="Two-sided coverage of the intervals."),
        click.option("--replicates", default=1000, show_default=True, help="Bootstrap draws of whole videos or pairs."),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("scores", type=Existing)
@click.argument("out", type=File)
@click.option("--tables", type=Folder, help="Folder for the long tables (metrics.csv, differences.csv, ...).")
@click.option("--plots", type=Folder, help="Folder for roc.csv and robustness.csv.")
@click.option("--allow-nan", is_flag=True, help="Judge the other rows when scores are not finite.")
@_drawing
def metrics(
    scores: Path, out: Path, tables: Path | None, plots: Path | None, allow_nan: bool,
    replicates: int, confidence: float, seed: int,
) -> None:  # fmt: skip
    """Write the metrics of the test split of SCORES to OUT (JSON), with intervals, and print them."""
    from . import scores as table
    from . import summary as judge
    from . import tables as paper

    read = table.read(scores, allow_nan=allow_nan)
    summary = judge.summarize(read, judge.Settings(replicates, confidence, seed))
    test = read.where(split="test")
    if tables:
        paper.write_tables(tables, summary, test)
    if plots:
        paper.write_csv(plots / "roc.csv", ["quality", "fpr", "tpr"], paper.roc_points(test))
        # DVC draws `quality` as a number line: the uncompressed faces have no place on it
        rows = [row for row in paper.robustness_rows(summary) if row["quality"] != "raw"]
        paper.write_csv(plots / "robustness.csv", paper.ROBUSTNESS, rows)
    paper.write_json(out, paper.metrics_json(summary))
    click.echo(paper.text(summary))


@main.command()
@click.argument("out", type=Folder)
@click.option("--metrics", required=True, type=Existing, help="metrics.json of `evaluation metrics`.")
@click.option("--scores", required=True, type=Existing, help="The scores it judged.")
@click.option("--tables", required=True, type=Existing, help="The folder of its tables.")
@click.option("--fidelity", type=Existing, help="Folder of panels.csv and its pictures.")
@click.option("--fidelity-summary", type=Existing, help="fidelity.json: PSNR, SSIM, bits per pixel by quality.")
@click.option("--faces", type=Existing, help="summary.json of the faces stage: the data and what was left out.")
@click.option("--failures", type=Existing, help="failures.csv of the faces stage.")
@click.option("--training", type=Existing, help="Folder of model.json and log.jsonl.")
@click.option("--quality", help="JPEG quality the model was trained on.")
@click.option("--allow-nan", is_flag=True, help="As given to `evaluation metrics`.")
def report(out: Path, **sources: Any) -> None:
    """Write one self-contained page, OUT/index.html, and its figures as PNG; print the table and the page's path."""
    from . import report as pages
    from . import tables as paper

    material = pages.gather(pages.Sources(**sources))
    path = pages.build(out, material)
    click.echo(paper.text(material.summary))
    click.echo(f"report: {path}")
