"""The study: its arithmetic against scikit-learn and hand-worked rows, and a whole one of the smallest size."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from detector.config import CompressConfig, HistoriesConfig
from detector.data.compress import compress_faces
from detector.data.files import write_json
from detector.data.index import Face, write_index
from detector.data.png import encode_png
from detector.data.shards import ShardWriter
from detector.errors import DataError
from evaluation import matrix as history_matrix
from evaluation.scores import read
from tools.study.command import CONDITIONS, MATRIX, RECIPES, STANDARDISED
from tools.study.command import command as study
from tools.study.table import BEGIN, END, aucs, between_markers, difference, document, entry, figures, wins

PAIRS = ["000_001", "002_003", "004_005"]
COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")


def write(path: Path, rng: np.random.Generator, shift: float = 1.0, conditions=("raw", "77", "turbo:10")) -> Path:
    """Write a table of three pairs, with ties, in which compression shifts the scores of both classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split in ("val", "test"):
            for p, pair in enumerate(PAIRS):
                for label in (0, 1):
                    for frame in range(3 + p):
                        a, b = (f"{int(name) + 100 * (split == 'val'):03d}" for name in pair.split("_"))
                        video = f"Deepfakes/{a}_{b}" if label else f"original/{a}"
                        identity = f"{a}+{b}" if label else a
                        for c, condition in enumerate(conditions):
                            score = round(float(1 / (1 + np.exp(-rng.normal(label - shift * c)))), 1)
                            row = (f"{video}/{frame}", video, "c23", frame, "Deepfakes" if label else "original")
                            writer.writerow((*row, identity, f"{a}_{b}", split, label, condition, score))
    return path


def test_cells_are_those_of_scikit_learn_and_of_evaluation(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.csv", np.random.default_rng(1))).where(split="test")
    conditions = ["raw", "77", "turbo:10"]
    won = wins(table, conditions, PAIRS)
    found = aucs(won, np.ones((1, 3)))[0]
    matrix = history_matrix.evaluate(read(tmp_path / "a.csv"))
    for r, real in enumerate(conditions):
        for f, fake in enumerate(conditions):
            rows = ((table.label == 0) & (table.condition == real)) | ((table.label == 1) & (table.condition == fake))
            expected = roc_auc_score(table.label[rows], table.score[rows])
            assert found[r, f] == pytest.approx(expected)
            cell = matrix.cell(real, fake)
            assert cell is not None
            assert found[r, f] == pytest.approx(cell.auc)
    # drawing pair 1 twice and pair 2 not at all is a table with these rows
    pair = np.asarray(table.pair)
    rows = np.concatenate([np.flatnonzero(pair == PAIRS[i]) for i in (0, 1, 1)])
    rows = rows[np.asarray(table.condition == "77")[rows]]
    drawn = aucs(won, np.array([[1.0, 2.0, 0.0]]))[0, 1, 1]
    assert drawn == pytest.approx(roc_auc_score(table.label[rows], table.score[rows]))


def test_figures_by_hand() -> None:
    cells = np.array([[[0.9, 0.2, 0.5], [0.8, 0.7, 0.5], [0.1, 0.5, 0.6]]])
    found = figures(cells, ["raw", "turbo:10", "webp:50"], ["raw", "turbo:10"])
    assert found["worst"] == [0.2]
    assert found["pooled"] == pytest.approx([(0.9 + 0.2 + 0.8 + 0.7) / 4])
    assert found["diagonal"] == pytest.approx([0.8])
    assert found["turbo"] == [0.7]
    assert found["unseen worst"] == [0.1]
    assert found["webp:50"] == [0.6]


def test_a_difference_needs_both_intervals_to_be_established(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    better = [write(tmp_path / f"b{i}.csv", rng, shift=0.0) for i in range(3)]
    worse = [write(tmp_path / f"w{i}.csv", rng, shift=3.0) for i in range(3)]
    weights = np.random.default_rng(3).multinomial(3, [1 / 3] * 3, 50).astype(float)
    a, b = (entry(paths, ["raw", "77", "turbo:10"], [], weights, PAIRS) for paths in (better, worse))
    found = difference(a, b, "worst")
    assert found.value == pytest.approx((a.seeds["worst"] - b.seeds["worst"]).mean())
    assert found.established
    assert found.value > 0.2
    alone = (entry(paths[:1], ["raw", "77", "turbo:10"], [], weights, PAIRS) for paths in (better, worse))
    assert not difference(*alone, "worst").established  # one seed says nothing about seeds


def test_the_document_has_recipes_differences_and_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    names = [*RECIPES, STANDARDISED]
    tables = {
        name: [write(tmp_path / f"{name}-{i}.csv", rng, 3.0 * (name == "paper"), CONDITIONS) for i in (1, 2)]
        for name in names
    }
    recipe = {"model": "meso4", "steps": 5, "batch_size": 8}
    text = document(tables, MATRIX, CONDITIONS[len(MATRIX) :], {
        "parameters": recipe, "seeds": [1, 2], "data_seed": 9, "val_pairs": 1
    })  # fmt: skip
    assert "| random - paper | worst | +" in text
    assert [line[2:4] for line in text.splitlines() if line.startswith("- H")] == ["H1", "H2", "H3", "H5"]
    page = between_markers(f"before\n{BEGIN}\nold\n{END}\nafter\n", text, tmp_path)
    assert page == f"before\n{BEGIN}\n{text}{END}\nafter\n"
    with pytest.raises(DataError, match="once and in this order"):
        between_markers("nothing", text, tmp_path)


def test_the_recipes_are_those_of_the_document() -> None:
    assert RECIPES["paper"] is None
    assert RECIPES["random"] == HistoriesConfig()
    assert not any("turbo" in text for text in RECIPES["mozjpeg"].conditions)
    assert RECIPES["mozjpeg"].share == HistoriesConfig().share


def pack(folder: Path) -> tuple[Path, Path]:
    """Write drawn training and validation crops, lossless and compressed, and return their folders."""
    faces, crops = folder / "faces", folder / "compressed"
    rng, rows = np.random.default_rng(0), []
    with ShardWriter(faces) as shards:
        for split, a, b in (("train", "000", "001"), ("val", "002", "003")):
            for label in (0, 1):
                method, name = ("Deepfakes", f"{a}_{b}") if label else ("original", a)
                for frame in range(6):
                    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                    slot = shards.add(f"c23/{split}/{label}/{frame}", encode_png(image))
                    identity = f"{a}+{b}" if label else a
                    described = (f"{method}/{name}", "c23", frame, method, identity, f"{a}_{b}", split, label)
                    rows.append(Face(slot.key, *described, slot.shard, slot.offset, slot.size, slot.crc32))
    write_index(faces / "index.csv", rows)
    counts = dict.fromkeys(("train", "val", "test"), 0)
    about = {"dataset": {"name": "drawn"}, "parameters": {"size": 32}, "identities": counts}
    write_json(faces / "summary.json", {**about, "videos": {}, "faces": {}})
    compress_faces(faces, crops, 77, CompressConfig())
    return faces, crops


@pytest.mark.slow(minutes=8)
def test_a_small_study_is_made_continued_and_refuses_other_settings(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "faces: {size: 32}\ntrain: {steps: 2, batch_size: 8, eval_every: 2, log_every: 1}\n"
    )
    faces, crops = pack(tmp_path)
    arguments = ["--faces", faces, "--crops", crops, "--seeds", "1,2"]
    arguments += ["--test-pairs", 2, "--val-pairs", 1, "--frames", 4, "--params", tmp_path / "params.yaml"]

    def run(*more: str | int):
        return CliRunner().invoke(study, [str(argument) for argument in (tmp_path / "out", *arguments, *more)])

    done = run()
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/table.md").read_text() == done.stdout
    assert len(list((tmp_path / "out/scores").glob("*.csv"))) == 2 * (len(RECIPES) + 1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.csv")}
    (tmp_path / "out/scores/random-2.csv").unlink()
    assert run().stdout == done.stdout
    changed = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {"random-2.csv"}
    other = run("--data-seed", 7)
    assert "plan.json: data_seed were other values; name another folder" in str(other.exception)
