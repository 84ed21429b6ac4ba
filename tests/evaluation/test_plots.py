"""Figures: lines join conditions of one family only, and many conditions stay readable."""

import numpy as np
import pytest

from evaluation import matrix, plots
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
    assert len(figure.axes) == 3 * 2
    for axes, metric in zip(figure.axes[::2], ("auc", "balanced_accuracy", "eer"), strict=True):
        found = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in lines(axes)}
        assert list(found) == ["moz", "turbo", "webp"]
        for name, conditions in (("moz", ["77", "10"]), ("turbo", ["turbo:77", "turbo:10"]), ("webp", ["webp:50"])):
            assert found[name][0] == [FIDELITY[c].bits_per_pixel for c in conditions]
            assert found[name][1] == [summary.find(c, "frame", metric).value for c in conditions]
    right = [line.get_xdata().tolist() for line in lines(figure.axes[1])]
    assert right == [[0.96, 0.8], [0.97, 0.82], [0.9]]


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
