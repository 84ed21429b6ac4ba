"""uv's groups and the lock agree with pip's files, hooks are targets of the Makefile, coverage has its floors."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from tools import coverage_report, pins
from tools.scripts import load

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HINT = "run make lock"


def lines(name: str) -> list[str]:
    return pins.lines(ROOT / name)


@pytest.mark.parametrize("group", pins.GROUPS)
def test_a_group_of_uv_holds_what_pip_installs(group: str) -> None:
    assert PROJECT["dependency-groups"][group] == pins.tables()[group], HINT


def test_uv_has_the_constraints_of_pip() -> None:
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == pins.tables()["constraint-dependencies"], HINT


def test_a_new_requirement_reaches_uv(tmp_path: Path) -> None:
    for name in (*pins.GROUPS.values(), "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / "requirements.txt").write_text("-c constraints.txt\nnew[a]  # why\n", encoding="utf-8")
    made = pins.updated((ROOT / "pyproject.toml").read_text(encoding="utf-8"), pins.tables(tmp_path))
    assert tomllib.loads(made)["dependency-groups"]["dev"] == ["new[a]"]
    assert pins.updated(made, pins.tables()) == (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="dev"):
        pins.updated("", pins.tables())


def test_the_workspace_has_all_packages() -> None:
    assert PROJECT["tool"]["uv"]["workspace"] == {"members": ["packages/*"]}
    for name in PROJECT["tool"]["uv"]["sources"]:
        assert (ROOT / "packages" / name / "pyproject.toml").is_file()


def normal(requirement: str) -> str:
    """Return the name in a requirement as the index writes it: ``ruamel-yaml`` of ``ruamel.yaml>=0.18``."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement)[0]).lower()


def locked() -> dict[str, tuple[str, int]]:
    """Return name -> (version, number of hashes) of every requirement in requirements.lock."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in lines("requirements.lock"):
        if hashed := re.fullmatch(r"--hash=sha256:[0-9a-f]{64}(?: \\)?", line):
            version, hashes = found[name]
            found[name] = version, hashes + bool(hashed)
        else:
            name, version = re.match(r"([\w.-]+)==([^\s;]+)", line).groups()  # type: ignore[union-attr]
            name = normal(name)
            found[name] = version, 0
    return found


def test_the_lock_has_the_constraints_and_a_hash_for_everything() -> None:
    found = locked()
    assert len(found) > 200
    assert [name for name, (_, hashes) in found.items() if hashes == 0] == []
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")  # any index will do
    constraints = (line.split("==") for line in pins.tables()["constraint-dependencies"])
    pinned = {normal(name): version for name, version in constraints}
    assert pinned == {name: version for name, (version, _) in found.items() if name in pinned}, HINT


def test_every_requirement_of_the_packages_is_locked() -> None:
    wanted = {normal(one) for group in PROJECT["dependency-groups"].values() for one in group}
    for path in ROOT.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        extras = [one for group in project.get("optional-dependencies", {}).values() for one in group]
        wanted |= {normal(one) for one in [*project["dependencies"], *extras]}
    assert wanted - set(locked()) == {"mozcodec", "evaluation"}, HINT


@pytest.mark.parametrize(
    "package",
    [
        pytest.param("evaluation", marks=pytest.mark.slow(minutes=1)),
        pytest.param("mozcodec", marks=pytest.mark.trial(minutes=2)),
    ],
)
def test_uv_sync_installs_a_package_of_the_workspace(package: str, tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(ROOT / ".venv" / "bin")) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "pyproject.toml", "packages"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    for command in (["venv", "--seed"], ["sync", "--package", package, "--no-default-groups"]):
        done = subprocess.run([uv, *command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, timeout=1500)
        if done.returncode:
            break
    if "Failed to fetch" in done.stderr or "dns error" in done.stderr:
        pytest.skip("no package index")
    assert done.returncode == 0, done.stderr
    python = tmp_path / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)  # uv sync leaves it there
    shown = subprocess.run(
        [python, "-c", f"import {package}, numpy; print({package}.__file__, numpy.__version__)"],
        cwd="/", check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert shown[0].startswith(str(tmp_path))
    assert f"numpy=={shown[1]}" in lines("constraints.txt")


def test_hooks_are_targets_of_the_makefile() -> None:
    config = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    targets = set(re.findall(r"^([a-z][a-z-]*):.* ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["id"] for hook in hooks} == {"lint", "check", "lint-release"} <= targets
    assert all(hook["entry"] == f"make --no-print-directory {hook['id']}" for hook in hooks)


def test_slow_tests_of_more_than_an_hour_are_refused_and_trials_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    conftest = load(ROOT / "tests" / "conftest.py")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def item(name: str, **kinds: float) -> SimpleNamespace:
        marks = {kind: SimpleNamespace(kwargs={"minutes": minutes}) for kind, minutes in kinds.items()}
        return SimpleNamespace(nodeid=name, get_closest_marker=marks.get, add_marker=lambda _: None)

    def collected(items: list[SimpleNamespace], **options: object) -> list[str]:
        given = {"--trials": False, "--budget-minutes": None} | options
        hook = SimpleNamespace(pytest_deselected=lambda items: None)  # noqa: ARG005  (pluggy's keyword)
        conftest.pytest_collection_modifyitems(SimpleNamespace(getoption=given.get, hook=hook), items)
        return [item.nodeid for item in items]

    tests = [item("fast"), item("first", slow=40), item("second", slow=20), item("whole", trial=300)]
    assert collected(list(tests)) == ["fast", "first", "second"]
    assert collected(list(tests), **{"--trials": True}) == ["fast", "first", "second", "whole"]
    assert collected(list(tests), **{"--budget-minutes": 30}) == ["fast", "second"]
    with pytest.raises(pytest.UsageError, match="the tests marked slow declare 61 minutes, at most 60 are allowed"):
        collected([*tests, item("third", slow=1)])


def test_the_two_parts_of_make_test_are_all_tests_that_are_not_slow() -> None:
    rule = re.search(r"^test: .*\n(?:\t.*\n)+", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    parts = re.findall(r'pytest -m "(.*?)"(.*)', rule[0]) if rule else []
    assert [select for select, _ in parts] == [*["not slow and not alone"] * 2, "not slow and alone"]
    assert [options.split()[:1] for _, options in parts[:2]] == [["--numprocesses"], ["--last-failed;"]]
    # files without such a test are not collected again
    names = re.match(r" \$\$\((grep .*?)\) && echo", parts[2][1])
    assert names
    listed = subprocess.run(["sh", "-c", names[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    marked = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("tests/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "alone"
    ]
    assert sorted(listed) == sorted(set(marked)) != []


def test_several_processes_know_all_folders_and_the_files_that_share_a_clone() -> None:
    conftest = load(ROOT / "tests" / "conftest.py")
    assert sorted(conftest.ORDER) == sorted({path.parent.name for path in ROOT.glob("tests/*/test_*.py")})
    sharing = re.compile(r"^ *def .*\b(small|fresh)_clone\b", re.M)
    found = [path for path in ROOT.glob("tests/*/test_*.py") if sharing.search(path.read_text(encoding="utf-8"))]
    assert sorted(conftest.CLONE) == sorted(path.relative_to(ROOT).as_posix() for path in found)


def test_a_test_whose_name_differs_in_every_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    conftest = load(ROOT / "tests" / "conftest.py")
    config = SimpleNamespace(getoption=lambda _: None)
    item = SimpleNamespace(nodeid="a.py::test[1]", path=Path("tests/tools/a.py"), get_closest_marker=lambda _: None)
    early = SimpleNamespace(**{**vars(item), "path": Path("tests/pipeline/a.py")})
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    items = [item, early]
    conftest.pytest_collection_modifyitems(config, items)
    assert items == [early, item]
    item.nodeid = "a.py::test[<A object at 0x7f55cbc77150>]"
    with pytest.raises(pytest.UsageError, match="the name has an address"):
        conftest.pytest_collection_modifyitems(config, items)


def test_names_that_differ_in_two_processes_stop_no_run_and_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / "tools" / name).write_text(
            "import os, pytest\n\n@pytest.mark.parametrize('value', [str(os.getpid()), 'same'])\n"
            "def test_it(value):\n    assert value\n"
        )
    options = ["-n", "2", "-p", "no:cacheprovider", "-c", "none.ini", "--rootdir", "."]
    (tmp_path / "none.ini").touch()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    said = done.stdout.partition("names that differ between two processes: give ids")[2]
    assert len(re.findall(r"tools/test_[ab]\.py::test_it\[\d+\]", said)) == 4
    assert "same" not in said


def test_other_tests_in_another_process_end_the_run_as_no_failed_test_does() -> None:
    conftest = load(ROOT / "tests" / "conftest.py")
    first = ["a.py::test[1]", "b.py::test"]
    assert conftest.differing_names([first, list(first)]) == []
    assert conftest.differing_names([first, ["a.py::test[2]", "b.py::test"]]) == ["a.py::test[1]", "a.py::test[2]"]
    for other in (first[:1], first[::-1], [*first, "c.py::test"]):
        with pytest.raises(pytest.exit.Exception, match="the processes collected different tests") as ended:
            conftest.differing_names([first, other])
        assert ended.value.returncode == 2  # make test repeats failed tests after status 1 only
    assert "test $$? -eq 1 &&" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_package_below_its_floor_is_named() -> None:
    def counts(covered: int) -> list[int]:
        summary = {"num_statements": 150, "covered_lines": covered, "num_branches": 50, "covered_branches": 50}
        report = {"files": {"packages/mozcodec/src/mozcodec/a.py": {"summary": summary}}}
        return coverage_report.totals(report)["packages/mozcodec"]

    assert coverage_report.below("mozcodec", counts(144)) == []
    low = "packages/mozcodec: 96.50 % covered by tests/mozcodec, the floor is 97 %"
    assert coverage_report.below("mozcodec", counts(143)) == [low]
    assert "96.50 %" in coverage_report.table({"packages/mozcodec": counts(143)})


def test_coverage_is_measured_in_every_process_and_a_failed_test_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)  # the settings of coverage.py are what is tested
    files = {
        "packages/mozcodec/src/small.py": "import os, sys\nif len(sys.argv) > 1:\n    os._exit(3)\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'pass'])\n",
        "tests/mozcodec/test_small.py": "import subprocess, sys\n\ndef test():\n"
        "    subprocess.run([sys.executable, 'packages/mozcodec/src/small.py'], check=True)\n    assert False\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(coverage_report, "ROOT", tmp_path)
    done = CliRunner().invoke(coverage_report.command, ["--package", "mozcodec"])
    assert done.exit_code == 1
    low = "packages/mozcodec: 66.67 % covered by tests/mozcodec, the floor is 97 %"  # 3 of 4 lines, 1 of 2 branches
    assert f"Error: tests/mozcodec: some tests failed; {low}\n" in done.output, done.output
    assert (tmp_path / "out/coverage/mozcodec/index.html").exists()


def test_the_floors_are_those_of_the_contributing_page() -> None:
    text = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    for package, floor in coverage_report.FLOORS.items():
        assert f"{package} {floor:g} %" in text
