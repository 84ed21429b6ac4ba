"""The results as files and as text: metrics.json, the CSV tables, tables for the terminal and for Markdown.

Undefined numbers are empty cells in CSV, ``-`` in text, and left out of JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .clusters import UNIT_NAMES
from .conditions import condition_keys, quality
from .files import FileError, read_csv, read_json, rounded, sha256, write_csv, write_json
from .matrix import FILES as MATRIX_FILES
from .matrix import Matrix, as_json
from .matrix import read as read_matrix
from .matrix import write as write_matrix
from .metrics import headline, roc
from .scores import ALL, Scores, Source, by_video
from .summary import LEVELS, Calibration, Covariance, DeLong, Difference, Row, Scalar, Settings, Summary
from .wilson import Range

__all__ = [
    "ROBUSTNESS",
    "caveats",
    "markdown",
    "metrics_json",
    "number",
    "read_results",
    "robustness_rows",
    "roc_points",
    "text",
    "text_table",
    "thinned",
    "videos_table",
    "with_interval",
    "write_tables",
]

ROC_POINTS = 300
NO_NOTE = "The faces are synthetic. Nothing follows from these numbers for real deepfakes."
VIDEOS = ("condition", "compression", "video", "method", "pair", "label", "score", "n_frames", "error")


def metrics_json(summary: Summary, matrix: Matrix) -> dict[str, Any]:
    """Return the content of metrics.json: condition -> level -> metric with ``_lo`` and ``_hi``; drop, n, and more.

    `scores` identifies the scores file, `versions` are those of the software, `undefined` lists what is left
    out and why.

    `drop` is the metric in the first condition of `conditions.ends` minus that in the second
    (negative for an error rate that rises). All numbers are finite; the others are named under `undefined`.
    """
    keys = condition_keys(summary.conditions)
    out: dict[str, Any] = {key: {} for key in keys.values()}
    for condition in summary.conditions:
        for level in LEVELS:
            found = {metric: summary.find(condition, level, metric) for metric in headline()}
            out[keys[condition]][level] = _flat(found)
    if summary.ends():
        out["drop"] = {level: _flat({m: summary.drop(level, m) for m in headline()}) for level in LEVELS}
    out["matrix"] = as_json(matrix)
    out["n"] = summary.n | ({"dropped": summary.dropped} if summary.dropped else {})
    source = {"scores": asdict(summary.source)} if summary.source else {}
    return out | source | {"versions": versions(), "undefined": summary.undefined}


def versions() -> dict[str, str]:
    """Return the versions that the numbers depend on."""
    return {name: version(name) for name in ("evaluation", "numpy", "scipy")}


def _flat(found: dict[str, Row | None] | dict[str, Difference | None]) -> dict[str, float]:
    out: dict[str, float] = {}
    for metric, row in found.items():
        if row is not None:
            named = {metric: row.value, f"{metric}_lo": row.lo, f"{metric}_hi": row.hi}
            out |= {name: rounded(value) for name, value in named.items() if not math.isnan(value)}
    return out


def _robustness_columns() -> list[str]:
    names = ["auc", "video_auc", "balanced_accuracy", "eer", "retention"]
    return ["condition", "quality", *(f"{name}{end}" for name in names for end in ("", "_lo", "_hi"))]


ROBUSTNESS = _robustness_columns()
ROC = ("condition", "fpr", "tpr")


def robustness_rows(summary: Summary) -> list[dict[str, Any]]:
    """Return the points of the robustness curves: one row for each condition that is a bare JPEG quality.

    DVC draws `quality` as a number line, on which other conditions have no place.
    """
    out = []
    for condition in summary.conditions:
        row: dict[str, Any] = {"condition": condition, "quality": quality(condition)}
        if row["quality"] is None:
            continue
        for level, metric in (
            ("frame", "auc"), ("video", "auc"), ("frame", "balanced_accuracy"), ("frame", "eer")
        ):  # fmt: skip
            found = summary.find(condition, level, metric)
            name = metric if level == "frame" else f"{level}_{metric}"
            values = (found.value, found.lo, found.hi) if found else (math.nan,) * 3
            row |= dict(zip((name, f"{name}_lo", f"{name}_hi"), values, strict=True))
        kept = summary.scalar("retention", condition, "frame")
        values = (kept.value, kept.lo, kept.hi) if kept else (math.nan,) * 3
        out.append(row | dict(zip(("retention", "retention_lo", "retention_hi"), values, strict=True)))
    return out


def thinned(x: np.ndarray, y: np.ndarray, points: int = ROC_POINTS) -> np.ndarray:
    """Return the positions of at most *points* points of a curve, evenly along its length |dx| + |dy|, ends kept."""
    if len(x) <= points:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, length[-1], points)
    return np.unique(np.concatenate([[0, len(x) - 1], np.searchsorted(length, wanted[1:-1])]))


def roc_points(scores: Scores) -> list[dict[str, Any]]:
    """Return the frame-level ROC curve of every condition, thinned; none where a class is missing."""
    out = []
    for condition in scores.conditions:
        here = scores.where(condition=condition)
        fpr, tpr, _ = roc(here.label, here.score)
        if not np.isnan(fpr + tpr).any():
            out += [
                {"condition": condition, "fpr": float(fpr[i]), "tpr": float(tpr[i])}
                for i in thinned(fpr, tpr).tolist()
            ]
    return out


def videos_table(scores: Scores) -> list[dict[str, Any]]:
    """Return the mean score of each video in each condition, largest error first."""
    videos = by_video(scores)
    error = np.abs(videos.score - videos.label)
    return [
        {
            "condition": str(videos.condition[i]), "compression": str(videos.compression[i]),
            "video": str(videos.video[i]), "method": str(videos.method[i]),
            "pair": str(videos.pair[i]), "label": int(videos.label[i]),
            "score": float(videos.score[i]), "n_frames": int(videos.frame[i]), "error": float(error[i]),
        }
        for condition in videos.conditions
        for i in sorted(np.flatnonzero(videos.condition == condition), key=lambda i: (-error[i], videos.key[i]))
    ]  # fmt: skip


def _names(row_type: type) -> list[str]:
    return [f.name for f in fields(row_type)]


def write_tables(folder: str | Path, summary: Summary, test: Scores, matrix: Matrix) -> None:
    """Write the tables of *summary* and *matrix*, videos.csv and settings.json into *folder*.

    settings.json is written last. It holds the settings, the conditions, the versions, what identifies the scores file,
    and the SHA-256 of every table, so that readers notice a table that was changed or is of another run.
    """
    folder = Path(folder)
    write_csv(folder / "metrics.csv", _names(Row), map(asdict, summary.rows))
    write_csv(folder / "differences.csv", _names(Difference), map(asdict, summary.differences))
    write_csv(folder / "delong.csv", _names(DeLong), map(asdict, summary.delong))
    write_csv(folder / "calibration.csv", _names(Calibration), map(asdict, summary.calibration))
    write_csv(folder / "scalars.csv", _names(Scalar), map(asdict, summary.scalars))
    write_csv(folder / "covariances.csv", _names(Covariance), map(asdict, summary.covariances))
    write_csv(folder / "videos.csv", VIDEOS, videos_table(test))
    write_matrix(folder, matrix)
    source = {"scores": asdict(summary.source)} if summary.source else {}
    hashes = {"tables": {name: sha256(folder / name) for name in TABLES}}
    settings = asdict(summary.settings) | {"conditions": summary.conditions, "matrix_unit": matrix.unit}
    write_json(folder / "settings.json", settings | source | {"versions": versions()} | hashes)


TABLES = (
    "metrics.csv", "differences.csv", "delong.csv", "calibration.csv", "scalars.csv", "covariances.csv", "videos.csv",
    *MATRIX_FILES,
)  # fmt: skip
AGAIN = "run `evaluation metrics` again to rewrite it"


@dataclass(frozen=True, slots=True)
class _Stored:
    """settings.json."""

    replicates: int
    confidence: float
    seed: int
    intervals: str
    conditions: list[str]
    scores: Source
    tables: dict[str, str]
    matrix_unit: str


@dataclass(frozen=True, slots=True)
class _Head:
    """The parts of metrics.json that are not in the tables."""

    n: dict[str, int]
    undefined: list[str]
    scores: Source


def read_results(metrics: str | Path, folder: str | Path) -> tuple[Summary, Matrix]:
    """Return what `write_tables` and `write_json` wrote.

    FileError names a file that does not fit its schema, that was changed since, or that is of another run.
    """
    folder = Path(folder)
    head = read_json(metrics, _Head, AGAIN)
    stored = read_json(folder / "settings.json", _Stored, AGAIN)
    if stored.scores != head.scores:
        raise FileError(
            f"{metrics} and {folder / 'settings.json'} are of different scores (SHA-256 {head.scores.sha256[:12]} and "
            f"{stored.scores.sha256[:12]}): two runs are mixed; run `evaluation metrics` with --tables to write both"
        )
    for name in TABLES:
        if sha256(folder / name) != stored.tables.get(name):
            raise FileError(f"{folder / name}: is not the table that {folder / 'settings.json'} describes; {AGAIN}")
    rows = read_csv(folder / "metrics.csv", Row, AGAIN)
    try:
        settings = Settings(stored.replicates, stored.confidence, stored.seed, stored.intervals)
    except ValueError as error:
        raise FileError(f"{folder / 'settings.json'}: {error}; {AGAIN}") from None
    if stored.matrix_unit not in UNIT_NAMES:
        raise FileError(
            f"{folder / 'settings.json'}: matrix_unit must be one of {', '.join(UNIT_NAMES)}, "
            f"got {stored.matrix_unit[:40]!r}; {AGAIN}"
        )
    summary = Summary(
        settings=settings,
        conditions=stored.conditions,
        methods=sorted({row.method for row in rows} - {ALL}),
        n={"frames": 0, "videos": 0, "pairs": 0} | {name: n for name, n in head.n.items() if name != "dropped"},
        dropped=head.n.get("dropped", 0),
        rows=rows,
        differences=read_csv(folder / "differences.csv", Difference, AGAIN),
        calibration=read_csv(folder / "calibration.csv", Calibration, AGAIN),
        delong=read_csv(folder / "delong.csv", DeLong, AGAIN),
        scalars=read_csv(folder / "scalars.csv", Scalar, AGAIN),
        covariances=read_csv(folder / "covariances.csv", Covariance, AGAIN),
        undefined=head.undefined,
        source=head.scores,
    )
    return summary, read_matrix(folder, stored.conditions, stored.matrix_unit, AGAIN)


def caveats(synthetic: bool | None, note: str | None) -> list[str]:
    """Return the notices to show above the numbers of a data set: none unless it is *synthetic*.

    The notice on synthetic data is shown whatever the data set's own note says.
    """
    if not synthetic:
        return []
    note = (note or "").strip()
    return [NO_NOTE, *([note] if note not in ("", NO_NOTE) else [])]


def number(value: float | None, digits: int = 3) -> str:
    """Return ``0.812``, or ``-`` for nan and None."""
    return "-" if value is None or math.isnan(value) else f"{rounded(value):.{digits}f}"


def with_interval(row: Row | Difference | Scalar | None, digits: int = 3) -> str:
    """Return ``0.812 [0.736, 0.878]``, without the brackets where there is no interval."""
    return "-" if row is None else number_with(row.value, row.lo, row.hi, digits)


def range_text(found: Range, digits: int = 3) -> str:
    """Return the same of a `Range`."""
    return number_with(found.value, found.lo, found.hi, digits)


def number_with(value: float, lo: float, hi: float, digits: int = 3) -> str:
    """Return the same of a value and the ends of its interval."""
    if math.isnan(value) or math.isnan(lo):
        return number(value, digits)
    return f"{number(value, digits)} [{number(lo, digits)}, {number(hi, digits)}]"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, the first left-aligned, the others right-aligned."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = []
    for line in [header, ["-" * width for width in widths], *rows]:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, all columns but the first right-aligned."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def behind(summary: Summary, unit: str = "") -> str:
    """Return what stands behind the intervals: ``jackknife by pairs``."""
    kind = summary.settings.intervals
    kind = kind if kind == "jackknife" else f"bootstrap, {summary.settings.replicates} replicates,"
    return f"{kind} by {UNIT_NAMES[unit or summary.units[0]]}"


def text(summary: Summary) -> str:
    """Return the results as text: one line per condition, the drop, sample sizes, undefined numbers."""
    header = ["condition", "frame AUC", "video AUC", "balanced ACC", "EER", "faces"]
    rows = []
    for condition in summary.conditions:
        frame, video = summary.find(condition, "frame", "auc"), summary.find(condition, "video", "auc")
        accuracy, eer = (summary.find(condition, "frame", metric) for metric in ("balanced_accuracy", "eer"))
        rows.append(
            [condition, with_interval(frame), with_interval(video), number(accuracy.value if accuracy else None),
             number(eer.value if eer else None), str(frame.n_frames if frame else 0)]
        )  # fmt: skip
    found = summary.ends()
    if found:
        drops = [with_interval(summary.drop(level, "auc")) for level in LEVELS]
        rows.append([f"drop {found.high} -> {found.low}", *drops, "", "", ""])
    share = f"{100 * summary.settings.confidence:g} %"
    n = summary.n
    lines = [
        text_table(header, rows),
        f"test split: {n['frames']} faces of {n['videos']} videos of {n['pairs']} pairs; "
        f"[{share} intervals: {behind(summary)}]; ACC at the threshold .5",
    ]
    if summary.dropped:
        lines.append(f"left out: {summary.dropped} rows of the file with a score that is not finite")
    return "\n".join(lines + [f"undefined: {reason}" for reason in summary.undefined])
