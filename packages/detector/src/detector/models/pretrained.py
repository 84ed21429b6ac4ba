"""Pretrained weights: find and download published weights, and read weights files as state dicts.

Published weights are downloaded once from the Hugging Face hub into its cache, or come in a Python package
(`packages`). Without a network, the hub's client retries for most of a minute, so a short request checks the connection
first. Files have the layout of timm, of our own models, or of the package efficientnet_pytorch.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.values import shown

from ..card import OF_TIMM, Start
from ..data.files import sha256
from ..errors import DetectorError
from ._timm import timm
from .packages import PACKAGE, PACKAGES

__all__ = ["Published", "adapt", "from_efficientnet_pytorch", "published", "read_weights", "start_of", "weights_file"]

# modules of the package efficientnet_pytorch -> timm's; in a block, with expansion and without
OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
INNER = {
    "_expand_conv": ("conv_pw", ""),
    "_bn0": ("bn1", ""),
    "_depthwise_conv": ("conv_dw", "conv_dw"),
    "_bn1": ("bn2", "bn1"),
    "_se_reduce": ("se.conv_reduce", "se.conv_reduce"),
    "_se_expand": ("se.conv_expand", "se.conv_expand"),
    "_project_conv": ("conv_pwl", "conv_pw"),
    "_bn2": ("bn3", "bn2"),
}
TIMEOUT = 3.0  # seconds to wait for a response of the hub
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that timm lists: ``name`` (architecture.tag), their hub repository and licence, and how images are
    normalised."""

    name: str
    hub: str
    licence: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def published(name: str, pretrained: bool | str | Path) -> Published | None:
    """Return the published weights that *pretrained* names for the architecture *name*; None for False, ``package`` or
    a file.

    *pretrained* True means timm's default tag. DetectorError when there are none, or for text that is neither a tag of
    *name* nor an existing file.
    """
    if pretrained is False or pretrained == PACKAGE:
        return None
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    text = str(pretrained)
    tag = text.removeprefix(f"{name}.")
    if pretrained is True:
        if not tags:
            raise DetectorError(
                f"no weights are published for {name}; use tf_{name.removeprefix('tf_')}, the path of a weights file, "
                "or pretrained: false"
            )
        default: Any = timm.get_pretrained_cfg(name)
        tag = default.tag
    elif tag not in tags:
        if Path(text).is_file():
            return None
        known = f"the published weights of {name} are {', '.join(tags)}" if tags else f"{name} has no published weights"
        raise DetectorError(f"pretrained: {shown(text)} is neither a file nor a name of weights; {known}")
    config: Any = timm.get_pretrained_cfg(f"{name}.{tag}")
    if not config.hf_hub_id:
        raise DetectorError(f"{name}.{tag} is not on the hub; download {config.url} and give its path as pretrained")
    return Published(f"{name}.{tag}", config.hf_hub_id, config.license, tuple(config.mean), tuple(config.std))


def weights_file(source: Published) -> Path:
    """Return the path of the published weights, from the hub's cache or else downloaded into it.

    DetectorError at once when HF_HUB_OFFLINE is set, or after `TIMEOUT` seconds when the hub does not answer.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    repository = source.hub if "/" in source.hub else f"timm/{source.name}"
    for file in FILES:
        cached = try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    package = f"{PACKAGE} as pretrained, " if source.name.partition(".")[0] in PACKAGES else ""
    remedy = (
        f"The weights {source.name} ({repository}) are not in the cache {constants.HF_HUB_CACHE}. Give {package}the "
        "path of a file as pretrained, or pretrained: false to start from random weights"
    )
    if constants.HF_HUB_OFFLINE:
        raise DetectorError(f"HF_HUB_OFFLINE is set. {remedy}")
    _ask(constants.ENDPOINT, remedy)
    for file in FILES:
        try:
            return Path(hf_hub_download(repository, file))
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise DetectorError(f"download of {source.name} failed: {error}. {remedy}") from error
    raise DetectorError(f"{repository} has none of {', '.join(FILES)}. {remedy}")


def _ask(endpoint: str, remedy: str) -> None:
    """Raise DetectorError unless *endpoint* responds, through the environment's proxies if any."""
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=TIMEOUT):
            pass
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        raise DetectorError(f"{endpoint} does not answer ({error}). {remedy}") from error


def start_of(name: str, pretrained: bool | str | Path) -> Start | None:
    """Return what is known of the weights that *pretrained* names for the architecture *name*; None for False.

    Published weights must already be in the hub's cache, or are downloaded.
    """
    if pretrained is False:
        return None
    if pretrained == PACKAGE:
        package = PACKAGES[name]
        file = package.file.rpartition("/")[2]
        return Start(f"{file} of the package {package.name}", package.sha256, package.licence)
    source = published(name, pretrained)
    if source is not None:
        return Start(source.name + OF_TIMM, sha256(weights_file(source)), source.licence)
    digest = sha256(pretrained)  # type: ignore[arg-type]
    licences = {package.sha256: package.licence for package in PACKAGES.values()}
    return Start(str(pretrained), digest, licences.get(digest))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a ``.safetensors`` file or one written by ``torch.save``, on the CPU.

    A dict around it (``state_dict``, ``model_ema``, ``model``) is opened, a ``module.`` prefix is removed.
    DetectorError when there is no such file or it holds no state dict; code in a pickle is never run.
    """
    path = Path(path)
    if not path.is_file():
        raise DetectorError(f"{path}: no such weights file")
    from safetensors.torch import load_file

    weights: Any
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load may raise any exception for a damaged file
        # torch's unpickler raises other exceptions, and its message recommends running the code
        known = path.suffix == ".safetensors" or isinstance(error, RuntimeError)
        reason = str(error).partition("\n")[0] if known else "neither safetensors nor plain tensors of torch.save"
        raise DetectorError(f"{path}: not a readable weights file: {reason}") from error
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(weights, dict) and isinstance(weights.get(key), dict):
            weights = weights[key]
            break
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, Tensor) for v in weights.values()):
        raise DetectorError(f"{path}: holds no state dict (a mapping of names to tensors)")
    return {key.removeprefix("module."): value for key, value in weights.items()}


def from_efficientnet_pytorch(weights: dict[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
    """Return *weights* in the layout of the package efficientnet_pytorch under timm's names, without the classifier.

    That package numbers the blocks; timm counts them by stage, so *wanted*, timm's names, determine where each belongs.
    Blocks and modules that timm's model does not have are left out, and `adapt` names those that are missing then.
    """
    blocks = list(dict.fromkeys(".".join(name.split(".")[:3]) for name in wanted if name.startswith("blocks.")))
    renamed = {}
    for name, tensor in weights.items():
        module, _, parameter = name.rpartition(".")
        if module in OUTER:
            renamed[f"{OUTER[module]}.{parameter}"] = tensor
        elif module.startswith("_blocks."):
            _, number, part = module.split(".", 2)
            kind = 0 if f"_blocks.{number}._expand_conv.weight" in weights else 1
            if int(number) < len(blocks) and part in INNER:
                renamed[f"{blocks[int(number)]}.{INNER[part][kind]}.{parameter}"] = tensor
    return renamed


def _translated(weights: dict[str, Tensor], backbone: Any, path: str | Path) -> dict[str, Tensor]:
    """Return *weights* of efficientnet_pytorch for *backbone*; DetectorError for other blocks or other padding."""
    name = backbone.pretrained_cfg["architecture"]
    if not name.startswith("tf_"):
        raise DetectorError(
            f"{path}: weights in the layout of the package efficientnet_pytorch, which pads images as TensorFlow does; "
            f"use tf_{name}, which pads in the same way, instead of {name}"
        )
    blocks = len({key.split(".")[1] for key in weights if key.startswith("_blocks.")})
    own = sum(len(stage) for stage in backbone.blocks)
    if blocks != own:
        raise DetectorError(f"{path}: weights of a network with {blocks} blocks, but {name} has {own}")
    return from_efficientnet_pytorch(weights, list(backbone.state_dict()))


def adapt(weights: dict[str, Tensor], backbone: nn.Module, in_chans: int, path: str | Path) -> dict[str, Tensor]:
    """Return the *weights* of the *backbone* without classifier, with the stem folded or repeated to *in_chans*.

    Weights of a detector of ours are recognised by their ``backbone.`` prefix. DetectorError names what is missing or
    does not fit, and *path*.
    """
    if any(key.startswith("backbone.") for key in weights):
        weights = {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
    wanted = backbone.state_dict()
    if "_conv_stem.weight" in weights:
        weights = _translated(weights, backbone, path)
    if "conv_stem.weight" in weights and weights["conv_stem.weight"].shape[1] != in_chans:
        stem = timm.models.adapt_input_conv(in_chans, weights["conv_stem.weight"])
        weights = {**weights, "conv_stem.weight": stem}
    missing = [key for key in wanted if key not in weights]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or wrong:
        first = missing[0] if missing else f"{wrong[0]} of shape {tuple(weights[wrong[0]].shape)}"
        raise DetectorError(
            f"{path}: not the weights of this backbone: {len(missing)} tensors missing, {len(wrong)} of another shape "
            f"(first: {first})"
        )
    return {key: weights[key] for key in wanted}
