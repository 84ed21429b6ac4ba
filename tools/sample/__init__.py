"""Sample videos: procedural talking faces and four forgeries of each, in the layout of FaceForensics++.

FaceForensics++ may not be passed on, so this set stands in: real H.264 clips of rendered heads, small enough to live in
the repository's DVC remote, that exercise the whole pipeline. **Nothing follows from it for real deepfakes.**

`identity` draws who is shown, `scene` where; `relief`, `skin` and `hair` paint the still `head` on a `canvas`;
`animation` moves it, `eyes` and `mouth` are painted per frame, `shading`, `render` and `camera` make the picture;
`forgeries` works on the decoded clips; `clips` makes one clip, `dataset` all of them. Randomness comes from
``default_rng([seed, purpose, ...])`` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["generate"]


def generate(
    out: str | Path, *, identities: int = 76, frames: int = 24, seed: int = 0, workers: int = 1
) -> dict[str, Any]:
    """Make a sample of *identities* people (even) with clips of *frames* frames in the folder *out*.

    Returns the description that is written to ``dataset.json``. A finished or interrupted sample of the same settings
    is completed; the bytes depend on *identities*, *frames* and *seed* alone, on one kind of machine. Raises
    `detector.errors.DataError` for impossible numbers and for a folder that holds anything else.
    """
    from .clips import Settings
    from .dataset import generate as make

    return make(out, Settings(identities=identities, frames=frames, seed=seed), workers)
