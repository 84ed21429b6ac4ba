"""Limits of the service: what a client may ask for, and what the service spends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MEBI", "SETTINGS", "Limits", "Setting", "limits_of"]

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of ``detector serve`` that are limits; the command line has their bounds.

    num_bytes: of a file. pixels: of an image or a frame. video_frames: in a video. frames: scored per video. seconds:
    of work on one request. upload_seconds: until a request has been received. idle_seconds: without any byte from, or
    accepted by, a client. queue: requests that are uploaded or wait. clients: connections. results, results_bytes,
    result_seconds: of what is kept in memory. worker_bytes: memory of a worker beyond that of the weights.
    """

    num_bytes: int = 64 * MEBI
    pixels: int = 50_000_000
    video_frames: int = 20_000
    frames: int = 16
    seconds: float = 120.0
    upload_seconds: float = 120.0
    idle_seconds: float = 20.0
    queue: int = 16
    clients: int = 100
    results: int = 100
    results_bytes: int = 512 * MEBI
    result_seconds: float = 1800.0
    worker_bytes: int = 4096 * MEBI


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of the command line for a field of `Limits`: its bounds, in units of so many of the field's."""

    option: str
    field: str
    low: float
    high: float
    help: str
    unit: float = 1

    @property
    def default(self) -> float:
        """The value of the option that gives the field's default."""
        value: float = getattr(Limits(), self.field) / self.unit
        return int(value) if value.is_integer() else value


SETTINGS = (
    Setting("max_mib", "num_bytes", 1, 2000, "size of a file, in MiB.", MEBI),
    Setting("max_megapixels", "pixels", 0.01, 1000, "size of an image or frame, in megapixels.", 1e6),
    Setting("max_frames", "video_frames", 1, 10_000_000, "frames in a video."),
    Setting("frames", "frames", 1, 1000, "frames of a video that are scored."),
    Setting("seconds", "seconds", 0.1, 3600, "time to examine a file."),
    Setting("worker_mib", "worker_bytes", 64, 1_000_000, "memory to examine a file, beyond that of the weights.", MEBI),
    Setting("upload_seconds", "upload_seconds", 1, 86_400, "time to receive a file."),
    Setting("idle_seconds", "idle_seconds", 1, 600, "time in which a client sends or takes no byte."),
    Setting("queue", "queue", 0, 1000, "requests that wait or are being received."),
    Setting("clients", "clients", 1, 1000, "open connections."),
    Setting("results", "results", 1, 1000, "results kept in memory."),
    Setting("results_mib", "results_bytes", 2, 100_000, "size of all results in memory.", MEBI),
    Setting("result_minutes", "result_seconds", 0.01, 1440, "time that a result is kept.", 60),
)


def limits_of(values: Mapping[str, float]) -> Limits:
    """Return the limits by the *values* of the options `SETTINGS`."""
    found: dict[str, Any] = {}
    for row in SETTINGS:
        kind = type(getattr(Limits(), row.field))
        found[row.field] = kind(values[row.option] * row.unit)
    return Limits(**found)
