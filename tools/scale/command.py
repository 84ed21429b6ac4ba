"""``python -m tools scale``: test the predictions of `detector plan`, and simulate what is too large to run."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import click

from detector.config import FacesConfig, Params, TrainConfig
from detector.data.files import whole_file
from detector.errors import DetectorError
from evaluation.command_group import CommandGroup

__all__ = ["PARAMS", "command"]

# short clips and a short training, so that sixteen times the data take minutes
PARAMS = Params(
    faces=FacesConfig(methods=("Deepfakes",), frames_real=8, frames_fake=4), train=TrainConfig(steps=20, batch_size=16)
)
COPIES = (1, 4, 16)
HERE = Path("tools/scale")
CALIBRATION, EXECUTORS = HERE / "calibration.json", HERE / "executors.json"


@click.group(cls=CommandGroup)
def command() -> None:
    """Test the predictions of `detector plan`, and simulate the executors at sizes that cannot be run here."""


@command.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), default=Path("data"), show_default=True, help="The sample."
)
@click.option(
    "--copies", type=click.IntRange(1, 99), multiple=True, default=COPIES, show_default=True,
    help="Number of copies; repeatable.",
)
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the rows as JSON.")
@click.option("--document", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file that gets the table.")
def check(data: Path, copies: tuple[int, ...], out: Path | None, document: Path | None) -> None:
    """Calibrate on a part of the sample in DATA, run all stages on copies of it, and compare the CPU time."""
    from detector.arithmetic import pin

    pin(PARAMS.train)
    from detector.planning.calibrate import calibrate

    from .check import compared, table
    from .tree import copied_tree

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in {1, *copies}:
            copied_tree(data, folder / f"data{number}", 1, number)
        calibration = calibrate(
            folder / "data1", PARAMS, folder / "calibration", lambda line: click.echo(line, err=True)
        )
        rows = []
        for number in copies:
            click.echo(f"running {number}x", err=True)
            rows += compared(calibration, folder / f"data{number}", folder / f"out{number}", PARAMS, number)
    if out is not None:
        with whole_file(out) as path:
            path.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1), encoding="utf-8")
    text = table(rows)
    click.echo(text)
    if document is not None:
        replace(document, "predictions", text)


@command.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=EXECUTORS, show_default=True,
    help="File for the time of a task by executor.",
)
@click.option("--document", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file that gets the table.")
def validate(out: Path, document: Path | None) -> None:
    """Run tasks that sleep on processes and on Dask, simulate the same, and compare; --out gets the time of a task."""
    from .validate import table, validated

    with tempfile.TemporaryDirectory() as folder:
        rows, taken = validated(Path(folder))
    with whole_file(out) as path:
        path.write_text(json.dumps({name: round(seconds, 5) for name, seconds in taken.items()}) + "\n")
    text = table(rows, taken)
    click.echo(text)
    if document is not None:
        replace(document, "validation", text)


@command.command("simulate")
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True), default=CALIBRATION, show_default=True,
    help="Costs of the stages, as detector plan --calibrate writes them.",
)
@click.option(
    "--executors", type=click.Path(path_type=Path, exists=True), default=EXECUTORS, show_default=True,
    help="Time of a task by executor, as validate writes it.",
)
@click.option("--document", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file that gets the table.")
def simulated(calibration: Path, executors: Path, document: Path | None) -> None:
    """Simulate the stages of large data sets on one machine, a Slurm partition and a cloud."""
    from detector.planning.calibrate import settings_of
    from detector.planning.cost import Calibration
    from detector.schema import read_json

    from .simulate import plans, table

    known, settings = read_json(calibration, Calibration), settings_of(Params())
    text, planned = table(known, settings, read_json(executors, dict[str, float])), plans(known, settings)
    click.echo(f"{planned}\n{text}")
    if document is not None:
        replace(document, "plans", planned)
        replace(document, "simulation", text)


def replace(document: Path, name: str, text: str) -> None:
    """Write *text* into *document* between the lines ``<!-- table of NAME -->`` and ``<!-- end of NAME -->``."""
    mark, end = f"<!-- table of {name} -->", f"<!-- end of {name} -->"
    whole = document.read_text(encoding="utf-8")
    if mark not in whole or end not in whole:
        raise DetectorError(f"{document}: has no lines {mark} and {end} between which the table belongs")
    before, after = whole.split(mark)[0], whole.split(end)[1]
    with whole_file(document) as path:
        path.write_text(f"{before}{mark}\n{text}{end}{after}", encoding="utf-8")
