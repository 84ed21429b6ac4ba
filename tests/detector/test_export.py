"""``detector export``: the exported file reproduces the model's scores."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from detector import export as module
from detector.card import Calibrated, Card, Threshold, Thresholds
from detector.cli import cli
from detector.errors import DetectorError
from detector.export import export
from detector.inference import predict
from detector.models import build
from detector.precision import Precision
from detector.weights import load_model, save_model
from evaluation.likelihood import Calibration

CPU = torch.device("cpu")
MODELS = {"meso4": {}, "multi_attention": {"backbone": "test_efficientnet", "texture": "v2"}}
HAS_ONNX = importlib.util.find_spec("onnxscript") and importlib.util.find_spec("onnxruntime")


def trained(name: str, folder: Path) -> Path:
    """Write what training leaves, of a model for crops of 48 x 64 whose scores differ from image to image."""
    torch.manual_seed(1)
    model = build(name, **MODELS[name]).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 48, 64))
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        images = torch.from_numpy(pictures(5)).permute(0, 3, 1, 2) / 255
        last.weight /= model.eval()(images).std()
        last.bias -= model(images).mean()
    card = Card(name, MODELS[name], 48, 64)
    save_model(folder, model.state_dict(), card)
    return folder


def pictures(n: int) -> np.ndarray:
    """Images of different contrast, uint8 (n, 48, 64, 3)."""
    noise = np.random.default_rng(1).normal(0, 1, (n, 48, 64, 3))
    return np.clip(128 + noise * np.linspace(5, 90, n)[:, None, None, None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["meso4", pytest.param("multi_attention", marks=pytest.mark.slow(minutes=1))])
def test_exported_program_alone_gives_the_models_scores(name: str, tmp_path: Path) -> None:
    folder = trained(name, tmp_path / "train")
    difference = export(folder, tmp_path / "model.pt2")
    np.save(tmp_path / "pictures.npy", pictures(5))
    script = textwrap.dedent(
        f"""
        import json, sys, numpy, torch
        extra = {{"model.json": ""}}
        program = torch.export.load(r"{tmp_path / 'model.pt2'}", extra_files=extra).module()
        images = torch.from_numpy(numpy.load(r"{tmp_path / 'pictures.npy'}"))
        assert "detector" not in sys.modules and "timm" not in sys.modules
        print(json.dumps([program(images).tolist(), program(images[:1]).tolist(), json.loads(extra["model.json"])]))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    several, single, card = json.loads(done.stdout)
    model = load_model(folder, CPU)[0]
    expected = predict(model, [torch.from_numpy(pictures(5))], CPU, Precision("off", CPU))

    assert expected.std() > 0.1
    # other numbers of threads and images round differently, and the last layer magnifies
    np.testing.assert_allclose(several, expected, atol=1e-3)
    np.testing.assert_allclose(single, expected[:1], atol=1e-3)
    framing = card.pop("framing")
    stored = json.loads((folder / "model.json").read_text())
    assert card == {name: value for name, value in stored.items() if name != "content_sha256"}
    # of DeepfakeBench's template, ArcFace's eyes in 112 px with a margin of 1.3: .242 of the side apart
    assert framing["right_eye"][0] - framing["left_eye"][0] == pytest.approx(0.242, abs=1e-3)
    assert framing["name"] == "deepfakebench"
    assert difference <= 1e-6


def test_onnx_gives_the_models_scores_or_says_what_to_install(tmp_path: Path) -> None:
    folder = trained("meso4", tmp_path / "train")
    if not HAS_ONNX:
        with pytest.raises(DetectorError, match=r"not installed: pip install 'detector\[onnx\]', or export"):
            export(folder, tmp_path / "model.onnx")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["train"]
        return
    import onnxruntime

    export(folder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"images": pictures(5)})
    expected = predict(load_model(folder, CPU)[0], [torch.from_numpy(pictures(5))], CPU, Precision("off", CPU))

    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["model.json"])["model"] == "meso4"


def test_the_example_gives_the_numbers_of_detector_predict_without_our_code(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    levels = Thresholds(Threshold(0.25, 8, 8), Threshold(0.5, 8, 8))
    found = Calibration(
        -0.3, 0.7, (0.02, 0.04, 0.01), 3.18, 4, "pair", "", 0.05, 20.0, 8, 4, [(-1.0, 0.2), (1.0, 0.8)],
        0.5, 0.4, 0.1, 0.1, 0.2,
    )  # fmt: skip
    model, card = load_model(trained("meso4", tmp_path / "other"), CPU)
    described = {"calibration": {"pooled": Calibrated(found, None)}, "pooled": levels}
    save_model(tmp_path / "train", model.state_dict(), replace(card, height=64, width=64, **described))
    crop = tmp_path / "crop.png"
    Image.fromarray(np.pad(pictures(5)[3], ((8, 8), (0, 0), (0, 0)))).save(crop)
    export(tmp_path / "train", tmp_path / "model.onnx")

    example = Path(__file__).parents[2] / "docs/score_onnx.py"
    assert len(example.read_text().splitlines()) <= 40
    arguments = [sys.executable, "-I", example, tmp_path / "model.onnx", crop, "pooled", "0.1"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    arguments = ["predict", crop, "--aligned", "--json", "--prior", 0.1, "--train", tmp_path / "train"]
    answer = json.loads(CliRunner().invoke(cli, [str(one) for one in arguments]).stdout)
    face = answer["faces"][0]
    ratio, (low, high) = face["likelihood"]["ratio"], face["likelihood"]["interval"]
    assert 0.06 < low < ratio < high < 19
    caution, *lines = done.stdout.splitlines()
    assert caution.startswith("CAUTION")
    numbers = [float(text) for line in lines for text in re.findall(r"\d+\.\d{6}", line)]
    expected = [face["score"]["value"], 0.25, ratio, low, high, face["likelihood"]["posterior"]]
    assert numbers == pytest.approx(expected, abs=1e-5, rel=1e-5)


def test_exports_carry_calibration_thresholds_and_framing(tmp_path: Path) -> None:
    levels = Thresholds(Threshold(0.25, 8, 8), Threshold(0.5, 8, 8))
    model, card = load_model(trained("meso4", tmp_path / "other"), CPU)
    save_model(tmp_path / "train", model.state_dict(), replace(card, pooled=levels, thresholds={"77": levels}))
    export(tmp_path / "train", tmp_path / "model.pt2")
    extra = {"model.json": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    found = json.loads(extra["model.json"])
    assert found["thresholds"]["77"]["frame"]["threshold"] == found["pooled"]["frame"]["threshold"] == 0.25
    assert {"calibration", "ranges", "data", "framing"} <= set(found)


def test_a_file_that_differs_from_the_model_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained("meso4", tmp_path / "train")
    monkeypatch.setattr(module, "TOLERANCE", -1.0)

    with pytest.raises(DetectorError, match=r"model\.pt2: the exported file's scores differ by \d\.\de[+-]\d+ from"):
        export(folder, tmp_path / "model.pt2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train"]


def test_command_names_the_file_and_refuses_other_formats(tmp_path: Path) -> None:
    folder = trained("meso4", tmp_path / "train")
    good = CliRunner().invoke(cli, ["export", str(folder), str(tmp_path / "model.pt2")])
    bad = CliRunner().invoke(cli, ["export", str(folder), str(tmp_path / "model.pth")])

    assert good.exit_code == 0, good.output
    assert f"{tmp_path / 'model.pt2'}: " in good.output
    assert "scores differ by at most" in good.output
    assert bad.exit_code == 1
    assert "model.pth: the suffix must be .pt2 or .onnx" in bad.output
