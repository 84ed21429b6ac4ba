"""The commands ``detector faces``, ``compress``, ``verify``, ``unpack`` and ``contact-sheet``."""

from __future__ import annotations

from pathlib import Path

import click

from ..cli import params_option
from ..config import Params

FOLDER = click.Path(path_type=Path, file_okay=False)
workers_option = click.option(
    "--workers", type=click.IntRange(0), default=0, show_default="all cores", help="Number of processes or threads."
)


@click.command()
@click.argument("data", type=FOLDER)
@click.argument("out", type=FOLDER)
@workers_option
@params_option
def faces(data: Path, out: Path, workers: int, params: Params) -> None:
    """Crop and align the faces of the videos in DATA, a FaceForensics++ tree, into packed files in OUT.

    An interrupted run goes on where it was. Frames without a face and unreadable videos are listed in OUT/failures.csv.
    """
    from .faces import make_faces
    from .layout import count_table

    summary = make_faces(data, out, params.faces, workers)
    for note in summary["not_there"]:
        click.echo(note)
    click.echo(f"faces in {out}:\n{count_table(summary['faces'])}")
    failed = summary["failures"]
    if failed["frames"] or failed["videos"]:
        click.echo(f"without a crop: {failed['frames']} frames, {failed['videos']} videos; see {out / 'failures.csv'}")
