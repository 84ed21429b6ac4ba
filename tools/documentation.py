"""Hooks of MkDocs (mkdocs.yml): reference pages made from the code; links to files outside docs/ become plain text.

The commands are read from click, the settings from the dataclasses that check params.yaml.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import posixpath
import re
import types
import typing
from typing import Any

import click

MODULES = {
    "mozcodec": ["mozcodec", "mozcodec.forensics", "mozcodec.jpegio"],
    "evaluation": ["evaluation.metrics", "evaluation.likelihood", "evaluation.scores", "evaluation.matrix"],
    "detector": [
        "detector.conditions", "detector.config", "detector.data.index", "detector.data.shards", "detector.weights",
        "detector.inference", "detector.answer",
    ],
}  # fmt: skip
ROOTS = {"detector": "detector.cli:cli", "evaluation": "evaluation.cli:main"}


def api(package: str, modules: list[str]) -> str:
    return f"# {package}: Python\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"


def commands() -> str:
    """Return the help of every command as Markdown."""
    parts = ["# Commands", "The help of each command, as `--help` prints it."]
    for name, place in ROOTS.items():
        module, attribute = place.split(":")
        group = getattr(importlib.import_module(module), attribute)
        context = click.Context(group, info_name=name, max_content_width=100, terminal_width=100)
        for title in group.list_commands(context):
            command = group.get_command(context, title)
            inner = click.Context(command, info_name=title, parent=context, max_content_width=100, terminal_width=100)
            parts += [f"## {name} {title}", f"```text\n{command.get_help(inner)}\n```"]
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """Return every parameter of params.yaml, with type and default, as tables of Markdown."""
    from detector.config import Params

    def rows(cls: Any, prefix: str) -> list[str]:
        hints = typing.get_type_hints(cls)
        lines, below = [], []
        for field in dataclasses.fields(cls):
            kind, name = hints[field.name], f"{prefix}{field.name}"
            if dataclasses.is_dataclass(kind):
                below += [f"\n## {name}\n", inspect.cleandoc(kind.__doc__ or ""), *table(kind, f"{name}.")]
                continue
            default = field.default if field.default is not dataclasses.MISSING else ""
            text = "null" if default is None else str(default).replace("|", "\\|")
            shown = str(kind) if isinstance(kind, types.GenericAlias | types.UnionType) else kind.__name__
            lines.append(f"| `{name}` | `{shown}` | `{text or ' '}` |".replace("` `", "").replace("|  |", "| |"))
        return [*lines, *below]

    def table(cls: Any, prefix: str) -> list[str]:
        return ["\n| parameter | type | default |", "|---|---|---|", *rows(cls, prefix)]

    return "\n".join(["# Settings", "\nThe parameters in `params.yaml`.", *table(Params, "")]) + "\n"


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    pages = {f"reference/{package}.md": api(package, modules) for package, modules in MODULES.items()}
    pages |= {"reference/commands.md": commands(), "reference/settings.md": settings()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001 (MkDocs' signature)
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        outside = path.startswith("../") or path.endswith(".py")
        return f"{match[1]} (`{path.removeprefix('../')}`)" if outside else match[0]

    return re.sub(r"(?<!!)\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)", inside, markdown)
