"""``detector describe``: the parts of a model, and the EfficientNet family with the paper's table 2.

Sizes are measured: the model is built and run on torch's meta device, which computes shapes only, so that even
EfficientNet-L2 at 800 x 800 needs little memory and time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from evaluation.values import shown

from ..errors import DetectorError
from ..options import Command
from . import MODELS, build, names
from .scaling import ALPHA, BETA, GAMMA, PAPER_GIGA_MACS, SCALING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Measured", "Part", "command", "count_macs", "family_table", "measure", "model_table", "paper_remark"]

TOLERANCE = 0.1  # the paper rounds and counts differently; a deviation of more than 10 % is an error of the paper


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a model: its name, output shape for one image, parameters and multiply-adds."""

    name: str
    shape: str
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A model at an input of *size* x *size*: trainable parameters and multiply-adds per image, in total and by part.

    Multiply-adds are those of convolutions and matrix products, as torch's flop counter counts them, halved.
    """

    name: str
    size: int
    dropout: float | None
    parameters: int
    macs: int
    parts: tuple[Part, ...]


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--size", type=click.IntRange(32), help="Side of the input in pixels.  [default: the published one]")
def command(model: str | None, size: int | None) -> None:
    """Print parameters and multiply-adds of MODEL, part by part.

    Without MODEL: width, depth, resolution, dropout and cost of all models, next to the cost in the paper's table 2.
    """
    if model is not None:
        click.echo(model_table(measure(model, size)))
        return
    shown = [name for name in MODELS if not name.startswith("tf_")]  # the same networks as those without "tf_"
    click.echo(family_table([measure(name, size) for name in shown]))


def measure(name: str, size: int | None = None) -> Measured:
    """Return the sizes of the model *name* at *size* x *size* pixels, by default those it was published with.

    DetectorError for an unknown model.
    """
    import torch

    if name not in names():
        raise DetectorError(f"unknown model {shown(name)}; known models: {', '.join(names())}")
    size = size or MODELS[name].size
    with torch.device("meta"), torch.no_grad():
        model = build(name).eval()
        images = torch.empty(1, 3, size, size)
        shapes: dict[str, str] = {}
        for part, module in _parts(model):
            module.register_forward_hook(_note_shape(shapes, part))
        macs, counts = _macs(model, images)
    modules = dict(_parts(model))
    parts = [Part(part, shape, _count(modules[part]), counts.get(part, 0)) for part, shape in shapes.items()]
    parts = [part for part in parts if part.parameters or part.macs]
    rest = macs - sum(part.macs for part in parts)
    if rest:
        parts.append(Part("(products between the parts)", "", 0, rest))
    return Measured(name, size, _dropout(model), _count(model), macs, tuple(parts))


def count_macs(model: nn.Module, height: int, width: int) -> int:
    """Return the multiply-adds of *model* for one image, counted as in `Measured`; nothing is computed."""
    import torch

    model = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad():
        return _macs(model, torch.empty(1, 3, height, width, device="meta"))[0]


def _macs(model: nn.Module, images: Tensor) -> tuple[int, dict[str, int]]:
    """Return the multiply-adds of *model* on *images*, all and those of each part by its name."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        model(images)
    counts = {key.partition(".")[2]: sum(ops.values()) // 2 for key, ops in counter.get_flop_counts().items()}
    return counter.get_total_flops() // 2, counts


def paper_remark(name: str, macs: int) -> str:
    """Return a remark on the paper's cost of *name*, measured as *macs*; empty if there is none."""
    if name not in PAPER_GIGA_MACS:
        return ""
    reported = PAPER_GIGA_MACS[name]
    if reported is None:
        return "the paper has a dash"
    if abs(reported / (macs / 1e9) - 1) > TOLERANCE:
        return f"wrong in the paper: {reported / (macs / 1e9):.2f} times the measured"
    return ""


def family_table(models: Iterable[Measured]) -> str:
    """Return the table of all models with the paper's column and its errors, as lines of text."""
    rows = [("model", "width", "depth", "size", "dropout", "parameters", "G multiply-adds", "paper", "")]
    for m in models:
        scaling = SCALING.get(m.name)
        reported = PAPER_GIGA_MACS.get(m.name)
        rows.append(
            (
                m.name,
                f"{scaling.width}" if scaling and scaling.width else "-",
                f"{scaling.depth}" if scaling and scaling.depth else "-",
                f"{m.size}",
                "-" if m.dropout is None else f"{m.dropout:g}",
                f"{m.parameters:,}",
                f"{m.macs / 1e9:.3f}",
                "-" if reported is None else f"{reported:g}",
                paper_remark(m.name, m.macs),
            )
        )
    growth, reports = ALPHA * BETA**2 * GAMMA**2, ALPHA * BETA**2 * GAMMA
    return "\n".join(
        [
            *_aligned(rows, left=(0, 8)),
            "",
            "One output each; G multiply-adds for one image of the given size, measured; what the paper calls FLOPS",
            "are such counts of operations, not operations per second.",
            f"Compound scaling: alpha = {ALPHA}, beta = {BETA}, gamma = {GAMMA}; the constraint is",
            f"alpha * beta^2 * gamma^2 = {growth:.3f}, about 2. The paper's alpha * beta^2 * gamma is {reports:.3f}.",
        ]
    )


def model_table(model: Measured) -> str:
    """Return the parts of one model and their sums as lines of text."""
    rows = [("part", "output", "parameters", "M multiply-adds")]
    rows += [(p.name, p.shape, f"{p.parameters:,}", f"{p.macs / 1e6:,.2f}") for p in model.parts]
    rows.append(("all", "", f"{model.parameters:,}", f"{model.macs / 1e6:,.2f}"))
    dropout = "" if model.dropout is None else f", dropout {model.dropout:g}"
    remark = paper_remark(model.name, model.macs)
    return "\n".join(
        [f"{model.name}, one image of {model.size} x {model.size}{dropout}", "", *_aligned(rows, left=(0, 1))]
        + (["", remark] if remark else [])
    )


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts as named in the papers: the children, and for a backbone its stages."""
    for name, child in model.named_children():
        if name in ("backbone", "blocks", "stages"):
            yield from ((f"{name}.{inner}", part) for inner, part in _parts(child))
        else:
            yield name, child


def _note_shape(shapes: dict[str, str], name: str) -> Callable[..., None]:
    """Return a hook that records the shape of a part's (first) output under its *name*."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        shapes[name] = " x ".join(str(side) for side in first.shape[1:])

    return hook


def _dropout(model: nn.Module) -> float | None:
    """Return the dropout before the last layer, or None if there is none."""
    own = getattr(model, "dropout", None)
    if isinstance(own, float):
        return own
    rates: list[Any] = [module.p for module in model.modules() if type(module).__name__ == "Dropout"]
    return rates[-1] if rates else None


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Return *rows* as lines of columns two spaces apart, right-aligned except for the columns *left*."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        .rstrip()
        for row in rows
    ]  # fmt: skip
