"""Everything the page shows, read from the files of the other stages and checked against their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import explain, tables
from .conditions import RAW, condition_keys
from .explain import Explained
from .files import Picture, check, read_csv, read_json, read_json_lines, read_png
from .records import Dataset, Faces, Failure, Fidelity, LogLine, Panel, Step
from .scores import Scores, read
from .summary import Summary

__all__ = ["Material", "Sources", "gather"]


@dataclass(frozen=True, slots=True)
class Sources:
    """The files the page is made of. A section whose file is None is left out."""

    metrics: Path
    scores: Path
    tables: Path
    fidelity: Path | None = None           # folder of panels.csv and its pictures
    fidelity_summary: Path | None = None   # fidelity.json
    faces: Path | None = None              # summary.json of the faces stage
    failures: Path | None = None           # failures.csv of the faces stage
    training: Path | None = None           # folder of model.json and log.jsonl
    explain: Path | None = None            # folder of maps.csv, localization.csv, features.npy and features.csv
    quality: str | None = None             # JPEG quality the model was trained on
    allow_nan: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """The content of the `Sources`."""

    summary: Summary
    scores: Scores                         # test split
    panels: list[list[Panel]] = field(default_factory=list)                # by face
    pictures: dict[str, Picture] = field(default_factory=dict)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)            # by condition
    faces: Faces = field(default_factory=Faces)
    failures: list[Failure] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    history: list[Step] = field(default_factory=list)
    explained: Explained | None = None
    quality: str | None = None

    @property
    def dataset(self) -> Dataset:
        return self.faces.dataset or Dataset()

    @property
    def rates(self) -> dict[str, float]:
        """Mean bits per pixel by condition, ``raw`` excluded."""
        return {name: found.bits_per_pixel for name, found in self.fidelity.items() if name != RAW}

    @property
    def reference(self) -> str | None:
        """The first condition of `conditions.ends`, or the only condition there is."""
        ends = self.summary.ends()
        return ends.high if ends else next(iter(self.summary.conditions[::-1]), None)


FACES = "run `detector faces` again to rewrite it"
FIDELITY = "run `detector fidelity` again to rewrite it"
TRAIN = "run `detector train` again to rewrite it"


def gather(sources: Sources) -> Material:
    """Read all *sources*; ValueError or OSError names the file that cannot be used."""
    summary = tables.read_summary(sources.metrics, sources.tables)
    panels, pictures = _panels(sources.fidelity) if sources.fidelity else ([], {})
    return Material(
        summary=summary,
        scores=read(sources.scores, allow_nan=sources.allow_nan).where(split="test"),
        panels=panels,
        pictures=pictures,
        fidelity=_fidelity(sources.fidelity_summary, summary.conditions) if sources.fidelity_summary else {},
        faces=read_json(sources.faces, Faces, FACES) if sources.faces else Faces(),
        failures=read_csv(sources.failures, Failure, FACES) if sources.failures else [],
        model=read_json(sources.training / "model.json", dict[str, Any], TRAIN) if sources.training else {},
        history=_history(sources.training / "log.jsonl") if sources.training else [],
        explained=explain.read(sources.explain) if sources.explain else None,
        quality=sources.quality,
    )


def _panels(folder: Path) -> tuple[list[list[Panel]], dict[str, Picture]]:
    rows = read_csv(folder / "panels.csv", Panel, FIDELITY)
    faces: dict[str, list[Panel]] = {}
    for row in rows:
        faces.setdefault(row.key, []).append(row)
    return list(faces.values()), {row.file: read_png(folder, row.file, FIDELITY) for row in rows}


def _fidelity(path: Path, names: list[str]) -> dict[str, Fidelity]:
    """Return the entries of fidelity.json that belong to the conditions *names*."""
    found = read_json(path, dict[str, Any], FIDELITY)
    keys = condition_keys(names)
    return {name: check(found[key], Fidelity, path, key, FIDELITY) for name, key in keys.items() if key in found}


def _history(path: Path) -> list[Step]:
    return [row.point for row in read_json_lines(path, LogLine, TRAIN) if row.point]
