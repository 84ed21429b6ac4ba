"""Mutation tests: a list of small faults that the tests must catch, and the command that applies them one at a time.

There is one TOML file per package. An entry has a file, a text in it, the faulty replacement, and the tests that must
fail with it. The old text must occur exactly once, so entries must follow changes of the code. Faults are applied to a
copy of the tree, never to the working tree.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "ROOT", "Fault", "problems", "read_faults"]

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
FIELDS = {"name": str, "file": str, "old": str, "new": str, "tests": list}


@dataclass(frozen=True)
class Fault:
    """If *old* in *file* is replaced by *new*, at least one of *tests* (pytest's node ids) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def compiled(self) -> bool:
        """Whether the extension must be rebuilt."""
        return not self.file.endswith(".py")

    def applied(self, root: Path) -> str:
        """Return the text of the file in the tree *root* with the fault; ValueError if it does not apply."""
        path = root / self.file
        if not path.is_file():
            raise ValueError(f"{self.name}: {self.file} does not exist")
        text = path.read_text(encoding="utf-8")
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: the old text occurs {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)


def read_faults(folder: Path = FOLDER) -> list[Fault]:
    """Return the faults listed in the TOML files of *folder*; ValueError names an invalid entry."""
    faults = []
    for path in sorted(folder.glob("*.toml")):
        for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("fault", []), 1):
            place = f"{path.name}, entry {number}"
            if entry.keys() != FIELDS.keys():
                raise ValueError(f"{place}: expected the fields {', '.join(FIELDS)}, got {', '.join(entry)}")
            for field, kind in FIELDS.items():
                if not isinstance(entry[field], kind) or (kind is list and not entry[field]):
                    raise ValueError(f"{place}: {field} must be a {kind.__name__} that is not empty")
            faults.append(Fault(**{**entry, "tests": tuple(entry["tests"])}))
    return faults


def problems(faults: list[Fault], root: Path = ROOT) -> list[str]:
    """Return the problems of *faults* in the tree *root*: duplicate names, missing texts, missing tests."""
    found, names = [], set()
    for fault in faults:
        if fault.name in names:
            found.append(f"{fault.name}: the name is used twice")
        names.add(fault.name)
        if fault.old == fault.new:
            found.append(f"{fault.name}: the new text is the old one")
        try:
            fault.applied(root)
        except ValueError as error:
            found.append(str(error))
        for test in fault.tests:
            file, _, function = test.partition("::")
            function = function.rpartition("::")[2].partition("[")[0]
            text = (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""
            if not text or (function and not re.search(rf"^ *def {re.escape(function)}\(", text, re.M)):
                found.append(f"{fault.name}: there is no test {test}")
    return found
