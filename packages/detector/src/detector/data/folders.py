"""From plain folders of real and fake images or videos, with or without a manifest, to a list of clips.

::

    {real,fake}/picture.png                      a group of its own; real and fake files of one name are one group
    {real,fake}/GROUP/**/picture.jpg             frames of one "video": a person, or a source video
    {train,val,test}/{real,fake}/...             the same, in given splits

    manifest.csv                                 path,label[,method,video,identity,split]

The persons are unknown, so each group counts as one identity and is in one split. Without given splits, a hash of the
group's name selects the split: about 72 % train, 14 % val and 14 % test, as in FaceForensics++. Adding files does not
move existing ones. A name with ``+`` (``anna+ben``) stands for several persons, and so does a fake whose name joins the
names of real groups by ``_`` (``000_003``). Groups with a common person stay in one split, and so do identical files.
With given splits, a group or identical files in two splits are an error; single files may have the same name in two
splits, which is reported. In a manifest without identities, each video is one identity.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..schema import Mismatch, brief, csv_lines, parse, read_text, shown, within
from .files import sha256
from .index import SPLITS
from .layout import GIVEN, Clip, Tree, check_root, one_class_splits
from .pictures import kind_of, not_read

MANIFEST = "manifest.csv"
CLASSES = ("real", "fake")
COLUMNS = ("path", "label", "method", "video", "identity", "split")
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}
# thresholds on the hash, in proportion to the 720, 140 and 140 videos of FaceForensics++
SHARES = {"train": 0.72, "val": 0.86, "test": 1.0}
LONGEST_KEY = 95  # bytes; a tar header has room for 100, with the suffix


@dataclass(frozen=True, slots=True)
class File:
    """One file and its description. If `split` is empty, the hash selects it."""

    path: Path
    method: str
    video: str
    identity: str
    split: str
    is_video: bool = False


def has_manifest(root: Path) -> bool:
    return (root / MANIFEST).is_file()


def is_plain(root: str | Path) -> bool:
    """Return whether *root* has a manifest, or folders ``real`` or ``fake``, in given splits or not."""
    root = Path(root)
    places = [root, *(root / split for split in SPLITS)]
    return (root / MANIFEST).is_file() or any((place / name).is_dir() for place in places for name in CLASSES)


def find_pictures(root: str | Path) -> Tree:
    """Return the images and videos below *root* as clips; see the module for the rules.

    Raises `DataError`, naming the file and the remedy, for a folder without files or with one class only, an invalid
    manifest, and identical files that are labelled both real and fake or are in two splits.
    """
    root = Path(root)
    check_root(root)
    if (root / MANIFEST).is_file():
        files = read_manifest(root / MANIFEST)
        listed = {file.path for file in files} | {root / "dataset.json", root / MANIFEST}
        others = [path for path in root.rglob("*") if path.is_file() and path not in listed]
        remarks = not_read(others, root, f"not listed in {MANIFEST}")
        unknown = {(file.method, file.video) for file in files if file.identity == file.video}
        if unknown:
            remarks.append(f"the persons in {len(unknown)} videos and images are unknown: each counts as one identity")
    else:
        files, remarks = _walk(root)
    labels = {file.method == "original" for file in files}
    if len(labels) < 2:
        what = "no images" if not labels else f"only {'real' if labels.pop() else 'fake'} images"
        raise DataError(f"{root}: {what}; both {root / 'real'} and {root / 'fake'} are needed, or a {MANIFEST}")
    family = _families(files, _same_files(files))
    clips = _clips(files, family)
    return Tree(tuple(clips), (), (*remarks, *one_class_splits(clips)))


def read_manifest(path: str | Path) -> list[File]:
    """Return the files that the table *path* lists, sorted by path.

    Columns: path (from the table's folder, below it) and label (``real`` or ``fake``, 0 or 1); method (of fakes),
    video (of which the images are frames), identity (persons, joined by ``+``) and split are optional. Raises
    `DataError`, naming the line.
    """
    path = Path(path)
    lines = _lines(path)
    files: dict[Path, File] = {}
    for where, row in lines:
        file = _listed(row, path.parent, where)
        if file.path in files:
            raise DataError(f"{where}: {file.path} is listed twice")
        files[file.path] = file
    given = {bool(file.split) for file in files.values()}
    if len(given) > 1:
        raise DataError(f"{path}: some lines have a split and some have none; give it for all files or for none")
    return sorted(files.values(), key=lambda file: file.path)


def _lines(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a manifest, each with its place."""
    with within(path):
        rows = csv_lines(read_text(path))
        _, columns = next(rows, (1, []))
        unknown = [name for name in columns if name not in COLUMNS]
        if unknown or not {"path", "label"} <= set(columns) or len(set(columns)) < len(columns):
            wrong = f"unknown: {shown(', '.join(unknown))}" if unknown else f"got {shown(', '.join(columns) or 'none')}"
            more = ", ".join(COLUMNS[2:])
            raise Mismatch(f"expected the columns path, label and optionally {more}; {wrong}")
        found = []
        for line, values in rows:
            if not values:
                continue  # an empty line
            if len(values) != len(columns):
                raise Mismatch(f"line {line}: expected {len(columns)} values, got {len(values)}")
            parse(values, list[str], f"line {line}")
            found.append((f"{path}: line {line}", dict(zip(columns, values, strict=True))))
    return found


def _listed(row: dict[str, str], root: Path, where: str) -> File:
    """Return the file in one line of a manifest."""
    values = {name: row.get(name, "").strip() for name in COLUMNS}
    relative = PurePosixPath(values["path"].replace("\\", "/"))
    if not values["path"] or relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{where}: path must be a file below {root}, got {shown(values['path'])}")
    try:
        there = (root / relative).is_file()
    except OSError as error:  # a name that is too long
        raise DataError(f"{where}: {shown(values['path'])}: {error.strerror}") from None
    if not there:
        raise DataError(f"{where}: {root / brief(str(relative))}: no such file")
    kind = kind_of(root / relative)
    if kind is None:
        raise DataError(f"{where}: {brief(str(relative))}: neither an image nor a video, by its content and its suffix")
    label = LABELS.get(values["label"].lower())
    if label is None:
        raise DataError(f"{where}: label must be real or fake, got {shown(values['label'])}")
    method = values["method"] or ("fake" if label else "original")
    if (method == "original") != (label == 0) or "/" in method:
        raise DataError(f"{where}: method must name a forgery, and be empty for real files; got {shown(method)}")
    if values["split"] not in ("", *SPLITS):
        raise DataError(f"{where}: split must be one of {', '.join(SPLITS)}, got {shown(values['split'])}")
    if values["video"] and kind == "video":
        raise DataError(f"{where}: the column video applies to images, but {brief(str(relative))} is a video")
    video = values["video"] or str(relative.with_suffix(""))
    return File(root / relative, method, video, values["identity"] or video, values["split"], kind == "video")


def _walk(root: Path) -> tuple[list[File], list[str]]:
    """Return the files below ``real`` and ``fake`` and remarks on them."""
    splits = [split for split in SPLITS if any((root / split / name).is_dir() for name in CLASSES)]
    at_top = [name for name in CLASSES if (root / name).is_dir()]
    if splits and at_top:
        raise DataError(f"{root}: has {splits[0]}/ and {at_top[0]}/ beside it; move all files into train, val and test")
    files: list[File] = []
    skipped: list[Path] = []
    for split in splits or [""]:
        for name in CLASSES:
            folder = root / split / name
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                kind = kind_of(path)
                if kind is not None:
                    files.append(_walked(path, folder, name, split, kind == "video"))
                else:
                    skipped.append(path)
    files = _forged_from(files)
    places = [root / split / name for split in splits or [""] for name in CLASSES]
    remarks = not_read(skipped, root) + _beside(root, places)
    groups = len({file.identity for file in files})
    remarks.append(
        f"the persons are unknown: each of {groups} groups (a folder, or a single file) counts as one identity; "
        f"to name them, write {root / MANIFEST}"
    )
    names = defaultdict(set)
    for file in files:
        if file.identity.startswith(f"{file.split}/"):
            names[file.video].add(file.split)
    again = sorted(name for name, places in names.items() if len(places) > 1)
    if again:
        example = f"e.g. {again[0]}; taken as different people"
        remarks.append(f"{len(again)} names of single files are in two splits, {example}")
    return files, remarks


def _beside(root: Path, folders: Sequence[Path]) -> list[str]:
    """Return a message on the files below *root* that are in none of the *folders* that are read."""
    described = {root / "dataset.json", root / MANIFEST}
    others = [
        path
        for path in root.rglob("*")
        if path.is_file() and path not in described and not any(path.is_relative_to(folder) for folder in folders)
    ]
    return not_read(others, root, f"in none of the folders {' and '.join(CLASSES)}")


def _walked(path: Path, folder: Path, name: str, split: str, is_video: bool) -> File:
    inner = path.relative_to(folder)
    method = "original" if name == "real" else "fake"
    group = inner.parts[0] if len(inner.parts) > 1 else path.stem
    # in given splits single files are often numbered from 0 in each of them
    identity = f"{split}/{group}" if split and len(inner.parts) == 1 else group
    video = str(inner.with_suffix("")) if is_video else group
    return File(path, method, video, identity, split, is_video)


def _forged_from(files: Iterable[File]) -> list[File]:
    """Return *files*; fakes named after real groups, such as ``000_003``, get these groups as identities."""
    files = list(files)
    real = {file.identity for file in files if file.method == "original"}

    def shown(file: File) -> str:
        if file.method == "original" or file.identity in real:
            return file.identity
        folder, slash, name = file.identity.rpartition("/")
        return "+".join(p for part in name.split("_") if (p := folder + slash + part) in real) or file.identity

    return [replace(file, identity=shown(file)) for file in files]


def _same_files(files: Sequence[File]) -> list[tuple[File, File]]:
    """Return pairs of identical files; only files of the same size are read."""
    by_size: dict[int, list[File]] = defaultdict(list)
    for file in files:
        by_size[file.path.stat().st_size].append(file)
    pairs = []
    for size, alike in by_size.items():
        first: dict[str, File] = {}
        for file in alike if len(alike) > 1 and size else []:
            one = first.setdefault(sha256(file.path), file)
            if one is not file:
                pairs.append((one, file))
    for one, other in pairs:
        both = f"{one.path} and {other.path} are the same file"
        if (one.method == "original") != (other.method == "original"):
            raise DataError(f"{both}, labelled real and fake; remove one")
        if one.split != other.split:
            raise DataError(f"{both}, in the splits {one.split} and {other.split}; remove one")
    return pairs


def _families(files: Iterable[File], same: Iterable[tuple[File, File]]) -> Callable[[File], str]:
    """Return the function from a file to its family: the smallest name among the persons who must stay in one split."""
    parent: dict[str, str] = {}

    def root(person: str) -> str:
        parent.setdefault(person, person)
        while parent[person] != person:
            parent[person] = parent[parent[person]]
            person = parent[person]
        return person

    def join(persons: Sequence[str]) -> None:
        low, *others = sorted({root(person) for person in persons})
        parent.update(dict.fromkeys(others, low))

    for file in files:
        join(file.identity.split("+"))
    for one, other in same:
        join([*one.identity.split("+"), *other.identity.split("+")])
    return lambda file: root(file.identity.split("+")[0])


def _drawn(family: str) -> str:
    """Return the split of *family*: a function of its name alone."""
    at = int.from_bytes(hashlib.sha256(family.encode()).digest()[:6], "big") / 2**48
    return next(split for split, end in SHARES.items() if at < end)


def _clips(files: Sequence[File], family: Callable[[File], str]) -> list[Clip]:
    groups: dict[tuple[str, str, str], list[File]] = defaultdict(list)
    for file in files:
        # in given splits, single files of different splits may have the same name
        name = f"{file.split}/{file.video}" if file.identity.startswith(f"{file.split}/") else file.video
        own = str(file.path) if file.is_video else ""  # a video is a clip, images are frames
        groups[file.method, name, own].append(file)
    clips = [_clip(method, name, members, family) for (method, name, _), members in sorted(groups.items())]
    seen: dict[str, Clip] = {}
    for clip in clips:
        other = seen.setdefault(clip.video, clip)
        if other is not clip:
            raise DataError(f"{clip.path}: has the same name as {other.path}; rename one")
    return clips


def _clip(method: str, name: str, members: Sequence[File], family: Callable[[File], str]) -> Clip:
    first, *others = members
    for other in others:
        for what in ("identity", "split"):
            if getattr(first, what) != getattr(other, what):
                raise DataError(
                    f"{other.path}: has {what} {getattr(other, what)!r} and {first.path} "
                    f"{getattr(first, what)!r}, though both are frames of {method}/{name}"
                )
    try:
        length = len(f"{GIVEN}/{method}/{name}/0000".encode())
    except UnicodeEncodeError as error:
        raise DataError(f"{first.path!r}: its name is not UTF-8; rename it") from error
    if length > LONGEST_KEY:
        raise DataError(f"{first.path}: the name {name!r} is {length - LONGEST_KEY} bytes too long; rename it")
    return Clip(
        path=first.path,
        mask=None,
        compression=GIVEN,
        method=method,
        name=name,
        identity=first.identity,
        pair=family(first),
        split=first.split or _drawn(family(first)),
        pictures=() if first.is_video else tuple(file.path for file in members),
    )

