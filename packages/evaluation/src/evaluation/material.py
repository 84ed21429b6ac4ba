"""Everything the page shows, read from the files of the other stages with their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import explain, findings, tables, versus
from .conditions import RAW, condition_keys, title
from .explain import Explained
from .files import Picture, check, read_csv, read_json, read_json_lines, read_png
from .findings import Audit, Leak
from .matrix import Matrix
from .mistakes import Mistake
from .origin import origin_path, read_origin
from .records import Dataset, Faces, Failure, Fidelity, LogLine, Metrics, Model, Origin, Panel, Step
from .scores import Scores, read
from .strata import Stratum
from .summary import Summary
from .usefulness import Margins
from .versus import Versus

__all__ = ["Material", "Sources", "load", "read_rates"]


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
    audit: Path | None = None              # audit.json
    crops: Path | None = None              # folder of the packed crops: index.csv and shards
    versus: Path | None = None             # scores of another run
    allow_nan: bool = False
    command: str = ""                      # the command that makes the page, shown on it
    margins: Margins = field(default_factory=Margins)

    @property
    def origin(self) -> Path:
        """scores.json, the record that ``detector score`` writes beside the scores; it need not exist."""
        return origin_path(self.scores)


@dataclass(frozen=True, slots=True)
class Material:
    """The content of the `Sources`."""

    summary: Summary
    matrix: Matrix
    scores: Scores                         # test split
    strata: list[Stratum] = field(default_factory=list)
    panels: list[list[Panel]] = field(default_factory=list)                # by face
    pictures: dict[str, Picture] = field(default_factory=dict)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)            # by condition
    faces: Faces = field(default_factory=Faces)
    failures: list[Failure] = field(default_factory=list)
    model: Model | None = None
    origin: Origin | None = None                                           # None: scores from elsewhere
    settings: dict[str, Any] = field(default_factory=dict)                 # all of model.json
    history: list[Step] = field(default_factory=list)
    explained: Explained | None = None
    audit: Audit | None = None
    shared: list[Leak] = field(default_factory=list)                       # people and pairs in several splits
    versions: dict[str, str] = field(default_factory=dict)                 # of what computed the metrics
    encoders: dict[str, str] = field(default_factory=dict)                 # of the fidelity stage
    command: str = ""
    versus: Versus | None = None
    mistakes: list[Mistake] = field(default_factory=list)                  # one false alarm, one miss
    margins: Margins = field(default_factory=Margins)

    @property
    def dataset(self) -> Dataset:
        return self.faces.dataset or Dataset()

    @property
    def detector(self) -> dict[str, tuple[float, str]]:
        """The frame AUC of the detector, and its text with the interval, by the title of the condition."""
        rows = {name: self.summary.find(name, "frame", "auc") for name in self.summary.conditions}
        return {title(name): (row.value, tables.with_interval(row)) for name, row in rows.items() if row is not None}

    @property
    def rates(self) -> dict[str, float]:
        """Mean bits per pixel by condition, ``raw`` excluded."""
        return {name: found.bits_per_pixel for name, found in self.fidelity.items() if name != RAW}

    @property
    def reference(self) -> str | None:
        """The first condition of `conditions.ends`, or the only condition there is."""
        ends = self.summary.ends()
        return ends.high if ends else next(iter(self.summary.conditions[::-1]), None)


LOG = "log.jsonl"
FACES = "run `detector faces` again to rewrite it"
FIDELITY = "run `detector fidelity` again to rewrite it"
TRAIN = "run `detector train` again to rewrite it"


def load(sources: Sources) -> tuple[Material, Scores]:
    """Read all *sources*; return what the page shows and all rows of the scores, validation split included."""
    summary, matrix = tables.read_results(sources.metrics, sources.tables)
    how = summary.reading.options()
    scores = read(sources.scores, **how | {"allow_nan": sources.allow_nan or how["allow_nan"]})
    model = read_json(sources.training / "model.json", Model, TRAIN) if sources.training else None
    panels, pictures = _panels(sources.fidelity) if sources.fidelity else ([], {})
    material = Material(
        summary=summary,
        matrix=matrix,
        scores=scores.where(split="test"),
        strata=tables.read_strata(sources.tables),
        panels=panels,
        pictures=pictures,
        fidelity=_fidelity(sources.fidelity_summary, summary.conditions) if sources.fidelity_summary else {},
        faces=read_json(sources.faces, Faces, FACES) if sources.faces else Faces(),
        failures=read_csv(sources.failures, Failure, FACES) if sources.failures else [],
        model=model,
        settings=read_json(sources.training / "model.json", dict[str, Any], TRAIN) if sources.training else {},
        # converted weights have no history
        history=_history(sources.training / LOG) if sources.training and model and model.data else [],
        explained=explain.read(sources.explain) if sources.explain else None,
        audit=findings.read(sources.audit) if sources.audit else None,
        shared=findings.of_scores(scores),
        origin=read_origin(sources.scores),
        versions=read_json(sources.metrics, Metrics, tables.AGAIN).versions,
        encoders=_encoders(sources.fidelity) if sources.fidelity else {},
        command=sources.command,
        versus=versus.gather(sources.versus, scores, summary.settings.confidence, sources.allow_nan)
        if sources.versus
        else None,
        margins=sources.margins,
    )
    return material, scores


def _encoders(folder: Path) -> dict[str, str]:
    path = folder / "encoders.json"
    return read_json(path, dict[str, str], FIDELITY) if path.is_file() else {}


def _panels(folder: Path) -> tuple[list[list[Panel]], dict[str, Picture]]:
    rows = read_csv(folder / "panels.csv", Panel, FIDELITY)
    faces: dict[str, list[Panel]] = {}
    for row in rows:
        faces.setdefault(row.key, []).append(row)
    listed = f"panels.csv lists it; {FIDELITY}"
    return list(faces.values()), {row.file: read_png(folder, row.file, listed) for row in rows}


def read_rates(path: Path, names: list[str]) -> dict[str, float]:
    """Return the mean bits per pixel of the conditions *names* in fidelity.json, ``raw`` excluded."""
    return {name: found.bits_per_pixel for name, found in _fidelity(path, names).items() if name != RAW}


def _fidelity(path: Path, names: list[str]) -> dict[str, Fidelity]:
    """Return the entries of fidelity.json that belong to the conditions *names*."""
    found = read_json(path, dict[str, Any], FIDELITY)
    keys = condition_keys(names)
    return {name: check(found[key], Fidelity, path, key, FIDELITY) for name, key in keys.items() if key in found}


def _history(path: Path) -> list[Step]:
    return [row.point for row in read_json_lines(path, LogLine, TRAIN) if row.point]
