"""Trained models: written by training, read again by everything that scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .config import Params
from .data.files import read_json, whole_file, write_json
from .errors import ConfigError, DataError, DetectorError
from .loading.augment import to_float
from .models import build
from .models.scaling import SCALING
from .training.precision import Precision

__all__ = ["CARD", "WEIGHTS", "build_model", "load_model", "load_start", "predict", "save_model", "settings"]

MESO = ("meso4", "mesoinception4")
CARD, WEIGHTS = "model.json", "weights.safetensors"


def settings(params: Params) -> dict[str, Any]:
    """Return the options that the parameters give to the model's constructor."""
    options: dict[str, Any] = {} if params.train.dropout is None else {"dropout": params.train.dropout}
    if params.model in MESO:
        options |= _meso_settings(params)
    if params.model in SCALING or params.model == "multi_attention":
        options |= dataclasses.asdict(params.train.efficientnet)
    if params.model == "multi_attention":
        options |= dataclasses.asdict(params.train.multi_attention)
    return options


def _meso_settings(params: Params) -> dict[str, Any]:
    """Return what train.meso gives to the constructor; weights to start from say how their input is scaled."""
    options = dataclasses.asdict(params.train.meso)
    pretrained = options.pop("pretrained")
    if pretrained is None:
        return options
    card = _read_card(Path(pretrained))
    if card["model"] != params.model:
        raise DataError(f"train.meso.pretrained: {pretrained} holds a {card['model']}, not a {params.model}")
    theirs = card["options"].get("conv_activation", "relu")
    if theirs != options["conv_activation"]:
        raise ConfigError(f"train.meso.conv_activation must be {theirs}, what {pretrained} was trained with")
    return options | {name: card["options"][name] for name in ("mean", "std") if name in card["options"]}


def load_start(model: nn.Module, params: Params) -> None:
    """Give *model*, built with `settings`, the weights of train.meso.pretrained, if it is of that family.

    EfficientNets take theirs when they are built.
    """
    folder = params.train.meso.pretrained
    if params.model in MESO and folder is not None:
        model.load_state_dict(load_model(Path(folder), torch.device("cpu"))[0].state_dict())


def build_model(name: str, options: dict[str, Any]) -> nn.Module:
    """Return a new model with freshly drawn weights; ConfigError names a model or an option that there is not."""
    try:
        return build(name, **options)
    except DetectorError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model: {error}") from error


def save_model(folder: Path, weights: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write *weights* and then *card*, what is needed to build their model, to *folder*; each file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / WEIGHTS) as path:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, path)
        except SafetensorError as error:  # what a full disk looks like from here
            raise DetectorError(f"{folder / WEIGHTS}: could not be written: {error}") from error
    write_json(folder / CARD, card)


def load_model(folder: Path, device: torch.device) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model in *folder* on *device*, in evaluation mode, and its card.

    DataError if a file is missing or damaged, or the weights are not the card's model's.
    """
    card = _read_card(folder)
    # the weights that training started from need not be there any more
    model = build_model(card["model"], {k: v for k, v in card["options"].items() if k != "pretrained"})
    path = folder / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: not the weights of {card['model']}: {error}") from error
    return model.to(device).to(memory_format=torch.channels_last).eval(), card  # type: ignore[call-overload]


def _read_card(folder: Path) -> dict[str, Any]:
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or not {"model", "options", "height", "width"} <= card.keys():
        raise DataError(f"{folder / CARD}: lacks model, options, height or width; train again")
    return card


@torch.inference_mode()
def predict(
    model: nn.Module, batches: Iterable[Tensor], device: torch.device, precision: Precision
) -> NDArray[np.float64]:
    """Return P(fake) of every image of *batches*, uint8 (N, H, W, 3) each. The model must be in evaluation mode."""
    scores = []
    for images in batches:
        with precision.autocast():
            logits = model(to_float(images.to(device, non_blocking=True)))
        scores.append(torch.sigmoid(logits.double()).cpu().numpy())
    return np.concatenate(scores) if scores else np.empty(0)
