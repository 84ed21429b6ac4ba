"""Labels of conditions: what a face went through before it was scored.

A condition is text: steps joined by ``>``, each a name with settings (``turbo:90``, ``moz:77/4:2:0``, ``resize:0.5``).
``raw`` is the unchanged crop and a bare integer 1..100 is MozJPEG at that quality. This package does not make images,
so any other text is a label too: labels are ordered (by their file), compared and shown, never interpreted further
than in this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .values import shown

__all__ = [
    "RAW", "RESERVED", "Ends", "condition_key", "condition_keys", "encoder_quality", "ends", "family", "quality",
    "title",
]  # fmt: skip

RAW = "raw"
MOZJPEG = "moz"
# keys of metrics.json and headline.json that are not conditions
RESERVED = ("diagonal", "drop", "intervals", "lean", "matrix", "n", "notes", "scores", "undefined", "versions", "worst")


def quality(condition: str) -> int | None:
    """Return the JPEG quality that a bare integer label means, None for every other label."""
    plain = condition.isascii() and condition.isdigit() and str(int(condition)) == condition
    return int(condition) if plain and 1 <= int(condition) <= 100 else None


def encoder_quality(condition: str) -> int | None:
    """Return the quality of the last step that encodes: 77 of ``77``, ``turbo:77/4:2:0`` and ``scaled:16/77``.

    None where the last step is not an encoder (``raw``, ``resize:0.5``) or its quality is not a whole number.
    """
    last = condition.split(">")[-1]
    if quality(last) is not None:
        return quality(last)
    name, _, values = last.partition(":")
    place = {"moz": 0, "turbo": 0, "webp": 0, "scaled": 1, "smartscale": 1}.get(name)
    parts = values.split("/")
    return quality(parts[place]) if place is not None and len(parts) > place else None


def title(condition: str) -> str:
    """Return the label for figures and tables: ``uncompressed``, ``quality 77``, or the label itself."""
    if condition == RAW:
        return "uncompressed"
    return condition if quality(condition) is None else f"quality {condition}"


def family(condition: str) -> str:
    """Return the names of the steps without their settings: conditions of one family differ in settings only.

    ``raw`` is its own family and a bare integer means ``moz``: ``turbo:90>moz:60`` and ``turbo:5>77`` give
    ``turbo>moz``.
    """
    steps = condition.split(">")
    return ">".join(MOZJPEG if quality(step) is not None else re.split("[:/]", step, maxsplit=1)[0] for step in steps)


def condition_key(condition: str) -> str:
    """Return the key of a condition in JSON files: ``raw``, ``q77``, ``turbo90``, ``turbo90_resize0_5_moz60``.

    Integers get a leading ``q``. Of other labels every ``:`` is dropped and every character but letters, digits, ``_``
    and ``-`` becomes ``_``: DVC splits keys at dots. A label that equals one of our own keys gets the prefix
    ``condition_``.
    """
    if condition.isascii() and condition.isdigit():
        return f"q{condition}"
    key = re.sub(r"[^\w-]", "_", condition.replace(":", "")) or "_"
    return f"condition_{key}" if key in RESERVED else key


def condition_keys(conditions: Iterable[str]) -> dict[str, str]:
    """Return condition -> key in the given order; ValueError names two conditions that have the same key."""
    keys: dict[str, str] = {}
    owners: dict[str, str] = {}
    for condition in conditions:
        keys[condition] = key = condition_key(condition)
        if owners.setdefault(key, condition) != condition:
            raise ValueError(
                f"the conditions {shown(owners[key])} and {shown(condition)} have the same key {shown(key)} in "
                "metrics.json; rename one of them"
            )
    return keys


@dataclass(frozen=True, slots=True)
class Ends:
    """The two conditions between which the drop is measured."""

    high: str
    low: str


def ends(conditions: Sequence[str]) -> Ends | None:
    """Return the conditions between which the drop is measured, None where there are fewer than two.

    They are the first and the last member, in the given order, of the family of the first condition that is not
    ``raw``. Bare integers are ordered by quality, so ``raw, 77, 60, 10, turbo:77`` gives 77 and 10. Where this family
    has one member only, all conditions but ``raw`` are taken: ``77, turbo:10`` gives 77 and turbo:10.
    """
    others = [condition for condition in conditions if condition != RAW]
    members = [condition for condition in others if family(condition) == family(others[0])]
    if len(members) < 2:
        members = others
    if all(quality(condition) is not None for condition in members):
        members.sort(key=lambda condition: -(quality(condition) or 0))
    return Ends(members[0], members[-1]) if len(members) > 1 else None
