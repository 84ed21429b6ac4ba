"""EfficientNet detectors: the networks of the papers, weights by name or file, prompt errors without a network."""

from __future__ import annotations

import hashlib
import http.server
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

from detector.card import Card
from detector.config import read_params
from detector.errors import ConfigError, DetectorError
from detector.models import build, names
from detector.models._timm import timm
from detector.models.efficientnet import EfficientNet
from detector.models.pretrained import published, read_weights
from detector.models.scaling import SCALING
from detector.models.settings import settings
from detector.weights import load_model, save_model

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
    file.write_text(
        f"model: efficientnet_b0\ntrain: {{dropout: null, efficientnet: {{pretrained: {published_file}}}}}"
    )
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
def test_offline_is_said_at_once_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_files_that_are_no_weights_of_the_network_are_named(published_file: Path, tmp_path: Path) -> None:
    noise, other, list_file = tmp_path / "noise.pth", tmp_path / "other.pth", tmp_path / "list.pth"
    noise.write_bytes(b"not a zip file")
    torch.save({"_conv_stem.weight": torch.zeros(1)}, other)
    torch.save([1, 2], list_file)

    with pytest.raises(DetectorError, match=r"noise\.pth: not a readable weights file"):
        EfficientNet("efficientnet_b0", pretrained=noise)
    with pytest.raises(DetectorError, match=r"other\.pth: weights in the layout of the efficientnet_pytorch package"):
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
