"""The history of a JPEG by `mozcodec.forensics`, in a form for the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .record import History

__all__ = ["Examined", "examine"]


@dataclass(frozen=True, slots=True)
class Examined:
    """The history, and maps of it as RGB images by name; maps are there only where a part stands out."""

    history: History | None
    maps: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


def examine(data: bytes) -> Examined:
    """Return the history of *data*; None if it is not a JPEG."""
    from mozcodec import JpegError, forensics

    if not data.startswith(b"\xff\xd8"):
        return Examined(None)
    notes: list[str] = []

    def tried(function: Callable[[Any], Any], given: Any, what: str) -> Any:
        if given is None:
            return None
        try:
            return function(given)
        except JpegError as error:
            notes.append(f"{what}: {error}")
            return None

    encoder = tried(forensics.identify, data, "encoder")
    qualities = tried(forensics.estimate_quality, data, "quality")
    luma = tried(forensics.read_luma, data, "earlier compression")
    double = tried(forensics.double_compression, luma, "earlier compression")
    ghosts = tried(forensics.ghosts, luma, "ghosts")
    grid = tried(forensics.grid, luma, "grid of blocks")
    report = tried(forensics.metadata_report, data, "metadata")
    maps = {}
    for name, found in (("ghosts", ghosts), ("grid", grid)):
        if found is not None and found.detected:
            maps[name] = found.picture()
    findings = [] if report is None else sorted(report.findings, key=lambda one: one.kind != "contradiction")
    history = History(
        encoder=encoder.family if encoder else "unknown",
        settings=encoder.settings if encoder else "",
        exact=bool(encoder and encoder.exact),
        doubtful=bool(encoder and encoder.doubtful),
        fingerprint=encoder.fingerprint if encoder else "",
        qualities=tuple(one.quality for one in qualities or ()),
        earlier=_earlier(double),
        ghosts=None if ghosts is None else ghosts.detected,
        grid=None if grid is None else grid.detected,
        software=tuple(report.software) if report else (),
        findings=tuple(f"{one.kind}, {one.subject}: {one.text}" for one in findings),
        notes=tuple(dict.fromkeys(notes)),
    )
    return Examined(history, maps)


def _earlier(double: Any) -> str | None:
    if double is None:
        return None
    if double.detected:
        return f"JPEG of quality {double.quality} before, on the same grid of blocks"
    if double.shifted.detected:
        row, column = double.shifted.offset
        return f"JPEG of quality {double.shifted.quality} before, on a grid shifted by {row} rows and {column} columns"
    return "none found"
