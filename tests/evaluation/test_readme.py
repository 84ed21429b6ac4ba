"""The examples of the README work as shown."""

import doctest
import re
from pathlib import Path

from click.testing import CliRunner

from evaluation.cli import main

ROOT = Path(__file__).parents[2]
README = ROOT / "packages" / "evaluation" / "README.md"
GUIDE = ROOT / "docs" / "evaluation.md"


def test_the_python_session_gives_what_it_shows():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    test = doctest.DocTestParser().get_doctest(blocks[0], {}, "README", str(README), 0)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_the_failure_reads_as_shown(tmp_path, monkeypatch, rows_of, write_table):
    rows = rows_of()
    for line in (8, 20, 33):
        rows[line - 2]["score"] = "nan"
    monkeypatch.chdir(tmp_path)
    write_table(Path("scores.csv"), rows)
    result = CliRunner().invoke(main, ["metrics", "scores.csv", "metrics.json"])
    shown = re.search(r"^Error: scores\.csv.*?other rows$", README.read_text(), re.DOTALL | re.MULTILINE)[0]
    assert result.output.split() == shown.replace("7680", str(len(rows))).split()
    assert list(tmp_path.iterdir()) == [tmp_path / "scores.csv"]


def test_every_command_and_option_of_the_guide_exists():
    text = GUIDE.read_text()
    commands = set(re.findall(r"^\| `evaluation (\w+)", text, re.MULTILINE))
    assert commands == set(main.commands)
    text += README.read_text()
    known = {option for command in main.commands.values() for param in command.params for option in param.opts}
    assert set(re.findall(r"(--[a-z][a-z-]+)", text)) <= known
