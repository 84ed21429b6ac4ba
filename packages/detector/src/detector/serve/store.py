"""Results in memory: a limited number of them, of limited size, for a limited time. The oldest is dropped first."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from .limits import Limits
from .metrics import Metrics

__all__ = ["Result", "Store", "Upload", "new_id"]


def new_id() -> str:
    """Return an id that cannot be guessed: 128 random bits."""
    return secrets.token_urlsafe(16)


class Upload:
    """A file of a client in memory: an anonymous file, which the kernel frees when its descriptor is closed."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.size = 0
        self.file: int | None = os.memfd_create("upload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    def write(self, data: bytes | memoryview) -> None:
        """Append *data*."""
        assert self.file is not None
        view = memoryview(data)
        while view:
            written = os.write(self.file, view)
            view = view[written:]
            self.size += written

    def seal(self) -> None:
        """Let nobody change the content any more, the workers included."""
        assert self.file is not None
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.file, fcntl.F_ADD_SEALS, seals)

    def read(self) -> bytes:
        """Return the content."""
        assert self.file is not None
        return os.pread(self.file, self.size, 0)

    def close(self) -> None:
        """Free the content."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def __del__(self) -> None:
        self.close()


@dataclass(eq=False)
class Result:
    """The result for an upload.

    values: of the worker's reply (verdict, faces). parts: byte strings by name: ``answer.json``, ``answer.html``,
    images; those made on demand are added. lock: held while they are made, so that they are made once.
    """

    id: str
    upload: Upload
    options: dict[str, Any]
    values: dict[str, Any]
    parts: dict[str, bytes]
    made: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.upload.size + sum(len(data) for data in self.parts.values())


class Store:
    """Results by id. The upload of a result that is dropped is freed when no job uses it any more."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.results: dict[str, Result] = {}  # oldest first

    def add(self, result: Result) -> None:
        """Keep *result*, and drop what is too old or too much."""
        self.results[result.id] = result
        self.shrink()

    def get(self, id_: str) -> Result | None:
        """Return the result *id_* unless it was dropped."""
        self.shrink()
        return self.results.get(id_)

    def drop(self, id_: str) -> bool:
        """Drop the result *id_*; return whether there was one."""
        found = self.results.pop(id_, None)
        self._count()
        return found is not None

    def shrink(self) -> None:
        """Drop results that are too old, then the oldest while there are too many or they are too large."""
        oldest = time.monotonic() - self.limits.result_seconds
        size = sum(result.size for result in self.results.values())
        for id_, result in list(self.results.items()):
            many = len(self.results) > self.limits.results
            if not (result.made < oldest or many or size > self.limits.results_bytes):
                break
            size -= result.size
            del self.results[id_]
        self._count()

    def _count(self) -> None:
        self.metrics.results = len(self.results)
        self.metrics.results_bytes = sum(result.size for result in self.results.values())
