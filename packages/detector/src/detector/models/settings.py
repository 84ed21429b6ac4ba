"""From params.yaml to the options of a model's constructor."""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from pathlib import Path
from typing import Any

from evaluation.values import shown

from ..card import read_card
from ..config import Params
from ..errors import ConfigError, DataError
from . import MODELS, Model, build

__all__ = ["architecture", "in_force", "pretrained", "settings"]


def settings(params: Params) -> dict[str, Any]:
    """Return the options that the parameters give to the constructor of ``params.model``.

    They are ``train.dropout`` and the values of the model's own sections of ``train``. ConfigError for a value in
    another model's section that is not the default. A model that starts from the folder of a trained one is built for
    the input scaling of that one.
    """
    model = _row(params)
    _refuse_others(params, model)
    options: dict[str, Any] = {} if params.train.dropout is None else {"dropout": params.train.dropout}
    for section in model.sections:
        options |= dataclasses.asdict(getattr(params.train, section))
    if model.pretrained is not None and model.starts_from == "folder":
        del options[model.pretrained.rpartition(".")[2]]
        folder = pretrained(params)
        if folder is not None:
            options |= _input_scaling(params.model, f"train.{model.pretrained}", Path(folder), options)
    return options


def pretrained(params: Params) -> Any:
    """Return the value of the parameter that names the weights to start from; None if the model has none."""
    model = _row(params)
    return None if model.pretrained is None else attrgetter(model.pretrained)(params.train)


def architecture(params: Params) -> str:
    """Return the name of the network that ``pretrained`` names weights of: the model, or its backbone."""
    return params.train.multi_attention.backbone if "multi_attention" in _row(params).sections else params.model


def _refuse_others(params: Params, model: Model) -> None:
    """Raise ConfigError for a value in a section of other models that is not its default: it would have no effect."""
    for section in sorted({section for row in MODELS.values() for section in row.sections} - set(model.sections)):
        given = getattr(params.train, section)
        for field in dataclasses.fields(given):
            value = getattr(given, field.name)
            if value != field.default:
                takers = [name for name, row in MODELS.items() if section in row.sections]
                raise ConfigError(
                    f"train.{section}.{field.name} is {shown(value)}, but model {params.model} has no such setting; "
                    f"set it back to its default, {shown(field.default)}, or choose a model that has it: "
                    f"{', '.join(takers[:4])}"
                    + (", ..." if len(takers) > 4 else "")
                )


def in_force(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run without the sections of ``train`` that belong to other models."""
    own = MODELS[parameters["model"]].sections
    others = {section for row in MODELS.values() for section in row.sections} - set(own)
    return parameters | {"train": {name: value for name, value in parameters["train"].items() if name not in others}}


def _row(params: Params) -> Model:
    if params.model not in MODELS:
        build(params.model)  # names the known ones
    return MODELS[params.model]


def _input_scaling(model: str, name: str, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return how the input of the trained model in *folder* is scaled; it must be of the same structure."""
    card = read_card(folder)
    if card.model != model:
        raise DataError(f"{name}: {folder} holds a {card.model}, not a {model}")
    theirs = card.options.get("conv_activation", "relu")
    if theirs != options["conv_activation"]:
        raise ConfigError(f"train.meso.conv_activation must be {theirs}, as {folder} was trained with it")
    return {key: card.options[key] for key in ("mean", "std") if key in card.options}
