"""Everything the page shows, read from the files of the other stages and checked against their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import explain, tables
from .conditions import RAW, condition_keys
from .explain import Explained
from .files import FileError, Picture, check, read_csv, read_json, read_json_lines, read_png
from .matrix import Matrix
from .metrics import balanced_accuracy, youden_threshold
from .records import Dataset, Faces, Failure, Fidelity, LogLine, Model, Panel, Step
from .scores import Scores, read
from .summary import Summary
from .usefulness import Margins

__all__ = ["Material", "Sources", "gather"]


@dataclass(frozen=True, slots=True)
class Sources:
    """The files the page is made of. A section whose file is None is left out."""

    metrics: Path
    scores: Path
    tables: Path
    fidelity: Path | None = None           # folder of panels.csv and its images
    fidelity_summary: Path | None = None   # fidelity.json
    faces: Path | None = None              # summary.json of the faces stage
    failures: Path | None = None           # failures.csv of the faces stage
    training: Path | None = None           # folder of model.json and log.jsonl
    explain: Path | None = None            # folder of maps.csv, localization.csv, features.npy and features.csv
    allow_nan: bool = False
    margins: Margins = field(default_factory=Margins)


@dataclass(frozen=True, slots=True)
class Material:
    """The content of the `Sources`."""

    summary: Summary
    matrix: Matrix
    scores: Scores                         # test split
    panels: list[list[Panel]] = field(default_factory=list)                # by face
    pictures: dict[str, Picture] = field(default_factory=dict)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)            # by condition
    faces: Faces = field(default_factory=Faces)
    failures: list[Failure] = field(default_factory=list)
    model: Model = field(default_factory=Model)
    settings: dict[str, Any] = field(default_factory=dict)                 # all of model.json
    history: list[Step] = field(default_factory=list)
    explained: Explained | None = None
    margins: Margins = field(default_factory=Margins)

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


SAME_GAIN = 0.01  # balanced accuracy
SAME_SCORE = 1e-3  # scores of one face by one model differ less, whatever the batch size
LEARNED_FROM = ("train", "val")  # splits
FACES = "run `detector faces` again to rewrite it"
FIDELITY = "run `detector fidelity` again to rewrite it"
TRAIN = "run `detector train` again to rewrite it"


def gather(sources: Sources) -> Material:
    """Read all *sources*; FileError or OSError names the file that cannot be used or is of another run."""
    material, scores = _read(sources)
    _check_scores(sources, material.summary, scores)
    if sources.faces and not scores.dropped:
        _check_faces(sources, material.faces, scores)
    if sources.fidelity_summary and sources.faces:
        _check_fidelity(sources, material.faces)
    if sources.training:
        _check_model(sources, material, scores)
    if sources.explain and material.explained:
        _check_explained(sources, material.explained, scores)
    return material


def _check_scores(sources: Sources, summary: Summary, scores: Scores) -> None:
    if summary.source != scores.source:
        raise FileError(
            f"{sources.metrics} and {sources.tables} are not of {sources.scores}: its SHA-256 or number of rows "
            "differs. Two runs are mixed; run `evaluation metrics` on these scores first"
        )


def _check_faces(sources: Sources, faces: Faces, scores: Scores) -> None:
    """Refuse the summary of faces that are not those of the scores: numbers by method and split differ."""
    for split in np.unique(scores.split):
        here = scores[scores.split == split]
        for method in np.unique(here.method):
            count = len(np.unique(here.key[here.method == method]))
            expected = faces.faces.get(str(method), {}).get(str(split), 0)
            if faces.faces and count != expected:
                raise FileError(
                    f"{sources.faces} counts {expected} faces of {method} in the split {split}, {sources.scores} has "
                    f"{count}: two runs are mixed; give the summary of the faces that were scored"
                )


def _check_fidelity(sources: Sources, faces: Faces) -> None:
    assert sources.fidelity_summary
    measured = read_json(sources.fidelity_summary, _Measured, FIDELITY).n.get("faces")
    counted = sum(sum(counts.values()) for counts in faces.faces.values())
    if measured is not None and counted and measured != counted:
        raise FileError(
            f"{sources.fidelity_summary} is of {measured} faces, {sources.faces} of {counted}: two runs are mixed; "
            "run `detector fidelity` on these faces"
        )


def _check_model(sources: Sources, material: Material, scores: Scores) -> None:
    """Refuse a model whose validation thresholds are not those of the scores.

    Only where it was trained on the faces that were scored. A threshold passes if it is the same or separates the
    validation faces equally well: scores that differ in their last digits may swap two equally good thresholds.
    """
    assert sources.training
    model = material.model
    if model.data is None or _learned_from(model.data.faces) != _learned_from(material.faces.faces):
        return
    val = scores.where(split="val")
    for condition, found in model.thresholds.items():
        here = val.where(condition=condition)
        best, stored = youden_threshold(here.label, here.score), found.frame.threshold
        if stored is None or np.isnan(best):
            continue
        gains = [balanced_accuracy(here.label, here.score, threshold) for threshold in (best, stored)]
        if abs(best - stored) > SAME_SCORE and gains[0] - gains[1] > SAME_GAIN:
            raise FileError(
                f"{sources.training / 'model.json'}: its threshold in condition {condition} is {stored:.4f}, the "
                f"validation scores of {sources.scores} give {best:.4f}: two runs are mixed; run `detector score` with "
                "this model"
            )


def _learned_from(faces: dict[str, dict[str, int]]) -> dict[tuple[str, str], int]:
    """Return the numbers of faces in the splits that training reads; the training crops hold no test faces."""
    counts = {(method, split): by_split.get(split, 0) for method, by_split in faces.items() for split in LEARNED_FROM}
    return {which: count for which, count in counts.items() if count}


def _check_explained(sources: Sources, explained: Explained, scores: Scores) -> None:
    """Refuse maps and vectors of another model: their scores differ from those of the table."""
    assert sources.explain
    found = zip(scores.key.tolist(), scores.condition.tolist(), scores.score.tolist(), strict=True)
    of = {(key, condition): score for key, condition, score in found}
    vectors = explained.features
    rows = [("maps.csv", row.key, row.condition, row.score) for face in explained.faces for row in face]
    columns = (vectors.key.tolist(), vectors.condition.tolist(), vectors.score.tolist())
    rows += [("features.csv", *row) for row in zip(*columns, strict=True)]
    for name, key, condition, score in rows:
        expected = of.get((key, condition))
        if expected is None and scores.dropped:
            continue
        if expected is None or abs(expected - score) > SAME_SCORE:
            shown = "no score" if expected is None else f"the score {expected:.4f}"
            raise FileError(
                f"{sources.explain / name}: the score of {key} in condition {condition} is {score:.4f}, "
                f"{sources.scores} has {shown}: two runs are mixed; run `detector explain` with this model and faces"
            )


@dataclass(frozen=True, slots=True)
class _Measured:
    """The part of fidelity.json that says how many crops were measured."""

    n: dict[str, int] = field(default_factory=dict)


def _read(sources: Sources) -> tuple[Material, Scores]:
    summary, matrix = tables.read_results(sources.metrics, sources.tables)
    scores = read(sources.scores, allow_nan=sources.allow_nan)
    panels, pictures = _panels(sources.fidelity) if sources.fidelity else ([], {})
    material = Material(
        summary=summary,
        matrix=matrix,
        scores=scores.where(split="test"),
        panels=panels,
        pictures=pictures,
        fidelity=_fidelity(sources.fidelity_summary, summary.conditions) if sources.fidelity_summary else {},
        faces=read_json(sources.faces, Faces, FACES) if sources.faces else Faces(),
        failures=read_csv(sources.failures, Failure, FACES) if sources.failures else [],
        model=read_json(sources.training / "model.json", Model, TRAIN) if sources.training else Model(),
        settings=read_json(sources.training / "model.json", dict[str, Any], TRAIN) if sources.training else {},
        history=_history(sources.training / "log.jsonl") if sources.training else [],
        explained=explain.read(sources.explain) if sources.explain else None,
        margins=sources.margins,
    )
    return material, scores


def _panels(folder: Path) -> tuple[list[list[Panel]], dict[str, Picture]]:
    rows = read_csv(folder / "panels.csv", Panel, FIDELITY)
    faces: dict[str, list[Panel]] = {}
    for row in rows:
        faces.setdefault(row.key, []).append(row)
    listed = f"panels.csv lists it; {FIDELITY}"
    return list(faces.values()), {row.file: read_png(folder, row.file, listed) for row in rows}


def _fidelity(path: Path, names: list[str]) -> dict[str, Fidelity]:
    """Return the entries of fidelity.json that belong to the conditions *names*."""
    found = read_json(path, dict[str, Any], FIDELITY)
    keys = condition_keys(names)
    return {name: check(found[key], Fidelity, path, key, FIDELITY) for name, key in keys.items() if key in found}


def _history(path: Path) -> list[Step]:
    return [row.point for row in read_json_lines(path, LogLine, TRAIN) if row.point]
