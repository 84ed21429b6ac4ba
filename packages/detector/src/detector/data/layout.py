"""The folders of FaceForensics++ as they are distributed, and its split files, to a list of clips.

::

    original_sequences/youtube/{c23,c40,raw}/videos/000.mp4
    manipulated_sequences/{Deepfakes,...}/{c23,c40,raw}/videos/000_003.mp4     target_source
    manipulated_sequences/{Deepfakes,...}/masks/videos/000_003.mp4
    splits/{train,val,test}.json                                               [["071", "054"], ...]

The split files are those of the FaceForensics repository (``dataset/splits``): pairs of persons, 360/70/70 of them. A
split follows persons, never frames: a clip shows persons of one split only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .index import SPLITS

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file and what is known of it. See `detector.data.index.Face` for the terms."""

    path: Path
    mask: Path | None
    compression: str
    method: str
    name: str
    identity: str
    pair: str
    split: str

    @property
    def video(self) -> str:
        return f"{self.method}/{self.name}"

    @property
    def label(self) -> int:
        return int(self.method != "original")


@dataclass(frozen=True, slots=True)
class Tree:
    """The clips of a tree, sorted by method and name; `notes` say in words what was asked for and is not there."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...]


def find_clips(root: str | Path, compression: str, methods: Sequence[str]) -> Tree:
    """Return the clips of the FaceForensics++ tree *root* at *compression*: the originals and those of *methods*.

    A subset that is not there is skipped and noted, and so is a clip of the splits without a file. Raises `DataError`
    if the folder, a split file or every clip is missing, a method is unknown, or a clip shows a person of no split or
    persons of two.
    """
    root = Path(root)
    _check_root(root)
    _check_methods(methods)
    partner, split = read_splits(root / "splits")
    clips: list[Clip] = []
    notes: list[str] = []
    for method in ("original", *sorted(methods)):
        videos = folder(root, method, compression)
        found = sorted(videos.glob("*.mp4"))
        if not found:
            notes.append(f"{method}: no videos in {videos}, skipped")
            continue
        clips += [_clip(path, method, compression, root, partner, split) for path in found]
        if len(found) < len(split):
            notes.append(f"{method}: {len(split) - len(found)} of the {len(split)} clips of the splits are not there")
    if not clips:
        raise DataError(f"{root}: no videos at compression {compression!r}; {_compressions(root)}")
    return Tree(tuple(clips), tuple(notes))


def folder(root: Path, method: str, compression: str) -> Path:
    """Return where the videos of *method* lie; *compression* may be ``masks``."""
    subset = Path("original_sequences/youtube") if method == "original" else Path("manipulated_sequences", method)
    return root / subset / compression / "videos"


def read_splits(splits: str | Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the partner and the split of every person in ``train.json``, ``val.json`` and ``test.json``."""
    splits = Path(splits)
    partner: dict[str, str] = {}
    split: dict[str, str] = {}
    for name in SPLITS:
        path = splits / f"{name}.json"
        for a, b in _read_pairs(path):
            for one, other in ((a, b), (b, a)):
                if one in split:
                    raise DataError(f"{path}: person {one} is already in {split[one]}.json, paired with {partner[one]}")
                partner[one], split[one] = other, name
    return partner, split


def count(clips: Iterable[Clip]) -> dict[str, dict[str, int]]:
    """Return the number of clips by method and split."""
    counts = Counter((clip.method, clip.split) for clip in clips)
    methods = sorted({method for method, _ in counts}, key=lambda method: (method != "original", method))
    return {method: {split: counts[method, split] for split in SPLITS} for method in methods}


def count_table(counts: dict[str, dict[str, int]]) -> str:
    """Return counts by method and split as lines of text."""
    lines = [f"{'':16}" + "".join(f"{split:>8}" for split in (*SPLITS, "all"))]
    for method, row in counts.items():
        lines.append(f"{method:16}" + "".join(f"{row[split]:8}" for split in SPLITS) + f"{sum(row.values()):8}")
    return "\n".join(lines)


def _clip(
    path: Path, method: str, compression: str, root: Path, partner: dict[str, str], split: dict[str, str]
) -> Clip:
    persons = path.stem.split("_")
    if len(persons) != (1 if method == "original" else 2):
        form = "PERSON.mp4" if method == "original" else "TARGET_SOURCE.mp4"
        raise DataError(f"{path}: the name must be {form} as in FaceForensics++")
    for person in persons:
        if person not in split:
            raise DataError(f"{path}: person {person} is in none of {root / 'splits'}/{{{','.join(SPLITS)}}}.json")
    if split[persons[0]] != split[persons[-1]]:
        places = " and ".join(f"{person} in {split[person]}" for person in persons)
        raise DataError(f"{path}: its persons are in two splits, {places}; a split must not share persons with another")
    pair = sorted(persons if len(persons) == 2 else (persons[0], partner[persons[0]]))
    mask = folder(root, method, "masks") / path.name
    return Clip(
        path=path,
        mask=mask if method != "original" and mask.exists() else None,
        compression=compression,
        method=method,
        name=path.stem,
        identity="+".join(persons),
        pair="_".join(pair),
        split=split[persons[0]],
    )


def _check_root(root: Path) -> None:
    if root.is_dir():
        return
    pointer = root.with_name(root.name + ".dvc")
    if pointer.exists():
        raise DataError(f"{root}: no such folder; type `dvc pull {pointer}` to get it")
    raise DataError(f"{root}: no such folder; it should hold FaceForensics++ (see docs/faceforensics.md)")


def _check_methods(methods: Sequence[str]) -> None:
    for method in methods:
        if method == "DeepFakeDetection":
            raise DataError("faces.methods: the actors of DeepFakeDetection are in no split of FaceForensics++")
        if method not in METHODS:
            raise DataError(f"faces.methods: {method!r} is unknown; FaceForensics++ has {', '.join(METHODS)}")


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; FaceForensics++'s split files belong in {path.parent}") from None
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from error
    good = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(person, str) for person in pair) for pair in pairs
    )
    if not good:
        raise DataError(f'{path}: expected pairs of persons, [["071", "054"], ...]')
    return [(a, b) for a, b in pairs]


def _compressions(root: Path) -> str:
    there = sorted({p.parent.name for p in root.glob("*_sequences/*/*/videos") if p.parent.name != "masks"})
    return f"there is {', '.join(there)}" if there else "there is no FaceForensics++ tree (see docs/faceforensics.md)"
