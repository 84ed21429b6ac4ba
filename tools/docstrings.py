"""An extension of griffe (mkdocs.yml): Python sessions in docstrings become blocks of code, roles of Sphinx links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SESSION = re.compile(r"((?:^>>> .*(?:\n|\Z)(?:^(?!>>> )\S.*(?:\n|\Z))*)+)", re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|mod|data|exc):`~?([\w.]+)`")


def as_markdown(text: str) -> str:
    """Return the docstring *text* with its sessions fenced, and its roles as links of mkdocstrings, by full name."""
    text = _SESSION.sub(r"\n```pycon\n\1\n```\n", text)
    return _ROLE.sub(lambda found: f"[`{found[1]}`][]" if "." in found[1] else f"`{found[1]}`", text)


class Docstrings(griffe.Extension):  # type: ignore[misc,unused-ignore]
    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite every docstring of a package; `on_object` is not called for the package itself."""
        objects: list[Any] = [pkg]
        for found in objects:
            if found.docstring:
                found.docstring.value = as_markdown(found.docstring.value)
            objects += [member for member in found.members.values() if not member.is_alias]
