"""The models, by name: ``build("meso4")``.

A model takes RGB images in [0, 1], ``(N, 3, H, W)``, normalises them itself and returns one logit per image, ``(N,)``;
the sigmoid of a logit is P(fake). A builder imports its family only when it is called, so that listing the names is
free.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .scaling import SCALING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["BUILDERS", "build", "names"]


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


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "meso4": _meso4,
    "mesoinception4": _mesoinception4,
    "multi_attention": _multi_attention,
    **{name: partial(_efficientnet, name) for name in SCALING},
}


def names() -> list[str]:
    """Return the names `build` knows, sorted."""
    return sorted(BUILDERS)


def build(name: str, **options: Any) -> nn.Module:
    """Return a new model of the family *name* with freshly drawn weights.

    *options* go to the family's constructor (every family takes ``dropout``). ValueError names an unknown model and
    lists the known ones; TypeError names an option the family does not have.
    """
    try:
        builder = BUILDERS[name]
    except KeyError:
        raise ValueError(f"unknown model {name!r}; known models: {', '.join(names())}") from None
    return builder(**options)
