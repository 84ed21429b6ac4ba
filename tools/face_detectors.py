"""Compare the face detectors: recall, false boxes and CPU time, by size, brightness and class.

Size: a photograph of a face is planted in an image of 5,000 x 3,800 pixels, 12 times in each size. Class and
brightness: frames of the sample's clips; the forgery masks give the position of the face, in the fake clip and in its
original, and the frames are darkened by a gain in linear light. Photographs: a folder of images without labels, where
the faces on which yunet and centerface agree are the reference, grouped by the median L* of the cheeks.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from detector.data.detection import make_detector
from detector.data.found_face import Box, Detector, FoundFace
from detector.data.people import overlap
from detector.data.pictures import kind_of, read_image
from detector.data.video import evenly_spaced, length, read_frames
from detector.errors import DetectorError

SIZES = (20, 24, 32, 40, 80, 160)
LARGE = 400
PLACES = 12
GAINS = (1.0, 0.25, 0.06, 0.02)
METHODS = ("Deepfakes", "FaceSwap")
# a box is right if it overlaps the reference this much; the boxes of face detectors differ in how much hair and chin
# they include
RIGHT = 0.25


def planted(sizes: Sequence[int], width: int = 5000, height: int = 3800) -> tuple[np.ndarray, list[tuple[int, Box]]]:
    """Return an image with faces of *sizes*, `PLACES` of each, and each face's size and box."""
    from skimage import data

    rng = np.random.default_rng(0)
    coarse = rng.uniform(60, 200, (9, 12, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    face = np.ascontiguousarray(data.astronaut()[10:230, 105:345])  # type: ignore[no-untyped-call]
    # the head from brow to chin is 105 px high
    columns = 12 if len(sizes) > 1 else 4
    rows = -(-PLACES * len(sizes) // columns)
    truth = []
    for n in range(PLACES * len(sizes)):
        size = sizes[n % len(sizes)]
        method = cv2.INTER_AREA if size < 105 else cv2.INTER_CUBIC
        patch = cv2.resize(face, None, fx=size / 105, fy=size / 105, interpolation=method)
        patch = patch[:, ::-1] if n % 2 else patch
        h, w = patch.shape[:2]
        x = int((n % columns + 0.5) * width / columns - w / 2)
        y = int((n // columns + 0.5) * height / rows - h / 2)
        image[y : y + h, x : x + w] = patch
        centre = (224 - 105) * size / 105
        centre = w - centre if n % 2 else centre
        left, top = x + centre - 0.45 * size, y + (115 - 10) * size / 105 - 0.5 * size
        truth.append((size, (round(left), round(top), round(left + 0.9 * size), round(top + size))))
    return image, truth


def sample_frames(data: Path, clips: int) -> Iterator[tuple[str, np.ndarray, Box]]:
    """Yield class, frame and the box of the face of clips of the sample."""
    for method in METHODS:
        fakes = data / "manipulated_sequences" / method
        for path in sorted((fakes / "c23/videos").glob("*.mp4"))[:clips]:
            numbers = evenly_spaced(length(path)[0], 2)
            masks = read_frames(fakes / "masks/videos" / path.name, numbers).images
            original = data / "original_sequences/youtube/c23/videos" / f"{path.stem[:3]}.mp4"
            for name, video in (("fake", path), ("real", original)):
                for number, frame in read_frames(video, numbers).images.items():
                    rows, columns = np.nonzero(masks[number].max(axis=2) > 127)
                    if len(rows):
                        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                        yield name, frame, (int(box[0]), int(box[1]), int(box[2]), int(box[3]))


def darkened(image: np.ndarray, gain: float) -> np.ndarray:
    """Return *image* with *gain* times the light, by a power of 2.2 and rounded to 8 bits."""
    return np.rint(255 * ((image / 255) ** 2.2 * gain) ** (1 / 2.2)).astype(np.uint8)


def hits(found: Sequence[FoundFace], truth: Sequence[Box]) -> tuple[list[bool], int]:
    """Return which of the boxes *truth* are found, and the number of boxes on none of them."""
    hit = [any(overlap(face.box, box) > RIGHT for face in found) for box in truth]
    false = sum(all(overlap(face.box, box) <= RIGHT for box in truth) for face in found)
    return hit, false


def cheeks(image: np.ndarray, face: FoundFace) -> float:
    """Return the median L* between the eyes' line and the mouth."""
    assert face.points is not None
    (left, right), mouth = face.points[:2], face.points[3:].mean(axis=0)
    x0, x1 = sorted((int(left[0]), int(right[0]) + 1))
    y0, y1 = sorted((int((left[1] + right[1]) / 2 * 0.6 + mouth[1] * 0.4), int(mouth[1])))
    part = image[max(0, y0) : max(0, y1) + 1, max(0, x0) : max(0, x1) + 1]
    return float(np.median(cv2.cvtColor(part, cv2.COLOR_RGB2LAB)[..., 0]) * 100 / 255) if part.size else 0.0


def clock(find: Callable[[np.ndarray], Any], image: np.ndarray) -> tuple[Any, float]:
    start = time.process_time()
    return find(image), time.process_time() - start


def by_size(detectors: dict[str, Detector]) -> list[list[str]]:
    rows = [["planted", *(f"{size} px" for size in (*SIZES, LARGE)), "false boxes", "CPU s an image"]]
    for name, detector in detectors.items():
        found: dict[int, list[bool]] = defaultdict(list)
        false, seconds = 0, []
        for sizes in (SIZES, (LARGE,)):
            image, truth = planted(sizes)
            faces, spent = clock(detector.find_all, image)
            hit, more = hits(faces, [box for _, box in truth])
            false += more
            seconds.append(spent)
            for (size, _), is_hit in zip(truth, hit, strict=True):
                found[size].append(is_hit)
        recalls = [f"{sum(found[size])}/{len(found[size])}" for size in (*SIZES, LARGE)]
        rows.append([name, *recalls, str(false), f"{np.mean(seconds):.1f}"])
    return rows


def by_class(detectors: dict[str, Detector], data: Path, clips: int) -> list[list[str]]:
    frames = list(sample_frames(data, clips))
    cells = [(label, gain) for gain in GAINS for label in ("real", "fake")]
    rows = [["sample", *(f"{label}, light x {gain:g}" for label, gain in cells), "false boxes", "CPU s a frame"]]
    for name, detector in detectors.items():
        found: dict[tuple[str, float], list[bool]] = defaultdict(list)
        false, seconds = 0, []
        for label, frame, box in frames:
            for gain in GAINS:
                faces, spent = clock(detector.find_all, darkened(frame, gain))
                hit, more = hits(faces, [box])
                found[label, gain] += hit
                false += more
                seconds.append(spent)
        recalls = [f"{sum(found[cell])}/{len(found[cell])}" for cell in cells]
        rows.append([name, *recalls, str(false), f"{np.mean(seconds):.3f}"])
    return rows


def by_photograph(detectors: dict[str, Detector], folder: Path) -> list[list[str]]:
    """Return the recall on photographs, shrunk to 640 pixels, by the brightness of the skin area."""
    references = [detectors[name] for name in ("yunet", "centerface") if name in detectors]
    if len(references) < 2:
        return []
    seen: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    false: dict[str, int] = defaultdict(int)
    for path in sorted(path for path in folder.rglob("*") if kind_of(path) == "image"):
        try:
            image = read_image(path)
        except DetectorError:
            continue
        scale = min(1.0, 640 / max(image.shape[:2]))
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        faces = {name: detector.find_all(image) for name, detector in detectors.items()}
        agreed = [f for f in faces["yunet"] if any(overlap(f.box, o.box) > 0.5 for o in faces["centerface"])]
        for name, found in faces.items():
            hit, _ = hits(found, [face.box for face in agreed])
            seen[name] += [(cheeks(image, face), is_hit) for face, is_hit in zip(agreed, hit, strict=True)]
            either = [face.box for reference in ("yunet", "centerface") for face in faces[reference]]
            false[name] += sum(all(overlap(face.box, box) <= RIGHT for box in either) for face in found)
    limits = np.percentile([light for light, _ in seen["yunet"]], [0, 33.3, 66.7, 100])
    names = [f"L* {low:.0f} to {high:.0f}" for low, high in itertools.pairwise(limits)]
    rows = [["photographs", *names, "boxes where no reference has a face"]]
    for name, values in seen.items():
        third = np.searchsorted(limits[1:-1], [light for light, _ in values], side="right")
        cells = []
        for n in range(3):
            hit = [is_hit for at, (_, is_hit) in zip(third, values, strict=True) if at == n]
            cells.append(f"{sum(hit)}/{len(hit)}" + (" (reference)" if name in ("yunet", "centerface") else ""))
        rows.append([name, *cells, str(false[name])])
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--yunet", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="YuNet's ONNX file.")
@click.option("--centerface", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its ONNX file.")
@click.option(
    "--photographs", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of photographs with faces of different brightness.",
)
@click.option("--clips", type=click.IntRange(1), default=20, show_default=True, help="Clips of each of two methods.")
def command(data: Path, yunet: Path | None, centerface: Path | None, photographs: Path | None, clips: int) -> None:
    """Print tables that compare the face detectors on planted faces, the sample videos in DATA, and photographs.

    Face detectors whose weights are neither given nor in the usual place are left out and named.
    """
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {}
    for name, file in (("haar", None), ("yunet", yunet), ("centerface", centerface), ("lbp", None)):
        try:
            detectors[name] = make_detector(name, None if file is None else str(file))
        except DetectorError as error:
            click.echo(f"without {name}: {error}", err=True)
    click.echo(markdown(by_class(detectors, data, clips)) + "\n")
    if photographs is not None:
        click.echo(markdown(by_photograph(detectors, photographs)) + "\n")
    click.echo(markdown(by_size({name: detector for name, detector in detectors.items() if name != "lbp"})))
