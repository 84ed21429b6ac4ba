"""The table of scores: one row per face and test condition, checked while it is read.

The columns are ``key, video, compression, frame, method, identity, pair, split, label, condition, score``: `label` 1 is
fake, `score` is P(fake) in 0..1, `condition` is a label such as ``raw``, ``77`` or ``turbo:90`` (see `conditions`).
Conditions are ordered as they first appear in the file. Older files have the column ``quality`` (``raw`` or 1..100)
instead; theirs are ordered ``raw`` first, then from high to low.

Tables of other tools are read as well, in the formats of `tablefile`: `mapping` says which column is which, and only
label and score are needed. Other columns with few values are kept as strata.
"""
# Over 600 lines: the table, its reading and its checks, which name columns and rows in one way.

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columnar, conditions, tablefile
from .conditions import RAW, condition_key
from .files import FileError, regular, sha256
from .mapping import COLUMNS, OLD_NAME, choose, label_of_path
from .mapping import Mapping as Chosen
from .metrics import logit
from .sums import Changed
from .text import Text, first_rows
from .values import shown

__all__ = ["ALL", "COLUMNS", "Reading", "Scores", "ScoresError", "Source", "by_video", "condition_key", "read"]

SPLITS = ("train", "val", "test")
ALL = "all"                           # the method of rows over all methods
TEXTS = ("key", "video", "compression", "method", "identity", "pair", "split", "condition")
GIVEN = "as-given"                    # the condition of a table without conditions
REAL, FAKE = "original", "fake"       # methods of a table without methods
UNKNOWN = "unknown"                   # its compression
MOST_VALUES = 200                     # different values up to which another column is a stratum
LABELS = {
    "0": 0, "0.0": 0, "real": 0, "false": 0, "1": 1, "1.0": 1, "fake": 1, "true": 1
}  # fmt: skip
NO_LABEL = (*tablefile.MISSING, "unknown", "Unknown")                # labels of rows whose class is not known
LEAVE_OUT = "--allow-missing leaves them out (`evaluation import` too, for the other commands)"


class ScoresError(FileError):
    """A scores file that cannot be evaluated; the message names the file, the line and the column."""


@dataclass(frozen=True, slots=True)
class Source:
    """What identifies a scores file: its SHA-256 and its number of rows."""

    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read: the arguments of `read`."""

    columns: dict[str, str] = field(default_factory=dict)
    allow_nan: bool = False
    allow_missing: bool = False
    logits: bool = False

    def options(self) -> dict[str, Any]:
        """Return the fields as keyword arguments."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Scores:
    """Columns of equal length N. Text columns are `text.Text`, `frame` int64, `label` int8, `score` float64.

    `order` holds the conditions in the order of the table, also after rows were selected. `dropped` is the number of
    rows left out because their score was not finite (0 unless asked for). `source` identifies the file; it is
    None for a table that was not read from one. `strata` are the other columns of the file, `notes` say what was
    guessed, assumed or left out while it was read.
    """

    key: Text
    video: Text
    compression: Text
    frame: NDArray[np.int64]
    method: Text
    identity: Text
    pair: Text
    split: Text
    label: NDArray[np.int8]
    condition: Text
    score: NDArray[np.float64]
    order: tuple[str, ...] = ()
    dropped: int = 0
    source: Source | None = None
    strata: dict[str, Text] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in TEXTS:
            object.__setattr__(self, name, Text.of(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Any) -> Scores:
        """Return the rows of a mask or of an array of positions."""
        if getattr(rows, "dtype", None) == np.bool_ and rows.all():
            return self                                                  # without a copy of ten million rows
        chosen = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name in COLUMNS}
        return replace(self, **chosen, strata={name: values[rows] for name, values in self.strata.items()})

    def where(self, **values: str) -> Scores:
        """Return the rows whose columns equal the given values: ``scores.where(split="test", condition="77")``."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in values.items():
            mask &= getattr(self, column) == value
        return self[mask]

    @property
    def conditions(self) -> list[str]:
        """The conditions that occur, in the order of the table."""
        present = set(self.condition.present().tolist())
        return [condition for condition in self.order if condition in present]

    @property
    def methods(self) -> list[str]:
        """The forgery methods that occur, by name."""
        of_fakes: list[str] = self.method[self.label == 1].present().tolist()
        return of_fakes

    @property
    def parts(self) -> list[str]:
        """The names of the parts that get rows of their own in tables: `ALL`, then the methods."""
        return [ALL, *sorted(self._named)]

    def part(self, name: str) -> Scores:
        """Return all rows for `ALL`, for any other name in `parts` all real rows and the fakes of that method."""
        return self if name == ALL else self.of_method(self._named[name])

    @property
    def _named(self) -> dict[str, str]:
        """The name of each method in tables: a method that the file calls ``all`` never replaces the total."""
        methods = self.methods
        named = {f"method {method}" if method == ALL else method: method for method in methods}
        if len(named) < len(methods):
            raise ValueError(f"the methods '{ALL}' and 'method {ALL}' have the same name in tables; rename one of them")
        return named

    @property
    def clip(self) -> Text:
        """The id of each row's video file, ``compression/method/name``."""
        return Text.joined(self.compression, self.video, "/")

    def of_method(self, method: str) -> Scores:
        """Return all real rows and the fakes of *method*."""
        return self[(self.label == 0) | (self.method == method)]

    def counts(self) -> dict[str, int]:
        """Return the numbers of distinct frames, videos and pairs."""
        return {
            "frames": self.key.num(),
            "videos": self.video.num(),
            "pairs": self.pair.num(),
        }


# -- values ------------------------------------------------------------------------------------------------------------

WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
WHOLE_QUALITY = re.compile(r"(\d{1,3})\.0+")          # a quality that passed through a column of floats
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _named(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    if not text.isprintable() and CONTROL.search(text):
        raise ValueError("holds control characters")
    return text


def _condition(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("is empty or holds control characters")
    found = WHOLE_QUALITY.fullmatch(text)
    return found[1] if found and conditions.quality(found[1]) else text


def _quality(text: str) -> str:
    text = _condition(text)
    if text != RAW and conditions.quality(text) is None:
        raise ValueError("is neither raw nor a JPEG quality 1..100; a column named condition takes any label")
    return text


def _frame(text: str) -> str:
    found = WHOLE.fullmatch(text) if text.isascii() else None
    if not found or len(found[1]) > 19 or not -(2**63) <= int(found[1]) < 2**63:
        raise ValueError("is not a number of a frame")
    return found[1]


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"is not one of {', '.join(SPLITS)}")
    return text


def _label(text: str) -> str:
    label = LABELS.get(text.strip().lower())
    if label is None:
        raise ValueError("is neither 0 (real) nor 1 (fake), nor real or fake, nor false or true")
    return str(label)


def _label_of_path(text: str) -> str:
    label = label_of_path(text)
    if label is None:
        raise ValueError("names no class: no folder of the path is 0_real, real, 1_fake or fake; name a column of "
                         "classes with --column label=NAME")
    return str(label)


PARSERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(TEXTS, _named),
    "frame": _frame,
    "split": _split,
    "label": _label,
    "condition": _condition,
}


# -- reading -----------------------------------------------------------------------------------------------------------


def read(
    path: str | Path, allow_nan: bool = False, *, columns: Mapping[str, str] | None = None,
    allow_missing: bool = False, logits: bool = False,
) -> Scores:  # fmt: skip
    """Return the `Scores` of the table at *path*: CSV, compressed CSV, Parquet (a file, or a folder of `columnar`), or
    results of DeepfakeBench.

    *columns*: our column -> the table's, where it has another name. With *logits* scores pass through a sigmoid.
    Raises `ScoresError`, naming the file, the first such line, the column and the number of rows, for values out of
    their range, a video that changes its label, split, method or pair, two conditions with one key; and for incomplete
    rows: rows cut short, without a label or another value, scores that are not finite, a face twice in one condition, a
    face that lacks one of the conditions of its split. With *allow_nan* rows with such scores are left out and counted
    in `Scores.dropped`; with *allow_missing* all incomplete rows are left out and `Scores.notes` say how much.
    """
    try:
        return _read(Path(path), allow_nan, columns, allow_missing, logits)
    except ScoresError:
        raise
    except FileError as error:
        raise ScoresError(str(error)) from None


def _read(
    path: Path, allow_nan: bool, columns: Mapping[str, str] | None, allow_missing: bool, logits: bool
) -> Scores:
    if _is_pickle(path):
        from .deepfakebench import columns_of

        chosen, found = columns_of(path, columns)
    else:
        head = tablefile.head(path)
        try:
            chosen = choose(head.names, columns)
        except ValueError as error:
            raise ScoresError(f"{path}, line 1: {error}") from None
        texts = [theirs for ours, theirs in chosen.columns.items() if ours != "score"]
        texts = list(dict.fromkeys([*texts, *chosen.extra(head.names)]))
        found = tablefile.columns(head, texts, [chosen.columns["score"]], allow_missing)
    return of_columns(found, chosen, allow_nan, allow_missing, logits)


def _is_pickle(path: Path) -> bool:
    if path.is_dir():
        return False
    with regular(path).open("rb") as file:
        # protocols 0 and 1 begin like any text
        return file.read(1) == b"\x80" or path.suffix in (".pickle", ".pkl")


def of_columns(
    found: tablefile.Columns, chosen: Chosen, allow_nan: bool = False, allow_missing: bool = False, logits: bool = False
) -> Scores:
    """Return the checked `Scores` of columns that were read."""
    path = found.head.path
    problems: list[_Problem] = []
    parsed: dict[str, Text] = {}
    of = {ours: theirs for ours, theirs in chosen.columns.items() if ours != "score"}
    notes = list(chosen.notes)
    found = _with_values(found, of, allow_missing, notes, problems)
    for ours in COLUMNS:
        if ours in of or (ours == "label" and chosen.label_from_path):
            theirs = of.get(ours, chosen.columns.get("key", ""))
            parse = _quality if ours == "condition" and theirs == OLD_NAME else PARSERS[ours]
            parse = _label_of_path if ours == "label" and chosen.label_from_path else parse
            parsed[ours] = _parsed(found.texts[theirs], parse, theirs, problems)
    score = _score(found.numbers[chosen.columns["score"]], chosen.columns["score"], logits, problems)
    if problems:
        raise _named_problem(found, min(problems, key=lambda problem: problem.row))
    if len(score) and ((score == 0) | (score == 1)).all():
        notes.append(f"the scores in {chosen.columns['score']} are only 0 and 1: decisions, not probabilities")
    order = _order(path, parsed, of.get("condition") == OLD_NAME)
    strata = _strata(found, chosen, notes)
    parsed |= _assumed(parsed, found.rows, notes)
    texts: dict[str, Any] = {name: parsed[name] for name in TEXTS}
    scores = Scores(
        **texts,
        frame=parsed["frame"].names.astype(np.int64)[parsed["frame"].codes],
        label=parsed["label"].names.astype(np.int8)[parsed["label"].codes],
        score=score, order=order or (GIVEN,), source=Source(_identity(path), found.rows), strata=strata,
    )  # fmt: skip
    _check_videos(found, scores)
    return _complete(found, scores, "key" in of or {"video", "frame"} <= of.keys(), allow_nan, allow_missing, notes)


def _identity(path: Path) -> str:
    """Return the SHA-256 of a table; of the columnar form of a CSV file, that of the file."""
    if not path.is_dir():
        return sha256(path)
    try:
        return columnar.of_csv(path)
    except Changed as error:
        raise ScoresError(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Problem:
    """Values that cannot be used: the first row that holds one, what is wrong with it, and the number of rows."""

    row: int
    column: str
    value: str
    said: str
    count: int
    remedy: str = ""


def _named_problem(found: tablefile.Columns, problem: _Problem) -> ScoresError:
    more = f" ({problem.count} of {found.rows} rows are like this)" if problem.count > 1 else ""
    return ScoresError(
        f"{found.head.path}, {found.place(problem.row)}, column {problem.column}: {shown(problem.value, 100)} "
        f"{problem.said}{more}{problem.remedy}"
    )


def _parsed(values: Text, parse: Callable[[str], str], column: str, problems: list[_Problem]) -> Text:
    """Return *values* with each distinct one parsed; those that cannot be are added to *problems*."""
    names, wrong = [], {}
    for code, name in enumerate(values.names.tolist()):
        try:
            names.append(parse(name))
        except (ValueError, OverflowError) as error:
            wrong[code] = str(error)
            names.append("")
    if wrong:
        is_wrong = np.zeros(len(names), dtype=bool)
        is_wrong[list(wrong)] = True
        rows = is_wrong[values.codes]
        row = int(np.argmax(rows))
        code = int(values.codes[row])
        problems.append(_Problem(row, column, str(values.names[code]), wrong[code], int(rows.sum())))
    if names == values.names.tolist():
        return values
    unique, place = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    return Text(unique, place.astype(np.int32)[values.codes])


def _with_values(
    found: tablefile.Columns, of: dict[str, str], allow_missing: bool, notes: list[str], problems: list[_Problem]
) -> tablefile.Columns:
    """Return the rows that have a value in each of the columns *of*; without *allow_missing* others are a problem."""
    for ours, theirs in of.items():
        values, none = found.texts[theirs], NO_LABEL if ours == "label" else ("",)
        codes = [code for code, name in enumerate(values.names.tolist()) if name.strip() in none]
        lacks = np.isin(values.codes, codes)
        if not lacks.any():
            continue
        row, count = int(np.argmax(lacks)), int(lacks.sum())
        if not allow_missing:
            said = "is neither real nor fake" if ours == "label" else "is empty"
            problems.append(_Problem(row, theirs, str(values[row]), said, count, f"; {LEAVE_OUT}"))
        elif count < found.rows:
            notes.append(f"left out: {_many(count, 'row')} without a {ours} (the first: {found.place(row)})")
            found = found.where(~lacks)
    return found


def _score(
    score: NDArray[np.float64], column: str, logits: bool, problems: list[_Problem]
) -> NDArray[np.float64]:
    if logits:
        from scipy.special import expit

        return np.where(np.isfinite(score), expit(score), np.nan)
    outside = np.isfinite(score) & ((score < 0) | (score > 1))
    if outside.any():
        row = int(np.argmax(outside))
        said = "is not a probability in 0..1; apply a sigmoid to logits first (--logits)"
        problems.append(_Problem(row, column, str(score[row]), said, int(outside.sum())))
    return score


def _order(path: Path, parsed: dict[str, Text], old: bool) -> tuple[str, ...]:
    """Return the conditions by first appearance; those of the column quality from high to low."""
    condition = parsed.get("condition")
    if condition is None:
        return ()
    first = first_rows(condition.codes, len(condition.names))
    order = [str(condition.names[code]) for code in np.argsort(first, kind="stable") if first[code] < len(condition)]
    if old:
        order.sort(key=lambda name: -(conditions.quality(name) or 101))
    try:
        conditions.condition_keys(order)
    except ValueError as error:
        raise ScoresError(f"{path}: {error}") from None
    return tuple(order)


def _strata(found: tablefile.Columns, chosen: Chosen, notes: list[str]) -> dict[str, Text]:
    extra = chosen.extra(found.head.names)
    strata = {name: found.texts[name] for name in extra if len(found.texts[name].names) <= MOST_VALUES}
    many = [name for name in extra if name not in strata]
    if many:
        shown = ", ".join(many[:10]) + (f" and {len(many) - 10} more" if len(many) > 10 else "")
        notes.append(f"not used: {shown} (more than {MOST_VALUES} different values)")
    return strata


# -- columns that a table lacks ----------------------------------------------------------------------------------------

COST = {
    "row": "every row counts as independent: if rows share videos or people, the intervals are far too narrow",
    "video": "every video counts as independent: if videos share people, the intervals are too narrow",
}


def _assumed(parsed: dict[str, Text], rows: int, notes: list[str]) -> dict[str, Text]:
    """Return the values assumed for missing columns; *notes* state the consequences."""
    given = set(parsed)
    new: dict[str, Text] = {}

    def column(name: str) -> Text:
        return parsed[name] if name in parsed else new[name]

    if "frame" not in given:
        new["frame"] = Text.constant("0", rows)
    if "compression" not in given:
        new["compression"] = Text.constant(UNKNOWN, rows)
    if "condition" not in given:
        new["condition"] = Text.constant(GIVEN, rows)
    if "split" not in given:
        new["split"] = Text.constant("test", rows)
    if "key" not in given:
        if {"video", "frame"} <= given:
            clip = Text.joined(column("compression"), column("video"), "/")
            new["key"] = Text.joined(clip, column("frame"), "/")
        else:
            width = len(str(rows))
            names = np.char.zfill(np.arange(1, rows + 1).astype(np.str_), width) if rows else np.empty(0, np.str_)
            new["key"] = Text(np.char.add("row ", names) if rows else names, np.arange(rows, dtype=np.int32))
    if "video" not in given:
        new["video"] = column("key")
    if "method" not in given:
        names = np.array(sorted((REAL, FAKE)), dtype=np.str_)
        of_label = np.searchsorted(names, [FAKE if name == "1" else REAL for name in parsed["label"].names.tolist()])
        new["method"] = Text(names, of_label.astype(np.int32)[parsed["label"].codes])
    if "pair" not in given:
        new["pair"] = column("identity") if "identity" in given else column("video")
    if "identity" not in given:
        new["identity"] = column("pair")
    lacking = [name for name in COLUMNS if name in new]
    if lacking:
        unit = "" if given & {"pair", "identity"} else "video" if "video" in given else "row"
        notes.append(f"no column {', '.join(lacking)}" + (f"; {COST[unit]}" if unit else ""))
    if "split" in lacking:
        notes.append("no validation split: no threshold could be chosen before the test")
    return new


# -- checks over rows --------------------------------------------------------------------------------------------------


def _check_videos(found: tablefile.Columns, scores: Scores) -> None:
    video = scores.video
    first = first_rows(video.codes, len(video.names))
    columns: dict[str, NDArray[Any]] = {"label": scores.label}
    columns |= {name: getattr(scores, name).codes for name in ("split", "method", "pair")}
    wrong: list[tuple[int, str, int]] = []
    for column, values in columns.items():
        differs = values != values[first[video.codes]]
        if differs.any():
            wrong.append((int(np.argmax(differs)), column, int(differs.sum())))
    if wrong:
        row, column, count = min(wrong)
        before, values = int(first[video.codes[row]]), getattr(scores, column)
        more = f" ({count} such rows)" if count > 1 else ""
        raise ScoresError(
            f"{found.head.path}, {found.place(row)}, column {column}: {values[row]} for video {video[row]}, "
            f"which has {values[before]} on {found.place(before)}{more}; correct it, or name the videos apart"
        )


def _complete(
    found: tablefile.Columns, scores: Scores, faces_known: bool, allow_nan: bool, allow_missing: bool, notes: list[str]
) -> Scores:
    """Return the rows that the metrics can be computed from; ScoresError names the first incomplete row."""
    path, rows = found.head.path, np.arange(len(scores))
    if found.broken or found.cut:
        ends = "; the compressed data end early" if found.cut else ""
        notes.append(f"left out: {_many(found.broken, 'row')} with too few or too many values{ends}")

    def leave_out(bad: NDArray[np.bool_], what: str, said: str) -> None:
        """Drop the *bad* ones of the current rows, or raise the error that names the first."""
        nonlocal scores, rows
        if not bad.any():
            return
        place = found.place(int(rows[np.argmax(bad)]))
        if not allow_missing:
            raise ScoresError(f"{path}, {place}{said}; {LEAVE_OUT}")
        notes.append(f"left out: {_many(int(bad.sum()), 'row')} {what} (the first: {place})")
        scores, rows = scores[~bad], rows[~bad]

    infinite = ~np.isfinite(scores.score)
    if infinite.any():
        row, count = int(np.argmax(infinite)), int(infinite.sum())
        if not (allow_nan or allow_missing):
            raise ScoresError(
                f"{path}, {found.place(row)}, column score: {scores.score[row]} is not finite ({count} of "
                f"{len(scores)} rows are not): the model diverged or its input is damaged; --allow-nan evaluates the "
                "other rows"
            )
        notes.append(
            f"left out: {_many(count, 'row')} with a score that is not finite (the first: {found.place(row)})"
        )
    if allow_missing:
        scores, rows = replace(scores[~infinite], dropped=int(infinite.sum())), rows[~infinite]
    if faces_known:
        again, before = _repeated(scores)
        row = int(np.argmax(again)) if again.any() else 0
        said = ""
        if again.any():
            said = (
                f", column key: {scores.key[row]} in condition {scores.condition[row]} is already on "
                f"{found.place(int(rows[before]))} ({_many(int(again.sum()), 'such row')})"
            )
        leave_out(again, "that repeat a face in the same condition", said)
        lacks, said = _lacking(scores)
        faces = scores.key[lacks].num() if said else 0
        leave_out(lacks, f"of {_many(faces, 'face')} that lack a condition", said)
        if faces:
            notes.append(
                f"all metrics use the same {scores.key.num()} faces, which have all conditions of their split"
            )
    if allow_nan and not allow_missing and infinite.any():
        scores = replace(scores[~infinite], dropped=int(infinite.sum()))
    return replace(scores, notes=tuple(notes))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _repeated(scores: Scores) -> tuple[NDArray[np.bool_], int]:
    """Return which rows are of a face and condition that an earlier row has, and the row before the first of them."""
    names = scores.key.codes.astype(np.int64) * max(len(scores.condition.names), 1) + scores.condition.codes
    again = np.zeros(len(names), dtype=bool)
    ordered = np.sort(names)
    if not (ordered[1:] == ordered[:-1]).any():
        return again, 0
    order = np.argsort(names, kind="stable")
    again[order[1:][names[order][1:] == names[order][:-1]]] = True
    row = int(np.argmax(again))
    return again, int(np.argmax(names == names[row]))


def _lacking(scores: Scores) -> tuple[NDArray[np.bool_], str]:
    """Return the rows of faces that lack a condition of their split, and what the first of them lacks."""
    condition, split = scores.condition, scores.split
    present = np.zeros((len(split.names), len(condition.names)), dtype=bool)
    present[split.codes, condition.codes] = True
    lacks: NDArray[np.bool_] = scores.key.numbers()[scores.key.codes] < present.sum(axis=1)[split.codes]
    if not lacks.any():
        return lacks, ""
    row = int(np.argmax(lacks))
    has = set(condition.codes[scores.key.codes == scores.key.codes[row]].tolist())
    wanted = [name for name in scores.order if name in set(condition.names[present[split.codes[row]]].tolist())]
    missing = [name for name in wanted if int(np.searchsorted(condition.names, name)) not in has]
    faces = scores.key[lacks].num()
    said = f", column condition: {scores.key[row]} lacks {', '.join(missing[:3])}"
    return lacks, f"{said} ({faces} of {scores.key.num()} faces lack a condition)"


def by_video(scores: Scores, how: str = "mean") -> Scores:
    """Average the frame scores of each video, in each condition.

    A video is one file, ``compression/method/name``: ``000_001`` of Deepfakes and of Face2Face are two. *how*: ``mean``
    of the probabilities (the default, DeepfakeBench's), ``median``, or ``mean_logit`` (back through the sigmoid). In
    the result `key` is the video file, `frame` the number of frames averaged; rows are sorted by condition and key.
    ValueError for another *how*.
    """
    hows = ("mean", "median", "mean_logit")
    if how not in hows:
        raise ValueError(f"how must be one of {', '.join(hows)}, got {how!r}")
    clip = scores.clip
    names = scores.condition.codes.astype(np.int64) * max(len(clip.names), 1) + clip.codes
    _, first, inverse, counts = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    if how == "median":
        frames = scores.score[np.argsort(inverse, kind="stable")]
        ends = np.cumsum(counts)
        values = np.array([np.median(frames[end - n : end]) for end, n in zip(ends, counts, strict=True)])
    else:
        frames = scores.score if how == "mean" else logit(scores.score)
        # sorted within each video, so that the sum does not depend on the order of the rows
        order = np.lexsort((frames, inverse))
        values = np.add.reduceat(frames[order], np.cumsum(counts) - counts) / counts if len(counts) else frames
        values = values if how == "mean" else 1 / (1 + np.exp(-values))
    one = scores[first]
    return replace(one, key=clip[first], frame=counts.astype(np.int64), score=values)
