"""The sections of the page, each a function from `Material` to its parts; a section without parts is left out.

`SECTIONS` lists them in the order of the page. To add one, write a function that returns blocks made by `page.table`,
`page.chart`, `page.paragraph` and so on, and give it a line there; the contents, the CSV files and report.md follow.
"""
# Over 600 lines: a function for each section, in the order of the page.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice

import numpy as np

from . import audit, coverage, explain, histories, literature, made, page, plots, tables, versus
from .clusters import UNIT_NAMES, cluster
from .conditions import RAW, condition_key, title
from .files import Picture
from .jackknife import Sample
from .material import Material
from .page import NOTHING, Block, Cell
from .printed import number_with
from .records import Fidelity, Panel
from .robustness import log_rate_weights
from .scores import ALL, Scores, by_video
from .summary import LEVELS, Difference, Row, Summary
from .usefulness import Answer, answer
from .wilson import Range, mean_estimate, of_share

__all__ = ["SECTIONS", "Section", "body", "dataset_note", "literature_mean", "literature_row", "question"]

COST = (("bits_per_pixel", 2), ("psnr", 1), ("ssim", 3))
WORST = 12
FACES_SHOWN = 2
MOST_ROWS = 60                         # of one column's strata
ASSUMED = "counts as independent"      # in a note on columns that the scores lack
AUDIT = "audit"
NO_MEAN = "the bootstrap has none of a mean over methods"
NO_THRESHOLD = number_with(
    math.nan, math.nan, math.nan, reason="no threshold: the validation split lacks a class in this condition"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its id in the page, its title, and the function that returns its parts."""

    anchor: str
    title: str
    parts: Callable[[Material], Iterable[Block]]


def body(material: Material) -> Block:
    """Return the whole page: the answer, the contents, all sections that have parts, and the footer."""
    made = [(one, page.section(one.anchor, one.title, one.parts(material))) for one in SECTIONS]
    shown = [(one, block) for one, block in made if block]
    entries = [page.Entry(one.anchor, one.title) for one, _ in shown]
    footer = Block(f"<footer>{escape(_footer(material.summary))}</footer>", page.markdown(_footer(material.summary)))
    blocks = (block for _, block in shown)
    return page.joined([_opening(material, {one.anchor for one, _ in shown}), page.contents(entries), *blocks, footer])


def _share(summary: Summary) -> str:
    return f"{100 * summary.settings.confidence:g} %"


def question(summary: Summary) -> str:
    """Return the question that the page answers."""
    if len(summary.conditions) > 1:
        return "Is a fake face still detected after JPEG compression?"
    return "Is a fake face detected?"


def _opening(material: Material, anchors: set[str]) -> Block:
    found = answer(material.summary, material.matrix, material.margins)
    data = audit.headline(material.audit, material.detector, material.shared)
    answered, warnings = found.short + (f" {audit.ALERT}" if data else ""), [*data, *found.warnings]
    known = ((AUDIT, "The audit of the data"), ("histories", "The matrix of conditions"))
    links = [(f"#{anchor}", words) for anchor, words in known if anchor in anchors]
    asked = question(material.summary)
    short = f"# {asked}\n\n**{page.markdown(answered)}**"
    parts = page.joined([
        Block(f'<h1>{asked}</h1>\n<p class="answer">{escape(answered)}</p>', short),
        page.paragraph(" ".join([_trained(material), *found.sentences]).strip(), "lead"),
        page.note(*warnings, links=links) if warnings else NOTHING,
        dataset_note(material),
        NOTHING if material.origin else page.paragraph(made.verified(material)),
        *(page.paragraph(f"How the scores were read: {note}.") for note in material.summary.notes if ASSUMED in note),
        _error_cards(found),
        _error_pictures(material),
        _cards(material.summary),
    ])  # fmt: skip
    return parts.within("<header>\n", "\n</header>")


def _error_cards(found: Answer) -> Block:
    """Return how many faces of 1,000 are classified wrongly, in the best and in the worst condition."""
    cards = [
        (f"{which}{title(rate.condition)}", *rate.texts(words))
        for words, best, worst in found.extremes
        for which, rate in (
            [("", best)] if len(found.accused or found.missed) == 1
            else [("best condition, ", best), ("worst condition, ", worst)]
        )
    ]  # fmt: skip
    if not cards:
        return NOTHING
    how = "chosen on the validation split" if found.chosen else "fixed: no validation split to choose another"
    every = " for all conditions" if len(found.accused or found.missed) > 1 else ""
    at = f"At one threshold{every} ({tables.number(found.threshold)}, {how}):"
    return page.joined([page.paragraph(at, "small"), page.cards(cards)])


def _error_pictures(material: Material) -> Block:
    """Return the most confident false alarm and the most confident miss as images."""
    cells, lines = [], []
    for mistake in material.mistakes:
        words = "a fake that is missed" if mistake.label else "a real face classified as fake"
        below = [title(mistake.condition), f"score {mistake.score:.3f}", mistake.key]
        if mistake.shown != mistake.condition:
            below[0] += f" (shown {title(mistake.shown)})"
        described = f"{words}: {', '.join(below)}"
        image = f'<img alt="{escape(described)}" src="{page.data_uri(mistake.picture.data)}">'
        spans = "".join(f"<span>{escape(line)}</span>" for line in below)
        cells.append(f'<div class="face">{image}<b>{escape(words)}</b>{spans}</div>')
        lines.append(f"- {page.markdown(described)}")
    if not cells:
        return NOTHING
    return Block(f'<div class="faces" style="--n:4">{"".join(cells)}</div>', "\n".join(lines))


def _trained(material: Material) -> str:
    model = material.model
    if model is None or not model.model:
        return ""
    faces = made.training_faces(model)
    return f"The detector is {model.model}" + (f", trained on {faces}." if faces else ".")


def dataset_note(material: Material) -> Block:
    """Return the notice for the top of the page: that the faces are synthetic, or the name of the data."""
    dataset = material.dataset
    found = tables.caveats(dataset.synthetic, dataset.note)
    if found:
        return page.note(*found, *([f"Data: {dataset.name}."] if dataset.name else []))
    if dataset.name:
        return page.paragraph(f"Data: {dataset.name}{f' ({dataset.note})' if dataset.note else ''}.")
    return NOTHING


def _cards(summary: Summary) -> Block:
    ends, n = summary.ends(), summary.n
    shown = [ends.high, ends.low] if ends else summary.conditions[:1]
    cards = [
        _number_card(summary, f"frame AUC, {title(condition)}", summary.find(condition, "frame", "auc"))
        for condition in shown
    ]
    if ends:
        cards.append(_number_card(summary, f"drop {ends.high} → {ends.low}", summary.drop("frame", "auc")))
    return page.cards([*cards, _tested(summary.units[0], n)])


def _tested(unit: str, n: Mapping[str, int]) -> tuple[str, str, str]:
    """Return the card of the numbers of faces; what is not known of them is not counted."""
    if unit == "row":
        return "tested on", f"{n['frames']} faces", "whose videos and people are not known"
    known = {"pair": f" of {n['pairs']} pairs of people"}.get(unit, "")
    return "tested on", f"{n['videos']} videos", f"{n['frames']} faces{known}"


def _number_card(summary: Summary, what: str, row: Row | Difference | None) -> tuple[str, str, str]:
    value, _, interval = tables.with_interval(row).partition(" ")
    by = "" if row is None or math.isnan(row.lo) else f" by {UNIT_NAMES[summary.units[0]]}"
    return what, value, f"{interval}{by}"


def _by_condition(material: Material) -> list[Block]:
    summary = material.summary
    by = [f"by {UNIT_NAMES[unit]}" for unit in summary.units]
    header = ["condition", *(f"{level} AUC {name}" for level in LEVELS for name in by), "balanced ACC", "EER",
              "faces / videos / pairs"]  # fmt: skip
    rows = [_condition_row(summary, condition) for condition in summary.conditions]
    ends, foot = summary.ends(), []
    if ends:
        drops = [summary.drop(level, "auc", unit) for level in LEVELS for unit in summary.units]
        drops += [summary.drop("frame", metric) for metric in ("balanced_accuracy", "eer")]
        foot.append([f"drop {ends.high} → {ends.low}", *map(tables.with_interval, drops), ""])
    note = (
        f"Test split, {_share(summary)} intervals {_how(summary)}. Frames of one video are strongly correlated, so "
        "single frames never count as independent. Balanced ACC at the threshold .5. The drop is paired. "
        + _coverage(summary, ("AUC", "bal. ACC", "EER", "difference"))
    )
    return [
        page.table("by-condition", "Real and fake faces in the same condition", header, rows, note, foot=foot),
        page.chart(
            "robustness",
            lambda theme: plots.robustness(summary, theme),
            f"AUC by condition; bands are {_share(summary)} intervals by {UNIT_NAMES[summary.units[0]]}, the dotted "
            "line is chance. " + _scalars(material),
            "Frame and video AUC by condition",
        ),
        _curves(material),
        _thresholds(material),
    ]


def _curves(material: Material) -> Block:
    """Return the curves over bits per pixel, SSIM and quality, where the fidelity of two conditions is known."""
    if len(material.rates) < 2:
        return NOTHING
    summary = material.summary
    return page.chart(
        "curves",
        lambda theme: plots.curves(summary, material.fidelity, theme),
        "Frame level, at the threshold .5 for balanced ACC. One line for each encoder or kind of condition; compare "
        "them at equal bits per pixel or equal SSIM, not at equal quality numbers. Dashed: uncompressed faces; dotted: "
        f"chance; bands are {_share(summary)} intervals by {UNIT_NAMES[summary.units[0]]}.",
        "AUC, balanced accuracy and equal error rate over bits per pixel, SSIM and quality number by encoder",
    )


def _how(summary: Summary) -> str:
    """Return how intervals are made, as a phrase."""
    if summary.settings.intervals == "bootstrap":
        replicates = summary.settings.replicates
        return f"{replicates} bootstrap replicates of whole videos, stratified by class, or of whole pairs"
    return f"by {UNIT_NAMES[summary.units[0]]}, which are assumed to be independent; no resampling"


def _condition_row(summary: Summary, condition: str) -> list[str]:
    aucs = [summary.find(condition, level, "auc", unit=unit) for level in LEVELS for unit in summary.units]
    others = [summary.find(condition, "frame", metric) for metric in ("balanced_accuracy", "eer")]
    n = " / ".join(str(getattr(aucs[0], name) if aucs[0] else 0) for name in ("n_frames", "n_videos", "n_pairs"))
    return [title(condition), *map(tables.with_interval, (*aucs, *others)), n]


def _thresholds(material: Material) -> Block:
    """Return the table of metrics at the validation threshold, with the mean fidelity of each condition."""
    summary = material.summary
    header = ["condition", "validation threshold", "balanced ACC", "real classified real", "fakes classified fake",
              "TPR at 5 % FPR", "TPR at 1 % FPR",
              *(["bits per pixel", "PSNR dB", "SSIM"] if material.fidelity else [])]  # fmt: skip
    rows = []
    for condition in summary.conditions:
        names = ("balanced_accuracy", "acc_real", "acc_fake")
        chosen = [summary.find(condition, "frame", name, source="val") for name in names]
        at_fpr = [summary.find(condition, "frame", f"tpr_at_fpr_{fpr}") for fpr in ("0.05", "0.01")]
        found = material.fidelity.get(condition)
        cost = [_fidelity_cell(condition, found, name, digits) for name, digits in COST]
        threshold = tables.number(chosen[0].threshold if chosen[0] else None)
        known = [*map(tables.with_interval, chosen)] if chosen[0] else [NO_THRESHOLD] * len(chosen)
        cells = [title(condition), threshold, *known, *map(tables.with_interval, at_fpr)]
        rows.append([*cells, *(cost if material.fidelity else [])])
    caption = (
        f"Frame level, intervals by {UNIT_NAMES[summary.units[0]]}. The threshold maximises balanced ACC on the "
        "validation split in the same condition."
        + (" Bits per pixel, PSNR and SSIM are means over the faces of all splits." if material.fidelity else "")
        + f" {_coverage(summary, ('sensitivity', 'specificity', 'TPR at 5 %', 'TPR at 1 %'))}".rstrip()
    )
    return page.table("thresholds", "A threshold for each condition", header, rows, caption)


def _fidelity_cell(condition: str, found: Fidelity | None, name: str, digits: int) -> str:
    if found is None:
        why = "uncompressed faces are what the others are compared with"
        why = why if condition == RAW else "not measured by the fidelity stage"
        return number_with(math.nan, math.nan, math.nan, reason=why)
    value, lo, hi = (getattr(found, f"{name}{end}") for end in ("", "_lo", "_hi"))
    return "∞" if math.isinf(value) else number_with(value, lo, hi, digits, "fewer than two pairs")


def retained(summary: Summary, condition: str) -> str:
    """Return how much of the uncompressed frame AUC's distance from chance remains, as a sentence; or nothing."""
    row = summary.scalar("retention", condition, "frame")
    if row is None or math.isnan(row.value):
        return ""
    interval = f"no interval: {row.reason}" if math.isnan(row.lo) else f"{100 * row.lo:.0f} to {100 * row.hi:.0f} %"
    return f"{100 * row.value:.0f} % [{interval}] of the uncompressed AUC's distance from .5 remains."


def _scalars(material: Material) -> str:
    """Return the summaries of the curve as one sentence."""
    summary = material.summary
    others = [condition for condition in summary.conditions if condition != RAW]
    aucs = [row.value if (row := summary.find(condition, "frame", "auc")) else math.nan for condition in others]
    if len(others) < 2 or any(map(math.isnan, aucs)):
        return ""
    worst = others[int(np.argmin(aucs))]
    lowest = tables.with_interval(summary.find(worst, "frame", "auc"))
    mean = tables.range_text(summary.mean_auc(others))
    parts = [f"Mean frame AUC over the compressed conditions {mean}, lowest {lowest} ({worst})"]
    if all(condition in material.rates for condition in others):
        weights = log_rate_weights([material.rates[condition] for condition in others])
        if not np.isnan(weights).any():
            area = summary.mean_auc(others, weights.tolist())
            parts.append(f"mean over log bits per pixel {tables.range_text(area)}")
    ends = summary.ends()
    kept = retained(summary, ends.low) if ends else ""
    return "; ".join(parts) + "." + (f" At {title(ends.low)}, {kept}" if ends and kept else "")


def _best(material: Material) -> str:
    """Return the highest frame AUC of the detector with its interval; nothing where none is defined."""
    rows = [material.summary.find(name, "frame", "auc") for name in material.summary.conditions]
    defined = [row for row in rows if row and not math.isnan(row.value)]
    return tables.with_interval(max(defined, key=lambda row: row.value)) if defined else ""


def _compression(material: Material) -> list[Block]:
    if not material.panels:
        return []
    faces, pictures = material.panels, material.pictures
    fitting = page.fitting(sum(len(pictures[row.file].data) for row in face) for face in faces)
    rows = [_face_row(face, pictures) for face in faces[:fitting]]
    caption = "PSNR and SSIM against the uncompressed crop; bytes of the whole file (PNG for uncompressed faces)."
    described = "A face in every condition"
    first = page.figure("\n".join(rows[:FACES_SHOWN]), caption, described)
    text = f"![{described}](compression.png)\n\n{page.markdown(caption)}"
    more = rows[FACES_SHOWN:]
    rest = page.figure("\n".join(more), caption, f"{described}, more faces") if more else NOTHING
    pixels = {row.file: pictures[row.file].pixels for row in faces[0]}
    draw = ("compression", lambda theme: plots.compression(faces[0], pixels, theme))
    left = len(faces) - fitting
    elsewhere = f"{left} more faces are in the folder of the fidelity stage, left out here to keep the page small."
    return [
        Block(first.html, text, charts=(draw,)),
        page.details(f"{len(more)} more", rest),
        page.paragraph(elsewhere if left else ""),
    ]


def _face_row(face: Sequence[Panel], pictures: Mapping[str, Picture]) -> str:
    """Return one face in all its conditions."""
    key = escape(face[0].key)
    cells = []
    for row in face:
        label = escape(title(row.condition))
        image = f'<img alt="{key}, {label}" src="{page.data_uri(pictures[row.file].data)}">'
        lines = "".join(f"<span>{escape(line)}</span>" for line in plots.caption(row).split("\n"))
        cells.append(f'<div class="face">{image}<b>{label}</b>{lines}</div>')
    return f'<div class="small">{key}</div><div class="faces" style="--n:{len(face)}">{"".join(cells)}</div>'


def _by_method(material: Material) -> list[Block]:
    summary = material.summary
    if not summary.methods:
        return []
    header = ["condition", "all", *summary.methods, f"mean of the {len(summary.methods)}"]
    parts = []
    for level in LEVELS:
        rows: list[list[Cell]] = []
        for condition in summary.conditions:
            found = [summary.find(condition, level, "auc", method) for method in (ALL, *summary.methods)]
            cells = [page.heat(row.value if row else math.nan, tables.with_interval(row)) for row in found]
            average = summary.scalar("method_mean", condition, level)
            mean = average.value if average else float(np.mean([row.value if row else math.nan for row in found[1:]]))
            shown = tables.with_interval(average) if average else number_with(mean, math.nan, math.nan, reason=NO_MEAN)
            rows.append([title(condition), *cells, page.heat(mean, shown)])
        caption = (
            "The fakes of each method against all real faces, intervals by "
            f"{UNIT_NAMES[summary.units[0]]}. "
            "The mean is over the methods shown, equally weighted."
        )
        name = f"by-method-{level}"
        parts.append(page.table(name, f"{level.capitalize()} AUC by forgery method", header, rows, caption))
    return parts


def _published(material: Material) -> list[Block]:
    """Return published results next to ours, for real FaceForensics++ only."""
    if material.dataset.synthetic is not False:
        return []
    summary = material.summary
    ours = {condition: literature_row(summary, condition, material.scores) for condition in summary.conditions}
    header = ["model", *literature.COLUMNS, "mean of DF, F2F, FS, NT"]
    rows: list[list[str]] = []
    for baseline in literature.BASELINES:
        mean = literature.mean_over(baseline.auc)
        known = [*(baseline.auc.get(column, math.nan) for column in literature.COLUMNS), mean]
        cells = [number_with(value, math.nan, math.nan, 4, UNPUBLISHED[math.isnan(value)]) for value in known]
        rows.append([f"{baseline.model} ({baseline.source})", *cells])
    for condition, auc in ours.items():
        means = literature_mean(material, condition, literature.MEAN_OVER)
        found = [*(auc.get(column, UNMEASURED) for column in literature.COLUMNS), means]
        rows.append([f"this run, {title(condition)}", *(tables.range_text(one, 4) for one in found)])
    sources = "; ".join(f"{name}: {text}" for name, text in literature.SOURCES.items())
    note = (
        f"Frame AUC; {_share(summary)} intervals by {UNIT_NAMES[summary.units[0]]}. {sources}. Published numbers have "
        "no JPEG quality."
    )
    published = page.table("published", "Published results beside this run", header, rows, note)
    return [published, *_gains(material, ours.get(RAW) or {})]


def _gains(material: Material, raw: Mapping[str, Range]) -> Iterable[Block]:
    """Return the differences of the uncompressed faces to the published results, in points and relative."""
    if not raw:
        return
    names = (*literature.COLUMNS, "mean")
    kinds = (("gains", "points", "in points (hundredths of AUC)", 2),
             ("gains-relative", "relative", "relative to the published one, in per cent", 1))  # fmt: skip
    for name, kind, words, digits in kinds:
        rows = []
        for baseline in literature.BASELINES:
            shared = [column for column in literature.MEAN_OVER if column in raw and column in baseline.auc]
            here = dict(raw) | ({"mean": literature_mean(material, RAW, shared)} if shared else {})
            theirs = dict(baseline.auc) | ({"mean": literature.mean_over(baseline.auc, shared)} if shared else {})
            rows.append([f"over {baseline.model}", *(_gain(here.get(n), theirs.get(n), kind, digits) for n in names)])
        note = (
            f"Difference {words}; {_share(material.summary)} intervals by {UNIT_NAMES[material.summary.units[0]]} are "
            "those of this run, the published number is taken as given. The mean is over the columns that both sides "
            "have."
        )
        caption = f"Difference to the published results, {kind if kind == 'relative' else 'in points'}"
        yield page.table(name, caption, ["this run, uncompressed", *names], rows, note)


def _gain(here: Range | None, theirs: float | None, kind: str, digits: int) -> str:
    if here is None or theirs is None:
        return number_with(math.nan, math.nan, math.nan, reason="one of both was not measured")
    value, lo, hi = (getattr(literature.gain(end, theirs), kind) for end in here[:3])
    return number_with(value, lo, hi, digits, here.reason, sign="+")


UNPUBLISHED = ("published without one", "not published")
UNMEASURED = Range(math.nan, math.nan, math.nan, "this run has no such faces")


def literature_row(summary: Summary, condition: str, scores: Scores) -> dict[str, Range]:
    """Return our frame AUCs with their intervals by the columns of the literature.

    FF-c23 or FF-c40 where all videos have that compression and the methods are exactly the four of the literature.
    """
    out = {}
    compressions = {str(compression) for compression in np.unique(scores.compression)}
    whole = summary.find(condition, "frame", "auc") if set(summary.methods) == set(literature.METHOD_COLUMNS) else None
    if whole and len(compressions) == 1 and f"FF-{(name := compressions.pop())}" in literature.COLUMNS:
        out[f"FF-{name}"] = Range(whole.value, whole.lo, whole.hi, whole.why)
    for method, column in literature.METHOD_COLUMNS.items():
        row = summary.find(condition, "frame", "auc", method)
        if row:
            out[column] = Range(row.value, row.lo, row.hi, row.why)
    return out


def literature_mean(material: Material, condition: str, columns: Sequence[str]) -> Range:
    """Return the mean frame AUC over the methods of *columns* with its interval; undefined if one has no fakes."""
    named = {column: method for method, column in literature.METHOD_COLUMNS.items()}
    here = material.scores.where(condition=condition)
    clusters, methods = cluster(here), [named[column] for column in columns]
    aucs = []
    for method in methods:
        rows = np.flatnonzero((here.label == 0) | (here.method == method))
        aucs.append(Sample.of(here.label[rows], here.score[rows], clusters[rows]).auc())
    if any(math.isnan(auc.value) for auc in aucs):
        return Range(math.nan, math.nan, math.nan, "a column is missing")
    mean = of_share(mean_estimate(aucs), material.summary.settings.confidence)
    if material.summary.settings.intervals == "bootstrap":
        return Range(mean.value, math.nan, math.nan, NO_MEAN)
    return mean._replace(reason=mean.reason.replace("clusters", UNIT_NAMES[clusters.unit]))


def _separation(material: Material) -> list[Block]:
    scores, summary = material.scores, material.summary
    if not len(scores):
        return []
    return [
        page.chart(
            "histograms",
            lambda theme: plots.histograms(scores, theme),
            "Scores of real and of fake faces by condition. Well-separated distributions mean that the detector works; "
            "distributions that coincide mean chance level.",
            "Histograms of the scores",
        ),
        page.chart(
            "metrics",
            lambda theme: plots.metric_bars(summary, theme=theme),
            f"Frame-level metrics, lines are {_share(summary)} intervals by {UNIT_NAMES[summary.units[0]]}. ACC, "
            "balanced ACC and F1 at the threshold .5; a lower EER is better. ACC, AP and F1 depend on the share of "
            "fakes.",
            "Metrics by condition",
        ),
        page.chart(
            "roc",
            lambda theme: plots.roc_curves(scores, theme),
            "Frame-level ROC curves, from the first condition (dark) to the last (light). The dotted line is chance.",
            "ROC curves by condition",
        ),
        page.chart(
            "reliability",
            lambda theme: plots.reliability_diagram(scores, theme),
            "Reliability: share of fakes among the faces with a given score, in 15 bins with equally many faces. "
            "Calibrated scores lie on the dotted diagonal.",
            "Reliability diagrams by condition",
        ),
    ]


def _calibration(material: Material) -> list[Block]:
    summary = material.summary
    rows = [[title(row.condition), *row.texts(), str(row.n_frames)] for row in summary.calibration]
    reference = title(material.reference) if material.reference else "-"
    header = ["condition", "ECE", "T", "ECE after", f"T of {reference}", "ECE after", "faces"]
    caption = (
        "Expected calibration error of the frames before and after dividing the logits by a temperature T fitted on "
        f"the validation split: in the same condition, or once for {reference}, for use where the condition is "
        "unknown. T is undefined where the validation scores rank the classes the wrong way or separate them "
        "perfectly. The bins of the ECE hold equally many faces; equal scores share a bin. Intervals are by "
        f"{UNIT_NAMES[summary.units[0]]}; those after scaling take T as given. "
        + _coverage(summary, ("ECE", "temperature"))
    )
    return [page.table("calibration", "Calibration error", header, rows, caption)] if rows else []


def _training(material: Material) -> list[Block]:
    if not material.history:
        return []
    steps = material.history
    caption = "The test split is not used for selection."
    return [page.chart("history", lambda theme: plots.history(steps, theme), caption, "Training loss over the steps")]


def _worst(material: Material) -> list[Block]:
    reference = material.reference
    if reference is None or not len(material.scores):
        return []
    videos = list(islice(tables.videos_table(material.scores.where(condition=reference)), WORST))
    keys = np.unique([f"{row['compression']}/{row['video']}" for row in videos])
    others = by_video(material.scores[material.scores.clip.codes_among(keys) >= 0])
    at = {(str(k), str(c)): float(s) for k, c, s in zip(others.key, others.condition, others.score, strict=True)}
    columns = [condition for condition in material.summary.conditions if condition != reference]
    several = len({row["compression"] for row in videos}) > 1
    rows = [
        [row["video"], *([row["compression"]] if several else []), "fake" if row["label"] else "real",
         f"{row['score']:.3f}",
         *(tables.number(at.get((f"{row['compression']}/{row['video']}", condition))) for condition in columns),
         str(row["n_frames"])]
        for row in videos
    ]  # fmt: skip
    header = ["video", *(["compression"] if several else []), "label", title(reference), *map(title, columns), "faces"]
    caption = f"The {len(rows)} videos whose mean score is furthest from their label: {title(reference)}"
    note = "Mean score of each video in every condition."
    return [page.table("errors", caption, header, rows, note, text=(1, 2) if several else (1,))]


def _strata(material: Material) -> list[Block]:
    """Return the results within the groups that other columns of the scores name: a table for each column, one file."""
    rows: dict[str, list[list[str]]] = {}
    for row in material.strata:
        counts = (str(row.n_fake), str(row.n_real))
        rows.setdefault(row.column, []).append([row.value, title(row.condition), *row.texts(), *counts])
    header = ["condition", "frame AUC", "fakes classified fake", "real classified real", "fakes", "real"]
    whole = page.Table(
        "strata", ("column", "value", *header), tuple((column, *line) for column in rows for line in rows[column])
    )
    shown = [_stratum(column, header, lines, material.summary) for column, lines in rows.items()]
    return [replace(block, tables=(whole,) if block is shown[0] else ()) for block in shown]


def _stratum(column: str, header: Sequence[str], lines: Sequence[Sequence[str]], summary: Summary) -> Block:
    note = (
        f"The faces with each value of the column {column}; rates at the threshold .5; {_share(summary)} intervals by "
        f"{UNIT_NAMES[summary.units[0]]}."
    )
    if len(lines) > MOST_ROWS:
        note += f" The first {MOST_ROWS} of {len(lines)} rows; the file has all."
    return page.table("strata", f"By {column}", [column, *header], lines[:MOST_ROWS], note, text=(1,))


def _exclusions(material: Material) -> list[Block]:
    faces, summary = material.faces, material.summary
    parts = []
    if summary.notes:
        parts += [page.paragraph("How the scores were read:", "before"), page.items(summary.notes)]
    if summary.undefined:
        parts += [page.paragraph("Undefined, and so not reported:", "before"), page.items(summary.undefined)]
    if faces.remarks:
        parts += [page.paragraph("Remarks of the faces stage:", "before"), page.items(faces.remarks)]
    failed = faces.failures
    if failed and not (failed.frames or failed.videos):
        parts.append(page.paragraph("The faces stage found a face in every frame that it read."))
    elif failed:
        parts.append(
            page.paragraph(
                f"The faces stage found no usable face in {failed.frames} frames and in {failed.videos} whole videos. "
                "They are in none of the numbers above."
            )
        )
        rows = [[why, str(n)] for why, n in failed.reasons.items()]
        parts.append(page.table("reasons", "Why frames have no face", ["reason", "frames"], rows) if rows else NOTHING)
    if faces.not_there:
        parts.append(page.paragraph("Requested but not found: " + "; ".join(faces.not_there) + "."))
    if material.failures:
        rows = [[row.video, row.frame or "all", row.reason] for row in material.failures]
        header = ["video", "frame", "reason"]
        every = page.table("failures", "Frames and videos without a face", header, rows, text=(1, 2))
        parts.append(page.details(f"All {len(rows)}", every))
    return parts


DEFINITIONS = (
    "AUC: probability that a fake scores above a real face, ties counting one half; .5 is chance. Frame AUC is "
    "computed over single faces, video AUC over the mean score of each video.",
    "EER: the error rate at the threshold where the false positive rate equals the false negative rate.",
    "Balanced ACC: mean of the shares of real and of fake faces that are classified correctly; .5 for a constant "
    "classifier.",
    "Intervals describe how much a number would vary with other test videos of the same kind. They do not cover "
    "other data, other forgeries or another training run; several seeds show the latter.",
)


def _definitions(material: Material) -> list[Block]:
    return [page.paragraph(text, "small") for text in (*DEFINITIONS, _coverage(material.summary)) if text]


def _coverage(summary: Summary, metrics: Sequence[str] = ()) -> str:
    """Return how far the intervals are off in simulations; nothing for those of the bootstrap."""
    if summary.settings.intervals == "bootstrap":
        return ""
    return coverage.sentence(summary.n["pairs"], metrics, summary.settings.confidence).strip()


def _footer(summary: Summary) -> str:
    keys = ", ".join(condition_key(condition) for condition in summary.conditions) or "none"
    return f"Keys of the conditions: {keys}. metrics.json and the tables contain the same numbers with six digits."


SECTIONS = (
    Section("histories", "Real and fake with different histories", lambda m: histories.parts(
        m.matrix, m.summary.settings.confidence
    )),
    Section("by-condition", "By condition", _by_condition),
    Section(AUDIT, "Audit of the data: shortcuts and leaks", lambda m: audit.parts(
        m.audit, m.detector, m.shared, _best(m)
    )),
    Section("compression", "What compression does to a face", _compression),
    Section("by-method", "By forgery method", _by_method),
    Section("published", "Published results", _published),
    Section("scores", "Distribution of the scores", _separation),
    Section("explain", "Where the model looks", lambda m: explain.parts(m.explained)),
    Section("calibration", "Calibration", _calibration),
    Section("training", "Training", _training),
    Section("strata", "By the other columns of the scores", _strata),
    Section("errors", "Largest errors", _worst),
    Section("versus", "Compared with another run", lambda m: versus.parts(m.versus, m.origin)),
    Section("exclusions", "Exclusions and remarks", _exclusions),
    Section("definitions", "Definitions", _definitions),
    Section("provenance", "How it was made", made.parts),
)  # fmt: skip
