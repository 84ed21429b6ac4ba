"""A Dask cluster whose workers are jobs of Slurm, by dask-jobqueue (the extra ``detector[cluster]``).

The settings file describes one job and how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from evaluation.threads import KERNELS

from ..errors import DataError, DetectorError
from ..schema import Mismatch, Rules, in_range, matching, parse, parse_yaml, read_text

__all__ = ["SETTINGS", "Settings", "job_options", "read_settings", "started"]

SETTINGS = "DETECTOR_SLURM"  # environment variable that names the settings file
DEFAULT = "slurm.yaml"

SIZE = matching(r"(?i)\d{1,9}(\.\d{1,9})? ?([kmgtp]i?b?|b)", 'a size with its unit, such as "16GB"')
TIME = matching(r"\d{1,9}(-\d{1,2})?(:\d{1,2}){0,2}", 'a time as Slurm has it, such as "2:00:00" or "1-12:00:00"')
LINE = matching(r"[^\x00-\x1f]+", "one line of text")


@dataclass(frozen=True, slots=True)
class Settings:
    """A settings file: `jobs` jobs, each with `processes` worker processes on `cores` cores and with `memory` ("16GB").

    `directives` are further lines of ``#SBATCH``, `prologue` are shell lines before the workers start, `interface` is
    the network interface through which workers and scheduler talk.
    """

    memory: Annotated[str, SIZE]
    walltime: Annotated[str, TIME]
    jobs: Annotated[int, in_range(1, 100_000)] = 1
    cores: Annotated[int, in_range(1, 4096)] = 1
    processes: Annotated[int, in_range(1, 4096)] = 1
    queue: Annotated[str | None, LINE] = None
    account: Annotated[str | None, LINE] = None
    interface: Annotated[str | None, LINE] = None
    python: Annotated[str | None, LINE] = None
    logs: Annotated[str, LINE] = "slurm-logs"
    directives: Annotated[list[str], LINE] = field(default_factory=list)
    prologue: list[str] = field(default_factory=list)


def read_settings(path: Path) -> Settings:
    """Return the settings in the YAML file *path*; `DataError` names the file and the wrong value."""
    if not path.exists():
        raise DataError(f"{path}: no such file; describe a job there, or name the file in {SETTINGS}")
    try:
        return parse(parse_yaml(read_text(path), path), Settings, rules=Rules(closed=True, unknown=_unknown))
    except Mismatch as error:
        raise DataError(f"{path}: {error}; see docs/cluster.md") from None


def _unknown(_place: str, key: str, kind: type) -> str:
    return f"{key} is not a setting; known are {', '.join(field.name for field in fields(kind))}"


def job_options(settings: Settings) -> dict[str, Any]:
    """Return *settings* as options of `dask_jobqueue.SLURMCluster`."""
    # a task counts a death of its process as its own, so a process runs one task at a time
    exports = [f"export {name}={value!r}" for name in KERNELS if (value := os.environ.get(name)) is not None]
    options = {
        "cores": settings.processes,
        "job_cpu": settings.cores,
        "processes": settings.processes,
        "memory": settings.memory,
        "walltime": settings.walltime,
        "queue": settings.queue,
        "account": settings.account,
        "interface": settings.interface,
        "log_directory": settings.logs,
        "job_extra_directives": settings.directives,
        "job_script_prologue": [*exports, *settings.prologue],
    }
    return options | ({"python": settings.python} if settings.python else {})


@contextmanager
def started(workers: int = 0) -> Iterator[Any]:
    """Yield a cluster with *workers* worker processes (0: as many as the settings say); its jobs end with the block."""
    try:
        from dask_jobqueue import SLURMCluster
    except ModuleNotFoundError:
        raise DetectorError("slurm: dask-jobqueue is not installed; pip install 'detector[cluster]'") from None
    path = Path(os.environ.get(SETTINGS) or DEFAULT)
    settings = read_settings(path)
    try:
        cluster = SLURMCluster(**job_options(settings))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        raise DetectorError(f"slurm: the scheduler could not be started as {path} says: {reason}") from error
    with cluster:
        if workers:
            cluster.scale(workers)
        else:
            cluster.scale(jobs=settings.jobs)
        yield cluster
