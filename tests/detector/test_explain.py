"""Heat maps: against class activation maps, loops and the model itself; the stage's files."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional as F

from detector.card import Card
from detector.cli import cli
from detector.config import Params, from_mapping
from detector.data.index import Face, read_index, read_masks
from detector.data.png import decode_png
from detector.data.shards import ShardReader
from detector.errors import DataError, DetectorError
from detector.explain import (
    Explained,
    Explainer,
    cam_layer,
    explain,
    grad_cam,
    heat_inside,
    overlay,
    sample,
    shares_inside,
)
from detector.models import MODELS, build
from detector.weights import load_model, save_model

OPTIONS = {"multi_attention": {"backbone": "test_efficientnet"}, "meso4": {}, "efficientnet_b0": {}}
PARAMS = from_mapping(Params, {"conditions": ["raw", 77, "webp:10"], "score": {"batch_size": 8}})
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(name: str) -> nn.Module:
    """A model whose running statistics are not those of a new one."""
    torch.manual_seed(1)
    model = build(name, **OPTIONS[name]).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 64, 64))
    return model.eval()


def pictures(n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def look(model: nn.Module, name: str) -> Explained:
    """Return the output of *model* for the images, with Grad-CAM of the feature maps that the table of models gives."""
    return Explainer(model, MODELS[name].feature_maps, CPU)(pictures())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves, of an untrained multi-attentional detector for crops of 64 px."""
    folder = tmp_path_factory.mktemp("train")
    card = Card("multi_attention", OPTIONS["multi_attention"], 64, 64)
    save_model(folder, make("multi_attention").state_dict(), card)
    return folder


@pytest.fixture(scope="module")
def explained(trained: Path, small_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "explain"
    explain(small_faces, trained, out, PARAMS, None, num_measured=6, num_features=8)
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_grad_cam_before_averaging_and_a_linear_layer_is_the_class_activation_map() -> None:
    """Zhou et al. 2016: there the weights are those of the linear layer. Theirs is a sum, the gradient is of a mean."""
    model = make("efficientnet_b0")
    found = look(model, "efficientnet_b0")
    x = torch.from_numpy(pictures()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        maps = model(x, return_extras=True)[1]["feature_maps"]
        weights = model.classifier.weight[0]
        expected = torch.relu((weights[:, None, None] * maps).sum(1)) / maps[0, 0].numel()

    assert expected.max() > 0
    np.testing.assert_allclose(found.maps["grad_cam"], expected.numpy(), rtol=1e-4, atol=1e-7)


def test_grad_cam_is_the_formula_in_loops() -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    weights = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(3))
    logits = (maps.tanh() * weights).sum((1, 2, 3))
    gradient = (1 - maps.tanh() ** 2) * weights
    expected = np.zeros((2, 4, 5))
    for n in range(2):
        for k in range(3):
            expected[n] += gradient[n, k].mean().item() * maps[n, k].detach().numpy()

    np.testing.assert_allclose(grad_cam(maps, logits).detach().numpy(), np.maximum(expected, 0), atol=1e-6)


@pytest.mark.parametrize(("name", "shape"), [("meso4", (16, 8, 8)), ("multi_attention", (256, 2, 2))])
def test_grad_cam_weighs_the_last_feature_maps(name: str, shape: tuple[int, int, int]) -> None:
    model = make(name)
    seen: list[torch.Tensor] = []
    cam_layer(model, MODELS[name].feature_maps).register_forward_hook(lambda *args: seen.append(args[2]))
    found = look(model, name)

    assert seen[0].shape == (2, *shape)
    assert found.maps["grad_cam"].shape == (2, *shape[1:])
    assert (found.maps["grad_cam"] >= 0).all()


def test_attention_maps_and_scores_are_the_models() -> None:
    model = make("multi_attention")
    found = look(model, "multi_attention")
    x = torch.from_numpy(pictures()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        logits, extras = model(x, return_extras=True)

    np.testing.assert_allclose(found.scores, torch.sigmoid(logits.double()).numpy(), rtol=1e-5)
    assert [*found.maps] == ["grad_cam", "attention_1", "attention_2", "attention_3", "attention_4"]
    for m in range(4):
        np.testing.assert_allclose(found.maps[f"attention_{m + 1}"], extras["attention_maps"][:, m], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_features_are_what_the_last_layer_sees(name: str) -> None:
    model = make(name)
    found = look(model, name)
    last: Any = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    logits = F.linear(torch.from_numpy(found.features), last.weight, last.bias).squeeze(1)

    np.testing.assert_allclose(found.scores, torch.sigmoid(logits).detach().numpy(), rtol=1e-5)


def test_another_layer_is_chosen_by_name_and_an_unknown_one_is_named() -> None:
    model = make("multi_attention")

    assert Explainer(model, "backbone.blocks.1", CPU)(pictures()).maps["grad_cam"].shape == (2, 16, 16)
    with pytest.raises(DetectorError, match=r"no module 'backbone\.b9'; its top-level modules are backbone, normalize"):
        cam_layer(model, "backbone.b9")


def test_heat_inside_is_its_share() -> None:
    heat = np.array([[1, 2], [3, 4]], np.float32)

    assert heat_inside(heat, np.array([[True, False], [False, True]])) == pytest.approx(0.5)


def test_overlay_is_gray_without_heat_and_coloured_at_its_peak() -> None:
    image = pictures(1)[0]
    heat = np.zeros((8, 8), np.float32)
    gray = overlay(image, heat)
    heat[0, 0] = 3.0
    hot = overlay(image, heat)

    np.testing.assert_array_equal(gray, np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2))
    np.testing.assert_array_equal(hot[32:, 32:], gray[32:, 32:])
    brightest = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), cv2.COLORMAP_INFERNO)[0, 0, ::-1]
    np.testing.assert_allclose(hot[0, 0], 0.3 * gray[0, 0] + 0.7 * brightest, atol=1)


def test_sample_is_half_real_and_shared_evenly_by_the_methods() -> None:
    face = Face("", "v", "c23", 0, "original", "000", "000_001", "test", 0, "s", 0, 0, "")
    counts = {"original": 50, "A": 30, "B": 4, "C": 30}
    faces = [
        dataclasses.replace(face, key=f"c23/{method}/{i:02d}", method=method)
        for method, count in counts.items()
        for i in range(count)
    ]
    chosen = sample(faces, 40)

    assert {m: sum(f.method == m for f in chosen) for m in counts} == {"original": 20, "A": 8, "B": 4, "C": 8}
    assert [f.key for f in chosen] == sorted(f.key for f in chosen)
    assert [f.key[-2:] for f in chosen if f.method == "A"] == ["01", "05", "09", "13", "16", "20", "24", "28"]
    assert sample(faces, 1000) == sorted(faces, key=lambda f: f.key)
    assert len(sample([f for f in faces if f.method != "original"], 12)) == 12


def test_an_image_of_every_kind_is_drawn_for_every_face_and_condition(explained: Path) -> None:
    rows = rows_of(explained / "maps.csv")
    kinds = {"face", "grad_cam", "attention_1", "attention_2", "attention_3", "attention_4"}

    assert sorted(row["file"] for row in rows) == sorted(f"maps/{path.name}" for path in (explained / "maps").iterdir())
    for key in {row["key"] for row in rows}:
        assert list(dict.fromkeys(row["condition"] for row in rows if row["key"] == key)) == ["raw", "77", "webp:10"]
        for label in ("raw", "77", "webp:10"):
            own = {row["kind"] for row in rows if (row["key"], row["condition"]) == (key, label)}
            assert own - {"mask"} == kinds
    assert {row["condition"] for row in rows if row["kind"] == "mask"} == {"raw"}
    assert {row["key"].split("/")[1] for row in rows} == {"original", "Deepfakes", "FaceSwap"}
    assert decode_png((explained / rows[0]["file"]).read_bytes()).shape == (64, 64, 3)


def test_localization_is_the_share_of_heat_in_the_masks(explained: Path, trained: Path, small_faces: Path) -> None:

    rows = rows_of(explained / "localization.csv")
    reader, masks = ShardReader(small_faces), read_masks(small_faces)
    forged = [face for face in read_index(small_faces) if face.split == "test" and face.key in masks]
    forged = sample(forged, 6)
    crops = np.stack([decode_png(reader.read(face)) for face in forged])
    found = Explainer(load_model(trained, CPU)[0], MODELS["multi_attention"].feature_maps, CPU)(crops)
    heat = [cv2.resize(one, (64, 64), interpolation=cv2.INTER_LINEAR) for one in found.maps["attention_2"]]
    inside = [decode_png(reader.read(masks[face.key])) > 0 for face in forged]
    average = sum(one / one.sum() for one in heat)
    expected = {
        "inside": np.mean([one[mask].sum() / one.sum() for one, mask in zip(heat, inside, strict=True)]),
        "average": np.mean([average[mask].sum() / average.sum() for mask in inside]),
        "covered": np.mean(inside),
    }

    (row,) = (r for r in rows if (r["condition"], r["kind"], r["method"]) == ("raw", "attention_2", "all"))
    assert int(row["n"]) == 6
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected, rel=1e-4)
    assert float(row["gain"]) == pytest.approx(expected["inside"] - expected["average"], abs=2e-6)
    for name in ("inside", "average", "gain", "covered"):
        ends = [row[f"{name}{end}"] for end in ("_lo", "", "_hi")]
        assert bool(row["reason"]) or float(ends[0]) <= float(ends[1]) <= float(ends[2])
    assert row["unit"] == "pair"
    assert {r["method"] for r in rows} == {"all", "Deepfakes", "FaceSwap"}
    assert {r["condition"] for r in rows} == {"raw", "77", "webp:10"}


def test_the_average_map_is_that_of_maps_of_equal_heat() -> None:
    faint, strong = np.array([[3, 1], [0, 0]], np.float32), np.array([[0, 0], [0, 10]], np.float32)
    # by hand: (3/4 + 0)/2 and (0 + 10/10)/2 of the average lie on the diagonal
    shares = shares_inside([faint, strong], [np.eye(2, dtype=bool)] * 2)
    assert shares == [(0.75, 0.875, 0.5), (1.0, 0.875, 0.5)]


def test_a_map_without_heat_counts_as_the_average_map() -> None:
    nothing, heat, mask = np.zeros((2, 2), np.float32), np.array([[3, 1], [0, 0]], np.float32), np.eye(2, dtype=bool)
    # by hand: of 4 parts of heat, 3 lie in the mask; the average of the maps that have heat is that one map
    assert shares_inside([nothing, heat], [mask, mask]) == [(0.75, 0.75, 0.5)] * 2
    # without any heat the average map is flat
    assert shares_inside([nothing, nothing], [mask, mask]) == [(0.5, 0.5, 0.5)] * 2


def test_features_have_a_row_for_each_face_and_condition(explained: Path) -> None:
    vectors, rows = np.load(explained / "features.npy"), rows_of(explained / "features.csv")

    assert vectors.shape == (len(rows), 256)
    assert vectors.dtype == np.float32
    assert [row["condition"] for row in rows] == ["raw"] * 8 + ["webp:10"] * 8
    assert [row["label"] for row in rows[:8]].count("0") == 4
    assert {row["split"] for row in rows} == {"test"}


def test_two_runs_write_the_same_bytes(explained: Path, trained: Path, small_faces: Path, tmp_path: Path) -> None:
    explain(small_faces, trained, tmp_path / "again", PARAMS, None, num_measured=6, num_features=8)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (explained, tmp_path / "again")
    )

    assert first == second


def test_command_prints_the_shares_and_refuses_crops_of_another_size(
    trained: Path, small_faces: Path, packed_crops: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text("conditions: [raw, 10]\n")
    options = ["--params", str(tmp_path / "params.yaml"), "--faces-measured", "2", "--features", "4"]
    good = CliRunner().invoke(cli, ["explain", str(small_faces), str(trained), str(tmp_path / "out"), *options])
    bad = CliRunner().invoke(
        cli, ["explain", str(packed_crops["faces"]), str(trained), str(tmp_path / "bad"), *options]
    )

    assert good.exit_code == 0, good.output
    assert " raw grad_cam " in good.output
    assert "for the average map, gain " in good.output
    assert "(n = 2; 95 % intervals by pairs)" in good.output
    assert bad.exit_code == 1
    assert "trained on crops of 64 x 64" in bad.output
    assert not (tmp_path / "bad").exists()


def test_damaged_masks_are_left_out_and_listed(trained: Path, small_faces: Path, tmp_path: Path) -> None:
    faces = Path(shutil.copytree(small_faces, tmp_path / "faces"))
    masks = read_masks(faces)
    key, slot = next((face.key, masks[face.key]) for face in read_index(faces) if face.split == "test" and face.label)
    data = bytearray((faces / slot.shard).read_bytes())
    data[slot.offset + slot.size // 2] ^= 4
    (faces / slot.shard).write_bytes(data)
    params = replace(PARAMS, max_damaged=0.5)
    explain(faces, trained, tmp_path / "out", params, None, num_measured=100, num_features=8)
    assert [(row["key"], row["problem"].partition(": ")[0]) for row in rows_of(tmp_path / "out/damaged.csv")] == [
        (key, str(faces / slot.shard))
    ]
    measured = {row["n"] for row in rows_of(tmp_path / "out/localization.csv")}
    assert measured
    with pytest.raises(DataError, match=f"{slot.shard}: {key} is damaged: .* masks are damaged, more than the share"):
        explain(faces, trained, tmp_path / "few", replace(PARAMS, max_damaged=1e-6), None, 100, 8)
