"""``python -m tools study``: data, trainings, scores and the table, each step only where its result is missing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from detector.config import FacesConfig, HistoriesConfig, Params, read_params
from detector.data.files import write_json
from detector.errors import DataError
from detector.options import params_option
from detector.schema import read_json

__all__ = ["CONDITIONS", "RECIPES", "command"]

# the nine of the matrix, then those of H3 and H5: unseen encoder, two JPEG files, resized, 4:4:4
MATRIX = ("raw", "77", "60", "15", "10", "turbo:77", "turbo:60", "turbo:15", "turbo:10")
UNSEEN = ("webp:50", "turbo:90>moz:60", "resize:0.5>moz:77", "moz:77/4:4:4")
CONDITIONS = MATRIX + UNSEEN

MOZJPEG = ("raw x4", "moz:5..95/4:2:0 x18", "moz:5..95/4:2:2 x9", "moz:5..95/4:4:4 x9")
# name -> train.histories: the paper's protocol, the defaults, the defaults without libjpeg-turbo
RECIPES: dict[str, HistoriesConfig | None] = {
    "paper": None,
    "random": HistoriesConfig(),
    "mozjpeg": HistoriesConfig(conditions=MOZJPEG),
}
STANDARDISED = "paper, standardised"
FRAMES = 4, 2  # of a real and of a forged clip: more pairs make the intervals narrower, more frames do not


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is made: kept in ``plan.json``, so that a folder holds the results of one plan."""

    test_pairs: int
    val_pairs: int
    frames: int
    data_seed: int
    seeds: list[int]
    parameters: dict[str, Any]


Existing = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("study")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--faces", type=Existing, default=Path("out/faces"), show_default=True, help="Lossless training crops.")
@click.option("--crops", type=Existing, default=Path("out/compressed"), show_default=True, help="The same, compressed.")
@click.option("--test-pairs", type=click.IntRange(2), default=48, show_default=True, help="Test pairs.")
@click.option("--val-pairs", type=click.IntRange(1), default=12, show_default=True, help="Validation pairs.")
@click.option("--frames", type=click.IntRange(4), default=8, show_default=True, help="Frames of a clip.")
@click.option("--data-seed", default=1001, show_default=True, help="Seed of the people; the sample's is 0.")
@click.option("--seeds", default="1,2,3", show_default=True, help="Seeds of the training runs, separated by commas.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that make videos.")
@click.option("--table", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Page with the markers.")
@params_option
def command(
    out: Path,
    faces: Path,
    crops: Path,
    test_pairs: int,
    val_pairs: int,
    frames: int,
    data_seed: int,
    seeds: str,
    workers: int,
    table: Path | None,
    params: Params,
) -> None:
    """Train with each recipe on --faces and --crops, score the faces of new people, and compare: OUT/table.md.

    The recipes are the paper's protocol, random histories, random histories by mozjpeg only, and the paper's protocol
    with scores standardised by condition. Every step whose result exists is skipped, so an interrupted study continues;
    with the defaults it takes about 90 minutes of CPU time. Other settings need another folder.
    """
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise click.UsageError(f"--seeds are whole numbers separated by commas, got {seeds!r}") from None
    if data_seed == 0:
        raise click.UsageError("--data-seed 0 is the sample's, whose people are in the training data; choose another")
    parameters = {"model": params.model, "quality": params.quality, **dataclasses.asdict(params.train)}
    plan = Plan(test_pairs, val_pairs, frames, data_seed, numbers, parameters)
    _check(out / "plan.json", plan)
    data = make_data(out, plan, params.faces, workers)
    tables = {name: [_scores(out, name, seed) for seed in numbers] for name in RECIPES}
    tables[STANDARDISED] = [_scores(out, STANDARDISED, seed) for seed in numbers]
    for seed in numbers:
        for name, histories in RECIPES.items():
            recipe = dataclasses.replace(params.train, histories=histories, conditions=CONDITIONS)
            settings = _write_params(out / "params" / f"{name}-{seed}.yaml", params, recipe, seed)
            weights = out / "weights" / f"{name}-{seed}"
            if not (weights / "model.json").exists():
                history = out / "weights" / f"{name}-{seed}.csv"
                _run("train", crops, weights, "--faces", faces, "--history", history, "--params", settings)
            if not _scores(out, name, seed).exists():
                _run("score", data, weights, _scores(out, name, seed), "--params", settings)
            if name == "paper" and not _scores(out, STANDARDISED, seed).exists():
                _run("score", data, weights, _scores(out, STANDARDISED, seed), "--standardise", "--params", settings)
    from .table import between_markers, document

    text = document(tables, MATRIX, UNSEEN, dataclasses.asdict(plan))
    (out / "table.md").write_text(text, encoding="utf-8")
    if table is not None:
        table.write_text(between_markers(table.read_text(encoding="utf-8"), text, table), encoding="utf-8")
    click.echo(text, nl=False)


def make_data(out: Path, plan: Plan, settings: FacesConfig, workers: int) -> Path:
    """Make the videos and faces of the study in *out* and return the folder of faces."""
    from detector.data.faces import make_faces
    from tools.sample import generate

    found = out / "faces"
    if not (found / "index.csv").exists():
        generate(
            out / "videos",
            identities=2 * (plan.test_pairs + plan.val_pairs),
            frames=plan.frames,
            seed=plan.data_seed,
            workers=workers,
            splits={"val": plan.val_pairs, "test": plan.test_pairs},
            compressions=["c23"],
            masks=False,
        )
        real, fake = FRAMES
        frames = dataclasses.replace(settings, frames_real=real, frames_fake=fake, frames_per_second=None)
        make_faces(out / "videos", found, frames)
    return found


def _check(path: Path, plan: Plan) -> None:
    wanted = json.loads(json.dumps(dataclasses.asdict(plan)))
    if path.exists():
        found = read_json(path, dict[str, Any])
        differing = [name for name in wanted if found.get(name) != wanted[name]]
        if differing:
            raise DataError(f"{path}: {', '.join(differing)} were other values; name another folder for this study")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, wanted)


def _scores(out: Path, name: str, seed: int) -> Path:
    return out / "scores" / f"{name.replace(', ', '-')}-{seed}.csv"


def _write_params(path: Path, params: Params, train: Any, seed: int) -> Path:
    from ruamel.yaml import YAML

    path.parent.mkdir(parents=True, exist_ok=True)
    given = dataclasses.replace(params, seed=seed, train=train, conditions=CONDITIONS)
    values = json.loads(json.dumps(dataclasses.asdict(given)))
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    assert read_params(path) == given
    return path


def _run(*arguments: str | Path) -> None:
    """Run ``detector`` in a process of its own, so that torch's arithmetic is pinned."""
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    click.echo(f"detector {' '.join(command[3:])}", err=True)
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise DataError(f"detector {arguments[0]} failed with status {done.returncode}; run the same command again")
