"""The four methods of FaceForensics++, as image processing.

Each module's ``forge(target, source, rng)`` returns the target's frames with the source's face or expression. Their
input is 8-bit frames and tracked landmarks, not data of the renderer, so they also run on photographs. No neural
network is used: the name refers to the folder of FaceForensics++ and the artifacts that the method imitates. All
parameters are drawn once per clip.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import deepfakes, face2face, faceswap, neuraltextures
from .common import Footage, Forgery

METHODS: dict[str, Callable[[Footage, Footage, np.random.Generator], Forgery]] = {
    "Deepfakes": deepfakes.forge,
    "Face2Face": face2face.forge,
    "FaceSwap": faceswap.forge,
    "NeuralTextures": neuraltextures.forge,
}

__all__ = ["METHODS", "Footage", "Forgery"]
