"""Single clips: render and encode a real clip, and forge one from a pair of real clips.

Every clip is a function of the settings and its own numbers, so clips can be made separately, in any order and in any
process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from detector.errors import DataError

from .animation import animate
from .camera import photograph
from .forgeries import METHODS, Footage, Forgery
from .identity import Identity, draw_identities
from .render import Renderer, exposure
from .scene import draw_scene
from .writer import FPS

SOURCE, FORGERY = 1, 2  # purposes of the random streams
WIDTH, HEIGHT = 320, 240
UPLOAD_CRF = (16, 21)  # inclusive


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a sample. Raises `DataError` for invalid numbers."""

    identities: int = 76
    frames: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if self.identities % 2 or not 6 <= self.identities <= 1000:
            raise DataError(
                f"identities must be an even number from 6 (a pair for each split) to 1000, got {self.identities}"
            )
        if self.frames < 2:
            raise DataError(f"frames must be 2 or more, got {self.frames}")
        if self.seed < 0:
            raise DataError(f"seed must be 0 or more, got {self.seed}")


@cache
def _identities(seed: int, count: int) -> tuple[Identity, ...]:
    return tuple(draw_identities(seed, count))


@dataclass(frozen=True, slots=True)
class Filmed:
    """A clip from the camera, and the rate factor of its upload."""

    footage: Footage
    upload_crf: int


def film(settings: Settings, number: int) -> Filmed:
    """Film identity *number* in a scene of its own.

    The real clip and the forgeries are not made from this, but from its upload: encoded and decoded once with loss,
    like the web videos in FaceForensics++.
    """
    identity = _identities(settings.seed, settings.identities)[number]
    rng = np.random.default_rng([settings.seed, SOURCE, number])
    scene = draw_scene(rng, HEIGHT)
    renderer = Renderer(identity, scene, WIDTH, HEIGHT)
    expressions = animate(rng, settings.frames, FPS, scene)
    metered = exposure(*renderer.frame(expressions[0]), scene)
    frames, landmarks = [], []
    for expression in expressions:
        image, points = renderer.frame(expression)
        frames.append(photograph(image, scene, metered, rng))
        landmarks.append(points)
    upload_crf = int(rng.integers(UPLOAD_CRF[0], UPLOAD_CRF[1] + 1))
    return Filmed(Footage(np.stack(frames), np.stack(landmarks)), upload_crf)


def forge(settings: Settings, method: str, numbers: tuple[int, int], target: Footage, source: Footage) -> Forgery:
    """Forge *target* with *source* by *method*; *numbers* are those of the target's and the source's identity."""
    rng = np.random.default_rng([settings.seed, FORGERY, *numbers, list(METHODS).index(method)])
    return METHODS[method](target, source, rng)
