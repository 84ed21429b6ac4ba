"""Synthetic tables of scores in the layout of scores.csv."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imsave

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")
CONDITIONS = {"raw": 1.6, "77": 1.3, "10": 0.3}


def make_rows(seed=0, pairs=4, val_pairs=2, frames=3, conditions=CONDITIONS, methods=METHODS, model=0):
    """Rows of a table: *pairs* test pairs of two people, every method both ways; *conditions*: name -> separation.

    The difficulty of a video depends on *seed*, the noise of the model on *model*.
    """
    scene, noise = np.random.default_rng(seed), np.random.default_rng([seed, model, 1])
    rows = []
    for number in range(val_pairs + pairs):
        split = "val" if number < val_pairs else "test"
        a, b = f"{2 * number:03d}", f"{2 * number + 1:03d}"
        clips = [("original", a, a), ("original", b, b)]
        clips += [(m, f"{x}_{y}", f"{x}+{y}") for m in methods for x, y in ((a, b), (b, a))]
        for method, name, identity in clips:
            label = int(method != "original")
            hard = scene.normal(0, 0.6)
            for frame in range(frames):
                for quality, separation in conditions.items():
                    logit = separation * (label - 0.5) * 2 + hard + noise.normal(0, 0.5)
                    rows.append(
                        {
                            "key": f"c23/{method}/{name}/{frame:04d}", "video": f"{method}/{name}",
                            "compression": "c23", "frame": frame, "method": method, "identity": identity,
                            "pair": f"{a}_{b}", "split": split, "label": label, "condition": quality,
                            "score": repr(float(1 / (1 + np.exp(-logit)))),
                        }
                    )  # fmt: skip
    return rows


NOTE = "Drawn by a program."
SHOWN = ("raw", 77, 10)
PANEL_COLUMNS = "file,key,condition,psnr,ssim,bytes,bits_per_pixel"


def evaluate(*args):
    from evaluation.cli import main

    return CliRunner().invoke(main, ["metrics", *map(str, args)], catch_exceptions=False)


def threshold_of(rows, condition):
    """Youden's threshold of the validation rows, by trying every score."""
    val = [(float(row["score"]), row["label"] == "1") for row in rows
           if row["split"] == "val" and row["condition"] == condition]  # fmt: skip
    fakes = sum(fake for _, fake in val)

    def gain(threshold):
        called = [fake for score, fake in val if score >= threshold]
        return sum(called) / max(fakes, 1) - (len(called) - sum(called)) / max(len(val) - fakes, 1)

    return max((score for score, _ in val), key=lambda score: (gain(score), score), default=None)


def write_sources(folder, scores):
    """Write everything else that `evaluation report` reads into *folder*; return its arguments after OUT."""
    from evaluation.files import sha256

    evaluate(scores, folder / "metrics.json", "--tables", folder / "tables", "--replicates", "40")
    fidelity, training = folder / "fidelity", folder / "train"
    (fidelity / "panels").mkdir(parents=True)
    training.mkdir()
    lines = [PANEL_COLUMNS]
    for key in ("c23/original/004/0000", "c23/Deepfakes/004_005/0000", "c23/FaceSwap/004_005/0000"):
        for quality in SHOWN:
            file = f"panels/{key.replace('/', '-')}-{quality}.png"
            imsave(fidelity / file, np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
            close = "inf,1.0" if quality == "raw" else f"{20 + quality / 10},0.8765"
            lines.append(f"{file},{key},{quality},{close},1234,4.82")
    (fidelity / "panels.csv").write_text("\n".join(lines) + "\n")
    rates = {f"q{quality}": {"psnr": 30.0, "ssim": 0.9, "bits_per_pixel": quality / 40} for quality in SHOWN[1:]}
    found = list(csv.DictReader(scores.read_text().splitlines()))
    faces: dict = {}
    for method, split, _ in {(row["method"], row["split"], row["key"]) for row in found}:
        counts = faces.setdefault(method, {})
        counts[split] = counts.get(split, 0) + 1
    index = folder / "index.csv"
    index.write_text("key,crc32\n" + "".join(f"{key},0\n" for key in sorted({row["key"] for row in found})))
    measured = {
        "n": {"faces": sum(sum(counts.values()) for counts in faces.values())},
        "faces": {"index_sha256": sha256(index)}, "panels_sha256": sha256(fidelity / "panels.csv"),
    }  # fmt: skip
    (folder / "fidelity.json").write_text(json.dumps(rates | measured))
    summary = {
        "dataset": {"name": "set <B>", "synthetic": True, "note": NOTE},
        "faces": {method: dict(sorted(counts.items())) for method, counts in sorted(faces.items())},
        "videos": {"original": {"val": 4, "test": 8}}, "remarks": ["12 videos have no sound"],
        "failures": {"frames": 1, "videos": 1, "reasons": {"no face found": 1}}, "not_there": ["Face2Face: none"],
        "parameters": {"size": 128, "detector": "haar"},
        "versions": {"opencv": "4.14.0"},
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "failures.csv").write_text(
        "video,frame,reason\nDeepfakes/000_001,12,no face found\nDeepfakes/000_002,,damaged\n"
    )
    thresholds = {"77": {"frame": {"threshold": threshold_of(found, "77"), "real": 4, "fake": 16}}}
    (training / "weights.safetensors").write_bytes(b"weights")
    trained = {"model": "meso4", "weights_sha256": sha256(training / "weights.safetensors"), "trained_on": "77"}
    learned = {method: counts | {"test": 0} for method, counts in faces.items()}  # no test faces in training crops
    code = {"commit": "0123456789" * 4, "modified": False, "reason": None}
    parameters = {
        "model": "meso4", "quality": 77, "train": {"lr": 0.002, "meso": {"conv_activation": "relu"}},
        "compress": {"tune": None},
    }  # fmt: skip
    log = [{"step": 50, "loss": 0.69, "val_auc": None}, {"step": 100, "loss": 0.5, "val_auc": 0.7}]
    (training / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    (training / "model.json").write_text(json.dumps(trained | {
        "log_sha256": sha256(training / "log.jsonl"),
        "options": {"conv_activation": "relu"}, "thresholds": thresholds, "parameters": parameters,
        "versions": {"torch": "2.13.0", "mozjpeg": "5.0.0"}, "source": code,
        "data": summary["dataset"] | {"faces": learned},
    }))  # fmt: skip
    scores.with_suffix(".json").write_text(json.dumps(trained | {
        "scores": {"sha256": sha256(scores), "rows": len(found)}, "conditions": ["raw", "77", "10"],
        "faces": {"index_sha256": sha256(index), "dataset": summary["dataset"], "parameters": summary["parameters"]},
        "device": "cpu", "versions": {"torch": "2.13.0", "mozjpeg": "5.0.0"}, "source": code,
    }))  # fmt: skip
    return [
        "--metrics", folder / "metrics.json", "--scores", scores, "--tables", folder / "tables",
        "--fidelity", fidelity, "--fidelity-summary", folder / "fidelity.json",
        "--faces", folder / "summary.json", "--failures", folder / "failures.csv", "--training", training,
    ]  # fmt: skip


def write_rows(path: Path, rows) -> Path:
    columns = list(rows[0]) if rows else COLUMNS
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def write_scores(tmp_path):
    """write_scores(name="scores.csv", rows=None, **make_rows) -> path."""

    def write(name="scores.csv", rows=None, **options):
        return write_rows(tmp_path / name, make_rows(**options) if rows is None else rows)

    return write


@pytest.fixture(scope="session")
def rows_of():
    """rows_of(**make_rows) -> the rows themselves, to be changed before they are written."""
    return make_rows


@pytest.fixture(scope="session")
def write_table():
    """write_table(path, rows) -> path."""
    return write_rows


@pytest.fixture
def scores_of(write_scores):
    """scores_of(**make_rows) -> Scores."""
    from evaluation.scores import read

    return lambda **options: read(write_scores(**options))


@pytest.fixture(scope="session")
def make_sources():
    """make_sources(folder, scores): write every file that `evaluation report` reads, return its options."""
    return write_sources


@pytest.fixture
def sources(tmp_path, write_scores):
    """The options of `evaluation report`; their files are in tmp_path."""
    return write_sources(tmp_path, write_scores())
