"""Which column of a table holds what: our columns by name, those of other tools by option, by adapter or by a guess.

Only label and score are needed. `Mapping.notes` states what was guessed, and what is assumed for missing columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Given
from dataclasses import dataclass, field

from .values import shown

__all__ = ["COLUMNS", "Mapping", "choose", "label_of_path"]

COLUMNS = ("key", "video", "compression", "frame", "method", "identity", "pair", "split", "label", "condition", "score")
NEEDED = ("label", "score")
OLD_NAME = "quality"                  # of the column `condition`
# our column -> names elsewhere, the likeliest first; compared in lower case with _ for other characters
SYNONYMS = {
    "key": (
        "image_path", "media_path", "path", "file", "filename", "file_name", "filepath", "file_path", "image",
        "sample_id", "id",
    ),
    "video": ("video_id", "video_name", "clip", "clip_id"),
    "frame": ("frame_id", "frame_number", "frame_idx", "frame_index"),
    "method": ("generator", "manipulation", "forgery", "attack", "fake_type"),
    "identity": ("person", "person_id", "subject", "subject_id", "identity_id"),
    "pair": ("pair_id",),
    "split": ("subset",),
    "label": (
        "y_true", "true_label", "target", "targets", "ground_truth", "groundtruth", "gt", "is_fake", "fake", "truth",
        "labels",
    ),
    "score": (
        "y_score", "prob", "probability", "p_fake", "prob_fake", "fake_prob", "fake_probability", "fake_score",
        "score_fake", "y_prob", "y_pred_proba", "pred_score", "scores", "prediction", "pred", "y_pred", "output",
    ),
    "condition": ("compression_quality", "jpeg_quality"),
}  # fmt: skip
WORDS = {"real": 0, "original": 0, "0_real": 0, "fake": 1, "1_fake": 1}
OVERRIDE = "--column OURS=THEIRS overrides it"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Our column -> the column of the table. With `label_from_path` the label is the class named by the face's path."""

    columns: dict[str, str]
    notes: list[str] = field(default_factory=list)
    label_from_path: bool = False
    unused: tuple[str, ...] = ()       # columns with another meaning than their name says

    def extra(self, names: tuple[str, ...]) -> list[str]:
        """Return the other columns of the table, in their order."""
        used = {*self.columns.values(), *self.unused}
        return [name for name in dict.fromkeys(names) if name and name not in used]


def choose(names: tuple[str, ...], given: Given[str, str] | None = None) -> Mapping:
    """Return the columns of a table with these *names*; *given* ones are taken as they are.

    ValueError for a given column that the table lacks, and where label or score is missing or may be several columns.
    """
    given = dict(given or {})
    for ours, theirs in given.items():
        if ours not in COLUMNS:
            raise ValueError(f"--column {ours}={theirs}: {ours} is not one of our columns: {', '.join(COLUMNS)}")
        if theirs not in names:
            raise ValueError(f"no column {theirs} (--column {ours}={theirs}); the header is {_listed(names)}")
    plain = {_plain(name) for name in names}
    if {"image_path", "prediction", "label"} == plain and "label" not in given:
        return _sidbench(names, given)
    found = {name: name for name in COLUMNS if name in names} | given
    guessed: dict[str, str] = {}
    if {"ensemble_score", "modality", "label"} <= plain and "score" not in found:
        guessed["score"] = _first(names, ("ensemble_score",))[0]
    if "condition" not in found and OLD_NAME in names:
        found["condition"] = OLD_NAME
    taken = set(found.values())
    for ours, synonyms in SYNONYMS.items():
        if ours not in found and ours not in guessed:
            there = [name for name in _first(names, (ours, *synonyms)) if name not in taken]
            if len(there) > 1 and ours in NEEDED:
                raise ValueError(f"{ours} may be {_either(there)}; choose one with --column {ours}={there[0]}")
            if there:
                guessed[ours] = there[0]
                taken.add(there[0])
    missing = [name for name in NEEDED if name not in found and name not in guessed]
    if missing == ["score"]:
        several = [name for name in names if re.search(r"(^|_)prob(_|$)", _plain(name)) and name not in taken]
        if len(several) > 1:           # a table of several detectors
            shown = several if len(several) < 8 else [*several[:6], f"{len(several) - 6} more"]
            raise ValueError(f"score may be {_either(shown)}; choose one with --column score={several[0]}")
    if missing:
        raise ValueError(
            f"no column {', '.join(missing)}; the header is {_listed(names)}; name it with --column "
            f"{missing[0]}=NAME (fake is 1, the score is P(fake))"
        )
    notes = []
    if guessed:
        notes.append(f"guessed: {', '.join(f'{ours} is {theirs}' for ours, theirs in guessed.items())}; {OVERRIDE}")
    return Mapping(found | guessed, notes)


def _sidbench(names: tuple[str, ...], given: dict[str, str]) -> Mapping:
    """Predictions of sidbench: ``Label`` is its decision, not the true class, which only the folder names tell."""
    by_name = {_plain(name): name for name in names}
    columns = {"key": by_name["image_path"], "score": by_name["prediction"]} | given
    note = (
        f"read as predictions of sidbench: its column {by_name['label']} is the decision at .5, so the class is taken "
        "from the folders of the path (0_real, 1_fake)"
    )
    return Mapping(columns, [note], label_from_path=True, unused=(by_name["label"],))


def label_of_path(path: str) -> int | None:
    """Return the class named by the last folder of a path that names one: ``.../progan/1_fake/a.png`` gives 1."""
    for part in reversed(re.split(r"[/\\]", path)[:-1]):
        if part.lower() in WORDS:
            return WORDS[part.lower()]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def _first(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[str]:
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(_plain(name), name)
    return [by_plain[name] for name in wanted if name in by_plain]


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _listed(names: tuple[str, ...]) -> str:
    return shown(",".join(names), 200)
