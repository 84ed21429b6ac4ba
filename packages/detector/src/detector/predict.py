"""``detector predict``: scores of images and videos, as they are and under conditions such as JPEG at quality 10.

By default, conditions are applied to the crop, as in the evaluation; with ``--whole-image`` they are applied to the
whole image before cropping, as on a site that recompresses uploads.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from .arithmetic import pin, set_threads
from .card import framing_of, resample_of
from .conditions import Condition, parse_all
from .config import Params
from .data.pictures import kind_of, not_read, read_image
from .errors import DataError, DetectorError
from .options import Command, Input, Output, params_option

if TYPE_CHECKING:
    from .data.detection import Detection
    from .data.found_face import Detector
    from .data.video import Frames

__all__ = [
    "Prediction",
    "command",
    "crops_of",
    "find_files",
    "footage_of",
    "frames_of",
    "people_of",
    "predict_files",
    "read_image",
    "table",
    "write_predictions",
]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The scores of a person in a file, P(fake), (frames with the face, conditions), and those frames (image: 0).

    `face` is the number of the person, 0 for the largest, of `people`. `notes` are what should be known of the scores.
    """

    path: Path
    frames: tuple[int, ...]
    scores: NDArray[np.float64]
    face: int = 0
    people: int = 1
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the file's score under each condition, the mean of P(fake) over its frames."""
        return np.asarray(self.scores.mean(0))


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, required=True, type=Input(shared=True, exists=True))
@click.option(
    "--train",
    type=Input(exists=True, file_okay=False),
    default=Path("out/train"),
    show_default=True,
    help="Folder with the weights.",
)
@click.option("--frames", type=click.IntRange(1), default=16, show_default=True, help="Frames scored per video.")
@click.option("--aligned", is_flag=True, help="Treat images as aligned crops of any size, as `detector unpack` writes.")
@click.option(
    "--whole-image",
    "--whole-picture",
    "whole_image",
    is_flag=True,
    help="Apply the conditions to the image before the face is cut out.",
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Smallest score called fake."
)
@click.option("--out", type=Output(dir_okay=False), help="Write the scores of all frames as CSV.")
@params_option
def command(
    inputs: Sequence[Path],
    train: Path,
    frames: int,
    aligned: bool,
    whole_image: bool,
    threshold: float,
    out: Path | None,
    params: Params,
) -> None:
    """Print P(fake) of every person in each of INPUTS: images, videos, or folders of both.

    One line per person, the largest first: the score as the file is (raw) and under each of the other parameter
    conditions, the verdict for raw, and the conditions that change the verdict. A video's score is the mean over its
    frames. Files in folders that are neither images nor videos are named and not read.

    Files without a face and unreadable files are listed at the end, and the exit status is 1.
    """
    pin(params.train)
    files, notes = find_files(inputs)
    if out is not None and out.resolve() in [file.resolve() for file in files]:
        raise DataError(f"{out}: --out would overwrite an input; give --out another path")
    for note in notes:
        click.echo(note, err=True)
    width = max(len(str(file)) for file in files)
    conditions = [Condition(), *(condition for condition in parse_all(params.conditions) if condition.steps)]
    predictions: list[Prediction] = []
    failures: list[str] = []
    click.echo(table([], conditions, threshold, width))
    for file, found in predict_files(files, train, conditions, params, frames, aligned, whole_image):
        if not isinstance(found, Prediction):
            failures.append(f"{file}: {found.strerror if isinstance(found, OSError) else found}")
        else:
            predictions.append(found)
            click.echo(table([found], conditions, threshold, width, header=False))
    if out is not None:
        write_predictions(out, predictions, conditions)
    if failures:
        raise DataError(f"{len(failures)} of {len(files)} files have no score:\n  " + "\n  ".join(failures))


def find_files(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the image and video files in *inputs*, those below folders sorted, and messages on what is not read.

    The content of a file in a folder decides, not its suffix. DataError for a folder without any.
    """
    files: list[Path] = []
    notes: list[str] = []
    for given in inputs:
        if not given.is_dir():
            files.append(given)
            continue
        below = [path for path in sorted(given.rglob("*")) if path.is_file()]
        read = [path for path in below if kind_of(path) is not None]
        notes += not_read([path for path in below if path not in set(read)], given)
        if not read:
            raise DataError(f"{given}: no images or videos" + (f"; {notes[-1]}" if below else ""))
        files += read
    return list(dict.fromkeys(files)), notes


def predict_files(
    files: Iterable[Path],
    train: Path,
    conditions: Sequence[Condition],
    params: Params,
    num_frames: int = 16,
    aligned: bool = False,
    whole_image: bool = False,
) -> Iterator[tuple[Path, Prediction | DetectorError | OSError]]:
    """Yield each of *files* with its scores by the model in the folder *train*, or with the error that it caused.

    The options are those of `command`. DataError if *train* is incomplete.
    """
    import torch

    from .data.detection import configured
    from .inference import predict
    from .precision import Precision
    from .weights import load_model

    set_threads(params.train)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, card = load_model(train, device)
    precision = Precision("auto", device)
    side = card.height
    if side != card.width:
        raise DataError(f"{train}: the model takes {side} x {card.width} pixels; faces are cut out square")
    detector = None if aligned else configured(params.faces)
    how = framing_of(card), resample_of(card)
    for file in files:
        try:
            footage = footage_of(file, num_frames)
            people = people_of(footage.images, side, detector, conditions, whole_image, *how)
            found = []
            for number, person in enumerate(people):
                crops = person.crops
                images = torch.from_numpy(np.concatenate(list(crops.values())))  # (frames * conditions, H, W, 3)
                batch = params.score.batch_size
                batches = (images[start : start + batch] for start in range(0, len(images), batch))
                scores = predict(model, batches, device, precision).reshape(len(crops), len(conditions))
                notes = (*person.notes, *sorted(footage.notes))
                found.append(Prediction(file, tuple(crops), scores, number, len(people), notes))
        except (DetectorError, OSError) as error:
            yield file, error
            continue
        yield from ((file, prediction) for prediction in found)


def frames_of(path: Path, number: int) -> dict[int, NDArray[np.uint8]]:
    """Return the images of `footage_of`."""
    return footage_of(path, number).images


def footage_of(path: Path, number: int) -> Frames:
    """Return the image in the file *path*, or *number* evenly spaced frames of a video, by frame number.

    uint8 RGB (H, W, 3). The content decides whether the file is a video. DataError if nothing can be read.
    """
    from .data.video import Frames, evenly_spaced, length, read_frames

    if kind_of(path) != "video":
        return Frames({0: read_image(path)})
    count, _ = length(path)
    frames = read_frames(path, evenly_spaced(count, number))
    if not frames.images:
        raise DataError(f"no readable frame: {next(iter(frames.missing.values()))}")
    return frames


@dataclass(frozen=True, slots=True)
class Person:
    """The crops of a person by frame, each under all conditions, uint8 (C, side, side, 3), and notes on them."""

    crops: dict[int, NDArray[np.uint8]]
    notes: tuple[str, ...] = ()


def crops_of(
    images: Mapping[int, NDArray[np.uint8]],
    side: int,
    detector: Detector | None,
    conditions: Sequence[Condition],
    whole_image: bool = False,
    framing: str = "deepfakebench",
) -> dict[int, NDArray[np.uint8]]:
    """Return the crops of the largest person of `people_of`."""
    return people_of(images, side, detector, conditions, whole_image, framing)[0].crops


def people_of(
    images: Mapping[int, NDArray[np.uint8]],
    side: int,
    detector: Detector | None,
    conditions: Sequence[Condition],
    whole_image: bool = False,
    framing: str = "deepfakebench",
    resample: str = "area",
) -> list[Person]:
    """Return every person in *images*, an image or the frames of a video, the largest first.

    *detector* finds the faces, None takes the images as crops, of any size, which *resample* brings to *side*
    (`data.alignment.resized`). Conditions apply to the crop, or with *whole_image* to the image; faces are located
    once, in the unchanged image. A single image without a face is searched again turned by right angles. DataError if
    there is no face, or an image that is taken as a crop is not square.
    """
    from .data.alignment import crop, resized
    from .data.framing import place

    if detector is None:
        height, width = next(iter(images.values())).shape[:2]
        if height != width:
            raise DataError(
                f"is {width} x {height} pixels, crops are square; without --aligned the face is detected and cut out"
            )
        crops_at = {n: resized(image, side, resample) for n, image in images.items()}
        notes = [f"taken as a crop, resized from {height} x {height} to {side} x {side}"] if height != side else []
        stacked = {n: np.stack([c.apply(image) for c in conditions]) for n, image in crops_at.items()}
        return [Person(stacked, tuple(notes))]
    persons, turned, left_out = _located(images, detector)
    found: list[Person] = []
    for faces in persons:
        cut: dict[int, NDArray[np.uint8]] = {}
        borders = []
        for number, face in faces.items():
            image = images[number]
            view = np.rot90(image, -turned // 90)
            placed = place(face, framing, side, view.shape[:2])
            borders.append(placed.border)
            if whole_image:
                views = [np.ascontiguousarray(np.rot90(c.apply(image), -turned // 90)) for c in conditions]
                crops = [crop(seen, placed.similarity, side) for seen in views]
            else:
                whole = crop(np.ascontiguousarray(view), placed.similarity, side)
                crops = [c.apply(whole) for c in conditions]
            cut[number] = np.stack(crops)
        notes = []
        if turned:
            notes.append(f"image turned by {turned} degrees clockwise")
        if max(borders) > 0:
            notes.append(f"up to {max(borders):.0%} of the crop lies beyond the image")
        if any(face.found == "none" for face in faces.values()):
            notes.append("no eyes found: placed by the face's box")
        if left_out:
            notes.append(f"{left_out} doubtful faces left out")
        found.append(Person(cut, tuple(notes)))
    if not found:
        raise DataError("no face found" + ("" if len(images) == 1 else f" in {len(images)} frames"))
    return found


def _located(
    images: Mapping[int, NDArray[np.uint8]], detector: Detector
) -> tuple[list[dict[int, Detection]], int, int]:
    """Return the faces of each person by frame, the angle by which a single image is turned for them, and how many
    faces were left out."""
    from .data.detection import track
    from .data.people import find_people, upright

    if len(images) == 1:
        ((number, image),) = images.items()
        view = upright(image, detector, every=True)
        if view is not None and not view.turned and len(view.faces) == 1:
            return [track(images, detector)], 0, 0
        return ([{number: face} for face in view.faces], view.turned, 0) if view else ([], 0, 0)
    people = find_people(images.items(), detector)
    if len(people.persons) > 1:
        return people.persons, 0, people.left_out
    # one person is followed as in the faces stage, so the crops are the same
    tracked = track(images, detector)
    return ([tracked] if tracked else []), 0, people.left_out


def table(
    predictions: Iterable[Prediction],
    conditions: Sequence[Condition],
    threshold: float,
    width: int,
    header: bool = True,
) -> str:
    """Return one line for each of *predictions*, file names in *width* columns, below a line of headings.

    A score of *threshold* or more is "fake". The verdict is that of the first condition; conditions that change it are
    named.
    """
    labels = [str(condition) for condition in conditions]
    widths = [max(5, len(label)) for label in labels]
    lines = []
    if header:
        cells = [f"{label:>{w}}" for label, w in zip(labels, widths, strict=True)]
        lines.append(f"{'':{width}}  {'  '.join(cells)}  verdict")
    for prediction in predictions:
        mean = prediction.mean
        verdicts = ["fake" if score >= threshold else "real" for score in mean]
        verdict = verdicts[0]
        others = [label for label, v in zip(labels, verdicts, strict=True) if v != verdict]
        if others:
            verdict += f", but {'real' if verdict == 'fake' else 'fake'} at {', '.join(others)}"
        notes = [f"person {prediction.face + 1} of {prediction.people}"] if prediction.people > 1 else []
        notes += [f"{len(prediction.frames)} frames"] if len(prediction.frames) > 1 else []
        notes += prediction.notes
        if notes:
            verdict += f" ({'; '.join(notes)})"
        cells = [f"{score:{w}.3f}" for score, w in zip(mean, widths, strict=True)]
        lines.append(f"{prediction.path!s:{width}}  {'  '.join(cells)}  {verdict}")
    return "\n".join(lines)


def write_predictions(out: Path, predictions: Iterable[Prediction], conditions: Sequence[Condition]) -> None:
    """Write the score of every frame under every condition to the CSV file *out*; it appears whole."""
    from .data.files import whole_file

    with whole_file(out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "frame", "face", "condition", "score"))
        for prediction in predictions:
            for frame, row in zip(prediction.frames, prediction.scores.tolist(), strict=True):
                for condition, score in zip(conditions, row, strict=True):
                    writer.writerow((prediction.path, frame, prediction.face, condition, repr(score)))
