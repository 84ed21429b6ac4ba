"""Values of files as a message shows them: in the notation of JSON and YAML, not in Python's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["brief", "shown"]

LONGEST = 60  # characters of a value in a message


def shown(value: Any, most: int = LONGEST) -> str:
    """Return *value* for a message, of at most *most* characters: text in single quotes, anything else as JSON has it.

    Values that JSON does not have, such as the dates of YAML, are text.
    """
    if isinstance(value, str):
        return brief(f"'{value}'", most)
    if isinstance(value, float):
        return str(value)  # nan and inf as they are called elsewhere
    try:
        return brief(json.dumps(value, default=str), most)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, too many digits, too deep or endless
        lists = "a list" if isinstance(value, list | tuple) else "a number"
        kind = "a mapping" if isinstance(value, Mapping) else lists
        return f"{kind} that cannot be shown"


def brief(text: str, most: int = LONGEST) -> str:
    """Return *text* for a message, of at most *most* characters; those that cannot be printed are escaped."""
    printable = "".join(map(_printable, text[: most + 1]))
    return printable if len(printable) <= most else printable[:most] + "..."


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
