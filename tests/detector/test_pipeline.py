"""The table of stages and the files generated from it."""

from __future__ import annotations

import importlib
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from detector import dvc_yaml, experiments
from detector.cli import COMMANDS, cli
from detector.config import Params, read_params
from detector.errors import DetectorError
from detector.pipeline import STAGES, Stage, makers, stage

ROOT = Path(__file__).resolve().parents[2]
every_stage = pytest.mark.parametrize("row", STAGES, ids=lambda row: row.name)


def test_dvc_yaml_is_what_the_rows_give() -> None:
    assert (ROOT / "dvc.yaml").read_text() == dvc_yaml.document(ROOT), "run `detector dvc-yaml`"


def test_the_table_of_the_documentation_is_what_the_rows_give() -> None:
    text = (ROOT / dvc_yaml.DOCS).read_text()
    assert text == dvc_yaml.with_table(text), "run `detector dvc-yaml`"


def test_dvc_draws_no_plot_but_shows_the_figures_of_the_report() -> None:
    declared = YAML().load(ROOT / dvc_yaml.DVC_YAML)
    assert not any("plots" in entry for entry in declared["stages"].values())
    assert all(isinstance(figure, str) for figure in declared["plots"])         # a mapping would be a plot of DVC's own
    (report,) = stage("report").writes
    assert list(declared["plots"]) == [f"{report.path}/{name}" for name in report.figures]
    assert len(set(declared["plots"])) == len(declared["plots"])
    # the page draws each of them
    sources = "".join(path.read_text() for path in (ROOT / "packages/evaluation/src/evaluation").glob("*.py"))
    assert [name for name in report.figures if f'"{Path(name).stem}"' not in sources] == []


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with dvc.yaml and the documentation, where the packages of this repository count as its own."""
    (tmp_path / "docs").mkdir()
    for name in (dvc_yaml.DVC_YAML, dvc_yaml.DOCS):
        (tmp_path / name).write_text((ROOT / name).read_text())
    code_files = dvc_yaml.code_files
    monkeypatch.setattr(dvc_yaml, "code_files", lambda row, _root: code_files(row, ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [dvc_yaml.DVC_YAML, dvc_yaml.DOCS])
def test_the_command_names_the_file_that_is_not_up_to_date_and_writes_it(copy: Path, name: str) -> None:
    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, ["dvc-yaml", *options])
        return result.exit_code, result.output

    assert run("--check") == (0, "up to date\n")
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace("out/compressed", "out/squeezed"))
    assert run("--check") == (1, f"{name}: not up to date; run detector dvc-yaml\n")
    assert run() == (0, f"{name}: written\n")
    assert (copy / name).read_text() == text


def test_marks_that_are_missing_are_named(copy: Path) -> None:
    (copy / dvc_yaml.DOCS).write_text("# Architecture\n")
    result = CliRunner().invoke(cli, ["dvc-yaml"])
    assert (result.exit_code, result.output.count(dvc_yaml.BEGIN)) == (1, 1)


def test_packages_from_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="run this in the repository that the packages are installed from"):
        dvc_yaml.code_files(stage("compress"), tmp_path)


@every_stage
def test_a_row_names_a_command_of_the_package_that_its_command_line_runs(row: Stage) -> None:
    program, command, *_ = row.command.split()
    module, attribute = row.function.split(":")
    function = getattr(importlib.import_module(module), attribute)
    group = importlib.import_module(f"{program}.cli")
    assert isinstance(function, click.Command)
    if program == "detector":
        assert command == row.name
        assert COMMANDS[row.name] == (row.function, row.summary)
    else:
        assert group.main.commands[command] is function


@every_stage
def test_every_path_on_a_command_line_is_read_or_written(row: Stage) -> None:
    paths = [word for word in shlex.split(row.command)[2:] if "/" in word or word in ("data", "pretrained")]
    folders = {str(Path(path).parent) for path in row.outputs}
    assert paths
    declared = [*row.reads, *row.outputs]
    for path in {*paths} - folders:
        assert any(Path(path).is_relative_to(name) for name in declared), path


def test_what_a_stage_reads_is_given_or_made_by_a_stage_before_it() -> None:
    made = {"data", "pretrained"}  # given
    for row in STAGES:
        for path in (*row.reads, *row.after):
            assert any(Path(path).is_relative_to(output) for output in made), f"{row.name}: {path}"
        assert not made & {*row.outputs}
        made |= {*row.outputs}


@every_stage
def test_parameters_are_sections_or_values_of_params_yaml(row: Stage) -> None:
    values = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    for name in row.params:
        value = values
        for part in name.split("."):
            assert part in value, name
            value = value[part]
    row.values(read_params(ROOT / "params.yaml"))


def test_the_values_of_a_row_are_what_it_names_and_nothing_else() -> None:
    params = Params(seed=7)
    row = Stage("x", "", "", "", (), (), params=("seed", "compress.subsampling", "score"))
    assert row.values(params) == {"seed": 7, "compress.subsampling": None, "score": {"batch_size": 128}}


def test_the_scores_are_made_by_the_stages_before_them_that_they_need() -> None:
    names = [row.name for row in STAGES]
    making = [row.name for row in makers("out/scores.csv")]
    assert {"faces", "compress", "train", "score"} <= {*making}
    assert not {"audit", "fidelity", "explain", "evaluate", "report"} & {*making}
    assert making == sorted(making, key=names.index)
    assert tuple(making) == experiments.MAKING
    assert [row.name for row in makers("out/faces/summary.json")] == ["faces"]


def test_the_report_is_made_from_all_stages_before_it() -> None:
    names = [row.name for row in STAGES]
    assert [row.name for row in makers("out/report")] == names[: names.index("report") + 1]


def test_help_shows_the_stages_in_their_order_before_the_other_commands() -> None:
    lines = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in COMMANDS]
    assert shown == list(COMMANDS)
    detectors = [row.name for row in STAGES if row.command.startswith("detector ")]
    assert shown[: len(detectors)] == detectors


def test_rows_and_program_are_no_dependency_but_what_the_program_imports_is() -> None:
    """Or a change of any row would run every stage again."""
    for row in STAGES:
        modules = row.modules()
        assert not modules.keys() & {"detector.pipeline", "detector.cli"}
        assert "evaluation.threads" in modules


def test_modules_loaded_by_a_computed_name_count_when_the_row_names_them() -> None:
    row = replace(stage("compress"), also={"detector.keras": "an example"})
    assert {"detector.keras"} <= row.modules().keys() - stage("compress").modules().keys()
