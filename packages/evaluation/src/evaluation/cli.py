"""The command line. Commands import what they need when they run, so ``--help`` is instant."""

from __future__ import annotations

import itertools
import os
import shlex
from pathlib import Path
from typing import Any

import click

from .command_group import CommandGroup
from .exhausted import exhausted, one_line
from .paths import Command, Existing, File, Folder, GroupArgument, check_paths
from .threads import let_idle_threads_sleep, pin_numpy
from .values import shown

__all__ = ["main"]

# metrics of `compare`: those of evaluation.measure.ESTIMATED, which a test keeps equal
COMPARABLE = ("auc", "ap", "eer", "balanced_accuracy", "accuracy", "f1", "brier", "logloss")


def _table_names() -> tuple[str, ...]:
    from .tables import STRATA, TABLES

    return (*TABLES, STRATA, "settings.json")


TABLES = Folder(_table_names)
PAGE = Folder(lambda: ("index.html", "report.md", "citation.bib", "tables", "*.png"))
COMPARISON = Folder(lambda: ("index.html", "compare.md", "leaderboard.csv", "tests.csv", "tables"))


class Main(CommandGroup):
    """A group that reports bad input as one line on standard error, with exit status 1."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            named = error.filename is not None and error.strerror is not None
            text = f"{error.filename}: {error.strerror}" if named else str(error)
            raise click.ClickException(one_line(text)) from error
        except ValueError as error:
            raise click.ClickException(one_line(str(error))) from error
        except (MemoryError, ImportError, RuntimeError) as error:
            if (found := exhausted(error)) is None:
                raise
            raise click.ClickException(found) from error


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evaluation")
def main() -> None:
    """Evaluate a deepfake detector from its table of scores."""
    let_idle_threads_sleep()
    pin_numpy()


class ColumnArgument(click.ParamType):  # type: ignore[type-arg]  # not generic at run time before click 8.2
    """``OURS=THEIRS``."""

    name = "OURS=THEIRS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        ours, sign, theirs = str(value).partition("=")
        if not (sign and ours and theirs):
            self.fail(f"{shown(value)} is not OURS=THEIRS (like score=probability)", param, ctx)
        return ours, theirs


def _reading(command: Any) -> Any:
    """Add the options that say how a table of scores is read."""
    for option in (
        click.option("--logits", is_flag=True, help="The scores are logits: apply a sigmoid."),
        click.option(
            "--allow-missing", is_flag=True,
            help="Leave out incomplete rows: cut short, duplicate, without a label, with a score that is not finite, "
            "of faces that lack a condition. The results say how many were left out.",
        ),
        click.option(
            "--column", "columns", multiple=True, type=ColumnArgument(),
            help="Our column and its name in the file, as in score=probability. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def _drawing(command: Any) -> Any:
    for option in (
        click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Seed of the bootstrap."),
        click.option(
            "--intervals", default="jackknife", show_default=True, type=click.Choice(["jackknife", "bootstrap"]),
            help="How intervals are made. The bootstrap is for comparison: too narrow with few pairs.",
        ),
        click.option("--confidence", default=0.95, show_default=True, help="Two-sided coverage of the intervals."),
        click.option("--replicates", default=1000, show_default=True, help="Bootstrap replicates of videos or pairs."),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("scores", type=Existing)
@click.argument("out", type=File)
@click.option("--tables", type=TABLES, help="Folder for the long tables (metrics.csv, differences.csv, ...).")
@click.option("--headline", type=File, help="JSON file for the six headline numbers, for `dvc metrics diff`.")
@click.option("--allow-nan", is_flag=True, help="Leave out rows whose score is not finite.")
@click.option("--quiet", is_flag=True, help="Do not print the table of results.")
@_reading
@_drawing
def metrics(
    scores: Path, out: Path, tables: Path | None, headline: Path | None, allow_nan: bool, quiet: bool,
    columns: tuple[tuple[str, str], ...], allow_missing: bool, logits: bool, replicates: int, confidence: float,
    intervals: str, seed: int,
) -> None:  # fmt: skip
    """Write the metrics of the test split of SCORES to OUT (JSON), with intervals, and print them.

    SCORES is a table as `detector score` writes it, or that of another tool (see `import`). Exit status 1 if nothing
    can be computed.
    """
    from .files import json_text
    from .matrix import evaluate
    from .origin import check_recorded
    from .scores import Reading, read
    from .strata import strata
    from .summary import Settings, summarize
    from .tables import headline_json, metrics_json, tables_files, text
    from .whole import write_together

    settings = Settings(replicates, confidence, seed, intervals)
    reading = Reading(dict(columns), allow_nan, allow_missing, logits)
    found = read(scores, **reading.options())
    if found.source:
        check_recorded(scores, found.source.sha256)
    if not (found.split == "test").any():
        held = ", ".join(found.split.present().tolist())
        raise click.ClickException(
            f"{scores}: nothing to evaluate: " + (f"no row is of the split test, only of {held}; --column split=NAME "
            "names another column of splits" if held else _nothing_left(found.notes))
        )
    summary = summarize(found, settings, reading)
    matrix = evaluate(found, confidence)
    test = found.where(split="test")                   # not before: a large table is copied here
    parts = strata(test, confidence)
    write_together(itertools.chain(
        tables_files(tables, summary, test, matrix, parts) if tables else (),
        ((headline, json_text(headline_json(summary, matrix))),) if headline else (),
        ((out, json_text(metrics_json(summary, matrix))),),
    ))  # fmt: skip
    if quiet:
        for note in summary.notes:
            click.echo(f"note: {note}", err=True)
    click.echo(f"metrics: {out}" if quiet else text(summary, matrix, parts))


def _nothing_left(notes: tuple[str, ...]) -> str:
    left_out = [note for note in notes if note.startswith("left out")]
    return "; ".join(["no row is left", *left_out]) if left_out else "the table has no rows"


@main.command(name="import")
@click.argument("file", type=Existing)
@click.argument("out", type=File)
@click.option("--allow-nan", is_flag=True, help="Leave out rows whose score is not finite.")
@_reading
def import_(
    file: Path, out: Path, columns: tuple[tuple[str, str], ...], allow_nan: bool, allow_missing: bool, logits: bool
) -> None:
    """Convert the scores in FILE to OUT, a table for `evaluation metrics` (.csv, .csv.gz or .parquet).

    FILE is CSV (comma, semicolon or tab; gzip or zstd), Parquet, a metric_dict_best.pickle of DeepfakeBench, or a
    table of sidbench or deepsafe-bench. Only a label (0/1, real/fake, false/true) and a score (P(fake)) are needed.

    \b
    evaluation import results.csv scores.csv --column score=probability
    """
    from .importing import write
    from .scores import read

    found = read(file, allow_nan=allow_nan, columns=dict(columns), allow_missing=allow_missing, logits=logits)
    if not len(found):
        raise click.ClickException(f"{file}: nothing to import: {_nothing_left(found.notes)}")
    write(out, found)
    for note in found.notes:
        click.echo(f"note: {note}")
    n = found.counts()
    kept = f", strata {', '.join(found.strata)}" if found.strata else ""
    click.echo(
        f"{out}: {len(found)} rows, {n['frames']} faces of {n['videos']} videos, "
        f"{len(found.conditions)} condition{'s' * (len(found.conditions) > 1)}{kept}"
    )


@main.command()
@click.argument("metrics", type=Existing)
@click.argument("tables", type=Existing)
@click.option("--page", type=Existing, help="The page of `evaluation report`; its path is printed below the table.")
def show(metrics: Path, tables: Path, page: Path | None) -> None:
    """Print the results of `evaluation metrics`: METRICS (JSON) and the folder TABLES."""
    from .tables import read_results, text

    click.echo(text(*read_results(metrics, tables)))
    if page:
        click.echo(f"report: {page}")


@main.command()
@click.argument("out", type=PAGE)
@click.option("--metrics", required=True, type=Existing, help="metrics.json of `evaluation metrics`.")
@click.option("--scores", required=True, type=Existing, help="The scores that the metrics were computed from.")
@click.option("--tables", required=True, type=Existing, help="The folder of tables of `evaluation metrics`.")
@click.option("--fidelity", type=Existing, help="Folder of panels.csv and its images.")
@click.option("--fidelity-summary", type=Existing, help="fidelity.json: PSNR, SSIM, bits per pixel by condition.")
@click.option("--faces", type=Existing, help="summary.json of the faces stage.")
@click.option("--failures", type=Existing, help="failures.csv of the faces stage.")
@click.option("--training", type=Existing, help="Folder of model.json and log.jsonl.")
@click.option("--explain", type=Existing, help="Folder of `detector explain`: heat maps and feature vectors.")
@click.option("--versus", type=Existing, help="Scores of another run to compare with this one.")
@click.option("--crops", type=Existing, help="Folder of the packed crops, to show one false alarm and one miss.")
@click.option("--audit", type=Existing, help="audit.json of `detector audit`: shortcuts and leaks in the data.")
@click.option("--allow-nan", is_flag=True, help="As given to `evaluation metrics`.")
@click.option("--useful", default=0.75, show_default=True, help="Balanced accuracy from which a detector is useful.")
@click.option("--equivalent", default=0.05, show_default=True, help="Largest AUC drop that counts as no loss.")
@click.pass_context
def report(context: click.Context, /, out: Path, useful: float, equivalent: float, **sources: Any) -> None:
    """Write a self-contained page, OUT/index.html, and print the results and its path.

    OUT also gets the same as report.md, the figures as PNG, the tables as CSV, and citation.bib.
    """
    from .report import Sources, build, gather
    from .tables import text
    from .usefulness import Margins

    material = gather(Sources(**sources, command=_shown(context), margins=Margins(useful, equivalent)))
    path = build(out, material)
    click.echo(text(material.summary, material.matrix))
    click.echo(f"report: {path}")


def _shown(context: click.Context) -> str:
    """Return the command with the options that were given, ready to be run again; arguments by their names."""
    words = ["evaluation", str(context.command.name)]
    for param in context.command.params:
        value = context.params.get(param.name or "")
        if isinstance(param, click.Argument):
            words.append(str(param.human_readable_name))
        elif isinstance(param, click.Option) and param.is_flag and value:
            words.append(param.opts[0])
        elif value is not None and value != param.get_default(context):
            words += [param.opts[0], shlex.quote(str(value))]
    return " ".join(words)


class TableArgument(GroupArgument):
    """``LABEL=PATH``, ``LABEL=PATH,PATH,...``, or ``PATH`` alone, with an empty label."""

    name = "[LABEL=]PATH,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(str(value)).is_file():
            return "", (str(value),)
        if "=" not in str(value):
            self.fail(f"{value}: no such file", param, ctx)
        return super().convert(value, param, ctx)


def _groups(groups: tuple[tuple[str, tuple[str, ...]], ...]) -> Any:
    from .scores import read
    from .seeds import Group

    labels = [label for label, _ in groups]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise click.UsageError(f"{', '.join(repeated)}: the label occurs twice; list all files of a group after it")
    return [Group(label, paths, tuple(read(path) for path in paths)) for label, paths in groups]


def _above(command: Any) -> Any:
    """Add the options --out, --note and --dataset: a Markdown file and the text above its tables."""
    for option in (
        click.option("--dataset", type=Existing, help="dataset.json of the videos; synthetic ones get a notice."),
        click.option("--note", help="A sentence to show above the Markdown tables."),
        click.option("--out", type=File, help="Markdown file to write the tables to."),
    ):
        command = option(command)
    return command


def _note(note: str | None, dataset: Path | None) -> str | None:
    from .files import read_json
    from .records import Dataset
    from .tables import caveats

    found = read_json(dataset, Dataset, "it must be the dataset.json of the videos") if dataset else Dataset()
    return " ".join([*caveats(found.synthetic, found.note), *([note] if note else [])]) or None


@main.command()
@click.argument("groups", nargs=-1, required=True, type=GroupArgument(), metavar="LABEL=PATH,PATH...")
@click.option("--csv", "csv_path", type=File, help="CSV file to write every row to.")
@_above
@_drawing
def seeds(
    groups: tuple[tuple[str, tuple[str, ...]], ...], out: Path | None, csv_path: Path | None, note: str | None,
    dataset: Path | None, replicates: int, confidence: float, intervals: str, seed: int,
) -> None:  # fmt: skip
    """Compare groups of runs that differ by their seed: mean, spread, drop, and difference to the first group.

    \b
    evaluation seeds q77=a.csv,b.csv,c.csv q10=d.csv,e.csv,f.csv --out seeds.md
    """
    from dataclasses import asdict, fields

    from .files import csv_text
    from .seeds import SeedRow, compare_groups, document, terminal
    from .summary import Settings
    from .whole import write_together

    settings = Settings(replicates, confidence, seed, intervals)
    read, above = _groups(groups), _note(note, dataset)
    rows = compare_groups(read, settings)
    write_together([
        *([(out, document(read, rows, settings, above))] if out else []),
        *([(csv_path, csv_text([f.name for f in fields(SeedRow)], map(asdict, rows)))] if csv_path else []),
    ])  # fmt: skip
    click.echo(terminal(read, rows, settings))


@main.command()
@click.argument("index", type=Existing)
@click.option("--figure", type=File, help="PNG file for the matrix of training quality and test condition.")
@click.option("--versus", multiple=True, metavar="SETTING", help="Show the effect of this setting, all else equal.")
@click.option("--fidelity", type=Existing, help="fidelity.json of the faces: bits per pixel, for the area.")
@click.option("--csv", "csv_path", type=File, help="CSV file to write every row to.")
@_above
@_drawing
def grid(
    index: Path, figure: Path | None, versus: tuple[str, ...], fidelity: Path | None, csv_path: Path | None,
    out: Path | None, note: str | None, dataset: Path | None, replicates: int, confidence: float, intervals: str,
    seed: int,
) -> None:  # fmt: skip
    """Tabulate the experiments of INDEX: AUC by settings, test condition and method, mean over their seeds.

    \b
    evaluation grid out/experiments/experiments.csv --versus model --out grid.md
    """
    from .files import csv_text
    from .grid import csv_columns, csv_rows, document, make, read_variants, terminal, train_test
    from .material import read_rates
    from .summary import Settings
    from .whole import write_together

    variants = read_variants(index)
    written = {"--out": out, "--csv": csv_path, "--figure": figure}
    scores = {path: Path(path) for variant in variants for path in variant.group.paths}
    check_paths(scores, {name: path for name, path in written.items() if path})
    rates = read_rates(fidelity, variants[0].group.runs[0].conditions) if fidelity else {}
    above = _note(note, dataset)
    found = make(variants, versus, Settings(replicates, confidence, seed, intervals), rates)
    files: list[tuple[Path, bytes | str]] = []
    if out:
        files.append((out, document(found, above)))
    if csv_path:
        files.append((csv_path, csv_text(csv_columns(found), csv_rows(found))))
    if figure:
        from .plots import png, train_test_matrices

        files.append((figure, png(train_test_matrices(train_test(found)))))
    write_together(files)
    click.echo(terminal(found))


@main.command()
@click.argument("tables", nargs=-1, type=TableArgument(), metavar="TABLE...")
@click.option(
    "--rev", "revisions", multiple=True, metavar="REV",
    help="Scores of a commit, branch, tag or DVC experiment, also LABEL=REV,REV,... for seeds. Repeatable.",
)
@click.option("--path", default="out/scores.csv", show_default=True, help="Path of the scores in each revision.")
@click.option("--metric", default="auc", show_default=True, type=click.Choice(COMPARABLE), help="Metric to compare.")
@click.option("--level", default="frame", show_default=True, type=click.Choice(["frame", "video"]), help="Its level.")
@click.option("--condition", "conditions", multiple=True, help="Compare in this condition only. Repeatable.")
@click.option("--versus", metavar="LABEL", help="Test against this detector only (default: all pairs of detectors).")
@click.option("--confidence", default=0.95, show_default=True, help="Two-sided coverage of the intervals.")
@click.option("--allow-nan", is_flag=True, help="Leave out rows whose score is not finite.")
@click.option("--out", type=COMPARISON, help="Folder for the page (index.html), compare.md and the tables as CSV.")
@click.option("--dataset", type=Existing, help="dataset.json of the videos; synthetic ones get a notice.")
def compare(
    tables: tuple[tuple[str, tuple[str, ...]], ...], revisions: tuple[str, ...], path: str, metric: str, level: str,
    conditions: tuple[str, ...], versus: str | None, confidence: float, allow_nan: bool, out: Path | None,
    dataset: Path | None,
) -> None:  # fmt: skip
    """Compare detectors: a leaderboard, and paired tests with Holm's correction over all of them.

    Each TABLE is PATH, LABEL=PATH, or LABEL=PATH,PATH,... for runs that differ by their seed only. Tables may cover
    different faces: each test uses the rows that both detectors scored.

    \b
    evaluation compare a.csv b.csv big=1.csv,2.csv --rev main --out comparison
    """
    import tempfile

    from . import leaderboard
    from .compare import compare as of_groups
    from .revisions import fetch
    from .scores import read
    from .seeds import Group

    listed = [(label, files, files) for label, files in _labelled(tables)]
    with tempfile.TemporaryDirectory() as folder:
        for given in revisions:
            label, sign, names = given.partition("=")
            revs = tuple((names if sign else given).split(","))
            files = tuple(str(fetch(rev, path, Path(folder))) for rev in revs)
            listed.append((label, files, tuple(f"{path} at {rev}" for rev in revs)))
        repeated = sorted({label for label, *_ in listed if [other for other, *_ in listed].count(label) > 1})
        if repeated:
            raise click.UsageError(f"{', '.join(repeated)}: the label occurs twice; write LABEL=... before each")
        if len(listed) < 2:
            raise click.UsageError("a comparison needs two or more detectors; name tables or use --rev")
        groups = [
            Group(label, named, tuple(read(file, allow_nan=allow_nan) for file in files))
            for label, files, named in listed
        ]
    note = _note(None, dataset)
    board = of_groups(groups, metric, level, confidence, versus, conditions)
    click.echo(leaderboard.text(board))
    if out:
        sources = [(label, name) for label, _, names in listed for name in names]
        click.echo(f"page: {leaderboard.write(out, board, sources, [note] if note else [])}")


def _labelled(tables: tuple[tuple[str, tuple[str, ...]], ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Name tables without a label after the shortest end of their path that no other one has."""
    whole = [Path(os.path.realpath(files[0])) for _, files in tables]
    taken = {label for label, _ in tables if label}

    def name(path: Path) -> str:
        parts = path.with_name(path.name.split(".")[0] or path.name).parts
        for count in range(1, len(parts)):
            short = "/".join(parts[-count:])
            ends = [other.with_name(other.name.split(".")[0] or other.name).parts[-count:] for other in whole]
            if ends.count(parts[-count:]) == 1 and short not in taken:
                return short
        return str(path)

    return [(label or name(path), files) for (label, files), path in zip(tables, whole, strict=True)]
