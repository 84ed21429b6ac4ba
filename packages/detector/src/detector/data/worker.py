"""The command ``detector worker``."""

from __future__ import annotations

import importlib.util
import os
import re
import sys

import click

from evaluation.threads import let_idle_threads_sleep, pin_numpy

from ..arithmetic import PINNED
from ..errors import ConfigError, DetectorError
from ..options import Command, workers_option
from ..system import cores
from .cluster import check_certificates


@click.command(cls=Command)
@click.argument("scheduler")
@workers_option
@click.option("--memory", default="auto", show_default=True, help="Memory of a process, e.g. 4GB.")
@click.option("--name", envvar="DASK_WORKER_NAME", help="Name of the worker, which Dask's operator gives it.")
def command(scheduler: str, workers: int, memory: str, name: str | None) -> None:
    """Run tasks for SCHEDULER, dask://HOST:PORT or tls://HOST:PORT, until it ends.

    Start it in the folder in which the commands run, from the same installation, on a file system that both share. The
    processes are Dask workers that run one task at a time, with the arithmetic that makes results the same bytes on
    every machine.
    """
    if re.fullmatch(r"(dask|tls)://[^/\s]+:\d{1,5}", scheduler) is None:
        raise ConfigError(f"SCHEDULER must be dask://HOST:PORT or tls://HOST:PORT, got {scheduler}")
    if importlib.util.find_spec("distributed") is None:
        raise DetectorError("Dask is not installed; pip install 'detector[cluster]'")
    if scheduler.startswith("tls://"):
        check_certificates("worker", scheduler)
    let_idle_threads_sleep()
    pin_numpy()
    os.environ.update(PINNED)  # read when torch is loaded
    address, number = scheduler.replace("dask://", "tcp://"), str(workers or cores())
    dask = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nworkers", number, "--nthreads", "1"]
    named = ["--name", name] if name else []
    os.execv(sys.executable, [*dask, "--memory-limit", memory, "--no-dashboard", *named])
