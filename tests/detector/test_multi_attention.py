"""The multi-attentional detector: sizes of the spec, formulae in loops, precision, and its objective."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from detector.config import CheckpointConfig, MultiAttentionConfig, Params, TrainConfig, read_params
from detector.errors import DetectorError
from detector.models import build
from detector.models._area import area_average
from detector.models.efficientnet import EfficientNet
from detector.models.losses import match_loss, regional_independence_loss
from detector.models.multi_attention import (
    AttentionModule,
    GroupedTextureEnhancement,
    MultiAttention,
    TextureEnhancement,
    attention_average,
    bilinear_attention_pooling,
    border_mask,
    resize,
)
from detector.models.settings import settings
from detector.training.trainer import Trainer, train

TEXTURES = ("v1", "v2")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def randn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(texture: str = "v1", **options: Any) -> MultiAttention:
    """The detector on the smallest EfficientNet that timm has, 99,196 parameters."""
    torch.manual_seed(1)
    return MultiAttention("test_efficientnet", texture=texture, **options)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=TEXTURES)
def model(request: pytest.FixtureRequest) -> MultiAttention:
    return small(request.param).eval()


@pytest.fixture(scope="module", params=TEXTURES)
def paper(request: pytest.FixtureRequest) -> MultiAttention:
    """The paper's detector, EfficientNet-B4 and four maps, without memory for its weights."""
    with torch.device("meta"):
        return MultiAttention(texture=request.param).eval()


# the network


def test_parameters_are_those_of_the_public_definitions(paper: MultiAttention) -> None:
    v1 = isinstance(paper.texture, TextureEnhancement)

    assert count(paper.backbone) == 17_548_616
    assert count(paper.attention) == 231_528
    assert count(paper.texture) == (73_856 if v1 else 352_672)
    assert count(paper.local_head) == (197_120 if v1 else 98_816)
    assert count(paper.global_head) == 459_008
    # the published models have two outputs, ours one: 256 weights and a bias less
    assert count(paper) + 257 == (18_641_970 if v1 else 18_822_482)


def test_parameters_on_b0_are_those_of_the_public_definition() -> None:
    with torch.device("meta"):
        assert count(MultiAttention("efficientnet_b0")) + 257 == 4_787_126


@pytest.mark.parametrize(("side", "t", "a", "d"), [(380, 95, 24, 12), (256, 64, 16, 8)])
def test_layers_have_the_papers_shapes(paper: MultiAttention, side: int, t: int, a: int, d: int) -> None:
    images = torch.empty(2, 3, side, side, device="meta")
    deep, texture, semantic = paper.backbone_maps(images)
    _, extras = paper(images, return_extras=True)

    assert deep.shape == (2, 1792, d, d)
    assert texture.shape == (2, 32, t, t)
    assert semantic.shape == (2, 160, a, a)
    assert extras["attention_maps"].shape == (2, 4, a, a)
    assert extras["feature_matrix"].shape == (2, 4, paper.texture.out_channels)
    assert extras["region_features"].shape == (2, 4, 32)
    assert extras["features"].shape == (2, 256)


@pytest.mark.parametrize(("side", "v1", "v2"), [(380, 5.187, 7.679), (256, 2.321, 3.451)])
def test_multiply_adds_are_those_of_the_public_definition(
    paper: MultiAttention, side: int, v1: float, v2: float
) -> None:
    counter = FlopCounterMode(display=False)
    with counter:
        paper(torch.empty(1, 3, side, side, device="meta"))
    expected = v1 if isinstance(paper.texture, TextureEnhancement) else v2

    # ours averages the textures by two matrix products, 2 to 11 million multiply-adds
    assert counter.get_total_flops() / 2e9 == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_b2", "tf_efficientnetv2_s", "efficientnetv2_rw_t"])
def test_any_efficientnet_is_a_backbone(backbone: str) -> None:
    with torch.device("meta"):
        model = MultiAttention(backbone, num_attentions=3)
        logits, extras = model(torch.empty(2, 3, 256, 256), return_extras=True)

    assert logits.shape == (2,)
    assert extras["attention_maps"].shape == (2, 3, 16, 16)
    assert model.layers == (2, 5)


def test_layers_are_chosen_by_name() -> None:
    with torch.device("meta"):
        model = MultiAttention("efficientnet_b4", texture_layer="b3", attention_layer="b4")
        deep, texture, semantic = model.backbone_maps(torch.empty(1, 3, 256, 256))
        swapped = MultiAttention("efficientnet_b4", texture_layer="b5", attention_layer="b2")
        _, late, early = swapped.backbone_maps(torch.empty(1, 3, 256, 256))

    assert texture.shape == (1, 56, 32, 32)
    assert semantic.shape == (1, 112, 16, 16)
    assert deep.shape == (1, 1792, 8, 8)
    assert (late.shape[1], early.shape[1]) == (160, 32)


def test_backbone_maps_are_the_outputs_of_the_stages() -> None:
    model = small().eval()
    seen: dict[int, Tensor] = {}
    for number in (2, 4):
        model.backbone.blocks[number - 1].register_forward_hook(
            lambda _, __, out, number=number: seen.update({number: out})
        )
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        deep, texture, semantic = model.backbone_maps(images)
        expected = model.backbone.forward_features(model.normalize(images))

    assert torch.equal(texture, seen[2])
    assert torch.equal(semantic, seen[4])
    assert torch.equal(deep, expected)


@pytest.mark.parametrize("side", [32, 64, 130])
def test_any_input_size_works(model: MultiAttention, side: int) -> None:
    with torch.no_grad():
        logits = model(torch.rand(2, 3, side, side + 16))

    assert logits.isfinite().all()


def test_extras_come_from_the_same_forward(model: MultiAttention) -> None:
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        logits, extras = model(images, return_extras=True)

        assert torch.equal(model(images), logits)
        assert torch.equal(model.classifier(extras["features"]).squeeze(1), logits)


def test_an_image_does_not_depend_on_its_batch(model: MultiAttention) -> None:
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-5)


# its parts


@pytest.mark.parametrize(("side", "border"), [(24, 2), (16, 1), (12, 1), (8, 1), (5, 0)])
def test_border_mask_is_a_twelfth_and_symmetric(side: int, border: int) -> None:
    mask = border_mask(side, side, torch.empty(0))
    expected = torch.zeros(side, side)
    expected[border : side - border, border : side - border] = 1

    assert torch.equal(mask, expected)


def test_attention_is_positive_inside_and_zero_in_the_border() -> None:
    module = AttentionModule(8, 3).eval()
    nn.init.normal_(module.bn2.weight, std=5)
    nn.init.normal_(module.bn2.bias, std=5)
    with torch.no_grad():
        maps = module(randn(2, 8, 24, 24))

    assert maps.shape == (2, 3, 24, 24)
    assert (maps[..., 2:-2, 2:-2] >= 0).all()  # ELU + 1 rounds to 0 far below 0
    assert (maps.amax((0, 1))[border_mask(24, 24, maps) == 0] == 0).all()
    assert maps.max() > 1


@pytest.mark.parametrize(
    ("side", "cells"), [((95, 95), (24, 24)), ((64, 48), (16, 12)), ((7, 5), (7, 2)), ((3, 2), (5, 4))]
)
def test_area_average_is_adaptive_pooling(side: tuple[int, int], cells: tuple[int, int]) -> None:
    x = randn(2, 3, *side).requires_grad_()
    ours, theirs = area_average(x, cells), F.adaptive_avg_pool2d(x, cells)
    weights = randn(2, 3, *cells, seed=2)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x)

    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("own", [False, True], ids=["shared features", "features of each map"])
def test_bilinear_attention_pooling_is_the_formula_in_loops(own: bool) -> None:
    features = randn(2, 3, 5, 4, 6) if own else randn(2, 5, 4, 6)
    maps = randn(2, 3, 4, 6, seed=2).abs()
    expected = np.zeros((2, 3, 5))
    for n in range(2):
        for m in range(3):
            for h in range(4):
                for w in range(6):
                    picked = features[n, m, :, h, w] if own else features[n, :, h, w]
                    expected[n, m] += maps[n, m, h, w].item() * picked.numpy()
            expected[n, m] /= np.sqrt((expected[n, m] ** 2).sum())

    np.testing.assert_allclose(bilinear_attention_pooling(features, maps).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("side", "size"), [((24, 24), (95, 95)), ((24, 20), (12, 10)), ((3, 2), (1, 7)), ((5, 5), (5, 5))]
)
def test_resize_is_torchs_bilinear_interpolation(side: tuple[int, int], size: tuple[int, int]) -> None:
    x = randn(2, 3, *side).requires_grad_()
    ours, theirs = resize(x, size), F.interpolate(x, size, mode="bilinear", align_corners=True)
    weights = randn(2, 3, *size, seed=2)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x)

    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=3e-5)


def test_maps_are_resized_with_aligned_corners() -> None:
    ramp = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])  # becomes 0, 1/3, 2/3, 1 in each row
    features = torch.eye(4).reshape(1, 4, 1, 4).expand(1, 4, 4, 4)  # channel c is column c
    expected = torch.tensor([0, 1, 2, 3]) / np.sqrt(14)

    torch.testing.assert_close(bilinear_attention_pooling(features, ramp)[0, 0], expected.float())


def test_attention_average_is_the_weighted_mean() -> None:
    features, attention = randn(2, 5, 4, 4), randn(2, 4, 4, seed=2).abs()
    expected = [
        [np.average(features[n, c].numpy(), weights=attention[n].numpy()) for c in range(5)] for n in range(2)
    ]

    np.testing.assert_allclose(attention_average(features, attention).numpy(), expected, rtol=1e-5, atol=1e-6)
    nothing = attention_average(features, torch.zeros(2, 4, 4))
    torch.testing.assert_close(nothing, features.mean((2, 3)))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_pooling_does_not_overflow_in_half_precision(precision: torch.dtype) -> None:
    """95 x 95 cells of attention 8 and features 10 sum to 722,000; float16 ends at 65,504."""
    features = torch.full((1, 4, 95, 95), 10.0, dtype=precision)
    maps = torch.full((1, 2, 24, 24), 8.0, dtype=precision)
    with torch.autocast("cpu", precision):
        pooled = bilinear_attention_pooling(features, maps)
        average = attention_average(features, maps.sum(1))

    assert pooled.dtype == average.dtype == torch.float32
    torch.testing.assert_close(pooled, torch.full((1, 2, 4), 0.5))
    torch.testing.assert_close(average, torch.full((1, 4), 10.0))


def test_texture_enhancement_is_the_papers_block() -> None:
    block = TextureEnhancement(4).eval()
    texture, maps = randn(2, 4, 12, 12), torch.zeros(2, 3, 4, 4)
    with torch.no_grad():
        enhanced, averaged = block(texture, maps)
        mean = texture.reshape(2, 4, 4, 3, 4, 3).mean((3, 5))  # of 3 x 3 pixels
        x0 = block.conv0(texture - mean.repeat_interleave(3, 2).repeat_interleave(3, 3))
        x1 = block.dense[0](x0)
        x2 = block.dense[1](torch.cat([x0, x1], 1))
        x3 = block.dense[2](torch.cat([x0, x1, x2], 1))
        expected = block.last(torch.cat([x0, x1, x2, x3], 1))

    torch.testing.assert_close(averaged, mean)
    torch.testing.assert_close(enhanced, expected, rtol=1e-4, atol=1e-5)
    assert enhanced.shape == (2, 16, 12, 12)


def test_grouped_enhancement_is_a_block_of_its_own_for_each_map() -> None:
    c, m = 4, 3
    block = GroupedTextureEnhancement(c, m).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.running_mean, -1, 1)
    texture, maps = randn(2, c, 12, 12), randn(2, m, 4, 4, seed=2).abs().requires_grad_()
    enhanced, averaged = block(texture, maps)

    def of(group: int, layer: nn.Module, x: Tensor) -> Tensor:
        """Apply one group of a grouped convolution, or of the normalisation of its input."""
        width = layer.weight.shape[0] // m
        own = slice(group * width, (group + 1) * width)
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            return F.conv2d(x, layer.weight[own], layer.bias[own], padding=layer.padding)
        assert isinstance(layer, nn.BatchNorm2d)
        return F.batch_norm(
            x, layer.running_mean[own], layer.running_var[own], layer.weight[own], layer.bias[own], eps=layer.eps
        )

    with torch.no_grad():
        extracted = block.extract(texture)
        residual = extracted - F.interpolate(F.adaptive_avg_pool2d(extracted, 4), 12, mode="nearest")
        weights = F.interpolate(maps, (12, 12), mode="bilinear", align_corners=True).tanh()
        for group in range(m):
            x = of(group, block.conv0, residual * weights[:, group : group + 1])
            for norm, relu, conv in block.dense:
                x = torch.cat([x, of(group, conv, relu(of(group, norm, x)))], 1)
            norm, relu, conv, last_norm, _ = block.last
            expected = of(group, last_norm, of(group, conv, relu(of(group, norm, x)))).relu()
            torch.testing.assert_close(enhanced[:, group], expected, rtol=1e-4, atol=1e-5)
    assert averaged.shape == (2, c, 4, 4)
    enhanced.sum().backward()
    assert maps.grad is None  # the maps only weigh


def test_region_dropout_drops_a_region_from_both_ways() -> None:
    model = small(dropout=0.0, region_dropout=0.5).eval()
    seen: list[Tensor] = []
    model.local_head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.global_head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        _, extras = model(images, return_extras=True)
        model.training = True  # the model alone: everything in it stays in evaluation mode
        for seed in range(8):
            torch.manual_seed(seed)
            model(images)
    matrix, maps, deep = extras["feature_matrix"], extras["attention_maps"], extras["feature_maps"]

    kept_counts = set()
    for local, overall in zip(seen[2::2], seen[3::2], strict=True):
        kept = (local.reshape(4, -1) != 0).any(1)
        expected = (matrix[0] * kept[:, None] * 2).flatten()
        torch.testing.assert_close(local[0], expected)
        torch.testing.assert_close(overall, attention_average(deep, (maps * kept[:, None, None] * 2).sum(1)))
        kept_counts.add(int(kept.sum()))
    assert len(kept_counts) > 1


# weights and training


def test_weights_load_into_a_new_model(tmp_path: Path, model: MultiAttention) -> None:
    texture = "v1" if isinstance(model.texture, TextureEnhancement) else "v2"
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again = MultiAttention("test_efficientnet", texture=texture).eval()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    images = torch.rand(2, 3, 64, 64)

    with torch.no_grad():
        assert torch.equal(again(images), model(images))


def test_second_stage_starts_from_the_backbone_of_the_first(tmp_path: Path) -> None:
    first = EfficientNet("test_efficientnet", normalization="half")
    save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second = small(pretrained=tmp_path / "weights.safetensors")

    assert all(
        torch.equal(a, b)
        for a, b in zip(first.backbone.state_dict().values(), second.backbone.state_dict().values(), strict=True)
    )
    assert second.normalize.mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_parameters_reach_the_model(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "model: multi_attention\n"
        "train: {dropout: null, efficientnet: {drop_path: 0.1},\n"
        "        multi_attention: {backbone: test_efficientnet, num_attentions: 3, texture: v2, agda_from: 50}}\n"
    )
    params = read_params(tmp_path / "params.yaml")
    model = build(params.model, **settings(params))

    assert isinstance(model.texture, GroupedTextureEnhancement)
    assert (model.num_attentions, model.agda_from, model.dropout) == (3, 50, 0.5)


def test_the_backbone_gets_train_efficientnet(tmp_path: Path) -> None:
    def built(values: str) -> MultiAttention:
        (tmp_path / "params.yaml").write_text(
            "model: multi_attention\n"
            f"train: {{efficientnet: {{{values}}}, multi_attention: {{backbone: test_efficientnet}}}}\n"
        )
        params = read_params(tmp_path / "params.yaml")
        return build(params.model, **settings(params))

    def drop_path(model: MultiAttention) -> float:
        return max(m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath")

    # timm: from 0 at the first block to (1 - 1 / blocks) of the rate at the last; test_efficientnet has 5 blocks
    assert drop_path(built("drop_path: 0.5")) == pytest.approx(0.5 * 4 / 5)
    assert drop_path(built("drop_path: 0.25")) == pytest.approx(0.25 * 4 / 5)

    start = build("multi_attention", backbone="test_efficientnet").backbone
    save_file(start.state_dict(), tmp_path / "start.safetensors")
    model = built(f"pretrained: {tmp_path / 'start.safetensors'}")
    assert torch.equal(model.backbone.conv_stem.weight, start.conv_stem.weight)


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_parameter_gets_a_finite_gradient(texture: str, precision: torch.dtype) -> None:
    model = small(texture)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss = model.objective(torch.rand(4, 3, 96, 96), torch.tensor([0, 1, 0, 1]), 0.02, 0)
    loss.backward()

    assert loss.dtype == torch.float32
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_objective_is_the_weighted_sum_of_its_parts() -> None:
    model = small(dropout=0.0, region_dropout=0.0, drop_path=0.0, epoch_steps=10)
    images, labels = torch.rand(4, 3, 96, 96), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        torch.manual_seed(2)
        logits, extras = model(images, return_extras=True)
        worse, index = model.augmentation(images, extras["attention_maps"])
        again, moved = model(worse, return_extras=True)
        alpha = 0.05 * 0.9**3  # step 35 is in the fourth epoch
        centers = alpha * extras["region_features"].mean(0)
        expected = (
            F.binary_cross_entropy_with_logits(logits, labels.float())
            + 0.5 * regional_independence_loss(extras["region_features"], centers, labels, alpha)
            + F.binary_cross_entropy_with_logits(again, labels.float())
            + 0.1 * match_loss(extras["region_features"], moved["region_features"], index)
        )
        torch.manual_seed(2)
        actual = model.objective(images, labels, 0.0, 35)

    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(model.independence_loss.feature_centers, centers)


@pytest.mark.parametrize(
    ("options", "step", "passes"),
    [({}, 0, 2), ({"agda_from": 5}, 4, 1), ({"agda_from": 5}, 5, 2), ({"agda_weight": 0, "match_weight": 0}, 9, 1)],
)
def test_degraded_images_come_in_when_asked_for(options: dict[str, float], step: int, passes: int) -> None:
    model = small(**options)
    calls: list[object] = []
    model.classifier.register_forward_hook(lambda *_: calls.append(None))
    model.objective(torch.rand(2, 3, 64, 64), torch.tensor([0, 1]), 0.0, step)

    assert len(calls) == passes


def test_training_separates_two_kinds_of_images() -> None:
    """Smooth against noisy gray: a texture, which the detector is made for."""
    torch.manual_seed(3)
    model = build("multi_attention", backbone="test_efficientnet", dropout=0.0, drop_path=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    labels = torch.tensor([0, 1] * 4)
    for step in range(12):
        images = 0.5 + 0.2 * torch.randn(8, 3, 64, 64) * labels[:, None, None, None]
        optimizer.zero_grad()
        model.objective(images.clamp(0, 1), labels, 0.0, step).backward()
        optimizer.step()
    with torch.no_grad():
        logits = model(images.clamp(0, 1))

    assert logits[labels == 1].min() > logits[labels == 0].max()


def test_an_interrupted_training_ends_in_the_same_weights_and_centers(
    packed_crops: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention is drawn, regions are dropped, centres move: all of it goes on where it was."""
    options = MultiAttentionConfig(backbone="test_efficientnet", agda_from=1, epoch_steps=2)
    config = TrainConfig(4, 4, eval_every=4, threads=1, dropout=None, histories=None, multi_attention=options)

    def run(name: str, every_steps: int) -> dict[str, Tensor]:
        checkpoint = CheckpointConfig(every_steps=every_steps)
        params = Params(model="multi_attention", train=dataclasses.replace(config, checkpoint=checkpoint))
        train(params, packed_crops["compressed"], tmp_path / name, tmp_path / f"{name}.csv", tmp_path / "unfinished")
        return load_file(tmp_path / name / "weights.safetensors")

    class Interrupted(Exception):  # noqa: N818
        pass

    def interrupted(self: Trainer, batch: Any) -> None:
        if batch.step == 3:
            raise Interrupted
        update(self, batch)

    update = Trainer._update
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        whole = run("whole", 100)
        monkeypatch.setattr(Trainer, "_update", interrupted)
        with pytest.raises(Interrupted):
            run("parts", 1)
        monkeypatch.setattr(Trainer, "_update", update)
        parts = run("parts", 1)
    finally:
        torch.use_deterministic_algorithms(deterministic)

    assert whole["independence_loss.feature_centers"].abs().max() > 0
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_attentions": 0}, "num_attentions must be at least 1, got 0"),
        ({"texture": "v3"}, "texture must be v1 or v2, got 'v3'"),
        ({"texture_layer": "b8"}, "texture_layer must be b1 to b7, got 'b8'"),
        ({"attention_layer": "stem"}, "attention_layer must be b1 to b7, got 'stem'"),
        ({"texture_layer": "b5"}, "must differ, both are b5"),
        ({"region_dropout": 1}, r"region_dropout must be in \[0, 1\), got 1"),
        ({"match_weight": -0.1}, "match_weight must be at least 0, got -0.1"),
        ({"backbone": "meso4"}, "unknown EfficientNet 'meso4'"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(DetectorError, match=message):
        MultiAttention(**options)
