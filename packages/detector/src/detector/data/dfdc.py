"""From the folders of the Deepfake Detection Challenge (DFDC) to a list of clips.

::

    dfdc_train_part_0/metadata.json         {"abc.mp4": {"label": "FAKE", "split": "train", "original": "xyz.mp4"}, ...}
    dfdc_train_part_0/abc.mp4
    metadata.json, abc.mp4                  the same without parts, such as train_sample_videos

``metadata.json`` names the real video that a fake was made from: both count as one identity. It does not name the
actors, who are seen in several videos; ``identities.csv`` (`splitting.read_identities`) does, if you write one. Without
it, whole parts are kept in one split if there are three or more.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from ..errors import DataError
from ..schema import among, brief, read_json
from .layout import GIVEN, Clip, Tree, check_root, one_class_splits
from .pictures import kind_of, not_read
from .splitting import IDENTITIES, assign, families, read_identities

__all__ = ["find_dfdc", "is_dfdc"]

METADATA = "metadata.json"
EXPECTED = 'expected {"abc.mp4": {"label": "FAKE", "original": "xyz.mp4"}, ...}, as in DFDC'
PARTS = 3  # fewer are not enough for three splits


@dataclass(frozen=True, slots=True)
class Entry:
    """A video in ``metadata.json``."""

    label: Annotated[str, among("REAL", "FAKE")]
    original: str | None = None


def is_dfdc(root: Path) -> bool:
    """Return whether *root*, or a folder in it, has the metadata file of a DFDC part."""
    return (root / METADATA).is_file() or any(root.glob(f"*/{METADATA}"))


def find_dfdc(root: str | Path) -> Tree:
    """Return the clips of DFDC in the folder *root*; see the module for the rules.

    Raises `DataError`, naming the file and the remedy, for a damaged ``metadata.json``, a video listed twice, or if a
    class is missing.
    """
    root = Path(root)
    check_root(root)
    identity = read_identities(root)
    files = [root / METADATA] if (root / METADATA).is_file() else sorted(root.glob(f"*/{METADATA}"))
    clips: dict[str, Clip] = {}
    part: dict[str, str] = {}
    notes: list[str] = []
    named = 0
    for file in files:
        entries = read_json(file, dict[str, Entry], EXPECTED)
        there = {path.name: path for path in sorted(file.parent.iterdir()) if path.is_file() and path != file}
        videos = {name: path for name, path in there.items() if name in entries and kind_of(path) == "video"}
        beside = [path for name, path in there.items() if name not in videos and path.name not in _DESCRIBED]
        notes += not_read(beside, root, f"not videos that {file.relative_to(root)} lists")
        if len(videos) < len(entries):
            missing = len(entries) - len(videos)
            notes.append(f"{file.relative_to(root)}: {missing} of {len(entries)} videos are not there")
        for name, path in videos.items():
            given = identity(path)
            named += given is not None
            clip = _clip(path, entries[name], given)
            if path.stem in clips:
                raise DataError(f"{path}: has the same name as {clips[path.stem].path}; rename one")
            clips[path.stem], part[path.stem] = clip, file.parent.name
    labels = {clip.label for clip in clips.values()}
    if len(labels) < 2:
        what = "no videos" if not labels else f"only {'fake' if labels == {1} else 'real'} videos"
        raise DataError(f"{root}: {what} of those that {METADATA} lists ({len(files)} files); both classes are needed")
    split, remarks = _split(clips, part, named)
    return Tree(tuple(split), tuple(notes), (*remarks, *one_class_splits(split)))


_DESCRIBED = ("dataset.json", IDENTITIES)


def _clip(path: Path, entry: Entry, given: str | None) -> Clip:
    """Return the clip of *path*; without persons *given*, the original is the identity. It has no split yet."""
    fake = entry.label == "FAKE"
    persons = given or (Path(entry.original).stem if fake and entry.original else path.stem)
    return Clip(
        path=path,
        mask=None,
        compression=GIVEN,
        method="fake" if fake else "original",
        name=path.stem,
        identity=persons,
        pair="",
        split="",
    )


def _split(clips: dict[str, Clip], part: dict[str, str], named: int) -> tuple[list[Clip], list[str]]:
    """Return the *clips* with pair and split, and remarks; *part* is the folder of each, *named* how many have given
    persons."""
    persons = {name: clip.identity.split("+") for name, clip in clips.items()}
    together = list(persons.values())
    remarks = [f"{IDENTITIES} names the persons in {named} of {len(clips)} videos"] if named else []
    if named < len(clips):
        remarks.append(
            f"the actors in {len(clips) - named} videos are unknown: an original and its fakes, as {METADATA} names "
            f"them, count as one identity; to name the actors, write {brief(IDENTITIES)}"
        )
        if len(set(part.values())) >= PARTS:
            first: dict[str, str] = {}
            together += [[first.setdefault(part[name], people[0]), people[0]] for name, people in persons.items()]
            remarks.append(f"all videos of a part are in one split: {len(set(part.values()))} parts")
        else:
            remarks.append("originals are drawn into splits one by one, so the same actor can be in two splits")
    pair = families(persons.values())
    family = families(together)
    classes: dict[str, set[int]] = defaultdict(set)
    for name, clip in clips.items():
        classes[family(persons[name][0])].add(clip.label)
    split, more = assign(classes)
    found = [
        replace(clip, pair=pair(persons[name][0]), split=split[family(persons[name][0])])
        for name, clip in sorted(clips.items())
    ]
    return found, remarks + more
