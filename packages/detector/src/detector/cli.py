"""The ``detector`` command. Subcommands are imported when they are used, so ``detector --help`` is instant."""

from __future__ import annotations

import importlib
import os
from typing import Any

import click

from . import __version__
from .errors import DetectorError

# name -> (module:attribute, the line shown by --help)
COMMANDS = {
    "faces": ("detector.data.command:faces", "Videos to aligned, lossless face crops."),
    "compress": ("detector.data.command:compress", "Crops to MozJPEG at the training quality."),
    "fidelity": ("detector.fidelity:command", "PSNR, SSIM and bits per pixel at every test quality."),
    "train": ("detector.training.command:command", "Compressed crops to weights."),
    "score": ("detector.score:command", "Weights and crops to one score per face and quality."),
    "grid": ("detector.experiments:command", "Run a grid of DVC experiments and keep their scores."),
    "describe": ("detector.models.describe:command", "Layers, parameters and cost of a model."),
    "predict": ("detector.predict:command", "Is this picture real, and would one know after it was shared?"),
    "explain": ("detector.explain:command", "Where a model looks: heat maps, their share in the masks, features."),
    "convert-keras": ("detector.keras:command", "The official MesoNet weights (.h5) as a trained model."),
    "export": ("detector.export:command", "A trained model as one file: .pt2 or .onnx."),
    "verify": ("detector.data.command:verify", "Check every byte of a folder of packed crops."),
    "pack": ("detector.data.command:pack", "DeepfakeBench's crops to packed files, as faces leaves them."),
    "unpack": ("detector.data.command:unpack", "Packed crops to loose image files."),
    "contact-sheet": ("detector.data.command:contact_sheet", "Many crops in one picture."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    Errors made for the user (`DetectorError`, and the system's about a file) end the command with their message and
    exit status 1; anything else is a bug and keeps its traceback.
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so, and the next two)
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.lazy:
            return None
        module, attribute = self.lazy[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DetectorError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except OSError as error:
            if error.filename is None and error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename is not None else ""
            raise click.ClickException(f"{where}{error.strerror}") from error


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="detector")
def cli() -> None:
    """Deepfake-image detection that survives JPEG compression.

    Paths come from the command line, everything else from params.yaml (see --params of each command).
    """


def main() -> None:
    """Entry point. Idle OpenMP threads sleep instead of spinning: on a shared machine worth a factor of 7 and more."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cli()


if __name__ == "__main__":
    main()
