"""``detector dvc-yaml``: ``dvc.yaml`` and the table of stages in ``docs/architecture.md``, from `detector.pipeline`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .closure import native_sources
from .data.files import whole_file
from .errors import DetectorError
from .options import Command
from .pipeline import STAGES, Output, Stage

__all__ = ["code_files", "command", "document", "table"]

DVC_YAML, DOCS = "dvc.yaml", "docs/architecture.md"
HEADER = "# Written by `detector dvc-yaml` from packages/detector/src/detector/pipeline.py: change the row there.\n"
BEGIN, END = "<!-- stages: written by `detector dvc-yaml` -->", "<!-- end of stages -->"


def code_files(stage: Stage, root: Path) -> list[str]:
    """Return the source files and folders that *stage* depends on, as paths below the repository *root*, sorted."""
    modules = stage.modules()
    paths = [*modules.values(), *native_sources(modules)]
    outside = [path for path in paths if not path.is_relative_to(root)]
    if outside:
        raise DetectorError(
            f"{outside[0]}: not below {root}; run this in the repository that the packages are installed from "
            "(pip install -e packages/...)"
        )
    return sorted(path.relative_to(root).as_posix() for path in paths)


def document(root: Path, stages: Sequence[Stage] = STAGES) -> str:
    """Return dvc.yaml for *stages*, whose source files lie below *root*."""
    from ruamel.yaml import YAML

    figures = [f"{output.path}/{name}" for stage in stages for output in stage.writes for name in output.figures]
    values = {"stages": {stage.name: _entry(stage, root) for stage in stages}, "plots": figures}
    yaml = YAML()
    yaml.width = 120
    text = io.StringIO(HEADER)
    text.seek(0, io.SEEK_END)
    yaml.dump(values, text)
    return text.getvalue()


def _entry(stage: Stage, root: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "desc": stage.summary,
        "cmd": stage.command,
        "deps": [*stage.reads, *stage.after, *code_files(stage, root)],
        "params": list(stage.params),
    }
    for kind in ("outs", "metrics"):
        entry[kind] = [_output(output) for output in stage.writes if output.kind == kind]
    return {key: value for key, value in entry.items() if value}


def _output(output: Output) -> dict[str, Any]:
    # folders are recomputed rather than pushed; metrics are small and tracked by Git
    return {output.path: {"push": False} if output.kind == "outs" else {"cache": False}}


def table(stages: Sequence[Stage] = STAGES) -> str:
    """Return the Markdown table of *stages*."""
    lines = ["| stage | command | reads | writes | parameters |", "|---|---|---|---|---|"]
    for stage in stages:
        command = " ".join(stage.command.split()[:2])
        writes = "; ".join(f"`{o.path}`" + (f": {o.holds}" if o.holds else "") for o in stage.writes)
        reads, params = (", ".join(f"`{name}`" for name in names) for names in (stage.reads, _parameters(stage)))
        reads += "".join(f", after `{name}`" for name in stage.after)
        lines.append(f"| {stage.name} | `{command}` | {reads} | {writes} | {params} |")
    return "\n".join(lines) + "\n"


def _parameters(stage: Stage) -> list[str]:
    """Return the parameters of *stage*, including those in its command line."""
    in_command = [part.partition("}")[0] for part in stage.command.split("${")[1:]]
    return [*stage.params, *in_command]


def with_table(text: str, stages: Sequence[Stage] = STAGES) -> str:
    """Return the Markdown *text* with its generated table updated. DetectorError if the markers are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DetectorError(f"{DOCS}: has no lines {BEGIN} and {END}, between which the table of stages goes")
    return f"{before}{BEGIN}\n{table(stages)}{END}{after}"


@click.command(cls=Command)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 and name the files that are not up to date.")
@click.pass_context
def command(context: click.Context, check: bool) -> None:
    """Write dvc.yaml and the table of stages in docs/architecture.md.

    Both are generated from the rows of detector/pipeline.py and the source files that each stage can load. Run it in
    the root of the repository after changing a row or an import.
    """
    root = Path.cwd()
    made = {root / DVC_YAML: document(root)}
    docs = root / DOCS
    if docs.is_file():
        made[docs] = with_table(docs.read_text(encoding="utf-8"))
    changed = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        click.echo(f"{path.relative_to(root)}: {'not up to date; run detector dvc-yaml' if check else 'written'}")
        if not check:
            with whole_file(path) as temporary:
                temporary.write_text(made[path], encoding="utf-8")
    if not changed:
        click.echo("up to date")
    context.exit(1 if check and changed else 0)
