"""What the commands share: paths that are read or written, checked against each other, and the option ``--params``."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.outputs import check_writable

from .config import Params, read_params
from .errors import DataError
from .reading import check_kind

if TYPE_CHECKING:
    from .remote import Later

__all__ = [
    "ADDRESS",
    "PARAMS",
    "SHARDS",
    "Between",
    "Command",
    "Input",
    "Output",
    "check_paths",
    "executor_option",
    "later",
    "model_workers_option",
    "params_option",
    "table_option",
    "workers_option",
]

PARAMS = f"{__name__}.params"  # key of the path of the parameter file in a context
ADDRESS = f"{__name__}.address"
LATER = f"{__name__}.later"
SHARDS = frozenset({".tar"})  # for `stay`: archives of crops, of which tasks read their parts


class Between(click.FloatRange):
    """A number in a range; ``nan``, which click takes as in every range, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value} is not a number in the range {self._describe_range()}", param, ctx)
        return found


class Input(click.Path):
    """A path that the command reads, or an address of fsspec, of which the command reads a copy (`detector.remote`).

    *shared*: a folder of the user's, of which only some files are read; outputs may lie inside it. *placed*: the
    command itself makes the copy, whose path it is given, with the address in the context's meta as `ADDRESS`. *stay*:
    files with these suffixes, or those that it returns, stay at the address; the command gets them from `later`. The
    copy has their first *start* bytes.

    Pipes, sockets and devices are refused, but for several inputs of one parameter: the command says for each of them
    what is wrong with it.
    """

    def __init__(
        self,
        shared: bool = False,
        placed: bool = False,
        stay: Callable[[], Collection[str]] | Collection[str] = (),
        start: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(path_type=Path, **options)
        self.shared = shared
        self.placed = placed
        self.stay, self.start = stay, start

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            from .remote import copy_of, fetched, is_address, placed

            if is_address(value) and self.placed and ctx is not None:
                ctx.meta[ADDRESS] = value
                value = copy_of(value)
            elif is_address(value) and self.stay and ctx is not None:
                suffixes = self.stay() if callable(self.stay) else self.stay
                value, there = placed(value, suffixes, self.start)
                ctx.meta.setdefault(LATER, {}).update(there)
            elif is_address(value):
                value = fetched(value)
        path = super().convert(value, param, ctx)
        if isinstance(path, Path) and (param is None or param.nargs == 1) and path.exists():
            check_kind(path.stat().st_mode, path)
        return path


def later() -> Mapping[Path, Later]:
    """Return the files that stay at the addresses of the command's inputs, by their paths in the copies."""
    found: Mapping[Path, Later] = click.get_current_context().meta.get(LATER, {})
    return found


class Output(click.Path):
    """A path that the command writes. *replaced*: an existing folder there is replaced as a whole."""

    def __init__(self, replaced: bool = False, **options: Any) -> None:
        super().__init__(path_type=Path, **options)
        self.replaced = replaced


class Command(click.Command):
    """A command that refuses to write to what it reads, and outputs that nothing can be written to.

    Every path among its parameters is an `Input` or `Output`.
    """

    def invoke(self, ctx: click.Context) -> Any:
        read: dict[str, Path] = {"--params": ctx.meta[PARAMS]} if PARAMS in ctx.meta else {}
        written: dict[str, Path] = {}
        replaced: list[str] = []
        shared: list[str] = []
        for name, kind, path in _paths(self, ctx):
            if isinstance(kind, Output):
                check_writable(path, folder=None if kind.file_okay and kind.dir_okay else kind.dir_okay)
                written[name] = path
                replaced += [name] if kind.replaced else []
            else:
                read[name] = path
                shared += [name] if kind.shared else []
        check_paths(read, written, replaced, shared)
        return super().invoke(ctx)


def _paths(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, Input | Output, Path]]:
    """Yield the name, the type and the value of each path among the parameters of *command*."""
    for param in command.params:
        value = ctx.params.get(param.name or "")
        if isinstance(param.type, Input | Output) and value is not None:
            values = value if isinstance(value, tuple) else (value,)
            name = param.opts[0] if isinstance(param, click.Option) else str(param.name).upper()
            for number, path in enumerate(values, 1):
                if isinstance(path, Path):
                    yield name if len(values) == 1 else f"{name} {number}", param.type, path


def check_paths(
    read: Mapping[str, Path],
    written: Mapping[str, Path],
    replaced: Collection[str] = (),
    shared: Collection[str] = (),
) -> None:
    """Raise `DataError` if writing would change an input: *read* and *written* are paths by name.

    An output must not be an input, nor lie inside one that is not *shared*. The outputs *replaced* are folders that are
    replaced as a whole, so neither an input nor another output may lie inside them. Links are followed.
    """
    # realpath: Path.resolve raises RuntimeError for a loop of links
    inputs = {name: Path(os.path.realpath(path)) for name, path in read.items()}
    outputs = {name: Path(os.path.realpath(path)) for name, path in written.items()}
    for out, path in outputs.items():
        remedy = f"give {out} another path"
        for name, source in inputs.items():
            if path == source:
                raise DataError(f"{written[out]}: {out} would overwrite {name}; {remedy}")
            if name not in shared and path.is_relative_to(source):
                raise DataError(f"{written[out]}: {out} lies inside {name}, which is only read; {remedy}")
            if out in replaced and source.is_relative_to(path):
                raise DataError(f"{written[out]}: {name} lies inside {out}, which is replaced as a whole; {remedy}")
        for name, other in outputs.items():
            if name != out and path == other:
                raise DataError(f"{written[out]}: {out} and {name} are the same path; {remedy}")
            if name != out and name in replaced and path.is_relative_to(other):
                raise DataError(f"{written[out]}: {out} lies inside {name}, which is replaced as a whole; {remedy}")


def params_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the option ``--params FILE`` and the keyword argument ``params``, a `detector.config.Params`."""

    def read(context: click.Context, _option: click.Parameter, value: Path | None) -> Params:
        if value is None and not Path("params.yaml").exists():
            click.echo("no params.yaml here: using the default parameters", err=True)
            return read_params(None)
        context.meta[PARAMS] = path = value or Path("params.yaml")
        return read_params(path)

    return click.option(
        "--params",
        type=Input(exists=True, dir_okay=False),
        callback=read,
        help="Parameter file.  [default: params.yaml of this folder]",
    )(command)


workers_option = click.option(
    "--workers", type=click.IntRange(0), default=0, show_default="all cores", help="Number of processes."
)

model_workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default="1",
    help="Number of processes, each with the model and train.threads threads. With slurm, by its settings.",
)

executor_option = click.option(
    "--executor",
    envvar="DETECTOR_EXECUTOR",
    default="processes",
    show_default=True,
    metavar="WHERE",
    help="Where tasks run: serial, processes, dask://HOST:PORT or tls://HOST:PORT (the scheduler of a Dask cluster), "
    "or slurm (jobs as slurm.yaml describes them, or the file that DETECTOR_SLURM names). The output is the same. "
    "Also read from the environment variable DETECTOR_EXECUTOR.",
)

table_option = click.option(
    "--table",
    type=click.Choice(["auto", "csv", "parquet"]),
    default="auto",
    show_default=True,
    envvar="DETECTOR_TABLE",
    help="Form of the table: csv, or parquet for a sharded columnar form (a folder NAME.parquet) beside the CSV file. "
    "auto chooses parquet for 200,000 rows and more. Also read from the environment variable DETECTOR_TABLE.",
)
