"""The evidence bundle: a folder with the answers, their images, a page, and the SHA-256 of every file.

``sha256sum -c SHA256SUMS`` in the folder checks it. It holds no times and no names of the machine, so the same files,
weights and options give the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..card import CARD
from ..data.files import sha256, whole_folder
from ..data.png import encode_png
from .examine import Examined, Examiner
from .page import page
from .record import Answer, as_line, from_line

__all__ = ["ANSWERS", "PAGE", "SUMS", "finished", "images_of", "in_memory", "make", "plain", "write"]

ANSWERS, PAGE, SUMS = "answers.jsonl", "index.html", "SHA256SUMS"
NOTES = ".answered"  # of a bundle that is not finished: an `_Entry` a line


def images_of(examined: Examined) -> dict[str, bytes]:
    """Return crops and maps of *examined* as PNG by name."""
    return {name: encode_png(image) for name, image in {**examined.crops, **examined.maps}.items()}


def write(out: Path, results: Iterable[Examined], caution: str | None, train: Path) -> Iterator[Examined]:
    """Write the bundle of *results* to the folder *out* and yield each of them as it is written.

    The folder appears whole when the last one was taken; an earlier bundle there is replaced. *train* is the folder of
    the weights, whose card is part of the bundle. DataError if *out* holds other files.
    """
    with whole_folder(out, SUMS) as folder:
        entries = []
        for count, examined in enumerate(results, 1):
            entries.append(_add(folder, count, examined))
            yield examined
        _complete(folder, entries, caution, train)


def make(out: Path, files: Sequence[tuple[Path, str]], examiner: Examiner, train: Path) -> Iterator[Examined]:
    """Examine *files*, path and name, write the bundle to *out* as `write` does, and yield the answers in order.

    After an interruption, the next call goes on: files that were finished with the same name, content and settings,
    and whose images have the SHA-256 that was noted, are not examined again. The same holds for all files of a whole
    bundle in *out*. Answers that are not made again are yielded without images.
    """
    done = finished(out, files, examiner.settings)
    if done is not None:
        yield from map(Examined, done)
        return
    with whole_folder(out, SUMS, resume=True) as folder:
        notes = _read_notes(folder, files, examiner.settings)
        for leftover in set(folder.glob("files/*")) - {folder / entry.place for entry in notes.values()}:
            shutil.rmtree(leftover)
        fresh = examiner.examine_all([file for count, file in enumerate(files, 1) if count not in notes])
        entries = []
        with (folder / NOTES).open("w", encoding="ascii", newline="\n") as lines:
            for count in range(1, len(files) + 1):
                known = count in notes
                examined = Examined(from_line(notes[count].line)) if known else next(fresh)
                entry = notes[count] if known else _add(folder, count, examined)
                entries.append(entry)
                print(json.dumps(dataclasses.astuple(entry)), file=lines, flush=True)
                yield examined
        (folder / NOTES).unlink()
        _complete(folder, entries, examiner.caution, train)


def finished(out: Path, files: Sequence[tuple[Path, str]], settings: str) -> list[Answer] | None:
    """Return the answers of the bundle *out* if it is whole, unchanged, and of these *files* and *settings*."""
    try:
        sums = dict(line.split("  ", 1)[::-1] for line in (out / SUMS).read_text("utf-8").splitlines())
        answers = [from_line(line) for line in (out / ANSWERS).read_text("utf-8").splitlines()]
        whole = all(sha256(out / name) == digest for name, digest in sums.items())
    except (OSError, ValueError):
        return None
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    same = len(answers) == len(files) and all(map(_is_of, answers, files))
    if whole and names == {*sums, SUMS} and same and all(answer.settings == settings for answer in answers):
        return answers
    return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An answer in the bundle: its line, the folder of its images, and their names with SHA-256."""

    line: str
    place: str
    sums: dict[str, str]


def _add(folder: Path, count: int, examined: Examined) -> _Entry:
    """Write the images of the answer number *count*."""
    place = _place(count, examined.answer)
    (folder / place).mkdir(parents=True)
    sums = {}
    for name, data in images_of(examined).items():
        (folder / place / f"{name}.png").write_bytes(data)
        sums[f"{name}.png"] = hashlib.sha256(data).hexdigest()
    return _Entry(as_line(examined.answer), place, sums)


def _complete(folder: Path, entries: Sequence[_Entry], caution: str | None, train: Path) -> None:
    """Write the answers, the page, the card and the sums of a bundle."""
    (folder / ANSWERS).write_text("".join(f"{entry.line}\n" for entry in entries), encoding="ascii", newline="\n")
    with (folder / PAGE).open("w", encoding="utf-8", newline="\n") as file:
        pairs = ((from_line(entry.line), _images_in(folder / entry.place)) for entry in entries)
        file.writelines(page(pairs, caution))
    (folder / CARD).write_bytes((train / CARD).read_bytes())
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{sha256(folder / path)}  {path}\n" for path in paths)
    (folder / SUMS).write_text(sums, encoding="ascii", newline="\n")


def _read_notes(folder: Path, files: Sequence[tuple[Path, str]], settings: str) -> dict[int, _Entry]:
    """Return the entries, by number, of an interrupted call that hold for *files* and *settings*."""
    found: dict[int, _Entry] = {}
    try:
        lines = (folder / NOTES).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return found
    for count, (line, file) in enumerate(zip(lines, files, strict=False), 1):
        try:
            entry = _Entry(*json.loads(line))
            answer = from_line(entry.line)
            images = {path.name: sha256(path) for path in (folder / entry.place).iterdir()}
        except (OSError, ValueError, TypeError):  # cut off, or not ours
            continue
        named = entry.place == _place(count, answer)
        if named and images == entry.sums and answer.settings == settings and _is_of(answer, file):
            found[count] = entry
    return found


def _is_of(answer: Answer, file: tuple[Path, str]) -> bool:
    """Return whether *answer* is that for *file*, path and name, with its present content."""
    path, name = file
    if answer.file != name or answer.sha256 is None:
        return False
    try:
        return path.is_file() and sha256(path) == answer.sha256
    except OSError:
        return False


def in_memory(examined: Examined, caution: str | None, card: bytes) -> dict[str, bytes]:
    """Return the files of the bundle that `write` makes of one result, by name; *card* is ``model.json``."""
    answer, images = examined.answer, images_of(examined)
    place = _place(1, answer)
    sorted_images = dict(sorted(images.items(), key=lambda one: f"{one[0]}.png"))
    files = {
        ANSWERS: f"{as_line(answer)}\n".encode("ascii"),
        PAGE: "".join(page([(answer, sorted_images)], caution)).encode(),
        CARD: card,
        **{f"{place}/{name}.png": data for name, data in images.items()},
    }
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return {**dict(sorted(files.items())), SUMS: sums.encode("ascii")}


def _place(count: int, answer: Answer) -> str:
    """Return the folder of the images of the answer number *count*."""
    return f"files/{count:04d}-{plain(answer.file)}"


def _images_in(folder: Path) -> Mapping[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(folder.iterdir())}


def plain(name: str) -> str:
    """Return the last part of the path *name* in characters that are safe in every file system, at most 60."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last)[-60:].lstrip(".") or "file"
