"""The figures of the page. Each function returns a matplotlib Figure; `png` and `svg` turn it into bytes.

Equal input gives equal bytes: no dates, no version stamps, a fixed salt for the ids in SVG. Colours come from a
`Theme`; that of the page uses CSS variables, so that figures follow a dark colour scheme.
"""
# Over 600 lines: a function for each figure, all with the same helpers.

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from .calibration import reliability
from .compare import Board
from .conditions import RAW, encoder_quality, family, title
from .features import Features
from .grid import TrainTest
from .matrix import Matrix
from .metrics import METRICS, headline, logit, roc
from .records import Fidelity, Panel, Step
from .scores import Scores
from .summary import Row, Summary

__all__ = [
    "LIGHT",
    "PAGE",
    "Theme",
    "compression",
    "condition_colors",
    "curves",
    "embedding",
    "histograms",
    "history",
    "history_matrix",
    "metric_bars",
    "png",
    "reliability_diagram",
    "robustness",
    "roc_curves",
    "svg",
    "train_test_matrices",
    "versus",
]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours: text, secondary text, grid lines, background of the page and of labels, the classes, lines of encoders.

    Conditions are ordered by lightness, from the first of `scale` to the last, so that the order survives gray print
    and every colour deficiency.
    """

    ink: str
    muted: str
    grid: str
    paper: str
    halo: str
    real: str
    fake: str
    lines: tuple[str, ...]
    scale: tuple[str, ...] | None      # None: `svg` mixes the colours of the page

    def condition(self, place: float) -> str:
        """Return the colour of a condition at *place* in 0..1 of their order."""
        if self.scale is None:
            return f"#0104{round(100 * place):02x}"
        return to_hex(mpl.colors.LinearSegmentedColormap.from_list("conditions", self.scale)(place))


LIGHT = Theme(
    ink="#1d2530", muted="#566173", grid="#e0e4e9", paper="#ffffff", halo="#ffffff", real="#16407f", fake="#d9730d",
    lines=("#12355b", "#b3470f", "#1b7f79", "#8a5fbf", "#7a6a00", "#b8437f", "#566173"),
    scale=("#0b2348", "#933370", "#d07a24"),
)  # fmt: skip
# colours used nowhere else; `svg` replaces them by CSS variables
PAGE = Theme(
    ink="#010203", muted="#010204", grid="#010205", paper="none", halo="#010208", real="#010206", fake="#010207",
    lines=tuple(f"#01030{i}" for i in range(7)), scale=None,
)  # fmt: skip
VARIABLES = {
    PAGE.ink: "var(--ink)", PAGE.muted: "var(--muted)", PAGE.grid: "var(--line)", PAGE.halo: "var(--card)",
    PAGE.real: "var(--real)", PAGE.fake: "var(--fake)", **{line: f"var(--f{i})" for i, line in enumerate(PAGE.lines)},
}  # fmt: skip

FRAME = "#d9730d"                      # around the lowest cell of a heat map
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", "-.", ":")
METHODS = 6                            # shown one by one in the embedding, the others together
CURVE_POINTS = 300
DPI = 150
PANELS = 5                             # histograms in a row


@contextmanager
def _style(theme: Theme) -> Iterator[None]:
    settings: Any = {
        "axes.edgecolor": theme.muted, "axes.labelcolor": theme.ink, "axes.titlecolor": theme.ink,
        "axes.facecolor": "none", "axes.grid": True, "axes.axisbelow": True, "axes.linewidth": 0.8,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10.5, "axes.titleweight": "bold",
        "axes.titlelocation": "left", "figure.facecolor": theme.paper, "font.family": "DejaVu Sans", "font.size": 9,
        "grid.color": theme.grid, "grid.linewidth": 0.8, "legend.frameon": False, "legend.labelcolor": theme.ink,
        "lines.linewidth": 1.9, "text.color": theme.ink, "xtick.color": theme.muted, "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink, "ytick.labelcolor": theme.ink, "svg.hashsalt": "evaluation",
        "svg.fonttype": "none",
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


def png(figure: Figure) -> bytes:
    """Return *figure* as PNG, 150 dots per inch."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def svg(figure: Figure) -> str:
    """Return *figure* as an ``<svg>`` element for a page that sets --ink, --muted and --line."""
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "evaluation", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--font)", text)
    text = re.sub(r"font: (\w+) ([\d.]+px) [^;\"]*", r"font: \1 \2 var(--font)", text)
    # the page scales the figure by its width; the view box keeps the proportions
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    text = re.sub(r"#0104([0-9a-f]{2})", lambda found: _mixed(int(found[1], 16)), text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def _mixed(percent: int) -> str:
    """Return the colour of a condition on the page, *percent* of the way from --from over --mid to --to."""
    start, end, share = ("from", "mid", 2 * percent) if percent <= 50 else ("mid", "to", 2 * percent - 100)
    return f"color-mix(in oklab,var(--{start}) {100 - share}%,var(--{end}))"


def condition_colors(conditions: Sequence[str], theme: Theme) -> dict[str, str]:
    """Return a colour for each condition, in their order from dark to light (on a dark page: from light to dark)."""
    last = max(len(conditions) - 1, 1)
    return {name: theme.condition(i / last) for i, name in enumerate(conditions)}


def _condition_styles(conditions: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a marker for each condition and the line style of its family."""
    families = list(dict.fromkeys(family(name) for name in conditions if name != RAW))
    styles = {RAW: "-"} | {group: STYLES[i % len(STYLES)] for i, group in enumerate(families)}
    return {name: (MARKERS[i % len(MARKERS)], styles[family(name)]) for i, name in enumerate(conditions)}


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Return the values moved apart to distances of at least *gap*, in their order and around their places."""
    order = np.argsort(values)
    places = np.asarray(values, float)[order]
    for _ in range(100):
        short = gap - np.diff(places)
        if not (short > 1e-9).any():
            break
        move = np.clip(short, 0, None) / 2
        places[:-1] -= move
        places[1:] += move
    out = np.empty(len(places))
    out[order] = places
    return out.tolist()


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], gap: float) -> None:
    """Write labels right of the ends of lines, (x, y, text, colour), at least *gap* (a share of the axis) apart."""
    ends = [end for end in ends if np.isfinite(end[1])]
    if not ends:
        return
    low, high = axes.get_ylim()
    places = _spread([y for _, y, _, _ in ends], gap * (high - low))
    for (x, _, text, color), y in zip(ends, places, strict=True):
        axes.annotate(
            text, (x, y), xytext=(7, 0), textcoords="offset points", color=color, va="center", fontsize=8.5,
            annotation_clip=False,
        )  # fmt: skip


def _row(figure: Figure, count: int, sharey: bool = True, columns: int = 99) -> list[Axes]:
    """Return *count* axes, at least one, in rows of *columns*."""
    count = max(count, 1)
    width = min(count, columns)
    panels = list(figure.subplots(_lines(count, columns), width, sharey=sharey, squeeze=False).flat)
    for unused in panels[count:]:
        unused.set_axis_off()
    return panels[:count]


def _lines(count: int, columns: int) -> int:
    """Return the number of rows of *columns* that *count* panels need, at least one."""
    return max(-(-count // columns), 1)


def _band(
    axes: Axes, x: Sequence[float], rows: Sequence[Row | None], color: str, name: str, dashed: bool, marker: str = "o",
    shade: float = 0.18,
) -> float:  # fmt: skip
    """Draw a line with its band, *shade* opaque (less if dashed); return its last value."""
    values, lo, hi = (np.array([getattr(r, part) if r else np.nan for r in rows]) for part in ("value", "lo", "hi"))
    axes.fill_between(x, lo, hi, color=color, alpha=0.08 if dashed else shade, linewidth=0)
    if len(rows) == 1:
        axes.vlines(x, lo, hi, color=color, alpha=0.5)             # a band has no width here
    axes.plot(x, values, "--" if dashed else "-", marker=marker, color=color, label=name or None, markersize=5)
    return float(values[-1]) if len(values) else np.nan


def robustness(summary: Summary, theme: Theme = LIGHT) -> Figure:
    """Return frame and video AUC by condition with their bands; lines join conditions of one family only."""
    with _style(theme):
        names = summary.conditions
        figure = Figure(figsize=(max(6.2, 0.62 * len(names) + 1.6), 3.7), layout="constrained")
        axes = figure.subplots()
        runs, ends = _runs(names), []
        for level, color, dashed, marker in (("video", theme.fake, True, "s"), ("frame", theme.real, False, "o")):
            last = np.nan
            for places in runs:
                rows = [summary.find(names[place], level, "auc") for place in places]
                last = _band(axes, places, rows, color, f"{level} AUC", dashed, marker)
            ends.append((len(names) - 1, last, f"{level} AUC", theme.ink))
        _condition_ticks(axes, names)
        axes.set(xlabel="condition of the test faces", ylabel="AUC")
        axes.axhline(0.5, color=theme.muted, linewidth=1, linestyle=":")
        _chance(axes, theme)
        _label_ends(axes, ends, 0.07)
        return figure


def _runs(names: Sequence[str]) -> list[list[int]]:
    """Return the positions of neighbours that belong to one family; raw joins the conditions after it."""
    runs: list[list[int]] = []
    for place, name in enumerate(names):
        before = names[place - 1] if place else None
        joined = before is not None and (family(before) == family(name) or (before == RAW and place == 1))
        if joined:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def versus(board: Board, this: str, other: str, theme: Theme = LIGHT) -> Figure:
    """Return a metric of two entries of *board* by condition, with intervals."""
    with _style(theme):
        names = board.conditions
        figure = Figure(figsize=(max(6.2, 0.62 * len(names) + 1.6), 3.7), layout="constrained")
        axes, ends = figure.subplots(), []
        looks = ((other, theme.fake, "--", "s", 0.08), (this, theme.real, "-", "o", -0.08))
        for entry, color, style, marker, shift in looks:
            rows = [board.standing(entry, name) for name in names]
            value, lo, hi = (np.array([getattr(r, k) if r else np.nan for r in rows]) for k in ("value", "lo", "hi"))
            x = np.arange(len(names)) + shift
            axes.vlines(x, lo, hi, color=color, linewidth=1.4)
            axes.plot(x, value, linestyle=style, marker=marker, color=color, markersize=5)
            ends.append((len(names) - 0.9, value[-1] if len(value) else np.nan, entry, theme.ink))
        _condition_ticks(axes, names)
        axes.set(xlabel="condition of the test faces", ylabel=METRICS[board.metric].title)
        axes.axhline(0.5, color=theme.muted, linewidth=1, linestyle=":")
        _chance(axes, theme)
        _label_ends(axes, ends, 0.07)
        return figure


KINDS = {"moz": "mozjpeg", "turbo": "libjpeg-turbo", "webp": "WebP", "scaled": "DCT-scaled", "smartscale": "SmartScale"}
LABELLED = 3                           # more lines are told apart by markers and the legend; labels would hide them
CURVES = ("auc", "balanced_accuracy", "eer")
QUALITY = "quality"
COSTS = (("bits_per_pixel", "bits per pixel (log scale)"), ("ssim", "SSIM"), (QUALITY, "quality number of the encoder"))


def curves(summary: Summary, fidelity: Mapping[str, Fidelity], theme: Theme = LIGHT) -> Figure:
    """Return AUC, balanced accuracy and EER over bits per pixel, SSIM and quality, one line for each encoder or family.

    Encoders are compared at equal bit rate or equal SSIM: the same quality number gives different files with each of
    them. The dashed line is the value of uncompressed faces.
    """

    def place(name: str, cost: str) -> float:
        found = encoder_quality(name) if cost == QUALITY else getattr(fidelity[name], cost)
        return np.nan if found is None else float(found)

    with _style(theme):
        figure = Figure(figsize=(3.7 * len(COSTS), 2.5 * len(CURVES) + 0.4), layout="constrained")
        panels = figure.subplots(len(CURVES), len(COSTS), sharey="row", sharex="col", squeeze=False)
        members: dict[str, list[str]] = {}
        for name in summary.conditions:
            if name != RAW and name in fidelity:
                members.setdefault(family(name), []).append(name)
        for i, metric in enumerate(CURVES):
            for j, (cost, label) in enumerate(COSTS):
                axes = panels[i, j]
                raw = summary.find(RAW, "frame", metric)
                if raw is not None:
                    axes.axhline(raw.value, color=theme.ink, linewidth=1, linestyle="--")
                axes.axhline(METRICS[metric].chance or 0.5, color=theme.muted, linewidth=1, linestyle=":")
                ends = []
                for k, (group, names) in enumerate(members.items()):
                    known = [name for name in names if np.isfinite(place(name, cost))]
                    known.sort(key=lambda name, cost=cost: -place(name, cost))  # type: ignore[misc]
                    x = [place(name, cost) for name in known]
                    rows = [summary.find(name, "frame", metric) for name in known]
                    color = theme.lines[k % len(theme.lines)]
                    marker, shade = MARKERS[k % len(MARKERS)], min(0.18, 0.42 / len(members))
                    last = _band(axes, x, rows, color, _kind(group), False, marker, shade)
                    ends += [(x[-1], last, _kind(group), theme.ink)] if x else []
                if len(members) <= LABELLED:
                    _label_ends(axes, ends, 0.09)
                if cost == "bits_per_pixel":
                    axes.set_xscale("log")
                    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:g}")
                    axes.xaxis.set_minor_formatter(NullFormatter())
                if i == len(CURVES) - 1:
                    axes.set_xlabel(label)
            direction = "" if METRICS[metric].higher_is_better else " (lower is better)"
            panels[i, 0].set_ylabel(f"{METRICS[metric].title}{direction}")
        for axes in panels[0]:
            axes.invert_xaxis()
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper left", ncols=max(len(members), 1))
        return figure


def _kind(group: str) -> str:
    """Return the name of a family of conditions: ``libjpeg-turbo > mozjpeg`` for ``turbo>moz``."""
    return " > ".join(KINDS.get(step, step) for step in group.split(">"))


def _condition_ticks(axes: Axes, conditions: Sequence[str]) -> None:
    """Label the positions 0, 1, ... of the x axis with *conditions*, rotated where the labels would touch."""
    rotated = sum(len(condition) + 2 for condition in conditions) > 48
    alignment: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if rotated else {}
    axes.set_xticks(range(len(conditions)), conditions, **alignment)


def _chance(axes: Axes, theme: Theme) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.45), min(max(high, 0.6), 1.02))
    axes.annotate("chance", (0, 0.5), xytext=(2, 3), textcoords="offset points", color=theme.muted, fontsize=8)


def history_matrix(matrix: Matrix, level: str = "frame", theme: Theme = LIGHT) -> Figure:
    """Return the AUC of real faces (rows) against fakes (columns) of every two conditions as a heat map."""
    with _style(theme):
        names = matrix.conditions
        size = 1.7 + 0.62 * len(names)
        figure = Figure(figsize=(size + 0.9, size), layout="constrained")
        axes = figure.subplots()
        values = np.array([[cell.auc if (cell := matrix.cell(r, f, level)) else np.nan for f in names] for r in names])
        _heat_map(axes, values, names, names)
        axes.set(xlabel="condition of the fakes", ylabel="condition of the real faces")
        return figure


def train_test_matrices(matrices: Sequence[TrainTest], theme: Theme = LIGHT) -> Figure:
    """Return the frame AUC by training quality (rows) and test condition (columns), one heat map for each model."""
    with _style(theme):
        rows = [len(matrix.trained) for matrix in matrices]
        width = 1.9 + 0.62 * max(len(matrix.tested) for matrix in matrices)
        figure = Figure(figsize=(width, sum(1.5 + 0.75 * n for n in rows)), layout="constrained")
        panels = figure.subplots(len(matrices), 1, squeeze=False, height_ratios=[n + 1 for n in rows])[:, 0]
        for axes, matrix in zip(panels, matrices, strict=True):
            _heat_map(axes, matrix.auc, matrix.trained, matrix.tested)
            axes.set(ylabel="trained at", title=matrix.title)
        panels[-1].set_xlabel("condition of the test faces")
        return figure


def _heat_map(axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Draw AUCs as a heat map with the numbers in the cells.

    The shade falls from 1 to .5, cells below .5 are hatched and the lowest cell is framed, so that the map is readable
    in gray. Cells have their own text colours and look the same on a dark page.
    """
    shades = mpl.colormaps["Blues"](np.clip((values - 0.5) / 0.5, 0, 1) * 0.85)
    for i, j in np.ndindex(values.shape):
        below = values[i, j] < 0.5
        patch = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=shades[i, j], edgecolor="#c8ced6", linewidth=0.8)
        patch.set(hatch="///" if below else None)
        axes.add_patch(patch)
        label = "-" if np.isnan(values[i, j]) else f"{values[i, j]:.2f}".removeprefix("0")
        background = {"facecolor": "white", "edgecolor": "none", "pad": 1.2} if below else None
        color = "white" if _luminance(shades[i, j]) < 0.18 else "#0d1117"         # at least 4.5:1
        axes.text(j, i, label, ha="center", va="center", color=color, bbox=background)
    if not np.isnan(values).all():
        i, j = np.unravel_index(np.nanargmin(values), values.shape)
        axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=FRAME, linewidth=2.2))
    _condition_ticks(axes, columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _luminance(color: Any) -> float:
    """Return the relative luminance of WCAG, 0..1."""
    parts = np.array(mpl.colors.to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def roc_curves(scores: Scores, theme: Theme = LIGHT) -> Figure:
    """Return the frame-level ROC curves of all conditions that have both classes."""
    with _style(theme):
        figure = Figure(figsize=(4.9, 4.6), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=":")
        styles, colors = _condition_styles(scores.conditions), condition_colors(scores.conditions, theme)
        for i, condition in enumerate(scores.conditions):
            here = scores.where(condition=condition)
            fpr, tpr, _ = roc(here.label, here.score)
            if np.isnan(fpr + tpr).any():
                continue
            keep = _thinned(fpr, tpr)
            x, y, color = fpr[keep], tpr[keep], colors[condition]
            every = (len(x) // 21 * (i % 3), max(len(x) // 7, 1))          # markers of neighbours apart
            marker, style = styles[condition]
            axes.plot(
                x, y, color=color, label=title(condition), linewidth=1.5, linestyle=style, marker=marker,
                markersize=4.5, markevery=every,
            )  # fmt: skip
            place = int(np.searchsorted(x + y, 2 * (0.2 + 0.6 * (i + 0.5) / len(scores.conditions))))
            place = min(place, len(x) - 1)
            axes.text(x[place], y[place], condition, fontsize=7.5, ha="center", va="center", color=theme.ink,
                      bbox={"facecolor": theme.halo, "edgecolor": color, "linewidth": 0.8, "pad": 1.2})  # fmt: skip
        axes.set(xlabel="false positive rate (real faces)", ylabel="true positive rate (fakes)")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_aspect("equal")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", fontsize=8)
        return figure


def _thinned(x: np.ndarray, y: np.ndarray, points: int = CURVE_POINTS) -> np.ndarray:
    """Return the positions of at most *points* points of a curve, evenly along its length |dx| + |dy|, ends kept."""
    if len(x) <= points:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, length[-1], points)
    return np.unique(np.concatenate([[0, len(x) - 1], np.searchsorted(length, wanted[1:-1])]))


def metric_bars(summary: Summary, level: str = "frame", theme: Theme = LIGHT) -> Figure:
    """Return the headline metrics, a panel each: the value and its interval in every condition."""
    with _style(theme):
        names, conditions = headline(), summary.conditions
        columns = 3
        lines = _lines(len(names), columns)
        long = max(map(len, conditions), default=0) > 6
        figure = Figure(figsize=(9.2, (2.3 if long else 1.9) * lines + 0.5), layout="constrained")
        panels = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
        for axes, metric in zip(panels, names, strict=False):
            rows = [summary.find(condition, level, metric) for condition in conditions]
            value, lo, hi = (np.array([getattr(r, k) if r else np.nan for r in rows]) for k in ("value", "lo", "hi"))
            x = np.arange(len(conditions))
            axes.vlines(x, lo, hi, color=theme.muted, linewidth=1.4)
            axes.plot(x, value, "o", color=theme.real, markersize=5)
            chance = METRICS[metric].chance
            if chance is not None:
                axes.axhline(chance, color=theme.muted, linewidth=1, linestyle=":")
            low = "" if METRICS[metric].higher_is_better else " (lower is better)"
            axes.set_title(f"{METRICS[metric].title}{low}", fontsize=9.5)
            axes.set(ylim=(-0.02, 1.04), xlim=(-0.6, max(len(conditions), 1) - 0.4))
            rotation: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if len(conditions) > 5 else {}
            axes.set_xticks(x, conditions, fontsize=7.5 if len(conditions) > 5 else 8.5, **rotation)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        return figure


def compression(panels: Sequence[Panel], pictures: Mapping[str, np.ndarray], theme: Theme = LIGHT) -> Figure:
    """Return one face in every condition with PSNR, SSIM and file size.

    panels: the rows of panels.csv of one face; images: ``file`` -> uint8 (H, W, 3).
    """
    with _style(theme):
        figure = Figure(figsize=(2.0 * max(len(panels), 1), 2.9), layout="constrained")
        for axes, row in zip(_row(figure, len(panels)), panels, strict=False):
            axes.imshow(pictures[row.file], interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(title(row.condition), loc="center")
            axes.text(0.5, -0.04, caption(row), transform=axes.transAxes, ha="center", va="top", fontsize=8.5)
        return figure


def caption(row: Panel) -> str:
    """Return the two lines below one face: PSNR and SSIM; bytes and bits per pixel."""
    close = "identical" if np.isinf(row.psnr) else f"{row.psnr:.1f} dB · SSIM {row.ssim:.3f}"
    return f"{close}\n{row.bytes:,} bytes · {row.bits_per_pixel:.2f} bpp"


def histograms(scores: Scores, theme: Theme = LIGHT) -> Figure:
    """Return histograms of the scores of real and of fake faces, one panel per condition.

    The axis is in log odds: the scores of a confident model lie close to 0 and 1, where bins of equal probability would
    not resolve them.
    """
    with _style(theme):
        conditions = scores.conditions
        figure = Figure(figsize=(9.2, 2.3 * _lines(len(conditions), PANELS)), layout="constrained")
        panels = _row(figure, len(conditions), columns=PANELS)
        odds = logit(scores.score)
        end = float(np.clip(np.quantile(np.abs(odds), 0.99), 3, 16)) if len(odds) else 3.0  # outliers: last bin
        edges = np.linspace(-end, end, 31).tolist()
        ticks = [0.001, 0.5, 0.999] if end > 7 else [0.1, 0.5, 0.9]
        for axes, condition in zip(panels, conditions, strict=False):
            for label, name in ((0, "real"), (1, "fake")):
                values = np.clip(odds[(scores.condition == condition) & (scores.label == label)], -end, end)
                weights = np.full(len(values), 1 / max(len(values), 1))
                look: Any = (
                    {"histtype": "step", "edgecolor": theme.fake, "linewidth": 1.8}
                    if label
                    else {"color": theme.real, "alpha": 0.6}
                )
                axes.hist(values, edges, weights=weights, label=name, **look)
            axes.set_title(title(condition), fontsize=9.5)
            axes.set_xlim(-end, end)
            axes.set_xticks(logit(ticks).tolist(), [f"{tick:g}"[1:] for tick in ticks])
        for axes in panels[::PANELS]:
            axes.set_ylabel("share of faces")
        figure.supxlabel("score = P(fake), log-odds scale", fontsize=9)
        if conditions:
            panels[0].legend(loc="best")
        return figure


def reliability_diagram(scores: Scores, theme: Theme = LIGHT) -> Figure:
    """Return reliability curves, one panel per condition: share of fakes over mean score, 15 bins of equal count."""
    with _style(theme):
        conditions = scores.conditions
        figure = Figure(figsize=(9.2, 2.1 * _lines(len(conditions), PANELS) + 0.3), layout="constrained")
        panels = _row(figure, len(conditions), columns=PANELS)
        for axes, condition in zip(panels, conditions, strict=False):
            here = scores.where(condition=condition)
            found = reliability(here.label, here.score)
            axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=":")
            if len(found.count):
                axes.plot(found.score, found.share, "-o", color=theme.real, markersize=3.5, linewidth=1.4)
            axes.set_title(title(condition), fontsize=9.5)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            axes.set_aspect("equal")
        for axes in panels[::PANELS]:
            axes.set_ylabel("share of fakes")
        figure.supxlabel("mean score of the bin", fontsize=9)
        return figure


def history(rows: Sequence[Step], theme: Theme = LIGHT) -> Figure:
    """Return training loss over the steps and, where it was measured, validation AUC."""
    with _style(theme):
        aucs = [(row.step, row.val_auc) for row in rows if row.val_auc is not None]
        figure = Figure(figsize=(9.2, 2.8), layout="constrained")
        panels = _row(figure, 2 if aucs else 1, sharey=False)
        panels[0].plot([row.step for row in rows], [row.loss for row in rows], color=theme.real)
        panels[0].axhline(np.log(2), color=theme.muted, linewidth=1, linestyle=":")
        panels[0].annotate(
            "ln 2, chance", (rows[-1].step, np.log(2)), xytext=(0, 3), textcoords="offset points", ha="right",
            color=theme.muted, fontsize=8,
        )  # fmt: skip
        panels[0].set(xlabel="step", title="Training loss")
        if aucs:
            panels[1].plot([step for step, _ in aucs], [auc for _, auc in aucs], "-o", color=theme.real, markersize=4)
            panels[1].set(xlabel="step", title="Frame AUC on the validation split")
        return figure


def embedding(plane: np.ndarray, features: Features, theme: Theme = LIGHT) -> Figure:
    """Return a scatter plot of the embedding (N, 2), one panel per condition on equal axes, real faces drawn first."""
    with _style(theme):
        conditions = features.conditions
        span = np.ptp(plane, axis=0)
        middle, half = (plane.max(0) + plane.min(0)) / 2, 0.5 * span + 0.04 * span.max()
        height = float(np.clip(4.6 * span[1] / max(span[0], 1e-9), 2.4, 4.6))
        columns = min(max(len(conditions), 1), 3)
        lines = _lines(len(conditions), columns)
        figure = Figure(figsize=(4.6 * columns, height * lines + 0.7), layout="constrained")
        panels = _row(figure, len(conditions), columns=columns)
        methods = [str(method) for method in np.unique(features.method[features.label == 1])]
        single, rest = methods[:METHODS], methods[METHODS:]
        for axes, condition in zip(panels, conditions, strict=False):
            here = features.condition == condition
            fake = here & (features.label == 1)
            groups = [("real", here & (features.label == 0))]
            groups += [(method, fake & (features.method == method)) for method in single]
            if rest:
                groups.append((f"{len(rest)} other methods", fake & np.isin(features.method, rest)))
            for i, (name, mask) in enumerate(groups):
                x, y = plane[mask].T
                color = theme.lines[i % len(theme.lines)]
                look: Any = {"color": color, "linewidths": 0} if i else {"facecolors": "none", "edgecolors": color}
                axes.scatter(x, y, s=20, marker=MARKERS[i % len(MARKERS)], alpha=0.75, label=name, **look)
            axes.set_title(title(condition), fontsize=9.5)
            ends = np.stack([middle - half, middle + half])
            axes.set(xlim=ends[:, 0], ylim=ends[:, 1], xticks=[], yticks=[])
            axes.set_aspect("equal")
            axes.spines[:].set_visible(False)
        if conditions:
            handles = panels[0].get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=min(len(single) + 1 + bool(rest), 5))
        return figure
