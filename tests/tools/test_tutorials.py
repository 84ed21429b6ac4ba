"""The tutorials and the sessions of the explanations are run, block by block, and their outputs compared."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.cli import main as evaluation

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
EXPLANATIONS = [page for page in sorted((ROOT / "docs" / "explanations").glob("*.md")) if ">>> " in page.read_text()]
COMMANDS = {"evaluation": evaluation}


def run_python(text: str, values: dict[str, object], name: str, line: int) -> None:
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, line)
    test.globs = values  # shared by the blocks of a page
    assert doctest.DocTestRunner(verbose=False).run(test, clear_globs=False).failed == 0


def run_console(text: str) -> None:
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        line, _, expected = part.partition("\n")
        program, *arguments = line.split()
        result = CliRunner().invoke(COMMANDS[program], arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        wanted = expected.replace("...\n", "\0")
        pattern = "".join(r"(?:.*\n)*" if piece == "\0" else re.escape(piece) for piece in re.split("(\0)", wanted))
        assert re.fullmatch(pattern, result.output), result.output


@pytest.mark.parametrize("path", [*TUTORIALS, *EXPLANATIONS], ids=lambda path: path.stem)
def test_a_tutorial_does_what_it_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    values: dict[str, object] = {"__name__": "__main__"}
    blocks = list(re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S))
    assert blocks
    for block in blocks:
        if block[1] in ("python", "pycon"):
            run_python(block[2], values, path.name, text.count("\n", 0, block.start()))
        else:
            assert block[1] == "console"
            run_console(block[2])


def test_an_output_that_differs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        run_python(">>> 1 + 1\n3\n", {}, "page", 0)
    with pytest.raises(AssertionError):
        run_console("$ evaluation --version\nevaluation, version 999\n")
