"""A trained model as a folder in the form of the Hugging Face Hub: weights, configuration and a model card.

The card is ``README.md``, YAML and text from ``model.json``. Where the model is one of timm's, timm loads the folder
without our code: ``timm.create_model("local-dir:FOLDER", pretrained=True)``, or ``hf-hub:USER/NAME`` once it has been
uploaded. Other models need ``detector.weights.load_model``, for which ``model.json`` is in the folder.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.values import shown

from .card import CARD, OF_TIMM, Card, framing_of
from .errors import ConfigError, DataError, DetectorError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["MODEL_CARD", "model_card", "write_folder"]

MODEL_CARD, CONFIG, TIMM_WEIGHTS = "README.md", "config.json", "model.safetensors"
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
TOLERANCE = 1e-5  # maximum difference between timm's P(fake) and the model's


def write_folder(model: nn.Module, card: Card, out: Path, licence: str | None = None) -> float:
    """Write *model* to the folder *out* and return the largest difference between its scores and those read back.

    *licence* is the Hub's name of the licence of the weights, such as ``apache-2.0``; without it the card states none.
    The folder appears whole. ConfigError for text that is not such a name, DataError if *out* is a file or holds files
    already, DetectorError if timm's scores of the folder are not the model's.
    """
    from .data.files import whole_folder
    from .models.efficientnet import EfficientNet
    from .weights import save_model

    if licence is not None and LICENCE.fullmatch(licence) is None:
        raise ConfigError(
            f"--license must be the Hub's name of a licence, such as apache-2.0 or other, got {shown(licence)}"
        )
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: holds files already; name a new or an empty folder")
    with whole_folder(out, MODEL_CARD) as folder:
        save_model(folder, model.state_dict(), card)
        difference = 0.0
        by_timm = isinstance(model, EfficientNet)
        if isinstance(model, EfficientNet):
            _write_for_timm(model, card, folder)
            difference = _difference(model, card, folder)
            if not difference <= TOLERANCE:
                raise DetectorError(f"{out}: timm's scores differ by {difference:.1e} from the model's")
        (folder / MODEL_CARD).write_text(model_card(card, by_timm, licence), encoding="utf-8")
    return difference


def _write_for_timm(model: Any, card: Card, folder: Path) -> None:
    """Write weights under timm's names, and the configuration from which timm builds the network."""
    from safetensors.torch import save_file

    from .data.files import write_json

    weights: dict[str, Tensor] = dict(model.backbone.state_dict())
    weights |= {f"classifier.{name}": value for name, value in model.classifier.state_dict().items()}
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / TIMM_WEIGHTS)
    channels = model.normalize.mean.numel()
    config = {
        "architecture": card.model,
        "num_classes": 1,
        "num_features": model.classifier.in_features,
        "label_names": ["fake"],
        "model_args": {"in_chans": channels} if channels != 3 else {},
        "pretrained_cfg": {
            "input_size": [channels, card.height, card.width],
            "mean": model.normalize.mean.flatten().tolist(),
            "std": model.normalize.std.flatten().tolist(),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "num_classes": 1,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }
    write_json(folder / CONFIG, config)


def _difference(model: nn.Module, card: Card, folder: Path) -> float:
    """Return the largest difference between timm's P(fake) and the model's, on two images of noise."""
    import torch

    from .models._timm import timm

    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config: Any = theirs.pretrained_cfg
    mean, std = (torch.tensor(config[key]).reshape(-1, 1, 1) for key in ("mean", "std"))
    generator = torch.Generator().manual_seed(0)
    images: torch.Tensor = torch.rand(2, len(mean), card.height, card.width, generator=generator)
    with torch.no_grad():
        ours = torch.sigmoid(model(images))
        return float((torch.sigmoid(theirs((images - mean) / std))[:, 0] - ours).abs().max())


def _front_matter(card: Card, by_timm: bool, licence: str | None) -> str:
    """Return the YAML that the Hub reads, with its keys only (https://huggingface.co/docs/hub/model-cards); JSON
    strings are YAML's."""
    lines = [
        *([f"license: {licence}"] if licence else []),
        f"library_name: {'timm' if by_timm else 'detector'}",
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {tag}" for tag in ("image-classification", "deepfake-detection", *(("timm",) if by_timm else ()))),
    ]
    if card.started_from and card.started_from.name.endswith(OF_TIMM):
        lines.append(f"base_model: {json.dumps('timm/' + card.started_from.name.removesuffix(OF_TIMM))}")
    return "\n".join(["---", *lines, "---", ""])


def model_card(card: Card, by_timm: bool, licence: str | None = None) -> str:
    """Return the model card: what the model is, how to load and use it, and what is known of data and thresholds."""
    parts = [_front_matter(card, by_timm, licence), f"# {card.model}: real or fake face crops\n", _use(card, by_timm)]
    parts += [_data(card), _thresholds(card), _provenance(card)]
    return "\n".join(part for part in parts if part)


def _use(card: Card, by_timm: bool) -> str:
    if by_timm:
        code = (
            'model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()   # or hf-hub:USER/NAME\n'
            "cfg = model.pretrained_cfg                                              # mean and std of the input\n"
            "p_fake = torch.sigmoid(model(normalized))[:, 0]"
        )
    else:
        code = (
            "from detector.weights import load_model\n\n"
            'model, card = load_model(Path("FOLDER"), torch.device("cpu"))\n'
            "p_fake = torch.sigmoid(model(images))                                   # images in [0, 1]"
        )
    return (
        f"One logit; its sigmoid is P(fake). The input is an RGB face crop of {card.width} x {card.height} pixels, "
        f"framed as `{framing_of(card)}` ({CARD} has the parameters): other framings and whole images give meaningless "
        f"scores.\n\n```python\n{code}\n```\n"
    )


def _data(card: Card) -> str:
    if card.data is None:
        return "## Training data\n\nNot recorded.\n"
    data = card.data
    kind = {True: "synthetic", False: "recorded", None: "of unknown origin"}[data.synthetic]
    lines = [f"{data.name or 'Unnamed'}: {kind}.", *([data.note.rstrip(".") + "."] if data.note else [])]
    if data.synthetic:
        lines.append("Scores of a model trained on synthetic data say nothing about real photographs.")
    lines.append(f"JPEG history of the training crops: {card.trained_on or 'not recorded'}.")
    rows = [f"| {split} | {number} |" for split, number in data.identities.items()]
    table = "\n".join(["| split | persons |", "|---|---|", *rows])
    return "## Training data\n\n" + " ".join(lines) + f"\n\n{table}\n"


def _thresholds(card: Card) -> str:
    if not card.thresholds:
        return ""
    rows = []
    for condition, levels in card.thresholds.items():
        frame = levels.frame
        shown = "-" if frame.threshold is None else f"{frame.threshold:.4f}"
        rows.append(f"| {condition} | {shown} | {frame.real} | {frame.fake} |")
    head = "| condition | threshold | real | fake |\n|---|---|---|---|\n"
    return (
        "## Thresholds\n\nYouden's threshold of P(fake) for single crops, from the validation split, after each "
        "condition:\n\n" + head + "\n".join(rows) + "\n"
    )


def _provenance(card: Card) -> str:
    lines = [f"- SHA-256 of weights.safetensors: `{card.weights_sha256}`"]
    if card.source is not None:
        lines.append(f"- commit of the code: `{card.source.commit}`")
    if card.started_from:
        licence = card.started_from.licence or "licence not known"
        lines.append(f"- started from {card.started_from.name} ({licence})")
    lines += [f"- {name} {version}" for name, version in card.versions.items()]
    return "## Provenance\n\n" + "\n".join(lines) + "\n"
