"""The commands ``detector faces``, ``compress``, ``verify``, ``pack``, ``unpack`` and ``contact-sheet``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import MAX_DAMAGED, Params
from ..options import (
    ADDRESS,
    SHARDS,
    Between,
    Command,
    Input,
    Output,
    check_paths,
    executor_option,
    later,
    params_option,
    table_option,
    workers_option,
)

if TYPE_CHECKING:
    from ..remote import Later

FOLDER, NEW_FOLDER = Input(file_okay=False), Output(file_okay=False)
PACKED = Output(replaced=True, file_okay=False)


@click.command(cls=Command)
@click.argument("data", type=Input(placed=True, file_okay=False))
@click.argument("out", type=PACKED)
@table_option
@workers_option
@executor_option
@params_option
def faces(data: Path, out: Path, table: str, workers: int, executor: str, params: Params) -> None:
    """Crop and align the faces of the videos or images in DATA into packed files in OUT.

    DATA is FaceForensics++, Celeb-DF v2, DFDC, or a folder with real and fake (optionally in train, val and test) or a
    manifest.csv.

    An interrupted run resumes. Frames without a face and unreadable files are listed in OUT/failures.csv.
    """
    from .faces import make_faces

    if params.faces.yunet_model:
        check_paths({"faces.yunet_model": Path(params.faces.yunet_model)}, {"OUT": out}, ["OUT"])
    address = click.get_current_context().meta.get(ADDRESS)
    files = _placed(address) if address else {}
    _tell(make_faces(data, out, params.faces, workers, executor, table, files), out)


def _placed(address: str) -> dict[Path, Later]:
    """Copy what is at *address*, and return the videos and images that stay there until their tasks read them."""
    from ..remote import placed
    from .pictures import IMAGES, VIDEOS

    return placed(address, IMAGES | VIDEOS)[1]


def _tell(summary: dict[str, Any], out: Path) -> None:
    """Print what a folder of crops holds, and what is missing."""
    from .layout import count_table

    for note in (*summary["not_there"], *summary["remarks"]):
        click.echo(note)
    click.echo(f"{out}:\n{count_table(summary['identities'], summary['videos'], summary['faces'])}")
    failed = summary["failures"]
    if failed["frames"] or failed["videos"]:
        click.echo(f"without a crop: {failed['frames']} frames, {failed['videos']} videos; see {out / 'failures.csv'}")


@click.command(cls=Command)
@click.argument("faces", type=Input(file_okay=False, stay=SHARDS))
@click.argument("out", type=PACKED)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "val", "test"]),
    default=["train", "val"],
    show_default=True,
    help="Compress this split; can be repeated. Training reads train and val.",
)
@table_option
@workers_option
@executor_option
@params_option
def compress(
    faces: Path, out: Path, splits: tuple[str, ...], table: str, workers: int, executor: str, params: Params
) -> None:
    """Compress the crops in FACES with mozjpeg at the quality in params.yaml into packed files in OUT."""
    from .compress import compress_faces

    most = params.max_damaged
    summary = compress_faces(
        faces, out, params.quality, params.compress, workers, splits, executor, most, table, later()
    )
    done = summary["compress"]
    click.echo(f"{out}: quality {done['quality']}, {done['bytes_per_face']:.0f} bytes per face")


@click.command(cls=Command)
@click.argument("folder", type=FOLDER)
@click.pass_context
def verify(context: click.Context, folder: Path) -> None:
    """Compare every byte of the packed crops in FOLDER with their index. Exit status 1 if anything is damaged."""
    from .inspect import verify as damages

    checked, problems = damages(folder)
    for problem in problems:
        click.echo(problem)
    click.echo(f"{folder}: {checked} members checked, {len(problems)} problems")
    context.exit(1 if problems else 0)


method_option = click.option("--method", "methods", multiple=True, help="Only this method; can be repeated.")
split_option = click.option(
    "--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="Only this split."
)


@click.command(cls=Command)
@click.argument("file", type=Input(dir_okay=False))
@click.argument("out", type=PACKED)
@click.option(
    "--root",
    type=Input(shared=True, exists=True, file_okay=False),
    help="Folder that the paths in FILE, or their last parts, are relative to.  [default: from FILE]",
)
@split_option
@click.option("--compression", help="Only this compression level, such as c23; required if FILE has several.")
@click.option("--real", multiple=True, help="A label in FILE that means real; can be repeated.")
@click.option("--fake", multiple=True, help="A label in FILE that means fake; can be repeated.")
@table_option
def pack(
    file: Path,
    out: Path,
    root: Path | None,
    splits: tuple[str, ...],
    compression: str | None,
    real: tuple[str, ...],
    fake: tuple[str, ...],
    table: str,
) -> None:
    """Pack the crops listed in FILE, a dataset file of DeepfakeBench, into OUT, in the format of `detector faces`.

    FILE can be one that `detector unpack` wrote. The splits are those of FILE; a person in two splits is an error.
    """
    from .pack import pack_deepfakebench

    _tell(pack_deepfakebench(file, out, root, splits, compression, real, fake, table), out)


@click.command(cls=Command)
@click.argument("folder", type=FOLDER)
@click.argument("out", type=NEW_FOLDER)
@method_option
@split_option
@click.option(
    "--webdataset",
    is_flag=True,
    help="Write archives SPLIT-NNNNNN.tar with each crop, its label (.cls) and its row of the index (.json), for "
    "WebDataset. Damaged crops are left out and listed in OUT/damaged.csv.",
)
@click.option(
    "--max-damaged",
    type=Between(0, 1),
    help=f"With --webdataset: a larger share of damaged crops is an error.  [default: {MAX_DAMAGED}]",
)
def unpack(
    folder: Path,
    out: Path,
    methods: tuple[str, ...],
    splits: tuple[str, ...],
    webdataset: bool,
    max_damaged: float | None,
) -> None:
    """Write the packed crops and masks in FOLDER as loose files under OUT, as DeepfakeBench expects them."""
    from .inspect import unpack as write

    if webdataset:
        from .labelled import write_labelled

        most = MAX_DAMAGED if max_damaged is None else max_damaged
        click.echo(f"{out}: {write_labelled(folder, out, methods, splits, most)} crops with labels")
        return
    if max_damaged is not None:
        raise click.UsageError("--max-damaged is for --webdataset; as loose files, no crop may be damaged")
    click.echo(f"{out}: {write(folder, out, methods, splits)} files")


@click.command("contact-sheet", cls=Command)
@click.argument("folder", type=Input(file_okay=False, stay=SHARDS))
@click.argument("out", type=Output(dir_okay=False))
@method_option
@split_option
@click.option("--columns", type=click.IntRange(1, 100), default=10, show_default=True, help="Crops in a row.")
@click.option("--rows", type=click.IntRange(1, 100), default=1, show_default=True, help="Rows for each method.")
def contact_sheet(
    folder: Path, out: Path, methods: tuple[str, ...], splits: tuple[str, ...], columns: int, rows: int
) -> None:
    """Draw packed crops of FOLDER, a few rows per method, as the PNG image OUT."""
    from .inspect import contact_sheet as draw

    click.echo(f"{out}: {draw(folder, out, methods, splits, columns, rows, later())} faces")
