"""From plain folders of real and fake images or videos, with or without a manifest, to a list of clips.

::

    {real,fake}/picture.png                      a group of its own; real and fake files of one name are one group
    {real,fake}/GROUP/**/picture.jpg             frames of one "video": a person, or a source video
    {train,val,test}/{real,fake}/...             the same, in given splits

    manifest.csv                                 path,label[,method,video,identity,split]

    identities.csv                               path,identity, beside the folders

Without ``identities.csv`` the persons are unknown, so each group counts as one identity and is in one split. Without
given splits, a hash of the group's name selects the split: about 72 % train, 14 % val and 14 % test, as in
FaceForensics++. Adding files does not move existing ones (unless there are very few, see `splitting.assign`). A name
with ``+`` (``anna+ben``) stands for several persons, and so does a fake whose name is that of a real group and, after
``_``, of others (``000_003``); a remark says what was taken from names. Groups with a common person stay in one split,
and so do identical files. With given splits, a group or identical files in two splits are an error; single files may
have the same name in two splits, which is reported. In a manifest without identities, each video is one identity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from ..errors import DataError
from ..remote import Later
from ..schema import Mismatch, brief, csv_lines, parse, read_text, shown, within
from .files import sha256
from .index import SPLITS
from .layout import GIVEN, Clip, Tree, check_root, one_class_splits
from .pictures import kind_of, not_read
from .splitting import IDENTITIES, assign, families, read_identities

MANIFEST = "manifest.csv"
CLASSES = ("real", "fake")
COLUMNS = ("path", "label", "method", "video", "identity", "split")
LABELS = {"real": 0, "0": 0, "fake": 1, "1": 1}
LONGEST_KEY = 95  # bytes; a tar header has room for 100, with the suffix


@dataclass(frozen=True, slots=True)
class File:
    """One file and its description. If `split` is empty, it follows from the names (`splitting.assign`)."""

    path: Path
    method: str
    video: str
    identity: str
    split: str
    is_video: bool = False


def has_manifest(root: Path) -> bool:
    """Return whether *root* has a manifest."""
    return (root / MANIFEST).is_file()


def is_plain(root: str | Path) -> bool:
    """Return whether *root* has a manifest, or folders ``real`` or ``fake``, in given splits or not."""
    root = Path(root)
    places = [root, *(root / split for split in SPLITS)]
    return (root / MANIFEST).is_file() or any((place / name).is_dir() for place in places for name in CLASSES)


def find_pictures(root: str | Path, later: Mapping[Path, Later] = MappingProxyType({})) -> Tree:
    """Return the images and videos below *root* as clips; see the module for the rules.

    Of the files *later*, the folder has only the start (`remote.placed`); they are compared by their MD5 if all
    those of one size have one, and otherwise read once for this.

    Raises `DataError`, naming the file and the remedy, for a folder without files or with one class only, an invalid
    manifest or table of identities, and identical files that are labelled both real and fake or are in two splits.
    """
    root = Path(root)
    check_root(root)
    if (root / MANIFEST).is_file():
        if (root / IDENTITIES).is_file():
            raise DataError(f"{root / IDENTITIES}: {MANIFEST} is there too; give identities in its column identity")
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
    family = families([file.identity.split("+") for file in files] + _same_persons(files, later))
    classes: dict[str, set[int]] = defaultdict(set)
    for file in files:
        classes[family(file.identity.split("+")[0])].add(int(file.method != "original"))
    split, more = ({}, []) if files[0].split else assign(classes)
    clips = _clips(files, family, split)
    return Tree(tuple(clips), (), (*remarks, *more, *one_class_splits(clips)))


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
    places = [root / split / name for split in splits or [""] for name in CLASSES]
    remarks = not_read(skipped, root) + _beside(root, places)
    files, about = _identified(files, root)
    remarks += about
    names = defaultdict(set)
    for file in files:
        if file.video.startswith(f"{file.split}/"):
            names[file.video.removeprefix(f"{file.split}/")].add(file.split)
    again = sorted(name for name, places in names.items() if len(places) > 1)
    if again:
        example = f"e.g. {again[0]}; taken as different people"
        remarks.append(f"{len(again)} names of single files are in two splits, {example}")
    return files, remarks


def _identified(files: Sequence[File], root: Path) -> tuple[list[File], list[str]]:
    """Return *files* with the identities of ``identities.csv`` or, where it names none, of their group, and remarks."""
    identity = read_identities(root)
    listed = {file.path: persons for file in files if (persons := identity(file.path))}
    unknown = _forged_from(file for file in files if file.path not in listed)
    described = {file.path: file for file in unknown}
    described |= {file.path: replace(file, identity=listed[file.path]) for file in files if file.path in listed}
    remarks = [f"{root / IDENTITIES} names the persons in {len(listed)} files"] if listed else []
    if unknown:
        groups = len({file.identity for file in unknown})
        more = "" if not listed else f" in the other {len(unknown)}"
        remarks.append(
            f"the persons{more} are unknown: each of {groups} groups (a folder, or a single file) counts as one "
            f"identity; to name them, write {root / IDENTITIES}"
        )
        remarks += _from_names(unknown, root)
    return [described[file.path] for file in files], remarks


def _from_names(files: Sequence[File], root: Path) -> list[str]:
    """Return a remark on the fakes that were put with real files only because of their names, if there are any."""
    real = {file.identity: file for file in files if file.method == "original"}
    joined = [
        (file, next(person for person in file.identity.split("+") if person in real))
        for file in files
        if file.method != "original" and real.keys() & set(file.identity.split("+"))
    ]
    if not joined:
        return []
    fake, person = joined[0]
    return [
        f"{len(joined)} fake files were put with real files of the same name, in one identity and split (for example "
        f"{fake.path.relative_to(root)} with {real[person].path.relative_to(root)}); {IDENTITIES} overrules it"
    ]


def _beside(root: Path, folders: Sequence[Path]) -> list[str]:
    """Return a message on the files below *root* that are in none of the *folders* that are read."""
    described = {root / "dataset.json", root / MANIFEST, root / IDENTITIES}
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
    if split and len(inner.parts) == 1:  # in given splits single files are often numbered from 0 in each of them
        group = f"{split}/{group}"
    video = str(inner.with_suffix("")) if is_video and len(inner.parts) > 1 else group
    return File(path, method, video, group, split, is_video)


def _forged_from(files: Iterable[File]) -> list[File]:
    """Return *files*; fakes named after real groups, such as ``000_003`` after ``000``, get these as identities."""
    files = list(files)
    real = {file.identity for file in files if file.method == "original"}

    def shown(file: File) -> str:
        if file.method == "original" or file.identity in real:
            return file.identity
        folder, slash, name = file.identity.rpartition("/")
        target, *others = (folder + slash + part for part in name.split("_"))
        return "+".join([target, *(other for other in others if other in real)]) if target in real else file.identity

    return [replace(file, identity=shown(file)) for file in files]


def _same_persons(files: Sequence[File], later: Mapping[Path, Later]) -> list[list[str]]:
    """Return the persons in each pair of identical files; only files of the same size are read."""
    by_size: dict[int, list[File]] = defaultdict(list)
    for file in files:
        there = later.get(file.path)
        by_size[there.size if there else file.path.stat().st_size].append(file)
    pairs = []
    for size, alike in by_size.items():
        first: dict[str, File] = {}
        for content, file in _contents(alike, later) if len(alike) > 1 and size else []:
            one = first.setdefault(content, file)
            if one is not file:
                pairs.append((one, file))
    for one, other in pairs:
        both = f"{one.path} and {other.path} are the same file"
        if (one.method == "original") != (other.method == "original"):
            raise DataError(f"{both}, labelled real and fake; remove one")
        if one.split != other.split:
            raise DataError(f"{both}, in the splits {one.split} and {other.split}; remove one")
    return [[*one.identity.split("+"), *other.identity.split("+")] for one, other in pairs]


def _contents(files: Sequence[File], later: Mapping[Path, Later]) -> Iterator[tuple[str, File]]:
    """Yield *files*, each with a hash of its content; all hashes are of one kind."""
    known = [there.md5 if (there := later.get(file.path)) else None for file in files]
    for file, md5 in zip(files, known, strict=True):
        there = later.get(file.path)
        yield md5 if md5 and all(known) else there.sha256() if there else sha256(file.path), file


def _clips(files: Sequence[File], family: Callable[[str], str], split: Mapping[str, str]) -> list[Clip]:
    groups: dict[tuple[str, str, str], list[File]] = defaultdict(list)
    for file in files:
        own = str(file.path) if file.is_video else ""  # a video is a clip, images are frames
        groups[file.method, file.video, own].append(file)
    clips = [_clip(method, name, members, family, split) for (method, name, _), members in sorted(groups.items())]
    seen: dict[str, Clip] = {}
    for clip in clips:
        other = seen.setdefault(clip.video, clip)
        if other is not clip:
            raise DataError(f"{clip.path}: has the same name as {other.path}; rename one")
    return clips


def _clip(
    method: str, name: str, members: Sequence[File], family: Callable[[str], str], split: Mapping[str, str]
) -> Clip:
    first, *others = members
    for other in others:
        for what in ("identity", "split"):
            if getattr(first, what) != getattr(other, what):
                raise DataError(
                    f"{other.path}: has {what} {shown(getattr(other, what))} and {first.path} "
                    f"{shown(getattr(first, what))}, though both are frames of {method}/{name}"
                )
    try:
        length = len(f"{GIVEN}/{method}/{name}/0000".encode())
    except UnicodeEncodeError as error:
        raise DataError(f"{shown(first.path)}: its name is not UTF-8; rename it") from error
    if length > LONGEST_KEY:
        raise DataError(f"{first.path}: the name {shown(name)} is {length - LONGEST_KEY} bytes too long; rename it")
    return Clip(
        path=first.path,
        mask=None,
        compression=GIVEN,
        method=method,
        name=name,
        identity=first.identity,
        pair=(pair := family(first.identity.split("+")[0])),
        split=first.split or split[pair],
        pictures=() if first.is_video else tuple(file.path for file in members),
    )
