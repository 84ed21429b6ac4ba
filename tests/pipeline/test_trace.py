"""Trace every stage of a small pipeline: what it loads, reads and uses is declared in dvc.yaml."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from detector.pipeline import NOT_COUNTED, STAGES

ROOT = Path(__file__).resolve().parents[2]
OURS = ("detector", "evaluation", "mozcodec")
FREE = {f"packages/detector/src/{name.replace('.', '/')}.py" for name in NOT_COUNTED}
# the parameters, and what an interrupted run leaves under names that say what it is of
FREE_FILES = ("params.yaml", "out/checkpoints", "out/logs")
ENDINGS = (".part", ".lock", ".work")  # the last: results of finished tasks, found by the hash of their inputs
TOGETHER = re.compile(r"\.evaluation-[0-9a-f]{8}\.(new|part)")
TINY = ("train.steps=2", "train.eval_every=2")

Entry = Mapping[str, Any]


@dataclass
class Trace:
    """What all processes of one stage did; files are paths below the repository that it ran in."""

    modules: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    processes: int = 0

    @property
    def sources(self) -> set[str]:
        """The source files of ours that were loaded, as paths below the repository."""
        return {path for name in self.modules if (path := source_of(name)) is not None}


def source_of(module: str) -> str | None:
    """Return the source file of *module*, for an extension the folder that it is built from; None if it is not ours."""
    package, *parts = module.split(".")
    if package not in OURS:
        return None
    if module == "mozcodec._mozjpeg":
        return "packages/mozcodec/csrc"
    path = Path("packages", package, "src", package, *parts)
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file.as_posix() for file in files if (ROOT / file).is_file()), None)


def read_traces(folder: Path, repository: Path) -> dict[str, Trace]:
    """Return stage -> what it did in *repository*."""
    traces: dict[str, Trace] = {}
    for file in sorted(folder.iterdir()):
        trace = traces.setdefault(file.name.partition(".")[0], Trace())
        trace.processes += 1
        kinds = {"load": trace.modules, "param": trace.params, "read": trace.read, "write": trace.written}
        for line in file.read_text().splitlines():
            kind, _, value = line.partition(" ")
            if kind in ("load", "param"):
                kinds[kind].add(value)
            elif Path(value).is_relative_to(repository):
                kinds[kind].add(Path(value).relative_to(repository).as_posix())
    return traces


def undeclared(entry: Entry, trace: Trace) -> list[str]:
    """Return what a stage loaded, used, read or wrote though its *entry* in dvc.yaml does not say so."""
    deps, outputs = paths_of(entry, "deps"), paths_of(entry, "outs", "metrics", "plots")
    params = entry.get("params", ())
    writable = [*outputs, *FREE_FILES]
    found = [f"loads {file}" for file in trace.sources - FREE if not covers(deps, file)]
    found += [f"uses {name}" for name in trace.params if not any(f"{name}.".startswith(f"{p}.") for p in params)]
    found += [f"reads {f}" for f in trace.read if not covers([*deps, *writable], f) and not is_temporary(f, outputs)]
    found += [f"writes {f}" for f in trace.written if not covers(writable, f) and not is_temporary(f, outputs)]
    return sorted(found)


def paths_of(entry: Entry, *kinds: str) -> list[str]:
    """Return the paths in the lists *kinds* of *entry*, in which a path with options is a mapping."""
    listed = [item for kind in kinds for item in entry.get(kind, ())]
    return [path for item in listed for path in (item if isinstance(item, Mapping) else [item])]


def covers(paths: Iterable[str], file: str) -> bool:
    """Return whether *file* is one of *paths* or in a folder of them."""
    return any(file == path or file.startswith(f"{path}/") for path in paths)


def is_temporary(file: str, outputs: Iterable[str]) -> bool:
    """Return whether *file* is (in) what becomes one of *outputs*, its tasks or its lock: ``.name.*`` beside it.

    Of evaluation's folders beside it, in which all files of a command are written first, it is the folder itself or
    the file of that name.
    """
    for output in map(Path, outputs):
        if Path(file).is_relative_to(output.parent):
            first, *below = Path(file).relative_to(output.parent).parts
            if TOGETHER.fullmatch(first) and (not below or below[1:] == [output.name]):
                return True
            # a temporary file may itself be written under a temporary name
            if first.startswith(".") and first.lstrip(".").startswith(f"{output.name}.") and first.endswith(ENDINGS):
                return True
    return False


def entries(repository: Path) -> dict[str, Entry]:
    loaded: dict[str, Entry] = YAML(typ="safe", pure=True).load(repository / "dvc.yaml")["stages"]
    return loaded


@pytest.fixture(scope="module")
def traces(small_clone) -> dict[str, Trace]:
    return read_traces(small_clone.path.with_name("trace"), small_clone.path)


@pytest.fixture(scope="module")
def declared(small_clone) -> dict[str, Entry]:
    return entries(small_clone.path)


every_stage = pytest.mark.parametrize("name", [row.name for row in STAGES])


@every_stage
def test_a_stage_loads_uses_reads_and_writes_what_it_declares(traces, declared, name):
    assert undeclared(declared[name], traces[name]) == []


@every_stage
def test_the_trace_shows_what_a_stage_does(traces, declared, name):
    """Otherwise the previous test would pass with a tracer that records nothing."""
    trace, outputs = traces[name], paths_of(declared[name], "outs", "metrics", "plots")
    module = next(row.function for row in STAGES if row.name == name).partition(":")[0]
    assert module in trace.modules
    assert trace.read
    assert all(any(covers([path], f) or is_temporary(f, [path]) for f in trace.written) for path in outputs)


def test_worker_processes_are_traced(traces):
    assert traces["faces"].processes > 1
    assert traces["score"].processes == 1


@every_stage
def test_a_dependency_that_is_removed_is_reported(traces, declared, name):
    loaded = traces[name].sources - FREE
    assert loaded
    for dep in paths_of(declared[name], "deps"):
        used = [file for file in loaded | traces[name].read if covers([dep], file)]
        without = {**declared[name], "deps": [path for path in declared[name]["deps"] if path != dep]}
        reported = undeclared(without, traces[name])
        if used and not covers(paths_of(without, "deps"), used[0]):
            assert reported, dep


@every_stage
def test_a_parameter_that_is_removed_is_reported(traces, declared, name):
    for param in declared[name].get("params", ()):
        without = {**declared[name], "params": [p for p in declared[name]["params"] if p != param]}
        assert any(line.startswith(f"uses {param}") for line in undeclared(without, traces[name])), param


@pytest.fixture
def copied(small_clone, tmp_path):
    shutil.copytree(small_clone.path, tmp_path / "copy", symlinks=True)
    return dataclasses.replace(small_clone, path=tmp_path / "copy")


# prints what is out of date for each of the files when it alone has one more line; one process is a tenth of the time
STATUS_OF_EACH = """
import json, sys
from pathlib import Path
from dvc.repo import Repo
found = []
for file in map(Path, sys.argv[1:]):
    before = file.read_bytes()
    file.write_bytes(before + b"\\n")
    with Repo() as repository:
        found.append([name for name in repository.status() if name])
    file.write_bytes(before)
print(json.dumps(found))
"""


def changed_stages(clone, files: Iterable[str]) -> list[set[str]]:
    """Return for each of *files* the stages that ``dvc repro`` would run if it changed."""
    found = json.loads(clone.run(sys.executable, "-c", STATUS_OF_EACH, *files).splitlines()[-1])
    names = {row.name for row in STAGES}
    return [names.intersection(stages) for stages in found]


def test_a_stage_is_out_of_date_exactly_when_a_file_changes_that_it_can_load(copied):
    """Among these: a change of data/compress.py once left the fidelity stage "up to date"."""
    made_by_both = {"faces", "audit", "compress", "fidelity", "train", "score", "explain"}
    known = made_by_both | {"evaluate", "report"}  # other stages may come
    source, codec, ours = "packages/detector/src/detector", "packages/mozcodec", "packages/evaluation/src/evaluation"
    expected = {
        f"{source}/data/compress.py": {"compress", "fidelity", "train", "score", "explain"},
        f"{source}/training/schedule.py": {"train"},
        f"{source}/models/meso.py": {"train", "score", "explain"},
        f"{source}/data/folders.py": {"faces"},
        f"{source}/keras.py": set(),
        f"{source}/cli.py": set(),
        f"{codec}/csrc/encode.c": made_by_both,
        f"{codec}/CMakeLists.txt": made_by_both,
        f"{codec}/cmake/mozjpeg-source.txt": made_by_both,
        f"{codec}/src/mozcodec/_cli.py": set(),
        f"{ours}/scores.py": {"evaluate", "report"},
        f"{ours}/page.py": {"report"},
        f"{ours}/conditions.py": {"audit", "fidelity", "explain", "evaluate", "report"},
    }
    found = changed_stages(copied, expected)
    assert {file: stages & known for file, stages in zip(expected, found, strict=True)} == expected


@pytest.mark.trial(minutes=3)
@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("mesoinception4", []),
        ("efficientnet_b0", []),
        ("multi_attention", ["train.multi_attention.backbone=efficientnet_b0"]),
    ],
)
def test_no_model_loads_what_the_stages_do_not_declare(copied, tmp_path, model, more):
    settings = [f"model={model}", *more, *TINY]
    copied.traced(tmp_path / "trace").run("dvc", "exp", "run", *(f"--set-param={setting}" for setting in settings))
    found, stages = read_traces(tmp_path / "trace", copied.path), entries(copied.path)
    assert {"train", "score", "explain"} <= set(found)
    assert {name: undeclared(stages[name], trace) for name, trace in found.items()} == {name: [] for name in found}
