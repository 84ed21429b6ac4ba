"""The reference pages are complete, and links of pages beside the code lead to their places in the site."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from detector.cli import COMMANDS
from evaluation.cli import main
from tools.documentation import BESIDE, commands, comments, modules, on_page_markdown, settings

ROOT = Path(__file__).resolve().parents[2]
NAV = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_command_has_its_help() -> None:
    titles = set(re.findall(r"^## (.*)$", commands(), re.MULTILINE))
    assert {f"detector {name}" for name in COMMANDS} | {f"evaluation {name}" for name in main.commands} <= titles
    assert {"detector dataset add", "mozcodec encode", "mozcodec decode", "mozcodec sweep"} <= titles


def test_a_setting_has_the_comment_above_it() -> None:
    text = "# of the file\n# of a\n# and more\na: 1\nb:\n  # of c\n  c: 2\n  d: 3 # of d\n"
    assert comments(text) == {"a": "of a and more", "b.c": "of c", "b.d": "of d"}
    (row,) = (line for line in settings().splitlines() if line.startswith("| `max_border` |"))
    assert row == (
        "| `max_border` | float | `0.05` | crops of which more than this share lies beyond the edge of the image are "
        "dropped |"
    )


def test_every_setting_and_section_has_its_meaning() -> None:
    parts = settings().split("\n## ")
    sections = {part.split("\n", 1)[0]: part.split("\n\n") for part in parts[1:]}
    assert {"faces", "train", "train.histories", "train.checkpoint", "evaluate"} <= set(sections)
    assert [name for name, blocks in sections.items() if blocks[1].startswith("|") or not blocks[1].strip()] == []
    rows = [line for line in settings().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert [row for row in rows if not re.split(r"(?<!\\)\|", row)[-2].strip()] == []
    assert any("| list of str | `[raw, 77, 60," in row for row in rows)
    assert any("| int or auto | `auto` |" in row for row in rows)
    assert any("| float or null | `null` |" in row for row in rows)


def test_every_public_module_is_in_the_reference_and_every_page_in_the_navigation() -> None:
    found = modules()
    names = {name for page in found.values() for name in page}
    assert {"mozcodec.pillow", "evaluation.metrics", "detector.data.faces", "detector.training.trainer"} <= names
    assert not [name for name in names if "._" in name]
    for page in [*(f"reference/{name}.md" for name in found), *BESIDE]:
        assert f"- {page}\n" in NAV, page


@pytest.mark.parametrize(
    ("here", "before", "after"),
    [
        ("mozcodec/migration.md", "(../../packages/mozcodec/migration/pillow.md)", "(migration/pillow.md)"),
        ("mozcodec/integrations/pillow.md", "(../../../docs/results.md#mozcodec)", "(../../results.md#mozcodec)"),
        ("answer.md", "(results.md)", "(results.md)"),
    ],
)
def test_links_lead_to_places_in_the_site(here: str, before: str, after: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=here))
    assert on_page_markdown(f"[text]{before}", page, None, None) == f"[text]{after}"


def test_code_in_a_table_shows_its_bars() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="reference/settings.md"))
    assert on_page_markdown("| `float \\| None` | a \\| b |", page, None, None) == "| `float | None` | a \\| b |"


def test_docstrings_of_the_reference_are_markdown() -> None:
    griffe = pytest.importorskip("griffe", reason="make docs installs it")
    from tools.docstrings import Docstrings, as_markdown

    text = "Return *it*.\n\n>>> f(1)   # one\n2\n\nSee :func:`mozcodec.encode` and :meth:`run`."
    shown = "Return *it*.\n\n\n```pycon\n>>> f(1)   # one\n2\n\n```\n\nSee [`mozcodec.encode`][] and `run`."
    assert as_markdown(text) == shown
    source = "packages/mozcodec/src"
    package = griffe.load("mozcodec", search_paths=[ROOT / source], extensions=griffe.load_extensions(Docstrings))
    for found in (package, package["_encode.encode"], package["torch.JPEG"], package["_options.EncodeOptions.engine"]):
        assert not re.search(r":\w+:`|(?<!```pycon\n)\A>>> ", found.docstring.value), found.path
    assert "```pycon\n>>> data = mozcodec.encode(" in package.docstring.value  # that of the package itself, too


def test_links_out_of_the_site_become_text() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="sample.md"))
    assert on_page_markdown("[here](../tools/sample)", page, None, None) == "here (`tools/sample`)"
    assert on_page_markdown("[a](https://example.org)", page, None, None) == "[a](https://example.org)"
