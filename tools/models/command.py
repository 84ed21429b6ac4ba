"""``python -m tools models``: train, score and compare every model; each step only where its result is missing."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from detector.config import FacesConfig, Params, read_params
from detector.data.files import write_json
from detector.errors import ConfigError, DataError
from detector.schema import read_json

__all__ = ["RECIPES", "command", "runs"]

RECIPES = Path(__file__).parent
# the parameters of NAME are in NAME.yaml; in the order of the table
MODELS = ("meso4", "mesoinception4", "tf_efficientnet_lite0", "efficientnet_b4", "multi_attention")
Folder = click.Path(path_type=Path, exists=True, file_okay=False)
Page = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("models")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", type=Folder, default=Path("data"), show_default=True, help="Videos, for other crop sizes.")
@click.option("--faces", type=Folder, default=Path("out/faces"), show_default=True, help="Lossless crops.")
@click.option("--crops", type=Folder, default=Path("out/compressed"), show_default=True, help="The same, compressed.")
@click.option("--run", "given", multiple=True, metavar="NAME=SEEDS", help="Such as meso4=1,2,3; may be repeated.")
@click.option("--results", type=Page, help="Page with markers for the tables.")
@click.option("--readme", type=Page, help="Page with markers for the short table.")
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False), help="PNG file of the loss curves.")
def command(
    out: Path,
    data: Path,
    faces: Path,
    crops: Path,
    given: tuple[str, ...],
    results: Path | None,
    readme: Path | None,
    figure: Path | None,
) -> None:
    """Train every model with random histories, score the test split under nine conditions, and compare: OUT/table.md.

    The parameters are in tools/models/NAME.yaml; --run names models and seeds (default: seed 1 of each). Every
    step whose result exists is skipped, so an interrupted run continues, and seeds can be added later: the table holds
    all that OUT has.
    """
    from tools.study.table import between_markers

    from .table import MARKERS, document, figure_of, read_all, short

    for name, seed in runs(given):
        params = dataclasses.replace(read_params(RECIPES / f"{name}.yaml"), seed=seed)
        settings = _settings(out, name, params)
        lossless, compressed = _crops(out, data, faces, crops, params)
        weights, scores = out / "weights" / f"{name}-{seed}", out / "scores" / f"{name}-{seed}.csv"
        if not (weights / "model.json").exists():
            history, unfinished = weights.with_name(f"{weights.name}.csv"), out / "unfinished"
            _train(compressed, weights, "--faces", lossless, "--history", history, "--checkpoints", unfinished,
                   "--params", settings)  # fmt: skip
        if not scores.exists():
            _run("score", lossless, weights, scores, "--params", settings)
    trained = read_all(out, MODELS)
    text = document(trained)
    (out / "table.md").write_text(text, encoding="utf-8")
    for page, table in ((results, text), (readme, short(trained))):
        if page is not None:
            changed = between_markers(page.read_text(encoding="utf-8"), table, page, MARKERS)
            page.write_text(changed, encoding="utf-8")
    if figure is not None:
        figure_of(trained).savefig(figure, dpi=100, metadata={"Software": None})
    click.echo(text, nl=False)


def runs(given: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return models and seeds written as ``NAME=SEED,SEED``; seed 1 of every model if nothing is *given*."""
    found = []
    for text in given or [f"{name}=1" for name in MODELS]:
        name, _, seeds = text.partition("=")
        if name not in MODELS:
            raise click.UsageError(f"--run {text}: models with parameters in {RECIPES.name}/ are {', '.join(MODELS)}")
        try:
            found += [(name, int(seed)) for seed in seeds.split(",")]
        except ValueError:
            raise click.UsageError(f"--run {text}: expected NAME=SEED,SEED,..., such as {name}=1,2,3") from None
    return found


def _crops(out: Path, data: Path, faces: Path, crops: Path, params: Params) -> tuple[Path, Path]:
    """Return the folders of lossless and compressed crops of the size that *params* name; other sizes are made."""
    from detector.data.compress import compress_faces
    from detector.data.faces import make_faces
    from detector.data.summary import read_summary

    made = read_summary(faces).parameters
    if params.faces.size == made["size"]:
        return faces, crops
    lossless, compressed = (out / f"{kind}-{params.faces.size}" for kind in ("faces", "compressed"))
    if not (lossless / "index.csv").exists():
        known = {field.name for field in dataclasses.fields(FacesConfig)}
        like = FacesConfig(**{name: value for name, value in made.items() if name in known})
        make_faces(data, lossless, dataclasses.replace(like, size=params.faces.size))
    if not (compressed / "index.csv").exists():
        compress_faces(lossless, compressed, params.quality, params.compress)
    return lossless, compressed


def _settings(out: Path, name: str, params: Params) -> Path:
    """Write the parameters of a run and return their file; DataError if OUT has results of other parameters."""
    from ruamel.yaml import YAML

    path = out / "params" / f"{name}-{params.seed}.yaml"
    if path.exists() and read_params(path) != params:
        raise DataError(
            f"{path}: results of other parameters than {RECIPES.name}/{name}.yaml; name another folder, or remove this "
            f"file and what belongs to it in {out}/weights and {out}/scores"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(json.loads(json.dumps(dataclasses.asdict(params))), file)
    if read_params(path) != params:
        raise ConfigError(f"{path}: the parameters do not read back as they are")
    return path


def _train(crops: Path, weights: Path, *arguments: str | Path) -> None:
    """Run ``detector train`` and add its CPU time to ``WEIGHTS.cpu.json``: one number for each time it was started."""
    path = weights.with_name(f"{weights.name}.cpu.json")
    before = _cpu_of_children()
    try:
        _run("train", crops, weights, *arguments)
    finally:
        spent: list[Any] = read_json(path, list[Any]) if path.exists() else []
        write_json(path, [*spent, round(_cpu_of_children() - before, 1)])


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _run(*arguments: str | Path) -> None:
    """Run ``detector`` in a process of its own, so that torch's arithmetic is pinned."""
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    click.echo(f"detector {' '.join(command[3:])}", err=True)
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise DataError(f"detector {arguments[0]} failed with status {done.returncode}; run the same command again")
