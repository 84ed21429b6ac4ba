"""Folders of trained models, weights and card: written by training, read by everything that scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .card import CARD, read_card
from .config import Params
from .data.files import whole_file, write_json
from .errors import DataError, DetectorError
from .models import MODELS, build
from .models.settings import pretrained

__all__ = ["WEIGHTS", "load_model", "load_start", "save_model"]

WEIGHTS = "weights.safetensors"


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

    DataError if a file is missing or damaged, or the weights do not belong to the model that the card names.
    """
    card = read_card(folder)
    # the weights that training started from need not exist any more
    model = build(card["model"], **{k: v for k, v in card["options"].items() if k != "pretrained"})
    path = folder / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: not the weights of {card['model']}: {error}") from error
    return model.to(device).to(memory_format=torch.channels_last).eval(), card  # type: ignore[call-overload]


def load_start(model: nn.Module, params: Params) -> None:
    """Give *model* the weights of the folder that the parameters name as its start, if they name one.

    Models that start from a file have read it when they were built.
    """
    folder = pretrained(params)
    if MODELS[params.model].starts_from == "folder" and folder is not None:
        model.load_state_dict(load_model(Path(folder), torch.device("cpu"))[0].state_dict())
