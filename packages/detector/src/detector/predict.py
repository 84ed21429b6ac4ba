"""``detector predict``: the answer for every file: verdict, likelihood ratio and reasons."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from .arithmetic import pin
from .config import Params
from .errors import DataError
from .options import Between, Command, Input, Output, params_option
from .schema import parse, parse_json, read_text, within

if TYPE_CHECKING:
    from .answer.examine import Examined, Examiner

__all__ = ["command", "done_before", "examine_all", "train_option"]

UNANSWERED = 3  # exit status if a file has no answer; 1 and 2 are errors of the call
NEW_OUT = "give --out another path"


@dataclass(frozen=True, slots=True)
class Answered:
    """What is read of a line of an earlier call; see `answer.record.Answer`."""

    file: str
    sha256: str | None
    settings: str
    error: str | None


train_option = click.option(
    "--train",
    type=Input(exists=True, file_okay=False),
    default=Path("out/train"),
    show_default=True,
    help="Folder with the weights.",
)


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=Input(shared=True))
@train_option
@click.option(
    "--prior", type=Between(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
    help="Probability of a forgery before the score is known.",
)  # fmt: skip
@click.option("--frames", type=click.IntRange(1), default=16, show_default=True, help="Frames scored per video.")
@click.option("--aligned", is_flag=True, help="Treat images as aligned crops of any size, as `detector unpack` writes.")
@click.option("--robustness", is_flag=True, help="Also score the image after recompression: see --reshare.")
@click.option(
    "--reshare",
    multiple=True,
    metavar="CONDITION",
    help="What --robustness applies to the whole image; may be repeated.  [default: turbo:85, turbo:70, webp:75, "
    "resize:0.5>turbo:75]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, one object a file (docs/answer.md).")
@click.option(
    "--out",
    type=Output(dir_okay=False),
    help="Write the JSON Lines to this file as the answers come; an unfinished file of the same weights and options is "
    "continued.",
)
@click.option(
    "--evidence",
    type=Output(replaced=True, file_okay=False),
    help="Write a bundle: JSON, crops, maps, a page and SHA256SUMS.",
)
@click.option("--explain", type=Output(file_okay=False), help="Draw heat maps into this folder.")
@params_option
def command(
    files: Sequence[Path],
    train: Path,
    prior: float,
    frames: int,
    aligned: bool,
    robustness: bool,
    reshare: tuple[str, ...],
    as_json: bool,
    out: Path | None,
    evidence: Path | None,
    explain: Path | None,
    params: Params,
) -> None:
    """Classify the faces in each of FILES, images, videos or folders of both, as real or forged.

    Prints the verdict (real, fake or inconclusive) with its reason, what the file says about its history, and for
    every face the score, the likelihood ratio with its interval, and the probability at the prior. docs/answer.md
    explains each of them. Files in folders that are neither images nor videos are named and not read.

    The exit status is 0 if every file was examined, whatever the verdicts, and 3 if a file has no answer: it is
    missing, unreadable, or shows no face. The other files are still examined. Other errors have 1 or 2.
    """
    pin(params.train)
    from .answer.examine import RESHARED, Examiner, Options
    from .answer.people import find_files
    from .answer.record import as_line, name_of
    from .answer.text import heading, text

    paths, notes = find_files(files)
    _check_outputs(paths, [path for path in (out, evidence, explain) if path is not None])
    for note in notes:
        click.echo(note, err=True)
    reshared = (reshare or RESHARED) if robustness or reshare else ()
    options = Options(prior, frames, aligned, reshared, maps=bool(explain or evidence))
    examiner = Examiner(train, params, options)
    missing = 0
    maps = _map_names([name_of(path) for path in paths])
    with _Lines(out) as lines:
        before = done_before(out, lines.kept, examiner.settings)
        results: Iterator[Examined]
        if evidence is None:
            results = examine_all(examiner, paths, before)
        else:  # it has all files, also those that stand in --out
            from .answer.bundle import make
            from .progress import track

            results = track(make(evidence, [(p, name_of(p)) for p in paths], examiner, train), len(paths), "files")
        if not as_json:
            click.echo(heading(examiner.caution))
        for examined in results:
            missing += not examined.answer.answered
            if (examined.answer.file, examined.answer.sha256) not in before:
                lines.add(as_line(examined.answer))
            if explain is not None:
                _write_maps(explain, maps[examined.answer.file], examined)
            click.echo(as_line(examined.answer) if as_json else f"\n{text(examined.answer)}")
    if before and evidence is None:
        click.echo(f"{len(before)} of {len(paths)} files were answered before in {out}", err=True)
    if missing:
        click.echo(f"{missing} of {len(paths)} files have no answer", err=True)
        raise SystemExit(UNANSWERED)


def examine_all(
    examiner: Examiner, paths: Sequence[Path], before: Iterable[tuple[str, str]] = ()
) -> Iterator[Examined]:
    """Yield the answer for each of *paths*, in order; those whose name and SHA-256 are in *before* are left out."""
    from .answer.record import name_of
    from .data.files import sha256
    from .progress import track

    known = set(before)

    def same(path: Path) -> bool:
        try:
            return bool(known) and path.is_file() and (name_of(path), sha256(path)) in known
        except OSError:
            return False

    todo = [(path, name_of(path)) for path in paths if not same(path)]
    results = examiner.examine_all(todo)
    yield from track(results, len(todo), "files") if len(todo) > 1 else results


def done_before(out: Path | None, lines: Sequence[str], settings: str) -> set[tuple[str, str]]:
    """Return name and SHA-256 of the files that the *lines* of *out* answer.

    DataError if a line is not an answer, or was made with other weights or options.
    """
    found = set()
    for number, line in enumerate(lines, 1):
        answer = _answered(line, f"{out}: line {number}")
        if answer.settings != settings:
            raise DataError(f"{out}: line {number} was made with other weights, options or versions; {NEW_OUT}")
        if answer.error is None and answer.sha256 is not None:
            found.add((answer.file, answer.sha256))
    return found


def _answered(line: str, place: str) -> Answered:
    with within(place, NEW_OUT):
        return parse(parse_json(line, place, NEW_OUT), Answered)


class _Lines:
    """The file *out* of JSON Lines, to which lines are added and flushed; without a file, nothing is written.

    `kept` are the lines of an earlier call whose files have an answer; the others, and a line that was cut off, are
    removed, so that no file stands in it twice.
    """

    def __init__(self, out: Path | None) -> None:
        self.out = out
        self.kept: list[str] = []
        self.file: TextIO | None = None
        if out is None or not out.exists():
            return
        content = read_text(out, NEW_OUT)
        self.kept = content.splitlines() if content.endswith("\n") else content.splitlines()[:-1]
        if content and not self.kept and not content.startswith("{"):
            raise DataError(f"{out}: not a file of answers; {NEW_OUT}")

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def add(self, line: str) -> None:
        """Write *line*; it has been handed to the operating system when this returns."""
        if self.out is None:
            return
        if self.file is None:
            self._begin()
        assert self.file is not None
        self.file.write(line + "\n")
        self.file.flush()

    def _begin(self) -> None:
        from .data.files import whole_file

        assert self.out is not None
        answered = [line for line in self.kept if _answered(line, str(self.out)).error is None]
        with whole_file(self.out) as path:
            path.write_text("".join(f"{line}\n" for line in answered), encoding="utf-8")
        self.file = self.out.open("a", encoding="utf-8", newline="\n")


def _check_outputs(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Raise DataError if one of *files*, also those found in folders, would be overwritten."""
    given = {os.path.realpath(file) for file in files}
    for out in outputs:
        if os.path.realpath(out) in given:
            raise DataError(f"{out}: would overwrite an input; give another path")


def _map_names(names: Sequence[str]) -> dict[str, str]:
    """Return what the maps of each file of *names* are called: its last part, numbered where an earlier file has it."""
    from .answer.bundle import plain

    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        numbered = (f"{plain(name)}-{number}" for number in itertools.count(2))
        found[name] = next(one for one in itertools.chain([plain(name)], numbered) if one not in taken)
        taken.add(found[name])
    return found


def _write_maps(folder: Path, name: str, examined: Examined) -> None:
    """Write the maps of the file that is called *name* there to *folder*."""
    from .data.files import whole_file
    from .data.png import encode_png

    for part, image in examined.maps.items():
        with whole_file(folder / f"{name}-{part}.png") as path:
            path.write_bytes(encode_png(image))
