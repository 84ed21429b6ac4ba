"""Hooks of MkDocs (mkdocs.yml): reference pages made from the code; links to files outside docs/ become plain text.

The commands are read from click and argparse, the settings from params.yaml and the dataclasses that check it.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import posixpath
import re
import types
import typing
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mozcodec", "evaluation", "detector")
ROOTS = {"detector": "detector.cli:cli", "evaluation": "evaluation.cli:main"}
WIDTH = 100                            # of the help texts
# pages that stand beside the code: place in the site -> path in the repository
BESIDE = {
    f"mozcodec/{path.parent.name}/{path.name}": path.relative_to(ROOT).as_posix()
    for folder in ("migration", "integrations")
    for path in sorted((ROOT / "packages" / "mozcodec" / folder).glob("*.md"))
}


def modules() -> dict[str, list[str]]:
    """Return the public modules of each package; those of its folders are listed under a name such as detector-data."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        source = ROOT / "packages" / package / "src"
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            internal = any(part.startswith("_") for part in parts if part != "__init__")
            if not internal and parts[-1] not in ("cli", "command"):
                found.setdefault("-".join(parts[:-1]), []).append(name)
    return found


def api(page: str, names: list[str]) -> str:
    return f"# {page.replace('-', '.')}: Python\n\n" + "\n\n".join(f"::: {name}" for name in names) + "\n"


def mozcodec_commands() -> list[str]:
    """Return the help of mozcodec's commands, which argparse writes."""
    from mozcodec._cli import _parser

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)  # argparse takes the width from there
    try:
        parser = _parser()
        (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        texts = {name: verb.format_help() for name, verb in verbs.choices.items()}
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return [line for name, text in texts.items() for line in (f"## mozcodec {name}", f"```text\n{text}\n```")]


def commands() -> str:
    """Return the help of every command as Markdown."""
    parts = ["# Commands", "The help of each command, as `--help` prints it."]

    def add(command: click.Command, name: str, parent: click.Context | None) -> None:
        context = click.Context(command, parent, name, max_content_width=WIDTH, terminal_width=WIDTH)
        if parent:
            parts.extend([f"## {context.command_path}", f"```text\n{command.get_help(context)}\n```"])
        for verb in command.list_commands(context) if isinstance(command, click.Group) else ():
            below = command.get_command(context, verb)  # type: ignore[attr-defined]
            assert below is not None
            add(below, verb, context)

    for name, place in ROOTS.items():
        module, attribute = place.split(":")
        add(getattr(importlib.import_module(module), attribute), name, None)
    return "\n\n".join([*parts, *mozcodec_commands()]) + "\n"


def comments(text: str) -> dict[str, str]:
    """Return the comment above each parameter of the YAML *text*, by its dotted name."""
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines()[1:]:  # the first line is about the file
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped.startswith("#"):
            above.append(stripped.lstrip("# "))
            continue
        if key := re.match(r"([\w]+):", stripped):
            parents = [parent for parent in parents if parent[0] < indent] + [(indent, key[1])]
            inline = stripped.partition(" # ")[2]
            words = " ".join([*above, inline]).strip()
            found[".".join(name for _, name in parents)] = words
        above = []
    return {name: words for name, words in found.items() if words}


def spelled(kind: Any) -> str:
    """Return a type of a setting in the words of params.yaml: "float or null", "list of str"."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return " or ".join(spelled(one) for one in arguments)
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, arguments))
    if typing.get_origin(kind) is tuple:
        return f"list of {spelled(arguments[0])}"
    return "null" if kind is types.NoneType else str(kind.__name__)


def written(value: Any) -> str:
    """Return a default as params.yaml has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def settings() -> str:
    """Return every parameter of params.yaml, with type, default and the comment there: a table for each section."""
    from detector.config import Params

    said = comments((ROOT / "params.yaml").read_text(encoding="utf-8"))

    def section(cls: Any, place: str) -> list[str]:
        hints = typing.get_type_hints(cls)
        lines, below = ["| parameter | type | default | meaning |", "|---|---|---|---|"], []
        for field in dataclasses.fields(cls):
            kind, name = hints[field.name], f"{place}.{field.name}".lstrip(".")
            if inner := [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]:
                below += section(inner[0], name)
                continue
            cells = [f"`{field.name}`", spelled(kind), f"`{written(field.default)}`", said.get(name, "")]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        about = said.get(place, "")
        title = [f"## {place}", f"{about[:1].upper()}{about[1:]}"] if place else []
        return [*title, "\n".join(lines), *below]

    first = "The parameters in `params.yaml`, by section. For one run: `dvc exp run -S faces.size=256`."
    return "\n\n".join(["# Settings", first, *section(Params, "")]) + "\n"


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    pages = {f"reference/{page}.md": api(page, names) for page, names in modules().items()}
    pages |= {"reference/commands.md": commands(), "reference/settings.md": settings()}
    pages |= {place: (ROOT / path).read_text(encoding="utf-8") for place, path in BESIDE.items()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 (MkDocs' signature)
    here = page.file.src_uri
    folder = posixpath.dirname(BESIDE.get(here, f"docs/{here}"))
    places = {path: place for place, path in BESIDE.items()}

    def inside(match: re.Match[str]) -> str:
        target, mark, anchor = match[2].partition("#")
        path = posixpath.normpath(posixpath.join(folder, target))
        place = places.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None or path.endswith(".py"):
            return f"{match[1]} (`{path.removeprefix('docs/')}`)"
        return f"[{match[1]}]({posixpath.relpath(place, posixpath.dirname(here))}{mark}{anchor})"

    # in cells of tables, GitHub needs the backslash in `a\|b`, and Python-Markdown shows it
    markdown = re.sub(r"^\|.*$", lambda row: re.sub(r"`[^`]*`", _without_escapes, row[0]), markdown, flags=re.MULTILINE)
    return re.sub(r"(?<!!)\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)", inside, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 (MkDocs' signature)
    return html.replace("<code>-", '<code class="switch">-')  # browsers break lines after a hyphen


def _without_escapes(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")
