"""``detector serve``: start the service, and say where it is."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import Params
from ..errors import DataError
from ..options import PARAMS, Command, Input, Output, params_option
from ..predict import train_option
from ..schema import read_text
from .limits import MEBI, SETTINGS, Limits, limits_of

if TYPE_CHECKING:
    from .app import Service

__all__ = ["NEEDED", "check_extra", "command", "read_token"]

NEEDED = ("starlette", "uvicorn", "python_multipart")
TOKEN_VARIABLE = "DETECTOR_TOKEN"
TOKEN_LENGTH = 16


def _limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give *function* the options of `SETTINGS`."""
    for row in reversed(SETTINGS):
        whole = isinstance(getattr(Limits(), row.field), int) and row.unit in (1, MEBI)
        kind = click.IntRange(int(row.low), int(row.high)) if whole else click.FloatRange(row.low, row.high)
        name = f"--{row.option.replace('_', '-')}"
        function = click.option(name, type=kind, default=row.default, show_default=True, help=f"Limit: {row.help}")(
            function
        )
    return function


@click.command(cls=Command)
@train_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; one of other machines needs a token."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--token-file",
    type=Input(exists=True, dir_okay=False),
    help=f"File with the token that clients must send.  [default: the environment variable {TOKEN_VARIABLE}]",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Further name of this service, such as that of a proxy; may be repeated.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that examine files."
)
@click.option("--keep", type=Output(file_okay=False), help="Keep every upload and its answer in this folder.")
@click.option("--log-names", is_flag=True, help="Write the names of uploaded files to the access log.")
@_limit_options
@params_option
@click.pass_context
def command(
    context: click.Context,
    /,
    train: Path,
    host: str,
    port: int,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    workers: int,
    keep: Path | None,
    log_names: bool,
    params: Params,  # noqa: ARG001 - checked here, read again by the workers
    **given_limits: float,
) -> None:
    """Serve the answers of `detector predict` over HTTP, with a page for people.

    Prints the address of the page when it is ready; /openapi.json there describes the API, docs/serve.md limits and
    security. Ends on SIGINT (Ctrl-C) and SIGTERM, after the requests under way.
    """
    check_extra()
    limits = limits_of(given_limits)
    if limits.results_bytes < 2 * limits.num_bytes:
        raise click.UsageError(f"--results-mib must be at least twice --max-mib, got {given_limits['results_mib']}")
    from .guard import Access, is_loopback

    token = read_token(token_file)
    if token is None and not is_loopback(host):
        raise click.UsageError(
            f"--host {host} can be reached from other machines, so a token is needed: give --token-file or set "
            f"{TOKEN_VARIABLE}"
        )
    from .metrics import Metrics
    from .pool import Pool
    from .worker import Setup

    given: Path | None = context.meta.get(PARAMS)
    setup = Setup(str(train.resolve()), None if given is None else str(given.resolve()), limits)
    metrics = Metrics()
    from .app import Service

    pool = Pool(setup, workers, metrics)
    run(Service(limits, pool, Access(host, allow_host, token), metrics, keep, log_names), host, port)


def check_extra() -> None:
    """Raise DataError if the extra is not installed, or the system has no files in memory."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(f"detector serve needs {missing[0]}: pip install 'detector[serve]'")
    if not hasattr(os, "memfd_create"):
        raise DataError("detector serve needs Linux: uploads are kept in its anonymous files in memory")


def read_token(file: Path | None) -> str | None:
    """Return the token in *file*, or in the environment variable, or None; DataError if it is too short."""
    if file is not None:
        where, value = str(file), read_text(file).strip()
    else:
        where, value = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "").strip()
        if not value:
            return None
    if len(value) < TOKEN_LENGTH or not (value.isascii() and value.isprintable()) or " " in value:
        raise DataError(
            f"{where}: a token has at least {TOKEN_LENGTH} printable ASCII characters, no spaces; "
            f"this has {len(value)}; make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return value


def run(service: Service, host: str, port: int) -> None:
    """Run *service* until a signal; DataError if the weights cannot be used or the address cannot be listened on."""
    import asyncio

    asyncio.run(_run(service, host, port))


async def _run(service: Service, host: str, port: int) -> None:
    from .connections import Server

    with _listen(host, port) as listener:
        _start_log()
        _allow_many_files()
        click.echo("loading the weights", err=True)
        await service.pool.start()
        if service.caution:
            click.echo(f"CAUTION: {service.caution}", err=True)
        address, bound = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"ready: http://{shown}:{bound}/  (Ctrl-C stops)")
        sys.stdout.flush()
        try:
            await Server(service).run_on(listener)
        finally:
            await service.pool.stop()
    click.echo("stopped", err=True)


def _listen(host: str, port: int):  # type: ignore[no-untyped-def]
    import socket

    try:
        version = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).version
    except ValueError:
        raise DataError(f"--host {host}: give an IP address, such as 127.0.0.1 or 0.0.0.0, or localhost") from None
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise DataError(f"{host}:{port}: {error.strerror}; choose another --port or --host") from None


def _start_log() -> None:
    """Write the messages of the service and its access log to standard error, one line each."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    for name, level in (("detector.serve", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)


def _allow_many_files() -> None:
    """Raise the soft limit on open files to the hard one: each connection and each result takes one."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
