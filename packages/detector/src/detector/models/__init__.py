"""The models by name: ``build("meso4")``.

A model takes RGB images in [0, 1], ``(N, 3, H, W)``, normalises them itself and returns one logit per image, ``(N,)``;
the sigmoid of a logit is P(fake). A builder imports its family only when it is called, so listing the names is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from evaluation.values import shown

from ..errors import ConfigError, DetectorError
from .scaling import SCALING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "Model", "build", "names"]


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the table of models: how to build it, and what its users need to know about it.

    builder: takes the options as keywords (including ``dropout``) and returns the model with random initial weights.
    sections: the sections of ``train`` in params.yaml whose values are options of this model; see `settings`.
    size: side, in pixels, of the images that it was published for; `describe` measures it there.
    feature_maps: dotted name of the submodule whose output is the last feature maps, (N, C, h, w), which `explain`
        weighs for Grad-CAM.
    pretrained: which key of ``train`` names the weights to start from; None if it always starts from random weights.
    starts_from: what that key names: a ``"file"`` that the builder reads, or the ``"folder"`` of a trained model, which
        `detector.weights.load_start` reads.
    """

    builder: Callable[..., nn.Module]
    sections: tuple[str, ...]
    size: int
    feature_maps: str
    pretrained: str | None = None
    starts_from: str = "file"


def _meso4(**options: Any) -> nn.Module:
    from .meso import Meso4

    return Meso4(**options)


def _mesoinception4(**options: Any) -> nn.Module:
    from .meso import MesoInception4

    return MesoInception4(**options)


def _efficientnet(name: str, **options: Any) -> nn.Module:
    from .efficientnet import EfficientNet

    return EfficientNet(name, **options)


def _multi_attention(**options: Any) -> nn.Module:
    from .multi_attention import MultiAttention

    return MultiAttention(**options)


_MESO = partial(
    Model, sections=("meso",), size=256, feature_maps="stages.3.0", pretrained="meso.pretrained", starts_from="folder"
)
_EFFICIENTNET = partial(Model, feature_maps="backbone.bn2", pretrained="efficientnet.pretrained")

# in the order in which `detector describe` lists them
MODELS: dict[str, Model] = {
    "meso4": _MESO(_meso4),
    "mesoinception4": _MESO(_mesoinception4),
    "multi_attention": _EFFICIENTNET(_multi_attention, sections=("efficientnet", "multi_attention"), size=380),
    **{
        name: _EFFICIENTNET(partial(_efficientnet, name), sections=("efficientnet",), size=scaling.resolution)
        for name, scaling in SCALING.items()
    },
}


def names() -> list[str]:
    """Return the names `build` knows, sorted."""
    return sorted(MODELS)


def build(name: str, **options: Any) -> nn.Module:
    """Return a new model *name* with random initial weights; *options* are passed to its constructor.

    ConfigError names an unknown model and lists the known ones, or names the option that the model does not have.
    """
    if name not in MODELS:
        raise ConfigError(f"model: unknown model {shown(name)}; known models: {', '.join(names())}")
    try:
        return MODELS[name].builder(**options)
    except DetectorError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model {name}: {error}") from error
