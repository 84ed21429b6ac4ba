"""The command line: mistakes end in one line and status 1, never in a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from detector import __version__
from detector.cli import COMMANDS, cli
from detector.options import Command, Input, Output

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


def test_exclusions_are_reported_with_the_file_that_lists_them(here: Path, small_tree: Path) -> None:
    data = shutil.copytree(small_tree, here / "data")
    (data / "original_sequences/youtube/c23/videos/000.mp4").write_bytes(b"")
    shutil.rmtree(data / "manipulated_sequences/FaceSwap")
    output = run("faces", data, "out/faces").output
    assert "without a crop: 0 frames, 1 videos; see out/faces/failures.csv" in output
    assert "FaceSwap: no videos in" in output


def test_data_that_were_not_pulled_give_the_command(here: Path) -> None:
    (here / "data.dvc").touch()
    assert fails("faces", "data", "out/faces") == "Error: data: no such folder; type `dvc pull data.dvc` to get it"


@pytest.mark.usefixtures("here")
def test_missing_data_are_named() -> None:
    assert "data: no such folder; it should hold FaceForensics++" in fails("faces", "data", "out/faces")
    assert "out/faces/index.csv: no such file" in fails("compress", "out/faces", "out/compressed")
    assert "out/faces/summary.json: no such file" in fails("fidelity", "out/faces", "out/fidelity", "out/f.json")
    assert "nowhere/index.csv: no such file" in fails("verify", "nowhere")
    assert "nowhere/index.csv: no such file" in fails("unpack", "nowhere", "out")


@pytest.mark.usefixtures("here")
def test_a_name_with_control_characters_or_of_great_length_is_named_in_one_line() -> None:
    assert r"Error: no\nwhere\x1b/index.csv: no such file" in fails("verify", "no\nwhere\x1b")
    assert "File name too long" in fails("verify", "x" * 5000)[:1300]


def test_a_missing_split_is_named(here: Path, small_tree: Path) -> None:
    data = shutil.copytree(small_tree, here / "data")
    (data / "splits/test.json").unlink()
    assert "splits/test.json: no such file" in fails("faces", data, "out/faces")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fases:\n  size: 64\n", "params.yaml: fases is not a parameter; did you mean faces?"),
        ("quality: 0\n", "params.yaml: quality must be 1..100, got 0"),
        (
            "faces:\n  detector: yolo\n",
            "params.yaml: faces.detector must be one of auto, haar, yunet, centerface, lbp, got 'yolo'",
        ),
    ],
)
def test_a_wrong_parameter_is_named(here: Path, line: str, message: str) -> None:
    (here / "params.yaml").write_text(line)
    assert message in fails("faces", "data", "out/faces")


def test_another_parameter_file_may_be_given(here: Path, small_faces: Path) -> None:
    (here / "other.yaml").write_text("quality: 12\n")
    assert "quality 12," in run("compress", small_faces, "out", "--params", "other.yaml").output
    assert "'missing.yaml' does not exist" in run("compress", small_faces, "out", "--params", "missing.yaml").stderr


def test_without_parameters_the_defaults_are_used_and_reported(here: Path, small_faces: Path) -> None:
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
    assert fails("compress", small_faces, "out/compressed") == "Error: out/compressed: out is not a folder"


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("detector")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("detector, version ")


# -- what a command reads, it does not overwrite -----------------------------------------------------------------------


def command_of(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def path_parameters(name: str, kind: type) -> list[click.Parameter]:
    return [param for param in command_of(name).params if isinstance(param.type, kind)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_is_declared_as_read_or_written(name: str) -> None:
    """So that the check of one against the other, in `Command`, covers every command and every new parameter."""
    found = command_of(name)
    for command in found.commands.values() if isinstance(found, click.Group) else [found]:
        assert isinstance(command, Command)
        for param in command.params:
            assert isinstance(param.type, Input | Output) or not isinstance(param.type, click.Path), param.name


def arguments_of(name: str, given: dict[str, Path], here: Path) -> list[str]:
    """Return a call of the command *name*: existing inputs and new outputs below *here*, except those *given*."""
    words: list[str] = []
    for param in command_of(name).params:
        assert param.name
        if isinstance(param.type, Input | Output):
            path = given.get(param.name)
            path = path or here / ("new" if isinstance(param.type, Output) else "input") / param.name
            if isinstance(param.type, Input) and not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.mkdir() if param.type.dir_okay else path.write_text(PARAMS)
            words += [param.opts[0], str(path)] if isinstance(param, click.Option) else [str(path)]
        elif isinstance(param, click.Argument) and param.required:
            words.append({"model": "meso4", "axes": "quality=77"}[param.name])
    return words


def possible(read: object, written: object, how: str) -> bool:
    """Return whether the kinds of path fit: a file in a folder, or two files, or two folders."""
    assert isinstance(read, Input)
    assert isinstance(written, Output)
    if how == "inside":
        return read.dir_okay and written.file_okay and not read.shared
    return written.dir_okay if read.dir_okay else written.file_okay


PAIRS_OF_PATHS = [
    (name, read.name, written.name, how)
    for name in COMMANDS
    for read in path_parameters(name, Input)
    for written in path_parameters(name, Output)
    for how in ("same", "inside", "link")
    if possible(read.type, written.type, how)
]


def content(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize(("name", "read", "written", "how"), PAIRS_OF_PATHS)
def test_no_command_writes_to_what_it_reads(here: Path, name: str, read: str, written: str, how: str) -> None:
    reads, writes = (next(p for p in command_of(name).params if p.name == wanted) for wanted in (read, written))
    assert isinstance(reads.type, Input)
    source = here / "source"
    if reads.type.dir_okay:
        source.mkdir()
        (source / "index.csv").write_bytes(b"rows")
    else:
        source.write_text(PARAMS)
    target = {"same": source, "inside": source / "index.csv", "link": here / "link"}[how]
    (here / "link").symlink_to(source)
    call = arguments_of(name, {read: source, written: target}, here)
    before = content(here)
    message = fails(name, *call)
    assert f"{target}: {writes.opts[0] if isinstance(writes, click.Option) else written.upper()} " in message
    assert "another path" in message
    assert content(here) == before


def test_predict_may_write_beside_the_images_of_a_folder_but_not_over_them(here: Path) -> None:
    (here / "train").mkdir()
    (here / "photos").mkdir()
    (here / "photos" / "face.png").write_bytes(b"mine")
    assert "photos/face.png: would overwrite an input" in fails(
        "predict", "photos", "--train", "train", "--out", "photos/face.png"
    )
    assert "train/model.json: no such file" in fails(
        "predict", "photos", "--train", "train", "--out", "photos/scores.csv"
    )
    assert (here / "photos" / "face.png").read_bytes() == b"mine"


def test_the_parameter_file_is_an_input_of_every_command_that_reads_it(here: Path) -> None:
    (here / "face.png").write_bytes(b"")
    (here / "train").mkdir()
    (here / "other.yaml").write_text(PARAMS)
    for extra in ([], ["--params", "other.yaml"]):
        target = extra[-1] if extra else "params.yaml"
        message = fails("predict", "face.png", "--train", "train", "--out", target, *extra)
        assert message == f"Error: {target}: --out would overwrite --params; give --out another path"
    assert (here / "params.yaml").read_text() == (here / "other.yaml").read_text() == PARAMS


def test_a_folder_that_is_replaced_holds_no_input_and_no_other_output(here: Path) -> None:
    (here / "out" / "faces").mkdir(parents=True)
    (here / "out" / "index.csv").write_text("of an earlier run\n")
    assert "FACES lies inside OUT, which is replaced as a whole" in fails("compress", "out/faces", "out")
    assert "SUMMARY lies inside OUT, which is replaced" in fails("fidelity", "out/faces", "new", "new/summary.json")
    assert "are the same path" in fails("train", "out/faces", "a", "--history", "h", "--checkpoints", "a")
    assert (here / "out" / "index.csv").exists()


def test_loose_files_may_be_written_beside_the_packed_crops(here: Path, small_faces: Path) -> None:
    """OUT of `unpack` is not replaced: it may hold the input. The base of pack's paths may hold OUT."""
    shutil.copytree(small_faces, here / "out" / "faces")
    assert run("unpack", "out/faces", ".").exit_code == 0
    packed = run("pack", "FF-DF.json", "packed", "--root", ".")
    assert packed.exit_code == 0, packed.output


def test_weights_that_training_starts_from_are_not_overwritten(here: Path) -> None:
    (here / "crops").mkdir()
    (here / "weights").mkdir()
    (here / "weights" / "weights.safetensors").write_bytes(b"mine")
    for model, section, start in (
        ("meso4", "meso", "weights"),
        ("efficientnet_b0", "efficientnet", "weights/weights.safetensors"),
    ):
        (here / "params.yaml").write_text(f"model: {model}\ntrain: {{{section}: {{pretrained: {start}}}}}\n")
        assert f"weights: OUT would overwrite {start}, which training starts from" in fails("train", "crops", "weights")
    assert (here / "weights" / "weights.safetensors").read_bytes() == b"mine"


def test_the_users_face_detector_is_not_overwritten(here: Path, small_tree: Path) -> None:
    (here / "faces").mkdir()
    (here / "faces" / "index.csv").write_text("of an earlier run\n")
    (here / "faces" / "yunet.onnx").write_bytes(b"mine")
    (here / "params.yaml").write_text("faces: {detector: yunet, yunet_model: faces/yunet.onnx}\n")
    assert "faces.yunet_model lies inside OUT, which is replaced" in fails("faces", small_tree, "faces")
    assert (here / "faces" / "yunet.onnx").read_bytes() == b"mine"
