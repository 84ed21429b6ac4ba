"""The section of the page that shows the history matrix and the rates at one threshold."""

from __future__ import annotations

import math

from . import page, plots
from .clusters import UNIT_NAMES
from .conditions import title
from .matrix import Cell as MatrixCell
from .matrix import Decision, Figure, Matrix
from .page import Block, Cell
from .printed import number, number_with

__all__ = ["parts"]

LEVEL = "frame"
ROWS = (
    ("diagonal", "diagonal: real and fake in the same condition, mean"),
    ("off", "off the diagonal: real and fake in different conditions, mean"),
    ("pooled", "pooled: mean of all cells"),
    ("worst", "worst: the lowest cell"),
    ("lean", "asymmetry: the largest difference between a cell and its mirror image"),
)


def parts(matrix: Matrix, confidence: float) -> list[Block]:
    """Return the parts of the section; none with fewer than two conditions."""
    if len(matrix.conditions) < 2 or not matrix.cells:
        return []
    share = f"{100 * confidence:g} % intervals by {UNIT_NAMES[matrix.unit]}"
    return [
        page.paragraph(
            "Real and fake images can have different histories. Each cell is the frame AUC of the real faces in the "
            "condition of its row against the fakes in the condition of its column; the table by condition below "
            "has the diagonal only. A detector that responds to the condition instead of the forgery has high AUCs "
            "on one side of the diagonal and low ones on the other."
        ),
        page.chart(
            "matrix",
            lambda theme: plots.history_matrix(matrix, LEVEL, theme),
            "Frame AUC: rows real, columns fake. Darker is higher, hatched cells are below chance (.5), the frame "
            "marks the lowest cell.",
            "Matrix of AUC by the condition of the real and of the fake faces",
        ),
        page.table(
            "matrix-figures",
            "The matrix in five figures",
            ["figure", "frame AUC", "video AUC", "cell (frame)"],
            [_figure_row(matrix, name, words) for name, words in ROWS],
            f"{share}. {_worst_words(matrix)}",
            text=(3,),
        ),
        _decisions(matrix, share),
        page.details("All cells with their intervals", _cells(matrix, share)),
    ]


def _interval(row: Figure | Decision | MatrixCell | None) -> str:
    if row is None:
        return number_with(math.nan, math.nan, math.nan, reason="no samples of this class")
    value = row.auc if isinstance(row, MatrixCell) else row.value
    return number_with(value, row.lo, row.hi, reason=row.reason)


def _figure_row(matrix: Matrix, name: str, words: str) -> list[str]:
    frame, video = (matrix.figure(name, level) for level in ("frame", "video"))
    cell = f"real: {title(frame.real)}; fake: {title(frame.fake)}" if frame and frame.real else ""
    return [words, _interval(frame), _interval(video), cell]


def _worst_words(matrix: Matrix) -> str:
    worst = matrix.figure("worst", LEVEL)
    named = worst and matrix.cell(worst.real, worst.fake, LEVEL)
    if not worst or not named or math.isnan(worst.lo):
        return ""
    return (
        f"The interval of the worst cell is for the lowest true cell, whichever it is; that of the named cell alone is "
        f"{_interval(named)}. The lowest of {len(matrix.conditions) ** 2} estimates is biased low, here by "
        f"about {number(worst.bias)} (simulated)."
    )


def _decisions(matrix: Matrix, share: str) -> Block:
    rows = []
    for source, words in (("val", "validation"), ("fixed", ".5")):
        found = [matrix.decided(m, source, LEVEL) for m in (
            "balanced_accuracy", "lowest_specificity", "lowest_sensitivity"
        )]  # fmt: skip
        if found[0]:
            cells = [f"{words} ({number(found[0][0].threshold)})", _interval(found[0][0])]
            for lowest in found[1:]:
                cells += [_interval(lowest[0]), title(lowest[0].condition)] if lowest else [_interval(None), ""]
            rows.append(cells)
    if not rows:
        return page.NOTHING
    header = ["threshold", "balanced ACC, all conditions", "lowest specificity", "where", "lowest sensitivity", "where"]
    caption = (
        "Frame level. The threshold is the one with the best balanced ACC on the validation split "
        f"over all conditions, or .5. Specificity: share of real faces classified as real. Sensitivity: share of "
        f"fakes classified as fake. {share}; those of the lowest values cover the lowest true value."
    )
    return page.table("decisions", "One threshold for all conditions", header, rows, caption, text=(3, 5))


def _cells(matrix: Matrix, share: str) -> Block:
    rows: list[list[Cell]] = []
    for real in matrix.conditions:
        found = [matrix.cell(real, fake, LEVEL) for fake in matrix.conditions]
        cells = [page.heat(cell.auc if cell else math.nan, _interval(cell)) for cell in found]
        rows.append([title(real), *cells])
    header = ["real \\ fake", *map(title, matrix.conditions)]
    return page.table("matrix-cells", "Frame AUC of every cell: rows real, columns fake", header, rows, f"{share}.")
