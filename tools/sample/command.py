"""``python -m tools sample``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sample")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--identities", type=int, help="People shown, an even number: two make a pair.  [default: 76]")
@click.option("--pairs", type=int, help="Number of pairs, instead of --identities.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    help="Put all pairs in this split, or NAME=PAIRS; may be repeated.  [default: train, val and test as 22 : 4 : 12]",
)
@click.option(
    "--compressions", default="c23,c40", show_default=True, help="H.264 levels of the clips, separated by commas."
)
@click.option("--masks/--no-masks", default=True, show_default=True, help="Write the masks of the forgeries.")
@click.option("--frames", default=24, show_default=True, help="Frames of a clip, at 25 per second.")
@click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
def command(
    out: Path,
    identities: int | None,
    pairs: int | None,
    splits: tuple[str, ...],
    compressions: str,
    masks: bool,
    frames: int,
    seed: int,
    workers: int,
) -> None:
    """Make the synthetic sample videos in the folder OUT, in the layout of FaceForensics++.

    An interrupted run is continued by the same command. The default set takes about nine minutes of CPU time.
    """
    from . import generate

    if identities is not None and pairs is not None:
        raise click.UsageError("give --identities or --pairs")
    numbers = _numbers(splits, pairs if pairs is not None else (identities or 76) // 2) if splits else None
    if numbers is not None and pairs is None and identities is None:
        pairs = sum(numbers.values())
    description = generate(
        out,
        identities=2 * pairs if pairs is not None else (76 if identities is None else identities),
        frames=frames,
        seed=seed,
        workers=workers,
        splits=numbers,
        compressions=[name.strip() for name in compressions.split(",")],
        masks=masks,
    )
    clips = list(out.rglob("*.mp4"))
    size = sum(path.stat().st_size for path in clips)
    click.echo(f"{out}: {len(clips)} clips of {description['identities']} identities, {size / 1e6:.2f} MB")
    click.echo(description["note"])


def _numbers(splits: tuple[str, ...], pairs: int) -> dict[str, int]:
    """Return the pairs by split: ``test`` stands for all *pairs*, ``val=12`` for 12."""
    numbers: dict[str, int] = {}
    for text in splits:
        name, _, number = text.partition("=")
        if name in numbers or (number and not number.isdecimal()) or (not number and len(splits) > 1):
            raise click.UsageError(f"--split is NAME, once, or NAME=PAIRS for each split, got {', '.join(splits)}")
        numbers[name] = int(number) if number else pairs
    return numbers
