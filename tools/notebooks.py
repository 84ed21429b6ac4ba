"""Write tutorials of the documentation as notebooks: ``python -m tools.notebooks`` in the root of the repository.

The page is the source: sessions become cells with the outputs that the page shows, consoles become cells of bash.
`tests/tools/test_notebooks.py` runs the notebooks in a kernel and compares the outputs.
"""

from __future__ import annotations

import ast
import doctest
import json
import re
from pathlib import Path
from typing import Any

from .pages import blocks

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
NAMES = ("paper", "scores")


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").splitlines(keepends=True)


def _code(source: str, output: str) -> dict[str, Any]:
    """Return a cell; its output is a result if it ends with an expression other than a print, else a stream."""
    outputs: list[dict[str, Any]] = []
    if output:
        last = None if source.startswith("%%") else ast.parse(source).body[-1]
        value = isinstance(last, ast.Expr) and not ast.unparse(last).startswith("print(")
        shown = {"data": {"text/plain": _lines(output)}, "execution_count": None, "metadata": {}}
        stream = {"name": "stdout", "text": f"{output}\n".splitlines(keepends=True)}
        outputs.append({"output_type": "execute_result", **shown} if value else {"output_type": "stream", **stream})
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": outputs}
    return cell | {"source": _lines(source)}


def _python(text: str) -> list[dict[str, Any]]:
    """Return a cell for the lines of a session up to each output."""
    cells, sources = [], ""
    for example in doctest.DocTestParser().get_examples(text):
        sources += example.source
        if example.want:
            cells.append(_code(sources.rstrip("\n"), example.want.rstrip("\n")))
            sources = ""
    return [*cells, *([_code(sources.rstrip("\n"), "")] if sources else [])]


def _console(text: str) -> list[dict[str, Any]]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    commands = [part.partition("\n") for part in parts]
    return [_code(f"%%bash\n{command} 2>&1", shown.rstrip("\n")) for command, _, shown in commands]


def notebook(text: str) -> dict[str, Any]:
    """Return the page *text* as a notebook of format 4.5."""
    cells: list[dict[str, Any]] = []
    position = 0
    for match, (language, block, _) in zip(
        re.finditer(r"^```\w+\n.*?^```$", text, re.MULTILINE | re.DOTALL), blocks(text), strict=True
    ):
        cells += [_words(text[position : match.start()])]
        cells += _console(block) if language == "console" else _python(block)
        position = match.end()
    cells += [_words(text[position:])]
    if any("...\n" in output["text"] for cell in cells for output in cell.get("outputs", ()) if "text" in output):
        cells[0]["source"][-1] += "\n"
        cells[0]["source"] += ["\n", "In the outputs, `...` stands for lines left out here; a run shows all of them."]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    numbered = [{"id": f"cell-{i}", **cell} for i, cell in enumerate(cell for cell in cells if cell["source"])]
    return {"cells": numbered, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _words(text: str) -> dict[str, Any]:
    """Return a cell of text, without the comments and the sentence that links to this notebook."""
    text = re.sub(r"<!--.*?-->\n*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*This page is also a\s+\[notebook\]\(\w+\.ipynb\)\.", "", text)
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text.strip("\n"))}


def as_json(name: str) -> str:
    """Return the notebook of the tutorial *name* as the text of its file."""
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name in NAMES:
        (FOLDER / f"{name}.ipynb").write_text(as_json(name), encoding="utf-8")
        print(f"docs/tutorials/{name}.ipynb")


if __name__ == "__main__":
    main()
