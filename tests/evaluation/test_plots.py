"""Figures: lines join conditions of one family only, and many conditions stay readable."""

import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from evaluation import matrix, page, plots
from evaluation.grid import TrainTest
from evaluation.records import Fidelity
from evaluation.summary import Settings, summarize

CONDITIONS = {
    "raw": 1.6, "77": 1.3, "10": 0.5, "turbo:77": 1.2, "turbo:10": 0.7, "webp:50": 1.0, "resize:0.5": 1.1,
}  # fmt: skip
FIDELITY = {
    "77": Fidelity(1.1, 37.0, 0.96), "10": Fidelity(0.3, 28.0, 0.8), "turbo:77": Fidelity(1.6, 37.5, 0.97),
    "turbo:10": Fidelity(0.45, 28.5, 0.82), "webp:50": Fidelity(0.6, 33.0, 0.9),
}  # fmt: skip


@pytest.fixture
def summary(scores_of):
    return summarize(scores_of(conditions=CONDITIONS), Settings(replicates=20))


def lines(axes):
    """The lines of data (two points or more, or a marker), without those of chance and of uncompressed faces."""
    return [line for line in axes.lines if line.get_marker() not in ("None", "")]


def test_lines_join_conditions_of_one_family_only(summary):
    figure = plots.robustness(summary)
    places = [line.get_xdata().tolist() for line in lines(figure.axes[0])]
    assert places == [[0, 1, 2], [3, 4], [5], [6]] * 2               # of the video AUC, then of the frame AUC


def test_curves_have_a_line_for_each_encoder_over_its_own_cost(summary):
    figure = plots.curves(summary, FIDELITY)
    assert len(figure.axes) == 3 * 3
    for axes, metric in zip(figure.axes[::3], ("auc", "balanced_accuracy", "eer"), strict=True):
        found = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in lines(axes)}
        assert list(found) == ["mozjpeg", "libjpeg-turbo", "WebP"]
        for name, conditions in zip(found, (["77", "10"], ["turbo:77", "turbo:10"], ["webp:50"]), strict=True):
            assert found[name][0] == [FIDELITY[c].bits_per_pixel for c in conditions]
            assert found[name][1] == [summary.find(c, "frame", metric).value for c in conditions]
    right = [line.get_xdata().tolist() for line in lines(figure.axes[1])]
    assert right == [[0.96, 0.8], [0.97, 0.82], [0.9]]
    assert [line.get_xdata().tolist() for line in lines(figure.axes[2])] == [[77, 10], [77, 10], [50]]


def test_the_matrix_has_its_numbers_in_the_cells_and_marks_what_is_below_chance(scores_of):
    found = matrix.evaluate(scores_of(conditions={"raw": 1.0, "10": -0.5}))
    (axes,) = plots.history_matrix(found).axes
    texts = [text.get_text() for text in axes.texts]
    expected = [found.cell(r, f).auc for r in ("raw", "10") for f in ("raw", "10")]
    assert texts == [f"{value:.2f}".removeprefix("0") for value in expected]
    hatched = [patch.get_hatch() is not None for patch in axes.patches[:4]]
    assert hatched == [value < 0.5 for value in expected]
    assert any(hatched)
    shades = [np.mean(patch.get_facecolor()[:3]) for patch in axes.patches[:4]]
    assert shades[int(np.argmax(expected))] == min(shades)           # darker is higher, in gray too


def test_panels_of_many_conditions_are_arranged_in_rows(scores_of):
    figure = plots.histograms(scores_of(conditions=CONDITIONS, pairs=2))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == len(CONDITIONS)
    assert len({round(axes.get_subplotspec().rowspan.start) for axes in shown}) == 2


DEFICIENCIES = {                       # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip


def lightness(color, deficiency="none"):
    """CIE L* of a colour as seen with a deficiency."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    y = float(seen @ [0.2126, 0.7152, 0.0722])
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_order_of_conditions_is_an_order_of_lightness_for_every_eye(deficiency):
    names = ["raw", "77", "60", "15", "10", "turbo:77", "turbo:60", "turbo:15", "turbo:10"]
    colors = plots.condition_colors(names, plots.LIGHT)
    found = [lightness(colors[name], deficiency) for name in names]
    assert min(np.diff(found)) > 2.5, found
    assert abs(lightness(plots.LIGHT.real, deficiency) - lightness(plots.LIGHT.fake, deficiency)) > 20


def test_every_colour_of_a_line_has_three_to_one_contrast():
    """WCAG 1.4.11, on the page's card, light and dark: the colours of the style sheet."""
    style = page.STYLE
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    for part in (light, dark[: dark.index("} }")]):
        colors = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", part))
        background = plots._luminance(colors["card"]) + 0.05
        names = ("real", "fake", "from", "mid", "to", *(f"f{i}" for i in range(7)))
        for name in names:
            ends = sorted([plots._luminance(colors[name]) + 0.05, background])
            assert ends[1] / ends[0] >= 3, (name, ends[1] / ends[0])
        for name, least in (("ink", 4.5), ("muted", 4.5), ("accent", 4.5)):
            ends = sorted([plots._luminance(colors[name]) + 0.05, background])
            assert ends[1] / ends[0] >= least, name


def test_labels_at_the_ends_of_lines_do_not_touch():
    found = plots._spread([0.5, 0.5, 0.51, 0.9], 0.05)
    assert min(np.diff(sorted(found))) >= 0.05 - 1e-6
    assert found[3] == pytest.approx(0.9)


def test_numbers_in_a_heat_map_are_readable(scores_of):
    (axes,) = plots.history_matrix(matrix.evaluate(scores_of(conditions=CONDITIONS))).axes
    for patch, text in zip(axes.patches, axes.texts, strict=False):
        if text.get_bbox_patch() is None:
            ends = sorted(plots._luminance(c) + 0.05 for c in (patch.get_facecolor()[:3], text.get_color()))
            assert ends[1] / ends[0] >= 4.5


@pytest.mark.parametrize("shapes", [[(1, 3)], [(2, 9)], [(6, 4)], [(4, 11), (4, 11)], [(1, 11), (5, 11)]])
def test_titles_and_labels_of_training_matrices_lie_within_the_figure(shapes):
    matrices = [
        TrainTest(f"model {rows}", [f"{i}" for i in range(rows)], [f"turbo:{i}" for i in range(columns)],
                  np.linspace(0.4, 1, rows * columns).reshape(rows, columns))
        for rows, columns in shapes
    ]  # fmt: skip
    figure = plots.train_test_matrices(matrices)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        for part in (axes.title, axes.xaxis, axes.yaxis):
            box = part.get_tightbbox(renderer)
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height
