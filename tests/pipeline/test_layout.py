"""Imports follow the rules of docs/architecture.md, and `--help` is fast."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tools import architecture

ROOT = Path(__file__).resolve().parents[2]
OURS = ("mozcodec", "detector", "evaluation")
HEAVY = (
    "torch", "timm", "torchvision", "cv2", "av", "numpy", "skimage", "sklearn", "scipy", "matplotlib", "pyarrow",
    "mozcodec",
)  # fmt: skip


def modules(package: str) -> dict[str, Path]:
    """Return the source files of *package* by module name."""
    names = architecture.modules(ROOT / "packages" / package / "src", package)
    assert names, f"no sources of {package}"
    return names


def imported(package: str, below: str = "") -> dict[str, set[str]]:
    """Return what each module of *package*, of those whose name begins with *below*, imports."""
    return {
        name: set(architecture.imported(name, path, type_checking=True))
        for name, path in modules(package).items()
        if name == below or name.startswith(below and f"{below}.")
    }


def offenders(found: dict[str, set[str]], *forbidden: str, but: tuple[str, ...] = ()) -> list[str]:
    def within(name: str, roots: tuple[str, ...]) -> bool:
        return any(name == root or name.startswith(f"{root}.") for root in roots)

    return [
        f"{module} imports {name}"
        for module, names in found.items()
        for name in sorted(names)
        if within(name, forbidden) and not within(name, but)
    ]


@pytest.mark.parametrize("package", ["mozcodec", "evaluation"])
def test_codec_and_evaluation_import_nothing_of_ours(package: str) -> None:
    others = [name for name in OURS if name != package]
    assert offenders(imported(package), *others) == []


def test_detector_takes_only_pure_functions_from_evaluation() -> None:
    pure = ("metrics", "conditions", "clusters", "findings", "leaks", "likelihood", "means", "printed", "shortcuts")
    pure += ("columnar", "command_group", "exhausted", "outputs", "sums", "threads", "values")
    allowed = tuple(f"evaluation.{name}" for name in pure)
    assert offenders(imported("detector"), "evaluation", but=allowed) == []


def test_detector_uses_mozcodecs_public_names_only() -> None:
    names = {name for names in imported("detector").values() for name in names if name.startswith("mozcodec.")}
    import mozcodec

    assert {name.removeprefix("mozcodec.") for name in names} <= {*mozcodec.__all__, "forensics"}


@pytest.mark.parametrize(("package", "below"), [("evaluation", "evaluation"), ("detector", "detector.data")])
def test_data_and_evaluation_need_no_torch(package: str, below: str) -> None:
    found = imported(package, below)
    assert found
    assert offenders(found, "torch", "timm", "torchvision", "safetensors") == []
    learning = ("detector.training", "detector.models", "detector.loading", "detector.weights", "detector.score")
    assert offenders(found, *learning) == []


def test_no_package_imports_the_tools() -> None:
    for package in OURS:
        assert offenders(imported(package), "tools", "tests") == []


def test_nothing_imports_the_command_line_that_starts_it() -> None:
    assert offenders(imported("detector"), "detector.cli") == []


GUARDS = {  # platform features -> the check that a function must contain to use them
    "sched_getaffinity": ("hasattr(os, 'sched_getaffinity')",),
    "/proc/": (".exists()", ".is_dir()", "FileNotFoundError", "except OSError"),
    "ru_maxrss": ("sys.platform",),  # KiB on Linux, bytes on macOS
}


def unguarded(text: str) -> Iterator[str]:
    """Yield the platform-dependent names of the source *text* that are used without their guard."""
    scopes = [node for node in ast.parse(text).body if not isinstance(node, ast.ImportFrom)]
    for scope in scopes:
        code = ast.unparse(scope)
        for name, guards in GUARDS.items():
            strings = [node.value for node in ast.walk(scope) if isinstance(node, ast.Constant)]
            names = [node.attr for node in ast.walk(scope) if isinstance(node, ast.Attribute)]
            used = name in names or any(isinstance(value, str) and name in value for value in strings)
            if used and not any(guard in code for guard in guards):
                yield name


def test_platform_features_are_checked_before_use() -> None:
    folders = [ROOT / "packages", ROOT / "tools"]
    paths = [path for folder in folders for path in folder.rglob("*.py") if "build" not in path.parts]
    assert len(paths) > 100
    found = {str(path): list(unguarded(path.read_text(encoding="utf-8"))) for path in paths}
    assert {path: names for path, names in found.items() if names} == {}


def test_that_rule_finds_unchecked_uses() -> None:
    bad = "import os\ndef f():\n    return len(os.sched_getaffinity(0))\n"
    good = "import os\ndef f():\n    return hasattr(os, 'sched_getaffinity') and len(os.sched_getaffinity(0))\n"
    assert list(unguarded(bad)) == ["sched_getaffinity"]
    assert list(unguarded(good)) == []
    assert list(unguarded("x = open(f'/proc/{1}/stat')")) == ["/proc/"]
    assert list(unguarded("CODE = 'resource.getrusage(0).ru_maxrss'")) == ["ru_maxrss"]


def test_the_rule_sees_relative_and_local_imports(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("from ..data import index\ndef f():\n    import torch.nn\n    from . import x\n")
    found = set(architecture.imported("detector.training.m", path))
    assert found == {"detector.data.index", "torch.nn", "detector.training.x"}
    assert offenders({"m": {"torch.nn", "torchless"}}, "torch") == ["m imports torch.nn"]


def units(package: str) -> dict[str, set[str]]:
    """Return which folders and single modules of *package* each of them imports; a folder counts as one."""

    def unit(name: str) -> str:
        return ".".join(name.split(".")[:2])

    found: dict[str, set[str]] = {}
    for module, names in imported(package).items():
        own = {unit(name) for name in names if name.startswith(f"{package}.")} & set(map(unit, modules(package)))
        found.setdefault(unit(module), set()).update(own - {unit(module)})
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Return the nodes of *graph* that can be reached from themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph.get(start, ()))
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += graph.get(node, ())
        return seen

    return sorted(node for node in graph if node in reached(node))


def test_folders_of_the_detector_are_seen_as_one() -> None:
    graph = units("detector")
    assert {"detector.data", "detector.models", "detector.training"} <= set(graph)
    assert {"detector.models", "detector.data"} <= graph["detector.training"]


@pytest.mark.parametrize("package", OURS)
def test_folders_and_modules_import_each_other_in_one_direction_only(package: str) -> None:
    assert circles(units(package)) == []


def test_a_circle_is_found_wherever_it_goes_through() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def c_folders() -> dict[str, set[str]]:
    """Return which folders of C files each of them includes headers from; "." is the top."""
    top = ROOT / "packages/mozcodec/csrc"
    found: dict[str, set[str]] = {}
    for path in sorted(top.rglob("*.[ch]")):
        own = path.relative_to(top).parts[0] if path.parent != top else "."
        for name in re.findall(r'#include "([^"]+)"', path.read_text(encoding="utf-8")):
            target = (path.parent / name).resolve()
            if target.is_file():
                folder = target.relative_to(top).parts[0] if target.parent != top else "."
                found.setdefault(own, set()).update({folder} - {own})
    return found


def test_folders_of_c_files_include_the_top_and_the_engine_only() -> None:
    found = c_folders()
    assert found["engine"] | found["reader"] == {"."}  # the engine and the reader do not know each other
    assert all(names <= {".", "engine"} for folder, names in found.items() if folder != ".")


def test_c_files_at_the_top_use_the_public_interface_of_libjpeg() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "packages/mozcodec/csrc").glob("*.[ch]")}
    private = re.compile(r"JPEG_INTERNALS|<(?:jpegint|jdhuff|jchuff|jdct|jsimd\w*|jpegapicomp)\.h>")
    assert len(texts) > 15
    assert [name for name, text in texts.items() if private.search(text)] == []


@pytest.mark.parametrize(
    ("module", "group"), [("detector.cli", "cli"), ("evaluation.cli", "main"), ("tools.__main__", "cli")]
)
def test_help_imports_nothing_heavy(module: str, group: str) -> None:
    code = (
        "import sys\n"
        f"from {module} import {group}\n"
        "from click.testing import CliRunner\n"
        f"result = CliRunner().invoke({group}, ['--help'])\n"
        "assert result.exit_code == 0 and 'Commands' in result.output\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_of_a_command_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from detector.cli import COMMANDS, cli\n"
        "from click.testing import CliRunner\n"
        "for name in COMMANDS:\n"
        "    result = CliRunner().invoke(cli, [name, '--help'])\n"
        "    assert result.exit_code == 0, (name, result.output, result.exception)\n"
        "    print(name, [m for m in ('torch', 'timm') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if not line.endswith("[]")] == []


def test_every_command_is_there() -> None:
    from detector.cli import COMMANDS
    from tools.__main__ import COMMANDS as TOOLS

    for name, (target, line) in (COMMANDS | TOOLS).items():
        module, attribute = target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), name
        assert line.endswith((".", "?")), name


def test_dvcs_commands_exist() -> None:
    from ruamel.yaml import YAML

    from detector.cli import COMMANDS

    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    used = {stage["cmd"].split()[1] for stage in stages.values() if stage["cmd"].startswith("detector ")}
    assert used <= set(COMMANDS)
    assert {"faces", "compress", "fidelity", "train", "score"} <= used


def test_params_of_every_stage_are_parameters() -> None:
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    params = reader.load(ROOT / "params.yaml")
    for name, stage in reader.load(ROOT / "dvc.yaml")["stages"].items():
        for param in stage.get("params", []):
            value = params
            for part in param.split("."):
                assert part in value, f"{name}: {param}"
                value = value[part]


@pytest.mark.alone
def test_help_takes_little_time() -> None:
    before = _children()
    subprocess.run([sys.executable, "-m", "detector.cli", "--help"], capture_output=True, check=True)
    assert _children() - before < 0.5  # CPU seconds, so that a busy machine does not count


def _children() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
