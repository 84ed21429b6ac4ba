"""Folders of trained models, weights and card: written by training, read by everything that scores."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from evaluation.sums import sealed

from .card import CARD, Card, Start, as_json, read_card
from .config import Params
from .data.files import sha256, whole_file, write_json
from .errors import DataError, DetectorError
from .models import MODELS, build
from .models.settings import architecture, pretrained
from .reading import read_bytes

__all__ = ["WEIGHTS", "check_finite_weights", "load_model", "load_start", "restore", "save_model", "started_from"]

WEIGHTS = "weights.safetensors"


def check_finite_weights(weights: Mapping[str, Tensor], where: str) -> None:
    """Raise DataError, *where* first, naming the tensor of *weights*, of any shape, that has a non-finite value."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and (wrong := int((~torch.isfinite(tensor)).sum())):
            raise DataError(f"{where}: {wrong} of {tensor.numel()} values of the tensor {name} are NaN or infinite")


def save_model(folder: Path, weights: dict[str, Tensor], card: Card) -> None:
    """Write *weights* and then *card*, with their SHA-256, to *folder*; each file appears whole.

    DataError names a tensor, of any shape, with a value that is not finite; nothing is written then.
    """
    check_finite_weights(weights, f"{folder / WEIGHTS}: not written")
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / WEIGHTS) as path:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, path)
        except SafetensorError as error:  # how a full disk is reported here
            raise DetectorError(f"{folder / WEIGHTS}: could not be written: {error}") from error
        digest = sha256(path)
    write_json(folder / CARD, sealed(as_json(dataclasses.replace(card, weights_sha256=digest))))


def load_model(folder: Path, device: torch.device) -> tuple[nn.Module, Card]:
    """Return the model in *folder* on *device*, in evaluation mode, and its card.

    DataError if a file is missing or damaged, or the weights are not those that the card was written for.
    """
    card = read_card(folder)
    path = folder / WEIGHTS
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, but {folder / CARD} describes it; train again") from None
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights_sha256:
        raise DataError(
            f"{path}: its SHA-256 is {found}, but {folder / CARD} was written for {card.weights_sha256}: the file is "
            "damaged or belongs to another training; copy both files again, or train again"
        )
    try:
        weights = load(data)
        model = restore(card, weights, device)
    except Exception as error:  # with wrong options a constructor may raise any exception
        raise DataError(f"{folder}: {CARD} and {WEIGHTS} do not fit each other: {error}; train again") from error
    check_finite_weights(weights, f"{path}: these weights give no scores")
    return model, card


def restore(card: Card, weights: Mapping[str, Tensor], device: torch.device) -> nn.Module:
    """Return the model that *card* describes with *weights*, on *device* in evaluation mode.

    RuntimeError, as from `load_state_dict`, if names or shapes differ from the model's.
    """
    # the weights that training started from may no longer exist
    model = build(card.model, **{name: value for name, value in card.options.items() if name != "pretrained"})
    model.load_state_dict(weights)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


def load_start(model: nn.Module, params: Params) -> None:
    """Load the initial weights of *model* from the folder named by the parameters, if there is one.

    Models that start from a file have already read it in their constructor.
    """
    folder = pretrained(params)
    if MODELS[params.model].starts_from == "folder" and folder is not None:
        model.load_state_dict(load_model(Path(folder), torch.device("cpu"))[0].state_dict())


def started_from(params: Params) -> Start | None:
    """Return the name, hash and licence of the weights that the parameters name to start from; None if there are none.

    The licence is known for published weights only.
    """
    given, model = pretrained(params), MODELS[params.model]
    if given is None or given is False:
        return None
    if model.starts_from == "folder":
        return Start(str(given), read_card(Path(given)).weights_sha256, None)
    from .models.pretrained import start_of  # imports timm

    return start_of(architecture(params), given)
