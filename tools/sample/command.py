"""``python -m tools sample``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sample")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--identities", default=76, show_default=True, help="People shown, an even number: two make a pair.")
@click.option("--frames", default=24, show_default=True, help="Frames of a clip, at 25 per second.")
@click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
def command(out: Path, identities: int, frames: int, seed: int, workers: int) -> None:
    """Make the synthetic sample videos in the folder OUT, in the layout of FaceForensics++.

    An interrupted run is continued by the same command. The default set takes about nine minutes of CPU time.
    """
    from . import generate

    description = generate(out, identities=identities, frames=frames, seed=seed, workers=workers)
    clips = list(out.rglob("*.mp4"))
    size = sum(path.stat().st_size for path in clips)
    click.echo(f"{out}: {len(clips)} clips of {description['identities']} identities, {size / 1e6:.2f} MB")
    click.echo(description["note"])
