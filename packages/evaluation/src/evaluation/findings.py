"""The result of an audit: properties that reveal the class without any trace of forgery, and leaks between splits.

`Audit` is the content of ``audit.json``. `findings` are the sentences for the top of the page and for the terminal;
`over_limit` are those for which training is refused, if the user wants that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import read_json, rounded
from .leaks import shared

if TYPE_CHECKING:
    from .scores import Scores

__all__ = [
    "Audit",
    "Leak",
    "Near",
    "OfMethod",
    "Shortcut",
    "as_json",
    "expected_number",
    "findings",
    "leak_sentence",
    "of_scores",
    "over_limit",
    "read",
    "shown",
    "text",
]

REMEDY = "run `detector audit` again to rewrite it"
EXAMPLES = 3
WIDE = 32                              # characters of a cell in the terminal
THUMBNAIL, TOGETHER = "thumbnail", "together"


@dataclass(frozen=True, slots=True)
class OfMethod:
    """The AUC of a property for real items against the fakes of one method."""

    method: str
    auc: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A property, its AUC when used alone with the interval (None: undefined, see `reason`), and its values by class.

    `name` identifies the property, `title` is its name in text. `real` and `fake` describe the two classes. `strongest`
    is the method whose fakes it separates best, None where there is one method only.
    """

    name: str
    title: str
    auc: float | None
    lo: float | None
    hi: float | None
    num_real: int
    num_fake: int
    real: str = ""
    fake: str = ""
    reason: str = ""
    strongest: OfMethod | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """What splits share: `kind` is ``person``, ``pair``, ``file`` or ``near-duplicate``.

    `count` is how many of the kind there are; `examples` name some, with the splits and items that share them.
    """

    kind: str
    count: int
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Near:
    """How near-duplicates are defined and how many there are; see `evaluation.leaks.NearDuplicates`."""

    definition: str
    limit: int
    num_near: int
    num_compared: int
    num_false: int
    num_different: int


@dataclass(frozen=True, slots=True)
class Audit:
    """The content of audit.json.

    `faces`: numbers of crops by method and split. `unit`: what the intervals are clustered by. `notable_above`: AUC
    that the lower end of an interval must pass to be a finding. `notes`: what could not be examined, and why.
    """

    faces: dict[str, dict[str, int]]
    index_sha256: str
    unit: str
    confidence: float
    notable_above: float
    fail_above: float | None
    shortcuts: list[Shortcut]
    leaks: list[Leak] = field(default_factory=list)
    near_duplicates: Near | None = None
    notes: list[str] = field(default_factory=list)

    def find(self, name: str) -> Shortcut | None:
        """Return the property *name*, None if it was not audited."""
        return next((row for row in self.shortcuts if row.name == name), None)


def read(path: str | Path) -> Audit:
    """Return the audit in the file *path*; FileError or OSError names what is wrong with it."""
    return read_json(path, Audit, REMEDY)


def as_json(audit: Audit) -> dict[str, Any]:
    """Return *audit* for JSON: numbers with six digits, None where undefined."""
    found = asdict(audit)
    for row in found["shortcuts"]:
        for one in (row, row["strongest"] or {}):
            one |= {name: rounded(one[name]) for name in ("auc", "lo", "hi") if one.get(name) is not None}
    return found


def findings(audit: Audit, detector: Mapping[str, tuple[float, str]] | None = None) -> list[str]:
    """Return the main findings about the data, leaks before shortcuts.

    A shortcut is notable if the interval of its AUC, or of that for one method, lies above `notable_above`, or if its
    AUC reaches that of the detector in one of the conditions: *detector* has the AUC, and its text with the interval,
    by name of the condition.
    """
    found = [leak_sentence(leak, audit.near_duplicates) for leak in audit.leaks]
    for row in audit.shortcuts:
        if row.auc is None:
            continue
        above = row.lo is not None and row.lo > audit.notable_above
        reached = {name: text for name, (auc, text) in (detector or {}).items() if 0.5 < row.auc >= auc}
        if above or reached:
            found.append(_shortcut_sentence(row, above, reached))
        if not above and row.strongest is not None and row.strongest.lo > audit.notable_above:
            best = row.strongest
            told = _told(row, f"the fakes by {best.method}")
            found.append(f"{told} {best.auc:.3f} [{best.lo:.3f}, {best.hi:.3f}].")
    return found


def over_limit(audit: Audit) -> list[str]:
    """Return the findings for which training is refused: leaks, and intervals above `fail_above`."""
    if audit.fail_above is None:
        return []
    return findings(replace(audit, notable_above=audit.fail_above))


def of_scores(scores: Scores) -> list[Leak]:
    """Return the people and pairs that the splits of a table of scores share."""
    clips = scores.video.codes.astype(np.int64) * len(scores.split.names) + scores.split.codes
    _, rows = np.unique(clips, return_index=True)                        # a row of each video in each split
    splits, videos, identities, pairs = (
        getattr(scores, name)[rows].tolist() for name in ("split", "video", "identity", "pair")
    )
    found = []
    for kind, names in (("person", [name.split("+") for name in identities]), ("pair", [[name] for name in pairs])):
        leaks = shared(names, splits, videos)
        if leaks:
            examples = [
                f"{one.name}: " + ", ".join(f"{video} in {split}" for split, video in one.items.items())
                for one in leaks[:EXAMPLES]
            ]
            found.append(Leak(kind, len(leaks), examples))
    return found


def leak_sentence(leak: Leak, near: Near | None = None) -> str:
    """Return what the splits share as a sentence."""
    examples = "; ".join(leak.examples[:EXAMPLES])
    what = {
        "person": ("person is", "people are"),
        "pair": ("pair or group of people is", "pairs or groups of people are"),
        "file": ("file is", "files are"),
    }
    if leak.kind in what:
        return f"{leak.count} {what[leak.kind][leak.count != 1]} in more than one split ({examples})."
    chance = "" if near is None else _chance(near)
    if leak.count == 1:
        return f"1 crop pair across splits is a near-duplicate{chance} ({examples})."
    return f"{leak.count} crop pairs across splits are near-duplicates{chance} ({examples})."


def _chance(near: Near) -> str:
    if near.num_different and not near.num_false:
        return f", and none of {near.num_different} crop pairs of different people within a split is one"
    return f", where {expected_number(near)} would be expected by chance"


def expected_number(near: Near) -> str:
    """Return how many near-duplicates across splits are expected by chance, from the rate among different people."""
    if not near.num_different:
        return "an unknown number"
    expected = near.num_false / near.num_different * near.num_compared
    if near.num_false:
        return f"about {expected:.2g}"
    return f"fewer than {max(3 / near.num_different * near.num_compared, 0.01):.2g}"  # the rule of three


def _shortcut_sentence(row: Shortcut, above: bool, reached: Mapping[str, str]) -> str:
    sentence = f"{_told(row)} {shown(row)}"
    if above and row.real and row.fake and row.name not in (THUMBNAIL, TOGETHER):
        sentence += f" (real: {row.real}; fake: {row.fake})"
    if reached:
        names = [f"{name}: {text}" for name, text in reached.items()]
        more = "" if len(names) <= EXAMPLES else f", and {len(names) - EXAMPLES} more"
        sentence += f", no less than the detector ({', '.join(names[:EXAMPLES])}{more})"
    return f"{sentence}."


def _told(row: Shortcut, fakes: str = "fake") -> str:
    by = row.title if row.name == TOGETHER else f"{row.title} alone"
    if row.name == THUMBNAIL:
        by = f"a linear model of {row.title}"
    return f"Real and {fakes} can be told apart by {by}: AUC"


def shown(row: Shortcut) -> str:
    """Return an AUC with its interval, or why it is undefined."""
    if row.auc is None:
        return f"undefined ({row.reason})"
    if row.lo is None or row.hi is None:
        return f"{row.auc:.3f} ({row.reason})" if row.reason else f"{row.auc:.3f}"
    return f"{row.auc:.3f} [{row.lo:.3f}, {row.hi:.3f}]"


def text(audit: Audit) -> str:
    """Return the audit for a terminal: a table of shortcuts, the leaks, and the findings."""
    crops = sum(sum(by_split.values()) for by_split in audit.faces.values())
    lines = [f"{crops} crops; AUC of each property alone with {100 * audit.confidence:g} % intervals by {audit.unit}"]
    table = [("property", "AUC", "real", "fake")]
    table += [(row.title, shown(row), _cut(row.real), _cut(row.fake)) for row in audit.shortcuts]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    near = audit.near_duplicates
    if near is not None:
        lines.append(
            f"near-duplicates across splits: {near.num_near} of {near.num_compared} crop pairs differ in at most "
            f"{near.limit} bits; {near.num_false} of {near.num_different} crop pairs of different people do"
        )
    lines += audit.notes
    found = findings(audit)
    lines += [f"finding: {one}" for one in found] or ["nothing notable found"]
    return "\n".join(lines)


def _cut(words: str) -> str:
    return words if len(words) <= WIDE else f"{words[: WIDE - 3]}..."
