"""Writes the page: index.html, the same as report.md, its figures as PNG and its tables as CSV."""

from __future__ import annotations

from pathlib import Path

from . import made, page, plots
from .files import write_whole
from .material import Material, Sources, gather
from .sections import body

__all__ = ["Material", "Sources", "build", "gather"]

TITLE = "Is a fake face still detected after JPEG compression?"


def build(out: Path, material: Material) -> Path:
    """Write figures, tables, citation, ``report.md`` and, last, ``index.html`` into *out*; return its path."""
    whole = body(material)
    for name, draw in whole.charts:
        write_whole(out / f"{name}.png", plots.png(draw(plots.LIGHT)))
    for table in whole.tables:
        write_whole(out / page.TABLES / f"{table.name}.csv", table.csv())
    write_whole(out / made.CITATION, made.bibtex(material))
    write_whole(out / "report.md", f"{whole.markdown}\n")
    path = out / "index.html"
    write_whole(path, page.page(TITLE, whole))
    return path
