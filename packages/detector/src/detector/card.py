"""``model.json``, the card beside trained weights: what is needed to build their model again, and where they came from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import DataError
from .schema import read_json

__all__ = ["CARD", "read_card"]

CARD = "model.json"


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card in *folder*; DataError if it is missing or damaged."""
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or not {"model", "options", "height", "width"} <= card.keys():
        raise DataError(f"{folder / CARD}: lacks model, options, height or width; train again")
    return card
