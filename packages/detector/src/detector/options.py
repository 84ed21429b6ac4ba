"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .config import Params, read_params

__all__ = ["params_option"]


def params_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the option ``--params FILE`` and the keyword argument ``params``, a `detector.config.Params`."""

    def read(_context: click.Context, _option: click.Parameter, value: Path | None) -> Params:
        if value is not None or Path("params.yaml").exists():
            return read_params(value or "params.yaml")
        click.echo("no params.yaml here: using the default parameters", err=True)
        return read_params(None)

    return click.option(
        "--params",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        callback=read,
        help="Parameter file.  [default: params.yaml of this folder]",
    )(command)
