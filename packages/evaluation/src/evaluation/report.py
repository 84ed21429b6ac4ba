"""Reads and checks what the page shows, and writes it: HTML, Markdown, figures as PNG, tables as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from . import checks, made, mistakes, page, plots
from .material import Material, Sources, load
from .sections import body, question
from .whole import write_together

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
    """Write figures, tables, citation, ``report.md`` and ``index.html`` into *out*, all or none; return its path."""
    path = out / "index.html"
    write_together(_files(path, material))
    return path


def _files(path: Path, material: Material) -> Iterator[tuple[Path, bytes | str]]:
    whole, out = body(material), path.parent
    for name, draw in whole.charts:
        yield out / f"{name}.png", plots.png(draw(plots.LIGHT))
    for table in whole.tables:
        yield out / page.TABLES / f"{table.name}.csv", table.csv()
    yield out / made.CITATION, made.bibtex(material)
    yield out / "report.md", f"{whole.markdown}\n"
    yield path, page.page(question(material.summary), whole)
