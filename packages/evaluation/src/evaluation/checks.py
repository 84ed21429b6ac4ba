"""Checks that the files of a page belong to one run and that none of their values was edited.

The links between the files:

- metrics.json and tables/settings.json hold the SHA-256 of the scores, settings.json that of each table. metrics.json
  follows from the tables (`tables.read_results`), and the AUCs and shares of errors are computed again from the scores.
- scores.json, written beside the scores by ``detector score``, holds the SHA-256 of the scores, of the weights and of
  the index of the crops, and the data card; model.json holds the SHA-256 of the weights and of log.jsonl. Scores
  from elsewhere have no such record; then the model and the data are compared by what both sides have, and the page
  says so.
- audit.json holds the SHA-256 of the index of the crops, and their numbers.
- fidelity.json holds the SHA-256 of the index of the crops and of panels.csv.
- The images and vectors of ``detector explain`` carry the score of their face, which must be that of the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np

from .explain import Explained
from .files import FileError, read_json, sha256
from .material import FIDELITY, LOG, TRAIN, Material, Sources
from .metrics import auc, balanced_accuracy, youden_threshold
from .records import Dataset, Faces, Failures, Origin
from .scores import Scores
from .values import shown

__all__ = ["check"]

SAME_GAIN = 0.01                       # balanced accuracy
SAME_SCORE = 1e-3                      # scores of one face by one model differ less, whatever the batch size
SAME_NUMBER = 1e-5                     # tables have six digits
LEARNED_FROM = ("train", "val")        # splits
WEIGHTS = "weights.safetensors"
MIXED = "two runs are mixed"


def check(sources: Sources, material: Material, scores: Scores) -> None:
    """Raise FileError, which names the file, the value and the way out, where files do not belong together.

    scores: all rows of the table, validation split included.
    """
    _check_scores(sources, material, scores)
    origin = material.origin
    if origin:
        _check_origin(sources, origin, material, scores)
    if sources.faces and not scores.dropped:
        _check_faces(sources, material.faces, scores)
    if sources.failures and material.faces.failures:
        _check_failures(sources, material.faces.failures, material)
    if sources.fidelity_summary:
        _check_fidelity(sources, material)
    if sources.audit:
        _check_audit(sources, material)
    if sources.training:
        _check_model(sources, material, scores)
    if sources.explain and material.explained:
        _check_explained(sources, material.explained, scores)


def _check_scores(sources: Sources, material: Material, scores: Scores) -> None:
    """Refuse metrics of other scores, and metrics that are not what these scores give."""
    summary = material.summary
    if summary.source != scores.source:
        raise FileError(
            f"{sources.metrics} and {sources.tables} are not of {sources.scores}: its SHA-256 or number of rows "
            "differs. Two runs are mixed; run `evaluation metrics` on these scores first"
        )
    test = material.scores
    for condition in summary.conditions:
        here = test.where(condition=condition)
        row = summary.find(condition, "frame", "auc")
        stored, found = row.value if row else None, auc(here.label, here.score)
        _check_number(sources, "metrics.csv", f"frame AUC, {condition}", stored, found)
        for metric, label in (("specificity", 0), ("sensitivity", 1)):
            decided = [d for source in ("val", "fixed") for d in material.matrix.decided(metric, source)]
            for one in decided:
                if one.condition == condition:
                    as_fake = here.score[here.label == label] >= one.threshold
                    share = float(np.mean(as_fake == bool(label))) if len(as_fake) else math.nan
                    _check_number(sources, "decisions.csv", f"{metric}, {condition}", one.value, share)


def _check_number(sources: Sources, table: str, what: str, stored: float | None, found: float) -> None:
    if stored is not None and not math.isnan(stored + found) and abs(stored - found) > SAME_NUMBER:
        raise FileError(
            f"{sources.tables / table}: the {what}, is {stored:.6g}, but {sources.scores} gives {found:.6g}: the table "
            "was edited or belongs to another run; run `evaluation metrics` on these scores again"
        )


def _check_origin(sources: Sources, origin: Origin, material: Material, scores: Scores) -> None:
    """Refuse scores, model and data card that are not those of the record beside the scores."""
    path = sources.origin
    if origin.scores != scores.source:
        raise FileError(
            f"{path} is the record of another table (SHA-256 {origin.scores.sha256[:12]}): {sources.scores} was "
            "changed or replaced; run `detector score` again, or delete the record of a table from elsewhere"
        )
    if sources.training:
        model, name = material.model, sources.training / "model.json"
        assert model
        for what, here, there in (
            ("model", model.model, origin.model),
            ("weights_sha256", model.weights_sha256, origin.weights_sha256),
            ("trained_on", model.trained_on, origin.trained_on),
        ):
            if here != there:
                raise FileError(
                    f"{name}, {what}: {_short(here)}, but {path} says that the scores are of {_short(there)}: {MIXED}; "
                    "run `detector score` with this model, or give the folder of the model that made the scores"
                )
    if origin.faces and sources.faces:
        faces, remedy = material.faces, "give the summary of the faces that were scored, or run `detector score` again"
        _check_card(str(sources.faces), faces.dataset or Dataset(), str(path), origin.faces.dataset, remedy)
        if faces.parameters and faces.parameters != origin.faces.parameters:
            a, b = faces.parameters, origin.faces.parameters
            key = next(key for key in {**a, **b} if a.get(key) != b.get(key) or (key in a) != (key in b))
            raise FileError(
                f"{sources.faces}, parameters.{key}: {shown(a.get(key))}, but {path} has {shown(b.get(key))}: "
                f"{MIXED}; {remedy}"
            )
        index = sources.faces.parent / "index.csv"
        if index.is_file() and sha256(index) != origin.faces.index_sha256:
            raise FileError(f"{index}: is not the index of the faces in {path} (SHA-256 differs): {MIXED}; {remedy}")


def _short(value: str | None) -> str:
    """Return a value for a message; of a hash the first digits."""
    return "nothing" if value is None else shown(value[:12] if len(value) == 64 else value)


def _check_card(name: str, here: Dataset, other: str, there: Dataset, remedy: str) -> None:
    """Refuse two descriptions of one data set that differ."""
    for part in fields(Dataset):
        a, b = getattr(here, part.name), getattr(there, part.name)
        if a != b:
            raise FileError(
                f"{name}, dataset.{part.name}: {shown(a)}, but {other} has {shown(b)}: it was edited, or {MIXED}; "
                f"{remedy}"
            )


def _check_faces(sources: Sources, faces: Faces, scores: Scores) -> None:
    """Refuse the summary of faces that are not those of the scores: numbers by method and split differ."""
    for split in np.unique(scores.split):
        here = scores[scores.split == split]
        for method in np.unique(here.method):
            count = here.key[here.method == method].num()
            expected = faces.faces.get(str(method), {}).get(str(split), 0)
            if faces.faces and count != expected:
                raise FileError(
                    f"{sources.faces} counts {expected} faces of {method} in the split {split}, {sources.scores} has "
                    f"{count}: {MIXED}; give the summary of the faces that were scored"
                )


def _check_failures(sources: Sources, failures: Failures, material: Material) -> None:
    """Refuse a list of failures with other numbers than the summary."""
    whole = sum(not row.frame for row in material.failures)
    found = (len(material.failures) - whole, whole)
    if found != (failures.frames, failures.videos):
        raise FileError(
            f"{sources.failures}: lists {found[0]} frames and {found[1]} whole videos, {sources.faces} counts "
            f"{failures.frames} and {failures.videos}: {MIXED}; give both files of one `detector faces` run"
        )


@dataclass(frozen=True, slots=True)
class _Crops:
    """The crops that were measured."""

    index_sha256: str


@dataclass(frozen=True, slots=True)
class _Measured:
    """The parts of fidelity.json that say what was measured."""

    n: dict[str, int] = field(default_factory=dict)
    faces: _Crops | None = None
    panels_sha256: str | None = None


def _check_fidelity(sources: Sources, material: Material) -> None:
    path = sources.fidelity_summary
    assert path
    measured = read_json(path, _Measured, FIDELITY)
    number, counted = measured.n.get("faces"), sum(sum(counts.values()) for counts in material.faces.faces.values())
    if number is not None and counted and number != counted:
        raise FileError(
            f"{path} is of {number} faces, {sources.faces} of {counted}: {MIXED}; "
            "run `detector fidelity` on these faces"
        )
    scored = material.origin.faces if material.origin else None
    if scored and measured.faces is None:
        raise FileError(f"{path}: does not say which crops were measured, as earlier versions did not; {FIDELITY}")
    if scored and measured.faces and measured.faces.index_sha256 != scored.index_sha256:
        raise FileError(
            f"{path}, faces.index_sha256: {_short(measured.faces.index_sha256)}, but {sources.origin} has "
            f"{_short(scored.index_sha256)}: {MIXED}; run `detector fidelity` on the faces that were scored"
        )
    if sources.fidelity and measured.panels_sha256 not in (None, sha256(sources.fidelity / "panels.csv")):
        name = sources.fidelity / "panels.csv"
        raise FileError(f"{name}: is not the file that {path} describes: {MIXED}; {FIDELITY}")


def _check_audit(sources: Sources, material: Material) -> None:
    """Refuse the audit of other faces."""
    audit, scored = material.audit, material.origin.faces if material.origin else None
    assert audit
    remedy = "run `detector audit` on the faces that were scored"
    if scored and audit.index_sha256 != scored.index_sha256:
        raise FileError(
            f"{sources.audit}, index_sha256: {_short(audit.index_sha256)}, but {sources.origin} has "
            f"{_short(scored.index_sha256)}: {MIXED}; {remedy}"
        )
    audited, counted = (
        {(method, split): n for method, counts in faces.items() for split, n in counts.items() if n}
        for faces in (audit.faces, material.faces.faces)
    )
    if counted and audited != counted:
        raise FileError(
            f"{sources.audit} is of {sum(audited.values())} faces, {sources.faces} of {sum(counted.values())}, or "
            f"they differ by method and split: {MIXED}; {remedy}"
        )


def _check_model(sources: Sources, material: Material, scores: Scores) -> None:
    """Refuse a model that did not make the scores, as far as both records can be compared.

    Thresholds are compared only where the model was trained on the faces that were scored. A threshold passes if it is
    the same or separates the validation faces equally well: scores that differ in their last digits may swap two
    equally good thresholds.
    """
    assert sources.training
    model, path = material.model, sources.training / "model.json"
    assert model
    weights = sources.training / WEIGHTS
    if model.weights_sha256 and weights.is_file() and sha256(weights) != model.weights_sha256:
        raise FileError(
            f"{path}, weights_sha256: {_short(model.weights_sha256)} is not the hash of {weights}: the weights or the "
            "card were replaced; give the folder as `detector train` wrote it"
        )
    if model.data is None:
        if material.origin is None:
            raise FileError(
                f"{path}, data: null, and there is no {sources.origin}: nothing shows that this model made the scores; "
                "run `detector score`, which writes both, or leave --training out"
            )
        return
    log = sources.training / LOG
    if model.log_sha256 is None:
        raise FileError(f"{path}: does not identify its history {LOG}, like files of earlier versions; {TRAIN}")
    if model.log_sha256 != sha256(log):
        raise FileError(
            f"{log}: is not the history of the model in {path} (SHA-256 differs): {MIXED}; give the folder as "
            "`detector train` wrote it"
        )
    if _learned_from(model.data.faces) != _learned_from(material.faces.faces):
        return
    if sources.faces:
        card = Dataset(model.data.name, model.data.synthetic, model.data.note)
        here = material.faces.dataset or Dataset()
        _check_card(str(sources.faces), Dataset(here.name, here.synthetic, here.note), str(path), card,
                    "give the files as `detector faces` and `detector train` wrote them")  # fmt: skip
    val = scores.where(split="val")
    for condition, found in model.thresholds.items():
        rows = val.where(condition=condition)
        best, stored = youden_threshold(rows.label, rows.score), found.frame.threshold
        if stored is None or np.isnan(best):
            continue
        gains = [balanced_accuracy(rows.label, rows.score, threshold) for threshold in (best, stored)]
        if abs(best - stored) > SAME_SCORE and gains[0] - gains[1] > SAME_GAIN:
            raise FileError(
                f"{path}: its threshold in condition {condition} is {stored:.4f}, the validation scores of "
                f"{sources.scores} give {best:.4f}: {MIXED}; run `detector score` with this model"
            )


def _learned_from(faces: dict[str, dict[str, int]]) -> dict[tuple[str, str], int]:
    """Return the numbers of faces in the splits that training reads; the training crops hold no test faces."""
    counts = {(method, split): by_split.get(split, 0) for method, by_split in faces.items() for split in LEARNED_FROM}
    return {which: count for which, count in counts.items() if count}


def _check_explained(sources: Sources, explained: Explained, scores: Scores) -> None:
    """Refuse maps and vectors of another model: their scores differ from those of the table."""
    assert sources.explain
    vectors = explained.features
    rows = [("maps.csv", row.key, row.condition, row.score) for face in explained.faces for row in face]
    columns = (vectors.key.tolist(), vectors.condition.tolist(), vectors.score.tolist())
    rows += [("features.csv", *row) for row in zip(*columns, strict=True)]
    here = scores[scores.key.codes_among(np.unique([key for _, key, _, _ in rows])) >= 0]
    found = zip(here.key.tolist(), here.condition.tolist(), here.score.tolist(), strict=True)
    of = {(key, condition): score for key, condition, score in found}
    for name, key, condition, score in rows:
        expected = of.get((key, condition))
        if expected is None and scores.dropped:
            continue
        if expected is None or abs(expected - score) > SAME_SCORE:
            shown = "no score" if expected is None else f"the score {expected:.4f}"
            raise FileError(
                f"{sources.explain / name}: the score of {key} in condition {condition} is {score:.4f}, "
                f"{sources.scores} has {shown}: {MIXED}; run `detector explain` with this model and faces"
            )
