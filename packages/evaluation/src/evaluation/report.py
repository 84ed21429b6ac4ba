"""The report: one page that answers, in words first, whether a fake is still detected after JPEG compression."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from . import explain, literature, page, plots, tables
from .explain import Explained
from .intervals import UNITS
from .robustness import area_over_log_rate
from .scores import Scores, by_video, quality_name, read
from .summary import ALL, LEVELS, Row, Summary

__all__ = [
    "Material",
    "Sources",
    "answer",
    "build",
    "dataset_note",
    "gather",
    "literature_row",
    "literature_section",
]

PANELS = ("file", "key", "quality", "psnr", "ssim", "bytes", "bits_per_pixel")
COST = (("bits_per_pixel", 2), ("psnr", 1), ("ssim", 3))
WORST = 12
FACES_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the parts of the report lie. Those that may be None leave their section out."""

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
    """What was read from the `Sources`."""

    summary: Summary
    scores: Scores                         # test split
    panels: list[list[dict[str, Any]]] = field(default_factory=list)       # by face, best quality first
    pictures: dict[str, bytes] = field(default_factory=dict)
    fidelity: dict[str, dict[str, float]] = field(default_factory=dict)    # quality -> psnr, ssim, bits_per_pixel
    faces: dict[str, Any] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    explained: Explained | None = None
    quality: str | None = None

    @property
    def dataset(self) -> dict[str, Any]:
        """Name, synthetic (True, False, or None when nothing was said) and note of the videos."""
        return {"name": None, "synthetic": None, "note": None} | (self.faces.get("dataset") or {})

    @property
    def rates(self) -> dict[str, float]:
        """Mean bits per pixel by JPEG quality."""
        return {quality: found["bits_per_pixel"] for quality, found in self.fidelity.items() if quality != "raw"}

    @property
    def reference(self) -> str | None:
        """The highest JPEG quality, or the only quality there is."""
        ends = self.summary.ends()
        return ends.high if ends else next(iter(self.summary.qualities[::-1]), None)


def gather(sources: Sources) -> Material:
    """Read all *sources*; ValueError or OSError names the file that cannot be used."""
    panels, pictures = _panels(sources.fidelity) if sources.fidelity else ([], {})
    return Material(
        summary=tables.read_summary(sources.metrics, sources.tables),
        scores=read(sources.scores, allow_nan=sources.allow_nan).where(split="test"),
        panels=panels,
        pictures=pictures,
        fidelity=_fidelity(sources.fidelity_summary) if sources.fidelity_summary else {},
        faces=tables.read_json(sources.faces) if sources.faces else {},
        failures=_failures(sources.failures) if sources.failures else [],
        model=tables.read_json(sources.training / "model.json") if sources.training else {},
        history=_history(sources.training / "log.jsonl") if sources.training else [],
        explained=explain.read(sources.explain) if sources.explain else None,
        quality=sources.quality,
    )


def _panels(folder: Path) -> tuple[list[list[dict[str, Any]]], dict[str, bytes]]:
    rows = tables.read_csv(folder / "panels.csv", PANELS, text=("file", "key", "quality"), whole=("bytes",))
    faces: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        faces.setdefault(row["key"], []).append(row)
    best_first = [
        sorted(face, key=lambda row: -math.inf if row["quality"] == "raw" else -int(row["quality"]))
        for face in faces.values()
    ]
    return best_first, {row["file"]: _picture(folder, row["file"]) for row in rows}


def _picture(folder: Path, name: str) -> bytes:
    """Return a picture of the panels; its name is relative to the folder, or to panels/ in it."""
    path = folder / name
    return (path if path.is_file() else folder / "panels" / name).read_bytes()


def _fidelity(path: Path) -> dict[str, dict[str, float]]:
    names = ("psnr", "ssim", "bits_per_pixel")
    out = {}
    for key, found in tables.read_json(path).items():
        quality = key.removeprefix("q")
        if (quality == "raw" or quality.isdigit()) and isinstance(found, dict):
            if "bits_per_pixel" not in found:
                raise ValueError(f"{path}: {key} has no bits_per_pixel")
            out[quality] = {name: float(found.get(name, math.nan)) for name in names}
    return out


def _failures(path: Path) -> list[dict[str, Any]]:
    return tables.read_csv(path, ("video", "frame", "reason"), text=("video", "frame", "reason"))


def _history(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        rows = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise ValueError(f"{path} is no JSON lines: {error}") from error
    return [row for row in rows if row.get("step") is not None and row.get("loss") is not None]


def build(out: Path, material: Material) -> Path:
    """Write the figures as PNG and then ``index.html`` into the folder *out*; return the page's path."""
    summary, scores = material.summary, material.scores
    tables.write_whole(out / "robustness.png", plots.png(plots.robustness(summary, material.rates)))
    tables.write_whole(out / "roc.png", plots.png(plots.roc_curves(scores)))
    tables.write_whole(out / "metrics.png", plots.png(plots.metric_bars(summary)))
    if material.panels:
        face = material.panels[0]
        pictures = {row["file"]: _decoded(material.pictures[row["file"]]) for row in face}
        tables.write_whole(out / "compression.png", plots.png(plots.compression(face, pictures)))
    found = material.explained
    if found and found.drawable:
        tables.write_whole(out / "features.png", plots.png(plots.embedding(found.plane, found.features)))
    path = out / "index.html"
    tables.write_whole(path, page.page("Is a fake still detected after JPEG?", _body(material)))
    return path


def _decoded(data: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(data), format="png"))


# -- words -------------------------------------------------------------------------------------------------------------


def answer(summary: Summary) -> tuple[str, str]:
    """Return (answer, explanation) in plain words, from the frame AUCs and their intervals by videos."""
    ends = summary.ends()
    if not ends:
        return "This run cannot say.", "The scores hold fewer than two JPEG qualities to compare."
    high, low = (summary.find(quality, "frame", "auc") for quality in (ends.high, ends.low))
    drop = summary.drop("frame", "auc")
    if not (high and low and drop) or any(math.isnan(row.value) for row in (high, low, drop)):
        return "This run cannot say.", "The AUC is undefined: " + "; ".join(summary.undefined[:2]) + "."
    if any(math.isnan(row.lo) for row in (high, low, drop)):
        return (
            "This run cannot say.",
            f"The frame AUC is {_auc(high)} at quality {ends.high} and {_auc(low)} at quality {ends.low}, "
            "but there are too few videos to say how sure that is.",
        )
    numbers = f"The frame AUC is {_auc(high)} at quality {ends.high} and {_auc(low)} at quality {ends.low}"
    loss = f"the difference, {tables.with_interval(drop)}, is "
    if high.lo <= 0.5:
        return (
            f"No: not even at quality {ends.high}.",
            f"{numbers}; already the first cannot be told from guessing (.5).",
        )
    if low.lo <= 0.5:
        return (
            f"At quality {ends.high} yes, at quality {ends.low} no longer.",
            f"{numbers}; the second cannot be told from guessing (.5), and {loss}"
            + ("more than chance would give." if drop.lo > 0 else "not settled by this many videos."),
        )
    if drop.lo > 0:
        kept = summary.retention(ends.low, "frame")
        share = f" Of the separation on uncompressed faces {100 * kept:.0f} % is left." if not math.isnan(kept) else ""
        return (
            f"Yes, but clearly less well at quality {ends.low}.",
            f"{numbers}: still better than guessing (.5), but {loss}more than chance would give.{share}",
        )
    return (
        f"Yes: down to quality {ends.low} no loss can be shown.",
        f"{numbers}; {loss}no more than chance would give.",
    )


def _auc(row: Row) -> str:
    return tables.with_interval(row)


def _share(summary: Summary) -> str:
    return f"{100 * summary.settings.confidence:g} %"


def _named(quality: str) -> str:
    return "uncompressed" if quality == "raw" else quality


# -- sections ----------------------------------------------------------------------------------------------------------


def _body(material: Material) -> list[str]:
    summary = material.summary
    return [
        _opening(material),
        _by_quality(material),
        _compression(material),
        _by_method(material),
        literature_section(material),
        _separation(material),
        explain.section(material.explained),
        _calibration(material),
        _training(material),
        _worst(material),
        _exclusions(material),
        _making(material),
        f"<footer>{escape(_footer(summary))}</footer>",
    ]


def _opening(material: Material) -> str:
    summary = material.summary
    short, long = answer(summary)
    trained = _trained(material)
    return "\n".join(
        [
            "<header>",
            "<h1>Is a fake face still detected after JPEG compression?</h1>",
            f'<p class="answer">{escape(short)}</p>',
            page.paragraph(f"{trained} {long}".strip(), "lead"),
            dataset_note(material),
            _cards(summary),
            "</header>",
        ]
    )


def _trained(material: Material) -> str:
    name = material.model.get("model")
    if not name:
        return ""
    at = f" trained on faces at JPEG quality {material.quality}" if material.quality else ""
    return f"The detector is {name}{at}."


def dataset_note(material: Material) -> str:
    """Return the notice that goes on top: that the faces are synthetic, or the name of the data."""
    dataset = material.dataset
    found = tables.caveats(dataset)
    if found:
        return page.note(*found, *([f"Data: {dataset['name']}."] if dataset["name"] else []))
    if dataset["name"]:
        return page.paragraph(f"Data: {dataset['name']}{f' ({note})' if (note := dataset['note']) else ''}.")
    return ""


def _cards(summary: Summary) -> str:
    ends, n = summary.ends(), summary.n
    qualities = [ends.high, ends.low] if ends else summary.qualities[:1]
    cards = []
    for quality in qualities:
        row = summary.find(quality, "frame", "auc")
        cards.append(_number_card(f"frame AUC, {_at(quality)}", row))
    if ends:
        cards.append(_number_card(f"drop {ends.high} → {ends.low}", summary.drop("frame", "auc")))
    cards.append(
        page.card("tested on", f"{n['videos']} videos", f"{n['frames']} faces of {n['pairs']} pairs of people")
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _at(quality: str) -> str:
    return "uncompressed" if quality == "raw" else f"JPEG quality {quality}"


def _number_card(what: str, row: Any) -> str:
    value, _, interval = tables.with_interval(row).partition(" ")
    return page.card(what, value, interval and f"{interval} by videos")


def _by_quality(material: Material) -> str:
    summary = material.summary
    header = ["quality", "frame AUC by videos", "by pairs", "video AUC by videos", "by pairs", "balanced ACC", "EER",
              "faces / videos / pairs"]  # fmt: skip
    rows = [_quality_row(summary, quality) for quality in summary.qualities]
    ends = summary.ends()
    if ends:
        drops = [summary.drop(level, "auc", unit) for level in LEVELS for unit in UNITS]
        drops += [summary.drop("frame", metric) for metric in ("balanced_accuracy", "eer")]
        rows.append([f"drop {ends.high} → {ends.low}", *map(tables.with_interval, drops), ""])
    caption = (
        f"Test split. [{_share(summary)} intervals: {summary.settings.replicates} bootstrap replicates of whole "
        "videos, real and fake apart, or of whole pairs of people.] Frames of a video are nearly copies, so they are "
        "never drawn alone. Balanced ACC at the threshold .5. The drop is paired: both qualities in the same draws."
    )
    return page.section(
        "By JPEG quality",
        page.table(header, rows, caption),
        page.figure(
            plots.svg(plots.robustness(summary, material.rates, plots.PAGE)),
            f"AUC over JPEG quality, bands are {_share(summary)} intervals by videos. Dotted: guessing. "
            + _scalars(material),
            "Frame and video AUC falling with JPEG quality",
        ),
        _thresholds(material),
    )


def _quality_row(summary: Summary, quality: str) -> list[str]:
    aucs = [summary.find(quality, level, "auc", unit=unit) for level in LEVELS for unit in UNITS]
    others = [summary.find(quality, "frame", metric) for metric in ("balanced_accuracy", "eer")]
    n = " / ".join(str(getattr(aucs[0], name) if aucs[0] else 0) for name in ("n_frames", "n_videos", "n_pairs"))
    return [_named(quality), *map(tables.with_interval, (*aucs, *others)), n]


def _thresholds(material: Material) -> str:
    """Return the numbers that depend on a threshold, and what the compression cost."""
    summary = material.summary
    header = ["quality", "threshold of val", "balanced ACC", "real called real", "fakes called fake", "TPR at 5 % FPR",
              "TPR at 1 % FPR", *(["bits per pixel", "PSNR dB", "SSIM"] if material.fidelity else [])]  # fmt: skip
    rows = []
    for quality in summary.qualities:
        names = ("balanced_accuracy", "acc_real", "acc_fake")
        chosen = [summary.find(quality, "frame", name, source="val") for name in names]
        at_fpr = [summary.find(quality, "frame", f"tpr_at_fpr_{fpr}") for fpr in ("0.05", "0.01")]
        found = material.fidelity.get(quality, {})
        cost = [_fidelity_cell(found.get(name), digits) for name, digits in COST] if material.fidelity else []
        threshold = tables.number(chosen[0].threshold if chosen[0] else None)
        rows.append([_named(quality), threshold, *map(tables.with_interval, (*chosen, *at_fpr)), *cost])
    caption = (
        "Frame level, intervals by videos. The threshold is the one with the best balanced ACC on the validation split "
        "at the same quality. Bits per pixel, PSNR and SSIM are means over the faces."
    )
    return page.table(header, rows, caption)


def _fidelity_cell(value: float | None, digits: int) -> str:
    return "∞" if value is not None and math.isinf(value) else tables.number(value, digits)


def _scalars(material: Material) -> str:
    """Return the curve in a few numbers, as one sentence."""
    summary = material.summary
    numeric = [quality for quality in summary.qualities if quality != "raw"]
    aucs = [row.value if (row := summary.find(quality, "frame", "auc")) else math.nan for quality in numeric]
    if len(numeric) < 2 or any(map(math.isnan, aucs)):
        return ""
    parts = [f"Mean frame AUC over the qualities {np.mean(aucs):.3f}, worst {min(aucs):.3f}"]
    if all(quality in material.rates for quality in numeric):
        area = area_over_log_rate([material.rates[quality] for quality in numeric], aucs)
        parts.append(f"mean over log bits per pixel {area:.3f}")
    kept = summary.retention(numeric[-1], "frame")
    if not math.isnan(kept):
        parts.append(f"left at {numeric[-1]} of the uncompressed AUC's distance from .5: {100 * kept:.0f} %")
    return "; ".join(parts) + "."


def _compression(material: Material) -> str:
    if not material.panels:
        return ""
    rows = [_face_row(face, material.pictures) for face in material.panels]
    caption = "PSNR and SSIM against the uncompressed crop; bytes of the whole file: a PNG for raw, else a JPEG."
    more = rows[FACES_SHOWN:]
    return page.section(
        "What compression does to a face",
        page.figure("\n".join(rows[:FACES_SHOWN]), caption, ""),
        page.details(f"{len(more)} more", page.figure("\n".join(more), caption, "")) if more else "",
    )


def _face_row(face: list[dict[str, Any]], pictures: Mapping[str, bytes]) -> str:
    """Return one face at all its qualities."""
    key = escape(face[0]["key"])
    cells = []
    for row in face:
        label = "raw" if row["quality"] == "raw" else f"quality {row['quality']}"
        image = f'<img alt="{key}, {label}" src="{page.data_uri(pictures[row["file"]])}">'
        lines = "".join(f"<span>{escape(line)}</span>" for line in plots.caption(row).split("\n"))
        cells.append(f'<div class="face">{image}<b>{label}</b>{lines}</div>')
    return f'<div class="small">{key}</div><div class="faces" style="--n:{len(face)}">{"".join(cells)}</div>'


def _by_method(material: Material) -> str:
    summary = material.summary
    if not summary.methods:
        return ""
    header = ["quality", "all", *summary.methods, f"mean of the {len(summary.methods)}"]
    parts = []
    for level in ("frame", "video"):
        rows: list[list[str | tuple[str, str]]] = []
        for quality in summary.qualities:
            found = [summary.find(quality, level, "auc", method) for method in (ALL, *summary.methods)]
            cells = [page.heat(row.value if row else math.nan, tables.with_interval(row)) for row in found]
            mean = float(np.mean([row.value if row else math.nan for row in found[1:]]))
            rows.append([_named(quality), *cells, page.heat(mean, tables.number(mean))])
        caption = (
            f"{level.capitalize()} AUC of each method's fakes against all real faces, intervals by videos. "
            "The mean is over the methods shown, each counted once."
        )
        parts.append(page.table(header, rows, caption))
    return page.section("By forgery method", *parts)


def literature_section(material: Material) -> str:
    """Return the table of the field, for real FaceForensics++ only."""
    if material.dataset["synthetic"] is not False:
        return ""
    summary = material.summary
    ours = {quality: literature_row(summary, quality, material.scores) for quality in summary.qualities}
    header = ["model", *literature.COLUMNS, "mean of DF, F2F, FS, NT"]
    rows: list[list[str]] = []
    for baseline in literature.BASELINES:
        rows.append([f"{baseline.model} ({baseline.source})", *_literature_cells(baseline.auc)])
    for quality, auc in ours.items():
        rows.append([f"this run, {_named(quality)}", *_literature_cells(auc)])
    raw = ours.get("raw") or {}
    gains: list[list[str]] = []
    for baseline in literature.BASELINES:
        found = literature.gains(raw, baseline.auc)
        names = (*literature.COLUMNS, "mean")
        gains.append([f"over {baseline.model}", *(_gain_cell(found.get(name)) for name in names)])
    sources = "; ".join(f"{name}: {text}" for name, text in literature.SOURCES.items())
    return page.section(
        "Beside the literature",
        page.table(header, rows, f"Frame AUC. {sources}. Published numbers carry no intervals and no JPEG quality."),
        page.table(
            ["this run, uncompressed", *literature.COLUMNS, "mean"], gains,
            "Gain in points [relative], both from one column; a column that one side lacks counts on neither side.",
        ) if raw else "",
    )  # fmt: skip


def _gain_cell(gain: literature.Gain | None) -> str:
    return "-" if gain is None else f"{gain.points:+.2f} [{gain.relative:+.1f} %]"


def literature_row(summary: Summary, quality: str, scores: Scores) -> dict[str, float]:
    """Return our frame AUCs by the literature's columns.

    FF-c23 or FF-c40 when all videos are of that compression and the methods are just the literature's four.
    """
    out = {}
    compressions = {str(compression) for compression in np.unique(scores.compression)}
    whole = summary.find(quality, "frame", "auc") if set(summary.methods) == set(literature.METHOD_COLUMNS) else None
    if whole and len(compressions) == 1 and f"FF-{(name := compressions.pop())}" in literature.COLUMNS:
        out[f"FF-{name}"] = whole.value
    for method, column in literature.METHOD_COLUMNS.items():
        row = summary.find(quality, "frame", "auc", method)
        if row:
            out[column] = row.value
    return out


def _literature_cells(auc: Mapping[str, float]) -> list[str]:
    cells = [tables.number(auc.get(column), 4) for column in literature.COLUMNS]
    return [*cells, tables.number(literature.mean_over(auc), 4)]


def _separation(material: Material) -> str:
    scores, summary = material.scores, material.summary
    if not len(scores):
        return ""
    return page.section(
        "How the scores separate",
        page.figure(
            plots.svg(plots.histograms(scores, plots.PAGE)),
            "Scores of real and of fake faces at each quality. Two hills that stand apart are a detector, one hill is "
            "a coin.",
            "Histograms of the scores",
        ),
        page.figure(
            plots.svg(plots.metric_bars(summary, theme=plots.PAGE)),
            f"Frame-level metrics, lines are {_share(summary)} intervals by videos. ACC, balanced ACC and F1 at the "
            "threshold .5; EER is an error, low is good. ACC, AP and F1 depend on the share of fakes.",
            "Bar chart of the metrics by quality",
        ),
        '<div class="pair">'
        + page.figure(
            plots.svg(plots.roc_curves(scores, plots.PAGE)), "ROC curves of the frames.", "ROC curves by quality"
        )
        + page.figure(
            plots.svg(plots.reliability_diagram(scores, plots.PAGE)),
            "Reliability: of the faces scored .8, are 80 % fakes? 15 bins of equal mass; the diagonal is calibrated.",
            "Reliability diagram by quality",
        )
        + "</div>",
    )


def _calibration(material: Material) -> str:
    rows = [
        [_named(row["quality"]), *(tables.number(row[name]) for name in (
            "ece", "temperature", "ece_after", "temperature_reference", "ece_after_reference"
        )), str(int(row["n_frames"]))]
        for row in material.summary.calibration
    ]  # fmt: skip
    reference = material.reference
    header = ["quality", "ECE", "T", "ECE after", f"T of quality {reference}", "ECE after", "faces"]
    caption = (
        "Expected calibration error of the frames before and after dividing the logits by a temperature T fitted on "
        f"the validation split: at the same quality, or once at quality {reference}, as a detector must that is not "
        "told the quality. T is undefined where the validation scores point the wrong way or separate perfectly."
    )
    return page.section("Calibration", page.table(header, rows, caption)) if rows else ""


def _training(material: Material) -> str:
    if not material.history:
        return ""
    chart = plots.svg(plots.history(material.history, plots.PAGE))
    return page.section("Training", page.figure(chart, "Nothing was chosen on the test split.", "Loss over steps"))


def _worst(material: Material) -> str:
    reference = material.reference
    if reference is None or not len(material.scores):
        return ""
    videos = [row for row in tables.videos_table(material.scores) if row["quality"] == reference][:WORST]
    others = by_video(material.scores)
    at = {(str(k), str(q)): float(s) for k, q, s in zip(others.key, others.quality, others.score, strict=True)}
    columns = [quality for quality in material.summary.qualities if quality != reference]
    rows = [
        [row["video"], row["compression"], "fake" if row["label"] else "real", f"{row['score']:.3f}",
         *(tables.number(at.get((f"{row['compression']}/{row['video']}", quality))) for quality in columns),
         str(row["n_frames"])]
        for row in videos
    ]  # fmt: skip
    named = [_named(quality) if quality == "raw" else f"at {quality}" for quality in columns]
    scores = [f"score at {_named(reference)}", *named]
    header = ["video", "compression", "is", *scores, "faces"]
    caption = f"The {len(rows)} videos whose mean score is furthest from their label at {_at(reference)}."
    return page.section("Most wrong", page.table(header, rows, caption, text=(1, 2)))


def _exclusions(material: Material) -> str:
    faces = material.faces
    failed = faces.get("failures") or {}
    parts = []
    if material.summary.dropped:
        parts.append(page.paragraph(f"{material.summary.dropped} scores that are not finite were left out."))
    if material.summary.undefined:
        items = "".join(f"<li>{escape(text)}</li>" for text in material.summary.undefined)
        parts.append(f"<p>Undefined, and so not reported:</p><ul>{items}</ul>")
    if failed:
        parts.append(
            page.paragraph(
                f"The faces stage could not use {failed.get('frames', 0)} frames; of whole videos, "
                f"{failed.get('videos', 0)}. What gave no face is in no number above."
            )
        )
        reasons = failed.get("reasons") or {}
        if reasons:
            parts.append(page.table(["reason", "how often"], [[str(why), str(n)] for why, n in reasons.items()]))
    if faces.get("not_there"):
        parts.append(page.paragraph("Asked for and not there: " + "; ".join(map(str, faces["not_there"])) + "."))
    if material.failures:
        rows = [[row["video"], row["frame"] or "all", row["reason"]] for row in material.failures]
        parts.append(
            page.details(f"All {len(rows)}", page.table(["video", "frame", "reason"], rows, text=(1, 2)))
        )  # fmt: skip
    return page.section("Left out", *parts)


def _making(material: Material) -> str:
    summary, faces = material.summary, material.faces
    parts = []
    if isinstance(faces.get("faces"), dict) and faces["faces"]:
        splits = list(dict.fromkeys(split for counts in faces["faces"].values() for split in counts))
        videos = faces.get("videos") or {}
        rows = [
            [method, *(f"{counts.get(split, 0)} / {videos.get(method, {}).get(split, '-')}" for split in splits)]
            for method, counts in faces["faces"].items()
        ]
        parts.append(page.table(["method", *(f"{split}, faces / videos" for split in splits)], rows, "The data."))
    settings: dict[str, Any] = {}
    if material.quality:
        settings["training quality"] = material.quality
    settings |= _flat({"model": material.model}) | _flat({"faces": faces.get("parameters") or {}})
    settings |= _flat({"versions": faces.get("versions") or {}}) | _flat({"face detector": faces.get("detector") or {}})
    settings |= {
        "bootstrap replicates": summary.settings.replicates,
        "confidence": summary.settings.confidence,
        "seed of the draws": summary.settings.seed,
    }
    rows = [[name, str(value)] for name, value in settings.items()]
    parts.append(page.details("Parameters and versions", page.table(["setting", "value"], rows, text=(1,))))
    definitions = [
        "AUC: probability that a fake scores above a real face, ties counting one half; .5 is guessing. The level is "
        "always said: frame AUC judges single faces, video AUC the mean score of each video.",
        "EER: the error rate at the threshold where as large a share of the real is called fake as fakes are missed.",
        "Balanced ACC: mean of the shares of real and of fake faces called right; always saying fake gives .5.",
        "Intervals say how much the numbers would move with other test videos of the same kind. They say nothing about "
        "other data, other forgeries, or another training run: for that, see several seeds.",
    ]
    parts.append("<h3>Words</h3>" + "".join(page.paragraph(text, "small") for text in definitions))
    return page.section("How it was made", *parts)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as ``a.b`` -> text."""
    out: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return out


def _footer(summary: Summary) -> str:
    qualities = ", ".join(quality_name(quality) for quality in summary.qualities) or "none"
    return f"Qualities: {qualities}. The same numbers with more digits: metrics.json and the tables beside it."
