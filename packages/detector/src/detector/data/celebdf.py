"""From the folders of Celeb-DF v2 to a list of clips.

::

    Celeb-real/id0_0000.mp4                 person, number
    Celeb-synthesis/id0_id1_0000.mp4        person in the video, person of the face put there, number
    YouTube-real/00000.mp4                  other people, who are not named
    List_of_testing_videos.txt              "1 YouTube-real/00170.mp4", 1 for real and 0 for fake
    splits/persons.json                     {"train": ["id0", ...], "val": [...], "test": [...]}, optional
    splits/List_of_testing_videos.txt       optional: a copy of the list, to read the published test videos only

A folder of images may stand for a video. The persons are those in the file names, as the authors name them; each video
of YouTube-real counts as a person of its own. The videos of the published list show persons of the other videos, too,
so it is not a split for training: persons are assigned to splits by ``persons.json`` or else by the hash of their name,
and forgeries across splits are left out and counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from ..schema import brief, read_text, shown
from .layout import GIVEN, Clip, Tree, check_root, one_class_splits
from .pictures import kind_of, not_read
from .splitting import IDENTITIES, assign, drawn, families, has_both_classes, read_identities, read_persons

__all__ = ["find_celebdf", "is_celebdf"]

FOLDERS = ("Celeb-real", "YouTube-real", "Celeb-synthesis")
FAKE = "Celeb-synthesis"
LISTED = "List_of_testing_videos.txt"
NAMES = {"Celeb-real": re.compile(r"(id\d+)_\d+"), FAKE: re.compile(r"(id\d+)_(id\d+)_\d+")}
FORMS = {"Celeb-real": "id0_0000", FAKE: "id0_id1_0000"}


def is_celebdf(root: Path) -> bool:
    """Return whether *root* has one of the two folders that only Celeb-DF has."""
    return (root / FAKE).is_dir() or (root / "Celeb-real").is_dir()


def find_celebdf(root: str | Path) -> Tree:
    """Return the clips of Celeb-DF v2 in the folder *root*; see the module for the rules.

    Raises `DataError`, naming the file and the remedy, if a name is not one of Celeb-DF, or a class is missing.
    """
    root = Path(root)
    check_root(root)
    identity = read_identities(root)
    clips: list[Clip] = []
    notes: list[str] = []
    named = 0
    for name in FOLDERS:
        videos, rest = _videos(root / name)
        notes += not_read(rest, root, "neither videos nor folders of images")
        if not videos:
            notes.append(f"{name}: no videos in {root / name}, skipped")
        for path, pictures in videos:
            given = identity(path)
            named += given is not None
            clips.append(_clip(path, pictures, name, given))
    labels = {clip.label for clip in clips}
    if len(labels) < 2:
        what = "no videos" if not labels else f"only {'fake' if labels == {1} else 'real'} videos"
        raise DataError(f"{root}: {what}; Celeb-DF has Celeb-real and YouTube-real (real) and {FAKE} (fake)")
    remarks = [f"{root / IDENTITIES} names the persons in {named} of {len(clips)} videos"] if named else []
    if named < len(clips):
        remarks.append(
            f"the persons in {len(clips) - named} videos are those in the names of Celeb-DF's files (id0_id1_0000: "
            "id0 with the face of id1); each video of YouTube-real counts as one person"
        )
    split, more = _split(clips, root)
    return Tree(tuple(split), tuple(notes), (*remarks, *more, *one_class_splits(split)))


def _videos(folder: Path) -> tuple[list[tuple[Path, tuple[Path, ...]]], list[Path]]:
    """Return the videos in *folder*, each with its images if it is a folder of them, and the files not read."""
    found: list[tuple[Path, tuple[Path, ...]]] = []
    rest: list[Path] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir():
            inner = sorted(file for file in path.rglob("*") if file.is_file())
            pictures = tuple(file for file in inner if kind_of(file) == "image")
            rest += [file for file in inner if file not in pictures]
            found += [(path, pictures)] if pictures else []
        elif kind_of(path) == "video":
            found.append((path, ()))
        else:
            rest.append(path)
    return found, rest


def _clip(path: Path, pictures: tuple[Path, ...], folder: str, given: str | None) -> Clip:
    """Return the clip of the video *path* in *folder*, showing the persons *given*, or those in its name; no split."""
    name = path.name if pictures else path.stem
    if folder in NAMES and given is None:
        match = NAMES[folder].fullmatch(name)
        if match is None:
            raise DataError(
                f"{path}: the name must be {FORMS[folder]} as in Celeb-DF; rename it, or write {IDENTITIES} with the "
                "columns path,identity"
            )
        given = "+".join(match.groups())
    persons = given or f"YouTube-real/{name}"
    return Clip(
        path=pictures[0] if pictures else path,
        mask=None,
        compression=GIVEN,
        method=FAKE if folder == FAKE else "original",
        name=name,
        identity=persons,
        pair=persons.split("+")[0],  # persons are swapped with many others, so clips are grouped by target
        split="",
        pictures=pictures,
    )


def _split(clips: Sequence[Clip], root: Path) -> tuple[list[Clip], list[str]]:
    """Return the *clips* that are in one split, with it, and remarks."""
    listed = root / "splits" / LISTED
    if listed.is_file():
        chosen = _listed(listed, clips)
        return [replace(clip, split="test") for clip in chosen], [
            f"only the {len(chosen)} videos of {listed} are read, all as test; without it, all videos are"
        ]
    given = root / "splits" / "persons.json"
    if given.is_file():
        split = read_persons(given, "person")
        for clip in clips:
            for person in clip.identity.split("+"):
                # people with a single video need not be listed
                if person not in split and not person.startswith("YouTube-real/"):
                    raise DataError(f"{given}: {brief(person)}, who is in {clip.path}, is in none of its lists")
        split |= {person: drawn(person) for clip in clips for person in clip.identity.split("+") if person not in split}
        kept = _inside(clips, split)
        return kept, _left_out(len(clips) - len(kept), str(given))
    split = {person: drawn(person) for clip in clips for person in clip.identity.split("+")}
    kept = _inside(clips, split)
    if has_both_classes({str(n): {clip.label} for n, clip in enumerate(kept)}, _numbered(kept)):
        remarks = _left_out(len(clips) - len(kept), f"persons (by the hashes of their names; {given} overrules it)")
    else:  # too few persons to leave out forgeries between them
        family = families(clip.identity.split("+") for clip in clips)
        classes: dict[str, set[int]] = defaultdict(set)
        for clip in clips:
            classes[family(clip.pair)].add(clip.label)
        by_family, remarks = assign(classes)
        kept = [replace(clip, split=by_family[family(clip.pair)]) for clip in clips]
        remarks.append(f"persons who are swapped with each other are in one split; {given} overrules it")
    if (root / LISTED).is_file():
        remarks.append(
            f"{LISTED} draws from the same persons as the other videos, so it is not used as a split; to read its "
            f"videos only, all as test, copy it to {listed}"
        )
    return kept, remarks


def _inside(clips: Sequence[Clip], split: dict[str, str]) -> list[Clip]:
    """Return the *clips* whose persons are in one split, with it."""
    found = []
    for clip in clips:
        splits = {split[person] for person in clip.identity.split("+")}
        if len(splits) == 1:
            found.append(replace(clip, split=splits.pop()))
    return found


def _numbered(clips: Sequence[Clip]) -> dict[str, str]:
    return {str(n): clip.split for n, clip in enumerate(clips)}


def _left_out(count: int, what: str) -> list[str]:
    return [f"forgeries across the splits of {what} are left out: {count}"] if count else []


def _listed(path: Path, clips: Sequence[Clip]) -> list[Clip]:
    """Return the *clips* that the published list *path* names; DataError for a line of another form or label."""
    by_name = {_place(clip): clip for clip in clips}
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        label, _, name = line.strip().partition(" ")
        folder = name.strip().partition("/")[0]
        if label not in ("0", "1") or folder not in FOLDERS or (label == "0") != (folder == FAKE):
            raise DataError(
                f"{path}: line {number}: expected a label (1 real, 0 fake) and a video, as in "
                f"1 YouTube-real/00170.mp4, got {shown(line)}"
            )
        clip = by_name.get(name.strip().removesuffix(".mp4"))
        if clip is not None:
            found.append(clip)
    if not found:
        raise DataError(f"{path}: none of its videos is in {path.parent.parent}")
    return found


def _place(clip: Clip) -> str:
    """Return the name of a clip in the published list, without its suffix."""
    top = clip.path.parent if not clip.pictures else next(p for p in clip.path.parents if p.name in FOLDERS)
    return f"{top.name}/{clip.name}"
