"""A grid of DVC experiments, and their scores side by side.

``detector grid`` runs ``dvc exp run --temp`` for every combination of the values given and leaves the workspace as it
is. An experiment that was already run from this commit is not run again; each one's scores are read back from DVC's own
record.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import click

from .errors import DetectorError

SCORES = "out/scores.csv"


def overrides(values: list[str]) -> list[tuple[str, list[str]]]:
    """Return ``[("quality", ["77", "10"])]`` for ``["quality=77,10"]``."""
    pairs = []
    for text in values:
        name, sign, listed = text.partition("=")
        if not (name and sign and listed):
            raise DetectorError(f"an axis of the grid reads NAME=VALUE,VALUE (quality=77,10), got {text!r}")
        pairs.append((name, listed.split(",")))
    return pairs


def experiment_name(settings: dict[str, str]) -> str:
    """Return a name for DVC: ``quality-77.seed-1``."""
    return ".".join(f"{name.rpartition('.')[2].replace('_', '-')}-{value}" for name, value in settings.items())


def combinations(axes: list[tuple[str, list[str]]]) -> list[dict[str, str]]:
    """Return every combination of the axes' values, the last axis changing fastest."""
    names = [name for name, _ in axes]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*(listed for _, listed in axes))]


def _git_identity() -> dict[str, str]:
    """Return the environment with a committer: DVC commits a temporary experiment, and a fresh machine knows nobody."""
    env = dict(os.environ)
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True).stdout.strip()
    if not known:
        for role in ("AUTHOR", "COMMITTER"):
            env.setdefault(f"GIT_{role}_NAME", "experiment")
            env.setdefault(f"GIT_{role}_EMAIL", "experiment@localhost")
    return env


def finished() -> set[str]:
    """Return the names of the experiments that were run from the commit checked out."""
    run = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def run_experiment(name: str, settings: dict[str, str]) -> None:
    """Run one experiment in a temporary copy of the workspace.

    Raises:
        DetectorError: the run failed; what is finished stays, and the same command continues.
    """
    command = ["dvc", "exp", "run", "--temp", "--name", name]
    for key, value in settings.items():
        command += ["-S", f"{key}={value}"]
    if subprocess.run(command, env=_git_identity()).returncode:
        raise DetectorError(f"{' '.join(command)} failed; finished experiments are kept, the same command goes on")


def save_scores(name: str, folder: Path) -> Path:
    """Write the scores that experiment *name* recorded to ``folder/name.csv`` and return the path."""
    import dvc.api

    path = folder / f"{name}.csv"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(dvc.api.read(SCORES, rev=name))
    temporary.replace(path)
    return path


@click.command()
@click.argument("axes", nargs=-1, required=True, metavar="NAME=VALUE,VALUE...")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/experiments"), show_default=True
)
def command(axes: tuple[str, ...], out: Path) -> None:
    """Run the experiment of every combination, e.g. quality=77,10 seed=1,2,3, and keep its scores in OUT.

    \b
    detector grid quality=77,10 seed=1,2,3
    detector grid model=meso4,efficientnet_b4 quality=77,60,15,10
    detector grid faces.frames_per_second=null,4 quality=77
    """
    out.mkdir(parents=True, exist_ok=True)
    done = finished()
    todo = combinations(overrides(list(axes)))
    for number, settings in enumerate(todo, 1):
        name = experiment_name(settings)
        if name in done:
            click.echo(f"[{number}/{len(todo)}] {name}: recorded, not run again")
        else:
            click.echo(f"[{number}/{len(todo)}] {name}: running")
            run_experiment(name, settings)
        click.echo(f"    {save_scores(name, out)}")
