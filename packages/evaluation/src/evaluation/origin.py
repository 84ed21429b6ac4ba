"""scores.json, the record that ``detector score`` writes beside a table of scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .files import read_json
from .records import Origin

__all__ = ["REMEDY", "is_record", "origin_path", "read_origin"]

REMEDY = "run `detector score` again to rewrite it, or delete the record of a table from elsewhere"


def origin_path(scores: Path) -> Path:
    """Return the path of a table's record."""
    return scores.with_suffix(".json")


def is_record(path: Path) -> bool:
    """Return whether a JSON file is a record; metrics.json, which a user may call ``scores.json``, is not."""
    found = read_json(path, dict[str, Any], REMEDY)
    return "weights_sha256" in found or not {"matrix", "undefined"} <= found.keys()


def read_origin(scores: Path) -> Origin | None:
    """Return the record of a table, None if there is none; FileError for a damaged one."""
    path = origin_path(scores)
    return read_json(path, Origin, REMEDY) if path.is_file() and is_record(path) else None
