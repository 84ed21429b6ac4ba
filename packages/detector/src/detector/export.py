"""``detector export``: a trained model as one file that needs none of our code.

The exported model maps decoded images, uint8 RGB (N, H, W, 3) with any N, to P(fake), float32 (N,). It includes
scaling, normalisation and the sigmoid. ``.pt2`` is a PyTorch exported program (``torch.export.load``); ``.onnx`` is for
ONNX Runtime and others. The file is run and compared with the model before it is renamed to its final name.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .card import CARD, Card, as_json, framing_of
from .errors import ConfigError, DetectorError
from .options import Command, Input, Output

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["CARD", "command", "export", "export_onnx", "export_program"]

TOLERANCE = 1e-5  # maximum difference between a score of the file and of the model
EXAMPLES = 3


@click.command(cls=Command)
@click.argument("train", type=Input(exists=True, file_okay=False))
@click.argument("out", type=Output())
@click.option("--license", "licence", metavar="NAME", help="Licence for the model card of a folder, e.g. apache-2.0.")
def command(train: Path, out: Path, licence: str | None) -> None:
    """Write the model in TRAIN to the file OUT, a .pt2 (PyTorch) or an .onnx, or to a folder OUT.

    The exported model maps uint8 RGB crops (N, H, W, 3) of the training size to P(fake), (N,). A folder, a name
    without suffix, has the form of the Hugging Face Hub: weights, config.json for timm and a model card.
    """
    difference = export(train, out, licence)
    size = sum(file.stat().st_size for file in out.iterdir()) if out.is_dir() else out.stat().st_size
    click.echo(f"{out}: {size / 1e6:.1f} MB, scores differ by at most {difference:.1e} from the model's")


def export(train: Path, out: Path, licence: str | None = None) -> float:
    """Write the model in the folder *train* to *out* and return the largest difference between their scores.

    The suffix selects the format; without one, *out* is a folder as `hub.write_folder` writes it. A file is written
    atomically, and only if its scores match the model's. *licence* is for the model card of a folder.
    ConfigError for a licence with a file, DetectorError for another suffix, missing packages for ``.onnx``, or a
    difference above `TOLERANCE`.
    """
    import torch

    from .data.files import whole_file
    from .weights import load_model

    if not out.suffix:
        from .hub import write_folder

        return write_folder(*load_model(train, torch.device("cpu")), out, licence)
    writers = {".pt2": export_program, ".onnx": export_onnx}
    if out.suffix not in writers:
        raise DetectorError(f"{out}: the suffix must be {' or '.join(writers)}, or none for a folder")
    if licence is not None:
        raise ConfigError(f"--license: {out} is a file, which has no model card; name a folder, without a suffix")
    if out.is_dir():
        raise DetectorError(f"{out}: is a folder; a file is to be written there")
    model, card = load_model(train, torch.device("cpu"))
    # channels-last weights would be saved as views of larger tensors
    scorer = _scorer(model.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (EXAMPLES, card.height, card.width, 3), generator=generator, dtype=torch.uint8)
    with whole_file(out) as path, torch.no_grad():
        run = writers[out.suffix](scorer, images[:2], card, path)
        # batch sizes other than the traced one
        difference = max(float((run(images[:n]) - scorer(images[:n])).abs().max()) for n in (1, EXAMPLES))
        if not difference <= TOLERANCE:
            raise DetectorError(f"{out}: the exported file's scores differ by {difference:.1e} from the model's")
    return difference


def export_program(
    scorer: nn.Module, images: Tensor, card: Card, path: Path
) -> Callable[[Tensor], Tensor]:
    """Write *scorer* as an exported program to *path*, traced on *images*, and return the function it contains.

    *card* is stored as the extra file `CARD`.
    """
    import torch

    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(scorer, (images,), dynamic_shapes=({0: batch},))
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={CARD: json.dumps(_metadata(card))})
    with path.open("rb") as file:
        module: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return module


def export_onnx(scorer: nn.Module, images: Tensor, card: Card, path: Path) -> Callable[[Tensor], Tensor]:
    """Write *scorer* as an ONNX model to *path*, traced on *images*, and return the file's function in ONNX Runtime.

    Its input is called ``images``, its output ``scores``; *card* is stored as the metadata entry `CARD`.
    """
    import torch

    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise DetectorError(
            f".onnx needs {error.name}, which is not installed: pip install 'detector[onnx]', or export a .pt2"
        ) from error
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # torch 2.13's exporter uses functions that torch 2.13 deprecates
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        program = torch.onnx.export(
            scorer,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=["images"],
            output_names=["scores"],
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[CARD] = json.dumps(_metadata(card))
    program.save(path)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda some: torch.from_numpy(session.run(["scores"], {"images": some.numpy()})[0])


def _metadata(card: Card) -> dict[str, Any]:
    """Return the card and the framing, with the eye positions in it, which are needed to crop a face as in training."""
    from .data.framing import FRAMINGS

    name = framing_of(card)
    left, right = FRAMINGS[name].eyes().round(4).tolist()
    framing = {
        "name": name,
        "rule": FRAMINGS[name].help,
        "color": "RGB",
        "left_eye": left,
        "right_eye": right,
        "unit": "side of the crop; x to the right, y down, from its top left corner",
    }
    return {**as_json(card), "framing": framing}


def _scorer(model: nn.Module) -> nn.Module:
    """Return *model* as a function from uint8 images to P(fake)."""
    import torch
    from torch import nn

    from .loading.augment import to_float

    class Scorer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.model(to_float(images)))

    return Scorer().eval()
