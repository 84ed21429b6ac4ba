"""Pipes, devices, sockets, loops of links and other unusual files at every path that a command line takes.

The paths are found in the commands themselves, so an option that is added is tried too. Each is refused with one line
that names it, before anything is written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import mozcodec
from detector.card import Card
from detector.cli import cli as detector
from detector.config import CompressConfig
from detector.data.compress import compress_faces
from detector.data.png import encode_png
from detector.models import build
from detector.options import Input, Output
from detector.weights import save_model
from evaluation.cli import main as evaluation
from evaluation.paths import Existing, File, Folder, GroupArgument
from mozcodec._cli import _parser
from mozcodec._cli import main as mozcodec_main
from tools.faults.sample import write_sample
from tools.faults.stages import PARAMS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the devices are those of Linux")

SECONDS = 120  # after which a command counts as hanging
PAIRS = [("test", "004", "005"), ("test", "006", "007"), ("train", "000", "001"), ("val", "002", "003")]
PROGRAMS: dict[str, click.Group] = {"detector": detector, "evaluation": evaluation}
# command -> values of its other parameters, by name: the path that is tried replaces one of them or is added
NEEDED = {
    "detector faces": {"data": "data", "out": "new"},
    "detector audit": {"faces": "faces", "out": "new"},
    "detector compress": {"faces": "faces", "out": "new"},
    "detector fidelity": {"faces": "faces", "out": "new", "summary": "new.json"},
    "detector train": {"crops": "compressed", "out": "new", "history": "new.csv"},
    "detector score": {"faces": "faces", "train": "train", "out": "new.csv"},
    "detector explain": {"faces": "faces", "train": "train", "out": "new"},
    "detector dataset show": {"data": "bench.json"},
    "detector dataset add": {"data": "bench.json", "out": "new"},
    "detector predict": {"files": "image.png", "train": "train"},
    "detector serve": {"train": "train", "port": "0"},
    "detector describe": {},
    "detector export": {"train": "train", "out": "new.pt2"},
    "detector convert-keras": {"model": "meso4", "file": "weights.h5", "out": "new"},
    "detector grid": {"axes": "seed=1,2"},
    "detector plan": {},
    "detector worker": {},
    "detector verify": {"folder": "faces"},
    "detector pack": {"file": "bench.json", "out": "new"},
    "detector unpack": {"folder": "faces", "out": "new"},
    "detector contact-sheet": {"folder": "faces", "out": "new.png"},
    "detector weights get": {},
    "detector dvc-yaml": {},
    "evaluation metrics": {"scores": "scores.csv", "out": "new.json", "replicates": "2"},
    "evaluation import": {"file": "scores.csv", "out": "new.csv"},
    "evaluation show": {"metrics": "metrics.json", "tables": "tables"},
    "evaluation report": {"out": "new", "metrics": "metrics.json", "scores": "scores.csv", "tables": "tables"},
    "evaluation seeds": {"groups": "a=scores.csv,scores.csv", "replicates": "2"},
    "evaluation grid": {"index": "experiments.csv", "replicates": "2"},
    "evaluation compare": {"tables": "other=scores.csv"},
    "mozcodec encode": {"source": "image.ppm", "target": "new.jpg"},
    "mozcodec decode": {"source": "image.jpg", "target": "new.ppm"},
    "mozcodec optimize": {"source": "image.jpg", "target": "new.jpg"},
    "mozcodec inspect": {"files": "image.jpg"},
    "mozcodec identify": {"files": "image.jpg"},
    "mozcodec forensics": {"files": "image.jpg"},
    "mozcodec sweep": {"source": "image.ppm", "qualities": "50"},
    "mozcodec tree": {"source": "data", "target": "new"},
}
KINDS = ("pipe", "socket", "zero", "full", "null", "endless", "folder", "empty", "dangling", "loop", "missing", "below")
FAST = ("pipe", "zero", "loop")  # tried by the fast tests
DEVICES = {"zero": 5, "null": 3, "full": 7}  # their minor numbers
METAVARS = {"SRC": "read", "IMAGE": "read", "JPEG": "read", "FILE": "read", "DST": "written", "FOLDER": "folder"}


@dataclass(frozen=True)
class Place:
    """A parameter that takes a path. use: ``read``, ``list`` (of inputs), ``written``, ``folder`` or ``either``.

    An output that is a folder is a ``folder``, or ``replaced`` if it is replaced as a whole.
    """

    name: str
    option: str
    use: str


def use_of(param: click.Parameter) -> str:
    """Return the use of a parameter of `detector` or `evaluation` as `Place` has it, empty text if it is no path."""
    kind = param.type
    if isinstance(kind, Output):
        folder = "replaced" if kind.replaced else "folder"
        return "written" if not kind.dir_okay else folder if not kind.file_okay else "either"
    if kind is File or isinstance(kind, Folder):
        return "written" if kind is File else "folder"
    if isinstance(kind, Input):
        return "list" if param.nargs != 1 else "read"
    return "read" if kind is Existing or isinstance(kind, GroupArgument) else ""


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield " ".join((*path, name)), found


def parsers() -> dict[str, argparse.ArgumentParser]:
    choices = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    return {f"mozcodec {name}": parser for name, parser in choices.items()}


CLICK = {name: command for program, group in PROGRAMS.items() for name, command in commands(group, (program,))}
ARGPARSE = parsers()
NAMES = [*CLICK, *ARGPARSE]


def places(command: str) -> list[Place]:
    """Return the parameters of *command* that take a path."""
    if command in ARGPARSE:
        found = []
        for action in ARGPARSE[command]._actions:
            if use := METAVARS.get(str(action.metavar)):
                found.append(Place(action.dest, action.option_strings[0] if action.option_strings else "", use))
            elif str(action.metavar) == "folder":
                found.append(Place(action.dest, "", "folder"))
        # the folder of tree that is read
        return [Place(p.name, p.option, "read") if p.name == "source" else p for p in found]
    return [
        Place(str(param.name), param.opts[0] if isinstance(param, click.Option) else "", use)
        for param in CLICK[command].params
        if (use := use_of(param))
    ]


def arguments(command: str, place: Place, path: str) -> list[str]:
    """Return the arguments of *command* with *path* at *place*."""
    needed = NEEDED[command] | {place.name: f"a={path},scores.csv" if place.name == "groups" else path}
    if command == "detector plan" and place.name != "data":
        needed["videos"] = "10"
    if command in ARGPARSE:
        options = {action.dest: action.option_strings[:1] for action in ARGPARSE[command]._actions}
    else:
        params = CLICK[command].params
        options = {str(p.name): p.opts[:1] if isinstance(p, click.Option) else [] for p in params}
        if "executor" in options:
            needed["executor"] = "serial"
    line = [word for name in options if name in needed for word in (*options[name], needed[name])]
    return [*line, *(["again=scores.csv"] if command == "evaluation compare" else [])]


def is_ordinary(command: str, place: Place, kind: str) -> bool:
    """Whether *kind* is as good a file as any at *place*, or has a meaning there that is documented."""
    if place.use in ("written", "either"):
        # a link is replaced, or its file is written; evaluation and mozcodec write to devices
        if kind in ("endless", "empty", "missing", "dangling"):
            return True
        if kind == "folder":  # files are written into it
            return place.use == "either" or command.startswith("mozcodec")
        direct = ("zero", "null", "pipe") if command.startswith("mozcodec") else ("zero", "null")
        return kind in direct and not command.startswith("detector")
    if place.use == "folder":
        return kind in ("folder", "missing")
    if place.use == "replaced":
        return kind == "missing"
    if command.startswith("mozcodec"):
        return kind == "pipe" or (place.name == "icc" and kind == "empty")
    return (place.name, kind) in {
        ("params", "empty"),  # all parameters have defaults
        ("params_file", "empty"),
        ("page", "folder"),  # its path is only printed
        ("page", "empty"),
        ("page", "endless"),
        ("root", "folder"),  # the dataset file names what is missing in it
    } or (command, place.name, kind) in {
        ("detector audit", "data", "folder"),  # sources are optional
        ("detector plan", "data", "folder"),  # the calibration is read first
    }


def make(kind: str, odd: str) -> str:
    """Make the unusual file *odd* in the working folder and return its path; OSError without the right to make devices.

    Devices are made here: a defect that removes its output does not remove those of the machine.
    """
    path = Path(odd)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind in DEVICES:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, DEVICES[kind]))
    elif kind == "endless":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "folder":
        path.mkdir()
        (path / "kept").write_text("")
    elif kind == "empty":
        path.write_text("")
    elif kind in ("dangling", "loop"):
        path.symlink_to("nothing" if kind == "dangling" else path.name)
    elif kind == "below":
        return f"image.png/{odd}"
    return path.name


def clear(kind: str, odd: str) -> None:
    if kind == "folder":
        shutil.rmtree(odd)
    else:
        with contextlib.suppress(FileNotFoundError):
            Path(odd).unlink()


def listed() -> set[tuple[str, int, int]]:
    """Return what is in the working folder: names, kinds, sizes."""
    found = ((path, path.lstat()) for path in Path().rglob("*"))
    return {(str(path), stat.S_IFMT(found.st_mode), found.st_size) for path, found in found if not path.is_dir()}


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def raising(*_: object) -> None:
        raise TimeoutError(f"hangs for {seconds} s")

    before = signal.signal(signal.SIGALRM, raising)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)  # of the limit of the test
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def run(command: str, line: list[str]) -> tuple[int, str]:
    """Return the exit status and all that was printed; other exceptions than SystemExit pass."""
    program, *words = command.split()
    if program in PROGRAMS:
        result = CliRunner().invoke(PROGRAMS[program], [*words, *line])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            return mozcodec_main([*words, *line]), said.getvalue()
        except SystemExit as error:
            return int(error.code or 0), said.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read: drawn crops, a random model, its scores and their metrics."""
    root = tmp_path_factory.mktemp("unusual") / "inputs"
    root.mkdir()
    with contextlib.chdir(root):
        write_inputs()
    return root


def write_inputs() -> None:
    write_sample(Path("faces"), PAIRS, 32)
    compress_faces("faces", "compressed", 77, CompressConfig(), 1, executor="serial")
    torch.manual_seed(1)
    save_model(Path("train"), build("meso4").state_dict(), Card("meso4", {}, 32, 32))
    for kind in ("real", "fake"):
        Path("data", kind).mkdir(parents=True)
        Path("data", kind, f"{kind}.png").write_bytes(encode_png(np.full((64, 64, 3), len(kind), np.uint8)))
    image = np.zeros((64, 64, 3), np.uint8)
    Path("image.png").write_bytes(encode_png(image))
    Path("image.jpg").write_bytes(mozcodec.encode(image))
    Path("image.ppm").write_bytes(b"P6\n64 64\n255\n" + image.tobytes())
    Path("params.yaml").write_text(PARAMS)
    video = {"label": "D_real", "frames": ["a/0.png"], "masks": []}
    Path("bench.json").write_text(json.dumps({"D": {"D_real": {"train": {"c23": {"000": video}}}}}))
    Path("weights.h5").write_bytes(b"")
    Path("experiments.csv").write_text(
        "experiment,rev,tested_on,scores,model,seed\na,abc,raw,scores.csv,meso4,1\nb,abd,raw,scores.csv,meso4,2\n"
    )
    for line in (
        "detector score faces train scores.csv --executor serial",
        "evaluation metrics scores.csv metrics.json --tables tables --replicates 2",
    ):
        words = line.split()
        code, said = run(words[0], words[1:])
        assert code == 0, said


def test_the_values_of_every_command_are_known() -> None:
    assert sorted(NEEDED) == sorted(NAMES)
    without = [name for name in NAMES if not places(name)]
    assert without == ["detector describe", "detector worker", "detector weights get", "detector dvc-yaml"]


@pytest.mark.parametrize("command", [name for name in NAMES if places(name)])
def test_unusual_files_are_refused_by_name_and_nothing_is_written(
    command: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(inputs, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    assert not (wrong := refusals(command, FAST)), "\n".join(wrong)


@pytest.mark.slow(minutes=0.5)
def test_all_kinds_of_unusual_files_are_refused_by_name(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(inputs, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    kinds = [kind for kind in KINDS if kind not in FAST]
    wrong = [f"{command} {text}" for command in NAMES for text in refusals(command, kinds)]
    assert not wrong, "\n".join(wrong)


def refusals(command: str, kinds: Sequence[str]) -> list[str]:
    """Return what is wrong with the answers of *command* to files of *kinds* at each of its paths."""
    wrong = []
    for place in places(command):
        for kind in kinds:
            if not is_ordinary(command, place, kind):
                wrong += [f"{place.option or place.name}, {kind}: {text}" for text in tried(command, place, kind)]
    return wrong


def tried(command: str, place: Place, kind: str) -> list[str]:
    """Return what is wrong with the answer of *command* to an unusual file at *place*."""
    odd = "odd.ppm" if command == "mozcodec decode" else "odd"  # a name that is written to
    try:
        path = make(kind, odd)
    except PermissionError:
        return []
    there = listed()
    try:
        with at_most(SECONDS):
            code, said = run(command, arguments(command, place, path))
        made = sorted(name for name, *_ in listed() ^ there)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        clear(kind, odd)
    last = (said.strip().splitlines() or [""])[-1]
    lines = [last] if command.split()[0] in PROGRAMS and place.use != "list" else said.splitlines()
    wrong = []
    if code == 0:
        wrong.append(f"accepted: {said[-300:]}")
    elif not any(path in line for line in lines):
        wrong.append(f"{path} is not named: {said[-300:]}")
    return wrong + ([f"made {made}"] if made else [])
