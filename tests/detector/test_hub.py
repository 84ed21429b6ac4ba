"""A trained model as a folder in the form of the Hugging Face Hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import ModelCard

from detector.card import OF_TIMM, Card, Data, Start, Threshold, Thresholds
from detector.cli import cli
from detector.hub import model_card
from detector.models import build
from detector.models._timm import timm
from detector.weights import load_model, save_model

CPU = torch.device("cpu")
DATA = Data("the sample: small", True, "drawn faces", {"train": 8, "test": 4}, {}, {})


def trained(name: str, folder: Path) -> Path:
    torch.manual_seed(1)
    model = build(name).eval()
    level = Threshold(0.4321, 10, 20)
    card = Card(name, {}, 64, 64, data=DATA, trained_on="77", thresholds={"raw": Thresholds(level, level)})
    save_model(folder, model.state_dict(), card)
    return folder


def exported(name: str, tmp_path: Path, *options: str) -> Path:
    out = tmp_path / "hub"
    done = CliRunner().invoke(cli, ["export", str(trained(name, tmp_path / "train")), str(out), *options])
    assert done.exit_code == 0, done.output
    return out


def test_timm_alone_loads_the_folder_and_gives_the_models_logits(tmp_path: Path) -> None:
    out = exported("efficientnet_b0", tmp_path)
    theirs = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    ours, _ = load_model(tmp_path / "train", CPU)
    assert theirs.num_classes == 1
    cfg = timm.data.resolve_data_config({}, model=theirs)
    assert tuple(cfg["input_size"]) == (3, 64, 64)
    images = torch.rand(3, 3, 64, 64)
    mean, std = (torch.tensor(cfg[key]).reshape(-1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(theirs((images - mean) / std)[:, 0], ours(images))


@pytest.mark.parametrize(("name", "library"), [("efficientnet_b0", "timm"), ("meso4", "detector")])
def test_the_card_is_one_that_the_hub_reads(name: str, library: str, tmp_path: Path) -> None:
    out = exported(name, tmp_path)
    card = ModelCard.load(out / "README.md")
    assert card.data.library_name == library
    assert card.data.pipeline_tag == "image-classification"
    assert "| raw | 0.4321 | 10 | 20 |" in card.text
    assert "say nothing about real photographs" in card.text
    assert json.loads((out / "model.json").read_text())["weights_sha256"] in card.text
    load_model(out, CPU)


def test_the_card_states_the_licence_that_is_given(tmp_path: Path) -> None:
    assert ModelCard.load(exported("meso4", tmp_path) / "README.md").data.license is None
    out = exported("meso4", tmp_path / "again", "--license", "cc-by-nc-4.0")
    assert ModelCard.load(out / "README.md").data.license == "cc-by-nc-4.0"


@pytest.mark.parametrize(("licence", "out"), [("MIT\nlibrary_name: x", "hub"), ("", "hub"), ("mit", "model.pt2")])
def test_a_licence_that_the_card_cannot_state_is_refused(licence: str, out: str, tmp_path: Path) -> None:
    command = ["export", str(trained("meso4", tmp_path / "train")), str(tmp_path / out), "--license", licence]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 1 and done.output.startswith("Error: --license"), done.output
    assert not (tmp_path / out).exists()


def test_the_card_names_the_weights_of_timm_that_training_started_from() -> None:
    source = timm.get_pretrained_cfg("tf_efficientnet_lite0.in1k")
    start = Start(f"tf_efficientnet_lite0.in1k{OF_TIMM}", "0" * 64, source.license)
    for started, base in ((start, source.hf_hub_id), (replace(start, name="file"), None)):
        card = Card("tf_efficientnet_lite0", {}, 64, 64, started_from=started)
        assert ModelCard(model_card(card, by_timm=True)).data.base_model == base


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "notes.txt").write_text("mine")
    command = ["export", str(trained("meso4", tmp_path / "train")), str(tmp_path / "hub")]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 1 and "holds files already" in done.output
    assert (tmp_path / "hub" / "notes.txt").read_text() == "mine"
