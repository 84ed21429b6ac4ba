"""Numbers on paper: metrics.json, the CSV tables, and the same as text and Markdown.

Files appear whole (written beside their place, then renamed), end in a newline and depend on their input alone.
Numbers are written with six digits, undefined ones as empty cells in CSV, ``-`` in text, and not at all in JSON.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from .metrics import roc
from .scores import Scores, by_video, quality_name
from .summary import ALL, HEADLINE, LEVELS, Difference, Row, Settings, Summary

__all__ = [
    "ROBUSTNESS",
    "caveats",
    "markdown",
    "metrics_json",
    "number",
    "read_csv",
    "read_json",
    "read_summary",
    "robustness_rows",
    "roc_points",
    "text",
    "text_table",
    "thinned",
    "videos_table",
    "with_interval",
    "write_csv",
    "write_json",
    "write_tables",
    "write_whole",
]

DIGITS = 6
ROC_POINTS = 300
DELONG = ("quality", "level", "method", "auc", "standard_error", "lo", "hi", "unit")
CALIBRATION = (
    "quality", "ece", "temperature", "ece_after", "temperature_reference", "ece_after_reference", "n_frames"
)  # fmt: skip
NO_NOTE = "The faces are synthetic. Nothing follows from these numbers for real deepfakes."
VIDEOS = ("quality", "compression", "video", "method", "pair", "label", "score", "n_frames", "error")


def write_whole(path: str | Path, data: bytes | str) -> None:
    """Write *data* under a temporary name beside *path*, then rename it; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data if isinstance(data, bytes) else data.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write *value* as indented JSON; NaN and infinity raise ValueError."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write dictionaries as CSV with the header *columns*; nan becomes an empty cell."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in columns} for row in rows)
    write_whole(path, out.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else _rounded(float(value))
    return value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0                      # no -0.0


def metrics_json(summary: Summary) -> dict[str, Any]:
    """Return what metrics.json holds: quality -> level -> metric with ``_lo`` and ``_hi``, drop, n, undefined.

    Intervals draw videos. `drop` is the metric at the highest JPEG quality minus that at the lowest (an error rate that
    rises drops by a negative number). Only finite numbers; what is left out is named under `undefined`.
    """
    out: dict[str, Any] = {quality_name(quality): {} for quality in summary.qualities}
    for quality in summary.qualities:
        for level in LEVELS:
            found = {metric: summary.find(quality, level, metric) for metric in HEADLINE}
            out[quality_name(quality)][level] = _flat(found)
    if summary.ends():
        out["drop"] = {level: _flat({m: summary.drop(level, m) for m in HEADLINE}) for level in LEVELS}
    out["n"] = summary.n | ({"dropped": summary.dropped} if summary.dropped else {})
    return out | {"undefined": summary.undefined}


def _flat(found: dict[str, Row | None] | dict[str, Difference | None]) -> dict[str, float]:
    out: dict[str, float] = {}
    for metric, row in found.items():
        if row is not None:
            named = {metric: row.value, f"{metric}_lo": row.lo, f"{metric}_hi": row.hi}
            out |= {name: _rounded(value) for name, value in named.items() if not math.isnan(value)}
    return out


def _robustness_columns() -> list[str]:
    names = ["auc", "video_auc", "balanced_accuracy", "eer"]
    return ["quality", *(f"{name}{end}" for name in names for end in ("", "_lo", "_hi")), "retention"]


ROBUSTNESS = _robustness_columns()


def robustness_rows(summary: Summary) -> list[dict[str, Any]]:
    """Return one row per quality with the curves of the report."""
    out = []
    for quality in summary.qualities:
        row: dict[str, Any] = {"quality": quality}
        for level, metric in (
            ("frame", "auc"), ("video", "auc"), ("frame", "balanced_accuracy"), ("frame", "eer")
        ):  # fmt: skip
            found = summary.find(quality, level, metric)
            name = metric if level == "frame" else f"{level}_{metric}"
            values = (found.value, found.lo, found.hi) if found else (math.nan,) * 3
            row |= dict(zip((name, f"{name}_lo", f"{name}_hi"), values, strict=True))
        out.append(row | {"retention": summary.retention(quality, "frame")})
    return out


def thinned(x: np.ndarray, y: np.ndarray, points: int = ROC_POINTS) -> np.ndarray:
    """Return the positions of at most *points* points of a curve, evenly along its length |dx| + |dy|, ends kept."""
    if len(x) <= points:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, length[-1], points)
    return np.unique(np.concatenate([[0, len(x) - 1], np.searchsorted(length, wanted[1:-1])]))


def roc_points(scores: Scores) -> list[dict[str, Any]]:
    """Return the frame-level ROC curve of every quality, thinned; none where a class is missing."""
    out = []
    for quality in scores.qualities:
        here = scores.where(quality=quality)
        fpr, tpr, _ = roc(here.label, here.score)
        if not np.isnan(fpr + tpr).any():
            out += [
                {"quality": quality, "fpr": float(fpr[i]), "tpr": float(tpr[i])} for i in thinned(fpr, tpr).tolist()
            ]
    return out


def videos_table(scores: Scores) -> list[dict[str, Any]]:
    """Return the mean score of each video at each quality, the most wrong first."""
    videos = by_video(scores)
    error = np.abs(videos.score - videos.label)
    return [
        {
            "quality": str(videos.quality[i]), "compression": str(videos.compression[i]), "video": str(videos.video[i]),
            "method": str(videos.method[i]), "pair": str(videos.pair[i]), "label": int(videos.label[i]),
            "score": float(videos.score[i]), "n_frames": int(videos.frame[i]), "error": float(error[i]),
        }
        for quality in videos.qualities
        for i in sorted(np.flatnonzero(videos.quality == quality), key=lambda i: (-error[i], videos.key[i]))
    ]  # fmt: skip


def _names(row_type: type) -> list[str]:
    return [f.name for f in fields(row_type)]


def write_tables(folder: str | Path, summary: Summary, test: Scores) -> None:
    """Write metrics.csv, differences.csv, delong.csv, calibration.csv, videos.csv, settings.json into *folder*."""
    folder = Path(folder)
    write_csv(folder / "metrics.csv", _names(Row), map(asdict, summary.rows))
    write_csv(folder / "differences.csv", _names(Difference), map(asdict, summary.differences))
    write_csv(folder / "delong.csv", DELONG, summary.delong)
    write_csv(folder / "calibration.csv", CALIBRATION, summary.calibration)
    write_csv(folder / "videos.csv", VIDEOS, videos_table(test))
    write_json(folder / "settings.json", asdict(summary.settings))


def read_summary(metrics: str | Path, folder: str | Path) -> Summary:
    """Return the `Summary` that `write_tables` and `write_json` wrote; ValueError names the file that is another."""
    folder = Path(folder)
    head = read_json(metrics, ("n", "undefined"))
    settings = read_json(folder / "settings.json", ("replicates", "confidence", "seed"))
    rows = [Row(**row) for row in _read(folder / "metrics.csv", Row)]
    qualities = [quality for quality in head if quality not in ("drop", "n", "undefined")]
    return Summary(
        settings=Settings(**settings),
        qualities=[quality.removeprefix("q") for quality in qualities],
        methods=sorted({row.method for row in rows} - {ALL}),
        n={name: count for name, count in head["n"].items() if name != "dropped"},
        dropped=head["n"].get("dropped", 0),
        rows=rows,
        differences=[Difference(**row) for row in _read(folder / "differences.csv", Difference)],
        calibration=read_csv(folder / "calibration.csv", CALIBRATION, text=("quality",)),
        delong=read_csv(folder / "delong.csv", DELONG, text=("quality", "level", "method", "unit")),
        undefined=head["undefined"],
    )


def read_json(path: str | Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return the object in a JSON file; ValueError names the file if it is none or lacks one of *keys*."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    missing = [key for key in keys if not isinstance(found, dict) or key not in found]
    if missing or not isinstance(found, dict):
        raise ValueError(f"{path} lacks {', '.join(missing) or 'an object'}; was it written by another version?")
    return found


def _read(path: Path, row_type: type) -> list[dict[str, Any]]:
    text = [f.name for f in fields(row_type) if f.type in (str, "str")]
    whole = [f.name for f in fields(row_type) if f.type in (int, "int")]
    return read_csv(path, _names(row_type), text, whole)


def read_csv(
    path: str | Path, columns: Sequence[str], text: Sequence[str] = (), whole: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the rows of a CSV file, the given *columns* only: *text* as it is, *whole* as int, others as float.

    An empty cell is nan. ValueError names file, line and column.
    """
    path = Path(path)
    parsers: dict[str, Any] = dict.fromkeys(columns, lambda cell: float(cell) if cell else math.nan)
    parsers |= dict.fromkeys(text, str) | dict.fromkeys(whole, int)
    out = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{path}, line 1: no column {', '.join(missing)}")
        for row in reader:
            try:
                column = ""
                parsed = {}
                for column in columns:
                    parsed[column] = parsers[column](row[column])
            except (ValueError, TypeError):
                raise ValueError(f"{path}, line {reader.line_num}, column {column}: {row[column]!r}") from None
            out.append(parsed)
    return out


def caveats(dataset: Mapping[str, Any]) -> list[str]:
    """Return what must stand above numbers of a data set with the given ``dataset.json``: nothing unless synthetic.

    It is said in any case, whatever the data set's own note leaves out.
    """
    if not dataset.get("synthetic"):
        return []
    note = str(dataset.get("note") or "").strip()
    return [NO_NOTE, *([note] if note not in ("", NO_NOTE) else [])]


def number(value: float | None, digits: int = 3) -> str:
    """Return ``0.812``, or ``-`` where there is no number."""
    return "-" if value is None or math.isnan(value) else f"{_rounded(value):.{digits}f}"


def with_interval(row: Row | Difference | None, digits: int = 3) -> str:
    """Return ``0.812 [0.736, 0.878]``, without brackets where there is no interval."""
    if row is None or math.isnan(row.value):
        return "-"
    if math.isnan(row.lo):
        return number(row.value, digits)
    return f"{number(row.value, digits)} [{number(row.lo, digits)}, {number(row.hi, digits)}]"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = []
    for line in [header, ["-" * width for width in widths], *rows]:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text(summary: Summary) -> str:
    """Return the table that ends a run: a line per quality, the drop, how much was judged, what is undefined."""
    header = ["quality", "frame AUC", "video AUC", "balanced ACC", "EER", "faces"]
    rows = []
    for quality in summary.qualities:
        frame, video = summary.find(quality, "frame", "auc"), summary.find(quality, "video", "auc")
        accuracy, eer = (summary.find(quality, "frame", metric) for metric in ("balanced_accuracy", "eer"))
        rows.append(
            [quality, with_interval(frame), with_interval(video), number(accuracy.value if accuracy else None),
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
        f"[{share} intervals by videos, {summary.settings.replicates} replicates]; ACC at the threshold .5",
    ]
    if summary.dropped:
        lines.append(f"left out: {summary.dropped} rows of the file whose score is not finite")
    return "\n".join(lines + [f"undefined: {reason}" for reason in summary.undefined])
