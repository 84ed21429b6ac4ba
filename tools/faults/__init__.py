"""What the pipeline survives: cases that damage, limit or kill a stage, and the table of what was tried and what held.

A family is a function that yields `Case`s for a seed; `FAMILIES` registers them. Each case runs in a forked process and
is right if the outcome is one that the family promises. Results are kept by case in a file, so a run resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAMILIES", "Case", "Family", "family"]


@dataclass(frozen=True)
class Case:
    """A case: `run` gets an empty folder and returns what went wrong, empty text if the promise held."""

    name: str
    run: Callable[[Path], str]


@dataclass(frozen=True)
class Family:
    """Cases of one kind: `cases` yields them for a seed and the folder of the sample that they damage.

    Each counts as *tries* in the table.
    """

    name: str
    promise: str
    cases: Callable[[int, Path], Iterator[Case]]
    tries: int = 1


FAMILIES: dict[str, Family] = {}


def family(
    name: str, promise: str, tries: int = 1
) -> Callable[[Callable[[int, Path], Iterator[Case]]], Callable[..., Iterator[Case]]]:
    """Register the decorated generator of cases under *name*, each of so many *tries*."""

    def register(cases: Callable[[int, Path], Iterator[Case]]) -> Callable[..., Iterator[Case]]:
        FAMILIES[name] = Family(name, promise, cases, tries)
        return cases

    return register
