"""Sample videos: procedural talking faces and four forgeries of each, in the layout of FaceForensics++.

FaceForensics++ may not be redistributed, so this set replaces it: H.264 clips of rendered heads that exercise the whole
pipeline and are small enough for the repository's DVC remote. **Results on it do not apply to real deepfakes.**

`identity` draws the person and `scene` the setting; `relief`, `skin` and `hair` paint the static `head` on a `canvas`;
`animation` moves it; `eyes` and `mouth` are painted per frame; `shading`, `render` and `camera` produce the image;
`forgeries` manipulates the decoded clips; `clips` makes one clip, `dataset` all of them. The only random generators are
``default_rng([seed, purpose, ...])``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["generate"]


def generate(
    out: str | Path, *, identities: int = 76, frames: int = 24, seed: int = 0, workers: int = 1
) -> dict[str, Any]:
    """Make a sample of *identities* people (even) with clips of *frames* frames in the folder *out*.

    Returns the description that is written to ``dataset.json``. An interrupted sample with the same settings is
    completed. On one kind of machine, the bytes depend only on *identities*, *frames* and *seed*. Raises
    `detector.errors.DataError` for invalid numbers and for a folder with other content.
    """
    from .clips import Settings
    from .dataset import generate as make

    return make(out, Settings(identities=identities, frames=frames, seed=seed), workers)
