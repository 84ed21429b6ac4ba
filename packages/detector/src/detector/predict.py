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
from .card import framing_of
from .conditions import Condition, parse_all
from .config import Params
from .data.pictures import IMAGES, VIDEOS, read_image
from .errors import DataError, DetectorError
from .options import params_option

if TYPE_CHECKING:
    from .data.found_face import Detector

__all__ = [
    "IMAGES",
    "VIDEOS",
    "Prediction",
    "command",
    "crops_of",
    "find_files",
    "frames_of",
    "predict_files",
    "read_image",
    "table",
    "write_predictions",
]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The scores of one file, P(fake), (frames with a face, conditions), and the numbers of those frames (image: 0)."""

    path: Path
    frames: tuple[int, ...]
    scores: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the file's score under each condition, the mean of P(fake) over its frames."""
        return np.asarray(self.scores.mean(0))


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--train",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("out/train"),
    show_default=True,
    help="Folder with the weights.",
)
@click.option("--frames", type=click.IntRange(1), default=16, show_default=True, help="Frames scored per video.")
@click.option("--aligned", is_flag=True, help="Treat images as aligned crops, as `detector unpack` writes them.")
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
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the scores of all frames as CSV.")
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
    """Print P(fake) of the largest face in each of INPUTS: images, videos, or folders of both.

    One line per file: the score of the file as it is (raw) and under each of the other parameter conditions, the
    verdict for raw, and the conditions that change the verdict. A video's score is the mean over its frames.

    Files without a face and unreadable files are listed at the end, and the exit status is 1.
    """
    pin(params.train)
    files = find_files(inputs)
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


def find_files(inputs: Iterable[Path]) -> list[Path]:
    """Return the image and video files in *inputs*, those below folders sorted. DataError for a folder without any."""
    files: list[Path] = []
    for given in inputs:
        if not given.is_dir():
            files.append(given)
            continue
        below = [path for path in sorted(given.rglob("*")) if path.suffix.lower() in IMAGES | VIDEOS and path.is_file()]
        if not below:
            raise DataError(f"{given}: no images ({', '.join(sorted(IMAGES))}) or videos ({', '.join(sorted(VIDEOS))})")
        files += below
    return list(dict.fromkeys(files))


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

    from .data.detection import make_detector
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
    detector = None if aligned else make_detector(params.faces.detector, params.faces.yunet_model)
    for file in files:
        try:
            frames = frames_of(file, num_frames)
            crops = crops_of(frames, side, detector, conditions, whole_image, framing_of(card))
            images = torch.from_numpy(np.concatenate(list(crops.values())))  # (frames * conditions, H, W, 3)
            batch = params.score.batch_size
            batches = (images[start : start + batch] for start in range(0, len(images), batch))
            scores = predict(model, batches, device, precision)
        except (DetectorError, OSError) as error:
            yield file, error
            continue
        yield file, Prediction(file, tuple(crops), scores.reshape(len(crops), len(conditions)))


def frames_of(path: Path, number: int) -> dict[int, NDArray[np.uint8]]:
    """Return the image in the file *path*, or *number* evenly spaced frames of a video, by frame number.

    uint8 RGB (H, W, 3). The suffix decides whether the file is a video. DataError if nothing can be read.
    """
    if path.suffix.lower() not in VIDEOS:
        return {0: read_image(path)}
    from .data.video import evenly_spaced, length, read_frames

    count, _ = length(path)
    frames = read_frames(path, evenly_spaced(count, number))
    if not frames.images:
        raise DataError(f"no readable frame: {next(iter(frames.missing.values()))}")
    return frames.images


def crops_of(
    images: Mapping[int, NDArray[np.uint8]],
    side: int,
    detector: Detector | None,
    conditions: Sequence[Condition],
    whole_image: bool = False,
    framing: str = "deepfakebench",
) -> dict[int, NDArray[np.uint8]]:
    """Return the crops of *images* with a face, each under all conditions: uint8 (C, *side*, *side*, 3).

    *detector* finds the largest face, None takes the images as crops. Conditions apply to the crop, or with
    *whole_image* to the image; the face is located once, in the unchanged image. DataError if there is no face, or
    an image that is taken as a crop has another size.
    """
    from .data.alignment import crop
    from .data.detection import track
    from .data.framing import place

    if detector is None:
        for image in images.values():
            if image.shape[:2] != (side, side):
                raise DataError(
                    f"is {image.shape[0]} x {image.shape[1]}, the model takes crops of {side} x {side}; "
                    "without --aligned the face is detected and cut out"
                )
        return {n: np.stack([c.apply(image) for c in conditions]) for n, image in images.items()}
    cut = {}
    for number, found in track(images, detector).items():
        similarity = place(found, framing, side, images[number].shape[:2]).similarity
        if whole_image:
            crops = [crop(c.apply(images[number]), similarity, side) for c in conditions]
        else:
            crops = [c.apply(crop(images[number], similarity, side)) for c in conditions]
        cut[number] = np.stack(crops)
    if not cut:
        raise DataError("no face found" + ("" if len(images) == 1 else f" in {len(images)} frames"))
    return cut


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
        if len(prediction.frames) > 1:
            verdict += f" ({len(prediction.frames)} frames)"
        cells = [f"{score:{w}.3f}" for score, w in zip(mean, widths, strict=True)]
        lines.append(f"{prediction.path!s:{width}}  {'  '.join(cells)}  {verdict}")
    return "\n".join(lines)


def write_predictions(out: Path, predictions: Iterable[Prediction], conditions: Sequence[Condition]) -> None:
    """Write the score of every frame under every condition to the CSV file *out*; it appears whole."""
    from .data.files import whole_file

    with whole_file(out) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "frame", "condition", "score"))
        for prediction in predictions:
            for frame, row in zip(prediction.frames, prediction.scores.tolist(), strict=True):
                for condition, score in zip(conditions, row, strict=True):
                    writer.writerow((prediction.path, frame, condition, repr(score)))
