"""scores.json, the record that ``detector score`` writes beside a table of scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .files import FileError, read_json
from .records import Origin

__all__ = ["REMEDY", "check_recorded", "is_record", "origin_path", "read_origin"]

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


def check_recorded(scores: Path, sha256: str) -> None:
    """Raise FileError if the record of the table *scores*, whose hash is *sha256*, is that of another table."""
    origin = read_origin(scores)
    if origin is not None and origin.scores.sha256 != sha256:
        record = origin_path(scores)
        raise FileError(
            f"{scores}: its SHA-256 is {sha256[:12]}..., but its record {record} has {origin.scores.sha256[:12]}...: "
            f"the table is damaged or was edited; run `detector score` again, or delete {record} if the edit is meant"
        )
