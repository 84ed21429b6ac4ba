"""What the service counts, in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BUCKETS", "MEDIA_TYPE", "Metrics"]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)  # upper bounds in seconds


class Metrics:
    """Counters and gauges. Used by the event loop only.

    outcomes: of requests for an answer: ``answered``, ``no_answer``, or the code of a problem. responses: by status.
    restarts: of workers, by code. in_flight: requests that a worker works on. waiting: those that are uploaded or wait.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self.outcomes: Counter[str] = Counter()
        self.responses: Counter[int] = Counter()
        self.restarts: Counter[str] = Counter()
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.in_flight = 0
        self.admitted = 0
        self.uploaded = 0
        self.results = 0
        self.results_bytes = 0
        self.workers = 0

    @property
    def waiting(self) -> int:
        """Requests that are uploaded or wait for a worker."""
        return max(0, self.admitted - self.in_flight)

    @property
    def jobs(self) -> int:
        """Jobs that workers have finished."""
        return sum(self.buckets)

    def observe(self, seconds: float) -> None:
        """Count a job that took so many *seconds*."""
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def mean(self) -> float:
        """Return the mean duration of a job in seconds, 1 before the first."""
        return self.seconds / self.jobs if self.jobs else 1.0

    def text(self) -> str:
        """Return all values as text."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        outcomes = {f'outcome="{name}"': count for name, count in sorted(self.outcomes.items())}
        yield from _metric("requests_total", "counter", "Requests for an answer by outcome.", outcomes)
        responses = {f'status="{status}"': count for status, count in sorted(self.responses.items())}
        yield from _metric("responses_total", "counter", "HTTP responses by status.", responses)
        restarts = {f'reason="{code}"': self.restarts[code] for code in sorted({"crash", "too_slow", *self.restarts})}
        yield from _metric("worker_restarts_total", "counter", "Workers replaced, by reason.", restarts)
        name = "detector_job_seconds"
        yield f"# HELP {name} Time that a worker takes for a job."
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self.buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self.seconds:.6f}"
        yield f"{name}_count {total}"
        for short, kind, help_, value in (
            ("uploaded_bytes_total", "counter", "Bytes of files received.", self.uploaded),
            ("in_flight", "gauge", "Requests that a worker works on.", self.in_flight),
            ("queue", "gauge", "Requests that are uploaded or wait for a worker.", self.waiting),
            ("workers", "gauge", "Workers that run.", self.workers),
            ("results", "gauge", "Results in memory.", self.results),
            ("results_bytes", "gauge", "Bytes of the results in memory.", self.results_bytes),
        ):
            yield from _metric(short, kind, help_, {"": value})
        yield "# HELP process_start_time_seconds Start of the service, in seconds since 1970."
        yield "# TYPE process_start_time_seconds gauge"
        yield f"process_start_time_seconds {self.started:.3f}"
        size = _resident()
        if size is not None:
            yield "# HELP process_resident_memory_bytes Resident memory of the server, without its workers."
            yield "# TYPE process_resident_memory_bytes gauge"
            yield f"process_resident_memory_bytes {size}"


def _metric(name: str, kind: str, help_: str, values: dict[str, int]) -> Iterator[str]:
    name = f"detector_{name}"
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _resident() -> int | None:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return None
    return int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
