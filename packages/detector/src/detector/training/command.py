"""``detector train``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from evaluation.values import shown

from ..arithmetic import pin
from ..config import Params
from ..errors import ConfigError, DataError
from ..options import Command, Input, Output, params_option


@click.command(cls=Command)
@click.argument("crops", type=Input(exists=True, file_okay=False))
@click.argument("out", type=Output(file_okay=False))
@click.option(
    "--history",
    type=Output(dir_okay=False),
    default=Path("out/plots/history.csv"),
    show_default=True,
    help="Table of the loss and the validation AUC over the steps.",
)
@click.option(
    "--checkpoints",
    type=Output(file_okay=False),
    help="Folder of unfinished runs.  [default: out/checkpoints of the DVC repository]",
)
@click.option("--loader-threads", type=click.IntRange(1), help="Decoding threads.  [default: 1; with a GPU, up to 8]")
@click.option(
    "--track",
    type=click.Choice(["tensorboard", "dvclive"]),
    multiple=True,
    envvar="DETECTOR_TRACK",
    help="Also write the log to this tracker, below out/logs. Repeatable; for dvc repro, set DETECTOR_TRACK.",
)
@click.option(
    "--faces",
    "lossless",
    type=Input(exists=True, file_okay=False),
    help="Lossless crops that CROPS were compressed from: the source of random histories (train.histories). Their "
    "validation split gives the thresholds in model.json.",
)
@click.option(
    "--launcher",
    envvar="DETECTOR_LAUNCHER",
    help="Program with its options that starts the processes, e.g. 'torchrun --nproc-per-node 2'; for dvc repro, set "
    "DETECTOR_LAUNCHER. The weights are those of one process.",
)
@click.option("--lock-timeout", type=float, help="Seconds to wait for the lock of this run.  [default: no limit]")
@params_option
def command(
    crops: Path,
    out: Path,
    history: Path,
    checkpoints: Path | None,
    loader_threads: int | None,
    track: tuple[str, ...],
    launcher: str | None,
    lossless: Path | None,
    lock_timeout: float | None,
    params: Params,
) -> None:
    """Train on the compressed crops CROPS and write the weights to OUT.

    An interrupted run continues from its last checkpoint when it is started again. SIGTERM, SIGINT, SIGUSR1 and SIGHUP
    save first and exit with status 75.
    """
    if launcher and "RANK" not in os.environ:  # torchrun sets it for the processes that it starts
        _launch(launcher)
    # all are read when torch is loaded
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    pin(params.train)
    import torch

    from ..models.settings import pretrained
    from .run import default_checkpoints
    from .signals import EXIT_CODE
    from .trainer import Stopped, train

    _keep_start(pretrained(params), out)
    checkpoints = checkpoints or default_checkpoints()
    if loader_threads is None:
        loader_threads = min(8, os.cpu_count() or 1) if torch.cuda.is_available() else 1
    try:
        train(
            params,
            crops,
            out,
            history,
            checkpoints,
            timings=checkpoints.parent / "logs" / "train.jsonl",
            loader_threads=loader_threads,
            track=track,
            lock_timeout=lock_timeout,
            lossless=lossless,
        )
    except Stopped as stopped:
        click.echo(str(stopped), err=True)
        raise SystemExit(EXIT_CODE) from stopped


def _launch(launcher: str) -> None:
    """Become the program *launcher*, which starts this command in the processes of the run."""
    # with a shared store, torchrun's agents leave a node that joins again waiting for an address that none gives it
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    try:
        program = shlex.split(launcher)
        os.execvp(program[0], [*program, "-m", "detector.cli", *sys.argv[1:]])
    except (ValueError, IndexError, OSError) as error:
        reason = f"{shown(program[0])}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"--launcher {shown(launcher)} cannot be started: {reason}; name a program such as torchrun, or leave the "
            "option and DETECTOR_LAUNCHER out to train in one process"
        ) from error


def _keep_start(given: object, out: Path) -> None:
    """Raise `DataError` if the weights to start from, *given* if they are a file or folder, lie in *out*."""
    start = Path(given) if isinstance(given, str) else None
    if start is None or not start.exists():  # published weights, or none
        return
    first = Path(os.path.realpath(start))
    if Path(os.path.realpath(out)) in (first, first.parent):
        raise DataError(f"{out}: OUT would overwrite {start}, which training starts from; give OUT another path")
