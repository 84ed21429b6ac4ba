"""The command ``detector worker``."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import time
from collections.abc import Sequence

import click

from evaluation.threads import let_idle_threads_sleep, pin_numpy

from ..arithmetic import PINNED
from ..errors import ConfigError, DetectorError
from ..options import Command, workers_option
from ..system import cores
from .cluster import check_answer, check_certificates
from .work import is_scheduler

STARTS = 3  # attempts to start the processes


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
    if not is_scheduler(scheduler):
        raise ConfigError(
            f"SCHEDULER must be dask://HOST:PORT or tls://HOST:PORT with a port from 1 to 65535, got {scheduler}"
        )
    if importlib.util.find_spec("distributed") is None:
        raise DetectorError("Dask is not installed; pip install 'detector[cluster]'")
    if scheduler.startswith("tls://"):
        check_certificates("worker", scheduler)
    let_idle_threads_sleep()
    pin_numpy()
    os.environ.update(PINNED)  # read when torch is loaded
    address, number = scheduler.replace("dask://", "tcp://"), str(workers or cores())
    named = ["--name", name] if name else []
    _work(
        scheduler,
        [address, "--nworkers", number, "--nthreads", "1", "--memory-limit", memory, "--no-dashboard", *named],
    )


def _work(scheduler: str, arguments: Sequence[str]) -> None:
    """Run ``dask worker`` until the scheduler or a signal ends it, and again if it fails because a process was killed
    while it started: Dask replaces only processes that had started."""
    from distributed.cli.dask_worker import main

    for start in range(1, STARTS + 1):
        try:
            main.main(list(arguments), "detector worker", standalone_mode=False)
            return
        except RuntimeError as error:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
            check_answer(scheduler)
            if start == STARTS:
                raise DetectorError(
                    f"{scheduler}: the worker processes ended {STARTS} times while they started; the reasons stand in "
                    "Dask's messages above (one is that memory is short: see --memory and --workers)"
                ) from error
        click.echo(f"{scheduler}: a worker process ended while it started; starting all of them again", err=True)
        time.sleep(1)  # the scheduler forgets their names
