"""Reads and checks what the page shows, and writes it: HTML, Markdown, figures as PNG, tables as CSV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from . import checks, made, mistakes, page, plots
from .files import write_whole
from .material import Material, Sources, load
from .sections import body, question

__all__ = ["Material", "Sources", "build", "gather"]


def gather(sources: Sources) -> Material:
    """Read all *sources*; FileError or OSError names the file that cannot be used or belongs to another run."""
    material, scores = load(sources)
    checks.check(sources, material, scores)
    decided = material.matrix.decided("balanced_accuracy", material.matrix.source)
    if not decided:
        return material
    images = [(row.key, row.condition, material.pictures[row.file]) for face in material.panels for row in face]
    if material.explained:
        maps = [row for face in material.explained.faces for row in face if row.kind == "face"]
        images += [(row.key, row.condition, material.explained.pictures[row.file]) for row in maps]
    return replace(material, mistakes=mistakes.find(material.scores, decided[0].threshold, images, sources.crops))


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
    write_whole(path, page.page(question(material.summary), whole))
    return path
