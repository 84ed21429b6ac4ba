"""The comparison of models: numbers against scikit-learn, the pages that show them, and a small run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from detector.card import Card, Start, as_json
from detector.config import HistoriesConfig, TrainConfig, read_params
from detector.data.files import write_json
from detector.errors import DataError
from detector.models import MODELS as REGISTERED
from detector.provenance import Source
from evaluation import matrix as history_matrix
from evaluation.scores import read
from tools.models import command as module
from tools.models.command import MODELS, RECIPES, command, runs
from tools.models.table import MARKERS, document, figure_of, read_all, short

Write = Callable[..., Path]
Pack = Callable[[Path], tuple[Path, Path]]
ROOT = Path(__file__).parents[2]
CONDITIONS = ("raw", "77", "turbo:10")


def trained(write: Write, out: Path, name: str, seed: int, shift: float, start: Start | None = None) -> Path:
    """Write the results of a run (scores, model.json, history, CPU time); return the path of the scores."""
    run = out / "weights" / f"{name}-{seed}"
    run.mkdir(parents=True)
    card = Card(name, {}, 32, 32, parameters={"train": {"steps": 20, "batch_size": 8}}, started_from=start,
                source=Source("a" * 40, False, None))  # fmt: skip
    write_json(run / "model.json", as_json(card))
    write_json(run.with_name(f"{run.name}.cpu.json"), [1.5, 2.0])
    run.with_name(f"{run.name}.csv").write_text("step,epoch,loss,lr,grad_norm,val_auc\n10,0,0.7,1,1,\n20,0,0.5,1,1,0.6\n")
    return write(out / "scores" / f"{name}-{seed}.csv", np.random.default_rng(seed), shift, CONDITIONS)


@pytest.fixture
def made(tmp_path: Path, write: Write) -> Path:
    for seed in (1, 2):
        trained(write, tmp_path, "meso4", seed, 2.0)
    trained(write, tmp_path, "tf_efficientnet_lite0", 1, 0.5, Start("file", "0" * 64, "Apache-2.0"))
    return tmp_path


def test_figures_are_means_over_the_seeds_of_scikit_learns_auc(made: Path) -> None:
    meso4, lite0 = read_all(made, MODELS)
    cells = np.empty((2, 3, 3))
    for seed in (1, 2):
        table = read(made / f"scores/meso4-{seed}.csv").where(split="test")
        for r, real in enumerate(CONDITIONS):
            for f, fake in enumerate(CONDITIONS):
                rows = np.asarray(table.condition) == np.where(table.label == 0, real, fake)
                cells[seed - 1, r, f] = roc_auc_score(table.label[rows], table.score[rows])

    assert meso4.matrix == pytest.approx(cells.mean(0))
    assert meso4.figure("pooled").value == pytest.approx(cells.mean())
    assert meso4.figure("diagonal").value == pytest.approx(cells.mean(0).diagonal().mean())
    assert meso4.figure("worst").value == pytest.approx(cells.mean(0).min())
    assert meso4.each("worst") == pytest.approx(cells.min((1, 2)))
    assert (meso4.start, lite0.start, meso4.cpu) == ("random", "ImageNet", {1: 3.5, 2: 3.5})


def test_the_figures_of_one_seed_are_those_of_the_page(made: Path) -> None:
    lite0 = read_all(made, MODELS)[1]
    page = history_matrix.evaluate(read(made / "scores/tf_efficientnet_lite0-1.csv"))

    for name in ("diagonal", "pooled", "worst"):
        expected = page.figure(name)
        assert expected is not None
        assert lite0.figure(name)[:3] == pytest.approx((expected.value, expected.lo, expected.hi))


def test_tables_name_seeds_start_and_time_and_compare_equal_seeds(made: Path) -> None:
    models = read_all(made, MODELS)
    text, brief = document(models), short(models)

    assert re.search(r"^\| meso4 \| random \| 32 \| 20 of 8 \| 1, 2 \| 4 \| \.\d{3} \[", text, re.MULTILINE)
    assert "| tf_efficientnet_lite0 | ImageNet | 32 | 20 of 8 | 1 | 4 |" in text
    # the only seed that both have
    seed = [model.each("pooled")[0] for model in models]
    assert f"| tf_efficientnet_lite0 | mean of all cells | {seed[1] - seed[0]:+.3f} |" in text
    assert "one seed" in text
    assert "Recommended: **tf_efficientnet_lite0**" in text
    for model in models:
        for name in ("diagonal", "pooled", "worst"):
            value = f"{model.figure(name).value:.3f}".removeprefix("0")
            assert f"| {value} [" in brief
            assert f"| {value} [" in text
    figure = figure_of(models)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["meso4", "tf_efficientnet_lite0"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.7, 0.5]  # type: ignore[union-attr]


def test_models_of_other_test_sets_are_not_compared(made: Path, write: Write) -> None:
    run = trained(write, made, "mesoinception4", 1, 1.0)
    run.write_text("\n".join(line for line in run.read_text().splitlines() if ",raw," not in line))

    with pytest.raises(DataError, match="of different conditions or pairs"):
        read_all(made, MODELS)
    with pytest.raises(DataError, match="no scores of a model"):
        read_all(made / "weights", MODELS)


def test_the_recipes_are_of_the_papers_models_with_random_histories() -> None:
    assert sorted(path.stem for path in RECIPES.glob("*.yaml")) == sorted(MODELS)
    for name in MODELS:
        params = read_params(RECIPES / f"{name}.yaml")
        assert params.model == name
        assert name in REGISTERED
        assert params.train.histories == HistoriesConfig()
        assert params.train.conditions == TrainConfig().conditions
    assert read_params(RECIPES / "tf_efficientnet_lite0.yaml").train.efficientnet.pretrained == "package"


def test_runs_are_named_by_model_and_seeds() -> None:
    assert runs(("meso4=1,3", "mesoinception4=2")) == [("meso4", 1), ("meso4", 3), ("mesoinception4", 2)]
    assert runs(()) == [(name, 1) for name in MODELS]
    for text in ("meso4", "meso4=a", "meso5=1"):
        with pytest.raises(click.UsageError, match=text):
            runs((text,))


def test_the_readme_has_the_numbers_of_the_results() -> None:
    tables = []
    for page in ("README.md", "docs/results.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        tables.append(text.partition(MARKERS[0])[2].partition(MARKERS[1])[0])
    brief = [line.split(" | ") for line in tables[0].splitlines() if re.match(r"\| \w+ \(\d+ pixels\)", line)]
    rows = [line.split(" | ") for line in tables[1].splitlines() if " of 32 " in line]
    whole = {row[0].strip("| "): row for row in rows}

    assert list(whole) == list(MODELS)
    assert [row[0].strip("| ").split(" (")[0] for row in brief] == list(whole)
    for row in brief:
        name, size = re.fullmatch(r"\| (\w+) \((\d+) pixels\)", row[0]).groups()  # type: ignore[union-attr]
        full = whole[name]
        assert (row[1], size) == (full[1], full[2])
        assert row[2] == f"{full[3].split()[0]}, {full[5]}, {len(full[4].split(','))}"
        assert [value.strip("| ") for value in row[3:]] == [value.partition(" (")[0] for value in full[6:9]]


@pytest.mark.trial(minutes=5)
def test_a_run_of_the_smallest_size_is_continued_and_refuses_other_parameters(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    monkeypatch.setattr(module, "RECIPES", recipes)
    recipe = "model: meso4\ntrain: {steps: 2, batch_size: 8, eval_every: 2, log_every: 1, conditions: [77]}\n"
    (recipes / "meso4.yaml").write_text(recipe + "faces: {size: 32}\nconditions: [raw, 77, 'turbo:10']\n")
    faces, crops = pack(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("\n".join(MARKERS) + "\n")
    arguments = [tmp_path / "out", "--faces", faces, "--crops", crops, "--data", tmp_path, "--results", page]

    def run(*more: str | Path):
        return CliRunner().invoke(command, [str(argument) for argument in (*arguments, *more)])

    done = run("--run", "meso4=1", "--figure", tmp_path / "curves.png")
    assert done.exit_code == 0, done.output
    assert done.stdout in page.read_text()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    weights = (tmp_path / "out/weights/meso4-1/weights.safetensors").stat().st_mtime_ns
    assert "| 1, 2 |" in run("--run", "meso4=1,2").stdout
    assert (tmp_path / "out/weights/meso4-1/weights.safetensors").stat().st_mtime_ns == weights
    (recipes / "meso4.yaml").write_text(recipe.replace("steps: 2", "steps: 3"))  # and crops of the default size
    assert "results of other parameters than" in str(run("--run", "meso4=1").exception)
