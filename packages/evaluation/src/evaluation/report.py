"""The page: one self-contained HTML file that answers whether a fake is still detected after JPEG compression."""

from __future__ import annotations

from pathlib import Path

from . import page, plots
from .files import write_whole
from .material import Material, Sources, gather
from .sections import body

__all__ = ["Material", "Sources", "build", "gather"]


def build(out: Path, material: Material) -> Path:
    """Write the figures as PNG and then ``index.html`` into the folder *out*; return the path of the page."""
    summary, scores, found = material.summary, material.scores, material.explained
    figures = {
        "robustness": plots.robustness(summary),
        "roc": plots.roc_curves(scores),
        "metrics": plots.metric_bars(summary),
    }
    if len(material.matrix.conditions) > 1:
        figures["matrix"] = plots.history_matrix(material.matrix)
    if len(material.rates) > 1:
        figures["curves"] = plots.curves(summary, material.fidelity)
    if material.panels:
        pictures = {name: picture.pixels for name, picture in material.pictures.items()}
        figures["compression"] = plots.compression(material.panels[0], pictures)
    if found and found.drawable:
        figures["features"] = plots.embedding(found.plane, found.features)
    for name, figure in figures.items():
        write_whole(out / f"{name}.png", plots.png(figure))
    path = out / "index.html"
    write_whole(path, page.page("Is a fake still detected after JPEG?", body(material)))
    return path
