"""Standardised scores by hand-worked numbers and in `detector score`; values that are not finite are errors."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

from detector.card import RealLogits, read_card
from detector.cli import cli
from detector.conditions import parse_all
from detector.config import Params, TrainConfig
from detector.data.index import read_index
from detector.errors import ConfigError, DataError, DetectorError
from detector.inference import logits_under, predict
from detector.precision import Precision
from detector.standardisation import of_reals, standardised
from detector.training.trainer import train
from detector.weights import load_model, save_model

CONFIG = TrainConfig(12, 8, eval_every=12, log_every=12, lr=5e-3, conditions=("raw", "40", "turbo:10"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(packed_crops: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    crops, faces = packed_crops["compressed"], packed_crops["faces"]
    train(Params(train=CONFIG), crops, folder / "train", folder / "h.csv", folder / "un", lossless=faces)
    return folder / "train"


def test_mean_and_spread_of_reals_by_hand() -> None:
    # 1, 2, 3, 6: mean 3; squares 4 + 1 + 0 + 9 = 14, over 3
    assert of_reals(np.array([1.0, 2.0, 3.0, 6.0])) == RealLogits(3.0, pytest.approx((14 / 3) ** 0.5), 4)
    assert of_reals(np.array([1.0])) is None
    assert of_reals(np.array([1.0, 1.0])) is None


def test_standardised_logits_by_hand() -> None:
    # common mean (0 + 4) / 2 = 2, common spread sqrt((1 + 49) / 2) = 5
    reals = {"raw": RealLogits(0.0, 1.0, 9), "10": RealLogits(4.0, 7.0, 9)}
    found = standardised(np.array([[1.0, 4.0], [-1.0, 18.0]]), parse_all(["raw", "10"]), reals)
    np.testing.assert_allclose(found, [[7.0, 2.0], [-3.0, 12.0]])
    # another order of the conditions, and one of them alone
    np.testing.assert_allclose(standardised(np.array([[18.0, -1.0]]), parse_all(["10", "raw"]), reals), [[12.0, -3.0]])
    np.testing.assert_allclose(standardised(np.array([[18.0]]), parse_all(["10"]), reals), [[12.0]])


def scored(faces: Path, weights: Path, folder: Path, *options: str, conditions: str = "[raw, 40, 'turbo:10']"):
    (folder / "params.yaml").write_text(f"conditions: {conditions}\n")
    arguments = [faces, weights, folder / "scores.csv", "--params", folder / "params.yaml", *options]
    return CliRunner().invoke(cli, ["score", *map(str, arguments)])


def logits(folder: Path) -> dict[str, dict[str, float]]:
    """Return logit by key by condition, and for real validation crops only."""
    found: dict[str, dict[str, float]] = {}
    with (folder / "scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            p = float(row["score"])
            kind = f"{row['condition']} {row['split']} {row['label']}"
            found.setdefault(kind, {})[row["key"]] = float(np.log(p / (1 - p)))
    return found


def test_standardise_gives_real_validation_crops_one_mean_and_spread(
    packed_crops: dict[str, Path], trained: Path, tmp_path: Path
) -> None:
    assert scored(packed_crops["faces"], trained, tmp_path).exit_code == 0
    plain = logits(tmp_path)
    card = read_card(trained)
    assert [*card.real_logits] == ["raw", "40", "turbo:10"]
    for condition, found in card.real_logits.items():
        values = [*plain[f"{condition} val 0"].values()]
        assert found == RealLogits(
            pytest.approx(np.mean(values), abs=1e-9), pytest.approx(np.std(values, ddof=1), abs=1e-9), 24
        )
    assert json.loads((tmp_path / "scores.json").read_text())["standardised"] is False
    assert scored(packed_crops["faces"], trained, tmp_path, "--standardise").exit_code == 0
    assert json.loads((tmp_path / "scores.json").read_text())["standardised"] is True
    after = logits(tmp_path)
    means = [np.mean([*after[f"{condition} val 0"].values()]) for condition in card.real_logits]
    stds = [np.std([*after[f"{condition} val 0"].values()], ddof=1) for condition in card.real_logits]
    assert np.ptp(means) < 1e-9
    assert np.ptp(stds) < 1e-9
    assert np.ptp([found.mean for found in card.real_logits.values()]) > 1e-3  # they were apart before
    for kind, values in plain.items():
        assert sorted(values, key=values.__getitem__) == sorted(after[kind], key=after[kind].__getitem__)


def test_a_condition_without_real_logits_is_named(packed_crops: dict[str, Path], trained: Path, tmp_path: Path) -> None:
    done = scored(packed_crops["faces"], trained, tmp_path, "--standardise", conditions="[raw, 30, webp:9]")
    assert done.exit_code == 1
    assert "no logits of real crops under 30, webp:9 to standardise by, only under raw, 40, turbo:10" in done.output
    with pytest.raises(ConfigError, match="only under no condition"):
        standardised(np.zeros((1, 1)), parse_all(["raw"]), {})


# -- values that are not finite ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_named_and_never_score(
    packed_crops: dict[str, Path], trained: Path, tmp_path: Path, value: float
) -> None:
    from safetensors.torch import save_file

    from detector.card import as_json
    from detector.data.files import sha256, write_json

    broken, weights = tmp_path / "broken", load_file(trained / "weights.safetensors")
    shutil.copytree(trained, broken)
    name = next(name for name, tensor in weights.items() if tensor.dim() == 4)
    weights[name].view(-1)[[2, 5]] = value
    save_file(weights, broken / "weights.safetensors")
    card = dataclasses.replace(read_card(trained), weights_sha256=sha256(broken / "weights.safetensors"))
    write_json(broken / "model.json", as_json(card))
    words = f"2 of {weights[name].numel()} values of the tensor {name} are NaN or infinite"
    with pytest.raises(DataError, match=f"weights.safetensors: these weights give no scores: {words}"):
        load_model(broken, CPU)
    done = scored(packed_crops["faces"], broken, tmp_path)
    assert done.exit_code == 1
    assert words in done.output
    assert not (tmp_path / "scores.csv").exists()
    with pytest.raises(DataError, match=f"not written: {words}"):
        save_model(tmp_path / "new", weights, card)
    assert not (tmp_path / "new").exists()


class Overflows(nn.Module):
    """The logit is infinite for images that are all white."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 1 / (1 - images.mean((1, 2, 3)))


def test_a_logit_that_is_not_finite_is_named(packed_crops: dict[str, Path]) -> None:
    batch = np.zeros((3, 2, 4, 4, 3), np.uint8)
    batch[1, 1] = 255
    index, precision = read_index(packed_crops["faces"])[:3], Precision("off", CPU)
    with pytest.raises(DetectorError, match=f"1 of 6 logits are not finite.*{index[1].key} under turbo:10, is inf"):
        logits_under(Overflows(), [batch], index, parse_all(["raw", "turbo:10"]), CPU, precision)
    with pytest.raises(DetectorError, match=r"1 of 3 logits are not finite.*the first, of image 2, is inf"):
        predict(Overflows(), [torch.from_numpy(batch[:, 1])], CPU, precision)
