"""The examples of three recipes, applied to a copy of the tree: registries, help, documents and tests pick them up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import mozcodec
from tools.mutants.command import Copy, tracked

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "recipes"
KINDS = {"model", "metric", "condition-step", "face-detector", "data-set", "augmentation", "stage", "encoder-option"}


class Tree:
    """A copy of the tree with an environment that imports our packages from it, with the mozcodec module built here."""

    def __init__(self, work: Path) -> None:
        self.copy = Copy(ROOT, work)
        self.copy.update(tracked(ROOT))
        self.copy.prepare()
        self.folder = self.copy.tree
        module = Path(mozcodec._mozjpeg.__file__)
        shutil.copyfile(module, self.folder / "packages/mozcodec/src/mozcodec" / module.name)

    def apply(self, page: str) -> None:
        """Do what the example of the recipe *page* says."""
        text = (RECIPES / f"{page}.md").read_text(encoding="utf-8")
        edits = re.findall(r"^<!-- (new|before) ([\w./-]+)(?:: ([^\n]*))? -->\n```\w+\n(.*?)^```$", text, re.M | re.S)
        assert len(edits) >= 3, page
        for what, name, line, block in edits:
            path = self.folder / name
            if what == "new":
                assert not path.exists(), name
                path.write_text(block, encoding="utf-8")
            else:
                before = path.read_text(encoding="utf-8")
                assert before.count(f"\n{line}") == 1, f"{name} has not one line that begins with {line!r}"
                path.write_text(before.replace(f"\n{line}", f"\n{block}{line}"), encoding="utf-8")

    def run(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [self.copy.python, *arguments], cwd=self.folder, text=True, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stdout
        return done.stdout

    def test(self, *arguments: str) -> str:
        return self.run("-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments)

    def reference(self) -> str:
        """Return the reference pages of the documentation as Markdown, without the parts that mkdocstrings makes."""
        code = "from tools.documentation import api, modules\nfor page in modules().items(): print(api(*page))"
        return self.run("-c", code)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_every_kind_of_addition_has_its_page() -> None:
    assert {path.stem for path in RECIPES.glob("*.md")} == KINDS
    index = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    for name in KINDS:
        assert f"(recipes/{name}.md)" in index
        steps = re.findall(r"^\d\. .*`[\w./]+`", (RECIPES / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE)
        assert len(steps) >= 2, name  # each names files


@pytest.mark.slow(minutes=0.5)
def test_the_recipe_for_a_model(tree: Tree) -> None:
    before = tree.run("-m", "detector.cli", "describe")
    assert "tiny" not in before
    tree.apply("model")
    assert "tiny" in tree.run("-m", "detector.cli", "describe")
    assert "convolution" in tree.run("-m", "detector.cli", "describe", "tiny")
    assert "tiny" in tree.run("-c", "from detector.models import build; build('unknown')", fails=True)
    assert "::: detector.models.tiny" in tree.reference()
    tree.run("-m", "detector.cli", "dvc-yaml", "--check", fails=True)  # step 5: the new file is a dependency of stages
    tree.run("-m", "detector.cli", "dvc-yaml")
    assert "models/tiny.py" in (tree.folder / "dvc.yaml").read_text(encoding="utf-8")
    done = tree.test("tests/detector/test_tiny.py", "tests/detector/test_registries.py", "-k", "tiny")
    assert "test_every_model_has_what_its_users_need[tiny] PASSED" in done
    assert "test_tiny_has_the_parameters_of_its_two_layers PASSED" in done


@pytest.mark.slow(minutes=0.5)
def test_the_recipe_for_a_metric(tree: Tree) -> None:
    tree.apply("metric")
    rows = [f"{i % 2},{(i * 7 % 10) / 10},{'val' if i % 3 else 'test'}" for i in range(60)]
    (tree.folder / "scores.csv").write_text("\n".join(["label,score,split", *rows, ""]))
    evaluation = "-c", "from evaluation.cli import main; main()"
    tree.run(*evaluation, "import", "scores.csv", "ours.csv")
    tree.run(*evaluation, "metrics", "ours.csv", "metrics.json", "--tables", "tables")
    assert ",kappa," in (tree.folder / "tables" / "metrics.csv").read_text(encoding="utf-8")
    assert "kappa" in tree.run("-c", "import evaluation.metrics as m; print(m.__all__, m.METRICS['kappa'].title)")
    done = tree.test("tests/evaluation/test_kappa.py", "tests/evaluation/test_registry.py", "-k", "kappa")
    assert "test_an_entry_is_complete[kappa] PASSED" in done
    assert "test_kappa_is_that_of_scikit_learn PASSED" in done


@pytest.mark.slow(minutes=0.5)
def test_the_recipe_for_a_condition_step(tree: Tree) -> None:
    tree.apply("condition-step")
    assert "median:R" in tree.run("-c", "from detector.conditions import parse; parse('blur:3')", fails=True)
    label = tree.run("-c", "from detector.conditions import parse; print(parse('median:02>77'))")
    assert label == "median:2>moz:77\n"
    names = "tests/detector/test_median.py", "tests/detector/test_conditions.py"
    done = tree.test(*names, "-k", "median")
    assert "test_every_step_has_all_that_its_users_need[median] PASSED" in done
    assert "test_median_is_that_of_scipy PASSED" in done
    page = tree.folder / "docs" / "architecture.md"  # without its row in the documentation, the test fails
    page.write_text(re.sub(r"^\| `median:R`.*\n", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert "1 failed" in tree.run("-m", "pytest", "-q", names[1], "-k", "every_step and median", fails=True)


def test_an_example_that_no_longer_fits_is_noticed(tree: Tree) -> None:
    path = tree.folder / "packages/evaluation/src/evaluation/metrics.py"
    path.write_text(path.read_text(encoding="utf-8").replace("def mcc(y_true", "def renamed(y_true"), encoding="utf-8")
    with pytest.raises(AssertionError, match="not one line that begins with 'def mcc"):
        tree.apply("metric")
