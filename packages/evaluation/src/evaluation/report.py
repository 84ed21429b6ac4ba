"""Writes the page: index.html, the same as report.md, its figures as PNG and its tables as CSV."""

from __future__ import annotations

from pathlib import Path

from . import page, plots
from .files import write_whole
from .material import Material, Sources, gather
from .sections import body

__all__ = ["Material", "Sources", "build", "gather"]

TITLE = "Is a fake face still detected after JPEG compression?"


def build(out: Path, material: Material) -> Path:
    """Write the figures, the tables, ``report.md`` and then ``index.html`` into *out*; return the path of the page."""
    whole = body(material)
    for name, draw in whole.charts:
        write_whole(out / f"{name}.png", plots.png(draw(plots.LIGHT)))
    for table in whole.tables:
        write_whole(out / page.TABLES / f"{table.name}.csv", table.csv())
    write_whole(out / "report.md", f"{whole.markdown}\n")
    path = out / "index.html"
    write_whole(path, page.page(TITLE, whole))
    return path
