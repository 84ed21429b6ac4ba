"""Any content of any file that a command reads is read, or refused in one line that names the file."""

import json
import random
import shutil
import sys
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from evaluation import page
from evaluation.cli import main
from evaluation.files import sha256
from tools.faults.everywhere import damages

FAST = 6  # damages of each file in the fast test


@dataclass(frozen=True)
class File:
    """A file that *command* reads: *path* below the folder of the inputs; *sealed*: settings.json holds its hash."""

    command: str
    path: str
    sealed: bool = False


FILES = {
    f"{command} {path}": File(command, path, path.startswith("tables/") and not path.endswith("settings.json"))
    for command, paths in {
        "report": (
            "metrics.json", "tables/settings.json", "tables/metrics.csv", "tables/differences.csv", "tables/delong.csv",
            "tables/calibration.csv", "tables/scalars.csv", "tables/covariances.csv", "tables/matrix.csv",
            "tables/matrix_figures.csv", "tables/decisions.csv", "tables/videos.csv", "fidelity.json", "summary.json",
            "failures.csv", "fidelity/panels.csv", "train/model.json", "train/log.jsonl", "scores.json", "scores.csv",
        ),
        "show": ("metrics.json", "tables/settings.json"),
        "import": ("scores.csv", "scores.parquet"),
        "metrics": ("scores.csv",),
        "compare": ("dataset.json", "scores.csv"),
        "grid": ("experiments.csv", "fidelity.json"),
    }.items()
    for path in paths
}  # fmt: skip


def command_of(name, folder, sources):
    """The arguments of a command whose inputs lie in *folder*."""
    given = [str(argument).replace(str(sources[0]), str(folder)) for argument in sources[1]]
    scores, out = folder / "scores.csv", folder / "out"
    parquet = folder / "scores.parquet"
    return {
        "report": ["report", out, *given],
        "show": ["show", folder / "metrics.json", folder / "tables"],
        "import scores.csv": ["import", scores, out / "t.csv"],
        "import scores.parquet": ["import", parquet, out / "t.csv"],
        "metrics": ["metrics", scores, out / "m.json", "--quiet"],
        "compare": ["compare", f"a={scores}", f"b={folder / 'other.csv'}", "--dataset", folder / "dataset.json"],
        "grid": ["grid", folder / "experiments.csv", "--fidelity", folder / "fidelity.json"],
    }[name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, rows_of, write_table, make_sources):
    """A folder with every file of `FILES`, small, and the arguments of `evaluation report` there."""
    folder = tmp_path_factory.mktemp("inputs")
    scores = write_table(folder / "scores.csv", rows_of(pairs=3, frames=1))
    arguments = make_sources(folder, scores)
    shutil.copy(scores, folder / "other.csv")
    pa.parquet.write_table(pa.csv.read_csv(scores), folder / "scores.parquet")
    (folder / "dataset.json").write_text('{"name": "n", "synthetic": true, "note": null}')
    rows = "".join(f"{name},abc,a,{folder / 'other.csv'},{name},77,1\n" for name in "ab")
    (folder / "experiments.csv").write_text(f"experiment,rev,tested_on,scores,model,quality,seed\n{rows}")
    return folder, arguments


@pytest.fixture
def undrawn(monkeypatch):
    """The page without its figures, which take seconds."""
    real = page.chart
    for module in [module for name, module in sys.modules.items() if name.startswith("evaluation.")]:
        if getattr(module, "chart", None) is real:
            monkeypatch.setattr(module, "chart", lambda *_: page.NOTHING)


def judged(file, folder, sources, change):
    """What is wrong with the outcome of the command if *file* is changed; empty text if nothing is."""
    path = folder / file.path
    before, settings = path.read_bytes(), folder / "tables/settings.json"
    kept = settings.read_bytes()
    name = file.command if file.command != "import" else f"import {file.path}"
    try:
        path.write_bytes(change(before))
        if file.sealed:
            stored = json.loads(kept)
            stored["tables"][path.name] = sha256(path)
            settings.write_text(json.dumps(stored))
        found = CliRunner().invoke(main, [str(argument) for argument in command_of(name, folder, sources)])
    finally:
        path.write_bytes(before)
        settings.write_bytes(kept)
        left = [str(out.relative_to(folder)) for out in (folder / "out").rglob("*") if out.is_file()]
        shutil.rmtree(folder / "out", ignore_errors=True)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return f"traceback: {found.exception!r:.300}"
    if found.exit_code == 0:
        return ""
    error = found.output[found.output.find("Error: ") :].strip()
    if found.exit_code != 1 or not error.startswith("Error: "):
        return f"exit code {found.exit_code}: {found.output[-300:]!r}"
    if "\n" in error or len(error) > 1500:
        return f"more than one line: {error!r:.600}"
    if str(folder) not in error:
        return f"names no file: {error!r:.300}"
    return f"left: {left}" if left else ""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("undrawn")
def test_a_damaged_file_is_read_or_refused_in_one_line_that_names_it(name, whole):
    file, (folder, _) = FILES[name], whole
    found = list(damages(folder / file.path, 40))
    chosen = random.Random(name).sample(found, FAST)
    wrong = {title: said for title, change in chosen if (said := judged(file, folder, whole, change))}
    assert wrong == {}


@pytest.mark.trial(minutes=3)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("undrawn")
def test_a_file_damaged_at_any_place_is_read_or_refused_in_one_line_that_names_it(name, whole, capsys):
    file, (folder, _) = FILES[name], whole
    wrong, number = {}, 0
    for title, change in damages(folder / file.path, 400):
        number += 1
        if said := judged(file, folder, whole, change):
            wrong[title] = said
    with capsys.disabled():
        print(f"{name}: {number} cases, {len(wrong)} did not hold")
    assert wrong == {}


@pytest.mark.usefixtures("undrawn")
def test_every_whole_file_is_read(whole):
    folder, _ = whole
    for file in {file.command: file for file in FILES.values()}.values():
        assert judged(file, folder, whole, lambda data: data) == ""
        name = file.command if file.command != "import" else f"import {file.path}"
        result = CliRunner().invoke(main, [str(argument) for argument in command_of(name, folder, whole)])
        assert result.exit_code == 0, result.output
        shutil.rmtree(folder / "out", ignore_errors=True)
