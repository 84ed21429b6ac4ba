"""An extension of griffe (mkdocs.yml): Python sessions in docstrings become blocks of code, not quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Sessions(griffe.Extension):  # type: ignore[misc,unused-ignore]
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            session = r"((?:^>>> .*(?:\n|\Z)(?:^(?!>>> )\S.*(?:\n|\Z))*)+)"
            obj.docstring.value = re.sub(session, r"\n```pycon\n\1\n```\n", obj.docstring.value, flags=re.MULTILINE)
