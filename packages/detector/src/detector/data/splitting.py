"""Splits of data without given splits: by person, so that no two splits share people."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..schema import Mismatch, brief, csv_lines, read_json, read_text, shown, within
from .index import SPLITS

__all__ = ["IDENTITIES", "assign", "drawn", "families", "has_both_classes", "read_identities", "read_persons"]

IDENTITIES = "identities.csv"
# thresholds on the hash, in proportion to the 720, 140 and 140 videos of FaceForensics++
SHARES = {"train": 0.72, "val": 0.86, "test": 1.0}
FEW = 0.2  # share of val and of test if there are too few families for the hash
BOTH = {0, 1}


def drawn(name: str) -> str:
    """Return the split of the person or family *name*: a function of the name alone."""
    return next(split for split, end in SHARES.items() if _place(name) < end)


def _place(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def families(together: Iterable[Sequence[str]]) -> Callable[[str], str]:
    """Return the function from a person to the smallest name among the persons who must stay in one split.

    *together* lists persons who are seen together.
    """
    parent: dict[str, str] = {}

    def root(person: str) -> str:
        parent.setdefault(person, person)
        while parent[person] != person:
            parent[person] = parent[parent[person]]
            person = parent[person]
        return person

    for persons in together:
        low, *others = sorted({root(person) for person in persons})
        parent.update(dict.fromkeys(others, low))
    return root


def has_both_classes(labels: Mapping[str, AbstractSet[int]], split: Mapping[str, str]) -> bool:
    """Return whether each split has real and fake files; *labels* are those of each family, *split* is its split."""
    found: dict[str, set[int]] = {part: set() for part in SPLITS}
    for name, classes in labels.items():
        found[split[name]] |= classes
    return all(classes >= BOTH for classes in found.values())


def assign(labels: Mapping[str, AbstractSet[int]]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each family, and remarks; *labels* are the classes of each family's files.

    The hash of its name selects the split of a family (`drawn`). If a split then lacks a class, which happens with a
    few dozen families, families of the same classes are divided in the order of their hashes instead, a fifth each for
    val and test and at least one for each split, and a remark says so. If there are too few families for that too, the
    hashes alone decide.
    """
    by_name = {name: drawn(name) for name in labels}
    if has_both_classes(labels, by_name):
        return by_name, []
    by_rank: dict[str, str] = {}
    for kind in ({0}, {1}, BOTH):
        ranked = sorted((name for name in labels if set(labels[name]) == kind), key=lambda name: (_place(name), name))
        each = max(int(len(ranked) >= len(SPLITS)), round(FEW * len(ranked)))
        parts = ["test"] * each + ["val"] * each
        by_rank |= dict(zip(ranked, parts + ["train"] * (len(ranked) - len(parts)), strict=True))
    if not has_both_classes(labels, by_rank):
        return by_name, []
    return by_rank, [
        f"with {len(labels)} units the hashes of the names alone leave a split without one of the classes: the units "
        "are divided in the order of the hashes, so more files can move others to another split"
    ]


def read_identities(root: Path) -> Callable[[Path], str | None]:
    """Return the function from a file below *root* to its persons in ``identities.csv``, None if it is not listed.

    The table has the columns path (a file, or a folder for all files in it, relative to the table) and identity
    (persons joined by ``+``). Without the table no file is listed. DataError names the line of a mistake.
    """
    path = root / IDENTITIES
    found = _identities(path) if path.is_file() else {}

    def identity(file: Path) -> str | None:
        inside = file.relative_to(root)
        return next((found[place] for place in (inside, *inside.parents) if place in found), None)

    return identity


def _identities(path: Path) -> dict[Path, str]:
    found: dict[Path, str] = {}
    with within(path):
        rows = csv_lines(read_text(path))
        _, columns = next(rows, (1, []))
        if columns != ["path", "identity"]:
            raise Mismatch(f"expected the columns path,identity, got {shown(','.join(columns) or 'none')}")
        for line, values in rows:
            if not values:
                continue  # an empty line
            if len(values) != len(columns):
                raise Mismatch(f"line {line}: expected {len(columns)} values, got {len(values)}")
            name, identity = (value.strip() for value in values)
            inside = PurePosixPath(name.replace("\\", "/"))
            if not name or inside.is_absolute() or ".." in inside.parts:
                raise Mismatch(f"line {line}: path must be a file or folder below {path.parent}, got {shown(name)}")
            if not all(identity.split("+")):
                raise Mismatch(
                    f"line {line}: identity must name one person, or several joined by +, got {shown(identity)}"
                )
            place = Path(inside)
            try:
                there = (path.parent / place).exists()
            except (OSError, ValueError):  # a name that is too long, or has a NUL
                there = False
            if not there:
                raise Mismatch(f"line {line}: {path.parent / brief(name)}: no such file or folder")
            if found.setdefault(place, identity) != identity:
                raise Mismatch(f"line {line}: {brief(name)} is listed twice, as {found[place]} and as {identity}")
    return found


def read_persons(path: str | Path, what: str) -> dict[str, str]:
    """Return the split of every person in the file *path*: ``{"train": ["01", ...], "val": [...], "test": [...]}``.

    *what* is the word for a person in messages.
    """
    expected = f'expected {what}s by split, {{"train": ["01", ...], "val": [...], "test": [...]}}'
    lists = read_json(path, dict[str, list[str]], expected)
    unknown = [name for name in lists if name not in SPLITS]
    if unknown:
        raise DataError(f"{path}: {unknown[0]} is not a split; {expected}")
    split: dict[str, str] = {}
    for name, persons in lists.items():
        for person in persons:
            if split.setdefault(person, name) != name:
                raise DataError(f"{path}: {what} {person} is in {split[person]} and in {name}")
    return split
