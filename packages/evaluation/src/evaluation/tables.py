"""The results as files and as text: metrics.json, the CSV tables, tables for the terminal and for Markdown.

Undefined numbers are empty cells in CSV, ``-`` with the reason in text, and left out of JSON.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .clusters import UNIT_NAMES
from .conditions import condition_key, condition_keys
from .files import FileError, csv_text, json_text, read_csv, read_json, rounded, sha256, sha256_of
from .matrix import FILES as MATRIX_FILES
from .matrix import Matrix, as_json
from .matrix import read as read_matrix
from .matrix import written as matrix_written
from .metrics import METRICS, headline
from .printed import footnoted, number, number_with
from .scores import ALL, Reading, Scores, Source, by_video
from .strata import Stratum
from .summary import LEVELS, Calibration, Covariance, DeLong, Difference, Row, Scalar, Settings, Summary
from .values import shown
from .whole import write_together
from .wilson import Range

__all__ = [
    "caveats",
    "headline_json",
    "markdown",
    "metrics_json",
    "number",
    "read_results",
    "read_strata",
    "tables_files",
    "text",
    "text_table",
    "videos_table",
    "with_interval",
    "write_tables",
]

DECIDED = ("balanced_accuracy", "lowest_specificity", "lowest_sensitivity")
SHORT = dict(zip(DECIDED, ("bacc", "min_tnr", "min_tpr"), strict=True))  # in headline.json
NO_NOTE = "The faces are synthetic. Nothing follows from these numbers for real deepfakes."
SAID = ("faces are synthetic", "nothing follows", "for real deepfakes")       # a note with these words says the same
VIDEOS = ("condition", "compression", "video", "method", "pair", "label", "score", "n_frames", "error")


def metrics_json(summary: Summary, matrix: Matrix) -> dict[str, Any]:
    """Return the content of metrics.json: condition -> level -> metric with ``_lo`` and ``_hi``; drop, n, and more.

    `intervals` says how they are made: confidence, method, and the unit that is treated as independent. `scores`
    identifies the scores file, `versions` are those of the software, `undefined` lists what is left out and why.

    `drop` is the metric in the first condition of `conditions.ends` minus that in the second
    (negative for an error rate that rises). All numbers are finite; the others are named under `undefined`.
    """
    keys = condition_keys(summary.conditions)
    out: dict[str, Any] = {key: {} for key in keys.values()}
    for condition in summary.conditions:
        for level in LEVELS:
            found = {metric: summary.find(condition, level, metric) for metric in (*headline(), *one_class(summary))}
            out[keys[condition]][level] = _flat(found)
    if summary.ends():
        out["drop"] = {level: _flat({m: summary.drop(level, m) for m in headline()}) for level in LEVELS}
    out["matrix"] = as_json(matrix)
    out["n"] = summary.n | ({"dropped": summary.dropped} if summary.dropped else {})
    source = {"scores": asdict(summary.source)} if summary.source else {}
    notes = {"notes": summary.notes} if summary.notes else {}
    settings = summary.settings
    made = {"confidence": settings.confidence, "method": settings.intervals, "unit": summary.units[0]}
    made |= {"unit_of_matrix": matrix.unit} if matrix.unit != summary.units[0] else {}
    out["intervals"] = made
    return out | source | notes | {"versions": versions(), "undefined": summary.undefined}


def one_class(summary: Summary) -> list[str]:
    """Return the rate that is defined where the test split holds one class only, nothing where it holds both."""
    rows = [row for row in summary.rows if row.method == ALL and row.threshold_source == "fixed"]
    defined = {row.metric for row in rows if not math.isnan(row.value)}
    return [] if "balanced_accuracy" in defined else [name for name in ("acc_real", "acc_fake") if name in defined]


def headline_json(summary: Summary, matrix: Matrix) -> dict[str, Any]:
    """Return the six numbers to look at first, which ``dvc metrics diff`` compares.

    All are at frame level: the AUC of the two conditions between which the drop is measured and of the worst cell of
    the history matrix, and what the threshold decides that is chosen on the validation split over all conditions.
    Undefined numbers are left out. Names are short and there are no intervals (metrics.json has them), because each
    name is a column of ``dvc exp show`` to the left of the parameters.
    """
    ends = summary.ends()
    auc: dict[str, float] = {}
    for condition in [ends.high, ends.low] if ends else summary.conditions[:2]:
        row = summary.find(condition, "frame", "auc")
        auc |= _named(condition_key(condition), row.value) if row else {}
    worst = matrix.figure("worst")
    auc |= _named("worst", worst.value) if worst else {}
    out: dict[str, Any] = {"auc": auc}
    for name, short in SHORT.items():
        for found in matrix.decided(name):
            out |= _named(short, found.value)
    return out


def _named(name: str, value: float, lo: float = math.nan, hi: float = math.nan) -> dict[str, float]:
    """Return a value with the ends of its interval as JSON has them, without the undefined ones."""
    named = {name: value, f"{name}_lo": lo, f"{name}_hi": hi}
    return {key: rounded(number) for key, number in named.items() if not math.isnan(number)}


def versions() -> dict[str, str]:
    """Return the versions that the numbers depend on."""
    return {name: version(name) for name in ("evaluation", "numpy", "scipy")}


def _flat(found: dict[str, Row | None] | dict[str, Difference | None]) -> dict[str, float]:
    out: dict[str, float] = {}
    for metric, row in found.items():
        if row is not None:
            out |= _named(metric, row.value, row.lo, row.hi)
    return out


def videos_table(scores: Scores) -> Iterator[dict[str, Any]]:
    """Yield the mean score of each video in each condition, largest error first."""
    videos = by_video(scores)
    error = np.abs(videos.score - videos.label)
    for condition in videos.conditions:
        rows = np.flatnonzero(videos.condition == condition)
        for i in rows[np.lexsort((videos.key.codes[rows], -error[rows]))].tolist():
            yield {
                "condition": condition, "compression": str(videos.compression[i]), "video": str(videos.video[i]),
                "method": str(videos.method[i]), "pair": str(videos.pair[i]), "label": int(videos.label[i]),
                "score": float(videos.score[i]), "n_frames": int(videos.frame[i]), "error": float(error[i]),
            }  # fmt: skip


def _names(row_type: type) -> list[str]:
    return [f.name for f in fields(row_type)]


def write_tables(
    folder: str | Path, summary: Summary, test: Scores, matrix: Matrix, strata: Sequence[Stratum] = ()
) -> None:
    """Write the tables of *summary* and *matrix*, videos.csv and settings.json into *folder*, all or none."""
    write_together(tables_files(folder, summary, test, matrix, strata))


def tables_files(
    folder: str | Path, summary: Summary, test: Scores, matrix: Matrix, strata: Sequence[Stratum] = ()
) -> Iterator[tuple[Path, str | None]]:
    """Yield path and content of the files of `write_tables`, None for a table that is to be removed.

    settings.json is the last. It holds the settings, the conditions, the versions, what identifies the scores file,
    and the SHA-256 of every table, so that a table that was changed or belongs to another run is noticed.
    """
    folder, hashes = Path(folder), {}
    for name, content in _tables(summary, test, matrix, strata):
        hashes[name] = sha256_of(content)
        yield folder / name, content
    if not strata:
        yield folder / STRATA, None
    source = {"scores": asdict(summary.source)} if summary.source else {}
    settings = asdict(summary.settings) | {"conditions": summary.conditions, "matrix_unit": matrix.unit}
    counts = {"n": summary.n, "dropped": summary.dropped, "undefined": summary.undefined}
    reading = {} if summary.reading == Reading() else {"reading": asdict(summary.reading)}
    notes = {"notes": summary.notes} if summary.notes else {}
    stored = settings | source | reading | {"versions": versions()} | counts | notes | {"tables": hashes}
    yield folder / "settings.json", json_text(stored)


def _tables(
    summary: Summary, test: Scores, matrix: Matrix, strata: Sequence[Stratum]
) -> Iterator[tuple[str, str]]:  # fmt: skip
    yield "metrics.csv", csv_text(_names(Row), map(asdict, summary.rows))
    yield "differences.csv", csv_text(_names(Difference), map(asdict, summary.differences))
    yield "delong.csv", csv_text(_names(DeLong), map(asdict, summary.delong))
    yield "calibration.csv", csv_text(_names(Calibration), map(asdict, summary.calibration))
    yield "scalars.csv", csv_text(_names(Scalar), map(asdict, summary.scalars))
    yield "covariances.csv", csv_text(_names(Covariance), map(asdict, summary.covariances))
    yield "videos.csv", csv_text(VIDEOS, videos_table(test))
    yield from matrix_written(matrix)
    if strata:
        yield STRATA, csv_text(_names(Stratum), map(asdict, strata))


TABLES = (
    "metrics.csv", "differences.csv", "delong.csv", "calibration.csv", "scalars.csv", "covariances.csv", "videos.csv",
    *MATRIX_FILES,
)  # fmt: skip
STRATA = "strata.csv"
AGAIN = "run `evaluation metrics` again to rewrite it"
WORDS: dict[str, Collection[str]] = {"level": LEVELS, "unit": UNIT_NAMES, "threshold_source": ("", "fixed", "val")}


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
    n: dict[str, int]
    dropped: int
    undefined: list[str]
    versions: dict[str, str]
    reading: Reading = field(default_factory=Reading)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Head:
    """The part of metrics.json that says which scores it is of."""

    scores: Source


def read_results(metrics: str | Path, folder: str | Path) -> tuple[Summary, Matrix]:
    """Return what `evaluation metrics` wrote: metrics.json and the folder of `write_tables`.

    FileError names a file that does not fit its schema, that was changed since, or that belongs to another run.
    Everything in metrics.json follows from the tables, so an edited value in it is found and named.
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
    rows = read_csv(folder / "metrics.csv", Row, AGAIN, WORDS | {"metric": METRICS})
    try:
        settings = Settings(stored.replicates, stored.confidence, stored.seed, stored.intervals)
    except ValueError as error:
        raise FileError(f"{folder / 'settings.json'}: {error}; {AGAIN}") from None
    if stored.matrix_unit not in UNIT_NAMES:
        raise FileError(
            f"{folder / 'settings.json'}: matrix_unit must be one of {', '.join(UNIT_NAMES)}, "
            f"got {shown(stored.matrix_unit[:40])}; {AGAIN}"
        )
    summary = Summary(
        settings=settings,
        conditions=stored.conditions,
        methods=sorted({row.method for row in rows} - {ALL}),
        n={"frames": 0, "videos": 0, "pairs": 0} | stored.n,
        dropped=stored.dropped,
        rows=rows,
        differences=read_csv(folder / "differences.csv", Difference, AGAIN, WORDS | {"metric": METRICS}),
        calibration=read_csv(folder / "calibration.csv", Calibration, AGAIN, WORDS),
        delong=read_csv(folder / "delong.csv", DeLong, AGAIN, WORDS),
        scalars=read_csv(folder / "scalars.csv", Scalar, AGAIN, WORDS),
        covariances=_covariances(folder / "covariances.csv"),
        undefined=stored.undefined,
        source=stored.scores,
        reading=stored.reading,
        notes=stored.notes,
    )
    matrix = read_matrix(folder, stored.conditions, stored.matrix_unit, AGAIN)
    unknown = sorted(_conditions(summary, matrix) - {""} - set(stored.conditions))
    if unknown or len(set(condition_keys(stored.conditions))) < len(stored.conditions):
        raise FileError(
            f"{folder / 'settings.json'}: conditions are {', '.join(stored.conditions)[:60]}, the tables have "
            f"{', '.join(unknown)[:60] or 'fewer'} too; {AGAIN}"
        )
    _check_same(metrics, folder, metrics_json(summary, matrix) | {"versions": stored.versions})
    return summary, matrix


def _conditions(summary: Summary, matrix: Matrix) -> set[str]:
    """Return the names of conditions in all tables."""
    of_one: tuple[Sequence[Any], ...] = (
        summary.rows, summary.calibration, summary.delong, summary.scalars, matrix.decisions
    )  # fmt: skip
    of_two = (
        *((row.high, row.low) for row in summary.differences),
        *((row.first, row.second) for row in summary.covariances),
        *((row.real, row.fake) for row in matrix.cells),
        *((row.real, row.fake) for row in matrix.figures),
    )
    return {row.condition for rows in of_one for row in rows} | {name for pair in of_two for name in pair}


def _covariances(path: Path) -> list[Covariance]:
    """Return the rows of covariances.csv; FileError if one is missing."""
    rows = read_csv(path, Covariance, AGAIN, WORDS)
    held = {(row.level, row.first, row.second) for row in rows}
    for level, first, _ in sorted(held):
        for second in sorted({row.first for row in rows if row.level == level}):
            if (level, first, second) not in held:
                raise FileError(f"{path}: has no covariance of {first} and {second} at level {level}; {AGAIN}")
    return rows


def read_strata(folder: str | Path) -> list[Stratum]:
    """Return strata.csv of `write_tables`, nothing where the scores had no other columns."""
    path, stored = Path(folder) / STRATA, read_json(Path(folder) / "settings.json", _Stored, AGAIN)
    if STRATA not in stored.tables:
        return []
    if not path.is_file() or sha256(path) != stored.tables[STRATA]:
        raise FileError(f"{path}: is not the table that {path.with_name('settings.json')} describes; {AGAIN}")
    return read_csv(path, Stratum, AGAIN, {"unit": UNIT_NAMES})


def _check_same(path: str | Path, folder: Path, expected: dict[str, Any]) -> None:
    """Refuse a metrics.json with another value than *expected*, that of the tables."""
    found = _leaves(read_json(path, dict[str, Any], AGAIN))
    wanted = _leaves(expected)
    for place in [*wanted, *found]:
        here, there = (f"is {shown(side[place])}" if place in side else "is missing" for side in (found, wanted))
        if here != there:
            raise FileError(
                f"{path}, {place}: {here[:60]}, but in the tables of {folder} it {there[:60]}: it was edited or "
                f"belongs to another run; {AGAIN}"
            )


def _leaves(value: Any, place: str = "") -> dict[str, Any]:
    """Return the numbers and texts in a JSON value by their place."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        out: dict[str, Any] = {}
        for key, part in inner:
            out |= _leaves(part, f"{place}.{key}" if place else str(key))
        return out
    return {place: value}


def caveats(synthetic: bool | None, note: str | None) -> list[str]:
    """Return the notices to show above the numbers of a data set: none unless it is *synthetic*.

    The notice on synthetic data is shown whatever the data set's own note says, unless that note says the same.
    """
    if not synthetic:
        return []
    note = (note or "").strip()
    if all(words in note.lower() for words in SAID):
        return [note]
    return [NO_NOTE, *([note] if note else [])]


def with_interval(row: Row | Difference | Scalar | None, digits: int = 3) -> str:
    """Return ``0.812 [0.736, 0.878]``, or the reason why there is no value or no interval (`printed`)."""
    if row is None:
        return number_with(math.nan, math.nan, math.nan, reason="not computed from these scores")
    return number_with(row.value, row.lo, row.hi, digits, row.why)


def range_text(found: Range, digits: int = 3) -> str:
    """Return the same of a `Range`."""
    return number_with(found.value, found.lo, found.hi, digits, found.reason)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, the first left-aligned, the others right-aligned; reasons stand below them."""
    marked, notes = footnoted(rows)
    widths = [max(len(line[i]) for line in [header, *marked]) for i in range(len(header))]
    lines = []
    for line in [header, ["-" * width for width in widths], *marked]:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join([*lines, *notes])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, all columns but the first right-aligned; reasons stand below it."""
    marked, notes = footnoted(rows)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *marked]
    below = [f"\n{'; '.join(notes)}"] if notes else []
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + below)


def behind(summary: Summary, unit: str = "") -> str:
    """Return how the intervals were computed: ``jackknife by pairs``."""
    kind = summary.settings.intervals
    kind = kind if kind == "jackknife" else f"bootstrap, {summary.settings.replicates} replicates,"
    return f"{kind} by {UNIT_NAMES[unit or summary.units[0]]}"


def text(summary: Summary, matrix: Matrix, strata: Sequence[Stratum] = ()) -> str:
    """Return the results as text: one line per condition, the drop, the history matrix, strata, n, what is undefined.

    Where the test split holds one class, its rate takes the place of the balanced accuracy.
    """
    rate = one_class(summary)[:1]
    header = ["condition", "frame AUC", "video AUC", METRICS[rate[0]].title if rate else "balanced ACC", "EER", "faces"]
    rows = []
    for condition in summary.conditions:
        shown = [("frame", rate[0]) if rate and name[1] == "balanced_accuracy" else name for name in SHOWN]
        found = [summary.find(condition, *name) for name in shown]
        rows.append([condition, *map(with_interval, found), str(found[0].n_frames if found[0] else 0)])
    ends = summary.ends()
    if ends:
        rows.append([f"drop {ends.high} -> {ends.low}", *(with_interval(summary.drop(*name)) for name in SHOWN), ""])
    share = f"{100 * summary.settings.confidence:g} %"
    lines = [text_table(header, rows), *_matrix_lines(matrix), *_strata_lines(strata)]
    lines.append(
        f"test split: {_counted(summary)}; "
        f"[{share} intervals: {behind(summary)}]; balanced ACC and EER at frame level, ACC at the threshold .5"
    )
    lines += [f"note: {note}" for note in summary.notes]
    return "\n".join(lines + _undefined_lines(summary.undefined))


def _counted(summary: Summary) -> str:
    """Return how many faces were tested; what is not known of them is not counted."""
    n, unit = summary.n, summary.units[0]
    if unit == "row":
        return f"{n['frames']} faces, whose videos and people are not known"
    known = "" if unit == "video" else f" of {n['pairs']} pairs"
    return f"{n['frames']} faces of {n['videos']} videos{known}"


MOST_LINES = 24                        # of strata


def _strata_lines(strata: Sequence[Stratum]) -> list[str]:
    if not strata:
        return []
    rows = [
        [f"{row.column} {row.value}", row.condition, *row.texts(), str(row.n_real), str(row.n_fake)]
        for row in strata[:MOST_LINES]
    ]  # fmt: skip
    header = ["stratum", "condition", "frame AUC", "sensitivity", "specificity", "real", "fake"]
    more = len(strata) - len(rows)
    return [text_table(header, rows), *([f"{more} more strata are in {STRATA} (--tables)"] if more else [])]


def _undefined_lines(undefined: Sequence[str]) -> list[str]:
    """Return a line for each reason, with all numbers that share it."""
    named: dict[str, list[str]] = {}
    for line in undefined:
        name, _, reason = line.partition(": ")
        named.setdefault(reason, []).append(name)
    lines = []
    for reason, names in named.items():
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        lines.append(f"undefined: {', '.join(names[:6])}{more}: {reason}")
    return lines


SHOWN = (("frame", "auc"), ("video", "auc"), ("frame", "balanced_accuracy"), ("frame", "eer"))


FIGURES = (
    ("diagonal", "same condition, mean"), ("off", "different conditions, mean"), ("pooled", "all cells, mean"),
    ("worst", "lowest cell"), ("lean", "largest difference between a cell and its mirror image"),
)  # fmt: skip
THRESHOLDS = (("val", "from validation"), ("fixed", "fixed"))


def _matrix_lines(matrix: Matrix) -> list[str]:
    """Return the frame AUC where real and fake are in different conditions, and what one threshold decides."""
    count = len(matrix.conditions)
    if count < 2 or not matrix.cells:
        return []
    rows = []
    for name, words in FIGURES:
        if figure := matrix.figure(name):
            where = f"real {figure.real}, fake {figure.fake}" if figure.real else ""
            rows.append([words, number_with(figure.value, figure.lo, figure.hi, reason=figure.reason), where])
    lines = ["", text_table([f"matrix of {count} x {count} conditions", "frame AUC", "cell"], rows)]
    found = {source: [row for name in DECIDED for row in matrix.decided(name, source)] for source, _ in THRESHOLDS}
    known = [(words, found[source]) for source, words in THRESHOLDS if len(found[source]) == len(DECIDED)]
    if known:
        header = ["one threshold for all conditions"]
        rows = [[name.replace("_", " ")] for name in DECIDED]
        for words, decisions in known:
            header += [f"{number(decisions[0].threshold)}, {words}", "where"]
            for line, row in zip(rows, decisions, strict=True):
                line += [number_with(row.value, row.lo, row.hi, reason=row.reason), row.condition]
        lines += ["", text_table(header, rows)]
    return [*lines, ""]
