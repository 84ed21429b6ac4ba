"""What the workflows run are targets of the Makefile, and the files of a release are complete."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PACKAGES = ("mozcodec", "detector", "evaluation")
MOZCODEC = ROOT / "packages" / "mozcodec"
LICENCE = tomllib.loads((MOZCODEC / "pyproject.toml").read_text(encoding="utf-8"))["project"]["license"]


def steps(path: Path) -> list[dict[str, object]]:
    jobs = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_is_a_target_of_the_makefile(path: Path) -> None:
    command = ["make", "--no-print-directory", "help"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = {name for line in listed.splitlines() for name in line[5:31].split()}
    commands = [str(step["run"]) for step in steps(path) if "run" in step]
    assert commands
    assert [line for line in commands if not re.fullmatch(r"make (\S+)(?: [A-Z]+=\S+)*", line)] == []
    assert {line.split()[1] for line in commands} <= targets


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action)] == []


def test_the_tools_of_releases_and_documentation_are_pinned() -> None:
    def lines(name: str) -> list[str]:
        return [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]

    pinned = {line.split("==")[0] for line in lines("constraints.txt") if line}
    files = ("requirements-release.txt", "requirements-docs.txt")
    wanted = {line.partition("[")[0] for name in files for line in lines(name) if line and not line.startswith("-")}
    assert {"twine", "auditwheel", "zizmor", "mkdocs"} <= wanted <= pinned


@pytest.mark.parametrize("package", PACKAGES)
def test_a_changelog_begins_with_what_is_unreleased(package: str) -> None:
    text = (ROOT / "packages" / package / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changes\n") and "keepachangelog.com" in text
    first, *released = re.findall(r"^## (.*)$", text, re.M)
    assert first == "Unreleased"
    assert [one for one in released if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", one)] == []
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds


def wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "tools" / "wheels.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_has_the_files_of_its_tag(tmp_path: Path) -> None:
    files = {}
    for package in PACKAGES:
        files[package] = [tmp_path / f"{package}-1.2.3.tar.gz", tmp_path / f"{package}-1.2.3-py3-none-any.whl"]
        for path in files[package]:
            path.write_bytes(b"")
    wheels().publish("evaluation-1.2.3", files, tmp_path / "a")
    assert {path.suffix for path in (tmp_path / "a").iterdir()} == {".gz", ".whl"}
    wheels().publish("mozcodec-1.2.3", files, tmp_path / "b")  # its wheels come from cibuildwheel
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["mozcodec-1.2.3.tar.gz"]


@pytest.mark.parametrize("tag", ["evaluation-1.2.4", "numpy-1.2.3", ""])
def test_a_tag_that_does_not_fit_publishes_nothing(tag: str, tmp_path: Path) -> None:
    files = {"evaluation": [tmp_path / "evaluation-1.2.3.tar.gz", tmp_path / "evaluation-1.2.3-py3-none-any.whl"]}
    with pytest.raises(SystemExit, match="tag"):
        wheels().publish(tag, files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def a_wheel(folder: Path, expression: str, works: dict[str, str]) -> Path:
    """A wheel with the licences of *works*, and the SBOM that mozcodec's build writes."""
    wheel, made = folder / "mozcodec-1.2.3-cp311-abi3-linux_x86_64.whl", folder / "inner.json"
    subprocess.run([sys.executable, MOZCODEC / "cmake/sbom.py", "1.2.3", "pinned", made], check=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mozcodec-1.2.3.dist-info/METADATA", f"Name: mozcodec\nLicense-Expression: {expression}\n")
        archive.write(made, "mozcodec-1.2.3.dist-info/sboms/mozcodec.cdx.json")
        for name in works:
            archive.writestr(f"mozcodec-1.2.3.dist-info/licenses/licenses/{name}/LICENSE", "")
    (folder / "mozcodec.cdx.json").write_text(json.dumps({"metadata": {}, "components": [{"name": "numpy"}]}))
    return wheel


def test_the_sbom_names_the_wheel_and_what_it_holds_of_others(tmp_path: Path) -> None:
    works = {path.name: "" for path in (MOZCODEC / "licenses").iterdir()}
    wheel, sbom = a_wheel(tmp_path, LICENCE, works), tmp_path / "mozcodec.cdx.json"
    wheels().complete(sbom, "mozcodec", wheel)
    made = json.loads(sbom.read_text())
    subject = made["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("mozcodec", "1.2.3")
    assert subject["licenses"] == [{"expression": LICENCE}]
    assert subject["hashes"][0]["content"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    found = {one["name"]: one for one in made["components"]}
    assert sorted(found) == ["jpegli", "mozjpeg", "numpy", "ssimulacra2"]
    assert found["mozjpeg"]["licenses"] == [{"expression": "IJG AND BSD-3-Clause AND Zlib"}]
    source = (MOZCODEC / "cmake/mozjpeg-source.txt").read_text()
    assert f"mozjpeg {found['mozjpeg']['version']}." in source
    assert found["mozjpeg"]["externalReferences"][0]["hashes"][0]["content"] in source


@pytest.mark.parametrize(
    ("expression", "work", "said"),
    [
        (None, "other", r"the SBOM in mozcodec-1\.2\.3.* leaves out other"),
        ("MIT AND BSD-3-Clause", "mozjpeg", r"MIT AND BSD-3-Clause, lacks mozjpeg's, IJG AND BSD-3-Clause AND Zlib"),
    ],
)
def test_a_work_without_a_licence_is_refused(expression: str | None, work: str, said: str, tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, expression or LICENCE, {work: ""})
    with pytest.raises(SystemExit, match=said):
        wheels().complete(tmp_path / "mozcodec.cdx.json", "mozcodec", wheel)


def test_the_conda_recipe_has_the_version_and_the_requirements_of_the_package() -> None:
    recipe = YAML(typ="safe").load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "packages/mozcodec/pyproject.toml").read_text(encoding="utf-8"))

    def plain(requirements: list[str]) -> set[str]:
        return {one.replace(" ", "") for one in requirements}

    assert recipe["context"]["version"] == project["project"]["version"]
    python = {f"python{project['project']['requires-python']}"}
    assert plain(recipe["requirements"]["run"]) == plain(project["project"]["dependencies"]) | python
    assert set(recipe["about"]["license"].split(" AND ")) == set(project["project"]["license"].split(" AND "))
    # without a condition: rattler-build applies variants.yaml to such requirements only
    assert plain(recipe["requirements"]["host"]) == plain(project["build-system"]["requires"]) | {"python"}


@pytest.mark.trial(minutes=4)
def test_make_conda_builds_the_recipe_and_tests_the_package(tmp_path: Path) -> None:
    command = ["make", "--no-print-directory", "conda", f"OUT={tmp_path}"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if "outside its prefix" in made.stderr:
        pytest.skip(made.stderr)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    version, needed = re.search(
        r"^conda: \S+/mozcodec-\d+\.\d+\.\d+-py(\d+)h\w+_0\.conda, .*; needs (.*)$", made.stdout, re.M
    ).groups()  # type: ignore[union-attr]
    python_abi = f"python_abi {version[0]}.{version[1:]}.* *_cp{version}"
    assert set(needed.split(", ")) >= {"cffi >=1.17", "numpy >=1.26", python_abi}
