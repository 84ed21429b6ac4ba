"""Any content of any file that a command reads is read, or refused in one line that names the file."""

import csv
import io
import json
import random
import shutil
import sys
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from evaluation import page
from evaluation.cli import main
from evaluation.files import sha256
from tools.faults.damage import put_cell

DEEP = 100_000
REMOVED, TWICE = object(), object()
# stand in turn at every place of a JSON file
WRONG = (None, True, 5, -1, 0.5, 10**400, "x", "", "\0", "../x", [], [1], [[]], {}, {"x": 1}, REMOVED, TWICE)
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', "[" * DEEP, '{"a":' * DEEP)
CELLS = ("", "-1", "0.5", "x", "nan", "inf", "1e999", "9" * 30, "9" * 5000, "1_0", "\u0661", '"', '"a\nb"', "\0",
         "../x", "a" * 200_000)  # fmt: skip
WHOLE = (b"", b"\0", b"\xff\xfe", b"\x80abc", b"\xef\xbb\xbf", b"null", b"[]", b"{}", b"5", b'"x"', b"[1]\n",
         b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"PAR1", bytes(range(256)))  # fmt: skip
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


def places(value, here=()):
    """The path of keys of every value inside *value*, its own included."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*here, key))


def put(place, wrong, data):
    """The JSON document *data* with *wrong* at *place*."""
    if not place:
        return json.dumps(None if wrong in (REMOVED, TWICE) else wrong).encode()
    content = json.loads(data)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if wrong is REMOVED:
        del inner[place[-1]]
    elif wrong is TWICE:
        if not isinstance(inner, dict):
            return data
        inner["@@"] = inner[place[-1]]
        return json.dumps(content).replace('"@@"', json.dumps(place[-1])).encode()
    else:
        inner[place[-1]] = wrong
    return json.dumps(content).encode()


def put_raw(place, raw, data):
    return put(place, "@@", data).replace(b'"@@"', raw.encode())


def put_line(number, place, wrong, data):
    lines = data.splitlines()
    lines[number] = put(place, wrong, lines[number])
    return b"\n".join(lines) + b"\n"


def flip(position, bit, data):
    changed = bytearray(data)
    changed[position] ^= bit
    return bytes(changed)


def damages(path, most):
    """Every damage of a file: its name, and a function of its bytes; of bits and cuts about *most* each."""
    data = path.read_bytes()
    for content in WHOLE:
        yield f"all {content[:8]!r}", lambda _, content=content: content
    for end in range(0, len(data), max(1, len(data) // most)):
        yield f"cut {end}", lambda data, end=end: data[:end]
        yield f"bit {end}", partial(flip, end, 1 << end % 8)
    yield "byte order mark", lambda data: b"\xef\xbb\xbf" + data
    yield "UTF-16", lambda data: data.decode("latin-1").encode("utf-16")
    if path.suffix == ".json":
        for place in places(json.loads(data)):
            for wrong in WRONG:
                yield f"{place} {wrong!r:.40}", partial(put, place, wrong)
            for raw in RAW:
                yield f"{place} {raw:.20}", partial(put_raw, place, raw)
    if path.suffix == ".jsonl":
        for number, line in enumerate(data.splitlines()):
            for place in places(json.loads(line)):
                for wrong in WRONG:
                    yield f"line {number}, {place} {wrong!r:.40}", partial(put_line, number, place, wrong)
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode())))
        for row in sorted({0, 1, len(rows) // 2, len(rows) - 1} & set(range(len(rows)))):
            for column in range(len(rows[0])):
                for text in CELLS:
                    yield f"row {row}, column {column} {text[:20]!r}", partial(put_cell, row, column, text)


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
def test_a_file_damaged_at_any_place_is_read_or_refused_in_one_line_that_names_it(name, whole):
    file, (folder, _) = FILES[name], whole
    wrong = {}
    for title, change in damages(folder / file.path, 400):
        if said := judged(file, folder, whole, change):
            wrong[title] = said
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
