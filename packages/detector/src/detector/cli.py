"""The ``detector`` command. Subcommands are imported when they are used, so ``detector --help`` is instant."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any, TextIO

import click

from evaluation.threads import let_idle_threads_sleep, pin_numpy

from . import __version__
from .ending import run
from .errors import DetectorError, ListedError
from .pipeline import STAGES

# name -> (module:attribute, help line): the stages in order, then the other commands
COMMANDS = {row.name: (row.function, row.summary) for row in STAGES if row.command.startswith("detector ")} | {
    "dataset": ("detector.dataset:command", "Run the whole pipeline on real data, or show how the data are read."),
    "predict": ("detector.predict:command", "Classify images and videos as real, fake or inconclusive, with reasons."),
    "serve": ("detector.serve.command:command", "Answer over HTTP: a page for people, an API for programs."),
    "describe": ("detector.models.describe:command", "Show the layers, parameters and cost of a model."),
    "export": ("detector.export:command", "Write a trained model as a .pt2 or .onnx file, or as a folder for the Hub."),
    "convert-keras": ("detector.keras:command", "Convert the official MesoNet weights (.h5) to a trained model."),
    "grid": ("detector.experiments:command", "Run a grid of DVC experiments and keep their scores."),
    "plan": ("detector.planning.command:command", "Predict tasks, time, disk, memory and cost of a run."),
    "worker": ("detector.data.worker:command", "Run tasks of other commands for the scheduler of a Dask cluster."),
    "verify": ("detector.data.command:verify", "Check every byte of a folder of packed crops."),
    "pack": ("detector.data.command:pack", "Pack DeepfakeBench's crops as the faces stage does."),
    "unpack": ("detector.data.command:unpack", "Unpack crops to loose image files."),
    "contact-sheet": ("detector.data.command:contact_sheet", "Draw many crops in one image."),
    "weights": ("detector.download:command", "Download the weights of face detectors."),
    "dvc-yaml": ("detector.dvc_yaml:command", "Write dvc.yaml from the declaration of the stages."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    Errors that the user can fix (`DetectorError`, file errors of the system, memory that has run out) end the command
    with their message and exit status 1; any other error is a bug and shows its traceback.
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature, as for the next two)
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.lazy:
            return None
        module, attribute = self.lazy[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        lines = [(name, line) for name, (_, line) in self.lazy.items()]
        names = {row.name for row in STAGES}
        stages, others = [row for row in lines if row[0] in names], [row for row in lines if row[0] not in names]
        for title, rows in (("Commands of the pipeline", stages), ("Other commands" if stages else "Commands", others)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DetectorError as error:
            parts = str(error).split("\n") if isinstance(error, ListedError) else [str(error)]
            raise click.ClickException("\n".join(map(_printable, parts))) from error
        except BrokenPipeError:
            raise  # click exits silently when the reader of a pipe has closed it
        except OSError as error:
            if error.filename is None and error.strerror is None:
                raise
            name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
            where = f"{name}: " if name is not None else ""
            raise click.ClickException(_printable(f"{where}{error.strerror}")) from error
        except (MemoryError, ImportError, RuntimeError) as error:
            from evaluation.exhausted import exhausted

            if (text := exhausted(error)) is None:
                raise
            raise click.ClickException(text) from error


def _printable(message: str) -> str:
    """Return *message* as one line without control characters; of a long one the two ends."""
    from evaluation.exhausted import one_line

    return one_line(message)


python_shows = warnings.showwarning


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="detector")
def cli() -> None:
    """Deepfake-image detection that survives JPEG compression.

    Paths are arguments; all other settings are read from params.yaml (see --params of each command).
    """


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of mozcodec, which is about a file of the user, as a line; others as Python does."""
    if category.__module__.partition(".")[0] == "mozcodec":
        click.echo(f"warning: {message}", err=True)
    else:
        python_shows(message, category, filename, lineno, file, line)


def main() -> None:
    """Entry point."""
    let_idle_threads_sleep()
    pin_numpy()
    warnings.showwarning = show_warning
    run(cli)


if __name__ == "__main__":
    main()
