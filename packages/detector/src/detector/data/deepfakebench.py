"""Read and write DeepfakeBench's dataset files.

``{dataset: {label: {split: {compression: {video: {"label": ..., "frames": [...], "masks": [...]}}}}}}``, one file
per dataset: ``FF-DF``, ``FF-F2F``, ``FF-FS``, ``FF-NT`` with the originals and one method each, ``FaceForensics++``
with all four, ``FaceShifter``, and ``DeepFakeDetection`` with the actors. Crops from plain folders form the dataset
``Given``, with one label per method. Our files have sorted relative paths and an additional key, ``root``: the folder
that the paths are relative to, itself relative to the file. ``detector unpack`` writes the crops to these paths;
``detector pack`` reads our files and DeepfakeBench's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..schema import parse, read_json, within
from .files import whole_file
from .index import SPLITS, Face
from .layout import GIVEN, METHODS

REAL, ACTORS = "FF-real", "DFD_real"  # labels of the YouTube originals and of the actors
# method -> label of its videos
LABELS = {"original": REAL} | {name: method.label for name, method in METHODS.items()}
# data set (its file) -> labels
DATASETS: dict[str, tuple[str, ...]] = {
    method.file: (ACTORS if method.acted else REAL, method.label) for method in METHODS.values()
}
JOINT = "FaceForensics++"
DATASETS[JOINT] = (REAL, *(m.label for m in sorted(METHODS.values(), key=lambda m: m.joint) if m.joint))
REMEDY = "expected {dataset: {label: {split: {compression: {video: {label, frames, masks}}}}}}, as in DeepfakeBench"
PLAIN = "Given"  # not DeepfakeBench's


@dataclass(frozen=True, slots=True)
class Video:
    """One video of a DeepfakeBench file. `compression` is None where the dataset has no levels, e.g. Celeb-DF."""

    dataset: str
    label: str
    split: str
    compression: str | None
    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]


def label_of(face: Face) -> str:
    """Return DeepfakeBench's label of a face: ``FF-real``, ``FF-DF``, ``DFD_real``, ..."""
    if face.compression == GIVEN or face.method not in LABELS:
        return f"{PLAIN}_{'real' if face.method == 'original' else face.method}"
    return ACTORS if is_acted(face) else LABELS[face.method]


def is_acted(face: Face) -> bool:
    """Return whether a real face is one of DeepFakeDetection's actors, whose videos are called ``01__kitchen_pan``."""
    return face.method == "original" and face.compression != GIVEN and "__" in face.video


def frame_path(face: Face, level: str | None = None, suffix: str = ".png", kind: str = "frames") -> str:
    """Return DeepfakeBench's path of a crop, ``FaceForensics++/manipulated_sequences/Deepfakes/c23/frames/...``.

    *level* (``q10``) replaces the compression level for crops that were recompressed; *kind* is ``frames`` or
    ``masks``.
    """
    name = face.video.partition("/")[2]
    if face.compression == GIVEN:
        return f"{PLAIN}/{face.method}/{level or GIVEN}/{kind}/{name}/{face.frame:04d}{suffix}"
    originals = "original_sequences/actors" if is_acted(face) else "original_sequences/youtube"
    subset = originals if face.method == "original" else f"manipulated_sequences/{face.method}"
    return f"FaceForensics++/{subset}/{level or face.compression}/{kind}/{name}/{face.frame:04d}{suffix}"


def write_deepfakebench(
    folder: str | Path,
    faces: Iterable[Face],
    masked: Collection[str] = (),
    level: str | None = None,
    suffix: str = ".png",
) -> list[Path]:
    """Write the dataset files of *faces* into *folder* and return their paths; *masked* are the keys with a mask.

    A dataset with a label without faces is omitted, except ``FaceForensics++``, which then has the remaining labels.
    """
    tree: dict[str, dict[str, Any]] = {}
    for face in faces:
        label = label_of(face)
        splits = tree.setdefault(label, {split: {level or face.compression: {}} for split in SPLITS})
        videos = splits[face.split].setdefault(level or face.compression, {})
        video = videos.setdefault(face.video.partition("/")[2], {"label": label, "frames": []})
        video["frames"].append(frame_path(face, level, suffix))
        if face.label:
            masks = video.setdefault("masks", [])
            if face.key in masked:
                masks.append(frame_path(face, level, ".png", "masks"))
    written = []
    given = sorted(label for label in tree if label.startswith(f"{PLAIN}_"))
    for dataset, labels in (DATASETS | ({PLAIN: tuple(given)} if given else {})).items():
        there = [label for label in labels if label in tree]
        if there == list(labels) or (dataset == JOINT and len(there) > 1 and REAL in there):
            path = Path(folder) / f"{dataset}.json"
            content = {dataset: {label: tree[label] for label in there}, "root": "."}
            with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.write("\n")
            written.append(path)
    return written


def read_deepfakebench(path: str | Path, root: str | Path | None = None) -> list[Video]:
    """Return the videos in the DeepfakeBench file *path*, ours or theirs, sorted; frames are sorted by their number.

    Relative paths are joined to *root*, by default the file's ``root`` relative to the file. Backslashes count as
    slashes. Raises `DataError`, naming the place, if the file does not have this structure.
    """
    path = Path(path)
    content = read_json(path, dict[str, Any], REMEDY)
    with within(path, REMEDY):
        own = parse(content.pop("root", "."), str, "root")
        base = Path(root) if root is not None else path.parent / own
        videos = [
            video
            for dataset, labels in content.items()
            for label, splits in parse(labels, dict[str, Any], dataset).items()
            for split, inner in parse(splits, dict[str, Any], f"{dataset}.{label}").items()
            for video in _videos(inner, base, (dataset, label, split))
        ]
    return sorted(videos, key=lambda v: (v.dataset, v.label, v.split, v.compression or "", v.name))


@dataclass(frozen=True, slots=True)
class Listed:
    """A video in the JSON file."""

    label: str
    frames: list[str]
    masks: list[str] = field(default_factory=list)


def _videos(inner: Any, base: Path, place: tuple[str, str, str]) -> Iterator[Video]:
    where = ".".join(place)
    for name, value in parse(inner, dict[str, Any], where).items():
        if isinstance(value, dict) and "frames" in value:
            yield _video(value, base, place, None, name, f"{where}.{name}")
        else:  # a level of compression
            for video, info in parse(value, dict[str, Any], f"{where}.{name}").items():
                yield _video(info, base, place, name, video, f"{where}.{name}.{video}")


def _video(
    info: Any, base: Path, place: tuple[str, str, str], compression: str | None, name: str, where: str
) -> Video:
    dataset, _, split = place
    listed = parse(info, Listed, where)
    return Video(
        dataset, listed.label, split, compression, name, _paths(listed.frames, base), _paths(listed.masks, base)
    )


def _paths(names: list[str], base: Path) -> tuple[Path, ...]:
    paths = [base / PurePosixPath(name.replace("\\", "/")) for name in names]
    return tuple(sorted(paths, key=lambda p: (int(p.stem), p.name) if p.stem.isdecimal() else (-1, p.name)))
