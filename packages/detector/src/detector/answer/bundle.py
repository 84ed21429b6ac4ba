"""The evidence bundle: a folder with the answers, their images, a page, and the SHA-256 of every file.

``sha256sum -c SHA256SUMS`` in the folder checks it. It holds no times and no names of the machine, so the same files,
weights and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..card import CARD
from ..data.files import sha256, whole_folder
from ..data.png import encode_png
from .examine import Examined
from .page import page
from .record import Answer, as_line

__all__ = ["ANSWERS", "PAGE", "SUMS", "images_of", "in_memory", "plain", "write"]

ANSWERS, PAGE, SUMS = "answers.jsonl", "index.html", "SHA256SUMS"


def images_of(examined: Examined) -> dict[str, bytes]:
    """Return crops and maps of *examined* as PNG by name."""
    return {name: encode_png(image) for name, image in {**examined.crops, **examined.maps}.items()}


def write(out: Path, results: Iterable[Examined], caution: str | None, train: Path) -> Iterator[Examined]:
    """Write the bundle of *results* to the folder *out* and yield each of them as it is written.

    The folder appears whole when the last one was taken; an earlier bundle there is replaced. *train* is the folder of
    the weights, whose card is part of the bundle. DataError if *out* holds other files.
    """
    with whole_folder(out, SUMS) as folder:
        answers: list[Answer] = []
        folders: list[Path] = []
        with (folder / ANSWERS).open("w", encoding="ascii", newline="\n") as lines:
            for count, examined in enumerate(results, 1):
                place = folder / _place(count, examined.answer)
                place.mkdir(parents=True)
                for name, data in images_of(examined).items():
                    (place / f"{name}.png").write_bytes(data)
                lines.write(as_line(examined.answer) + "\n")
                answers.append(examined.answer)
                folders.append(place)
                yield examined
        with (folder / PAGE).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(page(zip(answers, map(_images_in, folders), strict=True), caution))
        (folder / CARD).write_bytes((train / CARD).read_bytes())
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        sums = "".join(f"{sha256(folder / path)}  {path}\n" for path in paths)
        (folder / SUMS).write_text(sums, encoding="ascii", newline="\n")


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
