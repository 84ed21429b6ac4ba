"""The command line: mistakes end in one line and status 1, never in a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detector import __version__
from detector.cli import COMMANDS, cli

PARAMS = """
conditions: [raw, 77, "turbo:90>resize:0.5"]
faces:
  methods: [Deepfakes, FaceSwap]
  size: 64
  frames_real: 4
  frames_fake: 2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a params.yaml."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def fails(*arguments: object) -> str:
    """Return the message of a command that must fail as one line."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    return error


def test_help_names_every_command() -> None:
    output = run("--help").output
    assert all(f"  {name} " in output for name in COMMANDS)
    assert run("--version").output == f"detector, version {__version__}\n"


def test_an_unknown_command_is_named() -> None:
    result = run("fases")
    assert result.exit_code == 2
    assert "No such command 'fases'" in result.stderr


def test_the_stages_follow_each_other(here: Path, small_tree: Path) -> None:
    faces = run("faces", small_tree, "out/faces", "--workers", 2)
    assert faces.exit_code == 0, faces.output
    assert "original           2 / 8   2 / 8   2 / 8  6 / 24" in faces.output
    assert "without a crop" not in faces.output
    compressed = run("compress", "out/faces", "out/compressed")
    assert compressed.exit_code == 0, compressed.output
    assert "out/compressed: quality 77," in compressed.output
    fidelity = run("fidelity", "out/faces", "out/fidelity", "out/fidelity.json")
    assert fidelity.exit_code == 0, fidelity.output
    assert [line.split(":")[0].strip() for line in fidelity.stdout.splitlines()] == ["77", "turbo"]
    assert "32 members checked, 0 problems" in run("verify", "out/compressed").output
    assert run("unpack", "out/compressed", "loose").output.endswith("loose: 32 files\n")
    assert run("contact-sheet", "out/faces", "sheet.png", "--columns", 3).output.endswith("9 faces\n")
    written = sorted(path.name for path in (here / "out").iterdir())
    assert written == ["compressed", "faces", "fidelity", "fidelity.json"]


def test_exclusions_are_said_with_the_place_to_look(here: Path, small_tree: Path) -> None:
    data = shutil.copytree(small_tree, here / "data")
    (data / "original_sequences/youtube/c23/videos/000.mp4").write_bytes(b"")
    shutil.rmtree(data / "manipulated_sequences/FaceSwap")
    output = run("faces", data, "out/faces").output
    assert "without a crop: 0 frames, 1 videos; see out/faces/failures.csv" in output
    assert "FaceSwap: no videos in" in output


def test_data_that_were_not_pulled_say_how_to(here: Path) -> None:
    (here / "data.dvc").touch()
    assert fails("faces", "data", "out/faces") == "Error: data: no such folder; type `dvc pull data.dvc` to get it"


@pytest.mark.usefixtures("here")
def test_missing_data_are_named() -> None:
    assert "data: no such folder; it should hold FaceForensics++" in fails("faces", "data", "out/faces")
    assert "out/faces/index.csv: no such file" in fails("compress", "out/faces", "out/compressed")
    assert "out/faces/index.csv: no such file" in fails("fidelity", "out/faces", "out/fidelity", "out/f.json")
    assert "nowhere/index.csv: no such file" in fails("verify", "nowhere")
    assert "nowhere/index.csv: no such file" in fails("unpack", "nowhere", "out")


def test_a_missing_split_is_named(here: Path, small_tree: Path) -> None:
    data = shutil.copytree(small_tree, here / "data")
    (data / "splits/test.json").unlink()
    assert "splits/test.json: no such file" in fails("faces", data, "out/faces")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fases:\n  size: 64\n", "params.yaml: fases is not a parameter; did you mean faces?"),
        ("quality: 0\n", "params.yaml: quality must be 1..100, got 0"),
        ("faces:\n  detector: yolo\n", "params.yaml: faces.detector must be one of haar, yunet, lbp, got 'yolo'"),
    ],
)
def test_a_wrong_parameter_is_named(here: Path, line: str, message: str) -> None:
    (here / "params.yaml").write_text(line)
    assert message in fails("faces", "data", "out/faces")


def test_another_parameter_file_may_be_given(here: Path, small_faces: Path) -> None:
    (here / "other.yaml").write_text("quality: 12\n")
    assert "quality 12," in run("compress", small_faces, "out", "--params", "other.yaml").output
    assert "'missing.yaml' does not exist" in run("compress", small_faces, "out", "--params", "missing.yaml").stderr


def test_without_parameters_the_defaults_are_used_and_said(here: Path, small_faces: Path) -> None:
    (here / "params.yaml").unlink()
    result = run("compress", small_faces, "out")
    assert "no params.yaml here: using the default parameters" in result.stderr
    assert "quality 77," in result.output


def test_damage_is_listed_and_fails(here: Path, small_faces: Path) -> None:
    faces = Path(shutil.copytree(small_faces, here / "faces"))
    data = bytearray((faces / "faces-000.tar").read_bytes())
    data[2000] ^= 1
    (faces / "faces-000.tar").write_bytes(data)
    result = run("verify", faces)
    assert result.exit_code == 1
    assert "is damaged, crc32" in result.stdout
    assert result.stdout.endswith("72 members checked, 1 problems\n")


def test_the_systems_own_errors_are_one_line_too(here: Path, small_faces: Path) -> None:
    (here / "out").write_text("a file")
    assert fails("compress", small_faces, "out/compressed") == "Error: out: File exists"


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("detector")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("detector, version ")
