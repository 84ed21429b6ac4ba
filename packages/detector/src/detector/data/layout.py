"""From the folders and split files of FaceForensics++, as distributed, to a list of clips.

::

    original_sequences/youtube/{c23,c40,raw}/videos/000.mp4
    manipulated_sequences/{Deepfakes,...}/{c23,c40,raw}/videos/000_003.mp4     target_source
    manipulated_sequences/{Deepfakes,...}/masks/videos/000_003.mp4
    splits/{train,val,test}.json                                               [["071", "054"], ...]

    original_sequences/actors/{c23,c40,raw}/videos/01__kitchen_pan.mp4
    manipulated_sequences/DeepFakeDetection/{c23,c40,raw}/videos/01_02__kitchen_pan__A1B2C3D4.mp4
    splits/actors.json                                                         {"train": ["01", ...], ...}, optional

The split files are those of the FaceForensics repository (``dataset/splits``): 360, 70 and 70 pairs of persons. Splits
are by person, not by frame: a clip shows persons of one split only. DeepFakeDetection has no split, and its 28 actors
are swapped with each other in many combinations, so all of it is test unless ``actors.json`` assigns the actors to
splits. Forgeries across splits are then skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluation.values import shown

from ..errors import DataError
from ..schema import read_json
from .index import SPLITS
from .pictures import kind_of, not_read
from .splitting import read_persons


@dataclass(frozen=True, slots=True)
class Method:
    """A manipulation method of FaceForensics++ and its names in DeepfakeBench.

    label: of its videos. file: the data set that lists them. joint: its position in the data set ``FaceForensics++``,
    0 if it is not included. acted: whether its targets are the actors.
    """

    label: str
    file: str
    joint: int = 0
    acted: bool = False


# by the name of the folder below manipulated_sequences
METHODS = {
    "Deepfakes": Method("FF-DF", "FF-DF", joint=3),
    "Face2Face": Method("FF-F2F", "FF-F2F", joint=2),
    "FaceSwap": Method("FF-FS", "FF-FS", joint=4),
    "NeuralTextures": Method("FF-NT", "FF-NT", joint=1),
    "FaceShifter": Method("FF-FH", "FaceShifter"),
    "DeepFakeDetection": Method("DFD_fake", "DeepFakeDetection", acted=True),
}
ACTED = "DeepFakeDetection"
GIVEN = "given"  # the compression level of files from plain folders, whose previous compression is unknown


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file and its metadata. See `detector.data.index.Face` for the terms.

    `pictures`, if not empty, are image files used as frames; `path` is then the first of them.
    """

    path: Path
    mask: Path | None
    compression: str
    method: str
    name: str
    identity: str
    pair: str
    split: str
    pictures: tuple[Path, ...] = ()

    @property
    def video(self) -> str:
        return f"{self.method}/{self.name}"

    @property
    def label(self) -> int:
        return int(self.method != "original")


class Described(Protocol):
    """Anything with the columns of the index: a `Clip`, a `detector.data.pack.Packed`, a `Face`."""

    @property
    def video(self) -> str: ...
    @property
    def compression(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def pair(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def label(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tree:
    """The clips of a tree, grouped by method and sorted by name.

    `notes` are messages about requested data that are missing, `remarks` about the data found.
    """

    clips: tuple[Clip, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def find_clips(root: str | Path, compression: str, methods: Sequence[str]) -> Tree:
    """Return the clips of the FaceForensics++ tree *root* at *compression*: those of *methods* and their originals.

    The originals of DeepFakeDetection are the actors' videos; those of all other methods are the YouTube videos.
    Missing subsets, and clips of the splits without a file, are skipped with a note. Raises `DataError` if the folder,
    a split file or all clips are missing, a method is unknown, or a clip shows a person of no split or of two splits.
    """
    root = Path(root)
    check_root(root)
    _check_methods(methods)
    clips: list[Clip] = []
    notes: list[str] = []
    remarks: list[str] = []
    youtube = sorted(set(methods) - {ACTED})
    if youtube:
        _add_youtube(root, compression, youtube, clips, notes)
    if ACTED in methods:
        _add_acted(root, compression, clips, notes, remarks)
    if not clips:
        raise DataError(f"{root}: no videos at compression {shown(compression)}; {_compressions(root)}")
    kinds = {METHODS[clip.method].acted for clip in clips if clip.label}
    if len(kinds) == 2:
        remarks.append(
            f"{ACTED} is beside methods of YouTube videos: the metrics of each method set its fakes against all real "
            f"faces, of both; crop {ACTED} into a folder of its own for numbers that compare with published ones"
        )
    return Tree(tuple(clips), tuple(notes), (*remarks, *one_class_splits(clips)))


def folder(root: Path, method: str, compression: str, acted: bool = False) -> Path:
    """Return the folder of the videos of *method*, of the actors if *acted*; *compression* may be ``masks``."""
    originals = "original_sequences/actors" if acted else "original_sequences/youtube"
    subset = originals if method == "original" else f"manipulated_sequences/{method}"
    return root / subset / compression / "videos"


def _videos(folder: Path, notes: list[str]) -> list[Path]:
    """Return the videos in *folder*, by content, and note what else it holds."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    found = [path for path in files if kind_of(path) == "video"]
    notes += not_read([path for path in files if path not in found], folder, "not videos")
    return found


def _add_youtube(root: Path, compression: str, methods: Sequence[str], clips: list[Clip], notes: list[str]) -> None:
    """Add the clips of *methods* and the YouTube originals."""
    partner, split = read_splits(root / "splits")
    for method in ("original", *methods):
        videos = folder(root, method, compression)
        found = _videos(videos, notes)
        if not found:
            notes.append(f"{method}: no videos in {videos}, skipped")
            continue
        clips += [_paired_clip(path, method, compression, root, partner, split) for path in found]
        if len(found) < len(split):
            notes.append(f"{method}: {len(split) - len(found)} of the {len(split)} clips of the splits are not there")


def _add_acted(root: Path, compression: str, clips: list[Clip], notes: list[str], remarks: list[str]) -> None:
    """Add DeepFakeDetection and its originals."""
    path = root / "splits" / "actors.json"
    split = read_actors(path) if path.exists() else None
    across = 0
    before = len(clips)
    for method in ("original", ACTED):
        videos = folder(root, method, compression, acted=True)
        found = _videos(videos, notes)
        if not found:
            subset = "original (actors)" if method == "original" else method
            notes.append(f"{subset}: no videos in {videos}, skipped")
        acted = [_acted_clip(video, method, compression, root, split) for video in found]
        clips += [clip for clip in acted if clip is not None]
        across += acted.count(None)
    if across:
        remarks.append(f"{ACTED}: forgeries across the splits of {path} are left out: {across}")
    elif split is None and len(clips) > before:
        remarks.append(f"{ACTED} and its actors: all in test, as there is no {path}")


def _acted_clip(path: Path, method: str, compression: str, root: Path, split: dict[str, str] | None) -> Clip | None:
    """Return the clip in the file *path*, or None if its actors are in two splits."""
    actors = path.stem.partition("__")[0].split("_")
    if len(actors) != (1 if method == "original" else 2) or not all(a.isdecimal() for a in actors):
        form = "ACTOR__SCENE.mp4" if method == "original" else "TARGET_SOURCE__SCENE__CODE.mp4"
        raise DataError(f"{path}: the name must be {form} as in DeepFakeDetection")
    for actor in actors:
        if split is not None and actor not in split:
            raise DataError(f"{path}: actor {actor} is in none of the lists of {root / 'splits' / 'actors.json'}")
    splits = {"test" if split is None else split[actor] for actor in actors}
    if len(splits) > 1:
        return None
    # "actor": 01 is not a person of the other split files. Every actor is paired with many others, so clips are grouped
    # by target.
    identity = "+".join(f"actor{actor}" for actor in actors)
    return _clip(path, method, compression, root, identity, pair=f"actor{actors[0]}", split=splits.pop())


def _clip(path: Path, method: str, compression: str, root: Path, identity: str, pair: str, split: str) -> Clip:
    mask = folder(root, method, "masks") / path.name
    return Clip(
        path=path,
        mask=mask if method != "original" and mask.exists() else None,
        compression=compression,
        method=method,
        name=path.stem,
        identity=identity,
        pair=pair,
        split=split,
    )


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


def read_actors(path: str | Path) -> dict[str, str]:
    """Return the split of every actor in the file *path*: ``{"train": ["01", ...], "val": [...], "test": [...]}``."""
    return read_persons(path, "actor")


def one_class_splits(clips: Iterable[Described]) -> list[str]:
    """Return a remark for every split that has clips of one class only."""
    labels: dict[str, set[int]] = {}
    for clip in clips:
        labels.setdefault(clip.split, set()).add(clip.label)
    return [
        f"{split}: only {'fake' if labels[split] == {1} else 'real'} videos"
        for split in SPLITS
        if len(labels.get(split, ())) == 1
    ]


def count(clips: Iterable[Described], methods: Iterable[str] = ()) -> dict[str, dict[str, int]]:
    """Return the number of clips (or faces) by method and split, including zeros for *methods*."""
    counts = Counter((clip.method, clip.split) for clip in clips)
    methods = sorted({method for method, _ in counts}.union(methods), key=lambda method: (method != "original", method))
    return {method: {split: counts[method, split] for split in SPLITS} for method in methods}


def count_table(
    identities: Mapping[str, int],
    videos: Mapping[str, Mapping[str, int]],
    faces: Mapping[str, Mapping[str, int]],
    what: str = "faces",
) -> str:
    """Return the numbers of *identities* by split, and of *videos* and *faces* by method and split, as lines of text.

    Cells of the latter are ``videos / faces``; *what* replaces the word "faces".
    """
    rows = {"identities": [str(n) for n in (*(identities[split] for split in SPLITS), sum(identities.values()))]}
    for method in videos:
        numbers = zip(_with_sum(videos[method]), _with_sum(faces[method]), strict=True)
        rows[method] = [f"{n} / {m}" for n, m in numbers]
    name = max(16, *(len(method) + 1 for method in rows))
    width = max(8, *(len(cell) + 2 for cells in rows.values() for cell in cells))
    lines = ["".join([f"{f'videos / {what}':{name}}", *(f"{split:>{width}}" for split in (*SPLITS, "all"))])]
    lines += ["".join([f"{method:{name}}", *(f"{cell:>{width}}" for cell in cells)]) for method, cells in rows.items()]
    return "\n".join(lines)


def _with_sum(row: Mapping[str, int]) -> list[int]:
    return [*(row[split] for split in SPLITS), sum(row.values())]


def _paired_clip(
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
    return _clip(path, method, compression, root, "+".join(persons), "_".join(pair), split[persons[0]])


def is_tree(root: Path) -> bool:
    """Return whether *root* has a folder of FaceForensics++."""
    return any((root / name).is_dir() for name in ("original_sequences", "manipulated_sequences"))


def check_root(root: Path) -> None:
    """Raise `DataError`, with a remedy, if there is no folder *root*."""
    if root.is_dir():
        return
    pointer = root.with_name(root.name + ".dvc")
    if pointer.exists():
        raise DataError(f"{root}: no such folder; type `dvc pull {pointer}` to get it")
    raise DataError(
        f"{root}: no such folder; it should hold FaceForensics++, or real and fake images (see docs/faceforensics.md)"
    )


def _check_methods(methods: Sequence[str]) -> None:
    for method in methods:
        if method not in METHODS:
            raise DataError(f"faces.methods: {shown(method)} is unknown; FaceForensics++ has {', '.join(METHODS)}")


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        raise DataError(
            f"{path}: no such file; FaceForensics++'s split files belong in {path.parent}, they are dataset/splits of "
            "https://github.com/ondyari/FaceForensics"
        )
    return read_json(path, list[tuple[str, str]], 'expected pairs of persons, [["071", "054"], ...]')


def _compressions(root: Path) -> str:
    there = sorted({p.parent.name for p in root.glob("*_sequences/*/*/videos") if p.parent.name != "masks"})
    return f"there is {', '.join(there)}" if there else "there is no FaceForensics++ tree (see docs/faceforensics.md)"
