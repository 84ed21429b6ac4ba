"""A grid of DVC experiments, and their scores side by side.

``detector grid`` runs ``dvc exp run --temp`` for every combination of the given values and does not change the
workspace. Experiments that DVC has recorded from this commit with the same parameters are not run again, whatever their
name. The scores of each experiment are copied from DVC's cache, with an index of the experiments.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .config import Params, from_mapping
from .errors import ConfigError, DetectorError
from .options import Command, Output
from .pipeline import makers
from .schema import Mismatch, csv_lines, parse, parse_yaml, read_text, shown, within

PARAMS = "params.yaml"
SCORES = "out/scores.csv"
RECORD = "out/scores.json"
FIDELITY = "out/fidelity.json"
INDEX = "experiments.csv"
MAKING = tuple(row.name for row in makers(SCORES))  # the stages that produce the scores
COLUMNS = ("experiment", "rev", "tested_on", "scores")
ALWAYS = ("model", "quality", "seed")  # settings shown in every table
FRAMES = ("frames_real", "frames_fake", "frames_per_second")  # parameters of faces that only select frames

Lock = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One of DVC's records: its name, the commit that holds it, its parameters and its dvc.lock."""

    name: str
    rev: str
    params: Params
    lock: Lock

    @property
    def faces(self) -> str:
        """The hash of the face crops."""
        return _hashes(self.lock, "faces", "outs")["out/faces"]


def overrides(values: Sequence[str], separator: str | None = ",") -> list[tuple[str, list[str]]]:
    """Return ``[("quality", ["77", "10"])]`` for ``["quality=77,10"]``; without *separator* one value each."""
    pairs = []
    for text in values:
        name, sign, listed = text.partition("=")
        if not (name and sign and listed):
            raise DetectorError(f"an axis of the grid reads NAME=VALUE,VALUE (quality=77,10), got {shown(text)}")
        pairs.append((name, listed.split(separator) if separator else [listed]))
    return pairs


def experiment_name(settings: Mapping[str, str]) -> str:
    """Return a name for DVC: ``quality-77.seed-1``."""
    return ".".join(f"{name.rpartition('.')[2].replace('_', '-')}-{value}" for name, value in settings.items())


def combinations(axes: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, str]]:
    """Return every combination of the axes' values, the last axis changing fastest."""
    names = [name for name, _ in axes]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*(listed for _, listed in axes))]


def with_settings(values: Mapping[str, Any], settings: Mapping[str, str]) -> Params:
    """Return the parameters *values* (of params.yaml) with *settings* (``{"train.amp": "bf16"}``) in their place.

    ConfigError names a setting that is not a parameter or is out of range.
    """
    changed = dict(values)
    for name, text in settings.items():
        *sections, last = name.split(".")
        here = changed
        for section in sections:
            inner = here.get(section) or {}
            if not isinstance(inner, Mapping):
                raise ConfigError(f"{name} is not a parameter: {section} is not a section")
            here[section] = dict(inner)
            here = here[section]
        here[last] = parse_yaml(text, name)
    return from_mapping(Params, changed)


def setting(params: Params, name: str) -> str:
    """Return the value of the parameter with the dotted *name* as text, ``null`` for none."""
    value: Any = params
    for part in name.split("."):
        value = getattr(value, part)
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# -- DVC's records -----------------------------------------------------------------------------------------------------


def recorded() -> list[Experiment]:
    """Return the experiments that DVC has recorded from the current commit and that have their own scores.

    Experiments that stopped before the score stage (``dvc exp run train``) are skipped.
    """
    names, revs = (_output("dvc", "exp", "list", option).split() for option in ("--name-only", "--sha-only"))
    found = [_record(name, rev) for name, rev in zip(names, revs, strict=True)]
    return [experiment for experiment in found if experiment]


@functools.cache  # a commit never changes
def _record(name: str, rev: str) -> Experiment | None:
    values = read_record(_show(rev, PARAMS), f"{PARAMS} of experiment {name}", dict[str, Any])
    lock = read_record(_show(rev, "dvc.lock"), f"dvc.lock of experiment {name}", Locked)
    return Experiment(name, rev, from_mapping(Params, values), lock) if holds_scores(values, lock) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder in dvc.lock."""

    path: str
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class LockedStage:
    """A stage in dvc.lock: parameters by file, dependencies and outputs."""

    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    deps: list[Entry] = field(default_factory=list)
    outs: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Locked:
    """The fields of dvc.lock that are read here."""

    stages: dict[str, LockedStage] = field(default_factory=dict)


def read_record(content: str, where: str, form: Any) -> Any:
    """Return the YAML text *content*, checked against *form*, as plain values; DataError names *where*."""
    values = parse_yaml(content, where)
    remedy = "remove it (dvc exp remove) and run it again"
    with within(where, remedy):
        parse(values, form)
    return values


def holds_scores(values: Mapping[str, Any], lock: Lock) -> bool:
    """Return whether dvc.lock's scores were made with the parameters *values*, each stage from the previous output."""
    made: dict[str, str] = {}
    for stage in MAKING:
        if stage not in lock.get("stages", {}):
            return False
        used = lock["stages"][stage].get("params", {}).get(PARAMS, {})
        if any(_parameter(values, name) != value for name, value in used.items()):
            return False
        if any(made.get(path, md5) != md5 for path, md5 in _hashes(lock, stage, "deps").items()):
            return False
        made |= _hashes(lock, stage, "outs")
    return True


def _parameter(values: Mapping[str, Any], name: str) -> Any:
    """Return the parameter of a dotted *name* (dvc.lock has ``train.threads``), None if there is none."""
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _hashes(lock: Lock, stage: str, kind: str) -> dict[str, str]:
    """Return path -> hash of a stage's "deps" or "outs"."""
    return {entry["path"]: entry["md5"] for entry in lock["stages"][stage].get(kind, [])}


def _show(rev: str, file: str) -> str:
    return _output("git", "show", f"{rev}:./{file}")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DetectorError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def _git_identity() -> dict[str, str]:
    """Return the environment with a committer: DVC needs one for temporary experiments, Git may have none."""
    env = dict(os.environ)
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True).stdout.strip()
    if not known:
        for role in ("AUTHOR", "COMMITTER"):
            env.setdefault(f"GIT_{role}_NAME", "experiment")
            env.setdefault(f"GIT_{role}_EMAIL", "experiment@localhost")
    return env


def run_experiment(name: str, settings: Mapping[str, str]) -> None:
    """Run all stages of one experiment in a temporary copy of the workspace.

    All stages are needed because DVC (3.67) does not record an experiment if a folder of plots in dvc.lock, here
    out/report, is missing from the cache, as after a clone.

    Raises:
        DetectorError: the run failed; finished experiments are kept, and the same command resumes.
    """
    command = ["dvc", "exp", "run", "--temp", "--name", name]
    for key, value in settings.items():
        command += ["-S", f"{key}={value}"]
    if subprocess.run(command, env=_git_identity()).returncode:
        raise DetectorError(f"{' '.join(command)} failed; finished experiments are kept, the same command resumes")


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return *name*, or ``name-2`` and so on if DVC has an experiment of that name with other parameters."""
    names, candidate = set(taken), name
    for number in itertools.count(2):
        if candidate not in names:
            break
        candidate = f"{name}-{number}"
    return candidate


# -- scores ------------------------------------------------------------------------------------------------------------


def scored_on(experiment: Experiment, reference: Experiment) -> Experiment:
    """Return the experiment whose test faces *experiment* is scored on.

    This is *reference* if both have the same test faces or faces that differ only in which frames were taken, so that
    the choice of training frames does not change the test. Otherwise (another size, another compression) it is
    *experiment* itself.
    """
    faces = reference.params.faces
    chosen = {name: getattr(faces, name) for name in FRAMES}
    alike = dataclasses.replace(experiment.params.faces, **chosen) == faces
    return reference if alike or experiment.faces == reference.faces else experiment


def save_scores(experiment: Experiment, tested: Experiment, path: Path) -> None:
    """Write the scores of *experiment* on the test faces of *tested* to *path*, and their record (.json) beside it.

    If both have the same faces, the scores that DVC has recorded are copied; otherwise the faces are scored now with
    the recorded weights. DetectorError if DVC's cache no longer holds what is needed.
    """
    from .data.files import whole_file

    if experiment.faces == tested.faces:
        with whole_file(path) as temporary:
            _fetch(experiment, SCORES, temporary)
        with whole_file(path.with_suffix(".json")) as temporary:
            _fetch(experiment, RECORD, temporary)
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".scoring-") as name:
        folder = Path(name)
        _fetch(tested, "out/faces", folder / "faces")
        _fetch(experiment, "out/train", folder / "train")
        (folder / PARAMS).write_text(_show(experiment.rev, PARAMS), encoding="utf-8")
        parts = [str(part) for part in (folder / "faces", folder / "train", path, "--params", folder / PARAMS)]
        if subprocess.run([sys.executable, "-m", "detector.cli", "score", *parts]).returncode:
            raise DetectorError(f"{experiment.name}: the test faces of {tested.name} could not be scored")


def _fetch(experiment: Experiment, source: str, target: Path) -> None:
    """Copy the file or folder *source* of an experiment from DVC's cache to *target*."""
    from dvc.api import DVCFileSystem

    try:
        DVCFileSystem(rev=experiment.rev).get(source, str(target), recursive=True)
    except (FileNotFoundError, OSError) as error:
        raise DetectorError(
            f"{source} of {experiment.name} is not in DVC's cache ({error}); "
            f"dvc exp remove {experiment.name} and run the same command again"
        ) from error


def read_index(path: Path) -> list[dict[str, str]]:
    """Return the rows of an existing index, or an empty list if there is no file."""
    if not path.is_file():
        return []
    remedy = "remove it, and the same command writes it again"
    with within(path, remedy):
        lines = csv_lines(read_text(path))
        _, columns = next(lines, (1, []))
        if columns[: len(COLUMNS)] != list(COLUMNS):
            there = shown(", ".join(columns) or "none")
            raise Mismatch(f"expected the columns {', '.join(COLUMNS)} first, got {there}")
        rows = list(lines)
        for line, values in rows:
            if len(values) != len(columns):
                raise Mismatch(f"line {line}: expected {len(columns)} values, got {len(values)}")
        return [dict(zip(columns, values, strict=True)) for _, values in rows]


def write_index(path: Path, rows: Sequence[Mapping[str, str]], settings: Sequence[str]) -> None:
    """Write a row per experiment: `COLUMNS`, then *settings*. The file appears whole."""
    from .data.files import whole_file

    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *settings], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def collect(experiments: Sequence[Experiment], settings: Sequence[str], out: Path) -> Path:
    """Write the scores of *experiments* and their index to the folder *out*; return the index's path.

    All are scored on the test faces of the first one where `scored_on` allows it. Score files that the index already
    lists are kept.
    """
    index = out / INDEX
    before = {(row["rev"], row["tested_on"]) for row in read_index(index)}
    tested_on = {experiment.rev: scored_on(experiment, experiments[0]) for experiment in experiments}

    def row(experiment: Experiment) -> dict[str, str]:
        tested = tested_on[experiment.rev].name
        columns = zip(COLUMNS, (experiment.name, experiment.rev, tested, f"{experiment.name}.csv"), strict=True)
        return dict(columns) | {name: setting(experiment.params, name) for name in settings}

    rows = {experiment.rev: row(experiment) for experiment in experiments}
    done = {rev for rev, r in rows.items() if (rev, r["tested_on"]) in before and (out / r["scores"]).is_file()}
    for experiment in experiments:
        tested, path = tested_on[experiment.rev], out / rows[experiment.rev]["scores"]
        if experiment.rev not in done:
            save_scores(experiment, tested, path)
            done.add(experiment.rev)
        write_index(index, [r for rev, r in rows.items() if rev in done], settings)
        click.echo(f"    {path}" + ("" if experiment.faces == tested.faces else f", the test faces of {tested.name}"))
    return index


def kept(before: Sequence[Mapping[str, str]], known: Sequence[Experiment]) -> list[Experiment]:
    """Return the experiments of an index that DVC still has, in the index's order."""
    by_rev = {experiment.rev: experiment for experiment in known}
    return [by_rev[row["rev"]] for row in before if row["rev"] in by_rev]


def with_params(known: Sequence[Experiment], params: Params) -> Experiment | None:
    """Return the first experiment that was made with *params*."""
    return next((experiment for experiment in known if experiment.params == params), None)


@click.command(cls=Command)
@click.argument("axes", nargs=-1, required=True, metavar="NAME=VALUE,VALUE...")
@click.option(
    "--out", type=Output(file_okay=False), default=Path("out/experiments"), show_default=True,
    help="Folder for the scores and their index.",
)
@click.option(
    "--set", "fixed", multiple=True, metavar="NAME=VALUE",
    help="A parameter of every experiment, also a list: conditions=[raw,77,10]. Repeatable.",
)
def command(axes: tuple[str, ...], out: Path, fixed: tuple[str, ...]) -> None:
    """Run the experiment of every combination, e.g. quality=77,10 seed=1,2,3, and keep its scores in OUT.

    Experiments that DVC has recorded from this commit are not run again, so an interrupted grid resumes.
    OUT/experiments.csv is the index of the files and OUT/fidelity.json has the bits per pixel of the test conditions;
    `evaluation grid` makes the tables.

    \b
    detector grid quality=77,10 seed=1,2,3
    detector grid model=meso4,efficientnet_b4 quality=77,60,15,10 train.amp=bf16
    detector grid faces.frames_per_second=null,25 seed=1,2,3
    """
    from .data.files import whole_file

    wanted = overrides(axes)
    values = parse_yaml(read_text(PARAMS), PARAMS)
    with within(PARAMS):
        parse(values, dict[str, Any])
    same = {name: value for name, [value] in overrides(fixed, separator=None)}
    todo = [(settings, with_settings(values, same | settings)) for settings in combinations(wanted)]
    known, asked = recorded(), []
    for number, (settings, params) in enumerate(todo, 1):
        found = with_params(known, params)
        name = found.name if found else free_name(experiment_name(settings), (e.name for e in known))
        click.echo(f"[{number}/{len(todo)}] {name}: {'recorded, not run again' if found else 'running'}")
        if not found:
            run_experiment(name, same | settings)
            known = recorded()
            found = with_params(known, params)
        if not found:
            raise DetectorError(f"{name} has run, but DVC has no record of it; see dvc exp list")
        asked.append(found)
    before = read_index(out / INDEX)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "fidelity.json") as temporary:
        _fetch(asked[0], FIDELITY, temporary)
    columns = dict.fromkeys([*ALWAYS, *(column for row in before[:1] for column in row), *(name for name, _ in wanted)])
    both = {experiment.rev: experiment for experiment in [*kept(before, known), *asked]}
    click.echo(f"index: {collect([*both.values()], [c for c in columns if c not in COLUMNS], out)}")
