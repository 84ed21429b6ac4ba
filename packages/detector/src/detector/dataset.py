"""``detector dataset``: real data through the whole pipeline with one command.

``detector dataset add DATA OUT`` runs the stages of `detector.pipeline` on DATA, with all results below OUT. A stage
whose inputs, parameters and code are those of the last run is not repeated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.command_group import CommandGroup

from .config import FacesConfig, Params, read_params
from .errors import DataError
from .options import Command, Input, Output
from .pipeline import STAGES, Stage, stage

if TYPE_CHECKING:
    from .data.layout import Described

__all__ = ["Dataset", "command", "find", "run"]

PARAMS, DONE = "params.yaml", "stages.json"
NAMES = [row.name for row in STAGES]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data as they are read: the folder, or DeepfakeBench's file that lists crops, with the options of ``pack``."""

    data: Path
    file: Path | None = None
    root: Path | None = None
    real: tuple[str, ...] = ()
    fake: tuple[str, ...] = ()


@click.group(cls=CommandGroup)
def command() -> None:
    """Run the whole pipeline on real data, or show how the data are read.

    DATA is a folder with real and fake images or videos, FaceForensics++, Celeb-DF v2, DFDC, or a dataset file of
    DeepfakeBench (.json); docs/faceforensics.md has the layouts.
    """


root_option = click.option(
    "--root",
    type=Input(shared=True, exists=True, file_okay=False),
    help="Folder that the paths in a dataset file of DeepfakeBench, or their last parts, are relative to.",
)
real_option = click.option("--real", multiple=True, help="A label of such a file that means real; can be repeated.")
fake_option = click.option("--fake", multiple=True, help="A label of such a file that means fake; can be repeated.")


@command.command(cls=Command)
@click.argument("data", type=Input(exists=True))
@root_option
@real_option
@fake_option
def show(data: Path, root: Path | None, real: tuple[str, ...], fake: tuple[str, ...]) -> None:
    """Show how DATA would be read: its layout, persons, splits, and the files that are not read."""
    dataset = find(data, root, real, fake)
    layout, clips, remarks = _described(dataset, FacesConfig())
    click.echo(f"{dataset.file or dataset.data}: {layout}")
    for remark in remarks:
        click.echo(remark)
    click.echo(_table(clips))


@command.command(cls=Command)
@click.argument("data", type=Input(exists=True))
@click.argument("out", type=Output(file_okay=False))
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter; can be repeated.")
@click.option("--params", "params_file", type=Input(exists=True, dir_okay=False), help="Parameter file to start from.")
@click.option("--until", type=click.Choice(NAMES), default=NAMES[-1], show_default=True, help="The last stage to run.")
@root_option
@real_option
@fake_option
def add(
    data: Path,
    out: Path,
    settings: tuple[str, ...],
    params_file: Path | None,
    until: str,
    root: Path | None,
    real: tuple[str, ...],
    fake: tuple[str, ...],
) -> None:
    """Run the whole pipeline on DATA: faces, audit, training, scores, the matrix and the page OUT/report/index.html.

    Parameters are the defaults with the best available face detector; OUT/params.yaml has them all. After an
    interruption or a change of parameters, the same command runs only the stages that are missing or changed. DATA is
    not changed.
    """
    from .lock import held
    from .models.settings import settings as model_settings

    dataset = find(data, root, real, fake)
    params = _params(settings, params_file)
    model_settings(params)  # refuses an unknown model and a setting of another one before the stages run
    out.mkdir(parents=True, exist_ok=True)
    with held(out / "lock", f"is writing to {out}"):
        write_params(out / PARAMS, params)
        run(dataset, out, params, until)


def find(
    data: str | Path, root: Path | None = None, real: tuple[str, ...] = (), fake: tuple[str, ...] = ()
) -> Dataset:
    """Return the data set at *data*: a folder, a dataset file of DeepfakeBench, or a folder with one such file.

    DataError if a folder has several such files, or options of such files are given for other data.
    """
    from .data.layout import check_root
    from .data.readers import reader_of

    data = Path(data)
    if data.is_file():
        if data.suffix.lower() != ".json":
            raise DataError(f"{data}: expected a folder, or a dataset file of DeepfakeBench (.json)")
        return Dataset(data, data, root, real, fake)
    check_root(data)
    files = sorted((data / "dataset_json").glob("*.json"))
    if files and not _recognised(data):
        if len(files) > 1:
            names = ", ".join(str(file) for file in files[:10])
            raise DataError(f"{data}: {len(files)} dataset files of DeepfakeBench; name one of them: {names}")
        return Dataset(data, files[0], root or data, real, fake)
    if root or real or fake:
        raise DataError(f"{data}: --root, --real and --fake are for dataset files of DeepfakeBench; name one (.json)")
    reader_of(data)
    return Dataset(data)


def _recognised(data: Path) -> bool:
    from .data.readers import READERS

    return any(reader.recognises(data) for reader in READERS.values())


def _described(dataset: Dataset, config: FacesConfig) -> tuple[str, Sequence[Described], Sequence[str]]:
    """Return the layout, the videos and the remarks on *dataset*."""
    from .data.layout import one_class_splits
    from .data.pack import list_crops
    from .data.readers import READERS, read_data, reader_of

    if dataset.file is not None:
        level = _level(dataset, config)
        crops = list_crops(dataset.file, dataset.root, (), level, dataset.real, dataset.fake)
        return "crops of DeepfakeBench", crops, one_class_splits(crops)
    tree = read_data(dataset.data, config)
    return READERS[reader_of(dataset.data)].help, tree.clips, (*tree.notes, *tree.remarks)


def _table(clips: Sequence[Described]) -> str:
    """Return the numbers of persons, videos and image files by class and split."""
    from .data.index import SPLITS, count_identities
    from .data.layout import count, count_table

    videos = count(clips)
    files: Counter[tuple[str, str]] = Counter()
    for clip in clips:
        listed = getattr(clip, "listed", None)
        files[clip.method, clip.split] += len(listed.frames) if listed else len(getattr(clip, "pictures", ())) or 1
    numbers = {method: {split: files[method, split] for split in SPLITS} for method in videos}
    return count_table(count_identities(clips), videos, numbers, "files")


def _level(dataset: Dataset, config: FacesConfig) -> str | None:
    """Return the compression level to take of DeepfakeBench's file: that of the parameters if it has several."""
    from .data.deepfakebench import read_deepfakebench

    assert dataset.file is not None
    levels = {video.compression for video in read_deepfakebench(dataset.file, dataset.root)}
    return config.compression if len(levels) > 1 and config.compression in levels else None


def _params(settings: Sequence[str], file: Path | None) -> Params:
    """Return the parameters of *file* with *settings*, or the defaults with the best available face detector."""
    from .experiments import overrides, with_settings

    chosen = {name: values[0] for name, values in overrides(settings, separator=None)}
    if file is None:
        chosen.setdefault("faces.detector", "auto")
    return with_settings(_plain(read_params(file)), chosen)


def _plain(params: Params) -> dict[str, Any]:
    """Return *params* as the values of a YAML file."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(params)))
    return values


def write_params(path: Path, params: Params) -> None:
    from ruamel.yaml import YAML

    from .data.files import whole_file

    text = io.StringIO()
    text.write("# Written by `detector dataset add`: the parameters of this run.\n")
    YAML().dump(_plain(params), text)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


# -- running the stages ------------------------------------------------------------------------------------------------


def run(dataset: Dataset, out: Path, params: Params, until: str = NAMES[-1]) -> None:
    """Run the stages up to *until* on *dataset*, with *params*, which OUT/params.yaml holds, and results below *out*.

    A stage that has run before with the same inputs, parameters and code is skipped. Ends the process with the status
    of a stage that fails, and raises `DataError` if a split has no crops of one of the classes.
    """
    from .data.files import write_json
    from .schema import read_json

    record = out / DONE
    done: dict[str, str] = read_json(record, dict[str, str], "remove it") if record.exists() else {}
    keys: dict[str, str] = {}
    current = False
    for row in STAGES:
        words = arguments(row, dataset, out, params)
        keys[row.name] = _key(row, words, dataset, params, keys)
        current = done.get(row.name) == keys[row.name] and all(
            _placed(path, dataset, out).exists() for path in row.outputs
        )
        if current:
            click.echo(f"{row.name}: up to date")
        else:
            done.pop(row.name, None)
            write_json(record, done)
            click.echo(f"{row.name}: {shlex.join(words)}")
            _call(row.name, words)
            done[row.name] = keys[row.name]
            write_json(record, done)
        if row.name == "faces":
            _check_classes(out / "faces")
        if row.name == until:
            break
    if until == NAMES[-1] and current:  # the report stage prints its results itself
        _call("show", ["evaluation", "show", *map(str, (out / "metrics.json", out / "tables")), "--page",
                       str(out / "report" / "index.html")])  # fmt: skip


def arguments(row: Stage, dataset: Dataset, out: Path, params: Params) -> list[str]:
    """Return the command line of the stage *row* for *dataset*, with results below *out*."""
    from .experiments import setting

    line = re.sub(r"\$\{([\w.]+)\}", lambda match: setting(params, match[1]), row.command)
    words = [str(_placed(word, dataset, out)) if _is_path(word) else word for word in shlex.split(line)]
    if dataset.file is not None and row.name == "faces":
        words = ["detector", "pack", str(dataset.file), str(out / "faces")]
        level = _level(dataset, params.faces)
        options = {"--root": [str(dataset.root)] if dataset.root else [], "--compression": [level] if level else []}
        options |= {"--real": list(dataset.real), "--fake": list(dataset.fake)}
        return words + [word for name, values in options.items() for value in values for word in (name, value)]
    if dataset.file is not None and "--data" in words:  # the images that the crops were made from are not available
        at = words.index("--data")
        del words[at : at + 2]
    if row.name == "train":
        words += ["--checkpoints", str(out / "checkpoints")]
    if words[0] == "detector" and row.params:
        words += ["--params", str(out / PARAMS)]
    return words


def _is_path(word: str) -> bool:
    return word.split("/")[0] in ("data", "out")


def _placed(path: str, dataset: Dataset, out: Path) -> Path:
    """Return where the *path* of a row of the pipeline is: ``data`` or below ``out``."""
    top, _, rest = path.partition("/")
    return (dataset.data if top == "data" else out) / rest


def _key(row: Stage, words: Sequence[str], dataset: Dataset, params: Params, keys: dict[str, str]) -> str:
    """Return a hash of all that the output of *row* depends on; *keys* are those of the stages before it."""
    from .pipeline import makers

    before = {name: keys[name] for read in row.reads for name in (maker.name for maker in makers(read))}
    others = [_listing(dataset.data if read == "data" else Path(read)) for read in row.reads if not makers(read)]
    parts = [words, row.values(params), row.code_sha256(), before, others]
    if dataset.file is not None and row is stage("faces"):
        parts.append(hashlib.sha256(dataset.file.read_bytes()).hexdigest())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _listing(path: Path) -> list[tuple[str, int, int]]:
    """Return the files below *path* with size and time of change; two listings are equal if nothing was changed."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files if file.exists()]
    return [(str(file.relative_to(path)), state.st_size, state.st_mtime_ns) for file, state in states]


def _call(name: str, words: Sequence[str]) -> None:
    """Run a command of ours; if it fails, end this process with its status."""
    program, *rest = words
    start = f"import sys; from {program}.cli import main; sys.argv[0] = {program!r}; main()"
    status = subprocess.run([sys.executable, "-c", start, *rest], check=False).returncode
    if status:
        click.echo(f"{name} ended with status {status}; the same command resumes here", err=True)
        raise SystemExit(status if status > 0 else 128 - status)


def _check_classes(faces: Path) -> None:
    """Raise `DataError` if a split of the crops in *faces* has none of one class: training and metrics need both."""
    from .data.index import SPLITS, read_index

    counts = Counter((face.split, face.label) for face in read_index(faces))
    missing = [f"{split} has no {name}" for split in SPLITS for label, name in enumerate(("real", "fake"))
               if not counts[split, label]]  # fmt: skip
    if missing:
        raise DataError(
            f"{faces}: {', '.join(missing)} crops; each split needs both classes. Add files (at least three persons or "
            "files of each class), or give the splits: folders train, val and test, or the column split of manifest.csv"
        )
