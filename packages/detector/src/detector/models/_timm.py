"""timm's import, in one place: ``from ._timm import timm``.

timm cannot be imported without torchvision, and a torchvision built for CUDA cannot be imported with a CPU-only torch:
it ignores that its compiled operators cannot be loaded, but then registers functions for two undeclared ones, ``nms``
and ``qnms`` (pytorch/vision#9085). Declaring the two is enough; calling them still raises torchvision's error. If the
builds match, this module has no effect.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

__all__ = ["timm"]

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
library: Any = torch.library  # has no annotations
declared: list[Any] = []  # a library's operators live as long as the library


def import_torchvision() -> None:
    """Import torchvision; RuntimeError or ImportError if it fails for another reason than the above."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        declared.append(library.Library("torchvision", "FRAGMENT"))
        for operator in ("nms", "qnms"):
            declared[-1].define(operator + SCHEMA)
        importlib.import_module("torchvision")


import_torchvision()

import timm  # noqa: E402 (torchvision has to come first)
