"""Sample videos: procedural talking faces and four forgeries of each, in the layout of FaceForensics++.

FaceForensics++ may not be redistributed, so this set replaces it: H.264 clips of rendered heads that exercise the whole
pipeline and are small enough for the repository's DVC remote. **Results on it do not apply to real deepfakes.**

`identity` draws the person and `scene` the setting; `relief`, `skin` and `hair` paint the static `head` on a `canvas`;
`animation` moves it; `eyes` and `mouth` are painted per frame; `shading`, `render` and `camera` produce the image;
`forgeries` manipulates the decoded clips; `clips` makes one clip, `dataset` all of them. The only random generators are
``default_rng([seed, purpose, ...])``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.errors import DataError

__all__ = ["generate"]


def generate(
    out: str | Path,
    *,
    identities: int = 76,
    frames: int = 24,
    seed: int = 0,
    workers: int = 1,
    splits: Mapping[str, int] | None = None,
    compressions: Sequence[str] = ("c23", "c40"),
    masks: bool = True,
) -> dict[str, Any]:
    """Make a sample of *identities* people (even) with clips of *frames* frames in the folder *out*.

    *splits* are the pairs of each split, half of *identities* in all; by default 22 : 4 : 12. Clips are written in each
    of *compressions*, and masks of the forgeries unless *masks* is false.

    Returns the description that is written to ``dataset.json``. An interrupted sample with the same settings is
    completed. On one kind of machine, the bytes of a clip depend only on *identities*, *frames* and *seed*. Raises
    `detector.errors.DataError` for invalid numbers and for a folder with other content.
    """
    from .clips import Settings
    from .dataset import COMPRESSIONS, Selection
    from .dataset import generate as make

    unknown = [name for name in compressions if name not in COMPRESSIONS]
    if unknown or not compressions or len(set(compressions)) < len(compressions):
        raise DataError(f"compressions are {' and '.join(COMPRESSIONS)}, each at most once, got {list(compressions)}")
    if splits is not None and (
        not splits.keys() <= {"train", "val", "test"}
        or min(splits.values(), default=0) < 1
        or 2 * sum(splits.values()) != identities
    ):
        raise DataError(
            f"splits must be pairs of train, val and test that add up to {identities // 2}, got {dict(splits)}"
        )
    selection = Selection(None if splits is None else tuple(splits.items()), tuple(compressions), masks)
    return make(out, Settings(identities=identities, frames=frames, seed=seed), workers, selection)
