"""``detector convert-keras``: convert the official MesoNet weights (Keras ``.h5``) to the folder of a trained model.

The files are ``Meso4_DF.h5``, ``Meso4_F2F.h5``, ``MesoInception_DF.h5`` and ``MesoInception_F2F.h5`` of
https://github.com/DariusAf/MesoNet. They hold what Keras' ``save_weights`` writes: the attribute ``layer_names``, for
each layer a group whose attribute ``weight_names`` lists its arrays in order, and the arrays under these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .data.files import sha256
from .errors import DataError, DetectorError
from .options import Command, Input, Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["command", "convert", "read_keras"]

SIZE = 256  # side of the crops that the official weights were trained on
OPTIONS = {"mean": 0.0, "std": 1.0, "conv_activation": "relu"}


@click.command(cls=Command)
@click.argument("model", type=click.Choice(["meso4", "mesoinception4"]))
@click.argument("file", type=Input(exists=True, dir_okay=False))
@click.argument("out", type=Output(file_okay=False))
def command(model: str, file: Path, out: Path) -> None:
    """Write the official Keras weights FILE of MODEL to the folder OUT.

    Writes weights.safetensors and model.json as training does. `detector predict --train OUT` and `detector score` use
    them, and `train.meso.pretrained` fine-tunes them. Needs h5py: pip install 'detector[keras]'.
    """
    convert(model, file, out)
    click.echo(f"{out}: {model} with the weights of {file.name}, for crops of {SIZE} x {SIZE}")


def convert(name: str, file: Path, out: Path) -> None:
    """Write the Keras weights *file* of the model *name* as the weights and the card of a trained model to *out*.

    The sign of the logit is flipped, from P(real) to P(fake). DataError if *file* has no weights of *name*.
    """
    from .card import Card
    from .models import build
    from .models.meso import MesoNet, from_keras
    from .provenance import source, versions
    from .weights import save_model

    model = build(name, **OPTIONS)
    assert isinstance(model, MesoNet)
    weights = read_keras(file)
    try:
        from_keras(model, weights)
    except ValueError as error:
        raise DataError(f"{file}: not the weights of {name}: {error}") from error
    card = Card(
        name,
        OPTIONS,
        SIZE,
        SIZE,
        weights="converted from Keras",
        # Keras' ImageDataGenerator, through which the authors read crops, resizes by the nearest pixel
        crops={"size": SIZE, "framing": "mesonet", "resample": "nearest"},
        versions=versions(),
        source=source(),
        inputs={file.name: sha256(file)},
    )
    save_model(out, model.state_dict(), card)


def read_keras(path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Return the arrays of each layer in the Keras file *path*, by the layer's name, in Keras' order.

    Reads what ``save_weights`` and ``save`` of Keras 1 and 2 write. DetectorError if h5py is not installed, DataError
    for a file that is not HDF5 or has another layout.
    """
    try:
        import h5py
    except ImportError as error:
        raise DetectorError(f"{path} needs h5py, which is not installed: pip install 'detector[keras]'") from error
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)  # a whole model, or only its weights
            layers = _names(root.attrs, "layer_names")
            names = {layer: _names(root[layer].attrs, "weight_names") for layer in layers}
            return {layer: [root[layer][name][()] for name in names[layer]] for layer in layers}
    except Exception as error:  # for other layouts h5py may raise any exception
        raise DataError(f"{path}: not a Keras weights file (.h5 of Keras 1 or 2): {error}") from error


def _names(attributes: Any, key: str) -> Sequence[str]:
    """Return the list of names *key*, which Keras splits into *key*0, *key*1, ... if it is long.

    KeyError if there is none.
    """
    parts = [key]
    if key not in attributes:
        parts = [f"{key}{i}" for i in range(len(attributes)) if f"{key}{i}" in attributes]
    if not parts:
        raise KeyError(f"it has no attribute {key}")
    names = [name for part in parts for name in attributes[part].tolist()]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
